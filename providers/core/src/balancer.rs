//! The load balancer: what a provider is asked to make true. Provider-neutral, and the unit of reconcile.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ids::{ClassName, LoadBalancerId, NodeName, ServiceKey, Uid};
use crate::reason::Reason;

/// The desired state of one load balancer. Lists are sorted where their order means nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LoadBalancer {
    /// Its identity, for ever.
    pub id: LoadBalancerId,
    /// The class it belongs to.
    pub class: ClassName,
    /// The Services that it serves, in the order of joining.
    pub members: Vec<Member>,
    /// Those of them of which nobody may change anything: paused, unreadable, or asking for what cannot be. What a provider has made for
    /// them stays as it is, unless another member's port needs its place; and as long as there is one, so do scheme, source ranges
    /// and addresses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<Uid>,
    /// The ports of those who are held only because what they ask for is refused. A provider takes from these whom a listener that exists
    /// sends to now, see [`Listener::followed`], and nothing else: pods and nodes come and go meanwhile.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub following: Vec<Listener>,
    /// The families of its addresses, in the order of the Service.
    pub families: Vec<Family>,
    /// Addresses asked for by name, at most one a family. A provider gives these or none.
    pub requested: Vec<IpAddr>,
    /// Internal, public, or nobody said: what exists keeps its own then, and a new one is public, unless a requested address says it.
    pub scheme: Option<Scheme>,
    /// What those of them who are served ask for in the provider's own words, as it has read them (`Dialect::settings`).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<Uid, Value>,
    /// One a served port, by port and protocol.
    pub listeners: Vec<Listener>,
    /// Who may connect.
    pub source_ranges: SourceRanges,
    /// Everybody who is served would rather have nothing for a while than go without a change that no replace beside it can bring:
    /// `portolan.dev/allow-downtime`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub allow_downtime: bool,
    /// Every node that may take traffic, by name; what a listener sends to is in its targets.
    pub nodes: Vec<NodeTarget>,
    /// The addresses and names that clients may be using now, from the Service's status: what a replace must not take away
    /// before its successor is published.
    pub published: Vec<Published>,
}

impl LoadBalancer {
    /// The members that are not held, in the order of joining.
    pub fn served(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| !self.held.contains(&member.uid))
    }
}

/// A Service behind a load balancer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Member {
    /// Its UID: the identity.
    pub uid: Uid,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl Member {
    /// Namespace and name.
    pub fn key(&self) -> ServiceKey {
        ServiceKey::new(self.namespace.clone(), self.name.clone())
    }
}

/// IPv4 or IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Family {
    /// IPv4.
    #[serde(rename = "IPv4")]
    V4,
    /// IPv6.
    #[serde(rename = "IPv6")]
    V6,
}

impl Family {
    /// The family of an address.
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// A transport protocol. Kubernetes has these three.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
        })
    }
}

/// The key of a Service port: unlike its name, unique and never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PortKey {
    /// 1 to 65535.
    pub port: u16,
    /// The protocol.
    pub protocol: Protocol,
}

impl fmt::Display for PortKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.port, self.protocol)
    }
}

/// Who may reach the load balancer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// Only the private network.
    Internal,
    /// Everybody.
    Public,
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Internal => "internal",
            Self::Public => "public",
        })
    }
}

/// One served port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Listener {
    /// Port and protocol that clients use.
    #[serde(flatten)]
    pub key: PortKey,
    /// The name of the Service port; empty if it has none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The Service that the port belongs to.
    pub service: Uid,
    /// Where connections go.
    pub targets: Targets,
    /// Somebody is there to answer. Node targets stay registered without it: taking them away and back costs a cloud minutes.
    pub has_endpoints: bool,
    /// How a node is found fit.
    pub health_check: HealthCheck,
    /// Seconds for which one client address stays at one endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_affinity: Option<u32>,
}

impl Listener {
    /// Somebody is there to answer who comes by this family: neither kube-proxy nor a network changes it on the way to a pod (KEP-563). Of node
    /// ports nobody says it.
    pub fn has_endpoints_of(&self, family: Family) -> bool {
        self.has_endpoints
            && match &self.targets {
                Targets::Nodes { .. } => true,
                Targets::Pods { endpoints, local_nodes: _ } => {
                    endpoints.iter().any(|endpoint| Family::of(endpoint.address.ip()) == family)
                }
            }
    }

