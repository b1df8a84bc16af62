//! Whether an address is reached, as the speaker of its first heir has found on the wire, and what that says of a Service.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use portolan_core::ids::NodeName;
use portolan_core::provider::Verdict;
use portolan_core::reason::Reason;
use portolan_core::snapshot::ConditionStatus;

use crate::announcement::Report;
use crate::spans::Spans;
use crate::vip::Vip;

/// What a speaker has said last of the addresses of which its node is the first heir.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Witness {
    /// It speaks of all such addresses that have been ranked so up to this resourceVersion.
    pub version: u64,
    /// What keeps an address from being proven. One that has nothing is.
    pub doubts: Spans<Doubt>,
}

/// What keeps an address from being proven. Stations are Ethernet addresses.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Doubt {
    /// It has not been looked at yet.
    Pending,
    /// The node has no interface on the address's prefix.
    OffLink,
    /// The node's kernel gives no socket to look.
    NoSocket,
    /// Its ports cannot be looked at: the Service's source ranges leave the node out.
    Excluded,
    /// Nobody answers for it.
    NoAnswer,
    /// These answer for it.
    Several(Vec<String>),
    /// This one answers for it, and is no station of its owner's.
    Foreign(Vec<String>),
    /// These TCP ports say nothing.
    Silent(BTreeSet<u16>),
    /// These TCP ports deny connections.
    Refused(BTreeSet<u16>),
}

/// What is known of an address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// Nobody answers for it, so that there is nothing to look at.
    #[default]
    Unplaced,
    /// Nobody is behind it.
    Deserted,
    /// The Service has endpoints, but none on this node, its owner, which has it for others of the share: of those kube-proxy drops what is for this
    /// one (`externalTrafficPolicy: Local`).
    LeftOut(NodeName),
    /// Its owner is the only node that may have it.
    Alone,
    /// This node's speaker has not looked since it is as it is.
    Awaited(NodeName),
    /// Nothing has been heard of this node's speaker lately.
    Unheard(NodeName),
    /// This node's speaker has looked, and has these doubts.
    Seen(NodeName, Vec<Doubt>),
}

impl Reach {
    /// Of an address that has its ranks, its ports and who may connect as of this version.
    pub(crate) fn of(vip: &Vip, since: u64, reports: &BTreeMap<NodeName, Report>, silent: &BTreeSet<NodeName>) -> Self {
        if vip.ranks.owner().is_none() {
            return Self::Unplaced;
        }
        let Some(heir) = vip.ranks.nodes.get(1) else { return Self::Alone };
        if silent.contains(heir) {
            return Self::Unheard(heir.clone());
        }
        let witness = reports.get(heir).and_then(|report| report.witness.as_ref());
        let Some(witness) = witness.filter(|witness| witness.version >= since) else {
            return Self::Awaited(heir.clone());
        };
        let doubts: Vec<Doubt> = witness.doubts.of(vip.address).into_iter().cloned().collect();
        if doubts.contains(&Doubt::Pending) { Self::Awaited(heir.clone()) } else { Self::Seen(heir.clone(), doubts) }
    }

    /// What it means for a Service that has these TCP ports there with somebody behind them.
    fn verdict(&self, address: IpAddr, ports: &BTreeSet<u16>) -> Verdict {
        let unknown = |why: &dyn fmt::Display| Verdict::unknown(Reason::NoWitness, format!("{address}: {why}"));
        match self {
            Self::Unplaced => unknown(&"no node announces it, so that there is nothing to prove"),
            Self::Deserted => Verdict::no(
                Reason::NoEndpoints,
                format!("{address}: no port has an endpoint of this family that can take traffic"),
            ),
            Self::LeftOut(node) => Verdict::no(
                Reason::NoEndpoints,
                format!(
                    "{address}: no endpoint of this Service is on node {node}, which has the address for others that share it, and by externalTrafficPolicy Local only that node's count; give them a node in common, or the Service an address of its own"
                ),
            ),
            Self::Alone => unknown(&"there is no second node that may announce it and could prove that it is reached"),
            Self::Awaited(node) => unknown(&format_args!("node {node} has not looked yet")),
            Self::Unheard(node) => unknown(&format_args!("the speaker of node {node} has not been heard of lately")),
            Self::Seen(node, doubts) => {
                let found = doubts.iter().map(|doubt| doubt.verdict(address, node, ports));
                let worst = found.flatten().max_by_key(severity);
                worst.unwrap_or_else(|| proven(address, node, ports))
            }
        }
    }
}

