//! Whole runs against a driver made of plain data: what is printed where, and how it ends.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::Arc;

use crate::mock::Mock;
use crate::run::{self, Streams};
use crate::session::Session;
use crate::{cli, command, failure};

/// Everything a run shows.
fn show(mock: Mock, arguments: &[&str]) -> String {
    let words = std::iter::once("virtesx").chain(arguments.iter().copied()).map(OsString::from);
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mock = Arc::new(mock);
    let good = match cli::parse(words, |_| None) {
        Ok((options, task)) => {
            let session = Session::connected(options, mock.clone());
            let mut streams = Streams { out: &mut out, err: &mut err };
            block_on(run::run(&session, task, &mut streams)).unwrap()
        }
        Err(error) => {
            err.extend(failure::to_text(&error.0, error.1).bytes());
            false
        }
    };
    let mut text =
        format!("$ virtesx {}\n{}", arguments.join(" "), String::from_utf8(out).unwrap());
    for line in String::from_utf8(err).unwrap().lines() {
        writeln!(text, "stderr: {line}").unwrap();
    }
    for call in mock.calls() {
        writeln!(text, "driver: {call}").unwrap();
    }
    text + if good { "[exit 0]\n" } else { "[exit 1]\n" }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn show_all(runs: &[&[&str]]) -> String {
    runs.iter().map(|arguments| show(Mock::new(), arguments)).collect()
}

#[test]
fn lists() {
    insta::assert_snapshot!(show_all(&[
        &["list"],
        &["list", "--all"],
        &["-q", "list", "--all"],
        &["list", "--inactive", "--title"],
        &["list", "--all", "--title", "--state-running"],
        &["list", "--state-shutoff"],
        &["list", "--all", "--state-other"],
        &["list", "--all", "--name"],
        &["list", "--all", "--uuid", "--id", "--name"],
        &["list", "--id", "--all"],
    ]));
    insta::assert_snapshot!(
        "empty_lists",
        [&["list", "--all"][..], &["-q", "list"], &["-o", "json", "list"]]
            .map(|arguments| show(Mock::empty(), arguments))
            .concat()
    );
}

#[test]
fn domains() {
    insta::assert_snapshot!(show_all(&[
        &["dominfo", "web01"],
        &["dominfo", "--domain", "1234"],
        &["domstate", "3"],
        &["domstate", "3", "--reason"],
        &["domid", "web01"],
        &["domid", "1234"],
        &["domuuid", "7"],
        &["domname", "00000000-0000-0000-0000-000000000002"],
        &["dumpxml", "web01", "--inactive", "--security-info", "--migratable", "--exact"],
        &["-q", "dumpxml", "--", "web01"],
        &["-q", "dumpxml", "web01", "--keep-keys"],
        &["dumpxml", "web01", "--keep-keys", "--exact"],
    ]));
}

#[test]
fn hosts() {
    insta::assert_snapshot!(show_all(&[
        &["uri"],
        &["version"],
        &["nodeinfo"],
        &["capabilities"],
        &["hostname"],
    ]));
}

#[test]
fn programs_get_json_and_yaml() {
    insta::assert_snapshot!(show_all(&[
        &["-o", "json", "list", "--all"],
        &["-o", "json", "list", "--name"],
        &["-o", "json", "dominfo web01; domid 1234; domstate 3 --reason"],
        &["-o", "json", "version"],
        &["nodeinfo", "-o", "json"],
        &["-o", "yaml", "list --all; nodeinfo; dominfo 1234"],
        &["-o", "yaml", "dumpxml", "web01"],
    ]));
}

#[test]
fn errors() {
    insta::assert_snapshot!(show_all(&[
        &["dominfo", "wbe01"],
        &["-o", "json", "dominfo", "wbe01"],
        &["dominfo", "wbe01", "-o", "json"],
        &["-o", "json", "hostname"],
        &["hostname; domstate web01"],
        &["dominfo 1; bogus"],
        &["lits"],
        &["-o", "json", "lits"],
        &["list --bogus"],
        &["list --al"],
        &["list", "-c", "esx://x/"],
        &["list", "web01"],
        &["list", "--all=3"],
        &["list --name --name"],
        &["list --table --name"],
        &["dominfo"],
        &["dominfo a b"],
        &["dominfo a --domain b"],
        &["dominfo ''"],
        &["domstate --domain"],
        &["list -o xml"],
        &["list '"],
        &["help nosuch"],
        &["completion tcsh"],
        &["domxml-to-native", "vmware-vmx"],
        &["domxml-from-native", "xen-xl", "/nonexistent/file"],
        &["domxml-from-native", "vmware-vmx", "/nonexistent/file"],
    ]));
}

#[test]
fn scripts() {
    insta::assert_snapshot!(show_all(&[
        &["domid web01; domid nosuch; domname 7"],
        &["-q", "domid web01; domid nosuch; domname 7"],
        &["domid web01; quit; domname 7"],
        &["# nothing"],
        &[""],
        &["-o", "yaml", "domid web01; domid nosuch; domname 7"],
    ]));
}

#[test]
fn help_is_for_newcomers() {
    insta::assert_snapshot!(show_all(&[
        &["--help"],
        &["help", "list"],
        &["list", "--help"],
        &["dominfo", "--help"],
        &["help", "host"],
        &["help", "domxml-to-native"],
    ]));
    assert_eq!(
        show(Mock::new(), &["-q", "help"]).lines().nth(1),
        show(Mock::new(), &["--help"]).lines().nth(1)
    );
}

#[test]
fn actions() {
    insta::assert_snapshot!(show_all(&[
        &["start", "1234"],
        &["start", "1234", "--force-boot"],
        &["-q", "start", "1234"],
        &["-o", "json", "start 1234; suspend web01"],
        &["start", "web01"],
        &["start", "1234", "--paused"],
        &["destroy", "web01"],
        &["destroy", "7", "--graceful", "--remove-logs"],
        &["shutdown", "web01"],
        &["shutdown", "web01", "--mode", "agent,acpi"],
        &["reboot", "web01", "--mode", "agent"],
        &["reboot", "web01", "--mode", "kick"],
        &["reset", "web01"],
        &["suspend", "--domain", "web01"],
        &["suspend", "1234"],
        &["resume", "3"],
        &["-o", "json", "resume", "web01"],
        &["undefine", "1234"],
        &["undefine", "1234", "--managed-save", "--snapshots-metadata", "--keep-nvram"],
        &["undefine", "1234", "--nvram", "--keep-nvram"],
        &["autostart", "web01"],
        &["autostart", "web01", "--disable", "-o", "json"],
        &["start", "nosuch"],
        &["start"],
        &["define", "/nonexistent/file"],
    ]));
}

#[test]
fn resources() {
    insta::assert_snapshot!(show_all(&[
        &["setmem", "web01", "1G"],
        &["setmem", "web01", "--size", "2048", "--live", "--config"],
        &["setmem", "web01", "2048", "--current"],
        &["setmem", "web01", "2048", "--current", "--live"],
        &["setmem", "web01", "-1"],
        &["setmem", "web01", "1x"],
        &["setmem", "web01"],
        &["setmaxmem", "web01", "8GiB", "-o", "json"],
        &["setmaxmem", "web01", "1500b", "--config"],
        &["memtune", "web01"],
        &["memtune 1234; memtune 1234 -o json; memtune web01 -o json"],
        &["memtune", "web01", "--min-guarantee", "1M", "--hard-limit", "-1", "--live"],
        &["setvcpus", "web01", "4"],
        &["setvcpus", "web01", "4", "--current"],
        &["setvcpus", "web01", "4", "--maximum", "--config"],
        &["setvcpus", "web01", "4", "--maximum"],
        &["setvcpus", "web01", "0"],
        &["setvcpus", "web01", "many"],
        &["vcpucount", "web01"],
        &["vcpucount", "1234"],
        &["-o", "json", "vcpucount web01; vcpucount 1234 --maximum"],
        &["vcpucount", "web01", "--active", "--live"],
        &["vcpucount", "web01", "--guest"],
        &["vcpucount", "web01", "--active", "--maximum"],
        &["schedinfo", "web01"],
        &["-o", "yaml", "schedinfo", "web01"],
        &["schedinfo", "web01", "--set", "limit=500", "shares=high", "--config"],
        &["schedinfo", "web01", "--set", "weight=5"],
        &["schedinfo", "web01", "limit=much"],
        &["schedinfo", "web01", "limit"],
        &["domhostname", "web01"],
        &["domhostname", "web01", "--source", "lease"],
        &["domifaddr", "web01"],
        &["-q", "domifaddr", "web01", "--full", "--source", "agent"],
        &["domifaddr", "web01", "--interface", "lan", "-o", "json"],
        &["domifaddr", "web01", "--source", "arp"],
        &["domifaddr", "web01", "--source", "ouija"],
        &["freecell"],
        &["freecell", "-o", "json"],
        &["freecell", "--all"],
    ]));
}

#[test]
fn snapshots() {
    insta::assert_snapshot!(show_all(&[
        &["snapshot-create", "web01"],
        &["snapshot-create", "web01", "--current"],
        &["snapshot-create", "web01", "--redefine", "--current"],
        &["snapshot-create-as", "web01", "a & b", "why"],
        &["snapshot-create-as", "web01", "--name", "x", "--disk-only", "--quiesce", "-o", "json"],
        &["-q", "snapshot-create-as", "web01", "x"],
        &["snapshot-create-as", "web01", "x", "why", "--print-xml"],
        &["snapshot-list web01 --name"],
        &["snapshot-list web01 --name --topological"],
        &["snapshot-list", "web01", "--tree"],
        &["snapshot-list", "web01", "--roots", "--name"],
        &["snapshot-list", "web01", "--from", "base", "--name"],
        &["snapshot-list", "web01", "--from", "base", "--descendants", "--name"],
        &["snapshot-list", "web01", "--from", "Before <upgrade>", "--tree"],
        &["snapshot-list", "web01", "--current", "--tree"],
        &["snapshot-list", "web01", "-o", "json"],
        &["snapshot-list", "web01", "--descendants"],
        &["snapshot-list", "web01", "--tree", "--name"],
        &["snapshot-list", "web01", "--from", "nosuch"],
        &["snapshot-current", "web01"],
        &["snapshot-current web01 --name; snapshot-parent web01 after"],
        &["-q", "snapshot-current", "web01", "--name"],
        &["snapshot-info", "web01", "Before <upgrade>"],
        &["snapshot-info", "web01", "--current", "-o", "yaml"],
        &["snapshot-info", "web01"],
        &["snapshot-info", "web01", "base", "--current"],
        &["snapshot-parent", "web01", "base"],
        &["snapshot-parent", "web01", "--snapshotname", "aside"],
        &["snapshot-dumpxml", "web01", "base"],
        &["snapshot-dumpxml", "web01"],
        &["snapshot-revert", "web01", "base"],
        &["snapshot-revert", "web01", "--current", "--running", "--force"],
        &["snapshot-revert", "web01", "base", "--running", "--paused"],
        &["snapshot-delete", "web01", "base"],
        &["snapshot-delete", "web01", "base", "--children", "-o", "json"],
        &["snapshot-delete", "web01", "base", "--children-only"],
        &["snapshot-delete", "web01", "nosuch", "--metadata"],
    ]));
}

/// Runs with a file that holds `text`; shows the file as it is afterwards.
fn show_with_file(text: &[u8], runs: &[&[&str]]) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let path = file.path().to_str().unwrap();
    let mut shown = String::new();
    for arguments in runs {
        let arguments: Vec<&str> =
            arguments.iter().map(|word| if *word == "FILE" { path } else { *word }).collect();
        shown += &show(Mock::new(), &arguments);
    }
    let after = std::fs::read(path).unwrap();
    shown.replace(path, "FILE") + &format!("FILE: {}\n", after.escape_ascii())
}

