//! The serial ports of a domain that are on the network, from its XML.

use virt_xml::domain::VMWARE_NAMESPACE;
use virt_xml::{Domain, Element, Node};

use crate::error::Error;
use crate::keep::NAMESPACE;

/// What a domain says of its serial ports (vspc.md 2.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkPorts {
    /// What the machine may introduce itself by at a concentrator, as those write it: 32 hex digits with hyphens for
    /// `vc.uuid`, with `bios:` in front for `uuid.bios`.
    pub machines: Vec<String>,
    /// Those behind a concentrator.
    pub proxied: Vec<ProxiedPort>,
    /// Those on the network without one.
    pub direct: Vec<DirectPort>,
    /// Numbers of all serial ports, those that are not on the network included.
    pub taken: Vec<u32>,
}

/// A port behind a concentrator (`serialN.vspc`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxiedPort {
    /// As in `serial0`.
    pub number: u32,
    /// What it asks the concentrator for (`serialN.fileName`).
    pub service: String,
    /// Whether the concentrator is to dial (`serialN.network.endPoint`).
    pub client: bool,
    /// Where the concentrator is, as the host sees it.
    pub proxy: String,
}

/// A port on the network without a concentrator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectPort {
    /// As in `serial0`.
    pub number: u32,
    /// Whether its host listens (direction `server`); else it dials.
    pub listens: bool,
    /// Address of the host, or of whom it dials; empty: any address of the host.
    pub host: String,
    /// The port, by number or name.
    pub service: String,
    /// libvirt's word for what is spoken: `raw`, `telnet`, `telnets` or `tls`.
    pub protocol: String,
}

impl NetworkPorts {
    /// Reads domain XML; with the kept keys (`<vmx:keys>`) it tells more of who the machine is. `uuid` is the domain's: where
    /// the document does not tell them, `vc.uuid` and `uuid.bios` are taken to be that, as one of the two is.
    ///
    /// # Errors
    /// If the document is no domain.
    pub fn read(xml: &str, uuid: [u8; 16]) -> Result<Self, Error> {
        let domain = Domain::parse(xml)?;
        let mut ports = Self::default();
        for serial in &domain.devices.serials {
            let number = serial.target_port.unwrap_or_default();
            ports.taken.push(number);
            let backing = serial
                .other
                .iter()
                .find(|e| e.name == "backing" && e.namespace.as_deref() == Some(VMWARE_NAMESPACE));
            let word = |name| backing.and_then(|backing| backing.attribute(name));
            if let Some(proxy) = word("proxy") {
                ports.proxied.push(ProxiedPort {
                    number,
                    service: word("service").unwrap_or_default().to_owned(),
                    client: word("direction") == Some("client"),
                    proxy: proxy.to_owned(),
                });
            } else if serial.kind == "tcp" {
                let source = serial.source.clone().unwrap_or_default();
                ports.direct.push(DirectPort {
                    number,
                    listens: source.mode.as_deref() == Some("bind"),
                    host: source.host.unwrap_or_default(),
                    service: source.service.unwrap_or_default(),
                    protocol: serial.protocol.clone().unwrap_or_else(|| "raw".to_owned()),
                });
            }
        }
        let kept = domain
            .metadata
            .iter()
            .flat_map(elements)
            .filter(|e| e.name == "keys" && e.namespace.as_deref() == Some(NAMESPACE));
        let (mut instance, mut bios) = (None, None);
        for key in kept.flat_map(elements) {
            let found = match key.attribute("name").map(str::to_ascii_lowercase).as_deref() {
                Some("vc.uuid") => &mut instance,
                Some("uuid.bios") => &mut bios,
                _ => continue,
            };
            *found = identifier(&key.text()).or(found.take());
        }
        ports.machines =
            vec![shown(instance.unwrap_or(uuid)), format!("bios:{}", shown(bios.unwrap_or(uuid)))];
        Ok(ports)
    }

    /// The port behind a concentrator of this number, or the first one.
    #[must_use]
    pub fn proxied(&self, number: Option<u32>) -> Option<&ProxiedPort> {
        self.proxied.iter().find(|port| number.is_none_or(|number| port.number == number))
    }

    /// The port of this number, or the first one, that its host serves itself, without a concentrator.
    #[must_use]
    pub fn served(&self, number: Option<u32>) -> Option<&DirectPort> {
        let mut served = self.direct.iter().filter(|port| port.listens);
        served.find(|port| number.is_none_or(|number| port.number == number))
    }

    /// The lowest number that no port has.
    #[must_use]
    pub fn free(&self) -> u32 {
        (0..).find(|number| !self.taken.contains(number)).unwrap_or_default()
    }

