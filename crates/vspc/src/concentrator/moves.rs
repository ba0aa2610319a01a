//! vMotion (spec 7, 8): from BEGIN to COMPLETE, or back.
//!
//! What a client writes after BEGIN is held, so that GOAHEAD is the last byte that the source is sent; it goes to
//! whichever end runs the machine in the end. A secret is good for one move, and only the connection that shows it, not
//! the identifier that it claims, becomes the port's new one.

use super::{
    Concentrator, ConnectionId, Duration, Note, PortKey, Refusal, SECRET_BYTES, Stage, State, Timer,
};
use crate::{
    Message,
    message::{Secret, code},
    port::Move,
};

impl Concentrator {
    /// The source is about to move.
    pub(super) fn move_begun(&mut self, now: Duration, id: ConnectionId, sequence: Vec<u8>) {
        let Some(connection) = self.connections.get(&id) else { return };
        let key = connection.port.clone();
        let serves = key.as_ref().and_then(|key| self.ports.get(key)).is_some_and(|port| {
            match &port.state {
                State::Up(up) => *up == id,
                // It gave the first move up without a word.
                State::Moving(moving) => moving.source == Some(id),
                State::Down => false,
            }
        });
        let secret = (serves && sequence.len() <= self.config.limits.sequence_bytes)
            .then(|| self.draw_secret())
            .flatten();
        let (Some(key), Some(secret)) = (key, secret) else {
            if let Some(key) = self.connections.get(&id).and_then(|c| c.port.clone()) {
                self.note(Note::MoveRefused(key));
            }
            return self.send(id, &Message::NotNow(sequence));
        };
        let late = self.moving(&key).and_then(|moving| moving.target);
        self.end_move(&key);
        if let Some(late) = late {
            self.let_go(late);
        }
        let deadline = now + self.config.timeouts.hold;
        self.moves.entry(sequence.clone()).or_default().push(key.clone());
        self.timers.insert((deadline, Timer::Move(key.clone())));
        let mut answer = sequence.clone();
        answer.extend_from_slice(&secret);
        if let Some(port) = self.ports.get_mut(&key) {
            port.state =
                State::Moving(Move { sequence, secret, deadline, source: Some(id), target: None });
        }
        self.note(Note::MoveBegun(key.clone()));
        self.send(id, &Message::GoAhead(Secret(answer)));
        self.status_changed(&key);
    }

    /// Eight bytes without FF, so that peers that forget to escape work too. `None`: the generator failed.
    fn draw_secret(&mut self) -> Option<[u8; SECRET_BYTES]> {
        let mut pool = [0xff; 8 * SECRET_BYTES];
        if !(self.random)(&mut pool) {
            return None;
        }
        let mut secret = [0; SECRET_BYTES];
        let mut good = pool.into_iter().filter(|byte| *byte != 0xff);
        for byte in &mut secret {
            *byte = good.next()?;
        }
        Some(secret)
    }

    /// A connection shows a secret.
    pub(super) fn move_peer(&mut self, now: Duration, id: ConnectionId, shown: &Secret) {
        let Some(connection) = self.connections.get(&id) else { return };
        let fresh = connection.port.is_none()
            && connection.claim.is_none()
            && matches!(connection.link.stage(), Stage::Request);
        let found = if fresh { self.find_move(shown) } else { None };
        let Some((key, sequence)) = found else {
            self.send(id, &Message::Unknown2(code::VMOTION_PEER));
            return self.close(id, Refusal::BadSecret);
        };
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.port = Some(key.clone());
        connection.link.become_target();
        connection.active = now;
        if let Some(port) = self.ports.get_mut(&key)
            && let State::Moving(moving) = &mut port.state
        {
            moving.target = Some(id);
        }
        self.send(id, &Message::PeerOk(sequence));
    }

