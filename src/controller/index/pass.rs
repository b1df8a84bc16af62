//! What a pass under way knows, so that its end can tell whether it missed something.

use std::sync::Arc;

use portolan_core::ids::ServiceKey;
use portolan_core::record::Record;
use portolan_core::snapshot::Snapshot;

use super::Written;

/// A pass that has begun and not ended.
#[derive(Debug)]
pub(super) struct Pass {
    /// Its snapshot, and then what it has written.
    known: Snapshot,
    /// How many lists of records were complete when it began.
    pub(super) lists: u64,
}

impl Pass {
    pub(super) fn new(snapshot: Snapshot, lists: u64) -> Self {
        Self { known: snapshot, lists }
    }

    /// It may serve this Service, and write a record that names it.
    pub(super) fn serves(&self, service: &ServiceKey) -> bool {
        self.known.placed.get(service) == Some(&self.known.id)
    }

    pub(super) fn learn(&mut self, written: &Written) {
        match written {
            Written::Service(service) => {
                if let Some(known) = self.known.services.get_mut(&service.object.key) {
                    *known = service.clone();
                }
            }
            Written::Record(record) if record.id == self.known.id => {
                self.known.record = Some(Arc::clone(record));
                self.forget_strangers();
            }
            Written::RecordDeleted(id, _) if *id == self.known.id => {
                self.known.record = None;
                self.forget_strangers();
            }
            Written::Pod(pod) => {
                for known in self.known.gated.values_mut().flatten().filter(|known| known.uid == pod.object.uid) {
                    *known = Arc::clone(&pod.object);
                }
            }
            Written::Record(_) | Written::RecordDeleted(..) => {}
        }
    }

    /// Services that only the record has made it know.
    fn forget_strangers(&mut self) {
        let Snapshot { id, services, placed, consents, record, slices, gated, other_records, .. } = &mut self.known;
        placed.retain(|key, place| {
            let named = services.get(key).zip(record.as_ref());
            place == id || named.is_some_and(|(service, record)| record.names(&service.object.uid))
        });
        services.retain(|key, _| placed.contains_key(key));
        slices.retain(|key, _| placed.contains_key(key));
        gated.retain(|key, _| placed.contains_key(key));
        consents.retain(|namespace, _| services.keys().any(|key| key.namespace == *namespace));
        if consents.len() < 2 {
            consents.clear();
        }
        other_records.retain(|record| services.values().any(|service| record.names(&service.object.uid)));
    }

    /// Its endpoints are others by now, or Pods that wait for it.
    pub(super) fn missed_endpoints(&self, now: &Snapshot) -> bool {
        self.known.slices != now.slices || self.known.gated != now.gated
    }

    /// No decision can tell what the pass knew from what there is now. Versions do not count.
    pub(super) fn missed_nothing(&self, now: &Snapshot) -> bool {
        let Snapshot {
            id: _,
            all_consents: _,
            services,
            placed,
            consents,
            slices,
            gated,
            nodes,
            record,
            other_records,
            unreadable,
            in_hand: _,
        } = &self.known;
        services.values().map(|service| &service.object).eq(now.services.values().map(|service| &service.object))
            && *placed == now.placed
            && *consents == now.consents
            && *slices == now.slices
            && *gated == now.gated
            && *nodes == now.nodes
            && *unreadable == now.unreadable
            && same(record.iter(), now.record.iter())
            && same(other_records.iter(), now.other_records.iter())
    }
}

fn same<'a>(known: impl Iterator<Item = &'a Arc<Record>>, mut now: impl Iterator<Item = &'a Arc<Record>>) -> bool {
    let mut known = known;
    known.all(|record| now.next().is_some_and(|now| record.same_content(now))) && now.next().is_none()
}
