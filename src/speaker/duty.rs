//! What this node has to announce, and where: a pure function of the addresses that it owns and the interfaces that it has.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::num::NonZeroU32;

use portolan_l2::Mac;
use portolan_sys::{Interface, is_of_link};

use crate::speaker::ranks::{Owned, Owns};

/// The interfaces where something is announced, by index.
pub(crate) type Places = BTreeMap<NonZeroU32, Place>;

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Duty {
    pub(crate) places: Places,
    /// Every interface on which something could be announced, by name.
    pub(crate) stations: BTreeMap<String, Mac>,
    /// The stations of all interfaces, also of those on which nothing can be announced: what comes from one is the node's own, wherever it is heard.
    pub(crate) own: BTreeSet<Mac>,
    /// The routers by which the node reaches whatever is on no segment of its own.
    pub(crate) gateways: BTreeSet<IpAddr>,
    /// The addresses that the node itself has.
    pub(crate) addresses: BTreeSet<IpAddr>,
    /// What is to be said of an address besides.
    pub(crate) notes: BTreeMap<IpAddr, Note>,
}

/// An interface where something is announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) name: String,
    pub(crate) mac: Mac,
    /// How often its link has come up.
    pub(crate) came_up: u32,
    /// It has an IPv6 address of its own: one of the link at least, where it speaks IPv6 at all.
    pub(crate) has_ipv6: bool,
    /// The addresses that are announced, and what the node is to each.
    pub(crate) vips: BTreeMap<IpAddr, Part>,
}

/// What a node is to an address at an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// It answers for it, and says so.
    Owner(Asks),
    /// It has answered for it and does so until the heir, another node, has said that it is his.
    Leaving,
}

/// Whether the wire is asked before an address is announced for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asks {
    /// Nobody of ours has had it yet, so whoever answers is a stranger.
    First,
    /// Another node of ours has had it, and may answer until it has seen that it is to be silent: nothing can be concluded from an answer.
    Not,
}

/// What is to be said of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Note {
    /// It is announced nowhere: no interface that reaches it can.
    NoInterface,
    /// No interface of this node has a prefix that holds it; it is announced where the default route leads out. Only routers that have a route of
    /// their own to it will ever ask there.
    PoolOffLink,
    /// It is announced nowhere: the node forwards nothing, and another one could.
    NotForwarding,
}

/// Where each address is announced: on every interface whose connected prefix holds it; if its ranks limit this node to some interfaces, on those
/// and whatever their prefixes are, because somebody has chosen them. Each interface is independent of the others. What has gone to another node is
/// answered for wherever it was `before`, but nowhere else.
pub(crate) fn duty(owns: &Owns, interfaces: &[Interface], before: &Places) -> Duty {
    let mut duty = Duty::default();
    let usable: Vec<(&Interface, Mac)> = interfaces.iter().filter_map(usable).collect();
    duty.stations = usable.iter().map(|(interface, mac)| (interface.name.clone(), *mac)).collect();
    duty.own = interfaces.iter().filter_map(|interface| interface.mac).collect();
    duty.gateways = interfaces.iter().flat_map(|interface| &interface.gateways).filter(can_be_given).copied().collect();
    let of_its_own = interfaces.iter().filter(|interface| !PARKED.contains(&interface.name.as_str()));
    duty.addresses = of_its_own.flat_map(|interface| &interface.own).filter(can_be_given).copied().collect();
    let connected: Vec<&Interface> =
        interfaces.iter().filter(|interface| interface.resolves && !interface.addresses.is_empty()).collect();
    for (&vip, owned) in &owns.addresses {
        let mut at: Vec<(&Interface, Mac)> = match &owned.only {
            Some(only) => usable.iter().filter(|(interface, _)| only.contains(&interface.name)).copied().collect(),
            None => on_its_segment(&usable, vip),
        };
        // One that is down holds it all the same: elsewhere nobody would ask for it.
        if at.is_empty() && owned.only.is_none() && !connected.iter().any(|interface| interface.holds(vip)) {
            at.extend(way_out(&usable, vip));
            if !at.is_empty() {
                duty.notes.insert(vip, Note::PoolOffLink);
            }
        }
        if at.is_empty() {
            duty.notes.insert(vip, Note::NoInterface);
        }
        for (interface, mac) in at {
            let place = duty.places.entry(interface.index).or_insert_with(|| place(interface, mac));
            place.vips.insert(vip, Part::Owner(asks(owned)));
        }
    }
    duty.notes.extend(owns.withheld.iter().map(|vip| (*vip, Note::NotForwarding)));
    for (interface, mac) in usable {
        let was = before.get(&interface.index).filter(|was| was.is_at(&interface.name, mac));
        let left = was.into_iter().flat_map(|was| was.vips.keys()).filter(|vip| owns.left.contains(*vip));
        for vip in left {
            let place = duty.places.entry(interface.index).or_insert_with(|| place(interface, mac));
            place.vips.insert(*vip, Part::Leaving);
        }
    }
    duty
}

/// Interfaces on which others put addresses that are no node's: kube-proxy in IPVS mode (`kube-ipvs0`) and kube-router (`kube-dummy-if`) those of all
/// Services, ours among them, and NodeLocal DNSCache the cluster IP of DNS. Taken for the node's, each address that is given out would be obstructed by
/// its own use, and given to nobody after that.
const PARKED: [&str; 3] = ["kube-ipvs0", "kube-dummy-if", "nodelocaldns"];

