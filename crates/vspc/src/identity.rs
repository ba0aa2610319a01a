//! Who a machine is, which of its ports, and under what name (spec 6.2, 6.3).

use std::fmt;

use crate::message::UuidKind;

/// Longest label of a port, in bytes.
const MAX_LABEL: usize = 32;

/// A machine, by one of its identifiers. Kinds never mix: two machines may share digits under different kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MachineId {
    /// Which identifier.
    pub kind: UuidKind,
    /// Its 16 bytes, in the order of the text; for the instance UUID that of `config.instanceUuid`.
    pub uuid: [u8; 16],
}

impl MachineId {
    /// Reads 32 hex digits; blanks and hyphens between them are dropped. Anything else is no identifier.
    #[must_use]
    pub fn parse(kind: UuidKind, text: &str) -> Option<Self> {
        let mut uuid = [0; 16];
        let mut digits = 0;
        for c in text.chars().filter(|c| !matches!(c, ' ' | '-')) {
            let digit = u8::try_from(c.to_digit(16)?).ok()?;
            let byte = uuid.get_mut(digits / 2)?;
            *byte = *byte << 4 | digit;
            digits += 1;
        }
        (digits == 32).then_some(Self { kind, uuid })
    }

    /// The form of `vc.uuid`: sixteen pairs, a hyphen after the eighth.
    #[must_use]
    pub fn to_vmx(&self) -> String {
        let half =
            |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" ");
        format!("{}-{}", half(&self.uuid[..8]), half(&self.uuid[8..]))
    }
}

/// As other programs write UUIDs, with the kind in front unless it is the instance UUID.
impl fmt::Display for MachineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            UuidKind::Instance => "",
            UuidKind::Bios => "bios:",
            UuidKind::Location => "location:",
        })?;
        for (at, byte) in self.uuid.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl std::str::FromStr for MachineId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let (kind, digits) = match text.split_once(':') {
            Some(("bios", rest)) => (UuidKind::Bios, rest),
            Some(("location", rest)) => (UuidKind::Location, rest),
            Some(_) => return Err(NotAnId),
            None => (UuidKind::Instance, text),
        };
        Self::parse(kind, digits).ok_or(NotAnId)
    }
}

/// The text is no machine's identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a machine's identifier")]
pub struct NotAnId;

/// One serial port of one machine.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortKey {
    /// The machine.
    pub machine: MachineId,
    /// Which of its ports: letters, digits, dot, hyphen, underscore.
    pub label: String,
}

impl PortKey {
    /// A name for a file: hex digits, the label and a suffix. Nothing that a machine sends can lead elsewhere.
    #[must_use]
    pub fn file_name(&self) -> String {
        format!("{}-{}.log", self.machine.to_string().replace(':', "-"), self.label)
    }
}

impl fmt::Display for PortKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.machine, self.label)
    }
}

/// The label in a service URI: the query's `port`, or `0`. `None`: there is one that cannot be a label.
#[must_use]
pub fn label(service_uri: &str) -> Option<&str> {
    let query = service_uri.split_once('?').map_or("", |(_, query)| query);
    let label = query.split(['&', '#']).find_map(|pair| pair.strip_prefix("port=")).unwrap_or("0");
    is_label(label).then_some(label)
}

/// Whether the text may name a port.
#[must_use]
pub fn is_label(text: &str) -> bool {
    (1..=MAX_LABEL).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
}

/// The name that a service URI asks for: what is before the query, or the host if that is a URL, because people
/// enter `telnet://name:13370` where the name is meant.
#[must_use]
pub fn service_name(service_uri: &str) -> &str {
    let name = service_uri.split_once('?').map_or(service_uri, |(name, _)| name);
    let Some((_, rest)) = name.split_once("://") else { return name };
    let authority = rest.split(['/', '#']).next().unwrap_or(rest);
    match authority.strip_prefix('[') {
        Some(v6) => v6.split_once(']').map_or(v6, |(host, _)| host),
        None => authority.rsplit_once(':').map_or(authority, |(host, _)| host),
    }
}

