//! `virtesx console`, `virsh console` through virtesxd, and the question for a password, in a real terminal: tmux holds it, types, and is read.
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
    daemon::Daemon,
    report::Report,
    tool::{Program, Tool},
};
use crate::process::{self, Server};

const TIMEOUT: Duration = Duration::from_secs(60);
/// A machine of the simulator that is off.
const DOMAIN: &str = "vm-00001";

pub(super) fn check(bench: &Bench, report: &mut Report) {
    report.check("console: a session in a terminal", || session(bench));
    report.check("console: a password asked for in a terminal", || password(bench));
    report.check("console: both virshs in a terminal, through virtesxd", || virsh(bench));
}

/// A tmux server of our own, ended with us. Each session of it is a terminal with a shell.
struct Tmux {
    socket: String,
}

/// One terminal.
struct Terminal<'a> {
    tmux: &'a Tmux,
    name: &'static str,
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

    fn terminal(&self, name: &'static str) -> anyhow::Result<Terminal<'_>> {
        // A shell, to see that the terminal is as it was afterwards.
        let shell = "env PS1='ready> ' bash --norc";
        self.ask(&["new-session", "-d", "-s", name, "-x", "80", "-y", "24", shell])?;
        let terminal = Terminal { tmux: self, name };
        terminal.until("shell", |screen| screen.contains("ready>"))?;
        Ok(terminal)
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        let _ = self.ask(&["kill-server"]);
    }
}

