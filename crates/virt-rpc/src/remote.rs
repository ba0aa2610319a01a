//! A driver whose host is behind the wire: the traits of `virt-api`, each function a call.
//!
//! The same table gives the layouts as for the server, so what a [`Remote`] asks is what
//! [`dispatch`](crate::dispatch) answers. Bytes and serials are the transport's matter.

use async_trait::async_trait;
use bytes::Bytes;
use uuid::Uuid;
use virt_api::{
    Definitions, Domain, DomainBlockDevice, DomainBlockInfo, DomainConsoleFlags, DomainCreateFlags,
    DomainDefineFlags, DomainDestroyFlags, DomainDetails, DomainDeviceModifyFlags, DomainEventId,
    DomainInfo, DomainInspection, DomainInterface, DomainInterfaceDevice, DomainMemoryFlags,
    DomainMemoryStat, DomainModificationFlags, DomainQuestion, DomainRebootFlags, DomainSelector,
    DomainShutdownFlags, DomainState, DomainStateReason, DomainStats, DomainStatsFlags,
    DomainStatsTypes, DomainUndefineFlags, DomainVcpuFlags, DomainXmlFlags, Driver, Error,
    EventSubscription, Feature, Hypervisor, Interface, InterfaceAddressesSource, InterfaceHandle,
    InterfaceXmlFlags, ListAllDomainsFlags, ListAllInterfacesFlags, ListAllNetworksFlags,
    ListAllStoragePoolsFlags, ListedDomain, ListedPool, ListedVolume, MetadataType, MigrateFlags,
    MigratePrepared, NativeConversionFlags, Network, NetworkDefineFlags, NetworkHandle,
    NetworkXmlFlags, NoFlags, NodeInfo, Questions, Result, SchedulerType, Screenshot, Snapshot,
    SnapshotCreateFlags, SnapshotDeleteFlags, SnapshotListFlags, SnapshotRevertFlags,
    SnapshotXmlFlags, Snapshots, Storage, StoragePool, StoragePoolInfo, StorageVol,
    StorageVolCreateFlags, StorageVolDeleteFlags, StorageVolInfo, StorageVolResizeFlags,
    StorageVolTransferFlags, StorageXmlFlags, Stream, TypedParam, Version,
};

use crate::client;
use crate::dispatch::TEXTS;
use crate::error::{WireError, without_opening};
use crate::frame::Packet;
use crate::procedure::{Layout, Procedure, call};
use crate::types::{MAX_PARAMS, Max};
use crate::xdr::{self, Opaque};

/// Who carries calls to a server. The connection is open and authenticated.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Sends a call and waits for its reply.
    ///
    /// # Errors
    /// If the connection is lost. An error of the server is a reply.
    async fn call(&self, procedure: Procedure, arguments: Vec<u8>) -> Result<Packet>;

    /// As [`call`](Self::call); a good reply comes with a stream.
    ///
    /// # Errors
    /// As [`call`](Self::call); `VIR_ERR_NO_SUPPORT` of a transport without streams.
    async fn open_stream(
        &self,
        procedure: Procedure,
        _arguments: Vec<u8>,
    ) -> Result<(Packet, Option<Box<dyn Stream>>)> {
        Err(Error::no_support(procedure.function()))
    }

    /// Registers for events.
    ///
    /// # Errors
    /// As [`call`](Self::call); `VIR_ERR_NO_SUPPORT` of a transport without events.
    async fn subscribe(
        &self,
        _event: DomainEventId,
        _domain: Option<Domain>,
    ) -> Result<Box<dyn EventSubscription>> {
        Err(Error::no_support("virConnectDomainEventRegisterAny"))
    }

    /// Ends the connection after everything has been answered.
    ///
    /// # Errors
    /// If the server cannot be told.
    async fn close(&self) -> Result<()>;
}

/// A driver that calls another one.
#[derive(Debug)]
pub struct Remote<T> {
    transport: T,
    uri: String,
}

