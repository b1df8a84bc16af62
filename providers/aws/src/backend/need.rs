//! What the targets of one load balancer have to let in. Pure.
//!
//! | The balancer has | Who comes in at its targets |
//! |---|---|
//! | a security group that we keep, or own ones whose backend rules we keep | whoever carries the shared group |
//! | a security group that we keep, in a class without a shared group | whoever carries that group, of each generation that there is |
//! | none, and we keep the backend rules | its clients where targets see their addresses, else the balancer's subnets; health checks come from the subnets |
//! | own ones, or none, whose backend rules we do not keep | nobody through us |
//!
//! That is the AWS Load Balancer Controller's rule (<https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/deploy/security_groups/>),
//! but for the ports: those that are needed and no others.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use portolan_core::balancer::Family;
use serde::Serialize;

use crate::attributes::table::PRESERVE_CLIENT_IP;
use crate::attributes::{AttributeKey, Owner, TARGET_GROUP};
use crate::estate::Estate;
use crate::ids::SecurityGroupId;
use crate::model::{Firewall, Group, Listener, Model};
use crate::protocol::Protocol;
use crate::settings::health::{HealthCheck, HealthPort};
use crate::settings::security::SecurityGroups;
use crate::state;
use crate::step::SecurityGroupOf;
use crate::words::TargetType;

/// What the targets of one load balancer have to let in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Need {
    /// The balancer carries the shared group.
    pub shared: bool,
    /// There is no shared group, and rules name those that are kept for this load balancer alone: which, the plan knows.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub own: bool,
    /// Who is to let in what.
    pub openings: Vec<Opening>,
}

/// These targets let that in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Opening {
    /// Which targets.
    pub who: BTreeSet<Who>,
    /// From where.
    pub from: BTreeSet<Peer>,
    /// To which ports.
    pub ports: BTreeSet<Port>,
}

/// A target, as far as its security groups go.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Who {
    /// An instance, `i-...`: traffic goes to its primary interface.
    Instance(String),
    /// Whatever interface has this address.
    Address(IpAddr),
}

/// Where traffic comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Peer {
    /// Whatever carries the shared group.
    Balancers,
    /// Whatever carries this group, which is kept for one load balancer.
    Own(SecurityGroupOf),
    /// A network.
    Network(IpNet),
}

/// What rules know of transports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// A port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Port {
    /// Its protocol.
    pub transport: Transport,
    /// Its number.
    pub number: u16,
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let transport = match self.transport {
            Transport::Tcp => "TCP",
            Transport::Udp => "UDP",
        };
        write!(f, "{}/{transport}", self.number)
    }
}

impl Need {
    /// What a model needs. `groups` is what the leader's annotations come to; without it, of somebody of whom nothing may be changed, what
    /// was needed is needed still: none, unless the model shows it by itself.
    pub fn of(model: &Model, groups: Option<&SecurityGroups>, estate: &Estate) -> Option<Self> {
        match (groups, &model.firewall) {
            (Some(SecurityGroups::Managed { .. }) | None, Firewall::Managed { beside: None, .. }) => {
                Some(Self { shared: false, own: true, ..Self::from(model, &[].into()) })
            }
            (Some(SecurityGroups::Managed { .. }), _) | (None, Firewall::Managed { .. }) => Some(Self::shared(model)),
            (Some(SecurityGroups::Own { backend_rules: true, .. }), _) => Some(Self::shared(model)),
            (Some(SecurityGroups::None { sources, backend_rules: true }), _) => {
                Some(Self::by_network(model, sources, estate))
            }
            (Some(SecurityGroups::Own { .. } | SecurityGroups::None { .. }), _) => Some(Self::default()),
            (None, Firewall::Own(_) | Firewall::None) => None,
        }
    }

    /// Where rules name groups that are kept for it alone: with these.
    pub(crate) fn carried(&self, groups: &BTreeSet<SecurityGroupOf>) -> Self {
        let mut need = self.clone();
        if self.own {
            for opening in &mut need.openings {
                opening.from = groups.iter().cloned().map(Peer::Own).collect();
            }
        }
        need
    }

    /// With the identities of the groups that have been made since; one that was not made nobody carries.
    pub fn made(&self, id: impl Fn(&str) -> Option<SecurityGroupId>) -> Self {
        let mut need = self.clone();
        for opening in &mut need.openings {
            let peer = |peer: Peer| match peer {
                Peer::Own(SecurityGroupOf::Made(name)) => Some(Peer::Own(SecurityGroupOf::Id(id(&name)?))),
                Peer::Own(SecurityGroupOf::Id(_)) | Peer::Balancers | Peer::Network(_) => Some(peer),
            };
            opening.from = std::mem::take(&mut opening.from).into_iter().filter_map(peer).collect();
        }
        need
    }

