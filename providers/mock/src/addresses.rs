//! Who owns which address.
//!
//! A claim is a file `addresses/ADDRESS` that names the owner; the file system lets only one be made, so two controllers never give one
//! address twice. The load balancer's own file is written first and the claim after it, and an address counts only when both agree. So a
//! process killed in between leaves an intention that the next pass carries out, never a claim of which nobody knows.
//!
//! The lowest free address comes first, so that the same Services get the same addresses however often the controller was killed.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use ipnet::IpNet;
use portolan_core::balancer::{Family, Scheme};
use portolan_core::ids::{Instance, LoadBalancerId};
use portolan_core::provider::Error;
use portolan_core::reason::Reason;
use serde::{Deserialize, Serialize};

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
    /// For each range, the first offset that may be free: what lies before it is taken as far as this process knows. Others may have
    /// released some of it, so it is looked at again before a range counts as exhausted.
    free_from: Mutex<BTreeMap<IpNet, u128>>,
    /// Who owned an address when it was first seen claimed: so that looking for somebody's claims does not read all of them each time.
    seen: Mutex<BTreeMap<IpAddr, Owner>>,
}

impl Allocator {
    /// The lowest address of this scheme and family that nobody has claimed.
    pub(crate) fn free(&self, store: &Store, ranges: &Ranges, scheme: Scheme, family: Family) -> Result<IpAddr, Error> {
        let mut free_from = self.free_from.lock().unwrap_or_else(PoisonError::into_inner);
        for range in ranges.of_family(scheme, family) {
            let start = free_from.get(range).copied().unwrap_or(0);
            let hosts = Hosts::of(range);
            for offset in (start..).take_while(|offset| hosts.at(*offset).is_some()).chain(0..start) {
                let Some(address) = hosts.at(offset) else { break };
                let piece = piece(address);
                if !store.exists(&piece).map_err(|error| unavailable(store, &piece, &error))? {
                    free_from.insert(*range, offset);
                    return Ok(address);
                }
            }
        }
        let message = format!(
            "no {scheme} {family} address is free in the class's ranges ({}); delete a Service or add a range",
            ranges.of_family(scheme, family).map(ToString::to_string).collect::<Vec<_>>().join(", ")
        );
        Err(Error::retry(Reason::AddressesExhausted, message))
    }

    /// Claims an address for this owner; false if it is another's.
    pub(crate) fn claim(&self, store: &Store, claimant: &Owner, address: IpAddr) -> Result<bool, Error> {
        self.forget(address);
        let piece = piece(address);
        let text = serde_json::to_vec(claimant).map_err(|error| corrupt(store, &piece, &error.to_string()))?;
        if store.create(&piece, &text).map_err(|error| unavailable(store, &piece, &error))? {
            return Ok(true);
        }
        Ok(owner(store, address)?.as_ref() == Some(claimant))
    }

    /// All addresses that this owner has claimed, sorted, whether its load balancer knows of them or not. A claim that cannot be
    /// understood is nobody's; one that changes hands behind our back is found once it has been seen free or by another process.
    pub(crate) fn claims_of(&self, store: &Store, us: &Owner) -> Result<Vec<IpAddr>, Error> {
        let claimed = claimed(store)?;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.retain(|address, _| claimed.binary_search(address).is_ok());
        for address in claimed {
            if let Entry::Vacant(unseen) = seen.entry(address)
                && let Ok(Some(owner)) = owner(store, address)
            {
                unseen.insert(owner);
            }
        }
        let ours = |(address, seen): (&IpAddr, &Owner)| (seen == us).then_some(*address);
        let mut claims: Vec<_> = seen.iter().filter_map(ours).collect();
        claims.retain(|address| matches!(owner(store, *address), Ok(Some(owner)) if &owner == us));
        Ok(claims)
    }

    fn forget(&self, address: IpAddr) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).remove(&address);
    }

    /// Gives an address back, if it is this owner's.
    pub(crate) fn release(&self, store: &Store, owner: &Owner, address: IpAddr) -> Result<(), Error> {
        if self::owner(store, address)?.as_ref() != Some(owner) {
            return Ok(());
        }
        self.forget(address);
        let piece = piece(address);
        store.remove(&piece).map_err(|error| unavailable(store, &piece, &error))?;
        let mut free_from = self.free_from.lock().unwrap_or_else(PoisonError::into_inner);
        for (range, first) in free_from.iter_mut() {
            if let Some(offset) = Hosts::of(range).offset_of(address) {
                *first = offset.min(*first);
            }
        }
        Ok(())
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
