//! A Service as the server stores it, read more leniently than its published type: one entry that some controller wrote into
//! `status.conditions` must not make the whole Service unreadable. And the little of a Pod that is read at all: there are many.

use std::borrow::Cow;

use k8s_openapi::api::core::v1::{LoadBalancerStatus, Pod, PodReadinessGate, Service, ServiceSpec};
use kube::Resource;
use kube::core::ObjectMeta;
use portolan_core::snapshot::Condition;
use serde::Deserialize;

/// A Service. Its schema requires a `lastTransitionTime` of every condition, but the server stores, and serves, `null` there:
/// that is how Go writes a `metav1.Time` that was never set, and `services/status` checks no condition.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct StoredService {
    /// Name, version, marks.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// What its users want.
    pub spec: Option<ServiceSpec>,
    /// What controllers say.
    pub status: Option<StoredStatus>,
}

/// `status` of a Service.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredStatus {
    /// Addresses.
    pub load_balancer: Option<LoadBalancerStatus>,
    /// Whatever they are.
    pub conditions: Option<Vec<Condition>>,
}

/// What is read of a Pod.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct StoredPod {
    /// Name, version, whether it is on its way out.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// What it is made of.
    pub spec: Option<StoredPodSpec>,
    /// What the kubelet and others say.
    pub status: Option<StoredPodStatus>,
}

/// `spec` of a Pod.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredPodSpec {
    /// What it waits for before it is ready.
    pub readiness_gates: Option<Vec<PodReadinessGate>>,
}

/// `status` of a Pod.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct StoredPodStatus {
    /// Whatever they are.
    pub conditions: Option<Vec<Condition>>,
}

/// It is a reading of this kind.
macro_rules! reads {
    ($stored:ty as $kind:ty) => {
        impl Resource for $stored {
            type DynamicType = ();
            type Scope = <$kind as Resource>::Scope;

            fn kind((): &()) -> Cow<'_, str> {
                <$kind>::kind(&())
            }

            fn group((): &()) -> Cow<'_, str> {
                <$kind>::group(&())
            }

            fn version((): &()) -> Cow<'_, str> {
                <$kind>::version(&())
            }

            fn plural((): &()) -> Cow<'_, str> {
                <$kind>::plural(&())
            }

            fn meta(&self) -> &ObjectMeta {
                &self.metadata
            }

            fn meta_mut(&mut self) -> &mut ObjectMeta {
                &mut self.metadata
            }
        }
    };
}

reads!(StoredService as Service);
reads!(StoredPod as Pod);
