//! What is known of the host, and how updates change it.
//!
//! Updates are idempotent here: one that is told twice, or again after a broken exchange, changes nothing.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Place;
use std::hash::Hash;
use std::sync::Arc;

use esx_vi_api::data::ObjectUpdate;
use esx_vi_api::enums::{ObjectUpdateKind, PropertyChangeOp};
use esx_vi_api::properties::ObjectRow;
use esx_vi_api::{MoRef, Value, schema};
use uuid::Uuid;

use super::filter::{host_paths, machine_paths};
use super::machine::{Entry, Raw};
use crate::domain::Machine;

/// Empty places that are not worth moving everything for.
const FEW: usize = 64;

/// Machines, and everything else that is watched.
#[derive(Debug, Default)]
pub(super) struct Contents {
    uuid_path: &'static str,
    /// In the order in which they came; one that has gone leaves its place empty.
    machines: Vec<Option<Entry>>,
    by_moref: HashMap<Arc<str>, u32>,
    /// Made when it is needed after a change.
    indexes: Option<Indexes>,
    /// Host, datastores, networks and the like: few.
    others: Vec<(MoRef, Raw)>,
}

#[derive(Debug, Default)]
struct Indexes {
    by_uuid: HashMap<Uuid, Hit>,
    by_name: HashMap<Arc<str>, Hit>,
}

/// Who has a UUID or a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hit {
    One(u32),
    Several,
}

impl Hit {
    fn one(self) -> Option<usize> {
        match self {
            Self::One(at) => Some(at as usize),
            Self::Several => None,
        }
    }
}

/// An update tells a part of a property, which cannot be put together with what is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unclear(pub(super) String);

impl Contents {
    pub(super) fn new(uuid_path: &'static str) -> Self {
        Self { uuid_path, ..Self::default() }
    }

    /// How many machines there are.
    pub(super) fn len(&self) -> usize {
        self.by_moref.len()
    }

    /// Takes in what has changed.
    ///
    /// # Errors
    /// If an update says less than it must; the contents are then of no use any more.
    pub(super) fn apply(&mut self, updates: Vec<ObjectUpdate>) -> Result<(), Unclear> {
        for update in updates {
            match (update.kind == ObjectUpdateKind::Leave, update.obj.kind == "VirtualMachine") {
                (true, true) => self.remove(&update.obj.value),
                (true, false) => self.others.retain(|(moref, _)| *moref != update.obj),
                (false, true) => self.machine_changed(update)?,
                (false, false) => self.other_changed(update)?,
            }
        }
        Ok(())
    }

    fn remove(&mut self, moref: &str) {
        let Some(at) = self.by_moref.remove(moref) else { return };
        self.machines[at as usize] = None;
        self.indexes = None;
        if self.machines.len() > 2 * self.by_moref.len() + FEW {
            self.machines.retain(Option::is_some);
            for (at, entry) in self.machines.iter().flatten().enumerate() {
                self.by_moref.insert(Arc::clone(&entry.moref), place(at));
            }
        }
    }

    fn machine_changed(&mut self, update: ObjectUpdate) -> Result<(), Unclear> {
        let (changes, missing) = split(&update, machine_paths(self.uuid_path))?;
        let at = match self.by_moref.get(&*update.obj.value) {
            Some(at) => *at as usize,
            None => {
                let moref: Arc<str> = update.obj.value.as_str().into();
                self.by_moref.insert(Arc::clone(&moref), place(self.machines.len()));
                self.machines.push(Some(Entry::new(moref)));
                self.indexes = None;
                self.machines.len() - 1
            }
        };
        let Some(entry) = &mut self.machines[at] else { return Ok(()) };
        if update.kind == ObjectUpdateKind::Enter {
            // Everything is told anew.
            *entry = Entry::new(Arc::clone(&entry.moref));
        }
        let before = (entry.uuid, Arc::clone(&entry.name));
        entry.apply(changes, missing, self.uuid_path);
        if update.kind == ObjectUpdateKind::Enter || before != (entry.uuid, entry.name.clone()) {
            self.indexes = None;
        }
        Ok(())
    }

