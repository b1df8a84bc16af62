//! Managed fields: which writer owns which field of an object, kept with every write, and what server-side apply makes of it (KEP-555).
//! From `k8s.io/apimachinery/pkg/util/managedfields/internal`; what is below it, from `sigs.k8s.io/structured-merge-diff/v6`.
//!
//! | Module | Decides |
//! |---|---|
//! | [`element`], [`fieldset`] | what a field is, and a set of them |
//! | [`shape`] | which values of a kind are one thing, and which are merged |
//! | [`extent`], [`difference`], [`merging`], [`removal`], [`fitness`] | what an object says, changes, adds and takes |
//! | [`ownership`], [`reconciled`], [`versions`] | what a write makes of the owners |
//! | [`entries`] | how an object carries them |
//! | [`last_applied`] | what `kubectl apply` on the client's side has left behind |
//!
//! Known to be otherwise than on the server: empty labels or annotations that are applied to a custom resource are not stored, where the
//! server stores them unseen and its next write takes them away; an object is not held to its schema before an update is recorded (the
//! server drops all entries of one that does not fit, which none does that was admitted).

mod difference;
mod element;
mod entries;
mod extent;
mod fieldset;
mod fitness;
mod last_applied;
mod merging;
mod ownership;
mod reconciled;
mod removal;
pub(super) mod shape;
mod versions;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::sync::LazyLock;

use serde_json::Value;

use super::decoded;
use super::metadata::remove;
use super::refused::Refused;
use element::Element;
use entries::{Operation, Owner, Owners};
use fieldset::FieldSet;
use ownership::{Change, Conflict};
pub(super) use versions::Versions;

/// Who owns what an object had before anybody applied to it, where nobody is on record.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";

/// Who writes, when, and through what.
#[derive(Clone, Debug)]
pub(super) struct Writer {
    /// `fieldManager`, or who the client says that it is.
    pub(super) manager: String,
    /// Whether the write is to the subresource `status`.
    pub(super) status: bool,
    /// RFC 3339, in seconds.
    pub(super) now: String,
}

impl Writer {
    fn subresource(&self) -> &'static str {
        if self.status { "status" } else { "" }
    }

    fn owner(&self, operation: Operation, versions: &Versions<'_>) -> Owner {
        Owner::new(operation, &self.manager, versions.here(), self.subresource())
    }
}

/// Keeps the owners on an object that is created (`live` is none) or edited, but not applied. The object may bring entries of its
/// own: who has read an object brings those, who wants none writes `[{}]`.
pub(super) fn update(versions: &Versions<'_>, writer: &Writer, live: Option<&Value>, object: &mut Value) {
    let asked = object["metadata"]["managedFields"].take();
    remove(&mut object["metadata"], "managedFields");
    let known = || live.map_or_else(Owners::new, owners_of);
    let owners = if writer.status {
        known()
    } else if is_reset(&asked) {
        Owners::new()
    } else {
        // Clients that do not know the field must not delete it.
        entries::read(&asked).ok().filter(|owners| !owners.is_empty()).unwrap_or_else(known)
    };
    // Of an object whose entries somebody took away nothing is kept until somebody applies.
    if owners.is_empty() && live.is_some() {
        return;
    }
    let before = live.map_or_else(|| Cow::Owned(decoded::empty(versions.kind())), |live| versions.shown(live));
    let owners = taken(versions, writer, &before, &versions.shown(object), owners);
    carry(object, &entries::capped(owners));
}

/// The object after an apply: `live` with what `config` says, and its owners. Nothing of a live object is a new one.
pub(super) fn apply(
    versions: &Versions<'_>,
    writer: &Writer,
    live: Option<&Value>,
    config: &Value,
    force: bool,
) -> Result<Value, Refused> {
    if config["metadata"]["managedFields"].is_array() {
        return Err(Refused::bad_request("metadata.managedFields must be nil"));
    }
    let place = |field: &str| config["metadata"][field].as_str().unwrap_or_default();
    fitness::check(versions.form(), config).map_err(|why| {
        let kind = versions.kind();
        let identity = format!("{}/{}, Kind={}", kind.group, kind.version, kind.kind);
        let (namespace, name) = (place("namespace"), place("name"));
        Refused::unfit_to_apply(format!("failed to create typed patch object ({namespace}/{name}; {identity}): {why}"))
    })?;
    let mut current = live.map_or_else(|| decoded::empty(versions.kind()), |live| versions.shown(live).into_owned());
    let mut owners = owners_of(&current);
    remove(&mut current["metadata"], "managedFields");
    if owners.is_empty() && live.is_some() {
        let before = Writer { manager: BEFORE_FIRST_APPLY.to_owned(), ..writer.clone() };
        owners = taken(versions, &before, &decoded::empty(versions.kind()), &current, owners);
    }
    let by = writer.owner(Operation::Apply, versions);
    let reset = reset(versions, writer.status);
    let change = |owners: &Owners| Change { versions, live: &current, owners: owners.clone(), reset: &reset };
    let kubectl = writer.manager == last_applied::MANAGER;
    let (object, mut owners) = match change(&owners).applied(config, &by, force) {
        Ok(done) => done,
        Err(conflicts) if !kubectl => return Err(refused(&conflicts)),
        Err(conflicts) => {
            let rest = last_applied::not_allowed(versions, &current, conflicts);
            if !rest.is_empty() {
                return Err(refused(&rest));
            }
            change(&owners).applied(config, &by, true).map_err(|conflicts| refused(&conflicts))?
        }
    };
    strip(&mut owners, &by);
    let changed = object.is_some();
    if let Some(owned) = owners.get_mut(&by).filter(|_| changed) {
        owned.time = Some(writer.now.clone());
    }
    let mut object = object.unwrap_or(current);
    carry(&mut object, &owners);
    if kubectl {
        last_applied::renew(&mut object, config);
    }
    Ok(object)
}

