//! Downloading a file of any size: in parts, several at once, in order, with patience.
//!
//! ```text
//!            +--> task: block n    --chunks--+
//!  Download -+--> task: block n+1  --chunks--+--> Download::chunk (in order)
//!            +--> ... (at most `parallel`)   |
//! ```
//!
//! Each task asks for one block with `Range` and hands on what comes. If it breaks off, it asks for the rest of its block,
//! so that what has come is never asked for again. Of a block that is not at its turn yet a few pieces wait in memory and the
//! rest in its connection. All tasks end when the [`Download`] is dropped.

use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use esx_escape::{DatastorePath, folder_path_and_query};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::error::TransferError;
use super::holes::{Chunk, HoleFinder};
use super::retry::{Gate, RetryPolicy, transient};
use crate::client::Client;
use crate::error::{Error, Result};
use crate::{ByteRange, GetReply, TransportError};

/// What is downloaded, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DownloadOptions {
    /// The first byte wanted.
    pub offset: u64,
    /// How many bytes at most; `None` to the end.
    pub length: Option<u64>,
    /// Whether runs of zeros are reported as [`Chunk::Hole`]. They are transferred all the same: HTTP knows no holes.
    pub holes: bool,
    /// Bytes that one request asks for at first.
    pub block: NonZeroU64,
    /// Bytes that one request asks for at most: where blocks come within a few milliseconds each, as on loopback, they grow up to
    /// this, since fewer requests cost less. If this is not more than `block`, none grows.
    pub largest_block: NonZeroU64,
    /// How many requests are sent together; hosts refuse more than four sooner or later.
    pub parallel: usize,
    /// When to try again, and when to give up.
    pub retry: RetryPolicy,
}

impl Default for DownloadOptions {
    /// The whole file in blocks of 4 to 32 MiB, four at once, without holes.
    fn default() -> Self {
        Self {
            offset: 0,
            length: None,
            holes: false,
            block: const { NonZeroU64::new(4 << 20).unwrap() },
            largest_block: const { NonZeroU64::new(32 << 20).unwrap() },
            parallel: MAX_PARALLEL,
            retry: RetryPolicy::default(),
        }
    }
}

impl DownloadOptions {
    /// How large a block is that is asked for after one of `block` bytes was read in the time `took`.
    fn next_block(&self, block: u64, took: Duration) -> u64 {
        let (least, most) = (self.block.get(), self.largest_block.max(self.block).get());
        if took < QUICK {
            block.saturating_mul(2).min(most)
        } else if took > SLOW {
            (block / 2).max(least)
        } else {
            block
        }
    }
}

/// Most requests that one download sends together, whatever the options say (users-and-servers.md, fact 6).
const MAX_PARALLEL: usize = 4;
/// Pieces of a block that wait here at the most. What is not at its turn waits in the kernel's buffers of its connection: copied
/// when it is wanted, it is read while it is still in the processor's cache, and memory does not grow with the block.
const WAITING: usize = 2;
/// Blocks that are read faster than this become larger, ...
const QUICK: Duration = Duration::from_millis(10);
/// ... and smaller again where one takes longer than this: only blocks that largely fit into what waits in memory and in the kernel
/// are fetched side by side, and that is what makes up for a slow connection.
const SLOW: Duration = Duration::from_millis(100);
/// A session that ends more often than this without a byte in between does not live.
const MAX_LOGINS: u32 = 3;

/// How far a transfer has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TransferProgress {
    /// Bytes that are done, holes included.
    pub done: u64,
    /// Bytes that there are to do.
    pub total: u64,
    /// How often a part was asked for once more.
    pub resumed: u64,
}

#[derive(Debug, Default)]
struct Counters {
    done: AtomicU64,
    resumed: AtomicU64,
}

/// What tells one content of a file from another, as far as the server says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Identity {
    size: u64,
    modified: Option<String>,
    tag: Option<String>,
}

