//! Refusals in the real server's words, from `k8s.io/apimachinery/pkg/api/errors` and `pkg/util/validation/field`. Clients compare
//! reasons, and people compare messages.

use bytes::Bytes;
use http::Response;
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};

use super::kinds::Kind;
use super::{Body, answer_of, json_answer};

/// Why a request is not done: a `Status` of `Failure`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Refused {
    code: u16,
    reason: &'static str,
    message: String,
    details: Value,
    /// The continue token of an inconsistent rest of a list; empty elsewhere.
    rest: String,
    /// What is wrong with fields of an object, if that is why.
    fields: Box<[FieldError]>,
}

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FieldError {
    field: String,
    reason: &'static str,
    message: String,
}

impl Refused {
    fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            details: Value::Null,
            rest: String::new(),
            fields: Box::default(),
        }
    }

    fn about(mut self, kind: &Kind, name: &str) -> Self {
        self.details = json!({"kind": kind.plural});
        if !name.is_empty() {
            self.details["name"] = name.into();
        }
        if !kind.group.is_empty() {
            self.details["group"] = kind.group.as_str().into();
        }
        self
    }

    pub(super) fn not_found(kind: &Kind, name: &str) -> Self {
        Self::new(404, "NotFound", format!("{} {name:?} not found", kind.qualified())).about(kind, name)
    }

    /// A path that leads nowhere below /api and /apis.
    pub(super) fn no_such_resource() -> Self {
        let mut refused = Self::new(404, "NotFound", "the server could not find the requested resource");
        refused.details = json!({});
        refused
    }

    pub(super) fn already_exists(kind: &Kind, name: &str) -> Self {
        Self::new(409, "AlreadyExists", format!("{} {name:?} already exists", kind.qualified())).about(kind, name)
    }

    /// The same, where the name will be free soon.
    pub(super) fn still_exists(kind: &Kind, name: &str) -> Self {
        let mut refused = Self::already_exists(kind, name);
        refused.message.insert_str(0, "object is being deleted: ");
        refused
    }

    pub(super) fn conflict(kind: &Kind, name: &str) -> Self {
        Self::conflict_because(
            kind,
            name,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    pub(super) fn conflict_because(kind: &Kind, name: &str, why: impl std::fmt::Display) -> Self {
        let message = format!("Operation cannot be fulfilled on {} {name:?}: {why}", kind.qualified());
        Self::new(409, "Conflict", message).about(kind, name)
    }

    /// A precondition of a delete that does not hold.
    pub(super) fn precondition(kind: &Kind, name: &str, why: impl std::fmt::Display) -> Self {
        let message = format!("Operation cannot be fulfilled on {} {name:?}: {why}", kind.kind);
        let mut refused = Self::new(409, "Conflict", message).about(kind, name);
        refused.details["kind"] = kind.kind.as_str().into();
        refused
    }

    /// A PUT without the version that its kind wants. The store says it, which knows the resource and not the kind.
    pub(super) fn without_version(kind: &Kind, name: &str) -> Self {
        let error = FieldError::invalid("metadata.resourceVersion", &0.into(), "must be specified for an update");
        let mut refused = Self::invalid(kind, name, &[error]);
        let (from, to) = (kind.kind.as_str(), kind.plural.as_str());
        refused.message = refused.message.replacen(from, to, 1);
        refused.details["kind"] = to.into();
        refused
    }

    pub(super) fn version_on_create() -> Self {
        Self::new(500, "", "resourceVersion should not be set on objects to be created")
    }

    pub(super) fn invalid(kind: &Kind, name: &str, errors: &[FieldError]) -> Self {
        // What was found twice is a cause twice, and said once (`utilerrors.NewAggregate`).
        let mut said: Vec<String> = Vec::new();
        for error in errors.iter().map(ToString::to_string) {
            if !said.contains(&error) {
                said.push(error);
            }
        }
        let listed = if let [one] = said.as_slice() { one.clone() } else { format!("[{}]", said.join(", ")) };
        let mut qualified = kind.kind.clone();
        if !kind.group.is_empty() {
            qualified = format!("{qualified}.{}", kind.group);
        }
        let mut refused =
            Self::new(422, "Invalid", format!("{qualified} {name:?} is invalid: {listed}")).about(kind, name);
        refused.details["kind"] = kind.kind.as_str().into();
        let causes =
            errors.iter().map(|error| json!({"reason": error.reason, "message": error.message, "field": error.field}));
        refused.details["causes"] = causes.collect();
        refused.fields = errors.into();
        refused
    }

    /// The same with what was found before, if it is about fields; else as it is.
    pub(super) fn after(self, kind: &Kind, name: &str, errors: &[FieldError]) -> Self {
        if self.fields.is_empty() || errors.is_empty() {
            return self;
        }
        Self::invalid(kind, name, &[errors, &self.fields].concat())
    }

    /// A body that nobody can read, and why in the decoder's words.
    pub(super) fn undecodable(kind: &Kind, why: &str) -> Self {
        let Kind { kind, version, .. } = kind;
        Self::bad_request(format!("{kind} in version {version:?} cannot be handled as a {kind}: {why}"))
    }

    /// A body that is no object, or does not say of what kind.
    pub(super) fn unrecognized(kind: &Kind, body: &[u8], why: &str) -> Self {
        let start: String = String::from_utf8_lossy(body).chars().take(30).collect();
        let shown = match body.first() {
            None => "<empty>".to_owned(),
            Some(b'{' | b'[') if body.len() > 30 => format!("{start} ..."),
            Some(b'{' | b'[') => start,
            Some(_) => body.iter().take(30).map(|byte| format!("{byte:02x}")).collect(),
        };
        Self::bad_request(format!(
            "the object provided is unrecognized (must be of type {}): {why} ({shown})",
            kind.kind
        ))
    }

    /// A patch after which nobody can read the object.
    pub(super) fn unreadable_patch(patch: &str, why: &str) -> Self {
        let error = FieldError::invalid("patch", &patch.into(), why);
        let mut refused = Self::new(422, "Invalid", format!(" \"\" is invalid: {error}"));
        refused.details = json!({"causes": [{"reason": error.reason, "message": error.message, "field": error.field}]});
        refused
    }

    /// Parameters of a write that cannot be.
    pub(super) fn invalid_parameters(options: &str, errors: &[FieldError]) -> Self {
        let listed: Vec<String> = errors.iter().map(ToString::to_string).collect();
        let listed = if let [one] = listed.as_slice() { one.clone() } else { format!("[{}]", listed.join(", ")) };
        let mut refused = Self::new(422, "Invalid", format!("{options}.meta.k8s.io \"\" is invalid: {listed}"));
        let causes: Vec<Value> = errors
            .iter()
            .map(|error| json!({"reason": error.reason, "message": error.message, "field": error.field}))
            .collect();
        refused.details = json!({"group": "meta.k8s.io", "kind": options, "causes": causes});
        refused
    }

    /// Fields that others own: for each who, and which.
    pub(super) fn apply_conflict(message: String, causes: impl Iterator<Item = (String, String)>) -> Self {
        let cause = |(message, field)| json!({"reason": "FieldManagerConflict", "message": message, "field": field});
        let causes: Vec<Value> = causes.map(cause).collect();
        Self { details: json!({"causes": causes}), ..Self::new(409, "Conflict", message) }
    }

    /// An object to apply that does not fit its kind. The server takes that for its own fault.
    pub(super) fn unfit_to_apply(message: String) -> Self {
        Self::new(500, "", message)
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// More than the server reads at once.
    pub(super) fn too_large(why: impl std::fmt::Display) -> Self {
        Self::new(413, "RequestEntityTooLarge", format!("Request entity too large: {why}"))
    }

    /// A patch that does not fit the object.
    pub(super) fn unfit_patch() -> Self {
        let message = "the server rejected our request due to an error in our request";
        Self { details: json!({}), ..Self::new(422, "Invalid", message) }
    }

    pub(super) fn namespace_terminating(kind: &Kind, name: &str, namespace: &str) -> Self {
        let why = format!("unable to create new content in namespace {namespace} because it is being terminated");
        let mut refused = Self::forbidden(kind, name, why);
        refused.details["causes"] = json!([{
            "reason": "NamespaceTerminating", "message": format!("namespace {namespace} is being terminated"),
            "field": "metadata.namespace",
        }]);
        refused
    }

    /// Neither a resource nor anything else: the mux's own words, which are no Status.
    pub(super) fn no_such_path() -> Self {
        Self::new(404, "", "404 page not found\n")
    }

    pub(super) fn forbidden(kind: &Kind, name: &str, why: impl std::fmt::Display) -> Self {
        let message = format!("{} {name:?} is forbidden: {why}", kind.qualified());
        Self::new(403, "Forbidden", message).about(kind, name)
    }

    pub(super) fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        let mut refused = Self::new(405, "MethodNotAllowed", message);
        refused.details = json!({});
        refused
    }

    pub(super) fn unsupported_media_type(message: impl Into<String>) -> Self {
        Self { details: json!({}), ..Self::new(415, "UnsupportedMediaType", message) }
    }

    pub(super) fn not_acceptable(message: impl Into<String>) -> Self {
        Self::new(406, "NotAcceptable", message)
    }

    /// The history before `compacted` is gone.
    pub(super) fn too_old(asked: u64, compacted: u64) -> Self {
        Self::new(410, "Expired", format!("too old resource version: {asked} ({compacted})"))
    }

    /// A list of a version whose history is gone.
    pub(super) fn list_expired() -> Self {
        Self::new(410, "Expired", "The resourceVersion for the provided list is too old.")
    }

    /// A continued list whose history is gone; `rest` is the token of what is left of it now.
    pub(super) fn continue_expired(rest: &str) -> Self {
        let message = "The provided continue parameter is too old to display a consistent list result. You can start a new list \
                       without the continue parameter, or use the continue token in this response to retrieve the remainder of \
                       the results. Continuing with the provided token results in an inconsistent list - objects that were \
                       created, modified, or deleted between the time the first chunk was returned and now may show up in the \
                       list.";
        Self { rest: rest.to_owned(), ..Self::new(410, "Expired", message) }
    }

    /// A resourceVersion that is no number. The server takes that for its own fault.
    pub(super) fn no_version(text: &str) -> Self {
        let why = format!("strconv.ParseUint: parsing {text:?}: invalid syntax");
        Self::new(500, "", format!("resourceVersion: Invalid value: {text:?}: {why}"))
    }

    /// A version that there is not yet.
    pub(super) fn too_new(asked: u64, current: u64) -> Self {
        let message = format!("Timeout: Too large resource version: {asked}, current: {current}");
        let mut refused = Self::new(504, "Timeout", message);
        let cause = json!({"reason": "ResourceVersionTooLarge", "message": "Too large resource version"});
        refused.details = json!({"causes": [cause], "retryAfterSeconds": 1});
        refused
    }

    pub(super) fn internal(message: impl Into<String>) -> Self {
        Self::new(500, "InternalError", message)
    }

    /// An error that the server has no reason for.
    pub(super) fn unexpected(message: impl Into<String>) -> Self {
        Self::new(500, "", message)
    }

    /// What the real server does, and the sandbox does not.
    pub(super) fn not_emulated(what: impl std::fmt::Display) -> Self {
        Self::new(501, "NotImplemented", format!("the sandbox does not emulate {what}"))
    }

    /// As an object of kind Status: the body of an answer, or of a watch's ERROR event.
    pub(super) fn status(&self) -> Value {
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": self.message,
            "code": self.code,
        });
        if !self.reason.is_empty() {
            status["reason"] = self.reason.into();
        }
        if !self.details.is_null() {
            status["details"] = self.details.clone();
        }
        if !self.rest.is_empty() {
            status["metadata"]["continue"] = self.rest.as_str().into();
        }
        status
    }

    pub(super) fn answer(&self) -> Response<Body> {
        if self.details.is_null() && self.reason.is_empty() && self.code == 404 {
            let text = Full::new(Bytes::from(self.message.clone())).boxed_unsync();
            return answer_of(self.code, "text/plain; charset=utf-8", text);
        }
        json_answer(self.code, &self.status())
    }
}

