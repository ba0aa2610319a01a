//! What the host tells of its switches. Each function is one request, whatever there is.

use std::collections::HashSet;

use esx_escape::percent;
use esx_vi_api::data::{HostPortGroup, HostProxySwitch, HostVirtualSwitch, PhysicalNic};
use esx_vi_api::properties::ObjectRow;
use esx_vi_api::{MoRef, Object, Value};
use esx_vi_client::{Retrieval, Retrieved, traversal};
use uuid::Uuid;
use virt_api::{ErrorCode, NetworkHandle, Result};
use virt_xml::network::{Forward, Network, PortGroup, Vlan};

use super::{bandwidth, failure};
use crate::connection::Session;
use crate::digest::uuid_of;
use crate::error::{decode_error, network_error};
use crate::host::parse_uuid;
use crate::view::Ask;

pub(super) const SWITCHES: &str = "config.network.vswitch";
pub(super) const PROXIES: &str = "config.network.proxySwitch";
pub(super) const PORT_GROUPS: &str = "config.network.portgroup";
pub(crate) const CARDS: &str = "config.network.pnic";

/// What networks and interfaces are read from.
pub(crate) const FACTS: [&str; 4] = [SWITCHES, PROXIES, PORT_GROUPS, CARDS];

/// Properties of distributed port groups.
pub(crate) const DISTRIBUTED: [&str; 4] =
    ["name", "config.defaultPortConfig", "config.distributedVirtualSwitch", "config.uplink"];

/// The VLAN id by which a port group lets every tag through to the guest.
pub(super) const ALL_VLANS: i32 = 4095;
/// The frame size that libvirt's documents do not mention.
const USUAL_MTU: i32 = 1500;

/// The UUID of a standard switch: equal on every host with a switch of that name, as libvirt makes it.
pub(super) fn switch_uuid(switch: &HostVirtualSwitch) -> Uuid {
    uuid_of(switch.key.as_bytes())
}

/// The UUID of a distributed switch is its own.
fn proxy_uuid(proxy: &HostProxySwitch) -> Uuid {
    parse_uuid(&proxy.dvs_uuid).unwrap_or_else(|| uuid_of(proxy.dvs_uuid.as_bytes()))
}

/// An array property of the host; one that the host does not tell is empty.
pub(crate) fn list<T>(row: &ObjectRow, path: &str) -> Result<Vec<T>>
where
    Vec<T>: esx_vi_api::Decode,
{
    Ok(row.get_lenient(path).map_err(decode_error)?.unwrap_or_default())
}

/// The switches of a host.
pub(super) struct Switches {
    pub(super) standard: Vec<HostVirtualSwitch>,
    pub(super) distributed: Vec<HostProxySwitch>,
}

impl Switches {
    pub(super) fn read(row: &ObjectRow) -> Result<Self> {
        Ok(Self { standard: list(row, SWITCHES)?, distributed: list(row, PROXIES)? })
    }

    /// All of them, in the host's order.
    fn handles(&self) -> Vec<NetworkHandle> {
        let standard = self
            .standard
            .iter()
            .map(|switch| NetworkHandle { name: switch.name.clone(), uuid: switch_uuid(switch) });
        let distributed = self
            .distributed
            .iter()
            .map(|proxy| NetworkHandle { name: proxy.dvs_name.clone(), uuid: proxy_uuid(proxy) });
        standard.chain(distributed).collect()
    }

    /// The standard switch of a handle.
    pub(super) fn standard(&self, handle: &NetworkHandle) -> Option<&HostVirtualSwitch> {
        self.standard.iter().find(|switch| switch_uuid(switch) == handle.uuid)
    }

    /// The distributed switch of a handle.
    pub(super) fn distributed(&self, handle: &NetworkHandle) -> Option<&HostProxySwitch> {
        self.distributed.iter().find(|proxy| proxy_uuid(proxy) == handle.uuid)
    }
}

/// The error for a network that has gone.
pub(super) fn gone(handle: &NetworkHandle) -> virt_api::Error {
    let message = format!("the host has no network {:?} ({}) any more", handle.name, handle.uuid);
    failure(ErrorCode::NoNetwork, message)
}

