//! Reading devices (`spec/vmx.md` 9.3).

use std::borrow::Cow;

use crate::domain::devices::{
    Address, CharDevice, CharSource, Controller, Device, Devices, Disk, DiskSource, Driver,
    Filesystem, Graphics, Interface, InterfaceSource, Listen, Mac, PciAddress, Tpm, TpmBackend,
    Video, VideoModel,
};
use crate::domain::{Secret, words};
use crate::element::{Element, Reader};
use crate::error::{Error, ErrorKind};
use crate::number::MacAddress;
use crate::uuids::parse_uuid;

pub(super) fn devices(mut r: Reader) -> Result<Devices, Error> {
    fn all<T>(
        r: &mut Reader,
        name: &'static str,
        read: fn(Reader) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        r.take_all(name).into_iter().map(read).collect()
    }
    Ok(Devices {
        disks: all(&mut r, "disk", disk)?,
        controllers: all(&mut r, "controller", controller)?,
        filesystems: all(&mut r, "filesystem", filesystem)?,
        interfaces: all(&mut r, "interface", interface)?,
        parallels: all(&mut r, "parallel", char_device)?,
        serials: all(&mut r, "serial", char_device)?,
        consoles: all(&mut r, "console", console)?,
        graphics: all(&mut r, "graphics", graphics)?,
        videos: all(&mut r, "video", video)?,
        tpms: {
            let tpms = r.take_all("tpm");
            if let Some(third) = tpms.get(2).filter(|tpm| tpm.is_strict()) {
                return Err(third.error(ErrorKind::Element, "there may be two only"));
            }
            tpms.into_iter().map(tpm).collect::<Result<_, _>>()?
        },
        other: r.rest(),
    })
}

/// One device by itself, as it is attached.
pub(super) fn device(element: Element) -> Result<Device, Error> {
    let name = element.name.clone();
    let root = Element::new("devices").with_child(element);
    let mut found = devices(Reader::root(root, false))?;
    let one = match name.as_str() {
        "disk" => found.disks.pop().map(Box::new).map(Device::Disk),
        "controller" => found.controllers.pop().map(Device::Controller),
        "filesystem" => found.filesystems.pop().map(Device::Filesystem),
        "interface" => found.interfaces.pop().map(Box::new).map(Device::Interface),
        "serial" => found.serials.pop().map(Device::Serial),
        "parallel" => found.parallels.pop().map(Device::Parallel),
        _ => None,
    };
    // Devices that are rarely attached are told apart no further.
    Ok(one.unwrap_or(Device::Other(name)))
}

fn disk(mut r: Reader) -> Result<Disk, Error> {
    let kind = r.word("type", &words::DISK_TYPES)?;
    let device = r.word("device", &words::DISK_DEVICES)?.unwrap_or_else(|| "disk".to_owned());
    let target = r.take("target");
    let (name, bus) = match &target {
        Some(target) => (target.attr("dev"), target.word("bus", &words::DISK_BUSES)?),
        None => (None, None),
    };
    // libvirt tells an empty name from none.
    let empty_name = target.as_ref().is_some_and(|t| t.attr_or_empty("dev") == Some(""));
    let name = name.map(|n| n.strip_prefix("ioemu:").unwrap_or(n)).unwrap_or_default().to_owned();
    let driver = match r.take("driver") {
        Some(driver) => Some(Driver {
            name: driver.attr_string("name"),
            kind: driver.attr_string("type"),
            cache: driver.word("cache", &words::CACHES)?,
        }),
        None => None,
    };
    let source = match r.take("source") {
        Some(source) => Some(DiskSource {
            file: source.attr_string("file"),
            dev: source.attr_string("dev"),
            startup_policy: source.word("startupPolicy", &words::STARTUP_POLICIES)?,
            other: source.rest(),
        }),
        None => None,
    };
    // Without a source libvirt forgets the type.
    let kind = kind.filter(|_| source.is_some()).map_or(Cow::Borrowed("file"), Cow::Owned);
    let bus = bus.map_or_else(|| Cow::Borrowed(default_bus(&device, &name)), Cow::Owned);
    let (readonly, shareable, transient) = (
        r.take("readonly").is_some(),
        r.take("shareable").is_some(),
        r.take("transient").is_some(),
    );
    let address = address(&mut r)?;
    let mut other = r.rest();
    other.extend(target.filter(|t| empty_name && t.is_strict()).map(Reader::whole));
    Ok(Disk {
        kind,
        device: device.into(),
        driver,
        source,
        target: name,
        bus: Some(bus),
        readonly,
        shareable,
        transient,
        address,
        other,
    })
}

