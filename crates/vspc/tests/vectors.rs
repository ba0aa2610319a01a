//! The worked bytes of the specification, section 11, at both ends, in one piece and byte by byte.

mod common;

use std::time::Duration;

use common::{HOST_A, hex, machine};
use esx_vspc::{
    Concentrator, Config, ConnectionId, Machine, MachineEvent, Message, Output, TlsUpgrade,
    message::Secret,
    telnet::{Decoder, Event, write_parameters},
};

const NOW: Duration = Duration::ZERO;

const OPEN: &str = "FF FB 00 FF FD 00 FF FB 03 FF FD 03 FF FD E8";
const ANSWER: &str = "FF FD 00 FF FB 00 FF FD 03 FF FB 03 FF FB E8";
const KNOWN_2: &str =
    "FF FA E8 01 00 01 02 03 28 29 2B 2C 2D 2E 30 46 47 49 50 51 52 53 54 55 56 57 FF F0";
const KNOWN_1: &str =
    "FF FA E8 00 00 01 02 03 28 29 2B 2C 2D 2E 30 46 47 49 50 51 54 55 56 57 52 53 FF F0";
const DO_PROXY: &str = "FF FA E8 46 53 76 69 72 74 65 73 78 3F 70 6F 72 74 3D 30 FF F0";
const GETS: &str = "FF FA E8 51 FF F0 FF FA E8 53 FF F0";
const VC_UUID: &str = "FF FA E8 50 35 30 20 31 65 20 61 30 20 62 31 20 63 32 20 64 33 20 65 34 20 66 35 2D \
                       30 36 20 31 37 20 32 38 20 33 39 20 34 61 20 35 62 20 36 63 20 37 64 FF F0";
const NAME: &str = "FF FA E8 52 63 61 66 C3 A9 FF F0";
const WILL_PROXY: &str = "FF FA E8 47 FF F0";
const WONT_PROXY: &str = "FF FA E8 49 FF F0";
const UNKNOWN: &str = "FF FA E8 63 01 FF F0";
const UNKNOWN_2: &str = "FF FA E8 03 63 FF F0";

const BEGIN: &str = "FF FA E8 28 1A 2B FF FF 4D FF F0";
const GOAHEAD: &str = "FF FA E8 29 1A 2B FF FF 4D 9E FF FF 07 3C 51 FF FF A2 68 FF F0";
const NOTNOW: &str = "FF FA E8 2B 1A 2B FF FF 4D FF F0";
const PEER: &str = "FF FA E8 2C 1A 2B FF FF 4D 9E FF FF 07 3C 51 FF FF A2 68 FF F0";
const PEER_OK: &str = "FF FA E8 2D 1A 2B FF FF 4D FF F0";
const BAD_PEER: &str = "FF FA E8 03 2C FF F0";
const COMPLETE: &str = "FF FA E8 2E 1A 2B FF FF 4D FF F0";
const ABORT: &str = "FF FA E8 30 FF F0";

const SEQUENCE: &str = "1A 2B FF 4D";
const SECRET: &str = "9E FF 07 3C 51 FF A2 68";

/// What the machine's end sends and the proxy must answer.
const SETUP: [(&str, &str); 10] = [
    ("", OPEN),
    ("FF FB 25", "FF FE 25"),
    (ANSWER, KNOWN_2),
    (KNOWN_1, GETS),
    (DO_PROXY, ""),
    (VC_UUID, ""),
    (NAME, WILL_PROXY),
    ("FF FB 2C", "FF FE 2C"),
    ("41 FF FF 42", ""),
    (UNKNOWN, UNKNOWN_2),
];

fn table(config: Config, secret: &'static str) -> Concentrator {
    Concentrator::new(
        config,
        Box::new(move |bytes| {
            bytes.fill(0xff);
            let secret = hex(secret);
            bytes[..secret.len()].copy_from_slice(&secret);
            true
        }),
    )
}

/// Feeds bytes in pieces of one size and returns what is answered.
fn answer(table: &mut Concentrator, id: ConnectionId, bytes: &str, piece: usize) -> Vec<u8> {
    for part in hex(bytes).chunks(piece) {
        table.received(NOW, id, part);
    }
    table.take_output(id, usize::MAX).to_vec()
}

