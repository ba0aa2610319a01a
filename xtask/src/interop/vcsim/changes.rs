//! Life cycle, snapshots and reconfiguration on vcsim by `virtesx`; after each command govc says what came of it.

use anyhow::{Context, ensure};
use serde_json::Value;

use super::{
    super::{Bench, report::Report},
    Site, collect, govc,
};
use crate::process::Server;

/// A command, and the property that it leaves behind: path and value, as govc prints it in one line.
struct Step {
    command: &'static [&'static str],
    path: &'static str,
    expect: &'static str,
}

const POWER: &str = "runtime.powerState";
const STEPS: &[Step] = &[
    Step { command: &["start", DOMAIN], path: POWER, expect: "\"poweredOn\"" },
    Step { command: &["suspend", DOMAIN], path: POWER, expect: "\"suspended\"" },
    Step { command: &["resume", DOMAIN], path: POWER, expect: "\"poweredOn\"" },
    Step { command: &["reset", DOMAIN], path: POWER, expect: "\"poweredOn\"" },
    Step { command: &["destroy", DOMAIN], path: POWER, expect: "\"poweredOff\"" },
    Step { command: &["start", DOMAIN], path: POWER, expect: "\"poweredOn\"" },
    Step { command: &["shutdown", DOMAIN], path: POWER, expect: "\"poweredOff\"" },
    Step {
        command: &["setmaxmem", DOMAIN, "128M"],
        path: "config.hardware.memoryMB",
        expect: "128",
    },
    Step {
        command: &["setmem", DOMAIN, "64M"],
        path: "config.memoryAllocation.limit",
        expect: "64",
    },
    Step {
        command: &["memtune", DOMAIN, "--min-guarantee", "16M"],
        path: "config.memoryAllocation.reservation",
        expect: "16",
    },
    Step { command: &["setvcpus", DOMAIN, "2"], path: "config.hardware.numCPU", expect: "2" },
    Step {
        command: &["schedinfo", DOMAIN, "reservation=100"],
        path: "config.cpuAllocation.reservation",
        expect: "100",
    },
    Step {
        command: &["attach-disk", DOMAIN, NEW_DISK, "sdc", "--create", "1M", "--thin"],
        path: DISKS,
        expect: "disk1.vmdk new.vmdk",
    },
    Step { command: &["detach-disk", DOMAIN, "sdc"], path: DISKS, expect: "disk1.vmdk" },
    // The file has stayed.
    Step {
        command: &["attach-disk", DOMAIN, NEW_DISK, "sdd"],
        path: DISKS,
        expect: "disk1.vmdk new.vmdk",
    },
    Step { command: &["detach-disk", DOMAIN, NEW_DISK], path: DISKS, expect: "disk1.vmdk" },
    Step {
        command: &["attach-interface", DOMAIN, "bridge", "VM Network", "--mac", MAC],
        path: CARDS,
        expect: "00:50:56:00:00:42 connected",
    },
    Step {
        command: &["domif-setlink", DOMAIN, MAC, "down"],
        path: CARDS,
        expect: "00:50:56:00:00:42 not connected",
    },
    Step {
        command: &["detach-interface", DOMAIN, "bridge", "--mac", MAC],
        path: CARDS,
        expect: "",
    },
    Step {
        command: &["desc", DOMAIN, "two words"],
        path: "config.annotation",
        expect: "\"two words\"",
    },
    Step {
        command: &["snapshot-create-as", DOMAIN, "one", "first <&>", "--disk-only"],
        path: "snapshot",
        expect: "one first <&> {}",
    },
    Step {
        command: &["snapshot-create-as", DOMAIN, "two"],
        path: "snapshot",
        expect: "one first <&> {two  {}}",
    },
    Step { command: &["snapshot-revert", DOMAIN, "one"], path: "current", expect: "one" },
    Step {
        command: &["snapshot-create-as", DOMAIN, "three"],
        path: "snapshot",
        expect: "one first <&> {two  {}three  {}}",
    },
    Step { command: &["snapshot-revert", DOMAIN, "two"], path: "current", expect: "two" },
    Step {
        command: &["snapshot-delete", DOMAIN, "three"],
        path: "snapshot",
        expect: "one first <&> {two  {}}",
    },
    Step {
        command: &["snapshot-delete", DOMAIN, "one", "--children"],
        path: "snapshot",
        expect: "",
    },
];

/// Stands for the machine's name.
const DOMAIN: &str = "DOMAIN";
/// A disk in the machine's directory.
const NEW_DISK: &str = "[LocalDS_0] DOMAIN/new.vmdk";
const MAC: &str = "00:50:56:00:00:42";
/// Stands for the names of the disks' files.
const DISKS: &str = "disks";
/// Stands for the network adapter [`MAC`], and whether it starts connected.
const CARDS: &str = "cards";

