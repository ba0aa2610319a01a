//! Properties, traversals, views, pages and dialects.

use super::*;

#[test]
fn properties_by_path() {
    let mut client = Client::logged_in(Preset::Esx);
    let machine = client.machine("web01");
    for (path, expect) in [
        ("name", Some(Value::from("web01"))),
        ("config.hardware.numCPU", Some(Value::Int(4))),
        ("config.hardware.device[4001].macAddress", Some("00:50:56:01:02:03".into())),
        (
            "config.hardware.device[2000].backing.fileName",
            Some("[datastore1] web01/web01-000003.vmdk".into()),
        ),
        ("config.hardware.device[9999].key", None),
        ("config.extraConfig[\"svga.present\"].value", Some("TRUE".into())),
        (
            "snapshot.currentSnapshot",
            Some(MoRef::new("VirtualMachineSnapshot", "1-snapshot-1").into()),
        ),
        ("runtime.question", None),
        ("parentVApp", None),
    ] {
        let found =
            client.retrieve(filter(properties("VirtualMachine", &[path]), root(&machine))).unwrap();
        assert_eq!(value(&found[0], path), expect, "{path}");
        assert_eq!(found[0].get("missingSet"), None, "unset is not refused");
    }
    for (class, path) in
        [("VirtualMachine", "confg"), ("ManagedEntity", "config"), ("VirtualMachine", "name.x")]
    {
        let asked = filter(properties(class, &[path]), root(&machine));
        assert_eq!(client.retrieve(asked).unwrap_err(), "InvalidProperty", "{class} {path}");
    }
    let unknown = filter(properties("VirtualMachin", &["name"]), root(&machine));
    assert_eq!(client.retrieve(unknown).unwrap_err(), "InvalidArgument");
    let gone = MoRef::new("VirtualMachine", "4711");
    let asked = filter(properties("VirtualMachine", &["name"]), root(&gone));
    assert_eq!(client.retrieve(asked.clone()).unwrap_err(), "ManagedObjectNotFound");
    assert_eq!(client.retrieve(asked.with("reportMissingObjectsInResults", true)), Ok(vec![]));
    // No path, no property; a property spec of a base class fits.
    let bare = filter(Object::new("PropertySpec").with("type", "ManagedEntity"), root(&machine));
    let found = client.retrieve(bare).unwrap();
    assert_eq!(found[0].get("propSet"), None);
    let all = filter(
        Object::new("PropertySpec").with("type", "VirtualMachine").with("all", true),
        root(&machine),
    );
    let found = client.retrieve(all).unwrap();
    assert!(found[0].get("propSet").unwrap().items().len() > 20);
}

#[test]
fn a_machine_without_config() {
    let mut client = Client::logged_in(Preset::Esx);
    let paths = ["name", "config", "config.uuid", "configStatus", "runtime.connectionState"];
    let asked = filter(properties("VirtualMachine", &paths), root(&client.machine("lost")));
    let found = client.retrieve(asked).unwrap();
    assert_eq!(value(&found[0], "config"), None);
    assert_eq!(value(&found[0], "config.uuid"), None);
    assert_eq!(value(&found[0], "configStatus").unwrap().as_str(), Some("gray"));
    assert_eq!(value(&found[0], "runtime.connectionState").unwrap().as_str(), Some("inaccessible"));
}

#[test]
fn refused_properties_are_reported() {
    let mut client = Client::logged_in(Preset::Esx);
    let machine = client.machine("web01");
    client.model.deny_property(&machine, "config");
    let asked = filter(
        properties("VirtualMachine", &["name", "config.uuid", "configStatus"]),
        root(&machine),
    );
    let found = client.retrieve(asked).unwrap();
    assert!(value(&found[0], "name").is_some() && value(&found[0], "configStatus").is_some());
    let missing = found[0].get("missingSet").unwrap().items()[0].as_object().unwrap();
    assert_eq!(missing.str("path"), Some("config.uuid"));
    let fault = missing.get_path("fault.fault").unwrap().as_object().unwrap();
    assert_eq!(fault.type_name, "NoPermission");
}

