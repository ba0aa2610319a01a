//! Moving machines between the hosts of a vCenter.

use std::sync::Arc;

use esx_vi_api::{MoRef, Object, Value};

use super::context::localized;
use super::fault::Fault;
use super::inventory::Preset;
use super::machine::{Placement, PowerState};
use super::tree::objects;
use super::{Answer, Caller, Model};

type Outcome = Result<Option<Value>, Fault>;

impl Model {
    /// `MigrateVM_Task`: to another host or pool; the files stay.
    pub(super) fn migrate(&mut self, moref: &MoRef, args: &Object) -> Outcome {
        self.require_vcenter()?;
        let place = self.target(moref, args)?;
        if let Some(state) = args.str("state")
            && state != self.machine_at(moref)?.power.as_str()
        {
            let machine = self.machine_at(moref)?;
            return Err(super::power::wrong_state(machine, PowerState::PoweredOn));
        }
        self.machine_at_mut(moref)?.place = Arc::new(place);
        Ok(None)
    }

    /// `RelocateVM_Task`: host, pool, folder and datastore of the whole machine.
    pub(super) fn relocate(&mut self, moref: &MoRef, args: &Object) -> Outcome {
        self.require_vcenter()?;
        let spec = args.get("spec").and_then(Value::as_object);
        let spec = spec.ok_or_else(|| Fault::invalid_argument("spec"))?;
        let known = ["host", "pool", "folder", "datastore"];
        if let Some((other, _)) = spec.iter().find(|(name, _)| !known.contains(name)) {
            let message = format!("The simulated host knows no {other} of a relocation.");
            return Err(Fault::new("NotSupported", message));
        }
        let elsewhere = spec.get("host").is_some() || spec.get("pool").is_some();
        let mut place = match elsewhere {
            true => self.target(moref, spec)?,
            false => (*self.machine_at(moref)?.place).clone(),
        };
        if let Some(folder) = spec.get("folder").and_then(Value::as_moref) {
            if self.inventory.get(folder).is_none() {
                return Err(Fault::object_not_found(folder));
            }
            place.folder = folder.clone();
        }
        if let Some(datastore) = spec.get("datastore").and_then(Value::as_moref) {
            let mounted = self
                .inventory
                .host(&place.host)
                .is_some_and(|host| host.datastores.contains(datastore));
            if !mounted {
                return Err(Fault::invalid_argument("spec.datastore"));
            }
            place.datastore = datastore.clone();
        }
        self.inventory.move_machine(moref, place);
        Ok(None)
    }

    /// `ValidateMigration`: an event for every machine that cannot move.
    pub(super) fn validate_migration(
        &mut self,
        args: &Object,
        caller: &Caller<'_>,
    ) -> Result<Answer, Fault> {
        self.require_vcenter()?;
        let mut events = Vec::new();
        for machine in args.get("vm").map_or(&[][..], Value::items) {
            let Some(machine) = machine.as_moref() else { continue };
            self.machine_at(machine)?;
            if let Err(fault) = self.target(machine, args) {
                let event = Object::new("MigrationErrorEvent")
                    .with("key", events.len() as i32 + 1)
                    .with("chainId", 1)
                    .with("createdTime", caller.now.date_time())
                    .with("userName", "")
                    .with("fullFormattedMessage", fault.message.as_str())
                    .with("fault", localized(&fault));
                events.push(event);
            }
        }
        let events = (!events.is_empty()).then(|| objects("Event", events));
        Ok(Answer::Result(events))
    }

    fn require_vcenter(&self) -> Result<(), Fault> {
        if self.inventory.preset == Preset::VCenter { Ok(()) } else { Err(Fault::not_supported()) }
    }

    /// Where arguments want a machine to live.
    fn target(&self, moref: &MoRef, args: &Object) -> Result<Placement, Fault> {
        let machine = self.machine_at(moref)?;
        let host = args.get("host").and_then(Value::as_moref);
        let pool = match (args.get("pool").and_then(Value::as_moref), host) {
            (Some(pool), _) => pool.clone(),
            (None, Some(host)) => {
                self.inventory.pool_of(host).ok_or_else(|| Fault::invalid_argument("host"))?
            }
            (None, None) => return Err(Fault::invalid_argument("host")),
        };
        let hosts = self.inventory.hosts_of_pool(&pool);
        let host = match host {
            Some(host) if hosts.contains(host) => host,
            Some(_) => return Err(Fault::invalid_argument("host")),
            None => hosts.first().ok_or_else(|| Fault::invalid_argument("pool"))?,
        };
        let facts = self.inventory.host(host).ok_or_else(|| Fault::object_not_found(host))?;
        if facts.maintenance {
            let message = "The operation is not allowed in the current state of the host.";
            return Err(Fault::new("InvalidState", message));
        }
        let unseen = machine.datastores().into_iter().find(|d| !facts.datastores.contains(d));
        if let Some(datastore) = unseen {
            let name = self.inventory.name(datastore).unwrap_or_default();
            let message = format!("The host {} does not see the datastore {name}.", facts.name);
            return Err(Fault::new("DatastoreNotWritableOnHost", message)
                .with("datastore", datastore)
                .with("name", name)
                .with("host", host));
        }
        Ok(Placement { host: host.clone(), pool, ..(*machine.place).clone() })
    }
}
