//! Keys without a place in domain XML: kept in `<metadata>`, written back from there.
//!
//! What has a place is not listed anywhere: it is what writing the domain gives back. So a key is kept if no such line would
//! be written, be it unknown, of a device that was left out, or a word that the document cannot say.

use std::collections::BTreeSet;

use esx_vmx::Document;
use virt_xml::{Domain, Element, Node};

use crate::context::{Context, Mode};
use crate::error::Warning;
use crate::numbers::Numbers;
use crate::to_vmx::to_vmx;

/// The namespace of the kept keys.
pub(crate) const NAMESPACE: &str = "urn:virtesx:vmx:1";
/// Kept though it is written: what is written is the host's, or what the devices need.
pub(crate) const HARDWARE_VERSION: &str = "virtualHW.version";
/// Kept though it is written: what is written tells the architecture only.
const GUEST: &str = "guestOS";

/// Whether the value is a secret: a document is passed on more freely than the file it was made from.
fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    key.contains("password")
        || key.starts_with("encryption.")
        || key.ends_with("datafilekey")
        || key == "remotedisplay.vnc.key"
}

fn is_again(key: &str) -> bool {
    [HARDWARE_VERSION, GUEST].iter().any(|name| name.eq_ignore_ascii_case(key))
}

/// A key to keep.
pub(crate) struct Kept<'a> {
    /// As it is called in the document: devices without an address have the numbers that writing gives them.
    pub(crate) name: String,
    /// As it stands in the file.
    pub(crate) key: &'a str,
    pub(crate) value: &'a str,
}

/// The keys of a file that the domain made from it does not tell.
pub(crate) fn keys<'a>(
    document: &'a Document,
    domain: &Domain,
    context: &Context,
) -> Vec<Kept<'a>> {
    let context = Context { mode: Mode::Default, keep_keys: false, ..context.clone() };
    let numbers = Numbers::of(document);
    // A domain that cannot be written tells nothing.
    let told: BTreeSet<String> = match to_vmx(domain, &context) {
        Ok(written) => written.document.entries().map(|e| e.key.to_ascii_lowercase()).collect(),
        Err(_) => BTreeSet::new(),
    };
    let keys = document.entries().filter_map(|entry| {
        let name = numbers.written(entry.key);
        let is_told = told.contains(&name.to_ascii_lowercase()) && !is_again(entry.key);
        // The first one counts, and text that XML cannot have stays behind.
        let first = document.get(entry.key) == Some(entry.value);
        let writable =
            !entry.value.chars().any(|c| c < ' ' || matches!(c, '\u{fffe}' | '\u{ffff}'));
        let needless = entry.key.eq_ignore_ascii_case(".encoding");
        let wanted = !is_told && first && writable && !needless && !is_secret(entry.key);
        wanted.then_some(Kept { name, key: entry.key, value: entry.value })
    });
    keys.collect()
}

/// The element that keeps the keys of a file, for `<metadata>`.
pub(crate) fn element(document: &Document, domain: &Domain, context: &Context) -> Option<Element> {
    let named = |name: &str| Element {
        prefix: Some("vmx".to_owned()),
        namespace: Some(NAMESPACE.to_owned()),
        ..Element::new(name)
    };
    let mut element = named("keys");
    for kept in keys(document, domain, context) {
        let mut key = named("key").with_attribute("name", &kept.name);
        if !kept.value.is_empty() {
            key.children.push(Node::Text(kept.value.to_owned()));
        }
        element = element.with_child(key);
    }
    (!element.children.is_empty()).then(|| Element::new("metadata").with_child(element))
}

/// The kept keys of a domain with their values; `None` if it keeps none.
pub(crate) fn kept(domain: &Domain) -> Option<Vec<(&str, String)>> {
    let ours = |e: &&Element| e.namespace.as_deref() == Some(NAMESPACE);
    fn children(element: &Element) -> impl Iterator<Item = &Element> {
        element.children.iter().filter_map(|child| match child {
            Node::Element(element) => Some(element),
            Node::Text(_) => None,
        })
    }
    let metadata = domain.metadata.iter().flat_map(children).filter(ours);
    let mut elements = metadata.filter(|e| e.name == "keys").peekable();
    elements.peek()?;
    let keys = elements.flat_map(children).filter(ours).filter(|e| e.name == "key");
    Some(keys.filter_map(|key| Some((key.attribute("name")?, key.text()))).collect())
}

/// The value of one kept key.
pub(crate) fn kept_value(domain: &Domain, name: &str) -> Option<String> {
    let keys = kept(domain)?;
    keys.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// Writes kept keys back: those that nothing else sees to. A device that is kept as a whole gets another number if
/// one that was added to the domain has taken its own.
pub(crate) fn restore(domain: &Domain, document: &mut Document, warnings: &mut Vec<Warning>) {
    let Some(keys) = kept(domain) else { return };
    let moved = Numbers::moved(document, keys.iter().map(|(name, _)| *name));
    for (name, value) in keys {
        let name = moved.renamed(name);
        // `guestOS` has been made from the architecture; the kept one says more.
        let known = name.eq_ignore_ascii_case(GUEST);
        if is_secret(&name) || document.contains(&name) && !known {
            continue;
        }
        if let Err(error) = document.set(&name, &value) {
            let reason = format!("not written back: {error}");
            warnings.push(Warning { key: name, reason });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::from_vmx::to_domain;

    #[test]
    fn secrets_are_not_kept() {
        let file = b"config.version = \"8\"\nvirtualHW.version = \"13\"\n\
                     tools.syncTime = \"TRUE\"\nencryption.keySafe = \"canary\"\nencryption.data = \"canary\"\n\
                     guest.Password = \"canary\"\nRemoteDisplay.vnc.password = \"canary\"\n\
                     RemoteDisplay.vnc.key = \"canary\"\n";
        let document = Document::parse(file).unwrap();
        let context = Context { keep_keys: true, ..Context::default() };
        let domain = to_domain(&document, &context).unwrap().domain;
        let kept = format!("{:?}", domain.metadata.unwrap());
        assert!(kept.contains("tools.syncTime") && !kept.contains("canary"), "{kept}");
    }
}
