//! Storage pools and volumes: lists, look-ups, documents, and the life of a volume.

use uuid::Uuid;
use virt_api::{
    Driver, ErrorCode, ListAllStoragePoolsFlags as Filter, NoFlags, Storage, StoragePool,
    StoragePoolState, StorageVol, StorageVolCreateFlags, StorageVolDeleteFlags,
    StorageVolResizeFlags, StorageVolType, StorageXmlFlags,
};
use virt_xml::storage as xml;

use crate::{Expectations, Findings};

/// Each pool of the list is found by name and UUID, and its document names it.
pub async fn pools_agree_with_lookups(
    driver: &dyn Driver,
    expect: &Expectations,
    found: &mut Findings,
) {
    let storage = driver.storage();
    let Some(pools) = all_pools(storage, found).await else { return };
    if let Some(number) =
        found.answer("connect_num_of_storage_pools", storage.connect_num_of_storage_pools().await)
    {
        found.equal("number of active pools", &(number as usize), &pools.len());
    }
    let names: Vec<_> = pools.iter().map(|pool| pool.name.clone()).collect();
    for max in [0, 1, names.len()] {
        let result = storage.connect_list_storage_pools(max).await;
        if let Some(listed) = found.answer("connect_list_storage_pools", result) {
            let first: Vec<_> = names.iter().take(max).cloned().collect();
            found.equal(format!("names of at most {max} pools"), &listed, &first);
        }
    }
    for pool in pools.iter().take(expect.max_domains) {
        let name = &pool.name;
        let by_name = storage.storage_pool_lookup_by_name(name).await;
        if let Some(by_name) = found.answer(format!("look-up of pool {name:?}"), by_name) {
            found.equal(format!("pool {name:?} by name"), &by_name, pool);
        }
        let by_uuid = storage.storage_pool_lookup_by_uuid(pool.uuid).await;
        if let Some(by_uuid) = found.answer(format!("look-up of pool {}", pool.uuid), by_uuid) {
            found.equal(format!("pool {name:?} by UUID"), &by_uuid, pool);
        }
        let document = storage.storage_pool_get_xml_desc(pool, StorageXmlFlags::empty()).await;
        let Some(document) = found.answer(format!("document of pool {name:?}"), document) else {
            continue;
        };
        match xml::StoragePool::parse(&document) {
            Ok(read) => {
                found.equal(format!("name in the document of {name:?}"), &read.name, name);
                found.equal(
                    format!("UUID in the document of {name:?}"),
                    &read.uuid,
                    &Some(pool.uuid),
                );
            }
            Err(error) => found.wrong(format!("document of pool {name:?}: {error}")),
        }
    }
}

async fn all_pools(storage: &dyn Storage, found: &mut Findings) -> Option<Vec<StoragePool>> {
    let result = storage.connect_list_all_storage_pools(Filter::ACTIVE).await;
    found.answer("connect_list_all_storage_pools", result)
}

/// The list with details tells of each pool what single questions tell, and filters that exclude each other share the
/// pools among them.
pub async fn pool_details_agree_with_single_questions(
    driver: &dyn Driver,
    expect: &Expectations,
    found: &mut Findings,
) {
    let storage = driver.storage();
    let result = storage.connect_list_storage_pool_details(Filter::empty()).await;
    let Some(listed) = found.answer("connect_list_storage_pool_details", result) else { return };
    for item in listed.iter().take(expect.max_domains).filter(|item| item.problem.is_none()) {
        let (pool, name) = (&item.pool, &item.pool.name);
        let info = storage.storage_pool_get_info(pool).await;
        if let Some(info) = found.answer(format!("info of pool {name:?}"), info) {
            found.equal(format!("state of pool {name:?}"), &item.info.state, &info.state);
            found.equal(format!("capacity of pool {name:?}"), &item.info.capacity, &info.capacity);
            if info.state == StoragePoolState::Running && info.allocation > info.capacity {
                found.wrong(format!("pool {name:?} is fuller than it is large: {info:?}"));
            }
        }
        let autostart = storage.storage_pool_get_autostart(pool).await;
        if let Some(autostart) = found.answer("storage_pool_get_autostart", autostart) {
            found.equal(format!("autostart of pool {name:?}"), &item.autostart, &autostart);
        }
        let active = storage.storage_pool_is_active(pool).await;
        if let Some(active) = found.answer("storage_pool_is_active", active) {
            let expected = item.info.state != StoragePoolState::Inactive;
            found.equal(format!("activity of pool {name:?}"), &active, &expected);
        }
    }
    for (yes, no) in [
        (Filter::ACTIVE, Filter::INACTIVE),
        (Filter::PERSISTENT, Filter::TRANSIENT),
        (Filter::AUTOSTART, Filter::NO_AUTOSTART),
    ] {
        let mut sum = 0;
        for filter in [yes, no] {
            let result = storage.connect_list_all_storage_pools(filter).await;
            sum +=
                found.answer(format!("pools that are {filter:?}"), result).map_or(0, |p| p.len());
        }
        found.equal(format!("pools that are {yes:?} or {no:?}"), &sum, &listed.len());
    }
}

