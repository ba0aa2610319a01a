//! Bytes of a client are cut into the same packets however they arrive, and what is read is written alike.
#![no_main]

use libfuzzer_sys::fuzz_target;
use virt_rpc::frame::{FrameDecoder, Packet};

/// The packets, given in parts of `size` bytes, and whether the bytes were good to the end.
fn packets(bytes: &[u8], size: usize) -> (Vec<Packet>, bool) {
    let mut decoder = FrameDecoder::default();
    let mut packets = Vec::new();
    for part in bytes.chunks(size) {
        decoder.push(part);
        loop {
            match decoder.next_packet() {
                Ok(Some(packet)) => packets.push(packet),
                Ok(None) => break,
                Err(_) => return (packets, false),
            }
        }
    }
    (packets, true)
}

fuzz_target!(|bytes: &[u8]| {
    let (whole, good) = packets(bytes, usize::MAX);
    assert_eq!(packets(bytes, 7), (whole.clone(), good));
    let written: Vec<u8> =
        whole.iter().flat_map(|packet| packet.to_bytes().expect("it came in one")).collect();
    assert!(bytes.starts_with(&written));
});
