//! Target groups. A listener has one of its own, which stays as long as its kind does; another kind needs another group.

use super::{Generation, attributes, tags, targets};
use crate::attributes::Owner;
use crate::model::{Listener, Model};
use crate::names::{GENERATION, SERVES, node_labels_tags, serves_tag};
use crate::settings::groups;
use crate::state::{Arn, Balancer, Group, State};
use crate::step::{AttributesOf, Object, Step, Tagged};

/// The group that a listener of this balancer has and keeps.
pub(crate) fn group_of<'a>(observed: &'a State, balancer: &Balancer, wanted: &Listener) -> Option<&'a Group> {
    let listener = balancer.listener(wanted.port).filter(|listener| listener.ours)?;
    let same_hands = || listener.serves.iter().any(|one| wanted.serves.iter().any(|other| one.0 == other.0));
    observed.group_of(listener).filter(|group| group.kind == wanted.group.kind && same_hands())
}

/// A listener that somebody else has put on this port is left alone, so that the port cannot be served.
pub(crate) fn is_ours_to_serve(balancer: Option<&Balancer>, wanted: &Listener) -> bool {
    balancer.and_then(|balancer| balancer.listener(wanted.port)).is_none_or(|listener| listener.ours)
}

/// The group that is to be a listener's: the one that it has, else the one that was made for it already.
pub(super) fn existing<'a>(
    model: &Model,
    observed: &'a State,
    generation: &Generation<'_>,
    wanted: &Listener,
) -> Option<&'a Group> {
    let own = generation.existing.and_then(|balancer| group_of(observed, balancer, wanted));
    own.or_else(|| observed.group_named(&name(model, generation, wanted)))
}

/// The same, which may be yet to be made.
pub(super) fn object(model: &Model, observed: &State, generation: &Generation<'_>, wanted: &Listener) -> Object {
    match existing(model, observed, generation, wanted) {
        Some(group) => of(group),
        None => Object { name: name(model, generation, wanted), arn: None },
    }
}

pub(super) fn of(group: &Group) -> Object {
    Object { name: group.name.clone(), arn: Some(group.arn.clone()) }
}

fn name(model: &Model, generation: &Generation<'_>, wanted: &Listener) -> String {
    model.names.group(generation.number, wanted.port, wanted.group.kind, &wanted.serves)
}

/// The listeners that are to be on a balancer and can be.
pub(super) fn served<'a>(model: &'a Model, generation: &Generation<'a>) -> impl Iterator<Item = &'a Listener> {
    let existing = generation.existing;
    model.listeners.iter().filter(move |wanted| is_ours_to_serve(existing, wanted))
}

pub(super) fn put(model: &Model, observed: &State, generation: &Generation<'_>, steps: &mut Vec<Step>) {
    for wanted in served(model, generation) {
        let existing = existing(model, observed, generation, wanted);
        if wanted.held && existing.is_some() {
            continue;
        }
        let object = object(model, observed, generation, wanted);
        let mut tags = model.tags.clone();
        tags.insert(GENERATION.to_owned(), generation.number.to_string());
        tags.insert(SERVES.to_owned(), serves_tag(&wanted.serves));
        tags.extend(node_labels_tags(&wanted.group.node_labels));
        match existing {
            None => steps.push(Step::CreateGroup {
                name: object.name.clone(),
                generation: generation.number,
                kind: wanted.group.kind,
                port: wanted.group.port,
                health: wanted.group.health.clone(),
                vpc: model.vpc.clone(),
                tags,
            }),
            Some(group) => {
                if group.health != wanted.group.health {
                    steps.push(Step::SetHealthCheck { group: object.clone(), health: wanted.group.health.clone() });
                }
                tags::put(model, observed, &group.tags, tags, || Tagged::Group(object.clone()), steps);
            }
        }
    }
}

/// Their attributes; and the targets of one that takes another's place behind a listener. This comes after everything is made that is yet to
/// be made: before anything is done to what was made, AWS is asked whether it is ours, and that is asked once for all of it.
pub(super) fn furnish(model: &Model, observed: &State, generation: &Generation<'_>, steps: &mut Vec<Step>) {
    for wanted in served(model, generation) {
        let existing = existing(model, observed, generation, wanted);
        if wanted.held && existing.is_some() {
            continue;
        }
        let object = object(model, observed, generation, wanted);
        let kind = wanted.group.kind;
        let (protocol, target_type) = (kind.protocol, kind.target_type);
        attributes::put(
            &wanted.group.attributes,
            existing.map(|group| &group.attributes),
            Owner::TargetGroup { protocol, targets: target_type },
            |owned| groups::writes(&wanted.group.attributes, owned, protocol, target_type),
            || AttributesOf::Group(object.clone()),
            steps,
        );
        if swaps(generation, wanted, existing) {
            targets::register(&object, &wanted.group, existing, steps);
        }
    }
}

/// A listener that is there is to send to another group than it does.
pub(super) fn swaps(generation: &Generation<'_>, wanted: &Listener, existing: Option<&Group>) -> bool {
    let listener = generation.existing.and_then(|balancer| balancer.listener(wanted.port));
    listener
        .is_some_and(|listener| listener.group.is_none() || listener.group.as_ref() != existing.map(|group| &group.arn))
}

/// Groups to which nothing will send any more.
pub(super) fn remove(model: &Model, observed: &State, generation: &Generation<'_>, steps: &mut Vec<Step>) {
    let wanted: Vec<&Arn> = served(model, generation)
        .filter_map(|wanted| existing(model, observed, generation, wanted))
        .map(|group| &group.arn)
        .collect();
    let others = observed.balancers.iter().filter(|other| other.generation != generation.number);
    let elsewhere = others.flat_map(|other| &other.listeners);
    let foreign = generation.existing.into_iter().flat_map(|own| &own.listeners).filter(|listener| !listener.ours);
    let used: Vec<&Arn> = elsewhere.chain(foreign).filter_map(|listener| listener.group.as_ref()).collect();
    let goes = |group: &&Group| !wanted.contains(&&group.arn) && !used.contains(&&group.arn);
    steps.extend(observed.groups.iter().filter(goes).map(|group| Step::DeleteGroup { group: of(group) }));
}
