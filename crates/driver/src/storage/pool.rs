//! Datastores as storage pools (spec `storage-network.md` 2).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use esx_escape::{VmfsPath, percent};
use esx_vi_api::methods::RefreshDatastore;
use esx_vi_api::properties::ObjectRow;
use esx_vi_api::{MoRef, Object, Value, schema};
use esx_vi_client::{Retrieval, traversal};
use uuid::Uuid;
use virt_api::{
    Error, ErrorCode, ErrorDomain, ListAllStoragePoolsFlags as Filter, ListedPool, Result,
    StoragePool, StoragePoolInfo, StoragePoolState, check_flags,
};
use virt_xml::storage as xml;

use super::iscsi::{ADAPTERS, Target, targets};
use crate::connection::Session;
use crate::digest::uuid_of;
use crate::error::storage_error;
use crate::view::Ask;

/// What is read of a datastore.
pub(crate) const DATASTORE: [&str; 5] = ["browser", "host", "info", "name", "summary"];

/// Where datastores are, by name, as far as the session has seen them.
#[derive(Default)]
pub(crate) struct Known(Mutex<HashMap<String, (MoRef, MoRef)>>);

impl Known {
    fn get(&self, name: &str) -> Option<(MoRef, MoRef)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    pub(super) fn knows(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    fn keep(&self, stores: &[Datastore]) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for store in stores {
            if let Some(browser) = &store.browser {
                known.insert(store.name.clone(), (store.moref.clone(), browser.clone()));
            }
        }
    }

    pub(super) fn forget(&self, name: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }
}

/// A datastore as one row of properties describes it.
#[derive(Clone, Debug)]
pub(crate) struct Datastore {
    pub(super) moref: MoRef,
    pub(super) name: String,
    pub(super) browser: Option<MoRef>,
    /// Where the connection's host has mounted it; empty if that is not known.
    pub(super) mount_path: String,
    pub(super) accessible: bool,
    capacity: u64,
    free: u64,
    kind: Kind,
    /// What could not be read of it, one phrase.
    problem: Option<String>,
}

/// What is behind a datastore (VI API `DatastoreInfo` and its derived types).
#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Vmfs,
    Nas {
        format: String,
        host: String,
        path: String,
    },
    /// A directory of the host, or a kind that libvirt's driver does not know: vSAN, vVol, PMem.
    Other,
}

impl Kind {
    fn read(info: Option<&Object>) -> Self {
        let Some(info) = info else { return Self::Other };
        let is = |base| info.type_name == base || schema::is_subtype(&info.type_name, base);
        if is("VmfsDatastoreInfo") {
            return Self::Vmfs;
        }
        let nas = |name: &str| {
            let text = info.get_path(&format!("nas.{name}")).and_then(Value::as_str);
            text.unwrap_or_default().to_owned()
        };
        if is("NasDatastoreInfo") {
            // NFS 4.1 is NFS to libvirt's words: `NFS41`.
            let format = match nas("type").to_ascii_lowercase() {
                word if word.starts_with("nfs") || word.is_empty() => "nfs".to_owned(),
                word => word,
            };
            return Self::Nas { format, host: nas("remoteHost"), path: nas("remotePath") };
        }
        Self::Other
    }

    const fn pool_type(&self) -> &'static str {
        match self {
            Self::Vmfs => "fs",
            Self::Nas { .. } => "netfs",
            Self::Other => "dir",
        }
    }
}

