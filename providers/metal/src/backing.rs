//! Who is behind the addresses of a load balancer: what placement has to know of its Services.

use std::collections::{BTreeMap, BTreeSet};

use portolan_core::balancer::{Listener, LoadBalancer, Targets};
use portolan_core::ids::{NodeName, Uid};

use crate::eligible::{Endpoints, Member};
use crate::settings::settings_of;

/// Its Services. One that is not there is unknown, and has no say.
pub type Backing = BTreeMap<Uid, Member>;

/// What is desired, and of those who may not be touched what was known before, but for the endpoints of those who are only refused: these go on
/// counting as they are.
pub(crate) fn backing(desired: &LoadBalancer, before: Option<&Backing>) -> Backing {
    let of = |uid: &Uid| {
        let own = |listeners: &[Listener]| endpoints(listeners.iter().filter(|listener| listener.service == *uid));
        if !desired.held.contains(uid) {
            return Some(Member { labels: settings_of(desired, uid).labels, endpoints: own(&desired.listeners) });
        }
        let known = before?.get(uid)?.clone();
        let follows = desired.following.iter().any(|listener| listener.service == *uid);
        Some(if follows { Member { endpoints: own(&desired.following), ..known } } else { known })
    };
    desired.members.iter().filter_map(|member| Some((member.uid.clone(), of(&member.uid)?))).collect()
}

/// Of all ports together: a node that serves one of them is better than none.
fn endpoints<'a>(listeners: impl Iterator<Item = &'a Listener>) -> Endpoints {
    let mut own: BTreeSet<NodeName> = BTreeSet::new();
    let mut anywhere = false;
    for listener in listeners.filter(|listener| listener.has_endpoints) {
        match &listener.targets {
            Targets::Pods { endpoints: _, local_nodes: Some(nodes) } => own.extend(nodes.iter().cloned()),
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
