//! The streams of one client: bytes between its packets and the driver (libvirt-rpc.md 11).

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;
use virt_api::{Chunk, Error, ErrorCode, ErrorDomain, Stream};
use virt_rpc::dispatch::OpenStream;
use virt_rpc::frame::{Packet, Status};
use virt_rpc::procedure::StreamDirection;
use virt_rpc::session::{MAX_CHUNK_BYTES, StreamHeader, StreamInput};

use super::Shared;

/// How many KiB of an upload may wait for the host. A larger packet is let in alone.
const UPLOAD_BUFFER_KIB: u32 = 4_096;
/// Zeros for clients that cannot take holes.
static ZEROS: [u8; MAX_CHUNK_BYTES] = [0; MAX_CHUNK_BYTES];

/// Both directions.
#[derive(Default)]
pub(super) struct Streams {
    open: Mutex<HashMap<StreamHeader, End>>,
    /// Including those whose calls have not been answered yet.
    taken: Arc<Mutex<HashSet<StreamHeader>>>,
    /// They give up in their own way, which takes the host's help.
    uploads: Mutex<JoinSet<()>>,
}

/// Our end of a stream.
enum End {
    Upload {
        input: mpsc::UnboundedSender<Input>,
        room: Arc<Semaphore>,
    },
    Download(AbortHandle),
    Both {
        input: mpsc::UnboundedSender<Input>,
        room: Arc<Semaphore>,
        task: AbortHandle,
        /// The client is done, and waits for the confirmation.
        finishing: bool,
    },
}

enum Input {
    Chunk(Chunk, OwnedSemaphorePermit),
    Finish,
    Abort,
}

/// A place for one stream; dropping it makes room.
pub(super) struct Place(Arc<Mutex<HashSet<StreamHeader>>>, StreamHeader);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.1);
    }
}

