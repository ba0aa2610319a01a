//! Memory, virtual CPUs and their shares (spec `domain.md` 7 and 8).

use esx_vi_api::Value;
use esx_vi_api::data::{ResourceAllocationInfo, SharesInfo, VirtualMachineConfigSpec};
use esx_vi_api::enums::SharesLevel;
use esx_vi_api::methods::ReconfigVMTask;
use virt_api::{
    Domain, DomainMemoryFlags, DomainModificationFlags, DomainState, DomainVcpuFlags, Error,
    ErrorCode, ErrorDomain, Result, SchedulerType, TypedParam, TypedValue, check_flags,
};

use super::lookup::Wanted;
use super::operate::{checked_state, require_state};
use crate::connection::Session;
use crate::error::{decode_error, vi_error};

const MEMORY_MB: &str = "config.hardware.memoryMB";
const MEMORY_HOT_ADD: &str = "config.memoryHotAddEnabled";
const NUM_CPU: &str = "config.hardware.numCPU";
const CORES_PER_SOCKET: &str = "config.hardware.numCoresPerSocket";
const MEMORY_RESERVATION: &str = "config.memoryAllocation.reservation";
const CPU: [&str; 3] = [
    "config.cpuAllocation.reservation",
    "config.cpuAllocation.limit",
    "config.cpuAllocation.shares",
];

/// Every flag of parameter functions is harmless here: a change holds at once and at the next start.
const ANY_IMPACT: DomainModificationFlags = DomainModificationFlags::all();

impl Session {
    async fn number(&self, domain: &Domain, path: &str) -> Result<i64> {
        let missing = || {
            Error::internal(
                ErrorDomain::Esx,
                format!("the host does not tell {path} of the domain"),
            )
        };
        self.optional_number(domain, path).await?.ok_or_else(missing)
    }

    async fn optional_number(&self, domain: &Domain, path: &str) -> Result<Option<i64>> {
        let found = self.find_domain(domain, Wanted { paths: &[path], autostart: false }).await?;
        found.row.get(path).map_err(decode_error)
    }

    async fn reconfigure(
        &self,
        domain: &Domain,
        what: &str,
        spec: VirtualMachineConfigSpec,
    ) -> Result<()> {
        let what = format!("cannot change the {what} of domain {:?}", domain.name);
        self.run(domain, &what, &ReconfigVMTask { spec }, &[], |_| Ok(())).await
    }

    /// libvirt `virDomainGetMaxMemory`, in KiB.
    pub(crate) async fn max_memory(&self, domain: &Domain) -> Result<u64> {
        let memory_mb = self.number(domain, MEMORY_MB).await?;
        let memory_mb = u64::try_from(memory_mb).map_err(|e| {
            let message = format!("the host says that the domain has {memory_mb} MB of memory");
            Error::internal(ErrorDomain::Esx, message).with_source(e)
        })?;
        Ok(memory_mb.saturating_mul(1024))
    }

    /// libvirt `virDomainSetMaxMemory`: rounded up to 4 MiB; a machine that is not off may only grow, and
    /// only with memory hot-add.
    pub(crate) async fn set_max_memory(&self, domain: &Domain, memory_kib: u64) -> Result<()> {
        self.check_writable("virDomainSetMaxMemory")?;
        check_memory(memory_kib)?;
        let memory_mb =
            i64::try_from(memory_kib.div_ceil(4096).saturating_mul(4)).unwrap_or(i64::MAX);
        let spec = VirtualMachineConfigSpec { memory_mb: Some(memory_mb), ..Default::default() };
        let what = format!("cannot change the maximum memory of domain {:?}", domain.name);
        let allowed = |c: &esx_vi_client::Checked| {
            let grows = c.get(MEMORY_MB).and_then(Value::as_i64).is_some_and(|now| now < memory_mb);
            if grows && c.get(MEMORY_HOT_ADD).and_then(Value::as_bool) == Some(true) {
                return Ok(());
            }
            require_state(domain, checked_state(c), &[DomainState::Shutoff])
        };
        self.run(domain, &what, &ReconfigVMTask { spec }, &[MEMORY_MB, MEMORY_HOT_ADD], allowed)
            .await
    }

