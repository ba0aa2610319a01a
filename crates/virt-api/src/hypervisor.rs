//! Domains, snapshots and the host: libvirt's hypervisor driver.

use async_trait::async_trait;
use uuid::Uuid;

use crate::{
    Domain, DomainBlockDevice, DomainBlockInfo, DomainConsoleFlags, DomainCreateFlags,
    DomainDefineFlags, DomainDestroyFlags, DomainDetails, DomainDeviceModifyFlags, DomainEventId,
    DomainExport, DomainInfo, DomainInspection, DomainInterface, DomainInterfaceDevice,
    DomainMemoryFlags, DomainMemoryStat, DomainModificationFlags, DomainRebootFlags,
    DomainSelector, DomainShutdownFlags, DomainState, DomainStateReason, DomainStats,
    DomainStatsFlags, DomainStatsTypes, DomainUndefineFlags, DomainVcpuFlags, DomainXmlFlags,
    Error, EventSubscription, ExportOptions, Feature, InterfaceAddressesSource,
    ListAllDomainsFlags, ListedDomain, MetadataType, MigrateFlags, MigratePrepared,
    NativeConversionFlags, NoFlags, NodeInfo, Result, SchedulerType, Screenshot, Snapshot,
    SnapshotCreateFlags, SnapshotDeleteFlags, SnapshotListFlags, SnapshotRevertFlags,
    SnapshotXmlFlags, Stream, TypedParam, Version,
};

/// The functions of libvirt's hypervisor driver that its ESX driver has, and a few more.
///
/// Every function has a body: unless the driver writes its own, it answers `VIR_ERR_NO_SUPPORT` with the name of
/// libvirt's public function. Where libvirt has a plain function and one with flags, the plain one calls the other
/// with the flags it stands for. Besides the errors named, any function may fail because of the host, the session or
/// the network, and those that change something fail with `VIR_ERR_OPERATION_DENIED` on a read-only connection.
#[async_trait]
pub trait Hypervisor: Send + Sync {
    // The connection and the host.

    /// The URI of the connection, with an explicit port and without secrets. libvirt: `virConnectGetURI`.
    async fn connect_get_uri(&self) -> Result<String> {
        Err(Error::no_support("virConnectGetURI"))
    }

    /// Whether the driver has a feature (domain.md 4.1). libvirt: `virConnectSupportsFeature`.
    async fn connect_supports_feature(&self, _feature: Feature) -> Result<bool> {
        Err(Error::no_support("virConnectSupportsFeature"))
    }

    /// Name of the hypervisor: `ESX` for every VMware connection. libvirt: `virConnectGetType`.
    async fn connect_get_type(&self) -> Result<String> {
        Err(Error::no_support("virConnectGetType"))
    }

    /// Product version of the host, or of the vCenter on `vpx://`. libvirt: `virConnectGetVersion`.
    async fn connect_get_version(&self) -> Result<Version> {
        Err(Error::no_support("virConnectGetVersion"))
    }

    /// DNS name of the host: host name, then domain if there is one. libvirt: `virConnectGetHostname`.
    ///
    /// # Errors
    /// `VIR_ERR_INTERNAL_ERROR` if the host has no name.
    async fn connect_get_hostname(&self) -> Result<String> {
        Err(Error::no_support("virConnectGetHostname"))
    }

    /// The capabilities document as XML. libvirt: `virConnectGetCapabilities`.
    async fn connect_get_capabilities(&self) -> Result<String> {
        Err(Error::no_support("virConnectGetCapabilities"))
    }

    /// Whether the transport is encrypted. libvirt: `virConnectIsEncrypted`.
    async fn connect_is_encrypted(&self) -> Result<bool> {
        Err(Error::no_support("virConnectIsEncrypted"))
    }

    /// Whether the transport is secure. libvirt: `virConnectIsSecure`.
    async fn connect_is_secure(&self) -> Result<bool> {
        Err(Error::no_support("virConnectIsSecure"))
    }

    /// Whether the connection can still be used. libvirt: `virConnectIsAlive`.
    async fn connect_is_alive(&self) -> Result<bool> {
        Err(Error::no_support("virConnectIsAlive"))
    }

    /// Hardware of the host (domain.md 4.5). libvirt: `virNodeGetInfo`.
    async fn node_get_info(&self) -> Result<NodeInfo> {
        Err(Error::no_support("virNodeGetInfo"))
    }

    /// Free memory of the host in bytes (domain.md 4.7). libvirt: `virNodeGetFreeMemory`.
    async fn node_get_free_memory(&self) -> Result<u64> {
        Err(Error::no_support("virNodeGetFreeMemory"))
    }

    // Lists and lookups.

    /// IDs of the active domains in the order of the host, at most `max`. libvirt: `virConnectListDomains`.
    async fn connect_list_domains(&self, _max: usize) -> Result<Vec<i32>> {
        Err(Error::no_support("virConnectListDomains"))
    }

