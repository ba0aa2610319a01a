//! `dumpxml`: a domain as a document.

use async_trait::async_trait;
use clap::{Arg, ArgAction, ArgMatches};
use virt_api::{DomainXmlFlags, Error};

use crate::command::{Command, Group, Request, required_value};
use crate::commands::domain::{domain_argument, lookup};
use crate::render::{Render, Text};
use crate::session::Session;

/// `dumpxml`: a domain as XML.
pub(crate) struct DumpXml;

/// The options and what they stand for.
const FLAGS: [(&str, &str, DomainXmlFlags); 6] = [
    ("inactive", "As it will be at the next start", DomainXmlFlags::INACTIVE),
    ("security-info", "With passwords", DomainXmlFlags::SECURE),
    ("update-cpu", "With the host's CPU features", DomainXmlFlags::UPDATE_CPU),
    ("migratable", "Fit for migration", DomainXmlFlags::MIGRATABLE),
    ("keep-keys", "Keep what has no place in domain XML in <metadata>", DomainXmlFlags::KEEP_KEYS),
    ("exact", "Byte for byte what libvirt prints, its mistakes included", DomainXmlFlags::EXACT),
];

impl Command for DumpXml {
    fn name(&self) -> &'static str {
        "dumpxml"
    }
    fn group(&self) -> Group {
        Group::Domain
    }
    fn summary(&self) -> &'static str {
        "Show a domain as libvirt XML"
    }
    fn usage(&self) -> &'static str {
        "DOMAIN"
    }
    fn arguments(&self, command: clap::Command) -> clap::Command {
        domain_argument(command)
            .args(FLAGS.map(|(name, help, _)| {
                Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
            }))
            .mut_arg("keep-keys", |arg| arg.conflicts_with("exact"))
    }
    fn request(&self, matches: &ArgMatches) -> Result<Box<dyn Request>, Error> {
        let flags = FLAGS
            .iter()
            .filter(|(name, ..)| matches.get_flag(name))
            .map(|(.., flag)| *flag)
            .collect();
        Ok(Box::new(Dump { domain: required_value(matches, "domain")?, flags }))
    }
}

struct Dump {
    domain: String,
    flags: DomainXmlFlags,
}

#[async_trait(?Send)]
impl Request for Dump {
    async fn run(&self, session: &Session) -> Result<Box<dyn Render>, Error> {
        let hypervisor = session.hypervisor().await?;
        let domain = lookup(hypervisor, &self.domain).await?;
        let xml = hypervisor.domain_get_xml_desc(&domain, self.flags).await?;
        Ok(Box::new(Text::document("xml", xml)))
    }
}
