//! What a CustomResourceDefinition may say (`k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation/validation.go`), and what
//! of it the sandbox does not do: whoever writes that is warned.

mod schema;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::metadata::{is_subdomain, text};
use super::refused::FieldError;
use super::structural::UNCHECKED;

/// What is wrong with a definition.
pub(super) fn check(name: &str, object: &Value) -> Vec<FieldError> {
    let spec = &object["spec"];
    let mut errors = Vec::new();
    if name != format!("{}.{}", text(&spec["names"]["plural"]), text(&spec["group"])) {
        errors.push(FieldError::invalid("metadata.name", &name.into(), "must be spec.names.plural+\".\"+spec.group"));
    }
    check_group(object, &mut errors);
    match text(&spec["scope"]).as_str() {
        "Cluster" | "Namespaced" => {}
        "" => errors.push(FieldError::required("spec.scope", "")),
        _ => errors.push(FieldError::not_supported("spec.scope", &spec["scope"], &["Cluster", "Namespaced"])),
    }
    if spec["preserveUnknownFields"] == true {
        let why =
            "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead";
        errors.push(FieldError::invalid("spec.preserveUnknownFields", &true.into(), why));
    }
    check_versions(spec, &mut errors);
    check_names(&spec["names"], &mut errors);
    if !matches!(spec["conversion"]["strategy"].as_str(), Some("None" | "Webhook")) {
        let strategy = &spec["conversion"]["strategy"];
        errors.push(FieldError::not_supported("spec.conversion.strategy", strategy, &["None", "Webhook"]));
    }
    errors
}

