//! From an ID, a UUID or a name to a machine, in few requests and few bytes.

use std::sync::{Arc, PoisonError};

use esx_escape::percent;
use esx_vi_api::methods::{FindAllByUuid, FindByUuid, FindChild};
use esx_vi_api::properties::ObjectRow;
use esx_vi_api::{ApiVersion, MoRef};
use esx_vi_client::Retrieval;
use uuid::Uuid;
use virt_api::{Domain, DomainSelector, DomainState, Error, ErrorCode, ErrorDomain, Result};

use super::autostart::{is_manager_missing, with_autostart};
use super::{Machine, NameIndex, identity_paths};
use crate::connection::Session;
use crate::error::vi_error;

/// A machine with the further properties that the caller asked for.
pub(crate) struct Found {
    pub(crate) machine: Machine,
    pub(crate) row: ObjectRow,
    /// The autostart manager's row, if it was asked for and is there.
    pub(crate) autostart: Option<esx_vi_client::Retrieved>,
}

/// What to read of a machine beside its identity.
#[derive(Clone, Copy, Default)]
pub(crate) struct Wanted<'a> {
    pub(crate) paths: &'a [&'a str],
    pub(crate) autostart: bool,
}

impl Session {
    /// The property that identifies machines: the instance UUID, or with `legacy_uuid=1` and on hosts
    /// that have none the BIOS UUID (spec `libvirt-12-deltas.md` 11.1, 14 no. 6).
    pub(crate) fn uuid_path(&self) -> &'static str {
        if self.by_instance_uuid() { "config.instanceUuid" } else { "config.uuid" }
    }

    fn by_instance_uuid(&self) -> bool {
        !self.uri.legacy_uuid() && self.client.api_version() >= ApiVersion::V4_0
    }

    /// The machine that `selector` names, with `wanted` of its properties.
    pub(crate) async fn find(
        &self,
        selector: &DomainSelector,
        wanted: Wanted<'_>,
    ) -> Result<Found> {
        if let Some(found) = self.view_find(selector, wanted).await {
            return Ok(found);
        }
        match selector {
            DomainSelector::Id(id) => self.find_by_id(*id, wanted).await,
            DomainSelector::Uuid(uuid) => self.find_by_uuid(*uuid, wanted).await,
            DomainSelector::Name(name) => self.find_by_name(name, wanted).await,
        }
    }

    /// The machine behind a handle: the one that the handle came from if that is still known, else
    /// by UUID, else by name.
    pub(crate) async fn find_domain(&self, domain: &Domain, wanted: Wanted<'_>) -> Result<Found> {
        match self.view_find_domain(domain, wanted).await {
            Some(found) => Ok(found),
            None => self.find_domain_at_host(domain, wanted).await,
        }
    }

    /// The same, always as the host tells.
    pub(super) async fn find_domain_at_host(
        &self,
        domain: &Domain,
        wanted: Wanted<'_>,
    ) -> Result<Found> {
        if let Some(moref) = self.remembered(domain)
            && let Some(found) = self.read_machine(&moref, wanted).await?
            && found.machine.domain.uuid == domain.uuid
        {
            return Ok(found);
        }
        if domain.uuid.is_nil() {
            return self.find_by_name(&domain.name, wanted).await;
        }
        self.find_by_uuid(domain.uuid, wanted).await
    }

    async fn find_by_id(&self, id: i32, wanted: Wanted<'_>) -> Result<Found> {
        if id < 0 {
            return Err(Error::invalid_arg(
                ErrorDomain::Domain,
                format!("domain ID {id} is negative"),
            ));
        }
        // ESX hosts count from 1, vCenter and simulators write vm-1; an ID has no other source.
        for value in [id.to_string(), format!("vm-{id}")] {
            let moref = MoRef::new("VirtualMachine", value);
            if let Some(found) = self.read_machine(&moref, wanted).await?
                && found.machine.state != DomainState::Shutoff
                && self.is_ours(&found.machine)
            {
                return Ok(found);
            }
        }
        Err(Error::no_domain(format!("no domain with ID {id}")))
    }

    async fn find_by_uuid(&self, uuid: Uuid, wanted: Wanted<'_>) -> Result<Found> {
        let not_found = || Error::no_domain(format!("no domain with UUID {uuid}"));
        let mut ours = Vec::new();
        for moref in self.morefs_by_uuid(uuid).await? {
            if let Some(found) = self.read_machine(&moref, wanted).await?
                && self.is_ours(&found.machine)
            {
                ours.push(found);
            }
        }
        if let [_, _, ..] = ours[..] {
            let names: Vec<_> =
                ours.iter().map(|f| format!("{:?}", f.machine.domain.name)).collect();
            let message = format!("UUID {uuid} is that of several domains: {}", names.join(", "));
            return Err(Error::new(ErrorCode::MultipleDomains, ErrorDomain::Esx, message));
        }
        ours.pop().ok_or_else(not_found)
    }

    /// `FindByUuid`; BIOS UUIDs may belong to several machines, so all of those are looked for.
    async fn morefs_by_uuid(&self, uuid: Uuid) -> Result<Vec<MoRef>> {
        let content = self.client.content();
        let failed = |e| vi_error("cannot look up the domain's UUID", e);
        let index = self.client.service("searchIndex", &content.search_index).map_err(failed)?;
        let datacenter = self.known_binding().map(|b| b.datacenter.clone());
        let instance = self.by_instance_uuid();
        if !instance && self.client.api_version() >= ApiVersion::V4_0 {
            let call = FindAllByUuid {
                datacenter: datacenter.clone(),
                uuid: uuid.to_string(),
                vm_search: true,
                instance_uuid: Some(false),
            };
            match self.client.call(index, &call).await {
                // Simulators know only the older call.
                Err(error)
                    if error.is_fault("NotSupported") || error.is_fault("MethodNotFound") => {}
                result => return result.map_err(failed),
            }
        }
        let call = FindByUuid {
            datacenter,
            uuid: uuid.to_string(),
            vm_search: true,
            instance_uuid: instance.then_some(true),
        };
        Ok(self.client.call(index, &call).await.map_err(failed)?.into_iter().collect())
    }

    /// The first look-up of a session asks the host for this one name; from the second on, and on a
    /// vCenter at once, an index of all names pays for itself.
    async fn find_by_name(&self, name: &str, wanted: Wanted<'_>) -> Result<Found> {
        let index = self.name_index();
        let first = index.is_none() && !self.is_vcenter() && self.first_name_lookup();
        if first && let Some(found) = self.find_child(name, wanted).await? {
            return Ok(found);
        }
        if let Some(index) = &index
            && let Some(found) = self.find_in_index(index, name, wanted).await?
        {
            return Ok(found);
        }
        // The index is missing or out of date: make a new one.
        let index = self.new_name_index().await?;
        if let Some(found) = self.find_in_index(&index, name, wanted).await? {
            return Ok(found);
        }
        let mut message = format!("no domain with name {name:?}");
        let nearest = index.nearest(name);
        if !nearest.is_empty() {
            let nearest: Vec<_> = nearest.iter().map(|n| format!("{n:?}")).collect();
            message.push_str(&format!(", did you mean {}?", nearest.join(" or ")));
        }
        Err(Error::no_domain(message))
    }

    /// `SearchIndex.FindChild` in the datacenter's folder of machines; the answer does not grow with
    /// the number of machines.
    async fn find_child(&self, name: &str, wanted: Wanted<'_>) -> Result<Option<Found>> {
        let binding = self.binding().await?;
        let failed = |e| vi_error("cannot look up the domain's name", e);
        let content = self.client.content();
        let index = self.client.service("searchIndex", &content.search_index).map_err(failed)?;
        let call = FindChild {
            entity: binding.vm_folder.clone(),
            name: percent::escape(name).into_owned(),
        };
        let Some(moref) = self.client.call(index, &call).await.map_err(failed)? else {
            return Ok(None);
        };
        if moref.kind != "VirtualMachine" {
            return Ok(None);
        }
        let found = self.read_machine(&moref, wanted).await?;
        Ok(found.filter(|found| found.machine.domain.name == name && self.is_ours(&found.machine)))
    }

    /// The one machine that the index has by this name. What the index says may be out of date: a machine that has another name
    /// by now, has gone, or has gone to another host does not count, and is no reason to call a name ambiguous.
    async fn find_in_index(
        &self,
        index: &NameIndex,
        name: &str,
        wanted: Wanted<'_>,
    ) -> Result<Option<Found>> {
        let mut named = Vec::new();
        for moref in index.find(name) {
            if let Some(found) = self.read_machine(moref, wanted).await?
                && found.machine.domain.name == name
                && self.is_ours(&found.machine)
            {
                named.push(found);
            }
        }
        if let [_, _, ..] = named[..] {
            let values: Vec<_> = named.iter().map(|f| f.machine.moref.value.as_str()).collect();
            let message = format!(
                "{name:?} is the name of several domains ({}), use the UUID",
                values.join(", ")
            );
            return Err(Error::new(ErrorCode::MultipleDomains, ErrorDomain::Esx, message));
        }
        Ok(named.pop())
    }

    async fn new_name_index(&self) -> Result<Arc<NameIndex>> {
        let index = Arc::new(NameIndex::new(&self.machines().await?));
        *self.names.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&index));
        Ok(index)
    }

    /// Whether the machine is on the host that this connection is bound to.
    fn is_ours(&self, machine: &Machine) -> bool {
        match (self.is_vcenter(), self.known_binding(), &machine.host) {
            (true, Some(binding), Some(host)) => binding.host == *host,
            _ => true,
        }
    }

    /// Reads a machine: one request. `None` if it no longer exists.
    pub(crate) async fn read_machine(
        &self,
        moref: &MoRef,
        wanted: Wanted<'_>,
    ) -> Result<Option<Found>> {
        let uuid_path = self.uuid_path();
        let mut paths = identity_paths(uuid_path);
        if self.is_vcenter() {
            paths.push("runtime.host");
        }
        for path in wanted.paths {
            if !paths.contains(path) {
                paths.push(path);
            }
        }
        let manager = if wanted.autostart { self.auto_start_manager().await? } else { None };
        let mut retrieval = Retrieval::from(moref).read("VirtualMachine", paths.iter().copied());
        if let Some(manager) = &manager {
            retrieval = with_autostart(retrieval, manager);
        }
        let mut found = match self.client.retrieve(&retrieval).await {
            Ok(found) => found,
            Err(error) if is_manager_missing(&error, manager.as_ref()) => {
                // A simulator may name a manager that it does not have.
                self.forget_auto_start_manager();
                let again = Wanted { autostart: false, ..wanted };
                return Box::pin(self.read_machine(moref, again)).await;
            }
            Err(error) if error.is_fault("ManagedObjectNotFound") => return Ok(None),
            Err(error) => return Err(vi_error("cannot read the domain", error)),
        };
        let Some(at) = found.objects.iter().position(|row| row.moref == *moref) else {
            return Ok(None);
        };
        let row = found.objects.swap_remove(at);
        let machine = Machine::read(&row, uuid_path);
        self.remember(&machine);
        Ok(Some(Found { machine, row, autostart: manager.is_some().then_some(found) }))
    }
}
