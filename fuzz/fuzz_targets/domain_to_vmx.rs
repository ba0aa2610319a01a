//! Any text converts or fails cleanly, in both modes, and default mode writes files that libvirt can read.
#![no_main]

use esx_vmx_domain::{Context, Mode, parse_domain, to_domain, to_vmx};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    for mode in [Mode::Exact, Mode::Default] {
        let context = Context { mode, hardware_version: 13, ..Context::default() };
        let Ok(domain) = parse_domain(text, &context) else { continue };
        let Ok(conversion) = to_vmx(&domain, &context) else { continue };
        if mode == Mode::Default {
            assert_eq!(conversion.document.syntax_error(), None);
            to_domain(&conversion.document, &context).expect("our own file");
        }
    }
});
