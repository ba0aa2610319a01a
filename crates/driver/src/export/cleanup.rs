//! What an export has made on the host, and how it goes away again, whatever happens.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use virt_api::{Domain, ErrorCode, Result, Snapshot, SnapshotDeleteFlags};

use super::lease::Held;
use crate::connection::Session;

/// How often, and with which pause in between, it is looked whether a snapshot is still being made.
const LOOKS: (u32, Duration) = (60, Duration::from_secs(1));

/// Holds the lease and the snapshot that are to be taken away. Dropped with them, it does so in the background.
pub(super) struct Cleanup {
    session: Arc<Session>,
    domain: Domain,
    snapshot: Mutex<Option<String>>,
    /// The host has said that the snapshot is there.
    is_made: AtomicBool,
    lease: Mutex<Option<Held>>,
}

impl Cleanup {
    pub(super) fn new(session: Arc<Session>, domain: Domain) -> Self {
        let (snapshot, lease) = (Mutex::default(), Mutex::default());
        Self { session, domain, snapshot, is_made: AtomicBool::new(false), lease }
    }

    /// A snapshot of this name is about to be made. It is looked for by its name, which is no other's: if making it is
    /// cancelled half-way, it may be there or not.
    pub(super) fn will_make(&self, snapshot: &str) {
        *self.snapshot.lock().unwrap_or_else(PoisonError::into_inner) = Some(snapshot.to_owned());
    }

    /// The snapshot is there.
    pub(super) fn has_made(&self) {
        self.is_made.store(true, Ordering::Release);
    }

    /// The snapshot's name, if one was made.
    pub(super) fn snapshot(&self) -> Option<String> {
        self.snapshot.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A lease is held.
    pub(super) fn has(&self, lease: Held) {
        *self.lease.lock().unwrap_or_else(PoisonError::into_inner) = Some(lease);
    }

    /// The lease that is held.
    pub(super) fn lease(&self) -> Option<Held> {
        self.lease.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes both away. A second call does nothing.
    pub(super) async fn run(&self) -> Result<()> {
        // The host keeps a snapshot for as long as there is a lease on it.
        let ended = match self.lease() {
            Some(lease) => lease.end().await,
            None => Ok(()),
        };
        if ended.is_ok() {
            *self.lease.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        let snapshot = self.snapshot.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(name) = snapshot {
            let is_made = self.is_made.load(Ordering::Acquire);
            take_away(&self.session, &self.domain, name, is_made).await?;
            // Only now: whoever is cancelled before has it still to do.
            *self.snapshot.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        ended
    }
}

impl Drop for Cleanup {
    fn drop(&mut self) {
        let lease = self.lease.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        let name = self.snapshot.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if lease.is_none() && name.is_none() {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (session, domain) = (Arc::clone(&self.session), self.domain.clone());
        let is_made = self.is_made.load(Ordering::Acquire);
        runtime.spawn(async move {
            if let Some(lease) = lease
                && let Err(error) = lease.end().await
            {
                tracing::warn!(%error, domain = domain.name, "an export left its lease behind");
            }
            let Some(name) = name else { return };
            if let Err(error) = take_away(&session, &domain, name, is_made).await {
                tracing::warn!(%error, domain = domain.name, "an export left its snapshot behind");
            }
        });
    }
}

/// Deletes the snapshot. One that may still be made, since it was given up half-way, is waited for.
async fn take_away(session: &Session, domain: &Domain, name: String, is_made: bool) -> Result<()> {
    if !is_made {
        let (looks, pause) = LOOKS;
        for look in 1..=looks {
            // A request that was given up may reach the host a little later.
            tokio::time::sleep(pause / if look == 1 { 4 } else { 1 }).await;
            if !session.is_making_snapshot(domain).await? {
                break;
            }
        }
    }
    let snapshot = Snapshot { domain: domain.clone(), name };
    match session.delete_snapshot(&snapshot, SnapshotDeleteFlags::empty()).await {
        // It had not been made.
        Err(error) if error.code == ErrorCode::NoDomainSnapshot => Ok(()),
        result => result,
    }
}
