//! What this node has to prove, and in whose name: a pure function of the addresses of which it is the first heir, the interfaces that it has, and what
//! their owners say.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::Arc;

use ipnet::IpNet;
use portolan_l2::Mac;
use portolan_l2::proof::Errand;
use portolan_sys::Interface;

use crate::speaker::duty::usable;
use crate::speaker::fellows::Said;
use crate::speaker::ranks::{Inherited, Inherits};

/// What is to be done about an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Nothing yet: its owner has not said that it is announced as it is ranked now, or his report is gone, without which nobody knows his stations.
    Await,
    /// Nothing: this node is not on its prefix, so that whatever it asks goes another way than it should.
    OffLink,
    /// This is to be proven.
    Prove(Proving),
}

/// A proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Proving {
    /// The interface.
    pub(crate) index: NonZeroU32,
    /// How often the ranks of the address have changed.
    generation: u64,
    /// Who answers for it by those.
    pub(crate) owner: String,
    /// The source ranges leave this node out, so that nothing is asked of its ports.
    pub(crate) excluded: bool,
    pub(crate) errand: Errand,
}

/// What is to be done about each address, as it was done before as far as nothing has changed.
pub(crate) fn tasks(
    inherits: &Inherits,
    interfaces: &[Interface],
    said: &BTreeMap<String, Said>,
    before: &BTreeMap<IpAddr, Task>,
) -> BTreeMap<IpAddr, Task> {
    let of = |(vip, inherited): (&IpAddr, &Inherited)| {
        let task = match (way(*vip, inherited, interfaces), said.get(&inherited.owner)) {
            (None, _) => Task::OffLink,
            (Some(_), None) => Task::Await,
            (Some((index, own, from)), Some(said)) => {
                let owners = Arc::clone(&said.stations);
                let proving = proving(*vip, inherited, index, own, from, owners);
                let has_begun = matches!(before.get(vip), Some(Task::Prove(before)) if before.is_of(inherited));
                let is_announced = said.applied >= inherited.version;
                if has_begun || is_announced { Task::Prove(proving) } else { Task::Await }
            }
        };
        (*vip, task)
    };
    inherits.addresses.iter().map(of).collect()
}

impl Task {
    /// There is the same to be done, whichever stations the owner has by now.
    pub(crate) fn is_still(&self, before: &Self) -> bool {
        match (self, before) {
            (Self::Prove(now), Self::Prove(before)) => now.but_for_owners() == before.but_for_owners(),
            (Self::Await, Self::Await) | (Self::OffLink, Self::OffLink) => true,
            (Self::Await | Self::OffLink | Self::Prove(_), _) => false,
        }
    }
}

impl Proving {
    fn but_for_owners(&self) -> impl PartialEq {
        let Self { index, generation, owner, excluded, errand } = self;
        let Errand { vip, own, from, ports, owners: _ } = errand;
        (index, generation, owner, excluded, (vip, own, from, ports))
    }

    /// By the ranks that there are; what else has been written into the object since moves nothing.
    fn is_of(&self, inherited: &Inherited) -> bool {
        (self.generation, &self.owner) == (inherited.generation, &inherited.owner)
    }
}

fn proving(
    vip: IpAddr,
    inherited: &Inherited,
    index: NonZeroU32,
    own: Mac,
    from: IpAddr,
    owners: Arc<BTreeSet<Mac>>,
) -> Proving {
    let ranges = &inherited.source_ranges;
    let excluded = !ranges.is_empty() && !ranges.iter().any(|range| range.contains(&from));
    let ports = if excluded { Default::default() } else { inherited.ports.clone() };
    let errand = Errand { vip, own, from, ports, owners };
    Proving { index, generation: inherited.generation, owner: inherited.owner.clone(), excluded, errand }
}

/// The interface on the address's prefix, with its own address there, or on whose segment it is by a route, with any of its family; one that it is
/// limited to rather than another.
fn way(vip: IpAddr, inherited: &Inherited, interfaces: &[Interface]) -> Option<(NonZeroU32, Mac, IpAddr)> {
    let is_named = |name: &String| inherited.only.as_ref().is_none_or(|only| only.contains(name));
    let ways = interfaces.iter().filter_map(usable).filter_map(|(interface, mac)| {
        let own = || interface.addresses.iter().filter(|prefix| can_ask(prefix));
        let of_family = || own().find(|prefix| prefix.addr().is_ipv4() == vip.is_ipv4() && interface.holds(vip));
        let connected = own().find(|prefix| prefix.contains(&vip));
        let rank = (!is_named(&interface.name), connected.is_none(), interface.index);
        Some((rank, mac, connected.or_else(of_family)?.addr()))
    });
    ways.min_by_key(|(rank, ..)| *rank).map(|((.., index), mac, own)| (index, mac, own))
}

/// Addresses of the link itself are no station's to be answered at from beyond a kube-proxy.
fn can_ask(prefix: &IpNet) -> bool {
    match prefix.addr() {
        IpAddr::V4(own) => !own.is_unspecified(),
        IpAddr::V6(own) => own != Ipv6Addr::UNSPECIFIED && !own.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests;
