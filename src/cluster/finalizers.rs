//! Finalizer edits: guarded patches through `services/status`, which takes metadata too and needs no right to write Services.
//!
//! A finalizer list has several owners, so every edit keeps the others' entries in their order and carries the resourceVersion
//! that it was made from.

use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use portolan_core::ids::{Instance, STANDARD_FINALIZER};
use portolan_core::snapshot::{Condition, Service, Versioned};
use serde_json::json;

use crate::cluster::error::{CallError, Failure, call};
use crate::cluster::project;
use crate::cluster::stored::StoredService;

/// The finalizers that a claimed Service shall have; `None` if it has them. Never for a Service that is being deleted: the
/// server refuses to add one then.
pub(crate) fn wanted(service: &Service, instance: &Instance, standard: bool) -> Option<Vec<String>> {
    let mut finalizers = service.finalizers.clone();
    for finalizer in std::iter::once(instance.finalizer()).chain(standard.then(|| STANDARD_FINALIZER.to_owned())) {
        if !finalizers.contains(&finalizer) {
            finalizers.push(finalizer);
        }
    }
    (finalizers.len() != service.finalizers.len()).then_some(finalizers)
}

/// Puts our finalizer onto a claimed Service, if it is not there. The Service as it is then.
pub(crate) async fn ensure(
    client: &Client,
    service: &Versioned<Service>,
    instance: &Instance,
    standard: bool,
) -> Result<Option<Versioned<Service>>, CallError> {
    let Some(finalizers) = wanted(&service.object, instance, standard) else { return Ok(None) };
    let patch = json!({"metadata": {"resourceVersion": service.version, "finalizers": finalizers}});
    let written = patch_status(client, &service.object, patch).await?;
    Ok(Some(project::service(written)))
}

/// Takes our marks off a Service that is not ours any more, in one write: our finalizer, with `standard` upstream's too, and our
/// conditions. The last thing ever done to it.
pub(crate) async fn release(
    client: &Client,
    service: &Versioned<Service>,
    instance: &Instance,
    standard: bool,
    conditions: &[Condition],
) -> Result<(), CallError> {
    let ours = instance.finalizer();
    let is_kept = |finalizer: &&String| **finalizer != ours && !(standard && *finalizer == STANDARD_FINALIZER);
    let finalizers: Vec<&String> = service.object.finalizers.iter().filter(is_kept).collect();
    if finalizers.len() == service.object.finalizers.len() && conditions == service.object.conditions {
        return Ok(());
    }
    let mut patch = json!({"metadata": {"resourceVersion": service.version, "finalizers": finalizers}});
    if conditions != service.object.conditions
        && let Some(patch) = patch.as_object_mut()
    {
        patch.insert("status".to_owned(), json!({"conditions": conditions}));
    }
    match patch_status(client, &service.object, patch).await {
        Err(error) if error.failure == Failure::Gone => Ok(()),
        result => result.map(drop),
    }
}

/// One merge patch (RFC 7386) of `services/status`.
pub(super) async fn patch_status(
    client: &Client,
    service: &Service,
    patch: serde_json::Value,
) -> Result<StoredService, CallError> {
    let services: Api<StoredService> = Api::namespaced(client.clone(), &service.key.namespace);
    let patch = Patch::Merge(patch);
    let parameters = PatchParams::default();
    let request = services.patch_status(&service.key.name, &parameters, &patch);
    call(format!("patch the status of Service {}", service.key), request).await
}

#[cfg(test)]
mod tests {
    use portolan_core::examples::service;

    use super::*;

    #[test]
    fn own_finalizer_is_added_behind_those_of_others() {
        let mut service = service("a");
        service.finalizers = vec!["x.example/f".to_owned()];
        let wanted = wanted(&service, &Instance::default(), false);
        assert_eq!(wanted, Some(vec!["x.example/f".to_owned(), "portolan.dev/load-balancer".to_owned()]));
    }

    #[test]
    fn a_service_that_has_them_is_not_written() {
        let mut service = service("a");
        service.finalizers = vec![STANDARD_FINALIZER.to_owned(), "portolan.dev/load-balancer".to_owned()];
        assert_eq!(wanted(&service, &Instance::default(), true), None);
    }
}
