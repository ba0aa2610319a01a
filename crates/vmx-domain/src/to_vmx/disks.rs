//! Disks, floppies and controllers (`spec/vmx.md` 12.1 to 12.3).

use virt_xml::domain::{Address, Controller, Devices, Disk, PciAddress, SCSI_MODELS};

use super::normal::{by_name, is_detectable};
use super::writer::Writer;
use crate::bend::Bend as _;
use crate::context::ScsiModel;
use crate::error::Error;
use crate::target;

const HOST_CDROM: &str = "/vmfs/devices/cdrom/";

/// What is known of one of the four SCSI controllers.
#[derive(Clone, Debug, Default)]
struct Scsi {
    present: bool,
    model: Option<String>,
}

/// Controller, bus and unit of a disk with a drive address.
pub(super) fn drive_address(disk: &Disk) -> Option<(u32, u32, u32)> {
    match disk.address {
        Some(Address::Drive { controller, bus, unit, .. }) => Some((controller, bus, unit)),
        _ => None,
    }
}

fn location(number: usize) -> String {
    format!("/domain/devices/disk[{}]", number + 1)
}

/// Writes everything about disks. Says whether there is a SCSI controller.
pub(super) fn write(w: &mut Writer<'_>, devices: &Devices) -> Result<bool, Error> {
    let mut keys = Vec::new();
    for (i, disk) in devices.disks.iter().enumerate() {
        keys.push(key(w, &location(i), disk)?);
    }
    let scsi = scsi_controllers(w, devices)?;
    for (number, controller) in scsi.iter().enumerate().filter(|(_, c)| c.present) {
        w.line(&format!("scsi{number}.present"), true);
        if let Some(model) = &controller.model {
            let word = ScsiModel::ALL.iter().find(|m| m.word() == model);
            let Some(word) = word.map(|m| m.vmx_word()) else {
                let at = format!("/domain/devices/controller[@index='{number}']/@model");
                let reason = format!("a SCSI controller cannot be of model '{model}'");
                w.bend(Error::internal(at, reason), "written without model")?;
                continue;
            };
            w.line(&format!("scsi{number}.virtualDev"), word);
        }
        slot_number(w, devices, "scsi", number);
    }
    if !w.exact() {
        other_controllers(w, devices);
    }
    let mut floppies = [false; 2];
    for (i, (disk, key)) in devices.disks.iter().zip(keys).enumerate() {
        // In default mode a disk that has no place in a VMX file has been warned of.
        let Some(key) = key else { continue };
        let prefix = match disk.bus.as_deref() {
            Some("ide") => "hd",
            Some("fdc") => "fd",
            Some("nvme") => "nvme",
            _ => "sd",
        };
        if !disk.target.starts_with(prefix) {
            let reason = format!("target '{}' is not on its bus", disk.target);
            w.bend(Error::internal(location(i), reason), "the bus counts")?;
        }
        if disk.device == "floppy" {
            floppy(w, &location(i), disk, &key)?;
            for (n, present) in floppies.iter_mut().enumerate() {
                *present |= key == format!("floppy{n}");
            }
        } else {
            self::disk(w, &location(i), disk, &key)?;
        }
    }
    for (n, present) in floppies.iter().enumerate() {
        if !present {
            w.line(&format!("floppy{n}.present"), false);
        }
    }
    Ok(scsi.iter().any(|c| c.present))
}

