//! Debian's virsh and the newest one against `esx-sim`, with nothing in between; virtesx must say the same.
//!
//! Debian stable's libvirt 9 shows that a peer we did not choose gets along with the simulator. What virtesx prints
//! is held against the newest libvirt, from which our expectations come; against Debian's, UUIDs are compared with
//! `legacy_uuid=1`, and documents by the elements that no release changed.

use std::{collections::BTreeSet, process::Command, time::Duration};

use anyhow::{Context, ensure};

use super::{
    Bench, PASSWORD, USER, fields,
    report::Report,
    tool::{Program, Tool},
};
use crate::process::Server;

const START: Duration = Duration::from_secs(60);

/// Runs every check of this half.
pub(super) fn check(bench: &Bench, report: &mut Report) {
    let Some(server) = report.check("esx-sim http: starts", || start(bench, &["--vms", "12"]))
    else {
        return;
    };
    let tools = server.authority().map(|authority| Tools::new(bench, authority, "transport=http"));
    if let Some(tools) = report.check("esx-sim http: prints its URL", || tools) {
        check_host(&tools, "esx-sim http", report);
        check_domains(&tools, "esx-sim http", report);
    }
    let Some(server) =
        report.check("esx-sim https: starts", || start(bench, &["--vms", "3", "--tls"]))
    else {
        return;
    };
    let tools = server.authority().map(|authority| Tools::new(bench, authority, "no_verify=1"));
    if let Some(tools) = report.check("esx-sim https: prints its URL", || tools) {
        check_host(&tools, "esx-sim https", report);
    }
}

/// A fresh simulated host.
pub(super) fn start(bench: &Bench, arguments: &[&str]) -> anyhow::Result<Server> {
    let mut sim = Command::new(&bench.esx_sim);
    sim.args(["--listen", "127.0.0.1:0", "--username", USER, "--password", PASSWORD])
        .args(arguments);
    Server::start(&mut sim, START)
}

/// The three programs on one host.
struct Tools<'a> {
    ours: Tool<'a>,
    /// Ours, with BIOS UUIDs as Debian's libvirt has them.
    ours_legacy: Tool<'a>,
    debian: Tool<'a>,
    newest: Tool<'a>,
}

impl<'a> Tools<'a> {
    fn new(bench: &'a Bench, authority: &str, parameter: &str) -> Self {
        let uri = format!("esx://{USER}@{authority}/?{parameter}");
        let tool = |program| Tool::new(bench, program, &uri);
        Self {
            ours: tool(Program::Virtesx),
            ours_legacy: tool(Program::Virtesx).with("legacy_uuid=1"),
            debian: tool(Program::DebianVirsh),
            newest: tool(Program::NewestVirsh),
        }
    }
}

/// Questions about the host, whose answers must be equal in all three programs.
const HOST_COMMANDS: &[&[&str]] = &[&["nodeinfo"], &["hostname"], &["capabilities"]];

/// Tables of domains.
const LISTS: &[&[&str]] =
    &[&["list"], &["list", "--inactive"], &["list", "--all"], &["list", "--all", "--title"]];

fn check_host(tools: &Tools<'_>, name: &str, report: &mut Report) {
    for args in HOST_COMMANDS {
        let shown = args.join(" ");
        report.check(format!("{name}: {shown} is the same in Debian's virsh and virtesx"), || {
            fields::same_text(&tools.ours.ask(args)?, &tools.debian.ask(args)?)
        });
        report
            .check(format!("{name}: {shown} is the same in the newest virsh and virtesx"), || {
                fields::same_text(&tools.ours.ask(args)?, &tools.newest.ask(args)?)
            });
    }
}

