//! Files of datastores, over `/folder`: small ones whole, others as streams.

mod download;
mod error;
mod holes;
mod retry;
mod upload;

use std::num::NonZeroU64;

use bytes::Bytes;
use esx_escape::{DatastorePath, folder_path_and_query, folder_upload_path_and_query};

use crate::client::Client;
use crate::error::{Error, Result};
use crate::{ByteRange, TransportError};

pub use self::download::{Download, DownloadOptions, TransferProgress};
pub use self::error::TransferError;
pub use self::holes::Chunk;
pub use self::retry::RetryPolicy;
pub(crate) use self::retry::{Gate, transient};
pub use self::upload::{Existing, FilePlace, Upload};

impl Client {
    /// Downloads a small file whole, a VMX for example, of at most `limit` bytes.
    ///
    /// `datacenter_path` is that of the datastore's datacenter (spec `connection.md` section 13).
    ///
    /// # Errors
    /// Any [`crate::TransportError`]: status 404 if there is no such file or no such datastore.
    pub async fn download(
        &self,
        path: &DatastorePath,
        datacenter_path: &str,
        limit: u64,
    ) -> Result<Bytes> {
        let url = folder_path_and_query(path, datacenter_path);
        let (mut healed, mut repeated) = (false, false);
        loop {
            let session = self.session_number();
            let error = match self.transport().get_bytes(&url, limit).await {
                Ok(bytes) => return Ok(bytes),
                Err(error) => error,
            };
            if !healed && self.logged_in_again(session, &error).await? {
                healed = true;
                continue;
            }
            let error = Error::from(error);
            let Some(pause) = error.worth_repeating().filter(|_| !repeated) else {
                return Err(error);
            };
            tracing::debug!(%error, "asking once more");
            repeated = true;
            self.transport().pause(pause).await;
        }
    }

    /// Whether there is such a file: its first byte is asked for.
    ///
    /// # Errors
    /// Any [`crate::TransportError`] but a status that says there is no such file.
    pub async fn file_exists(&self, path: &DatastorePath, datacenter_path: &str) -> Result<bool> {
        let first = ByteRange { start: 0, length: Some(NonZeroU64::MIN) };
        let url = folder_path_and_query(path, datacenter_path);
        let session = self.session_number();
        let found = match self.transport().get(&url, Some(first)).await {
            Err(error) if self.logged_in_again(session, &error).await? => {
                self.transport().get(&url, Some(first)).await
            }
            found => found,
        };
        match found {
            // An empty file has no first byte.
            Ok(_) | Err(TransportError::Status { status: 416, .. }) => Ok(true),
            Err(TransportError::Status { status: 404, .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes a small file whole; a file that is there is replaced.
    ///
    /// # Errors
    /// Any [`crate::TransportError`].
    pub async fn upload(
        &self,
        path: &DatastorePath,
        datacenter_path: &str,
        content: Bytes,
    ) -> Result<()> {
        let directory = path.directory();
        let url = folder_upload_path_and_query(
            path.datastore(),
            directory,
            path.file_name(),
            datacenter_path,
        );
        let session = self.session_number();
        let _changing = self.changing("PUT");
        match self.transport().put_bytes(&url, content.clone()).await {
            // Nothing was written: who sends is checked before what is sent.
            Err(error) if self.logged_in_again(session, &error).await? => {
                Ok(self.transport().put_bytes(&url, content).await?)
            }
            result => Ok(result?),
        }
    }

    /// Whether a file was refused for want of a session, and there is a new one now.
    async fn logged_in_again(&self, session: u64, error: &TransportError) -> Result<bool> {
        match error {
            TransportError::Status { status: 401, .. } => self.heal(session).await,
            _ => Ok(false),
        }
    }
}
