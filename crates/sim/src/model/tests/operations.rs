//! What operations do to machines and files: reconfigure, snapshots, registering, autostart, migration.

use esx_vi_api::EnumValue;

use super::*;
use crate::model::{FolderChange, FolderRequest};

/// Runs a task that ends at once: its result, or the type of its fault.
fn run(
    client: &mut Client,
    target: &MoRef,
    method: &str,
    args: Object,
) -> Result<Option<Value>, String> {
    let task = client.result(target.clone(), method, args)?.unwrap();
    let task = task.as_moref().unwrap().clone();
    let content = client.retrieve(filter(properties("Task", &["info"]), root(&task))).unwrap();
    let info = value(&content[0], "info").unwrap();
    let info = info.as_object().unwrap();
    match info.get_path("error.fault").and_then(Value::as_object) {
        Some(fault) => Err(fault.type_name.clone().into_owned()),
        None => {
            assert_eq!(info.str("state"), Some("success"));
            Ok(info.get("result").cloned())
        }
    }
}

fn read(client: &mut Client, object: &MoRef, path: &str) -> Option<Value> {
    let content = client.retrieve(filter(properties(&object.kind, &[path]), root(object))).unwrap();
    value(&content[0], path)
}

fn reconfigure(client: &mut Client, machine: &MoRef, spec: Object) -> Result<(), String> {
    let args = Object::new("").with("spec", spec);
    run(client, machine, "ReconfigVM_Task", args).map(drop)
}

fn spec() -> Object {
    Object::new("VirtualMachineConfigSpec")
}

fn change(operation: &'static str, file: Option<&'static str>, device: Object) -> Object {
    let operation = EnumValue::new("VirtualDeviceConfigSpecOperation", operation);
    let file = file.map(|f| EnumValue::new("VirtualDeviceConfigSpecFileOperation", f));
    Object::new("VirtualDeviceConfigSpec")
        .with("operation", Value::from(operation))
        .with_opt("fileOperation", file.map(Value::from))
        .with("device", device)
}

fn devices(changes: Vec<Object>) -> Object {
    let changes = changes.into_iter().map(Value::from).collect();
    spec().with("deviceChange", Array::new("VirtualDeviceConfigSpec", changes))
}

fn disk(controller: i32, path: &str, kib: i64) -> Object {
    let backing = Object::new("VirtualDiskFlatVer2BackingInfo")
        .with("fileName", path)
        .with("diskMode", "persistent");
    Object::new("VirtualDisk")
        .with("key", -2)
        .with("backing", backing)
        .with("controllerKey", controller)
        .with("unitNumber", -1)
        .with("capacityInKB", kib)
}

fn vmx(client: &Client, machine: &MoRef) -> String {
    client.model.vmx(machine).unwrap()
}

#[test]
fn sizes_are_changed_with_the_rules_of_hosts() {
    let mut client = Client::logged_in(Preset::Esx);
    let machine = client.machine("twin-b");
    let version = read(&mut client, &machine, "config.changeVersion");
    assert_eq!(
        reconfigure(&mut client, &machine, spec().with("memoryMB", 4096_i64).with("numCPUs", 2)),
        Ok(())
    );
    assert_eq!(read(&mut client, &machine, "config.hardware.memoryMB"), Some(Value::Int(4096)));
    assert!(vmx(&client, &machine).contains("numvcpus = \"2\"\nmemSize = \"4096\"\n"));
    assert_ne!(read(&mut client, &machine, "config.changeVersion"), version);
    let old = spec().with("changeVersion", "1970");
    assert_eq!(reconfigure(&mut client, &machine, old), Err("ConcurrentAccess".to_owned()));
    for (spec, fault) in [
        (spec().with("memoryMB", 4097_i64), "InvalidArgument"),
        (spec().with("numCPUs", 0), "InvalidArgument"),
        (spec().with("numCPUs", 3).with("numCoresPerSocket", 2), "InvalidArgument"),
        (spec().with("name", "web01"), "DuplicateName"),
        (spec().with("vAppConfigRemoved", true), "NotSupported"),
    ] {
        assert_eq!(
            reconfigure(&mut client, &machine, spec.clone()),
            Err(fault.to_owned()),
            "{spec:?}"
        );
    }
    client.model.set_power_state(&machine, PowerState::PoweredOn);
    for (spec, fault) in [
        (spec().with("memoryMB", 8192_i64), "MemoryHotPlugNotSupported"),
        (spec().with("numCPUs", 4), "CpuHotPlugNotSupported"),
        (spec().with("memoryHotAddEnabled", true), "InvalidPowerState"),
    ] {
        assert_eq!(
            reconfigure(&mut client, &machine, spec.clone()),
            Err(fault.to_owned()),
            "{spec:?}"
        );
    }
    client.model.set_power_state(&machine, PowerState::PoweredOff);
    let hot = spec().with("memoryHotAddEnabled", true).with("cpuHotAddEnabled", true);
    reconfigure(&mut client, &machine, hot).unwrap();
    client.model.set_power_state(&machine, PowerState::PoweredOn);
    reconfigure(&mut client, &machine, spec().with("memoryMB", 8192_i64).with("numCPUs", 4))
        .unwrap();
    assert_eq!(
        reconfigure(&mut client, &machine, spec().with("memoryMB", 4096_i64)),
        Err("MemoryHotPlugNotSupported".to_owned())
    );
}

