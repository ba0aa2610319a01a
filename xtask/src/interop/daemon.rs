//! The newest virsh, Debian's virsh and python3-libvirt through `virtesxd`, held against the newest virsh's own `esx://`.
//!
//! Two fresh simulated hosts: one is worked on through libvirt's own driver, the other through the daemon. Exit status
//! and standard output of every command must be the same, unless the table says why they are not.

mod clients;
mod script;

use std::{path::PathBuf, process::Command, time::Duration};

use anyhow::{Context, ensure};

use super::{
    Bench, BuildOptions, USER,
    report::Report,
    tool::{Program, Tool},
};
use crate::process::{self, Server};

const START: Duration = Duration::from_secs(60);
const PYTHON: Duration = Duration::from_secs(120);

/// Commands whose answers must be the same, in this order on both hosts.
const SAME: &[&str] = &[
    "hostname",
    "nodeinfo",
    "freecell",
    "capabilities",
    "list",
    "list --all --name",
    "list --all --uuid",
    "list --inactive --name",
    "list --all --with-snapshot",
    "dominfo web01",
    "dominfo nobody",
    "domstate web01",
    "domstate 99999",
    "domid web01",
    "domuuid web01",
    "domname 1",
    "domblklist web01",
    "domblklist web01 --details",
    "domiflist web01",
    "dumpxml web01",
    "dumpxml web01 --inactive",
    "dumpxml vm-00001",
    "dominfo console01",
    "schedinfo web01",
    "domhostname web01",
    "managedsave web01",
    "snapshot-list web01",
    "snapshot-list web01 --tree",
    "snapshot-current web01 --name",
    "snapshot-info web01 nobody",
    "start web01",
    "start vm-00001",
    "domstate vm-00001",
    "suspend vm-00001",
    "domstate vm-00001 --reason",
    "start vm-00001",
    "resume vm-00001",
    "domstate vm-00001",
    "destroy vm-00001",
    "destroy vm-00001",
    "domstate vm-00001",
    "snapshot-create-as vm-00001 one first",
    "snapshot-create-as vm-00001 two",
    "snapshot-list vm-00001 --name",
    "snapshot-list vm-00001 --tree",
    "snapshot-parent vm-00001 two",
    "snapshot-current vm-00001 --name",
    "snapshot-revert vm-00001 one",
    "snapshot-delete vm-00001 two",
    "snapshot-delete vm-00001 one --children",
    "snapshot-list vm-00001 --name",
    "autostart vm-00001",
    "dominfo vm-00001",
    "autostart vm-00001 --disable",
    "schedinfo vm-00001 --set shares=3000",
    "schedinfo vm-00001",
    "undefine vm-00003",
    "domstate vm-00003",
    "list --all --name",
];

/// Commands that succeed through the daemon only, and why.
const ONLY_OURS: &[(&str, &str)] = &[
    ("domstats web01 --state", "libvirt's driver has no statistics"),
    ("memtune web01", "libvirt's driver refuses the flag that the client adds for texts"),
    ("reset vm-00002", "libvirt's driver cannot reset"),
];

/// Commands that succeed on both sides with other answers, and why.
const DIFFERENT: &[(&str, &str)] = &[
    (
        "list --all",
        "libvirt's driver has no state for a machine without a UUID, so virsh leaves it out",
    ),
    ("domifaddr web01 --source agent", "libvirt's driver has 0 for every prefix"),
];

/// Commands that fail, and whose reasons everybody must be told in the same words.
const FAILING: &[&str] = &[
    "suspend console01",
    "undefine web01",
    "dumpxml lost",
    "setvcpus storage01 1000 --config",
    "pool-info nobody",
    "pool-refresh nfs-lost",
    "net-info nobody",
    "iface-dumpxml nobody",
    "snapshot-info web01 nobody",
    "domhostname console01",
];

