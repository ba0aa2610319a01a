//! `export` by the built program: what it writes, what it leaves on the host, and that it goes on where it broke off.

use std::ops::Deref;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use esx_sim::model::LeaseState;
use esx_sim::{Reaction, Simulator};
use ring::digest::{SHA256, digest};
use serde_json::Value;

use crate::common;

/// The size of the disk's data in these tests.
const SIZE: usize = 3 << 20;

struct Host {
    host: common::Host,
    data: Vec<u8>,
}

impl Deref for Host {
    type Target = common::Host;
    fn deref(&self) -> &common::Host {
        &self.host
    }
}

impl Host {
    /// The base of `machine`'s disk is made small, with a hole in the middle.
    fn start(machine: &str) -> Self {
        let host = common::Host::start(Simulator::builder());
        let mut data: Vec<u8> = (0..SIZE).map(|i| (i * 7 + i / 251) as u8).collect();
        data[1 << 20..2 << 20].fill(0);
        let flat = format!("{machine}/{machine}-flat.vmdk");
        let descriptor = format!(
            "# Disk DescriptorFile\nversion=1\nCID=0badcafe\nparentCID=ffffffff\ncreateType=\"vmfs\"\n\
             RW {} VMFS \"{machine}-flat.vmdk\"\n",
            SIZE / 512
        );
        host.running.model().change(|model| {
            assert!(model.add_file("datastore1", &flat, &data[..]));
            let text = format!("{machine}/{machine}.vmdk");
            assert!(model.add_file("datastore1", &text, descriptor.as_bytes()));
            let machine = model.machine(machine).unwrap();
            assert!(model.set_capacity(&machine, SIZE as i64 / 1024));
        });
        Self { host, data }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path(name)
    }

