//! Nodes: which may take traffic (KEP-3458: neither readiness nor a provider id is required).

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::balancer::{Family, NodeTarget};
use crate::desire::Settings;
use crate::go;
use crate::snapshot::Node;

/// The label that takes a node out of load balancing.
pub const EXCLUDE_LABEL: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

/// The taints of a node that an autoscaler is about to delete, whatever their effect and value: the Cluster Autoscaler's
/// (`autoscaler/utils/taints`, known to upstream's service controller), and Karpenter's, by its names since v1 and before
/// (<https://karpenter.sh/docs/concepts/disruption/>).
pub const LEAVING_TAINTS: [&str; 3] =
    ["ToBeDeletedByClusterAutoscaler", "karpenter.sh/disrupted", "karpenter.sh/disruption"];

/// The nodes that may take traffic, in the order given. A node without an address of any wanted family cannot.
pub fn eligible(nodes: &[Arc<Node>], families: &[Family], settings: &Settings) -> Vec<NodeTarget> {
    let mut eligible: Vec<NodeTarget> = nodes
        .iter()
        .filter(|node| !node.deleting && !node.leaving && (settings.ignore_exclude_label || !is_excluded(&node.labels)))
        .map(|node| NodeTarget {
            name: node.name.clone(),
            addresses: node.internal.iter().copied().filter(|ip| families.contains(&Family::of(*ip))).collect(),
            provider_id: node.provider_id.clone(),
            labels: Arc::clone(&node.labels),
        })
        .filter(|node| !node.addresses.is_empty())
        .collect();
    eligible.sort_by(|a, b| a.name.cmp(&b.name));
    eligible
}

/// [`EXCLUDE_LABEL`] as upstream parses it: Go's `false` values include the node, everything else, also junk and the empty value,
/// excludes it.
pub fn is_excluded(labels: &BTreeMap<String, String>) -> bool {
    labels.get(EXCLUDE_LABEL).is_some_and(|text| !go::FALSE.contains(&text.as_str()))
}
