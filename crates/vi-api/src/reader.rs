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
    scopes: Vec<Scope>,
    path: Vec<&'a str>,
    strict: bool,
    missing: Vec<String>,
}

impl<'a> Reader<'a> {
    /// A reader at the start of the document `text`.
    pub fn new(text: &'a str) -> Self {
        Self::fragment(text, Vec::new())
    }

    /// A reader inside an element whose content is `text`, with the declarations around it.
    pub(crate) fn fragment(text: &'a str, scopes: Vec<Scope>) -> Self {
        let mut xml = quick_xml::Reader::from_str(text);
        let config = xml.config_mut();
        config.expand_empty_elements = true;
        config.check_end_names = true;
        // The end of a fragment stands for the end tag of the element around it.
        config.allow_unmatched_ends = false;
        // The declarations around a fragment hold throughout it.
        let scopes = scopes.into_iter().map(|s| Scope { depth: 0, ..s }).collect();
        Self { text, xml, depth: 0, scopes, path: Vec::new(), strict: true, missing: Vec::new() }
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
        usize::try_from(self.xml.buffer_position()).unwrap_or(self.text.len()).min(self.text.len())
    }

    /// The declarations in force.
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

    fn close(&mut self) {
        while self.scopes.last().is_some_and(|s| s.depth >= self.depth && s.depth > 0) {
            self.scopes.pop();
        }
        // The element that has just ended stays in the path: errors about it are yet to come.
        self.path.truncate(self.depth);
        self.depth = self.depth.saturating_sub(1);
    }

    fn open(&mut self, start: &BytesStart<'a>) -> Result<Element<'a>, DecodeError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.error(DecodeErrorKind::Refused("nested too deeply")));
        }
        let qname = start.name();
        let (prefix, _) = split_name(qname.as_ref());
        let full = self.reslice(qname.as_ref()).unwrap_or_default();
        let name = split_name(full).1;
        self.path.truncate(self.depth - 1);
        self.path.push(name);
        let mut element = Element {
            name,
            namespace: Namespace::Vim,
            xsi_type: None,
            moref_kind: None,
            nil: false,
        };
        let raw = start.attributes_raw();
        if !raw.trim_ascii().is_empty() {
            self.declarations(start)?;
            self.attributes(start, &mut element)?;
        }
        element.namespace = self.resolve(prefix).unwrap_or(Namespace::Vim);
        Ok(element)
    }

    /// Takes in the `xmlns` attributes of a tag; they hold for the tag itself, too.
    fn declarations(&mut self, start: &BytesStart<'a>) -> Result<(), DecodeError> {
        if !start.attributes_raw().contains("xmlns") {
            return Ok(());
        }
        for attribute in start.attributes().with_checks(false) {
            let attribute =
                attribute.map_err(|e| self.error(DecodeErrorKind::Xml(e.to_string())))?;
            let (prefix, local) = split_name(attribute.key.as_ref());
            let declared = match (prefix, local) {
                ("", "xmlns") => "",
                ("xmlns", declared) => declared,
                _ => continue,
            };
            let namespace = Namespace::of(&attribute.value);
            self.scopes.push(Scope { depth: self.depth, prefix: declared.into(), namespace });
        }
        Ok(())
    }

    fn attributes(
        &self,
        start: &BytesStart<'a>,
        element: &mut Element<'a>,
    ) -> Result<(), DecodeError> {
        for attribute in start.attributes().with_checks(false) {
            let attribute =
                attribute.map_err(|e| self.error(DecodeErrorKind::Xml(e.to_string())))?;
            let (prefix, local) = split_name(attribute.key.as_ref());
            let Some(value) = self.reslice(&attribute.value) else { continue };
            if prefix.is_empty() {
                if local == "type" {
                    element.moref_kind = Some(value);
                }
            } else if self.resolve(prefix) == Some(Namespace::Xsi)
                || (prefix == "xsi" && self.resolve(prefix).is_none())
            {
                match local {
                    "type" => {
                        let (prefix, name) = split_name(value.trim_ascii());
                        let is_xsd = match self.resolve(prefix) {
                            Some(namespace) => namespace == Namespace::Xsd,
                            None => prefix == "xsd",
                        };
                        element.xsi_type = Some(TypeName { is_xsd, name });
                    }
                    "nil" => element.nil = matches!(value, "true" | "1"),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn resolve(&self, prefix: &str) -> Option<Namespace> {
        self.scopes.iter().rev().find(|s| &*s.prefix == prefix).map(|s| s.namespace)
    }

    /// The text of the current element up to its end tag; elements inside are skipped.
    ///
    /// # Errors
    /// If the document is malformed, cut or refused, or uses an entity of its own.
    pub fn text(&mut self) -> Result<Cow<'a, str>, DecodeError> {
        self.text_parts(false).map(|(text, _)| text)
    }

    /// The text of the current element, consumed; or, if it has children, the first of them, in
    /// which case the text before it is dropped.
    pub(crate) fn text_or_child(
        &mut self,
    ) -> Result<Result<Cow<'a, str>, Element<'a>>, DecodeError> {
        self.text_parts(true).map(|(text, child)| child.map_or(Ok(text), Err))
    }

    fn text_parts(
        &mut self,
        stop_at_child: bool,
    ) -> Result<(Cow<'a, str>, Option<Element<'a>>), DecodeError> {
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

    /// Passes over the current element and tells where its content lies in the document.
    pub(crate) fn skip_span(&mut self) -> Result<std::ops::Range<usize>, DecodeError> {
        let start = self.position();
        self.skip()?;
        let after = self.position();
        let content = self.text.get(start..after).unwrap_or_default();
        // The end tag is the last `</` of what was passed; an empty element has none.
        let end = content.rfind("</").unwrap_or(0);
        Ok(start..start + end)
    }
}

fn split_name(name: &str) -> (&str, &str) {
    name.split_once(':').unwrap_or(("", name))
}

/// Makes text out of a body: invalid UTF-8 and control characters that XML forbids become
/// U+FFFD, so that one bad annotation does not cost a page. Valid bodies are not copied.
pub fn repair(body: &[u8]) -> (Cow<'_, str>, usize) {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let text = String::from_utf8_lossy(body);
    let bad = |c: char| {
        (c < ' ' && !matches!(c, '\t' | '\n' | '\r')) || matches!(c, '\u{fffe}' | '\u{ffff}')
    };
    let repaired = match &text {
        Cow::Owned(text) => text.matches('\u{fffd}').count(),
        Cow::Borrowed(_) => 0,
    };
    // Only bytes below 0x20 and the sequence EF BF BE/BF can be bad, so look for them as bytes.
    if !text.bytes().any(|b| b < b' ' && !matches!(b, b'\t' | b'\n' | b'\r'))
        && !text.contains(['\u{fffe}', '\u{ffff}'])
    {
        return (text, repaired);
    }
    let count = text.chars().filter(|&c| bad(c)).count();
    (
        Cow::Owned(text.chars().map(|c| if bad(c) { '\u{fffd}' } else { c }).collect()),
        repaired + count,
    )
}

#[cfg(test)]
mod tests;
