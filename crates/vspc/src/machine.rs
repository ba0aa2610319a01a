//! A machine's end of a connection, for tests and the simulator (spec 16).
//!
//! It behaves as the captures show real ones: TLS offered first, option 232 on request, what it can do together with
//! what it wants, answers to questions, COM-PORT after it was accepted, serial data only from then on.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::{
    message::{Direction, Message, MessageError, Secret, UuidKind},
    options::Options,
    telnet::{self, Decoder, Event, TelnetError, Verb},
};

/// Longest parameters that a proxy sends.
const PARAMETERS_BYTES: usize = 4 << 10;

/// What a machine says of itself.
#[derive(Debug, Clone)]
pub struct MachineConfig {
    /// The port's direction.
    pub direction: Direction,
    /// The port's service URI.
    pub service_uri: String,
    /// The display name.
    pub name: String,
    /// `vc.uuid`.
    pub uuid: String,
    /// `uuid.bios`.
    pub bios_uuid: String,
    /// `uuid.location`.
    pub location_uuid: String,
    /// The codes it lists, and answers.
    pub codes: Vec<u8>,
    /// Whether it offers to start TLS on a connection in clear.
    pub offer_tls: bool,
}

impl Default for MachineConfig {
    fn default() -> Self {
        Self {
            direction: Direction::Server,
            service_uri: "virtesx".to_owned(),
            name: String::new(),
            uuid: String::new(),
            bios_uuid: String::new(),
            location_uuid: String::new(),
            // The order of a real one.
            codes: vec![
                0, 1, 2, 3, 40, 41, 43, 44, 45, 46, 48, 70, 71, 73, 80, 81, 84, 85, 86, 87, 82, 83,
            ],
            offer_tls: false,
        }
    }
}

/// What a machine's end learns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MachineEvent {
    /// WILL-PROXY: data may flow.
    Accepted,
    /// WONT-PROXY.
    Refused,
    /// The move may go on; the target must show these bytes.
    GoAhead(Secret),
    /// The move must not go on.
    NotNow,
    /// The proxy knows the secret: the target may run the machine, then say [`Machine::complete`].
    PeerOk,
    /// The proxy did not understand this code; for code 44 it means that the secret is wrong.
    Unknown(u8),
    /// Data for the guest.
    Data(Vec<u8>),
    /// After what there is to send, be the client of a TLS handshake that begins with these bytes, then say
    /// [`Machine::tls_established`].
    StartTls(Vec<u8>),
}

/// A machine's end of one connection.
#[derive(Debug)]
pub struct Machine {
    config: MachineConfig,
    decoder: Decoder,
    options: Options,
    /// Sequence and secret that a target shows; empty for one that dials.
    arriving: Option<Secret>,
    sequence: Vec<u8>,
    requested: bool,
    serving: bool,
    starting_tls: bool,
    waiting: Vec<u8>,
    out: BytesMut,
    events: VecDeque<MachineEvent>,
}

impl Machine {
    /// A machine that was powered on, or whose port was connected.
    #[must_use]
    pub fn dial(config: MachineConfig) -> Self {
        Self::new(config, None, Vec::new())
    }

    /// The machine at the target of a move, with what the source was given.
    #[must_use]
    pub fn arrive(config: MachineConfig, sequence: Vec<u8>, shown: Secret) -> Self {
        Self::new(config, Some(shown), sequence)
    }

    fn new(config: MachineConfig, arriving: Option<Secret>, sequence: Vec<u8>) -> Self {
        let mut out = BytesMut::new();
        let mut options = Options::new(&[
            (telnet::BINARY, true, true),
            (telnet::SUPPRESS_GO_AHEAD, true, true),
            (telnet::ECHO, false, true),
            (telnet::VMWARE_EXT, true, false),
            (telnet::AUTHENTICATION, config.offer_tls, false),
            (telnet::COM_PORT, true, false),
        ]);
        if config.offer_tls
            && let Some(verb) = options.want_ours(telnet::AUTHENTICATION)
        {
            telnet::write_option(&mut out, verb, telnet::AUTHENTICATION);
        }
        Self {
            config,
            decoder: Decoder::new(PARAMETERS_BYTES),
            options,
            arriving,
            sequence,
            requested: false,
            serving: false,
            starting_tls: false,
            waiting: Vec::new(),
            out,
            events: VecDeque::new(),
        }
    }

    /// Offers option 232 unasked, for a proxy that only answers.
    pub fn offer(&mut self) {
        if let Some(verb) = self.options.want_ours(telnet::VMWARE_EXT) {
            telnet::write_option(&mut self.out, verb, telnet::VMWARE_EXT);
        }
    }

    /// What there is to send.
    pub fn take_output(&mut self) -> Bytes {
        self.out.split().freeze()
    }

    /// What was learnt.
    pub fn next_event(&mut self) -> Option<MachineEvent> {
        self.events.pop_front()
    }

    /// Whether data flows.
    #[must_use]
    pub const fn is_serving(&self) -> bool {
        self.serving
    }

    /// What the guest writes. Before data flows it waits.
    pub fn write(&mut self, data: &[u8]) {
        if self.serving {
            telnet::write_data(&mut self.out, data);
        } else {
            self.waiting.extend_from_slice(data);
        }
    }

