//! Making and removing networks (spec `storage-network.md` 11.6 and 11.7).
//!
//! Everything that can be checked is checked before the first change. A change that fails half-way undoes what it did.
//!
//! **Cancellation.** The changes run to their end, or are undone, even if the caller goes away meanwhile. If the
//! connection breaks during a change, whether that one was done is not known: it is not undone, and the error says so.

use esx_vi_api::MoRef;
use esx_vi_api::data::{
    HostNetworkPolicy, HostPortGroup, HostPortGroupSpec, HostVirtualSwitchBondBridge,
    HostVirtualSwitchSpec, PhysicalNic,
};
use esx_vi_api::methods::{AddPortGroup, AddVirtualSwitch, RemovePortGroup, RemoveVirtualSwitch};
use esx_vi_api::properties::ObjectRow;
use esx_vi_client::Client;
use virt_api::{Error, ErrorCode, NetworkHandle, Result};
use virt_xml::network::{Network, Vlan};

use super::read::{
    ALL_VLANS, CARDS, PORT_GROUPS, PROXIES, SWITCHES, Switches, gone, list, switch_uuid,
};
use super::{bandwidth, failure};
use crate::connection::Session;
use crate::digest::uuid_of;
use crate::error::{decode_error, document_error, network_error};
use crate::view::Ask;

const SYSTEM: &str = "configManager.networkSystem";
/// How many ports a new switch has; newer hosts let the number grow by itself.
const PORTS: i32 = 128;

/// What is to be made.
struct Plan {
    name: String,
    spec: HostVirtualSwitchSpec,
    groups: Vec<HostPortGroupSpec>,
}

impl Session {
    /// Makes a switch with port groups: three requests, and one for each port group.
    pub(super) async fn define_network(&self, xml: &str, validate: bool) -> Result<NetworkHandle> {
        let asked = Network::parse(xml)
            .map_err(|e| document_error("cannot use the network's document", e))?;
        if validate && !asked.unknown.is_empty() {
            let message = format!("unknown elements: {}", asked.unknown.join(", "));
            return Err(failure(ErrorCode::XmlInvalidSchema, message));
        }
        let paths = [SWITCHES, PROXIES, PORT_GROUPS, CARDS, SYSTEM];
        let row = self.host_row(Ask::Host, "cannot read the networks of the host", &paths).await?;
        let switches = Switches::read(&row)?;
        let plan = plan(&asked, &switches, &list(&row, PORT_GROUPS)?, &list(&row, CARDS)?)?;
        let name = plan.name.clone();
        let (client, system) = (self.client.clone(), network_system(&row)?);
        to_the_end(async move { make(&client, &system, &plan).await }).await?;
        let row = self.host_row(Ask::Host, "cannot read the new network", &[SWITCHES]).await?;
        let made = Switches::read(&row)?;
        let made = made.standard.iter().find(|switch| switch.name == name);
        let made = made.ok_or_else(|| {
            failure(ErrorCode::NoNetwork, format!("the new network {name:?} has gone already"))
        })?;
        Ok(NetworkHandle { uuid: switch_uuid(made), name })
    }

    /// Removes a switch and its port groups: two requests, and one for each port group.
    pub(super) async fn undefine_network(&self, handle: &NetworkHandle) -> Result<()> {
        let paths = [SWITCHES, PROXIES, PORT_GROUPS, SYSTEM];
        let row = self.host_row(Ask::Host, "cannot read the networks of the host", &paths).await?;
        let switches = Switches::read(&row)?;
        let Some(switch) = switches.standard(handle) else {
            return Err(match switches.distributed(handle) {
                Some(_) => failure(
                    ErrorCode::OperationUnsupported,
                    format!(
                        "the network {:?} is a distributed switch, which only its vCenter can remove",
                        handle.name
                    ),
                ),
                None => gone(handle),
            });
        };
        let groups: Vec<HostPortGroup> = list(&row, PORT_GROUPS)?;
        let mut own = Vec::new();
        for key in &switch.portgroup {
            let group = groups.iter().find(|group| group.key.as_ref() == Some(key));
            let group = group.ok_or_else(|| {
                let message =
                    format!("the host does not tell the port group {key:?} of its switch");
                failure(ErrorCode::InternalError, message)
            })?;
            if let Some(port) = group.port.first() {
                let what = match port.type_.as_str() {
                    "virtualMachine" => "a running domain".to_owned(),
                    "host" => "the host itself".to_owned(),
                    other => format!("something ({other})"),
                };
                let message = format!(
                    "{what} is connected to the port group {:?} of the network {:?}",
                    group.spec.name, switch.name
                );
                return Err(failure(ErrorCode::OperationInvalid, message));
            }
            own.push(group.spec.clone());
        }
        let (client, system) = (self.client.clone(), network_system(&row)?);
        let name = switch.name.clone();
        to_the_end(async move { remove(&client, &system, &name, &own).await }).await
    }
}

