//! Uploading a file: one `PUT` with its length, to a temporary name, which becomes the final one when all is there.
//!
//! Hosts keep what has arrived of a broken upload under the name it was sent to, so that name is never the final one.
//! One task owns the request and whatever follows it: taking the name over when it is told to, removing the temporary
//! file in any other case, also if the [`Upload`] is dropped.

use std::hash::{BuildHasher as _, RandomState};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use esx_escape::{DatastorePath, folder_upload_path_and_query};
use esx_vi_api::MoRef;
use esx_vi_api::methods::{DeleteDatastoreFileTask, MoveDatastoreFileTask};
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::download::TransferProgress;
use super::error::TransferError;
use crate::TransportError;
use crate::client::Client;
use crate::error::{Error, Result};

/// Pieces that may wait for the connection; with [`PIECE`] that is 4 MiB.
const QUEUE: usize = 4;
/// Longest piece in the queue, in bytes.
const PIECE: usize = 1 << 20;
/// How often a file that is still locked is asked to be removed, and the first pause in between; each is twice the one before,
/// which makes 12 s. After a broken connection the host needs a moment to notice.
const REMOVALS: u32 = 6;
const REMOVAL_PAUSE: Duration = Duration::from_millis(400);
/// How often in all a file is looked for that is not there after an exchange without an answer: the host may only be about to
/// make it.
const LOOKS: u32 = 3;
/// Most bytes of the final name that stand in the temporary one.
const MAX_STEM: usize = 60;
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// What happens to a file that has the name already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// It stays, and the upload is refused.
    Refuse,
    /// It is replaced when the upload is complete, and left alone before. See [`Upload::finish`].
    Replace,
    /// As `Replace`, but if there is none, the upload is refused.
    Demand,
    /// As `Replace`; the caller has just read it, so nobody looks whether it is there.
    Seen,
}

/// Where a file of a datastore lies, as `/folder` and the `FileManager` want to know it.
#[derive(Debug, Clone, Copy)]
pub struct FilePlace<'a> {
    /// The file.
    pub path: &'a DatastorePath,
    /// The path of the datastore's datacenter (spec `connection.md` section 13).
    pub datacenter_path: &'a str,
    /// The datacenter itself; a vCenter insists on it, a host does not.
    pub datacenter: Option<&'a MoRef>,
}

/// An upload on its way. Dropping it removes what has arrived, in the background.
#[derive(Debug)]
pub struct Upload {
    path: DatastorePath,
    length: u64,
    given: u64,
    pieces: Option<mpsc::Sender<Bytes>>,
    commit: Option<oneshot::Sender<()>>,
    task: Option<JoinHandle<Result<()>>>,
    sent: Arc<Sent>,
}

/// What the request tells the rest.
#[derive(Debug, Default)]
struct Sent {
    bytes: AtomicU64,
    /// Whether the request waits for the caller, not for the server.
    starved: AtomicBool,
    /// Whether the caller has given up.
    given_up: AtomicBool,
}

impl Client {
    /// Starts to write a file of `length` bytes.
    ///
    /// # Errors
    /// [`TransferError::Exists`], [`TransferError::NotFound`] or [`TransferError::Unreadable`] if the file is there and was
    /// not to be, is not there and was to be, or is locked; [`TransferError::Elsewhere`]; any [`TransportError`].
    pub async fn open_upload(
        &self,
        place: FilePlace<'_>,
        length: u64,
        existing: Existing,
    ) -> Result<Upload> {
        let path = place.path.clone();
        // It also opens the session again if need be: a request with a body of gigabytes cannot be repeated.
        let exists = match existing {
            Existing::Seen => true,
            _ => self
                .file_exists(&path, place.datacenter_path)
                .await
                .map_err(|error| explain_look(&path, error))?,
        };
        if exists && existing == Existing::Refuse {
            return Err(TransferError::Exists { path }.into());
        }
        if !exists && existing == Existing::Demand {
            return Err(TransferError::NotFound { path }.into());
        }
        let temporary = path.sibling(&temporary_name(path.file_name(), "part"));
        let sent = Arc::new(Sent::default());
        let (pieces, queue) = mpsc::channel(QUEUE);
        let (commit, committed) = oneshot::channel();
        let work = Work {
            client: self.clone(),
            path: path.clone(),
            temporary,
            datacenter_path: place.datacenter_path.to_owned(),
            datacenter: place.datacenter.cloned(),
            replace: exists,
            sent: Arc::clone(&sent),
        };
        let task = tokio::spawn(work.run(queue, length, committed));
        Ok(Upload {
            path,
            length,
            given: 0,
            pieces: Some(pieces),
            commit: Some(commit),
            task: Some(task),
            sent,
        })
    }

