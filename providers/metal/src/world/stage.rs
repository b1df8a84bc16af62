//! What placement rests on besides addresses, and what it and the speakers have said of those.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use portolan_core::balancer::{Family, Protocol};
use portolan_core::ids::{LoadBalancerId, NodeName, Uid};

use super::{World, number};
use crate::advertisement::{Advertisement, PoolRef};
use crate::announcement::{Announcement, Exception, Report};
use crate::backing::Backing;
use crate::eligible::{Eligibility, Host};
use crate::placement::Rebalance;
use crate::pool::{Pool, PoolName};
use crate::reach::Reach;
use crate::round::{Picture, Placed};
use crate::vip::{Served, Vip};

/// Whoever has had so many addresses of a pool before anybody else answers for all (a proxy of ARP or NDP): another one would be his too.
const A_STRANGER_HAS: usize = 3;
/// When strangers have had so many of a pool, whoever they are, something is wrong with it, or somebody draws it empty.
const STRANGERS_HAVE: usize = 16;

/// See the head of this file.
#[derive(Debug, Default)]
pub(super) struct Stage {
    /// Who is behind the addresses of each load balancer.
    pub(super) backing: BTreeMap<LoadBalancerId, Arc<Backing>>,
    hosts: Arc<Vec<Host>>,
    advertisements: Arc<Vec<Advertisement>>,
    reports: BTreeMap<NodeName, Report>,
    /// Nothing has been heard of their speakers lately.
    silent: BTreeSet<NodeName>,
    /// As of which version each address is ranked as it is. Whatever else is written there since need not reach a wire.
    pub(super) ranked_at: BTreeMap<IpAddr, u64>,
    /// As of which version what is proven of it is as it is: besides, its TCP ports and who may connect.
    pub(super) proven_at: BTreeMap<IpAddr, u64>,
    eligible: BTreeMap<IpAddr, Arc<Eligibility>>,
    /// Nobody has announced them since they were first ranked. Who was not there to see it takes it that somebody has: then a stranger moves nobody.
    new: BTreeSet<IpAddr>,
    /// Grows whenever something changes that placement rests on.
    pub(super) edition: u64,
}

impl Stage {
    /// An address is like this as of this version.
    pub(super) fn shown(&mut self, before: Option<&Vip>, vip: &Vip) {
        let version = number(vip.version.as_ref()).unwrap_or(u64::MAX);
        if vip.ranks.generation == 0 {
            self.new.insert(vip.address);
        }
        let ranks = |vip: &Vip| (vip.ranks.clone(), vip.interfaces.clone());
        let asked = |vip: &Vip| (tcp_ports(vip), vip.source_ranges.clone());
        let is_ranked_anew = before.is_none_or(|before| ranks(before) != ranks(vip));
        if is_ranked_anew {
            self.ranked_at.insert(vip.address, version);
        }
        if is_ranked_anew || before.is_none_or(|before| asked(before) != asked(vip)) {
            self.proven_at.insert(vip.address, version);
        }
    }

    /// Nobody has it any more.
    pub(super) fn gone(&mut self, address: IpAddr) {
        self.ranked_at.remove(&address);
        self.proven_at.remove(&address);
        self.new.remove(&address);
    }
}

/// What becomes of an address, whether it is reached, and who of those who share it is not served there.
type OnTheWire = (Announcement, Reach, BTreeSet<Uid>);

fn tcp_ports(vip: &Vip) -> BTreeSet<u16> {
    let ports = vip.services.iter().flat_map(|served| &served.ports);
    ports.filter(|port| port.protocol == Protocol::Tcp).map(|port| port.port).collect()
}

/// The nodes whose speakers have something to say of an address: who answers for it, and who proves that.
fn voices(vip: &Vip) -> impl Iterator<Item = &NodeName> {
    vip.ranks.nodes.iter().take(2)
}

impl World {
    /// Grows whenever something changes that [`picture`](Self::picture) shows.
    pub fn edition(&self) -> u64 {
        self.stage.edition
    }

    /// These Services are behind the addresses of a load balancer.
    pub fn back(&mut self, id: &LoadBalancerId, backing: Backing) {
        self.stage.backing.insert(id.clone(), Arc::new(backing));
        self.stage.edition += 1;
    }

    /// Nobody is known to be behind any of them.
    pub(super) fn forget_backing(&mut self) {
        self.stage.backing.clear();
        self.stage.edition += 1;
    }

    /// Who was told to be behind them.
    pub fn backing(&self, id: &LoadBalancerId) -> Option<Arc<Backing>> {
        self.stage.backing.get(id).cloned()
    }

    /// These nodes there are, in this state.
    pub fn set_hosts(&mut self, hosts: Vec<Host>) {
        if *self.stage.hosts == hosts {
            return;
        }
        let selected = |hosts: &[Host]| -> Vec<_> {
            hosts.iter().map(|host| (host.node.name.clone(), Arc::clone(&host.node.labels))).collect()
        };
        if selected(&hosts) != selected(&self.stage.hosts) {
            self.wake_shares();
        }
        let silent: BTreeSet<NodeName> =
            hosts.iter().filter(|host| host.is_silent()).map(|host| host.node.name.clone()).collect();
        let changed: BTreeSet<&NodeName> = silent.symmetric_difference(&self.stage.silent).collect();
        let before = self.on_the_wire(|vip| voices(vip).any(|node| changed.contains(node)));
        self.stage.silent = silent;
        self.stage.hosts = Arc::new(hosts);
        self.stage.edition += 1;
        self.wake_changed(&before);
    }

