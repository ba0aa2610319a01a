//! What every file must carry: a preamble, crate-wide attributes, a bearable length.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use serde_json::Value;

use super::{Findings, arrows::ROOMS};

/// Hand-written files longer than this are remarked upon.
const LONG: usize = 800;
/// Generated files longer than this are a breach: the generator should split them.
const LONG_GENERATED: usize = 2000;

/// What the root of a pure crate says, within `cfg_attr(not(test), ..)` if its tests read vectors.
const PURITY_LINT: &str = "warn(clippy::disallowed_methods)";

/// Checks the Rust files and manifests of all rooms below `root`. Returns how many files it read.
pub(super) fn check(root: &Path, metadata: &Value, found: &mut Findings) -> anyhow::Result<usize> {
    let mut count = 0;
    for room in ROOMS {
        let folder = root.join(room.folder);
        let manifest = fs::read_to_string(folder.join("Cargo.toml"))
            .with_context(|| format!("read the manifest of {}", room.package))?;
        check_manifest(room.folder, &manifest, found);
        let mut files = Vec::new();
        for part in ["src", "tests", "examples", "benches"] {
            collect(&folder.join(part), &mut files)?;
        }
        count += files.len();
        for path in files {
            let text =
                fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
            let name = path.strip_prefix(root).unwrap_or(&path).display().to_string();
            check_file(&name, &text, found);
            if room.package == "esx-driver" {
                check_facade(&name, &text, found);
            }
        }
        for path in crate_roots(metadata, room.package) {
            let text =
                fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
            let name = path.strip_prefix(root).unwrap_or(&path).display().to_string();
            check_crate_root(&name, room.pure, &text, found);
        }
    }
    Ok(count)
}

/// Every `.rs` file below `dir`, in order. A folder that is not there holds none.
fn collect(dir: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let Ok(entries) = fs::read_dir(dir) else { return Ok(()) };
    let mut paths = entries.map(|entry| entry.map(|e| e.path())).collect::<Result<Vec<_>, _>>()?;
    paths.sort();
    for path in paths {
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

/// The root files of a package's libraries and programs.
fn crate_roots(metadata: &Value, package: &str) -> Vec<PathBuf> {
    let packages = metadata["packages"].as_array().into_iter().flatten();
    packages
        .filter(|p| p["name"] == package && p["source"].is_null())
        .flat_map(|p| p["targets"].as_array().into_iter().flatten())
        .filter(|t| {
            t["kind"].as_array().is_some_and(|kinds| kinds.iter().any(|k| k == "lib" || k == "bin"))
        })
        .filter_map(|t| t["src_path"].as_str().map(PathBuf::from))
        .collect()
}

pub(super) fn check_manifest(folder: &str, manifest: &str, found: &mut Findings) {
    if !manifest.contains("[lints]\nworkspace = true") {
        found.breach(format!("{folder}/Cargo.toml does not take the workspace's lints"));
    }
    for line in manifest.lines() {
        let line = line.trim();
        // Versions live in the root manifest only.
        if line.starts_with(|c: char| c.is_ascii_alphabetic()) && line.contains("version = \"") {
            found.breach(format!("{folder}/Cargo.toml names a version: {line}"));
        }
    }
}

pub(super) fn check_file(name: &str, text: &str, found: &mut Findings) {
    let first = text.lines().map(str::trim).find(|line| {
        // A generated file may say so first, a licence note may come first, too.
        let plain_comment =
            line.starts_with("//") && !line.starts_with("//!") && !line.starts_with("///");
        !line.is_empty() && !plain_comment
    });
    if !first.is_some_and(|line| line.starts_with("//!")) {
        found.breach(format!("{name} does not open with //!"));
    }
    let lines = text.lines().count();
    if name.contains("/generated/") {
        if lines > LONG_GENERATED {
            found.breach(format!(
                "{name} has {lines} lines, generated files end at {LONG_GENERATED}"
            ));
        }
    } else if lines > LONG {
        found.remark(format!("{name} has {lines} lines: split it"));
    }
}

pub(super) fn check_crate_root(name: &str, pure: bool, text: &str, found: &mut Findings) {
    if !text.contains("#![forbid(unsafe_code)]") {
        found.breach(format!("{name} does not forbid unsafe code"));
    }
    // `clippy.toml` lists clocks, environment and files; the lint is off by default and on in pure crates.
    if pure && !text.contains(PURITY_LINT) {
        found.breach(format!("{name} is the root of a pure crate without {PURITY_LINT}"));
    }
}

/// The facade speaks libvirt's words. A textual check: it sees paths and re-exports, not names imported before.
pub(super) fn check_facade(name: &str, text: &str, found: &mut Findings) {
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("pub ") && line.contains("esx_vi_api") {
            found.breach(format!("{name}:{}: a public line names esx_vi_api", number + 1));
        }
    }
}
