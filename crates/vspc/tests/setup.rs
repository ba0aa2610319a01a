//! Set-up, identity, takeovers, limits and times (spec 6, 10, 12, 13, 17).

mod common;

use std::time::Duration;

use common::{Bench, HOST_A, HOST_B, UUID, hex, key, machine};
use esx_vspc::{
    AttachError, ClientEvent, Config, Detached, Direction, Limits, Machine, MachineConfig,
    MachineEvent, MachineId, Message, Mode, Note, Output, Refusal, Status, UuidKind, Verified,
    Violation,
};

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn data_goes_both_ways_whatever_it_is() {
    let mut bench = Bench::new(Config::default());
    let id = bench.up("virtesx?port=1");
    let client = bench.table.attach(&key("1"), Mode::Shared).unwrap();
    let all: Vec<u8> = (0..=255).chain([255, 255, 0, 17, 13, 0, 255]).collect();
    bench.guest_writes(id, &all);
    assert_eq!(bench.read(client), all);
    assert_eq!(bench.table.client_data(client, &all), all.len());
    bench.pump();
    assert_eq!(bench.guest_reads(id), all);
    assert_eq!(bench.log, all);
}

#[test]
fn what_a_client_writes_can_be_no_command() {
    let mut bench = Bench::new(Config::default());
    let id = bench.up("virtesx");
    let client = bench.table.attach(&key("0"), Mode::Shared).unwrap();
    // WONT-PROXY, a refusal of the secret, an end of the option: as data they are data.
    let attack = hex("FF FA E8 49 FF F0 FF FA E8 03 2C FF F0 FF FE E8");
    bench.table.client_data(client, &attack);
    bench.pump();
    assert_eq!(bench.event(id), Some(MachineEvent::Data(attack)));
    assert_eq!(bench.event(id), None);
}

#[test]
fn early_data_waits_for_the_answer() {
    let mut bench = Bench::new(Config { verify: true, ..Config::default() });
    let id = bench.connect(HOST_A, Machine::dial(machine("virtesx")));
    bench.table.received(bench.now, id, b"early\xff\xff");
    assert_eq!(bench.table.ports().count(), 0);
    let Some(Output::Verify(asked, port, claim)) = bench.others.pop() else { panic!("no check") };
    assert_eq!((asked, &port, claim.name.as_str()), (id, &key("0"), "café"));
    // The name that was checked stays, whatever else is said before and after.
    bench.send(id, &Message::Name("other".to_owned()));
    bench.table.verdict(bench.now, id, Ok(Verified::Claim));
    bench.pump();
    bench.send(id, &Message::Name("another".to_owned()));
    assert_eq!(bench.table.ports().next().unwrap().name, "café");
    assert_eq!(bench.log, b"early\xff");
    // A verdict that comes twice changes nothing.
    bench.table.verdict(bench.now, id, Err("no".to_owned()));
    bench.pump();
    assert_eq!(bench.table.status(&key("0")), Some(Status::Up));
}

#[test]
fn a_claim_that_does_not_hold() {
    let mut bench = Bench::new(Config { verify: true, ..Config::default() });
    let id = bench.connect(HOST_A, Machine::dial(machine("virtesx")));
    bench.table.verdict(bench.now, id, Err("no such\nmachine".to_owned()));
    bench.pump();
    assert_eq!(bench.event(id), Some(MachineEvent::Refused));
    assert_eq!(bench.refusals(), [&Refusal::Untrue(r"no such\u{a}machine".to_owned())]);
    assert_eq!(bench.closed, [id]);
    assert_eq!(bench.table.connections(), 0);
}

