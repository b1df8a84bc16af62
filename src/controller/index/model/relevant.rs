//! What of a snapshot matters.

use std::sync::Arc;

use portolan_core::ids::{Instance, LoadBalancerId, ServiceKey, Uid};
use portolan_core::record::Record;
use portolan_core::share::Consents;
use portolan_core::snapshot::{Node, Service, ServiceType, Slice, Snapshot};

use super::super::objects::is_claimed;

/// What of a snapshot a decision may rest on: written down anew, without the index's own rules for whom to wake.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Relevant {
    services: Vec<Arc<Service>>,
    slices: Vec<Arc<Slice>>,
    nodes: Vec<Arc<Node>>,
    record: Option<Record>,
    others: Vec<Record>,
    unreadable: Vec<ServiceKey>,
    /// Where each belongs.
    placed: Vec<LoadBalancerId>,
    consents: Consents,
}

impl Relevant {
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        let by_own = |uid: &Uid| snapshot.record.as_ref().is_some_and(|record| record.names(uid));
        let by_other = |uid: &Uid| snapshot.other_records.iter().any(|record| record.names(uid));
        let ours =
            |service: &Service| service.finalizers.contains(&Instance::default().finalizer()) || by_own(&service.uid);
        let services: Vec<_> = snapshot
            .services
            .values()
            .map(|service| Arc::clone(&service.object))
            .filter(|service| service.service_type == ServiceType::LoadBalancer || ours(service))
            .collect();
        let served = |service: &&Arc<Service>| {
            is_claimed(&Service { deleting: false, ..Service::clone(service) })
                || ours(service)
                || by_other(&service.uid)
        };
        let balancers =
            services.iter().filter(served).filter(|service| service.service_type == ServiceType::LoadBalancer);
        let bare = |record: &Arc<Record>| Record { version: None, ..Record::clone(record) };
        let concerns_one = |record: &&Arc<Record>| services.iter().any(|service| record.names(&service.uid));
        Self {
            slices: balancers.filter_map(|service| snapshot.slices.get(&service.key)).flatten().cloned().collect(),
            nodes: if services.iter().any(|service| served(&service)) { snapshot.nodes.to_vec() } else { vec![] },
            record: snapshot.record.as_ref().map(bare),
            others: snapshot.other_records.iter().filter(concerns_one).map(bare).collect(),
            unreadable: snapshot.unreadable.clone(),
            placed: services.iter().filter_map(|service| snapshot.placed.get(&service.key)).cloned().collect(),
            consents: snapshot.consents.clone(),
            services,
        }
    }
}
