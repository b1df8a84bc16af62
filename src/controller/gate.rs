//! The gate in front of every write: leadership and shutdown.
//!
//! Safety never rests on it. It keeps two controllers from doing the same work, and a stopping one from starting more.

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::cluster::clock::Clock;
use crate::cluster::lease::Leadership;
use crate::planted::{Bug, planted};

/// Why nothing may be written any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Stopped {
    /// The process is ending.
    #[error("the process is stopping")]
    Stopping,
    /// Another controller may lead by now, or has led since.
    #[error("leadership has run out")]
    LeadershipLost,
}

/// Says whether a pass may still act. A pass takes its own along and asks before each write.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    /// Whether and until when we lead, as the elector says; none without an election.
    leadership: Option<watch::Receiver<Option<Leadership>>>,
    stop: CancellationToken,
    clock: Clock,
    /// The epoch in which a pass has begun: what it has read may be outdated in another.
    epoch: Option<u64>,
}

impl Gate {
    /// A gate that closes with `stop` and, where there is an election, whenever another may lead.
    pub(crate) fn new(
        leadership: Option<watch::Receiver<Option<Leadership>>>,
        stop: CancellationToken,
        clock: Clock,
    ) -> Self {
        Self { leadership, stop, clock, epoch: None }
    }

    /// The gate of a pass that begins now.
    pub(crate) fn begin(&self) -> Self {
        Self { epoch: self.led().map(|leadership| leadership.epoch), ..self.clone() }
    }

    /// May act now.
    pub(crate) fn check(&self) -> Result<(), Stopped> {
        if self.stop.is_cancelled() {
            return Err(Stopped::Stopping);
        }
        if self.leadership.is_none() || planted(Bug::StandbyActs) {
            return Ok(());
        }
        let leads = self
            .led()
            .is_some_and(|now| self.clock.now() < now.until && self.epoch.is_none_or(|epoch| epoch == now.epoch));
        if leads { Ok(()) } else { Err(Stopped::LeadershipLost) }
    }

    /// Returns when leadership may have changed; never without an election.
    pub(crate) async fn changed(&mut self) {
        // A sender that is gone has said its last: the supervisor deals with its task.
        let changed = match &mut self.leadership {
            Some(leadership) => leadership.changed().await.is_ok(),
            None => false,
        };
        if !changed {
            std::future::pending::<()>().await;
        }
    }

    /// Cancelled when the process shall end.
    pub(crate) fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    fn led(&self) -> Option<Leadership> {
        self.leadership.as_ref().and_then(|leadership| *leadership.borrow())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use portolan_core::time::Time;

    use super::*;

    fn leadership(epoch: u64, until: Duration) -> Option<Leadership> {
        Some(Leadership { epoch, until: Time::default() + until })
    }

    #[tokio::test(start_paused = true)]
    async fn a_pass_may_act_in_its_own_epoch_only_and_until_leadership_runs_out() {
        let (sender, receiver) = watch::channel(None);
        let gate = Gate::new(Some(receiver), CancellationToken::new(), Clock::start());
        assert_eq!(gate.check(), Err(Stopped::LeadershipLost));
        sender.send_replace(leadership(1, Duration::from_secs(10)));
        let pass = gate.begin();
        assert_eq!(pass.check(), Ok(()));
        tokio::time::advance(Duration::from_secs(11)).await;
        assert_eq!(pass.check(), Err(Stopped::LeadershipLost));
        sender.send_replace(leadership(2, Duration::from_secs(30)));
        assert_eq!(pass.check(), Err(Stopped::LeadershipLost), "another may have led in between");
        assert_eq!(gate.begin().check(), Ok(()));
    }

    #[tokio::test]
    async fn nothing_is_begun_once_the_process_stops() {
        let stop = CancellationToken::new();
        let gate = Gate::new(None, stop.clone(), Clock::start());
        assert_eq!(gate.begin().check(), Ok(()));
        stop.cancel();
        assert_eq!(gate.check(), Err(Stopped::Stopping));
    }
}
