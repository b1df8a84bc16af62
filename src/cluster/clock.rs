//! The one place that reads clocks. All else is told the time. Follows tokio's time, so that a test can pause it.

use std::time::Duration;

use portolan_core::time::Time;
use tokio::time::Instant;

/// The clocks of this process.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock whose monotonic time begins now.
    #[expect(clippy::disallowed_methods, reason = "this is where time comes from")]
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// Monotonic time since the start.
    pub fn now(&self) -> Time {
        Time::default() + self.start.elapsed()
    }

    /// The wall clock, for times that people or other processes read. Nothing is decided by it.
    pub fn wall(&self) -> jiff::Timestamp {
        jiff::Timestamp::now()
    }

    /// Returns at that time; never without one.
    pub async fn sleep_until(&self, time: Option<Time>) {
        match time {
            Some(time) => tokio::time::sleep_until(self.start + Duration::from_nanos(time.as_nanos())).await,
            None => std::future::pending().await,
        }
    }
}
