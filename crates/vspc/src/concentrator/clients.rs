//! Data between a port and its clients.

use super::{
    AttachError, Bytes, Client, ClientEvent, ClientId, Concentrator, ConnectionId, Detached,
    Duration, Mode, Output, PortKey, State, Status, VecDeque,
};

impl Concentrator {
    /// Attaches a client: it is given the state, what the port said last, then what comes.
    ///
    /// # Errors
    ///
    /// [`AttachError`].
    pub fn attach(&mut self, key: &PortKey, mode: Mode) -> Result<ClientId, AttachError> {
        let port = self.ports.get(key).ok_or(AttachError::NoPort)?;
        if port.clients.len() >= self.config.limits.clients_per_port {
            return Err(AttachError::TooMany);
        }
        let modes = || port.clients.iter().filter_map(|id| self.clients.get(id)).map(|c| c.mode);
        let locked = match mode {
            Mode::ReadOnly => false,
            Mode::Shared => modes().any(|mode| mode == Mode::Exclusive),
            Mode::Exclusive => modes().any(|mode| mode != Mode::ReadOnly),
        };
        if locked {
            return Err(AttachError::Locked);
        }
        let history = Bytes::from(port.history.iter().copied().collect::<Vec<u8>>());
        let mut queue = VecDeque::from([ClientEvent::Status(port.status())]);
        let queued_bytes = history.len();
        if !history.is_empty() {
            queue.push_back(ClientEvent::Data(history));
        }
        let id = ClientId(self.fresh_id());
        self.clients.insert(
            id,
            Client { key: key.clone(), mode, queue, queued_bytes, told: true, blocked: false },
        );
        if let Some(port) = self.ports.get_mut(key) {
            port.clients.push(id);
        }
        self.outputs.push_back(Output::ClientReady(id));
        Ok(id)
    }

    /// Lets go of every client of a port that may write: another one takes their place.
    pub fn let_go_of_writers(&mut self, key: &PortKey) {
        let Some(port) = self.ports.get_mut(key) else { return };
        let (clients, outputs) = (&mut self.clients, &mut self.outputs);
        port.clients.retain(|id| {
            if clients.get(id).is_some_and(|client| client.mode == Mode::ReadOnly) {
                return true;
            }
            clients.remove(id);
            outputs.push_back(Output::Detach(*id, Detached::TakenOver));
            false
        });
    }

    /// A client is gone.
    pub fn detach(&mut self, id: ClientId) {
        if let Some(client) = self.clients.remove(&id)
            && let Some(port) = self.ports.get_mut(&client.key)
        {
            port.clients.retain(|other| *other != id);
        }
    }

    /// Data that a client writes. Returns how much of it was taken; if not all was, offer the rest after
    /// [`Output::Room`] and read no more until then.
    pub fn client_data(&mut self, id: ClientId, data: &[u8]) -> usize {
        let Some(client) = self.clients.get_mut(&id) else { return data.len() };
        if client.mode == Mode::ReadOnly {
            return data.len();
        }
        let Some(port) = self.ports.get_mut(&client.key) else { return data.len() };
        let limit = self.config.limits.held_bytes;
        let (taken, tell) = match &port.state {
            State::Down => (data.len(), None),
            State::Moving(_) => {
                let taken = data.len().min(limit.saturating_sub(port.held.len()));
                port.held.extend_from_slice(&data[..taken]);
                (taken, None)
            }
            State::Up(connection) => {
                let Some(up) = self.connections.get_mut(connection) else { return data.len() };
                let taken = data.len().min(limit.saturating_sub(up.link.pending()));
                up.link.write(&data[..taken]);
                (taken, Some(*connection))
            }
        };
        client.blocked = taken < data.len();
        if let Some(connection) = tell {
            self.tell(connection);
        }
        taken
    }

    /// Takes what there is for a client. Empty: wait for [`Output::ClientReady`].
    pub fn take_events(&mut self, id: ClientId) -> VecDeque<ClientEvent> {
        let Some(client) = self.clients.get_mut(&id) else { return VecDeque::new() };
        client.queued_bytes = 0;
        let queue = std::mem::take(&mut client.queue);
        client.told = !queue.is_empty();
        queue
    }

    /// Output of a machine.
    pub(super) fn machine_data(&mut self, now: Duration, id: ConnectionId, data: Bytes) {
        let Some(key) = self.connections.get(&id).and_then(|c| c.port.clone()) else { return };
        let Some(port) = self.ports.get(&key) else { return };
        match &port.state {
            State::Up(up) if *up == id => {}
            // It runs again where it was, whether or not the word for that comes.
            State::Moving(moving) if moving.source == Some(id) => self.move_aborted(now, id),
            _ => return,
        }
        let Some(port) = self.ports.get_mut(&key) else { return };
        port.remember(&data, &self.config.limits);
        self.give(&key, &ClientEvent::Data(data.clone()));
        self.outputs.push_back(Output::Log(key, data));
    }

    pub(super) fn status_changed(&mut self, key: &PortKey) {
        if let Some(status) = self.ports.get(key).map(super::Port::status) {
            self.give(key, &ClientEvent::Status(status));
        }
    }

    /// Queues an event for every client of a port; who is too slow is let go.
    fn give(&mut self, key: &PortKey, event: &ClientEvent) {
        let Some(port) = self.ports.get_mut(key) else { return };
        // A state counts too: no flood of anything may grow without bound.
        let size = match event {
            ClientEvent::Data(data) => data.len(),
            ClientEvent::Status(_) => size_of::<ClientEvent>(),
        };
        let (limit, clients, outputs) =
            (self.config.limits.client_queue_bytes, &mut self.clients, &mut self.outputs);
        port.clients.retain(|id| {
            let Some(client) = clients.get_mut(id) else { return false };
            if !client.queue.is_empty() && client.queued_bytes + size > limit {
                clients.remove(id);
                outputs.push_back(Output::Detach(*id, Detached::TooSlow));
                return false;
            }
            client.queued_bytes += size;
            client.queue.push_back(event.clone());
            if !std::mem::replace(&mut client.told, true) {
                outputs.push_back(Output::ClientReady(*id));
            }
            true
        });
    }

    /// What clients wrote during a move, or before the machine was there, goes to a connection.
    pub(super) fn give_held(&mut self, key: &PortKey, id: ConnectionId) {
        let Some(port) = self.ports.get_mut(key) else { return };
        let held = std::mem::take(&mut port.held);
        if let Some(connection) = self.connections.get_mut(&id)
            && !held.is_empty()
        {
            connection.link.write(&held);
        }
        self.tell(id);
        self.make_room(key);
    }

    /// Clients that were not read from may write again.
    pub(super) fn make_room(&mut self, key: &PortKey) {
        let Some(port) = self.ports.get(key) else { return };
        for id in &port.clients {
            if let Some(client) = self.clients.get_mut(id)
                && std::mem::take(&mut client.blocked)
            {
                self.outputs.push_back(Output::Room(*id));
            }
        }
    }

    /// Whether what a client types waits for a machine that moves.
    #[must_use]
    pub fn is_held(&self, id: ClientId) -> bool {
        let port = self.clients.get(&id).and_then(|client| self.ports.get(&client.key));
        port.is_some_and(|port| matches!(port.state, State::Moving(_)))
    }

    /// How a client's port stands.
    #[must_use]
    pub fn status(&self, key: &PortKey) -> Option<Status> {
        self.ports.get(key).map(super::Port::status)
    }
}
