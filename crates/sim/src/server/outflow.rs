//! A connection that can tell a body when all that went before has left.
//!
//! A body that breaks off would take with it what hyper has not written yet; with this it breaks off at the byte that the
//! plan named.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What a connection and a body on it share.
#[derive(Debug, Default)]
pub(super) struct Outflow(Mutex<State>);

#[derive(Debug, Default)]
enum State {
    #[default]
    Idle,
    /// The body waits.
    Wanted(Waker),
    Flushed,
}

impl Outflow {
    /// Ready as soon as everything has been written since it was first asked.
    pub(super) fn poll_flushed(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*state, State::Flushed) {
            return Poll::Ready(());
        }
        *state = State::Wanted(cx.waker().clone());
        Poll::Pending
    }

    fn flushed(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
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
        Pin::new(&mut self.stream).poll_write(cx, bytes)
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
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
