//! Typed values (`spec/vmx.md` 1.5, 1.6).

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

/// What a boolean is, for [`ValueError`].
pub(crate) const BOOL: &str = "true or false";
/// What an integer is, for [`ValueError`].
pub(crate) const INTEGER: &str = "an integer";

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

/// Undoes pipe escapes of any byte. `None` if a `|` is not followed by two hexadecimal digits; bytes that
/// are no UTF-8 become U+FFFD.
pub(crate) fn unescape_pipes(text: &str) -> Option<String> {
    let bytes = esx_escape::pipe::unescape_bytes(text.as_bytes()).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
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
    }
}
