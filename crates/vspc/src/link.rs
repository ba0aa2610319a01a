//! The proxy's end of one connection: options, set-up and identity (spec 4 to 6, 9).
//!
//! Moves and takeovers need more than one connection: they are the [concentrator](crate::Concentrator)'s.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::{
    Limits,
    identity::MachineId,
    message::{CodeSet, Direction, Message, MessageError, Secret, UuidKind, code},
    options::Options,
    telnet::{self, Decoder, Event, TelnetError, Verb},
};

/// What a machine's end says of itself: claims of whoever reached the port, to be checked by somebody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Who opens the connection to the remote system.
    pub direction: Direction,
    /// The port's service URI, any text.
    pub service_uri: String,
    /// The machine; `None` if it gave none.
    pub machine: Option<MachineId>,
    /// Its display name, for people only: it may be empty, repeated or hold control characters.
    pub name: String,
}

/// Whether a connection in clear may, or must, start TLS by the AUTHENTICATION option.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsUpgrade {
    /// It is refused: there is no certificate, or the connection has TLS already.
    #[default]
    Refuse,
    /// A machine that offers it gets it.
    Accept,
    /// Without it nothing is read and the connection ends.
    Require,
}

/// Why a connection cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// The stream is no telnet.
    #[error("not telnet: {0}")]
    Telnet(#[from] TelnetError),
    /// The peer does not speak VMware's extension.
    #[error("it does not speak VMware's telnet extension")]
    NoExtension,
    /// TLS is required and was declined.
    #[error("TLS is required, it declined")]
    NoTls,
    /// DO-PROXY could not be read, or its URI is too long.
    #[error("malformed DO-PROXY")]
    MalformedRequest,
    /// A second DO-PROXY said something else.
    #[error("it asked for two services")]
    TwoRequests,
    /// An identifier that is none, or that changed.
    #[error("bad identifier of the machine")]
    BadIdentity,
    /// Too much data before it was accepted.
    #[error("too much data before it was accepted")]
    EarlyData,
    /// It sends but does not read what is answered.
    #[error("it does not read")]
    DoesNotRead,
}

/// What a connection tells the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LinkEvent {
    Data(Vec<u8>),
    /// All that will be known is known: to be accepted or refused.
    Claim(Claim),
    Name(String),
    Begin(Vec<u8>),
    Peer(Secret),
    Complete,
    Abort,
    /// The output so far goes in clear, then TLS starts; these bytes were read behind the machine's word.
    StartTls(Vec<u8>),
    Broken(Violation),
}

/// How far the set-up is; each stage has its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Option 232 is not agreed on.
    Options,
    /// No DO-PROXY or PEER yet.
    Request,
    /// No identifier yet.
    Identity,
    /// The claim waits for its verdict.
    Claimed,
    /// Data flows.
    Serving,
    /// Showed the secret of a move, which is not complete.
    Target,
}

#[derive(Debug)]
pub(crate) struct Link {
    decoder: Decoder,
    options: Options,
    upgrade: TlsUpgrade,
    starting_tls: bool,
    stage: Stage,
    known: Option<CodeSet>,
    asking: Option<UuidKind>,
    machine: Option<MachineId>,
    /// The name was asked for and has not come.
    naming: bool,
    name: String,
    request: Option<(Direction, String)>,
    early: Vec<u8>,
    identity_late: bool,
    line_input: bool,
    line_output: bool,
    out: BytesMut,
    /// What must wait for TLS.
    out_tls: BytesMut,
    broken: bool,
    events: VecDeque<LinkEvent>,
}

impl Link {
    pub(crate) fn new(limits: &Limits, upgrade: TlsUpgrade) -> Self {
        let options = Options::new(&[
            (telnet::BINARY, true, true),
            (telnet::SUPPRESS_GO_AHEAD, true, true),
            (telnet::VMWARE_EXT, false, true),
            (telnet::AUTHENTICATION, false, upgrade != TlsUpgrade::Refuse),
        ]);
        let mut link = Self {
            decoder: Decoder::new(limits.parameters_bytes),
            options,
            upgrade,
            starting_tls: false,
            stage: Stage::Options,
            known: None,
            asking: None,
            machine: None,
            naming: false,
            name: String::new(),
            request: None,
            early: Vec::new(),
            identity_late: false,
            line_input: false,
            line_output: false,
            out: BytesMut::new(),
            out_tls: BytesMut::new(),
            broken: false,
            events: VecDeque::new(),
        };
        if upgrade == TlsUpgrade::Require {
            link.want_theirs(telnet::AUTHENTICATION);
        } else {
            link.open();
        }
        link
    }

