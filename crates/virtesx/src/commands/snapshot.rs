//! Snapshots, one at a time: make, look at, go back to, delete. The list is next door.

use clap::ArgMatches;
use virt_api::{
    Domain, Error, Hypervisor, NoFlags, Snapshot, SnapshotCreateFlags as Create,
    SnapshotDeleteFlags as Delete, SnapshotListFlags, SnapshotRevertFlags as Revert,
    SnapshotXmlFlags as Xml,
};

use super::plain::{Outcome, Plain, Switches, bits, domain_request, shown, switch, with_switches};
use crate::command::{Group, positional, required_value, value};
use crate::commands::domain::domain_argument;
use crate::failure::{Context, usage};
use crate::file::read_text;
use crate::render::snapshot::{Facts, Info};
use crate::render::{Done, Text};

/// Which snapshot is meant.
#[derive(Clone, Debug)]
pub(super) enum Which {
    /// The one with this name.
    Named(String),
    /// The current one.
    Current,
}

impl Which {
    /// The snapshot itself.
    pub(super) async fn find(
        &self,
        hypervisor: &dyn Hypervisor,
        domain: &Domain,
    ) -> Result<Snapshot, Error> {
        let none = NoFlags::empty();
        match self {
            Self::Named(name) => hypervisor
                .domain_snapshot_lookup_by_name(domain, name, none)
                .await
                .context(|| format!("failed to get snapshot '{name}' of domain '{}'", domain.name)),
            Self::Current => hypervisor.domain_snapshot_current(domain, none).await.context(|| {
                format!("failed to get the current snapshot of domain '{}'", domain.name)
            }),
        }
    }
}

/// Adds `SNAPSHOT` and `--current`, one of which must be given.
fn with_choice(command: clap::Command) -> clap::Command {
    positional(domain_argument(command), "snapshotname", "Name of the snapshot", false).arg(
        switch("current", "The current snapshot")
            .conflicts_with_all(["snapshotname", "snapshotname-option"]),
    )
}

fn choice(matches: &ArgMatches) -> Result<Which, Error> {
    match value(matches, "snapshotname") {
        Some(name) => Ok(Which::Named(name)),
        None if matches.get_flag("current") => Ok(Which::Current),
        None => Err(usage("a snapshot's name or --current is required")),
    }
}

/// The document of a snapshot.
pub(super) async fn document(
    hypervisor: &dyn Hypervisor,
    snapshot: &Snapshot,
    flags: Xml,
) -> Result<String, Error> {
    let result = hypervisor.domain_snapshot_get_xml_desc(snapshot, flags).await;
    result.context(|| format!("failed to get the XML of snapshot '{}'", snapshot.name))
}

const SECURITY: Switches = &[("security-info", "With passwords", Xml::SECURE.bits())];

const CREATE_SWITCHES: Switches = &[
    ("no-metadata", "Have nothing but the host know of it", Create::NO_METADATA.bits()),
    ("halt", "Stop the domain afterwards", Create::HALT.bits()),
    ("disk-only", "Without the memory of a running domain", Create::DISK_ONLY.bits()),
    ("reuse-external", "Use files that are there already", Create::REUSE_EXT.bits()),
    ("quiesce", "Have the guest write its file systems out first", Create::QUIESCE.bits()),
    ("atomic", "All or nothing", Create::ATOMIC.bits()),
    ("live", "While the domain runs", Create::LIVE.bits()),
    (
        "validate",
        "Accepted as by virsh: the XML is always checked by our own reader, not by the schema",
        Create::VALIDATE.bits(),
    ),
];

const REDEFINE_SWITCHES: Switches = &[
    ("redefine", "Make known a snapshot that exists", Create::REDEFINE.bits()),
    ("current", "And make it the current one", Create::CURRENT.bits()),
];

async fn create(
    hypervisor: &dyn Hypervisor,
    domain: &Domain,
    xml: &str,
    flags: u32,
    file: Option<&str>,
) -> Outcome {
    let flags = Create::from_bits_retain(flags);
    let result = hypervisor.domain_snapshot_create_xml(domain, xml, flags).await;
    let snapshot =
        result.context(|| format!("failed to create a snapshot of domain '{}'", domain.name))?;
    let from = file.map(|file| format!(" from '{file}'")).unwrap_or_default();
    let sentence = format!("Domain snapshot {} created{from}", snapshot.name);
    let done = Done::to_domain("snapshot-create", domain).with("snapshot", snapshot.name);
    shown(done.saying(&sentence).tight())
}

