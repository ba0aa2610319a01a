//! Adding, editing and removing virtual devices.

use std::collections::HashMap;

use esx_escape::DatastorePath;
use esx_vi_api::schema::is_subtype;
use esx_vi_api::{EnumValue, MoRef, Object, Value};

use super::reconfigure::FileChange;
use super::{
    Address, Bus, Cdrom, Controller, ControllerModel, Disk, FileRef, MacKind, Machine, Medium, Nic,
    NicModel,
};
use crate::model::datastore::{DiskText, Entry, descriptor_capacity_kib};
use crate::model::fault::Fault;
use crate::model::inventory::Inventory;

const MODES: [&str; 6] = [
    "persistent",
    "nonpersistent",
    "undoable",
    "independent_persistent",
    "independent_nonpersistent",
    "append",
];

/// The disk mode of this name.
pub(super) fn disk_mode(name: &str) -> Option<&'static str> {
    MODES.into_iter().find(|mode| *mode == name)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Add,
    Edit,
    Remove,
}

/// One `VirtualDeviceConfigSpec`.
pub(super) struct Change<'a> {
    index: i32,
    pub(super) operation: Operation,
    file: Option<&'a str>,
    pub(super) device: &'a Object,
}

impl<'a> Change<'a> {
    fn parse(index: usize, spec: &'a Value) -> Result<Self, Fault> {
        let index = i32::try_from(index).unwrap_or(i32::MAX);
        let bad = |property| invalid_device(index, property);
        let spec = spec.as_object().ok_or_else(|| bad("deviceChange"))?;
        let device = spec.get("device").and_then(Value::as_object).ok_or_else(|| bad("device"))?;
        let operation = match spec.str("operation") {
            Some("add") => Operation::Add,
            Some("remove") => Operation::Remove,
            Some("edit") | None => Operation::Edit,
            Some(_) => return Err(bad("operation")),
        };
        let change = Self { index, operation, file: spec.str("fileOperation"), device };
        let is_disk = is_subtype(&device.type_name, "VirtualDisk");
        match (operation, change.file) {
            (_, None) => {}
            (Operation::Add, Some("create" | "replace")) | (Operation::Remove, Some("destroy"))
                if is_disk => {}
            _ => return Err(change.bad_operation()),
        }
        Ok(change)
    }

    pub(super) fn key(&self) -> i32 {
        let key = self.device.get("key").and_then(Value::as_i64);
        key.and_then(|key| i32::try_from(key).ok()).unwrap_or(0)
    }

    pub(super) fn number(&self, path: &str) -> Option<i64> {
        self.device.get_path(path).and_then(Value::as_i64)
    }

    /// The name of a host's device in the backing; none if the host looks for one.
    pub(super) fn host_device(&self) -> String {
        let backing = self.backing();
        let auto = backing.and_then(|b| b.get("useAutoDetect")).and_then(Value::as_bool);
        let name = backing.and_then(|b| b.str("deviceName")).unwrap_or_default();
        if auto == Some(true) { String::new() } else { name.to_owned() }
    }

    pub(super) fn backing(&self) -> Option<&'a Object> {
        self.device.get("backing").and_then(Value::as_object)
    }

    pub(super) fn bad(&self, property: &str) -> Fault {
        invalid_device(self.index, property)
    }

    pub(super) fn bad_backing(&self) -> Fault {
        self.fault("InvalidDeviceBacking", "device.backing")
    }

    fn bad_operation(&self) -> Fault {
        let operation = match self.operation {
            Operation::Add => "add",
            Operation::Edit => "edit",
            Operation::Remove => "remove",
        };
        let enumeration =
            |name: &'static str, value: &str| Value::from(EnumValue::new(name, value.to_owned()));
        let mut fault = self
            .fault("InvalidDeviceOperation", "operation")
            .with("badOp", enumeration("VirtualDeviceConfigSpecOperation", operation));
        if let Some(file) = self.file {
            fault =
                fault.with("badFileOp", enumeration("VirtualDeviceConfigSpecFileOperation", file));
        }
        fault
    }

    pub(super) fn fault(&self, name: &'static str, property: &str) -> Fault {
        let property = format!("virtualDeviceSpec.{property}");
        Fault::new(name, format!("Invalid configuration for device '{}'.", self.index))
            .with("property", property.as_str())
            .with("deviceIndex", self.index)
    }
}

fn invalid_device(index: i32, property: &str) -> Fault {
    let property = format!("virtualDeviceSpec.{property}");
    Fault::new("InvalidDeviceSpec", format!("Invalid configuration for device '{index}'."))
        .with("property", property.as_str())
        .with("deviceIndex", index)
}

