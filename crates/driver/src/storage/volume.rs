//! Files of datastores as storage volumes (spec `storage-network.md` 4).
//!
//! One search of a datastore tells names, types and sizes of all its volumes, so that listing them takes the same
//! number of requests whatever their number is.
//!
//! **Keys.** On a host, the key of a virtual disk is its UUID as in libvirt, asked for when a single volume is looked up
//! or described; a list, where that would be a request for each volume, has the path as key, as a vCenter has for all.
//! Wherever a key is taken, both are.

use std::sync::Arc;

use esx_escape::{DatastorePath, VmfsPath};
use esx_vi_api::data::{
    AnyFileQuery, FileQueryFlags, FloppyImageFileQuery, FolderFileQuery,
    HostDatastoreBrowserSearchSpec, IsoImageFileQuery, VmDiskFileQuery, VmDiskFileQueryFlags,
};
use esx_vi_api::methods::{
    QueryVirtualDiskUuid, SearchDatastoreSubFoldersTask, SearchDatastoreTask,
};
use esx_vi_api::{Method, MoRef, Object, Value};
use esx_vi_client::{Error as ViError, TaskOptions};
use esx_vmx_domain::ProductLine;
use virt_api::{
    Error, ErrorCode, ErrorDomain, ListedVolume, Result, StoragePool, StorageVol, StorageVolInfo,
    StorageVolType,
};
use virt_xml::storage as xml;

use super::iscsi::Lun;
use crate::connection::Session;
use crate::error::storage_error;
use crate::view::Ask;

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    /// A virtual disk: its descriptor stands for all of it.
    Disk,
    /// An ISO image.
    Iso,
    /// A floppy image.
    Floppy,
    /// A directory.
    Folder,
    /// Anything else.
    Other,
}

/// A file as a search tells of it.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// Its path on the datastore.
    pub(crate) name: String,
    pub(crate) kind: FileKind,
    /// Bytes as a guest sees them.
    pub(crate) capacity: u64,
    /// Bytes that it takes.
    pub(crate) allocation: u64,
}

impl Found {
    fn read(info: &Object, folder: &str) -> Option<Self> {
        let kind = match &*info.type_name {
            "VmDiskFileInfo" => FileKind::Disk,
            "IsoImageFileInfo" => FileKind::Iso,
            "FloppyImageFileInfo" => FileKind::Floppy,
            "FolderFileInfo" => FileKind::Folder,
            _ => FileKind::Other,
        };
        let file = info.str("path").filter(|path| !path.is_empty())?;
        let kind = match kind {
            // A server that does not tell types; the query has chosen.
            FileKind::Other if is_disk_name(file) => FileKind::Disk,
            FileKind::Other if file.to_ascii_lowercase().ends_with(".iso") => FileKind::Iso,
            FileKind::Other if file.to_ascii_lowercase().ends_with(".flp") => FileKind::Floppy,
            kind => kind,
        };
        let number =
            |name: &str| info.get(name).and_then(Value::as_i64).and_then(|n| u64::try_from(n).ok());
        let size = if kind == FileKind::Folder { 0 } else { number("fileSize").unwrap_or(0) };
        // A disk whose descriptor is lost has no capacity to tell.
        let capacity = number("capacityKb").map(|kib| kib.saturating_mul(1024));
        Some(Self {
            name: if folder.is_empty() { file.to_owned() } else { format!("{folder}/{file}") },
            kind,
            capacity: capacity.unwrap_or(size),
            allocation: size,
        })
    }

    pub(super) const fn info(&self) -> StorageVolInfo {
        let kind = match self.kind {
            FileKind::Folder => StorageVolType::Dir,
            _ => StorageVolType::File,
        };
        StorageVolInfo { kind, capacity: self.capacity, allocation: self.allocation }
    }

    const fn format(&self) -> &'static str {
        match self.kind {
            FileKind::Disk => "vmdk",
            FileKind::Iso => "iso",
            FileKind::Folder => "dir",
            FileKind::Floppy | FileKind::Other => "raw",
        }
    }
}

/// The files of a search's results, one for each folder.
fn files(results: &Value) -> Vec<Found> {
    let one = [results.clone()];
    let results = if results.as_object().is_some() { &one[..] } else { results.items() };
    let mut found = Vec::new();
    for result in results.iter().filter_map(Value::as_object) {
        let folder = result.str("folderPath").and_then(|path| path.parse::<DatastorePath>().ok());
        let folder = folder.as_ref().map_or("", |path| path.path().trim_matches('/'));
        let files = result.get("file").map_or(&[][..], Value::items).iter();
        found.extend(
            files.filter_map(Value::as_object).filter_map(|info| Found::read(info, folder)),
        );
    }
    found
}

