//! The security group that we keep for a generation: exact ports, and rules added before others are revoked. Only rules with our mark are ever
//! revoked, because only those are observed.

use std::collections::BTreeSet;

use ipnet::IpNet;
use portolan_core::reason::Reason;
use portolan_core::refusal::{Refusal, Refused};

use super::{Generation, groups};
use crate::model::{Firewall, Model};
use crate::names::GENERATION;
use crate::state::{Balancer, Rule, SecurityGroup, Source, State};
use crate::step::{SecurityGroupOf, Step};

/// Rules that one call takes: AWS has no number of its own for it but the quota of a group, which can be raised to this.
const RULES_PER_CALL: usize = 1000;

/// Makes the group and opens what is to be open.
pub(super) fn open(
    model: &Model,
    observed: &State,
    generation: &Generation<'_>,
    steps: &mut Vec<Step>,
) -> Result<(), Refusal> {
    if !matches!(model.firewall, Firewall::Managed { .. }) {
        return Ok(());
    }
    let existing = observed.security_group(generation.number);
    let wanted = wanted(model, generation);
    within_budget(model, existing, &wanted)?;
    if existing.is_none() {
        let mut tags = model.tags.clone();
        tags.insert(GENERATION.to_owned(), generation.number.to_string());
        steps.push(Step::CreateSecurityGroup {
            name: model.names.security_group(generation.number),
            generation: generation.number,
            vpc: model.vpc.clone(),
            tags,
        });
    }
    if let Some(group) = existing.filter(|group| lacks_room(model, group, &wanted)) {
        close_surplus(group, &wanted, steps);
    }
    let missing = wanted.iter().filter(|rule| existing.is_none_or(|group| !group.rules.contains(rule)));
    let group = of(model, observed, generation);
    rules(missing.cloned().collect(), |rules| Step::OpenRules { group: group.clone(), rules }, steps);
    Ok(())
}

/// Closes what is to be closed, and removes groups that no balancer has any more.
pub(super) fn close(model: &Model, observed: &State, generation: &Generation<'_>, steps: &mut Vec<Step>) {
    let is_managed = matches!(model.firewall, Firewall::Managed { .. });
    for group in &observed.security_groups {
        if group.generation == generation.number && is_managed {
            let wanted = wanted(model, generation);
            if !lacks_room(model, group, &wanted) {
                close_surplus(group, &wanted, steps);
            }
        } else if group.generation == generation.number || !has_balancer(observed, group) {
            steps.push(delete(group));
        }
    }
}

/// The rules for the listeners that are ours: nobody is let in to somebody else's.
fn wanted(model: &Model, generation: &Generation<'_>) -> BTreeSet<Rule> {
    let fronts = groups::served(model, generation).map(|listener| (listener.port, listener.front.protocol()));
    model.firewall.rules(fronts)
}

fn close_surplus(group: &SecurityGroup, wanted: &BTreeSet<Rule>, steps: &mut Vec<Step>) {
    let surplus = group.rules.difference(wanted).cloned().collect();
    let id = SecurityGroupOf::Id(group.id.clone());
    rules(surplus, |rules| Step::CloseRules { group: id.clone(), rules }, steps);
}

/// The rules that come do not fit beside those that go, so that those go first.
fn lacks_room(model: &Model, group: &SecurityGroup, wanted: &BTreeSet<Rule>) -> bool {
    counted(wanted.union(&group.rules)).saturating_add(group.others) > model.rule_budget
}

/// Whom the sources keep out now does not get in at the predecessor either; but nothing is opened there for what comes.
pub(super) fn narrow(model: &Model, observed: &State, other: &Balancer, steps: &mut Vec<Step>) {
    let (Firewall::Managed { sources, .. }, Some(group)) = (&model.firewall, observed.security_group(other.generation))
    else {
        return;
    };
    let surplus = group.rules.iter().filter(|rule| !sources.contains(&rule.source)).cloned().collect();
    let id = SecurityGroupOf::Id(group.id.clone());
    rules(surplus, |rules| Step::CloseRules { group: id.clone(), rules }, steps);
}

/// The group of a generation, which may be yet to be made.
pub(super) fn of(model: &Model, observed: &State, generation: &Generation<'_>) -> SecurityGroupOf {
    match observed.security_group(generation.number) {
        Some(group) => SecurityGroupOf::Id(group.id.clone()),
        None => SecurityGroupOf::Made(model.names.security_group(generation.number)),
    }
}

pub(super) fn delete(group: &SecurityGroup) -> Step {
    Step::DeleteSecurityGroup { id: group.id.clone(), name: group.name.clone() }
}

fn has_balancer(observed: &State, group: &SecurityGroup) -> bool {
    observed.balancers.iter().any(|balancer| balancer.generation == group.generation)
}

fn rules(rules: BTreeSet<Rule>, step: impl Fn(Vec<Rule>) -> Step, steps: &mut Vec<Step>) {
    let rules: Vec<Rule> = rules.into_iter().collect();
    steps.extend(rules.chunks(RULES_PER_CALL).map(|rules| step(rules.to_vec())));
}

/// AWS counts rules for IPv4 and for IPv6 separately. A prefix list counts for as many as it may have entries, which only AWS knows; here it
/// counts for one in each family
/// (<https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html#vpc-limits-security-groups>).
fn counted<'a>(rules: impl Iterator<Item = &'a Rule>) -> usize {
    let (mut v4, mut v6) = (0_usize, 0_usize);
    for rule in rules {
        let (is_v4, is_v6) = match &rule.source {
            Source::Network(IpNet::V4(_)) => (1, 0),
            Source::Network(IpNet::V6(_)) => (0, 1),
            Source::PrefixList(_) => (1, 1),
        };
        v4 = v4.saturating_add(is_v4);
        v6 = v6.saturating_add(is_v6);
    }
    v4.max(v6)
}

fn within_budget(model: &Model, existing: Option<&SecurityGroup>, wanted: &BTreeSet<Rule>) -> Result<(), Refusal> {
    let others = existing.map_or(0, |group| group.others);
    let needed = counted(wanted.iter()).saturating_add(others);
    if needed <= model.rule_budget {
        return Ok(());
    }
    let message = format!(
        "the security group would need {needed} inbound rules, one for each port and source, and AWS allows {}; name fewer source ranges, \
         use a prefix list, or raise the quota",
        model.rule_budget
    );
    Err(Refusal::one(Refused::whole(Reason::ProviderRefused, message)))
}
