//! vMotion in the orders that can come (spec 7, 17.5, 17.6).

mod common;

use std::time::Duration;

use common::{Bench, HOST_A, HOST_B, key, machine};
use esx_vspc::{
    ClientId, Config, ConnectionId, Direction, Machine, MachineEvent, Message, Mode, Note, Refusal,
    Status, message::Secret,
};

const SEQUENCE: &[u8] = &[0x1a, 0x2b, 0xff, 0x4d];
const URI: &str = "virtesx";

struct Moving {
    bench: Bench,
    source: ConnectionId,
    client: ClientId,
    secret: Secret,
}

/// A port whose machine was let go, and whose client wrote before and after that.
fn moving() -> Moving {
    let mut bench = Bench::new(Config::default());
    let source = bench.up(URI);
    let client = bench.table.attach(&key("0"), Mode::Shared).unwrap();
    bench.table.client_data(client, b"before ");
    let secret = bench.go_ahead(source, SEQUENCE);
    bench.table.client_data(client, b"after");
    bench.pump();
    assert_eq!(bench.table.status(&key("0")), Some(Status::Moving));
    Moving { bench, source, client, secret }
}

#[test]
fn what_was_queued_comes_before_the_go_ahead() {
    let mut bench = Bench::new(Config::default());
    let source = bench.up(URI);
    let client = bench.table.attach(&key("0"), Mode::Shared).unwrap();
    bench.machine(source).write(b"last words");
    bench.table.client_data(client, b"before");
    bench.machine(source).begin(SEQUENCE);
    bench.pump();
    assert_eq!(bench.read(client), b"last words");
    assert_eq!(bench.event(source), Some(MachineEvent::Data(b"before".to_vec())));
    let Some(MachineEvent::GoAhead(secret)) = bench.event(source) else { panic!("no go-ahead") };
    assert!(secret.0.starts_with(SEQUENCE));
    assert_eq!(secret.0.len(), SEQUENCE.len() + 8);
    assert!(!secret.0[SEQUENCE.len()..].contains(&0xff));
}

#[test]
fn a_move_in_both_orders_of_its_end() {
    for source_first in [true, false] {
        let Moving { mut bench, source, client, secret } = moving();
        let target = bench.arrive(URI, SEQUENCE, &secret);
        assert_eq!(bench.event(target), Some(MachineEvent::PeerOk));
        if source_first {
            bench.close(source);
            assert_eq!(bench.table.status(&key("0")), Some(Status::Moving), "clients stay");
        }
        bench.machine(target).complete();
        bench.machine(target).write(b"here");
        bench.pump();
        if !source_first {
            assert_eq!(bench.closed, [source], "the source is let go");
        }
        assert_eq!(bench.guest_reads(target), b"after");
        assert_eq!(bench.read(client), b"here");
        assert!(bench.notes.contains(&Note::Moved(key("0"), HOST_B)));
        // And back again, on the connection that was a target.
        let secret = bench.go_ahead(target, &[1]);
        let back = Machine::arrive(machine(URI), vec![1], secret);
        let back = bench.connect(HOST_A, back);
        bench.machine(back).complete();
        bench.pump();
        bench.table.client_data(client, b"home");
        bench.pump();
        assert_eq!(bench.guest_reads(back), b"home");
        assert_eq!(bench.table.connections(), 1);
    }
}

