//! The live view: what a connection knows of its host, kept current by one update filter, so that reads cost the host nothing.
//!
//! [`filter`] says what is watched, [`contents`] and [`machine`] hold it, [`keeper`] is the task that keeps it current, [`answers`] is
//! where reads of the driver are answered from it, [`status`] what users are told. `docs/live-view.md` is the manual.
//!
//! # States
//!
//! ```text
//!            first read                 first whole picture
//!   Idle ----------------> Building -------------------------> Live <---------------.
//!    |                        ^  |                               |                   |
//!    | API before 4.1         |  | any failure                   | silence, a broken | an update round trip that
//!    v                        |  v                               | connection, or    | began after the change
//!   Unsupported               +-Down <---------------------------+ another session   | has ended
//!                         pause, doubling                        |                   |
//!                                                                | a change of ours  |
//!   Closed <- close(), from everywhere                           '---> (behind) -----'
//! ```
//!
//! Reads are answered from the view while it is `Live` and not behind. Everywhere else they ask the host, as without a view; lists also wait
//! for `Building`, since to build the view costs the host what the list would.
//!
//! # Reading one's own writes
//!
//! [`esx_vi_client::Client::changes`] counts the changes of a connection that have ended: calls, tasks and abandoned calls alike. Before each round trip for
//! updates the keeper notes the count, and when the round trip has ended (and was not truncated), the contents have caught up with
//! that count. A read notes the count when it begins and is answered once the contents have caught up with it; if they have not, the
//! keeper is woken, has the host end the wait that is pending, and asks for updates without waiting. So the mark of a change
//! is a number that only grows: no cancelled call and no cancelled read can lose it.
//!
//! What others change arrives when the host tells, some milliseconds later. That a machine, pool, network or interface does *not* exist is therefore never
//! answered from the view: the host is asked.

mod answers;
mod contents;
mod filter;
mod keeper;
mod machine;
mod status;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use esx_vi_client::Client;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

pub use status::{LiveViewOptions, LiveViewState, LiveViewStatus};

use contents::Contents;
use filter::Filter;

/// A connection's live view. Dropping it ends its task.
pub(crate) struct LiveView {
    shared: Arc<Shared>,
    keeper: Mutex<Option<JoinHandle<()>>>,
}

/// What readers and keeper share.
struct Shared {
    options: LiveViewOptions,
    /// Whose updates are waited for.
    client: Client,
    /// Through which the connection may change something beside `client`: the vCenter that manages the host.
    other: Option<Client>,
    picture: Mutex<Picture>,
    /// Counts the steps of state and contents.
    steps: watch::Sender<u64>,
    /// Wakes the keeper: it is behind and somebody waits, the session has changed, or the end has come.
    wake: Notify,
}

/// The state, and what is known.
struct Picture {
    state: LiveViewState,
    since: SystemTime,
    reason: Option<String>,
    contents: Contents,
    /// The count of changes that the contents have caught up with.
    caught_up: u64,
    /// The count of changes that a reader waits for.
    wanted: u64,
    /// The session that the filter is in.
    session: u64,
    /// When the last round trip for updates ended.
    heard: Option<SystemTime>,
    /// A reader has found that this was too long ago: the host is to be asked at once.
    doubted: bool,
    /// Whether the filter must be taken from the host at the end: the session goes on without us.
    farewell: bool,
}

/// Whom a read asks. That something is not there is the host's to say, so look-ups that find nothing in the view go on to the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// The view if it can answer, else the host.
    View,
    /// The host.
    Host,
}

/// Whether a read is worth waiting for a view that is being built.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// One object: the host answers that faster.
    One,
    /// All objects of a kind.
    All,
}

impl LiveView {
    pub(crate) fn new(options: LiveViewOptions, client: &Client, other: Option<&Client>) -> Self {
        let supported = client.api_version() >= keeper::SINCE;
        let picture = Picture {
            state: if supported { LiveViewState::Idle } else { LiveViewState::Unsupported },
            since: SystemTime::now(),
            reason: (!supported).then(|| "the host's API has no updates to wait for".to_owned()),
            contents: Contents::default(),
            caught_up: 0,
            wanted: 0,
            session: 0,
            heard: None,
            doubted: false,
            farewell: false,
        };
        let shared = Shared {
            options,
            client: client.clone(),
            other: other.cloned(),
            picture: Mutex::new(picture),
            steps: watch::Sender::default(),
            wake: Notify::new(),
        };
        Self { shared: Arc::new(shared), keeper: Mutex::default() }
    }

