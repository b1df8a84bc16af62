//! The security group that we keep for a generation: exact ports, and rules added before others are revoked. Only rules with our mark are ever
//! revoked, because only those are observed.

use std::collections::BTreeSet;

use ipnet::IpNet;
use portolan_core::reason::Reason;
use portolan_core::refusal::{Refusal, Refused};

use super::{Generation, groups, tags};
use crate::client::ec2::groups::RULES;
use crate::estate::prefix_lists::PrefixLists;
use crate::ids::PrefixListId;
use crate::model::{Firewall, Model};
use crate::names::{GENERATION, NAME};
use crate::state::{Balancer, Rule, SecurityGroup, Source, State};
use crate::step::{SecurityGroupOf, Step, Tagged};

/// Asks as how many rules prefix lists count, if rules are to be opened and nobody has asked: whether they fit is decided before anything is
/// written.
pub(super) fn weigh(model: &Model, observed: &State, generation: &Generation<'_>, steps: &mut Vec<Step>) {
    if !matches!(model.firewall, Firewall::Managed { .. }) {
        return;
    }
    let existing = observed.security_group(generation.number);
    let wanted = wanted(model, generation);
    if missing(&wanted, existing).next().is_none() {
        return;
    }
    let there = existing.into_iter().flat_map(|group| named(&group.rules).chain(group.lists_of_others.keys()));
    let lists = model.prefix_lists.unknown(named(&wanted).chain(there));
    if !lists.is_empty() {
        steps.push(Step::Weigh { lists });
    }
}

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
    let name = model.names.security_group(generation.number);
    let mut tags = model.tags.clone();
    tags.insert(GENERATION.to_owned(), generation.number.to_string());
    tags.entry(NAME.to_owned()).or_insert_with(|| name.clone());
    match existing {
        None => {
            let (generation, vpc) = (generation.number, model.vpc.clone());
            steps.push(Step::CreateSecurityGroup { name, generation, vpc, tags });
        }
        Some(_) if model.pinned => {}
        Some(group) => {
            let of = || Tagged::SecurityGroup { id: group.id.clone(), name: group.name.clone() };
            tags::put(model, observed, &group.tags, tags, of, steps);
        }
    }
    // Whoever comes cannot be let in beside whoever goes: between the two calls both are kept out.
    if let Some(group) = existing.filter(|group| lacks_room(model, group, &wanted)) {
        close_surplus(group, &wanted, true, steps);
    }
    let missing = missing(&wanted, existing).cloned().collect();
    let group = of(model, observed, generation);
    rules(missing, |rules| Step::OpenRules { group: group.clone(), rules }, steps);
    Ok(())
}

/// Closes what is to be closed, and removes groups that no balancer has any more.
pub(super) fn close(model: &Model, observed: &State, generation: &Generation<'_>, steps: &mut Vec<Step>) {
    let is_managed = matches!(model.firewall, Firewall::Managed { .. });
    for group in &observed.security_groups {
        if group.generation == generation.number && is_managed {
            let wanted = wanted(model, generation);
            if !lacks_room(model, group, &wanted) {
                close_surplus(group, &wanted, false, steps);
            }
        } else if group.generation == generation.number || !has_balancer(observed, group) {
            steps.push(delete(group));
        }
    }
}

/// What is to be open and is not.
fn missing<'a>(wanted: &'a BTreeSet<Rule>, existing: Option<&'a SecurityGroup>) -> impl Iterator<Item = &'a Rule> {
    let is_open = |rule: &Rule, group: &SecurityGroup| group.rules.contains(rule) || group.foreign.contains(rule);
    wanted.iter().filter(move |rule| existing.is_none_or(|group| !is_open(rule, group)))
}

/// The prefix lists that rules name.
fn named(rules: &BTreeSet<Rule>) -> impl Iterator<Item = &PrefixListId> {
    rules.iter().filter_map(|rule| match &rule.source {
        Source::PrefixList(list) => Some(list),
        Source::Network(_) => None,
    })
}

/// The rules for the listeners that are ours: nobody is let in to somebody else's.
fn wanted(model: &Model, generation: &Generation<'_>) -> BTreeSet<Rule> {
    let fronts = groups::served(model, generation).map(|listener| (listener.port, listener.front.protocol()));
    model.firewall.rules(fronts)
}

fn close_surplus(group: &SecurityGroup, wanted: &BTreeSet<Rule>, gap: bool, steps: &mut Vec<Step>) {
    let surplus = group.rules.difference(wanted).cloned().collect();
    let id = SecurityGroupOf::Id(group.id.clone());
    rules(surplus, |rules| Step::CloseRules { group: id.clone(), rules, gap }, steps);
}

