//! `question list`.

use serde_json::{Value, json};
use virt_api::DomainQuestion;

use super::{Render, layout};

/// Open questions.
pub(crate) struct Asked(pub(crate) Vec<DomainQuestion>);

impl Render for Asked {
    /// A row per question; the default answer is marked with an asterisk.
    fn table(&self, quiet: bool) -> String {
        let rows: Vec<Vec<String>> = self
            .0
            .iter()
            .map(|question| {
                let answers = question.choices.iter().enumerate().map(|(index, choice)| {
                    let default = if question.default == Some(index) { "*" } else { "" };
                    format!("{}{default}", choice.label)
                });
                vec![
                    question.domain.name.clone(),
                    question.text.clone(),
                    answers.collect::<Vec<_>>().join(", "),
                ]
            })
            .collect();
        layout(&["Domain", "Question", "Answers"], &rows, quiet)
    }

    fn value(&self) -> Value {
        let question = |question: &DomainQuestion| {
            let choices = question.choices.iter().enumerate().map(|(index, choice)| {
                json!({
                    "key": choice.key,
                    "label": choice.label,
                    "default": question.default == Some(index),
                })
            });
            json!({
                "domain": question.domain.name,
                "uuid": question.domain.uuid.to_string(),
                "id": question.id,
                "text": question.text,
                "choices": choices.collect::<Vec<_>>(),
            })
        };
        self.0.iter().map(question).collect()
    }
}
