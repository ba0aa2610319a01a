//! The client's half against a small server made of `virt-rpc`, which does one thing after the other.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Notify;
use virt_api::{
    Chunk, Definitions, DomainConsoleFlags, DomainEvent, DomainEventId, DomainEventKind,
    DomainLifecycle, EventSubscription, Hypervisor, ListAllDomainsFlags, Snapshots, Storage,
    StorageVol, StorageVolTransferFlags, Stream,
};
use virt_rpc::dispatch::{OpenStream, dispatch};
use virt_rpc::frame::{FrameDecoder, Packet};
use virt_rpc::procedure::StreamDirection;
use virt_rpc::session::{Action, AuthMethod, Session, SessionOptions, StreamHeader, StreamInput};

use super::*;
use crate::auth::Known;
use crate::mock::Mock;

/// What the server does besides answering calls, and what it has seen.
#[derive(Default)]
struct Behaviour {
    auth: Vec<AuthMethod>,
    /// Ends the connection when a call of this number comes.
    hangs_up_on: Option<i32>,
    seen: Mutex<Vec<String>>,
    done: Notify,
}

impl Behaviour {
    fn note(&self, what: impl Into<String>) {
        self.seen.lock().unwrap().push(what.into());
        self.done.notify_one();
    }
}

/// A client of `driver` behind the wire.
fn client(driver: impl Driver + 'static, behaviour: &Arc<Behaviour>) -> Link {
    let (ours, theirs) = UnixStream::pair().unwrap();
    tokio::spawn(serve(theirs, driver, Arc::clone(behaviour)));
    let (read, write) = ours.into_split();
    Link::new(read, write, None)
}

async fn open(link: &Link, uri: &str) -> Result<()> {
    let auth = Known::new("root", "pa55");
    greet(link, &RemoteUri::parse(uri).unwrap(), false, &auth).await
}

async fn serve(mut stream: UnixStream, driver: impl Driver, behaviour: Arc<Behaviour>) {
    let options = SessionOptions { read_only: false, auth: behaviour.auth.clone() };
    let mut session = Session::new(options);
    let mut decoder = FrameDecoder::default();
    let mut upload: Option<Box<dyn Stream>> = None;
    loop {
        let Some(packet) = decoder.next_packet().unwrap() else {
            match stream.read_buf(decoder.buffer()).await {
                Ok(0) | Err(_) => return behaviour.note("gone"),
                Ok(_) => continue,
            }
        };
        if behaviour.hangs_up_on == Some(packet.header.procedure) {
            return;
        }
        let mut replies = Vec::new();
        match session.receive(packet) {
            Action::Send(reply) => replies.push(reply),
            Action::Open(call) => {
                let credentials = call.credentials.as_ref();
                let credentials = credentials.map_or("nobody".to_owned(), |found| {
                    format!("{} {}", found.username, found.password.expose())
                });
                behaviour.note(format!("open {} {credentials}", call.name));
                replies.push(session.opened(&call, Ok(())));
            }
            Action::Call { packet, .. } => {
                let outcome = dispatch(&driver, false, &packet).await;
                replies.push(outcome.reply.clone());
                if let Some(OpenStream { direction, sparse, stream }) = outcome.stream {
                    let header = session.stream_opened(&outcome.reply, direction, sparse);
                    match direction {
                        StreamDirection::Upload => upload = Some(stream),
                        StreamDirection::Both => {
                            // The client hears all that there is, and may say more.
                            replies.extend(download(header, &*stream).await);
                            replies.pop();
                            upload = Some(stream);
                        }
                        StreamDirection::Download => {
                            replies.extend(download(header, &*stream).await);
                            session.stream_drained(header);
                        }
                    }
                }
            }
            Action::Register(register) => {
                let subscription = driver
                    .hypervisor()
                    .connect_domain_event_register_any(None, register.event)
                    .await;
                replies.push(session.registered(&register, Ok(())));
                let mut subscription = subscription.unwrap();
                while let Ok(Some(event)) = subscription.next().await {
                    replies.extend(session.event(register.callback, &event));
                }
                replies.extend(session.host_gone());
            }
            Action::Deregister { reply, .. } => {
                behaviour.note("deregistered");
                replies.push(reply);
            }
            Action::Stream(StreamInput::Chunk(header, chunk)) => {
                let sent = match &upload {
                    Some(upload) => upload.send(chunk).await,
                    None => Ok(()),
                };
                if let Err(error) = sent {
                    upload = None;
                    session.stream_closed(header);
                    replies.push(header.error(&error));
                }
            }
            Action::Stream(StreamInput::Finish(header)) => {
                if let Some(upload) = upload.take() {
                    upload.finish().await.unwrap();
                }
                session.stream_closed(header);
                behaviour.note("finished");
                replies.push(header.confirmation());
            }
            Action::Stream(StreamInput::Abort(header)) => {
                session.stream_closed(header);
                behaviour.note("aborted");
                replies.push(header.confirmation());
            }
            Action::Close(reply) => {
                behaviour.note("closed");
                let _ = stream.write_all(&reply.to_bytes().unwrap()).await;
                return;
            }
            Action::Nothing => {}
            other => panic!("{other:?}"),
        }
        for reply in replies {
            if stream.write_all(&reply.to_bytes().unwrap()).await.is_err() {
                return behaviour.note("gone");
            }
        }
    }
}

