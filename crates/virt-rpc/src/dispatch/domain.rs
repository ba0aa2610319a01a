//! Domains.

use virt_api::{DomainDeviceModifyFlags, Error, ErrorDomain, ListedDomain};

use super::{TEXTS, fitting, handlers, lacks, listed};
use crate::types::{Count, StateAndReason};
use crate::xdr::Opaque;

handlers! {
    /// What only reads.
    read(hypervisor: &dyn Hypervisor) {
        ConnectNumOfDomains() => Count(hypervisor.connect_num_of_domains().await?);
        ConnectListDomains(max) => hypervisor.connect_list_domains(max.0).await?.into();
        ConnectNumOfDefinedDomains() => Count(hypervisor.connect_num_of_defined_domains().await?);
        ConnectListDefinedDomains(max) => hypervisor.connect_list_defined_domains(max.0).await?.into();
        ConnectListAllDomains(wanted, flags) => {
            let rows = hypervisor.connect_list_all_domains(flags).await?;
            listed(wanted, rows.into_iter().filter(has_handle).map(|row| row.domain).collect())?
        };
        DomainLookupById(id) => hypervisor.domain_lookup_by_id(id).await?;
        DomainLookupByName(name) => hypervisor.domain_lookup_by_name(&name).await?;
        DomainLookupByUuid(uuid) => hypervisor.domain_lookup_by_uuid(uuid).await?;
        DomainGetXmlDesc(domain, flags) => hypervisor.domain_get_xml_desc(&domain, flags).await?;
        DomainGetAutostart(domain) => hypervisor.domain_get_autostart(&domain).await?;
        DomainGetInfo(domain) => hypervisor.domain_get_info(&domain).await?;
        DomainGetMaxMemory(domain) => hypervisor.domain_get_max_memory(&domain).await?;
        DomainGetMaxVcpus(domain) => Count(hypervisor.domain_get_max_vcpus(&domain).await?);
        DomainGetOsType(domain) => hypervisor.domain_get_os_type(&domain).await?;
        DomainGetState(domain, flags) => {
            let (state, reason) = hypervisor.domain_get_state(&domain, flags).await?;
            StateAndReason(state, reason)
        };
        DomainIsActive(domain) => hypervisor.domain_is_active(&domain).await?;
        DomainIsPersistent(domain) => hypervisor.domain_is_persistent(&domain).await?;
        DomainIsUpdated(domain) => hypervisor.domain_is_updated(&domain).await?;
        DomainHasManagedSaveImage(domain, flags) => {
            hypervisor.domain_has_managed_save_image(&domain, flags).await?
        };
        DomainGetHostname(domain, flags) => hypervisor.domain_get_hostname(&domain, flags).await?;
        DomainInterfaceAddresses(domain, source, flags) => hypervisor
            .domain_interface_addresses(&domain, source, flags)
            .await?
            .into();
        DomainGetSchedulerType(domain) => hypervisor.domain_get_scheduler_type(&domain).await?;
        DomainGetSchedulerParameters(domain, max) => {
            fitting(hypervisor.domain_get_scheduler_parameters(&domain).await?, max.0, false).into()
        };
        DomainGetSchedulerParametersFlags(domain, max, flags) => {
            let params = hypervisor.domain_get_scheduler_parameters_flags(&domain, flags - TEXTS).await?;
            fitting(params, max.0, flags.contains(TEXTS)).into()
        };
        DomainGetMemoryParameters(domain, max, flags) => {
            let params = hypervisor.domain_get_memory_parameters(&domain, flags - TEXTS).await?;
            let params = fitting(params, usize::MAX, flags.contains(TEXTS));
            // Asked for none, only their number is told.
            let count = if max.0 == 0 { params.len() } else { 0 };
            let count = Count(u32::try_from(count).unwrap_or(u32::MAX));
            (fitting(params, max.0, true).into(), count)
        };
        DomainGetVcpusFlags(domain, flags) => {
            Count(hypervisor.domain_get_vcpus_flags(&domain, flags).await?)
        };
        DomainGetMetadata(domain, kind, uri, flags) => {
            hypervisor.domain_get_metadata(&domain, kind, uri.as_deref(), flags).await?
        };
        ConnectGetAllDomainStats(domains, stats, flags) => hypervisor
            .connect_get_all_domain_stats(&domains.0, stats, flags)
            .await?
            .into();
        DomainMemoryStats(domain, max, flags) => {
            let stats = hypervisor.domain_memory_stats(&domain, flags).await?;
            // Some figures are not libvirt's and have no number.
            let numbered = stats.iter().filter_map(|stat| Some((stat.tag.number()?, stat.value)));
            numbered.take(usize::try_from(max).unwrap_or(usize::MAX)).collect::<Vec<_>>().into()
        };
        DomainGetBlockInfo(domain, disk, flags) => {
            let info = hypervisor.domain_get_block_info(&domain, &disk, flags).await?;
            (info.allocation_bytes, info.capacity_bytes, info.physical_bytes)
        };
        DomainGetMessages(_domain, _flags) => lacks("virDomainGetMessages")?;
        DomainGetAutostartOnce(_domain) => lacks("virDomainGetAutostartOnce")?;
    }
}

