//! Reading and writing values by the schema tables, without a struct for their type.
//!
//! Types and members that the tables do not know survive: an element with children becomes an
//! [`Object`] named by its `xsi:type` (or `DynamicData`), one without becomes a string.

use std::borrow::Cow;

use crate::codec::{double_text, parse_base64, parse_bool, parse_double, parsed};
use crate::error::{DecodeError, DecodeErrorKind};
use crate::reader::{Element, Reader};
use crate::schema::{self, WireType};
use crate::writer::Writer;
use crate::{Array, Binary, DateTime, Decode as _, Encode as _, EnumValue, MoRef, Object, Value};

fn interned(name: &str) -> Cow<'static, str> {
    match WireType::of_type(name) {
        Some(known) => Cow::Borrowed(known.name()),
        None => Cow::Owned(name.to_owned()),
    }
}

/// Reads the value of `element`, whose declared type is `declared`; `xsi:type` wins over it.
pub(crate) fn decode_value(
    declared: Option<WireType>,
    element: &Element<'_>,
    reader: &mut Reader<'_>,
) -> Result<Value, DecodeError> {
    let Some(actual) = element.xsi_type else {
        return match declared {
            Some(WireType::AnyType) | None => untyped(element, reader),
            Some(wire) => of_wire_type(wire, element, reader),
        };
    };
    if actual.is_xsd {
        return match WireType::primitive(actual.name) {
            Some(WireType::AnyType) => untyped(element, reader),
            Some(wire) => of_wire_type(wire, element, reader),
            // xsd:unsignedInt, xsd:token ... nothing the schema uses, but no reason to fail.
            None => Ok(Value::String(reader.text()?.into_owned())),
        };
    }
    if let Some(item) = actual.name.strip_prefix("ArrayOf") {
        return decode_array(item, reader).map(Value::Array);
    }
    match (WireType::of_type(actual.name), declared) {
        (Some(wire), _) => of_wire_type(wire, element, reader),
        // A type of a newer schema, where the declared one is a base: its members as they come.
        (None, Some(WireType::Data(_))) => decode_object(actual.name, reader).map(Value::Object),
        (None, Some(WireType::AnyType) | None) => unknown_type(actual.name, element, reader),
        // A link or property path of a newer schema where the declared type says it all.
        (None, Some(wire)) => of_wire_type(wire, element, reader),
    }
}

fn of_wire_type(
    wire: WireType,
    element: &Element<'_>,
    reader: &mut Reader<'_>,
) -> Result<Value, DecodeError> {
    Ok(match wire {
        WireType::Boolean => Value::Bool(parsed(reader, "xsd:boolean", parse_bool)?),
        WireType::Byte => Value::Byte(parsed(reader, "xsd:byte", |t| t.parse().ok())?),
        WireType::Short => Value::Short(parsed(reader, "xsd:short", |t| t.parse().ok())?),
        WireType::Int => Value::Int(parsed(reader, "xsd:int", |t| t.parse().ok())?),
        WireType::Long => Value::Long(parsed(reader, "xsd:long", |t| t.parse().ok())?),
        WireType::Float => Value::Float(f32::decode(element, reader)?),
        WireType::Double => Value::Double(parsed(reader, "xsd:double", parse_double)?),
        WireType::String | WireType::AnyUri => Value::String(reader.text()?.into_owned()),
        WireType::DateTime => Value::DateTime(DateTime::decode(element, reader)?),
        WireType::Base64 => Value::Binary(parsed(reader, "xsd:base64Binary", parse_base64)?),
        WireType::AnyType => return untyped(element, reader),
        WireType::MoRef => Value::MoRef(MoRef::decode(element, reader)?),
        WireType::Enum(name) => {
            let text = reader.text()?;
            let known =
                schema::enumeration(name).and_then(|e| e.values.iter().find(|v| **v == text));
            let value =
                known.map_or_else(|| Cow::Owned(text.clone().into_owned()), |v| Cow::Borrowed(*v));
            Value::Enum(EnumValue { type_name: name.into(), value })
        }
        WireType::Data(name) => {
            // The declared type is a base; the actual one stands in `xsi:type`, known or not.
            let actual = element.xsi_type.filter(|t| !t.is_xsd).map_or(name, |t| t.name);
            Value::Object(decode_object(actual, reader)?)
        }
    })
}

/// Reads the members of an object of the type `name`, inside its element.
pub(crate) fn decode_object(name: &str, reader: &mut Reader<'_>) -> Result<Object, DecodeError> {
    let members = schema::Members::of(name);
    let mut object = Object::new(members.type_name().map_or_else(|| interned(name), Cow::Borrowed));
    while let Some(child) = reader.next_child()? {
        if child.nil {
            reader.skip()?;
            continue;
        }
        let Some(member) = members.get(child.name) else {
            let value = decode_value(None, &child, reader)?;
            push_repeated(&mut object, child.name, value);
            continue;
        };
        let value = decode_value(Some(member.wire_type), &child, reader)?;
        if !member.array {
            object.set(member.name, value);
        } else if let Some(Value::Array(array)) = object.get_mut(member.name) {
            array.items.push(value);
        } else {
            object.push(
                Cow::Borrowed(member.name),
                Array::new(member.wire_type.name(), vec![value]).into(),
            );
        }
    }
    Ok(object)
}

