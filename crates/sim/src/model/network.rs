//! `HostNetworkSystem`: a host's virtual switches, port groups and network cards.

use esx_vi_api::{Array, MoRef, Object, Value};

use super::fault::Fault;
use super::host::Host;
use super::inventory::{Inventory, Item, Network};
use super::machine::PowerState;
use super::tree::{objects, skeleton, strings};
use super::{Answer, Model, Preset};

/// The longest name of a switch.
const LONGEST_SWITCH: usize = 32;
/// The VLAN id that lets every tag through to the guest.
const ALL_VLANS: i64 = 4095;

/// The network configuration of a host.
#[derive(Debug, Clone, Default)]
pub(crate) struct Networking {
    switches: Vec<VirtualSwitch>,
    portgroups: Vec<PortGroup>,
    cards: Vec<Card>,
    /// The host's part of distributed switches.
    proxies: Vec<Proxy>,
    kernel_ports: Vec<KernelPort>,
    gateway: String,
}

#[derive(Debug, Clone)]
struct VirtualSwitch {
    name: String,
    ports: i32,
    /// `HostVirtualSwitchBridge` as it was given, its devices as names.
    bridge: Option<Object>,
    /// `HostNetworkPolicy`.
    policy: Option<Object>,
    mtu: i32,
}

#[derive(Debug, Clone)]
struct PortGroup {
    name: String,
    vlan: i32,
    switch: String,
    /// `HostNetworkPolicy`.
    policy: Object,
}

/// A physical network card.
#[derive(Debug, Clone)]
struct Card {
    device: String,
    mac: String,
    /// What runs over the cable, in megabits a second; 0 without one.
    speed: i32,
    /// Whether it asks for an address, its address and netmask.
    ip: (bool, String, String),
}

#[derive(Debug, Clone)]
struct Proxy {
    name: String,
    uuid: String,
    cards: Vec<String>,
}

/// A VMkernel adapter.
#[derive(Debug, Clone)]
struct KernelPort {
    device: String,
    portgroup: String,
    mac: String,
    address: String,
}

fn card_key(device: &str) -> String {
    format!("key-vim.host.PhysicalNic-{device}")
}

fn portgroup_key(name: &str) -> String {
    format!("key-vim.host.PortGroup-{name}")
}

fn no_limits() -> Object {
    Object::new("HostNetworkPolicy")
}

/// A shaping policy in bits and bytes as the API counts.
fn limits(average: i64, peak: i64, burst: i64) -> Object {
    let shaping = Object::new("HostNetworkTrafficShapingPolicy")
        .with("enabled", true)
        .with("averageBandwidth", average)
        .with("peakBandwidth", peak)
        .with("burstSize", burst);
    no_limits().with("shapingPolicy", shaping)
}

impl VirtualSwitch {
    fn devices(&self) -> Vec<&str> {
        let devices = self.bridge.as_ref().and_then(|bridge| bridge.get("nicDevice"));
        match devices {
            Some(Value::String(device)) => vec![device],
            Some(devices) => devices.items().iter().filter_map(Value::as_str).collect(),
            None => Vec::new(),
        }
    }

    fn spec(&self) -> Object {
        let mut spec = Object::new("HostVirtualSwitchSpec").with("numPorts", self.ports);
        if let Some(bridge) = &self.bridge {
            spec.set("bridge", bridge.clone());
        }
        if let Some(policy) = &self.policy {
            spec.set("policy", policy.clone());
        }
        spec.with("mtu", self.mtu)
    }
}

impl PortGroup {
    fn spec(&self) -> Object {
        Object::new("HostPortGroupSpec")
            .with("name", self.name.as_str())
            .with("vlanId", self.vlan)
            .with("vswitchName", self.switch.as_str())
            .with("policy", self.policy.clone())
    }
}

