//! The table of a concentrator: connections of machines, their ports, and the clients of those.
//!
//! No sockets, no clock: `now` is the time since any fixed moment, and what must be done comes out of
//! [`Concentrator::next_output`].

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    net::IpAddr,
    time::Duration,
};

use bytes::Bytes;

use crate::{
    Claim, Direction, Limits, PortKey, Timeouts, TlsUpgrade, Violation, identity,
    link::{Link, LinkEvent, Stage},
    port::{
        AttachError, Client, ClientEvent, ClientId, Detached, Mode, Port, PortInfo, SECRET_BYTES,
        State, Status,
    },
};

mod clients;
mod moves;

/// One connection of a machine's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

/// Fills a buffer from the system's generator; `false` if that fails.
pub type Random = Box<dyn FnMut(&mut [u8]) -> bool + Send>;

/// What a concentrator allows.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// What a peer may cost.
    pub limits: Limits,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// The name that service URIs must ask for (see [`identity::service_name`]); `None`: any. Those of direction client are
    /// addresses to dial, and free.
    pub service_name: Option<String>,
    /// Whether ports that ask the proxy to dial are taken at all; which addresses are dialled is the caller's to
    /// decide. Off unless it was thought about: an administrator of a machine chooses the address.
    pub direction_client: bool,
    /// Whether each claim is put to [`Output::Verify`] before it is accepted.
    pub verify: bool,
    /// TLS inside of connections that begin in clear.
    pub upgrade: TlsUpgrade,
}

/// What the caller is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// There is something to take with [`Concentrator::take_output`].
    Ready(ConnectionId),
    /// Send what there is to take, then close, then report [`Concentrator::closed`].
    Close(ConnectionId),
    /// Send what there is to take, then be the server of a TLS handshake that begins with these bytes, then report
    /// [`Concentrator::tls_established`].
    StartTls(ConnectionId, Vec<u8>),
    /// Check the claim of a connection, then report [`Concentrator::verdict`].
    Verify(ConnectionId, PortKey, Claim),
    /// Dial the remote system of this service URI, and attach it to the port as a client.
    Dial(PortKey, String),
    /// There is something to take with [`Concentrator::take_events`].
    ClientReady(ClientId),
    /// A client that was not read from is to be read again.
    Room(ClientId),
    /// Let a client go.
    Detach(ClientId, Detached),
    /// Output of a machine, for a log of it.
    Log(PortKey, Bytes),
    /// For people.
    Note(Note),
}

/// What happened, for the program's log. Names and URIs in it are made printable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// A port got its machine.
    Up(PortKey, String, IpAddr),
    /// A port lost it.
    Down(PortKey),
    /// A connection was refused or broken off.
    Refused(IpAddr, Refusal),
    /// Another connection took a port over.
    TakenOver(PortKey, IpAddr),
    /// A move began.
    MoveBegun(PortKey),
    /// The machine stays where it was.
    MoveEnded(PortKey),
    /// A move could not be honoured.
    MoveRefused(PortKey),
    /// The machine runs at this address now.
    Moved(PortKey, IpAddr),
}

/// Why a connection is not served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// As many connections as there may be.
    #[error("too many connections")]
    Full,
    /// The address has as many connections under way as it may.
    #[error("too many connections that did not say who they are")]
    TooManyUnidentified,
    /// It broke the protocol.
    #[error(transparent)]
    Violation(#[from] Violation),
    /// A stage of the set-up took too long.
    #[error("the set-up took too long")]
    Late,
    /// It wants the proxy to dial.
    #[error("ports in direction client are not allowed")]
    DirectionClient,
    /// It asks for something else.
    #[error("service {0:?} is not offered here")]
    ServiceName(String),
    /// The port's label is none.
    #[error("the label of the port in {0:?} is none")]
    Label(String),
    /// It gave no identifier.
    #[error("the machine gave no identifier")]
    Anonymous,
    /// Another connection has the port.
    #[error("{0} is connected from elsewhere")]
    Taken(PortKey),
    /// The check of the claim failed.
    #[error("its claim does not hold: {0}")]
    Untrue(String),
    /// The secret of a move was wrong, spent, or shown by a connection that is something else.
    #[error("it showed no secret of a move")]
    BadSecret,
    /// As many ports as there may be.
    #[error("too many ports")]
    TooManyPorts,
}