/// `snapshot-create`
pub(crate) static CREATE: Plain = Plain {
    name: "snapshot-create",
    group: Group::Snapshot,
    summary: "Make a snapshot as an XML file says",
    details: "Without FILE the host's time is its name. FILE may be - for standard input.",
    usage: "DOMAIN [FILE]",
    arguments: |command| {
        let help = "File with the snapshot's XML, or - for standard input";
        let command = positional(domain_argument(command), "xmlfile", help, false);
        let command = with_switches(with_switches(command, REDEFINE_SWITCHES), CREATE_SWITCHES);
        command.mut_arg("current", |current| current.requires("redefine"))
    },
    request: |matches| {
        let file = value(matches, "xmlfile");
        let flags = bits(matches, REDEFINE_SWITCHES) | bits(matches, CREATE_SWITCHES);
        domain_request(matches, async move |hypervisor, domain| {
            let xml = match &file {
                Some(file) => read_text(file)?,
                None => "<domainsnapshot/>".to_owned(),
            };
            create(hypervisor, &domain, &xml, flags, file.as_deref()).await
        })
    },
};

/// `snapshot-create-as`
pub(crate) static CREATE_AS: Plain = Plain {
    name: "snapshot-create-as",
    group: Group::Snapshot,
    summary: "Make a snapshot with a name and a description",
    details: "Without NAME the host's time is its name.",
    usage: "DOMAIN [NAME [DESCRIPTION]]",
    arguments: |command| {
        let command = positional(domain_argument(command), "name", "Its name", false);
        let command = positional(command, "description", "What it is for", false);
        let command = command.arg(switch("print-xml", "Only show the XML, make nothing"));
        with_switches(command, CREATE_SWITCHES)
    },
    request: |matches| {
        let xml = snapshot_xml(value(matches, "name"), value(matches, "description"));
        let flags = bits(matches, CREATE_SWITCHES);
        let print = matches.get_flag("print-xml");
        domain_request(matches, async move |hypervisor, domain| {
            if print {
                return shown(Text::line("xml", xml.as_str()));
            }
            create(hypervisor, &domain, &xml, flags, None).await
        })
    },
};

/// The document of a snapshot to be made.
fn snapshot_xml(name: Option<String>, description: Option<String>) -> String {
    let mut xml = "<domainsnapshot>\n".to_owned();
    for (element, text) in [("name", name), ("description", description)] {
        if let Some(text) = text {
            let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            xml.push_str(&format!("  <{element}>{text}</{element}>\n"));
        }
    }
    xml + "</domainsnapshot>\n"
}

/// `snapshot-current`
pub(crate) static CURRENT: Plain = Plain {
    name: "snapshot-current",
    group: Group::Snapshot,
    summary: "Show the current snapshot of a domain as XML, or its name",
    details: "The current snapshot is the one whose successor the domain is now.",
    usage: "DOMAIN",
    arguments: |command| {
        let command = domain_argument(command).arg(switch("name", "Show the name only"));
        with_switches(command, SECURITY)
    },
    request: |matches| {
        let name_only = matches.get_flag("name");
        let flags = Xml::from_bits_retain(bits(matches, SECURITY));
        domain_request(matches, async move |hypervisor, domain| {
            let snapshot = Which::Current.find(hypervisor, &domain).await?;
            if name_only {
                return shown(Text::line("name", snapshot.name).tight());
            }
            shown(Text::document("xml", document(hypervisor, &snapshot, flags).await?))
        })
    },
};

/// `snapshot-info`
pub(crate) static INFO: Plain = Plain {
    name: "snapshot-info",
    group: Group::Snapshot,
    summary: "Show what a snapshot is and how many follow it",
    details: "",
    usage: "DOMAIN (SNAPSHOT | --current)",
    arguments: with_choice,
    request: |matches| {
        let which = choice(matches)?;
        domain_request(matches, async move |hypervisor, domain| {
            let snapshot = which.find(hypervisor, &domain).await?;
            let facts = Facts::parse(&document(hypervisor, &snapshot, Xml::empty()).await?)?;
            let failed = || format!("failed to get facts about snapshot '{}'", snapshot.name);
            let none = NoFlags::empty();
            let children = SnapshotListFlags::empty();
            // For children, the bit of ROOTS means all that follow.
            let descendants = SnapshotListFlags::ROOTS;
            shown(Info {
                domain: domain.name,
                facts,
                current: hypervisor
                    .domain_snapshot_is_current(&snapshot, none)
                    .await
                    .context(failed)?,
                children: hypervisor
                    .domain_snapshot_num_children(&snapshot, children)
                    .await
                    .context(failed)?,
                descendants: hypervisor
                    .domain_snapshot_num_children(&snapshot, descendants)
                    .await
                    .context(failed)?,
                metadata: hypervisor
                    .domain_snapshot_has_metadata(&snapshot, none)
                    .await
                    .context(failed)?,
            })
        })
    },
};

/// `snapshot-parent`
pub(crate) static PARENT: Plain = Plain {
    name: "snapshot-parent",
    group: Group::Snapshot,
    summary: "Show the name of the snapshot that another one follows",
    details: "",
    usage: "DOMAIN (SNAPSHOT | --current)",
    arguments: with_choice,
    request: |matches| {
        let which = choice(matches)?;
        domain_request(matches, async move |hypervisor, domain| {
            let snapshot = which.find(hypervisor, &domain).await?;
            let parent = hypervisor.domain_snapshot_get_parent(&snapshot, NoFlags::empty()).await;
            let parent = parent
                .context(|| format!("failed to get the parent of snapshot '{}'", snapshot.name))?;
            shown(Text::line("name", parent.name).tight())
        })
    },
};