fn check_group(object: &Value, errors: &mut Vec<FieldError>) {
    let group = text(&object["spec"]["group"]);
    let invalid = |why: &str| FieldError::invalid("spec.group", &group.as_str().into(), why);
    if group.is_empty() {
        errors.push(FieldError::required("spec.group", ""));
    } else if !is_subdomain(&group) {
        errors.push(invalid(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end \
             with an alphanumeric character (e.g. 'example.com', regex used for validation is \
             '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
        ));
    } else if !group.contains('.') {
        errors.push(invalid("should be a domain with at least one dot"));
    }
    // KEP-1111.
    let protected = [".k8s.io", ".kubernetes.io"].iter().any(|suffix| group.ends_with(suffix));
    if protected && object["metadata"]["annotations"]["api-approved.kubernetes.io"].is_null() {
        let why = "protected groups must have approval annotation \"api-approved.kubernetes.io\", see \
                   https://github.com/kubernetes/enhancements/pull/1111";
        errors.push(FieldError::required("metadata.annotations[api-approved.kubernetes.io]", why));
    }
}

/// What all versions have in common, the server holds (and names) once for all.
fn check_versions(spec: &Value, errors: &mut Vec<FieldError>) {
    let versions = spec["versions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let common = |part: &str| versions.windows(2).all(|pair| matches!(pair, [one, other] if one[part] == other[part]));
    for (index, version) in versions.iter().enumerate() {
        let at = format!("spec.versions[{index}]");
        let name = text(&version["name"]);
        if !is_dns_1035_label(&name) {
            errors.push(FieldError::invalid(format!("{at}.name"), &name.as_str().into(), DNS_1035));
            if index == 0 {
                errors.push(FieldError::invalid("spec.version", &name.as_str().into(), DNS_1035));
            }
        }
        let schema = &version["schema"]["openAPIV3Schema"];
        if schema.is_null() {
            errors.push(FieldError::required(format!("{at}.schema.openAPIV3Schema"), ""));
        } else if !common("schema") {
            errors.extend(schema::check(schema, &format!("{at}.schema.openAPIV3Schema")));
        } else if index == 0 {
            errors.extend(schema::check(schema, "spec.validation.openAPIV3Schema"));
        }
        if !common("additionalPrinterColumns") {
            check_columns(&version["additionalPrinterColumns"], &at, errors);
        } else if index == 0 {
            check_columns(&version["additionalPrinterColumns"], "spec", errors);
        }
    }
    let names: BTreeSet<String> = versions.iter().map(|version| text(&version["name"])).collect();
    if names.len() != versions.len() {
        let why = "must contain unique version names";
        errors.push(FieldError::invalid_as_shown("spec.versions", &internal(versions, &common), why));
    }
    let mut stored =
        versions.iter().filter(|version| version["storage"] == true).map(|version| version["name"].clone());
    let (first, last) = (stored.next(), stored.next_back());
    if first.is_none() || last.is_some() {
        let why = "must have exactly one version marked as storage version";
        errors.push(FieldError::invalid_as_shown("spec.versions", &internal(versions, &common), why));
    }
    match (first, last) {
        (None, _) => {
            let why = "must have at least one stored version";
            errors.push(FieldError::invalid("status.storedVersions", &Value::Null, why));
        }
        (Some(first), Some(last)) => {
            let why = format!("must have the storage version {}", text(&last));
            errors.push(FieldError::invalid("status.storedVersions", &json!([first]), why));
        }
        (Some(_), None) => {}
    }
}

/// The versions as a message shows the server's own type of them.
fn internal(versions: &[Value], common: &dyn Fn(&str) -> bool) -> String {
    let of = |version: &Value| {
        let own = |part: &str| if common(part) { &Value::Null } else { &version[part] };
        format!(
            "{{\"Name\":{},\"Served\":{},\"Storage\":{},\"Deprecated\":{},\"DeprecationWarning\":{},\"Schema\":{},\"Subresources\":{},\
             \"AdditionalPrinterColumns\":{},\"SelectableFields\":{}}}",
            version["name"],
            version["served"],
            version["storage"],
            version["deprecated"] == true,
            version["deprecationWarning"],
            own("schema"),
            own("subresources"),
            own("additionalPrinterColumns"),
            own("selectableFields"),
        )
    };
    format!("[{}]", versions.iter().map(of).collect::<Vec<_>>().join(","))
}

fn check_columns(columns: &Value, at: &str, errors: &mut Vec<FieldError>) {
    for (index, column) in columns.as_array().into_iter().flatten().enumerate() {
        let at = format!("{at}.additionalPrinterColumns[{index}]");
        if text(&column["name"]).is_empty() {
            errors.push(FieldError::required(format!("{at}.name"), ""));
        }
        let types = "must be one of boolean,date,integer,number,string";
        match text(&column["type"]).as_str() {
            "boolean" | "date" | "integer" | "number" | "string" => {}
            "" => errors.push(FieldError::required(format!("{at}.type"), types)),
            _ => errors.push(FieldError::invalid(format!("{at}.type"), &column["type"], types)),
        }
        let formats = "must be one of byte,date,date-time,double,float,int32,int64,password";
        if !matches!(
            text(&column["format"]).as_str(),
            "" | "byte" | "date" | "date-time" | "double" | "float" | "int32" | "int64" | "password"
        ) {
            errors.push(FieldError::invalid(format!("{at}.format"), &column["format"], formats));
        }
        let path = text(&column["jsonPath"]);
        if path.is_empty() {
            errors.push(FieldError::required(format!("{at}.JSONPath"), ""));
        } else if !path.starts_with('.') {
            let why = "must be a simple json path starting with .";
            errors.push(FieldError::invalid(format!("{at}.JSONPath"), &path.into(), why));
        }
    }
}

fn check_names(names: &Value, errors: &mut Vec<FieldError>) {
    for name in ["plural", "singular", "kind", "listKind"] {
        if text(&names[name]).is_empty() {
            errors.push(FieldError::required(format!("spec.names.{name}"), ""));
        }
    }
    let mixed = format!("may have mixed case, but should otherwise match: {DNS_1035}");
    for (name, in_lower_case, why) in [
        ("plural", false, DNS_1035),
        ("singular", false, DNS_1035),
        ("kind", true, mixed.as_str()),
        ("listKind", true, mixed.as_str()),
    ] {
        let value = text(&names[name]);
        let label = if in_lower_case { value.to_lowercase() } else { value.clone() };
        if !value.is_empty() && !is_dns_1035_label(&label) {
            errors.push(FieldError::invalid(format!("spec.names.{name}"), &value.into(), why));
        }
    }
    if !text(&names["kind"]).is_empty() && names["kind"] == names["listKind"] {
        let why = "kind and listKind may not be the same";
        errors.push(FieldError::invalid("spec.names.listKind", &names["listKind"], why));
    }
    for list in ["shortNames", "categories"] {
        for (index, name) in names[list].as_array().into_iter().flatten().enumerate() {
            if !is_dns_1035_label(&text(name)) {
                errors.push(FieldError::invalid(format!("spec.names.{list}[{index}]"), name, DNS_1035));
            }
        }
    }
}

const DNS_1035: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, \
                        and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is \
                        '[a-z]([-a-z0-9]*[a-z0-9])?')";

/// RFC 1035, 2.3.1: a label that begins with a letter.
fn is_dns_1035_label(name: &str) -> bool {
    super::metadata::is_label(name) && name.starts_with(|first: char| first.is_ascii_lowercase())
}

/// A sentence for each thing that the sandbox does not do.
pub(super) fn not_emulated(definition: &Value) -> Vec<String> {
    let mut found = BTreeSet::new();
    for version in definition["spec"]["versions"].as_array().into_iter().flatten() {
        search(&version["schema"]["openAPIV3Schema"], &mut found);
        if !version["subresources"]["scale"].is_null() {
            found.insert("the sandbox does not emulate the subresource scale".to_owned());
        }
    }
    found.into_iter().collect()
}

fn search(schema: &Value, found: &mut BTreeSet<String>) {
    if schema["x-kubernetes-validations"].as_array().is_some_and(|rules| !rules.is_empty()) {
        found.insert("the sandbox does not emulate CEL: x-kubernetes-validations are not checked".to_owned());
    }
    if let Some(format) = schema["format"].as_str().filter(|format| UNCHECKED.contains(format)) {
        found.insert(format!("the sandbox does not check the format {format}"));
    }
    match schema {
        Value::Object(fields) => fields.values().for_each(|field| search(field, found)),
        Value::Array(items) => items.iter().for_each(|item| search(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