    /// Number of active domains. libvirt: `virConnectNumOfDomains`.
    async fn connect_num_of_domains(&self) -> Result<u32> {
        Err(Error::no_support("virConnectNumOfDomains"))
    }

    /// Names of the inactive domains in the order of the host, at most `max`. libvirt:
    /// `virConnectListDefinedDomains`.
    async fn connect_list_defined_domains(&self, _max: usize) -> Result<Vec<String>> {
        Err(Error::no_support("virConnectListDefinedDomains"))
    }

    /// Number of inactive domains. libvirt: `virConnectNumOfDefinedDomains`.
    async fn connect_num_of_defined_domains(&self) -> Result<u32> {
        Err(Error::no_support("virConnectNumOfDefinedDomains"))
    }

    /// The domains that pass the filters, in the order of the host, each with all that a list shows: no second
    /// question per domain is needed. A domain that the host describes badly becomes a row with a problem. libvirt:
    /// `virConnectListAllDomains`.
    ///
    /// # Errors
    /// `VIR_ERR_INVALID_ARG` for unknown flags.
    async fn connect_list_all_domains(
        &self,
        _flags: ListAllDomainsFlags,
    ) -> Result<Vec<ListedDomain>> {
        Err(Error::no_support("virConnectListAllDomains"))
    }

    /// The domain with this ID; only those not shut off have one. libvirt: `virDomainLookupByID`.
    ///
    /// # Errors
    /// `VIR_ERR_NO_DOMAIN`; `VIR_ERR_INVALID_ARG` for a negative ID.
    async fn domain_lookup_by_id(&self, _id: i32) -> Result<Domain> {
        Err(Error::no_support("virDomainLookupByID"))
    }

    /// The domain with this UUID. libvirt: `virDomainLookupByUUID`.
    ///
    /// # Errors
    /// `VIR_ERR_NO_DOMAIN`.
    async fn domain_lookup_by_uuid(&self, _uuid: Uuid) -> Result<Domain> {
        Err(Error::no_support("virDomainLookupByUUID"))
    }

    /// The domain with exactly this name. libvirt: `virDomainLookupByName`.
    ///
    /// # Errors
    /// `VIR_ERR_NO_DOMAIN`, with the nearest names in the message.
    async fn domain_lookup_by_name(&self, _name: &str) -> Result<Domain> {
        Err(Error::no_support("virDomainLookupByName"))
    }

    // Life cycle.

    /// Pauses a running domain. libvirt: `virDomainSuspend`.
    ///
    /// # Errors
    /// `VIR_ERR_OPERATION_INVALID` in any other state.
    async fn domain_suspend(&self, _domain: &Domain) -> Result<()> {
        Err(Error::no_support("virDomainSuspend"))
    }

    /// Lets a paused domain run again. libvirt: `virDomainResume`.
    ///
    /// # Errors
    /// `VIR_ERR_OPERATION_INVALID` in any other state.
    async fn domain_resume(&self, _domain: &Domain) -> Result<()> {
        Err(Error::no_support("virDomainResume"))
    }

    /// Asks the guest to shut down. libvirt: `virDomainShutdown`.
    async fn domain_shutdown(&self, domain: &Domain) -> Result<()> {
        self.domain_shutdown_flags(domain, DomainShutdownFlags::empty()).await
    }

    /// Asks the guest to shut down; answers when the guest was asked. libvirt: `virDomainShutdownFlags`.
    ///
    /// # Errors
    /// `VIR_ERR_OPERATION_INVALID` if it does not run.
    async fn domain_shutdown_flags(
        &self,
        _domain: &Domain,
        _flags: DomainShutdownFlags,
    ) -> Result<()> {
        Err(Error::no_support("virDomainShutdownFlags"))
    }

    /// Asks the guest to reboot; answers when the guest was asked. libvirt: `virDomainReboot`.
    ///
    /// # Errors
    /// `VIR_ERR_OPERATION_INVALID` if it does not run.
    async fn domain_reboot(&self, _domain: &Domain, _flags: DomainRebootFlags) -> Result<()> {
        Err(Error::no_support("virDomainReboot"))
    }

    /// Stops a domain at once. libvirt: `virDomainDestroy`.
    async fn domain_destroy(&self, domain: &Domain) -> Result<()> {
        self.domain_destroy_flags(domain, DomainDestroyFlags::empty()).await
    }

    /// Stops a domain at once; afterwards it has no ID. libvirt: `virDomainDestroyFlags`.
    ///
    /// # Errors
    /// `VIR_ERR_OPERATION_INVALID` if it is off.
    async fn domain_destroy_flags(
        &self,
        _domain: &Domain,
        _flags: DomainDestroyFlags,
    ) -> Result<()> {
        Err(Error::no_support("virDomainDestroyFlags"))
    }

    /// Starts a domain. libvirt: `virDomainCreate`.
    async fn domain_create(&self, domain: &Domain) -> Result<Domain> {
        self.domain_create_with_flags(domain, DomainCreateFlags::empty()).await
    }

