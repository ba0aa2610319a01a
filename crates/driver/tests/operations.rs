//! Operations of the driver on the simulated host: what they change there, and how many requests they take.

use crate::common::{connect, methods};
use esx_driver::{Connection, LiveViewOptions, OpenOptions};
use esx_sim::model::{Model, TaskState};
use esx_sim::{PowerState, Preset, Running, Simulator};
use uuid::Uuid;
use virt_api::{
    Definitions, Domain, DomainState, DomainStatsFlags, DomainStatsTypes, DomainXmlFlags,
    ErrorCode, Hypervisor as _, NoFlags, SnapshotCreateFlags, SnapshotDeleteFlags,
    SnapshotListFlags, SnapshotRevertFlags, Snapshots, TypedParam,
};

/// A host, a connection, and a machine that the connection has looked up.
struct Scene {
    sim: Running,
    connection: Connection,
    domain: Domain,
}

impl Scene {
    async fn new(query: &str) -> Self {
        let sim = Simulator::builder().vms(3).start().await.unwrap();
        let connection = connect(&sim, query).await;
        let domain = connection.domain_lookup_by_name("vm-00001").await.unwrap();
        sim.reset_journal();
        Self { sim, connection, domain }
    }

    fn power(&self) -> PowerState {
        let machine = self.sim.model().read(|m| m.machine(&self.domain.name)).unwrap();
        self.sim.model().read(|m| m.power_state(&machine)).unwrap()
    }

    /// The machine's VMX file has this line.
    fn assert_line(&self, line: &str) {
        let machine = self.sim.model().read(|m| m.machine(&self.domain.name)).unwrap();
        let text = self.sim.model().read(|m| m.vmx(&machine)).unwrap();
        assert!(text.lines().any(|own| own == line), "{line}\n{text}");
    }

    async fn snapshot_names(&self) -> Vec<String> {
        let flags = SnapshotListFlags::empty();
        let found = self.connection.domain_list_all_snapshots(&self.domain, flags).await.unwrap();
        found.into_iter().map(|snapshot| snapshot.name).collect()
    }
}

/// An error as programs print it: with its causes.
fn told(error: &virt_api::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text.push_str(&format!(": {inner}"));
        cause = inner.source();
    }
    text
}

#[tokio::test]
async fn a_life() {
    let scene = Scene::new("").await;
    let (connection, domain) = (&scene.connection, &scene.domain);
    let running = connection.domain_create(domain).await.unwrap();
    assert!(running.id.is_some());
    assert_eq!(scene.power(), PowerState::PoweredOn);
    let again = connection.domain_create(domain).await.unwrap_err();
    assert_eq!(again.code, ErrorCode::OperationInvalid);
    connection.domain_suspend(domain).await.unwrap();
    assert_eq!(scene.power(), PowerState::Suspended);
    assert_eq!(
        connection.domain_suspend(domain).await.unwrap_err().code,
        ErrorCode::OperationInvalid
    );
    connection.domain_resume(domain).await.unwrap();
    assert_eq!(scene.power(), PowerState::PoweredOn);
    connection.domain_reset(domain, NoFlags::empty()).await.unwrap();
    connection.domain_shutdown(domain).await.unwrap();
    assert_eq!(scene.power(), PowerState::PoweredOff);
    connection.domain_create(domain).await.unwrap();
    connection.domain_destroy(domain).await.unwrap();
    assert_eq!(scene.power(), PowerState::PoweredOff);
    connection.domain_undefine(domain).await.unwrap();
    let gone = connection.domain_lookup_by_name("vm-00001").await.unwrap_err();
    assert_eq!(gone.code, ErrorCode::NoDomain);
}

