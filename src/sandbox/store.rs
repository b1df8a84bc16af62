//! The objects, their versions, and the history of every write. One number counts the writes of all kinds, as etcd's revision does.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use serde_json::Value;

use super::kinds::Kinds;
use super::service::{Numbers, Ranges};
use crate::cluster::clock::Clock;
use crate::cluster::random::Random;

/// How many writes are remembered. A watch that lags further behind gets a 410. The real server remembers five minutes.
const HISTORY: usize = 10_000;

/// Where an object lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    /// `Kind::place`.
    pub(super) place: String,
    /// Empty for what is cluster-wide.
    pub(super) namespace: String,
    pub(super) name: String,
}

/// The order of lists: that of the paths `NAMESPACE/NAME` in etcd, where `a-b/c` comes before `a/c`.
impl Ord for Key {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.place.cmp(&other.place).then_with(|| self.path().cmp(other.path()))
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Key {
    fn path(&self) -> impl Iterator<Item = u8> {
        self.namespace.bytes().chain([b'/']).chain(self.name.bytes())
    }
}

/// One write: the object before and after, of which one may be missing.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) revision: u64,
    pub(super) key: Key,
    pub(super) before: Option<Arc<Value>>,
    /// Of one that is gone: as it was at last, under the revision of its end.
    pub(super) after: Arc<Value>,
    pub(super) gone: bool,
}

/// A version that was asked for is no longer, or not yet, known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OutOfHistory {
    /// Everything up to this revision is forgotten.
    Forgotten(u64),
    /// This is the last revision.
    NotYet(u64),
}

/// All that the server stores.
pub(super) struct State {
    pub(super) kinds: Kinds,
    pub(super) numbers: Numbers,
    pub(super) random: Random,
    pub(super) clock: Clock,
    objects: BTreeMap<Key, Arc<Value>>,
    revision: u64,
    history: VecDeque<Change>,
    forgotten: u64,
}

impl State {
    pub(super) fn new(clock: Clock, ranges: Ranges) -> Self {
        Self {
            kinds: Kinds::default(),
            numbers: Numbers::new(ranges),
            // UIDs need to differ within a cluster, not between two.
            random: Random::new(0),
            clock,
            objects: BTreeMap::new(),
            revision: 0,
            history: VecDeque::new(),
            forgotten: 0,
        }
    }

    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    pub(super) fn get(&self, key: &Key) -> Option<&Arc<Value>> {
        self.objects.get(key)
    }

    /// The objects of one place, of one namespace or (empty) of all, in the order of namespace and name.
    pub(super) fn list<'a>(
        &'a self,
        place: &'a str,
        namespace: &'a str,
    ) -> impl Iterator<Item = (&'a Key, &'a Arc<Value>)> {
        let start = Key { place: place.to_owned(), namespace: namespace.to_owned(), name: String::new() };
        self.objects
            .range((Bound::Included(start), Bound::Unbounded))
            .take_while(move |(key, _)| key.place == place && (namespace.is_empty() || key.namespace == namespace))
    }

    /// The same as it was at a revision.
    pub(super) fn list_at(
        &self,
        place: &str,
        namespace: &str,
        revision: u64,
    ) -> Result<BTreeMap<Key, Arc<Value>>, OutOfHistory> {
        let later = self.since(revision)?;
        let mut objects: BTreeMap<Key, Arc<Value>> =
            self.list(place, namespace).map(|(key, object)| (key.clone(), object.clone())).collect();
        let within = |key: &Key| key.place == place && (namespace.is_empty() || key.namespace == namespace);
        for change in later.rev().filter(|change| within(&change.key)) {
            match &change.before {
                Some(before) => drop(objects.insert(change.key.clone(), before.clone())),
                None => drop(objects.remove(&change.key)),
            }
        }
        Ok(objects)
    }

    /// What was written after a revision, oldest first.
    pub(super) fn since(&self, revision: u64) -> Result<impl DoubleEndedIterator<Item = &Change>, OutOfHistory> {
        if revision < self.forgotten {
            return Err(OutOfHistory::Forgotten(self.forgotten));
        }
        if revision > self.revision {
            return Err(OutOfHistory::NotYet(self.revision));
        }
        let first = self.history.partition_point(|change| change.revision <= revision);
        Ok(self.history.range(first..))
    }

    /// Stores an object under a new version, which it carries from now on.
    pub(super) fn put(&mut self, key: Key, mut object: Value) -> Arc<Value> {
        let object = self.stamped(&mut object);
        let before = self.objects.insert(key.clone(), object.clone());
        self.remember(Change { revision: self.revision, key, before, after: object.clone(), gone: false });
        object
    }

    /// Removes an object, which is told as it was at last.
    pub(super) fn remove(&mut self, key: Key, mut last: Value) -> Arc<Value> {
        let last = self.stamped(&mut last);
        let before = self.objects.remove(&key);
        self.remember(Change { revision: self.revision, key, before, after: last.clone(), gone: true });
        last
    }

    /// Forgets the history up to a revision.
    pub(super) fn forget(&mut self, until: u64) {
        while self.history.front().is_some_and(|change| change.revision <= until) {
            self.history.pop_front();
        }
        self.forgotten = self.forgotten.max(until);
    }

    /// Forgets the history.
    #[cfg(test)]
    pub(super) fn compact(&mut self) {
        self.history.clear();
        self.forgotten = self.revision;
    }

    fn stamped(&mut self, object: &mut Value) -> Arc<Value> {
        self.revision += 1;
        object["metadata"]["resourceVersion"] = self.revision.to_string().into();
        Arc::new(object.take())
    }

    fn remember(&mut self, change: Change) {
        self.history.push_back(change);
        if self.history.len() > HISTORY
            && let Some(oldest) = self.history.pop_front()
        {
            self.forgotten = oldest.revision;
        }
    }
}
