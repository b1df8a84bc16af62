//! The gate in front of every external write: leadership and shutdown.
//!
//! Safety never rests on it. It keeps two controllers from doing the same work, and a stopping one from starting more.

use tokio_util::sync::CancellationToken;

use crate::cluster::clock::Clock;
use crate::cluster::lease::Leadership;

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
    /// Whether and until when we lead, as the elector says.
    pub leadership: tokio::sync::watch::Receiver<Option<Leadership>>,
    /// There is an elector; without one leadership does not matter.
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
        let leads =
            !self.elected || self.leadership.borrow().is_some_and(|leadership| self.clock.now() < leadership.until);
        if leads { Ok(()) } else { Err(Stopped::LeadershipLost) }
    }
}
