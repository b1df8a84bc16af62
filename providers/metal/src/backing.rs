//! Who is behind the addresses of a load balancer: what placement has to know of its Services.

use std::collections::{BTreeMap, BTreeSet};

use portolan_core::balancer::{Listener, LoadBalancer, Targets};
use portolan_core::ids::{NodeName, Uid};

use crate::eligible::{Endpoints, Member};
use crate::settings::{Settings, settings_of};

/// Its Services. One that is not there is unknown, and has no say.
pub type Backing = BTreeMap<Uid, Member>;

/// What is desired, and of those who may not be touched what was known before, but for the endpoints of those who are only refused: these go on
/// counting as they are.
pub(crate) fn backing(desired: &LoadBalancer, before: Option<&Backing>) -> Backing {
    let of = |uid: &Uid| {
        let own = |listeners| endpoints(of_service(listeners, uid));
        if !desired.held.contains(uid) {
            let Settings { labels, health_check, .. } = settings_of(desired, uid);
            let health_check = health_check.filter(|_| is_ready(of_service(&desired.listeners, uid)));
            return Some(Member { labels, endpoints: own(&desired.listeners), health_check });
        }
        let known = before?.get(uid)?.clone();
        let follows = desired.following.iter().any(|listener| listener.service == *uid);
        let health_check = known.health_check.filter(|_| is_ready(of_service(&desired.following, uid)));
        Some(if follows { Member { endpoints: own(&desired.following), health_check, ..known } } else { known })
    };
    desired.members.iter().filter_map(|member| Some((member.uid.clone(), of(&member.uid)?))).collect()
}

fn of_service<'a>(listeners: &'a [Listener], uid: &Uid) -> impl Iterator<Item = &'a Listener> {
    listeners.iter().filter(move |listener| listener.service == *uid)
}

/// Somebody behind it is not terminating. Of those who all are, nodes forward to their own, and say at the health check port that they have none.
fn is_ready<'a>(mut listeners: impl Iterator<Item = &'a Listener>) -> bool {
    listeners.any(|listener| match &listener.targets {
        Targets::Pods { endpoints, .. } => endpoints.iter().any(|endpoint| !endpoint.terminating),
        Targets::Nodes { .. } => listener.has_endpoints,
    })
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