#[test]
fn services_that_are_not_offered() {
    let named = Config { service_name: Some("virtesx".to_owned()), ..Config::default() };
    for (uri, direction, expected) in [
        ("virtesx", Direction::Server, None),
        ("virtesx?port=1&key=ab", Direction::Server, None),
        ("telnet://virtesx:13370?port=1", Direction::Server, None),
        ("other", Direction::Server, Some(Refusal::ServiceName("other".to_owned()))),
        ("Virtesx", Direction::Server, Some(Refusal::ServiceName("Virtesx".to_owned()))),
        ("virtesx", Direction::Client, Some(Refusal::DirectionClient)),
        (
            "virtesx?port=../x",
            Direction::Server,
            Some(Refusal::Label("virtesx?port=../x".to_owned())),
        ),
    ] {
        let mut bench = Bench::new(named.clone());
        let config = MachineConfig { direction, ..machine(uri) };
        let id = bench.connect(HOST_A, Machine::dial(config));
        let accepted = expected.is_none();
        assert_eq!(bench.refusals(), expected.iter().collect::<Vec<_>>(), "{uri}");
        let event = if accepted { MachineEvent::Accepted } else { MachineEvent::Refused };
        assert_eq!(bench.event(id), Some(event), "{uri}");
        assert_eq!(bench.closed.is_empty(), accepted);
    }
    // With leave to dial, the caller is asked to; what it is asked for is an address, not the name of this service.
    let mut bench = Bench::new(Config { direction_client: true, ..named });
    let config = MachineConfig { direction: Direction::Client, ..machine("tcp://10.0.0.9:2301") };
    bench.connect(HOST_A, Machine::dial(config));
    assert_eq!(bench.others, [Output::Dial(key("0"), "tcp://10.0.0.9:2301".to_owned())]);
}

#[test]
fn a_proxy_that_answers_and_a_machine_that_offers() {
    let mut bench = Bench::new(Config::default());
    let mut end = Machine::dial(machine("virtesx"));
    end.offer();
    let id = bench.connect(HOST_A, end);
    assert_eq!(bench.event(id), Some(MachineEvent::Accepted));
}

#[test]
fn identifiers_in_their_order() {
    let bios = "56 4d 00 00 00 00 00 00-00 00 00 00 00 00 00 01";
    let location = "56 4d 00 00 00 00 00 00-00 00 00 00 00 00 00 02";
    let base = || MachineConfig { bios_uuid: bios.to_owned(), ..machine("virtesx") };
    let without = |codes: &[u8]| {
        let all = MachineConfig::default().codes;
        all.into_iter().filter(|code| !codes.contains(code)).collect::<Vec<u8>>()
    };
    let id = |kind, text| Some(MachineId::parse(kind, text).unwrap());
    let cases = [
        (base(), id(UuidKind::Instance, UUID)),
        (MachineConfig { uuid: UUID.to_uppercase(), ..base() }, id(UuidKind::Instance, UUID)),
        // Empty, or not in the list.
        (MachineConfig { uuid: " ".to_owned(), ..base() }, id(UuidKind::Bios, bios)),
        (MachineConfig { codes: without(&[81]), ..base() }, id(UuidKind::Bios, bios)),
        (
            MachineConfig {
                codes: without(&[80, 84]),
                location_uuid: location.to_owned(),
                ..base()
            },
            id(UuidKind::Location, location),
        ),
        (MachineConfig { codes: without(&[81, 85, 87]), ..base() }, None),
    ];
    for (config, expected) in cases {
        let mut bench = Bench::new(Config::default());
        bench.connect(HOST_A, Machine::dial(config));
        let found = bench.table.ports().next().map(|port| port.key.machine);
        assert_eq!(found, expected);
        if expected.is_none() {
            assert_eq!(bench.refusals(), [&Refusal::Anonymous]);
        }
    }
    // What cannot be an identifier is no reason to ask for another.
    for text in ["../..", "50 1e", "zz"] {
        let mut bench = Bench::new(Config::default());
        bench.connect(HOST_A, Machine::dial(MachineConfig { uuid: text.to_owned(), ..base() }));
        assert_eq!(bench.refusals(), [&Refusal::Violation(Violation::BadIdentity)]);
    }
}

