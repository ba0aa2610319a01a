//! Virtual networks (`virNetworkGetXMLDesc`, `virNetworkDefineXML`, `spec/storage-network.md` 11.4 to 11.6).

use uuid::Uuid;

use crate::element::{Element, Reader};
use crate::error::{Error, ErrorKind};
use crate::writer::Writer;

/// A virtual network, as far as VMware hosts have them: a virtual switch with its port groups.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// Its name.
    pub name: String,
    /// Its UUID; `None` in a document that leaves it to the host.
    pub uuid: Option<Uuid>,
    /// How it reaches the world; `None` for one that is cut off.
    pub forward: Option<Forward>,
    /// The largest frame in bytes, if it is said.
    pub mtu: Option<u32>,
    /// Limits of each of its ports.
    pub bandwidth: Option<Bandwidth>,
    /// Its port groups.
    pub portgroups: Vec<PortGroup>,
    /// What a document asked for that these types have no place for, as element paths and words: a virtual switch
    /// cannot do it. Empty in what is written.
    pub beyond: Vec<String>,
    /// Elements that libvirt does not know, as paths. Empty in what is written.
    pub unknown: Vec<String>,
}

/// How a network reaches the world.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forward {
    /// libvirt's mode: `bridge`, `nat`, `route`, `none`, …
    pub mode: String,
    /// The host's interfaces that it uses, by name.
    pub interfaces: Vec<String>,
    /// Whether there is one that has no name but a PCI address.
    pub by_address: bool,
}

/// A port group of a network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PortGroup {
    /// Its name.
    pub name: String,
    /// Its VLAN tags.
    pub vlan: Option<Vlan>,
    /// Limits of each of its ports.
    pub bandwidth: Option<Bandwidth>,
}

/// VLAN tags.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vlan {
    /// Whether the guest sees the tags and several are let through.
    pub trunk: bool,
    /// The tags, at most 4095.
    pub tags: Vec<u16>,
}

/// Limits of traffic, as the network sees it: inbound comes from the guest's port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bandwidth {
    /// What comes in.
    pub inbound: Option<Rate>,
    /// What goes out.
    pub outbound: Option<Rate>,
}

/// A limit in one direction. 0 stands for what is not said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rate {
    /// Kilobytes (1000 bytes) a second in the long run.
    pub average: u64,
    /// Kilobytes (1000 bytes) a second at most.
    pub peak: u64,
    /// Kibibytes that may go at peak speed.
    pub burst: u64,
}

impl Network {
    /// The document as libvirt writes it, with a line feed at its end.
    pub fn to_xml(&self) -> String {
        let mut w = Writer::new();
        w.tag("network").open();
        w.text("name", &self.name);
        if let Some(uuid) = self.uuid {
            w.text("uuid", uuid);
        }
        match &self.forward {
            Some(forward) => {
                let first = forward.interfaces.first();
                let tag = w.tag("forward").attr_opt("dev", first).attr("mode", &forward.mode);
                if forward.interfaces.is_empty() {
                    tag.empty();
                } else {
                    tag.open();
                    for interface in &forward.interfaces {
                        w.tag("interface").attr("dev", interface).empty();
                    }
                    w.close("forward");
                }
            }
            // libvirt's writer puts it wherever there is no bridge mode.
            None => w.tag("bridge").attr("stp", "off").attr("delay", "0").empty(),
        }
        if let Some(size) = self.mtu {
            w.tag("mtu").attr("size", size).empty();
        }
        if let Some(bandwidth) = &self.bandwidth {
            bandwidth.write(&mut w);
        }
        for group in &self.portgroups {
            w.tag("portgroup").attr("name", &group.name).open();
            if let Some(vlan) = &group.vlan {
                w.tag("vlan").attr_opt("trunk", vlan.trunk.then_some("yes")).open();
                for tag in &vlan.tags {
                    w.tag("tag").attr("id", u32::from(*tag)).empty();
                }
                w.close("vlan");
            }
            if let Some(bandwidth) = &group.bandwidth {
                bandwidth.write(&mut w);
            }
            w.close("portgroup");
        }
        w.close("network");
        w.finish()
    }

