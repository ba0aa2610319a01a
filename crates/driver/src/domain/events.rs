//! Life-cycle events of all machines, from one update filter. Beyond libvirt's ESX driver.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use async_trait::async_trait;
use esx_escape::percent;
use esx_vi_api::{MoRef, Value};
use esx_vi_client::{Change, Error as ViError, Watch};
use uuid::Uuid;
use virt_api::{
    Domain, DomainEvent, DomainEventId, DomainEventKind, DomainLifecycle, Error, EventSubscription,
    Result,
};

use super::{id_of, identity_paths};
use crate::connection::Session;
use crate::error::vi_error;
use crate::host::parse_uuid;

/// `VIR_DOMAIN_EVENT_DEFINED_RENAMED` and `VIR_DOMAIN_EVENT_UNDEFINED_RENAMED`; every other detail is 0,
/// libvirt's first reason of each event.
const DEFINED_RENAMED: u32 = 2;
const UNDEFINED_RENAMED: u32 = 1;

/// What is known of one machine.
#[derive(Clone, Debug, Default, PartialEq)]
struct Known {
    name: String,
    uuid: Uuid,
    power: String,
}

impl Known {
    fn domain(&self, moref: &MoRef) -> Domain {
        let id = id_of(moref).filter(|_| self.power != "poweredOff");
        Domain { name: self.name.clone(), uuid: self.uuid, id }
    }
}

/// The machines as of the last update, and what the next one means.
#[derive(Debug, Default)]
struct Machines {
    known: HashMap<MoRef, Known>,
    /// Whether the next batch tells everything: at the beginning, and after the watch had to be renewed.
    whole: bool,
    /// Whether the first batch has been seen.
    begun: bool,
}

impl Machines {
    /// Takes a batch of changes in; what it amounts to, in libvirt's words.
    fn apply(&mut self, changes: Vec<Change>, uuid_path: &str) -> Vec<DomainEvent> {
        let mut events = Vec::new();
        let mut touched: Vec<MoRef> = Vec::new();
        let mut next: HashMap<MoRef, Known> = HashMap::new();
        let mut left: HashSet<MoRef> = HashSet::new();
        for change in changes {
            match change {
                Change::Left { object } => {
                    left.insert(object);
                }
                Change::Property { object, path, value } if object.kind == "VirtualMachine" => {
                    let machine = match next.entry(object) {
                        Entry::Occupied(entry) => entry.into_mut(),
                        Entry::Vacant(entry) => {
                            touched.push(entry.key().clone());
                            let known = self.known.get(entry.key()).cloned();
                            entry.insert(known.unwrap_or_default())
                        }
                    };
                    let text = value.as_ref().and_then(Value::as_str).unwrap_or_default();
                    match path.as_str() {
                        "name" => {
                            machine.name = percent::unescape(text)
                                .map_or_else(|_| text.to_owned(), |n| n.into_owned());
                        }
                        "runtime.powerState" => text.clone_into(&mut machine.power),
                        path if path == uuid_path => {
                            machine.uuid = parse_uuid(text).unwrap_or_default()
                        }
                        _ => {}
                    }
                }
                Change::Property { .. } => {}
            }
        }
        if self.whole {
            left.extend(self.known.keys().filter(|moref| !next.contains_key(*moref)).cloned());
        }
        for moref in touched {
            let Some(now) = next.remove(&moref) else { continue };
            let before = self.known.insert(moref.clone(), now.clone());
            if self.begun {
                events.extend(differences(&moref, before.as_ref(), &now));
            }
        }
        for moref in left {
            if let Some(gone) = self.known.remove(&moref) {
                events.push(event(
                    Domain { id: None, ..gone.domain(&moref) },
                    DomainLifecycle::Undefined,
                    0,
                ));
            }
        }
        self.whole = false;
        self.begun = true;
        events
    }
}

fn event(domain: Domain, event: DomainLifecycle, detail: u32) -> DomainEvent {
    DomainEvent { domain, kind: DomainEventKind::Lifecycle { event, detail } }
}

fn differences(moref: &MoRef, before: Option<&Known>, now: &Known) -> Vec<DomainEvent> {
    use DomainLifecycle as Step;
    let mut events = Vec::new();
    let domain = now.domain(moref);
    match before {
        None => events.push(event(domain.clone(), Step::Defined, 0)),
        Some(before) if before.name != now.name => {
            events.push(event(before.domain(moref), Step::Undefined, UNDEFINED_RENAMED));
            events.push(event(domain.clone(), Step::Defined, DEFINED_RENAMED));
        }
        Some(_) => {}
    }
    let was = before.map_or("poweredOff", |b| b.power.as_str());
    let step = match (was, now.power.as_str()) {
        (was, is) if was == is => None,
        ("suspended", "poweredOn") => Some(Step::Resumed),
        (_, "poweredOn") => Some(Step::Started),
        (_, "suspended") => Some(Step::Suspended),
        (_, "poweredOff") => Some(Step::Stopped),
        _ => None,
    };
    events.extend(step.map(|step| event(domain, step, 0)));
    events
}

struct Subscription {
    session: Arc<Session>,
    /// The one machine that is asked about.
    only: Option<Domain>,
    watch: Option<Watch>,
    machines: Machines,
    queue: VecDeque<DomainEvent>,
}