#[test]
fn definitions_and_snapshots_come_from_files() {
    insta::assert_snapshot!(show_with_file(
        b"<domainsnapshot><name>x</name></domainsnapshot>\n",
        &[
            &["define", "FILE", "--validate"],
            &["define", "FILE", "--exact"],
            &["define", "--file", "FILE", "-o", "json"],
            &["create", "FILE", "--validate"],
            &["-o", "json", "create", "FILE"],
            &["snapshot-create", "web01", "FILE", "--no-metadata", "--atomic"],
        ],
    ));
}

const VMX: &[u8] = b"# mine\r\ndisplayName = \"a|22b\"\r\nmemSize=64 \r\nRemoteDisplay.vnc.password = 'hunter2\r\n\
    memsize = \"128\"\r\nnonsense\r\n";

#[test]
fn vmx_files_are_looked_at() {
    insta::assert_snapshot!(show_with_file(
        VMX,
        &[
            &["vmx", "get", "FILE", "MEMSIZE"],
            &["-q", "vmx", "get", "FILE", "displayname", "--escaped"],
            &["vmx", "get", "FILE", "displayName", "-o", "json"],
            &["-o", "json", "vmx", "get", "FILE"],
            &["vmx", "get", "FILE", "--escaped"],
            &["vmx", "get", "FILE", "memsiz"],
            &["vmx", "lint", "FILE"],
            &["vmx", "lint", "FILE", "-o", "json"],
            &["vmx", "get", "/nonexistent/file"],
            &["vmx"],
            &["vmx", "frob", "FILE"],
            &["vmx", "set", "FILE", "memSize"],
        ],
    ));
    let unknown = b".encoding = \"klingon\"\n";
    insta::assert_snapshot!(
        "unknown_encoding",
        show_with_file(unknown, &[&["vmx", "lint", "FILE"]])
    );
    let good = b"memsize = \"64\"\n";
    insta::assert_snapshot!("good_vmx_file", show_with_file(good, &[&["vmx", "lint", "FILE"]]));
}

