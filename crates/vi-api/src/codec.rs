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

/// A data object of the schema as a plain struct, inherited members first.
pub trait DataObject: Default {
    /// The type's name in the schema.
    const NAME: &'static str;
    /// The members' names on the wire, in schema order.
    const MEMBERS: &'static [&'static str];
    /// A bit for each member that the schema calls mandatory.
    const MANDATORY: u128;
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
    let mut seen = 0u128;
    // Hosts send members in schema order, so the next one is mostly the one after the last.
    let mut next = 0;
    while let Some(child) = reader.next_child()? {
        let found = T::MEMBERS[next..]
            .iter()
            .position(|m| *m == child.name)
            .map(|at| at + next)
            .or_else(|| T::MEMBERS[..next].iter().position(|m| *m == child.name));
        match found {
            Some(_) if child.nil => reader.skip()?,
            Some(index) => {
                object.read_member(index, &child, reader)?;
                seen |= 1 << index;
                next = index;
            }
            None => reader.skip()?,
        }
    }
    let missing = T::MANDATORY & !seen;
    if missing != 0 {
        for (index, name) in T::MEMBERS.iter().enumerate() {
            if missing & (1 << index) != 0 {
                reader.note_missing(name)?;
            }
        }
    }
    Ok(object)
}

/// Reads the items of an `ArrayOf...` value, whatever their element is called.
///
/// # Errors
/// As [`Decode::decode`].
impl<T: Decode> Decode for Vec<T> {
    fn decode(_: &Element<'_>, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut items = Self::new();
        while let Some(child) = reader.next_child()? {
            items.push(T::decode(&child, reader)?);
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
        crate::dynamic::encode_object(name, self, true, writer);
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
    )*};
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

/// Defines what a member of a base type holds: any of the types that derive from it.
macro_rules! vi_any {
    ($(#[$doc:meta])* $name:ident: $base:ident { $($variant:ident),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        #[non_exhaustive]
        #[allow(missing_docs, reason = "each variant is the schema's type of the name")]
        pub enum $name {
            $($variant($variant),)+
            /// A type that the 8.0 schema does not have, as name and members.
            Unrecognized($crate::Object),
        }

        impl Default for $name {
            fn default() -> Self {
                Self::$base($base::default())
            }
        }

        $(impl From<$variant> for $name {
            fn from(value: $variant) -> Self {
                Self::$variant(value)
            }
        })+

        impl $crate::Decode for $name {
            fn decode(element: &$crate::Element<'_>, reader: &mut $crate::Reader<'_>) -> Result<Self, $crate::DecodeError> {
                match element.xsi_type.map_or(stringify!($base), |t| t.name) {
                    $(stringify!($variant) => Ok(Self::$variant($crate::Decode::decode(element, reader)?)),)+
                    _ => Ok(Self::Unrecognized($crate::Decode::decode(element, reader)?)),
                }
            }
        }

        impl $crate::Encode for $name {
            fn encode(&self, name: &str, writer: &mut $crate::Writer) {
                match self {
                    $(Self::$variant(value) => {
                        writer.open_typed(name, stringify!($variant));
                        $crate::DataObject::write_members(value, writer);
                        writer.close(name);
                    })+
                    Self::Unrecognized(object) => $crate::Encode::encode(object, name, writer),
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
