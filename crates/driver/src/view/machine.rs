//! One machine of the view, in few bytes.
//!
//! A machine whose properties are all there and as they should be is kept as plain fields; the rare other, unreadable or odd, as the values
//! that came, so that what a list says about it is what it would say without a view.

use std::sync::Arc;

use esx_escape::percent;
use esx_vi_api::properties::ObjectRow;
use esx_vi_api::{EnumValue, MoRef, Value};
use uuid::Uuid;
use virt_api::{Domain, DomainState};

use crate::domain::{Machine, id_of};
use crate::host::parse_uuid;

const NAME: &str = "name";
const POWER: &str = "runtime.powerState";
const MEMORY_MB: &str = "config.hardware.memoryMB";
const NUM_CPU: &str = "config.hardware.numCPU";
const MEMORY_LIMIT: &str = "config.memoryAllocation.limit";
/// Either of the properties that may identify a machine.
const UUIDS: [&str; 2] = ["config.instanceUuid", "config.uuid"];
const KIND: &str = "VirtualMachine";

/// Properties as they came.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Raw {
    values: Vec<(Box<str>, Value)>,
    /// Paths that the host could not read, and the names of its faults.
    missing: Vec<(Box<str>, Box<str>)>,
}

/// A machine.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) moref: Arc<str>,
    /// As it looks: without the inventory's escapes.
    pub(super) name: Arc<str>,
    pub(super) uuid: Uuid,
    pub(super) state: DomainState,
    memory_mb: Option<u32>,
    vcpus: Option<u32>,
    memory_limit_mb: Option<i64>,
    odd: Option<Box<Raw>>,
}

impl Raw {
    /// Takes a new value in, or that there is none any more.
    pub(super) fn set(&mut self, path: &str, value: Option<Value>) {
        self.missing.retain(|(known, _)| &**known != path);
        let at = self.values.iter().position(|(known, _)| &**known == path);
        match (at, value) {
            (Some(at), Some(value)) => self.values[at].1 = value,
            (None, Some(value)) => self.values.push((path.into(), value)),
            (Some(at), None) => drop(self.values.remove(at)),
            (None, None) => {}
        }
    }

    /// Takes in that the host cannot read a property, and why.
    pub(super) fn miss(&mut self, path: &str, fault: &str) {
        self.set(path, None);
        self.missing.push((path.into(), fault.into()));
    }

    fn get(&self, path: &str) -> Option<&Value> {
        self.values.iter().find(|(known, _)| &**known == path).map(|(_, value)| value)
    }

    /// The properties among `paths` as a row.
    pub(super) fn row(&self, moref: &MoRef, wanted: impl Fn(&str) -> bool) -> ObjectRow {
        let values = self.values.iter().filter(|(path, _)| wanted(path));
        let missing = self.missing.iter().filter(|(path, _)| wanted(path));
        ObjectRow::from_values(
            moref,
            values.map(|(path, value)| (&**path, value)),
            missing.map(|(path, fault)| (&**path, &**fault)),
        )
    }

    /// Roughly what it takes in memory.
    pub(super) fn bytes(&self) -> usize {
        let values = self.values.iter().map(|(path, value)| path.len() + value_bytes(value));
        let missing = self.missing.iter().map(|(path, fault)| path.len() + fault.len());
        values.sum::<usize>()
            + missing.sum::<usize>()
            + self.values.capacity() * size_of::<(Box<str>, Value)>()
            + self.missing.capacity() * size_of::<(Box<str>, Box<str>)>()
    }
}

/// What a value takes beside itself.
fn value_bytes(value: &Value) -> usize {
    match value {
        Value::String(text) => text.capacity(),
        Value::MoRef(moref) => moref.kind.capacity() + moref.value.capacity(),
        Value::Object(object) => object
            .iter()
            .map(|(name, value)| name.len() + size_of::<Value>() + value_bytes(value))
            .sum(),
        Value::Array(array) => {
            array.items.iter().map(|item| size_of::<Value>() + value_bytes(item)).sum()
        }
        _ => 0,
    }
}

impl Entry {
    /// A machine of which nothing is known yet.
    pub(super) fn new(moref: Arc<str>) -> Self {
        Self {
            moref,
            name: "".into(),
            uuid: Uuid::nil(),
            state: DomainState::NoState,
            memory_mb: None,
            vcpus: None,
            memory_limit_mb: None,
            odd: Some(Box::default()),
        }
    }

