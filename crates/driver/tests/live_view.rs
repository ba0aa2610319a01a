//! The live view: what it answers, what it never answers, and that it is never behind what its own connection did.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::common::{connect, methods, options};
use esx_conformance::Expectations;
use esx_driver::{Connection, LiveViewOptions, LiveViewState, LiveViewStatus, OpenOptions};
use esx_sim::model::Model;
use esx_sim::{FaultPlan, PowerState, Preset, Running, Simulator};
use virt_api::{
    Definitions, DomainDefineFlags, DomainSelector, DomainState, DomainXmlFlags, Driver as _,
    ErrorCode, Hypervisor as _, Interface as _, InterfaceXmlFlags, ListAllDomainsFlags,
    ListAllInterfacesFlags, ListAllNetworksFlags, ListAllStoragePoolsFlags, ListedDomain,
    Network as _, NetworkXmlFlags, NoFlags, SnapshotListFlags, Snapshots, Storage as _,
    StorageXmlFlags,
};

const ALL: ListAllDomainsFlags = ListAllDomainsFlags::empty();
/// Long enough that only what never happens gets there.
const NEVER: Duration = Duration::from_secs(60);

fn viewing(sim: &Running, live_view: LiveViewOptions) -> OpenOptions {
    OpenOptions { live_view: Some(live_view), ..options(sim.password()) }
}

async fn open(sim: &Running) -> Connection {
    open_with(sim, LiveViewOptions::default()).await
}

async fn open_with(sim: &Running, live_view: LiveViewOptions) -> Connection {
    esx_driver::open(&sim.uri(), viewing(sim, live_view)).await.unwrap()
}

/// A connection whose view is live.
async fn warm(sim: &Running) -> Connection {
    let connection = open(sim).await;
    list(&connection).await;
    assert_eq!(connection.live_view().state, LiveViewState::Live);
    sim.reset_journal();
    connection
}

async fn list(connection: &Connection) -> Vec<ListedDomain> {
    connection.connect_list_all_domains(ALL).await.unwrap()
}

async fn names(connection: &Connection) -> BTreeSet<String> {
    list(connection).await.into_iter().map(|listed| listed.domain.name).collect()
}

async fn state(connection: &Connection, name: &str) -> DomainState {
    let selector = DomainSelector::Name(name.to_owned());
    connection.domain_lookup_state(&selector).await.unwrap().0
}

async fn until(
    connection: &Connection,
    reached: impl FnMut(&LiveViewStatus) -> bool + Send,
) -> LiveViewStatus {
    tokio::time::timeout(NEVER, connection.live_view_until(reached)).await.expect("never comes")
}

/// Waits for what others do: looks again whenever the host has told something.
async fn eventually<F: Future<Output = bool>>(connection: &Connection, is: impl Fn() -> F) {
    loop {
        let before = connection.live_view();
        if is().await {
            return;
        }
        until(connection, |now| now.heard != before.heard || now.state != before.state).await;
    }
}

fn requests_for_updates(asked: &[String]) -> bool {
    asked.iter().all(|method| method == "WaitForUpdatesEx" || method == "CancelWaitForUpdates")
}

#[tokio::test]
async fn without_being_asked_for_there_is_none() {
    let sim = Simulator::builder().start().await.unwrap();
    let connection = connect(&sim, "").await;
    list(&connection).await;
    assert_eq!(connection.live_view().state, LiveViewState::Off);
    assert_eq!(until(&connection, |_| false).await.state, LiveViewState::Off);
    assert!(!methods(&sim).iter().any(|method| method == "CreateFilter"));
}

