//! Export leases (VI API `HttpNfcLease`): the disks of a machine or of a snapshot as streams, wherever their data lie.
//!
//! ```text
//! ExportVm --> initializing --> ready --> Lease::complete
//!                                 |-----> Lease::abort, or the Lease is dropped
//! ```
//!
//! A lease is held until it is told to end: a task of its own tells the host how far the transfer is, long before the host
//! would take the silence for the end. What a device gives is compressed as it is read, so that no part of it can be asked
//! for: a transfer that breaks off begins anew.

mod download;
mod error;
mod keeper;
mod place;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use esx_vi_api::data::HttpNfcLeaseInfo;
use esx_vi_api::enums::HttpNfcLeaseState;
use esx_vi_api::methods::{
    ExportSnapshot, ExportVm, HttpNfcLeaseAbort, HttpNfcLeaseComplete, HttpNfcLeaseGetManifest,
};
use esx_vi_api::{Method, MoRef, Object};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use self::place::Place;
use crate::client::Client;
use crate::collector::Retrieval;
use crate::error::{Error, Result};
use crate::task::task_fault;
use crate::{Transport, Watch};

pub use self::download::LeaseDownload;
pub use self::error::LeaseError;

const STATE: &str = "state";
const INFO: &str = "info";
const ERROR: &str = "error";
/// If the host does not say when it takes silence for the end.
const TIMEOUT: Duration = Duration::from_secs(300);

/// How a lease is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseOptions {
    /// How long the host may take to get ready.
    pub ready: Duration,
}

impl Default for LeaseOptions {
    /// Ten minutes.
    fn default() -> Self {
        Self { ready: Duration::from_secs(600) }
    }
}

/// Something that a lease gives.
#[derive(Clone)]
pub struct LeaseDevice {
    /// Which device it is: ends in the class of its controller, the number of its bus and its unit, as in
    /// `/vm-17/ParaVirtualSCSIController0:1`.
    pub key: String,
    /// What the host calls the file: `disk-0.vmdk`.
    pub file: String,
    /// Whether it is a disk, which comes as a stream-optimised VMDK; else a file as it is.
    pub is_disk: bool,
    /// The size of a file that is no disk, in bytes.
    pub size_bytes: Option<u64>,
    /// With the ticket, which gives access to whoever knows it.
    url: String,
    thumbprint: String,
}

impl std::fmt::Debug for LeaseDevice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LeaseDevice")
            .field("key", &self.key)
            .field("file", &self.file)
            .field("is_disk", &self.is_disk)
            .finish_non_exhaustive()
    }
}

/// A lease that is ready. [`complete`](Self::complete) or [`abort`](Self::abort) ends it; dropping it aborts it in the
/// background, if there is time.
#[derive(Debug)]
pub struct Lease {
    inner: Arc<Inner>,
    keeper: AbortHandle,
}

#[derive(Debug)]
struct Inner {
    held: Held,
    devices: Vec<LeaseDevice>,
    capacity_bytes: u64,
    timeout: Duration,
    /// How far each device is, in bytes of its disk.
    positions: Vec<AtomicU64>,
    /// Why the lease is no more, as soon as that is known.
    lost: watch::Sender<Option<String>>,
    /// Connections to the hosts that devices are on, by `scheme://host:port`.
    others: Mutex<HashMap<String, Transport>>,
}

/// A lease that the host holds for us, and knows no more when this is dropped.
#[derive(Debug)]
struct Held {
    client: Client,
    moref: MoRef,
    ended: AtomicBool,
}

impl Drop for Held {
    /// Tells the host in the background, if there is a runtime to do so.
    fn drop(&mut self) {
        if self.ended.swap(true, Ordering::SeqCst) {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (client, lease) = (self.client.clone(), self.moref.clone());
        runtime.spawn(async move {
            // One that has ended already is refused.
            let abort = HttpNfcLeaseAbort { fault: None };
            let abort = client.call(&lease, &abort);
            let _unheard = tokio::time::timeout(Client::FAREWELL, abort).await;
        });
    }
}

impl Client {
    /// Asks for the disks of a machine that is off (VI API `ExportVm`), and waits until they can be read. Until the lease
    /// ends, the host refuses what would change the machine.
    ///
    /// Whoever drops the future leaves no lease behind.
    ///
    /// # Errors
    /// A fault `InvalidPowerState` if the machine is not off; [`Error::TaskFailed`] if the host cannot get the lease ready,
    /// [`LeaseError::NotReady`] if it does not in time.
    pub async fn export_machine(&self, machine: &MoRef, options: LeaseOptions) -> Result<Lease> {
        self.lease(machine, ExportVm {}, options).await
    }