impl Identity {
    fn of(reply: &GetReply) -> Option<Self> {
        Some(Self {
            size: reply.total?,
            modified: reply.last_modified.clone(),
            tag: reply.entity_tag.clone(),
        })
    }

    /// What is different, if anything is.
    fn difference(&self, other: &Self) -> Option<&'static str> {
        if self.size != other.size {
            Some("size")
        } else if self.tag != other.tag {
            Some("entity tag")
        } else if self.modified != other.modified {
            Some("time of modification")
        } else {
            None
        }
    }
}

/// What all tasks of a download share.
#[derive(Debug)]
struct Source {
    client: Client,
    path: DatastorePath,
    url: String,
    gate: Gate,
    /// The file as the first answer described it, and whether the server heeds ranges.
    first: OnceLock<(Identity, bool)>,
    counters: Counters,
}

/// A download on its way. Dropping it ends all its requests.
#[derive(Debug)]
pub struct Download {
    source: Arc<Source>,
    options: DownloadOptions,
    size: u64,
    /// The first byte that no task has been told to fetch.
    next: u64,
    /// One past the last byte wanted.
    end: u64,
    total: u64,
    blocks: VecDeque<Block>,
    /// How large the next block is.
    block: u64,
    /// Since when the foremost block has been read.
    since: Instant,
    holes: Option<HoleFinder>,
    /// An error was reported: there is nothing after it.
    failed: bool,
}

/// A part of the file and the task that fetches it.
#[derive(Debug)]
struct Block {
    chunks: Receiver<Result<Bytes>>,
    task: AbortHandle,
}

impl Drop for Block {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Client {
    /// Opens a file of a datastore for reading. The first request is on its way when this returns; 401, 503 and broken
    /// connections are handled as later on.
    ///
    /// `datacenter_path` is that of the datastore's datacenter (spec `connection.md` section 13).
    ///
    /// # Errors
    /// Any [`TransferError`] that has to do with reading; any [`TransportError`] that cannot be waited out.
    pub async fn open_download(
        &self,
        path: &DatastorePath,
        datacenter_path: &str,
        options: DownloadOptions,
    ) -> Result<Download> {
        let source = Arc::new(Source {
            client: self.clone(),
            path: path.clone(),
            url: folder_path_and_query(path, datacenter_path),
            gate: Gate::new(options.retry),
            first: OnceLock::new(),
            counters: Counters::default(),
        });
        let wanted = options.offset.saturating_add(options.length.unwrap_or(u64::MAX));
        let block = options.block.get();
        // Blocks begin at multiples of their size.
        let first_end =
            (options.offset / block).saturating_add(1).saturating_mul(block).min(wanted);
        let least = options.offset.saturating_add(1);
        let reply = source.open(options.offset, first_end.max(least)).await?;
        let (size, ranges) = source.first.get().map_or((0, true), |(i, ranges)| (i.size, *ranges));
        if options.offset > size {
            let (path, offset) = (path.clone(), options.offset);
            return Err(TransferError::BeyondEnd { path, offset, size }.into());
        }
        let end = wanted.min(size);
        let mut download = Download {
            source,
            options,
            size,
            next: options.offset,
            end,
            total: end - options.offset,
            blocks: VecDeque::new(),
            block,
            since: Instant::now(),
            holes: options.holes.then(|| HoleFinder::new(options.offset)),
            failed: false,
        };
        if end > options.offset {
            // Without ranges there is one block: the whole.
            let first_end = if ranges { first_end.min(end) } else { end };
            download.start(first_end, Some(reply));
        }
        Ok(download)
    }
}

impl Download {
    /// The size of the file, whatever part of it is wanted.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// How far it has come: what [`chunk`](Self::chunk) has given.
    pub fn progress(&self) -> TransferProgress {
        let counters = &self.source.counters;
        TransferProgress {
            done: counters.done.load(Ordering::Relaxed),
            total: self.total,
            resumed: counters.resumed.load(Ordering::Relaxed),
        }
    }