    /// Starts a domain and gives its handle with the new ID. libvirt: `virDomainCreateWithFlags`.
    ///
    /// # Errors
    /// `VIR_ERR_OPERATION_INVALID` if it is not off.
    async fn domain_create_with_flags(
        &self,
        _domain: &Domain,
        _flags: DomainCreateFlags,
    ) -> Result<Domain> {
        Err(Error::no_support("virDomainCreateWithFlags"))
    }

    // Facts about a domain.

    /// Operating system type: `hvm` on VMware hosts. libvirt: `virDomainGetOSType`.
    async fn domain_get_os_type(&self, _domain: &Domain) -> Result<String> {
        Err(Error::no_support("virDomainGetOSType"))
    }

    /// State, memory and CPUs. libvirt: `virDomainGetInfo`.
    ///
    /// # Errors
    /// `VIR_ERR_NO_DOMAIN`.
    async fn domain_get_info(&self, _domain: &Domain) -> Result<DomainInfo> {
        Err(Error::no_support("virDomainGetInfo"))
    }

    /// State and its reason. libvirt: `virDomainGetState`.
    ///
    /// # Errors
    /// `VIR_ERR_NO_DOMAIN`.
    async fn domain_get_state(
        &self,
        _domain: &Domain,
        _flags: NoFlags,
    ) -> Result<(DomainState, DomainStateReason)> {
        Err(Error::no_support("virDomainGetState"))
    }

    /// Whether it is in any state but shut off. libvirt: `virDomainIsActive`.
    ///
    /// # Errors
    /// `VIR_ERR_NO_DOMAIN`.
    async fn domain_is_active(&self, _domain: &Domain) -> Result<bool> {
        Err(Error::no_support("virDomainIsActive"))
    }

    /// Whether its definition outlives it; always on VMware hosts. libvirt: `virDomainIsPersistent`.
    ///
    /// # Errors
    /// `VIR_ERR_NO_DOMAIN`.
    async fn domain_is_persistent(&self, _domain: &Domain) -> Result<bool> {
        Err(Error::no_support("virDomainIsPersistent"))
    }

    /// Whether the definition changed since the start; never on VMware hosts. libvirt: `virDomainIsUpdated`.
    ///
    /// # Errors
    /// `VIR_ERR_NO_DOMAIN`.
    async fn domain_is_updated(&self, _domain: &Domain) -> Result<bool> {
        Err(Error::no_support("virDomainIsUpdated"))
    }

    /// Whether a managed save image exists; never on VMware hosts. libvirt: `virDomainHasManagedSaveImage`.
    ///
    /// # Errors
    /// `VIR_ERR_NO_DOMAIN`.
    async fn domain_has_managed_save_image(
        &self,
        _domain: &Domain,
        _flags: NoFlags,
    ) -> Result<bool> {
        Err(Error::no_support("virDomainHasManagedSaveImage"))
    }

    /// The guest's host name, as the guest tools tell it. libvirt: `virDomainGetHostname`.
    ///
    /// # Errors
    /// `VIR_ERR_OPERATION_INVALID` if it does not run or no tools answer.
    async fn domain_get_hostname(&self, _domain: &Domain, _flags: NoFlags) -> Result<String> {
        Err(Error::no_support("virDomainGetHostname"))
    }

    /// The guest's network interfaces with their addresses. libvirt: `virDomainInterfaceAddresses`.
    ///
    /// # Errors
    /// `VIR_ERR_ARGUMENT_UNSUPPORTED` for a source the host lacks.
    async fn domain_interface_addresses(
        &self,
        _domain: &Domain,
        _source: InterfaceAddressesSource,
        _flags: NoFlags,
    ) -> Result<Vec<DomainInterface>> {
        Err(Error::no_support("virDomainInterfaceAddresses"))
    }

    /// A picture of a screen. libvirt: `virDomainScreenshot`.
    ///
    /// # Errors
    /// `VIR_ERR_OPERATION_UNSUPPORTED` if the host cannot.
    async fn domain_screenshot(
        &self,
        _domain: &Domain,
        _screen: u32,
        _flags: NoFlags,
    ) -> Result<Screenshot> {
        Err(Error::no_support("virDomainScreenshot"))
    }

    // Memory.

    /// Most memory the domain may have, in KiB. libvirt: `virDomainGetMaxMemory`.
    async fn domain_get_max_memory(&self, _domain: &Domain) -> Result<u64> {
        Err(Error::no_support("virDomainGetMaxMemory"))
    }

    /// Sets the most memory the domain may have. libvirt: `virDomainSetMaxMemory`.
    async fn domain_set_max_memory(&self, _domain: &Domain, _memory_kib: u64) -> Result<()> {
        Err(Error::no_support("virDomainSetMaxMemory"))
    }

    /// Sets the current memory. libvirt: `virDomainSetMemory`.
    async fn domain_set_memory(&self, domain: &Domain, memory_kib: u64) -> Result<()> {
        self.domain_set_memory_flags(domain, memory_kib, DomainMemoryFlags::empty()).await
    }

