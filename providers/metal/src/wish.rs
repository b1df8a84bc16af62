//! What somebody asks the pools for: everything that a decision about it needs, so that it can be made when nobody of it is there.

use std::collections::BTreeMap;
use std::net::IpAddr;

use portolan_core::balancer::{Family, LoadBalancer, Member, Published, Scheme};
use portolan_core::ids::LoadBalancerId;
use portolan_core::time::Timestamp;
use serde::Serialize;

use crate::allocation::holding;
use crate::pool::{Checked, PoolName};
use crate::selector::Labels;
use crate::settings::{Settings, settings};
use crate::vip::Vip;

/// A wish.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Wish {
    /// Who.
    pub id: LoadBalancerId,
    /// The Service that was there first: pools see the load balancer as it.
    pub member: Member,
    /// The others that are served there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sharers: Vec<Member>,
    /// The first one's labels.
    #[serde(skip)]
    pub labels: Labels,
    /// When it was created: who waits is served in this order.
    #[serde(skip)]
    pub created: Timestamp,
    /// For whom it is meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheme: Option<Scheme>,
    /// The families, in the order of the Service: one or two.
    pub families: Vec<Family>,
    /// All of the families, or as many as there are.
    pub all_families: bool,
    /// Addresses by name, at most one a family.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub requested: Vec<IpAddr>,
    /// Addresses that clients know and no record holds any more: each is given again if it is as free as any that is asked for by name, and is no
    /// reason to refuse anything.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub known: Vec<IpAddr>,
    /// A pool by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<PoolName>,
}

impl Wish {
    /// What a load balancer asks for that has these; none if nobody is behind it.
    pub fn of(desired: &LoadBalancer, vips: &[Vip]) -> Option<Self> {
        let (member, Settings { labels, created, all_families, pool, health_check: _ }) = settings(desired)?;
        let known = desired.published.iter().filter_map(|published| match published {
            Published::Ip { ip, mode: _ } => Some(*ip),
            Published::Hostname { .. } => None,
        });
        let is_lost = |ip: &IpAddr| {
            let family = Family::of(*ip);
            let asked_for = |ip: &IpAddr| Family::of(*ip) == family;
            desired.families.contains(&family)
                && !vips.iter().any(|vip| vip.address == *ip)
                && !desired.requested.iter().any(asked_for)
        };
        Some(Self {
            id: desired.id.clone(),
            member,
            sharers: desired.served().skip(1).cloned().collect(),
            labels,
            created,
            scheme: desired.scheme,
            families: desired.families.clone(),
            all_families,
            requested: desired.requested.clone(),
            known: known.filter(is_lost).collect(),
            pool,
        })
    }

    /// What somebody has of what he asks for now, by family; of several the first. Nobody is moved because a pool was changed, only because he asks
    /// for something else, or because a stranger was there before him.
    pub fn kept<'a>(&self, vips: impl IntoIterator<Item = &'a Vip>, pools: &[Checked]) -> BTreeMap<Family, &'a Vip> {
        vips.into_iter().filter(|vip| self.fits(vip, pools)).fold(BTreeMap::new(), |mut kept, vip| {
            kept.entry(Family::of(vip.address)).or_insert(vip);
            kept
        })
    }

    /// It is as he asks for it.
    pub(crate) fn fits(&self, vip: &Vip, pools: &[Checked]) -> bool {
        let family = Family::of(vip.address);
        let named = self.requested.iter().find(|ip| Family::of(**ip) == family);
        self.families.contains(&family)
            && named.map_or(vip.set_aside.is_none(), |named| *named == vip.address)
            && self.pool.as_ref().is_none_or(|pool| vip.pool.as_ref() == Some(pool) || is_of(vip, pools, pool))
            && (self.scheme.is_none() || self.scheme == vip.scheme || suits(vip, pools, self.scheme))
    }
}

/// The pool has it now, whatever it was called when it was given out.
fn is_of(vip: &Vip, pools: &[Checked], pool: &PoolName) -> bool {
    holding(pools, vip.address).is_some_and(|checked| checked.pool.name == *pool)
}

/// The pool that holds it now is meant for the scheme.
fn suits(vip: &Vip, pools: &[Checked], scheme: Option<Scheme>) -> bool {
    holding(pools, vip.address).is_none_or(|checked| checked.pool.suits(scheme))
}
