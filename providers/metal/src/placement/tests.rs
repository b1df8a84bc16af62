use proptest::prelude::*;

use super::*;

mod history;
mod rules;

/// A world that placements are made for: plain maps that tests edit.
#[derive(Clone, Debug, Default)]
struct World {
    vips: BTreeMap<IpAddr, (Weights, Rebalance)>,
    ranks: BTreeMap<IpAddr, Ranks>,
    settled: BTreeSet<NodeName>,
}

fn node(number: usize) -> NodeName {
    NodeName::new(format!("node-{number:03}"))
}

fn address(number: usize) -> IpAddr {
    IpAddr::from([198, 18, u8::try_from(number / 256).unwrap(), u8::try_from(number % 256).unwrap()])
}

fn weights(nodes: impl IntoIterator<Item = usize>) -> Weights {
    nodes.into_iter().map(|number| (node(number), 0)).collect()
}

impl World {
    /// So many addresses that the same nodes may answer for, all of them steady.
    fn of(vips: usize, nodes: impl IntoIterator<Item = usize>) -> Self {
        let weights = weights(nodes);
        let settled = weights.keys().cloned().collect();
        let vips = (0..vips).map(|vip| (address(vip), (weights.clone(), Rebalance::WhenSteady))).collect();
        Self { vips, ranks: BTreeMap::new(), settled }
    }

    /// What is to be placed; equal weights are shared or not, which must not matter.
    fn input(&self, shared: bool) -> BTreeMap<IpAddr, Vip> {
        let mut known: BTreeMap<&Weights, Arc<Weights>> = BTreeMap::new();
        let vips = self.vips.iter().map(|(address, (weights, rebalance))| {
            let fresh = || Arc::new(weights.clone());
            let eligible = if shared { Arc::clone(known.entry(weights).or_insert_with(fresh)) } else { fresh() };
            let previous = self.ranks.get(address).cloned().unwrap_or_default();
            (*address, Vip { eligible, rebalance: *rebalance, previous })
        });
        vips.collect()
    }

    fn placed(&self, moves: usize) -> Placement {
        place(&self.input(true), &Pace { settled: &self.settled, moves })
    }

    fn place(&mut self, moves: usize) -> bool {
        let placement = self.placed(moves);
        self.ranks = placement.ranks;
        placement.unfinished
    }

    /// Nobody may be this node any more.
    fn lose(&mut self, lost: &NodeName) {
        for (weights, _) in self.vips.values_mut() {
            weights.remove(lost);
        }
        self.settled.remove(lost);
    }

    fn owner(&self, address: &IpAddr) -> Option<&NodeName> {
        self.ranks.get(address).and_then(Ranks::owner)
    }

    /// Addresses by what their eligible nodes are.
    fn groups(&self) -> BTreeMap<&Weights, Vec<IpAddr>> {
        self.vips.iter().fold(BTreeMap::new(), |mut groups, (address, (weights, _))| {
            groups.entry(weights).or_default().push(*address);
            groups
        })
    }
}

/// The best of these nodes, without some.
fn top<'a>(weights: &'a Weights, without: &[&NodeName]) -> BTreeSet<&'a NodeName> {
    let others = || weights.iter().filter(|(node, _)| !without.contains(node));
    let best = others().map(|(_, weight)| *weight).max();
    others().filter(|(_, weight)| Some(**weight) == best).map(|(node, _)| node).collect()
}

/// The difference between who has most and who has least of these.
fn spread<'a>(over: &BTreeSet<&NodeName>, of: impl Iterator<Item = &'a NodeName>) -> usize {
    let mut counts: BTreeMap<&NodeName, usize> = over.iter().map(|node| (*node, 0)).collect();
    for node in of {
        *counts.entry(node).or_default() += 1;
    }
    counts.values().max().unwrap_or(&0) - counts.values().min().unwrap_or(&0)
}

/// Each group is spread evenly over its best nodes, and each owner's part of it over its heirs. Second heirs only where `second` says.
fn is_even(world: &World, second: bool) -> Result<(), String> {
    for (weights, addresses) in world.groups() {
        let best = top(weights, &[]);
        let ranks = || addresses.iter().map(|address| &world.ranks[address]);
        let owners = spread(&best, ranks().filter_map(Ranks::owner));
        if owners > 1 {
            return Err(format!("owners of {weights:?} differ by {owners}: {:?}", world.ranks));
        }
        for owner in &best {
            let own = || ranks().filter(|ranks| ranks.owner() == Some(*owner));
            let first = top(weights, &[*owner]);
            let heirs = spread(&first, own().filter_map(|ranks| ranks.heirs().first()));
            if heirs > 1 {
                return Err(format!("first heirs of {owner} differ by {heirs}: {:?}", world.ranks));
            }
            let behind =
                if first.len() > 1 { first } else { top(weights, &[&[*owner], &*Vec::from_iter(first)].concat()) };
            let heirs = spread(&behind, own().filter_map(|ranks| ranks.heirs().get(1)));
            if second && heirs > 1 {
                return Err(format!("second heirs of {owner} differ by {heirs}: {:?}", world.ranks));
            }
        }
    }
    Ok(())
}

fn moved(before: &World, after: &World) -> Vec<(IpAddr, NodeName, NodeName)> {
    let pairs = after.ranks.iter().filter_map(|(address, ranks)| {
        let (from, to) = (before.owner(address)?, ranks.owner()?);
        (from != to).then(|| (*address, from.clone(), to.clone()))
    });
    pairs.collect()
}