    /// Sets the current memory: the balloon (domain.md 7.1). libvirt: `virDomainSetMemoryFlags`.
    async fn domain_set_memory_flags(
        &self,
        _domain: &Domain,
        _memory_kib: u64,
        _flags: DomainMemoryFlags,
    ) -> Result<()> {
        Err(Error::no_support("virDomainSetMemoryFlags"))
    }

    /// Memory parameters: `min_guarantee` (KiB) on VMware hosts. libvirt: `virDomainGetMemoryParameters`.
    async fn domain_get_memory_parameters(
        &self,
        _domain: &Domain,
        _flags: DomainModificationFlags,
    ) -> Result<Vec<TypedParam>> {
        Err(Error::no_support("virDomainGetMemoryParameters"))
    }

    /// Sets memory parameters. libvirt: `virDomainSetMemoryParameters`.
    ///
    /// # Errors
    /// `VIR_ERR_INVALID_ARG` for a wrong type, `VIR_ERR_ARGUMENT_UNSUPPORTED` for an unknown name.
    async fn domain_set_memory_parameters(
        &self,
        _domain: &Domain,
        _params: &[TypedParam],
        _flags: DomainModificationFlags,
    ) -> Result<()> {
        Err(Error::no_support("virDomainSetMemoryParameters"))
    }

    // Virtual CPUs and their scheduler.

    /// Sets the number of CPUs. libvirt: `virDomainSetVcpus`.
    async fn domain_set_vcpus(&self, domain: &Domain, vcpus: u32) -> Result<()> {
        self.domain_set_vcpus_flags(domain, vcpus, DomainVcpuFlags::AFFECT_LIVE).await
    }

    /// Sets the number of CPUs. libvirt: `virDomainSetVcpusFlags`.
    async fn domain_set_vcpus_flags(
        &self,
        _domain: &Domain,
        _vcpus: u32,
        _flags: DomainVcpuFlags,
    ) -> Result<()> {
        Err(Error::no_support("virDomainSetVcpusFlags"))
    }

    /// Number of CPUs. libvirt: `virDomainGetVcpusFlags`.
    async fn domain_get_vcpus_flags(
        &self,
        _domain: &Domain,
        _flags: DomainVcpuFlags,
    ) -> Result<u32> {
        Err(Error::no_support("virDomainGetVcpusFlags"))
    }

    /// Most CPUs the domain may have. libvirt: `virDomainGetMaxVcpus`.
    async fn domain_get_max_vcpus(&self, domain: &Domain) -> Result<u32> {
        self.domain_get_vcpus_flags(
            domain,
            DomainVcpuFlags::AFFECT_LIVE | DomainVcpuFlags::VCPU_MAXIMUM,
        )
        .await
    }

    /// Name of the scheduler and number of its parameters. libvirt: `virDomainGetSchedulerType`.
    async fn domain_get_scheduler_type(&self, _domain: &Domain) -> Result<SchedulerType> {
        Err(Error::no_support("virDomainGetSchedulerType"))
    }

    /// Scheduler parameters. libvirt: `virDomainGetSchedulerParameters`.
    async fn domain_get_scheduler_parameters(&self, domain: &Domain) -> Result<Vec<TypedParam>> {
        self.domain_get_scheduler_parameters_flags(domain, DomainModificationFlags::empty()).await
    }

    /// Scheduler parameters: `reservation` and `limit` (MHz), `shares` (domain.md 8.4). libvirt:
    /// `virDomainGetSchedulerParametersFlags`.
    async fn domain_get_scheduler_parameters_flags(
        &self,
        _domain: &Domain,
        _flags: DomainModificationFlags,
    ) -> Result<Vec<TypedParam>> {
        Err(Error::no_support("virDomainGetSchedulerParametersFlags"))
    }

    /// Sets scheduler parameters. libvirt: `virDomainSetSchedulerParameters`.
    async fn domain_set_scheduler_parameters(
        &self,
        domain: &Domain,
        params: &[TypedParam],
    ) -> Result<()> {
        self.domain_set_scheduler_parameters_flags(domain, params, DomainModificationFlags::empty())
            .await
    }

    /// Sets scheduler parameters. libvirt: `virDomainSetSchedulerParametersFlags`.
    ///
    /// # Errors
    /// `VIR_ERR_INVALID_ARG` for a wrong type or value, `VIR_ERR_ARGUMENT_UNSUPPORTED` for an unknown name.
    async fn domain_set_scheduler_parameters_flags(
        &self,
        _domain: &Domain,
        _params: &[TypedParam],
        _flags: DomainModificationFlags,
    ) -> Result<()> {
        Err(Error::no_support("virDomainSetSchedulerParametersFlags"))
    }

    // Documents and definitions.

    /// The domain as XML (domain.md 11.1). libvirt: `virDomainGetXMLDesc`.
    ///
    /// # Errors
    /// `VIR_ERR_NO_DOMAIN`.
    async fn domain_get_xml_desc(
        &self,
        _domain: &Domain,
        _flags: DomainXmlFlags,
    ) -> Result<String> {
        Err(Error::no_support("virDomainGetXMLDesc"))
    }

