//! Why a concentrator or its client cannot go on.

use std::{io, path::PathBuf};

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;

/// What failed. The variant says whose fault it is.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The settings cannot be served.
    #[error("invalid settings: {0}")]
    Settings(String),
    /// A socket cannot be listened at.
    #[error("cannot listen at {address}")]
    Listen {
        /// Where.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// A file cannot be read or made.
    #[error("cannot use {path}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The certificate or its key cannot be used.
    #[error("the certificate cannot be used: {0}")]
    Certificate(String),
    /// No concentrator can be reached there.
    #[error("cannot reach the concentrator at {address}")]
    Connect {
        /// Where.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// No port can be reached there.
    #[error("cannot reach the serial port at {address}")]
    Direct {
        /// Where.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// The connection to the concentrator broke.
    #[error("the connection to the concentrator broke")]
    Connection(#[from] io::Error),
    /// The concentrator said no.
    #[error("the concentrator refused: {0}")]
    Refused(String),
    /// What came back is no answer.
    #[error("the peer does not speak the concentrator's protocol: {0}")]
    Protocol(&'static str),
}
