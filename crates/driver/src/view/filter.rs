//! What is watched: one filter from the connection's host to everything that hangs on it.

use esx_vi_api::MoRef;
use esx_vi_client::{Retrieval, traversal};

use crate::domain::{INFO, identity_paths, with_autostart};
use crate::network::{DISTRIBUTED, FACTS};
use crate::storage::{ADAPTERS, DATASTORE};

/// The filter of one connection.
#[derive(Clone, Debug)]
pub(super) struct Filter {
    pub(super) host: MoRef,
    /// Who tells which machines start by themselves.
    pub(super) manager: Option<MoRef>,
    pub(super) is_vcenter: bool,
    pub(super) uuid_path: &'static str,
}

/// What is read of a host system.
pub(super) fn host_paths() -> impl Iterator<Item = &'static str> {
    FACTS.iter().copied().chain([ADAPTERS, "name"])
}

/// What is read of a machine.
pub(super) fn machine_paths(uuid_path: &'static str) -> impl Iterator<Item = &'static str> {
    let identity = identity_paths(uuid_path);
    let more = INFO.iter().copied().filter(|path| !identity_paths(uuid_path).contains(path));
    identity.into_iter().chain(more.collect::<Vec<_>>())
}

impl Filter {
    pub(super) fn uuid_path(&self) -> &'static str {
        self.uuid_path
    }

    pub(super) fn retrieval(&self) -> Retrieval {
        let mut behind = Vec::new();
        if self.is_vcenter {
            behind.push(traversal(
                "portgroupToSwitch",
                "DistributedVirtualPortgroup",
                "config.distributedVirtualSwitch",
                [],
            ));
        }
        let mut retrieval = Retrieval::from(&self.host)
            .via([
                traversal("hostSystemToVm", "HostSystem", "vm", []),
                traversal("hostSystemToDatastore", "HostSystem", "datastore", []),
                traversal("hostSystemToNetwork", "HostSystem", "network", behind),
            ])
            .read("HostSystem", host_paths())
            .read("VirtualMachine", machine_paths(self.uuid_path))
            .read("Datastore", DATASTORE)
            .read("Network", ["name"]);
        if self.is_vcenter {
            retrieval = retrieval
                .read("DistributedVirtualPortgroup", DISTRIBUTED)
                .read("DistributedVirtualSwitch", ["uuid"]);
        }
        match &self.manager {
            Some(manager) => with_autostart(retrieval, manager),
            None => retrieval,
        }
    }
}
