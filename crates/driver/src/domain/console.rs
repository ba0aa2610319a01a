//! Consoles: serial ports on the network (`vspc.md` 16). The VI API has none; who has their bytes is a concentrator, and
//! what speaks with that is given from outside.

use async_trait::async_trait;
use esx_vmx_domain::NetworkPorts;
use virt_api::{
    Domain, DomainConsoleFlags, DomainXmlFlags, Error, ErrorCode, ErrorDomain, Result, Stream,
    check_flags,
};

use super::xml::conversion_error;
use crate::connection::Session;

/// A serial port behind a concentrator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsolePort {
    /// The domain's name, for messages.
    pub domain: String,
    /// As in `serial0`.
    pub number: u32,
    /// What the machine may introduce itself by: 32 hex digits with hyphens for `vc.uuid`, with `bios:` in front for
    /// `uuid.bios`.
    pub machines: Vec<String>,
    /// What the port asks the concentrator for.
    pub service: String,
    /// Where the concentrator is, as the host sees it.
    pub proxy: String,
}

/// Opens consoles.
#[async_trait]
pub trait ConsoleOpener: Send + Sync {
    /// A stream both ways. Nobody else writes to the port while it is open: if somebody does already, they are let go with
    /// `force`, else this is refused.
    ///
    /// # Errors
    /// `VIR_ERR_OPERATION_INVALID` if the machine is not connected, `VIR_ERR_OPERATION_FAILED` if the port cannot be had.
    async fn open(&self, port: &ConsolePort, force: bool) -> Result<Box<dyn Stream>>;
}

impl Session {
    /// libvirt `virDomainOpenConsole`, which its ESX driver lacks. One console has one writer, with `SAFE` and without:
    /// libvirt's clients count on it.
    pub(crate) async fn open_console(
        &self,
        domain: &Domain,
        device: Option<&str>,
        flags: DomainConsoleFlags,
    ) -> Result<Box<dyn Stream>> {
        const FUNCTION: &str = "virDomainOpenConsole";
        check_flags(FUNCTION, flags, DomainConsoleFlags::FORCE | DomainConsoleFlags::SAFE)?;
        if self.read_only {
            return Err(Error::read_only(FUNCTION));
        }
        let opener = self.consoles.as_ref().ok_or_else(|| Error::no_support(FUNCTION))?;
        let number = device.map(port_number).transpose()?;
        let xml = self.xml_desc(domain, DomainXmlFlags::KEEP_KEYS).await?;
        let ports = NetworkPorts::read(&xml, *domain.uuid.as_bytes()).map_err(conversion_error)?;
        let port = ports.proxied(number).ok_or_else(|| {
            let message = ports.missing(&domain.name, number);
            Error::new(ErrorCode::OperationInvalid, ErrorDomain::Esx, message)
        })?;
        let port = ConsolePort {
            domain: domain.name.clone(),
            number: port.number,
            machines: ports.machines.clone(),
            service: port.service.clone(),
            proxy: port.proxy.clone(),
        };
        opener.open(&port, flags.contains(DomainConsoleFlags::FORCE)).await
    }
}

/// The number in a name such as `serial0`.
fn port_number(device: &str) -> Result<u32> {
    let digits = device.strip_prefix("serial").unwrap_or(device);
    digits.parse().map_err(|_| {
        let message =
            format!("'{device}' is no serial port: they are called serial0, serial1, ...");
        Error::invalid_arg(ErrorDomain::Esx, message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_have_names() {
        for (name, number) in [("serial0", Some(0)), ("serial31", Some(31)), ("2", Some(2))] {
            assert_eq!(port_number(name).ok(), number);
        }
        for name in ["", "serial", "console0", "serial-1", "serial0x"] {
            assert!(port_number(name).is_err(), "{name}");
        }
    }
}
