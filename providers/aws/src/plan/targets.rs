//! Targets: registered before others leave, and none that takes traffic leaves before another one does. So an endless rolling update never has
//! fewer healthy targets than there are to be.
//!
//! A registration is for one pod. One whose address another pod has by now leaves before anything else is done: it would send clients there.
//! Where the other pod is to be a target itself, it is registered anew, so that nobody takes it for healthy because of the pod before it; a few
//! at a time, because AWS takes minutes to find it so. The same where AWS has no room for those who come beside those who go.

use std::collections::{BTreeMap, BTreeSet};

use portolan_core::ids::Uid;

use super::{Generation, groups};
use crate::client::elb::targets::BATCH;
use crate::model::{self, Model};
use crate::state::{Balancer, Bound, Group, Health, Registered, State, Target};
use crate::step::{Object, Step};

/// Of so many targets one may go at a time without another one in its place, as Deployments replace pods if nobody says otherwise (`maxUnavailable: 25%`).
const ONE_OF: usize = 4;

/// Who is to be a target, and which pod that is.
pub(super) type Wanted = BTreeMap<Target, Option<Uid>>;

/// The targets behind the listeners of the generation that is to serve.
pub(super) fn put(model: &Model, observed: &State, generation: &Generation<'_>, steps: &mut Vec<Step>) {
    for listener in groups::served(model, generation) {
        let existing = groups::existing(model, observed, generation, listener);
        let object = groups::object(model, observed, generation, listener);
        if !groups::swaps(generation, listener, existing) {
            register(&object, &listener.group, existing, steps);
        }
        deregister(&object, &listener.group, existing, steps);
    }
}

/// The same for one that only follows: what it has of the model's listeners.
pub(super) fn of_existing(model: &Model, observed: &State, balancer: &Balancer, steps: &mut Vec<Step>) {
    for listener in &model.listeners {
        if let Some(group) = groups::group_of(observed, balancer, listener) {
            let object = groups::of(group);
            register(&object, &listener.group, Some(group), steps);
            deregister(&object, &listener.group, Some(group), steps);
        }
    }
}

/// Nobody waits for this: what is sent there reaches somebody else. Those of all generations.
pub(super) fn usurped(observed: &State, steps: &mut Vec<Step>) {
    for group in &observed.groups {
        let leave: Vec<Target> = staying(Some(group))
            .map(|registered| &registered.target)
            .filter(|target| group.usurped.contains(*target))
            .cloned()
            .collect();
        leaving(&groups::of(group), &leave, steps);
    }
}

fn staying(group: Option<&Group>) -> impl Iterator<Item = &Registered> {
    group.into_iter().flat_map(Group::staying)
}

pub(super) fn register(group: &Object, wanted: &model::Group, existing: Option<&Group>, steps: &mut Vec<Step>) {
    let anew = anew(&wanted.targets, existing);
    let room = makes_room(wanted, existing);
    let leave: BTreeSet<&Target> = anew.iter().chain(&room).copied().collect();
    leaving(group, &leave.into_iter().cloned().collect::<Vec<_>>(), steps);
    let there: BTreeMap<&Target, &Registered> =
        staying(existing).map(|registered| (&registered.target, registered)).collect();
    let is_rejected = |target: &Target| existing.is_some_and(|group| group.rejected.contains(target));
    let again = |bound: &Bound| match there.get(&bound.target) {
        // Of whom nobody remembers whose registration it is, that is said now; AWS takes it for what it has.
        Some(registered) => {
            anew.contains(&bound.target) || (registered.pod.is_none() && !registered.is_of(bound.pod.as_ref()))
        }
        None => false,
    };
    let bound = |(target, pod): (&Target, &Option<Uid>)| Bound { target: target.clone(), pod: pod.clone() };
    let all: Vec<Bound> = wanted.targets.iter().map(bound).filter(|bound| !is_rejected(&bound.target)).collect();
    let (there, missing): (Vec<_>, Vec<_>) = all.into_iter().partition(|bound| there.contains_key(&bound.target));
    let free = wanted.room.saturating_sub(staying(existing).count().saturating_sub(room.len()));
    let mut come: Vec<Bound> = there.into_iter().filter(again).chain(missing.into_iter().take(free)).collect();
    come.sort();
    steps.extend(come.chunks(BATCH).map(|targets| Step::Register { group: group.clone(), targets: targets.to_vec() }));
}

