//! Time of the provider, and of the double with it: one clock, moved by hand.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use futures::future::{BoxFuture, FutureExt};
use portolan_aws::clock::{Clock, SystemClock};
use portolan_core::time::Time;
use tokio::sync::watch;

use super::stage::TICK;

/// Pauses that are shorter are over at once: they move the clock themselves. Those of the budget and between attempts are; timeouts and the
/// ticks of polls are not.
const SHORT: Duration = Duration::from_secs(2);

/// How often the SDK asks itself whether an answer still comes (`aws_smithy_runtime`, stalled stream protection): no pause of ours.
const STALLED: Duration = Duration::from_millis(100);

/// A clock that goes when it is moved. All clones are one.
#[derive(Clone, Debug)]
pub(crate) struct HandClock {
    time: watch::Sender<Duration>,
    double: portolan_aws_double::Clock,
    start: SystemTime,
    /// Of those who wait for a tick of the polls: until when.
    ticks: Arc<Mutex<Option<Duration>>>,
}

impl HandClock {
    pub(crate) fn new(double: portolan_aws_double::Clock) -> Self {
        Self {
            time: watch::Sender::new(Duration::ZERO),
            double,
            start: SystemClock::start().wall(),
            ticks: Arc::default(),
        }
    }

    /// Whoever waits for a time that is reached by it goes on.
    pub(crate) fn advance(&self, by: Duration) {
        self.double.advance(by);
        self.time.send_modify(|now| *now += by);
    }

    /// Somebody waits for the next tick, and it has not come.
    pub(crate) fn is_slept_on(&self) -> bool {
        self.ticks.lock().unwrap().is_some_and(|until| until > self.elapsed())
    }

    pub(crate) fn elapsed(&self) -> Duration {
        *self.time.borrow()
    }
}

impl Clock for HandClock {
    fn now(&self) -> Time {
        Time::default() + self.elapsed()
    }

    fn wall(&self) -> SystemTime {
        self.start + self.elapsed()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let clock = self.clone();
        async move {
            if duration < SHORT && duration != STALLED {
                clock.advance(duration);
            } else {
                let until = clock.elapsed() + duration;
                if duration == TICK {
                    *clock.ticks.lock().unwrap() = Some(until);
                }
                let reached = clock.time.subscribe().wait_for(|now| *now >= until).await.is_ok();
                assert!(reached, "the clock is held here");
            }
        }
        .boxed()
    }
}
