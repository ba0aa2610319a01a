//! The traits behind every type on the wire, and their implementations for primitives.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::{GeneralPurposeConfig, STANDARD};

use crate::error::{DecodeError, DecodeErrorKind};
use crate::reader::{Element, Reader};
use crate::writer::Writer;
use crate::{DateTime, MoRef, Object, Value};

/// A value that can be read from an element.
pub trait Decode: Sized {
    /// Reads the content of `element`, which `reader` has just handed out, up to its end tag.
    ///
    /// # Errors
    /// If the text is not of this type, or the document is malformed.
    fn decode(element: &Element<'_>, reader: &mut Reader<'_>) -> Result<Self, DecodeError>;
}

/// A value that can be written as an element.
pub trait Encode {
    /// Writes the value as the element `name`.
    fn encode(&self, name: &str, writer: &mut Writer);
}

/// One bit for each member of a data object; the largest of API 8.0 has 145.
pub type Mask = [u64; 4];

/// A data object of the schema as a plain struct, inherited members first.
pub trait DataObject: Default {
    /// The type's name in the schema.
    const NAME: &'static str;
    /// The API version that introduced it.
    const SINCE: crate::ApiVersion;
    /// The members' names on the wire, in schema order.
    const MEMBERS: &'static [&'static str];
    /// A bit for each member that the schema calls mandatory.
    const MANDATORY: Mask;
    /// Reads the member number `index` from `element`.
    ///
    /// # Errors
    /// As [`Decode::decode`].
    fn read_member(
        &mut self,
        index: usize,
        element: &Element<'_>,
        reader: &mut Reader<'_>,
    ) -> Result<(), DecodeError>;
    /// Writes all members that are set.
    fn write_members(&self, writer: &mut Writer);
}

/// Reads a data object: members in any order, unknown ones passed over.
///
/// # Errors
/// As [`Decode::decode`]; also if a mandatory member is missing and the reader is strict.
pub fn decode_object<T: DataObject>(reader: &mut Reader<'_>) -> Result<T, DecodeError> {
    let mut object = T::default();
    fill(&mut object, reader)?;
    Ok(object)
}

/// The same on the heap, where polymorphic values live: made there, so that it is not moved.
pub(crate) fn decode_boxed<T: DataObject>(reader: &mut Reader<'_>) -> Result<Box<T>, DecodeError> {
    let mut object = Box::<T>::default();
    fill(&mut *object, reader)?;
    Ok(object)
}

/// What both have in common: compiled once for each type.
#[inline(never)]
fn fill<T: DataObject>(object: &mut T, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
    read_members(T::MEMBERS, &T::MANDATORY, reader, &mut |index, element, reader| {
        object.read_member(index, element, reader)
    })
}

/// What [`read_members`] calls for each member: its number, its start tag, the reader inside it.
type ReadMember<'c> =
    dyn FnMut(usize, &Element<'_>, &mut Reader<'_>) -> Result<(), DecodeError> + 'c;

/// The loop behind all data objects. It is compiled once, not once for each type.
fn read_members(
    names: &'static [&'static str],
    mandatory: &Mask,
    reader: &mut Reader<'_>,
    read: &mut ReadMember<'_>,
) -> Result<(), DecodeError> {
    let mut seen: Mask = [0; 4];
    // Hosts send members in schema order, so the next one is mostly the one after the last.
    let mut next = 0;
    while let Some(child) = reader.next_child()? {
        let found = find_name(names, next, child.name);
        match found {
            Some(_) if child.nil => reader.skip()?,
            Some(index) => {
                read(index, &child, reader)?;
                if let Some(word) = seen.get_mut(index / 64) {
                    *word |= 1 << (index % 64);
                }
                next = index;
            }
            None => reader.skip()?,
        }
    }
    if mandatory.iter().zip(&seen).any(|(m, s)| m & !s != 0) {
        for (index, name) in names.iter().enumerate() {
            if (mandatory[index / 64] & !seen[index / 64]) >> (index % 64) & 1 == 1 {
                reader.note_missing(name)?;
            }
        }
    }
    Ok(())
}