impl Doubt {
    /// None if it is about other ports.
    fn verdict(&self, address: IpAddr, node: &NodeName, ports: &BTreeSet<u16>) -> Option<Verdict> {
        let of = |all: &BTreeSet<u16>| -> BTreeSet<u16> { all.intersection(ports).copied().collect() };
        let found = match self {
            Self::Pending => Verdict::unknown(Reason::NoWitness, format!("{address}: node {node} has not looked yet")),
            Self::OffLink => Verdict::unknown(
                Reason::NoWitness,
                format!("{address}: node {node}, which would prove it, has no interface on its prefix"),
            ),
            Self::NoSocket => Verdict::unknown(
                Reason::NoWitness,
                format!(
                    "{address}: the kernel of node {node}, which would prove it, gives no socket; the speaker's log says why"
                ),
            ),
            Self::Excluded => layer_two_only(address, node, "the source ranges leave that node out"),
            Self::NoAnswer => Verdict::no(
                Reason::NoAnswer,
                format!("{address}: nobody answers on the wire when node {node} asks who has it"),
            ),
            Self::Several(stations) => Verdict::no(
                Reason::SeveralAnswers,
                format!("{address}: {} answer on the wire when node {node} asks who has it", stations.join(" and ")),
            ),
            Self::Foreign(stations) => Verdict::no(
                Reason::ForeignAnswer,
                format!(
                    "{address}: {}, no station of its owner's, answers on the wire when node {node} asks who has it",
                    stations.join(" and ")
                ),
            ),
            Self::Silent(all) if of(all).is_empty() => return None,
            Self::Silent(all) => Verdict::no(
                Reason::NoSynAck,
                format!("{address}: connections of node {node} to {} are not answered", told(&of(all))),
            ),
            Self::Refused(all) if of(all).is_empty() => return None,
            Self::Refused(all) => Verdict::no(
                Reason::ConnectionRefused,
                format!("{address}: connections of node {node} to {} are refused", told(&of(all))),
            ),
        };
        Some(found)
    }
}

/// What is known of these addresses together, for a Service that has these TCP ports at each: the worst of it.
pub(crate) fn verdict(addresses: &[(IpAddr, &Reach, BTreeSet<u16>)]) -> Verdict {
    let each = || addresses.iter().map(|(address, reach, ports)| reach.verdict(*address, ports));
    let Some(worst) = each().max_by_key(severity) else {
        return Verdict::unknown(Reason::NoWitness, "there is no address to prove");
    };
    let told: Vec<String> = each().map(|verdict| verdict.message).collect();
    Verdict { message: told.join("; "), ..worst }
}

fn proven(address: IpAddr, node: &NodeName, ports: &BTreeSet<u16>) -> Verdict {
    if ports.is_empty() {
        return layer_two_only(address, node, "no TCP port has an endpoint");
    }
    let message =
        format!("{address}: its owner answers node {node} on the wire, and {} accepts connections", told(ports));
    Verdict::yes(Reason::Reachable, message)
}

fn layer_two_only(address: IpAddr, node: &NodeName, why: &str) -> Verdict {
    let message =
        format!("{address}: its owner answers node {node} on the wire; no connection was tried, because {why}");
    Verdict::yes(Reason::LayerTwoOnly, message)
}

fn told(ports: &BTreeSet<u16>) -> String {
    let ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
    format!("TCP {}", ports.join(","))
}

fn severity(verdict: &Verdict) -> u8 {
    match (verdict.status, verdict.reason) {
        (ConditionStatus::False, _) => 3,
        (ConditionStatus::Unknown, _) => 2,
        (ConditionStatus::True, Reason::LayerTwoOnly) => 1,
        (ConditionStatus::True, _) => 0,
    }
}

#[cfg(test)]
mod tests;
