//! What a provider can do, so that the core can refuse early and by name.

use std::collections::BTreeSet;

use crate::balancer::{Family, Protocol, Scheme};

/// What a provider, with the parameters of its class, can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Protocols that a listener can have.
    pub protocols: BTreeSet<Protocol>,
    /// One load balancer can have listeners of more than one protocol.
    pub mixed_protocols: bool,
    /// A number has one listener, whatever its protocol, so that it belongs to one of those who share.
    pub one_listener_a_number: bool,
    /// Families that an address can have.
    pub families: BTreeSet<Family>,
    /// Of those, what no address of one scheme can have: a class may have IPv6 inside only.
    pub lacking: BTreeSet<(Scheme, Family)>,
    /// A listener can send to node ports.
    pub node_targets: bool,
    /// A listener can send straight to pods.
    pub pod_targets: bool,
    /// What it sends to pods goes by way of nodes, so that under `externalTrafficPolicy: Local` it matters where they are.
    pub by_way_of_nodes: bool,
    /// It says of each pod whether it has found it healthy, so that pods can wait for that.
    pub readiness_gates: bool,
    /// It can limit who connects.
    pub source_ranges: bool,
    /// It can keep a client at one endpoint.
    pub session_affinity: bool,
    /// It tells internal from public.
    pub scheme: bool,
    /// It can give an address asked for by name.
    pub requested_addresses: bool,
    /// Several Services can share one load balancer.
    pub sharing: bool,
}