    /// Asks for the disks of a snapshot as they were then (VI API `ExportSnapshot`, since 5.5); the machine may run.
    ///
    /// # Errors
    /// As [`export_machine`](Self::export_machine); [`Error::TooOld`] for hosts before 5.5.
    pub async fn export_snapshot(&self, snapshot: &MoRef, options: LeaseOptions) -> Result<Lease> {
        self.lease(snapshot, ExportSnapshot {}, options).await
    }

    async fn lease<M>(&self, entity: &MoRef, method: M, options: LeaseOptions) -> Result<Lease>
    where
        M: Method<Output = MoRef> + Send + Sync + 'static,
    {
        let started = Instant::now();
        let (client, this) = (self.clone(), entity.clone());
        // In a task of its own: if nobody waits any more, the host's answer is still heard, and the lease given back.
        let begun = tokio::spawn(async move {
            let moref = client.call(&this, &method).await?;
            Ok::<_, Error>(Held { client, moref, ended: AtomicBool::new(false) })
        });
        let held = match begun.await {
            Ok(held) => held?,
            Err(broken) => return Err(LeaseError::Lost { why: broken.to_string() }.into()),
        };
        let late = || LeaseError::NotReady { lease: held.moref.clone(), after: options.ready };
        let left = options.ready.saturating_sub(started.elapsed());
        let info = match tokio::time::timeout(left, held.ready(M::NAME, entity)).await {
            Ok(info) => info?,
            Err(_) => return Err(late().into()),
        };
        Ok(Lease::new(held, info))
    }
}

impl Held {
    /// Waits until the lease is ready.
    async fn ready(&self, method: &'static str, entity: &MoRef) -> Result<HttpNfcLeaseInfo> {
        let mut watch = None;
        loop {
            // Mostly it is ready at once: then there is nothing to watch.
            let retrieval = Retrieval::from(&self.moref).read("HttpNfcLease", [STATE, INFO, ERROR]);
            let found = self.client.retrieve(&retrieval).await?;
            let row = found.objects.first();
            let decode = |source| Error::Decode {
                endpoint: self.client.transport().endpoint().to_string(),
                method,
                source,
            };
            let state: Option<HttpNfcLeaseState> =
                row.map(|row| row.get(STATE)).transpose().map_err(decode)?.flatten();
            match state {
                Some(HttpNfcLeaseState::Ready) => {
                    let info: Option<HttpNfcLeaseInfo> =
                        row.map(|row| row.get_lenient(INFO)).transpose().map_err(decode)?.flatten();
                    if let Some(info) = info {
                        if let Some(watch) = watch.take().map(Watch::close)
                            && let Err(error) = watch.await
                        {
                            tracing::debug!(%error, "the watch of a lease has not ended well");
                        }
                        return Ok(info);
                    }
                }
                Some(HttpNfcLeaseState::Error) => {
                    self.ended.store(true, Ordering::SeqCst);
                    let error: Option<Object> =
                        row.and_then(|row| row.get_lenient(ERROR).ok().flatten());
                    let fault = Box::new(task_fault(error));
                    return Err(Error::TaskFailed { method, target: entity.clone(), fault });
                }
                Some(HttpNfcLeaseState::Done) | None => {
                    self.ended.store(true, Ordering::SeqCst);
                    let why = "it has ended before it was ready".to_owned();
                    return Err(LeaseError::Lost { why }.into());
                }
                // Or a state that we do not know.
                Some(_) => {}
            }
            let watched = match &mut watch {
                Some(watched) => watched,
                None => {
                    let retrieval = Retrieval::from(&self.moref).read("HttpNfcLease", [STATE]);
                    watch.insert(self.client.watch(&retrieval).await?)
                }
            };
            // The first look tells at once what is known already, in case it has changed since.
            watched.next(None).await?;
        }
    }

    async fn end<M: Method<Output = ()> + Sync>(&self, method: M) -> Result<()> {
        // Set only afterwards: whoever is cancelled before has it still to do.
        let result = self.client.call(&self.moref, &method).await;
        if result.is_ok() || result.as_ref().is_err_and(|error| error.fault().is_some()) {
            self.ended.store(true, Ordering::SeqCst);
        }
        result
    }
}

impl Lease {
    fn new(held: Held, info: HttpNfcLeaseInfo) -> Self {
        let devices: Vec<_> = info
            .device_url
            .into_iter()
            .map(|device| {
                let path = device.url.split('?').next().unwrap_or_default();
                let file = path.rsplit('/').next().unwrap_or_default().to_owned();
                // Before API 4.1 nothing says so, and there are only disks.
                let is_disk = device.disk.unwrap_or_else(|| file.ends_with(".vmdk"));
                LeaseDevice {
                    is_disk,
                    size_bytes: device.file_size.and_then(|size| u64::try_from(size).ok()),
                    key: device.key,
                    file,
                    url: device.url,
                    thumbprint: device.ssl_thumbprint,
                }
            })
            .collect();
        let seconds = u64::try_from(info.lease_timeout).ok().filter(|seconds| *seconds > 0);
        let inner = Arc::new(Inner {
            held,
            positions: devices.iter().map(|_| AtomicU64::new(0)).collect(),
            devices,
            capacity_bytes: u64::try_from(info.total_disk_capacity_in_kb).unwrap_or(0) << 10,
            timeout: seconds.map_or(TIMEOUT, Duration::from_secs),
            lost: watch::Sender::new(None),
            others: Mutex::default(),
        });
        let keeper = tokio::spawn(keeper::keep(Arc::downgrade(&inner))).abort_handle();
        Self { inner, keeper }
    }