#[tokio::test]
async fn a_warm_list_and_a_thousand_states_ask_the_host_nothing() {
    let sim = Simulator::builder().vms(1000).start().await.unwrap();
    let connection = open(&sim).await;
    assert_eq!(connection.live_view().state, LiveViewState::Idle);
    sim.reset_journal();
    let cold = list(&connection).await;
    let asked = methods(&sim);
    assert!(asked.len() <= 4, "{asked:?}");
    assert!(cold.len() > 1000);
    assert_eq!(list(&connection).await.len(), cold.len());
    for number in 1..=1000 {
        let name = format!("vm-{number:05}");
        let domain = connection.domain_lookup_by_name(&name).await.unwrap();
        connection.domain_get_state(&domain, NoFlags::empty()).await.unwrap();
    }
    assert_eq!(methods(&sim), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_its_task_has_ended_that_is_told_and_the_host_is_asked() {
    let sim = Simulator::builder().vms(3).start().await.unwrap();
    // The view's task lives in the runtime of the first read, and dies with it.
    let (uri, options) = (sim.uri(), viewing(&sim, LiveViewOptions::default()));
    let first = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let connection = esx_driver::open(&uri, options).await.unwrap();
            let machines = list(&connection).await.len();
            assert_eq!(connection.live_view().state, LiveViewState::Live);
            (connection, machines)
        })
    });
    let (connection, machines) =
        tokio::task::spawn_blocking(|| first.join().unwrap()).await.unwrap();
    let status = until(&connection, |status| status.state != LiveViewState::Live).await;
    assert_eq!(status.state, LiveViewState::Down);
    assert!(status.reason.unwrap().contains("task has ended"));
    assert_eq!((status.machines, status.heard.is_some()), (0, true));
    sim.reset_journal();
    assert_eq!(list(&connection).await.len(), machines);
    assert!(methods(&sim).contains(&"RetrievePropertiesEx".to_owned()));
    connection.close().await.unwrap();
}

#[tokio::test]
async fn every_read_that_it_has_is_answered_from_it() {
    let sim = Simulator::builder().vms(5).start().await.unwrap();
    let connection = warm(&sim).await;
    let web = connection.domain_lookup_by_name("web01").await.unwrap();
    connection.domain_lookup_by_uuid(web.uuid).await.unwrap();
    connection.domain_lookup_by_id(web.id.unwrap()).await.unwrap();
    connection.domain_get_info(&web).await.unwrap();
    connection.domain_get_details(&DomainSelector::Uuid(web.uuid)).await.unwrap();
    assert!(connection.domain_is_active(&web).await.unwrap());
    assert!(connection.domain_is_persistent(&web).await.unwrap());
    assert!(!connection.domain_is_updated(&web).await.unwrap());
    connection.domain_get_autostart(&web).await.unwrap();
    connection.domain_get_max_memory(&web).await.unwrap();
    connection.connect_num_of_domains().await.unwrap();
    connection.connect_list_domains(99).await.unwrap();
    connection.connect_num_of_defined_domains().await.unwrap();
    connection.connect_list_defined_domains(99).await.unwrap();
    connection.connect_list_all_domains(ListAllDomainsFlags::AUTOSTART).await.unwrap();

    let pools =
        connection.connect_list_all_storage_pools(ListAllStoragePoolsFlags::empty()).await.unwrap();
    for pool in &pools {
        connection.storage_pool_lookup_by_name(&pool.name).await.unwrap();
        connection.storage_pool_lookup_by_uuid(pool.uuid).await.unwrap();
        connection.storage_pool_get_info(pool).await.unwrap();
        connection.storage_pool_get_xml_desc(pool, StorageXmlFlags::empty()).await.unwrap();
    }
    let networks =
        connection.connect_list_all_networks(ListAllNetworksFlags::empty()).await.unwrap();
    for network in &networks {
        connection.network_lookup_by_name(&network.name).await.unwrap();
        connection.network_lookup_by_uuid(network.uuid).await.unwrap();
        connection.network_get_xml_desc(network, NetworkXmlFlags::empty()).await.unwrap();
    }
    let cards =
        connection.connect_list_all_interfaces(ListAllInterfacesFlags::empty()).await.unwrap();
    for card in &cards {
        connection.interface_lookup_by_name(&card.name).await.unwrap();
        connection.interface_lookup_by_mac_string(&card.mac).await.unwrap();
        connection.interface_get_xml_desc(card, InterfaceXmlFlags::empty()).await.unwrap();
    }
    assert!(!pools.is_empty() && !networks.is_empty() && !cards.is_empty());
    assert_eq!(methods(&sim), [""; 0]);
}

