//! Consoles through the daemon (`virDomainOpenConsole`): on a driver whose machine does as it is told, and on a simulated host
//! whose machines dial a concentrator.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use esx_concentrator::{Access, MachineListener, Server, Settings};
use esx_sim::Simulator;
use tokio::sync::{Semaphore, mpsc};
use uuid::Uuid;
use virt_api::{
    Chunk, Definitions, Domain, DomainConsoleFlags, DomainDeviceModifyFlags, DomainXmlFlags,
    Driver, Error, ErrorCode, ErrorDomain, Hypervisor, Result, Snapshots, Stream,
};
use virt_rpc::client::{self, StreamOutput};
use virt_rpc::frame::{Header, Packet, PacketType};
use virt_rpc::procedure::call;
use virt_rpc::session::StreamHeader;
use virtesxd::config::Config;
use virtesxd::hub::{self, Opener};

use crate::common::{Daemon, Peer, in_time};

const NONE: DomainConsoleFlags = DomainConsoleFlags::empty();

/// A machine: what it says comes from a channel, and it takes a piece for each permit.
struct Machine {
    says: tokio::sync::Mutex<mpsc::Receiver<Result<Chunk>>>,
    takes: Semaphore,
    taken: Mutex<Vec<u8>>,
    ends: Mutex<Vec<&'static str>>,
    dropped: Semaphore,
}

fn machine(takes: usize) -> (Arc<Machine>, mpsc::Sender<Result<Chunk>>) {
    let (mouth, says) = mpsc::channel(100);
    let machine = Machine {
        says: tokio::sync::Mutex::new(says),
        takes: Semaphore::new(takes),
        taken: Mutex::default(),
        ends: Mutex::default(),
        dropped: Semaphore::new(0),
    };
    (Arc::new(machine), mouth)
}

struct Fake(Arc<Machine>);

impl Driver for Fake {
    fn hypervisor(&self) -> &dyn Hypervisor {
        self
    }
}

#[async_trait]
impl Hypervisor for Fake {
    async fn domain_open_console(
        &self,
        _domain: &Domain,
        device: Option<&str>,
        flags: DomainConsoleFlags,
    ) -> Result<Box<dyn Stream>> {
        match (device, flags) {
            (None, NONE) => Ok(Box::new(Line(Arc::clone(&self.0)))),
            _ => Err(Error::invalid_arg(ErrorDomain::Esx, format!("{device:?} {flags:?}"))),
        }
    }
}

impl Definitions for Fake {}

impl Snapshots for Fake {}

struct Line(Arc<Machine>);

impl Drop for Line {
    fn drop(&mut self) {
        self.0.dropped.add_permits(1);
    }
}

#[async_trait]
impl Stream for Line {
    async fn recv(&self) -> Result<Option<Chunk>> {
        self.0.says.lock().await.recv().await.transpose()
    }

    async fn send(&self, chunk: Chunk) -> Result<()> {
        let Chunk::Data(bytes) = chunk else { panic!("a hole") };
        self.0.takes.acquire().await.unwrap().forget();
        self.0.taken.lock().unwrap().extend(bytes);
        Ok(())
    }

    async fn finish(&self) -> Result<()> {
        self.0.ends.lock().unwrap().push("finish");
        Ok(())
    }

    async fn abort(&self) -> Result<()> {
        self.0.ends.lock().unwrap().push("abort");
        Ok(())
    }
}

async fn start(machine: &Arc<Machine>) -> (Daemon, Peer) {
    let machine = Arc::clone(machine);
    let opener: Opener = Box::new(move |_, _| {
        let driver: Arc<dyn Driver> = Arc::new(Fake(Arc::clone(&machine)));
        Box::pin(async move { Ok(driver) })
    });
    let config =
        Config::parse("[limits]\nstreams = 2\nstuck_seconds = 1\n[target.t]\nuri = 'esx://h/'\n")
            .unwrap();
    let daemon = Daemon::start(config, opener);
    let mut peer = daemon.connect().await;
    peer.open("esx:///t").await.unwrap();
    (daemon, peer)
}

