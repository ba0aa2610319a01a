//! Domains, snapshots and the host: libvirt's hypervisor driver.

use async_trait::async_trait;
use uuid::Uuid;

use crate::{
    Definitions, Domain, DomainBlockDevice, DomainBlockInfo, DomainConsoleFlags, DomainCreateFlags,
    DomainDestroyFlags, DomainDetails, DomainEventId, DomainExport, DomainInfo, DomainInspection,
    DomainInterface, DomainInterfaceDevice, DomainMemoryFlags, DomainMemoryStat,
    DomainModificationFlags, DomainRebootFlags, DomainSelector, DomainShutdownFlags, DomainState,
    DomainStateReason, DomainStats, DomainStatsFlags, DomainStatsTypes, DomainVcpuFlags, Error,
    EventSubscription, ExportOptions, Feature, InterfaceAddressesSource, ListAllDomainsFlags,
    ListedDomain, MigrateFlags, MigratePrepared, NoFlags, NodeInfo, Result, SchedulerType,
    Screenshot, Snapshots, Stream, TypedParam, Version,
};

/// The functions of libvirt's hypervisor driver that its ESX driver has, and a few more.
///
/// Every function has a body: unless the driver writes its own, it answers `VIR_ERR_NO_SUPPORT` with the name of
/// libvirt's public function. Where libvirt has a plain function and one with flags, the plain one calls the other
/// with the flags it stands for. Besides the errors named, any function may fail because of the host, the session or
/// the network, and those that change something fail with `VIR_ERR_OPERATION_DENIED` on a read-only connection.
#[async_trait]
pub trait Hypervisor: Definitions + Snapshots + Send + Sync {
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

    // What libvirt's own ESX driver lacks.

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
