//! XML as it stands: what the typed documents do not model, and what they are read from.

use std::borrow::Cow;
use std::rc::Rc;

use crate::error::{Error, ErrorKind};

/// Elements nested deeper than this are refused; libvirt's own documents stay below ten.
const MAX_DEPTH: usize = 200;

/// An element that is kept as it was read, comments and processing instructions aside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Element {
    /// Namespace prefix, if the name has one.
    pub prefix: Option<String>,
    /// Namespace name, if the element is in one.
    pub namespace: Option<String>,
    /// Name without prefix.
    pub name: String,
    /// Attributes in order; a name may have a prefix.
    pub attributes: Vec<(String, String)>,
    /// Content in order.
    pub children: Vec<Node>,
}

/// A piece of an element's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// A child element.
    Element(Element),
    /// Text, unescaped.
    Text(String),
}

impl Element {
    /// An element without namespace, attributes and content.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// The element with one more attribute.
    #[must_use]
    pub fn with_attribute(mut self, name: &str, value: &str) -> Self {
        self.attributes.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The element with one more child.
    #[must_use]
    pub fn with_child(mut self, child: Self) -> Self {
        self.children.push(Node::Element(child));
        self
    }

    /// Reads a document.
    ///
    /// # Errors
    /// The text is not well-formed, has a document type declaration, or is nested too deeply.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let not_well_formed =
            |reason: String| Error { kind: ErrorKind::NotWellFormed, path: "/".to_owned(), reason };
        if nesting(text) > MAX_DEPTH {
            return Err(not_well_formed("elements are nested too deeply".to_owned()));
        }
        let document =
            roxmltree::Document::parse(text).map_err(|e| not_well_formed(e.to_string()))?;
        Ok(Self::from_node(document.root_element()))
    }

    /// Reads an element that was cut out of a document: a prefix that is not declared in it is taken to be declared around it,
    /// if it is the given one. libvirt's parser lets such prefixes pass.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub(crate) fn parse_cut_out(text: &str, prefix: &str, namespace: &str) -> Result<Self, Error> {
        let error = match Self::parse(text) {
            Ok(element) => return Ok(element),
            Err(error) => error,
        };
        let inside = match text.strip_prefix("<?xml ") {
            Some(rest) => rest.split_once("?>").map_or("", |(_, rest)| rest),
            None => text,
        };
        let around = format!("<around xmlns:{prefix}='{namespace}'>{inside}</around>");
        let Ok(around) = Self::parse(&around) else { return Err(error) };
        let mut elements = Vec::new();
        for child in around.children {
            match child {
                Node::Element(element) => elements.push(element),
                Node::Text(text) if text.trim().is_empty() => {}
                Node::Text(_) => return Err(error),
            }
        }
        match (elements.pop(), elements.is_empty()) {
            (Some(only), true) => Ok(only),
            _ => Err(error),
        }
    }

    /// The element as a document, as libvirt writes such: two blanks for each level, a line feed at the end.
    pub fn to_xml(&self) -> String {
        let mut writer = crate::writer::Writer::new();
        writer.element(self);
        writer.finish()
    }

    /// The value of an attribute.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// The child elements of that name that are in no namespace.
    pub fn children_named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter_map(move |child| match child {
            Node::Element(e) if e.is(name) => Some(e),
            _ => None,
        })
    }

    /// The text of the element and everything in it.
    pub fn text(&self) -> String {
        let mut out = String::new();
        self.collect_text(&mut out);
        out
    }

    pub(crate) fn is(&self, name: &str) -> bool {
        self.name == name && self.namespace.is_none()
    }

    fn collect_text(&self, out: &mut String) {
        for child in &self.children {
            match child {
                Node::Text(text) => out.push_str(text),
                Node::Element(element) => element.collect_text(out),
            }
        }
    }

    fn from_node(node: roxmltree::Node<'_, '_>) -> Self {
        let qualified = |name: &str, prefix: Option<&str>| match prefix {
            Some(prefix) if !prefix.is_empty() => format!("{prefix}:{name}"),
            _ => name.to_owned(),
        };
        let namespace = node.tag_name().namespace();
        let attributes = node.attributes().map(|a| {
            let prefix = a.namespace().and_then(|uri| node.lookup_prefix(uri));
            (qualified(a.name(), prefix), a.value().to_owned())
        });
        let children = node.children().filter_map(|child| {
            if child.is_element() {
                Some(Node::Element(Self::from_node(child)))
            } else if child.is_text() {
                child.text().map(|text| Node::Text(text.to_owned()))
            } else {
                None
            }
        });
        Self {
            prefix: namespace
                .and_then(|uri| node.lookup_prefix(uri))
                .filter(|p| !p.is_empty())
                .map(str::to_owned),
            namespace: namespace.map(str::to_owned),
            name: node.tag_name().name().to_owned(),
            attributes: attributes.collect(),
            children: children.collect(),
        }
    }
}

