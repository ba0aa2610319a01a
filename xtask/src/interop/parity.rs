//! `cargo xtask interop parity`: one script through Debian's virsh and through virtesx, each on a fresh `esx-sim`.
//!
//! The script is `docs/parity-script.md`, which also says how it is written. Per command, standard output and exit status
//! are compared; `@ state` compares what govc sees on both hosts. Where the two differ on purpose, the script tells the
//! reason and the exact difference, so an entry that no longer holds fails as loudly as a difference nobody wrote down.

mod normal;
mod script;

use std::{
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};

use self::{
    normal::Normaliser,
    script::{Action, Command, Script, Section, Step},
};
use super::{
    Bench, BuildOptions, PASSWORD, USER,
    report::Report,
    tool::{Program, Tool},
};
use crate::{
    process::{self, Server},
    workspace,
};

/// What to run.
#[derive(clap::Args)]
pub(super) struct Options {
    /// Only these sections of the script (their headings' first words).
    sections: Vec<String>,
    /// Write the differences found into the script. Reasons are yours to write: a difference without one fails.
    #[arg(long)]
    bless: bool,
    #[command(flatten)]
    build: BuildOptions,
}

/// How long `until` waits for what it wants.
const PATIENCE: Duration = Duration::from_secs(20);

/// What govc is asked about a host by `@ state`. Add what a section's commands change.
const STATE: &[&[&str]] = &[
    &[
        "collect",
        "-json",
        "-type",
        "m",
        "/",
        "name",
        "runtime",
        "config",
        "snapshot",
        "guest",
        "layoutEx.file",
    ],
    &["collect", "-json", "HostAutoStartManager:ha-autostart-mgr", "config"],
];

fn path() -> PathBuf {
    workspace::root().join("docs/parity-script.md")
}

/// Runs the command.
pub(super) fn run(options: &Options) -> anyhow::Result<()> {
    let bench = Bench::prepare(&options.build)?;
    let mut report = Report::default();
    let text = read()?;
    let mut script = Script::parse(&text)?;
    let known: Vec<_> = script.sections.iter().map(|section| section.name.clone()).collect();
    if let Some(unknown) = options.sections.iter().find(|name| !known.contains(name)) {
        bail!("the script has no section {unknown:?}, only {}", known.join(", "));
    }
    for section in &mut script.sections {
        if options.sections.is_empty() || options.sections.contains(&section.name) {
            check_section(&bench, section, options.bless, &mut report);
        }
    }
    if options.bless {
        let blessed = script.write(&text);
        std::fs::write(path(), blessed).context("write the script")?;
    }
    report.finish()
}

/// Runs the whole script as a part of `cargo xtask interop`.
pub(super) fn check(bench: &Bench, report: &mut Report) {
    let mut script = report.check("parity: the script can be read", || Script::parse(&read()?));
    for section in script.iter_mut().flat_map(|script| &mut script.sections) {
        check_section(bench, section, false, report);
    }
}

fn read() -> anyhow::Result<String> {
    std::fs::read_to_string(path()).with_context(|| format!("read {}", path().display()))
}

/// A host and what works on it.
struct Host<'a> {
    server: Server,
    tool: Tool<'a>,
    normaliser: Normaliser,
}

impl<'a> Host<'a> {
    fn start(bench: &'a Bench, section: &Section, program: Program) -> anyhow::Result<Self> {
        let arguments: Vec<&str> = section.sim_arguments.iter().map(String::as_str).collect();
        let server = super::virsh::start(bench, &arguments)?;
        let authority = server.authority()?.to_owned();
        let tool = Tool::new(bench, program, format!("esx://{USER}@{authority}/?transport=http"));
        // libvirt 9 knows machines by their BIOS UUID.
        let tool = if program == Program::Virtesx { tool.with("legacy_uuid=1") } else { tool };
        Ok(Self { server, tool, normaliser: Normaliser::new(&authority) })
    }