/// `snapshot-dumpxml`
pub(crate) static DUMPXML: Plain = Plain {
    name: "snapshot-dumpxml",
    group: Group::Snapshot,
    summary: "Show a snapshot as XML",
    details: "",
    usage: "DOMAIN SNAPSHOT",
    arguments: |command| {
        let help = "Name of the snapshot";
        let command = positional(domain_argument(command), "snapshotname", help, true);
        with_switches(command, SECURITY)
    },
    request: |matches| {
        let which = Which::Named(required_value(matches, "snapshotname")?);
        let flags = Xml::from_bits_retain(bits(matches, SECURITY));
        domain_request(matches, async move |hypervisor, domain| {
            let snapshot = which.find(hypervisor, &domain).await?;
            shown(Text::document("xml", document(hypervisor, &snapshot, flags).await?))
        })
    },
};

const REVERT_SWITCHES: Switches = &[
    ("running", "Have it run afterwards", Revert::RUNNING.bits()),
    ("paused", "Have it paused afterwards", Revert::PAUSED.bits()),
    ("force", "Also where it is risky", Revert::FORCE.bits()),
    ("reset-nvram", "With fresh NVRAM", Revert::RESET_NVRAM.bits()),
];

/// `snapshot-revert`
pub(crate) static REVERT: Plain = Plain {
    name: "snapshot-revert",
    group: Group::Snapshot,
    summary: "Take a domain back to a snapshot",
    details: "What happened since is lost unless a later snapshot holds it.",
    usage: "DOMAIN (SNAPSHOT | --current)",
    arguments: |command| {
        with_switches(with_choice(command), REVERT_SWITCHES)
            .mut_arg("paused", |paused| paused.conflicts_with("running"))
    },
    request: |matches| {
        let which = choice(matches)?;
        let flags = Revert::from_bits_retain(bits(matches, REVERT_SWITCHES));
        domain_request(matches, async move |hypervisor, domain| {
            let snapshot = which.find(hypervisor, &domain).await?;
            let result = hypervisor.domain_revert_to_snapshot(&snapshot, flags).await;
            result.context(|| format!("failed to revert to snapshot '{}'", snapshot.name))?;
            let sentence = format!("Domain snapshot {} reverted", snapshot.name);
            let done = Done::to_domain("snapshot-revert", &domain).with("snapshot", snapshot.name);
            shown(done.saying(&sentence))
        })
    },
};

const DELETE_SWITCHES: Switches = &[
    ("children", "Also delete those that follow it", Delete::CHILDREN.bits()),
    ("children-only", "Only delete those that follow it", Delete::CHILDREN_ONLY.bits()),
    ("metadata", "Only forget it, on the client's side", Delete::METADATA_ONLY.bits()),
];

/// `snapshot-delete`
pub(crate) static DELETE: Plain = Plain {
    name: "snapshot-delete",
    group: Group::Snapshot,
    summary: "Delete a snapshot; the domain stays as it is",
    details: "",
    usage: "DOMAIN (SNAPSHOT | --current)",
    arguments: |command| {
        with_switches(with_choice(command), DELETE_SWITCHES)
            .mut_arg("children-only", |only| only.conflicts_with("children"))
    },
    request: |matches| {
        let which = choice(matches)?;
        let flags = Delete::from_bits_retain(bits(matches, DELETE_SWITCHES));
        domain_request(matches, async move |hypervisor, domain| {
            let snapshot = which.find(hypervisor, &domain).await?;
            let result = hypervisor.domain_snapshot_delete(&snapshot, flags).await;
            result.context(|| format!("failed to delete snapshot '{}'", snapshot.name))?;
            let what = if flags.contains(Delete::CHILDREN_ONLY) { " children" } else { "" };
            let sentence = format!("Domain snapshot {}{what} deleted", snapshot.name);
            let done = Done::to_domain("snapshot-delete", &domain).with("snapshot", snapshot.name);
            shown(done.saying(&sentence))
        })
    },
};

#[cfg(test)]
mod tests {
    use super::snapshot_xml;

    #[test]
    fn names_are_escaped() {
        let xml = snapshot_xml(Some("a<b>&amp;".to_owned()), Some("'\"".to_owned()));
        assert_eq!(
            xml,
            "<domainsnapshot>\n  <name>a&lt;b&gt;&amp;amp;</name>\n  <description>'\"</description>\n\
             </domainsnapshot>\n"
        );
        let request = virt_xml::snapshot::SnapshotRequest::parse(&xml).unwrap();
        assert_eq!(request.name.as_deref(), Some("a<b>&amp;"));
        assert_eq!(snapshot_xml(None, None), "<domainsnapshot>\n</domainsnapshot>\n");
    }
}
