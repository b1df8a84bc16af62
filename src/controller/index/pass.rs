//! What a pass under way knows, so that its end can tell whether it missed something.

use std::sync::Arc;

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

    pub(super) fn learn(&mut self, written: &Written) {
        match written {
            Written::Service(service) => {
                if let Some(known) = self.known.services.get_mut(&service.object.key) {
                    *known = service.clone();
                }
            }
            Written::Record(record) if record.id == self.known.id => self.known.record = Some(Arc::clone(record)),
            Written::RecordDeleted(id, _) if *id == self.known.id => self.known.record = None,
            Written::Record(_) | Written::RecordDeleted(..) => {}
        }
    }

    /// No decision can tell what the pass knew from what there is now. Versions do not count.
    pub(super) fn missed_nothing(&self, now: &Snapshot) -> bool {
        let Snapshot { id: _, services, slices, nodes, record, other_records, unreadable } = &self.known;
        services.values().map(|service| &service.object).eq(now.services.values().map(|service| &service.object))
            && *slices == now.slices
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
