//! Runs commands one after the other and shows what comes out.

use std::ffi::OsString;
use std::io::{self, BufRead, IsTerminal, Write};
use std::process::ExitCode;

use tokio::sync::mpsc;
use virt_api::Error;

use crate::cli::{self, Options, Task};
use crate::command::{self, Invocation};
use crate::failure::{system, to_text, usage};
use crate::render::{self, Format, printable};
use crate::session::Session;
use crate::{line, trace};

/// The exit status after a signal is this and the signal's number, as shells have it.
const SIGNALLED: u8 = 128;

/// Where results and complaints go.
pub(crate) struct Streams<'a> {
    /// Results.
    pub(crate) out: &'a mut dyn Write,
    /// Notes, warnings and errors.
    pub(crate) err: &'a mut dyn Write,
}

/// The whole program.
pub(crate) fn program(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let (mut out, mut err) = (io::stdout(), io::stderr());
    let mut streams = Streams { out: &mut out, err: &mut err };
    let (options, task) = match cli::parse(arguments, |name| std::env::var(name).ok()) {
        Ok(parsed) => parsed,
        Err(error) => {
            // A closed stderr leaves nobody to tell.
            let _unheard = streams.err.write_all(to_text(&error.0, error.1).as_bytes());
            return ExitCode::FAILURE;
        }
    };
    if options.trace {
        trace::start();
    }
    let format = options.output;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(until_interrupted(options, task, &mut streams)),
        Err(error) => Err(error),
    };
    match result {
        Ok(code) => code,
        // Whoever read our output has read enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            let error = system("cannot write the output", error);
            let _unheard = streams.err.write_all(to_text(&error, format).as_bytes());
            ExitCode::FAILURE
        }
    }
}

/// Ctrl-C and polite requests to end. They are listened to from the moment this is made: before, as after, they end the
/// program at once.
struct Interruptions {
    #[cfg(unix)]
    signals: [Option<tokio::signal::unix::Signal>; 3],
}

/// The number of SIGINT, which Ctrl-C sends.
const INTERRUPT: u8 = 2;

impl Interruptions {
    #[cfg(unix)]
    fn listen() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        let kinds = [SignalKind::interrupt(), SignalKind::hangup(), SignalKind::terminate()];
        Self { signals: kinds.map(|kind| signal(kind).ok()) }
    }

    #[cfg(not(unix))]
    fn listen() -> Self {
        Self {}
    }

    /// The exit status that the next one asks for.
    #[cfg(unix)]
    async fn next(&mut self) -> u8 {
        async fn wait(signal: &mut Option<tokio::signal::unix::Signal>) {
            let heard = match signal {
                Some(signal) => signal.recv().await.is_some(),
                None => false,
            };
            if !heard {
                std::future::pending().await
            }
        }
        let [interrupt, hangup, terminate] = &mut self.signals;
        tokio::select! {
            () = wait(interrupt) => SIGNALLED + INTERRUPT,
            () = wait(hangup) => SIGNALLED + 1,
            () = wait(terminate) => SIGNALLED + 15,
        }
    }

    #[cfg(not(unix))]
    async fn next(&mut self) -> u8 {
        let _ = tokio::signal::ctrl_c().await;
        SIGNALLED + INTERRUPT
    }
}

/// Runs the task; Ctrl-C and SIGTERM end it early. The connection is closed in any case.
async fn until_interrupted(
    options: Options,
    task: Task,
    streams: &mut Streams<'_>,
) -> io::Result<ExitCode> {
    let session = Session::new(options);
    let mut interruptions = Interruptions::listen();
    let result = {
        let run = run(&session, task, streams);
        tokio::pin!(run);
        let mut ending = None;
        loop {
            tokio::select! {
                // A command that knows what to do about Ctrl-C does it.
                biased;
                result = &mut run => break result.map(|good| match ending {
                    Some(status) => ExitCode::from(status),
                    None if good => ExitCode::SUCCESS,
                    None => ExitCode::FAILURE,
                }),
                status = interruptions.next() => {
                    if ending.is_some() || !session.interrupt() {
                        break Ok(ExitCode::from(status));
                    }
                    // Something has to be put away on the host first; whoever asks twice does not wait for it.
                    ending = Some(status);
                }
            }
        }
    };
    session.close().await;
    result
}

/// Runs the task and tells whether everything went well.
///
/// # Errors
/// If the output cannot be written.
pub(crate) async fn run(
    session: &Session,
    task: Task,
    streams: &mut Streams<'_>,
) -> io::Result<bool> {
    let mut runner = Runner { session, streams, good: true, first: true };
    match task {
        Task::Print(text) => runner.streams.out.write_all(text.as_bytes())?,
        // All commands are understood before the first is run.
        Task::Script(text) => match line::split(&text).and_then(|commands| parse_all(&commands)) {
            Ok(invocations) => runner.all(invocations).await?,
            Err(error) => runner.complain(&error, session.options.output)?,
        },
        Task::Command(words) => match command::parse(&words) {
            Ok(invocation) => runner.all(vec![invocation]).await?,
            Err(error) => runner.complain(&error, session.options.output)?,
        },
        Task::Input => runner.input().await?,
    }
    runner.streams.out.flush()?;
    Ok(runner.good)
}

