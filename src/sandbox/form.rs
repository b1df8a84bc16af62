//! In which form a client wants the objects of an answer: as they are, as rows of a Table, or their metadata alone. From
//! `k8s.io/apiserver/pkg/endpoints/handlers/{response.go,negotiation/negotiate.go}`.

use std::cmp::Reverse;

use http::{Request, header};
use serde_json::{Value, json};

use super::columns::Columns;
use super::kinds::Kind;
use super::refused::{FieldError, Refused};
use super::route::Parameters;
use super::store::State;

/// The group of Tables and metadata.
const META: &str = "meta.k8s.io";

/// What a client asks for. Answers are JSON in each.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Form {
    /// The kind's own.
    Own,
    /// PartialObjectMetadata.
    Metadata(Version),
    /// PartialObjectMetadataList.
    MetadataList(Version),
    Table(Version, Include),
}

/// The version of the form. The two differ in name alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    V1,
    V1Beta1,
}

/// What a Table's row holds besides its cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Include {
    Nothing,
    Metadata,
    Object,
}

/// One clause of an Accept header.
struct Clause<'a> {
    media: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
    quality: f64,
}

impl Form {
    /// The first form in the client's order that there is.
    pub(super) fn of<B>(request: &Request<B>, parameters: &Parameters) -> Result<Self, Refused> {
        let accept = request.headers().get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
        if accept.is_empty() {
            return Ok(Self::Own);
        }
        let mut clauses: Vec<Clause<'_>> = accept.split(',').map(Clause::read).collect();
        clauses.sort_by(|a, b| {
            let by_quality = b.quality.total_cmp(&a.quality);
            by_quality.then_with(|| Reverse(a.is_exact()).cmp(&Reverse(b.is_exact())))
        });
        match clauses.iter().find_map(Clause::form) {
            Some(Self::Table(version, _)) => Ok(Self::Table(version, include(parameters)?)),
            Some(form) => Ok(form),
            None => Err(Refused::not_acceptable(
                "only the following media types are accepted: application/json; the sandbox answers neither in YAML nor in \
                 protobuf",
            )),
        }
    }

    /// An answer in this form: an object of a kind, or a list of them. What is neither (a Status) stays as it is.
    pub(super) fn answer(&self, state: &State, kind: &Kind, answer: Value) -> Result<Value, Refused> {
        if answer["kind"] == "Status" && answer["apiVersion"] == "v1" && !kind.custom {
            return Ok(answer);
        }
        let list = answer["items"].is_array() && answer["kind"] == kind.list_kind.as_str();
        match self {
            Self::Own => Ok(answer),
            Self::Table(..) => Ok(Rows::new(self.clone(), state, kind).table(answer, list)),
            Self::Metadata(version) if !list => Ok(metadata(*version, &answer)),
            Self::MetadataList(version) if list => Ok(metadata_list(*version, &answer)),
            Self::Metadata(_) => {
                Err(Refused::not_acceptable("you requested PartialObjectMetadata, but the requested object is a list"))
            }
            Self::MetadataList(_) => Err(Refused::not_acceptable(
                "you requested PartialObjectMetadataList, but the requested object is not a list",
            )),
        }
    }
}

/// Makes the objects of a watch, one after the other, what its client wants.
pub(super) struct Rows {
    form: Form,
    columns: Option<Columns>,
    /// A watch names the columns once.
    named: bool,
}

impl Rows {
    pub(super) fn new(form: Form, state: &State, kind: &Kind) -> Self {
        let columns = matches!(form, Form::Table(..)).then(|| Columns::of(kind, state));
        Self { form, columns, named: false }
    }

    /// The object of an event.
    pub(super) fn object(&mut self, object: Value) -> Value {
        match &self.form {
            // What is no list cannot be shown as one: as on the real server, the object then stays as it is.
            Form::Own | Form::MetadataList(_) => object,
            Form::Metadata(version) => metadata(*version, &object),
            Form::Table(..) => self.table(object, false),
        }
    }

