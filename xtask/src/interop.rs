//! `cargo xtask interop`: our programs against other people's.
//!
//! [`vcsim`]: `virtesx` against govmomi's simulator, judged by govc. [`virsh`]: Debian's `virsh` and the newest one
//! against `esx-sim`, and `virtesx` beside them. [`parity`] (also `interop parity`): one script through Debian's `virsh`
//! and through `virtesx`. [`mod@console`]: `virtesx console` in tmux. [`mod@daemon`]: virsh and python3-libvirt through `virtesxd`, [`live_view`]: its live view. [`vmx`] (`interop vmx`): the converter against libvirt's. Every server listens on a free loopback
//! port, every child process has a deadline and is killed at the end. A missing peer is a failure.

mod console;
mod daemon;
mod fields;
mod live_view;
mod parity;
mod report;
mod tool;
mod vcsim;
mod virsh;
mod vmx;

use std::path::{Path, PathBuf};

use anyhow::Context;
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
    /// Only one part of the checks.
    #[arg(long, value_enum)]
    only: Option<Half>,
    #[command(flatten)]
    build: BuildOptions,
}

/// What is built before anything is checked.
#[derive(clap::Args)]
struct BuildOptions {
    /// Build and use the release profile (default: dev, which `cargo test` has built already).
    #[arg(long)]
    release: bool,
    /// Do not build our programs and the Go peers first.
    #[arg(long)]
    no_build: bool,
}

/// Checks of their own.
#[derive(clap::Subcommand)]
enum What {
    /// The script of docs/parity-script.md through Debian's virsh and through virtesx.
    Parity(parity::Options),
    /// The script of docs/daemon-script.md through both virshs and virtesx, all of them through virtesxd.
    Daemon(daemon::Options),
    /// VMX files and domain documents at random, through libvirt and through us in exact mode.
    Vmx(vmx::Options),
}

/// The parts of plain `interop`.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Half {
    /// virtesx against vcsim.
    Vcsim,
    /// virsh and virtesx against esx-sim.
    Virsh,
    /// The same, by a script that changes things.
    Parity,
    /// virsh and python3-libvirt through virtesxd, and its live view.
    Daemon,
    /// A serial console in a terminal (tmux).
    Console,
}

/// Everything the checks share.
struct Bench {
    peers: Peers,
    virtesx: PathBuf,
    esx_sim: PathBuf,
    virtesxd: PathBuf,
    /// Holds `auth.conf`, and is the home of programs that would else read the user's.
    home: tempfile::TempDir,
}

impl Bench {
    /// Builds what is wanted and looks whether all peers are there.
    fn prepare(options: &BuildOptions) -> anyhow::Result<Self> {
        let peers = Peers::new()?;
        if !options.no_build {
            peers.build()?;
            let mut build = workspace::cargo();
            build.args(["build", "-p", "virtesx", "-p", "esx-sim", "-p", "virtesxd"]);
            if options.release {
                build.arg("--release");
            }
            workspace::must(&mut build)?;
        }
        peers.check()?;
        let profile = if options.release { "release" } else { "debug" };
        let programs = workspace::target_dir()?.join(profile);
        let home = tempfile::tempdir().context("make a temporary folder")?;
        write_auth_file(home.path())?;
        let (virtesx, esx_sim) = (programs.join("virtesx"), programs.join("esx-sim"));
        let virtesxd = programs.join("virtesxd");
        Ok(Self { peers, virtesx, esx_sim, virtesxd, home })
    }

    fn auth_file(&self) -> PathBuf {
        self.home.path().join("auth.conf")
    }
}

/// Runs the checks and prints a line for each; fails if one failed.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    match &options.what {
        Some(What::Parity(options)) => return parity::run(options),
        Some(What::Daemon(options)) => return daemon::run(options),
        Some(What::Vmx(options)) => return vmx::run(options),
        None => {}
    }
    let bench = Bench::prepare(&options.build)?;
    let mut report = Report::default();
    let wanted = |half| options.only.is_none_or(|only| only == half);
    if wanted(Half::Vcsim) {
        vcsim::check(&bench, &mut report);
    }
    if wanted(Half::Virsh) {
        virsh::check(&bench, &mut report);
    }
    if wanted(Half::Parity) {
        parity::check(&bench, &mut report);
    }
    if wanted(Half::Daemon) {
        daemon::check(&bench, &mut report);
        live_view::check(&bench, &mut report);
    }
    if wanted(Half::Console) {
        console::check(&bench, &mut report);
    }
    report.finish()
}

/// Credentials for every endpoint on 127.0.0.1, in the form libvirt and virtesx read.
fn write_auth_file(home: &Path) -> anyhow::Result<()> {
    let text = format!(
        "[credentials-def]\nusername={USER}\npassword={PASSWORD}\n\
         [auth-esx-127.0.0.1]\ncredentials=def\n[auth-vpx-127.0.0.1]\ncredentials=def\n"
    );
    std::fs::write(home.join("auth.conf"), text).context("write auth.conf")
}