/// What does not exist is said not to exist.
pub async fn unknown_pools_and_volumes_are_missing(
    driver: &dyn Driver,
    _: &Expectations,
    found: &mut Findings,
) {
    let storage = driver.storage();
    let no_pool = [ErrorCode::NoStoragePool];
    let by_name = storage.storage_pool_lookup_by_name("no such pool").await;
    found.refused("look-up of an unknown pool", by_name, &no_pool);
    let by_uuid = storage.storage_pool_lookup_by_uuid(Uuid::from_u128(7)).await;
    found.refused("look-up of an unknown pool's UUID", by_uuid, &no_pool);
    let gone = StoragePool { name: "no such pool".to_owned(), uuid: Uuid::from_u128(7) };
    found.refused("info of an unknown pool", storage.storage_pool_get_info(&gone).await, &no_pool);
    let no_volume = [ErrorCode::NoStorageVol];
    let by_key = storage.storage_vol_lookup_by_key("00000000-0000-0000-0000-000000000007").await;
    found.refused("look-up of an unknown key", by_key, &no_volume);
    let by_path = storage.storage_vol_lookup_by_path("neither here nor there").await;
    let codes = [ErrorCode::InvalidArg, ErrorCode::NoStorageVol];
    found.refused("look-up of a path that is none", by_path, &codes);
    let pools = all_pools(storage, found).await.unwrap_or_default();
    for pool in pools.iter().take(3) {
        let missing = storage.storage_vol_lookup_by_name(pool, "no such/volume.vmdk").await;
        let codes = [ErrorCode::NoStorageVol, ErrorCode::OperationInvalid];
        found.refused(format!("look-up of an unknown volume in {:?}", pool.name), missing, &codes);
    }
}

