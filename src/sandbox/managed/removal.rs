//! Takes fields and items out of an object. From `sigs.k8s.io/structured-merge-diff/v6/typed/remove.go`.

use serde_json::{Map, Value};

use super::element::Element;
use super::fieldset::FieldSet;
use super::shape::{Form, Items, ListShape, MapShape, Taken};

pub(super) fn without(form: Form<'_>, value: &Value, unwanted: &FieldSet) -> Value {
    match (form.taken(value), value) {
        (Some(Taken::Map(map)), Value::Object(fields)) if !map.atomic => without_fields(form, map, fields, unwanted),
        (Some(Taken::List(list)), Value::Array(items)) if list.items != Items::Atomic => {
            without_items(form, list, items, unwanted)
        }
        (Some(Taken::Plain(_)), value) => value.clone(),
        // Within one value nothing can be told apart.
        _ => Value::Null,
    }
}

fn without_fields(form: Form<'_>, map: &MapShape, fields: &Map<String, Value>, unwanted: &FieldSet) -> Value {
    let mut had = false;
    let mut rest = Map::new();
    for (name, value) in fields {
        let element = Element::field(name);
        if unwanted.has(&element) {
            continue;
        }
        let Some((form, below)) = form.field(map, name).zip(unwanted.below(&element)) else {
            rest.insert(name.clone(), value.clone());
            continue;
        };
        had = true;
        rest.insert(name.clone(), emptied(value, without(form, value, below)));
    }
    if rest.is_empty() && !had { Value::Null } else { Value::Object(rest) }
}

fn without_items(form: Form<'_>, list: &ListShape, items: &[Value], unwanted: &FieldSet) -> Value {
    let mut had = false;
    let mut rest = Vec::new();
    for item in items {
        let Ok(element) = list.element(item) else { continue };
        if unwanted.has(&element) {
            continue;
        }
        match unwanted.below(&element) {
            None => rest.push(item.clone()),
            Some(below) => {
                had = true;
                rest.push(emptied(item, without(form.item(list), item, below)));
            }
        }
    }
    if rest.is_empty() && !had { Value::Null } else { Value::Array(rest) }
}

/// Of a map or list that loses all that it has the empty one stays.
fn emptied(before: &Value, after: Value) -> Value {
    match (before, after) {
        (Value::Object(_), Value::Null) => Value::Object(Map::new()),
        (Value::Array(_), Value::Null) => Value::Array(Vec::new()),
        (_, after) => after,
    }
}
