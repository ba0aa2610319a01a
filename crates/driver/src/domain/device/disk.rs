//! Hard disks, CD-ROM and floppy drives.

use esx_escape::DatastorePath;
use esx_vi_api::enums::VirtualDeviceConfigSpecFileOperation as FileOperation;
use esx_vi_api::{EnumValue, Object, Value};
use esx_vmx_domain::{DriveBus, DrivePlace, ScsiModel};
use virt_api::{Error, ErrorDomain, Result};
use virt_xml::domain::{Address, Disk};
use virt_xml::{Element, Node};

use super::hardware::{DriveAt, DriveKind, Hardware, backing, number};
use super::list::drive_source;
use super::{
    Action, Change, NEW_CONTROLLER_KEY, NEW_KEY, connectable, impossible, no_device, reconnected,
    several, unsupported,
};

/// A `<disk>`, its file in the API's words.
pub(super) struct Drive {
    disk: Disk,
    file: Option<DatastorePath>,
    kind: DriveKind,
    /// A file of this kind is to be made.
    create: Option<Create>,
}

/// A new file: `<source file=…><capacity unit='G'>20</capacity><allocation>0</allocation></source>`, the words of
/// libvirt's volumes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Create {
    capacity_kib: i64,
    thin: bool,
}

impl Drive {
    pub(super) fn new(disk: Disk, file: Option<DatastorePath>) -> Result<Self> {
        let kind = match &*disk.device {
            "disk" => DriveKind::Disk,
            "cdrom" => DriveKind::Cdrom,
            "floppy" => DriveKind::Floppy,
            other => return Err(unsupported(format!("a disk cannot be of the kind '{other}'"))),
        };
        if !matches!(&*disk.kind, "file" | "block") {
            return Err(unsupported(format!("a disk cannot be of type '{}'", disk.kind)));
        }
        let create = match &disk.source {
            Some(source) if kind == DriveKind::Disk => create(&source.other)?,
            _ => None,
        };
        Ok(Self { disk, file, kind, create })
    }

    pub(super) fn changes(
        &self,
        hardware: &Hardware<'_>,
        action: Action,
        running: bool,
    ) -> Result<Vec<Change>> {
        match action {
            Action::Attach => self.attach(hardware, running),
            Action::Detach => Ok(vec![Change::remove(self.found(hardware)?.device.clone())]),
            Action::Update => self.update(&self.found(hardware)?, running),
        }
    }

    fn bus(&self) -> Result<DriveBus> {
        let word = self.disk.bus.as_deref().unwrap_or("scsi");
        DriveBus::of_word(word)
            .ok_or_else(|| unsupported(format!("VMware machines have no bus '{word}'")))
    }

    /// Where the document wants it.
    fn place(&self, hardware: &Hardware<'_>) -> Result<DrivePlace> {
        let bus = self.bus()?;
        let target = &self.disk.target;
        let place = match &self.disk.address {
            Some(address) => place_of(bus, address)?,
            None => DrivePlace::of_target(bus, target, hardware.version).ok_or_else(|| {
                let message = format!("the bus '{}' has no target '{target}'", bus.word());
                Error::invalid_arg(ErrorDomain::Esx, message)
            })?,
        };
        let fits = match (self.kind, bus) {
            (DriveKind::Floppy, _) => bus == DriveBus::Floppy,
            (DriveKind::Cdrom, _) => !matches!(bus, DriveBus::Floppy | DriveBus::Nvme),
            (DriveKind::Disk, _) => bus != DriveBus::Floppy,
        };
        if !fits {
            let message = format!("a {} cannot be on the bus '{}'", self.kind.word(), bus.word());
            return Err(unsupported(message));
        }
        if bus == DriveBus::Scsi && place.unit == 7 {
            return Err(unsupported("unit 7 of a SCSI controller is the controller itself"));
        }
        Ok(place)
    }

