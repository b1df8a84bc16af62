//! What is given out and who waits: everything that decisions about several load balancers rest on, in one place. A plain state machine.
//!
//! ```text
//! pools, namespaces, VirtualIPs (watched, or written by us) --> World --> whose turn it is to look again
//! wishes ----------------------------------------------------->       --> what each gets, or why it gets nothing
//! ```
//!
//! Whoever asks is told at once, and has what he was told until he has recorded it or asks no more, so that two who ask at the same time are
//! told different things. Who gets nothing waits, and whatever becomes free is offered in the order of creation. Between two controllers
//! the `VirtualIP` decides, whose name is the address; what is promised here binds nobody else.

mod stage;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use portolan_core::balancer::Family;
use portolan_core::ids::{Instance, LoadBalancerId, ResourceVersion};
use portolan_core::time::Timestamp;
use serde::Serialize;

use crate::allocation::{Allotted, Denied, Holder, Ledger, Request};
use crate::pool::{Checked, Pool, PoolName, Subject, Surroundings, check};
use crate::selector::Labels;
use crate::vip::Vip;
use crate::wish::Wish;
use stage::Stage;

/// What somebody was told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// When he asked this.
    pub wish: Wish,
    /// All that he gets, what he has included; or why he gets nothing of what is missing.
    #[serde(skip)]
    pub given: Result<Vec<Allotted>, Denied>,
}

/// How much of a pool is given out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Addresses that somebody has.
    pub assigned: u32,
    /// Addresses that are free.
    pub available: u128,
}

/// See the head of this file.
#[derive(Debug, Default)]
pub struct World {
    instance: Instance,
    pools: Vec<Pool>,
    around: Surroundings,
    /// The externalIPs of all Services, and whose they are, in words.
    external: BTreeMap<IpAddr, String>,
    checked: Arc<Vec<Checked>>,
    namespaces: BTreeMap<String, Labels>,
    vips: BTreeMap<IpAddr, Vip>,
    of: BTreeMap<LoadBalancerId, BTreeSet<IpAddr>>,
    ledger: Ledger,
    /// What those were told who have not recorded it yet, or want more.
    answers: BTreeMap<LoadBalancerId, Answer>,
    /// Whom an address was promised to that nobody has recorded yet.
    promised: BTreeMap<IpAddr, LoadBalancerId>,
    /// Whose record of an address somebody else has deleted: it is kept for him until he has said what he asks for.
    bereft: BTreeMap<IpAddr, LoadBalancerId>,
    /// What we are about to delete, whatever shows first that it is gone.
    releasing: BTreeSet<IpAddr>,
    /// What we have written as of which version, and no watch has shown yet.
    unshown: BTreeMap<IpAddr, u64>,
    /// Those who were given less than they want, in the order in which they are served.
    waiting: BTreeSet<(Timestamp, LoadBalancerId)>,
    /// Those who should look again.
    news: BTreeSet<LoadBalancerId>,
    stage: Stage,
}

impl World {
    /// Of this Portolan; the addresses of others are theirs.
    pub fn new(instance: Instance) -> Self {
        Self { instance, ..Self::default() }
    }

    /// Whose it is.
    pub fn instance(&self) -> &Instance {
        &self.instance
    }

    /// These pools from now on.
    pub fn set_pools(&mut self, pools: Vec<Pool>) {
        if self.pools != pools {
            self.pools = pools;
            self.check();
        }
    }

    /// This is around the pools from now on.
    pub fn set_surroundings(&mut self, around: Surroundings) {
        if self.around != around {
            self.around = around;
            self.check();
        }
    }

    /// Services have these addresses besides, by their `spec.externalIPs`; whose each is, in words.
    pub fn set_external_ips(&mut self, external: BTreeMap<IpAddr, String>) {
        if self.external != external {
            self.external = external;
            self.check();
        }
    }

