//! A manifest of a Service, with those fields that the settings read.

use std::collections::BTreeMap;

use portolan_core::balancer::{Family, Protocol};
use portolan_core::examples;
use portolan_core::snapshot::{FamilyPolicy, Service, ServicePort, TargetPort, TrafficPolicy};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Manifest {
    #[serde(rename = "apiVersion")]
    _api_version: String,
    #[serde(rename = "kind")]
    _kind: String,
    metadata: Metadata,
    spec: Spec,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Metadata {
    name: String,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Spec {
    #[serde(rename = "type")]
    _type: String,
    load_balancer_class: Option<String>,
    ports: Vec<Port>,
    ip_families: Option<Vec<Family>>,
    ip_family_policy: Option<String>,
    external_traffic_policy: Option<TrafficPolicy>,
    health_check_node_port: Option<u16>,
    #[serde(default)]
    load_balancer_source_ranges: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Port {
    #[serde(default)]
    name: String,
    port: u16,
    protocol: Option<Protocol>,
    node_port: Option<u16>,
    target_port: Option<Value>,
}

pub(super) fn service(document: &Value) -> Result<Service, String> {
    let Manifest { metadata, spec, .. } =
        serde_json::from_value(document.clone()).map_err(|error| format!("{error} in {document}"))?;
    let policy = match spec.ip_family_policy.as_deref() {
        None | Some("SingleStack") => FamilyPolicy::SingleStack,
        Some("PreferDualStack") => FamilyPolicy::PreferDualStack,
        Some("RequireDualStack") => FamilyPolicy::RequireDualStack,
        Some(other) => return Err(format!("unknown ipFamilyPolicy {other}")),
    };
    let port = |port: Port| {
        let plain = examples::port(&port.name, port.port, port.protocol.unwrap_or(Protocol::Tcp), port.node_port);
        let target_port = match port.target_port {
            None => plain.target_port,
            Some(Value::String(name)) => TargetPort::Name(name),
            Some(number) => TargetPort::Number(serde_json::from_value(number).map_err(|error| error.to_string())?),
        };
        Ok(ServicePort { target_port, ..plain })
    };
    Ok(Service {
        annotations: metadata.annotations,
        class: spec.load_balancer_class,
        ports: spec.ports.into_iter().map(port).collect::<Result<_, String>>()?,
        families: spec.ip_families.unwrap_or_else(|| vec![Family::V4]),
        family_policy: policy,
        external_traffic_policy: spec.external_traffic_policy.unwrap_or(TrafficPolicy::Cluster),
        health_check_node_port: spec.health_check_node_port,
        source_ranges: spec.load_balancer_source_ranges,
        ..examples::service(&metadata.name)
    })
}