/// A machine that lists a code but answers it with "unknown".
#[test]
fn a_code_that_is_listed_and_not_understood() {
    let mut bench = Bench::new(Config::default());
    let id = bench.table.accepted(bench.now, HOST_A, false).unwrap();
    let mut wire = bytes::BytesMut::new();
    wire.extend_from_slice(&hex("FF FB E8"));
    for message in [
        Message::Known1(esx_vspc::message::code::ALL.to_vec()),
        Message::DoProxy(Direction::Server, "virtesx".to_owned()),
        Message::Unknown1(81),
        Message::Uuid(UuidKind::Bios, UUID.to_owned()),
        Message::Unknown1(83),
    ] {
        message.write(&mut wire);
    }
    bench.table.received(bench.now, id, &wire);
    let port = bench.table.ports().next().unwrap();
    assert_eq!((port.key.machine.kind, port.name.as_str()), (UuidKind::Bios, ""));
}

#[test]
fn an_identifier_or_a_request_that_changes() {
    let mut bench = Bench::new(Config::default());
    let id = bench.up("virtesx");
    bench.send(id, &Message::Uuid(UuidKind::Instance, UUID.replace(' ', "")));
    bench.send(id, &Message::DoProxy(Direction::Server, "virtesx".to_owned()));
    assert!(bench.closed.is_empty(), "the same again is fine");
    bench.send(id, &Message::Name("renamed".to_owned()));
    assert_eq!(bench.table.ports().next().unwrap().name, "renamed");
    bench.send(id, &Message::DoProxy(Direction::Server, "virtesx?port=1".to_owned()));
    assert_eq!(bench.refusals(), [&Refusal::Violation(Violation::TwoRequests)]);
    let id = bench.up("virtesx");
    bench.send(id, &Message::Uuid(UuidKind::Instance, UUID.replace('5', "6")));
    assert_eq!(bench.refusals()[1..], [&Refusal::Violation(Violation::BadIdentity)]);
    assert_eq!(bench.table.status(&key("0")), Some(Status::Down));
}

#[test]
fn codes_that_only_a_proxy_sends_are_answered_and_the_session_lives() {
    let mut bench = Bench::new(Config::default());
    let id = bench.up("virtesx");
    for message in [Message::WillProxy, Message::GetName, Message::PeerOk(vec![1])] {
        bench.send(id, &message);
        assert_eq!(bench.event(id), Some(MachineEvent::Unknown(message.code())));
    }
    // No port of this connection moves.
    bench.send(id, &Message::Complete(vec![1]));
    bench.send(id, &Message::Abort);
    bench.guest_writes(id, b"alive");
    assert_eq!(bench.log, b"alive");
}

#[test]
fn every_stage_has_its_time() {
    let known = Message::Known1(esx_vspc::message::code::ALL.to_vec());
    let request = Message::DoProxy(Direction::Server, "virtesx".to_owned());
    let stages: [(&str, &[&Message], u64, Refusal); 4] = [
        ("", &[], 10, Refusal::Late),
        ("FF FB E8", &[], 10, Refusal::Late),
        ("FF FB E8", &[&known, &request], 5, Refusal::Anonymous),
        ("FF FB E8", &[&request], 5, Refusal::Anonymous),
    ];
    for (options, messages, time, refusal) in stages {
        let mut bench = Bench::new(Config::default());
        let id = bench.table.accepted(bench.now, HOST_A, false).unwrap();
        let mut wire = bytes::BytesMut::new();
        wire.extend_from_slice(&hex(options));
        messages.iter().for_each(|message| message.write(&mut wire));
        bench.table.received(bench.now, id, &wire);
        bench.wait(seconds(time) - Duration::from_millis(1));
        assert!(bench.closed.is_empty());
        bench.wait(Duration::from_millis(1));
        assert_eq!((bench.closed.len(), bench.refusals()), (1, vec![&refusal]));
        assert_eq!(bench.table.next_deadline(), None, "no timer stays behind");
    }
    let mut bench = Bench::new(Config { verify: true, ..Config::default() });
    bench.connect(HOST_A, Machine::dial(machine("virtesx")));
    bench.wait(seconds(15));
    assert_eq!(bench.refusals(), [&Refusal::Late]);
}