    /// Takes in what has changed; `changes` in the host's order.
    pub(super) fn apply(
        &mut self,
        changes: impl IntoIterator<Item = (String, Option<Value>)>,
        missing: impl IntoIterator<Item = (String, String)>,
        uuid_path: &'static str,
    ) {
        let mut raw = self.odd.take();
        for (path, value) in changes {
            if let Some(raw) = &mut raw {
                raw.set(&path, value);
            } else if !self.set(&path, value.as_ref()) {
                raw.insert(Box::new(self.raw(uuid_path))).set(&path, value);
            }
        }
        for (path, fault) in missing {
            raw.get_or_insert_with(|| Box::new(self.raw(uuid_path))).miss(&path, &fault);
        }
        self.odd = raw;
        self.settle(uuid_path);
    }

    /// Sets a field; whether a field can hold the value. What is no property of ours is held by nothing, which is right.
    fn set(&mut self, path: &str, value: Option<&Value>) -> bool {
        let text = || value.and_then(Value::as_str);
        let number = || value.map(|value| value.as_i64().and_then(|n| u32::try_from(n).ok()));
        match path {
            NAME => match text().and_then(|text| percent::unescape(text).ok()) {
                Some(name) if *name == *self.name => {}
                Some(name) => self.name = name.into(),
                None => return false,
            },
            POWER => match text().and_then(state) {
                Some(state) => self.state = state,
                None => return false,
            },
            path if UUIDS.contains(&path) => match text().and_then(parse_uuid) {
                Some(uuid) => self.uuid = uuid,
                None => return false,
            },
            MEMORY_MB => match number() {
                Some(None) => return false,
                memory => self.memory_mb = memory.flatten(),
            },
            NUM_CPU => match number() {
                Some(None) => return false,
                vcpus => self.vcpus = vcpus.flatten(),
            },
            MEMORY_LIMIT => match value.map(Value::as_i64) {
                Some(None) => return false,
                limit => self.memory_limit_mb = limit.flatten(),
            },
            _ => {}
        }
        true
    }

    /// Makes fields of the values that came, if fields can hold them all; else keeps both, the fields as far as they go.
    fn settle(&mut self, uuid_path: &'static str) {
        let Some(raw) = self.odd.take() else { return };
        let mut plain = raw.missing.is_empty() && id_of(&self.reference()).is_some();
        for path in [NAME, POWER, uuid_path] {
            plain &= raw.get(path).is_some();
        }
        for (path, value) in &raw.values {
            plain &= self.set(path, Some(value));
        }
        if plain {
            for path in [MEMORY_MB, NUM_CPU, MEMORY_LIMIT] {
                if raw.get(path).is_none() {
                    self.set(path, None);
                }
            }
            return;
        }
        // The fields serve look-ups, and must be what a list says.
        let machine = Machine::read(&raw.row(&self.reference(), |_| true), uuid_path);
        (self.name, self.uuid, self.state) =
            (machine.domain.name.into(), machine.domain.uuid, machine.state);
        self.odd = Some(raw);
    }

    fn raw(&self, uuid_path: &'static str) -> Raw {
        match &self.odd {
            Some(raw) => (**raw).clone(),
            None => Raw { values: self.values(uuid_path), missing: Vec::new() },
        }
    }

    /// The fields as a host would send them.
    fn values(&self, uuid_path: &'static str) -> Vec<(Box<str>, Value)> {
        let power = match self.state {
            DomainState::Running => "poweredOn",
            DomainState::Paused => "suspended",
            _ => "poweredOff",
        };
        let mut values: Vec<(Box<str>, Value)> = vec![
            (NAME.into(), Value::String(percent::escape(&self.name).into_owned())),
            (POWER.into(), Value::Enum(EnumValue::new("VirtualMachinePowerState", power))),
            (uuid_path.into(), Value::String(self.uuid.to_string())),
        ];
        let numbers = [
            (MEMORY_MB, self.memory_mb.map(i64::from)),
            (NUM_CPU, self.vcpus.map(i64::from)),
            (MEMORY_LIMIT, self.memory_limit_mb),
        ];
        for (path, number) in numbers {
            values.extend(number.map(|number| (path.into(), Value::Long(number))));
        }
        values
    }

    pub(super) fn reference(&self) -> MoRef {
        MoRef::new(KIND, &*self.moref)
    }

    /// The machine, as [`Machine::read`] makes it of what the host sends.
    pub(super) fn machine(&self, uuid_path: &'static str) -> Machine {
        let moref = self.reference();
        if let Some(raw) = &self.odd {
            return Machine::read(&raw.row(&moref, |_| true), uuid_path);
        }
        let id = id_of(&moref).filter(|_| self.state != DomainState::Shutoff);
        Machine {
            domain: Domain { name: self.name.to_string(), uuid: self.uuid, id },
            moref,
            state: self.state,
            host: None,
            problem: None,
        }
    }

