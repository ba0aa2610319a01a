//! Any bytes are a credentials file or an error with a line of it.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| esx_driver::fuzzing::auth_file(bytes));
