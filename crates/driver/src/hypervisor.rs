//! [`virt_api::Hypervisor`] for a connection: each function a line that leads to where it is done.

use async_trait::async_trait;
use uuid::Uuid;
use virt_api::{
    Definitions, Domain, DomainBlockDevice, DomainBlockInfo, DomainConsoleFlags, DomainCreateFlags,
    DomainDefineFlags, DomainDestroyFlags, DomainDetails, DomainDeviceModifyFlags, DomainEventId,
    DomainExport, DomainInfo, DomainInspection, DomainInterface, DomainInterfaceDevice,
    DomainMemoryFlags, DomainMemoryStat, DomainModificationFlags, DomainRebootFlags,
    DomainSelector, DomainShutdownFlags, DomainState, DomainStateReason, DomainStats,
    DomainStatsFlags, DomainStatsTypes, DomainUndefineFlags, DomainVcpuFlags, DomainXmlFlags,
    Error, ErrorDomain, EventSubscription, ExportOptions, Feature, Hypervisor,
    InterfaceAddressesSource, ListAllDomainsFlags, ListedDomain, MetadataType, MigrateFlags,
    MigratePrepared, NativeConversionFlags, NoFlags, NodeInfo, Result, SchedulerType, Screenshot,
    Snapshot, SnapshotCreateFlags, SnapshotDeleteFlags, SnapshotListFlags, SnapshotRevertFlags,
    SnapshotXmlFlags, Snapshots, Stream, TypedParam, Version, check_flags,
};

use crate::connection::{Connection, Session};
use crate::domain::Wanted;

#[async_trait]
impl Hypervisor for Connection {
    async fn connect_get_uri(&self) -> Result<String> {
        Ok(self.session.uri.to_string())
    }

    async fn connect_supports_feature(&self, feature: Feature) -> Result<bool> {
        match feature {
            Feature::MigrationV1 => self.session.can_migrate().await,
            Feature::FdPassing
            | Feature::TypedParamString
            | Feature::NetworkUpdateHasCorrectOrder => Ok(true),
            _ => Ok(false),
        }
    }

    async fn connect_get_type(&self) -> Result<String> {
        Ok("ESX".to_owned())
    }

    async fn connect_get_version(&self) -> Result<Version> {
        Ok(self.session.product.version)
    }

    async fn connect_get_hostname(&self) -> Result<String> {
        let facts = self.session.facts().await?;
        facts
            .hostname
            .clone()
            .ok_or_else(|| Error::internal(ErrorDomain::Esx, "the host has no name"))
    }

    async fn connect_get_capabilities(&self) -> Result<String> {
        Ok(self.session.facts().await?.capabilities())
    }

    async fn connect_is_encrypted(&self) -> Result<bool> {
        Ok(self.session.is_encrypted())
    }

    async fn connect_is_secure(&self) -> Result<bool> {
        Ok(self.session.is_encrypted())
    }

    async fn connect_is_alive(&self) -> Result<bool> {
        Ok(self.session.is_alive().await)
    }

    async fn node_get_info(&self) -> Result<NodeInfo> {
        Ok(self.session.facts().await?.node.clone())
    }

    async fn node_get_free_memory(&self) -> Result<u64> {
        self.session.free_memory().await
    }

    async fn connect_list_domains(&self, max: usize) -> Result<Vec<i32>> {
        if max == 0 {
            return Ok(Vec::new());
        }
        let mut ids = self.session.active_ids().await?;
        ids.truncate(max);
        Ok(ids)
    }

    async fn connect_num_of_domains(&self) -> Result<u32> {
        Ok(count(self.session.active_ids().await?.len()))
    }

    async fn connect_list_defined_domains(&self, max: usize) -> Result<Vec<String>> {
        if max == 0 {
            return Ok(Vec::new());
        }
        let mut names = self.session.inactive_names().await?;
        names.truncate(max);
        Ok(names)
    }

    async fn connect_num_of_defined_domains(&self) -> Result<u32> {
        Ok(count(self.session.inactive_names().await?.len()))
    }

    async fn connect_list_all_domains(
        &self,
        flags: ListAllDomainsFlags,
    ) -> Result<Vec<ListedDomain>> {
        self.session.list_all(flags).await
    }

