//! A queue of keys: which one is worked on next, and when one comes back. A plain state machine without clock or tasks.
//!
//! ```text
//!            Enqueued            Start                Finished
//! (unknown) ---------> Ready ------------> InFlight ------------> Asleep (Done, Retry, WaitAtMost) or (unknown) (Forgotten)
//!                        ^  in order of arrival, |                   |
//!                        |  hurried ones first   |                   |
//!                        +---- Again ------------+                   |
//!                        +---- its time, or Enqueued ----------------+
//! ```
//!
//! Keys coalesce and none is ever dropped: memory is bounded by the number of keys.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use portolan_core::time::Time;

use crate::cluster::random::Random;
use crate::planted::{Bug, planted};

/// How a queue paces its keys.
#[derive(Clone, Debug)]
pub struct Pace {
    /// At most so many keys are in flight.
    pub in_flight: usize,
    /// The first pause after a failure is at most this; each further one may be twice as long.
    pub base: Duration,
    /// No pause after a failure is longer.
    pub cap: Duration,
    /// A key that is done comes back after this, give or take a tenth, so that drift is found without a storm.
    pub resync: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            in_flight: 8,
            base: Duration::from_secs(1),
            cap: Duration::from_secs(60),
            resync: Duration::from_secs(10 * 60 * 60),
        }
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input<K> {
    /// Something about the key has changed.
    Enqueued(K),
    /// The same, and clients notice if it is late: as soon as the key is ready, it goes before all others.
    Hurried(K),
    /// A pass over the key has ended.
    Finished(K, Verdict),
    /// [`Queue::deadline`] has come.
    Tick,
    /// Leadership was lost (true) or won (false). While paused nothing starts; keys are kept.
    Paused(bool),
}

/// How a pass ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All is as it should be, or nothing will change until somebody edits something.
    Done,
    /// The pass rested on an outdated reading: again at once. A second time in a row counts as `Retry` unless something has
    /// changed meanwhile, because the reading may still be the same.
    Again,
    /// It failed: again after a pause that grows with each failure, with full jitter.
    Retry,
    /// A stated condition must come first: again when something changes, after this long at the latest.
    WaitAtMost(Duration),
    /// Nothing is left of the key.
    Forgotten,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output<K> {
    /// Begin a pass over the key.
    Start(K),
}

/// The queue. It begins paused: who starts it says when it leads.
#[derive(Debug)]
pub struct Queue<K> {
    pace: Pace,
    random: Random,
    paused: bool,
    keys: BTreeMap<K, Entry>,
    ready: VecDeque<K>,
    asleep: BTreeSet<(Time, K)>,
    in_flight: usize,
}

#[derive(Debug)]
struct Entry {
    state: State,
    /// Passes in a row that ended in `Retry` or `Again`.
    failures: u32,
    /// It was hurried since it last started.
    hurried: bool,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// In `ready`.
    Ready,
    /// Being worked on; `dirty` if it was enqueued since it started.
    InFlight { dirty: bool },
    /// In `asleep` at `until`. A change may wake it from `wakeable` on.
    Asleep { until: Time, wakeable: Time },
}

impl<K: Ord + Clone> Queue<K> {
    /// An empty queue, paused.
    pub fn new(pace: Pace, seed: u64) -> Self {
        Self {
            pace,
            random: Random::new(seed),
            paused: true,
            keys: BTreeMap::new(),
            ready: VecDeque::new(),
            asleep: BTreeSet::new(),
            in_flight: 0,
        }
    }

    /// Takes in what happened and says what to start.
    pub fn step(&mut self, now: Time, input: Input<K>, outputs: &mut Vec<Output<K>>) {
        match input {
            Input::Enqueued(key) => self.enqueue(now, key),
            Input::Hurried(key) => self.hurry(now, key),
            Input::Finished(key, verdict) => self.finish(now, key, verdict),
            Input::Tick => {}
            Input::Paused(paused) => self.paused = paused,
        }
        self.wake(now);
        self.start(outputs);
    }

    /// When to send a `Tick`, if at all.
    pub fn deadline(&self) -> Option<Time> {
        self.asleep.first().map(|(until, _)| *until)
    }

