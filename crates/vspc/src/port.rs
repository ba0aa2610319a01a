//! One serial port of one machine: its state (spec 7.5), its clients, what it said last.

use std::{collections::VecDeque, fmt, net::IpAddr, time::Duration};

use bytes::Bytes;

use crate::{ConnectionId, Direction, Limits, PortKey};

/// One attached client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(pub u64);

/// What a client may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Reads and writes, beside others.
    #[default]
    Shared,
    /// Only reads: what it sends is dropped.
    ReadOnly,
    /// The only one that writes: refused if another writer is there, and others are refused while it is.
    Exclusive,
}

/// How a port stands, for people and clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// A machine is connected.
    Up,
    /// It is on its way to another host: what clients write waits.
    Moving,
    /// No machine is connected: what clients write is dropped.
    Down,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Up => "up",
            Self::Moving => "moving",
            Self::Down => "down",
        })
    }
}

/// What a client is given, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientEvent {
    /// The machine's output.
    Data(Bytes),
    /// The port's state changed.
    Status(Status),
}

/// Why a client was let go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Detached {
    /// It read too slowly.
    #[error("the client reads too slowly")]
    TooSlow,
    /// Another client wanted the port for itself.
    #[error("another client took the console over")]
    TakenOver,
    /// The port was forgotten.
    #[error("the port is forgotten")]
    PortGone,
}

/// Why a client cannot attach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AttachError {
    /// There is no such port, nor was there lately.
    #[error("no such port")]
    NoPort,
    /// As many clients as there may be.
    #[error("too many clients on this port")]
    TooMany,
    /// Somebody writes exclusively, or it wants to and others write.
    #[error("another client writes to this port")]
    Locked,
}

/// What is known about a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortInfo {
    /// Which port.
    pub key: PortKey,
    /// The machine's name, as it said it.
    pub name: String,
    /// The service URI, as it said it.
    pub service_uri: String,
    /// The address of its host, or of its last one.
    pub peer: IpAddr,
    /// How it stands.
    pub status: Status,
    /// How many clients are attached.
    pub clients: usize,
}

pub(crate) const SECRET_BYTES: usize = 8;

/// A move under way. `Debug` is not derived: it holds the secret.
pub(crate) struct Move {
    pub(crate) sequence: Vec<u8>,
    pub(crate) secret: [u8; SECRET_BYTES],
    pub(crate) deadline: Duration,
    /// `None`: it closed already.
    pub(crate) source: Option<ConnectionId>,
    pub(crate) target: Option<ConnectionId>,
}

pub(crate) enum State {
    Up(ConnectionId),
    /// `Leaving` of the specification without a target, `Arriving` with one.
    Moving(Move),
    Down,
}

pub(crate) struct Client {
    pub(crate) key: PortKey,
    pub(crate) mode: Mode,
    pub(crate) queue: VecDeque<ClientEvent>,
    pub(crate) queued_bytes: usize,
    /// It was told that there is something to take, and did not take all yet.
    pub(crate) told: bool,
    /// Not all of what it wrote was taken.
    pub(crate) blocked: bool,
}

pub(crate) struct Port {
    pub(crate) state: State,
    pub(crate) name: String,
    pub(crate) service_uri: String,
    pub(crate) direction: Direction,
    pub(crate) peer: IpAddr,
    pub(crate) clients: Vec<ClientId>,
    /// Client data that waits for the end of a move.
    pub(crate) held: Vec<u8>,
    pub(crate) history: VecDeque<u8>,
    /// When the last connection ended.
    pub(crate) since: Duration,
    /// A timer will look whether it is to be forgotten.
    pub(crate) forget_set: bool,
}

impl Port {
    pub(crate) const fn status(&self) -> Status {
        match self.state {
            State::Up(_) => Status::Up,
            State::Moving(_) => Status::Moving,
            State::Down => Status::Down,
        }
    }

    /// The connections that belong to the port.
    pub(crate) fn connections(&self) -> impl Iterator<Item = ConnectionId> + use<> {
        let (one, other) = match &self.state {
            State::Up(id) => (Some(*id), None),
            State::Moving(moving) => (moving.source, moving.target),
            State::Down => (None, None),
        };
        one.into_iter().chain(other)
    }

    pub(crate) fn remember(&mut self, data: &[u8], limits: &Limits) {
        let data = &data[data.len().saturating_sub(limits.history_bytes)..];
        let over = (self.history.len() + data.len()).saturating_sub(limits.history_bytes);
        self.history.drain(..over);
        self.history.extend(data);
    }
}
