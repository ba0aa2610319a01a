//! A machine's bytes mean the same however they arrive, and no table, machine or view of a URI breaks on them.
#![no_main]

use std::time::Duration;

use esx_vspc::{
    Concentrator, Config, Limits, Machine, MachineConfig, Message, Mode, Output,
    telnet::{Decoder, Event, Verb, write_data, write_option, write_parameters},
    uri::PortUri,
};
use libfuzzer_sys::fuzz_target;

#[derive(Debug, PartialEq, Clone)]
enum Owned {
    Data(Vec<u8>),
    Command(u8),
    Option(Verb, u8),
    Parameters(u8, Vec<u8>),
}

/// The events of bytes in parts of `size`, and whether they were telnet to the end.
fn decode(bytes: &[u8], size: usize) -> (Vec<Owned>, bool) {
    let mut decoder = Decoder::new(64);
    let mut events = Vec::new();
    for mut part in bytes.chunks(size) {
        loop {
            match decoder.next(&mut part) {
                Ok(Some(Event::Data(data))) => match events.last_mut() {
                    Some(Owned::Data(before)) => before.extend_from_slice(data),
                    _ => events.push(Owned::Data(data.to_vec())),
                },
                Ok(Some(Event::Command(command))) => events.push(Owned::Command(command)),
                Ok(Some(Event::Option(verb, option))) => events.push(Owned::Option(verb, option)),
                Ok(Some(Event::Subnegotiation(option, parameters))) => {
                    events.push(Owned::Parameters(option, parameters.to_vec()));
                }
                Ok(None) => break,
                Err(_) => return (events, false),
            }
        }
    }
    (events, true)
}

fn encode(events: &[Owned]) -> Vec<u8> {
    let mut out = bytes::BytesMut::new();
    for event in events {
        match event {
            Owned::Data(data) => write_data(&mut out, data),
            Owned::Command(command) => out.extend_from_slice(&[255, *command]),
            Owned::Option(verb, option) => write_option(&mut out, *verb, *option),
            Owned::Parameters(option, parameters) => {
                if let Ok(message) = Message::parse(parameters) {
                    let mut one = bytes::BytesMut::new();
                    message.write(&mut one);
                    assert!(one.len() >= 6);
                }
                write_parameters(&mut out, *option, parameters);
            }
        }
    }
    out.to_vec()
}

/// Two connections are given the bytes in turns, in parts of `size`.
fn concentrate(bytes: &[u8], size: usize) {
    let limits = Limits { early_data_bytes: 256, held_bytes: 1024, ..Limits::default() };
    let config = Config { limits, ..Config::default() };
    let mut table = Concentrator::new(config, Box::new(|bytes| {
        bytes.fill(1);
        true
    }));
    let mut now = Duration::ZERO;
    let ids = [(); 2].map(|()| table.accepted(now, [127, 0, 0, 1].into(), false).expect("room"));
    let mut clients = Vec::new();
    for (at, part) in bytes.chunks(size).enumerate() {
        table.received(now, ids[at % 2], part);
        let key = table.ports().next().map(|port| port.key);
        if let Some(key) = key {
            clients.extend(table.attach(&key, Mode::Shared).ok());
        }
        for client in &clients {
            assert!(table.client_data(*client, part) <= part.len());
        }
        while let Some(output) = table.next_output() {
            match output {
                Output::Close(id) => table.closed(now, id),
                Output::StartTls(id, _) => table.tls_established(now, id),
                _ => {}
            }
        }
        now += Duration::from_millis(u64::from(part[0]));
        table.tick(now);
    }
    let left: usize = ids.iter().map(|id| table.take_output(*id, usize::MAX).len()).sum();
    assert!(left < 1 << 20);
}

fuzz_target!(|bytes: &[u8]| {
    let whole = decode(bytes, usize::MAX);
    assert_eq!(decode(bytes, 1), whole);
    assert_eq!(decode(bytes, 5), whole);
    assert_eq!(decode(&encode(&whole.0), usize::MAX), (whole.0.clone(), true));
    concentrate(bytes, 1);
    concentrate(bytes, 64);
    let mut machine = Machine::dial(MachineConfig { offer_tls: true, ..MachineConfig::default() });
    let _ = machine.receive(bytes);
    if let Ok(text) = str::from_utf8(bytes) {
        let _ = (PortUri::parse_proxy(text), PortUri::parse_service(text, false));
        let _ = (esx_vspc::identity::label(text), esx_vspc::identity::service_name(text));
        assert!(esx_vspc::identity::printable(text).chars().all(|c| !c.is_control()));
    }
});