    /// Converts a configuration in the host's own format (`vmware-vmx`) to domain XML. libvirt:
    /// `virConnectDomainXMLFromNative`.
    ///
    /// # Errors
    /// `VIR_ERR_INVALID_ARG` for an unknown format.
    async fn connect_domain_xml_from_native(
        &self,
        _format: &str,
        _config: &str,
        _flags: NativeConversionFlags,
    ) -> Result<String> {
        Err(Error::no_support("virConnectDomainXMLFromNative"))
    }

    /// Converts domain XML to the host's own format (`vmware-vmx`). libvirt: `virConnectDomainXMLToNative`.
    ///
    /// # Errors
    /// `VIR_ERR_INVALID_ARG` for an unknown format.
    async fn connect_domain_xml_to_native(
        &self,
        _format: &str,
        _xml: &str,
        _flags: NativeConversionFlags,
    ) -> Result<String> {
        Err(Error::no_support("virConnectDomainXMLToNative"))
    }

    /// Defines a domain. libvirt: `virDomainDefineXML`.
    async fn domain_define_xml(&self, xml: &str) -> Result<Domain> {
        self.domain_define_xml_flags(xml, DomainDefineFlags::empty()).await
    }

    /// Defines a domain from its document (domain.md 12.1). libvirt: `virDomainDefineXMLFlags`.
    async fn domain_define_xml_flags(
        &self,
        _xml: &str,
        _flags: DomainDefineFlags,
    ) -> Result<Domain> {
        Err(Error::no_support("virDomainDefineXMLFlags"))
    }

    /// Removes a definition. libvirt: `virDomainUndefine`.
    async fn domain_undefine(&self, domain: &Domain) -> Result<()> {
        self.domain_undefine_flags(domain, DomainUndefineFlags::empty()).await
    }

    /// Removes a definition; files stay. libvirt: `virDomainUndefineFlags`.
    ///
    /// # Errors
    /// `VIR_ERR_OPERATION_INVALID` if it runs.
    async fn domain_undefine_flags(
        &self,
        _domain: &Domain,
        _flags: DomainUndefineFlags,
    ) -> Result<()> {
        Err(Error::no_support("virDomainUndefineFlags"))
    }

    /// Whether the host starts it by itself (domain.md 13). libvirt: `virDomainGetAutostart`.
    async fn domain_get_autostart(&self, _domain: &Domain) -> Result<bool> {
        Err(Error::no_support("virDomainGetAutostart"))
    }

    /// Sets whether the host starts it by itself. libvirt: `virDomainSetAutostart`.
    async fn domain_set_autostart(&self, _domain: &Domain, _autostart: bool) -> Result<()> {
        Err(Error::no_support("virDomainSetAutostart"))
    }

    /// Stops what the host is doing to a domain, if that can be stopped. libvirt: `virDomainAbortJob`.
    ///
    /// # Errors
    /// `VIR_ERR_OPERATION_INVALID` if nothing is under way, `VIR_ERR_OPERATION_UNSUPPORTED` if it cannot be stopped.
    async fn domain_abort_job(&self, _domain: &Domain) -> Result<()> {
        Err(Error::no_support("virDomainAbortJob"))
    }

    // Migration, protocol version 1 (domain.md 14).

    /// Asked of the destination: where the source shall send the domain. libvirt: `virDomainMigratePrepare`.
    async fn domain_migrate_prepare(
        &self,
        _uri: Option<&str>,
        _flags: MigrateFlags,
        _name: Option<&str>,
        _bandwidth_mib: u64,
    ) -> Result<MigratePrepared> {
        Err(Error::no_support("virDomainMigratePrepare"))
    }

    /// Asked of the source: moves the domain. libvirt: `virDomainMigratePerform`.
    async fn domain_migrate_perform(
        &self,
        _domain: &Domain,
        _cookie: &[u8],
        _uri: &str,
        _flags: MigrateFlags,
        _name: Option<&str>,
        _bandwidth_mib: u64,
    ) -> Result<()> {
        Err(Error::no_support("virDomainMigratePerform"))
    }

    /// Asked of the destination: the domain that arrived. libvirt: `virDomainMigrateFinish`.
    async fn domain_migrate_finish(
        &self,
        _name: &str,
        _cookie: &[u8],
        _uri: &str,
        _flags: MigrateFlags,
    ) -> Result<Domain> {
        Err(Error::no_support("virDomainMigrateFinish"))
    }

    // Snapshots (domain.md 15).

    /// Makes a snapshot. libvirt: `virDomainSnapshotCreateXML`.
    async fn domain_snapshot_create_xml(
        &self,
        _domain: &Domain,
        _xml: &str,
        _flags: SnapshotCreateFlags,
    ) -> Result<Snapshot> {
        Err(Error::no_support("virDomainSnapshotCreateXML"))
    }

