//! What everybody needs, as far as he has said, kept together as it comes and goes, so that one who says what others have said costs nothing,
//! however many there are. Plain state.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;
use portolan_core::ids::LoadBalancerId;

use crate::backend::decision::{NoRoom, Wants};
use crate::backend::door::Doors;
use crate::backend::need::{Peer, Port};
use crate::client::ec2::groups::Source;
use crate::ids::SecurityGroupId;
use crate::step::SecurityGroupOf;
use crate::survey::SecurityGroups;

/// What one may need whom a record names and who has said nothing since the process began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Last {
    /// These ports at most, as his record has it.
    Ports(BTreeSet<Port>),
    /// Nobody knows: a change was under way.
    Unknown,
}

/// What everybody has said.
#[derive(Clone, Debug, Default)]
pub(super) struct Said {
    doors: BTreeMap<LoadBalancerId, Doors>,
    /// Those whom records name and who have said nothing yet; none: nobody knows who they are.
    missing: Option<BTreeMap<LoadBalancerId, Last>>,
    /// How many of those who are missing, or of whose targets it is not clear by which group they let in, may need each port.
    unclear: BTreeMap<Port, usize>,
    /// Of how many nobody knows what they may need.
    unknown: usize,
    /// The groups as they were before this process wrote anything.
    before: Option<SecurityGroups>,
    /// How many need each port open.
    together: BTreeMap<SecurityGroupId, BTreeMap<Peer, BTreeMap<Port, usize>>>,
    /// How many carry the shared group.
    sharing: usize,
    /// Counts the changes of what all together need, and of what else somebody may need.
    revision: u64,
    /// What was last written, and found to be enough.
    settled: Option<Settled>,
    /// The shared group is being deleted: nobody may count on it.
    pub(super) deleting: bool,
}

/// What all together needed and what there was when everything was written.
#[derive(Clone, Debug)]
struct Settled {
    revision: u64,
    groups: SecurityGroups,
    no_room: BTreeMap<SecurityGroupId, NoRoom>,
}

/// What all together want at one moment.
#[derive(Debug)]
pub(super) struct Together {
    revision: u64,
    /// Of each group.
    pub(super) wants: BTreeMap<SecurityGroupId, Wants>,
    /// What else may be needed.
    pub(super) held: Held,
    /// Who needs something, or has not said whether he does; none: nobody knows who there is.
    pub(super) everybody: Option<BTreeSet<LoadBalancerId>>,
}

/// What nobody has said that he needs and somebody may need: where it is open it stays open.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Held {
    /// These ports, whoever they are open to.
    pub(super) ports: BTreeSet<Port>,
    /// What these groups let in: somebody of whom nothing is known may need any of it.
    pub(super) before: Option<SecurityGroups>,
    /// All of ours.
    pub(super) everything: bool,
}

impl Held {
    /// Nobody else may need anything.
    pub(super) fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

impl Said {
    /// These have to say something before what they may need is revoked.
    pub(super) fn expect(&mut self, ids: impl IntoIterator<Item = (LoadBalancerId, Last)>) {
        for last in std::mem::take(&mut self.missing).unwrap_or_default().into_values() {
            self.is_heard(&last);
        }
        let missing: BTreeMap<_, _> = ids.into_iter().filter(|(id, _)| !self.doors.contains_key(id)).collect();
        for last in missing.values() {
            match last {
                Last::Ports(ports) => drop(more(&mut self.unclear, ports)),
                Last::Unknown => self.unknown += 1,
            }
        }
        self.missing = Some(missing);
        self.revision += 1;
    }

    /// This one has not said what it needs, and others wait for that.
    pub(super) fn expects(&self, id: &LoadBalancerId) -> bool {
        self.missing.as_ref().is_some_and(|missing| missing.contains_key(id))
    }

    /// The groups before anything is written. Only the first time counts.
    pub(super) fn found(&mut self, groups: &SecurityGroups) {
        self.before.get_or_insert_with(|| SecurityGroups::clone(groups));
    }

    /// This one needs that, whatever he has said before. True if all together need something else by that.
    pub(super) fn say(&mut self, id: &LoadBalancerId, doors: Doors) -> bool {
        // What goes on being wanted is never without anybody who wants it.
        let mut changed = self.count(&doors);
        if let Some(before) = self.doors.insert(id.clone(), doors) {
            changed |= self.discount(&before);
        }
        changed |= self.is_missed_no_more(id);
        self.revision += u64::from(changed);
        changed
    }

    /// This one needs nothing any more, and never will.
    pub(super) fn forget(&mut self, id: &LoadBalancerId) {
        let mut changed = self.doors.remove(id).is_some_and(|doors| self.discount(&doors));
        changed |= self.is_missed_no_more(id);
        self.revision += u64::from(changed);
    }

    /// True if by that somebody is the last who may have needed something.
    fn is_missed_no_more(&mut self, id: &LoadBalancerId) -> bool {
        let last = self.missing.as_mut().and_then(|missing| missing.remove(id));
        last.is_some_and(|last| self.is_heard(&last))
    }

    fn is_heard(&mut self, last: &Last) -> bool {
        match last {
            Last::Ports(ports) => fewer(&mut self.unclear, ports),
            Last::Unknown => {
                self.unknown -= 1;
                self.unknown == 0
            }
        }
    }

    /// Somebody carries the shared group.
    pub(super) fn is_shared(&self) -> bool {
        self.sharing > 0
    }

