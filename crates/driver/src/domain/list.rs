//! Listing: one request and one per further page, whatever the number of machines.

use std::collections::HashSet;

use esx_vi_api::MoRef;
use esx_vi_api::data::{AnySelectionSpec, VirtualMachineSnapshotTree};
use esx_vi_client::{Retrieval, traversal};
use virt_api::{DomainState, ListAllDomainsFlags as Flags, ListedDomain, Result, check_flags};

use super::autostart::{autostarted, is_manager_missing, no_manager, with_autostart};
use super::{Machine, identity_paths};
use crate::connection::Session;
use crate::error::vi_error;
use crate::inventory::steps_to_hosts;

/// Both flags of a group, or none: the group does not filter.
fn filter(flags: Flags, positive: Flags, negative: Flags) -> Option<bool> {
    match (flags.contains(positive), flags.contains(negative)) {
        (true, false) => Some(true),
        (false, true) => Some(false),
        _ => None,
    }
}

/// Machines with whether they have snapshots, and those that the host starts by itself; `None` if that was not asked.
type Listed = (Vec<(Machine, Option<bool>)>, Option<HashSet<MoRef>>);

/// The property with the trees of a machine's snapshots.
const SNAPSHOTS: &str = "snapshot.rootSnapshotList";
const STATES: Flags = Flags::RUNNING.union(Flags::PAUSED).union(Flags::SHUTOFF).union(Flags::OTHER);

impl Session {
    /// Retrieves `paths` of every machine of the connection's host in one go.
    pub(crate) fn machines_retrieval(&self, paths: &[&str]) -> Retrieval {
        self.machines_retrieval_then(paths, [])
    }

    /// The same, going on from the machines along `then`.
    pub(crate) fn machines_retrieval_then(
        &self,
        paths: &[&str],
        then: impl IntoIterator<Item = AnySelectionSpec>,
    ) -> Retrieval {
        let machines = [traversal("hostSystemToVm", "HostSystem", "vm", then)];
        let retrieval = match self.known_binding() {
            Some(binding) => Retrieval::from(&binding.host).via(machines),
            // The way to the host need not be known: the host walks it itself.
            None => {
                Retrieval::from(&self.client.content().root_folder).via(steps_to_hosts(machines))
            }
        };
        retrieval.read("VirtualMachine", paths.iter().copied())
    }

    /// Every machine, from the live view if there is one.
    async fn known_machines(&self) -> Result<Vec<Machine>> {
        match self.view_machines(false).await {
            Some((machines, _)) => Ok(machines),
            None => self.machines().await,
        }
    }

    /// Every machine, in the host's order, as the host tells.
    pub(crate) async fn machines(&self) -> Result<Vec<Machine>> {
        let uuid_path = self.uuid_path();
        let retrieval = self.machines_retrieval(&identity_paths(uuid_path));
        let found = self
            .client
            .retrieve(&retrieval)
            .await
            .map_err(|e| vi_error("cannot list domains", e))?;
        Ok(found.of("VirtualMachine").map(|row| Machine::read(row, uuid_path)).collect())
    }

