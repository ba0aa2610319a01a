//! The properties of folders, datacenters, compute resources, pools and networks.

use esx_vi_api::{Object, Value};

use super::inventory::{Compute, Datacenter, Folder, Inventory, Network, Pool, SwitchEntity};
use super::machine::PowerState;
use super::tree::{enumeration, green, references, shares, skeleton, strings};

/// What the hosts of a compute resource add up to.
#[derive(Debug, Clone, Copy, Default)]
struct Capacity {
    mhz: i32,
    memory_bytes: i64,
    cores: i16,
    threads: i16,
    hosts: i32,
}

impl Inventory {
    pub(super) fn folder_property(&self, folder: &Folder, name: &str) -> Option<Value> {
        match name {
            "childType" => Some(strings(folder.child_types.iter().copied())),
            "childEntity" => Some(references(&folder.children)),
            _ => None,
        }
    }

    pub(super) fn datacenter_property(&self, datacenter: &Datacenter, name: &str) -> Option<Value> {
        Some(match name {
            "vmFolder" => (&datacenter.vm_folder).into(),
            "hostFolder" => (&datacenter.host_folder).into(),
            "datastoreFolder" => (&datacenter.datastore_folder).into(),
            "networkFolder" => (&datacenter.network_folder).into(),
            "datastore" => references(self.folder_children(&datacenter.datastore_folder)),
            "network" => {
                let children = self.folder_children(&datacenter.network_folder);
                references(children.iter().filter(|child| self.network(child).is_some()))
            }
            "configuration" => {
                Object::new("DatacenterConfigInfo").with("defaultHardwareVersionKey", "").into()
            }
            _ => return None,
        })
    }

    fn capacity(&self, compute: &Compute) -> Capacity {
        compute.hosts.iter().filter_map(|host| self.host(host)).fold(
            Capacity::default(),
            |sum, host| Capacity {
                mhz: sum.mhz + host.cpu_mhz() * i32::from(host.cores),
                memory_bytes: sum.memory_bytes + host.memory_bytes,
                cores: sum.cores + host.cores,
                threads: sum.threads + host.threads,
                hosts: sum.hosts + 1,
            },
        )
    }

    pub(super) fn compute_property(&self, compute: &Compute, name: &str) -> Option<Value> {
        let hosts = || compute.hosts.iter().filter_map(|host| self.host(host));
        Some(match name {
            "resourcePool" => (&compute.pool).into(),
            "host" => references(&compute.hosts),
            "datastore" => {
                let mut seen = Vec::new();
                for datastore in hosts().flat_map(|host| &host.datastores) {
                    if !seen.contains(&datastore) {
                        seen.push(datastore);
                    }
                }
                references(seen)
            }
            "network" => {
                let mut seen = Vec::new();
                for network in hosts().flat_map(|host| &host.networks) {
                    if !seen.contains(&network) {
                        seen.push(network);
                    }
                }
                references(seen)
            }
            "summary" => self.compute_summary(compute).into(),
            "summaryEx" if compute.moref.kind == "ClusterComputeResource" => {
                self.compute_summary(compute).into()
            }
            "environmentBrowser" => {
                esx_vi_api::MoRef::new("EnvironmentBrowser", self.environment_browser()).into()
            }
            "configurationEx" if compute.moref.kind == "ClusterComputeResource" => {
                Object::new("ClusterConfigInfoEx")
                    .with("vmSwapPlacement", "vmDirectory")
                    .with("dasConfig", das())
                    .with("drsConfig", drs())
                    .into()
            }
            "configurationEx" => {
                skeleton("ComputeResourceConfigInfo").with("vmSwapPlacement", "vmDirectory").into()
            }
            "configuration" => Object::new("ClusterConfigInfo")
                .with("dasConfig", das())
                .with("drsConfig", drs())
                .into(),
            _ => return None,
        })
    }

    fn compute_summary(&self, compute: &Compute) -> Object {
        let capacity = self.capacity(compute);
        let cluster = compute.moref.kind == "ClusterComputeResource";
        let class =
            if cluster { "ClusterComputeResourceSummary" } else { "ComputeResourceSummary" };
        skeleton(class)
            .with("totalCpu", capacity.mhz)
            .with("totalMemory", capacity.memory_bytes)
            .with("numCpuCores", capacity.cores)
            .with("numCpuThreads", capacity.threads)
            .with("effectiveCpu", capacity.mhz)
            .with("effectiveMemory", capacity.memory_bytes >> 20)
            .with("numHosts", capacity.hosts)
            .with("numEffectiveHosts", capacity.hosts)
            .with("overallStatus", green())
    }

    pub(super) fn pool_property(&self, pool: &Pool, name: &str) -> Option<Value> {
        Some(match name {
            "owner" => (&pool.owner).into(),
            "resourcePool" => references([]),
            "vm" => references(self.machines_where(|machine| machine.place.pool == pool.moref)),
            "config" => self.pool_config(pool).into(),
            "runtime" => self.pool_runtime(pool).into(),
            "summary" => Object::new("ResourcePoolSummary")
                .with("name", pool.name.as_str())
                .with("config", self.pool_config(pool))
                .with("runtime", self.pool_runtime(pool))
                .into(),
            _ => return None,
        })
    }

