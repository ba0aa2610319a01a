//! What libvirt makes of a domain before it writes it (`spec/vmx.md` 10).

use std::borrow::Cow;

use virt_xml::domain::{
    Address, CharDevice, Controller, Devices, Disk, Domain, Mac, Video, VideoModel,
};
use virt_xml::{MacAddress, Uuid};

use crate::context::Context;
use crate::error::{Code, Error, ErrorDomain};
use crate::target;

/// Controllers that libvirt adds by itself.
const DRIVE_BUSES: [&str; 4] = ["scsi", "fdc", "ide", "sata"];

pub(super) fn normalised(domain: &Domain, context: &Context) -> Result<Domain, Error> {
    let mut domain = domain.clone();
    let mut random = Random(context.seed);
    if domain.uuid.is_none() {
        domain.uuid = Some(random_uuid(&mut random));
    }
    let devices = &mut domain.devices;
    devices.disks = regrouped(std::mem::take(&mut devices.disks));
    for (i, disk) in devices.disks.iter_mut().enumerate() {
        if disk.address.is_none() {
            disk.address = default_address(disk, i)?;
        }
    }
    controllers(devices)?;
    ports(devices)?;
    for interface in &mut devices.interfaces {
        let mac = interface.mac.get_or_insert_with(Mac::default);
        if mac.address == MacAddress::default() {
            mac.address = random_mac(&mut random);
        }
        let generated = ["vnet", "macvtap", "macvlan"];
        if interface.target_dev.as_ref().is_some_and(|d| generated.iter().any(|g| d.starts_with(g)))
        {
            interface.target_dev = None;
        }
    }
    videos(devices);
    Ok(domain)
}

/// The sources of disks whose controller model the host must be asked for: those on SCSI controllers of
/// model `auto`, for [`Context::scsi_models`].
///
/// ```
/// let text = "<domain type='vmware'><name>a</name><memory>4096</memory><os><type>hvm</type></os>
///   <devices>
///     <disk><source file='[ds] a/b.vmdk'/><target dev='sda' bus='scsi'/></disk>
///     <controller type='scsi' index='0' model='auto'/>
///   </devices></domain>";
/// let domain = virt_xml::Domain::parse(text)?;
/// assert_eq!(esx_vmx_domain::needs_scsi_models(&domain), ["[ds] a/b.vmdk"]);
/// # Ok::<(), virt_xml::Error>(())
/// ```
pub fn needs_scsi_models(domain: &Domain) -> Vec<String> {
    let is_auto = |index: u32| {
        domain.devices.controllers.iter().any(|c| {
            c.kind == "scsi" && c.index.unwrap_or(0) == index && c.model.as_deref() == Some("auto")
        })
    };
    let legacy_auto =
        |disk: &Disk| disk.driver.as_ref().and_then(|d| d.name.as_deref()) == Some("auto");
    let disks = domain.devices.disks.iter().filter(|disk| {
        let address = match &disk.address {
            Some(Address::Drive { controller, .. }) => Some(*controller),
            _ => target::index(&disk.target).map(|(_, i)| i / 15),
        };
        is_detectable(disk) && (address.is_some_and(is_auto) || legacy_auto(disk))
    });
    disks.filter_map(|d| d.source.as_ref()?.file.clone()).collect()
}

/// Whether the host can tell what controller a disk was made for.
pub(super) fn is_detectable(disk: &Disk) -> bool {
    let file = disk.source.as_ref().and_then(|s| s.file.as_deref());
    disk.bus.as_deref() == Some("scsi")
        && disk.device == "disk"
        && disk.kind == "file"
        && file.is_some_and(|f| f.starts_with('['))
}

