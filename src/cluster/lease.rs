//! Leader election on a Lease, as client-go does it: a candidate writes only over the version it has read, and counts a holder as
//! gone once the lease has not changed for its duration on the candidate's own monotonic clock. Wall clocks decide nothing.
//!
//! [`Elector`] is a plain state machine; [`run`] drives it on a cluster. Losing an election is safe at any moment: no invariant
//! rests on there being one leader, it only keeps two from working against each other.

mod driver;

pub use driver::{Place, client, run};

use std::time::Duration;

use portolan_core::ids::ResourceVersion;
use portolan_core::time::Time;

use crate::cluster::random::Random;

/// The leader's promise to itself: it may act until then, if it still leads in the same epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leadership {
    /// Counts the times that this process has come to lead, from 1.
    pub epoch: u64,
    /// Well before anybody else can count the lease as expired. Each renewal moves it.
    pub until: Time,
}

/// How long everything takes. `renew_deadline` lies below `lease`, and `retry` well below `renew_deadline`.
#[derive(Clone, Debug)]
pub struct Timing {
    /// Others wait so long after the last change before they take over.
    pub lease: Duration,
    /// A leader that has not renewed for so long stops leading.
    pub renew_deadline: Duration,
    /// Between two attempts; up to a fifth longer, at random.
    pub retry: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self { lease: Duration::from_secs(15), renew_deadline: Duration::from_secs(10), retry: Duration::from_secs(2) }
    }
}

/// A lease as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The precondition for a write over it.
    pub version: ResourceVersion,
    /// What was in it.
    pub term: Term,
}

/// What changes when somebody renews, takes over or resigns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// The holder's identity; empty if nobody holds it.
    pub holder: String,
    /// How long it lasts, if it says so.
    pub duration: Option<Duration>,
    /// The holder's wall clock at its last renewal. Only whether it changes means anything.
    pub renewed: Option<jiff::Timestamp>,
    /// How often the holder has changed.
    pub transitions: i32,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// [`Elector::deadline`] has come.
    Tick,
    /// The answer to `Read`; none if there is no lease.
    Read(Option<Seen>),
    /// `Write` succeeded; the lease as stored.
    Written(Seen),
    /// `Write` came too late: the lease is not what it was.
    Outrun,
    /// `Read` or `Write` failed, or nobody knows.
    Failed,
    /// The process is about to end.
    Resigned,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Read the lease.
    Read,
    /// Create the lease, or replace it if it is still at the version.
    Write(Claim),
    /// We lead, or go on leading.
    Lead(Leadership),
    /// We do not lead any more.
    Follow,
    /// The resignation is through, or as good as it gets.
    Finished,
}

/// A lease to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The version to replace; none to create.
    pub over: Option<ResourceVersion>,
    /// Our identity; empty to resign.
    pub holder: String,
    /// The holder changes with this write.
    pub takes_over: bool,
    /// How often the holder has changed then.
    pub transitions: i32,
}

/// One candidate.
#[derive(Debug)]
pub struct Elector {
    identity: String,
    timing: Timing,
    random: Random,
    /// The last reading, and when its term was first seen.
    seen: Option<(Seen, Time)>,
    /// When to ask or renew next.
    next: Time,
    /// A request is under way since then.
    asked: Option<Time>,
    leading: Option<Leadership>,
    epoch: u64,
    resigned: bool,
}

impl Elector {
    /// A candidate that nobody else must share the identity with: whoever finds it in the lease takes that for his own.
    pub fn new(identity: impl Into<String>, timing: Timing, seed: u64) -> Self {
        Self {
            identity: identity.into(),
            timing,
            random: Random::new(seed),
            seen: None,
            next: Time::default(),
            asked: None,
            leading: None,
            epoch: 0,
            resigned: false,
        }
    }

