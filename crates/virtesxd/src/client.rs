//! One client: a task that reads and writes, one per call and per stream, joined by channels (libvirt-rpc.md 9).
//!
//! The first never waits for a call, so that pings are answered while a machine takes its minutes to start. A call that needs nobody, as
//! one that the live view answers, is over when it begins and is answered by the task that has read it: clients ask for
//! thousands of states one after the other. Other replies, events and stream data go through one channel of bounded length: a client that does not read
//! keeps its own calls waiting and nobody else's.

mod calls;
mod pace;
mod streams;
mod wire;

use std::collections::HashMap;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Handle;
use tokio::sync::{OnceCell, OwnedSemaphorePermit, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use virt_rpc::frame::Packet;
use virt_rpc::session::{Action, OpenCall, Register, Session, SessionOptions};

use self::calls::{Added, Queue};
use self::pace::Pace;
use self::streams::Streams;
use self::wire::Wire;
use crate::hub::{Hub, Lease, Request};

/// Packets on their way to the client.
const OUT: usize = 32;
/// Largest packet of a client that has not opened a connection: SASL data, widened, fits.
const MAX_GREETING_BYTES: usize = 512 * 1024;
/// How long the last replies may take to get out.
const FLUSH: Duration = Duration::from_secs(5);

/// How a connection to the daemon ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The client said goodbye or went away.
    Gone,
    /// The daemon stops.
    Stopped,
    /// The client did not keep to the protocol.
    Protocol(&'static str),
    /// It took too long to open a connection.
    TooSlow,
    /// More calls than it may have waiting.
    TooMuch,
}

/// What a client is served with.
pub struct Service {
    /// Where connections to hosts come from.
    pub hub: Arc<Hub>,
    /// What the socket allows.
    pub options: SessionOptions,
    /// The client's user, if the socket tells.
    pub uid: Option<u32>,
    /// Becomes true when the daemon stops.
    pub stop: watch::Receiver<bool>,
    /// Given back once the client has opened a connection.
    pub greeting: Option<OwnedSemaphorePermit>,
    /// The runtime that does what calls wait for.
    pub hosts: Handle,
}

/// What reader and tasks share.
struct Shared {
    session: Mutex<Session>,
    lease: OnceCell<Lease>,
    out: mpsc::Sender<Packet>,
    /// Registrations for events; dropping the sender ends one.
    registrations: Mutex<HashMap<i32, oneshot::Sender<()>>>,
    streams: Streams,
    /// How long a console's machine may take nothing while its buffer is full. Then the stream breaks, so that a client that
    /// wants to leave, or has gone, is heard.
    stuck: Duration,
}

impl Shared {
    fn session(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the client is still there.
    async fn send(&self, packet: Packet) -> bool {
        self.out.send(packet).await.is_ok()
    }
}

/// What the client's next packets wait for.
type Waiting = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Serves one client until it ends.
pub async fn serve<R, W>(read: R, write: W, mut service: Service) -> End
where
    R: AsyncRead + Unpin + Send + 'static,
    W: AsyncWrite + Unpin + Send + 'static,
{
    let (out, packets) = mpsc::channel(OUT);
    let limits = service.hub.config().limits.clone();
    let shared = Arc::new(Shared {
        session: Mutex::new(Session::new(service.options.clone())),
        lease: OnceCell::new(),
        out,
        registrations: Mutex::default(),
        streams: Streams::default(),
        stuck: Duration::from_secs(limits.stuck_seconds),
    });
    let mut wire = Wire::new(read, write, packets);
    let mut tasks = JoinSet::new();
    let mut queue = Queue::new(&limits, service.hosts.clone());
    let end = converse(&mut wire, &shared, &mut service, &mut tasks, &mut queue).await;
    // What is left is written beside the calls that are being finished.
    let mut writer = tokio::spawn(wire.write_rest());
    // Calls that run are finished, also for a client that has gone: half of a definition helps nobody.
    queue.close();
    shared.registrations.lock().unwrap_or_else(PoisonError::into_inner).clear();
    shared.streams.clear();
    let rest = async { while tasks.join_next().await.is_some() {} };
    let deadline = Instant::now() + Duration::from_secs(limits.stop_seconds);
    let _ = tokio::time::timeout_at(deadline, rest).await;
    tasks.shutdown().await;
    shared.streams.clear();
    // The host takes back what it has of them, for which its session has to be there.
    shared.streams.end_uploads(deadline).await;
    drop(queue);
    drop(shared);
    if tokio::time::timeout(FLUSH, &mut writer).await.is_err() {
        writer.abort();
    }
    end
}

/// Reads, answers and writes, until something ends the connection.
async fn converse<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
    wire: &mut Wire<R, W>,
    shared: &Arc<Shared>,
    service: &mut Service,
    tasks: &mut JoinSet<()>,
    queue: &mut Queue,
) -> End {
    wire.decoder.limit(MAX_GREETING_BYTES);
    let greeting = Duration::from_secs(service.hub.config().limits.greeting_seconds);
    let deadline = tokio::time::sleep(greeting);
    tokio::pin!(deadline);
    // What the last packet waits for; nothing is read meanwhile.
    let mut waiting: Option<Waiting> = None;
    let mut pace = Pace::default();
    loop {
        if service.greeting.is_some() && shared.lease.initialized() {
            service.greeting = None;
            wire.decoder.limit(usize::MAX);
        }
        while waiting.is_none() && wire.takes_calls() {
            let packet = match wire.decoder.next_packet() {
                Ok(Some(packet)) => packet,
                Ok(None) => break,
                Err(problem) => {
                    tracing::debug!(%problem, "no packet");
                    return End::Protocol("bytes that are no packets");
                }
            };
            pace.called();
            let action = shared.session().receive(packet);
            match action {
                Action::Nothing => {}
                Action::Send(reply) => wire.push(&reply),
                Action::Open(call) => {
                    let opening = open(Arc::clone(shared), service.hub.clone(), call, service.uid);
                    tasks.spawn_on(opening, &service.hosts);
                }
                Action::Call { packet, read_only, subject } => {
                    match queue.add(tasks, shared, packet, read_only, subject).await {
                        Added::Answered(reply) => {
                            wire.push(&reply);
                            pace.answered();
                        }
                        Added::Begun => {}
                        Added::TooMany => return End::TooMuch,
                    }
                }
                Action::Register(register) => {
                    tasks.spawn_on(events(Arc::clone(shared), register), &service.hosts);
                }
                Action::Deregister { callback, reply } => {
                    let ended = shared
                        .registrations
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .remove(&callback);
                    drop(ended);
                    // The events that wait come before it.
                    let out = shared.out.clone();
                    waiting = Some(Box::pin(async move { drop(out.send(reply).await) }));
                }
                Action::Stream(input) => {
                    let shared = Arc::clone(shared);
                    waiting = Some(Box::pin(async move { streams::input(&shared, input).await }));
                }
                Action::Close(reply) => {
                    wire.push(&reply);
                    return End::Gone;
                }
                Action::Abort(problem) => return End::Protocol(problem),
                _ => return End::Protocol("something new"),
            }
        }
        // Finished tasks leave; the set would keep them otherwise.
        while tasks.try_join_next().is_some() {}
        let reads = waiting.is_none() && wire.takes_calls();
        let mut step = pin!(wire.step(reads));
        match pace.soon(step.as_mut()).await {
            Some(Ok(true)) => continue,
            Some(Ok(false) | Err(_)) => return End::Gone,
            None => {}
        }
        let passed = async {
            waiting.as_mut()?.await;
            Some(())
        };
        tokio::select! {
            step = step => match step {
                Ok(true) => {}
                Ok(false) | Err(_) => return End::Gone,
            },
            Some(()) = passed => waiting = None,
            () = stopped(&mut service.stop) => return End::Stopped,
            () = &mut deadline, if !shared.lease.initialized() => return End::TooSlow,
        }
    }
}

/// Waits until the daemon stops.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

async fn open(shared: Arc<Shared>, hub: Arc<Hub>, mut call: OpenCall, uid: Option<u32>) {
    let request = Request {
        name: call.name.clone(),
        read_only: call.read_only,
        credentials: call.credentials.take(),
        uid,
    };
    let name = crate::target::shown(&request.name);
    let result = match hub.open(request).await {
        Ok(lease) => {
            tracing::info!(name, ?uid, "opened");
            // The session lets only one opening through.
            let _ = shared.lease.set(lease);
            Ok(())
        }
        Err(error) => {
            let problem: Vec<String> = error.chain().collect();
            tracing::info!(name, ?uid, problem = problem.join(": "), "not opened");
            Err(error)
        }
    };
    let reply = shared.session().opened(&call, result);
    shared.send(reply).await;
}

/// Registers for events and passes them on until the client ends it.
async fn events(shared: Arc<Shared>, register: Register) {
    let Some(lease) = shared.lease.get() else { return };
    let (ender, mut ended) = oneshot::channel();
    shared
        .registrations
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .insert(register.callback, ender);
    let hypervisor = lease.driver().hypervisor();
    let result = hypervisor
        .connect_domain_event_register_any(register.domain.as_ref(), register.event)
        .await;
    let (result, subscription) = match result {
        Ok(subscription) => (Ok(()), Some(subscription)),
        Err(error) => (Err(error), None),
    };
    let reply = shared.session().registered(&register, result);
    if !shared.send(reply).await {
        return;
    }
    let Some(mut subscription) = subscription else { return };
    loop {
        let next = tokio::select! {
            next = subscription.next() => next,
            _ = &mut ended => return,
        };
        let packet = match next {
            Ok(Some(event)) => shared.session().event(register.callback, &event),
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(%error, "events end");
                let packet = shared.session().host_gone();
                if let Some(packet) = packet {
                    shared.send(packet).await;
                }
                return;
            }
        };
        if let Some(packet) = packet
            && !shared.send(packet).await
        {
            return;
        }
    }
}
