//! `docs/vmx-warnings.md` lists every phrase that a warning can be made of: it is compared with the sources.

#![allow(
    clippy::disallowed_methods,
    reason = "a test reads sources and documents; the crate reads no files"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Phrases of the converter that are no messages.
const OTHER: [&str; 2] = ["auto detect", "{}: {}"];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The sources whose messages become warnings, with a title for each.
fn sources() -> Vec<(String, String)> {
    let mut paths =
        vec!["crates/vmx/src/problem.rs".to_owned(), "crates/vmx/src/value.rs".to_owned()];
    for folder in ["", "/from_vmx", "/to_vmx"] {
        let folder = format!("crates/vmx-domain/src{folder}");
        let files = fs::read_dir(repository().join(&folder)).expect("the sources are there");
        let names = files.filter_map(|file| file.ok()?.file_name().into_string().ok());
        // What is said there is no warning of a conversion.
        let names = names.filter(|name| name != "ports.rs");
        let mut names: Vec<String> = names.filter(|name| name.ends_with(".rs")).collect();
        names.sort();
        paths.extend(names.into_iter().map(|name| format!("{folder}/{name}")));
    }
    let read = |path: String| {
        let text = fs::read_to_string(repository().join(&path)).expect("a readable source");
        // What tests say is no message.
        let text = text.split("#[cfg(test)]").next().unwrap_or_default().to_owned();
        (path, text)
    };
    paths.into_iter().map(read).collect()
}

/// The string literals of a source with blanks in them, outside comments and attributes.
fn phrases(source: &str) -> BTreeSet<String> {
    let mut phrases = BTreeSet::new();
    let bytes = source.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &source[at..];
        if rest.starts_with("//") || rest.starts_with("#[") || rest.starts_with("#![") {
            at += rest.find('\n').unwrap_or(rest.len());
        } else if rest.starts_with("'\"'") || rest.starts_with("b'\"'") {
            at += 4;
        } else if let Some(inner) = rest.strip_prefix('"') {
            let (text, len) = literal(inner);
            at += 1 + len;
            if text.contains(' ') && text.chars().any(char::is_alphabetic) {
                phrases.insert(text);
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    phrases
}

/// A literal up to its closing quote, with `…` for what is put in, and how long it is.
fn literal(source: &str) -> (String, usize) {
    let mut text = String::new();
    let mut characters = source.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return (placeholders(&text), at + 1),
            '\\' => match characters.next() {
                Some((_, '\n')) => {
                    // The next line goes on where its text starts.
                    let rest = &source[at + 2..];
                    let skipped = rest.len() - rest.trim_start().len();
                    for _ in 0..skipped {
                        characters.next();
                    }
                }
                Some((_, escaped)) => text.push(escaped),
                None => {}
            },
            c => text.push(c),
        }
    }
    (text, source.len())
}

fn placeholders(text: &str) -> String {
    if OTHER.contains(&text) {
        return String::new();
    }
    let mut out = String::new();
    let mut depth = 0;
    for c in text.chars() {
        match c {
            '{' => depth += 1,
            '}' => {
                depth -= 1;
                out.push('…');
            }
            c if depth == 0 => out.push(c),
            _ => {}
        }
    }
    out
}

fn document() -> String {
    let mut text = String::from(
        "# Every warning of the VMX converter\n\n\
         Written by `UPDATE_DOCS=1 cargo test -p esx-vmx-domain --test warnings`, which else compares it with the sources.\n\n\
         A warning is the key or the element and a reason, which is one of these phrases, or two of them: what is wrong, in exact mode\n\
         an error, and after a semicolon what was done instead. `…` stands for a value.\n",
    );
    for (path, source) in sources() {
        let phrases = phrases(&source);
        if phrases.is_empty() {
            continue;
        }
        let title = source.lines().find_map(|l| l.strip_prefix("//! ")).unwrap_or(&path);
        let title =
            title.split(['(', ':']).next().unwrap_or(title).trim_end_matches(['.', ',', ' ']);
        let way = match () {
            () if path.contains("/from_vmx/") => ", from VMX",
            () if path.contains("/to_vmx/") => ", to VMX",
            () => "",
        };
        text += &format!("\n## {title}{way}\n\n");
        for phrase in phrases {
            text += &format!("- {phrase}\n");
        }
    }
    text
}

#[test]
fn the_document_lists_every_warning() {
    let path = repository().join("docs/vmx-warnings.md");
    let expected = document();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &expected).expect("a writable document");
    }
    let text = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        text == expected,
        "docs/vmx-warnings.md: run UPDATE_DOCS=1 cargo test -p esx-vmx-domain --test warnings"
    );
}

/// What warnings really say is made of those phrases.
#[test]
fn real_warnings_are_made_of_the_phrases() {
    let all: Vec<String> = sources().iter().flat_map(|(_, source)| phrases(source)).collect();
    let snapshot = "tests/snapshots/vectors__default_mode_differs_only_where_libvirt_errs.snap";
    let snapshot = fs::read_to_string(snapshot).expect("the snapshot is there");
    let warnings = snapshot.lines().filter_map(|line| line.strip_prefix("  ")?.split_once(": "));
    let matches = |reason: &str, phrase: &String| {
        let mut rest = reason;
        let parts: Vec<&str> = phrase.split('…').collect();
        rest.starts_with(parts[0])
            && parts.iter().all(|part| match rest.find(part) {
                Some(at) => {
                    rest = &rest[at + part.len()..];
                    true
                }
                None => false,
            })
    };
    let mut count = 0;
    for (key, reason) in warnings {
        assert!(all.iter().any(|phrase| matches(reason, phrase)), "{key}: {reason}");
        count += 1;
    }
    assert!(count > 50);
}
