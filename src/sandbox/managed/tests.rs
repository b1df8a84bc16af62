//! The algorithms alone, by their laws. That they are the server's is asked of the server (`sandbox/tests/managed.rs`).

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::difference::Difference;
use super::element::Element;
use super::entries;
use super::extent::extent;
use super::fieldset::FieldSet;
use super::merging::merged;
use super::reconciled::reconciled;
use super::removal::without;
use super::shape::Shapes;

/// A kind with a set, a keyed list whose key has a default, an atomic list, an atomic map and a map of anything.
fn shapes() -> Shapes {
    let text = json!({"type": "string"});
    let item = json!({"type": "object", "properties": {"name": text, "zone": {"type": "string", "default": "any"}, "size": {"type": "integer"}}});
    let schema = json!({"type": "object", "properties": {
        "set": {"type": "array", "items": text, "x-kubernetes-list-type": "set"},
        "items": {"type": "array", "items": item, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name", "zone"]},
        "plain": {"type": "array", "items": text},
        "whole": {"type": "object", "x-kubernetes-map-type": "atomic", "additionalProperties": text},
        "map": {"type": "object", "additionalProperties": text},
    }});
    Shapes::of(&schema, &Map::new())
}

fn fields(json: &Value) -> FieldSet {
    FieldSet::read(json).unwrap()
}

/// A set of fields at random, as `FieldsV1` has it.
fn any_fields() -> impl Strategy<Value = FieldSet> {
    let name = prop::sample::select(vec!["f:a", "f:b", "k:{\"name\":\"x\"}", "v:1", "v:\"<t>\"", "i:3"]);
    let leaf = Just(json!({}));
    let tree = leaf.prop_recursive(3, 12, 3, move |inner| {
        (prop::collection::btree_map(name.clone(), inner, 0..3), any::<bool>()).prop_map(|(below, member)| {
            let mut below: Map<String, Value> = below.into_iter().map(|(name, set)| (name.to_owned(), set)).collect();
            if member && !below.is_empty() {
                below.insert(".".to_owned(), json!({}));
            }
            Value::Object(below)
        })
    });
    tree.prop_map(|json| fields(&json))
}

fn any_object() -> impl Strategy<Value = Value> {
    let text = || prop::sample::select(vec!["a", "b", "c"]);
    let item = (text(), prop::option::of(text()), prop::option::of(0_u32..2)).prop_map(|(name, zone, size)| {
        let mut item = json!({"name": name});
        zone.into_iter().for_each(|zone| item["zone"] = zone.into());
        size.into_iter().for_each(|size| item["size"] = size.into());
        item
    });
    let list = |once: bool| {
        prop::collection::vec(text(), 0..3).prop_map(move |mut all| {
            if once {
                all.sort_unstable();
                all.dedup();
            }
            Value::from(all)
        })
    };
    let items = prop::collection::vec(item, 0..4).prop_map(|all| {
        let mut seen = Vec::new();
        let key = |item: &Value| (item["name"].clone(), item.get("zone").cloned().unwrap_or_else(|| "any".into()));
        Value::from_iter(all.into_iter().filter(|item| {
            let new = !seen.contains(&key(item));
            seen.push(key(item));
            new
        }))
    });
    let map = || prop::collection::btree_map(text(), text(), 0..3).prop_map(|map| json!(map));
    let some = |strategy: BoxedStrategy<Value>| prop::option::of(strategy);
    (some(list(true).boxed()), some(items.boxed()), some(list(false).boxed()), some(map().boxed()), some(map().boxed()))
        .prop_map(|(set, items, plain, whole, map)| {
            let fields = [("set", set), ("items", items), ("plain", plain), ("whole", whole), ("map", map)];
            fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
        })
}

proptest! {
    #[test]
    fn a_set_is_read_as_it_is_written(set in any_fields()) {
        prop_assert_eq!(FieldSet::read(&set.json()).unwrap(), set);
    }

    #[test]
    fn what_is_taken_away_and_what_is_kept_make_the_whole(one in any_fields(), other in any_fields()) {
        let (kept, gone) = (one.difference(&other), one.intersection(&other));
        prop_assert!(kept.intersection(&other).is_empty());
        prop_assert_eq!(kept.union(gone), one.clone());
        prop_assert!(one.difference(&one).is_empty());
        let left = one.recursive_difference(&other).paths();
        let covered = |path: &Vec<Element>| (1..=path.len()).any(|length| other.holds(&path[..length]));
        prop_assert!(!left.iter().any(covered));
    }

    #[test]
    fn every_path_of_a_set_is_a_member_and_makes_it_again(set in any_fields()) {
        let mut again = FieldSet::default();
        for path in set.paths() {
            prop_assert!(set.holds(&path));
            again.insert(&path);
        }
        prop_assert_eq!(again, set);
    }

    #[test]
    fn an_object_differs_from_itself_in_nothing_and_from_none_in_all_that_it_says(object in any_object()) {
        let shapes = shapes();
        prop_assert_eq!(Difference::between(shapes.form(), &object, &object), Difference::default());
        let all = Difference::between(shapes.form(), &json!({}), &object);
        prop_assert!(all.removed.is_empty() && all.modified.is_empty());
        // The extent leaves out declared lists and maps that hold something; the difference names them too.
        prop_assert!(extent(shapes.form(), &object).difference(&all.added).is_empty());
        let gone = Difference::between(shapes.form(), &object, &json!({}));
        prop_assert_eq!(gone.removed, all.added);
    }

    #[test]
    fn an_object_laid_over_another_says_all_that_it_said_and_a_second_time_changes_nothing(live in any_object(), config in any_object()) {
        let shapes = shapes();
        let once = merged(shapes.form(), &live, &config);
        let difference = Difference::between(shapes.form(), &once, &config);
        let said = extent(shapes.form(), &config);
        prop_assert!(difference.modified.intersection(&said).is_empty() && difference.added.intersection(&said).is_empty());
        prop_assert!(Difference::between(shapes.form(), &live, &once).removed.is_empty());
        prop_assert_eq!(merged(shapes.form(), &once, &config), once);
    }

    #[test]
    fn what_is_removed_is_gone_and_nothing_else(object in any_object(), other in any_object()) {
        let shapes = shapes();
        let unwanted = extent(shapes.form(), &other);
        let rest = without(shapes.form(), &object, &unwanted);
        let difference = Difference::between(shapes.form(), &object, &rest);
        prop_assert!(difference.added.is_empty(), "{:?}", difference.added);
        prop_assert!(difference.removed.recursive_difference(&unwanted).is_empty(), "{:?}", difference.removed);
        let left = extent(shapes.form(), &rest);
        let emptied = |path: &Vec<Element>| rest.pointer(&pointer(path)).is_some_and(is_empty);
        prop_assert!(left.paths().iter().all(|path| !unwanted.holds(path) || emptied(path)));
    }
}

/// Of a path of fields alone; of others one that leads nowhere.
fn pointer(path: &[Element]) -> String {
    let step = |element: &Element| match element {
        Element::Field(name) => format!("/{name}"),
        Element::Key(_) | Element::Value(_) | Element::Index(_) => "/no/such".to_owned(),
    };
    path.iter().map(step).collect()
}

fn is_empty(value: &Value) -> bool {
    value.as_object().is_some_and(Map::is_empty) || value.as_array().is_some_and(Vec::is_empty)
}

#[test]
fn numbers_are_one_whatever_they_look_like_and_stand_in_their_order() {
    let read = |text: &str| Element::read(text).unwrap().unwrap();
    assert_eq!(read("k:{\"port\":80}"), read("k:{\"port\":80.0}"));
    assert!(read("k:{\"port\":80}") < read("k:{\"port\":443}"));
    assert!(read("v:2") < read("v:\"1\"") && read("v:\"1\"") < read("v:true") && read("v:true") < read("v:null"));
}

#[test]
fn what_could_end_a_script_is_written_as_a_code() {
    let element = Element::read("v:\"<&>\"").unwrap().unwrap();
    assert_eq!(element.written(), "v:\"\\u003c\\u0026\\u003e\"");
    assert_eq!(Element::read(&element.written()).unwrap().unwrap(), element);
}

#[test]
fn fields_that_became_one_value_belong_as_one_to_whoever_had_some_of_them() {
    let split = fields(&json!({"f:whole": {"f:a": {}, ".": {}}, "f:plain": {"v:\"x\"": {}}, "f:map": {"f:a": {}}}));
    let expected = fields(&json!({"f:whole": {}, "f:plain": {}, "f:map": {"f:a": {}}}));
    let shapes = shapes();
    assert_eq!(reconciled(shapes.form(), &split), Some(expected.clone()));
    assert_eq!(reconciled(shapes.form(), &expected), None);
    assert_eq!(reconciled(Shapes::deduced().form(), &split), None);
}

#[test]
fn what_has_no_schema_is_merged_by_its_maps_and_replaced_by_its_lists() {
    let shapes = Shapes::deduced();
    let (live, config) = (json!({"a": {"b": 1, "c": [1, 2]}}), json!({"a": {"c": [3]}}));
    assert_eq!(merged(shapes.form(), &live, &config), json!({"a": {"b": 1, "c": [3]}}));
    assert_eq!(extent(shapes.form(), &config).json(), json!({"f:a": {".": {}, "f:c": {}}}));
}

#[test]
fn a_value_that_becomes_a_map_changes_as_a_whole_and_gains_its_fields() {
    let shapes = Shapes::deduced();
    let difference = Difference::between(shapes.form(), &json!({"a": 1}), &json!({"a": {"b": 1}}));
    assert_eq!(difference.modified.json(), json!({"f:a": {}}));
    assert_eq!(difference.added.json(), json!({"f:a": {"f:b": {}}}));
}

#[test]
fn entries_are_written_as_they_were_read_the_applied_first_then_by_time() {
    let entry = |manager: &str, operation: &str, time: &str| json!({"manager": manager, "operation": operation, "apiVersion": "v1", "time": time, "fieldsType": "FieldsV1", "fieldsV1": {"f:a": {}}});
    let sorted = json!([
        entry("z", "Apply", "2026-01-01T00:00:02Z"),
        entry("y", "Update", "2026-01-01T00:00:01Z"),
        entry("a", "Update", "2026-01-01T00:00:02Z"),
    ]);
    let mut mixed = sorted.clone();
    mixed.as_array_mut().unwrap().reverse();
    assert_eq!(entries::written(&entries::read(&mixed).unwrap()), sorted);
}
