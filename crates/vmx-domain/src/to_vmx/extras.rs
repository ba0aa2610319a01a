//! Devices that libvirt drops on the way to a VMX file, in default mode.

use virt_xml::Domain;

use super::writer::Writer;
use crate::from_vmx::extras::{NESTED, SOUND, USB, hostdev_address};

const WRITTEN: &str = "written; libvirt drops it";

pub(super) fn write(w: &mut Writer<'_>, domain: &Domain) {
    if w.exact() {
        return;
    }
    let devices = &domain.devices;
    for (i, controller) in devices.controllers.iter().enumerate().filter(|(_, c)| c.kind == "usb") {
        let at = format!("/domain/devices/controller[{}]", i + 1);
        let model = controller.model.as_deref().unwrap_or(USB[0].1);
        let key = match USB.iter().find(|(_, word)| *word == model) {
            Some((key, _)) => key,
            None if model.ends_with("xhci") => USB[2].0,
            None if model.starts_with("ich9-ehci") => USB[1].0,
            None => USB[0].0,
        };
        if w.line_once(key, "TRUE") {
            w.warn(at, WRITTEN);
        }
    }
    let mut passthrough = 0;
    for device in devices.other.iter().filter(|d| d.namespace.is_none()) {
        let at = format!("/domain/devices/{}", device.name);
        match device.name.as_str() {
            "sound" => {
                let model = device.attribute("model").unwrap_or_default();
                let known = SOUND.iter().find(|(_, word)| *word == model);
                let word = match known {
                    Some((vmx, _)) => vmx,
                    None if model.starts_with("ich") => "hdaudio",
                    None => {
                        w.warn(at, format!("there is no sound card '{model}'; left out"));
                        continue;
                    }
                };
                if w.line_once("sound.present", "TRUE") {
                    w.line("sound.virtualDev", word);
                    w.warn(at, WRITTEN);
                }
            }
            "hostdev" => match hostdev_address(device) {
                Some([segment, bus, slot, function]) => {
                    w.line(&format!("pciPassthru{passthrough}.present"), "TRUE");
                    let id = format!("{segment:05}:{bus:03}:{slot:02}.{function}");
                    w.line(&format!("pciPassthru{passthrough}.id"), id);
                    passthrough += 1;
                    w.warn(at, WRITTEN);
                }
                None => w.warn(at, "not a PCI device; left out"),
            },
            "input" | "memballoon" => {}
            name => w.warn(&at, format!("a {name} has no place in a VMX file; left out")),
        }
    }
    let features = domain.cpu.iter().flat_map(|cpu| &cpu.other);
    let nested = features.into_iter().any(|f| {
        let name = f.attribute("name");
        let wanted = !matches!(f.attribute("policy"), Some("disable" | "forbid" | "optional"));
        f.name == "feature" && matches!(name, Some(NESTED | "svm")) && wanted
    });
    if nested {
        w.line("vhv.enable", "TRUE");
        w.warn("/domain/cpu/feature", "nested virtualisation is written; libvirt drops it");
    }
}