    /// Removes a file of a datastore; it is no error if there is none.
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn remove_file(
        &self,
        path: &DatastorePath,
        datacenter: Option<&MoRef>,
    ) -> Result<()> {
        match self.delete_file(path, datacenter).await {
            Err(error) if error.is_fault("FileNotFound") => Ok(()),
            result => result,
        }
    }

    async fn delete_file(&self, path: &DatastorePath, datacenter: Option<&MoRef>) -> Result<()> {
        let manager = self.service("fileManager", &self.content().file_manager)?;
        let call =
            DeleteDatastoreFileTask { name: path.to_string(), datacenter: datacenter.cloned() };
        self.run_plain_task(manager, &call).await.map(drop)
    }

    /// Gives a file of a datastore another name; `force` replaces a file that has it.
    ///
    /// # Errors
    /// Any [`Error`]: fault `FileAlreadyExists`, for example.
    pub async fn move_file(
        &self,
        from: &DatastorePath,
        to: &DatastorePath,
        datacenter: Option<&MoRef>,
        force: bool,
    ) -> Result<()> {
        let manager = self.service("fileManager", &self.content().file_manager)?;
        let call = MoveDatastoreFileTask {
            source_name: from.to_string(),
            source_datacenter: datacenter.cloned(),
            destination_name: to.to_string(),
            destination_datacenter: datacenter.cloned(),
            force: Some(force),
        };
        self.run_plain_task(manager, &call).await.map(drop)
    }
}

impl Upload {
    /// How far it has come: what the connection has taken.
    pub fn progress(&self) -> TransferProgress {
        let done = self.sent.bytes.load(Ordering::Relaxed);
        TransferProgress { done, total: self.length, resumed: 0 }
    }

    /// Gives the next bytes; waits until there is room for them.
    ///
    /// # Errors
    /// [`TransferError::WrongLength`] for more bytes than announced; what broke the upload. After an error it has ended,
    /// and what had arrived is removed.
    pub async fn send(&mut self, mut bytes: Bytes) -> Result<()> {
        self.check_room(bytes.len() as u64).await?;
        while !bytes.is_empty() {
            let piece = bytes.split_to(bytes.len().min(PIECE));
            self.push(piece).await?;
        }
        Ok(())
    }

    /// Gives so many zeros. They are transferred: HTTP knows no holes.
    ///
    /// # Errors
    /// As for [`send`](Self::send).
    pub async fn send_hole(&mut self, mut size: u64) -> Result<()> {
        self.check_room(size).await?;
        while size > 0 {
            let now = size.min(ZEROS.len() as u64);
            self.push(Bytes::from_static(&ZEROS[..now as usize])).await?;
            size -= now;
        }
        Ok(())
    }

    async fn check_room(&mut self, more: u64) -> Result<()> {
        if more > self.length - self.given {
            let given = self.given.saturating_add(more);
            let _ = self.end().await;
            return Err(self.wrong_length(given).into());
        }
        Ok(())
    }

    async fn push(&mut self, piece: Bytes) -> Result<()> {
        let length = piece.len() as u64;
        let sent = match &self.pieces {
            Some(pieces) => pieces.send(piece).await.is_ok(),
            None => false,
        };
        if sent {
            self.given += length;
            return Ok(());
        }
        // The request has ended before its time: its task knows why.
        match self.end().await {
            Err(error) => Err(error),
            Ok(()) => Err(self.wrong_length(self.given).into()),
        }
    }

