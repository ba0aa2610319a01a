//! Storage pools and volumes on the simulated host: what is told, what is changed, and how many requests that takes.

use crate::common::{connect, methods};
use esx_driver::Connection;
use esx_sim::{FileContent, Preset, Running, Simulator};
use tokio::task::JoinHandle;
use virt_api::{
    ErrorCode, ListAllStoragePoolsFlags as Filter, NoFlags, Storage as _, StoragePool,
    StoragePoolState, StorageVol, StorageVolCreateFlags as Create, StorageVolDeleteFlags as Delete,
    StorageVolResizeFlags as Resize, StorageVolType, StorageXmlFlags,
};

const NONE: NoFlags = NoFlags::empty();

async fn host() -> (Running, Connection) {
    let sim = Simulator::builder().vms(3).start().await.unwrap();
    let connection = connect(&sim, "").await;
    sim.reset_journal();
    (sim, connection)
}

async fn pool(connection: &Connection, name: &str) -> StoragePool {
    connection.storage_pool_lookup_by_name(name).await.unwrap()
}

fn disk(name: &str, kib: u64, more: &str) -> String {
    format!("<volume><name>{name}</name><capacity unit='KiB'>{kib}</capacity>{more}</volume>")
}

const THIN: &str = "<allocation>0</allocation>";

#[tokio::test]
async fn pools_are_found_in_every_way() {
    let (_sim, connection) = host().await;
    let all = connection.connect_list_storage_pool_details(Filter::empty()).await.unwrap();
    let names: Vec<_> = all.iter().map(|listed| listed.pool.name.as_str()).collect();
    for name in [
        "datastore1",
        "fast +1",
        "nfs-iso",
        "odd (50%2f)",
        "local (1)",
        "vsanDatastore",
        "nfs-lost",
    ] {
        assert!(names.contains(&name), "{name} in {names:?}");
    }
    assert!(names.contains(&"iqn.2001-05.com.example:target.lun0"));
    assert_eq!(connection.connect_num_of_storage_pools().await.unwrap() as usize, all.len());
    assert_eq!(connection.connect_list_storage_pools(2).await.unwrap(), names[..2]);
    for listed in &all {
        let pool = &listed.pool;
        assert_eq!(&connection.storage_pool_lookup_by_name(&pool.name).await.unwrap(), pool);
        assert_eq!(&connection.storage_pool_lookup_by_uuid(pool.uuid).await.unwrap(), pool);
        assert_eq!(connection.storage_pool_get_info(pool).await.unwrap(), listed.info, "{pool:?}");
        let xml =
            connection.storage_pool_get_xml_desc(pool, StorageXmlFlags::empty()).await.unwrap();
        let read = virt_xml::storage::StoragePool::parse(&xml).unwrap();
        assert_eq!(
            (read.name, read.uuid, read.capacity),
            (pool.name.clone(), Some(pool.uuid), listed.info.capacity)
        );
        if let Some(path) = read.target_path {
            assert_eq!(&connection.storage_pool_lookup_by_target_path(&path).await.unwrap(), pool);
        }
        let lost = pool.name == "nfs-lost";
        let state = if lost { StoragePoolState::Inaccessible } else { StoragePoolState::Running };
        assert_eq!(listed.info.state, state, "{pool:?}");
    }
    for name in ["nothing", "datastore1 "] {
        let error = connection.storage_pool_lookup_by_name(name).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::NoStoragePool, "{name}");
    }
    let by_name =
        connection.storage_pool_lookup_by_target_path("/vmfs/volumes/fast +1/").await.unwrap();
    assert_eq!(by_name.name, "fast +1");
    let iscsi = connection.connect_list_all_storage_pools(Filter::ISCSI).await.unwrap();
    assert_eq!(iscsi.len(), 2);
    assert!(connection.connect_list_all_storage_pools(Filter::INACTIVE).await.unwrap().is_empty());
}

