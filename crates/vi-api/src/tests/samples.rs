//! Random data objects by the schema tables: for the tests of this crate and for the example that
//! `cargo xtask wsdl check` hands to xmllint.

use std::collections::HashMap;

use esx_vi_api::schema::{self, Member, WireType};
use esx_vi_api::{Array, DateTime, EnumValue, MoRef, Object, Value};

/// The values that may be used of an enumeration, by its name; `None` for all.
pub(crate) type EnumValues = Box<dyn Fn(&str) -> Option<Vec<String>>>;

/// Makes values. The same seed makes the same values, on any machine.
pub(crate) struct Samples {
    state: u64,
    /// Set every member that the depth allows, not a random half of them.
    pub(crate) full: bool,
    /// Leave line breaks out of texts.
    pub(crate) one_line: bool,
    /// Which values of an enumeration may be used; all that the tables know if it says nothing.
    pub(crate) enum_values: EnumValues,
    families: HashMap<&'static str, Vec<&'static str>>,
}

impl Samples {
    pub(crate) fn new(seed: u64) -> Self {
        let state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        Self {
            state,
            full: false,
            one_line: false,
            enum_values: Box::new(|_| None),
            families: HashMap::new(),
        }
    }

    /// A number below `bound`, which is not 0 (xorshift64*).
    fn below(&mut self, bound: usize) -> usize {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        let high = self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(high).unwrap_or(0) % bound
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }

    /// An object of exactly the type `name`, with every mandatory member.
    pub(crate) fn object(&mut self, name: &str, depth: usize) -> Object {
        let members: Vec<_> = schema::members(name).collect();
        let type_name = schema::data_type(name).map_or("", |t| t.name);
        self.members(Object::new(type_name), &members, depth)
    }

    /// The arguments of the method `name`.
    pub(crate) fn arguments(&mut self, name: &str) -> Object {
        let params: Vec<_> =
            schema::method(name).map_or(&[][..], |(_, m)| m.params).iter().collect();
        self.members(Object::new(format!("{name}RequestType")), &params, 0)
    }

    fn members(&mut self, mut object: Object, members: &[&'static Member], depth: usize) -> Object {
        for member in members {
            let wanted = match depth {
                0 | 1 => self.full || self.below(2) == 0,
                2 | 3 => self.full && !is_data(member) || self.below(4) == 0,
                _ => false,
            };
            if member.optional && !wanted {
                continue;
            }
            let value = if member.array {
                let count = if depth < 3 { 1 + self.below(2) } else { 1 };
                let items = (0..count).map(|_| self.value(member.wire_type, depth + 1)).collect();
                Value::from(Array::new(member.wire_type.name(), items))
            } else {
                self.value(member.wire_type, depth + 1)
            };
            object.set(member.name, value);
        }
        object
    }

    fn text(&mut self) -> String {
        let parts = [
            "",
            "a",
            "[ds1] dir/a.vmx",
            "<&>\"'",
            " lead",
            "trail ",
            "two\nlines",
            "tab\t",
            "é",
            "日本",
            "😀",
            "%2f",
            "]]>",
            "&amp;",
            "\r\n",
            "0",
            "true",
        ];
        let text = format!("{}{}", self.pick(&parts), self.pick(&parts));
        if self.one_line { text.replace(['\r', '\n'], " ") } else { text }
    }

    fn value(&mut self, wire: WireType, depth: usize) -> Value {
        match wire {
            WireType::Boolean => Value::Bool(self.below(2) == 0),
            WireType::Byte => Value::Byte(self.pick(&[i8::MIN, -1, 0, 7, i8::MAX])),
            WireType::Short => Value::Short(self.pick(&[i16::MIN, -1, 0, 300, i16::MAX])),
            WireType::Int => Value::Int(self.pick(&[i32::MIN, -1, 0, 1, 4096, i32::MAX])),
            WireType::Long => Value::Long(self.pick(&[i64::MIN, -1, 0, 1 << 40, i64::MAX])),
            WireType::Float => {
                Value::Float(self.pick(&[0.0, -1.5, 0.1, f32::MAX, f32::MIN_POSITIVE]))
            }
            WireType::Double => {
                Value::Double(self.pick(&[0.0, -2.25, 0.1, f64::MAX, f64::MIN_POSITIVE, 1e21]))
            }
            WireType::String => Value::String(self.text()),
            WireType::AnyUri => Value::String(self.pick(&["http://h/a?b=c", "x"]).to_owned()),
            WireType::DateTime => Value::DateTime(DateTime::new(self.pick(&[
                "2024-02-29T12:00:00Z",
                "2010-04-08T14:45:11.529576+02:00",
                "1969-12-31T23:59:59-07:00",
            ]))),
            WireType::Base64 => {
                let length = self.below(9);
                Value::Binary(
                    (0..length).map(|n| u8::try_from(n * 31 % 256).unwrap_or(0)).collect(),
                )
            }
            WireType::MoRef => Value::MoRef(MoRef::new(
                self.pick(&["VirtualMachine", "HostSystem", "Task"]),
                self.pick(&["vm-1", "ha-host", "a&b"]),
            )),
            WireType::Enum(name) => self.enumeration(name),
            WireType::Data(name) => {
                let actual = self.subtype(name, depth);
                Value::Object(self.object(actual, depth))
            }
            WireType::AnyType => self.any(depth),
        }
    }

    fn enumeration(&mut self, name: &'static str) -> Value {
        let all = || {
            schema::enumeration(name).map(|e| e.values.iter().map(|v| (*v).to_owned()).collect())
        };
        let values: Vec<String> = (self.enum_values)(name).or_else(all).unwrap_or_default();
        let value = self.pick(&values);
        Value::Enum(EnumValue::new(name, value))
    }

    /// The declared type itself where it is deep: subtypes are bigger.
    fn subtype(&mut self, name: &'static str, depth: usize) -> &'static str {
        // `DynamicData` and `MethodFault` without more say nothing that a test could lose.
        if depth > 3 {
            return name;
        }
        let family = self.families.entry(name).or_insert_with(|| {
            schema::data_types().map(|t| t.name).filter(|t| schema::is_subtype(t, name)).collect()
        });
        let family = family.clone();
        self.pick(&family)
    }

    /// Something for `xsd:anyType`. The arrays are those that every snapshot has.
    fn any(&mut self, depth: usize) -> Value {
        let item = self.pick(&[
            WireType::Boolean,
            WireType::Byte,
            WireType::Short,
            WireType::Int,
            WireType::Long,
            WireType::Float,
            WireType::Double,
            WireType::String,
            WireType::DateTime,
            WireType::Base64,
            WireType::MoRef,
            WireType::Enum("VirtualMachinePowerState"),
            WireType::Data("Description"),
            WireType::Data("VirtualDevice"),
        ]);
        let arrays =
            [WireType::Int, WireType::String, WireType::MoRef, WireType::Data("VirtualDevice")];
        if arrays.contains(&item) && self.below(2) == 0 {
            let items = (0..self.below(3)).map(|_| self.value(item, depth + 1)).collect();
            return Array::new(item.name(), items).into();
        }
        self.value(item, depth + 1)
    }
}

fn is_data(member: &Member) -> bool {
    matches!(member.wire_type, WireType::Data(_) | WireType::AnyType)
}