    /// Whether the view is still to be started by the first read.
    fn is_idle(&self) -> bool {
        self.shared.lock().state == LiveViewState::Idle
    }

    /// Starts the keeper, once.
    fn start(&self, filter: Filter) {
        let mut picture = self.shared.lock();
        if picture.state != LiveViewState::Idle {
            return;
        }
        picture.contents = Contents::new(filter.uuid_path());
        picture.enter(LiveViewState::Building, None);
        drop(picture);
        let task = tokio::spawn(keeper::run(Arc::clone(&self.shared), filter));
        *self.keeper.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
        self.shared.step();
    }

    /// Answers from the contents if they are current, or can be made so soon. `None` means that the host is to be asked: also if
    /// `answer` says so.
    async fn read<T>(
        &self,
        need: Need,
        answer: impl FnOnce(&mut Contents) -> Option<T>,
    ) -> Option<T> {
        let shared = &*self.shared;
        let goal = shared.changes();
        let mut steps = shared.steps.subscribe();
        // The keeper bounds its own waits; this is for the time that building takes.
        let patience = tokio::time::sleep(shared.options.answer_within.saturating_mul(2));
        tokio::pin!(patience);
        loop {
            steps.mark_unchanged();
            {
                let mut picture = shared.lock();
                match picture.state {
                    LiveViewState::Live if picture.session != shared.client.session_number() => {
                        shared.wake.notify_one();
                        return None;
                    }
                    LiveViewState::Live if shared.is_overdue(&picture) => {
                        // This machine slept, or the clock was set: no timer of the keeper can tell.
                        picture.doubted = true;
                        shared.wake.notify_one();
                        return None;
                    }
                    LiveViewState::Live if picture.caught_up >= goal => {
                        return answer(&mut picture.contents);
                    }
                    LiveViewState::Live => {
                        picture.wanted = picture.wanted.max(goal);
                        shared.wake.notify_one();
                    }
                    LiveViewState::Building if need == Need::All => {}
                    _ => return None,
                }
            }
            tokio::select! {
                moved = steps.changed() => moved.ok()?,
                () = &mut patience => return None,
            }
        }
    }

    pub(crate) fn status(&self) -> LiveViewStatus {
        self.shared.lock().status()
    }

    /// Waits until the status is as wanted; it is looked at now and after every step.
    pub(crate) async fn until(
        &self,
        mut reached: impl FnMut(&LiveViewStatus) -> bool,
    ) -> LiveViewStatus {
        let mut steps = self.shared.steps.subscribe();
        loop {
            steps.mark_unchanged();
            let status = self.status();
            if reached(&status) || steps.changed().await.is_err() {
                return status;
            }
        }
    }

    /// Ends the view. With `farewell` the filter is taken from the host, which is waited for, though not long: the session goes on.
    /// Without it what is on the host ends with the session.
    pub(crate) async fn close(&self, farewell: bool) {
        {
            let mut picture = self.shared.lock();
            picture.enter(LiveViewState::Closed, None);
            picture.contents = Contents::default();
            picture.farewell = farewell;
        }
        self.shared.step();
        self.shared.wake.notify_one();
        let keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut keeper) = keeper else { return };
        if tokio::time::timeout(Client::FAREWELL, &mut keeper).await.is_err() {
            keeper.abort();
        }
    }
}

