//! Pages of the property collector, kept as the bytes that came: a property is decoded when it is
//! asked for, so a value that nobody reads costs nothing and cannot fail anything.

use std::ops::Range;
use std::sync::Arc;

use crate::codec::Decode;
use crate::error::{DecodeError, DecodeErrorKind};
use crate::reader::{Element, Reader, Scope, TypeName};
use crate::{MoRef, Object, dynamic};

/// One page of `RetrievePropertiesEx`, `ContinueRetrievePropertiesEx` or `RetrieveProperties`.
#[derive(Debug, Default)]
pub struct Page {
    /// The objects on it.
    pub objects: Vec<ObjectRow>,
    /// The token that fetches the next page; `None` on the last.
    pub token: Option<String>,
}

/// An object with the properties that the host could read.
#[derive(Debug)]
pub struct ObjectRow {
    /// The managed object.
    pub moref: MoRef,
    text: Arc<str>,
    scopes: Arc<[Scope]>,
    properties: Vec<Property>,
    missing: Vec<Property>,
    problem: Option<String>,
}

/// Where a property stands in the page. Pages are bounded well below 4 GiB.
#[derive(Debug)]
struct Property {
    name: Span,
    value: Span,
    xsi_type: Option<Span>,
    is_xsd: bool,
    moref_kind: Option<Span>,
    /// The declarations around the value, if they are not those of the page.
    scopes: Option<Arc<[Scope]>>,
}

#[derive(Clone, Copy, Debug)]
struct Span(u32, u32);

impl Span {
    fn new(range: Range<usize>) -> Self {
        // A page over 4 GiB never gets here: the client bounds a body long before.
        let clamp = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Self(clamp(range.start), clamp(range.end))
    }

    /// The place of `part`, which must be a slice of `text`.
    fn of(part: &str, text: &str) -> Option<Self> {
        let start = (part.as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
        (start + part.len() <= text.len()).then(|| Self::new(start..start + part.len()))
    }

    fn get(self, text: &str) -> &str {
        text.get(self.0 as usize..self.1 as usize).unwrap_or_default()
    }
}

impl ObjectRow {
    /// An object of which nothing could be read, and why.
    pub fn unreadable(moref: MoRef, problem: String) -> Self {
        let (text, scopes) = ("".into(), Vec::new().into());
        Self { moref, problem: Some(problem), ..Self::empty(&text, &scopes) }
    }

    /// Why nothing of the object could be read, if that is so.
    pub fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// The names of the properties that came, in the host's order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.properties.iter().map(|p| p.name.get(&self.text))
    }

    /// Whether the property `path` came.
    pub fn has(&self, path: &str) -> bool {
        self.property(path).is_some()
    }

    fn property(&self, path: &str) -> Option<&Property> {
        self.properties.iter().find(|p| p.name.get(&self.text) == path)
    }

    /// The property `path`, or `None` if the host did not send it. An array property is a `Vec`.
    ///
    /// # Errors
    /// If the value is not of the type `T`; the error names object and property.
    pub fn get<T: Decode>(&self, path: &str) -> Result<Option<T>, DecodeError> {
        self.property(path).map(|p| self.decode(p, false)).transpose()
    }

    /// As [`ObjectRow::get`], but members of the value that the schema calls mandatory may be
    /// missing: they keep their default.
    ///
    /// # Errors
    /// If the value is not of the type `T`.
    pub fn get_lenient<T: Decode>(&self, path: &str) -> Result<Option<T>, DecodeError> {
        self.property(path).map(|p| self.decode(p, true)).transpose()
    }

    /// The property `path`, which the caller cannot do without.
    ///
    /// # Errors
    /// If the host did not send it, or it is not of the type `T`.
    pub fn require<T: Decode>(&self, path: &str) -> Result<T, DecodeError> {
        self.get(path)?.ok_or_else(|| DecodeError {
            kind: DecodeErrorKind::Missing(path.to_owned()),
            path: self.moref.to_string(),
        })
    }

    fn decode<T: Decode>(&self, property: &Property, lenient: bool) -> Result<T, DecodeError> {
        let scopes = property.scopes.as_ref().unwrap_or(&self.scopes);
        let mut reader = Reader::fragment(property.value.get(&self.text), scopes);
        if lenient {
            reader.lenient();
        }
        let name = property.name.get(&self.text);
        let element = Element {
            name,
            namespace: crate::reader::Namespace::Vim,
            xsi_type: property
                .xsi_type
                .map(|s| TypeName { is_xsd: property.is_xsd, name: s.get(&self.text) }),
            moref_kind: property.moref_kind.map(|s| s.get(&self.text)),
            nil: false,
        };
        T::decode(&element, &mut reader).map_err(|e| DecodeError {
            path: format!("{} {name} {}", self.moref, e.path).trim_end().to_owned(),
            kind: e.kind,
        })
    }