    /// What the lease gives.
    pub fn devices(&self) -> &[LeaseDevice] {
        &self.inner.devices
    }

    /// Says how far a device has been read, in bytes of the disk that it stands for: the host is told with the next sign of
    /// life.
    pub fn report(&self, device: usize, position: u64) {
        if let Some(known) = self.inner.positions.get(device) {
            known.fetch_max(position, Ordering::Relaxed);
        }
    }

    /// Begins to read a device, by its place among [`devices`](Self::devices).
    ///
    /// # Errors
    /// [`LeaseError`]; any [`crate::TransportError`] that cannot be waited out.
    pub async fn open(&self, device: usize) -> Result<LeaseDownload> {
        LeaseDownload::open(&self.inner, device).await
    }

    /// Ends the lease: everything that was wanted has been read (`HttpNfcLeaseComplete`).
    ///
    /// # Errors
    /// If the host knows the lease no more.
    pub async fn complete(&self) -> Result<()> {
        self.keeper.abort();
        self.inner.held.end(HttpNfcLeaseComplete {}).await
    }

    /// Gives the lease up (`HttpNfcLeaseAbort`). A lease that has ended already is no error.
    ///
    /// # Errors
    /// If the host cannot be told.
    pub async fn abort(&self) -> Result<()> {
        self.keeper.abort();
        match self.inner.held.end(HttpNfcLeaseAbort { fault: None }).await {
            Err(error) if error.fault().is_some() => Ok(()),
            result => result,
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

impl Inner {
    /// How far the whole is: 100 is for when the lease is complete.
    fn percent(&self) -> i32 {
        let done: u64 = self.positions.iter().map(|p| p.load(Ordering::Relaxed)).sum();
        match self.capacity_bytes {
            0 => 0,
            capacity => i32::try_from(done.saturating_mul(100) / capacity).unwrap_or(99).min(99),
        }
    }

    /// The lease is no more.
    fn lose(&self, why: String) {
        tracing::debug!(why, "the lease has ended");
        self.held.ended.store(true, Ordering::SeqCst);
        self.lost.send_replace(Some(why));
    }

    /// The connection to where a device is, and the path there.
    fn place(&self, device: &LeaseDevice) -> Result<(Transport, String)> {
        let own = self.held.client.transport();
        let bad = |problem| LeaseError::BadUrl { device: device.file.clone(), problem };
        let place = Place::find(&device.url, &device.thumbprint, own.endpoint()).map_err(bad)?;
        let path = place.path().to_owned();
        let Place::Other { endpoint, .. } = place else { return Ok((own.clone(), path)) };
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        let transport = match others.get(&endpoint.base_url()) {
            Some(known) => known.clone(),
            None => {
                let key = endpoint.base_url();
                let new = Transport::new(*endpoint)?;
                others.insert(key, new.clone());
                new
            }
        };
        Ok((transport, path))
    }

    /// Holds what has arrived of a device against what the host says that it has sent. Hosts that do not say are believed.
    async fn check(&self, device: &LeaseDevice, bytes: u64, sha1: &str) -> Result<()> {
        let client = &self.held.client;
        if client.api_version() < HttpNfcLeaseGetManifest::SINCE {
            return Ok(());
        }
        let entries = match client.call(&self.held.moref, &HttpNfcLeaseGetManifest {}).await {
            Ok(entries) => entries,
            Err(error) if error.fault().is_some() => {
                tracing::debug!(%error, "the host has no manifest");
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let Some(entry) = entries.iter().find(|entry| entry.key == device.key) else {
            return Ok(());
        };
        let different = |what| LeaseError::Different { device: device.file.clone(), what };
        if u64::try_from(entry.size).is_ok_and(|size| size > 0 && size != bytes) {
            return Err(different("size").into());
        }
        if !entry.sha1.is_empty() && !entry.sha1.eq_ignore_ascii_case(sha1) {
            return Err(different("checksum").into());
        }
        Ok(())
    }
}
