//! What holds for all values: bytes and back, however the bytes are split, and no input that does harm.

use std::future::Future as _;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use proptest::prelude::*;
use uuid::Uuid;
use virt_api::{
    Domain, DomainInterface, DomainStats, Driver, Hypervisor, IpAddress, IpAddressType, Snapshot,
    TypedParam, TypedValue, Unsupported,
};
use virt_rpc::dispatch::dispatch;
use virt_rpc::error::WireError;
use virt_rpc::frame::{FrameDecoder, Header, Packet, PacketType, Status};
use virt_rpc::procedure::Procedure;
use virt_rpc::session::{Action, AuthMethod, Session, SessionOptions};
use virt_rpc::types::{Objects, Params};
use virt_rpc::xdr::{self, Xdr};

struct Nothing;
impl Driver for Nothing {
    fn hypervisor(&self) -> &dyn Hypervisor {
        &Unsupported
    }
}

fn domain() -> impl Strategy<Value = Domain> {
    (".{0,40}", any::<u128>(), proptest::option::of(0..i32::MAX))
        .prop_map(|(name, uuid, id)| Domain { name, uuid: Uuid::from_u128(uuid), id })
}

fn param() -> impl Strategy<Value = TypedParam> {
    let value = prop_oneof![
        any::<i32>().prop_map(TypedValue::Int),
        any::<u32>().prop_map(TypedValue::UInt),
        any::<i64>().prop_map(TypedValue::LLong),
        any::<u64>().prop_map(TypedValue::ULLong),
        (-1e300_f64..1e300).prop_map(TypedValue::Double),
        any::<bool>().prop_map(TypedValue::Boolean),
        ".{0,30}".prop_map(TypedValue::String),
    ];
    ("[a-z.0-9]{0,79}", value).prop_map(|(name, value)| TypedParam { name, value })
}

fn guest_nic() -> impl Strategy<Value = DomainInterface> {
    let address = (any::<bool>(), ".{0,20}", any::<u32>()).prop_map(|(six, addr, prefix)| {
        let kind = if six { IpAddressType::Ipv6 } else { IpAddressType::Ipv4 };
        IpAddress { kind, addr, prefix }
    });
    let addresses = proptest::collection::vec(address, 0..4);
    (".{0,10}", proptest::option::of(".{0,17}"), addresses)
        .prop_map(|(name, hwaddr, addrs)| DomainInterface { name, hwaddr, addrs })
}

fn packet() -> impl Strategy<Value = Packet> {
    let kinds = prop_oneof![
        Just(PacketType::Call),
        Just(PacketType::Reply),
        Just(PacketType::Message),
        Just(PacketType::Stream),
        Just(PacketType::StreamHole),
    ];
    let states = prop_oneof![Just(Status::Ok), Just(Status::Error), Just(Status::Continue)];
    let payload = proptest::collection::vec(any::<u8>(), 0..200);
    (any::<u32>(), any::<i32>(), kinds, any::<u32>(), states, payload).prop_map(
        |(program, procedure, kind, serial, status, payload)| {
            Packet::new(Header { program, version: 1, procedure, kind, serial, status }, payload)
        },
    )
}

fn there_and_back<T: Xdr + PartialEq + std::fmt::Debug>(value: &T) -> Result<(), TestCaseError> {
    let bytes = xdr::to_bytes(value).unwrap();
    prop_assert_eq!(bytes.len() % 4, 0);
    prop_assert!(bytes.len() >= T::MIN_BYTES);
    let (read, left) = xdr::from_bytes::<T>(&bytes).unwrap();
    prop_assert_eq!(&read, value);
    prop_assert_eq!(left, 0);
    if let Some(cut) = bytes.len().checked_sub(1) {
        prop_assert!(xdr::from_bytes::<T>(&bytes[..cut]).is_err());
    }
    Ok(())
}

proptest! {
    #[test]
    fn values_come_back(
        domains in proptest::collection::vec(domain(), 0..6),
        params in proptest::collection::vec(param(), 0..16),
        nic in guest_nic(),
        name in proptest::option::of(".{0,40}"),
    ) {
        there_and_back(&Objects::from(domains.clone()))?;
        there_and_back(&Params::from(params.clone()))?;
        there_and_back(&nic)?;
        there_and_back(&name)?;
        if let Some(domain) = domains.into_iter().next() {
            there_and_back(&Snapshot { domain: domain.clone(), name: "s".to_owned() })?;
            there_and_back(&DomainStats { domain, params })?;
        }
    }

    #[test]
    fn packets_come_back_however_the_bytes_are_split(
        packets in proptest::collection::vec(packet(), 1..6),
        sizes in proptest::collection::vec(1_usize..90, 1..20),
    ) {
        let bytes: Vec<u8> = packets.iter().flat_map(|packet| packet.to_bytes().unwrap()).collect();
        let mut decoder = FrameDecoder::default();
        let (mut found, mut rest) = (Vec::new(), &bytes[..]);
        let mut sizes = sizes.iter().cycle();
        while !rest.is_empty() {
            let (part, after) = rest.split_at(rest.len().min(*sizes.next().unwrap()));
            decoder.push(part);
            rest = after;
            while let Some(packet) = decoder.next_packet().unwrap() {
                found.push(packet);
            }
        }
        prop_assert_eq!(found, packets);
        prop_assert!(!decoder.is_partial());
    }

    #[test]
    fn no_bytes_do_harm(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut decoder = FrameDecoder::default();
        decoder.push(&bytes);
        while let Ok(Some(_)) = decoder.next_packet() {}
        let _ = xdr::from_bytes::<WireError>(&bytes);
        let _ = xdr::from_bytes::<Objects<DomainStats>>(&bytes);
    }

    #[test]
    fn every_call_is_answered_whatever_its_payload(
        index in any::<prop::sample::Index>(),
        payload in proptest::collection::vec(any::<u8>(), 0..120),
        read_only in any::<bool>(),
    ) {
        let number = index.get(Procedure::ALL).number();
        let header = Header::remote(number, PacketType::Call, 9, Status::Ok);
        let packet = Packet::new(header, payload);
        let auth = vec![AuthMethod::None, AuthMethod::Sasl];
        let mut session = Session::new(SessionOptions { read_only, auth });
        match session.receive(packet.clone()) {
            Action::Send(reply) | Action::Close(reply) => {
                prop_assert_eq!(reply.header.serial, 9);
                reply.to_bytes().unwrap();
            }
            Action::Open(_) => {}
            other => return Err(TestCaseError::fail(format!("{other:?}"))),
        }
        let answer = dispatch(&Nothing, read_only, &packet);
        let Poll::Ready(outcome) = pin!(answer).poll(&mut Context::from_waker(Waker::noop())) else {
            return Err(TestCaseError::fail("waits"));
        };
        prop_assert_eq!(outcome.reply.header.serial, 9);
        outcome.reply.to_bytes().unwrap();
    }
}
