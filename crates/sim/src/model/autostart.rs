//! `HostAutoStartManager`: which machines a host starts and stops by itself.

use esx_vi_api::{MoRef, Object, Value};

use super::fault::Fault;
use super::inventory::Item;
use super::machine::PowerState;
use super::tree::{enumeration, objects};
use super::{Answer, Model};

/// `HostAutoStartManagerConfig`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AutoStart {
    enabled: bool,
    start_delay: i32,
    stop_delay: i32,
    wait_for_heartbeat: bool,
    stop_action: String,
    entries: Vec<Entry>,
}

/// `AutoStartPowerInfo`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    machine: MoRef,
    start_order: i32,
    start_delay: i32,
    heartbeat: Heartbeat,
    start_action: String,
    stop_delay: i32,
    stop_action: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heartbeat {
    Yes,
    No,
    SystemDefault,
}

impl Default for AutoStart {
    /// Switched off, and no machine in the list.
    fn default() -> Self {
        Self {
            enabled: false,
            start_delay: 120,
            stop_delay: 120,
            wait_for_heartbeat: false,
            stop_action: "PowerOff".to_owned(),
            entries: Vec::new(),
        }
    }
}

impl AutoStart {
    /// The property `config`.
    pub(crate) fn config(&self) -> Object {
        let defaults = Object::new("AutoStartDefaults")
            .with("enabled", self.enabled)
            .with("startDelay", self.start_delay)
            .with("stopDelay", self.stop_delay)
            .with("waitForHeartbeat", self.wait_for_heartbeat)
            .with("stopAction", self.stop_action.as_str());
        let entries = self.entries.iter().map(|entry| {
            let heartbeat = match entry.heartbeat {
                Heartbeat::Yes => "yes",
                Heartbeat::No => "no",
                Heartbeat::SystemDefault => "systemDefault",
            };
            Object::new("AutoStartPowerInfo")
                .with("key", &entry.machine)
                .with("startOrder", entry.start_order)
                .with("startDelay", entry.start_delay)
                .with("waitForHeartbeat", enumeration("AutoStartWaitHeartbeatSetting", heartbeat))
                .with("startAction", entry.start_action.as_str())
                .with("stopDelay", entry.stop_delay)
                .with("stopAction", entry.stop_action.as_str())
        });
        Object::new("HostAutoStartManagerConfig")
            .with("defaults", defaults)
            .with("powerInfo", objects("AutoStartPowerInfo", entries))
    }

    /// Forgets a machine.
    pub(crate) fn forget(&mut self, machine: &MoRef) {
        self.entries.retain(|entry| entry.machine != *machine);
    }