    /// Why the property `path` could not be read, as a `LocalizedMethodFault`, if the host says so.
    pub fn missing(&self, path: &str) -> Option<Object> {
        let found = self.missing.iter().find(|p| p.name.get(&self.text) == path)?;
        let mut fault = self.decode::<Object>(found, true).ok()?;
        if found.xsi_type.is_none() {
            // What `MissingProperty.fault` is declared as; the value itself need not say so.
            fault.type_name = "LocalizedMethodFault".into();
        }
        Some(fault)
    }

    /// The paths that the host could not read, in its order.
    pub fn missing_paths(&self) -> impl Iterator<Item = &str> {
        self.missing.iter().map(|p| p.name.get(&self.text))
    }
}

impl ObjectRow {
    /// A row made of values, for who keeps them and answers in the host's place. It reads as a row with these properties that
    /// came from a host; `missing` are paths that could not be read, each with the name of the fault that says why.
    pub fn from_values<'v>(
        moref: &MoRef,
        values: impl IntoIterator<Item = (&'v str, &'v crate::Value)>,
        missing: impl IntoIterator<Item = (&'v str, &'v str)>,
    ) -> Self {
        let mut writer = crate::Writer::new(crate::ApiVersion::MAX);
        let mut places = Vec::new();
        for (path, value) in values {
            let name = writer.position()..writer.position() + path.len();
            writer.raw(path);
            let start = writer.position();
            dynamic::encode_value(VALUE, value, crate::schema::WireType::AnyType, &mut writer);
            places.push((name, start..writer.position()));
        }
        let known = places.len();
        for (path, fault) in missing {
            let name = writer.position()..writer.position() + path.len();
            writer.raw(path);
            let start = writer.position();
            writer.open(VALUE);
            writer.open_typed("fault", fault);
            writer.close("fault");
            writer.close(VALUE);
            places.push((name, start..writer.position()));
        }
        let text: Arc<str> = writer.finish().0.into();
        let mut properties: Vec<_> =
            places.into_iter().map(|(name, element)| written(&text, name, element)).collect();
        let missing = properties.split_off(known);
        Self {
            moref: moref.clone(),
            text,
            scopes: Arc::new([]),
            properties,
            missing,
            problem: None,
        }
    }
}

/// The element that [`ObjectRow::from_values`] writes values in.
const VALUE: &str = "val";

/// A property whose value was written as the element at `element`; its head has no attribute with `>` in it.
fn written(text: &str, name: Range<usize>, element: Range<usize>) -> Property {
    let whole = text.get(element.clone()).unwrap_or_default();
    let head = whole.find('>').map_or(whole.len(), |at| at + 1);
    let attribute = |key: &str| {
        let start = whole[..head].find(key)? + key.len();
        let end = start + whole[start..head].find('"')?;
        Some((start, end))
    };
    let at = |(start, end): (usize, usize)| Span::new(element.start + start..element.start + end);
    let mut xsi_type = attribute(" xsi:type=\"");
    let mut is_xsd = false;
    if let Some((start, end)) = &mut xsi_type
        && whole[*start..*end].starts_with("xsd:")
    {
        *start += "xsd:".len();
        is_xsd = true;
    }
    let end = whole.len().saturating_sub("</>".len() + VALUE.len()).max(head);
    Property {
        name: Span::new(name),
        value: at((head, end)),
        xsi_type: xsi_type.map(at),
        is_xsd,
        moref_kind: attribute(" type=\"").map(at),
        scopes: None,
    }
}

