//! Whole conversations, packet by packet.

use bytes::Bytes;
use virt_api::{
    Chunk, DomainConsoleFlags, DomainEventKind, DomainLifecycle, NoFlags, StorageVol,
    StorageVolTransferFlags,
};

use super::*;
use crate::client;
use crate::frame::Header;
use crate::procedure::StreamDirection;
use crate::types::no_domain;
use crate::xdr::Chars;

const BOTH: [AuthMethod; 2] = [AuthMethod::None, AuthMethod::Sasl];

fn session(auth: &[AuthMethod]) -> Session {
    Session::new(SessionOptions { read_only: false, auth: auth.to_vec() })
}

fn opened() -> Session {
    let mut session = session(&BOTH);
    open(&mut session, "esx:///a", 0);
    session
}

fn packet<L: Layout>(args: &L::Args) -> Packet {
    client::call::<L>(3, args).unwrap()
}

fn ask<L: Layout>(session: &mut Session, args: &L::Args) -> Result<L::Reply, Error> {
    match session.receive(packet::<L>(args)) {
        Action::Send(reply) | Action::Close(reply) => client::reply::<L>(&reply),
        other => panic!("{other:?}"),
    }
}

fn open(session: &mut Session, name: &str, flags: u32) -> OpenCall {
    let call = packet::<call::ConnectOpen>(&(Some(name.to_owned()), flags));
    let Action::Open(call) = session.receive(call) else { panic!("not opened") };
    client::reply::<call::ConnectOpen>(&session.opened(&call, Ok(()))).unwrap();
    call
}

fn code<T: std::fmt::Debug>(result: Result<T, Error>) -> u32 {
    result.unwrap_err().code.number()
}

#[test]
fn virsh_says_hello() {
    let mut session = session(&BOTH);
    assert_eq!(ask::<call::AuthList>(&mut session, &()).unwrap().0, [0, 1]);
    for (feature, expected) in [
        (10, true),
        (8, false),
        (9, true),
        (1, false),
        (14, true),
        (15, true),
        (16, true),
        (99, false),
    ] {
        let answer = ask::<call::ConnectSupportsFeature>(&mut session, &(feature,)).unwrap();
        assert_eq!(answer, expected, "{feature}");
    }
    assert_eq!(code(ask::<call::ConnectGetType>(&mut session, &())), 1, "before the opening");
    // A session daemon's client sends bits of its own.
    let call = open(&mut session, "esx:///esx1", 6);
    assert_eq!((call.name.as_str(), call.read_only), ("esx:///esx1", false));
    assert!(call.credentials.is_none());
    let again = packet::<call::ConnectOpen>(&(None, 0));
    let Action::Send(reply) = session.receive(again) else { panic!() };
    assert_eq!(client::error(&reply).unwrap().code.number(), 1);
    assert!(session.host_gone().is_none());
    ask::<call::ConnectRegisterCloseCallback>(&mut session, &()).unwrap();
    let closed = session.host_gone().unwrap();
    assert_eq!((closed.header.procedure, &closed.payload[..]), (362, &[0; 4][..]));
    ask::<call::ConnectUnregisterCloseCallback>(&mut session, &()).unwrap();
    let Action::Call { packet: passed, read_only, subject } =
        session.receive(packet::<call::DomainCreate>(&(Domain {
            uuid: Uuid::from_u128(7),
            ..no_domain()
        },)))
    else {
        panic!()
    };
    assert_eq!((passed.header.procedure, read_only, subject), (9, false, Some(Uuid::from_u128(7))));
    assert!(matches!(session.receive(packet::<call::ConnectClose>(&())), Action::Close(_)));
}

