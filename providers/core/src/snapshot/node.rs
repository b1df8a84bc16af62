//! A Node as the decisions see it.

use std::net::IpAddr;

use crate::ids::NodeName;

/// A Node, reduced to what decides whether it takes traffic. Heartbeats change nothing here, so they wake nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: NodeName,
    /// `status.addresses` of type InternalIP, in order.
    pub internal: Vec<IpAddr>,
    /// The label `node.kubernetes.io/exclude-from-external-load-balancers`, if present.
    pub exclude_label: Option<String>,
    /// The taint `ToBeDeletedByClusterAutoscaler` is present.
    pub leaving: bool,
    /// `metadata.deletionTimestamp` is set.
    pub deleting: bool,
    /// `spec.providerID`, empty on most bare metal.
    pub provider_id: Option<String>,
}
