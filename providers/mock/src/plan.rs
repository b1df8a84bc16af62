//! From what exists to what is desired, as steps.
//!
//! A load balancer usually has one generation. An edit that no generation can follow (another scheme, another requested address) makes a
//! second one beside it: it is created, gets its addresses and listeners, becomes active, is published; only when clients cannot be
//! sent to the first one any more is that drained and deleted. The status is the runtime's business, so these plans come in three
//! parts, each made from what `observed` and `desired.published` show by then.

use std::cmp::Reverse;
use std::net::IpAddr;
use std::sync::Arc;

use portolan_core::balancer::{Family, Listener, LoadBalancer, Published, Scheme, SourceRanges, Targets};
use portolan_core::provider::Plan;
use portolan_core::reason::Reason;
use portolan_core::refusal::{Refusal, Refused};

use crate::parameters::{Parameters, Publish};
use crate::state::{Balancer, Drain, Generation, State};
use crate::step::Step;
use crate::stored::not_ours;

/// The steps from `observed` to `desired`.
pub fn plan(parameters: &Parameters, desired: Option<&LoadBalancer>, observed: &State) -> Result<Plan<Step>, Refusal> {
    let steps = match (desired, observed) {
        (None, State::Absent | State::Foreign { .. }) => Vec::new(),
        (None, State::Claims { addresses }) => addresses.iter().copied().map(stray).collect(),
        (None, State::Ours(balancer)) => balancer.generations.iter().flat_map(removal).collect(),
        (Some(desired), State::Foreign { instance }) => {
            let message = not_ours(&desired.id, instance.as_deref());
            return Err(Refusal::one(Refused::whole(Reason::NotOurs, message)));
        }
        (Some(desired), State::Absent | State::Claims { .. }) if nobody_is_served(desired) => Vec::new(),
        (Some(desired), State::Absent) => towards(parameters, &canonical(desired), None, &[]),
        (Some(desired), State::Claims { addresses }) => towards(parameters, &canonical(desired), None, addresses),
        (Some(desired), State::Ours(balancer)) => {
            let desired = with_held(canonical(desired), balancer);
            towards(parameters, &desired, Some(balancer), &[])
        }
    };
    Ok(Plan { steps })
}

/// Lists whose order means nothing are sorted, so that their order cannot leak into the plan.
pub(crate) fn canonical(desired: &LoadBalancer) -> LoadBalancer {
    let mut desired = desired.clone();
    desired.requested.sort_unstable();
    desired.published.sort_unstable();
    desired.nodes.sort_by(|a, b| a.name.cmp(&b.name));
    // Labels are not written down, so that what is stored has none.
    desired.nodes.iter_mut().for_each(|node| node.labels = Arc::default());
    match &mut desired.source_ranges {
        SourceRanges::All => {}
        SourceRanges::Only(networks) => {
            networks.sort_unstable();
            networks.dedup();
        }
    }
    desired.listeners.sort_by_key(|listener| listener.key);
    for listener in desired.listeners.iter_mut().chain(&mut desired.following) {
        match &mut listener.targets {
            Targets::Nodes { node_port: _, nodes } => nodes.sort_unstable(),
            Targets::Pods { endpoints, local_nodes: _ } => {
                // What it is told of addresses is all that it keeps.
                endpoints.iter_mut().for_each(|endpoint| *endpoint = endpoint.address.into());
                endpoints.sort_unstable();
                endpoints.dedup();
            }
        }
    }
    desired
}

/// There are members, and nothing of any may be changed.
pub(crate) fn nobody_is_served(desired: &LoadBalancer) -> bool {
    !desired.held.is_empty() && desired.members.iter().all(|member| desired.held.contains(&member.uid))
}

