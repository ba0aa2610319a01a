//! VMX files to domain XML and back without any host: the only place that names the converter.

use std::hash::{BuildHasher, Hasher, RandomState};

use esx_vmx_domain::{Context, Datastore, Mode, Warning};
use virt_api::{Error, ErrorCode, ErrorDomain};
use virt_xml::{Element, FormatOptions, Node};

/// A converted text and what got lost on the way.
pub(crate) struct Converted {
    /// The text.
    pub(crate) text: String,
    /// What was bent, one line each.
    pub(crate) warnings: Vec<String>,
}

/// What the user says in place of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// libvirt's result to the byte.
    pub(crate) exact: bool,
    /// Names and mount paths of datastores.
    pub(crate) datastores: Vec<(String, String)>,
    /// Where the VMX file is: `[datastore] dir/file.vmx`.
    pub(crate) vmx_path: Option<String>,
    /// Keep keys without a place in domain XML in `<metadata>`.
    pub(crate) keep_keys: bool,
    /// Hardware version of a VMX file to be written.
    pub(crate) hardware_version: Option<u32>,
}

impl Facts {
    fn context(&self) -> Context {
        let known = Context::default();
        let datastore = |(name, mount_path): &(String, String)| Datastore {
            name: name.clone(),
            mount_path: mount_path.clone(),
        };
        Context {
            mode: if self.exact { Mode::Exact } else { Mode::Default },
            datastores: self.datastores.iter().map(datastore).collect(),
            vmx_path: self.vmx_path.clone(),
            keep_keys: self.keep_keys,
            hardware_version: self.hardware_version.unwrap_or(known.hardware_version),
            // What the user says counts more than what the file says of itself.
            newest_kept_hardware: if self.hardware_version.is_some() { 0 } else { u32::MAX },
            ..known
        }
    }
}

/// A VMX file as domain XML: inactive, without passwords. File names that the facts say nothing about are shown under
/// `[?] ?` (domain.md 11.2).
///
/// # Errors
/// What is wrong with the file, in libvirt's numbers.
pub(crate) fn vmx_to_xml(vmx: &[u8], facts: &Facts) -> Result<Converted, Error> {
    let document = esx_vmx::Document::parse(vmx).map_err(|error| error_of(error.into()))?;
    let conversion = esx_vmx_domain::to_domain(&document, &facts.context()).map_err(error_of)?;
    let options = FormatOptions { inactive: true, ..FormatOptions::default() };
    Ok(Converted {
        text: conversion.domain.to_xml(&options),
        warnings: lines(&conversion.warnings),
    })
}

/// Domain XML as a VMX file, unless told otherwise for libvirt's choice of hardware version for ESX 8. Datastores that
/// the facts say nothing about are taken to be mounted at `/vmfs/volumes/NAME`, where every ESX host has them, and a file
/// below `[?] ?`, which is what [`vmx_to_xml`] makes of a bare name, becomes a bare name again.
///
/// # Errors
/// What is wrong with the document, in libvirt's numbers.
pub(crate) fn xml_to_vmx(xml: &str, facts: &Facts) -> Result<Converted, Error> {
    let mut context = facts.context();
    let domain = esx_vmx_domain::parse_domain(xml, &context).map_err(error_of)?;
    let mut names = Vec::new();
    if let Ok(root) = Element::parse(xml) {
        datastore_names(&root, &mut names);
    }
    names.retain(|name| facts.datastores.iter().all(|(known, _)| known != name));
    let mount =
        |name: &String| Datastore { name: name.clone(), mount_path: format!("{MOUNTS}{name}") };
    context.datastores.extend(names.iter().map(mount));
    context.seed = random();
    let conversion = esx_vmx_domain::to_vmx(&domain, &context).map_err(error_of)?;
    let mut document = conversion.document;
    let here = format!("{MOUNTS}{UNKNOWN}/{UNKNOWN}/");
    let bare: Vec<(String, String)> = document
        .entries()
        .filter_map(|entry| {
            Some((entry.key.to_owned(), entry.value.strip_prefix(&here)?.to_owned()))
        })
        .collect();
    for (key, value) in bare {
        document.set(&key, &value).map_err(|error| {
            Error::internal(ErrorDomain::None, format!("cannot write the value of {key}"))
                .with_source(error)
        })?;
    }
    let mut warnings = lines(&conversion.warnings);
    let assumed = names.iter().filter(|name| *name != UNKNOWN);
    warnings.extend(
        assumed.map(|name| format!("datastore '{name}' is taken to be mounted at {MOUNTS}{name}")),
    );
    Ok(Converted { text: String::from_utf8_lossy(&document.to_bytes()).into_owned(), warnings })
}

/// Where ESX hosts mount datastores, also by name.
const MOUNTS: &str = "/vmfs/volumes/";

/// The datastore, and the folder in it, of a file that is in the folder of a VMX file nobody knows the place of.
const UNKNOWN: &str = "?";

