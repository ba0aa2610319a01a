//! A pull reader over a SOAP document: elements by namespace, texts unescaped, bombs refused.
//!
//! It wraps `quick-xml` and adds what the codec needs: resolved `xsi:type`, the path for error
//! messages, a bound on depth, and fragments whose end is the end of their text.

use std::borrow::Cow;

use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::{BytesStart, Event};

use crate::error::{DecodeError, DecodeErrorKind};

/// Elements nested deeper than this are refused; real replies stay below 40.
const MAX_DEPTH: usize = 200;

/// The namespaces that mean something here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Namespace {
    /// `urn:vim25`, or any other namespace of the host's own (`urn:internalvim25`, none at all).
    Vim,
    /// The SOAP 1.1 envelope.
    Soap,
    /// XML Schema instance: `xsi`.
    Xsi,
    /// XML Schema: `xsd`.
    Xsd,
}

impl Namespace {
    fn of(uri: &str) -> Self {
        match uri {
            "http://schemas.xmlsoap.org/soap/envelope/" => Self::Soap,
            "http://www.w3.org/2001/XMLSchema-instance" => Self::Xsi,
            "http://www.w3.org/2001/XMLSchema" => Self::Xsd,
            _ => Self::Vim,
        }
    }
}

/// A declaration of a namespace prefix and the depth at which it was made.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    depth: usize,
    prefix: Box<str>,
    namespace: Namespace,
}

/// The name in an `xsi:type` attribute, resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TypeName<'a> {
    /// Whether it is a type of XML Schema, such as `xsd:string`.
    pub is_xsd: bool,
    /// The name without its prefix.
    pub name: &'a str,
}

/// A start tag.
#[derive(Clone, Copy, Debug)]
pub struct Element<'a> {
    /// The name without its prefix.
    pub name: &'a str,
    /// The namespace of the name.
    pub namespace: Namespace,
    /// The `xsi:type` attribute.
    pub xsi_type: Option<TypeName<'a>>,
    /// The attribute `type` without a namespace: the class of a managed object reference.
    pub moref_kind: Option<&'a str>,
    /// Whether `xsi:nil` is true.
    pub nil: bool,
}

/// The reader. Each element that [`Reader::next_child`] hands out must be consumed, by
/// [`Reader::text`], [`Reader::skip`] or a loop over its own children, before the next is asked for.
pub struct Reader<'a> {
    text: &'a str,
    xml: quick_xml::Reader<&'a [u8]>,
    depth: usize,
    /// The declarations around a fragment.
    outer: &'a [Scope],
    /// The declarations that this reader came across and that are still in force.
    scopes: Vec<Scope>,
    /// What the empty prefix means just now.
    default: Namespace,
    path: Vec<&'a str>,
    /// The text of the current element if it is a plain leaf, see [`Reader::leaf`].
    leaf: Option<&'a str>,
    /// Whether `quick-xml` still owes the end tag of the empty element that it has just handed out.
    at_empty: bool,
    strict: bool,
    missing: Vec<String>,
}

impl<'a> Reader<'a> {
    /// A reader at the start of the document `text`.
    pub fn new(text: &'a str) -> Self {
        Self::fragment(text, &[])
    }

    /// A reader inside an element whose content is `text`, with the declarations around it.
    pub(crate) fn fragment(text: &'a str, outer: &'a [Scope]) -> Self {
        let mut xml = quick_xml::Reader::from_str(text);
        let config = xml.config_mut();
        config.expand_empty_elements = true;
        config.check_end_names = true;
        // The end of a fragment stands for the end tag of the element around it.
        config.allow_unmatched_ends = false;
        let mut reader = Self {
            text,
            xml,
            depth: 0,
            outer,
            scopes: Vec::new(),
            default: Namespace::Vim,
            path: Vec::with_capacity(16),
            leaf: None,
            at_empty: false,
            strict: true,
            missing: Vec::new(),
        };
        reader.default = reader.resolve("").unwrap_or(Namespace::Vim);
        reader
    }

    /// From now on a missing mandatory member is noted, see [`Reader::missing`], and no error.
    pub fn lenient(&mut self) {
        self.strict = false;
    }

    /// The paths of mandatory members that were missing.
    pub fn missing(&self) -> &[String] {
        &self.missing
    }

    /// Makes an error at the current element.
    pub fn error(&self, kind: DecodeErrorKind) -> DecodeError {
        DecodeError { kind, path: self.path.join("/") }
    }

