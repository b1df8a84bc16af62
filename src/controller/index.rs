//! The index: what all watches and our own writes have told so far, and whom a change concerns. A plain state machine without
//! clock or tasks; one task owns it.
//!
//! ```text
//! watches -- Observed --> +-------+ -- dirty LoadBalancerIds --> queue
//! passes --- Written ---> | Index | -- Snapshot ---------------> passes
//!                         +-------+
//! ```
//!
//! What counts as a change is the projected object, never its resourceVersion: heartbeats, relists of the same and echoes of our
//! own writes wake nobody.

mod gated;
mod nodes;
mod pass;
mod shares;
mod slices;
mod store;

pub(crate) use slices::Slices;
pub(crate) use store::Store;
pub use store::{Event, Object};

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, OnceLock};

use portolan_core::claim::has_own_conditions;
use portolan_core::class::Classes;
use portolan_core::ids::{LoadBalancerId, ResourceVersion, ServiceKey, Uid};
use portolan_core::record::Record;
use portolan_core::share::{Consents, ShareWith};
use portolan_core::snapshot::{Namespace, Node, Pod, Service, ServiceType, Slice, Snapshot, Versioned};

use gated::Gated;
use nodes::Nodes;
use pass::Pass;
use shares::Shares;
use store::Change;

/// The load balancers that need a pass.
pub type Dirty = BTreeSet<LoadBalancerId>;

/// What a watch says.
#[derive(Clone, Debug)]
pub enum Observed {
    /// Of Services.
    Service(Event<Versioned<Service>>),
    /// Of EndpointSlices.
    Slice(Event<Arc<Slice>>),
    /// Of Nodes.
    Node(Event<Arc<Node>>),
    /// Of records, of every instance.
    Record(Event<Arc<Record>>),
    /// Of Namespaces.
    Namespace(Event<Arc<Namespace>>),
    /// Of Pods that wait for load balancers.
    Pod(Event<Versioned<Pod>>),
}

/// A write of ours that the server has acknowledged.
#[derive(Clone, Debug)]
pub enum Written {
    /// A Service, as the server returned it. The write must have had the version of a reading as its precondition: else it could
    /// carry somebody else's edit, of which the pass knows nothing.
    Service(Versioned<Service>),
    /// A record, as the server returned it after a create or replace, or as a `get` found it.
    Record(Arc<Record>),
    /// The record that was at this version is gone: we deleted it, or the server says so.
    RecordDeleted(LoadBalancerId, ResourceVersion),
    /// A Pod, as the server returned it. Only we write what we read of a Pod, but for what ends it.
    Pod(Versioned<Pod>),
}

/// All watched objects, and who depends on them.
#[derive(Debug)]
pub struct Index {
    classes: Classes,
    finalizer: String,
    services: Store<Versioned<Service>>,
    slices: Store<Arc<Slice>>,
    nodes: Nodes,
    records: Store<Arc<Record>>,
    namespaces: Store<Arc<Namespace>>,
    gated: Gated,
    shares: Shares,
    /// The Service that each load balancer would serve alone: the way from a UID to a key.
    alone: HashMap<LoadBalancerId, ServiceKey>,
    slices_of: Slices,
    /// The records, of any instance, that name a UID.
    naming: BTreeMap<Uid, BTreeSet<LoadBalancerId>>,
    /// The passes under way.
    passes: HashMap<LoadBalancerId, Pass>,
    /// What all Namespaces say, until one changes.
    all_consents: OnceLock<Arc<Consents>>,
    synced: bool,
}

impl Index {
    /// An empty index.
    pub fn new(classes: Classes) -> Self {
        Self {
            finalizer: classes.instance.finalizer(),
            classes,
            services: Store::default(),
            slices: Store::default(),
            nodes: Nodes::default(),
            records: Store::default(),
            namespaces: Store::default(),
            gated: Gated::default(),
            shares: Shares::default(),
            alone: HashMap::new(),
            slices_of: Slices::default(),
            naming: BTreeMap::new(),
            passes: HashMap::new(),
            all_consents: OnceLock::new(),
            synced: false,
        }
    }

    /// The records that there are, of every instance.
    pub fn all_records(&self) -> Vec<Arc<Record>> {
        self.records.iter().cloned().collect()
    }

    /// The EndpointSlices, as they are at any time.
    pub(crate) fn slices(&self) -> Slices {
        self.slices_of.clone()
    }

    /// The first list of every kind is complete. Before that nothing is dirty and no snapshot means anything: what has not been
    /// listed yet would look deleted.
    pub fn synced(&self) -> bool {
        self.synced
    }

