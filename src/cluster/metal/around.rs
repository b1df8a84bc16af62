//! What lies around pools: ranges and addresses of the cluster itself, and what says so.

use std::collections::BTreeMap;
use std::net::IpAddr;

use k8s_openapi::api::networking::v1::ServiceCIDR;
use kube::ResourceExt;
use portolan_core::ids::{NodeName, ResourceVersion};
use portolan_metal::pool::Surroundings;
use portolan_metal::range::Range;

use crate::cluster::metal::hosts::SeenNode;
use crate::cluster::metal::speakers::Speakers;
use crate::controller::index::Object;

/// What a server without `ServiceCIDR`s (before Kubernetes 1.33) means for pools.
pub(super) const WITHOUT_SERVICE_RANGES: &str =
    "a pool that overlaps the ranges of cluster IPs is not refused for it; keep them apart yourself";

/// A `ServiceCIDR`: a range that cluster IPs are taken from. One that is being deleted counts until it is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SeenServiceRange {
    name: String,
    ranges: Vec<Range>,
}

impl SeenServiceRange {
    pub(super) fn of(object: ServiceCIDR) -> Self {
        let name = object.name_any();
        let texts = object.spec.and_then(|spec| spec.cidrs).unwrap_or_default();
        Self { name, ranges: texts.iter().filter_map(|text| Range::parse(text).ok()).collect() }
    }
}

impl Object for SeenServiceRange {
    type Name = String;

    fn name(&self) -> String {
        self.name.clone()
    }

    fn version(&self) -> Option<&ResourceVersion> {
        None
    }

    fn same(&self, other: &Self) -> bool {
        self == other
    }
}

/// What of all these lies around pools.
pub(super) fn surroundings<'a>(
    nodes: impl Iterator<Item = &'a SeenNode>,
    speakers: &Speakers,
    services: impl Iterator<Item = &'a SeenServiceRange>,
) -> Surroundings {
    let mut around = Surroundings::default();
    let mut own: BTreeMap<IpAddr, Vec<&NodeName>> = BTreeMap::new();
    let mut routers: BTreeMap<IpAddr, Vec<&NodeName>> = BTreeMap::new();
    for SeenNode { node, place, .. } in nodes {
        let name = &node.name;
        around.pods.extend(place.pods.iter().map(|range| (format!("Node {name}"), *range)));
        around.taken.extend(place.addresses.iter().map(|address| (*address, format!("Node {name}"))));
        speakers.addresses(name).for_each(|address| own.entry(address).or_default().push(name));
        speakers.gateways(name).for_each(|address| routers.entry(address).or_default().push(name));
    }
    // What the cluster says a Node's address is comes first, and a router may be a node, which says more. Several have one where each bridges its pods.
    for (by, addresses) in [("Node", own), ("the gateway of Node", routers)] {
        for (address, of) in addresses {
            around.taken.entry(address).or_insert_with(|| match of.as_slice() {
                [first, _, ..] => format!("{by} {first} and others"),
                of => format!("{by} {}", of.first().map_or("", |of| of.as_str())),
            });
        }
    }
    for SeenServiceRange { name, ranges } in services {
        around.services.extend(ranges.iter().map(|range| (format!("ServiceCIDR {name}"), *range)));
    }
    around
}
