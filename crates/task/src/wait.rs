//! One task on one machine, from the look before it is started to its end.
//!
//! ```text
//!            start()              question, may be answered
//!   [Fresh] ────────► Checking ─────────────────────────────► AnsweringOld ─┬ taken ──► Done(Refused(Answered))
//!                      │ │ │ │                                      │       └ refused ► Done(Refused(AnswerRefused))
//!                      │ │ │ └ deadline, caller gives up ───────────┴─────────────────► Done(GaveUp(NotStarted))
//!                      │ │ └ question, may not be answered ───────────────────────────► Done(Refused(Question))
//!                      │ └ another task, queued or running ───────────────────────────► Done(Refused(OtherTask))
//!                      │ nothing in the way
//!                      ▼
//!                   Starting ── the host does not accept it ──────────────────────────► Done(NotStarted)
//!                      │ started
//!                      ▼   question, may be answered
//!        ┌─────────► Waiting ─────────────────────────────► Answering
//!        │           │ │ │ │ │                              │ │   │
//!        │  queued,  │ │ │ │ └ success, error ──────────────│─│───│───────────────────► Done(Succeeded), Done(Failed)
//!        └─ running, ┘ │ │ └ the task is gone ──────────────│─│───│───────────────────► Done(Vanished)
//!        │  progress   │ │                                  │ │   │
//!        └─────────────│─│──── taken, or not taken yet ─────┘ │   │ not taken for the third time,
//!                      │ └ question, may not be answered ─┐   │   │ or too many questions
//!                      └ deadline, caller gives up ───────┤◄──┴───┘
//!                                                         ▼
//!                                         cancelable, or not known to be not: Cancelling ──► Done(GaveUp(Cancelled,
//!                                         not cancelable ─────────────────────────────────►          LeftBehind))
//! ```
//!
//! "May be answered": a [`Policy`] has chosen one of its answers, or [`AutoAnswer::Default`] is on and one of them is
//! the default. A question that was answered in `Checking` never leads to `Starting`: the task that it held up goes on
//! then, and is not ours.
//!
//! In every state an input that does not belong there repeats the last output: a late or doubled
//! update does no harm. `Start` is given out at most once, so whoever drives this machine sends the
//! operation at most once. The machine knows no clock: the driver says when the deadline has passed.

use std::fmt;
use std::sync::Arc;

use crate::question::{Blocked, Decision, Question};

/// An answer to the same question is sent so often at the most: another client's answer, or a lost
/// one, may make the first go astray.
const MAX_ANSWERS: u32 = 3;
/// A machine that asks more different questions than this during one task asks for ever.
const MAX_QUESTIONS: usize = 64;

/// The state of a task. VI API `TaskInfo.state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskState {
    /// Waiting for its turn.
    Queued,
    /// At work.
    Running,
    /// Done.
    Success,
    /// Failed.
    Error,
}

impl TaskState {
    /// From the API's word; one that a newer API invents counts as running.
    pub fn parse(word: &str) -> Self {
        match word {
            "queued" => Self::Queued,
            "success" => Self::Success,
            "error" => Self::Error,
            _ => Self::Running,
        }
    }

    /// Whether the task is yet to end.
    pub fn is_unfinished(self) -> bool {
        matches!(self, Self::Queued | Self::Running)
    }
}

/// What is known of our task. Facts that an update does not mention stay as they were.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskUpdate {
    /// Its state.
    pub state: Option<TaskState>,
    /// Whether it can be cancelled.
    pub cancelable: Option<bool>,
    /// How far it is, in percent.
    pub progress: Option<u8>,
}

/// Another task on the machine, as the check before a start found it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherTask {
    /// What people call it, for example `PowerOnVM_Task` or `VirtualMachine.powerOn`.
    pub name: String,
    /// Its state.
    pub state: TaskState,
}

