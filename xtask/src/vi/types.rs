//! Typed structs, enumerations and method calls for the closure of the root list.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use anyhow::{Result, ensure};

use super::closure::{Closure, Roots, family, stays_dynamic};
use super::names::{camel, snake};
use super::schema::{Member, Schema};
use super::tables::version;

/// What every file needs; `mod.rs` tells rustc not to mind what one of them does not use.
const USES: &str = "use crate::codec::{data_objects, vi_any, vi_enum};\nuse crate::{ApiVersion, Binary, DataObject, DateTime, Decode, DecodeError, Element, MoRef, Object, Reader, Value, Writer};\n";

/// Writes the typed files: name below `src/generated` to text.
pub(crate) fn emit(schema: &Schema, roots: &Roots, closure: &Closure) -> Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    files.insert("enums.rs".to_owned(), enums(schema, closure)?);
    let mut areas: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for name in &closure.structs {
        let area = areas.entry(area(name)).or_default();
        area.push(structure(schema, closure, name)?);
        let family = family(schema, name);
        if family.len() > 1 {
            area.push(any_of(name, &family));
        }
    }
    let mut module = String::from("//! Data objects as plain structs, inherited members first.\n\n");
    for (area, items) in &areas {
        let names: Vec<&String> = closure.structs.iter().filter(|n| self::area(n) == *area).collect();
        let list = names.iter().map(|n| format!("    {},\n", camel(n))).collect::<String>();
        let text = format!(
            "//! Data objects: {}.\n\n{USES}use super::*;\nuse crate::enums::*;\n\n{}\ndata_objects! {{\n{list}}}\n",
            area.replace('_', " "),
            items.join("\n"),
        );
        files.insert(format!("data/{area}.rs"), text);
        let _ = writeln!(module, "mod {area};");
    }
    module.push('\n');
    for area in areas.keys() {
        let _ = writeln!(module, "pub use {area}::*;");
    }
    files.insert("data/mod.rs".to_owned(), module);
    methods(schema, roots, &mut files)?;
    Ok(files)
}

/// The file a type goes to.
fn area(name: &str) -> &'static str {
    match name {
        _ if name.starts_with("Host") => "host",
        _ if name.starts_with("VirtualMachine") => "virtual_machine",
        _ if name.starts_with("Virtual") => "virtual_device",
        _ if name.contains("Datastore") || name.contains("File") => "datastore",
        _ => "core",
    }
}

fn enums(schema: &Schema, closure: &Closure) -> Result<String> {
    let mut out = format!("//! Enumerations that keep values they do not know.\n\n{USES}");
    for name in &closure.enums {
        let _ = write!(out, "\nvi_enum! {{\n    /// VI API enumeration `{name}`.\n    {} {{\n", camel(name));
        let mut seen = BTreeSet::new();
        for value in &schema.enums[name] {
            let mut variant = camel(value);
            if variant == "Unrecognized" || !seen.insert(variant.clone()) {
                variant.push('_');
                ensure!(seen.insert(variant.clone()), "two values of {name} become {variant}");
            }
            let _ = writeln!(out, "        {variant} = {value:?},");
        }
        out.push_str("    }\n}\n");
    }
    Ok(out)
}

/// The Rust type of one item of a member.
fn item_type(schema: &Schema, name: &str) -> String {
    match name {
        "xsd:boolean" => "bool".to_owned(),
        "xsd:byte" => "i8".to_owned(),
        "xsd:short" => "i16".to_owned(),
        "xsd:int" => "i32".to_owned(),
        "xsd:long" => "i64".to_owned(),
        "xsd:float" => "f32".to_owned(),
        "xsd:double" => "f64".to_owned(),
        "xsd:string" | "xsd:anyURI" => "String".to_owned(),
        "xsd:dateTime" => "DateTime".to_owned(),
        "xsd:base64Binary" => "Binary".to_owned(),
        "xsd:anyType" => "Value".to_owned(),
        "ManagedObjectReference" => "MoRef".to_owned(),
        _ if schema.enums.contains_key(name) => camel(name),
        _ if stays_dynamic(schema, name) => "Object".to_owned(),
        _ if family(schema, name).len() > 1 => format!("Any{}", camel(name)),
        _ => camel(name),
    }
}