/// What a search asks for. libvirt's own, with the files that it takes for volumes.
fn search_spec(pattern: Option<&str>) -> HostDatastoreBrowserSearchSpec {
    let details = VmDiskFileQueryFlags { capacity_kb: true, ..VmDiskFileQueryFlags::default() };
    let mut query: Vec<AnyFileQuery> = vec![
        VmDiskFileQuery { details: Some(details), ..VmDiskFileQuery::default() }.into(),
        IsoImageFileQuery::default().into(),
        FloppyImageFileQuery::default().into(),
    ];
    if pattern.is_some() {
        query.push(FolderFileQuery::default().into());
    }
    HostDatastoreBrowserSearchSpec {
        query,
        details: Some(FileQueryFlags {
            file_type: true,
            file_size: true,
            ..FileQueryFlags::default()
        }),
        // Without a pattern hosts find everything, but vcsim nothing.
        match_pattern: vec![pattern.unwrap_or("*").to_owned()],
        ..HostDatastoreBrowserSearchSpec::default()
    }
}

pub(super) fn no_volume(what: impl std::fmt::Display) -> Error {
    Error::new(ErrorCode::NoStorageVol, ErrorDomain::Esx, format!("no storage volume {what}"))
}

/// `[pool] name`.
pub(super) fn path_of(pool: &str, name: &str) -> String {
    if name.is_empty() { format!("[{pool}]") } else { format!("[{pool}] {name}") }
}

/// Whether a name is that of a virtual disk.
pub(super) fn is_disk_name(name: &str) -> bool {
    name.len() >= 5 && name.as_bytes()[name.len() - 5..].eq_ignore_ascii_case(b".vmdk")
}

/// Directory and file of a name inside a datastore.
pub(super) fn split(name: &str) -> (&str, &str) {
    name.rsplit_once('/').unwrap_or(("", name))
}

impl Session {
    /// Runs a task that works on a volume, and tells how far it is.
    pub(super) async fn run_volume_task<M: Method<Output = MoRef> + Sync>(
        &self,
        (pool, volume): (&str, &str),
        word: &'static str,
        target: &MoRef,
        operation: &M,
    ) -> Result<Option<Value>, ViError> {
        let tell = self.watchers.volume_teller(pool, volume, word);
        let progress = tell.map(|tell| Arc::new(tell) as esx_vi_client::Progress);
        let deadline = self.watchers.timeout;
        let options = TaskOptions { deadline, progress, ..TaskOptions::default() };
        self.client.run_plain_task_with(target, operation, &options).await
    }

    /// Searches a datastore, whose browser may have been known for too long.
    async fn search<M: Method<Output = MoRef> + Sync>(
        &self,
        datastore: &str,
        operation: &M,
    ) -> Result<Vec<Found>> {
        let known = self.storage.knows(datastore);
        let browser = self.browser(datastore).await?;
        let mut result = self.client.run_plain_task(&browser, operation).await;
        // The datastore has gone, or its name is another one's now.
        let stale = |error: &ViError| {
            error.is_fault("ManagedObjectNotFound") || error.is_fault("InvalidDatastore")
        };
        if known && result.as_ref().is_err_and(stale) {
            self.storage.forget(datastore);
            let browser = self.browser(datastore).await?;
            result = self.client.run_plain_task(&browser, operation).await;
        }
        let what = || format!("cannot search the storage pool {datastore:?}");
        let found = result.map_err(|error| storage_error(&what(), error))?;
        Ok(found.as_ref().map(files).unwrap_or_default())
    }

    /// All volumes of a datastore.
    pub(super) async fn list_files(&self, datastore: &str) -> Result<Vec<Found>> {
        let operation = SearchDatastoreSubFoldersTask {
            datastore_path: path_of(datastore, ""),
            search_spec: Some(search_spec(None)),
        };
        let mut found = self.search(datastore, &operation).await?;
        found.retain(|file| !matches!(file.kind, FileKind::Other | FileKind::Folder));
        Ok(found)
    }

