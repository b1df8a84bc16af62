//! How one step is carried out. Each does nothing more when done again, with or without effect the first time.
//!
//! A process may be killed between any two writes. Only addresses take two: the load balancer's file says which one it means to have, then
//! the claim makes it so; and back: the claim goes, then the file forgets it (see [`crate::addresses`]).

use std::net::IpAddr;

use portolan_core::balancer::{Family, Scheme, SourceRanges};
use portolan_core::ids::{Instance, LoadBalancerId};
use portolan_core::provider::Error;
use portolan_core::reason::Reason;

use crate::addresses::{Allocator, Owner, owner};
use crate::claims::claims_of;
use crate::clock::Millis;
use crate::parameters::Parameters;
use crate::step::Step;
use crate::store::Store;
use crate::stored::{Found, StoredBalancer, StoredGeneration, not_ours, read, write};

/// What a step needs besides itself.
#[derive(Debug)]
pub(crate) struct Bench<'a> {
    pub(crate) store: &'a Store,
    pub(crate) parameters: &'a Parameters,
    pub(crate) allocator: &'a Allocator,
    pub(crate) instance: &'a Instance,
    pub(crate) now: Millis,
}

/// Which address is wanted: that one or none, or that one rather than another.
#[derive(Clone, Copy, Debug)]
struct Wish {
    requested: Option<IpAddr>,
    preferred: Option<IpAddr>,
}

