//! Virtual networks: libvirt's network driver.

use async_trait::async_trait;
use uuid::Uuid;

use crate::{Error, ListAllNetworksFlags, NetworkDefineFlags, NetworkXmlFlags, Result};

/// A network handle (`virNetworkPtr`): a virtual switch on VMware hosts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NetworkHandle {
    /// Name.
    pub name: String,
    /// UUID.
    pub uuid: Uuid,
}

/// The functions of libvirt's network driver (storage-network.md 13).
///
/// Every function has a body that answers `VIR_ERR_NO_SUPPORT` with the name of libvirt's public function. A network
/// that does not exist is `VIR_ERR_NO_NETWORK`.
#[async_trait]
pub trait Network: Send + Sync {
    /// Number of active networks. libvirt: `virConnectNumOfNetworks`.
    async fn connect_num_of_networks(&self) -> Result<u32> {
        Err(Error::no_support("virConnectNumOfNetworks"))
    }

    /// Names of the active networks, at most `max`. libvirt: `virConnectListNetworks`.
    async fn connect_list_networks(&self, _max: usize) -> Result<Vec<String>> {
        Err(Error::no_support("virConnectListNetworks"))
    }

    /// Number of inactive networks. libvirt: `virConnectNumOfDefinedNetworks`.
    async fn connect_num_of_defined_networks(&self) -> Result<u32> {
        Err(Error::no_support("virConnectNumOfDefinedNetworks"))
    }

    /// Names of the inactive networks, at most `max`. libvirt: `virConnectListDefinedNetworks`.
    async fn connect_list_defined_networks(&self, _max: usize) -> Result<Vec<String>> {
        Err(Error::no_support("virConnectListDefinedNetworks"))
    }

    /// The networks that pass the filters. libvirt: `virConnectListAllNetworks`.
    async fn connect_list_all_networks(
        &self,
        _flags: ListAllNetworksFlags,
    ) -> Result<Vec<NetworkHandle>> {
        Err(Error::no_support("virConnectListAllNetworks"))
    }

    /// The network with this name. libvirt: `virNetworkLookupByName`.
    async fn network_lookup_by_name(&self, _name: &str) -> Result<NetworkHandle> {
        Err(Error::no_support("virNetworkLookupByName"))
    }

    /// The network with this UUID. libvirt: `virNetworkLookupByUUID`.
    async fn network_lookup_by_uuid(&self, _uuid: Uuid) -> Result<NetworkHandle> {
        Err(Error::no_support("virNetworkLookupByUUID"))
    }

    /// Makes a transient network. libvirt: `virNetworkCreateXMLFlags`.
    async fn network_create_xml(
        &self,
        _xml: &str,
        _flags: NetworkDefineFlags,
    ) -> Result<NetworkHandle> {
        Err(Error::no_support("virNetworkCreateXMLFlags"))
    }

    /// Defines a network. libvirt: `virNetworkDefineXMLFlags`.
    async fn network_define_xml(
        &self,
        _xml: &str,
        _flags: NetworkDefineFlags,
    ) -> Result<NetworkHandle> {
        Err(Error::no_support("virNetworkDefineXMLFlags"))
    }

    /// Removes a network. libvirt: `virNetworkUndefine`.
    async fn network_undefine(&self, _network: &NetworkHandle) -> Result<()> {
        Err(Error::no_support("virNetworkUndefine"))
    }

    /// Starts a network. libvirt: `virNetworkCreate`.
    async fn network_create(&self, _network: &NetworkHandle) -> Result<()> {
        Err(Error::no_support("virNetworkCreate"))
    }

    /// Stops a network. libvirt: `virNetworkDestroy`.
    async fn network_destroy(&self, _network: &NetworkHandle) -> Result<()> {
        Err(Error::no_support("virNetworkDestroy"))
    }

    /// Changes a part of a network (`virNetworkUpdateCommand`, `virNetworkUpdateSection`, `virNetworkUpdateFlags`).
    /// libvirt: `virNetworkUpdate`.
    async fn network_update(
        &self,
        _network: &NetworkHandle,
        _command: u32,
        _section: u32,
        _parent_index: i32,
        _xml: &str,
        _flags: u32,
    ) -> Result<()> {
        Err(Error::no_support("virNetworkUpdate"))
    }

    /// The network as XML. libvirt: `virNetworkGetXMLDesc`.
    async fn network_get_xml_desc(
        &self,
        _network: &NetworkHandle,
        _flags: NetworkXmlFlags,
    ) -> Result<String> {
        Err(Error::no_support("virNetworkGetXMLDesc"))
    }

    /// Name of its bridge. libvirt: `virNetworkGetBridgeName`.
    async fn network_get_bridge_name(&self, _network: &NetworkHandle) -> Result<String> {
        Err(Error::no_support("virNetworkGetBridgeName"))
    }

    /// Whether it starts by itself. libvirt: `virNetworkGetAutostart`.
    async fn network_get_autostart(&self, _network: &NetworkHandle) -> Result<bool> {
        Err(Error::no_support("virNetworkGetAutostart"))
    }

    /// Sets whether it starts by itself. libvirt: `virNetworkSetAutostart`.
    async fn network_set_autostart(
        &self,
        _network: &NetworkHandle,
        _autostart: bool,
    ) -> Result<()> {
        Err(Error::no_support("virNetworkSetAutostart"))
    }

    /// Whether it is active. libvirt: `virNetworkIsActive`.
    async fn network_is_active(&self, _network: &NetworkHandle) -> Result<bool> {
        Err(Error::no_support("virNetworkIsActive"))
    }

    /// Whether its definition is kept. libvirt: `virNetworkIsPersistent`.
    async fn network_is_persistent(&self, _network: &NetworkHandle) -> Result<bool> {
        Err(Error::no_support("virNetworkIsPersistent"))
    }
}
