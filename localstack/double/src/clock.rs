//! Time of the double: moved by hand in tests, the machine's own in the program.

use std::time::Duration;

use tokio::sync::watch;

/// A clock; its time begins at zero when it is made. Cheap to clone: all clones are one clock.
#[derive(Debug, Clone)]
pub struct Clock(Source);

#[derive(Debug, Clone)]
enum Source {
    Hand(watch::Sender<Duration>),
    Machine(tokio::time::Instant),
}

impl Clock {
    /// A clock that stands still until a test moves it.
    pub fn by_hand() -> Self {
        Self(Source::Hand(watch::Sender::new(Duration::ZERO)))
    }

    /// The machine's clock.
    #[expect(clippy::disallowed_methods, reason = "this is where the double's time comes in")]
    pub fn of_the_machine() -> Self {
        Self(Source::Machine(tokio::time::Instant::now()))
    }

    /// The time since the clock was made.
    pub fn now(&self) -> Duration {
        match &self.0 {
            Source::Hand(time) => *time.borrow(),
            Source::Machine(start) => start.elapsed(),
        }
    }

    /// Moves a clock that is moved by hand; whoever waits for a time that is reached by it goes on. The machine's clock is not moved by
    /// this, so a test cannot mistake one for the other: the new time is returned.
    pub fn advance(&self, by: Duration) -> Duration {
        if let Source::Hand(time) = &self.0 {
            time.send_modify(|now| *now += by);
        }
        self.now()
    }

    /// Waits until the clock shows this time.
    pub(crate) async fn reached(&self, at: Duration) {
        match &self.0 {
            Source::Hand(time) => {
                // The sender is held here, so the wait ends only by the time coming.
                let _ = time.subscribe().wait_for(|now| *now >= at).await;
            }
            Source::Machine(start) => tokio::time::sleep_until(*start + at).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_waits_on_a_clock_moved_by_hand_goes_on_when_it_is_moved() {
        let clock = Clock::by_hand();
        let waiting = clock.clone();
        let waited = tokio::join!(waiting.reached(Duration::from_secs(3)), async {
            clock.advance(Duration::from_secs(1));
            clock.advance(Duration::from_secs(2))
        });
        assert_eq!(waited.1, Duration::from_secs(3));
    }
}
