//! Leases: `ValidateLeaseSpec` of `pkg/apis/coordination/validation/validation.go`, and the fields of KEP-4355 that a server drops which
//! does not coordinate elections.

use serde_json::Value;

use super::super::metadata::remove;
use super::super::refused::FieldError;

pub(super) fn lease(object: &mut Value) -> Vec<FieldError> {
    for field in ["strategy", "preferredHolder"] {
        remove(&mut object["spec"], field);
    }
    let spec = &object["spec"];
    let mut errors = Vec::new();
    for (field, least, why) in [
        ("leaseDurationSeconds", 1, "must be greater than 0"),
        ("leaseTransitions", 0, "must be greater than or equal to 0"),
    ] {
        if spec[field].as_i64().is_some_and(|number| number < least) {
            errors.push(FieldError::invalid(format!("spec.{field}"), &spec[field], why));
        }
    }
    errors
}
