//! The query of a connection URI (connection.md 1.2 and 1.4, libvirt-12-deltas.md 11.2).

use std::time::Duration;

use esx_vi_client::{Proxy, Scheme, Thumbprint, Timeouts};

use super::Trust;
use super::error::UriError;
use super::{generic, proxy};

/// Every parameter there is, for messages.
pub(super) const NAMES: [&str; 16] = [
    "auto_answer",
    "authfile",
    "cacert",
    "call_timeout",
    "connect_timeout",
    "idle_timeout",
    "keepalive",
    "known_hosts",
    "legacy_uuid",
    "no_verify",
    "proxy",
    "task_timeout",
    "thumbprint",
    "total_timeout",
    "transport",
    "vcenter",
];
/// Longest time that a parameter can name: a week.
const LONGEST: Duration = Duration::from_secs(7 * 86_400);

/// The parameters, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parameters {
    pub(super) transport: Scheme,
    /// Name or address, and the port if it is said.
    pub(super) vcenter: Option<(String, Option<u16>)>,
    pub(super) trust: Trust,
    pub(super) auto_answer: bool,
    pub(super) legacy_uuid: bool,
    pub(super) proxy: Option<Proxy>,
    pub(super) auth_file: Option<String>,
    pub(super) timeouts: Timeouts,
    /// How often an idle session is touched; never, unless asked for.
    pub(super) keepalive: Option<Duration>,
    /// When waiting for an operation is given up; never, unless asked for.
    pub(super) task_timeout: Option<Duration>,
}

/// Reads a query; `None` is the same as an empty one.
pub(super) fn parse(query: Option<&str>) -> Result<Parameters, UriError> {
    let mut parameters = Parameters {
        transport: Scheme::Https,
        vcenter: None,
        trust: Trust::Known(None),
        auto_answer: false,
        legacy_uuid: false,
        proxy: None,
        auth_file: None,
        timeouts: Timeouts::default(),
        keepalive: None,
        task_timeout: None,
    };
    let (mut no_verify, mut cacert, mut thumbprint) = (false, None, None);
    let mut known_hosts = None;
    for (name, value) in pairs(query.unwrap_or_default())? {
        match name.to_ascii_lowercase().as_str() {
            "transport" => {
                parameters.transport = match value.as_str() {
                    "http" => Scheme::Http,
                    "https" => Scheme::Https,
                    _ => return Err(unexpected("transport", value, "http or https")),
                }
            }
            "vcenter" => parameters.vcenter = Some(vcenter(value)?),
            "no_verify" => no_verify = switch("no_verify", value)?,
            "auto_answer" => parameters.auto_answer = switch("auto_answer", value)?,
            "legacy_uuid" => parameters.legacy_uuid = switch("legacy_uuid", value)?,
            "proxy" => parameters.proxy = proxy::parse(&value)?,
            "cacert" => cacert = Some(value),
            "known_hosts" => known_hosts = Some(value),
            "connect_timeout" => {
                parameters.timeouts.connect = time("connect_timeout", value.clone())?
                    .ok_or_else(|| unexpected("connect_timeout", value, "more than 0"))?;
            }
            "idle_timeout" => parameters.timeouts.idle = time("idle_timeout", value)?,
            "call_timeout" => parameters.timeouts.call = time("call_timeout", value)?,
            "total_timeout" => parameters.timeouts.total = time("total_timeout", value)?,
            "keepalive" => parameters.keepalive = time("keepalive", value)?,
            "task_timeout" => parameters.task_timeout = time("task_timeout", value)?,
            "thumbprint" => {
                let parsed = Thumbprint::parse(&value);
                thumbprint = Some(parsed.map_err(|error| {
                    unexpected(
                        "thumbprint",
                        value,
                        &format!("hexadecimal SHA-1 or SHA-256; {error}"),
                    )
                })?);
            }
            // Not ours but the credential layer's, which knows only this spelling.
            "authfile" if name == "authfile" => parameters.auth_file = Some(value),
            _ => return Err(UriError::UnknownParameter { name }),
        }
    }
    parameters.trust = match known_hosts {
        Some(file) => {
            let other = thumbprint.map(|_| "thumbprint").or(cacert.map(|_| "cacert"));
            let other = other.or(no_verify.then_some("no_verify=1"));
            if let Some(second) = other {
                return Err(UriError::Conflict { first: "known_hosts", second });
            }
            Trust::Known(Some(file))
        }
        None => trust(no_verify, cacert, thumbprint, parameters.transport)?,
    };
    Ok(parameters)
}