    /// These advertisements there are.
    pub fn set_advertisements(&mut self, advertisements: Vec<Advertisement>) {
        if *self.stage.advertisements != advertisements {
            self.stage.advertisements = Arc::new(advertisements);
            self.stage.edition += 1;
            self.wake_shares();
        }
    }

    pub(crate) fn advertisements(&self) -> Arc<Vec<Advertisement>> {
        Arc::clone(&self.stage.advertisements)
    }

    pub(crate) fn hosts(&self) -> Arc<Vec<Host>> {
        Arc::clone(&self.stage.hosts)
    }

    /// Who may come to an address that others have depends on advertisements and nodes; who asks to is known to the share alone.
    fn wake_shares(&mut self) {
        let is_alone = |id: &LoadBalancerId, served: &Served| self.instance.load_balancer_of(&served.member.uid) == *id;
        let shares = self.of.iter().filter(|(id, addresses)| {
            let services = addresses.iter().filter_map(|address| self.vips.get(address)).flat_map(|vip| &vip.services);
            !services.clone().any(|served| is_alone(id, served))
        });
        let wishes = self.answers.values().map(|answer| &answer.wish);
        let waiting = wishes.filter(|wish| self.instance.load_balancer_of(&wish.member.uid) != wish.id);
        let shares: Vec<LoadBalancerId> =
            shares.map(|(id, _)| id.clone()).chain(waiting.map(|wish| wish.id.clone())).collect();
        self.news.extend(shares);
    }

    /// The speaker of a node says this; none if its word counts no more.
    pub fn set_report(&mut self, node: &NodeName, report: Option<Report>) {
        if self.stage.reports.get(node) == report.as_ref() {
            return;
        }
        let before = self.on_the_wire(|vip| voices(vip).any(|voice| voice == node));
        match report {
            Some(report) => drop(self.stage.reports.insert(node.clone(), report)),
            None => drop(self.stage.reports.remove(node)),
        }
        self.wake_changed(&before);
    }

    /// These may answer for each address, placement has found.
    pub fn set_eligible(&mut self, eligible: BTreeMap<IpAddr, Arc<Eligibility>>) {
        let before = self.on_the_wire(|vip| {
            let (was, is) = (self.stage.eligible.get(&vip.address), eligible.get(&vip.address));
            was.is_none_or(|was| is.is_none_or(|is| !Arc::ptr_eq(was, is)))
        });
        self.stage.eligible = eligible;
        self.wake_changed(&before);
    }

    /// What becomes of the address on the wire.
    pub fn announcement(&self, address: IpAddr) -> Announcement {
        let of = |vip| {
            let since = self.stage.ranked_at.get(&address).copied().unwrap_or(u64::MAX);
            let eligible = self.stage.eligible.get(&address);
            Announcement::of(vip, since, eligible, &self.stage.reports, &self.stage.silent)
        };
        self.vips.get(&address).map(of).unwrap_or_default()
    }

