//! What an export has made on the host, and how it goes away again, whatever happens.

use std::sync::{Arc, Mutex, PoisonError};

use virt_api::{Domain, ErrorCode, Result, Snapshot, SnapshotDeleteFlags};

use crate::connection::Session;

/// Holds the snapshot that is to be taken away. Dropped with it, it does so in the background.
pub(super) struct Cleanup {
    session: Arc<Session>,
    domain: Domain,
    snapshot: Mutex<Option<String>>,
}

impl Cleanup {
    pub(super) fn new(session: Arc<Session>, domain: Domain) -> Self {
        Self { session, domain, snapshot: Mutex::default() }
    }

    /// A snapshot of this name is about to be made. It is looked for by its name, which is no other's: if making it is
    /// cancelled half-way, it may be there or not.
    pub(super) fn will_make(&self, snapshot: &str) {
        *self.snapshot.lock().unwrap_or_else(PoisonError::into_inner) = Some(snapshot.to_owned());
    }

    /// Takes it away. A second call does nothing.
    pub(super) async fn run(&self) -> Result<()> {
        let snapshot = self.snapshot.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(name) = snapshot {
            take_away(&self.session, &self.domain, name).await?;
            // Only now: whoever is cancelled before has it still to do.
            *self.snapshot.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        Ok(())
    }
}

impl Drop for Cleanup {
    fn drop(&mut self) {
        let Some(name) = self.snapshot.get_mut().unwrap_or_else(PoisonError::into_inner).take()
        else {
            return;
        };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (session, domain) = (Arc::clone(&self.session), self.domain.clone());
        runtime.spawn(async move {
            if let Err(error) = take_away(&session, &domain, name).await {
                tracing::warn!(%error, domain = domain.name, "an export left its snapshot behind");
            }
        });
    }
}

async fn take_away(session: &Session, domain: &Domain, name: String) -> Result<()> {
    let snapshot = Snapshot { domain: domain.clone(), name };
    match session.delete_snapshot(&snapshot, SnapshotDeleteFlags::empty()).await {
        // It had not been made.
        Err(error) if error.code == ErrorCode::NoDomainSnapshot => Ok(()),
        result => result,
    }
}
