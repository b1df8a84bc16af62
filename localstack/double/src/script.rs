//! What tests decide about the world behind the API: which targets are healthy, which balancers fail.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// What the health checks of a target find, once it is registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Health {
    /// It answers.
    #[default]
    Healthy,
    /// It does not: `unhealthy`, `Target.FailedHealthChecks`.
    Unhealthy,
    /// The checks do not come to an end: it stays `initial`.
    Initial,
    /// `unavailable`, `Elb.InternalError`.
    Unavailable,
}

/// What becomes of a balancer once it is provisioned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fate {
    /// It works.
    #[default]
    Active,
    /// It works, but cannot scale.
    ActiveImpaired,
    /// It could not be set up.
    Failed,
}

/// The script. Cheap to clone: all clones are one.
#[derive(Debug, Clone, Default)]
pub struct Script(Arc<Mutex<Lines>>);

#[derive(Debug, Default)]
struct Lines {
    in_group: BTreeMap<(String, String), Health>,
    anywhere: BTreeMap<String, Health>,
    balancers: BTreeMap<String, Fate>,
}

impl Script {
    /// The health of a target (instance id or address) in every group.
    pub fn target(&self, id: &str, health: Health) {
        self.lines(|lines| lines.anywhere.insert(id.to_owned(), health));
    }

    /// The health of a target in one group, by the group's name; it wins over [`Script::target`].
    pub fn target_in(&self, group: &str, id: &str, health: Health) {
        self.lines(|lines| lines.in_group.insert((group.to_owned(), id.to_owned()), health));
    }

    /// What becomes of the balancer of this name.
    pub fn balancer(&self, name: &str, fate: Fate) {
        self.lines(|lines| lines.balancers.insert(name.to_owned(), fate));
    }

    pub(crate) fn health(&self, group: &str, id: &str) -> Health {
        self.lines(|lines| {
            let in_group = lines.in_group.get(&(group.to_owned(), id.to_owned()));
            in_group.or_else(|| lines.anywhere.get(id)).copied().unwrap_or_default()
        })
    }

    pub(crate) fn fate(&self, balancer: &str) -> Fate {
        self.lines(|lines| lines.balancers.get(balancer).copied().unwrap_or_default())
    }

    fn lines<T>(&self, with: impl FnOnce(&mut Lines) -> T) -> T {
        with(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
