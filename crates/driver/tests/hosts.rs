//! The conformance suite against every kind of host, and what is special about each.

use crate::common::{connect, options};
use esx_conformance::Expectations;
use esx_sim::{PowerState, Preset, Simulator};
use virt_api::{
    Definitions, DomainSelector, DomainState, DomainXmlFlags, Driver as _, Hypervisor as _,
    ListAllDomainsFlags, Storage as _,
};

const ALL: ListAllDomainsFlags = ListAllDomainsFlags::empty();

async fn conforms(builder: esx_sim::Builder, query: &str) {
    let sim = builder.start().await.unwrap();
    let connection = connect(&sim, query).await;
    let scratch_pool = connection.connect_list_storage_pools(1).await.unwrap().pop();
    let expect = Expectations { scratch_pool, ..Expectations::default() };
    let report = esx_conformance::run(&connection, &expect).await;
    connection.close().await.unwrap();
    report.assert();
    assert_eq!(sim.model().read(|m| m.session_count()), 0);
}

#[tokio::test]
async fn esxi_8_conforms() {
    conforms(Simulator::builder().vms(10), "").await;
}

#[tokio::test]
async fn small_pages_and_tls_conform() {
    conforms(Simulator::builder().vms(10).page_size(3).tls(true), "").await;
}

#[tokio::test]
async fn legacy_uuids_conform() {
    // Two machines of the built-in host share a BIOS UUID; which is why the default is another.
    let sim = Simulator::builder().start().await.unwrap();
    let connection = connect(&sim, "&legacy_uuid=1").await;
    let twin = connection.domain_lookup_by_name("twin-a").await.unwrap();
    let error = connection.domain_lookup_by_uuid(twin.uuid).await.unwrap_err();
    assert_eq!(error.code, virt_api::ErrorCode::MultipleDomains);
    assert!(error.to_string().contains("twin-b"), "{error}");
    let default = connect(&sim, "").await;
    let unique = default.domain_lookup_by_name("twin-a").await.unwrap();
    assert_ne!(unique.uuid, twin.uuid);
    assert_eq!(default.domain_lookup_by_uuid(unique.uuid).await.unwrap().name, "twin-a");
}

#[tokio::test]
async fn old_apis_conform() {
    for version in ["2.5", "4.0", "4.1", "6.7"] {
        let sim = Simulator::builder().vms(4).api_version(version).start().await.unwrap();
        let connection = connect(&sim, "").await;
        let listed = connection.connect_list_all_domains(ALL).await.unwrap();
        assert!(listed.len() > 4, "API {version}");
        let web =
            connection.domain_get_details(&DomainSelector::Name("web01".into())).await.unwrap();
        assert_eq!(web.info.state, DomainState::Running, "API {version}");
        assert!(!web.domain.uuid.is_nil(), "API {version}");
        let xml =
            connection.domain_get_xml_desc(&web.domain, DomainXmlFlags::empty()).await.unwrap();
        assert!(xml.contains("<name>web01</name>"), "API {version}");
        connection.node_get_info().await.unwrap();
        connection.close().await.unwrap();
        let action = sim.journal().last().unwrap().soap_action.clone().unwrap();
        assert!(action.contains(&format!("urn:vim25/{version}")), "{action}");
    }
}

#[tokio::test]
async fn vcenter_conforms() {
    conforms(Simulator::builder().preset(Preset::VCenter).vms(5), "").await;
}

#[tokio::test]
async fn one_bad_machine_never_fails_a_list() {
    let sim = Simulator::builder().vms(2).start().await.unwrap();
    let victim = sim.model().read(|m| m.machine("vm-00001")).unwrap();
    sim.model().change(|m| {
        m.deny_property(&victim, "name");
        m.deny_property(&victim, "runtime.powerState");
        m.deny_property(&victim, "config.instanceUuid");
    });
    let connection = connect(&sim, "").await;
    let listed = connection.connect_list_all_domains(ALL).await.unwrap();
    let bad: Vec<_> = listed.iter().filter(|l| l.problem.is_some()).collect();
    // The built-in machine without a configuration, and the one without permission.
    assert_eq!(bad.len(), 2);
    assert!(bad.iter().any(|l| l.problem.as_deref().unwrap().contains("NoPermission")), "{bad:?}");
    let ok = connection.domain_lookup_by_name("vm-00002").await.unwrap();
    assert_eq!(ok.name, "vm-00002");
    // Of which it is not known whether it runs, or what it is called, is in neither of the short lists.
    let ids = connection.connect_list_domains(usize::MAX).await.unwrap();
    assert_eq!(connection.connect_num_of_domains().await.unwrap() as usize, ids.len());
    let broken: Vec<_> = bad.iter().filter_map(|l| l.domain.id).collect();
    assert!(!broken.is_empty() && !ids.is_empty());
    assert!(!broken.iter().any(|id| ids.contains(id)), "{broken:?} {ids:?}");
    let names = connection.connect_list_defined_domains(usize::MAX).await.unwrap();
    assert_eq!(connection.connect_num_of_defined_domains().await.unwrap() as usize, names.len());
    assert!(!names.is_empty() && !names.contains(&String::new()), "{names:?}");
}

