//! OpenAPI v3, as much as clients need before they write: which kinds can be patched, and that the server validates fields itself, so
//! that kubectl does not want to. Custom resources have the schema of their definition. Built-in kinds have none yet, and therefore
//! no strategic merge patch in their operations: kubectl takes that as a reason to use the merge keys that it has compiled in.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::kinds::Kind;
use super::metadata::text;

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

/// The document of one group and version, of which these are the kinds; with the definitions that brought some of them.
pub(super) fn document<'a>(kinds: impl Iterator<Item = &'a Kind>, definitions: &[&Value]) -> Value {
    let (mut paths, mut schemas) = (Map::new(), Map::new());
    for kind in kinds {
        let prefix = format!("/{}{}", path(kind), if kind.namespaced { "/namespaces/{namespace}" } else { "" });
        let collection = format!("{prefix}/{}", kind.plural);
        paths.insert(
            format!("{collection}/{{name}}"),
            json!({
                "get": operation(kind, "get", &[]),
                "put": operation(kind, "put", &["application/json"]),
                "patch": operation(kind, "patch", &["application/json-patch+json", "application/merge-patch+json"]),
                "delete": operation(kind, "delete", &["application/json"]),
            }),
        );
        let create =
            json!({"get": operation(kind, "list", &[]), "post": operation(kind, "post", &["application/json"])});
        paths.insert(collection, create);
        if let Some((name, schema)) = schema(kind, definitions) {
            schemas.insert(name, schema);
        }
    }
    json!({
        "openapi": "3.0.0", "info": {"title": "Kubernetes", "version": "v1.36.1"},
        "paths": paths, "components": {"schemas": schemas},
    })
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

/// The schema of a custom resource, under its group's name read backwards, as the server has it.
fn schema(kind: &Kind, definitions: &[&Value]) -> Option<(String, Value)> {
    let brought = |definition: &&&Value| {
        kind.custom && definition["spec"]["group"] == kind.group && definition["spec"]["names"]["plural"] == kind.plural
    };
    let definition = definitions.iter().find(brought)?;
    let mut versions = definition["spec"]["versions"].as_array()?.iter();
    let version = versions.find(|version| text(&version["name"]) == kind.version)?;
    let mut schema = version["schema"]["openAPIV3Schema"].clone();
    schema["x-kubernetes-group-version-kind"] = json!([identity(kind)]);
    let mut backwards: Vec<&str> = kind.group.split('.').collect();
    backwards.reverse();
    Some((format!("{}.{}.{}", backwards.join("."), kind.version, kind.kind), schema))
}
