//! `cargo xtask soak`: many callers on one connection while things go wrong by chance (`docs/faults.md`).
//!
//! The work is an example of `esx-driver`, since no program of ours may be imported here. It fails by itself if anything piles
//! up: memory, tasks, open files, sessions of the host.

use std::time::Duration;

use anyhow::ensure;

use crate::{process, workspace};

/// Longest time for a thousand operations on a busy machine, and what the start takes besides.
const TIMEOUT: (Duration, Duration) = (Duration::from_secs(90), Duration::from_secs(120));

/// How much, and in which order things go wrong.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Operations in all.
    #[arg(long, default_value_t = 20_000)]
    operations: u32,
    /// Callers that share the connection.
    #[arg(long, default_value_t = 20)]
    callers: u32,
    /// Chooses operations and faults.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Builds and runs it, and prints its figures.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    const EXAMPLE: [&str; 5] = ["-q", "-p", "esx-driver", "--example", "soak"];
    workspace::must(workspace::cargo().arg("build").args(EXAMPLE))?;
    let mut command = workspace::cargo();
    command.arg("run").args(EXAMPLE).arg("--");
    for (name, value) in [
        ("--operations", u64::from(options.operations)),
        ("--callers", u64::from(options.callers)),
        ("--seed", options.seed),
    ] {
        command.args([name, &value.to_string()]);
    }
    let timeout = TIMEOUT.1 + TIMEOUT.0 * options.operations.div_ceil(1000);
    let finished = process::run(&mut command, timeout)?;
    print!("{}", finished.stdout);
    ensure!(finished.status.success(), "something piles up, or went wrong:\n{}", finished.stderr);
    Ok(())
}
