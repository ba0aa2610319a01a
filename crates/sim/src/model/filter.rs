//! Property filters and their updates: what has changed since a client was last told.
//!
//! A collector compares what its filters select now with what it has told. So no change is ever lost, whatever caused it,
//! and a client that acknowledges nothing is told the same again.

use std::collections::{HashMap, HashSet};

use esx_vi_api::{MoRef, Object, Value};

use super::collector::{Selection, missing_set};
use super::context::Context;
use super::fault::Fault;
use super::time::Timestamp;
use super::tree::{enumeration, objects};

/// The filters of one `PropertyCollector` in one session.
#[derive(Debug, Default)]
pub(crate) struct Collector {
    filters: Vec<Filter>,
    version: u64,
    /// The version that the last set led away from, and that set.
    last: Option<(u64, Value)>,
    /// The generation of the model that was told completely.
    told: Option<u64>,
    /// When a client last asked to end its waits.
    pub(crate) cancelled: Option<Timestamp>,
}

#[derive(Debug)]
pub(crate) struct Filter {
    value: String,
    pub(crate) spec: Object,
    pub(crate) partial_updates: bool,
    selection: Selection,
    told: HashMap<MoRef, Vec<(String, Value)>>,
}

impl Collector {
    pub(crate) fn add(
        &mut self,
        value: String,
        spec: Object,
        selection: Selection,
        partial_updates: bool,
    ) -> MoRef {
        let moref = MoRef::new("PropertyFilter", value.clone());
        self.filters.push(Filter { value, spec, partial_updates, selection, told: HashMap::new() });
        self.told = None;
        moref
    }

    pub(crate) fn filter(&self, value: &str) -> Option<&Filter> {
        self.filters.iter().find(|filter| filter.value == value)
    }

    /// Removes a filter. Returns whether it was there.
    pub(crate) fn remove(&mut self, value: &str) -> bool {
        let before = self.filters.len();
        self.filters.retain(|filter| filter.value != value);
        self.filters.len() < before
    }

    pub(crate) fn filter_morefs(&self) -> Vec<MoRef> {
        self.filters
            .iter()
            .map(|filter| MoRef::new("PropertyFilter", filter.value.as_str()))
            .collect()
    }

    /// The `UpdateSet` that leads on from `version`, if anything has changed. At most `limit` objects are in it.
    ///
    /// # Errors
    /// `InvalidCollectorVersion` if `version` was not given out as the newest one, or the one before it.
    pub(crate) fn updates(
        &mut self,
        context: &Context<'_>,
        generation: u64,
        version: &str,
        limit: usize,
    ) -> Result<Option<Value>, Fault> {
        if version.is_empty() {
            self.filters.iter_mut().for_each(|filter| filter.told.clear());
            self.told = None;
        } else {
            let version: u64 = version.parse().map_err(|_| Fault::invalid_collector_version())?;
            match &self.last {
                Some((before, set)) if *before == version => return Ok(Some(set.clone())),
                _ if version == self.version => {}
                _ => return Err(Fault::invalid_collector_version()),
            }
        }
        if self.told == Some(generation) {
            return Ok(None);
        }
        let mut room = limit.max(1);
        let mut truncated = false;
        let mut sets = Vec::new();
        for filter in &mut self.filters {
            let (updates, more) = filter.changes(context, &mut room)?;
            truncated |= more;
            if !updates.is_empty() {
                let moref = MoRef::new("PropertyFilter", filter.value.as_str());
                sets.push(
                    Object::new("PropertyFilterUpdate")
                        .with("filter", moref)
                        .with("objectSet", objects("ObjectUpdate", updates)),
                );
            }
        }
        if !truncated {
            self.told = Some(generation);
        }
        if sets.is_empty() {
            return Ok(None);
        }
        let before = self.version;
        self.version += 1;
        let mut set = Object::new("UpdateSet")
            .with("version", self.version.to_string())
            .with("filterSet", objects("PropertyFilterUpdate", sets));
        if truncated {
            set.set("truncated", true);
        }
        let set = Value::from(set);
        self.last = Some((before, set.clone()));
        Ok(Some(set))
    }
}

impl Filter {
    /// What has changed for at most `room` objects, and whether there is more.
    fn changes(
        &mut self,
        context: &Context<'_>,
        room: &mut usize,
    ) -> Result<(Vec<Object>, bool), Fault> {
        // A root that has gone is not an error here: its objects leave the filter.
        let now = match self.selection.objects(context) {
            Ok(objects) => objects,
            Err(fault)
                if fault.detail.type_name == "ManagedObjectNotFound" && !self.told.is_empty() =>
            {
                Vec::new()
            }
            Err(fault) => return Err(fault),
        };
        let mut updates = Vec::new();
        let present: HashSet<&MoRef> = now.iter().collect();
        let mut gone: Vec<MoRef> =
            self.told.keys().filter(|moref| !present.contains(moref)).cloned().collect();
        gone.sort();
        for moref in gone {
            if *room == 0 {
                return Ok((updates, true));
            }
            *room -= 1;
            self.told.remove(&moref);
            updates.push(update("leave", &moref));
        }
        for moref in now {
            let values = self.selection.values(context, &moref);
            let told = self.told.get(&moref);
            let changes = changes(told.map_or(&[], Vec::as_slice), &values.set);
            if told.is_some() && changes.is_empty() {
                continue;
            }
            if *room == 0 {
                return Ok((updates, true));
            }
            *room -= 1;
            let mut object = update(if told.is_some() { "modify" } else { "enter" }, &moref);
            if !changes.is_empty() {
                object.set("changeSet", objects("PropertyChange", changes));
            }
            if told.is_none() && !values.refused.is_empty() {
                object.set("missingSet", missing_set(&values.refused));
            }
            updates.push(object);
            self.told.insert(moref, values.set);
        }
        Ok((updates, false))
    }
}

fn update(kind: &'static str, moref: &MoRef) -> Object {
    Object::new("ObjectUpdate")
        .with("kind", enumeration("ObjectUpdateKind", kind))
        .with("obj", moref)
}

/// `PropertyChange` items from the values told to the values now. A property that is no longer set is assigned nothing.
fn changes(told: &[(String, Value)], now: &[(String, Value)]) -> Vec<Object> {
    let change = |name: &str| {
        Object::new("PropertyChange")
            .with("name", name)
            .with("op", enumeration("PropertyChangeOp", "assign"))
    };
    let unset = told
        .iter()
        .filter(|(name, _)| now.iter().all(|(other, _)| other != name))
        .map(|(name, _)| change(name));
    now.iter()
        .filter(|entry| !told.contains(entry))
        .map(|(name, value)| change(name).with("val", value.clone()))
        .chain(unset)
        .collect()
}
