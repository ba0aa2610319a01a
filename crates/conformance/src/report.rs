//! What checks found.

use std::fmt;

use virt_api::{Error, ErrorCode};

/// One thing a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Name of the check.
    pub check: &'static str,
    /// What was wrong, or which function was missing.
    pub message: String,
}

/// Collects what one check finds.
#[derive(Debug, Default)]
pub struct Findings {
    wrong: Vec<String>,
    skipped: Vec<String>,
}

impl Findings {
    /// Something is wrong.
    pub fn wrong(&mut self, message: impl Into<String>) {
        self.wrong.push(message.into());
    }

    /// Something could not be looked at.
    pub fn skipped(&mut self, message: impl Into<String>) {
        self.skipped.push(message.into());
    }

    /// `got` must equal `expected`.
    pub fn equal<T: PartialEq + fmt::Debug>(
        &mut self,
        what: impl fmt::Display,
        got: &T,
        expected: &T,
    ) {
        if got != expected {
            self.wrong(format!("{what}: got {got:?}, expected {expected:?}"));
        }
    }

    /// The answer to a question that must succeed. A missing function is skipped.
    pub fn answer<T>(
        &mut self,
        question: impl fmt::Display,
        result: Result<T, Error>,
    ) -> Option<T> {
        match result {
            Ok(answer) => Some(answer),
            Err(error) if error.code == ErrorCode::NoSupport => {
                self.skipped(error.to_string());
                None
            }
            Err(error) => {
                let chain: Vec<String> = error.chain().collect();
                self.wrong(format!("{question} failed with {}: {}", error.code, chain.join(": ")));
                None
            }
        }
    }

    /// A question that must fail with one of these codes. A missing function is skipped.
    pub fn refused<T: fmt::Debug>(
        &mut self,
        question: impl fmt::Display,
        result: Result<T, Error>,
        codes: &[ErrorCode],
    ) {
        match result {
            Err(error) if codes.contains(&error.code) => {}
            Err(error) if error.code == ErrorCode::NoSupport => self.skipped(error.to_string()),
            Err(error) => self.wrong(format!(
                "{question}: failed with {} ({error}), expected {codes:?}",
                error.code
            )),
            Ok(answer) => self.wrong(format!("{question}: got {answer:?}, expected {codes:?}")),
        }
    }
}

/// What all checks found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Checks that found nothing wrong.
    pub passed: Vec<&'static str>,
    /// What was wrong.
    pub wrong: Vec<Finding>,
    /// What could not be looked at, each message once.
    pub skipped: Vec<Finding>,
}

impl Report {
    /// Adds what a check found.
    pub fn add(&mut self, check: &'static str, found: Findings) {
        if found.wrong.is_empty() {
            self.passed.push(check);
        }
        self.wrong.extend(found.wrong.into_iter().map(|message| Finding { check, message }));
        for message in found.skipped {
            let finding = Finding { check, message };
            if !self.skipped.contains(&finding) {
                self.skipped.push(finding);
            }
        }
    }

    /// Ends a test.
    ///
    /// # Panics
    /// With the whole report, if anything is wrong.
    pub fn assert(&self) {
        assert!(self.wrong.is_empty(), "{self}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} passed, {} wrong, {} skipped",
            self.passed.len(),
            self.wrong.len(),
            self.skipped.len()
        )?;
        for finding in &self.wrong {
            writeln!(f, "wrong: {}: {}", finding.check, finding.message)?;
        }
        for finding in &self.skipped {
            writeln!(f, "skipped: {}: {}", finding.check, finding.message)?;
        }
        Ok(())
    }
}
