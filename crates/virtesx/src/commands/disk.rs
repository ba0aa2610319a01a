//! Disks and media: `attach-disk`, `detach-disk`, `change-media`.

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgMatches};
use virt_api::{
    Domain, DomainBlockDevice, DomainDeviceModifyFlags as Flags, Error, ErrorCode, ErrorDomain,
    Hypervisor,
};
use virt_xml::{Element, Node};

use super::device::{Change, change_device, device_impact, printed, with_device_impact};
use super::plain::{Plain, domain_request, impact, option, shown, switch, with_impact};
use crate::command::{Group, positional, required_value, value};
use crate::commands::domain::domain_argument;
use crate::failure::{Context, usage};
use crate::render::Done;
use crate::size::parse_kib;

fn words(
    name: &'static str,
    value: &'static str,
    help: &'static str,
    words: &[&'static str],
) -> Arg {
    option(name, value, help).value_parser(PossibleValuesParser::new(words.to_vec()))
}

fn text(matches: &ArgMatches, name: &str) -> Option<String> {
    matches.get_one::<String>(name).cloned()
}

/// `file` or `block`, if the user does not say.
fn source_type(source: &str) -> &'static str {
    let of_host = ["/dev/", "/vmfs/devices/"].iter().any(|folder| source.starts_with(folder));
    if of_host { "block" } else { "file" }
}

/// `<disk>` with what every document of one begins with.
fn disk(kind: &str, device: Option<&str>) -> Element {
    let disk = Element::new("disk").with_attribute("type", kind);
    match device {
        Some(device) => disk.with_attribute("device", device),
        None => disk,
    }
}

fn source_element(kind: &str, source: &str) -> Element {
    let attribute = if kind == "block" { "dev" } else { "file" };
    Element::new("source").with_attribute(attribute, source)
}

fn target_element(target: &str, bus: Option<&str>) -> Element {
    let element = Element::new("target").with_attribute("dev", target);
    match bus {
        Some(bus) => element.with_attribute("bus", bus),
        None => element,
    }
}

/// The document of `attach-disk`.
fn attached(matches: &ArgMatches) -> Result<String, Error> {
    let source = value(matches, "source").unwrap_or_default();
    let target = required_value(matches, "target")?;
    let kind = text(matches, "sourcetype");
    let kind = kind.as_deref().unwrap_or_else(|| source_type(&source));
    let mut disk = disk(kind, text(matches, "type").as_deref());
    let (driver, cache) = (text(matches, "driver"), text(matches, "cache"));
    if driver.is_some() || cache.is_some() {
        let mut element = Element::new("driver");
        for (name, value) in [("name", driver), ("cache", cache)] {
            if let Some(value) = value {
                element = element.with_attribute(name, &value);
            }
        }
        disk = disk.with_child(element);
    }
    if !source.is_empty() {
        let mut element = source_element(kind, &source);
        if let Some(size) = text(matches, "create") {
            let kib = parse_kib(&size, "create")?;
            let size = |name: &str, kib: u64| {
                let mut element = Element::new(name).with_attribute("unit", "KiB");
                element.children.push(Node::Text(kib.to_string()));
                element
            };
            element = element.with_child(size("capacity", kib));
            if matches.get_flag("thin") {
                element = element.with_child(size("allocation", 0));
            }
        }
        disk = disk.with_child(element);
    } else if matches.contains_id("create") {
        return Err(usage("option --create needs a SOURCE"));
    }
    disk = disk.with_child(target_element(&target, text(matches, "targetbus").as_deref()));
    if let Some(mode) = text(matches, "mode") {
        disk = disk.with_child(Element::new(&mode));
    }
    if let Some(address) = text(matches, "address") {
        disk = disk.with_child(address_element(&address)?);
    }
    Ok(disk.to_xml())
}