impl FieldError {
    fn new(field: impl Into<String>, reason: &'static str, message: String) -> Self {
        Self { field: field.into(), reason, message }
    }

    pub(crate) fn invalid(field: impl Into<String>, value: &Value, why: impl std::fmt::Display) -> Self {
        Self::new(field, "FieldValueInvalid", format!("Invalid value: {}: {why}", quoted(value)))
    }

    /// The same of a value that is shown as Go's own type of it.
    pub(crate) fn invalid_as_shown(field: impl Into<String>, shown: &str, why: impl std::fmt::Display) -> Self {
        Self::new(field, "FieldValueInvalid", format!("Invalid value: {shown}: {why}"))
    }

    /// Not of the type of its schema.
    pub(crate) fn of_type(field: impl Into<String>, value: &Value, why: impl std::fmt::Display) -> Self {
        Self::new(field, "FieldValueTypeInvalid", format!("Invalid value: {value}: {why}"))
    }

    pub(crate) fn too_many(field: impl Into<String>, count: usize, most: i64) -> Self {
        Self::new(field, "FieldValueTooMany", format!("Too many: {count}: must have at most {most} items"))
    }

    pub(crate) fn required(field: impl Into<String>, why: &str) -> Self {
        let why = if why.is_empty() { String::new() } else { format!(": {why}") };
        Self::new(field, "FieldValueRequired", format!("Required value{why}"))
    }