/// The text with what could steer a terminal or break a line of a log written as escapes, at most 80 characters of it.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut out = String::new();
    for (at, c) in text.chars().enumerate() {
        if at == 80 {
            out.push('…');
            break;
        }
        match c {
            ' ' => out.push(' '),
            // Also marks that turn the direction of writing, and blanks that are none.
            c if c.is_control() || c.is_whitespace() || is_format(c) => {
                out.extend(c.escape_unicode())
            }
            c => out.push(c),
        }
    }
    out
}

/// A service URI as [`printable`], without the value of `key`, which is for the concentrator and the machine's owner.
#[must_use]
pub fn printable_uri(service_uri: &str) -> String {
    let at = ["?key=", "&key="].iter().filter_map(|key| service_uri.find(key)).min();
    let Some(at) = at else { return printable(service_uri) };
    let (shown, hidden) = service_uri.split_at(at + "?key=".len());
    let rest = hidden.find(['&', '#']).map_or("", |end| &hidden[end..]);
    printable(&format!("{shown}…{rest}"))
}

const fn is_format(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGITS: &str = "501ea0b1-c2d3-e4f5-0617-28394a5b6c7d";

    #[test]
    fn identifiers() {
        let id: MachineId = DIGITS.parse().unwrap();
        let vmx = "50 1e a0 b1 c2 d3 e4 f5-06 17 28 39 4a 5b 6c 7d";
        assert_eq!(id.to_vmx(), vmx);
        assert_eq!(id.to_string(), DIGITS);
        for text in [vmx, &vmx.to_uppercase(), &vmx.replace([' ', '-'], "")] {
            assert_eq!(MachineId::parse(UuidKind::Instance, text), Some(id), "{text}");
        }
        let long = format!("{DIGITS}0");
        for text in ["", &DIGITS[1..], &long, "../..", "é", &DIGITS.replace('5', "g")] {
            assert_eq!(MachineId::parse(UuidKind::Instance, text), None, "{text}");
            assert_eq!(text.parse::<MachineId>(), Err(NotAnId));
        }
        let bios: MachineId = format!("bios:{DIGITS}").parse().unwrap();
        assert_ne!(bios, id);
        assert_eq!(bios.to_string(), format!("bios:{DIGITS}"));
        assert_eq!(format!("x:{DIGITS}").parse::<MachineId>(), Err(NotAnId));
        let key = PortKey { machine: bios, label: "1".to_owned() };
        assert_eq!(key.file_name(), format!("bios-{DIGITS}-1.log"));
    }

    #[test]
    fn labels_and_names() {
        for (uri, expected_label, name) in [
            ("virtesx", Some("0"), "virtesx"),
            ("virtesx?port=1", Some("1"), "virtesx"),
            ("virtesx?key=ab&port=com2", Some("com2"), "virtesx"),
            ("virtesx?port=../../x", None, "virtesx"),
            ("virtesx?port=", None, "virtesx"),
            ("virtesx?report=7", Some("0"), "virtesx"),
            ("telnet://virtesx:13370?port=2", Some("2"), "virtesx"),
            ("telnet://[fe80::1]:23#verify", Some("0"), "fe80::1"),
            ("", Some("0"), ""),
        ] {
            assert_eq!((label(uri), service_name(uri)), (expected_label, name), "{uri}");
        }
        assert!(!is_label(&"x".repeat(33)));
        for (uri, shown) in [
            ("virtesx?port=1", "virtesx?port=1"),
            ("virtesx?port=1&key=5ec", "virtesx?port=1&key=…"),
            ("virtesx?key=5ec&port=1\n", r"virtesx?key=…&port=1\u{a}"),
            ("key=1?monkey=2", "key=1?monkey=2"),
        ] {
            assert_eq!(printable_uri(uri), shown);
        }
    }

    #[test]
    fn names_cannot_steer_a_terminal() {
        assert_eq!(printable("café 1"), "café 1");
        assert_eq!(printable("a\u{1b}[2J\n\u{202e}b"), r"a\u{1b}[2J\u{a}\u{202e}b");
        assert_eq!(printable(&"x".repeat(100)).chars().count(), 81);
    }
}
