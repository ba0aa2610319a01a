//! Sessions that the host ends.

mod common;

use common::{connect, methods};
use esx_sim::Simulator;
use virt_api::{DomainSelector, DomainXmlFlags, Driver as _, Hypervisor as _, ListAllDomainsFlags};

const ALL: ListAllDomainsFlags = ListAllDomainsFlags::empty();

#[tokio::test]
async fn an_ended_session_is_opened_again_by_the_call_that_notices() {
    let sim = Simulator::builder().vms(3).start().await.unwrap();
    let connection = connect(&sim, "").await;
    sim.model().change(|m| m.expire_sessions());
    sim.reset_journal();
    let listed = connection.connect_list_all_domains(ALL).await.unwrap();
    assert!(listed.len() > 3);
    assert_eq!(
        methods(&sim),
        ["RetrievePropertiesEx", "RetrieveProperties", "Login", "RetrievePropertiesEx"]
    );
    assert_eq!(sim.model().read(|m| m.session_count()), 1);
    connection.close().await.unwrap();
    assert_eq!(sim.model().read(|m| m.session_count()), 0);
}

#[tokio::test]
async fn many_calls_share_one_login() {
    let sim = Simulator::builder().vms(30).start().await.unwrap();
    let connection = connect(&sim, "").await;
    connection.connect_get_hostname().await.unwrap();
    sim.model().change(|m| m.expire_sessions());
    sim.reset_journal();
    let calls = (1..=20).map(|n| {
        let connection = connection.clone();
        tokio::spawn(async move {
            let name = DomainSelector::Name(format!("vm-{n:05}"));
            connection.domain_lookup_state(&name).await.map(|_| ())
        })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap().unwrap();
    }
    let logins = methods(&sim).iter().filter(|m| *m == "Login").count();
    assert_eq!(logins, 1);
    assert_eq!(sim.model().read(|m| m.session_count()), 1);
}

#[tokio::test]
async fn an_end_between_two_pages_costs_nothing_but_time() {
    let sim = Simulator::builder().vms(40).page_size(10).start().await.unwrap();
    let whole = connect(&sim, "").await.connect_list_all_domains(ALL).await.unwrap().len();
    for expire_at in 1..6 {
        let sim =
            std::sync::Arc::new(Simulator::builder().vms(40).page_size(10).start().await.unwrap());
        let connection = connect(&sim, "").await;
        sim.reset_journal();
        let watch = std::sync::Arc::clone(&sim);
        let poke = tokio::spawn(async move {
            while watch.requests() < expire_at {
                tokio::task::yield_now().await;
            }
            watch.model().change(|m| m.expire_sessions());
        });
        let listed = connection.connect_list_all_domains(ALL).await.unwrap();
        poke.abort();
        assert_eq!(listed.len(), whole, "ended at request {expire_at}");
    }
}

#[tokio::test]
async fn a_closed_connection_stays_closed() {
    let sim = Simulator::builder().start().await.unwrap();
    let connection = connect(&sim, "").await;
    connection.close().await.unwrap();
    sim.reset_journal();
    assert!(connection.connect_list_all_domains(ALL).await.is_err());
    assert!(!methods(&sim).contains(&"Login".to_owned()));
    assert!(!connection.connect_is_alive().await.unwrap());
}

#[tokio::test]
async fn closing_an_ended_session_is_no_error() {
    let sim = Simulator::builder().start().await.unwrap();
    let connection = connect(&sim, "").await;
    sim.model().change(|m| m.expire_sessions());
    connection.close().await.unwrap();
}

#[tokio::test]
async fn a_download_survives_the_end_of_its_session() {
    let sim = Simulator::builder().start().await.unwrap();
    let connection = connect(&sim, "").await;
    let domain = connection.domain_lookup_by_name("web01").await.unwrap();
    // Two requests later the file itself is asked for.
    let seen = sim.requests();
    let sim = std::sync::Arc::new(sim);
    let watch = std::sync::Arc::clone(&sim);
    tokio::spawn(async move {
        while watch.requests() <= seen {
            tokio::task::yield_now().await;
        }
        watch.model().change(|m| m.expire_sessions());
    });
    let xml = connection.domain_get_xml_desc(&domain, DomainXmlFlags::empty()).await.unwrap();
    assert!(xml.contains("web01"));
    let refused = sim.journal().iter().filter(|entry| entry.status == 401).count();
    assert!(refused <= 1);
}

/// `vcenter=` finds or checks the host's manager, logs in there too, and leaves nothing behind if that
/// does not work (spec `connection.md` 3.3). The simulated vCenter does not know a host at 127.0.0.1.
#[tokio::test]
async fn a_vcenter_that_does_not_fit_leaves_no_session_anywhere() {
    let host = Simulator::builder().start().await.unwrap();
    // The vCenter is spoken to at the host's own port.
    let address = std::net::SocketAddr::from(([127, 0, 0, 2], host.address().port()));
    let vcenter = Simulator::builder()
        .preset(esx_sim::Preset::VCenter)
        .listen(address)
        .start()
        .await
        .unwrap();
    let open = async |query: &str| {
        let uri = format!("{}&vcenter={query}", host.uri());
        esx_driver::open(&uri, common::options(host.password())).await.err().unwrap().to_string()
    };
    assert!(open("*").await.contains("not managed"), "the host has no manager");
    let system = esx_vi_api::MoRef::new("HostSystem", "ha-host");
    assert!(host.model().change(|m| m.set_managed_by(&system, Some("127.0.0.2"))));
    assert!(open("127.0.0.3").await.contains("managed by the vCenter 127.0.0.2"));
    assert_eq!(vcenter.requests(), 0);
    for query in ["*", "127.0.0.2"] {
        assert!(open(query).await.contains("does not know the host"), "{query}");
        let asked = methods(&vcenter);
        assert_eq!(asked, ["RetrieveServiceContent", "Login", "FindByIp", "Logout"]);
    }
    for sim in [&host, &vcenter] {
        assert_eq!(sim.model().read(|m| m.session_count()), 0);
    }
}