/// The names in texts of the form `[NAME] PATH`, each once.
fn datastore_names(element: &Element, names: &mut Vec<String>) {
    for (_, value) in &element.attributes {
        names.extend(datastore_name(value).filter(|name| !names.contains(name)));
    }
    for child in &element.children {
        match child {
            Node::Text(text) => {
                names.extend(datastore_name(text.trim()).filter(|name| !names.contains(name)))
            }
            Node::Element(child) => datastore_names(child, names),
        }
    }
}

fn datastore_name(text: &str) -> Option<String> {
    let (name, _) = text.strip_prefix('[')?.split_once(']')?;
    (!name.is_empty()).then(|| name.to_owned())
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
    use super::{Facts, vmx_to_xml, xml_to_vmx};

    const MODES: [bool; 2] = [false, true];

    const FILE: &[u8] = b"config.version = \"8\"\r\nvirtualHW.version = \"13\"\r\ndisplayName = \"web01\"\r\n\
        memsize = \"64\"\r\nguestOS = \"other-64\"\r\nscsi0.present = \"TRUE\"\r\nscsi0:0.present = \"TRUE\"\r\n\
        scsi0:0.fileName = \"web01.vmdk\"\r\nRemoteDisplay.vnc.enabled = \"TRUE\"\r\n\
        RemoteDisplay.vnc.password = \"secret\"\r\n";

    #[test]
    fn files_convert_without_a_host() {
        for exact in MODES {
            let facts = Facts { exact, ..Facts::default() };
            let converted = vmx_to_xml(FILE, &facts).unwrap();
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
        for exact in MODES {
            let facts = Facts { exact, ..Facts::default() };
            let xml = "<domain type='vmware'><name>web01</name><memory unit='MiB'>64</memory>\
                       <os><type arch='x86_64'>hvm</type></os></domain>";
            let converted = xml_to_vmx(xml, &facts).unwrap();
            assert!(converted.text.contains("displayName = \"web01\"\n"), "{}", converted.text);
            let error =
                xml_to_vmx("<domain type='kvm'><name>x</name></domain>", &facts).err().unwrap();
            assert!(!error.to_string().is_empty());
        }
    }

    #[test]
    fn files_keep_their_places() {
        for exact in MODES {
            let facts = Facts { exact, ..Facts::default() };
            let xml = vmx_to_xml(FILE, &facts).unwrap().text;
            let back = xml_to_vmx(&xml, &facts).unwrap();
            assert!(back.text.contains("scsi0:0.fileName = \"web01.vmdk\"\n"), "{}", back.text);
            let moved = xml_to_vmx(&xml.replace("[?] ?/", "[fast 1] vms/"), &facts).unwrap();
            let line = "scsi0:0.fileName = \"/vmfs/volumes/fast 1/vms/web01.vmdk\"\n";
            assert!(moved.text.contains(line), "{}", moved.text);
            let warning = "datastore 'fast 1' is taken to be mounted at /vmfs/volumes/fast 1";
            assert!(moved.warnings.iter().any(|line| line == warning));
        }
    }

    #[test]
    fn keys_without_a_place_are_kept_if_asked_for() {
        let mut file = FILE.to_vec();
        file.extend_from_slice(b"tools.syncTime = \"FALSE\"\r\n");
        for keep_keys in [false, true] {
            let facts = Facts { keep_keys, ..Facts::default() };
            let xml = vmx_to_xml(&file, &facts).unwrap().text;
            assert_eq!(xml.contains("urn:virtesx:vmx:1"), keep_keys, "{xml}");
            let back = xml_to_vmx(&xml, &facts).unwrap().text;
            assert_eq!(back.contains("tools.syncTime = \"FALSE\""), keep_keys, "{back}");
        }
    }

    #[test]
    fn what_is_not_a_vmx_file_is_refused() {
        for exact in MODES {
            let facts = Facts { exact, ..Facts::default() };
            let error = vmx_to_xml(b"<html></html>", &facts).err().unwrap();
            assert!(!error.to_string().is_empty());
        }
    }

    #[test]
    fn facts_take_the_place_of_a_host() {
        for exact in MODES {
            let facts = Facts {
                exact,
                datastores: vec![("fast 1".to_owned(), "/vmfs/volumes/5f3c".to_owned())],
                vmx_path: Some("[fast 1] web01/web01.vmx".to_owned()),
                keep_keys: false,
                hardware_version: Some(13),
            };
            let file = String::from_utf8(FILE.to_vec()).unwrap();
            let file = file.replace("\"web01.vmdk", "\"/vmfs/volumes/5f3c/other/web01.vmdk");
            for (file, source) in [(file.as_bytes(), "other"), (FILE, "web01")] {
                let xml = vmx_to_xml(file, &facts).unwrap().text;
                let source = format!("<source file='[fast 1] {source}/web01.vmdk'/>");
                assert!(xml.contains(&source), "{xml}");
                let back = xml_to_vmx(&xml, &facts).unwrap();
                assert!(back.text.contains("fileName = \"/vmfs/volumes/5f3c/"), "{}", back.text);
                assert!(back.text.contains("virtualHW.version = \"13\"\n"), "{}", back.text);
                assert!(back.warnings.iter().all(|line| !line.contains("taken to be mounted")));
            }
        }
    }
}
