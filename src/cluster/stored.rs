//! A Service as the server stores it, read more leniently than its published type: one entry that some controller wrote into
//! `status.conditions` must not make the whole Service unreadable.

use std::borrow::Cow;

use k8s_openapi::api::core::v1::{LoadBalancerStatus, Service, ServiceSpec};
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

impl Resource for StoredService {
    type DynamicType = ();
    type Scope = <Service as Resource>::Scope;

    fn kind((): &()) -> Cow<'_, str> {
        Service::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        Service::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        Service::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        Service::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}
