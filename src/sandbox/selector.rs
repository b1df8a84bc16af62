//! Label and field selectors, as `k8s.io/apimachinery/pkg/{labels,fields}` read them.

mod labels;

use serde_json::Value;

use super::kinds::Kind;
use super::refused::Refused;
use super::route::Parameters;

/// Which objects of a kind are meant.
#[derive(Clone, Debug, Default)]
pub(super) struct Selector {
    labels: Vec<Requirement>,
    fields: Vec<FieldTerm>,
}

#[derive(Clone, Debug, PartialEq)]
struct Requirement {
    key: String,
    wants: Wants,
}

#[derive(Clone, Debug, PartialEq)]
enum Wants {
    In(Vec<String>),
    /// Also met by an object without the label.
    NotIn(Vec<String>),
    Exists,
    Missing,
    Above(i64),
    Below(i64),
}

#[derive(Clone, Debug)]
struct FieldTerm {
    pointer: String,
    value: String,
    equal: bool,
}

impl Selector {
    pub(super) fn read(kind: &Kind, parameters: &Parameters) -> Result<Self, Refused> {
        Ok(Self {
            labels: labels::read(parameters.text("labelSelector")).map_err(Refused::bad_request)?,
            fields: fields(kind, parameters.text("fieldSelector"))?,
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    pub(super) fn selects(&self, object: &Value) -> bool {
        let labels = &object["metadata"]["labels"];
        self.labels.iter().all(|requirement| requirement.met_by(labels.get(&requirement.key).and_then(Value::as_str)))
            && self.fields.iter().all(|term| term.met_by(object))
    }
}

impl Requirement {
    fn met_by(&self, value: Option<&str>) -> bool {
        let number = || value.and_then(|value| value.parse::<i64>().ok());
        match &self.wants {
            Wants::In(values) => value.is_some_and(|value| values.iter().any(|one| one == value)),
            Wants::NotIn(values) => value.is_none_or(|value| values.iter().all(|one| one != value)),
            Wants::Exists => value.is_some(),
            Wants::Missing => value.is_none(),
            Wants::Above(limit) => number().is_some_and(|number| number > *limit),
            Wants::Below(limit) => number().is_some_and(|number| number < *limit),
        }
    }
}

impl FieldTerm {
    fn met_by(&self, object: &Value) -> bool {
        let found = match object.pointer(&self.pointer) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        // A Node that says nothing can be scheduled on.
        let found = if self.pointer == "/spec/unschedulable" && found.is_empty() { "false".to_owned() } else { found };
        (found == self.value) == self.equal
    }
}

fn fields(kind: &Kind, text: &str) -> Result<Vec<FieldTerm>, Refused> {
    let term = |term: String| {
        let (field, value, equal) = operator(&term)
            .ok_or_else(|| Refused::bad_request(format!("invalid selector: '{text}'; can't understand '{term}'")))?;
        let value = unescaped(value)?;
        let pointer = pointer(kind, field).ok_or_else(|| unselectable(kind, field))?;
        Ok(FieldTerm { pointer, value, equal })
    };
    terms(text).into_iter().filter(|part| !part.is_empty()).map(term).collect()
}

/// The parts between commas; one behind a backslash is none.
fn terms(text: &str) -> Vec<String> {
    let (mut terms, mut escaped) = (vec![String::new()], false);
    for letter in text.chars() {
        if letter == ',' && !escaped {
            terms.push(String::new());
        } else if let Some(term) = terms.last_mut() {
            term.push(letter);
        }
        escaped = letter == '\\' && !escaped;
    }
    terms
}

/// The first operator, and what stands on its sides; whether they shall be equal.
fn operator(term: &str) -> Option<(&str, &str, bool)> {
    let at = term.find("!=").into_iter().chain(term.find('=')).min()?;
    let (field, rest) = term.split_at_checked(at)?;
    let equal = !rest.starts_with('!');
    let value = rest.strip_prefix("!=").or_else(|| rest.strip_prefix("==")).or_else(|| rest.strip_prefix('='))?;
    Some((field, value, equal))
}

/// A value as it is meant (`UnescapeValue`).
fn unescaped(text: &str) -> Result<String, Refused> {
    let (mut value, mut letters) = (String::new(), text.chars());
    while let Some(letter) = letters.next() {
        match (letter, if letter == '\\' { letters.next() } else { None }) {
            ('\\', Some(meant @ ('\\' | ',' | '='))) => value.push(meant),
            ('\\', other) => {
                let sequence: String = std::iter::once('\\').chain(other).collect();
                return Err(Refused::bad_request(format!(
                    "invalid field selector: invalid escape sequence: {sequence}"
                )));
            }
            (',' | '=', _) => {
                let why = format!("invalid field selector: unescaped character in value: {}", u32::from(letter));
                return Err(Refused::bad_request(why));
            }
            (letter, _) => value.push(letter),
        }
    }
    Ok(value)
}

/// Kinds with fields of their own word it in another way than the others do.
fn unselectable(kind: &Kind, field: &str) -> Refused {
    let plain = matches!(kind.kind.as_str(), "ConfigMap" | "Lease" | "EndpointSlice" | "CustomResourceDefinition");
    Refused::bad_request(if plain && !kind.custom {
        format!("{field:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"")
    } else {
        format!("field label not supported: {field}")
    })
}

/// Which fields can be selected: `AddFieldLabelConversionFunc` of each kind in `pkg/apis/*/v1/conversion.go`.
fn pointer(kind: &Kind, field: &str) -> Option<String> {
    let own: &[&str] = match kind.kind.as_str() {
        _ if kind.custom => &[],
        "Service" => &["spec.clusterIP", "spec.type"],
        "Node" => &["spec.unschedulable"],
        "Namespace" => &["status.phase"],
        "Secret" => &["type"],
        "Pod" => &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        ],
        "Event" => &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "type",
        ],
        _ => &[],
    };
    let common = ["metadata.name"].into_iter().chain(kind.namespaced.then_some("metadata.namespace"));
    let known = common.chain(own.iter().copied()).any(|known| known == field);
    known.then(|| format!("/{}", field.replace('.', "/")))
}
