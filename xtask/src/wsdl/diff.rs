//! What changed between two snapshots, as Markdown fit for a changelog.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::vi::schema::{Member, Schema};

/// The text; one line for each type, enumeration or class that differs.
pub(super) fn markdown(a: &Schema, b: &Schema) -> String {
    let mut out = format!("# VI API {} to {}\n", a.api, b.api);
    section(&mut out, "Methods", changes(&methods(a), &methods(b)));
    section(&mut out, "Properties", changes(&properties(a), &properties(b)));
    let (faults, data): (Vec<_>, Vec<_>) =
        changes(&types(a), &types(b)).into_iter().partition(|(name, _)| {
            a.is_subtype(name, "MethodFault") || b.is_subtype(name, "MethodFault")
        });
    section(&mut out, "Data objects", data);
    section(&mut out, "Faults", faults);
    section(&mut out, "Enumerations", changes(&enums(a), &enums(b)));
    out
}

/// Parts of a thing by name, and how each is declared.
type Parts = BTreeMap<String, String>;

fn declared(member: &Member) -> String {
    let (array, optional) =
        (if member.array { "[]" } else { "" }, if member.optional { "?" } else { "" });
    format!("{}{array}{optional}", member.type_name.trim_start_matches("xsd:"))
}

fn members<'m>(members: impl IntoIterator<Item = &'m Member>) -> Parts {
    members.into_iter().map(|m| (m.name.clone(), declared(m))).collect()
}

fn types(schema: &Schema) -> BTreeMap<String, Parts> {
    let parts = schema.types.iter().map(|(name, data)| {
        let mut parts = members(&data.members);
        if let Some(base) = &data.base {
            parts.insert("(base)".to_owned(), base.clone());
        }
        (name.clone(), parts)
    });
    parts.collect()
}

fn enums(schema: &Schema) -> BTreeMap<String, Parts> {
    let part = |value: &String| (value.clone(), String::new());
    schema
        .enums
        .iter()
        .map(|(name, e)| (name.clone(), e.values.iter().map(part).collect()))
        .collect()
}

fn properties(schema: &Schema) -> BTreeMap<String, Parts> {
    schema.managed.iter().map(|(name, class)| (name.clone(), members(&class.properties))).collect()
}

fn methods(schema: &Schema) -> BTreeMap<String, Parts> {
    let signature = |class: &crate::vi::schema::Managed| {
        let methods = class.methods.iter().map(|method| {
            let params: Vec<_> =
                method.params.iter().map(|p| format!("{}: {}", p.name, declared(p))).collect();
            let result =
                method.result.as_ref().map_or_else(String::new, |r| format!(" -> {}", declared(r)));
            (method.name.clone(), format!("({}){result}", params.join(", ")))
        });
        methods.collect::<Parts>()
    };
    schema.managed.iter().map(|(name, class)| (name.clone(), signature(class))).collect()
}

/// Name and what to say about it, of all things that are not the same.
fn changes(a: &BTreeMap<String, Parts>, b: &BTreeMap<String, Parts>) -> Vec<(String, String)> {
    let names = a.keys().chain(b.keys().filter(|name| !a.contains_key(*name)));
    let mut found: Vec<_> = names
        .filter_map(|name| {
            let text = match (a.get(name), b.get(name)) {
                (Some(a), Some(b)) => part_changes(a, b),
                (None, Some(parts)) if parts.is_empty() => "new".to_owned(),
                (None, Some(parts)) => {
                    let base =
                        parts.get("(base)").map_or_else(String::new, |b| format!(" (a {b})"));
                    let names: Vec<_> =
                        parts.keys().filter(|p| *p != "(base)").map(|p| format!("`{p}`")).collect();
                    format!("new{base}: {}", names.join(", ")).trim_end_matches(": ").to_owned()
                }
                _ => "gone".to_owned(),
            };
            (!text.is_empty()).then(|| (name.clone(), text))
        })
        .collect();
    found.sort();
    found
}

fn part_changes(a: &Parts, b: &Parts) -> String {
    let mut said = Vec::new();
    let list = |from: &Parts, than: &Parts| -> Vec<String> {
        from.iter()
            .filter(|(name, _)| !than.contains_key(*name))
            .map(|(name, how)| match how.as_str() {
                "" => format!("`{name}`"),
                how if how.starts_with('(') => format!("`{name}{how}`"),
                how => format!("`{name}: {how}`"),
            })
            .collect()
    };
    let (new, gone) = (list(b, a), list(a, b));
    if !new.is_empty() {
        said.push(format!("adds {}", new.join(", ")));
    }
    if !gone.is_empty() {
        said.push(format!("loses {}", gone.join(", ")));
    }
    for (name, before) in a {
        if let Some(after) = b.get(name).filter(|after| *after != before) {
            said.push(format!("`{name}` was `{before}`, is `{after}`"));
        }
    }
    said.join("; ")
}

fn section(out: &mut String, title: &str, changes: Vec<(String, String)>) {
    // A class without methods or properties says nothing.
    let changes: Vec<_> = changes.into_iter().collect();
    if changes.is_empty() {
        return;
    }
    let new = changes.iter().filter(|(_, text)| text.starts_with("new")).count();
    let gone = changes.iter().filter(|(_, text)| text == "gone").count();
    let _ = writeln!(
        out,
        "\n## {title}\n\n{new} new, {gone} gone, {} changed.\n",
        changes.len() - new - gone
    );
    for (name, text) in changes {
        let _ = writeln!(out, "- `{name}`: {text}");
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn schema(version: &str) -> Schema {
        Schema::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/wsdl").join(version))
            .unwrap()
    }

    #[test]
    fn from_4_0_to_4_1() {
        insta::assert_snapshot!(markdown(&schema("4.0"), &schema("4.1")));
    }

    #[test]
    fn a_snapshot_does_not_differ_from_itself() {
        assert_eq!(markdown(&schema("2.5"), &schema("2.5")), "# VI API 2.5 to 2.5\n");
    }

    /// Backwards, what is new is gone: nothing is left out in one direction only.
    #[test]
    fn both_directions_agree() {
        let (old, new) = (schema("6.7"), schema("8.0"));
        let count = |text: &str, what: &str| text.lines().filter(|l| l.contains(what)).count();
        let (there, back) = (markdown(&old, &new), markdown(&new, &old));
        assert_eq!(count(&there, "`: new"), count(&back, "`: gone"));
        assert_eq!(count(&there, "`: gone"), count(&back, "`: new"));
    }
}