#[tokio::test]
async fn documents_of_pools() {
    let (_sim, connection) = host().await;
    for name in [
        "datastore1",
        "nfs-iso",
        "vsanDatastore",
        "nfs-lost",
        "iqn.2001-05.com.example:target.lun0",
        "iqn.2001-05.com.example:target.big",
    ] {
        let pool = pool(&connection, name).await;
        let xml =
            connection.storage_pool_get_xml_desc(&pool, StorageXmlFlags::empty()).await.unwrap();
        insta::assert_snapshot!(format!("pool_{}", name.replace([':', '.'], "_")), xml);
    }
}

#[tokio::test]
async fn listing_pools_takes_one_request() {
    let (sim, connection) = host().await;
    connection.connect_list_storage_pools(1).await.unwrap();
    sim.reset_journal();
    connection.connect_list_storage_pool_details(Filter::empty()).await.unwrap();
    assert_eq!(methods(&sim), ["RetrievePropertiesEx"]);
    let pool = pool(&connection, "datastore1").await;
    assert_eq!(methods(&sim), ["RetrievePropertiesEx"]);
    connection.storage_pool_get_info(&pool).await.unwrap();
    assert_eq!(methods(&sim), ["RetrievePropertiesEx"]);
    connection.storage_pool_refresh(&pool, NONE).await.unwrap();
    assert_eq!(methods(&sim), ["RetrievePropertiesEx", "RefreshDatastore"]);
}

#[tokio::test]
async fn two_thousand_volumes_take_as_many_requests_as_two() {
    let mut counts = Vec::new();
    for volumes in [2, 2000] {
        let sim = Simulator::builder().volumes(volumes).start().await.unwrap();
        let connection = connect(&sim, "").await;
        let pool = pool(&connection, "bulk").await;
        connection.storage_pool_num_of_volumes(&pool).await.unwrap();
        sim.reset_journal();
        let listed = connection.storage_pool_list_volume_details(&pool, NONE).await.unwrap();
        let asked = methods(&sim);
        // The file on every datastore, too.
        assert_eq!(listed.len(), volumes as usize + 1);
        let disks: Vec<_> = listed.iter().filter(|l| l.volume.name.starts_with("set-")).collect();
        assert!(
            disks.iter().all(|l| l.info.capacity >= 1 << 20 && l.info.kind == StorageVolType::File)
        );
        assert!(
            disks.iter().any(|l| l.info.allocation == 0)
                && disks.iter().any(|l| l.info.allocation == l.info.capacity)
        );
        assert_eq!(
            asked.iter().filter(|m| m.starts_with("SearchDatastore")).count(),
            1,
            "{asked:?}"
        );
        counts.push(asked.len());
    }
    assert_eq!(counts[0], counts[1]);
    assert!(counts[1] <= 5, "{counts:?}");
}

