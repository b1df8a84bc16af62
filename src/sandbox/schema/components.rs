//! The schemas of the built-in kinds as the server publishes them: those of k8s-openapi, and over them what it does not hand on.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::upstream;
use crate::sandbox::metadata::text;

/// What the server of the version that the sandbox is like says more: a merge patch (RFC 7386) for each schema. Written by the suite
/// (`tests/suite/schemas.rs`), which also finds it out when it is no longer so.
const SERVER: &str = include_str!("server.json");

/// How one schema names another.
pub(in crate::sandbox) const PREFIX: &str = "#/components/schemas/";

/// All schemas by name.
pub(in crate::sandbox) fn components() -> &'static Map<String, Value> {
    static COMPONENTS: LazyLock<Map<String, Value>> = LazyLock::new(|| {
        let mut all = upstream::schemas();
        // A test holds that it can be read.
        let patches: Map<String, Value> = serde_json::from_str(SERVER).unwrap_or_default();
        for (name, patch) in &patches {
            json_patch::merge(all.entry(name.as_str()).or_insert(Value::Null), patch);
        }
        all.values_mut().for_each(references_alone);
        all
    });
    &COMPONENTS
}

/// A built-in kind's schema, with its name.
pub(super) fn of(group: &str, version: &str, kind: &str) -> Option<(&'static str, &'static Value)> {
    // Every write asks, and there are some two hundred schemas.
    static OF_KINDS: LazyLock<BTreeMap<[String; 3], (&str, &Value)>> = LazyLock::new(|| {
        let identities =
            |schema: &'static Value| schema["x-kubernetes-group-version-kind"].as_array().into_iter().flatten();
        let key = |identity: &Value| ["group", "version", "kind"].map(|part| text(&identity[part]));
        components()
            .iter()
            .flat_map(|(name, schema)| identities(schema).map(move |identity| (key(identity), (name.as_str(), schema))))
            .collect()
    });
    OF_KINDS.get(&[group, version, kind].map(str::to_owned)).copied()
}

/// What Go calls the type of a text that is a field of a schema, or of the texts in a list: of `ServiceSpec.type` `v1.ServiceType`. The
/// server says it to whoever writes something else there; no document has it.
pub(super) fn named_text(schema: &str, field: &str) -> Option<&'static str> {
    /// Names by field, by schema: every field that is written asks.
    type Names = BTreeMap<&'static str, BTreeMap<&'static str, &'static str>>;
    static NAMES: LazyLock<Names> = LazyLock::new(|| {
        let all: BTreeMap<&str, &str> = serde_json::from_str(include_str!("names.json")).unwrap_or_default();
        let mut names = Names::new();
        for (place, name) in all {
            let (schema, field) = place.rsplit_once('.').unwrap_or_default();
            names.entry(schema).or_default().insert(field, name);
        }
        names
    });
    NAMES.get(schema)?.get(field).copied()
}

/// In OpenAPI 3.0 nothing may stand beside a reference, so that one with a description or a default stands within an `allOf`.
fn references_alone(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.values_mut().for_each(references_alone);
            if fields.len() > 1
                && fields.get("$ref").is_some_and(Value::is_string)
                && let Some(reference) = fields.remove("$ref")
            {
                fields.insert("allOf".to_owned(), json!([{"$ref": reference}]));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(references_alone),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_says_more_can_be_read_and_is_about_schemas_that_there_are() {
        let patches: Map<String, Value> = serde_json::from_str(SERVER).unwrap();
        let upstream = upstream::schemas();
        assert!(patches.len() > 100);
        for name in patches.keys() {
            assert!(upstream.contains_key(name), "{name}");
        }
    }

    #[test]
    fn texts_have_names_of_their_own_where_schemas_have_fields() {
        assert_eq!(named_text("io.k8s.api.core.v1.ServiceSpec", "type"), Some("v1.ServiceType"));
        assert_eq!(named_text("io.k8s.api.core.v1.ServiceSpec", "externalName"), None);
        let names: BTreeMap<String, String> = serde_json::from_str(include_str!("names.json")).unwrap();
        for name in names.keys() {
            let (schema, field) = name.rsplit_once('.').unwrap();
            assert!(components()[schema]["properties"][field].is_object(), "{name}");
        }
    }

    #[test]
    fn every_reference_leads_to_a_schema() {
        fn references(schema: &Value, found: &mut Vec<String>) {
            match schema {
                Value::Object(fields) => {
                    found.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
                    fields.values().for_each(|field| references(field, found));
                }
                Value::Array(items) => items.iter().for_each(|item| references(item, found)),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
            }
        }
        let mut found = Vec::new();
        components().values().for_each(|schema| references(schema, &mut found));
        assert!(found.len() > 200);
        for reference in found {
            assert!(components().contains_key(reference.strip_prefix(PREFIX).unwrap()), "{reference}");
        }
    }
}
