//! Kubernetes objects in, the core's snapshot types out: pure and lenient. What a server should never have stored becomes a
//! text in `Service.defects`; an object is never lost over it, and nothing here panics.

mod address;

pub use address::parse_ip;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1 as discovery;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::core::ObjectMeta;
use portolan_core::balancer::{Family, PortKey, Protocol};
use portolan_core::claim::is_own_condition;
use portolan_core::desire::nodes::LEAVING_TAINTS;
use portolan_core::gates;
use portolan_core::ids::{NodeName, ResourceVersion, STANDARD_FINALIZER, ServiceKey, Uid};
use portolan_core::share::{SHARE_WITH_ANNOTATION, ShareWith};
use portolan_core::snapshot::{
    ConditionStatus, Endpoint, FamilyPolicy, Gate, Ingress, Namespace, Node, Pod, PodName, PortStatus, Service,
    ServicePort, ServiceType, Slice, SliceName, SlicePort, TargetPort, TrafficPolicy, Versioned,
};
use portolan_core::time::Timestamp;
use serde_json::Value;

use crate::cluster::stored::{StoredPod, StoredService};

/// The label by which a slice names its Service.
pub const SERVICE_NAME_LABEL: &str = "kubernetes.io/service-name";
/// kubectl's own bookkeeping: as long as the object itself, and no setting of anything.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Seconds for which the server keeps clients at an endpoint unless told otherwise.
const DEFAULT_AFFINITY: i32 = 10_800;

/// Namespace and name.
pub fn service_key(metadata: &ObjectMeta) -> ServiceKey {
    ServiceKey::new(metadata.namespace.clone().unwrap_or_default(), metadata.name.clone().unwrap_or_default())
}

/// Namespace and name.
pub fn slice_name(metadata: &ObjectMeta) -> SliceName {
    let ServiceKey { namespace, name } = service_key(metadata);
    SliceName { namespace, name }
}

/// Namespace and name.
pub fn pod_name(metadata: &ObjectMeta) -> PodName {
    let ServiceKey { namespace, name } = service_key(metadata);
    PodName { namespace, name }
}

/// The name.
pub fn namespace_name(metadata: &ObjectMeta) -> String {
    metadata.name.clone().unwrap_or_default()
}

/// The name.
pub fn node_name(metadata: &ObjectMeta) -> NodeName {
    NodeName::new(metadata.name.clone().unwrap_or_default())
}

/// The version; empty if the object has none.
pub fn version(metadata: &ObjectMeta) -> ResourceVersion {
    ResourceVersion::new(metadata.resource_version.clone().unwrap_or_default())
}

/// A Service with all its defects.
pub fn service(object: StoredService) -> Versioned<Service> {
    let StoredService { metadata, spec, status } = object;
    let (spec, status) = (spec.unwrap_or_default(), status.unwrap_or_default());
    let mut defects = Defects(Vec::new());
    let key = service_key(&metadata);
    let version = version(&metadata);
    let uid = metadata.uid.filter(|uid| !uid.is_empty()).unwrap_or_else(|| {
        defects.add("metadata.uid is missing".to_owned());
        format!("without-uid.{}.{}", key.namespace, key.name) // distinct, so that two such Services stay apart
    });
    let service_type = service_type(spec.type_.as_deref());
    // The server refuses it; without a cluster IP kube-proxy knows nothing of the Service, so that its node ports answer nobody.
    if service_type == ServiceType::LoadBalancer && spec.cluster_ip.as_deref() == Some("None") {
        defects.add("spec.clusterIP is None, which type LoadBalancer cannot have".to_owned());
    }
    let managers = |owns: fn(&Value) -> bool| {
        let entries = metadata.managed_fields.iter().flatten();
        let owners = entries.filter(|entry| entry.fields_v1.as_ref().is_some_and(|fields| owns(&fields.0)));
        owners.filter_map(|entry| entry.manager.clone()).collect()
    };
    let (conditions_by, standard_finalizer_by) = (managers(owns_conditions), managers(owns_standard_finalizer));
    let mut annotations = metadata.annotations.unwrap_or_default();
    annotations.remove(LAST_APPLIED);
    let object = Service {
        uid: Uid::new(uid),
        created: Timestamp(metadata.creation_timestamp.map_or(0, |time| time.0.as_second())),
        deleting: metadata.deletion_timestamp.is_some(),
        finalizers: metadata.finalizers.unwrap_or_default(),
        labels: metadata.labels.unwrap_or_default(),
        annotations,
        service_type,
        class: spec.load_balancer_class,
        ports: ports(spec.ports.unwrap_or_default(), &mut defects),
        families: families(spec.ip_families.unwrap_or_default(), &spec.cluster_ips.unwrap_or_default(), &mut defects),
        family_policy: family_policy(spec.ip_family_policy.as_deref(), &mut defects),
        load_balancer_ip: spec.load_balancer_ip.filter(|text| !text.is_empty()).map(canonical),
        source_ranges: spec.load_balancer_source_ranges.unwrap_or_default(),
        external_ips: spec.external_ips.iter().flatten().filter_map(|text| parse_ip(text)).collect(),
        external_traffic_policy: traffic_policy(spec.external_traffic_policy.as_deref(), &mut defects),
        health_check_node_port: defects.optional_port("spec.healthCheckNodePort", spec.health_check_node_port),
        session_affinity: affinity(
            spec.session_affinity.as_deref(),
            spec.session_affinity_config.and_then(|config| config.client_ip?.timeout_seconds),
            &mut defects,
        ),
        ingress: status
            .load_balancer
            .unwrap_or_default()
            .ingress
            .unwrap_or_default()
            .into_iter()
            .map(ingress)
            .collect(),
        conditions: status.conditions.unwrap_or_default(),
        conditions_by,
        standard_finalizer_by,
        defects: defects.0,
        key,
    };
    Versioned { version, object: object.into() }
}

