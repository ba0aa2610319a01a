//! `virtesx console` in a real terminal: tmux holds it, types, and is read.
//!
//! A machine of `esx-sim` is given a serial port behind `virtesx vspc serve`, is started, connects, and its guest echoes.

use std::{
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};

use super::{
    Bench, PASSWORD, USER,
    report::Report,
    tool::{Program, Tool},
};
use crate::process::{self, Server};

const TIMEOUT: Duration = Duration::from_secs(60);
/// A machine of the simulator that is off.
const DOMAIN: &str = "vm-00001";

pub(super) fn check(bench: &Bench, report: &mut Report) {
    report.check("console: a session in a terminal", || session(bench));
}

/// A tmux server of our own, ended with us.
struct Tmux {
    socket: String,
}

impl Tmux {
    fn ask(&self, args: &[&str]) -> anyhow::Result<String> {
        let done = process::run(
            Command::new("tmux").args(["-f", "/dev/null", "-L", &self.socket]).args(args),
            TIMEOUT,
        )?;
        ensure!(done.status.success(), "tmux {args:?}: {}", done.stderr.trim());
        Ok(done.stdout)
    }

    /// Waits until the screen is as wanted.
    fn until(&self, what: &str, shown: impl Fn(&str) -> bool) -> anyhow::Result<()> {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let screen = self.ask(&["capture-pane", "-p", "-t", "c"])?;
            if shown(&screen) {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("no {what} on the screen:\n{}", screen.trim_end());
            }
            thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        let _ = self.ask(&["kill-server"]);
    }
}

fn session(bench: &Bench) -> anyhow::Result<()> {
    let mut sim = Command::new(&bench.esx_sim);
    sim.args(["--listen", "127.0.0.1:0", "--vms", "1", "--consoles"]);
    let sim = Server::start(sim.args(["--username", USER, "--password", PASSWORD]), TIMEOUT)?;
    let address = sim.url.trim_start_matches("http://").trim_end_matches("/sdk");
    let uri = format!("esx://{USER}@{address}/?transport=http");
    let socket = format!("unix:{}", bench.home.path().join("vspc.sock").display());
    let mut serve = Command::new(&bench.virtesx);
    serve.args(["vspc", "serve", "--listen", "127.0.0.1:0", "--clients", &socket]);
    let serve = Server::start(&mut serve, TIMEOUT)?;
    let proxy = serve.url.strip_prefix("hosts connect to ").context("where hosts connect")?;
    let virtesx = Tool::new(bench, Program::Virtesx, &uri);
    virtesx.ask(&["console", DOMAIN, "--add", "--proxy", proxy])?;
    virtesx.ask(&["start", DOMAIN])?;
    let deadline = Instant::now() + TIMEOUT;
    while !virtesx.ask(&["vspc", "list", "--concentrator", &socket])?.contains(" up ") {
        ensure!(Instant::now() < deadline, "the machine does not connect");
    }

    let tmux = Tmux { socket: format!("virtesx-{}", std::process::id()) };
    // A shell, to see that the terminal is as it was afterwards.
    tmux.ask(&[
        "new-session",
        "-d",
        "-s",
        "c",
        "-x",
        "80",
        "-y",
        "24",
        "env PS1='ready> ' bash --norc",
    ])?;
    tmux.until("shell", |screen| screen.contains("ready>"))?;
    let line = format!(
        "LIBVIRT_AUTH_FILE={} VIRTESX_VSPC={socket} {} -c '{uri}' console {DOMAIN}; echo left=$?",
        bench.auth_file().display(),
        bench.virtesx.display()
    );
    tmux.ask(&["send-keys", "-t", "c", "-l", &line])?;
    tmux.ask(&["send-keys", "-t", "c", "Enter"])?;
    tmux.until("greeting", |screen| screen.contains("Escape character is ^]"))?;
    tmux.until("prompt", |screen| screen.contains(&format!("{DOMAIN} login:")))?;
    tmux.ask(&["send-keys", "-t", "c", "-l", "root"])?;
    tmux.until("echo", |screen| screen.contains("login: root"))?;
    // Another size, and keys that a terminal would take for itself were it not raw.
    tmux.ask(&["resize-window", "-t", "c", "-x", "100", "-y", "30"])?;
    tmux.ask(&["send-keys", "-t", "c", "C-c", "C-z"])?;
    tmux.ask(&["send-keys", "-t", "c", "-l", "again"])?;
    tmux.until("second echo", |screen| screen.contains("again"))?;
    tmux.ask(&["send-keys", "-t", "c", "Enter"])?;
    tmux.until("second prompt", |screen| screen.matches("login:").count() > 1)?;
    tmux.ask(&["send-keys", "-t", "c", "C-]"])?;
    tmux.until("end", |screen| screen.contains("left=0"))?;
    // The terminal echoes by itself again.
    tmux.ask(&["send-keys", "-t", "c", "-l", "echo x$((1+1))y"])?;
    tmux.until("typed line", |screen| screen.contains("echo x$((1+1))y"))?;
    tmux.ask(&["send-keys", "-t", "c", "Enter"])?;
    tmux.until("its output", |screen| screen.contains("x2y"))
}