fn default_bus(device: &str, target: &str) -> &'static str {
    let by_prefix =
        [("hd", "ide"), ("sd", "scsi"), ("vd", "virtio"), ("xvd", "xen"), ("ubd", "uml")];
    match device {
        "floppy" => "fdc",
        _ => by_prefix.iter().find(|(p, _)| target.starts_with(p)).map_or("ide", |(_, b)| b),
    }
}

fn address(r: &mut Reader) -> Result<Option<Address>, Error> {
    let Some(a) = r.take("address") else { return Ok(None) };
    let number = |name: &str| Ok::<u32, Error>(a.number(name)?.unwrap_or(0));
    Ok(Some(match a.attr("type") {
        None => return Err(a.attr_error("type", "missing")),
        Some("drive") => Address::Drive {
            controller: number("controller")?,
            bus: number("bus")?,
            target: number("target")?,
            unit: number("unit")?,
        },
        Some("pci") => {
            let names = ["domain", "bus", "slot", "function"];
            if names.iter().all(|name| a.attr(name).is_none()) {
                return Ok(Some(Address::Pci(None)));
            }
            let number = |name: &str| match a.attr(name) {
                None => Ok(0),
                Some(text) => c_number(text)
                    .and_then(|n| u32::try_from(n).ok())
                    .ok_or_else(|| a.attr_error(name, format!("'{text}' is not a valid number"))),
            };
            let [domain, bus, slot, function] = names.map(number);
            let (domain, bus) = (domain?, bus?);
            Address::Pci(Some(PciAddress { domain, bus, slot: slot?, function: function? }))
        }
        Some(_) => Address::Other(Box::new(a.whole())),
    }))
}

/// A number in decimal, or with C's prefixes in hexadecimal or octal.
fn c_number(text: &str) -> Option<i64> {
    let text = text.trim_start_matches([' ', '\t', '\n', '\r']);
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (digits, radix) = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hex) => (hex, 16),
        None if digits.len() > 1 && digits.starts_with('0') => (&digits[1..], 8),
        None => (digits, 10),
    };
    if !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    let value = i64::from_str_radix(digits, radix).ok()?;
    Some(if negative { -value } else { value })
}

fn controller(mut r: Reader) -> Result<Controller, Error> {
    let kind = r.word("type", &words::CONTROLLER_TYPES)?.unwrap_or_else(|| "ide".to_owned());
    let index = r.number("index")?;
    let model = r.attr_string("model");
    let known = model.as_deref().is_none_or(|m| words::SCSI_MODELS.contains(&m));
    if r.is_strict() && kind == "scsi" && !known {
        return Err(r.error(ErrorKind::Unsupported, "the model is not known"));
    }
    let address = address(&mut r)?;
    Ok(Controller { kind, index, model, address, other: r.rest() })
}

fn filesystem(mut r: Reader) -> Result<Filesystem, Error> {
    let kind = r.word("type", &words::FILESYSTEM_TYPES)?.unwrap_or_else(|| "mount".to_owned());
    let source = r.take("source");
    let attribute = match kind.as_str() {
        "block" => "dev",
        "file" => "file",
        "template" => "name",
        "ram" => "usage",
        "volume" => "pool",
        _ => "dir",
    };
    let has_source = source.as_ref().is_some_and(|s| s.attr(attribute).is_some());
    if !has_source {
        return Err(r.error(ErrorKind::NoSource, "the source is missing"));
    }
    Ok(Filesystem {
        kind,
        access_mode: r.attr_string("accessmode"),
        source_dir: source.and_then(|s| s.attr_string("dir")),
        target_dir: r.take("target").and_then(|t| t.attr_string("dir")),
        readonly: r.take("readonly").is_some(),
        other: r.rest(),
    })
}

