//! The name escaping schemes of VMware hosts, datastore paths and `/folder` URLs.
//!
//! ```
//! use esx_escape::{DatastorePath, folder_path_and_query, percent_pipe};
//!
//! // A VMX displayName and the domain name behind it.
//! assert_eq!(percent_pipe::escape("a|b/c"), "a|7cb%2fc");
//! assert_eq!(percent_pipe::unescape("a|7cb%2fc")?, "a|b/c");
//!
//! // The URL of a VMX file: the path is encoded once, the query values twice.
//! let path: DatastorePath = "[ds 1] My VM/My VM.vmx".parse()?;
//! assert_eq!(
//!     folder_path_and_query(&path, "ha-datacenter"),
//!     "/folder/My%20VM%2FMy%20VM.vmx?dcPath=ha-datacenter&dsName=ds%25201"
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | module | used for |
//! | --- | --- |
//! | [`percent`] | the `name` of inventory objects |
//! | [`pipe`] | the VMX key `annotation` |
//! | [`percent_pipe`] | the VMX key `displayName` |
//! | [`base64`] | VMware's base64, the last step of `datastore_item` |
//! | [`datastore_item`] | file names made from domain names; one-way |
//! | [`inventory_path`] | paths for `SearchIndex.FindByInventoryPath` |
//! | [`url`] | percent-encoding of URL parts |
//!
//! Every scheme works on bytes: UTF-8 passes through, or is encoded byte by byte. Nothing here reads a file,
//! talks to a host or knows an inventory; rules and vectors are in `connection.md`, sections 12 to 14.

#![forbid(unsafe_code)]
#![warn(clippy::disallowed_methods)]

pub mod base64;
pub mod datastore_item;
mod datastore_path;
mod error;
mod folder;
mod hex;
pub mod inventory_path;
pub mod percent;
pub mod percent_pipe;
pub mod pipe;
pub mod url;
mod vmfs_path;

pub use datastore_path::DatastorePath;
pub use error::{DatastorePathError, DecodeBase64Error, UnescapeError, UnescapeErrorKind};
pub use folder::{
    folder_listing_path_and_query, folder_path_and_query, folder_path_and_query_once,
    folder_upload_path_and_query,
};
pub use vmfs_path::VmfsPath;
