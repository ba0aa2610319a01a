//! Volumes as streams: upload and download, which libvirt's driver lacks (`docs/storage.md`).
//!
//! A volume that is a virtual disk is a descriptor and a file with the data. What goes over the stream is the data: the
//! bytes that a guest sees. A disk whose data is no plain file, a snapshot's for example, is refused with a hint at what
//! can be done instead.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use esx_escape::DatastorePath;
use esx_vi_client::{Chunk, DownloadOptions, Existing, FilePlace, TransferError};
use esx_vmx::vmdk::{Descriptor, Extent, ExtentKind};
use virt_api::{
    Error, ErrorCode, ErrorDomain, Result, StorageVol, StorageVolTransferFlags, Stream, check_flags,
};

use super::is_lun;
use super::joined::{self, JoinedStream, Part};
use super::volume::{is_disk_name, no_volume};
use crate::connection::Session;
use crate::error::storage_error;
use crate::spool::SpoolStream;
use crate::stream::{DownloadStream, UploadStream};

/// A descriptor has a kilobyte, or some more for a disk in many pieces.
const MAX_DESCRIPTOR: u64 = 1 << 20;
/// Where hosts mount datastores.
const VOLUMES: &str = "/vmfs/volumes/";

/// The file that holds a volume's bytes.
struct Data {
    path: DatastorePath,
    /// The size that the file must have: that of the disk.
    size: Option<u64>,
}

/// Where a volume's bytes are.
enum Content {
    /// All of a file, byte for byte.
    File(Data),
    /// A disk in several files, or in a part of one.
    Disk { path: DatastorePath, disk: Descriptor },
}

impl Session {
    /// libvirt `virStorageVolDownload`. `length` 0 is all that follows.
    pub(super) async fn download_volume(
        self: &Arc<Self>,
        volume: &StorageVol,
        offset: u64,
        length: u64,
        flags: StorageVolTransferFlags,
    ) -> Result<Box<dyn Stream>> {
        let known = StorageVolTransferFlags::SPARSE_STREAM;
        check_flags("virStorageVolDownload", flags, known)?;
        // What disks hold is more than a look at the host, for libvirt too.
        self.check_writable("virStorageVolDownload")?;
        let what = format!("cannot download volume {:?}", volume.name);
        let holes = flags.contains(StorageVolTransferFlags::SPARSE_STREAM);
        let data = match self.content_of("virStorageVolDownload", volume, &what).await? {
            Content::File(data) => data,
            Content::Disk { path, disk } => {
                if offset > disk.capacity_bytes() {
                    let (path, size) = (path, disk.capacity_bytes());
                    let beyond = TransferError::BeyondEnd { path, offset, size };
                    return Err(storage_error(&what, beyond.into()));
                }
                let parts = self.parts_of(&path, &disk, &what).await?;
                let parts = joined::cut(parts, offset, length);
                let datacenter_path = self.binding().await?.datacenter_path;
                let session = Arc::clone(self);
                let stream = JoinedStream::new(session, datacenter_path, parts, holes, what);
                return Ok(Box::new(stream.begin().await?));
            }
        };
        let options = DownloadOptions {
            offset,
            length: (length > 0).then_some(length),
            holes,
            ..DownloadOptions::default()
        };
        let datacenter_path = self.binding().await?.datacenter_path;
        let download = self.client.open_download(&data.path, &datacenter_path, options).await;
        let download = download.map_err(|e| storage_error(&what, e))?;
        Ok(Box::new(DownloadStream::new(download, what)))
    }

