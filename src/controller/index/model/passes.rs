//! The process: it hands out snapshots, its passes write, and it dies.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use portolan_core::class::{Class, Classes};
use portolan_core::ids::{ClassName, Instance, LoadBalancerId, ProviderName, ResourceVersion, Uid};
use portolan_core::record::{ClaimedBy, Joined, Record};
use portolan_core::snapshot::{Ingress, Service, Snapshot, Versioned};
use serde_json::Value;

use super::super::objects::{CLASS, is_claimed, member, number, record};
use super::super::{Dirty, Index, Written};
use super::World;
use crate::cluster::queue::{Input, Output, Pace, Queue, Verdict};

/// What an acknowledged write of ours obliges later snapshots to.
#[derive(Clone, Copy)]
pub(super) struct Promise {
    /// No older reading may be shown.
    pub(super) version: u64,
    /// Whether the object must be there at all.
    pub(super) exists: bool,
}

/// A pass that has begun.
pub(super) struct Pass {
    pub(super) snapshot: Snapshot,
    /// What the server has acknowledged to it; the index is told in the end.
    pub(super) written: Vec<Written>,
    pub(super) verdict: Option<Verdict>,
}

impl World {
    pub(super) fn process_starts(&mut self) {
        self.services.begin_list(&mut self.random);
        self.slices.begin_list(&mut self.random);
        self.nodes.begin_list(&mut self.random);
        self.records.begin_list(&mut self.random);
        self.namespaces.begin_list(&mut self.random);
        self.queue_step(Input::Paused(false));
    }

    /// It remembers nothing. What its passes had written is written.
    pub(super) fn process_dies(&mut self) {
        self.counts.crashes += 1;
        (self.index, self.queue) = process(self.random.number());
        self.passes.clear();
        self.known.clear();
        self.owed.clear();
        self.service_promises.clear();
        self.record_promises.clear();
        self.listed = [0; 5];
        self.unreadable.clear();
        self.process_starts();
    }

    pub(super) fn queue_step(&mut self, input: Input<LoadBalancerId>) {
        let mut outputs = Vec::new();
        self.queue.step(self.now, input, &mut outputs);
        for Output::Start(id) in outputs {
            self.pass_begins(id);
        }
    }

    pub(super) fn pass_begins(&mut self, id: LoadBalancerId) {
        assert!(self.listed.iter().all(|lists| *lists > 0), "a pass began before the first lists were complete");
        self.counts.passes += 1;
        let snapshot = self.index.begin(&id);
        self.check_promises(&snapshot);
        self.owed.remove(&id);
        self.known.insert(id.clone(), snapshot.clone());
        let verdict = None;
        let before = self.passes.insert(id, Pass { snapshot, written: Vec::new(), verdict });
        assert!(before.is_none(), "a key ran twice at once");
    }

    pub(super) fn check_promises(&self, snapshot: &Snapshot) {
        for (key, service) in &snapshot.services {
            if let Some(promise) = self.service_promises.get(key) {
                assert!(number(&service.version) >= promise.version, "{key} was shown as before our write");
            }
        }
        if let Some(promise) = self.record_promises.get(&snapshot.id) {
            let shown = snapshot.record.as_ref().map(|record| number(record.version.as_ref().unwrap()));
            match shown {
                Some(version) => {
                    assert!(version >= promise.version, "record {} was shown as before our write", snapshot.id);
                }
                None => assert!(!promise.exists, "record {} was not shown although we wrote it", snapshot.id),
            }
        }
    }

    pub(super) fn some_pass_goes_on(&mut self) {
        let ids: Vec<_> = self.passes.keys().cloned().collect();
        if ids.is_empty() {
            return;
        }
        let id = ids[self.pick(ids.len())].clone();
        let Some(mut pass) = self.passes.remove(&id) else { return };
        if pass.verdict.is_none() && self.random.below(4) > 0 {
            self.pass_writes(&mut pass);
            self.passes.insert(id, pass);
        } else {
            self.pass_ends(&id, pass);
        }
    }

