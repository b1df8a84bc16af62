//! From files to what `plan` reads.

use std::collections::BTreeMap;
use std::net::IpAddr;

use portolan_core::balancer::Family;
use portolan_core::ids::{Instance, LoadBalancerId};
use portolan_core::provider::Error;

use crate::addresses::{Owner, owner};
use crate::claims::claims_of;
use crate::clock::Millis;
use crate::state::{Balancer, Drain, Generation, Readiness, State};
use crate::store::Store;
use crate::stored::{Found, StoredBalancer, StoredGeneration, read};

/// What exists under this id at this time.
pub(crate) fn observe(store: &Store, instance: &Instance, id: &LoadBalancerId, now: Millis) -> Result<State, Error> {
    match read(store, instance, id)? {
        Found::Nothing => {
            let us = Owner { id: id.clone(), instance: instance.clone() };
            let addresses = claims_of(store, &us)?;
            Ok(if addresses.is_empty() { State::Absent } else { State::Claims { addresses } })
        }
        Found::Foreign { instance } => Ok(State::Foreign { instance }),
        Found::Ours(stored) => Ok(State::Ours(balancer(store, &stored, now)?)),
    }
}

pub(crate) fn balancer(store: &Store, stored: &StoredBalancer, now: Millis) -> Result<Balancer, Error> {
    let us = Owner { id: stored.id.clone(), instance: stored.instance.clone() };
    let generation = |stored: &StoredGeneration| generation(store, &us, stored, now);
    Ok(Balancer {
        members: stored.members.clone(),
        source_ranges: stored.source_ranges.clone(),
        nodes: stored.nodes.clone(),
        generations: stored.generations.iter().map(generation).collect::<Result<_, _>>()?,
        unhealthy: false,
    })
}

fn generation(store: &Store, us: &Owner, stored: &StoredGeneration, now: Millis) -> Result<Generation, Error> {
    let mut addresses: BTreeMap<Family, IpAddr> = BTreeMap::new();
    let mut unclaimed = BTreeMap::new();
    for (family, address) in &stored.addresses {
        let ours = owner(store, *address)?.as_ref() == Some(us);
        if ours { &mut addresses } else { &mut unclaimed }.insert(*family, *address);
    }
    Ok(Generation {
        number: stored.number,
        scheme: stored.scheme,
        addresses,
        unclaimed,
        hostname: hostname(&us.id, stored.number),
        listeners: stored.listeners.clone(),
        readiness: match (&stored.held_by, now.until(stored.ready_at)) {
            (Some(_), _) => Readiness::Held,
            (None, Some(rest)) => Readiness::Provisioning(rest),
            (None, None) => Readiness::Active,
        },
        drain: match stored.drained_at {
            None => Drain::No,
            Some(drained_at) => now.until(drained_at).map_or(Drain::Drained, Drain::Draining),
        },
    })
}

/// The name of a generation: the first characters of its id, and a hash of all of them, because a label is short and ids may begin alike.
pub(crate) fn hostname(id: &LoadBalancerId, generation: u32) -> String {
    let last = id.as_str().rsplit('.').next().unwrap_or_default();
    let short: String = last.to_ascii_lowercase().chars().filter(char::is_ascii_alphanumeric).take(8).collect();
    // FNV-1a.
    let hash =
        id.as_str().bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let later = if generation > 1 { format!("-{generation}") } else { String::new() };
    format!("{short}{}{hash:08x}{later}.mock.portolan.dev", if short.is_empty() { "" } else { "-" })
}