impl<T: Transport> Remote<T> {
    /// A driver over an open connection; `uri` is what its caller opened.
    pub const fn new(transport: T, uri: String) -> Self {
        Self { transport, uri }
    }

    async fn ask<L: Layout>(&self, arguments: &L::Args) -> Result<L::Reply> {
        let reply = self.transport.call(L::PROCEDURE, xdr::to_bytes(arguments)?).await?;
        client::reply::<L>(&reply).map_err(without_opening)
    }

    async fn stream<L: Layout>(&self, arguments: &L::Args) -> Result<(L::Reply, Box<dyn Stream>)> {
        let (reply, stream) =
            self.transport.open_stream(L::PROCEDURE, xdr::to_bytes(arguments)?).await?;
        let stream = stream.ok_or_else(|| Error::no_support(L::PROCEDURE.function()));
        Ok((client::reply::<L>(&reply).map_err(without_opening)?, stream?))
    }
}

#[async_trait]
impl<T: Transport> Driver for Remote<T> {
    fn hypervisor(&self) -> &dyn Hypervisor {
        self
    }

    fn storage(&self) -> &dyn Storage {
        self
    }

    fn network(&self) -> &dyn Network {
        self
    }

    fn interface(&self) -> &dyn Interface {
        self
    }

    fn questions(&self) -> &dyn Questions {
        self
    }

    async fn close(&self) -> Result<()> {
        self.transport.close().await
    }
}

fn plain(error: WireError) -> Error {
    without_opening(error.into_error())
}

/// A trait's functions: each a call with these arguments, and what of the reply is the result.
macro_rules! remote {
    ($trait:ident {
        $($name:ident($($arg:ident: $type:ty),*) -> $result:ty = $procedure:ident($($value:expr),*) $(=> |$reply:pat_param| $map:expr)?;)*
    } $($more:tt)*) => {
        #[async_trait]
        impl<T: Transport> $trait for Remote<T> {
            $(async fn $name(&self, $($arg: $type),*) -> Result<$result> {
                let reply = self.ask::<call::$procedure>(&($($value,)*)).await?;
                $(let $reply = reply; let reply = $map;)?
                Ok(reply)
            })*
            $($more)*
        }
    };
}