/// These fields (FieldsV1) hold a condition that only a Portolan writes: `k:{"type":"..."}`.
fn owns_conditions(fields: &Value) -> bool {
    let is_ours = |key: &String| {
        let key = key.strip_prefix("k:").and_then(|key| serde_json::from_str::<Value>(key).ok());
        key.as_ref().and_then(|key| key.get("type")?.as_str()).is_some_and(is_own_condition)
    };
    let conditions = fields.pointer("/f:status/f:conditions").and_then(Value::as_object);
    conditions.is_some_and(|conditions| conditions.keys().any(is_ours))
}

/// These fields hold upstream's finalizer: an item of a set, `v:"..."`.
fn owns_standard_finalizer(fields: &Value) -> bool {
    let item = format!("v:{}", Value::from(STANDARD_FINALIZER));
    fields.pointer("/f:metadata/f:finalizers").is_some_and(|finalizers| finalizers.get(item).is_some())
}

/// The canonical text of an address that Kubernetes can read; any other text as it is, for its reader to refuse.
fn canonical(text: String) -> String {
    parse_ip(text.trim()).map_or(text, |address| address.to_string())
}

/// A slice; none if it holds no addresses (FQDN) or belongs to no Service.
pub fn slice(object: discovery::EndpointSlice) -> Option<Slice> {
    let family = family(&object.address_type)?;
    let name = slice_name(&object.metadata);
    let service = object.metadata.labels?.remove(SERVICE_NAME_LABEL).filter(|service| !service.is_empty())?;
    let ports = object.ports.unwrap_or_default().into_iter().filter_map(|port| {
        Some(SlicePort {
            name: port.name.unwrap_or_default(),
            protocol: protocol(port.protocol.as_deref())?,
            port: u16::try_from(port.port?).ok().filter(|port| *port != 0)?,
        })
    });
    let endpoints = object.endpoints.into_iter().flatten().filter_map(|endpoint| {
        let conditions = endpoint.conditions.unwrap_or_default();
        Some(Endpoint {
            address: endpoint.addresses.first().and_then(|text| endpoint_address(text, family))?,
            pod: endpoint.target_ref.and_then(pod_of),
            node: endpoint.node_name.filter(|name| !name.is_empty()).map(NodeName::new),
            ready: conditions.ready.unwrap_or(true),
            serving: conditions.serving.unwrap_or(true),
            terminating: conditions.terminating.unwrap_or(false),
        })
    });
    Some(Slice {
        service: ServiceKey::new(name.namespace.clone(), service),
        family,
        ports: ports.collect(),
        endpoints: endpoints.collect(),
        name,
    })
}

/// The identity of the pod that is referred to; none if it is something else, as in slices that people make.
fn pod_of(target: core::ObjectReference) -> Option<Uid> {
    let is_pod = target.kind.as_deref() == Some("Pod");
    target.uid.filter(|uid| is_pod && !uid.is_empty()).map(Uid::new)
}

