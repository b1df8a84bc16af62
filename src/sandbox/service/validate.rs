//! The values of a Service's fields: `ValidateService` of `pkg/apis/core/validation/validation.go`.

use serde_json::Value;

use super::{RANGES_ANNOTATION, is_load_balancer, items};
use crate::sandbox::metadata::labels::check_labels;
use crate::sandbox::metadata::{is_label, is_qualified, is_subdomain};
use crate::sandbox::refused::FieldError;

/// Everything that is wrong with a Service after its defaults.
pub(in crate::sandbox) fn validate(service: &Value) -> Vec<FieldError> {
    let spec = &service["spec"];
    let mut errors = Vec::new();
    kind(spec, &mut errors);
    ports(spec, &mut errors);
    check_labels(&spec["selector"], "spec.selector", &mut errors);
    enumerations(spec, &mut errors);
    families(spec, &mut errors);
    affinity(spec, &mut errors);
    load_balancer(service, &mut errors);
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
                errors.push(FieldError::invalid(
                    "spec.externalName",
                    &name.into(),
                    "a lowercase RFC 1123 subdomain is expected",
                ));
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
    for (index, address) in items(&spec["clusterIPs"]).iter().enumerate() {
        let text = address.as_str().unwrap_or_default();
        if text != "None" && text.parse::<std::net::IpAddr>().is_err() {
            let why = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
            errors.push(FieldError::invalid(format!("spec.clusterIPs[{index}]"), address, why));
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
            errors.push(FieldError::invalid(at("name"), &name.into(), "a lowercase RFC 1123 label is expected"));
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
            Value::String(name) if !is_port_name(name) => {
                errors.push(FieldError::invalid(at("targetPort"), &port["targetPort"], "must be an IANA_SVC_NAME"));
            }
            Value::Number(_) if !is_port(&port["targetPort"]) => {
                errors.push(FieldError::invalid(
                    at("targetPort"),
                    &port["targetPort"],
                    "must be between 1 and 65535, inclusive",
                ));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
            }
        }
        if let Some(protocol) = port["appProtocol"].as_str().filter(|protocol| !is_qualified(protocol)) {
            errors.push(FieldError::invalid(
                at("appProtocol"),
                &protocol.into(),
                "name part must consist of alphanumeric characters, '-', '_' or '.'",
            ));
        }
        let number = (&port["protocol"], &port["port"]);
        if numbers.contains(&number) {
            let duplicate = serde_json::json!({"protocol": number.0, "port": number.1});
            errors.push(FieldError::duplicate(format!("spec.ports[{index}]"), &duplicate));
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
    let fields: [(&str, &[&str]); 6] = [
        ("type", &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"]),
        ("sessionAffinity", &["ClientIP", "None"]),
        ("internalTrafficPolicy", &["Cluster", "Local"]),
        ("externalTrafficPolicy", &["Cluster", "Local"]),
        ("ipFamilyPolicy", &["PreferDualStack", "RequireDualStack", "SingleStack"]),
        ("trafficDistribution", &["PreferClose", "PreferSameZone", "PreferSameNode"]),
    ];
    for (field, words) in fields {
        let value = &spec[field];
        if !value.is_null() && !words.iter().any(|word| value == word) {
            errors.push(FieldError::not_supported(format!("spec.{field}"), value, words));
        }
    }
    let externally =
        matches!(spec["type"].as_str(), Some("LoadBalancer" | "NodePort")) || !items(&spec["externalIPs"]).is_empty();
    let policy = &spec["externalTrafficPolicy"];
    if !policy.is_null() && !externally {
        let why = "may only be set for externally-accessible services";
        errors.push(FieldError::invalid("spec.externalTrafficPolicy", policy, why));
    }
    if !spec["allocateLoadBalancerNodePorts"].is_null() && !is_load_balancer(spec) {
        let why = "may only be used when `type` is 'LoadBalancer'";
        errors.push(FieldError::forbidden("spec.allocateLoadBalancerNodePorts", why));
    }
    for (index, address) in items(&spec["externalIPs"]).iter().enumerate() {
        if address.as_str().is_none_or(|text| text.parse::<std::net::IpAddr>().is_err()) {
            let why = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
            errors.push(FieldError::invalid(format!("spec.externalIPs[{index}]"), address, why));
        }
    }
}

fn families(spec: &Value, errors: &mut Vec<FieldError>) {
    let families = items(&spec["ipFamilies"]);
    for (index, family) in families.iter().enumerate() {
        if family != "IPv4" && family != "IPv6" {
            let field = format!("spec.ipFamilies[{index}]");
            errors.push(FieldError::not_supported(field, family, &["IPv4", "IPv6"]));
        } else if families.iter().take(index).any(|before| before == family) {
            errors.push(FieldError::duplicate(format!("spec.ipFamilies[{index}]"), family));
        }
    }
    for (index, (address, family)) in items(&spec["clusterIPs"]).iter().zip(families).enumerate() {
        let of = address.as_str().and_then(|text| text.parse::<std::net::IpAddr>().ok());
        if of.is_some_and(|address| address.is_ipv4() != (family == "IPv4")) {
            let why = format!(
                "expected an {} value as indicated by `ipFamilies[{index}]`",
                family.as_str().unwrap_or_default()
            );
            errors.push(FieldError::invalid(format!("spec.clusterIPs[{index}]"), address, why));
        }
    }
}

fn affinity(spec: &Value, errors: &mut Vec<FieldError>) {
    let timeout = &spec["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"];
    if timeout.as_i64().is_some_and(|seconds| !(1..=86_400).contains(&seconds)) {
        let field = "spec.sessionAffinityConfig.clientIP.timeoutSeconds";
        errors.push(FieldError::invalid(field, timeout, "must be greater than 0 and less than 86400"));
    }
}

fn load_balancer(service: &Value, errors: &mut Vec<FieldError>) {
    let spec = &service["spec"];
    if let Some(class) = spec["loadBalancerClass"].as_str().filter(|class| !is_qualified(class)) {
        let why = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
                   alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
                   '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
        errors.push(FieldError::invalid("spec.loadBalancerClass", &class.into(), why));
    }
    let ranges = items(&spec["loadBalancerSourceRanges"]);
    for (index, range) in ranges.iter().enumerate() {
        if range.as_str().is_none_or(|range| range.trim().parse::<ipnet::IpNet>().is_err()) {
            let field = format!("spec.LoadBalancerSourceRanges[{index}]");
            errors.push(FieldError::invalid(
                field,
                range,
                "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)",
            ));
        }
    }
    let annotation = service["metadata"]["annotations"].get(RANGES_ANNOTATION).and_then(Value::as_str);
    if let Some(text) = annotation.filter(|text| ranges.is_empty() && !text.trim().is_empty())
        && text.split(',').any(|range| range.trim().parse::<ipnet::IpNet>().is_err())
    {
        let field = format!("metadata.annotations[{RANGES_ANNOTATION}]");
        errors.push(FieldError::invalid(
            field,
            &text.into(),
            "must be a list of IP ranges. For example, 10.240.0.0/24,10.250.0.0/24",
        ));
    }
}

fn is_port(value: &Value) -> bool {
    value.as_i64().is_some_and(|port| (1..=65_535).contains(&port))
}

/// RFC 6335, 5.1: up to 15 letters, digits and single hyphens, with a letter among them.
fn is_port_name(name: &str) -> bool {
    name.len() <= 15 && is_label(name) && !name.contains("--") && name.bytes().any(|byte| byte.is_ascii_lowercase())
}
