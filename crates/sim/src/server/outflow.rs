//! A connection that can tell a body when all that went before has left.
//!
//! A body that breaks off would take with it what hyper has not written yet; with this it breaks off at the byte that the
//! plan named.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What a connection and a body on it share.
#[derive(Debug, Default)]
pub(super) struct Outflow {
    state: Mutex<State>,
    /// After how many more bytes the connection breaks, plus one; 0 for never.
    left: AtomicU64,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Idle,
    /// The body waits.
    Wanted(Waker),
    Flushed,
}

impl Outflow {
    /// Lets the connection break after so many more bytes.
    pub(super) fn break_after(&self, bytes: u64) {
        self.left.store(bytes.saturating_add(1), Ordering::SeqCst);
    }

    /// How many bytes may still be written; an error if the connection is to break now.
    fn allowed(&self) -> io::Result<usize> {
        match self.left.load(Ordering::SeqCst) {
            0 => Ok(usize::MAX),
            1 => Err(io::ErrorKind::ConnectionAborted.into()),
            left => Ok(usize::try_from(left - 1).unwrap_or(usize::MAX)),
        }
    }

    fn wrote(&self, bytes: usize) {
        if self.left.load(Ordering::SeqCst) > 0 {
            self.left.fetch_sub(bytes as u64, Ordering::SeqCst);
        }
    }

    /// Ready as soon as everything has been written since it was first asked.
    pub(super) fn poll_flushed(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*state, State::Flushed) {
            return Poll::Ready(());
        }
        *state = State::Wanted(cx.waker().clone());
        Poll::Pending
    }

    fn flushed(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let State::Wanted(waker) = &*state {
            waker.wake_by_ref();
            *state = State::Flushed;
        }
    }
}

/// A stream that tells its [`Outflow`].
#[derive(Debug)]
pub(super) struct Told<S> {
    pub(super) stream: S,
    pub(super) outflow: Arc<Outflow>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Told<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Told<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let most = self.outflow.allowed()?.min(bytes.len());
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &bytes[..most]))?;
        self.outflow.wrote(written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = ready!(Pin::new(&mut self.stream).poll_flush(cx));
        self.outflow.flushed();
        Poll::Ready(result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.outflow.allowed()? < usize::MAX {
            let first = slices.iter().find(|slice| !slice.is_empty());
            return self.poll_write(cx, first.map_or(&[], |slice| slice));
        }
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