/// The same with what may not be changed as it is: the listeners of those who are held, and as long as anybody is, scheme, source ranges
/// and addresses; and everything, if all are and none of them follows its endpoints.
pub(crate) fn with_held(mut desired: LoadBalancer, balancer: &Balancer) -> LoadBalancer {
    if desired.held.is_empty() {
        return desired;
    }
    let current = balancer
        .generations
        .iter()
        .filter(|generation| !generation.is_leaving())
        .max_by_key(|generation| (generation.is_among(&desired.published), Reverse(generation.number)));
    let Some(current) = current else { return desired };
    desired.scheme = Some(current.scheme);
    desired.requested = Vec::new();
    desired.source_ranges = balancer.source_ranges.clone();
    let mut families: Vec<Family> = current.addresses.keys().copied().collect();
    families.sort_by_key(|family| desired.families.iter().position(|wanted| wanted == family));
    // Endpoints and nodes of other families are nobody's whom these addresses could reach.
    let mut wanted = desired.families.clone();
    wanted.sort_unstable();
    if !families.is_empty() && !wanted.iter().eq(current.addresses.keys()) {
        desired.following.clear();
    }
    if !families.is_empty() {
        desired.families = families;
    }
    if nobody_is_served(&desired) && desired.following.is_empty() {
        desired.nodes.clone_from(&balancer.nodes);
    }
    for listener in &current.listeners {
        let is_free = desired.listeners.iter().all(|other| other.key != listener.key);
        if is_free && desired.held.contains(&listener.service) {
            let same = |now: &&Listener| (now.key, &now.service) == (listener.key, &listener.service);
            let now = desired.following.iter().find(same);
            desired.listeners.push(now.map_or_else(|| listener.clone(), |now| listener.followed(now)));
        }
    }
    desired.listeners.sort_by_key(|listener| listener.key);
    desired
}

/// The scheme that is asked for: by name, or by the address that is asked for.
pub(crate) fn asked_scheme(parameters: &Parameters, desired: &LoadBalancer) -> Option<Scheme> {
    let requested = || desired.requested.iter().find_map(|address| parameters.ranges.scheme_of(*address));
    desired.scheme.or_else(requested)
}

/// The scheme of the generation that is to serve. Where nobody asks, it is that of the one which is there, and else public.
pub(crate) fn scheme(parameters: &Parameters, desired: &LoadBalancer, target: Option<&Generation>) -> Scheme {
    let own = || target.map(|target| target.scheme);
    asked_scheme(parameters, desired).or_else(own).unwrap_or(Scheme::Public)
}

/// It has another address than the one that is asked for.
fn lacks_requested(desired: &LoadBalancer, generation: &Generation) -> bool {
    let elsewhere =
        |requested: &IpAddr| generation.addresses.get(&Family::of(*requested)).is_some_and(|own| own != requested);
    desired.requested.iter().any(elsewhere)
}

/// The generation that is to serve: of those that can follow `desired` the one that clients know already, else the oldest.
pub(crate) fn target<'a>(
    parameters: &Parameters,
    desired: &LoadBalancer,
    balancer: &'a Balancer,
) -> Option<&'a Generation> {
    let scheme = asked_scheme(parameters, desired);
    let follows = |generation: &&Generation| {
        !generation.is_leaving()
            && scheme.is_none_or(|scheme| generation.scheme == scheme)
            && !lacks_requested(desired, generation)
    };
    let known = |generation: &&Generation| {
        let entries = desired.published.iter().filter(|entry| generation.answers_to(entry)).count();
        (entries, Reverse(generation.number))
    };
    balancer.generations.iter().filter(follows).max_by_key(known)
}

/// What clients are told once this generation serves, in the order of the families: all of it or nothing. While an address is missing
/// they keep whatever of it they have been told already, wanted still or not, because something is better than nothing.
pub(crate) fn publishable(parameters: &Parameters, desired: &LoadBalancer, generation: &Generation) -> Vec<Published> {
    let complete = desired.families.iter().all(|family| generation.addresses.contains_key(family));
    let all: Vec<_> = match parameters.publish {
        Publish::Ip => {
            let surplus = generation.addresses.keys().filter(|family| !complete && !desired.families.contains(family));
            let address = |family| generation.addresses.get(family).copied();
            let entry = |ip| Published::Ip { ip, mode: parameters.ip_mode };
            desired.families.iter().chain(surplus).filter_map(address).map(entry).collect()
        }
        Publish::Hostname => vec![Published::Hostname { hostname: generation.hostname.clone() }],
    };
    all.into_iter().filter(|entry| complete || is_told(desired, entry)).collect()
}

/// Clients have been told of this; how packets arrive does not matter for that.
fn is_told(desired: &LoadBalancer, entry: &Published) -> bool {
    match entry {
        Published::Ip { ip, mode: _ } => is_told_address(desired, *ip),
        Published::Hostname { .. } => desired.published.contains(entry),
    }
}

fn is_told_address(desired: &LoadBalancer, address: IpAddr) -> bool {
    desired.published.iter().any(|told| matches!(told, Published::Ip { ip, mode: _ } if *ip == address))
}