/// The number of the member `name`, looked for from `from` on and then from the start.
fn find_name(names: &'static [&'static str], from: usize, name: &str) -> Option<usize> {
    // Most of the other names differ in length or in the last letter.
    let last = name.as_bytes().last();
    let is = |m: &&str| m.len() == name.len() && m.as_bytes().last() == last && *m == name;
    let (before, after) = names.split_at(from.min(names.len()));
    let found = after.iter().position(is).map(|at| at + from);
    found.or_else(|| before.iter().position(is))
}

/// How a member gets into its field. Shared by all structs whose fields have the same type, which
/// keeps the generated code small: they are calls on purpose, inlined they triple the build.
#[allow(dead_code, reason = "which shapes occur is up to the schema")]
pub(crate) mod slot {
    use super::{Decode, DecodeError, Element, Object, Reader};
    use crate::dynamic::decode_object;

    #[inline(never)]
    pub(crate) fn one<T: Decode>(
        slot: &mut T,
        element: &Element<'_>,
        reader: &mut Reader<'_>,
    ) -> Result<(), DecodeError> {
        *slot = T::decode(element, reader)?;
        Ok(())
    }

    #[inline(never)]
    pub(crate) fn some<T: Decode>(
        slot: &mut Option<T>,
        element: &Element<'_>,
        reader: &mut Reader<'_>,
    ) -> Result<(), DecodeError> {
        *slot = Some(T::decode(element, reader)?);
        Ok(())
    }

    #[inline(never)]
    pub(crate) fn push<T: Decode>(
        slot: &mut Vec<T>,
        element: &Element<'_>,
        reader: &mut Reader<'_>,
    ) -> Result<(), DecodeError> {
        slot.push(T::decode(element, reader)?);
        Ok(())
    }

    /// Reads a fault or event, whose declared type is `declared`.
    fn tree(
        declared: &'static str,
        element: &Element<'_>,
        reader: &mut Reader<'_>,
    ) -> Result<Object, DecodeError> {
        decode_object(element.xsi_type.map_or(declared, |t| t.name), reader)
    }

    #[inline(never)]
    pub(crate) fn one_tree(
        slot: &mut Object,
        declared: &'static str,
        element: &Element<'_>,
        reader: &mut Reader<'_>,
    ) -> Result<(), DecodeError> {
        *slot = tree(declared, element, reader)?;
        Ok(())
    }

    #[inline(never)]
    pub(crate) fn some_tree(
        slot: &mut Option<Object>,
        declared: &'static str,
        element: &Element<'_>,
        reader: &mut Reader<'_>,
    ) -> Result<(), DecodeError> {
        *slot = Some(tree(declared, element, reader)?);
        Ok(())
    }

    #[inline(never)]
    pub(crate) fn push_tree(
        slot: &mut Vec<Object>,
        declared: &'static str,
        element: &Element<'_>,
        reader: &mut Reader<'_>,
    ) -> Result<(), DecodeError> {
        slot.push(tree(declared, element, reader)?);
        Ok(())
    }
}

/// Reads the items of an `ArrayOf...` value, whatever their element is called.
///
/// # Errors
/// As [`Decode::decode`].
impl<T: Decode> Decode for Vec<T> {
    fn decode(_: &Element<'_>, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut items = Self::new();
        while let Some(child) = reader.next_child()? {
            if child.nil {
                reader.skip()?;
            } else {
                items.push(T::decode(&child, reader)?);
            }
        }
        Ok(items)
    }
}

impl<T: Decode> Decode for Box<T> {
    fn decode(element: &Element<'_>, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        T::decode(element, reader).map(Self::new)
    }
}

impl<T: Encode> Encode for Box<T> {
    fn encode(&self, name: &str, writer: &mut Writer) {
        (**self).encode(name, writer);
    }
}