    /// libvirt `virStorageVolUpload`, within what a host takes: whole files.
    ///
    /// The data of a disk keeps its size, so that fewer bytes are followed by zeros, and `length` 0 is as many as come. For
    /// any other file `length` is the new size; if it is 0, the data is kept here until its end.
    pub(super) async fn upload_volume(
        self: &Arc<Self>,
        volume: &StorageVol,
        offset: u64,
        length: u64,
        flags: StorageVolTransferFlags,
    ) -> Result<Box<dyn Stream>> {
        let function = "virStorageVolUpload";
        check_flags(function, flags, StorageVolTransferFlags::SPARSE_STREAM)?;
        self.check_writable(function)?;
        let what = format!("cannot upload volume {:?}", volume.name);
        let refused =
            |code, why: &str| Error::new(code, ErrorDomain::Esx, format!("{what}: {why}"));
        if offset != 0 {
            let why = "a VMware host takes whole files only, the offset must be 0";
            return Err(refused(ErrorCode::OperationUnsupported, why));
        }
        let data = match self.content_of(function, volume, &what).await? {
            Content::File(data) => data,
            Content::Disk { disk, .. } => {
                let why = format!(
                    "its data are in {} extents, and only a disk in one file is written to",
                    disk.extents.len()
                );
                return Err(refused(ErrorCode::OperationUnsupported, &why));
            }
        };
        let size = match (data.size, length) {
            (Some(size), length) if length > size => {
                let why = format!("{length} bytes do not fit into a disk of {size}");
                return Err(refused(ErrorCode::InvalidArg, &why));
            }
            (Some(size), _) => size,
            (None, 0) => {
                let binding = self.binding().await?;
                let exists = self.client.file_exists(&data.path, &binding.datacenter_path).await;
                if !exists.map_err(|e| storage_error(&what, e))? {
                    let missing = TransferError::NotFound { path: data.path };
                    return Err(storage_error(&what, missing.into()));
                }
                let session = Arc::clone(self);
                let spool = SpoolStream::new(session, binding, data.path, what).await?;
                return Ok(Box::new(spool));
            }
            (None, length) => length,
        };
        let binding = self.binding().await?;
        let place = FilePlace {
            path: &data.path,
            datacenter_path: &binding.datacenter_path,
            datacenter: Some(&binding.datacenter),
        };
        let upload = self.client.open_upload(place, size, Existing::Demand).await;
        let upload = upload.map_err(|e| storage_error(&what, e))?;
        let pads = data.size.is_some();
        Ok(Box::new(UploadStream::new(upload, size, pads, what)))
    }

    /// The files with a volume's data: the volume itself, or what its descriptor names.
    async fn content_of(&self, function: &str, volume: &StorageVol, what: &str) -> Result<Content> {
        if is_lun(volume) {
            return Err(super::iscsi::unsupported(function));
        }
        let path = DatastorePath::new(&volume.pool, &volume.name)
            .map_err(|_| no_volume(format_args!("{:?}", volume.name)))?;
        if volume.name.is_empty() || volume.name.ends_with('/') {
            return Err(no_volume(format_args!("{:?}", path.to_string())));
        }
        if !is_disk_name(&volume.name) {
            return Ok(Content::File(Data { path, size: None }));
        }
        let start = self.start_of(&path, what).await?;
        if !Descriptor::is_descriptor(&start) {
            // A disk in one file, stream-optimised for example, or the data itself.
            return Ok(Content::File(Data { path, size: None }));
        }
        let disk = Descriptor::parse(&start)
            .map_err(|error| Error::internal(ErrorDomain::Esx, what).with_source(error))?;
        check_plain(&disk).map_err(|why| {
            Error::new(ErrorCode::OperationUnsupported, ErrorDomain::Esx, format!("{what}: {why}"))
        })?;
        match &disk.extents[..] {
            [extent] if extent.kind.is_flat() && extent.offset == 0 => {
                let file = extent.file.as_deref().unwrap_or_default();
                let path = self.extent_path(&path, file, what).await?;
                Ok(Content::File(Data { path, size: Some(disk.capacity_bytes()) }))
            }
            _ => Ok(Content::Disk { path, disk }),
        }
    }

    /// The stretches of a disk, in their order.
    async fn parts_of(
        &self,
        path: &DatastorePath,
        disk: &Descriptor,
        what: &str,
    ) -> Result<Vec<Part>> {
        const SECTOR: u64 = 512;
        let mut parts = Vec::with_capacity(disk.extents.len());
        for extent in disk.extents.iter().filter(|extent| extent.sectors > 0) {
            let file = match &extent.file {
                Some(file) if extent.kind.is_flat() => {
                    Some(self.extent_path(path, file, what).await?)
                }
                _ => None,
            };
            let start = extent.offset.checked_mul(SECTOR);
            let length = extent.sectors.saturating_mul(SECTOR);
            let start = start.filter(|start| start.checked_add(length).is_some());
            let start = start.ok_or_else(|| {
                let message = format!("{what}: an extent of {path} is nowhere");
                Error::internal(ErrorDomain::Esx, message)
            })?;
            parts.push(Part { path: file, start, length });
        }
        Ok(parts)
    }

    /// The beginning of a file, as much as a descriptor may have: one request.
    pub(crate) async fn start_of(&self, path: &DatastorePath, what: &str) -> Result<Bytes> {
        let options = DownloadOptions {
            length: Some(MAX_DESCRIPTOR),
            parallel: 1,
            ..DownloadOptions::default()
        };
        let datacenter_path = self.binding().await?.datacenter_path;
        let read = async {
            let mut download = self.client.open_download(path, &datacenter_path, options).await?;
            let mut bytes = BytesMut::new();
            while let Some(chunk) = download.chunk().await? {
                if let Chunk::Data(data) = chunk {
                    bytes.extend_from_slice(&data);
                }
                if !Descriptor::is_descriptor(&bytes) && bytes.len() > 512 {
                    break;
                }
            }
            Ok(bytes.freeze())
        };
        read.await.map_err(|e| storage_error(what, e))
    }

