//! Network adapters: `attach-interface`, `detach-interface`, `domif-getlink`, `domif-setlink`.

use clap::ArgMatches;
use virt_api::{
    Domain, DomainDeviceModifyFlags as Flags, DomainInterfaceDevice, Error, ErrorCode, ErrorDomain,
    Hypervisor,
};
use virt_xml::Element;

use super::device::{Change, change_device, device_impact, printed, with_device_impact};
use super::plain::{Plain, domain_request, option, shown, switch};
use crate::command::{Group, positional, required_value};
use crate::commands::domain::domain_argument;
use crate::failure::{Context, usage};
use crate::render::Text;

fn child(name: &str, attribute: &str, value: &str) -> Element {
    Element::new(name).with_attribute(attribute, value)
}

fn text(matches: &ArgMatches, name: &str) -> Option<String> {
    matches.get_one::<String>(name).cloned()
}

/// `attach-interface`
pub(crate) static ATTACH_INTERFACE: Plain = Plain {
    name: "attach-interface",
    group: Group::Domain,
    summary: "Attach a network adapter",
    details: "SOURCE is the name of a port group; TYPE is 'bridge' (as libvirt shows adapters of VMware machines) or 'network'.\n\
        Without --mac the host makes an address up; without --model the adapter is of the same model as the first one.",
    usage: "DOMAIN TYPE SOURCE",
    arguments: |command| {
        let command = domain_argument(command);
        let command = positional(command, "type", "bridge or network", true);
        let command = positional(command, "source", "Name of the network", true);
        with_device_impact(command)
            .arg(option("mac", "MAC", "Its address"))
            .arg(option("model", "MODEL", "e1000, e1000e, vmxnet3, vlance, vmxnet2"))
            .arg(switch("print-xml", "Print the XML and attach nothing"))
    },
    request: |matches| {
        let (kind, source) = (required_value(matches, "type")?, required_value(matches, "source")?);
        let attribute = match kind.as_str() {
            "bridge" => "bridge",
            "network" => "network",
            other => {
                return Err(usage(format!("no support for {other} in command 'attach-interface'")));
            }
        };
        let mut element =
            child("interface", "type", &kind).with_child(child("source", attribute, &source));
        if let Some(mac) = text(matches, "mac") {
            element = element.with_child(child("mac", "address", &mac));
        }
        if let Some(model) = text(matches, "model") {
            element = element.with_child(child("model", "type", &model));
        }
        let (xml, print) = (element.to_xml(), matches.get_flag("print-xml"));
        let impact = device_impact(matches);
        domain_request(matches, async move |hypervisor, domain| {
            if print {
                return printed(&xml);
            }
            let words = ("attach-interface", "an interface", "Interface attached successfully");
            let flags = impact.flags(&domain);
            change_device(hypervisor, &domain, &xml, flags, Change::Attach, words).await
        })
    },
};

async fn adapters(
    hypervisor: &dyn Hypervisor,
    domain: &Domain,
) -> Result<Vec<DomainInterfaceDevice>, Error> {
    let found = hypervisor.domain_list_interface_devices(domain).await;
    found.context(|| format!("failed to get the interfaces of domain '{}'", domain.name))
}

fn failed(message: String) -> Error {
    Error::new(ErrorCode::OperationFailed, ErrorDomain::None, message)
}

/// The adapter with this address or name.
async fn named(
    hypervisor: &dyn Hypervisor,
    domain: &Domain,
    name: &str,
) -> Result<DomainInterfaceDevice, Error> {
    let is =
        |own: &Option<String>| own.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(name));
    let found = adapters(hypervisor, domain).await?;
    let found = found.into_iter().find(|adapter| is(&adapter.mac) || is(&adapter.name));
    found.ok_or_else(|| failed(format!("interface '{name}' not found in domain '{}'", domain.name)))
}

/// The document that means an adapter by its address and says nothing of its network.
fn by_mac(mac: &str) -> Element {
    child("interface", "type", "null").with_child(child("mac", "address", mac))
}

