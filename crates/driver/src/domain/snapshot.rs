//! Snapshots: the host keeps them, as a tree (spec `domain.md` 15).

use std::time::{SystemTime, UNIX_EPOCH};

use esx_task::TaskState;
use esx_vi_api::data::VirtualMachineSnapshotTree;
use esx_vi_api::enums::VirtualMachinePowerState;
use esx_vi_api::methods::{CreateSnapshotTask, RemoveSnapshotTask, RevertToSnapshotTask};
use esx_vi_api::{MoRef, Value};
use esx_vi_client::{Retrieval, traversal};
use virt_api::{
    Domain, Error, ErrorCode, ErrorDomain, NoFlags, Result, Snapshot, SnapshotCreateFlags,
    SnapshotDeleteFlags, SnapshotListFlags as List, SnapshotRevertFlags, SnapshotXmlFlags,
    check_flags,
};
use virt_xml::snapshot as document;

use super::lookup::Wanted;
use super::operate::{Stop, checked_state};
use crate::connection::Session;
use crate::domain::xml::conversion_error;
use crate::error::{decode_error, vi_error};

const ROOTS: &str = "snapshot.rootSnapshotList";
const CURRENT: &str = "snapshot.currentSnapshot";

/// The snapshots of a machine as one look found them.
pub(crate) struct Tree {
    machine: MoRef,
    domain: Domain,
    roots: Vec<VirtualMachineSnapshotTree>,
    current: Option<MoRef>,
}

/// A snapshot and the one it follows.
#[derive(Clone, Copy)]
struct Node<'a> {
    node: &'a VirtualMachineSnapshotTree,
    parent: Option<&'a VirtualMachineSnapshotTree>,
}

impl Tree {
    /// Every snapshot, parents before children, in the host's order.
    fn all(&self) -> Vec<Node<'_>> {
        below(&self.roots, None)
    }

    /// The one snapshot of this name.
    ///
    /// # Errors
    /// `VIR_ERR_NO_DOMAIN_SNAPSHOT`; `VIR_ERR_OPERATION_INVALID` if several have the name: acting on the
    /// first, as libvirt does, may hit the wrong one.
    fn find(&self, name: &str) -> Result<Node<'_>> {
        let named: Vec<_> = self.all().into_iter().filter(|n| n.node.name == name).collect();
        match named[..] {
            [one] => Ok(one),
            [] => Err(missing(format!("domain {:?} has no snapshot {name:?}", self.domain.name))),
            _ => {
                let ids: Vec<_> = named.iter().map(|n| n.node.snapshot.value.as_str()).collect();
                let message = format!(
                    "domain {:?} has several snapshots {name:?} ({})",
                    self.domain.name,
                    ids.join(", ")
                );
                Err(Error::new(ErrorCode::OperationInvalid, ErrorDomain::Esx, message))
            }
        }
    }

    fn current(&self) -> Option<Node<'_>> {
        let current = self.current.as_ref()?;
        self.all().into_iter().find(|n| n.node.snapshot == *current)
    }

    /// The document of a snapshot (spec `domain.md` 15.2).
    fn document(&self, snapshot: &Snapshot) -> Result<String> {
        let Node { node, parent } = self.find(&snapshot.name)?;
        let state = match node.state {
            VirtualMachinePowerState::PoweredOn => "running",
            VirtualMachinePowerState::Suspended => "paused",
            _ => "shutoff",
        };
        let document = document::Snapshot {
            name: node.name.clone(),
            description: Some(node.description.clone()),
            state: state.to_owned(),
            parent: parent.map(|p| p.name.clone()),
            creation_time: node.create_time.unix_seconds().unwrap_or(0),
            domain_uuid: snapshot.domain.uuid,
        };
        Ok(document.to_xml())
    }

    fn handle(&self, node: Node<'_>) -> Snapshot {
        Snapshot { domain: self.domain.clone(), name: node.node.name.clone() }
    }
}

fn below<'a>(
    nodes: &'a [VirtualMachineSnapshotTree],
    parent: Option<&'a VirtualMachineSnapshotTree>,
) -> Vec<Node<'a>> {
    // VMware allows 32 levels; the reader refuses deeper documents long before a recursion would hurt.
    nodes
        .iter()
        .flat_map(|node| {
            std::iter::once(Node { node, parent })
                .chain(below(&node.child_snapshot_list, Some(node)))
        })
        .collect()
}

fn missing(message: String) -> Error {
    Error::new(ErrorCode::NoDomainSnapshot, ErrorDomain::Esx, message)
}

