//! OpenAPI v3: which kinds there are and how they can be written, and what their objects look like. Clients read it before they write:
//! that the server validates fields itself, which patches a kind takes, how a strategic merge patch merges its lists; and `kubectl explain`
//! prints it. The schemas are the server's (`schema`); of the operations there is as much as clients look for.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::kinds::Kind;
use super::schema::Schema;
use super::schema::components::{PREFIX, components};

/// The patches that every kind takes.
const PATCHES: [&str; 3] =
    ["application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json"];

/// The patch that built-in kinds take besides: custom resources have no merge keys.
const STRATEGIC: &str = "application/strategic-merge-patch+json";

/// The index of all documents, by group and version.
pub(super) fn index<'a>(versions: impl Iterator<Item = &'a str>) -> Value {
    let paths: BTreeMap<String, Value> =
        versions.map(|path| (path.to_owned(), json!({"serverRelativeURL": format!("/openapi/v3/{path}")}))).collect();
    json!({"paths": paths})
}

/// Where a kind's group and version are, without the slash in front: `api/v1`, `apis/GROUP/VERSION`.
pub(super) fn path(kind: &Kind) -> String {
    format!("{}/{}", if kind.group.is_empty() { "api" } else { "apis" }, kind.api_version())
}

/// The document of one group and version, of which these are the kinds.
pub(super) fn document<'a>(kinds: impl Iterator<Item = &'a Kind>) -> Value {
    let (mut paths, mut schemas) = (Map::new(), Map::new());
    for kind in kinds {
        let mut patches = PATCHES.to_vec();
        if !kind.custom {
            patches.push(STRATEGIC);
        }
        let prefix = format!("/{}{}", path(kind), if kind.namespaced { "/namespaces/{namespace}" } else { "" });
        let collection = format!("{prefix}/{}", kind.plural);
        paths.insert(
            format!("{collection}/{{name}}"),
            json!({
                "get": operation(kind, "get", &[]),
                "put": operation(kind, "put", &["application/json"]),
                "patch": operation(kind, "patch", &patches),
                "delete": operation(kind, "delete", &["application/json"]),
            }),
        );
        let create =
            json!({"get": operation(kind, "list", &[]), "post": operation(kind, "post", &["application/json"])});
        paths.insert(collection, create);
        if let Some((name, schema)) = Schema::published(kind) {
            with_referenced(name, schema, &mut schemas);
        }
    }
    json!({
        "openapi": "3.0.0", "info": {"title": "Kubernetes", "version": "1.36"},
        "paths": paths, "components": {"schemas": schemas},
    })
}

/// A schema, and all that it refers to.
fn with_referenced(name: String, schema: &Value, schemas: &mut Map<String, Value>) {
    if schemas.contains_key(&name) {
        return;
    }
    schemas.insert(name, schema.clone());
    let mut rest = vec![schema];
    while let Some(part) = rest.pop() {
        match part {
            Value::Object(fields) => rest.extend(fields.values()),
            Value::Array(items) => rest.extend(items),
            Value::String(reference) => {
                if let Some(name) = reference.strip_prefix(PREFIX)
                    && let Some(schema) = components().get(name)
                {
                    with_referenced(name.to_owned(), schema, schemas);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

fn operation(kind: &Kind, action: &str, content: &[&str]) -> Value {
    let mut parameters = vec![query("pretty")];
    if !content.is_empty() {
        parameters.extend(["dryRun", "fieldValidation"].map(query));
    }
    let mut operation = json!({
        "parameters": parameters, "responses": {"200": {"description": "OK"}},
        "x-kubernetes-action": action, "x-kubernetes-group-version-kind": identity(kind),
    });
    if !content.is_empty() {
        let content: BTreeMap<&str, Value> = content.iter().map(|media| (*media, json!({}))).collect();
        operation["requestBody"] = json!({"content": content});
    }
    operation
}

fn query(name: &str) -> Value {
    json!({"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": true}})
}

fn identity(kind: &Kind) -> Value {
    json!({"group": kind.group, "version": kind.version, "kind": kind.kind})
}
