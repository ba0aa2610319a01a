//! Property paths such as `config.hardware.device[4000].backing`: checked against the schema, then followed.

use esx_vi_api::schema::{self, Member, WireType};
use esx_vi_api::{ApiVersion, Value};

use super::fault::Fault;

/// A path that its class knows in the dialect spoken.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PropertyPath {
    text: String,
    first_end: usize,
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Member(String),
    Key(String),
}

/// What stands at a point of a path.
struct Place {
    wire: WireType,
    array: bool,
}

impl PropertyPath {
    /// Reads and checks a path.
    ///
    /// # Errors
    /// `InvalidProperty` if the class, or a type on the way, has no such member in API version `dialect`.
    pub(crate) fn parse(class: &str, text: &str, dialect: ApiVersion) -> Result<Self, Fault> {
        Self::try_parse(class, text, dialect).ok_or_else(|| Fault::invalid_property(text))
    }

    fn try_parse(class: &str, text: &str, dialect: ApiVersion) -> Option<Self> {
        let tokens = tokens(text)?;
        let mut tokens = tokens.into_iter();
        let Some(Step::Member(first)) = tokens.next() else { return None };
        let property = schema::properties(class).find(|p| p.name == first && p.since <= dialect)?;
        let mut place = Place { wire: property.wire_type, array: property.array };
        let mut steps = Vec::new();
        for step in tokens {
            place = place.after(&step, dialect)?;
            steps.push(step);
        }
        Some(Self { text: text.to_owned(), first_end: first.len(), steps })
    }

    /// The path as it was asked for.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The property of the managed object that the path begins with.
    pub(crate) fn first(&self) -> &str {
        &self.text[..self.first_end]
    }

    /// Follows the rest of the path from the value of [`first`](Self::first). `None` if something on the way is unset.
    pub(crate) fn follow(&self, mut value: Value) -> Option<Value> {
        for step in &self.steps {
            value = match (step, value) {
                (Step::Member(name), Value::Object(mut object)) => object.remove(name)?,
                (Step::Key(key), Value::Array(array)) => {
                    array.items.into_iter().find(|item| has_key(item, key))?
                }
                _ => return None,
            };
        }
        Some(value)
    }
}

impl Place {
    fn after(&self, step: &Step, dialect: ApiVersion) -> Option<Self> {
        match (step, self.wire) {
            (Step::Key(_), wire) => self.array.then_some(Self { wire, array: false }),
            (Step::Member(name), WireType::Data(data)) if !self.array => {
                let member = member_of(data, name).filter(|m| m.since <= dialect)?;
                Some(Self { wire: member.wire_type, array: member.array })
            }
            _ => None,
        }
    }
}

/// The member of a type or, if it has none of the name, of one derived from it.
fn member_of(data: &str, name: &str) -> Option<&'static Member> {
    schema::member(data, name).or_else(|| {
        schema::data_types()
            .filter(|derived| schema::is_subtype(derived.name, data))
            .find_map(|derived| derived.members.iter().find(|member| member.name == name))
    })
}

fn has_key(item: &Value, key: &str) -> bool {
    match item {
        Value::Object(object) => object.get("key").is_some_and(|member| has_key(member, key)),
        Value::MoRef(moref) => moref.value == key,
        other => {
            other.as_str().is_some_and(|text| text == key)
                || other.as_i64().is_some_and(|number| key.parse() == Ok(number))
        }
    }
}

/// Cuts a path into members and keys; a key stands in brackets, with or without quotes, and may hold dots.
fn tokens(text: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    let mut rest = text;
    loop {
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        if end == 0 {
            return None;
        }
        steps.push(Step::Member(rest[..end].to_owned()));
        rest = &rest[end..];
        while let Some(inside) = rest.strip_prefix('[') {
            let (key, after) = match inside.strip_prefix('"') {
                Some(quoted) => quoted.split_once("\"]")?,
                None => inside.split_once(']')?,
            };
            steps.push(Step::Key(key.to_owned()));
            rest = after;
        }
        match rest.strip_prefix('.') {
            Some(after) => rest = after,
            None if rest.is_empty() => return Some(steps),
            None => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_checked_against_the_schema() {
        let newest = ApiVersion::new(8, 0, 2, 0);
        for (class, path, dialect, expect) in [
            ("VirtualMachine", "name", newest, true),
            ("VirtualMachine", "config.hardware.numCPU", newest, true),
            ("VirtualMachine", "config.hardware.device[4000].backing", newest, true),
            ("VirtualMachine", "config.extraConfig[\"a.b\"].value", newest, true),
            ("VirtualMachine", "config.hardware.device[4000].capacityInKB", newest, true), // of a derived type
            ("VirtualMachine", "config.hardware.device.key", newest, false),
            ("VirtualMachine", "config.hardware.device[4000", newest, false),
            ("VirtualMachine", "config.nonsense", newest, false),
            ("VirtualMachine", "name.length", newest, false),
            ("VirtualMachine", "", newest, false),
            ("VirtualMachine", "config.", newest, false),
            ("VirtualMachine", ".config", newest, false),
            ("VirtualMachine", "config..name", newest, false),
            ("VirtualMachine", "config]", newest, false),
            ("VirtualMachine", "config.instanceUuid", ApiVersion::V2_5, false),
            ("VirtualMachine", "config.instanceUuid", ApiVersion::V4_0, true),
            ("VirtualMachine", "config.uuid", ApiVersion::V2_5, true),
            ("Datastore", "info.vmfs.uuid", newest, true),
            ("Datastore", "childEntity", newest, false),
            ("ClusterComputeResource", "host", newest, true), // inherited
        ] {
            let parsed = PropertyPath::parse(class, path, dialect);
            assert_eq!(parsed.is_ok(), expect, "{class} {path} {dialect}");
            if let Err(fault) = parsed {
                assert_eq!(fault.detail.str("name"), Some(path));
            }
        }
    }
}
