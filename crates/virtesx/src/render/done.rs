//! Commands that do something: one sentence, or nothing at all.

use serde_json::{Map, Value, json};
use virt_api::Domain;

use super::{Render, printable};

/// Something was done. virsh says so unless it is quiet; programs get who and what.
pub(crate) struct Done {
    sentence: Option<String>,
    value: Map<String, Value>,
    tight: bool,
}

impl Done {
    /// `command` was done.
    pub(crate) fn new(command: &str) -> Self {
        let mut value = Map::new();
        value.insert("action".to_owned(), json!(command));
        Self { sentence: None, value, tight: false }
    }

    /// `command` was done to this domain.
    pub(crate) fn to_domain(command: &str, domain: &Domain) -> Self {
        Self::new(command)
            .with("domain", domain.name.as_str())
            .with("uuid", domain.uuid.to_string())
    }

    /// With another fact for programs.
    pub(crate) fn with(mut self, key: &str, fact: impl Into<Value>) -> Self {
        self.value.insert(key.to_owned(), fact.into());
        self
    }

    /// With what people are told.
    pub(crate) fn saying(self, sentence: &str) -> Self {
        Self { sentence: Some(printable(sentence)), ..self }
    }

    /// Without the blank line that virsh prints after most commands, but not after this one.
    pub(crate) fn tight(self) -> Self {
        Self { tight: true, ..self }
    }
}

impl Render for Done {
    fn table(&self, quiet: bool) -> String {
        match &self.sentence {
            Some(sentence) if !quiet && self.tight => sentence.clone(),
            Some(sentence) if !quiet => format!("{sentence}\n"),
            _ => String::new(),
        }
    }

    fn value(&self) -> Value {
        Value::Object(self.value.clone())
    }
}
