//! The part of URI syntax that is the same for all schemes: RFC 3986, as strict as libvirt's parser, except that
//! characters outside ASCII may stand as they are.

use std::net::Ipv6Addr;

use super::error::UriError;

/// The raw parts of a URI.
#[derive(Debug)]
pub(super) struct Parts<'a> {
    pub(super) scheme: &'a str,
    /// What stands between `//` and the path; `None` without `//` or if nothing stands there.
    pub(super) authority: Option<&'a str>,
    /// With its leading slash; may be empty.
    pub(super) path: &'a str,
    /// Without the question mark.
    pub(super) query: Option<&'a str>,
}

/// Cuts a URI into its parts and checks that it is made of the right characters.
pub(super) fn split(text: &str) -> Result<Parts<'_>, UriError> {
    let (scheme, rest) =
        text.split_once(':').ok_or(UriError::Malformed("it has no scheme, as in esx://host/"))?;
    let scheme_char = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    if !scheme.starts_with(|c: char| c.is_ascii_alphabetic()) || !scheme.chars().all(scheme_char) {
        return Err(UriError::Malformed("its scheme is not valid"));
    }
    if rest.contains('#') {
        return Err(UriError::Malformed("a # in it must be written as %23"));
    }
    let (rest, query) = match rest.split_once('?') {
        Some((rest, query)) => (rest, Some(query)),
        None => (rest, None),
    };
    let (authority, path) = match rest.strip_prefix("//") {
        Some(rest) => {
            let slash = rest.find('/').unwrap_or(rest.len());
            let (authority, path) = rest.split_at(slash);
            (Some(authority).filter(|authority| !authority.is_empty()), path)
        }
        None => (None, rest),
    };
    // Brackets are for IPv6 addresses in the authority only, which `split_authority` looks after.
    for part in [path, query.unwrap_or_default()] {
        check_characters(part)?;
        if part.contains(['[', ']']) {
            return Err(UriError::Malformed("brackets in it must be written as %5B and %5D"));
        }
    }
    check_characters(authority.unwrap_or_default())?;
    Ok(Parts { scheme, authority, path, query })
}

fn check_characters(part: &str) -> Result<(), UriError> {
    if part.contains(|c: char| c.is_ascii_control() || c.is_whitespace()) {
        return Err(UriError::Malformed("white space in it must be percent-encoded"));
    }
    if part.contains(['"', '<', '>', '\\', '^', '`', '{', '|', '}']) {
        return Err(UriError::Malformed(
            "the characters \"<>\\^`{|} in it must be percent-encoded",
        ));
    }
    Ok(())
}

/// User, host and port, decoded. A port of 0 counts as none.
pub(super) fn split_authority(
    authority: &str,
) -> Result<(Option<String>, String, Option<u16>), UriError> {
    if authority.matches('@').count() > 1 {
        return Err(UriError::Malformed("a @ in the user name must be written as %40"));
    }
    let user = raw_user(authority).map(decode).transpose()?;
    if user.as_deref() == Some("") {
        return Err(UriError::Malformed("its user name is empty"));
    }
    let raw = raw_host(authority);
    let after = &authority[authority.find('@').map_or(0, |at| at + 1) + raw.len()..];
    let port = match after.strip_prefix(':') {
        None if after.is_empty() => None,
        None => return Err(UriError::Malformed("only a port may follow the closing bracket")),
        Some(digits) => Some(port(digits)?),
    };
    let host = match raw.strip_prefix('[') {
        None => {
            if raw.contains(['[', ']']) {
                return Err(UriError::Malformed("its host is not valid"));
            }
            decode(raw)?
        }
        Some(literal) => {
            let literal = literal
                .strip_suffix(']')
                .ok_or(UriError::Malformed("the bracket around its IPv6 address is not closed"))?;
            let literal = decode(literal)?;
            // A scope id is the system's business.
            let address = literal.split('%').next().unwrap_or_default();
            if address.parse::<Ipv6Addr>().is_err() {
                return Err(UriError::Malformed("what stands in brackets is not an IPv6 address"));
            }
            literal
        }
    };
    if host.is_empty() {
        return Err(UriError::NoHost);
    }
    Ok((user, host, port.filter(|port| *port != 0)))
}

fn port(digits: &str) -> Result<u16, UriError> {
    let error = UriError::Malformed("its port is not a number from 1 to 65535");
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(error);
    }
    digits.parse().map_err(|_| error)
}

/// The user part as written.
pub(super) fn raw_user(authority: &str) -> Option<&str> {
    authority.split_once('@').map(|(user, _)| user)
}

/// The host part as written, brackets included.
pub(super) fn raw_host(authority: &str) -> &str {
    let host = authority.split_once('@').map_or(authority, |(_, host)| host);
    let end =
        if host.starts_with('[') { host.find(']').map(|end| end + 1) } else { host.find(':') };
    &host[..end.unwrap_or(host.len())]
}

/// The items of a path: decoded once, then cut at slashes, so that `%2F` separates too; empty items vanish.
pub(super) fn path_items(path: &str) -> Result<Vec<String>, UriError> {
    let path = decode(path)?;
    Ok(path.split('/').filter(|item| !item.is_empty()).map(str::to_owned).collect())
}

/// One round of percent-decoding; `+` is a plus.
pub(super) fn decode(text: &str) -> Result<String, UriError> {
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        let digits = rest.as_bytes().get(at + 1..at + 3).unwrap_or_default();
        if digits.len() != 2 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(UriError::Malformed("a % in it is not followed by two hexadecimal digits"));
        }
        if digits == b"00" {
            return Err(UriError::Malformed("it contains a zero byte"));
        }
        rest = &rest[at + 3..];
    }
    let decoded = percent_encoding::percent_decode_str(text).decode_utf8();
    let decoded = decoded.map_err(|_| UriError::Malformed("it is not UTF-8 when decoded"))?;
    Ok(decoded.into_owned())
}
