//! From where addresses are announced by ARP and NDP: `L2Advertisement`, with MetalLB's meanings (its `api/v1beta1/l2advertisement_types.go`,
//! `speaker/layer2_controller.go`).
//!
//! - One covers an address if it names its pool, or a selector matches the pool's labels, or it says nothing of pools; and if a service selector
//!   matches the Service's labels, or there is none. A pool that nobody has made yet is named in vain, and no error.
//! - It admits a node if a node selector matches, or there is none.
//! - All that cover a Service count together: a node that one of them admits may announce, on the interfaces of all that admit it, and is preferred
//!   by the sum of the weights that match it, in one and over several.
//!
//! Where MetalLB gives up, a Service selector and an address that Services share, we say: a node may announce a shared address if it may for
//! each of them, and on the interfaces that are for each of them. If together they leave no node, one that asks to join is refused
//! ([`common`]). An advertisement that covers several of them counts once.

use std::collections::{BTreeMap, BTreeSet};

use portolan_core::ids::{NodeName, ServiceKey};

use crate::pool::PoolName;
use crate::selector::{Labels, Selector};

/// An `L2Advertisement`, read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Advertisement {
    /// Pools by name.
    pub pools: BTreeSet<PoolName>,
    /// Pools by label.
    pub pool_selectors: Vec<Selector>,
    /// Nodes by label; without any, all.
    pub node_selectors: Vec<Selector>,
    /// The interfaces; without any, all that reach the address.
    pub interfaces: BTreeSet<String>,
    /// Services by label; without any, all.
    pub service_selectors: Vec<Selector>,
    /// Which of the nodes rather.
    pub preferences: Vec<Preference>,
}

/// One of `preferredNodeSelectors`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preference {
    /// From 1 to 100.
    pub weight: u32,
    /// For which nodes; one that says nothing is for all.
    pub selector: Selector,
}

/// The pool that an address is of, as its record has it. One that is gone has no labels, and its name still counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PoolRef {
    /// Its name.
    pub name: PoolName,
    /// Its labels.
    pub labels: Labels,
}

/// On which of a node's interfaces an address is announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Interfaces {
    /// All that reach it.
    All,
    /// These, of those that are there.
    Only(BTreeSet<String>),
}

/// What advertisements say of an address and a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admission {
    /// On which interfaces.
    pub interfaces: Interfaces,
    /// How much the node is preferred.
    pub weight: u32,
}

impl Advertisement {
    fn covers(&self, pool: &PoolRef, service: &Labels) -> bool {
        let any_pool = self.pools.is_empty() && self.pool_selectors.is_empty();
        let pool = any_pool || self.pools.contains(&pool.name) || some(&self.pool_selectors, &pool.labels);
        pool && (self.service_selectors.is_empty() || some(&self.service_selectors, service))
    }

    fn admits(&self, node: &Labels) -> bool {
        self.node_selectors.is_empty() || some(&self.node_selectors, node)
    }

    fn weight(&self, node: &Labels) -> u32 {
        let matching = self.preferences.iter().filter(|preference| preference.selector.matches(node));
        matching.map(|preference| preference.weight).fold(0, u32::saturating_add)
    }
}

fn some(selectors: &[Selector], labels: &Labels) -> bool {
    selectors.iter().any(|selector| selector.matches(labels))
}

/// The advertisements of an address: for each of its Services those that cover it.
#[derive(Clone, Debug)]
pub struct Announced<'a> {
    all: &'a [Advertisement],
    by_service: Covering,
}

/// For each Service of an address the advertisements that cover it, by their place: addresses of which these are equal go the same way.
pub type Covering = Vec<Vec<usize>>;

