//! The property `config`: `VirtualMachineConfigInfo`.

use esx_escape::{DatastorePath, percent};
use esx_vi_api::{Object, Value};

use super::{Allocation, Firmware, Machine, Shares};
use crate::model::inventory::Inventory;
use crate::model::time::Timestamp;
use crate::model::tree::{enumeration, objects, shares};

impl Machine {
    /// The whole configuration.
    pub(super) fn config(&self, inventory: &Inventory) -> Object {
        let secure_boot = self.firmware == Firmware::Efi { secure_boot: true };
        Object::new("VirtualMachineConfigInfo")
            .with("changeVersion", self.change_version())
            .with("modified", self.modified().date_time())
            .with("name", percent::escape(&self.name).as_ref())
            .with("guestFullName", self.os.full.as_ref())
            .with("version", format!("vmx-{:02}", self.hardware_version))
            .with("uuid", self.bios_uuid.to_string())
            .with("createDate", self.created().date_time())
            .with("instanceUuid", self.instance_uuid.to_string())
            .with("npivTemporaryDisabled", true)
            .with("locationId", super::vmx::uuid_text(self.location.unwrap_or(self.bios_uuid)))
            .with("template", self.template)
            .with("guestId", self.os.id.as_ref())
            .with("alternateGuestName", "")
            .with("annotation", self.annotation.as_str())
            .with("files", self.files(inventory))
            .with("tools", tools(self.sync_time))
            .with("flags", flags())
            .with("defaultPowerOps", power_operations())
            .with("rebootPowerOff", false)
            .with("hardware", self.hardware(inventory))
            .with("cpuAllocation", self.cpu_allocation())
            .with("memoryAllocation", self.memory_allocation())
            .with(
                "latencySensitivity",
                Object::new("LatencySensitivity")
                    .with("level", enumeration("LatencySensitivitySensitivityLevel", "normal")),
            )
            .with("memoryHotAddEnabled", self.memory_hot_add)
            .with("cpuHotAddEnabled", self.cpu_hot_add)
            .with("cpuHotRemoveEnabled", self.cpu_hot_remove)
            .with("extraConfig", self.extra_config())
            .with("datastoreUrl", self.datastore_urls(inventory))
            .with("swapPlacement", "inherit")
            .with(
                "bootOptions",
                Object::new("VirtualMachineBootOptions")
                    .with("bootDelay", self.boot.delay_ms)
                    .with("enterBIOSSetup", self.boot.enter_setup)
                    .with("efiSecureBootEnabled", secure_boot)
                    .with("bootRetryEnabled", self.boot.retry)
                    .with("bootRetryDelay", self.boot.retry_delay_ms)
                    .with("networkBootProtocol", "ipv4"),
            )
            .with("changeTrackingEnabled", false)
            .with("firmware", if self.firmware == Firmware::Bios { "bios" } else { "efi" })
            .with("maxMksConnections", 40)
            .with("guestAutoLockEnabled", true)
            .with("memoryReservationLockedToMax", false)
            .with("nestedHVEnabled", self.nested_hv)
            .with("vPMCEnabled", false)
    }

    /// When the machine was made: an hour after its older neighbour.
    pub(super) fn created(&self) -> Timestamp {
        Timestamp::from_secs(1_704_067_200 + u64::from(self.id) * 3600)
    }

    fn modified(&self) -> Timestamp {
        Timestamp::from_secs(1_717_200_000 + u64::from(self.id) * 60 + u64::from(self.revision))
    }

    fn files(&self, inventory: &Inventory) -> Object {
        let vmx = self.vmx_datastore_path(inventory);
        let directory = vmx
            .parse::<DatastorePath>()
            .ok()
            .and_then(|path| {
                DatastorePath::new(path.datastore(), &format!("{}/", path.directory())).ok()
            })
            .map_or_else(String::new, |path| path.to_string());
        Object::new("VirtualMachineFileInfo")
            .with("vmPathName", vmx)
            .with("snapshotDirectory", directory.as_str())
            .with("suspendDirectory", directory.as_str())
            .with("logDirectory", directory)
    }

