//! `ReconfigVM_Task`: a machine after a `VirtualMachineConfigSpec`.

use esx_escape::percent;
use esx_vi_api::{Object, Value};
use uuid::Uuid;

use super::{Allocation, Firmware, Machine, PowerState, Shares, guest};
use crate::model::fault::Fault;
use crate::model::inventory::Inventory;

/// The members of the spec that are understood; a spec with others is refused rather than half obeyed.
const KNOWN: &[&str] = &[
    "changeVersion",
    "name",
    "uuid",
    "instanceUuid",
    "guestId",
    "annotation",
    "tools",
    "numCPUs",
    "numCoresPerSocket",
    "memoryMB",
    "memoryHotAddEnabled",
    "cpuHotAddEnabled",
    "cpuHotRemoveEnabled",
    "deviceChange",
    "cpuAllocation",
    "memoryAllocation",
    "extraConfig",
    "bootOptions",
    "firmware",
    "nestedHVEnabled",
];

/// The greatest number of processors of a machine.
const MAX_CPUS: i64 = 768;
/// The greatest memory, in MiB.
const MAX_MEMORY_MIB: i64 = 24 << 20;

/// A file that a change of devices makes or removes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FileChange {
    /// Stays where it is, though no machine has it any more: what it holds.
    Keep(super::FileRef, Vec<u8>),
    /// Is removed.
    Delete(super::FileRef),
}

impl Machine {
    /// The machine after a change of its configuration, and what happens to files.
    ///
    /// # Errors
    /// The fault of `ReconfigVM_Task`; then nothing has changed.
    pub(crate) fn reconfigured(
        &self,
        spec: &Object,
        inventory: &Inventory,
    ) -> Result<(Self, Vec<FileChange>), Fault> {
        if let Some((unknown, _)) = spec.iter().find(|(name, _)| !KNOWN.contains(name)) {
            let message = format!("The simulated host cannot change {unknown}.");
            return Err(Fault::new("NotSupported", message));
        }
        if spec.str("changeVersion").is_some_and(|version| version != self.change_version()) {
            let message = "The configuration has been changed by somebody else.";
            return Err(Fault::new("ConcurrentAccess", message));
        }
        let mut machine = self.clone();
        machine.identity(spec, inventory)?;
        machine.size(spec)?;
        machine.behaviour(spec)?;
        let files = match spec.get("deviceChange") {
            Some(changes) => machine.change_devices(changes.items(), inventory)?,
            None => Vec::new(),
        };
        machine.touch();
        Ok((machine, files))
    }

    fn identity(&mut self, spec: &Object, inventory: &Inventory) -> Result<(), Fault> {
        if let Some(name) = spec.str("name") {
            let name = percent::unescape(name).map_err(|_| invalid_name(name))?;
            inventory.check_new_name(&self.moref, &name)?;
            self.name = name.into_owned();
        }
        if let Some(text) = spec.str("annotation") {
            self.annotation = text.to_owned();
        }
        if let Some(id) = spec.str("guestId") {
            self.os = guest::from_id(id).ok_or_else(|| invalid("configSpec.guestId"))?;
        }
        for (member, slot) in
            [("uuid", &mut self.bios_uuid), ("instanceUuid", &mut self.instance_uuid)]
        {
            if let Some(text) = spec.str(member) {
                *slot = Uuid::try_parse(text).map_err(|_| invalid("configSpec.uuid"))?;
            }
        }
        Ok(())
    }

    fn size(&mut self, spec: &Object) -> Result<(), Fault> {
        let number = |name: &str| spec.get(name).and_then(Value::as_i64);
        if let Some(cpus) = number("numCPUs") {
            if !(1..=MAX_CPUS).contains(&cpus) {
                return Err(invalid("configSpec.numCPUs"));
            }
            let hot = match cpus.cmp(&i64::from(self.cpus)) {
                std::cmp::Ordering::Equal => true,
                std::cmp::Ordering::Greater => self.cpu_hot_add,
                std::cmp::Ordering::Less => self.cpu_hot_remove,
            };
            if self.power == PowerState::PoweredOn && !hot {
                let message = "CPU hot plug is not supported for this virtual machine.";
                return Err(Fault::new("CpuHotPlugNotSupported", message));
            }
            if self.power == PowerState::Suspended && cpus != i64::from(self.cpus) {
                return Err(self.not_off());
            }
            self.cpus = cpus as i32;
        }
        if let Some(cores) = number("numCoresPerSocket") {
            self.require_off_unless(cores == i64::from(self.cores_per_socket))?;
            if !(1..=MAX_CPUS).contains(&cores) {
                return Err(invalid("configSpec.numCoresPerSocket"));
            }
            self.cores_per_socket = cores as i32;
        }
        if self.cpus % self.cores_per_socket != 0 {
            return Err(invalid("configSpec.numCoresPerSocket"));
        }
        if let Some(memory) = number("memoryMB") {
            if memory % 4 != 0 || !(4..=MAX_MEMORY_MIB).contains(&memory) {
                return Err(invalid("configSpec.memoryMB"));
            }
            let now = i64::from(self.memory_mib);
            if self.power == PowerState::PoweredOn
                && (memory < now || memory > now && !self.memory_hot_add)
            {
                let message = "Memory hot plug is not supported for this virtual machine.";
                return Err(Fault::new("MemoryHotPlugNotSupported", message));
            }
            if self.power == PowerState::Suspended && memory != now {
                return Err(self.not_off());
            }
            self.memory_mib = memory as i32;
        }
        if let Some(object) = spec.get("cpuAllocation").and_then(Value::as_object) {
            self.cpu = allocation(self.cpu, object, "configSpec.cpuAllocation")?;
        }
        if let Some(object) = spec.get("memoryAllocation").and_then(Value::as_object) {
            self.memory = allocation(self.memory, object, "configSpec.memoryAllocation")?;
        }
        if self.memory.reservation > i64::from(self.memory_mib) {
            return Err(invalid("configSpec.memoryAllocation.reservation"));
        }
        Ok(())
    }