    /// Takes in what a watch says and adds those whom it concerns. When the last first list completes, that is [`Self::all`].
    pub fn observe(&mut self, observed: Observed, dirty: &mut Dirty) {
        let mut concerned = Dirty::new();
        match observed {
            Observed::Service(event) => {
                for change in self.services.observe(event) {
                    self.service_changed(change, &mut concerned);
                }
                for key in self.services.take_resolved() {
                    self.service_resolved(&key, &mut concerned);
                }
            }
            Observed::Slice(event) => {
                for change in self.slices.observe(event) {
                    self.slice_changed(change, &mut concerned);
                }
            }
            Observed::Node(event) => self.nodes.observe(event),
            Observed::Record(event) => {
                for change in self.records.observe(event) {
                    self.record_changed(change, &mut concerned);
                }
            }
            Observed::Pod(event) => self.pod_observed(event, &mut concerned),
            Observed::Namespace(event) => {
                for change in self.namespaces.observe(event) {
                    self.namespace_changed(&change, &mut concerned);
                }
            }
        }
        if self.synced {
            self.wake(concerned, dirty);
        } else if self.gated.is_listed() && self.lists().iter().all(|lists| *lists > 0) {
            self.synced = true;
            self.nodes.settle();
            dirty.append(&mut self.all());
        }
    }

    /// Whether Nodes have changed since this was asked last. No snapshot shows that, and nobody is woken by it, before
    /// [`Self::nodes_have_settled`].
    pub(crate) fn take_news_of_nodes(&mut self) -> bool {
        self.synced && self.nodes.take_news()
    }

    /// From now on snapshots show the Nodes as they are; wakes whom that concerns.
    pub(crate) fn nodes_have_settled(&mut self, dirty: &mut Dirty) {
        if self.nodes.settle() {
            let served = self.services.iter().filter(|service| self.may_be_served(&service.object));
            self.wake(served.flat_map(|service| self.ids_of_service(&service.object)).collect(), dirty);
        }
    }

    /// How many lists of each kind that is always watched are complete.
    fn lists(&self) -> [u64; 5] {
        let Self { services, slices, nodes, records, namespaces, .. } = self;
        [services.lists(), slices.lists(), nodes.lists(), records.lists(), namespaces.lists()]
    }

    /// A pass over this load balancer begins; this is what it reads. Until it has [`finished`](Self::finished), nothing wakes its
    /// load balancer: the end tells what the pass has missed, and what was merely the echo of its own writes.
    pub fn begin(&mut self, id: &LoadBalancerId) -> Snapshot {
        let mut snapshot = self.snapshot(id);
        let in_hand = snapshot.services.keys().filter(|key| self.passes.values().any(|pass| pass.serves(key)));
        snapshot.in_hand = in_hand.cloned().collect();
        self.sets_out(&snapshot);
        self.passes.insert(id.clone(), Pass::new(snapshot.clone(), self.records.lists()));
        snapshot
    }

    /// The pass has ended, having written this, in this order. No later snapshot shows it undone by an older event. Wakes whom the
    /// writes concern, and the load balancer itself if what there is now differs from what the pass knew in the end. True if that is
    /// endpoints: clients notice if it is late.
    pub fn finished(&mut self, id: &LoadBalancerId, written: Vec<Written>, dirty: &mut Dirty) -> bool {
        let Some(mut pass) = self.passes.remove(id) else { return false };
        let mut concerned = Dirty::new();
        for write in written {
            pass.learn(&write);
            self.take_in(write, pass.lists, &mut concerned);
        }
        self.arrives(id, &mut concerned);
        let now = self.snapshot(id);
        if pass.missed_nothing(&now) {
            concerned.remove(id);
        } else {
            concerned.insert(id.clone());
        }
        self.wake(concerned, dirty);
        pass.missed_endpoints(&now)
    }

    fn take_in(&mut self, write: Written, lists: u64, concerned: &mut Dirty) {
        match write {
            // We never create Services. One that the index does not hold was deleted meanwhile.
            Written::Service(service) => {
                let held = self.services.get(&service.object.key);
                if held.is_some_and(|held| held.object.uid == service.object.uid)
                    && let Some(change) = self.services.written(service)
                {
                    self.service_changed(change, concerned);
                }
            }
            // A list that was completed since the pass began may have shown both the write and that somebody has undone it: then
            // nothing would ever remove the record here again. If it is there, the watch brings it.
            Written::Record(record) => {
                if (lists == self.records.lists() || self.records.get(&record.id).is_some())
                    && let Some(change) = self.records.written(record)
                {
                    self.record_changed(change, concerned);
                }
            }
            Written::Pod(pod) => self.pod_written(pod, concerned),
            Written::RecordDeleted(id, version) => {
                if let Some(change) = self.records.deleted(&id, &version) {
                    self.record_changed(change, concerned);
                }
            }
        }
    }

    /// Those under way are told in the end.
    fn wake(&self, mut concerned: Dirty, dirty: &mut Dirty) {
        concerned.retain(|id| !self.passes.contains_key(id));
        dirty.append(&mut concerned);
    }