#[test]
fn a_silent_line_is_asked_for_life_and_a_port_is_forgotten() {
    let mut bench = Bench::new(Config::default());
    let id = bench.up("virtesx");
    bench.table.tick(bench.now + seconds(60));
    assert_eq!(bench.table.take_output(id, 100), hex("FF F1"));
    bench.wait(seconds(90));
    let client = bench.table.attach(&key("0"), Mode::Shared).unwrap();
    bench.close(id);
    // Flapping leaves no more timers behind than one.
    for _ in 0..100 {
        let id = bench.up("virtesx");
        bench.close(id);
    }
    bench.wait(seconds(24 * 3600 - 1));
    assert_eq!(bench.table.status(&key("0")), Some(Status::Down));
    bench.wait(seconds(1));
    assert_eq!(bench.table.status(&key("0")), None);
    assert_eq!(bench.others, [Output::Detach(client, Detached::PortGone)]);
    assert_eq!(bench.table.next_deadline(), None);
}

#[test]
fn takeovers() {
    // From elsewhere, unverified: the old one stays.
    let mut bench = Bench::new(Config::default());
    let old = bench.up("virtesx");
    let other = bench.connect(HOST_B, Machine::dial(machine("virtesx")));
    assert_eq!(bench.event(other), Some(MachineEvent::Refused));
    assert_eq!(bench.refusals(), [&Refusal::Taken(key("0"))]);
    // Another port of the same machine is no conflict.
    let second = bench.connect(HOST_B, Machine::dial(machine("virtesx?port=1")));
    assert_eq!(bench.event(second), Some(MachineEvent::Accepted));
    // From the same address: a restart of the machine, whose old socket is half open. Clients stay.
    let client = bench.table.attach(&key("0"), Mode::Shared).unwrap();
    let new = bench.up("virtesx");
    assert_eq!(bench.closed, [other, old]);
    bench.guest_writes(new, b"back");
    assert_eq!(bench.read(client), b"back");
    // The old one's late end changes nothing.
    bench.table.closed(bench.now, old);
    assert_eq!(bench.table.status(&key("0")), Some(Status::Up));
    // When the old one is gone, anybody may come.
    bench.close(new);
    let elsewhere = bench.connect(HOST_B, Machine::dial(machine("virtesx")));
    assert_eq!(bench.event(elsewhere), Some(MachineEvent::Accepted));

    // From elsewhere, verified: what it says anybody may repeat, but not where it runs.
    for (verified, expected) in
        [(Verified::Claim, MachineEvent::Refused), (Verified::ClaimAndHost, MachineEvent::Accepted)]
    {
        let mut bench = Bench::new(Config { verify: true, ..Config::default() });
        for (host, expected) in [(HOST_A, MachineEvent::Accepted), (HOST_B, expected.clone())] {
            let id = bench.connect(host, Machine::dial(machine("virtesx")));
            bench.table.verdict(bench.now, id, Ok(verified));
            bench.pump();
            assert_eq!(bench.event(id), Some(expected));
        }
        let taken = bench.notes.contains(&Note::TakenOver(key("0"), HOST_B));
        assert_eq!(taken, verified == Verified::ClaimAndHost);
    }
}

#[test]
fn limits_of_connections() {
    let limits = Limits { connections: 3, unidentified_per_address: 2, ..Limits::default() };
    let mut bench = Bench::new(Config { limits, ..Config::default() });
    let now = bench.now;
    let one = bench.table.accepted(now, HOST_A, false).unwrap();
    bench.table.accepted(now, HOST_A, false).unwrap();
    assert_eq!(bench.table.accepted(now, HOST_A, false), Err(Refusal::TooManyUnidentified));
    bench.table.accepted(now, HOST_B, false).unwrap();
    assert_eq!(bench.table.accepted(now, HOST_B, false), Err(Refusal::Full));
    bench.table.closed(now, one);
    // Those that are served do not count as unidentified.
    bench.up("virtesx");
    assert_eq!(bench.table.connections(), 3);
    bench.table.closed(now, one);
    assert_eq!(bench.table.connections(), 3, "an end that is reported twice");
}

