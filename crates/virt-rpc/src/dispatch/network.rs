//! Networks and the host's interfaces.

use virt_api::NetworkDefineFlags;

use super::{handlers, listed};
use crate::types::Count;

handlers! {
    /// Virtual networks.
    networks(network: &dyn Network) {
        ConnectNumOfNetworks() => Count(network.connect_num_of_networks().await?);
        ConnectListNetworks(max) => network.connect_list_networks(max.0).await?.into();
        ConnectNumOfDefinedNetworks() => Count(network.connect_num_of_defined_networks().await?);
        ConnectListDefinedNetworks(max) => network.connect_list_defined_networks(max.0).await?.into();
        ConnectListAllNetworks(wanted, flags) => {
            listed(wanted, network.connect_list_all_networks(flags).await?)?
        };
        NetworkLookupByName(name) => network.network_lookup_by_name(&name).await?;
        NetworkLookupByUuid(uuid) => network.network_lookup_by_uuid(uuid).await?;
        NetworkDefineXml(xml) => {
            network.network_define_xml(&xml, NetworkDefineFlags::empty()).await?
        };
        NetworkDefineXmlFlags(xml, flags) => network.network_define_xml(&xml, flags).await?;
        NetworkUndefine(handle) => network.network_undefine(&handle).await?;
        NetworkGetXmlDesc(handle, flags) => network.network_get_xml_desc(&handle, flags).await?;
        NetworkGetBridgeName(handle) => network.network_get_bridge_name(&handle).await?;
        NetworkGetAutostart(handle) => network.network_get_autostart(&handle).await?;
        NetworkSetAutostart(handle, autostart) => {
            network.network_set_autostart(&handle, autostart).await?
        };
        NetworkIsActive(handle) => network.network_is_active(&handle).await?;
        NetworkIsPersistent(handle) => network.network_is_persistent(&handle).await?;
    }
}

handlers! {
    /// Interfaces of the host.
    interfaces(interface: &dyn Interface) {
        ConnectNumOfInterfaces() => Count(interface.connect_num_of_interfaces().await?);
        ConnectListInterfaces(max) => interface.connect_list_interfaces(max.0).await?.into();
        ConnectNumOfDefinedInterfaces() => Count(interface.connect_num_of_defined_interfaces().await?);
        ConnectListDefinedInterfaces(max) => {
            interface.connect_list_defined_interfaces(max.0).await?.into()
        };
        ConnectListAllInterfaces(wanted, flags) => {
            listed(wanted, interface.connect_list_all_interfaces(flags).await?)?
        };
        InterfaceLookupByName(name) => interface.interface_lookup_by_name(&name).await?;
        InterfaceLookupByMacString(mac) => interface.interface_lookup_by_mac_string(&mac).await?;
        InterfaceGetXmlDesc(handle, flags) => interface.interface_get_xml_desc(&handle, flags).await?;
        InterfaceIsActive(handle) => interface.interface_is_active(&handle).await?;
    }
}