    /// Everybody has said what he needs.
    pub(super) fn is_complete(&self) -> bool {
        self.missing.as_ref().is_some_and(BTreeMap::is_empty)
    }

    /// The targets of this one let him in by this group.
    pub(super) fn has(&self, id: &LoadBalancerId, group: &SecurityGroupId) -> bool {
        self.doors.get(id).is_some_and(|doors| doors.has(group))
    }

    /// What this one wants of each group.
    pub(super) fn wants(
        &self,
        id: &LoadBalancerId,
        shared: Option<&SecurityGroupId>,
    ) -> BTreeMap<SecurityGroupId, Wants> {
        let mut wants: BTreeMap<SecurityGroupId, Wants> = BTreeMap::new();
        for (group, peer, port) in self.doors.get(id).into_iter().flat_map(Doors::wanted) {
            want(wants.entry(group.clone()).or_default(), source(peer, shared), port);
        }
        wants
    }

    /// Somebody's targets let him in by this group.
    pub(super) fn anybody_has(&self, group: &SecurityGroupId) -> bool {
        self.doors.values().any(|doors| doors.has(group))
    }

    /// What all want. Without a shared group nobody can be let in by it, and who needs one will be: nothing goes until then.
    pub(super) fn together(&self, shared: Option<&SecurityGroupId>) -> Together {
        let mut wants: BTreeMap<SecurityGroupId, Wants> = BTreeMap::new();
        for (group, peers) in &self.together {
            let of_group = wants.entry(group.clone()).or_default();
            for (peer, ports) in peers {
                ports.keys().for_each(|port| want(of_group, source(peer, shared), port));
            }
        }
        let held = Held {
            ports: self.unclear.keys().copied().collect(),
            before: self.before.clone().filter(|_| self.unknown > 0),
            everything: self.missing.is_none() || (shared.is_none() && self.is_shared()),
        };
        let everybody = |missing: &BTreeMap<_, _>| self.doors.keys().chain(missing.keys()).cloned().collect();
        Together { revision: self.revision, wants, held, everybody: self.missing.as_ref().map(everybody) }
    }

    /// All of this has been written, to these groups; but for these, nothing is missing in them.
    pub(super) fn settled(
        &mut self,
        together: &Together,
        groups: SecurityGroups,
        no_room: BTreeMap<SecurityGroupId, NoRoom>,
    ) {
        self.settled = Some(Settled { revision: together.revision, groups, no_room });
    }

    /// Which groups have no room, if nothing has changed since everything was written: neither what is wanted nor what the groups are.
    pub(super) fn is_settled(&self, groups: &SecurityGroups) -> Option<&BTreeMap<SecurityGroupId, NoRoom>> {
        let settled = self.settled.as_ref()?;
        let is_same = settled.revision == self.revision && SecurityGroups::ptr_eq(&settled.groups, groups);
        is_same.then_some(&settled.no_room)
    }

    /// True if somebody is the first to want something.
    fn count(&mut self, doors: &Doors) -> bool {
        self.sharing += usize::from(doors.shared);
        let mut first = more(&mut self.unclear, &doors.unclear);
        for (group, peer, port) in doors.wanted() {
            let ports = self.together.entry(group.clone()).or_default().entry(peer.clone()).or_default();
            let count = ports.entry(*port).or_default();
            first |= *count == 0;
            *count += 1;
        }
        first
    }

    /// True if somebody was the last to want something.
    fn discount(&mut self, doors: &Doors) -> bool {
        self.sharing -= usize::from(doors.shared);
        let mut last = fewer(&mut self.unclear, &doors.unclear);
        for (group, peer, port) in doors.wanted() {
            let Some(peers) = self.together.get_mut(group) else { continue };
            let Some(ports) = peers.get_mut(peer) else { continue };
            let Some(count) = ports.get_mut(port) else { continue };
            *count -= 1;
            if *count == 0 {
                last = true;
                ports.remove(port);
                if ports.is_empty() {
                    peers.remove(peer);
                }
                if peers.is_empty() {
                    self.together.remove(group);
                }
            }
        }
        last
    }
}

/// True if somebody is the first.
fn more(counts: &mut BTreeMap<Port, usize>, ports: &BTreeSet<Port>) -> bool {
    let before = counts.len();
    ports.iter().for_each(|port| *counts.entry(*port).or_default() += 1);
    counts.len() > before
}

/// True if somebody was the last.
fn fewer(counts: &mut BTreeMap<Port, usize>, ports: &BTreeSet<Port>) -> bool {
    let before = counts.len();
    for port in ports {
        if let Some(count) = counts.get_mut(port) {
            *count -= 1;
        }
        if counts.get(port) == Some(&0) {
            counts.remove(port);
        }
    }
    counts.len() < before
}

fn want(wants: &mut Wants, source: Option<Source>, port: &Port) {
    if let Some(source) = source {
        wants.entry((port.transport, source)).or_default().insert(port.number);
    }
}

fn source(peer: &Peer, shared: Option<&SecurityGroupId>) -> Option<Source> {
    match peer {
        Peer::Balancers => shared.cloned().map(Source::Group),
        Peer::Own(SecurityGroupOf::Id(group)) => Some(Source::Group(group.clone())),
        Peer::Own(SecurityGroupOf::Made(_)) => None,
        Peer::Network(IpNet::V4(network)) => Some(Source::Ipv4(*network)),
        Peer::Network(IpNet::V6(network)) => Some(Source::Ipv6(*network)),
    }
}

#[cfg(test)]
mod tests;
