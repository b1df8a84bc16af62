//! What each kind makes of what is written: its strategy (`pkg/registry/*/*/strategy.go`), defaults and validation, as far as the
//! sandbox has them.

mod data;
mod lease;
mod node;
mod slice;

use serde_json::{Value, json};

use super::definition;
use super::kinds::Kind;
use super::metadata::{remove, text, timestamp};
use super::pod;
use super::refused::{FieldError, Refused};
use super::service::{self, Unfit};
use super::store::State;
use super::structural;

/// An object that is about to be created.
pub(super) fn create(kind: &Kind, object: &mut Value, state: &State) -> Result<(), Refused> {
    let name = text(&object["metadata"]["name"]);
    if kind.custom {
        if kind.status {
            remove(object, "status");
        }
        object["metadata"]["generation"] = 1.into();
        return custom(kind, &name, object, None);
    }
    match kind.kind.as_str() {
        "Service" => {
            object["status"] = json!({"loadBalancer": {}});
            service(kind, &name, object, None, state)?;
        }
        "Namespace" => {
            object["status"] = json!({"phase": "Active"});
            object["spec"]["finalizers"] = json!(["kubernetes"]);
            // The server's own label (KEP-2161).
            object["metadata"]["labels"]["kubernetes.io/metadata.name"] = name.into();
        }
        "Pod" => {
            pod::admit(object, state);
            object["metadata"]["generation"] = 1.into();
        }
        "EndpointSlice" => {
            object["metadata"]["generation"] = 1.into();
            fits(kind, &name, &slice::slice(object))?;
        }
        "ConfigMap" => fits(kind, &name, &data::config_map(object))?,
        "Secret" => fits(kind, &name, &data::secret(object))?,
        "Lease" => fits(kind, &name, &lease::lease(object))?,
        "Event" => event(kind, &name, object)?,
        "Node" => {
            fits(kind, &name, &node::check(object))?;
            node::taint(object);
        }
        "CustomResourceDefinition" => {
            object["metadata"]["generation"] = 1.into();
            definition(kind, &name, object)?;
            established(object, state);
        }
        _ => {}
    }
    Ok(())
}

/// An object that is about to replace another.
pub(super) fn update(kind: &Kind, object: &mut Value, old: &Value, state: &State) -> Result<(), Refused> {
    let name = text(&object["metadata"]["name"]);
    if kind.status {
        keep(object, old, "status");
    }
    if kind.custom {
        custom(kind, &name, object, Some(old))?;
    } else {
        match kind.kind.as_str() {
            "Service" => service(kind, &name, object, Some(old), state)?,
            "Namespace" => keep_within(object, old, "spec", "finalizers"), // changed through `finalize` alone
            "ConfigMap" => {
                frozen(kind, &name, object, old, &["binaryData", "data"])?;
                fits(kind, &name, &data::config_map(object))?;
            }
            "Secret" => {
                frozen(kind, &name, object, old, &["data"])?;
                immutable(kind, &name, object, old, "type", "/type")?;
                fits(kind, &name, &data::secret(object))?;
            }
            "Lease" => fits(kind, &name, &lease::lease(object))?,
            "Node" => fits(kind, &name, &node::check(object))?,
            "EndpointSlice" => {
                immutable(kind, &name, object, old, "addressType", "/addressType")?;
                fits(kind, &name, &slice::slice(object))?;
            }
            "CustomResourceDefinition" => {
                definition(kind, &name, object)?;
                immutable(kind, &name, object, old, "spec.group", "/spec/group")?;
                immutable(kind, &name, object, old, "spec.scope", "/spec/scope")?;
                immutable(kind, &name, object, old, "spec.names.kind", "/spec/names/kind")?;
                established(object, state);
            }
            _ => {}
        }
    }
    generation(kind, object, old);
    Ok(())
}

