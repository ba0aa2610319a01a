//! Disks and their controllers (`spec/vmx.md` 5, `spec/libvirt-12-deltas.md` 3 to 5).

use esx_vmx::Device;
use virt_xml::domain::{Address, Controller, Devices, Disk, DiskSource, Driver, PciAddress};

use super::reader::Reader;
use crate::bend::Bend as _;
use crate::context::ScsiModel;
use crate::error::Error;
use crate::files::Missing;
use crate::target;

/// Below it a SCSI controller has 15 disks, from it on 64.
const WIDE_SCSI_HARDWARE: i64 = 13;
const EMPTY: &str = "emptyBackingString";
const HOST_CDROM: &str = "/vmfs/devices/cdrom/";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Bus {
    Scsi,
    Sata,
    Ide,
    Fdc,
    Nvme,
}

impl Bus {
    fn word(self) -> &'static str {
        match self {
            Self::Scsi => "scsi",
            Self::Sata => "sata",
            Self::Ide => "ide",
            Self::Fdc => "fdc",
            Self::Nvme => "nvme",
        }
    }
}

/// One place where a disk can be: its keys, and what it is called in the domain.
struct Position<'a> {
    bus: Bus,
    /// `scsi0:1.`
    group: Device<'a>,
    target: String,
    address: Address,
    /// Where it is in the VMX file, if libvirt's address says something else.
    corrected: Option<Address>,
}

impl<'a> Position<'a> {
    fn new(bus: Bus, group: Device<'a>, target: String, address: Address) -> Self {
        Self { bus, group, target, address, corrected: None }
    }
}

pub(super) fn read(r: &mut Reader<'_>, hardware: i64, devices: &mut Devices) -> Result<(), Error> {
    let wide = hardware >= WIDE_SCSI_HARDWARE;
    let (last_unit, letters) = if wide { (64, 64) } else { (15, 15) };
    let slots = Slots::of(r);
    devices.disks.reserve(slots.0.len());
    for controller in 0..4 {
        let prefix = format!("scsi{controller}.");
        let group = r.group(&prefix);
        if !r.flag(group, "present", false)? {
            continue;
        }
        let model = scsi_model(r, group)?;
        push_controller(r, devices, Bus::Scsi, controller, model, group)?;
        for (unit, group) in slots.on(Bus::Scsi, controller) {
            if unit == 7 || unit > last_unit {
                continue;
            }
            let place = if unit < 7 { unit } else { unit - 1 };
            let target = target::name("sd", controller * letters + place);
            let at = Position::new(Bus::Scsi, group, target, drive(controller, 0, unit));
            disk(r, devices, at)?;
        }
    }
    for controller in 0..4 {
        let prefix = format!("sata{controller}.");
        let group = r.group(&prefix);
        if !r.flag(group, "present", false)? {
            continue;
        }
        push_controller(r, devices, Bus::Sata, controller, None, group)?;
        for (unit, group) in slots.on(Bus::Sata, controller).filter(|&(unit, _)| unit < 30) {
            let index = controller * 30 + unit;
            // libvirt goes by the letter, and for it a controller has six of them.
            let by_letter = drive(index / 6, 0, index % 6);
            let mut at = Position::new(Bus::Sata, group, target::name("sd", index), by_letter);
            at.corrected = Some(drive(controller, 0, unit)).filter(|right| *right != at.address);
            disk(r, devices, at)?;
        }
    }
    for bus in 0..2 {
        for (unit, group) in slots.on(Bus::Ide, bus).filter(|&(unit, _)| unit < 2) {
            let target = target::name("hd", bus * 2 + unit);
            disk(r, devices, Position::new(Bus::Ide, group, target, drive(0, bus, unit)))?;
        }
    }
    for number in 0..2 {
        floppy(r, devices, number)?;
    }
    for controller in 0..4 {
        let prefix = format!("nvme{controller}.");
        let group = r.group(&prefix);
        if !r.flag(group, "present", false)? {
            continue;
        }
        push_controller(r, devices, Bus::Nvme, controller, None, group)?;
        for (unit, group) in slots.on(Bus::Nvme, controller).filter(|&(unit, _)| unit < 15) {
            let target = format!("nvme{controller}n{}", unit + 1);
            let at = Position::new(Bus::Nvme, group, target, drive(controller, 0, unit));
            disk(r, devices, at)?;
        }
    }
    complete_controllers(devices);
    Ok(())
}

