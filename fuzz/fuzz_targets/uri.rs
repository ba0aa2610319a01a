//! Any text is a connection URI or a mistake; the URI that is reported of a connection is the same one.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| esx_driver::fuzzing::uri(text));
