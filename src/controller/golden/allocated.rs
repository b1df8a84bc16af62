//! Numbers and addresses that the stand-in gives away. Never twice, so that a case shows which were allocated anew.

use crate::sandbox::service::{Allocator, Exhausted};

#[derive(Default)]
pub(super) struct Allocated {
    node_ports: u16,
    health_ports: u16,
    cluster_ips: u64,
}

impl Allocator for Allocated {
    fn cluster_ip(&mut self, family: &str) -> Result<String, Exhausted> {
        self.cluster_ips += 1;
        let number = self.cluster_ips;
        Ok(if family == "IPv4" { format!("10.96.0.{number}") } else { format!("fd00:96::{number}") })
    }

    fn node_port(&mut self) -> Result<u16, Exhausted> {
        self.node_ports += 1;
        Ok(30_000 + self.node_ports)
    }

    fn health_check_node_port(&mut self) -> Result<u16, Exhausted> {
        self.health_ports += 1;
        Ok(32_000 + self.health_ports)
    }
}
