//! What the watches tell of it.

use super::super::{Dirty, Event, Observed, Written};
use super::World;
use crate::cluster::queue::Input;

impl World {
    pub(super) fn some_list_begins(&mut self) {
        self.counts.lists += 1;
        match self.random.below(5) {
            0 => self.services.begin_list(&mut self.random),
            1 => self.slices.begin_list(&mut self.random),
            2 => self.nodes.begin_list(&mut self.random),
            3 => self.namespaces.begin_list(&mut self.random),
            _ => self.records.begin_list(&mut self.random),
        }
    }

    pub(super) fn watch_tells(&mut self) {
        let kind = self.random.below(5);
        if kind == self.slow && self.random.below(12) > 0 {
            return;
        }
        for _ in 0..=self.random.below(5) {
            match kind {
                0 => self.services_tell(),
                1 => self.slices_tell(),
                2 => self.nodes_tell(),
                3 => self.records_tell(),
                _ => self.namespaces_tell(),
            };
        }
    }

    /// While a pass waits for the answer to its write of a record, somebody deletes the record, and a new list shows only that.
    pub(super) fn a_list_overtakes_an_answer(&mut self) {
        let mut passes = self.passes.iter();
        let written =
            passes.find(|(_, pass)| matches!(pass.written.last(), Some(Written::Record(_)))).map(|(id, _)| id.clone());
        let Some(id) = written.filter(|_| self.index.synced()) else { return };
        self.counts.overtaken += 1;
        let version = self.next_version();
        self.records.delete(version, &id);
        while !self.records.tell_is_over() {
            self.records.begin_list(&mut self.random);
            while self.records.list.is_some() {
                self.records_tell();
            }
        }
    }

    pub(super) fn services_tell(&mut self) -> bool {
        let Some(event) = self.services.tell(&mut self.random) else { return false };
        match &event {
            Event::Init => self.unreadable.clear(),
            Event::Unreadable(key) if self.index.services.get(key).is_some() => {
                self.counts.unreadable += 1;
                self.unreadable.push(key.clone());
            }
            Event::InitDone => self.listed[0] += 1,
            Event::Delete(key, _) => self.unreadable.retain(|unreadable| unreadable != key),
            Event::InitApply(_) | Event::Apply(_) | Event::Unreadable(_) => {}
        }
        if let Event::Delete(name, _) = &event {
            self.service_promises.remove(name);
        }
        let dirty = self.observe(Observed::Service(event));
        let held = &self.index.services;
        assert!(
            self.unreadable.iter().all(|key| held.get(key).is_some()),
            "an unreadable Service was taken for deleted"
        );
        let promised = self.service_promises.len();
        self.service_promises.retain(|key, _| held.get(key).is_some());
        self.counts.dropped += u64::try_from(promised - self.service_promises.len()).unwrap();
        self.wake(dirty);
        true
    }

    pub(super) fn slices_tell(&mut self) -> bool {
        let event = self.slices.tell(&mut self.random);
        self.listed[1] += u64::from(matches!(event, Some(Event::InitDone)));
        let dirty = event.map(|event| self.observe(Observed::Slice(event)));
        dirty.map(|dirty| self.wake(dirty)).is_some()
    }

    pub(super) fn nodes_tell(&mut self) -> bool {
        let event = self.nodes.tell(&mut self.random);
        self.listed[2] += u64::from(matches!(event, Some(Event::InitDone)));
        let dirty = event.map(|event| self.observe(Observed::Node(event)));
        if self.random.below(3) == 0 {
            self.nodes_have_settled();
        }
        dirty.map(|dirty| self.wake(dirty)).is_some()
    }

    pub(super) fn nodes_have_settled(&mut self) {
        if self.index.synced() {
            let mut dirty = Dirty::new();
            self.index.nodes_have_settled(&mut dirty);
            self.wake(dirty);
        }
    }

    pub(super) fn namespaces_tell(&mut self) -> bool {
        let event = self.namespaces.tell(&mut self.random);
        self.listed[4] += u64::from(matches!(event, Some(Event::InitDone)));
        let dirty = event.map(|event| self.observe(Observed::Namespace(event)));
        dirty.map(|dirty| self.wake(dirty)).is_some()
    }

    pub(super) fn records_tell(&mut self) -> bool {
        let Some(event) = self.records.tell(&mut self.random) else { return false };
        let listed = matches!(event, Event::InitDone);
        if let Event::Delete(name, version) = &event {
            let version = version.as_str().parse().unwrap_or(0);
            if self.record_promises.get(name).is_some_and(|promise| promise.version <= version) {
                self.record_promises.remove(name);
            }
        }
        let dirty = self.observe(Observed::Record(event));
        self.listed[3] += u64::from(listed);
        if listed {
            // A list may be older than our write. What it lacks is gone until the watch brings it back.
            let held = &self.index.records;
            let promised = self.record_promises.len();
            self.record_promises.retain(|id, promise| !promise.exists || held.get(id).is_some());
            self.counts.dropped += u64::try_from(promised - self.record_promises.len()).unwrap();
        }
        self.wake(dirty);
        true
    }

    pub(super) fn observe(&mut self, observed: Observed) -> Dirty {
        self.counts.events += 1;
        let mut dirty = Dirty::new();
        self.index.observe(observed, &mut dirty);
        dirty
    }

    pub(super) fn wake(&mut self, dirty: Dirty) {
        for id in dirty {
            self.owed.insert(id.clone());
            self.queue_step(Input::Enqueued(id));
        }
    }
}
