//! Network interfaces of the host: libvirt's interface driver.

use async_trait::async_trait;

use crate::{
    Error, InterfaceDefineFlags, InterfaceXmlFlags, ListAllInterfacesFlags, NoFlags, Result,
};

/// An interface handle (`virInterfacePtr`): a physical network card on VMware hosts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct InterfaceHandle {
    /// Name, such as `vmnic0`.
    pub name: String,
    /// MAC address as text.
    pub mac: String,
}

/// The functions of libvirt's interface driver (storage-network.md 13).
///
/// Every function has a body that answers `VIR_ERR_NO_SUPPORT` with the name of libvirt's public function. An
/// interface that does not exist is `VIR_ERR_NO_INTERFACE`.
#[async_trait]
pub trait Interface: Send + Sync {
    /// Number of active interfaces. libvirt: `virConnectNumOfInterfaces`.
    async fn connect_num_of_interfaces(&self) -> Result<u32> {
        Err(Error::no_support("virConnectNumOfInterfaces"))
    }

    /// Names of the active interfaces, at most `max`. libvirt: `virConnectListInterfaces`.
    async fn connect_list_interfaces(&self, _max: usize) -> Result<Vec<String>> {
        Err(Error::no_support("virConnectListInterfaces"))
    }

    /// Number of inactive interfaces. libvirt: `virConnectNumOfDefinedInterfaces`.
    async fn connect_num_of_defined_interfaces(&self) -> Result<u32> {
        Err(Error::no_support("virConnectNumOfDefinedInterfaces"))
    }

    /// Names of the inactive interfaces, at most `max`. libvirt: `virConnectListDefinedInterfaces`.
    async fn connect_list_defined_interfaces(&self, _max: usize) -> Result<Vec<String>> {
        Err(Error::no_support("virConnectListDefinedInterfaces"))
    }

    /// The interfaces that pass the filters. libvirt: `virConnectListAllInterfaces`.
    async fn connect_list_all_interfaces(
        &self,
        _flags: ListAllInterfacesFlags,
    ) -> Result<Vec<InterfaceHandle>> {
        Err(Error::no_support("virConnectListAllInterfaces"))
    }

    /// The interface with this name. libvirt: `virInterfaceLookupByName`.
    async fn interface_lookup_by_name(&self, _name: &str) -> Result<InterfaceHandle> {
        Err(Error::no_support("virInterfaceLookupByName"))
    }

    /// The interface with this MAC address, in any case. libvirt: `virInterfaceLookupByMACString`.
    async fn interface_lookup_by_mac_string(&self, _mac: &str) -> Result<InterfaceHandle> {
        Err(Error::no_support("virInterfaceLookupByMACString"))
    }

    /// The interface as XML. libvirt: `virInterfaceGetXMLDesc`.
    async fn interface_get_xml_desc(
        &self,
        _interface: &InterfaceHandle,
        _flags: InterfaceXmlFlags,
    ) -> Result<String> {
        Err(Error::no_support("virInterfaceGetXMLDesc"))
    }

    /// Whether it is active. libvirt: `virInterfaceIsActive`.
    async fn interface_is_active(&self, _interface: &InterfaceHandle) -> Result<bool> {
        Err(Error::no_support("virInterfaceIsActive"))
    }

    /// Defines an interface. libvirt: `virInterfaceDefineXML`.
    async fn interface_define_xml(
        &self,
        _xml: &str,
        _flags: InterfaceDefineFlags,
    ) -> Result<InterfaceHandle> {
        Err(Error::no_support("virInterfaceDefineXML"))
    }

    /// Removes a definition. libvirt: `virInterfaceUndefine`.
    async fn interface_undefine(&self, _interface: &InterfaceHandle) -> Result<()> {
        Err(Error::no_support("virInterfaceUndefine"))
    }

    /// Starts an interface. libvirt: `virInterfaceCreate`.
    async fn interface_create(&self, _interface: &InterfaceHandle, _flags: NoFlags) -> Result<()> {
        Err(Error::no_support("virInterfaceCreate"))
    }

    /// Stops an interface. libvirt: `virInterfaceDestroy`.
    async fn interface_destroy(&self, _interface: &InterfaceHandle, _flags: NoFlags) -> Result<()> {
        Err(Error::no_support("virInterfaceDestroy"))
    }

    /// Starts a set of changes that can be rolled back. libvirt: `virInterfaceChangeBegin`.
    async fn interface_change_begin(&self, _flags: NoFlags) -> Result<()> {
        Err(Error::no_support("virInterfaceChangeBegin"))
    }

    /// Keeps the changes. libvirt: `virInterfaceChangeCommit`.
    async fn interface_change_commit(&self, _flags: NoFlags) -> Result<()> {
        Err(Error::no_support("virInterfaceChangeCommit"))
    }

    /// Undoes the changes. libvirt: `virInterfaceChangeRollback`.
    async fn interface_change_rollback(&self, _flags: NoFlags) -> Result<()> {
        Err(Error::no_support("virInterfaceChangeRollback"))
    }
}
