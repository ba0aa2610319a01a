//! The simulated host in a process of its own, and the line of talk with it.
//!
//! It is told `faults on`, `faults off` and `state`, and answers each with a line; it ends with its standard input.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use esx_sim::{Arrival, FaultPlan, FileContent, Model, Reaction, Running, Simulator};
use esx_vi_api::MoRef;

use crate::work::{FILE, image, upload};

/// What goes wrong, of 100 requests each. Answers without end are left out: they fill the memory that is measured, and
/// the fault matrix has them.
const PLAN: &str = "cut-unprocessed #1%; cut-processed #1%; cut-head=20 #1%; cut-body=40 #1%; truncate #1%; corrupt #1%; \
    gzip #3%; type=text/plain #1%; status=500 #1%; status=502 #1%; status=503,0 #1%; slow-head=20 #2%; slow-body=1 #1%; \
    stall-body=30 #1%; redirect=http://127.0.0.1:9/ #1%; expire #1%; restart #1%; cut-request=10 @PUT #1%";

/// The host, as its parent sees it.
pub(crate) struct Host {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    pub(crate) uri: String,
    pub(crate) password: String,
}

impl Host {
    pub(crate) fn start(callers: u64, seed: u64) -> Result<Self, String> {
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut child = Command::new(program)
            .args(["--host", &callers.to_string(), &seed.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start the host: {error}"))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("the host has no pipes".to_owned());
        };
        let output = BufReader::new(output);
        let mut host = Self { child, input, output, uri: String::new(), password: String::new() };
        host.uri = host.line()?;
        host.password = host.line()?;
        Ok(host)
    }

    fn line(&mut self) -> Result<String, String> {
        let mut line = String::new();
        match self.output.read_line(&mut line) {
            Ok(1..) => Ok(line.trim_end().to_owned()),
            _ => Err("the host has gone".to_owned()),
        }
    }

    /// Tells it something, and what it answers.
    pub(crate) fn tell(&mut self, what: &str) -> Result<String, String> {
        writeln!(self.input, "{what}").map_err(|error| error.to_string())?;
        self.line()
    }

    pub(crate) fn state(&mut self) -> Result<State, String> {
        State::parse(&self.tell("state")?).ok_or_else(|| "the host speaks nonsense".to_owned())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // It would end by itself when its input does; nobody waits for that.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How the host is.
pub(crate) struct State {
    pub(crate) sessions: usize,
    pub(crate) most_sessions: usize,
    begun: BTreeMap<String, u64>,
    faults: usize,
}

impl State {
    fn of(sim: &Running, most_sessions: usize, faults: usize, tasks: &Tasks) -> Self {
        let begun = tasks.lock().unwrap_or_else(PoisonError::into_inner).1.clone();
        let sessions = sim.model().read(|model| model.session_count());
        Self { sessions, most_sessions, begun, faults }
    }

    /// How often a method that starts a task was begun.
    pub(crate) fn begun(&self, method: &str) -> u64 {
        self.begun.get(method).copied().unwrap_or(0)
    }

    fn to_line(&self) -> String {
        let mut line = format!("{} {} {}", self.sessions, self.most_sessions, self.faults);
        for (method, count) in &self.begun {
            line += &format!(" {method}={count}");
        }
        line
    }

    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let mut number = || words.next()?.parse().ok();
        let (sessions, most_sessions, faults) = (number()?, number()?, number()?);
        let begun = words
            .map(|word| {
                word.split_once('=').and_then(|(m, n)| Some((m.to_owned(), n.parse().ok()?)))
            })
            .collect::<Option<_>>()?;
        Some(Self { sessions, most_sessions, begun, faults })
    }
}

/// The tasks seen so far, which a host forgets some time after their end, and how many there were of each method.
type Tasks = Mutex<(HashSet<MoRef>, BTreeMap<String, u64>)>;

/// Counts the tasks that are new.
fn count(model: &Model, tasks: &Tasks) {
    let mut tasks = tasks.lock().unwrap_or_else(PoisonError::into_inner);
    let (seen, begun) = &mut *tasks;
    for task in model.tasks() {
        if let Some(method) = model.task_method(&task).filter(|_| seen.insert(task.clone())) {
            *begun.entry(method.to_owned()).or_default() += 1;
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sessions, most_sessions, begun, faults } = self;
        write!(
            f,
            "{faults} requests broken, {sessions} sessions, at most {most_sessions}; begun: {begun:?}"
        )
    }
}

/// What becomes of a request. Whose `Login` is answered with nothing can know no cookie and so cannot log out, and a `Logout`
/// that does not arrive ends nothing: such sessions are the host's to end, and would hide those that the client forgets.
fn react(plan: &FaultPlan, arrival: &Arrival) -> Reaction {
    let reaction = plan.react(arrival);
    match (arrival.method.as_deref(), &reaction) {
        (Some("Logout"), _) => Reaction::Serve,
        (Some("Login"), Reaction::Hangup { .. } | Reaction::CutHead { .. }) => {
            Reaction::Hangup { served: false }
        }
        _ => reaction,
    }
}

/// Serves until the standard input ends.
pub(crate) async fn serve(callers: &str, seed: &str) -> Result<(), String> {
    let callers: u32 = callers.parse().map_err(|_| "no number of callers")?;
    let seed: u64 = seed.parse().map_err(|_| "no seed")?;
    let sim = Simulator::builder().vms(callers).start().await.map_err(|error| error.to_string())?;
    let sim = Arc::new(sim);
    sim.model().change(|model| {
        model.add_content("datastore1", image(), FileContent::generated(1, FILE));
        for caller in 0..u64::from(callers) {
            model.add_content("datastore1", &upload(caller), FileContent::generated(2, FILE));
        }
    });
    let most = Arc::new(AtomicUsize::new(0));
    let faults = Arc::new(AtomicUsize::new(0));
    let tasks = Arc::new(Tasks::default());
    let (watched, seen, counted) = (Arc::clone(&sim), Arc::clone(&most), Arc::clone(&tasks));
    let watch = tokio::spawn(async move {
        watched
            .until(|model| {
                seen.fetch_max(model.session_count(), Ordering::Relaxed);
                count(model, &counted);
                false
            })
            .await;
    });
    println!("{}\n{}", sim.uri(), sim.password());
    let talk = tokio::task::spawn_blocking({
        let (sim, most, faults) = (Arc::clone(&sim), Arc::clone(&most), Arc::clone(&faults));
        move || {
            for line in std::io::stdin().lock().lines().map_while(Result::ok) {
                match line.as_str() {
                    "faults on" => {
                        let plan: FaultPlan = PLAN.parse().expect("the plan above is one");
                        plan.set_seed(seed);
                        let faults = Arc::clone(&faults);
                        sim.set_plan(move |arrival| {
                            let reaction = react(&plan, arrival);
                            if reaction != Reaction::Serve {
                                faults.fetch_add(1, Ordering::Relaxed);
                            }
                            reaction
                        });
                        println!("on");
                    }
                    "faults off" => {
                        sim.clear_plan();
                        println!("off");
                    }
                    _ => {
                        let (most, faults) =
                            (most.load(Ordering::Relaxed), faults.load(Ordering::Relaxed));
                        println!("{}", State::of(&sim, most, faults, &tasks).to_line());
                    }
                }
            }
        }
    });
    let ended = talk.await.map_err(|error| error.to_string());
    watch.abort();
    ended
}