fn removal(generation: &Generation) -> impl Iterator<Item = Step> {
    let number = generation.number;
    let addresses = generation.addresses.values().chain(generation.unclaimed.values());
    let release = |address: &IpAddr| Step::ReleaseAddress { generation: Some(number), address: *address };
    addresses.map(release).chain([Step::DeleteBalancer { generation: number }]).collect::<Vec<_>>().into_iter()
}

/// Gives back a claim that has outlived its load balancer.
fn stray(address: IpAddr) -> Step {
    Step::ReleaseAddress { generation: None, address }
}

/// `claims` are what is left of a load balancer whose file is gone.
fn towards(
    parameters: &Parameters,
    desired: &LoadBalancer,
    balancer: Option<&Balancer>,
    claims: &[IpAddr],
) -> Vec<Step> {
    let none: &[Generation] = &[];
    let generations = balancer.map_or(none, |balancer| balancer.generations.as_slice());
    let target = balancer.and_then(|balancer| target(parameters, desired, balancer));
    let last = generations.iter().map(|generation| generation.number).max().unwrap_or(0);
    let number = target.map_or_else(|| last.saturating_add(1), |target| target.number);

    let scheme = scheme(parameters, desired, target);
    let preferred = |family| preferred(parameters, desired, scheme, claims, family);
    let given_up =
        |address: &&IpAddr| !is_told_address(desired, **address) && preferred(Family::of(**address)) != Some(**address);
    let mut steps: Vec<_> = claims.iter().filter(given_up).copied().map(stray).collect();
    if target.is_none() {
        steps.push(Step::CreateBalancer { generation: number, scheme });
    }
    // Before the first listener is there to be reached, so that nobody is let in whom the ranges keep out.
    settings(desired, balancer, &mut steps);
    // The predecessor serves until its successor is published, so it follows the endpoints too. But nothing is opened on a public one
    // for the sake of what is to be internal, and on one that has not the address which is asked for nothing for whoever comes.
    for generation in generations.iter().filter(|other| follows_endpoints(desired, number, other)) {
        let mut followed = desired.clone();
        let goes_inside = generation.scheme == Scheme::Public && scheme == Scheme::Internal;
        if goes_inside || lacks_requested(desired, generation) {
            let is_open = |listener: &Listener| {
                let same =
                    |open: &Listener| open.service == listener.service && (open.key == listener.key || !goes_inside);
                generation.listeners.iter().any(same)
            };
            followed.listeners.retain(is_open);
        }
        listeners(parameters, &followed, generation.number, Some(generation), &mut steps);
    }
    addresses(desired, number, target, predecessor(desired, generations, number, scheme), preferred, &mut steps);
    listeners(parameters, desired, number, target, &mut steps);
    if let Some(target) = target {
        surplus_addresses(desired, target, &mut steps);
        leaving(parameters, desired, target, generations, &mut steps);
    }
    steps
}

/// The predecessor serves until its successor is published, so it follows the endpoints too; a successor that was given up before any
/// client was told of it does not.
fn follows_endpoints(desired: &LoadBalancer, target: u32, other: &Generation) -> bool {
    other.number != target && !other.is_leaving() && (other.number < target || other.is_among(&desired.published))
}

fn settings(desired: &LoadBalancer, balancer: Option<&Balancer>, steps: &mut Vec<Step>) {
    let (members, ranges, nodes) = balancer.map_or((&[][..], &SourceRanges::All, &[][..]), |balancer| {
        (balancer.members.as_slice(), &balancer.source_ranges, balancer.nodes.as_slice())
    });
    if members != desired.members {
        steps.push(Step::SetMembers { members: desired.members.clone() });
    }
    if ranges != &desired.source_ranges {
        steps.push(Step::SetSourceRanges { source_ranges: desired.source_ranges.clone() });
    }
    if nodes != desired.nodes {
        steps.push(Step::SetNodes { nodes: desired.nodes.clone() });
    }
}

/// Whose addresses the target keeps where it can: those that clients know, of the same scheme. An address once given survives every
/// edit that does not ask for another one.
fn predecessor<'a>(
    desired: &LoadBalancer,
    generations: &'a [Generation],
    number: u32,
    scheme: Scheme,
) -> Option<&'a Generation> {
    let serves =
        |other: &&Generation| other.number != number && other.scheme == scheme && other.is_among(&desired.published);
    generations.iter().rfind(serves)
}

