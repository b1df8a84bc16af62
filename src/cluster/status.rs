//! The status writer: the only place that writes `status.loadBalancer` and our conditions.

use kube::Client;
use portolan_core::snapshot::{Service, Versioned};
use portolan_core::status::{Status, is_current};
use serde_json::json;

use crate::cluster::error::CallError;
use crate::cluster::{finalizers, project};

/// Writes a status, if it is news. The write carries the resourceVersion that the status was decided on, so that it is dropped
/// when the Service has changed in the meantime (its type, say: the server refuses a status on any other type).
pub(crate) async fn write(
    client: &Client,
    service: &Versioned<Service>,
    status: &Status,
) -> Result<Option<Versioned<Service>>, CallError> {
    if is_current(&service.object, status) {
        return Ok(None);
    }
    let patch = json!({
        "metadata": {"resourceVersion": service.version, "uid": service.object.uid},
        "status": {"loadBalancer": {"ingress": status.ingress}, "conditions": status.conditions},
    });
    let written = finalizers::patch_status(client, &service.object, patch).await?;
    Ok(Some(project::service(written)))
}
