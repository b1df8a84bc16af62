//! What a watch is told of how far it has come: an object of the watched kind with nothing in it but a version, written as Go writes
//! a value that is empty.

use serde_json::{Value, json};

use super::decoded::shown_though_empty;
use super::kinds::Kind;

/// A bookmark up to a revision; the last of those that a streaming list begins with says so (KEP-3157).
pub(super) fn bookmark(kind: &Kind, revision: u64, ends_the_list: bool) -> Value {
    let mut object = empty(kind);
    object["kind"] = kind.kind.as_str().into();
    object["apiVersion"] = kind.api_version().into();
    object["metadata"] = json!({"resourceVersion": revision.to_string()});
    if ends_the_list {
        object["metadata"]["annotations"] = json!({"k8s.io/initial-events-end": "true"});
    }
    object
}

/// The fields that a kind's type always writes.
fn empty(kind: &Kind) -> Value {
    if kind.is("Event") && kind.is_new_event() {
        return json!({
            "deprecatedFirstTimestamp": null, "deprecatedLastTimestamp": null, "deprecatedSource": {}, "eventTime": null,
            "regarding": {},
        });
    }
    let mut shown = shown_though_empty(kind);
    if kind.is("Pod") {
        shown["spec"]["containers"] = Value::Null;
    }
    shown
}
