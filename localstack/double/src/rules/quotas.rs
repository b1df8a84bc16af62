//! How many of everything: NLB guide, "Quotas for your Network Load Balancers"; VPC guide, "Amazon VPC quotas".

use crate::estate::{Balancer, Estate, Group};
use crate::refusal::Refusal;

/// The quotas of an account in a region. Tests that want to reach one cheaply make it smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quotas {
    /// Network load balancers: 50.
    pub balancers: usize,
    /// Network interfaces of balancers in a VPC, one for each zone of a balancer: 1,200.
    pub interfaces_per_vpc: usize,
    /// Target groups: 3,000, shared with application load balancers.
    pub groups: usize,
    /// Listeners of a balancer: 50; AWS does not raise it.
    pub listeners: usize,
    /// Certificates of a balancer, without the listeners' default ones: 25.
    pub certificates: usize,
    /// Targets of a group: 1,000.
    pub targets_per_group: usize,
    /// Targets of a balancer: 3,000.
    pub targets_per_balancer: usize,
    /// Targets of a balancer in one zone: 500. With cross-zone load balancing on, of the whole balancer.
    pub targets_per_zone: usize,
    /// Rules of a security group in one direction: 60, for each family.
    pub rules_per_security_group: usize,
}

impl Default for Quotas {
    fn default() -> Self {
        Self {
            balancers: 50,
            interfaces_per_vpc: 1200,
            groups: 3000,
            listeners: 50,
            certificates: 25,
            targets_per_group: 1000,
            targets_per_balancer: 3000,
            targets_per_zone: 500,
            rules_per_security_group: 60,
        }
    }
}

/// Is there room for one more balancer?
pub(crate) fn balancers(estate: &Estate, quotas: &Quotas) -> Result<(), Refusal> {
    room(estate.balancers.len() < quotas.balancers, "TooManyLoadBalancers", quotas.balancers)
}

/// Is there room for the network interfaces of this balancer, one for each of its zones? The API reference names no error for it; the double says
/// what it says of balancers.
pub(crate) fn interfaces(estate: &Estate, wanted: &Balancer, quotas: &Quotas) -> Result<(), Refusal> {
    let others = estate.balancers.iter().filter(|other| other.vpc == wanted.vpc && other.name != wanted.name);
    let all: usize = others.chain([wanted]).map(|one| one.mappings.len()).sum();
    room(all <= quotas.interfaces_per_vpc, "TooManyLoadBalancers", quotas.interfaces_per_vpc)
}

/// Is there room for one more group?
pub(crate) fn groups(estate: &Estate, quotas: &Quotas) -> Result<(), Refusal> {
    room(estate.groups.len() < quotas.groups, "TooManyTargetGroups", quotas.groups)
}

/// Is there room for one more listener on this balancer?
pub(crate) fn listeners(estate: &Estate, balancer: &str, quotas: &Quotas) -> Result<(), Refusal> {
    room(estate.listeners_of(balancer).count() < quotas.listeners, "TooManyListeners", quotas.listeners)
}

/// Do the certificates of this balancer fit, these more included?
pub(crate) fn certificates(estate: &Estate, balancer: &str, more: usize, quotas: &Quotas) -> Result<(), Refusal> {
    let now: usize = estate.listeners_of(balancer).map(|listener| listener.more_certificates.len()).sum();
    room(now + more <= quotas.certificates, "TooManyCertificates", quotas.certificates)
}

/// Do the targets of this group fit into it?
pub(crate) fn group_targets(group: &Group, quotas: &Quotas) -> Result<(), Refusal> {
    room(registered(group) <= quotas.targets_per_group, "TooManyTargets", quotas.targets_per_group)
}

/// Do the targets of these groups, taken together, fit a balancer? A target in several groups counts in each.
pub(crate) fn balancer_targets<'a>(
    groups: impl Iterator<Item = &'a Group>,
    cross_zone: bool,
    quotas: &Quotas,
) -> Result<(), Refusal> {
    let mut zones = std::collections::BTreeMap::new();
    let mut total = 0;
    for target in groups.flat_map(|group| &group.targets).filter(|target| target.is_registered()) {
        total += 1;
        if let Some(zone) = &target.zone {
            *zones.entry(zone).or_insert(0) += 1;
        }
    }
    room(total <= quotas.targets_per_balancer, "TooManyTargets", quotas.targets_per_balancer)?;
    let fullest = if cross_zone { total } else { zones.into_values().max().unwrap_or_default() };
    room(fullest <= quotas.targets_per_zone, "TooManyTargets", quotas.targets_per_zone)
}

fn registered(group: &Group) -> usize {
    group.targets.iter().filter(|target| target.is_registered()).count()
}

fn room(there_is: bool, code: &str, quota: usize) -> Result<(), Refusal> {
    if there_is { Ok(()) } else { Err(Refusal::new(code, format!("the quota is {quota}"))) }
}
