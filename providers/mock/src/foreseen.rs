//! What exists once a plan is carried out, for a dry run. Pure. Which address the store would give is not known; a stand-in has its place, which
//! nobody is shown.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use portolan_core::balancer::{Family, LoadBalancer, Scheme, SourceRanges};
use portolan_core::ids::LoadBalancerId;
use portolan_core::provider::{Foreseen, Plan};

use crate::observe::hostname;
use crate::state::{Balancer, Drain, Generation, Readiness, State};
use crate::step::Step;

/// What exists once this plan is carried out and all has come that only takes time. None where that does not follow.
pub(crate) fn foresee(desired: Option<&LoadBalancer>, observed: &State, plan: &Plan<Step>) -> Option<Foreseen<State>> {
    let mut balancer = match observed {
        State::Ours(balancer) => balancer.clone(),
        State::Absent | State::Claims { .. } => nothing(),
        State::Foreign { .. } => return None,
    };
    for step in &plan.steps {
        done(&mut balancer, desired.map(|desired| &desired.id), step)?;
    }
    for generation in &mut balancer.generations {
        generation.readiness = match generation.readiness {
            Readiness::Active | Readiness::Provisioning(_) => Readiness::Active,
            Readiness::Held => Readiness::Held,
        };
        generation.drain = match generation.drain {
            Drain::No => Drain::No,
            Drain::Draining(_) | Drain::Drained => Drain::Drained,
        };
    }
    let drains = plan.steps.iter().any(|step| matches!(step, Step::DrainBalancer { .. }));
    let awaited = if drains { "connections are finished" } else { "that is done" };
    let state = if balancer.generations.is_empty() { State::Absent } else { State::Ours(balancer) };
    Some(Foreseen { state, awaited })
}

fn nothing() -> Balancer {
    Balancer {
        members: Vec::new(),
        source_ranges: SourceRanges::All,
        nodes: Vec::new(),
        generations: Vec::new(),
        unhealthy: false,
    }
}

fn made(id: &LoadBalancerId, number: u32, scheme: Scheme) -> Generation {
    Generation {
        number,
        scheme,
        addresses: BTreeMap::new(),
        unclaimed: BTreeMap::new(),
        hostname: hostname(id, number),
        listeners: Vec::new(),
        readiness: Readiness::Active,
        drain: Drain::No,
    }
}

fn done(balancer: &mut Balancer, id: Option<&LoadBalancerId>, step: &Step) -> Option<()> {
    match step {
        Step::CreateBalancer { generation, scheme } => balancer.generations.push(made(id?, *generation, *scheme)),
        Step::SetMembers { members } => balancer.members.clone_from(members),
        Step::SetSourceRanges { source_ranges } => balancer.source_ranges.clone_from(source_ranges),
        Step::SetNodes { nodes } => balancer.nodes.clone_from(nodes),
        Step::AssignAddress { generation: number, family, requested, preferred } => {
            let address = requested.or(*preferred).unwrap_or_else(|| stand_in(*number, *family));
            generation(balancer, *number)?.addresses.insert(*family, address);
        }
        Step::PutListener { generation: number, listener } => {
            let listeners = &mut generation(balancer, *number)?.listeners;
            listeners.retain(|other| other.key != listener.key);
            listeners.push(listener.clone());
            listeners.sort_by_key(|listener| listener.key);
        }
        Step::DeleteListener { generation: number, listener } => {
            generation(balancer, *number)?.listeners.retain(|other| other.key != *listener);
        }
        Step::ReleaseAddress { generation: Some(number), address } => {
            let generation = generation(balancer, *number)?;
            generation.addresses.retain(|_, own| own != address);
            generation.unclaimed.retain(|_, own| own != address);
        }
        Step::ReleaseAddress { generation: None, .. } => {}
        Step::DrainBalancer { generation: number } => generation(balancer, *number)?.drain = Drain::Drained,
        Step::DeleteBalancer { generation: number } => balancer.generations.retain(|one| one.number != *number),
    }
    Some(())
}

/// One of this host's own: no range has it.
fn stand_in(generation: u32, family: Family) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::from_bits(generation).into(),
        Family::V6 => Ipv6Addr::from_bits(generation.into()).into(),
    }
}

fn generation(balancer: &mut Balancer, number: u32) -> Option<&mut Generation> {
    balancer.generations.iter_mut().find(|one| one.number == number)
}
