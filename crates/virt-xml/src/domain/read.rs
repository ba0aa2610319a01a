//! Reading a domain (`spec/vmx.md` 9).

use uuid::Uuid;

use crate::domain::os::{FirmwareFeature, Loader, Nvram, Os};
use crate::domain::{
    Clock, Cpu, Domain, Topology, VMWARE_NAMESPACE, Vcpu, VmwareData, read_devices,
};
use crate::element::{Element, Reader};
use crate::error::{Error, ErrorKind};
use crate::number::{CpuSet, size_kib, unsigned};
use crate::uuids::parse_uuid;

pub(super) fn domain(root: Element) -> Result<Domain, Error> {
    let mut r = Reader::root(root);
    if !r.is("domain") {
        return Err(r.error(ErrorKind::Element, "the document is no domain"));
    }
    let Some(kind) = r.attr_string("type") else {
        return Err(r.error(ErrorKind::Value, "the type is missing"));
    };
    let mut domain = Domain { kind, ..Domain::default() };
    domain.name = r.take_text("name");
    domain.uuid = uuid(&mut r, "uuid")?;
    domain.hwuuid = uuid(&mut r, "hwuuid")?;
    domain.genid = genid(&mut r)?;
    domain.title = title(&mut r)?;
    domain.description = r.take_text("description");
    if domain.name.is_none() {
        return Err(r.error(ErrorKind::NoName, "the name is missing"));
    }
    system_uuid(&mut r, &domain)?;
    memory(&mut r, &mut domain)?;
    domain.vcpu = vcpu(&mut r)?;
    if let Some(mut cputune) = r.take("cputune") {
        domain.shares = match cputune.take("shares") {
            Some(shares) => Some(number(&shares)?),
            None => None,
        };
        domain.cputune_other = cputune.rest();
    }
    domain.os = os(&mut r)?;
    domain.cpu = cpu(&mut r)?;
    domain.clock = r.take("clock").map(|clock| Clock {
        offset: clock.attr_string("offset").unwrap_or_else(|| "utc".to_owned()),
        other: clock.rest(),
    });
    domain.on_poweroff = r.take_text("on_poweroff");
    domain.on_reboot = r.take_text("on_reboot");
    domain.on_crash = r.take_text("on_crash");
    if let Some(devices) = r.take("devices") {
        domain.devices = read_devices::devices(devices)?;
    }
    (domain.vmware, domain.other) = vmware(r.rest());
    Ok(domain)
}

fn number(r: &Reader) -> Result<u64, Error> {
    let text = r.text();
    unsigned(&text).ok_or_else(|| r.error(ErrorKind::Element, format!("'{text}' is no number")))
}

fn uuid(r: &mut Reader, name: &str) -> Result<Option<Uuid>, Error> {
    let Some(element) = r.take(name) else { return Ok(None) };
    let text = element.text();
    if text.is_empty() {
        return Ok(None);
    }
    match parse_uuid(&text) {
        Some(uuid) => Ok(Some(uuid)),
        None => Err(element.error(ErrorKind::Value, format!("'{text}' is not a UUID"))),
    }
}

/// An empty `<genid/>` asks for one to be made, which is up to whoever runs the domain.
fn genid(r: &mut Reader) -> Result<Option<Uuid>, Error> {
    let mut all = r.take_all("genid");
    if let Some(second) = all.get(1) {
        return Err(second.error(ErrorKind::Element, "there may be one only"));
    }
    let Some(element) = all.pop() else { return Ok(None) };
    let text = element.text();
    match parse_uuid(&text) {
        Some(uuid) => Ok(Some(uuid)),
        None if text.is_empty() => Ok(None),
        None => Err(element.error(ErrorKind::Value, format!("'{text}' is not a UUID"))),
    }
}

fn title(r: &mut Reader) -> Result<Option<String>, Error> {
    let Some(element) = r.take("title") else { return Ok(None) };
    let text = element.text();
    if text.contains('\n') {
        return Err(element.error(ErrorKind::Element, "a title has one line"));
    }
    Ok(Some(text).filter(|t| !t.is_empty()))
}

