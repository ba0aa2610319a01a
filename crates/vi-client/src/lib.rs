//! An asynchronous client of the VMware VI API over HTTP and TLS.
//!
//! ```no_run
//! # async fn run() -> Result<(), esx_vi_client::Error> {
//! use esx_vi_client::{Client, Endpoint, Scheme};
//!
//! let client = Client::connect(Endpoint::new(Scheme::Https, "esx1.example.org", 443)).await?;
//! client.login("root", "secret").await?;
//! println!("{}", client.content().about.full_name);
//! client.logout().await?;
//! # Ok(())
//! # }
//! ```
//!
//! [`Client::call`] calls any method of [`esx_vi_api::methods`]; [`Client::retrieve`] reads properties
//! of many objects in one request and one per further page. Each call is sent once. Proxies and
//! certificates come from the [`Endpoint`], never from the environment.

#![forbid(unsafe_code)]

mod changes;
mod client;
mod collector;
mod cookie;
mod endpoint;
mod error;
mod folder;
mod lease;
mod plain_task;
mod proxy;
mod screen;
mod session;
mod task;
mod tls;
mod transport;
mod updates;

pub use client::{Client, LogoutOnDrop};
pub use collector::{Retrieval, Retrieved, named, traversal};
pub use cookie::SessionCookie;
pub use endpoint::{Endpoint, Scheme, Timeouts};
pub use error::{Error, Fault, Result};
pub use folder::{
    Chunk, Download, DownloadOptions, Existing, FilePlace, RetryPolicy, TransferError,
    TransferProgress, Upload,
};
pub use lease::{Lease, LeaseDevice, LeaseDownload, LeaseError, LeaseOptions};
pub use proxy::{Proxy, ProxyKind};
pub use task::{Checked, Progress, TaskOptions};
pub use tls::{
    Certificate, CertificateProblem, Thumbprint, ThumbprintAlgorithm, ThumbprintError, TlsFailure,
    TlsPolicy,
};
pub use transport::{
    Body, ByteRange, CallOptions, CloseStage, ContentRange, GetReply, HttpReply, Stats, Transport,
    TransportError, Waiting, redact,
};
pub use updates::{Canceller, Change, News, Page, Watch};

/// What fuzz targets need of the inside. Not part of the interface: it is there under cargo-fuzz only.
#[cfg(fuzzing)]
pub mod fuzzing {
    /// Reads `bytes` as the headers of a reply.
    pub fn reply_head(bytes: &[u8]) {
        crate::transport::fuzz_head(bytes);
    }
}
