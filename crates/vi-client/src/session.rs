//! What a client knows of its session: how to open it again, and which one it is.

use std::sync::atomic::{AtomicU64, Ordering};

use esx_vi_api::methods::Login;
use tokio::sync::{Mutex, MutexGuard};

/// The session of a client.
#[derive(Debug, Default)]
pub(crate) struct Session {
    /// Another one after each login, so that a call can tell whether the session it was sent in is
    /// still the one that there is.
    number: AtomicU64,
    /// The credentials; their `Debug` hides the password. The lock is held while logging in or out,
    /// so that many calls share one login; no other call waits for it.
    login: Mutex<Option<Login>>,
}

/// The session while nobody else can open or close it.
pub(crate) struct Held<'a> {
    number: &'a AtomicU64,
    login: MutexGuard<'a, Option<Login>>,
}

impl Session {
    pub(crate) fn number(&self) -> u64 {
        self.number.load(Ordering::Acquire)
    }

    pub(crate) async fn hold(&self) -> Held<'_> {
        Held { number: &self.number, login: self.login.lock().await }
    }
}

impl Held<'_> {
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
