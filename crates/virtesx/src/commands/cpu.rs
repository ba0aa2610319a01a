//! Virtual CPUs of a domain: `setvcpus`, `vcpucount`, `schedinfo`.

use clap::{Arg, ArgAction, ArgMatches};
use virt_api::{
    DomainModificationFlags as Modification, DomainVcpuFlags as Vcpu, Error, TypedParam, TypedValue,
};

use super::plain::{
    Plain, Switches, bits, domain_request, impact, shown, switch, with_impact, with_switches,
};
use crate::command::{Group, positional, required_value};
use crate::commands::domain::domain_argument;
use crate::failure::{Context, usage};
use crate::render::resources::{Parameters, VcpuCounts};
use crate::render::{Done, Text};

const SET_SWITCHES: Switches = &[
    ("guest", "Tell the guest to use so many", Vcpu::VCPU_GUEST.bits()),
    ("hotpluggable", "Make added CPUs removable", Vcpu::VCPU_HOTPLUGGABLE.bits()),
];

/// `setvcpus`
pub(crate) static SETVCPUS: Plain = Plain {
    name: "setvcpus",
    group: Group::Domain,
    summary: "Set the number of virtual CPUs of a domain",
    details: "",
    usage: "DOMAIN COUNT",
    arguments: |command| {
        let command = positional(domain_argument(command), "count", "Number of CPUs", true);
        let maximum = switch("maximum", "Set the most it may have at the next start");
        let command = with_impact(command.arg(maximum.requires("config")));
        with_switches(command, SET_SWITCHES)
            .mut_arg("guest", |guest| guest.conflicts_with_all(["config", "maximum"]))
    },
    request: |matches| {
        let text = required_value(matches, "count")?;
        let count: u32 = text
            .parse()
            .map_err(|_| usage(format!("numeric value '{text}' for <COUNT> is malformed")))?;
        if count == 0 {
            return Err(usage("a domain cannot have 0 CPUs"));
        }
        let mut flags = Vcpu::from_bits_retain(
            impact(matches).unwrap_or_default() | bits(matches, SET_SWITCHES),
        );
        flags.set(Vcpu::VCPU_MAXIMUM, matches.get_flag("maximum"));
        let plain = impact(matches).is_none() && flags.is_empty();
        domain_request(matches, async move |hypervisor, domain| {
            let result = if plain {
                hypervisor.domain_set_vcpus(&domain, count).await
            } else {
                hypervisor.domain_set_vcpus_flags(&domain, count, flags).await
            };
            result.context(|| {
                format!("failed to set the number of CPUs of domain '{}'", domain.name)
            })?;
            let done = Done::to_domain("setvcpus", &domain);
            shown(done.with("vcpus", u64::from(count)))
        })
    },
};

/// `vcpucount`
pub(crate) static VCPUCOUNT: Plain = Plain {
    name: "vcpucount",
    group: Group::Domain,
    summary: "Show how many virtual CPUs a domain has and may have",
    details: "Without options it shows all numbers, with any of them one.",
    usage: "DOMAIN",
    arguments: |command| {
        let command = domain_argument(command)
            .arg(switch("maximum", "The most it may have"))
            .arg(switch("active", "Those it has").conflicts_with("maximum"))
            .arg(switch("live", "Of the running domain"))
            .arg(switch("config", "At the next start").conflicts_with("live"));
        command
            .arg(switch("current", "As it is now").conflicts_with_all(["live", "config"]))
            .arg(switch("guest", "As the guest sees it").conflicts_with_all(["maximum", "config"]))
    },
    request: |matches| {
        let maximum = matches.get_flag("maximum");
        let guest = matches.get_flag("guest");
        let impact = impact(matches);
        let one = maximum || guest || impact.is_some() || matches.get_flag("active");
        let mut flags = Vcpu::from_bits_retain(impact.unwrap_or_default());
        flags.set(Vcpu::VCPU_MAXIMUM, maximum);
        flags.set(Vcpu::VCPU_GUEST, guest);
        domain_request(matches, async move |hypervisor, domain| {
            let get = async |flags: Vcpu| {
                let result = hypervisor.domain_get_vcpus_flags(&domain, flags).await;
                result.context(|| {
                    format!("failed to get the number of CPUs of domain '{}'", domain.name)
                })
            };
            if one {
                let count = get(flags).await?;
                return shown(Text::line("vcpus", count.to_string()).with_value(count.into()));
            }
            let live = Vcpu::AFFECT_LIVE;
            let config = Vcpu::AFFECT_CONFIG;
            let mut counts = VcpuCounts {
                maximum_config: get(config | Vcpu::VCPU_MAXIMUM).await?,
                maximum_live: None,
                current_config: get(config).await?,
                current_live: None,
            };
            if domain.id.is_some() {
                counts.maximum_live = Some(get(live | Vcpu::VCPU_MAXIMUM).await?);
                counts.current_live = Some(get(live).await?);
            }
            shown(counts)
        })
    },
};

