//! What the schemas say.

use serde_json::{Value, json};

use super::Schema;
use crate::sandbox::kinds::{Kind, Kinds};

fn kind(group: &str, plural: &str) -> std::sync::Arc<Kind> {
    Kinds::default().find(group, "v1", plural).unwrap()
}

/// The schema at a path, where `[]` is a list's items.
fn at<'a>(kind: &'a Kind, path: &str) -> Schema<'a> {
    path.split('.').fold(Schema::of(kind).unwrap(), |schema, part| {
        if part == "[]" { schema.items().unwrap() } else { schema.field(part).unwrap() }
    })
}

#[test]
fn every_built_in_kind_has_a_schema() {
    for kind in Kinds::default().all() {
        let schema = Schema::of(kind).unwrap_or_else(|| panic!("{}", kind.qualified()));
        assert_eq!(schema.says("type"), "object");
        assert!(schema.field("metadata").unwrap().field("finalizers").is_some(), "{}", kind.qualified());
    }
}

#[test]
fn lists_are_merged_as_the_servers_types_say() {
    let (service, pod) = (kind("", "services"), kind("", "pods"));
    assert_eq!(at(&service, "spec.ports").says("x-kubernetes-list-map-keys"), &json!(["port", "protocol"]));
    assert_eq!(at(&service, "spec.ports.[].protocol").says("default"), "TCP");
    assert_eq!(at(&service, "spec.ports").merge_key(), Some("port"));
    assert_eq!(at(&service, "spec.clusterIPs").says("x-kubernetes-list-type"), "atomic");
    assert_eq!(at(&service, "metadata.finalizers").says("x-kubernetes-list-type"), "set");
    assert!(at(&service, "metadata.finalizers").is_patched_by("merge"));
    assert_eq!(at(&service, "metadata.ownerReferences").says("x-kubernetes-list-map-keys"), &json!(["uid"]));
    assert_eq!(at(&service, "metadata.ownerReferences.[]").says("x-kubernetes-map-type"), "atomic");
    assert_eq!(at(&service, "spec.selector").says("x-kubernetes-map-type"), "atomic");
    assert_eq!(at(&service, "metadata.labels.any").says("type"), "string");
    assert!(at(&pod, "spec.volumes").is_patched_by("retainKeys"));
    assert_eq!(at(&pod, "spec.containers.[].ports").merge_key(), Some("containerPort"));
    assert_eq!(at(&pod, "spec.containers.[].resources.limits.cpu").says("type"), &Value::Null);
}

#[test]
fn a_custom_resource_has_the_schema_of_its_definition_and_the_metadata_of_all() {
    let mut kinds = Kinds::default();
    kinds.define(&json!({"spec": {
        "group": "x.example", "scope": "Cluster", "names": {"plural": "things", "kind": "Thing"},
        "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
            "type": "object", "properties": {"spec": {"type": "object", "properties": {"peers": {
                "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                "items": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string", "default": "x"}}},
            }}}},
        }}}],
    }}));
    let thing = kinds.find("x.example", "v1", "things").unwrap();
    assert_eq!(at(&thing, "spec.peers").says("x-kubernetes-list-type"), "map");
    assert_eq!(at(&thing, "spec.peers.[].name").says("default"), "x");
    assert_eq!(at(&thing, "metadata.finalizers").says("x-kubernetes-list-type"), "set");
    assert!(Schema::of(&thing).unwrap().field("status").is_none());
}