    async fn domain_lookup_by_id(&self, id: i32) -> Result<Domain> {
        self.domain_lookup(&DomainSelector::Id(id)).await
    }

    async fn domain_lookup_by_uuid(&self, uuid: Uuid) -> Result<Domain> {
        self.domain_lookup(&DomainSelector::Uuid(uuid)).await
    }

    async fn domain_lookup_by_name(&self, name: &str) -> Result<Domain> {
        self.domain_lookup(&DomainSelector::Name(name.to_owned())).await
    }

    async fn domain_lookup(&self, selector: &DomainSelector) -> Result<Domain> {
        Ok(self.session.find(selector, Wanted::default()).await?.machine.domain)
    }

    async fn domain_get_os_type(&self, _domain: &Domain) -> Result<String> {
        Ok("hvm".to_owned())
    }

    async fn domain_get_info(&self, domain: &Domain) -> Result<DomainInfo> {
        self.session.info(domain).await
    }

    async fn domain_get_state(
        &self,
        domain: &Domain,
        flags: NoFlags,
    ) -> Result<(DomainState, DomainStateReason)> {
        check_flags("virDomainGetState", flags, NoFlags::empty())?;
        self.session.state(domain).await
    }

    async fn domain_lookup_state(
        &self,
        selector: &DomainSelector,
    ) -> Result<(DomainState, DomainStateReason)> {
        self.session.state_by(selector).await
    }

    async fn domain_get_details(&self, selector: &DomainSelector) -> Result<DomainDetails> {
        self.session.details(selector).await
    }

    async fn domain_is_active(&self, domain: &Domain) -> Result<bool> {
        Ok(self.session.state(domain).await?.0 != DomainState::Shutoff)
    }

    async fn domain_is_persistent(&self, domain: &Domain) -> Result<bool> {
        self.session.find_domain(domain, Wanted::default()).await.map(|_| true)
    }

    async fn domain_is_updated(&self, domain: &Domain) -> Result<bool> {
        self.session.find_domain(domain, Wanted::default()).await.map(|_| false)
    }

    async fn domain_has_managed_save_image(&self, domain: &Domain, flags: NoFlags) -> Result<bool> {
        check_flags("virDomainHasManagedSaveImage", flags, NoFlags::empty())?;
        self.session.find_domain(domain, Wanted::default()).await.map(|_| false)
    }

    async fn domain_get_autostart(&self, domain: &Domain) -> Result<bool> {
        self.session.autostart(domain).await
    }

    async fn domain_suspend(&self, domain: &Domain) -> Result<()> {
        self.session.suspend(domain).await
    }

    async fn domain_resume(&self, domain: &Domain) -> Result<()> {
        self.session.resume(domain).await
    }

    async fn domain_shutdown_flags(
        &self,
        domain: &Domain,
        flags: DomainShutdownFlags,
    ) -> Result<()> {
        self.session.shutdown(domain, flags).await
    }

    async fn domain_reboot(&self, domain: &Domain, flags: DomainRebootFlags) -> Result<()> {
        self.session.reboot(domain, flags).await
    }

    async fn domain_reset(&self, domain: &Domain, flags: NoFlags) -> Result<()> {
        self.session.reset(domain, flags).await
    }

    async fn domain_destroy_flags(&self, domain: &Domain, flags: DomainDestroyFlags) -> Result<()> {
        self.session.destroy(domain, flags).await
    }

    async fn domain_create_with_flags(
        &self,
        domain: &Domain,
        flags: DomainCreateFlags,
    ) -> Result<Domain> {
        self.session.create(domain, flags).await
    }

    async fn domain_migrate_prepare(
        &self,
        uri: Option<&str>,
        flags: MigrateFlags,
        _name: Option<&str>,
        _bandwidth_mib: u64,
    ) -> Result<MigratePrepared> {
        self.session.migrate_prepare(uri, flags).await
    }

    async fn domain_migrate_perform(
        &self,
        domain: &Domain,
        _cookie: &[u8],
        uri: &str,
        flags: MigrateFlags,
        name: Option<&str>,
        _bandwidth_mib: u64,
    ) -> Result<()> {
        self.session.migrate_perform(domain, uri, flags, name).await
    }

