//! What the daemon's tests share: a daemon on a socket of its own and a client of its protocol.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use virt_api::Error;
use virt_rpc::client;
use virt_rpc::frame::{FrameDecoder, Packet};
use virt_rpc::keepalive::{self, Message};
use virt_rpc::procedure::{Layout, call};
use virt_rpc::xdr::Chars;
use virtesxd::config::Config;
use virtesxd::hub::Opener;
use virtesxd::server::{Server, Socket};

/// How long anything may take before a test counts as hanging.
const HANGS: Duration = Duration::from_secs(60);

/// A running daemon.
pub(crate) struct Daemon {
    folder: TempDir,
    stop: Option<oneshot::Sender<()>>,
    reloads: mpsc::Sender<Config>,
    task: JoinHandle<()>,
}

impl Daemon {
    pub(crate) fn start(config: Config, opener: Opener) -> Self {
        Self::start_at(config, opener, Vec::new())
    }

    /// One that listens at more sockets than its own two.
    pub(crate) fn start_at(config: Config, opener: Opener, more: Vec<Socket>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut sockets = vec![
            Socket::bind(&folder.path().join("sock"), false).unwrap(),
            Socket::bind(&folder.path().join("sock-ro"), true).unwrap(),
        ];
        sockets.extend(more);
        let (stop, stopped) = oneshot::channel::<()>();
        let (reloads, configs) = mpsc::channel(1);
        let server = Server::new(config, opener).unwrap();
        let task = tokio::spawn(server.run(sockets, None, configs, async {
            let _ = stopped.await;
        }));
        Self { folder, stop: Some(stop), reloads, task }
    }

    /// As after SIGHUP. It holds for whoever connects a little later.
    pub(crate) async fn reload(&self, config: Config) {
        self.reloads.send(config).await.unwrap();
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("sock")
    }

    pub(crate) async fn connect(&self) -> Peer {
        Peer::connect(&self.path()).await
    }

    pub(crate) async fn connect_read_only(&self) -> Peer {
        Peer::connect(&self.folder.path().join("sock-ro")).await
    }

    /// Begins to stop; [`Self::stopped`] waits for the end.
    pub(crate) fn stop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
    }

    pub(crate) async fn stopped(mut self) {
        if self.stop.is_some() {
            self.stop();
        }
        in_time(self.task).await.unwrap();
        assert!(!self.folder.path().join("sock").exists(), "the socket's file is gone");
    }
}

/// What a client's bytes go over.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

/// A client.
pub(crate) struct Peer {
    pub(crate) stream: Box<dyn Duplex>,
    decoder: FrameDecoder,
    serial: u32,
    /// Packets that came before a reply.
    pub(crate) others: Vec<Packet>,
}

impl Peer {
    pub(crate) async fn connect(path: &Path) -> Self {
        Self::over(UnixStream::connect(path).await.unwrap())
    }

    pub(crate) fn over(stream: impl Duplex + 'static) -> Self {
        let stream = Box::new(stream);
        Self { stream, decoder: FrameDecoder::default(), serial: 0, others: Vec::new() }
    }

    pub(crate) async fn send(&mut self, packet: &Packet) {
        self.stream.write_all(&packet.to_bytes().unwrap()).await.unwrap();
    }

    /// The next packet; `None` if the daemon has ended the connection.
    pub(crate) async fn receive(&mut self) -> Option<Packet> {
        loop {
            if let Some(packet) = self.decoder.next_packet().unwrap() {
                return Some(packet);
            }
            let read = in_time(self.stream.read_buf(self.decoder.buffer())).await;
            if read.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    /// Sends a call; its serial.
    pub(crate) async fn begin<L: Layout>(&mut self, args: &L::Args) -> u32 {
        self.serial += 1;
        let packet = client::call::<L>(self.serial, args).unwrap();
        self.send(&packet).await;
        self.serial
    }

    /// The reply to a call; what comes before it is kept.
    pub(crate) async fn end<L: Layout>(&mut self, serial: u32) -> Result<L::Reply, Error> {
        loop {
            let packet = self.receive().await.expect("the daemon has ended the connection");
            if packet.header.serial == serial
                && packet.header.kind == virt_rpc::frame::PacketType::Reply
            {
                return client::reply::<L>(&packet);
            }
            self.others.push(packet);
        }
    }

    pub(crate) async fn call<L: Layout>(&mut self, args: &L::Args) -> Result<L::Reply, Error> {
        let serial = self.begin::<L>(args).await;
        self.end::<L>(serial).await
    }

    pub(crate) async fn open(&mut self, name: &str) -> Result<(), Error> {
        self.call::<call::ConnectOpen>(&(Some(name.to_owned()), 0)).await
    }

    pub(crate) async fn sasl(&mut self, user: &str, password: &str) -> Result<(), Error> {
        assert_eq!(self.call::<call::AuthSaslInit>(&()).await?, "PLAIN");
        let data = Chars(format!("\0{user}\0{password}").into_bytes());
        let args = ("PLAIN".to_owned(), false, data);
        let (complete, ..) = self.call::<call::AuthSaslStart>(&args).await?;
        assert!(complete);
        Ok(())
    }

    /// A ping that is answered, whatever else comes before the answer.
    pub(crate) async fn ping(&mut self) {
        self.send(&keepalive::packet(Message::Ping)).await;
        loop {
            let packet = self.receive().await.expect("the daemon has ended the connection");
            if keepalive::message(&packet) == Some(Message::Pong) {
                return;
            }
            self.others.push(packet);
        }
    }

    /// The next packet that is an event.
    pub(crate) async fn event(&mut self) -> Packet {
        loop {
            let packet = match self.others.is_empty() {
                true => self.receive().await.expect("the daemon has ended the connection"),
                false => self.others.remove(0),
            };
            if packet.header.kind == virt_rpc::frame::PacketType::Message {
                return packet;
            }
        }
    }
}

/// What the future yields, unless it hangs.
pub(crate) async fn in_time<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(HANGS, future).await.expect("hangs")
}