#[tokio::test]
async fn volumes_are_found_in_every_way() {
    let (sim, connection) = host().await;
    let store = pool(&connection, "datastore1").await;
    let listed = connection.storage_pool_list_volume_details(&store, NONE).await.unwrap();
    assert!(
        listed
            .iter()
            .all(|l| !l.volume.name.contains("-flat") && !l.volume.name.contains("sesparse"))
    );
    for entry in listed.iter().take(12) {
        let name = &entry.volume.name;
        let by_name = connection.storage_vol_lookup_by_name(&store, name).await.unwrap();
        assert_eq!((&by_name.pool, &by_name.name), (&store.name, name));
        if name.ends_with(".vmdk") {
            assert!(virt_xml::parse_uuid(&by_name.key).is_some(), "{by_name:?}");
        }
        assert_eq!(connection.storage_vol_lookup_by_path(&entry.path).await.unwrap(), by_name);
        assert_eq!(
            connection.storage_vol_lookup_by_key(&entry.volume.key).await.unwrap().name,
            *name
        );
        assert_eq!(
            connection.storage_vol_get_info(&entry.volume).await.unwrap(),
            entry.info,
            "{name}"
        );
        assert_eq!(connection.storage_pool_lookup_by_volume(&entry.volume).await.unwrap(), store);
    }
    // By mount path, and by the UUID of a disk.
    let web = connection.storage_vol_lookup_by_path("[datastore1] web01/web01.vmdk").await.unwrap();
    for path in [
        "[datastore1]web01/web01.vmdk",
        // The handle is not taken for that of a LUN.
        "[datastore1] /web01/web01.vmdk",
        "/vmfs/volumes/65a1b2c3-0d4e5f60-7a8b-000c29d1e2f3/web01/web01.vmdk",
        "/vmfs/volumes/datastore1/web01/web01.vmdk",
    ] {
        assert_eq!(connection.storage_vol_lookup_by_path(path).await.unwrap(), web, "{path}");
    }
    assert_eq!(
        connection
            .storage_vol_lookup_by_key(&web.key.to_uppercase())
            .await
            .unwrap()
            .name
            .split('/')
            .next(),
        Some("web01")
    );

    sim.model().change(|model| model.add_file("datastore1", "iso/a?b*.iso", b"x"));
    for (path, code) in [
        ("[datastore1] no/web01.vmdk", ErrorCode::NoStorageVol),
        ("[datastore1] web01/no.vmdk", ErrorCode::NoStorageVol),
        ("[datastore1] no/a.iso", ErrorCode::NoStorageVol),
        // A wildcard is no name.
        ("[datastore1] iso/debian-1?.iso", ErrorCode::NoStorageVol),
        ("[nothing] web01/web01.vmdk", ErrorCode::NoStoragePool),
        ("web01.vmdk", ErrorCode::InvalidArg),
        ("[]", ErrorCode::InvalidArg),
        ("/vmfs/devices/disks/naa.0", ErrorCode::NoStorageVol),
    ] {
        let error = connection.storage_vol_lookup_by_path(path).await.unwrap_err();
        assert_eq!(error.code, code, "{path}: {error}");
    }
    let odd = connection.storage_vol_lookup_by_path("[datastore1] iso/a?b*.iso").await.unwrap();
    assert_eq!(connection.storage_vol_get_info(&odd).await.unwrap().capacity, 1);
    let error = connection
        .storage_vol_lookup_by_key("00000000-0000-0000-0000-000000000001")
        .await
        .unwrap_err();
    assert_eq!(error.code, ErrorCode::NoStorageVol);
}

#[tokio::test]
async fn a_disk_is_looked_up_in_one_request() {
    let (sim, connection) = host().await;
    let store = pool(&connection, "datastore1").await;
    sim.reset_journal();
    connection.storage_vol_lookup_by_name(&store, "web01/web01.vmdk").await.unwrap();
    assert_eq!(methods(&sim), ["QueryVirtualDiskUuid"]);
}