    fn check(&mut self) {
        let mut around = self.around.clone();
        for (address, whose) in &self.external {
            around.taken.entry(*address).or_insert_with(|| whose.clone());
        }
        let checked = check(self.pools.clone(), &around);
        // What comes and goes beside the pools is nobody's business here.
        if *self.checked == checked {
            return;
        }
        self.stage.edition += 1;
        self.checked = Arc::new(checked);
        self.ledger.set_pools(self.checked.to_vec());
        // Of those who have all that they want some may say so in other words by now.
        self.news.extend(self.of.keys().cloned());
        self.offer();
    }

    /// The labels of a Namespace, or that it is gone.
    pub fn set_namespace(&mut self, name: &str, labels: Option<Labels>) {
        let before = match labels {
            Some(labels) => self.namespaces.insert(name.to_owned(), labels.clone()).filter(|before| *before == labels),
            None => self.namespaces.remove(name),
        };
        if before.is_none() {
            self.offer();
        }
    }

    /// Somebody has this address: it was read, or written by us.
    pub fn set_vip(&mut self, vip: Vip) {
        let address = vip.address;
        let before = self.vips.get(&address);
        if before.is_some_and(|before| before.same_content(&vip)) {
            self.vips.insert(address, vip);
            return;
        }
        self.stage.edition += 1;
        let mut concerned: Vec<LoadBalancerId> = before.and_then(|before| self.own(before)).into_iter().collect();
        self.stage.shown(before, &vip);
        self.forget(address);
        concerned.extend(self.own(&vip));
        if let Some(id) = self.own(&vip) {
            self.of.entry(id).or_default().insert(address);
        }
        self.ledger.hold(address, holder(&vip, &self.instance));
        self.bereft.remove(&address);
        self.recorded(&vip);
        self.vips.insert(address, vip);
        self.no_longer_new(address);
        concerned.iter().for_each(|id| self.is_content(id));
        self.news.extend(concerned);
    }

    /// There is a record of this address that nobody can read. Whatever was read of it before stands; else nobody gets it.
    pub fn unreadable(&mut self, address: IpAddr) {
        if self.vips.contains_key(&address) {
            return;
        }
        self.set_vip(Vip::of_nobody(address));
    }

    /// Nobody has it any more.
    pub fn remove_vip(&mut self, address: IpAddr) {
        self.remove(address);
        self.offer();
    }

    fn remove(&mut self, address: IpAddr) {
        let Some(vip) = self.vips.get(&address) else { return };
        let gone = self.own(vip);
        self.news.extend(gone.clone());
        self.stage.edition += 1;
        self.stage.gone(address);
        self.unshown.remove(&address);
        self.forget(address);
        if let Some(id) = gone.filter(|id| !self.of.contains_key(id)) {
            self.stage.backing.remove(&id);
        }
    }

    /// Somebody else has deleted the record. Whom we serve there comes before all who wait.
    fn lose(&mut self, address: IpAddr) {
        let Some(vip) = self.vips.get(&address) else { return };
        let is_served = |id: &LoadBalancerId| self.stage.backing.contains_key(id) && !self.releasing.contains(&address);
        let served = self.own(vip).filter(is_served);
        let holder = Holder { reserved_for: None, ..holder(vip, &self.instance) };
        self.remove(address);
        if let Some(id) = served {
            self.ledger.hold(address, holder);
            self.bereft.insert(address, id);
        }
        self.offer();
    }

    /// We are about to delete this, or could not.
    pub fn is_releasing(&mut self, address: IpAddr, is_releasing: bool) {
        if is_releasing {
            self.releasing.insert(address);
        } else {
            self.releasing.remove(&address);
        }
    }

    /// We have deleted this. Another controller may have recorded the address anew before the answer came.
    pub fn released(&mut self, vip: &Vip) {
        if self.vips.get(&vip.address).is_some_and(|known| known.version == vip.version) {
            self.remove_vip(vip.address);
        }
    }