remote! {
    Hypervisor {
        connect_supports_feature(feature: Feature) -> bool = ConnectSupportsFeature(feature.number().cast_signed());
        connect_get_type() -> String = ConnectGetType();
        connect_get_version() -> Version = ConnectGetVersion() => |version| Version(version);
        connect_get_hostname() -> String = ConnectGetHostname();
        connect_get_capabilities() -> String = ConnectGetCapabilities();
        connect_is_encrypted() -> bool = ConnectIsSecure();
        connect_is_secure() -> bool = ConnectIsSecure();
        connect_is_alive() -> bool = ConnectGetLibVersion() => |_| true;
        node_get_info() -> NodeInfo = NodeGetInfo();
        node_get_free_memory() -> u64 = NodeGetFreeMemory();
        connect_list_domains(max: usize) -> Vec<i32> = ConnectListDomains(Max(max)) => |list| list.0;
        connect_num_of_domains() -> u32 = ConnectNumOfDomains() => |count| count.0;
        connect_list_defined_domains(max: usize) -> Vec<String> = ConnectListDefinedDomains(Max(max)) => |list| list.0;
        connect_num_of_defined_domains() -> u32 = ConnectNumOfDefinedDomains() => |count| count.0;
        domain_lookup_by_id(id: i32) -> Domain = DomainLookupById(id);
        domain_lookup_by_uuid(uuid: Uuid) -> Domain = DomainLookupByUuid(uuid);
        domain_lookup_by_name(name: &str) -> Domain = DomainLookupByName(name.to_owned());
        domain_suspend(domain: &Domain) -> () = DomainSuspend(domain.clone());
        domain_resume(domain: &Domain) -> () = DomainResume(domain.clone());
        domain_shutdown_flags(domain: &Domain, flags: DomainShutdownFlags) -> () = DomainShutdownFlags(domain.clone(), flags);
        domain_reboot(domain: &Domain, flags: DomainRebootFlags) -> () = DomainReboot(domain.clone(), flags);
        domain_reset(domain: &Domain, flags: NoFlags) -> () = DomainReset(domain.clone(), flags);
        domain_destroy_flags(domain: &Domain, flags: DomainDestroyFlags) -> () = DomainDestroyFlags(domain.clone(), flags);
        domain_create_with_flags(domain: &Domain, flags: DomainCreateFlags) -> Domain = DomainCreateWithFlags(domain.clone(), flags);
        domain_get_os_type(domain: &Domain) -> String = DomainGetOsType(domain.clone());
        domain_get_info(domain: &Domain) -> DomainInfo = DomainGetInfo(domain.clone());
        domain_get_state(domain: &Domain, flags: NoFlags) -> (DomainState, DomainStateReason) = DomainGetState(domain.clone(), flags) => |state| (state.0, state.1);
        domain_is_active(domain: &Domain) -> bool = DomainIsActive(domain.clone());
        domain_is_persistent(domain: &Domain) -> bool = DomainIsPersistent(domain.clone());
        domain_is_updated(domain: &Domain) -> bool = DomainIsUpdated(domain.clone());
        domain_has_managed_save_image(domain: &Domain, flags: NoFlags) -> bool = DomainHasManagedSaveImage(domain.clone(), flags);
        domain_get_hostname(domain: &Domain, flags: NoFlags) -> String = DomainGetHostname(domain.clone(), flags);
        domain_interface_addresses(domain: &Domain, source: InterfaceAddressesSource, flags: NoFlags) -> Vec<DomainInterface> = DomainInterfaceAddresses(domain.clone(), source, flags) => |list| list.0;
        domain_get_max_memory(domain: &Domain) -> u64 = DomainGetMaxMemory(domain.clone());
        domain_set_max_memory(domain: &Domain, memory_kib: u64) -> () = DomainSetMaxMemory(domain.clone(), memory_kib);
        domain_set_memory_flags(domain: &Domain, memory_kib: u64, flags: DomainMemoryFlags) -> () = DomainSetMemoryFlags(domain.clone(), memory_kib, flags);
        domain_get_memory_parameters(domain: &Domain, flags: DomainModificationFlags) -> Vec<TypedParam> = DomainGetMemoryParameters(domain.clone(), Max(MAX_PARAMS), flags | TEXTS) => |reply| reply.0.0;
        domain_set_memory_parameters(domain: &Domain, params: &[TypedParam], flags: DomainModificationFlags) -> () = DomainSetMemoryParameters(domain.clone(), params.to_vec().into(), flags);
        domain_set_vcpus_flags(domain: &Domain, vcpus: u32, flags: DomainVcpuFlags) -> () = DomainSetVcpusFlags(domain.clone(), vcpus, flags);
        domain_get_vcpus_flags(domain: &Domain, flags: DomainVcpuFlags) -> u32 = DomainGetVcpusFlags(domain.clone(), flags) => |count| count.0;
        domain_get_scheduler_type(domain: &Domain) -> SchedulerType = DomainGetSchedulerType(domain.clone());
        domain_get_scheduler_parameters_flags(domain: &Domain, flags: DomainModificationFlags) -> Vec<TypedParam> = DomainGetSchedulerParametersFlags(domain.clone(), Max(MAX_PARAMS), flags | TEXTS) => |list| list.0;
        domain_set_scheduler_parameters_flags(domain: &Domain, params: &[TypedParam], flags: DomainModificationFlags) -> () = DomainSetSchedulerParametersFlags(domain.clone(), params.to_vec().into(), flags);
        domain_get_autostart(domain: &Domain) -> bool = DomainGetAutostart(domain.clone());
        domain_set_autostart(domain: &Domain, autostart: bool) -> () = DomainSetAutostart(domain.clone(), autostart);
        domain_migrate_prepare(uri: Option<&str>, flags: MigrateFlags, name: Option<&str>, bandwidth_mib: u64) -> MigratePrepared = DomainMigratePrepare(uri.map(str::to_owned), flags, name.map(str::to_owned), bandwidth_mib) => |reply| MigratePrepared { cookie: reply.0.0, uri: reply.1 };
        domain_migrate_perform(domain: &Domain, cookie: &[u8], uri: &str, flags: MigrateFlags, name: Option<&str>, bandwidth_mib: u64) -> () = DomainMigratePerform(domain.clone(), Opaque(Bytes::copy_from_slice(cookie)), uri.to_owned(), flags, name.map(str::to_owned), bandwidth_mib);
        domain_migrate_finish(name: &str, cookie: &[u8], uri: &str, flags: MigrateFlags) -> Domain = DomainMigrateFinish(name.to_owned(), Opaque(Bytes::copy_from_slice(cookie)), uri.to_owned(), flags);
        connect_get_all_domain_stats(domains: &[Domain], stats: DomainStatsTypes, flags: DomainStatsFlags) -> Vec<DomainStats> = ConnectGetAllDomainStats(domains.to_vec().into(), stats, flags) => |list| list.0;
        domain_abort_job(domain: &Domain) -> () = DomainAbortJob(domain.clone());
        domain_memory_stats(domain: &Domain, flags: NoFlags) -> Vec<DomainMemoryStat> = OwnDomainMemoryStats(domain.clone(), flags) => |list| list.0.into_iter().map(|stat| stat.0).collect();
        connect_list_all_domains(flags: ListAllDomainsFlags) -> Vec<ListedDomain> = OwnListAllDomains(flags) => |list| list.0;
        domain_get_details(selector: &DomainSelector) -> DomainDetails = OwnDomainGetDetails(selector.clone());
        domain_lookup_state(selector: &DomainSelector) -> (DomainState, DomainStateReason) = OwnDomainLookupState(selector.clone()) => |state| (state.0, state.1);
        domain_list_block_devices(domain: &Domain) -> Vec<DomainBlockDevice> = OwnDomainListBlockDevices(domain.clone()) => |list| list.0;
        domain_list_interface_devices(domain: &Domain) -> Vec<DomainInterfaceDevice> = OwnDomainListInterfaceDevices(domain.clone()) => |list| list.0;
        domain_inspect(domains: &[Domain]) -> Vec<DomainInspection> = OwnDomainInspect(domains.to_vec().into()) => |list| list.0;
        domain_get_block_info(domain: &Domain, disk: &str, flags: NoFlags) -> DomainBlockInfo = DomainGetBlockInfo(domain.clone(), disk.to_owned(), flags) => |(allocation_bytes, capacity_bytes, physical_bytes)| DomainBlockInfo { capacity_bytes, allocation_bytes, physical_bytes };
    }

    async fn connect_get_uri(&self) -> Result<String> {
        Ok(self.uri.clone())
    }

    async fn domain_open_console(
        &self,
        domain: &Domain,
        device: Option<&str>,
        flags: DomainConsoleFlags,
    ) -> Result<Box<dyn Stream>> {
        let arguments = (domain.clone(), device.map(str::to_owned), flags);
        Ok(self.stream::<call::DomainOpenConsole>(&arguments).await?.1)
    }

    async fn domain_screenshot(
        &self,
        domain: &Domain,
        screen: u32,
        flags: NoFlags,
    ) -> Result<Screenshot> {
        let arguments = (domain.clone(), screen, flags);
        let (mime_type, stream) = self.stream::<call::DomainScreenshot>(&arguments).await?;
        Ok(Screenshot { mime_type: mime_type.unwrap_or_default(), stream })
    }

    async fn connect_domain_event_register_any(
        &self,
        domain: Option<&Domain>,
        event: DomainEventId,
    ) -> Result<Box<dyn EventSubscription>> {
        self.transport.subscribe(event, domain.cloned()).await
    }
}

