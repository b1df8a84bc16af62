//! Small objects.

use std::collections::{BTreeMap, BTreeSet};

use portolan_core::balancer::Member;
use portolan_core::ids::{
    ClassName, Instance, LoadBalancerId, NodeName, ProviderName, ResourceVersion, ServiceKey, Uid,
};
use portolan_core::record::{ClaimedBy, Joined, Record};
use portolan_core::snapshot::{FamilyPolicy, Node, Service, ServiceType, TrafficPolicy};
use portolan_core::terms::Terms;
use portolan_core::time::Timestamp;
use serde_json::Value;

pub(super) const CLASS: &str = "portolan.dev/mock";

pub(super) fn is_claimed(service: &Service) -> bool {
    service.service_type == ServiceType::LoadBalancer && service.class.as_deref() == Some(CLASS) && !service.deleting
}

pub(super) fn number(version: &ResourceVersion) -> u64 {
    version.as_str().parse().unwrap()
}

pub(super) fn service(key: ServiceKey, uid: Uid, ours: bool) -> Service {
    Service {
        key,
        uid,
        created: Timestamp(0),
        deleting: false,
        finalizers: vec![],
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        service_type: if ours { ServiceType::LoadBalancer } else { ServiceType::ClusterIp },
        class: ours.then(|| CLASS.to_owned()),
        ports: vec![],
        families: vec![],
        family_policy: FamilyPolicy::SingleStack,
        load_balancer_ip: None,
        source_ranges: vec![],
        external_ips: vec![],
        external_traffic_policy: TrafficPolicy::Cluster,
        health_check_node_port: None,
        session_affinity: None,
        ingress: vec![],
        conditions: vec![],
        conditions_by: BTreeSet::new(),
        standard_finalizer_by: BTreeSet::new(),
        defects: vec![],
    }
}

pub(super) fn node(name: NodeName, leaving: bool) -> Node {
    Node { name, internal: vec![], labels: std::sync::Arc::default(), leaving, deleting: false, provider_id: None }
}

pub(super) fn record(id: LoadBalancerId, instance: Instance, members: Vec<Member>) -> Record {
    Record {
        id,
        version: None,
        instance,
        class: ClassName::new(CLASS),
        aliases: Vec::new(),
        share: None,
        provider: ProviderName::new("mock"),
        parameters: Value::Null,
        members: members.into_iter().map(|member| Joined { member, claimed_by: ClaimedBy::Class }).collect(),
        terms: Terms::default(),
        external: BTreeMap::new(),
    }
}

pub(super) fn member(service: &Service) -> Member {
    Member { uid: service.uid.clone(), namespace: service.key.namespace.clone(), name: service.key.name.clone() }
}
