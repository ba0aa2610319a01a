//! `inspect`: what stands in the way of taking domains elsewhere.

use super::plain::{Plain, request};
use crate::command::Group;
use crate::commands::domain::lookup;
use crate::failure::Context;
use crate::render::inspect::Report;
use crate::session::Session;

/// `inspect`
pub(crate) static INSPECT: Plain = Plain {
    name: "inspect",
    group: Group::Domain,
    summary: "Show what stands in the way of taking domains elsewhere",
    details: "Without a DOMAIN, all of the host's. A blocker must be dealt with before an export, a warning says what is lost or\n\
              has to be done by hand. The exit status does not depend on what is found; -o json tells it to programs.",
    usage: "[DOMAIN...]",
    arguments: |command| {
        command.arg(
            clap::Arg::new("domain")
                .value_name("DOMAIN")
                .num_args(0..)
                .allow_negative_numbers(true)
                .help("ID, UUID or name of a domain"),
        )
    },
    request: |matches| {
        let names: Vec<String> =
            matches.get_many("domain").map(|names| names.cloned().collect()).unwrap_or_default();
        Ok(request(async move |session: &Session| {
            let hypervisor = session.hypervisor().await?;
            let mut domains = Vec::with_capacity(names.len());
            for name in &names {
                domains.push(lookup(hypervisor, name).await?);
            }
            let found = hypervisor
                .domain_inspect(&domains)
                .await
                .context(|| "failed to look at the domains".to_owned())?;
            Ok(Box::new(Report::new(found)) as _)
        }))
    },
};