    async fn domain_migrate_finish(
        &self,
        name: &str,
        _cookie: &[u8],
        _uri: &str,
        flags: MigrateFlags,
    ) -> Result<Domain> {
        self.session.migrate_finish(name, flags).await
    }

    async fn domain_abort_job(&self, domain: &Domain) -> Result<()> {
        self.session.abort_job(domain).await
    }

    async fn domain_set_autostart(&self, domain: &Domain, autostart: bool) -> Result<()> {
        self.session.set_autostart(domain, autostart).await
    }

    async fn domain_get_hostname(&self, domain: &Domain, flags: NoFlags) -> Result<String> {
        self.session.guest_hostname(domain, flags).await
    }

    async fn domain_interface_addresses(
        &self,
        domain: &Domain,
        source: InterfaceAddressesSource,
        flags: NoFlags,
    ) -> Result<Vec<DomainInterface>> {
        self.session.interface_addresses(domain, source, flags).await
    }

    async fn domain_get_max_memory(&self, domain: &Domain) -> Result<u64> {
        self.session.max_memory(domain).await
    }

    async fn domain_set_max_memory(&self, domain: &Domain, memory_kib: u64) -> Result<()> {
        self.session.set_max_memory(domain, memory_kib).await
    }

    async fn domain_set_memory_flags(
        &self,
        domain: &Domain,
        memory_kib: u64,
        flags: DomainMemoryFlags,
    ) -> Result<()> {
        self.session.set_memory(domain, memory_kib, flags).await
    }

    async fn domain_get_memory_parameters(
        &self,
        domain: &Domain,
        flags: DomainModificationFlags,
    ) -> Result<Vec<TypedParam>> {
        self.session.memory_parameters(domain, flags).await
    }

    async fn domain_set_memory_parameters(
        &self,
        domain: &Domain,
        params: &[TypedParam],
        flags: DomainModificationFlags,
    ) -> Result<()> {
        self.session.set_memory_parameters(domain, params, flags).await
    }

    async fn domain_get_vcpus_flags(&self, domain: &Domain, flags: DomainVcpuFlags) -> Result<u32> {
        self.session.vcpus(domain, flags).await
    }

    async fn domain_set_vcpus_flags(
        &self,
        domain: &Domain,
        vcpus: u32,
        flags: DomainVcpuFlags,
    ) -> Result<()> {
        self.session.set_vcpus(domain, vcpus, flags).await
    }

    async fn domain_get_scheduler_type(&self, _domain: &Domain) -> Result<SchedulerType> {
        Ok(Session::scheduler_type())
    }

    async fn domain_get_scheduler_parameters_flags(
        &self,
        domain: &Domain,
        flags: DomainModificationFlags,
    ) -> Result<Vec<TypedParam>> {
        self.session.scheduler_parameters(domain, flags).await
    }

    async fn domain_set_scheduler_parameters_flags(
        &self,
        domain: &Domain,
        params: &[TypedParam],
        flags: DomainModificationFlags,
    ) -> Result<()> {
        self.session.set_scheduler_parameters(domain, params, flags).await
    }

    async fn connect_domain_event_register_any(
        &self,
        domain: Option<&Domain>,
        event: DomainEventId,
    ) -> Result<Box<dyn EventSubscription>> {
        self.session.subscribe(domain, event).await
    }

    async fn connect_get_all_domain_stats(
        &self,
        domains: &[Domain],
        stats: DomainStatsTypes,
        flags: DomainStatsFlags,
    ) -> Result<Vec<DomainStats>> {
        self.session.stats(domains, stats, flags).await
    }

    async fn domain_inspect(&self, domains: &[Domain]) -> Result<Vec<DomainInspection>> {
        self.session.inspect(domains).await
    }

    async fn domain_export(
        &self,
        domain: &Domain,
        options: ExportOptions,
    ) -> Result<Box<dyn DomainExport>> {
        Session::export(&self.session, domain, options).await
    }