/// A status that is about to be stored. Nothing but it changes, except that most built-in kinds take the metadata along.
pub(super) fn update_status(kind: &Kind, object: &mut Value, old: &Value) -> Result<(), Refused> {
    if kind.custom || kind.is("CustomResourceDefinition") {
        let (status, owners) = (object["status"].take(), object["metadata"]["managedFields"].take());
        *object = old.clone();
        object["status"] = status;
        object["metadata"]["managedFields"] = owners;
        if object["metadata"]["managedFields"].is_null() {
            remove(&mut object["metadata"], "managedFields");
        }
        if object["status"].is_null() {
            remove(object, "status");
        }
        let name = text(&object["metadata"]["name"]);
        return if kind.custom { custom_status(kind, &name, object, old) } else { Ok(()) };
    }
    keep(object, old, "spec");
    if kind.is("Service") {
        let name = text(&object["metadata"]["name"]);
        service::has_modes(object).map_err(|unfit| unfit_service(kind, &name, unfit))?;
        service::admit_status(object, true).map_err(|unfit| unfit_service(kind, &name, unfit))?;
    }
    Ok(())
}

/// What a writer is told of an object that is stored all the same.
pub(super) fn warnings(kind: &Kind, object: &Value) -> Vec<String> {
    if kind.is("Service") { service::warnings(object) } else { Vec::new() }
}

/// A custom resource is held to its definition (`customresource/{validator,strategy}.go`).
fn custom(kind: &Kind, name: &str, object: &mut Value, old: Option<&Value>) -> Result<(), Refused> {
    let mut errors = structural::check(object, &kind.structure, old);
    structural::check_embedded(object, &kind.structure, "", &mut errors);
    structural::check_lists(object, &kind.structure, "", &mut errors);
    structural::numbers_whole(object);
    fits(kind, name, &errors)
}

/// The same of its status, which the server looks at as if it stood alone.
fn custom_status(kind: &Kind, name: &str, object: &mut Value, old: &Value) -> Result<(), Refused> {
    let (status, schema) = (&object["status"], &kind.structure["properties"]["status"]);
    if status.is_null() || schema.is_null() {
        return Ok(());
    }
    let mut errors: Vec<FieldError> =
        structural::check(status, schema, old.get("status")).into_iter().map(|error| error.within("status")).collect();
    structural::check_embedded(status, schema, "status", &mut errors);
    structural::check_lists(status, schema, "status", &mut errors);
    structural::numbers_whole(object);
    fits(kind, name, &errors)
}

/// Whether an object that is to be deleted may go, as far as its spec is concerned.
pub(super) fn may_go(kind: &Kind, object: &Value) -> bool {
    !kind.is("Namespace") || object["spec"]["finalizers"].as_array().is_none_or(Vec::is_empty)
}

fn service(kind: &Kind, name: &str, object: &mut Value, old: Option<&Value>, state: &State) -> Result<(), Refused> {
    let unfit = |unfit| unfit_service(kind, name, unfit);
    let mut choice = state.numbers.choice(old);
    let admitted = service::admit(object, old, &mut choice, true);
    let mut errors = match &admitted {
        Ok(()) | Err(Unfit::Fields(_)) => service::validate(object, old),
        Err(Unfit::Exhausted(_)) => Vec::new(),
    };
    if let Err(why) = admitted {
        return Err(unfit(match why {
            Unfit::Fields(more) => {
                errors.retain(|error| !more.contains(error));
                Unfit::Fields(errors.into_iter().chain(more).collect())
            }
            why @ Unfit::Exhausted(_) => why,
        }));
    }
    errors.extend(state.numbers.choice(old).check(object));
    if errors.is_empty() { Ok(()) } else { Err(unfit(Unfit::Fields(errors))) }
}

fn unfit_service(kind: &Kind, name: &str, unfit: Unfit) -> Refused {
    match unfit {
        Unfit::Fields(errors) => Refused::invalid(kind, name, &errors),
        Unfit::Exhausted(service::Exhausted(message)) => {
            Refused::internal(format!("Internal error occurred: {message}"))
        }
    }
}

fn fits(kind: &Kind, name: &str, errors: &[FieldError]) -> Result<(), Refused> {
    if errors.is_empty() { Ok(()) } else { Err(Refused::invalid(kind, name, errors)) }
}

