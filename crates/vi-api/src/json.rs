//! Dynamic values as JSON and back, without loss (feature `serde`).
//!
//! What the schema declares needs no type name: `{"_typeName": "VirtualDisk", "key": 2000,
//! "backing": {"_typeName": "VirtualDiskFlatVer2BackingInfo", "fileName": "[ds] a.vmdk"}}`. An object
//! carries `_typeName` if it is not of the declared type; whatever stands where the schema says
//! `xsd:anyType`, or is of another type than declared, is boxed: `{"_typeName": "int", "_value": 5}`,
//! `{"_typeName": "ArrayOfString", "_value": ["a"]}`. The convention is that of the VI JSON API.
//!
//! There is one `Serialize` and one `Deserialize` for all types, driven by the schema tables.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap as _, Serializer};

use crate::codec::{double_text, parse_base64, parse_double};
use crate::schema::{self, Member, WireType};
use crate::{Array, DateTime, EnumValue, MoRef, Object, Value};

const TYPE_NAME: &str = "_typeName";
const VALUE: &str = "_value";
const ITEM_TYPE: &str = "_itemType";

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        As { value: self, declared: WireType::AnyType }.serialize(serializer)
    }
}

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_object(self, true, serializer)
    }
}

/// A value where the schema declares `declared`.
struct As<'v> {
    value: &'v Value,
    declared: WireType,
}

impl Serialize for As<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (self.value, self.declared) {
            (Value::Object(v), declared) => {
                serialize_object(v, declared.name() != v.type_name, serializer)
            }
            (Value::MoRef(v), declared) => {
                let mut map = serializer.serialize_map(None)?;
                if declared != WireType::MoRef {
                    map.serialize_entry(TYPE_NAME, "ManagedObjectReference")?;
                }
                map.serialize_entry("type", &v.kind)?;
                map.serialize_entry("value", &v.value)?;
                map.end()
            }
            (Value::Enum(v), WireType::Enum(name)) if v.type_name == name => {
                serializer.serialize_str(&v.value)
            }
            (Value::String(_), WireType::String | WireType::AnyUri)
            | (Value::Bool(_), WireType::Boolean)
            | (Value::Byte(_), WireType::Byte)
            | (Value::Short(_), WireType::Short)
            | (Value::Int(_), WireType::Int)
            | (Value::Long(_), WireType::Long)
            | (Value::Float(_), WireType::Float)
            | (Value::Double(_), WireType::Double)
            | (Value::DateTime(_), WireType::DateTime)
            | (Value::Binary(_), WireType::Base64) => Plain(self.value).serialize(serializer),
            (value, _) => {
                let mut map = serializer.serialize_map(None)?;
                match value {
                    Value::Array(array) => {
                        let name = array_name(&array.item_type);
                        map.serialize_entry(TYPE_NAME, &name)?;
                        if item_type_of(&name) != array.item_type {
                            map.serialize_entry(ITEM_TYPE, &array.item_type)?;
                        }
                        map.serialize_entry(
                            VALUE,
                            &Items { array, declared: declared_item(&array.item_type) },
                        )?;
                    }
                    Value::Enum(v) => {
                        map.serialize_entry(TYPE_NAME, &v.type_name)?;
                        map.serialize_entry(VALUE, &v.value)?;
                    }
                    value => {
                        map.serialize_entry(TYPE_NAME, primitive_name(value))?;
                        map.serialize_entry(VALUE, &Plain(value))?;
                    }
                }
                map.end()
            }
        }
    }
}

/// A primitive whose type the reader knows.
struct Plain<'v>(&'v Value);

impl Serialize for Plain<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Bool(v) => serializer.serialize_bool(*v),
            Value::Byte(v) => serializer.serialize_i8(*v),
            Value::Short(v) => serializer.serialize_i16(*v),
            Value::Int(v) => serializer.serialize_i32(*v),
            Value::Long(v) => serializer.serialize_i64(*v),
            Value::Float(v) if v.is_finite() => serializer.serialize_f32(*v),
            Value::Double(v) if v.is_finite() => serializer.serialize_f64(*v),
            // JSON has no such numbers: XML Schema's names for them.
            Value::Float(v) => serializer.serialize_str(&double_text(f64::from(*v), String::new())),
            Value::Double(v) => serializer.serialize_str(&double_text(*v, String::new())),
            Value::Binary(v) => serializer.serialize_str(&STANDARD.encode(v)),
            value => serializer.serialize_str(value.as_str().unwrap_or_default()),
        }
    }
}

