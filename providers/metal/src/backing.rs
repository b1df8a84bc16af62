//! Who is behind the addresses of a load balancer, and which of these are published: what placement has to know of its Services.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use portolan_core::balancer::{Family, Listener, LoadBalancer, Published, Targets};
use portolan_core::ids::{NodeName, Uid};
use serde::Serialize;

use crate::eligible::{Endpoints, Member};
use crate::selector::Labels;
use crate::settings::{Settings, settings_of};

/// Its Services, and which addresses their clients know of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Backing {
    /// One that is not there is unknown, and has no say.
    pub services: BTreeMap<Uid, Backed>,
    /// What is in their status: before an address is there no kube-proxy has begun to write its rules.
    pub published: BTreeSet<IpAddr>,
}

/// What a Service is to its addresses of each family. They differ in what is behind them: kube-proxy passes nothing on to the other family, and says
/// at the health check port of each what is so of that one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Backed {
    v4: Member,
    v6: Member,
    /// Its health check port, whether or not anybody is to ask there now.
    #[serde(skip)]
    health_check: Option<u16>,
}

impl Backed {
    fn of(listeners: &[Listener], uid: &Uid, labels: &Labels, health_check: Option<u16>) -> Self {
        let own = || listeners.iter().filter(|listener| listener.service == *uid);
        let of_family = |family| Member {
            labels: labels.clone(),
            endpoints: endpoints(own(), family),
            health_check: health_check.filter(|_| is_ready(own(), family)),
        };
        Self { v4: of_family(Family::V4), v6: of_family(Family::V6), health_check }
    }

    /// To those of this family.
    pub fn to(&self, family: Family) -> &Member {
        match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        }
    }
}

/// In words: where its endpoints are.
impl fmt::Display for Backed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { v4, v6, health_check: _ } = self;
        match (&v4.endpoints, &v6.endpoints) {
            (one, other) if one == other => one.fmt(f),
            (v4, v6) => write!(f, "{v4} for IPv4, {v6} for IPv6"),
        }
    }
}

/// What is desired, and of those who may not be touched what was known before, but for the endpoints of those who are only refused: these go on
/// counting as they are.
pub(crate) fn backing(desired: &LoadBalancer, before: Option<&Backing>) -> Backing {
    let of = |uid: &Uid| {
        if !desired.held.contains(uid) {
            let Settings { labels, health_check, .. } = settings_of(desired, uid);
            return Some(Backed::of(&desired.listeners, uid, &labels, health_check));
        }
        let known = before?.services.get(uid)?;
        let follows = desired.following.iter().any(|listener| listener.service == *uid);
        let followed = || Backed::of(&desired.following, uid, &known.v4.labels, known.health_check);
        Some(if follows { followed() } else { known.clone() })
    };
    let ip = |published: &Published| match published {
        Published::Ip { ip, mode: _ } => Some(*ip),
        Published::Hostname { hostname: _ } => None,
    };
    Backing {
        services: desired.members.iter().filter_map(|member| Some((member.uid.clone(), of(&member.uid)?))).collect(),
        published: desired.published.iter().filter_map(ip).collect(),
    }
}

/// Somebody behind it is not terminating. Of those who all are, nodes forward to their own, and say at the health check port that they have none.
fn is_ready<'a>(mut listeners: impl Iterator<Item = &'a Listener>, family: Family) -> bool {
    listeners.any(|listener| match &listener.targets {
        Targets::Pods { endpoints, .. } => {
            endpoints.iter().any(|endpoint| !endpoint.terminating && Family::of(endpoint.address.ip()) == family)
        }
        Targets::Nodes { .. } => listener.has_endpoints,
    })
}

/// Of all ports together: a node that serves one of them is better than none.
fn endpoints<'a>(listeners: impl Iterator<Item = &'a Listener>, family: Family) -> Endpoints {
    let mut own: BTreeSet<NodeName> = BTreeSet::new();
    let mut anywhere = false;
    for listener in listeners.filter(|listener| listener.has_endpoints_of(family)) {
        match &listener.targets {
            Targets::Pods { endpoints: _, local_nodes: Some(nodes) } => {
                own.extend(nodes.get(&family).into_iter().flatten().cloned());
            }
            Targets::Pods { endpoints: _, local_nodes: None } | Targets::Nodes { .. } => anywhere = true,
        }
    }
    match (anywhere, own.is_empty()) {
        (true, _) => Endpoints::Anywhere,
        (false, false) => Endpoints::On(own),
        (false, true) => Endpoints::None,
    }
}

#[cfg(test)]
mod tests;