/// Reads the `returnval` elements of a property collector's response. `text` must be the whole
/// document that `reader` reads.
///
/// # Errors
/// If the document is malformed; never because of what a property holds.
pub fn read_page(text: &Arc<str>, reader: &mut Reader<'_>) -> Result<Page, DecodeError> {
    let mut page = Page::default();
    let scopes: Arc<[Scope]> = reader.scopes().to_vec().into();
    while let Some(child) = reader.next_child()? {
        if child.name != "returnval" || child.nil {
            reader.skip()?;
            continue;
        }
        // RetrieveProperties returns ObjectContent itself, the others wrap it in RetrieveResult.
        let mut row = ObjectRow::empty(text, &scopes);
        while let Some(member) = reader.next_child()? {
            match member.name {
                "token" => page.token = Some(reader.text()?.into_owned()).filter(|t| !t.is_empty()),
                "objects" => {
                    let mut row = ObjectRow::empty(text, &scopes);
                    while let Some(member) = reader.next_child()? {
                        row.member(&member, reader)?;
                    }
                    page.objects.push(row);
                }
                _ => row.member(&member, reader)?,
            }
        }
        if !row.moref.kind.is_empty() {
            page.objects.push(row);
        }
    }
    Ok(page)
}

impl ObjectRow {
    fn empty(text: &Arc<str>, scopes: &Arc<[Scope]>) -> Self {
        Self {
            moref: MoRef::default(),
            text: Arc::clone(text),
            scopes: Arc::clone(scopes),
            properties: Vec::new(),
            missing: Vec::new(),
            problem: None,
        }
    }

    fn member(&mut self, member: &Element<'_>, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        match member.name {
            "obj" => self.moref = MoRef::decode(member, reader)?,
            "propSet" => {
                if let Some(property) = self.property_of("name", "val", reader)? {
                    self.properties.push(property);
                }
            }
            "missingSet" => {
                if let Some(property) = self.property_of("path", "fault", reader)? {
                    self.missing.push(property);
                }
            }
            _ => reader.skip()?,
        }
        Ok(())
    }

    fn property_of(
        &self,
        key: &str,
        val: &str,
        reader: &mut Reader<'_>,
    ) -> Result<Option<Property>, DecodeError> {
        let (mut name, mut value) = (None, None);
        while let Some(child) = reader.next_child()? {
            if child.name == key {
                let text = reader.text()?;
                name = Span::of(text.trim_ascii(), &self.text);
            } else if child.name == val {
                // Prefixes declared on the value itself: rare, but vcsim does it.
                let own =
                    (reader.scopes().len() > self.scopes.len()).then(|| reader.scopes().to_vec());
                let at = |s: &str| Span::of(s, &self.text);
                let xsi_type = child.xsi_type.and_then(|t| at(t.name));
                let is_xsd = child.xsi_type.is_some_and(|t| t.is_xsd);
                let moref_kind = child.moref_kind.and_then(at);
                let span = Span::new(reader.skip_span()?);
                // A plain text has no elements whose prefixes would need them.
                let scopes = own.filter(|_| span.get(&self.text).contains('<')).map(Into::into);
                value = Some((span, xsi_type, is_xsd, moref_kind, scopes));
            } else {
                reader.skip()?;
            }
        }
        Ok(name.zip(value).map(|(name, (value, xsi_type, is_xsd, moref_kind, scopes))| Property {
            name,
            value,
            xsi_type,
            is_xsd,
            moref_kind,
            scopes,
        }))
    }
}

/// Of `paths` of the class `class`, those that a host of `version` knows, and for the others what to
/// tell the caller: `class.path (since version)`. Paths that the tables do not know are kept: they
/// may be a subtype's, and the host says what is wrong with them.
pub fn known_paths<'p>(
    class: &str,
    paths: impl IntoIterator<Item = &'p str>,
    version: crate::ApiVersion,
) -> (Vec<&'p str>, Vec<String>) {
    let (mut known, mut withheld) = (Vec::new(), Vec::new());
    for path in paths {
        match crate::schema::property_path_since(class, path) {
            Some(since) if since > version => {
                withheld.push(format!("{class}.{path} (since {since})"));
            }
            _ => known.push(path),
        }
    }
    (known, withheld)
}

/// Decodes the reply to one of the collector's three methods.
///
/// # Errors
/// If `body` is no reply to `method`.
pub fn decode_page(method: &str, body: &[u8]) -> Result<crate::soap::Reply<Page>, DecodeError> {
    let (text, _) = crate::reader::repair(body);
    let text: Arc<str> = text.into();
    crate::soap::decode_reply(method, &text, |reader| read_page(&text, reader))
}

impl Decode for crate::Array {
    fn decode(element: &Element<'_>, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let item =
            element.xsi_type.and_then(|t| t.name.strip_prefix("ArrayOf")).unwrap_or("DynamicData");
        dynamic::decode_array(item, reader)
    }
}

#[cfg(test)]
mod tests;