remote! {
    Definitions {
        domain_create_xml(xml: &str, flags: DomainCreateFlags) -> Domain = DomainCreateXml(xml.to_owned(), flags);
        domain_get_xml_desc(domain: &Domain, flags: DomainXmlFlags) -> String = DomainGetXmlDesc(domain.clone(), flags);
        connect_domain_xml_from_native(format: &str, config: &str, flags: NativeConversionFlags) -> String = ConnectDomainXmlFromNative(format.to_owned(), config.to_owned(), flags);
        connect_domain_xml_to_native(format: &str, xml: &str, flags: NativeConversionFlags) -> String = ConnectDomainXmlToNative(format.to_owned(), xml.to_owned(), flags);
        domain_define_xml_flags(xml: &str, flags: DomainDefineFlags) -> Domain = DomainDefineXmlFlags(xml.to_owned(), flags);
        domain_undefine_flags(domain: &Domain, flags: DomainUndefineFlags) -> () = DomainUndefineFlags(domain.clone(), flags);
        connect_get_domain_capabilities(emulator: Option<&str>, arch: Option<&str>, machine: Option<&str>, virt_type: Option<&str>, flags: NoFlags) -> String = ConnectGetDomainCapabilities(emulator.map(str::to_owned), arch.map(str::to_owned), machine.map(str::to_owned), virt_type.map(str::to_owned), flags);
        domain_attach_device_flags(domain: &Domain, xml: &str, flags: DomainDeviceModifyFlags) -> () = DomainAttachDeviceFlags(domain.clone(), xml.to_owned(), flags);
        domain_detach_device_flags(domain: &Domain, xml: &str, flags: DomainDeviceModifyFlags) -> () = DomainDetachDeviceFlags(domain.clone(), xml.to_owned(), flags);
        domain_update_device_flags(domain: &Domain, xml: &str, flags: DomainDeviceModifyFlags) -> () = DomainUpdateDeviceFlags(domain.clone(), xml.to_owned(), flags);
        domain_get_metadata(domain: &Domain, kind: MetadataType, uri: Option<&str>, flags: DomainModificationFlags) -> String = DomainGetMetadata(domain.clone(), kind, uri.map(str::to_owned), flags);
        domain_set_metadata(domain: &Domain, kind: MetadataType, metadata: Option<&str>, key: Option<&str>, uri: Option<&str>, flags: DomainModificationFlags) -> () = DomainSetMetadata(domain.clone(), kind, metadata.map(str::to_owned), key.map(str::to_owned), uri.map(str::to_owned), flags);
        domain_rename(domain: &Domain, name: &str, flags: NoFlags) -> () = DomainRename(domain.clone(), Some(name.to_owned()), flags) => |_| ();
    }
}

