//! The bytes of one client, both ways, and which of them wait.

use std::io;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;
use virt_api::Error;
use virt_rpc::frame::{FrameDecoder, Packet};

/// Room for reading: most clients' calls fit many times.
const READ_BYTES: usize = 16 * 1024;
/// With fewer bytes than that unsent, packets of other tasks are taken in, one after the other.
const FEW_BYTES: usize = 16 * 1024;
/// With more bytes than that unsent, the client's next calls wait.
const MANY_BYTES: usize = 1024 * 1024;

/// A client's connection.
pub(super) struct Wire<R, W> {
    read: R,
    pub(super) decoder: FrameDecoder,
    out: Out<W>,
    /// What other tasks have for the client.
    packets: mpsc::Receiver<Packet>,
}

/// The way to the client.
struct Out<W> {
    write: W,
    unsent: BytesMut,
    /// Something written may still be kept back, as by TLS.
    unflushed: bool,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Wire<R, W> {
    pub(super) fn new(read: R, write: W, packets: mpsc::Receiver<Packet>) -> Self {
        let out = Out { write, unsent: BytesMut::new(), unflushed: false };
        Self { read, decoder: FrameDecoder::default(), out, packets }
    }

    /// Has a packet sent, before those that wait in the channel.
    pub(super) fn push(&mut self, packet: &Packet) {
        self.out.push(packet);
    }

    /// Whether there is room for answers.
    pub(super) fn takes_calls(&self) -> bool {
        self.out.unsent.len() < MANY_BYTES
    }

    /// Moves some bytes, one way or the other; those of the client only if `reads`. False if the client has gone. Nothing is
    /// lost if the future is dropped.
    pub(super) async fn step(&mut self, reads: bool) -> io::Result<bool> {
        let buffer = self.decoder.buffer();
        // As much again for what is larger.
        buffer.reserve(READ_BYTES.max(buffer.len()));
        let has_room = self.out.unsent.len() < FEW_BYTES;
        tokio::select! {
            written = self.out.step(), if self.out.is_busy() => written.map(|()| true),
            Some(packet) = self.packets.recv(), if has_room => {
                self.out.push(&packet);
                Ok(true)
            }
            read = self.read.read_buf(buffer), if reads => read.map(|bytes| bytes > 0),
            else => std::future::pending().await,
        }
    }

    /// Writes until nobody has anything more for the client.
    pub(super) async fn write_rest(self) {
        let Self { mut out, mut packets, .. } = self;
        loop {
            while out.is_busy() {
                if out.step().await.is_err() {
                    return;
                }
            }
            let Some(packet) = packets.recv().await else { break };
            out.push(&packet);
        }
        let _ = out.write.shutdown().await;
    }
}

impl<W: AsyncWrite + Unpin> Out<W> {
    fn push(&mut self, packet: &Packet) {
        if let Err(problem) = packet.append_to(&mut self.unsent) {
            tracing::warn!(%problem, ?packet, "a packet that cannot be sent");
            let reply = virt_rpc::dispatch::error_reply(packet, &Error::from(problem));
            // The error's own text is short.
            let _ = reply.append_to(&mut self.unsent);
        }
    }

    fn is_busy(&self) -> bool {
        self.unflushed || !self.unsent.is_empty()
    }

    /// Writes what the client takes. Nothing is lost if the future is dropped.
    async fn step(&mut self) -> io::Result<()> {
        if !self.unsent.is_empty() {
            if self.write.write_buf(&mut self.unsent).await? == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.unflushed = true;
        }
        if self.unsent.is_empty() {
            if self.unsent.capacity() > MANY_BYTES {
                self.unsent = BytesMut::new();
            }
            self.write.flush().await?;
            self.unflushed = false;
        }
        Ok(())
    }
}
