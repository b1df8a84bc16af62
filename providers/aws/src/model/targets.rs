//! Who takes a listener's traffic. Nodes are the same for policies Cluster and Local: the health check finds those without an endpoint, and a
//! node leaves only when it is excluded, leaving or gone, because AWS takes minutes to register one.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use portolan_core::balancer::{self, Family, NodeTarget, PodEndpoint, PortKey, Targets, by_address};
use portolan_core::ids::Uid;

use super::Input;
use crate::names::parse_node_labels;
use crate::settings::groups::{self, TargetGroup};
use crate::state::{Group, Target};
use crate::words::TargetType;

/// Who is to be a target, and which pod that is.
type Wanted = BTreeMap<Target, Option<Uid>>;

/// The targets of the ports that one listener serves.
pub(super) fn of<'a>(
    input: &Input<'_>,
    group: &TargetGroup,
    family: Family,
    here: &[&'a balancer::Listener],
) -> Result<Wanted, String> {
    match group.targets {
        groups::Targets::Instance { node_port } => Ok(nodes(input, &group.node_labels, node_port)),
        groups::Targets::Ip => {
            let pods_of = |listener: &&'a balancer::Listener| match &listener.targets {
                Targets::Pods { endpoints, local_nodes: _ } => Some(endpoints.as_slice()),
                Targets::Nodes { .. } => None,
            };
            let of_ports: Option<Vec<_>> = here.iter().map(pods_of).collect();
            let of_ports = of_ports.ok_or("targets of type ip need the pods' addresses, and only nodes are known")?;
            pods(&of_ports, family).ok_or_else(|| {
                "TCP and UDP share a listener whose targets have one port for both, and every pod listens on different numbers for the two"
                    .to_owned()
            })
        }
    }
}

/// A node without an instance of AWS behind it is no target, and keeps none of the others from being one.
fn nodes(input: &Input<'_>, labels: &BTreeMap<String, String>, port: u16) -> Wanted {
    let is_meant = |node: &&NodeTarget| labels.iter().all(|(key, value)| node.labels.get(key) == Some(value));
    let instances = input
        .desired
        .nodes
        .iter()
        .filter(is_meant)
        .filter_map(|node| input.estate.instance(node.provider_id.as_deref()?));
    instances.map(|id| (Target { id, port }, None)).collect()
}

/// The pods behind the ports that one listener serves. Where these are two, TCP and UDP on one number, a target has one port for both: of the
/// pods only those are targets that listen for both on the same number, lest one of the two go astray. None if there are pods and none does. An
/// address that two pods claim is that of one of them, by the core's rule ([`by_address`]).
fn pods(of_ports: &[&[PodEndpoint]], family: Family) -> Option<Wanted> {
    let of_family = |endpoints: &&[PodEndpoint]| -> BTreeSet<SocketAddr> {
        let addresses = endpoints.iter().map(|endpoint| endpoint.address);
        addresses.filter(|address| Family::of(address.ip()) == family).collect()
    };
    let of_ports_with_pods = of_ports.iter().map(of_family).filter(|addresses| !addresses.is_empty());
    let Some(shared) = of_ports_with_pods.reduce(|one, other| &one & &other) else { return Some(Wanted::new()) };
    let holders = by_address(of_ports.iter().copied().flatten()).into_iter();
    let targets = holders.filter(|(address, _)| shared.contains(address));
    let target = |address: SocketAddr| Target { id: address.ip().to_string(), port: address.port() };
    let targets: Wanted = targets.map(|(address, holder)| (target(address), holder.pod.clone())).collect();
    Some(targets).filter(|targets| !targets.is_empty())
}

/// The targets of a group of which nothing else may be changed. Nodes come and go all the same, as long as anybody here may be changed; which
/// of them are meant is what was asked for last.
pub(super) fn followed<'a>(input: &Input<'a>, group: &Group, serves: &[(Uid, PortKey)], idle: bool) -> Wanted {
    let registered = || group.staying().map(|registered| (registered.target.clone(), registered.pod.clone())).collect();
    // A port that would go to nodes by now, if it were not refused, says nothing of the pods behind it.
    let pods_of = |listener: &'a balancer::Listener| match &listener.targets {
        Targets::Pods { endpoints, local_nodes: _ } => Some(endpoints.as_slice()),
        Targets::Nodes { .. } => None,
    };
    let is_served = |listener: &&balancer::Listener| serves.contains(&(listener.service.clone(), listener.key));
    let following: Vec<_> = input.desired.following.iter().filter(is_served).filter_map(pods_of).collect();
    match group.kind.target_type {
        TargetType::Instance if !idle || !input.desired.following.is_empty() => {
            let port = group.staying().map(|registered| registered.target.port).next().unwrap_or(group.port);
            nodes(input, &parse_node_labels(&group.tags), port)
        }
        TargetType::Ip if !following.is_empty() => pods(&following, group.kind.family).unwrap_or_else(registered),
        TargetType::Instance | TargetType::Ip => registered(),
    }
}
