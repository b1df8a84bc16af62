//! What the mock provider observes of one load balancer: everything that `plan` and `outcome` read.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use portolan_core::balancer::{Family, Listener, Member, NodeTarget, Published, Scheme, SourceRanges};
use serde::Serialize;

/// What exists of a load balancer.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum State {
    /// Nothing.
    #[default]
    Absent,
    /// Only claims: its file is gone, but these addresses, sorted, may still name it.
    Claims {
        /// At least one.
        addresses: Vec<IpAddr>,
    },
    /// Something of that name without our mark.
    Foreign {
        /// The mark it carries.
        instance: Option<String>,
    },
    /// Ours.
    Ours(Balancer),
}

/// A load balancer.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Balancer {
    /// The Services it says it serves.
    pub members: Vec<Member>,
    /// Who may connect.
    pub source_ranges: SourceRanges,
    /// The nodes that may take traffic.
    pub nodes: Vec<NodeTarget>,
    /// By number; never empty.
    pub generations: Vec<Generation>,
    /// A fault says that no target is healthy.
    pub unhealthy: bool,
}

/// One generation: what a cloud would call a load balancer.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Generation {
    /// Its number, from 1.
    pub number: u32,
    /// Whom it serves.
    pub scheme: Scheme,
    /// The addresses that are its own.
    pub addresses: BTreeMap<Family, IpAddr>,
    /// Addresses that it was to have and has not: the step was cut short, or somebody took the claim away.
    pub unclaimed: BTreeMap<Family, IpAddr>,
    /// Its name.
    pub hostname: String,
    /// Its listeners, by port and protocol.
    pub listeners: Vec<Listener>,
    /// Whether it takes traffic.
    pub readiness: Readiness,
    /// Whether it is on its way out.
    pub drain: Drain,
}

/// Whether a generation takes traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Readiness {
    /// It does.
    Active,
    /// Not before this much time has passed.
    Provisioning(Duration),
    /// Not before somebody releases it.
    Held,
}

/// Whether a generation is on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Drain {
    /// It is not.
    No,
    /// It takes no new connections; its last ones get this much time.
    Draining(Duration),
    /// It can be deleted.
    Drained,
}

impl Generation {
    /// Clients may be using it under one of these.
    pub fn is_among(&self, published: &[Published]) -> bool {
        published.iter().any(|entry| self.answers_to(entry))
    }

    /// Clients that use this reach it.
    pub fn answers_to(&self, entry: &Published) -> bool {
        match entry {
            Published::Ip { ip, mode: _ } => self.addresses.values().any(|own| own == ip),
            Published::Hostname { hostname } => hostname == &self.hostname,
        }
    }

    /// It takes traffic.
    pub fn is_active(&self) -> bool {
        self.readiness == Readiness::Active
    }

    /// It is on its way out.
    pub fn is_leaving(&self) -> bool {
        match self.drain {
            Drain::No => false,
            Drain::Draining(_) | Drain::Drained => true,
        }
    }
}
