//! Which addresses a load balancer gets, and why not the others: a pure function of pools, of what is given out, and of who asks.
//!
//! Named addresses come first, then a named pool, then pools that are meant for the asker, by priority, then those for all; ties by name, and in
//! a pool the lowest free address. Two families come out of one pool where one has both, else out of two. What somebody has he keeps, as long as
//! it is what he asks for.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use portolan_core::balancer::{Family, Member, Scheme};
use portolan_core::ids::LoadBalancerId;
use serde::Serialize;

use crate::free::Free;
use crate::pool::{Checked, PoolName, Subject};
use crate::range::Range;
use crate::vip::Reservation;

/// What somebody asks for.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// Who.
    pub id: &'a LoadBalancerId,
    /// The Service that asks.
    pub member: &'a Member,
    /// Those who share with it: what is kept for one of them all may have.
    pub sharers: &'a [Member],
    /// The Service, as pools see it.
    pub subject: Subject<'a>,
    /// For whom it is meant.
    pub scheme: Option<Scheme>,
    /// The families, in the order of the Service: one or two.
    pub families: &'a [Family],
    /// All of the families, or as many as there are.
    pub all_families: bool,
    /// Addresses by name, at most one a family.
    pub requested: &'a [IpAddr],
    /// A pool by name.
    pub pool: Option<&'a PoolName>,
    /// What he has and keeps, at most one a family.
    pub keeps: &'a [IpAddr],
}

/// An address and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Allotted {
    /// Which.
    pub address: IpAddr,
    /// Of which pool; none if none holds it any more.
    pub pool: Option<PoolName>,
}

/// Why somebody gets nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// No pool has that address.
    #[error("no pool holds the requested address {0}; ask for one of a pool, or add it to one")]
    InNoPool(IpAddr),
    /// Somebody else has it.
    #[error("the requested address {address} is taken by {by}")]
    Taken {
        /// Which.
        address: IpAddr,
        /// Who, in words.
        by: String,
    },
    /// It is not of a family of the Service.
    #[error("the requested address {0} is of a family that the Service does not have")]
    OtherFamily(IpAddr),
    /// There is no such pool.
    #[error("there is no pool {0}")]
    NoSuchPool(PoolName),
    /// A pool, and why it does not serve the asker.
    #[error("the pool {pool} {why}")]
    NotServed {
        /// Which.
        pool: PoolName,
        /// Why, after its name.
        why: Unserved,
    },
    /// No pool is meant for the asker at all.
    #[error("no pool serves this Service{}", told(.0))]
    Nowhere(Vec<(PoolName, Unserved)>),
    /// All that may serve the asker have given out everything.
    #[error("no address is free{}", told(.0))]
    Exhausted(Vec<(PoolName, Unserved)>),
}

/// Why a pool does not serve somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unserved {
    /// It is refused as a whole.
    #[error("is refused; its condition says why")]
    Refused,
    /// Its allocation names others.
    #[error("is meant for other Services")]
    ForOthers,
    /// It is only for those who name it.
    #[error("is given only to those who name it")]
    NotAutomatic,
    /// It is on its way out.
    #[error("is being drained")]
    Draining,
    /// It is for another scheme.
    #[error("is not meant for that scheme")]
    Scheme,
    /// It has no address of a family.
    #[error("has no addresses of the family")]
    Family,
    /// The namespace has used up what it may have.
    #[error("gives the namespace no more, by its quota")]
    Quota,
    /// All are given out.
    #[error("has no free address")]
    Full,
}

impl Unserved {
    /// It may serve the asker, and will once others have given something back.
    pub(crate) fn passes(self) -> bool {
        match self {
            Self::Full | Self::Quota => true,
            Self::Refused | Self::ForOthers | Self::NotAutomatic | Self::Draining | Self::Scheme | Self::Family => {
                false
            }
        }
    }
}