impl Datastore {
    /// Reads a row leniently: whatever is missing or odd is a problem of this datastore alone.
    fn read(row: &ObjectRow, host: &MoRef) -> Self {
        let object = |path| row.get::<Object>(path).ok().flatten();
        let summary = object("summary");
        let text = |path: &str| {
            summary.as_ref().and_then(|summary| summary.str(path)).unwrap_or_default().to_owned()
        };
        let bytes = |path: &str| {
            let number = summary.as_ref().and_then(|summary| summary.get(path)?.as_i64());
            u64::try_from(number.unwrap_or(0)).unwrap_or(0)
        };
        let mut name = text("name");
        let mut problem = row.problem().map(str::to_owned);
        if name.is_empty() {
            problem = problem.or_else(|| Some("the host does not tell its summary".to_owned()));
            let stored = row.get::<String>("name").ok().flatten().unwrap_or_default();
            name = percent::unescape(&stored).map_or(stored.clone(), |name| name.into_owned());
        }
        if name.is_empty() {
            name.clone_from(&row.moref.value);
        }
        let mounts = row.get::<Value>("host").ok().flatten();
        let mount = mounts.as_ref().map_or(&[][..], Value::items).iter().find_map(|mount| {
            let mount = mount.as_object()?;
            (mount.get("key")?.as_moref()? == host).then(|| mount.clone())
        });
        let mount_path =
            mount.as_ref().and_then(|mount| mount.get_path("mountInfo.path")?.as_str());
        // `ds:///vmfs/volumes/UUID/`, and on old hosts the path itself.
        let url = text("url");
        let from_url = url.strip_prefix("ds://").unwrap_or(&url).trim_end_matches('/');
        let mount_path = mount_path.filter(|path| !path.is_empty()).unwrap_or(from_url).to_owned();
        let mounted = mount
            .as_ref()
            .and_then(|mount| mount.get_path("mountInfo.accessible")?.as_bool())
            .unwrap_or(true);
        let accessible = summary
            .as_ref()
            .and_then(|summary| summary.get("accessible")?.as_bool())
            .unwrap_or(false);
        Self {
            moref: row.moref.clone(),
            browser: row.get("browser").ok().flatten(),
            mount_path,
            accessible: accessible && mounted,
            capacity: bytes("capacity"),
            free: bytes("freeSpace"),
            kind: Kind::read(object("info").as_ref()),
            name,
            problem,
        }
    }

    fn uuid(&self) -> Uuid {
        if self.mount_path.is_empty() {
            // Not of its reference alone, which may be its name as well: such a handle is that of a target.
            return uuid_of(format!("datastore {}", self.moref.value).as_bytes());
        }
        uuid_of(self.mount_path.as_bytes())
    }

    pub(super) fn pool(&self) -> StoragePool {
        StoragePool { name: self.name.clone(), uuid: self.uuid() }
    }

    fn info(&self) -> StoragePoolInfo {
        if !self.accessible {
            let state = StoragePoolState::Inaccessible;
            return StoragePoolInfo { state, ..StoragePoolInfo::default() };
        }
        StoragePoolInfo {
            state: StoragePoolState::Running,
            capacity: self.capacity,
            allocation: self.capacity.saturating_sub(self.free),
            available: self.free,
        }
    }

    fn xml(&self) -> String {
        let info = self.info();
        let source = match &self.kind {
            Kind::Vmfs => {
                xml::PoolSource { format: Some("vmfs".to_owned()), ..xml::PoolSource::default() }
            }
            Kind::Nas { format, host, path } => xml::PoolSource {
                hosts: vec![(host.clone(), None)],
                directory: Some(path.clone()),
                format: Some(format.clone()),
                ..xml::PoolSource::default()
            },
            Kind::Other => xml::PoolSource::default(),
        };
        let pool = xml::StoragePool {
            kind: self.kind.pool_type().to_owned(),
            name: self.name.clone(),
            uuid: Some(self.uuid()),
            capacity: info.capacity,
            allocation: info.allocation,
            available: info.available,
            source,
            target_path: Some(self.mount_path.clone()).filter(|path| !path.is_empty()),
            permissions: None,
        };
        pool.to_xml()
    }

    fn type_filter(&self) -> Filter {
        match self.kind {
            Kind::Vmfs => Filter::FS,
            Kind::Nas { .. } => Filter::NETFS,
            Kind::Other => Filter::DIR,
        }
    }
}