/// What changes of one request share.
struct Shared<'a> {
    inventory: &'a Inventory,
    /// The keys that a client made up for new controllers, and what became of them.
    controllers: HashMap<i32, i32>,
    files: Vec<FileChange>,
}

impl Machine {
    /// Applies `deviceChange`.
    pub(super) fn change_devices(
        &mut self,
        changes: &[Value],
        inventory: &Inventory,
    ) -> Result<Vec<FileChange>, Fault> {
        let mut shared = Shared { inventory, controllers: HashMap::new(), files: Vec::new() };
        for (index, spec) in changes.iter().enumerate() {
            let change = Change::parse(index, spec)?;
            let class = change.device.type_name.as_ref();
            if is_subtype(class, "VirtualDisk") {
                self.change_disk(&change, &mut shared)?;
            } else if is_subtype(class, "VirtualController") {
                self.change_controller(&change, &mut shared)?;
            } else if is_subtype(class, "VirtualCdrom") {
                self.change_cdrom(&change, &shared)?;
            } else if is_subtype(class, "VirtualEthernetCard") {
                self.change_nic(&change, inventory)?;
            } else if is_subtype(class, "VirtualSerialPort") {
                self.change_serial(&change, inventory)?;
            } else if is_subtype(class, "VirtualParallelPort") {
                self.change_parallel(&change, inventory)?;
            } else if is_subtype(class, "VirtualFloppy") {
                self.change_floppy(&change, inventory)?;
            } else {
                return Err(change.bad("device"));
            }
        }
        Ok(shared.files)
    }

    fn change_controller(
        &mut self,
        change: &Change<'_>,
        shared: &mut Shared<'_>,
    ) -> Result<(), Fault> {
        let position = self
            .controllers
            .iter()
            .position(|item| item.model.bus().controller_key(item.number) == change.key());
        match change.operation {
            Operation::Add => {
                let model = match change.device.type_name.as_ref() {
                    "VirtualLsiLogicController" => ControllerModel::LsiLogic,
                    "VirtualLsiLogicSASController" => ControllerModel::LsiLogicSas,
                    "VirtualBusLogicController" => ControllerModel::BusLogic,
                    "ParaVirtualSCSIController" => ControllerModel::ParaVirtual,
                    "VirtualAHCIController" => ControllerModel::Sata,
                    "VirtualNVMEController" => ControllerModel::Nvme,
                    _ => return Err(change.bad("device")),
                };
                let bus = model.bus();
                let taken = |n: &u8| {
                    self.controllers.iter().any(|c| c.model.bus() == bus && c.number == *n)
                };
                // A new device's bus number counts only if it is free: clients leave it at 0.
                let wanted = change.number("busNumber").and_then(|n| u8::try_from(n).ok());
                let number = match wanted.filter(|n| *n < 4 && !taken(n)) {
                    Some(number) => number,
                    None if wanted.is_none_or(|n| n == 0) => (0..4)
                        .find(|n| !taken(n))
                        .ok_or_else(|| change.fault("TooManyDevices", "device"))?,
                    None => return Err(change.bad("device.busNumber")),
                };
                let slot = self.controllers.iter().map(|c| c.pci_slot).max().unwrap_or(159) + 1;
                self.controllers.push(Controller { model, number, pci_slot: slot });
                shared.controllers.insert(change.key(), bus.controller_key(number));
                Ok(())
            }
            Operation::Edit => position.map(drop).ok_or_else(|| change.bad("device.key")),
            Operation::Remove => {
                let index = position.ok_or_else(|| change.bad("device.key"))?;
                let (bus, number) =
                    (self.controllers[index].model.bus(), self.controllers[index].number);
                let here = |a: Address| a.bus == bus && a.controller == number;
                if self.disks.iter().any(|d| here(d.address))
                    || self.cdroms.iter().any(|d| here(d.address))
                {
                    // Somebody still hangs on it.
                    return Err(change.bad_operation());
                }
                self.controllers.remove(index);
                Ok(())
            }
        }
    }

