//! The live view of `virtesxd`: virsh reads, and what goes to the host is counted; others change things, and virsh sees it.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};

use super::{
    Bench, USER,
    report::Report,
    tool::{Program, Tool},
    vcsim,
};
use crate::process::{self, Server};

const START: Duration = Duration::from_secs(60);
/// What others did must be seen in this time; it takes milliseconds.
const SEEN: Duration = Duration::from_secs(60);
/// How often a count is taken anew if a wait for updates was just being renewed.
const ATTEMPTS: u32 = 5;

/// Counts the bytes that go through it to a host.
struct Counter {
    authority: String,
    sent: Arc<AtomicU64>,
}

impl Counter {
    /// Stands in front of `host` until the program ends.
    fn start(host: &str) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("listen")?;
        let authority = listener.local_addr().context("ask for the port")?.to_string();
        let sent = Arc::new(AtomicU64::new(0));
        let (host, counted) = (host.to_owned(), Arc::clone(&sent));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // A host that is not there ends the client's connection, as it would itself.
                let Ok(server) = TcpStream::connect(&host) else { continue };
                let (Ok(from), Ok(to)) = (client.try_clone(), server.try_clone()) else { continue };
                let counted = Arc::clone(&counted);
                thread::spawn(move || pass(from, to, Some(&counted)));
                thread::spawn(move || pass(server, client, None));
            }
        });
        Ok(Self { authority, sent })
    }

    fn sent(&self) -> u64 {
        self.sent.load(Ordering::SeqCst)
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, count: Option<&AtomicU64>) {
    let mut buffer = [0; 1 << 14];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        if let Some(count) = count {
            count.fetch_add(read as u64, Ordering::SeqCst);
        }
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    // Either may be closed already.
    let _ = to.shutdown(Shutdown::Write);
}

/// A host, a counter in front of it, a daemon in front of that, and virsh.
struct Scene<'a> {
    counter: Counter,
    virsh: Tool<'a>,
    _daemon: Server,
    _folder: tempfile::TempDir,
}

impl<'a> Scene<'a> {
    fn start(bench: &'a Bench, host: &Server, name: &str) -> anyhow::Result<Self> {
        let counter = Counter::start(host.authority()?)?;
        let folder = tempfile::tempdir().context("make a folder for the socket")?;
        let config = folder.path().join("virtesxd.toml");
        let text = format!(
            "[target.{name}]\nuri = 'esx://{USER}@{}/?transport=http'\nauth_file = '{}'\n",
            counter.authority,
            bench.auth_file().display()
        );
        std::fs::write(&config, text).context("write the daemon's configuration")?;
        let socket = folder.path().join("sock");
        let mut daemon = Command::new(&bench.virtesxd);
        daemon.arg("--config").arg(&config).arg("--socket").arg(&socket);
        let daemon = Server::start(&mut daemon, START)?;
        let uri = format!("esx+unix:///{name}?socket={}", socket.display());
        let virsh = Tool::new(bench, Program::DebianVirsh, uri);
        Ok(Self { counter, virsh, _daemon: daemon, _folder: folder })
    }

    /// Runs a command that must cost the host nothing.
    fn costs_nothing(&self, words: &[&str]) -> anyhow::Result<String> {
        for _ in 0..ATTEMPTS {
            let before = self.counter.sent();
            let answer = self.virsh.ask(words)?;
            if self.counter.sent() == before {
                return Ok(answer);
            }
        }
        bail!("{words:?} sends something to the host each time")
    }

    /// Names and states, as virsh says them.
    fn states(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let table = self.virsh.ask(&["list", "--all"])?;
        let mut states = BTreeMap::new();
        for line in table.lines().skip(2) {
            let mut words = line.split_whitespace();
            let (_, name) = (words.next(), words.next().context("a line without a name")?);
            states.insert(name.to_owned(), words.collect::<Vec<_>>().join(" "));
        }
        Ok(states)
    }

    /// Waits until virsh says what `expected` says.
    fn sees(
        &self,
        expected: impl Fn() -> anyhow::Result<BTreeMap<String, String>>,
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + SEEN;
        loop {
            let (ours, theirs) = (self.states()?, expected()?);
            if ours == theirs {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "ours {ours:?}, theirs {theirs:?}");
        }
    }
}

