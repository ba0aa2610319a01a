//! Statistics, lists of devices, screenshots, names and descriptions on the simulated host.

use crate::common::{connect, methods};
use esx_driver::Connection;
use esx_sim::{Preset, Running, Simulator};
use virt_api::{
    Chunk, Definitions, Domain, DomainModificationFlags as Impact, DomainStatsFlags,
    DomainStatsTypes as Types, ErrorCode, Hypervisor as _, MetadataType, NoFlags, TypedValue,
};

async fn scene(name: &str) -> (Running, Connection, Domain) {
    let sim = Simulator::builder().vms(3).start().await.unwrap();
    let connection = connect(&sim, "").await;
    let domain = connection.domain_lookup_by_name(name).await.unwrap();
    sim.reset_journal();
    (sim, connection, domain)
}

#[tokio::test]
async fn statistics_of_all_machines_take_as_many_requests_as_pages() {
    for (vms, preset) in [(3, Preset::Esx), (900, Preset::Esx), (900, Preset::VCenter)] {
        let sim = Simulator::builder().preset(preset).vms(vms).start().await.unwrap();
        let connection = connect(&sim, "").await;
        // What does not depend on the statistics: facts about the host.
        connection.connect_get_hostname().await.unwrap();
        sim.reset_journal();
        let flags = DomainStatsFlags::empty();
        let all = connection.connect_get_all_domain_stats(&[], Types::empty(), flags).await;
        let count = all.unwrap().len();
        let sent = methods(&sim);
        assert!(count >= vms as usize / 2, "{count}");
        let pages = 1 + count / 250;
        assert!(sent.len() <= 1 + pages, "{count} domains: {sent:?}");
        assert!(sent.iter().all(|m| m.contains("RetrieveProperties")), "{sent:?}");
    }
}

#[tokio::test]
async fn statistics_have_libvirts_names() {
    let (sim, connection, domain) = scene("vm-00002").await;
    let flags = DomainStatsFlags::empty();
    let one = [domain.clone()];
    let found = connection.connect_get_all_domain_stats(&one, Types::empty(), flags).await;
    let stats = found.unwrap().remove(0);
    assert_eq!(sim.requests(), 1);
    let value = |name: &str| {
        stats.params.iter().find(|param| param.name == name).map(|param| param.value.clone())
    };
    assert_eq!(value("state.state"), Some(TypedValue::Int(1)));
    assert_eq!(value("balloon.maximum"), Some(TypedValue::ULLong(4 << 20)));
    assert_eq!(value("vcpu.current"), Some(TypedValue::UInt(3)));
    assert_eq!(value("net.count"), Some(TypedValue::UInt(1)));
    assert!(matches!(value("net.0.name"), Some(TypedValue::String(mac)) if mac.len() == 17));
    assert_eq!(value("block.count"), Some(TypedValue::UInt(1)));
    assert_eq!(value("block.0.name"), Some(TypedValue::String("sda".to_owned())));
    let path = "[datastore1] vm-00002/vm-00002.vmdk".to_owned();
    assert_eq!(value("block.0.path"), Some(TypedValue::String(path)));
    assert_eq!(value("block.0.capacity"), Some(TypedValue::ULLong(16 << 30)));
    let Some(TypedValue::ULLong(allocation)) = value("block.0.allocation") else { panic!("none") };
    assert!(allocation > 0 && allocation < 16 << 30, "{allocation}");
    // What was not asked for is not there, and does not travel.
    sim.reset_journal();
    let found = connection.connect_get_all_domain_stats(&one, Types::STATE, flags).await;
    let names: Vec<_> = found.unwrap().remove(0).params.into_iter().map(|p| p.name).collect();
    assert_eq!(names, ["state.state", "state.reason"]);
    assert!(sim.journal()[0].bytes_out < 2500, "{}", sim.journal()[0].bytes_out);
    let enforce = DomainStatsFlags::ENFORCE_STATS;
    let cpu = connection.connect_get_all_domain_stats(&one, Types::CPU_TOTAL, enforce).await;
    assert_eq!(cpu.unwrap_err().code, ErrorCode::OperationUnsupported);
}

