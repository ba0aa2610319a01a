//! `virtesx` against vcsim as a host and as a vCenter, over HTTP and HTTPS; govc says what is right.

mod changes;
mod network;
mod ports;
mod storage;
mod transfer;

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
    time::Duration,
};

use anyhow::{Context, ensure};
use serde_json::Value;

use super::{
    Bench, PASSWORD, USER, fields,
    report::Report,
    tool::{Program, Tool},
};
use crate::process::{self, Server};

const START: Duration = Duration::from_secs(120);

/// Two datacenters, one of them in a folder; a cluster and a host of its own in each.
const VCENTER: &[&str] = &[
    "-dc",
    "2",
    "-folder",
    "1",
    "-cluster",
    "1",
    "-host",
    "2",
    "-standalone-host",
    "1",
    "-pool",
    "0",
    "-ds",
    "1",
    "-vm",
    "3",
];

/// Runs every check of this half.
pub(super) fn check(bench: &Bench, report: &mut Report) {
    for tls in [false, true] {
        let scheme = if tls { "https" } else { "http" };
        for (mode, arguments) in [("host", ["-esx", "-vm", "4"].as_slice()), ("vCenter", VCENTER)] {
            let name = format!("vcsim {mode} {scheme}");
            let Some(server) =
                report.check(format!("{name}: starts"), || start(bench, tls, arguments))
            else {
                continue;
            };
            let Some(facts) = report.check(format!("{name}: govc tells what it has"), || {
                vary_states(bench, &server)?;
                Facts::read(bench, &server)
            }) else {
                continue;
            };
            let site = Site { bench, server: &server, facts: &facts, tls, name: &name };
            let outcome =
                if mode == "host" { check_host(site, report) } else { check_vcenter(site, report) };
            if let Err(error) = outcome {
                report.check::<()>(name.clone(), || Err(error));
            }
            ports::check(site, report);
            changes::check(site, report);
            storage::check(site, report);
            transfer::check(site, report);
            network::check(site, report);
        }
    }
}

pub(super) fn start(bench: &Bench, tls: bool, arguments: &[&str]) -> anyhow::Result<Server> {
    let mut vcsim = bench.peers.go("vcsim");
    vcsim.args(["-l", "127.0.0.1:0", "-stdin-exit", "-username", USER, "-password", PASSWORD]);
    vcsim.arg(format!("-tls={tls}")).args(arguments);
    Server::start(&mut vcsim, START)
}

/// A vCenter over HTTP with machines in several states, and for each of its hosts the path of a `vpx://` URI and the names of its machines.
pub(super) fn start_vcenter(
    bench: &Bench,
) -> anyhow::Result<(Server, BTreeMap<String, Vec<String>>)> {
    let server = start(bench, false, VCENTER)?;
    vary_states(bench, &server)?;
    let facts = Facts::read(bench, &server)?;
    let names = |host: &Host| {
        let machines = facts.machines.iter().filter(|machine| machine.host == host.moref);
        machines.map(|machine| machine.name.clone()).collect()
    };
    let hosts = facts.hosts.iter().map(|host| (host.uri_path.clone(), names(host))).collect();
    Ok((server, hosts))
}

/// What every group of checks is given: a vcsim, and what govc says of it.
#[derive(Clone, Copy)]
struct Site<'a> {
    bench: &'a Bench,
    server: &'a Server,
    facts: &'a Facts,
    tls: bool,
    name: &'a str,
}

impl<'a> Site<'a> {
    fn security(self) -> anyhow::Result<String> {
        Ok(match self.tls {
            true => format!("thumbprint={}", thumbprint(self.bench, self.server, "SHA256")?),
            false => "transport=http".to_owned(),
        })
    }

    /// `virtesx` on a host of vcsim, or on vcsim itself.
    fn connect(self, host: &Host) -> anyhow::Result<Tool<'a>> {
        let authority = self.server.authority()?;
        let uri = match self.name.contains("vCenter") {
            true => format!("vpx://{USER}@{authority}{}", host.uri_path),
            false => format!("esx://{USER}@{authority}/"),
        };
        Ok(Tool::new(self.bench, Program::Virtesx, uri).with(&self.security()?))
    }

    /// A machine that is off, and `virtesx` on its host.
    fn machine_off(self) -> anyhow::Result<(Tool<'a>, String)> {
        let machine = self.facts.machines.iter().find(|machine| machine.state == "shut off");
        let machine = machine.context("no machine is off")?;
        let host = self.facts.hosts.iter().find(|host| host.moref == machine.host);
        let host = host.context("the machine is on no known host")?;
        Ok((self.connect(host)?, machine.name.clone()))
    }
}

