//! iSCSI targets as storage pools, LUNs as their volumes (spec `storage-network.md` 3 and 9).
//!
//! All adapters are looked at, not only the first, and what is no iSCSI adapter, or is one of a class that nobody
//! knows, is passed over: it takes nothing from the others.

use esx_vi_api::methods::RescanHba;
use esx_vi_api::properties::ObjectRow;
use esx_vi_api::{MoRef, Object, Value, schema};
use virt_api::{
    Error, ErrorCode, ErrorDomain, Result, StoragePool, StoragePoolInfo, StoragePoolState,
    StorageVol, StorageVolInfo, StorageVolType,
};
use virt_xml::storage as xml;

use super::pool::no_pool;
use super::volume::no_volume;
use crate::connection::Session;
use crate::digest::uuid_of;
use crate::error::storage_error;
use crate::view::Ask;

/// The host's adapters.
pub(crate) const ADAPTERS: &str = "config.storageDevice.hostBusAdapter";
const TOPOLOGY: &str = "config.storageDevice.scsiTopology.adapter";
const LUNS: &str = "config.storageDevice.scsiLun";

/// A configured target of an iSCSI adapter.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) name: String,
    address: String,
    port: Option<u16>,
    /// The name that the adapter has itself.
    initiator: String,
    /// The adapter's device, `vmhba64`.
    device: String,
    /// What is wrong with the adapter.
    pub(super) problem: Option<String>,
}

/// The targets of all iSCSI adapters of a host.
pub(super) fn targets(host: &ObjectRow) -> Vec<Target> {
    let adapters = match host.get::<Value>(ADAPTERS) {
        Ok(adapters) => adapters,
        Err(error) => {
            tracing::warn!(%error, "the host's adapters cannot be read");
            None
        }
    };
    let is_iscsi = |adapter: &&Object| {
        let class: &str = &adapter.type_name;
        class == "HostInternetScsiHba" || schema::is_subtype(class, "HostInternetScsiHba")
    };
    let adapters = adapters.as_ref().map_or(&[][..], Value::items).iter();
    adapters.filter_map(Value::as_object).filter(is_iscsi).flat_map(targets_of).collect()
}

fn targets_of(adapter: &Object) -> Vec<Target> {
    let own = |name: &str| adapter.str(name).unwrap_or_default().to_owned();
    let problem = match adapter.str("status") {
        Some(status @ ("fault" | "offline")) => {
            Some(format!("its adapter {} is {status}", own("device")))
        }
        _ => None,
    };
    let configured = adapter.get("configuredStaticTarget").map_or(&[][..], Value::items);
    let target = |target: &Object| {
        let port = target.get("port").and_then(Value::as_i64);
        Some(Target {
            name: target.str("iScsiName").filter(|name| !name.is_empty())?.to_owned(),
            address: target.str("address").unwrap_or_default().to_owned(),
            port: port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0),
            initiator: own("iScsiName"),
            device: own("device"),
            problem: problem.clone(),
        })
    };
    configured.iter().filter_map(Value::as_object).filter_map(target).collect()
}

impl Target {
    pub(super) fn pool(&self) -> StoragePool {
        StoragePool { name: self.name.clone(), uuid: uuid_of(self.name.as_bytes()) }
    }

    /// A target has no size of its own.
    pub(super) fn info() -> StoragePoolInfo {
        StoragePoolInfo { state: StoragePoolState::Running, ..StoragePoolInfo::default() }
    }

    pub(super) fn xml(&self) -> String {
        let pool = self.pool();
        let source = xml::PoolSource {
            hosts: vec![(self.address.clone(), self.port)],
            devices: vec![self.name.clone()],
            initiator: Some(self.initiator.clone()).filter(|name| !name.is_empty()),
            ..xml::PoolSource::default()
        };
        let document = xml::StoragePool {
            kind: "iscsi".to_owned(),
            name: pool.name,
            uuid: Some(pool.uuid),
            source,
            ..xml::StoragePool::default()
        };
        document.to_xml()
    }
}

/// A LUN of the host, and the target that it is behind.
#[derive(Clone, Debug)]
pub(super) struct Lun {
    target: String,
    name: String,
    path: String,
    key: String,
    bytes: u64,
}

impl Lun {
    pub(super) fn volume(&self) -> StorageVol {
        StorageVol { pool: self.target.clone(), name: self.name.clone(), key: self.key.clone() }
    }

    pub(super) const fn info(&self) -> StorageVolInfo {
        StorageVolInfo { kind: StorageVolType::Block, capacity: self.bytes, allocation: self.bytes }
    }

    fn xml(&self) -> String {
        let volume = xml::StorageVolume {
            kind: "block".to_owned(),
            name: self.name.clone(),
            key: Some(self.key.clone()),
            capacity: self.bytes,
            allocation: self.bytes,
            target_path: Some(self.path.clone()),
            format: None,
        };
        volume.to_xml()
    }
}

