//! The grammar of a VMX file (`spec/vmx.md` 1.1), with recovery.
//!
//! One call reads one *line*: a statement with everything up to and including its terminator. The
//! strict rules are libvirt's; where they do not fit, the line is read as well as it can be and the
//! reason is handed back, so that the same pass serves the lossless document and exact mode.

use nom::IResult;
use nom::Parser;
use nom::branch::alt;
use nom::bytes::complete::{tag, take_till, take_until, take_while, take_while_m_n};
use nom::combinator::{eof, opt, recognize, verify};
use nom::sequence::{delimited, preceded};

use crate::problem::ProblemKind;

/// A range of bytes in the document's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Span {
    pub(crate) fn of(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.start..self.end]
    }

    fn moved(self, by: usize) -> Self {
        Self { start: self.start + by, end: self.end + by }
    }
}

/// How a value is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quote {
    Double,
    Single,
    Triple,
    /// No quotes, or an opening one only.
    None,
}

/// What ends a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Terminator {
    Lf,
    CrLf,
    Cr,
    Semicolon,
    /// End of the input.
    Missing,
}

/// What a line holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    Blank,
    Comment,
    /// `token` is the value with its quotes.
    Assignment {
        key: Span,
        token: Span,
        value: Span,
        quote: Quote,
    },
    /// Not VMX: kept, never looked at.
    Opaque,
}

/// One line; spans count from the start of the buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    pub(crate) span: Span,
    pub(crate) body: Body,
    pub(crate) terminator: Terminator,
}

/// Reads the line at `at`; `bytes` ends where libvirt would stop reading. `at` is below its length.
pub(crate) fn line(bytes: &[u8], at: usize) -> (Line, Option<(usize, ProblemKind)>) {
    let input = &bytes[at..];
    let (len, body, terminator, problem) = match regular(input) {
        Some((len, body, terminator)) => (len, body, terminator, None),
        None => match strict(input) {
            Ok((rest, (body, terminator))) => (input.len() - rest.len(), body, terminator, None),
            Err(_) => recover(input),
        },
    };
    let body = match body {
        Body::Assignment { key, token, value, quote } => Body::Assignment {
            key: key.moved(at),
            token: token.moved(at),
            value: value.moved(at),
            quote,
        },
        other => other,
    };
    let line = Line { span: Span { start: at, end: at + len }, body, terminator };
    (line, problem.map(|(offset, kind)| (at + offset, kind)))
}

/// Bytes of keys, by byte.
const KEY_BYTES: [bool; 256] = table(true);
/// Bytes that end a value in double quotes, well or badly, by byte.
const VALUE_ENDS: [bool; 256] = table(false);

const fn table(keys: bool) -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    loop {
        table[byte as usize] =
            if keys { is_key_byte(byte) } else { matches!(byte, b'"' | b'\n' | b'\r') };
        if byte == u8::MAX {
            return table;
        }
        byte += 1;
    }
}

/// `key = "value"` with a line end, as the products write nearly every line: what [`strict`] makes of it,
/// in one look at each byte. `None` for anything else.
fn regular(input: &[u8]) -> Option<(usize, Body, Terminator)> {
    let key_end = input.iter().position(|&b| !KEY_BYTES[usize::from(b)])?;
    if key_end == 0 || !is_key_start(input[0]) {
        return None;
    }
    let rest = input[key_end..].strip_prefix(b" = \"")?;
    let value_len = rest.iter().position(|&b| VALUE_ENDS[usize::from(b)])?;
    let (terminator, terminator_len) = match rest[value_len..] {
        [b'"', b'\n', ..] => (Terminator::Lf, 1),
        [b'"', b'\r', b'\n', ..] => (Terminator::CrLf, 2),
        // More quotes, a comment, a bad line, the end of the file.
        _ => return None,
    };
    let value = Span { start: key_end + 4, end: key_end + 4 + value_len };
    let token = Span { start: value.start - 1, end: value.end + 1 };
    let key = Span { start: 0, end: key_end };
    let body = Body::Assignment { key, token, value, quote: Quote::Double };
    Some((token.end + terminator_len, body, terminator))
}

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

