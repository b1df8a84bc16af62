//! What the status says, from what is desired and what exists. A name is published once its balancer is active, never with an `ipMode`
//! (KEP-1860), where the class says so only with a healthy target, and that of a successor only when its targets take traffic as those of its predecessor do.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use portolan_core::balancer::{PortKey, Published};
use portolan_core::desire::Warning;
use portolan_core::ids::Uid;
use portolan_core::provider::{Outcome, Step as _, Verdict, Wait};
use portolan_core::reason::Reason;
use portolan_core::refusal::Refusal;
use portolan_core::status::{nothing_requested, unreachable};

use crate::annotations::Key;
use crate::model::{Listener, Model, subnets};
use crate::plan::{self, Choice, choose, group_of, is_ours_to_serve, plan};
use crate::state::{Balancer, Group, Health, Leaving, Registered, State, Status, Target};
use crate::step::Step;
use crate::words::TargetType;

/// How often a balancer that is being set up is looked at; AWS takes minutes, and one poll asks for twenty.
const PROVISIONING: Duration = Duration::from_secs(10);
/// How often targets in motion are looked at: at each tick of the polls (`TICK` in `provider/account.rs`), since there is nothing new in between.
const TARGETS: Duration = Duration::from_secs(5);
/// How often is looked for what only somebody's hand can change.
const FOR_A_HAND: Duration = Duration::from_secs(60);

/// What the Services' status should say. `desired` is the model that the plan was made from; none: nothing that can be served is desired.
pub fn outcome(desired: Option<&Model>, observed: &State, published: &[Published]) -> Outcome {
    let Some(model) = desired.filter(|model| !model.idle) else {
        return standing(desired, observed, published);
    };
    let choice = choose(model, observed, published);
    let target = match &choice {
        Ok(Choice::Existing(target)) => Some(*target),
        Ok(Choice::New { .. } | Choice::Wait) | Err(_) => None,
    };
    let serving = serving(model, observed, published, target);
    let programmed = programmed(model, observed, published, target);
    let is_taken = programmed.reason == Reason::NameTaken;
    let wait = wait(observed, Some(model));
    Outcome {
        wait: wait.or_else(|| is_taken.then(|| Wait { on: programmed.message.clone(), at_most: FOR_A_HAND })),
        published: serving.map(Balancer::published).into_iter().collect(),
        listening: serving.map(listening).unwrap_or_default(),
        assigned: assigned(target, &model.verdicts),
        programmed,
        reachable: match target.filter(|target| serving.is_none() && target.is_active()) {
            Some(withheld) => reachable(observed, Some(withheld)).map(published_later),
            None => reachable(observed, serving),
        },
        reachable_of: BTreeMap::new(),
        healthy: serving.map(|balancer| healthy(Some(model), observed, balancer)).unwrap_or_default(),
        unserved: model.unserved.clone(),
        warnings: target.map(|target| names_that_come_late(model, target)).unwrap_or_default(),
        annotations: BTreeMap::new(),
    }
}

/// What the network does not allow is tried again: somebody may be putting it right there, of which nothing would tell us.
pub(crate) fn again(refusal: &Refusal) -> Wait {
    Wait { on: refusal.to_string(), at_most: FOR_A_HAND }
}

/// Clients are not told of it before somebody is there to serve them.
pub(crate) fn is_withheld(model: &Model, observed: &State, published: &[Published], balancer: &Balancer) -> bool {
    model.awaits_healthy && !balancer.is_among(published) && !takes_traffic(observed, balancer)
}

fn published_later(verdict: Verdict) -> Verdict {
    let Verdict { status, reason, message, reasons: _ } = verdict;
    let message = format!("{message}; the name is published when a target is healthy (publishWhen of the class)");
    Verdict { status, reason, message, reasons: Vec::new() }
}

