//! Who comes next: one owner's addresses are spread evenly over its first heirs, over its second ones, and over those behind each first heir.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::HEIRS;
use super::board::{Board, Group, Node, Place, Settled, Tally, best};

/// Drops heirs that others are preferred to, finds new ones where some are missing, and evens them out.
pub(super) fn settle(board: &mut Board<'_>) {
    let nodes = board.nodes();
    let Board { groups, places, owned, settled, .. } = board;
    // How many addresses, of all groups, each node would get from each owner that goes.
    let mut inherits: BTreeMap<Node, Tally> = BTreeMap::new();
    for group in groups {
        let mut of: BTreeMap<Node, Vec<usize>> = BTreeMap::new();
        for member in &group.members {
            let owner = places.get(*member).and_then(|place| place.ranks.first());
            owner.into_iter().for_each(|owner| of.entry(*owner).or_default().push(*member));
        }
        for (owner, members) in of {
            let inherits = inherits.entry(owner).or_insert_with(|| Tally::of(nodes));
            let load = |node: Node| owned.get(node) + inherits.get(node);
            let mut estate = Estate::new(group, owner, load, nodes);
            for member in &members {
                let Some(place) = places.get_mut(*member) else { continue };
                estate.keep(place, settled);
            }
            for rank in 1..=HEIRS {
                for member in &members {
                    let Some(place) = places.get_mut(*member) else { continue };
                    estate.fill(place, rank);
                }
            }
            for rank in 1..=HEIRS {
                estate.level(places, &members, rank, settled);
            }
            for member in &members {
                let heir = places.get(*member).and_then(|place| place.ranks.get(1));
                heir.into_iter().for_each(|heir| inherits.add(*heir));
            }
        }
    }
}

/// What an owner has of a group, and who would get it.
struct Estate<'a> {
    group: &'a Group,
    owner: Node,
    /// The other nodes with their weights, whoever would have the fewest if the owner went first. Heirs are dealt in that order, and second ones
    /// behind the first, as on a ring: each time round is a permutation of the nodes, so both are even.
    ring: Vec<(Node, u32)>,
    /// How often each node is the first heir, the second one.
    heirs: [Tally; HEIRS],
    /// How often each node is the second heir behind a first one.
    behind: BTreeMap<Node, Tally>,
    nodes: usize,
}

impl<'a> Estate<'a> {
    fn new(group: &'a Group, owner: Node, load: impl Fn(Node) -> u32, nodes: usize) -> Self {
        let mut ring: Vec<(Node, u32)> = group.eligible.iter().copied().filter(|(node, _)| *node != owner).collect();
        ring.sort_by_cached_key(|(node, _)| (load(*node), *node));
        Self { group, owner, ring, heirs: [Tally::of(nodes), Tally::of(nodes)], behind: BTreeMap::new(), nodes }
    }

    /// Heirs stay, but those that a steady node is preferred to.
    fn keep(&mut self, place: &mut Place, settled: &Settled) {
        let mut ranks = Vec::with_capacity(1 + HEIRS);
        ranks.push(self.owner);
        for heir in place.ranks.iter().skip(1) {
            let others = self.ring.iter().filter(|(node, _)| settled.contains(*node) && !ranks.contains(node));
            if others.map(|(_, weight)| *weight).max().is_none_or(|best| self.group.weight(*heir) >= best) {
                ranks.push(*heir);
            }
        }
        place.touched |= ranks != place.ranks;
        place.ranks = ranks;
        self.count(place, Tally::add);
    }

    fn fill(&mut self, place: &mut Place, rank: usize) {
        if place.ranks.len() != rank {
            return;
        }
        // Behind the heir before it; the owner is not on the ring.
        let before = place.ranks.last().and_then(|last| self.ring.iter().position(|(node, _)| node == last));
        let (done, ahead) = before.and_then(|at| self.ring.split_at_checked(at + 1)).unwrap_or((&[], &self.ring));
        let from_there = ahead.iter().chain(done).copied();
        let candidates = best(from_there, |node| !place.ranks.contains(&node));
        let Some(count) = self.heirs.get(rank - 1) else { return };
        let behind = place.ranks.get(1).and_then(|first| self.behind.get(first));
        let heir = candidates.into_iter().min_by_key(|node| (count.get(*node), behind.map(|behind| behind.get(*node))));
        if let Some(heir) = heir {
            self.count(place, Tally::take);
            place.ranks.push(heir);
            place.touched = true;
            self.count(place, Tally::add);
        }
    }

    /// Evens out the heirs of one rank. Nobody is first and second heir at once, so second ones may stay less even than first ones.
    fn level(&mut self, places: &mut [Place], members: &[usize], rank: usize, settled: &Settled) {
        let first = best(self.ring.iter().copied(), |_| true);
        // A single preferred node is the first heir of all, and the second ones are found among the rest.
        let nodes = if rank == 1 || first.len() > 1 {
            first
        } else {
            best(self.ring.iter().copied(), |node| !first.contains(&node))
        };
        let mut of: BTreeMap<Node, Vec<usize>> = BTreeMap::new();
        for touched in [false, true] {
            for member in members {
                let place = places.get(*member).filter(|place| place.touched == touched);
                let heir = place.and_then(|place| place.ranks.get(rank)).filter(|heir| nodes.contains(heir));
                heir.into_iter().for_each(|heir| of.entry(*heir).or_default().push(*member));
            }
        }
        while let Some((from, member, to)) = self.uneven(places, rank, &of, &nodes, settled) {
            of.entry(from).or_default().retain(|other| *other != member);
            of.entry(to).or_default().push(member);
            let Some(place) = places.get_mut(member) else { return };
            self.count(place, Tally::take);
            // One that is an heir already changes ranks with the other.
            for node in place.ranks.iter_mut().skip(1) {
                *node = if *node == from {
                    to
                } else if *node == to {
                    from
                } else {
                    *node
                };
            }
            place.touched = true;
            self.count(place, Tally::add);
        }
    }

    /// The next one that makes it more even: from whom, which, to whom.
    fn uneven(
        &self,
        places: &[Place],
        rank: usize,
        of: &BTreeMap<Node, Vec<usize>>,
        nodes: &[Node],
        settled: &Settled,
    ) -> Option<(Node, usize, Node)> {
        let count = self.heirs.get(rank - 1)?;
        let to = nodes.iter().copied().filter(|node| settled.contains(*node)).min_by_key(|node| count.get(*node))?;
        // Whoever is the first heir cannot be the second one too.
        let is_free = |member: &usize| {
            let place = places.get(*member);
            rank == 1 || place.is_some_and(|place| place.ranks.get(1) != Some(&to))
        };
        let givers = of.iter().filter(|(node, _)| count.get(**node) > count.get(to) + 1);
        let givers = givers.filter_map(|(node, members)| {
            // What is written anyway first.
            let member = members.iter().rev().copied().find(is_free)?;
            Some((*node, member, to))
        });
        givers.max_by_key(|(node, _, _)| (count.get(*node), Reverse(*node)))
    }

    fn count(&mut self, place: &Place, by: fn(&mut Tally, Node)) {
        let heirs = place.ranks.iter().skip(1);
        self.heirs.iter_mut().zip(heirs).for_each(|(tally, heir)| by(tally, *heir));
        if let [_, first, second] = place.ranks.as_slice() {
            by(self.behind.entry(*first).or_insert_with(|| Tally::of(self.nodes)), *second);
        }
    }
}