/// What python3-libvirt is to do; it prints what it found.
const SCRIPT: &str = r#"
import hashlib, libvirt, sys, time
libvirt.virEventRegisterDefaultImpl()
connection = libvirt.open(sys.argv[1])
domains = connection.listAllDomains()
print("domains", len(domains))
web = connection.lookupByName("web01")
print("web", web.state()[0], web.isActive(), web.info()[3], "<name>web01</name>" in web.XMLDesc())
steps = []
connection.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE,
                                  lambda c, d, event, detail, o: steps.append((d.name(), event)), None)
libvirt.virEventAddTimeout(50, lambda *a: None, None)
machine = connection.lookupByName("vm-00005")
for _ in range(100):
    machine.create()
    machine.destroy()
end = time.time() + 30
while len(steps) < 200 and time.time() < end:
    libvirt.virEventRunDefaultImpl()
print("events", len(steps), steps == [("vm-00005", 2), ("vm-00005", 5)] * 100)
volume = connection.storagePoolLookupByName("datastore1").storageVolLookupByName("iso/debian-12.iso")
data = bytes(range(256)) * 20000
stream, rest = connection.newStream(), [data]
def give(stream, size, opaque):
    piece, rest[0] = rest[0][:size], rest[0][size:]
    return piece
volume.upload(stream, 0, len(data))
stream.sendAll(give, None)
stream.finish()
stream, taken = connection.newStream(), hashlib.sha256()
volume.download(stream, 0, 0)
stream.recvAll(lambda stream, piece, opaque: taken.update(piece), None)
stream.finish()
print("stream", taken.hexdigest() == hashlib.sha256(data).hexdigest())
errors = []
for fails in [
    lambda: connection.lookupByName("nobody"),
    lambda: connection.lookupByName("console01").suspend(),
    lambda: connection.lookupByName("lost").XMLDesc(),
    lambda: connection.lookupByName("storage01").setVcpusFlags(1000, libvirt.VIR_DOMAIN_AFFECT_CONFIG),
    lambda: connection.lookupByName("web01").snapshotLookupByName("nobody"),
    lambda: connection.lookupByName("web01").jobInfo(),
    lambda: connection.storagePoolLookupByName("nobody"),
    lambda: connection.storagePoolLookupByName("datastore1").storageVolLookupByName("nobody"),
    lambda: connection.networkLookupByName("nobody"),
    lambda: connection.interfaceLookupByName("nobody"),
]:
    try:
        fails()
    except libvirt.libvirtError as error:
        errors.append("%d/%d" % (error.get_error_code(), error.get_error_domain()))
print("errors", *errors)
connection.close()
"#;

/// Runs the script alone.
pub(super) fn run(options: &Options) -> anyhow::Result<()> {
    let bench = Bench::prepare(&options.build)?;
    let mut report = Report::default();
    let daemon = Daemon::start(&bench, "")?;
    if options.sections.is_empty() || options.sections.iter().any(|name| name == "clients") {
        clients::check(&bench, &daemon, &mut report);
    }
    script::check(&bench, &daemon, &options.sections, options.bless, &mut report);
    report.finish()
}

