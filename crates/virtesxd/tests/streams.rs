//! Streams through the daemon, on a driver of which nothing is needed but its streams.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::Notify;
use virt_api::{
    Chunk, Driver, Error, ErrorCode, ErrorDomain, Hypervisor, Result, Storage, StorageVol,
    StorageVolTransferFlags, Stream, Unsupported,
};
use virt_rpc::client;
use virt_rpc::frame::{Header, Packet, PacketType, Status};
use virt_rpc::procedure::call;
use virtesxd::config::Config;
use virtesxd::hub::Opener;

use crate::common::{Daemon, Peer, in_time};

/// What a stream is to do, and what was done with it.
#[derive(Default)]
struct Script {
    download: Mutex<VecDeque<Result<Chunk>>>,
    uploaded: Mutex<Vec<Chunk>>,
    /// Uploads break after so many pieces.
    breaks_after: Option<usize>,
    /// The end of an upload waits for this.
    finish: Option<Arc<Notify>>,
    /// How often giving up waits.
    slow_abort: usize,
    ends: Mutex<Vec<&'static str>>,
    ended: Notify,
}

impl Script {
    fn ended(&self, how: &'static str) {
        self.ends.lock().unwrap().push(how);
        self.ended.notify_one();
    }
}

struct Fake(Arc<Script>);

impl Driver for Fake {
    fn hypervisor(&self) -> &dyn Hypervisor {
        &Unsupported
    }

    fn storage(&self) -> &dyn Storage {
        self
    }
}

#[async_trait]
impl Storage for Fake {
    async fn storage_vol_upload(
        &self,
        _volume: &StorageVol,
        _offset: u64,
        _length: u64,
        _flags: StorageVolTransferFlags,
    ) -> Result<Box<dyn Stream>> {
        Ok(Box::new(Pipe(Arc::clone(&self.0))))
    }

    async fn storage_vol_download(
        &self,
        volume: &StorageVol,
        _offset: u64,
        _length: u64,
        _flags: StorageVolTransferFlags,
    ) -> Result<Box<dyn Stream>> {
        if volume.name == "missing" {
            return Err(Error::new(ErrorCode::NoStorageVol, ErrorDomain::Storage, "missing"));
        }
        Ok(Box::new(Pipe(Arc::clone(&self.0))))
    }
}

struct Pipe(Arc<Script>);

#[async_trait]
impl Stream for Pipe {
    async fn recv(&self) -> Result<Option<Chunk>> {
        self.0.download.lock().unwrap().pop_front().transpose()
    }

    async fn send(&self, chunk: Chunk) -> Result<()> {
        let mut uploaded = self.0.uploaded.lock().unwrap();
        if self.0.breaks_after == Some(uploaded.len()) {
            return Err(Error::new(ErrorCode::HttpError, ErrorDomain::Esx, "the host hung up"));
        }
        uploaded.push(chunk);
        Ok(())
    }

    async fn finish(&self) -> Result<()> {
        if let Some(finish) = &self.0.finish {
            finish.notified().await;
        }
        self.0.ended("finish");
        Ok(())
    }

    async fn abort(&self) -> Result<()> {
        // As a host takes its time to delete what it has.
        for _ in 0..self.0.slow_abort {
            tokio::task::yield_now().await;
        }
        self.0.ended("abort");
        Ok(())
    }
}

async fn start(script: &Arc<Script>) -> (Daemon, Peer) {
    let script = Arc::clone(script);
    let opener: Opener = Box::new(move |_, _| {
        let driver: Arc<dyn Driver> = Arc::new(Fake(Arc::clone(&script)));
        Box::pin(async move { Ok(driver) })
    });
    let config = Config::parse("[limits]\nstreams = 2\n[target.t]\nuri = 'esx://h/'\n").unwrap();
    let daemon = Daemon::start(config, opener);
    let mut peer = daemon.connect().await;
    peer.open("esx:///t").await.unwrap();
    (daemon, peer)
}

fn volume(name: &str, sparse: bool) -> (StorageVol, u64, u64, StorageVolTransferFlags) {
    let volume = StorageVol { pool: "p".into(), name: name.into(), key: "k".into() };
    let flags = match sparse {
        true => StorageVolTransferFlags::SPARSE_STREAM,
        false => StorageVolTransferFlags::empty(),
    };
    (volume, 0, 0, flags)
}

fn packet(procedure: i32, serial: u32, kind: PacketType, status: Status, bytes: &[u8]) -> Packet {
    Packet::new(Header::remote(procedure, kind, serial, status), bytes.to_vec())
}