fn addresses(
    desired: &LoadBalancer,
    number: u32,
    target: Option<&Generation>,
    predecessor: Option<&Generation>,
    preferred: impl Fn(Family) -> Option<IpAddr>,
    steps: &mut Vec<Step>,
) {
    for family in [Family::V4, Family::V6].into_iter().filter(|family| desired.families.contains(family)) {
        if target.is_some_and(|target| target.addresses.contains_key(&family)) {
            continue;
        }
        let asked = desired.requested.iter().find(|address| Family::of(**address) == family);
        let kept = || predecessor.and_then(|predecessor| predecessor.addresses.get(&family));
        let requested = asked.or_else(kept).copied();
        let preferred = if requested.is_none() { preferred(family) } else { None };
        steps.push(Step::AssignAddress { generation: number, family, requested, preferred });
    }
}

/// The address that clients know, or that a lost load balancer has left claimed: a load balancer that has to be made again gets it back,
/// if it is still to be had. A status alone is no more than such a wish, or a status written by hand could steal.
fn preferred(
    parameters: &Parameters,
    desired: &LoadBalancer,
    scheme: Scheme,
    claims: &[IpAddr],
    family: Family,
) -> Option<IpAddr> {
    if !desired.families.contains(&family) || desired.requested.iter().any(|asked| Family::of(*asked) == family) {
        return None;
    }
    let told = desired.published.iter().filter_map(|entry| match entry {
        Published::Ip { ip, mode: _ } => Some(*ip),
        Published::Hostname { .. } => None,
    });
    told.chain(claims.iter().copied())
        .find(|address| Family::of(*address) == family && parameters.ranges.gives(scheme, *address))
}

fn listeners(
    parameters: &Parameters,
    desired: &LoadBalancer,
    number: u32,
    generation: Option<&Generation>,
    steps: &mut Vec<Step>,
) {
    let existing = generation.map_or(&[][..], |generation| generation.listeners.as_slice());
    let goes = |listener: &&Listener| !desired.listeners.iter().any(|wanted| wanted.key == listener.key);
    let delete = |listener: &Listener| Step::DeleteListener { generation: number, listener: listener.key };
    // What goes serves until what comes does; unless the class cannot have both at once.
    let in_the_way = |listener: &&Listener| {
        let differs = |wanted: &Listener| wanted.key.protocol != listener.key.protocol;
        !parameters.capabilities.mixed_protocols && desired.listeners.iter().any(differs)
    };
    let (first, last): (Vec<_>, Vec<_>) = existing.iter().filter(goes).partition(in_the_way);
    steps.extend(first.into_iter().map(delete));
    for listener in &desired.listeners {
        if !existing.contains(listener) {
            steps.push(Step::PutListener { generation: number, listener: listener.clone() });
        }
    }
    steps.extend(last.into_iter().map(delete));
}

/// Addresses of families that are no longer wanted. One that clients still know could reach somebody else's load balancer if it were
/// given away, so it waits until the status has let go of it.
fn surplus_addresses(desired: &LoadBalancer, target: &Generation, steps: &mut Vec<Step>) {
    for (family, address) in target.addresses.iter().chain(&target.unclaimed) {
        if !desired.families.contains(family) && !is_told_address(desired, *address) {
            steps.push(Step::ReleaseAddress { generation: Some(target.number), address: *address });
        }
    }
}

/// Sees off the other generations, once no client can be sent to them: the target takes traffic, is published, and nothing that is
/// published is theirs alone.
fn leaving(
    parameters: &Parameters,
    desired: &LoadBalancer,
    target: &Generation,
    generations: &[Generation],
    steps: &mut Vec<Step>,
) {
    if !is_published(parameters, desired, target) {
        return;
    }
    for other in generations.iter().filter(|other| other.number != target.number) {
        if desired.published.iter().any(|entry| other.answers_to(entry) && !target.answers_to(entry)) {
            continue;
        }
        if !other.is_leaving() {
            steps.push(Step::DrainBalancer { generation: other.number });
        }
        if other.drain == Drain::Drained || (!other.is_leaving() && parameters.drain_for.is_zero()) {
            steps.extend(removal(other));
        }
    }
}

/// Clients are told of this generation, and it serves them.
fn is_published(parameters: &Parameters, desired: &LoadBalancer, target: &Generation) -> bool {
    let complete = desired.families.iter().all(|family| target.addresses.contains_key(family));
    target.is_active()
        && complete
        && publishable(parameters, desired, target).iter().all(|entry| is_told(desired, entry))
}
