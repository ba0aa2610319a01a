//! Escapes of one introducer byte and two hexadecimal digits: what `percent` and `pipe` share.

use std::borrow::Cow;

use crate::error::{UnescapeError, UnescapeErrorKind};

/// Writes each of `special` as `introducer` and two lower-case digits. `special` must be ASCII and hold `introducer`.
pub(crate) fn escape<'a>(introducer: u8, special: &[u8], raw: &'a str) -> Cow<'a, str> {
    if !raw.bytes().any(|byte| special.contains(&byte)) {
        return Cow::Borrowed(raw);
    }
    let mut escaped = String::with_capacity(raw.len() + 8);
    for character in raw.chars() {
        match u8::try_from(character) {
            Ok(byte) if special.contains(&byte) => {
                escaped.push(char::from(introducer));
                for nibble in [byte >> 4, byte & 15] {
                    escaped.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
                }
            }
            _ => escaped.push(character),
        }
    }
    Cow::Owned(escaped)
}

/// Undoes [`escape`], and any other escaped byte. A decoded NUL ends the text, as it does in libvirt; what follows it is
/// still checked.
pub(crate) fn unescape_bytes(
    introducer: u8,
    escaped: &[u8],
) -> Result<Cow<'_, [u8]>, UnescapeError> {
    if !escaped.contains(&introducer) {
        return Ok(Cow::Borrowed(escaped));
    }
    let mut raw = Vec::with_capacity(escaped.len());
    let mut ended = false;
    let mut offset = 0;
    while let Some(&byte) = escaped.get(offset) {
        let decoded = if byte == introducer {
            let digits = [escaped.get(offset + 1).copied(), escaped.get(offset + 2).copied()];
            let [Some(high), Some(low)] = digits.map(|digit| digit.and_then(value)) else {
                return Err(UnescapeError { offset, kind: UnescapeErrorKind::Incomplete });
            };
            offset += 3;
            let decoded = high << 4 | low;
            ended |= decoded == 0;
            decoded
        } else {
            offset += 1;
            byte
        };
        if !ended {
            raw.push(decoded);
        }
    }
    Ok(Cow::Owned(raw))
}

/// As [`unescape_bytes`], for text.
pub(crate) fn unescape(introducer: u8, escaped: &str) -> Result<Cow<'_, str>, UnescapeError> {
    match unescape_bytes(introducer, escaped.as_bytes())? {
        Cow::Borrowed(_) => Ok(Cow::Borrowed(escaped)),
        Cow::Owned(raw) => String::from_utf8(raw).map(Cow::Owned).map_err(|error| UnescapeError {
            offset: error.utf8_error().valid_up_to(),
            kind: UnescapeErrorKind::NotUtf8,
        }),
    }
}

fn value(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}
