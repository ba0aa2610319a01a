//! A killed connection, a restarted host, an ended session in the middle of each kind of task: nothing is started twice, and
//! the call is completed or fails with a fitting code. The simulator's journal and its tasks are the proof.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::common::options;
use esx_driver::Connection;
use esx_sim::model::{Model, TaskState};
use esx_sim::{Arrival, PowerState, Preset, Reaction, Running, Simulator};
use virt_api::{
    Definitions, Domain, ErrorCode, Hypervisor as _, MigrateFlags, Result, Snapshot,
    SnapshotCreateFlags, SnapshotDeleteFlags, SnapshotRevertFlags, Snapshots,
};

/// A kind of task: how it is started, and the method that starts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Start,
    Destroy,
    Reconfigure,
    CreateSnapshot,
    Revert,
    DeleteSnapshot,
    Migrate,
    Register,
}

const KINDS: [Kind; 8] = [
    Kind::Start,
    Kind::Destroy,
    Kind::Reconfigure,
    Kind::CreateSnapshot,
    Kind::Revert,
    Kind::DeleteSnapshot,
    Kind::Migrate,
    Kind::Register,
];

impl Kind {
    fn method(self) -> &'static str {
        match self {
            Self::Start => "PowerOnVM_Task",
            Self::Destroy => "PowerOffVM_Task",
            Self::Reconfigure => "ReconfigVM_Task",
            Self::CreateSnapshot => "CreateSnapshot_Task",
            Self::Revert => "RevertToSnapshot_Task",
            Self::DeleteSnapshot => "RemoveSnapshot_Task",
            Self::Migrate => "MigrateVM_Task",
            Self::Register => "RegisterVM_Task",
        }
    }
}

struct Scene {
    sim: Running,
    connection: Connection,
    domain: Domain,
    kind: Kind,
}

/// Long enough that only a hang gets there.
const HANG: std::time::Duration = std::time::Duration::from_secs(30);

const NEW: &str = "<domain type='vmware'><name>new01</name><memory unit='MiB'>512</memory><vcpu>1</vcpu>\
                   <os><type arch='x86_64'>hvm</type></os><devices><disk type='file' device='disk'>\
                   <source file='[datastore1] web01/web01.vmdk'/><target dev='hda' bus='ide'/></disk></devices></domain>";

impl Scene {
    async fn new(kind: Kind) -> Self {
        let preset = if kind == Kind::Migrate { Preset::VCenter } else { Preset::Esx };
        let sim = Simulator::builder().preset(preset).start().await.unwrap();
        let connection = esx_driver::open(&sim.uri(), options(sim.password())).await.unwrap();
        let domain = connection.domain_lookup_by_name("web01").await.unwrap();
        if matches!(kind, Kind::Start | Kind::Reconfigure) {
            let machine = sim.model().read(|m| m.machine("web01")).unwrap();
            sim.model().change(|m| m.set_power_state(&machine, PowerState::PoweredOff));
        }
        sim.reset_journal();
        Self { sim, connection, domain, kind }
    }

    async fn run(&self) -> Result<()> {
        let ended = tokio::time::timeout(HANG, self.operate()).await;
        ended.unwrap_or_else(|_| panic!("{:?} hangs", self.kind))
    }

    async fn operate(&self) -> Result<()> {
        let (connection, domain) = (&self.connection, &self.domain);
        let snapshot = |name: &str| Snapshot { domain: domain.clone(), name: name.to_owned() };
        match self.kind {
            Kind::Start => connection.domain_create(domain).await.map(|_| ()),
            Kind::Destroy => connection.domain_destroy(domain).await,
            Kind::Reconfigure => connection.domain_set_vcpus(domain, 2).await,
            Kind::CreateSnapshot => {
                let xml = "<domainsnapshot><name>new</name></domainsnapshot>";
                let flags = SnapshotCreateFlags::empty();
                connection.domain_snapshot_create_xml(domain, xml, flags).await.map(|_| ())
            }
            Kind::Revert => {
                let flags = SnapshotRevertFlags::empty();
                connection.domain_revert_to_snapshot(&snapshot("before update"), flags).await
            }
            Kind::DeleteSnapshot => {
                let flags = SnapshotDeleteFlags::empty();
                connection.domain_snapshot_delete(&snapshot("failed try"), flags).await
            }
            Kind::Migrate => {
                let uri = "vpxmigr://127.0.0.1/resgroup-23/host-22";
                let flags = MigrateFlags::LIVE;
                connection.domain_migrate_perform(domain, &[], uri, flags, None, 0).await
            }
            Kind::Register => connection.domain_define_xml(NEW).await.map(|_| ()),
        }
    }

    /// How often the operation was sent, and how often the host took it up.
    fn sent(&self) -> (usize, usize) {
        let method = self.kind.method();
        let sent = self.sim.journal().iter().filter(|entry| entry.method == method).count();
        let started = self.sim.model().read(|m| {
            let tasks = m.tasks();
            tasks.iter().filter(|task| m.task_method(task) == Some(method)).count()
        });
        (sent, started)
    }