impl Terminal<'_> {
    /// Waits until the screen is as wanted.
    fn until(&self, what: &str, shown: impl Fn(&str) -> bool) -> anyhow::Result<()> {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let screen = self.tmux.ask(&["capture-pane", "-p", "-t", self.name])?;
            if shown(&screen) {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("no {what} on the screen:\n{}", screen.trim_end());
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Presses keys, by tmux's names.
    fn press(&self, keys: &[&str]) -> anyhow::Result<()> {
        self.tmux.ask(&[&["send-keys", "-t", self.name][..], keys].concat()).map(drop)
    }

    fn type_text(&self, text: &str) -> anyhow::Result<()> {
        self.press(&["-l", text])
    }

    fn run(&self, line: &str) -> anyhow::Result<()> {
        self.type_text(line)?;
        self.press(&["Enter"])
    }

    /// Types to the guest's login until it has echoed.
    fn converse(&self) -> anyhow::Result<()> {
        self.until("greeting", |screen| screen.contains("Escape character is ^]"))?;
        self.until("prompt", |screen| screen.contains(&format!("{DOMAIN} login:")))?;
        self.type_text("root")?;
        self.until("echo", |screen| screen.contains("login: root"))?;
        // Another size, and keys that a terminal would take for itself were it not raw.
        self.tmux.ask(&["resize-window", "-t", self.name, "-x", "100", "-y", "30"])?;
        self.press(&["C-c", "C-z"])?;
        self.type_text("again")?;
        self.until("second echo", |screen| screen.contains("again"))?;
        let logins = |screen: &str| screen.matches("login:").count();
        let before = logins(&self.tmux.ask(&["capture-pane", "-p", "-t", self.name])?);
        self.press(&["Enter"])?;
        self.until("next prompt", |screen| logins(screen) > before)
    }

    /// Leaves, and sees that the terminal echoes by itself again.
    fn leave(&self) -> anyhow::Result<()> {
        self.press(&["C-]"])?;
        self.until("end", |screen| screen.contains("left=0"))?;
        self.echoes()
    }

    /// Sees that the terminal shows what is typed, and that a shell reads it.
    fn echoes(&self) -> anyhow::Result<()> {
        self.type_text("echo x$((1+1))y")?;
        self.until("typed line", |screen| screen.contains("echo x$((1+1))y"))?;
        self.press(&["Enter"])?;
        self.until("its output", |screen| screen.contains("x2y"))
    }
}

/// A host, a concentrator, and a machine that has connected to it.
struct Scene {
    host: String,
    concentrator: String,
    _sim: Server,
    _serve: Server,
}

impl Scene {
    fn start(bench: &Bench) -> anyhow::Result<Self> {
        let mut sim = Command::new(&bench.esx_sim);
        sim.args(["--listen", "127.0.0.1:0", "--vms", "1", "--consoles"]);
        let sim = Server::start(sim.args(["--username", USER, "--password", PASSWORD]), TIMEOUT)?;
        let address = sim.url.trim_start_matches("http://").trim_end_matches("/sdk");
        let host = format!("esx://{USER}@{address}/?transport=http");
        let concentrator = format!("unix:{}", bench.home.path().join("vspc.sock").display());
        let mut serve = Command::new(&bench.virtesx);
        serve.args(["vspc", "serve", "--listen", "127.0.0.1:0", "--clients", &concentrator]);
        let serve = Server::start(&mut serve, TIMEOUT)?;
        let proxy = serve.url.strip_prefix("hosts connect to ").context("where hosts connect")?;
        let virtesx = Tool::new(bench, Program::Virtesx, &host);
        virtesx.ask(&["console", DOMAIN, "--add", "--proxy", proxy])?;
        virtesx.ask(&["start", DOMAIN])?;
        let deadline = Instant::now() + TIMEOUT;
        while !virtesx.ask(&["vspc", "list", "--concentrator", &concentrator])?.contains(" up ") {
            ensure!(Instant::now() < deadline, "the machine does not connect");
        }
        Ok(Self { host, concentrator, _sim: sim, _serve: serve })
    }
}

fn tmux() -> Tmux {
    Tmux { socket: format!("virtesx-{}", std::process::id()) }
}

fn session(bench: &Bench) -> anyhow::Result<()> {
    let scene = Scene::start(bench)?;
    let tmux = tmux();
    let terminal = tmux.terminal("own")?;
    terminal.run(&format!(
        "LIBVIRT_AUTH_FILE={} VIRTESX_VSPC={} {} -c '{}' console {DOMAIN}; echo left=$?",
        bench.auth_file().display(),
        scene.concentrator,
        bench.virtesx.display(),
        scene.host
    ))?;
    terminal.converse()?;
    terminal.leave()
}

/// What is typed is not shown, an interrupt ends the program as it ends others, and the terminal is as it was.
fn password(bench: &Bench) -> anyhow::Result<()> {
    let mut sim = Command::new(&bench.esx_sim);
    sim.args(["--listen", "127.0.0.1:0", "--vms", "1", "--username", USER, "--password", PASSWORD]);
    let sim = Server::start(&mut sim, TIMEOUT)?;
    let address = sim.url.trim_start_matches("http://").trim_end_matches("/sdk");
    let nothing = bench.home.path().join("nothing.conf");
    std::fs::write(&nothing, "")?;
    let line = format!(
        "clear; HOME=/nonexistent LIBVIRT_AUTH_FILE={} {} -c 'esx://{USER}@{address}/?transport=http' list --all; echo left=$?",
        nothing.display(),
        bench.virtesx.display()
    );
    let tmux = tmux();
    let terminal = tmux.terminal("password")?;
    for (typed, key, end) in [("hidden", "C-c", "left=130"), (PASSWORD, "Enter", "left=0")] {
        terminal.run(&line)?;
        terminal.until("question", |screen| screen.contains("password for"))?;
        terminal.type_text(typed)?;
        terminal.press(&[key])?;
        terminal.until("end", |screen| screen.contains(end))?;
        let screen = tmux.ask(&["capture-pane", "-p", "-t", "password"])?;
        ensure!(!screen.contains("hidden"), "the password is on the screen:\n{screen}");
        ensure!(screen.contains(DOMAIN) == (key == "Enter"), "{screen}");
        terminal.echoes()?;
    }
    Ok(())
}

fn virsh(bench: &Bench) -> anyhow::Result<()> {
    let scene = Scene::start(bench)?;
    let config = format!(
        "[console]\nconcentrator = '{}'\n[target.sim]\nuri = '{}'\nauth_file = '{}'\n",
        scene.concentrator,
        scene.host,
        bench.auth_file().display()
    );
    let daemon = Daemon::start(bench, &config)?;
    let (newest, debian) = (bench.peers.newest_virsh(), bench.peers.virsh(&bench.auth_file()));
    let tmux = tmux();
    let line = |virsh: &Command, inside: bool, more: &str| -> anyhow::Result<String> {
        let (program, uri) =
            (virsh.get_program().to_string_lossy(), daemon.uri("sock", inside, "sim")?);
        Ok(format!("clear; {program} -c '{uri}' console {DOMAIN} {more}; echo left=$?"))
    };
    for (name, virsh, inside) in [("newest", &newest, true), ("debian", &debian, false)] {
        let terminal = tmux.terminal(name)?;
        terminal.run(&line(virsh, inside, "--safe")?)?;
        terminal.converse().context(name)?;
        terminal.leave().context(name)?;
    }
    // One writes at a time, unless another insists; then the first is told.
    let first = tmux.terminal("first")?;
    first.run(&line(&debian, false, "--devname serial0")?)?;
    first.until("prompt", |screen| screen.contains("login:"))?;
    let second = tmux.terminal("second")?;
    second.run(&line(&newest, true, "")?)?;
    second.until("refusal", |screen| screen.contains("another client writes"))?;
    second.until("failure", |screen| screen.contains("left=1"))?;
    second.run(&line(&newest, true, "--force")?)?;
    second.until("prompt", |screen| screen.contains("login:"))?;
    first.until("end", |screen| screen.contains("left="))?;
    // The machine goes, and takes its console with it.
    Tool::new(bench, Program::Virtesx, &scene.host).ask(&["destroy", DOMAIN])?;
    second.until("end", |screen| screen.contains("left="))
}
