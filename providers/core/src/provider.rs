//! The provider: turns a load balancer into reality somewhere.
//!
//! The laws, which `conformance` holds for every provider:
//!
//! 1. The plan after applying a plan is empty.
//! 2. A crash after any prefix of steps, and in the middle of any step, converges to the same end.
//! 3. Foreign objects are never touched.
//! 4. Equal inputs in any order give the same plan.
//! 5. Delete reaches empty from any state, and leaves nothing behind.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Debug, Display};
use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use futures::Stream;
use serde::Serialize;

use crate::balancer::{LoadBalancer, Member, PortKey, Published};
use crate::capabilities::Capabilities;
use crate::desire::Warning;
use crate::dialect::{Dialect, Plain};
use crate::ids::{LoadBalancerId, Uid};
use crate::reason::Reason;
use crate::refusal::{Refusal, Refused};
use crate::snapshot::ConditionStatus;

/// Turns load balancers into reality somewhere.
///
/// A provider decides in [`plan`](Provider::plan) and [`outcome`](Provider::outcome), which are pure, and acts in
/// [`apply`](Provider::apply), one external write at a time. It does not retry and does not wait: it says which of the two is
/// called for, and the runtime does it.
pub trait Provider: Send + Sync + 'static {
    /// What exists, as the provider sees it. The default is: nothing.
    type State: Clone + Debug + Default + PartialEq + Serialize + Send + Sync;
    /// One external write, as data. Its `Display` is a line of the dry run.
    type Step: Step;

    /// What this provider can do with its parameters.
    fn capabilities(&self) -> &Capabilities;

    /// How annotations of its own are read; without any there are none.
    fn dialect(&self) -> &dyn Dialect {
        &Plain
    }

    /// What exists of each of these, in their order. One that cannot be read fails alone; one that does not exist is the
    /// default state.
    fn observe_many(&self, known: &[Known]) -> impl Future<Output = Vec<Result<Self::State, Error>>> + Send;

    /// The steps from `observed` to `desired`; `None` asks for removal. Pure. Empty means that nothing is left to do.
    ///
    /// A step may be left out as long as it must wait for something that `observed` or `desired` will show (readiness,
    /// publication of a successor): the plan is made anew after every change.
    fn plan(&self, desired: Option<&LoadBalancer>, observed: &Self::State) -> Result<Plan<Self::Step>, Refusal>;

    /// Carries out one step. Idempotent: doing it again after a crash, with or without effect, changes nothing more.
    fn apply(&self, step: &Self::Step, call: &Call) -> impl Future<Output = Result<Applied, Error>> + Send;

    /// For a dry run: what will exist once these steps are done and all has come that only takes time. A dry run goes on from there, so that it
    /// tells what follows too. Nothing is written; a provider whose load balancers have something in common may take note of it, so that plans
    /// of others made after this are told in the same breath. None: this provider does not look ahead.
    fn foresee(
        &self,
        _desired: Option<&LoadBalancer>,
        _observed: &Self::State,
        _plan: &Plan<Self::Step>,
    ) -> Option<Foreseen<Self::State>> {
        None
    }

    /// What the record is to hold of this state instead of all that it has held, once nothing is left to do: enough for the next process to
    /// begin with. Pure. None: the record stays as it is.
    fn remembered(&self, _: &Self::State) -> Option<BTreeMap<String, String>> {
        None
    }

    /// By what the record remembers alone: is there anything to do? Pure, and a guess that nothing rests on but order: a process that begins
    /// with many load balancers takes those first of which this is said. Whoever cannot tell says no, and does not ask what is desired.
    fn foresees_work(&self, _desired: impl FnOnce() -> LoadBalancer, _: &Known) -> bool {
        false
    }

    /// The longest that one observation or one step may take, until it counts as failed.
    fn deadline(&self) -> Duration {
        Duration::from_secs(60)
    }

    /// What the Services' status should say, from what is desired and what exists. Pure. `None`: nothing that can be served is desired, so
    /// that what exists stays as it is.
    fn outcome(&self, desired: Option<&LoadBalancer>, observed: &Self::State) -> Outcome;

    /// Returns once everything is known that [`dialect`](Self::dialect) rests on. Nothing is desired of it before.
    fn is_ready(&self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }

    /// The annotations that an outcome may ask for: they go with whatever else marks a Service as ours.
    fn annotations(&self) -> &'static [&'static str] {
        &[]
    }

    /// Everything that carries our mark, for adoption and the sweeper.
    fn inventory(&self) -> impl Future<Output = Result<Vec<Owned>, Error>> + Send;

    /// Load balancers of which something has changed outside (readiness, health). Wakes the key; loses nothing.
    fn changes(&self) -> impl Stream<Item = LoadBalancerId> + Send + 'static;
}

/// One external write, as data.
pub trait Step: Clone + Debug + Display + PartialEq + Serialize + Send + Sync {
    /// The step's kind, a stable CamelCase name.
    fn name(&self) -> &'static str;

