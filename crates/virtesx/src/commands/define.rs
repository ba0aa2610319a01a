//! `define` and `create`: a domain from a file.

use virt_api::{DomainCreateFlags, DomainDefineFlags};

use super::plain::{Plain, request, shown, switch};
use crate::command::{Group, positional, required_value};
use crate::failure::Context;
use crate::file::read_text;
use crate::render::Done;
use crate::session::Session;

/// `define`
pub(crate) static DEFINE: Plain = Plain {
    name: "define",
    group: Group::Domain,
    summary: "Define a domain from an XML file",
    details: "FILE may be - for standard input.",
    usage: "FILE",
    arguments: |command| {
        positional(command, "file", "File with domain XML, or - for standard input", true)
            .arg(switch("validate", "Accepted as by virsh: the XML is always checked by our own reader, not by the schema"))
            .arg(switch("exact", "Write byte for byte what libvirt writes, its mistakes included"))
    },
    request: |matches| {
        let file = required_value(matches, "file")?;
        let mut flags = DomainDefineFlags::empty();
        flags.set(DomainDefineFlags::VALIDATE, matches.get_flag("validate"));
        flags.set(DomainDefineFlags::EXACT, matches.get_flag("exact"));
        Ok(request(async move |session: &Session| {
            let xml = read_text(&file)?;
            let hypervisor = session.hypervisor().await?;
            let result = hypervisor.domain_define_xml_flags(&xml, flags).await;
            let domain = result.context(|| format!("failed to define domain from '{file}'"))?;
            let sentence = format!("Domain '{}' defined from {file}", domain.name);
            shown(Done::to_domain("define", &domain).saying(&sentence))
        }))
    },
};

/// `create`
pub(crate) static CREATE: Plain = Plain {
    name: "create",
    group: Group::Domain,
    summary: "Define a domain from an XML file and start it",
    details: "FILE may be - for standard input. VMware hosts have no transient domains: it stays when it stops. One that cannot be\n\
              started is taken away again, unless it was there before.",
    usage: "FILE",
    arguments: |command| {
        positional(command, "file", "File with domain XML, or - for standard input", true)
            .arg(switch("validate", "Accepted as by virsh: the XML is always checked by our own reader, not by the schema"))
    },
    request: |matches| {
        let file = required_value(matches, "file")?;
        let mut flags = DomainCreateFlags::empty();
        flags.set(DomainCreateFlags::VALIDATE, matches.get_flag("validate"));
        Ok(request(async move |session: &Session| {
            let xml = read_text(&file)?;
            let hypervisor = session.hypervisor().await?;
            let result = hypervisor.domain_create_xml(&xml, flags).await;
            let domain = result.context(|| format!("failed to create domain from '{file}'"))?;
            let sentence = format!("Domain '{}' created from {file}", domain.name);
            shown(Done::to_domain("create", &domain).saying(&sentence))
        }))
    },
};
