//! Facts about the API server (`testdata/server-facts.yaml`), asked of a server. The suite includes this file too, and asks the real one:
//! that both answer alike is what the golden cases rest upon.

use serde_json::{Value, json};

/// Whoever is asked. Every answer is the object as it is stored by then, or the refusal's text.
pub(crate) trait Asked {
    fn create(&self, service: Value) -> Result<Value, String>;
    fn edit(&self, patch: Value) -> Result<Value, String>;
    fn status(&self, patch: Value) -> Result<Value, String>;
    fn delete(&self) -> Result<Value, String>;
}

/// Asks for one fact about a Service of this name; the answer is what is not so.
pub(crate) fn ask(fact: &Value, name: &str, server: &impl Asked) -> Vec<String> {
    let mut wrong = Vec::new();
    for (number, step) in (1..).zip(fact["steps"].as_array().expect("steps")) {
        let (answer, request) = if let Some(changes) = step.get("create") {
            (server.create(merged(service(name), changes)), "create")
        } else if let Some(patch) = step.get("edit") {
            (server.edit(patch.clone()), "edit")
        } else if let Some(patch) = step.get("status") {
            (server.status(patch.clone()), "status")
        } else {
            assert_eq!(step["delete"], json!(true), "step {number}: none of create, edit, status, delete");
            (server.delete(), "delete")
        };
        let differs = match (answer, step["refused"].as_str()) {
            (Ok(stored), None) => step.get("then").and_then(|expected| difference(expected, &stored, "")),
            (Ok(_), Some(why)) => Some(format!("is accepted, not refused for {why}")),
            (Err(refusal), None) => Some(format!("is refused: {refusal}")),
            (Err(refusal), Some(why)) if refusal.contains(why) => None,
            (Err(refusal), Some(why)) => Some(format!("is refused, but not for {why}: {refusal}")),
        };
        wrong.extend(differs.map(|differs| format!("{}: step {number}, {request}: {differs}", fact["fact"])));
    }
    wrong
}

fn service(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"type": "LoadBalancer", "loadBalancerClass": "example.com/nobody", "ports": [{"port": 80}]},
    })
}

/// A merge patch (RFC 7386) on an object.
fn merged(mut target: Value, patch: &Value) -> Value {
    let (Some(fields), Some(changes)) = (target.as_object_mut(), patch.as_object()) else { return patch.clone() };
    for (key, change) in changes {
        match fields.remove(key) {
            _ if change.is_null() => {}
            Some(old) => drop(fields.insert(key.clone(), merged(old, change))),
            None => drop(fields.insert(key.clone(), change.clone())),
        }
    }
    target
}

/// Where `found` is not as expected, if anywhere.
fn difference(expected: &Value, found: &Value, at: &str) -> Option<String> {
    match (expected, found) {
        (Value::Object(fields), _) => {
            fields.iter().find_map(|(key, expected)| difference(expected, &found[key], &format!("{at}.{key}")))
        }
        (Value::Array(items), Value::Array(others)) if items.len() == others.len() => items
            .iter()
            .zip(others)
            .enumerate()
            .find_map(|(index, (expected, found))| difference(expected, found, &format!("{at}[{index}]"))),
        (Value::String(anything), found) if anything == "*" && !found.is_null() => None,
        (expected, found) if expected == found => None,
        (expected, found) => Some(format!("{at} is {found}, not {expected}")),
    }
}