#[tokio::test]
async fn start_and_stop_take_six_requests_at_most() {
    let scene = Scene::new("").await;
    scene.connection.domain_create(&scene.domain).await.unwrap();
    let first = methods(&scene.sim);
    assert!(first.len() <= 6, "{first:?}");
    scene.connection.domain_destroy(&scene.domain).await.unwrap();
    let second = methods(&scene.sim);
    assert!(second.len() <= 6, "{second:?}");
    // Tasks that have ended cost nothing.
    for _ in 0..5 {
        scene.connection.domain_create(&scene.domain).await.unwrap();
        scene.connection.domain_destroy(&scene.domain).await.unwrap();
    }
    scene.sim.reset_journal();
    scene.connection.domain_create(&scene.domain).await.unwrap();
    assert!(scene.sim.requests() <= 6, "{:?}", methods(&scene.sim));
}

#[tokio::test]
async fn sizes_are_set_and_read_back() {
    let scene = Scene::new("").await;
    let (connection, domain) = (&scene.connection, &scene.domain);
    connection.domain_set_max_memory(domain, 3 << 20).await.unwrap();
    assert_eq!(connection.domain_get_max_memory(domain).await.unwrap(), 3 << 20);
    scene.assert_line("memSize = \"3072\"");
    connection.domain_set_memory(domain, 1 << 20).await.unwrap();
    scene.assert_line("sched.mem.max = \"1024\"");
    connection.domain_set_vcpus(domain, 4).await.unwrap();
    scene.assert_line("numvcpus = \"4\"");
    let params = [
        TypedParam::new("reservation", 100_i64),
        TypedParam::new("limit", 2000_i64),
        TypedParam::new("shares", -3_i32),
    ];
    connection.domain_set_scheduler_parameters(domain, &params).await.unwrap();
    assert_eq!(connection.domain_get_scheduler_parameters(domain).await.unwrap(), params);
    scene.assert_line("sched.cpu.shares = \"high\"");
    // A machine that runs cannot grow without hot-add.
    connection.domain_create(domain).await.unwrap();
    assert_eq!(
        connection.domain_set_max_memory(domain, 4 << 20).await.unwrap_err().code,
        ErrorCode::OperationInvalid
    );
    assert!(connection.domain_set_vcpus(domain, 5).await.is_err());
    assert_eq!(connection.domain_get_info(domain).await.unwrap().vcpus, 4);
}

/// The front end adds the flag for texts since the driver reports the feature; libvirt's own driver then refuses the call
/// (spec `domain.md` 19 no. 3).
#[tokio::test]
async fn typed_parameters_with_and_without_the_string_flag() {
    use virt_api::DomainModificationFlags as Flags;
    let scene = Scene::new("").await;
    let (connection, domain) = (&scene.connection, &scene.domain);
    let feature = virt_api::Feature::TypedParamString;
    assert!(connection.connect_supports_feature(feature).await.unwrap());
    for (turn, flags) in
        [Flags::empty(), Flags::TYPED_PARAM_STRING_OKAY, Flags::all()].into_iter().enumerate()
    {
        let turn = turn as u64 + 1;
        let memory = [TypedParam::new("min_guarantee", turn * 16 * 1024)];
        connection.domain_set_memory_parameters(domain, &memory, flags).await.unwrap();
        // A change may be for both, a question is for one of them.
        let both = Flags::AFFECT_LIVE | Flags::AFFECT_CONFIG;
        let flags = if flags.contains(both) { flags - Flags::AFFECT_CONFIG } else { flags };
        assert_eq!(connection.domain_get_memory_parameters(domain, flags).await.unwrap(), memory);
        let cpu = [
            TypedParam::new("reservation", turn as i64 * 100),
            TypedParam::new("limit", turn as i64 * 1000),
            TypedParam::new("shares", -(turn as i32)),
        ];
        connection.domain_set_scheduler_parameters_flags(domain, &cpu, flags).await.unwrap();
        let read = connection.domain_get_scheduler_parameters_flags(domain, flags).await.unwrap();
        assert_eq!(read, cpu);
        let refused = [
            connection.domain_get_memory_parameters(domain, flags | both).await.map(|_| ()),
            connection
                .domain_get_scheduler_parameters_flags(domain, flags | both)
                .await
                .map(|_| ()),
        ];
        for refused in refused {
            assert_eq!(refused.unwrap_err().code, ErrorCode::InvalidArg);
        }
        // A text is the wrong type, whatever the flag says.
        let text = [TypedParam::new("shares", "high")];
        let error = connection.domain_set_scheduler_parameters_flags(domain, &text, flags).await;
        assert_eq!(error.unwrap_err().code, ErrorCode::InvalidArg);
    }
}

