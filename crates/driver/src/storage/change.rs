//! Making, copying, changing and deleting volumes (spec `storage-network.md` 5 to 8).
//!
//! **Names.** A volume's name is its path on the datastore, as given: libvirt escapes it on the way to the host and then
//! cannot find the file under the name of the volume that it returns. Directories that a name leads through are made.
//!
//! **Cancellation.** A task is started once. If the caller goes away while it runs, the host is asked to cancel it in
//! the background; hosts remove what a cancelled or failed task has made. A disk whose task had already ended stays,
//! whole. An empty directory made on the way stays, too.

use esx_vi_api::data::{AnyVirtualDiskSpec, FileBackedVirtualDiskSpec, VirtualDiskSpec};
use esx_vi_api::methods::{
    CopyDatastoreFileTask, CopyVirtualDiskTask, CreateVirtualDiskTask, DeleteDatastoreFileTask,
    DeleteVirtualDiskTask, ExtendVirtualDiskTask, MakeDirectory, ZeroFillVirtualDiskTask,
};
use esx_vi_api::{MoRef, Value};
use virt_api::{
    Error, ErrorCode, ErrorDomain, Result, StoragePool, StorageVol, StorageVolCreateFlags,
    StorageVolDeleteFlags, StorageVolResizeFlags, check_flags,
};
use virt_xml::storage::VolumeRequest;

use super::volume::{FileKind, is_disk_name, no_volume, path_of, split};
use super::{is_lun, is_target, iscsi};
use crate::connection::Session;
use crate::domain::conversion_error;
use crate::error::storage_error;

/// Volumes that are plain files.
fn is_image_name(name: &str) -> bool {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    extension.eq_ignore_ascii_case("iso") || extension.eq_ignore_ascii_case("flp")
}

fn failure(code: ErrorCode, message: String) -> Error {
    Error::new(code, ErrorDomain::Esx, message)
}

/// Refuses a name that no file of a datastore can have.
fn check_name(name: &str) -> Result<()> {
    let bad = |reason: &str| {
        Err(Error::invalid_arg(
            ErrorDomain::Esx,
            format!("the volume name {name:?} cannot be used: {reason}"),
        ))
    };
    if name.starts_with(' ') {
        return bad("it begins with a space");
    }
    if name.contains(|c: char| c.is_control()) {
        return bad("it has a control character");
    }
    for item in name.split('/') {
        match item {
            "" => return bad("it has an empty part"),
            "." | ".." => return bad("it has a part that is only dots"),
            item if item.len() > 255 => return bad("a part of it is longer than 255 bytes"),
            _ => {}
        }
    }
    Ok(())
}

/// `VirtualDiskSpec.diskType` for a request.
fn disk_type(request: &VolumeRequest, flags: StorageVolCreateFlags) -> Result<&'static str> {
    let full = StorageVolCreateFlags::PREALLOC_METADATA;
    if let Some(word) = request.disk.disk_type.as_deref() {
        let known = ["thin", "preallocated", "eagerZeroedThick"];
        return known.into_iter().find(|known| known.eq_ignore_ascii_case(word)).ok_or_else(|| {
            let message = format!("unknown disk type '{word}', known are {}", known.join(", "));
            failure(ErrorCode::ConfigUnsupported, message)
        });
    }
    match request.allocation {
        Some(0) if request.capacity > 0 && !flags.contains(full) => Ok("thin"),
        Some(0) if request.capacity > 0 => Err(failure(
            ErrorCode::InvalidArg,
            "a volume without allocation cannot be zeroed at once".to_owned(),
        )),
        allocation if allocation.is_none_or(|allocation| allocation == request.capacity) => {
            Ok(if flags.contains(full) { "eagerZeroedThick" } else { "preallocated" })
        }
        _ => Err(failure(
            ErrorCode::ConfigUnsupported,
            "the allocation must be 0 (a thin disk) or the capacity (a thick one): VMware hosts \
             allocate nothing in between"
                .to_owned(),
        )),
    }
}

/// `VirtualDiskSpec.adapterType` for a request.
fn adapter_type(request: &VolumeRequest) -> Result<Option<&'static str>> {
    let known = ["lsiLogic", "busLogic", "ide"];
    let Some(word) = request.disk.adapter.as_deref() else { return Ok(None) };
    let found = known.into_iter().find(|known| known.eq_ignore_ascii_case(word));
    found.map(Some).ok_or_else(|| {
        let message = format!("unknown disk adapter '{word}', known are {}", known.join(", "));
        failure(ErrorCode::ConfigUnsupported, message)
    })
}

