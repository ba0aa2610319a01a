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
        let case = fs::read(libvirt.folder().join(name)).with_context(|| format!("read {name}"))?;
        // Both sides make a UUID up where there is none.
        let made_up = String::from_utf8_lossy(&case).contains("<uuid></uuid>");
        if let Some(difference) = counts.add(name, &ours, theirs, made_up) {
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
    /// Counts one case; says how the sides differ. The UUID does not count if it was made up.
    fn add(&mut self, name: &str, ours: &str, theirs: &Answer, made_up: bool) -> Option<String> {
        let (head, body) = ours.split_once('\n').unwrap_or((ours, ""));
        let our_code = head.strip_prefix("error ").and_then(|h| h.split(' ').next()?.parse().ok());
        match theirs {
            Answer::None => self.lost.push(name.to_owned()),
            Answer::Text(text) if our_code.is_none() => {
                // virsh adds a line feed to what the library gives.
                let counts = |line: &&str| !made_up || !line.starts_with("uuid.bios = ");
                let lines = |text: &str| -> Vec<_> {
                    text.trim_end_matches('\n')
                        .split('\n')
                        .filter(counts)
                        .map(str::to_owned)
                        .collect()
                };
                let (ours, theirs) = (lines(body), lines(text));
                if ours == theirs {
                    self.texts += 1;
                } else {
                    let mut pairs = ours.iter().zip(&theirs);
                    let longer = ours.len().max(theirs.len());
                    return Some(match pairs.find(|(a, b)| a != b) {
                        Some((a, b)) => format!("ours {a:?}, theirs {b:?}"),
                        None => format!("one ends before line {longer}"),
                    });
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
            assert_eq!(
                counts.add("x", ours, &theirs, false).is_none(),
                same,
                "{ours:?} {theirs:?}"
            );
        }
        assert_eq!((counts.texts, counts.errors, counts.lost.len()), (1, 1, 1));
        let line = |n| format!("ok\na\nuuid.bios = \"{n}\"\nb\n");
        for made_up in [true, false] {
            let theirs = text("a\nuuid.bios = \"2\"\nb\n");
            assert_eq!(counts.add("x", &line(1), &theirs, made_up).is_none(), made_up);
        }
    }

    #[test]
    fn cases_are_of_their_seed() {
        assert_eq!(files::file(7, 4), files::file(7, 4));
        assert_ne!(files::file(7, 4), files::file(8, 4));
        assert_eq!(domains::document(7, 5), domains::document(7, 5));
    }

    /// Keys that libvirt looks at (`spec/vmx.md` 3.2, `spec/libvirt-12-deltas.md` 9), with a value that it refuses or reads
    /// in an odd way, where there is one.
    const KEYS: [(&str, Option<&str>); 71] = [
        (".encoding", Some("klingon")),
        ("config.version", Some("abc")),
        ("virtualhw.version", Some("3")),
        ("uuid.bios", Some("zz")),
        ("vc.uuid", Some("zz")),
        ("displayname", Some("|")),
        ("vm.genid", Some("0x10")),
        ("vm.genidx", Some("0x10")),
        ("annotation", Some("|")),
        ("memsize", Some("")),
        ("sched.mem.max", Some("abc")),
        ("sched.mem.minsize", Some("abc")),
        ("numvcpus", Some("1.5")),
        ("cpuid.corespersocket", Some("--1")),
        ("sched.cpu.affinity", Some("0-3")),
        ("sched.cpu.shares", Some("abc")),
        ("guestos", Some("")),
        ("smbios.reflecthost", Some("yes")),
        ("remotedisplay.vnc.enabled", Some("yes")),
        ("remotedisplay.vnc.port", Some("abc")),
        ("remotedisplay.vnc.ip", Some("")),
        ("remotedisplay.vnc.keymap", Some("")),
        ("remotedisplay.vnc.password", None),
        ("scsi0.present", Some("yes")),
        ("scsi3.present", None),
        ("scsi0.virtualdev", Some("x")),
        ("scsi0.pcislotnumber", Some("abc")),
        ("sata0.present", Some("yes")),
        ("sata0.pcislotnumber", Some("abc")),
        ("nvme0.present", Some("yes")),
        ("nvme0.pcislotnumber", None),
        ("scsi0:0.present", Some("1")),
        ("scsi0:64.filename", None),
        ("scsi0:0.devicetype", Some("nope")),
        ("scsi0:0.startconnected", None),
        ("scsi0:0.clientdevice", None),
        ("scsi0:0.writethrough", None),
        ("scsi0:0.mode", Some("")),
        ("sata0:0.filename", Some("a.img")),
        ("ide0:0.filename", None),
        ("nvme0:0.filename", None),
        ("floppy0.present", Some("1")),
        ("floppy0.filetype", Some("x")),
        ("floppy0.filename", None),
        ("isolation.tools.hgfs.disable", Some("yes")),
        ("sharedfolder.maxnum", Some("abc")),
        ("sharedfolder0.present", Some("yes")),
        ("sharedfolder0.enabled", Some("yes")),
        ("sharedfolder0.hostpath", Some("")),
        ("sharedfolder0.guestname", Some("")),
        ("sharedfolder0.writeaccess", Some("yes")),
        ("ethernet0.present", Some("yes")),
        ("ethernet0.startconnected", None),
        ("ethernet0.connectiontype", Some("hostonly")),
        ("ethernet0.addresstype", None),
        ("ethernet0.generatedaddress", None),
        ("ethernet0.address", Some("zz")),
        ("ethernet0.checkmacaddress", None),
        ("ethernet0.virtualdev", None),
        ("ethernet0.features", None),
        ("ethernet0.networkname", Some("")),
        ("ethernet0.vnet", None),
        ("ethernet0.dvs.switchid", Some("zz")),
        ("ethernet0.dvs.portid", None),
        ("ethernet0.dvs.portgroupid", Some("")),
        ("ethernet0.dvs.connectionid", None),
        ("ethernet0.pcislotnumber", Some("abc")),
        ("svga.vramsize", Some("abc")),
        ("serial0.network.endpoint", None),
        ("parallel0.filename", None),
        ("serial0.filetype", None),
    ];

    #[test]
    fn files_have_every_key_with_good_values_and_bad_ones() {
        let more =
            ["firmware", "uefi.secureboot.enabled", "nvram", "vtpm.present", "serial0.filename"];
        let bad =
            [("firmware", "EFI"), ("uefi.secureboot.enabled", "yes"), ("vtpm.present", "yes")];
        let mut seen = std::collections::BTreeSet::new();
        for number in 0..16_000 {
            for line in files::file(3, number).lines() {
                let Some((key, value)) = line.split_once('=') else { continue };
                let value = value.trim().trim_end_matches(';').trim_matches('"').to_owned();
                seen.insert((key.trim().to_ascii_lowercase(), value));
            }
        }
        let values = |key: &str| seen.iter().filter(|(k, _)| k == key).count();
        let mut missing = Vec::new();
        for key in KEYS.iter().map(|(key, _)| *key).chain(more) {
            if values(key) == 0 {
                missing.push(key.to_owned());
            }
        }
        let bad = KEYS.iter().filter_map(|(key, bad)| Some((*key, (*bad)?))).chain(bad);
        for (key, value) in bad {
            if !seen.contains(&(key.to_owned(), value.to_owned())) {
                missing.push(format!("{key} = {value:?}"));
            }
        }
        assert!(missing.is_empty(), "{missing:#?}");
    }
}
