//! The budget of calls: a token bucket for each class of actions, shared by everything in the process that calls AWS.
//!
//! AWS has a bucket for each account and region and answers with an error once it is empty. We keep a bucket of the same size and wait
//! before we ask, so that what is waiting can be put in order: changes of endpoints first, then work on Services, then audits. Others
//! draw from AWS's bucket too, so its answers have the last word: one that says "throttled" empties ours and halves its rate for a
//! while, for that class alone (additive increase, multiplicative decrease).
//!
//! Plain state, told the time; [`gate`] does the waiting.

use std::collections::BTreeSet;
use std::time::Duration;

use portolan_core::time::Time;

use crate::client::action::Class;

pub mod gate;
#[cfg(test)]
mod tests;

/// Who goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Endpoints came or went: clients notice when this is late.
    Endpoints,
    /// A Service was created, changed or deleted.
    Service,
    /// Nobody waits for it: audits, polls of what is settled.
    Audit,
}

impl Lane {
    /// The share of the bucket that must stay for the lanes before it, so that a change of endpoints never finds it empty.
    fn reserve(self) -> f64 {
        match self {
            Self::Endpoints => 0.0,
            Self::Service => 0.125,
            Self::Audit => 0.5,
        }
    }
}

/// The size of one bucket.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit {
    /// Tokens it holds when full; at least 2, so that a reserve leaves something.
    pub capacity: f64,
    /// Tokens it gets back in a second.
    pub rate: f64,
}

/// The sizes of all buckets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// [`Class::Describe`].
    pub describe: Limit,
    /// [`Class::Change`].
    pub change: Limit,
    /// [`Class::Register`].
    pub register: Limit,
    /// [`Class::Ec2Describe`].
    pub ec2_describe: Limit,
    /// [`Class::Ec2Change`].
    pub ec2_change: Limit,
}

impl Default for Limits {
    /// AWS documents 40 tokens and 10 a second for what changes nothing in ELB, and 100 and 20 for most of what changes nothing in EC2
    /// (the two pages that [`Class`] names). The other rows are not AWS's: for ELB what the AWS Load Balancer Controller holds itself to,
    /// for EC2 the smallest row of that page.
    fn default() -> Self {
        let limit = |capacity, rate| Limit { capacity, rate };
        Self {
            describe: limit(40.0, 10.0),
            change: limit(20.0, 3.0),
            register: limit(20.0, 4.0),
            ec2_describe: limit(100.0, 20.0),
            ec2_change: limit(50.0, 5.0),
        }
    }
}

impl Limits {
    fn of(&self, class: Class) -> Limit {
        match class {
            Class::Describe => self.describe,
            Class::Change => self.change,
            Class::Register => self.register,
            Class::Ec2Describe => self.ec2_describe,
            Class::Ec2Change => self.ec2_change,
        }
    }
}

/// A place in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket {
    lane: Lane,
    number: u64,
}

/// What a ticket comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Call AWS. The ticket is used up.
    Now,
    /// Ask again after this long.
    Later(Duration),
}

/// All buckets.
#[derive(Debug)]
pub struct Budget {
    describe: Bucket,
    change: Bucket,
    register: Bucket,
    ec2_describe: Bucket,
    ec2_change: Bucket,
    tickets: u64,
}

impl Budget {
    /// Full buckets.
    pub fn new(limits: &Limits, now: Time) -> Self {
        let bucket = |class| Bucket::new(limits.of(class), now);
        Self {
            describe: bucket(Class::Describe),
            change: bucket(Class::Change),
            register: bucket(Class::Register),
            ec2_describe: bucket(Class::Ec2Describe),
            ec2_change: bucket(Class::Ec2Change),
            tickets: 0,
        }
    }

    /// A place in the queue.
    pub fn queue(&mut self, class: Class, lane: Lane) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket { lane, number: self.tickets };
        self.bucket(class).waiting.insert(ticket);
        ticket
    }

    /// Whether it is this ticket's turn.
    pub fn turn(&mut self, class: Class, ticket: Ticket, now: Time) -> Turn {
        self.bucket(class).turn(ticket, now)
    }

    /// Whoever held this ticket waits no longer.
    pub fn withdraw(&mut self, class: Class, ticket: Ticket) {
        self.bucket(class).waiting.remove(&ticket);
    }

    /// AWS said that there were too many calls of this class.
    pub fn throttled(&mut self, class: Class, now: Time) {
        self.bucket(class).throttled(now);
    }

    /// Tokens a second that this class gets now.
    pub fn rate(&mut self, class: Class, now: Time) -> f64 {
        self.bucket(class).rate(now)
    }

    fn bucket(&mut self, class: Class) -> &mut Bucket {
        match class {
            Class::Describe => &mut self.describe,
            Class::Change => &mut self.change,
            Class::Register => &mut self.register,
            Class::Ec2Describe => &mut self.ec2_describe,
            Class::Ec2Change => &mut self.ec2_change,
        }
    }
}

