//! `cargo xtask interop`: our programs against other people's.
//!
//! [`vcsim`]: `virtesx` against govmomi's simulator, judged by govc. [`virsh`]: Debian's `virsh` and the newest one
//! against `esx-sim`, and `virtesx` beside them. [`vmx`] (`interop vmx`): the converter against libvirt's. Every server listens on a free loopback port, every child process
//! has a deadline and is killed at the end. A missing peer is a failure.

mod fields;
mod report;
mod tool;
mod vcsim;
mod virsh;
mod vmx;

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::ValueEnum;

use crate::{peers::Peers, workspace};
use report::Report;

/// The only account of every simulator here. It guards nothing.
const USER: &str = "user";
const PASSWORD: &str = "pass";

/// What to check with what.
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Options {
    /// Another kind of check than those below.
    #[command(subcommand)]
    what: Option<What>,
    /// Build and use the release profile (default: dev, which `cargo test` has built already).
    #[arg(long)]
    release: bool,
    /// Only one half of the checks.
    #[arg(long, value_enum)]
    only: Option<Half>,
    /// Do not build our programs and the Go peers first.
    #[arg(long)]
    no_build: bool,
}

/// Checks that need no program of ours.
#[derive(clap::Subcommand)]
enum What {
    /// VMX files and domain documents at random, through libvirt and through us in exact mode.
    Vmx(vmx::Options),
}

/// The two halves.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Half {
    /// virtesx against vcsim.
    Vcsim,
    /// virsh and virtesx against esx-sim.
    Virsh,
}

/// Everything the checks share.
struct Bench {
    peers: Peers,
    virtesx: PathBuf,
    esx_sim: PathBuf,
    /// Holds `auth.conf`, and is the home of programs that would else read the user's.
    home: tempfile::TempDir,
}

impl Bench {
    fn auth_file(&self) -> PathBuf {
        self.home.path().join("auth.conf")
    }
}

/// Runs the checks and prints a line for each; fails if one failed.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    if let Some(What::Vmx(options)) = &options.what {
        return vmx::run(options);
    }
    let peers = Peers::new()?;
    if !options.no_build {
        peers.build()?;
        let mut build = workspace::cargo();
        build.args(["build", "-p", "virtesx", "-p", "esx-sim"]);
        if options.release {
            build.arg("--release");
        }
        workspace::must(&mut build)?;
    }
    peers.check()?;
    let programs = workspace::target_dir()?.join(if options.release { "release" } else { "debug" });
    let home = tempfile::tempdir().context("make a temporary folder")?;
    write_auth_file(home.path())?;
    let bench =
        Bench { peers, virtesx: programs.join("virtesx"), esx_sim: programs.join("esx-sim"), home };
    let mut report = Report::default();
    if options.only != Some(Half::Virsh) {
        vcsim::check(&bench, &mut report);
    }
    if options.only != Some(Half::Vcsim) {
        virsh::check(&bench, &mut report);
    }
    println!("interop: {} passed, {} failed", report.passed, report.failed.len());
    if !report.failed.is_empty() {
        bail!("failed were:\n  {}", report.failed.join("\n  "));
    }
    Ok(())
}

/// Credentials for every endpoint on 127.0.0.1, in the form libvirt and virtesx read.
fn write_auth_file(home: &Path) -> anyhow::Result<()> {
    let text = format!(
        "[credentials-def]\nusername={USER}\npassword={PASSWORD}\n\
         [auth-esx-127.0.0.1]\ncredentials=def\n[auth-vpx-127.0.0.1]\ncredentials=def\n"
    );
    std::fs::write(home.join("auth.conf"), text).context("write auth.conf")
}