    /// Where a new disk or drive comes to hang.
    fn free_address(&self, change: &Change<'_>, shared: &Shared<'_>) -> Result<Address, Fault> {
        let missing = || change.fault("MissingController", "device.controllerKey");
        let key = change.number("controllerKey").and_then(|key| i32::try_from(key).ok());
        let key = key.ok_or_else(missing)?;
        let key = shared.controllers.get(&key).copied().unwrap_or(key);
        let (bus, controller) = match key {
            200 | 201 => (Bus::Ide, (key - 200) as u8),
            _ => self
                .controllers
                .iter()
                .map(|item| (item.model.bus(), item.number))
                .find(|(bus, number)| bus.controller_key(*number) == key)
                .ok_or_else(missing)?,
        };
        let taken = |unit: u8| {
            let drives = self.cdroms.iter().map(|drive| drive.address);
            let mut all = self.disks.iter().map(|disk| disk.address).chain(drives);
            bus == Bus::Scsi && unit == 7
                || all.any(|a| a.bus == bus && a.controller == controller && a.unit == unit)
        };
        let units = match bus {
            Bus::Ide => 2,
            Bus::Scsi => 16,
            Bus::Sata => 30,
            Bus::Nvme => 15,
        };
        let unit = match change.number("unitNumber").filter(|unit| *unit >= 0) {
            Some(unit) => u8::try_from(unit)
                .ok()
                .filter(|unit| *unit < units && !taken(*unit))
                .ok_or_else(|| change.bad("device.unitNumber"))?,
            None => (0..units)
                .find(|unit| !taken(*unit))
                .ok_or_else(|| change.fault("TooManyDevices", "device.unitNumber"))?,
        };
        Ok(Address { bus, controller, unit })
    }

    fn change_disk(&mut self, change: &Change<'_>, shared: &mut Shared<'_>) -> Result<(), Fault> {
        let backing = change.backing();
        if let Some(backing) = backing
            && backing.type_name != "VirtualDiskFlatVer2BackingInfo"
        {
            return Err(change.bad_backing());
        }
        let mode = match backing.and_then(|backing| backing.str("diskMode")) {
            Some(mode) => Some(disk_mode(mode).ok_or_else(|| change.bad_backing())?),
            None => None,
        };
        let capacity = change
            .number("capacityInBytes")
            .filter(|bytes| *bytes > 0)
            .map(|bytes| bytes / 1024)
            .or_else(|| change.number("capacityInKB"));
        if change.operation == Operation::Add {
            let address = self.free_address(change, shared)?;
            self.require_off_unless(address.bus != Bus::Ide)?;
            let backing = backing.ok_or_else(|| change.bad_backing())?;
            let name = backing.str("fileName").unwrap_or_default();
            let file = self.disk_file(name, change, shared.inventory)?;
            let existing = self.file_content(&file, shared.inventory);
            let capacity_kib = match (change.file, existing) {
                (Some("create"), Some(_)) => {
                    let path = self.datastore_path(shared.inventory, &file);
                    return Err(file_fault("FileAlreadyExists", &path));
                }
                (Some(_), _) => capacity
                    .filter(|kib| *kib > 0)
                    .ok_or_else(|| change.bad("device.capacityInKB"))?,
                (None, Some(content)) => {
                    descriptor_capacity_kib(&content).ok_or_else(|| change.bad_backing())?
                }
                (None, None) => {
                    let path = self.datastore_path(shared.inventory, &file);
                    return Err(file_fault("FileNotFound", &path));
                }
            };
            let thin = backing.get("thinProvisioned").and_then(Value::as_bool).unwrap_or(false);
            if let FileRef::On { .. } = &file {
                let name = name.rsplit('/').next().unwrap_or(name);
                let number = 17 + self.disks.len() as u64;
                let uuid = &super::uuid_text(super::uuid_for(self.id, number));
                let (parent, adapter) = (None, "lsilogic");
                let text = DiskText { name, capacity_kib, thin, parent, adapter, uuid }.to_string();
                shared.files.push(FileChange::Keep(file.clone(), text.into_bytes()));
            }
            let mode = mode.unwrap_or("persistent");
            self.disks.push(Disk { address, file, parents: Vec::new(), capacity_kib, thin, mode });
            return Ok(());
        }
        let index = self
            .disks
            .iter()
            .position(|disk| disk.address.device_key() == change.key())
            .ok_or_else(|| change.bad("device.key"))?;
        if change.operation == Operation::Remove {
            self.require_off_unless(self.disks[index].address.bus != Bus::Ide)?;
            let disk = self.disks.remove(index);
            for file in disk.chain() {
                shared.files.push(if change.file.is_some() {
                    FileChange::Delete(file.clone())
                } else {
                    let content = self.descriptor(file, &disk);
                    FileChange::Keep(file.clone(), content)
                });
            }
            return Ok(());
        }
        let disk = &mut self.disks[index];
        if let Some(capacity) = capacity {
            if capacity < disk.capacity_kib
                || capacity > disk.capacity_kib && !disk.parents.is_empty()
            {
                return Err(change.bad("device.capacityInKB"));
            }
            disk.capacity_kib = capacity;
        }
        if let Some(mode) = mode.filter(|mode| *mode != disk.mode) {
            if self.power != super::PowerState::PoweredOff {
                return Err(self.not_off());
            }
            self.disks[index].mode = mode;
        }
        Ok(())
    }

