//! Storage pools and volumes: libvirt's storage driver.

use async_trait::async_trait;
use uuid::Uuid;

use crate::{
    Error, ListAllStoragePoolsFlags, NoFlags, Result, StorageVolCreateFlags, StorageVolDeleteFlags,
    StorageVolResizeFlags, StorageVolTransferFlags, StorageXmlFlags, Stream,
};

/// A storage pool handle (`virStoragePoolPtr`): a datastore or an iSCSI target on VMware hosts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StoragePool {
    /// Name.
    pub name: String,
    /// UUID.
    pub uuid: Uuid,
}

/// A volume handle (`virStorageVolPtr`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StorageVol {
    /// Name of its pool.
    pub pool: String,
    /// Name inside the pool, with folders (`dir/disk.vmdk`).
    pub name: String,
    /// Key that is unique everywhere.
    pub key: String,
}

/// State of a pool (`virStoragePoolState`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u32)]
pub enum StoragePoolState {
    /// Not running.
    #[default]
    Inactive = 0,
    /// Being built.
    Building = 1,
    /// Running.
    Running = 2,
    /// Running with losses.
    Degraded = 3,
    /// Running but out of reach.
    Inaccessible = 4,
}

/// Size of a pool (`virStoragePoolInfo`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoragePoolInfo {
    /// State.
    pub state: StoragePoolState,
    /// Size in bytes.
    pub capacity: u64,
    /// Used bytes.
    pub allocation: u64,
    /// Free bytes.
    pub available: u64,
}

/// An entry of [`Storage::connect_list_storage_pool_details`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedPool {
    /// The pool.
    pub pool: StoragePool,
    /// State and sizes.
    pub info: StoragePoolInfo,
    /// Whether it starts by itself.
    pub autostart: bool,
    /// Whether its definition is kept.
    pub persistent: bool,
    /// What is wrong with it, one phrase.
    pub problem: Option<String>,
}

/// Type of a volume (`virStorageVolType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u32)]
pub enum StorageVolType {
    /// A file.
    File = 0,
    /// A block device.
    Block = 1,
    /// A directory.
    Dir = 2,
    /// A network volume.
    Network = 3,
    /// A network directory.
    NetDir = 4,
    /// A ploop directory.
    Ploop = 5,
}

/// Size of a volume (`virStorageVolInfo`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageVolInfo {
    /// Type.
    pub kind: StorageVolType,
    /// Size in bytes as a guest sees it.
    pub capacity: u64,
    /// Bytes in use on the pool.
    pub allocation: u64,
}

/// An entry of [`Storage::storage_pool_list_volume_details`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedVolume {
    /// The volume.
    pub volume: StorageVol,
    /// Its path (`virStorageVolGetPath`).
    pub path: String,
    /// Type and sizes.
    pub info: StorageVolInfo,
}

/// The functions of libvirt's storage driver (storage-network.md 10).
///
/// Every function has a body that answers `VIR_ERR_NO_SUPPORT` with the name of libvirt's public function. A pool or
/// volume that does not exist is `VIR_ERR_NO_STORAGE_POOL` or `VIR_ERR_NO_STORAGE_VOL`.
#[async_trait]
pub trait Storage: Send + Sync {
    /// Number of active pools. libvirt: `virConnectNumOfStoragePools`.
    async fn connect_num_of_storage_pools(&self) -> Result<u32> {
        Err(Error::no_support("virConnectNumOfStoragePools"))
    }

    /// Names of the active pools, at most `max`. libvirt: `virConnectListStoragePools`.
    async fn connect_list_storage_pools(&self, _max: usize) -> Result<Vec<String>> {
        Err(Error::no_support("virConnectListStoragePools"))
    }

    /// Number of inactive pools. libvirt: `virConnectNumOfDefinedStoragePools`.
    async fn connect_num_of_defined_storage_pools(&self) -> Result<u32> {
        Err(Error::no_support("virConnectNumOfDefinedStoragePools"))
    }

    /// Names of the inactive pools, at most `max`. libvirt: `virConnectListDefinedStoragePools`.
    async fn connect_list_defined_storage_pools(&self, _max: usize) -> Result<Vec<String>> {
        Err(Error::no_support("virConnectListDefinedStoragePools"))
    }

    /// The pools that pass the filters. libvirt: `virConnectListAllStoragePools`.
    async fn connect_list_all_storage_pools(
        &self,
        _flags: ListAllStoragePoolsFlags,
    ) -> Result<Vec<StoragePool>> {
        Err(Error::no_support("virConnectListAllStoragePools"))
    }

