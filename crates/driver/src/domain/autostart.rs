//! Whether the host starts a machine by itself (spec `domain.md` 13).

use std::collections::HashSet;

use esx_vi_api::MoRef;
use esx_vi_api::data::{AutoStartDefaults, AutoStartPowerInfo, HostAutoStartManagerConfig};
use esx_vi_api::enums::AutoStartWaitHeartbeatSetting;
use esx_vi_api::methods::ReconfigureAutostart;
use esx_vi_client::{Error as ViError, Retrieval, Retrieved};
use virt_api::{Domain, Error, ErrorCode, ErrorDomain, Result};

use super::lookup::Wanted;
use crate::connection::Session;
use crate::error::{decode_error, vi_error};

const ENABLED: &str = "config.defaults.enabled";
const ENTRIES: &str = "config.powerInfo";

/// Also reads what the host starts by itself.
pub(crate) fn with_autostart(retrieval: Retrieval, manager: &MoRef) -> Retrieval {
    retrieval.and(manager).read("HostAutoStartManager", [ENABLED, ENTRIES])
}

/// The manager's state.
struct Autostart {
    enabled: bool,
    entries: Vec<AutoStartPowerInfo>,
}

impl Autostart {
    fn read(found: &Retrieved) -> Result<Self> {
        let row = found.of("HostAutoStartManager").next().ok_or_else(no_manager)?;
        Ok(Self {
            enabled: row.get::<bool>(ENABLED).map_err(decode_error)? == Some(true),
            entries: row.get_lenient(ENTRIES).map_err(decode_error)?.unwrap_or_default(),
        })
    }
}

pub(super) fn no_manager() -> Error {
    let message = "the host has no autostart manager: it is part of a cluster, or a simulator";
    Error::new(ErrorCode::OperationUnsupported, ErrorDomain::Esx, message)
}

fn powers_on(entry: &AutoStartPowerInfo) -> bool {
    // Old hosts write `PowerOn`.
    entry.start_action.eq_ignore_ascii_case("powerOn")
}

/// The machines that the host starts by itself; none if it starts none at all.
pub(crate) fn autostarted(found: &Retrieved) -> Result<HashSet<MoRef>> {
    let state = Autostart::read(found)?;
    let entries = if state.enabled { state.entries } else { Vec::new() };
    Ok(entries.into_iter().filter(powers_on).map(|entry| entry.key).collect())
}

/// Whether a request failed because there is no such manager, whatever the host's configuration says.
pub(crate) fn is_manager_missing(error: &ViError, manager: Option<&MoRef>) -> bool {
    let gone = || error.fault()?.detail.as_ref()?.get("obj")?.as_moref();
    error.is_fault("ManagedObjectNotFound") && manager.is_some() && gone() == manager
}

impl Session {
    /// libvirt `virDomainGetAutostart`.
    pub(crate) async fn autostart(&self, domain: &Domain) -> Result<bool> {
        let found = self.find_domain(domain, Wanted { paths: &[], autostart: true }).await?;
        let manager = found.autostart.as_ref().ok_or_else(no_manager)?;
        Ok(autostarted(manager)?.contains(&found.machine.moref))
    }

    /// libvirt `virDomainSetAutostart`. Turning the host's general switch on would also start other
    /// machines that have an entry of their own: that is refused; entries that start nothing do not count.
    pub(crate) async fn set_autostart(&self, domain: &Domain, autostart: bool) -> Result<()> {
        self.check_writable("virDomainSetAutostart")?;
        // What is decided here is decided from what the host has at this moment, whatever a view knows.
        let wanted = Wanted { paths: &[], autostart: true };
        let found = self.find_domain_at_host(domain, wanted).await?;
        let state = Autostart::read(found.autostart.as_ref().ok_or_else(no_manager)?)?;
        let manager = self.auto_start_manager().await?.ok_or_else(no_manager)?;
        let machine = found.machine.moref;
        let switch_on = autostart && !state.enabled;
        if switch_on && state.entries.iter().any(|entry| entry.key != machine && powers_on(entry)) {
            let message =
                "autostart is off on the host, and turning it on would start other domains, too";
            return Err(Error::new(ErrorCode::OperationInvalid, ErrorDomain::Esx, message));
        }
        let entry = AutoStartPowerInfo {
            key: machine,
            start_order: -1,
            start_delay: -1,
            wait_for_heartbeat: AutoStartWaitHeartbeatSetting::SystemDefault,
            start_action: if autostart { "powerOn" } else { "none" }.to_owned(),
            stop_delay: -1,
            // libvirt writes "none" here and so cuts guests off when the host shuts down.
            stop_action: if autostart { "systemDefault" } else { "none" }.to_owned(),
        };
        let defaults =
            switch_on.then(|| AutoStartDefaults { enabled: Some(true), ..Default::default() });
        let spec = HostAutoStartManagerConfig { defaults, power_info: vec![entry] };
        let failed =
            |e| vi_error(&format!("cannot change the autostart of domain {:?}", domain.name), e);
        self.client.call(&manager, &ReconfigureAutostart { spec }).await.map_err(failed)
    }
}
