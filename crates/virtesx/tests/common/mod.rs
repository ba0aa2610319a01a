//! What the tests of the program share: a simulated host, and a home directory with an auth file for it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use esx_sim::{Builder, Running};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// A home directory with an auth file for hosts on loopback.
pub(crate) struct Home(TempDir);

impl Home {
    pub(crate) fn new(password: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "[credentials-sim]\nusername=user\npassword={password}\n[auth-esx-127.0.0.1]\ncredentials=sim\n"
        );
        std::fs::write(folder.path().join("auth.conf"), text).unwrap();
        Self(folder)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The program, with nothing of the environment but this directory, and without input.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_virtesx"));
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.folder())
            .env("LIBVIRT_AUTH_FILE", self.path("auth.conf"))
            .stdin(Stdio::null());
        command
    }

    /// Runs the program from a test whose runtime the simulator serves on: its thread must not wait.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        tokio::task::block_in_place(|| self.command(arguments).output().unwrap())
    }

    /// What a run prints that must succeed.
    pub(crate) fn good(&self, arguments: &[&str]) -> String {
        good(arguments, self.run(arguments))
    }

    /// What a run that must fail complains of.
    pub(crate) fn bad(&self, arguments: &[&str]) -> String {
        bad(arguments, self.run(arguments))
    }
}

/// A simulated host on a runtime of its own, for tests that have none, and a home directory.
pub(crate) struct Host {
    runtime: Runtime,
    pub(crate) running: Running,
    pub(crate) home: Home,
}

impl Host {
    pub(crate) fn start(builder: Builder) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let running = runtime.block_on(builder.start()).unwrap();
        let home = Home::new(running.password());
        Self { runtime, running, home }
    }

    /// The program, on this host.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.home.command(&["-c", &self.running.uri()]);
        command.args(arguments);
        command
    }

    /// Runs the program on this host; the journal holds the requests of this run only.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.running.reset_journal();
        self.command(arguments).output().unwrap()
    }

    /// What a run prints that must succeed.
    pub(crate) fn good(&self, arguments: &[&str]) -> String {
        good(arguments, self.run(arguments))
    }

    /// What a run that must fail complains of.
    pub(crate) fn bad(&self, arguments: &[&str]) -> String {
        bad(arguments, self.run(arguments))
    }

    pub(crate) fn stop(self) {
        self.runtime.block_on(self.running.stop());
    }
}

/// What a run has printed that must have succeeded.
pub(crate) fn good(arguments: &[&str], output: Output) -> String {
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// What a run has complained of that must have failed.
pub(crate) fn bad(arguments: &[&str], output: Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
    String::from_utf8(output.stderr).unwrap()
}
