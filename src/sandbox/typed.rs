//! The form of what is written. Built-in kinds are read as the kind's type and written out again, so that a wrong type is refused and
//! what no type knows goes; custom resources are held to the structural schema of their definition.

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Namespace, Node, Pod, Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::events::v1::Event as NewEvent;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::decoder::{self, Dialect};
use super::kinds::Kind;
use super::metadata::text;
use super::refused::{FieldError, Refused};
use super::schema::Schema;
use super::structural;

/// An object that could be read.
pub(super) struct Read {
    pub(super) object: Value,
    /// What a strict client is told: fields that nobody knows.
    pub(super) strict: Vec<String>,
}

/// Why it could not.
pub(super) enum Unread {
    Refused(Refused),
    /// In the decoder's words.
    Undecodable(String),
}

/// The object as its type has it.
pub(super) fn read(kind: &Kind, object: Value, dialect: Dialect) -> Result<Read, Unread> {
    let object = identified(kind, object)?;
    if kind.custom {
        return custom(kind, object, dialect).map_err(Unread::Undecodable);
    }
    let findings = decoder::scan(&object, Schema::of(kind), &kind.kind, dialect);
    if let Some(wrong) = findings.wrong {
        return Err(Unread::Undecodable(wrong));
    }
    Ok(Read { object: typed(kind, object)?, strict: findings.strict })
}

/// The same of a document that was scanned where it came in (`route::object`): in one of a built-in kind nothing is left to be found.
pub(super) fn read_scanned(kind: &Kind, object: Value) -> Result<Read, Unread> {
    let object = identified(kind, object)?;
    if kind.custom {
        return custom(kind, object, Dialect::Json).map_err(Unread::Undecodable);
    }
    Ok(Read { object: typed(kind, object)?, strict: Vec::new() })
}

/// The object of a built-in kind, read as the kind's type and written out again.
fn typed(kind: &Kind, mut object: Value) -> Result<Value, Unread> {
    if let Some(schema) = Schema::of(kind).filter(|_| has_null(&object)) {
        decoder::null_items(&mut object, &schema);
    }
    let read = match kind.kind.as_str() {
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
        "Service" => timeless(object),
        other => Err(format!("the sandbox has no type for {other}")),
    };
    let mut object = read.map_err(Unread::Undecodable)?;
    // Of the other kinds they go when the object is completed (`decoded`).
    if let Some(schema) = Schema::of(kind).filter(|_| kind.is("CustomResourceDefinition")) {
        decoder::without_empty_maps(&mut object, &schema);
    }
    without_empty_lists(&mut object["metadata"]);
    // The fields of these two say more: an empty list of endpoints, or of a schema, is not the same as none.
    if !(kind.is("EndpointSlice") || kind.is("CustomResourceDefinition")) {
        without_empty_lists(&mut object);
    }
    Ok(object)
}

fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.iter().any(has_null),
        Value::Object(fields) => fields.values().any(has_null),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// The object, which says from now on what it is.
fn identified(kind: &Kind, mut object: Value) -> Result<Value, Unread> {
    identify(kind, &object).map_err(Unread::Refused)?;
    object["kind"] = kind.kind.as_str().into();
    object["apiVersion"] = kind.api_version().into();
    Ok(object)
}

/// An object says what it is; built-in kinds may leave it out.
fn identify(kind: &Kind, object: &Value) -> Result<(), Refused> {
    let (said, version) = (text(&object["kind"]), text(&object["apiVersion"]));
    let fits = |said: &str, expected: &str| said == expected || (said.is_empty() && !kind.custom);
    if fits(&said, &kind.kind) && fits(&version, &kind.api_version()) {
        return Ok(());
    }
    if !kind.custom {
        let (said, version) = if said.is_empty() { (&kind.kind, &version) } else { (&said, &version) };
        let version = if version.is_empty() { &kind.api_version() } else { version };
        let short = version.rsplit('/').next().unwrap_or_default();
        return Err(Refused::bad_request(format!(
            "{said} in version {short:?} cannot be handled as a {}: no kind {said:?} is registered for version {version:?} in \
             scheme \"pkg/runtime/scheme.go:111\"",
            kind.kind
        )));
    }
    if version != kind.api_version() {
        return Err(Refused::bad_request(format!(
            "the API version in the data ({version}) does not match the expected API version ({})",
            kind.api_version()
        )));
    }
    let why = format!("must be {}", kind.kind);
    let mut other = kind.clone();
    other.kind.clone_from(&said);
    let error = FieldError::invalid("kind", &said.into(), why);
    Err(Refused::invalid(&other, &text(&object["metadata"]["name"]), &[error]))
}

