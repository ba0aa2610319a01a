//! `config.hardware.device`: the virtual devices of a machine, keyed as hosts key them.

use esx_vi_api::{Object, Value};

use super::{
    Address, Bus, Cdrom, ControllerModel, Disk, FileRef, Floppy, MacKind, Machine, Medium, Nic,
    NicModel, Parallel, ParallelPort, PowerState, Serial, SerialPort, mac_text,
};
use crate::model::inventory::Inventory;
use crate::model::tree::{enumeration, shares};

const IDE: i32 = 200;
const PS2: i32 = 300;
const PCI: i32 = 100;
const SIO: i32 = 400;

impl Bus {
    pub(super) fn controller_key(self, number: u8) -> i32 {
        i32::from(number)
            + match self {
                Self::Ide => IDE,
                Self::Scsi => 1000,
                Self::Sata => 15_000,
                Self::Nvme => 31_000,
            }
    }
}

impl Nic {
    pub(super) fn key(&self) -> i32 {
        4000 + i32::from(self.number)
    }
}

impl SerialPort {
    pub(super) fn key(&self) -> i32 {
        9000 + i32::from(self.number)
    }
}

impl ParallelPort {
    pub(super) fn key(&self) -> i32 {
        10_000 + i32::from(self.number)
    }
}

impl Floppy {
    pub(super) fn key(&self) -> i32 {
        8000 + i32::from(self.number)
    }
}

impl Address {
    pub(super) fn device_key(self) -> i32 {
        let (first, units) = match self.bus {
            Bus::Ide => (3000, 2),
            Bus::Scsi => (2000, 16),
            Bus::Sata => (16_000, 30),
            Bus::Nvme => (32_000, 15),
        };
        first + i32::from(self.controller) * units + i32::from(self.unit)
    }
}

impl Machine {
    /// All devices, in the order of hosts.
    pub(super) fn devices(&self, inventory: &Inventory) -> Vec<Object> {
        let mut devices = vec![
            controller("VirtualIDEController", IDE, "IDE 0", 0, self.on_bus(Bus::Ide, 0)),
            controller("VirtualIDEController", IDE + 1, "IDE 1", 1, self.on_bus(Bus::Ide, 1)),
            controller("VirtualPS2Controller", PS2, "PS2 controller 0", 0, vec![600, 700]),
            controller("VirtualPCIController", PCI, "PCI controller 0", 0, self.on_pci()),
            controller("VirtualSIOController", SIO, "SIO controller 0", 0, self.on_sio()),
            device("VirtualKeyboard", 600, "Keyboard", "Keyboard")
                .with("controllerKey", PS2)
                .with("unitNumber", 0),
            device("VirtualPointingDevice", 700, "Pointing device", "Pointing device; Device")
                .with(
                    "backing",
                    Object::new("VirtualPointingDeviceDeviceBackingInfo")
                        .with("deviceName", "")
                        .with("useAutoDetect", false)
                        .with("hostPointingDevice", "autodetect"),
                )
                .with("controllerKey", PS2)
                .with("unitNumber", 1),
            device("VirtualMachineVideoCard", 500, "Video card", "Video card")
                .with("controllerKey", PCI)
                .with("unitNumber", 0)
                .with("videoRamSizeInKB", 16_384_i64)
                .with("numDisplays", 1)
                .with("useAutoDetect", false)
                .with("enable3DSupport", false),
            device(
                "VirtualMachineVMCIDevice",
                12_000,
                "VMCI device",
                "Device on the virtual machine PCI bus",
            )
            .with("controllerKey", PCI)
            .with("unitNumber", 17)
            .with("id", i64::from(self.id))
            .with("allowUnrestrictedCommunication", false),
        ];
        devices.extend(self.controllers.iter().map(|item| self.controller(item)));
        devices.extend(self.cdroms.iter().map(|drive| self.cdrom(inventory, drive)));
        devices.extend(self.disks.iter().map(|disk| self.disk(inventory, disk)));
        devices.extend(self.nics.iter().map(|nic| self.nic(inventory, nic)));
        devices.extend(self.floppies.iter().map(|drive| self.floppy(inventory, drive)));
        devices.extend(self.serials.iter().map(|port| self.serial(inventory, port)));
        devices.extend(self.parallels.iter().map(|port| self.parallel(inventory, port)));
        if self.vtpm {
            devices.push(device("VirtualTPM", 11_000, "Virtual TPM", "Trusted Platform Module"));
        }
        devices
    }

