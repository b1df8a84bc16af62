//! Who shares with whom: the Services that ask for a share, and the load balancer at which the core's rule places each.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use portolan_core::claim::{class_of, current_class};
use portolan_core::ids::{ClassName, LoadBalancerId, ServiceKey, Uid};
use portolan_core::record::Record;
use portolan_core::share::{Consents, asked, place};
use portolan_core::snapshot::{Namespace, Service, Snapshot};

use super::store::Change;
use super::{Dirty, Index};

/// Class and name: all who ask for these are placed together, whatever their namespaces.
type Asked = (ClassName, String);

/// The Services that ask for shares.
#[derive(Debug, Default)]
pub(super) struct Shares {
    asked: BTreeMap<ServiceKey, Asked>,
    asking: BTreeMap<Asked, BTreeSet<ServiceKey>>,
    placed: BTreeMap<ServiceKey, LoadBalancerId>,
    placed_at: BTreeMap<LoadBalancerId, BTreeSet<ServiceKey>>,
    /// The records of shares, of any class and instance, by the share's name.
    records: BTreeMap<String, BTreeSet<LoadBalancerId>>,
    /// Those whom passes under way are about to join to their share, if a record does not name them already.
    on_the_way: BTreeMap<LoadBalancerId, BTreeMap<Uid, Asked>>,
}

impl Shares {
    /// The share at which this Service is placed.
    pub(super) fn placed(&self, key: &ServiceKey) -> Option<&LoadBalancerId> {
        self.placed.get(key)
    }

    /// The Services that are placed there.
    pub(super) fn at(&self, id: &LoadBalancerId) -> impl Iterator<Item = &ServiceKey> {
        self.placed_at.get(id).into_iter().flatten()
    }

    /// The Service asks for this now. What it asked for before.
    fn ask(&mut self, key: &ServiceKey, now: Option<Asked>) -> Option<Asked> {
        let before = match &now {
            Some(now) => self.asked.insert(key.clone(), now.clone()),
            None => self.asked.remove(key),
        };
        if before != now {
            if let Some(before) = &before {
                leave(&mut self.asking, before, key);
            }
            if let Some(now) = now {
                self.asking.entry(now).or_default().insert(key.clone());
            }
        }
        before
    }

    fn put(&mut self, key: &ServiceKey, now: Option<LoadBalancerId>, dirty: &mut Dirty) {
        if self.placed.get(key) == now.as_ref() {
            return;
        }
        if let Some(before) = self.placed.remove(key) {
            leave(&mut self.placed_at, &before, key);
            dirty.insert(before);
        }
        if let Some(now) = now {
            self.placed_at.entry(now.clone()).or_default().insert(key.clone());
            dirty.insert(now.clone());
            self.placed.insert(key.clone(), now);
        }
    }
}

fn leave<K: Ord>(sets: &mut BTreeMap<K, BTreeSet<ServiceKey>>, from: &K, key: &ServiceKey) {
    if let Some(set) = sets.get_mut(from) {
        set.remove(key);
        if set.is_empty() {
            sets.remove(from);
        }
    }
}

impl Index {
    /// A Service or what is known of it has changed: it, and others for its sake, may belong elsewhere.
    pub(super) fn regroup(&mut self, key: &ServiceKey, dirty: &mut Dirty) {
        let now = self.services.get(key).and_then(|service| self.asks(&service.object));
        if now.is_none() && !self.shares.asked.contains_key(key) {
            return;
        }
        let before = self.shares.ask(key, now.clone());
        if now.is_none() {
            self.shares.put(key, None, dirty);
        }
        for asked in before.iter().filter(|before| Some(*before) != now.as_ref()).chain(&now) {
            self.place_all(asked, dirty);
        }
    }

    /// The share that a live Service of ours asks for.
    fn asks(&self, service: &Service) -> Option<Asked> {
        let name = asked(service)?.ok()?.into_owned();
        let naming = self.naming.get(&service.uid).into_iter().flatten();
        let records: Vec<&Record> = naming.filter_map(|id| self.records.get(id)).map(AsRef::as_ref).collect();
        Some((class_of(service, &records, &self.classes)?, name))
    }

