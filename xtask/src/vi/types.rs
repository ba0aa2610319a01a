//! Typed structs, enumerations and method calls for the closure of the root list.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use anyhow::{Result, ensure};

use super::closure::{Closure, Roots, family, stays_dynamic};
use super::names::{camel, snake};
use super::schema::{Member, Schema};
use super::tables::version;

/// What every file needs; `mod.rs` tells rustc not to mind what one of them does not use.
const USES: &str = "use crate::codec::{Mask, data_objects, slot, vi_any, vi_enum};\nuse crate::{ApiVersion, Binary, DataObject, DateTime, DecodeError, Element, MoRef, Object, Reader, Value, Writer};\n";

/// A file is cut before it has more lines than this; `cargo xtask tidy` allows 2000.
const MAX_LINES: usize = 1800;

/// Writes the typed files: name below `src/generated` to text.
pub(crate) fn emit(
    schema: &Schema,
    roots: &Roots,
    closure: &Closure,
) -> Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    files.insert("enums.rs".to_owned(), enums(schema, closure)?);
    let mut areas: BTreeMap<&str, Vec<(&str, String)>> = BTreeMap::new();
    for name in &closure.structs {
        let mut text = structure(schema, closure, name)?;
        let family = family(schema, name);
        if family.len() > 1 {
            text.push('\n');
            text.push_str(&any_of(name, &family));
        }
        areas.entry(area(name)).or_default().push((name, text));
    }
    let mut parts: Vec<String> = Vec::new();
    for (area, items) in areas {
        // Counted with what stands around the items, and the line that names each at the end.
        let mut from = 0;
        let mut lines = 0;
        let mut number = 1;
        for at in 0..=items.len() {
            let own = items.get(at).map_or(usize::MAX / 2, |(_, text)| text.lines().count() + 2);
            if lines + own > MAX_LINES && at > from {
                let part = if number == 1 { area.to_owned() } else { format!("{area}_{number}") };
                files.insert(format!("data/{part}.rs"), data_file(area, number, &items[from..at]));
                parts.push(part);
                (from, lines) = (at, 0);
                number += 1;
            }
            lines += own.min(MAX_LINES);
        }
    }
    let mut module =
        String::from("//! Data objects as plain structs, inherited members first.\n\n");
    for part in &parts {
        let _ = writeln!(module, "mod {part};");
    }
    module.push('\n');
    for part in &parts {
        let _ = writeln!(module, "pub use {part}::*;");
    }
    module.push_str("\n/// Every struct, for tests that go through all.\n#[cfg(test)]\npub(crate) static TYPED: &[&[crate::codec::Typed]] = &[\n");
    for part in &parts {
        let _ = writeln!(module, "    {part}::TYPED,");
    }
    module.push_str("];\n");
    files.insert("data/mod.rs".to_owned(), module);
    methods(schema, roots, &mut files)?;
    Ok(files)
}

/// The text of one file of data objects.
fn data_file(area: &str, number: usize, items: &[(&str, String)]) -> String {
    let part = if number == 1 { String::new() } else { format!(", part {number}") };
    let list = items.iter().map(|(n, _)| format!("    {},\n", camel(n))).collect::<String>();
    let texts = items.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>().join("\n");
    format!(
        "//! Data objects: {}{part}.\n\n{USES}use super::*;\nuse super::super::enums::*;\n\n{texts}\ndata_objects! {{\n{list}}}\n",
        area.replace('_', " "),
    )
}

