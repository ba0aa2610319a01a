//! Which types the listed methods and types reach.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};

use super::schema::Schema;

/// The list in `xtask/vi-roots.toml`.
#[derive(Debug, Default)]
pub(crate) struct Roots {
    pub(crate) methods: Vec<String>,
    /// Classes whose properties are all read.
    pub(crate) managed: Vec<String>,
    pub(crate) types: Vec<String>,
}

impl Roots {
    /// Reads the list: three arrays of names.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let table: toml::Table = text.parse()?;
        let list = |key: &str| -> Result<Vec<String>> {
            let Some(list) = table.get(key).and_then(|v| v.as_array()) else {
                anyhow::bail!("no list `{key}`")
            };
            Ok(list.iter().filter_map(|v| v.as_str()).map(str::to_owned).collect())
        };
        Ok(Self { methods: list("methods")?, managed: list("managed")?, types: list("types")? })
    }
}

/// The types to generate, sorted.
#[derive(Debug, Default)]
pub(crate) struct Closure {
    pub(crate) structs: BTreeSet<String>,
    pub(crate) enums: BTreeSet<String>,
}

/// Whether values of this type stay name and members: faults, events, and what says nothing.
pub(crate) fn stays_dynamic(schema: &Schema, name: &str) -> bool {
    name == "DynamicData"
        || schema.is_subtype(name, "MethodFault")
        || schema.is_subtype(name, "Event")
}

/// The types that derive from `name`, itself included, sorted by name.
pub(crate) fn family<'a>(schema: &'a Schema, name: &str) -> Vec<&'a str> {
    schema.types.keys().map(String::as_str).filter(|t| schema.is_subtype(t, name)).collect()
}

/// What `roots` reach: parameters, results, members, and every type that may stand for a base.
pub(crate) fn closure(schema: &Schema, roots: &Roots) -> Result<Closure> {
    let mut found = Closure::default();
    let mut work: Vec<String> = Vec::new();
    for name in &roots.methods {
        let method = schema.managed.values().flat_map(|m| &m.methods).find(|m| m.name == *name);
        ensure!(method.is_some(), "the list names the unknown method {name}");
        for member in method.into_iter().flat_map(|m| m.params.iter().chain(&m.result)) {
            work.push(member.type_name.clone());
        }
    }
    for name in &roots.managed {
        ensure!(schema.managed.contains_key(name), "the list names the unknown class {name}");
        work.extend(schema.properties(name).iter().map(|p| p.type_name.clone()));
    }
    for name in &roots.types {
        ensure!(
            schema.types.contains_key(name) || schema.enums.contains_key(name),
            "the list names the unknown type {name}"
        );
        work.push(name.clone());
    }
    while let Some(name) = work.pop() {
        if schema.enums.contains_key(&name) {
            found.enums.insert(name);
        } else if schema.types.contains_key(&name)
            && !stays_dynamic(schema, &name)
            && found.structs.insert(name.clone())
        {
            work.extend(family(schema, &name).into_iter().map(str::to_owned));
            work.extend(schema.flat_members(&name).iter().map(|m| m.type_name.clone()));
        }
    }
    Ok(found)
}
