//! `list`: the domains of the host, from one question.

use async_trait::async_trait;
use clap::{Arg, ArgAction, ArgMatches};
use virt_api::{Error, ListAllDomainsFlags as Filter};

use crate::command::{Command, Group, Request};
use crate::failure::Context;
use crate::render::Render;
use crate::render::list::{Columns, DomainList};
use crate::session::Session;

/// `list`: which domains there are.
pub(crate) struct List;

/// The filters and what they stand for.
const FILTERS: [(&str, &str, Filter); 14] = [
    ("transient", "Only transient domains", Filter::TRANSIENT),
    ("persistent", "Only persistent domains", Filter::PERSISTENT),
    ("with-snapshot", "Only domains with snapshots", Filter::HAS_SNAPSHOT),
    ("without-snapshot", "Only domains without snapshots", Filter::NO_SNAPSHOT),
    ("with-checkpoint", "Only domains with checkpoints", Filter::HAS_CHECKPOINT),
    ("without-checkpoint", "Only domains without checkpoints", Filter::NO_CHECKPOINT),
    ("state-running", "Only running domains", Filter::RUNNING),
    ("state-paused", "Only paused (suspended) domains", Filter::PAUSED),
    ("state-shutoff", "Only domains that are shut off", Filter::SHUTOFF),
    ("state-other", "Only domains in any other state", Filter::OTHER),
    ("autostart", "Only domains the host starts by itself", Filter::AUTOSTART),
    ("no-autostart", "Only domains the host does not start by itself", Filter::NO_AUTOSTART),
    ("with-managed-save", "Only domains with a managed save image", Filter::MANAGEDSAVE),
    ("without-managed-save", "Only domains without a managed save image", Filter::NO_MANAGEDSAVE),
];

/// What is shown of each domain.
const SHOWN: [(&str, &str); 6] = [
    ("uuid", "Show UUIDs only"),
    ("name", "Show names only, one per line"),
    ("id", "Show IDs only"),
    ("table", "Show a table (the default)"),
    ("managed-save", "Mark domains with a managed save image"),
    ("title", "Show titles"),
];

impl Command for List {
    fn name(&self) -> &'static str {
        "list"
    }
    fn group(&self) -> Group {
        Group::Domain
    }
    fn summary(&self) -> &'static str {
        "List domains"
    }
    fn details(&self) -> &'static str {
        "Without --all or --inactive, only active (running or paused) domains are listed; --state-shutoff means\n\
         the inactive ones. --uuid, --id and --name may be combined."
    }
    fn arguments(&self, command: clap::Command) -> clap::Command {
        let flag = |name, help| Arg::new(name).long(name).action(ArgAction::SetTrue).help(help);
        command
            .arg(flag("inactive", "List the inactive domains"))
            .arg(flag("all", "List active and inactive domains"))
            .args(FILTERS.map(|(name, help, _)| flag(name, help)))
            .args(SHOWN.map(|(name, help)| match name {
                "table" => flag(name, help).conflicts_with_all(["uuid", "name", "id"]),
                _ => flag(name, help),
            }))
    }
    fn request(&self, matches: &ArgMatches) -> Result<Box<dyn Request>, Error> {
        let on = |name: &str| matches.get_flag(name);
        let mut filter = if on("all") {
            Filter::ACTIVE | Filter::INACTIVE
        } else if on("inactive") || on("state-shutoff") {
            Filter::INACTIVE
        } else {
            Filter::ACTIVE
        };
        for (name, _, flag) in FILTERS {
            filter.set(flag, on(name));
        }
        let columns = Columns {
            uuid: on("uuid"),
            id: on("id"),
            name: on("name"),
            title: on("title"),
            managed_save: on("managed-save"),
        };
        Ok(Box::new(Ask { filter, columns }))
    }
}

struct Ask {
    filter: Filter,
    columns: Columns,
}

#[async_trait(?Send)]
impl Request for Ask {
    async fn run(&self, session: &Session) -> Result<Box<dyn Render>, Error> {
        let hypervisor = session.hypervisor().await?;
        let domains = hypervisor
            .connect_list_all_domains(self.filter)
            .await
            .context(|| "failed to list domains".to_owned())?;
        Ok(Box::new(DomainList::new(domains, self.columns)))
    }
}

#[cfg(test)]
mod tests {
    use super::FILTERS;

    #[test]
    fn every_filter_is_one_bit() {
        for (name, _, flag) in FILTERS {
            assert_eq!(flag.bits().count_ones(), 1, "{name}");
        }
    }
}
