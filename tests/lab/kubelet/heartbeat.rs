//! That a node is there: its Node object and its Lease (KEP-589).

use std::time::Duration;

use serde_json::{Value, json};

use crate::api::Api;
use crate::network::Node;

/// Ten times as often as a kubelet, so that the controller manager can give up ten times as early.
pub(crate) const EVERY: Duration = Duration::from_secs(1);

const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";

/// Creates the Node, with its addresses and the ranges of its pods.
pub(super) fn register(api: &Api, node: Node) {
    let name = node.name();
    let ranges = node.pod_ranges();
    let labels = json!({"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"});
    let spec = json!({"podCIDR": ranges[0], "podCIDRs": ranges});
    api.create(
        "/api/v1/nodes",
        &json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}, "spec": spec}),
    );
    let mut addresses: Vec<Value> =
        node.addresses().iter().map(|ip| json!({"type": "InternalIP", "address": ip})).collect();
    addresses.push(json!({"type": "Hostname", "address": name}));
    let room = json!({"cpu": "8", "memory": "16Gi", "pods": "61"});
    let conditions =
        [condition("Ready", "True", "KubeletReady"), condition("NetworkUnavailable", "False", "RouteCreated")];
    let status = json!({"addresses": addresses, "capacity": room, "allocatable": room, "conditions": conditions});
    api.patch(&format!("/api/v1/nodes/{name}/status"), &json!({"status": status}));
}

/// Renews the Lease, and says that the node is ready if anybody has come to doubt it.
pub(super) fn beat(api: &Api, node: Node, nodes: &[Value]) {
    let name = node.name();
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name},
        "spec": {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": micros()},
    });
    if api.try_patch(&format!("{LEASES}/{name}"), &lease).is_err() {
        // The server makes the namespace only after it has said that it is ready; the next beat will do as well.
        let _ = api.request(http::Method::POST, LEASES, Some(("application/json", &lease)));
    }
    let Some(object) = nodes.iter().find(|object| object["metadata"]["name"] == name) else { return };
    let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
    if conditions.iter().any(|condition| condition["type"] == "Ready" && condition["status"] != "True") {
        let mut conditions: Vec<Value> =
            conditions.into_iter().filter(|condition| condition["type"] != "Ready").collect();
        conditions.push(condition("Ready", "True", "KubeletReady"));
        let _ = api.try_patch(&format!("/api/v1/nodes/{name}/status"), &json!({"status": {"conditions": conditions}}));
    }
}

fn condition(kind: &str, status: &str, reason: &str) -> Value {
    let now = seconds();
    json!({"type": kind, "status": status, "reason": reason, "message": "says the lab", "lastHeartbeatTime": now, "lastTransitionTime": now})
}

fn micros() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

/// As a `metav1.Time`.
pub(super) fn seconds() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
