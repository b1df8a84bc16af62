//! Who waits for an address of which pool, and at which place: told by `portolan plan` and by the pool's status, never by the Service, which would
//! have to be written each time that somebody before it is served.

use std::collections::BTreeMap;

use portolan_core::ids::LoadBalancerId;
use portolan_metal::Site;
use serde::Serialize;

/// A place in line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Place {
    /// The pool.
    pub pool: String,
    /// Counted from 1. Services that were created earlier are served first.
    pub place: usize,
    /// How many wait for this pool.
    pub of: usize,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "pool {}, place {} of {}", self.pool, self.place, self.of)
    }
}

/// Everybody who waits, once all have asked.
pub(super) fn places(site: &Site) -> BTreeMap<LoadBalancerId, Vec<Place>> {
    site.look(|world| {
        let mut places: BTreeMap<LoadBalancerId, Vec<Place>> = BTreeMap::new();
        for pool in world.pools().iter() {
            let name = &pool.pool.name;
            let waiting: Vec<&LoadBalancerId> = world.waiting_for(name).map(|wish| &wish.id).collect();
            for (id, place) in waiting.iter().zip(1..) {
                let place = Place { pool: name.to_string(), place, of: waiting.len() };
                places.entry((*id).clone()).or_default().push(place);
            }
        }
        places
    })
}
