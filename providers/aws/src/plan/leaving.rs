//! What goes: generations that are replaced, in their own time, and everything when nothing is wanted any more.

use portolan_core::balancer::Published;
use portolan_core::reason::Reason;
use portolan_core::refusal::{Refusal, Refused};

use super::{Generation, groups, security};
use crate::attributes::table::DELETION_PROTECTION;
use crate::attributes::{AttributeKey, Attributes, LOAD_BALANCER};
use crate::state::{Balancer, Group, Health, Leaving, State};
use crate::step::{AttributesOf, Object, Step};

/// Removes all there is, from what is observed alone: balancers with their listeners, then the groups that are free by then.
pub(super) fn everything(observed: &State, steps: &mut Vec<Step>) -> Result<(), Refusal> {
    let protected = observed.balancers.iter().filter(|balancer| is_protected(balancer));
    let reasons = protected.map(|balancer| {
        let why = format!(
            "load balancer {} is protected from deletion; switch {DELETION_PROTECTION} off at AWS",
            balancer.name
        );
        Refused::whole(Reason::ProviderRefused, why)
    });
    Refusal::unless_empty(reasons.collect())?;
    steps.extend(observed.balancers.iter().map(|balancer| delete(balancer, false)));
    steps.extend(observed.groups.iter().map(|group| Step::DeleteGroup { group: groups::of(group) }));
    // A group that rules name cannot be deleted, and the one that all share not before the interfaces have gone: nothing waits for that.
    let withdraws_last = !observed.named_at_targets;
    steps.extend((!withdraws_last).then_some(Step::Withdraw));
    steps.extend(observed.security_groups.iter().map(security::delete));
    if withdraws_last && (!steps.is_empty() || observed.admitted.is_some() || observed.awaited) {
        steps.push(Step::Withdraw);
    }
    Ok(())
}

/// Marks those that are replaced, once no client can be sent to them any more: the successor takes traffic and is published, and they are not.
pub(super) fn retire(observed: &State, published: &[Published], generation: &Generation<'_>, steps: &mut Vec<Step>) {
    let Some(target) = generation.existing else { return };
    if !target.is_active() || !target.is_among(published) {
        return;
    }
    for other in observed.staying().filter(|other| other.generation != target.generation) {
        if other.is_among(published) {
            continue;
        }
        if other.is_active() {
            steps.push(Step::Retire { balancer: object(other) });
        } else {
            remove(other, observed, steps);
        }
    }
}

/// Goes on with those that are marked: when clients have forgotten their addresses their targets finish, and then they are deleted.
pub(super) fn left(observed: &State, published: &[Published], steps: &mut Vec<Step>) {
    for balancer in &observed.balancers {
        if balancer.leaving != Leaving::Forgotten || balancer.is_among(published) {
            continue;
        }
        let deregister = |group: &Group| {
            let targets: Vec<_> = group.staying().map(|registered| registered.target.clone()).collect();
            (!targets.is_empty()).then(|| Step::Deregister { group: groups::of(group), targets })
        };
        let finishing: Vec<Step> = observed.groups_of(balancer).filter_map(deregister).collect();
        if !finishing.is_empty() {
            steps.extend(finishing);
        } else if !is_finishing(observed, balancer) {
            remove(balancer, observed, steps);
        }
    }
}

/// Some of its targets finish their connections.
pub(crate) fn is_finishing(observed: &State, balancer: &Balancer) -> bool {
    let is_draining = |group: &Group| group.targets.iter().any(|registered| registered.health == Health::Draining);
    observed.groups_of(balancer).any(is_draining)
}

/// Removes one whose name or addresses its successor needs. Its groups are free later.
pub(super) fn with_a_gap(balancer: &Balancer, steps: &mut Vec<Step>) {
    unprotect(balancer, steps);
    steps.push(delete(balancer, true));
}

fn remove(balancer: &Balancer, observed: &State, steps: &mut Vec<Step>) {
    unprotect(balancer, steps);
    steps.push(delete(balancer, false));
    steps.extend(observed.groups_of(balancer).map(|group| Step::DeleteGroup { group: groups::of(group) }));
    steps.extend(observed.security_group(balancer.generation).map(security::delete));
}

/// What is replaced was asked to be, so that the protection which was asked for too does not hold it.
fn unprotect(balancer: &Balancer, steps: &mut Vec<Step>) {
    if is_protected(balancer)
        && let Ok(key) = AttributeKey::parse(LOAD_BALANCER, DELETION_PROTECTION)
    {
        let values = Attributes::from([(key, "false".to_owned())]);
        let owned = balancer.attributes.owned.clone();
        steps.push(Step::SetAttributes { of: AttributesOf::Balancer(object(balancer)), values, owned });
    }
}

fn delete(balancer: &Balancer, gap: bool) -> Step {
    Step::DeleteBalancer { balancer: object(balancer), gap }
}

fn is_protected(balancer: &Balancer) -> bool {
    balancer.attributes.values.get(DELETION_PROTECTION).map(String::as_str) == Some("true")
}

fn object(balancer: &Balancer) -> Object {
    Object { name: balancer.name.clone(), arn: Some(balancer.arn.clone()) }
}
