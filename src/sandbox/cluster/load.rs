//! Creates a cluster's objects through the API, as a user would.

use std::collections::BTreeSet;

use http::{Method, Request};
use kube::Client;
use serde_json::{Value, json};

use super::kinds::Kind;
use super::{Cluster, ClusterErrors, Manifest};
use crate::api;

/// HTTP 409, of a create: it exists.
const CONFLICT: u16 = 409;

/// Creates our CustomResourceDefinitions, the namespaces that objects name, and the objects. All that is refused is told at once.
pub(crate) async fn load(cluster: &Cluster, client: &Client) -> Result<(), ClusterErrors> {
    let mut errors = ClusterErrors::default();
    let groundwork = groundwork(cluster).map_err(|error| ClusterErrors(vec![error]))?;
    for manifest in groundwork.iter().chain(&cluster.manifests) {
        if let Err(error) = create(manifest, client).await {
            errors.0.push(format!("{manifest}: {error}"));
        }
    }
    if errors.0.is_empty() { Ok(()) } else { Err(errors) }
}

/// What must be there before the manifests, and may not stand among them.
fn groundwork(cluster: &Cluster) -> Result<Vec<Manifest>, String> {
    let mut all = Vec::new();
    for crd in api::crds() {
        all.push(serde_json::to_value(&crd).map_err(|error| format!("our own CustomResourceDefinitions: {error}"))?);
    }
    let namespaces: BTreeSet<&String> = cluster
        .manifests
        .iter()
        .map(|manifest| &manifest.namespace)
        .filter(|namespace| !namespace.is_empty())
        .collect();
    let namespace = |name| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    all.extend(namespaces.into_iter().map(namespace));
    let is_stated = |manifest: &Manifest| {
        cluster.manifests.iter().any(|stated| stated.kind == manifest.kind && stated.name == manifest.name)
    };
    let mut manifests = Vec::new();
    for object in all {
        let manifest = super::manifest("the sandbox's own", object)?;
        if !is_stated(&manifest) {
            manifests.push(manifest);
        }
    }
    Ok(manifests)
}

async fn create(manifest: &Manifest, client: &Client) -> Result<(), String> {
    let Manifest { kind, namespace, name, object, place: _ } = manifest;
    let path = kind.path(namespace);
    let created = match call(client, Method::POST, &path, "application/json", object).await {
        // Those that every cluster has, and that a file only says more about.
        Err(kube::Error::Api(status)) if status.code == CONFLICT && may_exist(kind) => {
            call(client, Method::PATCH, &format!("{path}/{name}"), MERGE_PATCH, object).await
        }
        answer => answer,
    };
    let created = created.map_err(|error| error.to_string())?;
    // The server takes no status with most kinds: controllers write it, and here the file is the controller.
    if let Some(status) = object.get("status").filter(|status| wants_status(status, created.get("status"))) {
        let patch = json!({"status": status});
        let written = call(client, Method::PATCH, &format!("{path}/{name}/status"), MERGE_PATCH, &patch).await;
        written.map_err(|error| format!("its status: {error}"))?;
    }
    Ok(())
}

fn may_exist(kind: &Kind) -> bool {
    matches!(kind.name, "Namespace" | "CustomResourceDefinition")
}

/// The file says something that the server does not show.
fn wants_status(wanted: &Value, had: Option<&Value>) -> bool {
    match (wanted, had) {
        (Value::Object(wanted), Some(had)) => wanted.iter().any(|(field, value)| wants_status(value, had.get(field))),
        (Value::Object(wanted), None) => wanted.values().any(|value| wants_status(value, None)),
        (wanted, had) => had != Some(wanted),
    }
}

const MERGE_PATCH: &str = "application/merge-patch+json";

async fn call(client: &Client, method: Method, path: &str, media: &str, body: &Value) -> kube::Result<Value> {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(http::header::CONTENT_TYPE, media)
        .body(body.to_string().into_bytes())
        .map_err(|error| kube::Error::BuildRequest(kube::core::request::Error::BuildRequest(error)))?;
    client.request(request).await
}