    /// libvirt `virDomainSetMemoryFlags`: the balloon is a limit. The whole memory is no limit at all.
    pub(crate) async fn set_memory(
        &self,
        domain: &Domain,
        memory_kib: u64,
        flags: DomainMemoryFlags,
    ) -> Result<()> {
        self.check_writable("virDomainSetMemoryFlags")?;
        check_flags("virDomainSetMemoryFlags", flags, DomainMemoryFlags::all())?;
        if flags.contains(DomainMemoryFlags::MEM_MAXIMUM) {
            return self.set_max_memory(domain, memory_kib).await;
        }
        check_memory(memory_kib)?;
        let limit = mib(memory_kib);
        let wanted = Wanted { paths: &[MEMORY_MB], autostart: false };
        let found = self.find_domain_at_host(domain, wanted).await?;
        let whole = found.row.get::<i64>(MEMORY_MB).map_err(decode_error)?;
        let limit = if whole == Some(limit) { -1 } else { limit };
        let allocation = ResourceAllocationInfo { limit: Some(limit), ..Default::default() };
        let spec =
            VirtualMachineConfigSpec { memory_allocation: Some(allocation), ..Default::default() };
        self.reconfigure(domain, "memory", spec).await
    }

    /// libvirt `virDomainGetMemoryParameters`: `min_guarantee` in KiB.
    pub(crate) async fn memory_parameters(
        &self,
        domain: &Domain,
        flags: DomainModificationFlags,
    ) -> Result<Vec<TypedParam>> {
        check_flags("virDomainGetMemoryParameters", flags, ANY_IMPACT)?;
        check_one_impact("virDomainGetMemoryParameters", flags)?;
        // A machine that never had one has none.
        let reservation = self.optional_number(domain, MEMORY_RESERVATION).await?.unwrap_or(0);
        let kib = u64::try_from(reservation).unwrap_or(0).saturating_mul(1024);
        Ok(vec![TypedParam::new("min_guarantee", kib)])
    }

    /// libvirt `virDomainSetMemoryParameters`.
    pub(crate) async fn set_memory_parameters(
        &self,
        domain: &Domain,
        params: &[TypedParam],
        flags: DomainModificationFlags,
    ) -> Result<()> {
        self.check_writable("virDomainSetMemoryParameters")?;
        check_flags("virDomainSetMemoryParameters", flags, ANY_IMPACT)?;
        let mut allocation = ResourceAllocationInfo::default();
        for param in unique(params)? {
            match (param.name.as_str(), &param.value) {
                ("min_guarantee", TypedValue::ULLong(kib)) => {
                    allocation.reservation = Some(mib(*kib))
                }
                ("min_guarantee", _) => return Err(wrong_type(param, "ullong")),
                _ => return Err(unknown(param)),
            }
        }
        let spec =
            VirtualMachineConfigSpec { memory_allocation: Some(allocation), ..Default::default() };
        self.reconfigure(domain, "memory parameters", spec).await
    }

    /// libvirt `virDomainGetVcpusFlags`: the machine's number, or with `VCPU_MAXIMUM` the host's.
    pub(crate) async fn vcpus(&self, domain: &Domain, flags: DomainVcpuFlags) -> Result<u32> {
        let known = DomainVcpuFlags::AFFECT_LIVE
            | DomainVcpuFlags::AFFECT_CONFIG
            | DomainVcpuFlags::VCPU_MAXIMUM;
        check_flags("virDomainGetVcpusFlags", flags, known)?;
        check_one_impact(
            "virDomainGetVcpusFlags",
            DomainModificationFlags::from_bits_truncate(flags.bits()),
        )?;
        if flags.contains(DomainVcpuFlags::VCPU_MAXIMUM) {
            let unknown = "the host does not tell how many CPUs a machine may have";
            return self
                .max_vcpus()
                .await?
                .ok_or_else(|| Error::internal(ErrorDomain::Esx, unknown));
        }
        Ok(u32::try_from(self.number(domain, NUM_CPU).await?).unwrap_or(0))
    }

    /// The most CPUs that a machine of this host may have; `None` if the host does not tell, or says 0.
    async fn max_vcpus(&self) -> Result<Option<u32>> {
        const PATH: &str = "capability.maxSupportedVcpus";
        let host = self.binding().await?.host;
        let row = self
            .client
            .read(&host, &[PATH])
            .await
            .map_err(|e| vi_error("cannot read the host's limits", e))?;
        let max = row.map(|row| row.get::<i64>(PATH)).transpose().map_err(decode_error)?.flatten();
        Ok(max.and_then(|max| u32::try_from(max).ok()).filter(|max| *max > 0))
    }