struct Items<'v> {
    array: &'v Array,
    declared: WireType,
}

impl Serialize for Items<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer
            .collect_seq(self.array.items.iter().map(|value| As { value, declared: self.declared }))
    }
}

fn serialize_object<S: Serializer>(
    object: &Object,
    named: bool,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(None)?;
    if named {
        map.serialize_entry(TYPE_NAME, &object.type_name)?;
    }
    for (name, value) in object.iter() {
        match (schema::member(&object.type_name, name), value) {
            (Some(Member { array: true, wire_type, .. }), Value::Array(array))
                if array.item_type == wire_type.name() =>
            {
                map.serialize_entry(name, &Items { array, declared: *wire_type })?;
            }
            // A repeated member that holds something else is boxed, so that nothing is guessed.
            (Some(Member { array: false, wire_type, .. }), value) => {
                map.serialize_entry(name, &As { value, declared: *wire_type })?;
            }
            (_, value) => map.serialize_entry(name, &As { value, declared: WireType::AnyType })?,
        }
    }
    map.end()
}

fn primitive_name(value: &Value) -> &'static str {
    match value {
        Value::Bool(_) => "boolean",
        Value::Byte(_) => "byte",
        Value::Short(_) => "short",
        Value::Int(_) => "int",
        Value::Long(_) => "long",
        Value::Float(_) => "float",
        Value::Double(_) => "double",
        Value::DateTime(_) => "dateTime",
        Value::Binary(_) => "base64Binary",
        _ => "string",
    }
}

fn array_name(item_type: &str) -> String {
    let Some(local) = item_type.strip_prefix("xsd:") else { return format!("ArrayOf{item_type}") };
    let mut chars = local.chars();
    let first: String = chars.next().into_iter().flat_map(char::to_uppercase).collect();
    format!("ArrayOf{first}{}", chars.as_str())
}

/// The item type that `ArrayOf...` stands for.
fn item_type_of(array_name: &str) -> String {
    let item = array_name.strip_prefix("ArrayOf").unwrap_or(array_name);
    if WireType::of_type(item).is_some() {
        return item.to_owned();
    }
    let mut chars = item.chars();
    let first: String = chars.next().into_iter().flat_map(char::to_lowercase).collect();
    let local = format!("{first}{}", chars.as_str());
    WireType::primitive(&local).map_or_else(|| item.to_owned(), |w| w.name().to_owned())
}

fn declared_item(item_type: &str) -> WireType {
    let found = match item_type.strip_prefix("xsd:") {
        Some(local) => WireType::primitive(local),
        None => WireType::of_type(item_type),
    };
    found.unwrap_or(WireType::AnyType)
}

/// What stands in the document, before the schema says what it means.
enum Json {
    Null,
    Bool(bool),
    Integer(i64),
    Number(f64),
    Text(String),
    List(Vec<Self>),
    Map(Vec<(String, Self)>),
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Json;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value of the VI API")
            }
            fn visit_unit<E>(self) -> Result<Json, E> {
                Ok(Json::Null)
            }
            fn visit_none<E>(self) -> Result<Json, E> {
                Ok(Json::Null)
            }
            fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
                Json::deserialize(deserializer)
            }
            fn visit_bool<E>(self, v: bool) -> Result<Json, E> {
                Ok(Json::Bool(v))
            }
            fn visit_i64<E>(self, v: i64) -> Result<Json, E> {
                Ok(Json::Integer(v))
            }
            fn visit_u64<E: de::Error>(self, v: u64) -> Result<Json, E> {
                // A double may have any size; an integer of the API has 64 bits with sign.
                Ok(i64::try_from(v).map_or(Json::Number(v as f64), Json::Integer))
            }
            fn visit_f64<E>(self, v: f64) -> Result<Json, E> {
                Ok(Json::Number(v))
            }
            fn visit_str<E>(self, v: &str) -> Result<Json, E> {
                Ok(Json::Text(v.to_owned()))
            }
            fn visit_string<E>(self, v: String) -> Result<Json, E> {
                Ok(Json::Text(v))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Json::List(items))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Json::Map(entries))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        value(Json::deserialize(deserializer)?, WireType::AnyType).map_err(de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match value(Json::deserialize(deserializer)?, WireType::AnyType) {
            Ok(Value::Object(object)) => Ok(object),
            Ok(_) => Err(de::Error::custom("not a data object")),
            Err(error) => Err(de::Error::custom(error)),
        }
    }
}