/// Registered for a pod that has been followed by another one at the same address.
fn is_followed(targets: &Wanted, registered: &Registered) -> bool {
    let now = targets.get(&registered.target).and_then(Option::as_ref);
    registered.pod.is_some() && !registered.is_of(now)
}

/// Those of them that are registered anew now.
fn anew<'a>(targets: &Wanted, existing: Option<&'a Group>) -> BTreeSet<&'a Target> {
    let wanted = staying(existing).filter(|registered| targets.contains_key(&registered.target));
    let followed = wanted.filter(|registered| is_followed(targets, registered));
    // Whoever takes no traffic has nothing to lose.
    let (serving, idle): (Vec<_>, Vec<_>) = followed.partition(|registered| may_serve(registered.health));
    let at_once = at_once(targets, existing);
    idle.into_iter().chain(serving.into_iter().take(at_once)).map(|registered| &registered.target).collect()
}

/// How many may go without a finding now, besides those that AWS has not found healthy yet.
fn at_once(targets: &Wanted, existing: Option<&Group>) -> usize {
    let is_new = |registered: &&Registered| registered.health == Health::Initial && !is_followed(targets, registered);
    targets.len().div_ceil(ONE_OF).saturating_sub(staying(existing).filter(is_new).count())
}

/// Those who leave before others come, because AWS has no room for both.
fn makes_room<'a>(wanted: &model::Group, existing: Option<&'a Group>) -> BTreeSet<&'a Target> {
    let (kept, surplus): (Vec<_>, Vec<_>) =
        staying(existing).partition(|registered| wanted.targets.contains_key(&registered.target));
    let registered = kept.len().saturating_add(surplus.len());
    let missing = wanted.targets.len().saturating_sub(kept.len());
    let over = registered.saturating_add(missing).saturating_sub(wanted.room).min(missing);
    let (serving, idle): (Vec<_>, Vec<_>) = surplus.into_iter().partition(|registered| may_serve(registered.health));
    let serving = serving.into_iter().take(at_once(&wanted.targets, existing));
    idle.into_iter().chain(serving).take(over).map(|registered| &registered.target).collect()
}

/// It takes traffic, or nobody knows that it does not: after a restart nobody has asked AWS yet.
fn may_serve(health: Health) -> bool {
    match health {
        Health::Healthy | Health::Unknown => true,
        Health::Initial | Health::Unhealthy | Health::Unused | Health::Draining | Health::Unavailable => false,
    }
}

/// Whoever takes no traffic leaves at once. Of the others leave as many as there are more than there are to be, or, while too few are, more than
/// before.
fn deregister(group: &Object, wanted: &model::Group, existing: Option<&Group>, steps: &mut Vec<Step>) {
    let targets = &wanted.targets;
    let room = makes_room(wanted, existing);
    let has_left =
        |target: &Target| room.contains(target) || existing.is_some_and(|group| group.usurped.contains(target));
    let serves = |registered: &&Registered| may_serve(registered.health);
    let (kept, surplus): (Vec<_>, Vec<_>) = staying(existing)
        .filter(|registered| !has_left(&registered.target))
        .partition(|registered| targets.contains_key(&registered.target));
    let (serving, idle): (Vec<_>, Vec<_>) = surplus.into_iter().partition(serves);
    // One that is followed by another pod has not been found healthy as what it is now.
    let kept = kept.into_iter().filter(|registered| serves(registered) && !is_followed(targets, registered)).count();
    let fit = kept.saturating_add(serving.len());
    let may_leave = fit.saturating_sub(fit.min(targets.len()));
    let leave = idle.into_iter().chain(serving.into_iter().take(may_leave));
    let mut leave: Vec<Target> = leave.map(|registered| registered.target.clone()).collect();
    leave.sort();
    leaving(group, &leave, steps);
}

fn leaving(group: &Object, targets: &[Target], steps: &mut Vec<Step>) {
    steps.extend(
        targets.chunks(BATCH).map(|targets| Step::Deregister { group: group.clone(), targets: targets.to_vec() }),
    );
}