impl Card {
    fn spec(&self) -> Object {
        let (dhcp, address, mask) = &self.ip;
        let ip = Object::new("HostIpConfig")
            .with("dhcp", *dhcp)
            .with("ipAddress", address.as_str())
            .with("subnetMask", mask.as_str());
        let spec = Object::new("PhysicalNicSpec").with("ip", ip);
        if self.speed > 0 { spec.with("linkSpeed", link(self.speed)) } else { spec }
    }

    fn object(&self, number: usize) -> Object {
        let card = Object::new("PhysicalNic")
            .with("key", card_key(&self.device))
            .with("device", self.device.as_str())
            .with("pci", format!("0000:{:02x}:00.{}", 2 + number / 4, number % 4))
            .with("driver", "ixgben");
        let card = if self.speed > 0 { card.with("linkSpeed", link(self.speed)) } else { card };
        card.with(
            "validLinkSpecification",
            objects("PhysicalNicLinkInfo", [link(1000), link(10_000)]),
        )
        .with("spec", self.spec())
        .with("wakeOnLanSupported", false)
        .with("mac", self.mac.as_str())
        .with("resourcePoolSchedulerAllowed", true)
        .with("autoNegotiateSupported", true)
    }
}

fn link(speed: i32) -> Object {
    Object::new("PhysicalNicLinkInfo").with("speedMb", speed).with("duplex", true)
}

impl KernelPort {
    fn spec(&self) -> Object {
        let ip = Object::new("HostIpConfig")
            .with("dhcp", false)
            .with("ipAddress", self.address.as_str())
            .with("subnetMask", "255.255.255.0");
        Object::new("HostVirtualNicSpec")
            .with("ip", ip)
            .with("mac", self.mac.as_str())
            .with("portgroup", self.portgroup.as_str())
            .with("mtu", 1500)
    }
}

impl Networking {
    /// The built-in host number `number`: `vSwitch0` with `VM Network` and the management, and for a stand-alone host
    /// `vSwitch1` with `storage`, tagged and limited. The last of its four cards has no cable.
    pub(crate) fn sample(number: u8, address: &str, preset: Preset) -> Self {
        let bond = |devices: [&str; 2]| {
            let devices: Vec<_> = devices.into_iter().filter(|d| !d.is_empty()).collect();
            Some(Object::new("HostVirtualSwitchBondBridge").with("nicDevice", strings(devices)))
        };
        let group = |name: &str, vlan, switch: &str| PortGroup {
            name: name.to_owned(),
            vlan,
            switch: switch.to_owned(),
            policy: no_limits(),
        };
        let switch = |name: &str, bridge, policy| VirtualSwitch {
            name: name.to_owned(),
            ports: 128,
            bridge,
            policy,
            mtu: 1500,
        };
        let mut switches = vec![switch("vSwitch0", bond(["vmnic0", "vmnic1"]), None)];
        let mut portgroups =
            vec![group("VM Network", 0, "vSwitch0"), group("Management Network", 0, "vSwitch0")];
        if preset == Preset::Esx {
            let policy = limits(8_000_000, 40_000_000, 5_242_880);
            switches.push(switch("vSwitch1", bond(["vmnic2", ""]), Some(policy)));
            portgroups.push(group("storage", 100, "vSwitch1"));
        }
        let cards = (0..4_u8).map(|index| Card {
            device: format!("vmnic{index}"),
            // Hosts tell them in lower case; somebody's does not.
            mac: match index {
                3 => format!("00:1B:21:AA:{number:02X}:0{index}"),
                _ => format!("00:1b:21:aa:{number:02x}:0{index}"),
            },
            speed: if index == 3 { 0 } else { 10_000 },
            ip: (false, String::new(), String::new()),
        });
        Self {
            switches,
            portgroups,
            cards: cards.collect(),
            proxies: Vec::new(),
            kernel_ports: vec![KernelPort {
                device: "vmk0".to_owned(),
                portgroup: "Management Network".to_owned(),
                mac: format!("00:1b:21:aa:{number:02x}:00"),
                address: address.to_owned(),
            }],
            gateway: "10.80.0.1".to_owned(),
        }
    }

