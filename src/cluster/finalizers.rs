//! Finalizer edits: guarded patches through `services/status`, which takes metadata too and needs no right to write Services.
//!
//! A finalizer list has several owners, so every edit keeps the others' entries in their order and carries the resourceVersion
//! that it was made from.

use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use portolan_core::class::Classes;
use portolan_core::ids::{Instance, STANDARD_FINALIZER};
use portolan_core::record::{ClaimedBy, Record};
use portolan_core::snapshot::{Condition, Service, Versioned};
use serde_json::{Map, Value, json};

use crate::cluster::error::{CallError, Failure, call};
use crate::cluster::stored::StoredService;
use crate::cluster::{annotations, project};
use crate::planted::{Bug, planted};

/// What is to become of the standard finalizer on a claimed Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standard {
    /// It is claimed as default class: it has it.
    Set,
    /// It was claimed as default class when we set it, and is not any more: it goes, or nobody would ever take it off.
    Take,
    /// It is none of ours.
    Leave,
}

impl Standard {
    /// For a Service that is claimed so now; `before` are the records that may tell how it was.
    pub(crate) fn of<'a>(
        service: &Service,
        now: ClaimedBy,
        before: impl IntoIterator<Item = &'a Record>,
        classes: &Classes,
    ) -> Self {
        match now {
            ClaimedBy::Default => Self::Set,
            ClaimedBy::Class | ClaimedBy::TypeAnnotation => {
                if was_set(before, service, classes) {
                    Self::Take
                } else {
                    Self::Leave
                }
            }
        }
    }
}

/// The standard finalizer of this Service, if it has one, is ours: the record says that it was claimed as default class, or the server
/// remembers that nobody but we have put it there. Where neither can tell (who clears `managedFields` takes that memory), and it was on
/// its way to us or from us, the order tells if we serve the default class: we set both in one write, ours first; what somebody else had
/// set before stands before ours. If we do not, whoever does may have set it after ours, and would lose by it what it has made.
pub(crate) fn was_set<'a>(before: impl IntoIterator<Item = &'a Record>, service: &Service, classes: &Classes) -> bool {
    let claims: Vec<ClaimedBy> = before.into_iter().filter_map(|record| record.claimed_by(&service.uid)).collect();
    if claims.contains(&ClaimedBy::Default)
        || service.standard_finalizer_by.iter().eq([&classes.instance.field_manager()])
    {
        return true;
    }
    let place = |name: &str| service.finalizers.iter().position(|finalizer| finalizer == name);
    claims.is_empty()
        && service.standard_finalizer_by.is_empty()
        && classes.default_class().is_some()
        && place(&classes.instance.finalizer()).zip(place(STANDARD_FINALIZER)).is_some_and(|(ours, both)| ours < both)
}

/// The finalizers that a claimed Service shall have; `None` if it has them. Never for a Service that is being deleted: the
/// server refuses to add one then.
pub(crate) fn wanted(service: &Service, instance: &Instance, standard: Standard) -> Option<Vec<String>> {
    let mut finalizers = service.finalizers.clone();
    if standard == Standard::Take {
        finalizers.retain(|finalizer| finalizer != STANDARD_FINALIZER);
    }
    let standard = (standard == Standard::Set).then(|| STANDARD_FINALIZER.to_owned());
    for finalizer in std::iter::once(instance.finalizer()).chain(standard) {
        if !finalizers.contains(&finalizer) {
            finalizers.push(finalizer);
        }
    }
    (finalizers != service.finalizers).then_some(finalizers)
}

/// Puts our finalizer onto a claimed Service, if it is not there. The Service as it is then.
pub(crate) async fn ensure(
    client: &Client,
    service: &Versioned<Service>,
    instance: &Instance,
    standard: Standard,
) -> Result<Option<Versioned<Service>>, CallError> {
    let Some(finalizers) = wanted(&service.object, instance, standard) else { return Ok(None) };
    let patch = json!({"metadata": {"resourceVersion": service.version, "finalizers": finalizers}});
    let written = patch_status(client, instance, &service.object, patch).await?;
    Ok(Some(project::service(written)))
}

/// What is taken off a Service that is not ours any more, besides our finalizer.
#[derive(Debug)]
pub(crate) struct Marks {
    /// Upstream's finalizer too.
    pub standard: bool,
    /// What the status offers: as long as it does, kube-proxy captures an address that may be somebody else's by now.
    pub ingress: bool,
    /// The conditions that stay.
    pub conditions: Vec<Condition>,
    /// The annotations that go.
    pub gone: annotations::Annotations,
}

