//! A Pod that waits for load balancers, as the decisions see it. Other Pods never become one.

use std::collections::BTreeMap;

use super::ConditionStatus;
use crate::ids::{ServiceKey, Uid};

/// Namespace and name of a Pod.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodName {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

/// A Pod with a readiness gate of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Namespace and name.
    pub name: PodName,
    /// Its identity: a name is used again.
    pub uid: Uid,
    /// The Services of its own namespace whose load balancers it waits for, by name; and what it has been told of each.
    pub gates: BTreeMap<String, Option<Gate>>,
    /// `ContainersReady`: all that keeps it from being ready is a gate.
    pub containers_ready: bool,
    /// It is on its way out.
    pub deleting: bool,
}

/// What the condition of a gate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gate {
    /// True opens the gate.
    pub status: ConditionStatus,
    /// The code.
    pub reason: String,
    /// For people.
    pub message: String,
}

impl Pod {
    /// The Services whose load balancers it waits for.
    pub fn services(&self) -> impl Iterator<Item = ServiceKey> {
        self.gates.keys().map(|name| ServiceKey::new(self.name.namespace.clone(), name.clone()))
    }

    /// It is to be a target although it is not ready: its containers are, and what it waits for is to be one.
    pub fn may_be_target(&self) -> bool {
        self.containers_ready && !self.deleting
    }
}