/// Whether two objects differ in nothing but the times of the entries, if at all: then nothing is written.
pub(super) fn same_but_for_times(object: &Value, old: &Value) -> bool {
    let entries = |object: &Value| object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let timeless = |object: &Value| -> Vec<Value> {
        let mut entries = entries(object);
        entries.iter_mut().for_each(|entry| remove(entry, "time"));
        entries
    };
    let others = |object: &Value, other: &Value, field: &str| {
        let fields = |object: &Value| object.as_object().map_or(0, serde_json::Map::len);
        let rest = object.as_object().into_iter().flatten().filter(|(name, _)| *name != field);
        fields(object) == fields(other) && rest.into_iter().all(|(name, value)| other.get(name) == Some(value))
    };
    others(object, old, "metadata")
        && others(&object["metadata"], &old["metadata"], "managedFields")
        && timeless(object) == timeless(old)
}

/// The owners after an update of somebody, who is one of them with what it changes.
fn taken(versions: &Versions<'_>, writer: &Writer, live: &Value, object: &Value, owners: Owners) -> Owners {
    let reset = reset(versions, writer.status);
    let (mut owners, fields) = Change { versions, live, owners, reset: &reset }.updated(object);
    let fields = fields.difference(&STRIPPED);
    if !fields.is_empty() {
        let owned = owners.entry(writer.owner(Operation::Update, versions)).or_default();
        owned.fields.add(fields);
        versions.here().clone_into(&mut owned.version);
        owned.time = Some(writer.now.clone());
    }
    owners
}

fn owners_of(object: &Value) -> Owners {
    entries::read(&object["metadata"]["managedFields"]).unwrap_or_default()
}

/// Whether a writer wants no entries: an empty one, or an empty list of them.
fn is_reset(entries: &Value) -> bool {
    match entries.as_array().map(Vec::as_slice) {
        Some([]) => true,
        Some([one]) => one.as_object().is_some_and(serde_json::Map::is_empty),
        Some(_) | None => false,
    }
}

fn carry(object: &mut Value, owners: &Owners) {
    let entries = entries::written(owners);
    if entries.is_null() {
        remove(&mut object["metadata"], "managedFields");
    } else {
        object["metadata"]["managedFields"] = entries;
    }
}

/// What is nobody's (`stripmeta.go`).
static STRIPPED: LazyLock<FieldSet> = LazyLock::new(|| {
    let metadata = [
        "name",
        "namespace",
        "creationTimestamp",
        "selfLink",
        "uid",
        "clusterName",
        "generation",
        "managedFields",
        "resourceVersion",
    ];
    let mut fields = set(&[&["apiVersion"], &["kind"], &["metadata"]]);
    metadata.iter().for_each(|field| fields.insert(&[Element::field("metadata"), Element::field(field)]));
    fields
});

/// Fields that a kind's strategy does not take from this way of writing (`GetResetFields` of each `strategy.go`).
fn reset(versions: &Versions<'_>, status: bool) -> FieldSet {
    let kind = versions.kind();
    match (kind.status, status) {
        (false, _) => FieldSet::default(),
        (true, false) => set(&[&["status"]]),
        (true, true) if kind.custom => set(&[&["metadata"], &["spec"]]),
        (true, true) if kind.is("Pod") => {
            set(&[&["spec"], &["metadata", "deletionTimestamp"], &["metadata", "ownerReferences"]])
        }
        (true, true) => set(&[&["spec"]]),
    }
}

fn set(paths: &[&[&str]]) -> FieldSet {
    let mut fields = FieldSet::default();
    for path in paths {
        let path: Vec<Element> = path.iter().map(|name| Element::field(name)).collect();
        fields.insert(&path);
    }
    fields
}

fn strip(owners: &mut Owners, by: &Owner) {
    if let Some(owned) = owners.get_mut(by) {
        owned.fields = owned.fields.difference(&STRIPPED);
        if owned.fields.is_empty() {
            owners.remove(by);
        }
    }
}

/// In the server's words (`conflict.go`).
fn refused(conflicts: &[Conflict]) -> Refused {
    let path = |conflict: &Conflict| conflict.path.iter().map(ToString::to_string).collect::<String>();
    let message = if let [one] = conflicts {
        format!("Apply failed with 1 conflict: conflict with {}: {}", one.owner.printed(), path(one))
    } else {
        let mut lines = Vec::new();
        let mut last = None;
        for conflict in conflicts {
            if last != Some(&conflict.owner) {
                lines.push(format!("conflicts with {}:", conflict.owner.printed()));
                last = Some(&conflict.owner);
            }
            lines.push(format!("- {}", path(conflict)));
        }
        format!("Apply failed with {} conflicts: {}", conflicts.len(), lines.join("\n"))
    };
    let causes =
        conflicts.iter().map(|conflict| (format!("conflict with {}", conflict.owner.printed()), path(conflict)));
    Refused::apply_conflict(message, causes)
}
