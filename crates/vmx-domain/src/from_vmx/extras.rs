//! Devices that libvirt does not look at, in default mode (`spec/vmx.md` 16).

use esx_vmx::Device;
use virt_xml::domain::{Address, Controller, Cpu, Domain, PciAddress};
use virt_xml::{Element, Node};

use super::disks::pci_address;
use super::reader::Reader;
use crate::bend::Bend as _;
use crate::cpuid;
use crate::error::Error;
use crate::usb;

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
    usb_devices(r, domain)?;
    sound(r, domain)?;
    for number in r.numbers("pciPassthru") {
        passthrough(r, number, domain)?;
    }
    auto_connected(r, domain);
    cpu_features(r, domain)
}

fn usb_devices(r: &mut Reader<'_>, domain: &mut Domain) -> Result<(), Error> {
    for (index, (stem, model)) in (0..).zip(usb::CONTROLLERS) {
        let prefix = format!("{stem}.");
        let group = r.group(&prefix);
        if !r.flag(group, "present", false)? {
            continue;
        }
        r.warn(group.key("present"), SHOWN);
        domain.devices.controllers.push(Controller {
            kind: "usb".to_owned(),
            index: Some(index),
            model: Some(model.to_owned()),
            address: pci_address(r, group)?,
            ..Controller::default()
        });
        for port in r.numbers(&format!("{stem}:")) {
            let prefix = format!("{stem}:{port}.");
            let group = r.group(&prefix);
            if !r.flag(group, "present", false)? {
                continue;
            }
            let word = group.get("deviceType").unwrap_or_default();
            let on_root = group.get("parent").is_none_or(|parent| parent == "-1");
            let own_port = group.get("port").is_none_or(|text| text.parse() == Ok(port));
            let kind = usb::Kind::from_word(word).filter(|_| on_root && own_port);
            match (kind, u32::try_from(port).ok().filter(|&port| port < MAX_USB_PORT)) {
                (Some(kind), Some(port)) => {
                    r.warn(group.key("present"), SHOWN);
                    domain.devices.other.push(kind.element(index, port));
                }
                _ => r.warn(
                    group.key("deviceType"),
                    format!("a USB device '{word}' has no place in domain XML; left out"),
                ),
            }
        }
    }
    Ok(())
}

/// More ports than any controller has.
const MAX_USB_PORT: u32 = 127;

/// Devices of the host that are passed through as soon as they are plugged in.
fn auto_connected(r: &mut Reader<'_>, domain: &mut Domain) {
    let document = r.document;
    let patterns = document.entries().filter(|entry| {
        let digits = entry.key.get(usb::AUTO_CONNECT.len()..).unwrap_or_default();
        let head = entry.key.get(..usb::AUTO_CONNECT.len()).unwrap_or_default();
        head.eq_ignore_ascii_case(usb::AUTO_CONNECT)
            && !digits.is_empty()
            && digits.bytes().all(|b| b.is_ascii_digit())
            && document.get(entry.key) == Some(entry.value)
    });
    for entry in patterns {
        match usb::ids(entry.value) {
            Some(ids) => {
                r.warn(entry.key, SHOWN);
                domain.devices.other.push(usb::hostdev(ids));
            }
            None => r.warn(
                entry.key,
                format!("'{}' does not name vendor and product; left out", entry.value),
            ),
        }
    }
}

fn sound(r: &mut Reader<'_>, domain: &mut Domain) -> Result<(), Error> {
    let group = r.group("sound.");
    if !r.flag(group, "present", false)? {
        return Ok(());
    }
    let word = group.get("virtualDev").unwrap_or("es1371");
    let Some((_, model)) = SOUND.iter().find(|(vmx, _)| vmx.eq_ignore_ascii_case(word)) else {
        r.warn("sound.virtualDev", format!("'{word}' is not known; left out"));
        return Ok(());
    };
    r.warn("sound.present", SHOWN);
    let sound = Element::new("sound").with_attribute("model", model);
    let sound = on_slot(r, group, sound)?;
    domain.devices.other.push(sound);
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
    let address = pci_element(PciAddress { domain: segment, bus, slot, function });
    let hostdev = Element::new("hostdev")
        .with_attribute("mode", "subsystem")
        .with_attribute("type", "pci")
        .with_attribute("managed", "yes")
        .with_child(Element::new("source").with_child(address));
    let hostdev = on_slot(r, group, hostdev)?;
    domain.devices.other.push(hostdev);
    Ok(())
}

/// The device with the address that its slot number stands for.
fn on_slot(r: &mut Reader<'_>, group: Device<'_>, device: Element) -> Result<Element, Error> {
    Ok(match pci_address(r, group)? {
        Some(Address::Pci(Some(address))) => {
            let mut element = pci_element(address);
            element.attributes.insert(0, ("type".to_owned(), "pci".to_owned()));
            device.with_child(element)
        }
        _ => device,
    })
}

fn pci_element(pci: PciAddress) -> Element {
    let hex = |number: u32, digits: usize| format!("{number:#0width$x}", width = digits + 2);
    Element::new("address")
        .with_attribute("domain", &hex(pci.domain, 4))
        .with_attribute("bus", &hex(pci.bus, 2))
        .with_attribute("slot", &hex(pci.slot, 2))
        .with_attribute("function", &hex(pci.function, 1))
}

/// `vhv.enable`, and the CPU id masks that say no more than features do.
fn cpu_features(r: &mut Reader<'_>, domain: &mut Domain) -> Result<(), Error> {
    let mut features = Vec::new();
    if r.boolean("vhv.enable", false)? {
        r.warn("vhv.enable", "shown as a CPU feature; libvirt leaves it out");
        features.push((NESTED, "require"));
    }
    for key in cpuid::KEYS {
        let Some(mask) = r.get(key) else { continue };
        match cpuid::features(key, mask) {
            Some(found) => {
                if !found.is_empty() {
                    r.warn(key, "shown as CPU features; libvirt leaves it out");
                }
                features.extend(found);
            }
            None => r.warn(key, "the mask says more than CPU features can; left out"),
        }
    }
    if !features.is_empty() {
        let elements = features.into_iter().map(|(name, policy)| {
            Element::new("feature").with_attribute("policy", policy).with_attribute("name", name)
        });
        domain.cpu.get_or_insert_with(Cpu::default).other.extend(elements);
    }
    Ok(())
}

/// Segment, bus, slot and function of `00000:004:00.0`, which is decimal, or of `04:00.0`, which is not.
pub(crate) fn pci_id(text: &str) -> Option<[u32; 4]> {
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
    pci_numbers(address)
}

/// Where the guest sees a device of another kind than those with an [`Address`].
pub(crate) fn guest_address(device: &Element) -> Option<Address> {
    let is_pci = |a: &&Element| a.attribute("type") == Some("pci");
    let address = device.children_named("address").find(is_pci)?;
    let [domain, bus, slot, function] = pci_numbers(address)?;
    Some(Address::Pci(Some(PciAddress { domain, bus, slot, function })))
}

fn pci_numbers(address: &Element) -> Option<[u32; 4]> {
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
