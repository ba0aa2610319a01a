//! Devices of a domain from files: `attach-device`, `detach-device`, `update-device`; and `attach-serial`.

use clap::ArgMatches;
use clap::builder::PossibleValuesParser;
use virt_api::{Domain, DomainDeviceModifyFlags as Flags, Error, Hypervisor};
use virt_xml::Element;
use virt_xml::domain::VMWARE_NAMESPACE;

use super::plain::{Outcome, Plain, domain_request, impact, option, shown, switch, with_impact};
use crate::command::{Group, positional, required_value};
use crate::commands::domain::domain_argument;
use crate::failure::Context;
use crate::file::read_text;
use crate::render::{Done, Text};

/// What a change of a device affects.
#[derive(Clone, Copy)]
pub(super) struct Impact {
    flags: Flags,
    persistent: bool,
}

/// Adds `--config`, `--live`, `--current` and `--persistent`.
pub(super) fn with_device_impact(command: clap::Command) -> clap::Command {
    with_impact(command).arg(
        switch("persistent", "Affect the running domain, if it runs, and the next start")
            .conflicts_with("current"),
    )
}

/// What of [`with_device_impact`] was given.
pub(super) fn device_impact(matches: &ArgMatches) -> Impact {
    Impact {
        flags: Flags::from_bits_retain(impact(matches).unwrap_or_default()),
        persistent: matches.get_flag("persistent"),
    }
}

impl Impact {
    /// The flags for a domain; whether it runs is in its handle.
    pub(super) fn flags(self, domain: &Domain) -> Flags {
        let mut flags = self.flags;
        if self.persistent {
            flags |= Flags::CONFIG;
            flags.set(Flags::LIVE, flags.contains(Flags::LIVE) || domain.id.is_some());
        }
        flags
    }
}

/// What is done to a device.
#[derive(Clone, Copy)]
pub(super) enum Change {
    Attach,
    Detach,
    Update,
}

impl Change {
    const fn verb(self) -> &'static str {
        match self {
            Self::Attach => "attach",
            Self::Detach => "detach",
            Self::Update => "update",
        }
    }
}

/// Does it, and says `sentence`. `noun` is what the device is called in errors.
pub(super) async fn change_device(
    hypervisor: &dyn Hypervisor,
    domain: &Domain,
    xml: &str,
    flags: Flags,
    change: Change,
    (command, noun, sentence): (&str, &str, &str),
) -> Outcome {
    let result = match change {
        Change::Attach => hypervisor.domain_attach_device_flags(domain, xml, flags).await,
        Change::Detach => hypervisor.domain_detach_device_flags(domain, xml, flags).await,
        Change::Update => hypervisor.domain_update_device_flags(domain, xml, flags).await,
    };
    result.context(|| format!("failed to {} {noun} of domain '{}'", change.verb(), domain.name))?;
    shown(Done::to_domain(command, domain).saying(sentence))
}

/// The document instead of the change, for `--print-xml`.
pub(super) fn printed(xml: &str) -> Outcome {
    shown(Text::document("xml", xml))
}

fn with_file(command: clap::Command) -> clap::Command {
    let help = "File with the XML of a device, or - for standard input";
    with_device_impact(positional(domain_argument(command), "file", help, true))
}

fn from_file(
    matches: &ArgMatches,
    change: Change,
    command: &'static str,
    sentence: &'static str,
    more: Flags,
) -> Result<Box<dyn crate::command::Request>, Error> {
    let (file, impact) = (required_value(matches, "file")?, device_impact(matches));
    domain_request(matches, async move |hypervisor, domain| {
        let xml = read_text(&file)?;
        let flags = impact.flags(&domain) | more;
        let words = (command, "the device", sentence);
        change_device(hypervisor, &domain, &xml, flags, change, words).await
    })
}

const FILE: &str = "FILE holds one device: <disk>, <interface>, <serial> or <parallel>; it may be - for standard input.\n\
    A VMware machine has one configuration: --config alone cannot be had while the domain runs.";

