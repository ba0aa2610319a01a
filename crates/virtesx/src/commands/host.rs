//! Questions about the host: `capabilities`, `freecell`, `hostname`, `nodeinfo`, `uri`, `version`.

use async_trait::async_trait;
use clap::ArgMatches;
use virt_api::Error;

use super::plain::{Plain, request, shown, switch};
use crate::command::{Command, Group, Request, positional, value};
use crate::failure::Context;
use crate::render::host as view;
use crate::render::{Render, Text};
use crate::session::Session;

/// Declares a command without arguments; `$ask` asks the host.
macro_rules! host_command {
    ($type:ident, $name:literal, $summary:literal, $ask:path) => {
        #[doc = concat!("`", $name, "`: ", $summary)]
        pub(crate) struct $type;

        impl Command for $type {
            fn name(&self) -> &'static str {
                $name
            }
            fn group(&self) -> Group {
                Group::Host
            }
            fn summary(&self) -> &'static str {
                $summary
            }
            fn request(&self, _matches: &ArgMatches) -> Result<Box<dyn Request>, Error> {
                Ok(Box::new(Self))
            }
        }

        #[async_trait(?Send)]
        impl Request for $type {
            async fn run(&self, session: &Session) -> Result<Box<dyn Render>, Error> {
                Ok(Box::new($ask(session).await?))
            }
        }
    };
}

host_command!(
    Capabilities,
    "capabilities",
    "Show what the hypervisor can do, as XML",
    capabilities
);
host_command!(Hostname, "hostname", "Show the DNS name of the host", hostname);
host_command!(NodeInfo, "nodeinfo", "Show CPUs and memory of the host", node_info);
host_command!(Uri, "uri", "Show the URI of the connection", uri);
host_command!(Version, "version", "Show the versions of this program and of the host", version);

/// `freecell`
pub(crate) static FREECELL: Plain = Plain {
    name: "freecell",
    group: Group::Host,
    summary: "Show the free memory of the host",
    details: "VMware hosts tell it as a whole, not by NUMA cell.",
    usage: "",
    arguments: |command| {
        let all = switch("all", "Of each NUMA cell");
        positional(command, "cellno", "Only of this NUMA cell", false)
            .arg(all.conflicts_with_all(["cellno", "cellno-option"]))
    },
    request: |matches| {
        let cells = matches.get_flag("all") || value(matches, "cellno").is_some();
        Ok(request(async move |session: &Session| {
            let hypervisor = session.hypervisor().await?;
            if cells {
                // No driver behind this program tells it; libvirt's ESX driver does not, either.
                return Err(Error::no_support("virNodeGetCellsFreeMemory"));
            }
            let bytes = hypervisor.node_get_free_memory().await;
            let bytes = bytes.context(|| "failed to get the free memory of the host".to_owned())?;
            shown(view::FreeMemory { kib: bytes / 1024 })
        }))
    },
};

async fn capabilities(session: &Session) -> Result<Text, Error> {
    let xml = session.hypervisor().await?.connect_get_capabilities().await;
    let xml = xml.context(|| "failed to get capabilities".to_owned())?;
    // virsh ends this document, and no other, with a line end of its own.
    Ok(Text::line("xml", xml))
}

async fn hostname(session: &Session) -> Result<Text, Error> {
    let name = session.hypervisor().await?.connect_get_hostname().await;
    Ok(Text::line("hostname", name.context(|| "failed to get hostname".to_owned())?))
}

async fn node_info(session: &Session) -> Result<view::Node, Error> {
    let info = session.hypervisor().await?.node_get_info().await;
    Ok(view::Node(info.context(|| "failed to get node information".to_owned())?))
}

async fn uri(session: &Session) -> Result<Text, Error> {
    let uri = session.connection_uri().await;
    Ok(Text::line("uri", uri.context(|| "failed to get URI".to_owned())?))
}

async fn version(session: &Session) -> Result<view::Versions, Error> {
    let hypervisor = session.hypervisor().await?;
    let kind = hypervisor
        .connect_get_type()
        .await
        .context(|| "failed to get hypervisor type".to_owned())?;
    let version = hypervisor.connect_get_version().await;
    let version = version.context(|| "failed to get the hypervisor version".to_owned())?;
    Ok(view::Versions { hypervisor: kind, version })
}
