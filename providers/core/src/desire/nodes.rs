//! Nodes: which may take traffic (KEP-3458: neither readiness nor a provider id is required).

use std::sync::Arc;

use crate::balancer::{Family, NodeTarget};
use crate::desire::Settings;
use crate::snapshot::Node;

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

/// The label `node.kubernetes.io/exclude-from-external-load-balancers`, as upstream parses it: Go's `false` values include the
/// node, everything else, also junk and the empty value, excludes it.
fn is_excluded(node: &Node) -> bool {
    match node.exclude_label.as_deref() {
        None | Some("0" | "f" | "F" | "false" | "FALSE" | "False") => false,
        Some(_) => true,
    }
}
