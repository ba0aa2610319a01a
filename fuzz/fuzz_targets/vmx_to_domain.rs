//! Any bytes convert or fail cleanly, in both modes; so does reading what was printed, and writing it back into the file.
#![no_main]

use esx_vmx::Document;
use esx_vmx_domain::{Context, Datastore, Mode, merge_into, to_domain};
use libfuzzer_sys::fuzz_target;
use virt_xml::{Domain, FormatOptions};

fuzz_target!(|bytes: &[u8]| {
    let Ok(document) = Document::parse(bytes) else { return };
    let datastore = Datastore { name: "ds".into(), mount_path: "/vmfs/volumes/ds".into() };
    let options = FormatOptions { secure: true, ..FormatOptions::default() };
    for mode in [Mode::Exact, Mode::Default] {
        let keep_keys = mode == Mode::Default && bytes.len() % 2 == 0;
        let context =
            Context { mode, keep_keys, datastores: vec![datastore.clone()], ..Context::default() };
        let Ok(conversion) = to_domain(&document, &context) else { continue };
        assert!(mode == Mode::Default || conversion.warnings.is_empty());
        let xml = conversion.domain.to_xml(&options);
        // It may not be readable: libvirt prints empty names and multicast addresses, too.
        if let Ok(domain) = Domain::parse(&xml) {
            let _ = merge_into(&domain, &document, &context);
        }
    }
});
