//! Time comes in through a handle, so that a simulation can make it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};

/// Wall-clock time in milliseconds since 1970-01-01T00:00:00Z. It lies in state files, so it must mean the same after a restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Millis(pub u64);

impl Millis {
    /// The time `duration` later.
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }

    /// How long it is until `later`; nothing if that has passed.
    pub fn until(self, later: Self) -> Option<Duration> {
        (later > self).then(|| Duration::from_millis(later.0.saturating_sub(self.0)))
    }
}

/// What the mock needs to know of time.
pub trait Clock: Send + Sync + 'static {
    /// The time of day.
    fn now(&self) -> Millis;
    /// Ends once that much time has passed.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;
}

/// The machine's clock, for the real process. Its sleeps need a tokio runtime.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place where the mock's time comes from the machine")]
    fn now(&self) -> Millis {
        // A clock before 1970 reads as 1970: everything that waits is then ready late, never early.
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Millis::default().after(since)
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        tokio::time::sleep(duration).boxed()
    }
}

/// A clock that stands still until somebody moves it: for tests. A sleep moves it.
#[derive(Clone, Debug, Default)]
pub struct ManualClock(Arc<Mutex<Millis>>);

impl ManualClock {
    /// Lets time pass.
    pub fn advance(&self, duration: Duration) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *now = now.after(duration);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Millis {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let clock = self.clone();
        async move { clock.advance(duration) }.boxed()
    }
}
