//! Endpoints: who may receive traffic (KEP-752, KEP-1669).

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::balancer::Family;
use crate::ids::NodeName;
use crate::snapshot::{Endpoint, Service, ServicePort, Slice, SlicePort, TrafficPolicy};

/// The endpoints of a Service, all slices joined, of the families that are served: kube-proxy passes no packet to the other one.
#[derive(Clone, Copy, Debug)]
pub struct Usable<'a> {
    slices: &'a [Arc<Slice>],
    families: &'a [Family],
    /// The scope in which the fallback to terminating endpoints is decided, for each family: a node under policy Local, else the
    /// cluster.
    per_node: bool,
}

impl<'a> Usable<'a> {
    /// Looks at these slices of this Service.
    pub fn new(service: &Service, slices: &'a [Arc<Slice>], families: &'a [Family]) -> Self {
        Self { slices, families, per_node: service.external_traffic_policy == TrafficPolicy::Local }
    }

    /// Somebody can serve this port.
    pub fn any(&self, port: &ServicePort) -> bool {
        !self.of_port(port).is_empty()
    }

    /// The nodes that have a usable endpoint of their own for this port. An endpoint without a node is local to none.
    pub fn nodes(&self, port: &ServicePort) -> BTreeSet<&'a NodeName> {
        self.of_port(port).into_iter().filter_map(|(endpoint, _)| endpoint.node.as_ref()).collect()
    }

    /// Address and port of every usable endpoint: sorted, each once. The port numbers are the slices', because a named target port
    /// differs between pods.
    pub fn sockets(&self, port: &ServicePort) -> Vec<SocketAddr> {
        let sockets: BTreeSet<SocketAddr> = self
            .of_port(port)
            .into_iter()
            .map(|(endpoint, slice_port)| SocketAddr::new(endpoint.address, slice_port.port))
            .collect();
        sockets.into_iter().collect()
    }

    /// In each scope the ready endpoints, or if there is none those that are serving while they terminate. Never one that does
    /// not serve.
    fn of_port(&self, port: &ServicePort) -> Vec<(&'a Endpoint, &'a SlicePort)> {
        let all: Vec<(&Endpoint, &SlicePort)> = self
            .slices
            .iter()
            .filter(|slice| self.families.contains(&slice.family))
            .flat_map(|slice| slice.ports.iter().map(move |slice_port| (slice, slice_port)))
            .filter(|(_, slice_port)| slice_port.name == port.name && slice_port.protocol == port.key.protocol)
            .flat_map(|(slice, slice_port)| slice.endpoints.iter().map(move |endpoint| (endpoint, slice_port)))
            .collect();
        let scope = |endpoint: &'a Endpoint| {
            let node = if self.per_node { endpoint.node.as_ref() } else { None };
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
