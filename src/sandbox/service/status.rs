//! A Service's status: `ValidateLoadBalancerStatus` of `pkg/apis/core/validation`, and the default of the mode.

use serde_json::{Value, json};

use super::{Unfit, is_load_balancer};
use crate::sandbox::metadata::{SUBDOMAIN_WORDS, is_subdomain};
use crate::sandbox::refused::FieldError;

/// A status that is about to be stored; its values are judged only if `strict`.
pub(crate) fn admit_status(service: &mut Value, strict: bool) -> Result<(), Unfit> {
    let load_balancer = is_load_balancer(&service["spec"]);
    let Some(ingress) = service.pointer_mut("/status/loadBalancer/ingress").and_then(Value::as_array_mut) else {
        return Ok(());
    };
    let mut errors = Vec::new();
    if !load_balancer && !ingress.is_empty() {
        let why = "may only be used when `spec.type` is 'LoadBalancer'";
        errors.push(FieldError::forbidden("status.loadBalancer.ingress", why));
    }
    for (index, entry) in ingress.iter_mut().enumerate() {
        let at = format!("status.loadBalancer.ingress[{index}]");
        match (entry["ip"].is_string(), entry["ipMode"].is_string()) {
            (true, false) => entry["ipMode"] = json!("VIP"), // the default of every decode
            (false, true) => {
                errors.push(FieldError::forbidden(format!("{at}.ipMode"), "may not be specified when `ip` is not set"));
            }
            (true, true) | (false, false) => {}
        }
        if entry["ipMode"].is_null() {
            entry.as_object_mut().map(|entry| entry.remove("ipMode"));
        }
        if strict {
            values(entry, &at, &mut errors);
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(Unfit::Fields(errors)) }
}

/// The mode is a default of what the writer says that the Service is, which is not asked for: who leaves the type out has none.
pub(crate) fn has_modes(service: &Value) -> Result<(), Unfit> {
    let ingress = service.pointer("/status/loadBalancer/ingress").and_then(Value::as_array);
    for (index, entry) in ingress.into_iter().flatten().enumerate() {
        if entry["ip"].is_string() && entry["ipMode"].is_null() {
            let at = format!("status.loadBalancer.ingress[{index}].ipMode");
            return Err(FieldError::required(at, "must be specified when `ip` is set").into());
        }
    }
    Ok(())
}

fn values(entry: &Value, at: &str, errors: &mut Vec<FieldError>) {
    let is_address = |value: &Value| value.as_str().is_some_and(|text| text.parse::<std::net::IpAddr>().is_ok());
    if entry["ip"].is_string() && !is_address(&entry["ip"]) {
        let why = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
        errors.push(FieldError::invalid(format!("{at}.ip"), &entry["ip"], why));
    }
    if let Some(mode) = entry["ipMode"].as_str().filter(|mode| !matches!(*mode, "VIP" | "Proxy")) {
        errors.push(FieldError::not_supported(format!("{at}.ipMode"), &mode.into(), &["Proxy", "VIP"]));
    }
    if let Some(hostname) = entry["hostname"].as_str().filter(|hostname| !hostname.is_empty()) {
        let at = format!("{at}.hostname");
        if !is_subdomain(hostname) {
            errors.push(FieldError::invalid(at, &hostname.into(), SUBDOMAIN_WORDS));
        } else if is_address(&entry["hostname"]) {
            errors.push(FieldError::invalid(at, &hostname.into(), "must be a DNS name, not an IP address"));
        }
    }
}
