//! Lists that are sets or maps hold nothing twice (`listtype/validation.go`).

use serde_json::{Map, Value};

use super::child;
use crate::sandbox::refused::FieldError;

pub(in crate::sandbox) fn check_lists(value: &Value, schema: &Value, at: &str, errors: &mut Vec<FieldError>) {
    match value {
        Value::Array(items) => {
            match schema["x-kubernetes-list-type"].as_str() {
                Some("set") => check_unique(items.iter().cloned(), at, errors),
                Some("map") => check_map(items, &schema["x-kubernetes-list-map-keys"], at, errors),
                _ => {}
            }
            for (index, item) in items.iter().enumerate() {
                check_lists(item, &schema["items"], &format!("{at}[{index}]"), errors);
            }
        }
        Value::Object(fields) => {
            for (name, value) in fields {
                if let Some(schema) = schema["properties"].get(name) {
                    check_lists(value, schema, &child(at, name), errors);
                } else if schema["additionalProperties"].is_object() {
                    check_lists(value, &schema["additionalProperties"], &format!("{at}[{name}]"), errors);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn check_map(items: &[Value], keys: &Value, at: &str, errors: &mut Vec<FieldError>) {
    if let Some((index, item)) = items.iter().enumerate().find(|(_, item)| !(item.is_object() || item.is_null())) {
        let why = "must be an object for an array of list-type map";
        errors.push(FieldError::invalid(format!("{at}[{index}]"), item, why));
        return;
    }
    let key = |item: &Value| {
        let names = keys.as_array().into_iter().flatten().filter_map(Value::as_str);
        Value::Object(names.filter_map(|name| Some((name.to_owned(), item.get(name)?.clone()))).collect::<Map<_, _>>())
    };
    check_unique(items.iter().map(key), at, errors);
}

/// The second of equal ones is told, once.
fn check_unique(items: impl Iterator<Item = Value>, at: &str, errors: &mut Vec<FieldError>) {
    let mut seen: Vec<(Value, bool)> = Vec::new();
    for (index, item) in items.enumerate() {
        match seen.iter_mut().find(|(other, _)| *other == item) {
            None => seen.push((item, false)),
            Some((_, told)) => {
                if !std::mem::replace(told, true) {
                    errors.push(FieldError::duplicate(format!("{at}[{index}]"), &item));
                }
            }
        }
    }
}
