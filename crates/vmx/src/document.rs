//! The document: its lines in order, over one buffer of bytes.
//!
//! The buffer only grows: an edited line is a new range at its end. So the lines nobody touched are
//! written from the very bytes that were read.

use std::collections::HashMap;
use std::fmt;
use std::sync::OnceLock;

use crate::charset::{Charset, EncodingError};
use crate::devices::Devices;
use crate::grammar::{self, Body, Line, Span, Terminator};
use crate::group::Group;
use crate::index::Index;
use crate::problem::{Problem, ProblemKind};
use crate::value::{self, ValueError};

/// A VMX file.
///
/// Keys ignore ASCII case and the first occurrence of a key counts, as in VMware's products and in
/// libvirt. `Debug` shows no values, since some of them are passwords.
#[derive(Clone)]
pub struct Document {
    pub(crate) buffer: Vec<u8>,
    /// Every line there ever was; its place here never changes.
    pub(crate) lines: Vec<Line>,
    /// The lines of the file, in order, as places in `lines`.
    pub(crate) order: Vec<u32>,
    pub(crate) charset: Charset,
    /// The text of values that are not plain UTF-8 in the buffer, by place in `lines`.
    pub(crate) decoded: HashMap<u32, Box<str>>,
    /// What is wrong with the file as it was read, duplicate keys aside.
    faults: Vec<Problem>,
    /// The same with the duplicates, which are looked for when somebody asks.
    problems: OnceLock<Vec<Problem>>,
    /// What new lines end with.
    pub(crate) line_end: Terminator,
    index: OnceLock<Index>,
}

/// A key with its value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The key as it is spelled in the file.
    pub key: &'a str,
    /// The value, decoded but with its escapes.
    pub value: &'a str,
}

impl fmt::Debug for Entry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("key", &self.key).finish_non_exhaustive()
    }
}

impl Default for Document {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document")
            .field("lines", &self.order.len())
            .field("charset", &self.charset)
            .field("problems", &self.problems())
            .finish_non_exhaustive()
    }
}

impl Document {
    /// An empty file in UTF-8 with LF line ends.
    pub fn new() -> Self {
        Self {
            buffer: Vec::new(),
            lines: Vec::new(),
            order: Vec::new(),
            charset: Charset::Utf8,
            decoded: HashMap::new(),
            faults: Vec::new(),
            problems: OnceLock::new(),
            line_end: Terminator::Lf,
            index: OnceLock::new(),
        }
    }

    /// Reads a file. Whatever is not VMX is kept and reported by [`Document::problems`].
    ///
    /// # Errors
    /// The file declares an encoding that is not known.
    pub fn parse(bytes: &[u8]) -> Result<Self, EncodingError> {
        let mut doc = Self::new();
        doc.buffer = bytes.to_vec();
        let mut found = doc.scan();
        let encoding = |&place: &u32| {
            doc.key_at(place).is_some_and(|key| key.eq_ignore_ascii_case(b".encoding"))
        };
        if let Some(place) = doc.order.iter().copied().find(encoding) {
            doc.charset = Charset::named(doc.value_at(place)).map_err(|error| {
                let mut problems = doc.placed(found.clone()).into_iter();
                let syntax_error = problems.find(|p| p.kind.is_syntax_error());
                EncodingError { syntax_error, ..error }
            })?;
        }
        found.extend(doc.decode_values());
        doc.faults = doc.placed(found);
        Ok(doc)
    }

