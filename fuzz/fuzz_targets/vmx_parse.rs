//! Any bytes are a document that keeps them; what is set is found, and taken away leaves no trace.
#![no_main]

use esx_vmx::Document;
use libfuzzer_sys::fuzz_target;

const NEW: &str = "scsi0:1.fuzzed";

fuzz_target!(|bytes: &[u8]| {
    let Ok(mut document) = Document::parse(bytes) else { return };
    assert_eq!(document.to_bytes(), bytes);
    let devices = document.devices();
    for entry in document.entries() {
        let cut = entry.key.find('.').map_or(entry.key.len(), |dot| dot + 1);
        let (device, name) = entry.key.split_at(cut);
        assert_eq!(devices.device(device).get(name), document.get(entry.key));
    }
    if !document.contains(NEW) {
        document.set(NEW, "value").expect("a plain key and value");
        assert_eq!(document.get(NEW), Some("value"));
        let again = Document::parse(&document.to_bytes()).expect("the same encoding");
        assert_eq!(again.get(NEW), Some("value"));
        assert!(document.remove(NEW));
    }
    assert_eq!(document.to_bytes(), bytes);
});
