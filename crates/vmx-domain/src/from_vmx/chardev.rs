//! Serial and parallel ports (`spec/vmx.md` 6.3, 6.4).

use esx_vmx::Device;
use virt_xml::Element;
use virt_xml::domain::{CharDevice, CharSource, VMWARE_NAMESPACE};

use super::reader::Reader;
use super::uri::Uri;
use crate::bend::Bend as _;
use crate::error::Error;
use crate::files::Missing;

/// The ports libvirt looks at.
const SERIAL_PORTS: u32 = 4;
/// The ports newer hosts have.
const SERIAL_PORTS_MAX: u32 = 32;
const PARALLEL_PORTS: u32 = 3;

pub(super) fn serials(r: &mut Reader<'_>) -> Result<Vec<CharDevice>, Error> {
    let mut ports = Vec::new();
    let count = if r.exact() { SERIAL_PORTS } else { SERIAL_PORTS_MAX };
    for number in numbers(r, "serial", count) {
        if let Some(port) = serial(r, number)? {
            if number >= SERIAL_PORTS {
                r.warn(format!("serial{number}.present"), "libvirt does not look at this port");
            }
            ports.push(port);
        }
    }
    Ok(ports)
}

pub(super) fn parallels(r: &mut Reader<'_>) -> Result<Vec<CharDevice>, Error> {
    let mut ports = Vec::new();
    for number in numbers(r, "parallel", PARALLEL_PORTS) {
        ports.extend(parallel(r, number)?);
    }
    Ok(ports)
}

/// The ports there are keys of.
fn numbers(r: &Reader<'_>, stem: &str, count: u32) -> Vec<u32> {
    let numbers = r.numbers(stem).into_iter().filter_map(|n| u32::try_from(n).ok());
    numbers.filter(|&n| n < count).collect()
}

fn present(r: &mut Reader<'_>, group: Device<'_>) -> Result<bool, Error> {
    let present = r.flag(group, "present", false)?;
    r.flag(group, "startConnected", true)?;
    Ok(present)
}

fn device(kind: &str, path: Option<String>, port: u32) -> CharDevice {
    CharDevice {
        kind: kind.to_owned(),
        source: path.map(|path| CharSource { path: Some(path), ..CharSource::default() }),
        target_port: Some(port),
        ..CharDevice::default()
    }
}

fn serial(r: &mut Reader<'_>, port: u32) -> Result<Option<CharDevice>, Error> {
    let prefix = format!("serial{port}.");
    let group = r.group(&prefix);
    let key = |name: &str| group.key(name);
    if !present(r, group)? {
        return Ok(None);
    }
    let name_key = || key("fileName");
    let name = group.get("fileName");
    let owned = || name.map(str::to_owned);
    let file_type = group.get("fileType").unwrap_or("device");
    Ok(Some(match file_type.to_ascii_lowercase().as_str() {
        "device" => device("dev", owned(), port),
        "file" => match name {
            Some(name) => device("file", r.source(name_key, name, Missing::Fail)?, port),
            None => {
                let error = Error::internal(name_key(), "required key is absent");
                r.bend(error, "shown without a source")?;
                device("null", None, port)
            }
        },
        "pipe" => device("pipe", owned(), port),
        "network" => {
            let mut device = network(r, group, port)?;
            device.other.extend(proxied(r, group));
            device
        }
        _ => {
            let reason = format!("serial port type '{file_type}' is not known");
            r.bend(Error::internal(key("fileType"), reason), "shown without a source")?;
            device("null", None, port)
        }
    }))
}

