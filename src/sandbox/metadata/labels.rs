//! What labels and annotations may be. From `k8s.io/apimachinery/pkg/api/validate/content/kube.go`.

use serde_json::{Map, Value};

use super::super::refused::FieldError;
use super::{is_subdomain, text};

/// Bytes of a label's name, or of its value.
const LONGEST: usize = 63;
/// Bytes of all annotations of an object, names and values.
const ANNOTATIONS: usize = 256 * 1024;

const LETTERS: &str = "alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";

pub(super) fn check(object: &Value, errors: &mut Vec<FieldError>) {
    check_labels(&object["metadata"]["labels"], "metadata.labels", errors);
    for (name, _) in fields(object, "annotations") {
        // Here capitals make no difference, not even before the slash.
        let why = name_is(&name.to_lowercase()).into_iter();
        errors.extend(why.map(|why| FieldError::invalid("metadata.annotations", &name.as_str().into(), why)));
    }
    let size: usize = fields(object, "annotations").map(|(name, value)| name.len() + text(value).len()).sum();
    if size > ANNOTATIONS {
        errors.push(FieldError::too_long("metadata.annotations", ANNOTATIONS));
    }
}

/// Labels, wherever they stand.
pub(in crate::sandbox) fn check_labels(labels: &Value, at: &str, errors: &mut Vec<FieldError>) {
    for (name, value) in labels.as_object().into_iter().flatten() {
        errors.extend(name_is(name).into_iter().map(|why| FieldError::invalid(at, &name.as_str().into(), why)));
        errors.extend(value_is(&text(value)).into_iter().map(|why| FieldError::invalid(at, value, why)));
    }
}

fn fields<'a>(object: &'a Value, field: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    object["metadata"][field].as_object().into_iter().flat_map(Map::iter)
}

/// What is wrong with the name of a label: an optional DNS subdomain and a slash, then a name.
pub(in crate::sandbox) fn name_is(name: &str) -> Vec<String> {
    let words = format!(
        "must consist of {LETTERS} (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
         '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
    );
    let mut wrong = Vec::new();
    let name = match name.split_once('/') {
        None => name,
        Some((_, rest)) if rest.contains('/') => {
            let form = "with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";
            return vec![format!("a valid label key {words} {form}")];
        }
        Some(("", name)) => {
            wrong.push("prefix part must be non-empty".to_owned());
            name
        }
        Some((prefix, name)) => {
            if !is_subdomain(prefix) {
                wrong.push(
                    "prefix part a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and \
                     must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
                     '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
                        .to_owned(),
                );
            }
            name
        }
    };
    if name.is_empty() {
        wrong.push("name part must be non-empty".to_owned());
    } else if name.len() > LONGEST {
        wrong.push(format!("name part must be no more than {LONGEST} bytes"));
    }
    if !is_word(name) {
        wrong.push(format!("name part {words}"));
    }
    wrong
}

/// What is wrong with the value of a label.
pub(in crate::sandbox) fn value_is(value: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if value.len() > LONGEST {
        wrong.push(format!("must be no more than {LONGEST} bytes"));
    }
    if !value.is_empty() && !is_word(value) {
        wrong.push(format!(
            "a valid label must be an empty string or consist of {LETTERS} (e.g. 'MyValue',  or 'my_value',  or '12345', regex used \
             for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
        ));
    }
    wrong
}

fn is_word(text: &str) -> bool {
    let end = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    end(bytes.first())
        && end(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}