    /// Reads a document.
    ///
    /// # Errors
    /// Where libvirt refuses the document, with the path of the element.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let element = Element::parse(text)?;
        if !element.is("network") {
            let reason = format!("the root element is '{}', not 'network'", element.name);
            return Err(Error { kind: ErrorKind::Element, path: "/".to_owned(), reason });
        }
        let mut root = Reader::root(element, true);
        let mut network = Self::default();
        for attribute in ["ipv6", "trustGuestRxFilters"] {
            if root.yes_no(attribute)? == Some(true) {
                network.beyond.push(format!("/network/@{attribute}"));
            }
        }
        network.name = root
            .take_text("name")
            .ok_or_else(|| root.error(ErrorKind::NoName, "the network has no name"))?;
        if network.name.contains('/') {
            let reason = format!("the name {:?} has a '/'", network.name);
            return Err(root.error(ErrorKind::Contradiction, reason));
        }
        network.uuid = match root.take_text("uuid") {
            Some(text) => Some(crate::parse_uuid(&text).ok_or_else(|| {
                root.error(ErrorKind::Element, format!("'{text}' is not a UUID"))
            })?),
            None => None,
        };
        // For people only.
        for name in ["title", "description", "metadata"] {
            root.take_all(name);
        }
        let has_ip = root.peek("ip").is_some();
        let forward = root.take("forward");
        network.forward = forward.map(|f| Forward::read(f, &mut network.beyond)).transpose()?;
        network.read_bridge(&mut root)?;
        if let Some(mode @ ("nat" | "route" | "open")) = network.mode()
            && !has_ip
        {
            let reason = format!("a network with forward mode '{mode}' must have an IP address");
            return Err(root.error(ErrorKind::Element, reason));
        }
        if let Some(mtu) = root.take("mtu") {
            let size = mtu.number("size")?;
            network.mtu = Some(size.ok_or_else(|| mtu.attr_error("size", "the MTU has no size"))?);
        }
        network.bandwidth = root.take("bandwidth").map(Bandwidth::read).transpose()?;
        for group in root.take_all("portgroup") {
            let group = PortGroup::read(group, &mut network.beyond, &mut network.unknown)?;
            if network.portgroups.iter().any(|other| other.name == group.name) {
                let reason = format!("there are two port groups {:?}", group.name);
                return Err(root.error(ErrorKind::Element, reason));
            }
            network.portgroups.push(group);
        }
        const BEYOND: &[&str] =
            &["dns", "domain", "ip", "mac", "port", "route", "virtualport", "vlan"];
        for element in root.rest() {
            let list = if BEYOND.contains(&element.name.as_str()) && element.namespace.is_none() {
                &mut network.beyond
            } else if element.namespace.is_none() {
                &mut network.unknown
            } else {
                // Somebody else's.
                continue;
            };
            let path = format!("/network/{}", element.name);
            if !list.contains(&path) {
                list.push(path);
            }
        }
        Ok(network)
    }

    fn mode(&self) -> Option<&str> {
        self.forward.as_ref().map(|forward| forward.mode.as_str())
    }

    fn read_bridge(&mut self, root: &mut Reader) -> Result<(), Error> {
        let Some(bridge) = root.take("bridge") else { return Ok(()) };
        let delay: Option<u64> = bridge.number("delay")?;
        let stp = bridge.word("stp", &["on", "off"])?;
        let name = bridge.attr("name");
        let zone = bridge.attr("zone");
        if self.mode() == Some("bridge") && (delay.is_some() || stp.is_some() || zone.is_some()) {
            let reason = "bridge mode has no stp, delay and zone";
            return Err(bridge.error(ErrorKind::Element, reason));
        }
        let has_interfaces = self.forward.as_ref().is_some_and(|f| !f.interfaces.is_empty());
        if name.is_some() && has_interfaces {
            let reason = "a network has either a bridge or interfaces to forward to";
            return Err(bridge.error(ErrorKind::Element, reason));
        }
        let asked = [
            (name.is_some(), "@name"),
            (zone.is_some(), "@zone"),
            (stp.as_deref() == Some("on"), "@stp"),
            (delay.unwrap_or(0) > 0, "@delay"),
        ];
        for (_, attribute) in asked.iter().filter(|(asked, _)| *asked) {
            self.beyond.push(format!("/network/bridge/{attribute}"));
        }
        Ok(())
    }
}

