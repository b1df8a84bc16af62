//! Parameters that contradict each other: `ValidateListOptions` of `k8s.io/apimachinery/pkg/apis/meta/internalversion/validation`.

use super::refused::{FieldError, Refused};
use super::route::Parameters;

const RULE: &str = "resourceVersionMatch";

/// Of a list.
pub(super) fn check_list(parameters: &Parameters) -> Result<(), Refused> {
    let (rule, version) = (parameters.text(RULE), parameters.text("resourceVersion"));
    let mut errors = Vec::new();
    if !rule.is_empty() {
        if version.is_empty() {
            let why = "resourceVersionMatch is forbidden unless resourceVersion is provided";
            errors.push(FieldError::forbidden(RULE, why));
        }
        continued(parameters, &mut errors);
        if !matches!(rule, "Exact" | "NotOlderThan") {
            errors.push(FieldError::not_supported(RULE, &rule.into(), &["Exact", "NotOlderThan", ""]));
        }
        if rule == "Exact" && version == "0" {
            let why = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
            errors.push(FieldError::forbidden(RULE, why));
        }
    }
    if parameters.has("sendInitialEvents") {
        errors.push(FieldError::forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"));
    }
    judged(&errors)
}

/// Of a watch.
pub(super) fn check_watch(parameters: &Parameters) -> Result<(), Refused> {
    let (rule, initial) = (parameters.text(RULE), parameters.has("sendInitialEvents"));
    let mut errors = Vec::new();
    if initial && rule != "NotOlderThan" {
        let why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
        errors.push(FieldError::forbidden(RULE, why));
    }
    if !rule.is_empty() {
        if !initial {
            let why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
            errors.push(FieldError::forbidden(RULE, why));
        }
        if rule != "NotOlderThan" {
            errors.push(FieldError::not_supported(RULE, &rule.into(), &["NotOlderThan"]));
        }
        continued(parameters, &mut errors);
    }
    judged(&errors)
}

fn continued(parameters: &Parameters, errors: &mut Vec<FieldError>) {
    if parameters.has("continue") {
        let why = "resourceVersionMatch is forbidden when continue is provided";
        errors.push(FieldError::forbidden(RULE, why));
    }
}

fn judged(errors: &[FieldError]) -> Result<(), Refused> {
    if errors.is_empty() { Ok(()) } else { Err(Refused::invalid_parameters("ListOptions", errors)) }
}
