//! Calls as they arrive, against drivers that have nothing or one thing.

use std::future::Future;
use std::pin::pin;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use virt_api::{
    Definitions, Domain, DomainModificationFlags, DomainXmlFlags, Hypervisor, ListAllDomainsFlags,
    ListedDomain, Snapshots, Unsupported,
};

use super::*;
use crate::client;
use crate::frame::{Header, PacketType};
use crate::procedure::call;
use crate::types::{Max, no_domain};

/// Nothing here waits for anything.
fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("waits"),
    }
}

impl Driver for Fake {
    fn hypervisor(&self) -> &dyn Hypervisor {
        self
    }
}

/// Has one domain and takes notes.
#[derive(Default)]
struct Fake {
    seen: Mutex<Vec<String>>,
}

#[async_trait]
impl Hypervisor for Fake {
    async fn connect_list_all_domains(
        &self,
        _flags: ListAllDomainsFlags,
    ) -> virt_api::Result<Vec<ListedDomain>> {
        let named = |name: &str, uuid: u128| {
            let uuid = uuid::Uuid::from_u128(uuid);
            let domain = Domain { name: name.to_owned(), uuid, id: None };
            ListedDomain::new(domain, virt_api::DomainState::Shutoff)
        };
        Ok(vec![named("a", 1), named("", 2), named("c", 0), named("d", 4)])
    }

    async fn domain_get_memory_parameters(
        &self,
        _domain: &Domain,
        flags: DomainModificationFlags,
    ) -> virt_api::Result<Vec<TypedParam>> {
        assert!(
            (flags - DomainModificationFlags::AFFECT_LIVE).is_empty(),
            "texts are a matter of the wire"
        );
        Ok(vec![TypedParam::new("text", "x"), TypedParam::new("min_guarantee", 7_u64)])
    }
}

#[async_trait]
impl Definitions for Fake {
    async fn domain_get_xml_desc(
        &self,
        domain: &Domain,
        flags: DomainXmlFlags,
    ) -> virt_api::Result<String> {
        self.seen.lock().unwrap().push(format!("{} {:#x}", domain.name, flags.bits()));
        Ok("<domain/>".to_owned())
    }
}

impl Snapshots for Fake {}

fn call_packet<L: Layout>(args: &L::Args) -> Packet {
    client::call::<L>(5, args).unwrap()
}

fn error_of(packet: &Packet) -> Error {
    assert_eq!(packet.header.status, Status::Error);
    let (error, left) = xdr::from_bytes::<WireError>(&packet.payload).unwrap();
    assert_eq!(left, 0);
    error.into_error()
}

/// Enough zeros for the arguments of every procedure.
fn zeros(procedure: Procedure) -> Packet {
    Packet::new(Header::call(procedure, 1), vec![0; 256])
}

#[test]
fn every_procedure_of_the_table_has_a_handler() {
    struct Nothing;
    impl Driver for Nothing {
        fn hypervisor(&self) -> &dyn Hypervisor {
            &Unsupported
        }
    }
    let mut of_the_session = Vec::new();
    for &procedure in Procedure::ALL {
        let reply = now(dispatch(&Nothing, false, &zeros(procedure))).reply;
        assert_eq!(reply.header.kind, PacketType::Reply);
        if reply.header.status == Status::Ok {
            assert!(
                matches!(
                    procedure,
                    Procedure::ConnectGetLibVersion
                        | Procedure::ConnectSetIdentity
                        // The documents of no snapshots.
                        | Procedure::OwnSnapshotsGetXmlDesc
                ),
                "{procedure:?}"
            );
            continue;
        }
        let error = error_of(&reply);
        match error.code {
            ErrorCode::NoSupport => {}
            // A new name is missing.
            ErrorCode::InvalidArg => assert_eq!(procedure, Procedure::DomainRename),
            _ => of_the_session.push(procedure.number()),
        }
    }
    assert_eq!(
        of_the_session,
        [
            1, 2, 60, 66, 67, 68, 69, 70, 360, 361, 105, 106, 167, 168, 313, 314, 316, 317, 368,
            369, 374, 375
        ]
    );
}

