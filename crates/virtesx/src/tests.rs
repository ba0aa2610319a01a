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
    let good = match cli::parse(words, |_| None) {
        Ok((options, task)) => {
            let session = Session::connected(options, Arc::new(mock));
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
fn conversions_use_a_connection_that_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "numvcpus = \"2\"\n").unwrap();
    let path = file.path().to_str().unwrap();
    let text = [
        &["-c", "esx://h/", "domxml-from-native", "vmware-vmx", path][..],
        &["-c", "esx://h/", "domxml-from-native", "vmware-vmx", "--config", path, "--exact"],
        &["-c", "esx://h/", "domxml-to-native", "vmware-vmx", path],
        &["-c", "esx://h/", "domxml-to-native", "--format", "vmware-vmx", "--xml", path],
        &["domxml-to-native", "vmware-vmx", "--domain", "web01", "--exact"],
    ]
    .map(|arguments| show(Mock::new(), arguments))
    .concat();
    insta::assert_snapshot!(text.replace(path, "FILE"));
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