/// Disks of one bus together, in order of their names.
pub(super) fn regrouped(disks: Vec<Disk>) -> Vec<Disk> {
    let mut groups: Vec<(Option<Cow<'static, str>>, Vec<Disk>)> = Vec::new();
    for disk in disks {
        match groups.iter_mut().find(|(bus, _)| *bus == disk.bus) {
            Some((_, group)) => group.push(disk),
            None => groups.push((disk.bus.clone(), vec![disk])),
        }
    }
    for (_, group) in &mut groups {
        group.sort_by_key(|disk| target::index(&disk.target).map(|(_, index)| index));
    }
    groups.into_iter().flat_map(|(_, group)| group).collect()
}

/// The address that a disk's name stands for.
fn default_address(disk: &Disk, number: usize) -> Result<Option<Address>, Error> {
    let bus = disk.bus.as_deref().unwrap_or_default();
    if bus == "nvme" {
        return Ok(target::nvme(&disk.target).map(|(controller, unit)| Address::Drive {
            controller,
            bus: 0,
            target: 0,
            unit,
        }));
    }
    if !DRIVE_BUSES.contains(&bus) {
        return Ok(None);
    }
    let Some((_, index)) = target::index(&disk.target) else {
        let at = format!("/domain/devices/disk[{}]/target/@dev", number + 1);
        let reason = format!("'{}' is not the name of a disk", disk.target);
        return Err(Error::new(Code::XmlError, at, reason).in_domain(ErrorDomain::Domain));
    };
    let (controller, bus, unit) = by_name(bus, index);
    Ok(Some(Address::Drive { controller, bus, target: 0, unit }))
}

/// Controller, bus and unit of the disk with that index in its name.
pub(super) fn by_name(bus: &str, index: u32) -> (u32, u32, u32) {
    match bus {
        "scsi" => {
            let unit = index % 15;
            (index / 15, 0, if unit < 7 { unit } else { unit + 1 })
        }
        "ide" => (index / 4, index % 4 / 2, index % 2),
        "sata" => (index / 6, 0, index % 6),
        _ => (index / 2, 0, index % 2),
    }
}

/// Numbers the controllers, adds those that disks use, and sorts each type by number.
fn controllers(devices: &mut Devices) -> Result<(), Error> {
    let list = &mut devices.controllers;
    for i in 0..list.len() {
        if list[i].index.is_none() {
            let kind = list[i].kind.clone();
            let taken = |n: u32| list.iter().any(|c| c.kind == kind && c.index == Some(n));
            list[i].index = (0..).find(|&n| !taken(n));
        }
    }
    for (i, controller) in list.iter().enumerate() {
        let twin = |c: &Controller| c.kind == controller.kind && c.index == controller.index;
        // USB controllers have companions of the same index.
        if controller.kind != "usb" && list[..i].iter().any(twin) {
            let at = format!("/domain/devices/controller[{}]", i + 1);
            let error = Error::new(Code::XmlError, at, "there is one of that type and index");
            return Err(error.in_domain(ErrorDomain::Domain));
        }
    }
    for controller in std::mem::take(list) {
        insert(list, controller);
    }
    for bus in DRIVE_BUSES {
        let used = devices.disks.iter().filter(|d| d.bus.as_deref() == Some(bus));
        let highest = used
            .filter_map(|d| match d.address {
                Some(Address::Drive { controller, .. }) => Some(controller),
                _ => None,
            })
            .max();
        // A VMX file has four controllers of a kind; addresses beyond are refused later.
        for index in 0..highest.map_or(0, |h| h.min(64) + 1) {
            if !list.iter().any(|c| c.kind == bus && c.index == Some(index)) {
                let new = Controller {
                    kind: bus.to_owned(),
                    index: Some(index),
                    ..Controller::default()
                };
                insert(list, new);
            }
        }
    }
    Ok(())
}

/// Adds a controller to those of its type, by number.
fn insert(list: &mut Vec<Controller>, new: Controller) {
    let same = |c: &Controller| c.kind == new.kind;
    let at = match list.iter().position(|c| same(c) && c.index > new.index) {
        Some(higher) => higher,
        None => list.iter().rposition(same).map_or(list.len(), |i| i + 1),
    };
    list.insert(at, new);
}

/// Numbers the ports, and makes of the consoles what libvirt makes of them.
fn ports(devices: &mut Devices) -> Result<(), Error> {
    let is_serial = |c: &CharDevice| c.target_type.as_deref().is_none_or(|t| t == "serial");
    let consoles = std::mem::take(&mut devices.consoles);
    let mut serial_consoles = consoles.iter().enumerate().filter(|(_, c)| is_serial(c));
    match serial_consoles.next() {
        Some((0, console)) if devices.serials.is_empty() => {
            devices.serials.push(CharDevice {
                target_type: None,
                target_port: Some(0),
                ..console.clone()
            });
        }
        _ => {}
    }
    let mut highest = devices.serials.iter().filter_map(|s| s.target_port).max();
    for serial in &mut devices.serials {
        if serial.target_port.is_none() {
            highest = Some(highest.map_or(0, |h| h + 1));
            serial.target_port = highest;
        }
    }
    let mut highest: Option<u32> = None;
    for parallel in &mut devices.parallels {
        let port = *parallel.target_port.get_or_insert(highest.map_or(0, |h| h + 1));
        highest = highest.max(Some(port));
    }
    Ok(())
}

fn videos(devices: &mut Devices) {
    if devices.videos.is_empty() && !devices.graphics.is_empty() {
        devices.videos.push(Video::default());
    }
    for video in &mut devices.videos {
        let model = video.model.get_or_insert_with(VideoModel::default);
        let vram = model.vram_kib.filter(|&v| v != 0).unwrap_or(4096);
        model.vram_kib = Some(vram.checked_next_power_of_two().unwrap_or(0));
    }
    devices.videos.sort_by_key(|v| !v.model.as_ref().is_some_and(|m| m.primary));
}

/// Numbers from the caller's seed (splitmix64): the same seed makes the same file.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// Of version 4, as libvirt makes them.
fn random_uuid(random: &mut Random) -> Uuid {
    let mut bytes = *Uuid::from_u64_pair(random.next(), random.next()).as_bytes();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    Uuid::from_bytes(bytes)
}

/// In VMware's range for generated addresses.
fn random_mac(random: &mut Random) -> MacAddress {
    let [a, b, c, ..] = random.next().to_be_bytes();
    MacAddress([0x00, 0x0c, 0x29, a, b, c])
}
