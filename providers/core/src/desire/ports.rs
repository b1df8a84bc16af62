//! Ports: which are served, and through what.

use std::collections::BTreeSet;

use crate::balancer::{HealthCheck, Listener, NodeTarget, Protocol, Targets};
use crate::capabilities::Capabilities;
use crate::desire::endpoints::Usable;
use crate::dialect::Dialect;
use crate::ids::NodeName;
use crate::reason::Reason;
use crate::refusal::Refused;
use crate::snapshot::{Service, ServicePort, TrafficPolicy};

/// Where kube-proxy says whether its node is fit under policy Cluster (`--healthz-bind-address`, KEP-3836).
pub const KUBE_PROXY_HEALTH_PORT: u16 = 10256;

/// A port that is served, and how the provider reaches it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served<'a> {
    /// The port of the Service.
    pub port: &'a ServicePort,
    /// Through a node port, or straight to pods.
    pub through: Through,
}

/// How a provider reaches a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Through {
    /// This node port.
    NodePort(u16),
    /// The pods' own ports, from the EndpointSlices.
    Pods {
        /// By way of nodes.
        by_way_of_nodes: bool,
    },
}

/// The rule for node ports (KEP-1864): each port is judged by its own `nodePort`, never by `allocateLoadBalancerNodePorts`.
/// The flag only steers the server's allocator; ports set by hand are honoured without it, ports allocated earlier stay after
/// it is turned off, and one Service may have both kinds. Where there is a choice, the provider's own words make it.
fn through(
    service: &Service,
    port: &ServicePort,
    capabilities: &Capabilities,
    dialect: &dyn Dialect,
) -> Result<Through, Refused> {
    let straight = || capabilities.pod_targets && dialect.wants_pods(service, port);
    match port.node_port {
        Some(node_port) if capabilities.node_targets && !straight() => Ok(Through::NodePort(node_port)),
        Some(_) | None if capabilities.pod_targets => {
            Ok(Through::Pods { by_way_of_nodes: capabilities.by_way_of_nodes })
        }
        Some(_) | None => Err(Refused::port(
            port.key,
            Reason::NodePortRequired,
            "this provider reaches pods through node ports, and this port has none: set allocateLoadBalancerNodePorts: true, \
             or give the port a nodePort",
        )),
    }
}

/// Sorts the ports of a Service into those that are served and those that are not, each in the order of the spec.
/// `first` is the protocol that others have put on the load balancer already.
pub fn judge<'a>(
    service: &'a Service,
    capabilities: &Capabilities,
    dialect: &dyn Dialect,
    first: Option<Protocol>,
) -> (Vec<Served<'a>>, Vec<Refused>) {
    let mut served = Vec::new();
    let mut refused = Vec::new();
    let mut protocol_served = first;
    for port in &service.ports {
        let sound = protocol(port, capabilities, protocol_served);
        match sound.and_then(|()| through(service, port, capabilities, dialect)) {
            Ok(through) => {
                protocol_served.get_or_insert(port.key.protocol);
                served.push(Served { port, through });
            }
            Err(reason) => refused.push(reason),
        }
    }
    (served, refused)
}

/// Protocols by capability (KEP-1435). Where they cannot be mixed, the first served port decides.
fn protocol(port: &ServicePort, capabilities: &Capabilities, first: Option<Protocol>) -> Result<(), Refused> {
    let protocol = port.key.protocol;
    if !capabilities.protocols.contains(&protocol) {
        return Err(Refused::port(
            port.key,
            Reason::ProtocolNotSupported,
            format!("this provider has no {protocol} listeners"),
        ));
    }
    match first {
        Some(first) if first != protocol && !capabilities.mixed_protocols => Err(Refused::port(
            port.key,
            Reason::MixedProtocolNotSupported,
            format!("this provider cannot mix protocols on one load balancer, and a {first} port comes first"),
        )),
        Some(_) | None => Ok(()),
    }
}

/// The listener of a served port.
pub fn listener(service: &Service, served: &Served<'_>, nodes: &[NodeTarget], usable: &Usable<'_>) -> Listener {
    let (targets, has_endpoints, health_check) = match served.through {
        Through::NodePort(node_port) => (
            Targets::Nodes { node_port, nodes: node_targets(service, served.port, nodes, usable) },
            usable.any(served.port),
            node_health(service),
        ),
        Through::Pods { by_way_of_nodes } => {
            let endpoints = usable.pods(served.port);
            let has_endpoints = !endpoints.is_empty();
            let matters = by_way_of_nodes && service.external_traffic_policy == TrafficPolicy::Local;
            let local_nodes = matters.then(|| usable.nodes_of_pods(served.port));
            (Targets::Pods { endpoints, local_nodes }, has_endpoints, HealthCheck::EndpointSlices)
        }
    };
    Listener {
        key: served.port.key,
        name: served.port.name.clone(),
        service: service.uid.clone(),
        targets,
        has_endpoints,
        health_check,
        session_affinity: service.session_affinity,
    }
}

/// Under policy Local a node without a usable endpoint of its own drops the traffic, so it gets none. Under Cluster every node
/// passes it on, as long as there is anybody at all to pass it to.
fn node_targets(service: &Service, port: &ServicePort, nodes: &[NodeTarget], usable: &Usable<'_>) -> Vec<NodeName> {
    let all = nodes.iter().map(|node| &node.name);
    match service.external_traffic_policy {
        TrafficPolicy::Cluster => all.cloned().collect(),
        TrafficPolicy::Local => {
            let local: BTreeSet<&NodeName> = usable.nodes(port);
            all.filter(|name| local.contains(name)).cloned().collect()
        }
    }
}

/// KEP-1669 and KEP-3836: the Service's own health port under Local, kube-proxy's under Cluster.
fn node_health(service: &Service) -> HealthCheck {
    let own = match service.external_traffic_policy {
        TrafficPolicy::Local => service.health_check_node_port,
        TrafficPolicy::Cluster => None,
    };
    HealthCheck::Http { port: own.unwrap_or(KUBE_PROXY_HEALTH_PORT), path: "/healthz".to_owned() }
}