/// The LUNs behind iSCSI targets, each once for every target that leads to it.
fn luns(host: &ObjectRow) -> Vec<Lun> {
    let list = |path| host.get::<Value>(path).ok().flatten();
    let (topology, luns) = (list(TOPOLOGY), list(LUNS));
    let items = |list: &Option<Value>| -> Vec<Object> {
        let items = list.as_ref().map_or(&[][..], Value::items);
        items.iter().filter_map(Value::as_object).cloned().collect()
    };
    let luns = items(&luns);
    let mut found: Vec<Lun> = Vec::new();
    for adapter in items(&topology) {
        for target in items(&adapter.get("target").cloned()) {
            let Some(name) = target.get_path("transport.iScsiName").and_then(Value::as_str) else {
                continue;
            };
            for behind in items(&target.get("lun").cloned()) {
                let Some(key) = behind.str("scsiLun") else { continue };
                let Some(lun) = luns.iter().find(|lun| lun.str("key") == Some(key)) else {
                    continue;
                };
                let device = lun.str("deviceName").unwrap_or_default();
                // Several paths to one LUN are one volume.
                if found.iter().any(|other| other.target == name && other.name == device) {
                    continue;
                }
                let number = |member: &str| {
                    let number =
                        lun.get_path(&format!("capacity.{member}")).and_then(Value::as_i64);
                    u64::try_from(number.unwrap_or(0)).unwrap_or(0)
                };
                found.push(Lun {
                    target: name.to_owned(),
                    name: device.to_owned(),
                    path: lun.str("devicePath").unwrap_or(device).to_owned(),
                    key: uuid_of(lun.str("uuid").unwrap_or_default().as_bytes()).to_string(),
                    bytes: number("block").saturating_mul(number("blockSize")),
                });
            }
        }
    }
    found
}

impl Session {
    async fn storage_device(&self, ask: Ask, paths: &[&str]) -> Result<Option<ObjectRow>> {
        if let Some(row) = self.view_host_row(ask, paths).await {
            return Ok(Some(row));
        }
        let host = self.binding().await?.host;
        let row = self.client.read(&host, paths).await;
        row.map_err(|e| storage_error("cannot read the host's adapters", e))
    }

    /// The target of this name; the first, if it has several portals.
    pub(super) async fn target(&self, name: &str) -> Result<Target> {
        for ask in self.asked() {
            let row = self.storage_device(*ask, &[ADAPTERS]).await?;
            if let Some(target) = row.iter().flat_map(targets).find(|target| target.name == name) {
                return Ok(target);
            }
        }
        Err(no_pool(format_args!("with name {name:?}")))
    }

    /// Rescans every adapter that has the target.
    pub(super) async fn rescan(&self, name: &str) -> Result<()> {
        const SYSTEM: &str = "configManager.storageSystem";
        let row = self.storage_device(Ask::Host, &[ADAPTERS, SYSTEM]).await?;
        let devices: Vec<_> = row
            .iter()
            .flat_map(targets)
            .filter(|target| target.name == name)
            .map(|target| target.device)
            .collect();
        if devices.is_empty() {
            return Err(no_pool(format_args!("with name {name:?}")));
        }
        let system = row.and_then(|row| row.get::<MoRef>(SYSTEM).ok().flatten());
        let system = system
            .ok_or_else(|| Error::internal(ErrorDomain::Esx, "the host has no storage system"))?;
        for (index, device) in devices.iter().enumerate() {
            if devices[..index].contains(device) {
                continue;
            }
            let what = format!("cannot rescan the adapter {device}");
            let call = RescanHba { hba_device: device.clone() };
            self.client.call(&system, &call).await.map_err(|e| storage_error(&what, e))?;
        }
        Ok(())
    }

    pub(super) async fn all_luns(&self) -> Result<Vec<Lun>> {
        let row = self.storage_device(Ask::Host, &[TOPOLOGY, LUNS]).await?;
        Ok(row.as_ref().map(luns).unwrap_or_default())
    }

    /// The LUNs behind a target.
    pub(super) async fn luns_of(&self, target: &str) -> Result<Vec<Lun>> {
        let mut found = self.all_luns().await?;
        found.retain(|lun| lun.target == target);
        if found.is_empty() {
            // None at all, or no such target?
            self.target(target).await?;
        }
        Ok(found)
    }

    pub(super) async fn lun(&self, target: &str, name: &str) -> Result<Lun> {
        let found = self.luns_of(target).await?;
        let found = found.into_iter().find(|lun| lun.name == name || lun.path == name);
        found.ok_or_else(|| no_volume(format_args!("{name:?} in the storage pool {target:?}")))
    }

    pub(super) async fn lun_by(&self, wanted: impl Fn(&Lun) -> bool) -> Result<Option<StorageVol>> {
        Ok(self.all_luns().await?.iter().find(|lun| wanted(lun)).map(Lun::volume))
    }

    pub(super) async fn lun_by_path(&self, path: &str) -> Result<StorageVol> {
        let found = self.lun_by(|lun| lun.path == path || lun.name == path).await?;
        found.ok_or_else(|| no_volume(format_args!("with path {path:?}")))
    }

    pub(super) async fn lun_by_key(&self, key: &str) -> Result<Option<StorageVol>> {
        self.lun_by(|lun| lun.key.eq_ignore_ascii_case(key)).await
    }

    pub(super) async fn lun_xml(&self, volume: &StorageVol) -> Result<String> {
        Ok(self.lun(&volume.pool, &volume.name).await?.xml())
    }
}

/// What cannot be done with a LUN.
pub(super) fn unsupported(function: &str) -> Error {
    Error::new(
        ErrorCode::NoSupport,
        ErrorDomain::Esx,
        format!("iSCSI volumes cannot be changed from here: {function}"),
    )
}