    /// Puts the host into a distributed switch.
    pub(crate) fn join(&mut self, name: &str, uuid: String, card: &str) {
        self.proxies.push(Proxy { name: name.to_owned(), uuid, cards: vec![card.to_owned()] });
    }

    pub(crate) fn card_count(&self) -> i32 {
        i32::try_from(self.cards.len()).unwrap_or(i32::MAX)
    }

    fn switch(&self, name: &str) -> Option<usize> {
        self.switches.iter().position(|switch| switch.name == name)
    }

    fn portgroup(&self, name: &str) -> Option<usize> {
        self.portgroups.iter().position(|group| group.name == name)
    }

    /// Whether the host itself is connected to a port group.
    fn has_kernel_port(&self, portgroup: &str) -> bool {
        self.kernel_ports.iter().any(|port| port.portgroup == portgroup)
    }

    /// A switch's spec, checked; `own` is the switch's name if it exists.
    fn read_switch(
        &self,
        name: &str,
        spec: &Object,
        own: Option<&str>,
    ) -> Result<VirtualSwitch, Fault> {
        let invalid = |member: &str| Fault::invalid_argument(&format!("spec.{member}"));
        let ports = spec.get("numPorts").and_then(Value::as_i64).unwrap_or(0);
        let ports = i32::try_from(ports).ok().filter(|n| (0..=4088).contains(n));
        let mtu = match spec.get("mtu").and_then(Value::as_i64) {
            // Not said: as it is, or the usual.
            None => own.and_then(|own| Some(self.switches[self.switch(own)?].mtu)).unwrap_or(1500),
            Some(mtu) => i32::try_from(mtu)
                .ok()
                .filter(|mtu| (1280..=9000).contains(mtu))
                .ok_or_else(|| invalid("mtu"))?,
        };
        let bridge = match spec.get("bridge").and_then(Value::as_object) {
            Some(bridge) => Some(self.read_bridge(bridge, own)?),
            None => None,
        };
        let policy = spec.get("policy").and_then(Value::as_object).cloned();
        if let Some(policy) = &policy {
            check_policy(policy)?;
        }
        Ok(VirtualSwitch {
            name: name.to_owned(),
            ports: ports.ok_or_else(|| invalid("numPorts"))?,
            bridge,
            policy,
            mtu,
        })
    }

    /// A bridge with its cards as device names, whether they were given so or by key.
    fn read_bridge(&self, bridge: &Object, own: Option<&str>) -> Result<Object, Fault> {
        let given: Vec<&str> = match bridge.get("nicDevice") {
            Some(Value::String(device)) => vec![device],
            Some(devices) => devices.items().iter().filter_map(Value::as_str).collect(),
            None => Vec::new(),
        };
        let mut devices = Vec::new();
        for device in given {
            let card =
                self.cards.iter().find(|c| c.device == device || card_key(&c.device) == device);
            let card = card.ok_or_else(|| {
                Fault::new(
                    "NotFound",
                    format!("The physical network adapter {device} was not found."),
                )
            })?;
            let name = card.device.as_str();
            let taken = self
                .switches
                .iter()
                .filter(|switch| Some(switch.name.as_str()) != own)
                .find(|switch| switch.devices().contains(&name))
                .map(|switch| &switch.name)
                .or_else(|| {
                    let proxy = self.proxies.iter().find(|p| p.cards.iter().any(|c| c == name));
                    proxy.map(|proxy| &proxy.name)
                });
            if let Some(switch) = taken {
                let message = format!("{name} is in use by the virtual switch {switch}.");
                return Err(Fault { message, ..in_use("PhysicalNic", name) });
            }
            devices.push(name.to_owned());
        }
        let mut bridge = bridge.clone();
        match bridge.type_name.as_ref() {
            "HostVirtualSwitchSimpleBridge" => {
                bridge.set("nicDevice", devices.pop().unwrap_or_default());
            }
            _ => bridge.set("nicDevice", strings(devices)),
        }
        Ok(bridge)
    }

