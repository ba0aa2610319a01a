//! What libvirt refuses between reading a domain and looking at VMX (`spec/vmx.md` 9 and 10,
//! `spec/libvirt-12-deltas.md` 10), in its order (measured, pair by pair).
//!
//! Default mode checks only that the domain is one that VMware can run.

use std::collections::BTreeSet;

use virt_xml::domain::{Address, CharDevice, Disk, Domain, Video};

use super::normal::{by_name, regrouped};
use crate::context::Context;
use crate::error::{Code, Error, ErrorDomain};
use crate::target;

const INTERFACE_MODELS: [&str; 22] = [
    "unknown",
    "netfront",
    "rtl8139",
    "virtio",
    "e1000",
    "e1000e",
    "igb",
    "virtio-transitional",
    "virtio-non-transitional",
    "usb-net",
    "spapr-vlan",
    "lan9118",
    "scm91c111",
    "vlance",
    "vmxnet",
    "vmxnet2",
    "vmxnet3",
    "Am79C970A",
    "Am79C973",
    "82540EM",
    "82545EM",
    "82543GC",
];

fn fails(code: Code, at: impl Into<String>, reason: impl std::fmt::Display) -> Error {
    Error::new(code, at, reason).in_domain(ErrorDomain::Domain)
}

fn at(device: &str, index: usize) -> String {
    format!("/domain/devices/{device}[{}]", index + 1)
}

pub(super) fn domain(domain: &Domain, context: &Context) -> Result<(), Error> {
    guest(domain, context)?;
    if context.exact() {
        // libvirt has sorted the disks by then.
        let mut sorted = domain.clone();
        sorted.devices.disks = regrouped(sorted.devices.disks);
        additions(&sorted)?;
        validity(&sorted)?;
    }
    Ok(())
}

/// Hypervisor, type and architecture, in both modes.
fn guest(domain: &Domain, context: &Context) -> Result<(), Error> {
    let architectures: &[&str] = if context.long_mode { &["i686", "x86_64"] } else { &["i686"] };
    let table: [(&str, &str, &[&str]); 3] = [
        ("/domain/@type", &domain.kind, &["vmware"]),
        ("/domain/os/type", &domain.os.kind, &["hvm"]),
        ("/domain/os/type/@arch", domain.os.arch.as_deref().unwrap_or("i686"), architectures),
    ];
    for (at, word, good) in table {
        if !good.contains(&word) {
            let reason = format!("the host runs no '{word}'");
            return Err(
                Error::new(Code::InvalidArg, at, reason).in_domain(ErrorDomain::Capabilities)
            );
        }
    }
    Ok(())
}

/// What libvirt notices while it completes the domain.
fn additions(domain: &Domain) -> Result<(), Error> {
    let devices = &domain.devices;
    let unsupported = |at: String, reason: &str| Err(fails(Code::ConfigUnsupported, at, reason));
    for (i, disk) in devices.disks.iter().enumerate() {
        let on_drive = matches!(disk.bus.as_deref(), Some("scsi" | "ide" | "fdc" | "sata"));
        let unnamed = disk.target.is_empty() && !has_empty_name(disk);
        let named = unnamed || target::index(&disk.target).is_some();
        if on_drive && disk.address.is_none() && !named {
            let reason = format!("'{}' is not the name of a disk", disk.target);
            return Err(fails(Code::XmlError, at("disk", i), reason));
        }
    }
    for (i, interface) in devices.interfaces.iter().enumerate() {
        if let Some(model) = interface.model.as_deref()
            && !INTERFACE_MODELS.iter().any(|m| m.eq_ignore_ascii_case(model))
        {
            return unsupported(at("interface", i), &format!("model '{model}' is not known"));
        }
    }
    let has = |list: &[virt_xml::Element], name: &str| {
        list.iter().any(|e| e.name == name && e.namespace.is_none())
    };
    if has(&devices.other, "memory") {
        return unsupported("/domain/devices/memory".to_owned(), "there are no memory devices");
    }
    if domain.memory_kib == 0 {
        return Err(fails(Code::XmlError, "/domain/memory", "the size is missing"));
    }
    for (i, controller) in devices.controllers.iter().enumerate() {
        let twin = devices.controllers[..i].iter().any(|c| {
            // USB controllers have companions of the same index.
            let numbered = c.index.is_some() && c.kind != "usb";
            numbered && c.kind == controller.kind && c.index == controller.index
        });
        if twin {
            let reason = "there is one of that type and index";
            return Err(fails(Code::XmlError, at("controller", i), reason));
        }
    }
    let is_serial = |c: &CharDevice| c.target_type.as_deref().is_none_or(|t| t == "serial");
    if let Some(i) = devices.consoles.iter().skip(1).position(is_serial) {
        return unsupported(at("console", i + 1), "only the first one can be a serial port");
    }
    for name in ["vcpus", "maxMemory"] {
        if has(&domain.other, name) {
            return unsupported(format!("/domain/{name}"), "VMX files have no hotplug");
        }
    }
    Ok(())
}

