//! The listeners: those that are asked for, and beside them those of members of whom nothing may be changed, as they are.

use portolan_core::balancer::{self, Family, PortKey};
use portolan_core::ids::Uid;
use portolan_core::reason::Reason;
use portolan_core::refusal::Refused;

use super::{Group, Input, Listener, Model, owned, targets};
use crate::attributes::{AttributeKey, LISTENER, TARGET_GROUP};
use crate::names::{Kind, parse_node_labels};
use crate::protocol::Protocol;
use crate::settings::listeners::Front;
use crate::settings::{self, groups};
use crate::state::{self, Balancer};
use crate::words::IpAddressType;

pub(super) fn add(model: &mut Model, input: &Input<'_>, current: Option<&Balancer>) {
    // First: what a member has of whom nothing may be changed, nobody takes.
    for listener in current.into_iter().flat_map(|current| &current.listeners) {
        if listener.ours && listener.serves.iter().any(|(uid, _)| input.desired.held.contains(uid)) {
            model.listeners.extend(as_it_is(model, input, listener));
        }
    }
    for member in input.desired.served() {
        asked(model, input, &member.uid);
    }
    model.listeners.sort_by_key(|listener| listener.port);
}

/// What one member asks for.
fn asked(model: &mut Model, input: &Input<'_>, uid: &Uid) {
    let mut wanted: Vec<&balancer::Listener> =
        input.desired.listeners.iter().filter(|listener| listener.service == *uid).collect();
    wanted.sort_by_key(|listener| listener.key);
    let settings = input.settings.get(uid).map(|settings| settings.listeners.as_slice()).unwrap_or_default();
    for asked in settings {
        let (here, rest): (Vec<_>, Vec<_>) =
            wanted.into_iter().partition(|listener| asked.serves.contains(&listener.key));
        wanted = rest;
        if !here.is_empty() {
            match one(model, input, asked, &here) {
                Ok(listener) => model.listeners.push(listener),
                Err(why) => {
                    let refused = |key| Refused::port(key, Reason::ProviderRefused, why.clone());
                    model.unserved.extend(here.iter().map(|listener| (uid.clone(), refused(listener.key))));
                }
            }
        }
    }
    model.unserved.extend(wanted.into_iter().map(|listener| {
        let why = "an NLB cannot serve this port beside the Service's others";
        (uid.clone(), Refused::port(listener.key, Reason::ProviderRefused, why))
    }));
}

fn one(
    model: &Model,
    input: &Input<'_>,
    asked: &settings::Listener,
    here: &[&balancer::Listener],
) -> Result<Listener, String> {
    let port = asked.port;
    if model.listener(port).is_some() {
        // The core has settled this already (`desire::whole`), but for what a member has that nobody can read.
        return Err(format!("an NLB has one listener a port number, and {port} is another member's"));
    }
    let serves: Vec<(Uid, PortKey)> = here.iter().map(|listener| (listener.service.clone(), listener.key)).collect();
    let (front, protocol) = match (&asked.front, serves.as_slice()) {
        // Only one of the two is left: the other one is refused.
        (Front::TcpUdp, [(_, only)]) => match only.protocol {
            balancer::Protocol::Udp => (Front::Udp, Protocol::Udp),
            balancer::Protocol::Tcp | balancer::Protocol::Sctp => (Front::Tcp, Protocol::Tcp),
        },
        (front, _) => (front.clone(), asked.group.protocol),
    };
    // The families of one that is pinned stay, whatever its members ask for.
    let family = match (model.pinned, model.ip_address_type) {
        (true, IpAddressType::Ipv4) => Family::V4,
        (true, IpAddressType::Dualstack) | (false, _) => asked.group.family,
    };
    let kind = Kind { protocol, target_type: asked.group.targets.target_type(), family };
    let targets = targets::of(input, &asked.group, family, here)?;
    let port_of_group = match asked.group.targets {
        groups::Targets::Instance { node_port } => node_port,
        groups::Targets::Ip => targets.keys().next().map_or(port, |target| target.port),
    };
    let group = Group {
        kind,
        port: port_of_group,
        health: asked.group.health.clone(),
        attributes: asked.group.attributes.clone(),
        node_labels: asked.group.node_labels.clone(),
        targets,
        left_out: 0,
        room: 0,
    };
    Ok(Listener { port, serves, front, attributes: asked.attributes.clone(), group, held: false })
}

/// What exists, sending to whom the port would send now, if its member follows its endpoints. None if it cannot be read.
fn as_it_is(model: &Model, input: &Input<'_>, listener: &state::Listener) -> Option<Listener> {
    let group = input.observed.group_of(listener)?;
    let attributes = owned(&group.attributes, |key| AttributeKey::parse(TARGET_GROUP, key));
    Some(Listener {
        port: listener.port,
        serves: listener.serves.clone(),
        front: listener.front.clone()?,
        attributes: owned(&listener.attributes, |key| AttributeKey::parse(LISTENER, key)),
        group: Group {
            kind: group.kind,
            port: group.port,
            health: group.health.clone(),
            attributes,
            node_labels: parse_node_labels(&group.tags),
            targets: targets::followed(input, group, &listener.serves, model.idle),
            left_out: 0,
            room: 0,
        },
        held: true,
    })
}
