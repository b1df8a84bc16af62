//! Every field that an object says something of. From `sigs.k8s.io/structured-merge-diff/v6/typed/tofieldset.go`.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::element::Element;
use super::fieldset::FieldSet;
use super::shape::{Form, Items, Taken};

pub(super) fn extent(form: Form<'_>, object: &Value) -> FieldSet {
    walk(form, object).1
}

/// Whether the value is a member itself, and what is below it.
fn walk(form: Form<'_>, value: &Value) -> (bool, FieldSet) {
    let mut below = FieldSet::default();
    match form.taken(value) {
        None => return (false, below),
        Some(Taken::Plain(_)) => return (true, below),
        Some(Taken::Map(map)) if map.atomic => return (true, below),
        Some(Taken::List(list)) if list.items == Items::Atomic => return (true, below),
        Some(Taken::Map(map)) => {
            for (name, value) in value.as_object().into_iter().flatten() {
                let Some(form) = form.field(map, name) else { continue };
                let (member, within) = walk(form, value);
                let is_nothing = value.is_null() || value.as_object().is_some_and(Map::is_empty);
                below.put(Element::field(name), member || is_nothing || !map.declares(name), within);
            }
        }
        Some(Taken::List(list)) => {
            let items = value.as_array().into_iter().flatten();
            let mut items: BTreeMap<Element, Vec<&Value>> = items.fold(BTreeMap::new(), |mut items, item| {
                if let Ok(element) = list.element(item) {
                    items.entry(element).or_default().push(item);
                }
                items
            });
            while let Some((element, same)) = items.pop_first() {
                // Items that stand more than once are one value together.
                let within = match same.as_slice() {
                    [item] => walk(form.item(list), item).1,
                    _ => FieldSet::default(),
                };
                below.put(element, true, within);
            }
        }
    }
    (false, below)
}

/// The same set, with every declared field that has members below it. From `fieldpath/set.go`, `EnsureNamedFieldsAreMembers`.
pub(super) fn with_named_fields(set: &FieldSet, form: Option<Form<'_>>) -> FieldSet {
    let mut whole = FieldSet::default();
    for (element, member, below) in set.elements() {
        let (declared, within) = match (element, form) {
            (_, None) | (Element::Value(_) | Element::Index(_), _) => (false, None),
            (Element::Field(name), Some(form)) => match form.map() {
                Some(map) => (map.declares(name), form.field(map, name)),
                None => (false, None),
            },
            (Element::Key(_), Some(form)) => (false, form.list().map(|list| form.item(list))),
        };
        whole.put(element.clone(), member || declared && !below.is_empty(), with_named_fields(below, within));
    }
    whole
}
