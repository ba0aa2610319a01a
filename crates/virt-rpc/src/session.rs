//! The server's half of one connection: authentication, opening, registrations and streams (libvirt-rpc.md 4 to 12).
//!
//! [`Session::receive`] takes a packet and says what to do about it. The caller has the sockets and the driver: it
//! writes packets, opens the driver, runs calls through [`dispatch`](crate::dispatch::dispatch), moves the bytes of
//! streams, and tells the session how that went.

mod auth;
pub(crate) mod event;
mod stream;

use std::collections::BTreeMap;

use uuid::Uuid;
use virt_api::{Domain, DomainEvent, DomainEventId, Error, ErrorCode, ErrorDomain};

pub use self::auth::{AuthMethod, Credentials};
pub use self::stream::{MAX_CHUNK_BYTES, StreamHeader, StreamInput};

use self::auth::Sasl;
use self::event::Registration;
use self::stream::Streams;
use crate::dispatch::error_reply;
use crate::frame::{
    KEEPALIVE_PROGRAM, OWN_PROGRAM, Packet, PacketType, REMOTE_PROGRAM, Status, VERSION,
};
use crate::keepalive;
use crate::procedure::{Layout, Procedure, call};
use crate::xdr;

/// Features of the server, by number (libvirt-rpc.md 6): texts in parameters, keep-alive, callback ids in events,
/// close callbacks, the right order of a network update's arguments.
const FEATURES: [i32; 5] = [9, 10, 14, 15, 16];
/// `VIR_CONNECT_RO`, the only flag of an open that a server heeds: clients send others of their own.
const OPEN_READ_ONLY: u32 = 1;
/// Most registrations of one connection.
const MAX_REGISTRATIONS: usize = 1_024;

/// What one connection may do, and how it proves who it is.
#[derive(Debug, Clone)]
pub struct SessionOptions {
    /// Whatever a client asks for.
    pub read_only: bool,
    /// Offered in this order. If [`AuthMethod::None`] is among them, nobody has to do anything.
    pub auth: Vec<AuthMethod>,
}

/// What to do about a packet.
#[derive(Debug)]
#[non_exhaustive]
pub enum Action {
    /// Nothing.
    Nothing,
    /// Write this packet.
    Send(Packet),
    /// Open a driver, then call [`Session::opened`].
    Open(OpenCall),
    /// Run this call on the driver and write its reply; tell [`Session::stream_opened`] if it opened a stream.
    Call {
        /// The call.
        packet: Packet,
        /// Whether the connection is read-only.
        read_only: bool,
        /// The domain that it is about: calls about one domain run in the order of their arrival.
        subject: Option<Uuid>,
    },
    /// Ask the driver for events, then call [`Session::registered`].
    Register(Register),
    /// End this registration at the driver and write the reply.
    Deregister {
        /// As in [`Register::callback`].
        callback: i32,
        /// The reply.
        reply: Packet,
    },
    /// Something for a stream.
    Stream(StreamInput),
    /// Write this packet, then end the connection.
    Close(Packet),
    /// End the connection at once: the peer does not keep to the protocol.
    Abort(&'static str),
}

/// A client wants to open a connection to a host.
#[derive(Debug)]
pub struct OpenCall {
    /// What the client's URI has become on its way; empty if it named nothing.
    pub name: String,
    /// Asked for, or all that the connection may.
    pub read_only: bool,
    /// What SASL brought, to be used for this opening only.
    pub credentials: Option<Credentials>,
    call: Packet,
}

/// A client wants to hear of events.
#[derive(Debug)]
pub struct Register {
    /// Which events.
    pub event: DomainEventId,
    /// Of which domain; all if absent.
    pub domain: Option<Domain>,
    /// The registration's number from now on.
    pub callback: i32,
    call: Packet,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Not open yet, or opening failed.
    New,
    /// A driver is being opened.
    Opening,
    /// A driver is there.
    Open,
}

/// One connection.
#[derive(Debug)]
pub struct Session {
    options: SessionOptions,
    phase: Phase,
    read_only: bool,
    sasl: Sasl,
    registrations: BTreeMap<i32, Registration>,
    next_callback: i32,
    wants_close_event: bool,
    streams: Streams,
}

impl Session {
    /// A connection that has just been accepted.
    #[must_use]
    pub fn new(options: SessionOptions) -> Self {
        Self {
            read_only: options.read_only,
            options,
            phase: Phase::New,
            sasl: Sasl::default(),
            registrations: BTreeMap::new(),
            next_callback: 0,
            wants_close_event: false,
            streams: Streams::default(),
        }
    }