    fn read_portgroup(&self, spec: &Object) -> Result<PortGroup, Fault> {
        let text = |member: &str| spec.str(member).unwrap_or_default().to_owned();
        let (name, switch) = (text("name"), text("vswitchName"));
        if name.is_empty() {
            return Err(Fault::invalid_argument("portgrp.name"));
        }
        let vlan = spec.get("vlanId").and_then(Value::as_i64).unwrap_or(0);
        if !(0..=ALL_VLANS).contains(&vlan) {
            return Err(Fault::invalid_argument("portgrp.vlanId"));
        }
        let policy = spec.get("policy").and_then(Value::as_object).cloned();
        let policy = policy.unwrap_or_else(no_limits);
        check_policy(&policy)?;
        if self.switch(&switch).is_none() {
            return Err(Fault::new(
                "NotFound",
                format!("The virtual switch {switch} was not found."),
            ));
        }
        Ok(PortGroup { name, vlan: vlan as i32, switch, policy })
    }
}

/// Bandwidths are not negative, and shaping that is on needs an average that a peak is not below.
fn check_policy(policy: &Object) -> Result<(), Fault> {
    let Some(shaping) = policy.get("shapingPolicy").and_then(Value::as_object) else {
        return Ok(());
    };
    let number = |member| shaping.get(member).and_then(Value::as_i64);
    for member in ["averageBandwidth", "peakBandwidth", "burstSize"] {
        if number(member).is_some_and(|n| n < 0) {
            return Err(Fault::invalid_argument(&format!("policy.shapingPolicy.{member}")));
        }
    }
    if let (Some(average), Some(peak)) = (number("averageBandwidth"), number("peakBandwidth"))
        && peak < average
    {
        return Err(Fault::invalid_argument("policy.shapingPolicy.peakBandwidth"));
    }
    Ok(())
}

fn in_use(kind: &str, name: &str) -> Fault {
    Fault::new("ResourceInUse", format!("The resource '{name}' is in use."))
        .with("type", kind)
        .with("name", name)
}

impl Inventory {
    /// `HostNetworkInfo`.
    pub(super) fn network_info(&self, host: &Host) -> Object {
        let net = &host.networking;
        let switches = net.switches.iter().map(|switch| {
            let groups = net.portgroups.iter().filter(|group| group.switch == switch.name);
            let groups: Vec<String> = groups.map(|group| portgroup_key(&group.name)).collect();
            Object::new("HostVirtualSwitch")
                .with("name", switch.name.as_str())
                .with("key", format!("key-vim.host.VirtualSwitch-{}", switch.name))
                .with("numPorts", switch.ports)
                .with("numPortsAvailable", switch.ports - 5)
                .with("mtu", switch.mtu)
                .with("portgroup", strings(groups))
                .with("pnic", strings(switch.devices().into_iter().map(card_key)))
                .with("spec", switch.spec())
        });
        let groups = net.portgroups.iter().map(|group| {
            let policy = net.switch(&group.switch).and_then(|at| net.switches[at].policy.clone());
            // What the group does not say is the switch's.
            let computed = match group.policy.get("shapingPolicy") {
                Some(_) => group.policy.clone(),
                None => policy.unwrap_or_else(no_limits),
            };
            Object::new("HostPortGroup")
                .with("key", portgroup_key(&group.name))
                .with("port", objects("HostPortGroupPort", self.ports(host, group)))
                .with("vswitch", format!("key-vim.host.VirtualSwitch-{}", group.switch))
                .with("computedPolicy", computed)
                .with("spec", group.spec())
        });
        let proxies = net.proxies.iter().map(|proxy| {
            let bond = Object::new("DistributedVirtualSwitchHostMemberPnicBacking");
            Object::new("HostProxySwitch")
                .with("dvsUuid", proxy.uuid.as_str())
                .with("dvsName", proxy.name.as_str())
                .with("key", format!("key-vim.host.ProxySwitch-{}", proxy.name))
                .with("numPorts", 1536)
                .with("numPortsAvailable", 1520)
                .with("mtu", 1500)
                .with("pnic", strings(proxy.cards.iter().map(|card| card_key(card))))
                .with("spec", Object::new("HostProxySwitchSpec").with("backing", bond))
        });
        let kernel_ports = net.kernel_ports.iter().map(|port| {
            Object::new("HostVirtualNic")
                .with("device", port.device.as_str())
                .with("key", format!("key-vim.host.VirtualNic-{}", port.device))
                .with("portgroup", port.portgroup.as_str())
                .with("spec", port.spec())
        });
        let cards = net.cards.iter().enumerate().map(|(number, card)| card.object(number));
        Object::new("HostNetworkInfo")
            .with("vswitch", objects("HostVirtualSwitch", switches))
            .with("proxySwitch", objects("HostProxySwitch", proxies))
            .with("portgroup", objects("HostPortGroup", groups))
            .with("pnic", objects("PhysicalNic", cards))
            .with("vnic", objects("HostVirtualNic", kernel_ports))
            .with("dnsConfig", host.dns_config())
            .with("ipRouteConfig", self.route_config(host))
            .with("ipV6Enabled", false)
    }

