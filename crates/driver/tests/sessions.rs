//! Sessions that the host ends.

use crate::common::{connect, methods};
use esx_sim::Simulator;
use virt_api::{
    Definitions, DomainSelector, DomainXmlFlags, Driver as _, Hypervisor as _, ListAllDomainsFlags,
};

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
/// does not work (spec `connection.md` 3.3). The simulated vCenter does not know a host at 127.0.0.1, but one with this hardware.
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
        esx_driver::open(&uri, crate::common::options(host.password()))
            .await
            .err()
            .unwrap()
            .to_string()
    };
    assert!(open("*").await.contains("not managed"), "the host has no manager");
    let system = esx_vi_api::MoRef::new("HostSystem", "ha-host");
    assert!(host.model().change(|m| m.set_managed_by(&system, Some("127.0.0.2"))));
    assert!(open("127.0.0.3").await.contains("managed by the vCenter 127.0.0.2"));
    assert_eq!(vcenter.requests(), 0);
    let found = format!("{}&vcenter=*", host.uri());
    let found = esx_driver::open(&found, crate::common::options(host.password())).await.unwrap();
    assert_eq!(methods(&vcenter), ["RetrieveServiceContent", "Login", "FindByIp", "FindByUuid"]);
    found.close().await.unwrap();
    let no_such = esx_sim::model::Fault::new("NotFound", "no such hardware");
    vcenter.model().change(|m| m.refuse_method("FindByUuid", Some(no_such)));
    for query in ["*", "127.0.0.2"] {
        vcenter.reset_journal();
        assert!(open(query).await.contains("cannot find the host in its vCenter"), "{query}");
        let asked = methods(&vcenter);
        assert_eq!(asked, ["RetrieveServiceContent", "Login", "FindByIp", "FindByUuid", "Logout"]);
    }
    for sim in [&host, &vcenter] {
        assert_eq!(sim.model().read(|m| m.session_count()), 0);
    }
}

/// Server fact 3: `NotAuthenticated` may mean that a privilege is missing. Then there is no login, and no loop.
#[tokio::test]
async fn a_missing_privilege_is_no_reason_to_log_in() {
    let sim = Simulator::builder().start().await.unwrap();
    let connection = connect(&sim, "").await;
    let domain = connection.domain_lookup_by_name("twin-b").await.unwrap();
    let privilege = "VirtualMachine.Interact.PowerOn";
    sim.model().change(|m| m.deny_privilege_as_not_authenticated(privilege));
    sim.reset_journal();
    let error = connection
        .domain_create_with_flags(&domain, virt_api::DomainCreateFlags::empty())
        .await
        .unwrap_err();
    assert_eq!(error.code, virt_api::ErrorCode::OperationDenied);
    assert!(error.to_string().contains(privilege), "{error}");
    let asked = methods(&sim);
    let count = |method: &str| asked.iter().filter(|m| *m == method).count();
    assert_eq!((count("PowerOnVM_Task"), count("Login")), (1, 0), "{asked:?}");
    // The session is as good as before.
    connection.connect_list_all_domains(ALL).await.unwrap();
    connection.close().await.unwrap();
    assert_eq!(sim.model().read(|m| m.session_count()), 0);
}

/// The same where no task is started: the call itself is refused, once, however many ask.
#[tokio::test]
async fn a_missing_privilege_without_a_task_makes_no_loop() {
    let sim = Simulator::builder().start().await.unwrap();
    let connection = connect(&sim, "").await;
    let domain = connection.domain_lookup_by_name("twin-b").await.unwrap();
    connection.domain_get_autostart(&domain).await.unwrap();
    for privilege in ["VirtualMachine.Inventory.Unregister", "Host.Config.AutoStart"] {
        sim.model().change(|m| m.deny_privilege_as_not_authenticated(privilege));
    }
    sim.reset_journal();
    let (one, two, three) = tokio::join!(
        connection.domain_undefine(&domain),
        connection.domain_undefine(&domain),
        connection.domain_set_autostart(&domain, true),
    );
    for (result, privilege) in [(one, "Unregister"), (two, "Unregister"), (three, "AutoStart")] {
        let error = result.unwrap_err();
        assert_eq!(error.code, virt_api::ErrorCode::OperationDenied);
        assert!(error.to_string().contains(privilege), "{error}");
    }
    let asked = methods(&sim);
    let count = |method: &str| asked.iter().filter(|m| *m == method).count();
    assert_eq!(
        (count("UnregisterVM"), count("ReconfigureAutostart"), count("Login")),
        (2, 1, 0),
        "{asked:?}"
    );
    connection.close().await.unwrap();
    assert_eq!(sim.model().read(|m| m.session_count()), 0);
}