    /// The file that a backing names. Without a path it gets a name of its own.
    fn disk_file(
        &self,
        name: &str,
        change: &Change<'_>,
        inventory: &Inventory,
    ) -> Result<FileRef, Fault> {
        if !name.is_empty() && !name.trim_end().ends_with(']') {
            return self.file_named(name, inventory);
        }
        let stem = self.stem();
        let taken: Vec<&FileRef> = self.disk_files().into_iter().map(|(file, _)| file).collect();
        let candidates = std::iter::once(format!("{stem}.vmdk"))
            .chain((1..1000).map(|number| format!("{stem}_{number}.vmdk")));
        for candidate in candidates {
            let file = FileRef::Own(candidate);
            if !taken.contains(&&file) && self.file_content(&file, inventory).is_none() {
                return Ok(file);
            }
        }
        Err(change.bad_backing())
    }

    /// The file at a datastore path.
    pub(super) fn file_named(&self, path: &str, inventory: &Inventory) -> Result<FileRef, Fault> {
        let wrong = || {
            Fault::new("InvalidDatastorePath", format!("Invalid datastore path '{path}'."))
                .with("datastorePath", path)
        };
        let parsed: DatastorePath = path.parse().map_err(|_| wrong())?;
        let host = inventory.host(&self.place.host).ok_or_else(wrong)?;
        let datastore = host
            .datastores
            .iter()
            .find(|moref| inventory.datastore(moref).is_some_and(|d| d.name == parsed.datastore()))
            .ok_or_else(wrong)?;
        Ok(self.file_ref(datastore, parsed.path()))
    }

    /// A file by where it lies.
    pub(super) fn file_ref(&self, datastore: &MoRef, path: &str) -> FileRef {
        let own = path.rsplit_once('/').filter(|(directory, _)| {
            *datastore == self.place.datastore && *directory == self.directory
        });
        match own {
            Some((_, name)) => FileRef::Own(name.to_owned()),
            None => FileRef::On { datastore: datastore.clone(), path: path.to_owned() },
        }
    }

    /// What a file holds, if it exists.
    pub(super) fn file_content(&self, file: &FileRef, inventory: &Inventory) -> Option<Vec<u8>> {
        let (datastore, path) = self.file_place(file);
        match inventory.entry(inventory.datastore(datastore)?, &path)? {
            Entry::File(file) => Some(file.content.text()),
            Entry::Directory(_) => None,
        }
    }

    fn change_cdrom(&mut self, change: &Change<'_>, shared: &Shared<'_>) -> Result<(), Fault> {
        let medium = match change.backing() {
            None if change.operation == Operation::Add => return Err(change.bad_backing()),
            None => None,
            Some(backing) => Some(match backing.type_name.as_ref() {
                "VirtualCdromIsoBackingInfo" => {
                    let name = backing.str("fileName").unwrap_or_default();
                    let file = self.file_named(name, shared.inventory)?;
                    if self.file_content(&file, shared.inventory).is_none() {
                        return Err(file_fault("FileNotFound", name));
                    }
                    Medium::Iso(file)
                }
                "VirtualCdromRemotePassthroughBackingInfo"
                | "VirtualCdromRemoteAtapiBackingInfo" => Medium::Client,
                "VirtualCdromAtapiBackingInfo" | "VirtualCdromPassthroughBackingInfo" => {
                    Medium::HostDrive(change.host_device())
                }
                _ => return Err(change.bad_backing()),
            }),
        };
        if change.operation == Operation::Add {
            let address = self.free_address(change, shared)?;
            self.require_off_unless(address.bus == Bus::Sata)?;
            let medium = medium.unwrap_or(Medium::Client);
            self.cdroms.push(Cdrom { address, medium });
            return Ok(());
        }
        let index = self
            .cdroms
            .iter()
            .position(|drive| drive.address.device_key() == change.key())
            .ok_or_else(|| change.bad("device.key"))?;
        if change.operation == Operation::Remove {
            self.require_off_unless(self.cdroms[index].address.bus == Bus::Sata)?;
            self.cdroms.remove(index);
        } else if let Some(medium) = medium {
            self.cdroms[index].medium = medium;
        }
        Ok(())
    }

