//! Layouts byte by byte, as the tables of the specification have them.

use super::*;
use crate::xdr::{from_bytes, to_bytes};

fn check<T: Xdr + PartialEq + std::fmt::Debug>(value: &T, parts: &[&[u8]]) {
    let bytes = to_bytes(value).unwrap();
    assert_eq!(bytes, parts.concat(), "{value:?}");
    assert!(bytes.len() >= T::MIN_BYTES, "{value:?}");
    assert_eq!(from_bytes::<T>(&bytes).as_ref(), Ok(&(from_bytes::<T>(&bytes).unwrap().0, 0)));
    assert_eq!(&from_bytes::<T>(&bytes).unwrap().0, value);
}

const UUID: [u8; 16] = [0x42, 0x1c, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13];

fn domain(id: Option<i32>) -> Domain {
    Domain { name: "web01".to_owned(), uuid: Uuid::from_bytes(UUID), id }
}

#[test]
fn handles() {
    let name: &[u8] = b"\0\0\0\x05web01\0\0\0";
    check(&domain(Some(3)), &[name, &UUID, &[0, 0, 0, 3]]);
    check(&domain(None), &[name, &UUID, &[255; 4]]);
    let uuid = Uuid::from_bytes(UUID);
    check(&NetworkHandle { name: "web01".to_owned(), uuid }, &[name, &UUID]);
    check(&StoragePool { name: "web01".to_owned(), uuid }, &[name, &UUID]);
    check(
        &StorageVol { pool: "p".to_owned(), name: "d/v".to_owned(), key: String::new() },
        &[b"\0\0\0\x01p\0\0\0", b"\0\0\0\x03d/v\0", &[0; 4]],
    );
    check(
        &InterfaceHandle { name: "vmk0".to_owned(), mac: "00".to_owned() },
        &[b"\0\0\0\x04vmk0", b"\0\0\0\x0200\0\0"],
    );
    // The name comes first, then the whole domain.
    check(
        &Snapshot { domain: domain(None), name: "s".to_owned() },
        &[b"\0\0\0\x01s\0\0\0", name, &UUID, &[255; 4]],
    );
    check(&NodeDevice { name: "pci".to_owned() }, &[b"\0\0\0\x03pci\0"]);
}

#[test]
fn facts_about_a_domain_are_widened() {
    let info = DomainInfo {
        state: DomainState::Running,
        max_memory_kib: 4096,
        memory_kib: 2048,
        vcpus: 3,
        cpu_time_ns: 9,
    };
    check(
        &info,
        &[
            &[0, 0, 0, 1],
            &4096_u64.to_be_bytes(),
            &2048_u64.to_be_bytes(),
            &[0, 0, 0, 3],
            &9_u64.to_be_bytes(),
        ],
    );
    check(
        &StateAndReason(DomainState::Shutoff, DomainStateReason(1)),
        &[&[0, 0, 0, 5, 0, 0, 0, 1]],
    );
    assert_eq!(
        to_bytes(&DomainInfo { vcpus: 70_000, ..info }).unwrap()[20..24],
        [0, 0, 255, 255],
        "what does not fit is the largest that does"
    );
}

#[test]
fn the_cpu_model_takes_128_bytes() {
    let node = NodeInfo {
        model: "Intel".to_owned(),
        memory_kib: 1,
        cpus: 2,
        mhz: 3,
        nodes: 4,
        sockets: 5,
        cores: 6,
        threads: 7,
    };
    let bytes = to_bytes(&node).unwrap();
    assert_eq!(bytes.len(), 128 + 8 + 6 * 4);
    assert_eq!(bytes[..24], *b"\0\0\0I\0\0\0n\0\0\0t\0\0\0e\0\0\0l\0\0\0\0");
    assert_eq!(bytes[128..140], [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2]);
    assert_eq!(from_bytes::<NodeInfo>(&bytes), Ok((node.clone(), 0)));
    // A longer one is cut between characters.
    let long = NodeInfo { model: format!("{}é", "x".repeat(30)), ..node };
    let (read, _) = from_bytes::<NodeInfo>(&to_bytes(&long).unwrap()).unwrap();
    assert_eq!(read.model, "x".repeat(30));
}