fn told(pools: &[(PoolName, Unserved)]) -> String {
    let all: Vec<String> = pools.iter().map(|(pool, why)| format!("{pool} {why}")).collect();
    if all.is_empty() { "; there is none".to_owned() } else { format!(": {}", all.join(", ")) }
}

/// Who has an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The load balancer; none of one that is set aside, or reserved for a Service that has none yet.
    pub id: Option<LoadBalancerId>,
    /// Whose quota it counts for.
    pub namespace: String,
    /// In words.
    pub told: String,
    /// Who may have it by name although it is not free.
    pub reserved_for: Option<Reservation>,
}

/// What is given out, kept up to date record by record.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    held: BTreeMap<IpAddr, Holder>,
    of: BTreeMap<LoadBalancerId, BTreeSet<IpAddr>>,
    pools: Vec<Checked>,
    free: BTreeMap<PoolName, Free>,
    used: BTreeMap<(PoolName, String, Family), u32>,
}

impl Ledger {
    /// These pools from now on; what is given out stays.
    pub fn set_pools(&mut self, pools: Vec<Checked>) {
        self.free = pools
            .iter()
            .filter(|checked| checked.is_sound())
            .map(|checked| (checked.pool.name.clone(), checked.free()))
            .collect();
        self.pools = pools;
        self.used.clear();
        let held = std::mem::take(&mut self.held);
        held.into_iter().for_each(|(address, holder)| self.hold(address, holder));
    }

    /// Somebody has this address.
    pub fn hold(&mut self, address: IpAddr, holder: Holder) {
        self.release(address);
        // One that is refused gives nothing, and is used all the same.
        if let Some(pool) = holding(&self.pools, address).map(|checked| checked.pool.name.clone()) {
            if let Some(free) = self.free.get_mut(&pool) {
                free.take(&Range::only(address));
            }
            *self.used.entry((pool, holder.namespace.clone(), Family::of(address))).or_default() += 1;
        }
        if let Some(id) = &holder.id {
            self.of.entry(id.clone()).or_default().insert(address);
        }
        self.held.insert(address, holder);
    }

