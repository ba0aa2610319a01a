//! `cargo xtask interop parity`: one script through Debian's virsh and through virtesx, each on a fresh `esx-sim`.
//!
//! The script is `docs/parity-script.md`, which also says how it is written. Per command, standard output and exit status
//! are compared; `@ state` compares what govc sees on both hosts. Where the two differ on purpose, the script tells the
//! reason and the exact difference, so an entry that no longer holds fails as loudly as a difference nobody wrote down.

mod normal;
mod script;

use std::{
    cell::RefCell,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};

use self::normal::Normaliser;
pub(super) use self::script::{Action, Command, Script, Section, Step};
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
    &["collect", "-json", "-type", "s", "/", "name", "summary", "host", "vm"],
    &["collect", "-json", "-type", "h", "/", "config.network", "network", "datastore"],
];

pub(super) fn path() -> PathBuf {
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
pub(super) struct Host<'a> {
    pub(super) server: Server,
    pub(super) tool: Tool<'a>,
    normaliser: Normaliser,
    /// Local files, by their names in the script, where the tool finds them elsewhere.
    files: Vec<(String, String)>,
    /// What the last step gave.
    last: RefCell<Option<(Option<i32>, String)>>,
}

impl<'a> Host<'a> {
    fn start(bench: &'a Bench, section: &Section, program: Program) -> anyhow::Result<Self> {
        let server = section_host(bench, section)?;
        let authority = server.authority()?.to_owned();
        let tool = Tool::new(bench, program, format!("esx://{USER}@{authority}/?transport=http"));
        // libvirt 9 knows machines by their BIOS UUID.
        let tool = if program == Program::Virtesx { tool.with("legacy_uuid=1") } else { tool };
        Self::new(server, tool)
    }

    /// A tool on a host of its own.
    pub(super) fn new(server: Server, tool: Tool<'a>) -> anyhow::Result<Self> {
        let normaliser = Normaliser::new(server.authority()?);
        Ok(Self { server, tool, normaliser, files: Vec::new(), last: RefCell::default() })
    }

    /// Local files are where the tool, in a folder of its own, finds them: name in the script, path there.
    pub(super) fn with_files(self, files: Vec<(String, String)>) -> Self {
        Self { files, ..self }
    }

    /// Exit status and standard output of a command, as they can be compared.
    fn result(&self, command: &Command) -> anyhow::Result<(Option<i32>, String)> {
        let words = command.words.iter().map(|word| {
            let file = self.files.iter().find(|(name, _)| name == word);
            file.map_or(word.as_str(), |(_, path)| path.as_str())
        });
        let words: Vec<&str> = words.collect();
        let done = match &command.parameter {
            Some(parameter) => self.tool.with(parameter).run(&words)?,
            None => self.tool.run(&words)?,
        };
        ensure!(!done.stderr.contains("panicked"), "panicked: {}", done.stderr);
        let mut text = done.stdout;
        for (name, path) in &self.files {
            text = text.replace(path, name);
        }
        let result = (done.status.code(), self.normaliser.text(&text));
        self.last.replace(Some(result.clone()));
        Ok(result)
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
        let text = self.normaliser.text(&text);
        self.last.replace(Some((None, text.clone())));
        Ok(text)
    }
}

/// A fresh host as a section wants it.
pub(super) fn section_host(bench: &Bench, section: &Section) -> anyhow::Result<Server> {
    let arguments: Vec<&str> = section.sim_arguments.iter().map(String::as_str).collect();
    super::virsh::start(bench, &arguments)
}

/// Puts the files that a section's commands name where they are looked for.
pub(super) fn write_files(section: &Section, folder: &Path) -> anyhow::Result<()> {
    for (file, content) in &section.files {
        std::fs::write(folder.join(file), content)?;
    }
    Ok(())
}

fn check_section(bench: &Bench, section: &mut Section, bless: bool, report: &mut Report) {
    let name = format!("parity {}", section.name);
    let hosts = report.check(format!("{name}: two hosts start"), || {
        write_files(section, bench.home.path())?;
        let theirs = Host::start(bench, section, Program::DebianVirsh)?;
        Ok((theirs, Host::start(bench, section, Program::Virtesx)?))
    });
    let Some((theirs, ours)) = hosts else { return };
    for step in &mut section.steps {
        let shown = step.shown();
        report.check(format!("{name}: {shown}"), || {
            let found = differences(bench, step, &theirs, &ours)?;
            if bless {
                step.bless(&found);
            }
            judge(step, &step.expected, &found)
        });
    }
}

/// As [`differences`] of a step that `ours` has done already.
pub(super) fn differences_again(
    bench: &Bench,
    step: &Step,
    theirs: &Host<'_>,
    ours: &Host<'_>,
) -> anyhow::Result<Vec<String>> {
    let before = ours.last.borrow().clone().context("the step was not done")?;
    let result = match &step.action {
        Action::Run(command) => theirs.result(command)?,
        Action::State => (None, theirs.state(bench)?),
        Action::Until { .. } => bail!("a step that has no result"),
    };
    Ok(compare(&result, &before))
}

/// How two results differ.
fn compare(theirs: &(Option<i32>, String), ours: &(Option<i32>, String)) -> Vec<String> {
    let mut found = Vec::new();
    if theirs.0 != ours.0 {
        found.push(format!("exit {} {}", status(theirs.0), status(ours.0)));
    }
    found.extend(normal::diff(&theirs.1, &ours.1));
    found
}

/// How the two hosts differ after (or in the answers to) a step.
pub(super) fn differences(
    bench: &Bench,
    step: &Step,
    theirs: &Host<'_>,
    ours: &Host<'_>,
) -> anyhow::Result<Vec<String>> {
    match &step.action {
        Action::Run(command) => Ok(compare(&theirs.result(command)?, &ours.result(command)?)),
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
pub(super) fn judge(step: &Step, expected: &[String], found: &[String]) -> anyhow::Result<()> {
    if *found != *expected {
        let lines = |lines: &[String]| {
            lines.iter().map(|line| format!("\n        {line}")).collect::<String>()
        };
        bail!(
            "line {} of the script expects the differences{}\n      but they are{}",
            step.line,
            if expected.is_empty() { " (none)".to_owned() } else { lines(expected) },
            if found.is_empty() { " (none)".to_owned() } else { lines(found) },
        );
    }
    ensure!(
        step.differs() == step.reasons.iter().any(|reason| !reason.trim().is_empty()),
        "line {}: a difference needs a reason (`! ...`), and nothing else does",
        step.line
    );
    Ok(())
}
