//! Converts every `*.vmx` and `*.xml` of a folder, each to `NAME.ours` beside it: what `cargo xtask interop vmx`
//! holds against libvirt.
//!
//! usage: convert exact|default HARDWARE-VERSION FOLDER [DATASTORE=MOUNTPATH]...
//!
//! A result starts with a line `ok`, or is a line `error CODE DOMAIN` and one with the reason.

#![allow(clippy::disallowed_methods, reason = "a program reads its arguments and files")]

use std::path::Path;
use std::{env, fs};

use esx_vmx::Document;
use esx_vmx_domain::{Context, Datastore, Error, Mode, parse_domain, to_domain, to_vmx};
use virt_xml::FormatOptions;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = env::args().skip(1);
    let mut next = || arguments.next().ok_or("usage: convert MODE HARDWARE-VERSION FOLDER ...");
    let mode = if next()? == "exact" { Mode::Exact } else { Mode::Default };
    let hardware_version = next()?.parse()?;
    let folder = next()?;
    let mut context = Context { mode, hardware_version, ..Context::default() };
    for argument in arguments {
        let (name, mount_path) = argument.split_once('=').ok_or("not NAME=MOUNTPATH")?;
        context
            .datastores
            .push(Datastore { name: name.to_owned(), mount_path: mount_path.to_owned() });
    }
    for file in fs::read_dir(folder)? {
        let path = file?.path();
        let result = match path.extension().and_then(|e| e.to_str()) {
            Some("vmx") => from_vmx(&fs::read(&path)?, &context),
            Some("xml") => from_xml(&fs::read_to_string(&path)?, &context),
            _ => continue,
        };
        let text = match result {
            Ok(bytes) => [b"ok\n".as_slice(), &bytes].concat(),
            Err(error) => {
                let (code, domain) = (error.code.number(), error.domain.number());
                format!("error {code} {domain}\n{error}\n").into_bytes()
            }
        };
        fs::write(ours(&path), text)?;
    }
    Ok(())
}

fn ours(path: &Path) -> std::path::PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".ours");
    name.into()
}

fn from_vmx(bytes: &[u8], context: &Context) -> Result<Vec<u8>, Error> {
    let conversion = to_domain(&Document::parse(bytes)?, context)?;
    Ok(conversion.domain.to_xml(&FormatOptions::default()).into_bytes())
}

fn from_xml(text: &str, context: &Context) -> Result<Vec<u8>, Error> {
    let domain = parse_domain(text, context)?;
    Ok(to_vmx(&domain, context)?.document.to_bytes())
}