fn check_host(site: Site<'_>, report: &mut Report) -> anyhow::Result<()> {
    let Site { bench, server, facts, tls, name } = site;
    let authority = server.authority()?;
    let host = facts.hosts.first().context("govc names no host")?;
    let uri = format!("esx://{USER}@{authority}/");
    if tls {
        let plain = Tool::new(bench, Program::Virtesx, &uri);
        report.check(format!("{name}: an unknown certificate is refused in one line"), || {
            refused(&plain)
        });
        for kind in ["SHA256", "SHA1"] {
            let print = thumbprint(bench, server, kind)?;
            let pinned = plain.with(&format!("thumbprint={print}"));
            check_tool(&pinned, facts, host, &format!("{name} {kind} thumbprint"), report);
        }
        let wrong = plain.with(&format!("thumbprint={}", ["00"; 32].join(":")));
        report.check(format!("{name}: another thumbprint is refused in one line"), || {
            refused(&wrong)
        });
        check_tool(&plain.with("no_verify=1"), facts, host, &format!("{name} no_verify"), report);
    } else {
        check_tool(
            &Tool::new(bench, Program::Virtesx, uri).with("transport=http"),
            facts,
            host,
            name,
            report,
        );
    }
    Ok(())
}

fn check_vcenter(site: Site<'_>, report: &mut Report) -> anyhow::Result<()> {
    let Site { bench, server, facts, name, .. } = site;
    let security = site.security()?;
    ensure!(
        facts.hosts.len() > 4,
        "a vCenter of that size has more than {} hosts",
        facts.hosts.len()
    );
    for host in &facts.hosts {
        let uri = format!("vpx://{USER}@{}{}", server.authority()?, host.uri_path);
        let tool = Tool::new(bench, Program::Virtesx, uri).with(&security);
        check_tool(&tool, facts, host, &format!("{name} {}", host.uri_path), report);
    }
    Ok(())
}

/// The five commands of the issue, each against the facts.
fn check_tool(tool: &Tool<'_>, facts: &Facts, host: &Host, name: &str, report: &mut Report) {
    let machines: Vec<&Machine> = facts.machines.iter().filter(|m| m.host == host.moref).collect();
    report.check(format!("{name}: list names the {} machines govc names", machines.len()), || {
        let out = tool.ask(&["list", "--all", "--name"])?;
        let ours: BTreeSet<&str> = out.lines().collect();
        let theirs: BTreeSet<&str> = machines.iter().map(|m| m.name.as_str()).collect();
        ensure!(ours == theirs, "ours {ours:?}, theirs {theirs:?}");
        Ok(())
    });
    report.check(format!("{name}: list tells their states"), || {
        let out = tool.ask(&["list", "--all"])?;
        for machine in &machines {
            let row =
                out.lines().find(|line| line.split_whitespace().any(|word| word == machine.name));
            let row = row.with_context(|| format!("no row for {}", machine.name))?;
            ensure!(
                row.trim_end().ends_with(machine.state),
                "{row:?} does not end in {}",
                machine.state
            );
        }
        Ok(())
    });
    report.check(format!("{name}: hostname"), || {
        let out = tool.ask(&["hostname"])?;
        ensure!(out == host.hostname, "ours {out}, theirs {}", host.hostname);
        Ok(())
    });
    report.check(format!("{name}: nodeinfo"), || {
        expect_fields(&tool.ask(&["nodeinfo"])?, &host.nodeinfo)
    });
    report.check(format!("{name}: domstate, dominfo by name and by UUID"), || {
        for machine in &machines {
            let state = tool.ask(&["domstate", &machine.name])?;
            ensure!(
                state == machine.state,
                "{}: ours {state}, theirs {}",
                machine.name,
                machine.state
            );
            for key in [&machine.name, &machine.uuid] {
                let out = tool.ask(&["dominfo", key])?;
                expect_fields(&out, &machine.dominfo).with_context(|| format!("dominfo {key}"))?;
            }
        }
        Ok(())
    });
}

fn expect_fields(out: &str, expect: &BTreeMap<&'static str, String>) -> anyhow::Result<()> {
    let ours = fields::parse(out)?;
    for (label, value) in expect {
        let got = ours.get(*label);
        ensure!(got == Some(value), "{label}: ours {got:?}, theirs {value:?}");
    }
    Ok(())
}

/// A connection that must fail: exit status 1, nothing on standard output, one line that names the certificate.
fn refused(tool: &Tool<'_>) -> anyhow::Result<()> {
    let done = tool.run(&["list", "--all"])?;
    ensure!(done.status.code() == Some(1), "ended with {}", done.status);
    ensure!(done.stdout.is_empty(), "printed {:?}", done.stdout);
    ensure!(done.stderr.to_lowercase().contains("certificate"), "said {:?}", done.stderr);
    ensure!(!done.stderr.contains("panicked"), "panicked: {:?}", done.stderr);
    Ok(())
}

