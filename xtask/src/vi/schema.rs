//! Reading a snapshot: WSDL, XSD and `managed-objects.json`.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value as Json;

/// A member of a data type, a parameter, a property or a result.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    /// `xsd:int`, `ManagedObjectReference`, or the name of a data type or enumeration.
    pub(crate) type_name: String,
    pub(crate) array: bool,
    pub(crate) optional: bool,
    pub(crate) secret: bool,
    pub(crate) since: String,
}

/// A data object or fault.
#[derive(Clone, Debug)]
pub(crate) struct DataType {
    pub(crate) base: Option<String>,
    pub(crate) since: String,
    pub(crate) members: Vec<Member>,
}

/// An enumeration.
#[derive(Clone, Debug, Default)]
pub(crate) struct Enumeration {
    pub(crate) since: String,
    pub(crate) values: Vec<String>,
}

/// A class of managed objects.
#[derive(Clone, Debug)]
pub(crate) struct Managed {
    pub(crate) base: Option<String>,
    pub(crate) since: String,
    pub(crate) properties: Vec<Member>,
    pub(crate) methods: Vec<Method>,
}

/// A method of a managed object.
#[derive(Clone, Debug)]
pub(crate) struct Method {
    pub(crate) name: String,
    pub(crate) since: String,
    pub(crate) params: Vec<Member>,
    pub(crate) result: Option<Member>,
}

/// A whole snapshot.
#[derive(Clone, Debug, Default)]
pub(crate) struct Schema {
    pub(crate) api: String,
    pub(crate) types: BTreeMap<String, DataType>,
    pub(crate) enums: BTreeMap<String, Enumeration>,
    pub(crate) managed: BTreeMap<String, Managed>,
}