/// What libvirt notices when it checks the completed domain.
fn validity(domain: &Domain) -> Result<(), Error> {
    let devices = &domain.devices;
    for (i, disk) in devices.disks.iter().enumerate() {
        if disk.device == "floppy" && disk.bus.as_deref() != Some("fdc") {
            return Err(fails(Code::InternalError, at("disk", i), "a floppy must be on bus fdc"));
        }
    }
    for (i, disk) in devices.disks.iter().enumerate() {
        self::disk(&at("disk", i), disk)?;
    }
    // The first console is a serial port where there is none, and dropped where there is one.
    let consoles: &[CharDevice] = match devices.serials.first() {
        Some(_) => &[],
        None => devices.consoles.get(..1).unwrap_or_default(),
    };
    for (name, list) in [
        ("serial", &devices.serials[..]),
        ("console", consoles),
        ("parallel", &devices.parallels[..]),
    ] {
        for (i, device) in list.iter().enumerate() {
            char_device(&at(name, i), device)?;
        }
    }
    for (i, folder) in devices.filesystems.iter().enumerate() {
        if folder.target_dir.is_none() {
            return Err(fails(Code::NoTarget, at("filesystem", i), "the target is missing"));
        }
    }
    let mut targets = BTreeSet::new();
    for (i, disk) in devices.disks.iter().enumerate() {
        if !targets.insert(&disk.target) {
            let reason = format!("there is another '{}'", disk.target);
            return Err(fails(Code::XmlError, at("disk", i), reason));
        }
    }
    let mut addresses = BTreeSet::new();
    for (i, disk) in devices.disks.iter().enumerate() {
        let bus = disk.bus.as_deref().unwrap_or_default();
        let address = match disk.address {
            Some(Address::Drive { controller, bus, target, unit }) => {
                Some((controller, bus, target, unit))
            }
            // The name stands for an address.
            None if matches!(bus, "scsi" | "ide" | "fdc" | "sata") => target::index(&disk.target)
                .map(|(_, index)| {
                    let (controller, number, unit) = by_name(bus, index);
                    (controller, number, 0, unit)
                }),
            _ => None,
        };
        if address.is_some_and(|address| !addresses.insert((bus, address))) {
            let reason = "there is another disk at its address";
            return Err(fails(Code::ConfigUnsupported, at("disk", i), reason));
        }
    }
    firmware(domain)?;
    let primary = |v: &&Video| v.model.as_ref().is_some_and(|m| m.primary);
    if devices.videos.iter().filter(primary).count() > 1 {
        let reason = "there can be one primary video only";
        return Err(fails(Code::ConfigUnsupported, "/domain/devices/video", reason));
    }
    Ok(())
}