    /// The same listener, sending to those to whom the port would send `now`. Everything else stays, also the node port.
    #[must_use]
    pub fn followed(&self, now: &Self) -> Self {
        let targets = match (&self.targets, &now.targets) {
            (Targets::Nodes { node_port, nodes: _ }, Targets::Nodes { node_port: _, nodes }) => {
                Targets::Nodes { node_port: *node_port, nodes: nodes.clone() }
            }
            (Targets::Pods { .. }, Targets::Pods { .. }) => now.targets.clone(),
            (Targets::Nodes { .. }, Targets::Pods { .. }) | (Targets::Pods { .. }, Targets::Nodes { .. }) => {
                return self.clone();
            }
        };
        Self { targets, has_endpoints: now.has_endpoints, ..self.clone() }
    }
}

/// Why no port has anybody to answer, if so: connections will fail, whatever the provider does. `nodes` are those that may take
/// traffic at all.
pub fn nobody_answers(listeners: &[Listener], nodes: &[NodeTarget]) -> Option<Reason> {
    let by_node = |listener: &Listener| matches!(listener.targets, Targets::Nodes { .. });
    let has_target = |listener: &Listener| match &listener.targets {
        Targets::Nodes { node_port: _, nodes } => !nodes.is_empty(),
        Targets::Pods { .. } => true,
    };
    if listeners.iter().any(|listener| listener.has_endpoints && has_target(listener)) {
        None
    } else if listeners.iter().any(|listener| by_node(listener) && (nodes.is_empty() || listener.has_endpoints)) {
        Some(Reason::NoNodes)
    } else {
        Some(Reason::NoEndpoints)
    }
}

/// Where a listener sends connections.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Targets {
    /// To a node port; kube-proxy goes on from there.
    Nodes {
        /// The node port.
        node_port: u16,
        /// The nodes, by name. Under `externalTrafficPolicy: Local` only those with a usable endpoint of their own.
        nodes: Vec<NodeName>,
    },
    /// Straight to pods.
    Pods {
        /// Each address with each pod that claims it, once; sorted.
        endpoints: Vec<PodEndpoint>,
        /// Under `externalTrafficPolicy: Local` the nodes that have one of these, of each family; sorted. For a provider whose traffic reaches pods by
        /// way of nodes: the others drop it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        local_nodes: Option<BTreeMap<Family, BTreeSet<NodeName>>>,
    },
}

/// A pod that takes traffic: it is ready, or nobody is and it still serves while it terminates.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "WrittenEndpoint", into = "WrittenEndpoint")]
pub struct PodEndpoint {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its identity, if the EndpointSlice names it: an address goes to another pod as soon as its own is gone, and whatever was found out
    /// about the one says nothing of the other.
    pub pod: Option<Uid>,
    /// It is on its way out.
    pub terminating: bool,
}

impl From<SocketAddr> for PodEndpoint {
    fn from(address: SocketAddr) -> Self {
        Self { address, pod: None, terminating: false }
    }
}

/// The address; who is there does not show.
impl fmt::Display for PodEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

/// Whose each address is. Slices are written one by one, so that for a while two pods may claim one address, the one that had it and the one
/// that has it (<https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/#duplicate-endpoints>). It is that of the pod that is not terminating; of several such, of one whose identity
/// is known; and of those the first by UID, so that the order of slices decides nothing.
pub fn by_address<'a>(endpoints: impl IntoIterator<Item = &'a PodEndpoint>) -> BTreeMap<SocketAddr, &'a PodEndpoint> {
    let rank = |endpoint: &'a PodEndpoint| (endpoint.terminating, endpoint.pod.is_none(), &endpoint.pod);
    let mut found: BTreeMap<SocketAddr, &PodEndpoint> = BTreeMap::new();
    for endpoint in endpoints {
        let holder = found.entry(endpoint.address).or_insert(endpoint);
        if rank(endpoint) < rank(holder) {
            *holder = endpoint;
        }
    }
    found
}

/// A plain address stands for itself.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum WrittenEndpoint {
    Address(SocketAddr),
    Pod {
        address: SocketAddr,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pod: Option<Uid>,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        terminating: bool,
    },
}

impl From<WrittenEndpoint> for PodEndpoint {
    fn from(written: WrittenEndpoint) -> Self {
        match written {
            WrittenEndpoint::Address(address) => address.into(),
            WrittenEndpoint::Pod { address, pod, terminating } => Self { address, pod, terminating },
        }
    }
}