    fn route_config(&self, host: &Host) -> Object {
        Object::new("HostIpRouteConfig").with("defaultGateway", host.networking.gateway.as_str())
    }

    /// `HostNetworkConfig`: the same as it would be set.
    fn network_config(&self, host: &Host) -> Object {
        let net = &host.networking;
        let switches = net.switches.iter().map(|switch| {
            Object::new("HostVirtualSwitchConfig")
                .with("name", switch.name.as_str())
                .with("spec", switch.spec())
        });
        let groups = net
            .portgroups
            .iter()
            .map(|group| Object::new("HostPortGroupConfig").with("spec", group.spec()));
        let cards = net.cards.iter().map(|card| {
            Object::new("PhysicalNicConfig")
                .with("device", card.device.as_str())
                .with("spec", card.spec())
        });
        let kernel_ports = net.kernel_ports.iter().map(|port| {
            Object::new("HostVirtualNicConfig")
                .with("device", port.device.as_str())
                .with("portgroup", port.portgroup.as_str())
                .with("spec", port.spec())
        });
        Object::new("HostNetworkConfig")
            .with("vswitch", objects("HostVirtualSwitchConfig", switches))
            .with("portgroup", objects("HostPortGroupConfig", groups))
            .with("pnic", objects("PhysicalNicConfig", cards))
            .with("vnic", objects("HostVirtualNicConfig", kernel_ports))
            .with("dnsConfig", host.dns_config())
            .with("ipRouteConfig", self.route_config(host))
    }

    /// The properties of `HostNetworkSystem`.
    pub(super) fn network_system_property(&self, host: &Host, name: &str) -> Option<Value> {
        Some(match name {
            "networkInfo" => self.network_info(host).into(),
            "networkConfig" => self.network_config(host).into(),
            "dnsConfig" => host.dns_config().into(),
            "ipRouteConfig" => self.route_config(host).into(),
            "capabilities" => skeleton("HostNetCapabilities")
                .with("canSetPhysicalNicLinkSpeed", true)
                .with("supportsNicTeaming", true)
                .with("supportsVlan", true)
                .with("dnsConfigSupported", true)
                .into(),
            _ => return None,
        })
    }

