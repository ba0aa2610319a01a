//! libvirt's XML documents as plain types, read and written as libvirt does.
//!
//! ```
//! let text = "<domain type='vmware'>
//!   <name>web01</name>
//!   <memory unit='MiB'>64</memory>
//!   <os><type>hvm</type></os>
//!   <custom kept='yes'/>
//! </domain>";
//! let domain = virt_xml::Domain::parse(text)?;
//! assert_eq!(domain.memory_kib, 65536);
//! let written = domain.to_xml(&virt_xml::FormatOptions::default());
//! assert!(written.contains("  <memory unit='KiB'>65536</memory>\n"));
//! assert!(written.contains("  <custom kept='yes'/>\n"));
//! # Ok::<(), virt_xml::Error>(())
//! ```
//!
//! The types hold what the VMware side of libvirt uses; elements they do not model are kept as
//! [`Element`] and written back after those they do. Attributes and comments they do not model are
//! dropped, as libvirt drops them. Words that libvirt enumerates are plain strings here: whether a word
//! is one that a hypervisor understands is decided by who converts the document (`esx-vmx-domain`).
//!
//! Start with [`Domain`]; [`capabilities`] is the host's document.

#![forbid(unsafe_code)]
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

mod element;
mod error;
mod escape;
mod number;
mod uuids;
mod writer;

pub mod capabilities;
pub mod domain;
pub mod interface;
pub mod network;
pub mod snapshot;
pub mod storage;

pub use domain::{Domain, FormatOptions};
pub use element::{Element, Node};
pub use error::{Error, ErrorKind};
pub use number::{CpuSet, MacAddress};
pub use uuid::Uuid;
pub use uuids::parse_uuid;
