//! A domain into the file it came from: only what was edited changes (`spec/vmx.md` 17.9).

use std::collections::BTreeMap;

use esx_vmx::{Document, parse_bool};
use virt_xml::Domain;

use crate::context::{Context, Mode};
use crate::cpuid;
use crate::error::{Code, Error};
use crate::from_vmx::to_domain;
use crate::keep;
use crate::numbers::Numbers;
use crate::to_vmx::{VmxConversion, to_vmx};

/// Writes a domain into an existing file, in default mode.
///
/// The file is converted to a domain, both domains to files, and what differs between those two is written
/// into the existing one: keys that are not converted, order, comments and spelling stay as they are. A
/// device that is gone takes all its keys with it. Adapters and shared folders keep their numbers.
///
/// # Errors
/// One of the domains cannot be written to a file, or a value not in the file's encoding.
///
/// ```
/// use esx_vmx::Document;
/// use esx_vmx_domain::{Context, merge_into, to_domain};
///
/// let file = b"config.version = \"8\"\nvirtualHW.version=\"13\"  # old\nmemSize = \"64\"\nmy.key = \"x\"\n";
/// let document = Document::parse(file)?;
/// let context = Context::default();
/// let mut domain = to_domain(&document, &context)?.domain;
/// domain.memory_kib = 131_072;
/// domain.current_memory_kib = None;
/// let merged = merge_into(&domain, &document, &context)?;
/// let expected = String::from_utf8_lossy(file).replace("64", "128");
/// assert_eq!(merged.document.to_bytes(), expected.as_bytes());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn merge_into(
    domain: &Domain,
    document: &Document,
    context: &Context,
) -> Result<VmxConversion, Error> {
    let context = &Context { mode: Mode::Default, keep_keys: false, ..context.clone() };
    let was = to_domain(document, context)?.domain;
    let before = to_vmx(&was, context)?.document;
    // The kept keys are in the file itself.
    let bare = Domain { metadata: None, ..domain.clone() };
    let VmxConversion { document: after, warnings } = to_vmx(&bare, context)?;
    let numbers = Numbers::of(document);
    let (before, after) = (values(&before, &numbers), values(&after, &numbers));
    let mut merged = document.clone();
    for key in before.keys().filter(|key| !after.contains_key(*key)) {
        match key.rsplit_once('.') {
            Some((device, name)) if name.eq_ignore_ascii_case("present") => {
                merged.remove_group(&format!("{device}."));
                merged.remove_group(&format!("sched.{device}."));
            }
            _ => {
                merged.remove(key);
            }
        }
    }
    for (key, value) in &after {
        // A key may have gone along with its device though it is still told.
        let went_along = document.contains(key) && !merged.contains(key);
        let same = before.get(key) == Some(value) && !went_along;
        if same || is_enough(&merged, key, value) {
            continue;
        }
        let value = match merged.get(key).filter(|_| key.starts_with("cpuid.")) {
            Some(old) => cpuid::overlaid(old, value).unwrap_or_else(|| value.clone()),
            None => value.clone(),
        };
        set(&mut merged, key, &value)?;
    }
    if let Some(kept) = keep::kept(domain) {
        edit_kept(&mut merged, &keep::keys(document, &was, context), &kept, &numbers)?;
    }
    Ok(VmxConversion { document: merged, warnings })
}

fn set(document: &mut Document, key: &str, value: &str) -> Result<(), Error> {
    let result = match parse_bool(value) {
        Some(flag) => document.set_bool(key, flag),
        None => document.set(key, value),
    };
    result.map_err(|error| Error::new(Code::ConfigUnsupported, key, error))
}

/// Applies what was edited among the kept keys.
fn edit_kept(
    merged: &mut Document,
    before: &[keep::Kept<'_>],
    after: &[(&str, String)],
    numbers: &Numbers,
) -> Result<(), Error> {
    let same = |a: &str, b: &str| a.eq_ignore_ascii_case(b);
    for kept in before {
        match after.iter().find(|(name, _)| same(name, &kept.name)) {
            Some((_, value)) if value == kept.value => {}
            // A device that was taken out has taken its keys along.
            Some((_, value)) if merged.contains(kept.key) => {
                merged
                    .set(kept.key, value)
                    .map_err(|error| Error::new(Code::ConfigUnsupported, kept.key, error))?;
            }
            Some(_) => {}
            None => {
                merged.remove(kept.key);
            }
        }
    }
    for (name, value) in
        after.iter().filter(|(name, _)| !before.iter().any(|k| same(name, &k.name)))
    {
        let key = numbers.existing(name);
        if !merged.contains(&key) {
            merged
                .set(&key, value)
                .map_err(|error| Error::new(Code::ConfigUnsupported, key.as_str(), error))?;
        }
    }
    Ok(())
}

/// Whether what the file says will do.
fn is_enough(document: &Document, key: &str, value: &str) -> bool {
    if key.eq_ignore_ascii_case("virtualHW.version") {
        let (old, new) = (document.get_integer(key), value.parse::<i64>());
        return matches!((old, new), (Ok(Some(old)), Ok(new)) if old >= new);
    }
    match (document.get(key).map(parse_bool), parse_bool(value)) {
        (Some(Some(old)), Some(new)) => old == new,
        _ => false,
    }
}

/// The keys of a written file with their values, devices numbered as in the existing file.
fn values(document: &Document, numbers: &Numbers) -> BTreeMap<String, String> {
    let entries = document.entries();
    entries.map(|e| (numbers.existing(e.key), e.value.to_owned())).collect()
}