/// The error of an operation on a snapshot: one that has gone since the look at the tree is a snapshot, not a domain.
fn gone_or(stop: Stop, target: &MoRef, what: &str) -> Error {
    let is_gone = matches!(&stop, Stop::Vi(error) if error.is_fault("ManagedObjectNotFound")
        && error.fault().and_then(|f| f.detail.as_ref()?.get("obj")?.as_moref()) == Some(target));
    let mut error = stop.into_error(what);
    if is_gone {
        error.code = ErrorCode::NoDomainSnapshot;
    }
    error
}

/// The listing flags that say something here.
const LIST: List = List::ROOTS
    .union(List::METADATA)
    .union(List::NO_METADATA)
    .union(List::LEAVES)
    .union(List::NO_LEAVES)
    .union(List::TOPOLOGICAL);

/// Applies the flags to the nodes of one level (`all` levels unless `ROOTS`, which for children means the
/// reverse: `DESCENDANTS`).
fn select<'a>(nodes: Vec<Node<'a>>, flags: List) -> Vec<Node<'a>> {
    // The host keeps everything: there is no metadata on this side.
    if flags.contains(List::METADATA) && !flags.contains(List::NO_METADATA) {
        return Vec::new();
    }
    let leaves = (flags.contains(List::LEAVES), flags.contains(List::NO_LEAVES));
    nodes
        .into_iter()
        .filter(|n| match leaves {
            (true, false) => n.node.child_snapshot_list.is_empty(),
            (false, true) => !n.node.child_snapshot_list.is_empty(),
            _ => true,
        })
        .collect()
}

impl Session {
    pub(crate) async fn snapshots(&self, domain: &Domain) -> Result<Tree> {
        let found =
            self.find_domain(domain, Wanted { paths: &[ROOTS, CURRENT], autostart: false }).await?;
        Ok(Tree {
            roots: found.row.get_lenient(ROOTS).map_err(decode_error)?.unwrap_or_default(),
            current: found.row.get(CURRENT).map_err(decode_error)?,
            machine: found.machine.moref,
            domain: domain.clone(),
        })
    }

    /// The snapshots of a domain, or with `of` those below one of them.
    pub(crate) async fn list_snapshots(
        &self,
        domain: &Domain,
        of: Option<&str>,
        flags: List,
    ) -> Result<Vec<Snapshot>> {
        check_flags("virDomainListAllSnapshots", flags, LIST)?;
        let tree = self.snapshots(domain).await?;
        let nodes = match of {
            None if flags.contains(List::ROOTS) => {
                tree.roots.iter().map(|node| Node { node, parent: None }).collect()
            }
            None => tree.all(),
            Some(name) => {
                let parent = tree.find(name)?.node;
                let all = below(&parent.child_snapshot_list, Some(parent));
                // For children the bit of ROOTS is called DESCENDANTS.
                let direct = |n: &Node<'_>| n.parent.is_some_and(|p| p.snapshot == parent.snapshot);
                all.into_iter().filter(|n| flags.contains(List::ROOTS) || direct(n)).collect()
            }
        };
        Ok(select(nodes, flags).into_iter().map(|node| tree.handle(node)).collect())
    }

    /// The managed object behind the one snapshot of this name.
    pub(crate) async fn snapshot_moref(&self, domain: &Domain, name: &str) -> Result<MoRef> {
        Ok(self.snapshots(domain).await?.find(name)?.node.snapshot.clone())
    }

    /// libvirt `virDomainSnapshotLookupByName`.
    pub(crate) async fn snapshot(
        &self,
        domain: &Domain,
        name: &str,
        flags: NoFlags,
    ) -> Result<Snapshot> {
        check_flags("virDomainSnapshotLookupByName", flags, NoFlags::empty())?;
        let tree = self.snapshots(domain).await?;
        Ok(tree.handle(tree.find(name)?))
    }

    /// libvirt `virDomainSnapshotCurrent`; `None` if there is none.
    pub(crate) async fn current_snapshot(
        &self,
        domain: &Domain,
        flags: NoFlags,
    ) -> Result<Option<Snapshot>> {
        check_flags("virDomainSnapshotCurrent", flags, NoFlags::empty())?;
        let tree = self.snapshots(domain).await?;
        Ok(tree.current().map(|node| tree.handle(node)))
    }

    /// The same, where there must be one.
    pub(crate) async fn require_current_snapshot(
        &self,
        domain: &Domain,
        flags: NoFlags,
    ) -> Result<Snapshot> {
        let current = self.current_snapshot(domain, flags).await?;
        current.ok_or_else(|| missing(format!("domain {:?} has no current snapshot", domain.name)))
    }

