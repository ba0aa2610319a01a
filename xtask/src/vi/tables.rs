//! The whole schema as static tables.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::schema::{Member, Schema};

/// A table file is cut once it has this many lines.
const MAX_LINES: usize = 1700;

/// `8.0.2.0` as a call of the helper `v`.
pub(crate) fn version(text: &str) -> String {
    let (numbers, update) = text.split_once('u').unwrap_or((text, ""));
    let update: String = update.chars().take_while(char::is_ascii_digit).collect();
    let mut parts: Vec<String> = numbers.split('.').map(str::to_owned).collect();
    parts.resize(4, "0".to_owned());
    match update.as_str() {
        "" => format!("v({})", parts.join(", ")),
        update => format!("v({}).update({update})", parts.join(", ")),
    }
}

fn wire_type(schema: &Schema, name: &str) -> String {
    let local = match name.strip_prefix("xsd:") {
        Some("boolean") => "Boolean",
        Some("byte") => "Byte",
        Some("short") => "Short",
        Some("int") => "Int",
        Some("long") => "Long",
        Some("float") => "Float",
        Some("double") => "Double",
        Some("string") => "String",
        Some("dateTime") => "DateTime",
        Some("base64Binary") => "Base64",
        Some("anyURI") => "AnyUri",
        Some(_) => "AnyType",
        None if name == "ManagedObjectReference" => "MoRef",
        None if schema.enums.contains_key(name) => return format!("W::Enum({name:?})"),
        None => return format!("W::Data({name:?})"),
    };
    format!("W::{local}")
}

fn member(schema: &Schema, member: &Member) -> String {
    let since = if member.since.is_empty() { "2.0" } else { &member.since };
    format!(
        "m({:?}, {}, {}, {}, {})",
        member.name,
        wire_type(schema, &member.type_name),
        member.array,
        member.optional,
        version(since)
    )
}

fn members(out: &mut String, schema: &Schema, list: &[Member], indent: &str) {
    if list.is_empty() {
        out.push_str("&[]");
        return;
    }
    out.push_str("&[\n");
    for one in list {
        let _ = writeln!(out, "{indent}    {},", member(schema, one));
    }
    let _ = write!(out, "{indent}]");
}