#[test]
fn vmx_files_are_changed() {
    insta::assert_snapshot!(show_with_file(
        VMX,
        &[
            &["vmx", "set", "FILE", "memsize", "256"],
            &["vmx", "set", "FILE", "memsize", "256"],
            &["-q", "vmx", "set", "FILE", "numvcpus", "2"],
            &["vmx", "set", "FILE", "annotation", "a \"b\"", "--escaped"],
            &["vmx", "set", "FILE", "annotation", "a \"b\""],
            &["vmx", "set", "FILE", "a key", "x"],
            &["vmx", "unset", "FILE", "DISPLAYNAME", "-o", "json"],
            &["vmx", "unset", "FILE", "DISPLAYNAME"],
            &["vmx", "set", "FILE", "guestinfo.n", "-5"],
        ],
    ));
}

#[test]
fn conversions_take_facts_in_place_of_a_host() {
    let vmx = b"config.version = \"8\"\ndisplayName = \"x\"\nvirtualHW.version = \"13\"\nide0:0.present = \"true\"\n\
        ide0:0.deviceType = \"cdrom-image\"\nide0:0.fileName = \"/vmfs/volumes/5f3c/a.iso\"\n";
    insta::assert_snapshot!(show_with_file(
        vmx,
        &[
            &["-q", "domxml-from-native", "vmware-vmx", "FILE"],
            &[
                "-q",
                "domxml-from-native",
                "vmware-vmx",
                "FILE",
                "--exact",
                "--datastore",
                "iso=/vmfs/volumes/5f3c"
            ],
            &["domxml-from-native", "vmware-vmx", "FILE", "--datastore", "iso"],
            &["domxml-from-native", "vmware-vmx", "FILE", "--vmx-path", "x/x.vmx"],
            &["domxml-from-native", "vmware-vmx", "FILE", "--hw-version", "13"],
            &["-c", "esx://h/", "domxml-from-native", "vmware-vmx", "FILE", "--datastore", "a=/b"],
            &["domxml-to-native", "vmware-vmx", "FILE", "--hw-version", "new"],
            &["domxml-to-native", "vmware-vmx", "--domain", "web01", "--hw-version", "13"],
        ],
    ));
}