fn zeros(len: usize) -> Bytes {
    Bytes::from(vec![7; len])
}

#[tokio::test]
async fn a_download_is_cut_ended_and_confirmed() {
    for sparse in [false, true] {
        let script = Arc::new(Script {
            download: Mutex::new(
                [
                    Ok(Chunk::Data(zeros(600_000))),
                    Ok(Chunk::Hole(300_000)),
                    Ok(Chunk::Data(zeros(5))),
                ]
                .into(),
            ),
            ..Script::default()
        });
        let (_daemon, mut peer) = start(&script).await;
        let serial = peer.begin::<call::StorageVolDownload>(&volume("v", sparse)).await;
        peer.end::<call::StorageVolDownload>(serial).await.unwrap();
        assert!(peer.others.is_empty(), "the reply comes first");
        let mut sizes = Vec::new();
        let (mut data, mut holes) = (0, 0);
        loop {
            let piece = peer.receive().await.unwrap();
            assert_eq!((piece.header.serial, piece.header.procedure), (serial, 209));
            assert_eq!(piece.header.status, Status::Continue);
            if piece.header.kind == PacketType::StreamHole {
                holes += i64::from_be_bytes(piece.payload[..8].try_into().unwrap());
                continue;
            }
            if piece.payload.is_empty() {
                break;
            }
            sizes.push(piece.payload.len());
            data += piece.payload.len();
        }
        assert!(sizes.iter().all(|&size| size <= 262_120), "{sizes:?}");
        assert_eq!((data, holes), if sparse { (600_005, 300_000) } else { (900_005, 0) });
        peer.send(&packet(209, serial, PacketType::Stream, Status::Ok, &[])).await;
        let confirmed = peer.receive().await.unwrap();
        assert_eq!(
            (confirmed.header.kind, confirmed.header.status),
            (PacketType::Stream, Status::Ok)
        );
        assert_eq!(*script.ends.lock().unwrap(), ["finish"]);
    }
}

#[tokio::test]
async fn an_upload_is_confirmed_when_the_host_has_it() {
    let finish = Arc::new(Notify::new());
    let script = Arc::new(Script { finish: Some(Arc::clone(&finish)), ..Script::default() });
    let (_daemon, mut peer) = start(&script).await;
    let serial = peer.begin::<call::StorageVolUpload>(&volume("v", true)).await;
    peer.end::<call::StorageVolUpload>(serial).await.unwrap();
    // One packet that is larger than the buffer, as go-libvirt may send.
    let large = vec![1; 9_000_000];
    peer.send(&packet(208, serial, PacketType::Stream, Status::Continue, &large)).await;
    let hole = [&70_000_i64.to_be_bytes()[..], &[0; 4]].concat();
    peer.send(&packet(208, serial, PacketType::StreamHole, Status::Continue, &hole)).await;
    peer.send(&packet(208, serial, PacketType::Stream, Status::Ok, &[])).await;
    // Other things are answered meanwhile, the end is not.
    peer.ping().await;
    assert!(peer.others.is_empty());
    finish.notify_one();
    let confirmed = peer.receive().await.unwrap();
    assert_eq!((confirmed.header.serial, confirmed.header.status), (serial, Status::Ok));
    let uploaded = std::mem::take(&mut *script.uploaded.lock().unwrap());
    assert_eq!(uploaded, [Chunk::Data(large.into()), Chunk::Hole(70_000)]);
}

#[tokio::test]
async fn an_upload_that_breaks_is_told_once_and_at_once() {
    let script = Arc::new(Script { breaks_after: Some(1), ..Script::default() });
    let (_daemon, mut peer) = start(&script).await;
    let serial = peer.begin::<call::StorageVolUpload>(&volume("v", false)).await;
    peer.end::<call::StorageVolUpload>(serial).await.unwrap();
    for _ in 0..40 {
        let piece = packet(208, serial, PacketType::Stream, Status::Continue, &[1; 200_000]);
        peer.send(&piece).await;
    }
    let broken = peer.receive().await.unwrap();
    assert_eq!((broken.header.serial, broken.header.status), (serial, Status::Error));
    assert_eq!(client::error(&broken).unwrap().code, ErrorCode::HttpError);
    // What is still on its way is swallowed, its end not confirmed.
    peer.send(&packet(208, serial, PacketType::Stream, Status::Ok, &[])).await;
    peer.ping().await;
    assert!(peer.others.is_empty(), "{:?}", peer.others);
    assert_eq!(*script.ends.lock().unwrap(), ["abort"]);
}

