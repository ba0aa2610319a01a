//! A question that a virtual machine asks, and what becomes of it (spec `connection.md` 16).

use std::fmt;

use esx_vi_api::{Object, Value};

/// One of the answers that a question allows. VI API `ElementDescription` in `ChoiceOption.choiceInfo`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// What `AnswerVM` wants.
    pub key: String,
    /// What people read.
    pub label: String,
}

impl Choice {
    /// The choice `key`, shown as `label`.
    pub fn new(key: impl Into<String>, label: impl Into<String>) -> Self {
        Self { key: key.into(), label: label.into() }
    }
}

/// A pending question. VI API `VirtualMachineQuestionInfo`, property `runtime.question`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// What `AnswerVM` wants.
    pub id: String,
    /// What people read.
    pub text: String,
    /// The answers it allows, in the host's order.
    pub choices: Vec<Choice>,
    /// Which of them is the default, counted from 0; may point past the end.
    pub default: Option<usize>,
}

/// Why a value is no question.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the question lacks its {0}")]
pub struct QuestionError(&'static str);

/// What to do about a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision<'a> {
    /// Send `AnswerVM` with the key of this choice.
    Answer {
        /// The key.
        choice: &'a str,
    },
    /// Nobody may answer it here.
    Blocked(Blocked),
}

/// Why a question stays open: shown to people, with the question and its answers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Blocked {
    /// `auto_answer` is off.
    #[error("{0}")]
    NotAllowed(Shown),
    /// There is nothing to choose.
    #[error("{0}, and it cannot be answered")]
    NoChoices(Shown),
    /// None of the answers is the default.
    #[error("{0}, and none of them is the default")]
    NoDefault(Shown),
}

/// A question as people see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown(String);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Question {
    /// Reads the value of `runtime.question`.
    ///
    /// # Errors
    /// If id, text or choices are missing.
    pub fn from_object(object: &Object) -> Result<Self, QuestionError> {
        let text = |name, what| object.str(name).map(str::to_owned).ok_or(QuestionError(what));
        let choice =
            object.get("choice").and_then(Value::as_object).ok_or(QuestionError("choices"))?;
        let choices =
            choice.get("choiceInfo").map_or(&[][..], Value::items).iter().filter_map(|item| {
                let item = item.as_object()?;
                Some(Choice::new(item.str("key")?, item.str("label").unwrap_or_default()))
            });
        Ok(Self {
            id: text("id", "id")?,
            text: text("text", "text")?,
            choices: choices.collect(),
            default: choice
                .get("defaultIndex")
                .and_then(Value::as_i64)
                .and_then(|i| usize::try_from(i).ok()),
        })
    }

    /// Reads the value of `runtime.question`, whatever it is. What is there and cannot be read holds the machine up like any
    /// other question; it has no choices, so that nobody answers it here.
    pub fn from_value(value: &Value) -> Self {
        let read = match value.as_object() {
            Some(object) => Self::from_object(object),
            None => Err(QuestionError("fields")),
        };
        read.unwrap_or_else(|error| {
            let field = |name| value.as_object().and_then(|object| object.str(name));
            let id = field("id").unwrap_or_default().to_owned();
            let text = field("text").map_or_else(|| error.to_string(), str::to_owned);
            Self { id, text, choices: Vec::new(), default: None }
        })
    }

    /// What becomes of the question; `auto_answer` is the URI's parameter.
    pub fn decide(&self, auto_answer: bool) -> Decision<'_> {
        if self.choices.is_empty() {
            return Decision::Blocked(Blocked::NoChoices(self.shown()));
        }
        if !auto_answer {
            return Decision::Blocked(Blocked::NotAllowed(self.shown()));
        }
        match self.default.and_then(|index| self.choices.get(index)) {
            Some(choice) => Decision::Answer { choice: &choice.key },
            None => Decision::Blocked(Blocked::NoDefault(self.shown())),
        }
    }

    /// The label of the answer with this key; the key itself if there is none.
    pub fn label<'a>(&'a self, key: &'a str) -> &'a str {
        self.choices.iter().find(|choice| choice.key == key).map_or(key, |choice| &choice.label)
    }

    fn shown(&self) -> Shown {
        if self.choices.is_empty() {
            return Shown(format!("the machine asks {:?}", self.text));
        }
        let labels: Vec<_> = self.choices.iter().map(|c| format!("{:?}", c.label)).collect();
        Shown(format!(
            "the machine asks {:?}, possible answers are {}",
            self.text,
            labels.join(", ")
        ))
    }
}

#[cfg(test)]
mod tests {
    use esx_vi_api::Array;

    use super::*;

    fn question(choices: &[(&str, &str)], default: Option<usize>) -> Question {
        Question {
            id: "7".to_owned(),
            text: "Append?".to_owned(),
            choices: choices.iter().map(|(k, l)| Choice::new(*k, *l)).collect(),
            default,
        }
    }

    /// The table of spec `connection.md` section 16.
    #[test]
    fn every_row_of_the_table() {
        let two = &[("a", "Yes"), ("b", "No")][..];
        let said = |q: &Question, auto| match q.decide(auto) {
            Decision::Answer { choice } => format!("answer {choice}"),
            Decision::Blocked(why) => why.to_string(),
        };
        let asks = "the machine asks \"Append?\"";
        let answers = "possible answers are \"Yes\", \"No\"";
        for (choices, default, auto, expected) in [
            (two, Some(1), false, format!("{asks}, {answers}")),
            (two, None, false, format!("{asks}, {answers}")),
            (&[], None, false, format!("{asks}, and it cannot be answered")),
            (&[], Some(0), true, format!("{asks}, and it cannot be answered")),
            (two, None, true, format!("{asks}, {answers}, and none of them is the default")),
            (two, Some(2), true, format!("{asks}, {answers}, and none of them is the default")),
            (two, Some(0), true, "answer a".to_owned()),
            (two, Some(1), true, "answer b".to_owned()),
        ] {
            assert_eq!(said(&question(choices, default), auto), expected);
        }
    }

    #[test]
    fn questions_are_read_from_the_wire() {
        let info = |key: &str, label: &str| {
            Value::from(
                Object::new("ElementDescription")
                    .with("label", label)
                    .with("summary", label)
                    .with("key", key),
            )
        };
        let choices = Array::new("ElementDescription", vec![info("a", "Yes"), info("b", "No")]);
        let object =
            Object::new("VirtualMachineQuestionInfo").with("id", "7").with("text", "Append?").with(
                "choice",
                Object::new("ChoiceOption").with("choiceInfo", choices).with("defaultIndex", 1),
            );
        assert_eq!(
            Question::from_object(&object),
            Ok(question(&[("a", "Yes"), ("b", "No")], Some(1)))
        );
        assert_eq!(
            Question::from_object(&Object::new("x")).unwrap_err().to_string(),
            "the question lacks its choices"
        );
        assert_eq!(
            Question::from_value(&Value::from(object)),
            question(&[("a", "Yes"), ("b", "No")], Some(1))
        );
    }

    #[test]
    fn what_cannot_be_read_blocks_too() {
        let half = Value::from(Object::new("x").with("text", "Why?"));
        for (value, says) in [(half, "Why?"), (Value::from("?"), "the question lacks its fields")] {
            let question = Question::from_value(&value);
            assert_eq!(question.text, says);
            for auto in [false, true] {
                assert!(matches!(question.decide(auto), Decision::Blocked(Blocked::NoChoices(_))));
            }
        }
    }
}
