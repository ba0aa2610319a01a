//! Child processes that cannot outlive us or keep us waiting: every one has a deadline and is killed when dropped.

use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};

/// What a finished program left behind.
#[derive(Debug)]
pub(crate) struct Finished {
    /// How it ended.
    pub(crate) status: ExitStatus,
    /// Everything it wrote to standard output; bytes that are not UTF-8 are replaced.
    pub(crate) stdout: String,
    /// Everything it wrote to standard error, likewise.
    pub(crate) stderr: String,
}

/// Kills and reaps the process when dropped.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        // It may have ended by itself; then both do nothing.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a program to its end with empty standard input, at most for `timeout`.
pub(crate) fn run(command: &mut Command, timeout: Duration) -> anyhow::Result<Finished> {
    let shown = show(command);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = Guard(command.spawn().with_context(|| format!("start {shown}"))?);
    let stdout = collect(child.0.stdout.take().expect("stdout is piped"));
    let stderr = collect(child.0.stderr.take().expect("stderr is piped"));
    let deadline = Instant::now() + timeout;
    let take = |from: Receiver<String>| match from
        .recv_timeout(deadline.saturating_duration_since(Instant::now()))
    {
        Ok(text) => Ok(text),
        Err(RecvTimeoutError::Timeout) => {
            bail!("{shown} did not end within {} s", timeout.as_secs())
        }
        Err(RecvTimeoutError::Disconnected) => bail!("cannot read what {shown} writes"),
    };
    let (stdout, stderr) = (take(stdout)?, take(stderr)?);
    // Both pipes are closed, so the program is ending: this does not wait for long.
    let status = child.0.wait().with_context(|| format!("wait for {shown}"))?;
    Ok(Finished { status, stdout, stderr })
}

/// Reads a pipe to its end in a thread and sends the text.
fn collect(mut pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (send, receive) = channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if pipe.read_to_end(&mut bytes).is_ok() {
            // Nobody listens any more if the deadline has passed.
            let _ = send.send(String::from_utf8_lossy(&bytes).into_owned());
        }
    });
    receive
}

/// A server that says on its first line of standard output where it listens.
pub(crate) struct Server {
    child: Guard,
    /// The line it printed: its URL.
    pub(crate) url: String,
}

impl Server {
    /// Starts a server and waits until it has printed its URL.
    ///
    /// Its standard error is ours. Its standard input stays open until the server is dropped.
    pub(crate) fn start(command: &mut Command, timeout: Duration) -> anyhow::Result<Self> {
        let shown = show(command);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = Guard(command.spawn().with_context(|| format!("start {shown}"))?);
        let stdout = child.0.stdout.take().expect("stdout is piped");
        let (send, receive) = channel();
        thread::spawn(move || {
            let mut lines = BufReader::new(stdout);
            let mut first = String::new();
            if lines.read_line(&mut first).is_ok_and(|n| n > 0) {
                let _ = send.send(first.trim().to_owned());
            }
            // Whatever it prints later must not fill the pipe.
            let _ = std::io::copy(&mut lines, &mut std::io::sink());
        });
        let url = match receive.recv_timeout(timeout) {
            Ok(url) => url,
            Err(RecvTimeoutError::Timeout) => {
                bail!("{shown} is not ready after {} s", timeout.as_secs())
            }
            Err(RecvTimeoutError::Disconnected) => bail!("{shown} ended before it was ready"),
        };
        Ok(Self { child, url })
    }

    /// The `host:port` of the URL.
    pub(crate) fn authority(&self) -> anyhow::Result<&str> {
        let (_, rest) =
            self.url.split_once("://").with_context(|| format!("{:?} is no URL", self.url))?;
        Ok(rest.split('/').next().unwrap_or(rest))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // vcsim removes its temporary folders when its standard input ends; give it a moment before the kill.
        drop(self.child.0.stdin.take().map(|mut pipe| pipe.flush()));
        let deadline = Instant::now() + Duration::from_secs(2);
        while Instant::now() < deadline {
            match self.child.0.try_wait() {
                Ok(None) => thread::sleep(Duration::from_millis(20)),
                Ok(Some(_)) | Err(_) => break,
            }
        }
    }
}

/// A command line as one would type it, near enough. Our programs never take a secret as an argument.
pub(crate) fn show(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn output_and_status_come_back() {
        let done =
            run(&mut shell("echo out; echo err >&2; exit 3"), Duration::from_secs(60)).unwrap();
        assert_eq!((done.stdout.as_str(), done.stderr.as_str()), ("out\n", "err\n"));
        assert_eq!(done.status.code(), Some(3));
    }

    #[test]
    fn a_program_that_hangs_is_killed() {
        let error = run(&mut shell("exec cat /dev/zero >/dev/null"), Duration::from_millis(50))
            .unwrap_err();
        assert!(error.to_string().contains("did not end"), "{error}");
    }

    #[test]
    fn a_server_is_up_when_it_says_so() {
        let server =
            Server::start(&mut shell("echo http://127.0.0.1:7/sdk; cat"), Duration::from_secs(60))
                .unwrap();
        assert_eq!(server.authority().unwrap(), "127.0.0.1:7");
    }

    #[test]
    fn a_server_that_dies_first_is_an_error() {
        assert!(Server::start(&mut shell("exit 1"), Duration::from_secs(60)).is_err());
    }
}
