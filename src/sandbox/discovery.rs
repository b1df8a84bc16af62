//! What clients are told about the server: its version, its groups and their resources, in the two forms that kubectl asks for, one by
//! one and aggregated (KEP-3352).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, header};
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};

use super::kinds::Kind;
use super::refused::Refused;
use super::{Body, Storage, answer_of, json_answer, openapi};

/// The Kubernetes version whose rules these are: that of the server which the suite asks.
const VERSION: (&str, &str, &str) = ("1", "36", "v1.36.1");

/// Answers a path that names no resource.
pub(super) fn answer(storage: &Storage, request: &Request<Bytes>, path: &[&str]) -> Result<Response<Body>, Refused> {
    if request.method() != Method::GET {
        return Err(Refused::method_not_allowed());
    }
    let kinds: Vec<Arc<Kind>> = storage.lock().kinds.all().cloned().collect();
    if matches!(path, ["api" | "apis"]) && wants_all(request) {
        return Ok(aggregated(&kinds, path == ["api"]));
    }
    let document = match path {
        [] => json!({"paths": ["/api", "/api/v1", "/apis", "/healthz", "/livez", "/readyz", "/version"]}),
        ["version"] => version(),
        ["healthz" | "livez" | "readyz", ..] => {
            return Ok(answer_of(
                200,
                "text/plain; charset=utf-8",
                Full::new(Bytes::from_static(b"ok")).boxed_unsync(),
            ));
        }
        ["api"] => json!({
            "kind": "APIVersions", "versions": ["v1"],
            "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": "127.0.0.1"}],
        }),
        ["api", "v1"] => resources(&kinds, "", "v1"),
        ["apis"] => {
            let groups: Vec<Value> = groups(&kinds).iter().map(|(name, versions)| group(name, versions)).collect();
            json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
        }
        ["apis", name] => {
            let groups = groups(&kinds);
            let versions = groups.get(*name).ok_or_else(Refused::no_such_path)?;
            let mut document = group(name, versions);
            document["kind"] = "APIGroup".into();
            document["apiVersion"] = "v1".into();
            document
        }
        ["apis", name, version] if groups(&kinds).get(*name).is_some_and(|all| all.contains(version)) => {
            resources(&kinds, name, version)
        }
        ["openapi", "v2"] => return Ok(openapi_v2(request)),
        ["openapi", "v3"] => {
            let paths: BTreeSet<String> = kinds.iter().map(|kind| openapi::path(kind)).collect();
            openapi::index(paths.iter().map(String::as_str))
        }
        ["openapi", "v3", rest @ ..] => {
            let path = rest.join("/");
            let of: Vec<&Kind> = kinds.iter().map(AsRef::as_ref).filter(|kind| openapi::path(kind) == path).collect();
            if of.is_empty() {
                return Err(Refused::no_such_path());
            }
            openapi::document(of.into_iter())
        }
        _ => return Err(Refused::no_such_path()),
    };
    Ok(json_answer(200, &document))
}

/// OpenAPI v2, which names no kind. kubectl asks for it before it sends a List, or a kind that there is not, and lets pass what it does
/// not find there; what it finds is in OpenAPI v3.
fn openapi_v2<B>(request: &Request<B>) -> Response<Body> {
    const PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
    let accept = request.headers().get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let (title, (_, _, version)) = ("Kubernetes", VERSION);
    if !accept.contains("spec.v2@v1.0+protobuf") {
        let info = json!({"title": title, "version": version});
        return json_answer(200, &json!({"swagger": "2.0", "info": info, "paths": {}, "definitions": {}}));
    }
    // message Document {string swagger = 1; Info info = 2;}, message Info {string title = 1; string version = 2;}
    let field = |number: u8, content: &[u8]| {
        let length = u8::try_from(content.len()).unwrap_or_default();
        [&[number << 3 | 2, length], content].concat()
    };
    let info = [field(1, title.as_bytes()), field(2, version.as_bytes())].concat();
    let document = [field(1, b"2.0"), field(2, &info)].concat();
    answer_of(200, PROTOBUF, Full::new(Bytes::from(document)).boxed_unsync())
}