/// `detach-interface`
pub(crate) static DETACH_INTERFACE: Plain = Plain {
    name: "detach-interface",
    group: Group::Domain,
    summary: "Detach a network adapter",
    details: "With several adapters of the TYPE, --mac says which one.",
    usage: "DOMAIN TYPE",
    arguments: |command| {
        let command = positional(domain_argument(command), "type", "bridge, network or vds", true);
        with_device_impact(command)
            .arg(option("mac", "MAC", "Its address"))
            .arg(switch("print-xml", "Print the XML and detach nothing"))
    },
    request: |matches| {
        let (kind, mac) = (required_value(matches, "type")?, text(matches, "mac"));
        let (impact, print) = (device_impact(matches), matches.get_flag("print-xml"));
        domain_request(matches, async move |hypervisor, domain| {
            let mut found = adapters(hypervisor, &domain).await?;
            // A network by its name is what libvirt calls a bridge here.
            found.retain(|a| a.kind == kind || kind == "network" && a.kind == "bridge");
            if let Some(mac) = &mac {
                found.retain(|a| a.mac.as_ref().is_some_and(|own| own.eq_ignore_ascii_case(mac)));
            }
            let wanted = match (&found[..], &mac) {
                ([one], _) => one.mac.clone().unwrap_or_default(),
                ([], Some(mac)) => {
                    return Err(failed(format!("No interface with MAC address {mac} was found")));
                }
                ([], None) => {
                    return Err(failed(format!("No interface found whose type is {kind}")));
                }
                (several, _) => {
                    let message = format!(
                        "Domain has {} interfaces. Please specify which one to detach using --mac",
                        several.len()
                    );
                    return Err(failed(message));
                }
            };
            let xml = by_mac(&wanted).to_xml();
            if print {
                return printed(&xml);
            }
            let words = ("detach-interface", "an interface", "Interface detached successfully");
            let flags = impact.flags(&domain);
            change_device(hypervisor, &domain, &xml, flags, Change::Detach, words).await
        })
    },
};

const INTERFACE: &str = "INTERFACE is the MAC address: hosts have no names for adapters.";

/// `domif-getlink`
pub(crate) static DOMIF_GETLINK: Plain = Plain {
    name: "domif-getlink",
    group: Group::Domain,
    summary: "Show whether a network adapter's cable is plugged in",
    details: INTERFACE,
    usage: "DOMAIN INTERFACE",
    arguments: |command| {
        positional(domain_argument(command), "interface", "MAC address", true)
            .arg(switch("config", "As at the next start"))
    },
    request: |matches| {
        let name = required_value(matches, "interface")?;
        domain_request(matches, async move |hypervisor, domain| {
            let adapter = named(hypervisor, &domain, &name).await?;
            let state = if adapter.link_up == Some(false) { "down" } else { "up" };
            shown(Text::line("link", format!("{name} {state}")).with_value(state.into()))
        })
    },
};

/// `domif-setlink`
pub(crate) static DOMIF_SETLINK: Plain = Plain {
    name: "domif-setlink",
    group: Group::Domain,
    summary: "Plug a network adapter's cable in or out",
    details: INTERFACE,
    usage: "DOMAIN INTERFACE STATE",
    arguments: |command| {
        let command = positional(domain_argument(command), "interface", "MAC address", true);
        positional(command, "state", "up or down", true)
            .arg(switch("config", "Affect the next start"))
            .arg(switch("print-xml", "Print the XML and change nothing"))
    },
    request: |matches| {
        let name = required_value(matches, "interface")?;
        let state = required_value(matches, "state")?;
        if !["up", "down"].contains(&state.as_str()) {
            return Err(usage(format!("invalid link state '{state}'")));
        }
        let config = if matches.get_flag("config") { Flags::CONFIG } else { Flags::empty() };
        let print = matches.get_flag("print-xml");
        domain_request(matches, async move |hypervisor, domain| {
            let adapter = named(hypervisor, &domain, &name).await?;
            let link = child("link", "state", &state);
            let xml = by_mac(&adapter.mac.unwrap_or_default()).with_child(link).to_xml();
            if print {
                return printed(&xml);
            }
            let words = ("domif-setlink", "an interface", "Device updated successfully");
            change_device(hypervisor, &domain, &xml, config, Change::Update, words).await
        })
    },
};
