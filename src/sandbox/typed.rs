//! The form of built-in kinds: what is written is read as the kind's type and written out again, so that a wrong type is refused, and
//! what the type does not know (k8s-openapi's version of it) goes.

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Namespace, Node, Pod, Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::events::v1::Event as NewEvent;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::kinds::Kind;
use super::pod;
use super::refused::Refused;

/// The object as its type has it.
pub(super) fn read(kind: &Kind, mut object: Value) -> Result<Value, Refused> {
    let named = |field: &str| object.get(field).and_then(Value::as_str).unwrap_or_default();
    let (said, version) = (named("kind"), named("apiVersion"));
    if !object.is_object()
        || (!said.is_empty() && said != kind.kind)
        || (!version.is_empty() && version != kind.api_version())
    {
        let message = format!(
            "{said} in version {version:?} cannot be handled as a {}: no kind {said:?} is registered for this path",
            kind.kind
        );
        return Err(Refused::bad_request(message));
    }
    object["kind"] = kind.kind.as_str().into();
    object["apiVersion"] = kind.api_version().into();
    let read = match kind.kind.as_str() {
        _ if kind.custom => custom(object),
        "ConfigMap" => through::<ConfigMap>(object),
        "CustomResourceDefinition" => through::<CustomResourceDefinition>(object),
        "EndpointSlice" => through::<EndpointSlice>(object),
        "Event" if kind.is_new_event() => through::<NewEvent>(object),
        "Event" => through::<Event>(object),
        "Lease" => through::<Lease>(object),
        "Namespace" => through::<Namespace>(object),
        "Node" => through::<Node>(object),
        "Pod" => through::<Pod>(object),
        "Secret" => through::<Secret>(object),
        "Service" => through::<Service>(object),
        other => Err(format!("the sandbox has no type for {other}")),
    };
    read.map(|mut object| {
        without_empty_lists(&mut object["metadata"]);
        // The fields of these two say more: an empty list of endpoints, or of a schema, is not the same as none.
        if !(kind.custom || kind.is("EndpointSlice") || kind.is("CustomResourceDefinition")) {
            without_empty_lists(&mut object);
        }
        if kind.is("Pod") {
            pod::defaults(&mut object);
        }
        object
    })
    .map_err(|error| {
        let message =
            format!("{} in version {:?} cannot be handled as a {}: {error}", kind.kind, kind.version, kind.kind);
        Refused::bad_request(message)
    })
}

/// What `read` took away, as the paths that a strict client is told.
pub(super) fn unknown(written: &Value, read: &Value) -> Vec<String> {
    let mut paths = Vec::new();
    compare(written, read, "", &mut paths);
    paths
}

fn compare(written: &Value, read: &Value, at: &str, paths: &mut Vec<String>) {
    match (written, read) {
        (Value::Object(fields), Value::Object(known)) => {
            for (name, value) in fields.iter().filter(|(_, value)| !is_nothing(value)) {
                let path = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
                match known.get(name) {
                    Some(known) => compare(value, known, &path, paths),
                    None => paths.push(path),
                }
            }
        }
        (Value::Array(items), Value::Array(known)) => {
            for (index, (item, known)) in items.iter().zip(known).enumerate() {
                compare(item, known, &format!("{at}[{index}]"), paths);
            }
        }
        _ => {}
    }
}

/// What a type leaves out when it is written.
fn is_nothing(value: &Value) -> bool {
    value.is_null()
        || value.as_array().is_some_and(Vec::is_empty)
        || value.as_object().is_some_and(serde_json::Map::is_empty)
}

/// Go's `omitempty`: an empty list is none. A Pod's containers are the one list that these kinds always show.
fn without_empty_lists(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, field| name == "containers" || field.as_array().is_none_or(|items| !items.is_empty()));
            if let Some(Value::Object(labels)) = fields.get("labels")
                && labels.is_empty()
            {
                fields.remove("labels");
            }
            if let Some(Value::Object(annotations)) = fields.get("annotations")
                && annotations.is_empty()
            {
                fields.remove("annotations");
            }
            fields.values_mut().for_each(without_empty_lists);
        }
        Value::Array(items) => items.iter_mut().for_each(without_empty_lists),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn through<T: DeserializeOwned + Serialize>(object: Value) -> Result<Value, String> {
    let typed: T = serde_path_to_error::deserialize(object).map_err(|error| error.to_string())?;
    serde_json::to_value(typed).map_err(|error| error.to_string())
}

/// Of a custom resource only the metadata has a type that we know.
fn custom(mut object: Value) -> Result<Value, String> {
    let metadata = object["metadata"].take();
    let metadata = if metadata.is_null() { Value::Object(serde_json::Map::new()) } else { metadata };
    object["metadata"] = through::<ObjectMeta>(metadata)?;
    Ok(object)
}