#[tokio::test]
async fn autostart_turns_the_host_switch_on_unless_that_starts_others() {
    let scene = Scene::new("").await;
    let (connection, domain) = (&scene.connection, &scene.domain);
    assert!(!connection.domain_get_autostart(domain).await.unwrap());
    connection.domain_set_autostart(domain, true).await.unwrap();
    assert!(connection.domain_get_autostart(domain).await.unwrap());
    connection.domain_set_autostart(domain, false).await.unwrap();
    assert!(!connection.domain_get_autostart(domain).await.unwrap());
}

#[tokio::test]
async fn snapshots_are_taken_reverted_and_deleted() {
    let scene = Scene::new("").await;
    let (connection, domain) = (&scene.connection, &scene.domain);
    let create = async |name: &str| {
        let xml = format!("<domainsnapshot><name>{name}</name></domainsnapshot>");
        connection.domain_snapshot_create_xml(domain, &xml, SnapshotCreateFlags::empty()).await
    };
    connection.domain_create(domain).await.unwrap();
    let first = create("first").await.unwrap();
    connection.domain_destroy(domain).await.unwrap();
    let second = create("second").await.unwrap();
    assert_eq!(create("second").await.unwrap_err().code, ErrorCode::OperationInvalid);
    assert_eq!(scene.snapshot_names().await, ["first", "second"]);
    let current = connection.domain_snapshot_current(domain, NoFlags::empty()).await.unwrap();
    assert_eq!(current, second);
    // With its memory it comes back running.
    connection.domain_revert_to_snapshot(&first, SnapshotRevertFlags::empty()).await.unwrap();
    assert_eq!(scene.power(), PowerState::PoweredOn);
    connection.domain_snapshot_delete(&first, SnapshotDeleteFlags::CHILDREN).await.unwrap();
    assert!(scene.snapshot_names().await.is_empty());
    scene.assert_line("scsi0:0.fileName = \"vm-00001.vmdk\"");
}

#[tokio::test]
async fn a_question_stops_every_operation_that_starts_a_task() {
    for (query, open) in [("", 1), ("&auto_answer=1", 0)] {
        let scene = Scene::new(query).await;
        let (connection, domain) = (&scene.connection, &scene.domain);
        let xml = "<domainsnapshot><name>s</name></domainsnapshot>";
        let create = SnapshotCreateFlags::empty();
        let snapshot = connection.domain_snapshot_create_xml(domain, xml, create).await.unwrap();
        let machine = scene.sim.model().read(|m| m.machine("vm-00001")).unwrap();
        let choices = [("y", "Yes"), ("n", "No")];
        let outcomes = [
            "PowerOnVM_Task",
            "ReconfigVM_Task",
            "RevertToSnapshot_Task",
            "RemoveSnapshot_Task",
            "CreateSnapshot_Task",
        ];
        for method in outcomes {
            scene.sim.model().change(|m| m.ask(&machine, "Really?", &choices, Some(0))).unwrap();
            scene.sim.reset_journal();
            let error = match method {
                "PowerOnVM_Task" => connection.domain_create(domain).await.map(drop),
                "ReconfigVM_Task" => connection.domain_set_vcpus(domain, 2).await,
                "RevertToSnapshot_Task" => {
                    let flags = SnapshotRevertFlags::empty();
                    connection.domain_revert_to_snapshot(&snapshot, flags).await
                }
                "RemoveSnapshot_Task" => {
                    let flags = SnapshotDeleteFlags::empty();
                    connection.domain_snapshot_delete(&snapshot, flags).await
                }
                _ => {
                    let xml = "<domainsnapshot><name>t</name></domainsnapshot>";
                    connection.domain_snapshot_create_xml(domain, xml, create).await.map(drop)
                }
            }
            .unwrap_err();
            assert_eq!(error.code, ErrorCode::OperationInvalid, "{method}: {}", told(&error));
            assert!(told(&error).contains("Really?"), "{method}: {}", told(&error));
            assert!(!methods(&scene.sim).contains(&method.to_owned()), "{method} was sent");
            assert_eq!(scene.sim.model().read(|m| m.questions(&machine).len()), open, "{method}");
            scene.sim.model().change(|m| m.withdraw_question(&machine));
        }
    }
}