    fn other_changed(&mut self, update: ObjectUpdate) -> Result<(), Unclear> {
        let paths: &mut dyn Iterator<Item = &'static str> = match update.obj.kind.as_str() {
            "HostSystem" => &mut host_paths(),
            // Their paths are members of the object, which come whole.
            _ => &mut std::iter::empty(),
        };
        let (changes, missing) = split(&update, paths)?;
        let at = match self.others.iter().position(|(moref, _)| *moref == update.obj) {
            Some(at) => at,
            None => {
                self.others.push((update.obj.clone(), Raw::default()));
                self.others.len() - 1
            }
        };
        let raw = &mut self.others[at].1;
        if update.kind == ObjectUpdateKind::Enter {
            *raw = Raw::default();
        }
        for (path, value) in changes {
            raw.set(&path, value);
        }
        for (path, fault) in missing {
            raw.miss(&path, &fault);
        }
        Ok(())
    }

    /// Every machine, in the order in which they came.
    pub(super) fn machines(&self) -> impl Iterator<Item = Machine> {
        self.machines.iter().flatten().map(|entry| entry.machine(self.uuid_path))
    }

    /// The machine at a place.
    pub(super) fn entry(&self, at: usize) -> Option<&Entry> {
        self.machines.get(at)?.as_ref()
    }

    /// The place of this machine.
    pub(super) fn by_moref(&self, moref: &str) -> Option<usize> {
        self.by_moref.get(moref).map(|at| *at as usize)
    }

    /// The place of the machine of this UUID, if it is one.
    pub(super) fn by_uuid(&mut self, uuid: Uuid) -> Option<usize> {
        self.indexes().by_uuid.get(&uuid)?.one()
    }

    /// The place of the machine of this name, if it is one.
    pub(super) fn by_name(&mut self, name: &str) -> Option<usize> {
        self.indexes().by_name.get(name)?.one()
    }

    fn indexes(&mut self) -> &Indexes {
        let machines = &self.machines;
        self.indexes.get_or_insert_with(|| {
            let mut indexes = Indexes::default();
            for (at, entry) in machines.iter().enumerate() {
                let Some(entry) = entry else { continue };
                note(&mut indexes.by_uuid, entry.uuid, place(at));
                note(&mut indexes.by_name, Arc::clone(&entry.name), place(at));
            }
            indexes
        })
    }

    /// The objects of the class `kind`, or one derived from it, machines excepted, as rows; in the order in which they came.
    pub(super) fn rows<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = ObjectRow> + 'a {
        let fits = move |moref: &MoRef| schema::is_managed_subtype(&moref.kind, kind);
        let others = self.others.iter().filter(move |(moref, _)| fits(moref));
        others.map(|(moref, raw)| raw.row(moref, |_| true))
    }

    /// Roughly what all of it takes in memory.
    pub(super) fn bytes(&self) -> usize {
        let machines: usize = self.machines.iter().flatten().map(Entry::bytes).sum();
        let others: usize = self
            .others
            .iter()
            .map(|(moref, raw)| moref.kind.len() + moref.value.len() + raw.bytes())
            .sum();
        let indexes = self
            .indexes
            .as_ref()
            .map_or(0, |indexes| table(&indexes.by_uuid) + table(&indexes.by_name));
        machines
            + others
            + indexes
            + table(&self.by_moref)
            + self.machines.capacity() * size_of::<Option<Entry>>()
            + self.others.capacity() * size_of::<(MoRef, Raw)>()
    }
}

/// The places of a hash table; each has a byte of its own beside its entry.
fn table<K, V>(map: &HashMap<K, V>) -> usize {
    map.capacity() * 8 / 7 * (size_of::<(K, V)>() + 1)
}