/// The classic lists count what is suspended among the active, as every other function does.
#[tokio::test]
async fn suspended_machines_are_active_everywhere() {
    let sim = Simulator::builder().vms(2).start().await.unwrap();
    let machine = sim.model().read(|m| m.machine("vm-00001")).unwrap();
    sim.model().change(|m| m.set_power_state(&machine, PowerState::Suspended));
    let connection = connect(&sim, "").await;
    let domain = connection.domain_lookup_by_name("vm-00001").await.unwrap();
    assert!(connection.domain_is_active(&domain).await.unwrap());
    let ids = connection.connect_list_domains(usize::MAX).await.unwrap();
    assert!(ids.contains(&domain.id.unwrap()));
    let names = connection.connect_list_defined_domains(usize::MAX).await.unwrap();
    assert!(!names.contains(&domain.name));
    let active = connection.connect_list_all_domains(ListAllDomainsFlags::ACTIVE).await.unwrap();
    assert_eq!(active.len(), ids.len());
    assert!(connection.domain_lookup_by_id(domain.id.unwrap()).await.is_ok());
}

/// Filters by what is not known, and by what does not exist here.
#[tokio::test]
async fn what_is_not_known_passes_no_filter() {
    let sim = Simulator::builder().vms(2).start().await.unwrap();
    let machine = sim.model().read(|m| m.machine("vm-00001")).unwrap();
    sim.model().change(|m| m.deny_property(&machine, "snapshot.rootSnapshotList"));
    let connection = connect(&sim, "").await;
    let listed = async |flags| {
        let listed = connection.connect_list_all_domains(flags).await.unwrap();
        listed.into_iter().map(|l| l.domain.name).collect::<Vec<_>>()
    };
    use ListAllDomainsFlags as Flags;
    for flags in [Flags::HAS_SNAPSHOT, Flags::NO_SNAPSHOT] {
        let names = listed(flags).await;
        assert!(!names.is_empty() && !names.contains(&"vm-00001".to_owned()), "{flags:?}");
    }
    assert!(listed(Flags::NO_SNAPSHOT).await.contains(&"vm-00002".to_owned()));
    assert_eq!(listed(Flags::HAS_SNAPSHOT | Flags::NO_SNAPSHOT).await, listed(ALL).await);
    assert_eq!(listed(Flags::NO_CHECKPOINT).await, listed(ALL).await);
    sim.reset_journal();
    for nothing in [Flags::HAS_CHECKPOINT, Flags::TRANSIENT, Flags::MANAGEDSAVE] {
        assert!(listed(nothing).await.is_empty(), "{nothing:?}");
    }
    assert_eq!(sim.requests(), 0);
}

/// Two machines of one name are told from one another as long as there are two.
#[tokio::test]
async fn a_name_is_ambiguous_as_long_as_it_is() {
    let sim = Simulator::builder().preset(Preset::VCenter).start().await.unwrap();
    let connection = connect(&sim, "").await;
    let other = sim.model().read(|m| m.machine("web01")).unwrap();
    sim.model().change(|m| m.rename(&other, "twin-b"));
    let several = connection.domain_lookup_by_name("twin-b").await.unwrap_err();
    assert_eq!(several.code, virt_api::ErrorCode::MultipleDomains);
    sim.model().change(|m| m.rename(&other, "web09"));
    connection.domain_lookup_by_name("twin-b").await.unwrap();
}

/// An answer that is no XML because of one machine: the others are listed, and that one with its error.
#[tokio::test]
async fn one_unreadable_page_never_fails_a_list() {
    let (mut names, mut counts) = (Vec::new(), Vec::new());
    for plan in [
        "",
        "corrupt @RetrievePropertiesEx",
        "truncate @ContinueRetrievePropertiesEx",
        "corrupt-at=vm-00037< #1+",
    ] {
        let sim = Simulator::builder().vms(60).page_size(20).start().await.unwrap();
        let connection = connect(&sim, "").await;
        if !plan.is_empty() {
            let plan: esx_sim::FaultPlan = plan.parse().unwrap();
            sim.set_plan(move |arrival| plan.react(arrival));
        }
        sim.reset_journal();
        let listed = connection.connect_list_all_domains(ALL).await.unwrap();
        counts.push(crate::common::methods(&sim).len());
        names.push(listed.iter().map(|l| l.domain.name.clone()).collect::<Vec<_>>());
        if plan.contains("corrupt-at") {
            let spoilt: Vec<_> = listed.iter().filter(|l| l.domain.name.is_empty()).collect();
            let problems: Vec<_> = spoilt.iter().map(|l| l.problem.as_deref().unwrap()).collect();
            assert!(problems.iter().any(|problem| problem.contains("XML")), "{problems:?}");
            // Others can be worked with.
            connection.domain_lookup_by_name("vm-00038").await.unwrap();
            let pools = connection.connect_list_storage_pools(10).await.unwrap();
            assert!(!pools.is_empty());
        }
        connection.close().await.unwrap();
    }
    let [whole, once, page, spoilt] = &names[..] else { panic!("{names:?}") };
    assert!(whole.len() > 60 && whole == once && whole == page);
    let left: Vec<_> =
        whole.iter().filter(|name| *name != "vm-00037" && !name.is_empty()).collect();
    assert_eq!(left, spoilt.iter().filter(|name| !name.is_empty()).collect::<Vec<_>>());
    assert_eq!(spoilt.len(), whole.len(), "it is listed, too");
    // Reading it again costs as much again; looking for one of some sixty a dozen and a half requests more.
    assert_eq!(counts[1], counts[0] + 1);
    assert!(counts[3] < counts[0] * 2 + 30, "{counts:?}");
}