    /// Our wishes, in the order of the specification.
    fn open(&mut self) {
        for option in [telnet::BINARY, telnet::SUPPRESS_GO_AHEAD] {
            if let Some(verb) = self.options.want_ours(option) {
                telnet::write_option(self.sink(), verb, option);
            }
            self.want_theirs(option);
        }
        self.want_theirs(telnet::VMWARE_EXT);
    }

    fn want_theirs(&mut self, option: u8) {
        if let Some(verb) = self.options.want_theirs(option) {
            telnet::write_option(self.sink(), verb, option);
        }
    }

    const fn sink(&mut self) -> &mut BytesMut {
        if self.starting_tls { &mut self.out_tls } else { &mut self.out }
    }

    pub(crate) const fn stage(&self) -> Stage {
        self.stage
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn next_event(&mut self) -> Option<LinkEvent> {
        self.events.pop_front()
    }

    /// Bytes that wait to be sent.
    pub(crate) fn pending(&self) -> usize {
        self.out.len() + self.out_tls.len()
    }

    /// The next bytes to send, at most `max`; empty if there are none, or none before TLS is there.
    pub(crate) fn take_output(&mut self, max: usize) -> Bytes {
        let piece = self.out.split_to(max.min(self.out.len())).freeze();
        if self.out.is_empty() {
            self.out = BytesMut::new(); // an idle connection holds nothing
        }
        piece
    }

    pub(crate) fn has_output(&self) -> bool {
        !self.out.is_empty()
    }

    /// The handshake is over: what comes and goes from here on is inside of TLS.
    pub(crate) fn tls_established(&mut self) {
        if !std::mem::take(&mut self.starting_tls) {
            return; // it came first, before anything was said
        }
        self.out = std::mem::take(&mut self.out_tls);
        if std::mem::replace(&mut self.upgrade, TlsUpgrade::Refuse) == TlsUpgrade::Require {
            self.open();
        }
    }

    /// Serial data to the machine.
    pub(crate) fn write(&mut self, data: &[u8]) {
        if self.line_output {
            telnet::write_line_data(self.sink(), data);
        } else {
            telnet::write_data(self.sink(), data);
        }
    }

    pub(crate) fn send(&mut self, message: &Message) {
        message.write(self.sink());
    }

    pub(crate) fn send_nop(&mut self) {
        telnet::write_nop(self.sink());
    }

    /// The claim is good: data flows, what came too early first.
    pub(crate) fn accept(&mut self) {
        self.send(&Message::WillProxy);
        self.serve();
    }

    /// The move to this connection is complete: data flows.
    pub(crate) fn serve(&mut self) {
        self.stage = Stage::Serving;
        let early = std::mem::take(&mut self.early);
        if !early.is_empty() {
            self.events.push_front(LinkEvent::Data(early));
        }
    }

    /// It showed the secret of a move.
    pub(crate) const fn become_target(&mut self) {
        self.stage = Stage::Target;
    }

    /// No identifier came in time.
    pub(crate) fn identity_is_late(&mut self) {
        self.identity_late = true;
        self.asking = None;
        self.naming = false;
        self.claim();
    }

    /// Takes bytes in; [`Self::next_event`] says what they meant.
    pub(crate) fn receive(&mut self, mut input: &[u8], limits: &Limits) {
        // The decoder lends its buffer to the event, so it leaves `self` for the time.
        let mut decoder = std::mem::replace(&mut self.decoder, Decoder::new(0));
        while !self.broken && !self.starting_tls {
            decoder.set_line_mode(self.line_input);
            match decoder.next(&mut input) {
                Ok(None) => break,
                Err(error) => self.break_off(error.into()),
                Ok(Some(event)) => self.event(&event, limits),
            }
        }
        self.decoder = decoder;
        if self.starting_tls && !self.broken {
            self.events.push_back(LinkEvent::StartTls(input.to_vec()));
        }
        if self.pending() > limits.held_bytes + 16 * limits.parameters_bytes {
            self.break_off(Violation::DoesNotRead);
        }
    }

    fn event(&mut self, event: &Event<'_>, limits: &Limits) {
        match *event {
            Event::Data(data) => self.data(data, limits),
            Event::Command(_) => {} // breaks and the like mean nothing to a console
            Event::Option(verb, option) => self.option(verb, option),
            Event::Subnegotiation(telnet::VMWARE_EXT, parameters) => {
                if self.upgrade == TlsUpgrade::Require {
                    self.refuse(Violation::NoTls);
                } else if self.options.theirs(telnet::VMWARE_EXT) {
                    self.message(parameters, limits);
                }
            }
            Event::Subnegotiation(telnet::AUTHENTICATION, parameters) => self.tls(parameters),
            Event::Subnegotiation(..) => {} // of an option that we refused
        }
    }

    fn data(&mut self, data: &[u8], limits: &Limits) {
        if self.stage == Stage::Serving {
            if let Some(LinkEvent::Data(before)) = self.events.back_mut() {
                before.extend_from_slice(data);
            } else {
                self.events.push_back(LinkEvent::Data(data.to_vec()));
            }
        } else if self.upgrade == TlsUpgrade::Require {
            self.refuse(Violation::NoTls);
        } else if self.early.len() + data.len() > limits.early_data_bytes {
            self.break_off(Violation::EarlyData);
        } else {
            self.early.extend_from_slice(data);
        }
    }

    fn option(&mut self, verb: Verb, option: u8) {
        let reaction = self.options.received(verb, option);
        if let Some(answer) = reaction.answer {
            telnet::write_option(self.sink(), answer, option);
        }
        match (option, verb) {
            (telnet::BINARY, Verb::Will | Verb::Wont) => self.line_input = verb == Verb::Wont,
            (telnet::BINARY, Verb::Do | Verb::Dont) => self.line_output = verb == Verb::Dont,
            (telnet::VMWARE_EXT, Verb::Will) if reaction.theirs == Some(true) => {
                if self.stage == Stage::Options {
                    self.stage = Stage::Request;
                }
                self.send(&Message::Known2(code::ALL.to_vec()));
            }
            (telnet::VMWARE_EXT, Verb::Wont) if self.stage != Stage::Serving => {
                self.break_off(Violation::NoExtension);
            }
            (telnet::AUTHENTICATION, Verb::Will) if reaction.theirs == Some(true) => {
                // SEND, type SSL, no modifier.
                telnet::write_parameters(self.sink(), option, &[1, 7, 0]);
            }
            (telnet::AUTHENTICATION, Verb::Wont) if self.upgrade == TlsUpgrade::Require => {
                self.refuse(Violation::NoTls);
            }
            _ => {}
        }
    }

    /// Parameters of AUTHENTICATION: IS with type SSL and "start" begins TLS, anything else declines.
    fn tls(&mut self, parameters: &[u8]) {
        if !self.options.theirs(telnet::AUTHENTICATION) || self.upgrade == TlsUpgrade::Refuse {
            return;
        }
        if let [0, 7, _, 1] = *parameters {
            telnet::write_parameters(self.sink(), telnet::AUTHENTICATION, &[2, 7, 0, 2]);
            self.starting_tls = true;
        } else if self.upgrade == TlsUpgrade::Require {
            self.refuse(Violation::NoTls);
        }
    }

    fn message(&mut self, parameters: &[u8], limits: &Limits) {
        let message = match Message::parse(parameters) {
            Ok(message) => message,
            Err(MessageError::UnknownCode(code)) => return self.send(&Message::Unknown2(code)),
            Err(MessageError::Malformed(code::DO_PROXY)) => {
                return self.refuse(Violation::MalformedRequest);
            }
            Err(MessageError::Empty | MessageError::Malformed(_)) => return,
        };
        match message {
            Message::Known1(codes) => {
                if self.known.is_none() {
                    self.known = Some(CodeSet::new(&codes));
                    self.ask(Some(UuidKind::Instance));
                    self.naming = self.knows(code::GET_VM_NAME, code::VM_NAME);
                    if self.naming {
                        self.send(&Message::GetName);
                    }
                    self.claim();
                }
            }
            Message::DoProxy(direction, uri) => self.do_proxy(direction, uri, limits),
            Message::Uuid(kind, text) => self.uuid(kind, &text),
            Message::Unknown1(code) => {
                if let Some(kind) = self.asking.filter(|kind| kind.request() == code) {
                    self.ask(kind.fallback());
                }
                self.naming &= code != code::GET_VM_NAME;
                self.claim();
            }
            Message::Name(mut name) => {
                name.truncate(name.floor_char_boundary(limits.name_bytes));
                self.name.clone_from(&name);
                self.naming = false;
                self.events.push_back(LinkEvent::Name(name));
                self.claim();
            }
            Message::Begin(sequence) => self.events.push_back(LinkEvent::Begin(sequence)),
            Message::Peer(secret) => self.events.push_back(LinkEvent::Peer(secret)),
            Message::Complete(_) => self.events.push_back(LinkEvent::Complete),
            Message::Abort => self.events.push_back(LinkEvent::Abort),
            // Only a proxy sends these.
            Message::Known2(_)
            | Message::Unknown2(_)
            | Message::GoAhead(_)
            | Message::NotNow(_)
            | Message::PeerOk(_)
            | Message::WillProxy
            | Message::WontProxy
            | Message::GetUuid(_)
            | Message::GetName => self.send(&Message::Unknown2(message.code())),
        }
    }

    fn do_proxy(&mut self, direction: Direction, uri: String, limits: &Limits) {
        if uri.len() > limits.service_uri_bytes {
            return self.refuse(Violation::MalformedRequest);
        }
        match &self.request {
            None if self.stage == Stage::Target => {
                self.send(&Message::Unknown2(code::DO_PROXY));
            }
            None => {
                self.request = Some((direction, uri));
                if self.stage == Stage::Request {
                    self.stage = Stage::Identity;
                }
                self.claim();
            }
            Some(before) if *before != (direction, uri) => self.refuse(Violation::TwoRequests),
            Some(_) if self.stage == Stage::Serving => self.send(&Message::WillProxy),
            Some(_) => {}
        }
    }

    fn uuid(&mut self, kind: UuidKind, text: &str) {
        let parsed = MachineId::parse(kind, text);
        if let Some(machine) = self.machine {
            // A repetition is fine, a change is not; other kinds were not asked for.
            if machine.kind == kind && parsed != Some(machine) {
                self.break_off(Violation::BadIdentity);
            }
        } else if self.asking == Some(kind) {
            match parsed {
                Some(machine) => {
                    self.machine = Some(machine);
                    self.asking = None;
                    self.claim();
                }
                None if text.trim().is_empty() => {
                    self.ask(kind.fallback());
                    self.claim();
                }
                None => self.break_off(Violation::BadIdentity),
            }
        }
    }

    /// Whether the machine's end listed both codes.
    fn knows(&self, request: u8, answer: u8) -> bool {
        self.known.is_some_and(|known| known.has(request) && known.has(answer))
    }

    /// Asks for the first identifier, from `kind` on, that the machine's end can give.
    fn ask(&mut self, mut kind: Option<UuidKind>) {
        while let Some(candidate) = kind
            && !self.knows(candidate.request(), candidate.request() - 1)
        {
            kind = candidate.fallback();
        }
        self.asking = kind;
        if let Some(kind) = kind {
            self.send(&Message::GetUuid(kind));
        }
    }

    /// Passes the claim on once there is a request and nothing is being asked for.
    fn claim(&mut self) {
        let unlisted = self.known.is_none() && !self.identity_late;
        let waits = self.asking.is_some() || self.naming || unlisted;
        if self.stage != Stage::Identity || waits {
            return;
        }
        if let Some((direction, service_uri)) = self.request.clone() {
            self.stage = Stage::Claimed;
            let (machine, name) = (self.machine, self.name.clone());
            self.events.push_back(LinkEvent::Claim(Claim {
                direction,
                service_uri,
                machine,
                name,
            }));
        }
    }

    fn refuse(&mut self, why: Violation) {
        self.send(&Message::WontProxy);
        self.break_off(why);
    }

    fn break_off(&mut self, why: Violation) {
        if !std::mem::replace(&mut self.broken, true) {
            self.events.push_back(LinkEvent::Broken(why));
        }
    }
}