/// `scsi:0.0.2`, `sata:0.0.2`, `ide:0.0.1`: controller, bus, unit, as virsh has it.
fn address_element(text: &str) -> Result<Element, Error> {
    let wrong = || usage(format!("'{text}' is no address of a disk: BUS:CONTROLLER.BUS.UNIT"));
    let (_, numbers) = text.split_once(':').ok_or_else(wrong)?;
    let numbers: Vec<u32> =
        numbers.split('.').map(|n| n.parse().map_err(|_| wrong())).collect::<Result<_, _>>()?;
    let [controller, bus, unit] = numbers[..] else { return Err(wrong()) };
    Ok(Element::new("address")
        .with_attribute("type", "drive")
        .with_attribute("controller", &controller.to_string())
        .with_attribute("bus", &bus.to_string())
        .with_attribute("unit", &unit.to_string()))
}

/// `attach-disk`
pub(crate) static ATTACH_DISK: Plain = Plain {
    name: "attach-disk",
    group: Group::Domain,
    summary: "Attach a disk, CD-ROM or floppy drive",
    details: "SOURCE is '[datastore] path'; an empty one ('') makes an empty drive. The file must exist, unless --create gives\n\
        the size of a new one (virsh has no such option), for example 20G. TARGET says where: sda, sdb (scsi, sata),\n\
        hda (ide), nvme0n1 (nvme), fda (fdc). A controller that is missing is added, of the model of --driver.",
    usage: "DOMAIN SOURCE TARGET",
    arguments: |command| {
        let command = domain_argument(command);
        let command = positional(command, "source", "File in a datastore", true);
        let command = positional(command, "target", "Where it is attached", true);
        with_device_impact(command)
            .arg(words(
                "targetbus",
                "BUS",
                "Bus of the target",
                &["scsi", "sata", "ide", "nvme", "fdc"],
            ))
            .arg(option("driver", "MODEL", "Model of a SCSI controller that is added"))
            .arg(words("cache", "MODE", "Cache mode", &["writethrough", "default"]))
            .arg(words("type", "DEVICE", "Kind of device", &["disk", "cdrom", "floppy"]).id("type"))
            .arg(words("mode", "MODE", "How it is used", &["readonly", "shareable", "transient"]))
            .arg(words("sourcetype", "TYPE", "What the source is", &["file", "block"]))
            .arg(option("address", "ADDRESS", "Place at the controller, such as scsi:0.0.2"))
            .arg(option("create", "SIZE", "Make the file, of this size"))
            .arg(switch("thin", "Make it without allocating its blocks").requires("create"))
            .arg(switch("print-xml", "Print the XML and attach nothing"))
    },
    request: |matches| {
        let (xml, print) = (attached(matches)?, matches.get_flag("print-xml"));
        let impact = device_impact(matches);
        domain_request(matches, async move |hypervisor, domain| {
            if print {
                return printed(&xml);
            }
            let words = ("attach-disk", "a disk", "Disk attached successfully");
            let flags = impact.flags(&domain);
            change_device(hypervisor, &domain, &xml, flags, Change::Attach, words).await
        })
    },
};

/// The disk or drive of this target or source.
async fn found(
    hypervisor: &dyn Hypervisor,
    domain: &Domain,
    path: &str,
) -> Result<DomainBlockDevice, Error> {
    let devices = hypervisor.domain_list_block_devices(domain).await;
    let devices =
        devices.context(|| format!("failed to get the disks of domain '{}'", domain.name))?;
    let fits = |device: &DomainBlockDevice| {
        device.target == path || device.source.as_deref() == Some(path)
    };
    let mut fitting = devices.into_iter().filter(fits);
    let failed =
        |message: String| Error::new(ErrorCode::OperationFailed, ErrorDomain::None, message);
    match (fitting.next(), fitting.next()) {
        (Some(device), None) => Ok(device),
        (None, _) => Err(failed(format!("No disk found whose source path or target is {path}"))),
        (Some(first), Some(second)) => Err(failed(format!(
            "'{path}' is a disk on the bus {} and one on the bus {}: use detach-device or update-device",
            first.bus, second.bus
        ))),
    }
}