fn network_system(row: &ObjectRow) -> Result<MoRef> {
    row.get::<MoRef>(SYSTEM).map_err(decode_error)?.ok_or_else(|| {
        failure(ErrorCode::OperationUnsupported, "the host's networks cannot be configured")
    })
}

/// Runs changes that must not stop in the middle because nobody waits any more.
async fn to_the_end<F>(changes: F) -> Result<()>
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    match tokio::spawn(changes).await {
        Ok(result) => result,
        Err(error) => {
            Err(failure(ErrorCode::InternalError, "the change was stopped").with_source(error))
        }
    }
}

async fn make(client: &Client, system: &MoRef, plan: &Plan) -> Result<()> {
    let name = &plan.name;
    let add = AddVirtualSwitch { vswitch_name: name.clone(), spec: Some(plan.spec.clone()) };
    let failed = |e| network_error(&format!("cannot make the network {name:?}"), e);
    client.call(system, &add).await.map_err(failed)?;
    for (index, group) in plan.groups.iter().enumerate() {
        let add = AddPortGroup { portgrp: group.clone() };
        let Err(error) = client.call(system, &add).await else { continue };
        let what = format!("cannot make the port group {:?} of the network {name:?}", group.name);
        let mut error = network_error(&what, error);
        let mut left = Vec::new();
        for made in plan.groups[..index].iter().rev() {
            let undo = RemovePortGroup { pg_name: made.name.clone() };
            if let Err(error) = client.call(system, &undo).await {
                tracing::warn!(%error, name = made.name, "a port group could not be removed again");
                left.push(format!("the port group {:?}", made.name));
            }
        }
        let undo = RemoveVirtualSwitch { vswitch_name: name.clone() };
        if let Err(error) = client.call(system, &undo).await {
            tracing::warn!(%error, name, "a switch could not be removed again");
            left.push(format!("the switch {name:?}"));
        }
        note_left(&mut error, &left);
        return Err(error);
    }
    Ok(())
}

async fn remove(
    client: &Client,
    system: &MoRef,
    name: &str,
    groups: &[HostPortGroupSpec],
) -> Result<()> {
    let mut removed = Vec::new();
    let error = 'failed: {
        for group in groups {
            let remove = RemovePortGroup { pg_name: group.name.clone() };
            if let Err(error) = client.call(system, &remove).await {
                let what = format!(
                    "cannot remove the port group {:?} of the network {name:?}",
                    group.name
                );
                break 'failed network_error(&what, error);
            }
            removed.push(group);
        }
        let remove = RemoveVirtualSwitch { vswitch_name: name.to_owned() };
        match client.call(system, &remove).await {
            Ok(()) => return Ok(()),
            Err(error) => network_error(&format!("cannot remove the network {name:?}"), error),
        }
    };
    let mut error = error;
    let mut lost = Vec::new();
    for group in removed {
        let undo = AddPortGroup { portgrp: group.clone() };
        if let Err(error) = client.call(system, &undo).await {
            tracing::warn!(%error, name = group.name, "a port group could not be made again");
            lost.push(format!("the port group {:?}", group.name));
        }
    }
    if !lost.is_empty() {
        error.message = format!("{}; {} has gone", error.message, lost.join(" and "));
    }
    Err(error)
}

fn note_left(error: &mut Error, left: &[String]) {
    if !left.is_empty() {
        error.message = format!("{}; {} is left over", error.message, left.join(" and "));
    }
}