    pub(crate) fn too_long(field: impl Into<String>, limit: usize) -> Self {
        Self::new(field, "FieldValueTooLong", format!("Too long: may not be more than {limit} bytes"))
    }

    /// The same, of a field that was looked at as if it stood alone.
    pub(crate) fn within(self, at: &str) -> Self {
        let field =
            if self.field == "<nil>" || self.field.is_empty() { at.to_owned() } else { format!("{at}.{}", self.field) };
        Self { field, ..self }
    }

    pub(crate) fn forbidden(field: impl Into<String>, why: impl std::fmt::Display) -> Self {
        Self::new(field, "FieldValueForbidden", format!("Forbidden: {why}"))
    }

    pub(crate) fn duplicate(field: impl Into<String>, value: &Value) -> Self {
        Self::new(field, "FieldValueDuplicate", format!("Duplicate value: {value}"))
    }

    /// The same of a value that is shown as Go's own type of it.
    pub(crate) fn duplicate_as_shown(field: impl Into<String>, shown: &str) -> Self {
        Self::new(field, "FieldValueDuplicate", format!("Duplicate value: {shown}"))
    }

    pub(crate) fn not_supported(field: impl Into<String>, value: &Value, supported: &[&str]) -> Self {
        let supported: Vec<String> = supported.iter().map(|one| format!("{one:?}")).collect();
        let message = format!("Unsupported value: {value}: supported values: {}", supported.join(", "));
        Self::new(field, "FieldValueNotSupported", message)
    }
}

/// As Go quotes a text (`strconv.Quote`): like JSON, but for what cannot be seen.
fn quoted(value: &Value) -> String {
    let mut text = value.to_string();
    if value.is_string() {
        for (json, go) in [("\\u0007", "\\a"), ("\\u000b", "\\v"), ("\\u00", "\\x"), ("\u{7f}", "\\x7f")] {
            text = text.replace(json, go);
        }
    }
    text
}

impl std::fmt::Display for FieldError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}: {}", self.code, self.reason, self.message)
    }
}
