//! Keys without a place in domain XML: kept in `<metadata>`, written back from there.

use esx_vmx::Document;
use virt_xml::{Domain, Element, Node};

use crate::error::Warning;

/// The namespace of the kept keys.
pub(crate) const NAMESPACE: &str = "urn:virtesx:vmx:1";

/// Keys, by name, that are converted or made anew.
const MAPPED: [&str; 40] = [
    ".encoding",
    "config.version",
    "virtualhw.version",
    "displayname",
    "uuid.bios",
    "vc.uuid",
    "vm.genid",
    "vm.genidx",
    "annotation",
    "memsize",
    "sched.mem.max",
    "sched.mem.minsize",
    "numvcpus",
    "cpuid.corespersocket",
    "sched.cpu.affinity",
    "sched.cpu.shares",
    "smbios.reflecthost",
    "remotedisplay.vnc.enabled",
    "remotedisplay.vnc.port",
    "remotedisplay.vnc.ip",
    "remotedisplay.vnc.keymap",
    // Not to be kept for another reason.
    "remotedisplay.vnc.password",
    "remotedisplay.vnc.key",
    "isolation.tools.hgfs.disable",
    "sharedfolder.maxnum",
    "svga.vramsize",
    "vtpm.present",
    "firmware",
    "uefi.secureboot.enabled",
    "nvram",
    "usb.present",
    "ehci.present",
    "usb_xhci.present",
    "sound.present",
    "sound.virtualdev",
    "vhv.enable",
    "vmci0.present",
    "pcibridge0.present",
    "floppy0.present",
    "floppy1.present",
];

/// Names of keys that are converted, by what their devices are called without numbers.
const MAPPED_NAMES: [(&[&str], &[&str]); 6] = [
    (
        &["scsi:.", "sata:.", "ide:.", "nvme:.", "floppy."],
        &[
            "present",
            "filename",
            "devicetype",
            "filetype",
            "clientdevice",
            "writethrough",
            "mode",
            "autodetect",
        ],
    ),
    (&["scsi.", "sata.", "nvme."], &["present", "virtualdev", "pcislotnumber"]),
    (
        &["ethernet."],
        &[
            "present",
            "connectiontype",
            "addresstype",
            "generatedaddress",
            "generatedaddressoffset",
            "address",
            "checkmacaddress",
            "virtualdev",
            "features",
            "networkname",
            "vnet",
            "dvs.switchid",
            "dvs.portid",
            "dvs.portgroupid",
            "dvs.connectionid",
            "pcislotnumber",
        ],
    ),
    (&["serial.", "parallel."], &["present", "filetype", "filename", "network.endpoint"]),
    (
        &["sharedfolder."],
        &["present", "enabled", "readaccess", "writeaccess", "hostpath", "guestname"],
    ),
    (&["pcipassthru.", "pcibridge."], &["present", "id", "virtualdev", "functions"]),
];

/// Whether the conversions see to this key.
fn is_mapped(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    if MAPPED.contains(&key.as_str()) {
        return true;
    }
    let Some((device, name)) = key.split_once('.') else { return false };
    let mut stem: String = device.chars().filter(|c| !c.is_ascii_digit()).collect();
    if stem.len() == device.len() {
        return false;
    }
    stem.push('.');
    MAPPED_NAMES
        .iter()
        .any(|(devices, names)| devices.contains(&stem.as_str()) && names.contains(&name))
}

/// Whether the value is a secret: a document is passed on more freely than the file it was made from.
fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    key.contains("password") || key.starts_with("encryption.") || key.ends_with("datafilekey")
}

/// The element that keeps the keys of a file, for `<metadata>`.
pub(crate) fn element(document: &Document) -> Option<Element> {
    let named = |name: &str| Element {
        prefix: Some("vmx".to_owned()),
        namespace: Some(NAMESPACE.to_owned()),
        ..Element::new(name)
    };
    let mut keys = named("keys");
    for entry in document.entries() {
        // The first one counts, and text that XML cannot have stays behind.
        let first = document.get(entry.key) == Some(entry.value);
        let writable =
            !entry.value.chars().any(|c| c < ' ' || matches!(c, '\u{fffe}' | '\u{ffff}'));
        if !is_mapped(entry.key) && !is_secret(entry.key) && first && writable {
            let mut key = named("key").with_attribute("name", entry.key);
            if !entry.value.is_empty() {
                key.children.push(Node::Text(entry.value.to_owned()));
            }
            keys = keys.with_child(key);
        }
    }
    (!keys.children.is_empty()).then(|| Element::new("metadata").with_child(keys))
}

/// Writes kept keys back. Only those that nothing else sees to.
pub(crate) fn restore(domain: &Domain, document: &mut Document, warnings: &mut Vec<Warning>) {
    let ours = |e: &&Element| e.namespace.as_deref() == Some(NAMESPACE);
    fn children(element: &Element) -> impl Iterator<Item = &Element> {
        element.children.iter().filter_map(|child| match child {
            Node::Element(element) => Some(element),
            Node::Text(_) => None,
        })
    }
    let metadata = domain.metadata.iter().flat_map(children).filter(ours);
    for key in metadata.filter(|e| e.name == "keys").flat_map(children).filter(ours) {
        let Some(name) = key.attribute("name").filter(|_| key.name == "key") else { continue };
        // `guestOS` has been made from the architecture; the kept one says more.
        let known = name.eq_ignore_ascii_case("guestOS");
        if is_mapped(name) || document.contains(name) && !known {
            continue;
        }
        if let Err(error) = document.set(name, &key.text()) {
            let reason = format!("not written back: {error}");
            warnings.push(Warning { key: name.to_owned(), reason });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_kept() {
        let file = b"tools.syncTime = \"TRUE\"\nencryption.keySafe = \"canary\"\nencryption.data = \"canary\"\n\
                     guest.Password = \"canary\"\nRemoteDisplay.vnc.password = \"canary\"\n";
        let document = Document::parse(file).unwrap();
        let kept = format!("{:?}", element(&document).unwrap());
        assert!(kept.contains("tools.syncTime") && !kept.contains("canary"), "{kept}");
    }
}
