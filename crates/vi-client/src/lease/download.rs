//! One device of a lease on its way here.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};
use tokio::sync::watch;

use super::{Inner, LeaseError};
use crate::error::Result;
use crate::folder::{Gate, RetryPolicy, transient};
use crate::{Body, TransportError};

/// How long a host may be silent: it reads through what is empty of a disk without sending anything.
const PATIENCE: Duration = Duration::from_secs(900);

/// A device on its way here, from its first byte to its last. Dropping it ends the transfer.
pub struct LeaseDownload {
    lease: Arc<Inner>,
    device: usize,
    /// Nothing after the end.
    body: Option<Body>,
    size: Option<u64>,
    bytes: u64,
    sum: Context,
    lost: watch::Receiver<Option<String>>,
}

impl std::fmt::Debug for LeaseDownload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LeaseDownload")
            .field("device", &self.device)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

impl LeaseDownload {
    pub(super) async fn open(lease: &Arc<Inner>, device: usize) -> Result<Self> {
        let found = lease.devices.get(device).ok_or(LeaseError::NoDevice(device))?;
        let (transport, path) = lease.place(found)?;
        let idle = transport.options().idle.map(|idle| idle.max(PATIENCE));
        let mut lost = lease.lost.subscribe();
        let gate = Gate::new(RetryPolicy::default());
        let reply = loop {
            let round = gate.pass(transport.end()).await;
            let asked = tokio::select! {
                biased;
                why = loss(&mut lost) => return Err(LeaseError::Lost { why }.into()),
                asked = transport.get_stream(&path, idle) => asked,
            };
            match asked {
                Ok(reply) => break reply,
                Err(error) => {
                    let again = transient(&error).is_some_and(|after| gate.failed(round, after));
                    if !again {
                        return Err(error.into());
                    }
                    tracing::debug!(file = found.file, %error, "not yet");
                }
            }
        };
        Ok(Self {
            lease: Arc::clone(lease),
            device,
            size: reply.content_length,
            body: Some(reply.body),
            bytes: 0,
            sum: Context::new(&SHA1_FOR_LEGACY_USE_ONLY),
            lost,
        })
    }

    /// How many bytes there are, if the host says so beforehand: of disks it seldom does.
    pub fn size(&self) -> Option<u64> {
        self.size
    }

    /// The next piece; `None` at the end, when it is known that everything has arrived as the host has sent it.
    ///
    /// # Errors
    /// [`LeaseError`]; after an error there is nothing more.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>> {
        let Some(body) = &mut self.body else { return Ok(None) };
        let read = tokio::select! {
            biased;
            read = body.chunk() => read,
            why = loss(&mut self.lost) => {
                self.body = None;
                return Err(LeaseError::Lost { why }.into());
            }
        };
        match read {
            Ok(Some(bytes)) => {
                self.sum.update(&bytes);
                self.bytes += bytes.len() as u64;
                Ok(Some(bytes))
            }
            Ok(None) => {
                let sum = self.sum.clone().finish();
                let sum: String = sum.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
                let checked = match self.lease.devices.get(self.device) {
                    Some(device) => self.lease.check(device, self.bytes, &sum).await,
                    None => Ok(()),
                };
                // Only now: whoever is cancelled before has the check still to do.
                self.body = None;
                checked.map(|()| None)
            }
            Err(source) => {
                self.body = None;
                Err(self.broken(source).into())
            }
        }
    }

    fn broken(&self, source: TransportError) -> LeaseError {
        // The host breaks off what belongs to a lease that has ended.
        if let Some(why) = self.lost.borrow().clone() {
            return LeaseError::Lost { why };
        }
        let device = self.lease.devices.get(self.device).map(|device| device.file.clone());
        let (bytes, source) = (self.bytes, Box::new(source));
        LeaseError::Broken { device: device.unwrap_or_default(), bytes, source }
    }
}

/// Comes when the lease has ended, with the reason.
async fn loss(lost: &mut watch::Receiver<Option<String>>) -> String {
    // The guard inside the result must not live across another await.
    let why = lost.wait_for(Option::is_some).await.ok().and_then(|why| why.clone());
    match why {
        Some(why) => why,
        // Whoever could tell is gone.
        None => std::future::pending().await,
    }
}
