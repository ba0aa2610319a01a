//! What libvirt refuses before it looks at VMX at all (`spec/vmx.md` 9 and 10, `spec/libvirt-12-deltas.md` 10).
//!
//! Default mode checks only that the domain is one that VMware can run.

use std::collections::BTreeSet;

use virt_xml::domain::{Address, CharDevice, Disk, Domain};

use super::disks::SCSI_MODELS;
use crate::context::Context;
use crate::error::{Code, Error, ErrorDomain};

const HYPERVISORS: [&str; 17] = [
    "qemu",
    "kqemu",
    "kvm",
    "xen",
    "lxc",
    "uml",
    "openvz",
    "test",
    "vmware",
    "hyperv",
    "vbox",
    "phyp",
    "parallels",
    "bhyve",
    "vz",
    "hvf",
    "vserver",
];
const OS_TYPES: [&str; 6] = ["hvm", "xen", "linux", "exe", "uml", "xenpvh"];
const ARCHITECTURES: [&str; 46] = [
    "aarch64",
    "alpha",
    "armv6l",
    "armv7b",
    "armv7l",
    "cris",
    "i686",
    "ia64",
    "itanium",
    "lm32",
    "loongarch64",
    "m68k",
    "microblaze",
    "microblazeel",
    "mips",
    "mips64",
    "mips64el",
    "mipsel",
    "or32",
    "parisc",
    "parisc64",
    "ppc",
    "ppc64",
    "ppc64el",
    "ppc64le",
    "ppcemb",
    "riscv32",
    "riscv64",
    "s390",
    "s390x",
    "sh4",
    "sh4eb",
    "sparc",
    "sparc64",
    "unicore32",
    "x86_64",
    "xtensa",
    "xtensaeb",
    "amd64",
    "i386",
    "i486",
    "i586",
    "arm",
    "armeb",
    "avr",
    "hexagon",
];

fn fails(code: Code, at: impl Into<String>, reason: impl std::fmt::Display) -> Error {
    Error::new(code, at, reason).in_domain(ErrorDomain::Domain)
}

pub(super) fn domain(domain: &Domain, context: &Context) -> Result<(), Error> {
    guest(domain, context)?;
    if !context.exact() {
        return Ok(());
    }
    let unsupported = |at: &str, reason: &str| Err(fails(Code::ConfigUnsupported, at, reason));
    if domain.name.as_deref().is_none_or(str::is_empty) {
        return Err(fails(Code::NoName, "/domain/name", "missing"));
    }
    for (name, reason) in [("maxMemory", "memory hotplug"), ("vcpus", "single CPUs")] {
        if domain.other.iter().any(|e| e.name == name && e.namespace.is_none()) {
            return unsupported(&format!("/domain/{name}"), reason);
        }
    }
    if domain.devices.other.iter().any(|e| e.name == "memory" && e.namespace.is_none()) {
        return unsupported("/domain/devices/memory", "memory devices");
    }
    let actions = ["destroy", "restart", "rename-restart", "preserve"];
    let crash = ["coredump-destroy", "coredump-restart"];
    for (name, action, extra) in [
        ("on_poweroff", &domain.on_poweroff, &[][..]),
        ("on_reboot", &domain.on_reboot, &[][..]),
        ("on_crash", &domain.on_crash, &crash[..]),
    ] {
        let action = action.as_deref().unwrap_or("destroy");
        if !actions.contains(&action) && !extra.contains(&action) {
            return unsupported(&format!("/domain/{name}"), "not a known action");
        }
    }
    if let Some(mode) = domain.os.smbios_mode.as_deref()
        && !["none", "emulate", "host", "sysinfo"].contains(&mode)
    {
        return unsupported("/domain/os/smbios/@mode", "not a known mode");
    }
    nvram(domain)?;
    for (i, disk) in domain.devices.disks.iter().enumerate() {
        self::disk(&format!("/domain/devices/disk[{}]", i + 1), disk)?;
    }
    duplicates(&domain.devices.disks)?;
    controllers(domain)?;
    let devices = &domain.devices;
    for (name, list) in [
        ("serial", &devices.serials),
        ("parallel", &devices.parallels),
        ("console", &devices.consoles),
    ] {
        for (i, device) in list.iter().enumerate() {
            char_device(&format!("/domain/devices/{name}[{}]", i + 1), device)?;
        }
    }
    let primary = |v: &&virt_xml::domain::Video| v.model.as_ref().is_some_and(|m| m.primary);
    if devices.videos.iter().filter(primary).count() > 1 {
        return unsupported("/domain/devices/video", "there can be one primary video only");
    }
    let serial = |c: &CharDevice| c.target_type.as_deref().is_none_or(|t| t == "serial");
    if devices.consoles.iter().skip(1).any(|c| c.target_type.is_some() && serial(c)) {
        return unsupported("/domain/devices/console", "only the first one can be a serial port");
    }
    interfaces(domain)
}

