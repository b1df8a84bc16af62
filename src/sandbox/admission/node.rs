//! Nodes: the admission plugin TaintNodesByCondition, and what `ValidateNode` of `pkg/apis/core/validation/validation.go` says of taints
//! and CIDRs.

use serde_json::{Value, json};

use super::super::metadata::labels::{name_is, value_is};
use super::super::metadata::text;
use super::super::refused::FieldError;

const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

/// A Node that joins is not ready yet.
pub(super) fn taint(object: &mut Value) {
    let taint = json!({"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"});
    match object["spec"]["taints"].as_array_mut() {
        Some(taints) => taints.push(taint),
        None => object["spec"]["taints"] = json!([taint]),
    }
}

pub(super) fn check(object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut known: Vec<(String, String)> = Vec::new();
    for (index, taint) in object["spec"]["taints"].as_array().into_iter().flatten().enumerate() {
        let at = |field: &str| format!("metadata.taints[{index}].{field}"); // so named there
        let (key, value, effect) = (text(&taint["key"]), text(&taint["value"]), text(&taint["effect"]));
        errors.extend(name_is(&key).into_iter().map(|why| FieldError::invalid(at("key"), &taint["key"], why)));
        errors.extend(value_is(&value).into_iter().map(|why| FieldError::invalid(at("value"), &taint["value"], why)));
        if effect.is_empty() {
            errors.push(FieldError::required(at("effect"), ""));
        } else if !EFFECTS.contains(&effect.as_str()) {
            errors.push(FieldError::not_supported(at("effect"), &taint["effect"], &EFFECTS));
        }
        if known.contains(&(key.clone(), effect.clone())) {
            let shown = json!({"Key": key, "Value": value, "Effect": effect, "TimeAdded": taint["timeAdded"]});
            let shown =
                ["Key", "Value", "Effect", "TimeAdded"].map(|field| format!("{field:?}:{}", shown[field])).join(",");
            let shown = format!("{{{shown}}}: taints must be unique by key and effect pair");
            errors.push(FieldError::duplicate_as_shown(format!("metadata.taints[{index}]"), &shown));
        }
        known.push((key, effect));
    }
    let cidrs = object["spec"]["podCIDRs"].as_array().map(Vec::as_slice).unwrap_or_default();
    let of = |six: bool| cidrs.iter().filter(|cidr| text(cidr).contains(':') == six).count();
    if of(false) > 1 || of(true) > 1 {
        let why = "may specify no more than one CIDR for each IP family";
        errors.push(FieldError::invalid("spec.podCIDRs", &object["spec"]["podCIDRs"], why));
    }
    errors
}