    /// Whether the client has proved who it is, as far as it must.
    #[must_use]
    pub fn is_authenticated(&self) -> bool {
        self.options.auth.is_empty()
            || self.options.auth.contains(&AuthMethod::None)
            || self.sasl.is_done()
    }

    /// What to do about this packet.
    pub fn receive(&mut self, packet: Packet) -> Action {
        if packet.header.program == KEEPALIVE_PROGRAM {
            return match keepalive::message(&packet) {
                Some(keepalive::Message::Ping) => {
                    Action::Send(keepalive::packet(keepalive::Message::Pong))
                }
                Some(keepalive::Message::Pong) => Action::Nothing,
                None => Action::Abort("a keep-alive message that is none"),
            };
        }
        match packet.header.kind {
            PacketType::Call if packet.header.status == Status::Ok => self.call(packet),
            PacketType::Stream | PacketType::StreamHole => match self.streams.receive(packet) {
                Ok(Some(input)) => Action::Stream(input),
                Ok(None) => Action::Nothing,
                Err(problem) => Action::Abort(problem),
            },
            PacketType::CallWithFds => Action::Abort("descriptors, which nobody asked for"),
            _ => Action::Abort("a packet that only a server sends"),
        }
    }

    fn call(&mut self, packet: Packet) -> Action {
        let header = packet.header;
        if ![REMOTE_PROGRAM, OWN_PROGRAM].contains(&header.program) || header.version != VERSION {
            let message =
                format!("unknown program {:#x} version {}", header.program, header.version);
            return refuse(&packet, Error::new(ErrorCode::Rpc, ErrorDomain::Rpc, message));
        }
        let procedure = Procedure::of(&header);
        if let Some(procedure) = procedure
            && let Some(action) = self.greeting(procedure, &packet)
        {
            return action.unwrap_or_else(|error| Action::Send(error_reply(&packet, &error)));
        }
        if !self.is_authenticated() {
            let error = Error::new(ErrorCode::Rpc, ErrorDomain::Rpc, "authentication required");
            return refuse(&packet, error);
        }
        if procedure == Some(Procedure::ConnectOpen) {
            return self
                .open(&packet)
                .unwrap_or_else(|error| Action::Send(error_reply(&packet, &error)));
        }
        if self.phase != Phase::Open {
            return refuse(&packet, Error::internal(ErrorDomain::Rpc, "connection not open"));
        }
        if let Some(procedure) = procedure
            && let Some(action) = self.registration(procedure, &packet)
        {
            return action.unwrap_or_else(|error| Action::Send(error_reply(&packet, &error)));
        }
        let subject = procedure.and_then(|procedure| procedure.subject(&packet.payload));
        Action::Call { packet, read_only: self.read_only, subject }
    }

    /// What may be called before anything is open.
    fn greeting(&mut self, procedure: Procedure, packet: &Packet) -> Option<Result<Action, Error>> {
        Some(match procedure {
            Procedure::ConnectSupportsFeature if self.is_authenticated() => {
                with::<call::ConnectSupportsFeature>(packet, |(feature,)| {
                    Ok(FEATURES.contains(&feature))
                })
            }
            Procedure::AuthList => with::<call::AuthList>(packet, |()| {
                let methods = self.options.auth.iter().map(|method| method.number());
                Ok(methods.collect::<Vec<_>>().into())
            }),
            Procedure::AuthSaslInit => with::<call::AuthSaslInit>(packet, |()| {
                self.check_offered(AuthMethod::Sasl)?;
                self.sasl.begin()
            }),
            Procedure::AuthSaslStart => {
                with::<call::AuthSaslStart>(packet, |(mechanism, is_null, data)| {
                    self.check_offered(AuthMethod::Sasl)?;
                    self.sasl.start(&mechanism, (!is_null).then_some(data))
                })
            }
            Procedure::AuthSaslStep => with::<call::AuthSaslStep>(packet, |(is_null, data)| {
                self.check_offered(AuthMethod::Sasl)?;
                self.sasl.step((!is_null).then_some(data))
            }),
            Procedure::AuthPolkit => with::<call::AuthPolkit>(packet, |()| {
                let message = "polkit is not offered";
                Err(Error::new(ErrorCode::AuthFailed, ErrorDomain::Auth, message))
            }),
            Procedure::ConnectClose => {
                with::<call::ConnectClose>(packet, |()| Ok(())).map(|action| match action {
                    Action::Send(reply) => Action::Close(reply),
                    other => other,
                })
            }
            _ => return None,
        })
    }

    fn check_offered(&self, method: AuthMethod) -> Result<(), Error> {
        if self.options.auth.contains(&method) {
            return Ok(());
        }
        let message = "this method of authentication is not offered";
        Err(Error::new(ErrorCode::AuthFailed, ErrorDomain::Auth, message))
    }

