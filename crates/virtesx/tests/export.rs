//! `export` by the built program: what it writes, what it leaves on the host, and that it goes on where it broke off.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use esx_sim::{Reaction, Running, Simulator};
use ring::digest::{SHA256, digest};
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// The size of the disk's data in these tests.
const SIZE: usize = 3 << 20;

struct Host {
    runtime: Runtime,
    running: Running,
    folder: TempDir,
    data: Vec<u8>,
}

impl Host {
    /// The base of `machine`'s disk is made small, with a hole in the middle.
    fn start(machine: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let running = runtime.block_on(Simulator::builder().start()).unwrap();
        let mut data: Vec<u8> = (0..SIZE).map(|i| (i * 7 + i / 251) as u8).collect();
        data[1 << 20..2 << 20].fill(0);
        let flat = format!("{machine}/{machine}-flat.vmdk");
        let descriptor = format!(
            "# Disk DescriptorFile\nversion=1\nCID=0badcafe\nparentCID=ffffffff\ncreateType=\"vmfs\"\n\
             RW {} VMFS \"{machine}-flat.vmdk\"\n",
            SIZE / 512
        );
        running.model().change(|model| {
            assert!(model.add_file("datastore1", &flat, &data[..]));
            let text = format!("{machine}/{machine}.vmdk");
            assert!(model.add_file("datastore1", &text, descriptor.as_bytes()));
        });
        let host = Self { runtime, running, folder: tempfile::tempdir().unwrap(), data };
        let password = host.running.password();
        let text = format!(
            "[credentials-sim]\npassword={password}\n[auth-esx-127.0.0.1]\ncredentials=sim\n"
        );
        std::fs::write(host.path("auth.conf"), text).unwrap();
        host
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn export(&self, machine: &str) -> Output {
        self.running.reset_journal();
        self.running.reset_transfers();
        Command::new(env!("CARGO_BIN_EXE_virtesx"))
            .args(["-c", &self.running.uri(), "-o", "json", "export", machine])
            .arg(self.path("out"))
            .env("LIBVIRT_AUTH_FILE", self.path("auth.conf"))
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap()
    }

    fn good(&self, machine: &str) -> Value {
        let output = self.export(machine);
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// What the manifest says, every sum checked against the file.
    fn manifest(&self) -> Value {
        let text = std::fs::read(self.path("out/manifest.json")).unwrap();
        let manifest: Value = serde_json::from_slice(&text).unwrap();
        for file in manifest["files"].as_array().unwrap() {
            let name = file["name"].as_str().unwrap();
            let content = std::fs::read(self.path("out").join(name)).unwrap();
            assert_eq!(file["size_bytes"], content.len(), "{name}");
            let sum: String =
                digest(&SHA256, &content).as_ref().iter().map(|b| format!("{b:02x}")).collect();
            assert_eq!(file["sha256"], sum, "{name}");
        }
        manifest
    }

    fn calls(&self, method: &str) -> usize {
        self.running.journal().iter().filter(|entry| entry.method == method).count()
    }

    fn stop(self) {
        assert_eq!(self.running.model().read(|model| model.session_count()), 0);
        self.runtime.block_on(self.running.stop());
    }
}

#[test]
fn a_machine_that_is_off_is_copied_file_by_file() {
    let host = Host::start("console01");
    let result = host.good("console01");
    assert_eq!(result["resumed"], false);
    let manifest = host.manifest();
    assert_eq!((&manifest["complete"], &manifest["live"]), (&true.into(), &false.into()));
    assert_eq!(manifest["disks"][0]["capacity_bytes"], SIZE);
    assert_eq!(std::fs::read(host.path("out/console01-flat.vmdk")).unwrap(), host.data);
    let vmx = std::fs::read_to_string(host.path("out/console01.vmx")).unwrap();
    assert!(vmx.contains("displayName = \"console01\""), "{vmx}");
    let xml = std::fs::read_to_string(host.path("out/domain.xml")).unwrap();
    assert!(xml.contains("<name>console01</name>"), "{xml}");
    assert_eq!(host.calls("CreateSnapshot_Task"), 0);

    // Done again, everything is there.
    let again = host.good("console01");
    assert_eq!(again["resumed"], true);
    assert_eq!(again["transferred_bytes"], 0);
    host.manifest();
    host.stop();
}

#[test]
fn what_broke_off_goes_on_and_nothing_is_read_twice() {
    let host = Host::start("console01");
    let seen = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&seen);
    // One answer breaks off, then the file cannot be read any more.
    host.running.set_plan(move |arrival| {
        if !arrival.line.contains("-flat.vmdk") {
            return Reaction::Serve;
        }
        match count.fetch_add(1, Ordering::SeqCst) {
            0 => Reaction::CutAnswer { after: 1_500_000 },
            _ => Reaction::Refuse { status: 403, retry_after: None },
        }
    });
    let output = host.export("console01");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(!host.path("out/console01-flat.vmdk").exists());
    let part = std::fs::metadata(host.path("out/console01-flat.vmdk.part")).unwrap().len();
    assert!(part > 0 && part < SIZE as u64, "{part}");

    host.running.clear_plan();
    let result = host.good("console01");
    assert_eq!(result["resumed"], true);
    assert_eq!(result["transferred_bytes"], SIZE as u64 - part);
    host.manifest();
    assert_eq!(std::fs::read(host.path("out/console01-flat.vmdk")).unwrap(), host.data);
    assert!(!host.path("out/console01-flat.vmdk.part").exists());
    host.stop();
}

#[test]
fn a_disk_that_has_changed_is_copied_anew() {
    let host = Host::start("console01");
    host.good("console01");
    let other = vec![7; SIZE];
    host.running.model().change(|model| {
        let descriptor = format!(
            "# Disk DescriptorFile\nversion=1\nCID=0badcaff\nparentCID=ffffffff\ncreateType=\"vmfs\"\n\
             RW {} VMFS \"console01-flat.vmdk\"\n",
            SIZE / 512
        );
        assert!(model.add_file("datastore1", "console01/console01.vmdk", descriptor.as_bytes()));
        assert!(model.add_file("datastore1", "console01/console01-flat.vmdk", &other[..]));
    });
    assert_eq!(host.good("console01")["resumed"], false);
    assert_eq!(std::fs::read(host.path("out/console01-flat.vmdk")).unwrap(), other);
    host.stop();
}

#[test]
fn a_running_machine_has_its_snapshots_back_as_they_were() {
    let host = Host::start("web01");
    host.good("web01");
    assert_eq!((host.calls("CreateSnapshot_Task"), host.calls("RemoveSnapshot_Task")), (1, 1));
    let manifest = host.manifest();
    assert_eq!(manifest["live"], true);
    // The whole chain below the snapshot that was made for the copy, base included.
    let names: Vec<_> = manifest["disks"][0]["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|n| n.as_str().unwrap())
        .collect();
    assert!(names.len() >= 8 && names.last() == Some(&"web01-flat.vmdk"), "{names:?}");

    // A failure takes it away as well.
    host.running.set_plan(|arrival| match arrival.line.contains("-flat.vmdk") {
        true => Reaction::Refuse { status: 403, retry_after: None },
        false => Reaction::Serve,
    });
    let output = host.export("web01");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!((host.calls("CreateSnapshot_Task"), host.calls("RemoveSnapshot_Task")), (1, 1));
    host.stop();
}

#[cfg(unix)]
#[test]
fn an_interrupted_export_leaves_no_snapshot() {
    let host = Host::start("web01");
    host.running.set_plan(|arrival| match arrival.line.contains("-flat.vmdk") {
        true => Reaction::StallAnswer { after: 1000 },
        false => Reaction::Serve,
    });
    let child = Command::new(env!("CARGO_BIN_EXE_virtesx"))
        .args(["-c", &host.running.uri(), "export", "web01"])
        .arg(host.path("out"))
        .env("LIBVIRT_AUTH_FILE", host.path("auth.conf"))
        .stdin(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // Until it hangs in the middle of the disk.
    while host.running.transfers().active == 0 || host.calls("CreateSnapshot_Task") == 0 {
        assert!(!host.path("out/web01-flat.vmdk").exists());
        std::thread::yield_now();
    }
    let interrupted =
        Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(interrupted.success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    assert_eq!(host.calls("RemoveSnapshot_Task"), 1);
    host.stop();
}
