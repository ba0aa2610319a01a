//! `domrename` and `desc`.

use virt_api::{DomainModificationFlags as Impact, ErrorCode, MetadataType, NoFlags};

use super::plain::{Plain, domain_request, impact, shown, switch, with_impact};
use crate::command::{Group, positional, required_value, value};
use crate::commands::domain::domain_argument;
use crate::failure::Context;
use crate::render::{Done, Text};

/// `domrename`
pub(crate) static DOMRENAME: Plain = Plain {
    name: "domrename",
    group: Group::Domain,
    summary: "Give a domain that is shut off another name",
    details: "Its files keep their names.",
    usage: "DOMAIN NEW-NAME",
    arguments: |command| positional(domain_argument(command), "new-name", "The new name", true),
    request: |matches| {
        let name = required_value(matches, "new-name")?;
        domain_request(matches, async move |hypervisor, domain| {
            let result = hypervisor.domain_rename(&domain, &name, NoFlags::empty()).await;
            result.context(|| format!("failed to rename domain '{}'", domain.name))?;
            let done = Done::to_domain("domrename", &domain).with("new_name", name.as_str());
            shown(done.saying("Domain successfully renamed"))
        })
    },
};

/// `desc`
pub(crate) static DESC: Plain = Plain {
    name: "desc",
    group: Group::Domain,
    summary: "Show or set the description of a domain",
    details: "The description is the machine's notes. VMware hosts keep no title. An empty TEXT takes it away.",
    usage: "DOMAIN [TEXT]",
    arguments: |command| {
        let command = positional(domain_argument(command), "new-desc", "The new text", false);
        with_impact(command).arg(switch("title", "The title instead of the description"))
    },
    request: |matches| {
        let text = value(matches, "new-desc");
        let flags = Impact::from_bits_retain(impact(matches).unwrap_or_default());
        let (kind, noun) = match matches.get_flag("title") {
            true => (MetadataType::Title, "title"),
            false => (MetadataType::Description, "description"),
        };
        domain_request(matches, async move |hypervisor, domain| {
            if let Some(text) = &text {
                let text = Some(text.as_str()).filter(|text| !text.is_empty());
                let result =
                    hypervisor.domain_set_metadata(&domain, kind, text, None, None, flags).await;
                result
                    .context(|| format!("failed to set the {noun} of domain '{}'", domain.name))?;
                let sentence = format!("Domain {noun} updated successfully");
                return shown(Done::to_domain("desc", &domain).saying(&sentence).tight());
            }
            match hypervisor.domain_get_metadata(&domain, kind, None, flags).await {
                Ok(text) => shown(Text::document(noun, text).tight()),
                Err(error) if error.code == ErrorCode::NoDomainMetadata => {
                    let line = format!("No {noun} for domain: {}", domain.name);
                    shown(Text::line(noun, line).with_value(serde_json::Value::Null).tight())
                }
                result => {
                    let what = || format!("failed to get the {noun} of domain '{}'", domain.name);
                    result.context(what)?;
                    shown(Text::nothing())
                }
            }
        })
    },
};