/// What stands, where nothing that can be served is desired.
fn standing(desired: Option<&Model>, observed: &State, published: &[Published]) -> Outcome {
    let known = observed.staying().find(|balancer| balancer.is_among(published));
    let Some(standing) = known.or_else(|| observed.staying().next()) else { return nothing_requested() };
    let withheld = desired.is_some_and(|model| is_withheld(model, observed, published, standing));
    let serving = Some(standing).filter(|balancer| balancer.is_active() && !withheld);
    Outcome {
        published: serving.map(Balancer::published).into_iter().collect(),
        listening: serving.map(listening).unwrap_or_default(),
        assigned: assigned(Some(standing), &[]),
        programmed: match serving {
            Some(_) => Verdict::yes(Reason::Programmed, "the load balancer takes traffic as it was last desired"),
            None if standing.is_active() => {
                Verdict::yes(Reason::Programmed, "the load balancer is as it was last desired")
            }
            None => Verdict::no(Reason::Provisioning, SETTING_UP),
        },
        reachable: reachable(observed, serving),
        reachable_of: BTreeMap::new(),
        healthy: serving.map(|balancer| healthy(desired, observed, balancer)).unwrap_or_default(),
        unserved: Vec::new(),
        warnings: Vec::new(),
        annotations: BTreeMap::new(),
        wait: wait(observed, None),
    }
}

const AS_DESIRED: &str = "the load balancer is as desired and takes traffic";
/// A name is given when a balancer is made, and no call of AWS changes it
/// (<https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateLoadBalancer.html>).
fn names_that_come_late(model: &Model, target: &Balancer) -> Vec<(Uid, Warning)> {
    let Some(name) = model.name.as_ref().filter(|name| **name != target.name) else { return Vec::new() };
    let message = format!(
        "annotation {} has no effect: {name} is for a load balancer that is yet to be made, and this one stays {}",
        Key::Name.name(),
        target.name
    );
    let warning = Warning { reason: Reason::InvalidAnnotation, message };
    model.named_by.iter().map(|uid| (uid.clone(), warning.clone())).collect()
}

const SETTING_UP: &str = "AWS is setting the load balancer up";
const FIRST_PROBES: &str = "targets are being registered and probed for the first time";
const REPLACED_TARGETS: &str = "replaced targets leave when others take their traffic";
const FINISHING: &str = "targets that have left finish their connections";
const DRAINS: &str = "a replaced load balancer drains";

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
    if is_withheld(model, observed, published, target) {
        return before.filter(|before| before.is_among(published));
    }
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

/// The name, and why its addresses are where they are.
fn assigned(target: Option<&Balancer>, subnets: &[subnets::Verdict]) -> Verdict {
    let mut verdict = match target {
        Some(target) => Verdict::yes(Reason::Assigned, target.hostname.to_ascii_lowercase()),
        None => Verdict::no(Reason::AddressPending, "the load balancer does not exist yet"),
    };
    // Those that are taken come first: where there are more than there is room for, the others are counted.
    let (taken, refused): (Vec<_>, Vec<_>) = subnets.iter().partition(|subnet| subnet.refused.is_none());
    verdict.reasons = taken.into_iter().chain(refused).map(subnets::Verdict::decided).collect();
    for reason in &verdict.reasons {
        verdict.message.push_str("; ");
        verdict.message.push_str(reason);
    }
    verdict
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
    // What a person may notice, though it is over in two calls.
    if let Some(gap) = plan.steps.iter().find(|step| matches!(step, Step::CloseRules { gap: true, .. })) {
        return Verdict::no(Reason::Provisioning, format!("the load balancer is not yet as desired: {gap}"));
    }
    if !plan.steps.iter().all(Step::cleans_up) {
        return Verdict::no(Reason::Provisioning, "the load balancer is not yet as desired");
    }
    match target.status {
        Status::Provisioning => Verdict::no(Reason::Provisioning, SETTING_UP),
        Status::Failed => Verdict::no(Reason::ProviderFailed, "AWS could not set the load balancer up"),
        Status::Active | Status::Impaired if !in_the_way.is_empty() => {
            Verdict::no(Reason::NotOurs, in_the_way.join("; "))
        }
        Status::Active | Status::Impaired if observed.admitted.as_ref().is_some_and(|it| !it.problems.is_empty()) => {
            let problems = observed.admitted.iter().flat_map(|admitted| &admitted.problems);
            Verdict::no(Reason::ProviderRefused, problems.cloned().collect::<Vec<_>>().join("; "))
        }
        Status::Active | Status::Impaired => {
            Verdict::yes(Reason::Programmed, format!("{AS_DESIRED}{}", left_out(model)))
        }
    }
}

