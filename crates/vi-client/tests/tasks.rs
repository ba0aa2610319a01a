//! Tasks and questions against the simulated host, which is pushed step by step: what a client does before it starts an
//! operation, and while it waits for it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use esx_sim::model::{Fault as SimFault, Model, TaskState};
use esx_sim::{PowerState, Reaction, Running, Simulator};
use esx_task::{AutoAnswer, Leftover, Policy, Question, Reason, Refusal};
use esx_vi_api::MoRef;
use esx_vi_api::methods::{CreateSnapshotTask, CurrentTime, PowerOnVMTask};
use esx_vi_client::{Client, Endpoint, Error, Retrieval, Scheme, TaskOptions};

/// What callers read of the machine before they start: something that is always there.
const PATHS: [&str; 1] = ["runtime.powerState"];
const YES_NO: [(&str, &str); 2] = [("y", "Yes"), ("n", "No")];

/// A host whose tasks are held, a client of it, and a machine that is off.
struct Scene {
    sim: Running,
    client: Client,
    machine: MoRef,
}

impl Scene {
    async fn new() -> Self {
        let scene = Self::on(Simulator::builder().start().await.unwrap()).await;
        scene.sim.model().change(Model::hold_tasks);
        scene
    }

    async fn on(sim: Running) -> Self {
        let client = connect(&sim).await;
        let machine = sim.model().read(|m| m.machine("twin-b")).unwrap();
        sim.reset_journal();
        Self { sim, client, machine }
    }

    /// Switches the machine on.
    async fn start(&self, auto_answer: AutoAnswer) -> Result<(), Error> {
        self.start_with(TaskOptions { auto_answer, ..TaskOptions::default() }).await
    }

    async fn start_with(&self, options: TaskOptions) -> Result<(), Error> {
        let operation = PowerOnVMTask { host: None };
        let allowed = |_: &_| Ok(());
        self.client
            .run_task(&self.machine, &self.machine, &operation, &PATHS, allowed, &options)
            .await
    }

    /// Takes a snapshot, a task that can be cancelled.
    async fn snapshot(&self, auto_answer: AutoAnswer) -> Result<(), Error> {
        self.snapshot_with(TaskOptions { auto_answer, ..TaskOptions::default() }).await
    }

    async fn snapshot_with(&self, options: TaskOptions) -> Result<(), Error> {
        let operation = CreateSnapshotTask {
            name: "s".to_owned(),
            description: None,
            memory: false,
            quiesce: false,
        };
        let allowed = |_: &_| Ok(());
        self.client
            .run_task(&self.machine, &self.machine, &operation, &PATHS, allowed, &options)
            .await
    }

    /// Lets something happen after the operation has been started, right before the client looks again.
    fn once_started(&self, method: &str, work: impl FnOnce(&mut Model) + Send + 'static) {
        self.sim.model().change(|model| {
            model.before(method, |model| model.before("WaitForUpdatesEx", work));
        });
    }

    /// Lets the machine ask once the operation has been started.
    fn late_question(&self, method: &str, default: Option<usize>) {
        let machine = self.machine.clone();
        self.once_started(method, move |model| {
            model.ask(&machine, "Really?", &YES_NO, default);
        });
    }

    fn ask(&self, default: Option<usize>) {
        let asked = |m: &mut Model| m.ask(&self.machine, "Really?", &YES_NO, default);
        self.sim.model().change(asked).unwrap();
    }

    /// A task of another client's.
    fn other_task(&self, state: TaskState) -> MoRef {
        let add = |m: &mut Model| m.add_task(&self.machine, "PowerOnVM_Task", state);
        self.sim.model().change(add).unwrap()
    }

    /// How often a method was called.
    fn calls(&self, method: &str) -> usize {
        self.sim.journal().iter().filter(|entry| entry.method == method).count()
    }

    fn power(&self) -> PowerState {
        self.sim.model().read(|m| m.power_state(&self.machine)).unwrap()
    }

    fn open_questions(&self) -> usize {
        self.sim.model().read(|m| m.questions(&self.machine).len())
    }

