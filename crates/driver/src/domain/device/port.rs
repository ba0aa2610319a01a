//! Serial and parallel ports, those behind a service URI or a concentrator (vSPC) included.

use esx_escape::DatastorePath;
use esx_vi_api::properties::ObjectRow;
use esx_vi_api::{ApiVersion, Object, Value};
use virt_api::{Error, ErrorCode, ErrorDomain, Result};
use virt_xml::domain::{CharDevice, VMWARE_NAMESPACE};

use super::hardware::{Hardware, backing, number};
use super::{Action, Change, NEW_KEY, connectable, no_device, several, unsupported};
use crate::connection::Session;

/// The licensed feature behind network-backed serial ports.
const FEATURE: &str = "serialuri";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Serial,
    Parallel,
}

impl Kind {
    const fn class(self) -> &'static str {
        match self {
            Self::Serial => "VirtualSerialPort",
            Self::Parallel => "VirtualParallelPort",
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Serial => "serial",
            Self::Parallel => "parallel",
        }
    }
}

/// A `<serial>` or `<parallel>`.
pub(super) struct Port {
    kind: Kind,
    number: Option<i32>,
    /// What is behind it, in the API's words; `None` if the document does not say.
    backing: Option<Object>,
}

impl Port {
    pub(super) fn new(
        port: CharDevice,
        kind: Kind,
        file: Option<DatastorePath>,
        api_version: ApiVersion,
    ) -> Result<Self> {
        let path = || port.source.as_ref().and_then(|source| source.path.clone());
        let class = |what: &str| Object::new(format!("{}{what}BackingInfo", kind.class()));
        let uri = if kind == Kind::Serial { uri_backing(&port)? } else { None };
        if uri.is_some() && api_version < ApiVersion::V4_1 {
            let message = format!(
                "network-backed serial ports need API 4.1, and the host speaks {api_version}"
            );
            return Err(unsupported(message));
        }
        let backing = match (uri, port.kind.as_str()) {
            (Some(uri), _) => Some(uri),
            (None, "file") => file.map(|file| class("File").with("fileName", file.to_string())),
            (None, "dev") => path().map(|path| class("Device").with("deviceName", path)),
            (None, "pipe") if kind == Kind::Serial => path().map(|path| {
                class("Pipe")
                    .with("pipeName", path)
                    .with("endpoint", "client")
                    .with("noRxLoss", false)
            }),
            // `pty` is what libvirt assumes where nothing is said.
            (None, "pty" | "tcp") => None,
            (None, other) => {
                let message = format!("a {} port cannot be of type '{other}'", kind.word());
                return Err(unsupported(message));
            }
        };
        Ok(Self {
            kind,
            number: port.target_port.and_then(|port| i32::try_from(port).ok()),
            backing,
        })
    }

    /// Whether the network is behind it.
    pub(super) fn is_uri(&self) -> bool {
        let class = self.backing.as_ref().map(|backing| &*backing.type_name);
        class == Some("VirtualSerialPortURIBackingInfo")
    }

    pub(super) fn changes(
        &self,
        hardware: &Hardware<'_>,
        action: Action,
        running: bool,
    ) -> Result<Vec<Change>> {
        Ok(vec![match action {
            Action::Attach => Change::add(self.new_port(hardware, running)?),
            Action::Detach => Change::remove(self.found(hardware)?.clone()),
            Action::Update => {
                let found = self.found(hardware)?;
                let mut device = found.clone();
                device.set("backing", self.wanted()?.clone());
                Change::edit(device)
            }
        }])
    }

    fn wanted(&self) -> Result<&Object> {
        self.backing.as_ref().ok_or_else(|| {
            unsupported(format!(
                "the document does not say what is behind the {} port",
                self.kind.word()
            ))
        })
    }

    fn new_port(&self, hardware: &Hardware<'_>, running: bool) -> Result<Object> {
        let backing = self.wanted()?;
        if let Some(wanted) = self.number
            && hardware.of(self.kind.class()).any(|port| number_of(port) == Some(wanted))
        {
            let message = format!("the domain has a {} port {wanted} already", self.kind.word());
            return Err(several(message));
        }
        let controller = hardware.of("VirtualSIOController").next();
        let port = Object::new(self.kind.class())
            .with("key", NEW_KEY)
            .with("backing", backing.clone())
            .with("connectable", connectable(true, running))
            .with_opt("controllerKey", controller.and_then(|c| number(c, "key")))
            .with_opt("unitNumber", self.number);
        Ok(if self.kind == Kind::Serial { port.with("yieldOnPoll", true) } else { port })
    }

