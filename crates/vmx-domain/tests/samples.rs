//! Files as ESXi 5 to 8, Workstation, Fusion and GSX write them, with what virsh 12.8 makes of them.
//!
//! What they are and how the answers were made: `testdata/vmx/samples/README.md`.

#![allow(clippy::disallowed_methods, reason = "a test reads its samples; the crate reads no files")]

use std::fs;
use std::path::{Path, PathBuf};

use esx_vmx::Document;
use esx_vmx_domain::{Context, Error, Mode, merge_into, to_domain, to_vmx};
use virt_xml::{Domain, FormatOptions};

fn samples() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/vmx/samples");
    let files = fs::read_dir(folder).expect("the samples are part of the repository");
    let paths = files.map(|file| file.expect("a readable folder").path());
    let mut paths: Vec<PathBuf> =
        paths.filter(|p| p.extension().is_some_and(|e| e == "vmx")).collect();
    paths.sort();
    assert!(paths.len() >= 60);
    paths
}

fn document(path: &Path) -> Document {
    Document::parse(&fs::read(path).expect("a readable file")).expect("a known encoding")
}

fn domain(path: &Path, context: &Context) -> Result<Domain, Error> {
    Ok(to_domain(&document(path), context)?.domain)
}

#[test]
fn exact_mode_says_what_virsh_says() {
    let context = Context { mode: Mode::Exact, ..Context::default() };
    for path in samples() {
        let expected = fs::read_to_string(path.with_extension("xml")).ok();
        match domain(&path, &context) {
            Ok(domain) => {
                let xml = domain.to_xml(&FormatOptions::default());
                assert_eq!(Some(xml), expected, "{}", path.display());
            }
            Err(error) => {
                let err = fs::read_to_string(path.with_extension("err")).unwrap_or_default();
                let code = format!("code = {}\n", error.code.number());
                assert_eq!(code, err, "{}: {error}", path.display());
            }
        }
    }
}

/// Nothing is lost on the way to XML, to text, back to a domain and to a file: it converts alike again.
#[test]
fn default_mode_keeps_everything_it_shows() {
    let context = Context { keep_keys: true, ..Context::default() };
    let options = FormatOptions { secure: true, ..FormatOptions::default() };
    for path in samples() {
        let shown = domain(&path, &context).expect("default mode goes on").to_xml(&options);
        let read = Domain::parse(&shown).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert_eq!(read.to_xml(&options), shown, "{}", path.display());
        to_vmx(&read, &context).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    }
}

/// A domain that was only looked at changes no byte of its file.
#[test]
fn merging_what_is_there_changes_nothing() {
    let context = Context::default();
    for path in samples() {
        let before = document(&path);
        let unchanged = domain(&path, &context).expect("default mode goes on");
        let merged = merge_into(&unchanged, &before, &context)
            .unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert_eq!(merged.document.to_bytes(), before.to_bytes(), "{}", path.display());

        let edited = Domain { description: Some("edited \"here\"".to_owned()), ..unchanged };
        let merged = merge_into(&edited, &before, &context).expect("merges as well");
        let mut expected = before.clone();
        expected.set("annotation", "edited |22here|22").expect("a plain value");
        assert_eq!(merged.document.to_bytes(), expected.to_bytes(), "{}", path.display());
    }
}
