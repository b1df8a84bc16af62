//! The newest reading of every object of one kind, from a watch and from our own writes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::mem;
use std::sync::Arc;

use portolan_core::ids::{LoadBalancerId, NodeName, ResourceVersion, ServiceKey};
use portolan_core::record::Record;
use portolan_core::snapshot::{Namespace, Node, Service, Slice, SliceName, Versioned};

use crate::planted::{Bug, planted};

/// What a watch says, after projection. The stream may begin anew with `Init` at any time.
#[derive(Clone, Debug)]
pub enum Event<T: Object> {
    /// A list begins.
    Init,
    /// An object of the list.
    InitApply(T),
    /// The list is complete: what it lacks is gone.
    InitDone,
    /// The object was created or has changed.
    Apply(T),
    /// The object is gone, or is none of ours to see any more; as of this version.
    Delete(T::Name, ResourceVersion),
    /// The object is there but cannot be decoded: the last good reading stands. Without any, it still is not gone.
    Unreadable(T::Name),
}

/// Something that the index keeps.
pub trait Object: Clone {
    /// What identifies it among its kind.
    type Name: Ord + Clone + Debug + Send;
    /// Its name.
    fn name(&self) -> Self::Name;
    /// The version of this reading; none for kinds that we never write: their watch is always right.
    fn version(&self) -> Option<&ResourceVersion>;
    /// No decision can tell the two apart. The version does not count.
    fn same(&self, other: &Self) -> bool;
}

/// An object before and after.
#[derive(Clone, Debug)]
pub(crate) struct Change<T> {
    pub(crate) before: Option<T>,
    pub(crate) after: Option<T>,
}

#[derive(Debug)]
pub(crate) struct Store<T: Object> {
    items: BTreeMap<T::Name, Item<T>>,
    /// What we deleted at which version, until the watch has shown it.
    tombstones: BTreeMap<T::Name, u64>,
    /// The highest version that the watch has shown.
    seen: u64,
    /// While a list goes on: the names in it, and the highest version.
    listing: Option<(BTreeSet<T::Name>, u64)>,
    lists: u64,
    /// Objects that are there although nothing was ever read of them.
    unreadable: BTreeSet<T::Name>,
    /// Those of which that is over: read, or gone.
    resolved: Vec<T::Name>,
}

#[derive(Debug)]
struct Item<T> {
    object: T,
    /// Our own write, which the watch has not shown yet.
    pending: bool,
}

impl<T: Object> Default for Store<T> {
    fn default() -> Self {
        Self {
            items: BTreeMap::new(),
            tombstones: BTreeMap::new(),
            seen: 0,
            listing: None,
            lists: 0,
            unreadable: BTreeSet::new(),
            resolved: Vec::new(),
        }
    }
}

impl<T: Object> Store<T> {
    pub(crate) fn get(&self, name: &T::Name) -> Option<&T> {
        self.items.get(name).map(|item| &item.object)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.items.values().map(|item| &item.object)
    }

    /// How many lists were completed.
    pub(crate) fn lists(&self) -> u64 {
        self.lists
    }

    /// It is there, and nothing was ever read of it.
    pub(super) fn is_unreadable(&self, name: &T::Name) -> bool {
        self.unreadable.contains(name)
    }

    /// The names of which [`Self::is_unreadable`] has ceased to be true since this was asked last.
    pub(super) fn take_resolved(&mut self) -> Vec<T::Name> {
        mem::take(&mut self.resolved)
    }

    /// Takes in what the watch says. Returns what differs now; a change of nothing but the version is not among it.
    pub(crate) fn observe(&mut self, event: Event<T>) -> Vec<Change<T>> {
        match event {
            Event::Init | Event::InitApply(_) | Event::InitDone if self.lists > 0 && planted(Bug::GapNotRelisted) => {
                Vec::new()
            }
            Event::Init => {
                self.listing = Some((BTreeSet::new(), 0));
                Vec::new()
            }
            Event::InitApply(object) => {
                if let Some((names, highest)) = &mut self.listing {
                    names.insert(object.name());
                    *highest = (*highest).max(number(object.version()).unwrap_or(0));
                }
                self.apply(object, true).into_iter().collect()
            }
            Event::InitDone => self.finish_list(),
            Event::Apply(object) => {
                self.seen = self.seen.max(number(object.version()).unwrap_or(0));
                self.apply(object, false).into_iter().collect()
            }
            Event::Delete(name, version) => {
                let version = number(Some(&version));
                self.resolve(&name);
                self.seen = self.seen.max(version.unwrap_or(0));
                if self.tombstones.get(&name).is_some_and(|deleted| version.is_none_or(|version| version >= *deleted)) {
                    self.tombstones.remove(&name);
                }
                let kept = self.items.get(&name).and_then(|item| number(item.object.version()));
                // Of an object that we have since created anew, the watch may still have to show the old one's end.
                if older(version, kept) { Vec::new() } else { self.remove(&name).into_iter().collect() }
            }
            Event::Unreadable(name) => {
                if let Some((names, _)) = &mut self.listing {
                    names.insert(name.clone());
                }
                if !self.items.contains_key(&name) {
                    self.unreadable.insert(name);
                }
                Vec::new()
            }
        }
    }