impl Streams {
    /// A place, if fewer than `max` are taken and there is none of this header: its packets would be taken for the other's.
    pub(super) fn enter(&self, header: StreamHeader, max: usize) -> Result<Place, Error> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let message = if taken.contains(&header) {
            "there is a stream of this serial number already".to_owned()
        } else if taken.len() >= max {
            format!("no more than {max} streams at once")
        } else {
            taken.insert(header);
            return Ok(Place(Arc::clone(&self.taken), header));
        };
        Err(Error::new(ErrorCode::OperationFailed, ErrorDomain::Streams, message))
    }

    /// Waits for uploads that are being given up or completed. What is not over by the deadline goes on without anybody.
    pub(super) async fn end_uploads(&self, deadline: Instant) {
        let mut uploads = std::mem::take(&mut *self.uploads());
        let ended = async { while uploads.join_next().await.is_some() {} };
        if tokio::time::timeout_at(deadline, ended).await.is_err() {
            uploads.detach_all();
        }
    }

    fn uploads(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.uploads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends all: transfers are given up.
    pub(super) fn clear(&self) {
        for (_, end) in self.lock().drain() {
            if let End::Download(task) | End::Both { task, .. } = end {
                task.abort();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<StreamHeader, End>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers the call that opened a stream and begins to move its bytes.
pub(super) async fn open(shared: &Arc<Shared>, reply: Packet, stream: OpenStream, place: Place) {
    let OpenStream { direction, sparse, stream } = stream;
    let header = shared.session().stream_opened(&reply, direction, sparse);
    match direction {
        StreamDirection::Upload => {
            let (input, inputs) = mpsc::unbounded_channel();
            let room = Arc::new(Semaphore::new(UPLOAD_BUFFER_KIB as usize));
            shared.streams.lock().insert(header, End::Upload { input, room });
            if shared.send(reply).await {
                let task = upload(Arc::downgrade(shared), header, stream, inputs, place);
                let mut uploads = shared.streams.uploads();
                while uploads.try_join_next().is_some() {}
                uploads.spawn(task);
            }
        }
        StreamDirection::Both => {
            let (input, inputs) = mpsc::unbounded_channel();
            let room = Arc::new(Semaphore::new(UPLOAD_BUFFER_KIB as usize));
            let owned = Arc::clone(shared);
            let (go, begin) = tokio::sync::oneshot::channel::<()>();
            let task = tokio::spawn(async move {
                if begin.await.is_ok() {
                    both(&owned, header, &*stream, inputs).await;
                }
                drop(place);
            });
            let end = End::Both { input, room, task: task.abort_handle(), finishing: false };
            shared.streams.lock().insert(header, end);
            if shared.send(reply).await {
                let _ = go.send(());
            }
        }
        StreamDirection::Download => {
            // The reply goes first; the client may end the stream as soon as it has it.
            let owned = Arc::clone(shared);
            let (go, begin) = tokio::sync::oneshot::channel::<()>();
            let task = tokio::spawn(async move {
                if begin.await.is_ok() {
                    download(&owned, header, stream, sparse).await;
                }
                drop(place);
            });
            shared.streams.lock().insert(header, End::Download(task.abort_handle()));
            if shared.send(reply).await {
                let _ = go.send(());
            }
        }
    }
}

/// What the client sent on a stream. Waits while the buffer of an upload is full.
pub(super) async fn input(shared: &Shared, input: StreamInput) {
    match input {
        StreamInput::Chunk(header, chunk) => {
            let (sender, room, patience) = match shared.streams.lock().get(&header) {
                Some(End::Upload { input, room }) => (input.clone(), Arc::clone(room), None),
                Some(End::Both { input, room, .. }) => {
                    (input.clone(), Arc::clone(room), Some(shared.stuck))
                }
                _ => return,
            };
            let kib = match &chunk {
                Chunk::Data(bytes) => u32::try_from(bytes.len() / 1024 + 1).unwrap_or(u32::MAX),
                Chunk::Hole(_) => 1,
            };
            let permit = tokio::select! {
                permit = room.acquire_many_owned(kib.min(UPLOAD_BUFFER_KIB)) => permit,
                // The transfer has broken: nobody will make room.
                () = sender.closed() => return,
                () = wait(patience) => return stuck(shared, header).await,
            };
            if let Ok(permit) = permit {
                let _ = sender.send(Input::Chunk(chunk, permit));
            }
        }
        StreamInput::Finish(header) => end(shared, header, false).await,
        StreamInput::Abort(header) => end(shared, header, true).await,
        _ => {}
    }
}

async fn wait(patience: Option<Duration>) {
    match patience {
        Some(patience) => tokio::time::sleep(patience).await,
        None => std::future::pending().await,
    }
}

async fn stuck(shared: &Shared, header: StreamHeader) {
    let end = shared.streams.lock().remove(&header);
    if let Some(End::Both { task, .. }) = end {
        task.abort();
        shared.session().stream_closed(header);
        let message = "the domain takes nothing of what is typed";
        let error = Error::new(ErrorCode::OperationTimeout, ErrorDomain::Streams, message);
        shared.send(header.error(&error)).await;
    }
}

async fn end(shared: &Shared, header: StreamHeader, abort: bool) {
    if !abort
        && let Some(End::Both { input, finishing, .. }) = shared.streams.lock().get_mut(&header)
    {
        // What was typed before goes out first. The task stays known: it ends with the client.
        *finishing = true;
        let _ = input.send(Input::Finish);
        return;
    }
    let confirm = match shared.streams.lock().remove(&header) {
        // The upload confirms when the host has everything.
        Some(End::Upload { input, .. }) => {
            let _ = input.send(if abort { Input::Abort } else { Input::Finish });
            false
        }
        // A console is not left behind what its machine takes slowly, or not at all.
        Some(End::Download(task) | End::Both { task, .. }) => {
            task.abort();
            true
        }
        // Everything was sent long ago.
        None => true,
    };
    if confirm {
        shared.session().stream_closed(header);
        shared.send(header.confirmation()).await;
    }
}

/// A console: either end may leave, and what comes from one never waits for the other.
async fn both(
    shared: &Shared,
    header: StreamHeader,
    stream: &dyn Stream,
    inputs: mpsc::UnboundedReceiver<Input>,
) {
    let packet = tokio::select! {
        packet = typed(header, stream, inputs) => packet,
        packet = shown(shared, header, stream) => packet,
    };
    let end = shared.streams.lock().remove(&header);
    let Some(mut packet) = packet else { return };
    if packet.header.status == Status::Continue
        && matches!(end, Some(End::Both { finishing: true, .. }))
    {
        packet = header.confirmation();
    }
    if packet.header.status == Status::Continue {
        shared.session().stream_drained(header);
    } else {
        shared.session().stream_closed(header);
    }
    shared.send(packet).await;
}

/// From the client to the machine. The packet is the last one of the stream; there is none if the client has gone.
async fn typed(
    header: StreamHeader,
    stream: &dyn Stream,
    mut inputs: mpsc::UnboundedReceiver<Input>,
) -> Option<Packet> {
    loop {
        let failed = match inputs.recv().await {
            Some(Input::Chunk(chunk, permit)) => {
                let sent = stream.send(chunk).await;
                drop(permit);
                sent.err()
            }
            Some(Input::Finish) => match stream.finish().await {
                Ok(()) => return Some(header.confirmation()),
                Err(error) => Some(error),
            },
            Some(Input::Abort) | None => {
                let _ = stream.abort().await;
                return None;
            }
        };
        if let Some(error) = failed {
            let _ = stream.abort().await;
            return Some(header.error(&error));
        }
    }
}

/// From the machine to the client.
async fn shown(shared: &Shared, header: StreamHeader, stream: &dyn Stream) -> Option<Packet> {
    loop {
        match stream.recv().await {
            Ok(Some(Chunk::Data(mut bytes))) => {
                while !bytes.is_empty() {
                    let part = bytes.split_to(bytes.len().min(MAX_CHUNK_BYTES));
                    if !shared.send(header.data(part)).await {
                        return None;
                    }
                }
            }
            // No machine writes one.
            Ok(Some(Chunk::Hole(_))) => {}
            Ok(None) => return Some(header.end()),
            Err(error) => return Some(header.error(&error)),
        }
    }
}

async fn upload(
    shared: std::sync::Weak<Shared>,
    header: StreamHeader,
    stream: Box<dyn Stream>,
    mut inputs: mpsc::UnboundedReceiver<Input>,
    place: Place,
) {
    let packet = loop {
        match inputs.recv().await {
            Some(Input::Chunk(chunk, permit)) => {
                let sent = stream.send(chunk).await;
                drop(permit);
                if let Err(error) = sent {
                    let _ = stream.abort().await;
                    break header.error(&error);
                }
            }
            Some(Input::Finish) => match stream.finish().await {
                Ok(()) => break header.confirmation(),
                Err(error) => break header.error(&error),
            },
            Some(Input::Abort) => {
                let _ = stream.abort().await;
                break header.confirmation();
            }
            // The client has gone.
            None => {
                let _ = stream.abort().await;
                return;
            }
        }
    };
    if let Some(shared) = shared.upgrade() {
        shared.streams.lock().remove(&header);
        drop(place);
        shared.session().stream_closed(header);
        shared.send(packet).await;
    }
}

async fn download(shared: &Shared, header: StreamHeader, stream: Box<dyn Stream>, sparse: bool) {
    let failed = loop {
        match stream.recv().await {
            Ok(Some(Chunk::Data(mut bytes))) => {
                while !bytes.is_empty() {
                    let part = bytes.split_to(bytes.len().min(MAX_CHUNK_BYTES));
                    if !shared.send(header.data(part)).await {
                        return;
                    }
                }
            }
            Ok(Some(Chunk::Hole(length))) if sparse => {
                if !shared.send(header.hole(length)).await {
                    return;
                }
            }
            Ok(Some(Chunk::Hole(mut length))) => {
                while length > 0 {
                    let part = usize::try_from(length).unwrap_or(usize::MAX).min(MAX_CHUNK_BYTES);
                    length -= part as u64;
                    if !shared.send(header.data(Bytes::from_static(&ZEROS[..part]))).await {
                        return;
                    }
                }
            }
            Ok(None) => match stream.finish().await {
                Ok(()) => break None,
                Err(error) => break Some(error),
            },
            Err(error) => break Some(error),
        }
    };
    shared.streams.lock().remove(&header);
    let packet = match failed {
        None => {
            shared.session().stream_drained(header);
            header.end()
        }
        Some(error) => {
            shared.session().stream_closed(header);
            header.error(&error)
        }
    };
    shared.send(packet).await;
}