    /// Why there is no such port behind a concentrator, and what to do about it, in one sentence.
    #[must_use]
    pub fn missing(&self, domain: &str, number: Option<u32>) -> String {
        match number {
            Some(number) if self.direct.iter().any(|port| port.number == number) => format!(
                "serial port {number} of domain '{domain}' is on the network without a concentrator"
            ),
            Some(number) if self.taken.contains(&number) => {
                format!("serial port {number} of domain '{domain}' is not on the network")
            }
            Some(number) => format!("domain '{domain}' has no serial port {number}"),
            None => format!(
                "domain '{domain}' has no serial port behind a concentrator: turn it off and add one with 'virtesx console \
                 {domain} --add --proxy telnet://HOST:13370', HOST being where 'virtesx vspc serve' listens"
            ),
        }
    }
}

/// 32 hex digits, as VMX files write them with blanks and a hyphen.
fn identifier(text: &str) -> Option<[u8; 16]> {
    let mut uuid = [0; 16];
    let mut digits = 0;
    for c in text.chars().filter(|c| !matches!(c, ' ' | '-')) {
        let digit = u8::try_from(c.to_digit(16)?).ok()?;
        let byte = uuid.get_mut(digits / 2)?;
        *byte = *byte << 4 | digit;
        digits += 1;
    }
    (digits == 32).then_some(uuid)
}

fn shown(uuid: [u8; 16]) -> String {
    let mut text = String::new();
    for (at, byte) in uuid.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text += &format!("{byte:02x}");
    }
    text
}

fn elements(element: &Element) -> impl Iterator<Item = &Element> {
    element.children.iter().filter_map(|child| match child {
        Node::Element(element) => Some(element),
        Node::Text(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(metadata: &str, devices: &str) -> String {
        format!(
            "<domain type='vmware'><name>a</name><memory>1</memory><vcpu>1</vcpu><os><type>hvm</type></os>\
             <metadata>{metadata}</metadata><devices>{devices}</devices></domain>"
        )
    }

    #[test]
    fn ports_are_found_in_xml() {
        let xml = document(
            "<v:keys xmlns:v='urn:virtesx:vmx:1'><v:key name='vc.uuid'>50 1e a0 b1 c2 d3 e4 f5-06 17 28 39 4a 5b 6c 7d\
             </v:key><v:key name='uuid.bios'>../../..</v:key></v:keys>",
            "<serial type='null'><target port='0'/>\
             <w:backing xmlns:w='http://libvirt.org/schemas/domain/vmware/1.0' service='virtesx?port=0' \
             direction='server' proxy='telnet://192.0.2.1:13370'/></serial>\
             <serial type='tcp'><source mode='bind' host='' service='23'/><protocol type='telnet'/><target port='2'/>\
             </serial><serial type='file'><source path='[a] b'/><target port='3'/></serial>",
        );
        let ports = NetworkPorts::read(&xml, [0xab; 16]).unwrap();
        assert_eq!(
            ports.machines,
            ["501ea0b1-c2d3-e4f5-0617-28394a5b6c7d", "bios:abababab-abab-abab-abab-abababababab"]
        );
        let proxied = ProxiedPort {
            number: 0,
            service: "virtesx?port=0".to_owned(),
            client: false,
            proxy: "telnet://192.0.2.1:13370".to_owned(),
        };
        let direct = DirectPort {
            number: 2,
            listens: true,
            host: String::new(),
            service: "23".to_owned(),
            protocol: "telnet".to_owned(),
        };
        assert_eq!((&ports.proxied[..], &ports.direct[..]), (&[proxied][..], &[direct][..]));
        assert_eq!((&ports.taken[..], ports.free()), (&[0, 2, 3][..], 1));
        for (number, expected) in [
            (Some(2), "serial port 2 of domain 'a' is on the network without a concentrator"),
            (Some(3), "serial port 3 of domain 'a' is not on the network"),
            (Some(9), "domain 'a' has no serial port 9"),
        ] {
            assert_eq!(ports.proxied(number), None);
            assert_eq!(ports.missing("a", number), expected);
        }
        assert_eq!(ports.proxied(None), ports.proxied(Some(0)));
        assert_eq!(ports.served(None).map(|port| port.number), Some(2));
        assert_eq!(ports.served(Some(3)), None);
        assert!(ports.missing("a", None).contains("virtesx console a --add --proxy telnet://HOST"));
    }

    #[test]
    fn without_kept_keys_the_domains_own_identifier_counts() {
        let ports = NetworkPorts::read(&document("", ""), [1; 16]).unwrap();
        let own = "01010101-0101-0101-0101-010101010101";
        assert_eq!(ports.machines, [own.to_owned(), format!("bios:{own}")]);
        assert!(NetworkPorts::read("<network/>", [1; 16]).is_err());
    }
}
