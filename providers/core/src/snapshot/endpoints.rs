//! An EndpointSlice as the decisions see it.

use std::net::IpAddr;

use crate::balancer::{Family, Protocol};
use crate::ids::{NodeName, ServiceKey, Uid};

/// Namespace and name of an EndpointSlice. Any name is legal: slices are found by the label `kubernetes.io/service-name`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SliceName {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

/// An EndpointSlice of addresses. Those of type FQDN never become one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice {
    /// Namespace and name.
    pub name: SliceName,
    /// The Service that the label names, in the slice's own namespace.
    pub service: ServiceKey,
    /// `addressType`.
    pub family: Family,
    /// `ports`; those without a number are left out.
    pub ports: Vec<SlicePort>,
    /// `endpoints`; those without a usable address are left out.
    pub endpoints: Vec<Endpoint>,
}

/// One entry of `ports`: the numbers that pods listen on. It serves the Service port of the same name and protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlicePort {
    /// Empty for the only port.
    pub name: String,
    /// The protocol.
    pub protocol: Protocol,
    /// The number on the pod, which may differ between slices of one Service.
    pub port: u16,
}

/// One entry of `endpoints`, its conditions with their defaults filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The first address, the only one with a meaning.
    pub address: IpAddr,
    /// The pod behind it: the UID of `targetRef`, if that is a pod.
    pub pod: Option<Uid>,
    /// The node it runs on; without one it is local to none.
    pub node: Option<NodeName>,
    /// Unset means true.
    pub ready: bool,
    /// Unset means true.
    pub serving: bool,
    /// Unset means false.
    pub terminating: bool,
}
