//! Points in time, always an argument: the model has no clock.

use std::time::Duration;

use esx_vi_api::DateTime;

/// A point in time: how long after the start of 1970 it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Timestamp(pub Duration);

impl Timestamp {
    /// The time `seconds` after the start of 1970.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    pub(crate) fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }

    pub(crate) fn date_time(self) -> DateTime {
        DateTime::from_unix_seconds(i64::try_from(self.0.as_secs()).unwrap_or(i64::MAX))
    }
}
