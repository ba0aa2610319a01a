//! Lists of devices and figures: `domblkinfo`, `domblklist`, `domiflist`, `dommemstat`, `domstats`.

use clap::{Arg, ArgAction};
use virt_api::{
    DomainBlockDevice, DomainStatsFlags as Filter, DomainStatsTypes as Types, Error, ErrorCode,
    ErrorDomain, NoFlags,
};

use super::plain::{Plain, Switches, bits, domain_request, request, shown, switch, with_switches};
use crate::command::{Group, positional, value};
use crate::commands::domain::{domain_argument, lookup};
use crate::failure::{Context, usage};
use crate::render::devices::{BlockDevices, BlockSizes, InterfaceDevices, MemoryStats, Statistics};
use crate::session::Session;

/// `domblklist`
pub(crate) static DOMBLKLIST: Plain = Plain {
    name: "domblklist",
    group: Group::Domain,
    summary: "List the disks and drives of a domain",
    details: "",
    usage: "DOMAIN",
    arguments: |command| {
        domain_argument(command)
            .arg(switch("inactive", "As at the next start"))
            .arg(switch("details", "With type and kind"))
    },
    request: |matches| {
        let details = matches.get_flag("details");
        domain_request(matches, async move |hypervisor, domain| {
            let devices = hypervisor.domain_list_block_devices(&domain).await;
            let devices = devices
                .context(|| format!("failed to get the disks of domain '{}'", domain.name))?;
            shown(BlockDevices { devices, details })
        })
    },
};

/// `domiflist`
pub(crate) static DOMIFLIST: Plain = Plain {
    name: "domiflist",
    group: Group::Domain,
    summary: "List the network adapters of a domain",
    details: "",
    usage: "DOMAIN",
    arguments: |command| domain_argument(command).arg(switch("inactive", "As at the next start")),
    request: |matches| {
        domain_request(matches, async move |hypervisor, domain| {
            let devices = hypervisor.domain_list_interface_devices(&domain).await;
            let devices = devices
                .context(|| format!("failed to get the interfaces of domain '{}'", domain.name))?;
            shown(InterfaceDevices(devices))
        })
    },
};

/// `domblkinfo`
pub(crate) static DOMBLKINFO: Plain = Plain {
    name: "domblkinfo",
    group: Group::Domain,
    summary: "Show the size of a domain's disk",
    details: "Allocation and physical size are those of all files behind the disk, snapshots included.",
    usage: "DOMAIN [DEVICE]",
    arguments: |command| {
        positional(domain_argument(command), "device", "Target or source of the disk", false)
            .arg(switch("human", "Sizes with units"))
            .arg(switch("all", "All disks in a table"))
    },
    request: |matches| {
        let device = value(matches, "device").filter(|device| !device.is_empty());
        let (human, all) = (matches.get_flag("human"), matches.get_flag("all"));
        if all == device.is_some() {
            return Err(usage("domblkinfo takes a DEVICE, or --all"));
        }
        domain_request(matches, async move |hypervisor, domain| {
            let what = || format!("failed to get the disks of domain '{}'", domain.name);
            let disks: Vec<(String, String)> = match &device {
                Some(device) => vec![(device.clone(), device.clone())],
                None => {
                    let devices = hypervisor.domain_list_block_devices(&domain).await;
                    // Sources are unique where a target may be of two buses.
                    let by = |device: DomainBlockDevice| {
                        (device.target.clone(), device.source.unwrap_or(device.target))
                    };
                    devices.context(what)?.into_iter().map(by).collect()
                }
            };
            let mut rows = Vec::new();
            for (target, disk) in disks {
                let info = hypervisor.domain_get_block_info(&domain, &disk, NoFlags::empty()).await;
                rows.push((target, info.context(what)?));
            }
            shown(BlockSizes { rows, human, all })
        })
    },
};

