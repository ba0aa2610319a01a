//! Snapshots: the part of libvirt's hypervisor driver that makes, lists and goes back to them.

use async_trait::async_trait;

use crate::{
    Domain, Error, NoFlags, Result, Snapshot, SnapshotCreateFlags, SnapshotDeleteFlags,
    SnapshotListFlags, SnapshotRevertFlags, SnapshotXmlFlags,
};

/// Functions about snapshots (domain.md 15), which [`Hypervisor`](crate::Hypervisor) includes; as there, what a driver
/// does not write answers `VIR_ERR_NO_SUPPORT`.
#[async_trait]
pub trait Snapshots: Send + Sync {
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
}