    /// libvirt `virDomainSetVcpusFlags`.
    pub(crate) async fn set_vcpus(
        &self,
        domain: &Domain,
        vcpus: u32,
        flags: DomainVcpuFlags,
    ) -> Result<()> {
        self.check_writable("virDomainSetVcpusFlags")?;
        let known = DomainVcpuFlags::AFFECT_LIVE | DomainVcpuFlags::AFFECT_CONFIG;
        check_flags("virDomainSetVcpusFlags", flags, known)?;
        let max = self.max_vcpus().await?.unwrap_or(u32::MAX);
        if vcpus == 0 || vcpus > max {
            let message = format!("a domain of this host has 1 to {max} CPUs, not {vcpus}");
            return Err(Error::invalid_arg(ErrorDomain::Esx, message));
        }
        // The host refuses a number that its cores per socket do not divide; libvirt leaves it at that.
        let per_socket = self.optional_number(domain, CORES_PER_SOCKET).await?;
        let per_socket = per_socket
            .and_then(|n| u32::try_from(n).ok())
            .filter(|n| *n > 1 && !vcpus.is_multiple_of(*n));
        let spec = VirtualMachineConfigSpec {
            num_cpus: i32::try_from(vcpus).ok(),
            num_cores_per_socket: per_socket.map(|_| 1),
            ..Default::default()
        };
        self.reconfigure(domain, "number of CPUs", spec).await
    }

    /// libvirt `virDomainGetSchedulerType`.
    pub(crate) fn scheduler_type() -> SchedulerType {
        SchedulerType { name: "allocation".to_owned(), params: 3 }
    }

    /// libvirt `virDomainGetSchedulerParametersFlags`.
    pub(crate) async fn scheduler_parameters(
        &self,
        domain: &Domain,
        flags: DomainModificationFlags,
    ) -> Result<Vec<TypedParam>> {
        check_flags("virDomainGetSchedulerParametersFlags", flags, ANY_IMPACT)?;
        check_one_impact("virDomainGetSchedulerParametersFlags", flags)?;
        let found = self.find_domain(domain, Wanted { paths: &CPU, autostart: false }).await?;
        let mut params = Vec::new();
        for (name, path) in [("reservation", CPU[0]), ("limit", CPU[1])] {
            if let Some(value) = found.row.get::<i64>(path).map_err(decode_error)? {
                params.push(TypedParam::new(name, value));
            }
        }
        if let Some(shares) = found.row.get::<SharesInfo>(CPU[2]).map_err(decode_error)? {
            let value = match shares.level {
                SharesLevel::Low => -1,
                SharesLevel::Normal => -2,
                SharesLevel::High => -3,
                _ => shares.shares,
            };
            params.push(TypedParam::new("shares", value));
        }
        Ok(params)
    }

    /// libvirt `virDomainSetSchedulerParametersFlags` (spec `domain.md` 8.5).
    pub(crate) async fn set_scheduler_parameters(
        &self,
        domain: &Domain,
        params: &[TypedParam],
        flags: DomainModificationFlags,
    ) -> Result<()> {
        self.check_writable("virDomainSetSchedulerParametersFlags")?;
        check_flags("virDomainSetSchedulerParametersFlags", flags, ANY_IMPACT)?;
        let spec = VirtualMachineConfigSpec {
            cpu_allocation: Some(cpu_allocation(params)?),
            ..Default::default()
        };
        self.reconfigure(domain, "scheduler parameters", spec).await
    }
}

fn cpu_allocation(params: &[TypedParam]) -> Result<ResourceAllocationInfo> {
    let mut allocation = ResourceAllocationInfo::default();
    for param in unique(params)? {
        match (param.name.as_str(), &param.value) {
            ("reservation", TypedValue::LLong(mhz)) if *mhz >= 0 => {
                allocation.reservation = Some(*mhz)
            }
            ("limit", TypedValue::LLong(mhz)) if *mhz >= -1 => allocation.limit = Some(*mhz),
            ("shares", TypedValue::Int(shares)) if *shares >= -3 => {
                let level = match shares {
                    -1 => SharesLevel::Low,
                    -2 => SharesLevel::Normal,
                    -3 => SharesLevel::High,
                    _ => SharesLevel::Custom,
                };
                allocation.shares = Some(SharesInfo { shares: (*shares).max(-1), level });
            }
            ("reservation" | "limit", TypedValue::LLong(_)) | ("shares", TypedValue::Int(_)) => {
                let message = format!("the value of the parameter {param} is out of range");
                return Err(Error::invalid_arg(ErrorDomain::Esx, message));
            }
            ("reservation" | "limit", _) => return Err(wrong_type(param, "llong")),
            ("shares", _) => return Err(wrong_type(param, "int")),
            _ => return Err(unknown(param)),
        }
    }
    Ok(allocation)
}