#[test]
fn the_target_is_told_by_its_secret_only() {
    let Moving { mut bench, source, secret, .. } = moving();
    // The machine's identifier opens nothing.
    let claims = bench.connect(HOST_B, Machine::dial(machine(URI)));
    assert_eq!(bench.event(claims), Some(MachineEvent::Refused));
    // Nor do a secret that is wrong, too short, or shown under another sequence.
    let mut wrong = secret.clone();
    wrong.0[SEQUENCE.len()] ^= 1;
    let short = Secret(secret.0[..secret.0.len() - 1].to_vec());
    let bare = Secret(secret.0[SEQUENCE.len()..].to_vec());
    for shown in [wrong, short, bare, Secret(Vec::new()), Secret(SEQUENCE.to_vec())] {
        let id = bench.arrive(URI, SEQUENCE, &shown);
        assert_eq!(bench.event(id), Some(MachineEvent::Unknown(44)));
        assert_eq!(bench.refusals().last(), Some(&&Refusal::BadSecret));
    }
    // One that is served already cannot be a target.
    let other = bench.up("virtesx?port=1");
    bench.send(other, &Message::Peer(secret.clone()));
    assert_eq!(bench.event(other), Some(MachineEvent::Unknown(44)));
    // The right one does, once.
    let target = bench.arrive(URI, SEQUENCE, &secret);
    assert_eq!(bench.event(target), Some(MachineEvent::PeerOk));
    let second = bench.arrive(URI, SEQUENCE, &secret);
    assert_eq!(bench.event(second), Some(MachineEvent::Unknown(44)));
    // Words that are for the other end mean nothing: the machine neither stays nor arrives by them.
    bench.send(target, &Message::Abort);
    bench.send(source, &Message::Complete(SEQUENCE.to_vec()));
    bench.send(target, &Message::DoProxy(Direction::Server, URI.to_owned()));
    assert_eq!(bench.table.status(&key("0")), Some(Status::Moving));
    bench.machine(target).complete();
    bench.pump();
    let replay = bench.arrive(URI, SEQUENCE, &secret);
    assert_eq!(bench.event(replay), Some(MachineEvent::Unknown(44)));
}

#[test]
fn aborts() {
    // Before a target came, after one, by the word and by data alone.
    for (arrived, word) in [(false, true), (true, true), (false, false), (true, false)] {
        let Moving { mut bench, source, client, secret } = moving();
        let target = arrived.then(|| bench.arrive(URI, SEQUENCE, &secret));
        if word {
            bench.machine(source).abort();
        }
        bench.guest_writes(source, b"still here");
        assert_eq!(bench.read(client), b"still here");
        assert_eq!(bench.guest_reads(source), b"after");
        assert_eq!(bench.closed, target.into_iter().collect::<Vec<_>>());
        assert!(bench.notes.contains(&Note::MoveEnded(key("0"))));
        let late = bench.arrive(URI, SEQUENCE, &secret);
        assert_eq!(bench.event(late), Some(MachineEvent::Unknown(44)), "the secret is spent");
    }
}

#[test]
fn a_target_that_dies_gives_way() {
    let Moving { mut bench, source, client, secret } = moving();
    let target = bench.arrive(URI, SEQUENCE, &secret);
    bench.close(target);
    // To another,
    let again = bench.arrive(URI, SEQUENCE, &secret);
    assert_eq!(bench.event(again), Some(MachineEvent::PeerOk));
    bench.close(again);
    // or to the source.
    bench.machine(source).abort();
    bench.pump();
    assert_eq!(bench.guest_reads(source), b"after");
    bench.guest_writes(source, b"x");
    assert_eq!(bench.read(client), b"x");
}

#[test]
fn what_a_target_writes_waits_for_complete() {
    let Moving { mut bench, client, secret, .. } = moving();
    let target = bench.arrive(URI, SEQUENCE, &secret);
    bench.table.received(bench.now, target, b"too early, ");
    assert_eq!(bench.read(client), b"");
    bench.machine(target).complete();
    bench.machine(target).write(b"in time");
    bench.pump();
    assert_eq!(bench.read(client), b"too early, in time");
}