/// Everything that is a pool.
pub(super) struct Pools {
    pub(super) datastores: Vec<Datastore>,
    pub(super) targets: Vec<Target>,
}

impl Pools {
    /// The targets by their first appearance: a target with several portals is one pool.
    fn distinct_targets(&self) -> impl Iterator<Item = &Target> {
        let first = |(index, target): (usize, &Target)| {
            self.targets[..index].iter().all(|before| before.name != target.name)
        };
        self.targets
            .iter()
            .enumerate()
            .filter(move |&(index, target)| first((index, target)))
            .map(|(_, target)| target)
    }
}

/// Types of pools among the filters; the others never match here.
const TYPES: Filter = Filter::DIR
    .union(Filter::FS)
    .union(Filter::NETFS)
    .union(Filter::LOGICAL)
    .union(Filter::DISK)
    .union(Filter::ISCSI)
    .union(Filter::SCSI)
    .union(Filter::MPATH)
    .union(Filter::RBD)
    .union(Filter::SHEEPDOG)
    .union(Filter::GLUSTER)
    .union(Filter::ZFS)
    .union(Filter::VSTORAGE)
    .union(Filter::ISCSI_DIRECT);

/// Whether a pool of this type passes the filters: all pools are active, persistent and started by themselves.
fn passes(flags: Filter, kind: Filter) -> bool {
    let group = |yes: Filter, no: Filter| !flags.intersects(yes | no) || flags.contains(yes);
    group(Filter::ACTIVE, Filter::INACTIVE)
        && group(Filter::PERSISTENT, Filter::TRANSIENT)
        && group(Filter::AUTOSTART, Filter::NO_AUTOSTART)
        && (!flags.intersects(TYPES) || flags.intersects(kind))
}

pub(super) fn no_pool(what: impl std::fmt::Display) -> Error {
    Error::new(ErrorCode::NoStoragePool, ErrorDomain::Esx, format!("no storage pool {what}"))
}

impl Session {
    /// Every datastore of the host and every iSCSI target of its adapters: one request.
    pub(super) async fn pools(&self, ask: Ask) -> Result<Pools> {
        let host = self.binding().await?.host;
        let retrieval = Retrieval::from(&host)
            .via([traversal("hostSystemToDatastore", "HostSystem", "datastore", [])])
            .read("HostSystem", [ADAPTERS])
            .read("Datastore", DATASTORE);
        let found = match self.view_rows(ask, &["Datastore"]).await {
            Some(found) => found,
            None => self
                .client
                .retrieve(&retrieval)
                .await
                .map_err(|e| storage_error("cannot read the host's storage", e))?,
        };
        let datastores: Vec<_> =
            found.of("Datastore").map(|row| Datastore::read(row, &host)).collect();
        self.storage.keep(&datastores);
        let targets = found.of("HostSystem").next().map(targets).unwrap_or_default();
        Ok(Pools { datastores, targets })
    }

    /// The datastore of this name: one request, whether or not the session has seen it.
    pub(super) async fn datastore(&self, name: &str) -> Result<Option<Datastore>> {
        if let Some(found) = self.view_rows(Ask::View, &["Datastore"]).await {
            let host = self.binding().await?.host;
            let stores = found.of("Datastore").map(|row| Datastore::read(row, &host));
            if let Some(store) = stores.into_iter().find(|store| store.name == name) {
                self.storage.keep(std::slice::from_ref(&store));
                return Ok(Some(store));
            }
        }
        if let Some((moref, _)) = self.storage.get(name) {
            let host = self.binding().await?.host;
            match self.client.read(&moref, &DATASTORE).await {
                Ok(Some(row)) => {
                    let store = Datastore::read(&row, &host);
                    if store.name == name {
                        return Ok(Some(store));
                    }
                }
                Ok(None) => {}
                Err(error) if error.is_fault("ManagedObjectNotFound") => {}
                Err(error) => return Err(storage_error("cannot read the datastore", error)),
            }
            // It has gone, or has another name now.
            self.storage.forget(name);
        }
        let pools = self.pools(Ask::Host).await?;
        Ok(pools.datastores.into_iter().find(|store| store.name == name))
    }

