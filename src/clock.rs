//! The two clocks of the process, and the only place that reads them.

use portolan_core::time::{Time, Timestamp};

/// Monotonic and wall-clock time. Clones share their start.
#[derive(Clone, Debug)]
pub struct Clock {
    start: tokio::time::Instant,
}

impl Clock {
    /// A clock that starts now. On tokio's paused time it follows that.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the monotonic clock")]
    pub fn start() -> Self {
        Self { start: tokio::time::Instant::now() }
    }

    /// Monotonic time since the start.
    pub fn now(&self) -> Time {
        Time::default() + self.start.elapsed()
    }

    /// The tokio instant of a time, for sleeping until it.
    pub fn instant(&self, time: Time) -> tokio::time::Instant {
        self.start + time.since(Time::default())
    }

    /// Seconds since 1970.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
    pub fn timestamp(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
    }

    /// The wall clock in RFC 3339, at the resolution of Kubernetes' timestamps.
    pub fn rfc3339(&self) -> String {
        jiff::Timestamp::from_second(self.timestamp().0).unwrap_or_default().to_string()
    }
}
