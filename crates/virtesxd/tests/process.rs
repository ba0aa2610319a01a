//! The program itself: killed at the worst moment, told to read its configuration again, started by the system; and what it
//! writes about itself.

use std::io::{BufRead as _, BufReader};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use esx_sim::{Reaction, Running, Simulator};
use tempfile::{NamedTempFile, TempDir};
use tokio::sync::Notify;
use virt_api::{DomainXmlFlags, ErrorCode, StorageVolTransferFlags};
use virt_rpc::frame::{Header, Packet, PacketType, Status};
use virt_rpc::procedure::{Procedure, call};

use crate::common::{Peer, in_time};

/// A running program and what it writes to its standard error; killed when dropped.
struct Program(Child, NamedTempFile);

impl Program {
    fn start(command: &mut Command) -> Self {
        // A file: nobody reads while it runs, and a pipe would fill.
        let log = NamedTempFile::new().unwrap();
        command.stdout(Stdio::piped()).stderr(log.reopen().unwrap());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with("esx+"), "{line}");
        Self(child, log)
    }

    fn signal(&self, signal: &str) {
        let pid = self.0.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// Ends it and gives what it wrote to its standard error.
    fn log(mut self) -> String {
        self.signal("-TERM");
        let status = self.0.wait().unwrap();
        let text = std::fs::read_to_string(self.1.path()).unwrap();
        assert!(status.success(), "{text}");
        text
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A folder with the daemon's files, and a host.
struct Place {
    folder: TempDir,
    sim: Running,
}

impl Place {
    fn new(sim: Running) -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap(), sim };
        let login = format!(
            "[credentials-a]\nusername={}\npassword={}\n[auth-esx-default]\ncredentials=a\n",
            place.sim.username(),
            place.sim.password()
        );
        std::fs::write(place.path("auth.conf"), login).unwrap();
        place.configure("");
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn configure(&self, more: &str) {
        let text = format!(
            "{more}\n[target.sim]\nuri = '{}'\nauth_file = '{}'\n",
            self.sim.uri(),
            self.path("auth.conf").display()
        );
        // In one step, as an editor does it.
        std::fs::write(self.path("new.toml"), text).unwrap();
        std::fs::rename(self.path("new.toml"), self.path("virtesxd.toml")).unwrap();
    }

    /// A text file of the host's.
    fn file(&self, path: &str) -> String {
        let stored = self.sim.model().read(|model| model.file("datastore1", path)).unwrap();
        let size = usize::try_from(stored.content.size()).unwrap();
        String::from_utf8(stored.content.read(0, size).to_vec()).unwrap()
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_virtesxd"));
        command.arg("--config").arg(self.path("virtesxd.toml"));
        command.arg("--socket").arg(self.path("sock")).stdin(Stdio::null());
        command
    }

    async fn connect(&self) -> Peer {
        Peer::connect(&self.path("sock")).await
    }

    async fn open(&self, name: &str) -> Peer {
        let mut peer = self.connect().await;
        peer.open(name).await.unwrap();
        peer
    }
}

/// A document of a machine that uses the disk of one that is there.
const NEW: &str = "<domain type='vmware'><name>killed</name><uuid>6d1f0c4e-5a1e-4b8e-9d57-0f3a2b1c4d5e</uuid>\
    <memory unit='MiB'>64</memory><vcpu>1</vcpu><os><type arch='x86_64'>hvm</type></os><devices>\
    <disk type='file' device='disk'><source file='[datastore1] vm-00001/vm-00001.vmdk'/><target dev='sda' bus='scsi'/></disk>\
    </devices></domain>";

/// A host that serves the first request of a stage and never answers it; who waits is told of its arrival.
fn stalls_at(
    stage: &'static str,
) -> (impl Fn(&esx_sim::Arrival) -> Reaction + Send + Sync + 'static, Arc<Notify>) {
    let (armed, stalled) = (AtomicBool::new(true), Arc::new(Notify::new()));
    let told = Arc::clone(&stalled);
    let plan = move |arrival: &esx_sim::Arrival| {
        let is_stage = arrival.method.as_deref() == Some(stage) || arrival.line.starts_with(stage);
        if is_stage && armed.swap(false, Ordering::Relaxed) {
            told.notify_one();
            return Reaction::DelayAnswer { by: Duration::MAX };
        }
        Reaction::Serve
    };
    (plan, stalled)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_is_killed_leaves_a_file_whole() {
    const FILE: &str = "vm-00001/vm-00001.vmx";
    const NEW: &str = "memSize = \"4096\"";
    for (stage, is_new) in [("PUT", false), ("MoveDatastoreFile_Task", true)] {
        let (plan, stalled) = stalls_at(stage);
        let place = Place::new(Simulator::builder().vms(1).plan(plan).start().await.unwrap());
        let file = || place.file(FILE);
        let old = file();
        let mut program = Program::start(&mut place.command());
        let mut peer = place.open("esx:///sim").await;
        let domain =
            peer.call::<call::DomainLookupByName>(&("vm-00001".to_owned(),)).await.unwrap();
        let xml = (domain, DomainXmlFlags::INACTIVE);
        let xml = peer.call::<call::DomainGetXmlDesc>(&xml).await.unwrap();
        let xml = (xml.replace("2097152", "4194304"),);
        peer.begin::<call::DomainDefineXml>(&xml).await;
        in_time(stalled.notified()).await;
        program.0.kill().unwrap();
        program.0.wait().unwrap();
        // The host finishes what it was asked.
        in_time(async {
            while is_new && !file().contains(NEW) {
                assert_eq!(file(), old, "neither the old one nor the new one");
                tokio::task::yield_now().await;
            }
        })
        .await;
        assert_eq!(file() == old, !is_new, "{stage}");
        let second = Program::start(&mut place.command());
        let mut peer = place.open("esx:///sim").await;
        peer.call::<call::DomainDefineXml>(&xml).await.unwrap();
        assert!(file().contains(NEW));
        drop(peer);
        second.log();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_is_killed_in_the_middle_of_an_upload_leaves_the_old_data() {
    let (plan, arrived) = stalls_at("PUT");
    let place = Place::new(Simulator::builder().vms(1).plan(plan).start().await.unwrap());
    let old = "old data".repeat(1000);
    place
        .sim
        .model()
        .change(|model| assert!(model.add_file("datastore1", "iso/a.iso", old.as_bytes())));
    let mut program = Program::start(&mut place.command());
    let mut peer = place.open("esx:///sim").await;
    let pool =
        peer.call::<call::StoragePoolLookupByName>(&("datastore1".to_owned(),)).await.unwrap();
    let volume = (pool, "iso/a.iso".to_owned());
    let volume = peer.call::<call::StorageVolLookupByName>(&volume).await.unwrap();
    let upload = (volume, 0, 4 << 20, StorageVolTransferFlags::empty());
    let serial = peer.begin::<call::StorageVolUpload>(&upload).await;
    peer.end::<call::StorageVolUpload>(serial).await.unwrap();
    let header = Header::call(Procedure::StorageVolUpload, serial);
    let header = Header { kind: PacketType::Stream, status: Status::Continue, ..header };
    peer.send(&Packet::new(header, vec![1; 1 << 20])).await;
    in_time(arrived.notified()).await;
    program.0.kill().unwrap();
    program.0.wait().unwrap();
    assert!(in_time(peer.receive()).await.is_none());
    assert_eq!(place.file("iso/a.iso"), old);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_is_killed_leaves_all_of_a_machine_or_nothing() {
    // Where the definition stands when the daemon dies: the host has done what it was last asked, the answer never comes.
    for (stage, there) in
        [("QueryConfigOptionDescriptor", false), ("PUT", false), ("RegisterVM_Task", true)]
    {
        let (plan, stalled) = stalls_at(stage);
        let place = Place::new(Simulator::builder().vms(1).plan(plan).start().await.unwrap());
        let machines = || place.sim.model().read(|model| model.machines().len());
        let before = machines();
        let mut program = Program::start(&mut place.command());
        let mut peer = place.open("esx:///sim").await;
        peer.begin::<call::DomainDefineXml>(&(NEW.to_owned(),)).await;
        in_time(stalled.notified()).await;
        // The delayed answer is for a request that is served: the host finishes it without us.
        if stage == "RegisterVM_Task" {
            in_time(async {
                while machines() == before {
                    tokio::task::yield_now().await;
                }
            })
            .await;
        }
        program.0.kill().unwrap();
        program.0.wait().unwrap();
        assert!(in_time(peer.receive()).await.is_none(), "the client learns of it");
        assert_eq!(machines() - before, usize::from(there), "{stage}");
        // The socket's file is still there and no obstacle, nor is what the definition has left at the host.
        let second = Program::start(&mut place.command());
        let mut peer = place.open("esx:///sim").await;
        let domain = peer.call::<call::DomainDefineXml>(&(NEW.to_owned(),)).await.unwrap();
        assert_eq!(domain.uuid.to_string(), "6d1f0c4e-5a1e-4b8e-9d57-0f3a2b1c4d5e");
        assert_eq!(machines(), before + 1, "{stage}: once, and once only");
        let xml = (domain.clone(), DomainXmlFlags::empty());
        let xml = peer.call::<call::DomainGetXmlDesc>(&xml).await.unwrap();
        assert!(xml.contains("<source file='[datastore1] vm-00001/vm-00001.vmdk'/>"), "{xml}");
        peer.call::<call::DomainUndefine>(&(domain,)).await.unwrap();
        drop(peer);
        second.log();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_is_read_again() {
    let place = Place::new(Simulator::builder().start().await.unwrap());
    let program = Program::start(&mut place.command());
    let mut old = place.open("esx:///sim").await;
    let refused = place.connect().await.open("esx:///other").await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::InvalidArg);
    // What is wrong changes nothing.
    place.configure("nonsense = 1");
    program.signal("-HUP");
    place.open("esx:///sim").await;
    let other = format!(
        "[target.other]\nuri = '{}'\nauth_file = '{}'",
        place.sim.uri(),
        place.path("auth.conf").display()
    );
    place.configure(&other);
    program.signal("-HUP");
    in_time(async {
        while place.connect().await.open("esx:///other").await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(old.call::<call::ConnectGetType>(&()).await.unwrap(), "ESX", "it is open still");
    let log = program.log();
    assert!(log.contains("the configuration stays as it was") && log.contains("nonsense"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_system_may_have_the_sockets() {
    let place = Place::new(Simulator::builder().start().await.unwrap());
    let path = place.path("sock-ro");
    let listener = UnixListener::bind(&path).unwrap();
    // As systemd does it: descriptor 3, and the process's own number in the environment.
    let script = "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" --config \"$1\"";
    let mut command = Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_virtesxd")]).arg(place.path("virtesxd.toml"));
    command.stdin(Stdio::from(OwnedFd::from(listener)));
    let program = Program::start(&mut command);
    let mut peer = Peer::connect(&path).await;
    peer.open("esx:///sim").await.unwrap();
    // Its name says that it is for readers.
    let machine = peer.call::<call::DomainLookupByName>(&("web01".to_owned(),)).await.unwrap();
    let refused = peer.call::<call::DomainDestroy>(&(machine,)).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::OperationDenied);
    drop(peer);
    program.log();
    assert!(Path::new(&path).exists(), "the socket is the system's");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_written_down() {
    let place = Place::new(
        Simulator::builder().vms(1).credentials("root", "canary-right").start().await.unwrap(),
    );
    for (name, level) in [("one", "trace"), ("two", "warn,virtesxd=debug,virt_rpc=debug")] {
        let mut command = place.command();
        command.env("VIRTESXD_LOG", level);
        let program = Program::start(&mut command);
        let mut peer = place.connect().await;
        peer.sasl(place.sim.username(), "canary-wrong").await.unwrap();
        peer.open("esx:///sim").await.unwrap_err();
        peer.sasl(place.sim.username(), place.sim.password()).await.unwrap();
        peer.open("esx:///sim").await.unwrap();
        let mut third = place.connect().await;
        let wrong = "esx://canary-user:canary-uri@127.0.0.1:1/?password=canary-query";
        third.open(wrong).await.unwrap_err();
        let secret = NEW.replace("<name>killed", &format!("<name>{name}")).replace(
            "<devices>",
            "<description>canary-document</description><devices><graphics type='vnc' port='5901' passwd='canary-vnc'/>",
        );
        let domain = peer.call::<call::DomainDefineXml>(&(secret,)).await.unwrap();
        let xml = (domain.clone(), DomainXmlFlags::SECURE);
        let xml = peer.call::<call::DomainGetXmlDesc>(&xml).await.unwrap();
        assert!(xml.contains("canary-document"), "{xml}");
        peer.call::<call::DomainUndefine>(&(domain,)).await.unwrap();
        drop((peer, third));
        let log = program.log();
        assert!(log.contains("procedure=350") || log.contains("procedure=11"), "{log}");
        let secrets = ["canary-wrong", "canary-uri", "canary-query", place.sim.password()];
        // Bodies of requests show at `trace`, without what is secret in them; elsewhere no document does.
        let documents: &[&str] =
            if level == "trace" { &[] } else { &["canary-document", "canary-vnc"] };
        for canary in secrets.iter().chain(documents) {
            let line = log.lines().find(|line| line.contains(canary));
            assert!(line.is_none(), "{level}: {line:?}");
        }
    }
}