#[tokio::test]
async fn a_client_gives_up() {
    let script = Arc::<Script>::default();
    let (_daemon, mut peer) = start(&script).await;
    let serial = peer.begin::<call::StorageVolUpload>(&volume("v", false)).await;
    peer.end::<call::StorageVolUpload>(serial).await.unwrap();
    peer.send(&packet(208, serial, PacketType::Stream, Status::Error, &[])).await;
    let confirmed = peer.receive().await.unwrap();
    assert_eq!((confirmed.header.serial, confirmed.header.status), (serial, Status::Ok));
    assert_eq!(*script.ends.lock().unwrap(), ["abort"]);
    // Or just goes away in the middle of another.
    let serial = peer.begin::<call::StorageVolUpload>(&volume("v", false)).await;
    peer.end::<call::StorageVolUpload>(serial).await.unwrap();
    drop(peer);
    in_time(async {
        while script.ends.lock().unwrap().len() < 2 {
            script.ended.notified().await;
        }
    })
    .await;
    assert_eq!(*script.ends.lock().unwrap(), ["abort", "abort"]);
}

#[tokio::test]
async fn a_daemon_that_stops_lets_uploads_end() {
    let script = Arc::new(Script { slow_abort: 10_000, ..Script::default() });
    let (daemon, mut peer) = start(&script).await;
    peer.call::<call::StorageVolUpload>(&volume("v", false)).await.unwrap();
    daemon.stopped().await;
    assert_eq!(*script.ends.lock().unwrap(), ["abort"]);
}

#[tokio::test]
async fn a_serial_number_opens_one_stream_at_a_time() {
    let script = Arc::<Script>::default();
    let (_daemon, mut peer) = start(&script).await;
    let serial = peer.begin::<call::StorageVolUpload>(&volume("v", false)).await;
    peer.end::<call::StorageVolUpload>(serial).await.unwrap();
    let again = client::call::<call::StorageVolUpload>(serial, &volume("v", false)).unwrap();
    peer.send(&again).await;
    let refused = peer.end::<call::StorageVolUpload>(serial).await.unwrap_err();
    assert!(refused.message.contains("serial number"), "{refused}");
    // The first is as it was, and when it is over the number is free.
    let piece = packet(208, serial, PacketType::Stream, Status::Continue, &[1; 10]);
    peer.send(&piece).await;
    peer.send(&packet(208, serial, PacketType::Stream, Status::Ok, &[])).await;
    let confirmed = peer.receive().await.unwrap();
    assert_eq!((confirmed.header.kind, confirmed.header.status), (PacketType::Stream, Status::Ok));
    assert_eq!(*script.ends.lock().unwrap(), ["finish"]);
    assert_eq!(script.uploaded.lock().unwrap().len(), 1);
    peer.send(&again).await;
    peer.end::<call::StorageVolUpload>(serial).await.unwrap();
}

#[tokio::test]
async fn a_download_that_breaks_and_one_that_never_began() {
    let error = Error::new(ErrorCode::HttpError, ErrorDomain::Esx, "the host hung up");
    let script = Arc::new(Script {
        download: Mutex::new([Ok(Chunk::Data(zeros(3))), Err(error)].into()),
        ..Script::default()
    });
    let (_daemon, mut peer) = start(&script).await;
    let refused = peer.call::<call::StorageVolDownload>(&volume("missing", false)).await;
    assert_eq!(refused.unwrap_err().code, ErrorCode::NoStorageVol);
    let serial = peer.begin::<call::StorageVolDownload>(&volume("v", false)).await;
    peer.end::<call::StorageVolDownload>(serial).await.unwrap();
    assert_eq!(peer.receive().await.unwrap().payload.len(), 3);
    let broken = peer.receive().await.unwrap();
    assert_eq!(broken.header.status, Status::Error);
    assert_eq!(client::error(&broken).unwrap().code, ErrorCode::HttpError);
}

#[tokio::test]
async fn there_is_room_for_so_many() {
    let script = Arc::<Script>::default();
    let (_daemon, mut peer) = start(&script).await;
    for _ in 0..2 {
        peer.call::<call::StorageVolUpload>(&volume("v", false)).await.unwrap();
    }
    let refused = peer.call::<call::StorageVolUpload>(&volume("v", false)).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::OperationFailed);
    assert!(refused.message.contains("no more than 2 streams"), "{refused}");
}