/// What a volume of this name and format is.
fn check_format(request: &VolumeRequest) -> Result<FileKind> {
    if request.kind == "dir" {
        return Ok(FileKind::Folder);
    }
    if request.kind != "file" {
        let message = format!("volumes of type '{}' cannot be made on a datastore", request.kind);
        return Err(failure(ErrorCode::NoSupport, message));
    }
    let format = request.format.as_deref();
    if is_disk_name(&request.name) && format.is_none_or(|format| format == "vmdk") {
        return Ok(FileKind::Disk);
    }
    if is_image_name(&request.name) && format.is_none_or(|f| matches!(f, "iso" | "raw")) {
        return Ok(FileKind::Iso);
    }
    let message = match format {
        Some(format) if format != "vmdk" => {
            format!("volumes of the format '{format}' cannot be made, only vmdk")
        }
        _ => format!("the volume name {:?} does not end in .vmdk", request.name),
    };
    Err(failure(ErrorCode::NoSupport, message))
}

impl Session {
    async fn datacenter(&self) -> Result<Option<MoRef>> {
        Ok(Some(self.binding().await?.datacenter))
    }

    fn disk_manager(&self) -> Result<&MoRef> {
        let manager = &self.client.content().virtual_disk_manager;
        self.client
            .service("virtualDiskManager", manager)
            .map_err(|e| storage_error("the host cannot change disks", e))
    }

    fn file_manager(&self) -> Result<&MoRef> {
        let manager = &self.client.content().file_manager;
        self.client
            .service("fileManager", manager)
            .map_err(|e| storage_error("the host cannot change files", e))
    }

    /// Makes a directory with those above it. Whether it was there before.
    pub(crate) async fn make_directory(&self, pool: &str, directory: &str) -> Result<bool> {
        let call = MakeDirectory {
            name: path_of(pool, directory),
            datacenter: self.datacenter().await?,
            create_parent_directories: Some(true),
        };
        match self.client.call(self.file_manager()?, &call).await {
            Ok(()) => Ok(false),
            Err(error) if error.is_fault("FileAlreadyExists") => Ok(true),
            Err(error) => {
                let what = format!("cannot make the directory {}", path_of(pool, directory));
                Err(storage_error(&what, error))
            }
        }
    }

    /// Reads the document of a volume to be made, up to what can be refused without asking the host.
    fn request(
        &self,
        function: &str,
        pool: &StoragePool,
        xml: &str,
        flags: StorageVolCreateFlags,
    ) -> Result<(VolumeRequest, FileKind)> {
        let known = StorageVolCreateFlags::PREALLOC_METADATA | StorageVolCreateFlags::VALIDATE;
        check_flags(function, flags, known)?;
        self.check_writable(function)?;
        if is_target(pool) {
            return Err(iscsi::unsupported(function));
        }
        let request = VolumeRequest::parse(xml).map_err(|e| Error {
            message: "cannot use the volume XML".to_owned(),
            ..conversion_error(e.into())
        })?;
        if flags.contains(StorageVolCreateFlags::VALIDATE) && !request.unknown.is_empty() {
            let message = format!("unknown elements: {}", request.unknown.join(", "));
            return Err(failure(ErrorCode::XmlInvalidSchema, message));
        }
        check_name(&request.name)?;
        let kind = check_format(&request)?;
        Ok((request, kind))
    }

