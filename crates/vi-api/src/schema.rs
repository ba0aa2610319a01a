//! The whole VI API 8.0 as static tables: data objects, enumerations, managed objects, methods.
//!
//! The tables cost nothing until they are asked. They answer which type derives from which, what
//! a member holds on the wire, and since which API version a thing exists.

use crate::ApiVersion;
use crate::generated::tables;

/// What a member, parameter, property or result holds on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the XSD types of the same names")]
pub enum WireType {
    Boolean,
    Byte,
    Short,
    Int,
    Long,
    Float,
    Double,
    String,
    DateTime,
    Base64,
    AnyUri,
    /// `xsd:anyType`: `xsi:type` says what it is.
    AnyType,
    /// A managed object reference.
    MoRef,
    /// An enumeration of the schema.
    Enum(&'static str),
    /// A data object or fault of the schema, or of a type derived from it.
    Data(&'static str),
}

impl WireType {
    /// The name as the schema writes it: `xsd:int`, `ManagedObjectReference`, `VirtualDevice`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Boolean => "xsd:boolean",
            Self::Byte => "xsd:byte",
            Self::Short => "xsd:short",
            Self::Int => "xsd:int",
            Self::Long => "xsd:long",
            Self::Float => "xsd:float",
            Self::Double => "xsd:double",
            Self::String => "xsd:string",
            Self::DateTime => "xsd:dateTime",
            Self::Base64 => "xsd:base64Binary",
            Self::AnyUri => "xsd:anyURI",
            Self::AnyType => "xsd:anyType",
            Self::MoRef => "ManagedObjectReference",
            Self::Enum(name) | Self::Data(name) => name,
        }
    }

    /// The wire type of the primitive `xsd:NAME`, given `NAME`.
    pub fn primitive(local: &str) -> Option<Self> {
        Some(match local {
            "boolean" => Self::Boolean,
            "byte" => Self::Byte,
            "short" => Self::Short,
            "int" => Self::Int,
            "long" => Self::Long,
            "float" => Self::Float,
            "double" => Self::Double,
            "string" => Self::String,
            "dateTime" => Self::DateTime,
            "base64Binary" => Self::Base64,
            "anyURI" => Self::AnyUri,
            "anyType" => Self::AnyType,
            _ => return None,
        })
    }

    /// The wire type of the schema's type `name` (data object, fault, enumeration, reference).
    pub fn of_type(name: &str) -> Option<Self> {
        if name == "ManagedObjectReference" {
            return Some(Self::MoRef);
        }
        data_type(name)
            .map(|t| Self::Data(t.name))
            .or_else(|| enumeration(name).map(|e| Self::Enum(e.name)))
    }
}

/// A member of a data object, a parameter of a method, or a property of a managed object.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    /// Its name on the wire.
    pub name: &'static str,
    /// What it holds; for an array, what each item holds.
    pub wire_type: WireType,
    /// Whether it repeats.
    pub array: bool,
    /// Whether it may be absent (XSD `minOccurs="0"`).
    pub optional: bool,
    /// The API version that introduced it; never older than its owner.
    pub since: ApiVersion,
}

/// A data object or fault type.
#[derive(Clone, Copy, Debug)]
pub struct DataType {
    /// Its name.
    pub name: &'static str,
    /// The type it derives from; only the roots have none.
    pub base: Option<&'static str>,
    /// The API version that introduced it.
    pub since: ApiVersion,
    /// Its own members, without inherited ones, in schema order.
    pub members: &'static [Member],
}

/// An enumeration.
#[derive(Clone, Copy, Debug)]
pub struct Enumeration {
    /// Its name.
    pub name: &'static str,
    /// The API version that introduced it. Its values carry no version.
    pub since: ApiVersion,
    /// The values the 8.0 schema knows.
    pub values: &'static [&'static str],
}

/// A class of managed objects.
#[derive(Clone, Copy, Debug)]
pub struct ManagedType {
    /// Its name.
    pub name: &'static str,
    /// The class it derives from; `None` for those directly below `ManagedObject`.
    pub base: Option<&'static str>,
    /// The API version that introduced it.
    pub since: ApiVersion,
    /// Its own properties, without inherited ones.
    pub properties: &'static [Member],
    /// Its own methods, without inherited ones.
    pub methods: &'static [MethodType],
}