    /// The next piece, `None` at the end. Cancelling this loses nothing.
    ///
    /// # Errors
    /// [`TransferError::Changed`] if the file was written to meanwhile; what could not be waited out. After an error
    /// there is nothing more.
    pub async fn chunk(&mut self) -> Result<Option<Chunk>> {
        loop {
            if let Some(chunk) = self.holes.as_mut().and_then(HoleFinder::pop) {
                return Ok(Some(self.given(chunk)));
            }
            if self.failed {
                return Ok(None);
            }
            while self.next < self.end && self.blocks.len() < self.parallel() {
                let end = self.next.saturating_add(self.block).min(self.end);
                self.start(end, None);
            }
            let Some(block) = self.blocks.front_mut() else {
                let Some(holes) = &mut self.holes else { return Ok(None) };
                holes.finish();
                return Ok(holes.pop().map(|chunk| self.given(chunk)));
            };
            match block.chunks.recv().await {
                Some(Ok(bytes)) => match &mut self.holes {
                    Some(holes) => holes.push(bytes),
                    None => return Ok(Some(self.given(Chunk::Data(bytes)))),
                },
                Some(Err(error)) => {
                    self.failed = true;
                    self.blocks.clear();
                    return Err(error);
                }
                None => {
                    self.blocks.pop_front();
                    self.block = self.options.next_block(self.block, self.since.elapsed());
                    self.since = Instant::now();
                }
            }
        }
    }

    fn given(&self, chunk: Chunk) -> Chunk {
        self.source.counters.done.fetch_add(chunk.size(), Ordering::Relaxed);
        chunk
    }

    fn parallel(&self) -> usize {
        self.options.parallel.clamp(1, MAX_PARALLEL)
    }

    /// Lets a task fetch what is between `next` and `end`.
    fn start(&mut self, end: u64, reply: Option<GetReply>) {
        let (sender, chunks) = channel(WAITING);
        let (source, start) = (Arc::clone(&self.source), self.next);
        let task = tokio::spawn(async move {
            if let Err(error) = source.fetch(start, end, reply, &sender).await {
                // Nobody may be listening any more.
                let _ = sender.send(Err(error)).await;
            }
        });
        self.blocks.push_back(Block { chunks, task: task.abort_handle() });
        self.next = end;
    }
}

impl Source {
    /// Fetches a part of the file, in as many requests as it takes.
    async fn fetch(
        &self,
        mut at: u64,
        end: u64,
        mut reply: Option<GetReply>,
        chunks: &Sender<Result<Bytes>>,
    ) -> Result<()> {
        while at < end {
            let round = self.gate.pass(self.client.transport().end()).await;
            let reply = match reply.take() {
                Some(reply) => reply,
                None => self.open(at, end).await?,
            };
            let (began, whole) = (at, reply.status == 200);
            // Of a whole file, what comes before the part is read and thrown away.
            let mut skip = if whole { at } else { 0 };
            let mut body = reply.body;
            let broken = loop {
                match body.chunk().await {
                    Ok(Some(mut bytes)) => {
                        let skipped = skip.min(bytes.len() as u64);
                        skip -= skipped;
                        drop(bytes.split_to(skipped as usize));
                        bytes.truncate(usize::try_from(end - at).unwrap_or(usize::MAX));
                        at += bytes.len() as u64;
                        // What is only skipped is no progress: a server may break off at the same place for ever.
                        if !bytes.is_empty() {
                            self.gate.succeeded();
                        }
                        // If nobody wants it any more, the task is about to be ended.
                        if !bytes.is_empty() && chunks.send(Ok(bytes)).await.is_err() {
                            return Ok(());
                        }
                        if at == end && whole {
                            return Ok(());
                        }
                    }
                    // Read to its end, so that the connection can be used again.
                    Ok(None) => break None,
                    Err(error) => break Some(error),
                }
            };
            if at == end || broken.is_none() && at > began {
                // The rest of what the server has cut short is asked for at once.
                continue;
            }
            let retry_after = match &broken {
                None => Some(None),
                Some(error) => transient(error),
            };
            self.counters.resumed.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(path = %self.path, at, end, ?broken, "asking for the rest");
            if !retry_after.is_some_and(|after| self.gate.failed(round, after)) {
                return Err(match broken {
                    Some(error) => error.into(),
                    None => self.wrong_range(at).into(),
                });
            }
        }
        Ok(())
    }

