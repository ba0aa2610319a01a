//! Any bytes are a complete stream-optimised disk or not, however they are cut into pieces; what has been seen of a disk is
//! never more than the disk.
#![no_main]

use esx_vmx::vmdk::StreamCheck;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u16, &[u8])| {
    let (piece, bytes) = input;
    let look = |piece: usize| {
        let mut check = StreamCheck::new();
        for piece in bytes.chunks(piece) {
            check.push(piece)?;
            assert!(check.position_bytes() <= check.capacity_bytes().unwrap_or(0));
        }
        check.finish()
    };
    assert_eq!(look(usize::from(piece).max(1)), look(usize::MAX));
});