async fn download(header: StreamHeader, stream: &dyn Stream) -> Vec<Packet> {
    let mut packets = Vec::new();
    loop {
        match stream.recv().await {
            Ok(Some(Chunk::Data(bytes))) => packets.push(header.data(bytes)),
            Ok(Some(Chunk::Hole(length))) => packets.push(header.hole(length)),
            Ok(None) => packets.push(header.end()),
            Err(error) => packets.push(header.error(&error)),
        }
        if !matches!(packets.last(), Some(packet) if packet.header.status == virt_rpc::frame::Status::Continue && !packet.payload.is_empty())
        {
            return packets;
        }
    }
}

/// A driver with streams and events.
#[derive(Default)]
struct Pipes {
    download: Vec<Chunk>,
    breaks: bool,
    uploaded: Arc<Mutex<Vec<Chunk>>>,
    events: u32,
}

impl Driver for Pipes {
    fn hypervisor(&self) -> &dyn Hypervisor {
        self
    }

    fn storage(&self) -> &dyn Storage {
        self
    }
}

#[async_trait]
impl Hypervisor for Pipes {
    async fn domain_open_console(
        &self,
        _domain: &virt_api::Domain,
        _device: Option<&str>,
        _flags: DomainConsoleFlags,
    ) -> Result<Box<dyn Stream>> {
        let rest = Mutex::new(self.download.iter().rev().cloned().collect());
        Ok(Box::new(Pipe { rest, breaks: false, uploaded: Arc::clone(&self.uploaded) }))
    }

    async fn connect_domain_event_register_any(
        &self,
        _domain: Option<&virt_api::Domain>,
        _event: DomainEventId,
    ) -> Result<Box<dyn EventSubscription>> {
        Ok(Box::new(Events(self.events)))
    }
}

impl Definitions for Pipes {}

impl Snapshots for Pipes {}

/// So many events, then the end.
struct Events(u32);

fn event(number: u32) -> DomainEvent {
    let domain = virt_api::Domain {
        name: "vm".to_owned(),
        uuid: uuid::Uuid::from_u128(7),
        id: Some(number.cast_signed()),
    };
    let kind = DomainEventKind::Lifecycle { event: DomainLifecycle::Started, detail: 1 };
    DomainEvent { domain, kind }
}

#[async_trait]
impl EventSubscription for Events {
    async fn next(&mut self) -> Result<Option<DomainEvent>> {
        self.0 = match self.0.checked_sub(1) {
            Some(left) => left,
            None => return Ok(None),
        };
        Ok(Some(event(self.0)))
    }
}