/// A method of a managed object.
#[derive(Clone, Copy, Debug)]
pub struct MethodType {
    /// Its name on the wire, for example `PowerOnVM_Task`.
    pub name: &'static str,
    /// The API version that introduced it.
    pub since: ApiVersion,
    /// Its parameters without `_this`, in schema order.
    pub params: &'static [Member],
    /// Its result; `None` if it returns nothing.
    pub result: Option<Member>,
}

fn find<T>(
    table: &'static [T],
    name: &str,
    key: impl Fn(&T) -> &'static str,
) -> Option<&'static T> {
    table.binary_search_by(|entry| key(entry).cmp(name)).ok().map(|index| &table[index])
}

/// All data objects and faults, in parts that are each sorted by name.
fn data_parts() -> &'static [&'static [DataType]] {
    tables::DATA
}

/// The data object or fault type `name`.
pub fn data_type(name: &str) -> Option<&'static DataType> {
    // Each part is sorted and begins after the end of the one before.
    let part =
        data_parts().partition_point(|part| part.last().is_some_and(|last| last.name < name));
    find(data_parts().get(part)?, name, |t| t.name)
}

/// Every data object and fault type, by name.
pub fn data_types() -> impl Iterator<Item = &'static DataType> {
    data_parts().iter().copied().flatten()
}

/// The enumeration `name`.
pub fn enumeration(name: &str) -> Option<&'static Enumeration> {
    find(tables::ENUMS, name, |e| e.name)
}

/// Every enumeration, by name.
pub fn enumerations() -> impl Iterator<Item = &'static Enumeration> {
    tables::ENUMS.iter()
}

/// The class of managed objects `name`.
pub fn managed_type(name: &str) -> Option<&'static ManagedType> {
    find(tables::MANAGED, name, |m| m.name)
}

/// Every class of managed objects, by name.
pub fn managed_types() -> impl Iterator<Item = &'static ManagedType> {
    tables::MANAGED.iter()
}

/// The method `name` and the class that declares it.
pub fn method(name: &str) -> Option<(&'static ManagedType, &'static MethodType)> {
    let index = tables::METHOD_INDEX.binary_search_by(|(n, _)| (*n).cmp(name)).ok()?;
    let class = managed_type(tables::METHOD_INDEX[index].1)?;
    Some((class, class.methods.iter().find(|m| m.name == name)?))
}

/// Whether the data type `name` is `base` or derives from it.
pub fn is_subtype(name: &str, base: &str) -> bool {
    let mut current = Some(name);
    while let Some(name) = current {
        if name == base {
            return true;
        }
        current = data_type(name).and_then(|t| t.base);
    }
    false
}

/// Whether the class of managed objects `name` is `base` or derives from it.
pub fn is_managed_subtype(name: &str, base: &str) -> bool {
    let mut current = Some(name);
    while let Some(name) = current {
        if name == base {
            return true;
        }
        current = managed_type(name).and_then(|t| t.base);
    }
    base == "ManagedObject"
}

/// The members of the data type `name`, inherited ones first, in wire order; empty if unknown.
pub fn members(name: &str) -> impl Iterator<Item = &'static Member> {
    let mut chain = Vec::new();
    let mut current = data_type(name);
    while let Some(data) = current {
        chain.push(data.members);
        current = data.base.and_then(data_type);
    }
    chain.into_iter().rev().flatten()
}

/// The member `member` of the data type `name`, own or inherited.
pub fn member(name: &str, member: &str) -> Option<&'static Member> {
    let mut current = data_type(name);
    while let Some(data) = current {
        if let Some(found) = data.members.iter().find(|m| m.name == member) {
            return Some(found);
        }
        current = data.base.and_then(data_type);
    }
    None
}

/// The members of one data type, looked up once for all that are asked for.
pub(crate) struct Members {
    /// The type itself, then what it derives from.
    chain: [Option<&'static DataType>; 8],
}

impl Members {
    pub(crate) fn of(name: &str) -> Self {
        let mut chain = [None; 8];
        let mut current = data_type(name);
        for slot in &mut chain {
            *slot = current;
            current = current.and_then(|t| t.base).and_then(data_type);
        }
        Self { chain }
    }

