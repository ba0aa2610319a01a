//! Commands made of plain parts, so that each is a few lines and not a page.

use async_trait::async_trait;
use clap::{Arg, ArgAction, ArgMatches};
use virt_api::{Domain, Error, Hypervisor};

use crate::command::{Command, Group, Request, required_value};
use crate::commands::domain::lookup;
use crate::render::Render;
use crate::session::Session;

/// What a command gives back.
pub(super) type Outcome = Result<Box<dyn Render>, Error>;

/// A result to be shown.
pub(super) fn shown(result: impl Render + 'static) -> Outcome {
    Ok(Box::new(result))
}

/// A command as a row of facts and two functions.
pub(crate) struct Plain {
    /// As [`Command::name`].
    pub(super) name: &'static str,
    /// As [`Command::group`].
    pub(super) group: Group,
    /// As [`Command::summary`].
    pub(super) summary: &'static str,
    /// As [`Command::details`].
    pub(super) details: &'static str,
    /// As [`Command::usage`].
    pub(super) usage: &'static str,
    /// As [`Command::arguments`].
    pub(super) arguments: fn(clap::Command) -> clap::Command,
    /// As [`Command::request`].
    pub(super) request: fn(&ArgMatches) -> Result<Box<dyn Request>, Error>,
}

impl Command for Plain {
    fn name(&self) -> &'static str {
        self.name
    }
    fn group(&self) -> Group {
        self.group
    }
    fn summary(&self) -> &'static str {
        self.summary
    }
    fn details(&self) -> &'static str {
        self.details
    }
    fn usage(&self) -> &'static str {
        self.usage
    }
    fn arguments(&self, command: clap::Command) -> clap::Command {
        (self.arguments)(command)
    }
    fn request(&self, matches: &ArgMatches) -> Result<Box<dyn Request>, Error> {
        (self.request)(matches)
    }
}

/// A request that is one function of the session.
pub(super) fn request<F>(run: F) -> Box<dyn Request>
where
    F: AsyncFn(&Session) -> Outcome + 'static,
{
    struct Run<F>(F);

    #[async_trait(?Send)]
    impl<F: AsyncFn(&Session) -> Outcome> Request for Run<F> {
        async fn run(&self, session: &Session) -> Outcome {
            (self.0)(session).await
        }
    }
    Box::new(Run(run))
}

/// A request about the domain that the argument `DOMAIN` names.
///
/// # Errors
/// A usage error if the argument is empty.
pub(super) fn domain_request<F>(matches: &ArgMatches, run: F) -> Result<Box<dyn Request>, Error>
where
    F: AsyncFn(&dyn Hypervisor, Domain) -> Outcome + 'static,
{
    let name = required_value(matches, "domain")?;
    Ok(request(async move |session: &Session| {
        let hypervisor = session.hypervisor().await?;
        let domain = lookup(hypervisor, &name).await?;
        run(hypervisor, domain).await
    }))
}

/// Options that are there or not, each with its help and the flag bits it stands for.
pub(super) type Switches = &'static [(&'static str, &'static str, u32)];

/// Adds switches. `keep-X` and `X` exclude each other.
pub(super) fn with_switches(command: clap::Command, switches: Switches) -> clap::Command {
    command.args(switches.iter().map(|&(name, help, _)| {
        let argument = switch(name, help);
        match name.strip_prefix("keep-") {
            Some(other) if switches.iter().any(|(name, ..)| *name == other) => {
                argument.conflicts_with(other)
            }
            _ => argument,
        }
    }))
}

/// One switch.
pub(super) fn switch(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
}

/// An option with a value.
pub(super) fn option(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).allow_negative_numbers(true).help(help)
}

/// The bits of the switches that were given.
pub(super) fn bits(matches: &ArgMatches, switches: Switches) -> u32 {
    let given = switches.iter().filter(|(name, ..)| matches.get_flag(name));
    given.fold(0, |bits, (.., bit)| bits | bit)
}

/// Adds `--config`, `--live` and `--current`: what a change affects.
pub(super) fn with_impact(command: clap::Command) -> clap::Command {
    command
        .arg(switch("config", "Affect the next start"))
        .arg(switch("live", "Affect the running domain"))
        .arg(
            switch("current", "Affect the domain as it is now")
                .conflicts_with_all(["live", "config"]),
        )
}

/// What of [`with_impact`] was given, as libvirt's numbers, which are the same for every function; `None` if nothing
/// was said.
pub(super) fn impact(matches: &ArgMatches) -> Option<u32> {
    let (live, config) = (matches.get_flag("live"), matches.get_flag("config"));
    (live || config || matches.get_flag("current"))
        .then_some(u32::from(live) | u32::from(config) << 1)
}