    /// The snapshot as XML. libvirt: `virDomainSnapshotGetXMLDesc`.
    ///
    /// # Errors
    /// `VIR_ERR_NO_DOMAIN_SNAPSHOT`.
    async fn domain_snapshot_get_xml_desc(
        &self,
        _snapshot: &Snapshot,
        _flags: SnapshotXmlFlags,
    ) -> Result<String> {
        Err(Error::no_support("virDomainSnapshotGetXMLDesc"))
    }

    /// The documents of several snapshots of one domain, in their order; one that cannot be told from another of its name has
    /// an error of its own. Beyond libvirt: a driver may read all of them at once.
    async fn domain_snapshots_get_xml_desc(
        &self,
        snapshots: &[Snapshot],
        flags: SnapshotXmlFlags,
    ) -> Result<Vec<Result<String>>> {
        let mut documents = Vec::with_capacity(snapshots.len());
        for snapshot in snapshots {
            documents.push(self.domain_snapshot_get_xml_desc(snapshot, flags).await);
        }
        Ok(documents)
    }

    /// Number of snapshots. libvirt: `virDomainSnapshotNum`.
    async fn domain_snapshot_num(
        &self,
        _domain: &Domain,
        _flags: SnapshotListFlags,
    ) -> Result<u32> {
        Err(Error::no_support("virDomainSnapshotNum"))
    }

    /// Names of the snapshots, a parent before its children, at most `max`. libvirt: `virDomainSnapshotListNames`.
    async fn domain_snapshot_list_names(
        &self,
        _domain: &Domain,
        _max: usize,
        _flags: SnapshotListFlags,
    ) -> Result<Vec<String>> {
        Err(Error::no_support("virDomainSnapshotListNames"))
    }

    /// Handles of the snapshots. libvirt: `virDomainListAllSnapshots`.
    async fn domain_list_all_snapshots(
        &self,
        _domain: &Domain,
        _flags: SnapshotListFlags,
    ) -> Result<Vec<Snapshot>> {
        Err(Error::no_support("virDomainListAllSnapshots"))
    }

    /// Number of children, or of all below with `ROOTS` (libvirt `DESCENDANTS`). libvirt:
    /// `virDomainSnapshotNumChildren`.
    async fn domain_snapshot_num_children(
        &self,
        _snapshot: &Snapshot,
        _flags: SnapshotListFlags,
    ) -> Result<u32> {
        Err(Error::no_support("virDomainSnapshotNumChildren"))
    }

    /// Names of the children, at most `max`. libvirt: `virDomainSnapshotListChildrenNames`.
    async fn domain_snapshot_list_children_names(
        &self,
        _snapshot: &Snapshot,
        _max: usize,
        _flags: SnapshotListFlags,
    ) -> Result<Vec<String>> {
        Err(Error::no_support("virDomainSnapshotListChildrenNames"))
    }

    /// Handles of the children. libvirt: `virDomainSnapshotListAllChildren`.
    async fn domain_snapshot_list_all_children(
        &self,
        _snapshot: &Snapshot,
        _flags: SnapshotListFlags,
    ) -> Result<Vec<Snapshot>> {
        Err(Error::no_support("virDomainSnapshotListAllChildren"))
    }

    /// The snapshot with this name. libvirt: `virDomainSnapshotLookupByName`.
    ///
    /// # Errors
    /// `VIR_ERR_NO_DOMAIN_SNAPSHOT`.
    async fn domain_snapshot_lookup_by_name(
        &self,
        _domain: &Domain,
        _name: &str,
        _flags: NoFlags,
    ) -> Result<Snapshot> {
        Err(Error::no_support("virDomainSnapshotLookupByName"))
    }

    /// Whether there is a current snapshot. libvirt: `virDomainHasCurrentSnapshot`.
    async fn domain_has_current_snapshot(&self, _domain: &Domain, _flags: NoFlags) -> Result<bool> {
        Err(Error::no_support("virDomainHasCurrentSnapshot"))
    }

    /// The current snapshot. libvirt: `virDomainSnapshotCurrent`.
    ///
    /// # Errors
    /// `VIR_ERR_NO_DOMAIN_SNAPSHOT`.
    async fn domain_snapshot_current(&self, _domain: &Domain, _flags: NoFlags) -> Result<Snapshot> {
        Err(Error::no_support("virDomainSnapshotCurrent"))
    }

    /// The snapshot it grew from. libvirt: `virDomainSnapshotGetParent`.
    ///
    /// # Errors
    /// `VIR_ERR_NO_DOMAIN_SNAPSHOT` for a root.
    async fn domain_snapshot_get_parent(
        &self,
        _snapshot: &Snapshot,
        _flags: NoFlags,
    ) -> Result<Snapshot> {
        Err(Error::no_support("virDomainSnapshotGetParent"))
    }

    /// Whether it is the current one. libvirt: `virDomainSnapshotIsCurrent`.
    ///
    /// # Errors
    /// `VIR_ERR_NO_DOMAIN_SNAPSHOT`.
    async fn domain_snapshot_is_current(
        &self,
        _snapshot: &Snapshot,
        _flags: NoFlags,
    ) -> Result<bool> {
        Err(Error::no_support("virDomainSnapshotIsCurrent"))
    }