/// The devices whose prefixes are those of disks, `scsi0:1.`, in order of bus, controller and unit.
struct Slots<'a>(Vec<(Bus, u32, u32, Device<'a>)>);

impl<'a> Slots<'a> {
    fn of(r: &Reader<'a>) -> Self {
        let mut slots: Vec<_> = r
            .devices()
            .filter_map(|device| {
                let (bus, controller, unit) = slot(device.prefix())?;
                Some((bus, controller, unit, device))
            })
            .collect();
        slots.sort_unstable_by_key(|&(bus, controller, unit, _)| (bus, controller, unit));
        Self(slots)
    }

    /// The units on a controller, in order.
    fn on(&self, bus: Bus, controller: u32) -> impl Iterator<Item = (u32, Device<'a>)> {
        let from = self.0.partition_point(|&(b, c, ..)| (b, c) < (bus, controller));
        let of_it = move |&&(b, c, ..): &&(Bus, u32, u32, Device<'a>)| (b, c) == (bus, controller);
        self.0[from..].iter().take_while(of_it).map(|&(_, _, unit, device)| (unit, device))
    }
}

/// Bus, controller and unit of `scsi0:1.`
fn slot(prefix: &str) -> Option<(Bus, u32, u32)> {
    let buses = [Bus::Scsi, Bus::Sata, Bus::Ide, Bus::Nvme];
    let (bus, numbers) = buses.into_iter().find_map(|bus| {
        let (head, numbers) = prefix.as_bytes().split_at_checked(bus.word().len())?;
        head.eq_ignore_ascii_case(bus.word().as_bytes()).then_some((bus, numbers))
    })?;
    let (controller, unit) = small_number(numbers)?;
    let (unit, end) = small_number(unit.strip_prefix(b":")?)?;
    (end == b".").then_some((bus, controller, unit))
}

/// The number below 100 that the text starts with, without needless zeros, and the rest.
fn small_number(text: &[u8]) -> Option<(u32, &[u8])> {
    let digit = |byte: u8| u32::from(byte - b'0');
    match text {
        [ten @ b'1'..=b'9', one @ b'0'..=b'9', rest @ ..] => {
            Some((digit(*ten) * 10 + digit(*one), rest))
        }
        [one @ b'0'..=b'9', rest @ ..] => Some((digit(*one), rest)),
        _ => None,
    }
}

fn drive(controller: u32, bus: u32, unit: u32) -> Address {
    Address::Drive { controller, bus, target: 0, unit }
}

fn scsi_model(r: &mut Reader<'_>, group: Device<'_>) -> Result<Option<String>, Error> {
    let Some(word) = group.get("virtualDev") else { return Ok(None) };
    let mut models = ScsiModel::ALL.into_iter();
    if let Some(model) = models.find(|m| m.vmx_word().eq_ignore_ascii_case(word)) {
        return Ok(Some(model.word().to_owned()));
    }
    let key = group.key("virtualDev");
    let error = Error::internal(key, format!("SCSI controller model '{word}' is not known"));
    r.bend(error, "shown without model")?;
    Ok(None)
}

fn push_controller(
    r: &mut Reader<'_>,
    devices: &mut Devices,
    bus: Bus,
    index: u32,
    model: Option<String>,
    group: Device<'_>,
) -> Result<(), Error> {
    devices.controllers.push(Controller {
        kind: bus.word().to_owned(),
        index: Some(index),
        model,
        address: pci_address(r, group)?,
        other: Vec::new(),
    });
    Ok(())
}

/// The PCI address that a slot number stands for: five bits of slot, five of bus, three of function.
pub(super) fn pci_address(r: &mut Reader<'_>, group: Device<'_>) -> Result<Option<Address>, Error> {
    let bits = match r.number(group, "pciSlotNumber")? {
        None | Some(-1) => return Ok(None),
        Some(number) => number as u64,
    };
    let five = |shift: u32| ((bits >> shift) & 31) as u32;
    let (slot, bus, function) = (five(0), five(5), five(10) & 7);
    let known = (slot, bus) != (0, 0);
    Ok(Some(Address::Pci(known.then_some(PciAddress { domain: 0, bus, slot, function }))))
}

/// Adds the controllers below the highest one in use, per type, and sorts (`spec/libvirt-12-deltas.md` 4).
fn complete_controllers(devices: &mut Devices) {
    let buses = [Bus::Scsi, Bus::Sata, Bus::Nvme, Bus::Fdc, Bus::Ide].map(Bus::word);
    for bus in buses {
        let used = devices.disks.iter().filter(|d| d.bus.as_deref() == Some(bus));
        let highest = used
            .filter_map(|d| match d.address {
                Some(Address::Drive { controller, .. }) => Some(controller),
                _ => None,
            })
            .max();
        for index in 0..highest.map_or(0, |h| h + 1) {
            let known = |c: &Controller| c.kind == bus && c.index == Some(index);
            if !devices.controllers.iter().any(known) {
                devices.controllers.push(Controller {
                    kind: bus.to_owned(),
                    index: Some(index),
                    ..Controller::default()
                });
            }
        }
    }
    devices.controllers.sort_by_key(|c| (buses.iter().position(|b| *b == c.kind), c.index));
}

/// What a position's keys say.
struct Backing<'a> {
    device_type: Option<&'a str>,
    file_name: Option<&'a str>,
    write_through: bool,
    transient: bool,
}