    /// The pools that pass the filters, with what `virsh pool-list --details` shows of each: one question where the
    /// driver can do so. libvirt: `virConnectListAllStoragePools`, then `virStoragePoolGetInfo` and others for each.
    ///
    /// # Errors
    /// If the pools cannot be listed. One that cannot be looked at is in the list, with its problem.
    async fn connect_list_storage_pool_details(
        &self,
        flags: ListAllStoragePoolsFlags,
    ) -> Result<Vec<ListedPool>> {
        let mut listed = Vec::new();
        for pool in self.connect_list_all_storage_pools(flags).await? {
            let (info, problem) = match self.storage_pool_get_info(&pool).await {
                Ok(info) => (info, None),
                Err(error) => (StoragePoolInfo::default(), Some(error.to_string())),
            };
            let autostart = self.storage_pool_get_autostart(&pool).await.unwrap_or_default();
            let persistent = self.storage_pool_is_persistent(&pool).await.unwrap_or(true);
            listed.push(ListedPool { pool, info, autostart, persistent, problem });
        }
        Ok(listed)
    }

    /// Possible sources of pools as XML. libvirt: `virConnectFindStoragePoolSources`.
    async fn connect_find_storage_pool_sources(
        &self,
        _kind: &str,
        _source_spec: Option<&str>,
        _flags: NoFlags,
    ) -> Result<String> {
        Err(Error::no_support("virConnectFindStoragePoolSources"))
    }

    /// What kinds of pools the host can have, as XML. libvirt: `virConnectGetStoragePoolCapabilities`.
    async fn connect_get_storage_pool_capabilities(&self, _flags: NoFlags) -> Result<String> {
        Err(Error::no_support("virConnectGetStoragePoolCapabilities"))
    }

    /// The pool with this name. libvirt: `virStoragePoolLookupByName`.
    async fn storage_pool_lookup_by_name(&self, _name: &str) -> Result<StoragePool> {
        Err(Error::no_support("virStoragePoolLookupByName"))
    }

    /// The pool with this UUID. libvirt: `virStoragePoolLookupByUUID`.
    async fn storage_pool_lookup_by_uuid(&self, _uuid: Uuid) -> Result<StoragePool> {
        Err(Error::no_support("virStoragePoolLookupByUUID"))
    }

    /// The pool a volume is in. libvirt: `virStoragePoolLookupByVolume`.
    async fn storage_pool_lookup_by_volume(&self, _volume: &StorageVol) -> Result<StoragePool> {
        Err(Error::no_support("virStoragePoolLookupByVolume"))
    }

    /// The pool mounted at a path. libvirt: `virStoragePoolLookupByTargetPath`.
    async fn storage_pool_lookup_by_target_path(&self, _path: &str) -> Result<StoragePool> {
        Err(Error::no_support("virStoragePoolLookupByTargetPath"))
    }

    /// Lets the host look at the pool again. libvirt: `virStoragePoolRefresh`.
    async fn storage_pool_refresh(&self, _pool: &StoragePool, _flags: NoFlags) -> Result<()> {
        Err(Error::no_support("virStoragePoolRefresh"))
    }

    /// State and sizes. libvirt: `virStoragePoolGetInfo`.
    async fn storage_pool_get_info(&self, _pool: &StoragePool) -> Result<StoragePoolInfo> {
        Err(Error::no_support("virStoragePoolGetInfo"))
    }

    /// The pool as XML. libvirt: `virStoragePoolGetXMLDesc`.
    async fn storage_pool_get_xml_desc(
        &self,
        _pool: &StoragePool,
        _flags: StorageXmlFlags,
    ) -> Result<String> {
        Err(Error::no_support("virStoragePoolGetXMLDesc"))
    }

    /// Whether it starts by itself. libvirt: `virStoragePoolGetAutostart`.
    async fn storage_pool_get_autostart(&self, _pool: &StoragePool) -> Result<bool> {
        Err(Error::no_support("virStoragePoolGetAutostart"))
    }

    /// Sets whether it starts by itself. libvirt: `virStoragePoolSetAutostart`.
    async fn storage_pool_set_autostart(
        &self,
        _pool: &StoragePool,
        _autostart: bool,
    ) -> Result<()> {
        Err(Error::no_support("virStoragePoolSetAutostart"))
    }

