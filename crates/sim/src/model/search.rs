//! The search index.

use esx_escape::{DatastorePath, inventory_path, percent};
use esx_vi_api::MoRef;
use uuid::Uuid;

use super::inventory::Inventory;
use super::machine::Machine;

/// A question to the search index about machines or hosts.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wanted<'a> {
    BiosUuid(&'a str),
    InstanceUuid(&'a str),
    Ip(&'a str),
    DnsName(&'a str),
}

impl Inventory {
    /// All machines, or all hosts, that fit, in the order of the inventory.
    pub(crate) fn find(
        &self,
        datacenter: Option<&MoRef>,
        wanted: Wanted<'_>,
        machines: bool,
    ) -> Vec<MoRef> {
        let inside =
            |moref: &MoRef| datacenter.is_none_or(|datacenter| self.is_below(moref, datacenter));
        if machines {
            let uuid = match wanted {
                Wanted::BiosUuid(text) | Wanted::InstanceUuid(text) => Uuid::try_parse(text).ok(),
                Wanted::Ip(_) | Wanted::DnsName(_) => None,
            };
            let fits = |machine: &Machine| match wanted {
                Wanted::BiosUuid(_) => uuid == Some(machine.bios_uuid) && machine.accessible,
                Wanted::InstanceUuid(_) => {
                    uuid == Some(machine.instance_uuid) && machine.accessible
                }
                Wanted::Ip(ip) => machine.guest_ip().as_deref() == Some(ip),
                Wanted::DnsName(name) => {
                    machine.guest_host_name().is_some_and(|own| own.eq_ignore_ascii_case(name))
                }
            };
            return self
                .machines()
                .filter(|machine| fits(machine) && inside(&machine.moref))
                .map(|machine| machine.moref.clone())
                .collect();
        }
        let hosts = self.hosts_with(|host| match wanted {
            Wanted::BiosUuid(text) => host.uuid.eq_ignore_ascii_case(text),
            Wanted::InstanceUuid(_) => false,
            Wanted::Ip(ip) => host.address == ip,
            Wanted::DnsName(name) => host.dns_name().eq_ignore_ascii_case(name),
        });
        hosts.into_iter().filter(|moref| inside(moref)).cloned().collect()
    }

    /// The child of an entity with this name, as it is stored or plain.
    pub(crate) fn find_child(&self, parent: &MoRef, name: &str) -> Option<MoRef> {
        let fits = |child: &&MoRef| {
            self.name(child).is_some_and(|own| percent::escape(own) == name || own == name)
        };
        self.children(parent).into_iter().find(fits).cloned()
    }

    /// The entity at an inventory path; the root folder for an empty path.
    pub(crate) fn find_by_path(&self, path: &str) -> Option<MoRef> {
        let mut current = self.root.clone();
        for item in inventory_path::items(path) {
            // Either case of the digits is accepted.
            let plain = percent::unescape(item).ok()?;
            let fits = |child: &&MoRef| self.name(child).is_some_and(|own| own == plain);
            current = self.children(&current).into_iter().find(fits)?.clone();
        }
        Some(current)
    }

    /// The machine whose VMX file has this datastore path.
    pub(crate) fn find_by_datastore_path(
        &self,
        datacenter: &MoRef,
        path: &DatastorePath,
    ) -> Option<MoRef> {
        let fits = |machine: &&Machine| {
            machine.vmx_path() == path.path()
                && self
                    .datastore(&machine.place.datastore)
                    .is_some_and(|store| store.name == path.datastore())
                && self.is_below(&machine.moref, datacenter)
        };
        self.machines().find(fits).map(|machine| machine.moref.clone())
    }
}