    pub(super) async fn create_volume(
        &self,
        pool: &StoragePool,
        xml: &str,
        flags: StorageVolCreateFlags,
    ) -> Result<StorageVol> {
        let (request, kind) = self.request("virStorageVolCreateXML", pool, xml, flags)?;
        let path = path_of(&pool.name, &request.name);
        let what = format!("cannot create the volume {path}");
        if kind == FileKind::Folder {
            if self.make_directory(&pool.name, &request.name).await? {
                return Err(failure(ErrorCode::StorageVolExist, format!("{what}: it exists")));
            }
            return Ok(StorageVol { pool: pool.name.clone(), name: request.name, key: path });
        }
        if kind != FileKind::Disk {
            let message = format!("{what}: only disks can be made empty; upload an image instead");
            return Err(failure(ErrorCode::NoSupport, message));
        }
        let spec = FileBackedVirtualDiskSpec {
            disk_type: disk_type(&request, flags)?.to_owned(),
            adapter_type: adapter_type(&request)?.unwrap_or("lsiLogic").to_owned(),
            capacity_kb: i64::try_from(request.capacity.div_ceil(1024)).unwrap_or(i64::MAX),
            ..FileBackedVirtualDiskSpec::default()
        };
        let operation = CreateVirtualDiskTask {
            name: path.clone(),
            datacenter: self.datacenter().await?,
            spec: AnyVirtualDiskSpec::from(spec),
        };
        self.make_directory_of(pool, &request.name).await?;
        self.run_volume_task(
            (&pool.name, &request.name),
            "create",
            self.disk_manager()?,
            &operation,
        )
        .await
        .map_err(|e| storage_error(&what, e))?;
        let key = self.key_of(&path, kind).await;
        Ok(StorageVol { pool: pool.name.clone(), name: request.name, key })
    }

    async fn make_directory_of(&self, pool: &StoragePool, name: &str) -> Result<()> {
        let (directory, _) = split(name);
        if !directory.is_empty() {
            self.make_directory(&pool.name, directory).await?;
        }
        Ok(())
    }

    pub(super) async fn copy_volume(
        &self,
        pool: &StoragePool,
        xml: &str,
        original: &StorageVol,
        flags: StorageVolCreateFlags,
    ) -> Result<StorageVol> {
        let function = "virStorageVolCreateXMLFrom";
        let (request, kind) = self.request(function, pool, xml, flags)?;
        if is_lun(original) || kind == FileKind::Folder {
            return Err(failure(ErrorCode::NoSupport, "only files can be copied".to_owned()));
        }
        let source = path_of(&original.pool, &original.name);
        let path = path_of(&pool.name, &request.name);
        let what = format!("cannot copy the volume {source} to {path}");
        if (kind == FileKind::Disk) != is_disk_name(&original.name) {
            let message = format!("{what}: one is a disk and the other is not");
            return Err(failure(ErrorCode::NoSupport, message));
        }
        let datacenter = self.datacenter().await?;
        if kind != FileKind::Disk {
            self.make_directory_of(pool, &request.name).await?;
            let operation = CopyDatastoreFileTask {
                source_name: source,
                source_datacenter: datacenter.clone(),
                destination_name: path.clone(),
                destination_datacenter: datacenter,
                force: Some(false),
            };
            self.client
                .run_plain_task(self.file_manager()?, &operation)
                .await
                .map_err(|e| storage_error(&what, e))?;
            return Ok(StorageVol { pool: pool.name.clone(), name: request.name, key: path });
        }
        // As libvirt, the host chooses unless the document says what VMware calls it.
        let eager = flags.contains(StorageVolCreateFlags::PREALLOC_METADATA);
        let dest_spec =
            if request.disk.disk_type.is_some() || request.disk.adapter.is_some() || eager {
                let spec = VirtualDiskSpec {
                    disk_type: match request.disk.disk_type {
                        None if !eager => "preallocated",
                        None => "eagerZeroedThick",
                        Some(_) => disk_type(&request, flags)?,
                    }
                    .to_owned(),
                    adapter_type: adapter_type(&request)?.unwrap_or("lsiLogic").to_owned(),
                };
                Some(AnyVirtualDiskSpec::from(spec))
            } else {
                None
            };
        let operation = CopyVirtualDiskTask {
            source_name: source,
            source_datacenter: datacenter.clone(),
            dest_name: path.clone(),
            dest_datacenter: datacenter,
            dest_spec,
            force: Some(false),
        };
        self.make_directory_of(pool, &request.name).await?;
        self.run_volume_task(
            (&pool.name, &request.name),
            "clone",
            self.disk_manager()?,
            &operation,
        )
        .await
        .map_err(|e| storage_error(&what, e))?;
        let key = self.key_of(&path, kind).await;
        Ok(StorageVol { pool: pool.name.clone(), name: request.name, key })
    }

