//! `cargo xtask faults`: runs the fault matrix and writes `docs/faults.md`.
//!
//! The matrix is an example of `esx-driver`, since no program of ours may be imported here. It fails by itself if a cell hangs,
//! panics, sends a change twice or leaves a session behind.

use std::time::Duration;

use anyhow::{Context, bail, ensure};

use crate::{process, workspace};

/// The document, below the root.
const DOCUMENT: &str = "docs/faults.md";
/// Everything between these two lines is written by the matrix.
const BEGIN: &str = "<!-- cargo xtask faults: begin -->\n";
const END: &str = "<!-- cargo xtask faults: end -->\n";
/// Longest time for the whole run, the build not counted.
const TIMEOUT: Duration = Duration::from_secs(300);

/// Runs the matrix; with `check`, only compares it with what is committed.
pub(crate) fn run(check: bool) -> anyhow::Result<()> {
    const EXAMPLE: [&str; 5] = ["-q", "-p", "esx-driver", "--example", "faults"];
    workspace::must(workspace::cargo().arg("build").args(EXAMPLE))?;
    let finished = process::run(workspace::cargo().arg("run").args(EXAMPLE), TIMEOUT)?;
    ensure!(finished.status.success(), "the fault matrix has bad cells:\n{}", finished.stderr);
    let path = workspace::root().join(DOCUMENT);
    let text = std::fs::read_to_string(&path).with_context(|| format!("read {DOCUMENT}"))?;
    let parts = text
        .split_once(BEGIN)
        .and_then(|(before, rest)| rest.split_once(END).map(|(_, after)| (before, after)));
    let Some((before, after)) = parts else { bail!("{DOCUMENT} has no place for the matrix") };
    let fresh = format!("{before}{BEGIN}{}{END}{after}", finished.stdout);
    if fresh == text {
        println!("{DOCUMENT} is as the matrix has it");
        return Ok(());
    }
    if check {
        let old: Vec<&str> = text.lines().collect();
        for line in fresh.lines().filter(|line| !old.contains(line)) {
            println!("now: {line}");
        }
        bail!("{DOCUMENT} differs from the matrix: run cargo xtask faults");
    }
    std::fs::write(&path, fresh).with_context(|| format!("write {DOCUMENT}"))?;
    println!("{DOCUMENT} written");
    Ok(())
}
