//! What users of the library choose and are told.

use std::time::{Duration, SystemTime};

/// How a live view behaves (`OpenOptions::live_view`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveViewOptions {
    /// How long one request waits for updates when nothing happens; whole seconds. Then the host is asked again, so a host that
    /// has silently gone is noticed after this and [`answer_within`](Self::answer_within) together.
    pub longest_wait: Duration,
    /// How long an answer that is due may take before updates count as stalled.
    pub answer_within: Duration,
}

impl Default for LiveViewOptions {
    fn default() -> Self {
        Self { longest_wait: Duration::from_secs(30), answer_within: Duration::from_secs(10) }
    }
}

/// Where reads are answered from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LiveViewState {
    /// The host: the connection was opened without a view.
    Off,
    /// The host, for ever: its API has no updates to wait for (before 4.1).
    Unsupported,
    /// Nothing has been read yet; the first read starts the view.
    Idle,
    /// The host; lists wait for the view, which is being read.
    Building,
    /// The view.
    Live,
    /// The host, until the view has been built again, which is tried by itself, with growing pauses.
    Down,
    /// Nowhere: the connection is closed.
    Closed,
}

impl std::fmt::Display for LiveViewState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Off => "off",
            Self::Unsupported => "unsupported",
            Self::Idle => "idle",
            Self::Building => "building",
            Self::Live => "live",
            Self::Down => "down",
            Self::Closed => "closed",
        })
    }
}

/// How a connection's live view is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveViewStatus {
    /// Where reads are answered from.
    pub state: LiveViewState,
    /// Since when.
    pub since: SystemTime,
    /// Why, if the state is not as one would like it; one phrase.
    pub reason: Option<String>,
    /// When the host last answered a request for updates: what is told was true then.
    pub heard: Option<SystemTime>,
    /// How many machines are known.
    pub machines: usize,
    /// What they and everything else take in memory, in bytes, without what the allocator adds.
    pub bytes: usize,
}

impl LiveViewStatus {
    pub(crate) fn off() -> Self {
        Self {
            state: LiveViewState::Off,
            since: SystemTime::UNIX_EPOCH,
            reason: None,
            heard: None,
            machines: 0,
            bytes: 0,
        }
    }
}