    /// Records that the mandatory member `name` of the current element is absent.
    ///
    /// # Errors
    /// If the reader is strict, as it is at first.
    pub fn note_missing(&mut self, name: &str) -> Result<(), DecodeError> {
        if self.strict {
            return Err(self.error(DecodeErrorKind::Missing(name.to_owned())));
        }
        self.missing.push(format!("{}/{name}", self.path.join("/")));
        Ok(())
    }

    /// Where the reader stands in the text: behind the last tag that it handed out.
    pub(crate) fn position(&self) -> usize {
        self.text.len() - self.xml.get_ref().len().min(self.text.len())
    }

    /// Goes on at `position`, which must not be inside of markup.
    fn jump(&mut self, position: usize) {
        *self.xml.get_mut() = self.text.as_bytes().get(position..).unwrap_or_default();
    }

    /// The declarations in force, those around a fragment left out.
    pub(crate) fn scopes(&self) -> &[Scope] {
        &self.scopes
    }

    /// The same part of the document as `part`, with the document's own lifetime.
    fn reslice(&self, part: &str) -> Option<&'a str> {
        let start = (part.as_ptr() as usize).checked_sub(self.text.as_ptr() as usize)?;
        self.text.get(start..start + part.len())
    }

    fn event(&mut self) -> Result<Event<'a>, DecodeError> {
        self.xml.read_event().map_err(|e| self.error(DecodeErrorKind::Xml(e.to_string())))
    }

    /// The next child of the current element, or `None` at its end. Texts, comments and
    /// instructions between elements are passed over.
    ///
    /// # Errors
    /// If the document is malformed, cut or refused.
    pub fn next_child(&mut self) -> Result<Option<Element<'a>>, DecodeError> {
        if self.leaf.take().is_some() {
            self.close();
            return Ok(None);
        }
        if let Some(leaf) = self.next_leaf()? {
            return Ok(Some(leaf));
        }
        loop {
            match self.event()? {
                Event::Start(start) => return self.open(&start).map(Some),
                Event::End(_) => {
                    self.close();
                    return Ok(None);
                }
                Event::Eof if self.depth == 0 => return Ok(None),
                Event::Eof => return Err(self.error(DecodeErrorKind::Truncated)),
                Event::DocType(_) => {
                    return Err(self.error(DecodeErrorKind::Refused("document type")));
                }
                _ => {}
            }
        }
    }

    /// Hands out the next child if it is `<name>text</name>` without attributes or references, as
    /// three quarters of the elements of a reply are. `quick-xml` passes over it in one step, so
    /// that no tag is looked at twice; whatever looks otherwise is left to it.
    fn next_leaf(&mut self) -> Result<Option<Element<'a>>, DecodeError> {
        if self.at_empty {
            return Ok(None);
        }
        let start = self.position();
        let rest = &self.text.as_bytes()[start..];
        let end_of_name = |b: &u8| matches!(b, b'>' | b'/' | b'<' | b' ' | b'\t' | b'\n' | b'\r');
        let Some((b'<', tag)) = rest.split_first() else { return Ok(None) };
        let Some(name_length) = tag.iter().position(end_of_name) else { return Ok(None) };
        let (name, content) = tag.split_at(name_length);
        if content[0] != b'>' || matches!(name, [] | [b'!' | b'?', ..]) {
            return Ok(None);
        }
        let content = &content[1..];
        let Some(length) = content.iter().position(|b| matches!(b, b'<' | b'&')) else {
            return Ok(None);
        };
        let end = content[length..].strip_prefix(b"</").and_then(|e| e.strip_prefix(name));
        if end.is_none_or(|e| e.first() != Some(&b'>')) {
            return Ok(None);
        }
        let text_start = start + name_length + 2;
        let name = &self.text[start + 1..start + 1 + name_length];
        self.jump(text_start + length + name_length + 3);
        self.leaf = Some(&self.text[text_start..text_start + length]);
        self.enter(name).map(Some)
    }

    /// Goes one level down, into the element `name`; its attributes are yet to come.
    fn enter(&mut self, full_name: &'a str) -> Result<Element<'a>, DecodeError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.error(DecodeErrorKind::Refused("nested too deeply")));
        }
        let (prefix, name) = split_name(full_name);
        self.path.truncate(self.depth - 1);
        self.path.push(name);
        let namespace = match prefix {
            "" => self.default,
            prefix => self.resolve(prefix).unwrap_or(Namespace::Vim),
        };
        Ok(Element { name, namespace, xsi_type: None, moref_kind: None, nil: false })
    }

    fn close(&mut self) {
        self.at_empty = false;
        if self.scopes.last().is_some_and(|s| s.depth >= self.depth) {
            self.scopes.retain(|s| s.depth < self.depth);
            self.default = self.resolve("").unwrap_or(Namespace::Vim);
        }
        // The element that has just ended stays in the path: errors about it are yet to come.
        self.path.truncate(self.depth);
        self.depth = self.depth.saturating_sub(1);
    }

    fn open(&mut self, start: &BytesStart<'a>) -> Result<Element<'a>, DecodeError> {
        let name = start.name();
        let name = self.reslice(name.as_ref()).unwrap_or_default();
        self.at_empty = self.text.as_bytes()[..self.position()].ends_with(b"/>");
        let mut element = self.enter(name)?;
        let raw = start.attributes_raw();
        if !raw.is_empty() && !raw.trim_ascii().is_empty() {
            let raw = self.reslice(raw).unwrap_or_default();
            self.declarations(raw)?;
            self.attributes(raw, &mut element)?;
            // The tag's own declarations hold for its name, too.
            element.namespace = match split_name(name).0 {
                "" => self.default,
                prefix => self.resolve(prefix).unwrap_or(Namespace::Vim),
            };
        }
        Ok(element)
    }

    /// Takes in the `xmlns` attributes of a tag; they hold for the tag itself, too.
    fn declarations(&mut self, raw: &'a str) -> Result<(), DecodeError> {
        for attribute in Attributes(raw) {
            let (key, value) = attribute.ok_or_else(|| self.bad_attributes())?;
            let declared = match split_name(key) {
                ("", "xmlns") => "",
                ("xmlns", declared) => declared,
                _ => continue,
            };
            let namespace = Namespace::of(value);
            self.scopes.push(Scope { depth: self.depth, prefix: declared.into(), namespace });
            if declared.is_empty() {
                self.default = namespace;
            }
        }
        Ok(())
    }

    fn attributes(&self, raw: &'a str, element: &mut Element<'a>) -> Result<(), DecodeError> {
        for attribute in Attributes(raw) {
            let (key, value) = attribute.ok_or_else(|| self.bad_attributes())?;
            let (prefix, local) = split_name(key);
            if prefix.is_empty() {
                if local == "type" {
                    element.moref_kind = Some(value);
                }
            } else if matches!(local, "type" | "nil")
                && match self.resolve(prefix) {
                    Some(namespace) => namespace == Namespace::Xsi,
                    None => prefix == "xsi",
                }
            {
                if local == "nil" {
                    element.nil = matches!(value, "true" | "1");
                    continue;
                }
                let (prefix, name) = split_name(value.trim_ascii());
                let is_xsd = match prefix {
                    "" => self.default == Namespace::Xsd,
                    prefix => match self.resolve(prefix) {
                        Some(namespace) => namespace == Namespace::Xsd,
                        None => prefix == "xsd",
                    },
                };
                element.xsi_type = Some(TypeName { is_xsd, name });
            }
        }
        Ok(())
    }

    fn bad_attributes(&self) -> DecodeError {
        self.error(DecodeErrorKind::Xml("malformed attributes".to_owned()))
    }

    fn resolve(&self, prefix: &str) -> Option<Namespace> {
        let known = self.outer.iter().chain(&self.scopes);
        known.rev().find(|s| &*s.prefix == prefix).map(|s| s.namespace)
    }

    /// The text of the current element up to its end tag; elements inside are skipped.
    ///
    /// # Errors
    /// If the document is malformed, cut or refused, or uses an entity of its own.
    pub fn text(&mut self) -> Result<Cow<'a, str>, DecodeError> {
        if let Some(text) = self.plain_text()? {
            return Ok(Cow::Borrowed(text));
        }
        self.text_parts(false).map(|(text, _)| text)
    }

    /// The text of the current element, consumed; or, if it has children, the first of them, in
    /// which case the text before it is dropped.
    pub(crate) fn text_or_child(
        &mut self,
    ) -> Result<Result<Cow<'a, str>, Element<'a>>, DecodeError> {
        self.text_parts(true).map(|(text, child)| child.map_or(Ok(text), Err))
    }

    /// The text of the current element if nothing but its end tag follows: no event of its own for
    /// what most elements of a reply hold.
    fn plain_text(&mut self) -> Result<Option<&'a str>, DecodeError> {
        if let Some(text) = self.leaf.take() {
            self.close();
            return Ok(Some(text));
        }
        let start = self.position();
        let rest = self.text.as_bytes().get(start..).unwrap_or_default();
        let Some(length) = rest.iter().position(|b| matches!(b, b'<' | b'&')) else {
            // The whole of a fragment; in a document the end tag would be missing.
            if self.depth > 0 {
                return Ok(None);
            }
            self.jump(self.text.len());
            return Ok(self.text.get(start..));
        };
        if !rest[length..].starts_with(b"</") || self.depth == 0 || self.at_empty {
            return Ok(None);
        }
        self.jump(start + length);
        match self.event()? {
            Event::End(_) => self.close(),
            _ => return Err(self.error(DecodeErrorKind::Truncated)),
        }
        Ok(self.text.get(start..start + length))
    }

    fn text_parts(
        &mut self,
        stop_at_child: bool,
    ) -> Result<(Cow<'a, str>, Option<Element<'a>>), DecodeError> {
        if let Some(text) = self.leaf.take() {
            self.close();
            return Ok((Cow::Borrowed(text), None));
        }
        let mut text: Cow<'a, str> = Cow::Borrowed("");
        let mut append = |part: Cow<'a, str>| {
            if text.is_empty() {
                text = part;
            } else {
                text.to_mut().push_str(&part);
            }
        };
        loop {
            match self.event()? {
                Event::Text(part) => append(part.into_inner()),
                Event::CData(part) => append(part.into_inner()),
                Event::GeneralRef(reference) => match reference.resolve_char_ref() {
                    Ok(Some(c)) => append(Cow::Owned(c.to_string())),
                    Ok(None) => match resolve_xml_entity(&reference) {
                        Some(value) => append(Cow::Borrowed(value)),
                        None => {
                            return Err(self
                                .error(DecodeErrorKind::Refused("entity that is not predefined")));
                        }
                    },
                    // A reference to a character that XML does not have: kept visible, not fatal.
                    Err(_) => append(Cow::Borrowed("\u{fffd}")),
                },
                Event::Start(start) => {
                    let child = self.open(&start)?;
                    if stop_at_child {
                        return Ok((text, Some(child)));
                    }
                    self.skip()?;
                }
                Event::End(_) => {
                    self.close();
                    return Ok((text, None));
                }
                Event::Eof if self.depth == 0 => return Ok((text, None)),
                Event::Eof => return Err(self.error(DecodeErrorKind::Truncated)),
                Event::DocType(_) => {
                    return Err(self.error(DecodeErrorKind::Refused("document type")));
                }
                Event::Comment(_) | Event::PI(_) | Event::Decl(_) | Event::Empty(_) => {}
            }
        }
    }

    /// Passes over the rest of the current element.
    ///
    /// # Errors
    /// If the document is malformed, cut or refused.
    pub fn skip(&mut self) -> Result<(), DecodeError> {
        if self.leaf.take().is_some() {
            self.close();
            return Ok(());
        }
        let mut depth = 0usize;
        loop {
            match self.event()? {
                Event::Start(_) => {
                    depth += 1;
                    if self.depth + depth > MAX_DEPTH {
                        return Err(self.error(DecodeErrorKind::Refused("nested too deeply")));
                    }
                }
                Event::End(_) if depth == 0 => {
                    self.close();
                    return Ok(());
                }
                Event::End(_) => depth -= 1,
                Event::Eof if self.depth == 0 && depth == 0 => return Ok(()),
                Event::Eof => return Err(self.error(DecodeErrorKind::Truncated)),
                Event::DocType(_) => {
                    return Err(self.error(DecodeErrorKind::Refused("document type")));
                }
                _ => {}
            }
        }
    }

    /// Passes over the current element and tells where its content lies in the document. Only the
    /// nesting is followed: whether names match and entities exist is seen by who reads the content.
    pub(crate) fn skip_span(&mut self) -> Result<std::ops::Range<usize>, DecodeError> {
        if let Some(text) = self.leaf.take() {
            self.close();
            let start = text.as_ptr() as usize - self.text.as_ptr() as usize;
            return Ok(start..start + text.len());
        }
        let start = self.position();
        if self.at_empty {
            self.skip()?;
            return Ok(start..start);
        }
        let content = self.text.as_bytes().get(start..).unwrap_or_default();
        let length = content_length(content, MAX_DEPTH.saturating_sub(self.depth))
            .map_err(|kind| self.error(kind))?;
        self.jump(start + length);
        match self.event()? {
            Event::End(_) => self.close(),
            _ => return Err(self.error(DecodeErrorKind::Truncated)),
        }
        Ok(start..start + length)
    }
}