    fn pool_capacity(&self, pool: &Pool) -> Capacity {
        match self.get(&pool.owner) {
            Some(super::inventory::Item::Compute(compute)) => self.capacity(compute),
            _ => Capacity::default(),
        }
    }

    fn pool_config(&self, pool: &Pool) -> Object {
        let capacity = self.pool_capacity(pool);
        let allocation = |amount: i64| {
            Object::new("ResourceAllocationInfo")
                .with("reservation", amount)
                .with("expandableReservation", true)
                .with("limit", amount)
                .with("shares", shares(4000, "normal"))
        };
        Object::new("ResourceConfigSpec")
            .with("entity", &pool.moref)
            .with("cpuAllocation", allocation(i64::from(capacity.mhz)))
            .with("memoryAllocation", allocation(capacity.memory_bytes >> 20))
    }

    fn pool_runtime(&self, pool: &Pool) -> Object {
        let capacity = self.pool_capacity(pool);
        let used: i64 = self
            .machines()
            .filter(|machine| {
                machine.place.pool == pool.moref && machine.power == PowerState::PoweredOn
            })
            .map(|machine| i64::from(machine.memory_mib) << 20)
            .sum();
        let usage = |used: i64, all: i64| {
            Object::new("ResourcePoolResourceUsage")
                .with("reservationUsed", 0_i64)
                .with("reservationUsedForVm", 0_i64)
                .with("unreservedForPool", all)
                .with("unreservedForVm", all)
                .with("overallUsage", used)
                .with("maxUsage", all)
        };
        Object::new("ResourcePoolRuntimeInfo")
            .with("memory", usage(used, capacity.memory_bytes))
            .with("cpu", usage(0, i64::from(capacity.mhz)))
            .with("overallStatus", green())
    }

    pub(super) fn network_property(&self, network: &Network, name: &str) -> Option<Value> {
        Some(match name {
            "summary" => Object::new("NetworkSummary")
                .with("network", &network.moref)
                .with("name", network.name.as_str())
                .with("accessible", true)
                .with("ipPoolName", "")
                .into(),
            "host" => references(self.hosts_with(|host| host.networks.contains(&network.moref))),
            "vm" => references(
                self.machines_where(|machine| machine.networks().contains(&&network.moref)),
            ),
            "key" => network.moref.value.as_str().into(),
            "portKeys" => strings(["100", "101", "102", "103"]),
            "config" => {
                let switch = network.switch.as_ref()?;
                skeleton("DVPortgroupConfigInfo")
                    .with("key", network.moref.value.as_str())
                    .with("name", network.name.as_str())
                    .with("numPorts", 8)
                    .with("distributedVirtualSwitch", &switch.moref)
                    .with("type", "earlyBinding")
                    .with("defaultPortConfig", port_config())
                    .into()
            }
            _ => return None,
        })
    }

    pub(super) fn switch_property(&self, entity: &SwitchEntity, name: &str) -> Option<Value> {
        let switch = &entity.switch;
        let uuid = super::machine::uuid_text(switch.uuid);
        Some(match name {
            "uuid" => uuid.into(),
            "capability" => Object::new("DVSCapability").with("dvsOperationSupported", true).into(),
            "summary" => Object::new("DVSSummary")
                .with("name", switch.name.as_str())
                .with("uuid", uuid)
                .with("numPorts", 8)
                .into(),
            "config" => skeleton("VMwareDVSConfigInfo")
                .with("uuid", uuid)
                .with("name", switch.name.as_str())
                .with("numPorts", 8)
                .with("maxPorts", i32::MAX)
                .into(),
            "portgroup" => references(&entity.portgroups),
            _ => return None,
        })
    }

    /// The hosts that `found` accepts, by their reference.
    pub(super) fn hosts_with(
        &self,
        found: impl Fn(&super::host::Host) -> bool,
    ) -> Vec<&esx_vi_api::MoRef> {
        let mut hosts: Vec<_> =
            self.morefs().filter(|moref| self.host(moref).is_some_and(&found)).collect();
        hosts.sort_by_key(|moref| (moref.value.len(), &moref.value));
        hosts
    }
}

/// What the ports of the built-in distributed port group have: VLAN 200, limits both ways.
fn port_config() -> Object {
    let of = |class: &'static str, value: Value| {
        Object::new(class).with("inherited", false).with("value", value)
    };
    let shaping = |average: i64| {
        Object::new("DVSTrafficShapingPolicy")
            .with("inherited", false)
            .with("enabled", of("BoolPolicy", true.into()))
            .with("averageBandwidth", of("LongPolicy", average.into()))
            .with("peakBandwidth", of("LongPolicy", (2 * average).into()))
            .with("burstSize", of("LongPolicy", 104_857_600_i64.into()))
    };
    Object::new("VMwareDVSPortSetting")
        .with("inShapingPolicy", shaping(100_000_000))
        .with("outShapingPolicy", shaping(80_000_000))
        .with(
            "vlan",
            Object::new("VmwareDistributedVirtualSwitchVlanIdSpec")
                .with("inherited", false)
                .with("vlanId", 200),
        )
}

fn das() -> Object {
    Object::new("ClusterDasConfigInfo").with("enabled", false).with("hostMonitoring", "enabled")
}

fn drs() -> Object {
    Object::new("ClusterDrsConfigInfo")
        .with("enabled", true)
        .with("defaultVmBehavior", enumeration("DrsBehavior", "manual"))
        .with("vmotionRate", 3)
}
