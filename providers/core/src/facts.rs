//! The port through which a provider reads Kubernetes: what is known now. Nothing is asked of the server here.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::net::IpAddr;
use std::sync::Arc;

use crate::ids::Uid;
use crate::record::Record;
use crate::snapshot::{Node, Slice};

/// What a provider may know of the cluster beyond the load balancer in hand.
pub trait Facts: Debug + Send + Sync {
    /// All Nodes, by name; empty as long as none is known.
    fn nodes(&self) -> Arc<Vec<Arc<Node>>>;

    /// The records of all load balancers, of every provider, as they were when everything had been listed; none before.
    fn records(&self) -> Option<Arc<Vec<Arc<Record>>>>;

    /// What the EndpointSlices of all Services say of these addresses.
    fn claims(&self, addresses: &BTreeSet<IpAddr>) -> Vec<Claim>;
}

/// An EndpointSlice says that a pod has an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The address.
    pub address: IpAddr,
    /// The ports on it that this pod is said to listen on.
    pub ports: Vec<u16>,
    /// The pod, if the slice names it.
    pub pod: Option<Uid>,
    /// It is on its way out.
    pub terminating: bool,
}

/// What these slices say of these addresses.
pub fn claims<'a>(slices: impl IntoIterator<Item = &'a Arc<Slice>>, addresses: &BTreeSet<IpAddr>) -> Vec<Claim> {
    let of_slice = |slice: &'a Arc<Slice>| {
        let endpoints = slice.endpoints.iter().filter(|endpoint| addresses.contains(&endpoint.address));
        endpoints.map(|endpoint| Claim {
            address: endpoint.address,
            ports: slice.ports.iter().map(|port| port.port).collect(),
            pod: endpoint.pod.clone(),
            terminating: endpoint.terminating,
        })
    };
    slices.into_iter().flat_map(of_slice).collect()
}

/// Where nothing is known of any cluster.
#[derive(Clone, Copy, Debug)]
pub struct Nothing;

impl Facts for Nothing {
    fn nodes(&self) -> Arc<Vec<Arc<Node>>> {
        Arc::default()
    }

    fn records(&self) -> Option<Arc<Vec<Arc<Record>>>> {
        None
    }

    fn claims(&self, _: &BTreeSet<IpAddr>) -> Vec<Claim> {
        Vec::new()
    }
}
