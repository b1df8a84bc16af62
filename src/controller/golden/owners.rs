//! Who has put what onto a Service, as far as the controller asks the server for it: finalizers and conditions. In the form of
//! `metadata.managedFields` (FieldsV1).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

/// Keeps the owners of an object after a write of this manager, who owns what it has added or changed; what stays as it was stays whose it
/// was.
pub(super) fn keep(old: &Value, new: &mut Value, manager: &str) {
    let (before, now) = (parts(old), parts(new));
    let old_owners = owners(old);
    let of = |part: &Part, value: &Value| {
        let stays = before.get(part) == Some(value);
        if stays { old_owners.get(part).cloned().unwrap_or_default() } else { BTreeSet::from([manager.to_owned()]) }
    };
    let mut entries: BTreeMap<String, Value> = BTreeMap::new();
    for (part, value) in &now {
        for owner in of(part, value) {
            let entry = entries.entry(owner.clone()).or_insert_with(|| json!({"manager": owner, "fieldsV1": {}}));
            let [above, below] = part.list;
            entry["fieldsV1"][above][below][&part.item] = json!({});
        }
    }
    let Some(metadata) = new["metadata"].as_object_mut() else { return };
    metadata.remove("managedFields");
    if !entries.is_empty() {
        metadata.insert("managedFields".to_owned(), entries.into_values().collect());
    }
}

/// An item of a list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Part {
    list: [&'static str; 2],
    item: String,
}

const FINALIZERS: [&str; 2] = ["f:metadata", "f:finalizers"];
const CONDITIONS: [&str; 2] = ["f:status", "f:conditions"];

fn parts(object: &Value) -> BTreeMap<Part, Value> {
    let items = |pointer: &str| object.pointer(pointer).and_then(Value::as_array).cloned().unwrap_or_default();
    let finalizers = items("/metadata/finalizers").into_iter().map(|name| (FINALIZERS, format!("v:{name}"), name));
    let conditions = items("/status/conditions").into_iter().map(|condition| {
        let key = json!({"type": condition["type"]});
        (CONDITIONS, format!("k:{key}"), condition)
    });
    finalizers.chain(conditions).map(|(list, item, value)| (Part { list, item }, value)).collect()
}

fn owners(object: &Value) -> BTreeMap<Part, BTreeSet<String>> {
    let mut owners: BTreeMap<Part, BTreeSet<String>> = BTreeMap::new();
    for entry in object["metadata"]["managedFields"].as_array().into_iter().flatten() {
        for list in [FINALIZERS, CONDITIONS] {
            let items = entry["fieldsV1"][list[0]][list[1]].as_object().into_iter().flat_map(|items| items.keys());
            for item in items {
                let manager = entry["manager"].as_str().unwrap_or_default().to_owned();
                owners.entry(Part { list, item: item.clone() }).or_default().insert(manager);
            }
        }
    }
    owners
}
