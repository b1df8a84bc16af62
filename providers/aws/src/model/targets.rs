//! Who takes a listener's traffic. Nodes are the same for policies Cluster and Local: the health check finds those without an endpoint, and a
//! node leaves only when it is excluded, leaving or gone, because AWS takes minutes to register one.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use portolan_core::balancer::{self, Family, PortKey, Targets};
use portolan_core::ids::Uid;

use super::Input;
use crate::settings::groups::{self, TargetGroup};
use crate::state::{Group, Target};
use crate::words::TargetType;

/// Targets that a group can have (<https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-limits.html>).
pub(crate) const MOST: usize = 1000;

/// The targets of the ports that one listener serves.
pub(super) fn of(
    input: &Input<'_>,
    group: &TargetGroup,
    family: Family,
    here: &[&balancer::Listener],
) -> Result<BTreeSet<Target>, String> {
    match group.targets {
        groups::Targets::Instance { node_port } => {
            let labelled = |node: &&balancer::NodeTarget| {
                let labels = input.estate.labels.get(&node.name);
                let has = |(key, value)| labels.and_then(|labels| labels.get(key)) == Some(value);
                group.node_labels.iter().all(has)
            };
            Ok(nodes(input, input.desired.nodes.iter().filter(labelled), node_port))
        }
        groups::Targets::Ip => {
            let mut targets = BTreeSet::new();
            for listener in here {
                match &listener.targets {
                    Targets::Pods { endpoints } => targets.extend(pods(endpoints, family)),
                    Targets::Nodes { .. } => {
                        return Err("targets of type ip need the pods' addresses, and only nodes are known".to_owned());
                    }
                }
            }
            Ok(targets)
        }
    }
}

/// A node without an instance of AWS behind it is no target, and keeps none of the others from being one.
fn nodes<'a>(input: &Input<'_>, nodes: impl Iterator<Item = &'a balancer::NodeTarget>, port: u16) -> BTreeSet<Target> {
    let instances = nodes.filter_map(|node| input.estate.instance(node.provider_id.as_deref()?));
    instances.map(|id| Target { id, port }).collect()
}

fn pods(endpoints: &[SocketAddr], family: Family) -> impl Iterator<Item = Target> {
    let of_family = endpoints.iter().filter(move |endpoint| Family::of(endpoint.ip()) == family);
    of_family.map(|endpoint| Target { id: endpoint.ip().to_string(), port: endpoint.port() })
}

/// The targets of a group of which nothing else may be changed. Nodes come and go all the same, as long as anybody here may be changed.
pub(super) fn followed(input: &Input<'_>, group: &Group, serves: &[(Uid, PortKey)], idle: bool) -> BTreeSet<Target> {
    let registered = || group.staying().map(|registered| registered.target.clone()).collect();
    let following: Vec<_> = input
        .desired
        .following
        .iter()
        .filter(|listener| serves.contains(&(listener.service.clone(), listener.key)))
        .collect();
    match group.kind.target_type {
        TargetType::Instance if !idle || !input.desired.following.is_empty() => {
            let port = group.staying().map(|registered| registered.target.port).next().unwrap_or(group.port);
            nodes(input, input.desired.nodes.iter(), port)
        }
        TargetType::Ip if !following.is_empty() => {
            let endpoints = following.iter().filter_map(|listener| match &listener.targets {
                Targets::Pods { endpoints } => Some(endpoints),
                Targets::Nodes { .. } => None,
            });
            endpoints.flat_map(|endpoints| pods(endpoints, group.kind.family)).collect()
        }
        TargetType::Instance | TargetType::Ip => registered(),
    }
}