#[test]
fn shares_have_levels() {
    let mut client = Client::logged_in(Preset::Esx);
    let machine = client.machine("web01"); // 4 CPUs, 8 GiB
    for (level, given, expect) in
        [("low", 7, 2000), ("normal", 0, 4000), ("high", -1, 8000), ("custom", 123, 123)]
    {
        let shares = Object::new("SharesInfo")
            .with("shares", given)
            .with("level", Value::from(EnumValue::new("SharesLevel", level)));
        let allocation = Object::new("ResourceAllocationInfo")
            .with("reservation", 500_i64)
            .with("limit", 2000_i64)
            .with("shares", shares);
        reconfigure(&mut client, &machine, spec().with("cpuAllocation", allocation)).unwrap();
        let shares = read(&mut client, &machine, "config.cpuAllocation.shares.shares");
        assert_eq!(shares.and_then(|s| s.as_i64()), Some(expect), "{level}");
    }
    let text = vmx(&client, &machine);
    for line in
        ["sched.cpu.min = \"500\"", "sched.cpu.max = \"2000\"", "sched.cpu.shares = \"123\""]
    {
        assert!(text.contains(line), "{text}");
    }
    let unlimited =
        Object::new("ResourceAllocationInfo").with("limit", -1_i64).with("reservation", 0_i64);
    reconfigure(&mut client, &machine, spec().with("memoryAllocation", unlimited)).unwrap();
    assert_eq!(read(&mut client, &machine, "config.memoryAllocation.limit"), Some(Value::Long(-1)));
    let wrong =
        Object::new("ResourceAllocationInfo").with("limit", 10_i64).with("reservation", 20_i64);
    assert_eq!(
        reconfigure(&mut client, &machine, spec().with("memoryAllocation", wrong)),
        Err("InvalidArgument".to_owned())
    );
}