/// What a check of a claim has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verified {
    /// There is such a machine, with a port that asks for this. Somebody else may have said so: a port that is up is not taken over.
    Claim,
    /// And it runs at the host that the connection comes from: it may take its port over from another address.
    ClaimAndHost,
}

struct Connection {
    link: Link,
    peer: IpAddr,
    /// The port that it serves or moves to.
    port: Option<PortKey>,
    /// The port that it claims, until that is decided.
    claim: Option<(PortKey, Claim)>,
    /// What a check of the claim found.
    verified: Option<Verified>,
    identified: bool,
    closing: bool,
    told: bool,
    deadline: Duration,
    active: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Connection(ConnectionId),
    Move(PortKey),
    Forget(PortKey),
}

/// The table. See the module.
pub struct Concentrator {
    config: Config,
    random: Random,
    connections: HashMap<ConnectionId, Connection>,
    unidentified: HashMap<IpAddr, usize>,
    ports: HashMap<PortKey, Port>,
    clients: HashMap<ClientId, Client>,
    /// Which ports move under a sequence; all ports of a machine may share one.
    moves: HashMap<Vec<u8>, Vec<PortKey>>,
    timers: BTreeSet<(Duration, Timer)>,
    outputs: VecDeque<Output>,
    next_id: u64,
}

impl Concentrator {
    /// An empty table. `random` is the source of the secrets of moves.
    #[must_use]
    pub fn new(config: Config, random: Random) -> Self {
        Self {
            config,
            random,
            connections: HashMap::new(),
            unidentified: HashMap::new(),
            ports: HashMap::new(),
            clients: HashMap::new(),
            moves: HashMap::new(),
            timers: BTreeSet::new(),
            outputs: VecDeque::new(),
            next_id: 0,
        }
    }