#[test]
fn limits_of_bytes() {
    let limits =
        Limits { early_data_bytes: 8, service_uri_bytes: 7, name_bytes: 4, ..Limits::default() };
    let config = Config { limits, ..Config::default() };
    let mut bench = Bench::new(config);
    let id = bench.table.accepted(bench.now, HOST_A, false).unwrap();
    bench.table.received(bench.now, id, b"12345678");
    bench.pump();
    assert!(bench.closed.is_empty());
    bench.table.received(bench.now, id, b"9");
    bench.pump();
    assert_eq!(bench.refusals(), [&Refusal::Violation(Violation::EarlyData)]);
    bench.up("virtesx");
    assert_eq!(bench.table.ports().next().unwrap().name, "caf", "cut between characters");
    let id = bench.connect(HOST_A, Machine::dial(machine("virtesx1")));
    assert_eq!(bench.event(id), Some(MachineEvent::Refused));
}

#[test]
fn limits_of_clients() {
    let limits = Limits {
        clients_per_port: 2,
        client_queue_bytes: 10,
        history_bytes: 6,
        held_bytes: 4,
        ..Limits::default()
    };
    let mut bench = Bench::new(Config { limits, ..Config::default() });
    assert_eq!(bench.table.attach(&key("0"), Mode::Shared), Err(AttachError::NoPort));
    let id = bench.up("virtesx");
    let slow = bench.table.attach(&key("0"), Mode::Shared).unwrap();
    let fast = bench.table.attach(&key("0"), Mode::ReadOnly).unwrap();
    assert_eq!(bench.table.attach(&key("0"), Mode::Shared), Err(AttachError::TooMany));
    let _ = (bench.read(slow), bench.read(fast));
    for piece in ["12345", "67890", "x"] {
        bench.guest_writes(id, piece.as_bytes());
        assert_eq!(bench.read(fast), piece.as_bytes());
    }
    // The one that did not read is let go; the machine was not slowed down.
    assert_eq!(bench.others, [Output::Detach(slow, Detached::TooSlow)]);
    assert_eq!(bench.log, b"1234567890x");
    // Who comes later is told the state and what was said last.
    let late = bench.table.attach(&key("0"), Mode::Shared).unwrap();
    let events: Vec<ClientEvent> = bench.table.take_events(late).into();
    let said = ClientEvent::Data(b"67890x"[..].to_vec().into());
    assert_eq!(events, [ClientEvent::Status(Status::Up), said]);
    // A machine that does not read: its clients are held up, and read again when it does.
    assert_eq!(bench.table.client_data(late, b"abcdef"), 4);
    assert_eq!(bench.table.client_data(late, b"ef"), 0);
    bench.others.clear();
    bench.pump();
    assert_eq!(bench.others, [Output::Room(late)]);
    assert_eq!(bench.table.client_data(late, b"ef"), 2);
    bench.pump();
    assert_eq!(bench.guest_reads(id), b"abcdef");
    // Who only reads writes nowhere.
    assert_eq!(bench.table.client_data(fast, b"zz"), 2);
    bench.pump();
    assert_eq!(bench.event(id), None);
}

#[test]
fn modes_of_clients() {
    let mut bench = Bench::new(Config::default());
    bench.up("virtesx");
    let port = key("0");
    let shared = bench.table.attach(&port, Mode::Shared).unwrap();
    assert_eq!(bench.table.attach(&port, Mode::Exclusive), Err(AttachError::Locked));
    bench.table.detach(shared);
    let alone = bench.table.attach(&port, Mode::Exclusive).unwrap();
    assert_eq!(bench.table.attach(&port, Mode::Shared), Err(AttachError::Locked));
    bench.table.attach(&port, Mode::ReadOnly).unwrap();
    bench.table.detach(alone);
    bench.table.attach(&port, Mode::Shared).unwrap();
    assert_eq!(bench.table.ports().next().unwrap().clients, 2);
}

