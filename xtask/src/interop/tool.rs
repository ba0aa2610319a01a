//! A program with virsh's command line, bound to one host.

use std::{process::Command, time::Duration};

use anyhow::ensure;

use super::Bench;
use crate::process::{self, Finished, show};

/// No command of ours or theirs needs longer on a simulator.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Which program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Program {
    /// Ours.
    Virtesx,
    /// Debian stable's, libvirt 9: knows machines by their BIOS UUID.
    DebianVirsh,
    /// libvirt 12: knows machines by their instance UUID.
    NewestVirsh,
}

/// A program and the URI it is given.
#[derive(Clone)]
pub(super) struct Tool<'a> {
    bench: &'a Bench,
    program: Program,
    uri: String,
}

impl<'a> Tool<'a> {
    /// `program` on the host `uri`, in a clean environment.
    pub(super) fn new(bench: &'a Bench, program: Program, uri: impl Into<String>) -> Self {
        Self { bench, program, uri: uri.into() }
    }

    /// The same program with another query parameter.
    pub(super) fn with(&self, parameter: &str) -> Self {
        let sign = if self.uri.contains('?') { '&' } else { '?' };
        Self { uri: format!("{}{sign}{parameter}", self.uri), ..self.clone() }
    }

    /// Runs one command and returns how it ended, however it ended.
    pub(super) fn run(&self, args: &[&str]) -> anyhow::Result<Finished> {
        process::run(self.command().args(args), TIMEOUT)
    }

    /// Runs one command that must succeed; its standard output without blank lines at the end.
    pub(super) fn ask(&self, args: &[&str]) -> anyhow::Result<String> {
        let done = self.run(args)?;
        let shown = show(self.command().args(args));
        ensure!(done.status.success(), "{shown}: {}: {}", done.status, done.stderr.trim());
        Ok(done.stdout.trim_end().to_owned())
    }

    fn command(&self) -> Command {
        let mut command = match self.program {
            Program::Virtesx => Command::new(&self.bench.virtesx),
            Program::DebianVirsh => self.bench.peers.virsh(&self.bench.auth_file()),
            Program::NewestVirsh => self.bench.peers.newest_virsh(),
        };
        if self.program == Program::Virtesx {
            command.env("LIBVIRT_AUTH_FILE", self.bench.auth_file());
        }
        command
            .env_remove("VIRTESX_DEFAULT_URI")
            .env_remove("LIBVIRT_DEFAULT_URI")
            .env("HOME", self.bench.home.path())
            .env("LC_ALL", "C.UTF-8")
            .current_dir(self.bench.home.path())
            .args(["-c", &self.uri]);
        command
    }
}
