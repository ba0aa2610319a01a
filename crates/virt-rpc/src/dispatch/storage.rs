//! Pools, volumes, and the calls that open streams.

use virt_api::{Driver, Error, ErrorDomain, StorageVolTransferFlags};

use super::{Call, OpenStream, handlers, listed, reply};
use crate::procedure::{Procedure, StreamDirection, call};
use crate::types::Count;

handlers! {
    /// Pools and volumes.
    answer(storage: &dyn Storage) {
        ConnectNumOfStoragePools() => Count(storage.connect_num_of_storage_pools().await?);
        ConnectListStoragePools(max) => storage.connect_list_storage_pools(max.0).await?.into();
        ConnectNumOfDefinedStoragePools() => {
            Count(storage.connect_num_of_defined_storage_pools().await?)
        };
        ConnectListDefinedStoragePools(max) => {
            storage.connect_list_defined_storage_pools(max.0).await?.into()
        };
        ConnectListAllStoragePools(wanted, flags) => {
            listed(wanted, storage.connect_list_all_storage_pools(flags).await?)?
        };
        StoragePoolLookupByName(name) => storage.storage_pool_lookup_by_name(&name).await?;
        StoragePoolLookupByUuid(uuid) => storage.storage_pool_lookup_by_uuid(uuid).await?;
        StoragePoolLookupByVolume(volume) => storage.storage_pool_lookup_by_volume(&volume).await?;
        StoragePoolDefineXml(xml, flags) => storage.storage_pool_define_xml(&xml, flags).await?;
        StoragePoolRefresh(pool, flags) => storage.storage_pool_refresh(&pool, flags).await?;
        StoragePoolGetInfo(pool) => storage.storage_pool_get_info(&pool).await?;
        StoragePoolGetXmlDesc(pool, flags) => storage.storage_pool_get_xml_desc(&pool, flags).await?;
        StoragePoolGetAutostart(pool) => storage.storage_pool_get_autostart(&pool).await?;
        StoragePoolSetAutostart(pool, autostart) => {
            storage.storage_pool_set_autostart(&pool, autostart).await?
        };
        StoragePoolIsActive(pool) => storage.storage_pool_is_active(&pool).await?;
        StoragePoolIsPersistent(pool) => storage.storage_pool_is_persistent(&pool).await?;
        StoragePoolNumOfVolumes(pool) => Count(storage.storage_pool_num_of_volumes(&pool).await?);
        StoragePoolListVolumes(pool, max) => {
            storage.storage_pool_list_volumes(&pool, max.0).await?.into()
        };
        StoragePoolListAllVolumes(pool, wanted, flags) => {
            listed(wanted, storage.storage_pool_list_all_volumes(&pool, flags).await?)?
        };
        StorageVolLookupByName(pool, name) => storage.storage_vol_lookup_by_name(&pool, &name).await?;
        StorageVolLookupByKey(key) => storage.storage_vol_lookup_by_key(&key).await?;
        StorageVolLookupByPath(path) => storage.storage_vol_lookup_by_path(&path).await?;
        StorageVolGetInfo(volume) => storage.storage_vol_get_info(&volume).await?;
        StorageVolGetInfoFlags(volume, flags) => {
            storage.storage_vol_get_info_flags(&volume, flags).await?
        };
        StorageVolGetXmlDesc(volume, flags) => storage.storage_vol_get_xml_desc(&volume, flags).await?;
        StorageVolGetPath(volume) => storage.storage_vol_get_path(&volume).await?;
        StorageVolCreateXml(pool, xml, flags) => {
            storage.storage_vol_create_xml(&pool, &xml, flags).await?
        };
        StorageVolCreateXmlFrom(pool, xml, original, flags) => {
            storage.storage_vol_create_xml_from(&pool, &xml, &original, flags).await?
        };
        StorageVolDelete(volume, flags) => storage.storage_vol_delete(&volume, flags).await?;
        StorageVolWipe(volume, flags) => storage.storage_vol_wipe(&volume, flags).await?;
        StorageVolWipePattern(volume, algorithm, flags) => {
            storage.storage_vol_wipe_pattern(&volume, algorithm, flags).await?
        };
        StorageVolResize(volume, capacity, flags) => {
            storage.storage_vol_resize(&volume, capacity, flags).await?
        };
    }
}

/// The calls whose reply is followed by a stream.
pub(super) async fn open_stream(
    driver: &dyn Driver,
    call: &Call<'_>,
    direction: StreamDirection,
) -> Result<(Vec<u8>, OpenStream), Error> {
    let (bytes, sparse, stream) = match call.procedure {
        Procedure::DomainOpenConsole => {
            let (domain, device, flags) = call.args::<call::DomainOpenConsole>()?;
            let hypervisor = driver.hypervisor();
            let stream = hypervisor.domain_open_console(&domain, device.as_deref(), flags).await?;
            (reply::<call::DomainOpenConsole>(&())?, false, stream)
        }
        Procedure::StorageVolUpload => {
            let (volume, offset, length, flags) = call.args::<call::StorageVolUpload>()?;
            let stream =
                driver.storage().storage_vol_upload(&volume, offset, length, flags).await?;
            (reply::<call::StorageVolUpload>(&())?, sparse(flags), stream)
        }
        Procedure::StorageVolDownload => {
            let (volume, offset, length, flags) = call.args::<call::StorageVolDownload>()?;
            let stream =
                driver.storage().storage_vol_download(&volume, offset, length, flags).await?;
            (reply::<call::StorageVolDownload>(&())?, sparse(flags), stream)
        }
        Procedure::DomainScreenshot => {
            let (domain, screen, flags) = call.args::<call::DomainScreenshot>()?;
            let shot = driver.hypervisor().domain_screenshot(&domain, screen, flags).await?;
            (reply::<call::DomainScreenshot>(&Some(shot.mime_type))?, false, shot.stream)
        }
        other => {
            let message = format!("{} opens no stream", other.function());
            return Err(Error::internal(ErrorDomain::Rpc, message));
        }
    };
    Ok((bytes, OpenStream { direction, sparse, stream }))
}

const fn sparse(flags: StorageVolTransferFlags) -> bool {
    flags.contains(StorageVolTransferFlags::SPARSE_STREAM)
}
