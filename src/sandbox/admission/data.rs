//! What ConfigMaps and Secrets may hold: `ValidateConfigMap` and `ValidateSecret` of `pkg/apis/core/validation/validation.go`.

use serde_json::Value;

use super::super::metadata::text;
use super::super::refused::FieldError;

/// Bytes of all values of one object.
const LARGEST: usize = 1024 * 1024;
/// What a Secret of a service account's token names.
const ACCOUNT: &str = "kubernetes.io/service-account.name";

pub(super) fn config_map(object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (key, _) in entries(object, "data") {
        let at = format!("data[{key}]");
        errors.extend(key_is(key).map(|why| FieldError::invalid(at.as_str(), &key.as_str().into(), why)));
        if object["binaryData"].get(key).is_some() {
            errors.push(FieldError::invalid(at, &key.as_str().into(), "duplicate of key present in binaryData"));
        }
    }
    keys(object, "binaryData", &mut errors);
    let texts: usize = entries(object, "data").map(|(_, value)| text(value).len()).sum();
    size(texts + bytes(object, "binaryData"), &mut errors);
    errors
}

pub(super) fn secret(object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    keys(object, "data", &mut errors);
    size(bytes(object, "data"), &mut errors);
    let data = &object["data"];
    let mut required = |key: &str| errors.push(FieldError::required(format!("data[{key}]"), ""));
    let is_empty = |key: &str| text(&data[key]).is_empty();
    match text(&object["type"]).as_str() {
        "kubernetes.io/service-account-token" if text(&object["metadata"]["annotations"][ACCOUNT]).is_empty() => {
            errors.push(FieldError::required(format!("metadata.annotations[{ACCOUNT}]"), ""));
        }
        "kubernetes.io/dockercfg" => json(data, ".dockercfg", &mut errors),
        "kubernetes.io/dockerconfigjson" => json(data, ".dockerconfigjson", &mut errors),
        "kubernetes.io/basic-auth" if data.get("username").is_none() && data.get("password").is_none() => {
            ["username", "password"].into_iter().for_each(required);
        }
        "kubernetes.io/ssh-auth" if is_empty("ssh-privatekey") => required("ssh-privatekey"),
        "kubernetes.io/tls" => {
            ["tls.crt", "tls.key"].into_iter().filter(|key| data.get(key).is_none()).for_each(required);
        }
        _ => {}
    }
    errors
}

/// What is to be read as JSON, which the sandbox does not tell as Go would where it cannot be.
fn json(data: &Value, key: &str, errors: &mut Vec<FieldError>) {
    let at = format!("data[{key}]");
    let Some(value) = data.get(key) else {
        errors.push(FieldError::required(at, ""));
        return;
    };
    let decoded = serde_json::from_value::<k8s_openapi::ByteString>(value.clone()).unwrap_or_default();
    if let Err(why) = serde_json::from_slice::<Value>(&decoded.0) {
        errors.push(FieldError::invalid(at, &"<secret contents redacted>".into(), why));
    }
}

fn keys(object: &Value, field: &str, errors: &mut Vec<FieldError>) {
    for (key, _) in entries(object, field) {
        let wrong = key_is(key);
        errors.extend(wrong.map(|why| FieldError::invalid(format!("{field}[{key}]"), &key.as_str().into(), why)));
    }
}

/// What is wrong with a key: it may become the name of a file (`IsConfigMapKey`).
fn key_is(key: &str) -> Option<&'static str> {
    if key.len() > 253 {
        Some("must be no more than 253 characters")
    } else if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) {
        Some(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or \
             'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
        )
    } else if key == "." {
        Some("must not be '.'")
    } else if key == ".." {
        Some("must not be '..'")
    } else if key.starts_with("..") {
        Some("must not start with '..'")
    } else {
        None
    }
}

fn size(size: usize, errors: &mut Vec<FieldError>) {
    if size > LARGEST {
        errors.push(FieldError::too_long("[]", LARGEST)); // how Go prints the path of the whole
    }
}

/// Bytes of values that stand there in base64 (RFC 4648, 4).
fn bytes(object: &Value, field: &str) -> usize {
    entries(object, field).map(|(_, value)| text(value).trim_end_matches('=').len() * 3 / 4).sum()
}

fn entries<'a>(object: &'a Value, field: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    object[field].as_object().into_iter().flatten()
}
