//! The security group that we keep for a generation: exact ports, and rules added before others are revoked. Only rules with our mark are ever
//! revoked, because only those are observed.

use std::collections::BTreeSet;

use ipnet::IpNet;
use portolan_core::reason::Reason;
use portolan_core::refusal::{Refusal, Refused};

use super::Generation;
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
    let wanted = model.rules();
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
            let wanted = model.rules();
            let surplus = group.rules.difference(&wanted).cloned().collect();
            let id = SecurityGroupOf::Id(group.id.clone());
            rules(surplus, |rules| Step::CloseRules { group: id.clone(), rules }, steps);
        } else if group.generation == generation.number || !has_balancer(observed, group) {
            steps.push(delete(group));
        }
    }
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

/// AWS counts rules for IPv4 and for IPv6 separately, while they are added beside those that go. A prefix list counts for as many as it may have
/// entries, which only AWS knows; here it counts for one in each family
/// (<https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html#vpc-limits-security-groups>).
fn within_budget(model: &Model, existing: Option<&SecurityGroup>, wanted: &BTreeSet<Rule>) -> Result<(), Refusal> {
    let others = existing.map_or(0, |group| group.others);
    let of = |is_v6: bool| {
        let counts = |rule: &&Rule| match &rule.source {
            Source::Network(IpNet::V4(_)) => !is_v6,
            Source::Network(IpNet::V6(_)) => is_v6,
            Source::PrefixList(_) => true,
        };
        wanted.iter().filter(counts).count().saturating_add(others)
    };
    let needed = of(false).max(of(true));
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
