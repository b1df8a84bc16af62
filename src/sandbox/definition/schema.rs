//! Whether a schema is one that a definition may have, and structural (`ValidateCustomResourceDefinitionOpenAPISchema`, and
//! `k8s.io/apiextensions-apiserver/pkg/apiserver/schema/{validation,defaulting/validation}.go`).

use regex::Regex;
use serde_json::{Value, json};

use crate::sandbox::metadata::text;
use crate::sandbox::refused::FieldError;
use crate::sandbox::structural;

/// What is wrong with the schema of a version.
pub(super) fn check(schema: &Value, at: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    check_words(schema, at, &mut errors);
    if holds_reference(schema) {
        return errors; // then the server does not even try to see its structure
    }
    let before = errors.len();
    check_structure(schema, Level::Root, at, &mut errors);
    if errors.len() == before {
        check_defaults(schema, at, &mut errors);
    }
    errors
}

/// Where a schema stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Root,
    Field,
    Item,
}

/// Every schema within this one, with its place.
fn within<'a>(schema: &'a Value, at: &str) -> Vec<(&'a Value, String)> {
    let mut all = Vec::new();
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        all.push((property, format!("{at}.properties[{name}]")));
    }
    for word in ["items", "additionalProperties", "not"] {
        if schema[word].is_object() {
            all.push((&schema[word], format!("{at}.{word}")));
        }
    }
    for word in ["allOf", "oneOf", "anyOf"] {
        for (index, one) in schema[word].as_array().into_iter().flatten().enumerate() {
            all.push((one, format!("{at}.{word}[{index}]")));
        }
    }
    all
}

fn holds_reference(schema: &Value) -> bool {
    !schema["$ref"].is_null() || within(schema, "").iter().any(|(inner, _)| holds_reference(inner))
}

/// The words of one schema, and of all within it.
fn check_words(schema: &Value, at: &str, errors: &mut Vec<FieldError>) {
    let place = |word: &str| format!("{at}.{word}");
    let kind = text(&schema["type"]);
    let types = ["array", "boolean", "integer", "number", "object", "string"];
    if kind == "null" {
        let why = "type cannot be set to null, use nullable as an alternative";
        errors.push(FieldError::forbidden(place("type"), why));
    }
    if !kind.is_empty() && !types.contains(&kind.as_str()) {
        errors.push(FieldError::not_supported(place("type"), &schema["type"], &types));
    }
    for word in ["id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref"] {
        if !schema[word].is_null() {
            errors.push(FieldError::forbidden(place(word), format!("{word} is not supported")));
        }
    }
    if schema["uniqueItems"] == true {
        let why = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
        errors.push(FieldError::forbidden(place("uniqueItems"), why));
    }
    let additional = &schema["additionalProperties"];
    let named = schema["properties"].as_object().is_some_and(|properties| !properties.is_empty());
    if named && (additional.is_object() || *additional == false) {
        let why = "additionalProperties and properties are mutual exclusive";
        errors.push(FieldError::forbidden(place("additionalProperties"), why));
    }
    if schema["x-kubernetes-preserve-unknown-fields"] == false {
        let word = "x-kubernetes-preserve-unknown-fields";
        errors.push(FieldError::invalid(place(word), &false.into(), "must be true or undefined"));
    }
    for (word, of, values) in [
        ("x-kubernetes-map-type", "object", ["atomic", "granular"].as_slice()),
        ("x-kubernetes-list-type", "array", &["atomic", "set", "map"]),
    ] {
        let Some(value) = schema[word].as_str() else { continue };
        let why = format!("must be {of} if {word} is specified");
        if kind.is_empty() {
            errors.push(FieldError::required(place("type"), &why));
        } else if kind != of {
            errors.push(FieldError::invalid(place("type"), &schema["type"], why));
        }
        if !values.contains(&value) {
            errors.push(FieldError::not_supported(place(word), &value.into(), values));
        }
    }
    check_list(schema, &kind, at, errors);
    for (inner, at) in within(schema, at) {
        check_words(inner, &at, errors);
    }
}