/// Takes the entry `key` out.
fn take(entries: &mut Vec<(String, Json)>, key: &str) -> Option<Json> {
    let at = entries.iter().position(|(k, _)| k == key)?;
    Some(entries.remove(at).1)
}

fn value(json: Json, declared: WireType) -> Result<Value, String> {
    match json {
        Json::Map(mut entries) => {
            let name = match take(&mut entries, TYPE_NAME) {
                Some(Json::Text(name)) => Some(name),
                Some(_) => return Err(format!("{TYPE_NAME} is no text")),
                None => None,
            };
            if let Some(content) = take(&mut entries, VALUE) {
                let name = name.ok_or_else(|| format!("{VALUE} without {TYPE_NAME}"))?;
                return boxed(&name, take(&mut entries, ITEM_TYPE), content);
            }
            let declared_name = match declared {
                WireType::Data(_) | WireType::MoRef => Some(declared.name().to_owned()),
                _ => None,
            };
            let name =
                name.or(declared_name).ok_or_else(|| format!("an object without {TYPE_NAME}"))?;
            if name == "ManagedObjectReference" {
                return reference(entries).map(Value::MoRef);
            }
            members(&name, entries).map(Value::Object)
        }
        Json::List(items) => {
            let items = items.into_iter().map(|item| value(item, declared));
            Ok(Array::new(declared.name(), items.collect::<Result<_, _>>()?).into())
        }
        Json::Null => Err(format!("null where {} is wanted", declared.name())),
        plain => primitive(plain, declared),
    }
}

fn reference(mut entries: Vec<(String, Json)>) -> Result<MoRef, String> {
    match (take(&mut entries, "type"), take(&mut entries, "value")) {
        (Some(Json::Text(kind)), Some(Json::Text(value))) => Ok(MoRef { kind, value }),
        _ => Err("a reference needs `type` and `value`".to_owned()),
    }
}

fn members(name: &str, entries: Vec<(String, Json)>) -> Result<Object, String> {
    let known = schema::data_type(name);
    let mut object =
        Object::new(known.map_or_else(|| Cow::Owned(name.to_owned()), |t| Cow::Borrowed(t.name)));
    for (key, json) in entries {
        let at = |e: String| format!("{e} at {name}.{key}");
        match schema::member(name, &key) {
            // As the wire has it: what is null is not there.
            _ if matches!(json, Json::Null) => {}
            Some(member) => {
                let read = value(json, member.wire_type).map_err(at)?;
                object.push(Cow::Borrowed(member.name), read);
            }
            None => {
                let read = value(json, WireType::AnyType).map_err(at)?;
                object.push(Cow::Owned(key), read);
            }
        }
    }
    Ok(object)
}

/// A value with its type's name: `{"_typeName": name, "_value": content}`.
fn boxed(name: &str, item_type: Option<Json>, content: Json) -> Result<Value, String> {
    if let (true, Json::List(_)) = (name.starts_with("ArrayOf"), &content) {
        let item_type = match item_type {
            Some(Json::Text(name)) => name,
            _ => item_type_of(name),
        };
        let Value::Array(mut array) = value(content, declared_item(&item_type))? else {
            return Err(format!("{name} is no list"));
        };
        array.item_type = match declared_item(&item_type) {
            wire if wire.name() == item_type => Cow::Borrowed(wire.name()),
            _ => Cow::Owned(item_type),
        };
        return Ok(array.into());
    }
    if let Some(wire) = WireType::primitive(name).filter(|w| *w != WireType::AnyType) {
        return primitive(content, wire);
    }
    match content {
        Json::Text(text) => Ok(EnumValue::new(name.to_owned(), text).into()),
        _ => Err(format!("a {name} that is no text")),
    }
}