fn nobody() -> Domain {
    Domain { name: "a".into(), uuid: Uuid::nil(), id: Some(1) }
}

/// Opens a console; the header of its packets.
async fn console(
    peer: &mut Peer,
    domain: &Domain,
    device: Option<&str>,
    flags: DomainConsoleFlags,
) -> Result<StreamHeader> {
    let args = (domain.clone(), device.map(str::to_owned), flags);
    let serial = peer.begin::<call::DomainOpenConsole>(&args).await;
    peer.end::<call::DomainOpenConsole>(serial).await?;
    let header = Header::remote(201, PacketType::Reply, serial, virt_rpc::frame::Status::Ok);
    Ok(StreamHeader::of(&Packet::new(header, Vec::new())))
}

/// What comes next on a stream.
async fn next(peer: &mut Peer) -> StreamOutput {
    let packet = match peer.others.is_empty() {
        true => peer.receive().await.expect("the daemon has ended the connection"),
        false => peer.others.remove(0),
    };
    client::stream(&packet).unwrap()
}

/// What the machine says, until it contains this.
async fn hear(peer: &mut Peer, wanted: &str) -> String {
    let mut heard = String::new();
    while !heard.contains(wanted) {
        match next(peer).await {
            StreamOutput::Chunk(Chunk::Data(bytes)) => heard += &String::from_utf8_lossy(&bytes),
            other => panic!("{other:?} after {heard:?}"),
        }
    }
    heard
}

