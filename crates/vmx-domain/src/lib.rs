//! VMX documents to and from libvirt domain XML.
//!
//! ```
//! use esx_vmx_domain::{Context, to_domain};
//!
//! let file = b"config.version = \"8\"\nvirtualHW.version = \"13\"\ndisplayName = \"web01\"\n";
//! let document = esx_vmx::Document::parse(file)?;
//! let conversion = to_domain(&document, &Context::default())?;
//! assert_eq!(conversion.domain.name.as_deref(), Some("web01"));
//! assert!(conversion.warnings.is_empty());
//! let xml = conversion.domain.to_xml(&virt_xml::FormatOptions::default());
//! assert!(xml.starts_with("<domain type='vmware'>\n  <name>web01</name>\n"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The conversions are pure: what they need to know of a host is in [`Context`], gathered beforehand.
//! [`needs_datastores`] and [`needs_scsi_models`] tell whether the host must be asked at all; with an
//! empty context names show as `[?] ?/name`, as libvirt shows them.
//!
//! There are two modes. [`Mode::Exact`] is libvirt 12.8 to the byte, its defects and its error codes
//! included. [`Mode::Default`] agrees with it letter for letter wherever libvirt neither fails nor loses
//! nor misplaces anything, and goes on where libvirt gives up: each thing that had to be bent is a
//! [`Warning`]. Passwords are in the [`Domain`](virt_xml::Domain) but are written only with
//! [`FormatOptions::secure`](virt_xml::FormatOptions::secure).
//!
//! Limit: text is Unicode here. Bytes that a file's charset cannot decode reach libvirt's XML as they
//! are, and ours as U+FFFD.

#![forbid(unsafe_code)]
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

mod bend;
mod context;
mod cpuid;
mod error;
mod files;
mod from_vmx;
mod keep;
mod merge;
mod numbers;
mod ports;
mod target;
mod to_vmx;
mod usb;

pub use context::{
    Context, Datastore, Mode, ProductLine, ScsiModel, needs_datastores, virtual_hardware_version,
};
pub use error::{Code, Error, ErrorDomain, Warning};
pub use from_vmx::{Conversion, to_domain};
pub use merge::merge_into;
pub use ports::{DirectPort, NetworkPorts, ProxiedPort};
pub use target::{DriveBus, DrivePlace};
pub use to_vmx::{VmxConversion, needs_scsi_models, parse_domain, to_vmx};
