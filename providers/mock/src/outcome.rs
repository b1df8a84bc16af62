//! What the status says, from what is desired and what exists.

use std::time::Duration;

use portolan_core::balancer::{LoadBalancer, nobody_answers};
use portolan_core::provider::{Outcome, Verdict, Wait};
use portolan_core::reason::Reason;

use crate::parameters::{Parameters, Publish};
use crate::plan::{canonical, publishable, target, with_held};
use crate::state::{Balancer, Drain, Generation, Readiness, State};
use crate::stored::not_ours;

/// How long a wait for somebody's hand is, if nobody wakes us: no shorter than it must be, no longer than anybody would believe.
const FOR_A_HAND: Duration = Duration::from_secs(60);

/// What the Services' status should say.
pub fn outcome(parameters: &Parameters, desired: Option<&LoadBalancer>, observed: &State) -> Outcome {
    let Some(desired) = desired else {
        return nothing(Verdict::no(Reason::NotRequested, "no load balancer is asked for"), "nothing is asked for");
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
        assigned,
        programmed: Verdict::no(Reason::Provisioning, why),
        reachable: Verdict::unknown(Reason::NoWitness, "nothing is programmed yet"),
        wait: None,
    }
}

fn of(parameters: &Parameters, desired: &LoadBalancer, balancer: &Balancer) -> Outcome {
    let target = target(parameters, desired, balancer);
    let serving = serving(parameters, desired, balancer, target);
    let published = serving.map(|serving| publishable(parameters, desired, serving)).unwrap_or_default();
    Outcome {
        published,
        assigned: assigned(parameters, desired, target),
        programmed: programmed(desired, balancer, target),
        reachable: reachable(balancer, serving),
        wait: wait(balancer, target),
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
    let given = match parameters.publish {
        Publish::Ip => {
            let address = |family| target.addresses.get(family).map(ToString::to_string);
            desired.families.iter().filter_map(address).collect::<Vec<_>>().join(", ")
        }
        Publish::Hostname => target.hostname.clone(),
    };
    Verdict::yes(Reason::Assigned, given)
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
            Some(Reason::NoNodes) => Verdict::no(Reason::NoNodes, "no node can take traffic for the node ports"),
            Some(reason) => Verdict::no(reason, "no port has an endpoint that can take traffic"),
            None if balancer.unhealthy => Verdict::no(Reason::Unhealthy, "the mock was told that no target is healthy"),
            None => Verdict::yes(Reason::Reachable, "the mock says that traffic arrives"),
        },
    }
}

const PROVISIONING: &str = "the load balancer does not take traffic yet";

fn wait(balancer: &Balancer, target: Option<&Generation>) -> Option<Wait> {
    let readiness = target.and_then(|target| match target.readiness {
        Readiness::Active => None,
        Readiness::Provisioning(rest) => Some(Wait { on: PROVISIONING.to_owned(), at_most: rest }),
        Readiness::Held => Some(Wait { on: PROVISIONING.to_owned(), at_most: FOR_A_HAND }),
    });
    let drained = |generation: &Generation| match generation.drain {
        Drain::Draining(rest) => Some(Wait { on: "a replaced load balancer drains".to_owned(), at_most: rest }),
        Drain::No | Drain::Drained => None,
    };
    readiness.into_iter().chain(balancer.generations.iter().filter_map(drained)).min_by_key(|wait| wait.at_most)
}
