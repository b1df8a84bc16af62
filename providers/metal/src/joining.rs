//! Who may come to an address that others have: only who has a node in common with them, by advertisements. Told before anything is asked of pools,
//! and never to one that has come already: what an edit of an advertisement means for those placement shows.

use std::collections::BTreeMap;

use portolan_core::dialect::{Asked, Dialect, Judged};
use portolan_core::ids::{ServiceKey, Uid};
use portolan_core::reason::Reason;
use portolan_core::refusal::Refused;
use serde_json::Value;

use crate::advertisement::{NoCommonNode, PoolRef, common};
use crate::pool::{Pool, PoolName};
use crate::provider::Site;
use crate::selector::Labels;
use crate::settings::{Words, named_pool};
use crate::world::World;

/// What Services say to pools, and what is known of advertisements.
#[derive(Clone, Debug)]
pub(crate) struct Joining {
    pub(crate) site: Site,
}

impl Dialect for Joining {
    fn judge(&self, asked: &Asked<'_>, before: &[Asked<'_>]) -> Judged {
        let mut judged = Words.judge(asked, before);
        if before.is_empty() || !judged.refused.is_empty() {
            return judged;
        }
        if !self.site.knows_all() {
            let unknown = "it is not known yet which nodes may announce the address; the controller's log says what it cannot list";
            judged.refused.push(Refused::whole(Reason::ShareConflict, unknown));
            return judged;
        }
        let with: Vec<Sharer<'_>> = before.iter().map(sharer).collect();
        let named = before.iter().chain([asked]).find_map(|asked| named_pool(asked.service));
        if let Err(refused) = self.site.look(|world| world.may_join(sharer(asked), &with, named.as_ref())) {
            judged.refused.push(Refused::whole(Reason::ShareConflict, refused.to_string()));
        }
        judged
    }

    fn settings(&self, members: &[Asked<'_>]) -> BTreeMap<Uid, Value> {
        Words.settings(members)
    }
}

/// A Service that shares an address, or asks to.
#[derive(Clone, Copy, Debug)]
pub struct Sharer<'a> {
    /// Its identity.
    pub uid: &'a Uid,
    /// What people call it.
    pub key: &'a ServiceKey,
    /// Its labels.
    pub labels: &'a Labels,
}

fn sharer<'a>(asked: &Asked<'a>) -> Sharer<'a> {
    let service = asked.service;
    Sharer { uid: &service.uid, key: &service.key, labels: &service.labels }
}

impl World {
    /// Nothing speaks against it that this Service comes to those who are there, in the order of their coming. Where they have no address yet it is
    /// enough if there is a pool, or the one that they name, of which they could share one.
    pub fn may_join(
        &self,
        joins: Sharer<'_>,
        with: &[Sharer<'_>],
        named: Option<&PoolName>,
    ) -> Result<(), NoCommonNode> {
        let all = || with.iter().chain([&joins]);
        let mut shared = Vec::new();
        for vip in self.all_vips().filter(|vip| vip.instance == *self.instance()) {
            let serves = |sharer: &Sharer<'_>| vip.services.iter().any(|served| served.member.uid == *sharer.uid);
            match (serves(&joins), with.iter().any(serves)) {
                (true, true) => return Ok(()),
                (false, true) => shared.push(self.pool_ref(vip).0),
                // Of one that it has alone nothing follows for that of the others.
                (_, false) => {}
            }
        }
        let services: Vec<(&ServiceKey, &Labels)> = all().map(|sharer| (sharer.key, sharer.labels)).collect();
        let hosts = self.hosts();
        let nodes: Vec<_> = hosts.iter().map(|host| (&host.node.name, &*host.node.labels)).collect();
        let advertisements = self.advertisements();
        let fits = |pool: &PoolRef| common(&advertisements, pool, &services, &nodes).map(drop);
        if !shared.is_empty() {
            return shared.iter().try_for_each(fits);
        }
        let checked = self.pools();
        let candidates = checked.iter().map(|checked| &checked.pool);
        let candidates = candidates.filter(|pool| named.is_none_or(|named| pool.name == *named)).map(of_pool);
        let mut refused = Ok(());
        for pool in candidates {
            refused = fits(&pool);
            if refused.is_ok() {
                break;
            }
        }
        refused
    }
}

fn of_pool(pool: &Pool) -> PoolRef {
    PoolRef { name: pool.name.clone(), labels: pool.labels.clone() }
}

#[cfg(test)]
mod tests;