/// Some pool may have it: addresses of the link itself, by which routers are often known, are in none, nor are those that never leave the node.
fn can_be_given(address: &&IpAddr) -> bool {
    !is_of_link(**address) && !address.is_loopback()
}

/// It can announce, and so is a station.
pub(crate) fn usable(interface: &Interface) -> Option<(&Interface, Mac)> {
    let can = interface.up && interface.resolves && !interface.enslaved;
    interface.mac.filter(|_| can).map(|mac| (interface, mac))
}

/// The interfaces connected to it; where there are none, those on whose segment it is by a route, which may be said of more than there is.
fn on_its_segment<'a>(usable: &[(&'a Interface, Mac)], vip: IpAddr) -> Vec<(&'a Interface, Mac)> {
    let those = |hold: fn(&Interface, IpAddr) -> bool| {
        usable.iter().filter(|(interface, _)| hold(interface, vip)).copied().collect::<Vec<_>>()
    };
    let connected = those(Interface::connects);
    if connected.is_empty() { those(Interface::holds) } else { connected }
}

/// The interface of the default route with the lowest metric.
fn way_out<'a>(usable: &[(&'a Interface, Mac)], vip: IpAddr) -> Option<(&'a Interface, Mac)> {
    let metric = |interface: &Interface| if vip.is_ipv4() { interface.default_v4 } else { interface.default_v6 };
    let ways = usable.iter().filter_map(|(interface, mac)| Some((metric(interface)?, (*interface, *mac))));
    ways.min_by_key(|(metric, (interface, _))| (*metric, interface.index)).map(|(_, way)| way)
}

fn place(interface: &Interface, mac: Mac) -> Place {
    let has_ipv6 = interface.addresses.iter().any(|prefix| prefix.addr().is_ipv6());
    Place { name: interface.name.clone(), mac, came_up: interface.came_up, has_ipv6, vips: BTreeMap::new() }
}

impl Place {
    fn is_at(&self, name: &str, mac: Mac) -> bool {
        (self.name.as_str(), self.mac) == (name, mac)
    }

    fn is_leaving(&self, vip: &IpAddr) -> bool {
        self.vips.get(vip) == Some(&Part::Leaving)
    }
}

fn asks(owned: &Owned) -> Asks {
    if owned.ask_first { Asks::First } else { Asks::Not }
}

/// What to do where a duty has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Edit {
    /// Nothing is announced there any more, or it is not what it was.
    Close(NonZeroU32),
    /// Something is from now on; what, follows.
    Open(NonZeroU32),
    /// These are announced there no more.
    Withdraw(NonZeroU32, BTreeSet<IpAddr>),
    /// These go to another node.
    HandOver(NonZeroU32, BTreeSet<IpAddr>),
    /// These are announced from now on.
    Announce(NonZeroU32, BTreeMap<IpAddr, Asks>),
    /// IPv6 came to it, perhaps anew and without the groups that it had.
    Ipv6Came(NonZeroU32),
    /// Its link came up again since.
    CameUp(NonZeroU32),
}

/// The way from one to the other. What falls silent comes first, so that an address which goes from one interface to another is at most at one.
pub(crate) fn edits(before: &Places, after: &Places) -> Vec<Edit> {
    let (mut first, mut then) = (Vec::new(), Vec::new());
    for (&index, was) in before {
        match after.get(&index).filter(|now| now.is_at(&was.name, was.mac)) {
            None => first.push(Edit::Close(index)),
            Some(now) => {
                let gone: BTreeSet<IpAddr> =
                    was.vips.keys().filter(|vip| !now.vips.contains_key(vip)).copied().collect();
                if !gone.is_empty() {
                    first.push(Edit::Withdraw(index, gone));
                }
                let leaves = |vip: &&IpAddr| now.is_leaving(vip) && !was.is_leaving(vip);
                let left: BTreeSet<IpAddr> = was.vips.keys().filter(leaves).copied().collect();
                if !left.is_empty() {
                    first.push(Edit::HandOver(index, left));
                }
                if now.has_ipv6 && !was.has_ipv6 {
                    then.push(Edit::Ipv6Came(index));
                }
                if now.came_up != was.came_up {
                    then.push(Edit::CameUp(index));
                }
            }
        }
    }
    for (&index, now) in after {
        let was = before.get(&index).filter(|was| was.is_at(&now.name, now.mac));
        if was.is_none() {
            then.push(Edit::Open(index));
        }
        let owned = |part: Part| match part {
            Part::Owner(asks) => Some(asks),
            Part::Leaving => None,
        };
        let had = |vip: &IpAddr| was.and_then(|was| was.vips.get(vip)).copied().and_then(owned).is_some();
        let new = now.vips.iter().filter(|(vip, _)| !had(vip));
        let new: BTreeMap<IpAddr, Asks> = new.filter_map(|(vip, part)| Some((*vip, owned(*part)?))).collect();
        if !new.is_empty() {
            then.push(Edit::Announce(index, new));
        }
    }
    first.append(&mut then);
    first
}

#[cfg(test)]
pub(in crate::speaker) mod tests;
