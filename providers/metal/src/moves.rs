//! What a change moves, and why, in words: two placements compared, for `portolan plan` and for logs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use portolan_core::ids::NodeName;

use crate::eligible::{Eligibility, Reason};
use crate::placement::Ranks;

/// Addresses that go the same way for the same reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moves {
    /// Who answers for them; nobody, if nobody does.
    pub from: Option<NodeName>,
    /// Who will.
    pub to: Option<NodeName>,
    /// Why.
    pub because: Because,
    /// Which.
    pub addresses: BTreeSet<IpAddr>,
}

/// Why an address moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Because {
    /// Its owner may not answer any more.
    Barred(Reason),
    /// There is no such node any more.
    Gone,
    /// The other one is preferred, by these weights: the owner's and its own.
    Preferred(u32, u32),
    /// The owner has more than its share.
    Uneven,
    /// Nobody answered, and somebody may now.
    Possible,
    /// It is new.
    New,
    /// It is given back.
    Released,
}

/// The owners that change from one placement to another; `eligible` is what the latter was made of. Heirs that change move nobody.
pub fn moves(
    before: &BTreeMap<IpAddr, Ranks>,
    after: &BTreeMap<IpAddr, Ranks>,
    eligible: &BTreeMap<IpAddr, Arc<Eligibility>>,
) -> Vec<Moves> {
    let mut grouped: BTreeMap<(Option<NodeName>, Option<NodeName>, Because), BTreeSet<IpAddr>> = BTreeMap::new();
    let addresses: BTreeSet<&IpAddr> = before.keys().chain(after.keys()).collect();
    for address in addresses {
        let (was, is) = (before.get(address), after.get(address));
        let (from, to) = (was.and_then(Ranks::owner), is.and_then(Ranks::owner));
        if from == to {
            continue;
        }
        let because = match (was, is, from) {
            (None, _, _) => Because::New,
            (Some(_), None, _) => Because::Released,
            (Some(_), Some(_), None) => Because::Possible,
            (Some(_), Some(_), Some(from)) => why(from, to, eligible.get(address)),
        };
        grouped.entry((from.cloned(), to.cloned(), because)).or_default().insert(*address);
    }
    let moves = grouped.into_iter();
    moves.map(|((from, to, because), addresses)| Moves { from, to, because, addresses }).collect()
}

fn why(from: &NodeName, to: Option<&NodeName>, eligible: Option<&Arc<Eligibility>>) -> Because {
    if let Some(reason) = eligible.and_then(|eligible| eligible.why_not(from)) {
        return Because::Barred(reason);
    }
    let weight = |node: &NodeName| eligible.and_then(|eligible| eligible.nodes.get(node)).copied();
    match (weight(from), to.and_then(weight)) {
        (None, _) => Because::Gone,
        (Some(own), Some(other)) if other > own => Because::Preferred(own, other),
        (Some(_), _) => Because::Uneven,
    }
}

/// One line: `203.0.113.7: node-a -> node-b, because node-a is drained (annotation portolan.dev/drain)`.
impl fmt::Display for Moves {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named: Vec<String> = self.addresses.iter().take(NAMED).map(ToString::to_string).collect();
        f.write_str(&named.join(", "))?;
        match self.addresses.len().saturating_sub(NAMED) {
            0 => {}
            more => write!(f, " and {more} more")?,
        }
        let (from, to) = (name(self.from.as_ref()), name(self.to.as_ref()));
        write!(f, ": {from} -> {to}, because ")?;
        match self.because {
            Because::Barred(reason) => write!(f, "{from} {reason}"),
            Because::Gone => write!(f, "there is no node {from} any more"),
            Because::Preferred(own, other) => write!(f, "{to} is preferred (weight {other} to {own})"),
            Because::Uneven => write!(f, "{from} has more than its share"),
            Because::Possible => write!(f, "{to} may answer now"),
            Because::New => f.write_str("it is new"),
            Because::Released => f.write_str("it is given back"),
        }
    }
}

/// So many addresses are named in a line.
const NAMED: usize = 10;

fn name(node: Option<&NodeName>) -> &str {
    node.map_or("nobody", NodeName::as_str)
}

#[cfg(test)]
mod tests;