fn text(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

#[tokio::test]
async fn both_ways_at_once_and_what_was_typed_goes_out_before_the_end() {
    let (machine, mouth) = machine(0);
    let (_daemon, mut peer) = start(&machine).await;
    let stream = console(&mut peer, &nobody(), None, NONE).await.unwrap();
    // It takes nothing yet, and is heard all the same.
    peer.send(&stream.data(text("one "))).await;
    peer.send(&stream.data(text("two"))).await;
    mouth.send(Ok(Chunk::Data(vec![b'x'; 600_000].into()))).await.unwrap();
    let mut heard = 0;
    while heard < 600_000 {
        let StreamOutput::Chunk(Chunk::Data(bytes)) = next(&mut peer).await else { panic!() };
        heard += bytes.len();
    }
    assert!(machine.taken.lock().unwrap().is_empty());
    peer.send(&stream.finish()).await;
    peer.ping().await;
    assert!(peer.others.is_empty(), "{:?}", peer.others);
    machine.takes.add_permits(2);
    assert!(matches!(next(&mut peer).await, StreamOutput::Confirmed));
    assert_eq!(*machine.taken.lock().unwrap(), b"one two");
    assert_eq!(*machine.ends.lock().unwrap(), ["finish"]);
    let refused = console(&mut peer, &nobody(), Some("serial1"), DomainConsoleFlags::FORCE).await;
    assert!(refused.unwrap_err().message.contains("serial1"), "arguments arrive");
}

#[tokio::test]
async fn a_client_leaves_a_machine_that_takes_nothing() {
    let (machine, _mouth) = machine(0);
    let (_daemon, mut peer) = start(&machine).await;
    let stream = console(&mut peer, &nobody(), None, NONE).await.unwrap();
    for _ in 0..8 {
        peer.send(&stream.data(vec![7; 128 * 1024].into())).await;
    }
    peer.send(&stream.abort()).await;
    assert!(matches!(next(&mut peer).await, StreamOutput::Confirmed));
    in_time(machine.dropped.acquire()).await.unwrap().forget();
    assert!(machine.taken.lock().unwrap().is_empty());
    // Or it just goes, having said that it wants to finish.
    let stream = console(&mut peer, &nobody(), None, NONE).await.unwrap();
    peer.send(&stream.data(text("lost"))).await;
    peer.send(&stream.finish()).await;
    drop(peer);
    in_time(machine.dropped.acquire()).await.unwrap().forget();
}

#[tokio::test]
async fn a_machine_goes_while_its_client_waits_for_the_end() {
    let (machine, mouth) = machine(0);
    let (_daemon, mut peer) = start(&machine).await;
    let stream = console(&mut peer, &nobody(), None, NONE).await.unwrap();
    peer.send(&stream.data(text("lost"))).await;
    peer.send(&stream.finish()).await;
    peer.ping().await;
    drop(mouth);
    assert!(matches!(next(&mut peer).await, StreamOutput::Confirmed));
    peer.ping().await;
    assert!(peer.others.is_empty(), "{:?}", peer.others);
}

/// More than may wait for a machine: then nothing is read, and a client would not be heard for ever.
#[tokio::test]
async fn a_machine_that_is_stuck_breaks_its_stream_only() {
    let (machine, _mouth) = machine(0);
    let (_daemon, mut peer) = start(&machine).await;
    let stream = console(&mut peer, &nobody(), None, NONE).await.unwrap();
    for _ in 0..40 {
        peer.send(&stream.data(vec![7; 128 * 1024].into())).await;
    }
    let StreamOutput::Broken(error) = next(&mut peer).await else { panic!() };
    assert_eq!(error.code, ErrorCode::OperationTimeout, "{error}");
    in_time(machine.dropped.acquire()).await.unwrap().forget();
    peer.ping().await;
    assert!(peer.others.is_empty(), "{:?}", peer.others);
}

#[tokio::test]
async fn a_machine_goes_and_one_breaks() {
    let (machine, mouth) = machine(9);
    let (_daemon, mut peer) = start(&machine).await;
    let stream = console(&mut peer, &nobody(), None, NONE).await.unwrap();
    let error = Error::new(ErrorCode::OperationAborted, ErrorDomain::Streams, "taken over");
    mouth.send(Err(error)).await.unwrap();
    let StreamOutput::Broken(error) = next(&mut peer).await else { panic!() };
    assert_eq!((error.code, &error.message[..]), (ErrorCode::OperationAborted, "taken over"));
    peer.send(&stream.data(text("late"))).await;
    let stream = console(&mut peer, &nobody(), None, NONE).await.unwrap();
    drop(mouth);
    assert!(matches!(next(&mut peer).await, StreamOutput::End));
    // Keys that were on their way, then the client's own end.
    peer.send(&stream.data(text("late"))).await;
    peer.send(&stream.abort()).await;
    assert!(matches!(next(&mut peer).await, StreamOutput::Confirmed));
    in_time(machine.dropped.acquire_many(2)).await.unwrap().forget();
    assert!(machine.taken.lock().unwrap().is_empty());
    // Both places are free again.
    for _ in 0..2 {
        console(&mut peer, &nobody(), None, NONE).await.unwrap();
        assert!(matches!(next(&mut peer).await, StreamOutput::End));
    }
}

#[tokio::test]
async fn a_simulated_machines_console_is_opened_taken_over_and_left() {
    let sim = Simulator::builder().vms(2).dial_consoles(true).start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let socket = format!("unix:{}", folder.path().join("vspc.sock").display());
    let settings = Settings {
        machines: vec![MachineListener { address: ([127, 0, 0, 1], 0).into(), tls: false }],
        clients: vec![socket.parse().unwrap()],
        ..Settings::default()
    };
    let server = Server::start(settings, None).await.unwrap();
    let access = Access { address: server.client_addresses()[0].clone(), token: None };
    let proxy = format!("telnet://{}", server.machine_addresses()[0]);
    let config =
        format!("[console]\nconcentrator = '{socket}'\n[target.sim]\nuri = '{}'\n", sim.uri());
    let daemon = Daemon::start(Config::parse(&config).unwrap(), hub::esx());
    let mut peers = Vec::new();
    for _ in 0..2 {
        let mut peer = daemon.connect().await;
        peer.sasl(sim.username(), sim.password()).await.unwrap();
        peer.open("esx:///sim").await.unwrap();
        peers.push(peer);
    }
    let mut second = peers.pop().unwrap();
    let mut peer = peers.pop().unwrap();
    let domain = peer.call::<call::DomainLookupByName>(&("vm-00001".into(),)).await.unwrap();

    let none = console(&mut peer, &domain, None, NONE).await.unwrap_err();
    assert_eq!(none.code, ErrorCode::OperationInvalid);
    assert!(none.message.contains("virtesx console vm-00001 --add --proxy telnet://"), "{none}");
    let xml = format!(
        "<serial type='null'><vmware:backing xmlns:vmware='http://libvirt.org/schemas/domain/vmware/1.0' \
         service='virtesx?port=0' direction='server' proxy='{proxy}'/><target port='0'/></serial>"
    );
    let config = DomainDeviceModifyFlags::CONFIG;
    peer.call::<call::DomainAttachDeviceFlags>(&(domain.clone(), xml, config)).await.unwrap();
    let off = console(&mut peer, &domain, None, NONE).await.unwrap_err();
    assert_eq!(off.code, ErrorCode::OperationInvalid);
    assert!(off.message.contains(&format!("must reach {proxy}")), "{off}");
    peer.call::<call::DomainCreate>(&(domain.clone(),)).await.unwrap();
    in_time(async {
        while !access
            .connect()
            .await
            .unwrap()
            .list()
            .await
            .unwrap()
            .iter()
            .any(|p| p.name == "vm-00001" && p.status == esx_concentrator::Status::Up)
        {
            tokio::task::yield_now().await;
        }
    })
    .await;

    let stream = console(&mut peer, &domain, None, DomainConsoleFlags::SAFE).await.unwrap();
    hear(&mut peer, "login: ").await;
    peer.send(&stream.data(text("root"))).await;
    hear(&mut peer, "root").await;
    // One writes at a time: libvirt's clients count on it.
    let taken = console(&mut second, &domain, Some("serial0"), NONE).await.unwrap_err();
    assert_eq!(taken.code, ErrorCode::OperationFailed);
    assert!(taken.message.contains("another client writes"), "{taken}");
    let forced =
        console(&mut second, &domain, Some("serial0"), DomainConsoleFlags::FORCE).await.unwrap();
    let StreamOutput::Broken(error) = next(&mut peer).await else { panic!() };
    assert!(error.message.contains("took the console over"), "{error}");
    // The new one sees what was said before, and is heard.
    hear(&mut second, "login: root").await;
    second.send(&forced.data(text("2"))).await;
    hear(&mut second, "2").await;
    second.send(&forced.abort()).await;
    assert!(matches!(next(&mut second).await, StreamOutput::Confirmed));
    let wrong = console(&mut peer, &domain, Some("serial3"), NONE).await.unwrap_err();
    assert!(wrong.message.contains("has no serial port 3"), "{wrong}");

    // Who goes without a word leaves nobody behind.
    console(&mut second, &domain, None, NONE).await.unwrap();
    drop(second);
    in_time(async {
        while access.connect().await.unwrap().list().await.unwrap()[0].clients > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;

    // A machine that is switched off ends its console.
    console(&mut peer, &domain, None, NONE).await.unwrap();
    hear(&mut peer, "root").await;
    peer.call::<call::DomainDestroy>(&(domain.clone(),)).await.unwrap();
    loop {
        match next(&mut peer).await {
            StreamOutput::Chunk(_) => {}
            StreamOutput::End => break,
            other => panic!("{other:?}"),
        }
    }
    let xml = peer.call::<call::DomainGetXmlDesc>(&(domain.clone(), DomainXmlFlags::empty())).await;
    assert!(xml.unwrap().contains(&proxy));

    // On the socket for readers there is no console.
    let mut reader = daemon.connect_read_only().await;
    reader.sasl(sim.username(), sim.password()).await.unwrap();
    reader.open("esx:///sim").await.unwrap();
    let refused = console(&mut reader, &domain, None, NONE).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::OperationDenied, "{refused}");
    server.shutdown().await;
}