#[test]
fn conversions_use_a_connection_that_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "numvcpus = \"2\"\n").unwrap();
    let path = file.path().to_str().unwrap();
    let text = [
        &["-c", "esx://h/", "domxml-from-native", "vmware-vmx", path][..],
        &["-c", "esx://h/", "domxml-from-native", "vmware-vmx", "--config", path, "--exact"],
        &["-c", "esx://h/", "domxml-from-native", "vmware-vmx", path, "--keep-keys"],
        &["-c", "esx://h/", "domxml-from-native", "vmware-vmx", path, "--keep-keys", "--exact"],
        &["-c", "esx://h/", "domxml-to-native", "vmware-vmx", path, "--keep-keys"],
        &["domxml-to-native", "vmware-vmx", "--domain", "web01", "--keep-keys"],
        &["-c", "esx://h/", "domxml-to-native", "vmware-vmx", path],
        &["-c", "esx://h/", "domxml-to-native", "--format", "vmware-vmx", "--xml", path],
        &["domxml-to-native", "vmware-vmx", "--domain", "web01", "--exact"],
    ]
    .map(|arguments| show(Mock::new(), arguments))
    .concat();
    insta::assert_snapshot!(text.replace(path, "FILE"));
}

#[test]
fn files_in_other_charsets_reach_the_connection_as_utf_8() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), b".encoding = \"windows-1252\"\ndisplayName = \"caf\xe9\"\n")
        .unwrap();
    let path = file.path().to_str().unwrap();
    let text = show(Mock::new(), &["-c", "esx://h/", "domxml-from-native", "vmware-vmx", path]);
    assert!(text.contains(".encoding = \"UTF-8\"\ndisplayName = \"café\"<"), "{text}");
    std::fs::write(file.path(), b".encoding = \"klingon\"\ndisplayName = \"caf\xe9\"\n").unwrap();
    let text = show(Mock::new(), &["-c", "esx://h/", "domxml-from-native", "vmware-vmx", path]);
    assert!(text.contains("unknown encoding 'klingon'"), "{text}");
}

#[test]
fn completion_scripts_know_commands_and_never_run_the_program() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let text = show(Mock::new(), &["-q", "completion", shell]);
        assert!(text.contains("domxml-from-native") && text.contains("state-running"), "{shell}");
        // Nothing in them asks the program for words.
        assert!(!text.contains("$(virtesx") && !text.contains("`virtesx"), "{shell}");
    }
}

#[test]
fn every_command_has_consistent_arguments() {
    for command in command::COMMANDS {
        command::parser(*command).debug_assert();
    }
    cli::full_parser().debug_assert();
    cli::parser().debug_assert();
}

/// A reader that went away.
struct Closed;

impl Write for Closed {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_broken_pipe_ends_the_run() {
    let (options, task) =
        cli::parse(["virtesx", "domid web01; domid web01"].map(OsString::from), |_| None).unwrap();
    let session = Session::connected(options, Arc::new(Mock::new()));
    let mut err = Vec::new();
    let result =
        block_on(run::run(&session, task, &mut Streams { out: &mut Closed, err: &mut err }));
    assert_eq!(result.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    assert!(err.is_empty());
}