    /// Whether the client keeps metadata; never on VMware hosts. libvirt: `virDomainSnapshotHasMetadata`.
    ///
    /// # Errors
    /// `VIR_ERR_NO_DOMAIN_SNAPSHOT`.
    async fn domain_snapshot_has_metadata(
        &self,
        _snapshot: &Snapshot,
        _flags: NoFlags,
    ) -> Result<bool> {
        Err(Error::no_support("virDomainSnapshotHasMetadata"))
    }

    /// Goes back to a snapshot. libvirt: `virDomainRevertToSnapshot`.
    ///
    /// # Errors
    /// `VIR_ERR_NO_DOMAIN_SNAPSHOT`.
    async fn domain_revert_to_snapshot(
        &self,
        _snapshot: &Snapshot,
        _flags: SnapshotRevertFlags,
    ) -> Result<()> {
        Err(Error::no_support("virDomainRevertToSnapshot"))
    }

    /// Deletes a snapshot; its children move up unless deleted too. libvirt: `virDomainSnapshotDelete`.
    ///
    /// # Errors
    /// `VIR_ERR_NO_DOMAIN_SNAPSHOT`.
    async fn domain_snapshot_delete(
        &self,
        _snapshot: &Snapshot,
        _flags: SnapshotDeleteFlags,
    ) -> Result<()> {
        Err(Error::no_support("virDomainSnapshotDelete"))
    }

    // What libvirt's own ESX driver lacks, kept here for the rooms to come.

    /// Subscribes to events of one domain or of all. libvirt: `virConnectDomainEventRegisterAny`.
    async fn connect_domain_event_register_any(
        &self,
        _domain: Option<&Domain>,
        _event: DomainEventId,
    ) -> Result<Box<dyn EventSubscription>> {
        Err(Error::no_support("virConnectDomainEventRegisterAny"))
    }

    /// A stream to and from a serial port, both ways at once; the first one without `device`. libvirt: `virDomainOpenConsole`.
    ///
    /// # Errors
    /// `VIR_ERR_OPERATION_INVALID` if there is no such port or nothing is connected to it; `VIR_ERR_OPERATION_FAILED` while
    /// somebody else writes to it.
    async fn domain_open_console(
        &self,
        _domain: &Domain,
        _device: Option<&str>,
        _flags: DomainConsoleFlags,
    ) -> Result<Box<dyn Stream>> {
        Err(Error::no_support("virDomainOpenConsole"))
    }

    /// Statistics of several domains, or of all if none is named. libvirt: `virDomainListGetStats`.
    async fn connect_get_all_domain_stats(
        &self,
        _domains: &[Domain],
        _stats: DomainStatsTypes,
        _flags: DomainStatsFlags,
    ) -> Result<Vec<DomainStats>> {
        Err(Error::no_support("virConnectGetAllDomainStats"))
    }

    /// Figures of a domain's memory. libvirt: `virDomainMemoryStats`; its ESX driver has none.
    async fn domain_memory_stats(
        &self,
        _domain: &Domain,
        _flags: NoFlags,
    ) -> Result<Vec<DomainMemoryStat>> {
        Err(Error::no_support("virDomainMemoryStats"))
    }

    /// Sizes of a disk, which is named by target or source. libvirt: `virDomainGetBlockInfo`; its ESX driver has none.
    ///
    /// # Errors
    /// `VIR_ERR_INVALID_ARG` if the domain has no such disk.
    async fn domain_get_block_info(
        &self,
        _domain: &Domain,
        _disk: &str,
        _flags: NoFlags,
    ) -> Result<DomainBlockInfo> {
        Err(Error::no_support("virDomainGetBlockInfo"))
    }

    /// What domains may have on this host, as XML. libvirt: `virConnectGetDomainCapabilities`.
    async fn connect_get_domain_capabilities(
        &self,
        _emulator: Option<&str>,
        _arch: Option<&str>,
        _machine: Option<&str>,
        _virt_type: Option<&str>,
        _flags: NoFlags,
    ) -> Result<String> {
        Err(Error::no_support("virConnectGetDomainCapabilities"))
    }

    /// Makes and starts a domain. libvirt: `virDomainCreateXML`.
    async fn domain_create_xml(&self, _xml: &str, _flags: DomainCreateFlags) -> Result<Domain> {
        Err(Error::no_support("virDomainCreateXML"))
    }

    /// Adds a device. libvirt: `virDomainAttachDeviceFlags`.
    async fn domain_attach_device_flags(
        &self,
        _domain: &Domain,
        _xml: &str,
        _flags: DomainDeviceModifyFlags,
    ) -> Result<()> {
        Err(Error::no_support("virDomainAttachDeviceFlags"))
    }

    /// Removes a device. libvirt: `virDomainDetachDeviceFlags`.
    async fn domain_detach_device_flags(
        &self,
        _domain: &Domain,
        _xml: &str,
        _flags: DomainDeviceModifyFlags,
    ) -> Result<()> {
        Err(Error::no_support("virDomainDetachDeviceFlags"))
    }

