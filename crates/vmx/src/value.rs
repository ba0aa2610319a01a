//! Typed values and the escapes inside values (`spec/vmx.md` 1.5, 1.6).

/// A value does not have the form its reader asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("value '{value}' of key {key} is not {expected}")]
pub struct ValueError {
    /// The key, as asked for.
    pub key: String,
    /// The value as it stands in the file.
    pub value: String,
    /// What was expected, with its article.
    pub expected: &'static str,
}

/// `true` or `false` in any case, nothing around it.
pub fn parse_bool(value: &str) -> Option<bool> {
    if value.eq_ignore_ascii_case("true") {
        Some(true)
    } else if value.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

/// A decimal 64-bit number as C reads it: leading white space and a sign may stand before it, nothing
/// may follow. `unlimited` is -1.
pub fn parse_integer(value: &str) -> Option<i64> {
    if value.eq_ignore_ascii_case("unlimited") {
        return Some(-1);
    }
    let digits = value.trim_start_matches([' ', '\t', '\n', '\u{b}', '\u{c}', '\r']);
    // Rust's own parser takes exactly one sign and ASCII digits, and checks the range.
    digits.parse().ok()
}

/// Pipe escapes for a value: `|` becomes `|7c`, `"` becomes `|22`.
pub fn escape_pipes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '|' => out.push_str("|7c"),
            '"' => out.push_str("|22"),
            c => out.push(c),
        }
    }
    out
}

/// Percent escapes for a display name: `%`, `/` and `\`.
pub fn escape_separators(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '%' => out.push_str("%25"),
            '/' => out.push_str("%2f"),
            '\\' => out.push_str("%5c"),
            c => out.push(c),
        }
    }
    out
}

/// Undoes pipe escapes of any byte. `None` if a `|` is not followed by two hexadecimal digits. The
/// text ends at an escaped NUL; bytes that are no UTF-8 become U+FFFD.
pub fn unescape_pipes(text: &str) -> Option<String> {
    unescape(text, b'|')
}

/// Undoes percent escapes of any byte, under the same rules as [`unescape_pipes`].
pub fn unescape_percents(text: &str) -> Option<String> {
    unescape(text, b'%')
}

fn unescape(text: &str, mark: u8) -> Option<String> {
    if !text.as_bytes().contains(&mark) {
        return Some(text.to_owned());
    }
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != mark {
            out.push(byte);
            continue;
        }
        let mut digit = || bytes.next().and_then(|b| char::from(b).to_digit(16));
        let (high, low) = (digit()?, digit()?);
        out.push(u8::try_from(high * 16 + low).expect("two hexadecimal digits fit a byte"));
    }
    if let Some(nul) = out.iter().position(|&b| b == 0) {
        out.truncate(nul);
    }
    Some(match String::from_utf8(out) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers() {
        let table = [
            ("12", Some(12)),
            (" \t+7", Some(7)),
            ("-0012", Some(-12)),
            ("UnLimited", Some(-1)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("", None),
            ("0x10", None),
            ("1 ", None),
            ("+-1", None),
            ("+", None),
            ("1_000", None),
        ];
        for (text, expect) in table {
            assert_eq!(parse_integer(text), expect, "{text:?}");
        }
    }

    #[test]
    fn booleans() {
        assert_eq!(parse_bool("TrUe"), Some(true));
        assert_eq!(parse_bool("FALSE"), Some(false));
        for bad in ["", "1", "yes", " true", "true "] {
            assert_eq!(parse_bool(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn escapes() {
        let table = [
            ("", Some("")),
            ("a|22b|7Cc", Some("a\"b|c")),
            ("one|0Atwo", Some("one\ntwo")),
            ("|c3|a9", Some("\u{e9}")),
            ("|ff", Some("\u{fffd}")),
            ("a|00b", Some("a")),
            ("a|", None),
            ("a|2", None),
            ("a|2g", None),
        ];
        for (text, expect) in table {
            assert_eq!(unescape_pipes(text).as_deref(), expect, "{text:?}");
        }
        assert_eq!(unescape_percents("%7c41").as_deref(), Some("|41"));
        assert_eq!(unescape_percents("100%"), None);
        assert_eq!(escape_separators("50%/a\\b"), "50%25%2fa%5cb");
        assert_eq!(escape_pipes("a|\"b"), "a|7c|22b");
    }
}
