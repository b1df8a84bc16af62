//! What a custom resource may hold: the structural schema of its definition. What the schema does not know goes, what it has a default for
//! comes, and the rest is held to it. From `k8s.io/apiextensions-apiserver/pkg/apiserver/schema`.

mod formats;
mod lists;
mod prune;
mod validate;

use serde_json::Value;

pub(super) use formats::UNCHECKED;
pub(super) use lists::check_lists;
pub(super) use prune::{prune, prune_nulls};
pub(super) use validate::check;

use super::refused::FieldError;

/// Where in an object; empty for the whole.
pub(super) fn child(at: &str, field: &str) -> String {
    if at.is_empty() { field.to_owned() } else { format!("{at}.{field}") }
}

/// The schema of a field: its own, or that of a map's values.
pub(super) fn field<'a>(schema: &'a Value, name: &str) -> Option<&'a Value> {
    schema["properties"].get(name).or_else(|| Some(&schema["additionalProperties"]).filter(|schema| schema.is_object()))
}

fn says(schema: &Value, extension: &str) -> bool {
    schema[extension] == true
}

fn is_null_though_not_nullable(value: &Value, schema: &Value) -> bool {
    value.is_null() && !says(schema, "nullable")
}

/// Puts defaults where nothing, or a null that may not be, stands (`defaulting/algorithm.go`).
pub(super) fn default(value: &mut Value, schema: &Value) {
    match value {
        Value::Object(fields) => {
            for (name, property) in schema["properties"].as_object().into_iter().flatten() {
                let default = &property["default"];
                if !default.is_null()
                    && fields.get(name).is_none_or(|value| is_null_though_not_nullable(value, property))
                {
                    fields.insert(name.clone(), default.clone());
                }
            }
            for (name, value) in fields {
                let Some(schema) = field(schema, name) else { continue };
                if is_null_though_not_nullable(value, schema) {
                    *value = schema["default"].clone();
                }
                default(value, schema);
            }
        }
        Value::Array(items) => {
            for item in items {
                if is_null_though_not_nullable(item, &schema["items"]) {
                    *item = schema["items"]["default"].clone();
                }
                default(item, &schema["items"]);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Holds the objects within an object to what every object has (`objectmeta/validation.go`).
pub(super) fn check_embedded(value: &Value, schema: &Value, at: &str, errors: &mut Vec<FieldError>) {
    match value {
        Value::Object(fields) => {
            if says(schema, "x-kubernetes-embedded-resource") {
                for name in ["apiVersion", "kind"] {
                    let place = child(at, name);
                    match fields.get(name) {
                        None => errors.push(FieldError::required(place, "")),
                        Some(Value::String(text)) if text.is_empty() => {
                            errors.push(FieldError::invalid(place, &"".into(), "must not be empty"));
                        }
                        Some(Value::String(_)) => {}
                        Some(other) => errors.push(FieldError::invalid(place, other, "must be a string")),
                    }
                }
            }
            for (name, value) in fields {
                if let Some(schema) = field(schema, name) {
                    check_embedded(value, schema, &child(at, name), errors);
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                check_embedded(item, &schema["items"], &format!("{at}[{index}]"), errors);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Go writes 1.0 as 1, and yet knows it from 1 until then.
pub(super) fn numbers_whole(value: &mut Value) {
    match value {
        Value::Number(number) => {
            let float = number.as_f64().filter(|float| number.is_f64() && float.fract() == 0.0 && float.abs() < 1e15);
            if let Some(float) = float {
                *value = (float as i64).into();
            }
        }
        Value::Object(fields) => fields.values_mut().for_each(numbers_whole),
        Value::Array(items) => items.iter_mut().for_each(numbers_whole),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}