/// The UUID in the SMBIOS tables must be the one the guest is to see.
fn system_uuid(r: &mut Reader, domain: &Domain) -> Result<(), Error> {
    let Some(sysinfo) = r.peek("sysinfo") else { return Ok(()) };
    if sysinfo.attribute("type").is_some_and(|t| t != "smbios") {
        return Ok(());
    }
    let entries =
        sysinfo.children_named("system").flat_map(|system| system.children_named("entry"));
    let mut uuids = entries.filter(|e| e.attribute("name") == Some("uuid"));
    let Some(text) = uuids.next().map(Element::text).filter(|t| !t.is_empty()) else {
        return Ok(());
    };
    let Some(uuid) = parse_uuid(&text) else {
        return Err(r.error(ErrorKind::Element, format!("SMBIOS UUID '{text}' is not a UUID")));
    };
    match domain.hwuuid.or(domain.uuid) {
        Some(expected) if expected != uuid => Err(r.error(
            ErrorKind::Contradiction,
            format!("SMBIOS UUID {uuid} is not the domain's {expected}"),
        )),
        _ => Ok(()),
    }
}

fn memory(r: &mut Reader, domain: &mut Domain) -> Result<(), Error> {
    domain.memory_kib = size(r, "memory")?.unwrap_or(0);
    if domain.memory_kib == 0 {
        return Err(r.error(ErrorKind::Element, "the memory size is missing"));
    }
    domain.current_memory_kib = size(r, "currentMemory")?.filter(|&kib| kib != 0);
    if let Some(mut memtune) = r.take("memtune") {
        domain.min_guarantee_kib = size(&mut memtune, "min_guarantee")?.filter(|&kib| kib != 0);
        domain.memtune_other = memtune.rest();
    }
    Ok(())
}

fn size(r: &mut Reader, name: &str) -> Result<Option<u64>, Error> {
    let Some(element) = r.take(name) else { return Ok(None) };
    match size_kib(&element.text(), element.attr("unit")) {
        Ok(kib) => Ok(Some(kib)),
        Err((kind, reason)) => Err(element.error(kind, reason)),
    }
}

fn vcpu(r: &mut Reader) -> Result<Vcpu, Error> {
    let Some(element) = r.take("vcpu") else { return Ok(Vcpu::default()) };
    let count = match element.text().as_str() {
        "" => 1,
        _ => number(&element)?,
    };
    let count = u32::try_from(count)
        .map_err(|_| element.error(ErrorKind::Element, format!("{count} CPUs are too many")))?;
    if count == 0 {
        return Err(element.error(ErrorKind::Value, "a domain has at least one CPU"));
    }
    let current = element.number::<u32>("current")?;
    if current.is_some_and(|current| current == 0 || current > count) {
        return Err(element.error(ErrorKind::Value, "no such number of CPUs can be plugged in"));
    }
    let placement = element.attr_string("placement");
    let cpuset = match element.attr("cpuset") {
        Some(text) if placement.as_deref() != Some("auto") => {
            let Some(set) = CpuSet::parse(text) else {
                let reason = format!("'{text}' is not a set of CPUs");
                return Err(element.error(ErrorKind::Argument, reason));
            };
            if set.0.is_empty() {
                let reason = format!("the CPU set '{text}' is empty");
                return Err(element.error(ErrorKind::Unsupported, reason));
            }
            Some(set)
        }
        _ => None,
    };
    Ok(Vcpu { count, current: current.filter(|&c| c != count), placement, cpuset })
}