impl From<PodEndpoint> for WrittenEndpoint {
    fn from(endpoint: PodEndpoint) -> Self {
        match endpoint {
            PodEndpoint { address, pod: None, terminating: false } => Self::Address(address),
            PodEndpoint { address, pod, terminating } => Self::Pod { address, pod, terminating },
        }
    }
}

/// How a load balancer finds out whether a target takes traffic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum HealthCheck {
    /// `GET /healthz` on this port of the node answers 200: 10256 (kube-proxy) under policy Cluster, the Service's
    /// `healthCheckNodePort` under Local.
    Http {
        /// The port on the node.
        port: u16,
        /// The path.
        path: String,
    },
    /// Pod targets: whoever is in the EndpointSlices is fit.
    EndpointSlices,
}

/// Who may connect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SourceRanges {
    /// Everybody.
    All,
    /// Only these networks; a family without one is closed.
    Only(Vec<IpNet>),
}

/// A node that may take traffic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeTarget {
    /// Its name.
    pub name: NodeName,
    /// Its internal addresses of the load balancer's families, in the Node's order.
    pub addresses: Vec<IpAddr>,
    /// `spec.providerID`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_id: Option<String>,
    /// Its labels, for a provider whose words choose nodes by them. They are never written down: what is stored or shown of a load balancer is
    /// which nodes it has, and with thousands of nodes their labels would be the most of it. So whoever compares what is stored with what is
    /// desired leaves them out.
    #[serde(skip)]
    pub labels: Arc<BTreeMap<String, String>>,
}

/// How packets for a published address arrive at a node (KEP-1860).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum IpMode {
    /// Still addressed to the load balancer: kube-proxy programs the address.
    #[serde(rename = "VIP")]
    Vip,
    /// Addressed to the node port or the pod.
    Proxy,
}

impl fmt::Display for IpMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Vip => "VIP",
            Self::Proxy => "Proxy",
        })
    }
}

/// What clients connect to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Published {
    /// An address; its mode is always written beside it.
    Ip {
        /// The address.
        ip: IpAddr,
        /// How packets arrive.
        mode: IpMode,
    },
    /// A DNS name.
    Hostname {
        /// The name.
        hostname: String,
    },
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn endpoint(address: &str, pod: Option<&str>, terminating: bool) -> PodEndpoint {
        PodEndpoint { address: address.parse().unwrap(), pod: pod.map(Uid::new), terminating }
    }

    #[test]
    fn an_address_is_that_of_the_pod_that_stays_whatever_the_order_of_slices() {
        let (one, other) = ("10.0.0.1:80", "10.0.0.2:80");
        for (claims, holder) in [
            (vec![endpoint(one, Some("a"), false), endpoint(one, Some("b"), true)], Some("a")),
            (vec![endpoint(one, Some("a"), true), endpoint(one, Some("b"), false)], Some("b")),
            (vec![endpoint(one, Some("a"), true), endpoint(one, None, false)], None),
            (vec![endpoint(one, None, false), endpoint(one, Some("b"), false)], Some("b")),
            (vec![endpoint(one, Some("b"), false), endpoint(one, Some("a"), false)], Some("a")),
        ] {
            let beside = endpoint(other, Some("c"), true);
            let forward: Vec<_> = claims.iter().chain([&beside]).collect();
            let backward: Vec<_> = forward.iter().rev().copied().collect();
            for order in [forward, backward] {
                let found = by_address(order);
                assert_eq!(found.len(), 2, "{claims:?}");
                assert_eq!(found[&one.parse().unwrap()].pod.as_ref().map(Uid::as_str), holder, "{claims:?}");
                assert_eq!(found[&other.parse().unwrap()], &beside);
            }
        }
    }

    #[test]
    fn a_pod_without_uid_is_written_as_its_address() {
        for (endpoint, written) in [
            (endpoint("10.0.0.1:80", None, false), json!("10.0.0.1:80")),
            (endpoint("10.0.0.1:80", Some("u"), false), json!({"address": "10.0.0.1:80", "pod": "u"})),
            (endpoint("[fd00::1]:80", None, true), json!({"address": "[fd00::1]:80", "terminating": true})),
        ] {
            assert_eq!(serde_json::to_value(&endpoint).unwrap(), written);
            assert_eq!(serde_json::from_value::<PodEndpoint>(written).unwrap(), endpoint);
        }
    }
}