    /// How often passes over this key have failed in a row.
    pub fn failures(&self, key: &K) -> u32 {
        self.keys.get(key).map_or(0, |entry| entry.failures)
    }

    /// How many keys are worked on now.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    fn enqueue(&mut self, now: Time, key: K) {
        let Some(entry) = self.keys.get_mut(&key) else {
            self.keys.insert(key.clone(), Entry { state: State::Ready, failures: 0, hurried: false });
            self.ready.push_back(key);
            return;
        };
        match entry.state {
            State::Ready => {}
            State::InFlight { .. } if planted(Bug::LostWakeup) => {}
            State::InFlight { .. } => entry.state = State::InFlight { dirty: true },
            State::Asleep { until, wakeable } => {
                let sooner = until.min(wakeable.max(now)); // due now: `wake` is next
                entry.state = State::Asleep { until: sooner, wakeable };
                self.asleep.remove(&(until, key.clone()));
                self.asleep.insert((sooner, key));
            }
        }
    }

    fn hurry(&mut self, now: Time, key: K) {
        self.enqueue(now, key.clone());
        let Some(entry) = self.keys.get_mut(&key) else { return };
        entry.hurried = true;
        if let Some(at) = self.ready.iter().position(|ready| *ready == key) {
            self.ready.remove(at);
            self.ready.push_front(key);
        }
    }

    fn finish(&mut self, now: Time, key: K, verdict: Verdict) {
        let Some(entry) = self.keys.get_mut(&key) else { return };
        let State::InFlight { dirty } = entry.state else { return };
        self.in_flight = self.in_flight.saturating_sub(1);
        let sleep = match verdict {
            Verdict::Done => {
                entry.failures = 0;
                let tenth = self.pace.resync / 10;
                Some(
                    self.random.between(self.pace.resync.saturating_sub(tenth), self.pace.resync.saturating_add(tenth)),
                )
            }
            Verdict::WaitAtMost(pause) => {
                entry.failures = 0;
                Some(pause)
            }
            Verdict::Again if dirty || entry.failures == 0 => {
                entry.failures = entry.failures.saturating_add(1);
                None
            }
            Verdict::Again | Verdict::Retry => {
                let doubled = self.pace.base.saturating_mul(2_u32.saturating_pow(entry.failures));
                entry.failures = entry.failures.saturating_add(1);
                let pause = self.random.between(Duration::ZERO, doubled.min(self.pace.cap));
                // A change may bring it back sooner, but not at the rate of the changes.
                let wakeable = now + self.pace.base;
                let until = if dirty { (now + pause).min(wakeable) } else { now + pause };
                entry.state = State::Asleep { until, wakeable };
                self.asleep.insert((until, key));
                return;
            }
            Verdict::Forgotten if dirty => {
                entry.failures = 0;
                None
            }
            Verdict::Forgotten => {
                self.keys.remove(&key);
                return;
            }
        };
        match sleep {
            Some(pause) if !dirty => {
                entry.state = State::Asleep { until: now + pause, wakeable: now };
                self.asleep.insert((now + pause, key));
            }
            Some(_) | None => self.ready(key),
        }
    }

    fn ready(&mut self, key: K) {
        let Some(entry) = self.keys.get_mut(&key) else { return };
        entry.state = State::Ready;
        if entry.hurried { self.ready.push_front(key) } else { self.ready.push_back(key) }
    }

    /// Everything whose time has come is ready.
    fn wake(&mut self, now: Time) {
        while self.asleep.first().is_some_and(|(until, _)| *until <= now) {
            let Some((_, key)) = self.asleep.pop_first() else { return };
            self.ready(key);
        }
    }

    fn start(&mut self, outputs: &mut Vec<Output<K>>) {
        while !self.paused && self.in_flight < self.pace.in_flight {
            let Some(key) = self.ready.pop_front() else { return };
            if let Some(entry) = self.keys.get_mut(&key) {
                entry.state = State::InFlight { dirty: false };
                entry.hurried = false;
            }
            self.in_flight += 1;
            outputs.push(Output::Start(key));
        }
    }
}

#[cfg(test)]
mod tests;