    async fn domain_screenshot(
        &self,
        domain: &Domain,
        screen: u32,
        flags: NoFlags,
    ) -> Result<Screenshot> {
        self.session.screenshot(domain, screen, flags).await
    }

    async fn domain_open_console(
        &self,
        domain: &Domain,
        device: Option<&str>,
        flags: DomainConsoleFlags,
    ) -> Result<Box<dyn Stream>> {
        self.session.open_console(domain, device, flags).await
    }

    async fn domain_memory_stats(
        &self,
        domain: &Domain,
        flags: NoFlags,
    ) -> Result<Vec<DomainMemoryStat>> {
        self.session.memory_stats(domain, flags).await
    }

    async fn domain_get_block_info(
        &self,
        domain: &Domain,
        disk: &str,
        flags: NoFlags,
    ) -> Result<DomainBlockInfo> {
        self.session.block_info(domain, disk, flags).await
    }

    async fn domain_list_block_devices(&self, domain: &Domain) -> Result<Vec<DomainBlockDevice>> {
        self.session.block_devices(domain).await
    }

    async fn domain_list_interface_devices(
        &self,
        domain: &Domain,
    ) -> Result<Vec<DomainInterfaceDevice>> {
        self.session.interface_devices(domain).await
    }
}

#[async_trait]
impl Definitions for Connection {
    async fn domain_undefine_flags(
        &self,
        domain: &Domain,
        flags: DomainUndefineFlags,
    ) -> Result<()> {
        self.session.undefine(domain, flags).await
    }

    async fn domain_create_xml(&self, xml: &str, flags: DomainCreateFlags) -> Result<Domain> {
        self.session.create_xml(xml, flags).await
    }

    async fn domain_define_xml_flags(&self, xml: &str, flags: DomainDefineFlags) -> Result<Domain> {
        self.session.define(xml, flags).await
    }

    async fn connect_domain_xml_to_native(
        &self,
        format: &str,
        xml: &str,
        flags: NativeConversionFlags,
    ) -> Result<String> {
        self.session.xml_to_native(format, xml, flags).await
    }

    async fn domain_rename(&self, domain: &Domain, name: &str, flags: NoFlags) -> Result<()> {
        self.session.rename(domain, name, flags).await
    }

    async fn domain_get_metadata(
        &self,
        domain: &Domain,
        kind: MetadataType,
        _uri: Option<&str>,
        flags: DomainModificationFlags,
    ) -> Result<String> {
        self.session.metadata(domain, kind, flags).await
    }

    async fn domain_set_metadata(
        &self,
        domain: &Domain,
        kind: MetadataType,
        metadata: Option<&str>,
        _key: Option<&str>,
        _uri: Option<&str>,
        flags: DomainModificationFlags,
    ) -> Result<()> {
        self.session.set_metadata(domain, kind, metadata, flags).await
    }

    async fn domain_attach_device_flags(
        &self,
        domain: &Domain,
        xml: &str,
        flags: DomainDeviceModifyFlags,
    ) -> Result<()> {
        self.session.attach_device(domain, xml, flags).await
    }

    async fn domain_detach_device_flags(
        &self,
        domain: &Domain,
        xml: &str,
        flags: DomainDeviceModifyFlags,
    ) -> Result<()> {
        self.session.detach_device(domain, xml, flags).await
    }

    async fn domain_update_device_flags(
        &self,
        domain: &Domain,
        xml: &str,
        flags: DomainDeviceModifyFlags,
    ) -> Result<()> {
        self.session.update_device(domain, xml, flags).await
    }

    async fn domain_get_xml_desc(&self, domain: &Domain, flags: DomainXmlFlags) -> Result<String> {
        self.session.xml_desc(domain, flags).await
    }

    async fn connect_domain_xml_from_native(
        &self,
        format: &str,
        config: &str,
        flags: NativeConversionFlags,
    ) -> Result<String> {
        self.session.xml_from_native(format, config, flags).await
    }
}

#[async_trait]
impl Snapshots for Connection {
    async fn domain_snapshot_create_xml(
        &self,
        domain: &Domain,
        xml: &str,
        flags: SnapshotCreateFlags,
    ) -> Result<Snapshot> {
        self.session.create_snapshot(domain, xml, flags).await
    }

