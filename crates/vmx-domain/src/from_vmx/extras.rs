//! Devices that libvirt does not look at, in default mode (`spec/vmx.md` 16).

use virt_xml::domain::{Controller, Cpu, Domain};
use virt_xml::{Element, Node};

use super::reader::Reader;
use crate::error::Error;

/// USB controllers by the key that says they are there, with libvirt's word for the like of them.
pub(crate) const USB: [(&str, &str); 3] =
    [("usb.present", "piix3-uhci"), ("ehci.present", "ehci"), ("usb_xhci.present", "qemu-xhci")];
/// Sound cards, with libvirt's word for the like of them.
pub(crate) const SOUND: [(&str, &str); 3] =
    [("es1371", "es1370"), ("sb16", "sb16"), ("hdaudio", "ich6")];
/// What nested virtualisation is to the guest.
pub(crate) const NESTED: &str = "vmx";
const SHOWN: &str = "shown; libvirt leaves it out";

pub(super) fn read(r: &mut Reader<'_>, domain: &mut Domain) -> Result<(), Error> {
    if r.exact() {
        return Ok(());
    }
    for (index, (key, model)) in (0..).zip(USB) {
        if r.boolean(key, false)? {
            r.warn(key, SHOWN);
            domain.devices.controllers.push(Controller {
                kind: "usb".to_owned(),
                index: Some(index),
                model: Some(model.to_owned()),
                ..Controller::default()
            });
        }
    }
    if r.boolean("sound.present", false)? {
        let word = r.get("sound.virtualDev").unwrap_or("es1371");
        let known = SOUND.iter().find(|(vmx, _)| vmx.eq_ignore_ascii_case(word));
        match known {
            Some((_, model)) => {
                r.warn("sound.present", SHOWN);
                let sound = Element::new("sound").with_attribute("model", model);
                domain.devices.other.push(sound);
            }
            None => r.warn("sound.virtualDev", format!("'{word}' is not known; left out")),
        }
    }
    for number in r.numbers("pciPassthru") {
        passthrough(r, number, domain)?;
    }
    if r.boolean("vhv.enable", false)? {
        r.warn("vhv.enable", "shown as a CPU feature; libvirt leaves it out");
        let feature = Element::new("feature")
            .with_attribute("policy", "require")
            .with_attribute("name", NESTED);
        domain.cpu.get_or_insert_with(Cpu::default).other.push(feature);
    }
    Ok(())
}

fn passthrough(r: &mut Reader<'_>, number: i64, domain: &mut Domain) -> Result<(), Error> {
    let prefix = format!("pciPassthru{number}.");
    let group = r.group(&prefix);
    if !r.flag(group, "present", false)? {
        return Ok(());
    }
    let key = group.key("id");
    let Some([segment, bus, slot, function]) = group.get("id").and_then(pci_id) else {
        r.warn(key, "no address of a PCI device of the host; left out");
        return Ok(());
    };
    r.warn(key, SHOWN);
    let hex = |number: u32, digits: usize| format!("{number:#0width$x}", width = digits + 2);
    let address = Element::new("address")
        .with_attribute("domain", &hex(segment, 4))
        .with_attribute("bus", &hex(bus, 2))
        .with_attribute("slot", &hex(slot, 2))
        .with_attribute("function", &hex(function, 1));
    let hostdev = Element::new("hostdev")
        .with_attribute("mode", "subsystem")
        .with_attribute("type", "pci")
        .with_attribute("managed", "yes")
        .with_child(Element::new("source").with_child(address));
    domain.devices.other.push(hostdev);
    Ok(())
}

/// Segment, bus, slot and function of `00000:004:00.0`, which is decimal, or of `04:00.0`, which is not.
fn pci_id(text: &str) -> Option<[u32; 4]> {
    let (address, function) = text.rsplit_once('.')?;
    let parts: Vec<&str> = address.split(':').collect();
    let (segment, bus, slot) = match parts[..] {
        [segment, bus, slot] => (segment, bus, slot),
        [bus, slot] => ("0", bus, slot),
        _ => return None,
    };
    let radix = if bus.len() == 3 { 10 } else { 16 };
    let number = |text: &str, most: u32| {
        u32::from_str_radix(text, radix).ok().filter(|&n| n <= most && !text.starts_with('+'))
    };
    Some([number(segment, 0xffff)?, number(bus, 255)?, number(slot, 31)?, number(function, 7)?])
}

/// The PCI address in a `<hostdev>` of the kind made here.
pub(crate) fn hostdev_address(hostdev: &Element) -> Option<[u32; 4]> {
    let pci = hostdev.attribute("type") == Some("pci");
    let address = hostdev.children_named("source").flat_map(|source| source.children.iter());
    let address = address.into_iter().find_map(|child| match child {
        Node::Element(e) if pci && e.name == "address" => Some(e),
        _ => None,
    })?;
    let number = |name: &str| {
        let text = address.attribute(name).unwrap_or("0");
        match text.strip_prefix("0x") {
            Some(hex) => u32::from_str_radix(hex, 16).ok(),
            None => text.parse().ok(),
        }
    };
    Some([number("domain")?, number("bus")?, number("slot")?, number("function")?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pci_ids() {
        let table = [
            ("00000:004:00.0", Some([0, 4, 0, 0])),
            ("00000:129:00.1", Some([0, 129, 0, 1])),
            ("81:00.1", Some([0, 129, 0, 1])),
            ("0000:0b:1f.7", Some([0, 11, 31, 7])),
            ("00000:300:00.0", None),
            ("04:20.0", None),
            ("4", None),
            ("", None),
        ];
        for (text, expect) in table {
            assert_eq!(pci_id(text), expect, "{text}");
        }
    }
}
