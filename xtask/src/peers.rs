//! `cargo xtask peers`: other people's programs that we test against.
//!
//! The Go programs below `xtask/peers` are built into `target/peers` (Go's own cache makes a second build short).
//! Debian's `virsh` and the newest `virsh` are only looked for: installing them needs root, see `.ci/run`.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use clap::ValueEnum;

use crate::{process, workspace};

/// The version of libvirt our expectations come from.
pub(crate) const REFERENCE_LIBVIRT: &str = "12.8.";

const GO_PROGRAMS: [&str; 3] = ["vcsim", "govc", "simproxy"];

/// What to do with the peers.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Action {
    /// Build the Go programs, then look for virsh.
    Build,
    /// Build nothing; fail if a peer is missing.
    Check,
}

/// Where everything is.
pub(crate) struct Peers {
    dir: PathBuf,
    newest_virsh: PathBuf,
}

impl Peers {
    /// The peers of this workspace; whether they are there is another question.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let newest_virsh = workspace::root().join("xtask/peers/newest-virsh");
        Ok(Self { dir: workspace::target_dir()?.join("peers"), newest_virsh })
    }

    /// One of the Go programs.
    pub(crate) fn go(&self, name: &str) -> Command {
        Command::new(self.dir.join(name))
    }

    /// Debian's virsh with credentials from `auth_file`. libvirt's log is cut to errors.
    pub(crate) fn virsh(&self, auth_file: &Path) -> Command {
        let mut virsh = Command::new("virsh");
        virsh.env("LIBVIRT_AUTH_FILE", auth_file).env("LIBVIRT_DEBUG", "4");
        virsh
    }

    /// The newest virsh; it brings its own credentials (`user`, `pass`).
    pub(crate) fn newest_virsh(&self) -> Command {
        Command::new(&self.newest_virsh)
    }

    /// Compiles the Go programs.
    pub(crate) fn build(&self) -> anyhow::Result<()> {
        for name in GO_PROGRAMS {
            let source = workspace::root().join("xtask/peers").join(name);
            workspace::must(
                Command::new("go")
                    .args(["build", "-trimpath", "-o"])
                    .arg(self.dir.join(name))
                    .arg(".")
                    .current_dir(source),
            )?;
        }
        Ok(())
    }

    /// Says what is there, one line each; fails if something is missing or cannot do ESX.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        for name in GO_PROGRAMS {
            ensure!(self.dir.join(name).is_file(), "{name} is missing: run `cargo xtask peers`");
            println!("{name}: built");
        }
        let version =
            version(Command::new("virsh").args(["--version=long"]), "install libvirt-clients")?;
        ensure!(version.contains(" ESX "), "this virsh has no ESX driver:\n{version}");
        println!("virsh: {}", first_line(&version));
        let newest = self.newest_version()?;
        println!("newest virsh: {newest}");
        if !newest.starts_with(REFERENCE_LIBVIRT) {
            println!(
                "note: the newest virsh is {newest}, our expectations come from {REFERENCE_LIBVIRT}x"
            );
        }
        Ok(())
    }

    /// The version of the newest virsh.
    pub(crate) fn newest_version(&self) -> anyhow::Result<String> {
        let version = version(
            self.newest_virsh().arg("--version"),
            "run `xtask/peers/newest-virsh setup` as root",
        )?;
        Ok(first_line(&version).to_owned())
    }
}

/// Runs the command.
pub(crate) fn run(action: Action) -> anyhow::Result<()> {
    let peers = Peers::new()?;
    if matches!(action, Action::Build) {
        peers.build()?;
    }
    peers.check()
}

fn version(command: &mut Command, remedy: &str) -> anyhow::Result<String> {
    let done = process::run(command, Duration::from_secs(60)).with_context(|| remedy.to_owned())?;
    if !done.status.success() || done.stdout.trim().is_empty() {
        bail!("{remedy}: {} {}", done.status, done.stderr.trim());
    }
    Ok(done.stdout)
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default().trim()
}