    /// What is connected to a port group: running machines, and the host.
    fn ports(&self, host: &Host, group: &PortGroup) -> Vec<Object> {
        let port = |kind: &str, mac: String| {
            Object::new("HostPortGroupPort")
                .with("mac", Array::new("xsd:string", vec![mac.into()]))
                .with("type", kind)
        };
        let kernel = host.networking.kernel_ports.iter();
        let kernel =
            kernel.filter(|p| p.portgroup == group.name).map(|p| port("host", p.mac.clone()));
        let mut ports: Vec<Object> = kernel.collect();
        let Some(network) = self.network_of_group(host, &group.name) else { return ports };
        for machine in self.machines() {
            if machine.place.host != host.moref || machine.power != PowerState::PoweredOn {
                continue;
            }
            for nic in machine.nics.iter().filter(|nic| nic.network == *network && nic.connected) {
                let mac: Vec<String> = nic.mac.iter().map(|byte| format!("{byte:02x}")).collect();
                ports.push(port("virtualMachine", mac.join(":")));
            }
        }
        ports
    }

    /// The `Network` that machines of a host find a port group as.
    fn network_of_group<'a>(&self, host: &'a Host, name: &str) -> Option<&'a MoRef> {
        host.networks
            .iter()
            .find(|moref| self.network(moref).is_some_and(|n| n.switch.is_none() && n.name == name))
    }
}

impl Model {
    fn host_behind(&self, system: &MoRef) -> Result<&Host, Fault> {
        let host = self.inventory.host_of_manager(system);
        let host = host.and_then(|moref| match self.inventory.get(&moref) {
            Some(Item::Host(host)) => Some(host.as_ref()),
            _ => None,
        });
        host.ok_or_else(|| Fault::object_not_found(system))
    }

    fn host_behind_mut(&mut self, system: &MoRef) -> Result<&mut Host, Fault> {
        let moref = self.inventory.host_of_manager(system);
        match moref.and_then(|moref| self.inventory.get_mut(&moref)) {
            Some(Item::Host(host)) => Ok(host),
            _ => Err(Fault::object_not_found(system)),
        }
    }

    fn networking_mut(&mut self, system: &MoRef) -> Result<&mut Networking, Fault> {
        Ok(&mut self.host_behind_mut(system)?.networking)
    }

    /// The methods of `HostNetworkSystem` that change something; `None` for another method.
    pub(super) fn network_method(
        &mut self,
        system: &MoRef,
        method: &str,
        args: &Object,
    ) -> Option<Result<Answer, Fault>> {
        let done = match method {
            "AddVirtualSwitch" => self.add_switch(system, args),
            "UpdateVirtualSwitch" => self.update_switch(system, args),
            "RemoveVirtualSwitch" => self.remove_switch(system, args),
            "AddPortGroup" => self.add_portgroup(system, args),
            "UpdatePortGroup" => self.update_portgroup(system, args),
            "RemovePortGroup" => {
                self.remove_portgroup(system, args.str("pgName").unwrap_or_default())
            }
            "RefreshNetworkSystem" => self.host_behind(system).map(|_| ()),
            _ => return None,
        };
        Some(done.map(|()| {
            self.changed(true);
            Answer::Result(None)
        }))
    }

    fn add_switch(&mut self, system: &MoRef, args: &Object) -> Result<(), Fault> {
        let name = args.str("vswitchName").unwrap_or_default();
        if name.is_empty() || name.len() > LONGEST_SWITCH {
            return Err(Fault::invalid_argument("vswitchName"));
        }
        let net = self.networking_mut(system)?;
        if net.switch(name).is_some() {
            let message = format!("The virtual switch {name} already exists.");
            return Err(Fault::new("AlreadyExists", message).with("name", name));
        }
        let usual = Object::new("HostVirtualSwitchSpec").with("numPorts", 128);
        let spec = args.get("spec").and_then(Value::as_object).unwrap_or(&usual);
        let switch = net.read_switch(name, spec, None)?;
        net.switches.push(switch);
        Ok(())
    }

