//! Datastores, volumes and files on vcsim by `virtesx`; govc says what is there.

use anyhow::{Context, ensure};
use serde_json::Value;

use super::{
    super::{report::Report, tool::Tool},
    Site, collect,
};

const VOLUME: &str = "new folder/disk (1).vmdk";

/// Compares pools with what govc collects, and lets a volume live and die.
pub(super) fn check(site: Site<'_>, report: &mut Report) {
    let Site { bench, server, facts, name, .. } = site;
    let found = report.check(format!("{name}: a datastore to change"), || {
        let host = facts.hosts.first().context("govc names no host")?;
        let tool = site.connect(host)?;
        let pools: Value = serde_json::from_str(&tool.ask(&["-o", "json", "pool-list"])?)?;
        let first = pools[0]["name"].as_str().context("there is no pool")?.to_owned();
        Ok((tool, host, pools, first))
    });
    let Some((tool, host, pools, pool)) = found else { return };
    report.check(format!("{name}: pools are datastores, with govc's sizes"), || {
        // Another datacenter may have datastores of the same names.
        let mounted = collect(bench, server, "h", &["datastore"])?
            .into_iter()
            .find(|(moref, _)| *moref == host.moref)
            .context("govc does not list the host")?
            .1["datastore"]
            .to_string();
        let mut seen = 0;
        for (moref, properties) in collect(bench, server, "s", &["summary"])? {
            if !mounted.contains(&format!("\"{moref}\"")) {
                continue;
            }
            let summary = &properties["summary"];
            let mut listed = pools.as_array().into_iter().flatten();
            let listed = listed
                .find(|pool| pool["name"] == summary["name"])
                .with_context(|| format!("{} is no pool: {pools}", summary["name"]))?;
            seen += 1;
            for (ours, theirs) in [("capacity_bytes", "capacity"), ("available_bytes", "freeSpace")]
            {
                let (ours, theirs) = (&listed[ours], &summary[theirs]);
                ensure!(ours == theirs, "{}: {ours}, govc says {theirs}", summary["name"]);
            }
        }
        ensure!(seen > 0 && seen == pools.as_array().map_or(0, Vec::len), "{pools}");
        Ok(())
    });
    report.check(
        format!("{name}: a pool is found by name and UUID, described and refreshed"),
        || {
            let uuid = tool.ask(&["pool-uuid", &pool])?;
            ensure!(tool.ask(&["pool-name", uuid.trim()])?.trim() == pool, "{uuid}");
            let document = tool.ask(&["pool-dumpxml", &pool])?;
            ensure!(document.contains(&format!("<name>{pool}</name>")), "{document}");
            tool.ask(&["pool-refresh", &pool])?;
            Ok(())
        },
    );
    report.check(format!("{name}: a volume is made, found, copied and deleted"), || {
        volume(&tool, &pool)
    });
}

/// vcsim keeps descriptors and no data, and tells no capacities: names and existence are what can be compared.
fn volume(tool: &Tool<'_>, pool: &str) -> anyhow::Result<()> {
    let listed = |volume: &str| -> anyhow::Result<bool> {
        let volumes: Value = serde_json::from_str(&tool.ask(&["-o", "json", "vol-list", pool])?)?;
        let mut volumes = volumes.as_array().into_iter().flatten();
        Ok(volumes.any(|listed| listed["name"] == volume))
    };
    let refused = |command: &[&str]| -> anyhow::Result<()> {
        let done = tool.run(command)?;
        ensure!(done.status.code() == Some(1), "{command:?}: {}", done.status);
        ensure!(!done.stderr.contains("panicked"), "{}", done.stderr);
        Ok(())
    };
    ensure!(!listed(VOLUME)?, "it is there before");
    let create = ["vol-create-as", pool, VOLUME, "8M", "--allocation", "0"];
    tool.ask(&create)?;
    ensure!(listed(VOLUME)?, "it is not listed");
    refused(&create)?;
    let path = format!("[{pool}] {VOLUME}");
    ensure!(tool.ask(&["vol-path", VOLUME, pool])?.trim() == path, "another path");
    ensure!(tool.ask(&["vol-name", &path])?.trim() == VOLUME, "another name");
    ensure!(tool.ask(&["vol-pool", &path])?.trim() == pool, "another pool");
    let key = tool.ask(&["vol-key", VOLUME, pool])?;
    ensure!(tool.ask(&["vol-name", key.trim()])?.trim() == VOLUME, "not found by its key");
    tool.ask(&["vol-clone", VOLUME, "copy.vmdk", pool])?;
    ensure!(listed("copy.vmdk")?, "the copy is not listed");
    for volume in [VOLUME, "copy.vmdk"] {
        tool.ask(&["vol-delete", volume, pool])?;
        ensure!(!listed(volume)?, "{volume} is listed still");
        refused(&["vol-info", volume, pool])?;
    }
    refused(&["vol-info", "no such folder/disk.vmdk", pool])
}
