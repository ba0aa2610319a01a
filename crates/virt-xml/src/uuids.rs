//! UUIDs in the liberal form libvirt takes (`virUUIDParse`, `spec/vmx.md` 1.6).

use uuid::Uuid;

/// Reads a UUID: 32 hexadecimal digits in pairs, blanks and `-` before any pair, white space around.
/// VMX files and domain documents share this form.
///
/// ```
/// let uuid = virt_xml::parse_uuid("42 0a 11 2b 3c 4d 5e 6f-70 81 92 a3 b4 c5 d6 e7").unwrap();
/// assert_eq!(uuid.to_string(), "420a112b-3c4d-5e6f-7081-92a3b4c5d6e7");
/// assert_eq!(virt_xml::parse_uuid("42 0a"), None);
/// ```
pub fn parse_uuid(text: &str) -> Option<Uuid> {
    let is_space = |b: u8| matches!(b, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r');
    let mut bytes = text.bytes().skip_while(|&b| is_space(b)).peekable();
    let mut uuid = [0; 16];
    for byte in &mut uuid {
        while bytes.next_if(|b| matches!(b, b'-' | b' ')).is_some() {}
        let mut digit = || bytes.next().and_then(|b| char::from(b).to_digit(16));
        *byte = u8::try_from(digit()? * 16 + digit()?).ok()?;
    }
    bytes.all(is_space).then(|| Uuid::from_bytes(uuid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let good = [
            "420a112b3c4d5e6f708192a3b4c5d6e7",
            " 420A112B-3C4D-5E6F-7081-92A3B4C5D6E7\n",
            "--42 0a 11 2b- -3c4d5e6f708192a3b4c5d6e7",
        ];
        for text in good {
            let uuid = parse_uuid(text).map(|u| u.to_string());
            assert_eq!(uuid.as_deref(), Some("420a112b-3c4d-5e6f-7081-92a3b4c5d6e7"), "{text:?}");
        }
        let bad = [
            "",
            "4 20a112b3c4d5e6f708192a3b4c5d6e7",
            "420a112b3c4d5e6f708192a3b4c5d6e7-",
            "420a112b3c4d5e6f708192a3b4c5d6e7 x",
            "420a112b3c4d5e6f708192a3b4c5d6",
            "é",
        ];
        for text in bad {
            assert_eq!(parse_uuid(text), None, "{text:?}");
        }
    }
}