/// The file a type goes to: the first rule that fits.
fn area(name: &str) -> &'static str {
    /// Beginnings of names and the file they go to.
    const RULES: &[(&str, &str)] = &[
        ("HostNetwork", "host_network"),
        ("HostVirtualSwitch", "host_network"),
        ("HostVirtualNic", "host_network"),
        ("HostPortGroup", "host_network"),
        ("HostProxySwitch", "host_network"),
        ("HostIp", "host_network"),
        ("HostNic", "host_network"),
        ("HostDns", "host_network"),
        ("HostDhcp", "host_network"),
        ("PhysicalNic", "host_network"),
        ("LinkDiscovery", "host_network"),
        ("HostInternetScsi", "host_storage"),
        ("HostScsi", "host_storage"),
        ("HostMultipath", "host_storage"),
        ("HostVmfs", "host_storage"),
        ("HostNas", "host_storage"),
        ("HostNvme", "host_storage"),
        ("HostDisk", "host_storage"),
        ("HostFibre", "host_storage"),
        ("HostFile", "host_storage"),
        ("HostStorage", "host_storage"),
        ("HostPlugStore", "host_storage"),
        ("HostTarget", "host_storage"),
        ("HostDatastore", "datastore"),
        ("Scsi", "host_storage"),
        ("Host", "host"),
        ("VirtualMachine", "virtual_machine"),
        ("Virtual", "virtual_device"),
        ("Perf", "performance"),
        ("Ovf", "transfer"),
        ("HttpNfc", "transfer"),
        ("Cluster", "cluster"),
        ("Dvs", "distributed_switch"),
        ("VMwareDVS", "distributed_switch"),
        ("Distributed", "distributed_switch"),
        ("Customization", "customization"),
        ("Guest", "guest"),
    ];
    match RULES.iter().find(|(prefix, _)| name.starts_with(prefix)) {
        Some(("Virtual", _)) if name.ends_with("Option") => "device_option",
        Some((_, area)) => area,
        None if name.contains("Datastore") || name.contains("File") => "datastore",
        None => "core",
    }
}

