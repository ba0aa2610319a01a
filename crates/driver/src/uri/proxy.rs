//! The value of the `proxy` parameter (connection.md 1.5).

use esx_vi_client::{Proxy, ProxyKind};

use super::error::UriError;
use super::parameters::{integer, unexpected};

/// The port of a proxy without one, of any type, as for libvirt's HTTP library.
const DEFAULT_PORT: u16 = 1080;

const TYPES: [(&str, ProxyKind); 5] = [
    ("http", ProxyKind::Http),
    ("socks", ProxyKind::Socks5),
    ("socks5", ProxyKind::Socks5),
    ("socks4", ProxyKind::Socks4),
    ("socks4a", ProxyKind::Socks4a),
];

/// Reads `[type://]host[:port]`, an IPv6 address in brackets, which libvirt's HTTP library has no place for. No host and no port at all mean no proxy, which is what libvirt's HTTP library makes
/// of an empty name.
pub(super) fn parse(value: &str) -> Result<Option<Proxy>, UriError> {
    let wrong = |expected: &str| unexpected("proxy", value.to_owned(), expected);
    if let Some((_, place)) = value.rsplit_once('@') {
        // What stands before it may be a password, which belongs in no message.
        let shown = format!("(hidden)@{place}");
        return Err(unexpected("proxy", shown, "[TYPE://]HOST[:PORT] without user and password"));
    }
    let (kind, rest) = match value.split_once("://") {
        None => (ProxyKind::Http, value),
        Some((name, rest)) => {
            let known = TYPES.iter().find(|(known, _)| *known == name);
            let (_, kind) = known.ok_or_else(|| {
                wrong(&format!("of type http, socks, socks4, socks4a or socks5, not {name:?}"))
            })?;
            (*kind, rest)
        }
    };
    let (host, port) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) => {
            if address.parse::<std::net::Ipv6Addr>().is_err() {
                return Err(wrong("[TYPE://]HOST[:PORT] with an IPv6 address in the brackets"));
            }
            (address, if port.is_empty() { None } else { Some(port) })
        }
        None => match rest.split_once(':') {
            Some((host, _)) => (host, Some(&rest[host.len()..])),
            None => (rest, None),
        },
    };
    let (host, port) = match port.map(|port| port.strip_prefix(':').unwrap_or(port)) {
        None => (host, DEFAULT_PORT),
        Some(_) if host.is_empty() => return Err(wrong("[TYPE://]HOST[:PORT] with a host name")),
        Some(port) => {
            let number = integer(port).and_then(|port| u16::try_from(port).ok());
            let number = number.filter(|port| *port != 0);
            (host, number.ok_or_else(|| wrong("[TYPE://]HOST[:PORT] with a port from 1 to 65535"))?)
        }
    };
    Ok((!host.is_empty()).then(|| Proxy { kind, host: host.to_owned(), port }))
}