impl Backing<'_> {
    fn type_is(&self, words: &[&str]) -> bool {
        self.device_type.is_some_and(|t| words.iter().any(|w| w.eq_ignore_ascii_case(t)))
    }

    fn type_is_other_than(&self, words: &[&str]) -> bool {
        self.device_type.is_some() && !self.type_is(words)
    }

    fn ends_with(&self, suffix: &str) -> bool {
        self.file_name.is_some_and(|name| {
            name.len()
                .checked_sub(suffix.len())
                .and_then(|cut| name.get(cut..))
                .is_some_and(|end| end.eq_ignore_ascii_case(suffix))
        })
    }
}

/// One position.
fn disk(r: &mut Reader<'_>, devices: &mut Devices, at: Position<'_>) -> Result<(), Error> {
    let group = at.group;
    let key = |name: &str| group.key(name);
    let [present, connected, device_type, client, file_name, write_through, mode] = group.values([
        "present",
        "startConnected",
        "deviceType",
        "clientDevice",
        "fileName",
        "writeThrough",
        "mode",
    ]);
    let present = r.flag_in(present, group, "present", false)?;
    // Checked, though it has no place in the document.
    r.flag_in(connected, group, "startConnected", true)?;
    if !present {
        return Ok(());
    }
    if r.flag_in(client, group, "clientDevice", false)? {
        if !r.exact() && at.bus == Bus::Nvme {
            r.warn(key("clientDevice"), "a client's drive cannot be an NVMe disk; left out");
        } else if !r.exact() {
            r.warn(key("clientDevice"), "a client's drive, which libvirt leaves out; shown empty");
            place(r, devices, at, Found::cdrom("file", "cdrom", None));
        }
        return Ok(());
    }
    let backing = Backing {
        device_type,
        file_name,
        write_through: r.flag_in(write_through, group, "writeThrough", false)?,
        transient: mode.is_some_and(|m| m.eq_ignore_ascii_case("independent-nonpersistent")),
    };
    let mut found = hard_disk(r, &at, &backing)?;
    if found.is_none() && at.bus != Bus::Nvme {
        found = cdrom_drive(r, &at, &backing)?;
    }
    if let Some(found) = found {
        place(r, devices, at, found);
    } else if !r.exact() && at.bus == Bus::Nvme {
        r.warn(key("fileName"), "not an NVMe disk; left out");
    }
    Ok(())
}

/// What a position turns out to hold.
struct Found {
    kind: &'static str,
    device: &'static str,
    source: Option<DiskSource>,
    readonly: bool,
    write_through: bool,
    transient: bool,
}

impl Found {
    fn disk(kind: &'static str, device: &'static str, source: Option<DiskSource>) -> Self {
        Self { kind, device, source, readonly: false, write_through: false, transient: false }
    }

    fn cdrom(kind: &'static str, device: &'static str, source: Option<DiskSource>) -> Self {
        Self { readonly: true, ..Self::disk(kind, device, source) }
    }
}

