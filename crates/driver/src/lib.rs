//! libvirt's ESX driver, anew: `esx://`, `vpx://` and `gsx://` behind the traits of `virt-api`.
//!
//! ```no_run
//! # async fn run() -> Result<(), virt_api::Error> {
//! use virt_api::{Driver as _, ListAllDomainsFlags};
//!
//! // User and password come from the auth file, see `docs/uri.md`.
//! let connection = esx_driver::open("esx://root@esx1.example.org/", Default::default()).await?;
//! for listed in connection.hypervisor().connect_list_all_domains(ListAllDomainsFlags::empty()).await? {
//!     println!("{} is {}", listed.domain.name, listed.state);
//! }
//! connection.close().await?;
//! # Ok(())
//! # }
//! ```
//!
//! Opening takes two requests, a list one and one per further page, whatever the number of machines.
//! Nothing in the public interface names a type of the VI API: callers speak libvirt's words.

#![forbid(unsafe_code)]

mod auth;
mod certificate;
mod connection;
mod digest;
mod domain;
mod error;
mod export;
mod host;
mod hypervisor;
mod interface;
mod inventory;
mod known_hosts;
mod network;
mod product;
mod recent;
mod spool;
mod storage;
mod stream;
mod uri;
mod view;
mod watchers;

pub use auth::Environment;
pub use certificate::{ServerCertificate, server_certificate};
pub use connection::{Connection, OpenOptions, SessionKey, SessionStore, open};
pub use domain::{ConsoleOpener, ConsolePort};
pub use known_hosts::{KnownHosts, KnownHostsError};
pub use view::{LiveViewOptions, LiveViewState, LiveViewStatus};

/// What fuzz targets need of the inside. Not part of the interface: it is there under cargo-fuzz only.
#[cfg(fuzzing)]
pub mod fuzzing {
    /// Reads `bytes` as a credentials file, and looks up the credentials of a host in it.
    pub fn auth_file(bytes: &[u8]) {
        crate::auth::fuzz(bytes);
    }

    /// Reads `text` as a connection URI and as a migration URI.
    pub fn uri(text: &str) {
        crate::uri::fuzz(text);
    }
}