/// Hypervisor, type and architecture, in both modes.
fn guest(domain: &Domain, context: &Context) -> Result<(), Error> {
    let mismatch = |at: &str, reason: String| {
        Err(super::invalid(at, reason).in_domain(ErrorDomain::Capabilities))
    };
    let table: [(&str, &str, &[&str], &[&str]); 3] = [
        ("/domain/@type", &domain.kind, &["vmware"], &HYPERVISORS),
        ("/domain/os/type", &domain.os.kind, &["hvm"], &OS_TYPES),
        (
            "/domain/os/type/@arch",
            domain.os.arch.as_deref().unwrap_or("i686"),
            if context.long_mode { &["i686", "x86_64"] } else { &["i686"] },
            &ARCHITECTURES,
        ),
    ];
    for (at, word, _, known) in table {
        if !known.contains(&word) {
            let reason = format!("'{word}' is not known");
            return Err(fails(Code::ConfigUnsupported, at, reason));
        }
    }
    for (at, word, good, _) in table {
        if !good.contains(&word) {
            return mismatch(at, format!("the host runs no '{word}'"));
        }
    }
    Ok(())
}

fn nvram(domain: &Domain) -> Result<(), Error> {
    let os = &domain.os;
    let Some(nvram) = &os.nvram else { return Ok(()) };
    let at = "/domain/os/nvram";
    if os.other.iter().any(|e| e.name == "varstore" && e.namespace.is_none()) {
        return Err(fails(Code::XmlError, at, "not together with varstore"));
    }
    if nvram.kind.is_none() && nvram.path.is_none() {
        return Ok(());
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
    let words: [(&str, Option<&str>, &[&str]); 5] = [
        (
            "@type",
            Some(&disk.kind),
            &["file", "block", "dir", "network", "volume", "nvme", "vhostuser", "vhostvdpa"],
        ),
        ("@device", Some(&disk.device), &["disk", "cdrom", "lun", "floppy"]),
        (
            "target/@bus",
            Some(bus),
            &["ide", "fdc", "scsi", "virtio", "xen", "usb", "uml", "sata", "sd", "nvme"],
        ),
        (
            "driver/@cache",
            disk.driver.as_ref().and_then(|d| d.cache.as_deref()),
            &["default", "none", "writethrough", "writeback", "directsync", "unsafe"],
        ),
        ("source/@startupPolicy", policy, &["default", "mandatory", "requisite", "optional"]),
    ];
    for (name, word, known) in words {
        if let Some(word) = word.filter(|w| !known.contains(w)) {
            let reason = format!("'{word}' is not known");
            return Err(
                fails(Code::XmlError, format!("{at}/{name}"), reason).in_domain(ErrorDomain::Xml)
            );
        }
    }
    let hard = matches!(disk.device.as_str(), "disk" | "lun");
    let prefixes = ["hd", "sd", "vd", "xvd", "ubd", "nvme"];
    let internal = |reason: &str| Err(fails(Code::InternalError, at, reason));
    match (disk.device.as_str(), bus) {
        ("floppy", bus) if bus != "fdc" => return internal("a floppy must be on bus fdc"),
        (device, "fdc") if device != "floppy" => return internal("bus fdc is for floppies"),
        ("floppy", _) if !disk.target.starts_with("fd") => {
            return internal("the target is not that of a floppy");
        }
        _ => {}
    }
    if hard && !prefixes.iter().any(|p| disk.target.starts_with(p)) {
        return internal("the target is not that of a disk");
    }
    let empty = source.is_none_or(|s| s.file.is_none() && s.dev.is_none() && s.other.is_empty());
    if disk.device == "disk" && matches!(disk.kind.as_str(), "file" | "block") && empty {
        return Err(fails(Code::NoSource, at, "a hard disk needs a source"));
    }
    if disk.device == "lun" && disk.kind != "block" {
        return Err(fails(Code::ConfigUnsupported, at, "a lun must be a block device"));
    }
    if hard && policy == Some("requisite") {
        return Err(fails(Code::XmlError, at, "only removable media can be requisite"));
    }
    let drive_bus = matches!(bus, "scsi" | "ide" | "fdc" | "sata");
    match disk.address {
        None | Some(Address::Drive { .. }) => Ok(()),
        Some(_) if drive_bus => {
            Err(fails(Code::ConfigUnsupported, at, "the address is no drive address"))
        }
        Some(_) => Ok(()),
    }
}

fn duplicates(disks: &[Disk]) -> Result<(), Error> {
    let mut targets = BTreeSet::new();
    let mut addresses = BTreeSet::new();
    for (i, disk) in disks.iter().enumerate() {
        let at = format!("/domain/devices/disk[{}]", i + 1);
        if !targets.insert(&disk.target) {
            return Err(fails(Code::XmlError, at, format!("there is another '{}'", disk.target)));
        }
        if let Some(Address::Drive { controller, bus, target, unit }) = disk.address
            && !addresses.insert((&disk.bus, controller, bus, target, unit))
        {
            return Err(fails(Code::ConfigUnsupported, at, "there is another disk at its address"));
        }
    }
    Ok(())
}

fn controllers(domain: &Domain) -> Result<(), Error> {
    let types = [
        "ide",
        "fdc",
        "scsi",
        "sata",
        "virtio-serial",
        "ccid",
        "usb",
        "pci",
        "xenbus",
        "isa",
        "nvme",
    ];
    for (i, controller) in domain.devices.controllers.iter().enumerate() {
        let at = format!("/domain/devices/controller[{}]", i + 1);
        if !types.contains(&controller.kind.as_str()) {
            let reason = format!("type '{}' is not known", controller.kind);
            return Err(fails(Code::XmlError, at, reason).in_domain(ErrorDomain::Xml));
        }
        if let Some(model) = controller.model.as_deref()
            && controller.kind == "scsi"
            && !SCSI_MODELS.contains(&model)
        {
            let reason = format!("model '{model}' is not known");
            return Err(fails(Code::ConfigUnsupported, at, reason));
        }
    }
    Ok(())
}

fn char_device(at: &str, device: &CharDevice) -> Result<(), Error> {
    let kinds = [
        "null",
        "vc",
        "pty",
        "dev",
        "file",
        "pipe",
        "stdio",
        "udp",
        "tcp",
        "unix",
        "spicevmc",
        "spiceport",
        "nmdm",
        "qemu-vdagent",
        "dbus",
    ];
    if !kinds.contains(&device.kind.as_str()) {
        let reason = format!("type '{}' is not known", device.kind);
        return Err(fails(Code::ConfigUnsupported, at, reason));
    }
    let source = device.source.as_ref();
    let missing = match device.kind.as_str() {
        "file" | "dev" | "pipe" => source.is_none_or(|s| s.path.is_none()),
        "tcp" => source.is_none_or(|s| s.host.is_none() || s.service.is_none()),
        _ => false,
    };
    if missing {
        return Err(fails(Code::InternalError, at, "the source is incomplete"));
    }
    Ok(())
}

fn interfaces(domain: &Domain) -> Result<(), Error> {
    let kinds = [
        "null",
        "user",
        "ethernet",
        "vhostuser",
        "server",
        "client",
        "mcast",
        "network",
        "bridge",
        "internal",
        "direct",
        "hostdev",
        "udp",
        "vdpa",
        "vds",
    ];
    let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let models = [
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
    for (i, interface) in domain.devices.interfaces.iter().enumerate() {
        let at = format!("/domain/devices/interface[{}]", i + 1);
        if !kinds.contains(&interface.kind.as_str()) {
            let reason = format!("type '{}' is not known", interface.kind);
            return Err(fails(Code::XmlError, at, reason).in_domain(ErrorDomain::Xml));
        }
        let Some(model) = interface.model.as_deref() else { continue };
        if !model.bytes().all(legal) {
            let reason = format!("model '{model}' has illegal characters");
            return Err(fails(Code::InvalidArg, at, reason));
        }
        if !models.iter().any(|m| m.eq_ignore_ascii_case(model)) {
            let reason = format!("model '{model}' is not known");
            return Err(fails(Code::ConfigUnsupported, at, reason));
        }
    }
    Ok(())
}