/// Everything that the view answers, as one text.
async fn everything(connection: &Connection) -> String {
    let mut text = String::new();
    let mut note = |what: &dyn std::fmt::Debug| text += &format!("{what:?}\n");
    let mut listed = list(connection).await;
    listed.sort_by(|a, b| a.moref.cmp(&b.moref));
    note(&listed);
    for entry in &listed {
        note(&connection.domain_get_info(&entry.domain).await);
        note(&connection.domain_get_state(&entry.domain, NoFlags::empty()).await);
        note(&connection.domain_get_autostart(&entry.domain).await);
        let selector = DomainSelector::Name(entry.domain.name.clone());
        note(&connection.domain_get_details(&selector).await);
    }
    for flags in [ListAllDomainsFlags::AUTOSTART, ListAllDomainsFlags::INACTIVE] {
        let mut listed = connection.connect_list_all_domains(flags).await.map_err(|e| e.code);
        if let Ok(listed) = &mut listed {
            listed.sort_by(|a, b| a.moref.cmp(&b.moref));
        }
        note(&listed);
    }
    let flags = ListAllStoragePoolsFlags::empty();
    let pools = connection.connect_list_storage_pool_details(flags).await.unwrap();
    note(&pools);
    for listed in pools {
        let xml = connection.storage_pool_get_xml_desc(&listed.pool, StorageXmlFlags::empty());
        note(&xml.await);
    }
    let flags = ListAllNetworksFlags::empty();
    for network in connection.connect_list_all_networks(flags).await.unwrap() {
        note(&network);
        note(&connection.network_get_xml_desc(&network, NetworkXmlFlags::empty()).await);
    }
    let flags = ListAllInterfacesFlags::empty();
    for card in connection.connect_list_all_interfaces(flags).await.unwrap() {
        note(&card);
        note(&connection.interface_get_xml_desc(&card, InterfaceXmlFlags::empty()).await);
    }
    text
}

/// Machines without configuration, templates, escaped and odd names: all are among the built-in ones.
#[tokio::test]
async fn it_answers_as_the_host_does() {
    for preset in [Preset::Esx, Preset::VCenter] {
        for api_version in ["4.1", "6.7", "8.0"] {
            let sim = Simulator::builder()
                .preset(preset)
                .api_version(api_version)
                .vms(3)
                .start()
                .await
                .unwrap();
            let plain = connect(&sim, "").await;
            let viewing = warm(&sim).await;
            let (found, expected) = (everything(&viewing).await, everything(&plain).await);
            assert_eq!(found, expected, "{preset:?} {api_version}");
            // What others do to it, too.
            let machine = sim.model().read(|m| m.machine("vm-00001")).unwrap();
            sim.model().change(|m| m.set_accessible(&machine, false));
            eventually(&viewing, async || everything(&viewing).await == everything(&plain).await)
                .await;
            sim.model().change(|m| m.set_accessible(&machine, true));
            eventually(&viewing, async || everything(&viewing).await == everything(&plain).await)
                .await;
            assert_eq!(viewing.live_view().state, LiveViewState::Live);
        }
    }
}

/// The whole conformance suite, changes included, with a view.
#[tokio::test]
async fn hosts_conform_with_a_view() {
    for preset in [Preset::Esx, Preset::VCenter] {
        let sim = Simulator::builder().preset(preset).vms(5).start().await.unwrap();
        let connection = warm(&sim).await;
        let scratch_pool = connection.connect_list_storage_pools(1).await.unwrap().pop();
        let expect = Expectations { scratch_pool, ..Expectations::default() };
        let report = esx_conformance::run(&connection, &expect).await;
        assert_eq!(connection.live_view().state, LiveViewState::Live);
        connection.close().await.unwrap();
        report.assert();
        assert_eq!(sim.model().read(|m| m.session_count()), 0);
    }
}

#[tokio::test]
async fn a_uuid_of_several_machines_is_the_hosts_word() {
    let sim = Simulator::builder().start().await.unwrap();
    let uri = format!("{}&legacy_uuid=1", sim.uri());
    let options = viewing(&sim, LiveViewOptions::default());
    let connection = esx_driver::open(&uri, options).await.unwrap();
    list(&connection).await;
    let twin = connection.domain_lookup_by_name("twin-a").await.unwrap();
    let error = connection.domain_lookup_by_uuid(twin.uuid).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::MultipleDomains);
}