/// An unknown member that repeats becomes an array of what it held.
fn push_repeated(object: &mut Object, name: &str, value: Value) {
    match object.get_mut(name) {
        None => object.push(Cow::Owned(name.to_owned()), value),
        Some(Value::Array(array)) if array.item_type == "xsd:anyType" => array.items.push(value),
        Some(old) => {
            let first = std::mem::replace(old, Value::Bool(false));
            *old = Array::new("xsd:anyType", vec![first, value]).into();
        }
    }
}

/// An element whose type nothing tells: a reference if it has the attribute, else by its content.
fn untyped(element: &Element<'_>, reader: &mut Reader<'_>) -> Result<Value, DecodeError> {
    if element.moref_kind.is_some() {
        return MoRef::decode(element, reader).map(Value::MoRef);
    }
    match text_or_object("DynamicData", reader)? {
        Ok(text) => Ok(Value::String(text.into_owned())),
        Err(object) => Ok(Value::Object(object)),
    }
}

/// A value of the type `name`, which the tables do not know: one with text must be of a simple type,
/// so it becomes an enumeration value, which is written back as it came.
fn unknown_type(
    name: &str,
    element: &Element<'_>,
    reader: &mut Reader<'_>,
) -> Result<Value, DecodeError> {
    if element.moref_kind.is_some() {
        return MoRef::decode(element, reader).map(Value::MoRef);
    }
    Ok(match text_or_object(name, reader)? {
        Ok(text) if text.trim_ascii().is_empty() => Value::Object(Object::new(interned(name))),
        Ok(text) => Value::Enum(EnumValue::new(interned(name), text.into_owned())),
        Err(object) => Value::Object(object),
    })
}

fn text_or_object<'a>(
    name: &str,
    reader: &mut Reader<'a>,
) -> Result<Result<Cow<'a, str>, Object>, DecodeError> {
    let first = match reader.text_or_child()? {
        Ok(text) => return Ok(Ok(text)),
        Err(first) => first,
    };
    let mut object = Object::new(interned(name));
    let mut next = Some(first);
    while let Some(child) = next {
        if child.nil {
            reader.skip()?;
        } else {
            let value = decode_value(None, &child, reader)?;
            push_repeated(&mut object, child.name, value);
        }
        next = reader.next_child()?;
    }
    Ok(Err(object))
}

/// Reads the items of `ArrayOf{item}`; primitives are named `ArrayOfInt`, `ArrayOfString` ...
pub(crate) fn decode_array(item: &str, reader: &mut Reader<'_>) -> Result<Array, DecodeError> {
    let primitive = || {
        let mut local = item.to_owned();
        local.get_mut(..1)?.make_ascii_lowercase();
        // ArrayOfBase64Binary is the one whose schema type has another case within.
        WireType::primitive(&local)
    };
    let wire = WireType::of_type(item).or_else(primitive);
    let mut array = Array::new(
        wire.map_or_else(|| Cow::Owned(item.to_owned()), |w| Cow::Borrowed(w.name())),
        Vec::new(),
    );
    while let Some(child) = reader.next_child()? {
        if child.nil {
            reader.skip()?;
        } else {
            array.items.push(decode_value(wire, &child, reader)?);
        }
    }
    Ok(array)
}

/// Writes the value of a member or parameter: a repeated one item by item.
pub(crate) fn encode_member(member: &schema::Member, value: &Value, writer: &mut Writer) {
    match value {
        Value::Array(array) if member.array => {
            for item in &array.items {
                encode_value(member.name, item, member.wire_type, writer);
            }
        }
        _ => encode_value(member.name, value, member.wire_type, writer),
    }
}

/// Writes `value` as the element `name`, whose declared type is `declared`: with `xsi:type` where
/// the declared type does not tell. A value of a type that the host's API does not know is withheld.
pub(crate) fn encode_value(name: &str, value: &Value, declared: WireType, writer: &mut Writer) {
    let any = declared == WireType::AnyType;
    let primitive = |writer: &mut Writer, xsd: &str, text: &str| {
        if any {
            writer.open_typed(name, xsd)
        } else {
            writer.open(name)
        }
        writer.text(text);
        writer.close(name);
    };
    match value {
        Value::Bool(v) => primitive(writer, "xsd:boolean", if *v { "true" } else { "false" }),
        Value::Byte(v) => primitive(writer, "xsd:byte", &v.to_string()),
        Value::Short(v) => primitive(writer, "xsd:short", &v.to_string()),
        Value::Int(v) => primitive(writer, "xsd:int", &v.to_string()),
        Value::Long(v) => primitive(writer, "xsd:long", &v.to_string()),
        Value::Float(v) => {
            primitive(writer, "xsd:float", &double_text(f64::from(*v), v.to_string()))
        }
        Value::Double(v) => primitive(writer, "xsd:double", &double_text(*v, v.to_string())),
        Value::String(v) => primitive(writer, "xsd:string", v),
        Value::DateTime(v) => primitive(writer, "xsd:dateTime", v.as_str()),
        Value::Binary(v) if any => {
            writer.open_typed(name, "xsd:base64Binary");
            Binary(v.clone()).encode_text(writer);
            writer.close(name);
        }
        Value::Binary(v) => Binary(v.clone()).encode(name, writer),
        Value::Enum(v) => {
            if !any || knows_type(&v.type_name, name, writer) {
                primitive(writer, &v.type_name, &v.value);
            }
        }
        Value::MoRef(v) => writer.moref(name, v, any),
        Value::Object(v) => {
            let typed = declared.name() != v.type_name;
            if !typed || knows_type(&v.type_name, name, writer) {
                encode_object(name, v, typed, writer);
            }
        }
        Value::Array(array) => encode_array(name, array, any, writer),
    }
}

