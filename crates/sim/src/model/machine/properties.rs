//! The properties of `VirtualMachine` and of its snapshots.

use esx_escape::percent;
use esx_vi_api::{Array, MoRef, Object, Value};

use super::{Firmware, Machine, PowerState, Snapshot, mac_text};
use crate::model::inventory::Inventory;
use crate::model::question::asked;
use crate::model::time::Timestamp;
use crate::model::tree::{enumeration, green, objects, references, skeleton, strings};

impl Machine {
    /// Properties that lists ask for, without building the objects around them. `None` if the path is not one of them;
    /// the inner `None` if it is, and is unset.
    pub(crate) fn leaf(&self, inventory: &Inventory, path: &str) -> Option<Option<Value>> {
        let of_config = |value: Value| Some(self.accessible.then_some(value));
        let name = || Value::from(percent::escape(&self.name).as_ref());
        match path {
            "runtime.powerState" | "summary.runtime.powerState" => Some(Some(self.power_state())),
            "runtime.host" | "summary.runtime.host" => Some(Some((&self.place.host).into())),
            "runtime.connectionState" => Some(Some(self.connection_state())),
            "runtime.question" => Some(asked(&self.questions)),
            "config.name" => of_config(name()),
            "summary.config.name" => Some(Some(name())),
            "config.uuid" | "summary.config.uuid" => of_config(self.bios_uuid.to_string().into()),
            "config.instanceUuid" | "summary.config.instanceUuid" => {
                of_config(self.instance_uuid.to_string().into())
            }
            "config.annotation" | "summary.config.annotation" => {
                of_config(self.annotation.as_str().into())
            }
            "config.template" => of_config(self.template.into()),
            "summary.config.template" => Some(Some(self.template.into())),
            "config.guestFullName" | "summary.config.guestFullName" => {
                of_config(self.os.full.as_ref().into())
            }
            "config.hardware.memoryMB" | "summary.config.memorySizeMB" => {
                of_config(self.memory_mib.into())
            }
            "config.hardware.numCPU" | "summary.config.numCpu" => of_config(self.cpus.into()),
            "config.files.vmPathName" => of_config(self.vmx_datastore_path(inventory).into()),
            "summary.config.vmPathName" => Some(Some(self.vmx_datastore_path(inventory).into())),
            "config.memoryAllocation.limit" => of_config(self.memory.limit.unwrap_or(-1).into()),
            "snapshot.rootSnapshotList" if self.snapshots.is_empty() => Some(None),
            "guest.hostName" => Some(self.guest_host_name().map(Value::from)),
            "guest.ipAddress" => Some(self.guest_ip().map(Value::from)),
            _ => None,
        }
    }

    /// A property of the class; `None` if it is unset.
    pub(crate) fn property(&self, inventory: &Inventory, name: &str) -> Option<Value> {
        Some(match name {
            "parent" => (&self.place.folder).into(),
            "name" => percent::escape(&self.name).as_ref().into(),
            "overallStatus" | "configStatus" => self.status(),
            "capability" => self.capability().into(),
            "config" => return self.accessible.then(|| self.config(inventory).into()),
            "layout" => return self.accessible.then(|| self.layout(inventory).into()),
            "layoutEx" => return self.accessible.then(|| self.layout_ex(inventory).into()),
            "storage" => self.storage().into(),
            "environmentBrowser" => {
                MoRef::new("EnvironmentBrowser", inventory.environment_browser()).into()
            }
            "resourcePool" => return (!self.template).then(|| (&self.place.pool).into()),
            "resourceConfig" => Object::new("ResourceConfigSpec")
                .with("entity", &self.moref)
                .with("cpuAllocation", self.cpu_allocation())
                .with("memoryAllocation", self.memory_allocation())
                .into(),
            "runtime" => self.runtime().into(),
            "guest" => return self.accessible.then(|| self.guest(inventory).into()),
            "summary" => self.summary(inventory).into(),
            "datastore" => references(self.datastores()),
            "network" => references(self.networks()),
            "snapshot" => return self.snapshot_info().map(Value::from),
            "rootSnapshot" => references(self.snapshots.iter().map(|snapshot| &snapshot.moref)),
            "guestHeartbeatStatus" => self.heartbeat(),
            _ => return None,
        })
    }

