//! A `VirtualIP` as decisions read it: who has an address. The object's name is the address, and the API server's uniqueness of names is the
//! lock against giving one out twice.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use ipnet::IpNet;
use portolan_core::balancer::{Member, PortKey, Scheme};
use portolan_core::ids::{Instance, LoadBalancerId, NodeName, ResourceVersion};
use portolan_core::time::Timestamp;
use serde::Serialize;

use crate::eligible::{Barred, Reason};
use crate::placement::Ranks;
use crate::pool::PoolName;

/// Who has an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Vip {
    /// The address: its name.
    pub address: IpAddr,
    /// The version it was read at; none while it is not stored.
    #[serde(skip)]
    pub version: Option<ResourceVersion>,
    /// The Portolan that has given it out.
    #[serde(skip)]
    pub instance: Instance,
    /// The load balancer that has it; none of one that is reserved and not in use.
    #[serde(skip)]
    pub holder: Option<LoadBalancerId>,
    /// The pool it was taken from, which may be gone by now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<PoolName>,
    /// What it was asked for as.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheme: Option<Scheme>,
    /// The Services that are served there, in the order of joining.
    pub services: Vec<Served>,
    /// Who may connect, as far as their Services say; empty: everybody.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub source_ranges: Vec<IpNet>,
    /// For whom it is kept while nobody uses it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reserved_for: Option<Reservation>,
    /// Who answers for it, and who comes next.
    #[serde(skip)]
    pub ranks: Ranks,
    /// On which of their interfaces those may announce it that may not on all that reach it.
    #[serde(skip)]
    pub interfaces: BTreeMap<NodeName, BTreeSet<String>>,
    /// The ports on which those who are ranked say whether they have ready endpoints.
    #[serde(skip)]
    pub health_checks: BTreeSet<u16>,
    /// As far as is known nobody had announced it when its ranks changed last: whoever owns it asks the wire first whether somebody has it.
    #[serde(skip)]
    pub ask_first: bool,
    /// The Ethernet address of a stranger who had it before anybody had announced it: nobody gets it, and who has it gets another one unless he has
    /// asked for this one by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set_aside: Option<String>,
    /// What others have written beside it, in words that only its store reads: it is kept as it is.
    #[serde(skip)]
    pub beside: Option<Arc<str>>,
    /// What is shown of that.
    #[serde(skip)]
    pub shown: Shown,
}

/// What is shown of who answers for an address, and of who does not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// Since when its owner is ranked first; none if nobody is.
    pub since: Option<Timestamp>,
    /// Who may not answer, by why.
    pub barred: Vec<Barred>,
    /// What is ignored because nobody would be left otherwise.
    pub despite: Vec<Reason>,
    /// The Ethernet address of somebody who is no speaker and has it.
    pub stranger: Option<String>,
}

/// A Service at an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Served {
    /// Which.
    #[serde(flatten)]
    pub member: Member,
    /// Its ports there.
    pub ports: BTreeSet<PortKey>,
}

/// For whom an address is kept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Reservation {
    /// The namespace of the Service.
    pub namespace: String,
    /// The Service; none: whichever of the namespace asks for the address by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl Reservation {
    /// It is kept for this Service.
    pub fn is_for(&self, member: &Member) -> bool {
        self.namespace == member.namespace && self.name.as_ref().is_none_or(|name| *name == member.name)
    }
}

impl fmt::Display for Reservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "the reservation for Service {}/{name}", self.namespace),
            None => write!(f, "the reservation for namespace {}", self.namespace),
        }
    }
}

impl Vip {
    /// Nothing is known of it, and nobody has it.
    pub fn of_nobody(address: IpAddr) -> Self {
        Self {
            address,
            version: None,
            instance: Instance::default(),
            holder: None,
            pool: None,
            scheme: None,
            services: Vec::new(),
            source_ranges: Vec::new(),
            reserved_for: None,
            ranks: Ranks::default(),
            interfaces: BTreeMap::new(),
            health_checks: BTreeSet::new(),
            ask_first: false,
            set_aside: None,
            beside: None,
            shown: Shown::default(),
        }
    }

    /// Who has it, in words.
    pub fn told(&self) -> String {
        match (self.services.first(), &self.reserved_for, &self.set_aside) {
            (Some(first), _, _) => format!("Service {}", first.member.key()),
            (None, Some(reservation), _) => reservation.to_string(),
            (None, None, Some(mac)) => stranger(self.address, mac),
            (None, None, None) => format!("VirtualIP {}, which names no Service", name(self.address)),
        }
    }

    /// Whose quota it counts for.
    pub fn namespace(&self) -> String {
        let served = self.services.first().map(|first| first.member.namespace.clone());
        served.or_else(|| self.reserved_for.as_ref().map(|of| of.namespace.clone())).unwrap_or_default()
    }

    /// Equal in all that is stored; the version may differ.
    pub fn same_content(&self, other: &Self) -> bool {
        let bare = |vip: &Self| Self { version: None, ..vip.clone() };
        bare(self) == bare(other)
    }
}

/// Who has an address that is set aside, in words.
pub fn stranger(address: IpAddr, mac: &str) -> String {
    format!("a stranger, {mac}; delete VirtualIP {} when he is gone", name(address))
}

/// The name of an address's `VirtualIP`: a dotted quad, or eight full groups joined by `-`, because names are DNS subdomains (RFC 1123).
pub fn name(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => address.segments().map(|group| format!("{group:04x}")).join("-"),
    }
}

/// The address that a `VirtualIP` of this name stands for; none if it is written otherwise than [`name`] writes it: an address must not have two
/// names.
pub fn address(text: &str) -> Option<IpAddr> {
    let parsed = match text.parse() {
        Ok(address) => IpAddr::V4(address),
        Err(_) => IpAddr::V6(text.replace('-', ":").parse::<Ipv6Addr>().ok()?),
    };
    (name(parsed) == text).then_some(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_one_name_which_is_a_dns_subdomain() {
        for (text, named) in [
            ("198.51.100.7", "198.51.100.7"),
            ("2001:db8::10", "2001-0db8-0000-0000-0000-0000-0000-0010"),
            ("::ffff:198.51.100.7", "0000-0000-0000-0000-0000-ffff-c633-6407"),
        ] {
            let parsed: IpAddr = text.parse().unwrap();
            assert_eq!(name(parsed), named);
            assert_eq!(address(named), Some(parsed));
        }
        for other in ["2001-db8--10", "2001-0DB8-0000-0000-0000-0000-0000-0010", "198.51.100.07", "web", ""] {
            assert_eq!(address(other), None, "{other}");
        }
    }
}
