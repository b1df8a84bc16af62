//! Our own kinds in the Kubernetes API.

mod record;

pub use record::{ClaimedByText, LoadBalancerRecord, LoadBalancerRecordSpec, MemberSpec, StoredRecordError};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

/// Every CustomResourceDefinition that a controller needs, as `portolan crds` prints them.
pub fn crds() -> Vec<CustomResourceDefinition> {
    vec![LoadBalancerRecord::crd()]
}