fn bad_value(reader: &Reader<'_>, expected: &'static str, text: &str) -> DecodeError {
    let mut end = text.len().min(64);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    reader.error(DecodeErrorKind::Value { expected, found: text[..end].to_owned() })
}

/// Reads the text of the current element and parses it.
pub(crate) fn parsed<T>(
    reader: &mut Reader<'_>,
    expected: &'static str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T, DecodeError> {
    let text = reader.text()?;
    parse(text.trim_ascii()).ok_or_else(|| bad_value(reader, expected, &text))
}

impl Decode for String {
    fn decode(_: &Element<'_>, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.text().map(Cow::into_owned)
    }
}

impl Encode for str {
    fn encode(&self, name: &str, writer: &mut Writer) {
        writer.element(name, self);
    }
}

impl Encode for String {
    fn encode(&self, name: &str, writer: &mut Writer) {
        writer.element(name, self);
    }
}

impl Decode for bool {
    fn decode(_: &Element<'_>, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        parsed(reader, "xsd:boolean", parse_bool)
    }
}

pub(crate) fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

impl Encode for bool {
    fn encode(&self, name: &str, writer: &mut Writer) {
        writer.element(name, if *self { "true" } else { "false" });
    }
}

macro_rules! number {
    ($($type:ty = $name:literal),* $(,)?) => {$(
        impl Decode for $type {
            fn decode(_: &Element<'_>, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                parsed(reader, $name, |text| text.parse().ok())
            }
        }

        impl Encode for $type {
            fn encode(&self, name: &str, writer: &mut Writer) {
                writer.element(name, &self.to_string());
            }
        }
    )*};
}

number! { i8 = "xsd:byte", i16 = "xsd:short", i32 = "xsd:int", i64 = "xsd:long" }

/// `INF`, `-INF` and `NaN` are XML Schema's spellings.
pub(crate) fn parse_double(text: &str) -> Option<f64> {
    match text {
        "INF" => Some(f64::INFINITY),
        "-INF" => Some(f64::NEG_INFINITY),
        "NaN" => Some(f64::NAN),
        // Rust would also take "inf", "infinity" and "nan".
        _ if text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b)) => text.parse().ok(),
        _ => None,
    }
}

pub(crate) fn double_text(value: f64, text: String) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "INF" } else { "-INF" }.to_owned()
    } else {
        text
    }
}

impl Decode for f64 {
    fn decode(_: &Element<'_>, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        parsed(reader, "xsd:double", parse_double)
    }
}

impl Encode for f64 {
    fn encode(&self, name: &str, writer: &mut Writer) {
        writer.element(name, &double_text(*self, self.to_string()));
    }
}

impl Decode for f32 {
    fn decode(_: &Element<'_>, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        // Parsed as `f32` itself: by way of `f64` it would be rounded twice.
        parsed(reader, "xsd:float", |text| match parse_double(text)? {
            value if value.is_finite() => text.parse().ok(),
            value => Some(value as Self),
        })
    }
}

impl Encode for f32 {
    fn encode(&self, name: &str, writer: &mut Writer) {
        writer.element(name, &double_text(f64::from(*self), self.to_string()));
    }
}

impl Decode for DateTime {
    fn decode(_: &Element<'_>, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        parsed(reader, "xsd:dateTime", |text| (!text.is_empty()).then(|| Self::new(text)))
    }
}

impl Encode for DateTime {
    fn encode(&self, name: &str, writer: &mut Writer) {
        writer.element(name, self.as_str());
    }
}

/// `xsd:base64Binary`.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Binary(pub Vec<u8>);

pub(crate) fn parse_base64(text: &str) -> Option<Vec<u8>> {
    // Encoders break lines, and some leave the padding out.
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &base64::alphabet::STANDARD,
        GeneralPurposeConfig::new()
            .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent),
    );
    let compact: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    LENIENT.decode(compact).ok()
}

impl Decode for Binary {
    fn decode(_: &Element<'_>, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        parsed(reader, "xsd:base64Binary", parse_base64).map(Self)
    }
}

