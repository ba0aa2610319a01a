//! Sizes as virsh takes them: a whole number and perhaps a unit.

use virt_api::{Error, ErrorCode, ErrorDomain};

use crate::failure::usage;

/// The factor of a unit, `default` without any; powers of 1024 for `k`, `KiB` and so on, powers of 1000 for `KB` and so on.
fn factor(unit: &str, default: u128) -> Option<u128> {
    let unit = unit.to_ascii_lowercase();
    match unit.as_str() {
        "" => return Some(default),
        "b" | "byte" | "bytes" => return Some(1),
        _ => {}
    }
    let power = "kmgtpe".find(unit.chars().next()?)? as u32 + 1;
    let base: u128 = match &unit[1..] {
        "" | "ib" => 1024,
        "b" => 1000,
        _ => return None,
    };
    Some(base.pow(power))
}

/// The size in KiB, rounded up. `option` is for the error.
///
/// # Errors
/// `VIR_ERR_INVALID_ARG` for what is not a size, `VIR_ERR_OVERFLOW` for one that 64 bits of bytes cannot hold.
pub(crate) fn parse_kib(text: &str, option: &str) -> Result<u64, Error> {
    parse(text, option, 1024).map(|bytes| bytes.div_ceil(1024))
}

/// The size in bytes; without a unit, a number is bytes.
///
/// # Errors
/// As [`parse_kib`].
pub(crate) fn parse_bytes(text: &str, option: &str) -> Result<u64, Error> {
    parse(text, option, 1)
}

fn parse(text: &str, option: &str, default: u128) -> Result<u64, Error> {
    let trimmed = text.trim_start().strip_prefix('+').unwrap_or(text.trim_start());
    let end = trimmed.find(|c: char| !c.is_ascii_digit()).unwrap_or(trimmed.len());
    let (digits, unit) = trimmed.split_at(end);
    let malformed = || usage(format!("scaled numeric value '{text}' for <{option}> is malformed"));
    let number: u128 = match digits.parse() {
        Ok(number) => number,
        Err(_) if digits.is_empty() => return Err(malformed()),
        Err(_) => return Err(overflow(text)),
    };
    let factor = factor(unit, default).ok_or_else(|| {
        malformed().with_source(usage(format!("unknown suffix '{unit}'; possible are k, M, G, T")))
    })?;
    let bytes = number.checked_mul(factor).and_then(|bytes| u64::try_from(bytes).ok());
    bytes.ok_or_else(|| overflow(text))
}

fn overflow(text: &str) -> Error {
    let message = format!("value too large: {text}");
    Error::new(ErrorCode::Overflow, ErrorDomain::None, message)
}

#[cfg(test)]
mod tests {
    use super::{parse_bytes, parse_kib};

    // Held against Debian's virsh 9.0.0 with its test driver, as far as that shows the result.
    #[test]
    fn sizes_are_virshs() {
        for (text, kib) in [
            ("8", 8),
            (" 8", 8),
            ("+8", 8),
            ("0", 0),
            ("1b", 1),
            ("1500b", 2),
            ("3KB", 3),
            ("1kB", 1),
            ("1k", 1),
            ("1KiB", 1),
            ("1M", 1024),
            ("8g", 8 << 20),
            ("8gib", 8 << 20),
            ("8GB", 7_812_500),
            ("1T", 1 << 30),
            ("15E", 15 << 50),
        ] {
            assert_eq!(parse_kib(text, "SIZE").unwrap(), kib, "{text}");
        }
    }

    #[test]
    fn sizes_in_bytes() {
        for (text, bytes) in
            [("0", 0), ("1025", 1025), ("1k", 1024), ("1G", 1 << 30), ("1GB", 1_000_000_000)]
        {
            assert_eq!(parse_bytes(text, "SIZE").unwrap(), bytes, "{text}");
        }
        assert!(parse_bytes("-1", "SIZE").is_err());
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "-1",
            "g",
            "0x10",
            "1.5G",
            "8 g",
            "8kk",
            "8bit",
            "8ki",
            "٣",
            "8é",
            "16E",
            "99999999999999999999",
            "9999999999999999999999999999999999999999999999",
        ] {
            assert!(parse_kib(text, "SIZE").is_err(), "{text}");
        }
    }
}
