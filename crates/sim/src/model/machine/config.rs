//! The property `config`: `VirtualMachineConfigInfo`.

use esx_escape::{DatastorePath, percent};
use esx_vi_api::{Object, Value};

use super::{Firmware, Machine};
use crate::model::inventory::Inventory;
use crate::model::time::Timestamp;
use crate::model::tree::{enumeration, objects, shares};

impl Machine {
    /// The whole configuration.
    pub(super) fn config(&self, inventory: &Inventory) -> Object {
        let secure_boot = self.firmware == Firmware::Efi { secure_boot: true };
        Object::new("VirtualMachineConfigInfo")
            .with("changeVersion", self.modified().date_time().as_str())
            .with("modified", self.modified().date_time())
            .with("name", percent::escape(&self.name).as_ref())
            .with("guestFullName", self.os.full)
            .with("version", format!("vmx-{:02}", self.hardware_version))
            .with("uuid", self.bios_uuid.to_string())
            .with("createDate", self.created().date_time())
            .with("instanceUuid", self.instance_uuid.to_string())
            .with("npivTemporaryDisabled", true)
            .with("locationId", super::vmx::uuid_text(self.bios_uuid))
            .with("template", self.template)
            .with("guestId", self.os.id)
            .with("alternateGuestName", "")
            .with("annotation", self.annotation.as_str())
            .with("files", self.files(inventory))
            .with("tools", tools())
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
            .with("memoryHotAddEnabled", false)
            .with("cpuHotAddEnabled", false)
            .with("cpuHotRemoveEnabled", false)
            .with("extraConfig", extra_config())
            .with("datastoreUrl", self.datastore_urls(inventory))
            .with("swapPlacement", "inherit")
            .with(
                "bootOptions",
                Object::new("VirtualMachineBootOptions")
                    .with("bootDelay", 0_i64)
                    .with("enterBIOSSetup", false)
                    .with("efiSecureBootEnabled", secure_boot)
                    .with("bootRetryEnabled", false)
                    .with("bootRetryDelay", 10_000_i64)
                    .with("networkBootProtocol", "ipv4"),
            )
            .with("changeTrackingEnabled", false)
            .with("firmware", if self.firmware == Firmware::Bios { "bios" } else { "efi" })
            .with("maxMksConnections", 40)
            .with("guestAutoLockEnabled", true)
            .with("memoryReservationLockedToMax", false)
            .with("nestedHVEnabled", false)
            .with("vPMCEnabled", false)
    }

    /// When the machine was made: an hour after its older neighbour.
    pub(super) fn created(&self) -> Timestamp {
        Timestamp::from_secs(1_704_067_200 + u64::from(self.id) * 3600)
    }

    fn modified(&self) -> Timestamp {
        Timestamp::from_secs(1_717_200_000 + u64::from(self.id) * 60)
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
        allocation(-1).with("shares", shares(1000_i32.saturating_mul(self.cpus), "normal"))
    }

    pub(super) fn memory_allocation(&self) -> Object {
        allocation(self.memory_limit_mib.unwrap_or(-1))
            .with("shares", shares(self.memory_mib.saturating_mul(10), "normal"))
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

fn allocation(limit: i64) -> Object {
    Object::new("ResourceAllocationInfo")
        .with("reservation", 0_i64)
        .with("expandableReservation", false)
        .with("limit", limit)
}

fn tools() -> Object {
    Object::new("ToolsConfigInfo")
        .with("toolsVersion", 12_352)
        .with("toolsInstallType", "guestToolsTypeOpenVMTools")
        .with("afterPowerOn", true)
        .with("afterResume", true)
        .with("beforeGuestStandby", true)
        .with("beforeGuestShutdown", true)
        .with("toolsUpgradePolicy", "manual")
        .with("syncTimeWithHostAllowed", true)
        .with("syncTimeWithHost", false)
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

fn extra_config() -> Value {
    let option =
        |key: &str, value: &str| Object::new("OptionValue").with("key", key).with("value", value);
    objects(
        "OptionValue",
        [
            option("svga.present", "TRUE"),
            option("pciBridge0.present", "TRUE"),
            option("hpet0.present", "TRUE"),
            option("tools.guest.desktop.autolock", "TRUE"),
        ],
    )
}