impl Binary {
    pub(crate) fn encode_text(&self, writer: &mut Writer) {
        writer.text(&STANDARD.encode(&self.0));
    }
}

impl Encode for Binary {
    fn encode(&self, name: &str, writer: &mut Writer) {
        writer.open(name);
        self.encode_text(writer);
        writer.close(name);
    }
}

impl Decode for MoRef {
    fn decode(element: &Element<'_>, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let kind = element.moref_kind.unwrap_or_default();
        let value = reader.text()?.into_owned();
        if kind.is_empty() {
            let found = format!("{} without the attribute `type`", element.name);
            return Err(reader.error(DecodeErrorKind::Type {
                expected: "ManagedObjectReference".to_owned(),
                found,
            }));
        }
        Ok(Self { kind: kind.to_owned(), value })
    }
}

impl Encode for MoRef {
    fn encode(&self, name: &str, writer: &mut Writer) {
        writer.moref(name, self, false);
    }
}

impl Decode for Value {
    fn decode(element: &Element<'_>, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        crate::dynamic::decode_value(None, element, reader)
    }
}

impl Encode for Value {
    fn encode(&self, name: &str, writer: &mut Writer) {
        crate::dynamic::encode_value(name, self, crate::schema::WireType::AnyType, writer);
    }
}

impl Decode for Object {
    fn decode(element: &Element<'_>, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let name = element.xsi_type.map_or("DynamicData", |t| t.name).to_owned();
        crate::dynamic::decode_object(&name, reader)
    }
}

impl Encode for Object {
    fn encode(&self, name: &str, writer: &mut Writer) {
        // Always with `xsi:type`: only the caller knows what the member is declared as.
        let since = crate::schema::data_type(&self.type_name).map(|t| t.since);
        if since.is_none_or(|since| writer.knows_type(&self.type_name, since, name)) {
            crate::dynamic::encode_object(name, self, true, writer);
        }
    }
}

/// Implements the codec of data objects that [`DataObject`] describes.
macro_rules! data_objects {
    ($($name:ident),* $(,)?) => {$(
        impl $crate::Decode for $name {
            fn decode(_: &$crate::Element<'_>, reader: &mut $crate::Reader<'_>) -> Result<Self, $crate::DecodeError> {
                $crate::decode_object(reader)
            }
        }

        impl $crate::Encode for $name {
            fn encode(&self, name: &str, writer: &mut $crate::Writer) {
                writer.open(name);
                $crate::DataObject::write_members(self, writer);
                writer.close(name);
            }
        }
    )*
        #[cfg(test)]
        pub(crate) const TYPED: &[$crate::codec::Typed] = &[$($crate::codec::Typed::data::<$name>()),*];
    };
}
pub(crate) use data_objects;

/// Defines an enumeration that keeps values it does not know.
macro_rules! vi_enum {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        #[allow(missing_docs, reason = "each variant is the schema's value of the name")]
        pub enum $name {
            $($variant,)+
            /// A value that the 8.0 schema does not have, as the host sent it.
            Unrecognized(String),
        }

        impl $name {
            /// The value as it stands on the wire.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)+
                    Self::Unrecognized(text) => text,
                }
            }
        }

        impl Default for $name {
            /// The first value of the schema.
            fn default() -> Self {
                [$(Self::$variant),+].into_iter().next().unwrap_or(Self::Unrecognized(String::new()))
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                match text {
                    $($text => Self::$variant,)+
                    _ => Self::Unrecognized(text.to_owned()),
                }
            }
        }

        impl $crate::Decode for $name {
            fn decode(_: &$crate::Element<'_>, reader: &mut $crate::Reader<'_>) -> Result<Self, $crate::DecodeError> {
                Ok(Self::from(&*reader.text()?))
            }
        }

        impl $crate::Encode for $name {
            fn encode(&self, name: &str, writer: &mut $crate::Writer) {
                writer.element(name, self.as_str());
            }
        }
    };
}
pub(crate) use vi_enum;