/// A Pod that waits for load balancers; none if it has no readiness gate of ours.
pub fn pod(object: StoredPod) -> Option<Versioned<Pod>> {
    let StoredPod { metadata, spec, status } = object;
    let gates = spec.unwrap_or_default().readiness_gates.unwrap_or_default();
    let conditions = status.unwrap_or_default().conditions.unwrap_or_default();
    let told = |kind: &str| conditions.iter().find(|condition| condition.condition_type == kind);
    let gate = |kind: &str| {
        told(kind).map(|condition| Gate {
            status: condition.status,
            reason: condition.reason.clone(),
            message: condition.message.clone(),
        })
    };
    let gates: BTreeMap<_, _> = gates
        .iter()
        .filter_map(|one| Some((gates::service_of(&one.condition_type)?.to_owned(), gate(&one.condition_type))))
        .collect();
    if gates.is_empty() {
        return None;
    }
    let (name, version) = (pod_name(&metadata), version(&metadata));
    let pod = Pod {
        uid: Uid::new(metadata.uid.unwrap_or_default()),
        gates,
        containers_ready: told("ContainersReady").is_some_and(|condition| condition.status == ConditionStatus::True),
        deleting: metadata.deletion_timestamp.is_some(),
        name,
    };
    Some(Versioned { version, object: pod.into() })
}

/// A Namespace.
pub fn namespace(object: core::Namespace) -> Namespace {
    let name = namespace_name(&object.metadata);
    let said = object.metadata.annotations.and_then(|mut annotations| annotations.remove(SHARE_WITH_ANNOTATION));
    Namespace { name, share_with: said.map_or_else(ShareWith::default, |text| ShareWith::parse(&text)) }
}

/// A Node.
pub fn node(object: core::Node) -> Node {
    let core::Node { metadata, spec, status } = object;
    let spec = spec.unwrap_or_default();
    let addresses = status.unwrap_or_default().addresses.unwrap_or_default();
    Node {
        name: node_name(&metadata),
        internal: addresses.iter().filter(|a| a.type_ == "InternalIP").filter_map(|a| parse_ip(&a.address)).collect(),
        labels: metadata.labels.unwrap_or_default().into(),
        leaving: spec.taints.unwrap_or_default().iter().any(|taint| LEAVING_TAINTS.contains(&&*taint.key)),
        deleting: metadata.deletion_timestamp.is_some(),
        provider_id: spec.provider_id.filter(|id| !id.is_empty()),
    }
}

/// What is wrong with a Service, in the order of the spec.
struct Defects(Vec<String>);

impl Defects {
    fn add(&mut self, text: String) {
        self.0.push(text);
    }

    /// A port number; 0 and absence mean none, and are no defect.
    fn optional_port(&mut self, field: &str, number: Option<i32>) -> Option<u16> {
        let number = number.filter(|number| *number != 0)?;
        let port = u16::try_from(number).ok();
        if port.is_none() {
            self.add(format!("{field} is {number}, not 1 to 65535"));
        }
        port
    }
}

fn service_type(text: Option<&str>) -> ServiceType {
    match text {
        None | Some("" | "ClusterIP") => ServiceType::ClusterIp,
        Some("NodePort") => ServiceType::NodePort,
        Some("LoadBalancer") => ServiceType::LoadBalancer,
        Some("ExternalName") => ServiceType::ExternalName,
        Some(other) => ServiceType::Unknown(other.to_owned()),
    }
}

/// The ports that have a key. Names must be unique and, of several ports, none may be empty; so must keys be.
fn ports(ports: Vec<core::ServicePort>, defects: &mut Defects) -> Vec<ServicePort> {
    let several = ports.len() > 1;
    let (mut names, mut keys) = (BTreeSet::new(), BTreeSet::new());
    let mut kept = Vec::with_capacity(ports.len());
    for (index, port) in ports.into_iter().enumerate() {
        let field = format!("spec.ports[{index}]");
        let name = port.name.unwrap_or_default();
        if several && name.is_empty() {
            defects.add(format!("{field}.name is empty, although there are several ports"));
        } else if several && !names.insert(name.clone()) {
            defects.add(format!("{field}.name {name:?} stands twice"));
        }
        let number = u16::try_from(port.port).ok().filter(|number| *number != 0);
        if number.is_none() {
            defects.add(format!("{field}.port is {}, not 1 to 65535", port.port));
        }
        let protocol = protocol(port.protocol.as_deref());
        if protocol.is_none() {
            defects.add(format!("{field}.protocol is {:?}, not TCP, UDP or SCTP", port.protocol.unwrap_or_default()));
        }
        let node_port = defects.optional_port(&format!("{field}.nodePort"), port.node_port);
        let target_port = target_port(port.target_port, port.port, &field, defects);
        let (Some(port), Some(protocol)) = (number, protocol) else { continue };
        let key = PortKey { port, protocol };
        if keys.insert(key) {
            kept.push(ServicePort {
                name,
                key,
                node_port,
                target_port: target_port.unwrap_or(TargetPort::Number(key.port)),
            });
        } else {
            defects.add(format!("{field}: {key} stands twice"));
        }
    }
    kept
}