    /// Nobody has it any more.
    pub fn release(&mut self, address: IpAddr) {
        let Some(holder) = self.held.remove(&address) else { return };
        if let Some(id) = &holder.id
            && let Some(all) = self.of.get_mut(id)
        {
            all.remove(&address);
            if all.is_empty() {
                self.of.remove(id);
            }
        }
        let Some(checked) = holding(&self.pools, address) else { return };
        let name = checked.pool.name.clone();
        let key = (name.clone(), holder.namespace, Family::of(address));
        if let Some(count) = self.used.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                self.used.remove(&key);
            }
        }
        let is_given = checked.gives(address);
        if let Some(free) = self.free.get_mut(&name).filter(|_| is_given) {
            free.give(&Range::only(address));
        }
    }

    /// Who has it.
    pub fn holder(&self, address: IpAddr) -> Option<&Holder> {
        self.held.get(&address)
    }

    /// What somebody has, lowest first.
    pub fn held_by(&self, id: &LoadBalancerId) -> impl Iterator<Item = IpAddr> {
        self.of.get(id).into_iter().flatten().copied()
    }

    /// Of a pool, how many addresses of a family are given out and how many are free.
    pub fn usage(&self, pool: &PoolName, family: Family) -> (u32, u128) {
        let used = self.used.iter().filter(|((of, _, family_of), _)| of == pool && *family_of == family);
        let free = self.free.get(pool).map_or(0, |free| free.count(family));
        (used.map(|(_, count)| *count).sum(), free)
    }

    /// What somebody gets: all of it, what he has already and what is to be given to him. Changes nothing.
    pub fn allocate(&self, request: &Request<'_>) -> Result<Vec<Allotted>, Denied> {
        let kept: BTreeMap<Family, IpAddr> = request.keeps.iter().map(|own| (Family::of(*own), *own)).collect();
        let mut allotted = Vec::new();
        for address in request.requested {
            allotted.push(self.requested(request, *address)?);
        }
        let mut missing = Vec::new();
        for family in request.families {
            match kept.get(family) {
                _ if request.requested.iter().any(|address| Family::of(*address) == *family) => {}
                Some(own) => allotted.push(Allotted { address: *own, pool: self.pool_of(*own) }),
                None => missing.push(*family),
            }
        }
        match self.given(request, &missing) {
            Ok(given) => allotted.extend(given),
            // Half of what is preferred is better than nothing, and what somebody has he keeps.
            Err(_) if !request.all_families && !allotted.is_empty() => {}
            Err(denied) => return Err(denied),
        }
        let place = |of: &Allotted| request.families.iter().position(|family| *family == Family::of(of.address));
        allotted.sort_by_key(place);
        Ok(allotted)
    }

    /// Asked for by name he gets it, whatever becomes of the rest.
    pub fn gives_by_name(&self, request: &Request<'_>, address: IpAddr) -> bool {
        self.requested(request, address).is_ok()
    }

    fn requested(&self, request: &Request<'_>, address: IpAddr) -> Result<Allotted, Denied> {
        if !request.families.contains(&Family::of(address)) {
            return Err(Denied::OtherFamily(address));
        }
        let held = self.held.get(&address);
        let is_own = held.is_some_and(|holder| holder.id.as_ref() == Some(request.id));
        if is_own && request.keeps.contains(&address) {
            return Ok(Allotted { address, pool: self.pool_of(address) });
        }
        let reserved_for = held.filter(|holder| holder.id.is_none()).and_then(|holder| holder.reserved_for.as_ref());
        let mut members = std::iter::once(request.member).chain(request.sharers);
        let is_reserved = reserved_for.is_some_and(|of| members.any(|member| of.is_for(member)));
        if let Some(holder) = held.filter(|_| !is_own && !is_reserved) {
            return Err(Denied::Taken { address, by: holder.told.clone() });
        }
        let Some(checked) = holding(&self.pools, address) else {
            // A reservation does without a pool, but not for who asks for something that only pools have.
            let is_enough = is_reserved && request.pool.is_none() && request.scheme.is_none();
            return if is_enough { Ok(Allotted { address, pool: None }) } else { Err(Denied::InNoPool(address)) };
        };
        let not_served = |why| Denied::NotServed { pool: checked.pool.name.clone(), why };
        if request.pool.is_some_and(|wanted| *wanted != checked.pool.name) {
            return Err(not_served(Unserved::ForOthers));
        }
        if is_own || is_reserved {
            // Whom the pool serves was asked when it was given, or he who reserved it knows.
            if is_reserved && !checked.is_sound() {
                return Err(not_served(Unserved::Refused));
            }
            if !checked.pool.suits(request.scheme) {
                return Err(not_served(Unserved::Scheme));
            }
        } else {
            self.serves(checked, request, true).map_err(not_served)?;
            self.within_quota(checked, request, Family::of(address)).map_err(not_served)?;
        }
        if let Some(by) = checked.taken.get(&address) {
            return Err(Denied::Taken { address, by: by.clone() });
        }
        // Whoever asks for it by name may have what is given to nobody else.
        Ok(Allotted { address, pool: self.pool_of(address) })
    }

    /// New addresses of these families.
    fn given(&self, request: &Request<'_>, families: &[Family]) -> Result<Vec<Allotted>, Denied> {
        if families.is_empty() {
            return Ok(Vec::new());
        }
        let mut unserved = Vec::new();
        let mut candidates: Vec<&Checked> = Vec::new();
        for checked in &self.pools {
            let is_named = request.pool == Some(&checked.pool.name);
            if request.pool.is_some() && !is_named {
                continue;
            }
            match self.serves(checked, request, is_named) {
                Ok(()) => candidates.push(checked),
                Err(why) => unserved.push((checked.pool.name.clone(), why)),
            }
        }
        if let Some(wanted) = request.pool
            && candidates.is_empty()
        {
            let why = unserved.pop().map(|(_, why)| why);
            return Err(match why {
                Some(why) => Denied::NotServed { pool: wanted.clone(), why },
                None => Denied::NoSuchPool(wanted.clone()),
            });
        }
        if candidates.is_empty() {
            return Err(Denied::Nowhere(unserved));
        }
        let last = u32::MAX;
        candidates.sort_by_key(|checked| {
            let pool = &checked.pool;
            (!pool.serves.is_chosen(), pool.priority.unwrap_or(last), &pool.name)
        });
        // One pool for all, if there is one.
        for checked in &candidates {
            let of_pool: Option<Vec<Allotted>> =
                families.iter().map(|family| self.first(checked, request, *family).ok()).collect();
            if let Some(allotted) = of_pool {
                return Ok(allotted);
            }
        }
        let mut allotted = Vec::new();
        for family in families {
            let found = candidates.iter().find_map(|checked| self.first(checked, request, *family).ok());
            match found {
                Some(found) => allotted.push(found),
                None if request.all_families => {
                    allotted.clear();
                    break;
                }
                None => {}
            }
        }
        if allotted.is_empty() {
            let why = |checked: &&Checked| {
                let why = families.iter().find_map(|family| self.first(checked, request, *family).err());
                (checked.pool.name.clone(), why.unwrap_or(Unserved::Full))
            };
            unserved.extend(candidates.iter().map(why));
            return Err(Denied::Exhausted(unserved));
        }
        Ok(allotted)
    }

    fn first(&self, checked: &Checked, request: &Request<'_>, family: Family) -> Result<Allotted, Unserved> {
        if !checked.pool.has(family) {
            return Err(Unserved::Family);
        }
        self.within_quota(checked, request, family)?;
        let free = self.free.get(&checked.pool.name).ok_or(Unserved::Refused)?;
        let address = free.first(family).ok_or(Unserved::Full)?;
        Ok(Allotted { address, pool: Some(checked.pool.name.clone()) })
    }

    fn serves(&self, checked: &Checked, request: &Request<'_>, is_named: bool) -> Result<(), Unserved> {
        let pool = &checked.pool;
        if !checked.is_sound() {
            Err(Unserved::Refused)
        } else if !pool.serves.matches(request.subject) {
            Err(Unserved::ForOthers)
        } else if !pool.auto_assign && !is_named {
            Err(Unserved::NotAutomatic)
        } else if pool.draining {
            Err(Unserved::Draining)
        } else if !pool.suits(request.scheme) {
            Err(Unserved::Scheme)
        } else {
            Ok(())
        }
    }

    fn within_quota(&self, checked: &Checked, request: &Request<'_>, family: Family) -> Result<(), Unserved> {
        let Some(quota) = checked.pool.quota else { return Ok(()) };
        let key = (checked.pool.name.clone(), request.subject.namespace.to_owned(), family);
        let used = self.used.get(&key).copied().unwrap_or_default();
        // What he gives back for it counts no more.
        let own =
            self.held_by(request.id).filter(|own| Family::of(*own) == family && checked.pool.contains(*own)).count();
        let used = used.saturating_sub(u32::try_from(own).unwrap_or(u32::MAX));
        if used < quota { Ok(()) } else { Err(Unserved::Quota) }
    }

    fn pool_of(&self, address: IpAddr) -> Option<PoolName> {
        let sound = holding(&self.pools, address).filter(|checked| checked.is_sound());
        sound.map(|checked| checked.pool.name.clone())
    }
}

/// The pool that an address is of: of several that hold it, which cannot all be sound, the one that is.
pub(crate) fn holding(pools: &[Checked], address: IpAddr) -> Option<&Checked> {
    let holds = || pools.iter().filter(|checked| checked.pool.contains(address));
    holds().find(|checked| checked.is_sound()).or_else(|| holds().next())
}

#[cfg(test)]
mod tests;