    fn place_all(&mut self, asked: &Asked, dirty: &mut Dirty) {
        let (class, name) = asked;
        let Some(keys) = self.shares.asking.get(asked).cloned() else { return };
        let services: Vec<&Service> =
            keys.iter().filter_map(|key| self.services.get(key)).map(|service| service.object.as_ref()).collect();
        let records = self.shares.records.get(name).into_iter().flatten().filter_map(|id| self.records.get(id));
        let records: Vec<&Record> = records
            .filter(|record| self.is_ours(record) && current_class(record, &self.classes) == *class)
            .map(AsRef::as_ref)
            .collect();
        let consents: Consents = services
            .iter()
            .filter_map(|service| self.namespaces.get(&service.key.namespace))
            .map(|namespace| (namespace.name.clone(), namespace.share_with.clone()))
            .collect();
        let on_the_way = self.shares.on_the_way.iter().flat_map(|(id, services)| {
            services.iter().filter(|(_, for_what)| *for_what == asked).map(|(uid, _)| (uid.clone(), id.clone()))
        });
        let on_the_way = on_the_way.collect();
        let mut placed = place(&self.classes.instance, class, name, &services, &records, &on_the_way, &consents);
        let placed: Vec<_> =
            services.iter().map(|service| (service.key.clone(), placed.remove(&service.uid))).collect();
        for (key, id) in placed {
            self.shares.put(&key, id, dirty);
        }
    }

    /// A pass begins, and may join those whom it knows.
    pub(super) fn sets_out(&mut self, snapshot: &Snapshot) {
        let here = snapshot.services.values().filter(|one| snapshot.placed.get(&one.object.key) == Some(&snapshot.id));
        let here =
            here.filter_map(|one| Some((one.object.uid.clone(), self.shares.asked.get(&one.object.key)?.clone())));
        let here: BTreeMap<Uid, Asked> = here.collect();
        if !here.is_empty() {
            self.shares.on_the_way.insert(snapshot.id.clone(), here);
        }
    }

    /// It has ended, and joined them or not.
    pub(super) fn arrives(&mut self, id: &LoadBalancerId, dirty: &mut Dirty) {
        let asked: BTreeSet<Asked> =
            self.shares.on_the_way.remove(id).into_iter().flatten().map(|(_, asked)| asked).collect();
        for asked in &asked {
            self.place_all(asked, dirty);
        }
    }

    /// A record names others now, or is gone: they may belong elsewhere, and so may all who ask for its share.
    pub(super) fn share_record_changed(&mut self, before: Option<&Record>, after: Option<&Record>, dirty: &mut Dirty) {
        let keys: BTreeSet<ServiceKey> = before
            .into_iter()
            .chain(after)
            .flat_map(|record| &record.members)
            .filter_map(|joined| self.alone.get(&self.id_alone(&joined.member.uid)).cloned())
            .collect();
        for (record, is_there) in [(before, false), (after, true)] {
            let Some((record, share)) = record.and_then(|record| Some((record, record.share.as_ref()?))) else {
                continue;
            };
            let records = self.shares.records.entry(share.name.clone()).or_default();
            if is_there {
                records.insert(record.id.clone())
            } else {
                records.remove(&record.id)
            };
            if records.is_empty() {
                self.shares.records.remove(&share.name);
            }
            self.place_all(&(current_class(record, &self.classes), share.name.clone()), dirty);
        }
        for key in keys {
            self.regroup(&key, dirty);
        }
    }

    /// Its Services may share with others from now on, or should not any more.
    pub(super) fn namespace_changed(&mut self, change: &Change<Arc<Namespace>>, dirty: &mut Dirty) {
        self.all_consents.take();
        let Some(namespace) = change.before.as_ref().or(change.after.as_ref()) else { return };
        let is_there = |key: &&ServiceKey| key.namespace == namespace.name;
        let keys: Vec<ServiceKey> = self.shares.asked.keys().filter(is_there).cloned().collect();
        for key in keys {
            dirty.extend(self.shares.placed(&key).cloned());
            self.regroup(&key, dirty);
        }
    }
}