    /// The task of the machine that has not ended, as soon as there is one.
    async fn task(&self) -> MoRef {
        self.sim.until(|m| m.task_of(&self.machine).is_some()).await;
        self.sim.model().read(|m| m.task_of(&self.machine)).unwrap()
    }
}

async fn connect(sim: &Running) -> Client {
    let endpoint = Endpoint::new(Scheme::Http, "127.0.0.1", sim.address().port());
    let client = Client::connect(endpoint).await.unwrap();
    client.login(sim.username(), sim.password()).await.unwrap();
    client
}

fn refusal(result: Result<(), Error>) -> Refusal {
    match result {
        Err(Error::Refused { refusal, .. }) => refusal,
        other => panic!("{other:?}"),
    }
}

fn given_up(result: Result<(), Error>) -> (Reason, Leftover) {
    match result {
        Err(Error::TaskGivenUp { reason, task, .. }) => (reason, task),
        other => panic!("{other:?}"),
    }
}

/// The question that held up a task, with its answers, as people see it.
fn assert_names_the_question(text: &str) {
    for part in ["Really?", "\"Yes\"", "\"No\""] {
        assert!(text.contains(part), "{text}");
    }
}

// Before the start.

#[tokio::test]
async fn an_old_question_that_may_not_be_answered_prevents_the_start() {
    for with_task in [true, false] {
        let scene = Scene::new().await;
        let task = with_task.then(|| scene.other_task(TaskState::Running));
        scene.ask(Some(1));
        let refusal = refusal(scene.start(AutoAnswer::Never).await);
        assert!(matches!(refusal, Refusal::Question(_)), "{refusal:?}");
        assert_names_the_question(&refusal.to_string());
        assert_eq!((scene.calls("PowerOnVM_Task"), scene.calls("AnswerVM")), (0, 0));
        assert_eq!(scene.open_questions(), 1);
        let unfinished = scene.sim.model().read(Model::unfinished_tasks);
        assert_eq!(unfinished, Vec::from_iter(task));
    }
}

#[tokio::test]
async fn an_old_question_that_may_be_answered_is_and_prevents_the_start_all_the_same() {
    for with_task in [true, false] {
        let scene = Scene::new().await;
        let task = with_task.then(|| scene.other_task(TaskState::Running));
        scene.ask(Some(1));
        let refusal = refusal(scene.start(AutoAnswer::Default).await);
        let expected =
            Refusal::Answered { text: "msg.test:Really?".to_owned(), answer: "No".to_owned() };
        assert_eq!(refusal, expected);
        assert_eq!((scene.calls("PowerOnVM_Task"), scene.calls("AnswerVM")), (0, 1));
        assert_eq!(scene.open_questions(), 0);
        if let Some(task) = task {
            assert!(scene.sim.model().change(|m| m.finish_task(&task)));
        }
        // Now nothing is in the way.
        scene.sim.model().change(Model::release_tasks);
        scene.start(AutoAnswer::Default).await.unwrap();
        assert_eq!((scene.calls("PowerOnVM_Task"), scene.power()), (1, PowerState::PoweredOn));
    }
}

#[tokio::test]
async fn an_old_question_without_a_default_prevents_the_start() {
    for default in [None, Some(7)] {
        let scene = Scene::new().await;
        scene.ask(default);
        let refusal = refusal(scene.start(AutoAnswer::Default).await);
        assert_names_the_question(&refusal.to_string());
        assert!(refusal.to_string().contains("default"), "{refusal}");
        assert_eq!((scene.calls("PowerOnVM_Task"), scene.calls("AnswerVM")), (0, 0));
    }
}

#[tokio::test]
async fn an_old_question_that_another_client_answers_first_prevents_the_start() {
    let scene = Scene::new().await;
    scene.ask(Some(0));
    let machine = scene.machine.clone();
    scene.sim.model().change(|model| {
        model.before("AnswerVM", move |model| {
            let id = model.questions(&machine)[0].clone();
            model.answer(&machine, &id, "n").unwrap();
        });
    });
    let refusal = refusal(scene.start(AutoAnswer::Default).await);
    assert!(matches!(refusal, Refusal::AnswerRefused { .. }), "{refusal:?}");
    assert_eq!((scene.calls("PowerOnVM_Task"), scene.calls("AnswerVM")), (0, 1));
}

