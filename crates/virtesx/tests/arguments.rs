//! The built program: arguments, exit status and streams, as far as no host is needed.

use std::io::Write;
use std::process::{Command, Output, Stdio};

/// Runs the program without any environment of ours.
fn run(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_virtesx"))
        .args(arguments)
        .env_remove("VIRTESX_DEFAULT_URI")
        .env_remove("LIBVIRT_DEFAULT_URI")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that does not read its input may be gone already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn help_and_version_succeed() {
    for arguments in [
        &["--help"][..],
        &["-h"],
        &["help"],
        &["help", "list"],
        &["list", "--help"],
        &["-v"],
        &["-V"],
    ] {
        let output = run(arguments, "");
        assert!(output.status.success(), "{arguments:?}");
        assert!(!output.stdout.is_empty() && output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn mistakes_end_with_1_and_one_line() {
    for (arguments, expect) in [
        (
            &["lits"][..],
            "error: unknown command: 'lits'; did you mean 'list'?; see 'virtesx help'\n",
        ),
        (&["--bogus"], "error: unsupported option '--bogus'; see --help\n"),
        (
            &["-c", "sim:///?x=1", "list"],
            "error: failed to connect to the hypervisor: 'sim:///?x=1' is not sim:///: the built-in simulated host has \
             no name and no parameters\n",
        ),
    ] {
        let output = run(arguments, "");
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert_eq!(text(&output.stderr), expect);
    }
}

#[test]
fn commands_come_from_standard_input() {
    let output = run(&["-q"], "# a comment\n\nhelp host; bogus\nhelp host\nquit\nhelp\n");
    assert_eq!(output.status.code(), Some(1), "one command was not understood");
    let expect = text(&run(&["-q", "help", "host"], "").stdout).to_owned();
    assert_eq!(text(&output.stdout), expect);
    assert_eq!(text(&output.stderr), "error: unknown command: 'bogus'; see 'virtesx help'\n");
}

#[cfg(unix)]
#[test]
fn vmx_files_go_through_byte_for_byte() {
    use std::os::unix::ffi::OsStrExt;

    let through = |arguments: &[&str], input: &[u8]| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_virtesx"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        child.wait_with_output().unwrap()
    };
    let file =
        b".encoding = \"windows-1252\"\r\nannotation = \"\xe9\"\r\nmemsize = \"64\"\r\n# \xff";
    for format in ["table", "json"] {
        let same = through(&["-o", format, "vmx", "set", "-", "memsize", "64"], file);
        assert!(same.status.success() && same.stderr.is_empty());
        assert_eq!(same.stdout, file, "{}", std::ffi::OsStr::from_bytes(&same.stdout).display());
    }
    let changed = through(&["vmx", "unset", "-", "MEMSIZE"], file);
    assert_eq!(changed.stdout, b".encoding = \"windows-1252\"\r\nannotation = \"\xe9\"\r\n# \xff");
    let value = through(&["-q", "vmx", "get", "-", "annotation"], file);
    assert_eq!(text(&value.stdout), "é\n");
    let lint = through(&["-q", "vmx", "lint", "-"], b"memsize = 64\n");
    assert_eq!(
        (lint.status.code(), text(&lint.stdout)),
        (Some(1), "-:1:11: the value has no quotes\n")
    );
}

#[test]
fn the_last_line_needs_no_end() {
    let output = run(&["-q"], "help host");
    assert!(output.status.success());
    assert!(text(&output.stdout).contains("nodeinfo"));
}

#[cfg(unix)]
#[test]
fn a_closed_pipe_is_no_failure() {
    use std::os::unix::net::UnixStream;

    let (ours, theirs) = UnixStream::pair().unwrap();
    drop(ours);
    let output = Command::new(env!("CARGO_BIN_EXE_virtesx"))
        .arg("help")
        .stdout(Stdio::from(std::os::fd::OwnedFd::from(theirs)))
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty());
}

#[cfg(unix)]
#[test]
fn an_interrupt_ends_the_run() {
    use std::io::Read;

    let mut child = Command::new(env!("CARGO_BIN_EXE_virtesx"))
        .arg("-q")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"help host\n").unwrap();
    // Output shows that commands are being read, and so that interrupts are listened to. The input stays open.
    child.stdout.as_mut().unwrap().read_exact(&mut [0; 10]).unwrap();
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    drop(input);
}
