//! Any bytes convert or fail cleanly, in both modes, and what default mode prints can be read back.
#![no_main]

use esx_vmx::Document;
use esx_vmx_domain::{Context, Datastore, Mode, to_domain};
use libfuzzer_sys::fuzz_target;
use virt_xml::{Domain, Element, FormatOptions};

fuzz_target!(|bytes: &[u8]| {
    let Ok(document) = Document::parse(bytes) else { return };
    let datastore = Datastore { name: "ds".into(), mount_path: "/vmfs/volumes/ds".into() };
    let options = FormatOptions { secure: true, ..FormatOptions::default() };
    for mode in [Mode::Exact, Mode::Default] {
        let context = Context { mode, datastores: vec![datastore.clone()], ..Context::default() };
        let Ok(conversion) = to_domain(&document, &context) else { continue };
        assert!(mode == Mode::Default || conversion.warnings.is_empty());
        let xml = conversion.domain.to_xml(&options);
        // Characters that XML cannot have, empty names and networks without one reach libvirt's text as well.
        let readable = Element::parse(&xml).is_ok() && !xml.contains("<source bridge=''/>");
        let named = conversion.domain.name.as_ref().is_some_and(|name| !name.is_empty());
        if mode == Mode::Default && readable && named {
            let again = Domain::parse(&xml);
            assert!(again.is_ok(), "{again:?}\n{xml}");
        }
    }
});
