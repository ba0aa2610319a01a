//! Prints documents that xmllint holds against a snapshot's XSD, for `cargo xtask wsdl check`.
//!
//! usage: `samples data` for objects of every data type that has a struct (written as API 8.0), or
//! `samples requests VERSION` for a request of every listed method, all members set, as a host of
//! that version gets them. One sample a line, so that xmllint's line numbers say which.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "a program talks to its terminal")]
#![allow(dead_code, reason = "the tests use more of the samples than this program")]

#[path = "../src/tests/samples.rs"]
mod samples;

use esx_vi_api::{ApiVersion, MoRef, Writer, schema, soap};

use samples::Samples;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    println!(
        "<samples xmlns=\"urn:vim25\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\">"
    );
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["data"] => data(),
        ["requests", version] => requests(ApiVersion::parse(version).expect("a version")),
        _ => panic!("see the head of this file"),
    }
    println!("</samples>");
}

/// A sampler that sets all members and keeps to enumeration values of every age: the first ones.
fn sampler(seed: u64) -> Samples {
    let mut samples = Samples::new(seed);
    samples.full = true;
    samples.one_line = true;
    samples.enum_values = Box::new(|name| {
        let values = schema::enumeration(name)?.values;
        Some(values.iter().take(1).map(|v| (*v).to_owned()).collect())
    });
    samples
}

fn data() {
    for (number, data) in schema::data_types().enumerate() {
        let object = sampler(number as u64).object(data.name, 0);
        let mut writer = Writer::new(ApiVersion::new(8, 0, 2, 0));
        writer.value("sample", &object);
        println!("{}", writer.finish().0);
    }
}

fn requests(version: ApiVersion) {
    let methods = schema::managed_types().flat_map(|class| class.methods);
    for (number, method) in methods.filter(|m| m.since <= version).enumerate() {
        let args = sampler(number as u64).arguments(method.name);
        let encoded = soap::encode_request(method.name, &MoRef::new("X", "x"), &args, version);
        // A mandatory value whose type the host lacks cannot be sent; xmllint would say so, too.
        if encoded.withheld.iter().any(|w| w.contains(" of type ")) {
            continue;
        }
        let body = encoded.body;
        let body = body.split_once("<soapenv:Body>").map_or("", |(_, rest)| rest);
        println!("{}", body.split_once("</soapenv:Body>").map_or("", |(body, _)| body));
    }
}