    pub(super) fn pass_ends(&mut self, id: &LoadBalancerId, pass: Pass) {
        let nothing = pass.snapshot.services.is_empty() && pass.snapshot.record.is_none();
        let verdict = pass.verdict.unwrap_or(match self.random.below(6) {
            _ if nothing => Verdict::Forgotten,
            0 => Verdict::Retry,
            1 => Verdict::WaitAtMost(Duration::from_secs(5)),
            _ => Verdict::Done,
        });
        if matches!(verdict, Verdict::Again | Verdict::Retry | Verdict::WaitAtMost(_)) {
            self.owed.insert(id.clone());
        }
        let mut dirty = Dirty::new();
        self.index.finished(id, pass.written.clone(), &mut dirty);
        for written in pass.written {
            self.is_promised(written);
        }
        self.wake(dirty);
        self.queue_step(Input::Finished(id.clone(), verdict));
    }

    /// One write of a pass, under the version of its snapshot, as a claim would have it.
    pub(super) fn pass_writes(&mut self, pass: &mut Pass) {
        let id = pass.snapshot.id.clone();
        let placed = pass.snapshot.placed.clone();
        let here: Vec<Versioned<Service>> =
            pass.snapshot.services.values().filter(|one| placed.get(&one.object.key) == Some(&id)).cloned().collect();
        let wanted: Vec<_> = here.iter().filter(|service| is_claimed(&service.object)).cloned().collect();
        let ours = pass.snapshot.record.clone();
        let finalizer = Instance::default().finalizer();
        let unmarked = wanted.iter().find(|service| !service.object.finalizers.contains(&finalizer));
        match (wanted.first(), ours) {
            (Some(_), _) if let Some(service) = unmarked => {
                let mut after = (*service.object).clone();
                after.finalizers.push(finalizer);
                self.write_service(pass, service, after);
            }
            (Some(_), None) => {
                if self.records.get(&id).is_some() {
                    self.record_conflicts(pass);
                } else {
                    let members = wanted.iter().map(|service| member(&service.object)).collect();
                    let share = portolan_core::share::of_id(&id, "x");
                    self.write_record(pass, Record { share, ..record(id.clone(), Instance::default(), members) });
                }
            }
            (Some(_), Some(record)) if wanted.iter().any(|service| !record.names(&service.object.uid)) => {
                if self.stored_version(&id) == record.version {
                    let new = wanted.iter().filter(|service| !record.names(&service.object.uid));
                    let new: Vec<_> =
                        new.map(|one| Joined { member: member(&one.object), claimed_by: ClaimedBy::Class }).collect();
                    let mut after = (*record).clone();
                    after.members.extend(new);
                    self.write_record(pass, after);
                } else {
                    self.record_conflicts(pass);
                }
            }
            (Some(_), Some(record)) => {
                let service = &wanted[self.pick(wanted.len())];
                if self.random.below(2) == 0 {
                    let mut after = (*service.object).clone();
                    after.ingress = vec![Ingress {
                        ip: Some(format!("10.0.0.{}", self.random.below(9))),
                        hostname: None,
                        ip_mode: Some("VIP".into()),
                        ports: vec![],
                    }];
                    self.write_service(pass, service, after);
                } else if self.stored_version(&id) == record.version {
                    let mut after = (*record).clone();
                    after.external = BTreeMap::from([("arn".to_owned(), self.version.to_string())]);
                    self.write_record(pass, after);
                } else {
                    self.record_conflicts(pass);
                }
            }
            (None, Some(_)) if here.is_empty() && !pass.snapshot.unreadable.is_empty() => {
                pass.verdict = Some(Verdict::Done);
            }
            (None, Some(record)) => {
                let stored = self.stored_version(&id);
                if stored.is_some() && stored != record.version {
                    return self.record_conflicts(pass);
                }
                self.counts.writes += 1;
                let version = self.next_version();
                self.records.delete(version, &id);
                pass.snapshot.record = None;
                pass.snapshot.unreadable.clear();
                pass.written.push(Written::RecordDeleted(id.clone(), record.version.clone().unwrap()));
            }
            (None, None) => match here.iter().find(|service| service.object.finalizers.contains(&finalizer)) {
                Some(service) => {
                    let mut after = (*service.object).clone();
                    after.finalizers.retain(|name| *name != finalizer);
                    self.write_service(pass, service, after);
                }
                None => pass.verdict = Some(Verdict::Done),
            },
        }
        let snapshot = &mut pass.snapshot;
        // With its own writes, a pass knows which Services and records concern it from now on.
        let named = |uid: &Uid| snapshot.record.as_ref().is_some_and(|record| record.names(uid));
        snapshot.services.retain(|key, service| placed.get(key) == Some(&id) || named(&service.object.uid));
        let services = &snapshot.services;
        snapshot.placed.retain(|key, _| services.contains_key(key));
        snapshot.consents.retain(|namespace, _| services.keys().any(|key| key.namespace == *namespace));
        if snapshot.consents.len() < 2 {
            snapshot.consents.clear();
        }
        snapshot.slices.retain(|key, _| services.contains_key(key));
        snapshot.other_records.retain(|record| services.values().any(|service| record.names(&service.object.uid)));
        self.known.insert(snapshot.id.clone(), snapshot.clone());
    }