/// `legacyValidateEvent`: an Event lies where its object does; what is cluster-wide has its Events in `default`.
fn event(kind: &Kind, name: &str, object: &Value) -> Result<(), Refused> {
    let (lies, about) = (text(&object["metadata"]["namespace"]), text(&object["involvedObject"]["namespace"]));
    if about == lies || (about.is_empty() && matches!(lies.as_str(), "default" | "kube-system")) {
        return Ok(());
    }
    let error = FieldError::invalid("involvedObject.namespace", &about.into(), "does not match event.namespace");
    Err(Refused::invalid(kind, name, &[error]))
}

fn definition(kind: &Kind, name: &str, object: &Value) -> Result<(), Refused> {
    fits(kind, name, &definition::check(name, object))?;
    if object["spec"]["conversion"]["strategy"] != "None" {
        return Err(Refused::not_emulated("conversion webhooks of custom resources"));
    }
    Ok(())
}

/// What the API extensions' controllers write some moments after: the names are taken, the kind is there.
fn established(object: &mut Value, state: &State) {
    let now = timestamp(state.clock);
    let condition = |kind: &str, reason: &str, message: &str| json!({"type": kind, "status": "True", "lastTransitionTime": now, "reason": reason, "message": message});
    let versions = object["spec"]["versions"].as_array().into_iter().flatten();
    let stored: Vec<Value> =
        versions.filter(|version| version["storage"] == true).map(|version| version["name"].clone()).collect();
    let known = object["status"]["conditions"].as_array().is_some_and(|conditions| !conditions.is_empty());
    object["status"]["acceptedNames"] = object["spec"]["names"].clone();
    object["status"]["storedVersions"] = stored.into();
    if !known {
        object["status"]["conditions"] = json!([
            condition("NamesAccepted", "NoConflicts", "no conflicts found"),
            condition("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        ]);
    }
}

fn immutable(kind: &Kind, name: &str, object: &Value, old: &Value, field: &str, at: &str) -> Result<(), Refused> {
    let value = object.pointer(at).unwrap_or(&Value::Null);
    if old.pointer(at).unwrap_or(&Value::Null) == value {
        return Ok(());
    }
    Err(Refused::invalid(kind, name, &[FieldError::invalid(field, value, "field is immutable")]))
}

/// `ValidateConfigMapUpdate`, `ValidateSecretUpdate`: what somebody has made immutable stays so, with all that it holds.
fn frozen(kind: &Kind, name: &str, object: &Value, old: &Value, fields: &[&str]) -> Result<(), Refused> {
    if old["immutable"] != true {
        return Ok(());
    }
    let changed = |field: &&&str| object.get(**field) != old.get(**field);
    let why = "field is immutable when `immutable` is set";
    let all = ["immutable"].iter().chain(fields);
    let errors: Vec<FieldError> = all.filter(changed).map(|field| FieldError::forbidden(*field, why)).collect();
    fits(kind, name, &errors)
}

/// Which kinds count their changes, and of what. Services never did.
fn generation(kind: &Kind, object: &mut Value, old: &Value) {
    let differs = |field: &str| object[field] != old[field];
    let changed = if kind.custom && !kind.status {
        differs_but_for(object, old, &["metadata"])
    } else if kind.custom {
        differs_but_for(object, old, &["metadata", "status"])
    } else if kind.is("EndpointSlice") {
        differs_but_for(object, old, &["metadata"]) || object["metadata"]["labels"] != old["metadata"]["labels"]
    } else {
        (kind.is("Pod") || kind.is("CustomResourceDefinition")) && differs("spec")
    };
    if changed {
        object["metadata"]["generation"] = (old["metadata"]["generation"].as_u64().unwrap_or(0) + 1).into();
    }
}

fn differs_but_for(object: &Value, old: &Value, fields: &[&str]) -> bool {
    let rest = |object: &Value| {
        let mut rest = object.clone();
        fields.iter().for_each(|field| remove(&mut rest, field));
        rest
    };
    rest(object) != rest(old)
}

fn keep(object: &mut Value, old: &Value, field: &str) {
    match old.get(field) {
        Some(value) => object[field] = value.clone(),
        None => remove(object, field),
    }
}

fn keep_within(object: &mut Value, old: &Value, field: &str, within: &str) {
    match old[field].get(within) {
        Some(value) => object[field][within] = value.clone(),
        None => remove(&mut object[field], within),
    }
}