#[async_trait]
impl Storage for Pipes {
    async fn storage_vol_download(
        &self,
        _volume: &StorageVol,
        _offset: u64,
        _length: u64,
        _flags: StorageVolTransferFlags,
    ) -> Result<Box<dyn Stream>> {
        let rest = Mutex::new(self.download.iter().rev().cloned().collect());
        Ok(Box::new(Pipe { rest, breaks: self.breaks, uploaded: Arc::default() }))
    }

    async fn storage_vol_upload(
        &self,
        _volume: &StorageVol,
        _offset: u64,
        _length: u64,
        _flags: StorageVolTransferFlags,
    ) -> Result<Box<dyn Stream>> {
        let uploaded = Arc::clone(&self.uploaded);
        Ok(Box::new(Pipe { rest: Mutex::default(), breaks: self.breaks, uploaded }))
    }
}

struct Pipe {
    rest: Mutex<Vec<Chunk>>,
    breaks: bool,
    uploaded: Arc<Mutex<Vec<Chunk>>>,
}

fn hung_up() -> Error {
    Error::new(ErrorCode::HttpError, ErrorDomain::Esx, "the host hung up")
}

#[async_trait]
impl Stream for Pipe {
    async fn recv(&self) -> Result<Option<Chunk>> {
        match self.rest.lock().unwrap().pop() {
            None if self.breaks => Err(hung_up()),
            next => Ok(next),
        }
    }

    async fn send(&self, chunk: Chunk) -> Result<()> {
        if self.breaks {
            return Err(hung_up());
        }
        self.uploaded.lock().unwrap().push(chunk);
        Ok(())
    }

    async fn finish(&self) -> Result<()> {
        Ok(())
    }

    async fn abort(&self) -> Result<()> {
        Ok(())
    }
}

fn volume() -> StorageVol {
    StorageVol { pool: "p".into(), name: "v".into(), key: "k".into() }
}

#[tokio::test]
async fn a_console_is_read_and_written_together() {
    let behaviour = Arc::new(Behaviour::default());
    let hello = Chunk::Data(Bytes::from_static(b"login: "));
    let pipes = Pipes { download: vec![hello.clone()], ..Pipes::default() };
    let uploaded = Arc::clone(&pipes.uploaded);
    let link = client(pipes, &behaviour);
    open(&link, "esx+unix:///esx1").await.unwrap();
    let remote = Remote::new(link, String::new());
    let domain = event(1).domain;
    let flags = DomainConsoleFlags::empty();
    let console = remote.domain_open_console(&domain, Some("serial0"), flags).await.unwrap();
    // Nothing that comes is lost to who writes, and who reads keeps nobody from writing or leaving.
    let root = Chunk::Data(Bytes::from_static(b"root"));
    console.send(root.clone()).await.unwrap();
    assert_eq!(console.recv().await.unwrap(), Some(hello));
    let (heard, left) = tokio::join!(console.recv(), async {
        console.send(root.clone()).await.unwrap();
        console.finish().await
    });
    assert_eq!(heard.unwrap(), None);
    left.unwrap();
    assert_eq!(*uploaded.lock().unwrap(), [root.clone(), root]);
}

