//! What exists: properties against the schema, VMX files, `/folder`, versions.

use super::*;

/// Checks a value against what the schema declares, down to the last member. References must lead somewhere.
fn conforms(model: &Model, wire: WireType, array: bool, value: &Value, at: &str) {
    if array {
        let Value::Array(items) = value else { panic!("{at}: {value:?} is no array") };
        assert_eq!(items.item_type, wire.name(), "{at}");
        for (index, item) in items.items.iter().enumerate() {
            conforms(model, wire, false, item, &format!("{at}[{index}]"));
        }
        return;
    }
    match (wire, value) {
        (WireType::Boolean, Value::Bool(_))
        | (WireType::Byte, Value::Byte(_))
        | (WireType::Short, Value::Short(_))
        | (WireType::Int, Value::Int(_))
        | (WireType::Long, Value::Long(_))
        | (WireType::Float, Value::Float(_))
        | (WireType::Double, Value::Double(_))
        | (WireType::String | WireType::AnyUri, Value::String(_))
        | (WireType::DateTime, Value::DateTime(_))
        | (WireType::Base64, Value::Binary(_))
        | (WireType::AnyType, _) => {}
        (WireType::MoRef, Value::MoRef(moref)) => {
            let known = model.inventory.get(moref).is_some() || *moref == service::instance();
            assert!(known, "{at}: {moref} leads nowhere");
        }
        (WireType::Enum(name), Value::Enum(found)) => {
            assert_eq!(found.type_name, name, "{at}");
            let values = schema::enumeration(name).unwrap().values;
            assert!(
                values.contains(&found.value.as_ref()),
                "{at}: {} is not in {name}",
                found.value
            );
        }
        (WireType::Data(name), Value::Object(object)) => {
            assert!(
                schema::is_subtype(&object.type_name, name),
                "{at}: {} is no {name}",
                object.type_name
            );
            for (member, value) in object.iter() {
                let at = format!("{at}.{member}");
                let declared = schema::member(&object.type_name, member)
                    .unwrap_or_else(|| panic!("{at}: no such member of {}", object.type_name));
                conforms(model, declared.wire_type, declared.array, value, &at);
            }
            for member in schema::members(&object.type_name).filter(|member| !member.optional) {
                assert!(object.get(member.name).is_some(), "{at}.{} is missing", member.name);
            }
        }
        _ => panic!("{at}: {value:?} is no {wire:?}"),
    }
}

#[test]
fn every_property_of_every_object_conforms_to_the_schema() {
    for preset in [Preset::Esx, Preset::VCenter] {
        let client = Client::logged_in(preset);
        let model = &client.model;
        let context = Context {
            inventory: &model.inventory,
            sessions: &model.sessions,
            session: client.cookie.as_deref().and_then(|cookie| model.sessions.get(cookie)),
            denied: &[],
            dialect: NEWEST,
            now: NOW,
        };
        let mut objects = 0;
        let instance = service::instance();
        for moref in model.inventory.morefs().chain([&instance]) {
            objects += 1;
            for property in schema::properties(&moref.kind) {
                let at = format!("{moref} {}", property.name);
                match context.property(moref, property.name) {
                    Some(value) => conforms(model, property.wire_type, property.array, &value, &at),
                    None => assert!(property.optional, "{at} is missing"),
                }
            }
        }
        assert!(objects > 50, "{objects}");
    }
}

#[test]
fn shortcuts_say_what_the_long_way_says() {
    let model = Model::new(config(Preset::Esx));
    let mut compared = 0;
    for machine in model.inventory.machines() {
        for path in [
            "runtime.powerState",
            "summary.runtime.powerState",
            "runtime.host",
            "summary.runtime.host",
            "runtime.connectionState",
            "runtime.question",
            "config.name",
            "summary.config.name",
            "config.uuid",
            "summary.config.uuid",
            "config.instanceUuid",
            "summary.config.instanceUuid",
            "config.annotation",
            "summary.config.annotation",
            "config.template",
            "summary.config.template",
            "config.guestFullName",
            "summary.config.guestFullName",
            "config.hardware.memoryMB",
            "summary.config.memorySizeMB",
            "config.hardware.numCPU",
            "summary.config.numCpu",
            "config.files.vmPathName",
            "summary.config.vmPathName",
            "config.memoryAllocation.limit",
            "snapshot.rootSnapshotList",
            "guest.hostName",
            "guest.ipAddress",
        ] {
            let parsed = PropertyPath::parse("VirtualMachine", path, NEWEST).unwrap();
            let long = model
                .inventory
                .property(&machine.moref, parsed.first())
                .and_then(|v| parsed.follow(v));
            match machine.leaf(&model.inventory, path) {
                Some(short) => assert_eq!(short, long, "{} {path}", machine.name),
                None => assert_eq!(path, "snapshot.rootSnapshotList"),
            }
            compared += 1;
        }
    }
    assert!(compared > 400);
}

