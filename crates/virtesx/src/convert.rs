//! VMX files to domain XML and back without any host: the only place that names the converter.

use std::hash::{BuildHasher, Hasher, RandomState};

use esx_vmx_domain::{Context, Mode, Warning};
use virt_api::{Error, ErrorCode, ErrorDomain};
use virt_xml::FormatOptions;

/// A converted text and what got lost on the way.
pub(crate) struct Converted {
    /// The text.
    pub(crate) text: String,
    /// What was bent, one line each.
    pub(crate) warnings: Vec<String>,
}

/// A VMX file as domain XML: inactive, without passwords, file names under `[?] ?` (domain.md 11.2).
///
/// # Errors
/// What is wrong with the file, in libvirt's numbers.
pub(crate) fn vmx_to_xml(vmx: &[u8], exact: bool) -> Result<Converted, Error> {
    let document = esx_vmx::Document::parse(vmx).map_err(|error| error_of(error.into()))?;
    let conversion = esx_vmx_domain::to_domain(&document, &context(exact)).map_err(error_of)?;
    let options = FormatOptions { inactive: true, ..FormatOptions::default() };
    Ok(Converted {
        text: conversion.domain.to_xml(&options),
        warnings: lines(&conversion.warnings),
    })
}

/// Domain XML as a VMX file, for a host with no datastores and libvirt's choice of hardware version for ESX 8.
///
/// # Errors
/// What is wrong with the document, in libvirt's numbers.
pub(crate) fn xml_to_vmx(xml: &str, exact: bool) -> Result<Converted, Error> {
    let domain = virt_xml::Domain::parse(xml).map_err(|error| error_of(error.into()))?;
    let context = Context { seed: random(), ..context(exact) };
    let conversion = esx_vmx_domain::to_vmx(&domain, &context).map_err(error_of)?;
    let text = String::from_utf8_lossy(&conversion.document.to_bytes()).into_owned();
    Ok(Converted { text, warnings: lines(&conversion.warnings) })
}

fn context(exact: bool) -> Context {
    let mode = if exact { Mode::Exact } else { Mode::Default };
    Context { mode, ..Context::default() }
}

/// A number nobody guesses, for UUIDs and MAC addresses that the document leaves out.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

fn lines(warnings: &[Warning]) -> Vec<String> {
    warnings.iter().map(ToString::to_string).collect()
}

/// The converter's error keeps its code and domain.
fn error_of(error: esx_vmx_domain::Error) -> Error {
    let number = |number: i32| u32::try_from(number).ok();
    let code = number(error.code.number())
        .and_then(ErrorCode::from_number)
        .unwrap_or(ErrorCode::InternalError);
    let domain = number(error.domain.number())
        .and_then(ErrorDomain::from_number)
        .unwrap_or(ErrorDomain::None);
    Error::new(code, domain, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::{vmx_to_xml, xml_to_vmx};

    const FILE: &[u8] = b"config.version = \"8\"\r\nvirtualHW.version = \"13\"\r\ndisplayName = \"web01\"\r\n\
        memsize = \"64\"\r\nguestOS = \"other-64\"\r\nscsi0.present = \"TRUE\"\r\nscsi0:0.present = \"TRUE\"\r\n\
        scsi0:0.fileName = \"web01.vmdk\"\r\nRemoteDisplay.vnc.enabled = \"TRUE\"\r\n\
        RemoteDisplay.vnc.password = \"secret\"\r\n";

    #[test]
    fn files_convert_without_a_host() {
        for exact in [false, true] {
            let converted = vmx_to_xml(FILE, exact).unwrap();
            assert!(converted.text.contains("<name>web01</name>"), "{}", converted.text);
            assert!(
                converted.text.contains("<source file='[?] ?/web01.vmdk'/>"),
                "{}",
                converted.text
            );
            assert!(!converted.text.contains("secret"), "{}", converted.text);
        }
    }

    #[test]
    fn and_back() {
        for exact in [false, true] {
            let xml = "<domain type='vmware'><name>web01</name><memory unit='MiB'>64</memory>\
                       <os><type arch='x86_64'>hvm</type></os></domain>";
            let converted = xml_to_vmx(xml, exact).unwrap();
            assert!(converted.text.contains("displayName = \"web01\"\n"), "{}", converted.text);
            let error =
                xml_to_vmx("<domain type='kvm'><name>x</name></domain>", exact).err().unwrap();
            assert!(!error.to_string().is_empty());
        }
    }

    #[test]
    fn what_is_not_a_vmx_file_is_refused() {
        for exact in [false, true] {
            let error = vmx_to_xml(b"<html></html>", exact).err().unwrap();
            assert!(!error.to_string().is_empty());
        }
    }
}
