//! Domains: virtual machines in libvirt's words.

mod autostart;
mod console;
mod create;
mod define;
mod details;
mod device;
mod events;
mod guest;
mod index;
mod inspect;
mod list;
mod lookup;
mod migrate;
mod naming;
mod operate;
mod power;
mod question;
mod redefine;
mod resources;
mod screenshot;
mod scsi_model;
mod snapshot;
mod stats;
mod xml;

use esx_escape::percent;
use esx_vi_api::MoRef;
use esx_vi_api::enums::VirtualMachinePowerState;
use esx_vi_api::properties::ObjectRow;
use uuid::Uuid;
use virt_api::{Domain, DomainSelector, DomainState, Error, ErrorDomain, Result};

use crate::error::decode_error;
use crate::host::parse_uuid;

pub(crate) use autostart::{autostarted, is_manager_missing, with_autostart};
pub use console::{ConsoleOpener, ConsolePort};
pub(crate) use details::INFO;
pub(crate) use device::{DEVICES, DeviceRow, DriveKind, VERSION};
pub(crate) use index::NameIndex;
pub(crate) use lookup::{Found, Wanted};
pub(crate) use xml::{VMX_PATHS, conversion_error};

/// A virtual machine as one row of properties describes it: what a handle and a list entry need.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    pub(crate) moref: MoRef,
    pub(crate) domain: Domain,
    pub(crate) state: DomainState,
    /// Where it runs, if that was asked for.
    pub(crate) host: Option<MoRef>,
    /// What is wrong with the row, one phrase.
    pub(crate) problem: Option<String>,
}

/// The properties behind [`Machine`]; `uuid_path` is the one that identifies machines.
pub(crate) fn identity_paths(uuid_path: &str) -> Vec<&str> {
    vec!["name", "runtime.powerState", uuid_path]
}

impl Machine {
    /// Reads a row leniently: whatever is missing or odd is a problem of this machine alone (spec
    /// `domain.md` 19 nos. 4 and 52).
    pub(crate) fn read(row: &ObjectRow, uuid_path: &str) -> Self {
        let mut problems: Vec<String> = row.problem().map(str::to_owned).into_iter().collect();
        let mut note = |what: String| problems.push(what);
        let name = match row.get::<String>("name") {
            Ok(Some(stored)) => match percent::unescape(&stored) {
                Ok(name) => name.into_owned(),
                Err(error) => {
                    note(format!("bad name {stored:?}: {error}"));
                    stored
                }
            },
            Ok(None) => {
                note(unreadable(row, "name"));
                String::new()
            }
            Err(error) => {
                note(error.to_string());
                String::new()
            }
        };
        let state = match state_of(row) {
            Ok(state) => state,
            Err(error) => {
                note(error.to_string());
                DomainState::NoState
            }
        };
        let uuid = match row.get::<String>(uuid_path) {
            Ok(Some(text)) => parse_uuid(&text).unwrap_or_else(|| {
                note(format!("bad UUID {text:?}"));
                Uuid::nil()
            }),
            Ok(None) => {
                note(unreadable(row, "UUID"));
                Uuid::nil()
            }
            Err(error) => {
                note(error.to_string());
                Uuid::nil()
            }
        };
        let id = match id_of(&row.moref) {
            Some(id) => (state != DomainState::Shutoff).then_some(id),
            None => {
                note(format!("no ID can be made of {}", row.moref));
                None
            }
        };
        Self {
            moref: row.moref.clone(),
            domain: Domain { name, uuid, id },
            state,
            host: row.get("runtime.host").ok().flatten(),
            problem: (!problems.is_empty()).then(|| problems.join(", ")),
        }
    }
}

/// Why `what` is missing: the host's reason, or that there is none.
fn unreadable(row: &ObjectRow, what: &str) -> String {
    let fault = row.missing_paths().next().and_then(|path| {
        let missing = row.missing(path)?;
        Some(missing.get("fault")?.as_object()?.type_name.clone().into_owned())
    });
    match fault {
        Some(fault) => format!("the host does not tell its {what} ({fault})"),
        None => format!("the host does not tell its {what}"),
    }
}

/// The state behind `runtime.powerState` (spec `domain.md` 3.5).
pub(crate) fn state_of(row: &ObjectRow) -> Result<DomainState> {
    let power = row.get::<VirtualMachinePowerState>("runtime.powerState").map_err(decode_error)?;
    let Some(power) = power else {
        return Err(Error::internal(ErrorDomain::Esx, unreadable(row, "power state")));
    };
    Ok(match power {
        VirtualMachinePowerState::PoweredOn => DomainState::Running,
        VirtualMachinePowerState::Suspended => DomainState::Paused,
        VirtualMachinePowerState::PoweredOff => DomainState::Shutoff,
        _ => DomainState::NoState,
    })
}

/// The ID in a managed object reference: `42` and `vm-42` are 42 (spec `domain.md` 3.4).
pub(crate) fn id_of(moref: &MoRef) -> Option<i32> {
    let digits = moref.value.strip_prefix("vm-").unwrap_or(&moref.value);
    let all_digits = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    digits.parse().ok().filter(|id| all_digits && *id > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_positive_numbers() {
        for (value, id) in [
            ("7", Some(7)),
            ("vm-7", Some(7)),
            ("-3", None),
            ("0", None),
            ("vm-", None),
            ("vm-x", None),
            ("vm-+7", None),
            ("7b", None),
            ("VM-7", None),
            ("99999999999", None),
        ] {
            assert_eq!(id_of(&MoRef::new("VirtualMachine", value)), id, "{value}");
        }
    }
}