impl Forward {
    fn read(mut reader: Reader, beyond: &mut Vec<String>) -> Result<Self, Error> {
        const MODES: &[&str] = &[
            "none",
            "nat",
            "route",
            "open",
            "bridge",
            "private",
            "vepa",
            "passthrough",
            "hostdev",
        ];
        let mode = reader.word("mode", MODES)?.unwrap_or_else(|| "nat".to_owned());
        let mut forward = Self { mode, ..Self::default() };
        for interface in reader.take_all("interface") {
            let name = interface.attr_string("dev");
            let name = name.ok_or_else(|| interface.attr_error("dev", "it has no device"))?;
            if forward.interfaces.contains(&name) {
                let reason = format!("the interface '{name}' is there twice");
                return Err(interface.error(ErrorKind::Element, reason));
            }
            forward.interfaces.push(name);
        }
        match reader.attr("dev") {
            Some(device) if forward.interfaces.is_empty() => {
                forward.interfaces.push(device.to_owned());
            }
            // libvirt repeats the first interface here.
            Some(device) if forward.interfaces[0] != device => {
                let reason = format!("it is '{device}', the first interface is another");
                return Err(reader.attr_error("dev", reason));
            }
            _ => {}
        }
        forward.by_address =
            !reader.take_all("address").is_empty() | !reader.take_all("pf").is_empty();
        for name in ["nat", "driver"] {
            if reader.take(name).is_some() {
                beyond.push(format!("/network/forward/{name}"));
            }
        }
        Ok(forward)
    }
}

impl PortGroup {
    fn read(
        mut reader: Reader,
        beyond: &mut Vec<String>,
        unknown: &mut Vec<String>,
    ) -> Result<Self, Error> {
        let name = reader
            .attr_string("name")
            .ok_or_else(|| reader.attr_error("name", "the port group has no name"))?;
        for attribute in ["default", "trustGuestRxFilters"] {
            if reader.yes_no(attribute)? == Some(true) {
                beyond.push(format!("/network/portgroup[@name='{name}']/@{attribute}"));
            }
        }
        let vlan = reader.take("vlan").map(|vlan| Vlan::read(vlan, &name, beyond)).transpose()?;
        let bandwidth = reader.take("bandwidth").map(Bandwidth::read).transpose()?;
        for element in reader.rest() {
            let path = format!("/network/portgroup[@name='{name}']/{}", element.name);
            if matches!(element.name.as_str(), "virtualport" | "port") {
                beyond.push(path);
            } else if element.namespace.is_none() {
                unknown.push(path);
            }
        }
        Ok(Self { name, vlan, bandwidth })
    }
}

impl Vlan {
    fn read(mut reader: Reader, group: &str, beyond: &mut Vec<String>) -> Result<Self, Error> {
        let mut vlan = Self { trunk: reader.yes_no("trunk")? == Some(true), tags: Vec::new() };
        for tag in reader.take_all("tag") {
            let id: Option<u16> = tag.number("id")?;
            let id = id.ok_or_else(|| tag.attr_error("id", "the tag has no number"))?;
            if id > 4095 {
                return Err(tag.attr_error("id", format!("{id} is more than 4095")));
            }
            if tag.attr("nativeMode").is_some() {
                beyond.push(format!("/network/portgroup[@name='{group}']/vlan/tag/@nativeMode"));
            }
            vlan.tags.push(id);
        }
        if vlan.tags.is_empty() {
            return Err(reader.error(ErrorKind::Element, "there is no tag"));
        }
        if vlan.tags.len() > 1 && reader.attr("trunk") == Some("no") {
            return Err(reader.error(ErrorKind::Element, "several tags without a trunk"));
        }
        vlan.trunk |= vlan.tags.len() > 1;
        Ok(vlan)
    }
}

