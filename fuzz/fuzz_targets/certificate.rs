//! Any bytes are shown as a certificate or as none, and any text is a thumbprint or none.
#![no_main]

use esx_vi_client::{Certificate, Thumbprint};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = format!("{:?}", Certificate::read(bytes));
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(thumbprint) = Thumbprint::parse(text) {
        assert_eq!(Thumbprint::parse(&thumbprint.to_string()).as_ref(), Ok(&thumbprint));
    }
});