    fn attach(&self, hardware: &Hardware<'_>, running: bool) -> Result<Vec<Change>> {
        let place = self.place(hardware)?;
        if let Some(taken) = hardware.drives().into_iter().find(|drive| drive.place == place) {
            let file = drive_source(taken.device).unwrap_or_else(|| "nothing".to_owned());
            return Err(several(format!("target '{}' already exists ({file})", taken.target)));
        }
        let controllers = hardware.controllers(place.bus);
        let controller = controllers.iter().find(|(number, _)| *number == place.controller);
        let mut changes = Vec::new();
        let controller_key = match controller.and_then(|(_, device)| number(device, "key")) {
            Some(key) => key,
            None => {
                let model = controllers.first().map(|(_, device)| &*device.type_name);
                changes.push(Change::add(self.controller(place, model)?));
                NEW_CONTROLLER_KEY
            }
        };
        let (class, backing) = match self.kind {
            DriveKind::Disk => ("VirtualDisk", self.disk_backing()?),
            DriveKind::Cdrom => ("VirtualCdrom", self.medium("VirtualCdrom")?),
            DriveKind::Floppy => ("VirtualFloppy", self.medium("VirtualFloppy")?),
        };
        let mut device = Object::new(class)
            .with("key", NEW_KEY)
            .with("backing", backing)
            .with("controllerKey", controller_key)
            .with("unitNumber", i32::try_from(place.unit).unwrap_or(i32::MAX));
        if self.kind == DriveKind::Disk {
            // Mandatory in the schema; of a file that exists the host takes its own word.
            device.set("capacityInKB", self.create.map_or(0, |create| create.capacity_kib));
        } else {
            device.set("connectable", connectable(self.has_medium(), running));
        }
        let mut change = Change::add(device);
        change.file_operation = self.create.map(|_| FileOperation::Create);
        changes.push(change);
        Ok(changes)
    }

    /// A controller for a first disk: the document's model, else that of its neighbours, else the one that
    /// the most guests have a driver for.
    fn controller(&self, place: DrivePlace, neighbour: Option<&str>) -> Result<Object> {
        let class = match place.bus {
            DriveBus::Scsi => {
                let named = self.disk.driver.as_ref().and_then(|driver| driver.name.as_deref());
                match (named, neighbour) {
                    (Some(name), _) => scsi_class(name)?.to_owned(),
                    (None, Some(class)) => class.to_owned(),
                    (None, None) => "VirtualLsiLogicController".to_owned(),
                }
            }
            DriveBus::Sata => "VirtualAHCIController".to_owned(),
            DriveBus::Nvme => "VirtualNVMEController".to_owned(),
            DriveBus::Ide | DriveBus::Floppy => {
                let message = format!(
                    "the machine has no controller {} on the bus '{}'",
                    place.controller,
                    place.bus.word()
                );
                return Err(unsupported(message));
            }
        };
        let object = Object::new(class)
            .with("key", NEW_CONTROLLER_KEY)
            .with("busNumber", i32::try_from(place.controller).unwrap_or(i32::MAX));
        if place.bus != DriveBus::Scsi {
            return Ok(object);
        }
        Ok(object.with("sharedBus", EnumValue::new("VirtualSCSISharing", "noSharing")))
    }

    fn disk_backing(&self) -> Result<Object> {
        let Some(file) = self.file.as_ref().filter(|_| self.disk.kind == "file") else {
            let message = "a hard disk needs a file in a datastore; raw devices are not supported";
            return Err(unsupported(message));
        };
        if self.disk.readonly {
            return Err(unsupported("VMware has no read-only hard disks"));
        }
        let backing = Object::new("VirtualDiskFlatVer2BackingInfo")
            .with("fileName", file.to_string())
            .with("diskMode", self.mode());
        let backing =
            if self.writes_through() { backing.with("writeThrough", true) } else { backing };
        let backing = match self.create {
            Some(create) => backing.with("thinProvisioned", create.thin),
            None => backing,
        };
        Ok(if self.disk.shareable {
            backing.with("sharing", "sharingMultiWriter")
        } else {
            backing
        })
    }

