//! Networks and interfaces: what the ways to ask for them must agree on.

use virt_api::{
    Driver, ErrorCode, InterfaceXmlFlags, ListAllInterfacesFlags, ListAllNetworksFlags as Filter,
    NetworkXmlFlags,
};
use virt_xml::{Element, Uuid};

use crate::{Expectations, Findings};

/// Lists, look-ups, documents and filters of networks tell the same.
pub async fn networks_agree_with_each_other(
    driver: &dyn Driver,
    _: &Expectations,
    found: &mut Findings,
) {
    let networks = driver.network();
    let all = networks.connect_list_all_networks(Filter::empty()).await;
    let Some(all) = found.answer("connect_list_all_networks", all) else { return };
    let number = networks.connect_num_of_networks().await;
    let defined = networks.connect_num_of_defined_networks().await;
    if let (Some(active), Some(defined)) = (
        found.answer("connect_num_of_networks", number),
        found.answer("connect_num_of_defined_networks", defined),
    ) {
        found.equal("numbers of networks", &((active + defined) as usize), &all.len());
    }
    for (one, other) in [
        (Filter::ACTIVE, Filter::INACTIVE),
        (Filter::PERSISTENT, Filter::TRANSIENT),
        (Filter::AUTOSTART, Filter::NO_AUTOSTART),
    ] {
        let mut sum = 0;
        for filter in [one, other] {
            let some = networks.connect_list_all_networks(filter).await;
            sum +=
                found.answer(format!("networks by {filter:?}"), some).map_or(0, |some| some.len());
        }
        found.equal(format!("networks by {one:?} and {other:?}"), &sum, &all.len());
    }
    for network in &all {
        let by_uuid = networks.network_lookup_by_uuid(network.uuid).await;
        if let Some(by_uuid) = found.answer(format!("look-up of {}", network.uuid), by_uuid) {
            found.equal("network by UUID", &by_uuid, network);
        }
        let by_name = networks.network_lookup_by_name(&network.name).await;
        if let Some(by_name) = found.answer(format!("look-up of {:?}", network.name), by_name) {
            found.equal("name of the network by name", &by_name.name, &network.name);
        }
        let xml = networks.network_get_xml_desc(network, NetworkXmlFlags::empty()).await;
        let Some(xml) = found.answer(format!("XML of {:?}", network.name), xml) else { continue };
        match virt_xml::network::Network::parse(&xml) {
            Ok(document) => {
                found.equal("name in the network's XML", &document.name, &network.name);
                found.equal("UUID in the network's XML", &document.uuid, &Some(network.uuid));
                if !document.beyond.is_empty() || !document.unknown.is_empty() {
                    found.wrong(format!("the XML of {:?} cannot be defined again", network.name));
                }
            }
            Err(error) => found.wrong(format!("the XML of {:?}: {error}", network.name)),
        }
    }
    let nowhere = Uuid::from_u128(0xdead_beef_0000_4000_8000_0000_0000_0001);
    for error in [
        networks.network_lookup_by_name("no such network, surely").await.err(),
        networks.network_lookup_by_uuid(nowhere).await.err(),
    ] {
        let code = error.map(|error| error.code);
        found.equal("code for an unknown network", &code, &Some(ErrorCode::NoNetwork));
    }
}

/// Lists, look-ups and documents of interfaces tell the same.
pub async fn interfaces_agree_with_each_other(
    driver: &dyn Driver,
    _: &Expectations,
    found: &mut Findings,
) {
    let interfaces = driver.interface();
    let all = interfaces.connect_list_all_interfaces(ListAllInterfacesFlags::empty()).await;
    let Some(all) = found.answer("connect_list_all_interfaces", all) else { return };
    let names = interfaces.connect_list_interfaces(usize::MAX).await;
    if let Some(names) = found.answer("connect_list_interfaces", names) {
        let listed: Vec<_> = all.iter().map(|interface| interface.name.clone()).collect();
        found.equal("names of interfaces", &names, &listed);
    }
    for interface in &all {
        let by_name = interfaces.interface_lookup_by_name(&interface.name).await;
        if let Some(by_name) = found.answer(format!("look-up of {:?}", interface.name), by_name) {
            found.equal("interface by name", &by_name, interface);
        }
        let mac = interface.mac.to_ascii_uppercase();
        match interfaces.interface_lookup_by_mac_string(&mac).await {
            Err(error) if error.code == ErrorCode::MultipleInterfaces => {}
            by_mac => {
                if let Some(by_mac) = found.answer(format!("look-up of {mac}"), by_mac) {
                    found.equal("interface by MAC address", &by_mac, interface);
                }
            }
        }
        let xml = interfaces.interface_get_xml_desc(interface, InterfaceXmlFlags::empty()).await;
        let Some(xml) = found.answer(format!("XML of {:?}", interface.name), xml) else { continue };
        let name = Element::parse(&xml).ok().and_then(|e| e.attribute("name").map(str::to_owned));
        found.equal("name in the interface's XML", &name, &Some(interface.name.clone()));
    }
    let unknown = interfaces.interface_lookup_by_name("no such interface").await;
    let code = unknown.err().map(|error| error.code);
    found.equal("code for an unknown interface", &code, &Some(ErrorCode::NoInterface));
}