    /// libvirt `virConnectListAllDomains` (spec `domain.md` 5.2).
    pub(crate) async fn list_all(&self, flags: Flags) -> Result<Vec<ListedDomain>> {
        check_flags("virConnectListAllDomains", flags, Flags::all())?;
        let autostart = filter(flags, Flags::AUTOSTART, Flags::NO_AUTOSTART);
        let snapshot = filter(flags, Flags::HAS_SNAPSHOT, Flags::NO_SNAPSHOT);
        let active = filter(flags, Flags::ACTIVE, Flags::INACTIVE);
        let never = [
            filter(flags, Flags::TRANSIENT, Flags::PERSISTENT),
            filter(flags, Flags::MANAGEDSAVE, Flags::NO_MANAGEDSAVE),
            filter(flags, Flags::HAS_CHECKPOINT, Flags::NO_CHECKPOINT),
        ];
        if never.contains(&Some(true)) {
            return Ok(Vec::new());
        }
        let wants_snapshot = flags.intersects(Flags::HAS_SNAPSHOT | Flags::NO_SNAPSHOT);
        let wants_autostart = flags.intersects(Flags::AUTOSTART | Flags::NO_AUTOSTART);
        // Snapshots are not in the view.
        let known = match wants_snapshot {
            true => None,
            false => self.view_machines(wants_autostart).await,
        };
        let (machines, started) = match known {
            Some((machines, started)) => {
                (machines.into_iter().map(|machine| (machine, None)).collect(), started)
            }
            None => self.list_from_host(wants_snapshot, wants_autostart).await?,
        };
        let mut listed = Vec::with_capacity(machines.len());
        for (machine, has_snapshot) in machines {
            let mut entry = ListedDomain::new(machine.domain, machine.state);
            entry.problem = machine.problem;
            entry.autostart = started.as_ref().map(|set| set.contains(&machine.moref));
            entry.has_snapshot = has_snapshot;
            entry.moref = Some(machine.moref.value);
            let state_fits = !flags.intersects(STATES) || flags.contains(state_flag(entry.state));
            let fits = |wanted: Option<bool>, is: bool| wanted.is_none_or(|w| w == is);
            // What is not known is neither with nor without.
            let snapshot_fits = snapshot.is_none_or(|wanted| entry.has_snapshot == Some(wanted));
            if state_fits
                && fits(active, entry.is_active())
                && fits(autostart, entry.autostart == Some(true))
                && snapshot_fits
            {
                listed.push(entry);
            }
        }
        Ok(listed)
    }

    /// Every machine and, if that is wanted, whether it has snapshots, and which of them the host starts by itself: one request.
    async fn list_from_host(&self, snapshots: bool, autostart: bool) -> Result<Listed> {
        let uuid_path = self.uuid_path();
        let mut paths = identity_paths(uuid_path);
        if snapshots {
            paths.push(SNAPSHOTS);
        }
        let manager = if autostart { self.facts().await?.auto_start_manager.clone() } else { None };
        let mut retrieval = self.machines_retrieval(&paths);
        if let Some(manager) = &manager {
            retrieval = with_autostart(retrieval, manager);
        }
        let found = self.client.retrieve(&retrieval).await.map_err(|e| {
            if is_manager_missing(&e, manager.as_ref()) {
                no_manager()
            } else {
                vi_error("cannot list domains", e)
            }
        })?;
        let started = autostart.then(|| autostarted(&found)).transpose()?;
        let mut machines = Vec::with_capacity(found.objects.len());
        for row in found.of("VirtualMachine") {
            let (mut machine, mut has_snapshot) = (Machine::read(row, uuid_path), None);
            if snapshots {
                let roots = row.get_lenient::<Vec<VirtualMachineSnapshotTree>>(SNAPSHOTS);
                // Not known is neither with nor without, and takes nothing from the others.
                match roots {
                    Ok(None) if row.missing(SNAPSHOTS).is_some() || row.problem().is_some() => {}
                    Ok(roots) => has_snapshot = Some(!roots.unwrap_or_default().is_empty()),
                    Err(error) => {
                        let known =
                            machine.problem.take().map_or(String::new(), |p| format!("{p}; "));
                        machine.problem = Some(format!("{known}{error}"));
                    }
                }
            }
            machines.push((machine, has_snapshot));
        }
        Ok((machines, started))
    }

    /// IDs of the active machines; one whose state the host does not tell is neither active nor off.
    pub(crate) async fn active_ids(&self) -> Result<Vec<i32>> {
        let machines = self.known_machines().await?;
        Ok(machines
            .iter()
            .filter(|m| matches!(m.state, DomainState::Running | DomainState::Paused))
            .filter_map(|m| m.domain.id)
            .collect())
    }

    /// Names of the machines that are off; one without a name cannot be named.
    pub(crate) async fn inactive_names(&self) -> Result<Vec<String>> {
        let machines = self.known_machines().await?;
        Ok(machines
            .into_iter()
            .filter(|m| m.state == DomainState::Shutoff && !m.domain.name.is_empty())
            .map(|m| m.domain.name)
            .collect())
    }
}

fn state_flag(state: DomainState) -> Flags {
    match state {
        DomainState::Running => Flags::RUNNING,
        DomainState::Paused => Flags::PAUSED,
        DomainState::Shutoff => Flags::SHUTOFF,
        _ => Flags::OTHER,
    }
}