fn os(r: &mut Reader) -> Result<Os, Error> {
    let Some(mut r) = r.take("os") else {
        return Err(r.error(ErrorKind::Element, "the type of the operating system is missing"));
    };
    let firmware = r.attr_string("firmware");
    if firmware.as_deref().is_some_and(|f| !matches!(f, "efi" | "bios")) {
        return Err(r.attr_error("firmware", "neither efi nor bios"));
    }
    let mut os = Os { firmware, ..Os::default() };
    match r.take("type") {
        Some(element) if !element.text().is_empty() => {
            os.kind = element.text();
            os.arch = element.attr_string("arch");
            os.machine = element.attr_string("machine");
        }
        _ => return Err(r.error(ErrorKind::Element, "the type is missing")),
    }
    if let Some(mut firmware) = r.take("firmware") {
        os.firmware_features = features(&mut firmware, os.firmware.is_some())?;
    }
    os.loader = match r.take("loader") {
        Some(loader) => Some(Loader {
            readonly: loader.yes_no("readonly")?,
            secure: loader.yes_no("secure")?,
            kind: loader.attr_string("type"),
            stateless: loader.yes_no("stateless")?,
            format: loader.attr_string("format"),
            path: Some(loader.text()).filter(|t| !t.is_empty()),
        }),
        None => None,
    };
    os.nvram = r.take("nvram").map(nvram);
    os.smbios_mode = r.take("smbios").and_then(|smbios| smbios.attr_string("mode"));
    os.other = r.rest();
    Ok(os)
}

/// Features count only where the host is to choose the firmware.
fn features(r: &mut Reader, autoselect: bool) -> Result<Vec<FirmwareFeature>, Error> {
    let mut features = Vec::new();
    if !autoselect {
        return Ok(features);
    }
    for feature in r.take_all("feature") {
        let Some(enabled) = feature.yes_no("enabled")? else {
            return Err(feature.attr_error("enabled", "missing"));
        };
        let Some(name) = feature.attr_string("name") else {
            return Err(feature.attr_error("name", "missing"));
        };
        features.push(FirmwareFeature { enabled, name });
    }
    let is = |name: &str, enabled| features.iter().any(|f| f.name == name && f.enabled == enabled);
    if is("secure-boot", false) && is("enrolled-keys", true) {
        let reason = "enrolled keys make no sense without secure boot";
        return Err(r.error(ErrorKind::Contradiction, reason));
    }
    Ok(features)
}

fn nvram(mut r: Reader) -> Nvram {
    let kind = r.attr_string("type");
    let mut nvram = Nvram {
        template: r.attr_string("template"),
        template_format: r.attr_string("templateFormat"),
        format: r.attr_string("format"),
        ..Nvram::default()
    };
    match kind.as_deref() {
        None => nvram.path = Some(r.text()).filter(|t| !t.is_empty()),
        Some("file" | "block") => {
            let attribute = if kind.as_deref() == Some("file") { "file" } else { "dev" };
            nvram.path = r.take("source").and_then(|source| source.attr_string(attribute));
        }
        Some(_) => {}
    }
    nvram.kind = kind;
    nvram.other = r.rest();
    nvram
}

fn cpu(r: &mut Reader) -> Result<Option<Cpu>, Error> {
    let Some(mut r) = r.take("cpu") else { return Ok(None) };
    let topology = match r.take("topology") {
        Some(t) => {
            let positive = |name: &str, default: Option<u32>| match t.number::<u32>(name)? {
                Some(0) => Err(t.attr_error(name, "must not be 0")),
                Some(number) => Ok(number),
                None => default.ok_or_else(|| t.attr_error(name, "missing")),
            };
            Some(Topology {
                sockets: positive("sockets", None)?,
                dies: positive("dies", Some(1))?,
                clusters: positive("clusters", Some(1))?,
                cores: positive("cores", None)?,
                threads: positive("threads", None)?,
            })
        }
        None => None,
    };
    Ok(Some(Cpu { mode: r.attr_string("mode"), topology, other: r.rest() }))
}

fn vmware(elements: Vec<Element>) -> (VmwareData, Vec<Element>) {
    let mut data = VmwareData::default();
    let mut other = Vec::new();
    for element in elements {
        let ours = element.namespace.as_deref() == Some(VMWARE_NAMESPACE);
        match element.name.as_str() {
            "datacenterpath" if ours => data.datacenter_path = Some(element.text()),
            "moref" if ours => data.moref = Some(element.text()),
            _ => other.push(element),
        }
    }
    (data, other)
}