impl Session {
    /// Properties of the connection's host.
    pub(crate) async fn host_row(&self, ask: Ask, what: &str, paths: &[&str]) -> Result<ObjectRow> {
        if let Some(row) = self.view_host_row(ask, paths).await {
            return Ok(row);
        }
        let host = self.binding().await?.host;
        // With its name, a host that tells nothing else is not taken for one that has gone.
        let paths: Vec<&str> = paths.iter().copied().chain(["name"]).collect();
        let row = self.client.read(&host, &paths).await.map_err(|e| network_error(what, e))?;
        row.ok_or_else(|| failure(ErrorCode::InternalError, "the host has gone"))
    }

    /// All networks.
    pub(super) async fn networks(&self, ask: Ask) -> Result<Vec<NetworkHandle>> {
        let row = self.host_row(ask, "cannot list the networks", &[SWITCHES, PROXIES]).await?;
        Ok(Switches::read(&row)?.handles())
    }

    /// The network that `wanted` knows.
    pub(super) async fn network_by(
        &self,
        wanted: impl Fn(&NetworkHandle) -> bool,
    ) -> Result<Option<NetworkHandle>> {
        for ask in self.asked() {
            let networks = self.networks(*ask).await?;
            if let Some(network) = networks.into_iter().find(&wanted) {
                return Ok(Some(network));
            }
        }
        Ok(None)
    }

    /// The document of a network.
    pub(super) async fn network_xml(&self, handle: &NetworkHandle) -> Result<String> {
        for ask in self.asked() {
            if let Some(document) = self.network_document(*ask, handle).await? {
                return Ok(document);
            }
        }
        Err(gone(handle))
    }

    async fn network_document(&self, ask: Ask, handle: &NetworkHandle) -> Result<Option<String>> {
        let host = self.binding().await?.host;
        let mut then = Vec::new();
        if self.is_vcenter() {
            then.push(traversal(
                "portgroupToSwitch",
                "DistributedVirtualPortgroup",
                "config.distributedVirtualSwitch",
                [],
            ));
        }
        let mut retrieval = Retrieval::from(&host)
            .via([traversal("hostSystemToNetwork", "HostSystem", "network", then)])
            .read("HostSystem", FACTS)
            .read("Network", ["name"]);
        if self.is_vcenter() {
            retrieval = retrieval
                .read("DistributedVirtualPortgroup", DISTRIBUTED)
                .read("DistributedVirtualSwitch", ["uuid"]);
        }
        let found = match self.view_rows(ask, &["Network", "DistributedVirtualSwitch"]).await {
            Some(found) => found,
            None => {
                let found = self.client.retrieve(&retrieval).await;
                found.map_err(|e| network_error("cannot read the network", e))?
            }
        };
        let row = found.objects.iter().find(|row| row.moref == host);
        let Some(row) = row else { return Ok(None) };
        let switches = Switches::read(row)?;
        let cards: Vec<PhysicalNic> = list(row, CARDS)?;
        let forward = |keys: &[String]| {
            let mut interfaces = Vec::new();
            for key in keys {
                match cards.iter().find(|card| card.key.as_ref() == Some(key)) {
                    Some(card) => interfaces.push(card.device.clone()),
                    None => tracing::warn!(key, "the host does not tell this network card"),
                }
            }
            (!interfaces.is_empty()).then(|| Forward {
                mode: "bridge".to_owned(),
                interfaces,
                by_address: false,
            })
        };
        let mtu = |mtu: Option<i32>| {
            mtu.filter(|mtu| *mtu != USUAL_MTU).and_then(|mtu| u32::try_from(mtu).ok())
        };
        let mut network =
            Network { name: handle.name.clone(), uuid: Some(handle.uuid), ..Network::default() };
        if let Some(switch) = switches.standard(handle) {
            network.name.clone_from(&switch.name);
            network.forward = forward(&switch.pnic);
            network.mtu = mtu(switch.spec.mtu.or(switch.mtu));
            let policy = switch.spec.policy.as_ref().and_then(|p| p.shaping_policy.as_ref());
            network.bandwidth = bandwidth::of_policy(policy);
            let groups: Vec<HostPortGroup> = list(row, PORT_GROUPS)?;
            network.portgroups = standard_groups(switch, &groups, &network_names(&found)?);
        } else if let Some(proxy) = switches.distributed(handle) {
            network.name.clone_from(&proxy.dvs_name);
            network.forward = forward(&proxy.pnic);
            network.mtu = mtu(proxy.mtu);
            network.portgroups = distributed_groups(&found, handle.uuid)?;
        } else {
            return Ok(None);
        }
        Ok(Some(network.to_xml()))
    }
}

