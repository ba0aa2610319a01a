//! Network adapters (`spec/vmx.md` 12.4).

use virt_xml::MacAddress;
use virt_xml::domain::{Interface, Mac};

use super::disks::pci_slot;
use super::vmx_uuid;
use super::writer::Writer;
use crate::bend::Bend as _;
use crate::error::Error;

/// Models that libvirt's VMX code knows and writes as they are.
const MODELS: [&str; 5] = ["vlance", "vmxnet", "vmxnet3", "e1000", "e1000e"];

pub(super) fn write(w: &mut Writer<'_>, interfaces: &[Interface]) -> Result<(), Error> {
    let most = if w.hardware < 7 { 4 } else { 10 };
    for (number, interface) in interfaces.iter().enumerate() {
        let at = format!("/domain/devices/interface[{}]", number + 1);
        if number >= most {
            let reason = format!("there can be {most} network adapters only");
            return Err(Error::internal(at, reason));
        }
        adapter(w, &at, number, interface)?;
    }
    Ok(())
}

fn adapter(
    w: &mut Writer<'_>,
    at: &str,
    number: usize,
    interface: &Interface,
) -> Result<(), Error> {
    let key = |name: &str| format!("ethernet{number}.{name}");
    w.line(&key("present"), true);
    match interface.model.as_deref().map(str::to_ascii_lowercase).as_deref() {
        None | Some("unknown") => {}
        Some("vmxnet2") => {
            w.line(&key("virtualDev"), "vmxnet");
            w.line(&key("features"), 15);
        }
        Some(model) if MODELS.contains(&model) => w.line(&key("virtualDev"), model),
        Some(model) => {
            let error = Error::internal(at, format!("an adapter cannot be of model '{model}'"));
            w.bend(error, "written without model")?;
        }
    }
    connection(w, at, interface, &key)?;
    mac(w, &interface.mac.clone().unwrap_or_default(), &key);
    pci_slot(w, &key("pciSlotNumber"), interface.address.as_ref());
    Ok(())
}

fn connection(
    w: &mut Writer<'_>,
    at: &str,
    interface: &Interface,
    key: &dyn Fn(&str) -> String,
) -> Result<(), Error> {
    let source = interface.source.as_ref();
    match interface.kind.as_str() {
        "bridge" => {
            let bridge = source.and_then(|s| s.bridge.as_deref()).unwrap_or_default();
            w.line(&key("networkName"), bridge);
            match &interface.target_dev {
                Some(dev) => {
                    w.line(&key("connectionType"), "custom");
                    w.line(&key("vnet"), dev);
                }
                None => w.line(&key("connectionType"), "bridged"),
            }
        }
        "user" => w.line(&key("connectionType"), "nat"),
        "null" => {}
        "vds" => {
            let Some(source) = source else {
                return Err(Error::internal(at, "the source is missing"));
            };
            w.line(&key("dvs.switchId"), vmx_uuid(source.switch_id.unwrap_or_default()));
            if let Some(port) = source.port_id.filter(|&id| id != 0) {
                w.line(&key("dvs.portId"), port);
            }
            if let Some(group) = &source.portgroup_id {
                // libvirt escapes this value for XML.
                let value = if w.exact() { escaped_for_xml(group) } else { group.clone() };
                w.line(&key("dvs.portgroupId"), value);
            }
            if let Some(connection) = source.connection_id.filter(|&id| id != 0) {
                w.line(&key("dvs.connectionId"), connection);
            }
        }
        "network" if !w.exact() => {
            let network = source.and_then(|s| s.network.as_deref()).unwrap_or_default();
            w.line(&key("networkName"), network);
            w.line(&key("connectionType"), "bridged");
            w.warn(at, "the network is taken for a port group; libvirt refuses it");
        }
        kind => {
            let reason = format!("an interface of type '{kind}' cannot be written");
            return Err(Error::unsupported(at, reason));
        }
    }
    Ok(())
}

fn escaped_for_xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            c => out.push(c),
        }
    }
    out
}

/// The address, with the type and check that its range implies.
fn mac(w: &mut Writer<'_>, mac: &Mac, key: &dyn Fn(&str) -> String) {
    let MacAddress([a, b, c, d, ..]) = mac.address;
    let vmware = [a, b, c];
    let vpx = vmware == [0x00, 0x50, 0x56] && (0x80..=0xbf).contains(&d);
    let fixed = vmware == [0x00, 0x50, 0x56] && d <= 0x3f;
    let implied = vpx || vmware == [0x00, 0x0c, 0x29];
    let mut check = (!implied && !fixed).then_some(false);
    let generated = match mac.kind.as_deref() {
        Some("generated") => {
            check = None;
            true
        }
        Some(_) => false,
        None => implied,
    };
    check = mac.check.or(check);
    if generated {
        w.line(&key("addressType"), if vpx { "vpx" } else { "generated" });
        w.line(&key("generatedAddress"), mac.address);
        if !vpx {
            w.line(&key("generatedAddressOffset"), 0);
        }
    } else {
        w.line(&key("addressType"), "static");
        w.line(&key("address"), mac.address);
    }
    if let Some(check) = check {
        w.line(&key("checkMACAddress"), check);
    }
}