#[test]
fn the_deadline() {
    // The source is still there: it goes on.
    let Moving { mut bench, source, secret, .. } = moving();
    bench.wait(Duration::from_secs(119));
    assert_eq!(bench.table.status(&key("0")), Some(Status::Moving));
    bench.wait(Duration::from_secs(1));
    assert_eq!(bench.table.status(&key("0")), Some(Status::Up));
    assert_eq!(bench.guest_reads(source), b"after");
    let late = bench.arrive(URI, SEQUENCE, &secret);
    assert_eq!(bench.event(late), Some(MachineEvent::Unknown(44)));
    // Neither is: the port is down.
    let Moving { mut bench, source, secret, .. } = moving();
    let target = bench.arrive(URI, SEQUENCE, &secret);
    bench.close(source);
    bench.close(target);
    assert_eq!(bench.table.status(&key("0")), Some(Status::Moving));
    bench.wait(Duration::from_secs(120));
    assert_eq!(bench.table.status(&key("0")), Some(Status::Down));
    // A target that never completes.
    let Moving { mut bench, source, secret, .. } = moving();
    bench.arrive(URI, SEQUENCE, &secret);
    bench.close(source);
    bench.wait(Duration::from_secs(120));
    assert_eq!(bench.table.connections(), 0);
    assert_eq!(bench.table.status(&key("0")), Some(Status::Down));
}

#[test]
fn a_second_begin_replaces_the_first() {
    let Moving { mut bench, source, secret, .. } = moving();
    let target = bench.arrive(URI, SEQUENCE, &secret);
    let second = bench.go_ahead(source, &[9]);
    assert_ne!(second, secret);
    let stale = bench.arrive(URI, SEQUENCE, &secret);
    assert_eq!(bench.event(stale), Some(MachineEvent::Unknown(44)));
    // The first target is let go; what it says neither helps nor harms.
    assert!(bench.closed.contains(&target));
    bench.machine(target).complete();
    bench.pump();
    assert_eq!(bench.table.status(&key("0")), Some(Status::Moving));
    let target = bench.arrive(URI, &[9], &second);
    bench.machine(target).complete();
    bench.pump();
    assert_eq!(bench.guest_reads(target), b"after");
    assert_eq!(bench.table.connections(), 1);
}

#[test]
fn a_move_that_cannot_be_honoured() {
    // Not accepted yet.
    let mut bench = Bench::new(Config { verify: true, ..Config::default() });
    let id = bench.connect(HOST_A, Machine::dial(machine(URI)));
    bench.machine(id).begin(SEQUENCE);
    bench.pump();
    assert_eq!(bench.event(id), Some(MachineEvent::NotNow));
    // Sequences of any length, up to a limit.
    let mut bench = Bench::new(Config::default());
    let id = bench.up(URI);
    for length in [0, 1, 64] {
        let secret = bench.go_ahead(id, &vec![0xff; length]);
        assert_eq!(secret.0.len(), length + 8);
        bench.machine(id).abort();
        bench.pump();
    }
    bench.machine(id).begin(&[0; 65]);
    bench.pump();
    assert_eq!(bench.event(id), Some(MachineEvent::NotNow));
    bench.guest_writes(id, b"goes on");
    assert_eq!(bench.log, b"goes on");
    assert!(bench.notes.contains(&Note::MoveRefused(key("0"))));
    // A target that would move on before it has arrived.
    let secret = bench.go_ahead(id, SEQUENCE);
    let target = bench.arrive(URI, SEQUENCE, &secret);
    assert_eq!(bench.event(target), Some(MachineEvent::PeerOk));
    bench.machine(target).begin(&[3]);
    bench.pump();
    assert_eq!(bench.event(target), Some(MachineEvent::NotNow));
}

#[test]
fn a_generator_that_fails_is_no_secret() {
    let mut table = esx_vspc::Concentrator::new(Config::default(), Box::new(|_| false));
    let mut end = Machine::dial(machine(URI));
    let now = Duration::ZERO;
    let id = table.accepted(now, HOST_A, false).unwrap();
    let mut answers = Vec::new();
    for _ in 0..10 {
        end.receive(&table.take_output(id, 1000)).unwrap();
        table.received(now, id, &end.take_output());
        while let Some(event) = end.next_event() {
            if event == MachineEvent::Accepted {
                end.begin(SEQUENCE);
            }
            answers.push(event);
        }
    }
    assert_eq!(answers, [MachineEvent::Accepted, MachineEvent::NotNow]);
}