fn check_list(schema: &Value, kind: &str, at: &str, errors: &mut Vec<FieldError>) {
    let place = |word: &str| format!("{at}.{word}");
    let (list, items) = (text(&schema["x-kubernetes-list-type"]), &schema["items"]);
    let names: Vec<String> = schema["x-kubernetes-list-map-keys"].as_array().into_iter().flatten().map(text).collect();
    if list == "set" && kind == "array" {
        let why = "must be atomic as item of a list with x-kubernetes-list-type=set";
        let (of, word) = match text(&items["type"]).as_str() {
            "array" => {
                ("x-kubernetes-list-type", !matches!(items["x-kubernetes-list-type"].as_str(), None | Some("atomic")))
            }
            "object" => ("x-kubernetes-map-type", items["x-kubernetes-map-type"] != "atomic"),
            _ => ("", false),
        };
        if word {
            let value = &items["x-kubernetes-list-type"];
            errors.push(FieldError::invalid(format!("{at}.items.{of}"), value, why));
        }
    }
    if matches!(list.as_str(), "set" | "map") && items["nullable"] == true {
        let why = format!("cannot be nullable when x-kubernetes-list-type is {list}");
        errors.push(FieldError::forbidden(place("items.nullable"), why));
    }
    if !names.is_empty() && list != "map" {
        let (word, why) = ("x-kubernetes-list-type", "must be map if x-kubernetes-list-map-keys is non-empty");
        errors.push(match list.as_str() {
            "" => FieldError::required(place(word), why),
            other => FieldError::invalid(place(word), &other.into(), why),
        });
    }
    if list != "map" {
        return;
    }
    if names.is_empty() {
        let why = "must not be empty if x-kubernetes-list-type is map";
        errors.push(FieldError::required(place("x-kubernetes-list-map-keys"), why));
    }
    if items.is_null() {
        errors.push(FieldError::required(place("items"), "must have a schema if x-kubernetes-list-type is map"));
    } else if items["type"] != "object" {
        let why = "must be object if parent array's x-kubernetes-list-type is map";
        errors.push(FieldError::invalid(place("items.type"), &text(&items["type"]).into(), why));
    } else {
        check_keys(items, &names, at, errors);
    }
}

/// The fields by which the items of a list are told apart.
fn check_keys(items: &Value, names: &[String], at: &str, errors: &mut Vec<FieldError>) {
    let required = items["required"].as_array().map(Vec::as_slice).unwrap_or_default();
    for (index, name) in names.iter().enumerate() {
        let Some(key) = items["properties"].get(name) else {
            let why = "entries must all be names of item properties";
            errors.push(FieldError::invalid(format!("{at}.x-kubernetes-list-map-keys"), &json!(names), why));
            continue;
        };
        let place = |word: &str| format!("{at}.items.properties[{name}].{word}");
        if key["type"] == "array" || key["type"] == "object" {
            let why = "must be a scalar type if parent array's x-kubernetes-list-type is map";
            errors.push(FieldError::invalid(place("type"), &items["type"], why));
        }
        if names.iter().take(index).any(|other| other == name) {
            let why = "must not contain duplicate entries";
            errors.push(FieldError::invalid(format!("{at}.x-kubernetes-list-map-keys"), &json!(names), why));
        }
        let such = "this property is in x-kubernetes-list-map-keys, so it";
        if !required.iter().any(|one| one == name) && key["default"].is_null() {
            let why = format!("{such} must have a default or be a required property");
            errors.push(FieldError::required(place("default"), &why));
        }
        if key["nullable"] == true {
            errors.push(FieldError::forbidden(place("nullable"), format!("{such} cannot be nullable")));
        }
    }
}

/// `validateStructuralInvariants`.
fn check_structure(schema: &Value, level: Level, at: &str, errors: &mut Vec<FieldError>) {
    let place = |word: &str| format!("{at}.{word}");
    let kind = text(&schema["type"]);
    let says = |word: &str| schema[word] == true;
    let embedded = says("x-kubernetes-embedded-resource");
    if kind == "array" && schema["items"].is_null() {
        errors.push(FieldError::required(place("items"), "must be specified"));
    }
    if schema["items"].is_object() {
        check_structure(&schema["items"], Level::Item, &place("items"), errors);
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        check_structure(property, Level::Field, &format!("{at}.properties[{name}]"), errors);
    }
    if level == Level::Root && !schema["additionalProperties"].is_null() {
        errors.push(FieldError::forbidden(place("additionalProperties"), "must not be used at the root"));
    }
    if schema["additionalProperties"].is_object() {
        check_structure(&schema["additionalProperties"], Level::Field, &place("additionalProperties"), errors);
    }
    if says("x-kubernetes-int-or-string") {
        for word in ["x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource"] {
            if says(word) {
                let why = "must be false if x-kubernetes-int-or-string is true";
                errors.push(FieldError::invalid(place(word), &true.into(), why));
            }
        }
    }
    check_alternatives(schema, at, errors);
    check_pattern(schema, at, errors);
    let anything = says("x-kubernetes-int-or-string") || says("x-kubernetes-preserve-unknown-fields");
    if embedded && kind != "object" {
        let why = "must be object if x-kubernetes-embedded-resource is true";
        errors.push(match kind.as_str() {
            "" => FieldError::required(place("type"), why),
            other => FieldError::invalid(place("type"), &other.into(), why),
        });
    } else if kind.is_empty() && !anything {
        let why = match level {
            Level::Root => "must not be empty at the root",
            Level::Item => "must not be empty for specified array items",
            Level::Field => "must not be empty for specified object fields",
        };
        errors.push(FieldError::required(place("type"), why));
    }
    if embedded && !schema["additionalProperties"].is_null() {
        let why = "must not be used if x-kubernetes-embedded-resource is set";
        errors.push(FieldError::forbidden(place("additionalProperties"), why));
    }
    if level == Level::Root && !kind.is_empty() && kind != "object" {
        errors.push(FieldError::invalid(place("type"), &kind.into(), "must be object at the root"));
    }
    if level == Level::Root || embedded {
        check_of_every_object(schema, level, at, errors);
    }
    let empty = schema["properties"].as_object().is_none_or(serde_json::Map::is_empty);
    if embedded && !says("x-kubernetes-preserve-unknown-fields") && empty {
        let why =
            "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields";
        errors.push(FieldError::required(place("properties"), why));
    }
}

