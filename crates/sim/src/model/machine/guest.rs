//! The names of operating systems.

use std::borrow::Cow;

use super::{DEBIAN, GuestOs, OTHER_32, WINDOWS};

/// Systems whose three names follow no rule.
const KNOWN: [GuestOs; 5] = [
    DEBIAN,
    WINDOWS,
    OTHER_32,
    super::guest_os("otherGuest", "other", "Other (32-bit)"),
    super::guest_os("otherGuest64", "other-64", "Other (64-bit)"),
];
/// Systems whose `guestId` has no underscore before the 64.
const TIGHT: [&str; 6] = ["ubuntu", "centos", "otherlinux", "fedora", "sles", "oraclelinux"];

/// The system with this VI API `guestId`.
pub(crate) fn from_id(id: &str) -> Option<GuestOs> {
    if let Some(known) = KNOWN.into_iter().find(|os| os.id == id) {
        return Some(known);
    }
    let stem = id.strip_suffix("Guest").filter(|stem| !stem.is_empty())?;
    let vmx = match stem.strip_suffix("_64").or_else(|| stem.strip_suffix("64")) {
        Some(stem) => format!("{stem}-64"),
        None => stem.to_owned(),
    };
    Some(named(id.to_owned(), vmx))
}

/// The system that a VMX file names.
pub(crate) fn from_vmx(vmx: &str) -> GuestOs {
    if let Some(known) = KNOWN.into_iter().find(|os| os.vmx.eq_ignore_ascii_case(vmx)) {
        return known;
    }
    if vmx.ends_with("Guest") {
        return named(vmx.to_owned(), vmx.to_owned());
    }
    let id = match vmx.strip_suffix("-64") {
        Some(stem) if TIGHT.contains(&stem.to_ascii_lowercase().as_str()) => {
            format!("{stem}64Guest")
        }
        Some(stem) => format!("{stem}_64Guest"),
        None => format!("{vmx}Guest"),
    };
    named(id, vmx.to_owned())
}

fn named(id: String, vmx: String) -> GuestOs {
    let full = format!("{vmx} (by its short name)");
    GuestOs { id: Cow::Owned(id), vmx: Cow::Owned(vmx), full: Cow::Owned(full) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_both_ways() {
        for (id, vmx) in [
            ("debian12_64Guest", "debian12-64"),
            ("ubuntu64Guest", "ubuntu-64"),
            ("otherGuest64", "other-64"),
            ("otherGuest", "other"),
            ("windows9_64Guest", "windows9-64"),
            ("winXPProGuest", "winXPPro"),
        ] {
            assert_eq!(from_id(id).unwrap().vmx, vmx);
            assert_eq!(from_vmx(vmx).id, id);
        }
        assert_eq!(from_id("nonsense"), None);
        assert_eq!(from_vmx("windows9_64Guest").id, "windows9_64Guest");
    }
}