    /// A property of one of the machine's snapshots.
    pub(crate) fn snapshot_property(
        &self,
        inventory: &Inventory,
        snapshot: &Snapshot,
        name: &str,
    ) -> Option<Value> {
        match name {
            "config" => Some(snapshot.saved.config(inventory).into()),
            "childSnapshot" => Some(references(snapshot.children.iter().map(|child| &child.moref))),
            "vm" => Some((&self.moref).into()),
            _ => None,
        }
    }

    fn power_state(&self) -> Value {
        enumeration("VirtualMachinePowerState", self.power.as_str())
    }

    fn connection_state(&self) -> Value {
        let state = if self.accessible { "connected" } else { "inaccessible" };
        enumeration("VirtualMachineConnectionState", state)
    }

    fn is_running(&self) -> bool {
        self.power == PowerState::PoweredOn
    }

    fn status(&self) -> Value {
        if self.accessible { green() } else { enumeration("ManagedEntityStatus", "gray") }
    }

    fn heartbeat(&self) -> Value {
        if self.is_running() { green() } else { enumeration("ManagedEntityStatus", "gray") }
    }

    fn boot_time(&self) -> Timestamp {
        self.booted.unwrap_or_else(|| Timestamp::from_secs(1_719_792_000 + u64::from(self.id)))
    }

    fn runtime(&self) -> Object {
        let mut runtime = Object::new("VirtualMachineRuntimeInfo")
            .with("host", &self.place.host)
            .with("connectionState", self.connection_state())
            .with("powerState", self.power_state())
            .with(
                "faultToleranceState",
                enumeration("VirtualMachineFaultToleranceState", "notConfigured"),
            )
            .with("toolsInstallerMounted", false);
        if self.power == PowerState::Suspended {
            runtime.set("suspendTime", self.boot_time().date_time());
        }
        if self.is_running() {
            runtime.set("bootTime", self.boot_time().date_time());
        }
        runtime
            .with("suspendInterval", 0_i64)
            .with_opt("question", asked(&self.questions))
            .with("maxCpuUsage", 2400_i32.saturating_mul(self.cpus))
            .with("maxMemoryUsage", self.memory_mib)
            .with("numMksConnections", 0)
            .with("recordReplayState", enumeration("VirtualMachineRecordReplayState", "inactive"))
            .with("onlineStandby", false)
            .with("consolidationNeeded", false)
            .with("paused", false)
            .with("snapshotInBackground", false)
    }

    fn summary(&self, inventory: &Inventory) -> Object {
        let mut summary = Object::new("VirtualMachineSummary")
            .with("vm", &self.moref)
            .with("runtime", self.runtime());
        if self.accessible {
            summary.set("guest", self.guest_summary());
        }
        summary
            .with("config", self.config_summary(inventory))
            .with(
                "storage",
                Object::new("VirtualMachineStorageSummary")
                    .with("committed", self.committed())
                    .with("uncommitted", self.uncommitted())
                    .with("unshared", self.committed())
                    .with("timestamp", self.boot_time().date_time()),
            )
            .with("quickStats", self.quick_stats())
            .with("overallStatus", self.status())
    }

