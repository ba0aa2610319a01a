//! Writing a domain (`spec/vmx.md` 7, `spec/libvirt-12-deltas.md` 9).

use crate::domain::devices::{
    Address, CharDevice, Controller, Disk, Filesystem, Graphics, Interface, Tpm, Video,
};
use crate::domain::{Cpu, Devices, Domain, FormatOptions, Os, VMWARE_NAMESPACE, Vcpu};
use crate::writer::Writer;

/// Starts of interface target names that are not written unless the domain runs.
const GENERATED_TARGETS: [&str; 3] = ["vnet", "macvtap", "macvlan"];
/// Devices that are not modelled and stand before serial ports, before TPMs and before videos; the others
/// are last.
const BEFORE: [&[&str]; 3] = [&["smartcard"], &["channel", "input"], &["sound", "audio"]];

pub(super) fn domain(domain: &Domain, options: &FormatOptions) -> String {
    let inactive = options.inactive || domain.id.is_none();
    let devices = &domain.devices;
    let count = devices.disks.len() + devices.controllers.len() + devices.interfaces.len();
    // Most devices take less.
    let mut writer = Writer::with_capacity(2048 + 288 * count);
    let w = &mut writer;
    let vmware = domain.vmware.datacenter_path.is_some() || domain.vmware.moref.is_some();
    w.tag("domain")
        .attr("type", &domain.kind)
        .attr_opt("id", domain.id.filter(|_| !inactive))
        .attr_opt("xmlns:vmware", vmware.then_some(VMWARE_NAMESPACE))
        .open();
    if vmware {
        w.declare("vmware", VMWARE_NAMESPACE);
    }
    w.text_opt("name", domain.name.as_ref());
    w.text_opt("uuid", domain.uuid);
    w.text_opt("hwuuid", domain.hwuuid);
    w.text_opt("genid", domain.genid);
    w.text_opt("title", domain.title.as_ref());
    w.text_opt("description", domain.description.as_ref());
    if let Some(metadata) = &domain.metadata {
        w.element(metadata);
    }
    kib(w, "memory", domain.memory_kib);
    kib(w, "currentMemory", domain.current_memory_kib.unwrap_or(domain.memory_kib));
    if domain.min_guarantee_kib.is_some() || !domain.memtune_other.is_empty() {
        w.tag("memtune").open();
        if let Some(value) = domain.min_guarantee_kib {
            kib(w, "min_guarantee", value);
        }
        w.elements(&domain.memtune_other);
        w.close("memtune");
    }
    vcpu(w, &domain.vcpu);
    if domain.shares.is_some() || !domain.cputune_other.is_empty() {
        w.tag("cputune").open();
        w.text_opt("shares", domain.shares);
        w.elements(&domain.cputune_other);
        w.close("cputune");
    }
    os(w, &domain.os, options);
    if let Some(value) = &domain.cpu {
        cpu(w, value);
    }
    if let Some(clock) = &domain.clock {
        let other = &clock.other;
        with_children(w, "clock", &[("offset", Some(&clock.offset))], other.is_empty(), |w| {
            w.elements(other);
        });
    }
    w.text_opt("on_poweroff", domain.on_poweroff.as_ref());
    w.text_opt("on_reboot", domain.on_reboot.as_ref());
    w.text_opt("on_crash", domain.on_crash.as_ref());
    self::devices(w, devices, options, inactive);
    w.elements(&domain.other);
    w.text_opt("vmware:datacenterpath", domain.vmware.datacenter_path.as_ref());
    w.text_opt("vmware:moref", domain.vmware.moref.as_ref());
    w.close("domain");
    writer.finish()
}

fn kib(w: &mut Writer, name: &str, value: u64) {
    w.tag(name).attr("unit", "KiB").text(value);
}

/// An element that is written without an end tag if it has no children.
fn with_children(
    w: &mut Writer,
    name: &str,
    attributes: &[(&str, Option<&String>)],
    childless: bool,
    children: impl FnOnce(&mut Writer),
) {
    let mut tag = w.tag(name);
    for &(name, value) in attributes {
        tag = tag.attr_opt(name, value);
    }
    if childless {
        tag.empty();
    } else {
        tag.open();
        children(w);
        w.close(name);
    }
}

