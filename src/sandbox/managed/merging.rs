//! Lays an object over another: what the second says counts, what it leaves out stays. From
//! `sigs.k8s.io/structured-merge-diff/v6/typed/merge.go`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::{Map, Value};

use super::element::Element;
use super::shape::{Form, Items, ListShape, MapShape, Taken};

pub(super) fn merged(form: Form<'_>, live: &Value, config: &Value) -> Value {
    walk(form, Some(live), Some(config)).unwrap_or_default()
}

/// Nothing where there is nothing left to say.
fn walk(form: Form<'_>, left: Option<&Value>, right: Option<&Value>) -> Option<Value> {
    let last = || right.or(left).cloned();
    match form.taken(right.or(left)?) {
        None => None,
        Some(Taken::Plain(_)) => last(),
        Some(Taken::Map(map)) => {
            let (before, after) = (left.and_then(Value::as_object), right.and_then(Value::as_object));
            let is_empty = |fields: Option<&Map<String, Value>>| fields.is_none_or(Map::is_empty);
            if map.atomic || is_empty(before) && is_empty(after) { last() } else { fields(form, map, before, after) }
        }
        Some(Taken::List(list)) => {
            let (before, after) = (left.and_then(Value::as_array), right.and_then(Value::as_array));
            let is_empty = |items: Option<&Vec<Value>>| items.is_none_or(Vec::is_empty);
            if list.items == Items::Atomic || is_empty(before) && is_empty(after) {
                return last();
            }
            let items = |items: Option<&Vec<Value>>| items.cloned().unwrap_or_default();
            Some(Value::Array(merged_items(form, list, &items(before), &items(after)))).filter(|list| !is_none(list))
        }
    }
}

fn is_none(list: &Value) -> bool {
    list.as_array().is_some_and(Vec::is_empty)
}

fn fields(
    form: Form<'_>,
    map: &MapShape,
    before: Option<&Map<String, Value>>,
    after: Option<&Map<String, Value>>,
) -> Option<Value> {
    let names: BTreeSet<&String> =
        before.into_iter().flatten().chain(after.into_iter().flatten()).map(|(name, _)| name).collect();
    let fields: Map<String, Value> = names
        .into_iter()
        .filter_map(|name| {
            let (left, right) = (before.and_then(|all| all.get(name)), after.and_then(|all| all.get(name)));
            Some((name.clone(), walk(form.field(map, name)?, left, right)?))
        })
        .collect();
    (!fields.is_empty()).then_some(Value::Object(fields))
}

/// Items of both. Those that both have stand in the second's order; those of the first alone stay where they were between them.
fn merged_items(form: Form<'_>, list: &ListShape, before: &[Value], after: &[Value]) -> Vec<Value> {
    let form = form.item(list);
    let with_element = |items: &[Value]| -> VecDeque<(Element, Value)> {
        items.iter().filter_map(|item| Some((list.element(item).ok()?, item.clone()))).collect()
    };
    let (mut left, mut right) = (with_element(before), with_element(after));
    let mut old: BTreeMap<Element, Value> = BTreeMap::new();
    for (element, item) in &left {
        // Of one that stands more than once nothing is merged with the new item.
        old.entry(element.clone()).and_modify(|item| *item = Value::Null).or_insert_with(|| item.clone());
    }
    let new: BTreeSet<Element> = right.iter().map(|(element, _)| element.clone()).collect();
    let mut shared: VecDeque<Element> =
        right.iter().map(|(element, _)| element.clone()).filter(|element| old.contains_key(element)).collect();
    let mut next = shared.pop_front();
    let mut done: BTreeSet<Element> = BTreeSet::new();
    let mut items = Vec::new();
    while !left.is_empty() || !right.is_empty() {
        if let (Some((element, _)), Some((wanted, item))) = (left.front(), right.front()) {
            if element == wanted {
                items.extend(walk(form, old.get(element), Some(item)));
                done.insert(element.clone());
                next = shared.pop_front();
                left.pop_front();
                right.pop_front();
                continue;
            }
            if new.contains(element) && next.as_ref().is_some_and(|next| next != element) {
                left.pop_front(); // both have it, but it is not its turn
                continue;
            }
        }
        if let Some((element, item)) = left.front() {
            if !new.contains(element) {
                items.extend(walk(form, Some(item), None));
                left.pop_front();
                continue;
            }
            if done.contains(element) {
                left.pop_front();
            }
        }
        if let Some((element, item)) = right.pop_front() {
            items.extend(walk(form, old.get(&element), Some(&item)));
            if next.as_ref() == Some(&element) {
                next = shared.pop_front();
            }
            done.insert(element);
        }
    }
    items
}