    /// Sends a message, whether it fits or not.
    pub fn send(&mut self, message: &Message) {
        message.write(&mut self.out);
    }

    /// The machine is stopped and about to move.
    pub fn begin(&mut self, sequence: &[u8]) {
        self.sequence = sequence.to_vec();
        self.send(&Message::Begin(sequence.to_vec()));
    }

    /// The machine stays here.
    pub fn abort(&mut self) {
        self.send(&Message::Abort);
    }

    /// The machine runs here, at the target.
    pub fn complete(&mut self) {
        self.send(&Message::Complete(self.sequence.clone()));
        self.serve();
    }

    /// The handshake that [`MachineEvent::StartTls`] asked for is over.
    pub const fn tls_established(&mut self) {
        self.starting_tls = false;
    }

    fn serve(&mut self) {
        self.serving = true;
        let waiting = std::mem::take(&mut self.waiting);
        telnet::write_data(&mut self.out, &waiting);
        if let Some(verb) = self.options.want_ours(telnet::COM_PORT) {
            telnet::write_option(&mut self.out, verb, telnet::COM_PORT);
        }
    }

    /// Takes bytes of the proxy.
    ///
    /// # Errors
    ///
    /// [`TelnetError`]: the proxy does not speak telnet.
    pub fn receive(&mut self, mut input: &[u8]) -> Result<(), TelnetError> {
        let mut decoder = std::mem::replace(&mut self.decoder, Decoder::new(0));
        let mut outcome = Ok(());
        while !self.starting_tls {
            match decoder.next(&mut input) {
                Ok(Some(event)) => self.event(&event),
                Ok(None) => break,
                Err(error) => {
                    outcome = Err(error);
                    break;
                }
            }
        }
        self.decoder = decoder;
        if self.starting_tls {
            self.events.push_back(MachineEvent::StartTls(input.to_vec()));
        }
        outcome
    }

    fn event(&mut self, event: &Event<'_>) {
        match *event {
            Event::Data(data) => {
                if let Some(MachineEvent::Data(before)) = self.events.back_mut() {
                    before.extend_from_slice(data);
                } else {
                    self.events.push_back(MachineEvent::Data(data.to_vec()));
                }
            }
            Event::Command(_) => {}
            Event::Option(verb, option) => self.option(verb, option),
            Event::Subnegotiation(telnet::VMWARE_EXT, parameters) => self.message(parameters),
            Event::Subnegotiation(telnet::AUTHENTICATION, [1, 7, ..]) => {
                telnet::write_parameters(&mut self.out, telnet::AUTHENTICATION, &[0, 7, 0, 1]);
            }
            Event::Subnegotiation(telnet::AUTHENTICATION, [2, 7, _, 2]) => {
                self.starting_tls = true;
            }
            Event::Subnegotiation(..) => {}
        }
    }

    fn option(&mut self, verb: Verb, option: u8) {
        let reaction = self.options.received(verb, option);
        if let Some(answer) = reaction.answer {
            telnet::write_option(&mut self.out, answer, option);
        }
        let agreed = option == telnet::VMWARE_EXT && reaction.ours == Some(true);
        if agreed && !std::mem::replace(&mut self.requested, true) {
            self.send(&Message::Known1(self.config.codes.clone()));
            let request = match &self.arriving {
                Some(shown) => Message::Peer(shown.clone()),
                None => Message::DoProxy(self.config.direction, self.config.service_uri.clone()),
            };
            self.send(&request);
        }
    }

    fn message(&mut self, parameters: &[u8]) {
        let message = match Message::parse(parameters) {
            Ok(message) => message,
            Err(MessageError::UnknownCode(code)) => return self.send(&Message::Unknown1(code)),
            Err(MessageError::Empty | MessageError::Malformed(_)) => return,
        };
        if !self.config.codes.contains(&message.code()) {
            return self.send(&Message::Unknown1(message.code()));
        }
        match message {
            Message::GetUuid(kind) => {
                let text = match kind {
                    UuidKind::Instance => &self.config.uuid,
                    UuidKind::Bios => &self.config.bios_uuid,
                    UuidKind::Location => &self.config.location_uuid,
                };
                self.send(&Message::Uuid(kind, text.clone()));
            }
            Message::GetName => self.send(&Message::Name(self.config.name.clone())),
            Message::WillProxy => {
                if !self.serving {
                    self.events.push_back(MachineEvent::Accepted);
                    self.serve();
                }
            }
            Message::WontProxy => self.events.push_back(MachineEvent::Refused),
            Message::GoAhead(secret) => self.events.push_back(MachineEvent::GoAhead(secret)),
            Message::NotNow(_) => self.events.push_back(MachineEvent::NotNow),
            Message::PeerOk(_) => self.events.push_back(MachineEvent::PeerOk),
            Message::Unknown2(code) => self.events.push_back(MachineEvent::Unknown(code)),
            Message::Known2(_) | Message::Unknown1(_) => {}
            // Only a machine's end sends these.
            Message::Known1(_)
            | Message::Begin(_)
            | Message::Peer(_)
            | Message::Complete(_)
            | Message::Abort
            | Message::DoProxy(..)
            | Message::Uuid(..)
            | Message::Name(_) => self.send(&Message::Unknown1(message.code())),
        }
    }
}