/// How many bytes precede the end tag that closes the element whose content `bytes` begins with.
fn content_length(bytes: &[u8], max_depth: usize) -> Result<usize, DecodeErrorKind> {
    let mut depth = 0usize;
    let mut at = 0;
    let after = |from: usize, mark: &[u8]| {
        let found = memchr::memmem::find(&bytes[from..], mark);
        found.map(|n| from + n + mark.len()).ok_or(DecodeErrorKind::Truncated)
    };
    loop {
        let tag = at + memchr::memchr(b'<', &bytes[at..]).ok_or(DecodeErrorKind::Truncated)?;
        match bytes.get(tag + 1) {
            Some(b'/') if depth == 0 => return Ok(tag),
            Some(b'/') => {
                depth -= 1;
                at = tag + 2;
            }
            Some(b'!') if bytes[tag..].starts_with(b"<!--") => at = after(tag + 4, b"-->")?,
            Some(b'!') if bytes[tag..].starts_with(b"<![CDATA[") => at = after(tag + 9, b"]]>")?,
            Some(b'!') => return Err(DecodeErrorKind::Refused("document type")),
            Some(b'?') => at = after(tag + 2, b"?>")?,
            _ => {
                at = tag + 1 + tag_length(&bytes[tag + 1..]).ok_or(DecodeErrorKind::Truncated)?;
                // An empty element ends where it begins.
                if bytes[at - 2] != b'/' {
                    depth += 1;
                    if depth > max_depth {
                        return Err(DecodeErrorKind::Refused("nested too deeply"));
                    }
                }
            }
        }
    }
}