/// Those for whom AWS has no room, by port.
fn left_out(model: &Model) -> String {
    let listeners = model.listeners.iter().filter(|listener| listener.group.left_out > 0);
    let told = listeners.map(|listener| {
        let (taken, left_out) = (listener.group.targets.len(), listener.group.left_out);
        let all = taken.saturating_add(left_out);
        format!(
            "; port {} has {taken} of {all} targets, because AWS's quotas leave no room for more: send to fewer (target-node-labels, fewer ports or pods), or without cross-zone load balancing",
            listener.port
        )
    });
    told.collect()
}

/// At least one healthy target behind each port. None as long as nobody has asked AWS.
fn reachable(observed: &State, serving: Option<&Balancer>) -> Option<Verdict> {
    let Some(serving) = serving else {
        return Some(Verdict::unknown(Reason::NoWitness, "nothing is programmed yet"));
    };
    let mut without: BTreeSet<u16> = BTreeSet::new();
    let mut first: BTreeSet<u16> = BTreeSet::new();
    let mut empty = true;
    for listener in serving.listeners.iter().filter(|listener| listener.ours) {
        let Some(group) = observed.group_of(listener) else { continue };
        if group.staying().any(|registered| registered.health == Health::Unknown) {
            return None;
        }
        empty &= group.staying().next().is_none();
        if group.staying().any(|registered| registered.health == Health::Initial) && !group.has_healthy() {
            first.insert(listener.port);
        } else if !group.has_healthy() {
            without.insert(listener.port);
        }
    }
    let ports = |ports: &BTreeSet<u16>| ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    Some(if empty {
        unreachable(Reason::NoEndpoints)
    } else if !without.is_empty() {
        Verdict::no(Reason::Unhealthy, format!("AWS finds no healthy target for port {}", ports(&without)))
    } else if !first.is_empty() {
        Verdict::unknown(Reason::NoWitness, format!("port {}: {FIRST_PROBES}", ports(&first)))
    } else {
        Verdict::yes(Reason::Reachable, "AWS finds a healthy target for every port")
    })
}

/// The pods that AWS finds healthy behind a balancer's own listeners. Instances are nodes. What AWS has found of the pod that had an address
/// says nothing of the one that has it now.
fn healthy(desired: Option<&Model>, observed: &State, serving: &Balancer) -> BTreeSet<(Uid, PortKey, SocketAddr)> {
    let mut found = BTreeSet::new();
    for listener in serving.listeners.iter().filter(|listener| listener.ours) {
        let group = observed.group_of(listener).filter(|group| group.kind.target_type == TargetType::Ip);
        let wanted = desired.and_then(|model| model.listener(listener.port)).map(|listener| &listener.group.targets);
        let now = |target: &Target| wanted.and_then(|targets| targets.get(target)).and_then(Option::as_ref);
        let targets = group.into_iter().flat_map(|group| &group.targets);
        let is_healthy = |one: &&Registered| one.health == Health::Healthy && one.is_of(now(&one.target));
        for Registered { target, .. } in targets.filter(is_healthy) {
            let Ok(address) = target.id.parse::<IpAddr>() else { continue };
            let address = SocketAddr::new(address, target.port);
            found.extend(listener.serves.iter().map(|(service, port)| (service.clone(), *port, address)));
        }
    }
    found
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
            if group.staying().any(|registered| !listener.group.targets.contains_key(&registered.target)) {
                on(REPLACED_TARGETS, TARGETS);
            }
        }
    }
    waits.into_iter().min_by(|a, b| (a.at_most, &a.on).cmp(&(b.at_most, &b.on)))
}