#[test]
fn disks_come_and_go() {
    let mut client = Client::logged_in(Preset::Esx);
    let machine = client.machine("twin-a");
    let controller = Object::new("VirtualAHCIController").with("key", -1).with("busNumber", 0);
    let changes = vec![
        change("add", None, controller),
        change("add", Some("create"), disk(-1, "", 1024)),
        change("add", Some("create"), disk(1000, "[datastore1] twin-a/data.vmdk", 2048)),
    ];
    reconfigure(&mut client, &machine, devices(changes)).unwrap();
    let text = vmx(&client, &machine);
    for line in [
        "sata0.present = \"TRUE\"",
        "sata0:0.fileName = \"twin-a_1.vmdk\"",
        // The machine lives on the other datastore.
        "scsi0:1.fileName = \"/vmfs/volumes/65a1b2c3-0d4e5f60-7a8b-000c29d1e2f3/twin-a/data.vmdk\"",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    let key = |client: &mut Client, key: i32| {
        read(client, &machine, &format!("config.hardware.device[{key}].capacityInKB"))
            .and_then(|v| v.as_i64())
    };
    assert_eq!(key(&mut client, 16_000), Some(1024));
    assert_eq!(key(&mut client, 2001), Some(2048));
    for (what, fault) in [
        (change("add", Some("create"), disk(1003, "", 1)), "MissingController"),
        (
            change("add", Some("create"), disk(1000, "", 1).with("unitNumber", 7)),
            "InvalidDeviceSpec",
        ),
        (change("add", Some("create"), disk(1000, "", 0)), "InvalidDeviceSpec"),
        (
            change("add", Some("create"), disk(1000, "[datastore1] iso/debian-12.iso", 1)),
            "FileAlreadyExists",
        ),
        (change("add", None, disk(1000, "[datastore1] nothing/here.vmdk", 1)), "FileNotFound"),
        (change("add", None, disk(1000, "[nowhere] x.vmdk", 1)), "InvalidDatastorePath"),
        (change("add", Some("destroy"), disk(1000, "", 1)), "InvalidDeviceOperation"),
        (change("edit", None, disk(1000, "", 1).with("key", 2099)), "InvalidDeviceSpec"),
        (change("edit", None, disk(1000, "", 1).with("key", 2001)), "InvalidDeviceSpec"),
        (
            change("remove", None, Object::new("VirtualAHCIController").with("key", 15_000)),
            "InvalidDeviceOperation",
        ),
        (
            change("add", None, Object::new("VirtualUSBController").with("key", -1)),
            "InvalidDeviceSpec",
        ),
    ] {
        assert_eq!(
            reconfigure(&mut client, &machine, devices(vec![what.clone()])),
            Err(fault.to_owned()),
            "{what:?}"
        );
    }
    // Growing; then one disk goes with its file, the other without.
    let grow = change("edit", None, disk(1000, "", 4096).with("key", 2001));
    reconfigure(&mut client, &machine, devices(vec![grow])).unwrap();
    assert_eq!(key(&mut client, 2001), Some(4096));
    let gone = vec![
        change("remove", Some("destroy"), Object::new("VirtualDisk").with("key", 16_000)),
        change("remove", None, Object::new("VirtualDisk").with("key", 2001)),
    ];
    reconfigure(&mut client, &machine, devices(gone)).unwrap();
    let back = change("add", None, disk(1000, "[datastore1] twin-a/data.vmdk", 0));
    reconfigure(&mut client, &machine, devices(vec![back])).unwrap();
    assert_eq!(key(&mut client, 2001), Some(4096));
}

#[test]
fn cards_and_ports_keep_their_numbers() {
    let mut client = Client::logged_in(Preset::Esx);
    let machine = client.machine("web01");
    let card = |class: &'static str, network: &str| {
        Object::new(class).with("key", -5).with(
            "backing",
            Object::new("VirtualEthernetCardNetworkBackingInfo").with("deviceName", network),
        )
    };
    let changes = vec![
        change("remove", None, Object::new("VirtualVmxnet3").with("key", 4000)),
        change("edit", None, card("VirtualE1000e", "VM Network").with("key", 4001)),
    ];
    reconfigure(&mut client, &machine, devices(changes)).unwrap();
    let text = vmx(&client, &machine);
    assert!(!text.contains("ethernet0."), "{text}");
    assert!(text.contains("ethernet1.networkName = \"VM Network\""), "{text}");
    let mac = card("VirtualVmxnet3", "storage")
        .with("addressType", "manual")
        .with("macAddress", "00:50:56:0a:0b:0c");
    reconfigure(&mut client, &machine, devices(vec![change("add", None, mac)])).unwrap();
    assert!(vmx(&client, &machine).contains("ethernet0.address = \"00:50:56:0a:0b:0c\""));
    let wrong = change("add", None, card("VirtualVmxnet3", "no such network"));
    assert_eq!(
        reconfigure(&mut client, &machine, devices(vec![wrong])),
        Err("InvalidDeviceBacking".to_owned())
    );

    let port = |uri: &str| {
        let backing = Object::new("VirtualSerialPortURIBackingInfo")
            .with("serviceURI", uri)
            .with("direction", "client")
            .with("proxyURI", "telnet://10.0.0.1:13370");
        change(
            "add",
            None,
            Object::new("VirtualSerialPort")
                .with("key", -9)
                .with("backing", backing)
                .with("yieldOnPoll", true),
        )
    };
    // A serial port cannot be plugged in.
    assert_eq!(
        reconfigure(&mut client, &machine, devices(vec![port("tcp://a:1")])),
        Err("InvalidPowerState".to_owned())
    );
    client.model.set_power_state(&machine, PowerState::PoweredOff);
    reconfigure(&mut client, &machine, devices(vec![port("tcp://a:1")])).unwrap();
    let text = vmx(&client, &machine);
    assert!(
        text.contains("serial0.fileName = \"tcp://a:1\"")
            && text.contains("serial0.vspc = \"telnet://10.0.0.1:13370\""),
        "{text}"
    );
}

