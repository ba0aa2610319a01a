//! Host systems.

use esx_vi_api::{Array, MoRef, Object, Value};

use super::autostart::AutoStart;
use super::inventory::Inventory;
use super::machine::PowerState;
use super::network::Networking;
use super::storage::Storage;
use super::tree::{enumeration, green, objects, references, skeleton, strings};

/// A host system: made of the few facts that differ between hosts.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    pub(crate) moref: MoRef,
    pub(crate) parent: MoRef,
    pub(crate) name: String,
    pub(crate) uuid: String,
    pub(crate) host_name: String,
    pub(crate) domain: String,
    pub(crate) address: String,
    pub(crate) packages: i16,
    pub(crate) cores: i16,
    pub(crate) threads: i16,
    pub(crate) hz: i64,
    pub(crate) memory_bytes: i64,
    pub(crate) maintenance: bool,
    pub(crate) autostart: AutoStart,
    /// The address of the vCenter that manages the host.
    pub(crate) manager_address: Option<String>,
    pub(crate) datastores: Vec<MoRef>,
    pub(crate) networks: Vec<MoRef>,
    pub(crate) browser: MoRef,
    pub(crate) storage: Storage,
    pub(crate) networking: Networking,
    /// What `configManager` refers to.
    pub(crate) managers: Vec<MoRef>,
}

const CPU_MODEL: &str = "Intel(R) Xeon(R) Gold 6338 CPU @ 2.00GHz";
const VENDOR: &str = "virtesx";
const MODEL: &str = "Simulated Host";

/// The members of `HostConfigManager` that exist, with their classes.
pub(crate) const MANAGERS: &[(&str, &str)] = &[
    ("cpuScheduler", "HostCpuSchedulerSystem"),
    ("datastoreSystem", "HostDatastoreSystem"),
    ("storageSystem", "HostStorageSystem"),
    ("networkSystem", "HostNetworkSystem"),
    ("vmotionSystem", "HostVMotionSystem"),
    ("serviceSystem", "HostServiceSystem"),
    ("firewallSystem", "HostFirewallSystem"),
    ("advancedOption", "OptionManager"),
    ("autoStartManager", "HostAutoStartManager"),
    ("dateTimeSystem", "HostDateTimeSystem"),
];

impl Host {
    pub(crate) const fn cpu_mhz(&self) -> i32 {
        (self.hz / 1_000_000) as i32
    }

    pub(crate) fn dns_config(&self) -> Object {
        Object::new("HostDnsConfig")
            .with("dhcp", false)
            .with("hostName", self.host_name.as_str())
            .with("domainName", self.domain.as_str())
            .with("address", strings(["10.80.0.1"]))
            .with("searchDomain", strings([self.domain.as_str()]))
    }

    /// The full DNS name.
    pub(crate) fn dns_name(&self) -> String {
        format!("{}.{}", self.host_name, self.domain)
    }

    fn runtime(&self) -> Object {
        Object::new("HostRuntimeInfo")
            .with("connectionState", enumeration("HostSystemConnectionState", "connected"))
            .with("powerState", enumeration("HostSystemPowerState", "poweredOn"))
            .with("standbyMode", "none")
            .with("inMaintenanceMode", self.maintenance)
            .with("bootTime", super::time::Timestamp::from_secs(1_719_700_000).date_time())
    }

    fn system_info(&self) -> Object {
        Object::new("HostSystemInfo")
            .with("vendor", VENDOR)
            .with("model", MODEL)
            .with("uuid", self.uuid.as_str())
    }

    fn hardware(&self) -> Object {
        let numa = self.packages.max(1);
        Object::new("HostHardwareInfo")
            .with("systemInfo", self.system_info())
            .with(
                "cpuInfo",
                Object::new("HostCpuInfo")
                    .with("numCpuPackages", self.packages)
                    .with("numCpuCores", self.cores)
                    .with("numCpuThreads", self.threads)
                    .with("hz", self.hz),
            )
            .with(
                "cpuPkg",
                objects("HostCpuPackage", (0..numa).map(|index| self.cpu_package(index))),
            )
            .with("memorySize", self.memory_bytes)
            .with(
                "numaInfo",
                Object::new("HostNumaInfo")
                    .with("type", "NUMA")
                    .with("numNodes", i32::from(numa))
                    .with(
                        "numaNode",
                        objects("HostNumaNode", (0..numa).map(|index| self.numa_node(index))),
                    ),
            )
            .with("smcPresent", false)
            .with("cpuFeature", cpu_features())
            .with(
                "biosInfo",
                Object::new("HostBIOSInfo").with("biosVersion", "1.0").with(
                    "releaseDate",
                    super::time::Timestamp::from_secs(1_640_995_200).date_time(),
                ),
            )
    }

    fn threads_of(&self, index: i16) -> Value {
        let per_package = self.threads / self.packages.max(1);
        let first = index * per_package;
        Array::new("xsd:short", (first..first + per_package).map(Value::Short).collect()).into()
    }

    fn cpu_package(&self, index: i16) -> Object {
        Object::new("HostCpuPackage")
            .with("index", index)
            .with("vendor", "intel")
            .with("hz", self.hz)
            .with("busHz", 100_000_000_i64)
            .with("description", CPU_MODEL)
            .with("threadId", self.threads_of(index))
            .with("cpuFeature", cpu_features())
    }

    fn numa_node(&self, index: i16) -> Object {
        let size = self.memory_bytes / i64::from(self.packages.max(1));
        Object::new("HostNumaNode")
            .with("typeId", index as i8)
            .with("cpuID", self.threads_of(index))
            .with("memoryRangeBegin", size * i64::from(index))
            .with("memoryRangeLength", size)
    }

