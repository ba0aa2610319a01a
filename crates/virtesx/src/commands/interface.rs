//! Interfaces: the network cards of the host.

use clap::ArgMatches;
use virt_api::{
    Error, ErrorCode, Interface, InterfaceHandle, InterfaceXmlFlags,
    ListAllInterfacesFlags as Filter,
};
use virt_xml::MacAddress;

use super::plain::{Outcome, Plain, request, shown, switch};
use crate::command::{Group, Request, positional, required_value};
use crate::failure::Context;
use crate::render::Text;
use crate::render::network::InterfaceList;
use crate::session::Session;

fn interface_argument(command: clap::Command) -> clap::Command {
    positional(command, "interface", "Name or MAC address of the interface", true)
}

/// The interface that `text` names: by MAC address if it is one, else by name.
async fn find(interfaces: &dyn Interface, text: &str) -> Result<InterfaceHandle, Error> {
    let failed = || format!("failed to get interface '{text}'");
    if MacAddress::parse(text).is_some() {
        match interfaces.interface_lookup_by_mac_string(text).await {
            // It may be a name that looks like one.
            Err(error) if error.code == ErrorCode::NoInterface => {}
            result => return result.context(failed),
        }
    }
    interfaces.interface_lookup_by_name(text).await.context(failed)
}

/// A request about the interface that the argument `INTERFACE` names.
fn interface_request<F>(matches: &ArgMatches, run: F) -> Result<Box<dyn Request>, Error>
where
    F: AsyncFn(&dyn Interface, InterfaceHandle) -> Outcome + 'static,
{
    let text = required_value(matches, "interface")?;
    Ok(request(async move |session: &Session| {
        let interfaces = session.interface().await?;
        let interface = find(interfaces, &text).await?;
        run(interfaces, interface).await
    }))
}

/// `iface-list`
pub(crate) static LIST: Plain = Plain {
    name: "iface-list",
    group: Group::Interface,
    summary: "List the physical interfaces of the host",
    details: "They are always active, with a cable or without.",
    usage: "",
    arguments: |command| {
        command
            .arg(switch("inactive", "List the inactive interfaces"))
            .arg(switch("all", "List active and inactive interfaces"))
    },
    request: |matches| {
        let on = |name| matches.get_flag(name);
        let mut filter = Filter::empty();
        filter.set(Filter::ACTIVE, !on("inactive") || on("all"));
        filter.set(Filter::INACTIVE, on("inactive") || on("all"));
        Ok(request(async move |session: &Session| {
            let interfaces = session.interface().await?;
            let found = interfaces.connect_list_all_interfaces(filter).await;
            let mut listed = Vec::new();
            for interface in found.context(|| "failed to list interfaces".to_owned())? {
                let active = interfaces.interface_is_active(&interface).await;
                let active = active.context(|| {
                    format!("failed to get the state of interface '{}'", interface.name)
                })?;
                listed.push((interface, active));
            }
            shown(InterfaceList::new(listed))
        }))
    },
};

/// `iface-dumpxml`
pub(crate) static DUMPXML: Plain = Plain {
    name: "iface-dumpxml",
    group: Group::Interface,
    summary: "Show an interface as libvirt XML",
    details: "",
    usage: "INTERFACE",
    arguments: |command| {
        interface_argument(command)
            .arg(switch("inactive", "As it is defined, without what DHCP gave"))
    },
    request: |matches| {
        let mut flags = InterfaceXmlFlags::empty();
        flags.set(InterfaceXmlFlags::INACTIVE, matches.get_flag("inactive"));
        interface_request(matches, async move |interfaces, interface| {
            let xml = interfaces.interface_get_xml_desc(&interface, flags).await;
            let xml =
                xml.context(|| format!("failed to get the XML of interface '{}'", interface.name))?;
            shown(Text::document("xml", xml))
        })
    },
};

/// `iface-name`
pub(crate) static NAME: Plain = Plain {
    name: "iface-name",
    group: Group::Interface,
    summary: "Convert the MAC address of an interface to its name",
    details: "",
    usage: "INTERFACE",
    arguments: interface_argument,
    request: |matches| {
        interface_request(matches, async move |_, interface| {
            shown(Text::line("name", interface.name))
        })
    },
};

/// `iface-mac`
pub(crate) static MAC: Plain = Plain {
    name: "iface-mac",
    group: Group::Interface,
    summary: "Convert the name of an interface to its MAC address",
    details: "",
    usage: "INTERFACE",
    arguments: interface_argument,
    request: |matches| {
        interface_request(matches, async move |_, interface| {
            shown(Text::line("mac", interface.mac))
        })
    },
};