    /// libvirt `virDomainSnapshotIsCurrent`; references are compared, not names.
    pub(crate) async fn is_current_snapshot(
        &self,
        snapshot: &Snapshot,
        flags: NoFlags,
    ) -> Result<bool> {
        check_flags("virDomainSnapshotIsCurrent", flags, NoFlags::empty())?;
        let tree = self.snapshots(&snapshot.domain).await?;
        let node = tree.find(&snapshot.name)?.node;
        Ok(tree.current.as_ref() == Some(&node.snapshot))
    }

    /// libvirt `virDomainSnapshotGetParent`.
    pub(crate) async fn parent_snapshot(
        &self,
        snapshot: &Snapshot,
        flags: NoFlags,
    ) -> Result<Snapshot> {
        check_flags("virDomainSnapshotGetParent", flags, NoFlags::empty())?;
        let tree = self.snapshots(&snapshot.domain).await?;
        let parent = tree.find(&snapshot.name)?.parent;
        let parent = parent
            .ok_or_else(|| missing(format!("the snapshot {:?} has no parent", snapshot.name)))?;
        Ok(tree.handle(Node { node: parent, parent: None }))
    }

    /// libvirt `virDomainSnapshotGetXMLDesc`.
    pub(crate) async fn snapshot_xml(
        &self,
        snapshot: &Snapshot,
        flags: SnapshotXmlFlags,
    ) -> Result<String> {
        check_flags("virDomainSnapshotGetXMLDesc", flags, SnapshotXmlFlags::SECURE)?;
        self.snapshots(&snapshot.domain).await?.document(snapshot)
    }

    /// The same of several snapshots of one domain, from one look at the tree.
    pub(crate) async fn snapshots_xml(
        &self,
        snapshots: &[Snapshot],
        flags: SnapshotXmlFlags,
    ) -> Result<Vec<Result<String>>> {
        check_flags("virDomainSnapshotGetXMLDesc", flags, SnapshotXmlFlags::SECURE)?;
        let Some(first) = snapshots.first() else { return Ok(Vec::new()) };
        let tree = self.snapshots(&first.domain).await?;
        let of_one = |snapshot: &Snapshot| {
            if snapshot.domain.uuid == first.domain.uuid {
                return tree.document(snapshot);
            }
            let message = "the snapshots are not of one domain";
            Err(Error::invalid_arg(ErrorDomain::DomainSnapshot, message))
        };
        Ok(snapshots.iter().map(of_one).collect())
    }