    fn on_bus(&self, bus: Bus, controller: u8) -> Vec<i32> {
        let drives = self.cdroms.iter().map(|drive| drive.address);
        self.disks
            .iter()
            .map(|disk| disk.address)
            .chain(drives)
            .filter(|address| address.bus == bus && address.controller == controller)
            .map(Address::device_key)
            .collect()
    }

    fn on_pci(&self) -> Vec<i32> {
        let mut keys = vec![500, 12_000];
        keys.extend(
            self.controllers.iter().map(|item| item.model.bus().controller_key(item.number)),
        );
        keys.extend(self.nics.iter().map(Nic::key));
        keys
    }

    fn on_sio(&self) -> Vec<i32> {
        let floppies = self.floppies.iter().map(Floppy::key);
        let serials = self.serials.iter().map(SerialPort::key);
        floppies.chain(serials).chain(self.parallels.iter().map(ParallelPort::key)).collect()
    }

    fn controller(&self, item: &super::Controller) -> Object {
        let label = match item.model {
            ControllerModel::Sata => "SATA controller",
            ControllerModel::Nvme => "NVME controller",
            _ => "SCSI controller",
        };
        let bus = item.model.bus();
        let label = format!("{label} {}", item.number);
        let object = controller(
            item.model.class(),
            bus.controller_key(item.number),
            &label,
            i32::from(item.number),
            self.on_bus(bus, item.number),
        )
        .with("slotInfo", slot(item.pci_slot))
        .with("controllerKey", PCI)
        .with("unitNumber", 3 + i32::from(item.number));
        if bus != Bus::Scsi {
            return object;
        }
        object
            .with("hotAddRemove", true)
            .with("sharedBus", enumeration("VirtualSCSISharing", "noSharing"))
            .with("scsiCtlrUnitNumber", 7)
    }

    fn disk(&self, inventory: &Inventory, disk: &Disk) -> Object {
        let number = self.disks.iter().position(|other| other == disk).unwrap_or_default() + 1;
        let summary = format!("{} KB", thousands(disk.capacity_kib));
        let uuid = super::uuid_for(self.id, 16 + number as u64).to_string();
        let mut backing: Option<Object> = None;
        for file in disk.chain() {
            let next = file_backing("VirtualDiskFlatVer2BackingInfo", self, inventory, file)
                .with("diskMode", disk.mode)
                .with("split", false)
                .with("writeThrough", false)
                .with("thinProvisioned", disk.thin)
                .with("uuid", uuid.as_str())
                .with("contentId", self.content_id(inventory, file));
            backing = Some(next.with_opt("parent", backing));
        }
        let backing = backing.unwrap_or_default();
        at(
            device(
                "VirtualDisk",
                disk.address.device_key(),
                &format!("Hard disk {number}"),
                &summary,
            ),
            disk.address,
        )
        .with("backing", backing)
        .with("capacityInKB", disk.capacity_kib)
        .with("capacityInBytes", disk.capacity_kib.saturating_mul(1024))
        .with("shares", shares(1000, "normal"))
    }