#[tokio::test]
async fn disks_are_made_described_changed_and_deleted() {
    let (sim, connection) = host().await;
    let store = pool(&connection, "datastore1").await;
    let create =
        async |xml: String, flags| connection.storage_vol_create_xml(&store, &xml, flags).await;
    // Directories are made, and named as they are.
    let thin = create(disk("new/50% a+b/ü (1).vmdk", 4096, THIN), Create::empty()).await.unwrap();
    assert_eq!(thin.name, "new/50% a+b/ü (1).vmdk");
    let info = connection.storage_vol_get_info(&thin).await.unwrap();
    assert_eq!((info.capacity, info.allocation), (4 << 20, 0));
    let xml = connection.storage_vol_get_xml_desc(&thin, NONE).await.unwrap();
    assert_eq!(
        xml,
        format!(
            "<volume type='file'>
  <name>new/50% a+b/ü (1).vmdk</name>
  <key>{}</key>
  <capacity unit='bytes'>4194304</capacity>
  <allocation unit='bytes'>0</allocation>
  <target>
    <path>[datastore1] new/50% a+b/ü (1).vmdk</path>
    <format type='vmdk'/>
  </target>
</volume>
",
            thin.key
        )
    );
    assert_eq!(
        connection.storage_vol_get_path(&thin).await.unwrap(),
        "[datastore1] new/50% a+b/ü (1).vmdk"
    );
    let text = |path: &str| {
        let file = sim.model().read(|model| model.file("datastore1", path)).unwrap();
        String::from_utf8(file.content.read(0, 4096).to_vec()).unwrap()
    };
    // Thick, zeroed at once, and for another adapter.
    let thick = create(
        disk("thick.vmdk", 4096, "<disk xmlns='urn:virtesx:volume:1' adapter='busLogic'/>"),
        Create::PREALLOC_METADATA,
    )
    .await
    .unwrap();
    assert_eq!(connection.storage_vol_get_info(&thick).await.unwrap().allocation, 4 << 20);
    assert!(text("thick.vmdk").contains("ddb.adapterType = \"buslogic\""));

    for (xml, code) in [
        (disk("thick.vmdk", 4096, THIN), ErrorCode::StorageVolExist),
        (disk("a.img", 4096, THIN), ErrorCode::NoSupport),
        (disk("a.vmdk", 4096, "<allocation>5</allocation>"), ErrorCode::ConfigUnsupported),
        (disk("../a.vmdk", 4096, THIN), ErrorCode::InvalidArg),
        (disk("a.vmdk", 5 << 30, ""), ErrorCode::OperationFailed),
        ("<volume><capacity>1</capacity></volume>".to_owned(), ErrorCode::XmlError),
        ("<volume".to_owned(), ErrorCode::XmlDetail),
        (disk("a.vmdk", 4096, "<target><format type='raw'/></target>"), ErrorCode::NoSupport),
    ] {
        let error = create(xml.clone(), Create::empty()).await.unwrap_err();
        assert_eq!(error.code, code, "{xml}: {error}");
    }
    // An element that libvirt does not know is read over unless the document is to be checked.
    let misspelt = disk("a.vmdk", 4096, "<alocation>0</alocation>");
    let error = create(misspelt.clone(), Create::VALIDATE).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::XmlInvalidSchema);
    assert!(error.to_string().contains("/volume/alocation"), "{error}");
    assert!(sim.model().read(|model| model.file("datastore1", "a.vmdk")).is_none());
    let volume = create(disk("valid.vmdk", 4096, THIN), Create::VALIDATE).await.unwrap();
    connection.storage_vol_delete(&volume, Delete::empty()).await.unwrap();

    // Larger, filled with zeros, copied to another datastore, deleted.
    connection.storage_vol_resize(&thin, 8 << 20, Resize::empty()).await.unwrap();
    connection.storage_vol_resize(&thin, 1 << 20, Resize::DELTA).await.unwrap();
    assert_eq!(connection.storage_vol_get_info(&thin).await.unwrap().capacity, 9 << 20);
    for (bytes, flags, code) in [
        (1 << 20, Resize::empty(), ErrorCode::InvalidArg),
        (1 << 20, Resize::SHRINK, ErrorCode::OperationUnsupported),
        (u64::MAX, Resize::DELTA, ErrorCode::InvalidArg),
    ] {
        assert_eq!(
            connection.storage_vol_resize(&thin, bytes, flags).await.unwrap_err().code,
            code
        );
    }
    connection.storage_vol_wipe(&thin, NONE).await.unwrap();
    assert_eq!(connection.storage_vol_get_info(&thin).await.unwrap().allocation, 9 << 20);
    assert_eq!(
        connection.storage_vol_wipe_pattern(&thin, 1, NONE).await.unwrap_err().code,
        ErrorCode::ArgumentUnsupported
    );

    let other = pool(&connection, "fast +1").await;
    let copy = connection
        .storage_vol_create_xml_from(&other, &disk("copies/c.vmdk", 1, ""), &thin, Create::empty())
        .await
        .unwrap();
    assert_eq!(connection.storage_vol_get_info(&copy).await.unwrap().capacity, 9 << 20);
    assert_ne!(copy.key, thin.key);
    for volume in [&thin, &thick, &copy] {
        connection.storage_vol_delete(volume, Delete::empty()).await.unwrap();
        assert_eq!(
            connection.storage_vol_get_info(volume).await.unwrap_err().code,
            ErrorCode::NoStorageVol
        );
        assert_eq!(
            connection.storage_vol_delete(volume, Delete::empty()).await.unwrap_err().code,
            ErrorCode::NoStorageVol
        );
    }
}