/// The names under which machines of the host find networks.
fn network_names(found: &Retrieved) -> Result<HashSet<String>> {
    let mut names = HashSet::new();
    for row in found.of("Network") {
        if let Some(stored) = row.get::<String>("name").map_err(decode_error)? {
            // The inventory keeps `%`, `/` and `\` escaped; a name that is not is taken as it is.
            names.insert(percent::unescape(&stored).map_or_else(|_| stored.clone(), Into::into));
        }
    }
    Ok(names)
}

/// The port groups of a switch that machines can be connected to; those of the host itself are no networks.
fn standard_groups(
    switch: &HostVirtualSwitch,
    groups: &[HostPortGroup],
    names: &HashSet<String>,
) -> Vec<PortGroup> {
    let mut found = Vec::new();
    for key in &switch.portgroup {
        let Some(group) = groups.iter().find(|group| group.key.as_ref() == Some(key)) else {
            tracing::warn!(key, "the host does not tell this port group");
            continue;
        };
        let spec = &group.spec;
        if names.contains(&spec.name) {
            found.push(PortGroup {
                name: spec.name.clone(),
                vlan: vlan(spec.vlan_id),
                bandwidth: bandwidth::of_policy(spec.policy.shaping_policy.as_ref()),
            });
        }
    }
    found
}

/// A VLAN id as libvirt says it.
fn vlan(id: i32) -> Option<Vlan> {
    let tag = u16::try_from(id).ok().filter(|id| *id > 0)?;
    Some(Vlan { trunk: id == ALL_VLANS, tags: vec![tag] })
}

/// The port groups of a distributed switch that the host has, but for those of its uplinks.
fn distributed_groups(found: &Retrieved, uuid: Uuid) -> Result<Vec<PortGroup>> {
    let mut switch = None;
    for row in found.of("DistributedVirtualSwitch") {
        let own = row.get::<String>("uuid").map_err(decode_error)?;
        if own.and_then(|own| parse_uuid(&own)) == Some(uuid) {
            switch = Some(row.moref.clone());
        }
    }
    let mut groups = Vec::new();
    for row in found.of("DistributedVirtualPortgroup") {
        let of: Option<MoRef> = row.get("config.distributedVirtualSwitch").map_err(decode_error)?;
        let uplink: Option<bool> = row.get("config.uplink").map_err(decode_error)?;
        if of.is_none() || of != switch || uplink == Some(true) {
            continue;
        }
        let stored: String = row.require("name").map_err(decode_error)?;
        let setting: Option<Object> = row.get("config.defaultPortConfig").map_err(decode_error)?;
        groups.push(PortGroup {
            name: percent::unescape(&stored).map_or_else(|_| stored.clone(), Into::into),
            vlan: setting.as_ref().and_then(distributed_vlan),
            bandwidth: setting.as_ref().and_then(bandwidth::of_port_setting),
        });
    }
    groups.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(groups)
}

/// The VLAN of a `VMwareDVSPortSetting`: one tag, or ranges of tags that are let through.
fn distributed_vlan(setting: &Object) -> Option<Vlan> {
    let spec = setting.get("vlan")?.as_object()?;
    let number = |object: &Object, member: &str| object.get(member).and_then(Value::as_i64);
    match spec.get("vlanId")? {
        Value::Array(ranges) => {
            let mut tags = Vec::new();
            for range in ranges.items.iter().filter_map(Value::as_object) {
                let (start, end) = (number(range, "start")?, number(range, "end")?);
                let bounded = |n: i64| u16::try_from(n.clamp(0, 4094)).unwrap_or(0);
                tags.extend(bounded(start)..=bounded(end));
            }
            // All of them are said in one number.
            if tags.len() >= 4094 {
                return vlan(ALL_VLANS);
            }
            (!tags.is_empty()).then_some(Vlan { trunk: true, tags })
        }
        id => vlan(i32::try_from(id.as_i64()?).ok()?),
    }
}