    /// The port whose secret was shown, unless it has its target already. The border between sequence and secret is
    /// not on the wire, but ours have one length.
    fn find_move(&self, shown: &Secret) -> Option<(PortKey, Vec<u8>)> {
        let (sequence, secret) =
            shown.0.split_at_checked(shown.0.len().checked_sub(SECRET_BYTES)?)?;
        let mut found = None;
        for key in self.moves.get(sequence)? {
            let State::Moving(moving) = &self.ports.get(key)?.state else { continue };
            if same(&moving.secret, secret) && moving.target.is_none() {
                found = Some((key.clone(), sequence.to_vec()));
            }
        }
        found
    }

    /// The machine runs at the target. From any connection but an accepted target it means nothing.
    pub(super) fn move_complete(&mut self, now: Duration, id: ConnectionId) {
        let Some(key) = self.connections.get(&id).and_then(|c| c.port.clone()) else { return };
        let Some(moving) = self.moving(&key).filter(|moving| moving.target == Some(id)) else {
            return;
        };
        let source = moving.source;
        self.end_move(&key);
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let peer = connection.peer;
        connection.link.serve();
        if let Some(port) = self.ports.get_mut(&key) {
            port.state = State::Up(id);
            port.peer = peer;
            let name = connection.link.name();
            if !name.is_empty() {
                name.clone_into(&mut port.name);
            }
        }
        if let Some(source) = source {
            self.let_go(source);
        }
        self.note(Note::Moved(key.clone(), peer));
        self.status_changed(&key);
        self.give_held(&key, id);
        self.stage_time(now, id, Stage::Target);
    }

    /// The machine stays. From any connection but the source it means nothing.
    pub(super) fn move_aborted(&mut self, _now: Duration, id: ConnectionId) {
        let Some(key) = self.connections.get(&id).and_then(|c| c.port.clone()) else { return };
        if self.moving(&key).is_some_and(|moving| moving.source == Some(id)) {
            self.stay(&key, id);
        }
    }

    /// The end of the wait: the source goes on if it is there.
    pub(super) fn move_timer(&mut self, now: Duration, key: &PortKey) {
        let Some(moving) = self.moving(key).filter(|moving| moving.deadline <= now) else { return };
        let (source, target) = (moving.source, moving.target);
        if let Some(source) = source {
            return self.stay(key, source);
        }
        self.end_move(key);
        if let Some(target) = target {
            self.let_go(target);
        }
        self.port_down(now, key);
    }

    fn stay(&mut self, key: &PortKey, source: ConnectionId) {
        let target = self.moving(key).and_then(|moving| moving.target);
        self.end_move(key);
        if let Some(target) = target {
            self.let_go(target);
        }
        if let Some(port) = self.ports.get_mut(key) {
            port.state = State::Up(source);
        }
        self.note(Note::MoveEnded(key.clone()));
        self.status_changed(key);
        self.give_held(key, source);
    }

    fn moving(&self, key: &PortKey) -> Option<&Move> {
        match &self.ports.get(key)?.state {
            State::Moving(moving) => Some(moving),
            State::Up(_) | State::Down => None,
        }
    }

    /// Spends the secret of a port's move, if there is one. The state is for the caller to set.
    pub(super) fn end_move(&mut self, key: &PortKey) {
        let Some(port) = self.ports.get_mut(key) else { return };
        if !matches!(port.state, State::Moving(_)) {
            return;
        }
        let State::Moving(moving) = std::mem::replace(&mut port.state, State::Down) else { return };
        self.timers.remove(&(moving.deadline, Timer::Move(key.clone())));
        if let Some(keys) = self.moves.get_mut(&moving.sequence) {
            keys.retain(|other| other != key);
            if keys.is_empty() {
                self.moves.remove(&moving.sequence);
            }
        }
    }

    /// The connection has no port any more; it is closed.
    pub(super) fn let_go(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.port = None;
        }
        self.hang_up(id);
    }

    fn send(&mut self, id: ConnectionId, message: &Message) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.link.send(message);
        }
        self.tell(id);
    }
}

/// Equality in a time that does not depend on where they differ.
fn same(one: &[u8; SECRET_BYTES], other: &[u8]) -> bool {
    one.len() == other.len()
        && one.iter().zip(other).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}
