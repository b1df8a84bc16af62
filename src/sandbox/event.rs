//! Events have one store under two groups. They lie as core/v1 has them; events.k8s.io/v1 has other names for some fields
//! (`pkg/apis/events/v1/conversion.go`).

use serde_json::Value;

/// core/v1, events.k8s.io/v1.
const NAMES: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

/// From events.k8s.io/v1.
pub(super) fn stored(event: &mut Value) {
    rename(event, NAMES.map(|(old, new)| (new, old)));
}

/// To events.k8s.io/v1.
pub(super) fn shown(event: &mut Value) {
    rename(event, NAMES);
    // Go's type omits these two if empty.
    if let Some(fields) = event.as_object_mut() {
        fields.retain(|name, value| !(name.starts_with("reporting") && value == ""));
    }
}

fn rename(event: &mut Value, names: [(&str, &str); 7]) {
    let Some(fields) = event.as_object_mut() else { return };
    for (from, to) in names {
        if let Some(value) = fields.remove(from) {
            fields.insert(to.to_owned(), value);
        }
    }
}
