//! Network adapters (`spec/vmx.md` 6.2, `spec/libvirt-12-deltas.md` 8).

use esx_vmx::Device;
use virt_xml::MacAddress;
use virt_xml::domain::{Interface, InterfaceSource, Mac};

use super::disks::pci_address;
use super::reader::Reader;
use crate::bend::Bend as _;
use crate::error::Error;

/// The models libvirt takes, which are the words of VMX files too.
const MODELS: [&str; 5] = ["vlance", "vmxnet", "vmxnet3", "e1000", "e1000e"];

pub(super) fn adapter(r: &mut Reader<'_>, number: u32) -> Result<Option<Interface>, Error> {
    let prefix = format!("ethernet{number}.");
    let group = r.group(&prefix);
    let key = |name: &str| group.key(name);
    let present = r.flag(group, "present", false)?;
    // Checked, though it has no place in libvirt's document.
    r.flag(group, "startConnected", true)?;
    if !present {
        return Ok(None);
    }
    let connection = group.get("connectionType");
    let mac = mac(r, group)?;
    let model = model(r, group)?;
    let network = network_name(r, group, connection)?;
    let is = |word: &str| connection.is_some_and(|c| c.eq_ignore_ascii_case(word));
    let vnet = if is("custom") {
        let vnet = group.get("vnet").map(str::to_owned);
        if vnet.is_none() {
            r.bend(Error::internal(key("vnet"), "required key is absent"), "left out")?;
        }
        vnet
    } else {
        None
    };
    let switch = distributed_switch(r, group)?;

    let mut interface = Interface { mac: Some(mac), model, ..Interface::default() };
    let bridge = |bridge: Option<String>| {
        bridge.map(|b| InterfaceSource { bridge: Some(b), ..InterfaceSource::default() })
    };
    let kind = if let Some(switch) = switch {
        interface.source = Some(switch);
        "vds"
    } else if connection.is_none() && network.is_none() {
        "null"
    } else if connection.is_none() || is("bridged") {
        interface.source = bridge(network);
        "bridge"
    } else if is("nat") {
        "user"
    } else if is("custom") {
        interface.source = bridge(network);
        interface.target_dev = vnet;
        "bridge"
    } else {
        let word = connection.unwrap_or_default();
        let error =
            Error::internal(key("connectionType"), format!("connection '{word}' is not known"));
        let named = group.get("networkName").map(str::to_owned);
        if is("hostonly") {
            r.bend(error, "shown as a network")?;
            let network = named.or_else(|| Some("HostOnly".to_owned()));
            interface.source = Some(InterfaceSource { network, ..InterfaceSource::default() });
            "network"
        } else {
            r.bend(error, "shown by its network name alone")?;
            interface.source = bridge(named);
            if interface.source.is_some() { "bridge" } else { "null" }
        }
    };
    // Without a bridge's name, which default mode gets by, libvirt would not read the document.
    let nameless = kind == "bridge" && interface.source.is_none();
    interface.kind = if nameless { "null" } else { kind }.to_owned();
    interface.address = pci_address(r, group)?;
    Ok(Some(interface))
}

fn mac(r: &mut Reader<'_>, group: Device<'_>) -> Result<Mac, Error> {
    let key = |name: &str| group.key(name);
    let (kind, source) = match group.get("addressType") {
        None => (None, "generatedAddress"),
        Some(word) => match word.to_ascii_lowercase().as_str() {
            "generated" | "vpx" => (Some("generated"), "generatedAddress"),
            "static" => (Some("static"), "address"),
            _ => {
                let reason = format!("address type '{word}' is not known");
                let error = Error::internal(key("addressType"), reason);
                r.bend(error, "the address is taken from where there is one")?;
                let fixed = group.get("generatedAddress").is_none();
                (None, if fixed { "address" } else { "generatedAddress" })
            }
        },
    };
    let mut address = MacAddress::default();
    if let Some(text) = group.get(source) {
        match MacAddress::parse(text) {
            Some(parsed) => address = parsed,
            None => {
                let reason = format!("'{text}' is not a MAC address");
                r.bend(Error::internal(key(source), reason), "ignored")?;
            }
        }
    }
    let check = match group.get("checkMACAddress") {
        None => None,
        Some("true") => Some(true),
        Some(word) if word.eq_ignore_ascii_case("true") && !r.exact() => {
            r.warn(key("checkMACAddress"), "libvirt takes this spelling for no");
            Some(true)
        }
        Some(_) => Some(false),
    };
    Ok(Mac { address, kind: kind.map(str::to_owned), check })
}

fn model(r: &mut Reader<'_>, group: Device<'_>) -> Result<Option<String>, Error> {
    let model = match group.get("virtualDev") {
        None => None,
        Some(word) => match MODELS.iter().find(|m| m.eq_ignore_ascii_case(word)) {
            Some(model) => Some(*model),
            None => {
                let reason = format!("adapter model '{word}' is not known");
                let vmxnet2 = word.eq_ignore_ascii_case("vmxnet2");
                let instead = if vmxnet2 { "shown all the same" } else { "shown without model" };
                r.bend(Error::internal(group.key("virtualDev"), reason), instead)?;
                vmxnet2.then_some("vmxnet2")
            }
        },
    };
    let features = r.number(group, "features")?.unwrap_or(0);
    let model = if model == Some("vmxnet") && features == 15 { Some("vmxnet2") } else { model };
    Ok(model.map(str::to_owned))
}

fn network_name(
    r: &mut Reader<'_>,
    group: Device<'_>,
    connection: Option<&str>,
) -> Result<Option<String>, Error> {
    let needed = connection
        .is_some_and(|c| c.eq_ignore_ascii_case("bridged") || c.eq_ignore_ascii_case("custom"));
    let name = group.get("networkName").map(str::to_owned);
    if needed && name.is_none() {
        let error = Error::internal(group.key("networkName"), "required key is absent");
        r.bend(error, "shown without network")?;
    }
    Ok(name.filter(|_| needed || connection.is_none()))
}

fn distributed_switch(
    r: &mut Reader<'_>,
    group: Device<'_>,
) -> Result<Option<InterfaceSource>, Error> {
    let Some(text) = group.get("dvs.switchId") else { return Ok(None) };
    let Some(switch) = virt_xml::parse_uuid(text) else {
        let error = Error::internal(group.key("dvs.switchId"), format!("'{text}' is not a UUID"));
        r.bend(error, "ignored")?;
        return Ok(None);
    };
    let port_id = r.number(group, "dvs.portId")?.unwrap_or(0);
    let portgroup_id = group.get("dvs.portgroupId").map(str::to_owned);
    let connection_id = r.number(group, "dvs.connectionId")?.unwrap_or(0);
    Ok(Some(InterfaceSource {
        switch_id: Some(switch),
        port_id: Some(port_id),
        portgroup_id,
        connection_id: Some(connection_id),
        ..InterfaceSource::default()
    }))
}