impl Bench<'_> {
    /// Carries out one step on one load balancer. Under the store's lock.
    pub(crate) fn apply(&self, id: &LoadBalancerId, step: &Step) -> Result<(), Error> {
        let found = match read(self.store, self.instance, id)? {
            Found::Foreign { instance } => {
                return Err(Error::terminal(Reason::NotOurs, not_ours(id, instance.as_deref())));
            }
            Found::Ours(balancer) => Some(balancer),
            Found::Nothing => None,
        };
        match step {
            Step::CreateBalancer { generation, scheme } => self.create(found, id, *generation, *scheme),
            Step::SetMembers { members } => self.edit(found, id, |balancer| balancer.members.clone_from(members)),
            Step::SetSourceRanges { source_ranges } => {
                self.edit(found, id, |balancer| balancer.source_ranges.clone_from(source_ranges))
            }
            Step::SetNodes { nodes } => self.edit(found, id, |balancer| balancer.nodes.clone_from(nodes)),
            Step::PutListener { generation, listener } => self.edit_generation(found, id, *generation, |generation| {
                generation.listeners.retain(|other| other.key != listener.key);
                generation.listeners.push(listener.clone());
                generation.listeners.sort_by_key(|listener| listener.key);
            }),
            Step::DeleteListener { generation, listener } => {
                self.edit_generation(found, id, *generation, |generation| {
                    generation.listeners.retain(|other| other.key != *listener);
                })
            }
            Step::DrainBalancer { generation } => {
                let drained_at = self.now.after(self.parameters.drain_for);
                self.edit_generation(found, id, *generation, |generation| {
                    generation.drained_at.get_or_insert(drained_at);
                })
            }
            Step::AssignAddress { generation, family, requested, preferred } => {
                let wish = Wish { requested: *requested, preferred: *preferred };
                self.assign(found.ok_or_else(|| vanished(id))?, *generation, *family, wish)
            }
            // What is gone needs no release and no deletion; but its claim may be left.
            Step::ReleaseAddress { generation, address } => match (found, generation) {
                (Some(balancer), Some(generation)) => self.release(balancer, *generation, &[*address]),
                // Somebody has made it again; it may mean to have this address.
                (Some(_), None) => Err(vanished(id)),
                (None, Some(_) | None) => {
                    let us = Owner { id: id.clone(), instance: self.instance.clone() };
                    self.allocator.release(self.store, &us, *address)
                }
            },
            Step::DeleteBalancer { generation } => found.map_or(Ok(()), |balancer| self.delete(balancer, *generation)),
        }
    }

    fn create(
        &self,
        found: Option<StoredBalancer>,
        id: &LoadBalancerId,
        number: u32,
        scheme: Scheme,
    ) -> Result<(), Error> {
        let mut balancer = found.unwrap_or_else(|| StoredBalancer {
            id: id.clone(),
            instance: self.instance.clone(),
            members: Vec::new(),
            source_ranges: SourceRanges::All,
            nodes: Vec::new(),
            generations: Vec::new(),
        });
        if balancer.generation(number).is_some() {
            return Ok(());
        }
        balancer.generations.push(StoredGeneration {
            number,
            scheme,
            addresses: [].into(),
            listeners: Vec::new(),
            ready_at: self.now.after(self.parameters.ready_after),
            held_by: None,
            drained_at: None,
        });
        balancer.generations.sort_by_key(|generation| generation.number);
        write(self.store, &balancer)
    }

    fn edit(
        &self,
        found: Option<StoredBalancer>,
        id: &LoadBalancerId,
        change: impl FnOnce(&mut StoredBalancer),
    ) -> Result<(), Error> {
        let mut balancer = found.ok_or_else(|| vanished(id))?;
        change(&mut balancer);
        write(self.store, &balancer)
    }

    fn edit_generation(
        &self,
        found: Option<StoredBalancer>,
        id: &LoadBalancerId,
        number: u32,
        change: impl FnOnce(&mut StoredGeneration),
    ) -> Result<(), Error> {
        let mut balancer = found.ok_or_else(|| vanished(id))?;
        change(balancer.generation(number).ok_or_else(|| vanished(id))?);
        write(self.store, &balancer)
    }

    fn assign(
        &self,
        mut balancer: StoredBalancer,
        number: u32,
        family: Family,
        Wish { requested, preferred }: Wish,
    ) -> Result<(), Error> {
        let us = Owner { id: balancer.id.clone(), instance: balancer.instance.clone() };
        let generation = balancer.generation(number).ok_or_else(|| vanished(&us.id))?;
        let scheme = generation.scheme;
        if let Some(meant) = generation.addresses.get(&family).copied() {
            let held = owner(self.store, meant)?;
            if held.as_ref() == Some(&us) {
                // It has one; should that not be the one asked for, the plan was made from something older.
                return if requested.is_none_or(|requested| requested == meant) {
                    Ok(())
                } else {
                    Err(vanished(&us.id))
                };
            }
            if held.is_none() && requested.is_none() {
                return self.claim(&us, meant);
            }
        }
        let address = match requested {
            Some(address) => {
                let of_this_scheme =
                    |own: &StoredGeneration| own.scheme == scheme && own.addresses.values().any(|ip| *ip == address);
                let is_kept = balancer.generations.iter().any(of_this_scheme);
                self.requested(&us, scheme, address, is_kept)?
            }
            None => match preferred {
                Some(address) if self.can_have(&us, scheme, address)? => address,
                Some(_) | None => self.allocator.free(self.store, &self.parameters.ranges, scheme, family)?,
            },
        };
        if let Some(generation) = balancer.generation(number) {
            generation.addresses.insert(family, address);
        }
        write(self.store, &balancer)?;
        self.claim(&us, address)
    }

    /// An address is ours already or free, and the class gives it.
    fn can_have(&self, us: &Owner, scheme: Scheme, address: IpAddr) -> Result<bool, Error> {
        let ranges = &self.parameters.ranges;
        Ok(ranges.gives(scheme, address) && owner(self.store, address)?.is_none_or(|owner| &owner == us))
    }

    /// The requested address, if it can be had: that one or none. `is_kept`: a generation of this scheme has it already, so that it stays
    /// even if the class does not give it any more. One that another scheme has is no reason: an internal load balancer
    /// would keep a public address.
    fn requested(&self, us: &Owner, scheme: Scheme, address: IpAddr, is_kept: bool) -> Result<IpAddr, Error> {
        let reason = Reason::RequestedAddressUnavailable;
        match owner(self.store, address)?.filter(|owner| owner != us) {
            // Its owner may give it up, and nobody would tell us.
            Some(owner) => Err(Error::retry(
                reason,
                format!(
                    "requested address {address} belongs to load balancer {}; it is asked for again and again",
                    owner.id
                ),
            )),
            None if is_kept || self.parameters.ranges.gives(scheme, address) => Ok(address),
            None => {
                let ranges =
                    self.parameters.ranges.of(scheme).iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                let why = format!("requested address {address} is no host of the class's {scheme} ranges ({ranges})");
                Err(Error::terminal(reason, why))
            }
        }
    }

    fn claim(&self, us: &Owner, address: IpAddr) -> Result<(), Error> {
        if self.allocator.claim(self.store, us, address)? {
            return Ok(());
        }
        Err(Error::retry(
            Reason::ProviderFailed,
            format!("address {address} was taken by another load balancer at this moment"),
        ))
    }

    /// The claims go first; an address that another generation has too stays claimed.
    fn release(&self, mut balancer: StoredBalancer, number: u32, addresses: &[IpAddr]) -> Result<(), Error> {
        let us = Owner { id: balancer.id.clone(), instance: balancer.instance.clone() };
        for address in addresses {
            let shared =
                |other: &StoredGeneration| other.number != number && other.addresses.values().any(|own| own == address);
            if !balancer.generations.iter().any(shared) {
                self.allocator.release(self.store, &us, *address)?;
            }
        }
        let Some(generation) = balancer.generation(number) else { return Ok(()) };
        let before = generation.addresses.len();
        generation.addresses.retain(|_, own| !addresses.contains(own));
        if generation.addresses.len() == before { Ok(()) } else { write(self.store, &balancer) }
    }

    fn delete(&self, mut balancer: StoredBalancer, number: u32) -> Result<(), Error> {
        let Some(generation) = balancer.generation(number) else { return Ok(()) };
        // The plan has released them one by one; should somebody have added one since, it does not outlive its load balancer.
        let left: Vec<_> = generation.addresses.values().copied().collect();
        self.release(balancer.clone(), number, &left)?;
        if balancer.generations.len() == 1 {
            // Nor does a claim of which no generation knows: what was claimed before somebody removed the file, and it was made anew.
            let us = Owner { id: balancer.id.clone(), instance: balancer.instance.clone() };
            for address in claims_of(self.store, &us)? {
                self.allocator.release(self.store, &us, address)?;
            }
        }
        balancer.generations.retain(|generation| generation.number != number);
        write(self.store, &balancer)
    }
}

fn vanished(id: &LoadBalancerId) -> Error {
    Error::retry(
        Reason::ProviderFailed,
        format!("mock load balancer {id} is not as it was observed; it is looked at again"),
    )
}