#[tokio::test]
async fn creating_takes_few_requests() {
    let (sim, connection) = host().await;
    let store = pool(&connection, "datastore1").await;
    connection
        .storage_vol_create_xml(&store, &disk("a.vmdk", 1, THIN), Create::empty())
        .await
        .unwrap();
    sim.reset_journal();
    connection
        .storage_vol_create_xml(&store, &disk("new/a.vmdk", 1, THIN), Create::empty())
        .await
        .unwrap();
    let asked = methods(&sim);
    assert_eq!(asked.len(), 6, "{asked:?}");
    assert_eq!((asked[0].as_str(), asked[5].as_str()), ("MakeDirectory", "QueryVirtualDiskUuid"));
}

#[tokio::test]
async fn images_and_directories_are_volumes_too() {
    let (sim, connection) = host().await;
    let store = pool(&connection, "datastore1").await;
    let by_name = async |name: &str| connection.storage_vol_lookup_by_name(&store, name).await;
    let iso = by_name("iso/debian-12.iso").await.unwrap();
    assert_eq!(iso.key, "[datastore1] iso/debian-12.iso");
    let xml = connection.storage_vol_get_xml_desc(&iso, NONE).await.unwrap();
    assert!(xml.contains("<format type='iso'/>"), "{xml}");
    let copy = disk("iso/copy.iso", 0, "");
    let copy =
        connection.storage_vol_create_xml_from(&store, &copy, &iso, Create::empty()).await.unwrap();
    connection.storage_vol_delete(&copy, Delete::empty()).await.unwrap();
    assert_eq!(by_name("iso/copy.iso").await.unwrap_err().code, ErrorCode::NoStorageVol);

    let folder = "<volume type='dir'><name>a/b</name></volume>";
    let folder = connection.storage_vol_create_xml(&store, folder, Create::empty()).await.unwrap();
    assert_eq!(connection.storage_vol_get_info(&folder).await.unwrap().kind, StorageVolType::Dir);
    let xml = connection.storage_vol_get_xml_desc(&folder, NONE).await.unwrap();
    assert!(xml.starts_with("<volume type='dir'>"), "{xml}");
    // A directory with anything in it stays.
    sim.model().change(|model| model.add_file("datastore1", "a/b/notes.txt", b"x"));
    let error = connection.storage_vol_delete(&folder, Delete::empty()).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::OperationInvalid);
    sim.model().change(|model| model.remove_file("datastore1", "a/b/notes.txt"));
    connection.storage_vol_delete(&folder, Delete::empty()).await.unwrap();
    // What is no volume is not deleted either.
    let notes = StorageVol {
        pool: store.name.clone(),
        name: "web01/web01.nvram".into(),
        key: String::new(),
    };
    assert_eq!(
        connection.storage_vol_delete(&notes, Delete::empty()).await.unwrap_err().code,
        ErrorCode::NoStorageVol
    );
}

