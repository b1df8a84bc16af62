//! How many targets there is room for. AWS counts the targets of a balancer, those of each of its zones, and those of a group; one in several
//! groups counts in each (<https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-limits.html>). A call that goes beyond is
//! refused as a whole, and the group would stay as it is for ever. So who is a target is chosen: each listener gets as many as the others, whoever
//! is registered stays, and who else comes has nothing to do with who else is there. One that comes or goes moves no other.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use portolan_core::ids::fnv1a;

use super::{Input, Listener, Model};
use crate::attributes::table::CROSS_ZONE;
use crate::attributes::{AttributeKey, LOAD_BALANCER};
use crate::plan::group_of;
use crate::state::{Balancer, Target};

/// Targets that a group can have.
const IN_GROUP: usize = 1000;
/// Targets that a balancer can have.
const IN_BALANCER: usize = 3000;
/// Targets that it can have in one zone; where load balancing goes across zones, in all of them together.
const IN_ZONE: usize = 500;

/// Leaves out those for whom there is no room, and says how many may be registered in each group at once, those who leave included.
pub(super) fn fit(model: &mut Model, input: &Input<'_>, current: Option<&Balancer>) {
    let all: usize = model.listeners.iter().map(|listener| listener.group.targets.len()).sum();
    // Almost always: wherever they are, there is room.
    if let Some(spare) = IN_ZONE.checked_sub(all) {
        return share_out(model, spare);
    }
    let across = is_across(model, current);
    let zones = Zones::of(input);
    let mut queues: Vec<_> = model.listeners.iter().map(|listener| in_order(listener, input, current)).collect();
    let mut taken: Vec<BTreeSet<Target>> = vec![BTreeSet::new(); queues.len()];
    let mut counted = Counted::default();
    // One for each in turn.
    while queues.iter().any(|queue| !queue.is_empty()) {
        for (queue, taken) in queues.iter_mut().zip(&mut taken) {
            while let Some(target) = queue.pop() {
                let zone = if across { String::new() } else { zones.zone(&target) };
                if taken.len() < IN_GROUP && counted.take(zone) {
                    taken.insert(target);
                    break;
                }
            }
        }
    }
    for (listener, taken) in model.listeners.iter_mut().zip(taken) {
        listener.group.left_out = listener.group.targets.len().saturating_sub(taken.len());
        listener.group.targets.retain(|target, _| taken.contains(target));
    }
    share_out(model, counted.spare());
}

/// Each listener may have as many more at once as the others.
fn share_out(model: &mut Model, spare: usize) {
    let each = spare.checked_div(model.listeners.len()).unwrap_or_default();
    for Listener { group, .. } in &mut model.listeners {
        group.room = IN_GROUP.min(group.targets.len().saturating_add(each));
    }
}

/// The last one first: whoever is registered, and then in an order that each has by itself.
fn in_order(listener: &Listener, input: &Input<'_>, current: Option<&Balancer>) -> Vec<Target> {
    let group = current.and_then(|current| group_of(input.observed, current, listener));
    let registered: BTreeSet<&Target> =
        group.into_iter().flat_map(|group| group.staying()).map(|registered| &registered.target).collect();
    let mut targets: Vec<Target> = listener.group.targets.keys().cloned().collect();
    let number = |target: &Target| fnv1a(target.to_string().as_bytes());
    targets.sort_by_cached_key(|target| (registered.contains(target), number(target), target.clone()));
    targets
}

/// As somebody sets it, or else as it is.
fn is_across(model: &Model, current: Option<&Balancer>) -> bool {
    let set = AttributeKey::parse(LOAD_BALANCER, CROSS_ZONE).ok().and_then(|key| model.attributes.get(&key));
    let is = || current.and_then(|current| current.attributes.values.get(CROSS_ZONE));
    set.or_else(is).is_some_and(|value| value == "true")
}

#[derive(Default)]
struct Counted {
    all: usize,
    by_zone: BTreeMap<String, usize>,
}

impl Counted {
    /// One more, if there is room.
    fn take(&mut self, zone: String) -> bool {
        let here = self.by_zone.entry(zone).or_default();
        let fits = self.all < IN_BALANCER && *here < IN_ZONE;
        if fits {
            *here = here.saturating_add(1);
            self.all = self.all.saturating_add(1);
        }
        fits
    }

    /// How many more there is room for, wherever they are.
    fn spare(&self) -> usize {
        let fullest = self.by_zone.values().max().copied().unwrap_or_default();
        IN_BALANCER.saturating_sub(self.all).min(IN_ZONE.saturating_sub(fullest))
    }
}

/// Where targets are: instances by their node's providerID, addresses by their subnet. All others are taken for those of one zone.
struct Zones<'a> {
    input: &'a Input<'a>,
    of_instances: BTreeMap<String, String>,
}

impl<'a> Zones<'a> {
    fn of(input: &'a Input<'a>) -> Self {
        let of_node = |provider_id: &str| {
            let zone = provider_id.strip_prefix("aws://")?.rsplit('/').nth(1).unwrap_or_default();
            Some((input.estate.instance(provider_id)?, zone.to_owned()))
        };
        let nodes = input.desired.nodes.iter().filter_map(|node| node.provider_id.as_deref());
        Self { input, of_instances: nodes.filter_map(of_node).collect() }
    }

    fn zone(&self, target: &Target) -> String {
        let Ok(address) = target.id.parse::<IpAddr>() else {
            return self.of_instances.get(&target.id).cloned().unwrap_or_default();
        };
        let subnet = self.input.estate.subnets.iter().flatten().find(|subnet| subnet.has(address));
        subnet.map(|subnet| subnet.zone.clone()).unwrap_or_default()
    }
}
