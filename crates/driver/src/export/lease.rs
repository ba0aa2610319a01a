//! Disks by an export lease: whole, without their snapshots, wherever their data lie.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use esx_vi_api::MoRef;
use esx_vi_client::{Lease, LeaseDevice, LeaseDownload, LeaseOptions};
use esx_vmx::vmdk::StreamCheck;
use esx_vmx_domain::{DriveBus, DrivePlace};
use tokio::sync::Mutex;
use virt_api::{Chunk, Domain, Error, ErrorDomain, Result, Stream};

use crate::connection::Session;
use crate::error::{storage_error, vi_error};

/// How much larger or smaller than the machine's configuration says a disk may be: hosts round.
const ROUNDING: u64 = 1 << 20;

/// What a lease is for.
pub(super) enum Source {
    /// A machine that is off.
    Machine(MoRef),
    /// The machine's snapshot of this name.
    Snapshot(String),
}

/// A lease, and how many of the transfers from it have not come to their end.
#[derive(Clone)]
pub(super) struct Held {
    lease: Arc<Lease>,
    open: Arc<AtomicUsize>,
}

impl Held {
    /// Asks the host for a lease.
    pub(super) async fn begin(
        session: &Session,
        domain: &Domain,
        source: &Source,
        what: &str,
    ) -> Result<Self> {
        let options = LeaseOptions::default();
        let lease = match source {
            Source::Machine(machine) => session.client.export_machine(machine, options).await,
            Source::Snapshot(name) => {
                let snapshot = session.snapshot_moref(domain, name).await?;
                session.client.export_snapshot(&snapshot, options).await
            }
        };
        let lease = lease.map_err(|error| vi_error(what, error))?;
        Ok(Self { lease: Arc::new(lease), open: Arc::default() })
    }

    /// A stream of the disk that hangs there.
    pub(super) async fn open(&self, disk: &LeasedDisk, what: String) -> Result<LeaseStream> {
        let device = find(self.lease.devices(), disk).ok_or_else(|| {
            let message = format!("{what}: the lease does not tell which of its files that is");
            Error::internal(ErrorDomain::Esx, message)
        })?;
        // Before it begins: whoever gives up in the middle of it has not come to the end, either.
        self.open.fetch_add(1, Ordering::SeqCst);
        let download = self.lease.open(device).await.map_err(|e| storage_error(&what, e))?;
        Ok(LeaseStream {
            left: Mutex::new(Some(Open { download, check: StreamCheck::new() })),
            held: self.clone(),
            device,
            capacity_bytes: disk.capacity_bytes,
            what,
        })
    }

    /// Ends the lease. That the host has forgotten it already is no error.
    pub(super) async fn end(&self) -> Result<()> {
        let whole = self.open.load(Ordering::SeqCst) == 0;
        let ended = if whole { self.lease.complete().await } else { self.lease.abort().await };
        match ended {
            Err(error) if error.fault().is_some() => {
                tracing::debug!(%error, "the lease has ended before");
                Ok(())
            }
            ended => ended.map_err(|error| vi_error("cannot end the lease of the export", error)),
        }
    }
}

/// A disk as a lease has to know it.
#[derive(Clone, Debug)]
pub(super) struct LeasedDisk {
    pub(super) place: DrivePlace,
    pub(super) capacity_bytes: u64,
    /// Whether the machine has no other.
    pub(super) only: bool,
}

/// The device of a lease that a disk is.
fn find(devices: &[LeaseDevice], disk: &LeasedDisk) -> Option<usize> {
    let disks = || devices.iter().enumerate().filter(|(_, device)| device.is_disk);
    let mut named = disks().filter(|(_, device)| place(&device.key) == Some(disk.place));
    match (named.next(), named.next()) {
        (Some((index, _)), None) => Some(index),
        // A key that says nothing: where there is one of both, they are the same.
        (None, _) if disk.only && disks().count() == 1 => disks().next().map(|(index, _)| index),
        _ => None,
    }
}

