//! The host's network cards: [`virt_api::Interface`] for a connection (spec `storage-network.md` 12).

use std::net::Ipv4Addr;

use async_trait::async_trait;
use esx_vi_api::data::{HostIpConfig, PhysicalNic};
use virt_api::{
    Error, ErrorCode, ErrorDomain, Interface, InterfaceHandle, InterfaceXmlFlags,
    ListAllInterfacesFlags as Filter, Result, check_flags,
};
use virt_xml::MacAddress;
use virt_xml::interface as xml;

use crate::connection::{Connection, Session};
use crate::network::{CARDS, list};
use crate::view::Ask;

fn no_interface(message: String) -> Error {
    Error::new(ErrorCode::NoInterface, ErrorDomain::Esx, message)
}

fn handle(card: PhysicalNic) -> InterfaceHandle {
    InterfaceHandle { name: card.device, mac: card.mac }
}

impl Session {
    /// The host's physical network cards, in its order: one request.
    async fn cards(&self, ask: Ask) -> Result<Vec<PhysicalNic>> {
        let what = "cannot read the network cards of the host";
        list(&self.host_row(ask, what, &[CARDS]).await?, CARDS)
    }

    /// Those that `wanted` knows.
    async fn cards_by(&self, wanted: impl Fn(&PhysicalNic) -> bool) -> Result<Vec<PhysicalNic>> {
        for ask in self.asked() {
            let mut cards = self.cards(*ask).await?;
            cards.retain(&wanted);
            if !cards.is_empty() {
                return Ok(cards);
            }
        }
        Ok(Vec::new())
    }
}

#[async_trait]
impl Interface for Connection {
    async fn connect_num_of_interfaces(&self) -> Result<u32> {
        Ok(u32::try_from(self.session.cards(Ask::View).await?.len()).unwrap_or(u32::MAX))
    }

    async fn connect_list_interfaces(&self, max: usize) -> Result<Vec<String>> {
        if max == 0 {
            return Ok(Vec::new());
        }
        let cards = self.session.cards(Ask::View).await?;
        Ok(cards.into_iter().map(|card| card.device).take(max).collect())
    }

    async fn connect_num_of_defined_interfaces(&self) -> Result<u32> {
        Ok(0)
    }

    async fn connect_list_defined_interfaces(&self, _max: usize) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    async fn connect_list_all_interfaces(&self, flags: Filter) -> Result<Vec<InterfaceHandle>> {
        check_flags("virConnectListAllInterfaces", flags, Filter::all())?;
        // All are active.
        if flags.contains(Filter::INACTIVE) && !flags.contains(Filter::ACTIVE) {
            return Ok(Vec::new());
        }
        Ok(self.session.cards(Ask::View).await?.into_iter().map(handle).collect())
    }

    async fn interface_lookup_by_name(&self, name: &str) -> Result<InterfaceHandle> {
        let found = self.session.cards_by(|card| card.device == name).await?;
        found
            .into_iter()
            .next()
            .map(handle)
            .ok_or_else(|| no_interface(format!("the host has no interface {name:?}")))
    }

    async fn interface_lookup_by_mac_string(&self, mac: &str) -> Result<InterfaceHandle> {
        let wanted = MacAddress::parse(mac);
        let is_meant = |card: &PhysicalNic| {
            card.mac.eq_ignore_ascii_case(mac)
                || wanted.is_some_and(|wanted| MacAddress::parse(&card.mac) == Some(wanted))
        };
        let mut found = self.session.cards_by(is_meant).await?.into_iter();
        match (found.next(), found.next()) {
            (None, _) => {
                Err(no_interface(format!("the host has no interface with MAC address {mac}")))
            }
            (Some(card), None) => Ok(handle(card)),
            (Some(first), Some(second)) => Err(Error::new(
                ErrorCode::MultipleInterfaces,
                ErrorDomain::Esx,
                format!(
                    "the host has several interfaces with MAC address {mac}, {} and {} among them",
                    first.device, second.device
                ),
            )),
        }
    }

    async fn interface_get_xml_desc(
        &self,
        interface: &InterfaceHandle,
        flags: InterfaceXmlFlags,
    ) -> Result<String> {
        check_flags("virInterfaceGetXMLDesc", flags, InterfaceXmlFlags::INACTIVE)?;
        let cards = self.session.cards_by(|card| card.device == interface.name).await?;
        let card = cards.into_iter().next().ok_or_else(|| {
            no_interface(format!("the host has no interface {:?} any more", interface.name))
        })?;
        let stored = flags.contains(InterfaceXmlFlags::INACTIVE);
        let ipv4 = card.spec.ip.as_ref().map(|ip| ipv4(ip, stored));
        let document = xml::Interface { name: card.device, mac: Some(card.mac), ipv4 };
        Ok(document.to_xml())
    }

    async fn interface_is_active(&self, _interface: &InterfaceHandle) -> Result<bool> {
        Ok(true)
    }
}

/// What a card's own IP configuration says. What DHCP has given is not a part of what is stored.
fn ipv4(ip: &HostIpConfig, stored: bool) -> xml::Ipv4 {
    let set = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let address = match (set(&ip.ip_address), set(&ip.subnet_mask)) {
        (Some(address), Some(mask)) if !(ip.dhcp && stored) => Some((address, prefix(&mask))),
        _ => None,
    };
    let (address, prefix) = address.map_or((None, None), |(a, p)| (Some(a), p));
    xml::Ipv4 { dhcp: ip.dhcp, address, prefix }
}

/// The prefix length of a netmask, if it has one: libvirt says -1 for one with holes and fails for one that is none.
fn prefix(mask: &str) -> Option<u8> {
    let bits = u32::from(mask.parse::<Ipv4Addr>().ok()?);
    let length = bits.leading_ones();
    (bits.count_ones() == length).then_some(length as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes() {
        for (mask, expected) in [
            ("255.255.255.0", Some(24)),
            ("255.255.255.255", Some(32)),
            ("0.0.0.0", Some(0)),
            ("255.0.255.0", None),
            ("fe80::", None),
            ("", None),
        ] {
            assert_eq!(prefix(mask), expected, "{mask}");
        }
    }

    #[test]
    fn addresses_of_cards() {
        let config = |dhcp, address: &str, mask: &str| HostIpConfig {
            dhcp,
            ip_address: Some(address.to_owned()),
            subnet_mask: Some(mask.to_owned()),
            ..Default::default()
        };
        let shown = |config: &HostIpConfig, stored| {
            let ipv4 = ipv4(config, stored);
            (ipv4.dhcp, ipv4.address, ipv4.prefix)
        };
        let address = Some("192.0.2.10".to_owned());
        let given = config(true, "192.0.2.10", "255.255.255.0");
        assert_eq!(shown(&given, false), (true, address.clone(), Some(24)));
        assert_eq!(shown(&given, true), (true, None, None));
        let fixed = config(false, "192.0.2.10", "255.255.255.0");
        assert_eq!(shown(&fixed, true), (false, address, Some(24)));
        for half in [config(false, "192.0.2.10", ""), config(false, "", "255.255.255.0")] {
            assert_eq!(shown(&half, false), (false, None, None));
        }
    }
}