#[tokio::test]
async fn an_idle_session_is_touched_only_when_that_is_asked_for() {
    let sim = std::sync::Arc::new(Simulator::builder().start().await.unwrap());
    let connection = connect(&sim, "&keepalive=0.01").await;
    let other = connect(&sim, "").await;
    sim.reset_journal();
    while sim.requests() < 3 {
        tokio::task::yield_now().await;
    }
    let journal = sim.journal();
    assert!(journal.iter().all(|entry| entry.method == "CurrentTime"), "{journal:?}");
    let session = journal[0].session.clone();
    assert!(journal.iter().all(|entry| entry.session == session), "the other one is left alone");
    connection.close().await.unwrap();
    other.close().await.unwrap();
    assert_eq!(sim.model().read(|m| m.session_count()), 0);
}

/// Sessions in memory, and how often one was asked for.
#[derive(Default)]
struct Memory(std::sync::Mutex<std::collections::HashMap<String, virt_api::Secret>>);

impl esx_driver::SessionStore for Memory {
    fn load(&self, key: &esx_driver::SessionKey) -> Option<virt_api::Secret> {
        self.0.lock().unwrap().get(&key.endpoint).cloned()
    }
    fn save(&self, key: &esx_driver::SessionKey, session: &virt_api::Secret) {
        assert_eq!(key.user, "user");
        self.0.lock().unwrap().insert(key.endpoint.clone(), session.clone());
    }
    fn remove(&self, key: &esx_driver::SessionKey) {
        self.0.lock().unwrap().remove(&key.endpoint);
    }
}

#[tokio::test]
async fn a_saved_session_serves_the_next_connection() {
    let sim = Simulator::builder().start().await.unwrap();
    let memory = std::sync::Arc::new(Memory::default());
    let open = async || {
        let options = esx_driver::OpenOptions {
            sessions: Some(memory.clone()),
            ..crate::common::options(sim.password())
        };
        esx_driver::open(&sim.uri(), options).await.unwrap()
    };
    let count = || sim.model().read(|m| m.session_count());
    for expected in [
        &["RetrieveServiceContent", "Login", "RetrievePropertiesEx"][..],
        &["RetrieveServiceContent", "RetrieveProperties", "RetrievePropertiesEx"],
    ] {
        let connection = open().await;
        connection.connect_list_all_domains(ALL).await.unwrap();
        connection.close().await.unwrap();
        assert_eq!(methods(&sim), expected);
        assert_eq!(count(), 1);
    }
    // A session that the host does not know any more is replaced, and one that ends later as well.
    sim.model().change(|m| m.expire_sessions());
    let connection = open().await;
    sim.model().change(|m| m.expire_sessions());
    connection.connect_list_all_domains(ALL).await.unwrap();
    connection.close().await.unwrap();
    assert_eq!(count(), 1);
    // Of two that start at once without one, one logs out in the end.
    sim.model().change(|m| m.expire_sessions());
    let (one, two) = (open().await, open().await);
    assert_eq!(count(), 2);
    one.close().await.unwrap();
    two.close().await.unwrap();
    assert_eq!(count(), 1);
    sim.reset_journal();
    open().await.close().await.unwrap();
    assert!(!methods(&sim).contains(&"Login".to_owned()));
}

#[tokio::test]
async fn the_time_for_everything_ends_but_the_logout_is_sent() {
    let sim = Simulator::builder().start().await.unwrap();
    let connection = connect(&sim, "&total_timeout=0.3").await;
    let error = loop {
        if let Err(error) = connection.connect_list_all_domains(ALL).await {
            break error;
        }
    };
    assert_eq!(error.code, virt_api::ErrorCode::OperationTimeout, "{error:?}");
    let text = error.chain().collect::<Vec<_>>().join(": ");
    assert!(text.contains("did not do everything that was asked of it within 0.3 s"), "{text}");
    connection.close().await.unwrap();
    assert_eq!(sim.model().read(|m| m.session_count()), 0);
}

