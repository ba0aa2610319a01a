//! Snapshots.

use super::{handlers, listed};
use crate::types::Count;

handlers! {
    /// Snapshots, reading and changing.
    answer(hypervisor: &dyn Hypervisor) {
        DomainSnapshotCreateXml(domain, xml, flags) => {
            hypervisor.domain_snapshot_create_xml(&domain, &xml, flags).await?
        };
        DomainSnapshotGetXmlDesc(snapshot, flags) => {
            hypervisor.domain_snapshot_get_xml_desc(&snapshot, flags).await?
        };
        DomainSnapshotNum(domain, flags) => Count(hypervisor.domain_snapshot_num(&domain, flags).await?);
        DomainSnapshotListNames(domain, max, flags) => hypervisor
            .domain_snapshot_list_names(&domain, max.0, flags)
            .await?
            .into();
        DomainSnapshotLookupByName(domain, name, flags) => {
            hypervisor.domain_snapshot_lookup_by_name(&domain, &name, flags).await?
        };
        DomainHasCurrentSnapshot(domain, flags) => {
            hypervisor.domain_has_current_snapshot(&domain, flags).await?
        };
        DomainSnapshotCurrent(domain, flags) => {
            hypervisor.domain_snapshot_current(&domain, flags).await?
        };
        DomainRevertToSnapshot(snapshot, flags) => {
            hypervisor.domain_revert_to_snapshot(&snapshot, flags).await?
        };
        DomainSnapshotDelete(snapshot, flags) => {
            hypervisor.domain_snapshot_delete(&snapshot, flags).await?
        };
        DomainSnapshotGetParent(snapshot, flags) => {
            hypervisor.domain_snapshot_get_parent(&snapshot, flags).await?
        };
        DomainSnapshotNumChildren(snapshot, flags) => {
            Count(hypervisor.domain_snapshot_num_children(&snapshot, flags).await?)
        };
        DomainSnapshotListChildrenNames(snapshot, max, flags) => hypervisor
            .domain_snapshot_list_children_names(&snapshot, max.0, flags)
            .await?
            .into();
        DomainSnapshotIsCurrent(snapshot, flags) => {
            hypervisor.domain_snapshot_is_current(&snapshot, flags).await?
        };
        DomainSnapshotHasMetadata(snapshot, flags) => {
            hypervisor.domain_snapshot_has_metadata(&snapshot, flags).await?
        };
        DomainListAllSnapshots(domain, wanted, flags) => {
            listed(wanted, hypervisor.domain_list_all_snapshots(&domain, flags).await?)?
        };
        DomainSnapshotListAllChildren(snapshot, wanted, flags) => {
            listed(wanted, hypervisor.domain_snapshot_list_all_children(&snapshot, flags).await?)?
        };
    }
}
