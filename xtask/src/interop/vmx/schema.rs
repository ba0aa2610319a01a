//! What we print, against libvirt's own schemas.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use anyhow::{Context, bail, ensure};

use super::{TIMEOUT, our_answers, theirs};
use crate::{peers::Peers, process, workspace};

/// Documents that do not fit the schema; `docs/vmx.md` says why.
const DEVIATIONS: &[&str] = &[
    "file-backslash-unknown (default)",
    "file-drive-letter-slashes (default)",
    "file-unc (default)",
    "ws15-shared (default)",
    "ws15-shared (exact)",
];

/// Converts every vector and sample in both modes and has xmllint look at the documents.
pub(super) fn check(peers: &Peers, convert: &Path) -> anyhow::Result<()> {
    let schema = theirs::root(peers)?.join("usr/share/libvirt/schemas/domain.rng");
    let testdata = workspace::root().join("testdata/vmx");
    let mut failed = BTreeSet::new();
    for mode in ["exact", "default"] {
        let folder = tempfile::tempdir()?;
        for source in ["crafted", "samples"] {
            for file in fs::read_dir(testdata.join(source))? {
                let path = file?.path();
                let name = path.file_name().and_then(|n| n.to_str()).context("a plain name")?;
                if name.ends_with(".vmx") && !name.ends_with(".out.vmx") {
                    fs::copy(&path, folder.path().join(name))?;
                }
            }
        }
        let datastores = [
            "ds=/vmfs/volumes/ds",
            "fast=/vmfs/volumes/5f3c1a2b-0d9e8f70-1234-0050569a0001",
            "win=D:\\VMs",
        ];
        our_answers(convert, mode, folder.path(), &datastores)?;
        let documents = documents(folder.path())?;
        let mut xmllint = Command::new("xmllint");
        xmllint.args(["--noout", "--relaxng"]).arg(&schema).args(&documents);
        let done = process::run(&mut xmllint, TIMEOUT).context("install libxml2-utils")?;
        let judged = done.stderr.lines().filter(|l| l.ends_with(" validates")).count();
        let bad = done.stderr.lines().filter_map(|line| line.strip_suffix(" fails to validate"));
        let bad: Vec<String> = bad
            .map(|path| Path::new(path).file_stem().unwrap_or_default().to_string_lossy().into())
            .collect();
        ensure!(judged + bad.len() == documents.len(), "xmllint: {}", done.stderr.trim());
        println!(
            "schema: {mode} mode: {judged} documents fit, {} do not: {}",
            bad.len(),
            bad.join(" ")
        );
        failed.extend(bad.into_iter().map(|name| format!("{name} ({mode})")));
    }
    let known: BTreeSet<String> = DEVIATIONS.iter().map(|&name| name.to_owned()).collect();
    if failed != known {
        let list = |set: &BTreeSet<String>, other| {
            set.difference(other).cloned().collect::<Vec<_>>().join(", ")
        };
        bail!(
            "documents that do not fit, unlike documented: {}; that do, unlike documented: {}",
            list(&failed, &known),
            list(&known, &failed)
        );
    }
    Ok(())
}

/// Our documents of a folder, as files of their own.
fn documents(folder: &Path) -> anyhow::Result<Vec<std::path::PathBuf>> {
    let mut documents = Vec::new();
    for file in fs::read_dir(folder)? {
        let path = file?.path();
        let Some(name) = path.to_str().and_then(|p| p.strip_suffix(".vmx.ours")) else { continue };
        if let Some(xml) = fs::read_to_string(&path)?.strip_prefix("ok\n") {
            let document = Path::new(name).with_extension("xml");
            fs::write(&document, xml)?;
            documents.push(document);
        }
    }
    documents.sort();
    Ok(documents)
}