/// Runs every check of this part.
pub(super) fn check(bench: &Bench, report: &mut Report) {
    let started = report.check("live view: esx-sim, a counter and the daemon start", || {
        let sim = super::virsh::start(bench, &["--vms", "50"])?;
        let scene = Scene::start(bench, &sim, "sim")?;
        Ok((sim, scene))
    });
    if let Some((_sim, scene)) = started {
        check_sim(&scene, report);
    }
    let started = report.check("live view: vcsim, a counter and the daemon start", || {
        let vcsim = vcsim::start(bench, false, &["-esx", "-vm", "4"])?;
        let scene = Scene::start(bench, &vcsim, "vcsim")?;
        Ok((vcsim, scene))
    });
    if let Some((vcsim, scene)) = started {
        check_vcsim(bench, &vcsim, &scene, report);
    }
}

fn check_sim(scene: &Scene<'_>, report: &mut Report) {
    report.check("live view: a warm list and 25 states send nothing to the host", || {
        let cold = scene.virsh.ask(&["list", "--all"])?;
        ensure!(scene.counter.sent() > 0, "nobody asked the host");
        ensure!(scene.costs_nothing(&["list", "--all"])? == cold, "the lists differ");
        let states: Vec<String> = (1..=25).map(|n| format!("domstate vm-{n:05}")).collect();
        let said = scene.costs_nothing(&[&states.join("; ")])?;
        ensure!(said.split_whitespace().count() >= 25, "{said}");
        Ok(())
    });
    for words in
        [&["pool-list", "--details"][..], &["net-list"], &["iface-list"], &["dominfo", "vm-00001"]]
    {
        report.check(format!("live view: {} sends nothing to the host", words.join(" ")), || {
            scene.costs_nothing(words).map(drop)
        });
    }
    report.check("live view: what virsh changes it sees at once", || {
        for (change, state) in [("start", "running"), ("destroy", "shut off")].repeat(5) {
            let both = format!("{change} vm-00005; domstate vm-00005");
            let said = scene.virsh.ask(&[&both])?;
            ensure!(said.ends_with(state), "{both}: {said}");
            let next = scene.virsh.ask(&["domstate", "vm-00005"])?;
            ensure!(next == state, "{change}, then another virsh: {next}");
        }
        Ok(())
    });
}

/// What govc does to a host, and virsh must see; `{}` stands for the first machine.
const CHANGES: &[&[&str]] = &[
    &["vm.power", "-off", "{}"],
    &["vm.power", "-suspend", "ha-host_VM1"],
    &["vm.power", "-on", "{}"],
    &["vm.create", "-on=false", "made-by-govc"],
    &["object.rename", "/ha-datacenter/vm/made-by-govc", "renamed-by-govc"],
    &["vm.power", "-on", "renamed-by-govc"],
    &["vm.power", "-off", "renamed-by-govc"],
    &["vm.destroy", "renamed-by-govc"],
];

fn check_vcsim(bench: &Bench, vcsim: &Server, scene: &Scene<'_>, report: &mut Report) {
    let theirs = || {
        let names = ["name", "runtime.powerState"];
        let mut states = BTreeMap::new();
        for (_, properties) in vcsim::collect(bench, vcsim, "m", &names)? {
            let name = properties["name"].as_str().context("a machine without a name")?;
            let state = match properties["runtime.powerState"].as_str() {
                Some("poweredOn") => "running",
                Some("suspended") => "paused",
                _ => "shut off",
            };
            states.insert(name.to_owned(), state.to_owned());
        }
        Ok(states)
    };
    report.check("live view on vcsim: virsh lists what govc lists", || scene.sees(theirs));
    for change in CHANGES {
        let words: Vec<&str> =
            change.iter().map(|word| if *word == "{}" { "ha-host_VM0" } else { *word }).collect();
        report.check(format!("live view on vcsim: virsh sees govc {}", words.join(" ")), || {
            let before = theirs()?;
            let mut govc = vcsim::govc_command(bench, vcsim, &words);
            let done = process::run(&mut govc, START)?;
            ensure!(done.status.success(), "{}: {}", done.status, done.stderr.trim());
            ensure!(theirs()? != before, "nothing has changed");
            scene.sees(theirs)
        });
    }
    report.check("live view on vcsim: then a list sends nothing to the host", || {
        scene.costs_nothing(&["list", "--all"]).map(drop)
    });
}
