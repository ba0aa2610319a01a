//! The table behind its lock, and what becomes of its outputs.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use esx_vspc::{
    ClientId, Concentrator, Config, ConnectionId, Note, Output, PortKey, Refusal, TlsUpgrade,
};
use ring::rand::{SecureRandom, SystemRandom};
use tokio::{
    sync::{Notify, Semaphore},
    task::AbortHandle,
};

use super::{Settings, Verifier, log};
use crate::Identity;

/// Checks of claims at a time.
const CHECKS: usize = 16;
/// Longest check; the table waits a little longer.
const CHECK: Duration = Duration::from_secs(10);

/// How a connection's task is told what the table wants of it.
#[derive(Default)]
pub(super) struct Wake {
    pub(super) notify: Notify,
    /// It is to be closed: for whoever watches over that.
    closing: Notify,
    orders: Mutex<Orders>,
}

#[derive(Default)]
struct Orders {
    close: bool,
    start_tls: Option<Vec<u8>>,
}

impl Wake {
    /// Whether to close once all is sent.
    pub(super) fn is_closing(&self) -> bool {
        self.orders().close
    }

    /// Waits until it is to be closed, and then as long as a peer is given to read what is still to be sent. Safe to drop
    /// while pending, but not to begin anew afterwards.
    pub(super) async fn has_lingered(&self, goodbye: Duration) {
        self.closing.notified().await;
        tokio::time::sleep(goodbye).await;
    }

    /// Whether to read no more until TLS is there.
    pub(super) fn is_starting_tls(&self) -> bool {
        self.orders().start_tls.is_some()
    }

    /// What was read behind the word that starts TLS, if it is to start.
    pub(super) fn take_start_tls(&self) -> Option<Vec<u8>> {
        self.orders().start_tls.take()
    }

    fn orders(&self) -> std::sync::MutexGuard<'_, Orders> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a client's task is told.
#[derive(Default)]
pub(super) struct ClientWake {
    pub(super) events: Notify,
    pub(super) room: Notify,
    pub(super) end: Mutex<Option<String>>,
    /// It is let go: for whoever watches over that.
    pub(super) ended: Notify,
}

pub(super) struct Inner {
    pub(super) table: Concentrator,
    connections: HashMap<ConnectionId, Arc<Wake>>,
    clients: HashMap<ClientId, Arc<ClientWake>>,
    peers: HashMap<ConnectionId, IpAddr>,
    /// What carries the remote system of a port in direction client.
    dials: HashMap<PortKey, AbortHandle>,
    log: Option<log::Log>,
    due: Option<Duration>,
}

impl Inner {
    pub(super) fn accepted(
        &mut self,
        now: Duration,
        peer: IpAddr,
        tls: bool,
    ) -> Result<(ConnectionId, Arc<Wake>), Refusal> {
        let id = self.table.accepted(now, peer, tls)?;
        let wake = Arc::new(Wake::default());
        self.connections.insert(id, Arc::clone(&wake));
        self.peers.insert(id, peer);
        Ok((id, wake))
    }

    pub(super) fn closed(&mut self, now: Duration, id: ConnectionId) {
        self.connections.remove(&id);
        self.peers.remove(&id);
        self.table.closed(now, id);
    }

    pub(super) fn attached(&mut self, id: ClientId) -> Arc<ClientWake> {
        Arc::clone(self.clients.entry(id).or_default())
    }

    pub(super) fn detached(&mut self, id: ClientId) {
        self.clients.remove(&id);
        self.table.detach(id);
    }
}

pub(super) struct Shared {
    inner: Mutex<Inner>,
    start: Instant,
    timer: Notify,
    pub(super) settings: Settings,
    verifier: Option<Arc<dyn Verifier>>,
    checks: Semaphore,
    /// As [`esx_vspc::Timeouts::stuck`].
    pub(super) stuck: Duration,
    /// As [`esx_vspc::Timeouts::goodbye`].
    pub(super) goodbye: Duration,
    /// Where a name may lead that is in the list of what may be dialled.
    pub(super) may_be_dialled: fn(SocketAddr) -> bool,
}

impl Shared {
    pub(super) fn new(
        mut settings: Settings,
        verifier: Option<Arc<dyn Verifier>>,
        log: Option<log::Log>,
    ) -> Arc<Self> {
        let random = SystemRandom::new();
        let config = Config {
            direction_client: !settings.dial.is_empty(),
            verify: verifier.is_some(),
            upgrade: match (&settings.identity, settings.require_tls) {
                (None, _) => TlsUpgrade::Refuse,
                (Some(_), true) => TlsUpgrade::Require,
                (Some(_), false) => TlsUpgrade::Accept,
            },
            ..std::mem::take(&mut settings.config)
        };
        let (stuck, goodbye) = (config.timeouts.stuck, config.timeouts.goodbye);
        Arc::new(Self {
            stuck,
            goodbye,
            inner: Mutex::new(Inner {
                table: Concentrator::new(config, Box::new(move |bytes| random.fill(bytes).is_ok())),
                connections: HashMap::new(),
                clients: HashMap::new(),
                peers: HashMap::new(),
                dials: HashMap::new(),
                log,
                due: None,
            }),
            start: Instant::now(),
            timer: Notify::new(),
            settings,
            verifier,
            checks: Semaphore::new(CHECKS),
            may_be_dialled: crate::address::may_be_dialled,
        })
    }

    pub(super) fn identity(&self) -> Option<&Identity> {
        self.settings.identity.as_ref()
    }

    pub(super) fn may_come(&self, peer: IpAddr) -> bool {
        let allow = &self.settings.allow;
        allow.is_empty() || allow.iter().any(|network| network.contains(peer))
    }

