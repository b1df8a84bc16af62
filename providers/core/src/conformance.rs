//! The conformance suite: holds any provider to the laws of [`crate::provider`].
//!
//! It drives a provider as the runtime does (observe, plan, apply step by step, publish, observe again) through many edits, and does to it
//! what happens to controllers: they die after any step and inside any step, carry out a step twice, have their desired state turned back
//! halfway, and are told to delete what is half made.
//!
//! ```text
//! for each edit (from -> to):
//!     undisturbed               settles; the same in any order of the input; nothing foreign touched     laws 1, 3, 4
//!                               clients always have somewhere to go                                   `published`
//!     each step twice           the same end                                                              law 2
//!     killed after each step    the same end                                                              law 2
//!     killed inside each step   the same end                                                              law 2
//!     turned back at each step  settles                                                                   law 1
//!     deleted at each step      nothing is left                                                           law 5
//! for each edit of a shared load balancer:
//!     while all are held        nothing is done                                                       `held`
//!     while one is held         what is the other's changes, and nothing else
//! ```

mod cases;
mod drive;
mod executor;
mod laws;
mod random;

use std::fmt;
use std::net::IpAddr;

use serde_json::Value;

use crate::ids::LoadBalancerId;
use crate::provider::{Outcome, Provider};

/// A world in which a provider acts: fresh for each run.
pub trait World {
    /// The provider.
    type Provider: Provider;

    /// The provider, as it is in a process that has just started.
    fn open(&mut self) -> Self::Provider;

    /// The same, in a process that is killed after so many more external writes: from then on each call fails and none has an effect. None
    /// if this world cannot do that; then no crash inside a step is tried.
    fn open_killed_after(&mut self, writes: u64) -> Option<Self::Provider>;

    /// Lets time pass until all that can be waited for has come.
    fn settle(&mut self);

    /// All that exists and is not the provider's, as text: it must never change. There should be something.
    fn foreign(&self) -> String;

    /// An id under which something foreign exists.
    fn foreign_id(&self) -> Option<LoadBalancerId>;

    /// All that exists and is the provider's, whatever its inventory says.
    fn leftovers(&self) -> Vec<String>;

    /// Addresses that can be asked for by name, at least two of a family; none if the provider cannot give such.
    fn requestable(&self) -> Vec<IpAddr>;

    /// The part of a state that must be the same whenever two runs end in the same place.
    fn comparable(&self, state: &<Self::Provider as Provider>::State) -> Value;

    /// The same of an outcome: all of it, unless the world makes up something in it (a hostname).
    fn told(&self, outcome: &Outcome) -> String {
        format!("{outcome:?}")
    }
}

/// A law of [`crate::provider`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Law {
    /// 1.
    Settles,
    /// 2.
    SurvivesCrashes,
    /// 3.
    LeavesForeignAlone,
    /// 4.
    IgnoresOrder,
    /// 5.
    DeletesAll,
    /// The contract of [`crate::balancer::LoadBalancer::published`].
    KeepsPublished,
    /// The contract of [`crate::balancer::LoadBalancer::held`].
    LeavesHeldAlone,
}

impl fmt::Display for Law {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Settles => "law 1 (the plan after applying a plan is empty)",
            Self::SurvivesCrashes => {
                "law 2 (a crash after any prefix of steps, and in the middle of any step, converges to the same end)"
            }
            Self::LeavesForeignAlone => "law 3 (foreign objects are never touched)",
            Self::IgnoresOrder => "law 4 (equal inputs in any order give the same plan)",
            Self::DeletesAll => "law 5 (delete reaches empty from any state, and leaves nothing behind)",
            Self::KeepsPublished => {
                "the contract of `published` (nothing that clients use is taken away before its successor is published)"
            }
            Self::LeavesHeldAlone => "the contract of `held` (what was made for those who are held stays as it is)",
        })
    }
}

/// A law is broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{law} is broken in case {case:?}: {detail}")]
pub struct Failure {
    /// The law.
    pub law: Law,
    /// The edit, and what was done to the provider on its way.
    pub case: String,
    /// What was found.
    pub detail: String,
}

/// Holds a provider whose world is slow to the same laws: in so many of the suite's own edits, and in one of a shared load balancer, all drawn by
/// the seed; each with one trouble of each kind, at a step that is drawn too. Says how many runs that took.
pub fn sample<W: World>(seed: u64, edits: usize, world: impl FnMut() -> W) -> Result<usize, Failure> {
    let (palette, mut suite) = start(seed, world);
    suite.foreign_id(&palette.plain())?;
    let mut all = palette.edits();
    suite.random.shuffle(&mut all);
    for edit in all.iter().take(edits) {
        suite.sampled(edit)?;
    }
    if let Some((name, shared, wish)) = suite.random.pick(&palette.holds()) {
        suite.held(name, shared, wish)?;
    }
    Ok(suite.runs)
}

/// Holds a provider to the laws in the suite's own cases and in so many generated ones, and says how many runs that took. The same seed
/// makes the same cases.
pub fn check<W: World>(seed: u64, generated: usize, world: impl FnMut() -> W) -> Result<usize, Failure> {
    let (palette, mut suite) = start(seed, world);
    suite.foreign_id(&palette.plain())?;
    for case in palette.edits() {
        suite.edit(&case)?;
    }
    for (name, shared, wish) in palette.holds() {
        suite.held(&name, &shared, &wish)?;
    }
    for number in 0..generated {
        let mut random = suite.random.fork();
        let history = palette.history(&mut random);
        suite.history(&format!("history {number} of seed {seed}"), &history, &mut random)?;
    }
    Ok(suite.runs)
}

fn start<W: World, F: FnMut() -> W>(seed: u64, mut world: F) -> (cases::Palette, laws::Suite<F>) {
    let mut first = world();
    let capabilities = first.open().capabilities().clone();
    let palette = cases::Palette { capabilities, requestable: first.requestable() };
    (palette, laws::Suite { world, runs: 0, random: random::Random::new(seed) })
}