/// An upper bound of how deeply elements are nested, found without recursion.
fn nesting(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(open) = bytes[at..].iter().position(|&b| b == b'<').map(|i| at + i) {
        at = open + 1;
        match bytes.get(at) {
            Some(b'/') => depth = depth.saturating_sub(1),
            Some(b'!') => {
                let rest = &text.as_bytes()[at..];
                let end: &[u8] = match () {
                    () if rest.starts_with(b"!--") => b"-->",
                    () if rest.starts_with(b"![CDATA[") => b"]]>",
                    () => b">",
                };
                at += rest.windows(end.len()).position(|w| w == end).unwrap_or(rest.len());
            }
            Some(b'?') | None => {}
            Some(_) => {
                // The end of the tag, past quoted attribute values.
                let mut quote = None;
                while let Some(&byte) = bytes.get(at) {
                    match (quote, byte) {
                        (None, b'"' | b'\'') => quote = Some(byte),
                        (Some(open), byte) if open == byte => quote = None,
                        (None, b'>') => break,
                        _ => {}
                    }
                    at += 1;
                }
                if at > 0 && bytes.get(at - 1) != Some(&b'/') {
                    depth += 1;
                    deepest = deepest.max(depth);
                }
            }
        }
    }
    deepest
}

/// An element being read: what has been taken out of it is known, the rest is kept.
pub(crate) struct Reader {
    element: Element,
    place: Rc<Place>,
    strict: bool,
}

/// Where an element stands. It becomes a path only if an error has to tell it.
struct Place {
    parent: Option<Rc<Self>>,
    name: Cow<'static, str>,
    /// How many of that name stand before it.
    number: usize,
}

impl Place {
    fn path(&self) -> String {
        let parent = self.parent.as_ref().map(|parent| parent.path()).unwrap_or_default();
        match self.number {
            0 => format!("{parent}/{}", self.name),
            n => format!("{parent}/{}[{}]", self.name, n + 1),
        }
    }
}

impl Reader {
    /// `strict`: words that libvirt does not know are errors.
    pub(crate) fn root(element: Element, strict: bool) -> Self {
        let place = Place { parent: None, name: element.name.clone().into(), number: 0 };
        Self { element, place: place.into(), strict }
    }

    pub(crate) fn is_strict(&self) -> bool {
        self.strict
    }

    /// An attribute that libvirt compares with a list of words.
    pub(crate) fn word(&self, name: &str, known: &[&str]) -> Result<Option<String>, Error> {
        match self.attr(name) {
            Some(word) if self.strict && !known.contains(&word) => {
                Err(self.attr_error(name, format!("'{word}' is not known")))
            }
            word => Ok(word.map(str::to_owned)),
        }
    }

    /// The element's text, which libvirt compares with a list of words.
    pub(crate) fn text_word(self, known: &[&str]) -> Result<Option<String>, Error> {
        let text = self.text();
        if self.strict && !text.is_empty() && !known.contains(&text.as_str()) {
            return Err(self.error(ErrorKind::Unsupported, format!("'{text}' is not known")));
        }
        Ok(Some(text).filter(|t| !t.is_empty()))
    }

    pub(crate) fn is(&self, name: &str) -> bool {
        self.element.is(name)
    }

    /// The value of an attribute; an empty one counts as absent.
    pub(crate) fn attr(&self, name: &str) -> Option<&str> {
        self.element.attribute(name).filter(|v| !v.is_empty())
    }

    /// The value of an attribute, empty or not.
    pub(crate) fn attr_or_empty(&self, name: &str) -> Option<&str> {
        self.element.attribute(name)
    }

    pub(crate) fn attr_string(&self, name: &str) -> Option<String> {
        self.attr(name).map(str::to_owned)
    }

    pub(crate) fn text(&self) -> String {
        self.element.text()
    }

    /// The first child of that name, left where it is.
    pub(crate) fn peek<'a>(&'a self, name: &'a str) -> Option<&'a Element> {
        self.element.children_named(name).next()
    }

