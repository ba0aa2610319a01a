//! `HostNetworkSystem`: switches, port groups and the networks that machines find.

use super::*;

fn system(client: &Client) -> MoRef {
    let host = client.model.hosts()[0].clone();
    let host = client.model.inventory.host(&host).unwrap();
    host.managers.iter().find(|moref| moref.kind == "HostNetworkSystem").unwrap().clone()
}

fn switch(name: &str, nics: &[&str]) -> Object {
    let bridge = Object::new("HostVirtualSwitchBondBridge").with("nicDevice", strings(nics));
    let mut spec = Object::new("HostVirtualSwitchSpec").with("numPorts", 64);
    if !nics.is_empty() {
        spec.set("bridge", bridge);
    }
    Object::new("").with("vswitchName", name).with("spec", spec)
}

fn group_spec(name: &str, vlan: i32, switch: &str) -> Object {
    Object::new("HostPortGroupSpec")
        .with("name", name)
        .with("vlanId", vlan)
        .with("vswitchName", switch)
        .with("policy", Object::new("HostNetworkPolicy"))
}

fn group(name: &str, vlan: i32, switch: &str) -> Object {
    Object::new("").with("portgrp", group_spec(name, vlan, switch))
}

fn shaped(average: i64, peak: i64) -> Object {
    let shaping = Object::new("HostNetworkTrafficShapingPolicy")
        .with("enabled", true)
        .with("averageBandwidth", average)
        .with("peakBandwidth", peak);
    let policy = Object::new("HostNetworkPolicy").with("shapingPolicy", shaping);
    let mut args = switch("shaped", &[]);
    let spec = args.get("spec").and_then(Value::as_object).cloned().unwrap();
    args.set("spec", spec.with("policy", policy));
    args
}

fn property(client: &mut Client, path: &str) -> Option<Value> {
    let system = system(client);
    let found = client.retrieve(filter(properties(&system.kind, &[path]), root(&system))).unwrap();
    value(&found[0], path)
}

#[test]
fn what_is_refused_and_why() {
    let mut client = Client::logged_in(Preset::Esx);
    let system = system(&client);
    let none = || Object::new("");
    let name = |member: &'static str, name: &str| none().with(member, name);
    for (method, args, fault) in [
        ("AddVirtualSwitch", switch("vSwitch0", &[]), "AlreadyExists"),
        ("AddVirtualSwitch", switch("", &[]), "InvalidArgument"),
        ("AddVirtualSwitch", switch(&"x".repeat(33), &[]), "InvalidArgument"),
        ("AddVirtualSwitch", switch("a", &["vmnic0"]), "ResourceInUse"),
        ("AddVirtualSwitch", switch("a", &["vmnic9"]), "NotFound"),
        ("AddVirtualSwitch", shaped(-1, 1), "InvalidArgument"),
        ("AddVirtualSwitch", shaped(2, 1), "InvalidArgument"),
        ("UpdateVirtualSwitch", switch("none", &[]), "NotFound"),
        ("UpdateVirtualSwitch", switch("vSwitch1", &["vmnic1"]), "ResourceInUse"),
        ("RemoveVirtualSwitch", name("vswitchName", "none"), "NotFound"),
        // The host itself is connected to it.
        ("RemoveVirtualSwitch", name("vswitchName", "vSwitch0"), "ResourceInUse"),
        ("AddPortGroup", group("storage", 0, "vSwitch0"), "AlreadyExists"),
        ("AddPortGroup", group("new", 0, "none"), "NotFound"),
        ("AddPortGroup", group("new", 4096, "vSwitch0"), "InvalidArgument"),
        ("AddPortGroup", group("new", -1, "vSwitch0"), "InvalidArgument"),
        ("AddPortGroup", group("", 1, "vSwitch0"), "InvalidArgument"),
        ("UpdatePortGroup", group("x", 0, "vSwitch0").with("pgName", "none"), "NotFound"),
        (
            "UpdatePortGroup",
            group("VM Network", 0, "vSwitch0").with("pgName", "storage"),
            "AlreadyExists",
        ),
        ("RemovePortGroup", name("pgName", "none"), "NotFound"),
        ("RemovePortGroup", name("pgName", "Management Network"), "ResourceInUse"),
        ("RemovePortGroup", name("pgName", "VM Network"), "ResourceInUse"),
    ] {
        let refused = client.refused(&system, method, args);
        assert_eq!(refused.type_name, fault, "{method}");
    }
}