#[test]
fn traversals() {
    let mut client = Client::logged_in(Preset::Esx);
    let host = MoRef::new("HostSystem", "ha-host");
    let folder = client.model.inventory.root.clone();

    // One level, as libvirt goes.
    let one = traversal("folderToChildEntity", "Folder", "childEntity");
    let found = client
        .retrieve(filter(properties("Datacenter", &["name"]), select(root(&folder), vec![one])))
        .unwrap();
    assert_eq!(names(&found), ["ha-datacenter"]);

    let up = traversal("hostSystemToParent", "HostSystem", "parent");
    let asked = filter(
        properties("ComputeResource", &["name", "resourcePool"]),
        select(root(&host), vec![up]),
    );
    assert_eq!(names(&client.retrieve(asked).unwrap()), ["esx01.sim.test"]);

    let machines = traversal("hostSystemToVm", "HostSystem", "vm");
    let asked =
        filter(properties("VirtualMachine", &["name"]), select(root(&host), vec![machines]));
    let found = client.retrieve(asked).unwrap();
    assert_eq!(found.len(), client.model.machines().len());
    assert_eq!(names(&found)[0], "web01");
    assert!(names(&found).contains(&"100%25 of a%2fb%5cc".to_owned()), "names are stored escaped");

    // By names, in a circle: every machine once, and an end.
    let folders = select(traversal("f", "Folder", "childEntity"), vec![named("f"), named("d")]);
    let centers = select(traversal("d", "Datacenter", "vmFolder"), vec![named("f")]);
    let back = traversal("back", "VirtualMachine", "parent");
    let back = select(back, vec![named("f")]);
    let asked = filter(
        properties("VirtualMachine", &["name"]),
        select(root(&folder), vec![folders, centers, back]),
    );
    assert_eq!(client.retrieve(asked).unwrap().len(), client.model.machines().len());

    // Skipped objects are passed through.
    let skipped =
        select(traversal("d", "Datacenter", "vmFolder").with("skip", true), vec![named("f")]);
    let folders = traversal("f", "Folder", "childEntity");
    let all = filter(
        properties("ManagedEntity", &["name"]),
        select(
            root(&MoRef::new("Datacenter", "ha-datacenter")).with("skip", true),
            vec![skipped, folders],
        ),
    );
    assert_eq!(client.retrieve(all).unwrap().len(), client.model.machines().len());

    let undefined =
        filter(properties("Folder", &["name"]), select(root(&folder), vec![named("nobody")]));
    assert_eq!(client.retrieve(undefined).unwrap_err(), "InvalidArgument");
    let wrong = traversal("x", "Folder", "vm");
    let wrong = filter(properties("Folder", &["name"]), select(root(&folder), vec![wrong]));
    assert_eq!(client.retrieve(wrong).unwrap_err(), "InvalidProperty");
}

#[test]
fn container_views() {
    for (class, recursive, on_host, on_vcenter) in [
        ("VirtualMachine", true, 16, 18),
        ("VirtualMachine", false, 0, 0),
        ("HostSystem", true, 1, 4),
        ("ComputeResource", true, 1, 3),
        ("ClusterComputeResource", true, 0, 1),
        ("Datacenter", true, 1, 2),
        ("Datastore", true, 7, 3),
        ("Network", true, 2, 3),
    ] {
        for (preset, count) in [(Preset::Esx, on_host), (Preset::VCenter, on_vcenter)] {
            let mut client = Client::logged_in(preset);
            let view = container_view(&mut client, class, recursive);
            let found = client.retrieve(view_filter(&view, class, &["name"])).unwrap();
            assert_eq!(found.len(), count, "{class} {preset:?}");
        }
    }
    let mut client = Client::logged_in(Preset::Esx);
    let view = container_view(&mut client, "VirtualMachine", true);
    client.model.add_machine("later").unwrap();
    let found = client.retrieve(view_filter(&view, "VirtualMachine", &["name"])).unwrap();
    assert!(names(&found).contains(&"later".to_owned()), "a view follows the inventory");
    assert_eq!(client.result(view.clone(), "DestroyView", Object::new("")), Ok(None));
    let asked = view_filter(&view, "VirtualMachine", &["name"]);
    assert_eq!(client.retrieve(asked).unwrap_err(), "ManagedObjectNotFound");

    let members = vec![client.machine("web01").into(), client.machine("db01").into()];
    let args = Object::new("").with("obj", Array::new("ManagedObjectReference", members));
    let list =
        client.result(client.manager("viewManager"), "CreateListView", args).unwrap().unwrap();
    let list = list.as_moref().unwrap().clone();
    let found = client.retrieve(view_filter(&list, "VirtualMachine", &["name"])).unwrap();
    assert_eq!(names(&found), ["web01", "db01"]);
    // Another session does not see it.
    client.login();
    let asked = view_filter(&list, "VirtualMachine", &["name"]);
    assert_eq!(client.retrieve(asked).unwrap_err(), "ManagedObjectNotFound");
}

