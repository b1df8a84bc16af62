//! The values of a Service's fields: `ValidateService` of `pkg/apis/core/validation/validation.go`.

use serde_json::Value;

use super::{RANGES_ANNOTATION, addresses, is_load_balancer, items};
use crate::sandbox::metadata::labels::{check_labels, name_is};
use crate::sandbox::metadata::{LABEL_WORDS, SUBDOMAIN_WORDS, is_label, is_subdomain};
use crate::sandbox::refused::FieldError;

/// Everything that is wrong with a Service after its defaults; what stood in `old` may stay.
pub(in crate::sandbox) fn validate(service: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let spec = &service["spec"];
    let mut errors = Vec::new();
    kind(spec, &mut errors);
    ports(spec, &mut errors);
    check_labels(&spec["selector"], "spec.selector", &mut errors);
    enumerations(spec, &mut errors);
    affinity(spec, &mut errors);
    load_balancer(service, old, &mut errors);
    external_policy(spec, &mut errors);
    errors
}

fn kind(spec: &Value, errors: &mut Vec<FieldError>) {
    let headless = spec["clusterIP"] == "None";
    match spec["type"].as_str().unwrap_or_default() {
        "ExternalName" => {
            let name = spec["externalName"].as_str().unwrap_or_default();
            if name.is_empty() {
                errors.push(FieldError::required("spec.externalName", ""));
            } else if !is_subdomain(name.trim_end_matches('.')) {
                errors.push(FieldError::invalid("spec.externalName", &name.into(), SUBDOMAIN_WORDS));
            }
        }
        kind => {
            if headless && matches!(kind, "LoadBalancer" | "NodePort") {
                let why = format!("may not be set to 'None' for {kind} services");
                errors.push(FieldError::invalid("spec.clusterIPs[0]", &"None".into(), why));
            }
            if items(&spec["ports"]).is_empty() && !headless {
                errors.push(FieldError::required("spec.ports", ""));
            }
        }
    }
}