remote! {
    Snapshots {
        domain_snapshot_create_xml(domain: &Domain, xml: &str, flags: SnapshotCreateFlags) -> Snapshot = DomainSnapshotCreateXml(domain.clone(), xml.to_owned(), flags);
        domain_snapshot_get_xml_desc(snapshot: &Snapshot, flags: SnapshotXmlFlags) -> String = DomainSnapshotGetXmlDesc(snapshot.clone(), flags);
        domain_snapshot_num(domain: &Domain, flags: SnapshotListFlags) -> u32 = DomainSnapshotNum(domain.clone(), flags) => |count| count.0;
        domain_snapshot_list_names(domain: &Domain, max: usize, flags: SnapshotListFlags) -> Vec<String> = DomainSnapshotListNames(domain.clone(), Max(max), flags) => |list| list.0;
        domain_list_all_snapshots(domain: &Domain, flags: SnapshotListFlags) -> Vec<Snapshot> = DomainListAllSnapshots(domain.clone(), true, flags) => |reply| reply.0.0;
        domain_snapshot_num_children(snapshot: &Snapshot, flags: SnapshotListFlags) -> u32 = DomainSnapshotNumChildren(snapshot.clone(), flags) => |count| count.0;
        domain_snapshot_list_children_names(snapshot: &Snapshot, max: usize, flags: SnapshotListFlags) -> Vec<String> = DomainSnapshotListChildrenNames(snapshot.clone(), Max(max), flags) => |list| list.0;
        domain_snapshot_list_all_children(snapshot: &Snapshot, flags: SnapshotListFlags) -> Vec<Snapshot> = DomainSnapshotListAllChildren(snapshot.clone(), true, flags) => |reply| reply.0.0;
        domain_snapshot_lookup_by_name(domain: &Domain, name: &str, flags: NoFlags) -> Snapshot = DomainSnapshotLookupByName(domain.clone(), name.to_owned(), flags);
        domain_has_current_snapshot(domain: &Domain, flags: NoFlags) -> bool = DomainHasCurrentSnapshot(domain.clone(), flags);
        domain_snapshot_current(domain: &Domain, flags: NoFlags) -> Snapshot = DomainSnapshotCurrent(domain.clone(), flags);
        domain_snapshot_get_parent(snapshot: &Snapshot, flags: NoFlags) -> Snapshot = DomainSnapshotGetParent(snapshot.clone(), flags);
        domain_snapshot_is_current(snapshot: &Snapshot, flags: NoFlags) -> bool = DomainSnapshotIsCurrent(snapshot.clone(), flags);
        domain_snapshot_has_metadata(snapshot: &Snapshot, flags: NoFlags) -> bool = DomainSnapshotHasMetadata(snapshot.clone(), flags);
        domain_revert_to_snapshot(snapshot: &Snapshot, flags: SnapshotRevertFlags) -> () = DomainRevertToSnapshot(snapshot.clone(), flags);
        domain_snapshot_delete(snapshot: &Snapshot, flags: SnapshotDeleteFlags) -> () = DomainSnapshotDelete(snapshot.clone(), flags);
        domain_snapshots_get_xml_desc(snapshots: &[Snapshot], flags: SnapshotXmlFlags) -> Vec<Result<String>> = OwnSnapshotsGetXmlDesc(snapshots.to_vec().into(), flags) => |list| list.0.into_iter().map(|document| document.0.map_err(plain)).collect();
    }
}