#[tokio::test]
async fn a_question_that_comes_later_is_an_error_or_is_answered() {
    let scene = Scene::new("").await;
    scene.sim.model().change(|model| {
        model.hold_tasks();
        model.before("PowerOnVM_Task", |model| model.before("WaitForUpdatesEx", ask_late));
    });
    let error = scene.connection.domain_create(&scene.domain).await.unwrap_err();
    for part in ["Really?", "Yes", "left behind"] {
        assert!(told(&error).contains(part), "{part}: {}", told(&error));
    }

    let scene = Scene::new("&auto_answer=1").await;
    scene.sim.model().change(|model| {
        model.hold_tasks();
        model.before("PowerOnVM_Task", |model| model.before("WaitForUpdatesEx", ask_late));
    });
    scene.connection.domain_create(&scene.domain).await.unwrap();
    assert_eq!(scene.power(), PowerState::PoweredOn);
}

/// Asks; the task ends when the question is answered.
fn ask_late(model: &mut Model) {
    let machine = model.machine("vm-00001").unwrap();
    model.ask(&machine, "Really?", &[("y", "Yes"), ("n", "No")], Some(0)).unwrap();
    let task = model.task_of(&machine).unwrap();
    assert!(model.finish_task(&task));
}

#[tokio::test]
async fn what_the_host_refuses_is_said_plainly() {
    let scene = Scene::new("").await;
    let host = scene.sim.model().read(|m| m.hosts())[0].clone();
    let start = || scene.connection.domain_create(&scene.domain);
    scene.sim.model().change(|m| m.set_free_license(true));
    let error = start().await.unwrap_err();
    assert!(told(&error).contains("licence"), "{}", told(&error));
    scene.sim.model().change(|m| {
        m.set_free_license(false);
        m.set_managed_by(&host, Some("10.9.8.7"))
    });
    let error = start().await.unwrap_err();
    assert!(told(&error).contains("10.9.8.7"), "{}", told(&error));
    scene.sim.model().change(|m| {
        m.set_managed_by(&host, None);
        m.set_maintenance_mode(&host, true)
    });
    assert!(start().await.is_err());
    assert_eq!(scene.power(), PowerState::PoweredOff);
    scene.sim.model().change(|m| m.set_maintenance_mode(&host, false));
    start().await.unwrap();
}

#[tokio::test]
async fn a_vcenter_runs_the_same_operations() {
    let sim = Simulator::builder().preset(Preset::VCenter).start().await.unwrap();
    let connection = connect(&sim, "").await;
    let domain = connection.domain_lookup_by_name("twin-b").await.unwrap();
    sim.reset_journal();
    connection.domain_create(&domain).await.unwrap();
    assert!(sim.requests() <= 6, "{:?}", methods(&sim));
    let (state, _) = connection.domain_get_state(&domain, NoFlags::empty()).await.unwrap();
    assert_eq!(state, DomainState::Running);
    connection.domain_destroy(&domain).await.unwrap();
}