    fn capability(&self) -> Object {
        let mut capability = skeleton("HostCapability");
        for flag in [
            "recursiveResourcePoolsSupported",
            "cpuMemoryResourceConfigurationSupported",
            "rebootSupported",
            "shutdownSupported",
            "vmotionSupported",
            "datastorePrincipalSupported",
            "sanSupported",
            "nfsSupported",
            "iscsiSupported",
            "vlanTaggingSupported",
            "nicTeamingSupported",
            "highGuestMemSupported",
            "maintenanceModeSupported",
            "suspendedRelocateSupported",
            "restrictedSnapshotRelocateSupported",
            "perVmSwapFiles",
            "localSwapDatastoreSupported",
            "unsharedSwapVMotionSupported",
            "preAssignedPCIUnitNumbersSupported",
            "screenshotSupported",
            "scaledScreenshotSupported",
            "storageVMotionSupported",
        ] {
            capability.set(flag, true);
        }
        capability
            .with("maxSupportedVMs", 1024)
            .with("maxRunningVMs", 0)
            .with("maxSupportedVcpus", 768)
            .with("maxRegisteredVMs", 4096)
    }
}

impl Inventory {
    pub(super) fn host_property(&self, host: &Host, name: &str) -> Option<Value> {
        Some(match name {
            "runtime" => host.runtime().into(),
            "summary" => self.host_summary(host).into(),
            "hardware" => host.hardware().into(),
            "capability" => host.capability().into(),
            "licensableResource" => {
                let resource = Object::new("KeyAnyValue")
                    .with("key", "numCpuPackages")
                    .with("value", Value::Short(host.packages));
                Object::new("HostLicensableResourceInfo")
                    .with("resource", objects("KeyAnyValue", [resource]))
                    .into()
            }
            "configManager" => {
                let mut manager = Object::new("HostConfigManager");
                for ((member, _), moref) in MANAGERS.iter().zip(&host.managers) {
                    manager.set(*member, moref);
                }
                manager.into()
            }
            "config" => self.host_config(host).into(),
            "vm" => references(self.machines_where(|machine| machine.place.host == host.moref)),
            "datastore" => references(&host.datastores),
            "network" => references(&host.networks),
            "datastoreBrowser" => (&host.browser).into(),
            _ => return None,
        })
    }

    /// The memory that running machines take up, in MiB.
    fn host_memory_used(&self, host: &Host) -> i32 {
        self.machines()
            .filter(|machine| {
                machine.place.host == host.moref && machine.power == PowerState::PoweredOn
            })
            .fold(1024, |sum: i32, machine| sum.saturating_add(machine.memory_mib / 2))
    }

    fn host_summary(&self, host: &Host) -> Object {
        Object::new("HostListSummary")
            .with("host", &host.moref)
            .with(
                "hardware",
                Object::new("HostHardwareSummary")
                    .with("vendor", VENDOR)
                    .with("model", MODEL)
                    .with("uuid", host.uuid.as_str())
                    .with("memorySize", host.memory_bytes)
                    .with("cpuModel", CPU_MODEL)
                    .with("cpuMhz", host.cpu_mhz())
                    .with("numCpuPkgs", host.packages)
                    .with("numCpuCores", host.cores)
                    .with("numCpuThreads", host.threads)
                    .with("numNics", host.networking.card_count())
                    .with("numHBAs", 1),
            )
            .with("runtime", host.runtime())
            .with(
                "config",
                Object::new("HostConfigSummary")
                    .with("name", host.name.as_str())
                    .with("port", 443)
                    .with("product", self.host_product())
                    .with("vmotionEnabled", false)
                    .with("faultToleranceEnabled", false),
            )
            .with(
                "quickStats",
                Object::new("HostListSummaryQuickStats")
                    .with("overallCpuUsage", 512)
                    .with("overallMemoryUsage", self.host_memory_used(host))
                    .with("uptime", 864_000),
            )
            .with("overallStatus", green())
            .with("rebootRequired", false)
            .with_opt("managementServerIp", host.manager_address.as_deref())
    }

    fn host_config(&self, host: &Host) -> Object {
        Object::new("HostConfigInfo")
            .with("host", &host.moref)
            .with("product", self.host_product())
            .with("network", self.network_info(host))
            .with("storageDevice", host.storage.device_info())
            .with("autoStart", host.autostart.config())
    }
}

/// CPUID leaves as hosts show them: registers in groups of four bits, the leaf as a signed number.
fn cpu_features() -> Value {
    let leaf = |level: u32, registers: [u32; 4]| {
        let [eax, ebx, ecx, edx] = registers.map(bits);
        Object::new("HostCpuIdInfo")
            .with("level", level.cast_signed())
            .with("vendor", "")
            .with("eax", eax)
            .with("ebx", ebx)
            .with("ecx", ecx)
            .with("edx", edx)
    };
    objects(
        "HostCpuIdInfo",
        [
            // The largest leaf, and "GenuineIntel".
            leaf(0, [0x1b, 0x756e_6547, 0x6c65_746e, 0x4965_6e69]),
            leaf(1, [0x0006_06a6, 0x0020_0800, 0x77fa_f3ff, 0xbfeb_fbff]),
            leaf(0x8000_0000, [0x8000_0008, 0, 0, 0]),
            // Bit 29 of EDX: long mode.
            leaf(0x8000_0001, [0, 0, 0x121, 0x2c10_0800]),
            leaf(0x8000_0008, [0x3039, 0, 0, 0]),
        ],
    )
}

/// `0010:1100:0001:...`, the highest bit first.
fn bits(register: u32) -> String {
    (0..8)
        .rev()
        .map(|group| format!("{:04b}", (register >> (4 * group)) & 15))
        .collect::<Vec<_>>()
        .join(":")
}
