//! Running a task: the I/O half of [`esx_task::TaskWait`]. It performs each output, reports back,
//! decides nothing.

mod again;

use std::borrow::Borrow;
use std::sync::Arc;
use std::time::Duration;

use esx_task::{
    AutoAnswer, Input, OtherTask, Outcome, Output, Policy, Question, TaskState, TaskUpdate,
    TaskWait,
};
use esx_vi_api::methods::{AnswerVM, CancelTask};
use esx_vi_api::{Method, MoRef, Object, Value};
use tokio::sync::watch::Receiver;

use crate::client::Client;
use crate::collector::{Retrieval, traversal};
use crate::error::{Error, Fault, Result};
use crate::updates::{Change, Watch};

use again::{Again, Found};

/// The machine's property that holds its pending question.
const QUESTION: &str = "runtime.question";
/// What is watched of every task.
pub(crate) const TASK: [&str; 5] =
    ["info.cancelable", "info.descriptionId", "info.error", "info.progress", "info.state"];
/// A host that has not shown the new task among the machine's after this long is asked for it by name.
const SHOWN_AFTER: Duration = Duration::from_secs(1);

/// A wait that breaks more often in a row is given up; the pauses in between double and add up to 25 s,
/// in which a host's management service can restart.
pub(crate) const MAX_BROKEN: u32 = 7;
/// The first pause.
pub(crate) const PAUSE: Duration = Duration::from_millis(200);

/// What a caller is told of while it waits, in percent.
pub type Progress = Arc<dyn Fn(u8) + Send + Sync>;

/// How a task is run.
#[derive(Clone)]
pub struct TaskOptions {
    /// Whether questions may be answered.
    pub auto_answer: AutoAnswer,
    /// Who may choose other answers than the default.
    pub policy: Option<Policy>,
    /// When to give up, counted from the start; the caller's choice, there is no default.
    pub deadline: Option<Duration>,
    /// Becomes true when the caller no longer wants the result: nothing is started then, or the task is
    /// cancelled if that is possible. (Dropping the future leaves a started task to the host.)
    pub give_up: Option<Receiver<bool>>,
    /// Who is told of progress.
    pub progress: Option<Progress>,
}

impl Default for TaskOptions {
    fn default() -> Self {
        Self {
            auto_answer: AutoAnswer::Never,
            policy: None,
            deadline: None,
            give_up: None,
            progress: None,
        }
    }
}

/// What the check before a start read of the machine.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    properties: Vec<(String, Value)>,
}

impl Checked {
    /// A property that was asked for.
    pub fn get(&self, path: &str) -> Option<&Value> {
        self.properties.iter().find(|(p, _)| p == path).map(|(_, value)| value)
    }
}

/// Everything seen so far of machine and tasks.
#[derive(Default)]
struct Seen {
    checked: Checked,
    /// `Some(None)`: there was one and it has gone.
    question: Option<Option<Question>>,
    tasks: Vec<(MoRef, TaskSeen)>,
}

#[derive(Clone, Default)]
pub(crate) struct TaskSeen {
    pub(crate) update: TaskUpdate,
    name: String,
    pub(crate) error: Option<Object>,
    pub(crate) gone: bool,
}

impl Seen {
    fn apply(&mut self, machine: &MoRef, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::Left { object } if object.kind == "Task" => self.task(&object).gone = true,
                Change::Left { .. } => {}
                Change::Property { object, path, value } if object == *machine => {
                    if path == QUESTION {
                        self.question = Some(value.as_ref().map(Question::from_value));
                    } else {
                        self.checked.properties.retain(|(p, _)| *p != path);
                        self.checked.properties.extend(value.map(|value| (path, value)));
                    }
                }
                Change::Property { object, path, value } => self.task(&object).set(&path, value),
            }
        }
    }

    fn task(&mut self, task: &MoRef) -> &mut TaskSeen {
        let at = match self.tasks.iter().position(|(known, _)| known == task) {
            Some(at) => at,
            None => {
                self.tasks.push((task.clone(), TaskSeen::default()));
                self.tasks.len() - 1
            }
        };
        &mut self.tasks[at].1
    }

    fn others(&self) -> Vec<OtherTask> {
        let other = |(_, task): &(MoRef, TaskSeen)| {
            Some(OtherTask { name: task.name.clone(), state: task.update.state? })
        };
        self.tasks.iter().filter_map(other).collect()
    }
}

