//! Virtual networks: the switches of the host.

use clap::ArgMatches;
use virt_api::{
    Error, ErrorCode, ListAllNetworksFlags as Filter, Network, NetworkDefineFlags, NetworkHandle,
    NetworkXmlFlags,
};

use super::plain::{Outcome, Plain, Switches, bits, request, shown, switch, with_switches};
use crate::command::{Group, Request, positional, required_value};
use crate::failure::Context;
use crate::file::read_text;
use crate::render::network::{ListedNetwork, NetworkColumns, NetworkInfo, NetworkList};
use crate::render::{Done, Text};
use crate::session::Session;

const FILTERS: Switches = &[
    ("persistent", "Only networks with a definition", Filter::PERSISTENT.bits()),
    ("transient", "Only networks without a definition", Filter::TRANSIENT.bits()),
    ("autostart", "Only networks the host starts by itself", Filter::AUTOSTART.bits()),
    (
        "no-autostart",
        "Only networks the host does not start by itself",
        Filter::NO_AUTOSTART.bits(),
    ),
];

fn network_argument(command: clap::Command) -> clap::Command {
    positional(command, "network", "Name or UUID of the network", true)
}

/// The network that `text` names: by UUID if it is one, else by name.
async fn find_network(networks: &dyn Network, text: &str) -> Result<NetworkHandle, Error> {
    let failed = || format!("failed to get network '{text}'");
    if matches!(text.len(), 32 | 36)
        && let Ok(uuid) = text.parse()
    {
        match networks.network_lookup_by_uuid(uuid).await {
            // It may be a name that looks like one.
            Err(error) if error.code == ErrorCode::NoNetwork => {}
            result => return result.context(failed),
        }
    }
    networks.network_lookup_by_name(text).await.context(failed)
}

/// A request about the network that the argument `NETWORK` names.
fn network_request<F>(matches: &ArgMatches, run: F) -> Result<Box<dyn Request>, Error>
where
    F: AsyncFn(&dyn Network, NetworkHandle) -> Outcome + 'static,
{
    let text = required_value(matches, "network")?;
    Ok(request(async move |session: &Session| {
        let networks = session.network().await?;
        let network = find_network(networks, &text).await?;
        run(networks, network).await
    }))
}

/// What virsh asks about each network beside its name.
async fn facts(networks: &dyn Network, network: NetworkHandle) -> Result<ListedNetwork, Error> {
    let failed = || format!("failed to get the state of network '{}'", network.name);
    Ok(ListedNetwork {
        active: networks.network_is_active(&network).await.context(failed)?,
        persistent: networks.network_is_persistent(&network).await.context(failed)?,
        autostart: networks.network_get_autostart(&network).await.context(failed)?,
        network,
    })
}

/// `net-list`
pub(crate) static LIST: Plain = Plain {
    name: "net-list",
    group: Group::Network,
    summary: "List networks",
    details: "Networks are the virtual switches of the host; they are always active.",
    usage: "",
    arguments: |command| {
        with_switches(command, FILTERS)
            .arg(switch("inactive", "List the inactive networks"))
            .arg(switch("all", "List active and inactive networks"))
            .arg(switch("uuid", "Show UUIDs only").conflicts_with_all(["name", "table"]))
            .arg(switch("name", "Show names only").conflicts_with("table"))
            .arg(switch("table", "Show a table (the default)"))
            .arg(switch("title", "Show titles, which switches do not have"))
    },
    request: |matches| {
        let on = |name| matches.get_flag(name);
        let mut filter = Filter::from_bits_retain(bits(matches, FILTERS));
        filter.set(Filter::ACTIVE, !on("inactive") || on("all"));
        filter.set(Filter::INACTIVE, on("inactive") || on("all"));
        let columns = NetworkColumns { uuid: on("uuid"), name: on("name"), title: on("title") };
        Ok(request(async move |session: &Session| {
            let networks = session.network().await?;
            let found = networks.connect_list_all_networks(filter).await;
            let mut listed = Vec::new();
            for network in found.context(|| "failed to list networks".to_owned())? {
                listed.push(facts(networks, network).await?);
            }
            shown(NetworkList::new(listed, columns))
        }))
    },
};

/// `net-info`
pub(crate) static INFO: Plain = Plain {
    name: "net-info",
    group: Group::Network,
    summary: "Show the state of a network",
    details: "",
    usage: "NETWORK",
    arguments: network_argument,
    request: |matches| {
        network_request(matches, async move |networks, network| {
            shown(NetworkInfo(facts(networks, network).await?))
        })
    },
};