    /// The bytes of the file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.buffer.len());
        for &place in &self.order {
            out.extend_from_slice(self.line(place).span.of(&self.buffer));
        }
        out
    }

    /// The file as UTF-8, with an `.encoding` that says so, for whoever takes text. Bytes that mean nothing in the file's charset
    /// become U+FFFD, as they are for all readers of values.
    pub fn to_utf8(&self) -> String {
        let mut out = String::with_capacity(self.buffer.len());
        for &place in &self.order {
            let line = self.line(place);
            let text = |start, end| self.charset.decode_lossy(&self.buffer[start..end]);
            match line.body {
                Body::Assignment { key, token, .. }
                    if key.of(&self.buffer).eq_ignore_ascii_case(b".encoding") =>
                {
                    out.push_str(&text(line.span.start, token.start));
                    out.push_str("\"UTF-8\"");
                    out.push_str(&text(token.end, line.span.end));
                }
                _ => out.push_str(&text(line.span.start, line.span.end)),
            }
        }
        out
    }

    /// What is wrong with the file as it was read, in order of position.
    pub fn problems(&self) -> &[Problem] {
        self.problems.get_or_init(|| {
            let mut duplicates = Vec::new();
            let index =
                self.build_index(|key| duplicates.push((key.start, ProblemKind::DuplicateKey)));
            // It does no harm if there is one already.
            let _ = self.index.set(index);
            let mut all = self.placed(duplicates);
            all.extend_from_slice(&self.faults);
            all.sort_by_key(|problem| (problem.line, problem.column));
            all
        })
    }

    /// What makes libvirt refuse the file as it was read, if anything does: the first one counts.
    pub fn syntax_errors(&self) -> impl Iterator<Item = &Problem> {
        self.faults.iter().filter(|p| p.kind.is_syntax_error())
    }

    /// What makes libvirt refuse the file as it was read, if anything does.
    pub fn syntax_error(&self) -> Option<&Problem> {
        self.syntax_errors().next()
    }

    /// The value of a key, decoded but with its escapes.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.find(key).map(|place| self.value_at(place))
    }

    /// Every value of a key, in file order. Only the first one counts.
    pub fn get_all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.entries().filter(|e| e.key.eq_ignore_ascii_case(key)).map(|e| e.value)
    }

    /// Whether the file has the key.
    pub fn contains(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    /// The value of a boolean key: `true` or `false`, in any case.
    ///
    /// # Errors
    /// The value is something else.
    pub fn get_bool(&self, key: &str) -> Result<Option<bool>, ValueError> {
        self.typed(key, value::BOOL, value::parse_bool)
    }

    /// The value of an integer key; see [`parse_integer`](crate::parse_integer).
    ///
    /// # Errors
    /// The value is something else.
    pub fn get_integer(&self, key: &str) -> Result<Option<i64>, ValueError> {
        self.typed(key, value::INTEGER, value::parse_integer)
    }

    /// The value of a key with pipe escapes, such as `annotation`, without them.
    ///
    /// # Errors
    /// A `|` is not followed by two hexadecimal digits.
    pub fn get_escaped(&self, key: &str) -> Result<Option<String>, ValueError> {
        self.typed(key, "a text with valid | escapes", value::unescape_pipes)
    }

    /// All keys with their values in file order, duplicates included.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        let whole = self.text();
        self.order.iter().filter_map(move |&place| self.entry_in(whole, place))
    }

    /// The keys that start with `prefix`, as a view: `scsi0:1.` is one disk.
    pub fn group<'a>(&'a self, prefix: &'a str) -> Group<'a> {
        Group::new(self, prefix)
    }

    /// All keys by their devices, for a reader that looks at many of them.
    pub fn devices(&self) -> Devices<'_> {
        Devices::new(self)
    }

    fn typed<T>(
        &self,
        key: &str,
        expected: &'static str,
        read: fn(&str) -> Option<T>,
    ) -> Result<Option<T>, ValueError> {
        match self.get(key) {
            None => Ok(None),
            Some(value) => match read(value) {
                Some(value) => Ok(Some(value)),
                None => Err(ValueError { key: key.to_owned(), value: value.to_owned(), expected }),
            },
        }
    }

    pub(crate) fn line(&self, place: u32) -> &Line {
        &self.lines[place as usize]
    }

    pub(crate) fn entry_at(&self, place: u32) -> Option<Entry<'_>> {
        self.entry_in(None, place)
    }

    /// The whole buffer, if it is UTF-8 and every value is just what stands there: then the pieces need
    /// no look of their own.
    fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.buffer).ok().filter(|_| self.decoded.is_empty())
    }

    fn entry_in<'a>(&'a self, whole: Option<&'a str>, place: u32) -> Option<Entry<'a>> {
        let Body::Assignment { key, value, .. } = self.line(place).body else { return None };
        let Some(whole) = whole else {
            // `scan` keeps no key that is not UTF-8.
            let key = std::str::from_utf8(key.of(&self.buffer)).unwrap_or_default();
            return Some(Entry { key, value: self.value_at(place) });
        };
        Some(Entry { key: &whole[key.start..key.end], value: &whole[value.start..value.end] })
    }

    pub(crate) fn value_at(&self, place: u32) -> &str {
        let Body::Assignment { value, .. } = self.line(place).body else { return "" };
        match self.decoded.get(&place) {
            Some(text) => text,
            // Every value that is not UTF-8 is in `decoded`.
            None => std::str::from_utf8(value.of(&self.buffer)).unwrap_or_default(),
        }
    }

    pub(crate) fn key_at(&self, place: u32) -> Option<&[u8]> {
        match self.line(place).body {
            Body::Assignment { key, .. } => Some(key.of(&self.buffer)),
            _ => None,
        }
    }

    /// The first line with that key.
    pub(crate) fn find(&self, key: &str) -> Option<u32> {
        let key = key.as_bytes();
        let index = self.index();
        index.find(index.hash(key), |place| {
            self.key_at(place).is_some_and(|k| k.eq_ignore_ascii_case(key))
        })
    }

    pub(crate) fn index(&self) -> &Index {
        self.index.get_or_init(|| self.build_index(|_| {}))
    }

    /// To be called before an edit: finds the duplicates while the file is as it was read.
    pub(crate) fn settle_problems(&mut self) {
        self.problems();
    }

    /// To be called after an edit that changes which line is a key's first.
    pub(crate) fn forget_index(&mut self) {
        self.index = OnceLock::new();
    }

    /// To be called after a line with a key that was not there before has been added.
    pub(crate) fn index_new_key(&mut self, key: &str, place: u32) {
        if let Some(mut index) = self.index.take() {
            let hash = index.hash(key.as_bytes());
            index.insert(hash, place, |index, place| self.hash_at(index, place));
            self.index = OnceLock::from(index);
        }
    }

    fn hash_at(&self, index: &Index, place: u32) -> u64 {
        self.key_at(place).map_or(0, |key| index.hash(key))
    }

    /// Calls `duplicate` with every key that occurred before.
    fn build_index(&self, mut duplicate: impl FnMut(Span)) -> Index {
        let mut index = Index::with_capacity(self.order.len());
        for &place in &self.order {
            let Body::Assignment { key: span, .. } = self.line(place).body else { continue };
            let key = span.of(&self.buffer);
            let hash = index.hash(key);
            let same = |p: u32| self.key_at(p).is_some_and(|k| k.eq_ignore_ascii_case(key));
            if index.find(hash, same).is_some() {
                duplicate(span);
            } else {
                index.insert(hash, place, |index, place| self.hash_at(index, place));
            }
        }
        index
    }

    /// Cuts the buffer into lines; tells where the problems are.
    fn scan(&mut self) -> Vec<(usize, ProblemKind)> {
        let mut problems = Vec::new();
        // libvirt stops at the first NUL byte.
        let end = match self.buffer.contains(&0) {
            true => self.buffer.iter().position(|&b| b == 0).unwrap_or(self.buffer.len()),
            false => self.buffer.len(),
        };
        // A line of most files has some thirty bytes.
        self.lines.reserve(end / 24);
        self.order.reserve(end / 24);
        let mut at = 0;
        let mut statements = 0;
        let mut ends = [0_usize; 3];
        if self.buffer[..end].starts_with(b"\xef\xbb\xbf") {
            problems.push((0, ProblemKind::ByteOrderMark));
            at = 3;
            self.push_opaque(0, at);
        }
        while at < end {
            let (line, problem) = grammar::line(&self.buffer[..end], at);
            at = line.span.end;
            problems.extend(problem);
            statements += usize::from(!matches!(line.body, Body::Blank));
            match line.terminator {
                Terminator::Lf => ends[0] += 1,
                Terminator::CrLf => ends[1] += 1,
                Terminator::Cr => ends[2] += 1,
                Terminator::Semicolon | Terminator::Missing => {}
            }
            self.push(line);
        }
        if statements == 0 && at > 0 && problems.is_empty() {
            problems.push((0, ProblemKind::OnlyBlanks));
        }
        if end < self.buffer.len() {
            problems.push((end, ProblemKind::TextAfterNul));
            self.push_opaque(end, self.buffer.len());
        }
        self.line_end = match ends {
            [lf, crlf, cr] if crlf > lf && crlf >= cr => Terminator::CrLf,
            [lf, _, cr] if cr > lf => Terminator::Cr,
            _ => Terminator::Lf,
        };
        problems
    }

    fn push_opaque(&mut self, start: usize, end: usize) {
        let span = Span { start, end };
        // A mark or a tail has no line end of its own, but needs none before what follows it.
        self.push(Line { span, body: Body::Opaque, terminator: Terminator::Semicolon });
    }

    /// Adds a line to the table and to the end of the file.
    fn push(&mut self, line: Line) {
        let place = self.add_line(line);
        self.order.push(place);
    }

    /// Adds a line to the table only.
    pub(crate) fn add_line(&mut self, line: Line) -> u32 {
        // A line takes a byte at least; files of 4 GiB are no VMX files.
        let place = u32::try_from(self.lines.len()).unwrap_or(u32::MAX);
        self.lines.push(line);
        place
    }

    /// Decodes the values that are not plain UTF-8; tells where some bytes mean nothing.
    fn decode_values(&mut self) -> Vec<(usize, ProblemKind)> {
        let mut undecodable = Vec::new();
        if self.buffer.is_ascii() {
            return undecodable;
        }
        for place in 0..self.lines.len() {
            let Body::Assignment { value, .. } = self.lines[place].body else { continue };
            let bytes = value.of(&self.buffer);
            if bytes.is_ascii() {
                continue;
            }
            let text = match self.charset.decode(bytes) {
                Some(text) => text,
                None => {
                    undecodable.push((value.start, ProblemKind::Undecodable));
                    self.charset.decode_lossy(bytes)
                }
            };
            if text.as_bytes() != bytes {
                self.decoded.insert(place as u32, text.into());
            }
        }
        undecodable
    }

    /// Turns offsets into lines and columns.
    fn placed(&self, mut found: Vec<(usize, ProblemKind)>) -> Vec<Problem> {
        found.sort_by_key(|&(at, _)| at);
        let mut problems = Vec::with_capacity(found.len());
        let (mut line, mut line_start, mut at) = (1, 0, 0);
        for (offset, kind) in found {
            while at < offset {
                let lf_follows = self.buffer.get(at + 1) == Some(&b'\n');
                match self.buffer[at] {
                    b'\n' => (line, line_start) = (line + 1, at + 1),
                    b'\r' if !lf_follows => (line, line_start) = (line + 1, at + 1),
                    _ => {}
                }
                at += 1;
            }
            problems.push(Problem { kind, line, column: offset - line_start + 1 });
        }
        problems
    }
}

#[cfg(test)]
mod tests;