impl TaskSeen {
    pub(crate) fn set(&mut self, path: &str, value: Option<Value>) {
        match path {
            "info.state" => {
                self.update.state = value.as_ref().and_then(Value::as_str).map(TaskState::parse)
            }
            "info.cancelable" => self.update.cancelable = value.as_ref().and_then(Value::as_bool),
            "info.progress" => {
                let percent = value.as_ref().and_then(Value::as_i64);
                self.update.progress = percent.and_then(|p| u8::try_from(p.clamp(0, 100)).ok());
            }
            "info.descriptionId" => {
                self.name = value.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned()
            }
            "info.error" => self.error = value.and_then(|v| v.as_object().cloned()),
            _ => {}
        }
    }
}

impl Client {
    /// Runs an operation on a machine that ends in a task: looks whether a question or another task is
    /// in the way, starts it, waits for its end and watches for questions with it. One collector and
    /// one filter serve all of it; on a host that is fast that is six requests, five from the second
    /// task of a session on.
    ///
    /// `paths` are read of the machine by the same look, and `may_start` decides by them whether the
    /// operation makes sense; it is called at most once, before the start.
    ///
    /// The operation is sent at most once. If the exchange breaks while it is sent, the error is the
    /// exchange's, and whether the task was started is not known.
    ///
    /// # Errors
    /// [`Error::Refused`] if something is in the way, the error of `may_start`, [`Error::TaskFailed`]
    /// with the task's fault, [`Error::TaskGivenUp`] if a question, the deadline or the host ended the
    /// wait, and any other [`Error`].
    pub async fn run_task<M, E>(
        &self,
        machine: &MoRef,
        target: &MoRef,
        operation: &M,
        paths: &[&str],
        may_start: impl FnOnce(&Checked) -> Result<(), E> + Send,
        options: &TaskOptions,
    ) -> Result<(), E>
    where
        M: Method<Output = MoRef> + Sync,
        E: From<Error>,
    {
        let make = |checked: &Checked| may_start(checked).map(|()| operation);
        self.run_made_task::<M, &M, E>(machine, target, paths, make, options).await
    }

    /// The same for an operation that is made of what the look has read: a change of a device that must
    /// be found first.
    ///
    /// # Errors
    /// As [`run_task`](Self::run_task), with the error of `make` for that of `may_start`.
    pub async fn run_made_task<M, O, E>(
        &self,
        machine: &MoRef,
        target: &MoRef,
        paths: &[&str],
        make: impl FnOnce(&Checked) -> Result<O, E> + Send,
        options: &TaskOptions,
    ) -> Result<(), E>
    where
        M: Method<Output = MoRef> + Sync,
        O: Borrow<M> + Send + Sync,
        E: From<Error>,
    {
        // The change is made when the task ends, and not when the call that starts it does.
        let _changing = self.changing(M::NAME);
        let retrieval = Retrieval::from(machine)
            .via([traversal("recentTask", "VirtualMachine", "recentTask", [])])
            .read("VirtualMachine", std::iter::once(QUESTION).chain(paths.iter().copied()))
            .read("Task", TASK);
        let mut watch = self.watch(&retrieval).await?;
        let mut run = Run {
            client: self,
            machine,
            started: tokio::time::Instant::now(),
            seen: Seen::default(),
            task: None,
            options,
            again: Again::default(),
            given_up: false,
            still_open: None,
        };
        let result = run.drive::<M, O, E>(&mut watch, target, make).await;
        if run.given_up {
            // A wait may still be pending on the host; dropping the watch ends that, too.
            return result;
        }
        // The result stands, whether or not the host could be told that nobody watches any more.
        if let Err(error) = watch.close().await {
            tracing::debug!(%error, "cannot end the watch");
        }
        result
    }
}