/// `dommemstat`
pub(crate) static DOMMEMSTAT: Plain = Plain {
    name: "dommemstat",
    group: Group::Domain,
    summary: "Show figures of a domain's memory",
    details: "In KiB, but for shares. actual and rss are libvirt's; the others are VMware's: active (used lately), ballooned,\n\
        swapped, compressed, shared, private, overhead (beside the guest's own), reservation, limit, shares.",
    usage: "DOMAIN",
    arguments: domain_argument,
    request: |matches| {
        domain_request(matches, async move |hypervisor, domain| {
            let stats = hypervisor.domain_memory_stats(&domain, NoFlags::empty()).await;
            let stats = stats.context(|| {
                format!("failed to get memory statistics for domain '{}'", domain.name)
            })?;
            shown(MemoryStats(stats))
        })
    },
};

/// libvirt's kinds of statistics.
const TYPES: Switches = &[
    ("state", "State", 1 << 0),
    ("cpu-total", "CPU time", 1 << 1),
    ("balloon", "Memory", 1 << 2),
    ("vcpu", "Virtual CPUs", 1 << 3),
    ("interface", "Network adapters", 1 << 4),
    ("block", "Disks", 1 << 5),
    ("perf", "Performance events", 1 << 6),
    ("iothread", "I/O threads", 1 << 7),
    ("memory", "Memory bandwidth", 1 << 8),
    ("dirtyrate", "Rate of dirty pages", 1 << 9),
    ("vm", "The hypervisor's own", 1 << 10),
];

/// Which domains, if none is named.
const LISTED: Switches = &[
    ("list-active", "Only active domains", 1 << 0),
    ("list-inactive", "Only domains that are shut off", 1 << 1),
    ("list-persistent", "Only persistent domains", 1 << 2),
    ("list-transient", "Only transient domains", 1 << 3),
    ("list-running", "Only running domains", 1 << 4),
    ("list-paused", "Only paused domains", 1 << 5),
    ("list-shutoff", "Only domains that are shut off", 1 << 6),
    ("list-other", "Only domains in another state", 1 << 7),
    ("nowait", "Leave out what would take long", 1 << 29),
    ("backing", "With backing chains", 1 << 30),
    ("enforce", "Fail if a kind of statistics is not supported", 1 << 31),
];

/// `domstats`
pub(crate) static DOMSTATS: Plain = Plain {
    name: "domstats",
    group: Group::Domain,
    summary: "Show statistics of domains, of all at once or of some",
    details: "Of all domains in one request and one for each further page. VMware hosts tell state, balloon, vcpu, interface,\n\
        block and vm: names and sizes, and no counters of traffic, of which the API has only rates.",
    usage: "[DOMAIN]...",
    arguments: |command| {
        let command = with_switches(with_switches(command, TYPES), LISTED);
        command
            .arg(switch("raw", "Values as they are, which they always are"))
            .arg(Arg::new("domains").value_name("DOMAIN").action(ArgAction::Append).num_args(0..))
    },
    request: |matches| {
        let types = Types::from_bits_retain(bits(matches, TYPES));
        let filter = Filter::from_bits_retain(bits(matches, LISTED));
        let names: Vec<String> =
            matches.get_many::<String>("domains").into_iter().flatten().cloned().collect();
        let listed = Filter::from_bits_retain(0xff);
        if !names.is_empty() && filter.intersects(listed) {
            return Err(usage("named domains and --list-… are mutually exclusive"));
        }
        Ok(request(async move |session: &Session| {
            let hypervisor = session.hypervisor().await?;
            let mut domains = Vec::new();
            for name in &names {
                domains.push(lookup(hypervisor, name).await?);
            }
            let stats = hypervisor.connect_get_all_domain_stats(&domains, types, filter).await;
            let stats = stats.context(|| "failed to get statistics of domains".to_owned())?;
            if stats.is_empty() && !domains.is_empty() {
                let message = "the domains have gone";
                return Err(Error::new(ErrorCode::NoDomain, ErrorDomain::None, message));
            }
            shown(Statistics(stats))
        }))
    },
};
