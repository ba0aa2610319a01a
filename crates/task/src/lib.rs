//! Task waiting and question handling as a sans-IO state machine.
//!
//! ```
//! use esx_task::{Choice, Decision, Question};
//!
//! let question = Question {
//!     id: "1".to_owned(),
//!     text: "Replace the file?".to_owned(),
//!     choices: vec![Choice::new("0", "Append"), Choice::new("1", "Replace")],
//!     default: Some(1),
//! };
//! assert_eq!(question.decide(true), Decision::Answer { choice: "1" });
//! assert!(matches!(question.decide(false), Decision::Blocked(_)));
//! ```
//!
//! [`Question::decide`] says what becomes of a question unless a [`Policy`] does; [`TaskWait`] looks at a machine before an
//! operation is started, then waits for the operation's task and watches for questions with it. It knows
//! no socket and no clock: `esx-vi-client` performs its outputs and reports back.

#![forbid(unsafe_code)]
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

mod question;
mod wait;

pub use question::{Blocked, Choice, Decision, Question, QuestionError};
pub use wait::{
    AutoAnswer, Input, Leftover, OtherTask, Outcome, Output, Policy, Reason, Refusal, TaskState,
    TaskUpdate, TaskWait,
};
