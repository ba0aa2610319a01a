//! The built program against simulated hosts: pages and bytes of its requests, certificates, JSON errors, `sim:///`.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::ops::Deref;
use std::path::PathBuf;
use std::process::{Command, Output};

use esx_sim::{Builder, FileContent, Simulator};

use crate::common;

/// A host whose runs are looked at.
struct Host(common::Host);

impl Deref for Host {
    type Target = common::Host;
    fn deref(&self) -> &common::Host {
        &self.0
    }
}

impl Host {
    fn start(builder: Builder) -> Self {
        Self(common::Host::start(builder))
    }

    /// The methods that were called in the last run.
    fn methods(&self) -> Vec<String> {
        self.running.journal().into_iter().map(|entry| entry.method).collect()
    }

    /// The bytes that the last run received between login and logout.
    fn bytes(&self) -> u64 {
        let journal = self.running.journal();
        let ours = journal
            .iter()
            .filter(|entry| entry.method.starts_with("Retrieve") || entry.method == "FindByUuid");
        ours.filter(|entry| entry.method != "RetrieveServiceContent")
            .map(|entry| entry.bytes_out)
            .sum()
    }

    fn stop(self) {
        self.0.stop();
    }
}

fn program(uri: &str, auth_file: Option<PathBuf>, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_virtesx"));
    command
        .args(["-c", uri])
        .args(arguments)
        .env("LIBVIRT_AUTH_FILE", auth_file.unwrap_or_default());
    command.stdin(std::process::Stdio::null()).output().unwrap()
}

fn good(output: &Output) -> &str {
    assert!(output.status.success(), "{output:?}");
    std::str::from_utf8(&output.stdout).unwrap()
}

/// The one line of a failed run.
fn bad(output: &Output) -> &str {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let line = std::str::from_utf8(&output.stderr).unwrap();
    assert!(
        line.starts_with("error: ") && line.ends_with('\n') && line.matches('\n').count() == 1,
        "{line:?}"
    );
    line
}

#[test]
fn a_list_is_one_request_and_its_pages_whatever_the_number() {
    for vms in [10, 1000] {
        let host = Host::start(Simulator::builder().vms(vms));
        let output = host.run(&["-q", "list", "--all", "--name"]);
        assert!(good(&output).lines().count() >= vms as usize);
        let expect = ["RetrieveServiceContent", "Login", "RetrievePropertiesEx", "Logout"];
        assert_eq!(host.methods(), expect, "{vms} machines");
        host.stop();
    }
    let host = Host::start(Simulator::builder().vms(1000).page_size(300));
    let all = good(&host.run(&["-q", "list", "--all", "--uuid", "--name"])).lines().count();
    let pages = all.div_ceil(300);
    let methods = host.methods();
    assert_eq!(methods.iter().filter(|method| *method == "RetrievePropertiesEx").count(), 1);
    let further = methods.iter().filter(|method| *method == "ContinueRetrievePropertiesEx").count();
    // The host itself may be an object of the first page, too.
    assert!(further < pages + 1 && further + 1 >= pages, "{methods:?}");
    assert_eq!(methods.len(), 4 + further);
    host.stop();
}

#[test]
fn dominfo_takes_at_most_three_requests_and_bytes_that_do_not_grow() {
    let mut bytes = Vec::new();
    for vms in [10, 1000] {
        let host = Host::start(Simulator::builder().vms(vms));
        let uuid = good(&host.run(&["-q", "domuuid", "web01"])).trim().to_owned();
        good(&host.run(&["dominfo", &uuid]));
        assert!(host.methods().len() <= 3 + 3, "{:?}", host.methods());
        bytes.push(host.bytes());
        good(&host.run(&["dominfo", "web01"]));
        assert!(host.methods().len() <= 3 + 3, "{:?}", host.methods());
        host.stop();
    }
    assert!(bytes[1] <= bytes[0] + 64, "{bytes:?}");
}

/// Answers every connection with the same bytes, after the head of the request.
fn answer_with(bytes: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut head = [0; 4096];
            // Whoever hangs up early needs no answer.
            let _ = stream.read(&mut head);
            let _ = stream.write_all(bytes);
        }
    });
    address
}

#[test]
fn hosts_that_are_none_get_a_json_object() {
    let html = answer_with(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 31\r\nConnection: close\r\n\r\n\
          <html><body>Hello</body></html>",
    );
    let cut = answer_with(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 5000\r\n\r\n<soap",
    );
    let silent = answer_with(b"");
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("auth.conf");
    std::fs::write(&file, "[credentials-x]\npassword=pa55\n[auth-esx-127.0.0.1]\ncredentials=x\n")
        .unwrap();
    for (address, what) in [(html, "HTML"), (cut, "cut"), (silent, "silent"), (closed, "closed")] {
        let uri = format!("esx://user@{address}/?transport=http");
        let output = program(&uri, Some(file.clone()), &["-q", "-o", "json", "list"]);
        assert_eq!(output.status.code(), Some(1));
        let json: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
        assert!(
            json["code"].is_u64() && json["domain"].is_u64() && json["message"].is_string(),
            "{what}: {json}"
        );
    }
}

