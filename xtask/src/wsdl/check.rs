//! `cargo xtask wsdl check`: xmllint's word on what the codec writes.
//!
//! The samples come from the example `samples` of esx-vi-api, as a child process: xtask imports none
//! of our crates. That the typed codec writes the same is a test of that crate.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use crate::codegen::root;

/// The snapshots and whether samples of all data types are held against them, too.
const SNAPSHOTS: [(&str, &str); 5] =
    [("2.5", "2.5"), ("4.0", "4.0"), ("4.1", "4.1"), ("6.7", "6.7"), ("8.0", "8.0.2.0")];

/// Declares what the samples stand in: one element around anything that the schema declares, and
/// one around any data type, whose `xsi:type` xmllint then follows.
const WRAPPER: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<schema targetNamespace="urn:vim25" xmlns="http://www.w3.org/2001/XMLSchema" elementFormDefault="qualified">
  <include schemaLocation="elements.xsd"/>
  <element name="sample" type="anyType"/>
  <element name="samples"><complexType><sequence>
    <any namespace="urn:vim25" processContents="strict" minOccurs="1" maxOccurs="unbounded"/>
  </sequence></complexType></element>
</schema>
"#;

/// Runs all checks.
pub(super) fn run() -> Result<()> {
    for (snapshot, version) in SNAPSHOTS {
        let folder = tempfile::tempdir()?;
        prepare(&root().join("testdata/wsdl").join(snapshot), folder.path())?;
        let mut samples = vec![vec!["requests", version]];
        if snapshot == "8.0" {
            samples.push(vec!["data"]);
        }
        for args in samples {
            let (text, left_out) = known(&sample(&args)?, folder.path())?;
            let count = text.lines().count().saturating_sub(2);
            ensure!(count > 200, "only {count} samples for {args:?}");
            lint(folder.path(), &text)
                .with_context(|| format!("{} against {snapshot}", args.join(" ")))?;
            println!("{snapshot}: {count} samples ({}) are valid", args.join(" "));
            if !left_out.is_empty() {
                // Their mark of age is wrong in the metadata; none is in the root list, which a test
                // of esx-vi-api holds against every snapshot.
                println!(
                    "{snapshot}: not in this snapshot, against their mark: {}",
                    left_out.join(", ")
                );
            }
        }
    }
    Ok(())
}

/// Copies the XSDs and takes the schema of the elements out of the WSDL, where xmllint cannot see it.
fn prepare(snapshot: &Path, folder: &Path) -> Result<()> {
    for entry in std::fs::read_dir(snapshot)? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "xsd") {
            std::fs::copy(&path, folder.join(path.file_name().unwrap_or_default()))?;
        }
    }
    let wsdl = std::fs::read_to_string(snapshot.join("vim.wsdl"))?;
    let document = roxmltree::Document::parse(&wsdl)?;
    let schema = document
        .descendants()
        .find(|n| n.has_tag_name(("http://www.w3.org/2001/XMLSchema", "schema")))
        .context("no schema in vim.wsdl")?;
    std::fs::write(folder.join("elements.xsd"), &wsdl[schema.range()])?;
    std::fs::write(folder.join("wrapper.xsd"), WRAPPER)?;
    Ok(())
}

/// The samples whose element the snapshot declares, and the names of the others.
fn known(text: &str, folder: &Path) -> Result<(String, Vec<String>)> {
    let elements = std::fs::read_to_string(folder.join("elements.xsd"))?;
    let mut kept = String::new();
    let mut left_out = Vec::new();
    for line in text.lines() {
        let name = line.trim_start_matches(['<', '/']).split([' ', '>']).next().unwrap_or_default();
        if name.starts_with("sample") || elements.contains(&format!("<element name=\"{name}\"")) {
            kept.push_str(line);
            kept.push('\n');
        } else {
            left_out.push(name.to_owned());
        }
    }
    ensure!(left_out.len() < 20, "{} methods are not in the snapshot", left_out.len());
    Ok((kept, left_out))
}

fn sample(args: &[&str]) -> Result<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root()).args([
        "run",
        "--quiet",
        "-p",
        "esx-vi-api",
        "--example",
        "samples",
        "--",
    ]);
    let output = command.args(args).output().context("cannot run cargo")?;
    if !output.status.success() {
        bail!("cannot make samples: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8(output.stdout)?)
}

fn lint(folder: &Path, text: &str) -> Result<()> {
    let file = folder.join("samples.xml");
    std::fs::write(&file, text)?;
    let output = Command::new("xmllint")
        .args(["--noout", "--huge", "--schema"])
        .arg(folder.join("wrapper.xsd"))
        .arg(&file)
        .output()
        .context("cannot run xmllint (Debian: libxml2-utils)")?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let first: Vec<_> = said.lines().filter(|l| l.contains("error")).take(10).collect();
    bail!("xmllint refuses what the codec wrote:\n{}", first.join("\n"))
}