/// The rules that come do not fit beside those that go, so that those go first.
fn lacks_room(model: &Model, group: &SecurityGroup, wanted: &BTreeSet<Rule>) -> bool {
    let lists = &model.prefix_lists;
    counted(wanted.union(&group.rules), lists).saturating_add(of_others(group, lists)) > model.rule_budget
}

/// Whom the sources keep out now does not get in at the predecessor either; but nothing is opened there for what comes.
pub(super) fn narrow(model: &Model, observed: &State, other: &Balancer, steps: &mut Vec<Step>) {
    let (Firewall::Managed { sources, .. }, Some(group)) = (&model.firewall, observed.security_group(other.generation))
    else {
        return;
    };
    let surplus = group.rules.iter().filter(|rule| !sources.contains(&rule.source)).cloned().collect();
    let id = SecurityGroupOf::Id(group.id.clone());
    rules(surplus, |rules| Step::CloseRules { group: id.clone(), rules, gap: false }, steps);
}

/// The group of a generation, which may be yet to be made.
pub(super) fn of(model: &Model, observed: &State, generation: &Generation<'_>) -> SecurityGroupOf {
    match observed.security_group(generation.number) {
        Some(group) => SecurityGroupOf::Id(group.id.clone()),
        None => SecurityGroupOf::Made(model.names.security_group(generation.number)),
    }
}

/// The groups that are kept for it and that some balancer of it has, or is about to have.
pub(super) fn carried(
    model: &Model,
    observed: &State,
    generation: Option<&Generation<'_>>,
) -> BTreeSet<SecurityGroupOf> {
    let there = observed.security_groups.iter().filter(|group| has_balancer(observed, group));
    let next = generation.map(|generation| of(model, observed, generation));
    there.map(|group| SecurityGroupOf::Id(group.id.clone())).chain(next).collect()
}

pub(super) fn delete(group: &SecurityGroup) -> Step {
    Step::DeleteSecurityGroup { id: group.id.clone(), name: group.name.clone() }
}

fn has_balancer(observed: &State, group: &SecurityGroup) -> bool {
    observed.balancers.iter().any(|balancer| balancer.generation == group.generation)
}

fn rules(rules: BTreeSet<Rule>, step: impl Fn(Vec<Rule>) -> Step, steps: &mut Vec<Step>) {
    let rules: Vec<Rule> = rules.into_iter().collect();
    steps.extend(rules.chunks(RULES).map(|rules| step(rules.to_vec())));
}

/// AWS counts rules for IPv4 and for IPv6 separately, and one whose source is a prefix list for both, for as many as [`PrefixLists`] says
/// (<https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html#vpc-limits-security-groups>).
fn counted<'a>(rules: impl Iterator<Item = &'a Rule>, lists: &PrefixLists) -> usize {
    let (mut v4, mut v6) = (0_usize, 0_usize);
    for rule in rules {
        let (of_v4, of_v6) = match &rule.source {
            Source::Network(IpNet::V4(_)) => (1, 0),
            Source::Network(IpNet::V6(_)) => (0, 1),
            Source::PrefixList(list) => (lists.rules(list), lists.rules(list)),
        };
        v4 = v4.saturating_add(of_v4);
        v6 = v6.saturating_add(of_v6);
    }
    v4.max(v6)
}

/// The same for the rules of others, whatever their family.
fn of_others(group: &SecurityGroup, lists: &PrefixLists) -> usize {
    let more = |(list, rules): (&PrefixListId, &usize)| lists.rules(list).saturating_sub(1).saturating_mul(*rules);
    group.lists_of_others.iter().map(more).fold(group.others, usize::saturating_add)
}

fn within_budget(model: &Model, existing: Option<&SecurityGroup>, wanted: &BTreeSet<Rule>) -> Result<(), Refusal> {
    let lists = &model.prefix_lists;
    let others = existing.map_or(0, |group| of_others(group, lists));
    let needed = counted(wanted.iter(), lists).saturating_add(others);
    if needed <= model.rule_budget {
        return Ok(());
    }
    let weights: BTreeSet<String> = named(wanted).map(|list| format!("{list} for {}", lists.rules(list))).collect();
    let (weights, or_smaller) = if weights.is_empty() {
        (String::new(), "")
    } else {
        let weights = Vec::from_iter(weights).join(", ");
        (
            format!(" (a prefix list counts for as many as it may have entries: {weights})"),
            "give a prefix list fewer maximum entries, ",
        )
    };
    let message = format!(
        "the security group would need {needed} inbound rules, one for each port and source{weights}, and AWS allows {}; name fewer \
         sources, {or_smaller}or raise the quota and tell it as rulesPerSecurityGroup in the class's parameters",
        model.rule_budget
    );
    Err(Refusal::one(Refused::whole(Reason::ProviderRefused, message)))
}