#[test]
fn what_is_made_is_told_and_can_be_used() {
    let mut client = Client::logged_in(Preset::Esx);
    let system = system(&client);
    let done = |client: &mut Client, method: &str, args: Object| {
        assert_eq!(client.result(system.clone(), method, args), Ok(None), "{method}");
    };
    // By its key, as libvirt sends it.
    done(&mut client, "AddVirtualSwitch", switch("lab", &["key-vim.host.PhysicalNic-vmnic3"]));
    done(&mut client, "AddPortGroup", group("test", 7, "lab"));
    let info = property(&mut client, "networkInfo").unwrap();
    let info = info.as_object().unwrap();
    let of = |list: &str, key: &str, name: &str| {
        let items = info.get(list).unwrap().items().iter().filter_map(Value::as_object);
        items.clone().find(|item| item.get_path(key).and_then(Value::as_str) == Some(name)).cloned()
    };
    let lab = of("vswitch", "name", "lab").unwrap();
    let first = |path: &str| lab.get_path(path).unwrap().items()[0].as_str().map(str::to_owned);
    assert_eq!(first("pnic").as_deref(), Some("key-vim.host.PhysicalNic-vmnic3"));
    assert_eq!(first("spec.bridge.nicDevice").as_deref(), Some("vmnic3"));
    assert_eq!(first("portgroup").as_deref(), Some("key-vim.host.PortGroup-test"));
    let test = of("portgroup", "spec.name", "test").unwrap();
    assert_eq!(test.get_path("spec.vlanId").and_then(Value::as_i64), Some(7));
    let config = property(&mut client, "networkConfig").unwrap();
    let switches = config.as_object().unwrap().get("vswitch").unwrap().items().len();
    assert_eq!(switches, 3);
    // Machines find it as a network, which has no other name when it is renamed.
    let datacenter = client.model.inventory.root.clone();
    let find = |client: &mut Client, name: &str| {
        client.find(
            "FindByInventoryPath",
            Object::new("").with("inventoryPath", format!("ha-datacenter/network/{name}")),
        )
    };
    assert_eq!(find(&mut client, "test").as_deref(), Some("HaNetwork-test"), "{datacenter}");
    done(&mut client, "UpdatePortGroup", group("renamed", 0, "lab").with("pgName", "test"));
    assert_eq!(find(&mut client, "test"), None);
    assert_eq!(find(&mut client, "renamed").as_deref(), Some("HaNetwork-test"));
    // With the switch go its port groups.
    done(&mut client, "RemoveVirtualSwitch", Object::new("").with("vswitchName", "lab"));
    assert_eq!(find(&mut client, "renamed"), None);
    assert_eq!(
        client
            .refused(&system, "RemovePortGroup", Object::new("").with("pgName", "renamed"))
            .type_name,
        "NotFound"
    );
}

#[test]
fn running_machines_are_connected_to_ports() {
    let mut client = Client::logged_in(Preset::Esx);
    let ports = |client: &mut Client| {
        let info = property(client, "networkInfo").unwrap();
        let groups = info.as_object().unwrap().get("portgroup").unwrap().items().to_vec();
        let group = groups.iter().filter_map(Value::as_object).find(|group| {
            group.get_path("spec.name").and_then(Value::as_str) == Some("VM Network")
        });
        group.unwrap().get("port").map_or(0, |ports| ports.items().len())
    };
    assert!(ports(&mut client) > 0);
    for machine in client.model.machines() {
        client.model.set_power_state(&machine, PowerState::PoweredOff);
    }
    assert_eq!(ports(&mut client), 0);
}