    /// What concerns a change outside, at this load balancer: also those to which its Services are on their way, because they tell what
    /// it goes on being until then.
    pub fn concerned_by(&self, id: LoadBalancerId) -> Dirty {
        let members = self.records.get(&id).into_iter().flat_map(|record| &record.members);
        let mut dirty = Dirty::new();
        members.for_each(|joined| self.record_concerns(&joined.member.uid, &mut dirty));
        dirty.insert(id);
        dirty
    }

    /// Every load balancer that there is anything to do for: of Services of type LoadBalancer, of those that carry a mark of ours, and
    /// of our records.
    pub fn all(&self) -> Dirty {
        let services = self.services.iter().flat_map(|service| self.ids_of_service(&service.object));
        let records = self.records.iter().filter(|record| self.is_ours(record)).map(|record| record.id.clone());
        services.chain(records).collect()
    }

    /// Every load balancer that has anything to do with these Services, in their order, and then those of which only the record is left.
    pub(crate) fn everything(&self, services: &[ServiceKey]) -> Vec<LoadBalancerId> {
        let of_services = services.iter().filter_map(|key| self.services.get(key)).flat_map(|service| {
            let named = self.naming.get(&service.object.uid).into_iter().flatten().cloned();
            std::iter::once(self.place_of(&service.object)).chain(named)
        });
        let records = self.records.iter().map(|record| record.id.clone());
        let mut seen = BTreeSet::new();
        let is_ours = |id: &LoadBalancerId| self.records.get(id).is_none_or(|record| self.is_ours(record));
        of_services.chain(records).filter(|id| is_ours(id) && seen.insert(id.clone())).collect()
    }

    /// What there is to know of a load balancer now.
    pub fn snapshot(&self, id: &LoadBalancerId) -> Snapshot {
        let record = self.records.get(id).filter(|record| self.is_ours(record)).cloned();
        let members = record.iter().flat_map(|record| &record.members);
        let own = self.alone.get(id).filter(|key| self.shares.placed(key).is_none());
        let services: BTreeMap<_, _> = own
            .into_iter()
            .chain(self.shares.at(id))
            .chain(members.filter_map(|joined| self.alone.get(&self.id_alone(&joined.member.uid))))
            .filter_map(|key| self.services.get(key))
            .map(|service| (service.object.key.clone(), service.clone()))
            .collect();
        let placed: BTreeMap<_, _> =
            services.values().map(|service| (service.object.key.clone(), self.place_of(&service.object))).collect();
        let slices = services.keys().map(|key| (key.clone(), self.slices_of.of(key))).collect();
        // Pods wait for a name: whose Service is gone, and no other has come, they wait for its load balancer.
        let gone = record.iter().flat_map(|record| &record.members).map(|joined| joined.member.key());
        let waited_for = services.keys().cloned().chain(gone.filter(|key| self.services.get(key).is_none()));
        let gated = waited_for.map(|key| (self.gated.of(&key), key)).filter(|(pods, _)| !pods.is_empty());
        let gated = gated.map(|(pods, key)| (key, pods)).collect();
        let other_ids: BTreeSet<_> =
            services.values().filter_map(|service| self.naming.get(&service.object.uid)).flatten().collect();
        let other_records = other_ids
            .into_iter()
            .filter(|other| record.is_none() || *other != id)
            .filter_map(|other| self.records.get(other));
        let unreadable = record.iter().flat_map(|record| &record.members).map(|joined| joined.member.key());
        let unreadable = unreadable.filter(|key| self.services.is_unreadable(key)).collect();
        Snapshot {
            id: id.clone(),
            slices,
            gated,
            nodes: self.nodes.shown(),
            other_records: other_records.cloned().collect(),
            record,
            consents: self.consents(&services),
            all_consents: Arc::clone(self.all_consents.get_or_init(|| {
                let said = self.namespaces.iter().filter(|namespace| namespace.share_with != ShareWith::Nobody);
                Arc::new(said.map(|one| (one.name.clone(), one.share_with.clone())).collect())
            })),
            placed,
            services,
            unreadable,
            in_hand: Vec::new(),
        }
    }

    /// What the Namespaces of these Services say, if they are in several.
    fn consents(&self, services: &BTreeMap<ServiceKey, Versioned<Service>>) -> Consents {
        let names: BTreeSet<&String> = services.keys().map(|key| &key.namespace).collect();
        let names = names.into_iter().filter(|_| services.len() > 1);
        let namespaces: Vec<_> = names.filter_map(|name| self.namespaces.get(name)).collect();
        if namespaces.len() < 2 {
            return Consents::new();
        }
        namespaces.into_iter().map(|namespace| (namespace.name.clone(), namespace.share_with.clone())).collect()
    }

