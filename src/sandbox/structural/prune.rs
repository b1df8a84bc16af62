//! What a schema does not know goes (`pruning/algorithm.go`), and nulls that may not be (`defaulting/prunenulls.go`).

use serde_json::{Map, Value};

use super::{child, field, is_null_though_not_nullable, says};

/// What every object has, whatever its schema says.
const OF_ALL: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// Removes what the schema does not know from a whole object, and says what that was.
pub(in crate::sandbox) fn prune(object: &mut Value, schema: &Value) -> Vec<String> {
    let mut unknown = Vec::new();
    if let Some(fields) = object.as_object_mut() {
        aside(fields, |fields| prune_fields(fields, schema, says(schema, PRESERVE), "", &mut unknown));
    }
    unknown.sort();
    unknown
}

const PRESERVE: &str = "x-kubernetes-preserve-unknown-fields";

/// What every object has is put aside meanwhile.
fn aside(fields: &mut Map<String, Value>, prune: impl FnOnce(&mut Map<String, Value>)) {
    let of_all = OF_ALL.map(|name| (name, fields.remove(name)));
    prune(fields);
    fields.extend(of_all.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
}

/// What is inside of what keeps unknown fields keeps them as long as it is a list in a list.
fn prune_at(value: &mut Value, schema: &Value, kept: bool, at: &str, unknown: &mut Vec<String>) {
    let keeps = kept || says(schema, PRESERVE);
    match value {
        Value::Object(fields) if says(schema, "x-kubernetes-embedded-resource") => {
            aside(fields, |fields| prune_fields(fields, schema, keeps, at, unknown));
        }
        Value::Object(fields) => prune_fields(fields, schema, keeps, at, unknown),
        Value::Array(items) if !(keeps && schema["items"].is_null()) => {
            for (index, item) in items.iter_mut().enumerate() {
                prune_at(item, &schema["items"], keeps, &format!("{at}[{index}]"), unknown);
            }
        }
        Value::Array(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn prune_fields(fields: &mut Map<String, Value>, schema: &Value, keeps: bool, at: &str, unknown: &mut Vec<String>) {
    fields.retain(|name, value| {
        let place = child(at, name);
        if let Some(schema) = field(schema, name) {
            prune_at(value, schema, false, &place, unknown);
        } else if schema["additionalProperties"] == true && !keeps {
            prune_at(value, &Value::Null, false, &place, unknown);
        } else if !keeps {
            unknown.push(format!("unknown field {place:?}"));
            return false;
        }
        true
    });
}

/// Removes nulls from fields that may not be null and have no default; what has one gets it later.
pub(in crate::sandbox) fn prune_nulls(value: &mut Value, schema: &Value) {
    match value {
        Value::Object(fields) => fields.retain(|name, value| {
            let Some(schema) = field(schema, name) else { return true };
            if is_null_though_not_nullable(value, schema) && schema["default"].is_null() {
                return false;
            }
            prune_nulls(value, schema);
            true
        }),
        Value::Array(items) => items.iter_mut().for_each(|item| prune_nulls(item, &schema["items"])),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
