//! A validator that reads a snapshot's own XSD files: order, cardinality, types, subtypes, values.
//! xmllint says the same in CI (`cargo xtask wsdl check`); this one is there for plain `cargo test`.

use std::collections::HashMap;
use std::path::Path;

use roxmltree::{Document, Node};

const XSD: &str = "http://www.w3.org/2001/XMLSchema";
const XSI: &str = "http://www.w3.org/2001/XMLSchema-instance";

struct Member {
    name: String,
    type_name: String,
    optional: bool,
    array: bool,
}

#[derive(Default)]
struct Complex {
    base: Option<String>,
    members: Vec<Member>,
}

/// One snapshot's schema.
#[derive(Default)]
pub(crate) struct Schema {
    types: HashMap<String, Complex>,
    pub(crate) enums: HashMap<String, Vec<String>>,
    elements: HashMap<String, String>,
}

impl Schema {
    /// Reads `testdata/wsdl/VERSION`.
    pub(crate) fn read(version: &str) -> Self {
        let folder =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/wsdl").join(version);
        let mut schema = Self::default();
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|e| e == "xsd" || e == "wsdl") {
                schema.take(&std::fs::read_to_string(path).unwrap());
            }
        }
        schema
    }

    fn take(&mut self, text: &str) {
        let document = Document::parse(text).unwrap();
        let schemas = document.descendants().filter(|n| n.has_tag_name((XSD, "schema")));
        for node in schemas.flat_map(|s| s.children()) {
            let Some(name) = node.attribute("name") else { continue };
            let inside =
                |tag: &'static str| node.descendants().filter(move |n| n.has_tag_name((XSD, tag)));
            match node.tag_name().name() {
                "element" => {
                    let type_name = node.attribute("type").unwrap_or("xsd:anyType");
                    self.elements.insert(name.to_owned(), local(type_name).to_owned());
                }
                "simpleType" => {
                    let values = inside("enumeration").filter_map(|v| v.attribute("value"));
                    self.enums.insert(name.to_owned(), values.map(str::to_owned).collect());
                }
                "complexType" => {
                    let base = inside("extension").find_map(|e| e.attribute("base"));
                    let members = inside("element")
                        .map(|e| Member {
                            name: e.attribute("name").unwrap().to_owned(),
                            type_name: local(e.attribute("type").unwrap()).to_owned(),
                            optional: e.attribute("minOccurs") == Some("0"),
                            array: e.attribute("maxOccurs") == Some("unbounded"),
                        })
                        .collect();
                    let base = base.map(|b| local(b).to_owned());
                    self.types.insert(name.to_owned(), Complex { base, members });
                }
                _ => {}
            }
        }
    }

    pub(crate) fn has_element(&self, name: &str) -> bool {
        self.elements.contains_key(name)
    }

    pub(crate) fn has_type(&self, name: &str) -> bool {
        self.types.contains_key(name) || self.enums.contains_key(name)
    }

    fn derives(&self, name: &str, base: &str) -> bool {
        name == base
            || base == "anyType"
            || self
                .types
                .get(name)
                .and_then(|t| t.base.as_deref())
                .is_some_and(|b| self.derives(b, base))
    }

    fn flat(&self, name: &str) -> Vec<&Member> {
        let Some(found) = self.types.get(name) else { return Vec::new() };
        let mut members = found.base.as_deref().map_or_else(Vec::new, |b| self.flat(b));
        members.extend(&found.members);
        members
    }

    /// Says what is wrong with the body of a request; its element names its type.
    pub(crate) fn validate_request(&self, envelope: &str) -> Result<(), String> {
        let document = Document::parse(envelope).map_err(|e| e.to_string())?;
        let body = document.descendants().find(|n| n.tag_name().name() == "Body").unwrap();
        let request = body.first_element_child().unwrap();
        let name = request.tag_name().name();
        let type_name = self.elements.get(name).ok_or_else(|| format!("no element {name}"))?;
        self.validate(request, type_name)
    }

    /// Says what is wrong with a document whose root should be of the type `type_name`.
    pub(crate) fn validate_text(&self, text: &str, type_name: &str) -> Result<(), String> {
        let document = Document::parse(text).map_err(|e| e.to_string())?;
        self.validate(document.root_element(), type_name)
    }

    fn validate(&self, node: Node<'_, '_>, declared: &str) -> Result<(), String> {
        let here = node.tag_name().name();
        let actual = node.attribute((XSI, "type")).map_or(declared, local);
        if !self.derives(actual, declared) {
            return Err(format!("{here}: {actual} is no {declared}"));
        }
        let text: String = node.children().filter(Node::is_text).filter_map(|c| c.text()).collect();
        if self.types.contains_key(actual) && actual != "ManagedObjectReference" {
            if !text.trim().is_empty() {
                return Err(format!("{here}: text in a {actual}"));
            }
            return self.validate_members(node, actual);
        }
        if node.children().any(|c| c.is_element()) {
            return Err(format!("{here}: elements in a {actual}"));
        }
        let fits = match actual {
            "string" | "anyURI" | "ManagedObjectReference" => true,
            "boolean" => matches!(&*text, "true" | "false" | "1" | "0"),
            "byte" => text.parse::<i8>().is_ok(),
            "short" => text.parse::<i16>().is_ok(),
            "int" => text.parse::<i32>().is_ok(),
            "long" => text.parse::<i64>().is_ok(),
            "float" | "double" => text.parse::<f64>().is_ok(),
            "dateTime" => crate::DateTime::new(text.as_str()).unix_seconds().is_some(),
            "base64Binary" => text.len().is_multiple_of(4),
            _ => self.enums.get(actual).is_some_and(|values| values.contains(&text)),
        };
        if fits { Ok(()) } else { Err(format!("{here}: {text:?} is no {actual}")) }
    }

    fn validate_members(&self, node: Node<'_, '_>, actual: &str) -> Result<(), String> {
        let mut children = node.children().filter(Node::is_element).peekable();
        let here = node.tag_name().name();
        for member in self.flat(actual) {
            let mut count = 0;
            while let Some(child) = children.next_if(|c| c.tag_name().name() == member.name) {
                count += 1;
                self.validate(child, &member.type_name).map_err(|e| format!("{here}/{e}"))?;
            }
            if count == 0 && !member.optional || count > 1 && !member.array {
                return Err(format!("{here}: {count} times {} in a {actual}", member.name));
            }
        }
        match children.next() {
            Some(child) => {
                Err(format!("{here}: {} does not belong into a {actual}", child.tag_name().name()))
            }
            None => Ok(()),
        }
    }
}

fn local(name: &str) -> &str {
    name.split_once(':').map_or(name, |(_, local)| local)
}