#[tokio::test]
async fn memory_figures() {
    let (sim, connection, domain) = scene("vm-00002").await;
    let stats = async |connection: &Connection, domain: &Domain| {
        let all = connection.domain_memory_stats(domain, NoFlags::empty()).await.unwrap();
        all.into_iter().map(|s| format!("{} {}", s.tag.as_str(), s.value)).collect::<Vec<_>>()
    };
    let running = stats(&connection, &domain).await;
    assert_eq!(sim.requests(), 1);
    assert_eq!(
        running,
        [
            "actual 4194304",
            "rss 2097152",
            "active 524288",
            "ballooned 0",
            "swapped 0",
            "compressed 0",
            "shared 0",
            "private 2097152",
            "overhead 0",
            "reservation 0",
            "shares 40960"
        ]
    );
    let off = connection.domain_lookup_by_name("vm-00001").await.unwrap();
    connection.domain_set_memory(&off, 1 << 20).await.unwrap();
    let off = stats(&connection, &off).await;
    assert_eq!(off, ["actual 1048576", "reservation 0", "limit 1048576", "shares 20480"]);
}

#[tokio::test]
async fn devices_are_listed_as_virsh_does() {
    let (sim, connection, domain) = scene("storage01").await;
    let blocks = connection.domain_list_block_devices(&domain).await.unwrap();
    assert_eq!(sim.requests(), 1);
    let rows: Vec<_> = blocks
        .iter()
        .map(|b| {
            let source = b.source.as_deref().unwrap_or("-");
            format!("{} {} {} {} {source}", b.kind, b.device, b.target, b.bus)
        })
        .collect();
    insta::assert_snapshot!(rows.join("\n"));
    let cards = connection.domain_list_interface_devices(&domain).await.unwrap();
    let card = &cards[0];
    assert_eq!((card.kind.as_str(), card.source.as_deref()), ("bridge", Some("VM Network")));
    assert_eq!((card.model.as_deref(), card.link_up), (Some("vmxnet3"), Some(true)));
}

#[tokio::test]
async fn sizes_of_a_disk() {
    let (sim, connection, domain) = scene("vm-00001").await;
    let info = connection.domain_get_block_info(&domain, "sda", NoFlags::empty()).await.unwrap();
    assert_eq!(sim.requests(), 1);
    assert_eq!(info.capacity_bytes, 16 << 30);
    assert!(info.allocation_bytes < info.capacity_bytes);
    assert_eq!(info.allocation_bytes, info.physical_bytes);
    let path = "[datastore1] vm-00001/vm-00001.vmdk";
    let by_path = connection.domain_get_block_info(&domain, path, NoFlags::empty()).await;
    assert_eq!(by_path.unwrap(), info);
    let none = connection.domain_get_block_info(&domain, "sdz", NoFlags::empty()).await;
    assert_eq!(none.unwrap_err().code, ErrorCode::InvalidArg);
}

async fn picture(connection: &Connection, domain: &Domain) -> virt_api::Result<Vec<u8>> {
    let screenshot = connection.domain_screenshot(domain, 0, NoFlags::empty()).await?;
    assert_eq!(screenshot.mime_type, "image/png");
    let mut bytes = Vec::new();
    while let Some(chunk) = screenshot.stream.recv().await? {
        let Chunk::Data(data) = chunk else { panic!("a hole in a picture") };
        bytes.extend_from_slice(&data);
    }
    screenshot.stream.finish().await?;
    Ok(bytes)
}