    /// What the record has to hold before the step is begun, because after a crash nothing else would tell whose it is that it has made.
    fn intent(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    /// It decides where clients are served or who may be one. Such a step is begun only under the record as it is stored now, because a
    /// plan that was made on less could make public what somebody has made internal since.
    fn moves_clients(&self) -> bool;

    /// It only sees off what serves nobody any more: where nothing else is left to do, everything is as desired, however long this must wait.
    fn cleans_up(&self) -> bool {
        false
    }

    /// It only tells another part of this process what is known, and can be repeated at will: nothing that a plan shows, and nothing outside
    /// of which it would have to be certain afterwards that it is on record. It needs nothing that a record knows.
    fn is_hint(&self) -> bool {
        false
    }
}

/// An ordered list of steps.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Plan<S> {
    /// In the order in which they must be carried out.
    pub steps: Vec<S>,
}

impl<S> Default for Plan<S> {
    fn default() -> Self {
        Self { steps: Vec::new() }
    }
}

impl<S> Plan<S> {
    /// Nothing is left to do.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}

/// What will exist.
#[derive(Clone, Debug, PartialEq)]
pub struct Foreseen<S> {
    /// Then.
    pub state: S,
    /// What has come by then, to end "when ...".
    pub awaited: &'static str,
}

/// A load balancer, and what its record remembers of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// The load balancer.
    pub id: LoadBalancerId,
    /// External identifiers, from the record.
    pub external: BTreeMap<String, String>,
}

impl Known {
    /// One of which no record remembers anything.
    pub fn nothing_of(id: LoadBalancerId) -> Self {
        Self { id, external: BTreeMap::new() }
    }
}

/// What a step is carried out for.
#[derive(Clone, Debug)]
pub struct Call {
    /// The load balancer.
    pub id: LoadBalancerId,
    /// The Services it serves, for names and tags.
    pub members: Vec<Member>,
    /// External identifiers, from the record.
    pub external: BTreeMap<String, String>,
}

/// What a step came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    /// External identifiers to remember, before anything else is done.
    pub learned: BTreeMap<String, String>,
    /// The plan cannot go on before this.
    pub wait: Option<Wait>,
}

impl Applied {
    /// Done, nothing learned.
    pub fn done() -> Self {
        Self { learned: BTreeMap::new(), wait: None }
    }
}

/// A stated external condition, and when to look again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// What is awaited, for people: stable, without counters.
    pub on: String,
    /// Look again after this long at the latest; a change that the provider reports wakes earlier.
    pub at_most: Duration,
}

/// What a provider says of a load balancer, for its Services' status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// What clients can use, in the order of the families.
    pub published: Vec<Published>,
    /// The ports on which whoever uses that is listened to, and for which Service, if only with older settings.
    pub listening: Vec<(Uid, PortKey)>,
    /// It has its addresses.
    pub assigned: Verdict,
    /// Everything is as desired.
    pub programmed: Verdict,
    /// Traffic arrives. None: nobody has looked since the process began, so that what was said before stands.
    pub reachable: Option<Verdict>,
    /// The same of single Services, where it is not the same for all.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub reachable_of: BTreeMap<Uid, Verdict>,
    /// Addresses of pods that are found healthy where clients are sent to now, for which Service and port. The pods' readiness gates need it;
    /// no status says it.
    #[serde(skip)]
    pub healthy: BTreeSet<(Uid, PortKey, SocketAddr)>,
    /// Ports that cannot be served beside the others, and why: it is their Service alone that is not as desired.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unserved: Vec<(Uid, Refused)>,
    /// What a person should know of a Service that only what exists tells.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<(Uid, Warning)>,
    /// Annotations that tell other programs what is published: none as a value where there is nothing to tell. Written with the status.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<&'static str, Option<String>>,
    /// What is awaited, if anything is.
    #[serde(skip)]
    pub wait: Option<Wait>,
}

/// One condition's worth of an outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// True, False or Unknown.
    pub status: ConditionStatus,
    /// The code.
    pub reason: Reason,
    /// For people: stable, without counters or times.
    pub message: String,
    /// The reasons that the message ends with, where it has several: what has less room leaves out some of them.
    #[serde(skip)]
    pub reasons: Vec<String>,
}

impl Verdict {
    /// It holds.
    pub fn yes(reason: Reason, message: impl Into<String>) -> Self {
        Self { status: ConditionStatus::True, reason, message: message.into(), reasons: Vec::new() }
    }

    /// It does not hold.
    pub fn no(reason: Reason, message: impl Into<String>) -> Self {
        Self { status: ConditionStatus::False, reason, message: message.into(), reasons: Vec::new() }
    }

    /// Nobody can tell.
    pub fn unknown(reason: Reason, message: impl Into<String>) -> Self {
        Self { status: ConditionStatus::Unknown, reason, message: message.into(), reasons: Vec::new() }
    }
}

/// An object that carries our mark.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Owned {
    /// The load balancer it was made for.
    pub id: LoadBalancerId,
    /// What it is, in the provider's words.
    pub object: String,
}

/// Why a provider's call failed. The kind, not the text, decides what happens next.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// What the runtime does about it.
    pub kind: ErrorKind,
    /// The code for the condition.
    pub reason: Reason,
    /// What failed and what to do next: stable, without counters, request ids or times.
    pub message: String,
}

/// The three kinds of errors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// Nothing will change until somebody edits something.
    Terminal,
    /// Worth another try, after a pause that grows.
    Retry,
    /// A stated condition must come first; look again after this long.
    Wait(Duration),
}

impl Error {
    /// Nothing will change until somebody edits something.
    pub fn terminal(reason: Reason, message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Terminal, reason, message: message.into() }
    }

    /// Worth another try.
    pub fn retry(reason: Reason, message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Retry, reason, message: message.into() }
    }
}