    fn cdrom(&self, inventory: &Inventory, drive: &Cdrom) -> Object {
        let number = self.cdroms.iter().position(|other| other == drive).unwrap_or_default() + 1;
        let (backing, summary, connected) = match &drive.medium {
            Medium::Iso(file) => (
                file_backing("VirtualCdromIsoBackingInfo", self, inventory, file),
                format!("ISO {}", self.datastore_path(inventory, file)),
                true,
            ),
            Medium::Client => (
                Object::new("VirtualCdromRemotePassthroughBackingInfo")
                    .with("deviceName", "")
                    .with("useAutoDetect", false)
                    .with("exclusive", false),
                "Remote device".to_owned(),
                false,
            ),
            Medium::HostDrive(name) => (
                Object::new("VirtualCdromAtapiBackingInfo")
                    .with("deviceName", name.as_str())
                    .with("useAutoDetect", name.is_empty()),
                format!("ATAPI {name}").trim_end().to_owned(),
                !name.is_empty(),
            ),
        };
        at(
            device(
                "VirtualCdrom",
                drive.address.device_key(),
                &format!("CD/DVD drive {number}"),
                &summary,
            ),
            drive.address,
        )
        .with("backing", backing)
        .with("connectable", self.connectable(connected))
    }

    fn nic(&self, inventory: &Inventory, nic: &Nic) -> Object {
        let number = i32::from(nic.number);
        let class = match nic.model {
            NicModel::E1000 => "VirtualE1000",
            NicModel::E1000e => "VirtualE1000e",
            NicModel::Vmxnet3 => "VirtualVmxnet3",
        };
        let network = inventory.network(&nic.network);
        let name = network.map_or("", |network| network.name.as_str());
        let (backing, summary) = match network.and_then(|network| network.switch.as_ref()) {
            Some(switch) => (
                Object::new("VirtualEthernetCardDistributedVirtualPortBackingInfo").with(
                    "port",
                    Object::new("DistributedVirtualSwitchPortConnection")
                        .with("switchUuid", super::vmx::uuid_text(switch.uuid))
                        .with("portgroupKey", nic.network.value.as_str())
                        .with("portKey", (100 + number).to_string())
                        .with("connectionCookie", 1_815_291_547),
                ),
                format!("DVSwitch: {}", super::vmx::uuid_text(switch.uuid)),
            ),
            None => (
                Object::new("VirtualEthernetCardNetworkBackingInfo")
                    .with("deviceName", name)
                    .with("useAutoDetect", false)
                    .with("network", &nic.network),
                name.to_owned(),
            ),
        };
        let kind = match nic.mac_kind {
            MacKind::Generated => "generated",
            MacKind::Vpx => "assigned",
            MacKind::Static => "manual",
        };
        device(class, nic.key(), &format!("Network adapter {}", number + 1), &summary)
            .with("backing", backing)
            .with("connectable", self.connectable(nic.connected))
            .with("slotInfo", slot(nic.pci_slot))
            .with("controllerKey", PCI)
            .with("unitNumber", 7 + number)
            .with("addressType", kind)
            .with("macAddress", mac_text(nic.mac))
            .with("wakeOnLanEnabled", true)
    }

    fn serial(&self, inventory: &Inventory, port: &SerialPort) -> Object {
        let number = i32::from(port.number);
        let (backing, summary) = match &port.backing {
            Serial::File(file) => (
                file_backing("VirtualSerialPortFileBackingInfo", self, inventory, file),
                format!("File {}", self.datastore_path(inventory, file)),
            ),
            Serial::Network { uri, server, proxy } => (
                Object::new("VirtualSerialPortURIBackingInfo")
                    .with("serviceURI", uri.as_str())
                    .with("direction", if *server { "server" } else { "client" })
                    .with_opt("proxyURI", proxy.as_deref()),
                format!("Remote {uri}"),
            ),
            Serial::Pipe { name, server } => (
                Object::new("VirtualSerialPortPipeBackingInfo")
                    .with("pipeName", name.as_str())
                    .with("endpoint", if *server { "server" } else { "client" })
                    .with("noRxLoss", false),
                format!("Pipe {name}"),
            ),
            Serial::Device(name) => (
                Object::new("VirtualSerialPortDeviceBackingInfo")
                    .with("deviceName", name.as_str())
                    .with("useAutoDetect", false),
                name.clone(),
            ),
        };
        device("VirtualSerialPort", port.key(), &format!("Serial port {}", number + 1), &summary)
            .with("backing", backing)
            .with("connectable", self.connectable(true))
            .with("controllerKey", SIO)
            .with("unitNumber", number)
            .with("yieldOnPoll", true)
    }

