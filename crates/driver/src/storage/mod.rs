//! Storage pools and volumes: [`virt_api::Storage`] for a connection (spec `storage-network.md`).
//!
//! Two back ends stand behind it: [`pool`] and [`volume`] for datastores and their files, [`iscsi`] for iSCSI targets
//! and their LUNs. A pool handle tells which it is by its UUID, which of a target is made of its name; a volume handle
//! by its name, which of a LUN is a path. [`change`] is what changes volumes, [`transfer`]
//! what streams them.

mod change;
mod iscsi;
mod joined;
mod pool;
mod transfer;
mod volume;

use async_trait::async_trait;
use uuid::Uuid;
use virt_api::{
    Error, ErrorCode, ErrorDomain, ListAllStoragePoolsFlags, ListedPool, ListedVolume, NoFlags,
    Result, Storage, StoragePool, StoragePoolInfo, StorageVol, StorageVolCreateFlags,
    StorageVolDeleteFlags, StorageVolInfo, StorageVolResizeFlags, StorageVolTransferFlags,
    StorageXmlFlags, Stream, check_flags,
};

pub(crate) use iscsi::ADAPTERS;
pub(crate) use pool::{DATASTORE, Known};

use crate::connection::{Connection, Session};
use crate::digest::uuid_of;

/// Whether a pool is an iSCSI target.
fn is_target(pool: &StoragePool) -> bool {
    pool.uuid == uuid_of(pool.name.as_bytes())
}

/// Whether a volume is a LUN.
fn is_lun(volume: &StorageVol) -> bool {
    volume.name.starts_with('/')
}

fn no_flags(function: &str, flags: NoFlags) -> Result<()> {
    check_flags(function, flags, NoFlags::empty())
}

