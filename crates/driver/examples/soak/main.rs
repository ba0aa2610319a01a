//! Many callers on one connection for a long time, while things go wrong by chance: does anything pile up?
//!
//! `cargo xtask soak` runs it (`docs/faults.md` has the figures). The simulated host is a process of its own, this program
//! started again with `--host`, so that what is counted here is the client's alone: memory, open files and tasks from
//! `/proc` and the runtime, sessions and tasks of the host by asking the host. It fails if
//!
//! - an operation hangs or panics, or a download that completes has not all its bytes;
//! - the peak of memory after all operations, 20 000 at least, is more than 1.2 times that after a tenth of them;
//! - a task or an open file is left after the connection has been closed and dropped;
//! - the host ever has more than one session, or one after the end, or has begun more changes than were asked for.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program talks to its terminal")]

mod host;
mod measure;
mod work;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use esx_driver::{Connection, Environment, OpenOptions};
use virt_api::{
    AuthCallback, CredentialRequest, CredentialType, Driver as _, Hypervisor as _,
    ListAllDomainsFlags, Secret,
};

use self::host::Host;
use self::measure::Reading;
use self::work::{Caller, Tally};

/// What is measured after so many operations is the start; what comes later must be like it.
const TENTH: u64 = 10;
/// How much more memory the end may have than the start, in percent.
const MORE: u64 = 120;
/// In fewer operations than this memory is shown and not judged: the first tenth is too short to fill what is kept.
const LONG: u64 = 20_000;
/// Time limits of the connection: short, since faults include silence.
const LIMITS: &str = "connect_timeout=5&idle_timeout=1&call_timeout=5";

/// How long and how hard.
#[derive(Clone, Copy, Debug)]
struct Options {
    operations: u64,
    callers: u64,
    seed: u64,
}

impl Options {
    fn parse(arguments: &[String]) -> Option<Self> {
        let mut options = Self { operations: 20_000, callers: 20, seed: 1 };
        for pair in arguments.chunks(2) {
            let [name, value] = pair else { return None };
            let value = value.parse().ok()?;
            match name.as_str() {
                "--operations" => options.operations = value,
                "--callers" => options.callers = value,
                "--seed" => options.seed = value,
                _ => return None,
            }
        }
        (options.callers > 0 && options.operations >= TENTH * options.callers).then_some(options)
    }
}

struct Answer(String);

#[async_trait]
impl AuthCallback for Answer {
    fn credential_types(&self) -> &[CredentialType] {
        &[CredentialType::AuthName, CredentialType::NoEchoPrompt]
    }

    async fn answer(&self, requests: &[CredentialRequest]) -> virt_api::Result<Vec<Secret>> {
        Ok(requests.iter().map(|_| Secret::new(self.0.clone())).collect())
    }
}

async fn open(host: &Host) -> virt_api::Result<Connection> {
    let options = OpenOptions {
        auth: Some(Arc::new(Answer(host.password.clone()))),
        environment: Some(Environment::default()),
        // The wait for a task is the caller's own, and this is how the caller bounds it.
        operation_timeout: Some(Duration::from_secs(5)),
        ..OpenOptions::default()
    };
    esx_driver::open(&format!("{}&{LIMITS}", host.uri), options).await
}

/// What is wrong, one line each.
#[derive(Default)]
struct Problems(Vec<String>);

impl Problems {
    fn unless(&mut self, fine: bool, problem: impl FnOnce() -> String) {
        if !fine {
            self.0.push(problem());
        }
    }
}

