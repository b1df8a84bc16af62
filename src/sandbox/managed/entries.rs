//! Who owns which fields of an object, and `metadata.managedFields`, where that is written. From
//! `k8s.io/apimachinery/pkg/util/managedfields/internal/{managedfields,capmanagers}.go`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::fieldset::FieldSet;

/// Who writes, and how. Of those who apply the version does not matter: they own what they applied last, in whatever version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::sandbox) struct Owner {
    pub(super) operation: Operation,
    pub(super) manager: String,
    /// `v1`, `GROUP/VERSION`; empty for those who apply.
    version: String,
    /// Empty for the object itself.
    pub(super) subresource: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Operation {
    Apply,
    Update,
}

/// What somebody owns.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Owned {
    pub(super) fields: FieldSet,
    /// The version whose fields these are.
    pub(super) version: String,
    /// RFC 3339, in seconds; nothing where an apply found everything as it wants it.
    pub(super) time: Option<String>,
}

pub(super) type Owners = BTreeMap<Owner, Owned>;

/// More entries than these of updates are merged, the oldest first, under this name.
const UPDATERS: usize = 10;
const ANCIENT: &str = "ancient-changes";

impl Owner {
    pub(super) fn new(operation: Operation, manager: &str, version: &str, subresource: &str) -> Self {
        let version = if operation == Operation::Apply { "" } else { version };
        let manager = if manager.is_empty() { "unknown" } else { manager };
        Self {
            operation,
            manager: manager.to_owned(),
            version: version.to_owned(),
            subresource: subresource.to_owned(),
        }
    }

    /// As conflicts name it.
    pub(super) fn printed(&self) -> String {
        let subresource = match self.subresource.as_str() {
            "" => String::new(),
            subresource => format!(" with subresource {subresource:?}"),
        };
        let version = match self.operation {
            Operation::Apply => String::new(),
            Operation::Update => format!(" using {}", self.version),
        };
        format!("{:?}{subresource}{version}", self.manager)
    }
}

/// The owners that an object names.
pub(super) fn read(entries: &Value) -> Result<Owners, String> {
    let mut owners = Owners::new();
    for (index, entry) in entries.as_array().into_iter().flatten().enumerate() {
        let text = |field: &str| entry[field].as_str().unwrap_or_default();
        let operation = match text("operation") {
            "Apply" => Operation::Apply,
            "Update" => Operation::Update,
            _ => return Err("operation must be `Apply` or `Update`".to_owned()),
        };
        let version = text("apiVersion");
        if version.is_empty() {
            return Err("apiVersion must not be empty".to_owned());
        }
        match text("fieldsType") {
            "FieldsV1" => {}
            "" => return Err(format!("missing fieldsType in managed fields entry {index}")),
            other => return Err(format!("invalid fieldsType {other:?} in managed fields entry {index}")),
        }
        let fields =
            if entry["fieldsV1"].is_null() { FieldSet::default() } else { FieldSet::read(&entry["fieldsV1"])? };
        let owner = Owner {
            operation,
            manager: text("manager").to_owned(),
            version: if operation == Operation::Apply { String::new() } else { version.to_owned() },
            subresource: text("subresource").to_owned(),
        };
        let time = entry["time"].as_str().map(str::to_owned);
        owners.insert(owner, Owned { fields, version: version.to_owned(), time });
    }
    Ok(owners)
}

/// As the object carries them; null for none.
pub(super) fn written(owners: &Owners) -> Value {
    if owners.is_empty() {
        return Value::Null;
    }
    let mut sorted: Vec<(&Owner, &Owned)> = owners.iter().collect();
    sorted.sort_by_key(|(owner, owned)| {
        let time = owned.time.as_deref().unwrap_or_default();
        (owner.operation, time, owner.manager.as_str(), owned.version.as_str(), owner.subresource.as_str())
    });
    let entries = sorted.into_iter().map(|(owner, owned)| {
        let operation = match owner.operation {
            Operation::Apply => "Apply",
            Operation::Update => "Update",
        };
        let mut entry = json!({
            "operation": operation, "apiVersion": owned.version, "fieldsType": "FieldsV1", "fieldsV1": owned.fields.json(),
        });
        for (field, value) in [("manager", Some(&owner.manager)), ("subresource", Some(&owner.subresource)), ("time", owned.time.as_ref())] {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                entry[field] = value.as_str().into();
            }
        }
        entry
    });
    entries.collect()
}

/// Merges the oldest entries of updates, one for each version, until there are few enough.
pub(super) fn capped(mut owners: Owners) -> Owners {
    let mut updaters: Vec<(Owner, Option<String>)> = owners
        .iter()
        .filter(|(owner, _)| owner.operation == Operation::Update)
        .map(|(owner, owned)| (owner.clone(), owned.time.clone()))
        .collect();
    let mut left = updaters.len();
    if left <= UPDATERS {
        return owners;
    }
    updaters.sort_by(|(one, at), (other, then)| {
        let key = |owner: &Owner| {
            (owner.manager.clone(), owner.version.clone(), owner.subresource.is_empty(), owner.subresource.clone())
        };
        at.cmp(then).then_with(|| key(one).cmp(&key(other)))
    });
    let mut first_of: BTreeMap<String, Owner> = BTreeMap::new();
    for (owner, time) in updaters {
        if left <= UPDATERS {
            break;
        }
        let Some(version) = owners.get(&owner).map(|owned| owned.version.clone()) else { continue };
        let Some(first) = first_of.get(&version) else {
            first_of.insert(version, owner);
            continue;
        };
        let bucket = Owner::new(Operation::Update, ANCIENT, &version, "");
        if !owners.contains_key(&bucket)
            && let Some(oldest) = owners.remove(first)
        {
            owners.insert(bucket.clone(), oldest);
        }
        if let Some(merged) = owners.remove(&owner) {
            left -= 1;
            if let Some(bucket) = owners.get_mut(&bucket) {
                bucket.fields.add(merged.fields);
                bucket.time = time;
            }
        }
    }
    owners
}
