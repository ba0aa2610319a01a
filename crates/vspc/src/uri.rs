//! The texts of a port's configuration: service URI, proxy URI and their fragments (spec 2).
//!
//! A host is given back what it said, so these are views beside the text, never a replacement of it.

use percent_encoding::percent_decode_str;

/// Why a text cannot be the URI of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// No scheme, or one that is not allowed here.
    #[error("the scheme must be one of {0}")]
    Scheme(&'static str),
    /// No host where one is needed.
    #[error("a host is missing")]
    NoHost,
    /// No port, or none from 1 to 65535.
    #[error("a port from 1 to 65535 is missing")]
    NoPort,
    /// A user name or password.
    #[error("a user name is not allowed")]
    UserInfo,
    /// A path or query.
    #[error("a path is not allowed")]
    Path,
    /// An IPv6 address without brackets, or brackets without one.
    #[error("an IPv6 address must be in brackets")]
    Brackets,
    /// Fragment parameters where none can be.
    #[error("parameters behind # need telnet or telnets")]
    Fragment,
}

/// How the bytes of a network port travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Raw bytes.
    Tcp,
    /// Raw bytes in TLS.
    Ssl,
    /// Telnet.
    Telnet,
    /// Telnet in TLS.
    Telnets,
}

/// A network address of a port, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortUri {
    /// How the bytes travel.
    pub transport: Transport,
    /// Host name or address, without brackets; empty for "any" of a listener.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Parameters behind `#`, as written but for percent escapes. Keys compare without case.
    pub parameters: Vec<(String, Option<String>)>,
}

impl PortUri {
    /// Reads a proxy URI: `telnet` or `telnets`, with host and port and nothing else but parameters.
    ///
    /// # Errors
    ///
    /// [`UriError`].
    pub fn parse_proxy(text: &str) -> Result<Self, UriError> {
        let uri = Self::parse(text)?;
        match uri.transport {
            Transport::Telnet | Transport::Telnets => {}
            Transport::Tcp | Transport::Ssl => return Err(UriError::Scheme("telnet, telnets")),
        }
        if uri.host.is_empty() {
            return Err(UriError::NoHost);
        }
        Ok(uri)
    }

    /// Reads a service URI of a port without proxy. `needs_host`: in direction client.
    ///
    /// # Errors
    ///
    /// [`UriError`].
    pub fn parse_service(text: &str, needs_host: bool) -> Result<Self, UriError> {
        let uri = Self::parse(text)?;
        if needs_host && uri.host.is_empty() {
            return Err(UriError::NoHost);
        }
        Ok(uri)
    }

    fn parse(text: &str) -> Result<Self, UriError> {
        const SCHEMES: &str = "tcp, ssl, telnet, telnets";
        let (address, fragment) = match text.split_once('#') {
            // Guides print a blank before it.
            Some((address, fragment)) => (address.trim_end(), Some(fragment)),
            None => (text, None),
        };
        let (scheme, rest) = address.split_once("://").unwrap_or(("tcp", address));
        let transport = match scheme.to_ascii_lowercase().as_str() {
            "tcp" | "tcp4" | "tcp6" => Transport::Tcp,
            "ssl" | "tcp+ssl" | "tcp4+ssl" | "tcp6+ssl" => Transport::Ssl,
            "telnet" => Transport::Telnet,
            "telnets" => Transport::Telnets,
            _ => return Err(UriError::Scheme(SCHEMES)),
        };
        if rest.contains('@') {
            return Err(UriError::UserInfo);
        }
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?']) {
            return Err(UriError::Path);
        }
        let (host, port) = authority.rsplit_once(':').ok_or(UriError::NoPort)?;
        let host = match host.strip_prefix('[') {
            Some(inner) => inner.strip_suffix(']').ok_or(UriError::Brackets)?,
            None if host.contains([':', '[', ']']) => return Err(UriError::Brackets),
            None => host,
        };
        let digits = port.bytes().all(|b| b.is_ascii_digit());
        let port = port.parse().ok().filter(|port| digits && *port != 0).ok_or(UriError::NoPort)?;
        if fragment.is_some() && matches!(transport, Transport::Tcp) {
            return Err(UriError::Fragment);
        }
        let parameters = fragment.map(parameters).unwrap_or_default();
        Ok(Self { transport, host: host.to_owned(), port, parameters })
    }

    /// The value of a parameter; `Some("")` if it has none.
    #[must_use]
    pub fn parameter(&self, key: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(key))
            .map(|(_, value)| value.as_deref().unwrap_or(""))
    }

    /// `host:port`, the host in brackets if it needs them.
    #[must_use]
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