    /// The server has this no more.
    pub fn missed(&mut self, vip: &Vip) {
        if self.vips.get(&vip.address).is_some_and(|known| known.version == vip.version) {
            self.lose(vip.address);
        }
    }

    /// We have written this.
    pub fn stored(&mut self, vip: Vip) {
        let (address, version) = (vip.address, number(vip.version.as_ref()));
        let known = self.vips.get(&address).and_then(|known| number(known.version.as_ref()));
        self.shown(vip);
        // The watch may have been quicker than the answer.
        if known < version {
            self.unshown.extend(version.map(|version| (address, version)));
        }
    }

    /// A watch shows this, or an answer. What we have written since is newer.
    pub fn shown(&mut self, vip: Vip) {
        let known = self.vips.get(&vip.address).and_then(|known| number(known.version.as_ref()));
        if known.is_none_or(|known| number(vip.version.as_ref()).is_none_or(|version| version >= known)) {
            self.unshown.remove(&vip.address);
            self.set_vip(vip);
        }
    }

    /// A watch shows that nobody has it any more as of this version. Somebody may have it again since.
    pub fn shown_gone(&mut self, address: IpAddr, version: &ResourceVersion) {
        let known = self.vips.get(&address).and_then(|known| number(known.version.as_ref()));
        if known.is_none_or(|known| number(Some(version)).is_none_or(|version| version >= known)) {
            self.lose(address);
        }
    }

    /// A list shows these and no others: also where it leads back, after a restore of etcd. Only what we have written and no watch has shown yet may
    /// be newer.
    pub fn shown_all(&mut self, vips: Vec<Vip>) {
        let listed: BTreeSet<IpAddr> = vips.iter().map(|vip| vip.address).collect();
        for vip in vips {
            let own = self.unshown.get(&vip.address);
            if own.is_none_or(|own| number(vip.version.as_ref()).is_none_or(|version| version >= *own)) {
                self.unshown.remove(&vip.address);
                self.set_vip(vip);
            }
        }
        let is_gone = |address: &&IpAddr| !listed.contains(address) && !self.unshown.contains_key(address);
        let gone: Vec<IpAddr> = self.vips.keys().filter(is_gone).copied().collect();
        gone.into_iter().for_each(|address| self.lose(address));
    }

    /// Who has this address.
    pub fn vip(&self, address: IpAddr) -> Option<&Vip> {
        self.vips.get(&address)
    }

    fn forget(&mut self, address: IpAddr) {
        let Some(vip) = self.vips.remove(&address) else { return };
        self.ledger.release(address);
        if let Some(id) = self.own(&vip)
            && let Some(all) = self.of.get_mut(&id)
        {
            all.remove(&address);
            if all.is_empty() {
                self.of.remove(&id);
            }
        }
    }

    /// The load balancer of ours that has it.
    fn own(&self, vip: &Vip) -> Option<LoadBalancerId> {
        vip.holder.clone().filter(|_| vip.instance == self.instance)
    }

    /// What a load balancer has.
    pub fn vips_of(&self, id: &LoadBalancerId) -> Vec<Vip> {
        let own = self.of.get(id).into_iter().flatten();
        own.filter_map(|address| self.vips.get(address)).cloned().collect()
    }

    /// All that anybody has.
    pub(crate) fn all_vips(&self) -> impl Iterator<Item = &Vip> {
        self.vips.values()
    }

    /// All that have something of ours.
    pub fn holders(&self) -> impl Iterator<Item = (&LoadBalancerId, &IpAddr)> {
        self.of.iter().flat_map(|(id, addresses)| addresses.iter().map(move |address| (id, address)))
    }

    /// What a load balancer was told last.
    pub fn answer(&self, id: &LoadBalancerId) -> Option<&Answer> {
        self.answers.get(id)
    }

    /// All pools, and what is wrong with them.
    pub fn pools(&self) -> Arc<Vec<Checked>> {
        Arc::clone(&self.checked)
    }