/// Each volume of a pool is found by name, path and key, and is what the list says.
pub async fn volumes_agree_with_lookups(
    driver: &dyn Driver,
    expect: &Expectations,
    found: &mut Findings,
) {
    let storage = driver.storage();
    let none = NoFlags::empty();
    let result = storage.connect_list_storage_pool_details(Filter::ACTIVE).await;
    let Some(pools) = found.answer("connect_list_storage_pool_details", result) else { return };
    let reachable = pools.into_iter().filter(|p| p.info.state == StoragePoolState::Running);
    for pool in reachable.map(|listed| listed.pool).take(expect.max_domains) {
        let of = &pool.name;
        let result = storage.storage_pool_list_volume_details(&pool, none).await;
        let Some(listed) = found.answer(format!("volumes of {of:?}"), result) else { continue };
        let number = storage.storage_pool_num_of_volumes(&pool).await;
        if let Some(number) = found.answer("storage_pool_num_of_volumes", number) {
            found.equal(format!("number of volumes of {of:?}"), &(number as usize), &listed.len());
        }
        let names = storage.storage_pool_list_volumes(&pool, 2).await;
        if let Some(names) = found.answer("storage_pool_list_volumes", names) {
            let first: Vec<_> = listed.iter().take(2).map(|l| l.volume.name.clone()).collect();
            found.equal(format!("names of at most 2 volumes of {of:?}"), &names, &first);
        }
        for item in listed.iter().take(expect.max_domains.min(8)) {
            let name = &item.volume.name;
            let same = |found: &mut Findings, how: &str, volume: &StorageVol| {
                let got = (&volume.pool, &volume.name);
                found.equal(format!("volume {name:?} by {how}"), &got, &(of, name));
            };
            let by_name = storage.storage_vol_lookup_by_name(&pool, name).await;
            let Some(by_name) = found.answer(format!("look-up of volume {name:?}"), by_name) else {
                continue;
            };
            same(found, "name", &by_name);
            let by_path = storage.storage_vol_lookup_by_path(&item.path).await;
            if let Some(by_path) = found.answer(format!("look-up of {:?}", item.path), by_path) {
                same(found, "path", &by_path);
            }
            // Both keys, should the list have another one than the look-up.
            for key in [&item.volume.key, &by_name.key] {
                let by_key = storage.storage_vol_lookup_by_key(key).await;
                if let Some(by_key) = found.answer(format!("look-up of key {key:?}"), by_key) {
                    // Disks of a snapshot chain share their UUID.
                    found.equal(format!("pool of key {key:?}"), &by_key.pool, of);
                }
            }
            let info = storage.storage_vol_get_info(&by_name).await;
            if let Some(info) = found.answer(format!("info of volume {name:?}"), info) {
                found.equal(format!("info of volume {name:?}"), &item.info, &info);
            }
            let document = storage.storage_vol_get_xml_desc(&by_name, none).await;
            let Some(document) = found.answer(format!("document of volume {name:?}"), document)
            else {
                continue;
            };
            let target = format!("<path>{}</path>", escaped(&item.path));
            if !document.contains(&target) {
                found.wrong(format!("the document of volume {name:?} does not tell its path"));
            }
        }
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A volume is made, seen, grown, copied and deleted in the pool that may be changed.
pub async fn volumes_live_and_die(
    driver: &dyn Driver,
    expect: &Expectations,
    found: &mut Findings,
) {
    const MIB: u64 = 1 << 20;
    let Some(name) = &expect.scratch_pool else { return };
    let storage = driver.storage();
    let result = storage.storage_pool_lookup_by_name(name).await;
    let Some(pool) = found.answer(format!("look-up of the scratch pool {name:?}"), result) else {
        return;
    };
    let document = |name: &str| {
        let request = xml::VolumeRequest {
            kind: "file".to_owned(),
            name: name.to_owned(),
            capacity: 2 * MIB,
            allocation: Some(0),
            format: Some("vmdk".to_owned()),
            ..xml::VolumeRequest::default()
        };
        request.to_xml()
    };
    let none = StorageVolCreateFlags::empty();
    let first = document("conformance/first disk.vmdk");
    let result = storage.storage_vol_create_xml(&pool, &first, none).await;
    let Some(volume) = found.answer("storage_vol_create_xml", result) else { return };
    let again = storage.storage_vol_create_xml(&pool, &first, none).await;
    let exists = [ErrorCode::StorageVolExist, ErrorCode::InternalError, ErrorCode::OperationFailed];
    found.refused("a second volume of the same name", again, &exists);
    let capacity = async |volume: &StorageVol, expected: u64, found: &mut Findings| {
        let info = storage.storage_vol_get_info(volume).await;
        if let Some(info) = found.answer("storage_vol_get_info", info) {
            found.equal(format!("capacity of {:?}", volume.name), &info.capacity, &expected);
            found.equal("type of a disk", &info.kind, &StorageVolType::File);
        }
    };
    capacity(&volume, 2 * MIB, found).await;
    let resized =
        storage.storage_vol_resize(&volume, 3 * MIB, StorageVolResizeFlags::empty()).await;
    let size = match found.answer("storage_vol_resize", resized) {
        Some(()) => 3 * MIB,
        None => 2 * MIB,
    };
    capacity(&volume, size, found).await;
    let second = document("conformance/second.vmdk");
    let copied = storage.storage_vol_create_xml_from(&pool, &second, &volume, none).await;
    let copy = found.answer("storage_vol_create_xml_from", copied);
    if let Some(copy) = &copy {
        capacity(copy, size, found).await;
    }
    for volume in [Some(volume), copy].into_iter().flatten() {
        let deleted = storage.storage_vol_delete(&volume, StorageVolDeleteFlags::empty()).await;
        found.answer("storage_vol_delete", deleted);
        let gone = storage.storage_vol_lookup_by_name(&pool, &volume.name).await;
        found.refused("look-up of a deleted volume", gone, &[ErrorCode::NoStorageVol]);
    }
}