    /// Exit status and standard output of a command, as they can be compared.
    fn result(&self, command: &Command) -> anyhow::Result<(Option<i32>, String)> {
        let words: Vec<&str> = command.words.iter().map(String::as_str).collect();
        let done = match &command.parameter {
            Some(parameter) => self.tool.with(parameter).run(&words)?,
            None => self.tool.run(&words)?,
        };
        ensure!(!done.stderr.contains("panicked"), "panicked: {}", done.stderr);
        Ok((done.status.code(), self.normaliser.text(&done.stdout)))
    }

    /// What the host has, by govc.
    fn state(&self, bench: &Bench) -> anyhow::Result<String> {
        let mut text = String::new();
        for question in STATE {
            let mut govc = bench.peers.go("govc");
            // The URL with the account travels in the environment, as govc wants it, not as an argument.
            govc.args(*question)
                .env("GOVC_URL", self.server.url.replace("://", &format!("://{USER}:{PASSWORD}@")))
                .env("GOVC_INSECURE", "1")
                .env("GOVC_PERSIST_SESSION", "false");
            let done = process::run(&mut govc, Duration::from_secs(60))?;
            ensure!(done.status.success(), "govc {}: {}", question.join(" "), done.stderr.trim());
            text.push_str(&done.stdout);
        }
        Ok(self.normaliser.text(&text))
    }
}

fn check_section(bench: &Bench, section: &mut Section, bless: bool, report: &mut Report) {
    let name = format!("parity {}", section.name);
    let hosts = report.check(format!("{name}: two hosts start"), || {
        // Files that commands name are looked for here.
        for (file, content) in &section.files {
            std::fs::write(bench.home.path().join(file), content)?;
        }
        let theirs = Host::start(bench, section, Program::DebianVirsh)?;
        Ok((theirs, Host::start(bench, section, Program::Virtesx)?))
    });
    let Some((theirs, ours)) = hosts else { return };
    for step in &mut section.steps {
        let shown = step.shown();
        report.check(format!("{name}: {shown}"), || {
            let found = differences(bench, step, &theirs, &ours)?;
            if bless && !matches!(step.action, Action::Until { .. }) {
                step.expected.clone_from(&found);
                if found.is_empty() {
                    step.reasons.clear();
                }
            }
            judge(step, &found)
        });
    }
}

/// How the two hosts differ after (or in the answers to) a step.
fn differences(
    bench: &Bench,
    step: &Step,
    theirs: &Host<'_>,
    ours: &Host<'_>,
) -> anyhow::Result<Vec<String>> {
    match &step.action {
        Action::Run(command) => {
            let (a, b) = (theirs.result(command)?, ours.result(command)?);
            let mut found = Vec::new();
            if a.0 != b.0 {
                found.push(format!("exit {} {}", status(a.0), status(b.0)));
            }
            found.extend(normal::diff(&a.1, &b.1));
            Ok(found)
        }
        Action::State => Ok(normal::diff(&theirs.state(bench)?, &ours.state(bench)?)),
        Action::Until { output, command } => {
            for (host, whose) in [(theirs, "theirs"), (ours, "ours")] {
                let deadline = Instant::now() + PATIENCE;
                loop {
                    let (_, said) = host.result(command)?;
                    if said == *output {
                        break;
                    }
                    ensure!(Instant::now() < deadline, "{whose} still says {said:?}");
                    thread::sleep(Duration::from_millis(50));
                }
            }
            Ok(Vec::new())
        }
    }
}

fn status(code: Option<i32>) -> String {
    code.map_or_else(|| "killed".to_owned(), |code| code.to_string())
}

/// Whether the differences are those that the script tells, with a reason.
fn judge(step: &Step, found: &[String]) -> anyhow::Result<()> {
    if *found != *step.expected {
        let lines = |lines: &[String]| {
            lines.iter().map(|line| format!("\n        {line}")).collect::<String>()
        };
        bail!(
            "line {} of the script expects the differences{}\n      but they are{}",
            step.line,
            if step.expected.is_empty() { " (none)".to_owned() } else { lines(&step.expected) },
            if found.is_empty() { " (none)".to_owned() } else { lines(found) },
        );
    }
    ensure!(
        found.is_empty() != step.reasons.iter().any(|reason| !reason.trim().is_empty()),
        "line {}: a difference needs a reason (`! ...`), and nothing else does",
        step.line
    );
    Ok(())
}