#[tokio::test]
async fn an_old_host_has_no_updates_to_wait_for() {
    let sim = Simulator::builder().api_version("4.0").start().await.unwrap();
    let connection = open(&sim).await;
    assert!(!list(&connection).await.is_empty());
    let status = connection.live_view();
    assert_eq!(status.state, LiveViewState::Unsupported);
    assert!(status.reason.is_some());
}

#[tokio::test]
async fn what_is_not_watched_is_asked_of_the_host() {
    let sim = Simulator::builder().vms(1).start().await.unwrap();
    let connection = warm(&sim).await;
    let web = connection.domain_lookup_by_name("web01").await.unwrap();
    connection.domain_get_xml_desc(&web, DomainXmlFlags::empty()).await.unwrap();
    assert!(methods(&sim).len() >= 2);
    connection.domain_list_all_snapshots(&web, SnapshotListFlags::empty()).await.unwrap();
    assert!(!methods(&sim).is_empty());
    connection.connect_list_all_domains(ListAllDomainsFlags::HAS_SNAPSHOT).await.unwrap();
    assert!(!methods(&sim).is_empty());
    connection.domain_memory_stats(&web, NoFlags::empty()).await.unwrap();
    assert!(!methods(&sim).is_empty());
    let pool = connection.storage_pool_lookup_by_name("datastore1").await.unwrap();
    connection.storage_pool_list_all_volumes(&pool, NoFlags::empty()).await.unwrap();
    assert!(!methods(&sim).is_empty());
    connection.node_get_free_memory().await.unwrap();
    assert!(!methods(&sim).is_empty());
}

/// Nobody is told that something is not there because the view has not heard of it yet.
#[tokio::test]
async fn what_is_not_there_is_the_hosts_word() {
    let sim = Simulator::builder().vms(1).start().await.unwrap();
    let connection = warm(&sim).await;
    sim.model().change(|m| m.add_machine("brand new")).unwrap();
    connection.domain_lookup_by_name("brand new").await.unwrap();
    sim.reset_journal();
    let missing = connection.domain_lookup_by_name("nobody").await.unwrap_err();
    assert_eq!(missing.code, ErrorCode::NoDomain);
    assert!(!methods(&sim).is_empty());
    // The view is told of the new machine meanwhile.
    let asked = || {
        let mut asked = methods(&sim);
        asked.retain(|method| method != "WaitForUpdatesEx");
        asked
    };
    asked();
    connection.network_lookup_by_name("nobody").await.unwrap_err();
    assert_eq!(asked().len(), 1);
    connection.storage_pool_lookup_by_name("nobody").await.unwrap_err();
    assert_eq!(asked().len(), 1);
    connection.interface_lookup_by_name("nobody").await.unwrap_err();
    assert_eq!(asked().len(), 1);
}

const MADE: &str = "<domain type='vmware'><name>made</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>\
    <os><type arch='x86_64'>hvm</type></os><devices><disk type='file' device='disk'>\
    <source file='[datastore1] made/made.vmdk'/><target dev='sda' bus='scsi'/></disk></devices></domain>";

#[tokio::test]
async fn a_change_is_visible_to_the_next_read() {
    let sim = Simulator::builder().vms(3).start().await.unwrap();
    let connection = warm(&sim).await;
    let machine = async |name: &str| connection.domain_lookup_by_name(name).await.unwrap();
    let one = machine("vm-00001").await;
    for _ in 0..10 {
        connection.domain_create(&one).await.unwrap();
        assert_eq!(state(&connection, "vm-00001").await, DomainState::Running);
        connection.domain_suspend(&one).await.unwrap();
        assert!(connection.domain_is_active(&one).await.unwrap());
        assert_eq!(connection.domain_get_info(&one).await.unwrap().state, DomainState::Paused);
        connection.domain_resume(&one).await.unwrap();
        connection.domain_destroy(&one).await.unwrap();
        assert!(!connection.domain_is_active(&one).await.unwrap());
    }
    connection.domain_set_memory(&one, 1 << 20).await.unwrap();
    assert_eq!(connection.domain_get_info(&one).await.unwrap().memory_kib, 1 << 20);
    connection.domain_set_autostart(&one, true).await.unwrap();
    assert!(connection.domain_get_autostart(&one).await.unwrap());
    connection.domain_rename(&one, "a/b", NoFlags::empty()).await.unwrap();
    assert!(names(&connection).await.contains("a/b"));
    assert!(!names(&connection).await.contains("vm-00001"));
    let two = machine("vm-00002").await;
    let was_off = !connection.domain_is_active(&two).await.unwrap();
    if !was_off {
        connection.domain_destroy(&two).await.unwrap();
    }
    connection.domain_undefine(&two).await.unwrap();
    assert!(!names(&connection).await.contains("vm-00002"));
    let gone = connection.domain_get_info(&two).await.unwrap_err();
    assert_eq!(gone.code, ErrorCode::NoDomain);
    let descriptor = b"# Disk DescriptorFile\nversion=1\nRW 16384 VMFS \"made-flat.vmdk\"\n";
    sim.model().change(|m| assert!(m.add_file("datastore1", "made/made.vmdk", descriptor)));
    let flags = DomainDefineFlags::empty();
    connection.domain_define_xml_flags(MADE, flags).await.unwrap();
    assert!(names(&connection).await.contains("made"));
    assert_eq!(connection.live_view().state, LiveViewState::Live, "all the time");
}