    fn update_switch(&mut self, system: &MoRef, args: &Object) -> Result<(), Fault> {
        let name = args.str("vswitchName").unwrap_or_default();
        let net = self.networking_mut(system)?;
        let at = net.switch(name).ok_or_else(|| no_switch(name))?;
        let spec = args.get("spec").and_then(Value::as_object);
        let spec = spec.ok_or_else(|| Fault::invalid_argument("spec"))?;
        net.switches[at] = net.read_switch(name, spec, Some(name))?;
        Ok(())
    }

    fn remove_switch(&mut self, system: &MoRef, args: &Object) -> Result<(), Fault> {
        let name = args.str("vswitchName").unwrap_or_default();
        let host = self.host_behind(system)?;
        let net = &host.networking;
        if net.switch(name).is_none() {
            return Err(no_switch(name));
        }
        let groups = net.portgroups.iter().filter(|group| group.switch == name);
        if groups.clone().any(|group| !self.inventory.ports(host, group).is_empty()) {
            return Err(in_use("VirtualSwitch", name));
        }
        let groups: Vec<String> = groups.map(|group| group.name.clone()).collect();
        for group in groups {
            self.remove_portgroup(system, &group)?;
        }
        self.networking_mut(system)?.switches.retain(|switch| switch.name != name);
        Ok(())
    }

    fn add_portgroup(&mut self, system: &MoRef, args: &Object) -> Result<(), Fault> {
        let spec = args.get("portgrp").and_then(Value::as_object);
        let spec = spec.ok_or_else(|| Fault::invalid_argument("portgrp"))?;
        let net = self.networking_mut(system)?;
        let group = net.read_portgroup(spec)?;
        if net.portgroup(&group.name).is_some() {
            return Err(group_exists(&group.name));
        }
        let name = group.name.clone();
        net.portgroups.push(group);
        self.show_network(system, &name)
    }

    fn update_portgroup(&mut self, system: &MoRef, args: &Object) -> Result<(), Fault> {
        let old = args.str("pgName").unwrap_or_default();
        let spec = args.get("portgrp").and_then(Value::as_object);
        let spec = spec.ok_or_else(|| Fault::invalid_argument("portgrp"))?;
        let net = self.networking_mut(system)?;
        let at = net.portgroup(old).ok_or_else(|| no_group(old))?;
        let group = net.read_portgroup(spec)?;
        if group.name != old && net.portgroup(&group.name).is_some() {
            return Err(group_exists(&group.name));
        }
        let name = group.name.clone();
        net.portgroups[at] = group;
        for port in net.kernel_ports.iter_mut().filter(|port| port.portgroup == old) {
            port.portgroup.clone_from(&name);
        }
        if name != old {
            // Its network goes with it, and so do the machines in it.
            let host = self.host_behind(system)?;
            let moref = self.inventory.network_of_group(host, old).cloned();
            if let Some(Item::Network(network)) =
                moref.and_then(|moref| self.inventory.get_mut(&moref))
            {
                network.name = name;
            }
        }
        Ok(())
    }

    fn remove_portgroup(&mut self, system: &MoRef, name: &str) -> Result<(), Fault> {
        let host = self.host_behind(system)?;
        let group = host.networking.portgroups.iter().find(|group| group.name == name);
        let group = group.ok_or_else(|| no_group(name))?;
        if host.networking.has_kernel_port(name) || !self.inventory.ports(host, group).is_empty() {
            return Err(in_use("PortGroup", name));
        }
        let network = self.inventory.network_of_group(host, name).cloned();
        let host = self.host_behind_mut(system)?;
        host.networking.portgroups.retain(|group| group.name != name);
        if let Some(network) = network {
            host.networks.retain(|moref| *moref != network);
            let shared = !self.inventory.hosts_with(|h| h.networks.contains(&network)).is_empty();
            let wanted = self.inventory.machines().any(|m| m.networks().contains(&&network));
            // A machine that is switched off keeps a network alive that no host has.
            if !shared && !wanted {
                self.inventory.remove_network(&network);
            }
        }
        Ok(())
    }

