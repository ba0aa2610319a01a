//! The syntax of credentials files: GLib's key files, as libvirt reads them.
//!
//! `[group]`, then `key=value` lines. Lines may be indented; blank lines and lines starting with `#` are comments, `;`
//! starts none. White space around the key and before the value does not count, at the value's end it does. A value
//! knows `\s \n \t \r \\` and keeps quotes. Groups of one name are one group; of equal keys the last wins.

use std::collections::BTreeMap;
use std::fmt;

/// Where and why a text is no key file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SyntaxError {
    /// Counted from 1.
    pub(super) line: usize,
    pub(super) problem: &'static str,
}

/// A parsed file. `Debug` shows group names and keys, no values.
#[derive(Default)]
pub(super) struct KeyFile {
    groups: BTreeMap<String, Group>,
}

/// A group with the last value of each of its keys.
#[derive(Default)]
pub(super) struct Group {
    entries: BTreeMap<String, String>,
}

impl KeyFile {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, SyntaxError> {
        let mut file = Self::default();
        let mut current: Option<&mut Group> = None;
        for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            let error = |problem| SyntaxError { line: index + 1, problem };
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let line = std::str::from_utf8(line).map_err(|_| error("it is not UTF-8"))?;
            let line = if index == 0 { line.trim_start_matches('\u{feff}') } else { line };
            if line.contains('\0') {
                return Err(error("it contains a zero byte"));
            }
            let line = line.trim_start_matches(is_blank);
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(rest) = line.strip_prefix('[') {
                let name = group_name(rest).map_err(error)?;
                current = Some(file.groups.entry(name.to_owned()).or_default());
                continue;
            }
            let (key, value) = line
                .split_once('=')
                .ok_or_else(|| error("it is neither a group, a key nor a comment"))?;
            let key = key.trim_end_matches(is_blank);
            if key.is_empty() {
                return Err(error("the key is missing in front of the equals sign"));
            }
            let group = current
                .as_mut()
                .ok_or_else(|| error("a key stands in front of the first group"))?;
            let value = unescape(value.trim_start_matches(is_blank)).map_err(error)?;
            group.entries.insert(key.to_owned(), value);
        }
        Ok(file)
    }

    pub(super) fn group(&self, name: &str) -> Option<&Group> {
        self.groups.get(name)
    }
}

impl Group {
    pub(super) fn value(&self, key: &str) -> Option<&str> {
        self.entries.get(key).map(String::as_str)
    }
}

impl fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = |group: &Group| group.entries.keys().cloned().collect::<Vec<_>>();
        f.debug_map().entries(self.groups.iter().map(|(name, group)| (name, keys(group)))).finish()
    }
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\u{b}' | '\u{c}' | '\r')
}

/// `name]` and nothing but blanks after it. Blanks inside belong to the name.
fn group_name(rest: &str) -> Result<&str, &'static str> {
    let (name, after) = rest.split_once(']').ok_or("the bracket of the group is not closed")?;
    if name.is_empty() || name.contains('[') || name.contains(|c: char| c.is_ascii_control()) {
        return Err("the group has no valid name");
    }
    if !after.trim_matches(is_blank).is_empty() {
        return Err("something stands after the group's closing bracket");
    }
    Ok(name)
}

