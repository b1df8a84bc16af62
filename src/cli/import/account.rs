//! Every key of an object has to be spoken of: what was not read is named.

use serde::Serialize;
use serde_json::Value;

/// The paths of what stands in `raw` and did not survive being read and written again.
pub(super) fn unread(raw: &Value, read: &impl Serialize, path: &str) -> Vec<String> {
    let mut paths = Vec::new();
    let read = serde_json::to_value(read).unwrap_or_default();
    compare(raw, &read, path, &mut paths);
    paths
}

fn compare(raw: &Value, read: &Value, path: &str, paths: &mut Vec<String>) {
    match (raw, read) {
        (Value::Object(raw), Value::Object(read)) => {
            for (key, value) in raw {
                let path = format!("{path}.{key}");
                match read.get(key) {
                    Some(read) => compare(value, read, &path, paths),
                    None if says_nothing(value) => {}
                    None => paths.push(path),
                }
            }
        }
        (raw, _) if says_nothing(raw) => {}
        (Value::Array(raw), Value::Array(read)) if raw.len() == read.len() => {
            for (index, (raw, read)) in raw.iter().zip(read).enumerate() {
                compare(raw, read, &format!("{path}[{index}]"), paths);
            }
        }
        _ if raw == read => {}
        _ => paths.push(path.to_owned()),
    }
}

/// It means the same as if it were not there.
fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(all) => all.is_empty(),
        Value::Object(all) => all.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// Keys of an object beside `spec` and `status` that say something and that nobody reads, and what of its metadata is not carried over.
pub(super) fn unread_envelope(object: &Value) -> Vec<String> {
    let top = object.as_object().into_iter().flatten();
    let top = top.filter(|(key, value)| !ENVELOPE.contains(&key.as_str()) && !says_nothing(value));
    let metadata = object.get("metadata").and_then(Value::as_object).into_iter().flatten();
    let metadata = metadata.filter(|(key, value)| !METADATA.contains(&key.as_str()) && !says_nothing(value));
    let annotations = object.pointer("/metadata/annotations").and_then(Value::as_object).into_iter().flatten();
    let annotations = annotations.filter(|(key, _)| key.as_str() != LAST_APPLIED);
    top.map(|(key, _)| key.clone())
        .chain(metadata.map(|(key, _)| format!("metadata.{key}")))
        .chain(annotations.map(|(key, _)| format!("metadata.annotations[{key}]")))
        .collect()
}

const ENVELOPE: [&str; 5] = ["apiVersion", "kind", "metadata", "spec", "status"];
/// kubectl's own bookkeeping.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// What names the object, what the server writes (`metav1.ObjectMeta`), and what is looked at one by one.
const METADATA: [&str; 10] = [
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "managedFields",
    "selfLink",
    "labels",
    "annotations",
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_key_that_was_not_read_is_named_by_its_path_and_empty_ones_are_not() {
        let raw = json!({"a": 1, "b": {"c": [], "d": [{"e": 1, "f": 2}], "g": null}, "h": {}, "i": false});
        let read = json!({"a": 1, "b": {"d": [{"e": 1}]}});
        assert_eq!(unread(&raw, &read, "spec"), ["spec.b.d[0].f", "spec.i"]);
        assert_eq!(unread(&json!({"a": [1, 2]}), &json!({"a": [1]}), "spec"), ["spec.a"], "a shorter list");
        assert_eq!(unread(&json!({"a": 1}), &json!({"a": 2}), "spec"), ["spec.a"], "another value");
        assert_eq!(unread(&raw, &raw, "spec"), [""; 0]);
    }

    #[test]
    fn of_the_envelope_only_what_the_server_writes_goes_without_saying() {
        let object = json!({
            "kind": "K", "data": {"x": 1}, "spec": {}, "status": {"y": 1},
            "metadata": {"name": "n", "uid": "u", "finalizers": ["f"], "ownerReferences": [],
                "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "team": "net"}},
        });
        assert_eq!(unread_envelope(&object), ["data", "metadata.finalizers", "metadata.annotations[team]"]);
    }
}