/// What a read after a change costs: the wait that is ended, its end, and one look.
#[tokio::test]
async fn a_read_after_a_change_takes_three_requests_and_the_next_none() {
    let sim = Simulator::builder().vms(1).start().await.unwrap();
    let connection = warm(&sim).await;
    let one = connection.domain_lookup_by_name("vm-00001").await.unwrap();
    connection.domain_create(&one).await.unwrap();
    sim.reset_journal();
    assert_eq!(state(&connection, "vm-00001").await, DomainState::Running);
    let asked = methods(&sim);
    assert!(asked.len() <= 3 && requests_for_updates(&asked), "{asked:?}");
    list(&connection).await;
    assert_eq!(state(&connection, "vm-00001").await, DomainState::Running);
    assert_eq!(methods(&sim), [""; 0]);
}

#[tokio::test]
async fn a_cancelled_call_loses_no_mark() {
    let sim = Simulator::builder().vms(1).start().await.unwrap();
    sim.model().change(Model::hold_tasks);
    let connection = warm(&sim).await;
    let one = connection.domain_lookup_by_name("vm-00001").await.unwrap();
    let machine = sim.model().read(|m| m.machine("vm-00001")).unwrap();
    let create = connection.domain_create(&one);
    tokio::select! {
        result = create => panic!("the task is held: {result:?}"),
        () = sim.until(|m| m.task_of(&machine).is_some()) => {}
    }
    // The caller is gone, the task ends, and whoever reads now sees what it did.
    let task = sim.model().read(|m| m.task_of(&machine)).unwrap();
    assert!(sim.model().change(|m| m.finish_task(&task)));
    assert_eq!(state(&connection, "vm-00001").await, DomainState::Running);
    assert!(methods(&sim).iter().any(|method| method == "WaitForUpdatesEx"));
    // A read that is dropped while it waits takes nothing with it either.
    connection.domain_set_autostart(&one, true).await.unwrap();
    let read = connection.domain_get_autostart(&one);
    assert!(tokio::time::timeout(Duration::ZERO, read).await.is_err());
    assert!(connection.domain_get_autostart(&one).await.unwrap());
}

#[tokio::test]
async fn many_readers_and_one_writer_agree() {
    let sim = Simulator::builder().vms(4).start().await.unwrap();
    let connection = warm(&sim).await;
    let one = connection.domain_lookup_by_name("vm-00001").await.unwrap();
    let writer = async {
        for _ in 0..25 {
            connection.domain_create(&one).await.unwrap();
            assert_eq!(state(&connection, "vm-00001").await, DomainState::Running);
            connection.domain_destroy(&one).await.unwrap();
            assert_eq!(state(&connection, "vm-00001").await, DomainState::Shutoff);
        }
    };
    let reader = async || {
        for _ in 0..200 {
            list(&connection).await;
            tokio::task::yield_now().await;
        }
    };
    tokio::join!(writer, reader(), reader(), reader());
    assert_eq!(connection.live_view().state, LiveViewState::Live);
}