fn unescape(value: &str) -> Result<String, &'static str> {
    let mut out = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        out.push(match chars.next() {
            Some('s') => ' ',
            Some('n') => '\n',
            Some('t') => '\t',
            Some('r') => '\r',
            Some('\\') => '\\',
            _ => return Err("a backslash in a value must be written twice"),
        });
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value_of(line: &str) -> String {
        match KeyFile::parse(format!("[g]\n{line}").as_bytes()) {
            Ok(file) => format!("{:?}", file.group("g").unwrap().value("k")),
            Err(error) => format!("line {}: {}", error.line, error.problem),
        }
    }

    /// Agrees with what virsh 12.8 sent as the password for such files, except that it takes the last two for absent.
    #[test]
    fn values() {
        let table: String = [
            "k=p",
            "  k\t=  p x  ",
            "k=p # c",
            "k=p#q",
            "k=a=b;c",
            "k=\"p\"",
            "k=p\r\n",
            "k=p\nk=q",
            "k=p\n[h]\nk=x\n[g]\nk=q",
            "k[de]=x\nK=y\nk k=z",
            "k=",
            "k=a\\sb\\\\c\\td\\ne\\r",
            "k=a\\qb",
            "k=a\\",
        ]
        .iter()
        .map(|line| format!("{line:?} -> {}\n", value_of(line)))
        .collect();
        insta::assert_snapshot!(table, @r#"
        "k=p" -> Some("p")
        "  k\t=  p x  " -> Some("p x  ")
        "k=p # c" -> Some("p # c")
        "k=p#q" -> Some("p#q")
        "k=a=b;c" -> Some("a=b;c")
        "k=\"p\"" -> Some("\"p\"")
        "k=p\r\n" -> Some("p")
        "k=p\nk=q" -> Some("q")
        "k=p\n[h]\nk=x\n[g]\nk=q" -> Some("q")
        "k[de]=x\nK=y\nk k=z" -> None
        "k=" -> Some("")
        "k=a\\sb\\\\c\\td\\ne\\r" -> Some("a b\\c\td\ne\r")
        "k=a\\qb" -> line 2: a backslash in a value must be written twice
        "k=a\\" -> line 2: a backslash in a value must be written twice
        "#);
    }

    #[test]
    fn syntax() {
        let table: String = [
            &b""[..],
            b"# only\n\n  # comments\n",
            b"\xef\xbb\xbf[g]\nk=v",
            b"k=v\n[g]",
            b"[g]\njunk",
            b"[g]\n; no comment",
            b"[g]\n=v",
            b"[g",
            b"[]",
            b"[a[b]",
            b"[g] x",
            b"  [g]  \r\n",
            b"[ g ]",
            b"[g]\nk=\xff",
            b"[g]\nk=a\0b",
        ]
        .iter()
        .map(|text| format!("{:?} -> {:?}\n", String::from_utf8_lossy(text), KeyFile::parse(text)))
        .collect();
        insta::assert_snapshot!(table, @r##"
        "" -> Ok({})
        "# only\n\n  # comments\n" -> Ok({})
        "\u{feff}[g]\nk=v" -> Ok({"g": ["k"]})
        "k=v\n[g]" -> Err(SyntaxError { line: 1, problem: "a key stands in front of the first group" })
        "[g]\njunk" -> Err(SyntaxError { line: 2, problem: "it is neither a group, a key nor a comment" })
        "[g]\n; no comment" -> Err(SyntaxError { line: 2, problem: "it is neither a group, a key nor a comment" })
        "[g]\n=v" -> Err(SyntaxError { line: 2, problem: "the key is missing in front of the equals sign" })
        "[g" -> Err(SyntaxError { line: 1, problem: "the bracket of the group is not closed" })
        "[]" -> Err(SyntaxError { line: 1, problem: "the group has no valid name" })
        "[a[b]" -> Err(SyntaxError { line: 1, problem: "the group has no valid name" })
        "[g] x" -> Err(SyntaxError { line: 1, problem: "something stands after the group's closing bracket" })
        "  [g]  \r\n" -> Ok({"g": []})
        "[ g ]" -> Ok({" g ": []})
        "[g]\nk=�" -> Err(SyntaxError { line: 2, problem: "it is not UTF-8" })
        "[g]\nk=a\0b" -> Err(SyntaxError { line: 2, problem: "it contains a zero byte" })
        "##);
    }

    #[test]
    fn debug_hides_values() {
        let file = KeyFile::parse(b"[credentials-x]\npassword=canary").unwrap();
        assert_eq!(format!("{file:?}"), r#"{"credentials-x": ["password"]}"#);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = KeyFile::parse(&bytes);
        }

        #[test]
        fn escaped_values_come_back(value in r"[^\x00\x0b\x0c]*") {
            let escaped = value
                .replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r").replace('\t', "\\t").replace(' ', "\\s");
            let file = KeyFile::parse(format!("[g]\nk={escaped}").as_bytes()).unwrap();
            prop_assert_eq!(file.group("g").unwrap().value("k"), Some(value.as_str()));
        }
    }
}