/// Checks a document against what the host has, in libvirt's order (11.6).
fn plan(
    asked: &Network,
    switches: &Switches,
    groups: &[HostPortGroup],
    cards: &[PhysicalNic],
) -> Result<Plan> {
    let name = &asked.name;
    let unsupported = |message: String| Err(failure(ErrorCode::ConfigUnsupported, message));
    let taken = switches.standard.iter().any(|switch| switch.name == *name)
        || switches.distributed.iter().any(|proxy| proxy.dvs_name == *name);
    if taken {
        let message =
            format!("the host has a network {name:?} already, and networks cannot be redefined");
        return Err(failure(ErrorCode::NetworkExist, message));
    }
    // The UUID is made of the name: that one may be said.
    let own = uuid_of(format!("key-vim.host.VirtualSwitch-{name}").as_bytes());
    if let Some(uuid) = asked.uuid.filter(|uuid| *uuid != own) {
        return unsupported(format!("the UUID of a network is not to be chosen: {uuid}"));
    }
    let mode = asked.forward.as_ref().map_or("none", |forward| forward.mode.as_str());
    if !matches!(mode, "none" | "bridge") {
        return unsupported(format!("a virtual switch has no forward mode '{mode}'"));
    }
    for group in &asked.portgroups {
        if groups.iter().any(|other| other.spec.name == group.name) {
            let message = format!("the host has a port group {:?} already", group.name);
            return Err(failure(ErrorCode::NetworkExist, message));
        }
    }
    let forward = asked.forward.as_ref();
    if forward.is_some_and(|forward| forward.by_address) {
        let message = "network cards are named, they have no PCI addresses here";
        return Err(failure(ErrorCode::NoSupport, message));
    }
    let mut devices = Vec::new();
    for device in forward.iter().flat_map(|forward| &forward.interfaces) {
        if !cards.iter().any(|card| card.device == *device) {
            let message = format!("the host has no network card {device:?}");
            return Err(failure(ErrorCode::NoInterface, message));
        }
        devices.push(device.clone());
    }
    if mode == "none" && !devices.is_empty() {
        return unsupported("a network without forwarding has no interfaces".to_owned());
    }
    if !asked.beyond.is_empty() {
        return unsupported(format!("a virtual switch cannot do {}", asked.beyond.join(", ")));
    }
    let bridge = (!devices.is_empty())
        .then(|| HostVirtualSwitchBondBridge { nic_device: devices, ..Default::default() }.into());
    let policy = match &asked.bandwidth {
        Some(bandwidth) => {
            let shaping = bandwidth::to_policy(bandwidth, &format!("the network {name:?}"))?;
            Some(HostNetworkPolicy { shaping_policy: shaping, ..Default::default() })
        }
        None => None,
    };
    let mtu = match asked.mtu.map(i32::try_from) {
        Some(Ok(mtu)) => Some(mtu),
        Some(Err(_)) => return unsupported("the MTU is too large".to_owned()),
        None => None,
    };
    let mut specs = Vec::new();
    for group in &asked.portgroups {
        let whose = format!("the port group {:?}", group.name);
        let limits = group.bandwidth.as_ref();
        let shaping = limits.map(|limits| bandwidth::to_policy(limits, &whose)).transpose()?;
        specs.push(HostPortGroupSpec {
            name: group.name.clone(),
            vlan_id: vlan_id(group.vlan.as_ref(), &whose)?,
            vswitch_name: name.clone(),
            policy: HostNetworkPolicy { shaping_policy: shaping.flatten(), ..Default::default() },
        });
    }
    Ok(Plan {
        name: name.clone(),
        spec: HostVirtualSwitchSpec { num_ports: PORTS, bridge, policy, mtu },
        groups: specs,
    })
}

/// The VLAN id of a port group: a standard switch knows none, one, or all.
fn vlan_id(vlan: Option<&Vlan>, whose: &str) -> Result<i32> {
    let Some(vlan) = vlan else { return Ok(0) };
    match vlan.tags[..] {
        [tag] if i32::from(tag) == ALL_VLANS => Ok(ALL_VLANS),
        [tag] if !vlan.trunk => Ok(i32::from(tag)),
        _ => {
            let message = format!(
                "{whose} of a standard switch has one VLAN tag, or lets all through (trunk with the \
                 tag {ALL_VLANS})"
            );
            Err(failure(ErrorCode::ConfigUnsupported, message))
        }
    }
}