    /// Waits until the host has everything and the file has its name.
    ///
    /// The name is taken over by `MoveDatastoreFile_Task`. If a file has it that is to be replaced, that is done with
    /// `force`; hosts that refuse that get the old file out of the way first, under a temporary name, and remove it
    /// afterwards. Either way the API promises no atomic exchange: if the host stops at the wrong moment, the old or the
    /// new content is found under a temporary name beside the final one. Dropping the returned future does not stop it.
    ///
    /// # Errors
    /// [`TransferError::WrongLength`] if bytes are missing; then, and if the host refuses, what had arrived is removed.
    pub async fn finish(mut self) -> Result<()> {
        if self.given < self.length {
            let error = self.wrong_length(self.given);
            let _ = self.end().await;
            return Err(error.into());
        }
        self.pieces = None;
        if let Some(commit) = self.commit.take() {
            // If the task has ended already, it tells why.
            let _ = commit.send(());
        }
        self.end().await
    }

    /// Gives it up, and waits until what has arrived is removed.
    ///
    /// # Errors
    /// [`TransferError::LeftBehind`] if it cannot be removed.
    pub async fn abort(mut self) -> Result<()> {
        match self.end().await {
            Err(Error::Transfer(error @ TransferError::LeftBehind { .. })) => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Waits for the task, which removes the temporary file unless it was told to commit.
    async fn end(&mut self) -> Result<()> {
        (self.pieces, self.commit) = (None, None);
        match self.task.take() {
            Some(task) => task.await.unwrap_or_else(|_| Err(self.wrong_length(self.given).into())),
            None => Err(self.wrong_length(self.given).into()),
        }
    }

    fn wrong_length(&self, given: u64) -> TransferError {
        TransferError::WrongLength { path: self.path.clone(), announced: self.length, given }
    }
}

/// What the task of an upload knows.
struct Work {
    client: Client,
    path: DatastorePath,
    temporary: DatastorePath,
    datacenter_path: String,
    datacenter: Option<MoRef>,
    replace: bool,
    sent: Arc<Sent>,
}

impl Work {
    async fn run(
        self,
        queue: mpsc::Receiver<Bytes>,
        length: u64,
        committed: oneshot::Receiver<()>,
    ) -> Result<()> {
        let error = match self.put(queue, length).await {
            Ok(()) => match committed.await {
                Ok(()) => match self.take_name().await {
                    Ok(()) => return Ok(()),
                    Err(error) => error,
                },
                // Given up: nobody asks why.
                Err(_) => self.incomplete(length),
            },
            Err(error) => error,
        };
        tracing::debug!(path = %self.path, %error, "removing what was uploaded");
        let unanswered = match &error {
            Error::Transfer(error) => matches!(error, TransferError::WrongLength { .. }),
            Error::Transport(error) => !matches!(error, TransportError::Status { .. }),
            _ => false,
        };
        match self.remove(&self.temporary, if unanswered { LOOKS } else { 1 }).await {
            Ok(()) => Err(error),
            Err(second) => {
                let (path, leftover) = (self.path.clone(), self.temporary.clone());
                tracing::warn!(%path, %leftover, error = %second, "what was uploaded cannot be removed");
                match error {
                    Error::Transfer(TransferError::WrongLength { .. }) => {
                        Err(TransferError::LeftBehind { path, leftover }.into())
                    }
                    // The first reason says more.
                    error => Err(error),
                }
            }
        }
    }

    async fn put(&self, queue: mpsc::Receiver<Bytes>, length: u64) -> Result<()> {
        let path = &self.temporary;
        let url = folder_upload_path_and_query(
            path.datastore(),
            path.directory(),
            path.file_name(),
            &self.datacenter_path,
        );
        let body = Pieces { queue, left: length, sent: Arc::clone(&self.sent) };
        let stalled = {
            let sent = Arc::clone(&self.sent);
            let mut before = 0;
            move || {
                let now = sent.bytes.load(Ordering::Relaxed);
                let moved = std::mem::replace(&mut before, now) != now;
                !moved && !sent.starved.load(Ordering::Relaxed)
            }
        };
        let body = reqwest::Body::wrap(body);
        let result = self.client.transport().put_stream(&url, body, length, stalled).await;
        result.map_err(|error| match error {
            TransportError::Redirect { target, .. } => {
                TransferError::Elsewhere { path: self.path.clone(), target }.into()
            }
            TransportError::Status { status: 404, .. } => {
                TransferError::NotFound { path: self.path.clone() }.into()
            }
            TransportError::Status { status: status @ (401 | 403 | 423 | 500 | 507), .. } => {
                TransferError::NotTaken { path: self.path.clone(), status }.into()
            }
            _ if self.sent.given_up.load(Ordering::Relaxed) => self.incomplete(length),
            error => error.into(),
        })
    }

    fn incomplete(&self, announced: u64) -> Error {
        let given = self.sent.bytes.load(Ordering::Relaxed);
        TransferError::WrongLength { path: self.path.clone(), announced, given }.into()
    }

    /// Gives the file its name.
    async fn take_name(&self) -> Result<()> {
        let (from, to) = (&self.temporary, &self.path);
        let datacenter = self.datacenter.as_ref();
        match self.client.move_file(from, to, datacenter, self.replace).await {
            // Some hosts do not heed `force`.
            Err(error) if self.replace && error.is_fault("FileAlreadyExists") => {}
            Err(error) if error.is_fault("FileAlreadyExists") => {
                return Err(TransferError::Exists { path: to.clone() }.into());
            }
            result => return result,
        }
        let aside = to.sibling(&temporary_name(to.file_name(), "old"));
        self.client.move_file(to, &aside, datacenter, false).await?;
        if let Err(error) = self.client.move_file(from, to, datacenter, false).await {
            if let Err(second) = self.client.move_file(&aside, to, datacenter, false).await {
                tracing::error!(path = %to, %aside, error = %second, "the replaced file cannot be put back");
            }
            return Err(error);
        }
        if let Err(error) = self.remove(&aside, 1).await {
            tracing::warn!(path = %to, %aside, %error, "the replaced file cannot be removed");
        }
        Ok(())
    }

    /// Removes a file that may be locked still, or, if `looks` is more than 1, not be there yet.
    async fn remove(&self, path: &DatastorePath, looks: u32) -> Result<()> {
        let (mut attempt, mut looked, mut pause) = (1, 1, REMOVAL_PAUSE);
        loop {
            match self.client.delete_file(path, self.datacenter.as_ref()).await {
                Err(error) if error.is_fault("FileLocked") && attempt < REMOVALS => attempt += 1,
                Err(error) if error.is_fault("FileNotFound") && looked < looks => looked += 1,
                Err(error) if error.is_fault("FileNotFound") => return Ok(()),
                result => return result,
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }
}

/// What a refusal means for a look at a file that is to be written.
fn explain_look(path: &DatastorePath, error: Error) -> Error {
    let path = path.clone();
    match error {
        Error::Transport(TransportError::Status { status: status @ (403 | 423 | 500), .. }) => {
            TransferError::Unreadable { path, status }.into()
        }
        Error::Transport(TransportError::Redirect { target, .. }) => {
            TransferError::Elsewhere { path, target }.into()
        }
        error => error,
    }
}

/// A name that nobody has, beside `name`.
fn temporary_name(name: &str, end: &str) -> String {
    let stem = &name[..name.floor_char_boundary(MAX_STEM)];
    // Keyed at random by the standard library.
    let number = RandomState::new().hash_one(name) as u32;
    format!("{stem}.{number:08x}.{end}")
}

/// The body of the request: what is in the queue, and an error if that ends too early.
struct Pieces {
    queue: mpsc::Receiver<Bytes>,
    left: u64,
    sent: Arc<Sent>,
}

/// The caller has given up.
#[derive(Debug, thiserror::Error)]
#[error("the upload was given up")]
struct GivenUp;

impl Body for Pieces {
    type Data = Bytes;
    type Error = GivenUp;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, GivenUp>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.sent.starved.store(true, Ordering::Relaxed);
        let Some(piece) = ready!(self.queue.poll_recv(cx)) else {
            self.sent.given_up.store(true, Ordering::Relaxed);
            return Poll::Ready(Some(Err(GivenUp)));
        };
        self.sent.starved.store(false, Ordering::Relaxed);
        self.sent.bytes.fetch_add(piece.len() as u64, Ordering::Relaxed);
        self.left = self.left.saturating_sub(piece.len() as u64);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temporary_names() {
        let name = temporary_name("disk-flat.vmdk", "part");
        assert!(name.starts_with("disk-flat.vmdk.") && name.ends_with(".part"), "{name}");
        assert_eq!(name.len(), "disk-flat.vmdk.".len() + 8 + ".part".len());
        assert_ne!(name, temporary_name("disk-flat.vmdk", "part"));
        // Cut between characters.
        assert!(temporary_name(&"ü".repeat(90), "old").starts_with(&"ü".repeat(30)));
    }
}