/// Machines are counted in 32 bits: no host has more.
fn place(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

fn note<K: Eq + Hash>(index: &mut HashMap<K, Hit>, key: K, at: u32) {
    match index.entry(key) {
        Place::Occupied(mut known) => drop(known.insert(Hit::Several)),
        Place::Vacant(place) => drop(place.insert(Hit::One(at))),
    }
}

type Told = (Vec<(String, Option<Value>)>, Vec<(String, String)>);

/// What an update says: new values by path, and faults by path.
fn split(
    update: &ObjectUpdate,
    watched: impl IntoIterator<Item = &'static str>,
) -> Result<Told, Unclear> {
    let watched: Vec<_> = watched.into_iter().collect();
    let mut changes = Vec::with_capacity(update.change_set.len());
    for change in &update.change_set {
        let removed =
            matches!(change.op, PropertyChangeOp::Remove | PropertyChangeOp::IndirectRemove);
        let value = change.val.clone().filter(|_| !removed);
        let path = &change.name;
        if watched.is_empty() || watched.contains(&path.as_str()) {
            if path.contains('[') {
                return Err(unclear(update, path));
            }
            changes.push((path.clone(), value));
            continue;
        }
        let is_part = |of: &str, whole: &str| {
            of.strip_prefix(whole).is_some_and(|rest| rest.starts_with(['.', '[']))
        };
        if watched.iter().any(|watched| is_part(path, watched)) {
            return Err(unclear(update, path));
        }
        // The whole of which we watch parts.
        for part in watched.iter().filter(|watched| is_part(watched, path)) {
            let below = &part[path.len() + 1..];
            let value = value.as_ref().and_then(Value::as_object).and_then(|o| o.get_path(below));
            changes.push(((*part).to_owned(), value.cloned()));
        }
    }
    let missing = update.missing_set.iter();
    let missing =
        missing.map(|missing| (missing.path.clone(), missing.fault.fault.type_name.to_string()));
    Ok((changes, missing.collect()))
}

fn unclear(update: &ObjectUpdate, path: &str) -> Unclear {
    Unclear(format!("an update tells only {path} of {}", update.obj))
}

#[cfg(test)]
mod tests {
    use esx_vi_api::data::PropertyChange;
    use virt_api::DomainState;

    use super::*;

    const UUID: &str = "config.instanceUuid";

    fn update(
        kind: ObjectUpdateKind,
        moref: &str,
        changes: &[(&str, Option<&str>)],
    ) -> ObjectUpdate {
        ObjectUpdate {
            kind,
            obj: MoRef::new("VirtualMachine", moref),
            change_set: changes
                .iter()
                .map(|(path, value)| PropertyChange {
                    name: (*path).to_owned(),
                    op: PropertyChangeOp::Assign,
                    val: value.map(Value::from),
                })
                .collect(),
            missing_set: Vec::new(),
        }
    }

    fn enter(number: usize, name: &str) -> ObjectUpdate {
        let uuid = format!("00000000-0000-0000-0000-{number:012}");
        let changes = [
            ("name", Some(name)),
            ("runtime.powerState", Some("poweredOff")),
            (UUID, Some(&*uuid)),
        ];
        update(ObjectUpdateKind::Enter, &number.to_string(), &changes)
    }

    fn moref(contents: &Contents, at: Option<usize>) -> Option<String> {
        Some(contents.entry(at?)?.moref.to_string())
    }

    fn names(contents: &Contents) -> Vec<String> {
        contents.machines().map(|machine| machine.domain.name).collect()
    }

    #[test]
    fn machines_come_change_and_go_and_are_found() {
        let mut contents = Contents::new(UUID);
        contents.apply(vec![enter(1, "a"), enter(2, "b%2f"), enter(3, "c")]).unwrap();
        // Told twice, in one batch and in the next.
        contents.apply(vec![enter(3, "c"), enter(3, "c")]).unwrap();
        assert_eq!(names(&contents), ["a", "b/", "c"]);
        let at = contents.by_name("b/");
        assert_eq!(moref(&contents, at).as_deref(), Some("2"));
        let at = contents.by_uuid(Uuid::from_u128(3));
        assert_eq!(moref(&contents, at).as_deref(), Some("3"));
        let modify = |moref: &str, path: &str, value: &str| {
            update(ObjectUpdateKind::Modify, moref, &[(path, Some(value))])
        };
        contents.apply(vec![modify("1", "name", "c")]).unwrap();
        assert!(contents.by_name("c").is_none(), "two have that name");
        assert!(contents.by_name("a").is_none());
        contents.apply(vec![modify("3", "runtime.powerState", "poweredOn")]).unwrap();
        let state =
            |contents: &Contents| contents.entry(contents.by_moref("3").unwrap()).unwrap().state;
        assert_eq!(state(&contents), DomainState::Running);
        let leave = |moref: &str| update(ObjectUpdateKind::Leave, moref, &[]);
        contents.apply(vec![leave("3"), leave("3"), leave("99")]).unwrap();
        assert_eq!(names(&contents), ["c", "b/"]);
        let at = contents.by_name("c");
        assert_eq!(moref(&contents, at).as_deref(), Some("1"));
        // One that comes back is another one.
        contents.apply(vec![update(ObjectUpdateKind::Enter, "3", &[("name", Some("d"))])]).unwrap();
        assert_eq!(state(&contents), DomainState::NoState);
        assert_eq!(contents.len(), 3);
    }

    #[test]
    fn places_are_used_again() {
        let mut contents = Contents::new(UUID);
        for number in 1..=1000 {
            contents.apply(vec![enter(number, &format!("vm-{number}"))]).unwrap();
            if number > 3 {
                let gone = (number - 3).to_string();
                contents.apply(vec![update(ObjectUpdateKind::Leave, &gone, &[])]).unwrap();
            }
        }
        assert_eq!(names(&contents), ["vm-998", "vm-999", "vm-1000"]);
        assert!(contents.machines.len() < 200, "{}", contents.machines.len());
        let at = contents.by_name("vm-999").unwrap();
        assert_eq!(contents.entry(at).unwrap().uuid, Uuid::from_u128(0x999));
        assert!(contents.by_moref("1").is_none());
    }

    #[test]
    fn wholes_are_taken_apart_and_parts_refused() {
        let mut contents = Contents::new(UUID);
        contents.apply(vec![enter(1, "a")]).unwrap();
        let gone = update(ObjectUpdateKind::Modify, "1", &[("config", None)]);
        contents.apply(vec![gone]).unwrap();
        assert!(contents.machines().next().unwrap().problem.is_some(), "its UUID has gone, too");
        let foreign = update(ObjectUpdateKind::Modify, "1", &[("guest.ipAddress", Some("x"))]);
        contents.apply(vec![foreign]).unwrap();
        let part = update(ObjectUpdateKind::Modify, "1", &[("runtime.powerState.x", Some("y"))]);
        let unclear = contents.apply(vec![part]).unwrap_err();
        assert!(unclear.0.contains("powerState.x of VirtualMachine:1"), "{}", unclear.0);
    }

    #[test]
    fn a_machine_takes_few_bytes() {
        const MANY: usize = 5000;
        let mut contents = Contents::new(UUID);
        contents.apply((1..=MANY).map(|n| enter(n, &format!("vm-{n:05}"))).collect()).unwrap();
        contents.by_name("vm-00001").unwrap();
        let bytes = contents.bytes() / MANY;
        assert!((100..400).contains(&bytes), "{bytes}");
    }
}
