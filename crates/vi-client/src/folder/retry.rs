//! When to try again: one gate for all requests of a transfer.
//!
//! ESX hosts answer 503 when several parts of a file are read at once, and recover (users-and-servers.md, fact 6). Whoever
//! is refused closes the gate for all, so that the host gets the pause that it needs.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::{TransportError, Waiting};

/// How long and how often a transfer tries again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The first pause; each further one is twice as long.
    pub first_pause: Duration,
    /// The longest pause, also if the host asks for more (`Retry-After`).
    pub longest_pause: Duration,
    /// After so long without a single byte it is given up.
    pub patience: Duration,
}

impl Default for RetryPolicy {
    /// 250 ms, doubled up to 30 s, for five minutes.
    fn default() -> Self {
        Self {
            first_pause: Duration::from_millis(250),
            longest_pause: Duration::from_secs(30),
            patience: Duration::from_secs(300),
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Gate {
    policy: RetryPolicy,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Grows with each pause: who was refused in an older round does not lengthen this one.
    round: u32,
    failures: u32,
    /// Since when nothing has come.
    since: Option<Instant>,
    opens: Option<Instant>,
}

impl Gate {
    pub(crate) fn new(policy: RetryPolicy) -> Self {
        Self { policy, state: Mutex::default() }
    }

    /// Waits until requests may be sent, or until the time for everything is over; the round to tell
    /// [`failed`](Self::failed).
    pub(crate) async fn pass(&self, end: Option<Instant>) -> u32 {
        loop {
            let (round, opens) = {
                let state = self.state();
                (state.round, state.opens)
            };
            match opens {
                Some(opens) if opens > Instant::now() => {
                    let until = end.map_or(opens, |end| end.min(opens));
                    tokio::time::sleep_until(until).await;
                    if until < opens {
                        return round;
                    }
                }
                _ => return round,
            }
        }
    }

    /// Something has come.
    pub(super) fn succeeded(&self) {
        let mut state = self.state();
        if state.since.is_some() {
            (state.failures, state.since) = (0, None);
        }
    }

    /// A request of this round came to nothing. Returns whether to go on.
    pub(crate) fn failed(&self, round: u32, retry_after: Option<Duration>) -> bool {
        let now = Instant::now();
        let mut state = self.state();
        let since = *state.since.get_or_insert(now);
        if state.round == round {
            state.round += 1;
            let doubled = self.policy.first_pause.saturating_mul(1 << state.failures.min(20));
            let pause = retry_after.unwrap_or(doubled).min(self.policy.longest_pause);
            state.failures += 1;
            let Some(opens) = now.checked_add(pause) else { return false };
            state.opens = Some(opens);
        }
        state.opens.unwrap_or(now).duration_since(since) <= self.policy.patience
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether an exchange that failed like this may succeed later, and after what time the server wants to be asked.
pub(crate) fn transient(error: &TransportError) -> Option<Option<Duration>> {
    match error {
        TransportError::Status { status: 408 | 429 | 502 | 503 | 504, retry_after, .. } => {
            Some(*retry_after)
        }
        // The time for everything does not come back.
        TransportError::Timeout { waiting: Waiting::Total, .. } => None,
        TransportError::Closed { .. }
        | TransportError::Timeout { .. }
        | TransportError::Refused { .. }
        | TransportError::Connect { .. } => Some(None),
        TransportError::Setup { .. }
        | TransportError::Resolve { .. }
        | TransportError::Tls { .. }
        | TransportError::Proxy { .. }
        | TransportError::Status { .. }
        | TransportError::Redirect { .. }
        | TransportError::TooLarge { .. }
        | TransportError::BadContent { .. }
        | TransportError::Other { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn pauses_double_and_end() {
        let policy =
            RetryPolicy { first_pause: SECOND, longest_pause: SECOND * 8, patience: SECOND * 60 };
        let gate = Gate::new(policy);
        let start = Instant::now();
        let mut opened = Vec::new();
        loop {
            let round = gate.pass(None).await;
            opened.push(start.elapsed().as_secs());
            // Four requests of one round are refused: one pause.
            if !(0..4).all(|_| gate.failed(round, None)) {
                break;
            }
        }
        assert_eq!(opened, [0, 1, 3, 7, 15, 23, 31, 39, 47, 55]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_host_asks_for_is_kept_within_bounds() {
        let policy =
            RetryPolicy { first_pause: SECOND, longest_pause: SECOND * 8, patience: SECOND * 60 };
        let gate = Gate::new(policy);
        let start = Instant::now();
        for (asked, opens) in [(Some(SECOND * 3), 3), (Some(SECOND * 3600), 11), (None, 15)] {
            let round = gate.pass(None).await;
            assert!(gate.failed(round, asked));
            gate.pass(None).await;
            assert_eq!(start.elapsed().as_secs(), opens, "{asked:?}");
        }
        gate.succeeded();
        let round = gate.pass(None).await;
        assert!(gate.failed(round, None));
        gate.pass(None).await;
        assert_eq!(start.elapsed().as_secs(), 16);
        // The time for everything ends before the pause does.
        assert!(gate.failed(gate.pass(None).await, Some(SECOND * 8)));
        gate.pass(Some(start + SECOND * 18)).await;
        assert_eq!(start.elapsed().as_secs(), 18);
    }
}