    /// Where the file of an extent lies: beside its descriptor, or where a path says.
    pub(crate) async fn extent_path(
        &self,
        descriptor: &DatastorePath,
        file: &str,
        what: &str,
    ) -> Result<DatastorePath> {
        if !file.starts_with('/') {
            return Ok(descriptor.sibling(file));
        }
        let below = file.strip_prefix(VOLUMES).and_then(|rest| rest.split_once('/'));
        if let Some((volume, rest)) = below {
            for store in self.datastores().await? {
                let mounted = store.mount_path.trim_end_matches('/').rsplit('/').next();
                if (store.name == volume || mounted == Some(volume))
                    && let Ok(path) = DatastorePath::new(&store.name, rest)
                {
                    return Ok(path);
                }
            }
        }
        let message = format!(
            "{what}: its data is said to be in {file:?}, which is on no datastore of the host"
        );
        Err(Error::internal(ErrorDomain::Esx, message))
    }
}

/// Whether all data of a disk are in plain files, one after the other; else why not.
fn check_plain(disk: &Descriptor) -> std::result::Result<(), String> {
    let export = "export the domain instead (virtesx export), or copy the disk with vol-clone";
    if !disk.is_base() {
        return Err(format!(
            "it is the disk of a snapshot ({}) and holds only what has changed since: {export}",
            disk.create_type
        ));
    }
    let plain = |extent: &Extent| extent.kind.is_flat() || extent.kind == ExtentKind::Zero;
    if disk.extents.is_empty() || !disk.extents.iter().all(plain) {
        return Err(format!(
            "its data ({}, extents: {}) is no plain file: {export}",
            if disk.create_type.is_empty() { "of an unknown type" } else { &disk.create_type },
            disk.extents.len()
        ));
    }
    for extent in disk.extents.iter().filter(|extent| extent.kind.is_flat()) {
        match extent.file.as_deref().unwrap_or_default() {
            "" => return Err("its descriptor names no file with the data".to_owned()),
            file if file.contains("://") => {
                return Err(format!(
                    "its data is an object of a store ({file}) and no file, as on vSAN: export the domain instead \
                     (virtesx export)"
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_disks_are_plain() {
        let table: String = [
            "createType=\"vmfs\"\nRW 8 VMFS \"a-flat.vmdk\"",
            "createType=\"monolithicFlat\"\nRW 8 FLAT \"data/a.img\" 0",
            "createType=\"monolithicFlat\"\nRW 8 FLAT \"a-flat.vmdk\" 63",
            "createType=\"twoGbMaxExtentFlat\"\nRW 8 FLAT \"a-f001.vmdk\" 0\nRW 8 FLAT \"a-f002.vmdk\" 0",
            "createType=\"twoGbMaxExtentSparse\"\nRW 8 SPARSE \"a-s001.vmdk\"\nRW 8 SPARSE \"a-s002.vmdk\"",
            "createType=\"vmfs\"\nRW 8 VMFS \"vsan://52a1/x\"",
            "createType=\"seSparse\"\nparentCID=12\nRW 8 SESPARSE \"a-000001-sesparse.vmdk\"",
            "createType=\"vmfsRawDeviceMap\"\nRW 8 VMFSRDM \"a-rdm.vmdk\"",
            "createType=\"vmfs\"",
        ]
        .into_iter()
        .map(|text| {
            let disk = Descriptor::parse(format!("# Disk DescriptorFile\n{text}").as_bytes()).unwrap();
            match check_plain(&disk) {
                Ok(()) => format!("extents: {}\n", disk.extents.len()),
                Err(why) => format!("no: {why}\n"),
            }
        })
        .collect();
        insta::assert_snapshot!(table, @r"
        extents: 1
        extents: 1
        extents: 1
        extents: 2
        no: its data (twoGbMaxExtentSparse, extents: 2) is no plain file: export the domain instead (virtesx export), or copy the disk with vol-clone
        no: its data is an object of a store (vsan://52a1/x) and no file, as on vSAN: export the domain instead (virtesx export)
        no: it is the disk of a snapshot (seSparse) and holds only what has changed since: export the domain instead (virtesx export), or copy the disk with vol-clone
        no: its data (vmfsRawDeviceMap, extents: 1) is no plain file: export the domain instead (virtesx export), or copy the disk with vol-clone
        no: its data (vmfs, extents: 0) is no plain file: export the domain instead (virtesx export), or copy the disk with vol-clone
        ");
    }
}
