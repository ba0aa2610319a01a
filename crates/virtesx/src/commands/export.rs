//! `export`: a domain's configuration and disks into a local directory (`docs/export.md`).

mod manifest;
mod part;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use virt_api::{
    DomainExport, Error, ErrorCode, ErrorDomain, ExportOptions, ExportPlan, ExportRole, ExportWay,
};

use self::manifest::{Entry, MANIFEST, Manifest, XML};
use self::part::{Part, digest_of_bytes, digest_of_file};
use super::plain::{Plain, request, shown, switch};
use crate::command::{Group, positional, required_value};
use crate::commands::domain::{domain_argument, lookup};
use crate::failure::{Context, system};
use crate::progress::Progress;
use crate::render::Render;
use crate::session::Session;

/// `export`
pub(crate) static EXPORT: Plain = Plain {
    name: "export",
    group: Group::Domain,
    summary: "Copy a domain's configuration and disks into a local directory",
    details: "DIR gets the VMX file, the domain XML, every file of the disks, snapshots included, and manifest.json with sizes and\n\
              SHA-256 sums. The same command goes on where an earlier one broke off, if the domain is off and its disks have not\n\
              changed. A running domain gets a snapshot for the time of the copy. Disks whose files the host does not serve\n\
              (vSAN, vVols) come by a lease (NFC): each whole, in one stream-optimised file.",
    usage: "DOMAIN DIR",
    arguments: |command| {
        positional(domain_argument(command), "dir", "The directory", true)
            .arg(switch("quiesce", "Let VMware Tools bring the file systems to rest first"))
            .arg(switch("restart", "Copy everything anew"))
            .arg(switch("nfc", "Take all disks by a lease, each whole and without its snapshots"))
            .arg(switch("no-nfc", "Take no disk by a lease").conflicts_with("nfc"))
    },
    request: |matches| {
        let name = required_value(matches, "domain")?;
        let dir = PathBuf::from(required_value(matches, "dir")?);
        let way = match (matches.get_flag("nfc"), matches.get_flag("no-nfc")) {
            (true, _) => ExportWay::Lease,
            (_, true) => ExportWay::Files,
            _ => ExportWay::Auto,
        };
        let options = ExportOptions { quiesce: matches.get_flag("quiesce"), way };
        let restart = matches.get_flag("restart");
        Ok(request(async move |session: &Session| {
            let hypervisor = session.hypervisor().await?;
            let domain = lookup(hypervisor, &name).await?;
            let failed = || format!("failed to export domain '{name}'");
            std::fs::create_dir_all(&dir).map_err(|e| cannot("make the directory", &dir, e))?;
            let _held = session.hold();
            // Not cut short by an interrupt: a snapshot that is half made can only be put away when it is there.
            let export =
                hypervisor.domain_export(&domain, options.clone()).await.context(failed)?;
            let copied = tokio::select! {
                copied = copy(&*export, &dir, restart, session.progress()) => copied,
                () = session.interrupted() => Err(stopped()),
            };
            // The snapshot goes before anything is said, whatever it is.
            let finished = export.finish().await;
            let outcome = copied.context(failed)?;
            finished.context(failed)?;
            shown(outcome)
        }))
    },
};

fn stopped() -> Error {
    let message = "it was interrupted; the same command goes on";
    Error::new(ErrorCode::OperationAborted, ErrorDomain::None, message)
}

fn cannot(what: &str, path: &Path, error: std::io::Error) -> Error {
    system(format!("cannot {what} '{}'", path.display()), error)
}

/// Copies what is not there yet.
async fn copy(
    export: &dyn DomainExport,
    dir: &Path,
    restart: bool,
    progress: Option<&Progress>,
) -> Result<Exported, Error> {
    let plan = export.plan();
    let path = dir.join(MANIFEST);
    let old = if restart { None } else { Manifest::read(&path) };
    let mut manifest = Manifest::new(plan);
    // A machine that ran in between may have written to its disks without a trace in the descriptors.
    let old = old.filter(|old| old.continues(&manifest));
    let resumed = old.is_some();
    write_whole(dir, &plan.vmx_name, &plan.vmx)?;
    write_whole(dir, XML, plan.xml.as_bytes())?;
    manifest.write(&path)?;
    let mut outcome = Exported { resumed, ..Exported::default() };
    for (index, file) in plan.files.iter().enumerate() {
        let target = place(dir, &file.name)?;
        let entry = match &file.content {
            Some(content) => {
                write_whole(dir, &file.name, content)?;
                Entry { size_bytes: content.len() as u64, sha256: digest_of_bytes(content) }
            }
            None => {
                let known = old.as_ref().and_then(|old| old.entry(&file.name));
                // A disk that comes whole is only known by what the host says of its content.
                let comparable =
                    file.role != ExportRole::StreamOptimized || file.content_id.is_some();
                match known.filter(|known| comparable && is_there(&target, known)) {
                    Some(known) => known.clone(),
                    None => {
                        // What is made while it is read begins at its beginning.
                        let fresh = old.is_none() || file.role == ExportRole::StreamOptimized;
                        fetch(export, index, &target, fresh, progress, &mut outcome).await?
                    }
                }
            }
        };
        outcome.bytes += entry.size_bytes;
        outcome.files += 1;
        manifest.done(index, entry);
        manifest.write(&path)?;
    }
    manifest.complete();
    manifest.write(&path)?;
    outcome.warnings.clone_from(&plan.warnings);
    outcome.name.clone_from(&plan.domain.name);
    Ok(outcome)
}

