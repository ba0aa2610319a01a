//! Every scheme undoes its own escapes, and fails cleanly on others.
#![no_main]

use esx_escape::{base64, datastore_item, inventory_path, percent, percent_pipe, pipe, url};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    assert_eq!(percent::unescape(&percent::escape(text)).as_deref(), Ok(text));
    // Everything after an escaped NUL is lost, as in libvirt.
    if !text.contains('\0') {
        assert_eq!(pipe::unescape(&pipe::escape(text)).as_deref(), Ok(text));
        assert_eq!(percent_pipe::unescape(&percent_pipe::escape(text)).as_deref(), Ok(text));
    }
    assert_eq!(base64::decode(&base64::encode(text.as_bytes())).as_deref(), Ok(text.as_bytes()));
    let _ = (percent::unescape(text), pipe::unescape(text), percent_pipe::unescape(text));
    let _ = (base64::decode(text), inventory_path::split(text), datastore_item::escape(text));
    let _ = (url::encode(text), url::encode_twice(text));
});
