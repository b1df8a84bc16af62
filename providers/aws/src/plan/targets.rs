//! Targets: registered before others leave, and none that takes traffic leaves before another one does. So an endless rolling update never has
//! fewer healthy targets than there are to be.

use std::collections::BTreeSet;

use super::{Generation, groups};
use crate::model::{MOST_TARGETS, Model};
use crate::state::{Balancer, Group, Health, State, Target};
use crate::step::{Object, Step};

/// Targets that one call takes, as the AWS Load Balancer Controller has them; AWS's reference names no number.
const TARGETS_PER_CALL: usize = 200;

/// The targets behind the listeners of the generation that is to serve.
pub(super) fn put(model: &Model, observed: &State, generation: &Generation<'_>, steps: &mut Vec<Step>) {
    for listener in groups::served(model, generation) {
        let existing = groups::existing(model, observed, generation, listener);
        let object = groups::object(model, observed, generation, listener);
        if !groups::swaps(generation, listener, existing) {
            register(&object, &listener.group.targets, existing, steps);
        }
        deregister(&object, &listener.group.targets, existing, steps);
    }
}

/// The same for one that only follows: what it has of the model's listeners.
pub(super) fn of_existing(model: &Model, observed: &State, balancer: &Balancer, steps: &mut Vec<Step>) {
    for listener in &model.listeners {
        if let Some(group) = groups::group_of(observed, balancer, listener) {
            let object = groups::of(group);
            register(&object, &listener.group.targets, Some(group), steps);
            deregister(&object, &listener.group.targets, Some(group), steps);
        }
    }
}

/// Those that are to be in a group, as many as it takes: whoever is registered already stays.
pub(crate) fn wanted<'a>(targets: &'a BTreeSet<Target>, existing: Option<&Group>) -> BTreeSet<&'a Target> {
    if targets.len() <= MOST_TARGETS {
        return targets.iter().collect();
    }
    let registered: BTreeSet<&Target> = staying(existing).map(|(target, _)| target).collect();
    let (first, rest): (Vec<_>, Vec<_>) = targets.iter().partition(|target| registered.contains(target));
    first.into_iter().chain(rest).take(MOST_TARGETS).collect()
}

fn staying(group: Option<&Group>) -> impl Iterator<Item = (&Target, Health)> {
    group.into_iter().flat_map(Group::staying).map(|registered| (&registered.target, registered.health))
}

pub(super) fn register(group: &Object, targets: &BTreeSet<Target>, existing: Option<&Group>, steps: &mut Vec<Step>) {
    let registered: BTreeSet<&Target> = staying(existing).map(|(target, _)| target).collect();
    let missing: Vec<&Target> = wanted(targets, existing).difference(&registered).copied().collect();
    steps.extend(
        missing.chunks(TARGETS_PER_CALL).map(|targets| Step::Register {
            group: group.clone(),
            targets: targets.iter().copied().cloned().collect(),
        }),
    );
}

/// Whoever takes no traffic leaves at once. Of the healthy ones leave as many as there are more healthy than there are to be, or, while too
/// few are, more than before.
fn deregister(group: &Object, targets: &BTreeSet<Target>, existing: Option<&Group>, steps: &mut Vec<Step>) {
    let wanted = wanted(targets, existing);
    let is_healthy = |(_, health): &(&Target, Health)| *health == Health::Healthy;
    let (kept, surplus): (Vec<_>, Vec<_>) = staying(existing).partition(|(target, _)| wanted.contains(target));
    let (serving, idle): (Vec<_>, Vec<_>) = surplus.into_iter().partition(is_healthy);
    let healthy = kept.into_iter().filter(is_healthy).count().saturating_add(serving.len());
    let may_leave = healthy.saturating_sub(healthy.min(wanted.len()));
    let mut leave: Vec<Target> =
        idle.into_iter().chain(serving.into_iter().take(may_leave)).map(|(target, _)| target.clone()).collect();
    leave.sort();
    steps.extend(
        leave
            .chunks(TARGETS_PER_CALL)
            .map(|targets| Step::Deregister { group: group.clone(), targets: targets.to_vec() }),
    );
}