/// Whether a file is there as the manifest says.
fn is_there(target: &Path, known: &Entry) -> bool {
    let size = std::fs::metadata(target).map(|metadata| metadata.len());
    size.is_ok_and(|size| size == known.size_bytes)
        && digest_of_file(target, None).is_ok_and(|(_, sha256)| sha256 == known.sha256)
}

/// Downloads one file, going on behind what is there of it.
async fn fetch(
    export: &dyn DomainExport,
    index: usize,
    target: &Path,
    fresh: bool,
    progress: Option<&Progress>,
    outcome: &mut Exported,
) -> Result<Entry, Error> {
    let file = &export.plan().files[index];
    let failed = |e| cannot("write", target, e);
    let mut part = Part::open(target, fresh).map_err(failed)?;
    // The file has become shorter than its part: the part is of another file.
    if file.size_bytes.is_some_and(|size| part.written() > size) {
        part = Part::open(target, true).map_err(failed)?;
    }
    let start = part.written();
    let stream = export.open(index, start).await?;
    let total = stream.size().map(|left| start + left);
    let label = format!("export {}", file.name);
    let entry = part
        .fill(&*stream, |done| {
            if let Some(progress) = progress {
                progress.transfer(&label, done, total);
            }
        })
        .await
        .context(|| format!("cannot copy {}", file.source))?;
    outcome.transferred += entry.size_bytes - start;
    Ok(entry)
}

/// Where a file goes. The driver gives plain names only; this is looked at again where they are used.
fn place(dir: &Path, name: &str) -> Result<PathBuf, Error> {
    let plain =
        |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains('\\');
    if !name.split('/').all(plain) {
        let message = format!("the host names the file {name:?}, which is no plain name");
        return Err(Error::internal(ErrorDomain::None, message));
    }
    let path = dir.join(name);
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(|e| cannot("make the directory", parent, e))?;
    }
    Ok(path)
}

fn write_whole(dir: &Path, name: &str, content: &[u8]) -> Result<(), Error> {
    let path = place(dir, name)?;
    std::fs::write(&path, content).map_err(|e| cannot("write", &path, e))
}

/// What came out.
#[derive(Default)]
struct Exported {
    name: String,
    files: u64,
    bytes: u64,
    transferred: u64,
    resumed: bool,
    warnings: Vec<String>,
}

impl Render for Exported {
    fn table(&self, _quiet: bool) -> String {
        let how = if self.resumed { "resumed, " } else { "" };
        format!(
            "Domain '{}' exported: {} files, {} bytes ({how}{} transferred)\n",
            crate::render::printable(&self.name),
            self.files,
            self.bytes,
            self.transferred
        )
    }

    fn value(&self) -> Value {
        json!({
            "action": "export",
            "domain": self.name,
            "files": self.files,
            "bytes": self.bytes,
            "transferred_bytes": self.transferred,
            "resumed": self.resumed,
        })
    }

    fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
    }
}

/// The parts of a plan that tell whether disks are still what they were.
fn fingerprint(plan: &ExportPlan) -> String {
    let mut text = Vec::new();
    for file in &plan.files {
        text.extend_from_slice(file.source.as_bytes());
        text.push(0);
        text.extend_from_slice(file.content.as_deref().unwrap_or_default());
        text.push(0);
        if file.role == ExportRole::StreamOptimized {
            text.extend_from_slice(b"whole ");
            text.extend_from_slice(file.content_id.as_deref().unwrap_or_default().as_bytes());
            text.push(0);
        }
    }
    digest_of_bytes(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_out_of_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["../x", "a/../../x", "/etc/x", "", "a//b", "..", "a\\..\\b"] {
            assert!(place(dir.path(), name).is_err(), "{name}");
        }
        assert_eq!(place(dir.path(), "a/b.vmdk").unwrap(), dir.path().join("a/b.vmdk"));
    }
}
