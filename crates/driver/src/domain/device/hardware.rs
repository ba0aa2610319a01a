//! `config.hardware.device` as the driver looks at it: who hangs where, and what libvirt calls it.

use esx_vi_api::schema::is_subtype;
use esx_vi_api::{Object, Value};
use esx_vmx_domain::{DriveBus, DrivePlace};

/// The property that holds the devices.
pub(crate) const DEVICES: &str = "config.hardware.device";
/// The property that holds the hardware version, `vmx-19`.
pub(crate) const VERSION: &str = "config.version";
/// What a machine has that does not tell its version: the oldest that hosts still run.
const OLDEST_VERSION: u32 = 4;

/// The devices of a machine.
pub(crate) struct Hardware<'a> {
    devices: Vec<&'a Object>,
    /// The hardware version.
    pub(crate) version: u32,
}

/// What kind of drive it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DriveKind {
    Disk,
    Cdrom,
    Floppy,
}

impl DriveKind {
    /// libvirt's word in `<disk device=…>`.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Disk => "disk",
            Self::Cdrom => "cdrom",
            Self::Floppy => "floppy",
        }
    }
}

/// A disk or a drive.
#[derive(Clone)]
pub(crate) struct DriveAt<'a> {
    pub(crate) device: &'a Object,
    pub(crate) kind: DriveKind,
    pub(crate) place: DrivePlace,
    /// libvirt's name.
    pub(crate) target: String,
}

impl<'a> Hardware<'a> {
    /// The values of [`DEVICES`] and [`VERSION`].
    pub(crate) fn new(devices: Option<&'a Value>, version: Option<&Value>) -> Self {
        let devices = devices.map_or(&[][..], Value::items);
        let digits = version.and_then(Value::as_str).and_then(|text| text.strip_prefix("vmx-"));
        Self {
            devices: devices.iter().filter_map(Value::as_object).collect(),
            version: digits.and_then(|digits| digits.parse().ok()).unwrap_or(OLDEST_VERSION),
        }
    }

    /// The devices of a class or one derived from it.
    pub(crate) fn of(&self, class: &'static str) -> impl Iterator<Item = &'a Object> + '_ {
        self.devices.iter().copied().filter(move |device| is_subtype(&device.type_name, class))
    }

    /// The controllers of a bus, with their numbers.
    pub(crate) fn controllers(&self, bus: DriveBus) -> Vec<(u32, &'a Object)> {
        let of_bus = self.devices.iter().filter(|device| bus_of(device) == Some(bus));
        of_bus
            .filter_map(|device| {
                // Floppies are numbered through.
                let number = if bus == DriveBus::Floppy { 0 } else { number(device, "busNumber")? };
                Some((u32::try_from(number).ok()?, *device))
            })
            .collect()
    }

    /// Disks, CD-ROM and floppy drives.
    pub(crate) fn drives(&self) -> Vec<DriveAt<'a>> {
        self.devices.iter().filter_map(|device| self.drive(device)).collect()
    }

    /// The same in the order of libvirt's documents: by bus, controller and unit.
    pub(crate) fn sorted_drives(&self) -> Vec<DriveAt<'a>> {
        let buses =
            [DriveBus::Scsi, DriveBus::Sata, DriveBus::Ide, DriveBus::Floppy, DriveBus::Nvme];
        let mut drives = self.drives();
        drives.sort_by_key(|drive| {
            let place = drive.place;
            (buses.iter().position(|bus| *bus == place.bus), place.controller, place.unit)
        });
        drives
    }

    fn drive(&self, device: &'a Object) -> Option<DriveAt<'a>> {
        let is = |class| is_subtype(&device.type_name, class);
        let kind = if is("VirtualDisk") {
            DriveKind::Disk
        } else if is("VirtualCdrom") {
            DriveKind::Cdrom
        } else if is("VirtualFloppy") {
            DriveKind::Floppy
        } else {
            return None;
        };
        let unit = number(device, "unitNumber").and_then(|unit| u32::try_from(unit).ok());
        let place = if kind == DriveKind::Floppy {
            DrivePlace { bus: DriveBus::Floppy, controller: 0, unit: unit.unwrap_or(0) }
        } else {
            let key = number(device, "controllerKey")?;
            let controller = self.devices.iter().find(|other| number(other, "key") == Some(key))?;
            let controller_number = u32::try_from(number(controller, "busNumber")?).ok()?;
            DrivePlace { bus: bus_of(controller)?, controller: controller_number, unit: unit? }
        };
        Some(DriveAt { device, kind, place, target: place.target(self.version) })
    }
}

fn bus_of(controller: &Object) -> Option<DriveBus> {
    [
        ("VirtualSCSIController", DriveBus::Scsi),
        ("VirtualSATAController", DriveBus::Sata),
        ("VirtualIDEController", DriveBus::Ide),
        ("VirtualNVMEController", DriveBus::Nvme),
        ("VirtualSIOController", DriveBus::Floppy),
    ]
    .into_iter()
    .find(|(class, _)| is_subtype(&controller.type_name, class))
    .map(|(_, bus)| bus)
}

/// A member that is a number.
pub(super) fn number(object: &Object, member: &str) -> Option<i32> {
    object.get(member).and_then(Value::as_i64).and_then(|n| i32::try_from(n).ok())
}

/// The file, the host's device or whatever else is behind a device.
pub(super) fn backing(device: &Object) -> Option<&Object> {
    device.get("backing").and_then(Value::as_object)
}
