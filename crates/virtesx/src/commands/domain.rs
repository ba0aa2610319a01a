//! Questions about one domain: `domid`, `dominfo`, `domname`, `domstate`, `domuuid`.

use async_trait::async_trait;
use clap::{Arg, ArgAction, ArgMatches};
use virt_api::{Domain, DomainSelector, Error, ErrorCode, Hypervisor};

use crate::command::{Command, Group, Request, positional, required_value};
use crate::failure::Context;
use crate::render::{Render, Text, domain as view};
use crate::session::Session;

/// Adds the argument `DOMAIN`.
pub(crate) fn domain_argument(command: clap::Command) -> clap::Command {
    positional(command, "domain", "ID, UUID or name of the domain", true)
}

/// What a `DOMAIN` argument may mean, in the order in which virsh tries: ID, UUID, name.
pub(crate) fn selectors(text: &str) -> Vec<DomainSelector> {
    let mut selectors = Vec::new();
    if text.bytes().all(|byte| byte.is_ascii_digit())
        && let Ok(id) = text.parse()
    {
        selectors.push(DomainSelector::Id(id));
    }
    if matches!(text.len(), 32 | 36)
        && let Ok(uuid) = text.parse()
    {
        selectors.push(DomainSelector::Uuid(uuid));
    }
    selectors.push(DomainSelector::Name(text.to_owned()));
    selectors
}

/// Asks `question` for each meaning of `text` until one names a domain.
///
/// # Errors
/// The first error other than "no such domain"; if there is none, the one about the name.
pub(crate) async fn resolve<T>(
    text: &str,
    question: impl AsyncFn(&DomainSelector) -> Result<T, Error>,
) -> Result<T, Error> {
    let mut missing = None;
    for selector in selectors(text) {
        match question(&selector).await {
            Ok(answer) => return Ok(answer),
            Err(error) if error.code == ErrorCode::NoDomain => missing = Some(error),
            Err(error) => return Err(error),
        }
    }
    Err(missing.unwrap_or_else(|| Error::no_domain("no domain was named")))
        .context(|| format!("failed to get domain '{text}'"))
}

/// The domain that `text` names.
///
/// # Errors
/// As [`resolve`].
pub(crate) async fn lookup(hypervisor: &dyn Hypervisor, text: &str) -> Result<Domain, Error> {
    resolve(text, async |selector| hypervisor.domain_lookup(selector).await).await
}

/// Declares a command that takes one domain and nothing else.
macro_rules! domain_command {
    ($type:ident, $name:literal, $summary:literal, $details:literal, $run:expr) => {
        #[doc = concat!("`", $name, "`: ", $summary)]
        pub(crate) struct $type;

        impl Command for $type {
            fn name(&self) -> &'static str {
                $name
            }
            fn group(&self) -> Group {
                Group::Domain
            }
            fn summary(&self) -> &'static str {
                $summary
            }
            fn details(&self) -> &'static str {
                $details
            }
            fn usage(&self) -> &'static str {
                "DOMAIN"
            }
            fn arguments(&self, command: clap::Command) -> clap::Command {
                domain_argument(command)
            }
            fn request(&self, matches: &ArgMatches) -> Result<Box<dyn Request>, Error> {
                struct Ask(String);

                #[async_trait(?Send)]
                impl Request for Ask {
                    async fn run(&self, session: &Session) -> Result<Box<dyn Render>, Error> {
                        let run: fn(Domain) -> Box<dyn Render> = $run;
                        Ok(run(lookup(session.hypervisor().await?, &self.0).await?))
                    }
                }
                Ok(Box::new(Ask(required_value(matches, "domain")?)))
            }
        }
    };
}

domain_command!(
    DomId,
    "domid",
    "Convert a domain name or UUID to its ID",
    "A domain that is shut off has no ID: '-', or null in JSON.",
    |domain| {
        let text = domain.id.map_or_else(|| "-".to_owned(), |id| id.to_string());
        Box::new(Text::line("id", text).with_value(domain.id.into()))
    }
);
domain_command!(DomName, "domname", "Convert a domain ID or UUID to its name", "", |domain| {
    Box::new(Text::line("name", domain.name))
});
domain_command!(DomUuid, "domuuid", "Convert a domain name or ID to its UUID", "", |domain| {
    Box::new(Text::line("uuid", domain.uuid.to_string()))
});

/// `dominfo`: what a domain is and has.
pub(crate) struct DomInfo;

impl Command for DomInfo {
    fn name(&self) -> &'static str {
        "dominfo"
    }
    fn group(&self) -> Group {
        Group::Domain
    }
    fn summary(&self) -> &'static str {
        "Show state, CPUs and memory of a domain"
    }
    fn usage(&self) -> &'static str {
        "DOMAIN"
    }
    fn arguments(&self, command: clap::Command) -> clap::Command {
        domain_argument(command)
    }
    fn request(&self, matches: &ArgMatches) -> Result<Box<dyn Request>, Error> {
        struct Ask(String);

        #[async_trait(?Send)]
        impl Request for Ask {
            async fn run(&self, session: &Session) -> Result<Box<dyn Render>, Error> {
                let hypervisor = session.hypervisor().await?;
                let details = resolve(&self.0, async |selector| {
                    hypervisor.domain_get_details(selector).await
                })
                .await?;
                Ok(Box::new(view::Details(details)))
            }
        }
        Ok(Box::new(Ask(required_value(matches, "domain")?)))
    }
}

/// `domstate`: whether a domain runs.
pub(crate) struct DomState;

impl Command for DomState {
    fn name(&self) -> &'static str {
        "domstate"
    }
    fn group(&self) -> Group {
        Group::Domain
    }
    fn summary(&self) -> &'static str {
        "Show the state of a domain"
    }
    fn usage(&self) -> &'static str {
        "DOMAIN"
    }
    fn arguments(&self, command: clap::Command) -> clap::Command {
        domain_argument(command).arg(
            Arg::new("reason")
                .long("reason")
                .action(ArgAction::SetTrue)
                .help("Also show the reason for the state"),
        )
    }
    fn request(&self, matches: &ArgMatches) -> Result<Box<dyn Request>, Error> {
        struct Ask {
            domain: String,
            reason: bool,
        }

        #[async_trait(?Send)]
        impl Request for Ask {
            async fn run(&self, session: &Session) -> Result<Box<dyn Render>, Error> {
                let hypervisor = session.hypervisor().await?;
                let (state, reason) = resolve(&self.domain, async |selector| {
                    hypervisor.domain_lookup_state(selector).await
                })
                .await?;
                Ok(Box::new(view::State { state, reason: self.reason.then_some(reason) }))
            }
        }
        Ok(Box::new(Ask {
            domain: required_value(matches, "domain")?,
            reason: matches.get_flag("reason"),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::selectors;

    #[test]
    fn a_domain_is_tried_as_id_then_uuid_then_name() {
        let table: String = [
            "7",
            "007",
            "-7",
            "99999999999",
            "web01",
            "6695eb01-f6a4-8304-79aa-97f2502e193f",
            "6695EB01F6A4830479AA97F2502E193F",
            "{6695eb01-f6a4-8304-79aa-97f2502e193f}",
            "12345678901234567890123456789012",
            "4",
        ]
        .iter()
        .map(|text| format!("{text}: {:?}\n", selectors(text)))
        .collect();
        insta::assert_snapshot!(table);
    }
}
