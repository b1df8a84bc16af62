//! What the API server makes of a Service that somebody writes: defaults, allocations, the wipe on leaving type LoadBalancer, and the
//! refusals that a case may run into. From Kubernetes' `pkg/registry/core/service` and `pkg/apis/core/validation`; the fields that no
//! decision of ours reads are left out.

use serde_json::{Map, Value, json};

/// Numbers and addresses given away so far. They are never given twice, so that a case shows which were allocated anew.
#[derive(Default)]
pub(super) struct Allocated {
    node_ports: u64,
    health_ports: u64,
    cluster_ips: u64,
}

const RANGES_ANNOTATION: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";

/// A Service that is created (`old` is none) or edited, as it is stored; or why it is refused.
pub(super) fn admit(service: &mut Value, old: Option<&Value>, allocated: &mut Allocated) -> Result<(), String> {
    let old = old.map(|old| &old["spec"]);
    let annotated = service.pointer("/metadata/annotations").and_then(|all| all.get(RANGES_ANNOTATION)).is_some();
    let left = old.is_some_and(is_load_balancer);
    let spec = service["spec"].as_object_mut().ok_or("spec is missing")?;
    defaults(spec);
    if let Some(old) = old {
        keep_allocated(spec, old);
        drop_what_depends_on_the_type(spec, old);
    }
    validate(spec, old, annotated)?;
    families(spec, old)?;
    allocate(spec, allocated);
    if left && !is_load_balancer(&service["spec"]) {
        service["status"]["loadBalancer"] = json!({});
    }
    Ok(())
}

/// A status that is about to be stored.
pub(super) fn admit_status(service: &mut Value, old: &Value) -> Result<(), String> {
    let added = |finalizer: &Value| !items(&old["metadata"]["finalizers"]).contains(finalizer);
    if !old["metadata"]["deletionTimestamp"].is_null() && items(&service["metadata"]["finalizers"]).iter().any(added) {
        return Err("metadata.finalizers: no new finalizers can be added if the object is being deleted".into());
    }
    let load_balancer = is_load_balancer(&service["spec"]);
    let Some(ingress) = service.pointer_mut("/status/loadBalancer/ingress").and_then(Value::as_array_mut) else {
        return Ok(());
    };
    if !load_balancer && !ingress.is_empty() {
        return Err("status.loadBalancer.ingress: may only be used when `spec.type` is LoadBalancer".into());
    }
    for entry in ingress {
        match (entry["ip"].is_string(), entry["ipMode"].is_string()) {
            (true, false) => entry["ipMode"] = json!("VIP"), // the default of every decode
            (false, true) => return Err("status.loadBalancer.ingress[].ipMode: may not be set without ip".into()),
            (true, true) | (false, false) => {}
        }
        if entry["ipMode"].is_null() {
            entry.as_object_mut().map(|entry| entry.remove("ipMode"));
        }
    }
    Ok(())
}

fn defaults(spec: &mut Map<String, Value>) {
    let mut default = |field: &str, value: Value| {
        if spec.get(field).is_none_or(Value::is_null) {
            spec.insert(field.to_owned(), value);
        }
    };
    default("type", json!("ClusterIP"));
    default("sessionAffinity", json!("None"));
    default("internalTrafficPolicy", json!("Cluster"));
    let kind = text(spec, "type");
    if kind == "LoadBalancer" || kind == "NodePort" {
        spec.entry("externalTrafficPolicy").or_insert(json!("Cluster"));
    }
    if kind == "LoadBalancer" {
        spec.entry("allocateLoadBalancerNodePorts").or_insert(json!(true));
    }
    for port in ports(spec) {
        let number = port["port"].clone();
        let fields = port.as_object_mut().unwrap();
        fields.entry("protocol").or_insert(json!("TCP"));
        fields.entry("targetPort").or_insert(number);
    }
}

