//! Where consoles are served, and which hosts may come.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    str::FromStr,
};

/// Where a concentrator serves consoles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A socket in the file system: its permissions say who may come.
    Unix(PathBuf),
    /// `host:port`, in clear: for loopback.
    Tcp(String),
    /// `tls://host:port#thumbprint=…`; the thumbprint is for clients, and without it the system's CAs decide.
    Tls {
        /// `host:port`.
        authority: String,
        /// Of the concentrator's certificate, SHA-1 or SHA-256.
        thumbprint: Option<String>,
    },
}

/// Why a text is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no unix:PATH, HOST:PORT or tls://HOST:PORT")]
pub struct AddressError(pub String);

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let wrong = || AddressError(text.to_owned());
        let has_port = |authority: &str| {
            authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok())
        };
        if let Some(path) = text.strip_prefix("unix:").or(Some(text).filter(|t| t.starts_with('/')))
        {
            return match path {
                "" => Err(wrong()),
                path => Ok(Self::Unix(path.into())),
            };
        }
        if let Some(rest) = text.strip_prefix("tls://") {
            let (authority, fragment) = rest.split_once('#').unwrap_or((rest, ""));
            let thumbprint = fragment.strip_prefix("thumbprint=").map(str::to_owned);
            if !has_port(authority) || (thumbprint.is_none() && !fragment.is_empty()) {
                return Err(wrong());
            }
            return Ok(Self::Tls { authority: authority.to_owned(), thumbprint });
        }
        let authority = text.strip_prefix("tcp://").unwrap_or(text);
        if has_port(authority) { Ok(Self::Tcp(authority.to_owned())) } else { Err(wrong()) }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(authority) => f.write_str(authority),
            Self::Tls { authority, thumbprint: None } => write!(f, "tls://{authority}"),
            Self::Tls { authority, thumbprint: Some(thumbprint) } => {
                write!(f, "tls://{authority}#thumbprint={thumbprint}")
            }
        }
    }
}

/// Addresses of hosts: one, or a network in CIDR form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// Whether the address lies in it. An IPv4 address that came in IPv6 clothes is the IPv4 address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address.to_canonical(), address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => same_start(
                u128::from(own.to_bits()) << 96,
                u128::from(other.to_bits()) << 96,
                self.prefix,
            ),
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                same_start(own.to_bits(), other.to_bits(), self.prefix)
            }
            _ => false,
        }
    }
}

const fn same_start(one: u128, other: u128, bits: u8) -> bool {
    bits == 0 || (one ^ other) >> (128 - bits) == 0
}

impl FromStr for Network {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let wrong = || AddressError(text.to_owned());
        let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => most,
            Some(prefix) => prefix.parse().ok().filter(|p| *p <= most).ok_or_else(wrong)?,
        };
        Ok(Self { address, prefix })
    }
}

/// Whether a concentrator may dial the address for a machine: never itself, its network's own services, or nobody.
pub(crate) fn may_be_dialled(address: SocketAddr) -> bool {
    match address.ip().to_canonical() {
        IpAddr::V4(v4) => {
            !(v4.is_loopback()
                || v4.is_link_local()
                || v4.is_unspecified()
                || v4.is_multicast()
                || v4.is_broadcast())
        }
        IpAddr::V6(v6) => {
            !(v6.is_loopback()
                || v6.is_unicast_link_local()
                || v6.is_unspecified()
                || v6.is_multicast())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_and_write_alike() {
        for text in [
            "unix:/run/x.sock",
            "127.0.0.1:13371",
            "[::1]:1",
            "tls://h:1",
            "tls://h:1#thumbprint=AA:BB",
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        assert_eq!("/x".parse(), Ok(Address::Unix("/x".into())));
        assert_eq!("tcp://h:1".parse(), Ok(Address::Tcp("h:1".to_owned())));
        for text in ["", "unix:", "h", "h:x", "tls://h", "tls://h:1#verify"] {
            assert_eq!(text.parse::<Address>(), Err(AddressError(text.to_owned())));
        }
    }

    #[test]
    fn networks() {
        for (network, address, inside) in [
            ("192.0.2.0/24", "192.0.2.255", true),
            ("192.0.2.0/24", "192.0.3.0", false),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.6", false),
            ("0.0.0.0/0", "203.0.113.1", true),
            ("192.0.2.0/24", "::ffff:192.0.2.1", true),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("::/0", "192.0.2.1", false),
        ] {
            let parsed: Network = network.parse().unwrap();
            assert_eq!(parsed.contains(address.parse().unwrap()), inside, "{network} {address}");
        }
        for text in ["192.0.2.0/33", "::/129", "host", "192.0.2.0/"] {
            assert!(text.parse::<Network>().is_err());
        }
    }

    #[test]
    fn what_is_never_dialled() {
        for text in [
            "127.0.0.1:1",
            "[::1]:1",
            "[::ffff:127.0.0.1]:1",
            "169.254.169.254:80",
            "0.0.0.0:1",
            "[fe80::1]:1",
        ] {
            assert!(!may_be_dialled(text.parse().unwrap()), "{text}");
        }
        assert!(may_be_dialled("192.0.2.1:2301".parse().unwrap()));
    }
}
