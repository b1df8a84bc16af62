//! A Node as the decisions see it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::ids::NodeName;

/// A Node, reduced to what decides whether it takes traffic, and for whom. Heartbeats change nothing here, so they wake nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: NodeName,
    /// `status.addresses` of type InternalIP, in order.
    pub internal: Vec<IpAddr>,
    /// `metadata.labels`: one takes it out of load balancing, others are what a provider's own words choose by. Shared with every load
    /// balancer's [`NodeTarget`](crate::balancer::NodeTarget).
    pub labels: Arc<BTreeMap<String, String>>,
    /// An autoscaler is about to delete it ([`LEAVING_TAINTS`](crate::desire::nodes::LEAVING_TAINTS)).
    pub leaving: bool,
    /// `metadata.deletionTimestamp` is set.
    pub deleting: bool,
    /// `spec.providerID`, empty on most bare metal.
    pub provider_id: Option<String>,
}
