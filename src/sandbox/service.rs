//! What the API server makes of a Service that somebody writes: defaults, allocations, the wipe on leaving type LoadBalancer. From
//! Kubernetes' `pkg/registry/core/service/{strategy,storage/alloc}.go` and `pkg/apis/core/v1/defaults.go`. Also the admission of the
//! golden cases' stand-in, whose Services may hold what an older server once let through: `validate` is apart.

mod addresses;
mod cluster_ips;
mod numbers;
mod status;
mod validate;
mod warn;

use serde_json::{Map, Value, json};

use super::refused::FieldError;
pub(super) use addresses::special;
pub(super) use numbers::Numbers;
pub(crate) use numbers::Ranges;
pub(crate) use status::{admit_status, has_modes};
pub(super) use validate::validate;
pub(super) use warn::warnings;

/// Whoever gives numbers and addresses away; or says that all are taken.
pub(crate) trait Allocator {
    /// An address of this family, `IPv4` or `IPv6`.
    fn cluster_ip(&mut self, family: &str) -> Result<String, Exhausted>;
    fn node_port(&mut self) -> Result<u16, Exhausted>;
    fn health_check_node_port(&mut self) -> Result<u16, Exhausted>;
}

/// The message of the server that has nothing left to give.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Exhausted(pub(crate) String);

/// Why a Service is not stored.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Unfit {
    Fields(Vec<FieldError>),
    Exhausted(Exhausted),
}

const RANGES_ANNOTATION: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";

/// A Service that is created (`old` is none) or edited, as it is stored; or why it is refused. How its cluster IPs and
/// families go together is judged only if `strict`.
pub(crate) fn admit(
    service: &mut Value,
    old: Option<&Value>,
    allocator: &mut impl Allocator,
    strict: bool,
) -> Result<(), Unfit> {
    let old = old.map(|old| &old["spec"]);
    let annotated = service.pointer("/metadata/annotations").and_then(|all| all.get(RANGES_ANNOTATION)).is_some();
    let left = old.is_some_and(is_load_balancer);
    let Some(spec) = service["spec"].as_object_mut() else {
        return Err(FieldError::required("spec.ports", "").into());
    };
    defaults(spec);
    if let Some(old) = old {
        keep_allocated(spec, old);
        drop_what_depends_on_the_type(spec, old);
    } else if items(spec.get("clusterIPs").unwrap_or(&Value::Null)).is_empty() && !text(spec, "clusterIP").is_empty() {
        spec.insert("clusterIPs".to_owned(), json!([text(spec, "clusterIP")])); // `normalizeClusterIPs`
    }
    let unrelated = if strict { cluster_ips::related(spec, old) } else { Vec::new() };
    if !unrelated.is_empty() {
        return Err(Unfit::Fields(unrelated));
    }
    changes(spec, old, annotated)?;
    families(spec, old)?;
    allocate(spec, allocator)?;
    if left && !is_load_balancer(&service["spec"]) {
        service["status"]["loadBalancer"] = json!({});
    }
    Ok(())
}

impl From<FieldError> for Unfit {
    fn from(error: FieldError) -> Self {
        Self::Fields(vec![error])
    }
}

impl From<Exhausted> for Unfit {
    fn from(exhausted: Exhausted) -> Self {
        Self::Exhausted(exhausted)
    }
}

impl std::fmt::Display for Unfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Fields(errors) => {
                for (index, error) in errors.iter().enumerate() {
                    write!(f, "{}{error}", if index == 0 { "" } else { ", " })?;
                }
                Ok(())
            }
            Self::Exhausted(Exhausted(message)) => f.write_str(message),
        }
    }
}

/// A Service as every decoder hands it on.
pub(super) fn defaulted(service: &mut Value) {
    if let Some(spec) = service["spec"].as_object_mut() {
        defaults(spec);
    }
    if !is_load_balancer(&service["spec"]) {
        return;
    }
    for entry in service.pointer_mut("/status/loadBalancer/ingress").and_then(Value::as_array_mut).into_iter().flatten()
    {
        if entry["ip"].is_string() && entry.get("ipMode").is_none_or(Value::is_null) {
            entry["ipMode"] = json!("VIP");
        }
    }
}