/// A host as govc sees it.
struct Host {
    moref: String,
    /// The path of a `vpx://` URI that leads here.
    uri_path: String,
    hostname: String,
    nodeinfo: BTreeMap<&'static str, String>,
}

/// A machine as govc sees it.
struct Machine {
    name: String,
    host: String,
    uuid: String,
    state: &'static str,
    dominfo: BTreeMap<&'static str, String>,
}

/// What the simulator has, read with somebody else's client.
struct Facts {
    hosts: Vec<Host>,
    machines: Vec<Machine>,
}

impl Facts {
    fn read(bench: &Bench, server: &Server) -> anyhow::Result<Self> {
        let names = [
            "config.network.dnsConfig",
            "hardware.cpuInfo",
            "hardware.memorySize",
            "hardware.numaInfo",
        ];
        let paths = paths_of_hosts(bench, server)?;
        let hosts = collect(bench, server, "h", &names)?
            .into_iter()
            .map(|(moref, p)| Host::new(moref, &p, &paths))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let names = [
            "name",
            "runtime.host",
            "runtime.powerState",
            "config.instanceUuid",
            "config.hardware.memoryMB",
            "config.hardware.numCPU",
        ];
        let machines = collect(bench, server, "m", &names)?
            .into_iter()
            .map(|(_, p)| Machine::new(&p))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let states: BTreeSet<&str> = machines.iter().map(|machine| machine.state).collect();
        ensure!(states.len() == 3 && !hosts.is_empty(), "{} hosts, states {states:?}", hosts.len());
        Ok(Self { hosts, machines })
    }
}

impl Host {
    fn new(
        moref: String,
        properties: &Value,
        paths: &BTreeMap<String, String>,
    ) -> anyhow::Result<Self> {
        let dns = &properties["config.network.dnsConfig"];
        let words: Vec<&str> = [&dns["hostName"], &dns["domainName"]]
            .iter()
            .filter_map(|v| v.as_str())
            .filter(|s| !s.is_empty())
            .collect();
        let cpu = &properties["hardware.cpuInfo"];
        let number =
            |value: &Value| value.as_u64().with_context(|| format!("{value} is no number"));
        let (packages, cores) = (number(&cpu["numCpuPackages"])?, number(&cpu["numCpuCores"])?);
        let memory_kib = number(&properties["hardware.memorySize"])? / 1024;
        let nodeinfo = BTreeMap::from([
            ("CPU(s)", cores.to_string()),
            ("CPU frequency", format!("{} MHz", number(&cpu["hz"])? / 1_000_000)),
            ("CPU socket(s)", packages.to_string()),
            ("Core(s) per socket", (cores / packages.max(1)).to_string()),
            ("Memory size", format!("{memory_kib} KiB")),
        ]);
        let uri_path =
            paths.get(&moref).with_context(|| format!("govc knows no path to {moref}"))?.clone();
        Ok(Self { moref, uri_path, hostname: words.join("."), nodeinfo })
    }
}

impl Machine {
    fn new(properties: &Value) -> anyhow::Result<Self> {
        let text = |key: &str| {
            properties[key].as_str().map(str::to_owned).with_context(|| format!("no {key}"))
        };
        let state = match text("runtime.powerState")?.as_str() {
            "poweredOn" => "running",
            "suspended" => "paused",
            _ => "shut off",
        };
        let (name, uuid) = (text("name")?, text("config.instanceUuid")?);
        let memory_mib = properties["config.hardware.memoryMB"].as_u64().context("no memory")?;
        let dominfo = BTreeMap::from([
            ("Name", name.clone()),
            ("UUID", uuid.clone()),
            ("OS Type", "hvm".to_owned()),
            ("State", state.to_owned()),
            ("CPU(s)", properties["config.hardware.numCPU"].to_string()),
            ("Max memory", format!("{} KiB", memory_mib * 1024)),
            ("Persistent", "yes".to_owned()),
        ]);
        let host =
            properties["runtime.host"]["value"].as_str().context("no runtime.host")?.to_owned();
        Ok(Self { name, host, uuid, state, dominfo })
    }
}

/// A fingerprint of a server's certificate, by govc: `kind` is `SHA1` or `SHA256`.
fn thumbprint(bench: &Bench, server: &Server, kind: &str) -> anyhow::Result<String> {
    // The document holds the key's modulus as a number that no 64 bits hold, so it is not parsed.
    let out = govc(bench, server, &["about.cert", "-json"])?;
    let (_, rest) = out
        .split_once(&format!("\"thumbprint{kind}\": \""))
        .with_context(|| format!("govc tells no {kind} thumbprint"))?;
    Ok(rest.split('"').next().unwrap_or(rest).to_owned())
}