    /// Lets `change` at the table, then does what came of it. Never held across a wait.
    pub(super) fn with<T>(self: &Arc<Self>, change: impl FnOnce(&mut Inner, Duration) -> T) -> T {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = change(&mut inner, self.start.elapsed());
        while let Some(output) = inner.table.next_output() {
            self.output(&mut inner, output);
        }
        let due = inner.table.next_deadline();
        if due.is_some() && inner.due.is_none_or(|before| due < Some(before)) {
            inner.due = due;
            self.timer.notify_one();
        }
        outcome
    }

    fn output(self: &Arc<Self>, inner: &mut Inner, output: Output) {
        match output {
            Output::Ready(id) => {
                if let Some(wake) = inner.connections.get(&id) {
                    wake.notify.notify_one();
                }
            }
            Output::Close(id) => {
                if let Some(wake) = inner.connections.get(&id) {
                    wake.orders().close = true;
                    wake.notify.notify_one();
                    wake.closing.notify_one();
                }
            }
            Output::StartTls(id, rest) => {
                if let Some(wake) = inner.connections.get(&id) {
                    wake.orders().start_tls = Some(rest);
                    wake.notify.notify_one();
                }
            }
            Output::Verify(id, key, claim) => {
                let (Some(verifier), Some(peer)) =
                    (self.verifier.clone(), inner.peers.get(&id).copied())
                else {
                    return;
                };
                let shared = Arc::clone(self);
                tokio::spawn(async move {
                    let check = async {
                        let _turn = shared.checks.acquire().await;
                        verifier.verify(&key, &claim, peer).await
                    };
                    let verdict = tokio::time::timeout(CHECK, check)
                        .await
                        .unwrap_or_else(|_| Err("the check took too long".to_owned()));
                    shared.with(|inner, now| inner.table.verdict(now, id, verdict));
                });
            }
            Output::Dial(key, uri) => {
                inner.dials.retain(|_, dial| !dial.is_finished());
                let task = tokio::spawn(super::dial::dial(Arc::clone(self), key.clone(), uri));
                // A machine that came anew has one remote system, not two.
                if let Some(before) = inner.dials.insert(key, task.abort_handle()) {
                    before.abort();
                }
            }
            Output::ClientReady(id) => {
                if let Some(wake) = inner.clients.get(&id) {
                    wake.events.notify_one();
                }
            }
            Output::Room(id) => {
                if let Some(wake) = inner.clients.get(&id) {
                    wake.room.notify_one();
                }
            }
            Output::Detach(id, why) => {
                if let Some(wake) = inner.clients.remove(&id) {
                    let mut end = wake.end.lock().unwrap_or_else(PoisonError::into_inner);
                    *end = Some(why.to_string());
                    wake.events.notify_one();
                    wake.room.notify_one();
                    wake.ended.notify_one();
                }
            }
            Output::Log(key, data) => {
                if let Some(log) = &mut inner.log {
                    log.write(key, data);
                }
            }
            Output::Note(note) => tell(&note),
        }
    }

    /// Lets the log end, and with it its task.
    pub(super) fn end(&self) {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).log = None;
    }
}

fn tell(note: &Note) {
    match note {
        Note::Up(port, name, peer) => tracing::info!(%port, name, %peer, "machine connected"),
        Note::Down(port) => tracing::info!(%port, "machine disconnected"),
        Note::Refused(peer, why) => tracing::info!(%peer, %why, "refused"),
        Note::TakenOver(port, peer) => tracing::warn!(%port, %peer, "taken over"),
        Note::MoveBegun(port) => tracing::info!(%port, "move began"),
        Note::MoveEnded(port) => tracing::info!(%port, "the machine stays"),
        Note::MoveRefused(port) => tracing::warn!(%port, "a move could not be honoured"),
        Note::Moved(port, peer) => tracing::info!(%port, %peer, "moved"),
    }
}

/// Tells the table the time when it asked for it.
pub(super) async fn keep_time(shared: Arc<Shared>) {
    loop {
        let due = {
            let mut inner = shared.inner.lock().unwrap_or_else(PoisonError::into_inner);
            inner.due = inner.table.next_deadline();
            inner.due
        };
        match due {
            None => shared.timer.notified().await,
            Some(due) => {
                let sleep = tokio::time::sleep_until((shared.start + due).into());
                tokio::select! {
                    () = sleep => shared.with(|inner, now| inner.table.tick(now)),
                    () = shared.timer.notified() => {}
                }
            }
        }
    }
}

/// The port that a client means: by key, by the machine's identifier, or by its name.
pub(super) fn find(inner: &Inner, wanted: &str) -> Result<PortKey, String> {
    let (machine, label) = match wanted.rsplit_once('#') {
        Some((machine, label)) if esx_vspc::identity::is_label(label) => (machine, Some(label)),
        _ => (wanted, None),
    };
    let id = machine.parse::<esx_vspc::MachineId>().ok();
    let mut found: Vec<PortKey> = inner
        .table
        .ports()
        .filter(|port| match id {
            Some(id) => port.key.machine == id,
            None => port.name == machine,
        })
        .filter(|port| label.is_none_or(|label| port.key.label == label))
        .map(|port| port.key)
        .collect();
    found.sort();
    match &found[..] {
        [only] => Ok(only.clone()),
        [] => Err("no machine of that name or identifier has connected".to_owned()),
        [first, ..] if found.iter().all(|key| key.machine == first.machine) => {
            let labels: Vec<&str> = found.iter().map(|key| key.label.as_str()).collect();
            Err(format!("the machine has several ports: {}", labels.join(", ")))
        }
        _ => Err("several machines have that name".to_owned()),
    }
}
