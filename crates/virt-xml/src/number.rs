//! Numbers with a form of their own: sizes, CPU sets, MAC addresses.

use std::collections::BTreeSet;
use std::fmt;

use crate::error::ErrorKind;

/// Highest CPU number libvirt takes in a CPU set.
const MAX_CPU: u32 = 16383;

/// A set of host CPUs, written as ranges: `0-3,8`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuSet(pub BTreeSet<u32>);

impl CpuSet {
    /// Reads libvirt's form: numbers, ranges `a-b` and exclusions `^n`, separated by commas.
    pub fn parse(text: &str) -> Option<Self> {
        let mut set = BTreeSet::new();
        for part in text.split(',') {
            let part = part.trim_matches([' ', '\t', '\n', '\r']);
            let number = |t: &str| {
                let digits = !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
                digits.then(|| t.parse::<u32>().ok()).flatten().filter(|&n| n <= MAX_CPU)
            };
            if let Some(excluded) = part.strip_prefix('^') {
                set.remove(&number(excluded)?);
            } else if let Some((first, last)) = part.split_once('-') {
                let (first, last) = (number(first.trim_end())?, number(last.trim_start())?);
                if last < first {
                    return None;
                }
                set.extend(first..=last);
            } else {
                set.insert(number(part)?);
            }
        }
        Some(Self(set))
    }
}

impl fmt::Display for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut cpus = self.0.iter().copied().peekable();
        let mut separator = "";
        while let Some(first) = cpus.next() {
            let mut last = first;
            while let Some(next) = cpus.next_if(|&next| next == last + 1) {
                last = next;
            }
            match last == first {
                true => write!(f, "{separator}{first}")?,
                false => write!(f, "{separator}{first}-{last}")?,
            }
            separator = ",";
        }
        Ok(())
    }
}

/// A MAC address, written in lower case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MacAddress(pub [u8; 6]);

impl MacAddress {
    /// Reads six groups of one or two hexadecimal digits joined by `:`. Text after a control character
    /// or blank is ignored, as in libvirt (`virMacAddrParse`).
    pub fn parse(text: &str) -> Option<Self> {
        let end = text.bytes().position(|b| b <= b' ').unwrap_or(text.len());
        let mut octets = [0; 6];
        let mut groups = text[..end].split(':');
        for octet in &mut octets {
            let group = groups.next()?;
            let digits = group.bytes().all(|b| b.is_ascii_hexdigit());
            if !digits || group.is_empty() || group.len() > 2 {
                return None;
            }
            *octet = u8::from_str_radix(group, 16).ok()?;
        }
        groups.next().is_none().then_some(Self(octets))
    }

    /// Whether it addresses a group of stations.
    pub fn is_multicast(self) -> bool {
        self.0[0] & 1 == 1
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// A decimal number as libvirt reads it from an element: blanks before it do not belong there.
pub(crate) fn unsigned(text: &str) -> Option<u64> {
    let digits = text.trim_start_matches([' ', '\t', '\n', '\r']);
    digits.strip_prefix('+').unwrap_or(digits).parse().ok().filter(|_| !digits.starts_with("++"))
}

/// A size in KiB from a number and its unit (`spec/vmx.md` 9.2).
pub(crate) fn size_kib(text: &str, unit: Option<&str>) -> Result<u64, (ErrorKind, String)> {
    let bytes = size_bytes(text, unit.unwrap_or("KiB"))?;
    // libvirt rounds up before it divides.
    if bytes > i64::MAX as u64 & !1023 {
        return Err((ErrorKind::Overflow, format!("'{text}' is too large")));
    }
    Ok(bytes.div_ceil(1024))
}

/// A size in bytes from a number and its unit (`spec/storage-network.md` 5.1).
pub(crate) fn size_bytes(text: &str, unit: &str) -> Result<u64, (ErrorKind, String)> {
    let Some(value) = unsigned(text) else {
        return Err((ErrorKind::Attribute, format!("'{text}' is not a size")));
    };
    let Some(scale) = unit_scale(unit) else {
        return Err((ErrorKind::Argument, format!("'{unit}' is not a unit")));
    };
    let bytes = u128::from(value).checked_mul(scale).and_then(|bytes| i64::try_from(bytes).ok());
    bytes
        .and_then(|bytes| u64::try_from(bytes).ok())
        .ok_or_else(|| (ErrorKind::Overflow, format!("'{text}' is too large")))
}

fn unit_scale(unit: &str) -> Option<u128> {
    let unit = unit.to_ascii_lowercase();
    if matches!(unit.as_str(), "b" | "byte" | "bytes") {
        return Some(1);
    }
    let mut letters = unit.chars();
    let power = "kmgtpe".find(letters.next()?)? as u32 + 1;
    match letters.as_str() {
        "" | "ib" => Some(1024_u128.pow(power)),
        "b" => Some(1000_u128.pow(power)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_sets() {
        let table = [
            ("0,1,2,5,6,7", Some("0-2,5-7")),
            ("0-3,^1,8", Some("0,2-3,8")),
            ("1,0", Some("0-1")),
            ("", None),
            ("3-1", None),
            ("16384", None),
            ("a", None),
        ];
        for (text, expect) in table {
            let set = CpuSet::parse(text).map(|s| s.to_string());
            assert_eq!(set.as_deref(), expect, "{text:?}");
        }
    }

    #[test]
    fn mac_addresses() {
        let table = [
            ("00:0C:29:aB:1:2", Some("00:0c:29:ab:01:02")),
            ("00:0c:29:ab:01:02 rest", Some("00:0c:29:ab:01:02")),
            ("00:0c:29:ab:01", None),
            ("00:0c:29:ab:01:02:03", None),
            ("00-0c-29-ab-01-02", None),
            ("000:0c:29:ab:01:02", None),
            ("", None),
        ];
        for (text, expect) in table {
            let mac = MacAddress::parse(text).map(|m| m.to_string());
            assert_eq!(mac.as_deref(), expect, "{text:?}");
        }
    }

    #[test]
    fn sizes() {
        let table = [
            ("2048", None, Ok(2048)),
            ("2", Some("MiB"), Ok(2048)),
            ("1", Some("GB"), Ok(976_563)),
            ("1025", Some("bytes"), Ok(2)),
            (" 7", Some("k"), Ok(7)),
            ("-4", None, Err(ErrorKind::Attribute)),
            ("2 ", None, Err(ErrorKind::Attribute)),
            ("2", Some("bogus"), Err(ErrorKind::Argument)),
            ("99999999", Some("TiB"), Err(ErrorKind::Overflow)),
            ("9223372036854774784", Some("bytes"), Ok(9007199254740991)),
            ("9223372036854774785", Some("bytes"), Err(ErrorKind::Overflow)),
        ];
        for (text, unit, expect) in table {
            assert_eq!(size_kib(text, unit).map_err(|e| e.0), expect, "{text:?} {unit:?}");
        }
    }
}
