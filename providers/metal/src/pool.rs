//! Pools: what each says, what is wrong with it, and what is wrong with all of them together. One that is wrong never stops the others.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use portolan_core::balancer::{Family, Scheme};
use serde::{Deserialize, Serialize};

use crate::free::Free;
use crate::placement::Rebalance;
use crate::range::{Range, bits};
use crate::selector::{Labels, Selector};

/// The name of an `AddressPool`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PoolName(String);

impl PoolName {
    /// Takes the text as it is: the API server has checked it.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PoolName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A pool, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Its name.
    pub name: PoolName,
    /// When it was created, in seconds since 1970: of two that overlap the older one stays.
    pub created: i64,
    /// Its addresses, as they stand there.
    pub ranges: Vec<Range>,
    /// What of it cannot be understood.
    pub defects: Vec<String>,
    /// It is given to those who name no pool. On unless switched off.
    pub auto_assign: bool,
    /// IPv4 addresses that end in .0 or .255 are given to nobody.
    pub avoid_buggy: bool,
    /// The lower the earlier; none comes last. From 1.
    pub priority: Option<u32>,
    /// Whom it serves.
    pub serves: Serves,
    /// Addresses of each family that a namespace may have of it.
    pub quota: Option<u32>,
    /// Whoever has an address keeps it; nobody gets one.
    pub draining: bool,
    /// For whom it is marked.
    pub scheme: Option<Scheme>,
    /// By these L2Advertisements select it.
    pub labels: Labels,
    /// Whether its addresses move although their nodes could keep them.
    pub rebalance: Rebalance,
}

/// Whom a pool serves. One that says nothing serves all; a selector that matches nothing serves nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Serves {
    /// Namespaces by name.
    pub namespaces: BTreeSet<String>,
    /// Namespaces by label: one of these has to match, or the name be among those.
    pub namespace_selectors: Vec<Selector>,
    /// Services by label: one of these has to match, too.
    pub service_selectors: Vec<Selector>,
}

/// A Service as pools see it.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Its namespace.
    pub namespace: &'a str,
    /// Its namespace's labels.
    pub namespace_labels: &'a Labels,
    /// Its own.
    pub labels: &'a Labels,
}

impl Serves {
    /// It serves this Service.
    pub fn matches(&self, of: Subject<'_>) -> bool {
        let any_namespace = self.namespaces.is_empty() && self.namespace_selectors.is_empty();
        let namespace = any_namespace
            || self.namespaces.contains(of.namespace)
            || self.namespace_selectors.iter().any(|selector| selector.matches(of.namespace_labels));
        let any_service = self.service_selectors.is_empty();
        namespace && (any_service || self.service_selectors.iter().any(|selector| selector.matches(of.labels)))
    }

    /// It is meant for some and not for all, which comes before those that are meant for all.
    pub fn is_chosen(&self) -> bool {
        *self != Self::default()
    }
}

impl Pool {
    /// With these addresses, and nothing else said.
    pub fn new(name: PoolName, ranges: Vec<Range>) -> Self {
        Self {
            name,
            created: 0,
            ranges,
            defects: Vec::new(),
            auto_assign: true,
            avoid_buggy: false,
            priority: None,
            serves: Serves::default(),
            quota: None,
            draining: false,
            scheme: None,
            labels: Labels::new(),
            rebalance: Rebalance::default(),
        }
    }

    /// It has addresses of this family.
    pub fn has(&self, family: Family) -> bool {
        self.ranges.iter().any(|range| range.family() == family)
    }

    /// It is one of its addresses.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.ranges.iter().any(|range| range.contains(address))
    }

    /// Whom its addresses are for. Unmarked, those with no other addresses than private ones (RFC 1918, RFC 4193) are for whoever asks.
    pub fn suits(&self, scheme: Option<Scheme>) -> bool {
        match (scheme, self.scheme) {
            (Some(Scheme::Internal), Some(Scheme::Internal)) => true,
            (Some(Scheme::Internal), Some(Scheme::Public)) => false,
            (Some(Scheme::Internal), None) => self.is_private(),
            (Some(Scheme::Public) | None, marked) => marked != Some(Scheme::Internal),
        }
    }

    fn is_private(&self) -> bool {
        let private: Vec<Range> = PRIVATE.iter().filter_map(|text| Range::parse(text).ok()).collect();
        self.ranges.iter().all(|range| private.iter().any(|network| network.covers(range)))
    }
}

const PRIVATE: [&str; 4] = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"];

/// What is around the pools, and has addresses that no load balancer can have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// Ranges of pods, by whose they are.
    pub pods: Vec<(String, Range)>,
    /// Ranges of cluster IPs, by what says so.
    pub services: Vec<(String, Range)>,
    /// Single addresses that somebody has (a node, a gateway, an externalIP), and who, in words.
    pub taken: BTreeMap<IpAddr, String>,
}