fn primitive(json: Json, declared: WireType) -> Result<Value, String> {
    let wrong = || format!("not of the type {}", declared.name());
    Ok(match (json, declared) {
        (Json::Bool(v), WireType::Boolean | WireType::AnyType) => Value::Bool(v),
        (Json::Integer(v), WireType::Byte) => Value::Byte(v.try_into().map_err(|_| wrong())?),
        (Json::Integer(v), WireType::Short) => Value::Short(v.try_into().map_err(|_| wrong())?),
        (Json::Integer(v), WireType::Int) => Value::Int(v.try_into().map_err(|_| wrong())?),
        (Json::Integer(v), WireType::Long) => Value::Long(v),
        // Somebody else's JSON: the smallest type that holds it.
        (Json::Integer(v), WireType::AnyType) => {
            i32::try_from(v).map_or(Value::Long(v), Value::Int)
        }
        (Json::Integer(v), WireType::Float) => Value::Float(v as f32),
        (Json::Integer(v), WireType::Double) => Value::Double(v as f64),
        (Json::Number(v), WireType::Float) => Value::Float(v as f32),
        (Json::Number(v), WireType::Double | WireType::AnyType) => Value::Double(v),
        (Json::Text(v), WireType::Float | WireType::Double) => {
            let number = parse_double(&v).filter(|n| !n.is_finite()).ok_or_else(wrong)?;
            if declared == WireType::Float {
                Value::Float(number as f32)
            } else {
                Value::Double(number)
            }
        }
        (Json::Text(v), WireType::String | WireType::AnyUri | WireType::AnyType) => {
            Value::String(v)
        }
        (Json::Text(v), WireType::DateTime) => Value::DateTime(DateTime::new(v)),
        (Json::Text(v), WireType::Base64) => Value::Binary(parse_base64(&v).ok_or_else(wrong)?),
        (Json::Text(v), WireType::Enum(name)) => EnumValue::new(name, v).into(),
        _ => return Err(wrong()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::samples::Samples;

    fn through(value: &Value) -> Value {
        let text = serde_json::to_string(value).unwrap();
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}\n{text}"))
    }

    #[test]
    fn plain_where_the_schema_knows_named_where_not() {
        let disk = Object::new("VirtualDisk")
            .with("key", 2000)
            .with(
                "backing",
                Object::new("VirtualDiskFlatVer2BackingInfo").with("fileName", "[ds] a.vmdk"),
            )
            .with("capacityInKB", 1024i64)
            .with("new", 7);
        let change = Object::new("PropertyChange")
            .with("name", "x")
            .with("op", EnumValue::new("PropertyChangeOp", "assign"))
            .with("val", Array::new("VirtualDevice", vec![disk.into()]));
        insta::assert_snapshot!(serde_json::to_string_pretty(&change).unwrap(), @r#"
        {
          "_typeName": "PropertyChange",
          "name": "x",
          "op": "assign",
          "val": {
            "_typeName": "ArrayOfVirtualDevice",
            "_value": [
              {
                "_typeName": "VirtualDisk",
                "key": 2000,
                "backing": {
                  "_typeName": "VirtualDiskFlatVer2BackingInfo",
                  "fileName": "[ds] a.vmdk"
                },
                "capacityInKB": 1024,
                "new": {
                  "_typeName": "int",
                  "_value": 7
                }
              }
            ]
          }
        }
        "#);
        assert_eq!(through(&change.clone().into()), change.into());
    }

    #[test]
    fn odd_values_survive() {
        for value in [
            Value::Float(f32::INFINITY),
            Value::Double(f64::NEG_INFINITY),
            Value::Double(-0.0),
            Value::Long(i64::MIN),
            Value::Binary(vec![0, 255]),
            MoRef::new("Task", "t").into(),
            EnumValue::new("FutureEnum", "x").into(),
            Array::new("xsd:anyType", vec![1.into(), "a".into()]).into(),
            Array::new("FutureType", vec![Object::new("FutureType").into()]).into(),
            Array::new("xsd:unsignedInt", vec!["1".into()]).into(),
            // A member of another type than declared, and a list where none is.
            Object::new("Description").with("label", 5).into(),
            Object::new("Description")
                .with("label", Array::new("xsd:string", vec!["a".into()]))
                .into(),
            Object::new("FutureType").with("any", Object::new("Description")).into(),
        ] {
            assert_eq!(through(&value), value);
        }
        assert!(matches!(through(&Value::Double(f64::NAN)), Value::Double(v) if v.is_nan()));
    }

    #[test]
    fn what_means_nothing_is_refused() {
        for text in [
            "{}",
            "null",
            r#"{"_typeName": 5}"#,
            r#"{"_value": 5}"#,
            r#"{"_typeName": "Description", "label": 5}"#,
            r#"{"_typeName": "byte", "_value": 300}"#,
            r#"{"_typeName": "ManagedObjectReference", "type": "Task"}"#,
        ] {
            assert!(serde_json::from_str::<Value>(text).is_err(), "{text}");
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn every_type_survives(seed: u64, full: bool, index: usize) {
            let all: Vec<_> = schema::data_types().collect();
            let mut samples = Samples::new(seed);
            samples.full = full;
            let value = Value::Object(samples.object(all[index % all.len()].name, 0));
            proptest::prop_assert_eq!(through(&value), value);
        }
    }
}