/// The sequence is opaque, and so is its length, up to a limit.
#[test]
fn sequences_of_any_length() {
    for sequence in [&[][..], &[0xff], &[0xff; 64], &[0xf0; 64]] {
        let mut bench = Bench::new(Config::default());
        let source = bench.up(URI);
        let client = bench.table.attach(&key("0"), Mode::Shared).unwrap();
        let secret = bench.go_ahead(source, sequence);
        assert_eq!((&secret.0[..sequence.len()], secret.0.len()), (sequence, sequence.len() + 8));
        bench.table.client_data(client, b"held");
        let target = bench.arrive(URI, sequence, &secret);
        bench.machine(target).complete();
        bench.pump();
        assert_eq!(bench.guest_reads(target), b"held", "{sequence:?}");
    }
}

/// All ports of a machine move at once, under one identifier and one sequence.
#[test]
fn three_ports_at_once() {
    let uris = ["virtesx?port=0", "virtesx?port=1", "virtesx?port=2"];
    let mut bench = Bench::new(Config::default());
    let sources: Vec<_> = uris.iter().map(|uri| bench.up(uri)).collect();
    let clients: Vec<_> = ["0", "1", "2"]
        .iter()
        .map(|label| bench.table.attach(&key(label), Mode::Shared).unwrap())
        .collect();
    let secrets: Vec<_> = sources.iter().map(|id| bench.go_ahead(*id, SEQUENCE)).collect();
    // They arrive in another order.
    for at in [2, 0, 1] {
        bench.table.client_data(clients[at], uris[at].as_bytes());
        let target = bench.arrive(uris[at], SEQUENCE, &secrets[at]);
        bench.machine(target).complete();
        bench.pump();
        assert_eq!(bench.guest_reads(target), uris[at].as_bytes());
        bench.guest_writes(target, &[at as u8]);
        assert_eq!(bench.read(clients[at]), [at as u8]);
    }
    assert_eq!(bench.table.connections(), 3);
}

/// The order of the capture: three moves, one "not now", one abort, power off right after the last COMPLETE.
#[test]
fn the_order_of_the_capture() {
    let mut bench = Bench::new(Config::default());
    let mut at = bench.up(URI);
    let client = bench.table.attach(&key("0"), Mode::Shared).unwrap();
    let (mut said, mut heard) = (Vec::new(), Vec::new());
    for round in 0..3_u8 {
        bench.guest_writes(at, &[round; 100]);
        said.extend_from_slice(&[round; 100]);
        let secret = bench.go_ahead(at, &[round; 4]);
        bench.table.client_data(client, &[round]);
        let target = bench.arrive(URI, &[round; 4], &secret);
        bench.machine(target).complete();
        bench.pump();
        heard.extend_from_slice(&bench.guest_reads(target));
        at = target;
    }
    bench.machine(at).begin(&[7; 65]);
    bench.pump();
    assert_eq!(bench.event(at), Some(MachineEvent::NotNow));
    bench.go_ahead(at, &[8; 4]);
    bench.machine(at).abort();
    let secret = bench.go_ahead(at, &[9; 4]);
    let target = bench.arrive(URI, &[9; 4], &secret);
    bench.machine(target).complete();
    bench.machine(target).write(b"bye");
    said.extend_from_slice(b"bye");
    bench.close(target);
    assert_eq!(bench.table.status(&key("0")), Some(Status::Down));
    assert_eq!(bench.read(client), said);
    assert_eq!(bench.log, said);
    assert_eq!(heard, [0, 1, 2]);
    assert_eq!(bench.table.connections(), 0);
}