    /// The properties among `paths` as a row.
    pub(super) fn row(&self, uuid_path: &'static str, paths: &[&str]) -> ObjectRow {
        let moref = self.reference();
        let wanted = |path: &str| paths.contains(&path);
        match &self.odd {
            Some(raw) => raw.row(&moref, wanted),
            None => Raw { values: self.values(uuid_path), missing: Vec::new() }.row(&moref, wanted),
        }
    }

    /// Roughly what it takes in memory beside itself.
    pub(super) fn bytes(&self) -> usize {
        /// The two counts in front of what an `Arc` points to.
        const COUNTS: usize = 16;
        let odd = self.odd.as_ref().map_or(0, |raw| size_of::<Raw>() + raw.bytes());
        self.moref.len() + self.name.len() + 2 * COUNTS + odd
    }
}

fn state(power: &str) -> Option<DomainState> {
    Some(match power {
        "poweredOn" => DomainState::Running,
        "suspended" => DomainState::Paused,
        "poweredOff" => DomainState::Shutoff,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = UUIDS[0];
    const ONE: &str = "00000000-0000-0000-0000-000000000001";

    fn text(path: &str, text: &str) -> (String, Option<Value>) {
        (path.to_owned(), Some(text.into()))
    }

    fn entered(moref: &str, changes: Vec<(String, Option<Value>)>) -> Entry {
        let mut entry = Entry::new(moref.into());
        entry.apply(changes, [], UUID);
        entry
    }

    fn web() -> Entry {
        let number = |path: &str, n| (path.to_owned(), Some(Value::Int(n)));
        let changes = vec![
            text(NAME, "a%2fb"),
            text(POWER, "poweredOn"),
            text(UUID, ONE),
            number(MEMORY_MB, 512),
            number(NUM_CPU, 2),
        ];
        entered("vm-7", changes)
    }

    #[test]
    fn a_usual_machine_is_fields() {
        let mut entry = web();
        assert!(entry.odd.is_none());
        let machine = entry.machine(UUID);
        assert_eq!((machine.domain.name.as_str(), machine.domain.id), ("a/b", Some(7)));
        assert_eq!(machine.problem, None);
        let row = entry.row(UUID, &[MEMORY_MB, MEMORY_LIMIT, NAME]);
        assert_eq!(row.require::<i64>(MEMORY_MB).unwrap(), 512);
        assert_eq!(row.require::<String>(NAME).unwrap(), "a%2fb");
        assert!(!row.has(MEMORY_LIMIT) && !row.has(POWER));
        entry.apply([text(POWER, "poweredOff"), (NUM_CPU.to_owned(), None)], [], UUID);
        assert!(entry.odd.is_none());
        assert_eq!(entry.machine(UUID).domain.id, None);
        assert!(!entry.row(UUID, &[NUM_CPU]).has(NUM_CPU));
    }

    /// Whatever comes, the machine is what `Machine::read` makes of the same properties.
    #[test]
    fn an_odd_machine_reads_as_from_the_host_and_recovers() {
        let steps: Vec<Vec<(String, Option<Value>)>> = vec![
            vec![(UUID.to_owned(), None)],
            vec![text(POWER, "hibernating")],
            vec![text(NAME, "50%zz")],
            vec![text(UUID, "no uuid")],
            vec![(NAME.to_owned(), None), (POWER.to_owned(), None)],
            vec![(MEMORY_MB.to_owned(), Some(Value::Long(-5)))],
        ];
        for step in steps {
            let mut entry = web();
            let mut raw = entry.raw(UUID);
            for (path, value) in &step {
                raw.set(path, value.clone());
            }
            entry.apply(step.clone(), [], UUID);
            assert!(entry.odd.is_some(), "{step:?}");
            let expected = Machine::read(&raw.row(&entry.reference(), |_| true), UUID);
            let found = entry.machine(UUID);
            assert_eq!(found.domain, expected.domain, "{step:?}");
            assert_eq!(found.problem, expected.problem, "{step:?}");
            assert_eq!(*entry.name, *expected.domain.name);
            let again = [
                text(NAME, "a%2fb"),
                text(POWER, "poweredOn"),
                text(UUID, ONE),
                (MEMORY_MB.to_owned(), Some(Value::Int(512))),
            ];
            entry.apply(again, [], UUID);
            assert_eq!(entry, web(), "{step:?}");
        }
    }

    #[test]
    fn what_the_host_cannot_read_has_its_reason() {
        let mut entry = web();
        entry.apply([], [(UUID.to_owned(), "NoPermission".to_owned())], UUID);
        let problem = entry.machine(UUID).problem.unwrap();
        assert!(problem.contains("UUID (NoPermission)"), "{problem}");
        assert!(entered("x", vec![text(NAME, "n")]).machine(UUID).problem.is_some());
    }

    #[test]
    fn a_machine_is_small() {
        assert!(size_of::<Entry>() <= 104, "{}", size_of::<Entry>());
    }
}
