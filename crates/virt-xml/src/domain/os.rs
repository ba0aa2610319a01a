//! `<os>`.

use crate::element::Element;

/// `<os>`: type, firmware and boot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Os {
    /// `@firmware`: `efi` or `bios`.
    pub firmware: Option<String>,
    /// Text of `<type>`: `hvm`.
    pub kind: String,
    /// `<type arch=…>`.
    pub arch: Option<String>,
    /// `<type machine=…>`.
    pub machine: Option<String>,
    /// `<firmware><feature …/></firmware>`.
    pub firmware_features: Vec<FirmwareFeature>,
    /// `<loader>`.
    pub loader: Option<Loader>,
    /// `<nvram>`.
    pub nvram: Option<Nvram>,
    /// `<smbios mode=…>`.
    pub smbios_mode: Option<String>,
    /// Elements that are not modelled.
    pub other: Vec<Element>,
}

/// `<feature>` of a firmware.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirmwareFeature {
    /// `@enabled`.
    pub enabled: bool,
    /// `@name`: `secure-boot`, `enrolled-keys`.
    pub name: String,
}

/// `<loader>`: the firmware's image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loader {
    /// `@readonly`.
    pub readonly: Option<bool>,
    /// `@secure`.
    pub secure: Option<bool>,
    /// `@type`: `rom` or `pflash`.
    pub kind: Option<String>,
    /// `@stateless`.
    pub stateless: Option<bool>,
    /// `@format`.
    pub format: Option<String>,
    /// The path.
    pub path: Option<String>,
}

/// `<nvram>`: where the firmware keeps its variables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nvram {
    /// `@template`.
    pub template: Option<String>,
    /// `@templateFormat`.
    pub template_format: Option<String>,
    /// `@format`.
    pub format: Option<String>,
    /// `@type`; if given, the path is in `<source>`.
    pub kind: Option<String>,
    /// The path: the element's text, or `file` or `dev` of its `<source>`.
    pub path: Option<String>,
    /// `<source>` of another type, and elements that are not modelled.
    pub other: Vec<Element>,
}
