//! virt-install and virt-xml through the daemon, and the virshs through the daemon to vcsim.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use super::{Bench, Daemon, Report, USER};
use crate::interop::tool::{Program, Tool};
use crate::process;

const PATIENCE: Duration = Duration::from_secs(120);

/// What both virshs and `virtesx` say alike about a host of vcsim's.
const READS: &[&str] = &[
    "hostname",
    "nodeinfo",
    "list",
    "list --all",
    "list --all --name",
    "dominfo ha-host_VM0",
    "domstate ha-host_VM1",
    "dominfo nobody",
    "dumpxml ha-host_VM0",
    "pool-list",
    "net-list",
    "snapshot-list ha-host_VM0 --name",
];

/// Runs every check.
pub(super) fn check(bench: &Bench, daemon: &Daemon, report: &mut Report) {
    report.check("daemon: virt-install makes and starts a machine, virt-xml changes it", || {
        install(bench, daemon)
    });
    let server = report.check("daemon vcsim: starts", || {
        let server = crate::interop::vcsim::start(bench, false, &["-esx", "-vm", "2"])?;
        let place = format!("{USER}@{}", server.authority()?);
        Ok((server, place))
    });
    let Some((_server, place)) = server else { return };
    let plain = Tool::new(bench, Program::Virtesx, format!("esx://{place}/?transport=http"));
    let behind = |program| -> anyhow::Result<Tool<'_>> {
        let inside = program == Program::NewestVirsh;
        let uri = daemon.uri("sock", inside, &format!("{place}?transport=http"))?;
        Ok(Tool::new(bench, program, uri))
    };
    let virshs = report.check("daemon vcsim: both virshs", || {
        Ok([behind(Program::NewestVirsh)?, behind(Program::DebianVirsh)?])
    });
    let Some(virshs) = virshs else { return };
    for words in READS {
        report.check(format!("daemon vcsim: {words}"), || {
            let words: Vec<&str> = words.split(' ').collect();
            let ours = plain.run(&words)?;
            for virsh in &virshs {
                let theirs = virsh.run(&words)?;
                ensure!(theirs.status == ours.status, "{}{}", theirs.stderr, ours.stderr);
                let (theirs, ours) = (theirs.stdout.trim_end(), ours.stdout.trim_end());
                ensure!(theirs == ours, "{theirs}\n--- virtesx\n{ours}");
            }
            Ok(())
        });
    }
    vcenter(bench, daemon, report);
    report.check("daemon vcsim: what the virshs change, virtesx sees", || {
        let state = || plain.ask(&["domstate", "ha-host_VM0"]);
        for virsh in &virshs {
            virsh.ask(&["destroy", "ha-host_VM0"])?;
            ensure!(state()? == "shut off", "it is {}", state()?);
            virsh.ask(&["start", "ha-host_VM0"])?;
            ensure!(state()? == "running", "it is {}", state()?);
            virsh.ask(&["snapshot-create-as", "ha-host_VM0", "one"])?;
            let snapshots = plain.ask(&["snapshot-list", "ha-host_VM0", "--name"])?;
            ensure!(snapshots == "one", "{snapshots}");
            virsh.ask(&["snapshot-delete", "ha-host_VM0", "one"])?;
        }
        Ok(())
    });
}