fn count(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

#[async_trait]
impl Storage for Connection {
    async fn connect_num_of_storage_pools(&self) -> Result<u32> {
        Ok(count(self.session.list_pools(ListAllStoragePoolsFlags::empty()).await?.len()))
    }

    async fn connect_list_storage_pools(&self, max: usize) -> Result<Vec<String>> {
        if max == 0 {
            return Ok(Vec::new());
        }
        let pools = self.session.list_pools(ListAllStoragePoolsFlags::empty()).await?;
        Ok(pools.into_iter().map(|listed| listed.pool.name).take(max).collect())
    }

    async fn connect_num_of_defined_storage_pools(&self) -> Result<u32> {
        Ok(0)
    }

    async fn connect_list_defined_storage_pools(&self, _max: usize) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    async fn connect_list_all_storage_pools(
        &self,
        flags: ListAllStoragePoolsFlags,
    ) -> Result<Vec<StoragePool>> {
        let pools = self.session.list_pools(flags).await?;
        Ok(pools.into_iter().map(|listed| listed.pool).collect())
    }

    async fn connect_list_storage_pool_details(
        &self,
        flags: ListAllStoragePoolsFlags,
    ) -> Result<Vec<ListedPool>> {
        self.session.list_pools(flags).await
    }

    async fn storage_pool_lookup_by_name(&self, name: &str) -> Result<StoragePool> {
        self.session.pool_by_name(name).await
    }

    async fn storage_pool_lookup_by_uuid(&self, uuid: Uuid) -> Result<StoragePool> {
        self.session.pool_by_uuid(uuid).await
    }

    async fn storage_pool_lookup_by_volume(&self, volume: &StorageVol) -> Result<StoragePool> {
        self.session.pool_by_name(&volume.pool).await
    }

    async fn storage_pool_lookup_by_target_path(&self, path: &str) -> Result<StoragePool> {
        self.session.pool_by_target_path(path).await
    }

    async fn storage_pool_refresh(&self, pool: &StoragePool, flags: NoFlags) -> Result<()> {
        no_flags("virStoragePoolRefresh", flags)?;
        self.session.check_writable("virStoragePoolRefresh")?;
        self.session.refresh_pool(pool).await
    }

    async fn storage_pool_get_info(&self, pool: &StoragePool) -> Result<StoragePoolInfo> {
        self.session.pool_info(pool).await
    }

    async fn storage_pool_get_xml_desc(
        &self,
        pool: &StoragePool,
        flags: StorageXmlFlags,
    ) -> Result<String> {
        // What is stored and what is active do not differ, so that is let through.
        check_flags("virStoragePoolGetXMLDesc", flags, StorageXmlFlags::INACTIVE)?;
        self.session.pool_xml(pool).await
    }

    async fn storage_pool_get_autostart(&self, _pool: &StoragePool) -> Result<bool> {
        Ok(true)
    }

    async fn storage_pool_set_autostart(&self, _pool: &StoragePool, autostart: bool) -> Result<()> {
        self.session.check_writable("virStoragePoolSetAutostart")?;
        if autostart {
            return Ok(());
        }
        Err(Error::new(
            ErrorCode::OperationUnsupported,
            ErrorDomain::Esx,
            "a VMware host mounts its storage by itself: autostart cannot be switched off",
        ))
    }

    async fn storage_pool_is_active(&self, _pool: &StoragePool) -> Result<bool> {
        // One that is out of reach is active and `Inaccessible`, not stopped.
        Ok(true)
    }

    async fn storage_pool_is_persistent(&self, _pool: &StoragePool) -> Result<bool> {
        Ok(true)
    }

    async fn storage_pool_num_of_volumes(&self, pool: &StoragePool) -> Result<u32> {
        Ok(count(self.session.list_volumes(pool).await?.len()))
    }

    async fn storage_pool_list_volumes(
        &self,
        pool: &StoragePool,
        max: usize,
    ) -> Result<Vec<String>> {
        if max == 0 {
            return Ok(Vec::new());
        }
        let volumes = self.session.list_volumes(pool).await?;
        Ok(volumes.into_iter().map(|listed| listed.volume.name).take(max).collect())
    }

    async fn storage_pool_list_all_volumes(
        &self,
        pool: &StoragePool,
        flags: NoFlags,
    ) -> Result<Vec<StorageVol>> {
        no_flags("virStoragePoolListAllVolumes", flags)?;
        let volumes = self.session.list_volumes(pool).await?;
        Ok(volumes.into_iter().map(|listed| listed.volume).collect())
    }

    async fn storage_pool_list_volume_details(
        &self,
        pool: &StoragePool,
        flags: NoFlags,
    ) -> Result<Vec<ListedVolume>> {
        no_flags("virStoragePoolListAllVolumes", flags)?;
        self.session.list_volumes(pool).await
    }

    async fn storage_vol_lookup_by_name(
        &self,
        pool: &StoragePool,
        name: &str,
    ) -> Result<StorageVol> {
        self.session.volume_by_name(pool, name).await
    }

    async fn storage_vol_lookup_by_key(&self, key: &str) -> Result<StorageVol> {
        self.session.volume_by_key(key).await
    }

    async fn storage_vol_lookup_by_path(&self, path: &str) -> Result<StorageVol> {
        self.session.volume_by_path(path).await
    }

    async fn storage_vol_get_info(&self, volume: &StorageVol) -> Result<StorageVolInfo> {
        self.session.volume_info(volume).await
    }

    async fn storage_vol_get_info_flags(
        &self,
        volume: &StorageVol,
        flags: NoFlags,
    ) -> Result<StorageVolInfo> {
        no_flags("virStorageVolGetInfoFlags", flags)?;
        self.session.volume_info(volume).await
    }

    async fn storage_vol_get_xml_desc(
        &self,
        volume: &StorageVol,
        flags: NoFlags,
    ) -> Result<String> {
        no_flags("virStorageVolGetXMLDesc", flags)?;
        self.session.volume_xml(volume).await
    }

    async fn storage_vol_get_path(&self, volume: &StorageVol) -> Result<String> {
        Session::volume_path(volume)
    }

    async fn storage_vol_create_xml(
        &self,
        pool: &StoragePool,
        xml: &str,
        flags: StorageVolCreateFlags,
    ) -> Result<StorageVol> {
        self.session.create_volume(pool, xml, flags).await
    }

    async fn storage_vol_create_xml_from(
        &self,
        pool: &StoragePool,
        xml: &str,
        original: &StorageVol,
        flags: StorageVolCreateFlags,
    ) -> Result<StorageVol> {
        self.session.copy_volume(pool, xml, original, flags).await
    }

    async fn storage_vol_delete(
        &self,
        volume: &StorageVol,
        flags: StorageVolDeleteFlags,
    ) -> Result<()> {
        self.session.delete_volume(volume, flags).await
    }

    async fn storage_vol_wipe(&self, volume: &StorageVol, flags: NoFlags) -> Result<()> {
        no_flags("virStorageVolWipe", flags)?;
        self.session.wipe_volume("virStorageVolWipe", volume).await
    }

    async fn storage_vol_wipe_pattern(
        &self,
        volume: &StorageVol,
        algorithm: u32,
        flags: NoFlags,
    ) -> Result<()> {
        no_flags("virStorageVolWipePattern", flags)?;
        if algorithm != 0 {
            return Err(Error::new(
                ErrorCode::ArgumentUnsupported,
                ErrorDomain::Esx,
                "a VMware host overwrites volumes with zeros only",
            ));
        }
        self.session.wipe_volume("virStorageVolWipePattern", volume).await
    }

    async fn storage_vol_upload(
        &self,
        volume: &StorageVol,
        offset: u64,
        length: u64,
        flags: StorageVolTransferFlags,
    ) -> Result<Box<dyn Stream>> {
        self.session.upload_volume(volume, offset, length, flags).await
    }

    async fn storage_vol_download(
        &self,
        volume: &StorageVol,
        offset: u64,
        length: u64,
        flags: StorageVolTransferFlags,
    ) -> Result<Box<dyn Stream>> {
        self.session.download_volume(volume, offset, length, flags).await
    }

    async fn storage_vol_resize(
        &self,
        volume: &StorageVol,
        capacity: u64,
        flags: StorageVolResizeFlags,
    ) -> Result<()> {
        self.session.resize_volume(volume, capacity, flags).await
    }
}
