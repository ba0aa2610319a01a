//! The newest virsh, asked to convert many files per process.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};

use super::super::{PASSWORD, USER};
use crate::{
    peers::Peers,
    process::{self, Server},
};

/// How many files one process is given.
const BATCH: usize = 100;
const BATCH_TIMEOUT: Duration = Duration::from_secs(120);
/// One conversion takes milliseconds.
const CASE_TIMEOUT: Duration = Duration::from_secs(10);
const START: Duration = Duration::from_secs(60);

/// What libvirt made of a file.
#[derive(Debug)]
pub(super) enum Answer {
    /// The converted text.
    Text(String),
    /// The error's code and message.
    Error(i32, String),
    /// It crashed or did not come back.
    None,
}

/// libvirt with a host to talk to, and a folder that it can see.
pub(super) struct Libvirt<'a> {
    peers: &'a Peers,
    uri: String,
    folder: tempfile::TempDir,
    /// The folder as virsh names it.
    seen: String,
    _proxy: Proxy,
    _host: Server,
}

struct Proxy(Child);

impl Drop for Proxy {
    fn drop(&mut self) {
        // It may have ended by itself; then both do nothing.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl<'a> Libvirt<'a> {
    /// Starts vcsim and simproxy.
    pub(super) fn start(peers: &'a Peers) -> anyhow::Result<Self> {
        let mut vcsim = peers.go("vcsim");
        vcsim.args(["-l", "127.0.0.1:0", "-stdin-exit", "-username", USER, "-password", PASSWORD]);
        vcsim.args(["-tls=false", "-esx", "-vm", "1"]);
        let host = Server::start(&mut vcsim, START).context("run `cargo xtask peers` first")?;
        let (proxy, address) = start_proxy(peers, host.authority()?)?;
        let root = root(peers)?;
        let folder = tempfile::tempdir_in(root.join("tmp")).context("make a folder for virsh")?;
        let seen = Path::new("/").join(folder.path().strip_prefix(&root)?);
        let seen = seen.to_str().context("a plain folder name")?.to_owned();
        let uri = format!("esx://{USER}@{address}/?transport=http");
        Ok(Self { peers, uri, folder, seen, _proxy: proxy, _host: host })
    }

    /// Where the files to convert belong.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Converts these files of the folder, `*.vmx` one way and `*.xml` the other.
    pub(super) fn convert(&self, names: &[String]) -> anyhow::Result<Vec<Answer>> {
        let mut answers = Vec::new();
        while answers.len() < names.len() {
            let rest = &names[answers.len()..];
            let batch = &rest[..rest.len().min(BATCH)];
            match self.ask(batch, BATCH_TIMEOUT) {
                // It stops at a file that makes it crash.
                Ok(mut some) if some.len() < batch.len() => {
                    some.push(Answer::None);
                    answers.extend(some);
                }
                Ok(all) => answers.extend(all),
                // Something in this batch makes it hang: one by one.
                Err(_) => {
                    for name in batch {
                        let one = self.ask(std::slice::from_ref(name), CASE_TIMEOUT);
                        let answer = one.ok().and_then(|mut answers| answers.pop());
                        answers.push(answer.unwrap_or(Answer::None));
                    }
                }
            }
        }
        Ok(answers)
    }

    /// The answers up to the first file that is too much for it.
    fn ask(&self, names: &[String], timeout: Duration) -> anyhow::Result<Vec<Answer>> {
        let mut commands = String::new();
        for (i, name) in names.iter().enumerate() {
            let command = if name.ends_with(".vmx") { "from" } else { "to" };
            let mark = mark(i);
            commands += &format!(
                "domxml-{command}-native vmware-vmx {}/{name}; echo {mark}; echo --err {mark};",
                self.seen
            );
        }
        let mut virsh = self.peers.newest_virsh();
        let done = process::run(virsh.args(["-q", "-c", &self.uri, &commands]), timeout)?;
        let (mut out, mut err) = (done.stdout.as_str(), done.stderr.as_str());
        let mut answers = Vec::new();
        for i in 0..names.len() {
            let mark = mark(i);
            let (Some((text, more)), Some((message, rest))) =
                (out.split_once(&mark), err.split_once(&mark))
            else {
                break;
            };
            (out, err) = (more, rest);
            let message = message.strip_suffix("error: ").unwrap_or(message).trim();
            answers.push(match message.strip_prefix("error: ") {
                Some(message) => Answer::Error(code(message), message.to_owned()),
                None => Answer::Text(text.trim_start_matches('\n').to_owned()),
            });
        }
        ensure!(
            !answers.is_empty() || !done.stderr.contains("failed to connect"),
            "{}",
            done.stderr.trim()
        );
        Ok(answers)
    }
}

/// What stands between answers; no case has such a text.
fn mark(number: usize) -> String {
    format!("@@end-of-{number}@@")
}

/// The folder that virsh lives in.
pub(super) fn root(peers: &Peers) -> anyhow::Result<PathBuf> {
    let done = process::run(peers.newest_virsh().arg("root"), CASE_TIMEOUT)?;
    let root = fs::canonicalize(done.stdout.trim()).context("run newest-virsh setup as root")?;
    Ok(root)
}

/// simproxy on a free port, once it accepts connections.
fn start_proxy(peers: &Peers, upstream: &str) -> anyhow::Result<(Proxy, String)> {
    let free = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    let mut command: Command = peers.go("simproxy");
    command.args(["-listen", &free, "-upstream", &format!("http://{upstream}")]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let proxy = Proxy(command.spawn().context("start simproxy")?);
    let deadline = Instant::now() + START;
    while TcpStream::connect(&free).is_err() {
        ensure!(Instant::now() < deadline, "simproxy does not listen at {free}");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok((proxy, free))
}

/// How libvirt's messages start, by error code. Only `VIR_ERR_XML_DETAIL` (35) has nothing in front.
const MESSAGES: [(&str, i32); 9] = [
    ("internal error: ", 1),
    ("invalid argument: ", 8),
    ("missing source information", 19),
    ("missing target information", 20),
    ("missing name information", 21),
    ("XML error: ", 27),
    ("configuration file syntax error: ", 33),
    ("unsupported configuration: ", 67),
    ("numerical overflow: ", 82),
];

/// The code of an error, which virsh does not print, from its message.
fn code(message: &str) -> i32 {
    let known = MESSAGES.iter().find(|(start, _)| message.starts_with(start));
    known.map_or(35, |(_, code)| *code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_tell_codes() {
        let table = [
            ("internal error: Config entry", 1),
            ("XML error: Missing required attribute", 27),
            ("configuration file syntax error: memory conf:1", 33),
            ("UUID mismatch", 35),
        ];
        for (message, expect) in table {
            assert_eq!(code(message), expect, "{message}");
        }
    }
}
