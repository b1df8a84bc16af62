//! What the status says, from what is desired and what exists.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use portolan_core::balancer::{Family, LoadBalancer, PortKey, Published, Scheme, Targets, nobody_answers};
use portolan_core::ids::Uid;
use portolan_core::provider::{Outcome, Verdict, Wait};
use portolan_core::reason::Reason;
use portolan_core::status::{nothing_requested, unreachable};

use crate::parameters::{Parameters, Publish};
use crate::plan::{asked_scheme, canonical, nobody_is_served, publishable, target, with_held};
use crate::state::{Balancer, Drain, Generation, Readiness, State};
use crate::stored::not_ours;

/// How long a wait for somebody's hand is, if nobody wakes us: no shorter than it must be, no longer than anybody would believe.
const FOR_A_HAND: Duration = Duration::from_secs(60);

/// What the Services' status should say.
pub fn outcome(parameters: &Parameters, desired: Option<&LoadBalancer>, observed: &State) -> Outcome {
    let Some(desired) = desired.filter(|desired| !nobody_is_served(desired)) else {
        return standing(parameters, observed);
    };
    match observed {
        State::Absent | State::Claims { .. } => nothing(
            Verdict::no(Reason::AddressPending, "the load balancer does not exist yet"),
            "it does not exist yet",
        ),
        State::Foreign { instance } => {
            let message = not_ours(&desired.id, instance.as_deref());
            Outcome {
                programmed: Verdict::no(Reason::NotOurs, message.clone()),
                ..nothing(Verdict::no(Reason::AddressPending, message), "")
            }
        }
        State::Ours(balancer) => of(parameters, &with_held(canonical(desired), balancer), balancer),
    }
}

fn nothing(assigned: Verdict, why: &str) -> Outcome {
    Outcome {
        published: Vec::new(),
        listening: Vec::new(),
        assigned,
        programmed: Verdict::no(Reason::Provisioning, why),
        reachable: Some(Verdict::unknown(Reason::NoWitness, "nothing is programmed yet")),
        reachable_of: BTreeMap::new(),
        healthy: BTreeSet::new(),
        unserved: Vec::new(),
        warnings: Vec::new(),
        annotations: BTreeMap::new(),
        wait: None,
    }
}

/// What stands, where nothing that can be served is desired.
fn standing(parameters: &Parameters, observed: &State) -> Outcome {
    let State::Ours(balancer) = observed else { return nothing_requested() };
    let standing =
        predecessor(balancer, None, None).or_else(|| balancer.generations.iter().find(|one| !one.is_leaving()));
    let serving = standing.filter(|generation| generation.is_active() && !generation.addresses.is_empty());
    Outcome {
        published: serving.map(|serving| told(parameters, serving)).unwrap_or_default(),
        listening: serving.map(listening).unwrap_or_default(),
        assigned: match standing {
            Some(generation) if !generation.addresses.is_empty() => {
                Verdict::yes(Reason::Assigned, given(parameters, generation, generation.addresses.keys()))
            }
            Some(_) | None => Verdict::no(Reason::AddressPending, "no address has been given yet"),
        },
        programmed: match serving {
            Some(_) => Verdict::yes(Reason::Programmed, "the load balancer takes traffic as it was last desired"),
            None => Verdict::no(Reason::Provisioning, PROVISIONING),
        },
        reachable: Some(reachable(balancer, serving)),
        reachable_of: BTreeMap::new(),
        healthy: healthy(balancer, serving),
        unserved: Vec::new(),
        warnings: Vec::new(),
        annotations: BTreeMap::new(),
        wait: wait(balancer),
    }
}

fn listening(generation: &Generation) -> Vec<(Uid, PortKey)> {
    generation.listeners.iter().map(|listener| (listener.service.clone(), listener.key)).collect()
}

fn of(parameters: &Parameters, desired: &LoadBalancer, balancer: &Balancer) -> Outcome {
    let target = target(parameters, desired, balancer);
    let (serving, published) = match serving(parameters, desired, balancer, target) {
        Some(serving) => (Some(serving), publishable(parameters, desired, serving)),
        None => {
            let last = predecessor(balancer, target, asked_scheme(parameters, desired));
            (last, last.map(|last| told(parameters, last)).unwrap_or_default())
        }
    };
    Outcome {
        published,
        listening: serving.map(listening).unwrap_or_default(),
        assigned: assigned(parameters, desired, target),
        programmed: programmed(desired, balancer, target),
        reachable: Some(reachable(balancer, serving)),
        reachable_of: BTreeMap::new(),
        healthy: healthy(balancer, serving),
        unserved: Vec::new(),
        warnings: Vec::new(),
        annotations: BTreeMap::new(),
        wait: wait(balancer),
    }
}

/// Whom clients are sent to: the target once it takes traffic and has its addresses; until then whoever they are sent to now.
fn serving<'a>(
    parameters: &Parameters,
    desired: &LoadBalancer,
    balancer: &'a Balancer,
    target: Option<&'a Generation>,
) -> Option<&'a Generation> {
    let fit = |generation: &&Generation| generation.is_active() && has_addresses(desired, generation);
    let known = |generation: &&Generation| {
        generation.is_among(&desired.published) && !publishable(parameters, desired, generation).is_empty()
    };
    target.filter(fit).or_else(|| balancer.generations.iter().rfind(known))
}