fn served(table: &mut Concentrator, piece: usize) -> ConnectionId {
    let id = table.accepted(NOW, HOST_A, false).unwrap();
    for (sent, expected) in SETUP {
        assert_eq!(answer(table, id, sent, piece), hex(expected), "after {sent}");
    }
    id
}

#[test]
fn the_proxys_end_of_a_set_up() {
    for piece in [1, 2, 3, 1000] {
        let mut table = table(Config::default(), "");
        served(&mut table, piece);
        let port = table.ports().next().unwrap();
        assert_eq!(port.key.to_string(), "501ea0b1-c2d3-e4f5-0617-28394a5b6c7d#0");
        assert_eq!((port.name.as_str(), port.service_uri.as_str()), ("café", "virtesx?port=0"));
        let logged: Vec<u8> = std::iter::from_fn(|| table.next_output())
            .filter_map(|output| match output {
                Output::Log(_, data) => Some(data.to_vec()),
                _ => None,
            })
            .flatten()
            .collect();
        assert_eq!(logged, [0x41, 0xff, 0x42]);
    }
}

#[test]
fn the_proxys_end_of_a_set_up_in_one_read() {
    let mut table = table(Config::default(), "");
    let id = table.accepted(NOW, HOST_A, false).unwrap();
    let all: Vec<&str> = SETUP.iter().map(|(sent, _)| *sent).collect();
    let answers = answer(&mut table, id, &all.join(" "), usize::MAX);
    let expected: Vec<&str> = SETUP.iter().map(|(_, expected)| *expected).collect();
    // What is refused or unknown is answered at once, WILL-PROXY when all was read.
    let at = expected.iter().position(|line| *line == WILL_PROXY).unwrap();
    let mut order = expected.clone();
    let will = order.remove(at);
    order.push(will);
    assert_eq!(answers, hex(&order.join(" ")));
}

#[test]
fn the_proxys_refusal() {
    let config = Config { service_name: Some("other".to_owned()), ..Config::default() };
    let mut table = table(config, "");
    let id = table.accepted(NOW, HOST_A, false).unwrap();
    for (sent, _) in &SETUP[..6] {
        answer(&mut table, id, sent, 1);
    }
    assert_eq!(answer(&mut table, id, NAME, 1), hex(WONT_PROXY));
    assert!(std::iter::from_fn(|| table.next_output()).any(|output| output == Output::Close(id)));
}

#[test]
fn the_proxys_end_of_a_move() {
    for piece in [1, 1000] {
        // Our secrets hold no FF: the vector's, without them, and three more bytes.
        let mut table = table(Config::default(), "9E 07 3C 51 A2 68 01 02");
        let source = served(&mut table, piece);
        let secret = "1A 2B FF FF 4D 9E 07 3C 51 A2 68 01 02 FF F0";
        let goahead = hex(&format!("FF FA E8 29 {secret}"));
        assert_eq!(answer(&mut table, source, BEGIN, piece), goahead);

        let target = table.accepted(NOW, [192, 0, 2, 9].into(), false).unwrap();
        for (sent, _) in &SETUP[..4] {
            answer(&mut table, target, sent, piece);
        }
        let peer = format!("FF FA E8 2C {secret}");
        assert_eq!(answer(&mut table, target, &peer, piece), hex(PEER_OK));
        assert_eq!(answer(&mut table, target, COMPLETE, piece), []);
        let port = table.ports().next().unwrap();
        assert_eq!(port.peer, std::net::IpAddr::from([192, 0, 2, 9]));
        // What was spent does not work again.
        let replay = table.accepted(NOW, HOST_A, false).unwrap();
        for (sent, _) in &SETUP[..4] {
            answer(&mut table, replay, sent, piece);
        }
        assert_eq!(answer(&mut table, replay, &peer, piece), hex(BAD_PEER));
    }
}

#[test]
fn the_proxys_end_without_a_move_and_after_an_abort() {
    let mut table = table(Config::default(), "9E 07 3C 51 A2 68 01 02");
    let id = table.accepted(NOW, HOST_A, false).unwrap();
    for (sent, _) in &SETUP[..4] {
        answer(&mut table, id, sent, 1);
    }
    assert_eq!(answer(&mut table, id, BEGIN, 1), hex(NOTNOW), "not ready");
    let source = served(&mut table, 1);
    answer(&mut table, source, BEGIN, 1);
    assert_eq!(answer(&mut table, source, ABORT, 1), []);
    let port = table.ports().next().unwrap();
    assert_eq!(port.status, esx_vspc::Status::Up);
}