    pub(super) async fn delete_volume(
        &self,
        volume: &StorageVol,
        flags: StorageVolDeleteFlags,
    ) -> Result<()> {
        let function = "virStorageVolDelete";
        check_flags(function, flags, StorageVolDeleteFlags::ZEROED)?;
        self.check_writable(function)?;
        if is_lun(volume) {
            return Err(iscsi::unsupported(function));
        }
        let name = path_of(&volume.pool, &volume.name);
        let what = format!("cannot delete the volume {name}");
        let datacenter = self.datacenter().await?;
        let disk = is_disk_name(&volume.name);
        if flags.contains(StorageVolDeleteFlags::ZEROED) {
            self.wipe_volume("virStorageVolDelete", volume).await?;
        }
        let result = if disk {
            let operation = DeleteVirtualDiskTask { name, datacenter };
            self.client.run_plain_task(self.disk_manager()?, &operation).await
        } else {
            self.check_deletable(volume).await?;
            let operation = DeleteDatastoreFileTask { name, datacenter };
            self.client.run_plain_task(self.file_manager()?, &operation).await
        };
        result.map(|_| ()).map_err(|e| storage_error(&what, e))
    }

    /// Hosts delete whatever a path leads to, a directory with all that is in it: only volumes and empty directories
    /// are let through.
    async fn check_deletable(&self, volume: &StorageVol) -> Result<()> {
        let found = self.require_file(&volume.pool, &volume.name).await?;
        if found.kind == FileKind::Folder
            && !self.is_empty_directory(&volume.pool, &volume.name).await?
        {
            let message =
                format!("the directory {} is not empty", path_of(&volume.pool, &volume.name));
            return Err(failure(ErrorCode::OperationInvalid, message));
        }
        Ok(())
    }

    async fn is_empty_directory(&self, pool: &str, directory: &str) -> Result<bool> {
        // Without a query, whatever there is.
        let operation = esx_vi_api::methods::SearchDatastoreTask {
            datastore_path: path_of(pool, directory),
            search_spec: None,
        };
        let browser = self.browser(pool).await?;
        let what = format!("cannot look into the directory {}", path_of(pool, directory));
        let found = self.client.run_plain_task(&browser, &operation).await;
        let found = found.map_err(|e| storage_error(&what, e))?;
        let files = found.as_ref().and_then(Value::as_object).and_then(|found| found.get("file"));
        Ok(files.is_none_or(|files| files.items().is_empty()))
    }

    pub(super) async fn wipe_volume(&self, function: &str, volume: &StorageVol) -> Result<()> {
        self.check_writable(function)?;
        if is_lun(volume) {
            return Err(iscsi::unsupported(function));
        }
        let name = path_of(&volume.pool, &volume.name);
        if !is_disk_name(&volume.name) {
            let message = format!("only disks can be wiped, not the volume {name}");
            return Err(failure(ErrorCode::NoSupport, message));
        }
        let what = format!("cannot wipe the volume {name}");
        let operation = ZeroFillVirtualDiskTask { name, datacenter: self.datacenter().await? };
        let volume = (&*volume.pool, &*volume.name);
        let manager = self.disk_manager()?;
        let result = self.run_volume_task(volume, "wipe", manager, &operation).await;
        result.map(|_| ()).map_err(|e| storage_error(&what, e))
    }