fn is_eol(byte: u8) -> bool {
    byte == b'\n' || byte == b'\r'
}

fn is_key_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'.'
}

/// Whether libvirt takes this byte inside a key.
pub(crate) const fn is_key_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':' | b'.' | b'-' | b'*')
}

/// Whether libvirt takes this text as a key.
pub(crate) fn is_key(key: &[u8]) -> bool {
    key.first().is_some_and(|&b| is_key_start(b)) && key.iter().all(|&b| is_key_byte(b))
}

fn blanks(input: &[u8]) -> IResult<&[u8], &[u8]> {
    take_while(is_blank).parse(input)
}

fn comment(input: &[u8]) -> IResult<&[u8], &[u8]> {
    recognize((tag(&b"#"[..]), take_till(is_eol))).parse(input)
}

fn key(input: &[u8]) -> IResult<&[u8], &[u8]> {
    recognize((take_while_m_n(1, 1, is_key_start), take_while(is_key_byte))).parse(input)
}

fn quoted(input: &[u8]) -> IResult<&[u8], (Quote, &[u8])> {
    if input.starts_with(b"\"\"\"") && input.len() >= 7 {
        // libvirt looks no further once it has chosen this form.
        let fence = || tag(&b"\"\"\""[..]);
        return delimited(fence(), take_until(&b"\"\"\""[..]), fence())
            .map(|value| (Quote::Triple, value))
            .parse(input);
    }
    alt((
        delimited(tag(&b"\""[..]), take_till(|b| b == b'"' || is_eol(b)), tag(&b"\""[..]))
            .map(|value| (Quote::Double, value)),
        delimited(tag(&b"'"[..]), take_till(|b| b == b'\'' || is_eol(b)), tag(&b"'"[..]))
            .map(|value| (Quote::Single, value)),
    ))
    .parse(input)
}

fn line_end(input: &[u8]) -> IResult<&[u8], Terminator> {
    alt((
        tag(&b"\r\n"[..]).map(|_| Terminator::CrLf),
        tag(&b"\n"[..]).map(|_| Terminator::Lf),
        tag(&b"\r"[..]).map(|_| Terminator::Cr),
        eof.map(|_| Terminator::Missing),
    ))
    .parse(input)
}

fn semicolon(input: &[u8]) -> IResult<&[u8], Terminator> {
    tag(&b";"[..]).map(|_| Terminator::Semicolon).parse(input)
}

fn strict(input: &[u8]) -> IResult<&[u8], (Body, Terminator)> {
    let (rest, _) = blanks(input)?;
    match rest.first() {
        None => Ok((rest, (Body::Blank, Terminator::Missing))),
        Some(b'\n' | b'\r') => line_end.map(|end| (Body::Blank, end)).parse(rest),
        Some(b'#') => preceded(comment, line_end).map(|end| (Body::Comment, end)).parse(rest),
        Some(_) => assignment(input, rest),
    }
}

/// `input` is the whole line, `rest` starts at the key.
fn assignment<'a>(input: &'a [u8], rest: &'a [u8]) -> IResult<&'a [u8], (Body, Terminator)> {
    let (after_key, key) = key(rest)?;
    let (at_token, _) = (blanks, tag(&b"="[..]), blanks).parse(after_key)?;
    let (after_token, (quote, value)) = quoted(at_token)?;
    let (rest, (_, _, terminator)) =
        (blanks, opt(comment), alt((line_end, semicolon))).parse(after_token)?;
    // Offsets from what is left: nom's inputs all end where `input` ends.
    let at = |left: &[u8]| input.len() - left.len();
    let fence = if quote == Quote::Triple { 3 } else { 1 };
    let token = Span { start: at(at_token), end: at(after_token) };
    let value = Span { start: token.start + fence, end: token.start + fence + value.len() };
    let key = Span { start: at(after_key) - key.len(), end: at(after_key) };
    Ok((rest, (Body::Assignment { key, token, value, quote }, terminator)))
}