/// Whether a value of `name` holds a value of `target` without a list or an option that is boxed
/// already in between; then Rust needs a box.
fn contains(schema: &Schema, name: &str, target: &str, seen: &mut BTreeSet<String>) -> bool {
    if !schema.types.contains_key(name) || stays_dynamic(schema, name) || !seen.insert(name.to_owned()) {
        return false;
    }
    family(schema, name).into_iter().any(|actual| {
        actual == target
            || schema.flat_members(actual).into_iter().filter(|m| !m.array).any(|m| contains(schema, &m.type_name, target, seen))
    })
}

fn field_type(schema: &Schema, owner: &str, member: &Member) -> String {
    let item = item_type(schema, &member.type_name);
    if member.array {
        return format!("Vec<{item}>");
    }
    let recursive = contains(schema, &member.type_name, owner, &mut BTreeSet::new());
    let item = if recursive { format!("Box<{item}>") } else { item };
    if member.optional { format!("Option<{item}>") } else { item }
}

fn doc(member: &Member) -> String {
    let mut doc = format!("`{}`", member.name);
    if newer(member) {
        let _ = write!(doc, ", since API {}", member.since);
    }
    doc
}

/// Whether an API that this crate speaks may not know the member.
fn newer(member: &Member) -> bool {
    !matches!(member.since.as_str(), "" | "2.0" | "2.5")
}

fn since(member: &Member) -> String {
    if newer(member) { version(&member.since).replace("v(", "ApiVersion::new(") } else { "ApiVersion::V2_5".to_owned() }
}

/// A struct definition, its `Debug` included where a member is a secret.
fn definition(schema: &Schema, wire: &str, rust: &str, what: &str, members: &[&Member]) -> String {
    let secret = members.iter().any(|m| m.secret);
    let debug = if secret { "" } else { "Debug, " };
    let mut out = format!("/// {what} `{wire}`.\n#[derive(Clone, {debug}Default, PartialEq)]\npub struct {rust} {{\n");
    for member in members {
        let _ = writeln!(out, "    /// {}.\n    pub {}: {},", doc(member), snake(&member.name), field_type(schema, wire, member));
    }
    out.push_str("}\n");
    if secret {
        let _ = write!(out, "\n/// Shows everything but the secrets.\nimpl std::fmt::Debug for {rust} {{\n    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {{\n        f.debug_struct({rust:?})");
        for member in members.iter().filter(|m| !m.secret) {
            let _ = write!(out, "\n            .field({0:?}, &self.{0})", snake(&member.name));
        }
        out.push_str("\n            .finish_non_exhaustive()\n    }\n}\n");
    }
    out
}

fn write_members(members: &[&Member]) -> String {
    let mut out = String::new();
    for member in members {
        let (name, field, since) = (&member.name, snake(&member.name), since(member));
        let _ = match (member.array, member.optional) {
            (true, _) => writeln!(out, "        writer.list({name:?}, &self.{field}, {since});"),
            (false, true) => writeln!(out, "        writer.optional({name:?}, &self.{field}, {since});"),
            (false, false) => writeln!(out, "        writer.value({name:?}, &self.{field});"),
        };
    }
    out
}