/// Runs the steps on a machine that is off, and takes it out of the inventory at the end.
pub(super) fn check(site: Site<'_>, report: &mut Report) {
    let Site { bench, server, facts, name, .. } = site;
    let found = report.check(format!("{name}: a machine to change"), || site.machine_off());
    let Some((tool, domain)) = found else { return };
    for Step { command, path, expect } in STEPS {
        let command: Vec<String> =
            command.iter().map(|word| word.replace(DOMAIN, &domain)).collect();
        let command: Vec<&str> = command.iter().map(String::as_str).collect();
        report.check(format!("{name}: {}: {path} is {expect}", command.join(" ")), || {
            tool.ask(&command)?;
            let now = property(bench, server, &domain, path)?;
            ensure!(now == *expect, "govc says {now}");
            Ok(())
        });
    }
    report.check(format!("{name}: what cannot be is refused and changes nothing"), || {
        for command in [["destroy", &domain], ["suspend", &domain], ["resume", &domain]] {
            let done = tool.run(&command)?;
            ensure!(done.status.code() == Some(1), "{command:?}: {}", done.status);
        }
        let now = property(bench, server, &domain, POWER)?;
        ensure!(now == "\"poweredOff\"", "govc says {now}");
        Ok(())
    });
    report.check(
        format!("{name}: disks, cards and figures of {domain} are what govc says"),
        || {
            let devices = property(bench, server, &domain, DEVICES)?;
            let devices: Value = serde_json::from_str(&devices)?;
            let listed = tool.ask(&["-q", "domblklist", &domain])?;
            for disk in files(&devices) {
                ensure!(listed.contains(&disk), "{disk} is not in {listed}");
            }
            let cards = tool.ask(&["-q", "domiflist", &domain])?;
            let stats = tool.ask(&["domstats", &domain])?;
            for mac in of_class(&devices, "macAddress").filter_map(Value::as_str) {
                ensure!(cards.contains(mac), "{mac} is not in {cards}");
                ensure!(stats.contains(mac), "{mac} is not in {stats}");
            }
            ensure!(stats.contains("state.state=5"), "{stats}");
            Ok(())
        },
    );
    let renamed = format!("{domain} renamed");
    report.check(format!("{name}: domrename {domain}"), || {
        tool.ask(&["domrename", &domain, &renamed])?;
        let left = govc(bench, server, &["find", "/", "-type", "m"])?;
        ensure!(left.lines().any(|path| path.ends_with(&format!("/{renamed}"))), "govc: {left}");
        tool.ask(&["domrename", &renamed, &domain])?;
        Ok(())
    });
    if name.contains("vCenter") {
        report.check(
            format!("{name}: {domain} stays where it is: vcsim's hosts deny vMotion"),
            || {
                let able = property(bench, server, &domain, "runtime.host")?;
                let other = facts.hosts.last().context("it has no host")?;
                let done = tool.run(&["migrate", &domain, &other.uri_path])?;
                ensure!(done.status.code() == Some(1), "ended with {}", done.status);
                ensure!(done.stderr.contains("virDomainMigrate"), "said {:?}", done.stderr);
                ensure!(property(bench, server, &domain, "runtime.host")? == able, "it has moved");
                Ok(())
            },
        );
    }
    report.check(format!("{name}: undefine {domain}"), || {
        tool.ask(&["undefine", &domain])?;
        let left = govc(bench, server, &["find", "/", "-type", "m"])?;
        ensure!(!left.lines().any(|path| path.ends_with(&format!("/{domain}"))), "govc: {left}");
        Ok(())
    });
}

/// A property of a machine in one line, by govc.
fn property(bench: &Bench, server: &Server, domain: &str, path: &str) -> anyhow::Result<String> {
    let wanted = match path {
        "current" => "snapshot",
        DISKS | CARDS => DEVICES,
        path => path,
    };
    let machines = collect(bench, server, "m", &["name", wanted])?;
    let machine = machines.into_iter().find(|(_, properties)| properties["name"] == domain);
    let value = machine.with_context(|| format!("govc knows no {domain}"))?.1[wanted].clone();
    Ok(match path {
        "snapshot" => tree(&value["rootSnapshotList"]),
        "current" => named(&value["rootSnapshotList"], &value["currentSnapshot"]["value"])
            .context("no snapshot is current")?,
        DISKS => {
            let names = files(&value);
            let names: Vec<&str> =
                names.iter().map(|name| name.rsplit('/').next().unwrap_or(name)).collect();
            names.join(" ")
        }
        CARDS => {
            let ours = items(&value).filter(|card| card["macAddress"] == MAC);
            let shown = ours.map(|card| {
                let connected = card["connectable"]["startConnected"] == true;
                format!("{MAC}{} connected", if connected { "" } else { " not" })
            });
            shown.collect()
        }
        _ => value.to_string(),
    })
}

pub(super) const DEVICES: &str = "config.hardware.device";

/// The files of hard disks.
fn files(devices: &Value) -> Vec<String> {
    let disks = items(devices).filter(|device| device.get("capacityInKB").is_some());
    disks.filter_map(|disk| disk["backing"]["fileName"].as_str()).map(str::to_owned).collect()
}

/// A member of the devices that have it.
fn of_class<'a>(devices: &'a Value, member: &'a str) -> impl Iterator<Item = &'a Value> {
    items(devices).filter_map(move |device| device.get(member))
}

/// The items of an `ArrayOf…` value, which govc writes as an object of its type and its items.
pub(super) fn items(array: &Value) -> impl Iterator<Item = &Value> {
    let items = array.get("_value").unwrap_or(array);
    items.as_array().into_iter().flatten()
}

/// The snapshots as `NAME DESCRIPTION {CHILDREN}`.
fn tree(nodes: &Value) -> String {
    let nodes = nodes.as_array().into_iter().flatten();
    nodes
        .map(|node| {
            let text = |key: &str| node[key].as_str().unwrap_or_default().to_owned();
            format!(
                "{} {} {{{}}}",
                text("name"),
                text("description"),
                tree(&node["childSnapshotList"])
            )
        })
        .collect()
}

/// The name of the snapshot with this reference.
fn named(nodes: &Value, reference: &Value) -> Option<String> {
    nodes.as_array()?.iter().find_map(|node| {
        if node["snapshot"]["value"] == *reference {
            return node["name"].as_str().map(str::to_owned);
        }
        named(&node["childSnapshotList"], reference)
    })
}
