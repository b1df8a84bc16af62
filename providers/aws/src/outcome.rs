//! What the status says, from what is desired and what exists. A name is published once its balancer is active, never with an `ipMode`
//! (KEP-1860), and that of a successor only when its targets take traffic as those of its predecessor do.

use std::collections::BTreeSet;
use std::time::Duration;

use portolan_core::balancer::{PortKey, Published};
use portolan_core::ids::Uid;
use portolan_core::provider::{Outcome, Verdict, Wait};
use portolan_core::reason::Reason;
use portolan_core::status::{nothing_requested, unreachable};

use crate::model::{Listener, Model};
use crate::plan::{self, Choice, choose, group_of, is_ours_to_serve, plan};
use crate::state::{Balancer, Group, Health, Leaving, State, Status};
use crate::step::Step;

/// How often a balancer that is being set up is looked at; AWS takes minutes, and one poll asks for twenty.
const PROVISIONING: Duration = Duration::from_secs(10);
/// How often targets in motion are looked at.
const TARGETS: Duration = Duration::from_secs(5);
/// How often is looked for what only somebody's hand can change.
const FOR_A_HAND: Duration = Duration::from_secs(60);

/// What the Services' status should say. `desired` is the model that the plan was made from; none: nothing that can be served is desired.
pub fn outcome(desired: Option<&Model>, observed: &State, published: &[Published]) -> Outcome {
    let Some(model) = desired.filter(|model| !model.idle) else {
        return standing(observed, published);
    };
    let choice = choose(model, observed, published);
    let target = match &choice {
        Ok(Choice::Existing(target)) => Some(*target),
        Ok(Choice::New { .. } | Choice::Wait) | Err(_) => None,
    };
    let serving = serving(model, observed, published, target);
    Outcome {
        published: serving.map(hostname).into_iter().collect(),
        listening: serving.map(listening).unwrap_or_default(),
        assigned: assigned(target),
        programmed: programmed(model, observed, published, target),
        reachable: reachable(observed, serving),
        wait: wait(observed, Some(model)),
    }
}

/// What stands, where nothing that can be served is desired.
fn standing(observed: &State, published: &[Published]) -> Outcome {
    let known = observed.staying().find(|balancer| balancer.is_among(published));
    let Some(standing) = known.or_else(|| observed.staying().next()) else { return nothing_requested() };
    let serving = Some(standing).filter(|balancer| balancer.is_active());
    Outcome {
        published: serving.map(hostname).into_iter().collect(),
        listening: serving.map(listening).unwrap_or_default(),
        assigned: assigned(Some(standing)),
        programmed: match serving {
            Some(_) => Verdict::yes(Reason::Programmed, "the load balancer takes traffic as it was last desired"),
            None => Verdict::no(Reason::Provisioning, SETTING_UP),
        },
        reachable: reachable(observed, serving),
        wait: wait(observed, None),
    }
}

const SETTING_UP: &str = "AWS is setting the load balancer up";
const FIRST_PROBES: &str = "targets are being registered and probed for the first time";
const REPLACED_TARGETS: &str = "replaced targets leave when others take their traffic";
const FINISHING: &str = "targets that have left finish their connections";
const DRAINS: &str = "a replaced load balancer drains";

fn hostname(balancer: &Balancer) -> Published {
    Published::Hostname { hostname: balancer.hostname.clone() }
}

fn listening(balancer: &Balancer) -> Vec<(Uid, PortKey)> {
    let ours = balancer.listeners.iter().filter(|listener| listener.ours);
    let mut serves: Vec<_> = ours.flat_map(|listener| listener.serves.iter().cloned()).collect();
    serves.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
    serves
}

/// Whom clients are sent to: the target once it is active and, where another one serves them now, does as well as that one; until then
/// whoever they are sent to.
fn serving<'a>(
    model: &Model,
    observed: &'a State,
    published: &[Published],
    target: Option<&'a Balancer>,
) -> Option<&'a Balancer> {
    let others = observed.balancers.iter().filter(|other| target.is_none_or(|target| target.arn != other.arn));
    let active = others.filter(|other| other.is_active());
    let before = active.max_by_key(|other| (other.is_among(published), !other.is_leaving()));
    let Some(target) = target.filter(|target| target.is_active()) else { return before };
    let is_known = target.is_among(published);
    let does_as_well = |before: &Balancer| !takes_traffic(observed, before) || is_ready(model, observed, target);
    if is_known || before.is_none_or(does_as_well) { Some(target) } else { before }
}

/// Some target of it is healthy.
fn takes_traffic(observed: &State, balancer: &Balancer) -> bool {
    observed.groups_of(balancer).any(Group::has_healthy)
}

/// Every listener is there, and behind each there is somebody healthy, if anybody is to be there at all.
fn is_ready(model: &Model, observed: &State, target: &Balancer) -> bool {
    let fit = |listener: &Listener| match group_of(observed, target, listener) {
        Some(group) => listener.group.targets.is_empty() || has_settled(group),
        None => !is_ours_to_serve(Some(target), listener),
    };
    model.listeners.iter().all(fit)
}

fn has_settled(group: &Group) -> bool {
    group.has_healthy() && group.staying().all(|registered| registered.health != Health::Initial)
}