    /// What is given is changed; machines that are not mentioned stay as they are.
    fn change(&mut self, spec: &Object) -> Result<(), Fault> {
        let invalid = |name: &str| Fault::invalid_argument(&format!("spec.{name}"));
        let delay = |object: &Object, name: &str| match object.get(name).and_then(Value::as_i64) {
            None => Ok(None),
            Some(number) => match i32::try_from(number) {
                Ok(number) if number >= -1 => Ok(Some(number)),
                _ => Err(invalid(name)),
            },
        };
        if let Some(defaults) = spec.get("defaults").and_then(Value::as_object) {
            let flag = |name| defaults.get(name).and_then(Value::as_bool);
            self.enabled = flag("enabled").unwrap_or(self.enabled);
            self.wait_for_heartbeat = flag("waitForHeartbeat").unwrap_or(self.wait_for_heartbeat);
            self.start_delay = delay(defaults, "startDelay")?.unwrap_or(self.start_delay);
            self.stop_delay = delay(defaults, "stopDelay")?.unwrap_or(self.stop_delay);
            if let Some(action) = defaults.str("stopAction") {
                self.stop_action =
                    known_action(action, STOP).ok_or_else(|| invalid("stopAction"))?;
            }
        }
        for info in spec.get("powerInfo").map_or(&[][..], Value::items) {
            let info = info.as_object().ok_or_else(|| invalid("powerInfo"))?;
            let machine = info.get("key").and_then(Value::as_moref);
            let action = |name: &'static str, known| {
                known_action(info.str(name).unwrap_or_default(), known).ok_or_else(|| invalid(name))
            };
            let entry = Entry {
                machine: machine.ok_or_else(|| invalid("powerInfo.key"))?.clone(),
                start_order: delay(info, "startOrder")?.unwrap_or(-1),
                start_delay: delay(info, "startDelay")?.unwrap_or(-1),
                heartbeat: match info.str("waitForHeartbeat") {
                    Some("yes") => Heartbeat::Yes,
                    Some("no") => Heartbeat::No,
                    Some("systemDefault") => Heartbeat::SystemDefault,
                    _ => return Err(invalid("waitForHeartbeat")),
                },
                start_action: action("startAction", START)?,
                stop_delay: delay(info, "stopDelay")?.unwrap_or(-1),
                stop_action: action("stopAction", STOP)?,
            };
            self.forget(&entry.machine);
            self.entries.push(entry);
        }
        // Those with a number first, in its order.
        self.entries.sort_by_key(|entry| (entry.start_order < 1, entry.start_order));
        Ok(())
    }

    fn starting(&self) -> Vec<MoRef> {
        self.machines(|entry| entry.start_action.eq_ignore_ascii_case("powerOn"))
    }

    /// The machines to stop, the last one started first, and whether each is suspended.
    fn stopping(&self) -> Vec<(MoRef, bool)> {
        let action = |entry: &Entry| {
            let own = entry.stop_action.as_str();
            if own.eq_ignore_ascii_case("systemDefault") { &self.stop_action } else { own }
                .to_ascii_lowercase()
        };
        self.entries
            .iter()
            .rev()
            .filter(|entry| action(entry) != "none")
            .map(|entry| (entry.machine.clone(), action(entry) == "suspend"))
            .collect()
    }

    fn machines(&self, found: impl Fn(&Entry) -> bool) -> Vec<MoRef> {
        self.entries.iter().filter(|e| found(e)).map(|e| e.machine.clone()).collect()
    }
}

const START: &[&str] = &["none", "powerOn", "systemDefault"];
const STOP: &[&str] = &["none", "powerOff", "suspend", "guestShutdown", "systemDefault"];

/// An action as it was written, if it is one: hosts take either case.
fn known_action(text: &str, known: &[&str]) -> Option<String> {
    known.iter().any(|name| name.eq_ignore_ascii_case(text)).then(|| text.to_owned())
}

impl Model {
    fn autostart_mut(&mut self, manager: &MoRef) -> Result<&mut AutoStart, Fault> {
        let gone = || Fault::object_not_found(manager);
        let host = self.inventory.host_of_manager(manager).ok_or_else(gone)?;
        match self.inventory.get_mut(&host) {
            Some(Item::Host(host)) => Ok(&mut host.autostart),
            _ => Err(gone()),
        }
    }

    /// `ReconfigureAutostart`.
    pub(super) fn reconfigure_autostart(
        &mut self,
        manager: &MoRef,
        args: &Object,
    ) -> Result<Answer, Fault> {
        let spec = args.get("spec").and_then(Value::as_object);
        let spec = spec.ok_or_else(|| Fault::invalid_argument("spec"))?;
        let infos = spec.get("powerInfo").map_or(&[][..], Value::items);
        for info in infos.iter().filter_map(Value::as_object) {
            if let Some(machine) = info.get("key").and_then(Value::as_moref) {
                self.machine_at(machine)?;
            }
        }
        let mut changed = self.autostart_mut(manager)?.clone();
        changed.change(spec)?;
        *self.autostart_mut(manager)? = changed;
        self.changed(true);
        Ok(Answer::Result(None))
    }

    /// `AutoStartPowerOn`: what a starting host does. Machines that cannot start are passed over.
    pub(super) fn autostart_power_on(&mut self, manager: &MoRef) -> Result<Answer, Fault> {
        for machine in self.autostart_mut(manager)?.starting() {
            self.power_on(&machine).ok();
        }
        self.changed(true);
        Ok(Answer::Result(None))
    }

    /// `AutoStartPowerOff`: what a stopping host does.
    pub(super) fn autostart_power_off(&mut self, manager: &MoRef) -> Result<Answer, Fault> {
        for (machine, suspend) in self.autostart_mut(manager)?.stopping() {
            if self.power_state(&machine) == Some(PowerState::PoweredOn) {
                let outcome =
                    if suspend { self.suspend(&machine) } else { self.power_off(&machine) };
                outcome.ok();
            }
        }
        self.changed(true);
        Ok(Answer::Result(None))
    }
}