/// Runs every check of this part.
pub(super) fn check(bench: &Bench, report: &mut Report) {
    let hosts = report.check("daemon: two hosts and the daemon start", || Hosts::start(bench));
    let Some(hosts) = hosts else { return };
    for words in SAME {
        report.check(format!("daemon: {words}"), || hosts.same(words));
    }
    for (words, reason) in ONLY_OURS {
        report.check(format!("daemon: {words} ({reason})"), || {
            let words: Vec<&str> = words.split(' ').collect();
            ensure!(!hosts.theirs.run(&words)?.status.success(), "libvirt's driver can it too");
            hosts.ours.ask(&words).map(drop)
        });
    }
    for (words, reason) in DIFFERENT {
        report.check(format!("daemon: {words} ({reason})"), || {
            let words: Vec<&str> = words.split(' ').collect();
            ensure!(
                hosts.theirs.ask(&words)? != hosts.ours.ask(&words)?,
                "the answers are the same"
            );
            Ok(())
        });
    }
    report.check("daemon: Debian's virsh lists the same", || {
        let list = ["list", "--all", "--name"];
        let (debian, newest) = (hosts.debian.ask(&list)?, hosts.ours.ask(&list)?);
        ensure!(debian == newest, "{debian}\n---\n{newest}");
        Ok(())
    });
    for words in FAILING {
        report.check(format!("daemon: {words} fails in the same words everywhere"), || {
            hosts.same_words(words)
        });
    }
    report.check("daemon: readers change nothing", || {
        let refused = hosts.reader.run(&["start", "vm-00007"])?;
        ensure!(!refused.status.success(), "it was started");
        ensure!(refused.stderr.contains("read only"), "{}", refused.stderr);
        hosts.reader.ask(&["dumpxml", "web01"]).map(drop)
    });
    report.check("daemon: python3-libvirt lists, reads, hears 200 events in order, and streams there and back", || {
        let said = hosts.python(bench)?;
        let lines: Vec<&str> = said.lines().collect();
        let [domains, web, events, stream, errors] = lines[..] else { anyhow::bail!("{said}") };
        let listed = hosts.ours.ask(&["list", "--all", "--name"])?.lines().count();
        ensure!(domains == format!("domains {listed}"), "{said}, but virsh lists {listed}");
        ensure!(web == "web 1 1 4 True", "{said}");
        ensure!(events == "events 200 True", "{said}");
        ensure!(stream == "stream True", "{said}");
        // Code and domain; 28 is ESX, and what no driver has belongs to none.
        let expected = "errors 42/28 55/28 1/28 8/28 72/28 3/0 49/28 50/28 43/28 57/28";
        ensure!(errors == expected, "{said}");
        Ok(())
    });
    clients::check(bench, &hosts.daemon, report);
    script::check(bench, &hosts.daemon, &[], false, report);
}

/// What to run.
#[derive(clap::Args)]
pub(super) struct Options {
    /// Only these sections of the scripts (their headings' first words), or `clients`.
    sections: Vec<String>,
    /// Write the differences found into the script. Reasons are yours to write: a difference without one fails.
    #[arg(long)]
    bless: bool,
    #[command(flatten)]
    build: BuildOptions,
}

struct Hosts<'a> {
    theirs: Tool<'a>,
    ours: Tool<'a>,
    debian: Tool<'a>,
    reader: Tool<'a>,
    /// `virtesx` without the daemon and with it.
    virtesx: [Tool<'a>; 2],
    /// As a program inside the newest virsh's folder sees it.
    uri: String,
    _servers: [Server; 2],
    daemon: Daemon,
}

/// A running daemon.
pub(super) struct Daemon {
    /// Where its sockets are, and files for a virsh in a folder of its own.
    folder: tempfile::TempDir,
    /// The folder that the newest virsh lives in.
    root: PathBuf,
    _server: Server,
}

impl Daemon {
    pub(super) fn start(bench: &Bench, config: &str) -> anyhow::Result<Self> {
        // Sockets lie where the newest virsh, which lives in a folder of its own, can reach them.
        let root = newest_root(bench)?;
        let folder = tempfile::Builder::new()
            .prefix("virtesxd-")
            .tempdir_in(root.join("tmp"))
            .context("make a folder for the sockets")?;
        let file = bench.home.path().join("virtesxd.toml");
        std::fs::write(&file, config).context("write the daemon's configuration")?;
        let socket = |name: &str| folder.path().join(name);
        let mut daemon = Command::new(&bench.virtesxd);
        daemon.arg("--config").arg(&file).arg("--socket").arg(socket("sock"));
        daemon.arg("--socket-ro").arg(socket("sock-ro"));
        daemon.env("LIBVIRT_AUTH_FILE", bench.auth_file());
        let server = Server::start(&mut daemon, START)?;
        Ok(Self { folder, root, _server: server })
    }

    /// A file of the daemon's folder as the newest virsh sees it.
    fn inside(&self, name: &str) -> anyhow::Result<String> {
        let path = self.folder.path().join(name);
        let path = path.strip_prefix(&self.root).context("a file outside of the folder")?;
        Ok(format!("/{}", path.display()))
    }

