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
    // Orders are by what stood there before.
    let orders = changes.iter().filter_map(|(name, order)| {
        let list = name.strip_prefix("$setElementOrder/")?;
        Some((list, order.as_array()?, fields.get(list).and_then(Value::as_array).cloned().unwrap_or_default()))
    });
    let orders: Vec<(&str, &Vec<Value>, Vec<Value>)> = orders.collect();
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
    for (list, order, before) in orders {
        if let Some(items) = fields.get_mut(list).and_then(Value::as_array_mut) {
            sort(items, order, &before, Merge::of(schema.and_then(|schema| schema.field(list))));
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
                let before = items.clone();
                items.extend(changes.iter().filter(|item| !before.contains(item)).cloned());
                sort(items, changes, &before, Merge::Set);
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
    let changes: Vec<Value> = changes.iter().filter(|change| change.get("$patch").is_none()).cloned().collect();
    if replaced {
        *items = changes;
        return Ok(());
    }
    let before = items.clone();
    for change in &changes {
        let identity = identity(change, key)?;
        match items.iter_mut().find(|item| item.get(key) == Some(identity)) {
            Some(item) => merge_value(schema, item, change)?,
            None => items.push(change.clone()),
        }
    }
    sort(items, &changes, &before, Merge::By(key));
    Ok(())
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

/// `normalizeElementOrder`: what the patch names stands in its order, the rest in the order of before, and between the two decides what
/// was in front before; where that says nothing, what the patch names.
fn sort(items: &mut Vec<Value>, order: &[Value], before: &[Value], rule: Merge) {
    let place = |list: &[Value], item: &Value| {
        list.iter().position(|one| match rule {
            Merge::By(key) => one.get(key) == item.get(key),
            Merge::Set | Merge::Replace => one == item,
        })
    };
    let (mut named, mut rest): (Vec<Value>, Vec<Value>) =
        items.drain(..).partition(|item| place(order, item).is_some());
    named.sort_by_key(|item| place(order, item));
    rest.sort_by_key(|item| place(before, item));
    let mut rest = rest.into_iter().peekable();
    for item in named {
        let is_before = |other: &Value| {
            place(before, &item).is_some_and(|here| place(before, other).is_some_and(|there| there < here))
        };
        while let Some(other) = rest.next_if(is_before) {
            items.push(other);
        }
        items.push(item);
    }
    items.extend(rest);
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
