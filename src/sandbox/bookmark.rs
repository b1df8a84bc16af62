//! What a watch is told of how far it has come: an object of the watched kind with nothing in it but a version, written as Go writes
//! a value that is empty.

use serde_json::{Map, Value, json};

use super::kinds::Kind;

/// A bookmark up to a revision; the last of those that a streaming list begins with says so (KEP-3157).
pub(super) fn bookmark(kind: &Kind, revision: u64, ends_the_list: bool) -> Value {
    let mut object = empty(kind);
    object["kind"] = kind.kind.as_str().into();
    object["apiVersion"] = kind.api_version().into();
    object["metadata"] = json!({"resourceVersion": revision.to_string()});
    if ends_the_list {
        object["metadata"]["annotations"] = json!({"k8s.io/initial-events-end": "true"});
    }
    object
}

/// The fields that a kind's type always writes.
fn empty(kind: &Kind) -> Value {
    match kind.kind.as_str() {
        _ if kind.custom => Value::Object(Map::new()),
        "Namespace" => json!({"spec": {}, "status": {}}),
        "Service" => json!({"spec": {}, "status": {"loadBalancer": {}}}),
        "Pod" => json!({"spec": {"containers": null}, "status": {}}),
        "Node" => {
            let texts = [
                "architecture",
                "bootID",
                "containerRuntimeVersion",
                "kernelVersion",
                "kubeProxyVersion",
                "kubeletVersion",
                "machineID",
                "operatingSystem",
                "osImage",
                "systemUUID",
            ];
            let info: Map<String, Value> = texts.map(|text| (text.to_owned(), "".into())).into_iter().collect();
            json!({"spec": {}, "status": {"daemonEndpoints": {"kubeletEndpoint": {"Port": 0}}, "nodeInfo": info}})
        }
        "Lease" => json!({"spec": {}}),
        "EndpointSlice" => json!({"addressType": "", "endpoints": null, "ports": null}),
        "Event" if kind.is_new_event() => json!({
            "deprecatedFirstTimestamp": null, "deprecatedLastTimestamp": null, "deprecatedSource": {}, "eventTime": null,
            "regarding": {},
        }),
        "Event" => json!({
            "eventTime": null, "firstTimestamp": null, "involvedObject": {}, "lastTimestamp": null, "reportingComponent": "",
            "reportingInstance": "", "source": {},
        }),
        "CustomResourceDefinition" => json!({
            "spec": {"group": "", "names": {"kind": "", "plural": ""}, "scope": "", "versions": null},
            "status": {"acceptedNames": {"kind": "", "plural": ""}, "conditions": null, "storedVersions": null},
        }),
        _ => Value::Object(Map::new()),
    }
}