fn wants_all<B>(request: &Request<B>) -> bool {
    let accept = request.headers().get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    accept
        .split(',')
        .any(|range| range.contains("as=APIGroupDiscoveryList") && range.contains("v=v2;") || range.ends_with("v=v2"))
}

fn version() -> Value {
    let (major, minor, version) = VERSION;
    json!({
        "major": major, "minor": minor, "gitVersion": version, "gitCommit": "", "gitTreeState": "", "buildDate": "",
        "goVersion": "", "compiler": "", "platform": "portolan/sandbox",
    })
}

/// The versions of each group but the core's.
fn groups(kinds: &[Arc<Kind>]) -> BTreeMap<&str, Vec<&str>> {
    let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for kind in kinds.iter().filter(|kind| !kind.group.is_empty()) {
        let versions = groups.entry(&kind.group).or_default();
        if !versions.contains(&kind.version.as_str()) {
            versions.push(&kind.version);
        }
    }
    groups
}

fn group(name: &str, versions: &[&str]) -> Value {
    let versions: Vec<Value> = versions
        .iter()
        .map(|version| json!({"groupVersion": format!("{name}/{version}"), "version": version}))
        .collect();
    json!({"name": name, "versions": versions, "preferredVersion": versions.first()})
}

fn resources(kinds: &[Arc<Kind>], group: &str, version: &str) -> Value {
    let mut resources = Vec::new();
    for kind in kinds.iter().filter(|kind| kind.group == group && kind.version == version) {
        let mut resource = json!({
            "name": kind.plural, "singularName": kind.singular, "namespaced": kind.namespaced, "kind": kind.kind,
            "verbs": kind.verbs(),
        });
        if !kind.short_names.is_empty() {
            resource["shortNames"] = json!(kind.short_names);
        }
        if !kind.categories.is_empty() {
            resource["categories"] = json!(kind.categories);
        }
        resources.push(resource);
        if kind.status {
            resources.push(json!({
                "name": format!("{}/status", kind.plural), "singularName": "", "namespaced": kind.namespaced,
                "kind": kind.kind, "verbs": ["get", "patch", "update"],
            }));
        }
    }
    let version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": resources})
}

/// All groups with all their resources in one answer.
fn aggregated(kinds: &[Arc<Kind>], core: bool) -> Response<Body> {
    let groups = if core { BTreeMap::from([("", vec!["v1"])]) } else { groups(kinds) };
    let items: Vec<Value> = groups
        .iter()
        .map(|(group, versions)| {
            let versions: Vec<Value> = versions
                .iter()
                .map(|version| {
                    let of = kinds.iter().filter(|kind| kind.group == *group && kind.version == *version);
                    let resources: Vec<Value> = of.map(|kind| aggregated_resource(kind)).collect();
                    json!({"version": version, "resources": resources, "freshness": "Current"})
                })
                .collect();
            let metadata = if group.is_empty() { json!({}) } else { json!({"name": group}) };
            json!({"metadata": metadata, "versions": versions})
        })
        .collect();
    let document = json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items,
    });
    let content_type = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    answer_of(200, content_type, Full::new(Bytes::from(document.to_string())).boxed_unsync())
}

fn aggregated_resource(kind: &Kind) -> Value {
    let response = json!({"group": kind.group, "version": kind.version, "kind": kind.kind});
    let mut resource = json!({
        "resource": kind.plural, "singularResource": kind.singular, "responseKind": response,
        "scope": if kind.namespaced { "Namespaced" } else { "Cluster" }, "verbs": kind.verbs(),
    });
    if !kind.short_names.is_empty() {
        resource["shortNames"] = json!(kind.short_names);
    }
    if !kind.categories.is_empty() {
        resource["categories"] = json!(kind.categories);
    }
    if kind.status {
        resource["subresources"] =
            json!([{"subresource": "status", "responseKind": response, "verbs": ["get", "patch", "update"]}]);
    }
    resource
}
