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
//! So far it holds what a question is and what becomes of it ([`Question::decide`]); waiting for a task
//! joins with the driver's first function that starts one. It knows no socket and no clock.

#![forbid(unsafe_code)]

mod question;

pub use question::{Blocked, Choice, Decision, Question, QuestionError};