/// Another client takes the machine out of the inventory and in again: its UUID stays, its reference does not.
#[tokio::test]
async fn a_machine_that_was_registered_anew_is_found_again() {
    for live_view in [None, Some(LiveViewOptions::default())] {
        let sim = Simulator::builder().vms(3).start().await.unwrap();
        let options = OpenOptions { live_view, ..crate::common::options("pass") };
        let connection = esx_driver::open(&sim.uri(), options).await.unwrap();
        let old = connection.domain_lookup_by_name("vm-00001").await.unwrap();
        let before = sim.model().read(|m| m.machine("vm-00001")).unwrap();
        connection.domain_create(&old).await.unwrap();
        connection.domain_destroy(&old).await.unwrap();

        let other = connect(&sim, "").await;
        let flags = DomainXmlFlags::INACTIVE;
        let xml = other.domain_get_xml_desc(&old, flags).await.unwrap();
        other.domain_undefine(&old).await.unwrap();
        assert!(sim.model().change(|m| m.remove_file("datastore1", "vm-00001/vm-00001.vmx")));
        other.domain_define_xml(&xml).await.unwrap();
        let after = sim.model().read(|m| m.machine("vm-00001")).unwrap();
        assert_ne!(before, after);

        connection.domain_create(&old).await.unwrap();
        assert_eq!(sim.model().read(|m| m.power_state(&after)), Some(PowerState::PoweredOn));
        connection.domain_shutdown(&old).await.unwrap();
        let stats = connection
            .connect_get_all_domain_stats(
                std::slice::from_ref(&old),
                DomainStatsTypes::STATE,
                DomainStatsFlags::empty(),
            )
            .await
            .unwrap();
        assert_eq!(stats.len(), 1);

        // Gone for good: said so, and statistics of several leave it out.
        other.domain_destroy(&old).await.ok();
        other.domain_undefine(&old).await.unwrap();
        assert_eq!(connection.domain_create(&old).await.unwrap_err().code, ErrorCode::NoDomain);
        let there = connection.domain_lookup_by_name("vm-00002").await.unwrap();
        let stats = connection
            .connect_get_all_domain_stats(
                &[old.clone(), there],
                DomainStatsTypes::STATE,
                DomainStatsFlags::empty(),
            )
            .await;
        assert_eq!(stats.unwrap().len(), 1);
    }
}

/// What a handle says is at a reference that is another machine's now.
#[tokio::test]
async fn a_reference_that_is_anothers_now_is_left_alone() {
    let scene = Scene::new("").await;
    let machine = scene.sim.model().read(|m| m.machine(&scene.domain.name)).unwrap();
    assert!(scene.sim.model().change(|m| m.set_instance_uuid(&machine, Uuid::from_u128(0xbeef))));
    let error = scene.connection.domain_create(&scene.domain).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::NoDomain, "{error}");
    assert_eq!(scene.power(), PowerState::PoweredOff);
    // Nor are the other machine's tasks cancelled.
    let add = |m: &mut Model| m.add_task(&machine, "CreateSnapshot_Task", TaskState::Running);
    let task = scene.sim.model().change(add).unwrap();
    assert!(scene.sim.model().change(|m| m.set_cancelable(&task, true)));
    let error = scene.connection.domain_abort_job(&scene.domain).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::NoDomain, "{error}");
    assert_eq!(scene.sim.model().read(|m| m.task_state(&task)), Some(TaskState::Running));
}

#[tokio::test]
async fn flags_are_accepted_as_far_as_they_can_be_kept() {
    use virt_api::{DomainDestroyFlags as Destroy, DomainVcpuFlags as Vcpu};
    let scene = Scene::new("").await;
    let (connection, domain) = (&scene.connection, &scene.domain);
    connection.domain_create(domain).await.unwrap();
    let logs = connection.domain_destroy_flags(domain, Destroy::REMOVE_LOGS).await.unwrap_err();
    assert_eq!(logs.code, ErrorCode::InvalidArg);
    assert_eq!(scene.power(), PowerState::PoweredOn);
    connection.domain_destroy_flags(domain, Destroy::GRACEFUL).await.unwrap();
    assert_eq!(scene.power(), PowerState::PoweredOff);
    for flags in [Vcpu::AFFECT_LIVE, Vcpu::AFFECT_CONFIG, Vcpu::empty()] {
        connection.domain_get_vcpus_flags(domain, flags).await.unwrap();
    }
    let both = Vcpu::AFFECT_LIVE | Vcpu::AFFECT_CONFIG;
    let refused = connection.domain_get_vcpus_flags(domain, both).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::InvalidArg);
}