    /// Changes a device. libvirt: `virDomainUpdateDeviceFlags`.
    async fn domain_update_device_flags(
        &self,
        _domain: &Domain,
        _xml: &str,
        _flags: DomainDeviceModifyFlags,
    ) -> Result<()> {
        Err(Error::no_support("virDomainUpdateDeviceFlags"))
    }

    /// Description, title or an element of a namespace. libvirt: `virDomainGetMetadata`.
    ///
    /// # Errors
    /// `VIR_ERR_NO_DOMAIN_METADATA` if there is none.
    async fn domain_get_metadata(
        &self,
        _domain: &Domain,
        _kind: MetadataType,
        _uri: Option<&str>,
        _flags: DomainModificationFlags,
    ) -> Result<String> {
        Err(Error::no_support("virDomainGetMetadata"))
    }

    /// Sets description, title or an element of a namespace, or removes it. libvirt: `virDomainSetMetadata`.
    async fn domain_set_metadata(
        &self,
        _domain: &Domain,
        _kind: MetadataType,
        _metadata: Option<&str>,
        _key: Option<&str>,
        _uri: Option<&str>,
        _flags: DomainModificationFlags,
    ) -> Result<()> {
        Err(Error::no_support("virDomainSetMetadata"))
    }

    /// Gives a domain another name. libvirt: `virDomainRename`.
    async fn domain_rename(&self, _domain: &Domain, _name: &str, _flags: NoFlags) -> Result<()> {
        Err(Error::no_support("virDomainRename"))
    }

    /// Resets a domain hard. libvirt: `virDomainReset`.
    async fn domain_reset(&self, _domain: &Domain, _flags: NoFlags) -> Result<()> {
        Err(Error::no_support("virDomainReset"))
    }

    // Beyond libvirt.

    /// The disks and drives of a domain. virsh takes them from the domain's XML.
    async fn domain_list_block_devices(&self, _domain: &Domain) -> Result<Vec<DomainBlockDevice>> {
        Err(Error::no_support("domain_list_block_devices"))
    }

    /// The network adapters of a domain. virsh takes them from the domain's XML.
    async fn domain_list_interface_devices(
        &self,
        _domain: &Domain,
    ) -> Result<Vec<DomainInterfaceDevice>> {
        Err(Error::no_support("domain_list_interface_devices"))
    }

    /// The domain a selector names.
    ///
    /// # Errors
    /// `VIR_ERR_NO_DOMAIN`.
    async fn domain_lookup(&self, selector: &DomainSelector) -> Result<Domain> {
        match selector {
            DomainSelector::Id(id) => self.domain_lookup_by_id(*id).await,
            DomainSelector::Uuid(uuid) => self.domain_lookup_by_uuid(*uuid).await,
            DomainSelector::Name(name) => self.domain_lookup_by_name(name).await,
        }
    }

    /// Looks a domain up and tells everything `virsh dominfo` prints. This body asks libvirt's functions one after
    /// the other; a driver that can answer with fewer requests writes its own. A fact that cannot be had is `None`.
    ///
    /// # Errors
    /// `VIR_ERR_NO_DOMAIN`, and what keeps OS type or state from being told.
    async fn domain_get_details(&self, selector: &DomainSelector) -> Result<DomainDetails> {
        let domain = self.domain_lookup(selector).await?;
        Ok(DomainDetails {
            os_type: self.domain_get_os_type(&domain).await?,
            info: self.domain_get_info(&domain).await?,
            persistent: self.domain_is_persistent(&domain).await.ok(),
            autostart: self.domain_get_autostart(&domain).await.ok(),
            managed_save: self.domain_has_managed_save_image(&domain, NoFlags::empty()).await.ok(),
            domain,
        })
    }

    /// What stands in the way of taking domains elsewhere; of all domains if none are named. Beyond libvirt: a
    /// migration or backup tool asks it first. A domain that the host tells little of is described as far as it goes.
    async fn domain_inspect(&self, _domains: &[Domain]) -> Result<Vec<DomainInspection>> {
        Err(Error::no_support("virtesxDomainInspect"))
    }

    /// Begins to take a domain away: its configuration and its disks. A running one gets a snapshot for the time of the
    /// export. Beyond libvirt.
    async fn domain_export(
        &self,
        _domain: &Domain,
        _options: ExportOptions,
    ) -> Result<Box<dyn DomainExport>> {
        Err(Error::no_support("virtesxDomainExport"))
    }

    /// State of the domain a selector names. This body is a lookup and `domain_get_state`.
    ///
    /// # Errors
    /// `VIR_ERR_NO_DOMAIN`.
    async fn domain_lookup_state(
        &self,
        selector: &DomainSelector,
    ) -> Result<(DomainState, DomainStateReason)> {
        let domain = self.domain_lookup(selector).await?;
        self.domain_get_state(&domain, NoFlags::empty()).await
    }
}