/// Takes our marks off a Service that is not ours any more, in one write: the last thing ever done to it. The Service as it is then.
pub(crate) async fn release(
    client: &Client,
    service: &Versioned<Service>,
    instance: &Instance,
    marks: &Marks,
) -> Result<Option<Versioned<Service>>, CallError> {
    let Marks { standard, ingress, conditions, gone } = marks;
    let ours = instance.finalizer();
    let is_kept = |finalizer: &&String| **finalizer != ours && !(*standard && *finalizer == STANDARD_FINALIZER);
    let kept = service.object.finalizers.iter().filter(is_kept);
    let finalizers: Vec<&String> = kept.filter(|_| !planted(Bug::ForeignFinalizers)).collect();
    let mut status = Map::new();
    if *conditions != service.object.conditions {
        status.insert("conditions".to_owned(), json!(conditions));
    }
    if *ingress && !service.object.ingress.is_empty() {
        status.insert("loadBalancer".to_owned(), json!({"ingress": null}));
    }
    if finalizers.len() == service.object.finalizers.len() && status.is_empty() && gone.is_empty() {
        return Ok(None);
    }
    let metadata = annotations::beside(json!({"resourceVersion": service.version, "finalizers": finalizers}), gone);
    let patch = json!({"metadata": metadata, "status": status});
    match patch_status(client, instance, &service.object, patch).await {
        Err(error) if error.failure == Failure::Gone => Ok(None),
        result => result.map(|written| Some(project::service(written))),
    }
}

/// One merge patch (RFC 7386) of `services/status`. The server remembers by the field manager what is of this instance.
pub(super) async fn patch_status(
    client: &Client,
    instance: &Instance,
    service: &Service,
    patch: Value,
) -> Result<StoredService, CallError> {
    let services: Api<StoredService> = Api::namespaced(client.clone(), &service.key.namespace);
    let patch = Patch::Merge(patch);
    let parameters = PatchParams { field_manager: Some(instance.field_manager()), ..PatchParams::default() };
    let request = services.patch_status(&service.key.name, &parameters, &patch);
    call(format!("patch the status of Service {}", service.key), request).await
}

#[cfg(test)]
mod tests {
    use portolan_core::class::Class;
    use portolan_core::examples::{class, record, service};

    use super::*;

    #[test]
    fn own_finalizer_is_added_behind_those_of_others() {
        let mut service = service("a");
        service.finalizers = vec!["x.example/f".to_owned()];
        let wanted = wanted(&service, &Instance::default(), Standard::Leave);
        assert_eq!(wanted, Some(vec!["x.example/f".to_owned(), "portolan.dev/load-balancer".to_owned()]));
    }

    #[test]
    fn the_standard_finalizer_goes_when_a_service_is_not_claimed_as_default_any_more() {
        let mut service = service("a");
        let mut was_default = record(&service, "portolan.dev/mock");
        was_default.members[0].claimed_by = ClaimedBy::Default;
        service.finalizers = vec!["portolan.dev/load-balancer".to_owned(), STANDARD_FINALIZER.to_owned()];
        let (elsewhere, instance) = (Classes::default(), Instance::default());
        let take = Standard::of(&service, ClaimedBy::Class, [&was_default], &elsewhere);
        assert_eq!(wanted(&service, &instance, take), Some(vec!["portolan.dev/load-balancer".to_owned()]));
        let of = |service: &Service| Standard::of(service, ClaimedBy::Class, [], &elsewhere);
        assert_eq!(of(&service), Standard::Leave, "somebody else serves what has no class");
        let default = Class { default: true, ..class("portolan.dev/mock") };
        let classes = Classes { classes: vec![default.into()], ..Classes::default() };
        let of = |service: &Service| Standard::of(service, ClaimedBy::Class, [], &classes);
        assert_eq!(of(&service), Standard::Take, "we set both, and the record that would say so is not there");
        service.finalizers.reverse();
        assert_eq!(of(&service), Standard::Leave, "somebody had set it before us");
        service.finalizers = vec![STANDARD_FINALIZER.to_owned()];
        assert_eq!(of(&service), Standard::Leave, "without a mark of ours it is somebody else's");
        service.standard_finalizer_by = ["portolan".to_owned()].into();
        assert_eq!(of(&service), Standard::Take, "the server remembers that we have set it");
        service.standard_finalizer_by.insert("cloud-controller-manager".to_owned());
        assert_eq!(of(&service), Standard::Leave, "somebody else has set it too");
    }

    #[test]
    fn a_service_that_has_them_is_not_written() {
        let mut service = service("a");
        service.finalizers = vec![STANDARD_FINALIZER.to_owned(), "portolan.dev/load-balancer".to_owned()];
        assert_eq!(wanted(&service, &Instance::default(), Standard::Set), None);
    }
}
