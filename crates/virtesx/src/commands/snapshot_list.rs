//! `snapshot-list`: the snapshots of a domain, as a table, as names or as a tree.

use jiff::tz::TimeZone;
use virt_api::{
    Domain, Error, ErrorCode, Hypervisor, Snapshot, SnapshotListFlags as Filter, SnapshotXmlFlags,
};

use super::plain::{
    Outcome, Plain, Switches, bits, domain_request, option, shown, switch, with_switches,
};
use super::snapshot::Which;
use crate::command::Group;
use crate::commands::domain::domain_argument;
use crate::failure::{Context, usage};
use crate::render::snapshot::{Facts, List, Row, Shape};

const FILTERS: Switches = &[
    ("roots", "Only those without a parent", Filter::ROOTS.bits()),
    ("leaves", "Only those that none follows", Filter::LEAVES.bits()),
    ("no-leaves", "Only those that some follow", Filter::NO_LEAVES.bits()),
    ("metadata", "Only those the client's side must remember", Filter::METADATA.bits()),
    ("no-metadata", "Only those it need not remember", Filter::NO_METADATA.bits()),
    ("inactive", "Only those of the domain shut off", Filter::INACTIVE.bits()),
    ("active", "Only those of the running domain", Filter::ACTIVE.bits()),
    ("disk-only", "Only those without memory", Filter::DISK_ONLY.bits()),
    ("internal", "Only internal ones", Filter::INTERNAL.bits()),
    ("external", "Only external ones", Filter::EXTERNAL.bits()),
    ("topological", "Parents first, not by name", Filter::TOPOLOGICAL.bits()),
];

/// For children, the bit of `ROOTS` means all that follow.
const DESCENDANTS: Filter = Filter::ROOTS;

/// `snapshot-list`
pub(crate) static LIST: Plain = Plain {
    name: "snapshot-list",
    group: Group::Snapshot,
    summary: "List the snapshots of a domain",
    details: "Times are those of this machine's time zone; in JSON they are seconds since 1970.",
    usage: "DOMAIN",
    arguments: |command| {
        let parent = switch("parent", "Also show the parents");
        let tree = switch("tree", "Show a tree");
        let names = switch("name", "Show names only");
        let from = option("from", "SNAPSHOT", "Only those that directly follow this one");
        let current = switch("current", "Only those that directly follow the current one");
        with_switches(domain_argument(command), FILTERS)
            .arg(parent.conflicts_with_all(["roots", "tree"]))
            .arg(tree.conflicts_with_all(["roots", "name"]))
            .arg(names)
            .arg(from.conflicts_with_all(["roots", "current"]))
            .arg(current.conflicts_with("roots"))
            .arg(switch("descendants", "With --from or --current: all that follow"))
    },
    request: |matches| {
        let on = |name| matches.get_flag(name);
        let start = match matches.get_one::<String>("from") {
            Some(name) => Some(Which::Named(name.clone())),
            None => on("current").then_some(Which::Current),
        };
        let shape = match (on("tree"), on("name")) {
            (true, _) => Shape::Tree,
            (_, true) => Shape::Names,
            _ => Shape::Table { parents: on("parent") },
        };
        let mut filter = Filter::from_bits_retain(bits(matches, FILTERS));
        if on("descendants") && start.is_none() {
            return Err(usage("--descendants requires --from or --current"));
        }
        if start.is_some() && (on("descendants") || shape == Shape::Tree) {
            filter |= DESCENDANTS;
        }
        domain_request(matches, async move |hypervisor, domain| {
            list(hypervisor, &domain, start.as_ref(), filter, shape).await
        })
    },
};

async fn list(
    hypervisor: &dyn Hypervisor,
    domain: &Domain,
    start: Option<&Which>,
    filter: Filter,
    shape: Shape,
) -> Outcome {
    let failed = || format!("failed to list the snapshots of domain '{}'", domain.name);
    let mut snapshots = Vec::new();
    match start {
        None => {
            let all = hypervisor.domain_list_all_snapshots(domain, filter).await;
            snapshots.extend(all.context(failed)?);
        }
        Some(which) => {
            let start = which.find(hypervisor, domain).await?;
            let below = hypervisor.domain_snapshot_list_all_children(&start, filter).await;
            let below = below.context(failed)?;
            // A tree shows what it starts from.
            snapshots.extend((shape == Shape::Tree).then_some(start));
            snapshots.extend(below);
        }
    }
    let rows = match shape {
        Shape::Names => {
            let row = |snapshot: Snapshot| Row { name: snapshot.name, facts: None, problem: None };
            snapshots.into_iter().map(row).collect()
        }
        _ => {
            let flags = SnapshotXmlFlags::empty();
            let documents = hypervisor.domain_snapshots_get_xml_desc(&snapshots, flags).await;
            let pairs = snapshots.into_iter().zip(documents.context(failed)?);
            pairs.map(|(snapshot, xml)| row(snapshot, xml)).collect::<Result<_, _>>()?
        }
    };
    let sorted = !filter.contains(Filter::TOPOLOGICAL);
    shown(List::new(rows, shape, sorted, TimeZone::system()))
}

/// A snapshot with its facts. One that cannot be told from another of its name does not spoil the list.
fn row(snapshot: Snapshot, xml: Result<String, Error>) -> Result<Row, Error> {
    match xml.and_then(|xml| Facts::parse(&xml)) {
        Ok(facts) => Ok(Row { name: snapshot.name, facts: Some(facts), problem: None }),
        Err(error) if error.code == ErrorCode::OperationInvalid => {
            let problem = error.chain().last();
            Ok(Row { name: snapshot.name, facts: None, problem })
        }
        Err(error) => Err(error),
    }
}
