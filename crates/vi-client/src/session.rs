//! What a client knows of its session: how to open it again, and which one it is.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use esx_vi_api::methods::Login;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tracing::Instrument as _;

/// The session of a client.
#[derive(Debug, Default)]
pub(crate) struct Session {
    /// Another one after each login, so that a call can tell whether the session it was sent in is
    /// still the one that there is.
    number: Arc<AtomicU64>,
    /// The credentials; their `Debug` hides the password. The lock is held while logging in or out,
    /// so that many calls share one login; no other call waits for it.
    login: Arc<Mutex<Option<Login>>>,
}

/// The session while nobody else can open or close it.
pub(crate) struct Held {
    number: Arc<AtomicU64>,
    login: OwnedMutexGuard<Option<Login>>,
}

impl Session {
    pub(crate) fn number(&self) -> u64 {
        self.number.load(Ordering::Acquire)
    }

    pub(crate) async fn hold(&self) -> Held {
        let login = Arc::clone(&self.login).lock_owned().await;
        Held { number: Arc::clone(&self.number), login }
    }
}

impl Held {
    pub(crate) fn number(&self) -> u64 {
        self.number.load(Ordering::Acquire)
    }

    /// The credentials to open it again with; none before the first login and after the logout.
    pub(crate) fn login(&self) -> Option<Login> {
        self.login.clone()
    }

    pub(crate) fn opened(&mut self, login: Login) {
        *self.login = Some(login);
        self.number.fetch_add(1, Ordering::AcqRel);
    }

    /// As [`opened`](Self::opened), for a session of which the credentials may not be known.
    pub(crate) fn resumed(&mut self, login: Option<Login>) {
        *self.login = login;
        self.number.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn closed(&mut self) {
        *self.login = None;
    }
}

/// Does the work to its end, even if this future is dropped: a login that is on its way when its caller gives up would leave a
/// session on the host that nobody knows.
pub(crate) async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> T {
    match tokio::spawn(work.in_current_span()).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is ending, and this with it.
            Err(_) => std::future::pending().await,
        },
    }
}