    /// Somebody asks. The answer stands until he asks otherwise, and changes when more can be had.
    pub fn ask(&mut self, wish: Wish) {
        let id = wish.id.clone();
        let mut is_freed = false;
        if self.answers.get(&id).is_none_or(|answer| answer.wish != wish) {
            is_freed = self.take_back(&id);
            self.tell(wish);
        }
        if self.let_go(&id) || is_freed {
            self.offer();
        }
    }

    /// He asks no more.
    pub fn withdraw(&mut self, id: &LoadBalancerId) {
        if !self.of.contains_key(id) {
            self.stage.backing.remove(id);
        }
        let is_freed = self.take_back(id);
        if self.let_go(id) || is_freed {
            self.offer();
        }
    }

    /// Nobody asks any more, nor is anybody known to be behind an address: what was known is of a time before others decided.
    pub fn forget_all_asked(&mut self) {
        self.forget_backing();
        let asked: Vec<LoadBalancerId> = self.answers.keys().chain(self.bereft.values()).cloned().collect();
        for id in asked {
            self.take_back(&id);
            self.let_go(&id);
        }
    }

    /// Something is kept here for him that he has not recorded, or he waits for it.
    pub fn is_asking(&self, id: &LoadBalancerId) -> bool {
        self.answers.contains_key(id) || self.bereft.values().any(|of| of == id)
    }

    /// He has said what he asks for: what he lost and was not promised again is free. True if there is any.
    fn let_go(&mut self, id: &LoadBalancerId) -> bool {
        let lost: Vec<IpAddr> = self.bereft.iter().filter(|(_, of)| *of == id).map(|(address, _)| *address).collect();
        for address in &lost {
            self.bereft.remove(address);
            if self.promised.get(address) != Some(id) {
                self.ledger.release(*address);
            }
        }
        !lost.is_empty()
    }

    /// Those who should look again since this was asked last.
    pub fn news(&mut self) -> BTreeSet<LoadBalancerId> {
        std::mem::take(&mut self.news)
    }

    /// Of a pool.
    pub fn usage(&self, pool: &PoolName, family: Family) -> Usage {
        let (assigned, available) = self.ledger.usage(pool, family);
        Usage { assigned, available }
    }

    /// Those who wait for an address of this pool, in the order in which they are served.
    pub fn waiting_for<'a>(&'a self, pool: &'a PoolName) -> impl Iterator<Item = &'a Wish> {
        let waits = move |answer: &&Answer| match &answer.given {
            Err(Denied::Exhausted(pools)) => pools.iter().any(|(name, why)| name == pool && why.passes()),
            Err(Denied::NotServed { pool: of, why }) => of == pool && why.passes(),
            Err(_) | Ok(_) => false,
        };
        self.waiting.iter().filter_map(|(_, id)| self.answers.get(id)).filter(waits).map(|answer| &answer.wish)
    }

    fn tell(&mut self, wish: Wish) {
        let given = self.allot(&wish);
        let id = wish.id.clone();
        for address in given.iter().flatten().map(|allotted| allotted.address) {
            if !self.vips.contains_key(&address) {
                self.promised.insert(address, id.clone());
                let (namespace, told) = (wish.member.namespace.clone(), format!("Service {}", wish.member.key()));
                self.ledger.hold(address, Holder { id: Some(id.clone()), namespace, told, reserved_for: None });
            }
        }
        let wants_more = given.as_ref().map_or(true, |given| given.len() < wish.families.len());
        if wants_more {
            self.waiting.insert((wish.created, id.clone()));
        }
        self.answers.insert(id, Answer { wish, given });
    }