impl<'a> Announced<'a> {
    /// Those of all that cover these Services, by their labels. An address that is nobody's is announced by nobody.
    pub fn of<'b>(all: &'a [Advertisement], pool: &PoolRef, services: impl IntoIterator<Item = &'b Labels>) -> Self {
        let covering = |service: &'b Labels| {
            let covering = all.iter().enumerate().filter(|(_, advertisement)| advertisement.covers(pool, service));
            covering.map(|(number, _)| number).collect()
        };
        Self { all, by_service: services.into_iter().map(covering).collect() }
    }

    /// Which they are.
    pub fn covering(&self) -> &Covering {
        &self.by_service
    }

    /// Whether a node with these labels may announce it, and how. Without an interface that is for all of its Services it may not.
    pub fn admission(&self, node: &Labels) -> Option<Admission> {
        let mut interfaces: Option<Interfaces> = None;
        let mut counted: BTreeMap<usize, u32> = BTreeMap::new();
        for service in &self.by_service {
            let known = service.iter().filter_map(|number| Some((*number, self.all.get(*number)?)));
            let admitting = || known.clone().filter(|(_, advertisement)| advertisement.admits(node));
            let of_service = admitting().map(|(_, advertisement)| Interfaces::of(&advertisement.interfaces));
            let of_service = of_service.reduce(Interfaces::or)?;
            interfaces = Some(match interfaces {
                Some(others) => others.and(of_service),
                None => of_service,
            });
            counted.extend(admitting().map(|(number, advertisement)| (number, advertisement.weight(node))));
        }
        let interfaces = interfaces.filter(|interfaces| *interfaces != Interfaces::Only(BTreeSet::new()))?;
        Some(Admission { interfaces, weight: counted.into_values().fold(0, u32::saturating_add) })
    }
}

impl Interfaces {
    fn of(names: &BTreeSet<String>) -> Self {
        if names.is_empty() { Self::All } else { Self::Only(names.clone()) }
    }

    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::All, _) | (_, Self::All) => Self::All,
            (Self::Only(one), Self::Only(other)) => Self::Only(one.into_iter().chain(other).collect()),
        }
    }

    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::All, only) | (only, Self::All) => only,
            (Self::Only(one), Self::Only(other)) => Self::Only(one.intersection(&other).cloned().collect()),
        }
    }

    /// The node has one of them.
    pub fn any_of(&self, there: &BTreeSet<String>) -> bool {
        match self {
            Self::All => !there.is_empty(),
            Self::Only(names) => !names.is_disjoint(there),
        }
    }
}

/// Why a Service cannot share an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no node may announce one address for {joins} and for {}: their L2Advertisements have no node and interface in common; let one select \
     both, or give {joins} an address of its own",
    list(.with)
)]
pub struct NoCommonNode {
    /// Who asks to join.
    pub joins: ServiceKey,
    /// Those who are there.
    pub with: Vec<ServiceKey>,
}

fn list(services: &[ServiceKey]) -> String {
    services.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// The nodes that may announce an address that these Services share, in the order in which they joined; asked before somebody gets it. By
/// advertisements alone: who is not ready today may be tomorrow. A Service that is announced nowhere by itself stands in nobody's way, since an
/// advertisement may come after the Service.
pub fn common<'a>(
    all: &[Advertisement],
    pool: &PoolRef,
    services: &[(&ServiceKey, &Labels)],
    nodes: &[(&'a NodeName, &'a Labels)],
) -> Result<BTreeSet<&'a NodeName>, NoCommonNode> {
    let admitted = |services: &[(&ServiceKey, &Labels)]| -> BTreeSet<&'a NodeName> {
        let announced = Announced::of(all, pool, services.iter().map(|(_, labels)| *labels));
        let nodes = nodes.iter().filter(|(_, labels)| announced.admission(labels).is_some());
        nodes.map(|(name, _)| *name).collect()
    };
    let mut joined: Vec<(&ServiceKey, &Labels)> = Vec::new();
    let mut common = BTreeSet::new();
    for service in services {
        if admitted(&[*service]).is_empty() {
            continue;
        }
        joined.push(*service);
        common = admitted(&joined);
        if common.is_empty() {
            let with = joined.iter().map(|(key, _)| (*key).clone()).filter(|key| key != service.0).collect();
            return Err(NoCommonNode { joins: service.0.clone(), with });
        }
    }
    Ok(common)
}

#[cfg(test)]
mod tests;
