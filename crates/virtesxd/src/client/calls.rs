//! Calls of one client: so many at once, those about one domain in the order of their arrival.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use tokio::runtime::Handle;
use tokio::sync::oneshot::error::TryRecvError;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;
use uuid::Uuid;
use virt_rpc::dispatch::{dispatch, error_reply};
use virt_rpc::frame::Packet;
use virt_rpc::session::StreamHeader;

use super::{Shared, streams};
use crate::config::Limits;

/// Most bytes of the arguments of one client's calls that are not over. One call alone may have as many as a packet may.
const MAX_UNFINISHED_BYTES: usize = 64 * 1024 * 1024;

/// The calls that run or wait.
pub(super) struct Queue {
    running: Arc<Semaphore>,
    unfinished: Arc<Unfinished>,
    max_unfinished: usize,
    max_streams: usize,
    /// Resolved when the last call about a domain has ended.
    last: HashMap<Uuid, oneshot::Receiver<()>>,
    /// Where calls are done that are not over when they begin.
    hosts: Handle,
}

impl Queue {
    pub(super) fn new(limits: &Limits, hosts: Handle) -> Self {
        Self {
            running: Arc::new(Semaphore::new(limits.calls)),
            unfinished: Arc::default(),
            max_unfinished: limits.calls + limits.waiting_calls,
            max_streams: limits.streams,
            last: HashMap::new(),
            hosts,
        }
    }

    /// Calls that have not begun are not begun any more.
    pub(super) fn close(&self) {
        self.running.close();
    }

    /// Runs a call when its turn has come; does not wait for that. What can be answered at once is.
    pub(super) async fn add(
        &mut self,
        tasks: &mut JoinSet<()>,
        shared: &Arc<Shared>,
        packet: Packet,
        read_only: bool,
        subject: Option<Uuid>,
    ) -> Added {
        let counted = Counted::new(&self.unfinished, packet.payload.len());
        if self.unfinished.calls.load(Ordering::Relaxed) > self.max_unfinished
            || self.unfinished.bytes.load(Ordering::Relaxed) > MAX_UNFINISHED_BYTES
        {
            return Added::TooMany;
        }
        self.last.retain(|_, last| matches!(last.try_recv(), Err(TryRecvError::Empty)));
        let before = subject.and_then(|subject| self.last.remove(&subject));
        let mut call = Box::pin(run(Arc::clone(shared), packet, read_only, self.max_streams));
        let mut permit = None;
        if before.is_none()
            && let Ok(free) = Arc::clone(&self.running).try_acquire_owned()
        {
            permit = Some(free);
            // Whoever polls it next is told of its progress.
            let first = poll_fn(|context| {
                // What it starts or opens belongs where it goes on.
                let _hosts = self.hosts.enter();
                Poll::Ready(call.as_mut().poll(context))
            });
            let first = first.await;
            match first {
                Poll::Ready(Some(reply)) => return Added::Answered(reply),
                Poll::Ready(None) => return Added::Begun,
                Poll::Pending => {}
            }
        }
        let done = subject.map(|subject| {
            let (done, receiver) = oneshot::channel::<()>();
            self.last.insert(subject, receiver);
            done
        });
        let (running, shared) = (Arc::clone(&self.running), Arc::clone(shared));
        let rest = async move {
            if let Some(before) = before {
                // An error is an end as well: the call before was cancelled.
                let _ = before.await;
            }
            if permit.is_none() {
                let Ok(free) = running.acquire_owned().await else { return };
                permit = Some(free);
            }
            if let Some(reply) = call.await {
                shared.send(reply).await;
            }
            drop((permit, done, counted));
        };
        tasks.spawn_on(rest, &self.hosts);
        Added::Begun
    }
}

/// What has become of a call.
pub(super) enum Added {
    /// It is over; its reply is to be sent.
    Answered(Packet),
    /// It runs or waits, and will answer by itself.
    Begun,
    /// Too many wait already, or too much.
    TooMany,
}

/// What has been called and is not over.
#[derive(Default)]
struct Unfinished {
    calls: AtomicUsize,
    bytes: AtomicUsize,
}

/// One call of them, with the bytes of its arguments.
struct Counted(Arc<Unfinished>, usize);

impl Counted {
    fn new(unfinished: &Arc<Unfinished>, bytes: usize) -> Self {
        unfinished.calls.fetch_add(1, Ordering::Relaxed);
        unfinished.bytes.fetch_add(bytes, Ordering::Relaxed);
        Self(Arc::clone(unfinished), bytes)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::Relaxed);
        self.0.bytes.fetch_sub(self.1, Ordering::Relaxed);
    }
}

/// Does a call. Its reply, unless it has been sent already.
async fn run(
    shared: Arc<Shared>,
    packet: Packet,
    read_only: bool,
    max_streams: usize,
) -> Option<Packet> {
    let lease = shared.lease.get()?;
    let read_only = read_only || lease.read_only();
    let opens_stream = virt_rpc::procedure::Procedure::of(&packet.header)
        .is_some_and(|procedure| procedure.stream().is_some());
    let header = StreamHeader::of(&packet);
    let place = match opens_stream.then(|| shared.streams.enter(header, max_streams)) {
        Some(Err(error)) => return Some(error_reply(&packet, &error)),
        Some(Ok(place)) => Some(place),
        None => None,
    };
    tracing::debug!(procedure = packet.header.procedure, "call");
    let outcome = dispatch(lease.driver(), read_only, &packet).await;
    match (outcome.stream, place) {
        (Some(stream), Some(place)) => {
            streams::open(&shared, outcome.reply, stream, place).await;
            None
        }
        _ => Some(outcome.reply),
    }
}
