//! The gate in front of every external write: leadership and shutdown.
//!
//! Safety never rests on it. It keeps two controllers from doing the same work, and a stopping one from starting more.

use portolan_core::time::Time;
use tokio_util::sync::CancellationToken;

use crate::cluster::clock::Clock;

/// Why nothing may be written any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Stopped {
    /// The process is ending.
    #[error("the process is stopping")]
    Stopping,
    /// Another controller may lead by now.
    #[error("leadership has run out")]
    LeadershipLost,
}

/// Says whether a pass may still act. A pass takes one along and asks before each write.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    /// Leadership lasts until then; none without leader election.
    pub until: tokio::sync::watch::Receiver<Option<Time>>,
    /// The epoch's end does not matter without leader election.
    pub elected: bool,
    /// The process is ending.
    pub stop: CancellationToken,
    /// The monotonic clock.
    pub clock: Clock,
}

impl Gate {
    /// May act now.
    pub(crate) fn check(&self) -> Result<(), Stopped> {
        if self.stop.is_cancelled() {
            return Err(Stopped::Stopping);
        }
        let leads = !self.elected || self.until.borrow().is_some_and(|until| self.clock.now() < until);
        if leads { Ok(()) } else { Err(Stopped::LeadershipLost) }
    }
}