/// `schedinfo`
pub(crate) static SCHEDINFO: Plain = Plain {
    name: "schedinfo",
    group: Group::Domain,
    summary: "Show or set scheduler parameters of a domain",
    details: "VMware hosts know reservation (MHz), limit (MHz, -1 for none) and shares (a number, or low, normal\n\
              or high, which are shown as -1, -2 and -3).",
    usage: "DOMAIN [NAME=VALUE ...]",
    arguments: |command| {
        let set = Arg::new("set")
            .long("set")
            .value_name("NAME=VALUE")
            .action(ArgAction::Append)
            .help("Set a parameter");
        let sets = Arg::new("sets").value_name("NAME=VALUE").num_args(0..).help("The same");
        with_impact(domain_argument(command).arg(sets).arg(set))
    },
    request: |matches| {
        let settings = settings(matches)?;
        let flags = Modification::from_bits_retain(impact(matches).unwrap_or_default());
        domain_request(matches, async move |hypervisor, domain| {
            let failed = |verb: &str| {
                format!("failed to {verb} the scheduler parameters of domain '{}'", domain.name)
            };
            let kind = hypervisor.domain_get_scheduler_type(&domain).await;
            let scheduler = kind.context(|| failed("get"))?.name;
            let get = async || {
                let result = hypervisor.domain_get_scheduler_parameters_flags(&domain, flags).await;
                result.context(|| failed("get"))
            };
            let mut params = get().await?;
            if !settings.is_empty() {
                let changes = changes(&params, &settings)?;
                let result = hypervisor
                    .domain_set_scheduler_parameters_flags(&domain, &changes, flags)
                    .await;
                result.context(|| failed("change"))?;
                params = get().await?;
            }
            shown(Parameters { scheduler: Some(scheduler), params })
        })
    },
};

/// The pairs of name and value that were given.
fn settings(matches: &ArgMatches) -> Result<Vec<(String, String)>, Error> {
    let given = |name| matches.get_many::<String>(name).unwrap_or_default();
    given("set")
        .chain(given("sets"))
        .map(|text| {
            let (name, value) = text
                .split_once('=')
                .ok_or_else(|| usage(format!("'{text}' is not of the form NAME=VALUE")))?;
            Ok((name.to_owned(), value.to_owned()))
        })
        .collect()
}

/// The settings as parameters of the types that the present ones have.
fn changes(params: &[TypedParam], settings: &[(String, String)]) -> Result<Vec<TypedParam>, Error> {
    let typed = |(name, text): &(String, String)| {
        let param = params.iter().find(|param| param.name == *name).ok_or_else(|| {
            let names: Vec<&str> = params.iter().map(|param| param.name.as_str()).collect();
            usage(format!("invalid scheduler option: {name}; possible are {}", names.join(", ")))
        })?;
        let value = typed_value(name, text, &param.value).ok_or_else(|| {
            let wanted = param.value.type_name();
            usage(format!("invalid value '{text}' for scheduler option {name}: expected {wanted}"))
        })?;
        Ok(TypedParam { name: name.clone(), value })
    };
    settings.iter().map(typed).collect()
}

/// The text as a value of the same type as `like`.
fn typed_value(name: &str, text: &str, like: &TypedValue) -> Option<TypedValue> {
    let text = match (name, text) {
        ("shares", "low") => "-1",
        ("shares", "normal") => "-2",
        ("shares", "high") => "-3",
        _ => text,
    };
    Some(match like {
        TypedValue::Int(_) => TypedValue::Int(text.parse().ok()?),
        TypedValue::UInt(_) => TypedValue::UInt(text.parse().ok()?),
        TypedValue::LLong(_) => TypedValue::LLong(text.parse().ok()?),
        TypedValue::ULLong(_) => TypedValue::ULLong(text.parse().ok()?),
        TypedValue::Double(_) => TypedValue::Double(text.parse().ok()?),
        TypedValue::Boolean(_) => TypedValue::Boolean(match text {
            "0" => false,
            "1" => true,
            _ => return None,
        }),
        TypedValue::String(_) => TypedValue::String(text.to_owned()),
    })
}
