//! What a server makes of what is written while it reads it, before anybody else sees it: defaults, and fields that Go's types always
//! show. From `pkg/apis/*/v1/{defaults,conversion}.go` and the types' JSON tags.

use k8s_openapi::ByteString;
use serde_json::{Map, Value, json};

use super::event;
use super::kinds::Kind;
use super::managed::shape::Form;
use super::metadata::{remove, text};
use super::pod;
use super::service;

/// An object that was just read.
pub(super) fn complete(kind: &Kind, object: &mut Value) {
    if kind.custom {
        return;
    }
    // A definition's schemas say something by an empty map.
    if !kind.is("CustomResourceDefinition") {
        without_empty_maps(kind.shapes().form(), object);
    }
    without_zeros(kind, object);
    show(kind, object);
    match kind.kind.as_str() {
        "Service" => service::defaulted(object),
        "Namespace" => {
            // KEP-2161. One whose name is yet to be made up gets it when it has one.
            let name = object["metadata"]["name"].clone();
            if name.is_string() {
                object["metadata"]["labels"]["kubernetes.io/metadata.name"] = name;
            }
            let phase = &mut object["status"]["phase"];
            if phase.is_null() {
                *phase = "Active".into();
            }
        }
        "Node" => {
            let spec = &mut object["spec"];
            // Who knows of one network only means the first of them.
            if let (true, Some(first)) = (spec["podCIDRs"].is_null(), spec["podCIDR"].as_str()) {
                spec["podCIDRs"] = json!([first]);
            }
            for field in ["podCIDR", "podCIDRs"] {
                if spec[field].is_null() {
                    remove(spec, field);
                }
            }
            let status = &mut object["status"];
            if status["allocatable"].is_null() && status["capacity"].is_object() {
                status["allocatable"] = status["capacity"].clone();
            }
            if status["allocatable"].is_null() {
                remove(status, "allocatable");
            }
            if status["capacity"].is_null() {
                remove(status, "capacity");
            }
        }
        "Pod" => pod::defaults(object),
        "Secret" => secret(object),
        "EndpointSlice" => {
            for port in object["ports"].as_array_mut().into_iter().flatten() {
                default(port, "name", "");
                default(port, "protocol", "TCP");
            }
        }
        "CustomResourceDefinition" => {
            let spec = &mut object["spec"];
            let kind = text(&spec["names"]["kind"]);
            default(&mut spec["names"], "singular", &kind.to_lowercase());
            if !kind.is_empty() {
                default(&mut spec["names"], "listKind", &format!("{kind}List"));
            }
            if spec["conversion"].is_null() {
                spec["conversion"] = json!({"strategy": "None"});
            }
        }
        _ => {}
    }
}

/// An object of a kind that says nothing: what a new object is compared with.
pub(super) fn empty(kind: &Kind) -> Value {
    let mut object = json!({"apiVersion": kind.api_version(), "kind": kind.kind});
    if !kind.custom {
        object["metadata"] = json!({});
        show(kind, &mut object);
        if kind.is_new_event() {
            event::shown(&mut object);
        }
    }
    object
}

/// Fields that Go's type writes, whatever they hold. What is custom has no such type.
pub(super) fn shown_though_empty(kind: &Kind) -> Value {
    match kind.kind.as_str() {
        _ if kind.custom => json!({}),
        "Service" => json!({"spec": {}, "status": {"loadBalancer": {}}}),
        "Namespace" | "Pod" => json!({"spec": {}, "status": {}}),
        "Lease" => json!({"spec": {}}),
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
            json!({"spec": {}, "status": {"nodeInfo": info, "daemonEndpoints": {"kubeletEndpoint": {"Port": 0}}}})
        }
        "EndpointSlice" => json!({"addressType": "", "endpoints": null, "ports": null}),
        "Event" => json!({
            "involvedObject": {}, "source": {}, "firstTimestamp": null, "lastTimestamp": null, "eventTime": null,
            "reportingComponent": "", "reportingInstance": "",
        }),
        "CustomResourceDefinition" => json!({
            "spec": {"group": "", "names": {"plural": "", "kind": ""}, "scope": "", "versions": null},
            "status": {"conditions": null, "acceptedNames": {"plural": "", "kind": ""}, "storedVersions": null},
        }),
        _ => json!({}),
    }
}

