//! Any headers of a reply for a file: ranges that are ranges, cookies that can be sent back and kept.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| esx_vi_client::fuzzing::reply_head(bytes));