#[test]
fn the_machines_end_of_a_set_up() {
    for piece in [1, 7, 1000] {
        let config = esx_vspc::MachineConfig { offer_tls: true, ..machine("virtesx?port=0") };
        let mut end = Machine::dial(config);
        let mut says = |bytes: &str| {
            for part in hex(bytes).chunks(piece) {
                end.receive(part).unwrap();
            }
            end.take_output().to_vec()
        };
        assert_eq!(says(""), hex("FF FB 25"));
        assert_eq!(says("FF FE 25"), []);
        // It agrees, then tells at once what it can and wants.
        assert_eq!(says(OPEN), hex(&format!("{ANSWER} {KNOWN_1} {DO_PROXY}")));
        assert_eq!(says(KNOWN_2), []);
        assert_eq!(says(GETS), hex(&format!("{VC_UUID} {NAME}")));
        assert_eq!(says(WILL_PROXY), hex("FF FB 2C"));
        assert_eq!(says("FF FE 2C"), []);
        assert_eq!(says("FF FA E8 63 01 FF F0"), hex("FF FA E8 02 63 FF F0"));
        end.write(&hex("41 FF 42"));
        assert_eq!(end.take_output(), hex("41 FF FF 42"));
        end.receive(&hex("41 FF FF 42")).unwrap();
        assert_eq!(end.next_event(), Some(MachineEvent::Accepted));
        assert_eq!(end.next_event(), Some(MachineEvent::Data(hex("41 FF 42"))));
    }
}

#[test]
fn the_machines_end_of_a_move() {
    let (sequence, secret) = (hex(SEQUENCE), hex(&format!("{SEQUENCE} {SECRET}")));
    let mut source = Machine::dial(machine("virtesx"));
    source.begin(&sequence);
    assert_eq!(source.take_output(), hex(BEGIN));
    source.receive(&hex(GOAHEAD)).unwrap();
    assert_eq!(source.next_event(), Some(MachineEvent::GoAhead(Secret(secret.clone()))));
    source.receive(&hex(NOTNOW)).unwrap();
    assert_eq!(source.next_event(), Some(MachineEvent::NotNow));
    source.abort();
    assert_eq!(source.take_output(), hex(ABORT));

    let mut target = Machine::arrive(machine("virtesx"), sequence, Secret(secret));
    target.receive(&hex(OPEN)).unwrap();
    assert_eq!(target.take_output(), hex(&format!("{ANSWER} {KNOWN_1} {PEER}")));
    target.receive(&hex(PEER_OK)).unwrap();
    assert_eq!(target.next_event(), Some(MachineEvent::PeerOk));
    target.receive(&hex(BAD_PEER)).unwrap();
    assert_eq!(target.next_event(), Some(MachineEvent::Unknown(44)));
    target.complete();
    assert_eq!(target.take_output(), hex(&format!("{COMPLETE} FF FB 2C")));
}

#[test]
fn the_messages_themselves() {
    let sequence = hex(SEQUENCE);
    let both = Secret(hex(&format!("{SEQUENCE} {SECRET}")));
    for (message, bytes) in [
        (Message::Begin(sequence.clone()), BEGIN),
        (Message::GoAhead(both.clone()), GOAHEAD),
        (Message::NotNow(sequence.clone()), NOTNOW),
        (Message::Peer(both), PEER),
        (Message::PeerOk(sequence.clone()), PEER_OK),
        (Message::Complete(sequence), COMPLETE),
        (Message::Abort, ABORT),
        (Message::Unknown2(44), BAD_PEER),
        (Message::WontProxy, WONT_PROXY),
    ] {
        let mut out = bytes::BytesMut::new();
        message.write(&mut out);
        assert_eq!(out, hex(bytes));
        let wire = hex(bytes);
        let mut input = &wire[..];
        let mut decoder = Decoder::new(4096);
        let Some(Event::Subnegotiation(232, parameters)) = decoder.next(&mut input).unwrap() else {
            panic!("{bytes}")
        };
        assert_eq!(Message::parse(parameters), Ok(message));
    }
}

