//! The status writer: the only place that writes `status.loadBalancer` and our conditions.

use kube::Client;
use portolan_core::ids::Instance;
use portolan_core::snapshot::{Service, Versioned};
use portolan_core::status::Status;
use serde_json::json;

use crate::cluster::error::CallError;
use crate::cluster::{finalizers, project};

/// Writes a status; whether it is news, the caller has asked. The write carries the resourceVersion that the status was decided on, so that it is dropped
/// when the Service has changed in the meantime (its type, say: the server refuses a status on any other type).
pub(crate) async fn write(
    client: &Client,
    instance: &Instance,
    service: &Versioned<Service>,
    status: &Status,
) -> Result<Versioned<Service>, CallError> {
    let patch = json!({
        "metadata": {"resourceVersion": service.version, "uid": service.object.uid},
        "status": {"loadBalancer": {"ingress": status.ingress}, "conditions": status.conditions},
    });
    let written = finalizers::patch_status(client, instance, &service.object, patch).await?;
    Ok(project::service(written))
}
