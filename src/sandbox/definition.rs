//! What the sandbox does not do of what a CustomResourceDefinition asks for; whoever writes one is warned.

use std::collections::BTreeSet;

use serde_json::Value;

use super::structural::UNCHECKED;

/// A sentence for each.
pub(super) fn not_emulated(definition: &Value) -> Vec<String> {
    let mut found = BTreeSet::new();
    for version in definition["spec"]["versions"].as_array().into_iter().flatten() {
        search(&version["schema"]["openAPIV3Schema"], &mut found);
    }
    found.into_iter().collect()
}

fn search(schema: &Value, found: &mut BTreeSet<String>) {
    if schema["x-kubernetes-validations"].as_array().is_some_and(|rules| !rules.is_empty()) {
        found.insert("the sandbox does not emulate CEL: x-kubernetes-validations are not checked".to_owned());
    }
    if let Some(format) = schema["format"].as_str().filter(|format| UNCHECKED.contains(format)) {
        found.insert(format!("the sandbox does not check the format {format}"));
    }
    match schema {
        Value::Object(fields) => fields.values().for_each(|field| search(field, found)),
        Value::Array(items) => items.iter().for_each(|item| search(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