    pub(super) async fn resize_volume(
        &self,
        volume: &StorageVol,
        capacity: u64,
        flags: StorageVolResizeFlags,
    ) -> Result<()> {
        let function = "virStorageVolResize";
        check_flags(function, flags, StorageVolResizeFlags::all())?;
        self.check_writable(function)?;
        if is_lun(volume) {
            return Err(iscsi::unsupported(function));
        }
        let name = path_of(&volume.pool, &volume.name);
        let what = format!("cannot resize the volume {name}");
        let found = self.require_file(&volume.pool, &volume.name).await?;
        if found.kind != FileKind::Disk {
            return Err(failure(ErrorCode::NoSupport, format!("{what}: it is no disk")));
        }
        let delta = flags.contains(StorageVolResizeFlags::DELTA);
        let shrink = flags.contains(StorageVolResizeFlags::SHRINK);
        let wanted = match (delta, shrink) {
            (false, _) => Some(capacity),
            (true, false) => found.capacity.checked_add(capacity),
            (true, true) => found.capacity.checked_sub(capacity),
        };
        let wanted = wanted.ok_or_else(|| {
            Error::invalid_arg(ErrorDomain::Esx, format!("{what}: the new size is out of range"))
        })?;
        let new_capacity_kb = i64::try_from(wanted.div_ceil(1024)).unwrap_or(i64::MAX);
        let old_kb = i64::try_from(found.capacity.div_ceil(1024)).unwrap_or(i64::MAX);
        match new_capacity_kb.cmp(&old_kb) {
            std::cmp::Ordering::Equal => return Ok(()),
            std::cmp::Ordering::Less => {
                let message = format!("{what}: VMware hosts cannot make a disk smaller");
                let code =
                    if shrink { ErrorCode::OperationUnsupported } else { ErrorCode::InvalidArg };
                return Err(failure(code, message));
            }
            std::cmp::Ordering::Greater => {}
        }
        let operation = ExtendVirtualDiskTask {
            name,
            datacenter: self.datacenter().await?,
            new_capacity_kb,
            eager_zero: flags.contains(StorageVolResizeFlags::ALLOCATE).then_some(true),
        };
        let volume = (&*volume.pool, &*volume.name);
        let manager = self.disk_manager()?;
        let result = self.run_volume_task(volume, "resize", manager, &operation).await;
        result.map(|_| ()).map_err(|e| storage_error(&what, e))
    }

    /// A volume must be where its handle says before a path to it is given out.
    pub(super) fn volume_path(volume: &StorageVol) -> Result<String> {
        if is_lun(volume) {
            return Ok(volume.name.clone());
        }
        if volume.name.is_empty() {
            return Err(no_volume("without a name"));
        }
        Ok(path_of(&volume.pool, &volume.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(name: &str, capacity: u64, allocation: Option<u64>) -> VolumeRequest {
        let kind = "file".to_owned();
        VolumeRequest {
            kind,
            name: name.to_owned(),
            capacity,
            allocation,
            ..VolumeRequest::default()
        }
    }

    #[test]
    fn allocation_decides_the_type() {
        const GIB: u64 = 1 << 30;
        let none = StorageVolCreateFlags::empty();
        let eager = StorageVolCreateFlags::PREALLOC_METADATA;
        for (capacity, allocation, flags, expect) in [
            (GIB, None, none, Ok("preallocated")),
            (GIB, Some(GIB), none, Ok("preallocated")),
            (GIB, Some(0), none, Ok("thin")),
            (0, Some(0), none, Ok("preallocated")),
            (GIB, Some(GIB / 2), none, Err(ErrorCode::ConfigUnsupported)),
            (GIB, None, eager, Ok("eagerZeroedThick")),
            (GIB, Some(0), eager, Err(ErrorCode::InvalidArg)),
        ] {
            let request = request("a.vmdk", capacity, allocation);
            let got = disk_type(&request, flags).map_err(|e| e.code);
            assert_eq!(got, expect, "{capacity} {allocation:?}");
        }
    }

    #[test]
    fn names_that_no_file_can_have() {
        for name in
            ["", "/a.vmdk", "a/", "a//b.vmdk", "../a.vmdk", "a/./b", " a", "a\nb", &"x".repeat(256)]
        {
            assert_eq!(check_name(name).unwrap_err().code, ErrorCode::InvalidArg, "{name:?}");
        }
        for name in
            ["a.vmdk", "a/b/c d (1).vmdk", "50%/a+b.vmdk", "Größe/ü.vmdk", "...", "d:1/x?.vmdk"]
        {
            check_name(name).unwrap();
        }
    }

    #[test]
    fn formats() {
        let kind = |name: &str, format: Option<&str>| {
            let format = format.map(str::to_owned);
            check_format(&VolumeRequest { format, ..request(name, 1, None) }).map_err(|e| e.code)
        };
        assert_eq!(kind("a.vmdk", None), Ok(FileKind::Disk));
        assert_eq!(kind("a.VMDK", Some("vmdk")), Ok(FileKind::Disk));
        assert_eq!(kind("a.vmdk", Some("raw")), Err(ErrorCode::NoSupport));
        assert_eq!(kind("a.img", None), Err(ErrorCode::NoSupport));
        assert_eq!(kind("a.iso", Some("iso")), Ok(FileKind::Iso));
    }
}
