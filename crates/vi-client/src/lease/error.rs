//! Why a lease, or the transfer of a disk behind it, failed.

use std::time::Duration;

use esx_vi_api::MoRef;

use crate::TransportError;

/// Why a disk cannot be had by a lease.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// The host did not get ready.
    #[error("the lease {lease} did not become ready within {} s", after.as_secs())]
    NotReady {
        /// The lease.
        lease: MoRef,
        /// How long it was waited for.
        after: Duration,
    },
    /// The host has ended the lease while it was needed.
    #[error("the host has ended the lease: {why}")]
    Lost {
        /// The host's words.
        why: String,
    },
    /// What the host says of a device cannot be used.
    #[error("the lease's URL for {device} cannot be used: {problem}")]
    BadUrl {
        /// The file's name in the URL, or the device's key. The rest of the URL is secret.
        device: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The transfer broke off. It cannot go on where it did: the disk has to be read anew.
    #[error("the transfer of {device} broke off after {bytes} bytes")]
    Broken {
        /// The file's name in the URL.
        device: String,
        /// How many bytes had come.
        bytes: u64,
        /// Why.
        source: Box<TransportError>,
    },
    /// The host says that it has sent something else than what has arrived.
    #[error("{device} has not arrived as the host has sent it: its {what} is another one")]
    Different {
        /// The file's name in the URL.
        device: String,
        /// What differs.
        what: &'static str,
    },
    /// There is no such device in the lease.
    #[error("the lease has no device {0}")]
    NoDevice(usize),
}