/// A connection that breaks costs a read a second try, and a change none.
#[tokio::test]
async fn broken_connections_and_busy_hosts() {
    use esx_sim::Reaction;
    let sim = Simulator::builder().vms(3).start().await.unwrap();
    let connection = connect(&sim, "").await;
    let domain = connection.domain_lookup_by_name("twin-b").await.unwrap();
    let once = |reaction: Reaction| {
        let waiting = std::sync::Mutex::new(Some(reaction));
        sim.set_plan(move |_| waiting.lock().unwrap().take().unwrap_or(Reaction::Serve));
    };
    for reaction in [
        Reaction::Hangup { served: false },
        Reaction::Hangup { served: true },
        Reaction::CutAnswer { after: 0 },
        Reaction::CutAnswer { after: 100 },
        Reaction::Refuse { status: 503, retry_after: Some(0) },
    ] {
        once(reaction.clone());
        let listed = connection.connect_list_all_domains(ALL).await;
        assert!(listed.is_ok(), "{reaction:?}: {listed:?}");
        once(reaction.clone());
        assert!(connection.connect_is_alive().await.unwrap(), "{reaction:?}");
    }
    // Who names a long time is not waited for.
    once(Reaction::Refuse { status: 503, retry_after: Some(3600) });
    let error = connection.connect_list_all_domains(ALL).await.unwrap_err();
    assert_eq!(error.code, virt_api::ErrorCode::HttpError);
    sim.reset_journal();
    let task = std::sync::Mutex::new(0);
    sim.set_plan(move |arrival| {
        let mut posts = task.lock().unwrap();
        *posts += 1;
        // Collector, filter, look, start.
        if *posts == 4 && arrival.line.starts_with("POST") {
            Reaction::Hangup { served: true }
        } else {
            Reaction::Serve
        }
    });
    let flags = virt_api::DomainCreateFlags::empty();
    let error = connection.domain_create_with_flags(&domain, flags).await.unwrap_err();
    assert!(error.chain().any(|line| line.contains("closed the connection")), "{error:?}");
    assert_eq!(sim.model().read(|m| m.tasks().len()), 1, "started once");
}

/// The collector that the first operation has left went with its session; the second must not use it.
#[tokio::test]
async fn an_operation_after_the_end_of_the_session_finds_its_machine() {
    let sim = Simulator::builder().start().await.unwrap();
    let connection = connect(&sim, "").await;
    let domain = connection.domain_lookup_by_name("web01").await.unwrap();
    connection.domain_suspend(&domain).await.unwrap();
    sim.model().change(|model| model.expire_sessions());
    connection.domain_resume(&domain).await.unwrap();
    let methods = methods(&sim);
    assert_eq!(
        methods.iter().filter(|method| *method == "PowerOnVM_Task").count(),
        1,
        "{methods:?}"
    );
}

/// Long enough that only what never comes gets there.
const NEVER: std::time::Duration = std::time::Duration::from_secs(30);

/// Lets `Login` be answered late, and tells when one has arrived.
fn slow_logins(sim: &esx_sim::Running) -> tokio::sync::mpsc::UnboundedReceiver<()> {
    let (seen, arrived) = tokio::sync::mpsc::unbounded_channel();
    sim.set_plan(move |arrival| match arrival.method.as_deref() {
        Some("Login") => {
            let _ = seen.send(());
            esx_sim::Reaction::DelayAnswer { by: std::time::Duration::from_millis(50) }
        }
        _ => esx_sim::Reaction::Serve,
    });
    arrived
}

/// Who stops waiting while the session is being opened again must not leave one that nobody knows.
#[tokio::test]
async fn a_login_goes_on_when_the_call_that_needed_it_is_given_up() {
    let sim = Simulator::builder().start().await.unwrap();
    let connection = connect(&sim, "").await;
    sim.model().change(|m| m.expire_sessions());
    sim.reset_journal();
    let mut arrived = slow_logins(&sim);
    let call = {
        let connection = connection.clone();
        tokio::spawn(async move { connection.connect_list_all_domains(ALL).await.map(|_| ()) })
    };
    arrived.recv().await.unwrap();
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    // The next call finds the session that was being opened.
    connection.connect_list_all_domains(ALL).await.unwrap();
    assert_eq!(methods(&sim).iter().filter(|method| *method == "Login").count(), 1);
    connection.close().await.unwrap();
    assert_eq!(sim.model().read(|m| m.session_count()), 0);
}