    /// Whether every task of the operation has ended well.
    fn is_done(&self) -> bool {
        self.sim
            .model()
            .read(|m| m.tasks().iter().all(|task| m.task_state(task) == Some(TaskState::Success)))
    }
}

/// Reacts to the n-th request (from 0) of a method, counted from the first time the operation was seen if `after` says so.
fn on(
    kind: Kind,
    method: &'static str,
    nth: std::ops::Range<usize>,
    after: bool,
    reaction: Reaction,
) -> impl Fn(&Arrival) -> Reaction + Send + Sync {
    let (begun, seen) = (AtomicUsize::new(0), AtomicUsize::new(0));
    move |arrival| {
        let named = arrival.method.as_deref();
        if named == Some(kind.method()) {
            begun.fetch_add(1, Ordering::SeqCst);
        }
        let counts = named == Some(method) && (!after || begun.load(Ordering::SeqCst) > 0);
        match counts && nth.contains(&seen.fetch_add(usize::from(counts), Ordering::SeqCst)) {
            true => reaction.clone(),
            false => Reaction::Serve,
        }
    }
}

/// An error that says what happened to the connection, not that all is well or that the domain is gone.
fn is_fitting(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::NoConnect
            | ErrorCode::HttpError
            | ErrorCode::OperationFailed
            | ErrorCode::OperationTimeout
    )
}

#[tokio::test]
async fn an_operation_whose_answer_is_lost_is_not_sent_again() {
    for kind in KINDS {
        for (reaction, taken) in [
            (Reaction::Hangup { served: false }, 0),
            (Reaction::Hangup { served: true }, 1),
            (Reaction::CutAnswer { after: 40 }, 1),
            (Reaction::Refuse { status: 503, retry_after: Some(0) }, 0),
        ] {
            let scene = Scene::new(kind).await;
            scene.sim.set_plan(on(kind, kind.method(), 0..1, false, reaction.clone()));
            let error = scene.run().await.expect_err("nobody knows what became of it");
            assert!(is_fitting(error.code), "{kind:?} {reaction:?}: {:?}", error.code);
            let sent = if matches!(reaction, Reaction::Refuse { .. }) { 0 } else { 1 };
            assert_eq!(scene.sent(), (sent, taken), "{kind:?} {reaction:?}");
        }
    }
}

#[tokio::test]
async fn a_session_that_has_ended_before_the_operation_costs_a_login_and_nothing_else() {
    for kind in KINDS {
        let scene = Scene::new(kind).await;
        scene.sim.set_plan(on(kind, kind.method(), 0..1, false, Reaction::ExpireSessions));
        let result = scene.run().await;
        // The host that does not know the session has not begun; the second time it does.
        let (sent, started) = scene.sent();
        assert!(sent <= 2 && started <= 1, "{kind:?}");
        match result {
            Ok(()) => assert_eq!((started, scene.is_done()), (1, true), "{kind:?}"),
            Err(error) => panic!("{kind:?}: {:?}", error.chain().collect::<Vec<_>>()),
        }
        let refused = scene
            .sim
            .journal()
            .into_iter()
            .filter(|entry| entry.method == kind.method() && entry.status != 200);
        assert_eq!(refused.count(), sent - 1, "{kind:?}");
    }
}