fn firmware(domain: &Domain) -> Result<(), Error> {
    let os = &domain.os;
    let is = |name: &str, enabled| {
        os.firmware_features.iter().any(|f| f.name == name && f.enabled == enabled)
    };
    if is("secure-boot", false) && is("enrolled-keys", true) {
        let reason = "enrolled keys make no sense without secure boot";
        return Err(fails(Code::XmlDetail, "/domain/os/firmware", reason));
    }
    if os.nvram.is_none() {
        return Ok(());
    }
    let at = "/domain/os/nvram";
    if os.other.iter().any(|e| e.name == "varstore" && e.namespace.is_none()) {
        return Err(fails(Code::XmlError, at, "not together with varstore"));
    }
    let loader = os.loader.as_ref();
    let reason = match () {
        () if os.firmware.as_deref() == Some("bios") => "not with firmware bios",
        () if os.firmware.is_none() && loader.is_none_or(|l| l.path.is_none()) => {
            "neither a firmware nor a loader is given"
        }
        () if loader.is_some_and(|l| l.stateless == Some(true)) => "not with a stateless loader",
        () if loader.is_some_and(|l| l.readonly == Some(false)) => "not with a writable loader",
        () => return Ok(()),
    };
    Err(fails(Code::XmlDetail, at, reason))
}

fn disk(at: &str, disk: &Disk) -> Result<(), Error> {
    let source = disk.source.as_ref();
    let policy = source.and_then(|s| s.startup_policy.as_deref());
    let bus = disk.bus.as_deref().unwrap_or_default();
    if disk.target.is_empty() && !has_empty_name(disk) {
        return Err(fails(Code::NoTarget, at, "the target is missing"));
    }
    let hard = matches!(&*disk.device, "disk" | "lun");
    let prefixes = ["hd", "sd", "vd", "xvd", "ubd", "nvme"];
    let internal = |reason: &str| Err(fails(Code::InternalError, at, reason));
    let empty = source.is_none_or(|s| s.file.is_none() && s.dev.is_none() && s.other.is_empty());
    // A volume may turn out to be a block device.
    if disk.device == "lun" && !matches!(&*disk.kind, "block" | "volume") {
        return Err(fails(Code::ConfigUnsupported, at, "a lun must be a block device"));
    }
    let drive_bus = matches!(bus, "scsi" | "ide" | "fdc" | "sata");
    if drive_bus && !matches!(disk.address, None | Some(Address::Drive { .. })) {
        let reason = "the address is no drive address";
        return Err(fails(Code::ConfigUnsupported, at, reason));
    }
    if hard && policy == Some("requisite") {
        return Err(fails(Code::XmlError, at, "only removable media can be requisite"));
    }
    if disk.device == "disk" && matches!(&*disk.kind, "file" | "block") && empty {
        return Err(fails(Code::NoSource, at, "a hard disk needs a source"));
    }
    match (&*disk.device, bus) {
        (device, "fdc") if device != "floppy" => return internal("bus fdc is for floppies"),
        ("floppy", _) if !disk.target.starts_with("fd") => {
            return internal("the target is not that of a floppy");
        }
        _ => {}
    }
    if hard && !prefixes.iter().any(|p| disk.target.starts_with(p)) {
        return internal("the target is not that of a disk");
    }
    Ok(())
}

/// Whether the document gives the disk's target an empty name, which strict reading keeps.
fn has_empty_name(disk: &Disk) -> bool {
    disk.other.iter().any(|e| e.name == "target" && e.attribute("dev") == Some(""))
}

/// What libvirt wants of a character device before it asks whether VMX has such devices; measured.
fn char_device(at: &str, device: &CharDevice) -> Result<(), Error> {
    let source = device.source.as_ref();
    let missing = match device.kind.as_str() {
        "file" | "dev" | "pipe" | "unix" => source.is_none_or(|s| s.path.is_none()),
        "tcp" => source.is_none_or(|s| s.host.is_none() || s.service.is_none()),
        "udp" => !sends_to_a_service(device),
        _ => false,
    };
    if missing {
        return Err(fails(Code::InternalError, at, "the source is incomplete"));
    }
    Ok(())
}

/// Whether one of the sources of a device for datagrams is where they go to, with a port.
fn sends_to_a_service(device: &CharDevice) -> bool {
    let connects = |mode: Option<&str>| mode.is_none_or(|mode| mode == "connect");
    let first = device.source.as_ref();
    first.is_some_and(|s| connects(s.mode.as_deref()) && s.service.is_some())
        || device.other.iter().any(|e| {
            let source = e.name == "source" && e.namespace.is_none();
            source && connects(e.attribute("mode")) && e.attribute("service").is_some()
        })
}