    fn config_summary(&self, inventory: &Inventory) -> Object {
        let summary = Object::new("VirtualMachineConfigSummary")
            .with("name", percent::escape(&self.name).as_ref())
            .with("template", self.template)
            .with("vmPathName", self.vmx_datastore_path(inventory));
        if !self.accessible {
            return summary;
        }
        summary
            .with("memorySizeMB", self.memory_mib)
            .with("cpuReservation", i32::try_from(self.cpu.reservation).unwrap_or(i32::MAX))
            .with("memoryReservation", i32::try_from(self.memory.reservation).unwrap_or(i32::MAX))
            .with("numCpu", self.cpus)
            .with("numEthernetCards", self.nics.len() as i32)
            .with("numVirtualDisks", self.disks.len() as i32)
            .with("uuid", self.bios_uuid.to_string())
            .with("instanceUuid", self.instance_uuid.to_string())
            .with("guestId", self.os.id.as_ref())
            .with("guestFullName", self.os.full.as_ref())
            .with("annotation", self.annotation.as_str())
            .with("installBootRequired", false)
            .with("tpmPresent", self.vtpm)
            .with("numVmiopBackings", 0)
            .with("hwVersion", format!("vmx-{:02}", self.hardware_version))
    }

    fn quick_stats(&self) -> Object {
        let stats =
            Object::new("VirtualMachineQuickStats").with("guestHeartbeatStatus", self.heartbeat());
        let stats = if self.is_running() {
            stats
                .with("overallCpuUsage", 120)
                .with("overallCpuDemand", 130)
                .with("guestMemoryUsage", self.memory_mib / 8)
                .with("hostMemoryUsage", self.memory_mib / 2)
                .with("privateMemory", self.memory_mib / 2)
                .with("uptimeSeconds", 86_400)
        } else {
            stats.with("guestMemoryUsage", 0).with("hostMemoryUsage", 0).with("privateMemory", 0)
        };
        stats
            .with("sharedMemory", 0)
            .with("swappedMemory", 0)
            .with("balloonedMemory", 0)
            .with("consumedOverheadMemory", 0)
            .with("compressedMemory", 0_i64)
    }

    fn tools_running(&self) -> (&'static str, &'static str) {
        if self.is_running() && self.tools {
            ("toolsOk", "guestToolsRunning")
        } else {
            ("toolsNotRunning", "guestToolsNotRunning")
        }
    }

    fn guest_summary(&self) -> Object {
        let (status, running) = self.tools_running();
        Object::new("VirtualMachineGuestSummary")
            .with_opt("guestId", self.is_running().then_some(self.os.id.as_ref()))
            .with_opt("guestFullName", self.is_running().then_some(self.os.full.as_ref()))
            .with("toolsStatus", enumeration("VirtualMachineToolsStatus", status))
            .with("toolsVersionStatus", "guestToolsUnmanaged")
            .with("toolsVersionStatus2", "guestToolsUnmanaged")
            .with("toolsRunningStatus", running)
            .with_opt("hostName", self.guest_host_name())
            .with_opt("ipAddress", self.guest_ip())
            .with("hwVersion", format!("vmx-{:02}", self.hardware_version))
    }

    fn guest(&self, inventory: &Inventory) -> Object {
        let (status, running) = self.tools_running();
        let family = if self.os.id.starts_with("win") { "windowsGuest" } else { "linuxGuest" };
        Object::new("GuestInfo")
            .with("toolsStatus", enumeration("VirtualMachineToolsStatus", status))
            .with("toolsVersionStatus", "guestToolsUnmanaged")
            .with("toolsVersionStatus2", "guestToolsUnmanaged")
            .with("toolsRunningStatus", running)
            .with("toolsVersion", "12352")
            .with_opt("guestId", self.is_running().then_some(self.os.id.as_ref()))
            .with_opt("guestFamily", self.is_running().then_some(family))
            .with_opt("guestFullName", self.is_running().then_some(self.os.full.as_ref()))
            .with_opt("hostName", self.guest_host_name())
            .with_opt("ipAddress", self.guest_ip())
            .with_opt(
                "net",
                (self.is_running() && self.tools)
                    .then(|| objects("GuestNicInfo", self.guest_nics(inventory))),
            )
            .with(
                "guestState",
                if self.is_running() && self.tools { "running" } else { "notRunning" },
            )
            .with("guestOperationsReady", self.is_running())
            .with("interactiveGuestOperationsReady", false)
            .with("guestStateChangeSupported", self.is_running())
    }

