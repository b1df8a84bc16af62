//! What a Service says of its cluster IPs and families, before any is given to it: `ValidateServiceClusterIPsRelatedFields` of
//! `pkg/apis/core/validation/validation.go`, which the allocator asks first and which refuses alone.

use serde_json::{Map, Value};

use super::{addresses, items, text};
use crate::sandbox::refused::FieldError;

const ADDRESSES: &str = "spec.clusterIPs";

/// Everything in them that does not fit together; `old` is the spec that is there, whose addresses are as they are.
pub(super) fn related(spec: &Map<String, Value>, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if text(spec, "type") == "ExternalName" {
        return errors;
    }
    let all = spec.get("clusterIPs").unwrap_or(&Value::Null);
    let addresses = items(all);
    match (text(spec, "clusterIP").as_str(), addresses.first()) {
        ("", None) => {}
        ("", Some(_)) => {
            errors.push(FieldError::invalid(ADDRESSES, all, "must be empty when `clusterIP` is not specified"));
        }
        (_, None) => errors.push(FieldError::required(ADDRESSES, "")),
        (one, Some(first)) if first != one => {
            errors.push(FieldError::invalid(ADDRESSES, all, "first value must match `clusterIP`"));
        }
        _ => {}
    }
    let families = items(spec.get("ipFamilies").unwrap_or(&Value::Null));
    each_family(families, &mut errors);
    let policy = spec.get("ipFamilyPolicy").filter(|policy| !policy.is_null());
    let policies = ["PreferDualStack", "RequireDualStack", "SingleStack"];
    if let Some(policy) = policy.filter(|policy| !policies.iter().any(|one| *policy == one)) {
        errors.push(FieldError::not_supported("spec.ipFamilyPolicy", policy, &policies));
    }
    if !each_address(all, old, &mut errors) {
        return errors; // what is no address has no family
    }
    let family = |address: &Value| addresses::sloppy(address.as_str().unwrap_or_default()).map(|one| one.is_ipv4());
    if addresses.len() > 2 {
        errors.push(FieldError::invalid(ADDRESSES, all, "may only hold up to 2 values"));
    } else if let [one, two] = addresses.as_slice()
        && family(one) == family(two)
    {
        errors.push(FieldError::invalid(ADDRESSES, all, "may specify no more than one IP for each IP family"));
    }
    if errors.is_empty() {
        for (index, (address, wanted)) in addresses.iter().zip(families).enumerate() {
            if family(address).is_some_and(|is_ipv4| is_ipv4 != (wanted == "IPv4")) {
                let wanted = wanted.as_str().unwrap_or_default();
                let why = format!("expected an {wanted} value as indicated by `ipFamilies[{index}]`");
                errors.push(FieldError::invalid(format!("{ADDRESSES}[{index}]"), address, why));
            }
        }
    }
    errors
}

fn each_family(families: &[Value], errors: &mut Vec<FieldError>) {
    for (index, family) in families.iter().enumerate() {
        let field = format!("spec.ipFamilies[{index}]");
        if family != "IPv4" && family != "IPv6" {
            errors.push(FieldError::not_supported(field.clone(), family, &["IPv4", "IPv6"]));
        }
        if families.iter().take(index).any(|before| before == family) {
            errors.push(FieldError::duplicate(field, family));
        }
    }
}

/// Whether all are addresses, or the one word for none.
fn each_address(all: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) -> bool {
    let before = errors.len();
    for (index, address) in items(all).iter().enumerate() {
        if index == 0 && address == "None" {
            if items(all).len() > 1 {
                errors.push(FieldError::invalid(ADDRESSES, all, "'None' must be the first and only value"));
            }
        } else if let Some(why) = addresses::unfit(address.as_str().unwrap_or_default())
            && !old.is_some_and(|old| items(&old["clusterIPs"]).contains(address))
        {
            errors.push(FieldError::invalid(format!("{ADDRESSES}[{index}]"), address, why));
        }
    }
    errors.len() == before
}