/// `net-dumpxml`
pub(crate) static DUMPXML: Plain = Plain {
    name: "net-dumpxml",
    group: Group::Network,
    summary: "Show a network as libvirt XML",
    details: "",
    usage: "NETWORK",
    arguments: |command| {
        network_argument(command)
            .arg(switch("inactive", "As it is defined, which is the same here"))
    },
    request: |matches| {
        let mut flags = NetworkXmlFlags::empty();
        flags.set(NetworkXmlFlags::INACTIVE, matches.get_flag("inactive"));
        network_request(matches, async move |networks, network| {
            let xml = networks.network_get_xml_desc(&network, flags).await;
            let xml =
                xml.context(|| format!("failed to get the XML of network '{}'", network.name))?;
            shown(Text::document("xml", xml))
        })
    },
};

/// `net-name`
pub(crate) static NAME: Plain = Plain {
    name: "net-name",
    group: Group::Network,
    summary: "Convert a network UUID to its name",
    details: "",
    usage: "NETWORK",
    arguments: network_argument,
    request: |matches| {
        network_request(matches, async move |_, network| shown(Text::line("name", network.name)))
    },
};

/// `net-uuid`
pub(crate) static UUID: Plain = Plain {
    name: "net-uuid",
    group: Group::Network,
    summary: "Convert a network name to its UUID",
    details: "",
    usage: "NETWORK",
    arguments: network_argument,
    request: |matches| {
        network_request(matches, async move |_, network| {
            shown(Text::line("uuid", network.uuid.to_string()))
        })
    },
};

/// `net-define`
pub(crate) static DEFINE: Plain = Plain {
    name: "net-define",
    group: Group::Network,
    summary: "Make a network from an XML file",
    details: "A virtual switch with port groups is made; there is no editing of one that exists.\n\
              FILE may be - for standard input.",
    usage: "FILE",
    arguments: |command| {
        positional(command, "file", "File with network XML, or - for standard input", true)
            .arg(switch("validate", "Refuse elements that libvirt does not know"))
    },
    request: |matches| {
        let file = required_value(matches, "file")?;
        let mut flags = NetworkDefineFlags::empty();
        flags.set(NetworkDefineFlags::VALIDATE, matches.get_flag("validate"));
        Ok(request(async move |session: &Session| {
            let xml = read_text(&file)?;
            let networks = session.network().await?;
            let result = networks.network_define_xml(&xml, flags).await;
            let network = result.context(|| format!("failed to define network from '{file}'"))?;
            let sentence = format!("Network {} defined from {file}", network.name);
            shown(done("net-define", &network).saying(&sentence))
        }))
    },
};

/// `net-undefine`
pub(crate) static UNDEFINE: Plain = Plain {
    name: "net-undefine",
    group: Group::Network,
    summary: "Remove a network with its port groups",
    details: "It must not be in use by running domains or by the host itself.",
    usage: "NETWORK",
    arguments: network_argument,
    request: |matches| {
        network_request(matches, async move |networks, network| {
            let result = networks.network_undefine(&network).await;
            result.context(|| format!("failed to undefine network '{}'", network.name))?;
            let sentence = format!("Network {} has been undefined", network.name);
            shown(done("net-undefine", &network).saying(&sentence))
        })
    },
};

/// `net-autostart`
pub(crate) static AUTOSTART: Plain = Plain {
    name: "net-autostart",
    group: Group::Network,
    summary: "Have a network started by the host itself, which it is anyway",
    details: "A VMware host starts all its networks by itself: --disable is refused.",
    usage: "NETWORK",
    arguments: |command| {
        network_argument(command).arg(switch("disable", "Do not have it started by the host"))
    },
    request: |matches| {
        let disable = matches.get_flag("disable");
        network_request(matches, async move |networks, network| {
            let (not, un) = if disable { ("unmark", "un") } else { ("mark", "") };
            let result = networks.network_set_autostart(&network, !disable).await;
            result
                .context(|| format!("failed to {not} network '{}' as autostarted", network.name))?;
            let sentence = format!("Network {} {un}marked as autostarted", network.name);
            shown(done("net-autostart", &network).with("autostart", !disable).saying(&sentence))
        })
    },
};

fn done(command: &str, network: &NetworkHandle) -> Done {
    Done::new(command).with("network", network.name.as_str()).with("uuid", network.uuid.to_string())
}