remote! {
    Storage {
        connect_num_of_storage_pools() -> u32 = ConnectNumOfStoragePools() => |count| count.0;
        connect_list_storage_pools(max: usize) -> Vec<String> = ConnectListStoragePools(Max(max)) => |list| list.0;
        connect_num_of_defined_storage_pools() -> u32 = ConnectNumOfDefinedStoragePools() => |count| count.0;
        connect_list_defined_storage_pools(max: usize) -> Vec<String> = ConnectListDefinedStoragePools(Max(max)) => |list| list.0;
        connect_list_all_storage_pools(flags: ListAllStoragePoolsFlags) -> Vec<StoragePool> = ConnectListAllStoragePools(true, flags) => |reply| reply.0.0;
        storage_pool_lookup_by_name(name: &str) -> StoragePool = StoragePoolLookupByName(name.to_owned());
        storage_pool_lookup_by_uuid(uuid: Uuid) -> StoragePool = StoragePoolLookupByUuid(uuid);
        storage_pool_lookup_by_volume(volume: &StorageVol) -> StoragePool = StoragePoolLookupByVolume(volume.clone());
        storage_pool_define_xml(xml: &str, flags: NoFlags) -> StoragePool = StoragePoolDefineXml(xml.to_owned(), flags);
        storage_pool_refresh(pool: &StoragePool, flags: NoFlags) -> () = StoragePoolRefresh(pool.clone(), flags);
        storage_pool_get_info(pool: &StoragePool) -> StoragePoolInfo = StoragePoolGetInfo(pool.clone());
        storage_pool_get_xml_desc(pool: &StoragePool, flags: StorageXmlFlags) -> String = StoragePoolGetXmlDesc(pool.clone(), flags);
        storage_pool_get_autostart(pool: &StoragePool) -> bool = StoragePoolGetAutostart(pool.clone());
        storage_pool_set_autostart(pool: &StoragePool, autostart: bool) -> () = StoragePoolSetAutostart(pool.clone(), autostart);
        storage_pool_is_active(pool: &StoragePool) -> bool = StoragePoolIsActive(pool.clone());
        storage_pool_is_persistent(pool: &StoragePool) -> bool = StoragePoolIsPersistent(pool.clone());
        storage_pool_num_of_volumes(pool: &StoragePool) -> u32 = StoragePoolNumOfVolumes(pool.clone()) => |count| count.0;
        storage_pool_list_volumes(pool: &StoragePool, max: usize) -> Vec<String> = StoragePoolListVolumes(pool.clone(), Max(max)) => |list| list.0;
        storage_pool_list_all_volumes(pool: &StoragePool, flags: NoFlags) -> Vec<StorageVol> = StoragePoolListAllVolumes(pool.clone(), true, flags) => |reply| reply.0.0;
        storage_vol_lookup_by_name(pool: &StoragePool, name: &str) -> StorageVol = StorageVolLookupByName(pool.clone(), name.to_owned());
        storage_vol_lookup_by_key(key: &str) -> StorageVol = StorageVolLookupByKey(key.to_owned());
        storage_vol_lookup_by_path(path: &str) -> StorageVol = StorageVolLookupByPath(path.to_owned());
        storage_vol_get_info(volume: &StorageVol) -> StorageVolInfo = StorageVolGetInfo(volume.clone());
        storage_vol_get_info_flags(volume: &StorageVol, flags: NoFlags) -> StorageVolInfo = StorageVolGetInfoFlags(volume.clone(), flags);
        storage_vol_get_xml_desc(volume: &StorageVol, flags: NoFlags) -> String = StorageVolGetXmlDesc(volume.clone(), flags);
        storage_vol_get_path(volume: &StorageVol) -> String = StorageVolGetPath(volume.clone());
        storage_vol_create_xml(pool: &StoragePool, xml: &str, flags: StorageVolCreateFlags) -> StorageVol = StorageVolCreateXml(pool.clone(), xml.to_owned(), flags);
        storage_vol_create_xml_from(pool: &StoragePool, xml: &str, original: &StorageVol, flags: StorageVolCreateFlags) -> StorageVol = StorageVolCreateXmlFrom(pool.clone(), xml.to_owned(), original.clone(), flags);
        storage_vol_delete(volume: &StorageVol, flags: StorageVolDeleteFlags) -> () = StorageVolDelete(volume.clone(), flags);
        storage_vol_wipe(volume: &StorageVol, flags: NoFlags) -> () = StorageVolWipe(volume.clone(), flags);
        storage_vol_wipe_pattern(volume: &StorageVol, algorithm: u32, flags: NoFlags) -> () = StorageVolWipePattern(volume.clone(), algorithm, flags);
        connect_list_storage_pool_details(flags: ListAllStoragePoolsFlags) -> Vec<ListedPool> = OwnListStoragePoolDetails(flags) => |list| list.0;
        storage_pool_list_volume_details(pool: &StoragePool, flags: NoFlags) -> Vec<ListedVolume> = OwnStoragePoolListVolumeDetails(pool.clone(), flags) => |list| list.0;
        storage_vol_resize(volume: &StorageVol, capacity: u64, flags: StorageVolResizeFlags) -> () = StorageVolResize(volume.clone(), capacity, flags);
    }

    async fn storage_vol_upload(
        &self,
        volume: &StorageVol,
        offset: u64,
        length: u64,
        flags: StorageVolTransferFlags,
    ) -> Result<Box<dyn Stream>> {
        let arguments = (volume.clone(), offset, length, flags);
        Ok(self.stream::<call::StorageVolUpload>(&arguments).await?.1)
    }

    async fn storage_vol_download(
        &self,
        volume: &StorageVol,
        offset: u64,
        length: u64,
        flags: StorageVolTransferFlags,
    ) -> Result<Box<dyn Stream>> {
        let arguments = (volume.clone(), offset, length, flags);
        Ok(self.stream::<call::StorageVolDownload>(&arguments).await?.1)
    }
}

