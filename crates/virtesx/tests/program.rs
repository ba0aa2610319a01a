//! The program as a user runs it, against a simulated host in this process: requests counted, bad
//! input answered by one line.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Output, Stdio};

use esx_sim::{Preset, Running, Simulator};

use crate::common::Home;

/// Runs the program with an auth file for the simulator's user.
fn virtesx(sim: Option<&Running>, args: &[&str]) -> Output {
    virtesx_with_input(sim, args, "")
}

fn virtesx_with_input(sim: Option<&Running>, args: &[&str], input: &str) -> Output {
    let home = Home::new(sim.map_or("pass", Running::password));
    let mut child = home
        .command(args)
        .env("TZ", "UTC")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

async fn run(sim: &Running, args: &[&str]) -> String {
    let uri = sim.uri();
    let mut all = vec!["-c", &uri];
    all.extend(args);
    // The simulator serves on this runtime: the child must not be waited for on its thread.
    let output = tokio::task::block_in_place(|| virtesx(Some(sim), &all));
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn methods(sim: &Running) -> Vec<String> {
    let methods = sim.journal().into_iter().map(|entry| entry.method).collect();
    sim.reset_journal();
    methods
}

#[tokio::test(flavor = "multi_thread")]
async fn round_trips_of_the_whole_program() {
    let sim = Simulator::builder().vms(500).start().await.unwrap();
    for (args, requests) in [
        (&["list", "--all"][..], 4),
        (&["list", "--all", "--name"], 4),
        (&["dominfo", "web01"], 6),
        (&["domstate", "vm-00400"], 6),
        (&["nodeinfo"], 4),
        (&["hostname"], 4),
        (&["capabilities"], 4),
        (&["version"], 3),
        (&["uri"], 3),
    ] {
        run(&sim, args).await;
        let asked = methods(&sim);
        assert_eq!(asked[..2], ["RetrieveServiceContent", "Login"], "{args:?}");
        assert_eq!(asked.last().unwrap(), "Logout", "{args:?}");
        assert!(asked.len() <= requests, "{args:?}: {asked:?}");
    }
    assert_eq!(sim.model().read(|m| m.session_count()), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_states_in_one_session() {
    let sim = Simulator::builder().vms(50).start().await.unwrap();
    let script: String = (1..=50).map(|n| format!("domstate vm-{n:05}\n")).collect();
    let uri = sim.uri();
    let output =
        tokio::task::block_in_place(|| virtesx_with_input(Some(&sim), &["-c", &uri], &script));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(text.matches("running").count() + text.matches("shut off").count(), 50, "{text}");
    assert!(sim.requests() <= 56, "{:?}", methods(&sim));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_machine_with_a_vmx_file_dumps() {
    for preset in [Preset::Esx, Preset::VCenter] {
        let sim = Simulator::builder().preset(preset).tls(true).vms(2).start().await.unwrap();
        let names = run(&sim, &["list", "--all", "--uuid"]).await;
        let uuids: Vec<_> = names.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
        assert!(uuids.len() > 5, "{names}");
        for uuid in uuids.iter().filter(|u| !u.starts_with("00000000-0000")) {
            let xml = run(&sim, &["dumpxml", uuid]).await;
            assert!(xml.starts_with("<domain type='vmware'") && xml.contains(uuid), "{xml}");
        }
    }
}

/// Runs commands in one session; shows each with what it printed.
fn script(sim: &Running, query: &str, lines: &[&str]) -> String {
    let uri = format!("{}{query}", sim.uri());
    let mut text = String::new();
    for line in lines {
        let output = tokio::task::block_in_place(|| {
            virtesx_with_input(Some(sim), &["-q", "-c", &uri], line)
        });
        text += &format!("$ {line}\n");
        text += &String::from_utf8_lossy(&output.stdout);
        text += &String::from_utf8_lossy(&output.stderr);
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn machines_live_and_change() {
    let sim = Simulator::builder().start().await.unwrap();
    insta::assert_snapshot!(script(
        &sim,
        "",
        &[
            "start web01",
            "destroy web01; domstate web01; destroy web01",
            "setmaxmem web01 1G; setmem web01 512M; setvcpus web01 8; dominfo web01",
            "vcpucount web01 --config",
            "schedinfo web01 limit=500 shares=low",
            "memtune web01 --min-guarantee 128M; memtune web01",
            "start web01; suspend web01; domstate web01; resume web01; reset web01; domstate web01",
            "domhostname web01",
            "domifaddr web01",
            "autostart web01; list --all --autostart --name; autostart web01 --disable",
            "shutdown web01 --mode agent",
            "undefine storage01; domstate storage01",
        ],
    ));
    assert_eq!(sim.model().read(|m| m.session_count()), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshots_come_and_go() {
    let sim = Simulator::builder().start().await.unwrap();
    insta::assert_snapshot!(script(
        &sim,
        "",
        &[
            "snapshot-list web01",
            "snapshot-create-as web01 'a & <b>' why; snapshot-create-as web01 'a & <b>'",
            "snapshot-list web01 --tree",
            "snapshot-info web01 --current",
            "snapshot-parent web01 --current",
            "snapshot-revert web01 'fresh install'; snapshot-current web01 --name; domstate web01",
            "snapshot-delete web01 'before update' --children; snapshot-list web01 --parent",
            "snapshot-delete web01 nosuch",
        ],
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_are_told_or_answered() {
    // The second start finds the file of the serial port, and asks.
    let twice = "start console01; destroy console01; start console01";
    let sim = Simulator::builder().start().await.unwrap();
    let text = script(&sim, "", &[twice]);
    assert!(text.contains("error: ") && text.contains("\"Append\""), "{text}");
    let answering = Simulator::builder().start().await.unwrap();
    let text = script(&answering, "&auto_answer=1", &[twice, "domstate console01"]);
    assert!(text.ends_with("$ domstate console01\nrunning\n"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_connection_changes_nothing() {
    let sim = Simulator::builder().start().await.unwrap();
    let uri = sim.uri();
    for command in ["destroy web01", "setmem web01 1G", "snapshot-create web01", "undefine web01"] {
        let mut args = vec!["-r", "-c", &uri];
        args.extend(command.split(' '));
        let output = tokio::task::block_in_place(|| virtesx(Some(&sim), &args));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{command}");
        assert!(stderr.contains("read only"), "{command}: {stderr}");
    }
}

/// Runs `args`, which must fail with one `error:` line that contains `needle`.
async fn fails(args: &[&str], needle: &str) {
    let output = tokio::task::block_in_place(|| virtesx(None, args));
    let stderr = String::from_utf8(output.stderr).unwrap();
    let errors: Vec<_> = stderr.lines().filter(|l| !l.starts_with("note:")).collect();
    assert_eq!(output.status.code(), Some(1), "{args:?}: {stderr}");
    assert_eq!(errors.len(), 1, "{args:?}: {stderr}");
    assert!(errors[0].starts_with("error: ") && errors[0].contains(needle), "{args:?}: {stderr}");
}

/// A server that answers every connection with `reply` and hangs up.
fn foreign_server(reply: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            // Answer once the request has begun to arrive.
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(reply);
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_gets_one_line() {
    let sim = Simulator::builder().start().await.unwrap();
    let tls = Simulator::builder().tls(true).start().await.unwrap();
    let vcenter = Simulator::builder().preset(Preset::VCenter).start().await.unwrap();
    let http = |port: u16| format!("esx://user@127.0.0.1:{port}/?transport=http");
    let html = foreign_server(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 14\r\n\r\n<html>a</html>",
    );
    let cut = foreign_server(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 5000\r\n\r\n<?xml version",
    );
    let deaf = foreign_server(b"");
    let refused = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let wrong = Simulator::builder().credentials("user", "another").start().await.unwrap();
    let vpx = format!("vpx://user@127.0.0.1:{}/nowhere?transport=http", vcenter.address().port());
    for (uri, command, needle) in [
        ("esy://127.0.0.1/".to_owned(), "uri", "esy"),
        (http(sim.address().port()) + "&no-verify=1", "uri", "no_verify"),
        (http(sim.address().port()) + "&auto_answer=yes", "uri", "auto_answer"),
        (http(wrong.address().port()), "uri", "user name or password"),
        (http(refused), "uri", "refuses"),
        (format!("esx://user@127.0.0.1:{}/", tls.address().port()), "uri", "thumbprint"),
        (http(deaf), "uri", "closed the connection"),
        (http(cut), "uri", "closed the connection"),
        (http(html), "uri", "HTML page"),
        (http(sim.address().port()), "dominfo web1", "did you mean \"web01\""),
        (vpx, "uri", "there are:"),
    ] {
        let mut args = vec!["-c", &uri];
        args.extend(command.split(' '));
        fails(&args, needle).await;
    }
    fails(&["frobnicate"], "frobnicate").await;
}