fn ports(spec: &Value, errors: &mut Vec<FieldError>) {
    let ports = items(&spec["ports"]);
    let externally = matches!(spec["type"].as_str(), Some("LoadBalancer" | "NodePort"));
    let (mut names, mut numbers, mut node_ports) = (Vec::new(), Vec::new(), Vec::new());
    for (index, port) in ports.iter().enumerate() {
        let at = |field: &str| format!("spec.ports[{index}].{field}");
        let name = port["name"].as_str().unwrap_or_default();
        if name.is_empty() && ports.len() > 1 {
            errors.push(FieldError::required(at("name"), ""));
        } else if !name.is_empty() && !is_label(name) {
            errors.push(FieldError::invalid(at("name"), &name.into(), LABEL_WORDS));
        } else if !name.is_empty() && names.contains(&name) {
            errors.push(FieldError::duplicate(at("name"), &name.into()));
        }
        names.push(name);
        if !is_port(&port["port"]) {
            errors.push(FieldError::invalid(at("port"), &port["port"], "must be between 1 and 65535, inclusive"));
        }
        if !matches!(port["protocol"].as_str(), Some("TCP" | "UDP" | "SCTP")) {
            errors.push(FieldError::not_supported(at("protocol"), &port["protocol"], &["SCTP", "TCP", "UDP"]));
        }
        match &port["targetPort"] {
            Value::String(name) => {
                let wrong = port_name_is(name).into_iter();
                errors.extend(wrong.map(|why| FieldError::invalid(at("targetPort"), &port["targetPort"], why)));
            }
            Value::Number(_) if !is_port(&port["targetPort"]) => {
                errors.push(FieldError::invalid(
                    at("targetPort"),
                    &port["targetPort"],
                    "must be between 1 and 65535, inclusive",
                ));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {}
        }
        if let Some(protocol) = port["appProtocol"].as_str() {
            let wrong = name_is(protocol).into_iter();
            errors.extend(wrong.map(|why| FieldError::invalid(at("appProtocol"), &port["appProtocol"], why)));
        }
        let number = (&port["protocol"], &port["port"]);
        if numbers.contains(&number) {
            // Go's own form of the two that make a port one, and nothing else.
            let shown = format!(
                "{{\"Name\":\"\",\"Protocol\":{},\"AppProtocol\":null,\"Port\":{},\"TargetPort\":0,\"NodePort\":0}}",
                number.0, number.1
            );
            errors.push(FieldError::duplicate_as_shown(format!("spec.ports[{index}]"), &shown));
        }
        numbers.push(number);
        let node_port = (&port["protocol"], &port["nodePort"]);
        if port["nodePort"].as_u64().is_some_and(|port| port != 0) {
            if !externally {
                let why = format!("may not be used when `type` is '{}'", spec["type"].as_str().unwrap_or_default());
                errors.push(FieldError::forbidden(at("nodePort"), why));
            } else if node_ports.contains(&node_port) {
                errors.push(FieldError::duplicate(at("nodePort"), &port["nodePort"]));
            }
            node_ports.push(node_port);
        }
    }
}

/// Fields that take one of a few words. Unset is always one.
fn enumerations(spec: &Value, errors: &mut Vec<FieldError>) {
    let fields: [(&str, &[&str]); 4] = [
        ("type", &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"]),
        ("sessionAffinity", &["ClientIP", "None"]),
        ("internalTrafficPolicy", &["Cluster", "Local"]),
        ("trafficDistribution", &["PreferClose", "PreferSameZone", "PreferSameNode"]),
    ];
    for (field, words) in fields {
        let value = &spec[field];
        if !value.is_null() && !words.iter().any(|word| value == word) {
            errors.push(FieldError::not_supported(format!("spec.{field}"), value, words));
        }
    }
    if !spec["allocateLoadBalancerNodePorts"].is_null() && !is_load_balancer(spec) {
        let why = "may only be used when `type` is 'LoadBalancer'";
        errors.push(FieldError::forbidden("spec.allocateLoadBalancerNodePorts", why));
    }
    for (index, address) in items(&spec["externalIPs"]).iter().enumerate() {
        let text = address.as_str().unwrap_or_default();
        let wrong = addresses::unfit(text).or_else(|| text.parse().ok().and_then(addresses::special));
        errors.extend(wrong.map(|why| FieldError::invalid(format!("spec.externalIPs[{index}]"), address, why)));
    }
}

fn external_policy(spec: &Value, errors: &mut Vec<FieldError>) {
    let externally =
        matches!(spec["type"].as_str(), Some("LoadBalancer" | "NodePort")) || !items(&spec["externalIPs"]).is_empty();
    let policy = &spec["externalTrafficPolicy"];
    if policy.is_null() {
        return;
    }
    if !matches!(policy.as_str(), Some("Cluster" | "Local")) {
        errors.push(FieldError::not_supported("spec.externalTrafficPolicy", policy, &["Cluster", "Local"]));
    }
    if !externally {
        let why = "may only be set for externally-accessible services";
        errors.push(FieldError::invalid("spec.externalTrafficPolicy", policy, why));
    }
}

fn affinity(spec: &Value, errors: &mut Vec<FieldError>) {
    let timeout = &spec["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"];
    if timeout.as_i64().is_some_and(|seconds| !(1..=86_400).contains(&seconds)) {
        let field = "spec.sessionAffinityConfig.clientIP.timeoutSeconds";
        errors.push(FieldError::invalid(field, timeout, "must be greater than 0 and less than 86400"));
    }
}

fn load_balancer(service: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let spec = &service["spec"];
    if let Some(class) = spec["loadBalancerClass"].as_str() {
        let wrong = name_is(class).into_iter();
        errors.extend(wrong.map(|why| FieldError::invalid("spec.loadBalancerClass", &class.into(), why)));
    }
    let ranges = items(&spec["loadBalancerSourceRanges"]);
    let known = old.map(|old| items(&old["spec"]["loadBalancerSourceRanges"]));
    for (index, range) in
        ranges.iter().enumerate().filter(|(_, range)| known.is_none_or(|known| !known.contains(range)))
    {
        let wrong = addresses::unfit_range(range.as_str().unwrap_or_default());
        let field = format!("spec.LoadBalancerSourceRanges[{index}]");
        errors.extend(wrong.map(|why| FieldError::invalid(field, range, why)));
    }
    let annotation =
        |service: &Value| Some(service["metadata"]["annotations"].get(RANGES_ANNOTATION)?.as_str()?.to_owned());
    let text = annotation(service).filter(|_| ranges.is_empty()).unwrap_or_default();
    if old.and_then(annotation).as_ref() != Some(&text) && !text.trim().is_empty() {
        for range in text.split(',').map(str::trim) {
            let field = format!("metadata.annotations[{RANGES_ANNOTATION}]");
            let wrong = addresses::unfit_range(range);
            errors.extend(wrong.map(|why| FieldError::invalid(field, &range.into(), why)));
        }
    }
}

fn is_port(value: &Value) -> bool {
    value.as_i64().is_some_and(|port| (1..=65_535).contains(&port))
}

/// What is wrong with the name of a port (RFC 6335, 5.1; `IsValidPortName`).
fn port_name_is(name: &str) -> Vec<&'static str> {
    let lower = |byte: u8| byte.is_ascii_lowercase();
    let rules = [
        (name.len() > 15, "must be no more than 15 characters"),
        (
            !name.bytes().all(|byte| lower(byte) || byte.is_ascii_digit() || byte == b'-') || name.is_empty(),
            "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
        ),
        (!name.bytes().any(lower), "must contain at least one letter (a-z)"),
        (name.contains("--"), "must not contain consecutive hyphens"),
        (name.starts_with('-') || name.ends_with('-'), "must not begin or end with a hyphen"),
    ];
    rules.into_iter().filter(|(holds, _)| *holds).map(|(_, why)| why).collect()
}
