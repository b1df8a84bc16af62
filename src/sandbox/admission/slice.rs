//! EndpointSlices: `ValidateEndpointSlice` of `pkg/apis/discovery/validation/validation.go`.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::super::metadata::{self, LABEL_WORDS, is_label, text};
use super::super::refused::FieldError;
use super::super::service;

const FAMILIES: [&str; 3] = ["FQDN", "IPv4", "IPv6"];

/// As Go writes it, and what is wrong with it.
pub(super) fn slice(object: &mut Value) -> Vec<FieldError> {
    for endpoint in object["endpoints"].as_array_mut().into_iter().flatten() {
        if endpoint["conditions"].is_null() {
            endpoint["conditions"] = json!({});
        }
    }
    if object["endpoints"].as_array().is_none_or(Vec::is_empty) {
        object["endpoints"] = Value::Null;
    }
    let mut errors = Vec::new();
    let family = text(&object["addressType"]);
    if family.is_empty() {
        errors.push(FieldError::required("addressType", ""));
    } else if !FAMILIES.contains(&family.as_str()) {
        errors.push(FieldError::not_supported("addressType", &object["addressType"], &FAMILIES));
    }
    ports(object, &mut errors);
    endpoints(object, &family, &mut errors);
    errors
}

fn ports(object: &Value, errors: &mut Vec<FieldError>) {
    let mut names = Vec::new();
    for (index, port) in object["ports"].as_array().into_iter().flatten().enumerate() {
        let at = |field: &str| format!("ports[{index}].{field}");
        let name = text(&port["name"]);
        if names.contains(&name) {
            errors.push(FieldError::duplicate(at("name"), &port["name"]));
        } else if !name.is_empty() && !is_label(&name) {
            errors.push(FieldError::invalid(at("name"), &port["name"], LABEL_WORDS));
        }
        names.push(name);
        if !matches!(port["protocol"].as_str(), None | Some("TCP" | "UDP" | "SCTP")) {
            errors.push(FieldError::not_supported(at("protocol"), &port["protocol"], &["SCTP", "TCP", "UDP"]));
        }
    }
}

fn endpoints(object: &Value, family: &str, errors: &mut Vec<FieldError>) {
    for (index, endpoint) in object["endpoints"].as_array().into_iter().flatten().enumerate() {
        let at = format!("endpoints[{index}].addresses");
        let addresses = endpoint["addresses"].as_array().map(Vec::as_slice).unwrap_or_default();
        if addresses.is_empty() {
            errors.push(FieldError::required(at.clone(), "must contain at least 1 address"));
        }
        for (index, address) in addresses.iter().enumerate() {
            let text = text(address);
            let one = format!("{at}[{index}]");
            match (family, text.parse::<IpAddr>()) {
                ("FQDN", _) if !metadata::is_subdomain(&text) => {
                    errors.push(FieldError::invalid(one, address, metadata::SUBDOMAIN_WORDS));
                }
                ("IPv4" | "IPv6", Err(_)) => {
                    let why = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
                    errors.push(FieldError::invalid(one, address, why));
                }
                // Of the list as a whole, as it is said there.
                ("IPv4", Ok(IpAddr::V6(_))) => {
                    errors.push(FieldError::invalid(at.clone(), address, "must be an IPv4 address"));
                }
                ("IPv6", Ok(IpAddr::V4(_))) => {
                    errors.push(FieldError::invalid(at.clone(), address, "must be an IPv6 address"));
                }
                // Addresses that no packet from outside may reach are none of an endpoint.
                ("IPv4" | "IPv6", Ok(parsed)) => {
                    errors.extend(service::special(parsed).map(|why| FieldError::invalid(one, address, why)));
                }
                _ => {}
            }
        }
    }
}
