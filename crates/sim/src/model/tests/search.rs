//! The search index.

use super::*;

#[test]
fn search_index() {
    let mut client = Client::logged_in(Preset::Esx);
    let machines = |args: Object| args.with("vmSearch", true);
    let (bios, instance) = {
        let machine = client.model.machine_named("twin-b").unwrap();
        (machine.bios_uuid.to_string(), machine.instance_uuid.to_string())
    };
    let (a, b) = (client.machine("twin-a").value, client.machine("twin-b").value);
    let by = |uuid: &str, instance: bool| {
        machines(Object::new("").with("uuid", uuid)).with("instanceUuid", instance)
    };
    assert_eq!(client.find("FindByUuid", by(&bios, false)), Some(a.clone()), "the first of two");
    assert_eq!(client.find("FindByUuid", by(&bios.to_uppercase(), false)), Some(a));
    assert_eq!(client.find("FindByUuid", by(&instance, true)), Some(b.clone()));
    assert_eq!(client.find("FindByUuid", by(&instance, false)), None);
    assert_eq!(client.find("FindByUuid", by("garbage", true)), None);
    let index = client.manager("searchIndex");
    let both = client.result(index, "FindAllByUuid", by(&bios, false)).unwrap().unwrap();
    assert_eq!(both.items().len(), 2);
    let elsewhere = by(&instance, true).with("datacenter", MoRef::new("Datacenter", "none"));
    assert_eq!(client.find("FindByUuid", elsewhere), None);
    let lost = client.model.machine_named("lost").unwrap().bios_uuid.to_string();
    assert_eq!(client.find("FindByUuid", by(&lost, false)), None);

    let web = client.machine("web01").value;
    let (ip, host) = {
        let machine = client.model.machine_named("web01").unwrap();
        (machine.guest_ip().unwrap(), machine.guest_host_name().unwrap())
    };
    assert_eq!(
        client.find("FindByIp", machines(Object::new("").with("ip", ip))),
        Some(web.clone())
    );
    assert_eq!(
        client.find("FindByDnsName", machines(Object::new("").with("dnsName", host))),
        Some(web.clone())
    );
    let host = Object::new("").with("dnsName", "ESX01.sim.test").with("vmSearch", false);
    assert_eq!(client.find("FindByDnsName", host).as_deref(), Some("ha-host"));

    let odd = client.machine("100% of a/b\\c").value;
    for (path, expect) in [
        ("ha-datacenter/vm/web01", Some(&web)),
        ("/ha-datacenter/vm/web01/", Some(&web)),
        ("ha-datacenter/vm/100%25 of a%2Fb%5cc", Some(&odd)),
        ("ha-datacenter/vm/none", None),
        ("ha-datacenter/vm/%", None),
        ("", Some(&"ha-folder-root".to_owned())),
    ] {
        let found = client.find("FindByInventoryPath", Object::new("").with("inventoryPath", path));
        assert_eq!(found.as_ref(), expect, "{path}");
    }
    let folder = MoRef::new("Folder", "ha-folder-vm");
    for name in ["100%25 of a%2fb%5cc", "100% of a/b\\c"] {
        let args = Object::new("").with("entity", &folder).with("name", name);
        assert_eq!(client.find("FindChild", args).as_ref(), Some(&odd));
    }
    for (path, expect) in
        [("[datastore1] web01/web01.vmx", Some(&web)), ("[datastore1] web01.vmx", None)]
    {
        let args = Object::new("")
            .with("datacenter", MoRef::new("Datacenter", "ha-datacenter"))
            .with("path", path);
        assert_eq!(client.find("FindByDatastorePath", args).as_ref(), expect);
    }
}