/// After this many turns that somebody behind was overtaken, the oldest of all has one: no lane starves.
const OVERTAKEN: u32 = 8;
/// After a throttled answer the rate stays down for this long, and only then rises again.
const HOLD: Duration = Duration::from_secs(5);
/// From nothing to the full rate takes this long.
const RECOVERY: Duration = Duration::from_secs(60);
/// Answers to calls that were under way together count as one.
const TOGETHER: Duration = Duration::from_secs(1);
/// The rate never falls below this share of the limit.
const FLOOR: f64 = 1.0 / 16.0;
/// A wait is never shorter, so that nobody spins.
const SHORTEST: Duration = Duration::from_millis(1);
/// A wait is never longer: by then others may have given up, or the rate may have risen.
const LONGEST: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Bucket {
    limit: Limit,
    tokens: f64,
    filled: Time,
    waiting: BTreeSet<Ticket>,
    overtaken: u32,
    lowered: Option<Lowered>,
}

/// The rate was halved.
#[derive(Clone, Copy, Debug)]
struct Lowered {
    at: Time,
    to: f64,
}

impl Bucket {
    fn new(limit: Limit, now: Time) -> Self {
        let limit = Limit { capacity: limit.capacity.max(2.0), rate: limit.rate.max(0.001) };
        Self { limit, tokens: limit.capacity, filled: now, waiting: BTreeSet::new(), overtaken: 0, lowered: None }
    }

    fn turn(&mut self, ticket: Ticket, now: Time) -> Turn {
        self.fill(now);
        let oldest = self.waiting.iter().min_by_key(|waiting| waiting.number).copied();
        let (next, reserve) = match (self.waiting.first().copied(), oldest) {
            (_, Some(oldest)) if self.overtaken >= OVERTAKEN => (Some(oldest), 0.0),
            (first, _) => (first, ticket.lane.reserve() * self.limit.capacity),
        };
        if next == Some(ticket) && self.tokens >= 1.0 + reserve {
            self.tokens -= 1.0;
            self.waiting.remove(&ticket);
            self.overtaken = if oldest == Some(ticket) { 0 } else { self.overtaken + 1 };
            return Turn::Now;
        }
        let before = self.waiting.iter().take_while(|waiting| **waiting < ticket).count();
        let before = u32::try_from(before).unwrap_or(u32::MAX);
        let missing = 1.0 + reserve + f64::from(before) - self.tokens;
        let wait = Duration::try_from_secs_f64(missing.max(0.0) / self.rate(now)).unwrap_or(LONGEST);
        Turn::Later(wait.clamp(SHORTEST, LONGEST))
    }

    fn throttled(&mut self, now: Time) {
        self.fill(now);
        self.tokens = 0.0;
        if self.lowered.is_some_and(|lowered| now.since(lowered.at) < TOGETHER) {
            return;
        }
        let to = (self.rate(now) / 2.0).max(self.limit.rate * FLOOR);
        self.lowered = Some(Lowered { at: now, to });
    }

    fn rate(&self, now: Time) -> f64 {
        let Some(lowered) = self.lowered else { return self.limit.rate };
        let rising = now.since(lowered.at).saturating_sub(HOLD).as_secs_f64();
        (lowered.to + rising * self.limit.rate / RECOVERY.as_secs_f64()).min(self.limit.rate)
    }

    /// The rate only rises between two fillings, so the one at the beginning never gives too much. Fillings are at most as far apart as
    /// the longest wait while somebody waits.
    fn fill(&mut self, now: Time) {
        let rate = self.rate(self.filled);
        self.tokens = (self.tokens + now.since(self.filled).as_secs_f64() * rate).min(self.limit.capacity);
        self.filled = self.filled.max(now);
        if self.lowered.is_some() && self.rate(now) >= self.limit.rate {
            self.lowered = None;
        }
    }
}