#[tokio::test]
async fn another_unfinished_task_prevents_the_start() {
    for state in [TaskState::Running, TaskState::Queued] {
        for auto_answer in [AutoAnswer::Never, AutoAnswer::Default] {
            let scene = Scene::new().await;
            let task = scene.other_task(state);
            let refusal = refusal(scene.start(auto_answer).await);
            assert_eq!(refusal, Refusal::OtherTask("VirtualMachine.powerOn".to_owned()));
            assert_eq!(scene.calls("PowerOnVM_Task"), 0);
            let unfinished = scene.sim.model().read(Model::unfinished_tasks);
            assert_eq!(unfinished, [task]);
        }
    }
}

#[tokio::test]
async fn tasks_that_have_ended_are_not_in_the_way() {
    let scene = Scene::new().await;
    scene.sim.model().change(Model::release_tasks);
    scene.other_task(TaskState::Success);
    scene.other_task(TaskState::Error);
    scene.start(AutoAnswer::Never).await.unwrap();
    assert_eq!((scene.calls("PowerOnVM_Task"), scene.power()), (1, PowerState::PoweredOn));
}

#[tokio::test]
async fn what_the_caller_forbids_is_not_started() {
    let scene = Scene::new().await;
    let forbid = |checked: &esx_vi_client::Checked| {
        assert!(checked.get("runtime.powerState").is_some());
        Err(Error::NoService("forbidden"))
    };
    let (machine, operation) = (&scene.machine, PowerOnVMTask { host: None });
    let options = TaskOptions::default();
    let result =
        scene.client.run_task(machine, machine, &operation, &PATHS, forbid, &options).await;
    assert!(matches!(result, Err(Error::NoService("forbidden"))), "{result:?}");
    assert_eq!(scene.calls("PowerOnVM_Task"), 0);
}

// While it waits.

#[tokio::test]
async fn a_late_question_ends_the_wait_and_a_cancelable_task() {
    let scene = Scene::new().await;
    scene.late_question("CreateSnapshot_Task", Some(0));
    let (reason, leftover) = given_up(scene.snapshot(AutoAnswer::Never).await);
    assert_names_the_question(&reason.to_string());
    assert_eq!(leftover, Leftover::Cancelled);
    assert_eq!((scene.calls("CreateSnapshot_Task"), scene.calls("CancelTask")), (1, 1));
    assert_eq!(scene.calls("AnswerVM"), 0);
    let left = scene.sim.model().read(|m| (m.tasks(), m.unfinished_tasks()));
    assert_eq!((left.0.len(), left.1.len()), (1, 0));
}

#[tokio::test]
async fn a_late_question_leaves_a_task_behind_that_cannot_be_cancelled() {
    let scene = Scene::new().await;
    scene.late_question("PowerOnVM_Task", Some(0));
    let result = scene.start(AutoAnswer::Never).await;
    let text = result.as_ref().unwrap_err().to_string();
    assert!(text.contains("left"), "{text}");
    let (reason, leftover) = given_up(result);
    assert_names_the_question(&reason.to_string());
    assert_eq!(leftover, Leftover::LeftBehind);
    assert_eq!((scene.calls("PowerOnVM_Task"), scene.calls("CancelTask")), (1, 0));
    assert_eq!(scene.sim.model().read(|m| m.unfinished_tasks().len()), 1);
}

#[tokio::test]
async fn a_late_question_is_answered_and_the_wait_goes_on() {
    let scene = Scene::new().await;
    let machine = scene.machine.clone();
    scene.once_started("PowerOnVM_Task", move |model| {
        model.ask(&machine, "Really?", &YES_NO, Some(1));
        let task = model.task_of(&machine).unwrap();
        assert!(model.finish_task(&task)); // as soon as it is answered
    });
    scene.start(AutoAnswer::Default).await.unwrap();
    assert_eq!((scene.calls("PowerOnVM_Task"), scene.calls("AnswerVM")), (1, 1));
    assert_eq!(scene.power(), PowerState::PoweredOn);
}

