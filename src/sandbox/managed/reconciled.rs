//! Ownership of fields after the schema has come to take a map or list as one value. From
//! `sigs.k8s.io/structured-merge-diff/v6/typed/reconcile_schema.go`.

use super::element::Element;
use super::fieldset::FieldSet;
use super::shape::{Form, Items};

/// The set as the schema has it now; nothing where it is as it was.
pub(super) fn reconciled(form: Form<'_>, set: &FieldSet) -> Option<FieldSet> {
    is_outdated(form, set).then(|| rebuilt(form, set))
}

fn is_outdated(form: Form<'_>, set: &FieldSet) -> bool {
    set.elements().filter(|(_, _, below)| !below.is_empty()).any(|(element, _, below)| {
        within(form, element).is_some_and(|form| is_one_value(form) || is_outdated(form, below))
    })
}

fn rebuilt(form: Form<'_>, set: &FieldSet) -> FieldSet {
    let mut whole = FieldSet::default();
    for (element, member, below) in set.elements() {
        match within(form, element).filter(|_| !below.is_empty()) {
            Some(form) if is_one_value(form) => whole.put(element.clone(), true, FieldSet::default()),
            Some(form) => whole.put(element.clone(), member, rebuilt(form, below)),
            None => whole.put(element.clone(), member, below.clone()),
        }
    }
    whole
}

/// The form of an element; nothing where no schema describes it.
fn within<'a>(form: Form<'a>, element: &Element) -> Option<Form<'a>> {
    match element {
        Element::Field(name) => form.map().filter(|map| !map.is_deduced()).and_then(|map| form.field(map, name)),
        Element::Key(_) | Element::Value(_) | Element::Index(_) => form.list().map(|list| form.item(list)),
    }
}

fn is_one_value(form: Form<'_>) -> bool {
    match (form.map(), form.list()) {
        (Some(map), _) => map.atomic,
        (None, Some(list)) => list.items == Items::Atomic,
        (None, None) => false,
    }
}
