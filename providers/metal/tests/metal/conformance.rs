//! The laws of `portolan_core::provider`, on pools that have what the suite asks for.

use std::net::IpAddr;
use std::sync::Arc;

use portolan_core::balancer::Scheme;
use portolan_core::conformance::{World, check};
use portolan_core::ids::{Instance, LoadBalancerId};
use portolan_metal::pool::{Pool, PoolName};
use portolan_metal::range::Range;
use portolan_metal::vip::Vip;
use portolan_metal::{Metal, Site, State};
use serde_json::Value;

use crate::memory::Memory;

/// How many generated histories it runs, beside the suite's own cases.
const HISTORIES: usize = 150;

#[test]
fn metal_keeps_every_law() {
    match check(1, HISTORIES, MetalWorld::new) {
        Ok(runs) => println!("conformance, metal: {runs} runs keep the laws"),
        Err(failure) => panic!("metal: {failure}"),
    }
}

struct MetalWorld {
    memory: Memory,
}

fn instance(name: &str) -> Instance {
    Instance::parse(name).unwrap()
}

fn pool(name: &str, ranges: &[&str], scheme: Scheme) -> Pool {
    Pool {
        scheme: Some(scheme),
        ..Pool::new(PoolName::new(name), ranges.iter().map(|range| Range::parse(range).unwrap()).collect())
    }
}

impl MetalWorld {
    /// Another Portolan has the first address of each pool.
    fn new() -> Self {
        let memory = Memory::default();
        for address in ["203.0.113.1", "198.51.100.1", "2001:db8:113::1", "2001:db8:51::1"] {
            memory.put(Vip {
                instance: instance("other"),
                holder: Some(LoadBalancerId::new("neighbour")),
                ..Vip::of_nobody(address.parse().unwrap())
            });
        }
        Self { memory }
    }

    fn provider(&self, memory: Memory) -> Metal {
        let site = Site::new(instance("conformance"), Arc::new(memory));
        site.observe(|world| {
            world.set_pools(vec![
                pool("public", &["203.0.113.1-203.0.113.99", "2001:db8:113::1-2001:db8:113::99"], Scheme::Public),
                pool("internal", &["198.51.100.1-198.51.100.99", "2001:db8:51::1-2001:db8:51::99"], Scheme::Internal),
            ]);
            world.shown_all(self.memory.all());
        });
        site.is_listed();
        Metal::new(site)
    }

    fn of(&self, ours: bool) -> Vec<Vip> {
        let all = self.memory.all().into_iter();
        all.filter(|vip| (vip.instance == instance("conformance")) == ours).collect()
    }
}

impl World for MetalWorld {
    type Provider = Metal;

    fn open(&mut self) -> Metal {
        self.provider(self.memory.clone())
    }

    fn open_killed_after(&mut self, writes: u64) -> Option<Metal> {
        Some(self.provider(self.memory.killed_after(writes)))
    }

    fn settle(&mut self) {}

    fn foreign(&self) -> String {
        format!("{:?}", self.of(false))
    }

    fn foreign_id(&self) -> Option<LoadBalancerId> {
        None
    }

    fn leftovers(&self) -> Vec<String> {
        self.of(true).iter().map(|vip| vip.address.to_string()).collect()
    }

    fn requestable(&self) -> Vec<IpAddr> {
        ["203.0.113.77", "198.51.100.77", "2001:db8:113::77"].iter().map(|address| address.parse().unwrap()).collect()
    }

    fn comparable(&self, state: &State) -> Value {
        serde_json::to_value(&state.vips).unwrap()
    }
}
