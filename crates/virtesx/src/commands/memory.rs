//! Memory of a domain: `setmem`, `setmaxmem`, `memtune`.

use clap::ArgMatches;
use virt_api::{
    DomainMemoryFlags as Memory, DomainModificationFlags as Modification, Error, TypedParam,
};

use super::plain::{Plain, domain_request, impact, option, shown, with_impact};
use crate::command::{Group, positional, required_value};
use crate::commands::domain::domain_argument;
use crate::failure::Context;
use crate::render::Done;
use crate::render::resources::Parameters;
use crate::size::parse_kib;

const SIZES: &str = "A SIZE is a number of KiB, or has a unit: b, k, M, G, T (powers of 1024), KB, MB, GB (of 1000).";

fn with_size(command: clap::Command) -> clap::Command {
    let command = positional(domain_argument(command), "size", "New size", true);
    with_impact(command)
}

fn size(matches: &ArgMatches) -> Result<u64, Error> {
    parse_kib(&required_value(matches, "size")?, "SIZE")
}

/// `setmem`
pub(crate) static SETMEM: Plain = Plain {
    name: "setmem",
    group: Group::Domain,
    summary: "Set the memory that a domain has now",
    details: SIZES,
    usage: "DOMAIN SIZE",
    arguments: with_size,
    request: |matches| {
        let (memory_kib, impact) = (size(matches)?, impact(matches));
        domain_request(matches, async move |hypervisor, domain| {
            let result = match impact.map(Memory::from_bits_retain) {
                None => hypervisor.domain_set_memory(&domain, memory_kib).await,
                Some(flags) => hypervisor.domain_set_memory_flags(&domain, memory_kib, flags).await,
            };
            result.context(|| format!("failed to set the memory of domain '{}'", domain.name))?;
            shown(Done::to_domain("setmem", &domain).with("memory_kib", memory_kib))
        })
    },
};

/// `setmaxmem`
pub(crate) static SETMAXMEM: Plain = Plain {
    name: "setmaxmem",
    group: Group::Domain,
    summary: "Set the most memory that a domain may have",
    details: SIZES,
    usage: "DOMAIN SIZE",
    arguments: with_size,
    request: |matches| {
        let (memory_kib, impact) = (size(matches)?, impact(matches));
        domain_request(matches, async move |hypervisor, domain| {
            let result = match impact.map(Memory::from_bits_retain) {
                None => hypervisor.domain_set_max_memory(&domain, memory_kib).await,
                Some(flags) => {
                    let flags = flags | Memory::MEM_MAXIMUM;
                    hypervisor.domain_set_memory_flags(&domain, memory_kib, flags).await
                }
            };
            result.context(|| {
                format!("failed to set the maximum memory of domain '{}'", domain.name)
            })?;
            let done = Done::to_domain("setmaxmem", &domain);
            shown(done.with("max_memory_kib", memory_kib))
        })
    },
};

/// The limits: option, libvirt's name, help.
const LIMITS: [(&str, &str, &str); 4] = [
    ("hard-limit", "hard_limit", "Most memory"),
    ("soft-limit", "soft_limit", "Most memory when it is scarce"),
    ("swap-hard-limit", "swap_hard_limit", "Most memory and swap together"),
    ("min-guarantee", "min_guarantee", "Memory that is guaranteed (VMware's reservation)"),
];

/// libvirt's number of KiB for "no limit" (`VIR_DOMAIN_MEMORY_PARAM_UNLIMITED`).
pub(crate) const UNLIMITED_KIB: u64 = 9_007_199_254_740_991;

/// `memtune`
pub(crate) static MEMTUNE: Plain = Plain {
    name: "memtune",
    group: Group::Domain,
    summary: "Show or set limits of a domain's memory",
    details: "Without a limit it shows them. VMware hosts know --min-guarantee only.\n\
              A SIZE is a number of KiB, or has a unit: b, k, M, G, T (powers of 1024), KB, MB, GB (of 1000);\n\
              -1 is unlimited.",
    usage: "DOMAIN",
    arguments: |command| {
        let command =
            domain_argument(command).args(LIMITS.map(|(name, _, help)| option(name, "SIZE", help)));
        with_impact(command)
    },
    request: |matches| {
        let mut params = Vec::new();
        for (option, name, _) in LIMITS {
            if let Some(text) = matches.get_one::<String>(option) {
                params.push(TypedParam::new(name, limit(text, option)?));
            }
        }
        let flags = Modification::from_bits_retain(impact(matches).unwrap_or_default());
        domain_request(matches, async move |hypervisor, domain| {
            if params.is_empty() {
                let result = hypervisor.domain_get_memory_parameters(&domain, flags).await;
                let params = result.context(|| {
                    format!("failed to get the memory parameters of domain '{}'", domain.name)
                })?;
                return shown(Parameters { scheduler: None, params });
            }
            let result = hypervisor.domain_set_memory_parameters(&domain, &params, flags).await;
            result.context(|| {
                format!("failed to change the memory parameters of domain '{}'", domain.name)
            })?;
            shown(Done::to_domain("memtune", &domain))
        })
    },
};

/// As [`parse_kib`]; a negative number is no limit.
fn limit(text: &str, option: &str) -> Result<u64, Error> {
    match text.parse::<i64>() {
        Ok(number) if number < 0 => Ok(UNLIMITED_KIB),
        _ => parse_kib(text, option),
    }
}
