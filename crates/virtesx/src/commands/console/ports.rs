//! The serial ports of a domain that are on the network, from its XML.

use esx_vspc::{MachineId, UuidKind};
use virt_api::{Domain, DomainXmlFlags, Error, Hypervisor};
use virt_xml::domain::VMWARE_NAMESPACE;
use virt_xml::{Element, Node};

use crate::failure::{Context, usage};

/// Where the driver keeps the keys of the file that have no place in domain XML.
const KEYS_NAMESPACE: &str = "urn:virtesx:vmx:1";

/// What a domain says of its ports.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ports {
    /// What the machine may introduce itself by: `vc.uuid` or `uuid.bios` where XML does not tell them as its UUID, which is
    /// one of the two.
    pub(crate) machines: Vec<MachineId>,
    /// Those behind a concentrator.
    pub(crate) proxied: Vec<Proxied>,
    /// Numbers of those on the network without one.
    pub(crate) direct: Vec<u32>,
    /// Numbers of all.
    pub(crate) taken: Vec<u32>,
}

/// A port behind a concentrator.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Proxied {
    /// As in `serial0`.
    pub(crate) number: u32,
    /// What it asks the concentrator for.
    pub(crate) service: String,
    /// Whether the concentrator is to dial.
    pub(crate) client: bool,
    /// Where the concentrator is, as its hosts see it.
    pub(crate) proxy: String,
}

impl Ports {
    /// Asks for the domain's XML and reads it.
    pub(crate) async fn of(hypervisor: &dyn Hypervisor, domain: &Domain) -> Result<Self, Error> {
        let failed = || format!("failed to look for serial ports of domain '{}'", domain.name);
        let flags = DomainXmlFlags::KEEP_KEYS;
        let xml = hypervisor.domain_get_xml_desc(domain, flags).await.context(failed)?;
        let mut ports = Self::read(&xml).context(failed)?;
        for kind in [UuidKind::Instance, UuidKind::Bios] {
            if ports.machines.iter().all(|machine| machine.kind != kind) {
                ports.machines.push(MachineId { kind, uuid: *domain.uuid.as_bytes() });
            }
        }
        Ok(ports)
    }

    fn read(xml: &str) -> Result<Self, Error> {
        let domain = virt_xml::Domain::parse(xml)
            .map_err(|error| usage("the domain's XML cannot be read").with_source(error))?;
        let mut ports = Self {
            machines: Vec::new(),
            proxied: Vec::new(),
            direct: Vec::new(),
            taken: Vec::new(),
        };
        for serial in &domain.devices.serials {
            let number = serial.target_port.unwrap_or_default();
            ports.taken.push(number);
            let backing = serial
                .other
                .iter()
                .find(|e| e.name == "backing" && e.namespace.as_deref() == Some(VMWARE_NAMESPACE));
            let word = |name| backing.and_then(|backing| backing.attribute(name));
            match word("proxy") {
                Some(proxy) => ports.proxied.push(Proxied {
                    number,
                    service: word("service").unwrap_or_default().to_owned(),
                    client: word("direction") == Some("client"),
                    proxy: proxy.to_owned(),
                }),
                None if serial.kind == "tcp" => ports.direct.push(number),
                None => {}
            }
        }
        let kept = domain
            .metadata
            .iter()
            .flat_map(elements)
            .filter(|e| e.name == "keys" && e.namespace.as_deref() == Some(KEYS_NAMESPACE));
        for key in kept.flat_map(elements) {
            let kind = match key.attribute("name").map(str::to_ascii_lowercase).as_deref() {
                Some("vc.uuid") => UuidKind::Instance,
                Some("uuid.bios") => UuidKind::Bios,
                _ => continue,
            };
            ports.machines.extend(MachineId::parse(kind, &key.text()));
        }
        Ok(ports)
    }

    /// The lowest number that no port has.
    pub(crate) fn free(&self) -> u32 {
        (0..).find(|number| !self.taken.contains(number)).unwrap_or_default()
    }
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

    #[test]
    fn ports_are_found_in_xml() {
        let xml = "<domain type='vmware'><name>a</name><memory>1</memory><vcpu>1</vcpu><os><type>hvm</type></os>\
            <metadata><v:keys xmlns:v='urn:virtesx:vmx:1'><v:key name='vc.uuid'>50 1e a0 b1 c2 d3 e4 f5-06 17 28 39 4a 5b 6c 7d</v:key></v:keys></metadata>\
            <devices><serial type='null'><target port='0'/>\
            <w:backing xmlns:w='http://libvirt.org/schemas/domain/vmware/1.0' service='virtesx?port=0' direction='server' \
            proxy='telnet://192.0.2.1:13370'/></serial>\
            <serial type='tcp'><source mode='bind' host='' service='23'/><target port='2'/></serial></devices></domain>";
        let ports = Ports::read(xml).unwrap();
        let told: Vec<String> = ports.machines.iter().map(ToString::to_string).collect();
        assert_eq!(told, ["501ea0b1-c2d3-e4f5-0617-28394a5b6c7d"]);
        assert_eq!((&ports.direct[..], ports.free()), (&[2][..], 1));
        let proxied = Proxied {
            number: 0,
            service: "virtesx?port=0".to_owned(),
            client: false,
            proxy: "telnet://192.0.2.1:13370".to_owned(),
        };
        assert_eq!(ports.proxied, [proxied]);
    }
}