    async fn domain_snapshot_get_xml_desc(
        &self,
        snapshot: &Snapshot,
        flags: SnapshotXmlFlags,
    ) -> Result<String> {
        self.session.snapshot_xml(snapshot, flags).await
    }

    async fn domain_snapshots_get_xml_desc(
        &self,
        snapshots: &[Snapshot],
        flags: SnapshotXmlFlags,
    ) -> Result<Vec<Result<String>>> {
        self.session.snapshots_xml(snapshots, flags).await
    }

    async fn domain_snapshot_num(&self, domain: &Domain, flags: SnapshotListFlags) -> Result<u32> {
        Ok(count(self.session.list_snapshots(domain, None, flags).await?.len()))
    }

    async fn domain_snapshot_list_names(
        &self,
        domain: &Domain,
        max: usize,
        flags: SnapshotListFlags,
    ) -> Result<Vec<String>> {
        let snapshots = self.session.list_snapshots(domain, None, flags).await?;
        Ok(snapshots.into_iter().map(|s| s.name).take(max).collect())
    }

    async fn domain_list_all_snapshots(
        &self,
        domain: &Domain,
        flags: SnapshotListFlags,
    ) -> Result<Vec<Snapshot>> {
        self.session.list_snapshots(domain, None, flags).await
    }

    async fn domain_snapshot_num_children(
        &self,
        snapshot: &Snapshot,
        flags: SnapshotListFlags,
    ) -> Result<u32> {
        let below =
            self.session.list_snapshots(&snapshot.domain, Some(&snapshot.name), flags).await?;
        Ok(count(below.len()))
    }

    async fn domain_snapshot_list_children_names(
        &self,
        snapshot: &Snapshot,
        max: usize,
        flags: SnapshotListFlags,
    ) -> Result<Vec<String>> {
        let below =
            self.session.list_snapshots(&snapshot.domain, Some(&snapshot.name), flags).await?;
        Ok(below.into_iter().map(|s| s.name).take(max).collect())
    }

    async fn domain_snapshot_list_all_children(
        &self,
        snapshot: &Snapshot,
        flags: SnapshotListFlags,
    ) -> Result<Vec<Snapshot>> {
        self.session.list_snapshots(&snapshot.domain, Some(&snapshot.name), flags).await
    }

    async fn domain_snapshot_lookup_by_name(
        &self,
        domain: &Domain,
        name: &str,
        flags: NoFlags,
    ) -> Result<Snapshot> {
        self.session.snapshot(domain, name, flags).await
    }

    async fn domain_has_current_snapshot(&self, domain: &Domain, flags: NoFlags) -> Result<bool> {
        Ok(self.session.current_snapshot(domain, flags).await?.is_some())
    }

    async fn domain_snapshot_current(&self, domain: &Domain, flags: NoFlags) -> Result<Snapshot> {
        self.session.require_current_snapshot(domain, flags).await
    }

    async fn domain_snapshot_get_parent(
        &self,
        snapshot: &Snapshot,
        flags: NoFlags,
    ) -> Result<Snapshot> {
        self.session.parent_snapshot(snapshot, flags).await
    }

    async fn domain_snapshot_is_current(
        &self,
        snapshot: &Snapshot,
        flags: NoFlags,
    ) -> Result<bool> {
        self.session.is_current_snapshot(snapshot, flags).await
    }

    async fn domain_snapshot_has_metadata(
        &self,
        snapshot: &Snapshot,
        flags: NoFlags,
    ) -> Result<bool> {
        self.session.snapshot(&snapshot.domain, &snapshot.name, flags).await.map(|_| false)
    }

    async fn domain_revert_to_snapshot(
        &self,
        snapshot: &Snapshot,
        flags: SnapshotRevertFlags,
    ) -> Result<()> {
        self.session.revert(snapshot, flags).await
    }

    async fn domain_snapshot_delete(
        &self,
        snapshot: &Snapshot,
        flags: SnapshotDeleteFlags,
    ) -> Result<()> {
        self.session.delete_snapshot(snapshot, flags).await
    }
}

fn count(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}