    /// Asks for a part of the file until there is an answer, and looks whether it is an answer to that.
    async fn open(&self, at: u64, end: u64) -> Result<GetReply> {
        let range = ByteRange { start: at, length: NonZeroU64::new(end - at) };
        let mut logins = 0;
        loop {
            let round = self.gate.pass(self.client.transport().end()).await;
            let session = self.client.session_number();
            // Once is enough to find out that it is not heeded.
            let heeded = self.first.get().is_none_or(|(_, ranges)| *ranges);
            let reply = self.client.transport().get_part(&self.url, heeded.then_some(range)).await;
            let error = match reply {
                Ok(reply) => return self.check(at, reply),
                Err(TransportError::Status { status: 401, .. }) if logins < MAX_LOGINS => {
                    match self.client.heal(session).await {
                        Ok(true) => {
                            logins += 1;
                            continue;
                        }
                        Ok(false) => return Err(self.unreadable(401)),
                        // The host is not back yet.
                        Err(Error::Transport(error)) => error,
                        Err(error) => return Err(error),
                    }
                }
                Err(error) => error,
            };
            let Some(retry_after) = transient(&error) else { return Err(self.explain(error)) };
            self.counters.resumed.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(path = %self.path, at, %error, "not yet");
            if !self.gate.failed(round, retry_after) {
                return Err(error.into());
            }
        }
    }

    /// Whether the answer is one to a question for what begins at `at`.
    fn check(&self, at: u64, reply: GetReply) -> Result<GetReply> {
        let path = || self.path.clone();
        let identity =
            Identity::of(&reply).ok_or_else(|| TransferError::UnknownSize { path: path() })?;
        let size = identity.size;
        let (first, ranges) = self.first.get_or_init(|| (identity.clone(), reply.status != 200));
        if let Some(what) = first.difference(&identity) {
            return Err(TransferError::Changed { path: path(), what }.into());
        }
        let fits = match reply.status {
            206 => reply.content_range.is_some_and(|range| range.first == at),
            416 => at >= size,
            _ => at == 0 || !ranges,
        };
        if fits { Ok(reply) } else { Err(self.wrong_range(at).into()) }
    }

    fn wrong_range(&self, expected: u64) -> TransferError {
        TransferError::WrongRange { path: self.path.clone(), expected }
    }

    fn unreadable(&self, status: u16) -> Error {
        TransferError::Unreadable { path: self.path.clone(), status }.into()
    }

    /// What a refusal means for a file that is read.
    fn explain(&self, error: TransportError) -> Error {
        let path = self.path.clone();
        match error {
            TransportError::Status { status: 404, .. } => TransferError::NotFound { path }.into(),
            TransportError::Status { status: status @ (401 | 403 | 423 | 500), .. } => {
                self.unreadable(status)
            }
            TransportError::Redirect { target, .. } => {
                TransferError::Elsewhere { path, target }.into()
            }
            error => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_grow_where_they_come_quickly_and_shrink_where_not() {
        let options = DownloadOptions::default();
        let (quick, steady, slow) = (QUICK / 2, QUICK, SLOW * 2);
        let mut block = options.block.get();
        let mut sizes = Vec::new();
        for took in [steady, quick, quick, steady, quick, quick, slow, slow, steady, slow, slow] {
            block = options.next_block(block, took);
            sizes.push(block >> 20);
        }
        assert_eq!(sizes, [4, 8, 16, 16, 32, 32, 16, 8, 8, 4, 4]);

        let fixed = DownloadOptions { largest_block: NonZeroU64::MIN, ..options };
        assert_eq!(fixed.next_block(4 << 20, quick), 4 << 20);
    }
}