    /// libvirt `virDomainSnapshotCreateXML`. `QUIESCE` stands for a snapshot without memory: the two are
    /// alternatives to VMware, and the combination that libvirt sends leaves the guest as it is.
    pub(crate) async fn create_snapshot(
        &self,
        domain: &Domain,
        xml: &str,
        flags: SnapshotCreateFlags,
    ) -> Result<Snapshot> {
        self.check_writable("virDomainSnapshotCreateXML")?;
        let known = SnapshotCreateFlags::DISK_ONLY
            | SnapshotCreateFlags::QUIESCE
            | SnapshotCreateFlags::NO_METADATA
            | SnapshotCreateFlags::ATOMIC
            | SnapshotCreateFlags::VALIDATE;
        check_flags("virDomainSnapshotCreateXML", flags, known)?;
        let request =
            document::SnapshotRequest::parse(xml).map_err(|e| conversion_error(e.into()))?;
        let name = request.name.unwrap_or_else(|| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            now.as_secs().to_string()
        });
        let tree = self.snapshots(domain).await?;
        if tree.all().iter().any(|n| n.node.name == name) {
            let message = format!("domain {:?} has a snapshot {name:?} already", domain.name);
            return Err(Error::new(ErrorCode::OperationInvalid, ErrorDomain::Esx, message));
        }
        let quiesce = flags.contains(SnapshotCreateFlags::QUIESCE);
        let operation = CreateSnapshotTask {
            name: name.clone(),
            description: request.description,
            memory: !quiesce && !flags.contains(SnapshotCreateFlags::DISK_ONLY),
            quiesce,
        };
        let what = format!("cannot create the snapshot {name:?} of domain {:?}", domain.name);
        let machine = &tree.machine;
        let made = self.run_on(&self.client, machine, machine, &operation, &[], |_| Ok(())).await;
        made.map_err(|stop| stop.into_error(&what))?;
        Ok(Snapshot { domain: domain.clone(), name })
    }

    /// Whether somebody makes a snapshot of this machine at the moment.
    pub(crate) async fn is_making_snapshot(&self, domain: &Domain) -> Result<bool> {
        let retrieval = Retrieval::from(&self.machine_of(domain).await?)
            .via([traversal("recentTask", "VirtualMachine", "recentTask", [])])
            .read("Task", ["info.state", "info.descriptionId"]);
        let found = self.client.retrieve(&retrieval).await;
        let what = || format!("cannot look at what is done to domain {:?}", domain.name);
        let found = found.map_err(|e| vi_error(&what(), e))?;
        Ok(found.of("Task").any(|task| {
            let text = |path| task.get_lenient::<Value>(path).ok().flatten();
            let (state, kind) = (text("info.state"), text("info.descriptionId"));
            let state = state.as_ref().and_then(Value::as_str).map(TaskState::parse);
            state.is_some_and(TaskState::is_unfinished)
                && kind.as_ref().and_then(Value::as_str) == Some("VirtualMachine.createSnapshot")
        }))
    }

    /// libvirt `virDomainRevertToSnapshot`.
    pub(crate) async fn revert(
        &self,
        snapshot: &Snapshot,
        flags: SnapshotRevertFlags,
    ) -> Result<()> {
        self.check_writable("virDomainRevertToSnapshot")?;
        check_flags("virDomainRevertToSnapshot", flags, SnapshotRevertFlags::FORCE)?;
        let tree = self.snapshots(&snapshot.domain).await?;
        let target = &tree.find(&snapshot.name)?.node.snapshot;
        let operation = RevertToSnapshotTask { host: None, suppress_power_on: None };
        let what = format!(
            "cannot revert domain {:?} to the snapshot {:?}",
            snapshot.domain.name, snapshot.name
        );
        let log = |c: &esx_vi_client::Checked| {
            tracing::debug!(state = %checked_state(c), "reverting");
            Ok(())
        };
        let done = self.run_on(&self.client, &tree.machine, target, &operation, &[], log).await;
        done.map_err(|stop| gone_or(stop, target, &what))
    }

    /// libvirt `virDomainSnapshotDelete`.
    pub(crate) async fn delete_snapshot(
        &self,
        snapshot: &Snapshot,
        flags: SnapshotDeleteFlags,
    ) -> Result<()> {
        self.check_writable("virDomainSnapshotDelete")?;
        let known = SnapshotDeleteFlags::CHILDREN | SnapshotDeleteFlags::METADATA_ONLY;
        check_flags("virDomainSnapshotDelete", flags, known)?;
        let tree = self.snapshots(&snapshot.domain).await?;
        let target = &tree.find(&snapshot.name)?.node.snapshot;
        if flags.contains(SnapshotDeleteFlags::METADATA_ONLY) {
            // There is none on this side.
            return Ok(());
        }
        let operation = RemoveSnapshotTask {
            remove_children: flags.contains(SnapshotDeleteFlags::CHILDREN),
            consolidate: None,
        };
        let what = format!(
            "cannot delete the snapshot {:?} of domain {:?}",
            snapshot.name, snapshot.domain.name
        );
        let no_look = |_: &_| Ok(());
        let done = self.run_on(&self.client, &tree.machine, target, &operation, &[], no_look).await;
        done.map_err(|stop| gone_or(stop, target, &what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, children: Vec<VirtualMachineSnapshotTree>) -> VirtualMachineSnapshotTree {
        VirtualMachineSnapshotTree {
            name: name.to_owned(),
            snapshot: MoRef::new("VirtualMachineSnapshot", format!("snapshot-{name}")),
            child_snapshot_list: children,
            ..Default::default()
        }
    }

    fn tree() -> Tree {
        let domain = Domain { name: "d".to_owned(), uuid: uuid::Uuid::nil(), id: None };
        Tree {
            machine: MoRef::new("VirtualMachine", "1"),
            domain,
            roots: vec![
                node("a", vec![node("b", vec![node("c", vec![])]), node("d", vec![])]),
                node("e", vec![node("d", vec![])]),
            ],
            current: Some(MoRef::new("VirtualMachineSnapshot", "snapshot-c")),
        }
    }

    fn names(nodes: &[Node<'_>]) -> String {
        nodes.iter().map(|n| n.node.name.as_str()).collect()
    }

    #[test]
    fn the_tree_is_walked_from_the_top() {
        let tree = tree();
        assert_eq!(names(&tree.all()), "abcded");
        assert_eq!(names(&select(tree.all(), List::LEAVES)), "cdd");
        assert_eq!(names(&select(tree.all(), List::NO_LEAVES)), "abe");
        assert_eq!(names(&select(tree.all(), List::METADATA)), "");
        assert_eq!(tree.current().unwrap().node.name, "c");
        assert_eq!(tree.find("b").unwrap().parent.unwrap().name, "a");
    }

    #[test]
    fn two_snapshots_of_one_name_are_never_mixed_up() {
        let tree = tree();
        assert_eq!(tree.find("d").err().unwrap().code, ErrorCode::OperationInvalid);
        assert_eq!(tree.find("x").err().unwrap().code, ErrorCode::NoDomainSnapshot);
    }
}
