//! A document that can be read is written, read and written again alike.
#![no_main]

use libfuzzer_sys::fuzz_target;
use virt_xml::{Domain, Element, FormatOptions};

fuzz_target!(|text: &str| {
    let _ = virt_xml::snapshot::SnapshotRequest::parse(text);
    let _ = Domain::parse_strict(text);
    let Ok(domain) = Domain::parse(text) else { return };
    let options = FormatOptions { secure: true, ..FormatOptions::default() };
    let written = domain.to_xml(&options);
    // Some characters that XML cannot have are written as libvirt writes them.
    if Element::parse(&written).is_ok() {
        let again = Domain::parse(&written).expect("our own document");
        assert_eq!(again.to_xml(&options), written);
    }
});
