//! `cargo xtask fuzz`: builds every fuzz target and runs it for a while (`docs/fuzzing.md`).
//!
//! Inputs that a run finds go to a folder that is thrown away, so that it leaves no trace in `fuzz/corpus`; an input that
//! breaks a target stays in `fuzz/artifacts`.

use std::{
    collections::BTreeSet,
    path::Path,
    process::Command,
    sync::{Mutex, PoisonError},
    thread,
    time::Duration,
};

use anyhow::{Context, bail, ensure};

use crate::{process, workspace};

/// The release of cargo-fuzz that CI installs; `.ci/run` names the same.
const INSTALL: &str = "cargo install cargo-fuzz --version 0.13.1 --locked";
/// Longest input: a machine's file has some kilobytes.
const MAX_LEN: &str = "-max_len=4096";
/// One input takes no longer, in seconds, not even on a busy machine.
const INPUT_TIMEOUT: &str = "-timeout=20";
/// What a target may take beside the time it was given.
const SLACK: Duration = Duration::from_secs(120);

/// Which targets, and for how long.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Targets to run (default: all).
    targets: Vec<String>,
    /// Seconds for each.
    #[arg(long, default_value_t = 15)]
    seconds: u64,
    /// How many to run at a time (default: one per processor).
    #[arg(long)]
    jobs: Option<usize>,
    /// Where chance begins (default: anywhere): the same inputs in the same order, as far as the time goes.
    #[arg(long)]
    seed: Option<u32>,
    /// Only build them.
    #[arg(long, conflicts_with_all = ["targets", "seconds", "jobs", "seed"])]
    build_only: bool,
}

/// Builds, runs, prints a line for each target; fails if one was broken.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let known = targets()?;
    let unknown: Vec<&String> = options.targets.iter().filter(|t| !known.contains(*t)).collect();
    ensure!(unknown.is_empty(), "no such target: {unknown:?}; there are {known:?}");
    workspace::must(cargo_fuzz().args(["build", "-s", "none"]))?;
    if options.build_only {
        return Ok(());
    }
    let wanted: Vec<&String> = match options.targets.is_empty() {
        true => known.iter().collect(),
        false => options.targets.iter().collect(),
    };
    let jobs =
        options.jobs.unwrap_or_else(|| thread::available_parallelism().map_or(1, Into::into));
    let queue = Mutex::new(wanted.into_iter());
    let broken = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
                while let Some(target) = next() {
                    match fuzz(target, options) {
                        Ok(runs) => {
                            println!("ok    {target}: {runs} inputs in {} s", options.seconds)
                        }
                        Err(error) => {
                            println!("FAIL  {target}: {error:#}");
                            broken.lock().unwrap_or_else(PoisonError::into_inner).push(target);
                        }
                    }
                }
            });
        }
    });
    let broken = broken.into_inner().unwrap_or_else(PoisonError::into_inner);
    if !broken.is_empty() {
        bail!("broken were {broken:?}; the inputs are in fuzz/artifacts");
    }
    Ok(())
}

fn cargo_fuzz() -> Command {
    let mut cargo = workspace::cargo();
    // The instrumentation is an unstable flag of the compiler; a nightly one is not needed for that.
    cargo.arg("fuzz").env("RUSTC_BOOTSTRAP", "1").current_dir(workspace::root().join("fuzz"));
    cargo
}

fn targets() -> anyhow::Result<BTreeSet<String>> {
    let done = process::run(cargo_fuzz().arg("list"), SLACK)?;
    ensure!(done.status.success(), "cargo fuzz: {}; {INSTALL}", done.stderr.trim());
    Ok(done.stdout.split_whitespace().map(str::to_owned).collect())
}

/// How many inputs a target took.
fn fuzz(target: &str, options: &Options) -> anyhow::Result<u64> {
    let seconds = options.seconds;
    let found = tempfile::tempdir().context("make a folder for new inputs")?;
    let seeds = Path::new("corpus").join(target);
    let mut command = cargo_fuzz();
    command.args(["run", "-s", "none", target]).arg(found.path()).arg(seeds).arg("--");
    command.arg(format!("-max_total_time={seconds}"));
    command.args([MAX_LEN, INPUT_TIMEOUT, "-print_final_stats=1"]);
    command.args(options.seed.map(|seed| format!("-seed={seed}")));
    let done = process::run(&mut command, Duration::from_secs(seconds) + SLACK)?;
    ensure!(done.status.success(), "{}\n{}", done.status, last_lines(&done.stderr, 30));
    executed(&done.stderr).context("it does not say how many inputs it took")
}

/// The count in libFuzzer's last statistics.
fn executed(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|l| l.strip_prefix("stat::number_of_executed_units:"))?;
    line.trim().parse().ok()
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_are_read() {
        let text = "Done 12 runs\nstat::number_of_executed_units: 12\nstat::new_units_added: 3\n";
        assert_eq!(executed(text), Some(12));
        assert_eq!(executed("Done"), None);
        assert_eq!(last_lines("a\nb\nc", 2), "b\nc");
        assert_eq!(last_lines("a", 2), "a");
    }
}