    fn shared(model: &Model) -> Self {
        Self::from(model, &[Peer::Balancers].into())
    }

    fn from(model: &Model, from: &BTreeSet<Peer>) -> Self {
        let openings = model.listeners.iter().flat_map(|listener| {
            targets(listener).into_iter().map(move |(port, who)| {
                let mut ports = traffic(listener.group.kind.protocol, port);
                ports.insert(health(&listener.group.health, port));
                Opening { who, from: from.clone(), ports }
            })
        });
        Self { shared: true, own: false, openings: openings.collect() }
    }

    fn by_network(model: &Model, sources: &[IpNet], estate: &Estate) -> Self {
        let mut openings = Vec::new();
        for listener in &model.listeners {
            let group = &listener.group;
            let subnets = subnets(model, estate, group.kind.family);
            let of_family = |net: &&IpNet| Family::of(net.addr()) == group.kind.family;
            let clients: BTreeSet<Peer> =
                sources.iter().filter(of_family).map(|net| Peer::Network(net.trunc())).collect();
            for (port, who) in targets(listener) {
                let from = if sees_clients(group) { clients.clone() } else { subnets.clone() };
                openings.push(Opening { who: who.clone(), from, ports: traffic(group.kind.protocol, port) });
                openings.push(Opening { who, from: subnets.clone(), ports: [health(&group.health, port)].into() });
            }
        }
        Self { shared: false, own: false, openings }
    }
}

/// The ports at which balancers may come in for a group that exists. Of those of which nobody says what they need any more, that is all that is
/// known.
pub(crate) fn of_group(group: &state::Group) -> BTreeSet<Port> {
    let numbers = group.targets.iter().map(|registered| registered.target.port).chain([group.port]);
    let ports = numbers
        .flat_map(|number| traffic(group.kind.protocol, number).into_iter().chain([health(&group.health, number)]));
    ports.collect()
}

/// The targets by their ports.
fn targets(listener: &Listener) -> BTreeMap<u16, BTreeSet<Who>> {
    let mut by_port: BTreeMap<u16, BTreeSet<Who>> = BTreeMap::new();
    for target in listener.group.targets.keys() {
        let who = match listener.group.kind.target_type {
            TargetType::Instance => Some(Who::Instance(target.id.clone())),
            TargetType::Ip => target.id.parse().ok().map(Who::Address),
        };
        if let Some(who) = who {
            by_port.entry(target.port).or_default().insert(who);
        }
    }
    by_port
}

fn traffic(protocol: Protocol, number: u16) -> BTreeSet<Port> {
    let transports: &[Transport] = match protocol {
        Protocol::Tcp | Protocol::Tls => &[Transport::Tcp],
        Protocol::Udp => &[Transport::Udp],
        Protocol::TcpUdp => &[Transport::Tcp, Transport::Udp],
    };
    transports.iter().map(|transport| Port { transport: *transport, number }).collect()
}

/// Probes are TCP, also of those who take UDP
/// (<https://docs.aws.amazon.com/elasticloadbalancing/latest/network/target-group-health-checks.html>).
fn health(check: &HealthCheck, traffic_port: u16) -> Port {
    let number = match check.port {
        HealthPort::Number(number) => number,
        HealthPort::TrafficPort => traffic_port,
    };
    Port { transport: Transport::Tcp, number }
}

/// Targets see the clients' addresses
/// (<https://docs.aws.amazon.com/elasticloadbalancing/latest/network/edit-target-group-attributes.html#client-ip-preservation>).
fn sees_clients(group: &Group) -> bool {
    let Ok(key) = AttributeKey::parse(TARGET_GROUP, PRESERVE_CLIENT_IP) else { return true };
    let owner = Owner::TargetGroup { protocol: group.kind.protocol, targets: group.kind.target_type };
    group.attributes.get(&key).map_or(key.attribute().default(owner), |value| Some(value)) == Some("true")
}

fn subnets(model: &Model, estate: &Estate, family: Family) -> BTreeSet<Peer> {
    let chosen = model.subnets.known().into_iter().flatten();
    let known = chosen.filter_map(|mapping| estate.subnets.as_ref()?.iter().find(|subnet| subnet.id == mapping.subnet));
    let network = |subnet: &crate::estate::Subnet| match family {
        Family::V4 => subnet.ipv4.map(IpNet::V4),
        Family::V6 => subnet.ipv6.map(IpNet::V6),
    };
    known.filter_map(network).map(Peer::Network).collect()
}

#[cfg(test)]
mod tests;