#[test]
fn media_are_changed() {
    let mut client = Client::logged_in(Preset::Esx);
    let machine = client.machine("storage01");
    let iso = |path: &str| {
        let backing = Object::new("VirtualCdromIsoBackingInfo").with("fileName", path);
        change("edit", None, Object::new("VirtualCdrom").with("key", 3002).with("backing", backing))
    };
    reconfigure(&mut client, &machine, devices(vec![iso("[datastore1] iso/debian-12.iso")]))
        .unwrap();
    assert!(vmx(&client, &machine).contains("ide1:0.deviceType = \"cdrom-image\""));
    assert_eq!(
        reconfigure(&mut client, &machine, devices(vec![iso("[datastore1] iso/no.iso")])),
        Err("FileNotFound".to_owned())
    );
    let eject = Object::new("VirtualCdromRemotePassthroughBackingInfo")
        .with("deviceName", "")
        .with("exclusive", false);
    let eject =
        change("edit", None, Object::new("VirtualCdrom").with("key", 3002).with("backing", eject));
    reconfigure(&mut client, &machine, devices(vec![eject])).unwrap();
    assert!(vmx(&client, &machine).contains("ide1:0.clientDevice = \"TRUE\""));
}

fn snapshot(
    client: &mut Client,
    machine: &MoRef,
    name: &str,
    memory: bool,
) -> Result<MoRef, String> {
    let args = Object::new("")
        .with("name", name)
        .with("description", "d")
        .with("memory", memory)
        .with("quiesce", false);
    Ok(run(client, machine, "CreateSnapshot_Task", args)?.unwrap().as_moref().unwrap().clone())
}

/// The snapshot tree: names, with children in brackets, the current one marked.
fn tree(client: &mut Client, machine: &MoRef) -> String {
    fn show(nodes: &[Value], current: Option<&MoRef>, text: &mut String) {
        for node in nodes.iter().filter_map(Value::as_object) {
            text.push_str(node.str("name").unwrap());
            if node.get("snapshot").and_then(Value::as_moref) == current {
                text.push('*');
            }
            if let Some(children) = node.get("childSnapshotList") {
                text.push('(');
                show(children.items(), current, text);
                text.push(')');
            }
            text.push(' ');
        }
    }
    let mut text = String::new();
    let Some(info) = read(client, machine, "snapshot") else { return text };
    let info = info.as_object().unwrap();
    let current = info.get("currentSnapshot").and_then(Value::as_moref);
    show(info.get("rootSnapshotList").unwrap().items(), current, &mut text);
    text.trim_end().to_owned()
}

fn first_disk(client: &Client, machine: &MoRef) -> String {
    let text = vmx(client, machine);
    let line = text.lines().find_map(|line| line.strip_prefix("scsi0:0.fileName = ")).unwrap();
    line.trim_matches('"').to_owned()
}

#[test]
fn snapshots_are_a_tree() {
    let mut client = Client::logged_in(Preset::Esx);
    let machine = client.machine("twin-a"); // runs
    let a = snapshot(&mut client, &machine, "a", false).unwrap();
    assert_eq!(first_disk(&client, &machine), "twin-a-000001.vmdk");
    reconfigure(&mut client, &machine, spec().with("annotation", "changed")).unwrap();
    let b = snapshot(&mut client, &machine, "b", true).unwrap();
    assert_eq!(first_disk(&client, &machine), "twin-a-000002.vmdk");
    assert_eq!(tree(&mut client, &machine), "a(b* )");
    // Without memory it comes back off, and as it was.
    run(&mut client, &a, "RevertToSnapshot_Task", Object::new("")).unwrap();
    assert_eq!(client.model.power_state(&machine), Some(PowerState::PoweredOff));
    assert_eq!(read(&mut client, &machine, "config.annotation"), Some("".into()));
    // The files that only the abandoned state needed are gone, and their names free.
    assert_eq!(first_disk(&client, &machine), "twin-a-000002.vmdk");
    let c = snapshot(&mut client, &machine, "c", true).unwrap();
    assert_eq!(tree(&mut client, &machine), "a(b c* )");
    run(&mut client, &b, "RevertToSnapshot_Task", Object::new("")).unwrap();
    assert_eq!(client.model.power_state(&machine), Some(PowerState::PoweredOn));
    assert_eq!(read(&mut client, &machine, "config.annotation"), Some("changed".into()));
    let rename = Object::new("").with("name", "b2");
    assert_eq!(client.result(b.clone(), "RenameSnapshot", rename), Ok(None));
    assert_eq!(tree(&mut client, &machine), "a(b2* c )");
    // Children go to the grandparent; the last state is merged into what it was built on.
    let keep = || Object::new("").with("removeChildren", false);
    run(&mut client, &a, "RemoveSnapshot_Task", keep()).unwrap();
    assert_eq!(tree(&mut client, &machine), "b2* c");
    run(&mut client, &c, "RemoveSnapshot_Task", keep()).unwrap();
    run(&mut client, &b, "RemoveSnapshot_Task", keep()).unwrap();
    assert_eq!(tree(&mut client, &machine), "");
    assert!(
        client.retrieve(filter(properties("VirtualMachineSnapshot", &["vm"]), root(&b))).is_err()
    );
    assert!(read(&mut client, &machine, "rootSnapshot").unwrap().items().is_empty());
}