/// Defines what a member of a base type holds: any of the types that derive from it. The number
/// before each name is its length, by which a name is found among many with few comparisons.
macro_rules! vi_any {
    ($(#[$doc:meta])* $name:ident: $base:ident = $base_name:literal { $($variant:ident = $length:literal $wire:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        #[non_exhaustive]
        #[allow(missing_docs, reason = "each variant is the schema's type of the name")]
        pub enum $name {
            $($variant(Box<$variant>),)+
            /// A type that the 8.0 schema does not have, as name and members.
            Unrecognized(Box<$crate::Object>),
        }

        impl Default for $name {
            fn default() -> Self {
                Self::$base(Box::default())
            }
        }

        $(impl From<$variant> for $name {
            fn from(value: $variant) -> Self {
                Self::$variant(Box::new(value))
            }
        })+

        impl From<$crate::Object> for $name {
            /// Takes the object as one of an unknown type, whatever its name.
            fn from(value: $crate::Object) -> Self {
                Self::Unrecognized(Box::new(value))
            }
        }

        impl $crate::Decode for $name {
            fn decode(element: &$crate::Element<'_>, reader: &mut $crate::Reader<'_>) -> Result<Self, $crate::DecodeError> {
                let actual = element.xsi_type.map_or($base_name, |t| t.name);
                match (actual.len(), actual) {
                    $(($length, $wire) => $crate::codec::decode_boxed(reader).map(Self::$variant),)+
                    _ => $crate::Decode::decode(element, reader).map(Self::Unrecognized),
                }
            }
        }

        impl $crate::Encode for $name {
            fn encode(&self, name: &str, writer: &mut $crate::Writer) {
                match self {
                    $(Self::$variant(value) => writer.typed(name, &**value, $base_name),)+
                    Self::Unrecognized(object) => $crate::Encode::encode(&**object, name, writer),
                }
            }
        }
    };
}
pub(crate) use vi_any;

/// The result of a method: how its `returnval` elements become a value.
pub mod returned {
    use super::{Decode, DecodeError, DecodeErrorKind, Reader};

    fn each(
        reader: &mut Reader<'_>,
        mut take: impl FnMut(&super::Element<'_>, &mut Reader<'_>) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        while let Some(child) = reader.next_child()? {
            if child.name == "returnval" && !child.nil {
                take(&child, reader)?
            } else {
                reader.skip()?
            }
        }
        Ok(())
    }

    /// A method without a result.
    ///
    /// # Errors
    /// If the document is malformed.
    pub fn none(reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        each(reader, |_, reader| reader.skip())
    }

    /// A method that returns one value.
    ///
    /// # Errors
    /// If there is no value, or it cannot be decoded.
    pub fn one<T: Decode>(reader: &mut Reader<'_>) -> Result<T, DecodeError> {
        let missing = reader.error(DecodeErrorKind::Missing("returnval".to_owned()));
        optional(reader)?.ok_or(missing)
    }

    /// A method that returns a value or nothing.
    ///
    /// # Errors
    /// If there is a value that cannot be decoded.
    pub fn optional<T: Decode>(reader: &mut Reader<'_>) -> Result<Option<T>, DecodeError> {
        let mut value = None;
        each(reader, |child, reader| {
            value = Some(T::decode(child, reader)?);
            Ok(())
        })?;
        Ok(value)
    }

    /// A method that returns any number of values.
    ///
    /// # Errors
    /// If a value cannot be decoded.
    pub fn list<T: Decode>(reader: &mut Reader<'_>) -> Result<Vec<T>, DecodeError> {
        let mut values = Vec::new();
        each(reader, |child, reader| {
            values.push(T::decode(child, reader)?);
            Ok(())
        })?;
        Ok(values)
    }
}

/// A call of a method: its arguments, and how its result is read.
pub trait Method {
    /// The method's name on the wire.
    const NAME: &'static str;
    /// The class of managed objects that has the method.
    const TARGET: &'static str;
    /// The API version that introduced it.
    const SINCE: crate::ApiVersion;
    /// What it returns.
    type Output;
    /// Writes the arguments, without `_this`.
    fn write_args(&self, writer: &mut Writer);
    /// Reads the result; `reader` stands inside the response element.
    ///
    /// # Errors
    /// If the result cannot be decoded.
    fn read_output(reader: &mut Reader<'_>) -> Result<Self::Output, DecodeError>;
}

/// The arguments of a request as the struct again: what a server reads, here for tests.
#[cfg(test)]
pub(crate) trait ReadArgs: Method + Default {
    /// The parameters' names.
    const PARAMS: &'static [&'static str];
    /// Reads the parameter number `index`.
    fn read_arg(
        &mut self,
        index: usize,
        element: &Element<'_>,
        reader: &mut Reader<'_>,
    ) -> Result<(), DecodeError>;
}

/// See [`Typed::through`].
#[cfg(test)]
type Through = fn(&str, crate::ApiVersion) -> Result<(String, Vec<String>), DecodeError>;

/// A struct or method of the generated code, for tests that go through all of them.
#[cfg(test)]
pub(crate) struct Typed {
    /// The name in the schema.
    pub(crate) name: &'static str,
    pub(crate) since: crate::ApiVersion,
    /// Decodes the root element of a text (for a method: the children of the root element),
    /// encodes that, decodes it again, and gives back the second text and what was withheld.
    pub(crate) through: Through,
}

#[cfg(test)]
impl Typed {
    pub(crate) const fn data<T: DataObject + Decode + PartialEq>() -> Self {
        fn read<T: Decode>(text: &str) -> Result<T, DecodeError> {
            let mut reader = Reader::new(text);
            let Some(root) = reader.next_child()? else {
                return Err(reader.error(DecodeErrorKind::Truncated));
            };
            T::decode(&root, &mut reader)
        }
        fn through<T: DataObject + Decode + PartialEq>(
            text: &str,
            version: crate::ApiVersion,
        ) -> Result<(String, Vec<String>), DecodeError> {
            let value: T = read(text)?;
            let mut writer = Writer::new(version);
            writer.raw("<sample xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\">");
            value.write_members(&mut writer);
            writer.close("sample");
            let (again, withheld) = writer.finish();
            if withheld.is_empty() {
                assert!(
                    read::<T>(&again)? == value,
                    "{} changed on its way\n{text}\n{again}",
                    T::NAME
                );
            }
            Ok((again, withheld))
        }
        Self { name: T::NAME, since: T::SINCE, through: through::<T> }
    }

    pub(crate) const fn call<M: ReadArgs + PartialEq>() -> Self {
        fn read<M: ReadArgs>(text: &str) -> Result<M, DecodeError> {
            let mut reader = Reader::new(text);
            reader.next_child()?;
            let mut call = M::default();
            read_members(M::PARAMS, &[0; 4], &mut reader, &mut |index, element, reader| {
                call.read_arg(index, element, reader)
            })?;
            Ok(call)
        }
        fn through<M: ReadArgs + PartialEq>(
            text: &str,
            version: crate::ApiVersion,
        ) -> Result<(String, Vec<String>), DecodeError> {
            let call: M = read(text)?;
            let this = MoRef::new(M::TARGET, "this");
            let encoded = crate::soap::encode_call(&call, &this, version);
            if encoded.withheld.is_empty() {
                let inner = encoded.body.split_once("<soapenv:Body>").map_or("", |(_, rest)| rest);
                let mut again = String::from(
                    "<r xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\">",
                );
                again.push_str(inner.split_once("</_this>").map_or("", |(_, rest)| rest));
                let again = again
                    .replace(&format!("</{}></soapenv:Body></soapenv:Envelope>", M::NAME), "</r>");
                assert!(
                    read::<M>(&again)? == call,
                    "{} changed on its way\n{text}\n{again}",
                    M::NAME
                );
            }
            Ok((encoded.body, encoded.withheld))
        }
        Self { name: M::NAME, since: M::SINCE, through: through::<M> }
    }
}
