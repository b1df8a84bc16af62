//! Strategic merge patches (`k8s.io/apimachinery/pkg/util/strategicpatch/patch.go`): lists of which the kind's schema says so are merged
//! by a key instead of replaced, and directives say what else is meant.

use serde_json::{Map, Value};

use super::decoder::go_value;
use super::kinds::Kind;
use super::schema::Schema;

/// Merges a patch into an object.
pub(super) fn merge(kind: &Kind, object: &mut Value, patch: &Value) -> Result<(), String> {
    merge_value(Schema::of(kind), object, patch)
}

/// How a list is merged.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Merge<'a> {
    /// Item by item, by this field.
    By(&'a str),
    /// As a set of scalars.
    Set,
    /// The patch's list replaces the other.
    Replace,
}

impl<'a> Merge<'a> {
    fn of(schema: Option<Schema<'a>>) -> Self {
        let Some(schema) = schema.filter(|schema| schema.is_patched_by("merge")) else { return Self::Replace };
        schema.merge_key().map_or(Self::Set, Self::By)
    }
}

/// `mergeMap`, where both are objects; all else is replaced.
fn merge_value(schema: Option<Schema>, target: &mut Value, patch: &Value) -> Result<(), String> {
    let (Some(fields), Some(changes)) = (target.as_object_mut(), patch.as_object()) else {
        *target = patch.clone();
        return Ok(());
    };
    match changes.get("$patch") {
        None => {}
        Some(directive) if directive == "replace" => {
            *fields = changes.clone();
            fields.remove("$patch");
            return Ok(());
        }
        Some(directive) if directive == "delete" => {
            fields.clear();
            return Ok(());
        }
        Some(directive) => return Err(bad_directive(directive, patch)),
    }
    if let Some(kept) = changes.get("$retainKeys") {
        retain(fields, changes, kept)?;
    }
    for (name, change) in changes {
        if let Some(list) = name.strip_prefix("$deleteFromPrimitiveList/") {
            let unwanted = change.as_array().cloned().unwrap_or_default();
            if let Some(items) = fields.get_mut(list).and_then(Value::as_array_mut) {
                items.retain(|item| !unwanted.contains(item));
            }
        } else if !name.starts_with('$') {
            merge_field(schema.and_then(|schema| schema.field(name)), fields, name, change)?;
        }
    }
    for (name, order) in changes {
        if let (Some(list), Some(order)) = (name.strip_prefix("$setElementOrder/"), order.as_array())
            && let Some(items) = fields.get_mut(list).and_then(Value::as_array_mut)
        {
            sort(items, order, Merge::of(schema.and_then(|schema| schema.field(list))));
        }
    }
    Ok(())
}

fn merge_field(
    schema: Option<Schema>,
    fields: &mut Map<String, Value>,
    name: &str,
    change: &Value,
) -> Result<(), String> {
    if change.is_null() {
        fields.remove(name);
        return Ok(());
    }
    match (fields.get_mut(name), change) {
        (Some(field @ Value::Object(_)), Value::Object(_))
            if !schema.is_some_and(|schema| schema.is_patched_by("replace")) =>
        {
            merge_value(schema, field, change)?;
        }
        (Some(Value::Array(items)), Value::Array(changes)) => match Merge::of(schema) {
            Merge::By(key) => merge_list(schema.and_then(|schema| schema.items()), items, changes, key)?,
            Merge::Set => {
                let new: Vec<Value> = changes.iter().filter(|item| !items.contains(item)).cloned().collect();
                items.extend(new);
            }
            Merge::Replace => items.clone_from(changes),
        },
        (_, change) => match without_directives(change) {
            Some(new) => drop(fields.insert(name.to_owned(), new)),
            None => drop(fields.remove(name)),
        },
    }
    Ok(())
}

/// `mergeSlice`.
fn merge_list(schema: Option<Schema>, items: &mut Vec<Value>, changes: &[Value], key: &str) -> Result<(), String> {
    if items.iter().chain(changes).any(|item| !item.is_object()) {
        let lists = [Value::Array(items.clone()), Value::Array(changes.to_vec())];
        return Err(format!("list element types are not identical: [{}]", lists.each_ref().map(go_value).join(" ")));
    }
    let mut replaced = false;
    for change in changes {
        let Some(directive) = change.get("$patch") else { continue };
        match directive.as_str() {
            Some("delete") => {
                let identity = identity(change, key)?;
                items.retain(|item| item.get(key) != Some(identity));
            }
            Some("replace") => replaced = true,
            Some("merge") => return Err("merging lists cannot yet be specified in the patch".to_owned()),
            _ => return Err(bad_directive(directive, change)),
        }
    }
    let mut changes = changes.iter().filter(|change| change.get("$patch").is_none());
    if replaced {
        *items = changes.cloned().collect();
        return Ok(());
    }
    changes.try_for_each(|change| {
        let identity = identity(change, key)?;
        match items.iter_mut().find(|item| item.get(key) == Some(identity)) {
            Some(item) => merge_value(schema, item, change),
            None => {
                items.push(change.clone());
                Ok(())
            }
        }
    })
}

fn identity<'a>(change: &'a Value, key: &str) -> Result<&'a Value, String> {
    change.get(key).ok_or_else(|| format!("map: {} does not contain declared merge key: {key}", go_value(change)))
}

/// `applyRetainKeysDirective`: what is not named goes, and what is changed has to be named.
fn retain(fields: &mut Map<String, Value>, changes: &Map<String, Value>, kept: &Value) -> Result<(), String> {
    let wrong = || "invalid patch format of retainKeys".to_owned();
    let kept = kept.as_array().ok_or_else(wrong)?;
    let is_kept = |name: &str| kept.iter().any(|kept| kept == name);
    let mut named = changes.iter().filter(|(name, change)| !name.starts_with('$') && !change.is_null());
    if named.any(|(name, _)| !is_kept(name)) {
        return Err(wrong());
    }
    fields.retain(|name, _| is_kept(name));
    Ok(())
}

/// Items that the order names stand in that order; the others stay behind the one that they followed.
fn sort(items: &mut Vec<Value>, order: &[Value], rule: Merge) {
    let rank = |item: &Value| {
        order.iter().position(|one| match rule {
            Merge::By(key) => one.get(key) == item.get(key),
            Merge::Set | Merge::Replace => one == item,
        })
    };
    let mut last = None;
    let mut ranked: Vec<(Option<usize>, Value)> = Vec::with_capacity(items.len());
    for item in items.drain(..) {
        last = rank(&item).or(last);
        ranked.push((last, item));
    }
    ranked.sort_by_key(|(rank, _)| *rank);
    items.extend(ranked.into_iter().map(|(_, item)| item));
}

/// A value that was not there before: without what is only a directive, and without nulls.
fn without_directives(value: &Value) -> Option<Value> {
    match value {
        Value::Object(fields) if fields.contains_key("$patch") => None,
        Value::Object(fields) => {
            let fields = fields.iter().filter(|(name, field)| !name.starts_with('$') && !field.is_null());
            Some(Value::Object(
                fields.filter_map(|(name, field)| Some((name.clone(), without_directives(field)?))).collect(),
            ))
        }
        Value::Array(items) => Some(Value::Array(items.iter().filter_map(without_directives).collect())),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Some(value.clone()),
    }
}

fn bad_directive(directive: &Value, within: &Value) -> String {
    format!("unknown patch type: {} in map: {}", go_value(directive), go_value(within))
}