    fn guest_nics(&self, inventory: &Inventory) -> Vec<Object> {
        let address = self.guest_ip();
        let nic = |(index, nic): (usize, &super::Nic)| {
            // The guest tells one address, of its first card.
            let address = address.as_deref().filter(|_| index == 0);
            let mut info = Object::new("GuestNicInfo").with_opt(
                "network",
                inventory.network(&nic.network).map(|network| network.name.as_str()),
            );
            if let Some(address) = address {
                info.set("ipAddress", strings([address]));
            }
            info.set("macAddress", mac_text(nic.mac));
            info.set("connected", nic.connected);
            info.set("deviceConfigId", nic.key());
            if let Some(address) = address {
                let entry = Object::new("NetIpConfigInfoIpAddress")
                    .with("ipAddress", address)
                    .with("prefixLength", 16)
                    .with("state", "preferred");
                let config = Object::new("NetIpConfigInfo")
                    .with("ipAddress", objects("NetIpConfigInfoIpAddress", [entry]));
                info.set("ipConfig", config);
            }
            info
        };
        self.nics.iter().enumerate().map(nic).collect()
    }

    fn snapshot_info(&self) -> Option<Object> {
        if self.snapshots.is_empty() {
            return None;
        }
        let current = self.current_snapshot.and_then(|id| {
            self.snapshots.iter().find_map(|root| root.find(&|snapshot| snapshot.id == id))
        });
        let roots = self.snapshots.iter().map(|root| self.snapshot_tree(root));
        Some(
            Object::new("VirtualMachineSnapshotInfo")
                .with_opt("currentSnapshot", current.map(|snapshot| &snapshot.moref))
                .with("rootSnapshotList", objects("VirtualMachineSnapshotTree", roots)),
        )
    }

    fn snapshot_tree(&self, snapshot: &Snapshot) -> Object {
        let tree = Object::new("VirtualMachineSnapshotTree")
            .with("snapshot", &snapshot.moref)
            .with("vm", &self.moref)
            .with("name", percent::escape(&snapshot.name).as_ref())
            .with("description", snapshot.description.as_str())
            .with("id", snapshot.id as i32)
            .with("createTime", snapshot.created.date_time())
            .with("state", enumeration("VirtualMachinePowerState", snapshot.power.as_str()))
            .with("quiesced", snapshot.quiesced);
        if snapshot.children.is_empty() {
            return tree.with("replaySupported", false);
        }
        let children = snapshot.children.iter().map(|child| self.snapshot_tree(child));
        tree.with("childSnapshotList", objects("VirtualMachineSnapshotTree", children))
            .with("replaySupported", false)
    }

    fn committed(&self) -> i64 {
        self.disks
            .iter()
            .map(|disk| disk.capacity_kib.saturating_mul(if disk.thin { 256 } else { 1024 }))
            .sum()
    }

    fn uncommitted(&self) -> i64 {
        self.disks
            .iter()
            .filter(|disk| disk.thin)
            .map(|disk| disk.capacity_kib.saturating_mul(768))
            .sum()
    }

    fn storage(&self) -> Object {
        let usage = Object::new("VirtualMachineUsageOnDatastore")
            .with("datastore", &self.place.datastore)
            .with("committed", self.committed())
            .with("uncommitted", self.uncommitted())
            .with("unshared", self.committed());
        Object::new("VirtualMachineStorageInfo")
            .with("perDatastoreUsage", objects("VirtualMachineUsageOnDatastore", [usage]))
            .with("timestamp", self.boot_time().date_time())
    }

    fn layout(&self, inventory: &Inventory) -> Object {
        let disks = self.disks.iter().enumerate().map(|(index, disk)| {
            Object::new("VirtualMachineFileLayoutDiskLayout").with("key", 2000 + index as i32).with(
                "diskFile",
                strings(disk.chain().map(|file| self.datastore_path(inventory, file))),
            )
        });
        Object::new("VirtualMachineFileLayout")
            .with(
                "configFile",
                strings([format!("{}.vmxf", self.stem()), format!("{}.nvram", self.stem())]),
            )
            .with("logFile", strings(["vmware.log"]))
            .with("disk", objects("VirtualMachineFileLayoutDiskLayout", disks))
    }