/// The collector goes with the session that made it: the look before the start begins anew with another one.
#[tokio::test]
async fn a_session_that_ends_under_the_first_look_costs_a_collector_and_nothing_else() {
    for kind in KINDS {
        for method in ["CreatePropertyCollector", "CreateFilter", "WaitForUpdatesEx"] {
            // Once more with the second collector, too.
            for nth in [0..1, 0..2, 1..2] {
                let scene = Scene::new(kind).await;
                let plan = on(kind, method, nth.clone(), false, Reaction::ExpireSessions);
                scene.sim.set_plan(plan);
                let result = scene.run().await;
                let told = result.as_ref().err().map(|e| e.chain().collect::<Vec<_>>());
                // A call that loses its session twice is given up: never a third time.
                let twice = told.iter().flatten().any(|line| line.contains("NotAuthenticated"));
                let (sent, started) = scene.sent();
                assert!(started == sent && sent <= 1, "{kind:?} {method} {nth:?}");
                if nth == (0..2) && twice {
                    continue;
                }
                assert!(result.is_ok(), "{kind:?} {method} {nth:?}: {told:?}");
                assert_eq!((started, scene.is_done()), (1, true), "{kind:?} {method} {nth:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_wait_that_breaks_is_taken_up_again() {
    for kind in KINDS {
        for reaction in [
            Reaction::Hangup { served: false },
            Reaction::Hangup { served: true },
            Reaction::CutAnswer { after: 300 },
            Reaction::ExpireSessions,
        ] {
            let scene = Scene::new(kind).await;
            scene.sim.set_plan(on(kind, "WaitForUpdatesEx", 0..1, true, reaction.clone()));
            let result = scene.run().await;
            assert!(
                result.is_ok(),
                "{kind:?} {reaction:?}: {:?}",
                result.err().map(|e| e.chain().collect::<Vec<_>>())
            );
            assert_eq!((scene.sent(), scene.is_done()), ((1, 1), true), "{kind:?} {reaction:?}");
        }
    }
}

#[tokio::test]
async fn a_host_that_restarts_meanwhile_and_keeps_its_tasks_completes_the_call() {
    for kind in KINDS {
        let scene = Scene::new(kind).await;
        // It is away for two requests, whatever they are, and has forgotten the sessions.
        let (begun, away) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let shut = move |arrival: &Arrival| {
            if arrival.method.as_deref() == Some(kind.method()) {
                begun.store(1, Ordering::SeqCst);
                return Reaction::Serve;
            }
            match begun.load(Ordering::SeqCst) {
                0 => Reaction::Serve,
                _ => match away.fetch_add(1, Ordering::SeqCst) {
                    0 | 1 => Reaction::Hangup { served: false },
                    2 => Reaction::ExpireSessions,
                    _ => Reaction::Serve,
                },
            }
        };
        scene.sim.set_plan(shut);
        let result = scene.run().await;
        assert!(
            result.is_ok(),
            "{kind:?}: {:?}",
            result.err().map(|e| e.chain().collect::<Vec<_>>())
        );
        assert_eq!((scene.sent(), scene.is_done()), ((1, 1), true), "{kind:?}");
    }
}

#[tokio::test]
async fn a_host_that_restarts_and_forgets_its_tasks_leaves_an_error() {
    for kind in KINDS {
        let scene = Scene::new(kind).await;
        scene.sim.model().change(|model| {
            model.hold_tasks();
            model.before(kind.method(), |model: &mut Model| {
                model.before("WaitForUpdatesEx", |model| {
                    for task in model.tasks() {
                        model.forget_task(&task);
                    }
                    model.expire_sessions();
                    // Whatever the driver does to clean up.
                    model.release_tasks();
                });
            });
        });
        let error = scene.run().await.expect_err("nobody knows what became of it");
        assert_eq!(error.code, ErrorCode::OperationFailed, "{kind:?}");
        let told = error.chain().collect::<Vec<_>>().join(": ");
        assert!(told.contains("vanished"), "{kind:?}: {told}");
        assert_eq!(scene.sent(), (1, 0), "{kind:?}");
    }
}

#[tokio::test]
async fn what_breaks_before_the_operation_starts_nothing_twice() {
    for kind in KINDS {
        for method in ["CreatePropertyCollector", "CreateFilter", "WaitForUpdatesEx"] {
            for served in [false, true] {
                let scene = Scene::new(kind).await;
                let reaction = Reaction::Hangup { served };
                scene.sim.set_plan(on(kind, method, 0..1, false, reaction));
                let result = scene.run().await;
                let (sent, started) = scene.sent();
                assert!(sent <= 1 && started == sent, "{kind:?} {method}");
                match result {
                    Ok(()) => assert!(started == 1 && scene.is_done(), "{kind:?} {method}"),
                    Err(error) => assert!(is_fitting(error.code), "{kind:?} {method} {error:?}"),
                }
            }
        }
    }
}

#[tokio::test]
async fn what_breaks_after_the_end_is_of_no_interest() {
    for kind in KINDS {
        let scene = Scene::new(kind).await;
        let reaction = Reaction::Hangup { served: false };
        scene.sim.set_plan(on(kind, "DestroyPropertyFilter", 0..1, true, reaction));
        let result = scene.run().await;
        assert!(result.is_ok(), "{kind:?}: {:?}", result.err());
        assert_eq!((scene.sent(), scene.is_done()), ((1, 1), true), "{kind:?}");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_given_again_and_the_task_is_not() {
    for served in [false, true] {
        let sim = Simulator::builder().start().await.unwrap();
        let uri = format!("{}&auto_answer=1", sim.uri());
        let connection = esx_driver::open(&uri, options(sim.password())).await.unwrap();
        let domain = connection.domain_lookup_by_name("console01").await.unwrap();
        sim.model().change(|m| m.add_file("datastore1", "console01/serial.log", b"booting"));
        sim.reset_journal();
        sim.set_plan(on(Kind::Start, "AnswerVM", 0..1, true, Reaction::Hangup { served }));
        connection.domain_create(&domain).await.unwrap();
        let calls = |method| sim.journal().iter().filter(|e| e.method == method).count();
        assert_eq!(calls("PowerOnVM_Task"), 1);
        assert!((1..=2).contains(&calls("AnswerVM")));
        let machine = sim.model().read(|m| m.machine("console01")).unwrap();
        assert_eq!(sim.model().read(|m| m.power_state(&machine)), Some(PowerState::PoweredOn));
    }
}
