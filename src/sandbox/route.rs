//! What a request means: its path, verb and parameters. From `k8s.io/apiserver/pkg/endpoints/request/requestinfo.go`.

use std::num::IntErrorKind;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, Uri, header};
use serde_json::Value;

use super::apply::{self, Apply};
use super::decoder::{self, Dialect};
use super::fields::Fields;
use super::form::Form;
use super::kinds::Kind;
use super::refused::{FieldError, Refused};
use super::schema::Schema;
use super::{Body, Storage, admission, discovery, json_answer, patch, protobuf, read, watch, write};
use crate::yaml;

/// What a request is about.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) kind: Arc<Kind>,
    /// Empty for what is cluster-wide, and for a list over all namespaces.
    pub(super) namespace: String,
    /// Empty where the path names none.
    pub(super) name: String,
    /// Whether the request is about the subresource `status`, the only one that there is.
    pub(super) status: bool,
}

/// The query's parameters, percent-decoded. Of one that stands twice the first counts, as in Go.
#[derive(Clone, Debug, Default)]
pub(super) struct Parameters {
    pairs: Vec<(String, String)>,
    /// What was found in the body beside what it means.
    pub(super) fields: Fields,
}

impl Parameters {
    fn of(query: &str) -> Self {
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let pairs = pairs
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(name, value)| (decoded(name), decoded(value)))
            .collect();
        let read = Self { pairs, fields: Fields::default() };
        Self { fields: Fields::new(read.text("fieldValidation")), ..read }
    }

    /// The value, or an empty text.
    pub(super) fn text(&self, name: &str) -> &str {
        self.pairs.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        !self.text(name).is_empty()
    }

    /// Only what is not there, `false` and `0` are no (`Convert_Slice_string_To_bool`).
    pub(super) fn flag(&self, name: &str) -> bool {
        let value = self.pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value);
        value.is_some_and(|value| value != "0" && !value.eq_ignore_ascii_case("false"))
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<i64>, Refused> {
        match self.text(name) {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|error: std::num::ParseIntError| {
                let too_large = matches!(error.kind(), IntErrorKind::PosOverflow | IntErrorKind::NegOverflow);
                let why = if too_large { "value out of range" } else { "invalid syntax" };
                Refused::bad_request(format!("strconv.ParseInt: parsing {text:?}: {why}"))
            }),
        }
    }

    /// The same, if it is more than 0.
    pub(super) fn count(&self, name: &str) -> Result<Option<u64>, Refused> {
        Ok(self.number(name)?.and_then(|number| u64::try_from(number).ok()).filter(|number| *number > 0))
    }

    /// Whether the write is to be judged but not done; `options` is the kind of its parameters.
    pub(super) fn dry_run(&self, options: &str) -> Result<bool, Refused> {
        match self.text("dryRun") {
            "" => Ok(false),
            "All" => Ok(true),
            other => {
                let error = FieldError::not_supported("dryRun", &serde_json::json!([other]), &["All"]);
                Err(Refused::invalid_parameters(options, &[error]))
            }
        }
    }
}

/// Routes a request to whoever answers it.
pub(super) fn answer(storage: &Storage, request: &Request<Bytes>) -> Response<Body> {
    let parameters = Parameters::of(request.uri().query().unwrap_or_default());
    let mut answer = answered(storage, request, &parameters).unwrap_or_else(|refused| refused.answer());
    for warning in parameters.fields.warnings() {
        answer.headers_mut().append(header::WARNING, warning);
    }
    answer
}