#[tokio::test]
async fn what_others_do_is_seen() {
    let sim = Simulator::builder().vms(3).start().await.unwrap();
    let connection = warm(&sim).await;
    let machine = sim.model().read(|m| m.machine("vm-00001")).unwrap();
    let was_on = state(&connection, "vm-00001").await == DomainState::Running;
    let (power, expected) = match was_on {
        true => (PowerState::PoweredOff, DomainState::Shutoff),
        false => (PowerState::PoweredOn, DomainState::Running),
    };
    sim.model().change(|m| m.set_power_state(&machine, power));
    eventually(&connection, async || state(&connection, "vm-00001").await == expected).await;
    sim.model().change(|m| m.add_machine("new/one"));
    eventually(&connection, async || names(&connection).await.contains("new/one")).await;
    let new = connection.domain_lookup_by_name("new/one").await.unwrap();
    sim.model().change(|m| m.rename(&machine, "renamed"));
    eventually(&connection, async || names(&connection).await.contains("renamed")).await;
    assert!(!names(&connection).await.contains("vm-00001"));
    let gone = sim.model().read(|m| m.machine("new/one")).unwrap();
    sim.model().change(|m| m.remove_machine(&gone));
    eventually(&connection, async || !names(&connection).await.contains("new/one")).await;
    assert_eq!(connection.domain_get_info(&new).await.unwrap_err().code, ErrorCode::NoDomain);
    let pool = connection.storage_pool_lookup_by_name("datastore1").await.unwrap();
    sim.model().change(|m| m.set_datastore_accessible("datastore1", false));
    eventually(&connection, async || {
        connection.storage_pool_get_info(&pool).await.unwrap().capacity == 0
    })
    .await;
    assert_eq!(connection.live_view().state, LiveViewState::Live);
}

fn plan(sim: &Running, text: &str) {
    let plan: FaultPlan = text.parse().unwrap();
    sim.set_plan(move |arrival| plan.react(arrival));
}

/// Updates that are told twice or late, and answers that break: the view is right all the same.
#[tokio::test]
async fn broken_late_and_repeated_updates() {
    for fault in [
        "duplicate @WaitForUpdatesEx #50%",
        "slow-head=30 @WaitForUpdatesEx #1+",
        "cut-processed @WaitForUpdatesEx #30%",
        "cut-body=200 @WaitForUpdatesEx #30%",
        "gzip @WaitForUpdatesEx #1+",
        "truncate @WaitForUpdatesEx #20%",
        "status=503,0 @WaitForUpdatesEx #30%",
    ] {
        let sim = Simulator::builder().vms(4).start().await.unwrap();
        plan(&sim, fault);
        let connection = open(&sim).await;
        let plain = connect(&sim, "").await;
        let one = connection.domain_lookup_by_name("vm-00001").await.unwrap();
        for round in 0..4 {
            let other = sim.model().read(|m| m.machine("vm-00002")).unwrap();
            let power = if round % 2 == 0 { PowerState::PoweredOn } else { PowerState::PoweredOff };
            sim.model().change(|m| m.set_power_state(&other, power));
            // Starting may itself meet the fault; what counts is that reads agree with the host afterwards.
            let _ = connection.domain_create(&one).await;
            let (found, expected) =
                (state(&connection, "vm-00001").await, state(&plain, "vm-00001").await);
            assert_eq!(found, expected, "{fault}, round {round}");
            let _ = connection.domain_destroy(&one).await;
            let (found, expected) =
                (state(&connection, "vm-00001").await, state(&plain, "vm-00001").await);
            assert_eq!(found, expected, "{fault}, round {round}");
        }
        sim.clear_plan();
        let same = async || everything(&connection).await == everything(&plain).await;
        eventually(&connection, same).await;
    }
}

#[tokio::test]
async fn five_thousand_machines_come_in_pages() {
    let sim = Simulator::builder().vms(5000).start().await.unwrap();
    let connection = open(&sim).await;
    sim.reset_journal();
    let listed = list(&connection).await;
    assert_eq!(listed.len(), sim.model().read(|m| m.machines().len()));
    let asked = methods(&sim);
    let pages = asked.iter().filter(|method| *method == "WaitForUpdatesEx").count();
    assert_eq!(pages, 3, "{asked:?}");
    assert!(asked.len() <= 6, "{asked:?}");
    let status = connection.live_view();
    assert_eq!(status.machines, listed.len());
    assert!(status.bytes / status.machines < 500, "{status:?}");
    for entry in listed.iter().filter(|entry| !entry.domain.uuid.is_nil()).take(1000) {
        connection.domain_get_info(&entry.domain).await.unwrap();
    }
    assert_eq!(methods(&sim), [""; 0]);
    // A batch of changes that needs pages, too.
    let machines = sim.model().read(Model::machines);
    sim.model().change(|m| {
        for machine in &machines {
            m.set_power_state(machine, PowerState::PoweredOn);
        }
    });
    eventually(&connection, async || {
        list(&connection).await.iter().all(|entry| entry.state != DomainState::Shutoff)
    })
    .await;
}

