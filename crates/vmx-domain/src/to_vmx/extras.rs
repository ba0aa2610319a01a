//! Devices that libvirt drops on the way to a VMX file, in default mode.

use std::collections::BTreeSet;

use virt_xml::domain::Controller;
use virt_xml::{Domain, Element};

use super::disks::pci_slot;
use super::writer::Writer;
use crate::bend::Bend as _;
use crate::cpuid::Masks;
use crate::from_vmx::extras::{NESTED, SOUND, guest_address, hostdev_address};
use crate::usb;

const WRITTEN: &str = "written; libvirt drops it";

pub(super) fn write(w: &mut Writer<'_>, domain: &Domain) {
    if w.exact() {
        return;
    }
    let devices = &domain.devices;
    let mut bus = Usb::default();
    for (i, controller) in devices.controllers.iter().enumerate().filter(|(_, c)| c.kind == "usb") {
        bus.controller(w, &format!("/domain/devices/controller[{}]", i + 1), controller);
    }
    let (mut passthrough, mut auto_connect) = (0, 0);
    for device in devices.other.iter().filter(|d| d.namespace.is_none()) {
        let at = format!("/domain/devices/{}", device.name);
        match (device.name.as_str(), usb::Kind::of(device)) {
            (_, Some(kind)) => bus.device(w, &at, kind, device),
            ("sound", _) => sound(w, &at, device),
            ("hostdev", _) => {
                if let Some([segment, bus, slot, function]) = hostdev_address(device) {
                    let key = |name: &str| format!("pciPassthru{passthrough}.{name}");
                    w.line(&key("present"), "TRUE");
                    w.line(&key("id"), format!("{segment:05}:{bus:03}:{slot:02}.{function}"));
                    pci_slot(w, &key("pciSlotNumber"), guest_address(device).as_ref());
                    passthrough += 1;
                    w.warn(at, WRITTEN);
                } else if let Some((vendor, product)) = usb::hostdev_ids(device) {
                    let key = format!("{}{auto_connect}", usb::AUTO_CONNECT);
                    w.line(&key, format!("{vendor:#06x}:{product:#06x}"));
                    auto_connect += 1;
                    w.warn(at, WRITTEN);
                } else {
                    w.warn(
                        at,
                        "neither a PCI device nor a USB device by vendor and product; left out",
                    );
                }
            }
            ("input" | "memballoon", _) => {}
            (name, _) => w.warn(&at, format!("a {name} has no place in a VMX file; left out")),
        }
    }
    cpu_features(w, domain);
    if domain.other.iter().any(|e| e.name == "maxMemory" && e.namespace.is_none()) {
        w.line("mem.hotadd", "TRUE");
        let reason = "memory can be added, up to what the host allows; the maximum is left out";
        w.warn("/domain/maxMemory", reason);
    }
}

/// The USB controllers that are written, and the ports in use.
#[derive(Default)]
struct Usb {
    /// Index in the domain, and which of [`usb::CONTROLLERS`].
    controllers: Vec<(u32, usize)>,
    ports: BTreeSet<(usize, u32)>,
}

impl Usb {
    fn controller(&mut self, w: &mut Writer<'_>, at: &str, controller: &Controller) {
        let model = controller.model.as_deref().unwrap_or(usb::CONTROLLERS[0].1);
        let which = match usb::CONTROLLERS.iter().position(|(_, word)| *word == model) {
            Some(which) => which,
            None if model.ends_with("xhci") => 2,
            None if model.starts_with("ich9-ehci") => 1,
            None => 0,
        };
        self.controllers.push((controller.index.unwrap_or(0), which));
        let stem = usb::CONTROLLERS[which].0;
        if w.line_once(&format!("{stem}.present"), "TRUE") {
            pci_slot(w, &format!("{stem}.pciSlotNumber"), controller.address.as_ref());
            w.warn(at, WRITTEN);
        }
    }

    fn device(&mut self, w: &mut Writer<'_>, at: &str, kind: usb::Kind, device: &Element) {
        let address = usb::address(device);
        let on = |bus| self.controllers.iter().find(|(index, _)| *index == bus);
        let which = address.and_then(|(bus, _)| on(bus)).or(self.controllers.first());
        let which = which.map_or(0, |(_, which)| *which);
        let stem = usb::CONTROLLERS[which].0;
        if self.controllers.is_empty() {
            w.line_once(&format!("{stem}.present"), "TRUE");
        }
        let wanted =
            address.map(|(_, port)| port).filter(|&port| !self.ports.contains(&(which, port)));
        let free = || (0..).find(|&port| !self.ports.contains(&(which, port))).unwrap_or(0);
        let port = wanted.unwrap_or_else(free);
        self.ports.insert((which, port));
        let key = |name: &str| format!("{stem}:{port}.{name}");
        w.line(&key("present"), "TRUE");
        w.line(&key("deviceType"), kind.word());
        w.line(&key("port"), port);
        w.line(&key("parent"), -1);
        w.warn(at, WRITTEN);
    }
}

fn sound(w: &mut Writer<'_>, at: &str, device: &Element) {
    let model = device.attribute("model").unwrap_or_default();
    let word = match SOUND.iter().find(|(_, word)| *word == model) {
        Some((vmx, _)) => vmx,
        None if model.starts_with("ich") => "hdaudio",
        None => {
            w.warn(at, format!("there is no sound card '{model}'; left out"));
            return;
        }
    };
    if w.line_once("sound.present", "TRUE") {
        w.line("sound.virtualDev", word);
        pci_slot(w, "sound.pciSlotNumber", guest_address(device).as_ref());
        w.warn(at, WRITTEN);
    }
}

fn cpu_features(w: &mut Writer<'_>, domain: &Domain) {
    let at = "/domain/cpu/feature";
    let features = domain.cpu.iter().flat_map(|cpu| &cpu.other).filter(|f| f.name == "feature");
    let mut masks = Masks::default();
    let mut masked = false;
    for feature in features {
        let name = feature.attribute("name").unwrap_or_default();
        let policy = feature.attribute("policy").unwrap_or("require");
        if matches!(name, NESTED | "svm") {
            // VMware has one switch for both makes; it is off unless it is said to be on.
            if matches!(policy, "require" | "force") && w.line_once("vhv.enable", "TRUE") {
                w.warn(at, "nested virtualisation is written; libvirt drops it");
            }
        } else if masks.add(name, policy) {
            masked = true;
        } else if !matches!(policy, "optional") {
            w.warn(at, format!("a VMX file cannot say '{policy}' of '{name}'; left out"));
        }
    }
    for (key, mask) in masks.values() {
        w.line(key, mask);
    }
    if masked {
        w.warn(at, "written as CPU id masks; libvirt drops them");
    }
}