    /// What is to be done next.
    pub fn next_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Self::tick`] is due.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// How many connections there are.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// A machine's end connected from `peer`. `tls`: inside of TLS, whose handshake is over.
    ///
    /// # Errors
    ///
    /// [`Refusal::Full`] and [`Refusal::TooManyUnidentified`]: close it, nothing was kept.
    pub fn accepted(
        &mut self,
        now: Duration,
        peer: IpAddr,
        tls: bool,
    ) -> Result<ConnectionId, Refusal> {
        if self.connections.len() >= self.config.limits.connections {
            return Err(Refusal::Full);
        }
        let unidentified = self.unidentified.entry(peer).or_default();
        if *unidentified >= self.config.limits.unidentified_per_address {
            return Err(Refusal::TooManyUnidentified);
        }
        *unidentified += 1;
        let id = ConnectionId(self.fresh_id());
        let upgrade = if tls { TlsUpgrade::Refuse } else { self.config.upgrade };
        let deadline = now + self.config.timeouts.extension;
        self.connections.insert(
            id,
            Connection {
                link: Link::new(&self.config.limits, upgrade),
                peer,
                port: None,
                claim: None,
                verified: None,
                identified: false,
                closing: false,
                told: false,
                deadline,
                active: now,
            },
        );
        self.timers.insert((deadline, Timer::Connection(id)));
        self.tell(id);
        Ok(id)
    }

    const fn fresh_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// Bytes of a connection, inside of TLS if there is any.
    pub fn received(&mut self, now: Duration, id: ConnectionId, bytes: &[u8]) {
        let Some(connection) = self.connections.get_mut(&id).filter(|c| !c.closing) else { return };
        connection.active = now;
        let stage = connection.link.stage();
        connection.link.receive(bytes, &self.config.limits);
        self.settle(now, id, stage);
    }

    /// The handshake that [`Output::StartTls`] asked for is over.
    pub fn tls_established(&mut self, now: Duration, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id).filter(|c| !c.closing) else { return };
        connection.active = now;
        connection.link.tls_established();
        self.tell(id);
    }

    /// The connection is gone, whoever closed it.
    pub fn closed(&mut self, now: Duration, id: ConnectionId) {
        let Some(connection) = self.connections.remove(&id) else { return };
        self.timers.remove(&(connection.deadline, Timer::Connection(id)));
        if !connection.identified {
            self.leave_unidentified(connection.peer);
        }
        if let Some(key) = connection.port {
            self.connection_left(now, &key, id);
        }
    }

    /// What the check of a claim found; `Err` says why it does not hold.
    pub fn verdict(&mut self, now: Duration, id: ConnectionId, verdict: Result<Verified, String>) {
        let Some(connection) = self.connections.get_mut(&id).filter(|c| !c.closing) else { return };
        if connection.link.stage() != Stage::Claimed {
            return;
        }
        match verdict {
            Ok(verified) => {
                connection.verified = Some(verified);
                self.bind(now, id);
            }
            Err(why) => self.refuse(now, id, Refusal::Untrue(identity::printable(&why))),
        }
    }

    /// Takes at most `max` bytes to send on a connection. After an empty piece, wait for [`Output::Ready`].
    pub fn take_output(&mut self, id: ConnectionId, max: usize) -> Bytes {
        let Some(connection) = self.connections.get_mut(&id) else { return Bytes::new() };
        let piece = connection.link.take_output(max);
        connection.told = !piece.is_empty();
        if !piece.is_empty()
            && let Some(key) = connection.port.clone()
        {
            self.make_room(&key);
        }
        piece
    }

    /// What time alone changes.
    pub fn tick(&mut self, now: Duration) {
        while let Some((at, _)) = self.timers.first()
            && *at <= now
        {
            let Some((_, timer)) = self.timers.pop_first() else { break };
            match timer {
                Timer::Connection(id) => self.connection_timer(now, id),
                Timer::Move(key) => self.move_timer(now, &key),
                Timer::Forget(key) => self.forget_timer(now, &key),
            }
        }
    }

    /// All ports, those that are remembered included.
    pub fn ports(&self) -> impl Iterator<Item = PortInfo> {
        self.ports.iter().map(|(key, port)| PortInfo {
            key: key.clone(),
            name: port.name.clone(),
            service_uri: port.service_uri.clone(),
            peer: port.peer,
            status: port.status(),
            clients: port.clients.len(),
        })
    }

    /// Does what the link's events ask for, then sets its time by the stage it came to.
    fn settle(&mut self, now: Duration, id: ConnectionId, before: Stage) {
        while let Some(connection) = self.connections.get_mut(&id) {
            if connection.closing {
                break;
            }
            let Some(event) = connection.link.next_event() else { break };
            self.event(now, id, event);
        }
        self.stage_time(now, id, before);
        self.tell(id);
    }

    fn event(&mut self, now: Duration, id: ConnectionId, event: LinkEvent) {
        match event {
            LinkEvent::Data(data) => self.machine_data(now, id, data.into()),
            LinkEvent::Claim(claim) => self.claim(now, id, claim),
            LinkEvent::Name(name) => self.renamed(id, name),
            LinkEvent::Begin(sequence) => self.move_begun(now, id, sequence),
            LinkEvent::Peer(secret) => self.move_peer(now, id, &secret),
            LinkEvent::Complete => self.move_complete(now, id),
            LinkEvent::Abort => self.move_aborted(now, id),
            LinkEvent::StartTls(rest) => self.outputs.push_back(Output::StartTls(id, rest)),
            LinkEvent::Broken(why) => self.close(id, why.into()),
        }
    }

    fn stage_time(&mut self, now: Duration, id: ConnectionId, before: Stage) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let stage = connection.link.stage();
        if stage == before || connection.closing {
            return;
        }
        let times = &self.config.timeouts;
        let time = match stage {
            Stage::Options => times.extension,
            Stage::Request => times.request,
            Stage::Identity => times.identity,
            Stage::Claimed => times.verify,
            Stage::Target => times.hold,
            Stage::Serving => times.idle,
        };
        self.timers.remove(&(connection.deadline, Timer::Connection(id)));
        connection.deadline = now + time;
        self.timers.insert((connection.deadline, Timer::Connection(id)));
        if matches!(stage, Stage::Serving | Stage::Target) && !connection.identified {
            connection.identified = true;
            let peer = connection.peer;
            self.leave_unidentified(peer);
        }
    }

    fn leave_unidentified(&mut self, peer: IpAddr) {
        if let Some(count) = self.unidentified.get_mut(&peer) {
            *count -= 1;
            if *count == 0 {
                self.unidentified.remove(&peer);
            }
        }
    }

    fn connection_timer(&mut self, now: Duration, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let stage = connection.link.stage();
        match stage {
            _ if connection.closing => return,
            Stage::Serving => {
                let idle = self.config.timeouts.idle;
                if connection.active + idle <= now {
                    // The deadline of TCP's own acknowledgements does the rest.
                    if !connection.link.has_output() {
                        connection.link.send_nop();
                    }
                    connection.active = now;
                }
                connection.deadline = connection.active + idle;
                self.timers.insert((connection.deadline, Timer::Connection(id)));
                return self.tell(id);
            }
            Stage::Identity => connection.link.identity_is_late(),
            Stage::Options | Stage::Request | Stage::Claimed | Stage::Target => {
                return self.refuse(now, id, Refusal::Late);
            }
        }
        self.settle(now, id, stage);
    }

    /// Tells the caller once that there is something to send.
    fn tell(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(&id)
            && connection.link.has_output()
            && !std::mem::replace(&mut connection.told, true)
        {
            self.outputs.push_back(Output::Ready(id));
        }
    }

    fn note(&mut self, note: Note) {
        self.outputs.push_back(Output::Note(note));
    }

    /// Sends WONT-PROXY and closes.
    fn refuse(&mut self, now: Duration, id: ConnectionId, why: Refusal) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if connection.link.stage() != Stage::Target {
            connection.link.send(&crate::Message::WontProxy);
        }
        connection.active = now;
        self.close(id, why);
    }

    /// Closes, with a note of why.
    fn close(&mut self, id: ConnectionId, why: Refusal) {
        if let Some(peer) = self.connections.get(&id).filter(|c| !c.closing).map(|c| c.peer) {
            self.note(Note::Refused(peer, why));
        }
        self.hang_up(id);
    }

    fn hang_up(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(&id)
            && !std::mem::replace(&mut connection.closing, true)
        {
            self.outputs.push_back(Output::Close(id));
        }
    }

    /// A claim: what can be told at once is, then it is checked or bound.
    fn claim(&mut self, now: Duration, id: ConnectionId, claim: Claim) {
        let refusal = if claim.direction == Direction::Client && !self.config.direction_client {
            Some(Refusal::DirectionClient)
        } else if claim.direction == Direction::Server
            && self
                .config
                .service_name
                .as_ref()
                .is_some_and(|name| name != identity::service_name(&claim.service_uri))
        {
            // In the other direction it is an address, and what is dialled is the caller's to decide.
            Some(Refusal::ServiceName(identity::printable_uri(&claim.service_uri)))
        } else {
            None
        };
        if let Some(refusal) = refusal {
            return self.refuse(now, id, refusal);
        }
        let Some(label) = identity::label(&claim.service_uri) else {
            let uri = identity::printable_uri(&claim.service_uri);
            return self.refuse(now, id, Refusal::Label(uri));
        };
        let Some(machine) = claim.machine else {
            return self.refuse(now, id, Refusal::Anonymous);
        };
        let key = PortKey { machine, label: label.to_owned() };
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.claim = Some((key.clone(), claim.clone()));
        if self.config.verify {
            self.outputs.push_back(Output::Verify(id, key, claim));
        } else {
            self.bind(now, id);
        }
    }

    /// The claim is good: the connection gets its port, unless another has it.
    fn bind(&mut self, now: Duration, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let Some((key, claim)) = connection.claim.take() else { return };
        let peer = connection.peer;
        // Whoever has heard a claim may repeat it. From where it comes it does not.
        let trusted = connection.verified == Some(Verified::ClaimAndHost);
        if let Some(port) = self.ports.get(&key) {
            let live: Vec<ConnectionId> = port.connections().collect();
            let same =
                live.iter().all(|id| self.connections.get(id).is_some_and(|c| c.peer == peer));
            if !live.is_empty() && !trusted && !same {
                return self.refuse(now, id, Refusal::Taken(key));
            }
            self.end_move(&key);
            if !live.is_empty() {
                self.note(Note::TakenOver(key.clone(), peer));
            }
            for old in live {
                self.let_go(old);
            }
        } else if !self.make_port_room() {
            return self.refuse(now, id, Refusal::TooManyPorts);
        }
        let name = match self.connections.get(&id) {
            // The name that was checked, whatever has been said since.
            Some(_) if self.config.verify => claim.name.clone(),
            Some(connection) => connection.link.name().to_owned(),
            None => String::new(),
        };
        let port = self.ports.entry(key.clone()).or_insert_with(|| Port {
            state: State::Down,
            name: String::new(),
            service_uri: String::new(),
            direction: claim.direction,
            peer,
            clients: Vec::new(),
            held: Vec::new(),
            history: VecDeque::new(),
            since: now,
            forget_set: false,
        });
        port.name = name;
        port.service_uri.clone_from(&claim.service_uri);
        port.direction = claim.direction;
        port.peer = peer;
        port.state = State::Up(id);
        let shown = identity::printable(&port.name);
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.port = Some(key.clone());
            connection.link.accept();
        }
        self.note(Note::Up(key.clone(), shown, peer));
        if claim.direction == Direction::Client {
            self.outputs.push_back(Output::Dial(key.clone(), claim.service_uri));
        }
        self.status_changed(&key);
        self.give_held(&key, id);
        self.settle(now, id, Stage::Claimed);
    }

    fn renamed(&mut self, id: ConnectionId, name: String) {
        // Clients find a port by its name: one that was checked is not exchanged for one that was not.
        if self.config.verify {
            return;
        }
        if let Some(key) = self.connections.get(&id).and_then(|c| c.port.as_ref())
            && let Some(port) = self.ports.get_mut(key)
        {
            port.name = name;
        }
    }

    /// Forgets the port that was down longest if there are too many. `false`: all are in use.
    fn make_port_room(&mut self) -> bool {
        if self.ports.len() < self.config.limits.ports {
            return true;
        }
        let unused = |port: &Port| matches!(port.state, State::Down) && port.clients.is_empty();
        let oldest = self
            .ports
            .iter()
            .filter(|(_, port)| unused(port))
            .min_by_key(|(_, port)| port.since)
            .map(|(key, _)| key.clone());
        let Some(key) = oldest else { return false };
        if let Some(port) = self.ports.remove(&key) {
            let due = port.since + self.config.timeouts.remember;
            self.timers.remove(&(due, Timer::Forget(key)));
        }
        true
    }

    /// A connection of a port ended.
    fn connection_left(&mut self, now: Duration, key: &PortKey, id: ConnectionId) {
        let Some(port) = self.ports.get_mut(key) else { return };
        match &mut port.state {
            State::Up(up) if *up == id => self.port_down(now, key),
            State::Moving(moving) if moving.source == Some(id) => moving.source = None,
            // The target failed: the source may go on, or another target come.
            State::Moving(moving) if moving.target == Some(id) => moving.target = None,
            _ => {}
        }
    }

    fn port_down(&mut self, now: Duration, key: &PortKey) {
        let forget = now + self.config.timeouts.remember;
        let Some(port) = self.ports.get_mut(key) else { return };
        port.state = State::Down;
        port.since = now;
        port.held = Vec::new();
        // One timer for each port, however often it comes and goes.
        if !std::mem::replace(&mut port.forget_set, true) {
            self.timers.insert((forget, Timer::Forget(key.clone())));
        }
        self.note(Note::Down(key.clone()));
        self.status_changed(key);
        self.make_room(key);
    }

    fn forget_timer(&mut self, now: Duration, key: &PortKey) {
        let Some(port) = self.ports.get_mut(key) else { return };
        let due = port.since + self.config.timeouts.remember;
        port.forget_set = matches!(port.state, State::Down) && due > now;
        if port.forget_set {
            self.timers.insert((due, Timer::Forget(key.clone())));
        }
        if port.forget_set || !matches!(port.state, State::Down) {
            return;
        }
        if let Some(port) = self.ports.remove(key) {
            for client in port.clients {
                self.clients.remove(&client);
                self.outputs.push_back(Output::Detach(client, Detached::PortGone));
            }
        }
    }
}
