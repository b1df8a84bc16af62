//! Which cluster IPs and node ports are taken. From `pkg/registry/core/service/{ipallocator,portallocator}`.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value;

use super::{Allocator, Exhausted, has_health_port, items};
use crate::sandbox::refused::FieldError;

/// From what Services get their numbers.
#[derive(Clone, Debug)]
pub(crate) struct Ranges {
    /// The first is the cluster's first family.
    pub(crate) cluster_ips: Vec<IpNet>,
    pub(crate) node_ports: std::ops::RangeInclusive<u16>,
}

/// What all Services hold.
#[derive(Debug)]
pub(in crate::sandbox) struct Numbers {
    ranges: Ranges,
    held: Holding,
    /// Where the search for a free port begins: behind the last that was given, so that a freed one is not at once another's.
    next_port: u16,
}

/// What one Service holds.
#[derive(Clone, Debug, Default, PartialEq)]
struct Holding {
    ports: BTreeSet<u16>,
    addresses: BTreeSet<IpAddr>,
}

/// The numbers as one Service may choose among them: what it holds already is free for it.
pub(in crate::sandbox) struct Choice<'a> {
    numbers: &'a Numbers,
    own: Holding,
    picked: Holding,
}

impl Default for Ranges {
    /// kubeadm's and the server's own defaults.
    fn default() -> Self {
        let networks = ["10.96.0.0/16", "fd00:96::/108"];
        Self {
            cluster_ips: networks.iter().filter_map(|network| network.parse().ok()).collect(),
            node_ports: 30_000..=32_767,
        }
    }
}

impl Numbers {
    pub(in crate::sandbox) fn new(ranges: Ranges) -> Self {
        let (start, end) = (*ranges.node_ports.start(), *ranges.node_ports.end());
        // The lower band is left to who names a port (KEP-3668): at least 16, at most 128, else a 32nd of the range.
        let band = (end.saturating_sub(start) / 32).clamp(16, 128);
        let next_port = start.saturating_add(band).min(end);
        Self { ranges, held: Holding::default(), next_port }
    }

    /// The numbers as they look to a Service that is created, or to one that is edited.
    pub(in crate::sandbox) fn choice(&self, old: Option<&Value>) -> Choice<'_> {
        Choice { numbers: self, own: old.map(Holding::of).unwrap_or_default(), picked: Holding::default() }
    }

    /// A Service is stored, changed or gone.
    pub(in crate::sandbox) fn moved(&mut self, old: Option<&Value>, new: Option<&Value>) {
        let (old, new) = (old.map(Holding::of).unwrap_or_default(), new.map(Holding::of).unwrap_or_default());
        for port in &old.ports {
            self.held.ports.remove(port);
        }
        for address in &old.addresses {
            self.held.addresses.remove(address);
        }
        if let Some(last) = new.ports.iter().rfind(|port| !old.ports.contains(port) && **port >= self.next_port) {
            self.next_port = last.saturating_add(1);
        }
        self.held.ports.extend(new.ports);
        self.held.addresses.extend(new.addresses);
    }
}

impl Choice<'_> {
    /// Whether what a Service asks for by number is in range, and free.
    pub(in crate::sandbox) fn check(&self, service: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let spec = &service["spec"];
        for (index, port) in items(&spec["ports"]).iter().enumerate() {
            self.check_port(&port["nodePort"], format!("spec.ports[{index}].nodePort"), &mut errors);
        }
        if has_health_port(spec) {
            self.check_port(&spec["healthCheckNodePort"], "spec.healthCheckNodePort".to_owned(), &mut errors);
        }
        for address in items(&spec["clusterIPs"]) {
            let Some(parsed) = address.as_str().and_then(|text| text.parse::<IpAddr>().ok()) else { continue };
            let list = &spec["clusterIPs"];
            if self.own.addresses.contains(&parsed) {
                continue;
            }
            let family = self.numbers.ranges.cluster_ips.iter().find(|net| net.addr().is_ipv4() == parsed.is_ipv4());
            let why = match family {
                // The network's own address is nobody's, nor is that for all of an IPv4 network.
                Some(net)
                    if !net.contains(&parsed)
                        || parsed == net.network()
                        || parsed.is_ipv4() && parsed == net.broadcast() =>
                {
                    format!("failed to allocate IP {parsed}: the provided network does not match the current range")
                }
                Some(_) if self.numbers.held.addresses.contains(&parsed) => {
                    format!("failed to allocate IP {parsed}: provided IP is already allocated")
                }
                Some(_) => continue,
                None => format!("failed to allocate IP {parsed}: no range of this family"),
            };
            errors.push(FieldError::invalid("spec.clusterIPs", list, why));
        }
        errors
    }

    fn check_port(&self, port: &Value, field: String, errors: &mut Vec<FieldError>) {
        let Some(number) = port.as_u64().filter(|number| *number != 0) else { return };
        let range = &self.numbers.ranges.node_ports;
        match u16::try_from(number) {
            Ok(number) if self.own.ports.contains(&number) => {}
            Ok(number) if range.contains(&number) => {
                if self.numbers.held.ports.contains(&number) {
                    errors.push(FieldError::invalid(field, port, "provided port is already allocated"));
                }
            }
            _ => {
                let why = format!(
                    "provided port is not in the valid range. The range of valid ports is {}-{}",
                    range.start(),
                    range.end()
                );
                errors.push(FieldError::invalid(field, port, why));
            }
        }
    }

    fn port(&mut self) -> Option<u16> {
        let (range, next) = (&self.numbers.ranges.node_ports, self.numbers.next_port);
        let taken = |port: &u16| {
            self.numbers.held.ports.contains(port) || self.own.ports.contains(port) || self.picked.ports.contains(port)
        };
        let free = (next..=*range.end()).chain(*range.start()..next).find(|port| !taken(port))?;
        self.picked.ports.insert(free);
        Some(free)
    }
}

impl Allocator for Choice<'_> {
    fn cluster_ip(&mut self, family: &str) -> Result<String, Exhausted> {
        let full = || Exhausted("failed to allocate a serviceIP: range is full".to_owned());
        let net = self.numbers.ranges.cluster_ips.iter().find(|net| net.addr().is_ipv4() == (family == "IPv4"));
        // The first address is the network's, the second the API server's.
        let mut free = net.ok_or_else(full)?.hosts().skip(1).filter(|address| {
            !self.numbers.held.addresses.contains(address) && !self.picked.addresses.contains(address)
        });
        let address = free.next().ok_or_else(full)?;
        self.picked.addresses.insert(address);
        Ok(address.to_string())
    }

    fn node_port(&mut self) -> Result<u16, Exhausted> {
        self.port().ok_or_else(|| Exhausted("failed to allocate a nodePort: range is full".to_owned()))
    }

    fn health_check_node_port(&mut self) -> Result<u16, Exhausted> {
        self.port().ok_or_else(|| Exhausted("failed to allocate a HealthCheckNodePort: range is full".to_owned()))
    }
}

impl Holding {
    fn of(service: &Value) -> Self {
        let spec = &service["spec"];
        let node_ports = items(&spec["ports"]).iter().map(|port| &port["nodePort"]);
        let numbers = node_ports.chain([&spec["healthCheckNodePort"]]).filter_map(Value::as_u64);
        Self {
            ports: numbers.filter_map(|number| u16::try_from(number).ok()).filter(|port| *port != 0).collect(),
            addresses: items(&spec["clusterIPs"]).iter().filter_map(|text| text.as_str()?.parse().ok()).collect(),
        }
    }
}
