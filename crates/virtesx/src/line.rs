//! Command strings, split as virsh splits them: words, quotes, `;` between commands and `#` comments.

use virt_api::Error;

use crate::failure::usage;

/// The commands of a text, each a list of words; commands without words are left out.
///
/// A backslash takes the next character as it is, also inside double quotes; single quotes take everything. A `;` or
/// a line end outside of quotes ends a command. `#` at the start of a word is a comment up to the line end.
///
/// # Errors
/// A quote that is not closed, or a backslash at the very end.
pub(crate) fn split(text: &str) -> Result<Vec<Vec<String>>, Error> {
    let mut commands = Vec::new();
    let mut words: Vec<String> = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            ';' | '\n' => {
                words.extend(word.take());
                if !words.is_empty() {
                    commands.push(std::mem::take(&mut words));
                }
            }
            ' ' | '\t' | '\r' => words.extend(word.take()),
            '#' if word.is_none() => {
                let rest = chars.as_str();
                chars = rest.find('\n').map_or("", |end| &rest[end..]).chars();
            }
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next() {
                        Some('\'') => break,
                        Some(c) => word.push(c),
                        None => return Err(usage("missing '")),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next() {
                        Some('"') => break,
                        Some('\\') => word.push(chars.next().ok_or_else(|| usage("missing \""))?),
                        Some(c) => word.push(c),
                        None => return Err(usage("missing \"")),
                    }
                }
            }
            '\\' => {
                word.get_or_insert_default().push(chars.next().ok_or_else(|| usage("dangling \\"))?)
            }
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    if !words.is_empty() {
        commands.push(words);
    }
    Ok(commands)
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn splits_like_virsh() {
        for (text, expect) in [
            ("", "[]"),
            (" ;; \n", "[]"),
            ("list --all; nodeinfo", r#"[["list", "--all"], ["nodeinfo"]]"#),
            (";hostname;", r#"[["hostname"]]"#),
            ("list # all of them\nuri", r#"[["list"], ["uri"]]"#),
            ("domid a#b", r#"[["domid", "a#b"]]"#),
            ("domid 'two words; one'", r#"[["domid", "two words; one"]]"#),
            (r#"domid "a \"b\" \\c""#, r#"[["domid", "a \"b\" \\c"]]"#),
            (r"domid two\ words", r#"[["domid", "two words"]]"#),
            (r"domid 'a\b'", r#"[["domid", "a\\b"]]"#),
            ("dominfo ''", r#"[["dominfo", ""]]"#),
            (r#"domid pre"mid"'post'"#, r#"[["domid", "premidpost"]]"#),
            ("domid München", r#"[["domid", "München"]]"#),
        ] {
            assert_eq!(format!("{:?}", split(text).unwrap()), expect, "{text}");
        }
    }

    #[test]
    fn open_quotes_are_errors() {
        for (text, expect) in [
            ("list \"", "missing \""),
            ("domid 'a", "missing '"),
            ("list \"\\", "missing \""),
            ("x \\", "dangling \\"),
        ] {
            assert_eq!(split(text).unwrap_err().to_string(), expect, "{text}");
        }
    }
}
