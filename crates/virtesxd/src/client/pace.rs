//! Clients that ask one thing after the other, as `virsh list` does: five thousand states, each as soon as the last is known.
//!
//! To put a thread to sleep and to wake it takes the system longer than such a client needs for its next call, so whoever serves one looks for that
//! call a moment longer before it sleeps. Nobody else is kept waiting: between two looks the other tasks have their turn. A client that pauses once
//! is not waited for like that until it has been quick again.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

/// How long is looked for the next call, and how soon it must come to count as quick.
const MOMENT: Duration = Duration::from_micros(100);
/// So many quick calls in a row make a quick client.
const ROW: u32 = 4;

/// How quick a client is.
#[derive(Debug, Default)]
pub(super) struct Pace {
    answered: Option<Instant>,
    row: u32,
}

impl Pace {
    /// A call was answered at once.
    pub(super) fn answered(&mut self) {
        self.answered = Some(Instant::now());
    }

    /// A packet has come.
    pub(super) fn called(&mut self) {
        let Some(answered) = self.answered.take() else { return };
        self.row = if answered.elapsed() < MOMENT { self.row.saturating_add(1) } else { 0 };
    }

    /// What the future yields, if it does so in a moment and the client is quick. Not to be called for what has nothing to do with the client's next call.
    pub(super) async fn soon<F: Future>(&mut self, mut future: Pin<&mut F>) -> Option<F::Output> {
        if self.row < ROW || self.answered.is_none() {
            return None;
        }
        let begun = Instant::now();
        loop {
            let look = poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await;
            if let Poll::Ready(found) = look {
                return Some(found);
            }
            if begun.elapsed() >= MOMENT {
                self.row = 0;
                return None;
            }
            tokio::task::yield_now().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::pin::pin;

    use super::*;

    #[tokio::test]
    async fn only_quick_clients_are_waited_for_and_not_for_long() {
        let mut pace = Pace::default();
        assert_eq!(pace.soon(pin!(ready(1))).await, None, "nothing is known of it");
        // No clock is asked whether a test is quick: the row is set.
        pace.row = ROW;
        assert_eq!(pace.soon(pin!(ready(1))).await, None, "nothing was answered");
        pace.answered();
        assert_eq!(pace.soon(pin!(ready(1))).await, Some(1));
        assert_eq!(pace.soon(pin!(pending::<()>())).await, None);
        assert_eq!(pace.row, 0, "it has to be quick again");
        pace.row = ROW;
        pace.answered = Instant::now().checked_sub(2 * MOMENT);
        pace.called();
        assert_eq!(pace.row, 0);
    }
}