fn yes_no(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

fn flag(w: &mut Writer, name: &str, set: bool) {
    if set {
        w.tag(name).empty();
    }
}

fn vcpu(w: &mut Writer, vcpu: &Vcpu) {
    w.tag("vcpu")
        .attr_opt("placement", vcpu.placement.as_ref())
        .attr_opt("cpuset", vcpu.cpuset.as_ref())
        .attr_opt("current", vcpu.current)
        .text(vcpu.count);
}

fn os(w: &mut Writer, os: &Os, options: &FormatOptions) {
    // Releases that migrate do not know firmware autoselection.
    let firmware = os.firmware.as_ref().filter(|_| !options.migratable);
    w.tag("os").attr_opt("firmware", firmware).open();
    w.tag("type")
        .attr_opt("arch", os.arch.as_ref())
        .attr_opt("machine", os.machine.as_ref())
        .text(&os.kind);
    if !os.firmware_features.is_empty() && !options.migratable {
        w.tag("firmware").open();
        for feature in &os.firmware_features {
            w.tag("feature")
                .attr("enabled", yes_no(feature.enabled))
                .attr("name", &feature.name)
                .empty();
        }
        w.close("firmware");
    }
    if let Some(loader) = &os.loader {
        let tag = w
            .tag("loader")
            .attr_opt("readonly", loader.readonly.map(yes_no))
            .attr_opt("secure", loader.secure.map(yes_no))
            .attr_opt("type", loader.kind.as_ref())
            .attr_opt("stateless", loader.stateless.map(yes_no))
            .attr_opt("format", loader.format.as_ref());
        match &loader.path {
            Some(path) => tag.text(path),
            None => tag.empty(),
        }
    }
    if let Some(nvram) = &os.nvram {
        let tag = w
            .tag("nvram")
            .attr_opt("template", nvram.template.as_ref())
            .attr_opt("templateFormat", nvram.template_format.as_ref())
            .attr_opt("format", nvram.format.as_ref())
            .attr_opt("type", nvram.kind.as_ref());
        match (&nvram.kind, &nvram.path) {
            (None, Some(path)) => tag.text(path),
            (None, None) if nvram.other.is_empty() => tag.empty(),
            (kind, path) => {
                tag.open();
                if let Some(path) = path {
                    let block = kind.as_deref() == Some("block");
                    w.tag("source").attr(if block { "dev" } else { "file" }, path).empty();
                }
                w.elements(&nvram.other);
                w.close("nvram");
            }
        }
    }
    if let Some(mode) = &os.smbios_mode {
        w.tag("smbios").attr("mode", mode).empty();
    }
    w.elements(&os.other);
    w.close("os");
}

fn cpu(w: &mut Writer, cpu: &Cpu) {
    let childless = cpu.topology.is_none() && cpu.other.is_empty();
    with_children(w, "cpu", &[("mode", cpu.mode.as_ref())], childless, |w| {
        if let Some(topology) = &cpu.topology {
            w.tag("topology")
                .attr("sockets", topology.sockets)
                .attr("dies", topology.dies)
                .attr("clusters", topology.clusters)
                .attr("cores", topology.cores)
                .attr("threads", topology.threads)
                .empty();
        }
        w.elements(&cpu.other);
    });
}

fn devices(w: &mut Writer, devices: &Devices, options: &FormatOptions, inactive: bool) {
    w.tag("devices").open();
    devices.disks.iter().for_each(|d| disk(w, d));
    devices.controllers.iter().for_each(|c| controller(w, c));
    devices.filesystems.iter().for_each(|f| filesystem(w, f));
    devices.interfaces.iter().for_each(|i| interface(w, i, inactive));
    let mut other = [const { Vec::new() }; 4];
    for device in &devices.other {
        let known = |names: &&[&str]| names.contains(&device.name.as_str());
        other[BEFORE.iter().position(known).unwrap_or(BEFORE.len())].push(device);
    }
    let [before_serials, before_tpms, before_videos, last] = other;
    before_serials.into_iter().for_each(|d| w.element(d));
    devices.serials.iter().for_each(|s| char_device(w, "serial", s));
    devices.parallels.iter().for_each(|p| char_device(w, "parallel", p));
    devices.consoles.iter().for_each(|c| char_device(w, "console", c));
    before_tpms.into_iter().for_each(|d| w.element(d));
    devices.tpms.iter().for_each(|t| tpm(w, t));
    devices.graphics.iter().for_each(|g| graphics(w, g, options));
    before_videos.into_iter().for_each(|d| w.element(d));
    devices.videos.iter().for_each(|v| video(w, v));
    last.into_iter().for_each(|d| w.element(d));
    w.close("devices");
}

fn disk(w: &mut Writer, disk: &Disk) {
    w.tag("disk").attr("type", &disk.kind).attr("device", &disk.device).open();
    if let Some(driver) = &disk.driver {
        w.tag("driver")
            .attr_opt("name", driver.name.as_ref())
            .attr_opt("type", driver.kind.as_ref())
            .attr_opt("cache", driver.cache.as_ref())
            .empty();
    }
    if let Some(source) = &disk.source {
        let attributes = [
            ("file", source.file.as_ref()),
            ("dev", source.dev.as_ref()),
            ("startupPolicy", source.startup_policy.as_ref()),
        ];
        with_children(w, "source", &attributes, source.other.is_empty(), |w| {
            w.elements(&source.other);
        });
    }
    w.tag("target").attr("dev", &disk.target).attr_opt("bus", disk.bus.as_ref()).empty();
    flag(w, "readonly", disk.readonly);
    flag(w, "shareable", disk.shareable);
    flag(w, "transient", disk.transient);
    w.elements(&disk.other);
    address(w, disk.address.as_ref());
    w.close("disk");
}

fn address(w: &mut Writer, address: Option<&Address>) {
    match address {
        None => {}
        Some(Address::Drive { controller, bus, target, unit }) => w
            .tag("address")
            .attr("type", "drive")
            .attr("controller", controller)
            .attr("bus", bus)
            .attr("target", target)
            .attr("unit", unit)
            .empty(),
        Some(Address::Pci(None)) => w.tag("address").attr("type", "pci").empty(),
        Some(Address::Pci(Some(pci))) => w
            .tag("address")
            .attr("type", "pci")
            .attr("domain", format_args!("{:#06x}", pci.domain))
            .attr("bus", format_args!("{:#04x}", pci.bus))
            .attr("slot", format_args!("{:#04x}", pci.slot))
            .attr("function", format_args!("{:#x}", pci.function))
            .empty(),
        Some(Address::Other(element)) => w.element(element),
    }
}

fn controller(w: &mut Writer, controller: &Controller) {
    let index = controller.index.map(|i| i.to_string());
    let attributes = [
        ("type", Some(&controller.kind)),
        ("index", index.as_ref()),
        ("model", controller.model.as_ref()),
    ];
    let childless = controller.address.is_none() && controller.other.is_empty();
    with_children(w, "controller", &attributes, childless, |w| {
        w.elements(&controller.other);
        address(w, controller.address.as_ref());
    });
}

fn filesystem(w: &mut Writer, filesystem: &Filesystem) {
    w.tag("filesystem")
        .attr("type", &filesystem.kind)
        .attr_opt("accessmode", filesystem.access_mode.as_ref())
        .open();
    for (name, dir) in [("source", &filesystem.source_dir), ("target", &filesystem.target_dir)] {
        if let Some(dir) = dir {
            w.tag(name).attr("dir", dir).empty();
        }
    }
    flag(w, "readonly", filesystem.readonly);
    w.elements(&filesystem.other);
    w.close("filesystem");
}

fn interface(w: &mut Writer, interface: &Interface, inactive: bool) {
    w.tag("interface").attr("type", &interface.kind).open();
    if let Some(mac) = &interface.mac {
        w.tag("mac")
            .attr("address", mac.address)
            .attr_opt("type", mac.kind.as_ref())
            .attr_opt("check", mac.check.map(yes_no))
            .empty();
    }
    if let Some(source) = &interface.source {
        let text = |number: Option<i64>| number.map(|n| n.to_string());
        let (switch, port, connection) = (
            source.switch_id.map(|u| u.to_string()),
            text(source.port_id),
            text(source.connection_id),
        );
        let attributes = [
            ("network", source.network.as_ref()),
            ("bridge", source.bridge.as_ref()),
            ("dev", source.dev.as_ref()),
            ("mode", source.mode.as_ref()),
            ("switchid", switch.as_ref()),
            ("portid", port.as_ref()),
            ("portgroupid", source.portgroup_id.as_ref()),
            ("connectionid", connection.as_ref()),
        ];
        with_children(w, "source", &attributes, source.other.is_empty(), |w| {
            w.elements(&source.other);
        });
    }
    let generated = |dev: &str| inactive && GENERATED_TARGETS.iter().any(|t| dev.starts_with(t));
    if let Some(dev) = interface.target_dev.as_ref().filter(|d| !generated(d)) {
        w.tag("target").attr("dev", dev).empty();
    }
    if let Some(model) = &interface.model {
        w.tag("model").attr("type", model).empty();
    }
    if let Some(state) = &interface.link_state {
        w.tag("link").attr("state", state).empty();
    }
    w.elements(&interface.other);
    address(w, interface.address.as_ref());
    w.close("interface");
}

fn char_device(w: &mut Writer, name: &str, device: &CharDevice) {
    let childless = device.source.is_none()
        && device.protocol.is_none()
        && device.target_type.is_none()
        && device.target_port.is_none()
        && device.other.is_empty();
    with_children(w, name, &[("type", Some(&device.kind))], childless, |w| {
        if let Some(source) = &device.source {
            w.tag("source")
                .attr_opt("path", source.path.as_ref())
                .attr_opt("mode", source.mode.as_ref())
                .attr_opt("host", source.host.as_ref())
                .attr_opt("service", source.service.as_ref())
                .empty();
        }
        if let Some(protocol) = &device.protocol {
            w.tag("protocol").attr("type", protocol).empty();
        }
        if device.target_type.is_some() || device.target_port.is_some() {
            w.tag("target")
                .attr_opt("type", device.target_type.as_ref())
                .attr_opt("port", device.target_port)
                .empty();
        }
        w.elements(&device.other);
    });
}

fn tpm(w: &mut Writer, tpm: &Tpm) {
    let childless = tpm.backend.is_none() && tpm.other.is_empty();
    with_children(w, "tpm", &[("model", tpm.model.as_ref())], childless, |w| {
        if let Some(backend) = &tpm.backend {
            let attributes = [("type", Some(&backend.kind)), ("version", backend.version.as_ref())];
            with_children(w, "backend", &attributes, backend.other.is_empty(), |w| {
                w.elements(&backend.other);
            });
        }
        w.elements(&tpm.other);
    });
}

fn graphics(w: &mut Writer, graphics: &Graphics, options: &FormatOptions) {
    let port = graphics.port.map(|p| p.to_string());
    let autoport = graphics.autoport.map(|a| yes_no(a).to_owned());
    let password = graphics.password.as_ref().filter(|_| options.secure);
    let password = password.map(|p| p.expose().to_owned());
    let attributes = [
        ("type", Some(&graphics.kind)),
        ("port", port.as_ref()),
        ("autoport", autoport.as_ref()),
        ("listen", graphics.listen.as_ref()),
        ("socket", graphics.socket.as_ref()),
        ("keymap", graphics.keymap.as_ref()),
        ("passwd", password.as_ref()),
    ];
    let childless = graphics.listens.is_empty() && graphics.other.is_empty();
    with_children(w, "graphics", &attributes, childless, |w| {
        for listen in &graphics.listens {
            w.tag("listen")
                .attr("type", &listen.kind)
                .attr_opt("address", listen.address.as_ref())
                .attr_opt("network", listen.network.as_ref())
                .attr_opt("socket", listen.socket.as_ref())
                .empty();
        }
        w.elements(&graphics.other);
    });
}

fn video(w: &mut Writer, video: &Video) {
    let childless = video.model.is_none() && video.other.is_empty();
    with_children(w, "video", &[], childless, |w| {
        if let Some(model) = &video.model {
            let number = |n: Option<u32>| n.map(|n| n.to_string());
            let (vram, heads) = (number(model.vram_kib), number(model.heads));
            let primary = model.primary.then(|| "yes".to_owned());
            let attributes = [
                ("type", model.kind.as_ref()),
                ("vram", vram.as_ref()),
                ("heads", heads.as_ref()),
                ("primary", primary.as_ref()),
            ];
            with_children(w, "model", &attributes, model.other.is_empty(), |w| {
                w.elements(&model.other);
            });
        }
        w.elements(&video.other);
    });
}
