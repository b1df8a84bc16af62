//! AddressPools as the provider reads them, and the only writer of their status.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector, LabelSelectorRequirement, Time};
use kube::api::{Api, Patch, PatchParams};
use kube::{Client, ResourceExt};
use portolan_core::balancer::{Family, Scheme};
use portolan_core::ids::ResourceVersion;
use portolan_metal::Site;
use portolan_metal::placement::Rebalance;
use portolan_metal::pool::{Checked, Pool, PoolName, Serves};
use portolan_metal::range::Range;
use portolan_metal::selector::{Requirement, Selector};
use portolan_metal::vip::stranger;
use portolan_metal::world::World;
use serde_json::json;

use crate::api::{AddressPool, AddressPoolStatus, RebalanceText, ServiceAllocation};
use crate::cluster::error::{Failure, call};
use crate::controller::index::Object;

/// How many of those who wait a status names.
const NEXT: usize = 10;
/// How many obstacles or flaws a condition names.
const NAMED: usize = 10;

/// A pool, and what its status says.
#[derive(Clone, Debug)]
pub(super) struct SeenPool {
    pub(super) pool: Pool,
    version: ResourceVersion,
    generation: Option<i64>,
    status: AddressPoolStatus,
}

impl SeenPool {
    pub(super) fn of(object: AddressPool) -> Self {
        let name = PoolName::new(object.name_any());
        let created = object.metadata.creation_timestamp.as_ref().map_or(0, |time| time.0.as_second());
        let spec = object.spec;
        let (mut ranges, mut defects) = (Vec::new(), Vec::new());
        for text in &spec.addresses {
            match Range::parse(text.trim()) {
                Ok(range) => ranges.push(range),
                Err(error) => defects.push(error.to_string()),
            }
        }
        let allocation = spec.service_allocation.unwrap_or_default();
        let pool = Pool {
            created,
            auto_assign: spec.auto_assign,
            avoid_buggy: spec.avoid_buggy_ips,
            priority: Some(allocation.priority).filter(|priority| *priority > 0),
            serves: serves(allocation, &mut defects),
            quota: spec.quota_per_namespace,
            draining: spec.draining,
            scheme: spec.scheme.map(Scheme::from),
            labels: object.metadata.labels.unwrap_or_default(),
            rebalance: match spec.rebalance {
                RebalanceText::WhenSteady => Rebalance::WhenSteady,
                RebalanceText::Never => Rebalance::Never,
            },
            defects,
            ..Pool::new(name, ranges)
        };
        Self {
            pool,
            version: ResourceVersion::new(object.metadata.resource_version.unwrap_or_default()),
            generation: object.metadata.generation,
            status: object.status.unwrap_or_default(),
        }
    }
}

impl Object for SeenPool {
    type Name = String;

    fn name(&self) -> String {
        self.pool.name.as_str().to_owned()
    }

    fn version(&self) -> Option<&ResourceVersion> {
        Some(&self.version)
    }

    fn same(&self, other: &Self) -> bool {
        (&self.pool, &self.status, self.generation) == (&other.pool, &other.status, other.generation)
    }
}

fn serves(allocation: ServiceAllocation, defects: &mut Vec<String>) -> Serves {
    let mut read = |selectors: Vec<LabelSelector>, field: &str| {
        let each = selectors.into_iter().enumerate().map(|(index, selector)| {
            selector_of(selector).map_err(|problem| format!("spec.serviceAllocation.{field}[{index}]: {problem}"))
        });
        let (good, bad): (Vec<_>, Vec<_>) = each.partition(Result::is_ok);
        defects.extend(bad.into_iter().filter_map(Result::err));
        good.into_iter().filter_map(Result::ok).collect::<Vec<Selector>>()
    };
    let namespace_selectors = read(allocation.namespace_selectors, "namespaceSelectors");
    let service_selectors = read(allocation.service_selectors, "serviceSelectors");
    Serves { namespaces: allocation.namespaces.into_iter().collect(), namespace_selectors, service_selectors }
}

pub(super) fn selector_of(selector: LabelSelector) -> Result<Selector, String> {
    let equal = selector.match_labels.unwrap_or_default().into_iter();
    let mut requirements: Vec<Requirement> =
        equal.map(|(key, value)| Requirement::In(key, BTreeSet::from([value]))).collect();
    for LabelSelectorRequirement { key, operator, values } in selector.match_expressions.unwrap_or_default() {
        let values: BTreeSet<String> = values.unwrap_or_default().into_iter().collect();
        requirements.push(match (operator.as_str(), values.is_empty()) {
            ("In", false) => Requirement::In(key, values),
            ("NotIn", false) => Requirement::NotIn(key, values),
            ("Exists", true) => Requirement::Exists(key),
            ("DoesNotExist", true) => Requirement::DoesNotExist(key),
            ("In" | "NotIn", true) => return Err(format!("operator {operator} needs values")),
            ("Exists" | "DoesNotExist", false) => return Err(format!("operator {operator} takes no values")),
            _ => return Err(format!("{operator:?} is no operator; write In, NotIn, Exists or DoesNotExist")),
        });
    }
    Ok(Selector { requirements })
}