fn parameters(fragment: &str) -> Vec<(String, Option<String>)> {
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    fragment
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| match pair.split_once('=') {
            Some((key, value)) => (key.to_owned(), Some(decode(value))),
            None => (pair.to_owned(), None),
        })
        .collect()
}

/// A proxy URI to be written: colons of a thumbprint stay as they are.
#[must_use]
pub fn proxy_uri(tls: bool, authority: &str, thumbprint: Option<&str>) -> String {
    let scheme = if tls { "telnets" } else { "telnet" };
    match thumbprint {
        Some(thumbprint) => format!("{scheme}://{authority}#thumbprint={thumbprint}"),
        None => format!("{scheme}://{authority}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies() {
        let uri =
            PortUri::parse_proxy("TELNETS://vspc.example:13370 #thumbprint=AA:BB&verify").unwrap();
        assert_eq!((uri.transport, uri.port), (Transport::Telnets, 13370));
        assert_eq!(uri.parameter("Thumbprint"), Some("AA:BB"));
        assert_eq!(uri.parameter("verify"), Some(""));
        assert_eq!(uri.parameter("peerName"), None);
        assert_eq!(uri.authority(), "vspc.example:13370");
        let v6 = PortUri::parse_proxy("telnet://[2001:db8::1]:23/#peerName=a%26b").unwrap();
        assert_eq!(
            (v6.authority().as_str(), v6.host.as_str()),
            ("[2001:db8::1]:23", "2001:db8::1")
        );
        assert_eq!(v6.parameter("peername"), Some("a&b"));
        let written = proxy_uri(true, "h:1", Some("AA:BB"));
        assert_eq!(written, "telnets://h:1#thumbprint=AA:BB");
        assert!(PortUri::parse_proxy(&written).is_ok());
        for (text, error) in [
            ("tcp://h:1", UriError::Scheme("telnet, telnets")),
            ("vSPC.py", UriError::NoPort),
            ("http://h:1", UriError::Scheme("tcp, ssl, telnet, telnets")),
            ("telnet://:1", UriError::NoHost),
            ("telnet://h", UriError::NoPort),
            ("telnet://h:0", UriError::NoPort),
            ("telnet://h:65536", UriError::NoPort),
            ("telnet://h:+1", UriError::NoPort),
            ("telnet://u@h:1", UriError::UserInfo),
            ("telnet://h:1/x", UriError::Path),
            ("telnet://fe80::1:23", UriError::Brackets),
            ("telnet://[fe80::1:23", UriError::Brackets),
        ] {
            assert_eq!(PortUri::parse_proxy(text), Err(error), "{text}");
        }
    }

    #[test]
    fn services() {
        for (text, transport) in [
            ("host:2301", Transport::Tcp),
            ("tcp4://host:2301", Transport::Tcp),
            ("tcp6+ssl://host:2301", Transport::Ssl),
            ("ssl://host:2301#thumbprint=AA", Transport::Ssl),
            ("telnet://host:2301", Transport::Telnet),
        ] {
            assert_eq!(PortUri::parse_service(text, true).map(|uri| uri.transport), Ok(transport));
        }
        assert_eq!(PortUri::parse_service("telnet://:2301", false).map(|uri| uri.port), Ok(2301));
        assert_eq!(PortUri::parse_service("telnet://:2301", true), Err(UriError::NoHost));
        assert_eq!(PortUri::parse_service("tcp://h:1#verify", true), Err(UriError::Fragment));
    }
}
