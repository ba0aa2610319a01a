//! Keep-alive messages (libvirt-rpc.md 9.3), and when a silent peer counts as gone. Time is an argument.

use std::time::Duration;

use bytes::Bytes;

use crate::frame::{Header, KEEPALIVE_PROGRAM, Packet, PacketType, Status, VERSION};

const PING: i32 = 1;
const PONG: i32 = 2;

/// What a packet of the keep-alive program is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message {
    /// The peer asks whether we are there.
    Ping,
    /// The peer is there.
    Pong,
}

/// What the packet means; `None` if it belongs to another program or makes no sense.
#[must_use]
pub fn message(packet: &Packet) -> Option<Message> {
    let header = packet.header;
    if header.program != KEEPALIVE_PROGRAM
        || header.version != VERSION
        || header.kind != PacketType::Message
    {
        return None;
    }
    match header.procedure {
        PING => Some(Message::Ping),
        PONG => Some(Message::Pong),
        _ => None,
    }
}

/// A message as a packet.
#[must_use]
pub fn packet(message: Message) -> Packet {
    let header = Header {
        program: KEEPALIVE_PROGRAM,
        version: VERSION,
        procedure: match message {
            Message::Ping => PING,
            Message::Pong => PONG,
        },
        kind: PacketType::Message,
        serial: 0,
        status: Status::Ok,
    };
    Packet::new(header, Bytes::new())
}

/// What to do about a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advice {
    /// Nothing until then.
    Wait(Duration),
    /// Send a ping now and ask again.
    Ping,
    /// It has not answered: end the connection.
    Dead,
}

/// Watches over one peer. All times are measured from the same start.
#[derive(Debug, Clone)]
pub struct Watch {
    interval: Duration,
    count: u32,
    unanswered: u32,
    last: Duration,
}

impl Watch {
    /// Pings after each `interval` of silence and gives up when `count` pings were not answered.
    #[must_use]
    pub const fn new(interval: Duration, count: u32, now: Duration) -> Self {
        Self { interval, count, unanswered: 0, last: now }
    }

    /// Any packet of the peer is a sign of life.
    pub fn heard(&mut self, now: Duration) {
        self.unanswered = 0;
        self.last = self.last.max(now);
    }

    /// What is due. After [`Advice::Ping`] the ping counts as sent.
    pub fn due(&mut self, now: Duration) -> Advice {
        let next = self.last.saturating_add(self.interval);
        if now < next {
            return Advice::Wait(next);
        }
        if self.unanswered >= self.count {
            return Advice::Dead;
        }
        self.unanswered += 1;
        self.last = now;
        Advice::Ping
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn messages_are_their_numbers() {
        for (kind, number) in [(Message::Ping, 1), (Message::Pong, 2)] {
            let packet = packet(kind);
            assert_eq!(packet.header.procedure, number);
            assert_eq!(message(&packet), Some(kind));
        }
        let mut other = packet(Message::Ping);
        other.header.procedure = 3;
        assert_eq!(message(&other), None);
        let call = Packet::new(Header::remote(1, PacketType::Message, 0, Status::Ok), Bytes::new());
        assert_eq!(message(&call), None);
    }

    #[test]
    fn a_silent_peer_is_given_up_after_so_many_pings() {
        let mut watch = Watch::new(s(5), 2, s(100));
        assert_eq!(watch.due(s(104)), Advice::Wait(s(105)));
        assert_eq!(watch.due(s(105)), Advice::Ping);
        assert_eq!(watch.due(s(105)), Advice::Wait(s(110)));
        watch.heard(s(107));
        assert_eq!(watch.due(s(110)), Advice::Wait(s(112)));
        assert_eq!(watch.due(s(112)), Advice::Ping);
        assert_eq!(watch.due(s(117)), Advice::Ping);
        assert_eq!(watch.due(s(121)), Advice::Wait(s(122)));
        assert_eq!(watch.due(s(122)), Advice::Dead);
        // A clock that goes back does no harm.
        watch.heard(s(1));
        assert_eq!(watch.due(s(2)), Advice::Wait(s(122)));
    }
}