/// Where the pods listen, if elsewhere than on the number of the port itself: that is what 0 and the empty name mean, and what the server
/// fills in (`SetDefaults_Service` of Kubernetes).
fn target_port(stated: Option<IntOrString>, port: i32, field: &str, defects: &mut Defects) -> Option<TargetPort> {
    match stated? {
        IntOrString::Int(number) if number == port => None,
        IntOrString::Int(number) => {
            defects.optional_port(&format!("{field}.targetPort"), Some(number)).map(TargetPort::Number)
        }
        IntOrString::String(name) => Some(name).filter(|name| !name.is_empty()).map(TargetPort::Name),
    }
}

fn protocol(text: Option<&str>) -> Option<Protocol> {
    match text {
        None | Some("" | "TCP") => Some(Protocol::Tcp),
        Some("UDP") => Some(Protocol::Udp),
        Some("SCTP") => Some(Protocol::Sctp),
        Some(_) => None,
    }
}

fn family(text: &str) -> Option<Family> {
    match text {
        "IPv4" => Some(Family::V4),
        "IPv6" => Some(Family::V6),
        _ => None,
    }
}

/// The families as the server resolved them; on objects from before there were any, those of the cluster IPs.
fn families(stated: Vec<String>, cluster_ips: &[String], defects: &mut Defects) -> Vec<Family> {
    let mut found = Vec::new();
    for text in stated {
        match family(&text) {
            Some(family) if found.contains(&family) => defects.add(format!("spec.ipFamilies names {family} twice")),
            Some(family) => found.push(family),
            None => defects.add(format!("spec.ipFamilies names {text:?}, not IPv4 or IPv6")),
        }
    }
    if found.is_empty() {
        for family in cluster_ips.iter().filter_map(|text| parse_ip(text)).map(Family::of) {
            if !found.contains(&family) {
                found.push(family);
            }
        }
    }
    if found.is_empty() { vec![Family::V4] } else { found }
}

fn family_policy(text: Option<&str>, defects: &mut Defects) -> FamilyPolicy {
    match text {
        None | Some("" | "SingleStack") => FamilyPolicy::SingleStack,
        Some("PreferDualStack") => FamilyPolicy::PreferDualStack,
        Some("RequireDualStack") => FamilyPolicy::RequireDualStack,
        Some(other) => {
            defects.add(format!("spec.ipFamilyPolicy {other:?} is unknown"));
            FamilyPolicy::SingleStack
        }
    }
}

fn traffic_policy(text: Option<&str>, defects: &mut Defects) -> TrafficPolicy {
    match text {
        None | Some("" | "Cluster") => TrafficPolicy::Cluster,
        Some("Local") => TrafficPolicy::Local,
        Some(other) => {
            defects.add(format!("spec.externalTrafficPolicy {other:?} is unknown"));
            TrafficPolicy::Cluster
        }
    }
}

fn affinity(text: Option<&str>, seconds: Option<i32>, defects: &mut Defects) -> Option<u32> {
    match text {
        None | Some("" | "None") => None,
        Some("ClientIP") => {
            let seconds = seconds.unwrap_or(DEFAULT_AFFINITY);
            if !(1..=86_400).contains(&seconds) {
                defects.add(format!("spec.sessionAffinityConfig.clientIP.timeoutSeconds is {seconds}, not 1 to 86400"));
            }
            u32::try_from(seconds).ok()
        }
        Some(other) => {
            defects.add(format!("spec.sessionAffinity {other:?} is unknown"));
            None
        }
    }
}

/// What the server stores of an ingress port is not validated. An entry that nobody can read stands as port 0, which no status
/// of ours names, so that it is overwritten.
fn ingress(entry: core::LoadBalancerIngress) -> Ingress {
    let ports = entry.ports.unwrap_or_default().into_iter().map(|port| {
        match (u16::try_from(port.port), protocol(Some(&port.protocol))) {
            (Ok(number), Some(protocol)) => PortStatus { port: number, protocol, error: port.error },
            _ => PortStatus { port: 0, protocol: Protocol::Tcp, error: port.error },
        }
    });
    Ingress { ip: entry.ip, hostname: entry.hostname, ip_mode: entry.ip_mode, ports: ports.collect() }
}

/// An address to which traffic may be sent. The server refuses the others; custom slices of old may still hold them.
fn endpoint_address(text: &str, family: Family) -> Option<IpAddr> {
    let address = parse_ip(text).filter(|address| Family::of(*address) == family)?;
    let link_local = match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    let usable = !address.is_loopback() && !address.is_unspecified() && !address.is_multicast() && !link_local;
    usable.then_some(address)
}

#[cfg(test)]
mod tests;
