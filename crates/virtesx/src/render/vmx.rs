//! `vmx get` and `vmx lint`, and files on their way through.

use std::fmt::Write as _;

use esx_vmx::Problem;
use serde_json::{Value, json};

use super::{Render, printable};

/// A key with its value.
pub(crate) struct Assignment {
    /// The key.
    pub(crate) key: String,
    /// The value.
    pub(crate) value: String,
}

impl Render for Assignment {
    fn table(&self, _quiet: bool) -> String {
        format!("{}\n", printable(&self.value))
    }

    fn value(&self) -> Value {
        json!({"key": self.key, "value": self.value})
    }
}

/// All keys of a file.
pub(crate) struct Assignments(pub(crate) Vec<Assignment>);

impl Render for Assignments {
    fn table(&self, _quiet: bool) -> String {
        let mut text = String::new();
        for Assignment { key, value } in &self.0 {
            let _infallible = writeln!(text, "{} = \"{}\"", printable(key), printable(value));
        }
        text
    }

    fn value(&self) -> Value {
        self.0.iter().map(Assignment::value).collect()
    }
}

/// What is wrong with a file. No value of the file is shown: it may be a password.
pub(crate) struct Problems {
    /// The file.
    pub(crate) file: String,
    /// Its problems in order.
    pub(crate) problems: Vec<Problem>,
}

impl Render for Problems {
    fn table(&self, _quiet: bool) -> String {
        let mut text = String::new();
        for problem in &self.problems {
            let _infallible = writeln!(
                text,
                "{}:{}:{}: {}",
                printable(&self.file),
                problem.line,
                problem.column,
                problem.kind
            );
        }
        text
    }

    fn value(&self) -> Value {
        let problem = |problem: &Problem| {
            json!({
                "line": problem.line,
                "column": problem.column,
                "problem": problem.kind.to_string(),
                "syntax_error": problem.kind.is_syntax_error(),
            })
        };
        self.problems.iter().map(problem).collect()
    }

    fn is_good(&self) -> bool {
        self.problems.is_empty()
    }
}

/// A changed file that goes to standard output.
pub(crate) struct Bytes(pub(crate) Vec<u8>);

impl Render for Bytes {
    fn table(&self, _quiet: bool) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }

    fn value(&self) -> Value {
        Value::String(self.table(true))
    }

    fn raw(&self) -> Option<&[u8]> {
        Some(&self.0)
    }
}
