//! Which node answers for which address, and who comes next: a pure function over all of them at once (design, "Placement and failover").
//!
//! | Rule | Where |
//! |---|---|
//! | Who may answer and is still there stays in its rank. When the owner may no longer, the first heir that may becomes the owner: in an unplanned failure it has taken over already, and another choice would move clients twice. So a node that goes moves only what it had. | `placement/board.rs` |
//! | The highest weights come first (MetalLB's `preferredNodeSelectors`); among equal ones it is even: addresses with equal eligible nodes and weights differ by at most one a node, then the nodes differ as little as that allows. | `placement/owners.rs` |
//! | Of one owner's addresses the first heirs are spread as evenly, and of those that would have the fewest in the end first; so are the second ones, and those behind each first heir. | `placement/heirs.rs` |
//! | Moves for the sake of weight or evenness are planned: at most so many a round, only to nodes that have been steady, never where a pool says `rebalance: Never`. What moves because it has to counts too, and while a node is gone for good nothing else is moved at all. | `placement/owners.rs` |
//! | Heirs move no client, so the pace does not hold for them; only who is steady becomes one for evenness' sake. | `placement/heirs.rs` |
//! | A generation grows if and only if the ranks change. | [`place`] |
//!
//! Nothing but the arguments counts: no clock, no randomness, and maps are sorted, so equal pictures give equal placements. With no moves allowed,
//! what comes out comes out again when it goes in.
//!
//! It takes some V·N steps, of integers, for V addresses and N nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use portolan_core::ids::NodeName;

mod board;
mod heirs;
mod owners;

use board::Board;

/// How many nodes stand ready behind an owner.
pub const HEIRS: usize = 2;

/// The nodes that may answer for an address, and how much each is preferred: the more the better. Equal ones are best shared, not copied.
pub type Weights = BTreeMap<NodeName, u32>;

/// Who answers for an address, as its `VirtualIP` records it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranks {
    /// The owner, then its heirs in their order; at most `1 + HEIRS`, each once. Nobody, if nobody may.
    pub nodes: Vec<NodeName>,
    /// Grows whenever `nodes` changes; 0 of one that nobody ever answered for.
    pub generation: u64,
}

impl Ranks {
    /// Who answers.
    pub fn owner(&self) -> Option<&NodeName> {
        self.nodes.first()
    }

    /// Who comes next, in this order.
    pub fn heirs(&self) -> &[NodeName] {
        self.nodes.get(1..).unwrap_or_default()
    }
}

/// Whether a pool's addresses are moved although their owners could keep them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rebalance {
    /// To nodes that have been steady, at the pace of all.
    #[default]
    WhenSteady,
    /// Never.
    Never,
}

/// An address and what is known of it.
#[derive(Clone, Debug)]
pub struct Vip {
    /// Who may answer for it.
    pub eligible: Arc<Weights>,
    /// What its pool says.
    pub rebalance: Rebalance,
    /// What is recorded.
    pub previous: Ranks,
}

/// How fast things may move that could stay.
#[derive(Clone, Copy, Debug)]
pub struct Pace<'a> {
    /// The nodes that have been steady for long enough (five minutes, by the design) to be given what others have.
    pub settled: &'a BTreeSet<NodeName>,
    /// How many owners may change in this round; those that have to change come first, however many they are.
    pub moves: usize,
}

/// A placement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// For each address; those whose generation is as it was need no write.
    pub ranks: BTreeMap<IpAddr, Ranks>,
    /// Something else would move if the pace allowed it: come again in a while.
    pub unfinished: bool,
}

/// Places all addresses.
pub fn place(vips: &BTreeMap<IpAddr, Vip>, pace: &Pace<'_>) -> Placement {
    let mut board = Board::new(vips, pace.settled);
    let unfinished = owners::settle(&mut board, pace.moves);
    heirs::settle(&mut board);
    let mut ranks = BTreeMap::new();
    for ((address, vip), place) in vips.iter().zip(&board.places) {
        let nodes: Vec<NodeName> = place.ranks.iter().filter_map(|node| board.name(*node)).cloned().collect();
        let changed = nodes != vip.previous.nodes;
        let generation = vip.previous.generation.saturating_add(u64::from(changed));
        ranks.insert(*address, Ranks { nodes, generation });
    }
    Placement { ranks, unfinished }
}

#[cfg(test)]
mod tests;
