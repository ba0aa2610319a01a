//! Where a server is and how to get there: address, TLS policy, proxy, time limits.

use std::fmt;
use std::net::Ipv6Addr;
use std::time::Duration;

use crate::proxy::Proxy;
use crate::tls::TlsPolicy;

/// How the endpoint is spoken to (the `transport` URI parameter, connection.md 1.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Plain HTTP: passwords travel readable. Only for laboratories and simulators.
    Http,
    /// HTTP over TLS, the default everywhere.
    Https,
}

impl Scheme {
    /// The scheme as it stands in a URL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Bounds on waiting. Without them a firewall that swallows packets hangs the caller for ever
/// (users-and-servers.md, fact 31).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Longest time to set up a connection: TCP, proxy and TLS together.
    pub connect: Duration,
    /// Longest silence of the server while a reply is awaited or read; `None` waits without bound.
    /// A call may have its own value, see [`CallOptions`](crate::CallOptions).
    pub idle: Option<Duration>,
    /// Longest time for one method call, from its first byte to the last of its reply, however lively the server is.
    /// Waits that the caller asked for (updates, tasks) and files are not calls in this sense. `None`: no bound.
    pub call: Option<Duration>,
    /// Longest time for everything that is done with the endpoint, counted from [`Transport::new`](crate::Transport::new):
    /// afterwards only the logout is still tried. `None`: no bound.
    pub total: Option<Duration>,
}

impl Default for Timeouts {
    /// 30 s to connect, 60 s of silence, 10 minutes for a call, no bound on everything together.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(30),
            idle: Some(Duration::from_secs(60)),
            call: Some(Duration::from_secs(600)),
            total: None,
        }
    }
}

/// One server as the transport sees it. `Display` writes `host:port`, the form used in messages.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// HTTP or HTTPS.
    pub scheme: Scheme,
    /// DNS name or address; an IPv6 address stands without brackets.
    pub host: String,
    /// TCP port, always explicit.
    pub port: u16,
    /// Which certificates are accepted. Not looked at over plain HTTP.
    pub tls: TlsPolicy,
    /// The proxy to go through. Proxies come only from here, never from the environment.
    pub proxy: Option<Proxy>,
    /// Bounds on waiting.
    pub timeouts: Timeouts,
    /// Most bytes a reply to a POST may have after decompression.
    pub max_reply_bytes: u64,
}

impl Endpoint {
    /// Bound on replies unless told otherwise: 1 GiB, as in libvirt (connection.md 4).
    pub const DEFAULT_MAX_REPLY_BYTES: u64 = 1 << 30;

    /// An endpoint with everything at its default: certificates verified, no proxy.
    pub fn new(scheme: Scheme, host: impl Into<String>, port: u16) -> Self {
        Self {
            scheme,
            host: host.into(),
            port,
            tls: TlsPolicy::Verify,
            proxy: None,
            timeouts: Timeouts::default(),
            max_reply_bytes: Self::DEFAULT_MAX_REPLY_BYTES,
        }
    }

    /// Whether the host is an IPv6 literal, which URLs put in brackets.
    pub fn is_ipv6_literal(&self) -> bool {
        self.host.parse::<Ipv6Addr>().is_ok()
    }

    /// `scheme://host:port`, the front of every URL of this endpoint (connection.md 3.2).
    pub fn base_url(&self) -> String {
        format!("{}://{self}", self.scheme)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_authority(f, &self.host, self.port)
    }
}

/// Writes `host:port`, with brackets around anything that contains a colon.
pub(crate) fn write_authority(f: &mut fmt::Formatter<'_>, host: &str, port: u16) -> fmt::Result {
    if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities_bracket_ipv6() {
        let table: String = [("h", 443), ("10.0.0.1", 80), ("::1", 8443), ("esx.example.org", 1)]
            .into_iter()
            .map(|(host, port)| {
                format!("{}\n", Endpoint::new(Scheme::Https, host, port).base_url())
            })
            .collect();
        insta::assert_snapshot!(table, @r"
        https://h:443
        https://10.0.0.1:80
        https://[::1]:8443
        https://esx.example.org:1
        ");
    }
}