    fn mode(&self) -> &'static str {
        if self.disk.transient { "independent_nonpersistent" } else { "persistent" }
    }

    fn writes_through(&self) -> bool {
        let cache = self.disk.driver.as_ref().and_then(|driver| driver.cache.as_deref());
        cache == Some("writethrough")
    }

    fn host_device(&self) -> Option<&str> {
        self.disk.source.as_ref()?.dev.as_deref().filter(|_| self.disk.kind == "block")
    }

    fn auto_detect(&self) -> bool {
        let source = self.disk.source.as_ref().filter(|_| self.disk.kind == "block");
        source.is_some_and(|source| source.startup_policy.as_deref() == Some("optional"))
    }

    fn has_medium(&self) -> bool {
        self.file.is_some() || self.host_device().is_some() || self.auto_detect()
    }

    /// What is in a drive: an image, the host's drive, or nothing, which is a drive of some client's.
    fn medium(&self, class: &str) -> Result<Object> {
        if self.create.is_some() {
            return Err(unsupported("only hard disks can be made"));
        }
        let kind = if class == "VirtualCdrom" { "Iso" } else { "Image" };
        if let Some(file) = &self.file {
            return Ok(
                Object::new(format!("{class}{kind}BackingInfo")).with("fileName", file.to_string())
            );
        }
        let of_host = if class == "VirtualCdrom" { "Atapi" } else { "Device" };
        if self.has_medium() {
            return Ok(Object::new(format!("{class}{of_host}BackingInfo"))
                .with("deviceName", self.host_device().unwrap_or_default())
                .with("useAutoDetect", self.auto_detect()));
        }
        Ok(if class == "VirtualCdrom" {
            Object::new("VirtualCdromRemotePassthroughBackingInfo")
                .with("deviceName", "")
                .with("useAutoDetect", false)
                .with("exclusive", false)
        } else {
            Object::new("VirtualFloppyRemoteDeviceBackingInfo")
                .with("deviceName", "")
                .with("useAutoDetect", false)
        })
    }

    /// The machine's drive that the document means: by target, else by file.
    fn found<'a>(&self, hardware: &Hardware<'a>) -> Result<DriveAt<'a>> {
        let target = &self.disk.target;
        let file = self.file.as_ref().map(ToString::to_string);
        let fits = |drive: &DriveAt<'_>| match &self.disk.address {
            Some(address) => {
                self.bus().and_then(|bus| place_of(bus, address)).ok() == Some(drive.place)
            }
            None if target.is_empty() => file.is_some() && drive_source(drive.device) == file,
            None => drive.target == *target,
        };
        let mut found: Vec<_> = hardware.drives().into_iter().filter(fits).collect();
        if found.len() > 1 {
            // `sda` may be of SCSI and of SATA.
            found.retain(|drive| Some(drive.place.bus.word()) == self.disk.bus.as_deref());
        }
        if found.len() > 1 {
            // vcsim puts a disk and a drive in one place.
            found.retain(|drive| drive.kind == self.kind);
        }
        let shown = if target.is_empty() { file.unwrap_or_default() } else { target.clone() };
        match found.len() {
            1 => Ok(found.remove(0)),
            0 => Err(no_device(format!("the domain has no disk '{shown}'"))),
            _ => Err(several(format!("the domain has several disks '{shown}', name the bus"))),
        }
    }

    fn update(&self, found: &DriveAt<'_>, running: bool) -> Result<Vec<Change>> {
        if found.kind != self.kind {
            let message = format!(
                "'{}' is a {} and not a {}",
                found.target,
                found.kind.word(),
                self.kind.word()
            );
            return Err(impossible(message));
        }
        let mut device = match self.kind {
            DriveKind::Disk => return self.update_disk(found),
            DriveKind::Cdrom | DriveKind::Floppy => {
                reconnected(found.device, self.has_medium(), running)
            }
        };
        let class = if self.kind == DriveKind::Cdrom { "VirtualCdrom" } else { "VirtualFloppy" };
        device.set("backing", self.medium(class)?);
        Ok(vec![Change::edit(device)])
    }

    /// Of a hard disk, mode and cache can change, and nothing else.
    fn update_disk(&self, found: &DriveAt<'_>) -> Result<Vec<Change>> {
        let file = self.file.as_ref().map(ToString::to_string);
        if file.is_some() && file != drive_source(found.device) {
            let message = format!(
                "the file of the hard disk '{}' cannot be changed, detach and attach it",
                found.target
            );
            return Err(impossible(message));
        }
        let Some(old) = backing(found.device) else {
            return Err(impossible(format!("the disk '{}' has no file", found.target)));
        };
        let mut new = old.clone();
        let independent = |mode: &str| mode == "independent_nonpersistent";
        if old.str("diskMode").is_some_and(independent) != self.disk.transient {
            new.set("diskMode", self.mode());
        }
        if old.get("writeThrough").and_then(Value::as_bool).unwrap_or(false)
            != self.writes_through()
        {
            new.set("writeThrough", self.writes_through());
        }
        let mut device = found.device.clone();
        device.set("backing", new);
        Ok(vec![Change::edit(device)])
    }
}

/// The place behind an address. The document counts IDE's controllers as buses of one.
fn place_of(bus: DriveBus, address: &Address) -> Result<DrivePlace> {
    let Address::Drive { controller, bus: channel, target: 0, unit } = *address else {
        return Err(unsupported("the address of a disk must be of type 'drive', with target 0"));
    };
    let beyond = || unsupported("the address of a disk is beyond what machines have");
    let second_of = |one: u32, other: u32| one.checked_mul(2)?.checked_add(other);
    Ok(match bus {
        DriveBus::Ide => {
            let controller = second_of(controller, channel).ok_or_else(beyond)?;
            DrivePlace { bus, controller, unit }
        }
        DriveBus::Floppy => {
            let unit = second_of(controller, unit).ok_or_else(beyond)?;
            DrivePlace { bus, controller: 0, unit }
        }
        _ if channel != 0 => return Err(unsupported("a controller has the bus 0 only")),
        _ => DrivePlace { bus, controller, unit },
    })
}

