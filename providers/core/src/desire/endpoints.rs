//! Endpoints: who may receive traffic (KEP-752, KEP-1669).

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use crate::balancer::{Family, PodEndpoint};
use crate::ids::{NodeName, Uid};
use crate::snapshot::{Endpoint, Pod, Service, ServicePort, Slice, SlicePort, TrafficPolicy};

/// The endpoints of a Service, all slices joined, of the families that are served: kube-proxy passes no packet to the other one.
#[derive(Clone, Debug)]
pub struct Usable<'a> {
    slices: &'a [Arc<Slice>],
    /// Pods that are not ready because they wait to become targets.
    waiting: BTreeSet<&'a Uid>,
    families: &'a [Family],
    policy: TrafficPolicy,
}

/// Where the fallback to terminating endpoints is decided, for each family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    /// Everywhere at once.
    Cluster,
    /// On each node by itself: none passes traffic on to another.
    Node,
}

impl<'a> Usable<'a> {
    /// Looks at these slices of this Service, and at the Pods that wait for its load balancer.
    pub fn new(service: &Service, slices: &'a [Arc<Slice>], gated: &'a [Arc<Pod>], families: &'a [Family]) -> Self {
        let waiting = gated.iter().filter(|pod| pod.may_be_target()).map(|pod| &pod.uid).collect();
        Self { slices, waiting, families, policy: service.external_traffic_policy }
    }

    /// Somebody can serve this port.
    pub fn any(&self, port: &ServicePort) -> bool {
        !self.of_port(port, Scope::Cluster).is_empty()
    }

    /// The nodes that have a usable endpoint of their own for this port. An endpoint without a node is local to none.
    pub fn nodes(&self, port: &ServicePort) -> BTreeSet<&'a NodeName> {
        let scope = match self.policy {
            TrafficPolicy::Cluster => Scope::Cluster,
            TrafficPolicy::Local => Scope::Node,
        };
        self.of_port(port, scope).into_iter().filter_map(|(endpoint, _)| endpoint.node.as_ref()).collect()
    }

    /// The nodes of the endpoints that [`pods`](Self::pods) are, by family, but for those who wait. While there is a ready one anywhere, a node that has
    /// only such as terminate is not among them: traffic that can go elsewhere goes before they end.
    pub fn nodes_of_pods(&self, port: &ServicePort) -> BTreeMap<Family, BTreeSet<NodeName>> {
        let mut nodes: BTreeMap<Family, BTreeSet<NodeName>> = BTreeMap::new();
        for (endpoint, _) in self.of_port(port, Scope::Cluster) {
            let of_family = nodes.entry(Family::of(endpoint.address)).or_default();
            of_family.extend(endpoint.node.clone());
        }
        nodes
    }

    /// Every usable endpoint with its pod: sorted, each address and pod once. The port numbers are the slices', because a named target port
    /// differs between pods. No node stands between, so the Service's policy means nothing here. Of a pod that one slice calls terminating and another does not, the latter is believed.
    ///
    /// A pod that waits to be found healthy there is registered before it is ready: nothing else would ever make it so. It answers nobody
    /// yet, so it keeps nobody from falling back to those who terminate.
    pub fn pods(&self, port: &ServicePort) -> Vec<PodEndpoint> {
        let mut pods: BTreeMap<(SocketAddr, Option<&Uid>), bool> = BTreeMap::new();
        for (endpoint, slice_port) in self.of_port(port, Scope::Cluster).into_iter().chain(self.waiting(port)) {
            let address = SocketAddr::new(endpoint.address, slice_port.port);
            let terminating = pods.entry((address, endpoint.pod.as_ref())).or_insert(endpoint.terminating);
            *terminating &= endpoint.terminating;
        }
        let pods = pods.into_iter();
        pods.map(|((address, pod), terminating)| PodEndpoint { address, pod: pod.cloned(), terminating }).collect()
    }

    fn all(&self, port: &ServicePort) -> impl Iterator<Item = (&'a Endpoint, &'a SlicePort)> {
        self.slices
            .iter()
            .filter(|slice| self.families.contains(&slice.family))
            .flat_map(|slice| slice.ports.iter().map(move |slice_port| (slice, slice_port)))
            .filter(|(_, slice_port)| slice_port.name == port.name && slice_port.protocol == port.key.protocol)
            .flat_map(|(slice, slice_port)| slice.endpoints.iter().map(move |endpoint| (endpoint, slice_port)))
    }

    /// Those who are not ready and wait to become targets.
    fn waiting(&self, port: &ServicePort) -> impl Iterator<Item = (&'a Endpoint, &'a SlicePort)> {
        let waits = |endpoint: &Endpoint| endpoint.pod.as_ref().is_some_and(|pod| self.waiting.contains(pod));
        self.all(port).filter(move |(endpoint, _)| !endpoint.ready && !endpoint.terminating && waits(endpoint))
    }

    /// In each scope the ready endpoints, or if there is none those that are serving while they terminate. Never one that does
    /// not serve.
    fn of_port(&self, port: &ServicePort, scope: Scope) -> Vec<(&'a Endpoint, &'a SlicePort)> {
        let all: Vec<(&Endpoint, &SlicePort)> = self.all(port).collect();
        let scope = |endpoint: &'a Endpoint| {
            let node = match scope {
                Scope::Cluster => None,
                Scope::Node => endpoint.node.as_ref(),
            };
            (Family::of(endpoint.address), node)
        };
        let with_ready: BTreeSet<(Family, Option<&NodeName>)> =
            all.iter().filter(|(endpoint, _)| endpoint.ready).map(|(endpoint, _)| scope(endpoint)).collect();
        all.into_iter()
            .filter(|(endpoint, _)| {
                endpoint.ready || (endpoint.serving && endpoint.terminating && !with_ready.contains(&scope(endpoint)))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests;