/// What the driver learned since the last output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The check: the machine's pending question, and its unfinished tasks.
    Checked {
        /// `runtime.question`.
        question: Option<Question>,
        /// Those of `recentTask` that are queued or running.
        others: Vec<OtherTask>,
    },
    /// The operation was sent and has given a task.
    Started,
    /// The operation was not accepted; there is no task.
    NotStarted,
    /// Something about task or machine has changed.
    Updated {
        /// The task.
        task: TaskUpdate,
        /// The question, if the update mentions it; `Some(None)` says that there is none any more.
        question: Option<Option<Question>>,
    },
    /// The answer was sent; whether the host took it.
    Answered {
        /// False if the question was no longer open, for example.
        worked: bool,
    },
    /// The task does not exist any more.
    Vanished,
    /// The deadline has passed.
    DeadlinePassed,
    /// The caller no longer wants the result.
    GaveUp,
    /// `CancelTask` was sent; whether the host took it.
    Cancelled {
        /// False if the task could not be cancelled, or had ended.
        worked: bool,
    },
}

/// What the driver must do next, and then report back by an [`Input`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Read the machine's question and unfinished tasks.
    Check,
    /// Send the operation. Given out once.
    Start,
    /// Wait for a change of task or machine, for the deadline, or for the caller to give up.
    Wait,
    /// Send `AnswerVM`.
    Answer {
        /// The question's id.
        question: String,
        /// The key of the answer.
        choice: String,
    },
    /// Send `CancelTask`.
    Cancel,
    /// It is over.
    Done(Outcome),
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The task succeeded.
    Succeeded,
    /// The task failed; the driver reads why.
    Failed,
    /// Nothing was started.
    Refused(Refusal),
    /// The host did not accept the operation; the driver knows why.
    NotStarted,
    /// The task is gone: how it ended is not known.
    Vanished,
    /// Waiting was given up.
    GaveUp {
        /// Why.
        reason: Reason,
        /// What became of the task.
        task: Leftover,
    },
}

/// Why nothing was started.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A question is open and may not be answered.
    #[error("not started: {0}")]
    Question(Blocked),
    /// A question was open and has been answered; the task that it held up goes on now.
    #[error(
        "not started: the machine asked {text:?}, which was answered with {answer:?}; try again when its task has ended"
    )]
    Answered {
        /// The question.
        text: String,
        /// The label of the answer.
        answer: String,
    },
    /// A question was open, and the answer was not taken: somebody else may have answered it.
    #[error("not started: the machine asked {text:?}, and the answer {answer:?} was not accepted")]
    AnswerRefused {
        /// The question.
        text: String,
        /// The label of the answer.
        answer: String,
    },
    /// Another task is not finished.
    #[error("not started: the task {0} is not finished")]
    OtherTask(String),
}

/// Why waiting was given up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// A question came up that may not be answered.
    #[error("{0}")]
    Question(Blocked),
    /// The answer to a question was refused again and again.
    #[error("the answer to {0:?} was not accepted")]
    AnswerRefused(String),
    /// The machine asked more questions than any task has.
    #[error("the machine asks one question after the other")]
    TooManyQuestions,
    /// The deadline passed.
    #[error("the task took too long")]
    TimedOut,
    /// The caller gave up.
    #[error("the wait was cancelled")]
    Caller,
}

/// What became of a task that nobody waits for any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leftover {
    /// It was cancelled.
    Cancelled,
    /// It could not be cancelled and is left on the host.
    LeftBehind,
    /// There was none yet.
    NotStarted,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Fresh,
    Checking,
    AnsweringOld { text: String, answer: String },
    Starting,
    Waiting,
    Answering { id: String, text: String },
    Cancelling { reason: Reason },
    Done,
}

/// Whether questions may be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AutoAnswer {
    /// Never: `auto_answer=0`.
    Never,
    /// With their default: `auto_answer=1`.
    Default,
}

