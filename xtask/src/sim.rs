//! `cargo xtask sim`: the simulated host, in the foreground.

use crate::workspace;

/// Builds `esx-sim` and runs it with `args` until it ends.
pub(crate) fn run(args: &[String]) -> anyhow::Result<()> {
    workspace::must(workspace::cargo().args(["run", "--release", "-p", "esx-sim", "--"]).args(args))
}
