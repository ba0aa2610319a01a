//! From a network's name to what an adapter is connected to.

use esx_escape::percent;
use esx_vi_api::{MoRef, Object};
use esx_vi_client::{Retrieval, traversal};
use virt_api::{Error, ErrorCode, ErrorDomain, Result};
use virt_xml::domain::Interface;

use super::unsupported;
use crate::connection::Session;
use crate::error::{decode_error, vi_error};

/// The property of a distributed port group that names its switch.
const SWITCH: &str = "config.distributedVirtualSwitch";

impl Session {
    /// The backing of an interface. A host finds port groups by name; on a vCenter a name may be that of a
    /// distributed port group, which has a key and a switch: one or two requests more.
    pub(super) async fn network_backing(&self, interface: &Interface) -> Result<Object> {
        let source = interface.source.as_ref();
        let name = match interface.kind.as_str() {
            "bridge" => source.and_then(|source| source.bridge.as_deref()),
            // The port group if the document names one, else the name that attach-interface gives.
            "network" => source.and_then(|source| {
                let portgroup = source.other.iter().find_map(|e| e.attribute("portgroup"));
                portgroup.or(source.network.as_deref())
            }),
            "vds" => {
                let source = source.ok_or_else(|| unsupported("the interface has no source"))?;
                let uuid = source.switch_id.unwrap_or_default();
                let port = Object::new("DistributedVirtualSwitchPortConnection")
                    .with("switchUuid", switch_uuid(&uuid.simple().to_string()))
                    .with_opt("portgroupKey", source.portgroup_id.as_deref());
                return Ok(switch_port(port));
            }
            other => {
                let message = format!("an adapter of a host cannot be of type '{other}'");
                return Err(unsupported(message));
            }
        };
        let name = name
            .filter(|name| !name.is_empty())
            .ok_or_else(|| unsupported("the interface does not name its network"))?;
        if !self.is_vcenter() {
            return Ok(
                Object::new("VirtualEthernetCardNetworkBackingInfo").with("deviceName", name)
            );
        }
        self.vcenter_network(name).await
    }

    async fn vcenter_network(&self, name: &str) -> Result<Object> {
        let failed = |e| vi_error("cannot look up the network", e);
        let host = self.binding().await?.host;
        let retrieval = Retrieval::from(&host)
            .via([traversal("hostSystemToNetwork", "HostSystem", "network", [])])
            .read("Network", ["name"])
            .read("DistributedVirtualPortgroup", ["name", "key", SWITCH]);
        let found = self.client.retrieve(&retrieval).await.map_err(failed)?;
        let mut rows = Vec::new();
        for row in found.of("Network") {
            let stored = row.get::<String>("name").map_err(decode_error)?.unwrap_or_default();
            if percent::unescape(&stored).is_ok_and(|own| own == name) {
                rows.push(row);
            }
        }
        let row = match rows[..] {
            [] => {
                let message = format!("the host has no network {name:?}");
                return Err(Error::new(ErrorCode::NoNetwork, ErrorDomain::Esx, message));
            }
            [row, ..] => row,
        };
        let switch = row.get::<MoRef>(SWITCH).map_err(decode_error)?;
        let Some(switch) = switch else {
            return Ok(Object::new("VirtualEthernetCardNetworkBackingInfo")
                .with("deviceName", name)
                .with("network", &row.moref));
        };
        let key = row.get::<String>("key").map_err(decode_error)?;
        let of_switch = self.client.read(&switch, &["uuid"]).await.map_err(failed)?;
        let uuid = match of_switch {
            Some(row) => row.require::<String>("uuid").map_err(decode_error)?,
            None => return Err(Error::internal(ErrorDomain::Esx, "the network's switch has gone")),
        };
        let port = Object::new("DistributedVirtualSwitchPortConnection")
            .with("switchUuid", uuid)
            .with_opt("portgroupKey", key);
        Ok(switch_port(port))
    }
}

fn switch_port(port: Object) -> Object {
    Object::new("VirtualEthernetCardDistributedVirtualPortBackingInfo").with("port", port)
}

/// `50 3c 1f … 9d-04 …`, as VMware writes the UUID of a switch.
fn switch_uuid(digits: &str) -> String {
    let pairs: Vec<&str> = (0..digits.len() / 2).map(|i| &digits[2 * i..2 * i + 2]).collect();
    let (first, second) = pairs.split_at(pairs.len() / 2);
    format!("{}-{}", first.join(" "), second.join(" "))
}

#[cfg(test)]
mod tests {
    #[test]
    fn uuids_of_switches() {
        assert_eq!(
            super::switch_uuid("503c1f9d04aa42e1b7d0112233445566"),
            "50 3c 1f 9d 04 aa 42 e1-b7 d0 11 22 33 44 55 66"
        );
    }
}