/// Reads a line that libvirt refuses: up to the line end, and as an assignment if it has a `=`.
fn recover(input: &[u8]) -> (usize, Body, Terminator, Option<(usize, ProblemKind)>) {
    let text = match recognize(take_till::<_, _, nom::error::Error<&[u8]>>(is_eol)).parse(input) {
        Ok((_, text)) => text,
        Err(_) => input,
    };
    let (len, terminator) = match line_end(&input[text.len()..]) {
        Ok((rest, end)) => (input.len() - rest.len(), end),
        Err(_) => (input.len(), Terminator::Missing),
    };
    let (body, problem) = recover_assignment(text);
    (len, body, terminator, Some(problem))
}

fn recover_assignment(text: &[u8]) -> (Body, (usize, ProblemKind)) {
    let start = text.iter().take_while(|&&b| is_blank(b)).count();
    let not_assignment = (Body::Opaque, (start, ProblemKind::NotAssignment));
    let Some(equals) = text.iter().position(|&b| b == b'=') else { return not_assignment };
    let key_text = text[start.min(equals)..equals].trim_ascii_end();
    // A quote, a blank or a `#` before the `=` means that the line is something else.
    let odd = |b: &u8| matches!(b, b'"' | b'\'' | b'#' | b';' | 0..=b' ');
    if key_text.is_empty() || key_text.iter().any(odd) || std::str::from_utf8(key_text).is_err() {
        return not_assignment;
    }
    let key = Span { start, end: start + key_text.len() };
    let after = &text[equals + 1..];
    let token_start = equals + 1 + after.iter().take_while(|&&b| is_blank(b)).count();
    let rest = &text[token_start..];
    let assign = |token: Span, value: Span, quote| Body::Assignment { key, token, value, quote };
    let problem = |at, kind| {
        if is_key(key_text) { (at, kind) } else { (start, ProblemKind::KeyCharacter) }
    };

    if let Ok((junk, (quote, value))) =
        verify(quoted, |q: &(Quote, &[u8])| q.0 != Quote::Triple).parse(rest)
    {
        let token = Span { start: token_start, end: text.len() - junk.len() };
        let value = Span { start: token_start + 1, end: token_start + 1 + value.len() };
        let junk_start = token.end + junk.iter().take_while(|&&b| is_blank(b)).count();
        return (assign(token, value, quote), problem(junk_start, ProblemKind::TrailingText));
    }
    if matches!(rest.first(), Some(b'"' | b'\'')) {
        // The rest of the line is the value: a closing quote is not to be had.
        let token = Span { start: token_start, end: text.len() };
        let value = Span { start: token_start + 1, end: text.len() };
        let kind = ProblemKind::UnterminatedValue;
        return (assign(token, value, Quote::None), problem(token_start, kind));
    }
    let end = rest.iter().position(|&b| b == b'#').unwrap_or(rest.len());
    let bare = rest[..end].trim_ascii_end();
    let token = Span { start: token_start, end: token_start + bare.len() };
    (assign(token, token, Quote::None), problem(token_start, ProblemKind::UnquotedValue))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The short way agrees with the grammar wherever it is taken.
        #[test]
        fn regular_lines_are_read_as_the_grammar_says(
            key in "[a-zA-Z.0-9_:*-]{0,4}", between in "( = |=)", open in "\"{1,3}",
            value in "[a \"'\r\n#;]{0,5}", close in "\"{0,3}(\n|\r\n|\r|;|)", more in "(b = \"1\"\n)?",
        ) {
            let text = [key, between, open, value, close, more].concat();
            if let Some((len, body, terminator)) = regular(text.as_bytes()) {
                let (rest, parsed) = strict(text.as_bytes()).unwrap();
                prop_assert_eq!((text.len() - rest.len(), parsed), (len, (body, terminator)));
            }
        }
    }
}