#[test]
fn parameters_of_every_type() {
    for (value, kind, bytes) in [
        (TypedValue::Int(-1), 1_u8, &[255, 255, 255, 255][..]),
        (TypedValue::UInt(7), 2, &[0, 0, 0, 7]),
        (TypedValue::LLong(-1), 3, &[255; 8]),
        (TypedValue::ULLong(1), 4, &[0, 0, 0, 0, 0, 0, 0, 1]),
        (TypedValue::Double(1.0), 5, &[0x3f, 0xf0, 0, 0, 0, 0, 0, 0]),
        (TypedValue::Boolean(true), 6, &[0, 0, 0, 1]),
        (TypedValue::String("ab".to_owned()), 7, b"\0\0\0\x02ab\0\0"),
    ] {
        let param = TypedParam { name: "x".to_owned(), value };
        check(&param, &[b"\0\0\0\x01x\0\0\0", &[0, 0, 0, kind], bytes]);
    }
    let unknown = b"\0\0\0\x01x\0\0\0\0\0\0\x08\0\0\0\0";
    assert_eq!(
        from_bytes::<TypedParam>(unknown),
        Err(XdrError::BadValue { what: "type of a parameter", value: 8 })
    );
    let long = TypedParam::new("n".repeat(80), 1_i32);
    assert_eq!(to_bytes(&long), Err(XdrError::TooLong { len: 80, max: 79 }));
}

#[test]
fn storage_and_guests() {
    check(
        &StoragePoolInfo {
            state: StoragePoolState::Running,
            capacity: 3,
            allocation: 2,
            available: 1,
        },
        &[&[0, 0, 0, 2], &3_u64.to_be_bytes(), &2_u64.to_be_bytes(), &1_u64.to_be_bytes()],
    );
    check(
        &StorageVolInfo { kind: StorageVolType::Dir, capacity: 3, allocation: 2 },
        &[&[0, 0, 0, 2], &3_u64.to_be_bytes(), &2_u64.to_be_bytes()],
    );
    let addr = IpAddress { kind: IpAddressType::Ipv6, addr: "::1".to_owned(), prefix: 64 };
    check(
        &DomainInterface { name: "n".to_owned(), hwaddr: None, addrs: vec![addr] },
        &[
            b"\0\0\0\x01n\0\0\0",
            &[0; 4],
            &[0, 0, 0, 1, 0, 0, 0, 1],
            b"\0\0\0\x03::1\0",
            &[0, 0, 0, 64],
        ],
    );
    check(
        &DomainStats { domain: domain(Some(1)), params: vec![TypedParam::new("a", 1_i32)] },
        &[
            b"\0\0\0\x05web01\0\0\0",
            &UUID,
            &[0, 0, 0, 1, 0, 0, 0, 1],
            b"\0\0\0\x01a\0\0\0\0\0\0\x01\0\0\0\x01",
        ],
    );
}

#[test]
fn flags_keep_unknown_bits_and_migration_has_eight_bytes() {
    check(&DomainXmlFlags::from_bits_retain(0x8000_0001), &[&[0x80, 0, 0, 1]]);
    check(&MigrateFlags::LIVE, &[&[0, 0, 0, 0, 0, 0, 0, 1]]);
    assert!(from_bytes::<MigrateFlags>(&[0, 0, 0, 1, 0, 0, 0, 0]).is_err());
    assert!(from_bytes::<InterfaceAddressesSource>(&[0, 0, 0, 3]).is_err());
    check(&Count(7), &[&[0, 0, 0, 7]]);
    assert!(from_bytes::<Count>(&[255; 4]).is_err());
}
