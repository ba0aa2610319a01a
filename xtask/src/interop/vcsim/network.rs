//! Networks and interfaces on vcsim by `virtesx`; govc says what is there.
//!
//! vcsim changes the switches of its `HostNetworkSystem.networkInfo` and leaves `HostSystem.config.network`, which real hosts
//! keep the same and which is read here as libvirt reads it, as it was. So a network that is made does not show, and what came
//! of it is asked of govc. The cards are in `config.network` alone.

use anyhow::{Context, ensure};
use serde_json::Value;

use super::{
    super::{Bench, report::Report, tool::Tool},
    Site, govc,
};
use crate::process::Server;

const NETWORK: &str = "<network><name>vs new</name>\
     <portgroup name='pg one'><vlan><tag id='7'/></vlan></portgroup><portgroup name='pg two'/></network>";

/// Compares switches and cards with what govc collects, and has a switch made.
pub(super) fn check(site: Site<'_>, report: &mut Report) {
    let Site { bench, server, facts, name, .. } = site;
    let found = report.check(format!("{name}: the networks of a host"), || {
        let host = facts.hosts.first().context("govc names no host")?;
        let tool = site.connect(host)?;
        Ok((tool, Networks::read(bench, server, &host.moref)?))
    });
    let Some((tool, networks)) = found else { return };
    report.check(format!("{name}: networks are switches, their port groups govc's"), || {
        let listed = names(&tool, &["-o", "json", "net-list", "--all"])?;
        ensure!(listed == networks.switches(), "ours {listed:?}, theirs {:?}", networks.switches());
        for switch in &listed {
            let document = tool.ask(&["net-dumpxml", switch])?;
            ensure!(document.contains(&format!("<name>{switch}</name>")), "{document}");
            for card in networks.cards_of(switch) {
                ensure!(document.contains(&format!("<interface dev='{card}'/>")), "{document}");
            }
            let uuid = tool.ask(&["net-uuid", switch])?;
            ensure!(tool.ask(&["net-name", uuid.trim()])?.trim() == switch, "{uuid}");
        }
        Ok(())
    });
    report.check(format!("{name}: interfaces are the host's cards"), || {
        let listed = names(&tool, &["-o", "json", "iface-list", "--all"])?;
        let theirs = networks.cards();
        ensure!(listed == theirs, "ours {listed:?}, theirs {theirs:?}");
        for card in &listed {
            let mac = tool.ask(&["iface-mac", card])?;
            ensure!(tool.ask(&["iface-name", mac.trim()])?.trim() == card, "{mac}");
        }
        Ok(())
    });
    report.check(
        format!("{name}: a switch with port groups is made, though it does not show"),
        || {
            let file = bench.home.path().join("network.xml");
            std::fs::write(&file, NETWORK)?;
            let file = file.to_str().context("an odd path")?;
            let done = tool.run(&["net-define", file])?;
            let known = done.stderr.contains("the new network \"vs new\" has gone already");
            ensure!(known, "{}: {}", done.status, done.stderr);
            let host = facts.hosts.first().context("govc names no host")?;
            let now = Networks::read(bench, server, &host.moref)?;
            let made = now.groups_of("vs new");
            ensure!(made == ["pg one 7", "pg two 0"], "govc says {made:?}");
            Ok(())
        },
    );
    report.check(format!("{name}: what cannot be is refused and changes nothing"), || {
        let taken = bench.home.path().join("taken.xml");
        std::fs::write(&taken, "<network><name>vSwitch0</name></network>")?;
        let taken = taken.to_str().context("an odd path")?;
        for command in [["net-define", taken], ["net-undefine", "no such network"]] {
            let done = tool.run(&command)?;
            ensure!(done.status.code() == Some(1), "{command:?}: {}", done.status);
            ensure!(!done.stderr.contains("panicked"), "{}", done.stderr);
        }
        Ok(())
    });
}

/// The names in a list.
fn names(tool: &Tool<'_>, command: &[&str]) -> anyhow::Result<Vec<String>> {
    let listed: Value = serde_json::from_str(&tool.ask(command)?)?;
    Ok(texts(&listed, "name"))
}

/// A member of each item, sorted.
fn texts(items: &Value, member: &str) -> Vec<String> {
    let items = items.as_array().into_iter().flatten();
    let mut texts: Vec<String> =
        items.filter_map(|item| item[member].as_str()).map(str::to_owned).collect();
    texts.sort();
    texts
}

/// What govc prints of a host's networks.
struct Networks {
    /// `HostNetworkSystem.networkInfo`.
    info: Value,
    /// `config.network.pnic`.
    cards: Value,
}

impl Networks {
    fn read(bench: &Bench, server: &Server, host: &str) -> anyhow::Result<Self> {
        let host = format!("HostSystem:{host}");
        let system = govc(bench, server, &["collect", "-s", &host, "configManager.networkSystem"])?;
        let info = govc(bench, server, &["collect", "-json", system.trim(), "networkInfo"])?;
        let info: Value = serde_json::from_str(&info).context("read govc's networks")?;
        let cards = govc(bench, server, &["collect", "-json", &host, "config.network.pnic"])?;
        let cards: Value = serde_json::from_str(&cards).context("read govc's cards")?;
        Ok(Self { info: info[0]["val"].clone(), cards: cards[0]["val"]["_value"].clone() })
    }

    fn switches(&self) -> Vec<String> {
        texts(&self.info["vswitch"], "name")
    }

    fn cards(&self) -> Vec<String> {
        texts(&self.cards, "device")
    }

    /// The cards that a switch is bridged to.
    fn cards_of(&self, switch: &str) -> Vec<String> {
        let mut switches = self.info["vswitch"].as_array().into_iter().flatten();
        let switch = switches.find(|item| item["name"] == switch);
        let cards = switch.and_then(|item| item["spec"]["bridge"]["nicDevice"].as_array());
        cards.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// The port groups of a switch, each with its VLAN.
    fn groups_of(&self, switch: &str) -> Vec<String> {
        let groups = self.info["portgroup"].as_array().into_iter().flatten();
        let own = groups.filter(|group| group["spec"]["vswitchName"] == switch);
        let shown = own.filter_map(|group| {
            Some(format!("{} {}", group["spec"]["name"].as_str()?, group["spec"]["vlanId"]))
        });
        shown.collect()
    }
}
