//! The layout libvirt writes: two spaces per depth, attributes in single quotes, one element a line.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use uuid::Uuid;

use crate::element::{Element, Node};
use crate::escape::push_escaped;
use crate::number::{CpuSet, MacAddress};

/// What can stand in an attribute or an element.
///
/// Not `Display`, whose machinery costs more than the rest of the writing.
pub(crate) trait Value {
    /// Appends the text, escaped.
    fn push_to(&self, out: &mut String);
}

impl Value for str {
    fn push_to(&self, out: &mut String) {
        push_escaped(out, self);
    }
}

impl Value for String {
    fn push_to(&self, out: &mut String) {
        push_escaped(out, self);
    }
}

impl Value for Cow<'_, str> {
    fn push_to(&self, out: &mut String) {
        push_escaped(out, self);
    }
}

impl<T: Value + ?Sized> Value for &T {
    fn push_to(&self, out: &mut String) {
        (**self).push_to(out);
    }
}

impl Value for u64 {
    fn push_to(&self, out: &mut String) {
        let digit = |n: Self| char::from(b'0' + (n % 10) as u8);
        if *self < 100 {
            if *self > 9 {
                out.push(digit(*self / 10));
            }
            out.push(digit(*self));
            return;
        }
        // 2^64 has twenty digits.
        let mut digits = [0; 20];
        let mut first = digits.len();
        let mut rest = *self;
        while rest > 0 {
            first -= 1;
            digits[first] = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        // Digits are UTF-8.
        out.push_str(std::str::from_utf8(&digits[first..]).unwrap_or_default());
    }
}

impl Value for u32 {
    fn push_to(&self, out: &mut String) {
        u64::from(*self).push_to(out);
    }
}

/// Types whose text needs no escapes and is rare enough.
macro_rules! by_display {
    ($($type:ty),*) => {$(
        impl Value for $type {
            fn push_to(&self, out: &mut String) {
                // Writing to a string does not fail.
                let _ = write!(out, "{self}");
            }
        }
    )*};
}

by_display!(i32, i64, Uuid, MacAddress, CpuSet, fmt::Arguments<'_>);

/// Deepest indentation that is written in one piece.
const SPACES: &str = "                                ";

/// Text under construction.
pub(crate) struct Writer {
    out: String,
    depth: usize,
    /// Namespace declarations in scope, innermost last: prefix and name.
    scope: Vec<(String, String)>,
}

/// An open tag under construction; one of its finishing methods must be called.
pub(crate) struct Tag<'w> {
    writer: &'w mut Writer,
    name: &'w str,
}

impl Writer {
    pub(crate) fn new() -> Self {
        Self::with_capacity(2048)
    }

    /// For a text of about so many bytes.
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self { out: String::with_capacity(bytes), depth: 0, scope: Vec::new() }
    }

    pub(crate) fn finish(self) -> String {
        self.out
    }

    pub(crate) fn blank_line(&mut self) {
        self.out.push('\n');
    }

    fn indent(&mut self) {
        let mut spaces = self.depth * 2;
        while spaces > SPACES.len() {
            self.out.push_str(SPACES);
            spaces -= SPACES.len();
        }
        self.out.push_str(&SPACES[..spaces]);
    }

    /// Opens a tag; attributes follow.
    ///
    /// This and what writes attributes is to be inlined: names of known length cost next to nothing.
    #[inline(always)]
    pub(crate) fn tag<'w>(&'w mut self, name: &'w str) -> Tag<'w> {
        self.indent();
        self.out.push('<');
        self.out.push_str(name);
        Tag { writer: self, name }
    }

    #[inline(always)]
    pub(crate) fn close(&mut self, name: &str) {
        self.depth -= 1;
        self.indent();
        self.out.push_str("</");
        self.out.push_str(name);
        self.out.push_str(">\n");
    }

    /// `<name>value</name>`.
    pub(crate) fn text(&mut self, name: &str, value: impl Value) {
        self.tag(name).text(value);
    }

    /// `<name>value</name>` if there is a value.
    pub(crate) fn text_opt(&mut self, name: &str, value: Option<impl Value>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    /// Notes that a prefix is declared from here on.
    pub(crate) fn declare(&mut self, prefix: &str, namespace: &str) {
        self.scope.push((prefix.to_owned(), namespace.to_owned()));
    }

    pub(crate) fn elements(&mut self, elements: &[Element]) {
        for element in elements {
            self.element(element);
        }
    }

    /// An element that was kept as it was read.
    pub(crate) fn element(&mut self, element: &Element) {
        self.indent();
        self.inline_element(element, true);
        self.out.push('\n');
    }

    fn inline_element(&mut self, element: &Element, pretty: bool) {
        let scope = self.scope.len();
        let prefix = element.prefix.as_deref().unwrap_or_default();
        let namespace = element.namespace.as_deref().unwrap_or_default();
        let name = match &element.prefix {
            Some(prefix) => [prefix, ":", &element.name].concat(),
            None => element.name.clone(),
        };
        self.out.push('<');
        self.out.push_str(&name);
        let declared = self.scope.iter().rev().find(|(p, _)| p == prefix);
        if declared.map_or("", |(_, n)| n) != namespace {
            let attribute = if prefix.is_empty() { "xmlns" } else { "xmlns:" };
            self.attribute(&[attribute, prefix].concat(), namespace);
            self.declare(prefix, namespace);
        }
        for (name, value) in &element.attributes {
            self.attribute(name, value);
        }
        let children = &element.children;
        let mixed = children.iter().any(|c| matches!(c, Node::Text(t) if !t.trim().is_empty()));
        if children.is_empty() {
            self.out.push_str("/>");
        } else if mixed || !pretty {
            self.out.push('>');
            for child in children {
                match child {
                    Node::Text(text) => push_escaped(&mut self.out, text),
                    Node::Element(element) => self.inline_element(element, false),
                }
            }
            self.end_tag(&name);
        } else {
            self.out.push_str(">\n");
            self.depth += 1;
            for child in children {
                if let Node::Element(element) = child {
                    self.element(element);
                }
            }
            self.depth -= 1;
            self.indent();
            self.end_tag(&name);
        }
        self.scope.truncate(scope);
    }

    #[inline(always)]
    fn end_tag(&mut self, name: &str) {
        self.out.push_str("</");
        self.out.push_str(name);
        self.out.push('>');
    }

    #[inline(always)]
    fn attribute(&mut self, name: &str, value: impl Value) {
        self.out.push(' ');
        self.out.push_str(name);
        self.out.push_str("='");
        value.push_to(&mut self.out);
        self.out.push('\'');
    }
}

impl Tag<'_> {
    #[inline(always)]
    pub(crate) fn attr(self, name: &str, value: impl Value) -> Self {
        self.writer.attribute(name, value);
        self
    }

    #[inline(always)]
    pub(crate) fn attr_opt(self, name: &str, value: Option<impl Value>) -> Self {
        match value {
            Some(value) => self.attr(name, value),
            None => self,
        }
    }

    /// `<name …/>`.
    pub(crate) fn empty(self) {
        self.writer.out.push_str("/>\n");
    }

    /// `<name …>`; children follow, then [`Writer::close`].
    pub(crate) fn open(self) {
        self.writer.out.push_str(">\n");
        self.writer.depth += 1;
    }

    /// `<name …>value</name>`.
    pub(crate) fn text(self, value: impl Value) {
        self.writer.out.push('>');
        value.push_to(&mut self.writer.out);
        self.writer.end_tag(self.name);
        self.writer.out.push('\n');
    }
}
