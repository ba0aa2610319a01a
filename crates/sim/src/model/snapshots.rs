//! The methods about snapshots.

use esx_escape::percent;
use esx_vi_api::{MoRef, Object, Value};

use super::fault::Fault;
use super::inventory::Preset;
use super::machine::snapshots::NewSnapshot;
use super::machine::{PowerState, Snapshot};
use super::{Answer, Model};

type Outcome = Result<Option<Value>, Fault>;

impl Model {
    /// `CreateSnapshot_Task`.
    pub(super) fn create_snapshot(&mut self, machine: &MoRef, args: &Object) -> Outcome {
        let text = |name| args.str(name).unwrap_or_default().to_owned();
        let flag = |name| args.get(name).and_then(Value::as_bool).unwrap_or(false);
        let id = self.next_snapshot;
        let value = match self.inventory.preset {
            Preset::Esx => format!("{}-snapshot-{id}", machine.value),
            Preset::VCenter => format!("snapshot-{}", 500 + id),
        };
        let moref = MoRef::new("VirtualMachineSnapshot", value);
        let new = NewSnapshot {
            id,
            moref: moref.clone(),
            name: plain(&text("name")),
            description: text("description"),
            memory: flag("memory"),
            quiesce: flag("quiesce"),
            now: self.now,
        };
        self.machine_at_mut(machine)?.take_snapshot(new)?;
        self.next_snapshot += 1;
        self.inventory.know_snapshots(machine);
        Ok(Some(moref.into()))
    }

    /// `RevertToSnapshot_Task`.
    pub(super) fn revert(&mut self, snapshot: &MoRef, args: &Object) -> Outcome {
        let (machine, id) = self.snapshot_at(snapshot)?;
        self.revert_to(&machine, id, args)
    }

    /// `RevertToCurrentSnapshot_Task`.
    pub(super) fn revert_to_current(&mut self, machine: &MoRef, args: &Object) -> Outcome {
        let current = self.machine_at(machine)?.current_snapshot;
        let id = current.ok_or_else(|| {
            Fault::new("NotFound", "The object or item referred to could not be found.")
        })?;
        self.revert_to(machine, id, args)
    }

    fn revert_to(&mut self, machine: &MoRef, id: u32, args: &Object) -> Outcome {
        let suppress = args.get("suppressPowerOn").and_then(Value::as_bool).unwrap_or(false);
        let now = self.now;
        let machine = self.machine_at_mut(machine)?;
        machine.revert(id, suppress);
        if machine.power == PowerState::PoweredOn {
            machine.booted = Some(now);
        }
        Ok(None)
    }

    /// Takes all snapshots of a machine away, as another client may do.
    pub fn drop_snapshots(&mut self, machine: &MoRef) -> bool {
        let dropped = self.remove_all_snapshots(machine).is_ok();
        self.changed(dropped)
    }

    /// `RemoveSnapshot_Task`. Whether disks are merged is the host's business here: `consolidate` changes nothing.
    pub(super) fn remove_snapshot(&mut self, snapshot: &MoRef, args: &Object) -> Outcome {
        let (machine, id) = self.snapshot_at(snapshot)?;
        let children = args.get("removeChildren").and_then(Value::as_bool).unwrap_or(false);
        self.machine_at_mut(&machine)?.remove_snapshot(id, children);
        self.inventory.know_snapshots(&machine);
        Ok(None)
    }

    /// `RemoveAllSnapshots_Task`.
    pub(super) fn remove_all_snapshots(&mut self, machine: &MoRef) -> Outcome {
        self.machine_at_mut(machine)?.remove_all_snapshots();
        self.inventory.know_snapshots(machine);
        Ok(None)
    }

    /// `RenameSnapshot`.
    pub(super) fn rename_snapshot(
        &mut self,
        snapshot: &MoRef,
        args: &Object,
    ) -> Result<Answer, Fault> {
        let (machine, id) = self.snapshot_at(snapshot)?;
        let (name, description) = (args.str("name"), args.str("description"));
        if name == Some("") {
            return Err(super::machine::reconfigure::invalid_name(""));
        }
        self.machine_at_mut(&machine)?.rename_snapshot(id, name.map(plain).as_deref(), description);
        self.changed(true);
        Ok(Answer::Result(None))
    }

    /// The machine and the number of a snapshot.
    fn snapshot_at(&self, moref: &MoRef) -> Result<(MoRef, u32), Fault> {
        let gone = || Fault::object_not_found(moref);
        let owner = self.inventory.owner_of_snapshot(moref).ok_or_else(gone)?;
        let snapshot: &Snapshot = self.machine_at(owner)?.snapshot(moref).ok_or_else(gone)?;
        Ok((owner.clone(), snapshot.id))
    }
}

/// A name as clients write it, escaped or not, without escapes.
fn plain(name: &str) -> String {
    percent::unescape(name).map_or_else(|_| name.to_owned(), |name| name.into_owned())
}
