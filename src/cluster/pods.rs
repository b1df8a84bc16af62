//! The only writer of readiness gates: one condition of a Pod's status, as the kubelet's own are left alone.

use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use portolan_core::gates::Finding;
use portolan_core::ids::Instance;
use portolan_core::snapshot::{Pod, Versioned};
use serde_json::json;

use crate::cluster::error::{CallError, Failure, call};
use crate::cluster::project;
use crate::cluster::stored::StoredPod;

/// Tells a Pod what has been found out about it. The Pod as it is then; none if it is gone, and another one may have its name: the server
/// refuses to change a UID (`ValidateObjectMetaAccessorUpdate`).
///
/// A strategic merge patch, by which the server merges conditions by type: no reading of the others is needed, and none of them can be lost.
pub(crate) async fn tell(
    client: &Client,
    instance: &Instance,
    finding: &Finding,
    now: &str,
) -> Result<Option<Versioned<Pod>>, CallError> {
    let Finding { pod, condition, gate, turns } = finding;
    let mut entry = json!({
        "type": condition, "status": gate.status, "reason": gate.reason, "message": gate.message,
    });
    if let (true, Some(fields)) = (*turns, entry.as_object_mut()) {
        fields.insert("lastTransitionTime".to_owned(), json!(now));
    }
    let patch = Patch::Strategic(json!({"metadata": {"uid": pod.uid}, "status": {"conditions": [entry]}}));
    let pods: Api<StoredPod> = Api::namespaced(client.clone(), &pod.name.namespace);
    let parameters = PatchParams { field_manager: Some(instance.field_manager()), ..PatchParams::default() };
    let action = format!("patch the status of Pod {}/{}", pod.name.namespace, pod.name.name);
    match call(action, pods.patch_status(&pod.name.name, &parameters, &patch)).await {
        Ok(written) => Ok(project::pod(written)),
        Err(error) => match error.failure {
            Failure::Gone | Failure::Conflict | Failure::Invalid => {
                tracing::debug!(%error, "the pod has changed meanwhile; the watch tells");
                Ok(None)
            }
            Failure::UnknownKind | Failure::Forbidden | Failure::Retry { .. } => Err(error),
        },
    }
}