    /// Whether it is active. libvirt: `virStoragePoolIsActive`.
    async fn storage_pool_is_active(&self, _pool: &StoragePool) -> Result<bool> {
        Err(Error::no_support("virStoragePoolIsActive"))
    }

    /// Whether its definition is kept. libvirt: `virStoragePoolIsPersistent`.
    async fn storage_pool_is_persistent(&self, _pool: &StoragePool) -> Result<bool> {
        Err(Error::no_support("virStoragePoolIsPersistent"))
    }

    /// Makes a transient pool. libvirt: `virStoragePoolCreateXML`.
    async fn storage_pool_create_xml(&self, _xml: &str, _flags: NoFlags) -> Result<StoragePool> {
        Err(Error::no_support("virStoragePoolCreateXML"))
    }

    /// Defines a pool. libvirt: `virStoragePoolDefineXML`.
    async fn storage_pool_define_xml(&self, _xml: &str, _flags: NoFlags) -> Result<StoragePool> {
        Err(Error::no_support("virStoragePoolDefineXML"))
    }

    /// Builds the storage below a pool. libvirt: `virStoragePoolBuild`.
    async fn storage_pool_build(&self, _pool: &StoragePool, _flags: NoFlags) -> Result<()> {
        Err(Error::no_support("virStoragePoolBuild"))
    }

    /// Starts a pool. libvirt: `virStoragePoolCreate`.
    async fn storage_pool_create(&self, _pool: &StoragePool, _flags: NoFlags) -> Result<()> {
        Err(Error::no_support("virStoragePoolCreate"))
    }

    /// Stops a pool. libvirt: `virStoragePoolDestroy`.
    async fn storage_pool_destroy(&self, _pool: &StoragePool) -> Result<()> {
        Err(Error::no_support("virStoragePoolDestroy"))
    }

    /// Deletes the storage below a pool. libvirt: `virStoragePoolDelete`.
    async fn storage_pool_delete(&self, _pool: &StoragePool, _flags: NoFlags) -> Result<()> {
        Err(Error::no_support("virStoragePoolDelete"))
    }

    /// Removes a definition. libvirt: `virStoragePoolUndefine`.
    async fn storage_pool_undefine(&self, _pool: &StoragePool) -> Result<()> {
        Err(Error::no_support("virStoragePoolUndefine"))
    }

    /// Number of volumes. libvirt: `virStoragePoolNumOfVolumes`.
    async fn storage_pool_num_of_volumes(&self, _pool: &StoragePool) -> Result<u32> {
        Err(Error::no_support("virStoragePoolNumOfVolumes"))
    }

    /// Names of the volumes, at most `max`. libvirt: `virStoragePoolListVolumes`.
    async fn storage_pool_list_volumes(
        &self,
        _pool: &StoragePool,
        _max: usize,
    ) -> Result<Vec<String>> {
        Err(Error::no_support("virStoragePoolListVolumes"))
    }

    /// Handles of the volumes. libvirt: `virStoragePoolListAllVolumes`.
    async fn storage_pool_list_all_volumes(
        &self,
        _pool: &StoragePool,
        _flags: NoFlags,
    ) -> Result<Vec<StorageVol>> {
        Err(Error::no_support("virStoragePoolListAllVolumes"))
    }

    /// The volumes with what `virsh vol-list --details` shows of each: a number of questions that does not grow with
    /// the number of volumes where the driver can do so. libvirt: `virStoragePoolListAllVolumes`, then
    /// `virStorageVolGetPath` and `virStorageVolGetInfo` for each.
    ///
    /// # Errors
    /// If the volumes cannot be listed, or (unless the driver does better) one of them not be looked at.
    async fn storage_pool_list_volume_details(
        &self,
        pool: &StoragePool,
        flags: NoFlags,
    ) -> Result<Vec<ListedVolume>> {
        let mut listed = Vec::new();
        for volume in self.storage_pool_list_all_volumes(pool, flags).await? {
            let path = self.storage_vol_get_path(&volume).await?;
            let info = self.storage_vol_get_info(&volume).await?;
            listed.push(ListedVolume { volume, path, info });
        }
        Ok(listed)
    }

    /// The volume of this name in a pool. libvirt: `virStorageVolLookupByName`.
    async fn storage_vol_lookup_by_name(
        &self,
        _pool: &StoragePool,
        _name: &str,
    ) -> Result<StorageVol> {
        Err(Error::no_support("virStorageVolLookupByName"))
    }

