//! Bodies of answers: bytes, or a file piece by piece; whole, cut short, or stuck on the way.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::Sleep;

use super::outflow::Outflow;
use crate::model::{DiskStream, FileContent, LeaseEnded};

/// How large the pieces of a slow body are.
const PIECE: u64 = 16 << 10;

/// The connection is to be broken off.
#[derive(Debug, thiserror::Error)]
#[error("the connection is broken off, as planned")]
pub(super) struct Hangup;

/// What went over `/folder`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransferStats {
    /// Bytes of files that were handed to connections.
    pub bytes_out: u64,
    /// Bytes of uploads that arrived.
    pub bytes_in: u64,
    /// Downloads that are on their way.
    pub active: usize,
    /// The most downloads that were on their way together.
    pub peak: usize,
}

/// The counters behind [`TransferStats`].
#[derive(Debug, Default)]
pub(crate) struct Transfers {
    bytes_out: AtomicU64,
    bytes_in: AtomicU64,
    active: AtomicUsize,
    peak: AtomicUsize,
}

impl Transfers {
    pub(crate) fn read(&self) -> TransferStats {
        TransferStats {
            bytes_out: self.bytes_out.load(Ordering::SeqCst),
            bytes_in: self.bytes_in.load(Ordering::SeqCst),
            active: self.active.load(Ordering::SeqCst),
            peak: self.peak.load(Ordering::SeqCst),
        }
    }

    /// Starts anew; what is on its way stays so.
    pub(crate) fn reset(&self) {
        self.bytes_out.store(0, Ordering::SeqCst);
        self.bytes_in.store(0, Ordering::SeqCst);
        self.peak.store(self.active.load(Ordering::SeqCst), Ordering::SeqCst);
    }

    pub(super) fn arrived(&self, bytes: usize) {
        self.bytes_in.fetch_add(bytes as u64, Ordering::SeqCst);
    }
}

/// A download on its way.
#[derive(Debug)]
struct OnItsWay(Arc<Transfers>);

impl OnItsWay {
    fn new(transfers: Arc<Transfers>) -> Self {
        let active = transfers.active.fetch_add(1, Ordering::SeqCst) + 1;
        transfers.peak.fetch_max(active, Ordering::SeqCst);
        Self(transfers)
    }
}

impl Drop for OnItsWay {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::SeqCst);
    }
}

/// How a body ends before its time.
#[derive(Debug)]
enum Ending {
    /// When all before it has left.
    Cut(Arc<Outflow>),
    Stall,
}

/// The body of an answer.
#[derive(Debug)]
pub(super) struct ReplyBody {
    source: Source,
    /// The pause before each small piece, and the one that is being waited for.
    drip: Option<(Duration, Pin<Box<Sleep>>)>,
    /// After how many more bytes it ends, and how.
    limit: Option<(u64, Ending)>,
}

#[derive(Debug)]
enum Source {
    Bytes(Bytes),
    File {
        content: FileContent,
        position: u64,
        end: u64,
        on_its_way: OnItsWay,
    },
    /// A disk of a lease, and what is left of its last piece.
    Disk {
        disk: Box<DiskStream>,
        rest: Bytes,
        on_its_way: OnItsWay,
    },
    Endless,
}

impl ReplyBody {
    /// The bytes of a file from `start` up to `end`.
    pub(super) fn file(
        content: FileContent,
        start: u64,
        end: u64,
        transfers: Arc<Transfers>,
    ) -> Self {
        let on_its_way = OnItsWay::new(transfers);
        Self {
            source: Source::File { content, position: start, end, on_its_way },
            drip: None,
            limit: None,
        }
    }

    /// A disk of a lease, of a length that nobody knows beforehand.
    pub(super) fn disk(disk: DiskStream, transfers: Arc<Transfers>) -> Self {
        let on_its_way = OnItsWay::new(transfers);
        Self {
            source: Source::Disk { disk: Box::new(disk), rest: Bytes::new(), on_its_way },
            drip: None,
            limit: None,
        }
    }

