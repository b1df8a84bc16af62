//! All addresses and nodes as numbers, and who has how many.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;

use portolan_core::ids::NodeName;

use super::{HEIRS, Rebalance, Vip, Weights};

/// A node, by its place in the order of names.
pub(super) type Node = usize;

/// The picture that a round works on.
#[derive(Debug)]
pub(super) struct Board<'a> {
    names: Vec<&'a NodeName>,
    /// Who is given what others have.
    pub(super) settled: Settled,
    /// In the order of their addresses.
    pub(super) places: Vec<Place>,
    /// Those with the least choice first, since the others can make up for them.
    pub(super) groups: Vec<Group>,
    /// How many each node owns.
    pub(super) owned: Tally,
    /// How many have to move: their owner may not have them any more, somebody else may.
    pub(super) forced: usize,
    /// One of those owners may have nothing at all any more.
    pub(super) somebody_is_gone: bool,
}

/// Which nodes have been steady.
#[derive(Debug)]
pub(super) struct Settled(Vec<bool>);

/// An address.
#[derive(Debug)]
pub(super) struct Place {
    /// The owner, then the heirs.
    pub(super) ranks: Vec<Node>,
    /// The owner that it has had and may keep.
    pub(super) kept: Option<Node>,
    pub(super) rebalance: Rebalance,
    pub(super) came: Came,
    /// Its ranks are others than they were, so it is written anyway.
    pub(super) touched: bool,
}

/// How an address came to its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// It has had it.
    Kept,
    /// From one that may not have it any more.
    Inherited,
    /// It was dealt in this round.
    Dealt,
}

/// Addresses with equal eligible nodes and weights.
#[derive(Debug)]
pub(super) struct Group {
    /// Their places, in the order of their addresses.
    pub(super) members: Vec<usize>,
    /// Those who may answer for them, with their weights, in the order of names.
    pub(super) eligible: Vec<(Node, u32)>,
    /// Those of them with the highest weight.
    pub(super) top: Vec<Node>,
    /// How many of them each node owns.
    pub(super) owned: Tally,
}

/// Counts by node.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally(Vec<u32>);

impl<'a> Board<'a> {
    pub(super) fn new(vips: &'a BTreeMap<IpAddr, Vip>, settled: &BTreeSet<NodeName>) -> Self {
        let (weights, group_of) = grouped(vips);
        let names: HashSet<&NodeName> = weights.iter().flat_map(|weights| weights.keys()).collect();
        let mut names: Vec<&NodeName> = names.into_iter().collect();
        names.sort_unstable();
        let numbers: HashMap<&NodeName, Node> =
            names.iter().enumerate().map(|(number, name)| (*name, number)).collect();
        let number = |name: &NodeName| numbers.get(name).copied();
        let mut groups: Vec<Group> = weights
            .iter()
            .map(|weights| {
                let eligible = weights.iter().filter_map(|(name, weight)| Some((number(name)?, *weight))).collect();
                Group::new(eligible, names.len())
            })
            .collect();
        let mut owned = Tally::of(names.len());
        let mut places = Vec::with_capacity(vips.len());
        let (mut forced, mut somebody_is_gone) = (0, false);
        for (vip, group) in vips.values().zip(group_of) {
            let mut ranks: Vec<Node> = Vec::with_capacity(2 + HEIRS);
            for name in vip.previous.nodes.iter().filter(|name| vip.eligible.contains_key(*name)) {
                ranks.extend(number(name).filter(|node| !ranks.contains(node)));
            }
            ranks.truncate(1 + HEIRS);
            let previous = vip.previous.owner();
            let kept = ranks.first().copied().filter(|owner| names.get(*owner).copied() == previous);
            let came = match (previous, kept) {
                (Some(_), None) if !ranks.is_empty() => Came::Inherited,
                (None | Some(_), None) => Came::Dealt,
                (None | Some(_), Some(_)) => Came::Kept,
            };
            forced += usize::from(previous.is_some() && kept.is_none() && !vip.eligible.is_empty());
            somebody_is_gone |= previous.is_some_and(|owner| number(owner).is_none());
            if let Some(group) = groups.get_mut(group) {
                group.members.push(places.len());
                ranks.first().iter().for_each(|owner| group.owned.add(**owner));
            }
            ranks.first().iter().for_each(|owner| owned.add(**owner));
            places.push(Place { ranks, kept, rebalance: vip.rebalance, came, touched: came != Came::Kept });
        }
        groups.sort_by(|a, b| (a.eligible.len(), &a.eligible).cmp(&(b.eligible.len(), &b.eligible)));
        let settled = Settled(names.iter().map(|name| settled.contains(*name)).collect());
        Self { names, settled, places, groups, owned, forced, somebody_is_gone }
    }

