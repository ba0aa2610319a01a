//! The query of a connection URI (connection.md 1.2 and 1.4, libvirt-12-deltas.md 11.2).

use esx_vi_client::{Proxy, Scheme, Thumbprint};

use super::Trust;
use super::error::UriError;
use super::{generic, proxy};

/// Every parameter there is, for messages.
pub(super) const NAMES: [&str; 9] = [
    "auto_answer",
    "authfile",
    "cacert",
    "legacy_uuid",
    "no_verify",
    "proxy",
    "thumbprint",
    "transport",
    "vcenter",
];

/// The parameters, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parameters {
    pub(super) transport: Scheme,
    pub(super) vcenter: Option<String>,
    pub(super) trust: Trust,
    pub(super) auto_answer: bool,
    pub(super) legacy_uuid: bool,
    pub(super) proxy: Option<Proxy>,
    pub(super) auth_file: Option<String>,
}

/// Reads a query; `None` is the same as an empty one.
pub(super) fn parse(query: Option<&str>) -> Result<Parameters, UriError> {
    let mut parameters = Parameters {
        transport: Scheme::Https,
        vcenter: None,
        trust: Trust::System,
        auto_answer: false,
        legacy_uuid: false,
        proxy: None,
        auth_file: None,
    };
    let (mut no_verify, mut cacert, mut thumbprint) = (false, None, None);
    for (name, value) in pairs(query.unwrap_or_default())? {
        match name.to_ascii_lowercase().as_str() {
            "transport" => {
                parameters.transport = match value.as_str() {
                    "http" => Scheme::Http,
                    "https" => Scheme::Https,
                    _ => return Err(unexpected("transport", value, "http or https")),
                }
            }
            "vcenter" => parameters.vcenter = Some(value),
            "no_verify" => no_verify = switch("no_verify", value)?,
            "auto_answer" => parameters.auto_answer = switch("auto_answer", value)?,
            "legacy_uuid" => parameters.legacy_uuid = switch("legacy_uuid", value)?,
            "proxy" => parameters.proxy = proxy::parse(&value)?,
            "cacert" => cacert = Some(value),
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
    parameters.trust = trust(no_verify, cacert, thumbprint, parameters.transport)?;
    Ok(parameters)
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
        (None, None) => Ok(Trust::System),
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