#[test]
fn one_snapshot_more_and_less_leaves_the_files_as_they_were() {
    let mut client = Client::logged_in(Preset::Esx);
    let machine = client.machine("twin-b");
    let before = client.model.vmx(&machine);
    snapshot(&mut client, &machine, "a", true).unwrap();
    snapshot(&mut client, &machine, "b", true).unwrap();
    let chain =
        read(&mut client, &machine, "config.hardware.device[2000].backing.parent.parent.fileName");
    assert!(chain.unwrap().as_str().unwrap().ends_with("/twin-b.vmdk"));
    run(&mut client, &machine, "RemoveAllSnapshots_Task", Object::new("")).unwrap();
    assert_eq!(client.model.vmx(&machine), before);
    assert_eq!(
        run(&mut client, &machine, "RevertToCurrentSnapshot_Task", Object::new("")),
        Err("NotFound".to_owned())
    );
    assert_eq!(snapshot(&mut client, &machine, "", true), Err("InvalidName".to_owned()));
}

#[test]
fn whole_branches_are_removed() {
    let mut client = Client::logged_in(Preset::Esx);
    let machine = client.machine("web01");
    assert_eq!(
        tree(&mut client, &machine),
        "fresh install(before update(after update 2%2f3* failed try ) )"
    );
    let info = read(&mut client, &machine, "snapshot.rootSnapshotList").unwrap();
    let before =
        info.items()[0].as_object().unwrap().get("childSnapshotList").unwrap().items()[0].clone();
    let before = before.as_object().unwrap().get("snapshot").unwrap().as_moref().unwrap().clone();
    run(&mut client, &before, "RemoveSnapshot_Task", Object::new("").with("removeChildren", true))
        .unwrap();
    assert_eq!(tree(&mut client, &machine), "fresh install*");
    assert_eq!(first_disk(&client, &machine), "web01-000001.vmdk");
}

fn register(client: &mut Client, path: &str) -> Result<MoRef, String> {
    let folder = MoRef::new("Folder", "ha-folder-vm");
    let args = Object::new("")
        .with("path", path)
        .with("asTemplate", false)
        .with("pool", MoRef::new("ResourcePool", "ha-root-pool"));
    Ok(run(client, &folder, "RegisterVM_Task", args)?.unwrap().as_moref().unwrap().clone())
}

