//! The server's side of one kind, and what its watch says of it.

use std::collections::{BTreeMap, VecDeque};

use portolan_core::ids::ResourceVersion;

use super::super::{Event, Object};
use crate::cluster::random::Random;

/// One kind on the server: everything that ever happened to it, and how far the watch has told.
pub(super) struct Kind<T: Object> {
    pub(super) log: Vec<Entry<T>>,
    /// Where each object's latest entry is; gone objects have none.
    pub(super) live: BTreeMap<T::Name, usize>,
    /// How much of the log the watch has told.
    pub(super) told: usize,
    /// A list under way: what is still to be said of it, and how much of the log it covers.
    pub(super) list: Option<(VecDeque<Event<T>>, usize)>,
}

#[derive(Clone)]
pub(super) struct Entry<T: Object> {
    pub(super) name: T::Name,
    pub(super) version: u64,
    /// None: deleted.
    pub(super) object: Option<T>,
    pub(super) readable: bool,
}

impl<T: Object> Default for Kind<T> {
    fn default() -> Self {
        Self { log: Vec::new(), live: BTreeMap::new(), told: 0, list: None }
    }
}

impl<T: Object> Kind<T> {
    pub(super) fn get(&self, name: &T::Name) -> Option<&T> {
        self.log[*self.live.get(name)?].object.as_ref()
    }

    pub(super) fn objects(&self) -> impl Iterator<Item = &T> {
        self.live.values().filter_map(|at| self.log[*at].object.as_ref())
    }

    pub(super) fn put(&mut self, version: u64, object: T, readable: bool) {
        let name = object.name();
        self.live.insert(name.clone(), self.log.len());
        self.log.push(Entry { name, version, object: Some(object), readable });
    }

    pub(super) fn delete(&mut self, version: u64, name: &T::Name) {
        if self.live.remove(name).is_some() {
            self.log.push(Entry { name: name.clone(), version, object: None, readable: true });
        }
    }

    /// A list begins, of some moment between what the watch has told and now. It is a quorum read: never older than the last one,
    /// even if that broke off.
    pub(super) fn begin_list(&mut self, random: &mut Random) {
        let from = self.list.as_ref().map_or(self.told, |(_, covers)| *covers);
        let behind = u64::try_from(self.log.len() - from).unwrap();
        let covers = from + usize::try_from(random.below(behind + 1)).unwrap();
        let mut state = BTreeMap::new();
        for entry in &self.log[..covers] {
            state.insert(entry.name.clone(), entry);
        }
        let items = state.into_values().filter_map(|entry| match &entry.object {
            Some(object) if entry.readable => Some(Event::InitApply(object.clone())),
            Some(_) => Some(Event::Unreadable(entry.name.clone())),
            None => None,
        });
        let events = std::iter::once(Event::Init).chain(items).chain([Event::InitDone]).collect();
        self.list = Some((events, covers));
    }

    /// What the watch says next, if there is anything left.
    pub(super) fn tell(&mut self, random: &mut Random) -> Option<Event<T>> {
        if let Some((events, covers)) = &mut self.list {
            let event = events.pop_front();
            if events.is_empty() {
                self.told = *covers;
                self.list = None;
            }
            return event;
        }
        let mut entry = self.log.get(self.told)?;
        self.told += 1;
        while let Some(next) = self.log.get(self.told).filter(|next| next.name == entry.name) {
            if random.below(3) > 0 {
                break;
            }
            entry = next; // two changes told as one
            self.told += 1;
        }
        Some(match &entry.object {
            Some(object) if entry.readable => Event::Apply(object.clone()),
            Some(_) => Event::Unreadable(entry.name.clone()),
            None => Event::Delete(entry.name.clone(), ResourceVersion::new(entry.version.to_string())),
        })
    }

    /// The highest version that the watch has certainly told.
    pub(super) fn told_version(&self) -> u64 {
        self.log[..self.told].last().map_or(0, |entry| entry.version)
    }

    pub(super) fn tell_is_over(&self) -> bool {
        self.list.is_none() && self.told == self.log.len()
    }
}