/// Whom clients were sent to before somebody took it off the status, while the target gets nowhere: of the scheme that is asked for, if
/// there is one, and else the oldest that is not on its way out, because its successor is published first and then it goes.
fn predecessor<'a>(
    balancer: &'a Balancer,
    target: Option<&Generation>,
    scheme: Option<Scheme>,
) -> Option<&'a Generation> {
    let is_target = |other: &Generation| target.is_some_and(|target| target.number == other.number);
    let serves = |other: &&Generation| {
        !is_target(other) && !other.is_leaving() && other.is_active() && !other.addresses.is_empty()
    };
    let other_scheme = |other: &Generation| scheme.is_some_and(|scheme| scheme != other.scheme);
    balancer.generations.iter().filter(serves).min_by_key(|other| (other_scheme(other), other.number))
}

/// Everything that clients can use of a generation.
fn told(parameters: &Parameters, generation: &Generation) -> Vec<Published> {
    match parameters.publish {
        Publish::Ip => {
            let entry = |ip: &IpAddr| Published::Ip { ip: *ip, mode: parameters.ip_mode };
            generation.addresses.values().map(entry).collect()
        }
        Publish::Hostname => vec![Published::Hostname { hostname: generation.hostname.clone() }],
    }
}

fn has_addresses(desired: &LoadBalancer, generation: &Generation) -> bool {
    desired.families.iter().all(|family| generation.addresses.contains_key(family))
}

fn assigned(parameters: &Parameters, desired: &LoadBalancer, target: Option<&Generation>) -> Verdict {
    let Some(target) = target else {
        return Verdict::no(Reason::AddressPending, "the load balancer does not exist yet");
    };
    let missing: Vec<_> = desired
        .families
        .iter()
        .filter(|family| !target.addresses.contains_key(family))
        .map(ToString::to_string)
        .collect();
    if !missing.is_empty() {
        return Verdict::no(
            Reason::AddressPending,
            format!("no {} address has been given yet", missing.join(" and no ")),
        );
    }
    Verdict::yes(Reason::Assigned, given(parameters, target, desired.families.iter()))
}

fn given<'a>(parameters: &Parameters, generation: &Generation, families: impl Iterator<Item = &'a Family>) -> String {
    match parameters.publish {
        Publish::Ip => {
            let address = |family| generation.addresses.get(family).map(ToString::to_string);
            families.filter_map(address).collect::<Vec<_>>().join(", ")
        }
        Publish::Hostname => generation.hostname.clone(),
    }
}

fn programmed(desired: &LoadBalancer, balancer: &Balancer, target: Option<&Generation>) -> Verdict {
    let as_desired = |target: &Generation| {
        has_addresses(desired, target)
            && target.listeners == desired.listeners
            && balancer.source_ranges == desired.source_ranges
            && balancer.nodes == desired.nodes
            && balancer.members == desired.members
    };
    match target {
        None => Verdict::no(Reason::Provisioning, "the load balancer does not exist yet"),
        Some(target) if !as_desired(target) => {
            Verdict::no(Reason::Provisioning, "the load balancer is not yet as desired")
        }
        Some(target) => match target.readiness {
            Readiness::Active => Verdict::yes(Reason::Programmed, "the load balancer is as desired and takes traffic"),
            Readiness::Provisioning(_) | Readiness::Held => Verdict::no(Reason::Provisioning, PROVISIONING),
        },
    }
}

fn reachable(balancer: &Balancer, serving: Option<&Generation>) -> Verdict {
    match serving {
        None => Verdict::unknown(Reason::NoWitness, "nothing is programmed yet"),
        Some(serving) => match nobody_answers(&serving.listeners, &balancer.nodes) {
            Some(reason) => unreachable(reason),
            None if balancer.unhealthy => Verdict::no(Reason::Unhealthy, "the mock was told that no target is healthy"),
            None => Verdict::yes(Reason::Reachable, "the mock says that traffic arrives"),
        },
    }
}

/// All pods of what serves, unless the mock was told otherwise.
fn healthy(balancer: &Balancer, serving: Option<&Generation>) -> BTreeSet<(Uid, PortKey, SocketAddr)> {
    let listeners = serving.filter(|_| !balancer.unhealthy).into_iter().flat_map(|serving| &serving.listeners);
    let pods = listeners.filter_map(|listener| match &listener.targets {
        Targets::Pods { endpoints, local_nodes: _ } => Some((listener, endpoints)),
        Targets::Nodes { .. } => None,
    });
    let each = pods.flat_map(|(listener, endpoints)| {
        endpoints.iter().map(|endpoint| (listener.service.clone(), listener.key, endpoint.address))
    });
    each.collect()
}

const PROVISIONING: &str = "the load balancer does not take traffic yet";

/// Whatever is on its way: also one that clients can be sent to while the target gets nowhere.
fn wait(balancer: &Balancer) -> Option<Wait> {
    let waits = balancer.generations.iter().filter_map(|generation| match (&generation.drain, generation.readiness) {
        (Drain::Draining(rest), _) => Some(Wait { on: "a replaced load balancer drains".to_owned(), at_most: *rest }),
        (Drain::Drained, _) | (Drain::No, Readiness::Active) => None,
        (Drain::No, Readiness::Provisioning(rest)) => Some(Wait { on: PROVISIONING.to_owned(), at_most: rest }),
        (Drain::No, Readiness::Held) => Some(Wait { on: PROVISIONING.to_owned(), at_most: FOR_A_HAND }),
    });
    waits.min_by_key(|wait| wait.at_most)
}