    /// The URI of a target, or of a host with parameters.
    pub(super) fn uri(&self, socket: &str, inside: bool, place: &str) -> anyhow::Result<String> {
        let path = match inside {
            true => self.inside(socket)?,
            false => self.folder.path().join(socket).display().to_string(),
        };
        let sign = if place.contains('?') { '&' } else { '?' };
        Ok(format!("esx+unix:///{place}{sign}socket={path}"))
    }
}

impl<'a> Hosts<'a> {
    fn start(bench: &'a Bench) -> anyhow::Result<Self> {
        let theirs = super::virsh::start(bench, &["--vms", "12"])?;
        let ours = super::virsh::start(bench, &["--vms", "12"])?;
        let uri = |server: &Server| -> anyhow::Result<String> {
            Ok(format!("esx://{USER}@{}/?transport=http", server.authority()?))
        };
        let config = format!(
            "[target.sim]\nuri = '{}'\nauth_file = '{}'\n",
            uri(&ours)?,
            bench.auth_file().display()
        );
        let daemon = Daemon::start(bench, &config)?;
        let newest = |uri: String| Tool::new(bench, Program::NewestVirsh, uri);
        Ok(Self {
            theirs: newest(uri(&theirs)?),
            ours: newest(daemon.uri("sock", true, "sim")?),
            debian: Tool::new(bench, Program::DebianVirsh, daemon.uri("sock", false, "sim")?),
            reader: newest(daemon.uri("sock-ro", true, "sim")?),
            virtesx: [uri(&ours)?, daemon.uri("sock", false, "sim")?]
                .map(|uri| Tool::new(bench, Program::Virtesx, uri)),
            uri: daemon.uri("sock", true, "sim")?,
            _servers: [theirs, ours],
            daemon,
        })
    }

    fn same(&self, words: &str) -> anyhow::Result<()> {
        let words: Vec<&str> = words.split(' ').collect();
        let (theirs, ours) = (self.theirs.run(&words)?, self.ours.run(&words)?);
        ensure!(
            theirs.status == ours.status,
            "{} here, {} there: {}{}",
            ours.status,
            theirs.status,
            ours.stderr,
            theirs.stderr
        );
        ensure!(theirs.stdout == ours.stdout, "{}\n--- theirs\n{}", ours.stdout, theirs.stdout);
        Ok(())
    }

    /// What `virtesx` says without the daemon it says with it to the letter, and both virshs give its reason.
    fn same_words(&self, words: &str) -> anyhow::Result<()> {
        let words: Vec<&str> = words.split(' ').collect();
        let [plain, behind] = &self.virtesx;
        let (plain, behind) = (plain.run(&words)?, behind.run(&words)?);
        ensure!(!plain.status.success() && plain.status == behind.status, "{}", behind.status);
        ensure!(plain.stderr == behind.stderr, "{}\n--- direct\n{}", behind.stderr, plain.stderr);
        for virsh in [&self.ours, &self.debian] {
            let said = virsh.run(&words)?;
            ensure!(!said.status.success(), "virsh can do it");
            // `error: `, libvirt's opening for the code, and the reason.
            let last = said.stderr.trim_end().lines().last().unwrap_or_default();
            let reason = last.splitn(3, ": ").nth(2).with_context(|| said.stderr.clone())?;
            ensure!(
                plain.stderr.trim_end().ends_with(reason),
                "{}\n--- virtesx\n{}",
                said.stderr,
                plain.stderr
            );
        }
        Ok(())
    }

    fn python(&self, bench: &Bench) -> anyhow::Result<String> {
        let mut python = Command::new("chroot");
        python.arg(newest_root(bench)?).args(["python3", "-c", SCRIPT, &self.uri]);
        let done = process::run(&mut python, PYTHON)?;
        ensure!(done.status.success(), "{}: {}", done.status, done.stderr);
        Ok(done.stdout)
    }
}

/// The folder that the newest virsh lives in.
fn newest_root(bench: &Bench) -> anyhow::Result<PathBuf> {
    let done = process::run(bench.peers.newest_virsh().arg("root"), START)?;
    ensure!(done.status.success(), "{}", done.stderr);
    Ok(PathBuf::from(done.stdout.trim()))
}
