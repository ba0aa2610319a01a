//! USB controllers and devices of a VMX file and of a domain (`spec/vmx.md` 16).

use virt_xml::{Element, Node};

/// USB controllers by the prefix of their keys, with libvirt's word for the like of them.
pub(crate) const CONTROLLERS: [(&str, &str); 3] =
    [("usb", "piix3-uhci"), ("ehci", "ehci"), ("usb_xhci", "qemu-xhci")];

/// The stem of the keys that name devices of the host to be passed through.
pub(crate) const AUTO_CONNECT: &str = "usb.autoConnect.device";

/// A virtual device on a virtual port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `hid`: pointer and keyboard, for libvirt a mouse.
    Hid,
    /// `hub`.
    Hub,
}

impl Kind {
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        match word.to_ascii_lowercase().as_str() {
            "hid" => Some(Self::Hid),
            "hub" => Some(Self::Hub),
            _ => None,
        }
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Hid => "hid",
            Self::Hub => "hub",
        }
    }

    /// The device on a port of a bus. VMX files number ports from 0, libvirt from 1.
    pub(crate) fn element(self, bus: u32, port: u32) -> Element {
        let device = match self {
            Self::Hid => {
                Element::new("input").with_attribute("type", "mouse").with_attribute("bus", "usb")
            }
            Self::Hub => Element::new("hub").with_attribute("type", "usb"),
        };
        let address = Element::new("address")
            .with_attribute("type", "usb")
            .with_attribute("bus", &bus.to_string())
            .with_attribute("port", &(port + 1).to_string());
        device.with_child(address)
    }

    /// What an element is, if it is one of these.
    pub(crate) fn of(device: &Element) -> Option<Self> {
        let is_usb = |name| device.attribute(name) == Some("usb");
        match device.name.as_str() {
            "input" if is_usb("bus") => Some(Self::Hid),
            "hub" if is_usb("type") => Some(Self::Hub),
            _ => None,
        }
    }
}

/// Bus and port, from 0, of an element with a USB address; not below another hub.
pub(crate) fn address(device: &Element) -> Option<(u32, u32)> {
    let address = device.children_named("address").find(|a| a.attribute("type") == Some("usb"))?;
    let number = |name: &str| address.attribute(name).and_then(|text| text.parse::<u32>().ok());
    Some((number("bus")?, number("port")?.checked_sub(1)?))
}

/// Vendor and product of the device that an auto-connect pattern names: `0x0e0f:0x0003`, or
/// `vid:0e0f pid:0003`. Patterns by path have no place in domain XML.
pub(crate) fn ids(pattern: &str) -> Option<(u16, u16)> {
    let hex = |text: &str| {
        let text = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
        let plain = (1..=4).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
        plain.then(|| u16::from_str_radix(text, 16).ok()).flatten()
    };
    let (mut vendor, mut product) = (None, None);
    for word in pattern.split_ascii_whitespace() {
        let (name, value) = word.split_once(':')?;
        match name.to_ascii_lowercase().as_str() {
            "vid" => vendor = Some(hex(value)?),
            "pid" => product = Some(hex(value)?),
            _ => (vendor, product) = (Some(hex(name)?), Some(hex(value)?)),
        }
    }
    Some((vendor?, product?))
}

/// The host's device of that vendor and product, passed through.
pub(crate) fn hostdev((vendor, product): (u16, u16)) -> Element {
    let id = |name: &str, id: u16| Element::new(name).with_attribute("id", &format!("{id:#06x}"));
    let source =
        Element::new("source").with_child(id("vendor", vendor)).with_child(id("product", product));
    Element::new("hostdev")
        .with_attribute("mode", "subsystem")
        .with_attribute("type", "usb")
        .with_attribute("managed", "no")
        .with_child(source)
}

/// Vendor and product in a `<hostdev>` of the kind made here.
pub(crate) fn hostdev_ids(hostdev: &Element) -> Option<(u16, u16)> {
    if hostdev.attribute("type") != Some("usb") {
        return None;
    }
    let source = hostdev.children_named("source").next()?;
    let id = |wanted: &str| {
        source.children.iter().find_map(|child| match child {
            Node::Element(e) if e.name == wanted => {
                let text = e.attribute("id")?;
                match text.strip_prefix("0x") {
                    Some(hex) => u16::from_str_radix(hex, 16).ok(),
                    None => text.parse().ok(),
                }
            }
            _ => None,
        })
    };
    Some((id("vendor")?, id("product")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let table = [
            ("0x0e0f:0x0003", Some((0x0e0f, 3))),
            ("046d:C077", Some((0x046d, 0xc077))),
            ("vid:17ef pid:4816", Some((0x17ef, 0x4816))),
            ("path:1/1/3 autoclean:1", None),
            ("vid:17ef", None),
            ("0x12345:0x1", None),
            ("+1:2", None),
            ("", None),
        ];
        for (pattern, expect) in table {
            assert_eq!(ids(pattern), expect, "{pattern}");
            if let Some(ids) = expect {
                assert_eq!(hostdev_ids(&hostdev(ids)), expect, "{pattern}");
            }
        }
    }

    #[test]
    fn virtual_devices() {
        for kind in [Kind::Hid, Kind::Hub] {
            let device = kind.element(2, 4);
            assert_eq!((Kind::of(&device), address(&device)), (Some(kind), Some((2, 4))));
            assert_eq!(Kind::from_word(kind.word()), Some(kind));
        }
        assert_eq!(Kind::of(&Element::new("input").with_attribute("bus", "ps2")), None);
        assert_eq!(Kind::from_word("camera"), None);
    }
}
