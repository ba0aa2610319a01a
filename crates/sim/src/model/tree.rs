//! Small makers of property trees.

use esx_vi_api::schema::{self, Member, WireType};
use esx_vi_api::{ApiVersion, Array, DateTime, EnumValue, MoRef, Object, Value};

/// An object with every mandatory member set, to `false`, 0, the empty text or the first value of an enumeration.
///
/// Types such as `HostCapability` have dozens of mandatory flags; what matters is set on top of this.
pub(crate) fn skeleton(name: &'static str) -> Object {
    let mut object = Object::new(name);
    for member in schema::members(name) {
        if !member.optional {
            object.set(member.name, default(member));
        }
    }
    object
}

/// The value that [`skeleton`] gives to a member.
pub(crate) fn default(member: &Member) -> Value {
    if member.array {
        return Array::new(member.wire_type.name(), Vec::new()).into();
    }
    match member.wire_type {
        WireType::Boolean => Value::Bool(false),
        WireType::Byte => Value::Byte(0),
        WireType::Short => Value::Short(0),
        WireType::Int => Value::Int(0),
        WireType::Long => Value::Long(0),
        WireType::Float => Value::Float(0.0),
        WireType::Double => Value::Double(0.0),
        WireType::DateTime => DateTime::from_unix_seconds(0).into(),
        WireType::Base64 => Value::Binary(Vec::new()),
        WireType::String | WireType::AnyUri | WireType::AnyType => Value::String(String::new()),
        WireType::MoRef => MoRef::new("ManagedEntity", "").into(),
        WireType::Enum(name) => {
            let value = schema::enumeration(name).and_then(|e| e.values.first().copied());
            EnumValue::new(name, value.unwrap_or_default()).into()
        }
        WireType::Data(name) => skeleton(name).into(),
    }
}

/// A value of an enumeration.
pub(crate) fn enumeration(name: &'static str, value: &'static str) -> Value {
    EnumValue::new(name, value).into()
}

/// The status `green`.
pub(crate) fn green() -> Value {
    enumeration("ManagedEntityStatus", "green")
}

/// `ArrayOfString`.
pub(crate) fn strings<I>(items: I) -> Value
where
    I: IntoIterator,
    I::Item: Into<String>,
{
    Array::new("xsd:string", items.into_iter().map(|item| Value::String(item.into())).collect())
        .into()
}

/// `ArrayOfManagedObjectReference`.
pub(crate) fn references<'a>(items: impl IntoIterator<Item = &'a MoRef>) -> Value {
    Array::new("ManagedObjectReference", items.into_iter().map(Value::from).collect()).into()
}

/// An array of data objects whose declared type is `item_type`.
pub(crate) fn objects(item_type: &'static str, items: impl IntoIterator<Item = Object>) -> Value {
    Array::new(item_type, items.into_iter().map(Value::from).collect()).into()
}

/// Resource shares at one of the levels `low`, `normal`, `high` or `custom`.
pub(crate) fn shares(shares: i32, level: &'static str) -> Object {
    Object::new("SharesInfo")
        .with("shares", shares)
        .with("level", enumeration("SharesLevel", level))
}

/// Turns a value into what a client of an older dialect can read: objects of types that `version` does not have become
/// objects of their nearest base type. (Members that are too new are held back by the encoder.)
pub(crate) fn fit(value: &mut Value, version: ApiVersion) {
    match value {
        Value::Array(array) => array.items.iter_mut().for_each(|item| fit(item, version)),
        Value::Object(object) => fit_object(object, version),
        _ => {}
    }
}

fn fit_object(object: &mut Object, version: ApiVersion) {
    let Some(mut data) = schema::data_type(&object.type_name) else { return };
    let known = |data: &schema::DataType| data.since <= version;
    if !known(data) {
        while let Some(base) = data.base.and_then(schema::data_type).filter(|_| !known(data)) {
            data = base;
        }
        object.type_name = data.name.into();
        let surplus: Vec<String> = object
            .iter()
            .filter(|(member, _)| schema::member(data.name, member).is_none())
            .map(|(member, _)| member.to_owned())
            .collect();
        for member in surplus {
            object.remove(&member);
        }
    }
    let names: Vec<String> = object
        .iter()
        .filter(|(_, value)| matches!(value, Value::Object(_) | Value::Array(_)))
        .map(|(member, _)| member.to_owned())
        .collect();
    for name in names {
        if let Some(value) = object.get_mut(&name) {
            fit(value, version);
        }
    }
}