impl Schema {
    /// Reads the snapshot in `folder`: split XSDs, or one `vim.wsdl` with everything inside.
    pub(crate) fn read(folder: &Path) -> Result<Self> {
        let mut schema = Self::default();
        let mut requests = BTreeMap::new();
        let mut files: Vec<_> = std::fs::read_dir(folder)
            .with_context(|| format!("cannot read {}", folder.display()))?
            .collect::<Result<Vec<_>, _>>()?
            .into_iter()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|e| e == "xsd" || e == "wsdl"))
            .collect();
        files.sort();
        for file in &files {
            let text = std::fs::read_to_string(file)?;
            schema
                .read_xsd(&text, &mut requests)
                .with_context(|| format!("in {}", file.display()))?;
        }
        ensure!(!schema.types.is_empty(), "no type found in {}", folder.display());
        let json = folder.join("managed-objects.json");
        let json = std::fs::read_to_string(&json).with_context(|| {
            format!(
                "cannot read {}: a host does not have this file, copy the one of the nearest snapshot in testdata/wsdl",
                json.display()
            )
        })?;
        let json: Json = serde_json::from_str(&json).context("managed-objects.json")?;
        schema.read_json(&json, &requests)?;
        schema.check()?;
        Ok(schema)
    }

    /// Takes in the types of one XSD, or of the schemas inside a WSDL.
    pub(crate) fn read_xsd(
        &mut self,
        text: &str,
        requests: &mut BTreeMap<String, Vec<Member>>,
    ) -> Result<()> {
        let document = roxmltree::Document::parse(text)?;
        let schemas = document
            .descendants()
            .filter(|n| n.has_tag_name(("http://www.w3.org/2001/XMLSchema", "schema")));
        for node in schemas.flat_map(|s| s.children()).filter(roxmltree::Node::is_element) {
            let Some(name) = node.attribute("name") else { continue };
            match node.tag_name().name() {
                "simpleType" => {
                    let values =
                        node.descendants().filter(|n| n.tag_name().name() == "enumeration");
                    let values = values.filter_map(|v| v.attribute("value")).map(str::to_owned);
                    let found = Enumeration { since: String::new(), values: values.collect() };
                    self.enums.insert(name.to_owned(), found);
                }
                // Arrays are what `array` says; their types repeat it.
                "complexType"
                    if name.starts_with("ArrayOf") || name == "ManagedObjectReference" => {}
                "complexType" => {
                    let base = node
                        .descendants()
                        .find(|n| n.tag_name().name() == "extension")
                        .and_then(|n| n.attribute("base"));
                    let members: Vec<_> = node
                        .descendants()
                        .filter(|n| n.tag_name().name() == "element")
                        .map(read_member)
                        .collect::<Result<_>>()?;
                    match members.first() {
                        Some(first) if first.name == "_this" => {
                            requests.insert(name.to_owned(), members[1..].to_vec());
                        }
                        _ => {
                            let base = base.map(|b| local(b).to_owned());
                            self.types.insert(
                                name.to_owned(),
                                DataType { base, since: String::new(), members },
                            );
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Adds what a WSDL does not say: versions, managed objects, secrets.
    pub(crate) fn read_json(
        &mut self,
        json: &Json,
        requests: &BTreeMap<String, Vec<Member>>,
    ) -> Result<()> {
        self.api = text(json, "api")?;
        for (name, extra) in json["dataTypes"].as_object().context("dataTypes")? {
            if let Some(found) = self.enums.get_mut(name) {
                found.since = text(extra, "since")?;
            }
            let Some(data) = self.types.get_mut(name) else { continue };
            data.since = text(extra, "since")?;
            for member in &mut data.members {
                let own = &extra["members"][&member.name];
                member.since = own["since"].as_str().unwrap_or(&data.since).to_owned();
                member.secret = own["secret"].as_bool().unwrap_or(false);
            }
        }
        for class in json["managedObjects"].as_array().context("managedObjects")? {
            let since = text(class, "since")?;
            let base = text(class, "base")?;
            let properties = json_members(&class["properties"], &since)?;
            let mut methods = Vec::new();
            for method in class["methods"].as_array().context("methods")? {
                let name = text(method, "name")?;
                let since = method["since"].as_str().unwrap_or(&since).to_owned();
                let mut params = json_members(&method["params"], &since)?;
                // What counts on the wire is the XSD's `minOccurs`.
                let request =
                    requests.get(&format!("{}RequestType", name.trim_end_matches("_Task")));
                let Some(request) = request.or_else(|| requests.get(&format!("{name}RequestType")))
                else {
                    bail!("no request type for {name}");
                };
                for param in &mut params {
                    let Some(wire) = request.iter().find(|m| m.name == param.name) else {
                        bail!("{name} has no parameter {} in the XSD", param.name);
                    };
                    param.optional = wire.optional;
                    param.type_name.clone_from(&wire.type_name);
                }
                let result = match &method["result"] {
                    Json::Null => None,
                    result => Some(json_member(result, "returnval", &since)?),
                };
                methods.push(Method { name, since, params, result });
            }
            let base = (base != "ManagedObject").then_some(base);
            self.managed.insert(text(class, "name")?, Managed { base, since, properties, methods });
        }
        Ok(())
    }

    /// Every name that is used must be defined, and nothing may derive from itself.
    pub(crate) fn check(&self) -> Result<()> {
        let known = |name: &str| {
            name.starts_with("xsd:")
                || name == "ManagedObjectReference"
                || self.types.contains_key(name)
                || self.enums.contains_key(name)
        };
        for (name, data) in &self.types {
            ensure!(data.base.as_deref().is_none_or(known), "{name} has an unknown base");
            // DynamicData and a few roots are in no version list: they have always been there.
            for member in &data.members {
                ensure!(
                    known(&member.type_name),
                    "{name}.{} has the unknown type {}",
                    member.name,
                    member.type_name
                );
            }
        }
        acyclic(&self.types, |data| data.base.as_deref())?;
        acyclic(&self.managed, |class| class.base.as_deref())
    }

    /// Whether `name` is `base` or derives from it.
    pub(crate) fn is_subtype(&self, name: &str, base: &str) -> bool {
        name == base
            || self
                .types
                .get(name)
                .and_then(|t| t.base.as_deref())
                .is_some_and(|b| self.is_subtype(b, base))
    }

    /// The properties of the class `name`, inherited ones first.
    pub(crate) fn properties(&self, name: &str) -> Vec<&Member> {
        let Some(class) = self.managed.get(name) else { return Vec::new() };
        let mut properties = class.base.as_deref().map_or_else(Vec::new, |b| self.properties(b));
        properties.extend(&class.properties);
        properties
    }

    /// The members of `name`, inherited ones first.
    pub(crate) fn flat_members(&self, name: &str) -> Vec<&Member> {
        let Some(data) = self.types.get(name) else { return Vec::new() };
        let mut members = data.base.as_deref().map_or_else(Vec::new, |b| self.flat_members(b));
        members.extend(&data.members);
        members
    }
}

/// Fails if something derives from itself, or from more than anything does: those who follow bases call themselves.
fn acyclic<T>(all: &BTreeMap<String, T>, base: impl Fn(&T) -> Option<&str>) -> Result<()> {
    const DEEPEST: usize = 64;
    for name in all.keys() {
        let up = std::iter::successors(Some(name.as_str()), |name| base(all.get(*name)?));
        ensure!(up.take(DEEPEST).count() < DEEPEST, "{name} derives from itself or has no root");
    }
    Ok(())
}

fn read_member(node: roxmltree::Node<'_, '_>) -> Result<Member> {
    let type_name = node.attribute("type").context("an element without a type")?;
    let type_name = if type_name.starts_with("xsd:") { type_name } else { local(type_name) };
    Ok(Member {
        name: node.attribute("name").context("an element without a name")?.to_owned(),
        type_name: type_name.to_owned(),
        array: node.attribute("maxOccurs") == Some("unbounded"),
        optional: node.attribute("minOccurs") == Some("0"),
        secret: false,
        since: String::new(),
    })
}

fn json_members(json: &Json, since: &str) -> Result<Vec<Member>> {
    json.as_array()
        .into_iter()
        .flatten()
        .map(|m| json_member(m, m["name"].as_str().context("a member without a name")?, since))
        .collect()
}

fn json_member(json: &Json, name: &str, since: &str) -> Result<Member> {
    Ok(Member {
        name: name.to_owned(),
        type_name: text(json, "type")?,
        array: json["array"].as_bool().unwrap_or(false),
        optional: json["optional"].as_bool().unwrap_or(false),
        secret: json["secret"].as_bool().unwrap_or(false),
        since: json["since"].as_str().unwrap_or(since).to_owned(),
    })
}

fn text(json: &Json, key: &str) -> Result<String> {
    Ok(json[key].as_str().with_context(|| format!("no {key} in {json}"))?.to_owned())
}

fn local(name: &str) -> &str {
    name.split_once(':').map_or(name, |(_, local)| local)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A type that derives from itself was followed until the stack was full.
    #[test]
    fn nothing_derives_from_itself() {
        let xsd = |types: &str| {
            let text = format!("<schema xmlns='http://www.w3.org/2001/XMLSchema'>{types}</schema>");
            let mut schema = Schema::default();
            schema.read_xsd(&text, &mut BTreeMap::new()).unwrap();
            schema
        };
        let derived = |name: &str, base: &str| {
            format!("<complexType name='{name}'><extension base='vim25:{base}'/></complexType>")
        };
        let good = xsd(&format!("{}<complexType name='A'/>", derived("B", "A")));
        good.check().unwrap();
        assert!(good.is_subtype("B", "A") && !good.is_subtype("A", "B"));
        for bad in [derived("A", "A"), format!("{}{}", derived("A", "B"), derived("B", "A"))] {
            let error = xsd(&bad).check().unwrap_err().to_string();
            assert!(error.contains("A derives from itself"), "{error}");
        }
    }
}