/// Puts a disk into the document, at the address that the mode asks for.
fn place(r: &mut Reader<'_>, devices: &mut Devices, at: Position<'_>, found: Found) {
    let mut address = at.address;
    if let Some(corrected) = at.corrected.filter(|_| !r.exact()) {
        let reason = "libvirt gives it the address of another controller or unit; corrected";
        r.warn(at.group.prefix().trim_end_matches('.'), reason);
        address = corrected;
    }
    let driver = || Driver { cache: Some("writethrough".to_owned()), ..Driver::default() };
    devices.disks.push(Disk {
        kind: found.kind.into(),
        device: found.device.into(),
        driver: found.write_through.then(driver),
        source: found.source,
        target: at.target,
        bus: Some(at.bus.word().into()),
        readonly: found.readonly,
        shareable: false,
        transient: found.transient,
        address: Some(address),
        other: Vec::new(),
    });
}

fn file_source(path: Option<String>) -> Option<DiskSource> {
    path.map(|file| DiskSource { file: Some(file), ..DiskSource::default() })
}

fn hard_disk(
    r: &mut Reader<'_>,
    at: &Position<'_>,
    backing: &Backing<'_>,
) -> Result<Option<Found>, Error> {
    let key = || at.group.key("fileName");
    let Some(name) = backing.file_name else { return Ok(None) };
    if backing.ends_with(".iso")
        || name == EMPTY
        || backing.type_is(&["atapi-cdrom", "cdrom-raw", "cdrom-image"])
        || (backing.type_is(&["scsi-passthru"]) && name.starts_with(HOST_CDROM))
    {
        return Ok(None);
    }
    if backing.ends_with(".vmdk") {
        let expected: &[&str] = match at.bus {
            Bus::Scsi => &["scsi-hardDisk", "disk"],
            Bus::Ide => &["ata-hardDisk", "disk"],
            _ => &[],
        };
        if !expected.is_empty() && backing.type_is_other_than(expected) {
            let type_key = at.group.key("deviceType");
            let word = backing.device_type.unwrap_or_default();
            let error = Error::internal(type_key, format!("no disk image has type '{word}'"));
            r.bend(error, "shown as a hard disk")?;
        }
    } else {
        let kind = backing.device_type.unwrap_or("unknown");
        let error = Error::internal(key(), format!("'{name}' (type {kind}) is no disk image"));
        if r.exact() {
            return Err(error);
        }
        if name.is_empty() {
            r.bend(error, "left out")?;
            return Ok(None);
        }
        if backing.type_is(&["scsi-passthru"]) {
            r.bend(error, "shown as a block device")?;
            let source = DiskSource { dev: Some(name.to_owned()), ..DiskSource::default() };
            return Ok(Some(Found::disk("block", "lun", Some(source))));
        }
        r.bend(error, "shown as a hard disk")?;
    }
    let path = r.source(key, name, Missing::Fail)?;
    Ok(Some(Found {
        write_through: backing.write_through,
        transient: backing.transient,
        ..Found::disk("file", "disk", file_source(path))
    }))
}