/// What libvirt has no place for: the proxy of a port, and what it is asked for, which need not be a URI. Beside libvirt's
/// own words, and in its namespace for VMware, so that a document with it is still one that libvirt reads.
fn proxied(r: &Reader<'_>, group: Device<'_>) -> Option<Element> {
    let proxy = group.get("vspc").filter(|proxy| !proxy.is_empty() && !r.exact())?;
    let client = group.get("network.endPoint").is_some_and(|e| e.eq_ignore_ascii_case("client"));
    let backing = Element {
        prefix: Some("vmware".to_owned()),
        namespace: Some(VMWARE_NAMESPACE.to_owned()),
        ..Element::new("backing")
    };
    Some(
        backing
            .with_attribute("service", group.get("fileName").unwrap_or_default())
            .with_attribute("direction", if client { "client" } else { "server" })
            .with_attribute("proxy", proxy),
    )
}

fn network(r: &mut Reader<'_>, group: Device<'_>, port: u32) -> Result<CharDevice, Error> {
    let key = |name: &str| group.key(name);
    let name = group.get("fileName").unwrap_or_default();
    let client = group.get("network.endPoint").is_some_and(|e| e.eq_ignore_ascii_case("client"));
    let mut uri = Uri::parse(name);
    if uri.as_ref().is_none_or(|u| u.host.is_empty()) && !r.exact() {
        // libvirt shows a port without a source, and says nothing.
        let everywhere = Some("0.0.0.0".to_owned()).filter(|_| !client);
        uri = uri.and_then(|uri| Some(Uri { host: everywhere?, ..uri }));
        match &uri {
            Some(_) => {
                r.warn(key("fileName"), "libvirt loses a URI without host; shown as 0.0.0.0")
            }
            None if name.is_empty() => {}
            // What a concentrator is asked for need not be a URI; it is shown beside.
            None if proxied(r, group).is_some() => {}
            None => r.warn(key("fileName"), format!("'{name}' has no host and port; not shown")),
        }
    }
    let Some(uri) = uri.filter(|u| !u.host.is_empty()) else {
        return Ok(device("null", None, port));
    };
    let protocol = match uri.scheme.as_str() {
        "" | "tcp" | "tcp4" | "tcp6" => "raw",
        "telnet" => "telnet",
        "telnets" => "telnets",
        "ssl" | "tcp+ssl" | "tcp4+ssl" | "tcp6+ssl" => "tls",
        scheme => {
            let reason = format!("scheme '{scheme}' is not known");
            r.bend(Error::internal(key("fileName"), reason), "shown without a source")?;
            return Ok(device("null", None, port));
        }
    };
    let mode = match group.get("network.endPoint") {
        None => "bind",
        Some(word) if word.eq_ignore_ascii_case("server") => "bind",
        Some(word) if word.eq_ignore_ascii_case("client") => "connect",
        Some(word) => {
            let error = Error::internal(key("network.endPoint"), format!("'{word}' is not known"));
            r.bend(error, "taken for server")?;
            "bind"
        }
    };
    Ok(CharDevice {
        kind: "tcp".to_owned(),
        source: Some(CharSource {
            mode: Some(mode.to_owned()),
            host: Some(uri.host),
            service: Some(uri.port.to_string()),
            path: None,
        }),
        protocol: Some(protocol.to_owned()),
        target_port: Some(port),
        ..CharDevice::default()
    })
}

fn parallel(r: &mut Reader<'_>, port: u32) -> Result<Option<CharDevice>, Error> {
    let prefix = format!("parallel{port}.");
    let group = r.group(&prefix);
    let key = |name: &str| group.key(name);
    if !present(r, group)? {
        return Ok(None);
    }
    let Some(file_type) = r.essential(group, "fileType")? else { return Ok(None) };
    let Some(name) = r.essential(group, "fileName")? else { return Ok(None) };
    if file_type.eq_ignore_ascii_case("device") {
        return Ok(Some(device("dev", Some(name), port)));
    }
    if file_type.eq_ignore_ascii_case("file") {
        let path = r.source(|| key("fileName"), &name, Missing::Fail)?;
        return Ok(Some(device("file", path, port)));
    }
    let reason = format!("parallel port type '{file_type}' is not known");
    r.bend(Error::internal(key("fileType"), reason), "left out")?;
    Ok(None)
}