impl Bandwidth {
    fn write(&self, w: &mut Writer) {
        w.tag("bandwidth").open();
        for (name, rate) in [("inbound", self.inbound), ("outbound", self.outbound)] {
            let Some(rate) = rate.filter(|rate| rate.average > 0) else { continue };
            let set = |number: u64| (number > 0).then_some(number);
            w.tag(name)
                .attr("average", rate.average)
                .attr_opt("peak", set(rate.peak))
                .attr_opt("burst", set(rate.burst))
                .empty();
        }
        w.close("bandwidth");
    }

    fn read(mut reader: Reader) -> Result<Self, Error> {
        let mut direction = |name: &'static str| match reader.take_all(name) {
            all if all.len() > 1 => {
                Err(reader.error(ErrorKind::Contradiction, format!("there are two <{name}>")))
            }
            all => all.first().map(Rate::read).transpose(),
        };
        Ok(Self { inbound: direction("inbound")?, outbound: direction("outbound")? })
    }
}

impl Rate {
    fn read(reader: &Reader) -> Result<Self, Error> {
        let number = |name: &str| {
            reader.number::<u64>(name).map_err(|e| Error { kind: ErrorKind::Contradiction, ..e })
        };
        let [average, peak, burst] = [number("average")?, number("peak")?, number("burst")?];
        if reader.attr("floor").is_some() {
            let reason = "a network guarantees no floor";
            return Err(Error {
                kind: ErrorKind::Unsupported,
                ..reader.attr_error("floor", reason)
            });
        }
        let average = average.ok_or_else(|| Error {
            kind: ErrorKind::Contradiction,
            ..reader.attr_error("average", "it is missing")
        })?;
        Ok(Self { average, peak: peak.unwrap_or(0), burst: burst.unwrap_or(0) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn switch() -> Network {
        let rate = Some(Rate { average: 1000, peak: 5000, burst: 5120 });
        Network {
            name: "vSwitch0".to_owned(),
            uuid: crate::parse_uuid("2f467347-8b4e-8655-e7d6-c4c3fb968009"),
            forward: Some(Forward {
                mode: "bridge".to_owned(),
                interfaces: vec!["vmnic0".to_owned(), "vmnic1".to_owned()],
                by_address: false,
            }),
            bandwidth: Some(Bandwidth { inbound: rate, outbound: rate }),
            portgroups: vec![PortGroup { name: "VM Network".to_owned(), ..PortGroup::default() }],
            ..Network::default()
        }
    }

    #[test]
    fn a_switch_is_written_as_libvirt_does() {
        let expected = "<network>
  <name>vSwitch0</name>
  <uuid>2f467347-8b4e-8655-e7d6-c4c3fb968009</uuid>
  <forward dev='vmnic0' mode='bridge'>
    <interface dev='vmnic0'/>
    <interface dev='vmnic1'/>
  </forward>
  <bandwidth>
    <inbound average='1000' peak='5000' burst='5120'/>
    <outbound average='1000' peak='5000' burst='5120'/>
  </bandwidth>
  <portgroup name='VM Network'>
  </portgroup>
</network>
";
        assert_eq!(switch().to_xml(), expected);
        assert_eq!(Network::parse(expected).unwrap(), switch());
        let isolated = Network { forward: None, bandwidth: None, portgroups: vec![], ..switch() };
        let text = isolated.to_xml();
        assert!(text.contains("</uuid>\n  <bridge stp='off' delay='0'/>\n</network>\n"), "{text}");
        assert_eq!(Network::parse(&text).unwrap(), isolated);
    }

    #[test]
    fn what_libvirts_driver_drops_is_kept() {
        let mut network = Network { mtu: Some(9000), ..switch() };
        network.portgroups[0].name = "a & 'b'".to_owned();
        network.portgroups[0].vlan = Some(Vlan { trunk: true, tags: vec![42, 4095] });
        let text = network.to_xml();
        assert!(text.contains("  </forward>\n  <mtu size='9000'/>\n  <bandwidth>\n"), "{text}");
        let group = "  <portgroup name='a &amp; &apos;b&apos;'>
    <vlan trunk='yes'>
      <tag id='42'/>
      <tag id='4095'/>
    </vlan>
  </portgroup>
";
        assert!(text.contains(group), "{text}");
        assert_eq!(Network::parse(&text).unwrap(), network);
    }

    #[test]
    fn what_a_switch_cannot_do_is_told() {
        let network = Network::parse(
            "<network trustGuestRxFilters='yes' xmlns:x='urn:x'><name>n</name><title>t</title><metadata/>\
             <bridge name='b' stp='on'/><forward mode='route'><nat/></forward><mac address='x'/><ip/><ip/>\
             <portgroup name='p' default='yes'><virtualport/><odd/></portgroup><x:y/><strange/></network>",
        )
        .unwrap();
        assert_eq!(
            network.beyond,
            [
                "/network/@trustGuestRxFilters",
                "/network/forward/nat",
                "/network/bridge/@name",
                "/network/bridge/@stp",
                "/network/portgroup[@name='p']/@default",
                "/network/portgroup[@name='p']/virtualport",
                "/network/mac",
                "/network/ip",
            ]
        );
        assert_eq!(network.unknown, ["/network/portgroup[@name='p']/odd", "/network/strange"]);
        let short =
            Network::parse("<network><name>n</name><forward mode='bridge' dev='a'/></network>");
        assert_eq!(short.unwrap().forward.unwrap().interfaces, ["a"]);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        use ErrorKind::{Attribute, Contradiction, Element, NoName, NotWellFormed, Unsupported};
        for (body, kind, path) in [
            ("", NoName, "/network"),
            ("<name>a/b</name>", Contradiction, "/network"),
            ("<name>a</name><uuid>x</uuid>", Element, "/network"),
            ("<name>a</name><forward/>", Element, "/network"),
            ("<name>a</name><forward mode='open'/>", Element, "/network"),
            ("<name>a</name><forward mode='fast'/>", Attribute, "/network/forward/@mode"),
            (
                "<name>a</name><forward mode='bridge'/><bridge stp='off'/>",
                Element,
                "/network/bridge",
            ),
            (
                "<name>a</name><forward mode='bridge' dev='e'/><bridge name='b'/>",
                Element,
                "/network/bridge",
            ),
            (
                "<name>a</name><forward mode='bridge' dev='e'><interface dev='f'/></forward>",
                Attribute,
                "/network/forward/@dev",
            ),
            ("<name>a</name><mtu/>", Attribute, "/network/mtu/@size"),
            (
                "<name>a</name><bandwidth><inbound peak='1'/></bandwidth>",
                Contradiction,
                "/network/bandwidth/inbound/@average",
            ),
            (
                "<name>a</name><bandwidth><outbound average='-1'/></bandwidth>",
                Contradiction,
                "/network/bandwidth/outbound/@average",
            ),
            (
                "<name>a</name><bandwidth><inbound average='1' floor='1'/></bandwidth>",
                Unsupported,
                "/network/bandwidth/inbound/@floor",
            ),
            ("<name>a</name><portgroup/>", Attribute, "/network/portgroup/@name"),
            ("<name>a</name><portgroup name='p'/><portgroup name='p'/>", Element, "/network"),
            (
                "<name>a</name><portgroup name='o'/><portgroup name='p'><vlan/></portgroup>",
                Element,
                "/network/portgroup[2]/vlan",
            ),
            (
                "<name>a</name><portgroup name='p'><vlan><tag id='4096'/></vlan></portgroup>",
                Attribute,
                "/network/portgroup/vlan/tag/@id",
            ),
        ] {
            let error = Network::parse(&format!("<network>{body}</network>")).unwrap_err();
            assert_eq!((error.kind, error.path.as_str()), (kind, path), "{body}");
        }
        assert_eq!(Network::parse("<network").unwrap_err().kind, NotWellFormed);
        assert_eq!(Network::parse("<pool/>").unwrap_err().kind, Element);
    }
}