    /// Takes out the first child of that name; later ones are dropped, as libvirt ignores them.
    pub(crate) fn take(&mut self, name: &'static str) -> Option<Self> {
        let mut taken = None;
        for child in &mut self.element.children {
            if matches!(child, Node::Element(element) if element.is(name)) {
                let child = std::mem::replace(child, Node::Text(String::new()));
                taken = taken.or(Some(child));
            }
        }
        taken.and_then(|node| self.child(node, name, 0))
    }

    /// Takes out the text of the first child of that name; an empty one counts as absent.
    pub(crate) fn take_text(&mut self, name: &'static str) -> Option<String> {
        self.take(name).map(|r| r.text()).filter(|t| !t.is_empty())
    }

    /// Takes out every child of that name.
    pub(crate) fn take_all(&mut self, name: &'static str) -> Vec<Self> {
        let mut taken = Vec::new();
        for child in &mut self.element.children {
            if matches!(child, Node::Element(element) if element.is(name)) {
                taken.push(std::mem::replace(child, Node::Text(String::new())));
            }
        }
        let nodes = taken.into_iter().enumerate();
        nodes.filter_map(|(number, node)| self.child(node, name, number)).collect()
    }

    fn child(&self, node: Node, name: &'static str, number: usize) -> Option<Self> {
        let Node::Element(element) = node else { return None };
        let place = Place { parent: Some(Rc::clone(&self.place)), name: name.into(), number };
        Some(Self { element, place: place.into(), strict: self.strict })
    }

    /// The children nobody took.
    pub(crate) fn rest(self) -> Vec<Element> {
        let elements = self.element.children.into_iter().filter_map(|child| match child {
            Node::Element(element) => Some(element),
            Node::Text(_) => None,
        });
        elements.collect()
    }

    pub(crate) fn whole(self) -> Element {
        self.element
    }

    pub(crate) fn error(&self, kind: ErrorKind, reason: impl Into<String>) -> Error {
        Error { kind, path: self.place.path(), reason: reason.into() }
    }

    pub(crate) fn attr_error(&self, name: &str, reason: impl Into<String>) -> Error {
        Error {
            kind: ErrorKind::Attribute,
            path: format!("{}/@{name}", self.place.path()),
            reason: reason.into(),
        }
    }

    /// An attribute that must be a number.
    pub(crate) fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, Error> {
        match self.attr(name) {
            None => Ok(None),
            Some(text) => match text.trim_start_matches([' ', '\t', '\n', '\r']).parse() {
                Ok(number) => Ok(Some(number)),
                Err(_) => Err(self.attr_error(name, format!("'{text}' is not a valid number"))),
            },
        }
    }

    /// An attribute that must be `yes` or `no`.
    pub(crate) fn yes_no(&self, name: &str) -> Result<Option<bool>, Error> {
        match self.attr(name) {
            None => Ok(None),
            Some("yes") => Ok(Some(true)),
            Some("no") => Ok(Some(false)),
            Some(text) => Err(self.attr_error(name, format!("'{text}' is neither yes nor no"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_cut_out_of_a_document() {
        let read = |text: &str| Element::parse_cut_out(text, "v", "urn:v");
        for text in ["<a><v:b c='1'/></a>", "<?xml version='1.0'?>\n<a><v:b c='1'/></a> <!-- -->\n"]
        {
            let element = read(text).unwrap();
            let Some(Node::Element(b)) = element.children.first() else { panic!("{element:?}") };
            assert_eq!((&*b.name, b.namespace.as_deref()), ("b", Some("urn:v")));
            assert_eq!((b.prefix.as_deref(), b.attribute("c")), (Some("v"), Some("1")));
        }
        // What the text declares itself counts.
        let own = read("<a xmlns:v='urn:own'><v:b/></a>").unwrap();
        let Some(Node::Element(b)) = own.children.first() else { panic!("{own:?}") };
        assert_eq!(b.namespace.as_deref(), Some("urn:own"));
        for text in [
            "",
            "<a><w:b/></a>",
            "<a><v:b/></a><a/>",
            "text<a><v:b/></a>",
            "<a><v:b/></a></around><around>",
            "<a><v:b/>",
            "<!DOCTYPE a><a><v:b/></a>",
            "<?xml version='1.0'",
        ] {
            let (cut, whole) = (read(text).unwrap_err(), Element::parse(text).unwrap_err());
            assert_eq!(cut.to_string(), whole.to_string(), "{text}");
        }
    }
}
