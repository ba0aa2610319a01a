//! Results that are a word, a document or a list of labelled facts.

use serde_json::{Map, Value};

use super::Render;

/// One word or one document.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    key: &'static str,
    text: String,
    value: Value,
    warnings: Vec<String>,
    tight: bool,
}

impl Text {
    /// One line; `key` names it for programs.
    pub(crate) fn line(key: &'static str, line: impl Into<String>) -> Self {
        let line = line.into();
        Self {
            key,
            text: format!("{line}\n"),
            value: Value::String(line),
            warnings: Vec::new(),
            tight: false,
        }
    }

    /// A document, which is printed as it is, with a line end if it has none.
    pub(crate) fn document(key: &'static str, text: impl Into<String>) -> Self {
        let mut text = text.into();
        let value = Value::String(text.clone());
        if !text.ends_with('\n') {
            text.push('\n');
        }
        Self { key, text, value, warnings: Vec::new(), tight: false }
    }

    /// Nothing at all.
    pub(crate) fn nothing() -> Self {
        Self {
            key: "",
            text: String::new(),
            value: Value::Null,
            warnings: Vec::new(),
            tight: false,
        }
    }

    /// The same line without the blank line that virsh prints after most commands, but not after this one.
    pub(crate) fn tight(self) -> Self {
        Self { tight: true, ..self }
    }

    /// The same text with another value for programs.
    pub(crate) fn with_value(self, value: Value) -> Self {
        Self { value, ..self }
    }

    /// The same text with warnings.
    pub(crate) fn with_warnings(self, warnings: Vec<String>) -> Self {
        Self { warnings, ..self }
    }
}

impl Render for Text {
    fn table(&self, quiet: bool) -> String {
        // The program ends the line where it would write the blank line.
        let open = self.tight && !quiet;
        if open { self.text.trim_end_matches('\n').to_owned() } else { self.text.clone() }
    }

    fn value(&self) -> Value {
        if self.key.is_empty() {
            return Value::Null;
        }
        let mut object = Map::new();
        object.insert(self.key.to_owned(), self.value.clone());
        if !self.warnings.is_empty() {
            object.insert("warnings".to_owned(), self.warnings.clone().into());
        }
        Value::Object(object)
    }

    fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
    }
}

/// Labelled facts, as `dominfo` and `nodeinfo` show them.
pub(crate) struct Fields {
    width: usize,
    text: String,
}

impl Fields {
    /// Labels are padded to `width`.
    pub(crate) const fn new(width: usize) -> Self {
        Self { width, text: String::new() }
    }

    /// Adds a fact.
    #[must_use]
    pub(crate) fn with(mut self, label: &str, fact: impl std::fmt::Display) -> Self {
        use std::fmt::Write as _;
        let _infallible = writeln!(self.text, "{label:<width$} {fact}", width = self.width);
        self
    }

    /// Adds a fact if there is one.
    #[must_use]
    pub(crate) fn with_some(self, label: &str, fact: Option<impl std::fmt::Display>) -> Self {
        match fact {
            Some(fact) => self.with(label, fact),
            None => self,
        }
    }

    /// The lines.
    pub(crate) fn into_text(self) -> String {
        self.text
    }
}