#[test]
fn who_insists_takes_the_place_of_those_who_write() {
    let mut bench = Bench::new(Config::default());
    bench.up("virtesx");
    let attach = |bench: &mut Bench, mode| bench.table.attach(&key("0"), mode);
    let watcher = attach(&mut bench, Mode::ReadOnly).unwrap();
    let writers = [0; 2].map(|_| attach(&mut bench, Mode::Shared).unwrap());
    assert_eq!(attach(&mut bench, Mode::Exclusive), Err(AttachError::Locked));
    bench.table.let_go_of_writers(&key("0"));
    let only = attach(&mut bench, Mode::Exclusive).unwrap();
    bench.pump();
    let gone = writers.map(|id| Output::Detach(id, Detached::TakenOver));
    assert_eq!(bench.others, gone);
    assert_eq!(bench.table.ports().next().unwrap().clients, 2);
    // Who was let go writes nothing more, and the watcher stays.
    assert_eq!(bench.table.client_data(writers[0], b"lost"), 4);
    bench.table.client_data(only, b"heard");
    bench.table.let_go_of_writers(&key("7"));
    bench.table.detach(watcher);
    bench.table.detach(writers[1]);
    assert_eq!(bench.table.ports().next().unwrap().clients, 1);
}

/// Options that end in mid session end with one word each, and the line goes on.
#[test]
fn options_that_end() {
    let mut bench = Bench::new(Config::default());
    let id = bench.up("virtesx");
    let client = bench.table.attach(&key("0"), Mode::Shared).unwrap();
    for (word, answer) in [
        ("FF FC E8", "FF FE E8"), // WONT 232, DONT 232
        ("FF FE E8", ""),         // DONT 232: it was never ours
        ("FF FC E8", ""),
        ("FF FC 03 FF FE 03", "FF FE 03 FF FC 03"),
        ("FF FC 00", "FF FE 00"), // what it sends is lines from here on
    ] {
        bench.table.received(bench.now, id, &hex(word));
        assert_eq!(bench.table.take_output(id, 100), hex(answer), "{word}");
    }
    // Without the extension its messages mean nothing.
    bench.table.received(bench.now, id, &hex("FF FA E8 28 01 FF F0 41 0D 00 42 0D 0A"));
    assert_eq!(bench.table.take_output(id, 100), [0_u8; 0][..]);
    assert_eq!(bench.table.status(&key("0")), Some(Status::Up));
    assert_eq!(bench.read(client), b"A\rB\r\n");
}

#[test]
fn ports_are_forgotten_oldest_first_when_there_are_too_many() {
    let limits = Limits { ports: 2, ..Limits::default() };
    let mut bench = Bench::new(Config { limits, ..Config::default() });
    for label in ["0", "1"] {
        let id = bench.up(&format!("virtesx?port={label}"));
        bench.wait(seconds(1));
        bench.close(id);
    }
    bench.up("virtesx?port=2");
    assert_eq!(bench.table.status(&key("0")), None);
    bench.up("virtesx?port=3");
    let id = bench.connect(HOST_A, Machine::dial(machine("virtesx?port=4")));
    assert_eq!(bench.event(id), Some(MachineEvent::Refused));
    assert_eq!(bench.refusals(), [&Refusal::TooManyPorts]);
}

/// Garbage and floods: an end, or a bounded memory.
#[test]
fn floods() {
    // A peer that asks and never reads.
    let mut bench = Bench::new(Config::default());
    let id = bench.table.accepted(bench.now, HOST_A, false).unwrap();
    bench.table.received(bench.now, id, &hex("FF FB E8"));
    let unknown = hex("FF FA E8 63 FF F0").repeat(1000);
    let mut sent = 0;
    while bench.closed.is_empty() {
        bench.table.received(bench.now, id, &unknown);
        sent += unknown.len();
        assert!(sent < 4 << 20, "it goes on for ever");
        while let Some(output) = bench.table.next_output() {
            if output == Output::Close(id) {
                bench.closed.push(id);
            }
        }
    }
    // After its end nothing is read.
    bench.table.received(bench.now, id, &unknown);
    bench.table.closed(bench.now, id);
    // Parameters without end.
    let id = bench.table.accepted(bench.now, HOST_A, false).unwrap();
    bench.table.received(bench.now, id, &hex("FF FA E8 46"));
    bench.table.received(bench.now, id, &vec![b'x'; 5000]);
    let notes: Vec<Output> = std::iter::from_fn(|| bench.table.next_output()).collect();
    assert!(notes.contains(&Output::Close(id)), "{notes:?}");
}
