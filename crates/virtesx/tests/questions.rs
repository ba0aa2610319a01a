//! Questions and unfinished tasks as a user of the program meets them, with `auto_answer=0` and `auto_answer=1`; the
//! simulator's journal tells what was sent.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Output, Stdio};

use esx_sim::model::{Model, TaskState};
use esx_sim::{PowerState, Running, Simulator};
use serde_json::Value;

use crate::common::Home;

const YES_NO: [(&str, &str); 2] = [("y", "Yes"), ("n", "No")];

/// Every command that starts a task on a machine, and the method that it would send.
const OPERATIONS: &[(&[&str], &str)] = &[
    (&["start", OFF], "PowerOnVM_Task"),
    (&["destroy", ON], "PowerOffVM_Task"),
    (&["suspend", ON], "SuspendVM_Task"),
    (&["reset", ON], "ResetVM_Task"),
    (&["resume", PAUSED], "PowerOnVM_Task"),
    (&["setmaxmem", OFF, "4G"], "ReconfigVM_Task"),
    (&["setmem", OFF, "512M"], "ReconfigVM_Task"),
    (&["setvcpus", OFF, "2"], "ReconfigVM_Task"),
    (&["memtune", OFF, "--min-guarantee", "64M"], "ReconfigVM_Task"),
    (&["schedinfo", OFF, "shares=high"], "ReconfigVM_Task"),
    (&["snapshot-create-as", ON, "s"], "CreateSnapshot_Task"),
    (&["snapshot-revert", ON, "before update"], "RevertToSnapshot_Task"),
    (&["snapshot-delete", ON, "failed try"], "RemoveSnapshot_Task"),
];
const ON: &str = "web01";
const OFF: &str = "storage01";
const PAUSED: &str = "db01";

/// The reference of a machine.
macro_rules! machine {
    ($scene:expr, $name:expr) => {
        $scene.sim.model().read(|m| m.machine($name)).unwrap()
    };
}

struct Scene {
    sim: Running,
    home: Home,
}

impl Scene {
    /// A host whose tasks wait to be pushed.
    async fn new() -> Self {
        let sim = Simulator::builder().start().await.unwrap();
        sim.model().change(Model::hold_tasks);
        let home = Home::new(sim.password());
        Self { sim, home }
    }

    fn command(&self, auto_answer: bool, args: &[&str]) -> Command {
        let uri = format!("{}&auto_answer={}", self.sim.uri(), u8::from(auto_answer));
        let mut command = self.home.command(&["-c", &uri]);
        command.args(args);
        command
    }

    fn run(&self, auto_answer: bool, args: &[&str]) -> Output {
        self.sim.reset_journal();
        // The simulator serves on this runtime: the child must not be waited for on its thread.
        tokio::task::block_in_place(|| self.command(auto_answer, args).output().unwrap())
    }

