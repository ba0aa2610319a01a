//! Serial and parallel ports (`spec/vmx.md` 12.5, 12.6).

use virt_xml::domain::{CharDevice, VMWARE_NAMESPACE};

use super::writer::Writer;
use crate::bend::Bend as _;
use crate::error::Error;

pub(super) fn serials(w: &mut Writer<'_>, ports: &[CharDevice]) -> Result<(), Error> {
    for (i, port) in ports.iter().enumerate() {
        serial(w, &format!("/domain/devices/serial[{}]", i + 1), port)?;
    }
    Ok(())
}

pub(super) fn parallels(w: &mut Writer<'_>, ports: &[CharDevice]) -> Result<(), Error> {
    for (i, port) in ports.iter().enumerate() {
        parallel(w, &format!("/domain/devices/parallel[{}]", i + 1), port)?;
    }
    Ok(())
}

fn path(device: &CharDevice) -> &str {
    device.source.as_ref().and_then(|s| s.path.as_deref()).unwrap_or_default()
}

fn serial(w: &mut Writer<'_>, at: &str, device: &CharDevice) -> Result<(), Error> {
    let number = device.target_port.unwrap_or(0);
    // Newer hosts have 32 of them.
    let most = if w.exact() { 4 } else { 32 };
    if number >= most {
        return Err(Error::internal(at, format!("there is no serial port {number}")));
    }
    let key = |name: &str| format!("serial{number}.{name}");
    let backing = device
        .other
        .iter()
        .find(|e| e.name == "backing" && e.namespace.as_deref() == Some(VMWARE_NAMESPACE));
    if let Some(backing) = backing.filter(|_| !w.exact()) {
        let word = |name: &str| backing.attribute(name).unwrap_or_default().to_owned();
        let client = backing.attribute("direction") == Some("client");
        w.line(&key("present"), true);
        w.line(&key("fileType"), "network");
        w.line(&key("fileName"), word("service"));
        w.line(&key("network.endPoint"), if client { "client" } else { "server" });
        if backing.attribute("proxy").is_some_and(|proxy| !proxy.is_empty()) {
            w.line(&key("vspc"), word("proxy"));
        }
        w.line(&key("yieldOnMsrRead"), true);
        return Ok(());
    }
    let kind = device.kind.as_str();
    if !matches!(kind, "dev" | "file" | "pipe" | "tcp") {
        let error =
            Error::unsupported(at, format!("a serial port of type '{kind}' cannot be written"));
        return w.bend(error, "left out");
    }
    w.line(&key("present"), true);
    match kind {
        "dev" => {
            w.line(&key("fileType"), "device");
            w.line(&key("fileName"), path(device));
        }
        "file" => {
            w.line(&key("fileType"), "file");
            let name = w.file_name(at, path(device))?;
            w.line(&key("fileName"), name);
        }
        "pipe" => {
            w.line(&key("fileType"), "pipe");
            w.line(&key("pipe.endPoint"), "client");
            w.line(&key("tryNoRxLoss"), false);
            w.line(&key("fileName"), path(device));
        }
        _ => {
            let source = device.source.clone().unwrap_or_default();
            let scheme = match device.protocol.as_deref() {
                Some("tls") => "ssl",
                Some(word @ ("telnet" | "telnets")) => word,
                _ => "tcp",
            };
            let host = source.host.unwrap_or_default();
            // libvirt forgets the brackets of an IPv6 address.
            let host = match host.contains(':') && !w.exact() {
                true => format!("[{host}]"),
                false => host,
            };
            let service = source.service.unwrap_or_default();
            w.line(&key("fileType"), "network");
            w.line(&key("fileName"), format!("{scheme}://{host}:{service}"));
            let server = source.mode.as_deref() == Some("bind");
            w.line(&key("network.endPoint"), if server { "server" } else { "client" });
        }
    }
    w.line(&key("yieldOnMsrRead"), true);
    Ok(())
}

fn parallel(w: &mut Writer<'_>, at: &str, device: &CharDevice) -> Result<(), Error> {
    let number = device.target_port.unwrap_or(0);
    if number > 2 {
        return Err(Error::internal(at, format!("there is no parallel port {number}")));
    }
    let key = |name: &str| format!("parallel{number}.{name}");
    let (file_type, name) = match device.kind.as_str() {
        "dev" => ("device", path(device).to_owned()),
        "file" => ("file", w.file_name(at, path(device))?),
        kind => {
            let reason = format!("a parallel port of type '{kind}' cannot be written");
            return w.bend(Error::unsupported(at, reason), "left out");
        }
    };
    w.line(&key("present"), true);
    w.line(&key("fileType"), file_type);
    w.line(&key("fileName"), name);
    Ok(())
}