#[tokio::test]
async fn a_running_machine_has_a_picture() {
    let (sim, connection, domain) = scene("vm-00002").await;
    let bytes = picture(&connection, &domain).await.unwrap();
    assert!(bytes.starts_with(b"\x89PNG\r\n\x1a\n") && bytes.ends_with(b"IEND\xaeB`\x82"));
    sim.reset_journal();
    let other = connection.domain_lookup_by_name("vm-00001").await.unwrap();
    let off = connection.domain_screenshot(&other, 0, NoFlags::empty()).await;
    assert_eq!(off.unwrap_err().code, ErrorCode::OperationInvalid);
    let second = connection.domain_screenshot(&domain, 1, NoFlags::empty()).await;
    assert_eq!(second.unwrap_err().code, ErrorCode::InvalidArg);
    assert!(!methods(&sim).iter().any(|method| method.contains("/screen")));
    // A session that has ended is opened again.
    sim.model().change(|m| m.expire_sessions());
    assert_eq!(picture(&connection, &domain).await.unwrap(), bytes);
    let early = connection.domain_screenshot(&domain, 0, NoFlags::empty()).await.unwrap();
    assert_eq!(early.stream.finish().await.unwrap_err().code, ErrorCode::InternalError);
    let aborted = connection.domain_screenshot(&domain, 0, NoFlags::empty()).await.unwrap();
    aborted.stream.abort().await.unwrap();
    assert_eq!(aborted.stream.recv().await.unwrap(), None);
}

#[tokio::test]
async fn machines_are_renamed_while_they_are_off() {
    let (sim, connection, domain) = scene("vm-00001").await;
    connection.domain_rename(&domain, "a/b 100%", NoFlags::empty()).await.unwrap();
    assert!(sim.requests() <= 6, "{:?}", methods(&sim));
    let renamed = connection.domain_lookup_by_name("a/b 100%").await.unwrap();
    assert_eq!(renamed.uuid, domain.uuid);
    let gone = connection.domain_lookup_by_name("vm-00001").await.unwrap_err();
    assert_eq!(gone.code, ErrorCode::NoDomain);
    let rename = async |domain: &Domain, name: &str| {
        connection.domain_rename(domain, name, NoFlags::empty()).await.unwrap_err().code
    };
    assert_eq!(rename(&renamed, "vm-00002").await, ErrorCode::DomExist);
    assert_eq!(rename(&renamed, "a/b 100%").await, ErrorCode::OperationInvalid);
    assert_eq!(rename(&renamed, "").await, ErrorCode::XmlDetail);
    let running = connection.domain_lookup_by_name("vm-00002").await.unwrap();
    assert_eq!(rename(&running, "other").await, ErrorCode::OperationInvalid);
}

#[tokio::test]
async fn the_description_is_the_machines_notes() {
    let (_sim, connection, domain) = scene("vm-00001").await;
    let get =
        async |kind| connection.domain_get_metadata(&domain, kind, None, Impact::empty()).await;
    let set = async |kind, text: Option<&str>| {
        connection.domain_set_metadata(&domain, kind, text, None, None, Impact::empty()).await
    };
    let none = get(MetadataType::Description).await.unwrap_err();
    assert_eq!(none.code, ErrorCode::NoDomainMetadata);
    set(MetadataType::Description, Some("two\nlines \u{e9}")).await.unwrap();
    assert_eq!(get(MetadataType::Description).await.unwrap(), "two\nlines \u{e9}");
    set(MetadataType::Description, None).await.unwrap();
    assert!(get(MetadataType::Description).await.is_err());
    assert_eq!(get(MetadataType::Title).await.unwrap_err().code, ErrorCode::NoDomainMetadata);
    let title = set(MetadataType::Title, Some("x")).await.unwrap_err();
    assert_eq!(title.code, ErrorCode::OperationUnsupported);
}

#[tokio::test]
async fn small_answers_ask_the_host() {
    let sim = Simulator::builder().start().await.unwrap();
    let connection = connect(&sim, "").await;
    let free = connection.node_get_free_memory().await.unwrap();
    let all = connection.node_get_info().await.unwrap().memory_kib * 1024;
    assert!(free > 0 && free < all, "{free} of {all}");
    let domain = connection.domain_lookup_by_name("web01").await.unwrap();
    assert!(!connection.domain_is_updated(&domain).await.unwrap());
    let gone = Domain { name: "gone".to_owned(), uuid: uuid::Uuid::from_u128(7), id: None };
    assert_eq!(connection.domain_is_updated(&gone).await.unwrap_err().code, ErrorCode::NoDomain);
}
