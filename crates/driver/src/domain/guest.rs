//! What VMware Tools tell of the guest (spec `domain.md` 10).

use std::net::IpAddr;

use esx_vi_api::data::GuestNicInfo;
use virt_api::{
    Domain, DomainInterface, DomainState, Error, ErrorCode, ErrorDomain, InterfaceAddressesSource,
    IpAddress, IpAddressType, NoFlags, Result, check_flags,
};

use super::lookup::{Found, Wanted};
use crate::connection::Session;
use crate::error::decode_error;

const HOST_NAME: &str = "guest.hostName";
const NICS: &str = "guest.net";
/// `VIR_DOMAIN_GET_HOSTNAME_AGENT`: VMware Tools are the agent, and who is asked anyway.
const FROM_AGENT: NoFlags = NoFlags::from_bits_retain(1 << 1);

impl Session {
    async fn running_guest(&self, domain: &Domain, path: &str) -> Result<Found> {
        let found = self.find_domain(domain, Wanted { paths: &[path], autostart: false }).await?;
        if found.machine.state == DomainState::Running {
            return Ok(found);
        }
        let message = format!("domain {:?} is {}, not running", domain.name, found.machine.state);
        Err(Error::new(ErrorCode::OperationInvalid, ErrorDomain::Esx, message))
    }

    /// libvirt `virDomainGetHostname`. What the guest tells is not for connections that only read: libvirt has agents
    /// asked, which can be made to work.
    pub(crate) async fn guest_hostname(&self, domain: &Domain, flags: NoFlags) -> Result<String> {
        self.check_writable("virDomainGetHostname")?;
        check_flags("virDomainGetHostname", flags, FROM_AGENT)?;
        let found = self.running_guest(domain, HOST_NAME).await?;
        let name = found
            .row
            .get::<String>(HOST_NAME)
            .map_err(decode_error)?
            .filter(|name| !name.is_empty());
        name.ok_or_else(|| {
            let message = format!(
                "the guest of domain {:?} does not tell its name, are VMware Tools running?",
                domain.name
            );
            Error::new(ErrorCode::OperationInvalid, ErrorDomain::Esx, message)
        })
    }

    /// libvirt `virDomainInterfaceAddresses`: VMware Tools are the agent. Adapters without a network or
    /// without addresses are listed as well; a guest that tells nothing has no interfaces.
    pub(crate) async fn interface_addresses(
        &self,
        domain: &Domain,
        source: InterfaceAddressesSource,
        flags: NoFlags,
    ) -> Result<Vec<DomainInterface>> {
        check_flags("virDomainInterfaceAddresses", flags, NoFlags::empty())?;
        if source != InterfaceAddressesSource::Agent {
            let message = "the only source of interface addresses is the agent (VMware Tools)";
            return Err(Error::new(ErrorCode::ArgumentUnsupported, ErrorDomain::Esx, message));
        }
        self.check_writable("virDomainInterfaceAddresses")?;
        let found = self.running_guest(domain, NICS).await?;
        let nics: Vec<GuestNicInfo> =
            found.row.get_lenient(NICS).map_err(decode_error)?.unwrap_or_default();
        Ok(nics.into_iter().filter(|nic| nic.connected).map(interface).collect())
    }
}

fn interface(nic: GuestNicInfo) -> DomainInterface {
    let addrs = match &nic.ip_config {
        Some(config) => config
            .ip_address
            .iter()
            .filter_map(|a| address(&a.ip_address, a.prefix_length))
            .collect(),
        None => nic.ip_address.iter().filter_map(|a| address(a, 0)).collect(),
    };
    // The guest's own device names are not in the API: the port group is what libvirt shows, too.
    let name = nic
        .network
        .filter(|n| !n.is_empty())
        .unwrap_or_else(|| format!("nic{}", nic.device_config_id));
    DomainInterface { name, hwaddr: nic.mac_address, addrs }
}

fn address(text: &str, prefix: i32) -> Option<IpAddress> {
    // Link-local addresses may come with a scope: `fe80::1%eth0`.
    let bare = text.split('%').next().unwrap_or(text);
    let kind = match bare.parse().ok()? {
        IpAddr::V4(_) => IpAddressType::Ipv4,
        IpAddr::V6(_) => IpAddressType::Ipv6,
    };
    Some(IpAddress { kind, addr: bare.to_owned(), prefix: u32::try_from(prefix).unwrap_or(0) })
}

#[cfg(test)]
mod tests {
    use esx_vi_api::data::{NetIpConfigInfo, NetIpConfigInfoIpAddress};

    use super::*;

    #[test]
    fn adapters_become_interfaces() {
        let with = |address: &str, prefix_length| NetIpConfigInfoIpAddress {
            ip_address: address.to_owned(),
            prefix_length,
            ..Default::default()
        };
        let nic = GuestNicInfo {
            network: Some("VM Network".to_owned()),
            mac_address: Some("00:0c:29:01:02:03".to_owned()),
            connected: true,
            ip_config: Some(NetIpConfigInfo {
                ip_address: vec![with("10.0.0.5", 24), with("fe80::1%2", 64), with("nonsense", 8)],
                ..Default::default()
            }),
            ..Default::default()
        };
        let shown = |nic| {
            let interface = interface(nic);
            let addrs: Vec<_> =
                interface.addrs.iter().map(|a| format!("{}/{}", a.addr, a.prefix)).collect();
            (interface.name, addrs.join(" "))
        };
        assert_eq!(
            shown(nic.clone()),
            ("VM Network".to_owned(), "10.0.0.5/24 fe80::1/64".to_owned())
        );
        let bare = GuestNicInfo {
            network: None,
            ip_config: None,
            ip_address: vec!["10.0.0.6".to_owned()],
            device_config_id: 4000,
            ..nic
        };
        assert_eq!(shown(bare), ("nic4000".to_owned(), "10.0.0.6/0".to_owned()));
    }
}
