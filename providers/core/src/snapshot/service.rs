//! A Service as the decisions see it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::balancer::{Family, PortKey, Protocol};
use crate::ids::{ServiceKey, Uid};
use crate::snapshot::Condition;
use crate::time::Timestamp;

/// A Service, without its resourceVersion: two readings are equal if and only if no decision can tell them apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Namespace and name.
    pub key: ServiceKey,
    /// `metadata.uid`.
    pub uid: Uid,
    /// `metadata.creationTimestamp`.
    pub created: Timestamp,
    /// `metadata.deletionTimestamp` is set.
    pub deleting: bool,
    /// `metadata.finalizers`, in order.
    pub finalizers: Vec<String>,
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// `metadata.annotations`, but for those that only record what a client applied.
    pub annotations: BTreeMap<String, String>,
    /// `spec.type`.
    pub service_type: ServiceType,
    /// `spec.loadBalancerClass`.
    pub class: Option<String>,
    /// `spec.ports`, in the order of the spec.
    pub ports: Vec<ServicePort>,
    /// `spec.ipFamilies`, in order; the server resolves the policy into them.
    pub families: Vec<Family>,
    /// `spec.ipFamilyPolicy`.
    pub family_policy: FamilyPolicy,
    /// `spec.loadBalancerIP`: any text, the server does not check it.
    pub load_balancer_ip: Option<String>,
    /// `spec.loadBalancerSourceRanges`.
    pub source_ranges: Vec<String>,
    /// `spec.externalIPs`: addresses that nodes take packets for as if they were the Service's, whoever they belong to.
    pub external_ips: Vec<IpAddr>,
    /// `spec.externalTrafficPolicy`.
    pub external_traffic_policy: TrafficPolicy,
    /// `spec.healthCheckNodePort`, if not 0.
    pub health_check_node_port: Option<u16>,
    /// Seconds for which `sessionAffinity: ClientIP` keeps a client at one endpoint; none without affinity.
    pub session_affinity: Option<u32>,
    /// `status.loadBalancer.ingress`.
    pub ingress: Vec<Ingress>,
    /// `status.conditions`.
    pub conditions: Vec<Condition>,
    /// Who has written those of them that only a Portolan writes, by [`Instance::field_manager`](crate::ids::Instance::field_manager);
    /// empty if the server does not say.
    pub conditions_by: BTreeSet<String>,
    /// Who has put upstream's finalizer there, likewise.
    pub standard_finalizer_by: BTreeSet<String>,
    /// What the server should never have stored (a port of 70000, an unknown protocol). A Service with a defect is refused as
    /// a whole with `InvalidSpec` and all of these texts.
    pub defects: Vec<String>,
}

/// `spec.type`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceType {
    /// `ClusterIP`, also the default.
    ClusterIp,
    /// `NodePort`.
    NodePort,
    /// `LoadBalancer`.
    LoadBalancer,
    /// `ExternalName`.
    ExternalName,
    /// A type that Kubernetes did not have when this was written. Not a load balancer.
    Unknown(String),
}

/// One entry of `spec.ports`. What is not here (`appProtocol`) changes nothing for a load balancer at layer 4.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePort {
    /// Empty for the only port of a Service.
    pub name: String,
    /// Port and protocol: the key.
    pub key: PortKey,
    /// `nodePort`, if not 0.
    pub node_port: Option<u16>,
    /// `targetPort`: where the pods were told to listen. Where traffic goes to is in the EndpointSlices; this is for those who need to know
    /// before there are any.
    pub target_port: TargetPort,
}

/// `spec.ports[].targetPort`; the server fills in the number of the port itself where there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetPort {
    /// This number, on every pod.
    Number(u16),
    /// The port of this name, which may have another number on each pod.
    Name(String),
}

/// `spec.ipFamilyPolicy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FamilyPolicy {
    /// One family.
    SingleStack,
    /// Two where possible.
    PreferDualStack,
    /// Two or nothing.
    RequireDualStack,
}

/// `spec.externalTrafficPolicy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TrafficPolicy {
    /// Every eligible node takes traffic and passes it on.
    Cluster,
    /// Only nodes with an endpoint of their own take traffic, and keep the client's address.
    Local,
}

/// One entry of `status.loadBalancer.ingress`, as written or to be written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ingress {
    /// The address, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// The name, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// `VIP` or `Proxy`, beside an address only (KEP-1860).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_mode: Option<String>,
    /// Every port of the Service.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<PortStatus>,
}

/// One entry of `status.loadBalancer.ingress[].ports` (KEP-1435).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PortStatus {
    /// The Service's port.
    pub port: u16,
    /// Its protocol.
    pub protocol: Protocol,
    /// Why the port is not served; absent when it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}