    fn table(&mut self, mut answer: Value, list: bool) -> Value {
        let (Form::Table(version, include), Some(columns)) = (&self.form, &self.columns) else { return answer };
        let (about, items) = if list {
            (answer["metadata"].take(), answer["items"].as_array_mut().map(std::mem::take).unwrap_or_default())
        } else {
            (json!({"resourceVersion": answer["metadata"]["resourceVersion"]}), vec![answer])
        };
        let rows: Vec<Value> = items.into_iter().map(|object| row(columns, *version, *include, object)).collect();
        let definitions = if std::mem::replace(&mut self.named, true) { Value::Null } else { columns.definitions() };
        json!({
            "kind": "Table", "apiVersion": version.group_version(), "metadata": about,
            "columnDefinitions": definitions, "rows": rows,
        })
    }
}

fn row(columns: &Columns, version: Version, include: Include, object: Value) -> Value {
    let mut row = columns.row(&object);
    // A bookmark that ends the initial events has to show that it does.
    let ends_initial = object["metadata"]["annotations"]["k8s.io/initial-events-end"] == "true";
    row["object"] = match include {
        Include::Object => columns.whole(object),
        Include::Metadata => metadata(version, &object),
        Include::Nothing if ends_initial => metadata(version, &object),
        Include::Nothing => Value::Null,
    };
    row
}

fn metadata(version: Version, object: &Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": version.group_version(), "metadata": object["metadata"]})
}

fn metadata_list(version: Version, list: &Value) -> Value {
    let items = list["items"].as_array().into_iter().flatten().map(|object| metadata(version, object));
    json!({
        "kind": "PartialObjectMetadataList", "apiVersion": version.group_version(), "metadata": list["metadata"],
        "items": items.collect::<Vec<_>>(),
    })
}

fn include(parameters: &Parameters) -> Result<Include, Refused> {
    match parameters.text("includeObject") {
        "" | "Metadata" => Ok(Include::Metadata),
        "None" => Ok(Include::Nothing),
        "Object" => Ok(Include::Object),
        other => {
            let why = "must be 'Metadata', 'Object', 'None', or empty";
            let error = FieldError::invalid("includeObject", &other.into(), why);
            Err(Refused::bad_request(format!("Unable to convert to Table as requested: {error}")))
        }
    }
}

impl<'a> Clause<'a> {
    fn read(text: &'a str) -> Self {
        let mut parts = text.split(';');
        let media = parts.next().unwrap_or_default().trim();
        let pairs = parts.filter_map(|part| part.split_once('='));
        let mut parameters: Vec<(&str, &str)> = pairs.map(|(name, value)| (name.trim(), value.trim())).collect();
        let quality = parameters.iter().find(|(name, _)| *name == "q").and_then(|(_, value)| value.parse().ok());
        parameters.retain(|(name, _)| *name != "q");
        Self { media, parameters, quality: quality.unwrap_or(1.0) }
    }

    fn is_exact(&self) -> bool {
        !self.media.contains('*')
    }

    /// What it asks for; nothing where the sandbox has no such form.
    fn form(&self) -> Option<Form> {
        if !matches!(self.media, "application/json" | "application/*" | "*/*" | "*") {
            return None;
        }
        let value = |wanted: &str| self.parameters.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value);
        if value("stream").is_some_and(|stream| !matches!(stream, "" | "watch")) {
            return None;
        }
        let (form, group, version) = (value("as"), value("g"), value("v"));
        if form.or(group).or(version).is_none() {
            return Some(Form::Own);
        }
        let version = match (group?, version?) {
            (META, "v1") => Version::V1,
            (META, "v1beta1") => Version::V1Beta1,
            _ => return None,
        };
        match form? {
            "Table" => Some(Form::Table(version, Include::Metadata)),
            "PartialObjectMetadata" => Some(Form::Metadata(version)),
            "PartialObjectMetadataList" => Some(Form::MetadataList(version)),
            _ => None,
        }
    }
}

impl Version {
    fn group_version(self) -> &'static str {
        match self {
            Self::V1 => "meta.k8s.io/v1",
            Self::V1Beta1 => "meta.k8s.io/v1beta1",
        }
    }
}