fn enums(schema: &Schema, closure: &Closure) -> Result<String> {
    let mut out = format!("//! Enumerations that keep values they do not know.\n\n{USES}");
    for name in &closure.enums {
        let _ = write!(
            out,
            "\nvi_enum! {{\n    /// VI API enumeration `{name}`.\n    {} {{\n",
            camel(name)
        );
        let mut seen = BTreeSet::new();
        for value in &schema.enums[name].values {
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

/// Whether a value of `name` holds a value of `target` without a list in between; then Rust needs a
/// box. What a polymorphic member holds is in a box already.
fn contains(schema: &Schema, name: &str, target: &str, seen: &mut BTreeSet<String>) -> bool {
    let plain = schema.types.contains_key(name)
        && !stays_dynamic(schema, name)
        && family(schema, name).len() == 1;
    if !plain || !seen.insert(name.to_owned()) {
        return false;
    }
    name == target
        || schema
            .flat_members(name)
            .into_iter()
            .filter(|m| !m.array)
            .any(|m| contains(schema, &m.type_name, target, seen))
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
    if newer(member) {
        version(&member.since).replace("v(", "ApiVersion::new(")
    } else {
        "ApiVersion::V2_5".to_owned()
    }
}

/// A struct definition, its `Debug` included where a member is a secret.
fn definition(schema: &Schema, wire: &str, rust: &str, what: &str, members: &[&Member]) -> String {
    let secret = members.iter().any(|m| m.secret);
    let debug = if secret { "" } else { "Debug, " };
    let mut out = format!(
        "/// {what} `{wire}`.\n#[derive(Clone, {debug}Default, PartialEq)]\npub struct {rust} {{\n"
    );
    for member in members {
        let _ = writeln!(
            out,
            "    /// {}.\n    pub {}: {},",
            doc(member),
            snake(&member.name),
            field_type(schema, wire, member)
        );
    }
    out.push_str("}\n");
    if secret {
        let _ = write!(
            out,
            "\n/// Shows everything but the secrets.\nimpl std::fmt::Debug for {rust} {{\n    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {{\n        f.debug_struct({rust:?})"
        );
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
            (false, true) => {
                writeln!(out, "        writer.optional({name:?}, &self.{field}, {since});")
            }
            (false, false) => writeln!(out, "        writer.value({name:?}, &self.{field});"),
        };
    }
    out
}

/// The statement that reads a member into its field.
fn read_statement(schema: &Schema, member: &Member) -> String {
    let field = snake(&member.name);
    let shape = match (member.array, member.optional) {
        (true, _) => "push",
        (false, true) => "some",
        (false, false) => "one",
    };
    if schema.types.contains_key(&member.type_name) && stays_dynamic(schema, &member.type_name) {
        return format!(
            "slot::{shape}_tree(&mut self.{field}, {:?}, element, reader)",
            member.type_name
        );
    }
    format!("slot::{shape}(&mut self.{field}, element, reader)")
}

/// The body of `read_member`: which statement reads the member of each number.
fn read_members(schema: &Schema, members: &[&Member]) -> String {
    let mut out = String::from("        match index {\n");
    for (index, member) in members.iter().enumerate() {
        let _ = writeln!(out, "            {index} => {},", read_statement(schema, member));
    }
    out.push_str("            _ => reader.skip(),\n        }\n");
    out
}

fn names(members: &[&Member]) -> String {
    members.iter().map(|m| format!("{:?}", m.name)).collect::<Vec<_>>().join(", ")
}

fn structure(schema: &Schema, closure: &Closure, name: &str) -> Result<String> {
    let members = schema.flat_members(name);
    ensure!(
        members.len() <= 256,
        "{name} has {} members, more than the codec's mask",
        members.len()
    );
    let mut fields = BTreeSet::new();
    for member in &members {
        ensure!(
            fields.insert(snake(&member.name)),
            "{name}: two members become {}",
            snake(&member.name)
        );
        ensure!(
            !schema.types.contains_key(&member.type_name)
                || stays_dynamic(schema, &member.type_name)
                || closure.structs.contains(&member.type_name),
            "{name}.{} has a type outside the closure",
            member.name
        );
    }
    let rust = camel(name);
    let mut out = definition(schema, name, &rust, "VI API data object", &members);
    let mut mandatory = [0u64; 4];
    for (index, _) in members.iter().enumerate().filter(|(_, m)| !m.optional) {
        mandatory[index / 64] |= 1 << (index % 64);
    }
    let own = Member { since: schema.types[name].since.clone(), ..empty() };
    let _ =
        write!(out, "\nimpl DataObject for {rust} {{\n    const NAME: &'static str = {name:?};\n");
    let _ = writeln!(out, "    const SINCE: ApiVersion = {};", since(&own));
    let _ = writeln!(out, "    const MEMBERS: &'static [&'static str] = &[{}];", names(&members));
    let [a, b, c, d] = mandatory;
    let _ = writeln!(out, "    const MANDATORY: Mask = [{a:#x}, {b:#x}, {c:#x}, {d:#x}];\n");
    if members.is_empty() {
        out.push_str("    fn read_member(&mut self, _: usize, _: &Element<'_>, reader: &mut Reader<'_>) -> Result<(), DecodeError> {\n        reader.skip()\n    }\n\n    fn write_members(&self, _: &mut Writer) {}\n}\n");
        return Ok(out);
    }
    out.push_str("    fn read_member(&mut self, index: usize, element: &Element<'_>, reader: &mut Reader<'_>) -> Result<(), DecodeError> {\n");
    out.push_str(&read_members(schema, &members));
    out.push_str("    }\n\n    fn write_members(&self, writer: &mut Writer) {\n");
    out.push_str(&write_members(&members));
    out.push_str("    }\n}\n");
    Ok(out)
}

fn any_of(name: &str, family: &[&str]) -> String {
    let mut out = format!(
        "vi_any! {{\n    /// `{name}` or a type that derives from it.\n    Any{0}: {0} = {name:?} {{\n",
        camel(name)
    );
    for one in family {
        let _ = writeln!(out, "        {} = {} {one:?},", camel(one), one.len());
    }
    out.push_str("    }\n}\n");
    out
}

fn methods(schema: &Schema, roots: &Roots, files: &mut BTreeMap<String, String>) -> Result<()> {
    let mut module =
        String::from("//! Method calls: one struct per method, its fields the parameters.\n\n");
    let mut uses = String::new();
    let mut list = String::new();
    for (class, managed) in &schema.managed {
        let listed: Vec<_> =
            managed.methods.iter().filter(|m| roots.methods.contains(&m.name)).collect();
        if listed.is_empty() {
            continue;
        }
        let mut out = format!(
            "//! Methods of `{class}`.\n\n{USES}use crate::codec::{{Method, returned}};\nuse super::super::data::*;\nuse super::super::enums::*;\n"
        );
        let mut calls = String::new();
        for method in listed {
            let params: Vec<&Member> = method.params.iter().collect();
            let rust = camel(&method.name);
            let _ = write!(
                out,
                "\n{}",
                definition(
                    schema,
                    &method.name,
                    &rust,
                    &format!("VI API method of `{class}`:"),
                    &params
                )
            );
            let (output, read) = match &method.result {
                None => ("()".to_owned(), "none"),
                Some(r) if r.array => (format!("Vec<{}>", item_type(schema, &r.type_name)), "list"),
                Some(r) if r.optional => {
                    (format!("Option<{}>", item_type(schema, &r.type_name)), "optional")
                }
                Some(r) => (item_type(schema, &r.type_name), "one"),
            };
            let _ = write!(
                out,
                "\nimpl Method for {rust} {{\n    const NAME: &'static str = {:?};\n    const TARGET: &'static str = {class:?};\n",
                method.name
            );
            let own = Member { since: method.since.clone(), ..empty() };
            let _ = writeln!(
                out,
                "    const SINCE: ApiVersion = {};\n    type Output = {output};\n",
                since(&own)
            );
            let writer = if params.is_empty() { "_" } else { "writer" };
            let _ = writeln!(
                out,
                "    fn write_args(&self, {writer}: &mut Writer) {{\n{}    }}\n",
                write_members(&params)
            );
            let _ = writeln!(
                out,
                "    fn read_output(reader: &mut Reader<'_>) -> Result<Self::Output, DecodeError> {{\n        returned::{read}(reader)\n    }}\n}}"
            );
            // A server's half, which only tests need: what a request says, as the struct again.
            let reader = if params.is_empty() { "_" } else { "element" };
            let index = if params.is_empty() { "_" } else { "index" };
            let this = if params.is_empty() {
                "        reader.skip()\n".to_owned()
            } else {
                read_members(schema, &params)
            };
            let _ = write!(
                out,
                "\n#[cfg(test)]\nimpl crate::codec::ReadArgs for {rust} {{\n    const PARAMS: &'static [&'static str] = &[{}];\n\n    fn read_arg(&mut self, {index}: usize, {reader}: &Element<'_>, reader: &mut Reader<'_>) -> Result<(), DecodeError> {{\n{this}    }}\n}}\n",
                names(&params)
            );
            let _ = writeln!(calls, "    crate::codec::Typed::call::<{rust}>(),");
        }
        let _ = write!(
            out,
            "\n#[cfg(test)]\npub(crate) const CALLS: &[crate::codec::Typed] = &[\n{calls}];\n"
        );
        let _ = writeln!(list, "    {}::CALLS,", snake(class));
        let file = snake(class);
        files.insert(format!("methods/{file}.rs"), out);
        let _ = writeln!(module, "mod {file};");
        let _ = writeln!(uses, "pub use {file}::*;");
    }
    files.insert("methods/mod.rs".to_owned(), format!("{module}\n{uses}\n/// Every method, for tests that go through all.\n#[cfg(test)]\npub(crate) static CALLS: &[&[crate::codec::Typed]] = &[\n{list}];\n"));
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