    /// The load balancer to which a Service belongs now.
    fn place_of(&self, service: &Service) -> LoadBalancerId {
        self.shares.placed(&service.key).cloned().unwrap_or_else(|| self.id_alone(&service.uid))
    }

    /// The load balancers whose snapshots show this Service.
    fn ids_of_service(&self, service: &Service) -> Dirty {
        let load_balancer = service.service_type == ServiceType::LoadBalancer;
        let marked = service.finalizers.contains(&self.finalizer) || has_own_conditions(service);
        let own = (load_balancer || marked).then(|| self.place_of(service));
        let named = self.naming.get(&service.uid).into_iter().flatten();
        let ours = named.filter(|id| self.records.get(id).is_some_and(|record| self.is_ours(record))).cloned();
        own.into_iter().chain(ours).collect()
    }

    fn service_changed(&mut self, change: Change<Versioned<Service>>, dirty: &mut Dirty) {
        if let Some(before) = change.before {
            let alone = self.id_alone(&before.object.uid);
            if self.alone.get(&alone) == Some(&before.object.key) {
                self.alone.remove(&alone);
            }
            dirty.append(&mut self.ids_of_service(&before.object));
            self.regroup(&before.object.key, dirty);
        }
        if let Some(after) = change.after {
            self.alone.insert(self.id_alone(&after.object.uid), after.object.key.clone());
            self.regroup(&after.object.key, dirty);
            dirty.append(&mut self.ids_of_service(&after.object));
        }
    }

    /// A Service of which nobody knew what it says can be read now, or is gone: whoever has waited for that may go on.
    fn service_resolved(&self, key: &ServiceKey, dirty: &mut Dirty) {
        let waiting = self.records.iter().filter(|record| self.is_ours(record));
        let waiting = waiting.filter(|record| record.members.iter().any(|joined| joined.member.key() == *key));
        dirty.extend(waiting.map(|record| record.id.clone()));
    }

    fn slice_changed(&mut self, change: Change<Arc<Slice>>, dirty: &mut Dirty) {
        if let Some(before) = change.before {
            self.slices_of.removed(&before);
            self.endpoints_changed(&before.service, dirty);
        }
        if let Some(after) = change.after {
            self.endpoints_changed(&after.service, dirty);
            self.slices_of.added(after);
        }
    }

    fn endpoints_changed(&self, key: &ServiceKey, dirty: &mut Dirty) {
        if let Some(Versioned { object, .. }) = self.services.get(key)
            && object.service_type == ServiceType::LoadBalancer
            && self.may_be_served(object)
        {
            dirty.append(&mut self.ids_of_service(object));
        }
    }

    fn record_changed(&mut self, change: Change<Arc<Record>>, dirty: &mut Dirty) {
        let Change { before, after } = change;
        for record in before.iter().chain(&after) {
            if self.is_ours(record) {
                dirty.insert(record.id.clone());
            }
        }
        if let Some(before) = &before {
            for member in before.members.iter().map(|joined| &joined.member) {
                self.record_concerns(&member.uid, dirty);
                if let Some(ids) = self.naming.get_mut(&member.uid) {
                    ids.remove(&before.id);
                    if ids.is_empty() {
                        self.naming.remove(&member.uid);
                    }
                }
            }
        }
        if let Some(after) = &after {
            for member in after.members.iter().map(|joined| &joined.member) {
                self.naming.entry(member.uid.clone()).or_default().insert(after.id.clone());
            }
        }
        self.share_record_changed(before.as_deref(), after.as_deref(), dirty);
        for joined in after.iter().flat_map(|record| &record.members) {
            self.record_concerns(&joined.member.uid, dirty);
        }
    }

    fn record_concerns(&self, uid: &Uid, dirty: &mut Dirty) {
        if let Some(service) = self.alone.get(&self.id_alone(uid)).and_then(|key| self.services.get(key)) {
            dirty.append(&mut self.ids_of_service(&service.object));
        }
    }

    /// Endpoints and nodes matter to it: we serve it, or a pass that began before the finalizer and record could be watched is just
    /// about to. Those of other classes are left asleep.
    fn may_be_served(&self, service: &Service) -> bool {
        let claimable = service.service_type == ServiceType::LoadBalancer
            && match &service.class {
                Some(class) => self.classes.named(class).is_some(),
                None => self.classes.default_class().or(self.classes.by_type_annotation()).is_some(),
            };
        claimable || service.finalizers.contains(&self.finalizer) || self.naming.contains_key(&service.uid)
    }

    fn is_ours(&self, record: &Record) -> bool {
        record.instance == self.classes.instance
    }

    fn id_alone(&self, uid: &Uid) -> LoadBalancerId {
        self.classes.instance.load_balancer_of(uid)
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod objects;
#[cfg(test)]
mod tests;