    fn behaviour(&mut self, spec: &Object) -> Result<(), Fault> {
        let off = self.power == PowerState::PoweredOff;
        let refused = self.not_off();
        let flag = |name: &str| spec.get_path(name).and_then(Value::as_bool);
        let cold = [
            ("cpuHotAddEnabled", &mut self.cpu_hot_add),
            ("cpuHotRemoveEnabled", &mut self.cpu_hot_remove),
            ("memoryHotAddEnabled", &mut self.memory_hot_add),
            ("nestedHVEnabled", &mut self.nested_hv),
        ];
        for (name, slot) in cold {
            if let Some(value) = flag(name) {
                if value != *slot && !off {
                    return Err(refused);
                }
                *slot = value;
            }
        }
        let firmware = match (spec.str("firmware"), flag("bootOptions.efiSecureBootEnabled")) {
            (Some("bios"), _) => Firmware::Bios,
            (Some("efi"), secure) => Firmware::Efi { secure_boot: secure.unwrap_or(false) },
            (Some(_), _) => return Err(invalid("configSpec.firmware")),
            (None, Some(secure)) if self.firmware != Firmware::Bios => {
                Firmware::Efi { secure_boot: secure }
            }
            (None, Some(true)) => {
                return Err(invalid("configSpec.bootOptions.efiSecureBootEnabled"));
            }
            (None, _) => self.firmware,
        };
        if firmware != self.firmware && !off {
            return Err(refused);
        }
        self.firmware = firmware;
        let milliseconds = |name: &str| spec.get_path(name).and_then(Value::as_i64);
        for (name, slot) in [
            ("bootOptions.bootDelay", &mut self.boot.delay_ms),
            ("bootOptions.bootRetryDelay", &mut self.boot.retry_delay_ms),
        ] {
            if let Some(value) = milliseconds(name) {
                *slot = u32::try_from(value).map_err(|_| invalid("configSpec.bootOptions"))?.into();
            }
        }
        for (name, slot) in [
            ("bootOptions.enterBIOSSetup", &mut self.boot.enter_setup),
            ("bootOptions.bootRetryEnabled", &mut self.boot.retry),
            ("tools.syncTimeWithHost", &mut self.sync_time),
        ] {
            if let Some(value) = flag(name) {
                *slot = value;
            }
        }
        for option in spec.get("extraConfig").map_or(&[][..], Value::items) {
            let Some(option) = option.as_object() else { continue };
            let key = option.str("key").filter(|key| !key.is_empty());
            let key = key.ok_or_else(|| invalid("configSpec.extraConfig"))?;
            self.extra.retain(|(other, _)| !other.eq_ignore_ascii_case(key));
            // An empty value takes the key away.
            if let Some(value) = option.str("value").filter(|value| !value.is_empty()) {
                self.extra.push((key.to_owned(), value.to_owned()));
            }
        }
        Ok(())
    }

    /// The fault for what cannot be done unless the machine is off.
    pub(super) fn not_off(&self) -> Fault {
        crate::model::power::wrong_state(self, PowerState::PoweredOff)
    }

    pub(super) fn require_off_unless(&self, allowed: bool) -> Result<(), Fault> {
        if allowed || self.power == PowerState::PoweredOff { Ok(()) } else { Err(self.not_off()) }
    }
}

fn allocation(
    mut now: Allocation,
    object: &Object,
    parameter: &'static str,
) -> Result<Allocation, Fault> {
    if let Some(reservation) = object.get("reservation").and_then(Value::as_i64) {
        now.reservation = reservation;
    }
    if let Some(limit) = object.get("limit").and_then(Value::as_i64) {
        if limit < -1 {
            return Err(invalid(parameter));
        }
        now.limit = (limit >= 0).then_some(limit);
    }
    if now.reservation < 0 || now.limit.is_some_and(|limit| now.reservation > limit) {
        return Err(invalid(parameter));
    }
    if let Some(shares) = object.get("shares").and_then(Value::as_object) {
        now.shares = match shares.str("level") {
            Some("low") => Shares::Low,
            Some("normal") => Shares::Normal,
            Some("high") => Shares::High,
            // The number counts only here.
            Some("custom") => {
                let number = shares.get("shares").and_then(Value::as_i64);
                let number = number.and_then(|number| i32::try_from(number).ok());
                Shares::Custom(
                    number
                        .filter(|number| (0..=1_000_000).contains(number))
                        .ok_or_else(|| invalid(parameter))?,
                )
            }
            _ => return Err(invalid(parameter)),
        };
    }
    Ok(now)
}

pub(crate) fn invalid_name(name: &str) -> Fault {
    Fault::new("InvalidName", format!("The name '{name}' is invalid.")).with("name", name)
}

fn invalid(parameter: &str) -> Fault {
    Fault::invalid_argument(parameter)
}