/// What a schema says of what every object has.
fn check_of_every_object(schema: &Value, level: Level, at: &str, errors: &mut Vec<FieldError>) {
    for field in ["kind", "apiVersion"] {
        let Some(property) = schema["properties"].get(field) else { continue };
        if property["type"] != "string" {
            let place = format!("{at}.properties[{field}].type");
            errors.push(FieldError::invalid(place, &text(&property["type"]).into(), "must be string"));
        }
    }
    let Some(metadata) = schema["properties"].get("metadata") else { return };
    let place = format!("{at}.properties[metadata]");
    if metadata["type"] != "object" {
        errors.push(FieldError::invalid(format!("{place}.type"), &text(&metadata["type"]).into(), "must be object"));
    }
    let names_only = metadata.as_object().is_some_and(|words| {
        words.iter().all(|(word, value)| match word.as_str() {
            "type" | "default" | "description" => word != "description",
            "properties" => value
                .as_object()
                .is_some_and(|fields| fields.keys().all(|field| field == "name" || field == "generateName")),
            _ => value.is_null(),
        })
    });
    if level == Level::Root && !names_only {
        let why = "must not specify anything other than name and generateName, but metadata is implicitly specified";
        errors.push(FieldError::forbidden(place, why));
    }
}

/// Alternatives only restrict: what they are about is said outside.
fn check_alternatives(schema: &Value, at: &str, errors: &mut Vec<FieldError>) {
    // A number or a text may say so in this form.
    let of_both = json!([{"type": "integer"}, {"type": "string"}]);
    for word in ["anyOf", "allOf", "oneOf"] {
        for (index, one) in schema[word].as_array().into_iter().flatten().enumerate() {
            let skipped = (word == "anyOf" && schema["anyOf"] == of_both)
                || (word == "allOf" && index == 0 && one["anyOf"] == of_both);
            if !skipped {
                check_nested(one, &format!("{at}.{word}[{index}]"), errors);
            }
        }
    }
    if schema["not"].is_object() {
        check_nested(&schema["not"], &format!("{at}.not"), errors);
    }
}

fn check_nested(schema: &Value, at: &str, errors: &mut Vec<FieldError>) {
    check_alternatives(schema, at, errors);
    check_pattern(schema, at, errors);
    if schema["items"].is_object() {
        check_nested(&schema["items"], &format!("{at}.items"), errors);
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        check_nested(property, &format!("{at}.properties[{name}]"), errors);
    }
    for (word, must) in [
        ("type", "empty"),
        ("additionalProperties", "undefined"),
        ("default", "undefined"),
        ("title", "empty"),
        ("description", "empty"),
        ("nullable", "false"),
        ("x-kubernetes-preserve-unknown-fields", "false"),
        ("x-kubernetes-embedded-resource", "false"),
        ("x-kubernetes-int-or-string", "false"),
        ("x-kubernetes-list-map-keys", "empty"),
        ("x-kubernetes-list-type", "undefined"),
        ("x-kubernetes-map-type", "undefined"),
        ("x-kubernetes-validations", "empty"),
    ] {
        if !schema[word].is_null() && schema[word] != false {
            errors.push(FieldError::forbidden(format!("{at}.{word}"), format!("must be {must} to be structural")));
        }
    }
    if !schema["properties"]["metadata"].is_null() {
        let why = "must not be specified in a nested context";
        errors.push(FieldError::forbidden(format!("{at}.properties[metadata]"), why));
    }
}

/// What is wrong with an expression is told in the words of another library.
fn check_pattern(schema: &Value, at: &str, errors: &mut Vec<FieldError>) {
    let pattern = text(&schema["pattern"]);
    if let Err(error) = Regex::new(&pattern) {
        let why = format!("must be a valid regular expression, but isn't: {error}");
        errors.push(FieldError::invalid(format!("{at}.pattern"), &pattern.into(), why));
    }
}

/// A default fits its schema.
fn check_defaults(schema: &Value, at: &str, errors: &mut Vec<FieldError>) {
    if !schema["default"].is_null() {
        let place = format!("{at}.default");
        let wrong = structural::check(&schema["default"], schema, None);
        errors.extend(wrong.into_iter().map(|error| error.within(&place)));
    }
    for (inner, at) in within(schema, at) {
        check_defaults(inner, &at, errors);
    }
}