    /// The addresses of a pool that are on no prefix of the node that has them, each with that node.
    pub fn off_link<'a>(&'a self, pool: &'a PoolName) -> impl Iterator<Item = (IpAddr, &'a NodeName)> {
        let said = self.stage.reports.iter().flat_map(|(node, report)| {
            let off_link = report.exceptions.all().filter(|(_, _, why)| **why == Exception::PoolOffLink);
            off_link.map(move |(first, last, _)| (first, last, node))
        });
        said.flat_map(move |(first, last, node)| {
            let owned = self.vips.range(first..=last).map(|(_, vip)| vip);
            let owned = owned.filter(move |vip| vip.ranks.owner() == Some(node) && self.pool_ref(vip).0.name == *pool);
            owned.map(move |vip| (vip.address, node))
        })
    }

    /// The addresses of a pool that strangers had before anybody, each with his Ethernet address.
    pub fn strangers_of<'a>(&'a self, pool: &'a PoolName) -> impl Iterator<Item = (IpAddr, &'a str)> {
        self.strangers().filter(move |(of, ..)| of == pool).map(|(_, address, mac)| (address, mac))
    }

    fn strangers(&self) -> impl Iterator<Item = (PoolName, IpAddr, &str)> {
        let of = |vip: &Vip| self.pool_ref(vip).0.name;
        self.vips.values().filter_map(move |vip| vip.set_aside.as_deref().map(|mac| (of(vip), vip.address, mac)))
    }

    /// Whether it is reached there.
    pub fn reach(&self, address: IpAddr) -> Reach {
        let of = |vip| {
            let since = self.stage.proven_at.get(&address).copied().unwrap_or(u64::MAX);
            Reach::of(vip, since, &self.stage.reports, &self.stage.silent)
        };
        self.vips.get(&address).map(of).unwrap_or_default()
    }

    /// Of those who share it, who has endpoints on none of the nodes that the others leave him.
    pub fn left_out(&self, vip: &Vip) -> BTreeSet<Uid> {
        let left_out = self.stage.eligible.get(&vip.address).map(|eligible| eligible.left_out.as_slice());
        let served = left_out.into_iter().flatten().filter_map(|place| vip.services.get(*place));
        served.map(|served| served.member.uid.clone()).collect()
    }

    /// If somebody announces it, as what is known by now says.
    pub(super) fn no_longer_new(&mut self, address: IpAddr) {
        if self.announcement(address).is_announced() {
            self.stage.new.remove(&address);
        }
    }

    /// What is known of these addresses on the wire.
    fn on_the_wire(&self, concerns: impl Fn(&Vip) -> bool) -> BTreeMap<IpAddr, OnTheWire> {
        let concerned = self.vips.values().filter(|vip| concerns(vip)).map(|vip| vip.address);
        concerned.map(|address| (address, self.now(address))).collect()
    }

    fn now(&self, address: IpAddr) -> OnTheWire {
        let left_out = self.vips.get(&address).map(|vip| self.left_out(vip)).unwrap_or_default();
        (self.announcement(address), self.reach(address), left_out)
    }

    fn wake_changed(&mut self, before: &BTreeMap<IpAddr, OnTheWire>) {
        let changed = before.iter().map(|(address, before)| (*address, before, self.now(*address)));
        let changed: Vec<(IpAddr, bool, bool)> = changed
            .filter(|(_, before, now)| now != *before)
            .map(|(address, (before, ..), (now, ..))| {
                (address, before.is_announced() || now.is_announced(), before.stranger() != now.stranger())
            })
            .collect();
        for (address, is_announced, is_anothers) in changed {
            // Placement shows whose it is, and sets nothing aside that is announced.
            let is_set_aside = self.vips.get(&address).is_some_and(|vip| vip.set_aside.is_some());
            self.stage.edition += u64::from(is_anothers || is_announced && is_set_aside);
            if is_announced {
                self.stage.new.remove(&address);
            }
            let concerned = self.vips.get(&address).and_then(|vip| self.own(vip));
            self.news.extend(concerned);
        }
    }

    /// The pool that holds an address now, whatever it was called when it was given out, and whether it moves by itself.
    pub(crate) fn pool_ref(&self, vip: &Vip) -> (PoolRef, Rebalance) {
        let recorded = vip.pool.as_ref().and_then(|name| self.pools.iter().find(|pool| pool.name == *name));
        let holds = |pool: &&Pool| pool.contains(vip.address);
        let pool = recorded.filter(holds).or_else(|| self.pools.iter().find(holds)).or(recorded);
        let name = pool.map(|pool| pool.name.clone()).or(vip.pool.clone());
        let name = name.unwrap_or_else(|| PoolName::new(String::new()));
        let labels = pool.map(|pool| pool.labels.clone()).unwrap_or_default();
        (PoolRef { name, labels }, pool.map_or(Rebalance::Never, |pool| pool.rebalance))
    }

    /// All that placement rests on. Addresses of others, and such as nobody uses, are not placed.
    pub fn picture(&self) -> Picture {
        let mut of_stranger: BTreeMap<(PoolName, &str), usize> = BTreeMap::new();
        let mut of_strangers: BTreeMap<PoolName, usize> = BTreeMap::new();
        for (pool, _, mac) in self.strangers() {
            *of_strangers.entry(pool.clone()).or_default() += 1;
            *of_stranger.entry((pool, mac)).or_default() += 1;
        }
        let is_drawn = |pool: &PoolName, mac: &str| {
            of_stranger.get(&(pool.clone(), mac)).is_some_and(|count| *count >= A_STRANGER_HAS)
                || of_strangers.get(pool).is_some_and(|count| *count >= STRANGERS_HAVE)
        };
        let placed = |vip: &Vip| {
            let id = self.own(vip)?;
            let (pool, rebalance) = self.pool_ref(vip);
            // Of one of them who is not known nobody could say whether he is served.
            let backing = self.stage.backing.get(&id);
            let services = backing.and_then(|backing| {
                let own = |uid| Some(backing.services.get(uid)?.to(Family::of(vip.address)).clone());
                vip.services.iter().map(|served| own(&served.member.uid)).collect()
            });
            let announcement = self.announcement(vip.address);
            let is_new = self.stage.new.contains(&vip.address)
                && !announcement.stranger().is_some_and(|mac| is_drawn(&pool.name, mac));
            let is_published = backing.is_some_and(|backing| backing.published.contains(&vip.address));
            Some(Placed { vip: vip.clone(), pool, rebalance, services, announcement, is_new, is_published })
        };
        Picture {
            vips: self.vips.values().filter_map(|vip| Some((vip.address, placed(vip)?))).collect(),
            hosts: Arc::clone(&self.stage.hosts),
            advertisements: Arc::clone(&self.stage.advertisements),
        }
    }
}
