//! `cargo xtask ci`: what CI runs, on a machine that already has the packages it needs.

use std::process::Command;

use crate::workspace;

/// Runs the one list of steps there is, `.ci/run`, without its installations.
pub(crate) fn run() -> anyhow::Result<()> {
    let root = workspace::root();
    workspace::must(
        Command::new("bash").arg(root.join(".ci/run")).arg("--no-install").current_dir(root),
    )
}
