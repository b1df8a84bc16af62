//! Get and list. The rules of versions are those of <https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions>.

use std::sync::Arc;

use serde_json::{Value, json};

use super::kinds::Kind;
use super::refused::{FieldError, Refused};
use super::route::{Parameters, Target};
use super::selector::Selector;
use super::store::{Key, OutOfHistory, State};
use super::{Storage, event};

pub(super) fn get(storage: &Storage, target: &Target) -> Result<Value, Refused> {
    let state = storage.lock();
    let object = state.get(&target.key()).ok_or_else(|| Refused::not_found(&target.kind, &target.name))?;
    Ok(shown(&target.kind, object))
}

pub(super) fn list(storage: &Storage, target: &Target, parameters: &Parameters) -> Result<Value, Refused> {
    let kind = &target.kind;
    let selector = Selector::read(kind, parameters)?;
    if parameters.has("sendInitialEvents") {
        let why = "sendInitialEvents is forbidden for list";
        return Err(Refused::invalid_options(&FieldError::forbidden("sendInitialEvents", why)));
    }
    let limit = parameters.number("limit")?.filter(|limit| *limit > 0);
    let state = storage.lock();
    let from = From::read(&state, parameters)?;
    let chosen = |(key, object): (&Key, &Arc<Value>)| {
        let after = from.after.as_ref().is_none_or(|(namespace, name)| (&key.namespace, &key.name) > (namespace, name));
        let named = target.name.is_empty() || target.name == key.name;
        (after && named && selector.selects(object)).then(|| (key.clone(), object.clone()))
    };
    let all: Vec<(Key, Arc<Value>)> = if from.revision == state.revision() {
        state.list(&kind.place(), &target.namespace).filter_map(chosen).collect()
    } else {
        let past = state.list_at(&kind.place(), &target.namespace, from.revision);
        past.map_err(|error| from.refused(error))?.iter().filter_map(chosen).collect()
    };
    let mut metadata = json!({"resourceVersion": from.revision.to_string()});
    let page = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX).min(all.len());
    let (page, rest) = all.split_at_checked(page).unwrap_or((&all, &[]));
    if let (Some((last, _)), false) = (page.last(), rest.is_empty()) {
        metadata["continue"] = token(from.revision, last).into();
        if selector.is_empty() {
            metadata["remainingItemCount"] = rest.len().into();
        }
    }
    let items: Vec<Value> = page.iter().map(|(_, object)| item(kind, object)).collect();
    Ok(json!({"kind": kind.list_kind, "apiVersion": kind.api_version(), "metadata": metadata, "items": items}))
}

/// An object as this kind's clients see it.
pub(super) fn shown(kind: &Kind, object: &Value) -> Value {
    let mut object = object.clone();
    if kind.is_new_event() {
        event::shown(&mut object);
    }
    object["kind"] = kind.kind.as_str().into();
    object["apiVersion"] = kind.api_version().into();
    object
}

/// The same within a list, where built-in kinds do not repeat what the list says.
fn item(kind: &Kind, object: &Value) -> Value {
    let mut object = shown(kind, object);
    if !kind.custom
        && let Some(fields) = object.as_object_mut()
    {
        fields.remove("kind");
        fields.remove("apiVersion");
    }
    object
}

/// Where a list begins.
struct From {
    revision: u64,
    /// After this namespace and name.
    after: Option<(String, String)>,
}

impl From {
    fn read(state: &State, parameters: &Parameters) -> Result<Self, Refused> {
        let (asked, rule) = (parameters.text("resourceVersion"), parameters.text("resourceVersionMatch"));
        let current = state.revision();
        if parameters.has("continue") {
            if !matches!(asked, "" | "0") {
                return Err(Refused::bad_request("specifying resource version is not allowed when using continue"));
            }
            return Self::continued(parameters.text("continue"));
        }
        let version = version(asked)?;
        match (rule, version) {
            ("", None) => Ok(Self { revision: current, after: None }),
            ("NotOlderThan" | "Exact", None) => Err(Refused::invalid_options(&FieldError::forbidden(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden unless resourceVersion is provided",
            ))),
            ("Exact", Some(0)) => Err(Refused::invalid_options(&FieldError::forbidden(
                "resourceVersionMatch",
                "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
            ))),
            // A limit without a rule has meant exactly this version since before there were rules.
            ("Exact", Some(version)) => Ok(Self { revision: version, after: None }),
            ("", Some(version)) if version > 0 && parameters.has("limit") => {
                Ok(Self { revision: version, after: None })
            }
            ("" | "NotOlderThan", Some(version)) if version <= current => Ok(Self { revision: current, after: None }),
            ("" | "NotOlderThan", Some(version)) => Err(Refused::too_new(version, current)),
            (other, _) => Err(Refused::invalid_options(&FieldError::not_supported(
                "resourceVersionMatch",
                &other.into(),
                &["Exact", "NotOlderThan", ""],
            ))),
        }
    }

    fn continued(token: &str) -> Result<Self, Refused> {
        let read = || {
            let (revision, rest) = token.split_once('.')?;
            let (namespace, name) = rest.split_once('.')?;
            Some(Self { revision: revision.parse().ok()?, after: Some((namespace.to_owned(), name.to_owned())) })
        };
        read().ok_or_else(|| Refused::bad_request("invalid continue token: continue key is not valid"))
    }

    fn refused(&self, error: OutOfHistory) -> Refused {
        match error {
            OutOfHistory::Forgotten(_) if self.after.is_some() => Refused::continue_expired(),
            OutOfHistory::Forgotten(compacted) => Refused::too_old(self.revision, compacted),
            OutOfHistory::NotYet(current) => Refused::too_new(self.revision, current),
        }
    }
}

/// Opaque to clients. A namespace has no dot.
fn token(revision: u64, last: &Key) -> String {
    format!("{revision}.{}.{}", last.namespace, last.name)
}

/// The number that a resourceVersion stands for; none where it is empty.
pub(super) fn version(text: &str) -> Result<Option<u64>, Refused> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| {
        Refused::bad_request(format!(
            "invalid resource version: resourceVersion: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax"
        ))
    })
}

impl Target {
    pub(super) fn key(&self) -> Key {
        Key { place: self.kind.place(), namespace: self.namespace.clone(), name: self.name.clone() }
    }
}