fn interface(mut r: Reader) -> Result<Interface, Error> {
    let kind = r.word("type", &words::INTERFACE_TYPES)?.unwrap_or_else(|| "user".to_owned());
    let needs_source = matches!(kind.as_str(), "bridge" | "vds" | "network")
        || r.is_strict() && matches!(kind.as_str(), "internal" | "direct" | "hostdev" | "vdpa");
    let model = r.take("model").and_then(|m| m.attr_string("type"));
    let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if r.is_strict() && model.as_ref().is_some_and(|m| !m.bytes().all(legal)) {
        return Err(r.error(ErrorKind::Characters, "the model has illegal characters"));
    }
    let source = match r.take("source") {
        Some(source) => Some(interface_source(source, &kind)?),
        None if needs_source => {
            return Err(r.error(ErrorKind::Element, "the source is missing"));
        }
        None => None,
    };
    let mac = match r.take("mac") {
        Some(mac) => read_mac(&mac)?,
        None => None,
    };
    let address = address(&mut r)?;
    Ok(Interface {
        mac,
        source,
        target_dev: r.take("target").and_then(|t| t.attr_string("dev")),
        model,
        link_state: r.take("link").and_then(|l| l.attr_string("state")),
        address,
        kind,
        other: r.rest(),
    })
}

fn read_mac(r: &Reader) -> Result<Option<Mac>, Error> {
    let Some(text) = r.attr("address") else { return Ok(None) };
    let Some(address) = MacAddress::parse(text) else {
        let reason = format!("'{text}' is not a MAC address");
        return Err(r.error(ErrorKind::Element, reason));
    };
    if address.is_multicast() {
        let reason = format!("{address} is a multicast address");
        return Err(r.error(ErrorKind::Element, reason));
    }
    let kind = r.word("type", &words::MAC_TYPES)?;
    Ok(Some(Mac { address, kind, check: r.yes_no("check")? }))
}

fn interface_source(r: Reader, kind: &str) -> Result<InterfaceSource, Error> {
    let mut source = InterfaceSource {
        bridge: r.attr_string("bridge"),
        network: r.attr_string("network"),
        dev: r.attr_string("dev"),
        mode: r.attr_string("mode"),
        ..InterfaceSource::default()
    };
    if kind == "bridge" && source.bridge.is_none() {
        return Err(r.attr_error("bridge", "missing"));
    }
    if kind == "vds" {
        let Some(text) = r.attr("switchid") else {
            return Err(r.attr_error("switchid", "missing"));
        };
        source.switch_id = parse_uuid(text);
        if source.switch_id.is_none() {
            return Err(r.attr_error("switchid", format!("'{text}' is not a UUID")));
        }
        let number = |name: &str| match r.attr(name) {
            None => Ok(None),
            Some(text) => c_number(text)
                .map(Some)
                .ok_or_else(|| r.attr_error(name, format!("'{text}' is not a valid number"))),
        };
        source.port_id = number("portid")?;
        source.portgroup_id = r.attr_string("portgroupid");
        source.connection_id = number("connectionid")?;
    }
    source.other = r.rest();
    Ok(source)
}

fn console(r: Reader) -> Result<CharDevice, Error> {
    let path = r.error(ErrorKind::Unsupported, "the type of the target is not known");
    let strict = r.is_strict();
    let device = char_device(r)?;
    let target = device.target_type.as_deref();
    if strict && target.is_some_and(|t| !words::CONSOLE_TARGETS.contains(&t)) {
        return Err(path);
    }
    Ok(device)
}