    /// Lets machines find a new port group as a `Network`: the one of its name in the datacenter, or a new one.
    fn show_network(&mut self, system: &MoRef, name: &str) -> Result<(), Fault> {
        let host = self.host_behind(system)?.moref.clone();
        let Some(folder) = self.inventory.datacenter_of(&host).map(|d| d.network_folder.clone())
        else {
            return Ok(());
        };
        let known = self.inventory.folder_children(&folder).iter().find(|moref| {
            self.inventory.network(moref).is_some_and(|n| n.switch.is_none() && n.name == name)
        });
        let moref = match known.cloned() {
            Some(moref) => moref,
            None => {
                let value = match self.inventory.preset {
                    Preset::Esx => format!("HaNetwork-{name}"),
                    Preset::VCenter => self.inventory.free_value("Network", "network-"),
                };
                let moref = MoRef::new("Network", value);
                let network = Network {
                    moref: moref.clone(),
                    parent: folder,
                    name: name.to_owned(),
                    switch: None,
                };
                self.inventory.add(Item::Network(network));
                moref
            }
        };
        let host = self.host_behind_mut(system)?;
        if !host.networks.contains(&moref) {
            host.networks.push(moref);
        }
        Ok(())
    }

    /// Adds a port group to a host's switch as an administrator would at the host itself; `for_host` connects the host
    /// to it, which keeps it from being removed. Returns whether that could be done.
    pub fn add_port_group(
        &mut self,
        host: &MoRef,
        switch: &str,
        name: &str,
        for_host: bool,
    ) -> bool {
        let Some(Item::Host(item)) = self.inventory.get_mut(host) else { return false };
        let system = item.managers.iter().find(|moref| moref.kind == "HostNetworkSystem");
        let Some(system) = system.cloned() else { return false };
        let spec = Object::new("HostPortGroupSpec")
            .with("name", name)
            .with("vlanId", 0)
            .with("vswitchName", switch)
            .with("policy", no_limits());
        let args = Object::new("").with("portgrp", spec);
        if self.add_portgroup(&system, &args).is_err() {
            return false;
        }
        if for_host && let Ok(net) = self.networking_mut(&system) {
            let number = net.kernel_ports.len();
            net.kernel_ports.push(KernelPort {
                device: format!("vmk{number}"),
                portgroup: name.to_owned(),
                mac: format!("00:50:56:60:00:{number:02x}"),
                address: format!("10.81.0.{number}"),
            });
        }
        self.changed(true)
    }

    /// The names of a host's switches and port groups, in their order.
    pub fn network_names(&self, host: &MoRef) -> Vec<String> {
        let Some(host) = self.inventory.host(host) else { return Vec::new() };
        let switches = host.networking.switches.iter().map(|switch| switch.name.clone());
        let groups = host.networking.portgroups.iter().map(|group| group.name.clone());
        switches.chain(groups).collect()
    }

    /// Gives a host's network card an address of its own, as hosts before ESX 4 can have it, or takes it away.
    pub fn set_card_address(
        &mut self,
        host: &MoRef,
        device: &str,
        dhcp: bool,
        ip: &str,
        mask: &str,
    ) -> bool {
        let Some(Item::Host(host)) = self.inventory.get_mut(host) else { return false };
        let card = host.networking.cards.iter_mut().find(|card| card.device == device);
        let found = card.map(|card| card.ip = (dhcp, ip.to_owned(), mask.to_owned())).is_some();
        self.changed(found)
    }
}

fn no_switch(name: &str) -> Fault {
    Fault::new("NotFound", format!("The virtual switch {name} was not found."))
}

fn no_group(name: &str) -> Fault {
    Fault::new("NotFound", format!("The port group {name} was not found."))
}

fn group_exists(name: &str) -> Fault {
    Fault::new("AlreadyExists", format!("The port group {name} already exists.")).with("name", name)
}
