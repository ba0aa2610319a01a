//! How fast VMX files are read and converted: `cargo bench -p esx-vmx-domain`.
//!
//! The file is the biggest of the crafted vectors, 64 disks on one controller.

#![allow(
    clippy::disallowed_methods,
    reason = "a benchmark reads its input; the crate reads no files"
)]

use std::fs;

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use esx_vmx::Document;
use esx_vmx_domain::{Context, Mode, parse_domain, to_domain, to_vmx};
use virt_xml::FormatOptions;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/vmx/crafted");

fn main() {
    divan::main();
}

fn file(name: &str) -> Vec<u8> {
    fs::read(format!("{FOLDER}/{name}")).expect("the vectors are part of the repository")
}

fn xml_of(file: &[u8], context: &Context) -> String {
    let document = Document::parse(file).expect("a known encoding");
    let conversion = to_domain(&document, context).expect("a file that converts");
    conversion.domain.to_xml(&FormatOptions::default())
}

/// Bytes to document.
#[divan::bench]
fn parse(bencher: Bencher<'_, '_>) {
    let file = file("scsi-hw13-full.vmx");
    let size = BytesCount::of_slice(&file);
    bencher.counter(size).bench_local(|| Document::parse(black_box(&file)));
}

/// Bytes to the text of a domain document.
#[divan::bench(args = [Mode::Exact, Mode::Default])]
fn vmx_to_xml(bencher: Bencher<'_, '_>, mode: Mode) {
    let file = file("scsi-hw13-full.vmx");
    let context = Context { mode, ..Context::default() };
    let size = BytesCount::of_slice(&file);
    bencher.counter(size).bench_local(|| xml_of(black_box(&file), &context));
}

/// Document to domain.
#[divan::bench]
fn vmx_to_domain(bencher: Bencher<'_, '_>) {
    let document = Document::parse(&file("scsi-hw13-full.vmx")).expect("a known encoding");
    let context = Context { mode: Mode::Exact, ..Context::default() };
    bencher.bench_local(|| to_domain(black_box(&document), &context));
}

/// Domain to the text of a domain document.
#[divan::bench]
fn domain_to_xml(bencher: Bencher<'_, '_>) {
    let document = Document::parse(&file("scsi-hw13-full.vmx")).expect("a known encoding");
    let context = Context { mode: Mode::Exact, ..Context::default() };
    let domain = to_domain(&document, &context).expect("a file that converts").domain;
    bencher.bench_local(|| black_box(&domain).to_xml(&FormatOptions::default()));
}

/// The text of a domain document to a domain.
#[divan::bench]
fn xml_to_domain(bencher: Bencher<'_, '_>) {
    let context = Context { hardware_version: 13, ..Context::default() };
    let xml = xml_of(&file("scsi-hw13-full.vmx"), &context);
    bencher
        .counter(BytesCount::of_str(&xml))
        .bench_local(|| parse_domain(black_box(&xml), &context));
}

/// The text of a domain document to bytes.
#[divan::bench]
fn xml_to_vmx(bencher: Bencher<'_, '_>) {
    let context = Context { hardware_version: 13, ..Context::default() };
    let xml = xml_of(&file("scsi-hw13-full.vmx"), &context);
    bencher.counter(BytesCount::of_str(&xml)).bench_local(|| {
        let domain = parse_domain(black_box(&xml), &context).expect("what we wrote ourselves");
        to_vmx(&domain, &context).expect("a domain that converts").document.to_bytes()
    });
}