#[tokio::test]
async fn an_opening_that_is_given_up_leaves_no_session() {
    let ended = async |sim: &esx_sim::Running| {
        let nobody = sim.until(|m| m.session_count() == 0);
        tokio::time::timeout(NEVER, nobody).await.expect("a session was left behind");
    };
    // While it logs in.
    let sim = std::sync::Arc::new(Simulator::builder().start().await.unwrap());
    let mut arrived = slow_logins(&sim);
    let uri = sim.uri();
    let options = crate::common::options(sim.password());
    let opening = tokio::spawn(async move { esx_driver::open(&uri, options).await.map(|_| ()) });
    arrived.recv().await.unwrap();
    opening.abort();
    tokio::time::timeout(NEVER, sim.until(|m| m.session_count() == 1)).await.unwrap();
    ended(&sim).await;
    // While it looks for the host in a vCenter's inventory.
    let vcenter = Simulator::builder().preset(esx_sim::Preset::VCenter).start().await.unwrap();
    let (seen, mut arrived) = tokio::sync::mpsc::unbounded_channel();
    vcenter.set_plan(move |arrival| match arrival.method.as_deref() {
        Some("Logout" | "Login" | "RetrieveServiceContent") => esx_sim::Reaction::Serve,
        _ => {
            let _ = seen.send(());
            esx_sim::Reaction::DelayAnswer { by: NEVER }
        }
    });
    let (uri, options) = (vcenter.uri(), crate::common::options(vcenter.password()));
    let opening = tokio::spawn(async move { esx_driver::open(&uri, options).await.map(|_| ()) });
    arrived.recv().await.unwrap();
    assert_eq!(vcenter.model().read(|m| m.session_count()), 1);
    opening.abort();
    ended(&vcenter).await;
}

/// Each limit of the URI ends what it is about, with an error that names it, and the connection lives on.
#[tokio::test]
async fn limits_of_the_uri_end_calls() {
    use esx_sim::Reaction;
    let after = |bytes| Reaction::StallAnswer { after: bytes };
    for (query, reaction, told) in [
        ("&idle_timeout=0.3", Reaction::DelayAnswer { by: NEVER }, "did not reply within 0.3 s"),
        ("&idle_timeout=0.3", after(40), "sent no more of its reply within 0.3 s"),
        ("&call_timeout=0.3", Reaction::EndlessAnswer, "within 0.3 s"),
        ("&call_timeout=0.3&idle_timeout=0", Reaction::DelayAnswer { by: NEVER }, "within 0.3 s"),
        ("&total_timeout=1.5", Reaction::DelayAnswer { by: NEVER }, "within 1.5 s"),
    ] {
        let sim = Simulator::builder().start().await.unwrap();
        let connection = connect(&sim, query).await;
        let stuck = reaction.clone();
        sim.set_plan(move |arrival| match arrival.method.as_deref() {
            Some("RetrievePropertiesEx") => stuck.clone(),
            _ => Reaction::Serve,
        });
        let listing = tokio::time::timeout(NEVER, connection.connect_list_all_domains(ALL));
        let error = listing.await.expect("it hangs").unwrap_err();
        assert_eq!(error.code, virt_api::ErrorCode::OperationTimeout, "{query}: {error:?}");
        let text = error.chain().collect::<Vec<_>>().join(": ");
        assert!(text.contains(told), "{query}: {text}");
        sim.clear_plan();
        let again = connection.connect_list_all_domains(ALL).await;
        assert_eq!(again.is_ok(), !query.contains("total"), "{query}: {again:?}");
        connection.close().await.unwrap();
        assert_eq!(sim.model().read(|m| m.session_count()), 0);
    }
}

/// A host that stops in the middle of an update is not waited for as long as one that has no news.
#[tokio::test]
async fn an_update_that_breaks_off_is_noticed_within_the_usual_silence() {
    use esx_sim::Reaction;
    let sim = Simulator::builder().start().await.unwrap();
    let connection = connect(&sim, "&idle_timeout=0.3").await;
    let domain = connection.domain_lookup_by_name("twin-b").await.unwrap();
    for (reaction, told) in [
        (Reaction::StallAnswer { after: 40 }, "sent no more of its reply within 0.3 s"),
        // The look before the start waits for nothing.
        (Reaction::DelayAnswer { by: NEVER }, "did not reply within 0.3 s"),
    ] {
        sim.set_plan(move |arrival| match arrival.method.as_deref() {
            Some("WaitForUpdatesEx") => reaction.clone(),
            _ => Reaction::Serve,
        });
        let starting = tokio::time::timeout(NEVER, connection.domain_create(&domain));
        let error = starting.await.expect("it hangs").unwrap_err();
        let text = error.chain().collect::<Vec<_>>().join(": ");
        assert!(text.contains(told), "{text}");
        assert_eq!(sim.model().read(|m| m.tasks().len()), 0, "nothing was started");
    }
}