#[tokio::test]
async fn luns_are_volumes_of_their_targets() {
    let (sim, connection) = host().await;
    let target = pool(&connection, "iqn.2001-05.com.example:target.lun0").await;
    let listed = connection.storage_pool_list_volume_details(&target, NONE).await.unwrap();
    assert_eq!(listed.len(), 2);
    let first = &listed[0];
    assert_eq!(first.info.kind, StorageVolType::Block);
    assert_eq!(first.info.capacity, 10 << 30);
    assert_eq!(
        connection.storage_vol_lookup_by_name(&target, &first.volume.name).await.unwrap(),
        first.volume
    );
    assert_eq!(connection.storage_vol_lookup_by_path(&first.path).await.unwrap(), first.volume);
    assert_eq!(
        connection.storage_vol_lookup_by_key(&first.volume.key).await.unwrap(),
        first.volume
    );
    assert_eq!(connection.storage_vol_get_info(&first.volume).await.unwrap(), first.info);
    let xml = connection.storage_vol_get_xml_desc(&first.volume, NONE).await.unwrap();
    assert!(xml.contains(&format!("<path>{}</path>\n  </target>", first.path)), "{xml}");
    // A LUN of another target is not in this pool.
    let big = pool(&connection, "iqn.2001-05.com.example:target.big").await;
    let error = connection.storage_vol_lookup_by_name(&big, &first.volume.name).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::NoStorageVol);
    assert_eq!(
        connection.storage_vol_delete(&first.volume, Delete::empty()).await.unwrap_err().code,
        ErrorCode::NoSupport
    );
    let xml = disk("a.vmdk", 1, THIN);
    assert_eq!(
        connection.storage_vol_create_xml(&target, &xml, Create::empty()).await.unwrap_err().code,
        ErrorCode::NoSupport
    );
    sim.reset_journal();
    connection.storage_pool_refresh(&target, NONE).await.unwrap();
    assert_eq!(methods(&sim), ["RetrievePropertiesEx", "RescanHba"]);
}

#[tokio::test]
async fn what_is_broken_spoils_nothing_else() {
    let (sim, connection) = host().await;
    let before = connection.connect_list_storage_pools(99).await.unwrap();
    let host = sim.model().read(|model| model.hosts()[0].clone());
    sim.model().change(|model| {
        // Classes that libvirt does not know, and one that nobody knows.
        model.add_adapter(&host, "HostPcieHba", "vmhba7");
        model.add_adapter(&host, "HostSomethingOfVersion99Hba", "vmhba8");
        model.add_iscsi_adapter(&host, "vmhba65", "iqn.2020-01.com.example:second");
        model.break_adapter(&host, "vmhba64");
        model.set_datastore_accessible("datastore1", false);
    });
    let after = connection.connect_list_storage_pool_details(Filter::empty()).await.unwrap();
    let names: Vec<_> = after.iter().map(|listed| listed.pool.name.clone()).collect();
    let mut expected: Vec<_> = before.into_iter().filter(|name| !name.starts_with("iqn")).collect();
    expected.push("iqn.2020-01.com.example:second".to_owned());
    assert_eq!(names, expected);
    let second = pool(&connection, "iqn.2020-01.com.example:second").await;
    assert_eq!(connection.storage_pool_num_of_volumes(&second).await.unwrap(), 1);
    let store = pool(&connection, "datastore1").await;
    assert_eq!(
        connection.storage_pool_get_info(&store).await.unwrap().state,
        StoragePoolState::Inaccessible
    );
    let error = connection.storage_pool_num_of_volumes(&store).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::OperationInvalid);
    // A property that may not be read at all.
    sim.model().change(|model| model.deny_property(&host, "config.storageDevice"));
    let rest = connection.connect_list_storage_pools(99).await.unwrap();
    assert_eq!(rest, names[..names.len() - 1]);
    // The summary of one datastore.
    let moref = sim.model().read(|model| model.datastore("fast +1")).unwrap();
    sim.model().change(|model| model.deny_property(&moref, "summary"));
    let listed = connection.connect_list_storage_pool_details(Filter::empty()).await.unwrap();
    let odd = listed.iter().find(|listed| listed.pool.name == "fast +1").unwrap();
    assert!(odd.problem.is_some());
    // All of it: then its reference stands for its name, and it still is no target.
    sim.model().change(|model| {
        for property in ["browser", "host", "info", "name"] {
            model.deny_property(&moref, property);
        }
    });
    let hidden = pool(&connection, &moref.value).await;
    let info = connection.storage_pool_get_info(&hidden).await.unwrap();
    assert_eq!(info.state, StoragePoolState::Inaccessible);
    assert_eq!(connection.storage_pool_lookup_by_uuid(hidden.uuid).await.unwrap(), hidden);
}

