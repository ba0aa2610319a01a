//! Datastores, volumes and files on vcsim by `virtesx`; govc says what is there.

use anyhow::{Context, ensure};
use serde_json::Value;

use super::{
    super::{Bench, report::Report, tool::Tool},
    Facts, changes, collect,
};
use crate::process::Server;

/// How far two looks at the free room may be apart, in bytes.
const SLACK: u64 = 64 << 20;
const VOLUME: &str = "new folder/disk (1).vmdk";

/// Compares pools with what govc collects, and lets a volume live and die.
pub(super) fn check(
    bench: &Bench,
    server: &Server,
    facts: &Facts,
    tls: bool,
    name: &str,
    report: &mut Report,
) {
    let found = report.check(format!("{name}: a datastore to change"), || {
        let host = facts.hosts.first().context("govc names no host")?;
        let tool = changes::connect(bench, server, host, tls, name)?;
        let pools: Value = serde_json::from_str(&tool.ask(&["-o", "json", "pool-list"])?)?;
        let first = pools[0]["name"].as_str().context("there is no pool")?.to_owned();
        Ok((tool, pools, first))
    });
    let Some((tool, pools, pool)) = found else { return };
    report.check(format!("{name}: pools are datastores, with govc's sizes"), || {
        let stores = collect(bench, server, "s", &["summary"])?;
        let mut seen = 0;
        for (_, properties) in stores {
            let summary = &properties["summary"];
            let listed = pools.as_array().into_iter().flatten();
            let Some(listed) = listed.into_iter().find(|pool| pool["name"] == summary["name"])
            else {
                continue;
            };
            seen += 1;
            // The free room is looked at twice, and what the checks before have made may go in between.
            for (ours, theirs, slack) in
                [("capacity_bytes", "capacity", 0), ("available_bytes", "freeSpace", SLACK)]
            {
                let (ours, theirs) = (&listed[ours], &summary[theirs]);
                let near = ours
                    .as_u64()
                    .zip(theirs.as_u64())
                    .is_some_and(|(ours, theirs)| ours.abs_diff(theirs) <= slack);
                ensure!(near, "{}: {ours}, govc says {theirs}", summary["name"]);
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