/// Both ends of the TLS upgrade, the machine's words split at each byte.
#[test]
fn the_tls_upgrade() {
    for piece in [1, 2, 1000] {
        let config = Config { upgrade: TlsUpgrade::Require, ..Config::default() };
        let mut table = table(config, "");
        let id = table.accepted(NOW, HOST_A, false).unwrap();
        // It is wished for before it is offered: the offer is the answer.
        assert_eq!(answer(&mut table, id, "", 1), hex("FF FD 25"));
        assert_eq!(answer(&mut table, id, "FF FB 25", piece), hex("FF FA 25 01 07 00 FF F0"));
        // What follows in the same read is TLS already.
        let start = "FF FA 25 00 07 00 01 FF F0";
        let mut bytes = hex(start);
        if piece == 1000 {
            bytes.extend_from_slice(&hex("16 03 01"));
        }
        for part in bytes.chunks(piece) {
            table.received(NOW, id, part);
        }
        assert_eq!(table.take_output(id, 100), hex("FF FA 25 02 07 00 02 FF F0"));
        let rest: Vec<Vec<u8>> = std::iter::from_fn(|| table.next_output())
            .filter_map(|output| match output {
                Output::StartTls(_, rest) => Some(rest),
                _ => None,
            })
            .collect();
        assert_eq!(rest, [if piece == 1000 { hex("16 03 01") } else { Vec::new() }]);
        assert_eq!(table.take_output(id, 100), [0_u8; 0][..], "nothing before the handshake");
        table.tls_established(NOW, id);
        assert_eq!(table.take_output(id, 100), hex(OPEN));
        assert_eq!(answer(&mut table, id, ANSWER, piece), hex(KNOWN_2));
    }
    // A proxy that can, and a machine that offers; and the machine's end of it.
    let config = Config { upgrade: TlsUpgrade::Accept, ..Config::default() };
    let mut table = table(config, "");
    let id = table.accepted(NOW, HOST_A, false).unwrap();
    assert_eq!(answer(&mut table, id, "", 1), hex(OPEN));
    assert_eq!(answer(&mut table, id, "FF FB 25", 1), hex("FF FD 25 FF FA 25 01 07 00 FF F0"));
    let config = esx_vspc::MachineConfig { offer_tls: true, ..machine("virtesx") };
    let mut end = Machine::dial(config);
    end.receive(&hex("FF FD 25 FF FA 25 01 07 00 FF F0")).unwrap();
    assert_eq!(end.take_output(), hex("FF FB 25 FF FA 25 00 07 00 01 FF F0"));
    end.receive(&hex("FF FA 25 02 07 00 02 FF F0 16 03")).unwrap();
    assert_eq!(end.next_event(), Some(MachineEvent::StartTls(hex("16 03"))));
}

#[test]
fn required_tls_that_is_declined() {
    for decline in ["FF FC 25", "FF FB 25 FF FA 25 00 00 00 FF F0", "41"] {
        let config = Config { upgrade: TlsUpgrade::Require, ..Config::default() };
        let mut table = table(config, "");
        let id = table.accepted(NOW, HOST_A, false).unwrap();
        assert_eq!(answer(&mut table, id, "", 1), hex("FF FD 25"));
        let said = answer(&mut table, id, decline, 1);
        assert!(said.ends_with(&hex(WONT_PROXY)), "{decline}");
        assert!(std::iter::from_fn(|| table.next_output()).any(|o| o == Output::Close(id)));
    }
}

/// COM-PORT's parameters pass the decoder; the option itself is refused (above), as by most proxies.
#[test]
fn com_port_bytes() {
    for (wire, parameters) in [
        ("FF FA 2C 01 00 01 C2 00 FF F0", "01 00 01 C2 00"),
        ("FF FA 2C 65 00 01 C2 00 FF F0", "65 00 01 C2 00"),
    ] {
        let bytes = hex(wire);
        let mut input = &bytes[..];
        let mut decoder = Decoder::new(64);
        let event = decoder.next(&mut input).unwrap();
        assert_eq!(event, Some(Event::Subnegotiation(44, &hex(parameters))));
        let mut out = bytes::BytesMut::new();
        write_parameters(&mut out, 44, &hex(parameters));
        assert_eq!(out, bytes);
    }
}