/// `patchAllocatedValues`: an edit that leaves them out keeps them, by the name of the port.
fn keep_allocated(spec: &mut Map<String, Value>, old: &Value) {
    let allocates = |spec: &Map<String, Value>| {
        let kind = text(spec, "type");
        kind == "NodePort" || kind == "LoadBalancer" && spec.get("allocateLoadBalancerNodePorts") != Some(&json!(false))
    };
    if old.as_object().is_some_and(allocates) && allocates(spec) {
        let before = items(&old["ports"]);
        let used: Vec<Value> = ports(spec).iter().map(|port| port["nodePort"].clone()).filter(Value::is_u64).collect();
        for port in ports(spec).iter_mut().filter(|port| port["nodePort"].as_u64().unwrap_or(0) == 0) {
            let same_name = before.iter().rfind(|old| old["name"] == port["name"]);
            if let Some(node_port) = same_name.map(|old| &old["nodePort"])
                && node_port.is_u64()
                && !used.contains(node_port)
            {
                port["nodePort"] = node_port.clone();
            }
        }
    }
    if has_health_port(&Value::Object(spec.clone())) && has_health_port(old) {
        let health_port = spec.entry("healthCheckNodePort").or_insert(Value::Null);
        if health_port.is_null() {
            *health_port = old["healthCheckNodePort"].clone();
        }
    }
    for field in ["clusterIP", "clusterIPs"] {
        spec.entry(field).or_insert_with(|| old[field].clone());
    }
}

/// `dropTypeDependentFields`: what the new type cannot have goes, unless the writer asks for it.
fn drop_what_depends_on_the_type(spec: &mut Map<String, Value>, old: &Value) {
    let kind = text(spec, "type");
    let has_node_ports = |kind: &str| kind == "LoadBalancer" || kind == "NodePort";
    if has_node_ports(old["type"].as_str().unwrap_or_default()) && !has_node_ports(&kind) {
        let before: Vec<Value> = items(&old["ports"]).iter().map(|port| port["nodePort"].clone()).collect();
        let now: Vec<Value> = ports(spec).iter().map(|port| port["nodePort"].clone()).collect();
        if before == now {
            ports(spec).iter_mut().for_each(|port| drop(port.as_object_mut().unwrap().remove("nodePort")));
        }
        spec.remove("externalTrafficPolicy");
    }
    let mut forget = |field: &str| {
        if spec.get(field) == Some(&old[field]) {
            spec.remove(field);
        }
    };
    if is_load_balancer(old) && kind != "LoadBalancer" {
        forget("loadBalancerClass");
        forget("allocateLoadBalancerNodePorts");
    }
    if has_health_port(old)
        && !has_health_port(&Value::Object(spec.clone()))
        && spec.get("healthCheckNodePort") == Some(&old["healthCheckNodePort"])
    {
        spec.remove("healthCheckNodePort");
    }
    if kind == "ExternalName" {
        for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
            spec.remove(field);
        }
    }
}

fn validate(spec: &Map<String, Value>, old: Option<&Value>, annotated: bool) -> Result<(), String> {
    let load_balancer = text(spec, "type") == "LoadBalancer";
    let class = spec.get("loadBalancerClass").unwrap_or(&Value::Null);
    if !load_balancer && !class.is_null() {
        return Err("spec.loadBalancerClass: may only be used when `type` is 'LoadBalancer'".into());
    }
    if load_balancer && old.is_some_and(|old| is_load_balancer(old) && &old["loadBalancerClass"] != class) {
        return Err("spec.loadBalancerClass: may not change once set".into());
    }
    let ranges = spec.get("loadBalancerSourceRanges").is_some_and(|ranges| !items(ranges).is_empty());
    if !load_balancer && (ranges || annotated) {
        return Err("spec.loadBalancerSourceRanges: may only be used when `type` is 'LoadBalancer'".into());
    }
    let health_port = spec.get("healthCheckNodePort").is_some_and(Value::is_u64);
    let spec = Value::Object(spec.clone());
    if health_port && !has_health_port(&spec) {
        return Err("spec.healthCheckNodePort: may only be used when `type` is 'LoadBalancer' and \
                    `externalTrafficPolicy` is 'Local'"
            .into());
    }
    match old {
        Some(old)
            if has_health_port(old)
                && has_health_port(&spec)
                && old["healthCheckNodePort"] != spec["healthCheckNodePort"] =>
        {
            Err("spec.healthCheckNodePort: field is immutable".into())
        }
        Some(_) | None => Ok(()),
    }
}