    /// Starts an export into `out`.
    fn start_export(&self, machine: &str, options: &[&str]) -> Child {
        self.running.reset_journal();
        self.running.reset_transfers();
        self.command(&["-o", "json", "export", machine])
            .arg(self.path("out"))
            .args(options)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    fn export(&self, machine: &str, options: &[&str]) -> Output {
        self.start_export(machine, options).wait_with_output().unwrap()
    }

    fn good(&self, machine: &str) -> Value {
        self.good_with(machine, &[])
    }

    fn good_with(&self, machine: &str, options: &[&str]) -> Value {
        let output = self.export(machine, options);
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The disk that is in `out` as one file.
    fn whole_disk(&self, name: &str) -> Vec<u8> {
        crate::stream_vmdk::decode(&std::fs::read(self.path("out").join(name)).unwrap())
    }

    /// The states of all leases so far; none is held.
    fn leases(&self) -> Vec<LeaseState> {
        let leases = self.running.model().read(|model| model.leases());
        assert!(leases.iter().all(|lease| !lease.state.is_held()), "{leases:?}");
        leases.iter().map(|lease| lease.state).collect()
    }

    /// The place of a call among all calls.
    fn place(&self, method: &str) -> Option<usize> {
        self.running.journal().iter().position(|entry| entry.method == method)
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
        self.host.stop();
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
            // The look whether the file is served.
            0 => Reaction::Serve,
            1 => Reaction::CutAnswer { after: 1_500_000 },
            _ => Reaction::Refuse { status: 403, retry_after: None },
        }
    });
    let output = host.export("console01", &[]);
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
    let output = host.export("web01", &["--no-nfc"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!((host.calls("CreateSnapshot_Task"), host.calls("RemoveSnapshot_Task")), (1, 1));
    host.stop();
}

/// Interrupts a program and waits for its end.
fn interrupt(child: Child) -> Output {
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    child.wait_with_output().unwrap()
}

#[cfg(unix)]
#[test]
fn an_interrupted_export_leaves_no_snapshot() {
    let host = Host::start("web01");
    host.running.set_plan(|arrival| match arrival.line.contains("-flat.vmdk") {
        true => Reaction::StallAnswer { after: 1000 },
        false => Reaction::Serve,
    });
    let child = host.start_export("web01", &[]);
    // Until it hangs in the middle of the disk.
    while host.running.transfers().active == 0 || host.calls("CreateSnapshot_Task") == 0 {
        assert!(!host.path("out/web01-flat.vmdk").exists());
        std::thread::yield_now();
    }
    let output = interrupt(child);
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    assert_eq!(host.calls("RemoveSnapshot_Task"), 1);
    host.stop();
}

#[test]
fn a_lease_gives_disks_whole() {
    let host = Host::start("console01");
    let result = host.good_with("console01", &["--nfc"]);
    assert_eq!(result["resumed"], false);
    let manifest = host.manifest();
    assert_eq!(manifest["complete"], true);
    let disk = &manifest["disks"][0];
    assert_eq!(disk["files"], serde_json::json!(["console01.vmdk"]));
    let file = manifest["files"].as_array().unwrap().iter().find(|f| f["name"] == "console01.vmdk");
    assert_eq!(file.unwrap()["role"], "stream-optimized");
    assert!(host.whole_disk("console01.vmdk") == host.data);
    assert_eq!(host.leases(), [LeaseState::Done]);
    // Nothing of the disk was asked for otherwise.
    assert!(
        !host
            .running
            .journal()
            .iter()
            .any(|e| e.method.ends_with(".vmdk") && e.method.contains("/folder"))
    );

    // Done again, everything is there, and the host need not even give a lease.
    let again = host.good_with("console01", &["--nfc"]);
    assert_eq!((&again["resumed"], &again["transferred_bytes"]), (&true.into(), &0.into()));
    assert_eq!(host.calls("ExportVm"), 0);
    host.manifest();

    // With other content it comes anew.
    let descriptor = format!(
        "# Disk DescriptorFile\nversion=1\nCID=0badcaff\nparentCID=ffffffff\ncreateType=\"vmfs\"\n\
         RW {} VMFS \"console01-flat.vmdk\"\n",
        SIZE / 512
    );
    host.running.model().change(|model| {
        assert!(model.add_file("datastore1", "console01/console01.vmdk", descriptor.as_bytes()));
        assert!(model.add_file("datastore1", "console01/console01-flat.vmdk", &vec![7; SIZE][..]));
    });
    assert_eq!(host.good_with("console01", &["--nfc"])["resumed"], false);
    assert!(host.whole_disk("console01.vmdk") == vec![7; SIZE]);
    host.leases();
    host.stop();
}

#[test]
fn what_folder_does_not_serve_comes_by_a_lease() {
    let host = Host::start("console01");
    assert!(host.running.model().change(|model| model.set_object_store("datastore1")));
    let refused = host.export("console01", &["--no-nfc"]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let output = host.export("console01", &[]);
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("does not serve the files of sda, a lease does"), "{said}");
    host.manifest();
    assert!(host.whole_disk("console01.vmdk") == host.data);
    assert_eq!(host.leases(), [LeaseState::Done]);

    // One file that cannot be read is enough.
    let host = Host::start("console01");
    host.running.model().change(|model| {
        assert!(model.lock_file("datastore1", "console01/console01-flat.vmdk", true));
    });
    host.good("console01");
    assert!(host.whole_disk("console01.vmdk") == host.data);
    host.leases();
    host.stop();
}

#[test]
fn a_running_machine_is_leased_by_its_snapshot() {
    let host = Host::start("web01");
    let result = host.good_with("web01", &["--nfc"]);
    assert_eq!(result["files"], 2, "{result}");
    let manifest = host.manifest();
    assert_eq!(manifest["live"], true);
    let name = manifest["disks"][0]["files"][0].as_str().unwrap();
    assert!(host.whole_disk(name) == host.data);
    assert_eq!(host.calls("ExportSnapshot"), 1);
    // The snapshot goes after the lease on it.
    assert!(host.place("HttpNfcLeaseComplete") < host.place("RemoveSnapshot_Task"));
    assert_eq!((host.leases(), host.calls("RemoveSnapshot_Task")), (vec![LeaseState::Done], 1));
    host.stop();
}

#[test]
fn a_lease_that_breaks_off_begins_the_disk_anew() {
    let host = Host::start("console01");
    host.running.set_plan(|arrival| match arrival.line.starts_with("GET /nfc/") {
        true => Reaction::CutAnswer { after: 100_000 },
        false => Reaction::Serve,
    });
    let output = host.export("console01", &["--nfc"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("disk-0.vmdk broke off after 100000 bytes"), "{said}");
    // Who has the ticket has the disk: nobody is told.
    assert!(!said.contains("/nfc/"), "{said}");
    assert!(!host.path("out/console01.vmdk").exists());
    assert_eq!(host.leases(), [LeaseState::Error]);
    host.running.clear_plan();
    let result = host.good_with("console01", &["--nfc"]);
    let size = std::fs::metadata(host.path("out/console01.vmdk")).unwrap().len();
    assert!(result["transferred_bytes"].as_u64().unwrap() >= size, "{result}");
    assert!(host.whole_disk("console01.vmdk") == host.data);
    host.leases();
    host.stop();
}

#[cfg(unix)]
#[test]
fn an_interrupted_export_leaves_no_lease() {
    let host = Host::start("web01");
    host.running.set_plan(|arrival| match arrival.line.starts_with("GET /nfc/") {
        true => Reaction::StallAnswer { after: 100_000 },
        false => Reaction::Serve,
    });
    let child = host.start_export("web01", &["--nfc"]);
    // Until it hangs in the middle of the disk.
    while host.running.transfers().active == 0 || host.calls("ExportSnapshot") == 0 {
        std::thread::yield_now();
    }
    let output = interrupt(child);
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    assert_eq!(host.leases(), [LeaseState::Error]);
    assert!(host.place("HttpNfcLeaseAbort") < host.place("RemoveSnapshot_Task"));
    assert_eq!(host.calls("RemoveSnapshot_Task"), 1);
    host.stop();
}
