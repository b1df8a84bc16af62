//! What holds for the metadata of every kind. From `k8s.io/apiserver/pkg/registry/rest/{create,update}.go` and
//! `k8s.io/apimachinery/pkg/api/validation/objectmeta.go`.

pub(super) mod labels;

use std::fmt::Write as _;

use serde_json::Value;

use super::kinds::Kind;
use super::refused::{FieldError, Refused};
use super::route::Target;
use crate::cluster::clock::Clock;
use crate::cluster::random::Random;

/// Names that the server makes up have no vowels, so that they spell nothing (`k8s.io/apimachinery/pkg/util/rand`).
const LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// What the server says of what should be a DNS label.
pub(super) const LABEL_WORDS: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must \
    start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";

/// What it says of what should be a DNS subdomain.
pub(super) const SUBDOMAIN_WORDS: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or \
    '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

/// Names and marks an object that is created. What is wrong with its metadata is told together with what its kind finds.
pub(super) fn born(
    target: &Target,
    object: &mut Value,
    random: &mut Random,
    clock: Clock,
) -> Result<Vec<FieldError>, Refused> {
    let kind = &target.kind;
    if text(&object["metadata"]["name"]).is_empty() {
        let prefix = text(&object["metadata"]["generateName"]);
        if prefix.is_empty() {
            let error = FieldError::required("metadata.name", "name or generateName is required");
            return Err(Refused::invalid(kind, "", &[error]));
        }
        object["metadata"]["name"] = format!("{prefix}{}", suffix(random)).into();
    }
    if !text(&object["metadata"]["resourceVersion"]).is_empty() {
        return Err(Refused::version_on_create());
    }
    place(target, object)?;
    let name = text(&object["metadata"]["name"]);
    let mut errors = Vec::new();
    check_name(kind, &name, &mut errors);
    check_finalizers(object, &mut errors);
    labels::check(object, &mut errors);
    check_owners(object, &mut errors);
    for field in ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"] {
        remove(&mut object["metadata"], field);
    }
    object["metadata"]["uid"] = uid(random).into();
    object["metadata"]["creationTimestamp"] = timestamp(clock).into();
    Ok(errors)
}