#[test]
fn equal_configurations_give_equal_inventories() {
    let (one, other) = (Model::new(config(Preset::VCenter)), Model::new(config(Preset::VCenter)));
    assert_eq!(one.machines(), other.machines());
    for moref in one.machines() {
        assert_eq!(one.vmx(&moref), other.vmx(&moref));
    }
}

#[test]
fn built_in_machines_show_what_is_difficult() {
    let model = Model::new(config(Preset::Esx));
    let all: Vec<&Machine> = model.inventory.machines().collect();
    for state in [PowerState::PoweredOn, PowerState::PoweredOff, PowerState::Suspended] {
        assert!(all.iter().any(|machine| machine.power == state), "{state:?}");
    }
    for part in ["%", "/", "\\", "|", "\"", "+", " ", "ö", "東"] {
        assert!(all.iter().any(|machine| machine.name.contains(part)), "{part:?}");
    }
    let twins = all.iter().filter(|machine| machine.bios_uuid == machine::uuid_for(900, 0)).count();
    assert_eq!(twins, 2);
    let mut instance: Vec<_> = all.iter().map(|machine| machine.instance_uuid).collect();
    instance.sort();
    instance.dedup();
    assert_eq!(instance.len(), all.len());
    assert!(all.iter().any(|machine| !machine.accessible));
    assert!(all.iter().any(|machine| machine.template));
}

#[test]
fn files_of_machines() {
    for preset in [Preset::Esx, Preset::VCenter] {
        let mut client = Client::logged_in(preset);
        let cookie = client.cookie.clone();
        let machines = client.model.machines();
        for moref in machines {
            let machine = client.model.inventory.machine(&moref).unwrap();
            if !machine.accessible {
                continue;
            }
            let datastore = client.model.inventory.datastore(&machine.place.datastore).unwrap();
            let datacenter = client.model.inventory.datacenter_of(&moref).unwrap();
            let request = FolderRequest {
                path: machine.vmx_path(),
                datacenter: Some(client.model.inventory.path(&datacenter.moref)),
                datastore: Some(datastore.name.clone()),
            };
            let expect = client.model.vmx(&moref).unwrap().into_bytes();
            let found = client.model.folder(&request, cookie.as_deref(), NOW);
            match found {
                FolderAnswer::Found(Entry::File(file)) => {
                    assert_eq!(file.content, expect.into(), "{moref}");
                }
                other => panic!("{moref}: {other:?}"),
            }
            assert_eq!(client.model.folder(&request, None, NOW), FolderAnswer::Unauthorized);
        }
    }
}

#[test]
fn listings_and_encodings() {
    let mut client = Client::logged_in(Preset::VCenter);
    let cookie = client.cookie.clone();
    let mut list = |path: &str, datacenter: Option<&str>, datastore: Option<&str>| {
        let request = FolderRequest {
            path: path.to_owned(),
            datacenter: datacenter.map(str::to_owned),
            datastore: datastore.map(str::to_owned),
        };
        match client.model.folder(&request, cookie.as_deref(), NOW) {
            FolderAnswer::Found(Entry::Directory(names)) => {
                Some(names.into_keys().collect::<Vec<_>>())
            }
            _ => None,
        }
    };
    assert_eq!(list("", None, None).unwrap(), ["Europe%2fWest/dc 2/", "dc1/"]);
    assert_eq!(list("", Some("dc1"), None).unwrap(), ["fast +1/", "shared/"]);
    // Decoded once by the server, the values may still be encoded.
    for (datacenter, datastore) in [("dc1", "fast +1"), ("dc1", "fast%20%2B1"), ("dc1", "fast +1")]
    {
        assert!(list("", Some(datacenter), Some(datastore)).unwrap().contains(&"iso/".to_owned()));
    }
    for datacenter in ["Europe%2fWest/dc 2", "Europe%252fWest%2Fdc%202"] {
        assert_eq!(
            list("remote-vm", Some(datacenter), Some("remote")).unwrap().len(),
            5,
            "{datacenter}"
        );
    }
    assert_eq!(list("none", Some("dc1"), Some("shared")), None);
    assert_eq!(list("", Some("dc3"), Some("shared")), None);
    assert_eq!(list("", Some("dc1"), Some("remote")), None);
}