struct Run<'a> {
    client: &'a Client,
    machine: &'a MoRef,
    started: tokio::time::Instant,
    seen: Seen,
    task: Option<MoRef>,
    options: &'a TaskOptions,
    again: Again,
    /// Whether a wait was left because the caller gave up.
    given_up: bool,
    /// The question as it is after an answer that was not taken.
    still_open: Option<Option<Question>>,
}

impl Run<'_> {
    async fn drive<M, O, E>(
        &mut self,
        watch: &mut Watch,
        target: &MoRef,
        make: impl FnOnce(&Checked) -> Result<O, E> + Send,
    ) -> Result<(), E>
    where
        M: Method<Output = MoRef> + Sync,
        O: Borrow<M> + Send + Sync,
        E: From<Error>,
    {
        let mut wait =
            TaskWait::new(self.options.auto_answer).with_policy(self.options.policy.clone());
        let mut make = Some(make);
        let mut output = wait.start();
        loop {
            let input = match output {
                Output::Check => {
                    let changes = watch.next(Some(Duration::ZERO)).await?;
                    self.seen.apply(self.machine, changes);
                    if self.options.give_up.as_ref().is_some_and(|give_up| *give_up.borrow()) {
                        Input::GaveUp
                    } else {
                        Input::Checked {
                            question: self.seen.question.take().flatten(),
                            others: self.seen.others(),
                        }
                    }
                }
                Output::Start => {
                    // The state machine asks once.
                    if let Some(make) = make.take() {
                        let operation = make(&self.seen.checked)?;
                        let task = self.client.call(target, operation.borrow()).await?;
                        tracing::debug!(%task, method = M::NAME, "started");
                        self.task = Some(task);
                    }
                    Input::Started
                }
                Output::Wait => match self.wait(watch).await {
                    Ok(input) => {
                        self.again = Again::default();
                        input
                    }
                    Err(error) => self.watch_again(watch, error).await?,
                },
                Output::Answer { question, choice } => self.answer(question, choice).await?,
                Output::Cancel => Input::Cancelled { worked: self.cancel().await },
                Output::Done(outcome) => {
                    return self.outcome(M::NAME, target, outcome).map_err(E::from);
                }
            };
            output = wait.step(input);
        }
    }

    /// Waits for news of machine or task.
    async fn wait(&mut self, watch: &mut Watch) -> Result<Input> {
        let left = self.options.deadline.map(|d| d.saturating_sub(self.started.elapsed()));
        if left.is_some_and(|left| left.is_zero()) {
            return Ok(Input::DeadlinePassed);
        }
        let Some(task) = self.task.clone() else { return Ok(Input::Vanished) };
        if let Some(question) = self.still_open.take() {
            let task = TaskUpdate::default();
            return Ok(Input::Updated { task, question: Some(question) });
        }
        // What the look before the start has told of this task does not count: it was not there yet.
        let shown = self.seen.tasks.iter().any(|(known, _)| *known == task);
        let limit =
            if shown { left } else { Some(left.map_or(SHOWN_AFTER, |l| l.min(SHOWN_AFTER))) };
        let changes = tokio::select! {
            biased;
            () = given_up(self.options.give_up.clone()) => {
                self.given_up = true;
                return Ok(Input::GaveUp);
            }
            changes = watch.next(limit) => changes?,
        };
        let nothing = changes.is_empty();
        self.seen.apply(self.machine, changes);
        if !shown && !self.seen.tasks.iter().any(|(known, _)| *known == task) {
            if nothing {
                // The machine does not list it: watch the task itself.
                self.seen.task(&task);
                watch.add(&Retrieval::from(&task).read("Task", TASK)).await?;
            }
            return Ok(Input::Updated {
                task: TaskUpdate::default(),
                question: self.seen.question.take(),
            });
        }
        let seen = self.seen.task(&task).clone();
        let unfinished = seen.update.state.is_none_or(TaskState::is_unfinished);
        if seen.gone && unfinished {
            return Ok(Input::Vanished);
        }
        if let (Some(progress), Some(percent)) = (&self.options.progress, seen.update.progress) {
            progress(percent);
        }
        Ok(Input::Updated { task: seen.update, question: self.seen.question.take() })
    }

    /// The wait has broken: the task goes on all the same, so it is watched again, and never started again.
    async fn watch_again(&mut self, watch: &mut Watch, error: Error) -> Result<Input> {
        let Some(task) = self.task.clone() else { return Err(error) };
        let retrieval = Retrieval::from(self.machine)
            .read("VirtualMachine", [QUESTION])
            .and(&task)
            .read("Task", TASK);
        Ok(match self.again.watch(self.client, watch, &retrieval, error).await? {
            Found::Again => Input::Updated { task: TaskUpdate::default(), question: None },
            Found::Gone => Input::Vanished,
        })
    }

    async fn answer(&mut self, question: String, choice: String) -> Result<Input> {
        tracing::info!(machine = %self.machine, question, choice, "answering a question");
        let call = AnswerVM { question_id: question, answer_choice: choice };
        match self.client.call(self.machine, &call).await {
            Ok(()) => return Ok(Input::Answered { worked: true }),
            Err(error) if matches!(error, Error::Fault { .. }) || error.is_broken() => {
                tracing::debug!(%error, "the answer was not accepted");
            }
            Err(error) => return Err(error),
        }
        if self.task.is_some() {
            // No update tells of a question that is still open: nothing has changed.
            let row = self.client.read(self.machine, &[QUESTION]).await?;
            let open = row.and_then(|row| row.get_lenient::<Value>(QUESTION).ok().flatten());
            self.still_open = Some(open.as_ref().map(Question::from_value));
        }
        Ok(Input::Answered { worked: false })
    }

    async fn cancel(&self) -> bool {
        let Some(task) = &self.task else { return false };
        match self.client.call(task, &CancelTask {}).await {
            Ok(()) => true,
            Err(error) => {
                tracing::debug!(%error, "the task could not be cancelled");
                false
            }
        }
    }

    fn outcome(&mut self, method: &'static str, target: &MoRef, outcome: Outcome) -> Result<()> {
        match outcome {
            Outcome::Succeeded => Ok(()),
            Outcome::Failed => {
                let error = self.task.clone().and_then(|task| self.seen.task(&task).error.take());
                let fault = Box::new(task_fault(error));
                Err(Error::TaskFailed { method, target: target.clone(), fault })
            }
            Outcome::Refused(refusal) => {
                Err(Error::Refused { method, target: target.clone(), refusal })
            }
            Outcome::Vanished | Outcome::NotStarted => {
                Err(Error::TaskVanished { method, target: target.clone() })
            }
            Outcome::GaveUp { reason, task } => {
                Err(Error::TaskGivenUp { method, target: target.clone(), reason, task })
            }
        }
    }
}

/// Ends when the caller gives up; never, if it cannot.
pub(crate) async fn given_up(give_up: Option<Receiver<bool>>) {
    let Some(mut give_up) = give_up else { return std::future::pending().await };
    // The guard inside the result must not live across another await.
    let gone = give_up.wait_for(|given_up| *given_up).await.is_err();
    if gone {
        std::future::pending().await
    }
}

/// The fault in `TaskInfo.error`, a `LocalizedMethodFault`.
pub(crate) fn task_fault(error: Option<Object>) -> Fault {
    let Some(error) = error else {
        return Fault {
            name: "unknown".to_owned(),
            message: "the host does not say why".to_owned(),
            detail: None,
        };
    };
    let detail = error.get("fault").and_then(Value::as_object).cloned();
    Fault {
        name: detail
            .as_ref()
            .map_or_else(|| "unknown".to_owned(), |d| d.type_name.clone().into_owned()),
        message: error.str("localizedMessage").unwrap_or_default().to_owned(),
        detail,
    }
}
