//! Power operations, on the machine's switch and by way of its guest.

use std::time::Duration;

use esx_vi_api::{MoRef, Value};

use super::fault::Fault;
use super::inventory::Item;
use super::machine::{Machine, PowerState, Serial};
use super::tasks::{GuestWork, Pace};
use super::tree::enumeration;
use super::{Answer, Model};

type Outcome = Result<Option<Value>, Fault>;

impl Model {
    /// Makes the guest's VMware Tools run whenever the machine does (so it is at first), or never.
    pub fn set_tools_running(&mut self, machine: &MoRef, running: bool) -> bool {
        let found =
            self.inventory.machine_mut(machine).map(|machine| machine.tools = running).is_some();
        self.changed(found)
    }

    /// Lets a guest do what it was asked to do while tasks are held. Returns whether it was asked.
    pub fn finish_guest(&mut self, machine: &MoRef) -> bool {
        match self.guest_work.iter().position(|work| work.machine == *machine) {
            Some(index) => {
                let work = self.guest_work.remove(index);
                self.guest_does(work);
                true
            }
            None => false,
        }
    }

    /// Whether a machine can be switched on, apart from what it may ask.
    pub(super) fn may_power_on(&self, moref: &MoRef) -> Result<(), Fault> {
        let machine = self.machine_at(moref)?;
        if machine.template {
            return Err(Fault::not_supported());
        }
        if !machine.accessible {
            let message = "The operation is not allowed in the current connection state.";
            return Err(Fault::new("InvalidState", message));
        }
        if machine.power == PowerState::PoweredOn {
            return Err(wrong_state(machine, PowerState::PoweredOn));
        }
        if let Some(disk) = machine.disks.iter().find(|disk| disk.capacity_kib == 0) {
            let path = machine.datastore_path(&self.inventory, &disk.file);
            return Err(super::machine::device_change::file_fault("FileNotFound", &path));
        }
        if self.inventory.host(&machine.place.host).is_some_and(|host| host.maintenance) {
            let message = "The operation is not allowed in the current state of the host.";
            return Err(Fault::new("InvalidState", message));
        }
        Ok(())
    }

    /// `PowerOnVM_Task`, which also resumes.
    pub(super) fn power_on(&mut self, moref: &MoRef) -> Outcome {
        self.may_power_on(moref)?;
        self.open_serial_files(moref);
        let now = self.now;
        let machine = self.machine_at_mut(moref)?;
        machine.power = PowerState::PoweredOn;
        machine.booted = Some(now);
        Ok(None)
    }

    /// `PowerOffVM_Task`.
    pub(super) fn power_off(&mut self, moref: &MoRef) -> Outcome {
        self.require_on(moref, PowerState::PoweredOff)?.power = PowerState::PoweredOff;
        self.guest_work.retain(|work| work.machine != *moref);
        Ok(None)
    }

    /// `SuspendVM_Task`.
    pub(super) fn suspend(&mut self, moref: &MoRef) -> Outcome {
        let now = self.now;
        let machine = self.require_on(moref, PowerState::Suspended)?;
        machine.power = PowerState::Suspended;
        machine.booted = Some(now);
        Ok(None)
    }

    /// `ResetVM_Task`.
    pub(super) fn reset(&mut self, moref: &MoRef) -> Outcome {
        let now = self.now;
        self.require_on(moref, PowerState::PoweredOn)?.booted = Some(now);
        Ok(None)
    }

    /// `ShutdownGuest`, `RebootGuest` and `StandbyGuest`: the guest does it later.
    pub(super) fn ask_guest(&mut self, moref: &MoRef, to: PowerState) -> Result<Answer, Fault> {
        self.require_on(moref, to)?;
        if !self.machine_at(moref)?.tools {
            let message = "Cannot complete operation because VMware Tools is not running in this \
                           virtual machine.";
            return Err(Fault::new("ToolsUnavailable", message));
        }
        let due = match self.pace {
            Pace::Timed(duration) => Some(self.now.after(duration)),
            Pace::Held | Pace::Queued => None,
        };
        self.guest_work.push(GuestWork { machine: moref.clone(), to, due });
        if self.pace == Pace::Timed(Duration::ZERO) {
            self.tick(self.now);
        }
        Ok(Answer::Result(None))
    }

    /// A guest does what it was asked to do.
    pub(super) fn guest_does(&mut self, work: GuestWork) {
        let now = self.now;
        if let Ok(machine) = self.require_on(&work.machine, work.to) {
            machine.power = work.to;
            machine.booted = Some(now);
            self.changed(true);
        }
    }

    /// The machine, if there is one.
    pub(super) fn machine_at(&self, moref: &MoRef) -> Result<&Machine, Fault> {
        self.inventory.machine(moref).ok_or_else(|| Fault::object_not_found(moref))
    }

    /// The machine, to change it.
    pub(super) fn machine_at_mut(&mut self, moref: &MoRef) -> Result<&mut Machine, Fault> {
        self.inventory.machine_mut(moref).ok_or_else(|| Fault::object_not_found(moref))
    }

    /// The machine, if it runs.
    fn require_on(&mut self, moref: &MoRef, wanted: PowerState) -> Result<&mut Machine, Fault> {
        let machine = self.machine_at_mut(moref)?;
        if machine.power == PowerState::PoweredOn {
            Ok(machine)
        } else {
            Err(wrong_state(machine, wanted))
        }
    }

    /// Opening the file of a serial port makes it.
    fn open_serial_files(&mut self, moref: &MoRef) {
        let now = self.now;
        let Some(machine) = self.inventory.machine(moref) else { return };
        let mut files = Vec::new();
        for port in &machine.serials {
            if let Serial::File(file) = &port.backing {
                let (datastore, path) = machine.file_place(file);
                files.push((datastore.clone(), path));
            }
        }
        for (datastore, path) in files {
            if let Some(Item::Datastore(datastore)) = self.inventory.get_mut(&datastore)
                && !datastore.files.contains_key(&path)
            {
                datastore.put(path, Vec::new(), now);
            }
        }
    }
}

/// `InvalidPowerState`.
pub(super) fn wrong_state(machine: &Machine, wanted: PowerState) -> Fault {
    let state = |state: PowerState| enumeration("VirtualMachinePowerState", state.as_str());
    let name = match machine.power {
        PowerState::PoweredOn => "Powered on",
        PowerState::PoweredOff => "Powered off",
        PowerState::Suspended => "Suspended",
    };
    let message =
        format!("The attempted operation cannot be performed in the current state ({name}).");
    Fault::new("InvalidPowerState", message)
        .with("requestedState", state(wanted))
        .with("existingState", state(machine.power))
}
