//! Long operations and the questions that hold them up. Beyond libvirt, whose driver knows of both only by an error.

use async_trait::async_trait;

use crate::{Domain, Error, Result};

/// A question that a domain asks. While it is open, the operation that it holds up does not go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainQuestion {
    /// Who asks.
    pub domain: Domain,
    /// What tells this question from the next one of the same domain.
    pub id: String,
    /// What people read.
    pub text: String,
    /// The answers that are possible, in the host's order.
    pub choices: Vec<QuestionChoice>,
    /// Which of them is the default, counted from 0; never past the end.
    pub default: Option<usize>,
}

/// One of the answers to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuestionChoice {
    /// What the host is told.
    pub key: String,
    /// What people read.
    pub label: String,
}

/// Who may choose an answer while an operation is looked at or waited for.
pub trait QuestionCallback: Send + Sync {
    /// The place of the chosen answer in `choices`; `None` leaves the question to the URI's `auto_answer`. Must not block;
    /// asked again for a question that its answer did not reach.
    fn choose(&self, question: &DomainQuestion) -> Option<usize>;
}

impl<F: Fn(&DomainQuestion) -> Option<usize> + Send + Sync> QuestionCallback for F {
    fn choose(&self, question: &DomainQuestion) -> Option<usize> {
        self(question)
    }
}

/// How far an operation is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainProgress {
    /// The domain that it works on.
    pub domain: Domain,
    /// What it does, in one word: `start`, `snapshot-delete`, `migrate`, ...
    pub operation: &'static str,
    /// How much of it is done.
    pub percent: u8,
}

/// How far an operation on a volume is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeProgress {
    /// The pool.
    pub pool: String,
    /// The volume's name in the pool.
    pub volume: String,
    /// What is done to it, in one word: `create`, `clone`, `wipe`, `resize`.
    pub operation: &'static str,
    /// How much of it is done.
    pub percent: u8,
}

/// Who is told how far operations are: at most once per percent of each.
pub trait ProgressCallback: Send + Sync {
    /// Must not block.
    fn progress(&self, progress: &DomainProgress);

    /// The same of an operation on a volume. Nothing is done unless this is written anew.
    fn volume_progress(&self, _progress: &VolumeProgress) {}
}

impl<F: Fn(&DomainProgress) + Send + Sync> ProgressCallback for F {
    fn progress(&self, progress: &DomainProgress) {
        self(progress);
    }
}

/// The progress of every operation of one connection, as a stream. Dropping it ends it.
#[async_trait]
pub trait ProgressStream: Send {
    /// Waits for the next news, at most one per percent of each operation; `None` once the connection is closed. Safe to drop
    /// while pending. Who reads too slowly misses the oldest news, and nothing waits for them.
    async fn next(&mut self) -> Option<DomainProgress>;
}

/// Open questions, looked at and answered by hand.
#[async_trait]
pub trait Questions: Send + Sync {
    /// The open questions of one domain, or of all domains of the connection.
    ///
    /// # Errors
    /// `VIR_ERR_NO_DOMAIN` if there is no such domain.
    async fn list_questions(&self, _domain: Option<&Domain>) -> Result<Vec<DomainQuestion>> {
        Err(Error::no_support("list_questions"))
    }

    /// Answers a question with the choice of this key; what it held up goes on.
    ///
    /// # Errors
    /// `VIR_ERR_INVALID_ARG` if the question is no longer open, or has no such choice.
    async fn answer_question(&self, _question: &DomainQuestion, _key: &str) -> Result<()> {
        Err(Error::no_support("answer_question"))
    }
}
