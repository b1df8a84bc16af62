//! What the API server makes of a Pod that somebody writes: defaults (`pkg/apis/core/v1/defaults.go`), and what the admission plugins
//! that every server has add when it is created. Nothing runs it: it stays Pending until somebody writes its status.

use serde_json::{Map, Value, json};

use super::metadata::text;
use super::store::{Key, State};

/// Mode of the files in a volume: 0644.
const MODE: u64 = 420;

/// A Pod as every reader of it completes it.
pub(super) fn defaults(pod: &mut Value) {
    let spec = &mut pod["spec"];
    if !spec.is_object() {
        return;
    }
    for (field, value) in [
        ("dnsPolicy", json!("ClusterFirst")),
        ("enableServiceLinks", json!(true)),
        ("restartPolicy", json!("Always")),
        ("schedulerName", json!("default-scheduler")),
        ("securityContext", json!({})),
        ("terminationGracePeriodSeconds", json!(30)),
    ] {
        default(spec, field, value);
    }
    let host = spec["hostNetwork"] == true;
    for list in ["containers", "initContainers", "ephemeralContainers"] {
        each(spec, list, |one| container(one, host));
    }
    each(spec, "volumes", volume);
}

/// A Pod that is created.
pub(super) fn admit(pod: &mut Value, state: &State) {
    let spec = &mut pod["spec"];
    default(spec, "priority", json!(0));
    default(spec, "preemptionPolicy", json!("PreemptLowerPriority"));
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        tolerate(spec, key);
    }
    let node = text(&spec["nodeName"]);
    let place = Key { place: "nodes".to_owned(), namespace: String::new(), name: node };
    for label in ["topology.kubernetes.io/region", "topology.kubernetes.io/zone"] {
        let found = state.get(&place).and_then(|node| node["metadata"]["labels"].get(label)).cloned();
        if let Some(value) = found {
            pod["metadata"]["labels"][label] = value;
        }
    }
    pod["status"] = json!({"phase": "Pending", "qosClass": quality(&pod["spec"])});
}

fn container(container: &mut Value, on_host: bool) {
    let image = text(&container["image"]);
    let name = image.rsplit('/').next().unwrap_or_default();
    let latest = name.ends_with(":latest") || !name.contains([':', '@']);
    default(container, "imagePullPolicy", if latest { "Always" } else { "IfNotPresent" }.into());
    default(container, "resources", json!({}));
    default(container, "terminationMessagePath", "/dev/termination-log".into());
    default(container, "terminationMessagePolicy", "File".into());
    each(container, "ports", |port| {
        default(port, "protocol", "TCP".into());
        if on_host {
            let number = port["containerPort"].clone();
            default(port, "hostPort", number);
        }
    });
    each(container, "env", |variable| {
        if variable["valueFrom"]["fieldRef"].is_object() {
            default(&mut variable["valueFrom"]["fieldRef"], "apiVersion", "v1".into());
        }
    });
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let Some(probe) = container.get_mut(probe).filter(|probe| probe.is_object()) else { continue };
        for (field, value) in
            [("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)]
        {
            default(probe, field, value.into());
        }
        if probe["httpGet"].is_object() {
            default(&mut probe["httpGet"], "path", "/".into());
            default(&mut probe["httpGet"], "scheme", "HTTP".into());
        }
    }
    // Who says how much it may take at most, asks for as much.
    if let Some(limits) = container["resources"]["limits"].as_object().cloned() {
        for (resource, limit) in limits {
            default(&mut container["resources"]["requests"], &resource, limit);
        }
    }
}

fn volume(volume: &mut Value) {
    let sources = volume.as_object().map_or(0, Map::len);
    if sources <= 1 {
        volume["emptyDir"] = json!({});
    }
    for source in ["configMap", "secret", "projected", "downwardAPI"] {
        if volume[source].is_object() {
            default(&mut volume[source], "defaultMode", MODE.into());
        }
    }
    if volume["hostPath"].is_object() {
        default(&mut volume["hostPath"], "type", "".into());
    }
    if let Some(fields) = volume.as_object_mut() {
        fields.retain(|_, field| !field.is_null());
    }
}

/// `DefaultTolerationSeconds`: a Pod stays five minutes on a node that has gone.
fn tolerate(spec: &mut Value, key: &str) {
    let tolerates = |toleration: &Value| {
        let (of, effect) = (text(&toleration["key"]), text(&toleration["effect"]));
        (of.is_empty() || of == key) && matches!(effect.as_str(), "" | "NoExecute")
    };
    if spec["tolerations"].as_array().into_iter().flatten().any(tolerates) {
        return;
    }
    let toleration = json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300});
    match spec["tolerations"].as_array_mut() {
        Some(tolerations) => tolerations.push(toleration),
        None => spec["tolerations"] = json!([toleration]),
    }
}

/// How sure a Pod may be of its resources (`GetPodQOS`).
fn quality(spec: &Value) -> &'static str {
    let lists = ["initContainers", "containers"];
    let containers: Vec<&Value> = lists.iter().flat_map(|list| spec[*list].as_array().into_iter().flatten()).collect();
    let of =
        |one: &Value, side: &str, resource: &str| one["resources"][side].get(resource).cloned().unwrap_or_default();
    let counted = ["cpu", "memory"];
    let asks = |one: &&&Value| {
        counted
            .iter()
            .any(|resource| !of(one, "requests", resource).is_null() || !of(one, "limits", resource).is_null())
    };
    let exact = |one: &&Value| {
        counted.iter().all(|resource| {
            let limit = of(one, "limits", resource);
            !limit.is_null() && limit == of(one, "requests", resource)
        })
    };
    if !containers.iter().any(|one| asks(&one)) {
        "BestEffort"
    } else if containers.iter().all(exact) {
        "Guaranteed"
    } else {
        "Burstable"
    }
}

fn default(object: &mut Value, field: &str, value: Value) {
    if object[field].is_null() {
        object[field] = value;
    }
}

fn each(object: &mut Value, list: &str, complete: impl FnMut(&mut Value)) {
    object.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten().for_each(complete);
}