remote! {
    Network {
        connect_num_of_networks() -> u32 = ConnectNumOfNetworks() => |count| count.0;
        connect_list_networks(max: usize) -> Vec<String> = ConnectListNetworks(Max(max)) => |list| list.0;
        connect_num_of_defined_networks() -> u32 = ConnectNumOfDefinedNetworks() => |count| count.0;
        connect_list_defined_networks(max: usize) -> Vec<String> = ConnectListDefinedNetworks(Max(max)) => |list| list.0;
        connect_list_all_networks(flags: ListAllNetworksFlags) -> Vec<NetworkHandle> = ConnectListAllNetworks(true, flags) => |reply| reply.0.0;
        network_lookup_by_name(name: &str) -> NetworkHandle = NetworkLookupByName(name.to_owned());
        network_lookup_by_uuid(uuid: Uuid) -> NetworkHandle = NetworkLookupByUuid(uuid);
        network_define_xml(xml: &str, flags: NetworkDefineFlags) -> NetworkHandle = NetworkDefineXmlFlags(xml.to_owned(), flags);
        network_undefine(network: &NetworkHandle) -> () = NetworkUndefine(network.clone());
        network_get_xml_desc(network: &NetworkHandle, flags: NetworkXmlFlags) -> String = NetworkGetXmlDesc(network.clone(), flags);
        network_get_bridge_name(network: &NetworkHandle) -> String = NetworkGetBridgeName(network.clone());
        network_get_autostart(network: &NetworkHandle) -> bool = NetworkGetAutostart(network.clone());
        network_set_autostart(network: &NetworkHandle, autostart: bool) -> () = NetworkSetAutostart(network.clone(), autostart);
        network_is_active(network: &NetworkHandle) -> bool = NetworkIsActive(network.clone());
        network_is_persistent(network: &NetworkHandle) -> bool = NetworkIsPersistent(network.clone());
    }
}