/// Go's `omitempty`: an empty list is none. A Pod's containers are the one list that these kinds always show.
fn without_empty_lists(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, field| name == "containers" || field.as_array().is_none_or(|items| !items.is_empty()));
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

/// A Service, whose conditions may have no time: Go takes the null and writes it again, where k8s-openapi's type wants a time.
fn timeless(mut service: Value) -> Result<Value, String> {
    const NO_TIME: &str = "0001-01-01T00:00:00Z"; // Go's own word for none
    let each = |service: &mut Value, change: &dyn Fn(&mut Value)| {
        let conditions = service.pointer_mut("/status/conditions").and_then(Value::as_array_mut);
        conditions.into_iter().flatten().filter_map(|one| one.get_mut("lastTransitionTime")).for_each(change);
    };
    each(&mut service, &|time| {
        if time.is_null() {
            *time = NO_TIME.into();
        }
    });
    let mut service = through::<Service>(service)?;
    each(&mut service, &|time| {
        if *time == NO_TIME {
            *time = Value::Null;
        }
    });
    Ok(service)
}

/// A custom resource: the metadata has a type, all else a schema (`customresource_handler.go`, `schemaCoercingDecoder`).
fn custom(kind: &Kind, mut object: Value, dialect: Dialect) -> Result<Read, String> {
    let mut strict = Vec::new();
    metadata(&mut object, "", &mut strict, dialect)?;
    if object["metadata"].is_null() {
        object["metadata"] = json!({});
    }
    embedded(&mut object, &kind.structure, "", &mut strict, dialect)?;
    strict.extend(structural::prune(&mut object, &kind.structure));
    strict.sort();
    structural::prune_nulls(&mut object, &kind.structure);
    structural::default(&mut object, &kind.structure);
    Ok(Read { object, strict })
}

/// The metadata of an object, or of one within another.
fn metadata(object: &mut Value, at: &str, strict: &mut Vec<String>, dialect: Dialect) -> Result<(), String> {
    let metadata = object["metadata"].take();
    if metadata.is_null() {
        super::metadata::remove(object, "metadata");
        return Ok(());
    }
    let here = structural::child(at, "metadata");
    let reference = json!({"$ref": Schema::METADATA});
    let findings = decoder::scan(&metadata, Some(Schema::at(&reference)), "ObjectMeta", dialect);
    if let Some(wrong) = findings.wrong {
        return Err(if at.is_empty() { wrong } else { format!("{here}: Invalid value: {metadata}: {wrong}") });
    }
    strict.extend(findings.strict.into_iter().map(|found| found.replacen('"', &format!("\"{here}."), 1)));
    object["metadata"] = through::<ObjectMeta>(metadata)?;
    decoder::without_empty_maps(&mut object["metadata"], &Schema::at(&reference));
    without_empty_lists(&mut object["metadata"]);
    Ok(())
}

/// The metadata of objects within the object.
fn embedded(
    value: &mut Value,
    schema: &Value,
    at: &str,
    strict: &mut Vec<String>,
    dialect: Dialect,
) -> Result<(), String> {
    if schema["x-kubernetes-embedded-resource"] == true && value.is_object() {
        metadata(value, at, strict, dialect)?;
    }
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if let Some(schema) = structural::field(schema, name) {
                    embedded(value, schema, &structural::child(at, name), strict, dialect)?;
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                embedded(item, &schema["items"], &format!("{at}[{index}]"), strict, dialect)?;
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    Ok(())
}