#[tokio::test]
async fn faults_have_fitting_codes() {
    let (sim, connection) = host().await;
    let store = pool(&connection, "datastore1").await;
    let volume = connection
        .storage_vol_create_xml(&store, &disk("a.vmdk", 1024, THIN), Create::empty())
        .await
        .unwrap();
    sim.model().change(|model| model.lock_file("datastore1", "a-flat.vmdk", true));
    assert_eq!(
        connection.storage_vol_delete(&volume, Delete::empty()).await.unwrap_err().code,
        ErrorCode::ResourceBusy
    );
    sim.model().change(|model| model.lock_file("datastore1", "a-flat.vmdk", false));
    sim.model().change(|model| model.set_free_space("datastore1", 1 << 20));
    let full = connection
        .storage_vol_create_xml(&store, &disk("b.vmdk", 8192, ""), Create::empty())
        .await
        .unwrap_err();
    assert_eq!(full.code, ErrorCode::OperationFailed);
    assert!(full.chain().any(|line| line.contains("NoDiskSpace")), "{full:?}");
    // A disk without its descriptor is listed, with what it takes.
    sim.model().change(|model| {
        model.add_content("datastore1", "lost-flat.vmdk", FileContent::hole(5 << 20));
    });
    let listed = connection.storage_pool_list_volume_details(&store, NONE).await.unwrap();
    let lost = listed.iter().find(|l| l.volume.name == "lost-flat.vmdk").unwrap();
    assert_eq!(lost.info.capacity, 5 << 20);
    // A free licence and a read-only connection change nothing.
    sim.model().change(|model| model.set_free_license(true));
    assert_eq!(
        connection.storage_vol_wipe(&volume, NONE).await.unwrap_err().code,
        ErrorCode::OperationDenied
    );
    let mut options = crate::common::options(sim.password());
    options.read_only = true;
    let reader = esx_driver::open(&sim.uri(), options).await.unwrap();
    sim.reset_journal();
    for result in [
        reader.storage_vol_delete(&volume, Delete::empty()).await,
        reader.storage_vol_wipe(&volume, NONE).await,
        reader.storage_vol_resize(&volume, 1, Resize::empty()).await,
        reader.storage_pool_refresh(&store, NONE).await,
    ] {
        assert_eq!(result.unwrap_err().code, ErrorCode::OperationDenied);
    }
    assert!(methods(&sim).is_empty());
}

#[tokio::test]
async fn a_renamed_datastore_is_found_again() {
    let (sim, connection) = host().await;
    let store = pool(&connection, "datastore1").await;
    let before = connection.storage_pool_num_of_volumes(&store).await.unwrap();
    sim.model().change(|model| model.rename_datastore("datastore1", "renamed"));
    let error = connection.storage_pool_num_of_volumes(&store).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::NoStoragePool);
    assert_eq!(
        connection.storage_pool_get_info(&store).await.unwrap_err().code,
        ErrorCode::NoStoragePool
    );
    let renamed = pool(&connection, "renamed").await;
    assert_eq!(renamed.uuid, store.uuid);
    assert_eq!(connection.storage_pool_num_of_volumes(&renamed).await.unwrap(), before);
}