/// A reader is asked for the running domain or for the configuration, never for both (spec `domain.md` section 1).
fn check_one_impact(function: &str, flags: DomainModificationFlags) -> Result<()> {
    let both = DomainModificationFlags::AFFECT_LIVE | DomainModificationFlags::AFFECT_CONFIG;
    if flags.contains(both) {
        let message =
            format!("{function}: the flags AFFECT_LIVE and AFFECT_CONFIG exclude each other");
        return Err(Error::invalid_arg(ErrorDomain::Domain, message));
    }
    Ok(())
}

/// The front end's checks (spec `domain.md` section 1).
fn check_memory(memory_kib: u64) -> Result<()> {
    if memory_kib == 0 {
        return Err(Error::invalid_arg(ErrorDomain::Domain, "memory must not be 0"));
    }
    if memory_kib >= (1 << 63) / 1024 {
        return Err(Error::new(
            ErrorCode::Overflow,
            ErrorDomain::Domain,
            format!("{memory_kib} KiB are too much memory"),
        ));
    }
    Ok(())
}

fn mib(kib: u64) -> i64 {
    i64::try_from(kib.div_ceil(1024)).unwrap_or(i64::MAX)
}

fn unique(params: &[TypedParam]) -> Result<&[TypedParam]> {
    for (index, param) in params.iter().enumerate() {
        if params[..index].iter().any(|earlier| earlier.name == param.name) {
            return Err(Error::invalid_arg(
                ErrorDomain::Esx,
                format!("the parameter {:?} occurs twice", param.name),
            ));
        }
    }
    Ok(params)
}

fn wrong_type(param: &TypedParam, wanted: &str) -> Error {
    let message = format!(
        "the parameter {:?} is of the type {}, not {wanted}",
        param.name,
        param.value.type_name()
    );
    Error::invalid_arg(ErrorDomain::Esx, message)
}

fn unknown(param: &TypedParam) -> Error {
    let message = format!("the parameter {:?} is not supported", param.name);
    Error::new(ErrorCode::ArgumentUnsupported, ErrorDomain::Esx, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_levels_or_numbers() {
        let shares = |value: i32| {
            cpu_allocation(&[TypedParam::new("shares", value)]).map(|a| a.shares.unwrap())
        };
        for (value, level, number) in [
            (-1, SharesLevel::Low, -1),
            (-2, SharesLevel::Normal, -1),
            (-3, SharesLevel::High, -1),
            (0, SharesLevel::Custom, 0),
            (2000, SharesLevel::Custom, 2000),
        ] {
            assert_eq!(shares(value).unwrap(), SharesInfo { shares: number, level });
        }
        assert_eq!(shares(-4).unwrap_err().code, ErrorCode::InvalidArg);
    }

    #[test]
    fn parameters_are_checked_before_anything_is_sent() {
        let code = |params: &[TypedParam]| cpu_allocation(params).unwrap_err().code;
        assert_eq!(code(&[TypedParam::new("limit", -2i64)]), ErrorCode::InvalidArg);
        assert_eq!(code(&[TypedParam::new("limit", 5i32)]), ErrorCode::InvalidArg);
        assert_eq!(code(&[TypedParam::new("weight", 5i32)]), ErrorCode::ArgumentUnsupported);
        let twice = [TypedParam::new("limit", 5i64), TypedParam::new("limit", 6i64)];
        assert_eq!(code(&twice), ErrorCode::InvalidArg);
        let all = [TypedParam::new("reservation", 0i64), TypedParam::new("limit", -1i64)];
        let allocation = cpu_allocation(&all).unwrap();
        assert_eq!((allocation.reservation, allocation.limit), (Some(0), Some(-1)));
    }

    #[test]
    fn memory_is_rounded_up() {
        for (kib, expected) in [(1, 1), (1024, 1), (1025, 2), (1_000_000, 977), (1_048_577, 1025)] {
            assert_eq!(mib(kib), expected);
        }
        assert!(check_memory(0).is_err());
        assert_eq!(check_memory(1 << 53).unwrap_err().code, ErrorCode::Overflow);
        assert!(check_memory((1 << 53) - 1).is_ok());
    }
}
