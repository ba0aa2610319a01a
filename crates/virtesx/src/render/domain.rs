//! `dominfo` and `domstate`.

use serde_json::{Value, json};
use virt_api::{DomainDetails, DomainState, DomainStateReason};

use super::{Fields, Render, printable};

/// The number of KiB that stands for "no limit".
const NO_LIMIT_KIB: u64 = u32::MAX as u64;

/// The result of `dominfo`.
pub(crate) struct Details(pub(crate) DomainDetails);

impl Render for Details {
    fn table(&self, _quiet: bool) -> String {
        let DomainDetails { domain, os_type, info, persistent, autostart, managed_save } = &self.0;
        let yes_no = |fact: &Option<bool>| match fact {
            Some(true) => "yes",
            Some(false) => "no",
            None => "unknown",
        };
        let max_memory = match info.max_memory_kib {
            NO_LIMIT_KIB => "no limit".to_owned(),
            kib => format!("{kib} KiB"),
        };
        Fields::new(15)
            .with("Id:", domain.id.map_or_else(|| "-".to_owned(), |id| id.to_string()))
            .with("Name:", printable(&domain.name))
            .with("UUID:", domain.uuid)
            .with("OS Type:", printable(os_type))
            .with("State:", info.state)
            .with("CPU(s):", info.vcpus)
            .with_some("CPU time:", (info.cpu_time_ns != 0).then(|| seconds(info.cpu_time_ns)))
            .with("Max memory:", max_memory)
            .with("Used memory:", format_args!("{} KiB", info.memory_kib))
            .with("Persistent:", yes_no(persistent))
            .with_some("Autostart:", autostart.map(|on| if on { "enable" } else { "disable" }))
            .with("Managed save:", yes_no(managed_save))
            .into_text()
    }

    fn value(&self) -> Value {
        let DomainDetails { domain, os_type, info, persistent, autostart, managed_save } = &self.0;
        json!({
            "id": domain.id,
            "name": domain.name,
            "uuid": domain.uuid.to_string(),
            "os_type": os_type,
            "state": info.state.as_str(),
            "vcpus": info.vcpus,
            "cpu_time_ns": info.cpu_time_ns,
            "max_memory_kib": info.max_memory_kib,
            "memory_kib": info.memory_kib,
            "persistent": persistent,
            "autostart": autostart,
            "managed_save": managed_save,
        })
    }
}

/// Seconds with one digit, rounded as `%.1f` does.
fn seconds(nanoseconds: u64) -> String {
    let tenths = (u128::from(nanoseconds) + 50_000_000) / 100_000_000;
    format!("{}.{}s", tenths / 10, tenths % 10)
}

/// The result of `domstate`.
pub(crate) struct State {
    /// The state.
    pub(crate) state: DomainState,
    /// Its reason, if asked for.
    pub(crate) reason: Option<DomainStateReason>,
}

impl Render for State {
    fn table(&self, _quiet: bool) -> String {
        match self.reason {
            Some(reason) => format!("{} ({})\n", self.state, reason_word(self.state, reason)),
            None => format!("{}\n", self.state),
        }
    }

    fn value(&self) -> Value {
        match self.reason {
            Some(reason) => {
                json!({"state": self.state.as_str(), "reason": reason_word(self.state, reason)})
            }
            None => json!({"state": self.state.as_str()}),
        }
    }
}

/// virsh's word for a reason; the numbers are those of libvirt's `virDomainRunningReason` and its siblings.
fn reason_word(state: DomainState, reason: DomainStateReason) -> &'static str {
    let words: &[&str] = match state {
        DomainState::Running => &[
            "unknown",
            "booted",
            "migrated",
            "restored",
            "from snapshot",
            "unpaused",
            "migration canceled",
            "save canceled",
            "event wakeup",
            "crashed",
            "post-copy",
        ],
        DomainState::Paused => &[
            "unknown",
            "user",
            "migrating",
            "saving",
            "dumping",
            "I/O error",
            "watchdog",
            "from snapshot",
            "shutting down",
            "creating snapshot",
            "crashed",
            "starting up",
        ],
        DomainState::Shutdown => &["unknown", "user"],
        DomainState::Shutoff => &[
            "unknown",
            "shutdown",
            "destroyed",
            "crashed",
            "migrated",
            "saved",
            "failed",
            "from snapshot",
            "daemon",
        ],
        DomainState::Crashed => &["unknown", "panicked"],
        _ => &["unknown"],
    };
    words.get(reason.0 as usize).copied().unwrap_or("unknown")
}

#[cfg(test)]
mod tests {
    use virt_api::{DomainState, DomainStateReason};

    use super::{reason_word, seconds};

    #[test]
    fn cpu_time_is_told_in_tenths() {
        for (nanoseconds, text) in [
            (1, "0.0s"),
            (149_999_999, "0.1s"),
            (150_000_000, "0.2s"),
            (61_000_000_000, "61.0s"),
            (u64::MAX, "18446744073.7s"),
        ] {
            assert_eq!(seconds(nanoseconds), text);
        }
    }

    // The first four were seen with Debian's virsh 9.0.0 and its test driver.
    #[test]
    fn reasons_are_virshs() {
        for (state, reason, word) in [
            (DomainState::Shutoff, 2, "destroyed"),
            (DomainState::Paused, 1, "user"),
            (DomainState::Running, 5, "unpaused"),
            (DomainState::Running, 1, "booted"),
            (DomainState::Running, 0, "unknown"),
            (DomainState::Running, 99, "unknown"),
            (DomainState::NoState, 1, "unknown"),
        ] {
            assert_eq!(reason_word(state, DomainStateReason(reason)), word);
        }
    }
}
