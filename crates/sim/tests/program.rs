//! The program: it says where it is, serves, and ends when told.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use crate::common::{CONTENT, envelope, send};

#[tokio::test]
async fn it_prints_its_addresses_and_ends_on_a_signal() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_esx-sim"))
        .args([
            "--listen",
            "127.0.0.1:0",
            "--vms",
            "2",
            "--username",
            "root",
            "--api-version",
            "6.7",
        ])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let url = lines.next().unwrap().unwrap();
    let uri = lines.next().unwrap().unwrap();
    let address = url.strip_prefix("http://").unwrap().strip_suffix("/sdk").unwrap().to_owned();
    assert_eq!(uri, format!("esx://root@{address}/?transport=http"));
    let answer = send(address.parse().unwrap(), "POST", "/sdk", &[], &envelope(CONTENT)).await;
    assert_eq!(answer.element("apiVersion").as_deref(), Some("6.7"));
    let killed = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    assert!(child.wait().unwrap().success());
}

#[test]
fn what_it_cannot_do_it_says_in_one_line() {
    for (arguments, expect) in [
        (["--listen", "0.0.0.0:0"], "error: 0.0.0.0:0 is not a loopback address\n"),
        (
            ["--api-version", "9"],
            "error: unknown API version \"9\", known are 2.5, 4.0, 4.1, 6.7 and 8.0\n",
        ),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_esx-sim")).args(arguments).output().unwrap();
        assert!(!output.status.success());
        assert_eq!(String::from_utf8(output.stderr).unwrap(), expect);
    }
}