handlers! {
    /// What changes something.
    change(hypervisor: &dyn Hypervisor) {
        DomainCreate(domain) => drop(hypervisor.domain_create(&domain).await?);
        DomainCreateWithFlags(domain, flags) => {
            hypervisor.domain_create_with_flags(&domain, flags).await?
        };
        DomainCreateXml(xml, flags) => hypervisor.domain_create_xml(&xml, flags).await?;
        DomainDefineXml(xml) => hypervisor.domain_define_xml(&xml).await?;
        DomainDefineXmlFlags(xml, flags) => hypervisor.domain_define_xml_flags(&xml, flags).await?;
        DomainUndefine(domain) => hypervisor.domain_undefine(&domain).await?;
        DomainUndefineFlags(domain, flags) => hypervisor.domain_undefine_flags(&domain, flags).await?;
        DomainDestroy(domain) => hypervisor.domain_destroy(&domain).await?;
        DomainDestroyFlags(domain, flags) => hypervisor.domain_destroy_flags(&domain, flags).await?;
        DomainShutdown(domain) => hypervisor.domain_shutdown(&domain).await?;
        DomainShutdownFlags(domain, flags) => hypervisor.domain_shutdown_flags(&domain, flags).await?;
        DomainReboot(domain, flags) => hypervisor.domain_reboot(&domain, flags).await?;
        DomainReset(domain, flags) => hypervisor.domain_reset(&domain, flags).await?;
        DomainSuspend(domain) => hypervisor.domain_suspend(&domain).await?;
        DomainResume(domain) => hypervisor.domain_resume(&domain).await?;
        DomainAbortJob(domain) => hypervisor.domain_abort_job(&domain).await?;
        DomainSetAutostart(domain, autostart) => {
            hypervisor.domain_set_autostart(&domain, autostart).await?
        };
        DomainSetMaxMemory(domain, kib) => hypervisor.domain_set_max_memory(&domain, kib).await?;
        DomainSetMemory(domain, kib) => hypervisor.domain_set_memory(&domain, kib).await?;
        DomainSetMemoryFlags(domain, kib, flags) => {
            hypervisor.domain_set_memory_flags(&domain, kib, flags).await?
        };
        DomainSetMemoryParameters(domain, params, flags) => hypervisor
            .domain_set_memory_parameters(&domain, &params.0, flags)
            .await?;
        DomainSetVcpus(domain, vcpus) => hypervisor.domain_set_vcpus(&domain, vcpus).await?;
        DomainSetVcpusFlags(domain, vcpus, flags) => {
            hypervisor.domain_set_vcpus_flags(&domain, vcpus, flags).await?
        };
        DomainSetSchedulerParameters(domain, params) => {
            hypervisor.domain_set_scheduler_parameters(&domain, &params.0).await?
        };
        DomainSetSchedulerParametersFlags(domain, params, flags) => hypervisor
            .domain_set_scheduler_parameters_flags(&domain, &params.0, flags)
            .await?;
        DomainAttachDevice(domain, xml) => hypervisor
            .domain_attach_device_flags(&domain, &xml, DomainDeviceModifyFlags::LIVE)
            .await?;
        DomainAttachDeviceFlags(domain, xml, flags) => {
            hypervisor.domain_attach_device_flags(&domain, &xml, flags).await?
        };
        DomainDetachDevice(domain, xml) => hypervisor
            .domain_detach_device_flags(&domain, &xml, DomainDeviceModifyFlags::LIVE)
            .await?;
        DomainDetachDeviceFlags(domain, xml, flags) => {
            hypervisor.domain_detach_device_flags(&domain, &xml, flags).await?
        };
        DomainUpdateDeviceFlags(domain, xml, flags) => {
            hypervisor.domain_update_device_flags(&domain, &xml, flags).await?
        };
        DomainSetMetadata(domain, kind, metadata, key, uri, flags) => hypervisor
            .domain_set_metadata(
                &domain, kind, metadata.as_deref(), key.as_deref(), uri.as_deref(), flags,
            )
            .await?;
        DomainRename(domain, name, flags) => {
            let name = name.ok_or_else(|| Error::invalid_arg(ErrorDomain::Dom, "no new name"))?;
            hypervisor.domain_rename(&domain, &name, flags).await?;
            0
        };
        DomainMigratePrepare(uri, flags, name, bandwidth) => {
            let prepared = hypervisor
                .domain_migrate_prepare(uri.as_deref(), flags, name.as_deref(), bandwidth)
                .await?;
            (Opaque(prepared.cookie), prepared.uri)
        };
        DomainMigratePerform(domain, cookie, uri, flags, name, bandwidth) => hypervisor
            .domain_migrate_perform(&domain, &cookie.0, &uri, flags, name.as_deref(), bandwidth)
            .await?;
        DomainMigrateFinish(name, cookie, uri, flags) => {
            hypervisor.domain_migrate_finish(&name, &cookie.0, &uri, flags).await?
        };
    }
}

/// A row without a name is none that a client could do anything with. Without a UUID it is listed, as libvirt does.
fn has_handle(row: &ListedDomain) -> bool {
    let usable = !row.domain.name.is_empty();
    if !usable {
        tracing::warn!(moref = row.moref, problem = row.problem, "left out of a list");
    }
    usable
}