#[tokio::test]
async fn several_late_questions_are_answered_in_a_row() {
    let scene = Scene::new().await;
    let machine = scene.machine.clone();
    scene.once_started("PowerOnVM_Task", move |model| {
        for text in ["First?", "Second?", "Third?"] {
            model.ask(&machine, text, &YES_NO, Some(0));
        }
        let task = model.task_of(&machine).unwrap();
        assert!(model.finish_task(&task));
    });
    scene.start(AutoAnswer::Default).await.unwrap();
    assert_eq!((scene.calls("PowerOnVM_Task"), scene.calls("AnswerVM")), (1, 3));
    assert_eq!(scene.power(), PowerState::PoweredOn);
}

#[tokio::test]
async fn a_late_question_without_a_default_ends_the_wait() {
    for default in [None, Some(2)] {
        let scene = Scene::new().await;
        scene.late_question("CreateSnapshot_Task", default);
        let (reason, leftover) = given_up(scene.snapshot(AutoAnswer::Default).await);
        assert!(reason.to_string().contains("default"), "{reason}");
        assert_names_the_question(&reason.to_string());
        assert_eq!(leftover, Leftover::Cancelled);
        assert_eq!(scene.calls("AnswerVM"), 0);
    }
}

#[tokio::test]
async fn a_late_question_that_another_client_answers_first_does_no_harm() {
    let scene = Scene::new().await;
    let machine = scene.machine.clone();
    scene.once_started("PowerOnVM_Task", move |model| {
        let id = model.ask(&machine, "Really?", &YES_NO, Some(0)).unwrap();
        let task = model.task_of(&machine).unwrap();
        assert!(model.finish_task(&task));
        model.before("AnswerVM", move |model| model.answer(&machine, &id, "n").unwrap());
    });
    scene.start(AutoAnswer::Default).await.unwrap();
    assert_eq!((scene.calls("PowerOnVM_Task"), scene.calls("AnswerVM")), (1, 1));
    assert_eq!(scene.power(), PowerState::PoweredOn);
}

#[tokio::test]
async fn an_answer_that_is_refused_while_the_question_stays_open_ends_the_wait() {
    let scene = Scene::new().await;
    scene.late_question("CreateSnapshot_Task", Some(0));
    let deny = |m: &mut Model| m.deny_privilege("VirtualMachine.Interact.AnswerQuestion");
    scene.sim.model().change(|model| model.before("AnswerVM", deny));
    let (reason, leftover) = given_up(scene.snapshot(AutoAnswer::Default).await);
    assert_eq!(reason, Reason::AnswerRefused("msg.test:Really?".to_owned()));
    assert_eq!(leftover, Leftover::Cancelled);
    assert_eq!((scene.calls("CreateSnapshot_Task"), scene.calls("AnswerVM")), (1, 3));
}

#[tokio::test]
async fn the_question_of_a_serial_port_is_answered_with_its_default() {
    let scene = Scene::new().await;
    let machine = scene.sim.model().change(|model| {
        model.release_tasks();
        let machine = model.machine("console01").unwrap();
        // Made by an earlier start.
        model.add_file("datastore1", "console01/serial.log", b"booting");
        machine
    });
    let scene = Scene { machine, ..scene };
    let (reason, leftover) = given_up(scene.start(AutoAnswer::Never).await);
    assert!(reason.to_string().contains("serial.log"), "{reason}");
    assert_eq!(leftover, Leftover::LeftBehind);
    let refused = refusal(scene.start(AutoAnswer::Default).await);
    assert!(refused.to_string().contains("Append"), "{refused}");
    // The task that was left behind has gone on.
    assert_eq!(scene.power(), PowerState::PoweredOn);
    assert_eq!(scene.calls("PowerOnVM_Task"), 1);
}

