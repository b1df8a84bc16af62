//! kube-scheduler, as far as the lab needs it: a pod goes to the node with the fewest of its own kind, then of all.

use serde_json::{Value, json};

use crate::api::Api;

/// Binds each pod that waits for a node and can have one.
pub(crate) fn pass(api: &Api, nodes: &[Value], pods: &mut [Value]) {
    for waiting in 0..pods.len() {
        let pod = &pods[waiting];
        if pod["spec"]["nodeName"].is_string() || !pod["metadata"]["deletionTimestamp"].is_null() {
            continue;
        }
        let Some(node) = choose(pod, nodes, pods) else { continue };
        let (namespace, name) = (text(&pod["metadata"]["namespace"]), text(&pod["metadata"]["name"]));
        let binding = json!({
            "apiVersion": "v1", "kind": "Binding", "metadata": {"name": name},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        });
        let path = format!("/api/v1/namespaces/{namespace}/pods/{name}/binding");
        // A pod that was deleted meanwhile needs no node.
        if api.request(http::Method::POST, &path, Some(("application/json", &binding))).is_ok() {
            pods[waiting]["spec"]["nodeName"] = json!(node);
        }
    }
}

fn choose(pod: &Value, nodes: &[Value], pods: &[Value]) -> Option<String> {
    let living = |other: &&Value| other["metadata"]["deletionTimestamp"].is_null();
    let on = |node: &str, same: bool| {
        let here = pods.iter().filter(living).filter(|other| other["spec"]["nodeName"] == *node);
        here.filter(|other| !same || kin(pod, other)).count()
    };
    let fit = nodes.iter().filter(|node| fits(pod, node)).map(|node| text(&node["metadata"]["name"]));
    fit.min_by_key(|node| (on(node, true), on(node, false), node.to_string())).map(str::to_owned)
}

/// They belong to the same namespace and have the same labels.
fn kin(one: &Value, other: &Value) -> bool {
    ["namespace", "labels"].iter().all(|of| one["metadata"][*of] == other["metadata"][*of])
}

fn fits(pod: &Value, node: &Value) -> bool {
    let none = Vec::new();
    let taints = node["spec"]["taints"].as_array().unwrap_or(&none);
    let tolerations = pod["spec"]["tolerations"].as_array().unwrap_or(&none);
    let tolerated = |taint: &Value| {
        taint["effect"] == "PreferNoSchedule" || tolerations.iter().any(|toleration| tolerates(toleration, taint))
    };
    let selector = pod["spec"]["nodeSelector"].as_object();
    let selected = selector.into_iter().flatten().all(|(key, value)| node["metadata"]["labels"][key] == *value);
    selected && taints.iter().all(tolerated)
}

/// `v1.Toleration.ToleratesTaint`.
fn tolerates(toleration: &Value, taint: &Value) -> bool {
    let same = |of: &str| toleration[of].is_null() || toleration[of] == taint[of];
    same("effect") && same("key") && (toleration["operator"] == "Exists" || toleration["value"] == taint["value"])
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