    /// Runs a command that must succeed.
    fn good(&self, auto_answer: bool, args: &[&str]) -> String {
        let output = self.run(auto_answer, args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {said}");
        assert!(said.is_empty(), "progress is for terminals: {said:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command that must fail with exit status 1: libvirt's code, and all that it says.
    fn bad(&self, auto_answer: bool, args: &[&str]) -> (u64, String) {
        let args: Vec<_> = ["-o", "json"].iter().chain(args).copied().collect();
        let output = self.run(auto_answer, &args);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {output:?}");
        assert!(output.stdout.is_empty(), "{output:?}");
        let json: Value = serde_json::from_slice(&output.stderr).unwrap();
        (json["code"].as_u64().unwrap(), json.to_string())
    }

    fn calls(&self, method: &str) -> usize {
        self.sim.journal().iter().filter(|entry| entry.method == method).count()
    }

    /// How many operations were sent since the last run began.
    fn started(&self) -> usize {
        self.sim.journal().iter().filter(|entry| entry.method.ends_with("_Task")).count()
    }

    fn ask(&self, name: &str, default: Option<usize>) {
        let machine = machine!(self, name);
        self.sim.model().change(|m| m.ask(&machine, "Really?", &YES_NO, default)).unwrap();
    }

    fn questions(&self, name: &str) -> usize {
        let machine = machine!(self, name);
        self.sim.model().read(|m| m.questions(&machine).len())
    }

    fn power(&self, name: &str) -> PowerState {
        let machine = machine!(self, name);
        self.sim.model().read(|m| m.power_state(&machine)).unwrap()
    }

    /// Lets something happen after `method` has been taken, right before the program looks again.
    fn once_started(&self, method: &str, work: impl FnOnce(&mut Model) + Send + 'static) {
        self.sim.model().change(|model| {
            model.before(method, |model| model.before("WaitForUpdatesEx", work));
        });
    }
}

/// The question and all of its answers.
fn assert_asked(text: &str) {
    for part in ["Really?", "Yes", "No"] {
        assert!(text.contains(part), "{text}");
    }
}

// Before the start.

#[tokio::test(flavor = "multi_thread")]
async fn an_open_question_keeps_every_operation_from_being_started() {
    let scene = Scene::new().await;
    for with_task in [false, true] {
        for (args, method) in OPERATIONS {
            let machine = machine!(scene, args[1]);
            let add = |m: &mut Model| m.add_task(&machine, "PowerOnVM_Task", TaskState::Running);
            let task = with_task.then(|| scene.sim.model().change(add).unwrap());
            scene.ask(args[1], Some(1));
            // Not allowed: told, and nothing else.
            let (code, text) = scene.bad(false, args);
            assert_eq!((code, scene.started(), scene.calls("AnswerVM")), (55, 0, 0), "{method}");
            assert!(text.contains("not started: the machine asks"), "{text}");
            assert_asked(&text);
            assert_eq!(scene.questions(args[1]), 1);
            // Allowed: answered with the default, and nothing else.
            let (code, text) = scene.bad(true, args);
            assert_eq!((code, scene.started(), scene.calls("AnswerVM")), (55, 0, 1), "{method}");
            assert!(text.contains("not started: the machine asked"), "{text}");
            assert!(text.contains("answered with \\\"No\\\""), "{text}");
            assert_eq!(scene.questions(args[1]), 0);
            if let Some(task) = task {
                assert!(scene.sim.model().change(|m| m.finish_task(&task)));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unfinished_task_keeps_every_operation_from_being_started() {
    let scene = Scene::new().await;
    for state in [TaskState::Running, TaskState::Queued] {
        for (args, method) in OPERATIONS {
            let machine = machine!(scene, args[1]);
            let add = |m: &mut Model| m.add_task(&machine, "CreateSnapshot_Task", state);
            let task = scene.sim.model().change(add).unwrap();
            for auto_answer in [false, true] {
                let (code, text) = scene.bad(auto_answer, args);
                assert_eq!((code, scene.started()), (55, 0), "{method}");
                let named = "not started: the task VirtualMachine.createSnapshot is not finished";
                assert!(text.contains(named), "{text}");
            }
            assert!(scene.sim.model().change(|m| m.finish_task(&task)));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_question_without_a_default_is_only_told() {
    let scene = Scene::new().await;
    for default in [None, Some(9)] {
        scene.ask(OFF, default);
        let (code, text) = scene.bad(true, &["start", OFF]);
        assert_eq!((code, scene.started(), scene.calls("AnswerVM")), (55, 0, 0));
        assert_asked(&text);
        assert!(text.contains("none of them is the default"), "{text}");
        let machine = machine!(scene, OFF);
        assert!(scene.sim.model().change(|m| m.withdraw_question(&machine)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_client_that_answers_first_is_told_of() {
    let scene = Scene::new().await;
    scene.ask(OFF, Some(0));
    let machine = machine!(scene, OFF);
    scene.sim.model().change(|model| {
        model.before("AnswerVM", move |model| {
            let id = model.questions(&machine)[0].clone();
            model.answer(&machine, &id, "n").unwrap();
        });
    });
    let (code, text) = scene.bad(true, &["start", OFF]);
    assert_eq!((code, scene.started(), scene.calls("AnswerVM")), (55, 0, 1));
    assert!(text.contains("was not accepted"), "{text}");
}

// While it waits.

#[tokio::test(flavor = "multi_thread")]
async fn a_late_question_ends_the_command_and_what_it_started() {
    let scene = Scene::new().await;
    // A snapshot can be cancelled.
    let machine = machine!(scene, ON);
    let ask = machine.clone();
    scene.once_started("CreateSnapshot_Task", move |model| {
        model.ask(&ask, "Really?", &YES_NO, Some(0));
    });
    let (code, text) = scene.bad(false, &["snapshot-create-as", ON, "s"]);
    assert_eq!((code, scene.started(), scene.calls("CancelTask")), (9, 1, 1), "{text}");
    assert_eq!(scene.calls("AnswerVM"), 0);
    assert_asked(&text);
    assert!(text.contains("the task was cancelled"), "{text}");
    assert!(scene.sim.model().read(|m| m.task_of(&machine)).is_none());
    // Switching on cannot.
    let machine = machine!(scene, OFF);
    let ask = machine.clone();
    scene.once_started("PowerOnVM_Task", move |model| {
        model.ask(&ask, "Really?", &YES_NO, Some(0));
    });
    let (code, text) = scene.bad(false, &["start", OFF]);
    assert_eq!((code, scene.started(), scene.calls("CancelTask")), (9, 1, 0), "{text}");
    assert_asked(&text);
    assert!(text.contains("cannot be cancelled and is left behind"), "{text}");
    assert!(scene.sim.model().read(|m| m.task_of(&machine)).is_some());
    // And from now on it is in the way.
    let (code, text) = scene.bad(false, &["start", OFF]);
    assert_eq!((code, scene.started()), (55, 0));
    assert!(text.contains("not started: the machine asks"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn late_questions_are_answered_one_after_the_other() {
    let scene = Scene::new().await;
    let machine = machine!(scene, OFF);
    scene.once_started("PowerOnVM_Task", move |model| {
        for text in ["First?", "Second?", "Third?"] {
            model.ask(&machine, text, &YES_NO, Some(0));
        }
        let task = model.task_of(&machine).unwrap();
        assert!(model.finish_task(&task)); // as soon as all are answered
    });
    let said = scene.good(true, &["start", OFF]);
    assert_eq!(said.trim(), "Domain 'storage01' started");
    assert_eq!((scene.started(), scene.calls("AnswerVM")), (1, 3));
    assert_eq!(scene.power(OFF), PowerState::PoweredOn);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_question_without_a_default_ends_the_command() {
    let scene = Scene::new().await;
    let machine = machine!(scene, ON);
    scene.once_started("CreateSnapshot_Task", move |model| {
        model.ask(&machine, "Really?", &YES_NO, None);
    });
    let (code, text) = scene.bad(true, &["snapshot-create-as", ON, "s"]);
    assert_eq!((code, scene.started(), scene.calls("AnswerVM")), (9, 1, 0));
    assert_eq!(scene.calls("CancelTask"), 1);
    assert!(text.contains("none of them is the default"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_question_that_another_client_answers_does_no_harm() {
    let scene = Scene::new().await;
    let machine = machine!(scene, OFF);
    scene.once_started("PowerOnVM_Task", move |model| {
        let id = model.ask(&machine, "Really?", &YES_NO, Some(0)).unwrap();
        let task = model.task_of(&machine).unwrap();
        assert!(model.finish_task(&task));
        model.before("AnswerVM", move |model| model.answer(&machine, &id, "n").unwrap());
    });
    scene.good(true, &["start", OFF]);
    assert_eq!((scene.started(), scene.calls("AnswerVM")), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn queued_and_vanished_tasks() {
    let scene = Scene::new().await;
    scene.sim.model().change(Model::queue_tasks);
    let machine = machine!(scene, OFF);
    let started = machine.clone();
    scene.once_started("PowerOnVM_Task", move |model| {
        let task = model.task_of(&started).unwrap();
        assert_eq!(model.task_state(&task), Some(TaskState::Queued));
        // It is seen queued, then it runs, then it ends.
        model.before("WaitForUpdatesEx", move |model| {
            assert!(model.step_task(&task, 40));
            model.before("WaitForUpdatesEx", move |model| assert!(model.finish_task(&task)));
        });
    });
    scene.good(false, &["start", OFF]);
    assert_eq!((scene.started(), scene.power(OFF)), (1, PowerState::PoweredOn));

    scene.sim.model().change(Model::hold_tasks);
    scene.once_started("PowerOffVM_Task", move |model| {
        model.before("WaitForUpdatesEx", move |model| {
            let task = model.task_of(&machine).unwrap();
            assert!(model.forget_task(&task));
        });
    });
    let (code, text) = scene.bad(false, &["destroy", OFF]);
    assert_eq!((code, scene.started()), (9, 1));
    assert!(text.contains("vanished"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_serial_port_s_question_from_start_to_answer() {
    let scene = Scene::new().await;
    scene.sim.model().change(|model| {
        model.release_tasks();
        // Made by an earlier start.
        model.add_file("datastore1", "console01/serial.log", b"booting");
    });
    let (code, text) = scene.bad(false, &["start", "console01"]);
    assert_eq!((code, scene.calls("PowerOnVM_Task")), (9, 1), "{text}");
    let list = scene.good(false, &["-q", "question", "list"]);
    assert!(list.contains("console01") && list.contains("Append*, Replace, Cancel"), "{list}");
    assert_eq!(scene.good(false, &["-q", "question", "list", ON]), "");
    let json: Value =
        serde_json::from_str(&scene.good(false, &["-o", "json", "question", "list", "console01"]))
            .unwrap();
    assert_eq!(json[0]["choices"][1]["label"], "Replace");
    let (code, text) = scene.bad(false, &["question", "answer", "console01", "Perhaps"]);
    assert_eq!((code, scene.calls("AnswerVM")), (8, 0), "{text}");
    let said = scene.good(false, &["question", "answer", "console01", "replace"]);
    assert_eq!(said.trim(), "Question of domain 'console01' answered with 'Replace'");
    assert_eq!(scene.power("console01"), PowerState::PoweredOn);
    let (code, text) = scene.bad(false, &["question", "answer", "console01"]);
    assert_eq!(code, 55, "{text}");
    assert!(text.contains("asks nothing"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_be_stopped_is_stopped() {
    let scene = Scene::new().await;
    let machine = machine!(scene, ON);
    let add = |m: &mut Model| m.add_task(&machine, "CreateSnapshot_Task", TaskState::Running);
    scene.sim.model().change(add).unwrap();
    scene.good(false, &["domjobabort", ON]);
    assert!(scene.sim.model().read(|m| m.task_of(&machine)).is_none());
    let (code, text) = scene.bad(false, &["domjobabort", ON]);
    assert_eq!(code, 55, "{text}");
    let add = |m: &mut Model| m.add_task(&machine, "PowerOffVM_Task", TaskState::Running);
    scene.sim.model().change(add).unwrap();
    let (code, text) = scene.bad(false, &["domjobabort", ON]);
    assert_eq!(code, 84, "{text}");
    assert!(text.contains("VirtualMachine.powerOff cannot be cancelled"), "{text}");
}

// Events.

/// A program that goes on, line by line.
struct Loop {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Loop {
    fn start(scene: &Scene, args: &[&str]) -> Self {
        let mut child = scene.command(false, args).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    fn line(&mut self) -> String {
        tokio::task::block_in_place(|| self.lines.next().unwrap().unwrap())
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_told_as_they_happen() {
    let scene = Scene::new().await;
    let waits = |journal: Vec<esx_sim::JournalEntry>| {
        journal.iter().filter(|entry| entry.method == "WaitForUpdatesEx").count()
    };
    let mut events = Loop::start(&scene, &["event", "--all", "--loop"]);
    let mut json = Loop::start(&scene, &["-o", "json", "event", "--all", "--domain", OFF]);
    // Both have seen how things are.
    while waits(scene.sim.journal()) < 2 {
        tokio::task::yield_now().await;
    }
    for (name, state) in [(ON, PowerState::PoweredOff), (OFF, PowerState::PoweredOn)] {
        let machine = machine!(scene, name);
        scene.sim.model().change(|m| m.set_power_state(&machine, state));
    }
    let seen = [events.line(), events.line()];
    assert!(seen.contains(&"event 'lifecycle' for domain 'web01': Stopped Shutdown".to_owned()));
    assert!(seen.contains(&"event 'lifecycle' for domain 'storage01': Started Booted".to_owned()));
    let event: Value = serde_json::from_str(&json.line()).unwrap();
    assert_eq!((event["domain"].as_str(), event["step"].as_str()), (Some(OFF), Some("Started")));
    let status = tokio::task::block_in_place(|| json.child.wait().unwrap());
    assert!(status.success(), "one event is what was asked for");

    let timed_out = scene.run(false, &["event", "--all", "--timeout", "0"]);
    assert_eq!(timed_out.status.code(), Some(1));
    assert_eq!(
        String::from_utf8_lossy(&timed_out.stdout),
        "event loop timed out\nevents received: 0\n\n"
    );
    let refused = scene.bad(false, &["event", "--event", "reboot"]);
    assert_eq!(refused.0, 3, "{}", refused.1);
    assert!(scene.good(false, &["event", "--list"]).starts_with("lifecycle\n"));
}
