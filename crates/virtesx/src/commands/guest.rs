//! What the guest of a domain tells: `domhostname`, `domifaddr`.

use clap::ArgMatches;
use clap::builder::PossibleValuesParser;
use virt_api::{InterfaceAddressesSource as Source, NoFlags};

use super::plain::{Plain, domain_request, option, shown, switch};
use crate::command::Group;
use crate::commands::domain::domain_argument;
use crate::failure::Context;
use crate::render::Text;
use crate::render::resources::Interfaces;

fn source(matches: &ArgMatches) -> Option<&str> {
    matches.get_one::<String>("source").map(String::as_str)
}

/// `domhostname`
pub(crate) static DOMHOSTNAME: Plain = Plain {
    name: "domhostname",
    group: Group::Domain,
    summary: "Show the host name of a domain's guest",
    details: "It takes VMware Tools in the guest, which are the agent.",
    usage: "DOMAIN",
    arguments: |command| {
        let source = option("source", "SOURCE", "Who is asked");
        domain_argument(command)
            .arg(source.value_parser(PossibleValuesParser::new(["lease", "agent"])))
    },
    request: |matches| {
        // libvirt's bit for leases; the agent is who is asked anyway.
        let bits = if source(matches) == Some("lease") { 1 } else { 0 };
        let flags = NoFlags::from_bits_retain(bits);
        domain_request(matches, async move |hypervisor, domain| {
            let name = hypervisor.domain_get_hostname(&domain, flags).await;
            let name = name
                .context(|| format!("failed to get the host name of domain '{}'", domain.name))?;
            shown(Text::line("hostname", name))
        })
    },
};

/// `domifaddr`
pub(crate) static DOMIFADDR: Plain = Plain {
    name: "domifaddr",
    group: Group::Domain,
    summary: "Show the network addresses of a domain's guest",
    details: "It takes VMware Tools in the guest, which are the agent: the default here, while virsh asks for leases.",
    usage: "DOMAIN",
    arguments: |command| {
        let source = option("source", "SOURCE", "Who is asked");
        let sources = PossibleValuesParser::new(["lease", "agent", "arp"]);
        domain_argument(command)
            .arg(option("interface", "NAME", "Only this interface"))
            .arg(switch("full", "Repeat name and MAC address for each address"))
            .arg(source.value_parser(sources))
    },
    request: |matches| {
        let source = match source(matches) {
            Some("lease") => Source::Lease,
            Some("arp") => Source::Arp,
            _ => Source::Agent,
        };
        let wanted = matches.get_one::<String>("interface").cloned();
        let full = matches.get_flag("full");
        domain_request(matches, async move |hypervisor, domain| {
            let result =
                hypervisor.domain_interface_addresses(&domain, source, NoFlags::empty()).await;
            let mut interfaces = result
                .context(|| format!("failed to get the addresses of domain '{}'", domain.name))?;
            interfaces.retain(|item| wanted.as_ref().is_none_or(|name| item.name == *name));
            shown(Interfaces { interfaces, full })
        })
    },
};