fn answered(storage: &Storage, request: &Request<Bytes>, parameters: &Parameters) -> Result<Response<Body>, Refused> {
    let path = path(request.uri());
    let mut parts: Vec<&str> = path.iter().map(String::as_str).collect();
    let watches = is_watch(&parts);
    if let Some(at) = watches {
        parts.remove(at);
    }
    let watches = watches.is_some();
    let Some(target) = target(storage, &parts)? else {
        return discovery::answer(storage, request, &parts);
    };
    let named = !target.name.is_empty();
    // `IsValidPathSegmentName`
    if let Some(why) = match target.name.as_str() {
        "." => Some("may not be '.'"),
        ".." => Some("may not be '..'"),
        name if name.contains('%') => Some("may not contain '%'"),
        _ => None,
    } {
        return Err(Refused::bad_request(format!("Name parameter invalid: {:?}: {why}", target.name)));
    }
    let form = Form::of(request, parameters)?;
    let manager = || apply::manager(parameters, agent(request));
    let (code, answer) = match request.method().as_str() {
        // The name counts more than `watch` (`NewRequestInfo`).
        "GET" | "HEAD" if named && !watches => (200, read::get(storage, &target, parameters)?),
        "GET" if watches || parameters.flag("watch") => return watch::begin(storage, target, parameters, form),
        "GET" => (200, read::list(storage, &target, parameters)?),
        "POST" if !named => {
            apply::check(parameters, "CreateOptions", false)?;
            let body = object(request, &target, parameters)?;
            (201, write::create(storage, &target, parameters, manager(), body)?)
        }
        "PUT" if named => {
            apply::check(parameters, "UpdateOptions", false)?;
            let body = object(request, &target, parameters)?;
            write::replace(storage, &target, parameters, manager(), body)?
        }
        "PATCH" if named && content_type(request) == Apply::CONTENT_TYPE => {
            apply::check(parameters, "PatchOptions", true)?;
            let apply = Apply::read(request.body(), parameters)?;
            write::apply(storage, &target, parameters, manager(), &apply)?
        }
        "PATCH" if named => {
            let patch = patch::Patch::read(content_type(request), request.body(), &target)?;
            apply::check(parameters, "PatchOptions", false)?;
            (200, write::patch(storage, &target, parameters, manager(), &patch)?)
        }
        "DELETE" if named && !target.status => write::delete(storage, &target, parameters, &options(request)?)?,
        "DELETE" if !named => (200, write::delete_all(storage, &target, parameters, &options(request)?)?),
        _ => return Err(Refused::method_not_allowed()),
    };
    if matches!(request.method().as_str(), "POST" | "PUT" | "PATCH") && !target.status {
        admission::warnings(&target.kind, &answer).into_iter().for_each(|warning| parameters.fields.say(warning));
    }
    let answer = form.answer(&storage.lock(), &target.kind, answer)?;
    Ok(json_answer(code, &answer))
}

/// Where a path says that it is one of a watch, as of old: `/api/v1/watch/...`.
fn is_watch(path: &[&str]) -> Option<usize> {
    match path {
        ["api", _, "watch", _, ..] => Some(2),
        ["apis", _, _, "watch", _, ..] => Some(3),
        _ => None,
    }
}

/// What a request is about, if it is about objects at all.
pub(super) fn target_of(storage: &Storage, uri: &Uri) -> Option<Target> {
    let path = path(uri);
    let parts: Vec<&str> = path.iter().map(String::as_str).collect();
    target(storage, &parts).ok().flatten()
}

fn path(uri: &Uri) -> Vec<String> {
    let path = decoded_path(uri.path());
    let path = path.trim_matches('/');
    if path.is_empty() { Vec::new() } else { path.split('/').map(str::to_owned).collect() }
}

/// What a path names; nothing where it is no path of a resource, a refusal where it is one of a resource that there is not.
fn target(storage: &Storage, path: &[&str]) -> Result<Option<Target>, Refused> {
    let (group, version, rest) = match path {
        ["api", version, rest @ ..] if !rest.is_empty() => ("", *version, rest),
        ["apis", group, version, rest @ ..] if !rest.is_empty() => (*group, *version, rest),
        _ => return Ok(None),
    };
    let (namespace, resource) = match rest {
        // Namespaces are themselves a resource.
        ["namespaces"] | ["namespaces", _] | ["namespaces", _, "status" | "finalize"] if group.is_empty() => ("", rest),
        ["namespaces", namespace, resource @ ..] if !resource.is_empty() => (*namespace, resource),
        resource => ("", resource),
    };
    let (plural, name, subresource) = match resource {
        [plural] => (*plural, "", None),
        [plural, name] => (*plural, *name, None),
        [plural, name, subresource] => (*plural, *name, Some(*subresource)),
        _ => return Err(Refused::no_such_resource()),
    };
    let kind = {
        let state = storage.lock();
        // Built-in groups answer for what they have not; all else falls through to the mux, also what a custom group has not.
        let built_in = state.kinds.all().any(|kind| kind.group == group && !kind.custom);
        let unknown = if built_in { Refused::no_such_resource } else { Refused::no_such_path };
        state.kinds.find(group, version, plural).ok_or_else(unknown)?
    };
    let status = match subresource {
        None => false,
        Some("status") if kind.status => true,
        Some(_) => return Err(Refused::no_such_resource()),
    };
    // A namespace in the path of what has none, or none in the path of a named object that has one.
    if namespace.is_empty() == kind.namespaced && !(namespace.is_empty() && name.is_empty()) {
        return Err(Refused::no_such_resource());
    }
    Ok(Some(Target { kind, namespace: namespace.to_owned(), name: name.to_owned(), status }))
}