    /// The machine's port that the document means: by number, else by what is behind it.
    fn found<'a>(&self, hardware: &Hardware<'a>) -> Result<&'a Object> {
        let mut found: Vec<_> = hardware
            .of(self.kind.class())
            .filter(|port| match (self.number, &self.backing) {
                (Some(wanted), _) => number_of(port) == Some(wanted),
                (None, Some(wanted)) => backing(port).is_some_and(|own| is_same(own, wanted)),
                (None, None) => true,
            })
            .collect();
        let word = self.kind.word();
        match (found.pop(), found.is_empty()) {
            (Some(only), true) => Ok(only),
            (None, _) => Err(no_device(format!("the domain has no such {word} port"))),
            _ => Err(several(format!("the domain has several {word} ports, name the number"))),
        }
    }
}

/// The number of a port, as in `serial0`.
fn number_of(port: &Object) -> Option<i32> {
    number(port, "unitNumber")
}

fn is_same(own: &Object, wanted: &Object) -> bool {
    let names = ["serviceURI", "fileName", "deviceName", "pipeName"];
    own.type_name == wanted.type_name && names.iter().all(|name| own.str(name) == wanted.str(name))
}

/// The network behind a serial port: from `<vmware:backing service=… direction=… proxy=…/>`, else from libvirt's
/// `type='tcp'`.
fn uri_backing(port: &CharDevice) -> Result<Option<Object>> {
    let ours = port
        .other
        .iter()
        .find(|e| e.name == "backing" && e.namespace.as_deref() == Some(VMWARE_NAMESPACE));
    let wrong = |message: String| Err(Error::invalid_arg(ErrorDomain::Esx, message));
    let (service, direction, proxy) = match ours {
        Some(element) => (
            element.attribute("service").unwrap_or_default().to_owned(),
            element.attribute("direction").unwrap_or("server").to_owned(),
            element.attribute("proxy").filter(|proxy| !proxy.is_empty()).map(str::to_owned),
        ),
        None if port.kind == "tcp" => {
            let Some(source) = &port.source else { return Ok(None) };
            let scheme = match port.protocol.as_deref() {
                Some("tls") => "ssl",
                Some(word @ ("telnet" | "telnets")) => word,
                _ => "tcp",
            };
            let host = source.host.as_deref().unwrap_or_default();
            let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
            let service = source.service.as_deref().unwrap_or_default();
            let bind = source.mode.as_deref() == Some("bind");
            let direction = if bind { "server" } else { "client" };
            (format!("{scheme}://{host}:{service}"), direction.to_owned(), None)
        }
        None => return Ok(None),
    };
    if !matches!(direction.as_str(), "server" | "client") {
        return wrong(format!("the direction is 'server' or 'client', not '{direction}'"));
    }
    match &proxy {
        // What a proxy is asked for is between it and the machine.
        Some(proxy) => {
            if let Err(reason) = check_uri(proxy, &["telnet", "telnets"], true, true) {
                return wrong(format!("{proxy:?} is no URI of a proxy: {reason}"));
            }
        }
        None => {
            let host_needed = direction == "client";
            if let Err(reason) = check_uri(&service, SERVICE_SCHEMES, host_needed, false) {
                return wrong(format!("{service:?} is no URI of a service: {reason}"));
            }
        }
    }
    Ok(Some(
        Object::new("VirtualSerialPortURIBackingInfo")
            .with("serviceURI", service)
            .with("direction", direction)
            .with_opt("proxyURI", proxy),
    ))
}

const SERVICE_SCHEMES: &[&str] =
    &["tcp", "tcp4", "tcp6", "ssl", "tcp+ssl", "tcp4+ssl", "tcp6+ssl", "telnet", "telnets"];

/// Whether a URI is one that hosts accept (spec `vspc.md` 2.3 to 2.5); without a scheme it is `tcp`.
fn check_uri(
    uri: &str,
    schemes: &[&str],
    host_needed: bool,
    strict: bool,
) -> Result<(), &'static str> {
    let (uri, _fragment) = uri.split_once('#').unwrap_or((uri, ""));
    let (scheme, rest) = uri.split_once("://").unwrap_or(("tcp", uri));
    if !schemes.iter().any(|known| known.eq_ignore_ascii_case(scheme)) {
        return Err("the scheme is not known");
    }
    let (authority, path) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, ""),
    };
    if strict && !path.trim_end_matches('/').is_empty() {
        return Err("it has a path");
    }
    if authority.contains('@') {
        return Err("user names are not allowed");
    }
    let Some((host, port)) = authority.rsplit_once(':') else { return Err("it has no port") };
    if host.is_empty() && host_needed {
        return Err("it has no host");
    }
    if host.contains(':') && !(host.starts_with('[') && host.ends_with(']')) {
        return Err("an IPv6 address stands in brackets");
    }
    let port = port.parse::<u16>().ok().filter(|port| *port > 0);
    port.map(drop).ok_or("the port is no number from 1 to 65535")
}

