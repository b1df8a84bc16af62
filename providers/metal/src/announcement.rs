//! What becomes of an address on the wire, as its owner's speaker says.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use portolan_core::ids::NodeName;

use crate::eligible::{Eligibility, Reason};
use crate::reach::Witness;
use crate::spans::Spans;
use crate::vip::Vip;

/// What a speaker has said last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// All that concerns its node up to this resourceVersion is on the wire.
    pub applied: u64,
    /// What is not as it is ranked.
    pub exceptions: Spans<Exception>,
    /// What it has found of others' addresses; none of one that does not look.
    pub witness: Option<Witness>,
}

/// Why an address is not as it is ranked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exception {
    /// No interface that reaches it, or that it is limited to, can announce it.
    NoInterface,
    /// The kernel gives no socket there.
    NoSocket {
        /// Where.
        interface: String,
    },
    /// The kernel gives no socket there; it is announced on other interfaces.
    OneInterfaceLess {
        /// Where it is not.
        interface: String,
    },
    /// It is announced where only routers ask.
    PoolOffLink,
    /// Its node does not forward, and another one could have it.
    NotForwarding,
    /// A stranger has it.
    Stranger {
        /// Where he is heard.
        interface: String,
        /// His Ethernet address.
        mac: String,
    },
}

/// What becomes of an address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Announcement {
    /// Nobody has been chosen yet.
    #[default]
    Unplaced,
    /// No node may answer for it; why, by reason, and how many nodes that are.
    Nobody(Vec<(Reason, usize)>),
    /// This node shall, and has not said yet that it does.
    Awaited(NodeName),
    /// This node does; what is to be said besides.
    By(NodeName, Vec<Exception>),
    /// This node did, and nothing has been heard of its speaker lately.
    Lost(NodeName),
    /// This node would, and cannot.
    Hindered(NodeName, Vec<Exception>),
}

impl Announcement {
    /// Of an address that has its ranks as of this version, and may be announced by those of `eligible`; nothing has been heard lately of the speakers
    /// of those who are `silent`.
    pub(crate) fn of(
        vip: &Vip,
        ranked_at: u64,
        eligible: Option<&Arc<Eligibility>>,
        reports: &BTreeMap<NodeName, Report>,
        silent: &BTreeSet<NodeName>,
    ) -> Self {
        let Some(owner) = vip.ranks.owner() else {
            let nobody = eligible.filter(|eligible| eligible.nodes.is_empty());
            return nobody.map_or(Self::Unplaced, |nobody| {
                Self::Nobody(nobody.barred().into_iter().map(|barred| (barred.reason, barred.count)).collect())
            });
        };
        if silent.contains(owner) {
            return Self::Lost(owner.clone());
        }
        let Some(report) = reports.get(owner).filter(|report| report.applied >= ranked_at) else {
            return Self::Awaited(owner.clone());
        };
        let exceptions: Vec<Exception> = report.exceptions.of(vip.address).into_iter().cloned().collect();
        if exceptions.iter().all(Exception::is_remark) {
            Self::By(owner.clone(), exceptions)
        } else {
            Self::Hindered(owner.clone(), exceptions)
        }
    }

    /// A node answers for it.
    pub fn is_announced(&self) -> bool {
        matches!(self, Self::By(..))
    }

    /// The Ethernet address of a stranger who has it.
    pub fn stranger(&self) -> Option<&str> {
        let Self::Hindered(_, exceptions) = self else { return None };
        exceptions.iter().find_map(Exception::stranger)
    }
}

impl Exception {
    /// The Ethernet address of who has it.
    fn stranger(&self) -> Option<&str> {
        match self {
            Self::Stranger { mac, .. } => Some(mac),
            Self::NoInterface
            | Self::NoSocket { .. }
            | Self::OneInterfaceLess { .. }
            | Self::PoolOffLink
            | Self::NotForwarding => None,
        }
    }

    /// It is announced all the same.
    fn is_remark(&self) -> bool {
        match self {
            Self::OneInterfaceLess { .. } | Self::PoolOffLink => true,
            Self::NoInterface | Self::NoSocket { .. } | Self::NotForwarding | Self::Stranger { .. } => false,
        }
    }
}

/// To be said after an address.
impl fmt::Display for Announcement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unplaced => f.write_str("has no node yet"),
            Self::Nobody(reasons) if reasons.is_empty() => f.write_str("is announced by nobody: there is no node"),
            Self::Nobody(reasons) => {
                let told: Vec<String> = reasons.iter().map(|(reason, count)| told(*reason, *count)).collect();
                write!(f, "is announced by nobody: {}", told.join("; "))
            }
            Self::Awaited(node) => write!(f, "waits for the speaker of node {node} to announce it"),
            Self::Lost(node) => {
                write!(
                    f,
                    "is announced by nobody that is known of: the speaker of node {node} has not been heard of lately"
                )
            }
            Self::By(node, remarks) => {
                write!(f, "is announced by node {node}")?;
                remarks.iter().try_for_each(|remark| write!(f, "; {remark}"))
            }
            Self::Hindered(node, exceptions) => {
                let told: Vec<String> = exceptions.iter().map(ToString::to_string).collect();
                write!(f, "is not announced by node {node}: {}", told.join("; "))
            }
        }
    }
}

fn told(reason: Reason, count: usize) -> String {
    if count == 1 { format!("one node {reason}") } else { format!("{count} nodes: each {reason}") }
}

impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoInterface => f.write_str("no interface that reaches it is up"),
            Self::NoSocket { interface } => {
                write!(f, "the kernel gives no socket on {interface}; the speaker's log says why")
            }
            Self::OneInterfaceLess { interface } => {
                write!(f, "but not on {interface}, where the kernel gives no socket; the speaker's log says why")
            }
            Self::PoolOffLink => f.write_str(
                "it is on no prefix of the node, so that only a router with a route to it will ever ask for it there (PoolOffLink)",
            ),
            Self::NotForwarding => {
                f.write_str("its kube-proxy is gone or not well, or says at a healthCheckNodePort that it has no ready endpoint (NotForwarding); see why")
            }
            Self::Stranger { interface, mac } => {
                write!(f, "a stranger, {mac}, has it on {interface}; take it from him or give the Service another address")
            }
        }
    }
}

#[cfg(test)]
mod tests;