fn structure(schema: &Schema, closure: &Closure, name: &str) -> Result<String> {
    let members = schema.flat_members(name);
    ensure!(members.len() <= 128, "{name} has {} members, more than the codec's mask", members.len());
    let mut fields = BTreeSet::new();
    for member in &members {
        ensure!(fields.insert(snake(&member.name)), "{name}: two members become {}", snake(&member.name));
        debug_assert!(!schema.types.contains_key(&member.type_name) || stays_dynamic(schema, &member.type_name) || closure.structs.contains(&member.type_name));
    }
    let rust = camel(name);
    let mut out = definition(schema, name, &rust, "VI API data object", &members);
    let mandatory = members.iter().enumerate().filter(|(_, m)| !m.optional).fold(0u128, |mask, (i, _)| mask | 1 << i);
    let names: Vec<_> = members.iter().map(|m| format!("{:?}", m.name)).collect();
    let _ = write!(out, "\nimpl DataObject for {rust} {{\n    const NAME: &'static str = {name:?};\n");
    let _ = writeln!(out, "    const MEMBERS: &'static [&'static str] = &[{}];", names.join(", "));
    let _ = writeln!(out, "    const MANDATORY: u128 = {mandatory:#x};\n");
    if members.is_empty() {
        out.push_str("    fn read_member(&mut self, _: usize, _: &Element<'_>, reader: &mut Reader<'_>) -> Result<(), DecodeError> {\n        reader.skip()\n    }\n\n    fn write_members(&self, _: &mut Writer) {}\n}\n");
        return Ok(out);
    }
    out.push_str("    fn read_member(&mut self, index: usize, element: &Element<'_>, reader: &mut Reader<'_>) -> Result<(), DecodeError> {\n        match index {\n");
    for (index, member) in members.iter().enumerate() {
        let field = snake(&member.name);
        let _ = match (member.array, member.optional) {
            (true, _) => writeln!(out, "            {index} => self.{field}.push(Decode::decode(element, reader)?),"),
            (false, true) => writeln!(out, "            {index} => self.{field} = Some(Decode::decode(element, reader)?),"),
            (false, false) => writeln!(out, "            {index} => self.{field} = Decode::decode(element, reader)?,"),
        };
    }
    out.push_str("            _ => reader.skip()?,\n        }\n        Ok(())\n    }\n\n    fn write_members(&self, writer: &mut Writer) {\n");
    out.push_str(&write_members(&members));
    out.push_str("    }\n}\n");
    Ok(out)
}

fn any_of(name: &str, family: &[&str]) -> String {
    let mut out = format!("vi_any! {{\n    /// `{name}` or a type that derives from it.\n    Any{0}: {0} {{\n", camel(name));
    for one in family {
        let _ = writeln!(out, "        {},", camel(one));
    }
    out.push_str("    }\n}\n");
    out
}

fn methods(schema: &Schema, roots: &Roots, files: &mut BTreeMap<String, String>) -> Result<()> {
    let mut module = String::from("//! Method calls: one struct per method, its fields the parameters.\n\n");
    let mut uses = String::new();
    for (class, managed) in &schema.managed {
        let listed: Vec<_> = managed.methods.iter().filter(|m| roots.methods.contains(&m.name)).collect();
        if listed.is_empty() {
            continue;
        }
        let mut out = format!("//! Methods of `{class}`.\n\n{USES}use crate::codec::{{Method, returned}};\nuse crate::data::*;\nuse crate::enums::*;\n");
        for method in listed {
            let params: Vec<&Member> = method.params.iter().collect();
            let rust = camel(&method.name);
            let _ = write!(out, "\n{}", definition(schema, &method.name, &rust, &format!("VI API method of `{class}`:"), &params));
            let (output, read) = match &method.result {
                None => ("()".to_owned(), "none"),
                Some(r) if r.array => (format!("Vec<{}>", item_type(schema, &r.type_name)), "list"),
                Some(r) if r.optional => (format!("Option<{}>", item_type(schema, &r.type_name)), "optional"),
                Some(r) => (item_type(schema, &r.type_name), "one"),
            };
            let _ = write!(out, "\nimpl Method for {rust} {{\n    const NAME: &'static str = {:?};\n    const TARGET: &'static str = {class:?};\n", method.name);
            let own = Member { since: method.since.clone(), ..empty() };
            let _ = writeln!(out, "    const SINCE: ApiVersion = {};\n    type Output = {output};\n", since(&own));
            let writer = if params.is_empty() { "_" } else { "writer" };
            let _ = writeln!(out, "    fn write_args(&self, {writer}: &mut Writer) {{\n{}    }}\n", write_members(&params));
            let _ = writeln!(out, "    fn read_output(reader: &mut Reader<'_>) -> Result<Self::Output, DecodeError> {{\n        returned::{read}(reader)\n    }}\n}}");
        }
        let file = snake(class);
        files.insert(format!("methods/{file}.rs"), out);
        let _ = writeln!(module, "mod {file};");
        let _ = writeln!(uses, "pub use {file}::*;");
    }
    files.insert("methods/mod.rs".to_owned(), format!("{module}\n{uses}"));
    Ok(())
}

fn empty() -> Member {
    Member {
        name: String::new(),
        type_name: String::new(),
        array: false,
        optional: false,
        secret: false,
        since: String::new(),
    }
}