/// Somebody who may choose an answer, asked before [`AutoAnswer`]: the key of one of the question's choices, or nothing to leave
/// it to [`AutoAnswer`]. It is asked again for a question that its answer did not reach, and must not block.
#[derive(Clone)]
pub struct Policy(Arc<Choose>);

type Choose = dyn Fn(&Question) -> Option<String> + Send + Sync;

impl Policy {
    /// A policy that chooses by this function.
    pub fn new(choose: impl Fn(&Question) -> Option<String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(choose))
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Policy")
    }
}

/// The state machine. [`TaskWait::start`] gives the first output, [`TaskWait::step`] each further one.
#[derive(Clone, Debug)]
pub struct TaskWait {
    auto_answer: AutoAnswer,
    policy: Option<Policy>,
    state: State,
    task: TaskUpdate,
    /// Questions answered so far, and how often.
    answered: Vec<(String, u32)>,
    last: Output,
}

impl TaskWait {
    /// A task that has not been looked at yet.
    pub fn new(auto_answer: AutoAnswer) -> Self {
        Self {
            auto_answer,
            policy: None,
            state: State::Fresh,
            task: TaskUpdate::default(),
            answered: Vec::new(),
            last: Output::Check,
        }
    }

    /// The same with somebody who may choose answers.
    #[must_use]
    pub fn with_policy(self, policy: Option<Policy>) -> Self {
        Self { policy, ..self }
    }

    /// The first output.
    pub fn start(&mut self) -> Output {
        if self.state == State::Fresh {
            self.state = State::Checking;
        }
        self.last.clone()
    }

    /// What is known of the task.
    pub fn task(&self) -> &TaskUpdate {
        &self.task
    }

    /// Takes in what the driver learned and says what to do next.
    pub fn step(&mut self, input: Input) -> Output {
        let next = match (&self.state, input) {
            (State::Checking, Input::Checked { question, others }) => {
                Some(self.checked(question, others))
            }
            (State::AnsweringOld { text, answer }, Input::Answered { worked }) => {
                let (text, answer) = (text.clone(), answer.clone());
                let refusal = if worked {
                    Refusal::Answered { text, answer }
                } else {
                    Refusal::AnswerRefused { text, answer }
                };
                Some(self.done(Outcome::Refused(refusal)))
            }
            (State::Checking | State::AnsweringOld { .. }, Input::DeadlinePassed) => {
                Some(self.early(Reason::TimedOut))
            }
            (State::Checking | State::AnsweringOld { .. }, Input::GaveUp) => {
                Some(self.early(Reason::Caller))
            }
            (State::Starting, Input::Started) => {
                self.state = State::Waiting;
                Some(Output::Wait)
            }
            (State::Starting, Input::NotStarted) => Some(self.done(Outcome::NotStarted)),
            (State::Waiting, Input::Updated { task, question }) => {
                Some(self.updated(task, question))
            }
            (State::Answering { id, text }, Input::Answered { worked }) => {
                let (id, text) = (id.clone(), text.clone());
                Some(self.answer_sent(&id, &text, worked))
            }
            (State::Waiting, Input::Vanished) => Some(self.done(Outcome::Vanished)),
            (State::Waiting | State::Answering { .. }, Input::DeadlinePassed) => {
                Some(self.give_up(Reason::TimedOut))
            }
            (State::Waiting | State::Answering { .. }, Input::GaveUp) => {
                Some(self.give_up(Reason::Caller))
            }
            (State::Cancelling { reason }, Input::Cancelled { worked }) => {
                let reason = reason.clone();
                let task = if worked { Leftover::Cancelled } else { Leftover::LeftBehind };
                Some(self.done(Outcome::GaveUp { reason, task }))
            }
            (State::Cancelling { .. }, Input::Vanished) => Some(self.done(Outcome::Vanished)),
            _ => None,
        };
        if let Some(next) = next {
            self.last = next;
        }
        self.last.clone()
    }

    fn done(&mut self, outcome: Outcome) -> Output {
        self.state = State::Done;
        Output::Done(outcome)
    }