    pub(super) async fn require_datastore(&self, name: &str) -> Result<Datastore> {
        self.datastore(name).await?.ok_or_else(|| no_pool(format_args!("with name {name:?}")))
    }

    /// The browser of a datastore: no request if the session has seen the datastore.
    pub(crate) async fn browser(&self, name: &str) -> Result<MoRef> {
        if let Some((_, browser)) = self.storage.get(name) {
            return Ok(browser);
        }
        let store = self.require_datastore(name).await?;
        store.browser.ok_or_else(|| {
            Error::internal(ErrorDomain::Esx, format!("the datastore {name:?} has no browser"))
        })
    }

    pub(super) async fn list_pools(&self, flags: Filter) -> Result<Vec<ListedPool>> {
        check_flags("virConnectListAllStoragePools", flags, Filter::all())?;
        let pools = self.pools(Ask::View).await?;
        let stores =
            pools.datastores.iter().filter(|store| passes(flags, store.type_filter())).map(
                |store| ListedPool {
                    pool: store.pool(),
                    info: store.info(),
                    autostart: true,
                    persistent: true,
                    problem: store.problem.clone(),
                },
            );
        let targets =
            pools.distinct_targets().filter(|_| passes(flags, Filter::ISCSI)).map(|target| {
                ListedPool {
                    pool: target.pool(),
                    info: Target::info(),
                    autostart: true,
                    persistent: true,
                    problem: target.problem.clone(),
                }
            });
        Ok(stores.chain(targets).collect())
    }

    pub(super) async fn pool_by_name(&self, name: &str) -> Result<StoragePool> {
        if self.storage.get(name).is_some()
            && let Some(store) = self.datastore(name).await?
        {
            return Ok(store.pool());
        }
        let found = self.pool_by(|pools| {
            let stores = pools.datastores.iter();
            let store = stores.clone().find(|store| store.name == name).map(Datastore::pool);
            let target = || pools.targets.iter().find(|target| target.name == name);
            store.or_else(|| target().map(Target::pool))
        });
        found.await?.ok_or_else(|| no_pool(format_args!("with name {name:?}")))
    }

    /// The pool that `find` finds.
    async fn pool_by(
        &self,
        find: impl Fn(&Pools) -> Option<StoragePool>,
    ) -> Result<Option<StoragePool>> {
        for ask in self.asked() {
            if let Some(pool) = find(&self.pools(*ask).await?) {
                return Ok(Some(pool));
            }
        }
        Ok(None)
    }

    pub(super) async fn pool_by_uuid(&self, uuid: Uuid) -> Result<StoragePool> {
        let found = self.pool_by(|pools| {
            let stores = pools.datastores.iter().map(Datastore::pool);
            stores.chain(pools.targets.iter().map(Target::pool)).find(|pool| pool.uuid == uuid)
        });
        found.await?.ok_or_else(|| no_pool(format_args!("with UUID {uuid}")))
    }

    /// By the mount path, or by `/vmfs/volumes/NAME`.
    pub(super) async fn pool_by_target_path(&self, path: &str) -> Result<StoragePool> {
        let wanted = path.trim_end_matches('/');
        let below: Option<VmfsPath> = wanted.parse().ok();
        let by_name = below.as_ref().filter(|path| path.path().is_empty()).map(VmfsPath::volume);
        let found = self.pool_by(|pools| {
            let stores = pools.datastores.iter();
            stores
                .clone()
                .find(|store| store.mount_path == wanted)
                .or_else(|| stores.clone().find(|store| Some(store.name.as_str()) == by_name))
                .map(Datastore::pool)
        });
        found.await?.ok_or_else(|| no_pool(format_args!("with target path {path:?}")))
    }

