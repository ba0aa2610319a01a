//! A byte stream over a connection to a daemon (libvirt-rpc.md 11).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use tokio::sync::{Mutex, mpsc};
use virt_api::{Chunk, Error, Result, Stream};
use virt_rpc::client::StreamOutput;
use virt_rpc::frame::Packet;
use virt_rpc::session::{MAX_CHUNK_BYTES, StreamHeader};

use super::link::Shared;

/// The client's end of a stream.
pub(super) struct RemoteStream {
    header: StreamHeader,
    out: mpsc::Sender<Packet>,
    input: Mutex<mpsc::Receiver<StreamOutput>>,
    shared: Arc<Shared>,
    /// Both ways at once: what comes is the reader's, errors included.
    both: bool,
    ended: AtomicBool,
}

impl RemoteStream {
    pub(super) fn new(
        header: StreamHeader,
        out: mpsc::Sender<Packet>,
        input: mpsc::Receiver<StreamOutput>,
        shared: Arc<Shared>,
        both: bool,
    ) -> Self {
        Self { header, out, input: Mutex::new(input), shared, both, ended: AtomicBool::new(false) }
    }

    async fn packet(&self, packet: Packet) -> Result<()> {
        self.out.send(packet).await.map_err(|_| self.shared.lost())
    }

    fn broken(&self, error: Error) -> Error {
        self.ended.store(true, Ordering::Relaxed);
        error
    }

    /// An error that has come while data was sent.
    async fn check(&self) -> Result<()> {
        if self.both {
            return Ok(());
        }
        match self.input.lock().await.try_recv() {
            Ok(StreamOutput::Broken(error)) => Err(self.broken(error)),
            Err(mpsc::error::TryRecvError::Disconnected) => Err(self.broken(self.shared.lost())),
            _ => Ok(()),
        }
    }

    /// Sends the end and waits until it is taken note of.
    async fn end(&self, packet: Packet) -> Result<()> {
        if self.ended.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.packet(packet).await?;
        let mut input = self.input.lock().await;
        loop {
            // Who was still reading may have had it.
            if self.ended.load(Ordering::Relaxed) {
                return Ok(());
            }
            match input.recv().await {
                Some(StreamOutput::Confirmed) => {
                    self.ended.store(true, Ordering::Relaxed);
                    return Ok(());
                }
                Some(StreamOutput::Broken(error)) => return Err(self.broken(error)),
                // What was still on its way.
                Some(StreamOutput::Chunk(_) | StreamOutput::End) => {}
                None => return Err(self.broken(self.shared.lost())),
            }
        }
    }
}

#[async_trait]
impl Stream for RemoteStream {
    async fn recv(&self) -> Result<Option<Chunk>> {
        if self.ended.load(Ordering::Relaxed) {
            return Ok(None);
        }
        match self.input.lock().await.recv().await {
            Some(StreamOutput::Chunk(chunk)) => Ok(Some(chunk)),
            Some(StreamOutput::End) => Ok(None),
            Some(StreamOutput::Confirmed) => {
                self.ended.store(true, Ordering::Relaxed);
                Ok(None)
            }
            Some(StreamOutput::Broken(error)) => Err(self.broken(error)),
            None => Err(self.broken(self.shared.lost())),
        }
    }

    async fn send(&self, chunk: Chunk) -> Result<()> {
        match chunk {
            Chunk::Data(mut bytes) => {
                while !bytes.is_empty() {
                    self.check().await?;
                    let part = bytes.split_to(bytes.len().min(MAX_CHUNK_BYTES));
                    self.packet(self.header.data(part)).await?;
                }
            }
            Chunk::Hole(length) => {
                self.check().await?;
                self.packet(self.header.hole(length)).await?;
            }
        }
        Ok(())
    }

    async fn finish(&self) -> Result<()> {
        self.end(self.header.finish()).await
    }

    async fn abort(&self) -> Result<()> {
        self.end(self.header.abort()).await
    }
}

impl Drop for RemoteStream {
    fn drop(&mut self) {
        if !self.ended.load(Ordering::Relaxed) {
            self.shared.forget(self.header);
            // If there is no room, the end of the connection tells it.
            let _ = self.out.try_send(self.header.abort());
        }
    }
}