impl Drop for LiveView {
    fn drop(&mut self) {
        // Its watch then ends on the host in the background.
        if let Some(keeper) = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take() {
            keeper.abort();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Picture> {
        self.picture.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many changes of the connection have ended.
    fn changes(&self) -> u64 {
        self.client.changes() + self.other.as_ref().map_or(0, Client::changes)
    }

    /// Whether the host has been silent for longer than the keeper would let it.
    fn is_overdue(&self, picture: &Picture) -> bool {
        let options = &self.options;
        let longest = options.longest_wait + options.answer_within.saturating_mul(3);
        let silent = picture.heard.and_then(|heard| heard.elapsed().ok());
        silent.is_some_and(|silent| silent > longest)
    }

    /// Readers and whoever waits for a status look again.
    fn step(&self) {
        self.steps.send_modify(|steps| *steps += 1);
    }
}

impl Picture {
    fn enter(&mut self, state: LiveViewState, reason: Option<String>) {
        if self.state != state {
            tracing::debug!(from = %self.state, to = %state, reason, "live view");
            self.since = SystemTime::now();
        }
        self.state = state;
        self.reason = reason;
    }

    fn status(&self) -> LiveViewStatus {
        LiveViewStatus {
            state: self.state,
            since: self.since,
            reason: self.reason.clone(),
            heard: self.heard,
            machines: self.contents.len(),
            bytes: self.contents.bytes(),
        }
    }
}

/// How long a keeper waits between two attempts: not at all after a long life, then longer and longer.
#[derive(Debug, Default)]
struct Pauses {
    failures: u32,
}

impl Pauses {
    /// A view that lived so long was no failure.
    const HEALTHY: Duration = Duration::from_secs(60);
    const LONGEST: Duration = Duration::from_secs(300);

    /// The pause after an attempt whose view was live for so long; `None` if it never was.
    fn after(&mut self, lived: Option<Duration>) -> Duration {
        if lived.is_some_and(|lived| lived >= Self::HEALTHY) {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        // A first loss after a life, however short, is most often a session that was opened again: nothing to wait for.
        if self.failures == 1 && lived.is_some() {
            return Duration::ZERO;
        }
        let doublings = (self.failures - 1).min(16);
        Duration::from_secs(1).saturating_mul(1 << doublings).min(Self::LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use esx_sim::{Running, Simulator};
    use virt_api::{Hypervisor as _, ListAllDomainsFlags};

    use super::*;
    use crate::{Connection, Environment, OpenOptions};

    /// A connection with a view; the file is for its password.
    async fn open(sim: &Running) -> Connection {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let (user, password) = (sim.username(), sim.password());
        write!(file, "[credentials-a]\nusername={user}\npassword={password}\n").unwrap();
        write!(file, "[auth-esx-default]\ncredentials=a\n").unwrap();
        let environment = Environment {
            libvirt_auth_file: Some(file.path().as_os_str().to_owned()),
            ..Environment::default()
        };
        let options = OpenOptions {
            live_view: Some(LiveViewOptions::default()),
            environment: Some(environment),
            ..OpenOptions::default()
        };
        crate::open(&sim.uri(), options).await.unwrap()
    }

    async fn count(connection: &Connection) -> usize {
        connection.connect_list_all_domains(ListAllDomainsFlags::empty()).await.unwrap().len()
    }

    #[tokio::test]
    async fn after_a_leap_of_the_clock_the_host_is_asked_until_it_has_answered_again() {
        let sim = Simulator::builder().vms(2).start().await.unwrap();
        let connection = open(&sim).await;
        let machines = count(&connection).await;
        let view = connection.session.view.as_ref().unwrap();
        let asked = || {
            let mut methods: Vec<_> = sim.journal().into_iter().map(|entry| entry.method).collect();
            methods.retain(|method| {
                !method.ends_with("WaitForUpdatesEx") && method != "CancelWaitForUpdates"
            });
            sim.reset_journal();
            methods
        };
        asked();
        assert_eq!((count(&connection).await, asked().len()), (machines, 0));
        // As after this machine's sleep: no timer has run, and what was heard was heard long ago.
        let long_ago = SystemTime::now() - Duration::from_secs(3_600);
        view.shared.lock().heard = Some(long_ago);
        assert_eq!(count(&connection).await, machines);
        assert!(!asked().is_empty(), "the view is not believed");
        let again = view.until(|status| status.heard.is_some_and(|heard| heard > long_ago));
        let again = tokio::time::timeout(Duration::from_secs(60), again).await.unwrap();
        assert_eq!(again.state, LiveViewState::Live);
        asked();
        assert_eq!((count(&connection).await, asked().len()), (machines, 0));
    }

    #[test]
    fn pauses_grow_and_are_forgotten_after_a_healthy_life() {
        let mut pauses = Pauses::default();
        let short = Some(Duration::from_secs(1));
        let seconds = |pauses: &mut Pauses, lived| pauses.after(lived).as_secs();
        assert_eq!(seconds(&mut pauses, short), 0);
        assert_eq!(seconds(&mut pauses, short), 2);
        assert_eq!(seconds(&mut pauses, None), 4);
        for _ in 0..40 {
            assert!(pauses.after(None) <= Pauses::LONGEST);
        }
        assert_eq!(seconds(&mut pauses, None), 300);
        assert_eq!(seconds(&mut pauses, Some(Pauses::HEALTHY)), 0);
        assert_eq!(seconds(&mut Pauses::default(), None), 1, "a view that never lived");
    }
}
