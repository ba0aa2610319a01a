//! Going on with a wait that has broken: with the connection, or because the collector went with its session.

use super::{MAX_BROKEN, PAUSE};
use crate::client::Client;
use crate::collector::Retrieval;
use crate::error::{Error, Result};
use crate::updates::Watch;

/// How often in a row a wait has broken.
#[derive(Debug, Default)]
pub(super) struct Again {
    broken: u32,
}

/// What became of the objects that were watched.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// They are watched again; how they are now is told by the next look.
    Again,
    /// The task is gone: hosts forget tasks some minutes after their end, and all of them when they restart.
    Gone,
}

impl Again {
    /// Watches `retrieval` again in place of `watch`, if `error` is one that this can mend.
    ///
    /// # Errors
    /// `error` itself if it is not, the last of several if the host does not come back in time.
    pub(super) async fn watch(
        &mut self,
        client: &Client,
        watch: &mut Watch,
        retrieval: &Retrieval,
        error: Error,
    ) -> Result<Found> {
        let collector_gone =
            error.is_fault("ManagedObjectNotFound") || error.is_fault("InvalidCollectorVersion");
        if !collector_gone && !is_unreachable(&error) {
            return Err(error);
        }
        watch.abandon();
        let (mut error, mut pause) = (error, !collector_gone);
        while self.broken < MAX_BROKEN {
            tracing::debug!(%error, "watching the task again");
            if pause {
                client.transport().pause(PAUSE * 2u32.pow(self.broken)).await;
            }
            self.broken += 1;
            match client.watch(retrieval).await {
                Ok(new) => {
                    *watch = new;
                    return Ok(Found::Again);
                }
                Err(lost) if lost.is_lost_collector() => (error, pause) = (lost, false),
                Err(gone) if gone.is_fault("ManagedObjectNotFound") => return Ok(Found::Gone),
                Err(Error::Transport(again)) => (error, pause) = (Error::Transport(again), true),
                Err(other) => return Err(other),
            }
        }
        Err(error)
    }
}

fn is_unreachable(error: &Error) -> bool {
    matches!(error, Error::Transport(e) if e.is_before_send()) || error.is_broken()
}
