//! A domain into the file it came from: only what was edited changes (`spec/vmx.md` 17.9).

use std::collections::BTreeMap;

use esx_vmx::{Document, parse_bool};
use virt_xml::Domain;

use crate::context::{Context, Mode};
use crate::error::{Code, Error};
use crate::from_vmx::to_domain;
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
    let context = &Context { mode: Mode::Default, ..context.clone() };
    let before = to_vmx(&to_domain(document, context)?.domain, context)?.document;
    let VmxConversion { document: after, warnings } = to_vmx(domain, context)?;
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
        if before.get(key) == Some(value) || is_enough(&merged, key, value) {
            continue;
        }
        let result = match parse_bool(value) {
            Some(flag) => merged.set_bool(key, flag),
            None => merged.set(key, value),
        };
        result.map_err(|error| Error::new(Code::ConfigUnsupported, key.as_str(), error))?;
    }
    Ok(VmxConversion { document: merged, warnings })
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
    entries.map(|e| (numbers.renumbered(e.key), e.value.to_owned())).collect()
}

/// The numbers of devices that have no address: those in use in the existing file.
struct Numbers(Vec<(&'static str, Vec<u32>)>);

impl Numbers {
    fn of(document: &Document) -> Self {
        let used = |stem: &'static str| {
            let present = |n: &u32| {
                matches!(document.get_bool(&format!("{stem}{n}.present")), Ok(Some(true)))
            };
            let mut numbers: Vec<u32> = document
                .entries()
                .filter_map(|e| {
                    let (head, rest) = e.key.split_at_checked(stem.len())?;
                    let (number, name) = rest.split_once('.')?;
                    let is =
                        head.eq_ignore_ascii_case(stem) && name.eq_ignore_ascii_case("present");
                    is.then(|| number.parse().ok()).flatten()
                })
                .filter(present)
                .collect();
            numbers.sort_unstable();
            numbers.dedup();
            (stem, numbers)
        };
        Self(vec![used("ethernet"), used("sharedFolder"), used("pciPassthru")])
    }

    /// The key of the device that a written file numbers from 0 on.
    fn renumbered(&self, key: &str) -> String {
        for (stem, used) in &self.0 {
            let Some((number, name)) = key.strip_prefix(stem).and_then(|r| r.split_once('.'))
            else {
                continue;
            };
            let Ok(number) = number.parse::<usize>() else { continue };
            let number = match used.get(number) {
                Some(&number) => number,
                // A new one: the first numbers that are free.
                None => {
                    let mut free = (0..).filter(|n| !used.contains(n));
                    free.nth(number - used.len()).unwrap_or(u32::MAX)
                }
            };
            return format!("{stem}{number}.{name}");
        }
        key.to_owned()
    }
}