    fn layout_ex(&self, inventory: &Inventory) -> Object {
        let file = |key: i32, name: String, kind: &str, size: i64| {
            Object::new("VirtualMachineFileLayoutExFileInfo")
                .with("key", key)
                .with("name", name)
                .with("type", kind)
                .with("size", size)
                .with("uniqueSize", size)
                .with("accessible", true)
        };
        let vmx = self.vmx(inventory);
        let mut files =
            vec![file(0, self.vmx_datastore_path(inventory), "config", vmx.len() as i64)];
        let mut layouts = Vec::new();
        for disk in &self.disks {
            let mut chain = Vec::new();
            for part in disk.chain() {
                // Of a thin disk, and of what a snapshot left behind, a quarter has been written to.
                let full = disk.capacity_kib.saturating_mul(1024);
                let size = if disk.thin || *part != disk.file { full / 4 } else { full };
                let name = self.datastore_path(inventory, part);
                let extent = name.strip_suffix(".vmdk").unwrap_or(&name).to_owned() + "-flat.vmdk";
                let key = i32::try_from(files.len()).unwrap_or(i32::MAX);
                files.push(file(key, name, "diskDescriptor", 512));
                files.push(file(key + 1, extent, "diskExtent", size));
                let keys = Array::new("xsd:int", vec![Value::Int(key), Value::Int(key + 1)]);
                chain.push(Object::new("VirtualMachineFileLayoutExDiskUnit").with("fileKey", keys));
            }
            layouts.push(
                Object::new("VirtualMachineFileLayoutExDiskLayout")
                    .with("key", disk.address.device_key())
                    .with("chain", objects("VirtualMachineFileLayoutExDiskUnit", chain)),
            );
        }
        Object::new("VirtualMachineFileLayoutEx")
            .with("file", objects("VirtualMachineFileLayoutExFileInfo", files))
            .with("disk", objects("VirtualMachineFileLayoutExDiskLayout", layouts))
            .with("timestamp", self.boot_time().date_time())
    }

    fn capability(&self) -> Object {
        let mut capability = skeleton("VirtualMachineCapability");
        for flag in [
            "snapshotOperationsSupported",
            "multipleSnapshotsSupported",
            "snapshotConfigSupported",
            "poweredOffSnapshotsSupported",
            "memorySnapshotsSupported",
            "revertToSnapshotSupported",
            "quiescedSnapshotsSupported",
            "cpuFeatureMaskSupported",
            "vmNpivWwnSupported",
            "swapPlacementSupported",
            "toolsSyncTimeSupported",
            "virtualMmuUsageSupported",
            "diskSharesSupported",
            "bootOptionsSupported",
            "bootRetryOptionsSupported",
            "settingVideoRamSizeSupported",
            "changeTrackingSupported",
            "multipleCoresPerSocketSupported",
            "hostBasedReplicationSupported",
            "guestAutoLockSupported",
            "nestedHVSupported",
        ] {
            capability.set(flag, true);
        }
        capability.with("secureBootSupported", self.firmware != Firmware::Bios)
    }
}

/// The properties that all managed entities have alike.
pub(crate) fn entity_default(name: &str) -> Option<Value> {
    Some(match name {
        "overallStatus" | "configStatus" => green(),
        "effectiveRole" => Array::new("xsd:int", vec![Value::Int(-1)]).into(),
        "disabledMethod" => strings::<[&str; 0]>([]),
        "recentTask" => references([]),
        "declaredAlarmState" | "triggeredAlarmState" => objects("AlarmState", []),
        "permission" => objects("Permission", []),
        "customValue" | "value" => objects("CustomFieldValue", []),
        "availableField" => objects("CustomFieldDef", []),
        "configIssue" => objects("Event", []),
        "alarmActionsEnabled" => true.into(),
        "tag" => objects("Tag", []),
        _ => return None,
    })
}
