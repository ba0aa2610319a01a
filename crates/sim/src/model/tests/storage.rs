//! Searches of datastores, virtual disks, adapters.

use super::*;
use crate::model::content::FileContent;

const DATASTORE: &str = "65a1b2c3-0d4e5f60-7a8b-000c29d1e2f3";

/// The result of a task, or its fault's name.
fn run(
    client: &mut Client,
    this: &MoRef,
    method: &str,
    args: Object,
) -> Result<Option<Value>, String> {
    let task = client.result(this.clone(), method, args)?.unwrap();
    let task = client.model.inventory.task(task.as_moref().unwrap()).unwrap().clone();
    match task.error {
        Some(fault) => Err(fault.detail.type_name.into_owned()),
        None => Ok(task.result),
    }
}

fn browser(client: &Client) -> MoRef {
    let store = MoRef::new("Datastore", DATASTORE);
    client.model.inventory.datastore(&store).unwrap().browser.clone()
}

fn flags(on: &[&'static str]) -> Object {
    let all = ["fileType", "fileSize", "modification", "fileOwner"];
    all.into_iter()
        .fold(Object::new("FileQueryFlags"), |flags, name| flags.with(name, on.contains(&name)))
}

fn spec(queries: Vec<Object>, patterns: &[&str], details: Object) -> Object {
    let queries = queries.into_iter().map(Value::from).collect();
    Object::new("HostDatastoreBrowserSearchSpec")
        .with("query", Array::new("FileQuery", queries))
        .with("details", details)
        .with("matchPattern", strings(patterns))
}

fn search(client: &mut Client, path: &str, spec: Object) -> Result<Vec<Object>, String> {
    let args = Object::new("").with("datastorePath", path).with("searchSpec", spec);
    let this = browser(client);
    let found = run(client, &this, "SearchDatastore_Task", args)?.unwrap();
    Ok(contents(found.as_object().unwrap().get("file").unwrap()))
}

fn paths(files: &[Object]) -> Vec<&str> {
    files.iter().map(|file| file.str("path").unwrap()).collect()
}

fn disk_details() -> Object {
    let names =
        ["diskType", "capacityKb", "hardwareVersion", "controllerType", "diskExtents", "thin"];
    names
        .into_iter()
        .fold(Object::new("VmDiskFileQueryFlags"), |flags, name| flags.with(name, true))
}

#[test]
fn queries_choose_and_describe_files() {
    let mut client = Client::logged_in(Preset::Esx);
    client.model.add_file("datastore1", "vm-00001/floppy.flp", &[0; 100]);
    client.model.add_file("datastore1", "vm-00001/vmware.log", b"log");
    let every =
        search(&mut client, "[datastore1] vm-00001", spec(vec![], &[], flags(&[]))).unwrap();
    assert!(paths(&every).contains(&"vm-00001-flat.vmdk"), "{:?}", paths(&every));
    assert!(
        every.iter().all(|file| file.type_name == "FileInfo" && file.get("fileSize").is_none())
    );

    for (query, expect, class) in [
        ("VmDiskFileQuery", "vm-00001.vmdk", "VmDiskFileInfo"),
        ("FloppyImageFileQuery", "floppy.flp", "FloppyImageFileInfo"),
        ("VmConfigFileQuery", "vm-00001.vmx", "VmConfigFileInfo"),
        ("VmLogFileQuery", "vmware.log", "VmLogFileInfo"),
        ("VmNvramFileQuery", "vm-00001.nvram", "VmNvramFileInfo"),
    ] {
        let spec = spec(vec![Object::new(query)], &[], flags(&["fileType"]));
        let found = search(&mut client, "[datastore1] vm-00001/", spec).unwrap();
        assert_eq!(paths(&found), [expect], "{query}");
        assert_eq!(found[0].type_name, class);
    }
    let folders = spec(vec![Object::new("FolderFileQuery")], &["iso"], flags(&["fileType"]));
    let found = search(&mut client, "[datastore1]", folders).unwrap();
    assert_eq!((paths(&found), found[0].type_name.as_ref()), (vec!["iso"], "FolderFileInfo"));
    // Two queries are united, patterns too.
    let both = vec![Object::new("VmDiskFileQuery"), Object::new("VmLogFileQuery")];
    let found = search(
        &mut client,
        "[datastore1] vm-00001",
        spec(both, &["*.log", "vm-0000?.*"], flags(&[])),
    )
    .unwrap();
    assert_eq!(paths(&found), ["vm-00001.vmdk", "vmware.log"]);
}

#[test]
fn disks_are_described_by_their_descriptors() {
    let mut client = Client::logged_in(Preset::Esx);
    let query = Object::new("VmDiskFileQuery").with("details", disk_details());
    let asked = || {
        spec(
            vec![query.clone()],
            &[],
            flags(&["fileType", "fileSize", "modification", "fileOwner"]),
        )
    };
    let found = search(&mut client, "[datastore1] vm-00001", asked()).unwrap();
    let disk = &found[0];
    assert_eq!(disk.str("diskType"), Some("VirtualDiskFlatVer2BackingInfo"));
    assert_eq!(disk.str("controllerType"), Some("ParaVirtualSCSIController"));
    assert_eq!(disk.str("owner"), Some("root"));
    assert!(disk.get("modification").is_some());
    let capacity = disk.get("capacityKb").and_then(Value::as_i64).unwrap();
    assert!(capacity > 1 << 20);
    // A thin disk takes what was written: three blocks.
    assert_eq!(disk.get("fileSize").and_then(Value::as_i64), Some(3 << 20));
    assert_eq!(disk.get("diskExtents").unwrap().items()[0].as_str(), Some("vm-00001-flat.vmdk"));
    // The filter.
    for (thin, count) in [(true, 1), (false, 0)] {
        let filter = Object::new("VmDiskFileQueryFilter").with("thin", thin);
        let query = Object::new("VmDiskFileQuery").with("filter", filter);
        let found =
            search(&mut client, "[datastore1] vm-00001", spec(vec![query], &[], flags(&[])))
                .unwrap();
        assert_eq!(found.len(), count, "{thin}");
    }
    // The chain of a snapshot's disk leads to the adapter.
    for disk in search(&mut client, "[datastore1] web01", asked()).unwrap() {
        assert_eq!(disk.str("controllerType"), Some("ParaVirtualSCSIController"), "{disk:?}");
    }
    // Without its descriptor, a data file is a disk that nothing is known of.
    client.model.add_content("datastore1", "lost-flat.vmdk", FileContent::hole(1 << 30));
    let found = search(&mut client, "[datastore1]", asked()).unwrap();
    assert_eq!(paths(&found), ["lost-flat.vmdk"]);
    assert_eq!(found[0].get("capacityKb"), None);
    assert_eq!(found[0].get("fileSize").and_then(Value::as_i64), Some(1 << 30));
}

#[test]
fn a_deep_search_has_a_result_for_each_folder() {
    let mut client = Client::logged_in(Preset::Esx);
    let spec = spec(vec![Object::new("IsoImageFileQuery")], &[], flags(&["fileType", "fileSize"]));
    let args = Object::new("").with("datastorePath", "[datastore1]").with("searchSpec", spec);
    let this = browser(&client);
    let found = run(&mut client, &this, "SearchDatastoreSubFolders_Task", args).unwrap().unwrap();
    let results = contents(&found);
    let folder = |path: &str| results.iter().find(|result| result.str("folderPath") == Some(path));
    assert!(folder("[datastore1]").is_some());
    assert!(folder("[datastore1] vm-00001/").is_some());
    assert_eq!(
        paths(&contents(folder("[datastore1] iso/").unwrap().get("file").unwrap())),
        ["debian-12.iso"]
    );
}

#[test]
fn searches_are_refused_where_nothing_can_be() {
    let mut client = Client::logged_in(Preset::Esx);
    let none = || spec(vec![], &[], flags(&[]));
    for (path, fault) in [
        ("[datastore1] nowhere", "FileNotFound"),
        ("[other]", "InvalidDatastore"),
        ("datastore1", "InvalidDatastorePath"),
        // The browser of one datastore does not see another one.
        ("[fast +1]", "InvalidDatastore"),
    ] {
        assert_eq!(search(&mut client, path, none()), Err(fault.to_owned()), "{path}");
    }
    client.model.set_datastore_accessible("datastore1", false);
    assert_eq!(
        search(&mut client, "[datastore1]", none()),
        Err("InaccessibleDatastore".to_owned())
    );
}

/// Calls a method of the disk manager that gives a task.
fn disks(client: &mut Client, method: &str, args: Object) -> Result<(), String> {
    let manager = client.manager("virtualDiskManager");
    run(client, &manager, method, args).map(|_| ())
}

fn create(name: &str, kind: &str, kib: i64) -> Object {
    let spec = Object::new("FileBackedVirtualDiskSpec")
        .with("diskType", kind)
        .with("adapterType", "busLogic")
        .with("capacityKb", kib);
    Object::new("").with("name", name).with("spec", spec)
}

fn named(name: &str) -> Object {
    Object::new("").with("name", name)
}

#[test]
fn disks_are_made_copied_changed_and_deleted() {
    let mut client = Client::logged_in(Preset::Esx);
    let sizes = |client: &Client, path: &str| {
        client
            .model
            .file("datastore1", path)
            .map(|file| (file.content.size(), file.content.allocated()))
    };
    disks(&mut client, "CreateVirtualDisk_Task", create("[datastore1] iso/a.vmdk", "thin", 4096))
        .unwrap();
    assert_eq!(sizes(&client, "iso/a-flat.vmdk"), Some((4 << 20, 0)));
    disks(
        &mut client,
        "CreateVirtualDisk_Task",
        create("[datastore1] b.vmdk", "eagerZeroedThick", 4096),
    )
    .unwrap();
    assert_eq!(sizes(&client, "b-flat.vmdk"), Some((4 << 20, 4 << 20)));
    for (args, fault) in [
        (create("[datastore1] b.vmdk", "thin", 1), "FileAlreadyExists"),
        (create("[datastore1] no/b.vmdk", "thin", 1), "FileNotFound"),
        (create("[datastore1] c.img", "thin", 1), "InvalidName"),
        (create("[datastore1] c.vmdk", "sparse", 1), "InvalidArgument"),
        (create("[datastore1] c.vmdk", "thin", 0), "InvalidArgument"),
        (create("[datastore1] c.vmdk", "preallocated", 5 << 30), "NoDiskSpace"),
        (create("[nfs-lost] c.vmdk", "thin", 1), "InaccessibleDatastore"),
    ] {
        assert_eq!(
            disks(&mut client, "CreateVirtualDisk_Task", args),
            Err(fault.to_owned()),
            "{fault}"
        );
    }

    let copy = Object::new("")
        .with("sourceName", "[datastore1] iso/a.vmdk")
        .with("destName", "[fast +1] c.vmdk");
    disks(&mut client, "CopyVirtualDisk_Task", copy.clone()).unwrap();
    assert_eq!(
        disks(&mut client, "CopyVirtualDisk_Task", copy),
        Err("FileAlreadyExists".to_owned())
    );
    assert_eq!(client.model.file("fast +1", "c-flat.vmdk").unwrap().content.size(), 4 << 20);

    let extend = |kib: i64| named("[datastore1] iso/a.vmdk").with("newCapacityKb", kib);
    disks(&mut client, "ExtendVirtualDisk_Task", extend(8192)).unwrap();
    assert_eq!(sizes(&client, "iso/a-flat.vmdk"), Some((8 << 20, 0)));
    assert_eq!(
        disks(&mut client, "ExtendVirtualDisk_Task", extend(8192)),
        Err("InvalidArgument".to_owned())
    );
    disks(&mut client, "ZeroFillVirtualDisk_Task", named("[datastore1] iso/a.vmdk")).unwrap();
    assert_eq!(sizes(&client, "iso/a-flat.vmdk"), Some((8 << 20, 8 << 20)));

    disks(&mut client, "DeleteVirtualDisk_Task", named("[datastore1] iso/a.vmdk")).unwrap();
    assert_eq!((sizes(&client, "iso/a.vmdk"), sizes(&client, "iso/a-flat.vmdk")), (None, None));
    for (name, fault) in [
        ("[datastore1] iso/a.vmdk", "FileNotFound"),
        ("[datastore1] web01/web01.vmdk", "FileLocked"),
        ("[datastore1] iso/debian-12.iso", "InvalidDiskFormat"),
    ] {
        assert_eq!(
            disks(&mut client, "DeleteVirtualDisk_Task", named(name)),
            Err(fault.to_owned()),
            "{name}"
        );
    }
}

#[test]
fn disks_have_uuids_that_machines_know_too() {
    let mut client = Client::logged_in(Preset::Esx);
    disks(&mut client, "CreateVirtualDisk_Task", create("[datastore1] b.vmdk", "thin", 4096))
        .unwrap();
    let manager = client.manager("virtualDiskManager");
    let mut uuid = |name: &str| {
        let found = client.result(manager.clone(), "QueryVirtualDiskUuid", named(name));
        found.map(|uuid| uuid.unwrap().as_str().unwrap().to_owned())
    };
    assert!(uuid("[datastore1] b.vmdk").unwrap().starts_with("60 00 c2 9"));
    let web = uuid("[datastore1] web01/web01.vmdk").unwrap();
    assert_eq!(uuid("[datastore1] c.vmdk"), Err("FileNotFound".to_owned()));
    let machine = client.machine("web01");
    let devices = filter(properties("VirtualMachine", &["config.hardware.device"]), root(&machine));
    let row = &client.retrieve(devices).unwrap()[0];
    let devices = value(row, "config.hardware.device").unwrap();
    let known = devices
        .items()
        .iter()
        .filter_map(Value::as_object)
        .find_map(|device| Some(device.get_path("backing.uuid")?.as_str()?.replace('-', "")));
    assert_eq!(known.unwrap(), web.replace([' ', '-'], ""));
}

#[test]
fn adapters_targets_and_luns_belong_together() {
    let mut client = Client::logged_in(Preset::Esx);
    let host = client.model.hosts()[0].clone();
    let info = |client: &mut Client| {
        let spec = filter(properties("HostSystem", &["config.storageDevice"]), root(&host));
        let found = client.retrieve(spec).unwrap();
        value(&found[0], "config.storageDevice").unwrap().as_object().unwrap().clone()
    };
    let found = info(&mut client);
    let keys: Vec<String> = found
        .get("scsiLun")
        .unwrap()
        .items()
        .iter()
        .map(|lun| lun.as_object().unwrap().str("key").unwrap().to_owned())
        .collect();
    for interface in found.get_path("scsiTopology.adapter").unwrap().items() {
        for target in interface.as_object().unwrap().get("target").unwrap().items() {
            for lun in target.as_object().unwrap().get("lun").unwrap().items() {
                let key = lun.as_object().unwrap().str("scsiLun").unwrap();
                assert!(keys.iter().any(|known| known == key), "{key}");
            }
        }
    }
    let system = client
        .model
        .inventory
        .host(&host)
        .unwrap()
        .managers
        .iter()
        .find(|m| m.kind == "HostStorageSystem")
        .unwrap()
        .clone();
    let rescan = |client: &mut Client, device: &str| {
        client
            .result(system.clone(), "RescanHba", Object::new("").with("hbaDevice", device))
            .map(|_| ())
    };
    rescan(&mut client, "vmhba64").unwrap();
    assert_eq!(rescan(&mut client, "vmhba7"), Err("NotFound".to_owned()));
    assert!(client.model.break_adapter(&host, "vmhba64"));
    assert!(client.model.add_adapter(&host, "HostPcieHba", "vmhba3"));
    assert_eq!(rescan(&mut client, "vmhba64"), Err("HostConfigFault".to_owned()));
    let adapters = info(&mut client).get("hostBusAdapter").unwrap().items().to_vec();
    assert_eq!(adapters[0].as_object().unwrap().type_name, "HostPcieHba");
}