#[test]
fn a_read_only_connection_refuses_by_number_and_by_flags() {
    let fake = Fake::default();
    let mut refused = Vec::new();
    for &procedure in Procedure::ALL {
        let reply = now(dispatch(&fake, true, &zeros(procedure))).reply;
        if reply.header.status == Status::Error
            && error_of(&reply).code == ErrorCode::OperationDenied
        {
            refused.push(procedure.number());
        }
    }
    refused.sort_unstable();
    assert_eq!(
        refused,
        [
            8, 9, 10, 11, 12, 13, 27, 28, 29, 30, 31, 32, 33, 34, 35, 41, 48, 49, 58, 61, 62, 63,
            77, 83, 90, 93, 94, 125, 135, 136, 160, 161, 164, 165, 174, 185, 192, 193, 196, 197,
            199, 201, 204, 208, 209, 211, 219, 231, 234, 245, 258, 259, 260, 264, 277, 342, 350,
            358, 432, 1_000_012
        ]
    );
    fake.seen.lock().unwrap().clear();
    let xml = |flags| call_packet::<call::DomainGetXmlDesc>(&(no_domain(), flags));
    let secure = now(dispatch(&fake, true, &xml(DomainXmlFlags::SECURE))).reply;
    assert_eq!(
        error_of(&secure).message,
        "operation forbidden: operation virDomainGetXMLDesc forbidden for read only access"
    );
    assert!(fake.seen.lock().unwrap().is_empty(), "refused before the driver was asked");
    let plain = now(dispatch(&fake, true, &xml(DomainXmlFlags::INACTIVE))).reply;
    assert_eq!(client::reply::<call::DomainGetXmlDesc>(&plain).unwrap(), "<domain/>");
}

#[test]
fn lists_tell_their_number_and_leave_out_what_cannot_be_used() {
    let fake = Fake::default();
    let list = |wanted| {
        let args = (wanted, ListAllDomainsFlags::empty());
        let packet = call_packet::<call::ConnectListAllDomains>(&args);
        client::reply::<call::ConnectListAllDomains>(&now(dispatch(&fake, false, &packet)).reply)
            .unwrap()
    };
    let (domains, total) = list(true);
    let names: Vec<_> = domains.0.into_iter().map(|domain| domain.name).collect();
    assert_eq!((names, total), (vec!["a".to_owned(), "c".to_owned(), "d".to_owned()], 3));
    assert_eq!(list(false), (Vec::new().into(), 3));
    let many = vec![0_i32; MAX_LIST + 1];
    let message = listed(true, many).unwrap_err().message;
    assert!(message.contains("name a datacenter"), "{message}");
}

#[test]
fn parameters_are_counted_cut_and_freed_of_texts() {
    let fake = Fake::default();
    let ask = |max, texts: u32| {
        let flags = DomainModificationFlags::from_bits_retain(1 | texts);
        let packet =
            call_packet::<call::DomainGetMemoryParameters>(&(no_domain(), Max(max), flags));
        let reply = now(dispatch(&fake, false, &packet)).reply;
        let (params, count) = client::reply::<call::DomainGetMemoryParameters>(&reply).unwrap();
        (params.0.into_iter().map(|param| param.name).collect::<Vec<_>>().join(" "), count.0)
    };
    assert_eq!(ask(0, 0), (String::new(), 1));
    assert_eq!(ask(0, 4), (String::new(), 2));
    assert_eq!(ask(16, 0), ("min_guarantee".to_owned(), 0));
    assert_eq!(ask(16, 4), ("text min_guarantee".to_owned(), 0));
    assert_eq!(ask(1, 4), ("text".to_owned(), 0));
}

#[test]
fn what_cannot_be_read_is_an_answer_too() {
    let fake = Fake::default();
    let header = |number| Header::remote(number, PacketType::Call, 9, Status::Ok);
    let short = now(dispatch(&fake, false, &Packet::new(header(14), vec![0; 10]))).reply;
    assert_eq!(short.header.serial, 9);
    assert_eq!(error_of(&short).code, ErrorCode::Rpc);
    let unknown = now(dispatch(&fake, false, &Packet::new(header(9999), Vec::new()))).reply;
    assert!(error_of(&unknown).message.starts_with("unknown procedure"));
    let known = now(dispatch(&fake, false, &Packet::new(header(163), Vec::new()))).reply;
    let error = error_of(&known);
    assert_eq!(error.code, ErrorCode::NoSupport);
    assert!(error.message.ends_with("virDomainGetJobInfo"));
    // More than the arguments is taken, as upstream does.
    let mut packet = call_packet::<call::DomainGetXmlDesc>(&(no_domain(), DomainXmlFlags::empty()));
    packet.payload = [&packet.payload[..], &[1, 2, 3, 4]].concat().into();
    assert_eq!(now(dispatch(&fake, false, &packet)).reply.header.status, Status::Ok);
}