/// KEP-563 on a dual-stack cluster whose first family is IPv4.
fn families(spec: &mut Map<String, Value>, old: Option<&Value>) -> Result<(), String> {
    if text(spec, "type") == "ExternalName" {
        return Ok(());
    }
    let policy = spec.entry("ipFamilyPolicy").or_insert(json!("SingleStack")).clone();
    let families = spec.entry("ipFamilies").or_insert(json!(["IPv4"])).as_array_mut().ok_or("spec.ipFamilies")?;
    if policy == "SingleStack" {
        families.truncate(1);
    } else if families.len() == 1 {
        families.push(if families[0] == "IPv4" { json!("IPv6") } else { json!("IPv4") });
    }
    let first = &families[0];
    match old.map(|old| &old["ipFamilies"][0]) {
        Some(before) if before.is_string() && before != first => {
            Err("spec.ipFamilies[0]: may not change once set".into())
        }
        Some(_) | None => Ok(()),
    }
}

fn allocate(spec: &mut Map<String, Value>, allocated: &mut Allocated) {
    let kind = text(spec, "type");
    if kind != "ExternalName" {
        let families = items(&spec["ipFamilies"]).clone();
        let mut addresses = spec.get("clusterIPs").map(items).cloned().unwrap_or_default();
        addresses.truncate(families.len());
        for family in families.iter().skip(addresses.len()) {
            allocated.cluster_ips += 1;
            let number = allocated.cluster_ips;
            addresses.push(if family == "IPv4" {
                format!("10.96.0.{number}").into()
            } else {
                format!("fd00:96::{number}").into()
            });
        }
        spec.insert("clusterIP".to_owned(), addresses[0].clone());
        spec.insert("clusterIPs".to_owned(), addresses.into());
    }
    let flag = spec.get("allocateLoadBalancerNodePorts") == Some(&json!(true));
    if kind == "NodePort" || kind == "LoadBalancer" && flag {
        let ports = ports(spec);
        for index in 0..ports.len() {
            if ports[index]["nodePort"].as_u64().unwrap_or_default() != 0 {
                continue;
            }
            // TCP and UDP on one number get the same node port.
            let twin = ports.iter().find(|other| other["port"] == ports[index]["port"] && other["nodePort"].is_u64());
            let node_port = twin.map(|twin| twin["nodePort"].clone()).unwrap_or_else(|| {
                allocated.node_ports += 1;
                json!(30_000 + allocated.node_ports)
            });
            ports[index]["nodePort"] = node_port;
        }
    }
    let current = Value::Object(spec.clone());
    if has_health_port(&current) && !current["healthCheckNodePort"].is_u64() {
        allocated.health_ports += 1;
        spec.insert("healthCheckNodePort".to_owned(), json!(32_000 + allocated.health_ports));
    }
}

fn is_load_balancer(spec: &Value) -> bool {
    spec["type"] == "LoadBalancer"
}

fn has_health_port(spec: &Value) -> bool {
    is_load_balancer(spec) && spec["externalTrafficPolicy"] == "Local"
}

fn text(spec: &Map<String, Value>, field: &str) -> String {
    spec.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn ports(spec: &mut Map<String, Value>) -> &mut Vec<Value> {
    spec.entry("ports").or_insert(json!([])).as_array_mut().unwrap()
}

fn items(value: &Value) -> &Vec<Value> {
    static NONE: Vec<Value> = Vec::new();
    value.as_array().unwrap_or(&NONE)
}
