//! A reader of stream-optimised disks, written for tests from VMware's "Virtual Disk Format 5.0" alone.

use std::io::Read as _;

use flate2::read::ZlibDecoder;

const SECTOR: usize = 512;

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

/// The content of the disk. Every marker is followed, and at the end the tables must tell the same.
pub(crate) fn decode(bytes: &[u8]) -> Vec<u8> {
    assert_eq!(&bytes[..4], b"KDMV");
    assert_eq!(u32_at(bytes, 8) & 0x3_0000, 0x3_0000, "compressed, with markers");
    let capacity = u64_at(bytes, 12) as usize * SECTOR;
    let grain = u64_at(bytes, 20) as usize * SECTOR;
    let per_table = u32_at(bytes, 44) as usize;
    let descriptor = u64_at(bytes, 28) as usize * SECTOR;
    assert!(bytes[descriptor..].starts_with(b"# Disk DescriptorFile"));
    let mut disk = vec![0; capacity.next_multiple_of(grain)];
    let mut grains = Vec::new();
    let mut directory = 0;
    let mut at = u64_at(bytes, 64) as usize * SECTOR;
    loop {
        let (value, size, kind) =
            (u64_at(bytes, at) as usize, u32_at(bytes, at + 8) as usize, u32_at(bytes, at + 12));
        if size > 0 {
            let mut plain = Vec::new();
            ZlibDecoder::new(&bytes[at + 12..at + 12 + size]).read_to_end(&mut plain).unwrap();
            assert_eq!(plain.len(), grain);
            disk[value * SECTOR..value * SECTOR + grain].copy_from_slice(&plain);
            grains.push((value * SECTOR / grain, at / SECTOR));
            at += (12 + size).next_multiple_of(SECTOR);
            continue;
        }
        at += SECTOR;
        match kind {
            0 => break,
            3 => {
                assert_eq!(&bytes[at..at + 4], b"KDMV");
                directory = u64_at(bytes, at + 56) as usize * SECTOR;
            }
            1 | 2 => {}
            _ => panic!("marker {kind}"),
        }
        at += value * SECTOR;
    }
    assert_eq!(at, bytes.len(), "the end mark is at the end");
    let mut told = Vec::new();
    for number in 0..disk.len() / grain {
        let table = u32_at(bytes, directory + number / per_table * 4) as usize * SECTOR;
        let place = if table == 0 { 0 } else { u32_at(bytes, table + number % per_table * 4) };
        if place > 0 {
            told.push((number, place as usize));
        }
    }
    assert_eq!(told, grains);
    disk.truncate(capacity);
    disk
}
