//! The schema of a custom resource as the server publishes it: that of its definition, with what every object has. From
//! `k8s.io/apiextensions-apiserver/pkg/controller/openapi/builder/builder.go`.

use serde_json::{Value, json};

use super::components::{PREFIX, components};

/// Where every object's metadata has its schema.
const METADATA: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// Any schema that describes apiVersion and kind in the words of `TypeMeta`.
const TYPED: &str = "io.k8s.api.core.v1.ConfigMap";

/// What the definition has for a version, as it is published; `identity` is group, version and kind.
pub(in crate::sandbox) fn published(schema: &Value, identity: &Value) -> Value {
    let mut published = if schema.is_object() { schema.clone() } else { json!({"type": "object"}) };
    if schema.is_object() {
        let metadata = "Standard object's metadata. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata";
        for field in ["apiVersion", "kind"] {
            published["properties"][field] =
                components().get(TYPED).map_or(Value::Null, |schema| schema["properties"][field].clone());
        }
        published["properties"]["metadata"] = object_metadata(metadata);
        embedded(&mut published, metadata);
    }
    published["x-kubernetes-group-version-kind"] = json!([identity]);
    published
}

fn object_metadata(description: &str) -> Value {
    json!({"description": description, "allOf": [{"$ref": format!("{PREFIX}{METADATA}")}]})
}

/// `addEmbeddedProperties`: an object within the object has a kind and metadata too.
fn embedded(schema: &mut Value, metadata: &str) {
    let Some(fields) = schema.as_object_mut() else { return };
    if let Some(properties) = fields.get_mut("properties").and_then(Value::as_object_mut) {
        properties.values_mut().for_each(|property| embedded(property, metadata));
    }
    for within in ["items", "additionalProperties"] {
        if let Some(schema) = fields.get_mut(within) {
            embedded(schema, metadata);
        }
    }
    if schema["x-kubernetes-embedded-resource"] != true {
        return;
    }
    for (field, description) in [
        (
            "apiVersion",
            "apiVersion defines the versioned schema of this representation of an object. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#resources",
        ),
        (
            "kind",
            "kind is a string value representing the type of this object. In CamelCase. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds",
        ),
    ] {
        schema["properties"][field] = json!({"type": "string", "description": description});
    }
    schema["properties"]["metadata"] = object_metadata(metadata);
    let mut required = schema["required"].as_array().cloned().unwrap_or_default();
    required.extend(
        ["kind", "apiVersion"]
            .map(Value::from)
            .into_iter()
            .filter(|field| !schema["required"].as_array().is_some_and(|all| all.contains(field)))
            .collect::<Vec<_>>(),
    );
    schema["required"] = required.into();
}
