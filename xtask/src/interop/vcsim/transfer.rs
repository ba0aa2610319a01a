//! Transfers on vcsim by `virtesx`: the data of a volume up and down, and the export of a machine.
//!
//! vcsim keeps descriptors without data files, which an upload makes; its descriptors have the parent ID 0 where the format
//! wants ffffffff. It decodes `dcPath` once, where vCenters take it encoded twice, as libvirt sends it: a datacenter in a folder
//! is not found. Its machines' VMX files are empty, so that only one that was defined can be exported, and it gives no
//! leases (`ExportVm` is `MethodNotFound`).

use anyhow::{Context, ensure};
use serde_json::Value;

use super::{
    super::{Bench, report::Report, tool::Tool},
    Site,
};

/// The size of the volume, and of its data.
const SIZE: usize = 1 << 20;

/// Lets data go up and down, and exports a machine of a host.
pub(super) fn check(site: Site<'_>, report: &mut Report) {
    let Site { bench, facts, name, .. } = site;
    let found = report.check(format!("{name}: a directory to write to"), || {
        let running = facts.machines.iter().filter(|machine| machine.state == "running");
        let placed = running.filter_map(|machine| {
            Some((machine, facts.hosts.iter().find(|host| host.moref == machine.host)?))
        });
        // In a datacenter that is in no folder.
        let found = placed.min_by_key(|(_, host)| host.uri_path.len());
        let (machine, host) = found.context("no machine runs on a known host")?;
        let tool = site.connect(host)?;
        let blocks = tool.ask(&["-q", "domblklist", &machine.name])?;
        let disk =
            blocks.lines().find_map(|line| line.split_once('[')).context("it has no disk")?;
        let (pool, path) = disk.1.split_once("] ").context("an odd path")?;
        let directory = path.rsplit_once('/').context("no directory")?.0;
        Ok((tool, pool.to_owned(), directory.to_owned()))
    });
    let Some((tool, pool, directory)) = found else { return };
    let volume = format!("{directory}/moved.vmdk");
    report
        .check(format!("{name}: what a volume is given comes back, all of it and a part"), || {
            transfer(bench, &tool, &pool, &volume)
        });
    if name.contains("host") {
        report.check(format!("{name}: a machine is exported, its disk as it was given"), || {
            export(bench, &tool, &pool, &volume)
        });
    }
}

/// Bytes that no two sectors share.
fn data() -> Vec<u8> {
    (0..SIZE).map(|i| (i * 7 + i / 251 + i / 4099) as u8).collect()
}

fn transfer(bench: &Bench, tool: &Tool<'_>, pool: &str, volume: &str) -> anyhow::Result<()> {
    let file = |name: &str| bench.home.path().join(name).to_string_lossy().into_owned();
    let (up, down) = (file("up.img"), file("down.img"));
    std::fs::write(&up, data())?;
    tool.ask(&["vol-create-as", pool, volume, "1M"])?;
    tool.ask(&["vol-upload", volume, &up, pool])?;
    tool.ask(&["vol-download", volume, &down, pool])?;
    ensure!(std::fs::read(&down)? == data(), "other bytes came back");
    tool.ask(&["vol-download", volume, &down, pool, "--offset", "1000", "--length", "70000"])?;
    ensure!(std::fs::read(&down)? == data()[1000..71_000], "other bytes of the middle came back");
    // Another upload replaces all of it: what is not given is zero.
    std::fs::write(&up, [7; 1000])?;
    tool.ask(&["vol-upload", volume, &up, pool])?;
    tool.ask(&["vol-download", volume, &down, pool])?;
    let mut expect = vec![7; 1000];
    expect.resize(SIZE, 0);
    ensure!(std::fs::read(&down)? == expect, "something of the old data is left");
    std::fs::write(&up, data())?;
    tool.ask(&["vol-upload", volume, &up, pool])?;
    Ok(())
}

fn export(bench: &Bench, tool: &Tool<'_>, pool: &str, volume: &str) -> anyhow::Result<()> {
    let before = uuids(tool)?;
    let document = bench.home.path().join("exported.xml");
    std::fs::write(
        &document,
        format!(
            "<domain type='vmware'><name>exported</name><memory unit='MiB'>32</memory><vcpu>1</vcpu>\
             <os><type arch='x86_64'>hvm</type></os><devices><disk type='file' device='disk'>\
             <source file='[{pool}] {volume}'/><target dev='sda' bus='scsi'/></disk></devices></domain>"
        ),
    )?;
    tool.ask(&["define", document.to_str().context("an odd path")?])?;
    // vcsim calls it like its directory, so that it is known by its UUID alone, and has it without devices.
    let domain = uuids(tool)?.into_iter().find(|uuid| !before.contains(uuid));
    let domain = domain.context("no machine is new")?;
    tool.ask(&["attach-disk", &domain, &format!("[{pool}] {volume}"), "sda"])?;
    let out = bench.home.path().join("exported");
    let place = out.to_str().context("an odd path")?;
    let told: Value = serde_json::from_str(&tool.ask(&["-o", "json", "export", &domain, place])?)?;
    ensure!(told["resumed"] == false, "{told}");
    let manifest: Value = serde_json::from_slice(&std::fs::read(out.join("manifest.json"))?)?;
    ensure!(manifest["complete"] == true, "{manifest}");
    ensure!(std::fs::read(out.join("moved-flat.vmdk"))? == data(), "another disk");
    // Once more: everything is there.
    let told: Value = serde_json::from_str(&tool.ask(&["-o", "json", "export", &domain, place])?)?;
    ensure!(told["resumed"] == true && told["transferred_bytes"] == 0, "{told}");
    let done = tool.run(&["export", &domain, &format!("{place}-nfc"), "--nfc"])?;
    ensure!(done.status.code() == Some(1), "ended with {}", done.status);
    ensure!(done.stderr.contains("(MethodNotFound)"), "said {:?}", done.stderr);
    std::fs::remove_dir_all(&out)?;
    tool.ask(&["undefine", &domain])?;
    Ok(())
}

/// The UUIDs of all machines.
fn uuids(tool: &Tool<'_>) -> anyhow::Result<Vec<String>> {
    let listed = tool.ask(&["-q", "list", "--all", "--uuid"])?;
    Ok(listed.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect())
}