    /// Takes in what happened and says what to do. At most one request is under way at any time.
    pub fn step(&mut self, now: Time, input: Input, outputs: &mut Vec<Output>) {
        match input {
            Input::Tick => {}
            Input::Read(seen) => {
                self.asked = None;
                self.observe(now, seen);
                if self.resigned {
                    outputs.push(Output::Finished);
                } else if self.is_free(now) {
                    self.write(now, self.identity.clone(), outputs);
                } else {
                    self.follow(outputs);
                    self.pause(now);
                }
            }
            Input::Written(seen) => {
                let asked = self.asked.take().unwrap_or(now);
                self.observe(now, Some(seen));
                if self.resigned && self.leading.is_none() {
                    outputs.push(Output::Finished);
                } else {
                    self.lead(now, asked + self.timing.renew_deadline, outputs);
                    self.pause(asked);
                }
            }
            Input::Outrun | Input::Failed => {
                self.asked = None;
                if self.resigned {
                    self.follow(outputs);
                    outputs.push(Output::Finished);
                } else if input == Input::Outrun {
                    self.asked = Some(now);
                    outputs.push(Output::Read);
                } else {
                    self.pause(now);
                }
            }
            Input::Resigned => {
                self.resigned = true;
                if self.leading.is_none() && self.asked.is_none() {
                    outputs.push(Output::Finished);
                }
            }
        }
        if self.leading.is_some_and(|leadership| leadership.until <= now) {
            self.follow(outputs);
        }
        self.act(now, outputs);
    }

    /// When to send a `Tick`, if at all.
    pub fn deadline(&self) -> Option<Time> {
        let until = self.leading.map(|leadership| leadership.until);
        let next = (self.asked.is_none() && !self.resigned).then_some(self.next);
        until.into_iter().chain(next).min()
    }

    fn act(&mut self, now: Time, outputs: &mut Vec<Output>) {
        if self.asked.is_some() {
            return;
        }
        if self.resigned {
            if self.leading.is_some() {
                self.follow(outputs); // first nobody acts any more, then the lease is free
                self.write(now, String::new(), outputs);
            }
        } else if self.next <= now {
            if self.leading.is_some() {
                self.write(now, self.identity.clone(), outputs);
            } else {
                self.asked = Some(now);
                outputs.push(Output::Read);
            }
        }
    }

    fn observe(&mut self, now: Time, seen: Option<Seen>) {
        self.seen = seen.map(|seen| {
            let since =
                self.seen.as_ref().filter(|(before, _)| before.term == seen.term).map_or(now, |(_, since)| *since);
            (seen, since)
        });
    }

    /// Nobody holds the lease, or we do, or its holder has not been heard of for too long.
    fn is_free(&self, now: Time) -> bool {
        self.seen.as_ref().is_none_or(|(Seen { term, .. }, since)| {
            let duration = term.duration.unwrap_or(self.timing.lease);
            term.holder.is_empty() || term.holder == self.identity || *since + duration <= now
        })
    }

    fn write(&mut self, now: Time, holder: String, outputs: &mut Vec<Output>) {
        let before = self.seen.as_ref().map(|(seen, _)| seen);
        let takes_over = before.is_none_or(|seen| seen.term.holder != holder);
        let transitions =
            before.map_or(0, |seen| seen.term.transitions.saturating_add(i32::from(takes_over && !holder.is_empty())));
        self.asked = Some(now);
        outputs.push(Output::Write(Claim {
            over: before.map(|seen| seen.version.clone()),
            holder,
            takes_over,
            transitions,
        }));
    }

    fn lead(&mut self, now: Time, until: Time, outputs: &mut Vec<Output>) {
        if until <= now {
            return; // acknowledged too late to rely on
        }
        if self.leading.is_none() {
            self.epoch += 1;
        }
        let leadership = Leadership { epoch: self.epoch, until };
        self.leading = Some(leadership);
        outputs.push(Output::Lead(leadership));
    }

    fn follow(&mut self, outputs: &mut Vec<Output>) {
        if self.leading.take().is_some() {
            outputs.push(Output::Follow);
        }
    }

    fn pause(&mut self, from: Time) {
        self.next = from + self.random.between(self.timing.retry, self.timing.retry * 6 / 5);
    }
}

#[cfg(test)]
mod tests;