fn defaults(spec: &mut Map<String, Value>) {
    let mut default = |field: &str, value: Value| {
        if spec.get(field).is_none_or(Value::is_null) {
            spec.insert(field.to_owned(), value);
        }
    };
    default("type", json!("ClusterIP"));
    default("sessionAffinity", json!("None"));
    let kind = text(spec, "type");
    if kind != "ExternalName" {
        spec.entry("internalTrafficPolicy").or_insert(json!("Cluster"));
    }
    if is_externally_accessible(spec) {
        spec.entry("externalTrafficPolicy").or_insert(json!("Cluster"));
    }
    if kind == "LoadBalancer" {
        spec.entry("allocateLoadBalancerNodePorts").or_insert(json!(true));
    }
    // `ExternalName` has no use for them, and keeps what it is given.
    if spec.get("sessionAffinity") == Some(&json!("ClientIP")) {
        let config = spec.entry("sessionAffinityConfig").or_insert(json!({}));
        let timeout = &mut config["clientIP"]["timeoutSeconds"];
        if timeout.is_null() {
            *timeout = json!(10_800);
        }
    } else {
        spec.remove("sessionAffinityConfig");
    }
    for port in ports(spec) {
        let number = port["port"].clone();
        let Some(fields) = port.as_object_mut() else { continue };
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
    // `normalizeClusterIPs`: who writes one address means the list of them, if that is still the old one.
    let (before, now) = (old["clusterIP"].as_str().unwrap_or_default(), text(spec, "clusterIP"));
    let same = spec.get("clusterIPs").is_some_and(|all| *all == old["clusterIPs"]);
    if !now.is_empty() && !before.is_empty() && now != before && same {
        spec.insert("clusterIPs".to_owned(), json!([now]));
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
        let before: Vec<&Value> = items(&old["ports"]).iter().map(|port| &port["nodePort"]).collect();
        let asks_for =
            |port: &Value| port["nodePort"].as_u64().unwrap_or(0) != 0 && !before.contains(&&port["nodePort"]);
        if !ports(spec).iter().any(asks_for) {
            ports(spec).iter_mut().for_each(|port| drop(port.as_object_mut().map(|port| port.remove("nodePort"))));
        }
    }
    let accessible = is_externally_accessible(spec);
    if old.as_object().is_some_and(is_externally_accessible)
        && !accessible
        && spec.get("externalTrafficPolicy") == Some(&old["externalTrafficPolicy"])
    {
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
    if kind == "ExternalName" {
        forget("internalTrafficPolicy");
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

/// What cannot be, whatever the values.
fn changes(spec: &Map<String, Value>, old: Option<&Value>, annotated: bool) -> Result<(), FieldError> {
    const ONLY_LOAD_BALANCERS: &str = "may only be used when `type` is 'LoadBalancer'";
    let load_balancer = text(spec, "type") == "LoadBalancer";
    let class = spec.get("loadBalancerClass").unwrap_or(&Value::Null);
    if !load_balancer && !class.is_null() {
        return Err(FieldError::forbidden("spec.loadBalancerClass", ONLY_LOAD_BALANCERS));
    }
    if load_balancer && old.is_some_and(|old| is_load_balancer(old) && &old["loadBalancerClass"] != class) {
        return Err(FieldError::invalid("spec.loadBalancerClass", class, "may not change once set"));
    }
    let ranges = spec.get("loadBalancerSourceRanges").is_some_and(|ranges| !items(ranges).is_empty());
    if !load_balancer && ranges {
        return Err(FieldError::forbidden("spec.LoadBalancerSourceRanges", ONLY_LOAD_BALANCERS));
    }
    if !load_balancer && annotated {
        let field = format!("metadata.annotations[{RANGES_ANNOTATION}]");
        return Err(FieldError::forbidden(field, ONLY_LOAD_BALANCERS));
    }
    let addresses = spec.get("clusterIPs").unwrap_or(&Value::Null);
    if let (Some(old), Some(now)) = (old, addresses.get(0))
        && text(spec, "type") != "ExternalName"
        && old["clusterIPs"].get(0).is_some_and(|before| before != now)
    {
        return Err(FieldError::invalid("spec.clusterIPs[0]", addresses, "may not change once set"));
    }
    let spec = Value::Object(spec.clone());
    let health_port = &spec["healthCheckNodePort"];
    if health_port.as_i64().is_some_and(|port| port != 0) && !has_health_port(&spec) {
        let why = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
        return Err(FieldError::invalid("spec.healthCheckNodePort", health_port, why));
    }
    match old {
        Some(old) if has_health_port(old) && has_health_port(&spec) && &old["healthCheckNodePort"] != health_port => {
            Err(FieldError::forbidden("spec.healthCheckNodePort", "field is immutable"))
        }
        Some(_) | None => Ok(()),
    }
}

/// KEP-563 on a dual-stack cluster whose first family is IPv4.
fn families(spec: &mut Map<String, Value>, old: Option<&Value>) -> Result<(), FieldError> {
    if text(spec, "type") == "ExternalName" {
        return Ok(());
    }
    let headless_without_selector = text(spec, "clusterIP") == "None"
        && spec.get("selector").and_then(Value::as_object).is_none_or(Map::is_empty)
        && spec.get("ipFamilies").is_none_or(|all| items(all).is_empty());
    let unset = if old.is_none() && headless_without_selector { "RequireDualStack" } else { "SingleStack" };
    let policy = spec.entry("ipFamilyPolicy").or_insert(json!(unset)).clone();
    let first = if text(spec, "clusterIP").contains(':') { "IPv6" } else { "IPv4" };
    let families = spec.entry("ipFamilies").or_insert(json!([first]));
    if items(families).is_empty() {
        *families = json!([first]);
    }
    let Some(families) = families.as_array_mut() else { return Ok(()) };
    let before = old.map(|old| &old["ipFamilies"]).filter(|before| before.is_array());
    if policy == "SingleStack" {
        if families.len() == 2 && before.is_none_or(|before| items(before) != families) {
            let why = "must be 'RequireDualStack' or 'PreferDualStack' when multiple IP families are specified";
            return Err(FieldError::invalid("spec.ipFamilyPolicy", &policy, why));
        }
        families.truncate(1);
    } else if let [one] = families.as_slice() {
        let other = if one == "IPv4" { json!("IPv6") } else { json!("IPv4") };
        families.push(other);
    }
    match (before.and_then(|before| before.get(0)), families.first()) {
        (Some(before), Some(first)) if before != first => {
            Err(FieldError::invalid("spec.ipFamilies[0]", first, "may not change once set"))
        }
        _ => Ok(()),
    }
}

fn allocate(spec: &mut Map<String, Value>, allocator: &mut impl Allocator) -> Result<(), Exhausted> {
    let kind = text(spec, "type");
    if kind == "ExternalName" {
        return Ok(());
    }
    cluster_ips(spec, allocator)?;
    let flag = spec.get("allocateLoadBalancerNodePorts") == Some(&json!(true));
    if kind == "NodePort" || kind == "LoadBalancer" && flag {
        node_ports(ports(spec), allocator)?;
    }
    let current = Value::Object(spec.clone());
    if has_health_port(&current) && current["healthCheckNodePort"].as_u64().unwrap_or_default() == 0 {
        spec.insert("healthCheckNodePort".to_owned(), json!(allocator.health_check_node_port()?));
    }
    Ok(())
}

fn cluster_ips(spec: &mut Map<String, Value>, allocator: &mut impl Allocator) -> Result<(), Exhausted> {
    if text(spec, "clusterIP") == "None" {
        spec.insert("clusterIPs".to_owned(), json!(["None"]));
        return Ok(());
    }
    let families = spec.get("ipFamilies").map(items).cloned().unwrap_or_default();
    let mut addresses = spec.get("clusterIPs").map(items).cloned().unwrap_or_default();
    if addresses.is_empty() && !text(spec, "clusterIP").is_empty() {
        addresses.push(text(spec, "clusterIP").into());
    }
    addresses.truncate(families.len());
    for family in families.iter().skip(addresses.len()) {
        addresses.push(allocator.cluster_ip(family.as_str().unwrap_or_default())?.into());
    }
    spec.insert("clusterIP".to_owned(), addresses.first().cloned().unwrap_or_default());
    spec.insert("clusterIPs".to_owned(), addresses.into());
    Ok(())
}

/// TCP and UDP on one number get the same node port.
fn node_ports(ports: &mut [Value], allocator: &mut impl Allocator) -> Result<(), Exhausted> {
    let has_none = |port: &Value| port["nodePort"].as_u64().unwrap_or_default() == 0;
    let mut given: Vec<(Value, Value)> = ports
        .iter()
        .filter(|port| !has_none(port))
        .map(|port| (port["port"].clone(), port["nodePort"].clone()))
        .collect();
    for port in ports.iter_mut().filter(|port| has_none(port)) {
        let twin = given.iter().find(|(number, _)| *number == port["port"]).map(|(_, node_port)| node_port.clone());
        let node_port = match twin {
            Some(twin) => twin,
            None => json!(allocator.node_port()?),
        };
        given.push((port["port"].clone(), node_port.clone()));
        port["nodePort"] = node_port;
    }
    Ok(())
}

/// `ExternallyAccessible` of `pkg/api/service/util.go`.
fn is_externally_accessible(spec: &Map<String, Value>) -> bool {
    let has_external_ips = spec.get("externalIPs").is_some_and(|all| !items(all).is_empty());
    match text(spec, "type").as_str() {
        "LoadBalancer" | "NodePort" => true,
        "ClusterIP" => has_external_ips,
        _ => false,
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

fn ports(spec: &mut Map<String, Value>) -> &mut [Value] {
    spec.get_mut("ports").and_then(Value::as_array_mut).map_or(&mut [], Vec::as_mut_slice)
}

fn items(value: &Value) -> &Vec<Value> {
    static NONE: Vec<Value> = Vec::new();
    value.as_array().unwrap_or(&NONE)
}