/// `detach-disk`
pub(crate) static DETACH_DISK: Plain = Plain {
    name: "detach-disk",
    group: Group::Domain,
    summary: "Detach a disk, CD-ROM or floppy drive",
    details: "TARGET is a target (sdb) or a source. The file stays.",
    usage: "DOMAIN TARGET",
    arguments: |command| {
        let command = positional(domain_argument(command), "target", "Target or source", true);
        with_device_impact(command).arg(switch("print-xml", "Print the XML and detach nothing"))
    },
    request: |matches| {
        let (target, print) = (required_value(matches, "target")?, matches.get_flag("print-xml"));
        let impact = device_impact(matches);
        domain_request(matches, async move |hypervisor, domain| {
            let device = found(hypervisor, &domain, &target).await?;
            let mut document = disk(&device.kind, Some(&device.device));
            if let Some(source) = &device.source {
                document = document.with_child(source_element(&device.kind, source));
            }
            let xml =
                document.with_child(target_element(&device.target, Some(&device.bus))).to_xml();
            if print {
                return printed(&xml);
            }
            let words = ("detach-disk", "a disk", "Disk detached successfully");
            let flags = impact.flags(&domain);
            change_device(hypervisor, &domain, &xml, flags, Change::Detach, words).await
        })
    },
};

/// What becomes of a medium.
#[derive(Clone, Copy, PartialEq)]
enum Medium {
    Eject,
    Insert,
    Update,
}

/// `change-media`
pub(crate) static CHANGE_MEDIA: Plain = Plain {
    name: "change-media",
    group: Group::Domain,
    summary: "Change what is in a CD-ROM or floppy drive",
    details: "PATH is a target (hdc) or the source that is in the drive now. Without --eject or --insert it is changed in\n\
        either case. If the guest has locked the drive the host asks; --force says yes.",
    usage: "DOMAIN PATH [SOURCE]",
    arguments: |command| {
        let command = positional(domain_argument(command), "path", "Target or source", true);
        let command = positional(command, "source", "What is put in", false);
        with_impact(command)
            .arg(switch("eject", "Take out what is in").conflicts_with_all(["insert", "update"]))
            .arg(switch("insert", "Put in, if nothing is in").conflicts_with("update"))
            .arg(switch("update", "Put in, whatever is in"))
            .arg(switch("force", "Even if the guest has locked the drive"))
            .arg(switch("block", "SOURCE is a device of the host"))
            .arg(switch("print-xml", "Print the XML and change nothing"))
    },
    request: |matches| {
        let path = required_value(matches, "path")?;
        let source = value(matches, "source").filter(|source| !source.is_empty());
        let medium = match (matches.get_flag("eject"), matches.get_flag("insert")) {
            (true, _) => Medium::Eject,
            (_, true) => Medium::Insert,
            _ => Medium::Update,
        };
        if source.is_none() && medium != Medium::Eject {
            return Err(usage("no SOURCE to put in"));
        }
        let mut flags = Flags::from_bits_retain(impact(matches).unwrap_or_default());
        flags.set(Flags::FORCE, matches.get_flag("force"));
        let (block, print) = (matches.get_flag("block"), matches.get_flag("print-xml"));
        domain_request(matches, async move |hypervisor, domain| {
            let device = found(hypervisor, &domain, &path).await?;
            let refuse = |what: &str| {
                let message = format!("The disk device '{path}' {what}");
                Err(Error::new(ErrorCode::OperationFailed, ErrorDomain::None, message))
            };
            if device.device == "disk" {
                return refuse("is not removable");
            }
            match (medium, &device.source) {
                (Medium::Eject, None) => return refuse("doesn't have media"),
                (Medium::Insert, Some(_)) => return refuse("already has media"),
                _ => {}
            }
            let source = source.as_deref().filter(|_| medium != Medium::Eject);
            let kind = match source {
                Some(_) if block => "block",
                Some(source) => source_type(source),
                None => "file",
            };
            let mut document = disk(kind, Some(&device.device));
            if let Some(source) = source {
                document = document.with_child(source_element(kind, source));
            }
            let xml =
                document.with_child(target_element(&device.target, Some(&device.bus))).to_xml();
            if print {
                return printed(&xml);
            }
            let done = match medium {
                Medium::Eject => "ejected",
                Medium::Insert => "inserted",
                Medium::Update => "updated",
            };
            let result = hypervisor.domain_update_device_flags(&domain, &xml, flags).await;
            result.context(|| {
                format!("failed to change the media of '{path}' of domain '{}'", domain.name)
            })?;
            let sentence = format!("Successfully {done} media.");
            shown(Done::to_domain("change-media", &domain).saying(&sentence))
        })
    },
};
