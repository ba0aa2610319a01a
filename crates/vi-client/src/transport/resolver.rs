//! Name resolution by the system, with an error that names the host.

use std::net::{IpAddr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Travels inside reqwest's error until `classify` takes it out.
#[derive(Debug, thiserror::Error)]
#[error("cannot resolve {host:?}: {problem}")]
pub(super) struct ResolveFailure {
    pub(super) host: String,
    pub(super) problem: String,
}

/// `getaddrinfo` on tokio's blocking pool: any address family, all addresses tried in turn.
pub(super) struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().to_owned();
        Box::pin(async move {
            // With a SOCKS proxy reqwest asks for literals too, brackets included.
            let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(&host);
            if let Ok(address) = bare.parse::<IpAddr>() {
                return Ok(Box::new(std::iter::once(SocketAddr::new(address, 0))) as Addrs);
            }
            let problem = match tokio::net::lookup_host((host.as_str(), 0)).await {
                Ok(addresses) => {
                    let mut addresses = addresses.peekable();
                    if addresses.peek().is_some() {
                        return Ok(Box::new(addresses.collect::<Vec<_>>().into_iter()) as Addrs);
                    }
                    "it has no address".to_owned()
                }
                // glibc's words follow a fixed phrase of the standard library, which says nothing.
                Err(error) => {
                    let text = error.to_string();
                    text.strip_prefix("failed to lookup address information: ")
                        .unwrap_or(&text)
                        .to_owned()
                }
            };
            Err(ResolveFailure { host, problem }.into())
        })
    }
}
