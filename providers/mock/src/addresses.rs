//! Who owns which address.
//!
//! A claim is a file `addresses/ADDRESS` that names the owner; the file system lets only one be made, so two controllers never give one
//! address twice. The load balancer's own file is written first and the claim after it, and an address counts only when both agree. So a
//! process killed in between leaves an intention that the next pass carries out, never a claim of which nobody knows.
//!
//! The lowest free address comes first, so that the same Services get the same addresses however often the controller was killed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use ipnet::IpNet;
use portolan_core::balancer::{Family, Scheme};
use portolan_core::ids::{Instance, LoadBalancerId};
use portolan_core::provider::Error;
use portolan_core::reason::Reason;
use serde::{Deserialize, Serialize};

use crate::claims;
use crate::ranges::{Hosts, Ranges};
use crate::store::Store;
use crate::stored::{corrupt, unavailable};

/// The folder of claims.
const ADDRESSES: &str = "addresses";

/// What a claim says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Owner {
    pub(crate) id: LoadBalancerId,
    pub(crate) instance: Instance,
}

/// Gives and takes back addresses. Under the store's lock.
#[derive(Debug, Default)]
pub struct Allocator {
    /// For each range, where to look for a free address first.
    known: Mutex<BTreeMap<IpNet, Known>>,
}

/// What this process knows of a range, as offsets. Others may have given back some of it, so all of it is looked at again before the
/// class's ranges count as exhausted.
#[derive(Debug, Default)]
struct Known {
    /// What lies before this was taken when it was looked at last.
    taken_to: u128,
    /// Except for these, which were given back since.
    given_back: BTreeSet<u128>,
}

impl Allocator {
    /// The lowest address of this scheme and family that nobody has claimed.
    pub(crate) fn free(&self, store: &Store, ranges: &Ranges, scheme: Scheme, family: Family) -> Result<IpAddr, Error> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let ranges = || ranges.of_family(scheme, family);
        for range in ranges() {
            if let Some(free) = known.entry(*range).or_default().next(store, &Hosts::of(range))? {
                return Ok(free);
            }
        }
        for range in ranges() {
            let looked_at_again = known.entry(*range).or_default();
            *looked_at_again = Known::default();
            if let Some(free) = looked_at_again.next(store, &Hosts::of(range))? {
                return Ok(free);
            }
        }
        let message = format!(
            "no {scheme} {family} address is free in the class's ranges ({}); delete a Service or add a range",
            ranges().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        );
        Err(Error::retry(Reason::PoolExhausted, message))
    }

    /// Claims an address for this owner; false if it is another's.
    pub(crate) fn claim(&self, store: &Store, claimant: &Owner, address: IpAddr) -> Result<bool, Error> {
        claims::remember(store, claimant, address)?;
        let piece = piece(address);
        let text = serde_json::to_vec(claimant).map_err(|error| corrupt(store, &piece, &error.to_string()))?;
        if store.create(&piece, &text).map_err(|error| unavailable(store, &piece, &error))? {
            return Ok(true);
        }
        Ok(owner(store, address)?.as_ref() == Some(claimant))
    }

    /// Gives an address back, if it is this owner's.
    pub(crate) fn release(&self, store: &Store, owner: &Owner, address: IpAddr) -> Result<(), Error> {
        if self::owner(store, address)?.as_ref() == Some(owner) {
            let piece = piece(address);
            store.remove(&piece).map_err(|error| unavailable(store, &piece, &error))?;
            self.given_back(address);
        }
        claims::forget(store, owner, address)
    }

    fn given_back(&self, address: IpAddr) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for (range, known) in known.iter_mut() {
            if let Some(offset) = Hosts::of(range).offset_of(address).filter(|offset| *offset < known.taken_to) {
                known.given_back.insert(offset);
            }
        }
    }
}

impl Known {
    /// The lowest free address, as far as is known.
    fn next(&mut self, store: &Store, hosts: &Hosts) -> Result<Option<IpAddr>, Error> {
        let is_free = |address: IpAddr| {
            let piece = piece(address);
            store.exists(&piece).map(|taken| !taken).map_err(|error| unavailable(store, &piece, &error))
        };
        while let Some(offset) = self.given_back.first().copied() {
            match hosts.at(offset) {
                Some(address) if is_free(address)? => return Ok(Some(address)),
                Some(_) | None => self.given_back.remove(&offset),
            };
        }
        while let Some(address) = hosts.at(self.taken_to) {
            if is_free(address)? {
                return Ok(Some(address));
            }
            self.taken_to = self.taken_to.saturating_add(1);
        }
        Ok(None)
    }
}

/// Whose an address is.
pub(crate) fn owner(store: &Store, address: IpAddr) -> Result<Option<Owner>, Error> {
    let piece = piece(address);
    let Some(text) = store.read(&piece).map_err(|error| unavailable(store, &piece, &error))? else { return Ok(None) };
    serde_json::from_slice(&text).map(Some).map_err(|error| corrupt(store, &piece, &error.to_string()))
}

/// All claimed addresses, sorted.
pub(crate) fn claimed(store: &Store) -> Result<Vec<IpAddr>, Error> {
    let names = store.list(ADDRESSES).map_err(|error| unavailable(store, ADDRESSES, &error))?;
    let mut addresses: Vec<IpAddr> = names.iter().filter_map(|name| name.parse().ok()).collect();
    addresses.sort_unstable();
    Ok(addresses)
}

fn piece(address: IpAddr) -> String {
    format!("{ADDRESSES}/{address}")
}
