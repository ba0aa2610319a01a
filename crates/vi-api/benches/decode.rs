//! Decoding `config.hardware` of 5 000 machines: `cargo bench -p esx-vi-api`. The same work as a
//! program that also tells memory: `examples/decode.rs`.

#![forbid(unsafe_code)]

mod reply;

use divan::Bencher;
use divan::counter::BytesCount;
use esx_vi_api::data::VirtualHardware;
use esx_vi_api::properties::{Page, decode_page};
use esx_vi_api::soap::{self, Reply};

const MACHINES: usize = 5000;

fn main() {
    divan::main();
}

fn page(body: &str) -> Page {
    match decode_page("RetrievePropertiesEx", body.as_bytes()) {
        Ok(Reply::Result(page)) => page,
        other => panic!("{other:?}"),
    }
}

#[divan::bench(sample_count = 10)]
fn page_only(bencher: Bencher<'_, '_>) {
    let body = reply::reply(MACHINES);
    bencher.counter(BytesCount::of_str(&body)).bench_local(|| page(&body).objects.len());
}

#[divan::bench(sample_count = 10)]
fn page_and_typed_hardware(bencher: Bencher<'_, '_>) {
    let body = reply::reply(MACHINES);
    bencher.counter(BytesCount::of_str(&body)).bench_local(|| -> Vec<VirtualHardware> {
        let page = page(&body);
        let hardware = page.objects.iter().map(|row| row.require("config.hardware"));
        hardware.collect::<Result<_, _>>().expect("typed hardware")
    });
}

#[divan::bench(sample_count = 10)]
fn dynamic(bencher: Bencher<'_, '_>) {
    let body = reply::reply(MACHINES);
    bencher
        .counter(BytesCount::of_str(&body))
        .bench_local(|| soap::decode_response("RetrievePropertiesEx", &body).expect("a reply"));
}
