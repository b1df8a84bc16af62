//! Label and field selectors, as `k8s.io/apimachinery/pkg/{labels,fields}` read them.

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
        let unable = |error: String| Refused::bad_request(format!("unable to parse requirement: {error}"));
        Ok(Self {
            labels: labels(parameters.text("labelSelector")).map_err(unable)?,
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

/// A comma within the parentheses of a set separates values, elsewhere terms.
fn labels(text: &str) -> Result<Vec<Requirement>, String> {
    let mut terms = vec![String::new()];
    let mut within = false;
    for character in text.chars() {
        within = (within || character == '(') && character != ')';
        match (character, within) {
            (',', false) => terms.push(String::new()),
            _ => terms.last_mut().into_iter().for_each(|term| term.push(character)),
        }
    }
    terms.iter().map(|term| term.trim()).filter(|term| !term.is_empty()).map(requirement).collect()
}

fn requirement(term: &str) -> Result<Requirement, String> {
    let made = |key: &str, wants| {
        let key = key.trim();
        let fits = |character: char| character.is_ascii_alphanumeric() || "-_./".contains(character);
        if key.is_empty() || !key.chars().all(fits) {
            return Err(format!("{term:?} has no valid label key"));
        }
        Ok(Requirement { key: key.to_owned(), wants })
    };
    if let Some((head, set)) = term.strip_suffix(')').and_then(|term| term.split_once('(')) {
        let values = set.split(',').map(|value| value.trim().to_owned()).collect();
        return match head.split_whitespace().collect::<Vec<_>>().as_slice() {
            [key, "in"] => made(key, Wants::In(values)),
            [key, "notin"] => made(key, Wants::NotIn(values)),
            _ => Err(format!("found {head:?}, expected: in, notin")),
        };
    }
    let one = |value: &str| vec![value.trim().to_owned()];
    if let Some((key, value)) = term.split_once("!=") {
        made(key, Wants::NotIn(one(value)))
    } else if let Some((key, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
        made(key, Wants::In(one(value)))
    } else if let Some((key, value)) = term.split_once('>') {
        made(key, Wants::Above(value.trim().parse().map_err(|_| format!("{value:?} is no integer"))?))
    } else if let Some((key, value)) = term.split_once('<') {
        made(key, Wants::Below(value.trim().parse().map_err(|_| format!("{value:?} is no integer"))?))
    } else if let Some(key) = term.strip_prefix('!') {
        made(key, Wants::Missing)
    } else {
        made(term, Wants::Exists)
    }
}

fn fields(kind: &Kind, text: &str) -> Result<Vec<FieldTerm>, Refused> {
    let term = |term: &str| {
        let (field, value, equal) = if let Some((field, value)) = term.split_once("!=") {
            (field, value, false)
        } else if let Some((field, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
            (field, value, true)
        } else {
            return Err(Refused::bad_request(format!("invalid selector: '{text}'; can't understand '{term}'")));
        };
        let pointer = pointer(kind, field).ok_or_else(|| unselectable(kind, field))?;
        Ok(FieldTerm { pointer, value: value.to_owned(), equal })
    };
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(term).collect()
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
