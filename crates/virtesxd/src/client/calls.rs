//! Calls of one client: so many at once, those about one domain in the order of their arrival.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::oneshot::error::TryRecvError;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;
use uuid::Uuid;
use virt_api::{Error, ErrorCode, ErrorDomain};
use virt_rpc::dispatch::{dispatch, error_reply};
use virt_rpc::frame::Packet;

use super::{Shared, streams};
use crate::config::Limits;

/// The calls that run or wait.
pub(super) struct Queue {
    running: Arc<Semaphore>,
    unfinished: Arc<AtomicUsize>,
    max_unfinished: usize,
    max_streams: usize,
    /// Resolved when the last call about a domain has ended.
    last: HashMap<Uuid, oneshot::Receiver<()>>,
}

impl Queue {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            running: Arc::new(Semaphore::new(limits.calls)),
            unfinished: Arc::default(),
            max_unfinished: limits.calls + limits.waiting_calls,
            max_streams: limits.streams,
            last: HashMap::new(),
        }
    }

    /// Calls that have not begun are not begun any more.
    pub(super) fn close(&self) {
        self.running.close();
    }

    /// Runs a call when its turn has come. False if too many wait already.
    pub(super) fn add(
        &mut self,
        tasks: &mut JoinSet<()>,
        shared: &Arc<Shared>,
        packet: Packet,
        read_only: bool,
        subject: Option<Uuid>,
    ) -> bool {
        if self.unfinished.fetch_add(1, Ordering::Relaxed) >= self.max_unfinished {
            return false;
        }
        let counted = Counted(Arc::clone(&self.unfinished));
        let (done, before) = match subject {
            Some(subject) => {
                self.last.retain(|_, last| matches!(last.try_recv(), Err(TryRecvError::Empty)));
                let (done, receiver) = oneshot::channel();
                (Some(done), self.last.insert(subject, receiver))
            }
            None => (None, None),
        };
        let running = Arc::clone(&self.running);
        let (shared, max_streams) = (Arc::clone(shared), self.max_streams);
        tasks.spawn(async move {
            if let Some(before) = before {
                // An error is an end as well: the call before was cancelled.
                let _ = before.await;
            }
            let Ok(permit) = running.acquire_owned().await else { return };
            run(&shared, packet, read_only, max_streams).await;
            drop((permit, done, counted));
        });
        true
    }
}

struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn run(shared: &Arc<Shared>, packet: Packet, read_only: bool, max_streams: usize) {
    let Some(lease) = shared.lease.get() else { return };
    let read_only = read_only || lease.read_only();
    let opens_stream = virt_rpc::procedure::Procedure::of(&packet.header)
        .is_some_and(|procedure| procedure.stream().is_some());
    let place = match opens_stream.then(|| shared.streams.enter(max_streams)) {
        Some(None) => {
            let message = format!("no more than {max_streams} streams at once");
            let error = Error::new(ErrorCode::OperationFailed, ErrorDomain::Streams, message);
            shared.send(error_reply(&packet, &error)).await;
            return;
        }
        Some(place) => place,
        None => None,
    };
    tracing::debug!(procedure = packet.header.procedure, "call");
    let outcome = dispatch(lease.driver(), read_only, &packet).await;
    match (outcome.stream, place) {
        (Some(stream), Some(place)) => streams::open(shared, outcome.reply, stream, place).await,
        _ => {
            shared.send(outcome.reply).await;
        }
    }
}