async fn soak(options: Options) -> Result<Problems, String> {
    let said = |error: virt_api::Error| error.chain().collect::<Vec<_>>().join(": ");
    let mut problems = Problems::default();
    let mut host = Host::start(options.callers, options.seed)?;
    let before = Reading::now();
    let started = Instant::now();
    let connection = open(&host).await.map_err(said)?;
    host.tell("faults on")?;

    let done = Arc::new(AtomicU64::new(0));
    let mut callers = tokio::task::JoinSet::new();
    for number in 0..options.callers {
        let rest = u64::from(number < options.operations % options.callers);
        let operations = options.operations / options.callers + rest;
        let caller = Caller::new(connection.clone(), number, options.seed);
        callers.spawn(caller.run(operations, Arc::clone(&done)));
    }
    // The first tenth: all that grows with use has grown then.
    let mut start = Reading::default();
    let mut tally = Tally::default();
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    let mut most = Reading::default();
    loop {
        tokio::select! {
            ended = callers.join_next() => match ended {
                None => break,
                Some(Ok(one)) => tally.add(one),
                Some(Err(error)) => problems.0.push(format!("a caller has ended: {error}")),
            },
            _ = tick.tick() => {
                let now = Reading::now();
                most = most.max(now);
                if start.peak_kib == 0 && done.load(Ordering::Relaxed) >= options.operations / TENTH {
                    start = most;
                    println!("{:>6} operations  {start}  at {:.0} s", done.load(Ordering::Relaxed), started.elapsed().as_secs_f64());
                }
            }
        }
    }
    let end = most.max(Reading::now());
    println!(
        "{:>6} operations  {end}  at {:.0} s",
        done.load(Ordering::Relaxed),
        started.elapsed().as_secs_f64()
    );

    // Nothing goes wrong any more: the connection is as good as new.
    host.tell("faults off")?;
    let listed = connection.connect_list_all_domains(ListAllDomainsFlags::empty()).await;
    problems
        .unless(listed.is_ok(), || format!("the connection does not work any more: {listed:?}"));
    println!("traffic            {} requests", connection.traffic().requests);
    println!("ends               {tally}");
    let state = host.state()?;
    println!("host               {state}");
    problems.unless(state.sessions == 1, || format!("{} sessions before the end", state.sessions));
    problems
        .unless(state.most_sessions == 1, || format!("{} sessions at once", state.most_sessions));
    for (method, asked) in &tally.changes {
        let begun = state.begun(method);
        problems.unless(begun <= *asked, || {
            format!("{method} was begun {begun} times for {asked} operations")
        });
    }
    problems.0.append(&mut tally.problems);

    let closed = connection.close().await;
    problems.unless(closed.is_ok(), || format!("cannot be closed: {closed:?}"));
    println!("closed             {}", Reading::now());
    drop(connection);
    let after = measure::settled(before).await;
    println!("dropped            {after}");
    problems.unless(after.tasks <= before.tasks, || {
        format!("{} tasks are left", after.tasks - before.tasks)
    });
    problems.unless(after.files <= before.files, || {
        format!("{} files are left open", after.files - before.files)
    });
    let left = host.state()?.sessions;
    problems.unless(left == 0, || format!("{left} sessions are left on the host"));
    let percent = end.peak_kib * 100 / start.peak_kib.max(1);
    println!("peak of memory     {percent} % of that after a tenth");
    problems.unless(options.operations < LONG || start.peak_kib > 0 && percent <= MORE, || {
        format!("the peak of memory grew from {} to {} KiB", start.peak_kib, end.peak_kib)
    });
    Ok(problems)
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let Ok(runtime) = runtime else { return ExitCode::FAILURE };
    if let [role, callers, seed] = &arguments[..]
        && role == "--host"
    {
        return match runtime.block_on(host::serve(callers, seed)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("the host: {error}");
                ExitCode::FAILURE
            }
        };
    }
    let Some(options) = Options::parse(&arguments) else {
        eprintln!(
            "usage: soak [--operations N] [--callers N] [--seed N]; ten operations a caller at least"
        );
        return ExitCode::FAILURE;
    };
    println!("{options:?}");
    match runtime.block_on(soak(options)) {
        Ok(problems) if problems.0.is_empty() => ExitCode::SUCCESS,
        Ok(problems) => {
            problems.0.iter().for_each(|problem| eprintln!("problem: {problem}"));
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
