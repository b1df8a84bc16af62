//! Who answers: those that stay, those that are dealt, those that are moved by plan.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::Rebalance;
use super::board::{Board, Came, Group, Node, Place, Settled, Tally, best};

/// Gives an owner to every address that may have one, then moves what the pace allows. Whether more would move.
pub(super) fn settle(board: &mut Board<'_>, moves: usize) -> bool {
    deal(board);
    let mut any = usize::MAX;
    level(board, For::Dealing, &mut any);
    // While the network learns that a node is gone, nobody who could stay is moved.
    let mut left = if board.somebody_is_gone { 0 } else { moves.saturating_sub(board.forced) };
    let more_by_weight = prefer(board, &mut left);
    let more_by_number = level(board, For::Plan, &mut left);
    more_by_weight || more_by_number
}

/// What is owned by nobody goes to whom has the fewest of its group, then of all, of the highest weight.
fn deal(board: &mut Board<'_>) {
    let Board { groups, places, owned, .. } = board;
    for group in groups {
        for member in &group.members {
            let Some(place) = places.get_mut(*member).filter(|place| place.ranks.is_empty()) else { continue };
            let Some(node) = fewest(&group.owned, owned, group.top.iter().copied()) else { continue };
            place.ranks.push(node);
            group.owned.add(node);
            owned.add(node);
        }
    }
}

/// Weights first: what could be had by steady nodes that are preferred to its owner goes to those.
fn prefer(board: &mut Board<'_>, left: &mut usize) -> bool {
    let Board { groups, places, owned, settled, .. } = board;
    for group in groups {
        let preferred = best(group.eligible.iter().copied(), |node| settled.contains(node));
        let Some(weight) = preferred.first().map(|node| group.weight(*node)) else { continue };
        for member in group.members.clone() {
            let Some(place) = places.get_mut(member).filter(|place| For::Plan.moves(place)) else { continue };
            let Some(from) = place.ranks.first().copied().filter(|owner| group.weight(*owner) < weight) else {
                continue;
            };
            let Some(to) = fewest(&group.owned, owned, preferred.iter().copied()) else { continue };
            if *left == 0 {
                return true;
            }
            *left -= 1;
            hand(place, group, owned, (from, to));
        }
    }
    false
}

/// What a move is for.
#[derive(Clone, Copy)]
enum For {
    /// Dealing better what is being dealt. No client knows of it, so it may go anywhere.
    Dealing,
    /// Moving clients.
    Plan,
}

impl For {
    fn moves(self, place: &Place) -> bool {
        match self {
            Self::Dealing => place.came == Came::Dealt,
            Self::Plan => place.came == Came::Kept && place.rebalance == Rebalance::WhenSteady,
        }
    }

    fn reaches(self, settled: &Settled, node: Node) -> bool {
        match self {
            Self::Dealing => true,
            Self::Plan => settled.contains(node),
        }
    }
}

/// Moves until no group, and then no node, has more than it must. Every move makes either the groups or the nodes more equal and the groups no
/// less, so it ends. Whether more would move.
fn level(board: &mut Board<'_>, by: For, left: &mut usize) -> bool {
    let Board { groups, places, owned, settled, .. } = board;
    loop {
        let mut moved = false;
        for group in groups.iter_mut().filter(|group| group.top.len() > 1) {
            let mut of: BTreeMap<Node, Vec<usize>> = BTreeMap::new();
            for member in &group.members {
                let owner = places.get(*member).filter(|place| by.moves(place)).and_then(|place| place.ranks.first());
                owner.into_iter().for_each(|owner| of.entry(*owner).or_default().push(*member));
            }
            of.retain(|owner, _| group.top.contains(owner));
            while let Some((from, to)) = next(group, owned, &of, |node| by.reaches(settled, node)) {
                if *left == 0 {
                    return true;
                }
                let Some(member) = of.get_mut(&from).and_then(Vec::pop) else { break };
                let Some(place) = places.get_mut(member) else { break };
                *left -= 1;
                hand(place, group, owned, (from, to));
                of.entry(to).or_default().push(member);
                moved = true;
            }
        }
        if !moved {
            return false;
        }
    }
}

/// The next move within a group: from whom has the most to whom has the fewest and less than its share.
fn next(
    group: &Group,
    owned: &Tally,
    of: &BTreeMap<Node, Vec<usize>>,
    reaches: impl Fn(Node) -> bool,
) -> Option<(Node, Node)> {
    let can_give = of.iter().filter(|(_, members)| !members.is_empty()).map(|(node, _)| *node);
    let from = can_give.max_by_key(|node| (group.owned.get(*node), owned.get(*node), Reverse(*node)))?;
    let to = fewest(&group.owned, owned, group.top.iter().copied().filter(|node| reaches(*node)))?;
    let (most, least) = (group.owned.get(from), group.owned.get(to));
    let uneven_in_group = most > least + 1;
    let uneven_in_all = most == least + 1 && owned.get(from) > owned.get(to) + 1;
    // One that comes gets no more than its share, also while others that are not steady have less.
    let all: u32 = group.top.iter().map(|node| group.owned.get(*node)).sum();
    let share = all.div_ceil(u32::try_from(group.top.len()).unwrap_or(u32::MAX));
    ((uneven_in_group || uneven_in_all) && least < share).then_some((from, to))
}

fn hand(place: &mut Place, group: &mut Group, owned: &mut Tally, (from, to): (Node, Node)) {
    place.hand_to(to);
    for tally in [&mut group.owned, owned] {
        tally.take(from);
        tally.add(to);
    }
}

fn fewest(of_group: &Tally, of_all: &Tally, nodes: impl Iterator<Item = Node>) -> Option<Node> {
    nodes.min_by_key(|node| (of_group.get(*node), of_all.get(*node), *node))
}