/// Writes of each pool how it is used.
pub(super) struct Writer {
    api: Api<AddressPool>,
}

impl Writer {
    pub(super) fn new(client: Client) -> Self {
        Self { api: Api::all(client) }
    }

    /// Writes what differs; false if some could not be written.
    pub(super) async fn write<'a>(
        &self,
        site: &Site,
        pools: impl Iterator<Item = &'a SeenPool>,
        now: jiff::Timestamp,
    ) -> bool {
        let stale: Vec<(PoolName, ResourceVersion, AddressPoolStatus)> = site.observe(|world| {
            let checked = world.pools();
            let each = pools.filter_map(|seen| {
                let checked = checked.iter().find(|checked| checked.pool.name == seen.pool.name)?;
                let status = status(world, checked, seen, now);
                (status != seen.status).then(|| (seen.pool.name.clone(), seen.version.clone(), status))
            });
            each.collect()
        });
        let mut all = true;
        let parameters = PatchParams::default();
        for (name, version, status) in stale {
            let patch = Patch::Merge(json!({"metadata": {"resourceVersion": version}, "status": status}));
            let action = format!("patch the status of AddressPool {name}");
            let patched = self.api.patch_status(name.as_str(), &parameters, &patch);
            if let Err(error) = call(action, patched).await {
                match error.failure {
                    // The watch shows what it is like now.
                    Failure::Conflict | Failure::Gone => {}
                    Failure::Invalid | Failure::Forbidden | Failure::UnknownKind | Failure::Retry { .. } => {
                        tracing::warn!(%error, "the usage of a pool is not shown");
                        all = false;
                    }
                }
            }
        }
        all
    }
}

fn status(world: &World, checked: &Checked, seen: &SeenPool, now: jiff::Timestamp) -> AddressPoolStatus {
    let name = &checked.pool.name;
    let (v4, v6) = (world.usage(name, Family::V4), world.usage(name, Family::V6));
    let waiting: Vec<String> = world.waiting_for(name).map(|wish| wish.member.key().to_string()).collect();
    let flaws: Vec<String> = checked.flaws.iter().map(ToString::to_string).collect();
    let strangers = world.strangers_of(name).map(|(address, mac)| format!("{address} ({})", stranger(address, mac)));
    let taken = checked.taken.iter().map(|(address, who)| format!("{address} ({who})"));
    let taken: Vec<String> = taken.chain(strangers).collect();
    let ready = if flaws.is_empty() { ("True", "Ready", String::new()) } else { ("False", "Refused", listed(&flaws)) };
    let obstructed = if taken.is_empty() {
        ("False", "NothingInTheWay", String::new())
    } else {
        ("True", "TakenByOthers", format!("never given out: {}", listed(&taken)))
    };
    let off_link: Vec<String> =
        world.off_link(name).map(|(address, node)| format!("{address} (Node {node})")).collect();
    let off_link = (!off_link.is_empty()).then(|| {
        let message = format!(
            "on no prefix of the node that has it, where only routers with a route to it ask: {}",
            listed(&off_link)
        );
        ("True", "NoPrefix", message)
    });
    let condition = |kind: &str, (status, reason, message): (&str, &str, String)| {
        let before = seen.status.conditions.iter().find(|condition| condition.type_ == kind);
        let stands = before.filter(|before| before.status == status);
        Condition {
            last_transition_time: stands.map_or(Time(now), |before| before.last_transition_time.clone()),
            message,
            observed_generation: seen.generation,
            reason: reason.to_owned(),
            status: status.to_owned(),
            type_: kind.to_owned(),
        }
    };
    let own = Some(world.instance().as_str().to_owned());
    let by_another = seen.status.counted_by.is_some() && seen.status.counted_by != own;
    // Each Portolan knows those who wait for it alone; who counts first counts until nobody is left, so that none undoes what another says.
    let (waiting, next, counted_by) = if by_another {
        (seen.status.waiting, seen.status.next.clone(), seen.status.counted_by.clone())
    } else {
        let count = i64::try_from(waiting.len()).unwrap_or(i64::MAX);
        (count, waiting.into_iter().take(NEXT).collect(), own.filter(|_| count > 0))
    };
    AddressPoolStatus {
        conditions: [("Ready", ready), ("Obstructed", obstructed)]
            .into_iter()
            .chain(off_link.map(|told| ("PoolOffLink", told)))
            .map(|(kind, told)| condition(kind, told))
            .collect(),
        assigned: i64::from(v4.assigned) + i64::from(v6.assigned),
        assigned_ipv4: v4.assigned.into(),
        assigned_ipv6: v6.assigned.into(),
        available_ipv4: i64::try_from(v4.available).unwrap_or(i64::MAX),
        available_ipv6: i64::try_from(v6.available).unwrap_or(i64::MAX),
        waiting,
        counted_by,
        next,
    }
}

fn listed(all: &[String]) -> String {
    let named = all.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join("; ");
    if all.len() > NAMED { format!("{named}; and {} more", all.len() - NAMED) } else { named }
}

#[cfg(test)]
mod tests;