/// The prefix of a disk's keys, after its address has been checked.
fn key(w: &mut Writer<'_>, at: &str, disk: &Disk) -> Result<Option<String>, Error> {
    let bus = disk.bus.as_deref().unwrap_or_default();
    let Some((controller, bus_number, unit)) = drive_address(disk) else {
        let error = if matches!(bus, "scsi" | "ide" | "fdc" | "sata" | "nvme") {
            Error::unsupported(at, "the address is no drive address")
        } else {
            Error::unsupported(at, format!("disks on bus '{bus}' cannot be written"))
        };
        return w.bend(error, "left out").map(|()| None);
    };
    if !matches!(bus, "scsi" | "sata" | "ide" | "fdc") && (bus != "nvme" || w.exact()) {
        let error = Error::unsupported(at, format!("disks on bus '{bus}' cannot be written"));
        return w.bend(error, "left out").map(|()| None);
    }
    let address = (controller, bus_number, unit);
    if bus != "nvme" && (bus != "sata" || w.exact()) {
        let named = target::index(&disk.target);
        if named.map(|(_, index)| by_name(bus, index)) != Some(address) {
            let reason = format!(
                "address {controller}:{bus_number}:{unit} is not that of target '{}'",
                disk.target
            );
            w.bend(Error::internal(at, reason), "the address counts")?;
        }
    }
    if bus == "sata" && w.exact() {
        return Err(Error::unsupported(at, "disks on bus 'sata' cannot be written"));
    }
    let wide = !w.exact();
    let (fits, key) = match bus {
        "scsi" => {
            let last = if wide { 64 } else { 15 };
            let fits = controller < 4 && bus_number == 0 && unit != 7 && unit <= last;
            (fits, format!("scsi{controller}:{unit}"))
        }
        "sata" => {
            // libvirt's own addresses have six units to a controller; VMX files have thirty.
            (controller < 4 && bus_number == 0 && unit < 30, format!("sata{controller}:{unit}"))
        }
        "nvme" => {
            (controller < 4 && bus_number == 0 && unit < 15, format!("nvme{controller}:{unit}"))
        }
        "ide" => (controller == 0 && bus_number < 2 && unit < 2, format!("ide{bus_number}:{unit}")),
        _ => (controller == 0 && bus_number == 0 && unit < 2, format!("floppy{unit}")),
    };
    if !fits {
        let reason = format!("no {bus} disk can be at {controller}:{bus_number}:{unit}");
        return Err(Error::internal(at, reason));
    }
    Ok(Some(key))
}

fn scsi_controllers(w: &mut Writer<'_>, devices: &Devices) -> Result<[Scsi; 4], Error> {
    // The model of every controller, of whatever type: legacy names are looked up by index alone.
    let mut models: Vec<Option<String>> =
        devices.controllers.iter().map(|c| c.model.clone()).collect();
    let scsi_disks = || {
        let on_scsi = |(_, d): &(usize, &Disk)| d.bus.as_deref() == Some("scsi");
        devices.disks.iter().enumerate().filter(on_scsi).filter_map(|(i, d)| {
            let (controller, ..) = drive_address(d)?;
            Some((i, d, usize::try_from(controller).ok().filter(|c| *c < 4)?))
        })
    };
    for (i, disk, controller) in scsi_disks() {
        let Some(name) = disk.driver.as_ref().and_then(|d| d.name.as_ref()) else { continue };
        let at = format!("{}/driver/@name", location(i));
        let name = name.to_ascii_lowercase();
        // A legacy driver name may be any of libvirt's words for controllers.
        if !SCSI_MODELS.contains(&name.as_str()) {
            let reason = format!("'{name}' is not a model of SCSI controllers");
            w.bend(Error::internal(at, reason), "ignored")?;
            continue;
        }
        let any_type = w.exact();
        let found = devices.controllers.iter().position(|c| {
            c.index.is_some_and(|n| n as usize == controller) && (any_type || c.kind == "scsi")
        });
        match found.map(|at| &mut models[at]) {
            Some(model @ None) => *model = Some(name),
            Some(Some(model)) if *model == name => {}
            Some(Some(model)) => {
                let reason = format!("the controller is of model '{model}', not '{name}'");
                w.bend(Error::internal(at, reason), "ignored")?;
            }
            None => {
                let reason = format!("there is no controller {controller}");
                w.bend(Error::internal(at, reason), "ignored")?;
            }
        }
    }
    let mut scsi: [Scsi; 4] = Default::default();
    for (_, _, controller) in scsi_disks() {
        scsi[controller].present = true;
    }
    for (c, model) in devices.controllers.iter().zip(models) {
        let Some(entry) = c.index.and_then(|i| scsi.get_mut(i as usize)) else { continue };
        if c.kind == "scsi" {
            if !entry.present && keeps_unused(w, devices, c) {
                entry.present = true;
                let at = format!("/domain/devices/controller[@type='scsi'][@index='{}']", index(c));
                w.warn(at, UNUSED);
            }
            entry.model = model;
        }
    }
    for (number, entry) in scsi.iter_mut().enumerate() {
        if entry.present && entry.model.as_deref() == Some("auto") {
            let disks = scsi_disks().filter(|(_, _, c)| *c == number);
            entry.model = detect(w, number, disks.map(|(_, d, _)| d))?;
        }
    }
    Ok(scsi)
}

