//! Who wrote what: every write as a line of the real server's audit log (`audit.k8s.io/v1`, stage ResponseComplete). Reads are left
//! out, and bodies of Secrets and Leases, as by the policy that Kubernetes' documentation begins with.
//!
//! The sandbox asks nobody who they are, so that all are `system:anonymous`; but who says that they act as somebody else is believed,
//! as by a server that authorises everything: `kubectl --as NAME`, or `as: NAME` with the user in a kubeconfig.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http::{HeaderName, Request, header};
use serde_json::{Value, json};

use super::Storage;
use super::route::{self, Target};
use crate::cluster::clock::Clock;
use crate::yaml;

/// An audit log. It is appended to, as by the real server.
#[derive(Debug)]
pub(crate) struct Audit {
    file: Mutex<File>,
    clock: Clock,
}

/// A write that came and is not answered yet.
pub(super) struct Asked {
    event: Value,
}

const IMPERSONATE_USER: HeaderName = HeaderName::from_static("impersonate-user");
const IMPERSONATE_GROUP: HeaderName = HeaderName::from_static("impersonate-group");

impl Audit {
    /// Opens the log, and makes it if there is none.
    pub(crate) fn open(file: &Path, clock: Clock) -> std::io::Result<Self> {
        let file = File::options().create(true).append(true).open(file)?;
        Ok(Self { file: Mutex::new(file), clock })
    }

    /// What the log will say of a request; nothing of a read.
    pub(super) fn asked(&self, storage: &Storage, request: &Request<Bytes>) -> Option<Asked> {
        let target = route::target_of(storage, request.uri());
        let verb = verb(request.method(), target.as_ref())?;
        let body = body(request);
        let secret = target.as_ref().is_some_and(|target| target.kind.is("Secret") || target.kind.is("Lease"));
        let text = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
        let mut event = json!({
            "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": if secret { "Metadata" } else { "Request" },
            "stage": "ResponseComplete", "requestURI": request.uri().to_string(), "verb": verb,
            "user": {"username": "system:anonymous", "groups": ["system:unauthenticated"]},
            "requestReceivedTimestamp": self.now(),
            "annotations": {"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": ""},
        });
        if let Some(agent) = text(header::USER_AGENT) {
            event["userAgent"] = agent.into();
        }
        if let Some(user) = text(IMPERSONATE_USER) {
            let groups = request.headers().get_all(IMPERSONATE_GROUP).iter().filter_map(|group| group.to_str().ok());
            let groups: Vec<&str> = groups.chain(["system:authenticated"]).collect();
            event["impersonatedUser"] = json!({"username": user, "groups": groups});
        }
        if let Some(target) = &target {
            event["objectRef"] = reference(target, &body);
        }
        if !secret && !body.is_null() {
            event["requestObject"] = body;
        }
        Some(Asked { event })
    }

    /// Writes it down, with the code of the answer.
    pub(super) fn answered(&self, asked: Asked, code: u16) {
        let Asked { mut event } = asked;
        event["responseStatus"] = json!({"metadata": {}, "code": code});
        event["stageTimestamp"] = self.now().into();
        let line = format!("{event}\n");
        // One write, so that lines never mix; a lock that somebody panicked with guards a whole file.
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = file.write_all(line.as_bytes()) {
            tracing::error!(%error, "cannot write the audit log");
        }
    }

    /// Times with microseconds, as Go's `metav1.MicroTime`.
    fn now(&self) -> String {
        format!("{:.6}", self.clock.wall())
    }
}

/// The verb of a write, as an authorizer is asked for it (`k8s.io/apiserver/pkg/endpoints/request/requestinfo.go`).
fn verb(method: &http::Method, target: Option<&Target>) -> Option<&'static str> {
    match method.as_str() {
        "POST" => Some("create"),
        "PUT" => Some("update"),
        "PATCH" => Some("patch"),
        "DELETE" if target.is_some_and(|target| target.name.is_empty()) => Some("deletecollection"),
        "DELETE" => Some("delete"),
        _ => None,
    }
}

/// What was sent; null where it is neither JSON nor YAML.
fn body(request: &Request<Bytes>) -> Value {
    if route::content_type(request).ends_with("yaml") {
        let documents = std::str::from_utf8(request.body()).ok().and_then(|text| yaml::documents(text).ok());
        return documents.and_then(|all| all.into_iter().next()).unwrap_or_default();
    }
    serde_json::from_slice(request.body()).unwrap_or_default()
}

/// What a request is about. The path of a create names no object, the body may.
fn reference(target: &Target, body: &Value) -> Value {
    let kind = &target.kind;
    let mut reference = json!({"resource": kind.plural, "apiVersion": kind.version});
    let in_body = body.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    let name = if target.name.is_empty() { in_body } else { &target.name };
    for (field, value) in [
        ("apiGroup", kind.group.as_str()),
        ("namespace", &target.namespace),
        ("name", name),
        ("subresource", if target.status { "status" } else { "" }),
    ] {
        if !value.is_empty() {
            reference[field] = value.into();
        }
    }
    reference
}