    fn open(&mut self, packet: &Packet) -> Result<Action, Error> {
        let (name, flags) = args::<call::ConnectOpen>(packet)?;
        if self.phase != Phase::New {
            return Err(Error::internal(ErrorDomain::Rpc, "connection already open"));
        }
        self.phase = Phase::Opening;
        self.read_only = self.options.read_only || flags & OPEN_READ_ONLY != 0;
        Ok(Action::Open(OpenCall {
            name: name.unwrap_or_default(),
            read_only: self.read_only,
            credentials: self.sasl.take_credentials(),
            call: without_arguments(packet),
        }))
    }

    /// How opening went; the packet is the reply. After a failure the client has to prove anew who it is, where it must.
    pub fn opened(&mut self, call: &OpenCall, result: Result<(), Error>) -> Packet {
        match result {
            Ok(()) => {
                self.phase = Phase::Open;
                success::<call::ConnectOpen>(&call.call, &())
            }
            Err(error) => {
                self.phase = Phase::New;
                // What was proved was proved for this opening: its credentials have been taken.
                self.sasl = Sasl::default();
                error_reply(&call.call, &error)
            }
        }
    }

    fn registration(
        &mut self,
        procedure: Procedure,
        packet: &Packet,
    ) -> Option<Result<Action, Error>> {
        Some(match procedure {
            Procedure::ConnectRegisterCloseCallback => {
                self.wants_close_event = true;
                with::<call::ConnectRegisterCloseCallback>(packet, |()| Ok(()))
            }
            Procedure::ConnectUnregisterCloseCallback => {
                self.wants_close_event = false;
                with::<call::ConnectUnregisterCloseCallback>(packet, |()| Ok(()))
            }
            Procedure::ConnectDomainEventCallbackRegisterAny => {
                args::<call::ConnectDomainEventCallbackRegisterAny>(packet)
                    .and_then(|(event, domain)| self.register(packet, event, domain, false))
            }
            Procedure::ConnectDomainEventRegisterAny => {
                args::<call::ConnectDomainEventRegisterAny>(packet)
                    .and_then(|(event,)| self.register(packet, event, None, true))
            }
            Procedure::ConnectDomainEventRegister => {
                args::<call::ConnectDomainEventRegister>(packet)
                    .and_then(|()| self.register(packet, 0, None, true))
            }
            Procedure::ConnectDomainEventCallbackDeregisterAny => args::<
                call::ConnectDomainEventCallbackDeregisterAny,
            >(packet)
            .and_then(|(callback,)| {
                self.deregister(|number, known| *number == callback && !known.old_form)?;
                let reply = success::<call::ConnectDomainEventCallbackDeregisterAny>(packet, &());
                Ok(Action::Deregister { callback, reply })
            }),
            Procedure::ConnectDomainEventDeregisterAny => {
                args::<call::ConnectDomainEventDeregisterAny>(packet).and_then(|(event,)| {
                    let callback = self.deregister(|_, known| {
                        known.old_form && i32::try_from(known.event.number()) == Ok(event)
                    })?;
                    let reply = success::<call::ConnectDomainEventDeregisterAny>(packet, &());
                    Ok(Action::Deregister { callback, reply })
                })
            }
            Procedure::ConnectDomainEventDeregister => {
                args::<call::ConnectDomainEventDeregister>(packet).and_then(|()| {
                    let callback = self.deregister(|_, known| known.old_form)?;
                    let reply = success::<call::ConnectDomainEventDeregister>(packet, &false);
                    Ok(Action::Deregister { callback, reply })
                })
            }
            // No driver of ours tells of these.
            Procedure::ConnectNetworkEventRegisterAny
            | Procedure::ConnectNetworkEventDeregisterAny
            | Procedure::ConnectStoragePoolEventRegisterAny
            | Procedure::ConnectStoragePoolEventDeregisterAny
            | Procedure::ConnectNodeDeviceEventRegisterAny
            | Procedure::ConnectNodeDeviceEventDeregisterAny => {
                Err(Error::no_support(procedure.function()))
            }
            _ => return None,
        })
    }