/// Every host of a vCenter of vcsim's, by `vpx+unix://`.
fn vcenter(bench: &Bench, daemon: &Daemon, report: &mut Report) {
    let started = report.check("daemon vcsim vCenter: starts", || {
        let (server, hosts) = crate::interop::vcsim::start_vcenter(bench)?;
        ensure!(hosts.values().any(|machines| !machines.is_empty()), "it has no machines");
        Ok((server, hosts))
    });
    let Some((server, hosts)) = started else { return };
    for (path, machines) in &hosts {
        report.check(
            format!("daemon vcsim vCenter {path}: virshs and virtesx say the same"),
            || {
                let place = format!("{USER}@{}{path}?transport=http", server.authority()?);
                let plain = Tool::new(bench, Program::Virtesx, format!("vpx://{place}"));
                let behind = |program| -> anyhow::Result<Tool<'_>> {
                    let uri = daemon.uri("sock", program == Program::NewestVirsh, &place)?;
                    Ok(Tool::new(bench, program, uri.replacen("esx+", "vpx+", 1)))
                };
                let programs = [Program::NewestVirsh, Program::DebianVirsh, Program::Virtesx];
                let programs =
                    programs.map(behind).into_iter().collect::<anyhow::Result<Vec<_>>>()?;
                let mut commands: Vec<Vec<&str>> = [
                    "hostname",
                    "list --all",
                    "list --all --name",
                    "pool-list",
                    "net-list",
                    "dominfo nobody",
                ]
                .iter()
                .map(|words| words.split(' ').collect())
                .collect();
                for machine in machines {
                    for command in ["dominfo", "domstate", "dumpxml"] {
                        commands.push(vec![command, machine]);
                    }
                }
                for words in &commands {
                    let ours = plain.run(words)?;
                    for program in &programs {
                        let theirs = program.run(words)?;
                        ensure!(
                            theirs.status == ours.status,
                            "{words:?}: {}{}",
                            theirs.stderr,
                            ours.stderr
                        );
                        let (theirs, ours) = (theirs.stdout.trim_end(), ours.stdout.trim_end());
                        ensure!(theirs == ours, "{words:?}: {theirs}\n--- virtesx\n{ours}");
                    }
                }
                let listed = plain.ask(&["list", "--all", "--name"])?;
                ensure!(listed.lines().count() == machines.len(), "{listed}");
                Ok(())
            },
        );
    }
}

/// What the packages of Debian's virt-manager do with a host that is not their own machine.
fn install(bench: &Bench, daemon: &Daemon) -> anyhow::Result<()> {
    let host = crate::interop::virsh::start(bench, &["--vms", "1"])?;
    let place = format!("{USER}@{}?transport=http", host.authority()?);
    let uri = daemon.uri("sock", false, &place)?;
    let virsh = Tool::new(bench, Program::DebianVirsh, &uri);
    virsh.ask(&["vol-create-as", "datastore1", "new/new.vmdk", "1G", "--format", "vmdk"])?;
    let run = |program: &str, arguments: &[&str]| -> anyhow::Result<String> {
        let mut command = Command::new(program);
        command.args(["--connect", &uri]).args(arguments);
        command.env("HOME", bench.home.path()).env("LC_ALL", "C.UTF-8");
        let done = process::run(&mut command, PATIENCE)
            .with_context(|| format!("{program} (Debian: virtinst)"))?;
        ensure!(done.status.success(), "{program}: {}{}", done.stdout, done.stderr);
        Ok(done.stdout)
    };
    let machine = [
        "--name=new",
        "--memory=512",
        "--vcpus=1",
        "--import",
        "--osinfo=detect=off,require=off",
        "--graphics=none",
        "--network=none",
        "--disk=path=/vmfs/volumes/datastore1/new/new.vmdk,bus=scsi",
    ];
    let document = run("virt-install", &[&machine[..], &["--print-xml"]].concat())?;
    let source = "[datastore1] new/new.vmdk";
    ensure!(document.contains(source), "{document}");
    run("virt-install", &[&machine[..], &["--noautoconsole"]].concat())?;
    let plain = format!("esx://{USER}@{}/?transport=http", host.authority()?);
    let plain = Tool::new(bench, Program::Virtesx, plain);
    ensure!(plain.ask(&["domstate", "new"])? == "running", "it does not run");
    let disks = plain.ask(&["domblklist", "new"])?;
    ensure!(disks.contains(source), "{disks}");
    plain.ask(&["destroy", "new"])?;
    run("virt-xml", &["new", "--edit", "--memory=1024"])?;
    let told = plain.ask(&["dominfo", "new"])?;
    ensure!(told.contains("1048576 KiB"), "{told}");
    Ok(())
}
