//! Interfaces of the host (`virInterfaceGetXMLDesc`, `spec/storage-network.md` 12.2).

use crate::element::{Element, Reader};
use crate::error::{Error, ErrorKind};
use crate::writer::Writer;

/// An Ethernet interface of the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// Its name, such as `vmnic0`.
    pub name: String,
    /// Its MAC address as the host writes it.
    pub mac: Option<String>,
    /// Its IPv4 configuration, if it has one of its own.
    pub ipv4: Option<Ipv4>,
}

/// The IPv4 configuration of an interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ipv4 {
    /// Whether it asks a DHCP server.
    pub dhcp: bool,
    /// Its address.
    pub address: Option<String>,
    /// The length of the network's prefix; `None` if that is not known or 0.
    pub prefix: Option<u8>,
}

impl Interface {
    /// The document as libvirt writes it, with a line feed at its end.
    pub fn to_xml(&self) -> String {
        let mut w = Writer::new();
        w.tag("interface").attr("type", "ethernet").attr("name", &self.name).open();
        w.tag("start").attr("mode", "onboot").empty();
        if let Some(ipv4) = self.ipv4.as_ref().filter(|ip| ip.dhcp || ip.address.is_some()) {
            w.tag("protocol").attr("family", "ipv4").open();
            if ipv4.dhcp {
                w.tag("dhcp").attr("peerdns", "no").empty();
            }
            if let Some(address) = &ipv4.address {
                let prefix = ipv4.prefix.filter(|&prefix| prefix > 0).map(u32::from);
                w.tag("ip").attr("address", address).attr_opt("prefix", prefix).empty();
            }
            w.close("protocol");
        }
        if let Some(mac) = &self.mac {
            w.tag("mac").attr("address", mac).empty();
        }
        w.close("interface");
        w.finish()
    }

    /// Reads a document of an Ethernet interface. What these types do not hold is read over.
    ///
    /// # Errors
    /// Where the text is no such document, with the path of the element.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let element = Element::parse(text)?;
        if !element.is("interface") {
            let reason = format!("the root element is '{}', not 'interface'", element.name);
            return Err(Error { kind: ErrorKind::Element, path: "/".to_owned(), reason });
        }
        let mut root = Reader::root(element, true);
        match root.word("type", &["ethernet", "bridge", "bond", "vlan"])?.as_deref() {
            Some("ethernet") => {}
            Some(kind) => {
                let reason = format!("a host has no interface of type '{kind}'");
                return Err(root.error(ErrorKind::Unsupported, reason));
            }
            None => return Err(root.attr_error("type", "the interface has no type")),
        }
        let name = root.attr_string("name");
        let name = name.ok_or_else(|| root.attr_error("name", "the interface has no name"))?;
        let mac = root.take("mac").and_then(|mac| mac.attr_string("address"));
        let mut ipv4 = None;
        for mut protocol in root.take_all("protocol") {
            if protocol.attr("family") != Some("ipv4") {
                continue;
            }
            let mut found = Ipv4 { dhcp: protocol.take("dhcp").is_some(), ..Ipv4::default() };
            if let Some(ip) = protocol.take("ip") {
                found.address = ip.attr_string("address");
                found.prefix = ip.number("prefix")?;
            }
            ipv4 = Some(found);
        }
        Ok(Self { name, mac, ipv4 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_is_written_as_libvirt_does() {
        let interface = Interface {
            name: "vmnic0".to_owned(),
            mac: Some("00:1b:21:aa:bb:cc".to_owned()),
            ipv4: Some(Ipv4 {
                dhcp: true,
                address: Some("192.0.2.10".to_owned()),
                prefix: Some(24),
            }),
        };
        let expected = "<interface type='ethernet' name='vmnic0'>
  <start mode='onboot'/>
  <protocol family='ipv4'>
    <dhcp peerdns='no'/>
    <ip address='192.0.2.10' prefix='24'/>
  </protocol>
  <mac address='00:1b:21:aa:bb:cc'/>
</interface>
";
        assert_eq!(interface.to_xml(), expected);
        assert_eq!(Interface::parse(expected).unwrap(), interface);
        let bare = Interface { ipv4: None, ..interface.clone() };
        assert_eq!(bare.to_xml().lines().count(), 4);
        assert_eq!(Interface::parse(&bare.to_xml()).unwrap(), bare);
        let nothing = Interface { ipv4: Some(Ipv4::default()), ..interface };
        assert_eq!(nothing.to_xml(), bare.to_xml());
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (text, kind, path) in [
            ("<network/>", ErrorKind::Element, "/"),
            ("<interface/>", ErrorKind::Attribute, "/interface/@type"),
            ("<interface type='x'/>", ErrorKind::Attribute, "/interface/@type"),
            ("<interface type='bond'/>", ErrorKind::Unsupported, "/interface"),
            ("<interface type='ethernet'/>", ErrorKind::Attribute, "/interface/@name"),
            (
                "<interface type='ethernet' name='a'><protocol family='ipv4'><ip prefix='x'/></protocol></interface>",
                ErrorKind::Attribute,
                "/interface/protocol/ip/@prefix",
            ),
        ] {
            let error = Interface::parse(text).unwrap_err();
            assert_eq!((error.kind, error.path.as_str()), (kind, path), "{text}");
        }
    }
}
