//! Reading a domain (`spec/vmx.md` 9).

use uuid::Uuid;

use crate::domain::os::{FirmwareFeature, Loader, Nvram, Os};
use crate::domain::{
    Clock, Cpu, Domain, Topology, VMWARE_NAMESPACE, Vcpu, VmwareData, read_devices, words,
};
use crate::element::{Element, Reader};
use crate::error::{Error, ErrorKind};
use crate::number::{CpuSet, size_kib, unsigned};
use crate::uuids::parse_uuid;

/// In the order in which libvirt 12.8 meets errors (measured, pair by pair).
pub(super) fn domain(root: Element, strict: bool) -> Result<Domain, Error> {
    let mut r = Reader::root(root, strict);
    if !r.is("domain") {
        return Err(r.error(ErrorKind::Attribute, "the document is no domain"));
    }
    let mut domain = Domain { name: r.take_text("name"), ..Domain::default() };
    if domain.name.is_none() {
        return Err(r.error(ErrorKind::NoName, "the name is missing"));
    }
    domain.uuid = uuid(&mut r, "uuid")?;
    domain.hwuuid = uuid(&mut r, "hwuuid")?;
    domain.genid = genid(&mut r)?;
    domain.kind = hypervisor(&r)?;
    let mut os = match r.take("os") {
        Some(mut os) => {
            domain.os = os_type(&mut os)?;
            os
        }
        None => return Err(r.error(ErrorKind::Element, "the operating system is missing")),
    };
    domain.title = title(&mut r)?;
    domain.description = r.take_text("description");
    domain.metadata = r.take("metadata").map(Reader::whole);
    memory(&mut r, &mut domain)?;
    domain.vcpu = vcpu(&mut r)?;
    if let Some(mut cputune) = r.take("cputune") {
        domain.shares = match cputune.take("shares") {
            Some(shares) => Some(number(&shares)?),
            None => None,
        };
        domain.cputune_other = cputune.rest();
    }
    domain.cpu = cpu(&mut r)?;
    if domain.vcpu.count == 0 {
        return Err(r.error(ErrorKind::Value, "a domain has at least one CPU"));
    }
    domain.on_reboot = action(&mut r, "on_reboot", &words::ACTIONS)?;
    domain.on_poweroff = action(&mut r, "on_poweroff", &words::ACTIONS)?;
    domain.on_crash = action(&mut r, "on_crash", &words::ACTIONS)?;
    domain.clock = r.take("clock").map(|clock| Clock {
        offset: clock.attr_string("offset").unwrap_or_else(|| "utc".to_owned()),
        other: clock.rest(),
    });
    // Other systems boot in other ways.
    if domain.os.kind == "hvm" || !strict {
        boot(&mut os, &mut domain.os)?;
    } else if matches!(domain.os.kind.as_str(), "xen" | "xenpvh" | "uml") {
        domain.os.loader = loader(&mut os)?;
    }
    if let Some(devices) = r.take("devices") {
        domain.devices = read_devices::devices(devices)?;
    }
    domain.os.smbios_mode = match os.take("smbios") {
        Some(smbios) => {
            let mode = smbios.attr_string("mode");
            let known = mode.as_deref().is_none_or(|m| words::SMBIOS_MODES.contains(&m));
            if strict && !known {
                return Err(smbios.error(ErrorKind::Unsupported, "the mode is not known"));
            }
            mode
        }
        None => None,
    };
    domain.os.other = os.rest();
    system_uuid(&mut r, &domain)?;
    (domain.vmware, domain.other) = vmware(r.rest());
    Ok(domain)
}

fn hypervisor(r: &Reader) -> Result<String, Error> {
    let Some(kind) = r.attr_string("type") else {
        return Err(r.error(ErrorKind::Value, "the type is missing"));
    };
    if r.is_strict() && !words::HYPERVISORS.contains(&kind.as_str()) {
        return Err(r.error(ErrorKind::Unsupported, format!("type '{kind}' is not known")));
    }
    Ok(kind)
}

fn action(r: &mut Reader, name: &'static str, known: &[&str]) -> Result<Option<String>, Error> {
    match r.take(name) {
        Some(action) => action.text_word(known),
        None => Ok(None),
    }
}

fn number(r: &Reader) -> Result<u64, Error> {
    let text = r.text();
    unsigned(&text).ok_or_else(|| r.error(ErrorKind::Element, format!("'{text}' is no number")))
}

fn uuid(r: &mut Reader, name: &'static str) -> Result<Option<Uuid>, Error> {
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
    domain.current_memory_kib = size(r, "currentMemory")?.filter(|&kib| kib != 0);
    if let Some(mut memtune) = r.take("memtune") {
        domain.min_guarantee_kib = size(&mut memtune, "min_guarantee")?.filter(|&kib| kib != 0);
        domain.memtune_other = memtune.rest();
    }
    Ok(())
}