#[test]
fn vmx_files_and_properties_agree() {
    let model = Model::new(config(Preset::Esx));
    for machine in model.inventory.machines().filter(|machine| machine.accessible) {
        let vmx = machine.vmx(&model.inventory);
        let value = |key: &str| {
            vmx.lines()
                .find_map(|line| line.split_once(" = ").filter(|(k, _)| *k == key))
                .map(|(_, v)| v.trim_matches('"'))
        };
        let property = |path: &str| {
            let path = PropertyPath::parse("VirtualMachine", path, NEWEST).unwrap();
            model
                .inventory
                .property(&machine.moref, path.first())
                .and_then(|value| path.follow(value))
                .unwrap()
        };
        assert_eq!(
            value("memSize").unwrap(),
            property("config.hardware.memoryMB").as_i64().unwrap().to_string()
        );
        assert_eq!(
            value("numvcpus").unwrap_or("1"),
            property("config.hardware.numCPU").as_i64().unwrap().to_string()
        );
        let uuid = value("uuid.bios").unwrap().replace([' ', '-'], "");
        assert_eq!(uuid, property("config.uuid").as_str().unwrap().replace('-', ""));
        let name = esx_escape::percent_pipe::unescape(value("displayName").unwrap()).unwrap();
        assert_eq!(name, machine.name);
        let devices = property("config.hardware.device");
        let count = |class: &str| {
            let of_class =
                |device: &&Value| schema::is_subtype(&device.as_object().unwrap().type_name, class);
            devices.items().iter().filter(of_class).count()
        };
        let present = |prefix: &str, with_unit: bool| {
            vmx.lines()
                .filter(|line| line.starts_with(prefix) && line.ends_with(".present = \"TRUE\""))
                .filter(|line| line.contains(':') == with_unit)
                .count()
        };
        assert_eq!(count("VirtualEthernetCard"), present("ethernet", false));
        assert_eq!(count("VirtualSerialPort"), present("serial", false));
        assert_eq!(count("VirtualSCSIController"), present("scsi", false));
        let drives: usize =
            ["scsi", "sata", "nvme", "ide"].iter().map(|bus| present(bus, true)).sum();
        assert_eq!(count("VirtualDisk") + count("VirtualCdrom"), drives, "{}", machine.name);
        // No two devices have one key.
        let mut keys: Vec<_> =
            devices.items().iter().filter_map(|d| d.as_object()?.get("key")?.as_i64()).collect();
        keys.sort_unstable();
        let all = keys.len();
        keys.dedup();
        assert_eq!(keys.len(), all);
    }
}

#[test]
fn hosts_of_every_version() {
    for (name, version, product) in [
        ("2.5", "2.5", "3.5.0"),
        ("4.0", "4.0", "4.0.0"),
        ("4.1", "4.1", "4.1.0"),
        ("6.7", "6.7", "6.7.0"),
        ("8.0", "8.0.2.0", "8.0.2"),
        ("8.0.2.0", "8.0.2.0", "8.0.2"),
    ] {
        let api_version = api_version(name).unwrap();
        let model = Model::new(Config { api_version, ..config(Preset::Esx) });
        let about = model.inventory.about();
        assert_eq!((about.str("apiVersion"), about.str("version")), (Some(version), Some(product)));
    }
    assert_eq!(api_version("8.1"), None);
    assert_eq!(
        Model::new(config(Preset::VCenter)).default_host_path(),
        "dc1/cluster1/esx1.sim.test"
    );
    let model = Model::new(config(Preset::Esx));
    assert!(
        model
            .inventory
            .morefs()
            .any(|moref| matches!(model.inventory.get(moref), Some(Item::Host(_))))
    );
}