fn scsi_class(model: &str) -> Result<&'static str> {
    let found = ScsiModel::ALL.into_iter().find(|m| m.word() == model || m.vmx_word() == model);
    Ok(match found {
        Some(ScsiModel::BusLogic) => "VirtualBusLogicController",
        Some(ScsiModel::LsiLogic) => "VirtualLsiLogicController",
        Some(ScsiModel::LsiSas1068) => "VirtualLsiLogicSASController",
        Some(ScsiModel::VmPvScsi) => "ParaVirtualSCSIController",
        _ => return Err(unsupported(format!("there is no SCSI controller '{model}'"))),
    })
}

/// What a source says of a file to be made.
fn create(elements: &[Element]) -> Result<Option<Create>> {
    let named = |name: &str| elements.iter().find(|element| element.name == name);
    let Some(capacity) = named("capacity") else { return Ok(None) };
    let wrong = |name: &str| {
        Error::invalid_arg(ErrorDomain::Esx, format!("<{name}> of the source is no size"))
    };
    let bytes = bytes(capacity).filter(|bytes| *bytes > 0).ok_or_else(|| wrong("capacity"))?;
    let allocation = match named("allocation") {
        Some(element) => self::bytes(element).ok_or_else(|| wrong("allocation"))?,
        None => bytes,
    };
    let capacity_kib = i64::try_from(bytes.div_ceil(1024)).map_err(|_| wrong("capacity"))?;
    Ok(Some(Create { capacity_kib, thin: allocation < bytes }))
}

/// The size in an element, in bytes; libvirt's units of volumes.
fn bytes(element: &Element) -> Option<u64> {
    let text = element.children.iter().find_map(|node| match node {
        Node::Text(text) => Some(text.trim()),
        Node::Element(_) => None,
    })?;
    let number: u64 = text.parse().ok()?;
    let unit = element.attribute("unit").unwrap_or("bytes");
    let mut letters = unit.chars();
    let power = match letters.next()?.to_ascii_uppercase() {
        'B' => return Some(number),
        'K' => 1,
        'M' => 2,
        'G' => 3,
        'T' => 4,
        'P' => 5,
        _ => return None,
    };
    let base: u64 = match letters.as_str() {
        "" | "iB" => 1024,
        "B" => 1000,
        _ => return None,
    };
    number.checked_mul(base.checked_pow(power)?)
}

#[cfg(test)]
mod tests {
    use virt_xml::domain::Device;

    use super::*;

    fn drive(xml: &str) -> Result<Drive> {
        match Device::parse(xml).unwrap() {
            Device::Disk(disk) => {
                let file = disk.source.as_ref().and_then(|s| s.file.as_ref()?.parse().ok());
                Drive::new(*disk, file)
            }
            _ => unreachable!("a disk"),
        }
    }

    #[test]
    fn a_disk_to_be_made_has_a_size() {
        let of = |inner: &str| {
            drive(&format!(
                "<disk type='file'><source file='[a] b.vmdk'>{inner}</source><target dev='sda'/></disk>"
            ))
            .map(|drive| drive.create)
        };
        let create = |capacity_kib, thin| Some(Create { capacity_kib, thin });
        assert_eq!(of("").unwrap(), None);
        assert_eq!(of("<capacity>1025</capacity>").unwrap(), create(2, false));
        assert_eq!(of("<capacity unit='G'>1</capacity>").unwrap(), create(1 << 20, false));
        assert_eq!(of("<capacity unit='MB'>1</capacity>").unwrap(), create(977, false));
        let thin = "<capacity unit='GiB'>1</capacity><allocation>0</allocation>";
        assert_eq!(of(thin).unwrap(), create(1 << 20, true));
        for bad in ["<capacity/>", "<capacity>0</capacity>", "<capacity unit='x'>1</capacity>"] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_vmware_does_not_have_is_refused() {
        let hardware = Hardware::new(None, None);
        for xml in [
            "<disk type='file'><source file='[a] b.vmdk'/><target dev='vda' bus='virtio'/></disk>",
            "<disk type='file'><source file='[a] b.vmdk'/><target dev='sda'/><readonly/></disk>",
            "<disk type='block'><source dev='/dev/x'/><target dev='sda'/></disk>",
            "<disk type='file' device='cdrom'><target dev='nvme0n1' bus='nvme'/></disk>",
            "<disk type='file'><source file='[a] b.vmdk'/><target dev='hda' bus='ide'/></disk>",
            "<disk type='file'><source file='[a] b.vmdk'/><target dev='sda'/><address type='drive' unit='7'/></disk>",
            "<disk type='file'><driver name='x'/><source file='[a] b.vmdk'/><target dev='sda'/></disk>",
        ] {
            let result = drive(xml).and_then(|d| d.changes(&hardware, Action::Attach, false));
            let code = result.err().map(|error| error.code);
            assert_eq!(code, Some(virt_api::ErrorCode::ConfigUnsupported), "{xml}");
        }
    }
}