/// Why a pool gives out nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// Something of it cannot be understood.
    #[error("{0}")]
    Unreadable(String),
    /// It has no address.
    #[error("it names no addresses; add some under spec.addresses")]
    Empty,
    /// Two of its ranges.
    #[error("its ranges {0} and {1} overlap; take the addresses they share out of one of them")]
    WithinItself(Range, Range),
    /// Another pool.
    #[error(
        "its range {own} overlaps {theirs} of the older pool {pool}; take the addresses they share out of one of them"
    )]
    WithAnother {
        /// The range.
        own: Range,
        /// The other one's.
        theirs: Range,
        /// The other one.
        pool: PoolName,
    },
    /// Pods have them.
    #[error(
        "its range {0} overlaps the pods' range {1} ({2}), and packets to those go to pods; take them out of the pool"
    )]
    Pods(Range, Range, String),
    /// Cluster IPs.
    #[error(
        "its range {0} overlaps the Services' range {1} ({2}), and packets to those go to cluster IPs; take them out of the pool"
    )]
    Services(Range, Range, String),
}

/// A pool and what has been found out about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The pool.
    pub pool: Pool,
    /// Why it gives out nothing, all of it.
    pub flaws: Vec<Flaw>,
    /// Addresses of it that are given to nobody, and who has them, in words.
    pub taken: BTreeMap<IpAddr, String>,
}

impl Checked {
    /// It may give out addresses.
    pub fn is_sound(&self) -> bool {
        self.flaws.is_empty()
    }

    /// It gives out this address of its, to those who do not name it.
    pub(crate) fn gives(&self, address: IpAddr) -> bool {
        let is_buggy = matches!(address, IpAddr::V4(address) if matches!(address.octets(), [.., 0 | 255]));
        let is_avoided = self.pool.avoid_buggy && is_buggy;
        !self.taken.contains_key(&address) && !is_avoided
    }

    /// What it can give out as long as nobody has any of it.
    pub(crate) fn free(&self) -> Free {
        let mut free = Free::of(&self.pool.ranges);
        for address in self.taken.keys() {
            free.take(&Range::only(*address));
        }
        if self.pool.avoid_buggy {
            self.pool.ranges.iter().for_each(|range| avoid(range, &mut free));
        }
        free
    }
}

/// Takes out what ends in .0 or .255, which some devices take for a network or a broadcast.
fn avoid(range: &Range, free: &mut Free) {
    if range.family() != Family::V4 {
        return;
    }
    let (first, last) = range.bits();
    let mut network = first & !0xff;
    while network <= last {
        for address in [network, network | 0xff] {
            if (first..=last).contains(&address) {
                free.take(&Range::only(crate::range::address(Family::V4, address)));
            }
        }
        network += 0x100;
    }
}

/// Checks all pools together, in the order of their age.
pub fn check(mut pools: Vec<Pool>, around: &Surroundings) -> Vec<Checked> {
    pools.sort_by(|a, b| (a.created, &a.name).cmp(&(b.created, &b.name)));
    let mut checked: Vec<Checked> = Vec::new();
    for pool in pools {
        let mut flaws: Vec<Flaw> = pool.defects.iter().cloned().map(Flaw::Unreadable).collect();
        if pool.ranges.is_empty() && flaws.is_empty() {
            flaws.push(Flaw::Empty);
        }
        for (index, one) in pool.ranges.iter().enumerate() {
            let others = pool.ranges.iter().skip(index + 1).filter(|other| one.overlaps(other));
            flaws.extend(others.map(|other| Flaw::WithinItself(*one, *other)));
            for older in checked.iter().filter(|older| older.is_sound()) {
                let theirs = older.pool.ranges.iter().filter(|theirs| one.overlaps(theirs));
                flaws.extend(theirs.map(|theirs| Flaw::WithAnother {
                    own: *one,
                    theirs: *theirs,
                    pool: older.pool.name.clone(),
                }));
            }
            let pods = around.pods.iter().filter(|(_, pods)| one.overlaps(pods));
            flaws.extend(pods.map(|(whose, pods)| Flaw::Pods(*one, *pods, whose.clone())));
            let services = around.services.iter().filter(|(_, services)| one.overlaps(services));
            flaws.extend(services.map(|(whose, services)| Flaw::Services(*one, *services, whose.clone())));
        }
        let taken = around.taken.iter().filter(|(address, _)| pool.contains(**address));
        let taken = taken.map(|(address, who)| (*address, who.clone())).collect();
        checked.push(Checked { pool, flaws, taken });
    }
    checked
}

impl Range {
    /// One address.
    pub fn only(address: IpAddr) -> Self {
        Self::new(Family::of(address), bits(address), bits(address))
    }
}

#[cfg(test)]
mod tests;
