//! The program and its host over time: pinned certificates, saved sessions, runs that are ended from outside.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Stdio};

use esx_sim::{Running, Simulator};

use crate::common::Home;

fn start(home: &Home, arguments: &[&str]) -> Child {
    let mut command = home.command(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn methods(sim: &Running) -> Vec<String> {
    let methods = sim.journal().into_iter().map(|entry| entry.method).collect();
    sim.reset_journal();
    methods
}

fn sessions(sim: &Running) -> usize {
    sim.model().read(|m| m.session_count())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pinned_certificate_is_trusted_and_no_other() {
    let sim = Simulator::builder().tls(true).start().await.unwrap();
    let home = Home::new(sim.password());
    let server = sim.address().to_string();
    let uri = format!("esx://{server}/");
    let known_hosts = home.path(".config/virtesx/known_hosts");
    let thumbprint = sim.thumbprint().unwrap();

    let refused = home.bad(&["-c", &uri, "list"]);
    assert!(refused.contains(thumbprint), "{refused}");
    assert!(refused.contains(&format!("'virtesx pin {server}'")), "{refused}");
    // Nobody is there to say yes; somebody expects another certificate.
    let refused = home.bad(&["pin", &server]);
    assert!(refused.contains("not a terminal") && refused.contains(thumbprint), "{refused}");
    let refused = home.bad(&["pin", &server, "--thumbprint", &thumbprint.replace('A', "B")]);
    assert!(refused.contains("not pinned"), "{refused}");
    let refused = home.bad(&["-r", "pin", &server, "--yes"]);
    assert!(refused.contains("--readonly"), "{refused}");
    assert!(!known_hosts.exists());

    let shown = home.good(&["pin", &server, "--thumbprint", thumbprint]);
    for fact in ["Subject:", "Issuer:", "localhost, 127.0.0.1, ::1", "Valid until:", thumbprint] {
        assert!(shown.contains(fact), "{fact}: {shown}");
    }
    assert_eq!(
        std::fs::read_to_string(&known_hosts).unwrap(),
        format!("{server} {thumbprint}\n"),
        "as govc writes it"
    );
    assert!(methods(&sim).iter().all(|method| method == "GET /"), "nothing else was sent");
    home.good(&["-c", &uri, "list"]);

    // The certificate changes: refused until it is pinned again.
    let other = Simulator::builder().tls(true).start().await.unwrap();
    let line = format!("# mine\n{} {thumbprint}\n", other.address());
    std::fs::write(&known_hosts, line).unwrap();
    let uri = format!("esx://{}/", other.address());
    let refused = home.bad(&["-c", &uri, "list"]);
    assert!(refused.contains("is not the one that was pinned"), "{refused}");
    assert_eq!(methods(&other), [] as [&str; 0]);
    let json = home.good(&["-o", "json", "pin", &uri, "--yes"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["pinned_before"], format!("SHA-256:{thumbprint}"));
    assert_eq!(json["sha256"], format!("SHA-256:{}", other.thumbprint().unwrap()));
    home.good(&["-c", &uri, "list"]);
    assert!(std::fs::read_to_string(&known_hosts).unwrap().starts_with("# mine\n"));

    let plain = Simulator::builder().start().await.unwrap();
    let refused = home.bad(&["pin", &plain.address().to_string(), "--yes"]);
    assert!(refused.contains("does not speak TLS"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_without_verification_says_so_once() {
    let sim = Simulator::builder().tls(true).start().await.unwrap();
    let home = Home::new(sim.password());
    let uri = format!("esx://{}/?no_verify=1", sim.address());
    let output = home.run(&["-c", &uri, "-q", "list; nodeinfo; list --all"]);
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.starts_with("warning: no_verify=1: "), "{said}");
    // It is about that connection only.
    home.bad(&["-c", &format!("esx://{}/", sim.address()), "list"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saved_session_spares_the_login() {
    let sim = Simulator::builder().start().await.unwrap();
    let home = Home::new(sim.password());
    let uri = sim.uri();
    let list = ["--session-cache", "-c", &uri, "-q", "list"];
    home.good(&list);
    let listed = "RetrievePropertiesEx";
    assert_eq!(methods(&sim), ["RetrieveServiceContent", "Login", listed]);
    home.good(&list);
    assert_eq!(methods(&sim), ["RetrieveServiceContent", "RetrieveProperties", listed]);
    assert_eq!(sessions(&sim), 1);
    let folder = home.path(".cache/virtesx/sessions");
    let files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap()).collect();
    assert_eq!(files.len(), 1);
    assert_eq!(files[0].metadata().unwrap().permissions().mode() & 0o777, 0o600);
    // Another user has another session, and without the option there is none.
    let other = uri.replace("user@", "other@");
    home.bad(&["--session-cache", "-c", &other, "list"]);
    methods(&sim);
    home.good(&["-c", &uri, "-q", "list"]);
    assert_eq!(methods(&sim).last().unwrap(), "Logout");
    assert_eq!(sessions(&sim), 1);
    // Refused: forgotten, and replaced.
    sim.model().change(|m| m.expire_sessions());
    home.good(&list);
    assert!(methods(&sim).contains(&"Login".to_owned()));
    assert_eq!(sessions(&sim), 1);
    let unset =
        Command::new(env!("CARGO_BIN_EXE_virtesx")).args(list).env_clear().output().unwrap();
    assert!(String::from_utf8_lossy(&unset.stderr).contains("XDG_CACHE_HOME"), "{unset:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_ended_from_outside_logs_out() {
    let sim = Simulator::builder().start().await.unwrap();
    let home = Home::new(sim.password());
    for (signal, status) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let mut child = start(&home, &["-c", &sim.uri()]);
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(b"list\n").unwrap();
        sim.until(|model| model.session_count() == 1).await;
        let id = child.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &id]).status().unwrap().success());
        let output = tokio::task::block_in_place(|| child.wait_with_output().unwrap());
        assert_eq!(output.status.code(), Some(status), "{output:?}");
        assert_eq!(sessions(&sim), 0, "{signal}");
        assert!(methods(&sim).contains(&"Logout".to_owned()));
        drop(stdin);
    }
    // A command that fails, output that nobody reads.
    home.bad(&["-c", &sim.uri(), "dominfo nobody"]);
    let mut child = start(&home, &["-c", &sim.uri(), "list --all; list --all"]);
    drop(child.stdout.take());
    tokio::task::block_in_place(|| child.wait().unwrap());
    assert_eq!(sessions(&sim), 0);
}
