//! Time comes in through a handle, so that a simulation can make it.

use std::fmt::Debug;
use std::time::{Duration, SystemTime};

use futures::future::{BoxFuture, FutureExt};
use portolan_core::time::Time;

/// What this provider needs to know of time.
pub trait Clock: Debug + Send + Sync + 'static {
    /// Monotonic time, for budgets and pauses.
    fn now(&self) -> Time;
    /// The time of day, which AWS wants in signatures and by which credentials expire.
    fn wall(&self) -> SystemTime;
    /// Ends once that much time has passed.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;
}

/// The machine's clock, for the real process. It goes with tokio's time, which a test can pause.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    start: tokio::time::Instant,
}

impl SystemClock {
    /// A clock whose monotonic time begins now.
    #[expect(clippy::disallowed_methods, reason = "the one place where this provider's time comes from the machine")]
    pub fn start() -> Self {
        Self { start: tokio::time::Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Time {
        Time::default() + self.start.elapsed()
    }

    #[expect(clippy::disallowed_methods, reason = "the one place where this provider's time comes from the machine")]
    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        tokio::time::sleep(duration).boxed()
    }
}