    pub(super) fn name(&self, node: Node) -> Option<&'a NodeName> {
        self.names.get(node).copied()
    }

    pub(super) fn nodes(&self) -> usize {
        self.names.len()
    }
}

impl Settled {
    pub(super) fn contains(&self, node: Node) -> bool {
        self.0.get(node).copied().unwrap_or_default()
    }
}

impl Place {
    /// Gives it to another node. Who has it now stands next in line: as long as it changes hands nobody is better prepared.
    pub(super) fn hand_to(&mut self, node: Node) {
        let from = self.ranks.first().copied();
        self.ranks.retain(|other| Some(*other) != from && *other != node && Some(*other) != self.kept);
        self.ranks.insert(0, node);
        self.kept.filter(|kept| *kept != node).into_iter().for_each(|kept| self.ranks.insert(1, kept));
        self.ranks.truncate(1 + HEIRS);
        self.touched = true;
    }
}

impl Group {
    fn new(eligible: Vec<(Node, u32)>, nodes: usize) -> Self {
        let top = best(eligible.iter().copied(), |_| true);
        Self { members: Vec::new(), eligible, top, owned: Tally::of(nodes) }
    }

    pub(super) fn weight(&self, node: Node) -> u32 {
        let found = self.eligible.binary_search_by_key(&node, |(node, _)| *node);
        found.ok().and_then(|at| self.eligible.get(at)).map_or(0, |(_, weight)| *weight)
    }
}

/// Of these nodes those with the highest weight, in their order.
pub(super) fn best(nodes: impl Iterator<Item = (Node, u32)> + Clone, of: impl Fn(Node) -> bool) -> Vec<Node> {
    let nodes = nodes.filter(|(node, _)| of(*node));
    let highest = nodes.clone().map(|(_, weight)| weight).max();
    nodes.filter(|(_, weight)| Some(*weight) == highest).map(|(node, _)| node).collect()
}

/// Which addresses have equal eligible nodes and weights: each such picture once, and whose is which.
fn grouped(vips: &BTreeMap<IpAddr, Vip>) -> (Vec<&Weights>, Vec<usize>) {
    let mut distinct: Vec<&Weights> = Vec::new();
    let mut by_content: BTreeMap<&Weights, usize> = BTreeMap::new();
    // What is shared need not be compared again.
    let mut by_pointer: HashMap<*const Weights, usize> = HashMap::new();
    let mut group_of = Vec::with_capacity(vips.len());
    for vip in vips.values() {
        let weights: &Weights = &vip.eligible;
        let group = *by_pointer.entry(std::ptr::from_ref(weights)).or_insert_with(|| {
            *by_content.entry(weights).or_insert_with(|| {
                distinct.push(weights);
                distinct.len() - 1
            })
        });
        group_of.push(group);
    }
    (distinct, group_of)
}

impl Tally {
    pub(super) fn of(nodes: usize) -> Self {
        Self(vec![0; nodes])
    }

    pub(super) fn get(&self, node: Node) -> u32 {
        self.0.get(node).copied().unwrap_or_default()
    }

    pub(super) fn add(&mut self, node: Node) {
        if let Some(count) = self.0.get_mut(node) {
            *count += 1;
        }
    }

    pub(super) fn take(&mut self, node: Node) {
        if let Some(count) = self.0.get_mut(node) {
            *count = count.saturating_sub(1);
        }
    }
}
