//! Commands that do one thing to one domain and say so in one line: life cycle, `autostart`, `undefine`.

use std::pin::Pin;

use clap::ArgMatches;
use virt_api::{
    Domain, DomainCreateFlags as Create, DomainDestroyFlags as Destroy,
    DomainRebootFlags as Reboot, DomainShutdownFlags as Shutdown, DomainUndefineFlags as Undefine,
    Error, Hypervisor, NoFlags,
};

use super::plain::{Switches, bits, domain_request, option, shown, switch, with_switches};
use crate::command::{Command, Group, Request};
use crate::commands::domain::domain_argument;
use crate::failure::{Context, usage};
use crate::render::Done;

/// What an action does; the last argument holds the flag bits of its options.
type Run = for<'a> fn(&'a dyn Hypervisor, &'a Domain, u32) -> Pending<'a>;

/// An action under way.
type Pending<'a> = Pin<Box<dyn Future<Output = Result<(), Error>> + 'a>>;

/// One action.
pub(crate) struct Action {
    name: &'static str,
    summary: &'static str,
    details: &'static str,
    switches: Switches,
    /// Whether there is an option `--mode`.
    modes: bool,
    /// What follows `Domain 'NAME'` when it is done.
    done: &'static str,
    run: Run,
}

/// What the others are made from.
const ACTION: Action = Action {
    name: "",
    summary: "",
    details: "",
    switches: &[],
    modes: false,
    done: "",
    run: |_, _, _| Box::pin(async { Ok(()) }),
};

/// `start`
pub(crate) static START: Action = Action {
    name: "start",
    summary: "Start a domain that is shut off",
    switches: &[
        ("paused", "Leave it paused", Create::PAUSED.bits()),
        ("autodestroy", "Stop it when the connection ends", Create::AUTODESTROY.bits()),
        ("bypass-cache", "Avoid the file system cache", Create::BYPASS_CACHE.bits()),
        ("force-boot", "Discard a managed save image", Create::FORCE_BOOT.bits()),
        ("reset-nvram", "Start with fresh NVRAM", Create::RESET_NVRAM.bits()),
    ],
    done: "started",
    run: |hypervisor, domain, flags| {
        Box::pin(async move {
            let flags = Create::from_bits_retain(flags);
            hypervisor.domain_create_with_flags(domain, flags).await.map(|_| ())
        })
    },
    ..ACTION
};

/// `destroy`
pub(crate) static DESTROY: Action = Action {
    name: "destroy",
    summary: "Stop a domain at once, as if its power were cut",
    switches: &[
        ("graceful", "Only if it can be done gracefully", Destroy::GRACEFUL.bits()),
        ("remove-logs", "Also remove its logs", Destroy::REMOVE_LOGS.bits()),
    ],
    done: "destroyed",
    run: |hypervisor, domain, flags| {
        Box::pin(hypervisor.domain_destroy_flags(domain, Destroy::from_bits_retain(flags)))
    },
    ..ACTION
};

/// `shutdown`
pub(crate) static SHUTDOWN: Action = Action {
    name: "shutdown",
    summary: "Ask the guest of a domain to shut down",
    details: "The guest does so in its own time; it takes VMware Tools.",
    modes: true,
    done: "is being shutdown",
    run: |hypervisor, domain, flags| {
        Box::pin(hypervisor.domain_shutdown_flags(domain, Shutdown::from_bits_retain(flags)))
    },
    ..ACTION
};

/// `reboot`
pub(crate) static REBOOT: Action = Action {
    name: "reboot",
    summary: "Ask the guest of a domain to reboot",
    details: "The guest does so in its own time; it takes VMware Tools.",
    modes: true,
    done: "is being rebooted",
    run: |hypervisor, domain, flags| {
        Box::pin(hypervisor.domain_reboot(domain, Reboot::from_bits_retain(flags)))
    },
    ..ACTION
};

/// `reset`
pub(crate) static RESET: Action = Action {
    name: "reset",
    summary: "Reset a domain, as if by its reset button",
    done: "was reset",
    run: |hypervisor, domain, _| Box::pin(hypervisor.domain_reset(domain, NoFlags::empty())),
    ..ACTION
};

/// `suspend`
pub(crate) static SUSPEND: Action = Action {
    name: "suspend",
    summary: "Pause a running domain",
    done: "suspended",
    run: |hypervisor, domain, _| Box::pin(hypervisor.domain_suspend(domain)),
    ..ACTION
};

/// `resume`
pub(crate) static RESUME: Action = Action {
    name: "resume",
    summary: "Let a paused domain run again",
    done: "resumed",
    run: |hypervisor, domain, _| Box::pin(hypervisor.domain_resume(domain)),
    ..ACTION
};

