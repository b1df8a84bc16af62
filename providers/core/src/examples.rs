//! Objects to start a test from: each is the plainest of its kind, and a test changes what it is about.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use serde_json::Value;

use crate::balancer::{Family, PortKey, Protocol};
use crate::capabilities::Capabilities;
use crate::class::Class;
use crate::ids::{ClassName, Instance, LoadBalancerId, NodeName, ProviderName, ServiceKey, Uid};
use crate::record::{ClaimedBy, Joined, Record};
use crate::snapshot::{
    Endpoint, FamilyPolicy, Node, Service, ServicePort, ServiceType, Slice, SliceName, SlicePort, TargetPort,
    TrafficPolicy,
};
use crate::terms::Terms;
use crate::time::Timestamp;

/// A Service of type LoadBalancer without class: 80/TCP behind node port 30080, IPv4, UID `uid-NAME`, in namespace `default`.
pub fn service(name: &str) -> Service {
    Service {
        key: ServiceKey::new("default", name),
        uid: Uid::new(format!("uid-{name}")),
        created: Timestamp(0),
        deleting: false,
        finalizers: Vec::new(),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        service_type: ServiceType::LoadBalancer,
        class: None,
        ports: vec![port("", 80, Protocol::Tcp, Some(30080))],
        families: vec![Family::V4],
        family_policy: FamilyPolicy::SingleStack,
        load_balancer_ip: None,
        source_ranges: Vec::new(),
        external_ips: Vec::new(),
        external_traffic_policy: TrafficPolicy::Cluster,
        health_check_node_port: None,
        session_affinity: None,
        ingress: Vec::new(),
        conditions: Vec::new(),
        conditions_by: BTreeSet::new(),
        standard_finalizer_by: BTreeSet::new(),
        defects: Vec::new(),
    }
}

/// A port; its pods listen on the same number.
pub fn port(name: &str, port: u16, protocol: Protocol, node_port: Option<u16>) -> ServicePort {
    ServicePort {
        name: name.to_owned(),
        key: PortKey { port, protocol },
        node_port,
        target_port: TargetPort::Number(port),
    }
}

/// A class of provider `mock`.
pub fn class(name: &str) -> Class {
    Class {
        name: ClassName::new(name),
        aliases: Vec::new(),
        provider: ProviderName::new("mock"),
        default: false,
        claim_by_type_annotation: false,
        parameters: Value::Null,
    }
}

/// A provider that can do everything.
pub fn capabilities() -> Capabilities {
    Capabilities {
        protocols: [Protocol::Tcp, Protocol::Udp, Protocol::Sctp].into(),
        mixed_protocols: true,
        one_listener_a_number: false,
        families: [Family::V4, Family::V6].into(),
        lacking: [].into(),
        node_targets: true,
        pod_targets: true,
        by_way_of_nodes: false,
        readiness_gates: true,
        source_ranges: true,
        session_affinity: true,
        scheme: true,
        requested_addresses: true,
        sharing: true,
    }
}

/// The record of a Service that was claimed by its class.
pub fn record(service: &Service, class: &str) -> Record {
    let instance = Instance::default();
    Record {
        id: LoadBalancerId::new(service.uid.as_str()),
        version: None,
        instance,
        class: ClassName::new(class),
        aliases: Vec::new(),
        share: None,
        provider: ProviderName::new("mock"),
        parameters: Value::Null,
        members: vec![Joined { member: crate::desire::member(service), claimed_by: ClaimedBy::Class }],
        terms: Terms::default(),
        external: BTreeMap::new(),
    }
}

/// A node with these internal addresses.
pub fn node(name: &str, addresses: &[IpAddr]) -> Node {
    Node {
        name: NodeName::new(name),
        internal: addresses.to_vec(),
        labels: Arc::default(),
        leaving: false,
        deleting: false,
        provider_id: None,
    }
}

/// A slice of a Service with one unnamed TCP port 8080.
pub fn slice(service: &Service, name: &str, family: Family, endpoints: Vec<Endpoint>) -> Arc<Slice> {
    Arc::new(Slice {
        name: SliceName { namespace: service.key.namespace.clone(), name: name.to_owned() },
        service: service.key.clone(),
        family,
        ports: vec![SlicePort { name: String::new(), protocol: Protocol::Tcp, port: 8080 }],
        endpoints,
    })
}

/// A ready endpoint.
pub fn endpoint(address: IpAddr, node: Option<&str>) -> Endpoint {
    Endpoint { address, pod: None, node: node.map(NodeName::new), ready: true, serving: true, terminating: false }
}
