//! Transfers of files as [`virt_api::Stream`].

use async_trait::async_trait;
use esx_vi_client as vi;
use tokio::sync::Mutex;
use virt_api::{Chunk, Error, ErrorDomain, Result, Stream};

use crate::error::storage_error;

/// A file on its way here.
pub(crate) struct DownloadStream {
    /// `None` when it has ended.
    left: Mutex<Option<vi::Download>>,
    size: u64,
    what: String,
}

impl DownloadStream {
    /// `what` is what is being done, for errors.
    pub(crate) fn new(download: vi::Download, what: String) -> Self {
        let size = download.progress().total;
        Self { left: Mutex::new(Some(download)), size, what }
    }
}

#[async_trait]
impl Stream for DownloadStream {
    async fn recv(&self) -> Result<Option<Chunk>> {
        let mut left = self.left.lock().await;
        let Some(download) = left.as_mut() else { return Ok(None) };
        match download.chunk().await {
            Ok(Some(vi::Chunk::Data(bytes))) => Ok(Some(Chunk::Data(bytes))),
            Ok(Some(vi::Chunk::Hole(size))) => Ok(Some(Chunk::Hole(size))),
            Ok(None) => {
                *left = None;
                Ok(None)
            }
            Err(error) => {
                *left = None;
                Err(storage_error(&self.what, error))
            }
        }
    }

    fn size(&self) -> Option<u64> {
        Some(self.size)
    }

    async fn finish(&self) -> Result<()> {
        let Some(download) = self.left.lock().await.take() else { return Ok(()) };
        let progress = download.progress();
        if progress.done == progress.total {
            return Ok(());
        }
        let message = format!("{}: the stream has not been read to its end", self.what);
        Err(Error::internal(ErrorDomain::Streams, message))
    }

    async fn abort(&self) -> Result<()> {
        self.left.lock().await.take();
        Ok(())
    }
}

/// A file on its way to the host.
pub(crate) struct UploadStream {
    /// `None` when it has ended.
    left: Mutex<Option<Open>>,
    size: u64,
    what: String,
}

struct Open {
    upload: vi::Upload,
    given: u64,
    /// The data may be shorter than the file: zeros follow then.
    pads: bool,
}

impl UploadStream {
    /// An upload of `size` bytes; with `pads` fewer may be given.
    pub(crate) fn new(upload: vi::Upload, size: u64, pads: bool, what: String) -> Self {
        Self { left: Mutex::new(Some(Open { upload, given: 0, pads })), size, what }
    }

    fn ended(&self) -> Error {
        Error::invalid_arg(ErrorDomain::Streams, format!("{}: the stream has ended", self.what))
    }
}

#[async_trait]
impl Stream for UploadStream {
    async fn send(&self, chunk: Chunk) -> Result<()> {
        let mut left = self.left.lock().await;
        // If this is cancelled, part of the chunk may be on its way: then nobody can go on.
        let mut open = left.take().ok_or_else(|| self.ended())?;
        let sent = match chunk {
            Chunk::Data(bytes) => {
                open.given += bytes.len() as u64;
                open.upload.send(bytes).await
            }
            Chunk::Hole(size) => {
                open.given += size;
                open.upload.send_hole(size).await
            }
        };
        sent.map_err(|e| storage_error(&self.what, e))?;
        *left = Some(open);
        Ok(())
    }

    fn size(&self) -> Option<u64> {
        Some(self.size)
    }

    async fn finish(&self) -> Result<()> {
        let Some(mut open) = self.left.lock().await.take() else { return Err(self.ended()) };
        let finished = async {
            if open.pads {
                open.upload.send_hole(self.size - open.given).await?;
            }
            open.upload.finish().await
        };
        finished.await.map_err(|e| storage_error(&self.what, e))
    }

    async fn abort(&self) -> Result<()> {
        let Some(open) = self.left.lock().await.take() else { return Ok(()) };
        open.upload.abort().await.map_err(|e| storage_error(&self.what, e))
    }
}
