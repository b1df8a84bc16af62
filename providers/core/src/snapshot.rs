//! What the watched objects say, reduced to what a decision reads. `cluster/project.rs` of the root package makes these from
//! Kubernetes objects; nothing else does.

mod condition;
mod endpoints;
mod node;
mod pod;
mod service;

pub use condition::{Condition, ConditionStatus};
pub use endpoints::{Endpoint, Slice, SliceName, SlicePort};
pub use node::Node;
pub use pod::{Gate, Pod, PodName};
pub use service::{FamilyPolicy, Ingress, PortStatus, Service, ServicePort, ServiceType, TargetPort, TrafficPolicy};

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::ids::{Instance, LoadBalancerId, ResourceVersion, ServiceKey, Uid};
use crate::record::Record;
use crate::share::{Consents, ShareWith};

/// An object together with the version it was read at.
#[derive(Clone, Debug)]
pub struct Versioned<T> {
    /// The precondition for a write that rests on this reading.
    pub version: ResourceVersion,
    /// The object.
    pub object: Arc<T>,
}

/// A Namespace: what its owner says about sharing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace {
    /// Its name.
    pub name: String,
    /// With whom its Services may share.
    pub share_with: ShareWith,
}

/// All that one pass over one load balancer reads: immutable, taken at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The load balancer in question.
    pub id: LoadBalancerId,
    /// Every Service that names this load balancer now, or that its record names; by key.
    pub services: BTreeMap<ServiceKey, Versioned<Service>>,
    /// The load balancer to which each of those Services belongs now.
    pub placed: BTreeMap<ServiceKey, LoadBalancerId>,
    /// What the Namespaces of those Services say; empty if all are in one.
    pub consents: Consents,
    /// What all Namespaces say that say anything, as far as it was known when the Services were placed.
    pub all_consents: Arc<Consents>,
    /// The slices of those Services, by name.
    pub slices: BTreeMap<ServiceKey, Vec<Arc<Slice>>>,
    /// Of each of those Services the Pods that wait for its load balancer, by name.
    pub gated: BTreeMap<ServiceKey, Vec<Arc<Pod>>>,
    /// All Nodes, by name.
    pub nodes: Arc<Vec<Arc<Node>>>,
    /// The load balancer's own record.
    pub record: Option<Arc<Record>>,
    /// Other records, of any instance, that name the UID of one of those Services.
    pub other_records: Vec<Arc<Record>>,
    /// Services that the record names and that exist, although nobody could ever read what they say. They are not gone.
    pub unreadable: Vec<ServiceKey>,
    /// Services of this snapshot that passes over other load balancers, begun before it, may be serving: what those write is not in it.
    pub in_hand: Vec<ServiceKey>,
}

impl Snapshot {
    /// The records of this instance that bear on its Services: the load balancer's own, then those of others.
    pub fn records_of<'a>(&'a self, instance: &'a Instance) -> impl Iterator<Item = &'a Record> {
        let records = self.record.iter().chain(&self.other_records).map(AsRef::as_ref);
        records.filter(move |record: &&Record| record.belongs_to(instance))
    }

    /// Another load balancer of this instance has this Service on its record.
    pub fn is_named_elsewhere(&self, uid: &Uid, instance: &Instance) -> bool {
        self.other_records.iter().any(|record| record.belongs_to(instance) && record.names(uid))
    }

    /// The slices of one Service.
    pub fn slices_of(&self, service: &Service) -> &[Arc<Slice>] {
        self.slices.get(&service.key).map(Vec::as_slice).unwrap_or_default()
    }

    /// The Pods that wait for one Service.
    pub fn gated_by(&self, service: &Service) -> &[Arc<Pod>] {
        self.gated.get(&service.key).map(Vec::as_slice).unwrap_or_default()
    }
}
