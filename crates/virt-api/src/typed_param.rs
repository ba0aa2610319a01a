//! Named values of several types (libvirt `virTypedParameter`).

use std::fmt;

/// A named value, such as `min_guarantee` of the memory parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct TypedParam {
    /// libvirt's name of the parameter (at most 79 bytes on the wire).
    pub name: String,
    /// The value with its type.
    pub value: TypedValue,
}

impl TypedParam {
    /// A parameter of the value's own type.
    pub fn new(name: impl Into<String>, value: impl Into<TypedValue>) -> Self {
        Self { name: name.into(), value: value.into() }
    }
}

impl fmt::Display for TypedParam {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.value)
    }
}

/// A value of one of libvirt's parameter types (`virTypedParameterType`).
#[derive(Clone, Debug, PartialEq)]
pub enum TypedValue {
    /// `VIR_TYPED_PARAM_INT`
    Int(i32),
    /// `VIR_TYPED_PARAM_UINT`
    UInt(u32),
    /// `VIR_TYPED_PARAM_LLONG`
    LLong(i64),
    /// `VIR_TYPED_PARAM_ULLONG`
    ULLong(u64),
    /// `VIR_TYPED_PARAM_DOUBLE`
    Double(f64),
    /// `VIR_TYPED_PARAM_BOOLEAN`
    Boolean(bool),
    /// `VIR_TYPED_PARAM_STRING`
    String(String),
}

impl TypedValue {
    /// libvirt's number of the type.
    #[must_use]
    pub const fn type_number(&self) -> u32 {
        match self {
            Self::Int(_) => 1,
            Self::UInt(_) => 2,
            Self::LLong(_) => 3,
            Self::ULLong(_) => 4,
            Self::Double(_) => 5,
            Self::Boolean(_) => 6,
            Self::String(_) => 7,
        }
    }

    /// libvirt's short name of the type (`int`, `uint`, `llong`, ...).
    #[must_use]
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::Int(_) => "int",
            Self::UInt(_) => "uint",
            Self::LLong(_) => "llong",
            Self::ULLong(_) => "ullong",
            Self::Double(_) => "double",
            Self::Boolean(_) => "boolean",
            Self::String(_) => "string",
        }
    }
}

impl fmt::Display for TypedValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(value) => value.fmt(f),
            Self::UInt(value) => value.fmt(f),
            Self::LLong(value) => value.fmt(f),
            Self::ULLong(value) => value.fmt(f),
            Self::Double(value) => value.fmt(f),
            Self::Boolean(value) => value.fmt(f),
            Self::String(value) => value.fmt(f),
        }
    }
}

/// Makes the obvious conversions.
macro_rules! from {
    ($($type:ty => $variant:ident;)*) => {
        $(impl From<$type> for TypedValue {
            fn from(value: $type) -> Self {
                Self::$variant(value)
            }
        })*
    };
}

from! {
    i32 => Int;
    u32 => UInt;
    i64 => LLong;
    u64 => ULLong;
    f64 => Double;
    bool => Boolean;
    String => String;
}

impl From<&str> for TypedValue {
    fn from(value: &str) -> Self {
        Self::String(value.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::{TypedParam, TypedValue};

    #[test]
    fn types_have_libvirts_numbers() {
        let values: [TypedValue; 7] = [
            1_i32.into(),
            1_u32.into(),
            1_i64.into(),
            1_u64.into(),
            1.5_f64.into(),
            true.into(),
            "x".into(),
        ];
        assert_eq!(values.each_ref().map(TypedValue::type_number), [1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(
            values.each_ref().map(TypedValue::type_name),
            ["int", "uint", "llong", "ullong", "double", "boolean", "string"]
        );
        assert_eq!(TypedParam::new("min_guarantee", 1024_u64).to_string(), "min_guarantee=1024");
    }
}