/// Each operation in each state that it is not for: the code, and that the machine stays as it is. What is looked at before it is
/// started is not sent at all; the host itself refuses the rest.
#[tokio::test]
async fn a_state_that_does_not_fit_is_refused() {
    use PowerState::{PoweredOff, PoweredOn, Suspended};
    let scene = Scene::new("").await;
    let (c, d) = (&scene.connection, &scene.domain);
    let machine = scene.sim.model().read(|m| m.machine(&d.name)).unwrap();
    scene.sim.model().change(|m| m.set_tools_running(&machine, true));
    let none = NoFlags::empty();
    let mut tried = 0;
    for (operation, method, not_for) in [
        ("suspend", "SuspendVM_Task", &[PoweredOff, Suspended][..]),
        ("resume", "PowerOnVM_Task", &[PoweredOff, PoweredOn]),
        ("create", "PowerOnVM_Task", &[PoweredOn, Suspended]),
        ("destroy", "PowerOffVM_Task", &[PoweredOff]),
        ("reset", "ResetVM_Task", &[PoweredOff, Suspended]),
        ("memory", "ReconfigVM_Task", &[PoweredOn, Suspended]),
        ("rename", "Rename_Task", &[PoweredOn, Suspended]),
        ("shutdown", "", &[PoweredOff, Suspended]),
        ("reboot", "", &[PoweredOff, Suspended]),
        ("undefine", "", &[PoweredOn]),
    ] {
        for state in not_for {
            scene.sim.model().change(|m| m.set_power_state(&machine, *state));
            scene.sim.reset_journal();
            let result = match operation {
                "suspend" => c.domain_suspend(d).await,
                "resume" => c.domain_resume(d).await,
                "create" => c.domain_create(d).await.map(drop),
                "destroy" => c.domain_destroy(d).await,
                "reset" => c.domain_reset(d, none).await,
                "memory" => c.domain_set_max_memory(d, 1 << 30).await,
                "rename" => c.domain_rename(d, "other", none).await,
                "shutdown" => c.domain_shutdown(d).await,
                "reboot" => c.domain_reboot(d, virt_api::DomainRebootFlags::empty()).await,
                _ => c.domain_undefine(d).await,
            };
            let error = result.unwrap_err();
            let case = format!("{operation} while {state:?}: {}", told(&error));
            assert_eq!(error.code, ErrorCode::OperationInvalid, "{case}");
            assert_eq!(scene.power(), *state, "{case}");
            assert!(
                method.is_empty() || !methods(&scene.sim).iter().any(|m| m == method),
                "{case}"
            );
            tried += 1;
        }
    }
    assert_eq!(tried, 18);
    // And what it is for goes on to work.
    scene.sim.model().change(|m| m.set_power_state(&machine, PoweredOff));
    c.domain_create(d).await.unwrap();
    c.domain_suspend(d).await.unwrap();
    c.domain_resume(d).await.unwrap();
    c.domain_destroy(d).await.unwrap();
}

/// A snapshot that somebody else removes after the look at the tree.
#[tokio::test]
async fn a_snapshot_that_has_just_gone_is_no_snapshot() {
    let scene = Scene::new("").await;
    let connection = &scene.connection;
    let xml = "<domainsnapshot><name>s</name></domainsnapshot>";
    let flags = SnapshotCreateFlags::empty();
    for method in ["RevertToSnapshot_Task", "RemoveSnapshot_Task"] {
        let made = connection.domain_snapshot_create_xml(&scene.domain, xml, flags).await.unwrap();
        let machine = scene.sim.model().read(|m| m.machine(&scene.domain.name)).unwrap();
        scene.sim.model().change(|m| {
            m.before(method, move |m| assert!(m.drop_snapshots(&machine)));
        });
        let result = match method {
            "RevertToSnapshot_Task" => {
                connection.domain_revert_to_snapshot(&made, SnapshotRevertFlags::empty()).await
            }
            _ => connection.domain_snapshot_delete(&made, SnapshotDeleteFlags::empty()).await,
        };
        let error = result.unwrap_err();
        assert_eq!(error.code, ErrorCode::NoDomainSnapshot, "{}", told(&error));
    }
}
