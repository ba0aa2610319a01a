//! An upload of a length that nobody tells, as `virsh vol-upload` begins it without `--length`: hosts want to know it before the first
//! byte. What comes waits in a file without a name (in `TMPDIR`), and is sent when it is complete.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use esx_escape::DatastorePath;
use esx_vi_client::{Existing, FilePlace};
use tokio::sync::Mutex;
use virt_api::{Chunk, Error, ErrorCode, ErrorDomain, Result, Stream};

use crate::connection::Session;
use crate::error::storage_error;
use crate::inventory::Binding;

/// How much is read of the file at once.
const PIECE_BYTES: u64 = 1 << 20;

/// The upload.
pub(crate) struct SpoolStream {
    session: Arc<Session>,
    binding: Binding,
    path: DatastorePath,
    what: String,
    /// `None` when it has ended.
    spool: Mutex<Option<Spool>>,
}

/// What has come.
struct Spool {
    file: File,
    size: u64,
}

impl SpoolStream {
    /// `path` must be there when the upload ends; `what` is what is being done, for errors.
    pub(crate) async fn new(
        session: Arc<Session>,
        binding: Binding,
        path: DatastorePath,
        what: String,
    ) -> Result<Self> {
        let file = blocking(&what, tempfile::tempfile).await?;
        let spool = Mutex::new(Some(Spool { file, size: 0 }));
        Ok(Self { session, binding, path, what, spool })
    }

    fn ended(&self) -> Error {
        Error::invalid_arg(ErrorDomain::Streams, format!("{}: the stream has ended", self.what))
    }
}

#[async_trait]
impl Stream for SpoolStream {
    async fn send(&self, chunk: Chunk) -> Result<()> {
        let mut left = self.spool.lock().await;
        // If this is cancelled, nobody knows how much of it there is.
        let mut spool = left.take().ok_or_else(|| self.ended())?;
        let more = match &chunk {
            Chunk::Data(bytes) => bytes.len() as u64,
            Chunk::Hole(size) => *size,
        };
        if let Some(most) = self.session.spool_bytes
            && spool.size.saturating_add(more) > most
        {
            let message = format!(
                "{}: more than {} MiB of an unknown length are not kept until it is complete: tell the length",
                self.what,
                most >> 20
            );
            return Err(Error::new(ErrorCode::OperationFailed, ErrorDomain::Streams, message));
        }
        let take = move || {
            match chunk {
                Chunk::Data(bytes) => {
                    spool.file.write_all(&bytes)?;
                    spool.size += bytes.len() as u64;
                }
                Chunk::Hole(size) => {
                    let too_large = || io::Error::from(io::ErrorKind::FileTooLarge);
                    spool.size = spool.size.checked_add(size).ok_or_else(too_large)?;
                    spool.file.set_len(spool.size)?;
                    spool.file.seek(SeekFrom::End(0))?;
                }
            }
            Ok(spool)
        };
        *left = Some(blocking(&self.what, take).await?);
        Ok(())
    }

    async fn finish(&self) -> Result<()> {
        let spool = self.spool.lock().await.take().ok_or_else(|| self.ended())?;
        let Spool { mut file, size } = spool;
        let mut file = blocking(&self.what, move || file.rewind().map(|()| file)).await?;
        let failed = |e| storage_error(&self.what, e);
        let place = FilePlace {
            path: &self.path,
            datacenter_path: &self.binding.datacenter_path,
            datacenter: Some(&self.binding.datacenter),
        };
        let upload = self.session.client.open_upload(place, size, Existing::Demand).await;
        let mut upload = upload.map_err(failed)?;
        loop {
            let read = move || {
                let mut piece = Vec::new();
                (&mut file).take(PIECE_BYTES).read_to_end(&mut piece)?;
                Ok((file, piece))
            };
            let (rest, piece) = blocking(&self.what, read).await?;
            file = rest;
            if piece.is_empty() {
                return upload.finish().await.map_err(failed);
            }
            upload.send(Bytes::from(piece)).await.map_err(failed)?;
        }
    }

    async fn abort(&self) -> Result<()> {
        self.spool.lock().await.take();
        Ok(())
    }
}

/// Does what may wait for a disk of this machine.
async fn blocking<T: Send + 'static>(
    what: &str,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|ended| Err(io::Error::other(ended))).map_err(|error| {
        let message = format!("{what}: the data cannot be kept here until all of it has come");
        Error::new(ErrorCode::SystemError, ErrorDomain::Streams, message).with_source(error)
    })
}