/// The properties of every object of a kind (govc's letter for it), with the object's reference.
pub(super) fn collect(
    bench: &Bench,
    server: &Server,
    kind: &str,
    names: &[&str],
) -> anyhow::Result<Vec<(String, Value)>> {
    let mut arguments = vec!["collect", "-json", "-type", kind, "/"];
    arguments.extend(names);
    let out = govc(bench, server, &arguments)?;
    let mut objects = Vec::new();
    // One document per object, one after the other.
    for document in serde_json::Deserializer::from_str(&out).into_iter::<Value>() {
        let document = document.context("read govc's properties")?;
        let moref = document["obj"]["value"].as_str().context("govc names no object")?.to_owned();
        let changes = document["changeSet"].as_array().into_iter().flatten();
        let properties = changes
            .filter_map(|c| Some((c["name"].as_str()?.to_owned(), c["val"].clone())))
            .collect();
        objects.push((moref, Value::Object(properties)));
    }
    Ok(objects)
}

/// vcsim starts all machines: stops one and suspends another.
fn vary_states(bench: &Bench, server: &Server) -> anyhow::Result<()> {
    let machines = govc(bench, server, &["find", "/", "-type", "m"])?;
    let mut machines = machines.lines();
    for action in ["-off", "-suspend"] {
        govc(bench, server, &["vm.power", action, machines.next().context("too few machines")?])?;
    }
    Ok(())
}

/// For each host reference, the path a `vpx://` URI needs: the inventory path without the folder `host` that every
/// datacenter has, and without the repeated name of a host that is no cluster's.
fn paths_of_hosts(bench: &Bench, server: &Server) -> anyhow::Result<BTreeMap<String, String>> {
    let datacenters = govc(bench, server, &["find", "/", "-type", "d"])?;
    let listing = govc(bench, server, &["find", "-i", "/", "-type", "h"])?;
    let names = govc(bench, server, &["find", "/", "-type", "h"])?;
    let references = listing
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(_, moref)| moref.trim().to_owned());
    Ok(references.zip(names.lines().map(|path| uri_path(path, &datacenters))).collect())
}

fn uri_path(inventory_path: &str, datacenters: &str) -> String {
    let inside = datacenters.lines().find_map(|datacenter| {
        let rest = inventory_path.strip_prefix(datacenter)?.strip_prefix("/host/")?;
        Some(format!("{datacenter}/{rest}"))
    });
    let mut path = inside.unwrap_or_else(|| inventory_path.to_owned());
    if let Some((before, last)) = path.rsplit_once('/')
        && before.rsplit('/').next() == Some(last)
    {
        path.truncate(before.len());
    }
    path
}

pub(super) fn govc_command(bench: &Bench, server: &Server, arguments: &[&str]) -> Command {
    let mut govc: Command = bench.peers.go("govc");
    let url = server.url.replace("://", &format!("://{USER}:{PASSWORD}@"));
    // The URL with the account travels in the environment, as govc wants it, not as an argument.
    govc.args(arguments)
        .env("GOVC_URL", url)
        .env("GOVC_INSECURE", "1")
        .env("GOVC_PERSIST_SESSION", "false");
    govc
}

fn govc(bench: &Bench, server: &Server, arguments: &[&str]) -> anyhow::Result<String> {
    let mut govc = govc_command(bench, server, arguments);
    let done = process::run(&mut govc, Duration::from_secs(60))?;
    // `about.cert` says by its status that it does not trust the certificate, too.
    ensure!(
        !done.stdout.is_empty(),
        "govc {}: {} {}",
        arguments.join(" "),
        done.status,
        done.stderr.trim()
    );
    Ok(done.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inventory_paths_become_uri_paths() {
        let datacenters = "/DC1\n/F0/DC0\n";
        let table = [
            ("/DC1/host/DC1_H0/DC1_H0", "/DC1/DC1_H0"),
            ("/DC1/host/DC1_C0/DC1_C0_H1", "/DC1/DC1_C0/DC1_C0_H1"),
            ("/F0/DC0/host/F0/DC0_C0/DC0_C0_H0", "/F0/DC0/F0/DC0_C0/DC0_C0_H0"),
            ("/F0/DC0/host/F0/DC0_H0/DC0_H0", "/F0/DC0/F0/DC0_H0"),
        ];
        for (path, expect) in table {
            assert_eq!(uri_path(path, datacenters), expect);
        }
    }
}
