//! Statistics of many machines at once, from the host's own summary. Beyond libvirt's ESX driver.

use esx_vi_api::MoRef;
use esx_vi_api::data::{SharesInfo, VirtualMachineQuickStats};
use esx_vi_api::properties::ObjectRow;
use esx_vi_client::Retrieval;
use virt_api::{
    Domain, DomainMemoryStat, DomainState, DomainStats, DomainStatsFlags as Flags,
    DomainStatsTypes as Types, Error, ErrorCode, ErrorDomain, MemoryStatTag as Tag, NoFlags,
    Result, TypedParam, TypedValue, check_flags,
};

use super::device::{DEVICES, DeviceRow, FILES, VERSION, drive_source};
use super::lookup::Wanted;
use super::{Machine, identity_paths};
use crate::connection::Session;
use crate::error::{decode_error, vi_error};

const NUM_CPU: &str = "config.hardware.numCPU";
const MEMORY_MB: &str = "config.hardware.memoryMB";
const MEMORY_LIMIT: &str = "config.memoryAllocation.limit";
const RESERVATION: &str = "config.memoryAllocation.reservation";
const SHARES: &str = "config.memoryAllocation.shares";
const QUICK: &str = "summary.quickStats";

/// What a VMware host can tell in one look. Counters of traffic and of CPU time are not among it: the API has
/// rates of the last seconds, and libvirt's names stand for sums since the start.
const KNOWN: Types = Types::STATE
    .union(Types::BALLOON)
    .union(Types::VCPU)
    .union(Types::INTERFACE)
    .union(Types::BLOCK)
    .union(Types::VM);
/// Flags that choose machines by their state.
const STATES: Flags = Flags::RUNNING.union(Flags::PAUSED).union(Flags::SHUTOFF).union(Flags::OTHER);

impl Session {
    /// libvirt `virDomainListGetStats`: one request and one per further page; of named domains one for
    /// all of them, and one more for each whose machine is not known yet.
    pub(crate) async fn stats(
        &self,
        domains: &[Domain],
        types: Types,
        flags: Flags,
    ) -> Result<Vec<DomainStats>> {
        let known = STATES
            | Flags::ACTIVE
            | Flags::INACTIVE
            | Flags::PERSISTENT
            | Flags::TRANSIENT
            | Flags::NOWAIT
            | Flags::ENFORCE_STATS;
        check_flags("virConnectGetAllDomainStats", flags, known)?;
        let types = if types.is_empty() { KNOWN } else { types };
        if flags.contains(Flags::ENFORCE_STATS) && !KNOWN.contains(types) {
            let message = "the host has no statistics of the kinds that were asked for, besides state, memory, CPUs, interfaces and disks";
            return Err(Error::new(ErrorCode::OperationUnsupported, ErrorDomain::Esx, message));
        }
        if flags.contains(Flags::TRANSIENT) && !flags.contains(Flags::PERSISTENT) {
            return Ok(Vec::new());
        }
        let uuid_path = self.uuid_path();
        let mut paths = identity_paths(uuid_path);
        paths.extend([NUM_CPU, MEMORY_MB, MEMORY_LIMIT, QUICK]);
        // Devices are the better part of a machine's properties: they travel for those who ask.
        if types.intersects(Types::INTERFACE | Types::BLOCK) {
            paths.extend([DEVICES, VERSION]);
        }
        if types.contains(Types::BLOCK) {
            paths.push(FILES);
        }
        let what = "cannot read statistics";
        let found = if domains.is_empty() {
            let found = self.client.retrieve(&self.machines_retrieval(&paths)).await;
            found.map_err(|e| vi_error(what, e))?
        } else {
            let build = |first: &MoRef, rest: &[MoRef]| {
                let all = rest.iter().fold(Retrieval::from(first), |all, one| all.and(one));
                all.read("VirtualMachine", paths.iter().copied())
            };
            match self.retrieve_of(domains, build, what).await? {
                Some(found) => found,
                None => return Ok(Vec::new()),
            }
        };
        let mut all = Vec::new();
        for row in found.of("VirtualMachine") {
            let machine = Machine::read(row, uuid_path);
            if chosen(machine.state, flags) {
                let params = params(row, machine.state, types)?;
                all.push(DomainStats { domain: machine.domain, params });
            }
        }
        Ok(all)
    }
}

