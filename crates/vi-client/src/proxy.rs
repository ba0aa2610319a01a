//! The proxy of one endpoint (the `proxy` URI parameter, connection.md 1.5).

use std::fmt;

use crate::endpoint::write_authority;

/// What the proxy speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProxyKind {
    /// HTTP: absolute requests for `http`, a `CONNECT` tunnel for `https`. The proxy resolves names.
    Http,
    /// SOCKS4 with names resolved here; knows IPv4 only.
    Socks4,
    /// SOCKS4a: the proxy resolves names.
    Socks4a,
    /// SOCKS5 with names resolved here, as libvirt asks for it.
    Socks5,
}

impl ProxyKind {
    /// The type prefix in the `proxy` parameter, without `://`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Socks4 => "socks4",
            Self::Socks4a => "socks4a",
            Self::Socks5 => "socks5",
        }
    }
}

/// A proxy without credentials; libvirt's URI has no place for them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Proxy {
    /// What it speaks.
    pub kind: ProxyKind,
    /// DNS name or address; an IPv6 address stands without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl Proxy {
    /// The URL form reqwest takes. Its `socks5` resolves names locally, its `socks4a` remotely.
    pub(crate) fn url(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.kind.as_str())?;
        write_authority(f, &self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_as_url() {
        let proxy = |kind, host: &str| Proxy { kind, host: host.into(), port: 1080 }.to_string();
        assert_eq!(proxy(ProxyKind::Http, "p"), "http://p:1080");
        assert_eq!(proxy(ProxyKind::Socks4a, "::1"), "socks4a://[::1]:1080");
    }
}
