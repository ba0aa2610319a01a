//! `cargo xtask interop vmx`: VMX files and domain documents at random through libvirt 12.8 and through us in exact
//! mode, and what we print against libvirt's schemas.
//!
//! vcsim behind simproxy is the host that virsh wants to see even for a free-standing conversion. A case passes if
//! both sides give the same text or fail with the same error code. Where libvirt crashes or hangs there is nothing to
//! be equal to: such cases are counted and named.

mod domains;
mod files;
mod random;
mod schema;
mod theirs;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, bail, ensure};

use crate::{peers::Peers, process, workspace};
use theirs::{Answer, Libvirt};

/// The hardware version of files that libvirt writes for vcsim's host.
const HARDWARE_VERSION: &str = "10";
/// A datastore of vcsim's host and its mount path, as far as no case names a file below it.
const DATASTORE: &str = "LocalDS_0=/no/such/folder";
const TIMEOUT: Duration = Duration::from_secs(300);

/// What to convert.
#[derive(clap::Args)]
pub(super) struct Options {
    /// How many cases: half of them VMX files, half of them domain documents.
    #[arg(long, default_value_t = 200)]
    cases: usize,
    /// The same seed makes the same cases.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Keep the cases of this run and both sides' answers in this folder.
    #[arg(long)]
    keep: Option<PathBuf>,
}

/// Runs the cases; fails if one differs or if a document does not fit the schema.
pub(super) fn run(options: &Options) -> anyhow::Result<()> {
    let peers = Peers::new()?;
    let convert = build_converter()?;
    schema::check(&peers, &convert)?;
    let libvirt = Libvirt::start(&peers)?;
    let names = write_cases(options, libvirt.folder())?;
    // libvirt knows the datastore by a mount path of vcsim's; no case has a name that starts with either.
    our_answers(&convert, "exact", libvirt.folder(), &[DATASTORE])?;
    let theirs = libvirt.convert(&names)?;
    let mut counts = Counts::default();
    let mut different = Vec::new();
    for (name, theirs) in names.iter().zip(&theirs) {
        let ours = fs::read_to_string(libvirt.folder().join(format!("{name}.ours")))
            .with_context(|| format!("read our answer to {name}"))?;
        if let Some(difference) = counts.add(name, &ours, theirs) {
            println!("FAIL  {name}: {difference}");
            different.push(name.clone());
        }
    }
    if let Some(keep) = &options.keep {
        keep_files(libvirt.folder(), keep, &theirs, &names)?;
    }
    let Counts { texts, errors, lost } = counts;
    println!(
        "interop vmx: seed {}, {} cases: {texts} texts and {errors} error codes are the same, {} differ, {} crash or \
         hang libvirt",
        options.seed,
        names.len(),
        different.len(),
        lost.len()
    );
    for name in &lost {
        println!("      no answer of libvirt's: {name}");
    }
    ensure!(texts + errors > 0, "no case was compared");
    if !different.is_empty() {
        bail!("{} cases differ: {}", different.len(), different.join(" "));
    }
    Ok(())
}

#[derive(Default)]
struct Counts {
    texts: usize,
    errors: usize,
    lost: Vec<String>,
}

impl Counts {
    /// Counts one case; says how the sides differ.
    fn add(&mut self, name: &str, ours: &str, theirs: &Answer) -> Option<String> {
        let (head, body) = ours.split_once('\n').unwrap_or((ours, ""));
        let our_code = head.strip_prefix("error ").and_then(|h| h.split(' ').next()?.parse().ok());
        match theirs {
            Answer::None => self.lost.push(name.to_owned()),
            Answer::Text(text) if our_code.is_none() => {
                // virsh adds a line feed to what the library gives.
                if text.trim_end_matches('\n') == body.trim_end_matches('\n') {
                    self.texts += 1;
                } else {
                    let lines = body.lines().zip(text.lines());
                    let (a, b) = lines.into_iter().find(|(a, b)| a != b).unwrap_or_default();
                    return Some(format!("ours {a:?}, theirs {b:?}"));
                }
            }
            Answer::Error(code, _) if our_code == Some(*code) => self.errors += 1,
            Answer::Error(code, message) => {
                let ours = if our_code.is_some() { ours.trim_end() } else { "a text" };
                return Some(format!("ours {ours:?}, theirs error {code} {message:?}"));
            }
            Answer::Text(_) => return Some(format!("ours {:?}, theirs a text", ours.trim_end())),
        }
        None
    }
}

/// Builds the program that converts a folder of files in one process.
fn build_converter() -> anyhow::Result<PathBuf> {
    let mut build = workspace::cargo();
    workspace::must(build.args(["build", "-p", "esx-vmx-domain", "--example", "convert"]))?;
    Ok(workspace::target_dir()?.join("debug/examples/convert"))
}

fn our_answers(
    convert: &Path,
    mode: &str,
    folder: &Path,
    datastores: &[&str],
) -> anyhow::Result<()> {
    let mut command = Command::new(convert);
    command.args([mode, HARDWARE_VERSION]).arg(folder).args(datastores);
    let done = process::run(&mut command, TIMEOUT)?;
    ensure!(done.status.success(), "convert: {}: {}", done.status, done.stderr.trim());
    Ok(())
}

fn write_cases(options: &Options, folder: &Path) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for number in 0..options.cases {
        let (name, text) = if number % 2 == 0 {
            (format!("c{number:05}.vmx"), files::file(options.seed, number))
        } else {
            (format!("c{number:05}.xml"), domains::document(options.seed, number))
        };
        fs::write(folder.join(&name), text).with_context(|| format!("write {name}"))?;
        names.push(name);
    }
    Ok(names)
}

fn keep_files(from: &Path, to: &Path, theirs: &[Answer], names: &[String]) -> anyhow::Result<()> {
    fs::create_dir_all(to)?;
    for (name, theirs) in names.iter().zip(theirs) {
        for name in [name.clone(), format!("{name}.ours")] {
            fs::copy(from.join(&name), to.join(&name))?;
        }
        fs::write(to.join(format!("{name}.theirs")), format!("{theirs:?}\n"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_compared_by_text_or_code() {
        let text = |t: &str| Answer::Text(t.to_owned());
        let error = |code| Answer::Error(code, "why".to_owned());
        let table = [
            ("ok\n<a/>\n", text("<a/>\n\n"), true),
            ("ok\n<a/>\n", text("<b/>\n"), false),
            ("ok\n<a/>\n", error(1), false),
            ("error 1 0\nx\n", error(1), true),
            ("error 1 0\nx\n", error(27), false),
            ("error 1 0\nx\n", text("<a/>"), false),
            ("ok\n<a/>\n", Answer::None, true),
        ];
        let mut counts = Counts::default();
        for (ours, theirs, same) in table {
            assert_eq!(counts.add("x", ours, &theirs).is_none(), same, "{ours:?} {theirs:?}");
        }
        assert_eq!((counts.texts, counts.errors, counts.lost.len()), (1, 1, 1));
    }

    #[test]
    fn cases_are_of_their_seed() {
        assert_eq!(files::file(7, 4), files::file(7, 4));
        assert_ne!(files::file(7, 4), files::file(8, 4));
        assert_eq!(domains::document(7, 5), domains::document(7, 5));
        // Every key of the specification turns up somewhere.
        let all: String = (0..600).map(|n| files::file(3, n).to_ascii_lowercase()).collect();
        for key in ["vc.uuid", "vm.genidx", "nvme0:", "dvs.portgroupid", "network.endpoint", "vtpm"]
        {
            assert!(all.contains(key), "{key}");
        }
    }
}