impl Session {
    /// libvirt `virDomainMemoryStats`, and VMware's own figures: one request. A machine that is off has
    /// only what it is allowed.
    pub(crate) async fn memory_stats(
        &self,
        domain: &Domain,
        flags: NoFlags,
    ) -> Result<Vec<DomainMemoryStat>> {
        check_flags("virDomainMemoryStats", flags, NoFlags::empty())?;
        let paths = &[MEMORY_MB, MEMORY_LIMIT, RESERVATION, SHARES, QUICK];
        let found = self.find_domain(domain, Wanted { paths, autostart: false }).await?;
        memory_figures(&found.row, found.machine.state)
    }
}

fn memory_figures(row: &ObjectRow, state: DomainState) -> Result<Vec<DomainMemoryStat>> {
    let number = |path| row.get::<i64>(path).map_err(decode_error);
    let positive = |mib: Option<i64>| mib.and_then(|mib| u64::try_from(mib).ok());
    let kib = |mib: Option<i64>| positive(mib).map(|mib| mib.saturating_mul(1024));
    let quick: VirtualMachineQuickStats =
        row.get_lenient(QUICK).map_err(decode_error)?.unwrap_or_default();
    let shares: Option<SharesInfo> = row.get_lenient(SHARES).map_err(decode_error)?;
    let limit = kib(number(MEMORY_LIMIT)?);
    let running = state == DomainState::Running;
    let now = |mib: Option<i32>| kib(mib.map(i64::from)).filter(|_| running);
    let figures = [
        (Tag::Actual, limit.into_iter().chain(kib(number(MEMORY_MB)?)).min()),
        (Tag::Rss, now(quick.host_memory_usage)),
        (Tag::Active, now(quick.guest_memory_usage)),
        (Tag::Ballooned, now(quick.ballooned_memory)),
        (Tag::Swapped, now(quick.swapped_memory)),
        // In KiB, alone among its neighbours.
        (Tag::Compressed, positive(quick.compressed_memory).filter(|_| running)),
        (Tag::Shared, now(quick.shared_memory)),
        (Tag::Private, now(quick.private_memory)),
        (Tag::Overhead, now(quick.consumed_overhead_memory)),
        (Tag::Reservation, kib(number(RESERVATION)?)),
        (Tag::Limit, limit),
        (Tag::Shares, positive(shares.map(|shares| shares.shares.into()))),
    ];
    let known = figures
        .into_iter()
        .filter_map(|(tag, value)| Some(DomainMemoryStat { tag, value: value? }));
    Ok(known.collect())
}

fn chosen(state: DomainState, flags: Flags) -> bool {
    let by_state = match state {
        DomainState::Running => Flags::RUNNING,
        DomainState::Paused => Flags::PAUSED,
        DomainState::Shutoff => Flags::SHUTOFF,
        _ => Flags::OTHER,
    };
    let active = if state == DomainState::Shutoff { Flags::INACTIVE } else { Flags::ACTIVE };
    let fits = |group: Flags, is: Flags| !flags.intersects(group) || flags.contains(is);
    fits(STATES, by_state) && fits(Flags::ACTIVE | Flags::INACTIVE, active)
}

