//! The status writer: the only place that writes `status.loadBalancer`, our conditions, and the annotations that tell of them.

use kube::Client;
use portolan_core::ids::Instance;
use portolan_core::snapshot::{Condition, Service, Versioned};
use portolan_core::status::Status;
use serde_json::json;

use crate::cluster::error::CallError;
use crate::cluster::{annotations, finalizers, project};
use crate::planted::{Bug, planted};

/// Writes a status; whether it is news, the caller has asked. The write carries the resourceVersion that the status was decided on, so that it is dropped
/// when the Service has changed in the meantime (its type, say: the server refuses a status on any other type).
pub(crate) async fn write(
    client: &Client,
    instance: &Instance,
    service: &Versioned<Service>,
    status: &Status,
) -> Result<Versioned<Service>, CallError> {
    let version = (!planted(Bug::StaleStatus)).then_some(&service.version);
    let kept = |one: &&Condition| !planted(Bug::ForeignConditions) || one.condition_type.starts_with("portolan.dev/");
    let conditions: Vec<_> = status.conditions.iter().filter(kept).collect();
    let patch = json!({
        "metadata": annotations::beside(json!({"resourceVersion": version, "uid": service.object.uid}), &status.annotations),
        "status": {"loadBalancer": {"ingress": status.ingress}, "conditions": conditions},
    });
    let written = finalizers::patch_status(client, instance, &service.object, patch).await?;
    Ok(project::service(written))
}