/// Holds an object that replaces another, or comes of a patch, to what cannot change.
pub(super) fn kept(target: &Target, object: &mut Value, old: &Value, patched: bool) -> Result<(), Refused> {
    let kind = &target.kind;
    place(target, object)?;
    let name = text(&object["metadata"]["name"]);
    named(target, object)?;
    let (asked, uid) = (text(&object["metadata"]["uid"]), text(&old["metadata"]["uid"]));
    if !asked.is_empty() && asked != uid && patched {
        let error = FieldError::invalid("metadata.uid", &asked.into(), "field is immutable");
        return Err(Refused::invalid(kind, &name, &[error.clone(), error]));
    }
    if !asked.is_empty() && asked != uid {
        let at = format!("/registry/{}/{}/{name}", kind.plural, target.namespace).replace("//", "/");
        let why = format!(
            "StorageError: invalid object, Code: 4, Key: {at}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in \
             precondition: {asked}, UID in object meta: {uid}"
        );
        return Err(Refused::conflict_because(kind, &name, why));
    }
    let version = text(&object["metadata"]["resourceVersion"]);
    if !version.is_empty() && version != text(&old["metadata"]["resourceVersion"]) {
        return Err(Refused::conflict(kind, &name));
    }
    let mut errors = Vec::new();
    for field in ["deletionTimestamp", "deletionGracePeriodSeconds"] {
        // Nobody takes such a mark away, or sets it by hand.
        let (wanted, had) = (&object["metadata"][field], &old["metadata"][field]);
        if !wanted.is_null() && had.is_null() {
            errors.push(FieldError::invalid(format!("metadata.{field}"), wanted, "field is immutable"));
        }
    }
    for field in
        ["uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generateName", "generation"]
    {
        match old["metadata"].get(field) {
            Some(value) => object["metadata"][field] = value.clone(),
            None => remove(&mut object["metadata"], field),
        }
    }
    check_finalizers(object, &mut errors);
    labels::check(object, &mut errors);
    check_owners(object, &mut errors);
    let finalizers = |object: &Value| object["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
    let before = finalizers(old);
    let new: Vec<String> =
        finalizers(object).iter().filter(|one| !before.contains(one)).map(ToString::to_string).collect();
    if !new.is_empty() && !old["metadata"]["deletionTimestamp"].is_null() {
        let why = format!(
            "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
            new.join(", ")
        );
        errors.push(FieldError::forbidden("metadata.finalizers", why));
    }
    // Whoever updates asks twice: for all kinds (`BeforeUpdate`), and for this one (its strategy).
    errors.extend(errors.clone());
    if errors.is_empty() { Ok(()) } else { Err(Refused::invalid(kind, &name, &errors)) }
}

/// The object has the name that the path names.
pub(super) fn named(target: &Target, object: &Value) -> Result<(), Refused> {
    let name = text(&object["metadata"]["name"]);
    if name.is_empty() {
        let message =
            format!("the name of the object ({} based on URL) was undeterminable: name must be provided", target.name);
        return Err(Refused::bad_request(message));
    }
    if name != target.name {
        let message = format!("the name of the object ({name}) does not match the name on the URL ({})", target.name);
        return Err(Refused::bad_request(message));
    }
    Ok(())
}

/// The object is of the kind and namespace that the path names.
fn place(target: &Target, object: &mut Value) -> Result<(), Refused> {
    let namespace = text(&object["metadata"]["namespace"]);
    if !namespace.is_empty() && !target.kind.namespaced {
        // `EnsureObjectNamespaceMatchesRequestNamespace`: what is cluster-wide has none, whatever is said.
        remove(&mut object["metadata"], "namespace");
    } else if !namespace.is_empty() && namespace != target.namespace {
        let message = "the namespace of the provided object does not match the namespace sent on the request";
        return Err(Refused::bad_request(message));
    }
    if target.kind.namespaced {
        object["metadata"]["namespace"] = target.namespace.as_str().into();
    }
    Ok(())
}

fn check_name(kind: &Kind, name: &str, errors: &mut Vec<FieldError>) {
    // RelaxedServiceNameValidation: the name of a Service may begin with a digit.
    let label = kind.is("Service") || kind.is("Namespace");
    let mut wrong = |why: &str| errors.push(FieldError::invalid("metadata.name", &name.into(), why));
    if label {
        if name.len() > 63 {
            wrong("must be no more than 63 characters");
        }
        if name.is_empty() || !is_label_of_any_length(name) {
            wrong(LABEL_WORDS);
        }
        return;
    }
    if name.len() > 253 {
        wrong("must be no more than 253 characters");
    }
    if !name.split('.').all(|part| !part.is_empty() && is_label_of_any_length(part)) {
        wrong(SUBDOMAIN_WORDS);
    }
}

/// `validateOwnerReference`: who owns is named by all four marks, and one alone controls.
fn check_owners(object: &Value, errors: &mut Vec<FieldError>) {
    let owners = object["metadata"]["ownerReferences"].as_array().map(Vec::as_slice).unwrap_or_default();
    for owner in owners {
        for (field, why) in [
            ("apiVersion", "version must not be empty"),
            ("kind", "must not be empty"),
            ("name", "must not be empty"),
            ("uid", "must not be empty"),
        ] {
            if text(&owner[field]).is_empty() {
                errors.push(FieldError::invalid(format!("metadata.ownerReferences.{field}"), &"".into(), why));
            }
        }
    }
}

fn check_finalizers(object: &Value, errors: &mut Vec<FieldError>) {
    for (index, finalizer) in object["metadata"]["finalizers"].as_array().into_iter().flatten().enumerate() {
        let name = text(finalizer);
        let standard = matches!(name.as_str(), "orphan" | "foregroundDeletion" | "kubernetes");
        if !(standard || name.contains('/') && is_qualified(&name)) {
            let why = "name is neither a standard finalizer name nor is it fully qualified";
            errors.push(FieldError::invalid(format!("metadata.finalizers[{index}]"), finalizer, why));
        }
    }
}

/// RFC 1123: a DNS label.
pub(super) fn is_label(name: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = name.as_bytes();
    name.len() <= 63
        && bytes.first().is_some_and(|byte| alphanumeric(*byte))
        && bytes.last().is_some_and(|byte| alphanumeric(*byte))
        && bytes.iter().all(|byte| alphanumeric(*byte) || *byte == b'-')
}

/// RFC 1123: a DNS subdomain.
pub(super) fn is_subdomain(name: &str) -> bool {
    let long =
        |part: &str| part.split('.').all(|part| is_label(part) || part.len() > 63 && is_label_of_any_length(part));
    name.len() <= 253 && long(name)
}

fn is_label_of_any_length(part: &str) -> bool {
    part.as_bytes()
        .chunks(63)
        .all(|chunk| chunk.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-'))
        && !part.starts_with('-')
        && !part.ends_with('-')
}

/// A qualified name: an optional DNS subdomain and a slash, then up to 63 of `[A-Za-z0-9._-]`.
pub(super) fn is_qualified(name: &str) -> bool {
    let (prefix, name) = name.split_once('/').map_or((None, name), |(prefix, name)| (Some(prefix), name));
    let bytes = name.as_bytes();
    let ends = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    prefix.is_none_or(is_subdomain)
        && name.len() <= 63
        && ends(bytes.first())
        && ends(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}

/// The time as objects carry it: whole seconds.
pub(super) fn timestamp(clock: Clock) -> String {
    later(clock, 0)
}

/// The time in so many seconds.
pub(super) fn later(clock: Clock, seconds: i64) -> String {
    let second = clock.wall().as_second().saturating_add(seconds);
    jiff::Timestamp::from_second(second).unwrap_or_default().to_string()
}

fn suffix(random: &mut Random) -> String {
    let letter =
        |_| LETTERS.get(usize::try_from(random.below(27)).unwrap_or_default()).copied().map_or('x', char::from);
    (0..5).map(letter).collect()
}

/// A UUID of version 4 (RFC 9562, 5.4).
fn uid(random: &mut Random) -> String {
    let number = (u128::from(random.number()) << 64) | u128::from(random.number());
    let number = number & !(0xF << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{number:032x}");
    let mut uid = String::new();
    for (index, digit) in hex.chars().enumerate() {
        let dash = if matches!(index, 8 | 12 | 16 | 20) { "-" } else { "" };
        let _ = write!(uid, "{dash}{digit}");
    }
    uid
}

pub(super) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

pub(super) fn remove(object: &mut Value, field: &str) {
    object.as_object_mut().map(|fields| fields.remove(field));
}
