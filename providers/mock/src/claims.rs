//! The way back from an owner to its addresses: `owners/ID.json` lists what has been claimed under an id, so that finding the claims of a
//! load balancer whose file is gone does not read those of all others.
//!
//! The list is written before a claim is made and after it was given back. A process killed in between leaves an entry too many, never
//! one too few; so an entry is a question, and the claim itself the answer (see [`crate::addresses`]).

use std::collections::BTreeSet;
use std::net::IpAddr;

use portolan_core::ids::{Instance, LoadBalancerId};
use portolan_core::provider::Error;
use serde::{Deserialize, Serialize};

use crate::addresses::Owner;
use crate::store::{Store, file_name};
use crate::stored::{corrupt, unavailable};

/// The folder of lists.
const OWNERS: &str = "owners";

/// What one instance has claimed under an id. (Two instances never mean the same by one id, unless somebody has named it by hand.)
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    instance: Instance,
    /// Never empty.
    addresses: BTreeSet<IpAddr>,
}

/// All addresses that this owner may have claimed, sorted, whether its load balancer knows of them or not.
pub(crate) fn claims_of(store: &Store, owner: &Owner) -> Result<Vec<IpAddr>, Error> {
    let claims = read(store, &owner.id)?.into_iter().filter(|claims| claims.instance == owner.instance);
    Ok(claims.flat_map(|claims| claims.addresses).collect())
}

/// Writes down that this owner is about to claim an address. Under the store's lock.
pub(crate) fn remember(store: &Store, owner: &Owner, address: IpAddr) -> Result<(), Error> {
    change(store, owner, |addresses| addresses.insert(address))
}

/// Writes down that this owner has not claimed an address any more. Under the store's lock.
pub(crate) fn forget(store: &Store, owner: &Owner, address: IpAddr) -> Result<(), Error> {
    change(store, owner, |addresses| addresses.remove(&address))
}

/// Changes what an owner has claimed; `change` says whether it has.
fn change(store: &Store, owner: &Owner, change: impl FnOnce(&mut BTreeSet<IpAddr>) -> bool) -> Result<(), Error> {
    let mut all = read(store, &owner.id)?;
    let (mut ours, others): (Vec<_>, Vec<_>) = all.drain(..).partition(|claims| claims.instance == owner.instance);
    let mut ours = ours.pop().unwrap_or_else(|| Claims { instance: owner.instance.clone(), addresses: [].into() });
    if !change(&mut ours.addresses) {
        return Ok(());
    }
    let all: Vec<_> = others.into_iter().chain([ours]).filter(|claims| !claims.addresses.is_empty()).collect();
    let piece = piece(&owner.id);
    let written = if all.is_empty() {
        store.remove(&piece)
    } else {
        let text = serde_json::to_vec(&all).map_err(|error| corrupt(store, &piece, &error.to_string()))?;
        store.replace(&piece, &text)
    };
    written.map_err(|error| unavailable(store, &piece, &error))
}

fn read(store: &Store, id: &LoadBalancerId) -> Result<Vec<Claims>, Error> {
    let piece = piece(id);
    let Some(text) = store.read(&piece).map_err(|error| unavailable(store, &piece, &error))? else {
        return Ok(Vec::new());
    };
    serde_json::from_slice(&text).map_err(|error| corrupt(store, &piece, &error.to_string()))
}

fn piece(id: &LoadBalancerId) -> String {
    format!("{OWNERS}/{}.json", file_name(id.as_str()))
}