fn agent<B>(request: &Request<B>) -> &str {
    request.headers().get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

pub(super) fn content_type<B>(request: &Request<B>) -> &str {
    let value = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim()
}

/// An object that is written. What stands twice in it, or is not known, is taken down in the order of the document.
fn object(request: &Request<Bytes>, target: &Target, parameters: &Parameters) -> Result<Value, Refused> {
    let (kind, body) = (&target.kind, request.body());
    if !matches!(content_type(request), "" | "application/json") {
        let object = json(request)?;
        return scanned(&object, kind, parameters).map(|()| object);
    }
    let object: Value = serde_json::from_slice(body).map_err(|error| {
        let why = if error.is_eof() { "unexpected end of JSON input".to_owned() } else { error.to_string() };
        Refused::unrecognized(kind, body, &format!("couldn't get version/kind; json parse error: {why}"))
    })?;
    for field in ["apiVersion", "kind"] {
        if let Some(value) = object.get(field).filter(|value| !(value.is_string() || value.is_null())) {
            let wrong = decoder::json_name(value);
            let why = format!("json: cannot unmarshal {wrong} into Go struct field .{field} of type string");
            let why = format!("couldn't get version/kind; json parse error: {why}");
            return Err(Refused::unrecognized(kind, body, &why));
        }
    }
    if kind.custom && object.get("kind").is_none() {
        let missing = format!("Object 'Kind' is missing in '{}'", String::from_utf8_lossy(body));
        return Err(Refused::unrecognized(kind, body, &missing));
    }
    scanned(&mut serde_json::Deserializer::from_slice(body), kind, parameters).map(|()| object)
}

/// Holds a document to its kind's types, and takes down what else was found.
fn scanned<'de, D: serde::Deserializer<'de>>(document: D, kind: &Kind, parameters: &Parameters) -> Result<(), Refused> {
    let schema = Schema::of(kind).filter(|_| !kind.custom);
    let findings = decoder::scan(document, schema, &kind.kind, Dialect::Json);
    if let Some(wrong) = findings.wrong {
        return Err(Refused::undecodable(kind, &wrong));
    }
    let noted = parameters.fields.note(findings.strict);
    // Of a custom resource, what is unknown is found later, and told with it.
    if kind.custom { Ok(()) } else { noted.map_err(|why| Refused::undecodable(kind, &why)) }
}

/// The body, which has to be JSON. YAML is accepted where the client says so, as by the real server.
fn json(request: &Request<Bytes>) -> Result<Value, Refused> {
    match content_type(request) {
        "" | "application/json" => serde_json::from_slice(request.body())
            .map_err(|error| Refused::bad_request(format!("couldn't get version/kind; json parse error: {error}"))),
        "application/yaml" => std::str::from_utf8(request.body())
            .map_err(|error| error.to_string())
            .and_then(|text| yaml::documents(text).map_err(|error| error.to_string()))
            .and_then(|documents| documents.into_iter().next().ok_or_else(|| "there is no document".to_owned()))
            .map_err(|error| Refused::bad_request(format!("couldn't get version/kind; yaml: {error}"))),
        "application/vnd.kubernetes.protobuf" => protobuf::read(request.body()).map_err(|error| match error {
            protobuf::Unreadable::Kind(_) => Refused::unsupported_media_type(error.to_string()),
            protobuf::Unreadable::Prefix | protobuf::Unreadable::Cut | protobuf::Unreadable::Type(_) => {
                Refused::bad_request(error.to_string())
            }
        }),
        other => Err(Refused::unsupported_media_type(format!(
            "the body of the request was in an unknown format ({other}) - accepted media types include: application/json, \
             application/yaml"
        ))),
    }
}

/// The DeleteOptions of a request, null without.
fn options(request: &Request<Bytes>) -> Result<Value, Refused> {
    debug_assert_eq!(request.method(), Method::DELETE);
    if request.body().is_empty() { Ok(Value::Null) } else { json(request) }
}

/// A query's text: percent signs, and `+` for a blank.
fn decoded(text: &str) -> String {
    decoded_path(&text.replace('+', " "))
}

fn decoded_path(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let mut ahead = rest.clone();
        let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
        match (byte, digit(ahead.next()), digit(ahead.next())) {
            (b'%', Some(high), Some(low)) => {
                bytes.extend(u8::try_from(high * 16 + low));
                rest = ahead;
            }
            (byte, _, _) => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