remote! {
    Interface {
        connect_num_of_interfaces() -> u32 = ConnectNumOfInterfaces() => |count| count.0;
        connect_list_interfaces(max: usize) -> Vec<String> = ConnectListInterfaces(Max(max)) => |list| list.0;
        connect_num_of_defined_interfaces() -> u32 = ConnectNumOfDefinedInterfaces() => |count| count.0;
        connect_list_defined_interfaces(max: usize) -> Vec<String> = ConnectListDefinedInterfaces(Max(max)) => |list| list.0;
        connect_list_all_interfaces(flags: ListAllInterfacesFlags) -> Vec<InterfaceHandle> = ConnectListAllInterfaces(true, flags) => |reply| reply.0.0;
        interface_lookup_by_name(name: &str) -> InterfaceHandle = InterfaceLookupByName(name.to_owned());
        interface_lookup_by_mac_string(mac: &str) -> InterfaceHandle = InterfaceLookupByMacString(mac.to_owned());
        interface_get_xml_desc(interface: &InterfaceHandle, flags: InterfaceXmlFlags) -> String = InterfaceGetXmlDesc(interface.clone(), flags);
        interface_is_active(interface: &InterfaceHandle) -> bool = InterfaceIsActive(interface.clone());
    }
}

remote! {
    Questions {
        list_questions(domain: Option<&Domain>) -> Vec<DomainQuestion> = OwnListQuestions(domain.cloned()) => |list| list.0;
        answer_question(question: &DomainQuestion, key: &str) -> () = OwnAnswerQuestion(question.clone(), key.to_owned());
    }
}
