//! Byte streams: screenshots, volume transfers, consoles (libvirt `virStream`).

use async_trait::async_trait;
use bytes::Bytes;

use crate::{Error, ErrorDomain, Result};

/// A piece of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chunk {
    /// The next bytes, never empty.
    Data(Bytes),
    /// So many bytes of zero that are not transferred (sparse streams).
    Hole(u64),
}

/// A stream between caller and host. Most streams go one way only; the other way answers `VIR_ERR_INVALID_ARG`.
///
/// A console goes both ways at once: [`recv`](Self::recv) and [`send`](Self::send) may be pending together, hence the
/// shared receivers. Dropping a stream without an end is an abort that reports nothing.
#[async_trait]
pub trait Stream: Send + Sync {
    /// The next piece from the host, `None` at the end (`virStreamRecvFlags`).
    ///
    /// # Errors
    /// What broke the transfer; `VIR_ERR_INVALID_ARG` on a stream that only goes to the host.
    async fn recv(&self) -> Result<Option<Chunk>> {
        Err(Error::invalid_arg(ErrorDomain::Streams, "this stream cannot be read"))
    }

    /// Sends a piece to the host, all of it (`virStreamSend`, `virStreamSendHole`).
    ///
    /// # Errors
    /// What broke the transfer; `VIR_ERR_INVALID_ARG` on a stream that only comes from the host.
    async fn send(&self, _chunk: Chunk) -> Result<()> {
        Err(Error::invalid_arg(ErrorDomain::Streams, "this stream cannot be written"))
    }

    /// How many bytes go over the stream in all, holes included, if that is known beforehand. libvirt has no such function.
    fn size(&self) -> Option<u64> {
        None
    }

    /// Ends the stream and waits until the host has taken everything (`virStreamFinish`).
    ///
    /// # Errors
    /// What the host says about the transfer as a whole, if it was not complete.
    async fn finish(&self) -> Result<()>;

    /// Ends the stream without caring for the rest (`virStreamAbort`).
    ///
    /// # Errors
    /// Only if the end cannot be told to the host.
    async fn abort(&self) -> Result<()>;
}
