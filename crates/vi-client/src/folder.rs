//! Files of datastores, over `/folder`.

use bytes::Bytes;
use esx_escape::{DatastorePath, folder_path_and_query};

use crate::client::Client;
use crate::error::Result;

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
        Ok(self.transport().get_bytes(&folder_path_and_query(path, datacenter_path), limit).await?)
    }
}
