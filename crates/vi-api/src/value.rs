//! The dynamic form of everything on the wire: references, values, objects, arrays.

use std::borrow::Cow;
use std::fmt;

/// A managed object reference: the name of an object that lives on the host.
///
/// Source: VI API `ManagedObjectReference` (attribute `type`, text).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MoRef {
    /// The class of the managed object, for example `VirtualMachine`.
    pub kind: String,
    /// The host's name for it, for example `vm-42`; opaque.
    pub value: String,
}

impl MoRef {
    /// The reference to the object `value` of the class `kind`.
    pub fn new(kind: impl Into<String>, value: impl Into<String>) -> Self {
        Self { kind: kind.into(), value: value.into() }
    }
}

impl fmt::Display for MoRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind, self.value)
    }
}

impl fmt::Debug for MoRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A value whose type was found while decoding. The schema's primitive types, in Rust's words.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "each variant is the schema type of the same name")]
pub enum Value {
    Bool(bool),
    Byte(i8),
    Short(i16),
    Int(i32),
    Long(i64),
    Float(f32),
    Double(f64),
    String(String),
    DateTime(crate::DateTime),
    Binary(Vec<u8>),
    Enum(EnumValue),
    MoRef(MoRef),
    Object(Object),
    Array(Array),
}

impl Default for Value {
    /// The empty string: what an absent text counts as.
    fn default() -> Self {
        Self::String(String::new())
    }
}

/// A value of an enumeration: the text as it was sent, known to the schema or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnumValue {
    /// The enumeration's name in the schema.
    pub type_name: Cow<'static, str>,
    /// The value's text.
    pub value: Cow<'static, str>,
}

impl EnumValue {
    /// The value `value` of the enumeration `type_name`.
    pub fn new(
        type_name: impl Into<Cow<'static, str>>,
        value: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { type_name: type_name.into(), value: value.into() }
    }
}

/// An `ArrayOf...` value, or the items of a repeated member.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// The declared type of the items, as the schema names it: `VirtualDevice`,
    /// `ManagedObjectReference`, or for primitives `xsd:string`, `xsd:int` and so on.
    pub item_type: Cow<'static, str>,
    /// The items, in order.
    pub items: Vec<Value>,
}

impl Array {
    /// An array of `items` whose declared item type is `item_type`.
    pub fn new(item_type: impl Into<Cow<'static, str>>, items: Vec<Value>) -> Self {
        Self { item_type: item_type.into(), items }
    }
}

/// A data object as name and members, known to the schema or not. Members keep their order.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Object {
    /// The type's name in the schema, without a prefix.
    pub type_name: Cow<'static, str>,
    members: Vec<(Cow<'static, str>, Value)>,
}

impl Object {
    /// An object of the type `type_name` without members.
    pub fn new(type_name: impl Into<Cow<'static, str>>) -> Self {
        Self { type_name: type_name.into(), members: Vec::new() }
    }

    /// The same with the member `name` set.
    #[must_use]
    pub fn with(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<Value>) -> Self {
        self.set(name, value);
        self
    }

    /// The same with the member `name` set if there is a value.
    #[must_use]
    pub fn with_opt(
        self,
        name: impl Into<Cow<'static, str>>,
        value: Option<impl Into<Value>>,
    ) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// The member `name`.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.members.iter().find(|(n, _)| n == name).map(|(_, v)| v)
    }

    /// The member `name`, to change.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Value> {
        self.members.iter_mut().find(|(n, _)| n == name).map(|(_, v)| v)
    }

    /// Sets the member `name`, in place if it exists, else at the end.
    pub fn set(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<Value>) {
        let (name, value) = (name.into(), value.into());
        match self.get_mut(&name) {
            Some(old) => *old = value,
            None => self.members.push((name, value)),
        }
    }

    /// Adds a member without looking for an older one of the name: for decoders.
    pub(crate) fn push(&mut self, name: Cow<'static, str>, value: Value) {
        self.members.push((name, value));
    }

    /// Takes the member `name` out.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        let index = self.members.iter().position(|(n, _)| n == name)?;
        Some(self.members.remove(index).1)
    }

    /// The members in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.members.iter().map(|(n, v)| (n.as_ref(), v))
    }

    /// How many members are set.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether no member is set.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The member behind a dotted property path such as `config.hardware.numCPU`.
    pub fn get_path(&self, path: &str) -> Option<&Value> {
        let (first, rest) = path.split_once('.').map_or((path, None), |(f, r)| (f, Some(r)));
        let value = self.get(first)?;
        match (rest, value) {
            (None, _) => Some(value),
            (Some(rest), Value::Object(object)) => object.get_path(rest),
            _ => None,
        }
    }

    /// The text of the member `name`, if it is text or an enumeration value.
    pub fn str(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_str)
    }
}

impl Value {
    /// The text of a string, date or enumeration value.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            Self::Enum(value) => Some(&value.value),
            Self::DateTime(value) => Some(value.as_str()),
            _ => None,
        }
    }

    /// The number, if it is a whole one of any width.
    pub fn as_i64(&self) -> Option<i64> {
        match *self {
            Self::Byte(n) => Some(n.into()),
            Self::Short(n) => Some(n.into()),
            Self::Int(n) => Some(n.into()),
            Self::Long(n) => Some(n),
            _ => None,
        }
    }

    /// The truth value.
    pub fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(value) = self { Some(*value) } else { None }
    }

    /// The reference.
    pub fn as_moref(&self) -> Option<&MoRef> {
        if let Self::MoRef(value) = self { Some(value) } else { None }
    }

    /// The data object.
    pub fn as_object(&self) -> Option<&Object> {
        if let Self::Object(value) = self { Some(value) } else { None }
    }

    /// The items of an array; any other value counts as an array of one.
    pub fn items(&self) -> &[Self] {
        if let Self::Array(array) = self { &array.items } else { std::slice::from_ref(self) }
    }
}

macro_rules! from {
    ($($source:ty => $variant:ident),* $(,)?) => {$(
        impl From<$source> for Value {
            fn from(value: $source) -> Self {
                Self::$variant(value.into())
            }
        }
    )*};
}

from! {
    bool => Bool, i8 => Byte, i16 => Short, i32 => Int, i64 => Long, f32 => Float, f64 => Double,
    &str => String, String => String, crate::DateTime => DateTime, Vec<u8> => Binary,
    EnumValue => Enum, MoRef => MoRef, Object => Object, Array => Array,
}

impl From<&MoRef> for Value {
    fn from(value: &MoRef) -> Self {
        Self::MoRef(value.clone())
    }
}