#[tokio::test]
async fn a_queued_task_is_awaited_and_progress_is_told() {
    let scene = Scene::new().await;
    scene.sim.model().change(Model::queue_tasks);
    let told = Arc::new(Mutex::new(Vec::new()));
    let hear = Arc::clone(&told);
    let (said, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let options = TaskOptions {
        progress: Some(Arc::new(move |percent| {
            hear.lock().unwrap().push(percent);
            said.send(percent).unwrap();
        })),
        ..TaskOptions::default()
    };
    let push = async {
        let task = scene.task().await;
        let state = scene.sim.model().read(|m| m.task_state(&task));
        assert_eq!(state, Some(TaskState::Queued));
        for percent in [30, 60] {
            assert!(scene.sim.model().change(|m| m.step_task(&task, percent)));
            while heard.recv().await != Some(percent) {}
        }
        assert!(scene.sim.model().change(|m| m.finish_task(&task)));
    };
    let (result, ()) = tokio::join!(scene.start_with(options), push);
    result.unwrap();
    let mut told = told.lock().unwrap().clone();
    told.dedup();
    assert_eq!(told, [30, 60, 100]);
    assert_eq!((scene.calls("PowerOnVM_Task"), scene.power()), (1, PowerState::PoweredOn));
}

#[tokio::test]
async fn a_task_that_fails_says_why() {
    let scene = Scene::new().await;
    let machine = scene.machine.clone();
    scene.once_started("PowerOnVM_Task", move |model| {
        let task = model.task_of(&machine).unwrap();
        let fault = SimFault::new("InsufficientResourcesFault", "There is no room.");
        assert!(model.fail_task(&task, fault));
    });
    match scene.start(AutoAnswer::Never).await {
        Err(Error::TaskFailed { fault, .. }) => {
            assert_eq!(fault.name, "InsufficientResourcesFault");
            assert_eq!(fault.message, "There is no room.");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(scene.calls("PowerOnVM_Task"), 1);
}

#[tokio::test]
async fn a_task_that_vanishes_is_an_error() {
    let scene = Scene::new().await;
    // It is seen once, then it is gone.
    let machine = scene.machine.clone();
    scene.once_started("PowerOnVM_Task", move |model| {
        model.before("WaitForUpdatesEx", move |model| {
            let task = model.task_of(&machine).unwrap();
            assert!(model.forget_task(&task));
        });
    });
    let result = scene.start(AutoAnswer::Never).await;
    assert!(matches!(result, Err(Error::TaskVanished { .. })), "{result:?}");
    assert_eq!(scene.calls("PowerOnVM_Task"), 1);
}

#[tokio::test]
async fn a_deadline_ends_the_wait() {
    let options = || TaskOptions { deadline: Some(Duration::ZERO), ..TaskOptions::default() };
    let scene = Scene::new().await;
    let (reason, leftover) = given_up(scene.snapshot_with(options()).await);
    assert_eq!((reason, leftover), (Reason::TimedOut, Leftover::Cancelled));
    assert_eq!(scene.sim.model().read(|m| m.unfinished_tasks().len()), 0);

    let scene = Scene::new().await;
    let (reason, leftover) = given_up(scene.start_with(options()).await);
    assert_eq!((reason, leftover), (Reason::TimedOut, Leftover::LeftBehind));
    assert_eq!(scene.sim.model().read(|m| m.unfinished_tasks().len()), 1);
}

/// Chooses `No`, which is the default of no question here.
fn no() -> TaskOptions {
    let choose = |question: &Question| {
        let no = question.choices.iter().find(|choice| choice.label == "No")?;
        Some(no.key.clone())
    };
    TaskOptions { policy: Some(Policy::new(choose)), ..TaskOptions::default() }
}

#[tokio::test]
async fn a_policy_answers_an_old_question_and_nothing_is_started() {
    let scene = Scene::new().await;
    scene.ask(None);
    let refusal = refusal(scene.start_with(no()).await);
    let expected =
        Refusal::Answered { text: "msg.test:Really?".to_owned(), answer: "No".to_owned() };
    assert_eq!(refusal, expected);
    assert_eq!((scene.calls("PowerOnVM_Task"), scene.calls("AnswerVM")), (0, 1));
}

#[tokio::test]
async fn a_policy_answers_a_late_question_and_the_wait_goes_on() {
    let scene = Scene::new().await;
    let machine = scene.machine.clone();
    scene.once_started("PowerOnVM_Task", move |model| {
        model.ask(&machine, "Really?", &YES_NO, None);
        let task = model.task_of(&machine).unwrap();
        assert!(model.finish_task(&task)); // as soon as it is answered
    });
    scene.start_with(no()).await.unwrap();
    assert_eq!((scene.calls("PowerOnVM_Task"), scene.calls("AnswerVM")), (1, 1));
    assert_eq!(scene.power(), PowerState::PoweredOn);
}

#[tokio::test]
async fn a_caller_that_gives_up_ends_what_it_can() {
    // Before the start.
    let (_keep, gone) = tokio::sync::watch::channel(true);
    let options = || TaskOptions { give_up: Some(gone.clone()), ..TaskOptions::default() };
    let scene = Scene::new().await;
    let (reason, leftover) = given_up(scene.snapshot_with(options()).await);
    assert_eq!((reason, leftover), (Reason::Caller, Leftover::NotStarted));
    assert_eq!((scene.calls("CreateSnapshot_Task"), scene.calls("CancelTask")), (0, 0));

    // While it waits: a task that can be cancelled, and one that cannot.
    for cancelable in [true, false] {
        let (sender, give_up) = tokio::sync::watch::channel(false);
        let options = TaskOptions { give_up: Some(give_up), ..TaskOptions::default() };
        let scene = Scene::new().await;
        let push = async {
            scene.task().await;
            sender.send_replace(true);
        };
        let (result, ()) = match cancelable {
            true => tokio::join!(scene.snapshot_with(options), push),
            false => tokio::join!(scene.start_with(options), push),
        };
        let (reason, leftover) = given_up(result);
        let expected = if cancelable { Leftover::Cancelled } else { Leftover::LeftBehind };
        assert_eq!((reason, leftover), (Reason::Caller, expected));
        let left = scene.sim.model().read(|m| m.unfinished_tasks().len());
        assert_eq!(left, usize::from(!cancelable));
        // Other calls of the client go on.
        let instance = MoRef::new("ServiceInstance", "ServiceInstance");
        scene.client.call(&instance, &CurrentTime {}).await.unwrap();
    }
}

#[tokio::test]
async fn a_waiting_task_does_not_stall_other_calls_of_the_client() {
    let scene = Scene::new().await;
    let other = scene.sim.model().read(|m| m.machine("twin-a")).unwrap();
    let instance = MoRef::new("ServiceInstance", "ServiceInstance");
    let meanwhile = async {
        let task = scene.task().await;
        // An open question on the one machine, calls and a second wait of the same client.
        let ask = |m: &mut Model| m.ask(&other, "Really?", &YES_NO, Some(0));
        scene.sim.model().change(ask).unwrap();
        scene.client.call(&instance, &CurrentTime {}).await.unwrap();
        let scene_of_other = refusal(
            scene
                .client
                .run_task(
                    &other,
                    &other,
                    &PowerOnVMTask { host: None },
                    &[],
                    |_| Ok(()),
                    &TaskOptions::default(),
                )
                .await,
        );
        assert!(matches!(scene_of_other, Refusal::Question(_)));
        assert!(scene.sim.model().change(|m| m.finish_task(&task)));
    };
    let (result, ()) = tokio::join!(scene.start(AutoAnswer::Never), meanwhile);
    result.unwrap();
    assert_eq!(scene.calls("PowerOnVM_Task"), 1);
}

#[tokio::test]
async fn two_clients_do_not_start_at_once() {
    let scene = Scene::new().await;
    let second = Scene { sim: scene.sim, client: scene.client, machine: scene.machine };
    let other = connect(&second.sim).await;
    let meanwhile = async {
        let task = second.task().await;
        let (machine, operation) = (&second.machine, PowerOnVMTask { host: None });
        let options = TaskOptions::default();
        let result = other
            .run_task(machine, machine, &operation, &[], |_| Ok::<(), Error>(()), &options)
            .await;
        assert!(matches!(refusal(result), Refusal::OtherTask(_)));
        assert!(second.sim.model().change(|m| m.finish_task(&task)));
    };
    let (result, ()) = tokio::join!(second.start(AutoAnswer::Never), meanwhile);
    result.unwrap();
    assert_eq!(second.calls("PowerOnVM_Task"), 1);
}

// What it costs, and what is never done twice.

#[tokio::test]
async fn a_fast_task_takes_six_requests_and_the_next_one_five() {
    let scene = Scene::new().await;
    scene.sim.model().change(Model::release_tasks);
    scene.start(AutoAnswer::Never).await.unwrap();
    let methods: Vec<_> = scene.sim.journal().into_iter().map(|entry| entry.method).collect();
    assert_eq!(
        methods,
        [
            "CreatePropertyCollector",
            "CreateFilter",
            "WaitForUpdatesEx",
            "PowerOnVM_Task",
            "WaitForUpdatesEx",
            "DestroyPropertyFilter"
        ]
    );
    scene.sim.reset_journal();
    scene.snapshot(AutoAnswer::Never).await.unwrap();
    assert_eq!(scene.sim.requests(), 5);
}

#[tokio::test]
async fn an_operation_that_may_have_been_started_is_not_sent_again() {
    // Five requests come before: connect, log in, collector, filter, look.
    let sim = Simulator::builder()
        .record_bodies(true)
        .plan(|arrival| match arrival.number {
            5 => Reaction::Refuse { status: 503, retry_after: Some(0) },
            _ => Reaction::Serve,
        })
        .start()
        .await
        .unwrap();
    let scene = Scene::on(sim).await;
    let error = scene.start(AutoAnswer::Never).await.unwrap_err();
    assert!(!matches!(error, Error::TaskFailed { .. } | Error::Refused { .. }), "{error:?}");
    let sent = |entry: &esx_sim::JournalEntry| {
        let body = String::from_utf8_lossy(entry.body.as_deref().unwrap_or_default()).into_owned();
        body.contains("<PowerOnVM_Task")
    };
    let statuses: Vec<_> =
        scene.sim.journal().iter().filter(|entry| sent(entry)).map(|entry| entry.status).collect();
    assert_eq!(statuses, [503]);
    assert_eq!(scene.power(), PowerState::PoweredOff);
}

#[tokio::test]
async fn a_session_that_ends_in_the_middle_leaves_one_task_that_is_still_awaited() {
    let scene = Scene::new().await;
    let machine = scene.machine.clone();
    scene.once_started("PowerOnVM_Task", move |model| {
        model.expire_sessions();
        // The client has to come back to hear of it.
        model.before("Login", move |model| {
            let task = model.task_of(&machine).unwrap();
            assert!(model.finish_task(&task));
        });
    });
    scene.start(AutoAnswer::Never).await.unwrap();
    assert_eq!((scene.calls("PowerOnVM_Task"), scene.power()), (1, PowerState::PoweredOn));
    assert_eq!(scene.sim.model().read(|m| m.session_count()), 1);
}

#[tokio::test]
async fn old_hosts_are_looked_at_again_and_again() {
    for version in ["2.5", "4.0"] {
        let sim = Simulator::builder().api_version(version).start().await.unwrap();
        let scene = Scene::on(sim).await;
        scene.start(AutoAnswer::Never).await.unwrap();
        assert_eq!((scene.calls("PowerOnVM_Task"), scene.power()), (1, PowerState::PoweredOn));
        scene.ask(Some(0));
        let refusal = refusal(scene.snapshot(AutoAnswer::Default).await);
        assert!(matches!(refusal, Refusal::Answered { .. }), "{refusal:?}");
        assert_eq!(scene.calls("CreateSnapshot_Task"), 0);
    }
}

/// Each set says that the rest follows in the next: no inventory is that large, and memory is not endless.
#[tokio::test]
async fn updates_without_end_are_no_updates() {
    let scene = Scene::new().await;
    scene.sim.set_plan(|arrival| match arrival.method.as_deref() {
        Some("WaitForUpdatesEx") => Reaction::EndlessUpdates,
        _ => Reaction::Serve,
    });
    let retrieval = Retrieval::from(&scene.machine).read("VirtualMachine", PATHS);
    let mut watch = scene.client.watch(&retrieval).await.unwrap();
    let error = watch.next(None).await.unwrap_err();
    assert!(error.to_string().contains("updates without end"), "{error}");
}