/// The model that the host says the disks were made for. All must agree, and those that cannot be asked
/// about say `auto`.
fn detect<'d>(
    w: &mut Writer<'_>,
    number: usize,
    disks: impl Iterator<Item = &'d Disk>,
) -> Result<Option<String>, Error> {
    let known = &w.context.scsi_models;
    let answers = disks.map(|disk| {
        let file = disk.source.as_ref().and_then(|s| s.file.as_ref());
        let answer = known.iter().find(|(source, _)| Some(source) == file);
        match answer.filter(|_| is_detectable(disk)) {
            Some((_, model)) => model.word(),
            None => "auto",
        }
    });
    let mut answers: Vec<&str> = answers.collect();
    answers.dedup();
    if let [model] = answers[..] {
        return Ok(Some(model.to_owned()));
    }
    let at = format!("/domain/devices/controller[@index='{number}']");
    let error = Error::internal(at, "its disks were made for different controllers");
    w.bend(error, "written without model")?;
    Ok(None)
}

/// What libvirt does to controllers without disks.
const UNUSED: &str = "written though without disks; libvirt drops it";

fn index(controller: &Controller) -> u32 {
    controller.index.unwrap_or(0)
}

/// The highest number of a controller with disks, up to `limit` if there is one.
fn highest_used(devices: &Devices, bus: &str, limit: Option<u32>) -> Option<u32> {
    let on_bus = devices.disks.iter().filter(|d| d.bus.as_deref() == Some(bus));
    let controllers = on_bus.filter_map(|d| drive_address(d).map(|(c, ..)| c));
    controllers.filter(|&c| limit.is_none_or(|limit| c <= limit)).max()
}

/// Whether a controller is written in default mode though it has no disks: not if it is one of those that
/// libvirt adds below the highest one in use.
fn keeps_unused(w: &Writer<'_>, devices: &Devices, controller: &Controller) -> bool {
    let filler = controller.model.is_none()
        && controller.address.is_none()
        && highest_used(devices, &controller.kind, None) >= Some(index(controller));
    let used = highest_used(devices, &controller.kind, controller.index) == controller.index;
    !w.exact() && !filler && !used
}

/// SATA and NVMe controllers, which libvirt does not write.
fn other_controllers(w: &mut Writer<'_>, devices: &Devices) {
    for bus in ["sata", "nvme"] {
        for number in 0..4 {
            let index = Some(number as u32);
            let listed = devices.controllers.iter().find(|c| c.kind == bus && c.index == index);
            let unused = listed.is_some_and(|c| keeps_unused(w, devices, c));
            if unused || highest_used(devices, bus, index) == index {
                let at = format!("/domain/devices/controller[@type='{bus}'][@index='{number}']");
                w.warn(at, if unused { UNUSED } else { "written, which libvirt refuses to" });
                w.line(&format!("{bus}{number}.present"), true);
                slot_number(w, devices, bus, number);
            }
        }
    }
}

fn slot_number(w: &mut Writer<'_>, devices: &Devices, bus: &str, number: usize) {
    let address = devices
        .controllers
        .iter()
        .find(|c| c.kind == bus && c.index.is_some_and(|i| i as usize == number))
        .and_then(|c| c.address.as_ref());
    pci_slot(w, &format!("{bus}{number}.pciSlotNumber"), address);
}

/// The slot number for a PCI address, in default mode.
pub(super) fn pci_slot(w: &mut Writer<'_>, key: &str, address: Option<&Address>) {
    let Some(Address::Pci(Some(PciAddress { domain: 0, bus, slot, function }))) = address else {
        return;
    };
    if !w.exact() && *bus < 32 && *slot < 32 && *function < 8 {
        w.line(key, slot | bus << 5 | function << 10);
        w.warn(key, "written from the PCI address, which libvirt drops");
    }
}

