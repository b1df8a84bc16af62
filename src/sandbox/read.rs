//! Get and list. The rules of versions are those of <https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions>.

use std::sync::Arc;

use serde_json::{Value, json};

use super::kinds::Kind;
use super::page::Page;
use super::refused::Refused;
use super::route::{Parameters, Target};
use super::selector::Selector;
use super::store::{Key, OutOfHistory, State};
use super::{Storage, event, options};

/// An object as it is now, or not older than the version that was asked for.
pub(super) fn get(storage: &Storage, target: &Target, parameters: &Parameters) -> Result<Value, Refused> {
    let asked = parameters.text("resourceVersion");
    let version = if asked.is_empty() { 0 } else { asked.parse().map_err(|_| Refused::no_version(asked))? };
    let state = storage.lock();
    if version > state.revision() {
        return Err(Refused::too_new(version, state.revision()));
    }
    let object = state.get(&target.key()).ok_or_else(|| Refused::not_found(&target.kind, &target.name))?;
    Ok(shown(&target.kind, object))
}

pub(super) fn list(storage: &Storage, target: &Target, parameters: &Parameters) -> Result<Value, Refused> {
    let kind = &target.kind;
    let selector = Selector::read(kind, parameters)?;
    options::check_list(parameters)?;
    parameters.number("timeoutSeconds")?;
    let limit = parameters.count("limit")?;
    let state = storage.lock();
    let from = From::read(&state, parameters)?;
    let left = |(key, object): (&Key, &Arc<Value>)| {
        let left = from.page.as_ref().is_none_or(|page| page.holds(&target.namespace, key));
        left.then(|| (key.clone(), object.clone()))
    };
    let left: Vec<(Key, Arc<Value>)> = if from.revision == state.revision() {
        state.list(&kind.place(), &target.namespace).filter_map(left).collect()
    } else {
        let past = state.list_at(&kind.place(), &target.namespace, from.revision);
        past.map_err(|error| from.refused(error))?.iter().filter_map(left).collect()
    };
    let mut metadata = json!({"resourceVersion": from.revision.to_string()});
    let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    let mut left = left.into_iter();
    let mut page = Vec::new();
    while page.len() < limit
        && let Some((key, object)) = left.next()
    {
        if (target.name.is_empty() || target.name == key.name) && selector.selects(&object) {
            page.push((key, object));
        }
    }
    // A page that is full is said to be followed by another if anything follows, selected or not.
    if let (Some((last, _)), true) = (page.last(), left.len() > 0) {
        metadata["continue"] = Page::after(from.revision, &target.namespace, last).token().into();
        if selector.is_empty() {
            metadata["remainingItemCount"] = left.len().into();
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
pub(super) fn item(kind: &Kind, object: &Value) -> Value {
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
    page: Option<Page>,
}

impl From {
    fn read(state: &State, parameters: &Parameters) -> Result<Self, Refused> {
        let (asked, rule) = (parameters.text("resourceVersion"), parameters.text("resourceVersionMatch"));
        let current = state.revision();
        if parameters.has("continue") {
            let page = Page::read(parameters.text("continue"))?;
            if !matches!(asked, "" | "0") {
                return Err(Refused::bad_request("specifying resource version is not allowed when using continue"));
            }
            return Ok(Self { revision: page.revision.unwrap_or(current), page: Some(page) });
        }
        let now = Self { revision: current, page: None };
        match version(asked)? {
            None => Ok(now),
            // A limit without a rule has meant exactly this version since before there were rules.
            Some(version) if rule == "Exact" || (rule.is_empty() && version > 0 && parameters.has("limit")) => {
                Ok(Self { revision: version, page: None })
            }
            Some(version) if version <= current => Ok(now),
            Some(version) => Err(Refused::too_new(version, current)),
        }
    }

    fn refused(&self, error: OutOfHistory) -> Refused {
        match (error, &self.page) {
            (OutOfHistory::Forgotten(_), Some(page)) => Refused::continue_expired(&page.now().token()),
            (OutOfHistory::Forgotten(_), None) => Refused::list_expired(),
            (OutOfHistory::NotYet(current), _) => Refused::too_new(self.revision, current),
        }
    }
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