fn char_device(mut r: Reader) -> Result<CharDevice, Error> {
    let kind = r.attr("type").unwrap_or("pty").to_owned();
    if r.is_strict() && !words::CHAR_TYPES.contains(&kind.as_str()) {
        return Err(r.error(ErrorKind::Unsupported, format!("type '{kind}' is not known")));
    }
    let target = r.take("target");
    let target_port = match &target {
        Some(target) => target.number("port")?,
        None => None,
    };
    let mut sources = r.take_all("source").into_iter();
    let source = match sources.next() {
        Some(source) => Some(CharSource {
            path: source.attr_string("path"),
            mode: source.word("mode", &words::CHAR_MODES)?,
            host: source.attr_string("host"),
            service: source.attr_string("service"),
        }),
        None => None,
    };
    // Only datagrams go out to one place and come in from another.
    let mut others = Vec::new();
    for second in sources {
        if kind != "udp" {
            return Err(second.error(ErrorKind::Element, "there may be one only"));
        }
        others.push(second.whole());
    }
    let protocol = match r.take("protocol") {
        Some(protocol) => protocol.word("type", &words::CHAR_PROTOCOLS)?,
        None => None,
    };
    Ok(CharDevice {
        kind,
        source,
        protocol,
        target_type: target.and_then(|t| t.attr_string("type")),
        target_port,
        other: {
            others.extend(r.rest());
            others
        },
    })
}

fn tpm(mut r: Reader) -> Result<Tpm, Error> {
    let model = r.word("model", &words::TPM_MODELS)?;
    let backend = match r.take("backend") {
        Some(backend) => Some(TpmBackend {
            kind: backend.word("type", &words::TPM_BACKENDS)?.unwrap_or_default(),
            version: backend.attr_string("version"),
            other: backend.rest(),
        }),
        None => None,
    };
    Ok(Tpm { model, backend, other: r.rest() })
}

fn graphics(mut r: Reader) -> Result<Graphics, Error> {
    let Some(kind) = r.word("type", &words::GRAPHICS_TYPES)? else {
        return Err(r.attr_error("type", "missing"));
    };
    let mut listens = Vec::new();
    for listen in r.take_all("listen") {
        let Some(kind) = listen.word("type", &words::LISTEN_TYPES)? else {
            return Err(listen.attr_error("type", "missing"));
        };
        listens.push(Listen {
            kind,
            address: listen.attr_string("address"),
            network: listen.attr_string("network"),
            socket: listen.attr_string("socket"),
        });
    }
    let listen = r.attr_string("listen");
    // Others show a window on the host and listen nowhere.
    let listening = matches!(kind.as_str(), "vnc" | "rdp" | "spice");
    let first = listens.first().filter(|l: &&Listen| l.kind == "address");
    if let (Some(listen), Some(address)) = (&listen, first.and_then(|l| l.address.as_ref()))
        && listening
        && listen != address
    {
        let reason = "the addresses to listen at differ";
        return Err(r.error(ErrorKind::Unsupported, reason));
    }
    Ok(Graphics {
        kind,
        port: match r.number("port") {
            Err(_) if !listening => None,
            read => read?,
        },
        autoport: match r.yes_no("autoport") {
            // libvirt 11.3 ignored any other word.
            Err(_) if !r.is_strict() || !listening => None,
            read => read?,
        },
        listen,
        socket: r.attr_string("socket"),
        keymap: r.attr_or_empty("keymap").map(str::to_owned),
        password: r.attr("passwd").map(Secret::new),
        listens,
        other: r.rest(),
    })
}

fn video(mut r: Reader) -> Result<Video, Error> {
    let model = match r.take("model") {
        Some(model) => Some(VideoModel {
            kind: model.word("type", &words::VIDEO_TYPES)?,
            vram_kib: model.number("vram")?,
            heads: model.number("heads")?,
            primary: model.attr("primary") == Some("yes"),
            other: model.rest(),
        }),
        None => None,
    };
    Ok(Video { model, other: r.rest() })
}
