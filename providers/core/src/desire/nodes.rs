//! Nodes: which may take traffic (KEP-3458: neither readiness nor a provider id is required).

use std::sync::Arc;

use crate::balancer::{Family, NodeTarget};
use crate::desire::Settings;
use crate::go;
use crate::snapshot::Node;

/// The label that takes a node out of load balancing.
pub const EXCLUDE_LABEL: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

/// The taint of a node that the autoscaler is about to delete, whatever its effect.
pub const LEAVING_TAINT: &str = "ToBeDeletedByClusterAutoscaler";

/// The nodes that may take traffic, in the order given. A node without an address of any wanted family cannot.
pub fn eligible(nodes: &[Arc<Node>], families: &[Family], settings: &Settings) -> Vec<NodeTarget> {
    let mut eligible: Vec<NodeTarget> = nodes
        .iter()
        .filter(|node| !node.deleting && !node.leaving && (settings.ignore_exclude_label || !is_excluded(node)))
        .map(|node| NodeTarget {
            name: node.name.clone(),
            addresses: node.internal.iter().copied().filter(|ip| families.contains(&Family::of(*ip))).collect(),
            provider_id: node.provider_id.clone(),
        })
        .filter(|node| !node.addresses.is_empty())
        .collect();
    eligible.sort_by(|a, b| a.name.cmp(&b.name));
    eligible
}

/// [`EXCLUDE_LABEL`] as upstream parses it: Go's `false` values include the node, everything else, also junk and the empty value,
/// excludes it.
fn is_excluded(node: &Node) -> bool {
    node.exclude_label.as_deref().is_some_and(|text| !go::FALSE.contains(&text))
}