impl Session {
    /// libvirt `virConnectDomainEventRegisterAny`, life cycle only.
    pub(crate) async fn subscribe(
        self: &Arc<Self>,
        domain: Option<&Domain>,
        id: DomainEventId,
    ) -> Result<Box<dyn EventSubscription>> {
        if id != DomainEventId::Lifecycle {
            // Clients that register for everything leave out what is answered like this.
            return Err(Error::no_support("virConnectDomainEventRegisterAny"));
        }
        let mut subscription = Subscription {
            session: Arc::clone(self),
            only: domain.cloned(),
            watch: None,
            machines: Machines::default(),
            queue: VecDeque::new(),
        };
        // From here on nothing is missed: how things are now is the first batch.
        subscription.advance().await.map_err(failed)?;
        Ok(Box::new(subscription))
    }
}

fn failed(error: ViError) -> Error {
    vi_error("cannot watch the domains", error)
}

impl Subscription {
    /// Waits for a batch of changes.
    async fn advance(&mut self) -> Result<(), ViError> {
        let uuid_path = self.session.uuid_path();
        let watch = match &mut self.watch {
            Some(watch) => watch,
            None => {
                let retrieval = self.session.machines_retrieval(&identity_paths(uuid_path));
                self.machines.whole = true;
                self.watch.insert(self.session.client.watch(&retrieval).await?)
            }
        };
        let changes = watch.next(None).await?;
        let only = self.only.clone();
        let wanted =
            |event: &DomainEvent| only.as_ref().is_none_or(|d| d.uuid == event.domain.uuid);
        self.queue.extend(self.machines.apply(changes, uuid_path).into_iter().filter(wanted));
        Ok(())
    }
}

#[async_trait]
impl EventSubscription for Subscription {
    async fn next(&mut self) -> Result<Option<DomainEvent>> {
        let mut renewed = false;
        loop {
            if let Some(event) = self.queue.pop_front() {
                return Ok(Some(event));
            }
            if self.session.is_closed() {
                return Ok(None);
            }
            match self.advance().await {
                Ok(()) => renewed = false,
                Err(_) if self.session.is_closed() => return Ok(None),
                // The collector went with its session, or the connection broke: begin again, once, and
                // tell what has changed in between.
                Err(error)
                    if !renewed
                        && (error.is_broken()
                            || error.is_fault("ManagedObjectNotFound")
                            || error.is_fault("InvalidCollectorVersion")) =>
                {
                    tracing::debug!(%error, "watching the domains again");
                    self.watch = None;
                    renewed = true;
                }
                Err(error) => return Err(failed(error)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "config.instanceUuid";

    fn set(moref: &str, path: &str, value: &str) -> Change {
        let object = MoRef::new("VirtualMachine", moref);
        Change::Property { object, path: path.to_owned(), value: Some(value.into()) }
    }

    fn machine(moref: &str, name: &str, power: &str) -> Vec<Change> {
        let uuid = format!("00000000-0000-0000-0000-00000000000{moref}");
        vec![
            set(moref, "name", name),
            set(moref, "runtime.powerState", power),
            set(moref, UUID, &uuid),
        ]
    }

    fn shown(events: Vec<DomainEvent>) -> Vec<String> {
        events
            .into_iter()
            .map(|e| match e.kind {
                DomainEventKind::Lifecycle { event, detail } => {
                    format!("{} {event:?} {detail}", e.domain.name)
                }
                other => format!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn changes_become_events() {
        let mut machines = Machines { whole: true, ..Machines::default() };
        let mut first = machine("1", "a", "poweredOff");
        first.extend(machine("2", "b", "poweredOn"));
        assert!(machines.apply(first, UUID).is_empty(), "how things are is no event");
        let mut apply = |changes| shown(machines.apply(changes, UUID));
        assert_eq!(apply(vec![set("1", "runtime.powerState", "poweredOn")]), ["a Started 0"]);
        assert_eq!(apply(vec![set("1", "runtime.powerState", "suspended")]), ["a Suspended 0"]);
        assert_eq!(apply(vec![set("1", "runtime.powerState", "poweredOn")]), ["a Resumed 0"]);
        assert_eq!(apply(vec![set("1", "runtime.powerState", "poweredOff")]), ["a Stopped 0"]);
        assert_eq!(apply(vec![set("1", "name", "x%2fy")]), ["a Undefined 1", "x/y Defined 2"]);
        assert_eq!(apply(machine("3", "c", "poweredOn")), ["c Defined 0", "c Started 0"]);
        let gone = Change::Left { object: MoRef::new("VirtualMachine", "2") };
        assert_eq!(apply(vec![gone]), ["b Undefined 0"]);
        assert!(apply(vec![set("3", "name", "c")]).is_empty(), "said twice is no event");
    }

    #[test]
    fn a_new_watch_tells_what_was_missed() {
        let mut machines = Machines { whole: true, ..Machines::default() };
        let mut first = machine("1", "a", "poweredOff");
        first.extend(machine("2", "b", "poweredOn"));
        machines.apply(first, UUID);
        machines.whole = true;
        let events = machines.apply(machine("1", "a", "poweredOn"), UUID);
        assert_eq!(shown(events), ["a Started 0", "b Undefined 0"]);
    }
}