/// `NAME[:PORT]`. An IPv6 address with a port stands in brackets; without one it needs none.
fn vcenter(value: String) -> Result<(String, Option<u16>), UriError> {
    let bracketed = value.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let (name, port) = match (bracketed, value.split_once(':')) {
        (Some((address, "")), _) => (address, None),
        (Some((address, port)), _) => (address, Some(port.strip_prefix(':').unwrap_or_default())),
        (None, Some((name, port))) if !port.contains(':') => (name, Some(port)),
        (None, _) => (&*value, None),
    };
    let port = port.map(|port| integer(port).and_then(|port| u16::try_from(port).ok()));
    match port {
        _ if name.is_empty() => {}
        None => return Ok((name.to_owned(), None)),
        Some(Some(port)) if port > 0 => return Ok((name.to_owned(), Some(port))),
        Some(_) => {}
    }
    Err(unexpected(
        "vcenter",
        value,
        "a name or an address, or * for the host's own, and maybe :PORT",
    ))
}

/// Seconds, with at most three decimals; `None` for 0, which means no bound.
fn time(name: &'static str, value: String) -> Result<Option<Duration>, UriError> {
    let (whole, part) = value.split_once('.').unwrap_or((&value, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let time = (!whole.is_empty() && digits(whole) && digits(part) && part.len() <= 3)
        .then(|| {
            let millis: u64 = format!("{part:0<3}").parse().ok()?;
            Some(Duration::from_secs(whole.parse().ok()?) + Duration::from_millis(millis))
        })
        .flatten();
    match time {
        Some(time) if time.is_zero() => Ok(None),
        Some(time) if time <= LONGEST => Ok(Some(time)),
        _ => Err(unexpected(name, value, "seconds from 0.001 to 604800, or 0 for no bound")),
    }
}

fn trust(
    no_verify: bool,
    cacert: Option<String>,
    thumbprint: Option<Thumbprint>,
    transport: Scheme,
) -> Result<Trust, UriError> {
    let conflict = |second| Err(UriError::Conflict { first: "thumbprint", second });
    match (thumbprint, cacert) {
        (Some(_), _) if no_verify => conflict("no_verify=1"),
        (Some(_), Some(_)) => conflict("cacert"),
        (Some(_), None) if transport == Scheme::Http => conflict("transport=http"),
        (Some(thumbprint), None) => Ok(Trust::Thumbprint(thumbprint)),
        // libvirt lets `no_verify=1` overrule `cacert` without a word.
        (None, _) if no_verify => Ok(Trust::Anybody),
        (None, Some(path)) => Ok(Trust::CaFile(path)),
        (None, None) => Ok(Trust::Known(None)),
    }
}

/// Name and value of each section, decoded. A section ends at the next `&` if one is left anywhere in the rest, else
/// at the next `;`; so a semicolon separates only after the last ampersand.
fn pairs(query: &str) -> Result<Vec<(String, String)>, UriError> {
    let mut pairs = Vec::new();
    let mut rest = Some(query);
    while let Some(query) = rest {
        let (section, next) = match query.split_once('&').or_else(|| query.split_once(';')) {
            Some((section, next)) => (section, Some(next)),
            None => (query, None),
        };
        rest = next;
        let (name, value) = section.split_once('=').unwrap_or((section, ""));
        if !name.is_empty() {
            pairs.push((generic::decode(name)?, generic::decode(value)?));
        }
    }
    Ok(pairs)
}

fn switch(name: &'static str, value: String) -> Result<bool, UriError> {
    match integer(&value) {
        Some(0) => Ok(false),
        Some(1) => Ok(true),
        _ => Err(unexpected(name, value, "0 or 1")),
    }
}

/// C's idea of a decimal integer: white space in front, a sign and leading zeros are fine; the rest must be digits.
pub(super) fn integer(text: &str) -> Option<i64> {
    let text = text.trim_start_matches([' ', '\t', '\n', '\u{b}', '\u{c}', '\r']);
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

pub(super) fn unexpected(name: &'static str, value: String, expected: &str) -> UriError {
    UriError::Value { name, value, expected: expected.to_owned() }
}
