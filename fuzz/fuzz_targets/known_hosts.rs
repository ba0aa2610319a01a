//! Any text is a known-hosts file; a pin that is set is found again, and no other server's line changes by it.
#![no_main]

use esx_driver::KnownHosts;
use libfuzzer_sys::fuzz_target;

const THUMBPRINT: &str = "00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33";

fuzz_target!(|text: &str| {
    let mut known = KnownHosts::parse(text);
    let before = format!("{:?}", known.pin("::1", 8443));
    let _ = known.pin("esx1", 443).map_err(|error| error.to_string());
    known.set("esx1", 443, THUMBPRINT);
    assert!(matches!(known.pin("esx1", 443), Ok(Some(_))));
    assert_eq!(format!("{:?}", known.pin("::1", 8443)), before);
    let again = KnownHosts::parse(&known.to_text());
    assert_eq!(again.to_text(), known.to_text());
});
