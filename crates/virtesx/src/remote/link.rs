//! A connection to a daemon: a task reads, a task writes, calls wait for their replies.
//!
//! The reader stops reading while the data of a stream is not taken: a slow disk slows the daemon down and fills no memory.

use std::collections::HashMap;
use std::process::{Child, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use virt_api::{
    Domain, DomainEvent, DomainEventId, Error, ErrorCode, ErrorDomain, EventSubscription, Result,
    Stream,
};
use virt_rpc::client::{self, Message, StreamOutput};
use virt_rpc::frame::{
    FrameDecoder, Header, KEEPALIVE_PROGRAM, MAX_PAYLOAD_BYTES, Packet, PacketType, Status,
};
use virt_rpc::keepalive::{self, Advice, Watch};
use virt_rpc::procedure::{Layout, Procedure, StreamDirection, call};
use virt_rpc::remote::Transport;
use virt_rpc::session::StreamHeader;
use virt_rpc::xdr;

use super::stream::RemoteStream;

/// Packets on their way to the daemon.
const OUT: usize = 32;
/// Pieces of a download that wait to be taken; each is a quarter of a MiB at most from a daemon like ours.
const PIECES: usize = 16;
/// Events that wait to be taken; one more ends the registration, as memory has an end.
const EVENTS: usize = 4_096;
/// After how much silence the daemon is asked whether it is there, and how often before it counts as gone: as virsh does.
const PING_INTERVAL: Duration = Duration::from_secs(5);
const PINGS: u32 = 6;

/// How long a program that was started as the daemon may stay after its connection has ended: longer than a logout takes.
const CHILD_STAYS: Duration = Duration::from_secs(10);
/// How often is looked whether it has ended, and how often again once it is killed.
const CHILD_LOOK: Duration = Duration::from_millis(10);
const CHILD_LOOKS: u32 = 100;

/// An open connection.
pub(super) struct Link {
    pub(super) shared: Arc<Shared>,
    out: mpsc::Sender<Packet>,
    reader: JoinHandle<()>,
    writer: JoinHandle<()>,
    /// The daemon, if it was started for this connection.
    child: Mutex<Option<Child>>,
}

/// What the connection's users and its reader share.
#[derive(Default)]
pub(super) struct Shared {
    state: Mutex<State>,
    pings: AtomicBool,
}

#[derive(Default)]
struct State {
    serial: u32,
    calls: HashMap<u32, Waiting>,
    streams: HashMap<StreamHeader, mpsc::Sender<StreamOutput>>,
    events: HashMap<i32, mpsc::Sender<DomainEvent>>,
    close_event: bool,
    /// Why nothing can be asked any more.
    lost: Option<String>,
    /// Why there are no more events.
    host_gone: bool,
}

/// A call without a reply.
struct Waiting {
    reply: oneshot::Sender<Packet>,
    then: Then,
}

/// What a good reply opens, so that nothing that follows it at once is lost.
enum Then {
    Nothing,
    Stream(mpsc::Sender<StreamOutput>),
    Events(mpsc::Sender<DomainEvent>),
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why nothing more comes.
    pub(super) fn lost(&self) -> Error {
        let state = self.state();
        let message = state.lost.as_deref().unwrap_or("the connection to the daemon is closed");
        Error::new(ErrorCode::Rpc, ErrorDomain::Rpc, message)
    }

    fn lose(&self, why: String) {
        let mut state = self.state();
        state.lost.get_or_insert(why);
        // Whoever waits learns it by the end of its channel.
        state.calls.clear();
        state.streams.clear();
        state.events.clear();
    }

    /// No more packets of this stream are expected.
    pub(super) fn forget(&self, stream: StreamHeader) {
        self.state().streams.remove(&stream);
    }

    fn call(
        &self,
        procedure: Procedure,
        arguments: Vec<u8>,
        then: Then,
    ) -> Result<(Packet, oneshot::Receiver<Packet>)> {
        if arguments.len() > MAX_PAYLOAD_BYTES {
            let message = format!("{} bytes are more than a message may have", arguments.len());
            return Err(Error::new(ErrorCode::Rpc, ErrorDomain::Rpc, message));
        }
        let mut state = self.state();
        if state.lost.is_some() {
            drop(state);
            return Err(self.lost());
        }
        state.serial = state.serial.wrapping_add(1);
        let serial = state.serial;
        let (reply, answer) = oneshot::channel();
        state.calls.insert(serial, Waiting { reply, then });
        Ok((Packet::new(Header::call(procedure, serial), arguments), answer))
    }

    /// Does what a packet of the daemon asks for; what it gives is to be sent, or to be handed on before the next is read.
    fn receive(&self, packet: Packet) -> std::result::Result<Next, String> {
        let broken =
            |problem: xdr::XdrError| format!("the daemon sent what cannot be read: {problem}");
        if packet.header.program == KEEPALIVE_PROGRAM {
            return Ok(match keepalive::message(&packet) {
                Some(keepalive::Message::Ping) => {
                    Next::Send(keepalive::packet(keepalive::Message::Pong))
                }
                _ => Next::Nothing,
            });
        }
        match packet.header.kind {
            PacketType::Reply => {
                let mut state = self.state();
                let Some(waiting) = state.calls.remove(&packet.header.serial) else {
                    return Ok(Next::Nothing);
                };
                if packet.header.status == Status::Ok {
                    match waiting.then {
                        Then::Nothing => {}
                        Then::Stream(pieces) => {
                            state.streams.insert(StreamHeader::of(&packet), pieces);
                        }
                        Then::Events(events) => {
                            let (callback, _) =
                                xdr::from_bytes::<i32>(&packet.payload).map_err(broken)?;
                            state.events.insert(callback, events);
                        }
                    }
                }
                // Who has asked may have gone.
                let _ = waiting.reply.send(packet);
                Ok(Next::Nothing)
            }
            PacketType::Message => {
                match client::message(&packet).map_err(broken)? {
                    Some(Message::Event { callback, event }) => {
                        let mut state = self.state();
                        if let Some(events) = state.events.get(&callback)
                            && events.try_send(event).is_err()
                        {
                            state.events.remove(&callback);
                        }
                    }
                    Some(Message::HostGone) => {
                        let mut state = self.state();
                        state.host_gone = true;
                        state.events.clear();
                    }
                    None => {}
                }
                Ok(Next::Nothing)
            }
            PacketType::Stream | PacketType::StreamHole => {
                let header = StreamHeader::of(&packet);
                let output = client::stream(&packet).map_err(broken)?;
                let last = matches!(output, StreamOutput::Confirmed | StreamOutput::Broken(_));
                let mut state = self.state();
                let pieces = match last {
                    true => state.streams.remove(&header),
                    false => state.streams.get(&header).cloned(),
                };
                Ok(pieces.map_or(Next::Nothing, |pieces| Next::Pass(pieces, output)))
            }
            _ => Err("the daemon sent a packet that only a client sends".to_owned()),
        }
    }
}

/// What to do before the next packet.
enum Next {
    Nothing,
    Send(Packet),
    Pass(mpsc::Sender<StreamOutput>, StreamOutput),
}

impl Link {
    /// Takes a connection over.
    pub(super) fn new<R, W>(read: R, write: W, child: Option<Child>) -> Self
    where
        R: AsyncRead + Unpin + Send + 'static,
        W: AsyncWrite + Unpin + Send + 'static,
    {
        let (out, packets) = mpsc::channel(OUT);
        let shared = Arc::<Shared>::default();
        let reader = {
            let (shared, out) = (Arc::clone(&shared), out.downgrade());
            tokio::spawn(async move {
                let why = read_packets(read, &shared, &out).await;
                shared.lose(why);
            })
        };
        let writer = tokio::spawn(write_packets(write, packets));
        Self { shared, out, reader, writer, child: Mutex::new(child) }
    }

    /// Calls and waits for the reply.
    pub(super) async fn ask<L: Layout>(&self, arguments: &L::Args) -> Result<L::Reply> {
        let reply = self.call(L::PROCEDURE, xdr::to_bytes(arguments)?).await?;
        client::reply::<L>(&reply)
    }

    /// Begins to look whether the daemon is still there.
    pub(super) fn keep_alive(&self) {
        self.shared.pings.store(true, Ordering::Relaxed);
    }

    /// Closes the connection; a daemon that was started for it ends then.
    pub(super) async fn end(&self) {
        self.shared.state().lost = None;
        self.shared.lose("the connection to the daemon is closed".to_owned());
        self.reader.abort();
        self.writer.abort();
        let child = self.child.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(child) = child {
            let _ = reap(child, CHILD_STAYS).await;
        }
    }

    async fn exchange(
        &self,
        procedure: Procedure,
        arguments: Vec<u8>,
        then: Then,
    ) -> Result<Packet> {
        let (packet, answer) = self.shared.call(procedure, arguments, then)?;
        self.out.send(packet).await.map_err(|_| self.shared.lost())?;
        answer.await.map_err(|_| self.shared.lost())
    }
}

/// Waits for a program that has lost its input and output, and kills it if it stays.
async fn reap(mut child: Child, patience: Duration) -> Option<ExitStatus> {
    let deadline = Instant::now() + patience;
    loop {
        match child.try_wait() {
            Ok(None) if Instant::now() < deadline => tokio::time::sleep(CHILD_LOOK).await,
            Ok(None) => break,
            Ok(Some(status)) => return Some(status),
            Err(_) => return None,
        }
    }
    tracing::warn!("the daemon that was started does not end, and is killed");
    child.kill().ok()?;
    // Nothing keeps it now but the system.
    for _ in 0..CHILD_LOOKS {
        if let Some(status) = child.try_wait().ok()? {
            return Some(status);
        }
        tokio::time::sleep(CHILD_LOOK).await;
    }
    None
}

impl Drop for Link {
    fn drop(&mut self) {
        self.reader.abort();
        self.writer.abort();
    }
}

#[async_trait]
impl Transport for Link {
    async fn call(&self, procedure: Procedure, arguments: Vec<u8>) -> Result<Packet> {
        self.exchange(procedure, arguments, Then::Nothing).await
    }

    async fn open_stream(
        &self,
        procedure: Procedure,
        arguments: Vec<u8>,
    ) -> Result<(Packet, Option<Box<dyn Stream>>)> {
        let (pieces, input) = mpsc::channel(PIECES);
        let reply = self.exchange(procedure, arguments, Then::Stream(pieces)).await?;
        let stream = (reply.header.status == Status::Ok).then(|| {
            let header = StreamHeader::of(&reply);
            let shared = Arc::clone(&self.shared);
            let both = procedure.stream() == Some(StreamDirection::Both);
            let stream = RemoteStream::new(header, self.out.clone(), input, shared, both);
            Box::new(stream) as Box<dyn Stream>
        });
        Ok((reply, stream))
    }

    async fn subscribe(
        &self,
        event: DomainEventId,
        domain: Option<Domain>,
    ) -> Result<Box<dyn EventSubscription>> {
        type Register = call::ConnectDomainEventCallbackRegisterAny;
        // Once is enough to hear of the end of the host.
        if !std::mem::replace(&mut self.shared.state().close_event, true) {
            self.ask::<call::ConnectRegisterCloseCallback>(&()).await?;
        }
        let (sender, events) = mpsc::channel(EVENTS);
        let arguments = xdr::to_bytes(&(event.number().cast_signed(), domain))?;
        let reply = self.exchange(Register::PROCEDURE, arguments, Then::Events(sender)).await?;
        let callback = client::reply::<Register>(&reply)?;
        let (shared, out) = (Arc::clone(&self.shared), self.out.clone());
        Ok(Box::new(Events { events, callback, shared, out }))
    }

    async fn close(&self) -> Result<()> {
        let is_lost = self.shared.state().lost.is_some();
        let closed = match is_lost {
            true => Ok(()),
            false => self.ask::<call::ConnectClose>(&()).await,
        };
        self.end().await;
        closed
    }
}

/// A registration at the daemon.
struct Events {
    events: mpsc::Receiver<DomainEvent>,
    callback: i32,
    shared: Arc<Shared>,
    out: mpsc::Sender<Packet>,
}

#[async_trait]
impl EventSubscription for Events {
    async fn next(&mut self) -> Result<Option<DomainEvent>> {
        if let Some(event) = self.events.recv().await {
            return Ok(Some(event));
        }
        let message = {
            let state = self.shared.state();
            match (&state.lost, state.host_gone) {
                (Some(_), _) => None,
                (None, true) => Some("the daemon has lost the connection to the host"),
                (None, false) => Some("events came faster than they were taken"),
            }
        };
        Err(match message {
            Some(message) => Error::new(ErrorCode::OperationFailed, ErrorDomain::Rpc, message),
            None => self.shared.lost(),
        })
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        type Deregister = call::ConnectDomainEventCallbackDeregisterAny;
        self.shared.state().events.remove(&self.callback);
        let Ok(arguments) = xdr::to_bytes(&(self.callback,)) else { return };
        // Nobody waits for the answer. What is not sent now ends with the connection.
        if let Ok((packet, _answer)) =
            self.shared.call(Deregister::PROCEDURE, arguments, Then::Nothing)
        {
            let _ = self.out.try_send(packet);
        }
    }
}

/// Reads until the connection ends; why it did.
async fn read_packets<R: AsyncRead + Unpin>(
    mut read: R,
    shared: &Shared,
    out: &mpsc::WeakSender<Packet>,
) -> String {
    let start = Instant::now();
    let mut decoder = FrameDecoder::default();
    let mut watch = Watch::new(PING_INTERVAL, PINGS, Duration::ZERO);
    loop {
        loop {
            let packet = match decoder.next_packet() {
                Ok(Some(packet)) => packet,
                Ok(None) => break,
                Err(problem) => return format!("the daemon sent what is no packet: {problem}"),
            };
            watch.heard(start.elapsed());
            match shared.receive(packet) {
                Ok(Next::Nothing) => {}
                Ok(Next::Send(packet)) => {
                    if let Some(out) = out.upgrade() {
                        let _ = out.send(packet).await;
                    }
                }
                // A stream that nobody reads any more takes nothing.
                Ok(Next::Pass(pieces, output)) => {
                    let _ = pieces.send(output).await;
                    watch.heard(start.elapsed());
                }
                Err(problem) => return problem,
            }
        }
        let wait = match shared.pings.load(Ordering::Relaxed) {
            false => start.elapsed() + PING_INTERVAL,
            true => match watch.due(start.elapsed()) {
                Advice::Wait(until) => until,
                Advice::Ping => {
                    if let Some(out) = out.upgrade() {
                        // If there is no room, the daemon has enough to do.
                        let _ = out.try_send(keepalive::packet(keepalive::Message::Ping));
                    }
                    continue;
                }
                Advice::Dead => return "the daemon does not answer any more".to_owned(),
            },
        };
        tokio::select! {
            read = read.read_buf(decoder.buffer()) => match read {
                Ok(0) => return "the daemon has closed the connection".to_owned(),
                Ok(_) => {}
                Err(error) => return format!("the connection to the daemon is lost: {error}"),
            },
            () = tokio::time::sleep_until(start + wait) => {}
        }
    }
}

async fn write_packets<W: AsyncWrite + Unpin>(mut write: W, mut packets: mpsc::Receiver<Packet>) {
    while let Some(packet) = packets.recv().await {
        let Ok(bytes) = packet.to_bytes() else {
            // Calls are measured before they come here, and pieces of streams are cut.
            tracing::warn!(?packet, "a packet that is too long");
            return;
        };
        if write.write_all(&bytes).await.is_err() || write.flush().await.is_err() {
            return;
        }
    }
    let _ = write.shutdown().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_program_that_stays_is_killed_and_one_that_ends_is_not() {
        use std::os::unix::process::ExitStatusExt as _;
        use std::process::Command;

        let stays = Command::new("sleep").arg("600").spawn().unwrap();
        let status = reap(stays, Duration::from_millis(50)).await.unwrap();
        assert_eq!(status.signal(), Some(9));
        let ends = Command::new("true").spawn().unwrap();
        let status = reap(ends, Duration::from_secs(60)).await.unwrap();
        assert!(status.success());
    }
}