fn disk(w: &mut Writer<'_>, at: &str, disk: &Disk, key: &str) -> Result<(), Error> {
    let bus = disk.bus.as_deref().unwrap_or_default();
    let source = disk.source.as_ref();
    let file = source.and_then(|s| s.file.as_deref());
    let line = |name: &str| format!("{key}.{name}");
    let unsupported = |what: &str| {
        Error::unsupported(at, format!("a {} of type '{}' {what}", disk.device, disk.kind))
    };
    // What stands under `deviceType`, and the file.
    match (&*disk.device, &*disk.kind) {
        ("disk", "file") => {
            let device_type = match bus {
                "scsi" => Some("scsi-hardDisk"),
                "ide" => Some("ata-hardDisk"),
                _ => None,
            };
            let name = image(w, at, file, ".vmdk")?;
            w.line(&line("present"), true);
            if let Some(device_type) = device_type {
                w.line(&line("deviceType"), device_type);
            }
            w.line(&line("fileName"), name);
        }
        ("cdrom", "file") if bus != "nvme" => {
            let name = match file {
                Some(_) => image(w, at, file, ".iso")?,
                None => "emptyBackingString".to_owned(),
            };
            w.line(&line("present"), true);
            w.line(&line("deviceType"), "cdrom-image");
            w.line(&line("fileName"), name);
        }
        ("cdrom" | "lun", "block") if bus != "nvme" => {
            let dev = source.and_then(|s| s.dev.as_deref());
            let optional = source.and_then(|s| s.startup_policy.as_deref()) == Some("optional");
            let passthru = bus == "scsi" && dev.is_some_and(|d| d.starts_with(HOST_CDROM));
            let device_type = match &*disk.device {
                "cdrom" => "atapi-cdrom",
                _ if passthru => "scsi-passthru",
                _ => "cdrom-raw",
            };
            w.line(&line("present"), true);
            w.line(&line("deviceType"), device_type);
            match dev {
                Some(dev) => w.line(&line("fileName"), dev),
                None if optional => {
                    w.line(&line("autodetect"), true);
                    w.line(&line("fileName"), "auto detect");
                }
                // What C prints for no string.
                None if w.exact() => w.line(&line("fileName"), "(null)"),
                None => {
                    w.line(&line("autodetect"), true);
                    w.line(&line("fileName"), "auto detect");
                    w.warn(
                        at,
                        "no source; written as a drive to be detected, libvirt writes (null)",
                    );
                }
            }
        }
        _ => return Err(unsupported("cannot be written")),
    }
    cache(w, at, disk, bus, &line("writeThrough"))?;
    if disk.transient {
        w.line(&line("mode"), "independent-nonpersistent");
    }
    Ok(())
}

fn cache(w: &mut Writer<'_>, at: &str, disk: &Disk, bus: &str, key: &str) -> Result<(), Error> {
    let Some(cache) = disk.driver.as_ref().and_then(|d| d.cache.as_deref()) else { return Ok(()) };
    let exact_ide = w.exact() && bus != "scsi";
    match cache {
        "default" => {}
        _ if exact_ide => {}
        "writethrough" => w.line(key, true),
        _ => {
            let error = Error::unsupported(at, format!("cache mode '{cache}' is not supported"));
            w.bend(error, "ignored")?;
        }
    }
    Ok(())
}

/// The file name of an image, whose source must end in `suffix`.
fn image(w: &mut Writer<'_>, at: &str, file: Option<&str>, suffix: &str) -> Result<String, Error> {
    let file = file.unwrap_or_default();
    let end = file.len().checked_sub(suffix.len()).and_then(|cut| file.get(cut..));
    if !end.is_some_and(|end| end.eq_ignore_ascii_case(suffix)) {
        let error = Error::internal(at, format!("the source '{file}' does not end in {suffix}"));
        w.bend(error, "written all the same")?;
    }
    w.file_name(at, file)
}

fn floppy(w: &mut Writer<'_>, at: &str, disk: &Disk, key: &str) -> Result<(), Error> {
    let line = |name: &str| format!("{key}.{name}");
    let source = disk.source.as_ref();
    match &*disk.kind {
        "file" => {
            let name = match source.and_then(|s| s.file.as_deref()) {
                Some(file) => Some(w.file_name(at, file)?),
                None => None,
            };
            w.line(&line("present"), true);
            w.line(&line("fileType"), "file");
            if let Some(name) = name {
                w.line(&line("fileName"), name);
            }
        }
        "block" => {
            w.line(&line("present"), true);
            w.line(&line("fileType"), "device");
            if let Some(dev) = source.and_then(|s| s.dev.as_deref()) {
                w.line(&line("fileName"), dev);
            }
        }
        kind => {
            let reason = format!("a floppy of type '{kind}' cannot be written");
            return Err(Error::unsupported(at, reason));
        }
    }
    Ok(())
}
