//! Pods that wait for load balancers, by the Service that each waits for. Where no class has an answer for them nobody watches Pods, and
//! nobody waits for their list.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use portolan_core::ids::{ResourceVersion, ServiceKey};
use portolan_core::snapshot::{Pod, PodName, Versioned};

use super::store::{Change, Event, Object, Store};
use super::{Dirty, Index};

#[derive(Debug, Default)]
pub(super) struct Gated {
    watched: bool,
    pods: Store<Versioned<Pod>>,
    waiting: BTreeMap<ServiceKey, BTreeMap<PodName, Arc<Pod>>>,
}

impl Index {
    /// The same index, which waits for a list of Pods too.
    #[must_use]
    pub fn watching_pods(mut self, watched: bool) -> Self {
        self.gated.watched = watched;
        self
    }

    pub(super) fn pod_observed(&mut self, event: Event<Versioned<Pod>>, dirty: &mut Dirty) {
        for change in self.gated.pods.observe(event) {
            self.pod_changed(change, dirty);
        }
    }

    /// We never create Pods. One that the index does not hold was deleted meanwhile.
    pub(super) fn pod_written(&mut self, pod: Versioned<Pod>, dirty: &mut Dirty) {
        let held = self.gated.pods.get(&pod.object.name);
        if held.is_some_and(|held| held.object.uid == pod.object.uid)
            && let Some(change) = self.gated.pods.written(pod)
        {
            self.pod_changed(change, dirty);
        }
    }

    fn pod_changed(&mut self, change: Change<Versioned<Pod>>, dirty: &mut Dirty) {
        for service in self.gated.moved(change) {
            self.endpoints_changed(&service, dirty);
        }
    }
}

impl Gated {
    /// Its first list is complete, if anybody waits for one.
    pub(super) fn is_listed(&self) -> bool {
        !self.watched || self.pods.lists() > 0
    }

    /// The Pods that wait for this Service, by name.
    pub(super) fn of(&self, service: &ServiceKey) -> Vec<Arc<Pod>> {
        self.waiting.get(service).into_iter().flat_map(BTreeMap::values).cloned().collect()
    }

    /// The Services that it waits for now or has waited for.
    fn moved(&mut self, Change { before, after }: Change<Versioned<Pod>>) -> BTreeSet<ServiceKey> {
        let mut concerned = BTreeSet::new();
        if let Some(Versioned { object: pod, .. }) = before {
            for service in pod.services() {
                if let Some(pods) = self.waiting.get_mut(&service) {
                    pods.remove(&pod.name);
                    if pods.is_empty() {
                        self.waiting.remove(&service);
                    }
                }
                concerned.insert(service);
            }
        }
        if let Some(Versioned { object: pod, .. }) = after {
            for service in pod.services() {
                self.waiting.entry(service.clone()).or_default().insert(pod.name.clone(), Arc::clone(&pod));
                concerned.insert(service);
            }
        }
        concerned
    }
}

impl Object for Versioned<Pod> {
    type Name = PodName;

    fn name(&self) -> PodName {
        self.object.name.clone()
    }

    fn version(&self) -> Option<&ResourceVersion> {
        Some(&self.version)
    }

    fn same(&self, other: &Self) -> bool {
        self.object == other.object
    }
}