    pub(super) fn write_service(&mut self, pass: &mut Pass, before: &Versioned<Service>, after: Service) {
        if self.services.get(&after.key).is_none_or(|stored| stored.version != before.version) {
            self.counts.conflicts += 1;
            pass.verdict = Some(Verdict::Again);
            return;
        }
        self.counts.writes += 1;
        let key = after.key.clone();
        if after.deleting && after.finalizers.is_empty() {
            let version = self.next_version();
            self.services.delete(version, &key);
            pass.verdict = Some(Verdict::Done);
            return; // the answer is the object as it was last, which no writer reports
        }
        let stored = self.put_service(after, true);
        pass.snapshot.services.insert(key, stored.clone());
        pass.written.push(Written::Service(stored));
    }

    pub(super) fn write_record(&mut self, pass: &mut Pass, after: Record) {
        self.counts.writes += 1;
        let stored = self.put_record(after, true);
        pass.snapshot.record = Some(Arc::clone(&stored));
        pass.written.push(Written::Record(stored));
    }

    /// The record is not what the pass has read: it asks for it and begins again.
    pub(super) fn record_conflicts(&mut self, pass: &mut Pass) {
        self.counts.conflicts += 1;
        pass.verdict = Some(Verdict::Again);
        match self.records.get(&pass.snapshot.id) {
            Some(stored) if stored.instance == Instance::default() => {
                pass.written.push(Written::Record(Arc::clone(stored)));
            }
            Some(_) => {}
            None => {
                let version = pass.snapshot.record.as_ref().and_then(|record| record.version.clone());
                pass.written.extend(version.map(|version| Written::RecordDeleted(pass.snapshot.id.clone(), version)));
            }
        }
    }

    pub(super) fn stored_version(&self, id: &LoadBalancerId) -> Option<ResourceVersion> {
        self.records.get(id).and_then(|record| record.version.clone())
    }

    /// What the index owes for a write. Nothing where the watch is past it.
    fn is_promised(&mut self, written: Written) {
        match written {
            Written::Service(service) => {
                let version = number(&service.version);
                let key = service.object.key.clone();
                if version > self.services.told_version() && self.index.services.get(&key).is_some() {
                    self.service_promises.insert(key, Promise { version, exists: true });
                }
            }
            Written::Record(record) => {
                let version = number(record.version.as_ref().unwrap());
                let held = self.index.records.get(&record.id).is_some();
                if version > self.records.told_version() && held {
                    self.record_promises.insert(record.id.clone(), Promise { version, exists: true });
                }
            }
            Written::RecordDeleted(id, version) => {
                let version = number(&version);
                if self.record_promises.get(&id).is_none_or(|promise| promise.version <= version) {
                    self.record_promises.insert(id, Promise { version: version + 1, exists: false });
                }
            }
            // No pass of the model has anything to tell a Pod.
            Written::Pod(_) => {}
        }
    }
}

pub(super) fn process(seed: u64) -> (Index, Queue<LoadBalancerId>) {
    let class = Class {
        name: ClassName::new(CLASS),
        aliases: vec![],
        provider: ProviderName::new("mock"),
        default: false,
        claim_by_type_annotation: false,
        parameters: Value::Null,
    };
    let classes = Classes { classes: vec![Arc::new(class)], ..Classes::default() };
    (Index::new(classes), Queue::new(Pace { in_flight: 2, ..Pace::default() }, seed))
}
