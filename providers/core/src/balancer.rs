//! The load balancer: what a provider is asked to make true. Provider-neutral, and the unit of reconcile.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

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
    /// Every node that may take traffic, by name; what a listener sends to is in its targets.
    pub nodes: Vec<NodeTarget>,
    /// The addresses and names that clients may be using now, from the Service's status: what a replace must not take away
    /// before its successor is published.
    pub published: Vec<Published>,
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
    /// The same listener, sending to those to whom the port would send `now`. Everything else stays, also the node port.
    #[must_use]
    pub fn followed(&self, now: &Self) -> Self {
        let targets = match (&self.targets, &now.targets) {
            (Targets::Nodes { node_port, nodes: _ }, Targets::Nodes { node_port: _, nodes }) => {
                Targets::Nodes { node_port: *node_port, nodes: nodes.clone() }
            }
            (Targets::Pods { endpoints: _ }, Targets::Pods { endpoints }) => {
                Targets::Pods { endpoints: endpoints.clone() }
            }
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
        /// Address and port of each, sorted.
        endpoints: Vec<SocketAddr>,
    },
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