    /// Given up before anything was started.
    fn early(&mut self, reason: Reason) -> Output {
        self.done(Outcome::GaveUp { reason, task: Leftover::NotStarted })
    }

    fn decide<'q>(&self, question: &'q Question) -> Decision<'q> {
        let chosen = self.policy.as_ref().and_then(|Policy(choose)| choose(question));
        let known = |key: String| question.choices.iter().find(|choice| choice.key == key);
        if let Some(choice) = chosen.and_then(known) {
            return Decision::Answer { choice: &choice.key };
        }
        question.decide(self.auto_answer == AutoAnswer::Default)
    }

    /// A question comes before a task: the task is most likely the one that the question holds up.
    fn checked(&mut self, question: Option<Question>, others: Vec<OtherTask>) -> Output {
        if let Some(question) = question {
            return match self.decide(&question) {
                Decision::Blocked(why) => self.done(Outcome::Refused(Refusal::Question(why))),
                Decision::Answer { choice } => {
                    let output =
                        Output::Answer { question: question.id.clone(), choice: choice.to_owned() };
                    let answer = question.label(choice).to_owned();
                    self.state = State::AnsweringOld { text: question.text, answer };
                    output
                }
            };
        }
        if let Some(other) = others.into_iter().find(|task| task.state.is_unfinished()) {
            return self.done(Outcome::Refused(Refusal::OtherTask(other.name)));
        }
        self.state = State::Starting;
        Output::Start
    }

    fn updated(&mut self, task: TaskUpdate, question: Option<Option<Question>>) -> Output {
        self.task.state = task.state.or(self.task.state);
        self.task.cancelable = task.cancelable.or(self.task.cancelable);
        self.task.progress = task.progress.or(self.task.progress);
        // A task that has ended no longer waits for an answer.
        match self.task.state {
            Some(TaskState::Success) => return self.done(Outcome::Succeeded),
            Some(TaskState::Error) => return self.done(Outcome::Failed),
            Some(TaskState::Queued | TaskState::Running) | None => {}
        }
        match question.flatten() {
            Some(question) => self.asked(&question),
            None => Output::Wait,
        }
    }

    fn asked(&mut self, question: &Question) -> Output {
        let choice = match self.decide(question) {
            Decision::Blocked(why) => return self.give_up(Reason::Question(why)),
            Decision::Answer { choice } => choice.to_owned(),
        };
        let sent =
            self.answered.iter().find(|(id, _)| *id == question.id).map_or(0, |(_, times)| *times);
        if sent >= MAX_ANSWERS {
            return self.give_up(Reason::AnswerRefused(question.text.clone()));
        }
        if sent == 0 && self.answered.len() >= MAX_QUESTIONS {
            return self.give_up(Reason::TooManyQuestions);
        }
        self.state = State::Answering { id: question.id.clone(), text: question.text.clone() };
        Output::Answer { question: question.id.clone(), choice }
    }

    fn answer_sent(&mut self, id: &str, text: &str, worked: bool) -> Output {
        let times = match self.answered.iter_mut().find(|(known, _)| known == id) {
            Some((_, times)) => {
                *times += 1;
                *times
            }
            None => {
                self.answered.push((id.to_owned(), 1));
                1
            }
        };
        if !worked && times >= MAX_ANSWERS {
            return self.give_up(Reason::AnswerRefused(text.to_owned()));
        }
        self.state = State::Waiting;
        Output::Wait
    }

    /// Cancels what was started. A task that is not known to be cancelable is tried: that costs one
    /// request and may save an operation that would hang on the host for ever.
    fn give_up(&mut self, reason: Reason) -> Output {
        if self.task.cancelable == Some(false) {
            return self.done(Outcome::GaveUp { reason, task: Leftover::LeftBehind });
        }
        self.state = State::Cancelling { reason };
        Output::Cancel
    }
}

#[cfg(test)]
mod tests;