#[test]
fn pages() {
    let mut client = Client::logged_in(Preset::Esx);
    let collector = client.manager("propertyCollector");
    let view = container_view(&mut client, "VirtualMachine", true);
    let args = |limit: Option<i32>| {
        let options = Object::new("RetrieveOptions").with_opt("maxObjects", limit);
        Object::new("")
            .with("specSet", specs(view_filter(&view, "VirtualMachine", &["name"])))
            .with("options", options)
    };
    let page = |found: &Value| {
        let found = found.as_object().unwrap();
        let names = names(&contents(found.get("objects").unwrap()));
        (names, found.str("token").map(str::to_owned))
    };
    let whole =
        client.result(collector.clone(), "RetrievePropertiesEx", args(None)).unwrap().unwrap();
    let (expect, token) = page(&whole);
    assert_eq!((expect.len(), token), (16, None));

    for (asked, limit, pages) in
        [(Some(5), None, 4), (None, Some(6), 3), (Some(5), Some(8), 4), (Some(16), None, 1)]
    {
        client.model.set_page_size(limit);
        let mut found =
            client.result(collector.clone(), "RetrievePropertiesEx", args(asked)).unwrap().unwrap();
        let mut all = Vec::new();
        let mut count = 1;
        loop {
            let (names, token) = page(&found);
            all.extend(names);
            let Some(token) = token else { break };
            let args = Object::new("").with("token", token);
            found = client
                .result(collector.clone(), "ContinueRetrievePropertiesEx", args)
                .unwrap()
                .unwrap();
            count += 1;
        }
        assert_eq!((count, &all), (pages, &expect), "{asked:?} {limit:?}");
    }

    client.model.set_page_size(Some(5));
    let first =
        client.result(collector.clone(), "RetrievePropertiesEx", args(None)).unwrap().unwrap();
    let token = Object::new("").with("token", page(&first).1.unwrap());
    assert_eq!(
        client.result(collector.clone(), "CancelRetrievePropertiesEx", token.clone()),
        Ok(None)
    );
    for method in ["ContinueRetrievePropertiesEx", "CancelRetrievePropertiesEx"] {
        assert_eq!(
            client.result(collector.clone(), method, token.clone()),
            Err("InvalidArgument".to_owned())
        );
    }
    assert_eq!(
        client.result(collector.clone(), "RetrievePropertiesEx", args(Some(0))),
        Err("InvalidArgument".to_owned())
    );
    // The token of another session is worth nothing.
    let first =
        client.result(collector.clone(), "RetrievePropertiesEx", args(None)).unwrap().unwrap();
    let token = Object::new("").with("token", page(&first).1.unwrap());
    client.cookie = None;
    client.login();
    let stolen = client.result(collector, "ContinueRetrievePropertiesEx", token);
    assert_eq!(stolen, Err("InvalidArgument".to_owned()));
}

#[test]
fn older_dialects_lack_what_came_later() {
    let mut client = Client::logged_in(Preset::Esx);
    let machine = client.machine("web01");
    let collector = client.manager("propertyCollector");
    let asked = |path| filter(properties("VirtualMachine", &[path]), root(&machine));
    for (dialect, path, expect) in [
        (ApiVersion::V2_5, "config.uuid", Ok(())),
        (ApiVersion::V2_5, "config.instanceUuid", Err("InvalidProperty")),
        (ApiVersion::V2_5, "layoutEx", Err("InvalidProperty")),
        (ApiVersion::V4_0, "config.instanceUuid", Ok(())),
        (ApiVersion::V4_0, "rootSnapshot", Err("InvalidProperty")),
        (ApiVersion::V4_1, "rootSnapshot", Ok(())),
    ] {
        client.dialect = dialect;
        let found = client.retrieve(asked(path)).map(|_| ());
        assert_eq!(found, expect.map_err(str::to_owned), "{path} in {dialect}");
    }
    let args = || {
        Object::new("")
            .with("specSet", specs(asked("name")))
            .with("options", Object::new("RetrieveOptions"))
    };
    client.dialect = ApiVersion::V4_0;
    let early = client.result(collector.clone(), "RetrievePropertiesEx", args());
    assert_eq!(early, Err("MethodNotFound".to_owned()));
    client.dialect = ApiVersion::V4_1;
    assert!(client.result(collector, "RetrievePropertiesEx", args()).is_ok());

    // A device of a class that came with 4.0 is shown as its base class.
    client.dialect = ApiVersion::V2_5;
    let found = client.retrieve(asked("config.hardware.device[4000]")).unwrap();
    let device = value(&found[0], "config.hardware.device[4000]").unwrap();
    let device = device.as_object().unwrap();
    assert_eq!(device.type_name, "VirtualVmxnet");
    assert!(device.iter().all(|(member, _)| schema::member("VirtualVmxnet", member).is_some()));
    client.dialect = ApiVersion::V4_0;
    let found = client.retrieve(asked("config.hardware.device[4000]")).unwrap();
    let device = value(&found[0], "config.hardware.device[4000]").unwrap();
    assert_eq!(device.as_object().unwrap().type_name, "VirtualVmxnet3");
}