/// The bytes of a start tag up to and with its `>`, which attributes may contain, too.
fn tag_length(bytes: &[u8]) -> Option<usize> {
    let mut quote = None;
    for (at, &byte) in bytes.iter().enumerate() {
        match (quote, byte) {
            (None, b'>') => return Some(at + 1),
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), byte) if open == byte => quote = None,
            _ => {}
        }
    }
    None
}

/// The attributes of a start tag, as key and raw value; `None` for what is no attribute.
struct Attributes<'a>(&'a str);

impl<'a> Iterator for Attributes<'a> {
    type Item = Option<(&'a str, &'a str)>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.0.trim_ascii_start();
        if rest.is_empty() {
            return None;
        }
        // After a mistake there is nothing to go on with.
        self.0 = "";
        let one = || {
            // Loops over bytes: keys and values are short.
            let equals = rest.bytes().position(|b| b == b'=')?;
            let after = rest[equals + 1..].trim_ascii_start();
            let quote = after.bytes().next().filter(|b| matches!(b, b'"' | b'\''))?;
            let end = 1 + after[1..].bytes().position(|b| b == quote)?;
            Some((rest[..equals].trim_ascii_end(), &after[1..end], &after[end + 1..]))
        };
        Some(one().map(|(key, value, rest)| {
            self.0 = rest;
            (key, value)
        }))
    }
}

