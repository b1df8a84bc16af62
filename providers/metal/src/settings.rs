//! What a Service says to pools: our annotation and MetalLB's, its labels, its age.

use std::collections::BTreeMap;

use portolan_core::balancer::{LoadBalancer, Member};
use portolan_core::dialect::{Asked, Dialect, Judged};
use portolan_core::ids::Uid;
use portolan_core::reason::Reason;
use portolan_core::refusal::Refused;
use portolan_core::snapshot::{FamilyPolicy, Service};
use portolan_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::pool::PoolName;
use crate::selector::Labels;

/// A pool by name: ours, then MetalLB's, the newer one first (<https://metallb.io/usage/>, "Requesting specific IPs").
pub const POOL_ANNOTATIONS: [&str; 3] =
    ["portolan.dev/pool", "metallb.io/address-pool", "metallb.universe.tf/address-pool"];

/// What one Service says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Settings {
    /// Its labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) labels: Labels,
    /// When it was created.
    pub(crate) created: Timestamp,
    /// It would rather have nothing than one family of two.
    pub(crate) all_families: bool,
    /// A pool by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pool: Option<PoolName>,
    /// Where a node says whether it has a ready endpoint of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) health_check: Option<u16>,
}

/// What the first of those who are served says, and who that is.
pub(crate) fn settings(desired: &LoadBalancer) -> Option<(Member, Settings)> {
    let member = desired.served().next()?;
    Some((member.clone(), settings_of(desired, &member.uid)))
}

/// What one of those who are served says.
pub(crate) fn settings_of(desired: &LoadBalancer, uid: &Uid) -> Settings {
    let said = desired.settings.get(uid);
    said.and_then(|said| serde_json::from_value(said.clone()).ok()).unwrap_or_default()
}

/// How Services speak to pools.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Words;

impl Dialect for Words {
    fn judge(&self, asked: &Asked<'_>, before: &[Asked<'_>]) -> Judged {
        let mut judged = Judged::default();
        match pool(asked.service) {
            Ok(own) => {
                let others = before.iter().filter_map(|other| pool(other.service).ok().flatten());
                if let (Some((key, own)), Some((_, first))) = (own, others.into_iter().next())
                    && own != first
                {
                    let message = format!("annotation {key}: the load balancer is in pool {first}; name that or none");
                    judged.refused.push(Refused::whole(Reason::ShareConflict, message));
                }
            }
            Err(message) => judged.refused.push(Refused::whole(Reason::InvalidAnnotation, message)),
        }
        judged
    }

    fn settings(&self, members: &[Asked<'_>]) -> BTreeMap<Uid, Value> {
        let asked_pool = members.iter().find_map(|asked| pool(asked.service).ok().flatten());
        let of = |asked: &Asked<'_>| {
            let settings = Settings {
                labels: asked.service.labels.clone(),
                created: asked.service.created,
                all_families: asked.service.family_policy != FamilyPolicy::PreferDualStack,
                pool: asked_pool.as_ref().map(|(_, pool)| pool.clone()),
                health_check: asked.service.health_check_node_port,
            };
            (asked.service.uid.clone(), serde_json::to_value(settings).unwrap_or_default())
        };
        members.iter().map(of).collect()
    }
}

/// The pool that a Service names.
pub(crate) fn named_pool(service: &Service) -> Option<PoolName> {
    pool(service).ok().flatten().map(|(_, pool)| pool)
}

/// The pool that a Service names, and where. An empty annotation of MetalLB's says nothing, as there.
fn pool(service: &Service) -> Result<Option<(&'static str, PoolName)>, String> {
    let said = POOL_ANNOTATIONS.iter().enumerate().find_map(|(place, key)| {
        let pool = service.annotations.get(*key)?.trim();
        (place == 0 || !pool.is_empty()).then_some((*key, pool))
    });
    match said {
        Some((key, "")) => Err(format!("annotation {key} is empty; name a pool or remove it")),
        Some((key, name)) => Ok(Some((key, PoolName::new(name)))),
        None => Ok(None),
    }
}