#[test]
fn sasl_brings_a_password_to_the_opening_and_no_further() {
    let mut session = session(&[AuthMethod::Sasl]);
    assert_eq!(ask::<call::AuthList>(&mut session, &()).unwrap().0, [1]);
    let Action::Send(reply) = session.receive(packet::<call::ConnectOpen>(&(None, 0))) else {
        panic!()
    };
    let error = client::error(&reply).unwrap();
    assert_eq!(error.code.number(), 39);
    assert!(error.message.contains("authentication required"), "{error}");
    assert_eq!(code(ask::<call::ConnectSupportsFeature>(&mut session, &(10,))), 39);
    assert_eq!(ask::<call::AuthSaslInit>(&mut session, &()).unwrap(), "PLAIN");
    let data = |text: &str| Chars(text.as_bytes().to_vec());
    let bad = ("PLAIN".to_owned(), false, data("root"));
    assert_eq!(code(ask::<call::AuthSaslStart>(&mut session, &bad)), 45);
    let good = ("PLAIN".to_owned(), false, data("\0root\0pa55"));
    let (complete, is_null, rest) = ask::<call::AuthSaslStart>(&mut session, &good).unwrap();
    assert!(complete && is_null && rest.0.is_empty());
    let call = open(&mut session, "", 1);
    assert!(call.read_only && call.call.payload.is_empty(), "arguments are not kept");
    assert!(!format!("{call:?}").contains("pa55"));
    let credentials = call.credentials.unwrap();
    assert_eq!((credentials.username.as_str(), credentials.password.expose()), ("root", "pa55"));
    assert!(!format!("{session:?}").contains("pa55"));
    assert_eq!(code(ask::<call::AuthPolkit>(&mut session, &())), 45);
}

#[test]
fn without_sasl_on_offer_there_is_none() {
    let mut session = session(&[AuthMethod::None]);
    assert_eq!(code(ask::<call::AuthSaslInit>(&mut session, &())), 45);
}

#[test]
fn an_opening_that_fails_may_be_tried_again() {
    let mut session = session(&BOTH);
    let call = packet::<call::ConnectOpen>(&(None, 0));
    let Action::Open(call) = session.receive(call) else { panic!() };
    let meanwhile = ask::<call::ConnectGetType>(&mut session, &());
    assert_eq!(code(meanwhile), 1);
    let error = Error::new(ErrorCode::AuthFailed, ErrorDomain::Esx, "wrong password");
    let reply = session.opened(&call, Err(error));
    assert_eq!(client::error(&reply).unwrap().code, ErrorCode::AuthFailed);
    open(&mut session, "esx:///a", 0);
}

#[test]
fn a_failed_opening_uses_up_what_sasl_brought() {
    let mut session = session(&[AuthMethod::Sasl]);
    let data = ("PLAIN".to_owned(), false, Chars(b"\0root\0guess".to_vec()));
    for _ in 0..2 {
        ask::<call::AuthSaslStart>(&mut session, &data).unwrap();
        let Action::Open(call) = session.receive(packet::<call::ConnectOpen>(&(None, 0))) else {
            panic!("not opened")
        };
        assert!(call.credentials.is_some());
        let error = Error::new(ErrorCode::AuthFailed, ErrorDomain::Esx, "wrong password");
        session.opened(&call, Err(error));
        // Without credentials the opening would be done with those that the daemon has stored.
        let Action::Send(reply) = session.receive(packet::<call::ConnectOpen>(&(None, 0))) else {
            panic!("opened")
        };
        let error = client::error(&reply).unwrap();
        assert!(error.message.contains("authentication required"), "{error}");
    }
}

#[test]
fn a_read_only_socket_is_read_only_whatever_the_flags_say() {
    let mut session = Session::new(SessionOptions { read_only: true, auth: BOTH.to_vec() });
    assert!(open(&mut session, "", 0).read_only);
    let Action::Call { read_only: true, .. } =
        session.receive(packet::<call::DomainCreate>(&(no_domain(),)))
    else {
        panic!()
    };
}

#[test]
fn other_programs_and_strange_packets() {
    let mut session = opened();
    for program in [0x2000_8087, 0x2000_8088, 1] {
        let mut call = packet::<call::ConnectGetType>(&());
        call.header.program = program;
        let Action::Send(reply) = session.receive(call) else { panic!() };
        assert_eq!(reply.header.program, program);
        let error = client::error(&reply).unwrap();
        assert_eq!((error.code, error.domain), (ErrorCode::Rpc, ErrorDomain::Rpc));
    }
    let ping = keepalive::packet(keepalive::Message::Ping);
    let Action::Send(pong) = session.receive(ping) else { panic!() };
    assert_eq!(keepalive::message(&pong), Some(keepalive::Message::Pong));
    for kind in [PacketType::Reply, PacketType::Message, PacketType::CallWithFds] {
        let strange = Packet::new(Header::remote(3, kind, 1, Status::Ok), Bytes::new());
        assert!(matches!(opened().receive(strange), Action::Abort(_)), "{kind:?}");
    }
}

