//! A concentrator and machines, with wires of memory between them.
#![allow(dead_code, reason = "each test uses some of it")]

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use esx_vspc::{
    ClientEvent, ClientId, Concentrator, Config, ConnectionId, Machine, MachineConfig,
    MachineEvent, Message, Note, Output, PortKey, Refusal, message::Secret,
};

pub(crate) const UUID: &str = "50 1e a0 b1 c2 d3 e4 f5-06 17 28 39 4a 5b 6c 7d";
pub(crate) const HOST_A: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
pub(crate) const HOST_B: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

/// Bytes from hex digits, blanks between.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    text.split_whitespace().map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

/// Random bytes that are not, with FFs among them.
pub(crate) fn random() -> esx_vspc::Random {
    let mut state = 1_u64;
    Box::new(move |bytes| {
        for byte in bytes {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *byte = if state >> 62 == 0 { 0xff } else { (state >> 32) as u8 };
        }
        true
    })
}

pub(crate) fn machine(service_uri: &str) -> MachineConfig {
    MachineConfig {
        service_uri: service_uri.to_owned(),
        name: "café".to_owned(),
        uuid: UUID.to_owned(),
        ..MachineConfig::default()
    }
}

pub(crate) fn key(label: &str) -> PortKey {
    PortKey {
        machine: esx_vspc::MachineId::parse(esx_vspc::UuidKind::Instance, UUID).unwrap(),
        label: label.to_owned(),
    }
}

pub(crate) struct Bench {
    pub(crate) table: Concentrator,
    pub(crate) now: Duration,
    pub(crate) machines: BTreeMap<ConnectionId, Machine>,
    pub(crate) notes: Vec<Note>,
    pub(crate) others: Vec<Output>,
    pub(crate) closed: Vec<ConnectionId>,
    pub(crate) log: Vec<u8>,
}

impl Bench {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            table: Concentrator::new(config, random()),
            now: Duration::from_secs(1000),
            machines: BTreeMap::new(),
            notes: Vec::new(),
            others: Vec::new(),
            closed: Vec::new(),
            log: Vec::new(),
        }
    }

    pub(crate) fn connect(&mut self, peer: IpAddr, machine: Machine) -> ConnectionId {
        let id = self.table.accepted(self.now, peer, false).unwrap();
        self.machines.insert(id, machine);
        self.pump();
        id
    }

    /// A machine that is served.
    pub(crate) fn up(&mut self, service_uri: &str) -> ConnectionId {
        let id = self.connect(HOST_A, Machine::dial(machine(service_uri)));
        assert_eq!(self.event(id), Some(MachineEvent::Accepted));
        id
    }

    /// Carries everything until nobody has anything to say.
    pub(crate) fn pump(&mut self) {
        loop {
            let mut busy = false;
            for (id, machine) in &mut self.machines {
                let bytes = machine.take_output();
                if !bytes.is_empty() {
                    busy = true;
                    self.table.received(self.now, *id, &bytes);
                }
            }
            for (id, machine) in &mut self.machines {
                let bytes = self.table.take_output(*id, usize::MAX);
                if !bytes.is_empty() {
                    busy = true;
                    machine.receive(&bytes).unwrap();
                }
            }
            while let Some(output) = self.table.next_output() {
                match output {
                    Output::Note(note) => self.notes.push(note),
                    Output::Close(id) => {
                        let bytes = self.table.take_output(id, usize::MAX);
                        if let Some(machine) = self.machines.get_mut(&id) {
                            machine.receive(&bytes).unwrap();
                        }
                        self.closed.push(id);
                        self.table.closed(self.now, id);
                        busy = true;
                    }
                    Output::Log(_, data) => self.log.extend_from_slice(&data),
                    Output::Ready(_) | Output::ClientReady(_) => {}
                    other => self.others.push(other),
                }
            }
            if !busy {
                break;
            }
        }
    }

    pub(crate) fn event(&mut self, id: ConnectionId) -> Option<MachineEvent> {
        self.machines.get_mut(&id)?.next_event()
    }

    pub(crate) fn machine(&mut self, id: ConnectionId) -> &mut Machine {
        self.machines.get_mut(&id).unwrap()
    }

    /// The machine's end closes.
    pub(crate) fn close(&mut self, id: ConnectionId) {
        self.pump();
        self.machines.remove(&id);
        self.table.closed(self.now, id);
        self.pump();
    }

    pub(crate) fn wait(&mut self, time: Duration) {
        self.now += time;
        self.table.tick(self.now);
        self.pump();
    }

    pub(crate) fn guest_writes(&mut self, id: ConnectionId, data: &[u8]) {
        self.machine(id).write(data);
        self.pump();
    }

    /// All data that a client was given.
    pub(crate) fn read(&mut self, client: ClientId) -> Vec<u8> {
        let mut data = Vec::new();
        for event in self.table.take_events(client) {
            if let ClientEvent::Data(piece) = event {
                data.extend_from_slice(&piece);
            }
        }
        data
    }

    /// All data that a guest was given.
    pub(crate) fn guest_reads(&mut self, id: ConnectionId) -> Vec<u8> {
        let mut data = Vec::new();
        while let Some(event) = self.event(id) {
            if let MachineEvent::Data(piece) = event {
                data.extend_from_slice(&piece);
            }
        }
        data
    }

    /// BEGIN and its GOAHEAD: what the target is to show.
    pub(crate) fn go_ahead(&mut self, source: ConnectionId, sequence: &[u8]) -> Secret {
        self.machine(source).begin(sequence);
        self.pump();
        loop {
            match self.event(source).expect("an answer") {
                MachineEvent::GoAhead(secret) => break secret,
                MachineEvent::NotNow => panic!("not now"),
                _ => {}
            }
        }
    }

    pub(crate) fn arrive(
        &mut self,
        service_uri: &str,
        sequence: &[u8],
        secret: &Secret,
    ) -> ConnectionId {
        let arrived = Machine::arrive(machine(service_uri), sequence.to_vec(), secret.clone());
        self.connect(HOST_B, arrived)
    }

    pub(crate) fn refusals(&self) -> Vec<&Refusal> {
        self.notes
            .iter()
            .filter_map(|note| match note {
                Note::Refused(_, why) => Some(why),
                _ => None,
            })
            .collect()
    }

    pub(crate) fn send(&mut self, id: ConnectionId, message: &Message) {
        self.machine(id).send(message);
        self.pump();
    }
}
