//! From the descriptor of a disk to every file that its data are in.

use std::collections::HashSet;

use bytes::Bytes;
use esx_escape::DatastorePath;
use esx_vmx::vmdk::{Descriptor, ExtentKind};
use virt_api::{Error, ErrorDomain, Result};

use super::refused;
use crate::connection::Session;

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

impl Session {
    /// Follows a disk from its newest descriptor to its base; its states, the newest first.
    ///
    /// # Errors
    /// `VIR_ERR_OPERATION_UNSUPPORTED` if its data are no files of a datastore.
    pub(super) async fn chain(&self, first: DatastorePath, what: &str) -> Result<Vec<Link>> {
        let mut links = Vec::new();
        let mut seen = HashSet::new();
        let mut next = Some(first);
        while let Some(path) = next.take() {
            if !seen.insert(path.clone()) || links.len() >= MAX_CHAIN {
                let message = format!("{what}: the disk {path} is based on itself");
                return Err(Error::internal(ErrorDomain::Esx, message));
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
                let unreadable = if extent.kind == ExtentKind::Raw {
                    Some("a raw device, which no export reads: copy the device itself")
                } else if file.contains("://") {
                    Some(
                        "an object of a store and no file, as on vSAN: copy it to another datastore first",
                    )
                } else {
                    None
                };
                if let Some(why) = unreadable {
                    return Err(refused(what, format_args!("the disk {path} is {why}")));
                }
                let whole = extent.kind.is_flat() && extent.offset == 0 && disk.extents.len() == 1;
                let size = whole.then(|| disk.capacity_bytes());
                let file = self.extent_path(&path, file, what).await?;
                // Several extents may be in one file.
                if extents.iter().all(|(known, _)| *known != file) {
                    extents.push((file, size));
                }
            }
            if !disk.is_base() {
                let hint = disk.parent_file_name_hint.as_deref().unwrap_or_default();
                if hint.is_empty() {
                    let message = format!("{what}: {path} does not say what it is based on");
                    return Err(Error::internal(ErrorDomain::Esx, message));
                }
                next = Some(self.extent_path(&path, hint, what).await?);
            }
            let capacity_bytes = Some(disk.capacity_bytes());
            links.push(Link { path, text: Some(start), extents, capacity_bytes });
        }
        Ok(links)
    }
}
