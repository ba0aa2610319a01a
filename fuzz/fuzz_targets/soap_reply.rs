//! Any reply of a host decodes or fails cleanly.
#![no_main]

use esx_vi_api::{properties, soap};
use libfuzzer_sys::fuzz_target;

const METHODS: [&str; 6] = [
    "RetrieveServiceContent",
    "Login",
    "RetrievePropertiesEx",
    "WaitForUpdatesEx",
    "PowerOnVM_Task",
    "FindByUuid",
];

fuzz_target!(|bytes: &[u8]| {
    let _ = properties::decode_page("RetrievePropertiesEx", bytes);
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for method in METHODS {
        let _ = soap::decode_response(method, text);
    }
});
