//! Read, edit and write VMX files without losing a byte.
//!
//! Several VMware products rewrite these files at will. [`Document::parse`] keeps comments, spacing,
//! line ends, key case, duplicates and the declared `.encoding`: an unedited document writes back
//! the bytes it read, whatever they were.
//!
//! ```
//! let mut doc = esx_vmx::Document::parse(b"numvcpus = \"2\"\r\n")?;
//! assert_eq!(doc.get("NUMVCPUS"), Some("2")); // keys ignore case
//! doc.set("memSize", "4096")?; // new lines copy the file's habits
//! assert_eq!(doc.to_bytes(), b"numvcpus = \"2\"\r\nmemSize = \"4096\"\r\n");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! This crate knows no key's meaning; devices and domains are in `esx-vmx-domain`. A line that is not
//! VMX is kept as it is and reported by [`Document::problems`]; only an unknown encoding is an error.
//! libvirt is stricter: it refuses a file with any [syntax error](ProblemKind::is_syntax_error), and
//! [`Document::syntax_error`] tells which one it would stumble over.
//!
//! Start with [`Document`]; [`vmdk`] reads what a disk is made of. [`Group`] is the view of one device's keys, [`Devices`] an index of them all. Limits: text is Unicode, so a
//! value that its charset cannot decode reads with U+FFFD in it (its bytes survive all the same); the
//! encodings that are no superset of ASCII (UTF-16, ISO-2022-JP) are unknown, since no VMX file can
//! declare them in itself.

#![forbid(unsafe_code)]
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

mod charset;
mod devices;
mod document;
mod edit;
mod grammar;
mod group;
mod index;
mod problem;
mod value;
pub mod vmdk;

pub use charset::EncodingError;
pub use devices::{Device, Devices};
pub use document::{Document, Entry};
pub use edit::EditError;
pub use group::Group;
pub use problem::{Problem, ProblemKind};
pub use value::{ValueError, parse_bool, parse_integer};