#[tokio::test]
async fn a_driver_behind_the_wire_says_what_it_says_itself() {
    let behaviour = Arc::new(Behaviour::default());
    let link = client(Mock::new(), &behaviour);
    open(&link, "esx+unix:///esx1").await.unwrap();
    let remote = Remote::new(link, "esx+unix:///esx1".to_owned());
    let mock = Mock::new();
    // Rows with all that a list shows, those with a problem too, in one call.
    let flags = ListAllDomainsFlags::ACTIVE | ListAllDomainsFlags::INACTIVE;
    let rows = remote.connect_list_all_domains(flags).await.unwrap();
    assert_eq!(rows, mock.connect_list_all_domains(flags).await.unwrap());
    assert!(rows.iter().any(|row| row.problem.is_some()));
    let selector = virt_api::DomainSelector::Name("nobody".to_owned());
    let (far, near) = (remote.domain_lookup(&selector).await, mock.domain_lookup(&selector).await);
    let (far, near) = (far.unwrap_err(), near.unwrap_err());
    assert_eq!((far.code, far.domain, far.message), (near.code, near.domain, near.message));
    remote.close().await.unwrap();
    assert_eq!(*behaviour.seen.lock().unwrap(), ["open esx:///esx1 nobody", "closed"]);
    let error = remote.connect_get_type().await.unwrap_err();
    assert_eq!(
        (error.code, error.message.as_str()),
        (ErrorCode::Rpc, "the connection to the daemon is closed")
    );
    remote.close().await.unwrap();
}

#[tokio::test]
async fn credentials_are_sent_if_they_are_asked_for() {
    for (auth, uri, expected) in [
        (vec![], "esx+unix:///h", "open esx:///h nobody"),
        (vec![AuthMethod::None, AuthMethod::Sasl], "esx+unix:///h", "open esx:///h nobody"),
        (
            vec![AuthMethod::None, AuthMethod::Sasl],
            "esx+unix:///h?auth=sasl&authfile=/dev/null",
            "cannot use the credentials file",
        ),
        (vec![AuthMethod::None], "esx+unix:///h?auth=sasl", "the daemon does not offer SASL"),
    ] {
        let behaviour = Arc::new(Behaviour { auth, ..Behaviour::default() });
        let link = client(Mock::new(), &behaviour);
        let said = match open(&link, uri).await {
            Ok(()) => behaviour.seen.lock().unwrap().join(", "),
            Err(error) => error.message,
        };
        assert_eq!(said, expected, "{uri}");
    }
    // From a file, and from whoever answers.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("auth.conf");
    for (text, expected) in [
        (
            "[credentials-a]\nauthname=me\npassword=mine\n[auth-libvirt-localhost]\ncredentials=a\n",
            "open esx:///h me mine",
        ),
        ("", "open esx:///h root pa55"),
    ] {
        std::fs::write(&file, text).unwrap();
        let behaviour =
            Arc::new(Behaviour { auth: vec![AuthMethod::Sasl], ..Behaviour::default() });
        let link = client(Mock::new(), &behaviour);
        open(&link, &format!("esx+unix:///h?authfile={}", file.display())).await.unwrap();
        assert_eq!(*behaviour.seen.lock().unwrap(), [expected]);
    }
}

#[tokio::test]
async fn bytes_come_and_go() {
    let piece = |length, byte| Chunk::Data(Bytes::from(vec![byte; length]));
    let behaviour = Arc::new(Behaviour::default());
    let driver = Pipes {
        download: (0..40).map(|byte| piece(200_000, byte)).chain([Chunk::Hole(5)]).collect(),
        ..Pipes::default()
    };
    let uploaded = Arc::clone(&driver.uploaded);
    let expected = driver.download.clone();
    let link = client(driver, &behaviour);
    open(&link, "esx+unix:///h").await.unwrap();
    let remote = Remote::new(link, String::new());
    let flags = StorageVolTransferFlags::SPARSE_STREAM;
    // More than what may wait: the reader waits for us.
    let stream = remote.storage_vol_download(&volume(), 0, 0, flags).await.unwrap();
    let mut chunks = Vec::new();
    while let Some(chunk) = stream.recv().await.unwrap() {
        chunks.push(chunk);
    }
    assert_eq!(chunks, expected);
    stream.finish().await.unwrap();
    assert_eq!(stream.recv().await.unwrap(), None);
    // Large pieces are cut, holes are told.
    let stream = remote.storage_vol_upload(&volume(), 0, 0, flags).await.unwrap();
    stream.send(piece(600_000, 7)).await.unwrap();
    stream.send(Chunk::Hole(70_000)).await.unwrap();
    stream.finish().await.unwrap();
    let sizes: Vec<_> = std::mem::take(&mut *uploaded.lock().unwrap())
        .into_iter()
        .map(|chunk| match chunk {
            Chunk::Data(bytes) => bytes.len() as u64,
            Chunk::Hole(length) => length,
        })
        .collect();
    assert_eq!(sizes, [262_120, 262_120, 75_760, 70_000]);
    // Given up by hand, and by going away; the connection goes on.
    let stream = remote.storage_vol_upload(&volume(), 0, 0, flags).await.unwrap();
    stream.abort().await.unwrap();
    drop(remote.storage_vol_download(&volume(), 0, 0, flags).await.unwrap());
    remote.connect_get_type().await.unwrap_err();
    let seen = behaviour.seen.lock().unwrap()[1..].join(" ");
    assert_eq!(seen, "finished finished aborted aborted");
}