#[test]
fn an_untrusted_certificate_is_named() {
    let host = Host::start(Simulator::builder().tls(true));
    good(&host.run(&["-q", "list"]));
    let uri = host.running.uri();
    let (base, _) = uri.split_once('?').unwrap();
    let output = program(base, Some(host.home.path("auth.conf")), &["-q", "list"]);
    assert!(bad(&output).contains("certificate"), "{output:?}");
    good(&program(
        &format!("{base}?no_verify=1"),
        Some(host.home.path("auth.conf")),
        &["-q", "list"],
    ));
    host.stop();
}

#[test]
fn the_built_in_host_needs_nothing() {
    let run = |arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_virtesx"))
            .args(arguments)
            .env_remove("VIRTESX_DEFAULT_URI")
            .env_remove("LIBVIRT_DEFAULT_URI")
            // About other hosts, and wrong.
            .env("LIBVIRT_AUTH_FILE", "/nonexistent")
            .output()
            .unwrap()
    };
    let output = run(&["list", "--all"]);
    assert!(good(&output).contains(" web01 "));
    let notes = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        notes.lines().filter(|line| line.starts_with("note: no URI given")).count(),
        1,
        "{notes}"
    );
    let output = run(&["-q", "uri"]);
    assert_eq!(good(&output), "sim:///\n");
    assert!(output.stderr.is_empty());
    let trace = run(&["--trace", "-q", "hostname"]);
    let text = String::from_utf8(trace.stderr).unwrap();
    assert!(text.contains("Login") && !text.contains("<password>pass"), "{text}");
}

