//! The whole world as JSON, for people and tests: sorted, and without times, so that two runs that end alike print alike.

use std::collections::BTreeMap;
use std::net::IpAddr;

use portolan_core::balancer::{Listener, Member, NodeTarget, Scheme, SourceRanges};
use portolan_core::ids::LoadBalancerId;
use portolan_core::provider::Error;
use serde::Serialize;

use crate::addresses::{claimed, owner};
use crate::clock::Millis;
use crate::faults::{self, Armed};
use crate::observe::balancer;
use crate::state::{Generation, Readiness};
use crate::store::Store;
use crate::stored::{StoredBalancer, ids, read_any};

/// The world.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Picture {
    /// All load balancers, of every instance, by id.
    pub balancers: BTreeMap<LoadBalancerId, BalancerPicture>,
    /// All claimed addresses, and whose they are.
    pub addresses: BTreeMap<IpAddr, LoadBalancerId>,
    /// The armed faults, by name.
    pub faults: Vec<Armed>,
    /// Files that cannot be understood.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

/// One load balancer.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BalancerPicture {
    /// Whose it is.
    pub instance: String,
    /// The Services it serves.
    pub members: Vec<Member>,
    /// Who may connect.
    pub source_ranges: SourceRanges,
    /// The nodes that may take traffic.
    pub nodes: Vec<NodeTarget>,
    /// By number; more than one while one replaces another.
    pub generations: Vec<GenerationPicture>,
}

/// One generation.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GenerationPicture {
    /// Its number.
    pub generation: u32,
    /// Whom it serves.
    pub scheme: Scheme,
    /// `provisioning` or `active`.
    pub state: &'static str,
    /// It is on its way out.
    pub draining: bool,
    /// Its addresses, IPv4 first.
    pub addresses: Vec<IpAddr>,
    /// Its name.
    pub hostname: String,
    /// By port and protocol.
    pub listeners: Vec<Listener>,
}

/// Takes the picture. What cannot be understood is named in it and spoils nothing else.
pub fn picture(store: &Store, now: Millis) -> Result<Picture, Error> {
    let mut picture =
        Picture { balancers: BTreeMap::new(), addresses: BTreeMap::new(), faults: Vec::new(), problems: Vec::new() };
    for id in ids(store)? {
        let taken = read_any(store, &id).and_then(|stored| stored.map(|stored| one(store, &stored, now)).transpose());
        match taken {
            Ok(Some(one)) => {
                picture.balancers.insert(id, one);
            }
            Ok(None) => {}
            Err(error) => picture.problems.push(error.message),
        }
    }
    for address in claimed(store)? {
        match owner(store, address) {
            Ok(Some(owner)) => {
                picture.addresses.insert(address, owner.id);
            }
            Ok(None) => {}
            Err(error) => picture.problems.push(error.message),
        }
    }
    match faults::list(store) {
        Ok(armed) => {
            for fault in armed {
                match fault {
                    Ok(fault) => picture.faults.push(fault),
                    Err(error) => picture.problems.push(error.to_string()),
                }
            }
        }
        Err(error) => picture.problems.push(error.to_string()),
    }
    Ok(picture)
}

fn one(store: &Store, stored: &StoredBalancer, now: Millis) -> Result<BalancerPicture, Error> {
    let seen = balancer(store, stored, now)?;
    Ok(BalancerPicture {
        instance: stored.instance.as_str().to_owned(),
        members: seen.members,
        source_ranges: seen.source_ranges,
        nodes: seen.nodes,
        generations: seen.generations.into_iter().map(generation).collect(),
    })
}

fn generation(seen: Generation) -> GenerationPicture {
    GenerationPicture {
        generation: seen.number,
        scheme: seen.scheme,
        state: match seen.readiness {
            Readiness::Active => "active",
            Readiness::Provisioning(_) | Readiness::Held => "provisioning",
        },
        draining: seen.is_leaving(),
        addresses: seen.addresses.values().copied().collect(),
        hostname: seen.hostname,
        listeners: seen.listeners,
    }
}