/// The host falls silent: the view says so, reads go to the host, and it comes back by itself.
#[tokio::test]
async fn stalled_updates_are_noticed_and_survived() {
    let sim = Simulator::builder().vms(2).start().await.unwrap();
    let quick = LiveViewOptions {
        longest_wait: Duration::from_secs(1),
        answer_within: Duration::from_millis(200),
    };
    let connection = open_with(&sim, quick).await;
    list(&connection).await;
    plan(&sim, "stall-head @WaitForUpdatesEx #1+");
    let down = until(&connection, |now| now.state == LiveViewState::Down).await;
    assert!(down.reason.is_some(), "{down:?}");
    let machine = sim.model().read(|m| m.machine("vm-00001")).unwrap();
    sim.model().change(|m| m.set_power_state(&machine, PowerState::PoweredOn));
    assert_eq!(state(&connection, "vm-00001").await, DomainState::Running, "the host is asked");
    sim.clear_plan();
    until(&connection, |now| now.state == LiveViewState::Live).await;
    sim.reset_journal();
    assert_eq!(state(&connection, "vm-00001").await, DomainState::Running);
    assert_eq!(methods(&sim), [""; 0]);
}

/// A wait that the host does not end, though asked to, is a stall as well: the read is answered by the host.
#[tokio::test]
async fn a_read_does_not_hang_with_the_updates() {
    let sim = Simulator::builder().vms(1).start().await.unwrap();
    let options =
        LiveViewOptions { answer_within: Duration::from_millis(300), ..LiveViewOptions::default() };
    let connection = open_with(&sim, options).await;
    list(&connection).await;
    let one = connection.domain_lookup_by_name("vm-00001").await.unwrap();
    connection.domain_create(&one).await.unwrap();
    plan(&sim, "stall-head @CancelWaitForUpdates #1+; stall-head @WaitForUpdatesEx #1+");
    let read = state(&connection, "vm-00001");
    let found = tokio::time::timeout(NEVER, read).await.expect("hangs");
    assert_eq!(found, DomainState::Running);
    assert_ne!(connection.live_view().state, LiveViewState::Live);
}

#[tokio::test]
async fn a_session_that_is_opened_again_takes_the_view_along() {
    let sim = Simulator::builder().vms(2).start().await.unwrap();
    let connection = warm(&sim).await;
    let machine = sim.model().read(|m| m.machine("vm-00001")).unwrap();
    for round in 0..3 {
        let power = if round % 2 == 0 { PowerState::PoweredOn } else { PowerState::PoweredOff };
        sim.model().change(|m| {
            m.expire_sessions();
            m.set_power_state(&machine, power);
        });
        // Somebody notices, and from then on no read is answered from before.
        connection.node_get_free_memory().await.unwrap();
        let expected = if round % 2 == 0 { DomainState::Running } else { DomainState::Shutoff };
        assert_eq!(state(&connection, "vm-00001").await, expected);
        until(&connection, |now| now.state == LiveViewState::Live).await;
        assert_eq!(state(&connection, "vm-00001").await, expected);
    }
    assert_eq!(sim.model().read(|m| m.session_count()), 1);
}

#[tokio::test]
async fn closing_leaves_one_logout_and_nothing_behind() {
    let sim = Simulator::builder().vms(2).start().await.unwrap();
    let connection = warm(&sim).await;
    connection.close().await.unwrap();
    assert_eq!(methods(&sim), ["Logout"]);
    assert_eq!(sim.model().read(|m| m.session_count()), 0);
    assert_eq!(connection.live_view().state, LiveViewState::Closed);
    assert!(connection.connect_list_all_domains(ALL).await.is_err());
}
