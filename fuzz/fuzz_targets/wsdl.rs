//! Any WSDL that the generator can be given is read or refused. `xtask` is a program: its reader is taken in as a file.
#![no_main]
#![allow(dead_code, reason = "the generator uses the rest")]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;

#[path = "../../xtask/src/vi/schema.rs"]
mod schema;

fuzz_target!(|text: &str| {
    // The description of the managed objects, which a WSDL does not have, may follow a zero byte.
    let (wsdl, json) = text.split_once('\0').unwrap_or((text, "{}"));
    let (mut schema, mut requests) = (schema::Schema::default(), BTreeMap::new());
    if schema.read_xsd(wsdl, &mut requests).is_err() {
        return;
    }
    if let Ok(json) = serde_json::from_str(json) {
        let _ = schema.read_json(&json, &requests);
    }
    if schema.check().is_err() {
        return;
    }
    let (types, classes) = (schema.types.keys().cloned(), schema.managed.keys().cloned());
    for name in types.chain(classes).collect::<Vec<_>>() {
        let _ = (schema.flat_members(&name), schema.properties(&name));
        let _ = schema.is_subtype(&name, "MethodFault");
    }
});
