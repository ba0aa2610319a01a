//! An asynchronous client of the VMware VI API over HTTP and TLS.

#![forbid(unsafe_code)]

mod cookie;
mod endpoint;
mod proxy;
mod tls;
mod transport;

pub use cookie::SessionCookie;
pub use endpoint::{Endpoint, Scheme, Timeouts};
pub use proxy::{Proxy, ProxyKind};
pub use tls::{
    CertificateProblem, Thumbprint, ThumbprintAlgorithm, ThumbprintError, TlsFailure, TlsPolicy,
};
pub use transport::{
    Body, ByteRange, CallOptions, CloseStage, ContentRange, GetReply, HttpReply, Stats, Transport,
    TransportError, Waiting, redact,
};