/// Whether the host's API has the data type or enumeration `type_name`; what the tables do not know
/// came from a host, so it is sent back.
fn knows_type(type_name: &str, name: &str, writer: &mut Writer) -> bool {
    let since = schema::data_type(type_name)
        .map(|t| t.since)
        .or_else(|| schema::enumeration(type_name).map(|e| e.since));
    since.is_none_or(|since| writer.knows_type(type_name, since, name))
}

/// Writes a repeated member; or, where the declared type is `xsd:anyType`, an `ArrayOf...` value
/// whose items each carry their type, as hosts write them.
fn encode_array(name: &str, array: &Array, any: bool, writer: &mut Writer) {
    let item_type = &*array.item_type;
    if !any {
        let wire = item_type
            .strip_prefix("xsd:")
            .map_or_else(|| WireType::of_type(item_type), WireType::primitive);
        for item in &array.items {
            encode_value(name, item, wire.unwrap_or(WireType::AnyType), writer);
        }
        return;
    }
    if !knows_type(item_type, name, writer) {
        return;
    }
    let (array_of, item_name) = match item_type.strip_prefix("xsd:") {
        Some(local) => {
            let mut capital = local.to_owned();
            if let Some(first) = capital.get_mut(..1) {
                first.make_ascii_uppercase();
            }
            (format!("ArrayOf{capital}"), local)
        }
        None => (format!("ArrayOf{item_type}"), item_type),
    };
    writer.open_typed(name, &array_of);
    for item in &array.items {
        encode_value(item_name, item, WireType::AnyType, writer);
    }
    writer.close(name);
}

/// Writes an object as the element `name`: known members in schema order, then unknown ones.
/// Members that the host's API does not know are withheld.
pub(crate) fn encode_object(name: &str, object: &Object, typed: bool, writer: &mut Writer) {
    if typed {
        writer.open_typed(name, &object.type_name)
    } else {
        writer.open(name)
    }
    let mut written = 0;
    for member in schema::members(&object.type_name) {
        let Some(value) = object.get(member.name) else { continue };
        written += 1;
        if writer.knows(member.since, member.name) {
            encode_member(member, value, writer);
        }
    }
    if written < object.len() {
        for (member, value) in
            object.iter().filter(|(m, _)| schema::member(&object.type_name, m).is_none())
        {
            match value {
                Value::Array(array) if array.item_type == "xsd:anyType" => {
                    for item in &array.items {
                        encode_value(member, item, WireType::AnyType, writer);
                    }
                }
                _ => encode_value(member, value, WireType::AnyType, writer),
            }
        }
    }
    writer.close(name);
}

impl Object {
    /// The object as the struct of its type: for values that came where the schema says
    /// `xsd:anyType`, such as `PropertyChange.val`.
    ///
    /// # Errors
    /// If the object is of another type or lacks a mandatory member.
    pub fn to_typed<T: crate::DataObject>(&self) -> Result<T, DecodeError> {
        // By way of the wire: no second codec that could differ from the first.
        let mut writer = Writer::new(crate::ApiVersion::MAX);
        encode_object("object", self, false, &mut writer);
        let (text, _) = writer.finish();
        let mut reader = Reader::new(&text);
        reader.next_child()?;
        if self.type_name != T::NAME {
            return Err(reader.error(DecodeErrorKind::Type {
                expected: T::NAME.to_owned(),
                found: self.type_name.clone().into_owned(),
            }));
        }
        crate::decode_object(&mut reader)
    }
}

/// Reads an object of the declared type `declared` from the root element of `text`: for tests
/// and for tools that store replies.
///
/// # Errors
/// If the text is malformed or does not fit the type.
///
/// ```
/// let value = esx_vi_api::dynamic::from_xml("HostCpuIdInfo", "<cpu><level>1</level></cpu>")?;
/// assert_eq!(value.as_object().and_then(|o| o.get("level")?.as_i64()), Some(1));
/// # Ok::<(), esx_vi_api::DecodeError>(())
/// ```
pub fn from_xml(declared: &str, text: &str) -> Result<Value, DecodeError> {
    let mut reader = Reader::new(text);
    let wire = WireType::of_type(declared);
    match reader.next_child()? {
        Some(root) => decode_value(wire, &root, &mut reader),
        None => Err(reader.error(DecodeErrorKind::Truncated)),
    }
}