    fn floppy(&self, inventory: &Inventory, drive: &Floppy) -> Object {
        let number = i32::from(drive.number);
        let (backing, summary, connected) = match &drive.medium {
            Medium::Iso(file) => (
                file_backing("VirtualFloppyImageBackingInfo", self, inventory, file),
                format!("Image {}", self.datastore_path(inventory, file)),
                true,
            ),
            Medium::Client => (
                Object::new("VirtualFloppyRemoteDeviceBackingInfo")
                    .with("deviceName", "")
                    .with("useAutoDetect", false),
                "Remote".to_owned(),
                false,
            ),
            Medium::HostDrive(name) => (
                Object::new("VirtualFloppyDeviceBackingInfo")
                    .with("deviceName", name.as_str())
                    .with("useAutoDetect", name.is_empty()),
                name.clone(),
                !name.is_empty(),
            ),
        };
        device("VirtualFloppy", drive.key(), &format!("Floppy drive {}", number + 1), &summary)
            .with("backing", backing)
            .with("connectable", self.connectable(connected))
            .with("controllerKey", SIO)
            .with("unitNumber", number)
    }

    fn parallel(&self, inventory: &Inventory, port: &ParallelPort) -> Object {
        let number = i32::from(port.number);
        let (backing, summary) = match &port.backing {
            Parallel::File(file) => (
                file_backing("VirtualParallelPortFileBackingInfo", self, inventory, file),
                format!("File {}", self.datastore_path(inventory, file)),
            ),
            Parallel::Device(name) => (
                Object::new("VirtualParallelPortDeviceBackingInfo")
                    .with("deviceName", name.as_str())
                    .with("useAutoDetect", false),
                name.clone(),
            ),
        };
        let label = format!("Parallel port {}", number + 1);
        device("VirtualParallelPort", port.key(), &label, &summary)
            .with("backing", backing)
            .with("connectable", self.connectable(true))
            .with("controllerKey", SIO)
            .with("unitNumber", number)
    }

    fn connectable(&self, start_connected: bool) -> Object {
        Object::new("VirtualDeviceConnectInfo")
            .with("startConnected", start_connected)
            .with("allowGuestControl", true)
            .with("connected", start_connected && self.power == PowerState::PoweredOn)
            .with("status", if self.power == PowerState::PoweredOn { "ok" } else { "untried" })
    }
}

fn device(class: &'static str, key: i32, label: &str, summary: &str) -> Object {
    let description = Object::new("Description").with("label", label).with("summary", summary);
    Object::new(class).with("key", key).with("deviceInfo", description)
}

fn at(device: Object, address: Address) -> Object {
    device
        .with("controllerKey", address.bus.controller_key(address.controller))
        .with("unitNumber", i32::from(address.unit))
}

fn controller(
    class: &'static str,
    key: i32,
    label: &str,
    number: i32,
    devices: Vec<i32>,
) -> Object {
    let object = device(class, key, label, label).with("busNumber", number);
    if devices.is_empty() {
        return object;
    }
    let keys = devices.into_iter().map(Value::Int).collect();
    object.with("device", esx_vi_api::Array::new("xsd:int", keys))
}

fn slot(number: u16) -> Object {
    Object::new("VirtualDevicePciBusSlotInfo").with("pciSlotNumber", i32::from(number))
}

fn file_backing(
    class: &'static str,
    machine: &Machine,
    inventory: &Inventory,
    file: &FileRef,
) -> Object {
    let datastore = match file {
        FileRef::Own(_) => &machine.place.datastore,
        FileRef::On { datastore, .. } => datastore,
    };
    Object::new(class)
        .with("fileName", machine.datastore_path(inventory, file))
        .with("datastore", datastore)
}

/// `16,777,216`.
fn thousands(number: i64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