fn split_name(name: &str) -> (&str, &str) {
    // Names are short: a loop over the bytes beats a search that is made for long texts.
    match name.bytes().position(|b| b == b':') {
        Some(at) => (&name[..at], &name[at + 1..]),
        None => ("", name),
    }
}

/// Makes text out of a body: invalid UTF-8 and control characters that XML forbids become
/// U+FFFD, so that one bad annotation does not cost a page. Valid bodies are not copied.
pub fn repair(body: &[u8]) -> (Cow<'_, str>, usize) {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let (text, repaired) = match std::str::from_utf8(body) {
        Ok(text) if !has_bad_characters(text) => return (Cow::Borrowed(text), 0),
        Ok(text) => (Cow::Borrowed(text), 0),
        Err(_) => {
            let text = String::from_utf8_lossy(body);
            // Those that the host itself sent do not count.
            let sent = memchr::memmem::find_iter(body, "\u{fffd}").count();
            let repaired = text.matches('\u{fffd}').count().saturating_sub(sent);
            (text, repaired)
        }
    };
    let bad = |c: char| {
        (c < ' ' && !matches!(c, '\t' | '\n' | '\r')) || matches!(c, '\u{fffe}' | '\u{ffff}')
    };
    let count = text.chars().filter(|&c| bad(c)).count();
    if count == 0 {
        return (text, repaired);
    }
    let text = text.chars().map(|c| if bad(c) { '\u{fffd}' } else { c }).collect();
    (Cow::Owned(text), repaired + count)
}

/// Whether the text has characters that XML 1.0 forbids. Only bytes below 0x20 and the sequences
/// EF BF BE and EF BF BF can be such; whole blocks are looked at, so that this costs little.
fn has_bad_characters(text: &str) -> bool {
    let control = text.as_bytes().chunks(256).any(|block| {
        let mut found = false;
        for &b in block {
            found |= (b < b' ') & (b != b'\t') & (b != b'\n') & (b != b'\r');
        }
        found
    });
    control
        || memchr::memchr(0xef, text.as_bytes()).is_some()
            && text.contains(['\u{fffe}', '\u{ffff}'])
}

#[cfg(test)]
mod tests;
