//! The URI of a network-backed serial port, as libxml2 and libvirt understand it (RFC 3986, with their
//! leniency towards brackets; measured against libvirt 12.8).

/// The parts that count.
pub(super) struct Uri {
    /// In lower case; empty if there is none.
    pub(super) scheme: String,
    /// Percent-decoded. An IPv6 address is without its brackets; may be empty.
    pub(super) host: String,
    pub(super) port: u32,
}

impl Uri {
    /// `None` if it is no URI with an authority and a port other than 0.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (text, fragment) = text.split_once('#').unwrap_or((text, ""));
        let (text, query) = text.split_once('?').unwrap_or((text, ""));
        let (scheme, rest) = match text.split_once("//") {
            Some(("", rest)) => ("", rest),
            Some((scheme, rest)) => (scheme.strip_suffix(':').filter(|s| !s.is_empty())?, rest),
            None => return None,
        };
        let scheme_byte = |b: u8| b.is_ascii_alphanumeric() || b"+-.".contains(&b);
        let lettered = scheme.is_empty() || scheme.as_bytes()[0].is_ascii_alphabetic();
        if !lettered || !scheme.bytes().all(scheme_byte) {
            return None;
        }
        let (authority, path) = match rest.find('/') {
            Some(slash) => rest.split_at(slash),
            None => (rest, ""),
        };
        if !is_made_of(path, b":@/")
            || !is_made_of(query, b":@/?")
            || !is_made_of(fragment, b":@/?[]")
        {
            return None;
        }
        let host_and_port = match authority.split_once('@') {
            Some((user, rest)) if is_made_of(user, b":") => rest,
            Some(_) => return None,
            None => authority,
        };
        let (host, port) = if host_and_port.starts_with('[') {
            let end = host_and_port.find(']')? + 1;
            (&host_and_port[..end], host_and_port[end..].strip_prefix(':')?)
        } else {
            host_and_port.split_once(':').filter(|(host, _)| is_made_of(host, b""))?
        };
        if !host.bytes().all(|b| b.is_ascii_graphic()) || !port.bytes().all(|b| b.is_ascii_digit())
        {
            return None;
        }
        let port = port.parse().ok().filter(|&p| p != 0 && i32::try_from(p).is_ok())?;
        let mut host = unescaped(host);
        if host.contains(':') && host.starts_with('[') && host.ends_with(']') {
            host = host[1..host.len() - 1].to_owned();
        }
        Some(Self { scheme: scheme.to_ascii_lowercase(), host, port })
    }
}

/// Whether the text has unreserved characters, subdelimiters, percent escapes and those in `more` only.
fn is_made_of(text: &str, more: &[u8]) -> bool {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let good = match byte {
            b'%' => {
                let mut hex = || bytes.next().is_some_and(|b| b.is_ascii_hexdigit());
                hex() && hex()
            }
            _ => {
                byte.is_ascii_alphanumeric()
                    || b"-._~!$&'()*+,;=".contains(&byte)
                    || more.contains(&byte)
            }
        };
        if !good {
            return false;
        }
    }
    true
}

/// Undoes percent escapes; what only looks like one stays. The text ends at an escaped NUL.
fn unescaped(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digit = |i: usize| bytes.get(at + i).and_then(|&b| char::from(b).to_digit(16));
        match (bytes[at], digit(1), digit(2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                at += 3;
            }
            (byte, ..) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    if let Some(nul) = out.iter().position(|&b| b == 0) {
        out.truncate(nul);
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each of these was shown to libvirt 12.8.
    #[test]
    fn as_libvirt_reads_them() {
        let table = [
            ("tcp://h:1", Some(("tcp", "h", 1))),
            ("//h:5/x?y#[z]", Some(("", "h", 5))),
            ("Tcp+SSL://u:p@h:99999/p", Some(("tcp+ssl", "h", 99999))),
            ("tcp://[::1]:9", Some(("tcp", "::1", 9))),
            ("tcp://[::1%e]:9", Some(("tcp", "::1%e", 9))),
            ("tcp://[a%25b]:5", Some(("tcp", "[a%b]", 5))),
            ("tcp://[x]:5", Some(("tcp", "[x]", 5))),
            ("tcp://[]:5", Some(("tcp", "[]", 5))),
            ("tcp://h%20x:05", Some(("tcp", "h x", 5))),
            ("telnet://:13370", Some(("telnet", "", 13370))),
            ("tcp://h:2147483647", Some(("tcp", "h", 2_147_483_647))),
            ("tcp://h:2147483648", None),
            ("tcp://h:0", None),
            ("tcp://h:", None),
            ("tcp://h", None),
            ("tcp://h:5x", None),
            ("tcp://h:5/[a]", None),
            ("tcp://h:5?[a]", None),
            ("tcp://h:5#a#b", None),
            ("tcp://h:5/%zz", None),
            ("tcp://a@b@h:5", None),
            ("tcp://u[x@h:5", None),
            ("tcp://h]:5", None),
            ("://h:5", None),
            ("1tcp://h:5", None),
            ("tcp:h:5", None),
            ("tcp://é:5", None),
            ("", None),
        ];
        for (text, expect) in table {
            let uri = Uri::parse(text);
            let parts = uri.as_ref().map(|u| (u.scheme.as_str(), u.host.as_str(), u.port));
            assert_eq!(parts, expect, "{text}");
        }
    }
}
