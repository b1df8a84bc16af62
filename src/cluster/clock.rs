//! The one place that reads clocks. All else is told the time. Follows tokio's time, so that a test can pause it.

use std::time::Duration;

use portolan_core::time::Time;
use tokio::time::Instant;

/// The clocks of this process.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
    /// What the wall clock said at the start, where a test makes the time.
    epoch: Option<jiff::Timestamp>,
}

impl Clock {
    /// A clock whose monotonic time begins now.
    #[expect(clippy::disallowed_methods, reason = "this is where time comes from")]
    pub fn start() -> Self {
        Self { start: Instant::now(), epoch: None }
    }

    /// A clock whose wall time goes with the monotonic one, so that a test which pauses time sees the same timestamps every run.
    #[cfg(all(feature = "sandbox", any(test, feature = "simulation")))]
    pub(crate) fn start_at(epoch: jiff::Timestamp) -> Self {
        Self { epoch: Some(epoch), ..Self::start() }
    }

    /// Monotonic time since the start.
    pub fn now(&self) -> Time {
        Time::default() + self.start.elapsed()
    }

    /// The wall clock, for times that people or other processes read. Nothing is decided by it.
    pub fn wall(&self) -> jiff::Timestamp {
        self.epoch.map_or_else(jiff::Timestamp::now, |epoch| {
            epoch.checked_add(self.start.elapsed()).unwrap_or(jiff::Timestamp::MAX)
        })
    }

    /// Returns at that time; never without one.
    pub async fn sleep_until(&self, time: Option<Time>) {
        match time {
            Some(time) => tokio::time::sleep_until(self.start + Duration::from_nanos(time.as_nanos())).await,
            None => std::future::pending().await,
        }
    }
}
