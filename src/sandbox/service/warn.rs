//! What the server tells the writer of a Service, and stores all the same. From `pkg/api/service/warnings.go`.

use serde_json::Value;

use super::items;

pub(in crate::sandbox) fn warnings(service: &Value) -> Vec<String> {
    let spec = &service["spec"];
    let kind = spec["type"].as_str().unwrap_or("ClusterIP");
    let has = |field: &str| {
        let value = &spec[field];
        value.as_str().is_some_and(|text| !text.is_empty()) || !items(value).is_empty()
    };
    let headless = kind == "ClusterIP" && spec["clusterIP"] == "None";
    let name = kind == "ExternalName";
    let hints = "service.kubernetes.io/topology-aware-hints";
    let told = [
        (
            !service["metadata"]["annotations"][hints].is_null(),
            format!("annotation {hints} is deprecated, please use service.kubernetes.io/topology-mode instead"),
        ),
        (headless && has("loadBalancerIP"), "spec.loadBalancerIP is ignored for headless services".to_owned()),
        (headless && has("externalIPs"), "spec.externalIPs is ignored for headless services".to_owned()),
        (
            headless && spec["sessionAffinity"] == "ClientIP",
            "spec.SessionAffinity is ignored for headless services".to_owned(),
        ),
        (
            has("externalIPs") && !headless && !name,
            "spec.externalIPs is deprecated and may no longer be implemented in some clusters".to_owned(),
        ),
        (name && has("externalIPs"), "spec.externalIPs is ignored when spec.type is \"ExternalName\"".to_owned()),
        (
            !name && has("externalName"),
            "spec.externalName is ignored when spec.type is not \"ExternalName\"".to_owned(),
        ),
        (
            spec["trafficDistribution"] == "PreferClose",
            "spec.trafficDistribution: \"PreferClose\" is deprecated; use \"PreferSameZone\"".to_owned(),
        ),
    ];
    told.into_iter().filter(|(holds, _)| *holds).map(|(_, warning)| warning).collect()
}