    fn change_nic(&mut self, change: &Change<'_>, inventory: &Inventory) -> Result<(), Fault> {
        let network = match change.backing() {
            None if change.operation == Operation::Add => return Err(change.bad_backing()),
            None => None,
            Some(backing) => {
                Some(self.network_of(backing, inventory).ok_or_else(|| change.bad_backing())?)
            }
        };
        let mac = match change.device.str("macAddress").filter(|text| !text.is_empty()) {
            Some(text) => {
                Some(super::parse_mac(text).ok_or_else(|| change.bad("device.macAddress"))?)
            }
            None => None,
        };
        let manual = match change.device.str("addressType").map(str::to_ascii_lowercase).as_deref()
        {
            None | Some("") => None,
            Some("manual") => Some(true),
            Some("generated" | "assigned") => Some(false),
            Some(_) => return Err(change.bad("device.addressType")),
        };
        let connected =
            change.device.get_path("connectable.startConnected").and_then(Value::as_bool);
        if change.operation == Operation::Add {
            let model = match change.device.type_name.as_ref() {
                "VirtualE1000" => NicModel::E1000,
                "VirtualE1000e" => NicModel::E1000e,
                "VirtualVmxnet3" => NicModel::Vmxnet3,
                _ => return Err(change.bad("device")),
            };
            let taken = |number: u8| self.nics.iter().any(|nic| nic.number == number);
            let number = (0..10)
                .find(|number| !taken(*number))
                .ok_or_else(|| change.fault("TooManyDevices", "device"))?;
            let (mac, mac_kind) = match (manual, mac) {
                (Some(true) | None, Some(mac)) => (mac, MacKind::Static),
                (Some(true), None) => return Err(change.bad("device.macAddress")),
                _ => self.new_mac(number),
            };
            self.nics.push(Nic {
                number,
                model,
                network: network.unwrap_or_default(),
                mac,
                mac_kind,
                pci_slot: 192 + 32 * u16::from(number),
                connected: connected.unwrap_or(true),
            });
            self.nics.sort_by_key(|nic| nic.number);
            return Ok(());
        }
        let index = self
            .nics
            .iter()
            .position(|nic| nic.key() == change.key())
            .ok_or_else(|| change.bad("device.key"))?;
        if change.operation == Operation::Remove {
            self.nics.remove(index);
            return Ok(());
        }
        let number = self.nics[index].number;
        let generated = self.new_mac(number);
        let nic = &mut self.nics[index];
        if let Some(network) = network {
            nic.network = network;
        }
        if let Some(connected) = connected {
            nic.connected = connected;
        }
        match (manual, mac) {
            (Some(true) | None, Some(mac)) if mac != nic.mac => {
                (nic.mac, nic.mac_kind) = (mac, MacKind::Static);
            }
            (Some(false), _) if nic.mac_kind == MacKind::Static => {
                (nic.mac, nic.mac_kind) = generated;
            }
            _ => {}
        }
        Ok(())
    }

    /// An address that the host (or its vCenter) makes up.
    pub(super) fn new_mac(&self, number: u8) -> ([u8; 6], MacKind) {
        let seed = self.bios_uuid.into_bytes();
        let last = seed[11].wrapping_add(number);
        if self.moref.value.starts_with("vm-") {
            ([0x00, 0x50, 0x56, 0x80 | (seed[9] & 0x3f), seed[10], last], MacKind::Vpx)
        } else {
            ([0x00, 0x0c, 0x29, seed[9], seed[10], last], MacKind::Generated)
        }
    }

    /// The network that a backing means, if the machine's host has it.
    fn network_of(&self, backing: &Object, inventory: &Inventory) -> Option<MoRef> {
        let host = inventory.host(&self.place.host)?;
        let named = |name: &str| {
            host.networks
                .iter()
                .find(|moref| inventory.network(moref).is_some_and(|n| n.name == name))
                .cloned()
        };
        match backing.type_name.as_ref() {
            "VirtualEthernetCardNetworkBackingInfo" => backing
                .get("network")
                .and_then(Value::as_moref)
                .filter(|moref| host.networks.contains(moref))
                .cloned()
                .or_else(|| named(backing.str("deviceName")?)),
            "VirtualEthernetCardDistributedVirtualPortBackingInfo" => {
                let key = backing.get_path("port.portgroupKey").and_then(Value::as_str)?;
                host.networks.iter().find(|moref| moref.value == key).cloned()
            }
            _ => None,
        }
    }
}

/// A fault about a file.
pub(crate) fn file_fault(name: &'static str, path: &str) -> Fault {
    let message = match name {
        "FileAlreadyExists" => format!("The file {path} already exists."),
        _ => format!("File {path} was not found."),
    };
    Fault::new(name, message).with("file", path)
}