    pub(super) async fn pool_info(&self, pool: &StoragePool) -> Result<StoragePoolInfo> {
        if super::is_target(pool) {
            self.target(&pool.name).await?;
            return Ok(Target::info());
        }
        Ok(self.require_datastore(&pool.name).await?.info())
    }

    pub(super) async fn pool_xml(&self, pool: &StoragePool) -> Result<String> {
        if super::is_target(pool) {
            return Ok(self.target(&pool.name).await?.xml());
        }
        Ok(self.require_datastore(&pool.name).await?.xml())
    }

    pub(super) async fn refresh_pool(&self, pool: &StoragePool) -> Result<()> {
        if super::is_target(pool) {
            return self.rescan(&pool.name).await;
        }
        let store = self.require_datastore(&pool.name).await?;
        let what = format!("cannot refresh the storage pool {:?}", pool.name);
        self.client
            .call(&store.moref, &RefreshDatastore {})
            .await
            .map_err(|e| storage_error(&what, e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_groups() {
        for (flags, shown) in [
            (Filter::empty(), true),
            (Filter::ACTIVE, true),
            (Filter::INACTIVE, false),
            (Filter::ACTIVE | Filter::INACTIVE, true),
            (Filter::ACTIVE | Filter::TRANSIENT, false),
            (Filter::NO_AUTOSTART, false),
            (Filter::FS, true),
            (Filter::FS | Filter::RBD, true),
            (Filter::RBD, false),
            (Filter::NETFS | Filter::ACTIVE, false),
        ] {
            assert_eq!(passes(flags, Filter::FS), shown, "{flags:?}");
        }
    }

    #[test]
    fn uuids_are_libvirts() {
        for (path, uuid) in [
            (
                "/vmfs/volumes/4b0beca7-7fd401f3-1d7f-000ae484a6a3",
                "76c0e119-50c6-98e7-f08b-8d9609e38fdb",
            ),
            ("/vmfs/volumes/datastore1", "13f3dd92-cb46-c9e3-5722-d0fd818f1c80"),
            ("/vmfs/volumes/nfs-01", "11525367-9214-2db4-7ec1-347a98c3fe04"),
            ("iqn.1998-01.com.vmware:storage.disk1", "cb9db414-bdf6-61a5-4951-d51c3d21aa51"),
            ("iqn.2001-05.com.example:target.lun0", "5171bcf2-0386-c723-18cf-740a0db9760b"),
            (
                "0200000000600508b1001c0f2d7f9d4a1e6f3c6b1f4c4f47494341",
                "83c0dfb0-3bca-bcc0-95ba-daafa44eee52",
            ),
        ] {
            assert_eq!(uuid_of(path.as_bytes()).to_string(), uuid, "{path}");
        }
    }

    #[test]
    fn kinds_of_datastores() {
        let nas = |kind: &str| {
            let nas = Object::new("HostNasVolume")
                .with("type", kind)
                .with("remoteHost", "h")
                .with("remotePath", "/p");
            Kind::read(Some(&Object::new("NasDatastoreInfo").with("nas", nas)))
        };
        let format = |kind| match nas(kind) {
            Kind::Nas { format, .. } => format,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            (format("NFS"), format("NFS41"), format("CIFS")),
            ("nfs".into(), "nfs".into(), "cifs".into())
        );
        for (class, kind) in [
            ("VmfsDatastoreInfo", "fs"),
            ("LocalDatastoreInfo", "dir"),
            ("VsanDatastoreInfo", "dir"),
            ("SomethingOfVersion99", "dir"),
        ] {
            assert_eq!(Kind::read(Some(&Object::new(class))).pool_type(), kind, "{class}");
        }
    }
}
