//! From the descriptor of a disk to every file that its data are in.

use std::collections::HashSet;

use bytes::Bytes;
use esx_escape::DatastorePath;
use esx_vi_client::{DownloadOptions, Error as ViError, TransferError, TransportError};
use esx_vmx::vmdk::{Descriptor, ExtentKind};
use virt_api::{Error, ErrorDomain, Result};

use super::refused;
use crate::connection::Session;
use crate::error::storage_error;

/// VMware allows 32 snapshots in a line; linked clones make some more.
const MAX_CHAIN: usize = 256;

/// One state of a disk: a descriptor and what it names.
pub(super) struct Link {
    pub(super) path: DatastorePath,
    /// The descriptor's text; `None` if the file is descriptor and data in one.
    pub(super) text: Option<Bytes>,
    /// The files with its data, and their sizes if the descriptor tells.
    pub(super) extents: Vec<(DatastorePath, Option<u64>)>,
    pub(super) capacity_bytes: Option<u64>,
}

/// Why a disk cannot be taken file by file.
pub(super) enum Unread {
    /// Its data are no files, or the host does not serve them: a lease may do.
    NotServed(Error),
    Other(Error),
}

impl Unread {
    pub(super) fn into_error(self) -> Error {
        match self {
            Self::NotServed(error) | Self::Other(error) => error,
        }
    }
}

impl From<Error> for Unread {
    fn from(error: Error) -> Self {
        let cause = error.source.as_ref().and_then(|source| source.downcast_ref::<ViError>());
        let not_served = matches!(
            cause,
            Some(
                ViError::Transfer(
                    TransferError::NotFound { .. }
                        | TransferError::Unreadable { .. }
                        | TransferError::Elsewhere { .. }
                ) | ViError::Transport(TransportError::Status { .. })
            )
        );
        if not_served { Self::NotServed(error) } else { Self::Other(error) }
    }
}

impl Session {
    /// Follows a disk from its newest descriptor to its base; its states, the newest first. With `probe` the host is asked
    /// for the first byte of every file with data: whether it serves them.
    pub(super) async fn chain(
        &self,
        first: DatastorePath,
        probe: bool,
        what: &str,
    ) -> Result<Vec<Link>, Unread> {
        let mut links = Vec::new();
        let mut seen = HashSet::new();
        let mut next = Some(first);
        while let Some(path) = next.take() {
            if !seen.insert(path.clone()) || links.len() >= MAX_CHAIN {
                let message = format!("{what}: the disk {path} is based on itself");
                return Err(Error::internal(ErrorDomain::Esx, message).into());
            }
            let start = self.start_of(&path, what).await?;
            if !Descriptor::is_descriptor(&start) {
                // A disk in one file, which no snapshot was made of.
                links.push(Link { path, text: None, extents: Vec::new(), capacity_bytes: None });
                break;
            }
            let disk = Descriptor::parse(&start).map_err(|error| {
                Error::internal(ErrorDomain::Esx, format!("{what}: {path}")).with_source(error)
            })?;
            let mut extents: Vec<(DatastorePath, Option<u64>)> = Vec::new();
            for extent in &disk.extents {
                let Some(file) = extent.file.as_deref().filter(|file| !file.is_empty()) else {
                    continue; // zeros
                };
                if extent.kind == ExtentKind::Raw {
                    let why = "is a raw device, which no export reads: copy the device itself";
                    return Err(refused(what, format_args!("the disk {path} {why}")).into());
                }
                if file.contains("://") {
                    let why = "is an object of a store and no file, as on vSAN: let a lease serve it (virtesx export --nfc)";
                    let error = refused(what, format_args!("the disk {path} {why}"));
                    return Err(Unread::NotServed(error));
                }
                let whole = extent.kind.is_flat() && extent.offset == 0 && disk.extents.len() == 1;
                let size = whole.then(|| disk.capacity_bytes());
                let file = self.extent_path(&path, file, what).await?;
                // Several extents may be in one file.
                if extents.iter().all(|(known, _)| *known != file) {
                    if probe {
                        self.probe(&file, what).await?;
                    }
                    extents.push((file, size));
                }
            }
            if !disk.is_base() {
                let hint = disk.parent_file_name_hint.as_deref().unwrap_or_default();
                if hint.is_empty() {
                    let message = format!("{what}: {path} does not say what it is based on");
                    return Err(Error::internal(ErrorDomain::Esx, message).into());
                }
                next = Some(self.extent_path(&path, hint, what).await?);
            }
            let capacity_bytes = Some(disk.capacity_bytes());
            links.push(Link { path, text: Some(start), extents, capacity_bytes });
        }
        Ok(links)
    }

    /// Asks for the first byte of a file.
    async fn probe(&self, file: &DatastorePath, what: &str) -> Result<()> {
        let options =
            DownloadOptions { length: Some(1), parallel: 1, ..DownloadOptions::default() };
        let datacenter_path = self.binding().await?.datacenter_path;
        let opened = self.client.open_download(file, &datacenter_path, options).await;
        opened.map(drop).map_err(|error| storage_error(what, error))
    }
}