#[tokio::test]
async fn changes_on_the_host_are_seen() {
    let sim = Simulator::builder().vms(3).start().await.unwrap();
    let connection = connect(&sim, "").await;
    let state = |name: &str| DomainSelector::Name(name.to_owned());
    connection.domain_lookup_by_name("vm-00001").await.unwrap();
    connection.domain_lookup_by_name("vm-00002").await.unwrap();
    let (one, two) =
        sim.model().read(|m| (m.machine("vm-00001").unwrap(), m.machine("vm-00002").unwrap()));
    sim.model().change(|m| {
        m.set_power_state(&one, PowerState::Suspended);
        m.rename(&two, "renamed");
        m.add_machine("new one");
    });
    assert_eq!(
        connection.domain_lookup_state(&state("vm-00001")).await.unwrap().0,
        DomainState::Paused
    );
    let gone = connection.domain_lookup_by_name("vm-00002").await.unwrap_err();
    assert_eq!(gone.code, virt_api::ErrorCode::NoDomain);
    connection.domain_lookup_by_name("renamed").await.unwrap();
    let new = connection.domain_lookup_by_name("new one").await.unwrap();
    sim.model().change(|m| {
        let new = m.machine("new one").unwrap();
        m.remove_machine(&new)
    });
    let gone = connection.domain_get_info(&new).await.unwrap_err();
    assert_eq!(gone.code, virt_api::ErrorCode::NoDomain);
}

#[tokio::test]
async fn bad_input_gets_one_clear_line() {
    let sim = Simulator::builder().start().await.unwrap();
    let tls = Simulator::builder().tls(true).start().await.unwrap();
    let vcenter = Simulator::builder().preset(Preset::VCenter).start().await.unwrap();
    let port = sim.address().port();
    let at = |rest: &str| format!("esx://user@127.0.0.1:{port}/{rest}");
    let unused = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let vpx = |path: &str| {
        format!("vpx://user@127.0.0.1:{}/{path}?transport=http", vcenter.address().port())
    };
    for (uri, password, code, needle) in [
        ("esy://h/".to_owned(), "pass", 8, "esy"),
        (at("?transport=htp"), "pass", 8, "htp"),
        (at("?no-verify=1"), "pass", 8, "no-verify"),
        (at("?transport=http"), "wrong", 45, "user name or password"),
        (format!("esx://user@127.0.0.1:{unused}/?transport=http"), "pass", 5, "refuses"),
        (format!("esx://user@127.0.0.1:{}/", tls.address().port()), "pass", 40, "thumbprint"),
        (format!("vpx://user@127.0.0.1:{port}/dc/host?transport=http"), "pass", 1, "esx://"),
        (vpx("nowhere"), "pass", 1, "there are:"),
    ] {
        let error = esx_driver::open(&uri, options(password)).await.err().expect(&uri);
        let chain = error.chain().collect::<Vec<_>>().join(": ");
        assert_eq!(error.code.number(), code, "{uri}: {chain}");
        assert!(chain.contains(needle), "{uri}: {chain}");
        assert!(!chain.contains('\n'), "{chain}");
    }
    for sim in [&sim, &tls, &vcenter] {
        assert_eq!(sim.model().read(|m| m.session_count()), 0);
    }
}

#[tokio::test]
async fn an_unknown_domain_gets_its_nearest_names() {
    let sim = Simulator::builder().start().await.unwrap();
    let connection = connect(&sim, "").await;
    let error = connection.domain_lookup_by_name("web1").await.unwrap_err();
    assert_eq!(error.code, virt_api::ErrorCode::NoDomain);
    assert!(error.to_string().contains("did you mean \"web01\""), "{error}");
}

#[tokio::test]
async fn an_empty_vmx_file_is_named() {
    let sim = Simulator::builder().vms(1).start().await.unwrap();
    let connection = connect(&sim, "").await;
    let domain = connection.domain_lookup_by_name("vm-00001").await.unwrap();
    let path = sim.model().change(|m| {
        let files = [("datastore1", "vm-00001/vm-00001.vmx")];
        files.into_iter().find(|(datastore, path)| m.add_file(datastore, path, b""))
    });
    assert!(path.is_some());
    let error = connection.domain_get_xml_desc(&domain, DomainXmlFlags::empty()).await.unwrap_err();
    assert!(error.to_string().ends_with("is empty"), "{error}");
}