fn params(row: &ObjectRow, state: DomainState, types: Types) -> Result<Vec<TypedParam>> {
    let number = |path| row.get::<i64>(path).map_err(decode_error);
    let kib = |mib: i64| u64::try_from(mib).unwrap_or(0).saturating_mul(1024);
    let quick: VirtualMachineQuickStats =
        row.get_lenient(QUICK).map_err(decode_error)?.unwrap_or_default();
    let mut params = Vec::new();
    let mut add = |name: &str, value: Option<TypedValue>| {
        params.extend(value.map(|value| TypedParam { name: name.to_owned(), value }));
    };
    if types.contains(Types::STATE) {
        add("state.state", i32::try_from(state.number()).ok().map(Into::into));
        add("state.reason", Some(0i32.into()));
    }
    if types.contains(Types::BALLOON) {
        let maximum = number(MEMORY_MB)?.map(kib);
        let limit = number(MEMORY_LIMIT)?.filter(|mib| *mib >= 0).map(kib);
        add("balloon.current", limit.into_iter().chain(maximum).min().map(Into::into));
        add("balloon.maximum", maximum.map(Into::into));
        add("balloon.rss", quick.host_memory_usage.map(|mib| kib(mib.into()).into()));
    }
    if types.contains(Types::VCPU) {
        let vcpus = number(NUM_CPU)?.and_then(|n| u32::try_from(n).ok());
        add("vcpu.current", vcpus.map(Into::into));
        add("vcpu.maximum", vcpus.map(Into::into));
    }
    if types.intersects(Types::INTERFACE | Types::BLOCK) {
        params.extend(devices(row, types)?);
    }
    if types.contains(Types::VM) {
        let mut add = |name: &str, value: Option<TypedValue>| {
            params.extend(value.map(|value| TypedParam { name: name.to_owned(), value }));
        };
        let mhz = |n: Option<i32>| n.and_then(|n| u64::try_from(n).ok()).map(TypedValue::from);
        let mib = |n: Option<i32>| n.map(|n| TypedValue::from(kib(n.into())));
        add("vm.cpu.usage_mhz", mhz(quick.overall_cpu_usage));
        add("vm.cpu.demand_mhz", mhz(quick.overall_cpu_demand));
        add("vm.memory.active_kib", mib(quick.guest_memory_usage));
        add("vm.memory.ballooned_kib", mib(quick.ballooned_memory));
        add("vm.memory.swapped_kib", mib(quick.swapped_memory));
        add("vm.memory.overhead_kib", mib(quick.consumed_overhead_memory));
        // The API counts compressed memory in KiB, alone among its neighbours.
        let compressed = quick.compressed_memory.and_then(|n| u64::try_from(n).ok());
        add("vm.memory.compressed_kib", compressed.map(Into::into));
        add("vm.uptime_s", mhz(quick.uptime_seconds));
    }
    Ok(params)
}

/// `net.N.…` and `block.N.…`.
fn devices(row: &ObjectRow, types: Types) -> Result<Vec<TypedParam>> {
    let devices = DeviceRow::read(row)?;
    let hardware = devices.hardware();
    let count = |len: usize| u32::try_from(len).unwrap_or(u32::MAX);
    let mut params = Vec::new();
    if types.contains(Types::INTERFACE) {
        let adapters: Vec<_> = hardware.of("VirtualEthernetCard").collect();
        params.push(TypedParam::new("net.count", count(adapters.len())));
        for (index, adapter) in adapters.iter().enumerate() {
            // The host has no name for it; the address is what others know it by.
            if let Some(mac) = adapter.str("macAddress") {
                let name = mac.to_ascii_lowercase();
                params.push(TypedParam::new(format!("net.{index}.name"), TypedValue::String(name)));
            }
        }
    }
    if types.contains(Types::BLOCK) {
        let drives = hardware.sorted_drives();
        params.push(TypedParam::new("block.count", count(drives.len())));
        for (index, drive) in drives.iter().enumerate() {
            let mut add = |name: &str, value: TypedValue| {
                params.push(TypedParam::new(format!("block.{index}.{name}"), value));
            };
            add("name", TypedValue::String(drive.target.clone()));
            if let Some(source) = drive_source(drive.device) {
                add("path", TypedValue::String(source));
            }
            let sizes = devices.sizes(drive);
            if sizes.capacity_bytes > 0 {
                add("allocation", sizes.allocation_bytes.into());
                add("capacity", sizes.capacity_bytes.into());
                add("physical", sizes.physical_bytes.into());
            }
        }
    }
    Ok(params)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_are_chosen_by_state() {
        let all = [DomainState::Running, DomainState::Paused, DomainState::Shutoff];
        let count = |flags| all.iter().filter(|state| chosen(**state, flags)).count();
        assert_eq!(count(Flags::empty()), 3);
        assert_eq!(count(Flags::ACTIVE), 2);
        assert_eq!(count(Flags::INACTIVE), 1);
        assert_eq!(count(Flags::ACTIVE | Flags::RUNNING), 1);
        assert_eq!(count(Flags::INACTIVE | Flags::RUNNING), 0);
    }
}