    fn register(
        &mut self,
        packet: &Packet,
        event: i32,
        domain: Option<Domain>,
        old_form: bool,
    ) -> Result<Action, Error> {
        let no_support = || Error::no_support("virConnectDomainEventRegisterAny");
        let event = event::known(event).ok_or_else(no_support)?;
        // The old form has a packet of its own per event; that of the life cycle is the only one clients use.
        if old_form && event != DomainEventId::Lifecycle {
            return Err(no_support());
        }
        if self.registrations.len() >= MAX_REGISTRATIONS {
            let message = format!("no more than {MAX_REGISTRATIONS} registrations at once");
            return Err(Error::new(ErrorCode::OperationFailed, ErrorDomain::Rpc, message));
        }
        let callback = self.next_callback;
        self.next_callback = self.next_callback.checked_add(1).unwrap_or(0);
        self.registrations.insert(callback, Registration { event, old_form, confirmed: false });
        let call = without_arguments(packet);
        Ok(Action::Register(Register { event, domain, callback, call }))
    }

    fn deregister(&mut self, is_meant: impl Fn(&i32, &Registration) -> bool) -> Result<i32, Error> {
        let found = self.registrations.iter().find(|(number, known)| is_meant(number, known));
        let Some(number) = found.map(|(number, _)| *number) else {
            let message = "no such registration for events";
            return Err(Error::invalid_arg(ErrorDomain::Event, message));
        };
        self.registrations.remove(&number);
        Ok(number)
    }

    /// How a registration went at the driver; the packet is the reply. Events may follow it.
    pub fn registered(&mut self, register: &Register, result: Result<(), Error>) -> Packet {
        let packet = &register.call;
        if let Err(error) = result {
            self.registrations.remove(&register.callback);
            return error_reply(packet, &error);
        }
        if let Some(known) = self.registrations.get_mut(&register.callback) {
            known.confirmed = true;
        }
        match Procedure::of(&packet.header) {
            Some(Procedure::ConnectDomainEventRegister) => {
                success::<call::ConnectDomainEventRegister>(packet, &true)
            }
            Some(Procedure::ConnectDomainEventRegisterAny) => {
                success::<call::ConnectDomainEventRegisterAny>(packet, &())
            }
            _ => success::<call::ConnectDomainEventCallbackRegisterAny>(packet, &register.callback),
        }
    }

    /// An event as a packet; `None` if its registration has ended or does not want it.
    #[must_use]
    pub fn event(&self, callback: i32, event: &DomainEvent) -> Option<Packet> {
        let registration = self.registrations.get(&callback)?;
        registration.packet(callback, event)
    }

    /// The host is gone for good: a packet for the client, if it wants to know.
    #[must_use]
    pub fn host_gone(&self) -> Option<Packet> {
        self.wants_close_event.then(event::connection_closed)
    }

    /// A call opened a stream; its packets are expected from now on.
    pub fn stream_opened(
        &mut self,
        reply: &Packet,
        direction: crate::procedure::StreamDirection,
        sparse: bool,
    ) -> StreamHeader {
        self.streams.open(reply, direction, sparse)
    }

    /// The caller has sent [`StreamHeader::end`]: what is missing is the client's own end, which is confirmed.
    pub fn stream_drained(&mut self, stream: StreamHeader) {
        self.streams.drained(stream);
    }

    /// The caller has sent an error or a confirmation: later packets of this stream mean nothing.
    pub fn stream_closed(&mut self, stream: StreamHeader) {
        self.streams.closed(stream);
    }
}

/// The arguments of a call.
fn args<L: Layout>(packet: &Packet) -> Result<L::Args, Error> {
    Ok(xdr::from_bytes::<L::Args>(&packet.payload)?.0)
}

/// A call that is answered at once.
fn with<L: Layout>(
    packet: &Packet,
    answer: impl FnOnce(L::Args) -> Result<L::Reply, Error>,
) -> Result<Action, Error> {
    let reply = answer(args::<L>(packet)?)?;
    Ok(Action::Send(success::<L>(packet, &reply)))
}

fn success<L: Layout>(packet: &Packet, reply: &L::Reply) -> Packet {
    match xdr::to_bytes(reply) {
        Ok(bytes) => Packet::new(packet.header.reply(Status::Ok), bytes),
        Err(error) => error_reply(packet, &Error::from(error)),
    }
}

/// What a reply needs of a call that is kept: arguments may be large, and registrations many.
fn without_arguments(packet: &Packet) -> Packet {
    Packet::new(packet.header, bytes::Bytes::new())
}

fn refuse(packet: &Packet, error: Error) -> Action {
    Action::Send(error_reply(packet, &error))
}

impl Procedure {
    /// The domain that the arguments begin with.
    fn subject(self, payload: &[u8]) -> Option<Uuid> {
        match self.first_argument() {
            "Domain" => Some(xdr::from_bytes::<Domain>(payload).ok()?.0.uuid),
            "Snapshot" => Some(xdr::from_bytes::<virt_api::Snapshot>(payload).ok()?.0.domain.uuid),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
