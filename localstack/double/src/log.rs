//! What was called: in order, with who called, what it was about and how it ended. Tests read it and wait on it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::caller::{Caller, Service};
use crate::permissions;
use crate::query::Query;

/// One call, as it was when its answer was ready to be sent.
#[derive(Debug, Clone)]
pub struct Call {
    /// Its place in the log, from zero.
    pub number: usize,
    /// When it ended, on the double's clock.
    pub at: Duration,
    /// Which API.
    pub service: Service,
    /// E.g. `CreateLoadBalancer`.
    pub action: String,
    /// Who.
    pub caller: Caller,
    /// From the credential scope.
    pub region: String,
    /// What was asked.
    pub query: Query,
    /// The names, ARNs and ids that it is about, those of what it created included.
    pub principals: Vec<String>,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// With the answer that was asked for.
    Answered,
    /// With an error.
    Refused {
        /// AWS's code; empty for services that are only passed through.
        code: String,
        /// The HTTP status.
        status: u16,
        /// Whether it took effect all the same.
        effect: bool,
    },
    /// It took effect, and the connection was closed instead of an answer.
    Lost,
    /// The connection was closed before it took effect.
    Cut,
}

impl Outcome {
    /// Did it change anything, or could it have?
    pub fn took_effect(&self) -> bool {
        match self {
            Outcome::Answered | Outcome::Lost => true,
            Outcome::Refused { effect, .. } => *effect,
            Outcome::Cut => false,
        }
    }
}

impl Call {
    /// Is it an action that changes something? AWS's own line: whatever does not begin with `Describe` or `Get`.
    pub fn is_mutating(&self) -> bool {
        is_mutating(&self.action)
    }

    /// The permissions that it takes, as IAM writes them: `ec2:DescribeVpcs`; those that AWS asks for beside the action's own included.
    pub fn needs(&self) -> Vec<String> {
        permissions::needed(&self.service, &self.query)
    }

    /// Was it refused because nobody has allowed it?
    pub fn was_denied(&self) -> bool {
        matches!(self.outcome, Outcome::Refused { status: 403, effect: false, ref code }
            if code == permissions::DENIED || code == permissions::DENIED_BY_EC2)
    }

    /// Is this name, ARN or id one of those it is about?
    pub fn is_about(&self, principal: &str) -> bool {
        self.principals.iter().any(|one| one == principal)
    }
}

/// See [`Call::is_mutating`].
pub fn is_mutating(action: &str) -> bool {
    !["Describe", "Get", "List"].iter().any(|prefix| action.starts_with(prefix))
}

/// The calls of one double. Cheap to clone: all clones are one log.
#[derive(Debug, Clone)]
pub struct Log {
    calls: Arc<Mutex<Vec<Arc<Call>>>>,
    length: watch::Sender<usize>,
}

impl Default for Log {
    fn default() -> Self {
        Self { calls: Arc::default(), length: watch::Sender::new(0) }
    }
}

impl Log {
    /// Every call so far.
    pub fn calls(&self) -> Vec<Arc<Call>> {
        self.calls_since(0)
    }

    /// The calls from this number on; take the number from [`Log::mark`].
    pub fn calls_since(&self, mark: usize) -> Vec<Arc<Call>> {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.get(mark..).unwrap_or_default().to_vec()
    }

    /// The number that the next call will have: what is counted from here on.
    pub fn mark(&self) -> usize {
        *self.length.borrow()
    }

    /// How often each action was called from this number on, by whomever.
    pub fn counts(&self, mark: usize) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        self.calls_since(mark).iter().for_each(|call| *counts.entry(call.action.clone()).or_default() += 1);
        counts
    }

    /// How often each caller called each action from this number on.
    pub fn counts_by_caller(&self, mark: usize) -> BTreeMap<(Caller, String), usize> {
        let mut counts = BTreeMap::new();
        for call in self.calls_since(mark) {
            *counts.entry((call.caller.clone(), call.action.clone())).or_default() += 1;
        }
        counts
    }

    /// Those of these permissions, as IAM writes them, that no call from this number on has needed: they need not have been given.
    pub fn never_needed(&self, mark: usize, allowed: impl IntoIterator<Item = impl Into<String>>) -> BTreeSet<String> {
        let needed: BTreeSet<String> = self.calls_since(mark).iter().flat_map(|call| call.needs()).collect();
        allowed.into_iter().map(Into::into).filter(|action| !needed.contains(action)).collect()
    }

    /// Waits until the calls so far satisfy `enough`, and returns them. It does not give up: put a timeout around it.
    pub async fn wait_for(&self, mut enough: impl FnMut(&[Arc<Call>]) -> bool) -> Vec<Arc<Call>> {
        let mut length = self.length.subscribe();
        loop {
            length.mark_unchanged();
            let calls = self.calls();
            // The sender lives as long as `self`.
            if enough(&calls) || length.changed().await.is_err() {
                return calls;
            }
        }
    }

    pub(crate) fn write(&self, mut call: Call) {
        let length = {
            let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
            call.number = calls.len();
            calls.push(Arc::new(call));
            calls.len()
        };
        self.length.send_replace(length);
    }
}

/// What a request is about, as far as the request says it.
pub(crate) fn principals(query: &Query) -> Vec<String> {
    const SINGLE: [&str; 6] = ["LoadBalancerArn", "TargetGroupArn", "ListenerArn", "Name", "GroupId", "GroupName"];
    const LISTS: [&str; 8] = [
        "LoadBalancerArns",
        "TargetGroupArns",
        "ListenerArns",
        "Names",
        "ResourceArns",
        "ResourceId",
        "GroupId",
        "InstanceId",
    ];
    let single = SINGLE.iter().filter_map(|name| query.get(name));
    let lists = LISTS.iter().flat_map(|name| query.list(name));
    single.chain(lists).map(str::to_owned).collect()
}