    /// One volume or directory; `None` if it is not there.
    pub(crate) async fn find_file(&self, datastore: &str, name: &str) -> Result<Option<Found>> {
        let name = name.trim_end_matches('/');
        let (directory, file) = split(name);
        let operation = SearchDatastoreTask {
            datastore_path: path_of(datastore, directory),
            search_spec: Some(search_spec(Some(file))),
        };
        match self.search(datastore, &operation).await {
            // The name may hold what hosts take for a wildcard.
            Ok(found) => Ok(found
                .into_iter()
                .find(|found| split(&found.name).1 == file)
                .map(|found| Found { name: name.to_owned(), ..found })),
            // The directory is not there.
            Err(error) if error.code == ErrorCode::NoStorageVol => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn require_file(&self, datastore: &str, name: &str) -> Result<Found> {
        let found = self.find_file(datastore, name).await?;
        found.ok_or_else(|| no_volume(path_of(datastore, name)))
    }

    /// The UUID of a disk, where keys are UUIDs; `None` if it has none or is none.
    pub(super) async fn disk_key(&self, path: &str) -> Result<Option<String>, ViError> {
        if self.product.line != ProductLine::Esx {
            return Ok(None);
        }
        let manager = &self.client.content().virtual_disk_manager;
        let manager = self.client.service("virtualDiskManager", manager)?;
        // Without a datacenter a vCenter does not know the datastore; a host has but one.
        let datacenter = self.known_binding().map(|binding| binding.datacenter.clone());
        let call = QueryVirtualDiskUuid { name: path.to_owned(), datacenter };
        let text = self.client.call(manager, &call).await?;
        Ok(virt_xml::parse_uuid(&text).map(|uuid| uuid.to_string()))
    }

    /// The key of a volume that is there.
    pub(super) async fn key_of(&self, path: &str, kind: FileKind) -> String {
        if kind != FileKind::Disk {
            return path.to_owned();
        }
        match self.disk_key(path).await {
            Ok(Some(key)) => key,
            Ok(None) => path.to_owned(),
            Err(error) => {
                // A disk that is open elsewhere or damaged still is a volume.
                tracing::warn!(%error, path, "the disk's UUID cannot be read");
                path.to_owned()
            }
        }
    }

    pub(super) async fn volume_by_name(
        &self,
        pool: &StoragePool,
        name: &str,
    ) -> Result<StorageVol> {
        if super::is_target(pool) {
            return Ok(self.lun(&pool.name, name).await?.volume());
        }
        self.file_volume(&pool.name, name).await
    }

    async fn file_volume(&self, pool: &str, name: &str) -> Result<StorageVol> {
        // Slashes around it mean nothing to a host, but a handle whose name begins with one is that of a LUN.
        let name = name.trim_matches('/');
        let path = path_of(pool, name);
        let volume = |key| StorageVol { pool: pool.to_owned(), name: name.to_owned(), key };
        if is_disk_name(name) {
            // The question for the UUID also tells whether the disk is there.
            match self.disk_key(&path).await {
                Ok(Some(key)) => return Ok(volume(key)),
                Err(error) if error.is_fault("FileNotFound") => {
                    return Err(no_volume(path));
                }
                Ok(None) => {}
                Err(error) => tracing::debug!(%error, path, "the disk's UUID cannot be read"),
            }
        }
        self.require_file(pool, name).await?;
        Ok(volume(path))
    }

    pub(super) async fn volume_by_path(&self, path: &str) -> Result<StorageVol> {
        if path.starts_with('[') {
            let parsed: DatastorePath = path.parse().map_err(|e| {
                Error::invalid_arg(ErrorDomain::Esx, format!("cannot use the path {path:?}"))
                    .with_source(e)
            })?;
            return self.file_volume(parsed.datastore(), parsed.path()).await;
        }
        if !path.starts_with('/') {
            return Err(Error::invalid_arg(
                ErrorDomain::Esx,
                format!("the path {path:?} begins neither with '[' nor with '/'"),
            ));
        }
        let pools = self.pools(Ask::Host).await?;
        let below = |base: &str| {
            let rest = path.strip_prefix(base.trim_end_matches('/'))?.strip_prefix('/')?;
            Some(rest.trim_start_matches('/').to_owned())
        };
        let found = pools
            .datastores
            .iter()
            .filter(|store| !store.mount_path.is_empty())
            .find_map(|store| Some((store, below(&store.mount_path)?)));
        let found = found.or_else(|| {
            let path: VmfsPath = path.parse().ok()?;
            let store = pools.datastores.iter().find(|store| store.name == path.volume())?;
            Some((store, path.path().to_owned()))
        });
        match found {
            Some((store, name)) if !name.is_empty() => self.file_volume(&store.name, &name).await,
            _ => self.lun_by_path(path).await,
        }
    }

    pub(super) async fn volume_by_key(&self, key: &str) -> Result<StorageVol> {
        if key.starts_with('[') || key.starts_with('/') {
            return self.volume_by_path(key).await;
        }
        let missing = || no_volume(format_args!("with key {key:?}"));
        let Some(wanted) = virt_xml::parse_uuid(key).map(|uuid| uuid.to_string()) else {
            return Err(missing());
        };
        // A LUN costs one request to find, a disk one for each disk there is.
        if let Some(volume) = self.lun_by_key(&wanted).await? {
            return Ok(volume);
        }
        if self.product.line != ProductLine::Esx {
            return Err(missing());
        }
        for store in self.pools(Ask::Host).await?.datastores.iter().filter(|store| store.accessible)
        {
            let found = match self.list_files(&store.name).await {
                Ok(found) => found,
                Err(error) => {
                    tracing::warn!(%error, pool = store.name, "not searched for the key");
                    continue;
                }
            };
            for file in found.into_iter().filter(|file| file.kind == FileKind::Disk) {
                let path = path_of(&store.name, &file.name);
                if let Ok(Some(key)) = self.disk_key(&path).await
                    && key == wanted
                {
                    return Ok(StorageVol { pool: store.name.clone(), name: file.name, key });
                }
            }
        }
        Err(missing())
    }

    pub(super) async fn list_volumes(&self, pool: &StoragePool) -> Result<Vec<ListedVolume>> {
        if super::is_target(pool) {
            let luns = self.luns_of(&pool.name).await?;
            let listed = |lun: &Lun| ListedVolume {
                volume: lun.volume(),
                path: lun.volume().name,
                info: lun.info(),
            };
            return Ok(luns.iter().map(listed).collect());
        }
        let found = self.list_files(&pool.name).await?;
        let listed = |file: Found| {
            let path = path_of(&pool.name, &file.name);
            let info = file.info();
            let volume = StorageVol { pool: pool.name.clone(), name: file.name, key: path.clone() };
            ListedVolume { volume, path, info }
        };
        Ok(found.into_iter().map(listed).collect())
    }

    pub(super) async fn volume_info(&self, volume: &StorageVol) -> Result<StorageVolInfo> {
        if super::is_lun(volume) {
            return Ok(self.lun(&volume.pool, &volume.name).await?.info());
        }
        Ok(self.require_file(&volume.pool, &volume.name).await?.info())
    }

    pub(super) async fn volume_xml(&self, volume: &StorageVol) -> Result<String> {
        if super::is_lun(volume) {
            return self.lun_xml(volume).await;
        }
        let found = self.require_file(&volume.pool, &volume.name).await?;
        let path = path_of(&volume.pool, &volume.name);
        // A handle out of a list has the path for a key.
        let key = if volume.key == path || volume.key.is_empty() {
            self.key_of(&path, found.kind).await
        } else {
            volume.key.clone()
        };
        let document = xml::StorageVolume {
            kind: if found.kind == FileKind::Folder { "dir" } else { "file" }.to_owned(),
            name: volume.name.clone(),
            key: Some(key),
            capacity: found.capacity,
            allocation: found.allocation,
            target_path: Some(path),
            format: Some(found.format().to_owned()),
        };
        Ok(document.to_xml())
    }
}

#[cfg(test)]
mod tests {
    use esx_vi_api::Array;

    use super::*;

    #[test]
    fn names_come_from_folder_and_file() {
        for (folder, file, name) in [
            ("[ds]", "a.iso", "a.iso"),
            ("[ds] ", "a.iso", "a.iso"),
            ("[ds] iso/", "a.iso", "iso/a.iso"),
            // vcsim
            ("[ds]/iso", "a.iso", "iso/a.iso"),
            ("[ds] vm/sub//", "d.vmdk", "vm/sub/d.vmdk"),
        ] {
            let info = Object::new("IsoImageFileInfo").with("path", file).with("fileSize", 5_i64);
            let result = Object::new("HostDatastoreBrowserSearchResults")
                .with("folderPath", folder)
                .with("file", Array::new("FileInfo", vec![info.into()]));
            let several =
                Array::new("HostDatastoreBrowserSearchResults", vec![result.clone().into()]);
            for results in [Value::from(result), several.into()] {
                let found = files(&results);
                assert_eq!(found[0].name, name, "{folder:?}");
                assert_eq!((found[0].capacity, found[0].allocation), (5, 5));
            }
        }
    }

    #[test]
    fn sizes_of_disks() {
        let disk = |capacity: Option<i64>| {
            let info = Object::new("VmDiskFileInfo")
                .with("path", "a.vmdk")
                .with_opt("capacityKb", capacity)
                .with("fileSize", 4096_i64);
            Found::read(&info, "").unwrap()
        };
        assert_eq!((disk(Some(8)).capacity, disk(Some(8)).allocation), (8192, 4096));
        assert_eq!(disk(None).capacity, 4096);
        assert_eq!(disk(Some(-1)).capacity, 4096);
        assert!(Found::read(&Object::new("VmDiskFileInfo"), "").is_none());
    }

    #[test]
    fn names_of_disks() {
        for (name, is) in
            [("a.vmdk", true), ("a/B.VMDK", true), ("vmdk", false), ("ü", false), ("a.iso", false)]
        {
            assert_eq!(is_disk_name(name), is, "{name}");
        }
    }
}