/// The table files by name, `mod.rs` included.
pub(crate) fn emit(schema: &Schema) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let mut parts: Vec<String> = Vec::new();
    let mut current = String::new();
    for (name, data) in &schema.types {
        let base = data.base.as_ref().map_or_else(|| "None".to_owned(), |b| format!("Some({b:?})"));
        let since = if data.since.is_empty() { "2.0" } else { &data.since };
        let _ = write!(current, "    d({name:?}, {base}, {}, ", version(since));
        members(&mut current, schema, &data.members, "    ");
        current.push_str("),\n");
        if current.lines().count() > MAX_LINES {
            parts.push(std::mem::take(&mut current));
        }
    }
    parts.push(current);
    let parts: Vec<_> = parts.into_iter().filter(|p| !p.is_empty()).collect();
    for (index, part) in parts.iter().enumerate() {
        let text = format!(
            "//! Data objects and faults, part {index}.\n\nuse super::*;\n\npub(super) static PART: &[DataType] = &[\n{part}];\n"
        );
        files.insert(format!("data_{index:02}.rs"), text);
    }

    let mut enums = String::from(
        "//! Enumerations.\n\nuse super::*;\n\npub(crate) static ENUMS: &[Enumeration] = &[\n",
    );
    for (name, found) in &schema.enums {
        let since = if found.since.is_empty() { "2.0" } else { &found.since };
        let _ = writeln!(
            enums,
            "    Enumeration {{ name: {name:?}, since: {}, values: &{:?} }},",
            version(since),
            found.values
        );
    }
    enums.push_str("];\n");
    files.insert("enums.rs".to_owned(), enums);

    let mut managed: Vec<String> = Vec::new();
    let mut current = String::new();
    let mut index: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, class) in &schema.managed {
        let base =
            class.base.as_ref().map_or_else(|| "None".to_owned(), |b| format!("Some({b:?})"));
        let _ =
            writeln!(current, "pub(super) const {}: ManagedType = ManagedType {{", constant(name));
        let _ = writeln!(
            current,
            "    name: {name:?},\n    base: {base},\n    since: {},",
            version(&class.since)
        );
        current.push_str("    properties: ");
        members(&mut current, schema, &class.properties, "    ");
        current.push_str(",\n    methods: &[\n");
        for method in &class.methods {
            index.insert(&method.name, name);
            let _ = write!(current, "        f({:?}, {}, ", method.name, version(&method.since));
            members(&mut current, schema, &method.params, "        ");
            match &method.result {
                None => current.push_str(", None),\n"),
                Some(result) => {
                    let _ = writeln!(current, ", Some({})),", member(schema, result));
                }
            }
        }
        current.push_str("    ],\n};\n\n");
        if current.lines().count() > MAX_LINES {
            managed.push(std::mem::take(&mut current));
        }
    }
    managed.push(current);
    let managed: Vec<_> = managed.into_iter().filter(|p| !p.is_empty()).collect();
    for (number, part) in managed.iter().enumerate() {
        let text = format!(
            "//! Managed objects, part {number}.\n\nuse super::*;\n\n{}\n",
            part.trim_end()
        );
        files.insert(format!("managed_{number:02}.rs"), text);
    }

    let mut out = String::from(
        "//! The whole schema as static tables; [`crate::schema`] is how to ask them.\n\n",
    );
    out.push_str("use crate::ApiVersion;\nuse crate::schema::{DataType, Enumeration, ManagedType, Member, MethodType, WireType as W};\n\n");
    for number in 0..parts.len() {
        let _ = writeln!(out, "mod data_{number:02};");
    }
    out.push_str("mod enums;\n");
    for number in 0..managed.len() {
        let _ = writeln!(out, "mod managed_{number:02};");
    }
    out.push_str("\npub(crate) use enums::ENUMS;\n\n");
    out.push_str("const fn v(major: u16, minor: u16, patch: u16, build: u16) -> ApiVersion {\n    ApiVersion::new(major, minor, patch, build)\n}\n\n");
    out.push_str("const fn m(name: &'static str, wire_type: W, array: bool, optional: bool, since: ApiVersion) -> Member {\n    Member { name, wire_type, array, optional, since }\n}\n\n");
    out.push_str("const fn d(name: &'static str, base: Option<&'static str>, since: ApiVersion, members: &'static [Member]) -> DataType {\n    DataType { name, base, since, members }\n}\n\n");
    out.push_str("const fn f(name: &'static str, since: ApiVersion, params: &'static [Member], result: Option<Member>) -> MethodType {\n    MethodType { name, since, params, result }\n}\n\n");
    let _ = writeln!(
        out,
        "/// Every data object and fault, in parts sorted by name.\npub(crate) static DATA: &[&[DataType]] = &["
    );
    for number in 0..parts.len() {
        let _ = writeln!(out, "    data_{number:02}::PART,");
    }
    out.push_str("];\n\n/// Every class of managed objects, sorted by name.\npub(crate) static MANAGED: &[ManagedType] = &[\n");
    let mut names = schema.managed.keys();
    for (number, part) in managed.iter().enumerate() {
        for _ in 0..part.matches("pub(super) const ").count() {
            if let Some(name) = names.next() {
                let _ = writeln!(out, "    managed_{number:02}::{},", constant(name));
            }
        }
    }
    out.push_str("];\n\n/// Every method with its class, sorted by name.\npub(crate) static METHOD_INDEX: &[(&str, &str)] = &[\n");
    for (method, class) in index {
        let _ = writeln!(out, "    ({method:?}, {class:?}),");
    }
    out.push_str("];\n");
    files.insert("mod.rs".to_owned(), out);
    files
}

fn constant(name: &str) -> String {
    super::names::snake(name).to_uppercase()
}