fn size(r: &mut Reader, name: &'static str) -> Result<Option<u64>, Error> {
    let Some(element) = r.take(name).filter(|e| !e.text().is_empty()) else { return Ok(None) };
    match size_kib(&element.text(), element.attr("unit")) {
        Ok(kib) => Ok(Some(kib)),
        Err((kind, reason)) => Err(element.error(kind, reason)),
    }
}

fn vcpu(r: &mut Reader) -> Result<Vcpu, Error> {
    let Some(element) = r.take("vcpu") else { return Ok(Vcpu::default()) };
    let placement = element.word("placement", &words::PLACEMENTS)?;
    if element.text().is_empty() {
        return Err(element.error(ErrorKind::Element, "the number of CPUs is missing"));
    }
    // An empty one is there all the same.
    let cpuset = match element.attr_or_empty("cpuset") {
        Some(text) if placement.as_deref() != Some("auto") => {
            let set = CpuSet::parse(text);
            if set.is_none() {
                let reason = format!("'{text}' is not a set of CPUs");
                return Err(element.error(ErrorKind::Argument, reason));
            }
            set
        }
        _ => None,
    };
    let current = element.number::<u32>("current")?;
    let count = number(&element)?;
    let count = u32::try_from(count)
        .map_err(|_| element.error(ErrorKind::Element, format!("{count} CPUs are too many")))?;
    if cpuset.as_ref().is_some_and(|set| set.0.is_empty()) {
        return Err(element.error(ErrorKind::Unsupported, "the CPU set is empty"));
    }
    if current.is_some_and(|current| current > count) {
        let reason = format!("more CPUs are plugged in than the domain's {count}");
        return Err(element.error(ErrorKind::Unsupported, reason));
    }
    Ok(Vcpu { count, current: current.filter(|&c| c != count), placement, cpuset })
}

fn os_type(r: &mut Reader) -> Result<Os, Error> {
    let mut os = Os::default();
    let Some(element) = r.take("type").filter(|e| !e.text().is_empty()) else {
        return Err(r.error(ErrorKind::Element, "the type is missing"));
    };
    os.arch = element.attr_string("arch");
    os.machine = element.attr_string("machine");
    if let Some(arch) = os.arch.as_deref()
        && element.is_strict()
        && !words::ARCHITECTURES.contains(&arch)
    {
        let reason = format!("architecture '{arch}' is not known");
        return Err(element.error(ErrorKind::Unsupported, reason));
    }
    os.kind = element.text_word(&words::OS_TYPES)?.unwrap_or_default();
    Ok(os)
}

fn boot(r: &mut Reader, os: &mut Os) -> Result<(), Error> {
    os.firmware = r.attr_string("firmware");
    if let Some(mut firmware) = r.take("firmware") {
        os.firmware_features = features(&mut firmware, os.firmware.is_some())?;
    }
    if os.firmware.as_deref().is_some_and(|f| !matches!(f, "efi" | "bios")) {
        return Err(r.error(ErrorKind::Element, "the firmware is neither efi nor bios"));
    }
    os.loader = loader(r)?;
    os.nvram = r.take("nvram").map(nvram);
    if r.is_strict()
        && let Some(boot) = r.peek("boot")
        && boot.attribute("dev").is_some_and(|dev| !words::BOOT_DEVICES.contains(&dev))
    {
        let reason = "the boot device is not known";
        return Err(r.error(ErrorKind::Attribute, reason));
    }
    Ok(())
}

fn loader(r: &mut Reader) -> Result<Option<Loader>, Error> {
    let Some(loader) = r.take("loader") else { return Ok(None) };
    Ok(Some(Loader {
        readonly: loader.yes_no("readonly")?,
        kind: loader.word("type", &words::LOADER_TYPES)?,
        secure: loader.yes_no("secure")?,
        stateless: loader.yes_no("stateless")?,
        format: loader.attr_string("format"),
        path: Some(loader.text()).filter(|t| !t.is_empty()),
    }))
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
        let Some(name) = feature.word("name", &words::FIRMWARE_FEATURES)? else {
            return Err(feature.attr_error("name", "missing"));
        };
        features.push(FirmwareFeature { enabled, name });
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
    let mode = r.attr_string("mode");
    if r.is_strict() && mode.as_deref().is_some_and(|m| !words::CPU_MODES.contains(&m)) {
        return Err(r.error(ErrorKind::CpuMode, "the mode is not known"));
    }
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
    Ok(Some(Cpu { mode, topology, other: r.rest() }))
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