    fn hardware(&self, inventory: &Inventory) -> Object {
        Object::new("VirtualHardware")
            .with("numCPU", self.cpus)
            .with("numCoresPerSocket", self.cores_per_socket)
            .with("autoCoresPerSocket", false)
            .with("memoryMB", self.memory_mib)
            .with("virtualICH7MPresent", false)
            .with("virtualSMCPresent", false)
            .with("device", objects("VirtualDevice", self.devices(inventory)))
            .with("motherboardLayout", "i440bxHostBridge")
            .with("simultaneousThreads", 1)
    }

    pub(super) fn cpu_allocation(&self) -> Object {
        allocation(&self.cpu, 1000_i32.saturating_mul(self.cpus))
    }

    pub(super) fn memory_allocation(&self) -> Object {
        allocation(&self.memory, self.memory_mib.saturating_mul(10))
    }

    /// What tells one state of the configuration from the next.
    pub(crate) fn change_version(&self) -> String {
        self.modified().date_time().as_str().to_owned()
    }

    fn extra_config(&self) -> Value {
        let option = |key: &str, value: &str| {
            Object::new("OptionValue").with("key", key).with("value", value)
        };
        let built_in = [
            option("svga.present", "TRUE"),
            option("pciBridge0.present", "TRUE"),
            option("hpet0.present", "TRUE"),
            option("tools.guest.desktop.autolock", "TRUE"),
        ];
        let extra = self.extra.iter().map(|(key, value)| option(key, value));
        objects("OptionValue", built_in.into_iter().chain(extra))
    }

    fn datastore_urls(&self, inventory: &Inventory) -> Value {
        let pairs =
            self.datastores().into_iter().filter_map(|moref| inventory.datastore(moref)).map(
                |datastore| {
                    Object::new("VirtualMachineConfigInfoDatastoreUrlPair")
                        .with("name", datastore.name.as_str())
                        .with("url", datastore.mount_path())
                },
            );
        objects("VirtualMachineConfigInfoDatastoreUrlPair", pairs)
    }
}

/// `ResourceAllocationInfo`; `normal` is how many shares the level of this name means here.
fn allocation(allocation: &Allocation, normal: i32) -> Object {
    let shares = match allocation.shares {
        Shares::Low => shares(normal / 2, "low"),
        Shares::Normal => shares(normal, "normal"),
        Shares::High => shares(normal.saturating_mul(2), "high"),
        Shares::Custom(number) => shares(number, "custom"),
    };
    Object::new("ResourceAllocationInfo")
        .with("reservation", allocation.reservation)
        .with("expandableReservation", false)
        .with("limit", allocation.limit.unwrap_or(-1))
        .with("shares", shares)
}

fn tools(sync_time: bool) -> Object {
    Object::new("ToolsConfigInfo")
        .with("toolsVersion", 12_352)
        .with("toolsInstallType", "guestToolsTypeOpenVMTools")
        .with("afterPowerOn", true)
        .with("afterResume", true)
        .with("beforeGuestStandby", true)
        .with("beforeGuestShutdown", true)
        .with("toolsUpgradePolicy", "manual")
        .with("syncTimeWithHostAllowed", true)
        .with("syncTimeWithHost", sync_time)
}

fn flags() -> Object {
    Object::new("VirtualMachineFlagInfo")
        .with("disableAcceleration", false)
        .with("enableLogging", true)
        .with("useToe", false)
        .with("runWithDebugInfo", false)
        .with("monitorType", "release")
        .with("htSharing", "any")
        .with("snapshotDisabled", false)
        .with("snapshotLocked", false)
        .with("diskUuidEnabled", false)
        .with("virtualMmuUsage", "automatic")
        .with("virtualExecUsage", "hvAuto")
        .with("snapshotPowerOffBehavior", "powerOff")
        .with("recordReplayEnabled", false)
        .with("vvtdEnabled", false)
        .with("vbsEnabled", false)
}

fn power_operations() -> Object {
    Object::new("VirtualMachineDefaultPowerOpInfo")
        .with("powerOffType", "soft")
        .with("suspendType", "hard")
        .with("resetType", "soft")
        .with("defaultPowerOffType", "soft")
        .with("defaultSuspendType", "hard")
        .with("defaultResetType", "soft")
        .with("standbyAction", "checkpoint")
}
