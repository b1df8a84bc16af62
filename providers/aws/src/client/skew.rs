//! How far AWS's clock is from ours. Both clients sign with the corrected time.
//!
//! AWS takes a signature that is up to five minutes off (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html>)
//! and says in the header `Date` of its refusal what time it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use aws_smithy_async::rt::sleep::{AsyncSleep, Sleep};
use aws_smithy_async::time::TimeSource;
use futures::FutureExt;

use crate::clock::Clock;

/// A smaller difference is no reason for a refusal; a correction by it would change nothing.
const TOLERATED: Duration = Duration::from_secs(240);

/// Our clock, as AWS sees time.
#[derive(Clone, Debug)]
pub(crate) struct AwsTime {
    clock: Arc<dyn Clock>,
    /// Milliseconds to add to ours.
    skew: Arc<AtomicI64>,
}

impl AwsTime {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, skew: Arc::new(AtomicI64::new(0)) }
    }

    /// The time of day by AWS's clock.
    pub(crate) fn now(&self) -> SystemTime {
        let ours = self.clock.wall();
        let skew = self.correction();
        let by = Duration::from_millis(skew.unsigned_abs());
        let corrected = if skew < 0 { ours.checked_sub(by) } else { ours.checked_add(by) };
        corrected.unwrap_or(ours)
    }

    /// By how much our clock is corrected, in milliseconds.
    pub(crate) fn correction(&self) -> i64 {
        self.skew.load(Ordering::Relaxed)
    }

    /// AWS says that it is this time there. False if that is what we think too.
    pub(crate) fn learn(&self, theirs: SystemTime) -> bool {
        let off = signed(self.now(), theirs);
        if off.unsigned_abs() < u64::try_from(TOLERATED.as_millis()).unwrap_or(u64::MAX) {
            return false;
        }
        self.skew.store(signed(self.clock.wall(), theirs), Ordering::Relaxed);
        true
    }
}

/// Milliseconds from one to the other.
fn signed(from: SystemTime, to: SystemTime) -> i64 {
    let millis = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    match to.duration_since(from) {
        Ok(later) => millis(later),
        Err(earlier) => -millis(earlier.duration()),
    }
}

impl TimeSource for AwsTime {
    fn now(&self) -> SystemTime {
        AwsTime::now(self)
    }
}

impl AsyncSleep for AwsTime {
    fn sleep(&self, duration: Duration) -> Sleep {
        // Shared, because the SDK wants a future that threads may share.
        Sleep::new(self.clock.sleep(duration).shared())
    }
}