fn parse_all(commands: &[Vec<String>]) -> Result<Vec<Invocation>, Error> {
    commands.iter().map(|words| command::parse(words)).collect()
}

/// The state of a run.
struct Runner<'a, 'b> {
    session: &'a Session,
    streams: &'a mut Streams<'b>,
    good: bool,
    first: bool,
}

impl Runner<'_, '_> {
    /// Runs commands until one quits or the connection turns out not to work.
    async fn all(&mut self, invocations: Vec<Invocation>) -> io::Result<()> {
        for invocation in invocations {
            if !self.one(invocation).await? {
                break;
            }
        }
        Ok(())
    }

    /// Runs a command; answers whether to go on.
    async fn one(&mut self, invocation: Invocation) -> io::Result<bool> {
        if invocation.quits {
            return Ok(false);
        }
        let quiet = self.session.options.quiet;
        let format = invocation.output.unwrap_or(self.session.options.output);
        let result = invocation.request.run(self.session).await;
        self.session.clear_progress();
        let shown = result.and_then(|result| {
            let bytes = match result.raw() {
                Some(bytes) => bytes.to_vec(),
                None => render::to_string(&*result, format, quiet, self.first)?.into_bytes(),
            };
            Ok((bytes, result.warnings(), result.is_good()))
        });
        match shown {
            Ok((bytes, warnings, good)) => {
                if !quiet {
                    for warning in warnings {
                        writeln!(self.streams.err, "warning: {}", printable(&warning))?;
                    }
                }
                self.streams.out.write_all(&bytes)?;
                self.streams.out.flush()?;
                self.first &= bytes.is_empty();
                self.good &= good;
                Ok(true)
            }
            Err(error) => {
                self.complain(&error, format)?;
                // virsh ends a failed command with its blank line, too, but not one that never connected.
                if format == Format::Table && !quiet && !self.session.has_failed() {
                    self.streams.out.write_all(b"\n")?;
                }
                Ok(!self.session.has_failed())
            }
        }
    }

    fn complain(&mut self, error: &Error, format: Format) -> io::Result<()> {
        self.good = false;
        self.streams.err.write_all(to_text(error, format).as_bytes())
    }

    /// Runs commands from standard input, with a prompt if a person types them.
    async fn input(&mut self) -> io::Result<()> {
        let interactive = io::stdin().is_terminal();
        let mut lines = Lines::start();
        if interactive && !self.session.options.quiet {
            self.streams.out.write_all(b"Type 'help' for the commands, 'quit' to quit.\n\n")?;
        }
        loop {
            if interactive {
                self.streams.out.write_all(b"virtesx # ")?;
                self.streams.out.flush()?;
            }
            let Some(line) = lines.next().await else { break };
            let broken = line.is_err();
            let invocations = line
                .map_err(|error| system("cannot read commands from standard input", error))
                .and_then(|line| {
                    let text = String::from_utf8(line).map_err(|error| {
                        usage("a command is not valid UTF-8").with_source(error)
                    })?;
                    parse_all(&line::split(&text)?)
                });
            match invocations {
                Ok(invocations) => {
                    for invocation in invocations {
                        if !self.one(invocation).await? {
                            return Ok(());
                        }
                    }
                }
                Err(error) => self.complain(&error, self.session.options.output)?,
            }
            if broken {
                break;
            }
        }
        if interactive {
            self.streams.out.write_all(b"\n")?;
        }
        Ok(())
    }
}

/// Longer lines are not commands.
const MAX_LINE_BYTES: u64 = 1 << 20;

/// Standard input, line by line. A thread reads, for a read cannot be interrupted and Ctrl-C must not wait for it; it
/// reads only when asked, so that commands may read standard input, too.
struct Lines {
    ask: std::sync::mpsc::Sender<()>,
    lines: mpsc::Receiver<io::Result<Vec<u8>>>,
}

impl Lines {
    fn start() -> Self {
        let (ask, asked) = std::sync::mpsc::channel();
        let (sender, lines) = mpsc::channel(1);
        std::thread::spawn(move || {
            while asked.recv().is_ok() {
                let Some(line) = read_line().transpose() else { return };
                if sender.blocking_send(line).is_err() {
                    return;
                }
            }
        });
        Self { ask, lines }
    }

    /// The next line, `None` at the end.
    async fn next(&mut self) -> Option<io::Result<Vec<u8>>> {
        self.ask.send(()).ok()?;
        self.lines.recv().await
    }
}

fn read_line() -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let length = io::Read::take(io::stdin().lock(), MAX_LINE_BYTES).read_until(b'\n', &mut line)?;
    if length as u64 == MAX_LINE_BYTES {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok((length > 0).then_some(line))
}