/// What a run printed; it must have gone well.
fn printed(output: &Output) -> String {
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{err}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn volumes_are_listed_in_few_requests_whatever_their_number() {
    let mut counts = Vec::new();
    for volumes in [10, 2000] {
        let host = Host::start(Simulator::builder().volumes(volumes));
        let text = printed(&host.run(&["vol-list", "bulk", "--details"]));
        assert_eq!(text.lines().filter(|line| line.contains(".vmdk")).count(), volumes as usize);
        counts.push(host.methods().len());
        host.stop();
    }
    assert_eq!(counts[0], counts[1]);
    assert!(counts[1] <= 11, "{counts:?}");
}

#[test]
fn volumes_are_made_shown_and_deleted() {
    let host = Host::start(Simulator::builder());
    let run = |arguments: &[&str]| printed(&host.run(arguments));
    let disk = "new/a b.vmdk";
    assert_eq!(
        run(&["vol-create-as", "datastore1", disk, "3G", "--allocation", "0"]),
        "Vol new/a b.vmdk created\n\n"
    );
    let expected = "Name:           new/a b.vmdk
Type:           file
Capacity:       3.00 GiB
Allocation:     0.00 B

";
    assert_eq!(run(&["vol-info", disk, "--pool", "datastore1"]), expected);
    assert_eq!(run(&["vol-info", "[datastore1] new/a b.vmdk"]), expected);
    let key = run(&["vol-key", disk, "datastore1"]);
    assert_eq!(run(&["vol-info", key.trim()]), expected);
    assert_eq!(run(&["vol-name", key.trim()]), "new/a b.vmdk\n\n");
    assert_eq!(run(&["vol-pool", "[datastore1] new/a b.vmdk"]), "datastore1\n\n");
    assert_eq!(run(&["vol-path", disk, "datastore1"]), "[datastore1] new/a b.vmdk\n\n");
    assert_eq!(
        run(&["vol-clone", disk, "new/c.vmdk", "datastore1"]),
        "Vol new/c.vmdk cloned from new/a b.vmdk\n\n"
    );
    assert_eq!(
        run(&["vol-resize", "new/c.vmdk", "4GiB", "datastore1"]),
        "Size of volume 'new/c.vmdk' successfully changed to 4GiB\n\n"
    );
    let json = run(&["-o", "json", "vol-info", "new/c.vmdk", "datastore1"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["capacity_bytes"], 4_u64 << 30);
    assert_eq!(run(&["vol-wipe", "new/c.vmdk", "datastore1"]), "Vol new/c.vmdk wiped\n\n");
    for name in [disk, "new/c.vmdk"] {
        assert_eq!(run(&["vol-delete", name, "datastore1"]), format!("Vol {name} deleted\n\n"));
    }
    let gone = host.run(&["vol-delete", disk, "datastore1"]);
    assert_eq!(gone.status.code(), Some(1));
    let text = String::from_utf8_lossy(&gone.stderr).into_owned();
    assert!(
        text.starts_with("error: failed to get vol 'new/a b.vmdk': no storage volume"),
        "{text}"
    );
    host.stop();
}

#[test]
fn pools_are_shown() {
    let host = Host::start(Simulator::builder());
    let run = |arguments: &[&str]| printed(&host.run(arguments));
    let details = run(&["pool-list", "--details"]);
    let lost = details.lines().find(|line| line.contains("nfs-lost")).unwrap();
    let words: Vec<_> = lost.split_whitespace().collect();
    assert_eq!(words, ["nfs-lost", "inaccessible", "yes", "yes", "-", "-", "-"]);
    assert_eq!(host.methods()[2..].len(), 3, "{:?}", host.methods());
    let uuid = run(&["pool-uuid", "fast +1"]);
    assert_eq!(run(&["pool-name", uuid.trim()]), "fast +1\n\n");
    assert_eq!(run(&["pool-refresh", uuid.trim()]), format!("Pool {} refreshed\n\n", uuid.trim()));
    assert_eq!(
        run(&["pool-list", "--type", "netfs", "--name"]),
        "nfs-iso             \nnfs-lost            \n\n"
    );
    let json = run(&["pool-list", "-o", "json", "--type", "iscsi"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json[0]["name"], "iqn.2001-05.com.example:target.big");
    let refused = host.run(&["pool-autostart", "datastore1", "--disable"]);
    assert_eq!(refused.status.code(), Some(1));
    host.stop();
}

#[cfg(unix)]
#[test]
fn an_interrupted_upload_leaves_nothing() {
    use std::process::Stdio;
    let content = FileContent::generated(1, 3 << 20);
    let host = Host::start(Simulator::builder());
    host.running.model().change(|model| {
        let descriptor = "# Disk DescriptorFile\nRW 6144 VMFS \"d-flat.vmdk\"\n";
        model.add_file("datastore1", "vol/d.vmdk", descriptor.as_bytes());
        model.add_content("datastore1", "vol/d-flat.vmdk", content.clone());
    });
    let names = || host.running.model().read(|model| model.file_names("datastore1", "vol"));
    let before = names();
    let mut child = Command::new(env!("CARGO_BIN_EXE_virtesx"))
        .args(["-c", &host.running.uri(), "vol-upload", "vol/d.vmdk", "-", "datastore1"])
        .env("LIBVIRT_AUTH_FILE", host.home.path("auth.conf"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Half of it, and the pipe stays open.
    let mut pipe = child.stdin.take().unwrap();
    pipe.write_all(&vec![7; 1 << 20]).unwrap();
    while host.running.transfers().bytes_in == 0 {
        assert!(child.try_wait().unwrap().is_none(), "it has ended by itself");
        std::thread::yield_now();
    }
    assert!(names().len() > before.len(), "what arrives has no name of its own");
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    drop(pipe);
    assert_eq!(names(), before);
    let stored = host.running.model().read(|model| model.file("datastore1", "vol/d-flat.vmdk"));
    assert_eq!(stored.unwrap().content, content);
    assert_eq!(host.running.model().read(|model| model.session_count()), 0);
    host.stop();
}

#[test]
fn volumes_are_transferred() {
    let content = FileContent::generated(1, 3 << 20);
    let host = Host::start(Simulator::builder());
    host.running.model().change(|model| {
        let descriptor = "# Disk DescriptorFile\nRW 6144 VMFS \"d-flat.vmdk\"\n";
        model.add_file("datastore1", "vol/d.vmdk", descriptor.as_bytes());
        model.add_content("datastore1", "vol/d-flat.vmdk", content.clone());
    });
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (local, part) = (file("d.img"), file("part.img"));
    assert_eq!(printed(&host.run(&["vol-download", "vol/d.vmdk", &local, "datastore1"])), "\n");
    assert!(std::fs::read(&local).unwrap() == content.read(0, 3 << 20));
    let arguments = ["vol-download", "vol/d.vmdk", &part, "--pool", "datastore1"];
    let cut = ["--offset", "1KiB", "--length", "2000"];
    printed(&host.run(&[&arguments[..], &cut[..]].concat()));
    assert!(std::fs::read(&part).unwrap() == content.read(1024, 2000));
    let output = host.run(&["vol-download", "vol/d.vmdk", "-", "datastore1", "--length", "9"]);
    assert_eq!(output.stdout, content.read(0, 9));

    // Upwards, and down again with a hole.
    let mut new = vec![7; 1 << 20];
    new.resize(3 << 20, 0);
    std::fs::write(&local, &new).unwrap();
    printed(&host.run(&["vol-upload", "vol/d.vmdk", &local, "datastore1"]));
    let stored = host.running.model().read(|model| model.file("datastore1", "vol/d-flat.vmdk"));
    assert_eq!(stored.unwrap().content, FileContent::from(new.clone()));
    let sparse = file("sparse.img");
    printed(&host.run(&["vol-download", "vol/d.vmdk", &sparse, "datastore1", "--sparse"]));
    assert!(std::fs::read(&sparse).unwrap() == new);

    // What fails leaves no file, unless it was there before.
    let none = file("none.img");
    let output = host.run(&["vol-download", "vol/d.vmdk", &none, "datastore1", "--offset", "4M"]);
    assert!(!output.status.success());
    assert!(!std::path::Path::new(&none).exists());
    let output = host.run(&["vol-upload", "vol/d.vmdk", &local, "datastore1", "--offset", "1"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("whole files only"), "{text}");
}