/// `undefine`
pub(crate) static UNDEFINE: Action = Action {
    name: "undefine",
    summary: "Remove a domain from the host's inventory",
    details: "Its files stay on the datastore.",
    switches: &[
        ("managed-save", "Also remove a managed save image", Undefine::MANAGED_SAVE.bits()),
        ("snapshots-metadata", "Also forget snapshots", Undefine::SNAPSHOTS_METADATA.bits()),
        ("checkpoints-metadata", "Also forget checkpoints", Undefine::CHECKPOINTS_METADATA.bits()),
        ("nvram", "Also remove the NVRAM file", Undefine::NVRAM.bits()),
        ("keep-nvram", "Keep the NVRAM file", Undefine::KEEP_NVRAM.bits()),
        ("tpm", "Also remove the state of the TPM", Undefine::TPM.bits()),
        ("keep-tpm", "Keep the state of the TPM", Undefine::KEEP_TPM.bits()),
    ],
    done: "has been undefined",
    run: |hypervisor, domain, flags| {
        Box::pin(hypervisor.domain_undefine_flags(domain, Undefine::from_bits_retain(flags)))
    },
    ..ACTION
};

/// The words of `--mode`; shutdown and reboot number them alike.
const MODES: [(&str, u32); 5] = [
    ("acpi", Shutdown::ACPI_POWER_BTN.bits()),
    ("agent", Shutdown::GUEST_AGENT.bits()),
    ("initctl", Shutdown::INITCTL.bits()),
    ("signal", Shutdown::SIGNAL.bits()),
    ("paravirt", Shutdown::PARAVIRT.bits()),
];

fn modes(words: &str) -> Result<u32, Error> {
    words.split(',').try_fold(0, |bits, word| {
        let mode = MODES.iter().find(|(name, _)| *name == word);
        mode.map(|(_, bit)| bits | bit).ok_or_else(|| {
            let names = MODES.map(|(name, _)| name).join(", ");
            usage(format!("unknown mode '{word}'; possible are {names}"))
        })
    })
}

impl Command for Action {
    fn name(&self) -> &'static str {
        self.name
    }
    fn group(&self) -> Group {
        Group::Domain
    }
    fn summary(&self) -> &'static str {
        self.summary
    }
    fn details(&self) -> &'static str {
        self.details
    }
    fn usage(&self) -> &'static str {
        "DOMAIN"
    }
    fn arguments(&self, command: clap::Command) -> clap::Command {
        let command = with_switches(domain_argument(command), self.switches);
        if !self.modes {
            return command;
        }
        let help = "How to ask: acpi, agent, initctl, signal, paravirt, or several with commas";
        command.arg(option("mode", "MODE", help))
    }
    fn request(&self, matches: &ArgMatches) -> Result<Box<dyn Request>, Error> {
        let mut flags = bits(matches, self.switches);
        if self.modes
            && let Some(words) = matches.get_one::<String>("mode")
        {
            flags |= modes(words)?;
        }
        let Self { name, done, run, .. } = *self;
        domain_request(matches, async move |hypervisor, domain| {
            let result = run(hypervisor, &domain, flags).await;
            result.context(|| format!("failed to {name} domain '{}'", domain.name))?;
            let sentence = format!("Domain '{}' {done}", domain.name);
            shown(Done::to_domain(name, &domain).saying(&sentence))
        })
    }
}

/// `autostart`
pub(crate) static AUTOSTART: super::plain::Plain = super::plain::Plain {
    name: "autostart",
    group: Group::Domain,
    summary: "Have a domain started by the host itself, or not",
    details: "",
    usage: "DOMAIN",
    arguments: |command| {
        domain_argument(command).arg(switch("disable", "Have it not started any more"))
    },
    request: |matches| {
        let on = !matches.get_flag("disable");
        let (verb, done) = if on { ("mark", "marked") } else { ("unmark", "unmarked") };
        domain_request(matches, async move |hypervisor, domain| {
            let result = hypervisor.domain_set_autostart(&domain, on).await;
            result
                .context(|| format!("failed to {verb} domain '{}' as autostarted", domain.name))?;
            let sentence = format!("Domain '{}' {done} as autostarted", domain.name);
            let done = Done::to_domain("autostart", &domain).with("autostart", on);
            shown(done.saying(&sentence))
        })
    },
};

#[cfg(test)]
mod tests {
    use super::{MODES, Reboot, modes};

    #[test]
    fn modes_are_words_with_commas() {
        assert_eq!(modes("agent").unwrap(), 2);
        assert_eq!(modes("acpi,paravirt").unwrap(), 17);
        for bad in ["", "acpi,", "ACPI", "acpi, agent"] {
            assert!(modes(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn shutdown_and_reboot_number_their_modes_alike() {
        let reboot = [
            Reboot::ACPI_POWER_BTN,
            Reboot::GUEST_AGENT,
            Reboot::INITCTL,
            Reboot::SIGNAL,
            Reboot::PARAVIRT,
        ];
        assert_eq!(MODES.map(|(_, bit)| bit), reboot.map(|flag| flag.bits()));
    }
}