    /// What he gets now.
    fn allot(&self, wish: &Wish) -> Result<Vec<Allotted>, Denied> {
        let none = Labels::new();
        let namespace = &wish.member.namespace;
        let namespace_labels = self.namespaces.get(namespace).unwrap_or(&none);
        let vips = self.vips_of(&wish.id);
        let mut keeps: Vec<IpAddr> = wish.kept(&vips, &self.checked).into_values().map(|vip| vip.address).collect();
        let before = self.answers.get(&wish.id).filter(|answer| answer.wish == *wish);
        for allotted in before.iter().flat_map(|answer| &answer.given).flatten() {
            let promised = self.promised.get(&allotted.address) == Some(&wish.id);
            if promised && !keeps.iter().any(|own| Family::of(*own) == Family::of(allotted.address)) {
                keeps.push(allotted.address);
            }
        }
        let request = |requested| Request {
            id: &wish.id,
            member: &wish.member,
            sharers: &wish.sharers,
            subject: Subject { namespace, namespace_labels, labels: &wish.labels },
            scheme: wish.scheme,
            families: &wish.families,
            all_families: wish.all_families,
            requested,
            pool: wish.pool.as_ref(),
            keeps: &keeps,
        };
        let known = wish.known.iter().filter(|address| self.ledger.gives_by_name(&request(&[]), **address));
        let by_name: Vec<IpAddr> = wish.requested.iter().chain(known).copied().collect();
        self.ledger.allocate(&request(&by_name))
    }

    /// What was promised and is not recorded is free again. True if he had asked.
    fn take_back(&mut self, id: &LoadBalancerId) -> bool {
        let Some(answer) = self.answers.remove(id) else { return false };
        self.waiting.remove(&(answer.wish.created, id.clone()));
        for address in answer.given.iter().flatten().map(|allotted| allotted.address) {
            if self.promised.get(&address) == Some(id) {
                self.promised.remove(&address);
                self.ledger.release(address);
            }
        }
        true
    }

    /// A promise ends when it is recorded. What somebody else has recorded was promised in vain: he is told anew.
    fn recorded(&mut self, vip: &Vip) {
        let Some(promised) = self.promised.remove(&vip.address) else { return };
        if self.own(vip).as_ref() == Some(&promised) {
            return;
        }
        let Some(wish) = self.answers.get(&promised).map(|answer| answer.wish.clone()) else { return };
        self.take_back(&promised);
        self.tell(wish);
        self.news.insert(promised);
    }

    /// Who has recorded all that he was told, and wants no more, asks no more.
    fn is_content(&mut self, id: &LoadBalancerId) {
        let Some(answer) = self.answers.get(id) else { return };
        let (vips, wish) = (self.vips_of(id), &answer.wish);
        let kept = wish.kept(&vips, &self.checked);
        // Another controller may have recorded another address for him than he was told here.
        if wish.families.iter().all(|family| kept.contains_key(family)) {
            self.withdraw(&id.clone());
            return;
        }
        let waits = self.waiting.contains(&(answer.wish.created, id.clone()));
        let mut given = answer.given.iter().flatten();
        if !waits && given.all(|allotted| !self.promised.contains_key(&allotted.address)) {
            self.answers.remove(id);
        }
    }

    /// Offers what there is to those who wait, in their order.
    fn offer(&mut self) {
        for (created, id) in self.waiting.clone() {
            let Some(answer) = self.answers.get(&id) else { continue };
            let given = self.allot(&answer.wish);
            if given == answer.given {
                continue;
            }
            let wish = answer.wish.clone();
            self.take_back(&id);
            self.waiting.remove(&(created, id.clone()));
            self.tell(wish);
            self.news.insert(id);
        }
    }
}

fn number(version: Option<&ResourceVersion>) -> Option<u64> {
    version?.number()
}

fn holder(vip: &Vip, instance: &Instance) -> Holder {
    Holder {
        id: vip.holder.clone().filter(|_| vip.instance == *instance),
        namespace: vip.namespace(),
        told: vip.told(),
        reserved_for: vip.reserved_for.clone(),
    }
}

#[cfg(test)]
mod tests;
