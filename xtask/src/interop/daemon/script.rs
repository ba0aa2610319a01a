//! `docs/daemon-script.md` through both virshs and the daemon, and everything of `docs/parity-script.md` through `virtesx`
//! and the daemon: held against `virtesx` without a daemon, each on a fresh host.

use std::path::PathBuf;

use anyhow::Context as _;

use super::{Bench, Daemon, Report, USER};
use crate::interop::parity::{self, Action, Host, Script, Section};
use crate::interop::tool::{Program, Tool};
use crate::workspace;

/// The script that all three programs run.
fn path() -> PathBuf {
    workspace::root().join("docs/daemon-script.md")
}

/// Runs both scripts; `bless` writes the differences found into the daemon's.
pub(super) fn check(
    bench: &Bench,
    daemon: &Daemon,
    sections: &[String],
    bless: bool,
    report: &mut Report,
) {
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path);
        text.with_context(|| format!("read {}", path.display()))
    };
    let wanted = |section: &Section| sections.is_empty() || sections.contains(&section.name);
    let script = report.check("daemon script: it can be read", || {
        let text = read(path())?;
        Ok((Script::parse(&text)?, text))
    });
    if let Some((mut script, text)) = script {
        let commands = script.sections.iter().flat_map(|section| &section.steps);
        let commands = commands.filter(|step| matches!(step.action, Action::Run(_))).count();
        for section in script.sections.iter_mut().filter(|section| wanted(section)) {
            everybody(bench, daemon, section, bless, report);
        }
        report.check(format!("daemon script: {commands} commands"), || {
            if bless {
                std::fs::write(path(), script.write(&text)).context("write the script")?;
            }
            anyhow::ensure!(commands >= 120, "they should be 120");
            Ok(())
        });
    }
    let script = report.check("daemon script: the parity script can be read", || {
        Script::parse(&read(parity::path())?)
    });
    for section in script.iter().flat_map(|script| &script.sections) {
        if wanted(section) {
            ourselves(bench, daemon, section, report);
        }
    }
}

/// The newest virsh, Debian's and `virtesx`, all through the daemon, beside `virtesx` without it.
fn everybody(
    bench: &Bench,
    daemon: &Daemon,
    section: &mut Section,
    bless: bool,
    report: &mut Report,
) {
    let name = format!("daemon {}", section.name);
    let hosts = report.check(format!("{name}: four hosts start"), || {
        parity::write_files(section, bench.home.path())?;
        parity::write_files(section, daemon.folder.path())?;
        let behind = |program| behind(bench, daemon, section, program);
        let plain = plain(bench, section)?;
        Ok((
            plain,
            behind(Program::NewestVirsh)?,
            behind(Program::DebianVirsh)?,
            behind(Program::Virtesx)?,
        ))
    });
    let Some((plain, newest, debian, ours)) = hosts else { return };
    for step in &mut section.steps {
        let shown = step.shown();
        report.check(format!("{name}: {shown}"), || {
            let found = parity::differences(bench, step, &newest, &plain);
            let found = found.context("the newest virsh")?;
            // The plain one has done it; the others are held against what it said.
            let (old, own) = match &step.action {
                Action::Run(_) | Action::State => (
                    parity::differences_again(bench, step, &debian, &plain)
                        .context("Debian's virsh")?,
                    parity::differences_again(bench, step, &ours, &plain).context("virtesx")?,
                ),
                Action::Until { .. } => {
                    parity::differences(bench, step, &debian, &ours)?;
                    (Vec::new(), Vec::new())
                }
            };
            if bless {
                step.bless(&found);
                step.bless_old(&old);
            }
            parity::judge(step, &[], &own).context("virtesx through the daemon")?;
            parity::judge(step, &step.expected, &found).context("the newest virsh")?;
            parity::judge(step, step.expected_old(), &old).context("Debian's virsh")
        });
    }
}

/// `virtesx` with a daemon and without: not a byte differs.
fn ourselves(bench: &Bench, daemon: &Daemon, section: &Section, report: &mut Report) {
    let name = format!("daemon parity {}", section.name);
    let hosts = report.check(format!("{name}: two hosts start"), || {
        parity::write_files(section, bench.home.path())?;
        Ok((plain(bench, section)?, behind(bench, daemon, section, Program::Virtesx)?))
    });
    let Some((plain, ours)) = hosts else { return };
    report.check(format!("{name}: virtesx says the same through the daemon"), || {
        for step in &section.steps {
            let found = parity::differences(bench, step, &plain, &ours)?;
            anyhow::ensure!(found.is_empty(), "{}\n{}", step.shown(), found.join("\n"));
        }
        Ok(())
    });
}

/// `virtesx` on a fresh host.
fn plain<'a>(bench: &'a Bench, section: &Section) -> anyhow::Result<Host<'a>> {
    let server = parity::section_host(bench, section)?;
    let uri = format!("esx://{USER}@{}/?transport=http", server.authority()?);
    Host::new(server, Tool::new(bench, Program::Virtesx, uri))
}

/// A program, the daemon, and a fresh host.
fn behind<'a>(
    bench: &'a Bench,
    daemon: &Daemon,
    section: &Section,
    program: Program,
) -> anyhow::Result<Host<'a>> {
    let server = parity::section_host(bench, section)?;
    let place = format!("{USER}@{}", server.authority()?);
    let inside = program == Program::NewestVirsh;
    let uri = daemon.uri("sock", inside, &format!("{place}?transport=http"))?;
    let mut files = vec![(format!("esx://{place}/?transport=http"), uri.clone())];
    if inside {
        for (file, _) in &section.files {
            files.push((file.clone(), daemon.inside(file)?));
        }
    }
    Ok(Host::new(server, Tool::new(bench, program, uri))?.with_files(files))
}
