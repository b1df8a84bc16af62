//! The cells of the kinds that every server has, Pods apart.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::text::{first_three, items, labels, or, since, text};

pub(super) fn config_map(map: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(map), json!(size(&map["data"]) + size(&map["binaryData"])), age(map, now)]
}

pub(super) fn definition(definition: &Value, _: Timestamp) -> Vec<Value> {
    vec![name(definition), definition["metadata"]["creationTimestamp"].clone()]
}

pub(super) fn endpoint_slice(slice: &Value, now: Timestamp) -> Vec<Value> {
    let port =
        |port: &Value| port["port"].as_u64().map_or_else(|| or(text(&port["name"]), "*"), |port| port.to_string());
    let ports: Vec<String> = items(&slice["ports"]).iter().map(port).collect();
    let addresses = items(&slice["endpoints"]).iter().flat_map(|endpoint| items(&endpoint["addresses"]));
    let addresses: Vec<String> = addresses.map(|address| text(address).to_owned()).collect();
    vec![
        name(slice),
        text(&slice["addressType"]).into(),
        first_three(&ports).into(),
        first_three(&addresses).into(),
        age(slice, now),
    ]
}

pub(super) fn event(event: &Value, now: Timestamp) -> Vec<Value> {
    let at = |field: &str| event.get(field).filter(|time| !time.is_null()).map(|time| since(time, now));
    let first = at("firstTimestamp").unwrap_or_else(|| since(&event["eventTime"], now));
    let series = &event["series"];
    let last = if series.is_object() {
        since(&series["lastObservedTime"], now)
    } else {
        at("lastTimestamp").unwrap_or_else(|| first.clone())
    };
    let counted = if series.is_object() { &series["count"] } else { &event["count"] };
    // An Event of the new API that happened once has no count.
    let count = counted.as_u64().filter(|count| *count > 0 || series.is_object()).unwrap_or(1);
    let object = &event["involvedObject"];
    let kind = text(&object["kind"]).to_lowercase();
    let target = match text(&object["name"]) {
        "" => kind,
        name => format!("{kind}/{name}"),
    };
    let (source, instance) = (&event["source"], &event["reportingInstance"]);
    let component = or(text(&source["component"]), text(&event["reportingComponent"]));
    let source = match or(text(&source["host"]), text(instance)).as_str() {
        "" => component,
        host => format!("{component}, {host}"),
    };
    vec![
        last.into(),
        text(&event["type"]).into(),
        text(&event["reason"]).into(),
        target.into(),
        text(&object["fieldPath"]).into(),
        source.into(),
        text(&event["message"]).trim().into(),
        first.into(),
        count.into(),
        name(event),
    ]
}

pub(super) fn lease(lease: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(lease), text(&lease["spec"]["holderIdentity"]).into(), age(lease, now)]
}

pub(super) fn namespace(namespace: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(namespace), text(&namespace["status"]["phase"]).into(), age(namespace, now)]
}

pub(super) fn node(node: &Value, now: Timestamp) -> Vec<Value> {
    let (status, info) = (&node["status"], &node["status"]["nodeInfo"]);
    let ready = items(&status["conditions"]).iter().rfind(|condition| condition["type"] == "Ready");
    let mut state = match ready.map(|ready| ready["status"] == "True") {
        Some(true) => "Ready".to_owned(),
        Some(false) => "NotReady".to_owned(),
        None => "Unknown".to_owned(),
    };
    if node["spec"]["unschedulable"] == true {
        state.push_str(",SchedulingDisabled");
    }
    let address = |kind: &str| {
        let found = items(&status["addresses"]).iter().find(|address| address["type"] == kind);
        found.map_or("<none>", |found| text(&found["address"]))
    };
    let mut kernel = or(text(&info["kernelVersion"]), "<unknown>");
    let architecture = text(&info["architecture"]);
    if !architecture.is_empty() {
        kernel = format!("{kernel} ({architecture})");
    }
    vec![
        name(node),
        state.into(),
        roles(node).into(),
        age(node, now),
        text(&info["kubeletVersion"]).into(),
        address("InternalIP").into(),
        address("ExternalIP").into(),
        or(text(&info["osImage"]), "<unknown>").into(),
        kernel.into(),
        or(text(&info["containerRuntimeVersion"]), "<unknown>").into(),
    ]
}

pub(super) fn secret(secret: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(secret), text(&secret["type"]).into(), size(&secret["data"]).into(), age(secret, now)]
}

pub(super) fn service(service: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &service["spec"];
    let address = items(&spec["clusterIPs"]).first().map_or("<none>", text);
    let port = |port: &Value| {
        let (number, protocol) = (&port["port"], text(&port["protocol"]));
        match port["nodePort"].as_u64() {
            None | Some(0) => format!("{number}/{protocol}"),
            Some(node) => format!("{number}:{node}/{protocol}"),
        }
    };
    let ports: Vec<String> = items(&spec["ports"]).iter().map(port).collect();
    vec![
        name(service),
        text(&spec["type"]).into(),
        address.into(),
        from_outside(service).into(),
        or(&ports.join(","), "<none>").into(),
        age(service, now),
        labels(&spec["selector"]).into(),
    ]
}

/// Under which addresses a Service is reached from outside.
fn from_outside(service: &Value) -> String {
    let spec = &service["spec"];
    let external: Vec<&str> = items(&spec["externalIPs"]).iter().map(text).collect();
    match text(&spec["type"]) {
        "ClusterIP" | "NodePort" => or(&external.join(","), "<none>"),
        "LoadBalancer" => {
            let ingress = items(&service["status"]["loadBalancer"]["ingress"]).iter();
            let reached = ingress.map(|one| or(text(&one["ip"]), text(&one["hostname"]))).filter(|one| !one.is_empty());
            let mut reached: Vec<String> = reached.collect();
            reached.sort();
            reached.dedup();
            reached.extend(external.into_iter().map(str::to_owned));
            or(&reached.join(","), "<pending>")
        }
        "ExternalName" => text(&spec["externalName"]).to_owned(),
        _ => "<unknown>".to_owned(),
    }
}

fn roles(node: &Value) -> String {
    let labels = node["metadata"]["labels"].as_object().into_iter().flatten();
    let role = |(label, value): (&String, &Value)| match label.strip_prefix("node-role.kubernetes.io/") {
        Some(role) => role.to_owned(),
        None if label == "kubernetes.io/role" => text(value).to_owned(),
        None => String::new(),
    };
    let mut roles: Vec<String> = labels.map(role).filter(|role| !role.is_empty()).collect();
    roles.sort();
    roles.dedup();
    or(&roles.join(","), "<none>")
}

fn name(object: &Value) -> Value {
    text(&object["metadata"]["name"]).into()
}

fn age(object: &Value, now: Timestamp) -> Value {
    since(&object["metadata"]["creationTimestamp"], now).into()
}

fn size(map: &Value) -> usize {
    map.as_object().map_or(0, serde_json::Map::len)
}