/// A volume is being created; the task waits to be pushed.
async fn creation_under_way(
    sim: &Running,
    connection: &Connection,
    store: &StoragePool,
) -> JoinHandle<virt_api::Result<StorageVol>> {
    let (connection, store) = (connection.clone(), store.clone());
    let creation = tokio::spawn(async move {
        let xml = disk("a.vmdk", 1024, THIN);
        connection.storage_vol_create_xml(&store, &xml, Create::empty()).await
    });
    sim.until(|model| !model.unfinished_tasks().is_empty()).await;
    creation
}

#[tokio::test]
async fn who_goes_away_cancels_the_task() {
    let (sim, connection) = host().await;
    let store = pool(&connection, "datastore1").await;
    sim.model().change(esx_sim::model::Model::hold_tasks);
    let creation = creation_under_way(&sim, &connection, &store).await;
    let task = sim.model().read(|model| model.unfinished_tasks()[0].clone());
    // Only once the reply has come is there something to cancel.
    sim.until(|model| model.session_count() > 0).await;
    while !sim.journal().iter().any(|entry| entry.method == "CreateFilter") {
        tokio::task::yield_now().await;
    }
    creation.abort();
    assert!(creation.await.is_err());
    sim.until(|model| model.unfinished_tasks().is_empty()).await;
    assert_eq!(sim.model().read(|model| model.task_state(&task)), Some(esx_sim::TaskState::Error));
    assert!(sim.model().read(|model| model.file("datastore1", "a.vmdk")).is_none());
}

#[tokio::test]
async fn a_wait_survives_the_end_of_the_session() {
    let (sim, connection) = host().await;
    let store = pool(&connection, "datastore1").await;
    sim.model().change(esx_sim::model::Model::hold_tasks);
    let creation = creation_under_way(&sim, &connection, &store).await;
    sim.model().change(|model| {
        model.expire_sessions();
        model.release_tasks();
    });
    let volume = creation.await.unwrap().unwrap();
    assert_eq!(volume.name, "a.vmdk");
    let started = sim.journal().iter().filter(|e| e.method == "CreateVirtualDisk_Task").count();
    assert_eq!(started, 1);
}

#[tokio::test]
async fn a_vcenter_shows_its_hosts_datastores() {
    let sim = Simulator::builder().preset(Preset::VCenter).start().await.unwrap();
    let connection = connect(&sim, "").await;
    let names = connection.connect_list_storage_pools(99).await.unwrap();
    assert!(
        names.contains(&"shared".to_owned()) && !names.contains(&"remote".to_owned()),
        "{names:?}"
    );
    let shared = pool(&connection, "shared").await;
    let volume = connection
        .storage_vol_create_xml(&shared, &disk("d/a.vmdk", 1024, THIN), Create::empty())
        .await
        .unwrap();
    assert_eq!(volume.key, "[shared] d/a.vmdk");
    assert_eq!(connection.storage_vol_lookup_by_key(&volume.key).await.unwrap(), volume);
    let missing = connection.storage_vol_lookup_by_name(&shared, "d/b.vmdk").await.unwrap_err();
    assert_eq!(missing.code, ErrorCode::NoStorageVol);
    connection.storage_vol_delete(&volume, Delete::empty()).await.unwrap();
}

#[tokio::test]
async fn old_hosts_have_pools_and_volumes() {
    for version in ["2.5", "4.0", "4.1", "6.7"] {
        let sim = Simulator::builder().api_version(version).start().await.unwrap();
        let connection = connect(&sim, "").await;
        let store = pool(&connection, "datastore1").await;
        assert!(connection.storage_pool_num_of_volumes(&store).await.unwrap() > 3, "{version}");
        let volume = connection
            .storage_vol_create_xml(&store, &disk("d/a.vmdk", 1024, THIN), Create::empty())
            .await
            .unwrap();
        assert_eq!(
            connection.storage_vol_get_info(&volume).await.unwrap().capacity,
            1 << 20,
            "{version}"
        );
        connection.storage_vol_delete(&volume, Delete::empty()).await.unwrap();
    }
}