    /// The type's name, if the tables know it.
    pub(crate) fn type_name(&self) -> Option<&'static str> {
        self.chain[0].map(|t| t.name)
    }

    /// The member `name`, own or inherited.
    pub(crate) fn get(&self, name: &str) -> Option<&'static Member> {
        self.chain.iter().flatten().find_map(|t| t.members.iter().find(|m| m.name == name))
    }
}

/// The properties of the class of managed objects `name`, inherited ones first.
pub fn properties(name: &str) -> impl Iterator<Item = &'static Member> {
    let mut chain = Vec::new();
    let mut current = managed_type(name);
    while let Some(class) = current {
        chain.push(class.properties);
        current = class.base.and_then(managed_type);
    }
    chain.into_iter().rev().flatten()
}

/// The API version since which the property path `path` of the class `class` exists: the newest of
/// its parts. `None` if the tables do not know the path; a part of a data type may be any subtype's.
pub fn property_path_since(class: &str, path: &str) -> Option<ApiVersion> {
    let mut parts = path.split('.').map(|part| part.split('[').next().unwrap_or(part));
    let first = parts.next()?;
    let property = properties(class).find(|p| p.name == first)?;
    let (mut since, mut wire) = (property.since, property.wire_type);
    for part in parts {
        let WireType::Data(owner) = wire else { return None };
        let found = member(owner, part)?;
        since = since.max(found.since);
        wire = found.wire_type;
    }
    Some(since)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted_and_complete() {
        assert!(data_types().map(|t| t.name).is_sorted());
        assert!(enumerations().map(|t| t.name).is_sorted());
        assert!(managed_types().map(|t| t.name).is_sorted());
        for data in data_types() {
            assert_eq!(data_type(data.name).map(|t| t.name), Some(data.name));
            assert!(data.base.is_none_or(|b| data_type(b).is_some()), "{}", data.name);
            for member in data.members {
                match member.wire_type {
                    WireType::Data(name) => assert!(data_type(name).is_some(), "{name}"),
                    WireType::Enum(name) => assert!(enumeration(name).is_some(), "{name}"),
                    _ => {}
                }
            }
        }
        for class in managed_types() {
            for m in class.methods {
                assert!(method(m.name).is_some(), "{}", m.name);
            }
        }
    }

    #[test]
    fn paths_know_their_age() {
        let since = |path| property_path_since("VirtualMachine", path);
        assert!(since("name").unwrap() <= ApiVersion::V2_5);
        assert_eq!(since("config.instanceUuid"), Some(ApiVersion::V4_0));
        assert!(since("runtime.powerState").unwrap() <= ApiVersion::V2_5);
        assert_eq!(since("config.nope"), None);
        assert_eq!(since("name.x"), None);
    }

    /// `Members` has room for the longest chain.
    #[test]
    fn no_type_derives_through_more_than_eight() {
        for data in data_types() {
            let all: Vec<_> = members(data.name).map(|m| m.name).collect();
            let found = Members::of(data.name);
            assert!(all.iter().all(|m| found.get(m).is_some()), "{}", data.name);
        }
    }

    #[test]
    fn known_facts() {
        assert!(is_subtype("VirtualE1000", "VirtualDevice"));
        assert!(!is_subtype("VirtualDevice", "VirtualE1000"));
        assert!(is_managed_subtype("ClusterComputeResource", "ComputeResource"));
        assert_eq!(
            members("TraversalSpec").map(|m| m.name).collect::<Vec<_>>(),
            ["name", "type", "path", "skip", "selectSet"]
        );
        assert_eq!(
            member("VirtualMachineConfigInfo", "instanceUuid").unwrap().since,
            ApiVersion::V4_0
        );
        let (class, found) = method("FindByUuid").unwrap();
        assert_eq!((class.name, found.params.len()), ("SearchIndex", 4));
        assert_eq!(method("RetrievePropertiesEx").unwrap().1.since, ApiVersion::V4_1);
        assert!(properties("VirtualMachine").any(|p| p.name == "runtime"));
        assert!(
            properties("VirtualMachine").any(|p| p.name == "name"),
            "inherited from ManagedEntity"
        );
    }
}
