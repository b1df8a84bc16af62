//! Nodes as pools and placement see them.

use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::api::core::v1 as core;
use portolan_core::ids::ResourceVersion;
use portolan_core::snapshot::Node;
use portolan_metal::eligible::{Host, OUT_OF_SERVICE_TAINT, Speaker, is_drained};
use portolan_metal::range::Range;

use crate::cluster::project;
use crate::controller::index::Object;

/// A Node.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SeenNode {
    pub(super) node: Arc<Node>,
    pub(super) place: Place,
    ready: bool,
    network_unavailable: bool,
    out_of_service: bool,
    drained: bool,
}

/// Where a Node is: the addresses that it has, and those of its pods.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Place {
    pub(super) addresses: Vec<IpAddr>,
    pub(super) pods: Vec<Range>,
}

impl SeenNode {
    pub(super) fn of(object: core::Node) -> Self {
        let (spec, status) = (object.spec.as_ref(), object.status.as_ref());
        let conditions = status.and_then(|status| status.conditions.as_ref());
        let is_true = |kind: &str| {
            let mut conditions = conditions.into_iter().flatten();
            conditions.any(|condition| condition.type_ == kind && condition.status == "True")
        };
        let taints = spec.and_then(|spec| spec.taints.as_ref());
        let addresses = status.and_then(|status| status.addresses.as_ref());
        let pods = spec.and_then(|spec| spec.pod_cidrs.as_ref());
        Self {
            place: Place {
                addresses: addresses.into_iter().flatten().filter_map(|of| of.address.parse().ok()).collect(),
                pods: pods.into_iter().flatten().filter_map(|range| Range::parse(range).ok()).collect(),
            },
            ready: is_true("Ready"),
            network_unavailable: is_true("NetworkUnavailable"),
            out_of_service: taints.into_iter().flatten().any(|taint| taint.key == OUT_OF_SERVICE_TAINT),
            drained: object.metadata.annotations.as_ref().is_some_and(is_drained),
            node: Arc::new(project::node(object)),
        }
    }

    /// With the speaker that it has.
    pub(super) fn host(&self, speaker: Speaker) -> Host {
        Host {
            node: Arc::clone(&self.node),
            ready: self.ready,
            network_unavailable: self.network_unavailable,
            out_of_service: self.out_of_service,
            drained: self.drained,
            speaker,
        }
    }
}

impl Object for SeenNode {
    type Name = String;

    fn name(&self) -> String {
        self.node.name.to_string()
    }

    fn version(&self) -> Option<&ResourceVersion> {
        None
    }

    fn same(&self, other: &Self) -> bool {
        self == other
    }
}