#[test]
fn every_machine_survives_leaving_and_coming_back() {
    let mut client = Client::logged_in(Preset::Esx);
    for machine in client.model.machines() {
        client.model.set_accessible(&machine, true);
        client.model.set_power_state(&machine, PowerState::PoweredOff);
        let before = vmx(&client, &machine);
        let devices = read(&mut client, &machine, "config.hardware.device").unwrap().items().len();
        let path = read(&mut client, &machine, "config.files.vmPathName").unwrap();
        let name = read(&mut client, &machine, "name");
        let snapshots = tree(&mut client, &machine);
        assert_eq!(client.result(machine.clone(), "UnregisterVM", Object::new("")), Ok(None));
        let again = register(&mut client, path.as_str().unwrap()).unwrap();
        // The order of controllers may be another one.
        let sorted = |text: &str| {
            let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        assert_eq!(sorted(&vmx(&client, &again)), sorted(&before));
        assert_eq!(read(&mut client, &again, "name"), name);
        assert_eq!(
            read(&mut client, &again, "config.hardware.device").unwrap().items().len(),
            devices
        );
        assert_eq!(tree(&mut client, &again), snapshots);
        if !before.contains("vmtx")
            && !path.as_str().unwrap().ends_with("vmtx")
            && !path.as_str().unwrap().contains("console01")
        {
            run(&mut client, &again, "PowerOnVM_Task", Object::new("")).unwrap();
        }
    }
}

fn upload(client: &mut Client, path: &str, content: &[u8]) -> FolderChange {
    let request = FolderRequest {
        path: path.to_owned(),
        datacenter: Some("ha-datacenter".to_owned()),
        datastore: Some("datastore1".to_owned()),
    };
    let cookie = client.cookie.clone();
    client.model.upload(&request, content, cookie.as_deref(), NOW)
}

#[test]
fn an_uploaded_machine_is_registered() {
    let mut client = Client::logged_in(Preset::Esx);
    let text = "config.version = \"8\"\nvirtualHW.version = \"13\"\ndisplayName = \"new|22one\"\nguestOS = \"other-64\"\nmemSize = \"512\"\nnumvcpus = \"2\"\nuuid.bios = \"56 4d 8c 1a 3b 2e 9f 40-7c 11 00 01 02 03 04 05\"\nscsi0.present = \"true\"\nscsi0.virtualDev = \"lsilogic\"\nscsi0:0.present = \"true\"\nscsi0:0.deviceType = \"scsi-hardDisk\"\nscsi0:0.fileName = \"new.vmdk\"\nethernet0.present = \"true\"\nethernet0.networkName = \"VM Network\"\nethernet0.addressType = \"static\"\nethernet0.address = \"00:50:56:00:00:01\"\nfoo.bar = \"baz\"\n";
    assert_eq!(upload(&mut client, "new/new.vmx", text.as_bytes()), FolderChange::NotFound);
    let manager = client.manager("fileManager");
    let make = || Object::new("").with("name", "[datastore1] new");
    assert_eq!(client.result(manager.clone(), "MakeDirectory", make()), Ok(None));
    assert_eq!(
        client.result(manager.clone(), "MakeDirectory", make()),
        Err("FileAlreadyExists".to_owned())
    );
    assert_eq!(upload(&mut client, "new/new.vmx", b""), FolderChange::Created);
    assert_eq!(upload(&mut client, "new/new.vmx", text.as_bytes()), FolderChange::Replaced);
    let machine = register(&mut client, "[datastore1] new/new.vmx").unwrap();
    assert_eq!(register(&mut client, "[datastore1] new/new.vmx"), Err("AlreadyExists".to_owned()));
    assert_eq!(register(&mut client, "[datastore1] new/other.vmx"), Err("NotFound".to_owned()));
    assert_eq!(register(&mut client, "nonsense"), Err("InvalidDatastorePath".to_owned()));
    assert_eq!(register(&mut client, "[nowhere] a.vmx"), Err("InvalidDatastorePath".to_owned()));
    // The machine is registered now: its file can be edited while it is off, which counts when it is reloaded.
    let edited = text.replace("foo.bar", "foo.edited");
    assert_eq!(upload(&mut client, "new/new.vmx", edited.as_bytes()), FolderChange::Replaced);
    assert!(!vmx(&client, &machine).contains("foo.edited"));
    client.result(machine.clone(), "Reload", Object::new("")).unwrap();
    assert!(vmx(&client, &machine).contains("foo.edited = \"baz\""));
    // What is no configuration makes the machine unusable until there is one again.
    assert_eq!(upload(&mut client, "new/new.vmx", b"x = y = z"), FolderChange::Replaced);
    client.result(machine.clone(), "Reload", Object::new("")).unwrap();
    assert_eq!(read(&mut client, &machine, "config.uuid"), None);
    assert_eq!(upload(&mut client, "new/new.vmx", text.as_bytes()), FolderChange::Replaced);
    client.result(machine.clone(), "Reload", Object::new("")).unwrap();
    client.model.set_power_state(&machine, PowerState::PoweredOn);
    assert_eq!(upload(&mut client, "new/new.vmx", b"x"), FolderChange::Refused);
    client.model.set_power_state(&machine, PowerState::PoweredOff);
    assert_eq!(read(&mut client, &machine, "name"), Some("new\"one".into()));
    assert_eq!(
        read(&mut client, &machine, "config.uuid"),
        Some("564d8c1a-3b2e-9f40-7c11-000102030405".into())
    );
    assert!(vmx(&client, &machine).contains("foo.bar = \"baz\""));
    // The disk is missing.
    let start = run(&mut client, &machine, "PowerOnVM_Task", Object::new(""));
    assert_eq!(start, Err("FileNotFound".to_owned()));
    let gone = run(&mut client, &manager, "DeleteDatastoreFile_Task", make());
    assert_eq!(gone, Err("FileLocked".to_owned()));
    assert_eq!(client.result(machine, "UnregisterVM", Object::new("")), Ok(None));
    assert_eq!(run(&mut client, &manager, "DeleteDatastoreFile_Task", make()), Ok(None));
    let gone = run(&mut client, &manager, "DeleteDatastoreFile_Task", make());
    assert_eq!(gone, Err("FileNotFound".to_owned()));
}

#[test]
fn a_copy_asks_who_it_is() {
    for (choice, same) in [("button.uuid.copiedTheVM", false), ("button.uuid.movedTheVM", true)] {
        let mut client = Client::logged_in(Preset::Esx);
        let machine = client.machine("vm-00001");
        let text = vmx(&client, &machine);
        client.result(machine, "UnregisterVM", Object::new("")).unwrap();
        let manager = client.manager("fileManager");
        client
            .result(manager, "MakeDirectory", Object::new("").with("name", "[datastore1] copy"))
            .unwrap();
        upload(&mut client, "copy/copy.vmx", text.as_bytes());
        client.model.add_file(
            "datastore1",
            "copy/vm-00001.vmdk",
            b"RW 2048 VMFS \"x-flat.vmdk\"\n",
        );
        let copy = register(&mut client, "[datastore1] copy/copy.vmx").unwrap();
        let uuid = read(&mut client, &copy, "config.uuid");
        client.result(copy.clone(), "PowerOnVM_Task", Object::new("")).unwrap();
        assert_eq!(client.model.power_state(&copy), Some(PowerState::PoweredOff));
        let asked = client.model.questions(&copy);
        client.model.answer(&copy, &asked[0], choice).unwrap();
        assert_eq!(client.model.power_state(&copy), Some(PowerState::PoweredOn));
        assert_eq!(read(&mut client, &copy, "config.uuid") == uuid, same);
        client.model.set_power_state(&copy, PowerState::PoweredOff);
        run(&mut client, &copy, "PowerOnVM_Task", Object::new("")).unwrap();
    }
}

#[test]
fn machines_are_renamed_marked_and_destroyed() {
    let mut client = Client::logged_in(Preset::Esx);
    let machine = client.machine("twin-b");
    let path = read(&mut client, &machine, "config.files.vmPathName");
    run(&mut client, &machine, "Rename_Task", Object::new("").with("newName", "a%2fb")).unwrap();
    assert_eq!(read(&mut client, &machine, "name"), Some("a%2fb".into()));
    assert_eq!(read(&mut client, &machine, "config.files.vmPathName"), path);
    assert_eq!(client.model.machine("a/b"), Some(machine.clone()));
    assert_eq!(client.result(machine.clone(), "MarkAsTemplate", Object::new("")), Ok(None));
    assert_eq!(
        run(&mut client, &machine, "PowerOnVM_Task", Object::new("")),
        Err("NotSupported".to_owned())
    );
    let pool = Object::new("").with("pool", MoRef::new("ResourcePool", "ha-root-pool"));
    assert_eq!(client.result(machine.clone(), "MarkAsVirtualMachine", pool), Ok(None));
    run(&mut client, &machine, "PowerOnVM_Task", Object::new("")).unwrap();
    assert_eq!(
        client.result(machine.clone(), "UnregisterVM", Object::new("")),
        Err("InvalidPowerState".to_owned())
    );
    assert_eq!(
        run(&mut client, &machine, "Destroy_Task", Object::new("")),
        Err("InvalidPowerState".to_owned())
    );
    run(&mut client, &machine, "PowerOffVM_Task", Object::new("")).unwrap();
    run(&mut client, &machine, "Destroy_Task", Object::new("")).unwrap();
    assert_eq!(client.model.machine("a/b"), None);
}

#[test]
fn the_host_starts_machines_by_itself() {
    let mut client = Client::logged_in(Preset::Esx);
    let machine = client.machine("twin-b");
    let manager = MoRef::new("HostAutoStartManager", "ha-autostart-mgr");
    let entry = |machine: &MoRef, action: &str| {
        Object::new("AutoStartPowerInfo")
            .with("key", machine)
            .with("startOrder", -1)
            .with("startDelay", -1)
            .with(
                "waitForHeartbeat",
                Value::from(EnumValue::new("AutoStartWaitHeartbeatSetting", "systemDefault")),
            )
            .with("startAction", action)
            .with("stopDelay", -1)
            .with("stopAction", "systemDefault")
    };
    let set = |entries: Vec<Object>| {
        let entries = entries.into_iter().map(Value::from).collect();
        let defaults = Object::new("AutoStartDefaults").with("enabled", true);
        let spec = Object::new("HostAutoStartManagerConfig")
            .with("defaults", defaults)
            .with("powerInfo", Array::new("AutoStartPowerInfo", entries));
        Object::new("").with("spec", spec)
    };
    assert_eq!(
        client.result(
            manager.clone(),
            "ReconfigureAutostart",
            set(vec![entry(&machine, "powerOn")])
        ),
        Ok(None)
    );
    assert_eq!(read(&mut client, &manager, "config.defaults.enabled"), Some(true.into()));
    let host = client.model.hosts()[0].clone();
    assert_eq!(read(&mut client, &host, "config.autoStart.powerInfo").unwrap().items().len(), 1);
    assert_eq!(client.result(manager.clone(), "AutoStartPowerOn", Object::new("")), Ok(None));
    assert_eq!(client.model.power_state(&machine), Some(PowerState::PoweredOn));
    assert_eq!(client.result(manager.clone(), "AutoStartPowerOff", Object::new("")), Ok(None));
    assert_eq!(client.model.power_state(&machine), Some(PowerState::PoweredOff));
    let wrong = set(vec![entry(&machine, "fly")]);
    assert_eq!(
        client.result(manager.clone(), "ReconfigureAutostart", wrong),
        Err("InvalidArgument".to_owned())
    );
    client.result(machine, "UnregisterVM", Object::new("")).unwrap();
    assert_eq!(read(&mut client, &manager, "config.powerInfo").unwrap().items().len(), 0);
}

#[test]
fn machines_move_between_hosts() {
    let mut client = Client::logged_in(Preset::VCenter);
    let machine = client.machine("web01");
    let old = read(&mut client, &machine, "runtime.host").unwrap().as_moref().unwrap().clone();
    let compute = read(&mut client, &old, "parent").unwrap().as_moref().unwrap().clone();
    let hosts = read(&mut client, &compute, "host").unwrap();
    let other =
        hosts.items().iter().filter_map(Value::as_moref).find(|h| **h != old).unwrap().clone();
    let remote = client.machine("remote-vm");
    let far = read(&mut client, &remote, "runtime.host").unwrap().as_moref().unwrap().clone();
    let args = |host: &MoRef| {
        Object::new("").with("host", host).with(
            "priority",
            Value::from(EnumValue::new("VirtualMachineMovePriority", "defaultPriority")),
        )
    };
    let instance = MoRef::new("ServiceInstance", "ServiceInstance");
    let validate =
        |host: &MoRef| Object::new("").with("vm", tree::references([&machine])).with("host", host);
    assert_eq!(client.result(instance.clone(), "ValidateMigration", validate(&other)), Ok(None));
    run(&mut client, &machine, "MigrateVM_Task", args(&other)).unwrap();
    assert_eq!(read(&mut client, &machine, "runtime.host"), Some((&other).into()));
    // It does not see the machine's files.
    assert_eq!(
        run(&mut client, &machine, "MigrateVM_Task", args(&far)),
        Err("DatastoreNotWritableOnHost".to_owned())
    );
    client.model.set_maintenance_mode(&old, true);
    assert_eq!(
        run(&mut client, &machine, "MigrateVM_Task", args(&old)),
        Err("InvalidState".to_owned())
    );
    let events = client.result(instance, "ValidateMigration", validate(&old)).unwrap().unwrap();
    assert_eq!(events.items()[0].as_object().unwrap().type_name, "MigrationErrorEvent");

    let mut client = Client::logged_in(Preset::Esx);
    let machine = client.machine("web01");
    let host = client.model.hosts()[0].clone();
    assert_eq!(
        run(&mut client, &machine, "MigrateVM_Task", args(&host)),
        Err("NotSupported".to_owned())
    );
}
