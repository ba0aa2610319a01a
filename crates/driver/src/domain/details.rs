//! Facts about one domain.

use virt_api::{
    Domain, DomainDetails, DomainInfo, DomainSelector, DomainState, DomainStateReason, Result,
};

use super::autostart::autostarted;
use super::lookup::{Found, Wanted};
use super::state_of;
use crate::connection::Session;
use crate::error::decode_error;

/// The properties behind [`DomainInfo`].
pub(crate) const INFO: &[&str] = &[
    "runtime.powerState",
    "config.hardware.memoryMB",
    "config.hardware.numCPU",
    "config.memoryAllocation.limit",
];

/// The properties behind a state.
const STATE: &[&str] = &["runtime.powerState"];

/// libvirt `virDomainGetInfo` (spec `domain.md` 9); current memory never exceeds the maximum.
fn info_of(found: &Found) -> Result<DomainInfo> {
    let number = |path| found.row.get::<i64>(path).map_err(decode_error);
    let max_memory_mib = number("config.hardware.memoryMB")?.unwrap_or(0);
    let max_memory_kib = u64::try_from(max_memory_mib).unwrap_or(0).saturating_mul(1024);
    let limit = number("config.memoryAllocation.limit")?.and_then(|mib| u64::try_from(mib).ok());
    Ok(DomainInfo {
        state: found.machine.state,
        max_memory_kib,
        memory_kib: limit
            .map_or(max_memory_kib, |mib| mib.saturating_mul(1024).min(max_memory_kib)),
        vcpus: u32::try_from(number("config.hardware.numCPU")?.unwrap_or(0)).unwrap_or(0),
        cpu_time_ns: 0,
    })
}

impl Session {
    pub(crate) async fn info(&self, domain: &Domain) -> Result<DomainInfo> {
        info_of(&self.find_domain(domain, Wanted { paths: INFO, autostart: false }).await?)
    }

    pub(crate) async fn state(&self, domain: &Domain) -> Result<(DomainState, DomainStateReason)> {
        let found = self.find_domain(domain, Wanted { paths: STATE, autostart: false }).await?;
        Ok((state_of(&found.row)?, DomainStateReason::default()))
    }

    pub(crate) async fn state_by(
        &self,
        selector: &DomainSelector,
    ) -> Result<(DomainState, DomainStateReason)> {
        let found = self.find(selector, Wanted { paths: STATE, autostart: false }).await?;
        Ok((state_of(&found.row)?, DomainStateReason::default()))
    }

    pub(crate) async fn details(&self, selector: &DomainSelector) -> Result<DomainDetails> {
        let found = self.find(selector, Wanted { paths: INFO, autostart: true }).await?;
        let started = found.autostart.as_ref().and_then(|found| autostarted(found).ok());
        Ok(DomainDetails {
            info: info_of(&found)?,
            os_type: "hvm".to_owned(),
            persistent: Some(true),
            autostart: started.map(|set| set.contains(&found.machine.moref)),
            managed_save: Some(false),
            domain: found.machine.domain,
        })
    }
}
