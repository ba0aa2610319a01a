//! How many requests each thing costs. The numbers are promises of the README and of `docs/performance.md`.

use crate::common::{connect, methods, options};
use esx_sim::{Preset, Running, Simulator};
use virt_api::{
    Definitions, DomainSelector, DomainXmlFlags, Driver as _, Hypervisor as _, ListAllDomainsFlags,
};

async fn host(vms: u32) -> Running {
    Simulator::builder().vms(vms).start().await.unwrap()
}

/// Bytes that the host sent since the last reset.
fn bytes(sim: &Running) -> u64 {
    sim.journal().iter().map(|entry| entry.bytes_out).sum()
}

#[tokio::test]
async fn connecting_takes_two_requests_and_leaving_one() {
    let sim = host(20).await;
    let connection = connect(&sim, "").await;
    assert_eq!(methods(&sim), ["RetrieveServiceContent", "Login"]);
    connection.close().await.unwrap();
    connection.close().await.unwrap();
    assert_eq!(methods(&sim), ["Logout"]);
    assert_eq!(sim.model().read(|m| m.session_count()), 0);
}

#[tokio::test]
async fn a_list_takes_one_request_whatever_the_number() {
    for vms in [0, 10, 1500] {
        let sim = host(vms).await;
        let connection = connect(&sim, "").await;
        sim.reset_journal();
        let listed =
            connection.connect_list_all_domains(ListAllDomainsFlags::empty()).await.unwrap();
        assert!(listed.len() > vms as usize);
        assert_eq!(methods(&sim), ["RetrievePropertiesEx"]);
    }
}

#[tokio::test]
async fn a_host_with_small_pages_gets_one_request_a_page() {
    let sim = Simulator::builder().vms(287).page_size(100).start().await.unwrap();
    let connection = connect(&sim, "").await;
    sim.reset_journal();
    let listed = connection.connect_list_all_domains(ListAllDomainsFlags::empty()).await.unwrap();
    let pages = listed.len().div_ceil(100);
    assert_eq!(listed.len(), sim.model().read(|m| m.machines().len()));
    let asked = methods(&sim);
    assert_eq!(asked[0], "RetrievePropertiesEx");
    assert_eq!(asked[1..], vec!["ContinueRetrievePropertiesEx"; pages - 1]);
}

#[tokio::test]
async fn host_facts_take_one_request_once() {
    let sim = host(5).await;
    let connection = connect(&sim, "").await;
    sim.reset_journal();
    connection.node_get_info().await.unwrap();
    connection.connect_get_hostname().await.unwrap();
    connection.connect_get_capabilities().await.unwrap();
    assert_eq!(methods(&sim), ["RetrievePropertiesEx"]);
}

#[tokio::test]
async fn details_take_three_requests_and_bytes_that_do_not_grow() {
    let mut sizes = Vec::new();
    for vms in [0, 2000] {
        let sim = host(vms).await;
        let connection = connect(&sim, "").await;
        sim.reset_journal();
        let by_name =
            connection.domain_get_details(&DomainSelector::Name("web01".into())).await.unwrap();
        sizes.push(bytes(&sim));
        assert_eq!(methods(&sim), ["RetrievePropertiesEx", "FindChild", "RetrievePropertiesEx"]);

        let fresh = connect(&sim, "").await;
        sim.reset_journal();
        let by_uuid =
            fresh.domain_get_details(&DomainSelector::Uuid(by_name.domain.uuid)).await.unwrap();
        assert_eq!(by_uuid, by_name);
        assert!(sim.requests() <= 3, "{:?}", methods(&sim));
    }
    assert!(sizes[0].abs_diff(sizes[1]) < 64, "{sizes:?}");
}

#[tokio::test]
async fn fifty_states_in_one_session_take_56_requests_at_most() {
    let sim = host(50).await;
    let connection = connect(&sim, "").await;
    for number in 1..=50 {
        let name = DomainSelector::Name(format!("vm-{number:05}"));
        connection.domain_lookup_state(&name).await.unwrap();
    }
    connection.close().await.unwrap();
    assert!(sim.requests() <= 56, "{}", sim.requests());
}

#[tokio::test]
async fn a_vcenter_resolves_its_path_once_and_names_by_an_index() {
    let sim = Simulator::builder().preset(Preset::VCenter).vms(30).start().await.unwrap();
    let connection = connect(&sim, "").await;
    assert_eq!(methods(&sim), ["RetrieveServiceContent", "Login", "RetrievePropertiesEx"]);
    let listed = connection.connect_list_all_domains(ListAllDomainsFlags::empty()).await.unwrap();
    assert_eq!(methods(&sim), ["RetrievePropertiesEx"]);
    let names: Vec<_> =
        listed.iter().filter(|l| l.problem.is_none()).map(|l| l.domain.name.clone()).collect();
    for name in &names[..5] {
        connection.domain_lookup_by_name(name).await.unwrap();
    }
    // One index, then one read for each.
    assert_eq!(methods(&sim).len(), 6);
}

#[tokio::test]
async fn a_failed_open_leaves_no_session_behind() {
    let sim = Simulator::builder().preset(Preset::VCenter).start().await.unwrap();
    let wrong = sim.uri().replacen("/?", "/nowhere?", 1);
    let wrong = if wrong == sim.uri() { sim.uri().replacen('?', "/nowhere?", 1) } else { wrong };
    let error = esx_driver::open(&wrong, options(sim.password())).await.err().unwrap();
    assert!(error.code.number() > 0);
    assert_eq!(sim.model().read(|m| m.session_count()), 0);
    assert_eq!(methods(&sim).last().unwrap(), "Logout");
}

#[tokio::test]
async fn a_document_takes_one_look_up_one_read_and_one_download() {
    let sim = host(3).await;
    let connection = connect(&sim, "").await;
    let domain = connection.domain_lookup_by_name("vm-00002").await.unwrap();
    sim.reset_journal();
    connection.domain_get_xml_desc(&domain, DomainXmlFlags::empty()).await.unwrap();
    let asked = methods(&sim);
    assert_eq!(asked.len(), 2, "{asked:?}");
}

#[tokio::test]
async fn statistics_of_all_machines_take_one_request() {
    let sim = host(300).await;
    let connection = connect(&sim, "").await;
    sim.reset_journal();
    let all = connection
        .connect_get_all_domain_stats(
            &[],
            virt_api::DomainStatsTypes::empty(),
            virt_api::DomainStatsFlags::empty(),
        )
        .await
        .unwrap();
    assert!(all.len() > 300);
    assert_eq!(methods(&sim), ["RetrievePropertiesEx"]);
    let named: Vec<_> = all[1..4].iter().map(|s| s.domain.clone()).collect();
    for domain in &named {
        connection.domain_get_info(domain).await.unwrap();
    }
    sim.reset_journal();
    let some = connection
        .connect_get_all_domain_stats(
            &named,
            virt_api::DomainStatsTypes::BALLOON,
            virt_api::DomainStatsFlags::empty(),
        )
        .await
        .unwrap();
    assert_eq!(methods(&sim), ["RetrievePropertiesEx"]);
    let names = |stats: &[virt_api::DomainStats]| {
        stats.iter().map(|s| s.domain.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(names(&some), names(&all[1..4]));
    assert!(some[0].params.iter().any(|p| p.name == "balloon.maximum"), "{:?}", some[0].params);
}