/// What the key of a device says: `/vm-17/ParaVirtualSCSIController0:1`.
fn place(key: &str) -> Option<DrivePlace> {
    let (controller, unit) = key.rsplit('/').next()?.rsplit_once(':')?;
    let class = controller.trim_end_matches(|c: char| c.is_ascii_digit());
    let number = controller[class.len()..].parse().ok()?;
    let bus = match class {
        _ if class.contains("IDE") => DriveBus::Ide,
        _ if class.contains("AHCI") || class.contains("SATA") => DriveBus::Sata,
        _ if class.contains("NVME") => DriveBus::Nvme,
        _ if class.contains("SCSI") || class.contains("Logic") => DriveBus::Scsi,
        _ => return None,
    };
    Some(DrivePlace { bus, controller: number, unit: unit.parse().ok()? })
}

/// A disk on its way here, looked at as it passes.
pub(super) struct LeaseStream {
    /// `None` when it has ended.
    left: Mutex<Option<Open>>,
    held: Held,
    device: usize,
    capacity_bytes: u64,
    what: String,
}

struct Open {
    download: LeaseDownload,
    check: StreamCheck,
}

impl LeaseStream {
    fn wrong(&self, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        Error::internal(ErrorDomain::Esx, self.what.clone()).with_source(error)
    }

    /// The next piece of what is open; `None` when all of it has come and is as it should be.
    async fn next(&self, open: &mut Open) -> Result<Option<Chunk>> {
        let piece = open.download.chunk().await.map_err(|e| storage_error(&self.what, e))?;
        let Some(bytes) = piece else {
            open.check.finish().map_err(|error| self.wrong(error))?;
            return Ok(None);
        };
        open.check.push(&bytes).map_err(|error| self.wrong(error))?;
        if let Some(capacity) = open.check.capacity_bytes()
            && self.capacity_bytes > 0
            && capacity.abs_diff(self.capacity_bytes) >= ROUNDING
        {
            let expected = self.capacity_bytes;
            return Err(self.wrong(format!(
                "the host sends a disk of {capacity} bytes, but this one has {expected}"
            )));
        }
        self.held.lease.report(self.device, open.check.position_bytes());
        Ok(Some(Chunk::Data(bytes)))
    }
}

#[async_trait]
impl Stream for LeaseStream {
    async fn recv(&self) -> Result<Option<Chunk>> {
        let mut left = self.left.lock().await;
        let Some(open) = left.as_mut() else { return Ok(None) };
        let next = self.next(open).await;
        if !matches!(next, Ok(Some(_))) {
            *left = None;
        }
        if matches!(next, Ok(None)) {
            self.held.open.fetch_sub(1, Ordering::SeqCst);
        }
        next
    }

    async fn finish(&self) -> Result<()> {
        if self.left.lock().await.take().is_none() {
            return Ok(());
        }
        let message = format!("{}: the stream has not been read to its end", self.what);
        Err(Error::internal(ErrorDomain::Streams, message))
    }

    async fn abort(&self) -> Result<()> {
        self.left.lock().await.take();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_name_places() {
        let table: String = [
            "/vm-17/ParaVirtualSCSIController0:1",
            "/1/VirtualLsiLogicSASController2:15",
            "VirtualBusLogicController0:0",
            "/vm-17/VirtualIDEController1:0",
            "/vm-17/VirtualAHCIController0:29",
            "/vm-17/VirtualNVMEController10:3",
            "/vm-17/nvram",
            "/vm-17/VirtualFloppyController0:0",
            "/vm-17/ParaVirtualSCSIController:1",
            "/vm-17/ParaVirtualSCSIController0:x",
            "",
        ]
        .into_iter()
        .map(|key| match place(key) {
            Some(DrivePlace { bus, controller, unit }) => {
                format!("{key} -> {bus:?} {controller} {unit}\n")
            }
            None => format!("{key} -> no\n"),
        })
        .collect();
        insta::assert_snapshot!(table);
    }
}