impl Session {
    /// A refusal of a network-backed serial port; if the host's licence lacks the feature, that is why.
    pub(super) async fn explain_serial_refusal(&self, what: &str, mut error: Error) -> Error {
        let Some(manager) = &self.client.content().license_manager else { return error };
        let read = self.client.read(manager, &["licenses"]).await;
        let Ok(Some(row)) = read else { return error };
        if has_feature(&row) == Some(false) {
            error.code = ErrorCode::OperationDenied;
            error.message = format!(
                "{what}: the host's licence lacks the feature {FEATURE:?} (Remote virtual Serial Port Concentrator)"
            );
        }
        error
    }
}

/// Whether one of the licences has the feature; `None` if none tells its features.
fn has_feature(row: &ObjectRow) -> Option<bool> {
    let licenses: Value = row.get("licenses").ok().flatten()?;
    let mut told = None;
    for license in licenses.items().iter().filter_map(Value::as_object) {
        let properties = license.get("properties").map_or(&[][..], Value::items);
        for property in properties.iter().filter_map(Value::as_object) {
            if property.str("key") != Some("feature") {
                continue;
            }
            let key = property.get_path("value.key").and_then(Value::as_str).unwrap_or_default();
            let has = key.split(':').next() == Some(FEATURE);
            told = Some(told.unwrap_or(false) || has);
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use virt_xml::domain::Device;

    use super::*;

    fn port(xml: &str, version: ApiVersion) -> Result<Port> {
        match Device::parse(xml).unwrap() {
            Device::Serial(port) => {
                let file = port.source.as_ref().and_then(|s| s.path.as_ref()?.parse().ok());
                Port::new(port, Kind::Serial, file, version)
            }
            _ => unreachable!("a serial port"),
        }
    }

    const PROXIED: &str = "<serial type='tcp' xmlns:v='http://libvirt.org/schemas/domain/vmware/1.0'>\
        <v:backing service='virtesx?port=0' direction='server' proxy='telnets://vspc.example:13370#thumbprint=AA:BB'/>\
        </serial>";

    #[test]
    fn a_proxied_port_is_passed_on_as_it_is() {
        let port = port(PROXIED, ApiVersion::V4_1).unwrap();
        assert!(port.is_uri());
        let backing = port.backing.unwrap();
        assert_eq!(backing.str("serviceURI"), Some("virtesx?port=0"));
        assert_eq!(backing.str("direction"), Some("server"));
        assert_eq!(backing.str("proxyURI"), Some("telnets://vspc.example:13370#thumbprint=AA:BB"));
    }

    #[test]
    fn older_hosts_have_no_such_ports() {
        let error = port(PROXIED, ApiVersion::V4_0).err().unwrap();
        assert_eq!(error.code, ErrorCode::ConfigUnsupported);
        assert!(error.message.contains("API 4.1"), "{error}");
    }

    #[test]
    fn libvirts_ports_become_uris() {
        let of = |xml: &str| {
            let backing = port(xml, ApiVersion::V4_1).unwrap().backing.unwrap();
            let text = |name| backing.str(name).unwrap_or_default().to_owned();
            (text("serviceURI"), text("direction"))
        };
        let tcp = |mode: &str, host: &str, protocol: &str| {
            format!(
                "<serial type='tcp'><source mode='{mode}' host='{host}' service='23'/><protocol type='{protocol}'/></serial>"
            )
        };
        assert_eq!(
            of(&tcp("bind", "", "telnet")),
            ("telnet://:23".to_owned(), "server".to_owned())
        );
        assert_eq!(of(&tcp("connect", "h", "raw")), ("tcp://h:23".to_owned(), "client".to_owned()));
        assert_eq!(
            of(&tcp("connect", "::1", "tls")),
            ("ssl://[::1]:23".to_owned(), "client".to_owned())
        );
    }

    #[test]
    fn uris_that_hosts_would_refuse_are_not_sent() {
        for (service, direction, proxy, reason) in [
            ("tcp://:23", "client", "", "no host"),
            ("tcp://h", "client", "", "no port"),
            ("tcp://h:0", "server", "", "65535"),
            ("udp://h:1", "server", "", "scheme"),
            ("tcp://::1:23", "client", "", "brackets"),
            ("x", "upwards", "telnet://h:1", "direction"),
            ("x", "server", "tcp://h:1", "scheme"),
            ("x", "server", "telnet://u:p@h:1", "user names"),
            ("x", "server", "telnet://h:1/p", "path"),
        ] {
            let xml = format!(
                "<serial type='tcp' xmlns:v='{VMWARE_NAMESPACE}'><v:backing service='{service}' direction='{direction}' proxy='{proxy}'/></serial>"
            );
            let error = port(&xml, ApiVersion::MAX).err().unwrap();
            assert!(error.message.contains(reason), "{error}");
        }
    }
}
