//! `manifest.json`: what an export consists of, and how far it is.

use std::path::Path;

use serde_json::{Map, Value, json};
use virt_api::{Error, ExportPlan};

use super::{cannot, fingerprint};

/// Its name.
pub(super) const MANIFEST: &str = "manifest.json";
/// The name of the domain's XML.
pub(super) const XML: &str = "domain.xml";
/// The version of the format.
const FORMAT: u64 = 1;

/// A manifest; what we do not know in one that was read is not looked at.
pub(super) struct Manifest(Value);

/// A file that is complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) size_bytes: u64,
    /// In hexadecimal.
    pub(super) sha256: String,
}

impl Manifest {
    /// The manifest of an export that begins.
    pub(super) fn new(plan: &ExportPlan) -> Self {
        let files = plan.files.iter().map(|file| {
            json!({
                "name": file.name,
                "role": file.role.as_str(),
                "source": file.source,
                "size_bytes": null,
                "sha256": null,
            })
        });
        let disks = plan.disks.iter().map(|disk| {
            let names = disk.files.iter().filter_map(|index| Some(&plan.files.get(*index)?.name));
            json!({
                "target": disk.target,
                "source": disk.source,
                "capacity_bytes": disk.capacity_bytes,
                "files": names.collect::<Vec<_>>(),
            })
        });
        Self(json!({
            "format": FORMAT,
            "complete": false,
            "domain": { "name": plan.domain.name, "uuid": plan.domain.uuid.to_string() },
            "live": plan.live,
            "vmx": plan.vmx_name,
            "xml": XML,
            "state": fingerprint(plan),
            "files": files.collect::<Value>(),
            "disks": disks.collect::<Value>(),
            "warnings": plan.warnings,
        }))
    }

    /// Reads one; `None` if there is none that can be used.
    pub(super) fn read(path: &Path) -> Option<Self> {
        let value: Value = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
        (value.get("format")?.as_u64()? == FORMAT).then_some(Self(value))
    }

    /// Whether what this one tells of is of use for `new`: the same disks in the same state, of a domain that was off both
    /// times.
    pub(super) fn continues(&self, new: &Self) -> bool {
        let off = |manifest: &Self| manifest.0.get("live").and_then(Value::as_bool) == Some(false);
        let same = |key: &str| self.0.get(key).is_some() && self.0.get(key) == new.0.get(key);
        off(self) && off(new) && same("domain") && same("state")
    }

    fn files(&self) -> &[Value] {
        self.0.get("files").and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// A file that is complete.
    pub(super) fn entry(&self, name: &str) -> Option<Entry> {
        let file =
            self.files().iter().find(|f| f.get("name").and_then(Value::as_str) == Some(name))?;
        Some(Entry {
            size_bytes: file.get("size_bytes")?.as_u64()?,
            sha256: file.get("sha256")?.as_str()?.to_owned(),
        })
    }

    /// The file at this place of the plan is complete.
    pub(super) fn done(&mut self, index: usize, entry: Entry) {
        let file: Option<&mut Map<String, Value>> =
            self.0.pointer_mut(&format!("/files/{index}")).and_then(Value::as_object_mut);
        if let Some(file) = file {
            file.insert("size_bytes".to_owned(), json!(entry.size_bytes));
            file.insert("sha256".to_owned(), json!(entry.sha256));
        }
    }

    /// Everything is there.
    pub(super) fn complete(&mut self) {
        self.0["complete"] = json!(true);
    }

    /// Writes it, so that there is always a whole one.
    pub(super) fn write(&self, path: &Path) -> Result<(), Error> {
        let new = path.with_extension("json.new");
        let text = format!("{:#}\n", self.0);
        std::fs::write(&new, text)
            .and_then(|()| std::fs::rename(&new, path))
            .map_err(|e| cannot("write", path, e))
    }
}
