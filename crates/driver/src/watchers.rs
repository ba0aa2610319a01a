//! Who has a say, or an ear, while operations of a connection run.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::broadcast::{self, Receiver, Sender, error::RecvError};
use virt_api::{
    Domain, DomainProgress, ProgressCallback, ProgressStream, QuestionCallback, VolumeProgress,
};

/// News that a slow reader of a [`ProgressStream`] may be behind before it misses the oldest: some hundred operations at once
/// tell theirs in between.
const BEHIND: usize = 256;

/// The caller's ears and mouth.
pub(crate) struct Watchers {
    pub(crate) questions: Option<Arc<dyn QuestionCallback>>,
    progress: Option<Arc<dyn ProgressCallback>>,
    /// `None` once the connection is closed.
    streams: Mutex<Option<Sender<DomainProgress>>>,
    /// When waiting for an operation is given up.
    pub(crate) timeout: Option<Duration>,
}

impl Watchers {
    pub(crate) fn new(
        questions: Option<Arc<dyn QuestionCallback>>,
        progress: Option<Arc<dyn ProgressCallback>>,
        timeout: Option<Duration>,
    ) -> Self {
        let streams = Mutex::new(Some(broadcast::channel(BEHIND).0));
        Self { questions, progress, streams, timeout }
    }

    /// What an operation on this domain tells its percentages; each is passed on once.
    pub(crate) fn teller(
        &self,
        domain: Domain,
        operation: &'static str,
    ) -> impl Fn(u8) + Send + Sync + 'static {
        let callback = self.progress.clone();
        let streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let told = Mutex::new(None);
        move |percent| {
            let before = told.lock().unwrap_or_else(PoisonError::into_inner).replace(percent);
            if before == Some(percent) {
                return;
            }
            let progress = DomainProgress { domain: domain.clone(), operation, percent };
            if let Some(callback) = &callback {
                callback.progress(&progress);
            }
            if let Some(streams) = &streams {
                // That nobody listens is no failure.
                let _ = streams.send(progress);
            }
        }
    }

    /// The same for an operation on a volume; streams tell nothing of these.
    pub(crate) fn volume_teller(
        &self,
        pool: &str,
        volume: &str,
        operation: &'static str,
    ) -> Option<impl Fn(u8) + Send + Sync + 'static> {
        let callback = self.progress.clone()?;
        let (pool, volume) = (pool.to_owned(), volume.to_owned());
        let told = Mutex::new(None);
        Some(move |percent| {
            let before = told.lock().unwrap_or_else(PoisonError::into_inner).replace(percent);
            if before != Some(percent) {
                let (pool, volume) = (pool.clone(), volume.clone());
                callback.volume_progress(&VolumeProgress { pool, volume, operation, percent });
            }
        })
    }

    /// A stream of all progress from now on.
    pub(crate) fn listen(&self) -> Listener {
        let streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        Listener(streams.as_ref().map(Sender::subscribe))
    }

    /// Ends the streams as soon as the operations that run have ended.
    pub(crate) fn close(&self) {
        drop(self.streams.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// [`Driver::progress`](virt_api::Driver::progress).
pub(crate) struct Listener(Option<Receiver<DomainProgress>>);

#[async_trait]
impl ProgressStream for Listener {
    async fn next(&mut self) -> Option<DomainProgress> {
        let receiver = self.0.as_mut()?;
        loop {
            match receiver.recv().await {
                Ok(progress) => return Some(progress),
                Err(RecvError::Lagged(missed)) => tracing::debug!(missed, "progress was not read"),
                Err(RecvError::Closed) => return None,
            }
        }
    }
}