fn cdrom_drive(
    r: &mut Reader<'_>,
    at: &Position<'_>,
    backing: &Backing<'_>,
) -> Result<Option<Found>, Error> {
    let key = || at.group.key("fileName");
    let image = |path| Found::cdrom("file", "cdrom", file_source(path));
    let word = backing.device_type.unwrap_or_default();
    let odd_type = || {
        Error::internal(at.group.key("deviceType"), format!("no CD-ROM image has type '{word}'"))
    };
    if backing.ends_with(".vmdk") {
        let name = backing.file_name.unwrap_or_default();
        if r.exact() {
            return Ok(None);
        }
        r.warn(key(), "a disk image in a CD-ROM drive, which libvirt leaves out");
        return Ok(Some(image(r.source(key, name, Missing::Omit)?)));
    }
    if backing.ends_with(".iso") {
        if backing.type_is_other_than(&["cdrom-image"]) {
            r.bend(odd_type(), "shown as an image")?;
        }
        let name = backing.file_name.unwrap_or_default();
        return Ok(Some(image(r.source(key, name, Missing::Omit)?)));
    }
    for (word, device) in [("atapi-cdrom", "cdrom"), ("cdrom-raw", "lun")] {
        if backing.type_is(&[word]) {
            let source = backing.file_name.map(|name| {
                if name.eq_ignore_ascii_case("auto detect") {
                    let startup_policy = Some("optional".to_owned());
                    DiskSource { startup_policy, ..DiskSource::default() }
                } else {
                    DiskSource { dev: Some(name.to_owned()), ..DiskSource::default() }
                }
            });
            return Ok(Some(Found::cdrom("block", device, source)));
        }
    }
    if at.bus == Bus::Scsi && backing.type_is(&["scsi-passthru"]) {
        let name = backing.file_name.filter(|name| name.starts_with(HOST_CDROM));
        return Ok(name.map(|name| {
            let source = DiskSource { dev: Some(name.to_owned()), ..DiskSource::default() };
            Found::cdrom("block", "lun", Some(source))
        }));
    }
    if matches!(backing.file_name, Some("" | EMPTY)) {
        if backing.type_is_other_than(&["cdrom-image"]) {
            r.bend(odd_type(), "shown as an empty drive")?;
        }
        return Ok(Some(image(None)));
    }
    let name = backing.file_name.unwrap_or_default();
    let kind = backing.device_type.unwrap_or("unknown");
    let error = Error::internal(key(), format!("'{name}' (type {kind}) is no CD-ROM image"));
    if backing.type_is(&["cdrom-image"]) {
        r.bend(error, "shown as an image")?;
        let path = match backing.file_name {
            Some(name) => r.source(key, name, Missing::Omit)?,
            None => None,
        };
        return Ok(Some(image(path)));
    }
    if !r.exact() && backing.file_name.is_some() {
        // The attempt as a hard disk has said so already.
        return Ok(None);
    }
    r.bend(error, "left out")?;
    Ok(None)
}

fn floppy(r: &mut Reader<'_>, devices: &mut Devices, number: u32) -> Result<(), Error> {
    let prefix = format!("floppy{number}.");
    let group = r.group(&prefix);
    let address = drive(number / 2, 0, number % 2);
    let at = Position::new(Bus::Fdc, group, target::name("fd", number), address);
    let key = |name: &str| group.key(name);
    let present = r.flag(group, "present", false)?;
    r.flag(group, "startConnected", true)?;
    if !present {
        return Ok(());
    }
    if r.flag(group, "clientDevice", false)? {
        if !r.exact() {
            r.warn(key("clientDevice"), "a client's drive, which libvirt leaves out; shown empty");
            place(r, devices, at, Found::disk("file", "floppy", None));
        }
        return Ok(());
    }
    let name = group.get("fileName");
    // Checked like that of any disk; floppies do not show it.
    r.flag(group, "writeThrough", false)?;
    let file_type = group.get("fileType");
    let is = |word: &str| file_type.is_some_and(|t| t.eq_ignore_ascii_case(word));
    if is("device") {
        let source =
            name.map(|dev| DiskSource { dev: Some(dev.to_owned()), ..DiskSource::default() });
        place(r, devices, at, Found::disk("block", "floppy", source));
        return Ok(());
    }
    if !is("file") {
        let word = file_type.unwrap_or_default();
        let error = Error::internal(key("fileType"), format!("no floppy has type '{word}'"));
        r.bend(error, "shown as an image")?;
    }
    let path = match name {
        Some(name) => r.source(|| key("fileName"), name, Missing::Fail)?,
        None => None,
    };
    place(r, devices, at, Found::disk("file", "floppy", file_source(path)));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots() {
        let table = [
            ("scsi0:1.", Some((Bus::Scsi, 0, 1))),
            ("SATA3:29.", Some((Bus::Sata, 3, 29))),
            ("ide1:0.", Some((Bus::Ide, 1, 0))),
            ("nvme12:64.", Some((Bus::Nvme, 12, 64))),
            ("scsi0:01.", None),
            ("scsi00:1.", None),
            ("scsi0:100.", None),
            ("scsi0:1", None),
            ("scsi0.", None),
            ("scsi:1.", None),
            ("scsi0:.", None),
            ("xscsi0:1.", None),
            ("usb:1.", None),
        ];
        for (prefix, expect) in table {
            assert_eq!(slot(prefix), expect, "{prefix}");
        }
    }
}