fn assigned(target: Option<&Balancer>) -> Verdict {
    match target {
        Some(target) => Verdict::yes(Reason::Assigned, target.hostname.clone()),
        None => Verdict::no(Reason::AddressPending, "the load balancer does not exist yet"),
    }
}

fn programmed(model: &Model, observed: &State, published: &[Published], target: Option<&Balancer>) -> Verdict {
    let plan = match plan(Some(model), observed, published) {
        Ok(plan) => plan,
        Err(refusal) => return Verdict::no(refusal.reason(), refusal.to_string()),
    };
    let Some(target) = target else {
        return Verdict::no(Reason::Provisioning, "the load balancer does not exist yet");
    };
    let in_the_way: Vec<String> = model
        .listeners
        .iter()
        .filter(|listener| !is_ours_to_serve(Some(target), listener))
        .map(|listener| format!("port {} has a listener that is not ours; it is left alone", listener.port))
        .collect();
    let about_others = |step: &Step| concerns_only_others(step);
    if !plan.steps.iter().all(about_others) {
        return Verdict::no(Reason::Provisioning, "the load balancer is not yet as desired");
    }
    match target.status {
        Status::Provisioning => Verdict::no(Reason::Provisioning, SETTING_UP),
        Status::Failed => Verdict::no(Reason::ProviderFailed, "AWS could not set the load balancer up"),
        Status::Active | Status::Impaired if !in_the_way.is_empty() => {
            Verdict::no(plan::NAME_TAKEN, in_the_way.join("; "))
        }
        Status::Active | Status::Impaired => match model.unserved.as_slice() {
            [] => Verdict::yes(Reason::Programmed, "the load balancer is as desired and takes traffic"),
            unserved => {
                let why: Vec<String> = unserved.iter().map(|(_, refused)| refused.to_string()).collect();
                Verdict::no(Reason::ProviderRefused, why.join("; "))
            }
        },
    }
}

/// Seeing off what is replaced changes nothing of what is desired.
fn concerns_only_others(step: &Step) -> bool {
    matches!(
        step,
        Step::Retire { .. }
            | Step::DeleteBalancer { gap: false, .. }
            | Step::DeleteGroup { .. }
            | Step::DeleteSecurityGroup { .. }
            | Step::Deregister { .. }
    )
}

/// At least one healthy target behind each port.
fn reachable(observed: &State, serving: Option<&Balancer>) -> Verdict {
    let Some(serving) = serving else { return Verdict::unknown(Reason::NoWitness, "nothing is programmed yet") };
    let mut without: BTreeSet<u16> = BTreeSet::new();
    let mut first: BTreeSet<u16> = BTreeSet::new();
    let mut empty = true;
    for listener in serving.listeners.iter().filter(|listener| listener.ours) {
        let Some(group) = observed.group_of(listener) else { continue };
        empty &= group.staying().next().is_none();
        if group.staying().any(|registered| registered.health == Health::Initial) && !group.has_healthy() {
            first.insert(listener.port);
        } else if !group.has_healthy() {
            without.insert(listener.port);
        }
    }
    let ports = |ports: &BTreeSet<u16>| ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if empty {
        unreachable(Reason::NoEndpoints)
    } else if !without.is_empty() {
        Verdict::no(Reason::Unhealthy, format!("AWS finds no healthy target for port {}", ports(&without)))
    } else if !first.is_empty() {
        Verdict::unknown(Reason::NoWitness, format!("port {}: {FIRST_PROBES}", ports(&first)))
    } else {
        Verdict::yes(Reason::Reachable, "AWS finds a healthy target for every port")
    }
}

/// Whatever is on its way: what comes soonest.
fn wait(observed: &State, model: Option<&Model>) -> Option<Wait> {
    let mut waits = Vec::new();
    let mut on = |on: &str, at_most: Duration| waits.push(Wait { on: on.to_owned(), at_most });
    for balancer in &observed.balancers {
        match (balancer.leaving, balancer.status) {
            (Leaving::Known(rest), _) => on(DRAINS, rest),
            (Leaving::Forgotten, _) if plan::is_finishing(observed, balancer) => on(DRAINS, TARGETS),
            (Leaving::Forgotten, _) => {}
            (Leaving::No, Status::Provisioning) => on(SETTING_UP, PROVISIONING),
            (Leaving::No, Status::Failed) => on("AWS could not set the load balancer up", FOR_A_HAND),
            (Leaving::No, Status::Active | Status::Impaired) => {}
        }
    }
    for balancer in observed.staying().filter(|balancer| balancer.is_active()) {
        for group in observed.groups_of(balancer) {
            if group.targets.iter().any(|registered| registered.health == Health::Initial) {
                on(FIRST_PROBES, TARGETS);
            }
            if group.targets.iter().any(|registered| registered.health == Health::Draining) {
                on(FINISHING, TARGETS);
            }
        }
        for listener in model.map(|model| model.listeners.as_slice()).unwrap_or_default() {
            let Some(group) = group_of(observed, balancer, listener) else { continue };
            let wanted = plan::wanted(&listener.group.targets, Some(group));
            if group.staying().any(|registered| !wanted.contains(&registered.target)) {
                on(REPLACED_TARGETS, TARGETS);
            }
        }
    }
    waits.into_iter().min_by(|a, b| (a.at_most, &a.on).cmp(&(b.at_most, &b.on)))
}