/// The lists, then every domain that libvirt can find again, by name.
fn check_domains(tools: &Tools<'_>, name: &str, report: &mut Report) {
    let debian = report
        .check(format!("{name}: Debian's virsh lists the domains"), || Domains::of(&tools.debian));
    let newest = report.check(format!("{name}: the newest virsh lists the domains"), || {
        Domains::of(&tools.newest)
    });
    let (Some(debian), Some(newest)) = (debian, newest) else { return };
    for args in LISTS {
        let shown = args.join(" ");
        for (theirs, known, whose) in
            [(&tools.debian, &debian, "Debian's"), (&tools.newest, &newest, "the newest")]
        {
            report.check(
                format!("{name}: {shown} is the same in {whose} virsh and virtesx"),
                || {
                    let left_out = known.unusable();
                    let (ours, theirs) = (tools.ours.ask(args)?, theirs.ask(args)?);
                    fields::same_text(
                        &fields::rows(&ours, &left_out),
                        &fields::rows(&theirs, &left_out),
                    )
                },
            );
        }
    }
    let args = ["list", "--all", "--uuid"];
    report.check(format!("{name}: BIOS UUIDs are those of Debian's virsh"), || {
        same_set(&tools.ours_legacy.ask(&args)?, &tools.debian.ask(&args)?)
    });
    report.check(format!("{name}: instance UUIDs are those of the newest virsh"), || {
        same_set(&tools.ours.ask(&args)?, &tools.newest.ask(&args)?)
    });
    for domain in debian.usable() {
        report.check(
            format!("{name}: {domain:?}: domstate, dominfo, dumpxml by Debian's virsh"),
            || {
                let args = ["domstate", domain];
                fields::same_text(&tools.ours.ask(&args)?, &tools.debian.ask(&args)?)
                    .context("domstate")?;
                let args = ["dominfo", domain];
                fields::same_fields(&tools.ours_legacy.ask(&args)?, &tools.debian.ask(&args)?)
                    .context("dominfo")?;
                let dump = |tool: &Tool<'_>| tool.ask(&["dumpxml", domain]);
                let (ours, debian, newest) =
                    (dump(&tools.ours)?, dump(&tools.debian)?, dump(&tools.newest)?);
                let stable = fields::stable_lines;
                // Where libvirt changed its mind about disks, the next check is the judge.
                let with_disks = stable(&debian, true) == stable(&newest, true);
                fields::same_text(&stable(&ours, with_disks), &stable(&debian, with_disks))
                    .context("dumpxml")
            },
        );
    }
    for domain in newest.usable() {
        report.check(
            format!("{name}: {domain:?}: domstate, dominfo, dumpxml --exact by the newest virsh"),
            || {
                let args = ["domstate", domain];
                fields::same_text(&tools.ours.ask(&args)?, &tools.newest.ask(&args)?)
                    .context("domstate")?;
                let args = ["dominfo", domain];
                let theirs = tools.newest.ask(&args)?;
                fields::same_fields(&tools.ours.ask(&args)?, &theirs).context("dominfo")?;
                let dump = tools.newest.ask(&["dumpxml", domain])?;
                fields::same_text(&tools.ours.ask(&["dumpxml", "--exact", domain])?, &dump)
                    .context("dumpxml --exact")?;
                let uuid =
                    fields::parse(&theirs)?.remove("UUID").context("dominfo tells no UUID")?;
                fields::same_fields(&tools.ours.ask(&["dominfo", &uuid])?, &theirs)
                    .context("dominfo by UUID")
            },
        );
    }
}

/// The domains a virsh lists, as pairs of UUID and name.
struct Domains(Vec<(String, String)>);

impl Domains {
    fn of(tool: &Tool<'_>) -> anyhow::Result<Self> {
        let out = tool.ask(&["list", "--all", "--uuid", "--name"])?;
        let pairs = out.lines().filter_map(|line| line.trim().split_once(' '));
        let domains: Vec<_> =
            pairs.map(|(uuid, name)| (uuid.to_owned(), name.trim().to_owned())).collect();
        ensure!(domains.len() >= 12, "only {} of them: {out:?}", domains.len());
        Ok(Self(domains))
    }

    /// libvirt asks for everything by UUID: it mixes up machines that share one, and cannot ask for a machine whose
    /// configuration it could not read (zero UUID).
    fn is_usable(&self, uuid: &str) -> bool {
        let shared = self.0.iter().filter(|(other, _)| other == uuid).count() > 1;
        !shared && !is_zero(uuid)
    }

    fn usable(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|(uuid, _)| self.is_usable(uuid)).map(|(_, name)| name.as_str())
    }

    fn unusable(&self) -> BTreeSet<&str> {
        self.0
            .iter()
            .filter(|(uuid, _)| !self.is_usable(uuid))
            .map(|(_, name)| name.as_str())
            .collect()
    }
}

/// A UUID of zeros, or none at all.
fn is_zero(uuid: &str) -> bool {
    uuid.bytes().all(|b| b == b'0' || b == b'-')
}

fn same_set(ours: &str, theirs: &str) -> anyhow::Result<()> {
    let sorted = |text: &str| {
        text.lines()
            .map(str::trim)
            .filter(|uuid| !is_zero(uuid))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let (mut a, mut b) = (sorted(ours), sorted(theirs));
    a.sort();
    b.sort();
    if a != b {
        let only = |x: &[String], y: &[String]| {
            let other: BTreeSet<&String> = y.iter().collect();
            x.iter().filter(|line| !other.contains(line)).cloned().collect::<Vec<_>>()
        };
        anyhow::bail!(
            "only ours {:?}, only theirs {:?}; {} and {} lines",
            only(&a, &b),
            only(&b, &a),
            a.len(),
            b.len()
        );
    }
    ensure!(!a.is_empty(), "both are empty");
    Ok(())
}