#[test]
fn events_come_between_registration_and_its_end() {
    let mut session = opened();
    let event = DomainEvent {
        domain: no_domain(),
        kind: DomainEventKind::Lifecycle { event: DomainLifecycle::Started, detail: 0 },
    };
    type Register316 = call::ConnectDomainEventCallbackRegisterAny;
    let Action::Register(first) = session.receive(packet::<Register316>(&(0, None))) else {
        panic!()
    };
    assert!(session.event(first.callback, &event).is_none(), "before the reply");
    let reply = session.registered(&first, Ok(()));
    assert_eq!(client::reply::<Register316>(&reply).unwrap(), first.callback);
    assert_eq!(session.event(first.callback, &event).unwrap().header.procedure, 318);
    // virsh event --all asks for every number there is.
    for id in [2, 9, 29, -1] {
        assert_eq!(code(ask::<Register316>(&mut session, &(id, None))), 3);
    }
    assert_eq!(code(ask::<call::ConnectNetworkEventRegisterAny>(&mut session, &(0, None))), 3);
    let end = packet::<call::ConnectDomainEventCallbackDeregisterAny>(&(first.callback,));
    assert!(matches!(session.receive(end.clone()), Action::Deregister { .. }));
    assert!(session.event(first.callback, &event).is_none());
    let Action::Send(reply) = session.receive(end) else { panic!() };
    assert_eq!(client::error(&reply).unwrap().code, ErrorCode::InvalidArg);
    // What the driver refuses is no registration.
    let Action::Register(second) = session.receive(packet::<Register316>(&(1, None))) else {
        panic!()
    };
    assert_ne!(first.callback, second.callback);
    let reply = session.registered(&second, Err(Error::no_support("x")));
    assert_eq!(code(client::reply::<Register316>(&reply)), 3);
    assert!(session.registrations.is_empty());
}

#[test]
fn the_old_registration_has_the_old_packet() {
    let mut session = opened();
    let event = DomainEvent {
        domain: no_domain(),
        kind: DomainEventKind::Lifecycle { event: DomainLifecycle::Stopped, detail: 0 },
    };
    let Action::Register(old) = session.receive(packet::<call::ConnectDomainEventRegister>(&()))
    else {
        panic!()
    };
    session.registered(&old, Ok(()));
    assert_eq!(session.event(old.callback, &event).unwrap().header.procedure, 107);
    let end = packet::<call::ConnectDomainEventDeregisterAny>(&(0,));
    assert!(matches!(session.receive(end), Action::Deregister { .. }));
    assert_eq!(code(ask::<call::ConnectDomainEventRegisterAny>(&mut session, &(1,))), 3);
}

fn stream_of<L: Layout>(
    session: &mut Session,
    args: &L::Args,
    direction: StreamDirection,
    sparse: bool,
) -> StreamHeader {
    let call = packet::<L>(args);
    let reply = Packet::new(call.header.reply(Status::Ok), Bytes::new());
    session.stream_opened(&reply, direction, sparse)
}

fn volume() -> (StorageVol, u64, u64, StorageVolTransferFlags) {
    let volume = StorageVol { pool: "p".into(), name: "v".into(), key: "k".into() };
    (volume, 0, 0, StorageVolTransferFlags::empty())
}

