//! Virtual networks: [`virt_api::Network`] for a connection (spec `storage-network.md` 11).
//!
//! A network is a standard virtual switch of the host or, to be read only, the host's part of a distributed one.
//! [`read`] is what tells about them, [`define`] what makes and removes them.

mod bandwidth;
mod define;
mod read;

use async_trait::async_trait;
use uuid::Uuid;
use virt_api::{
    Error, ErrorCode, ErrorDomain, ListAllNetworksFlags as Filter, Network, NetworkDefineFlags,
    NetworkHandle, NetworkXmlFlags, Result, check_flags,
};

pub(crate) use read::{CARDS, DISTRIBUTED, FACTS, list};

use crate::connection::Connection;
use crate::view::Ask;

fn count(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

fn failure(code: ErrorCode, message: impl Into<String>) -> Error {
    Error::new(code, ErrorDomain::Esx, message)
}

/// Whether any network passes: all are active, persistent and started by the host itself.
fn passes(filter: Filter) -> bool {
    [
        (Filter::ACTIVE, Filter::INACTIVE),
        (Filter::PERSISTENT, Filter::TRANSIENT),
        (Filter::AUTOSTART, Filter::NO_AUTOSTART),
    ]
    .into_iter()
    .all(|(with, without)| filter.contains(with) || !filter.contains(without))
}

#[async_trait]
impl Network for Connection {
    async fn connect_num_of_networks(&self) -> Result<u32> {
        Ok(count(self.session.networks(Ask::View).await?.len()))
    }

    async fn connect_list_networks(&self, max: usize) -> Result<Vec<String>> {
        if max == 0 {
            return Ok(Vec::new());
        }
        let networks = self.session.networks(Ask::View).await?;
        Ok(networks.into_iter().map(|network| network.name).take(max).collect())
    }

    async fn connect_num_of_defined_networks(&self) -> Result<u32> {
        Ok(0)
    }

    async fn connect_list_defined_networks(&self, _max: usize) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    async fn connect_list_all_networks(&self, flags: Filter) -> Result<Vec<NetworkHandle>> {
        check_flags("virConnectListAllNetworks", flags, Filter::all())?;
        if !passes(flags) {
            return Ok(Vec::new());
        }
        self.session.networks(Ask::View).await
    }

    async fn network_lookup_by_name(&self, name: &str) -> Result<NetworkHandle> {
        self.session.network_by(|network| network.name == name).await?.ok_or_else(|| {
            failure(ErrorCode::NoNetwork, format!("the host has no network {name:?}"))
        })
    }

    async fn network_lookup_by_uuid(&self, uuid: Uuid) -> Result<NetworkHandle> {
        self.session.network_by(|network| network.uuid == uuid).await?.ok_or_else(|| {
            failure(ErrorCode::NoNetwork, format!("the host has no network with UUID {uuid}"))
        })
    }

    async fn network_define_xml(
        &self,
        xml: &str,
        flags: NetworkDefineFlags,
    ) -> Result<NetworkHandle> {
        check_flags("virNetworkDefineXMLFlags", flags, NetworkDefineFlags::VALIDATE)?;
        self.session.check_writable("virNetworkDefineXMLFlags")?;
        self.session.define_network(xml, flags.contains(NetworkDefineFlags::VALIDATE)).await
    }

    async fn network_undefine(&self, network: &NetworkHandle) -> Result<()> {
        self.session.check_writable("virNetworkUndefine")?;
        self.session.undefine_network(network).await
    }

    async fn network_get_xml_desc(
        &self,
        network: &NetworkHandle,
        flags: NetworkXmlFlags,
    ) -> Result<String> {
        // What is stored and what is active do not differ, so that is let through.
        check_flags("virNetworkGetXMLDesc", flags, NetworkXmlFlags::INACTIVE)?;
        self.session.network_xml(network).await
    }

    async fn network_get_autostart(&self, _network: &NetworkHandle) -> Result<bool> {
        Ok(true)
    }

    async fn network_set_autostart(&self, _network: &NetworkHandle, autostart: bool) -> Result<()> {
        self.session.check_writable("virNetworkSetAutostart")?;
        if autostart {
            return Ok(());
        }
        Err(failure(
            ErrorCode::OperationUnsupported,
            "a VMware host starts its networks by itself: autostart cannot be switched off",
        ))
    }

    async fn network_is_active(&self, _network: &NetworkHandle) -> Result<bool> {
        Ok(true)
    }

    async fn network_is_persistent(&self, _network: &NetworkHandle) -> Result<bool> {
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_that_nothing_passes() {
        for (filter, expected) in [
            (Filter::empty(), true),
            (Filter::ACTIVE, true),
            (Filter::PERSISTENT | Filter::AUTOSTART, true),
            (Filter::ACTIVE | Filter::INACTIVE, true),
            (Filter::INACTIVE, false),
            (Filter::TRANSIENT, false),
            (Filter::NO_AUTOSTART, false),
            (Filter::ACTIVE | Filter::TRANSIENT, false),
        ] {
            assert_eq!(passes(filter), expected, "{filter:?}");
        }
    }
}