/// `attach-device`
pub(crate) static ATTACH_DEVICE: Plain = Plain {
    name: "attach-device",
    group: Group::Domain,
    summary: "Attach a device from an XML file",
    details: FILE,
    usage: "DOMAIN FILE",
    arguments: with_file,
    request: |matches| {
        let sentence = "Device attached successfully";
        from_file(matches, Change::Attach, "attach-device", sentence, Flags::empty())
    },
};

/// `detach-device`
pub(crate) static DETACH_DEVICE: Plain = Plain {
    name: "detach-device",
    group: Group::Domain,
    summary: "Detach the device that an XML file describes",
    details: FILE,
    usage: "DOMAIN FILE",
    arguments: with_file,
    request: |matches| {
        let sentence = "Device detached successfully";
        from_file(matches, Change::Detach, "detach-device", sentence, Flags::empty())
    },
};

/// `update-device`
pub(crate) static UPDATE_DEVICE: Plain = Plain {
    name: "update-device",
    group: Group::Domain,
    summary: "Change a device after an XML file",
    details: FILE,
    usage: "DOMAIN FILE",
    arguments: |command| {
        with_file(command).arg(switch("force", "Even if the guest has the device locked"))
    },
    request: |matches| {
        let force = if matches.get_flag("force") { Flags::FORCE } else { Flags::empty() };
        from_file(matches, Change::Update, "update-device", "Device updated successfully", force)
    },
};

/// `attach-serial`
pub(crate) static ATTACH_SERIAL: Plain = Plain {
    name: "attach-serial",
    group: Group::Domain,
    summary: "Attach a serial port that is on the network",
    details: "virsh has no such command. With --proxy the host dials a serial port concentrator (vSPC) and names the\n\
        service to it; without, the service is listened at or dialled by the host itself, for example telnet://:2301.\n\
        The host needs API 4.1, a licence with the feature serialuri, and a firewall that lets it through.",
    usage: "DOMAIN SERVICE",
    arguments: |command| {
        let help = "URI of the service, or its name for the concentrator";
        let command = positional(domain_argument(command), "service", help, true);
        let directions = PossibleValuesParser::new(["server", "client"]);
        with_device_impact(command)
            .arg(
                option("direction", "DIRECTION", "Whether the machine serves or dials")
                    .value_parser(directions),
            )
            .arg(option("proxy", "URI", "The concentrator: telnet:// or telnets://"))
            .arg(
                option("port", "NUMBER", "Number of the port, from 0")
                    .value_parser(clap::value_parser!(u8)),
            )
            .arg(switch("print-xml", "Print the XML and attach nothing"))
    },
    request: |matches| {
        let text = |name: &str| matches.get_one::<String>(name).cloned();
        let mut backing = Element {
            prefix: Some("vmware".to_owned()),
            namespace: Some(VMWARE_NAMESPACE.to_owned()),
            ..Element::new("backing")
        }
        .with_attribute("service", &required_value(matches, "service")?)
        .with_attribute("direction", &text("direction").unwrap_or_else(|| "server".to_owned()));
        if let Some(proxy) = text("proxy") {
            backing = backing.with_attribute("proxy", &proxy);
        }
        let mut serial = Element::new("serial").with_attribute("type", "tcp").with_child(backing);
        if let Some(port) = matches.get_one::<u8>("port") {
            let target = Element::new("target").with_attribute("port", &port.to_string());
            serial = serial.with_child(target);
        }
        let (xml, print) = (serial.to_xml(), matches.get_flag("print-xml"));
        let impact = device_impact(matches);
        domain_request(matches, async move |hypervisor, domain| {
            if print {
                return printed(&xml);
            }
            let words = ("attach-serial", "a serial port", "Serial port attached successfully");
            let flags = impact.flags(&domain);
            change_device(hypervisor, &domain, &xml, flags, Change::Attach, words).await
        })
    },
};
