//! The thread that speaks with all clients.
//!
//! A client like `virsh list` asks thousands of things one after the other, each of which the live view answers in some microseconds. If several threads wait for
//! the clients' sockets, each call wakes one of them beside the one that has answered the last; a thread that alone waits for them wakes
//! nobody (docs/performance.md). What a call has to wait for is the work of the server's own runtime, so that neither a slow host nor a stream keeps
//! another client waiting.

use std::io;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// The thread; dropping this ends it, and whatever it still does.
pub(crate) struct Front {
    handle: Handle,
    _end: oneshot::Sender<()>,
}

impl Front {
    /// Starts it.
    pub(crate) fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel::<()>();
        std::thread::Builder::new().name("clients".to_owned()).spawn(move || {
            // The sender sends nothing: it is dropped.
            let _ = runtime.block_on(ended);
        })?;
        Ok(Self { handle, _end: end })
    }

    /// Where its tasks are started.
    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }
}