    /// The volume with this key. libvirt: `virStorageVolLookupByKey`.
    async fn storage_vol_lookup_by_key(&self, _key: &str) -> Result<StorageVol> {
        Err(Error::no_support("virStorageVolLookupByKey"))
    }

    /// The volume at this path. libvirt: `virStorageVolLookupByPath`.
    async fn storage_vol_lookup_by_path(&self, _path: &str) -> Result<StorageVol> {
        Err(Error::no_support("virStorageVolLookupByPath"))
    }

    /// Type and sizes. libvirt: `virStorageVolGetInfo`.
    async fn storage_vol_get_info(&self, _volume: &StorageVol) -> Result<StorageVolInfo> {
        Err(Error::no_support("virStorageVolGetInfo"))
    }

    /// Type and sizes. libvirt: `virStorageVolGetInfoFlags`.
    async fn storage_vol_get_info_flags(
        &self,
        _volume: &StorageVol,
        _flags: NoFlags,
    ) -> Result<StorageVolInfo> {
        Err(Error::no_support("virStorageVolGetInfoFlags"))
    }

    /// The volume as XML. libvirt: `virStorageVolGetXMLDesc`.
    async fn storage_vol_get_xml_desc(
        &self,
        _volume: &StorageVol,
        _flags: NoFlags,
    ) -> Result<String> {
        Err(Error::no_support("virStorageVolGetXMLDesc"))
    }

    /// The path a domain uses, such as `[store] dir/disk.vmdk`. libvirt: `virStorageVolGetPath`.
    async fn storage_vol_get_path(&self, _volume: &StorageVol) -> Result<String> {
        Err(Error::no_support("virStorageVolGetPath"))
    }

    /// Makes a volume. libvirt: `virStorageVolCreateXML`.
    async fn storage_vol_create_xml(
        &self,
        _pool: &StoragePool,
        _xml: &str,
        _flags: StorageVolCreateFlags,
    ) -> Result<StorageVol> {
        Err(Error::no_support("virStorageVolCreateXML"))
    }

    /// Makes a copy of a volume. libvirt: `virStorageVolCreateXMLFrom`.
    async fn storage_vol_create_xml_from(
        &self,
        _pool: &StoragePool,
        _xml: &str,
        _original: &StorageVol,
        _flags: StorageVolCreateFlags,
    ) -> Result<StorageVol> {
        Err(Error::no_support("virStorageVolCreateXMLFrom"))
    }

    /// Deletes a volume. libvirt: `virStorageVolDelete`.
    async fn storage_vol_delete(
        &self,
        _volume: &StorageVol,
        _flags: StorageVolDeleteFlags,
    ) -> Result<()> {
        Err(Error::no_support("virStorageVolDelete"))
    }

    /// Overwrites a volume. libvirt: `virStorageVolWipe`.
    async fn storage_vol_wipe(&self, _volume: &StorageVol, _flags: NoFlags) -> Result<()> {
        Err(Error::no_support("virStorageVolWipe"))
    }

    /// Overwrites a volume by an algorithm (`virStorageVolWipeAlgorithm`). libvirt: `virStorageVolWipePattern`.
    async fn storage_vol_wipe_pattern(
        &self,
        _volume: &StorageVol,
        _algorithm: u32,
        _flags: NoFlags,
    ) -> Result<()> {
        Err(Error::no_support("virStorageVolWipePattern"))
    }

    /// A stream into a volume; length 0 is all. libvirt: `virStorageVolUpload`.
    async fn storage_vol_upload(
        &self,
        _volume: &StorageVol,
        _offset: u64,
        _length: u64,
        _flags: StorageVolTransferFlags,
    ) -> Result<Box<dyn Stream>> {
        Err(Error::no_support("virStorageVolUpload"))
    }

    /// A stream out of a volume; length 0 is all. libvirt: `virStorageVolDownload`.
    async fn storage_vol_download(
        &self,
        _volume: &StorageVol,
        _offset: u64,
        _length: u64,
        _flags: StorageVolTransferFlags,
    ) -> Result<Box<dyn Stream>> {
        Err(Error::no_support("virStorageVolDownload"))
    }

    /// Resizes a volume to so many bytes. libvirt: `virStorageVolResize`.
    async fn storage_vol_resize(
        &self,
        _volume: &StorageVol,
        _capacity: u64,
        _flags: StorageVolResizeFlags,
    ) -> Result<()> {
        Err(Error::no_support("virStorageVolResize"))
    }
}
