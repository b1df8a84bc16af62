//! What differs between two objects, as sets of fields. From `sigs.k8s.io/structured-merge-diff/v6/typed/compare.go`.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::element::{Element, Scalar};
use super::fieldset::FieldSet;
use super::shape::{Form, Items, ListShape, MapShape, Taken};

/// No field is in more than one of the three.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Difference {
    pub(super) removed: FieldSet,
    pub(super) modified: FieldSet,
    pub(super) added: FieldSet,
}

/// What became of one value as a whole.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    /// Of it; of what is below the difference tells.
    Kept,
    Removed,
    Modified,
    Added,
}

impl Difference {
    pub(super) fn between(form: Form<'_>, left: &Value, right: &Value) -> Self {
        let mut difference = Self::default();
        difference.walk(form, Some(left), Some(right));
        difference
    }

    /// Without these fields and all below them.
    pub(super) fn without(self, fields: &FieldSet) -> Self {
        if fields.is_empty() {
            return self;
        }
        Self {
            removed: self.removed.recursive_difference(fields),
            modified: self.modified.recursive_difference(fields),
            added: self.added.recursive_difference(fields),
        }
    }

    fn walk(&mut self, form: Form<'_>, left: Option<&Value>, right: Option<&Value>) -> Fate {
        let (fate, is_leaf) = match (left, right) {
            (None, None) => (Fate::Kept, true),
            (Some(one), None) | (None, Some(one)) => self.as_form(form, form.taken(one), left, right),
            (Some(one), Some(other)) if form.takes_one(one, other) => {
                self.as_form(form, form.taken(other), left, right)
            }
            (Some(one), Some(other)) => {
                let (before, _) = self.as_form(form, form.taken(one), left, right);
                let (after, is_leaf) = self.as_form(form, form.taken(other), left, right);
                (if after == Fate::Kept { before } else { after }, is_leaf)
            }
        };
        match (left, right) {
            (None, Some(_)) if !is_leaf => Fate::Added,
            (Some(_), None) if !is_leaf => Fate::Removed,
            _ => fate,
        }
    }

    /// The fate of a value in one of its forms, and whether it is one value as a whole.
    fn as_form(
        &mut self,
        form: Form<'_>,
        taken: Option<Taken<'_>>,
        left: Option<&Value>,
        right: Option<&Value>,
    ) -> (Fate, bool) {
        match taken {
            None => (Fate::Kept, false),
            Some(Taken::Plain(_)) => (leaf(left, right), true),
            Some(Taken::Map(map)) => {
                let (before, after) = (left.and_then(Value::as_object), right.and_then(Value::as_object));
                // Nothing on either side is one value: so that none and empty stay apart.
                let is_empty = |fields: Option<&Map<String, Value>>| fields.is_none_or(Map::is_empty);
                if map.atomic || is_empty(before) && is_empty(after) {
                    return (leaf(left, right), true);
                }
                self.fields(form, map, before, after);
                (Fate::Kept, false)
            }
            Some(Taken::List(list)) => {
                let (before, after) = (left.and_then(Value::as_array), right.and_then(Value::as_array));
                let is_empty = |items: Option<&Vec<Value>>| items.is_none_or(Vec::is_empty);
                if list.items == Items::Atomic || is_empty(before) && is_empty(after) {
                    return (leaf(left, right), true);
                }
                self.items(form, list, before, after);
                (Fate::Kept, false)
            }
        }
    }

    fn fields(
        &mut self,
        form: Form<'_>,
        map: &MapShape,
        before: Option<&Map<String, Value>>,
        after: Option<&Map<String, Value>>,
    ) {
        for (name, left) in before.into_iter().flatten() {
            let right = after.and_then(|after| after.get(name));
            self.below(form.field(map, name), Some(left), right, || Element::field(name));
        }
        for (name, right) in after.into_iter().flatten() {
            if before.is_none_or(|before| !before.contains_key(name)) {
                self.below(form.field(map, name), None, Some(right), || Element::field(name));
            }
        }
    }

    fn items(&mut self, form: Form<'_>, list: &ListShape, before: Option<&Vec<Value>>, after: Option<&Vec<Value>>) {
        let mut items: BTreeMap<Element, (Vec<&Value>, Vec<&Value>)> = BTreeMap::new();
        // An item that does not say which it is cannot be owned.
        for item in before.into_iter().flatten() {
            if let Ok(element) = list.element(item) {
                items.entry(element).or_default().0.push(item);
            }
        }
        for item in after.into_iter().flatten() {
            if let Ok(element) = list.element(item) {
                items.entry(element).or_default().1.push(item);
            }
        }
        let form = Some(form.item(list));
        for (element, (left, right)) in items {
            match (left.as_slice(), right.as_slice()) {
                ([] | [_], [] | [_]) => {
                    self.below(form, left.first().copied(), right.first().copied(), || element);
                }
                // Items that stand more than once are one value together.
                ([_, _, ..], [_, _, ..]) => {
                    if left != right {
                        self.modified.put(element, true, FieldSet::default());
                    }
                }
                ([_, _, ..], _) => {
                    self.below(form, None, right.first().copied(), || element.clone());
                    self.removed.put(element, true, FieldSet::default());
                }
                (_, [_, _, ..]) => {
                    self.below(form, left.first().copied(), None, || element.clone());
                    self.added.put(element, true, FieldSet::default());
                }
            }
        }
    }

    fn below(
        &mut self,
        form: Option<Form<'_>>,
        left: Option<&Value>,
        right: Option<&Value>,
        element: impl FnOnce() -> Element,
    ) {
        let Some(form) = form.filter(|_| left.is_some() || right.is_some()) else { return };
        let mut within = Self::default();
        let fate = within.walk(form, left, right);
        if fate == Fate::Kept && within == Self::default() {
            return;
        }
        let element = element();
        self.removed.put(element.clone(), fate == Fate::Removed, within.removed);
        self.modified.put(element.clone(), fate == Fate::Modified, within.modified);
        self.added.put(element, fate == Fate::Added, within.added);
    }
}

fn leaf(left: Option<&Value>, right: Option<&Value>) -> Fate {
    match (left, right) {
        (None, _) => Fate::Added,
        (_, None) => Fate::Removed,
        (Some(left), Some(right)) if same(left, right) => Fate::Kept,
        (Some(_), Some(_)) => Fate::Modified,
    }
}

/// Equality of values: 80 and 80.0 are one (`value.Equals`).
pub(super) fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(_), Value::Number(_)) => Scalar::of(left) == Scalar::of(right),
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(name, left)| right.get(name).is_some_and(|right| same(left, right)))
        }
        (left, right) => left == right,
    }
}