#[tokio::test]
async fn a_broken_transfer_says_why() {
    let behaviour = Arc::new(Behaviour::default());
    let driver = Pipes { breaks: true, ..Pipes::default() };
    let link = client(driver, &behaviour);
    open(&link, "esx+unix:///h").await.unwrap();
    let remote = Remote::new(link, String::new());
    let flags = StorageVolTransferFlags::empty();
    let stream = remote.storage_vol_download(&volume(), 0, 0, flags).await.unwrap();
    let error = stream.recv().await.unwrap_err();
    assert_eq!((error.code, error.message.as_str()), (ErrorCode::HttpError, "the host hung up"));
    let stream = remote.storage_vol_upload(&volume(), 0, 0, flags).await.unwrap();
    let sent = async {
        loop {
            stream.send(Chunk::Data(Bytes::from_static(&[1; 1000]))).await?;
            tokio::task::yield_now().await;
        }
    };
    let error: Result<()> = sent.await;
    assert_eq!(error.unwrap_err().message, "the host hung up");
    stream.finish().await.unwrap();
}

#[tokio::test]
async fn events_come_until_the_host_has_gone() {
    let behaviour = Arc::new(Behaviour::default());
    let link = client(Pipes { events: 3, ..Pipes::default() }, &behaviour);
    open(&link, "esx+unix:///h").await.unwrap();
    let remote = Remote::new(link, String::new());
    let register = || remote.connect_domain_event_register_any(None, DomainEventId::Lifecycle);
    let mut events = register().await.unwrap();
    for number in [2, 1, 0] {
        assert_eq!(events.next().await.unwrap(), Some(event(number)));
    }
    let error = events.next().await.unwrap_err();
    assert_eq!(error.message, "the daemon has lost the connection to the host");
    drop(events);
    behaviour.done.notified().await;
    while !behaviour.seen.lock().unwrap().contains(&"deregistered".to_owned()) {
        behaviour.done.notified().await;
    }
}

#[tokio::test]
async fn a_daemon_that_goes_leaves_nobody_waiting() {
    let number = virt_rpc::procedure::Procedure::ConnectGetHostname.number();
    let behaviour = Arc::new(Behaviour { hangs_up_on: Some(number), ..Behaviour::default() });
    let link = client(Pipes { events: 1, ..Pipes::default() }, &behaviour);
    open(&link, "esx+unix:///h").await.unwrap();
    let remote = Remote::new(link, String::new());
    let flags = StorageVolTransferFlags::empty();
    let upload = remote.storage_vol_upload(&volume(), 0, 0, flags).await.unwrap();
    let error = remote.connect_get_hostname().await.unwrap_err();
    assert_eq!(
        (error.code, error.message.as_str()),
        (ErrorCode::Rpc, "the daemon has closed the connection")
    );
    assert!(upload.finish().await.is_err());
    assert!(remote.node_get_info().await.is_err());
}