    /// The server has acknowledged our write, with this result.
    pub(super) fn written(&mut self, object: T) -> Option<Change<T>> {
        let (name, version) = (object.name(), number(object.version()));
        let kept = self.items.get(&name).and_then(|item| number(item.object.version()));
        // The watch is past it already, and knows better.
        if version.is_some_and(|version| version <= self.seen) || older(version, kept) {
            return None;
        }
        if self.tombstones.get(&name).is_some_and(|deleted| version.is_none_or(|version| version > *deleted)) {
            self.tombstones.remove(&name);
        }
        self.put(name, object, true)
    }

    /// The server has acknowledged that we deleted the object that was at this version, or that it was gone already.
    pub(super) fn deleted(&mut self, name: &T::Name, version: &ResourceVersion) -> Option<Change<T>> {
        let version = number(Some(version));
        let kept = self.items.get(name).and_then(|item| number(item.object.version()));
        if older(version, kept) {
            return None;
        }
        if let Some(version) = version {
            self.tombstones.insert(name.clone(), version);
        }
        self.remove(name)
    }

    fn apply(&mut self, object: T, listed: bool) -> Option<Change<T>> {
        let (name, version) = (object.name(), number(object.version()));
        match self.tombstones.get(&name) {
            Some(deleted) if version.is_some_and(|version| version <= *deleted) => return None,
            Some(_) | None => {}
        }
        self.tombstones.remove(&name);
        if let Some(item) = self.items.get(&name) {
            // A list is a quorum read: older than nothing but our own latest writes. After etcd is restored from a backup it is
            // the only way back to smaller versions.
            if older(version, number(item.object.version())) && (item.pending || !listed) {
                return None;
            }
        }
        self.put(name, object, false)
    }

    fn put(&mut self, name: T::Name, object: T, pending: bool) -> Option<Change<T>> {
        self.resolve(&name);
        let before = self.items.insert(name, Item { object: object.clone(), pending }).map(|item| item.object);
        let same = before.as_ref().is_some_and(|before| before.same(&object));
        (!same).then_some(Change { before, after: Some(object) })
    }

    fn remove(&mut self, name: &T::Name) -> Option<Change<T>> {
        self.items.remove(name).map(|item| Change { before: Some(item.object), after: None })
    }

    fn resolve(&mut self, name: &T::Name) {
        self.resolved.extend(self.unreadable.take(name));
    }

    /// What the list lacks is gone. That may be wrong for our own latest writes, if the list is older: then the watch brings
    /// them back, and the change makes a pass ask the server meanwhile.
    fn finish_list(&mut self) -> Vec<Change<T>> {
        let Some((names, highest)) = self.listing.take() else { return Vec::new() };
        self.lists += 1;
        self.seen = highest;
        self.tombstones.retain(|name, deleted| names.contains(name) || *deleted > highest);
        self.resolved.extend(self.unreadable.extract_if(.., |name| !names.contains(name)));
        let (kept, gone) = mem::take(&mut self.items).into_iter().partition(|(name, _)| names.contains(name));
        self.items = kept;
        gone.into_values().map(|item: Item<T>| Change { before: Some(item.object), after: None }).collect()
    }
}

/// A server whose versions are no numbers is believed event by event.
fn number(version: Option<&ResourceVersion>) -> Option<u64> {
    version?.number()
}

fn older(version: Option<u64>, than: Option<u64>) -> bool {
    matches!((version, than), (Some(version), Some(than)) if version < than)
}

impl Object for Versioned<Service> {
    type Name = ServiceKey;

    fn name(&self) -> ServiceKey {
        self.object.key.clone()
    }

    fn version(&self) -> Option<&ResourceVersion> {
        Some(&self.version)
    }

    fn same(&self, other: &Self) -> bool {
        self.object == other.object
    }
}

impl Object for Arc<Slice> {
    type Name = SliceName;

    fn name(&self) -> SliceName {
        self.name.clone()
    }

    fn version(&self) -> Option<&ResourceVersion> {
        None
    }

    fn same(&self, other: &Self) -> bool {
        self == other
    }
}

impl Object for Arc<Namespace> {
    type Name = String;

    fn name(&self) -> String {
        self.name.clone()
    }

    fn version(&self) -> Option<&ResourceVersion> {
        None
    }

    fn same(&self, other: &Self) -> bool {
        self == other
    }
}

impl Object for Arc<Node> {
    type Name = NodeName;

    fn name(&self) -> NodeName {
        self.name.clone()
    }

    fn version(&self) -> Option<&ResourceVersion> {
        None
    }

    fn same(&self, other: &Self) -> bool {
        self == other
    }
}

impl Object for Arc<Record> {
    type Name = LoadBalancerId;

    fn name(&self) -> LoadBalancerId {
        self.id.clone()
    }

    fn version(&self) -> Option<&ResourceVersion> {
        self.version.as_ref()
    }

    fn same(&self, other: &Self) -> bool {
        self.same_content(other)
    }
}