    /// Lets the connection break after so many bytes.
    pub(super) fn cut(&mut self, after: u64, outflow: Arc<Outflow>) {
        self.limit = Some((after, Ending::Cut(outflow)));
    }

    /// Lets nothing come after so many bytes.
    pub(super) fn stall(&mut self, after: u64) {
        self.limit = Some((after, Ending::Stall));
    }

    /// Lets it come in small pieces, with a pause before each.
    pub(super) fn drip(&mut self, pause: Duration) {
        self.drip = Some((pause, Box::pin(tokio::time::sleep(pause))));
    }

    /// Puts white space without end behind it, not faster than 16 MB/s.
    pub(super) fn never_end(&mut self) {
        self.source = Source::Endless;
        self.drip(Duration::from_millis(1));
    }

    /// Its bytes, unless it is a file.
    pub(super) fn bytes(&self) -> Option<Bytes> {
        match &self.source {
            Source::Bytes(bytes) => Some(bytes.clone()),
            Source::File { .. } | Source::Disk { .. } | Source::Endless => None,
        }
    }

    /// How many bytes are left, were it not cut short; the greatest number if nobody knows.
    pub(super) fn left(&self) -> u64 {
        match &self.source {
            Source::Bytes(bytes) => bytes.len() as u64,
            Source::File { position, end, .. } => end - position,
            Source::Disk { .. } | Source::Endless => u64::MAX,
        }
    }
}

impl<T: Into<Bytes>> From<T> for ReplyBody {
    fn from(bytes: T) -> Self {
        Self { source: Source::Bytes(bytes.into()), drip: None, limit: None }
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Hangup;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Hangup>>> {
        let most = match &self.limit {
            Some((0, Ending::Cut(outflow))) => {
                return outflow.poll_flushed(cx).map(|()| Some(Err(Hangup)));
            }
            // Nobody wakes it: the connection ends when the client has enough.
            Some((0, Ending::Stall)) => return Poll::Pending,
            Some((most, _)) => *most,
            None => u64::MAX,
        };
        if let Some((pause, sleep)) = &mut self.drip {
            ready!(sleep.as_mut().poll(cx));
            let next = tokio::time::Instant::now() + *pause;
            sleep.as_mut().reset(next);
        }
        let most = if self.drip.is_some() { most.min(PIECE) } else { most };
        let chunk = match &mut self.source {
            Source::Endless => Bytes::from_static(&[b' '; PIECE as usize]),
            Source::Bytes(bytes) => {
                let most = usize::try_from(most).map_or(bytes.len(), |most| most.min(bytes.len()));
                bytes.split_to(most)
            }
            Source::File { content, position, end, on_its_way } => {
                let chunk = content.chunk(*position, most.min(*end - *position));
                *position += chunk.len() as u64;
                on_its_way.0.bytes_out.fetch_add(chunk.len() as u64, Ordering::SeqCst);
                chunk
            }
            Source::Disk { disk, rest, on_its_way } => {
                if rest.is_empty() {
                    match disk.piece() {
                        Ok(piece) => *rest = piece.unwrap_or_default(),
                        Err(LeaseEnded) => return Poll::Ready(Some(Err(Hangup))),
                    }
                }
                let most = usize::try_from(most).map_or(rest.len(), |most| most.min(rest.len()));
                let chunk = rest.split_to(most);
                on_its_way.0.bytes_out.fetch_add(chunk.len() as u64, Ordering::SeqCst);
                chunk
            }
        };
        if let Some((left, _)) = &mut self.limit {
            *left -= chunk.len() as u64;
        }
        Poll::Ready((!chunk.is_empty()).then_some(Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.left() == 0
    }

    fn size_hint(&self) -> SizeHint {
        match self.source {
            Source::Disk { .. } | Source::Endless => SizeHint::default(),
            _ => SizeHint::with_exact(self.left()),
        }
    }
}