#[test]
fn an_upload_is_chunks_holes_and_an_end() {
    let mut session = opened();
    let header =
        stream_of::<call::StorageVolUpload>(&mut session, &volume(), StreamDirection::Upload, true);
    let data = header.data(Bytes::from_static(b"abc"));
    assert_eq!((data.header.procedure, data.header.serial), (208, 3));
    let Action::Stream(input) = session.receive(data) else { panic!() };
    assert_eq!(input, StreamInput::Chunk(header, Chunk::Data(Bytes::from_static(b"abc"))));
    let hole = header.hole(1 << 40);
    assert_eq!(hole.header.kind, PacketType::StreamHole);
    assert_eq!(hole.payload[..], [0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let Action::Stream(input) = session.receive(hole) else { panic!() };
    assert_eq!(input, StreamInput::Chunk(header, Chunk::Hole(1 << 40)));
    let Action::Stream(input) = session.receive(header.confirmation()) else { panic!() };
    assert_eq!(input, StreamInput::Finish(header));
    session.stream_closed(header);
    assert!(matches!(session.receive(header.data(Bytes::from_static(b"x"))), Action::Nothing));
}

#[test]
fn a_client_aborts_an_upload_once() {
    let mut session = opened();
    let header = stream_of::<call::StorageVolUpload>(
        &mut session,
        &volume(),
        StreamDirection::Upload,
        false,
    );
    let mut abort = header.confirmation();
    abort.header.status = Status::Error;
    let Action::Stream(input) = session.receive(abort.clone()) else { panic!() };
    assert_eq!(input, StreamInput::Abort(header));
    assert!(matches!(session.receive(abort), Action::Nothing));
}

#[test]
fn what_was_not_agreed_upon_ends_the_connection() {
    let mut session = opened();
    let header = stream_of::<call::StorageVolUpload>(
        &mut session,
        &volume(),
        StreamDirection::Upload,
        false,
    );
    assert!(matches!(session.receive(header.hole(1)), Action::Abort(_)));
    let args = (no_domain(), 0, NoFlags::empty());
    let header =
        stream_of::<call::DomainScreenshot>(&mut session, &args, StreamDirection::Download, false);
    assert!(matches!(session.receive(header.data(Bytes::from_static(b"x"))), Action::Abort(_)));
}

#[test]
fn a_console_goes_both_ways_until_the_client_leaves() {
    let args = (no_domain(), None, DomainConsoleFlags::FORCE);
    let mut session = opened();
    let header =
        stream_of::<call::DomainOpenConsole>(&mut session, &args, StreamDirection::Both, false);
    assert_eq!(header.end().header.procedure, 201);
    let data = || header.data(Bytes::from_static(b"ls\r"));
    let chunk = StreamInput::Chunk(header, Chunk::Data(Bytes::from_static(b"ls\r")));
    let Action::Stream(input) = session.receive(data()) else { panic!() };
    assert_eq!(input, chunk);
    // The machine has gone: what is typed meanwhile breaks nothing, and the client's end is still confirmed.
    session.stream_drained(header);
    let Action::Stream(input) = session.receive(data()) else { panic!() };
    assert_eq!(input, chunk);
    let Action::Stream(input) = session.receive(header.finish()) else { panic!() };
    assert_eq!(input, StreamInput::Finish(header));
    session.stream_closed(header);
    assert!(matches!(session.receive(data()), Action::Nothing));
    let header =
        stream_of::<call::DomainOpenConsole>(&mut session, &args, StreamDirection::Both, false);
    assert!(matches!(session.receive(header.hole(9)), Action::Abort(_)));
    let Action::Stream(input) = session.receive(header.abort()) else { panic!() };
    assert_eq!(input, StreamInput::Abort(header));
}

#[test]
fn the_end_of_a_download_is_confirmed_even_late_and_unended_ones_are_forgotten() {
    let mut session = opened();
    let header = stream_of::<call::StorageVolDownload>(
        &mut session,
        &volume(),
        StreamDirection::Download,
        false,
    );
    assert_eq!(header.end().header.status, Status::Continue);
    session.stream_drained(header);
    let Action::Stream(input) = session.receive(header.confirmation()) else { panic!() };
    assert_eq!(input, StreamInput::Finish(header));
    assert!(matches!(session.receive(header.confirmation()), Action::Nothing));
    for serial in 0..2_000 {
        let header = Header::remote(209, PacketType::Reply, serial, Status::Ok);
        let stream = session.stream_opened(
            &Packet::new(header, Bytes::new()),
            StreamDirection::Download,
            false,
        );
        session.stream_drained(stream);
    }
    assert!(format!("{:?}", session.streams).len() < 200_000);
}