/// Puts them in where they are missing, also the times of conditions.
fn show(kind: &Kind, object: &mut Value) {
    fill(object, shown_though_empty(kind));
    if matches!(kind.kind.as_str(), "Node" | "Pod") {
        let times: &[&str] = if kind.is("Node") {
            &["lastHeartbeatTime", "lastTransitionTime"]
        } else {
            &["lastProbeTime", "lastTransitionTime"]
        };
        for condition in object["status"]["conditions"].as_array_mut().into_iter().flatten() {
            for time in times {
                if condition.get(*time).is_none() && condition.is_object() {
                    condition[*time] = Value::Null;
                }
            }
        }
        if object["status"]["conditions"].is_null() {
            remove(&mut object["status"], "conditions");
        }
    }
}

/// Go's `omitempty` of what is no pointer: nothing said is the same as nothing. Of Pods, which have hundreds of such fields, nobody of ours
/// asks for the difference.
fn without_zeros(kind: &Kind, object: &mut Value) {
    let paths: &[&[&str]] = match kind.kind.as_str() {
        "Service" => &[
            &["spec", "clusterIP"],
            &["spec", "externalName"],
            &["spec", "externalTrafficPolicy"],
            &["spec", "healthCheckNodePort"],
            &["spec", "loadBalancerIP"],
            &["spec", "publishNotReadyAddresses"],
            &["spec", "sessionAffinity"],
            &["spec", "type"],
            &["spec", "ports", "name"],
            &["spec", "ports", "nodePort"],
            &["spec", "ports", "protocol"],
            &["status", "loadBalancer", "ingress", "hostname"],
            &["status", "loadBalancer", "ingress", "ip"],
            &["status", "conditions", "observedGeneration"],
        ],
        "Node" => &[
            &["spec", "externalID"],
            &["spec", "podCIDR"],
            &["spec", "providerID"],
            &["spec", "unschedulable"],
            &["spec", "taints", "value"],
            &["status", "phase"],
            &["status", "conditions", "message"],
            &["status", "conditions", "reason"],
        ],
        "Event" => &[&["action"], &["count"], &["message"], &["reason"], &["type"]],
        _ => &[],
    };
    let always: [&[&str]; 2] = [&["metadata", "generateName"], &["metadata", "namespace"]];
    paths.iter().chain(&always).for_each(|path| without_zero(object, path));
}

fn without_zero(value: &mut Value, path: &[&str]) {
    match (value, path) {
        (Value::Array(items), path) => items.iter_mut().for_each(|item| without_zero(item, path)),
        (Value::Object(fields), [field]) => {
            let is_zero = |value: &Value| *value == "" || *value == 0 || *value == false;
            fields.retain(|name, value| !(name == field && is_zero(value)));
        }
        (Value::Object(fields), [field, rest @ ..]) => {
            if let Some(value) = fields.get_mut(*field) {
                without_zero(value, rest);
            }
        }
        _ => {}
    }
}

/// Go's `omitempty`: of a map (which is no struct: nothing is declared in it) the empty one is none.
fn without_empty_maps(form: Form<'_>, value: &mut Value) {
    match (form.map(), form.list(), value) {
        (Some(map), _, Value::Object(fields)) if !map.is_deduced() => {
            for (name, value) in fields.iter_mut() {
                if let Some(form) = form.field(map, name) {
                    without_empty_maps(form, value);
                }
            }
            let is_map = |name: &str| {
                let field = form.field(map, name).and_then(Form::map);
                field.is_some_and(|field| !field.has_fields() && !field.is_deduced())
            };
            fields.retain(|name, value| !(value.as_object().is_some_and(Map::is_empty) && is_map(name)));
        }
        (_, Some(list), Value::Array(items)) => {
            items.iter_mut().for_each(|item| without_empty_maps(form.item(list), item));
        }
        _ => {}
    }
}

fn fill(object: &mut Value, shown: Value) {
    match (object, shown) {
        (Value::Object(fields), Value::Object(shown)) => {
            for (name, shown) in shown {
                match fields.get_mut(&name) {
                    None => drop(fields.insert(name, shown)),
                    Some(field) => fill(field, shown),
                }
            }
        }
        (object, shown) if object.is_null() => *object = shown,
        _ => {}
    }
}

fn default(object: &mut Value, field: &str, value: &str) {
    if object[field].is_null() {
        object[field] = value.into();
    }
}

/// What is written as text is stored as bytes.
fn secret(object: &mut Value) {
    default(object, "type", "Opaque");
    if let Value::Object(texts) = object["stringData"].take() {
        for (key, value) in texts {
            object["data"][key] = json!(ByteString(text(&value).into_bytes()));
        }
    }
    remove(object, "stringData");
}
