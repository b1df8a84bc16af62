//! Which listener each port becomes. An NLB has one listener a port number, whatever the protocol
//! (<https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-listeners.html>).

use std::collections::{BTreeMap, BTreeSet};

use portolan_core::balancer::{PortKey, Protocol as Transport};
use portolan_core::reason::Reason;
use portolan_core::refusal::Refused;
use portolan_core::snapshot::{ServicePort, TargetPort};
use serde::{Deserialize, Serialize};

use crate::annotations::Key;
use crate::annotations::reader::{Reader, shown};
use crate::attributes::table::TCP_IDLE_TIMEOUT;
use crate::attributes::{self, Attributes, Owner};
use crate::protocol::Protocol;
use crate::settings::groups::{self, TargetGroup, Targets};
use crate::settings::merge::Merge;
use crate::settings::subnets::SourceNat;
use crate::settings::tls::{self, Covered, Tls};
use crate::settings::{Balancer, Input, ports};
use crate::words::IpAddressType;

/// One listener, and the target group that it alone sends to.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Listener {
    /// Its number.
    pub port: u16,
    /// The ports of the Service that it serves: two, where TCP and UDP share the number.
    pub serves: Vec<PortKey>,
    /// What it speaks.
    pub front: Front,
    /// Its attributes as far as somebody sets them. These keys are ours.
    #[serde(deserialize_with = "attributes::of_listener")]
    pub attributes: Attributes,
    /// Where it sends to.
    pub group: TargetGroup,
}

impl Listener {
    /// The attributes to write, where these keys were ours before: see [`attributes::restored`]. The only one there is cannot be set where
    /// the listener is not TCP, and is AWS's default there by itself.
    pub fn writes(&self, owned_before: &BTreeSet<String>) -> Attributes {
        writes(&self.attributes, owned_before, &self.front)
    }
}

/// The same for attributes and what the listener speaks.
pub(crate) fn writes(now: &Attributes, owned_before: &BTreeSet<String>, front: &Front) -> Attributes {
    match front {
        Front::Tcp => attributes::restored(attributes::LISTENER, owned_before, now, Owner::Listener),
        Front::Udp | Front::TcpUdp | Front::Tls(_) => now.clone(),
    }
}

/// What a listener speaks.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum Front {
    /// TCP.
    #[serde(rename = "TCP")]
    Tcp,
    /// UDP.
    #[serde(rename = "UDP")]
    Udp,
    /// Both.
    #[serde(rename = "TCP_UDP")]
    TcpUdp,
    /// TLS, with all that it needs.
    #[serde(rename = "TLS")]
    Tls(Tls),
}

impl Front {
    /// Its protocol.
    pub fn protocol(&self) -> Protocol {
        match self {
            Self::Tcp => Protocol::Tcp,
            Self::Udp => Protocol::Udp,
            Self::TcpUdp => Protocol::TcpUdp,
            Self::Tls(_) => Protocol::Tls,
        }
    }
}

/// Listeners on one balancer; the quota cannot be raised
/// (<https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-limits.html>).
pub const MOST: usize = 50;

/// A port that is served, before it is known how its group looks.
struct Served<'a> {
    ports: Vec<&'a ServicePort>,
    front: Front,
    targets: Targets,
}

pub(super) fn read<'a>(
    input: &Input<'a>,
    balancer: &Balancer,
    reader: &mut Reader<'a>,
) -> (Vec<Listener>, Vec<Refused>) {
    let asked = tls::read(input, reader);
    let chosen = groups::choice(input.parameters, reader);
    let merging = reader.bool(Key::TcpUdp);
    let mut refused = Vec::new();
    let mut served: Vec<Served<'_>> = Vec::new();
    for port in &input.service.ports {
        let beside = served.iter_mut().find(|other| other.ports.iter().any(|other| other.key.port == port.key.port));
        match front(port, &asked).and_then(|front| Ok((front, groups::targets(port, chosen, input.parameters)?))) {
            Err(why) => refused.push(why),
            Ok((front, targets)) => match beside {
                Some(first) => {
                    if let Err(why) = join(first, port, &front, targets, (merging, &asked), reader) {
                        refused.push(why);
                    }
                }
                None => served.push(Served { ports: vec![port], front, targets }),
            },
        }
    }
    served.retain(|listener| match udp_over_ipv6(input, balancer, &listener.front) {
        Ok(()) => true,
        Err(why) => {
            refused.extend(
                listener.ports.iter().map(|port| Refused::port(port.key, Reason::ProtocolNotSupported, why.clone())),
            );
            false
        }
    });
    for over in served.split_off(served.len().min(MOST)) {
        let why = format!(
            "an NLB has at most {MOST} listeners, and AWS raises that for nobody; move some ports to another Service"
        );
        refused.extend(over.ports.iter().map(|port| Refused::port(port.key, Reason::ProviderRefused, why.clone())));
    }
    let mut attributes = by_listener(&served, reader);
    let mut groups = groups::Reading::new(input, &asked, balancer, reader);
    let mut listeners: Vec<Listener> = Vec::new();
    for Served { ports, front, targets } in served {
        let port = ports.first().map_or(0, |port| port.key.port);
        let own = attributes.remove(&port).unwrap_or_default();
        let attributes = settle(input, &front, own, reader);
        let group = groups.group(port, &front, targets, reader);
        let mut serves: Vec<PortKey> = ports.iter().map(|port| port.key).collect();
        serves.sort();
        listeners.push(Listener { port, serves, front, attributes, group });
    }
    groups.unmatched(reader);
    listeners.sort_by_key(|listener| listener.port);
    (listeners, refused)
}

/// What a port becomes if it has its number for itself.
fn front(port: &ServicePort, asked: &tls::Asked) -> Result<Front, Refused> {
    match port.key.protocol {
        Transport::Tcp => Ok(match asked.covers(port) {
            Covered::ByName(tls) | Covered::WithAll(tls) => Front::Tls(tls),
            Covered::Not => Front::Tcp,
        }),
        Transport::Udp => Ok(Front::Udp),
        Transport::Sctp => Err(Refused::port(port.key, Reason::ProtocolNotSupported, "an NLB has no SCTP listeners")),
    }
}

/// TCP and UDP on one number: both on a TCP_UDP listener where that can be, else the first in the spec is served and the second is not.
fn join<'a>(
    first: &mut Served<'a>,
    port: &'a ServicePort,
    front: &Front,
    targets: Targets,
    (merging, asked): (Option<bool>, &tls::Asked),
    reader: &mut Reader<'_>,
) -> Result<(), Refused> {
    let number = port.key.port;
    let no = |why: String| {
        let message =
            format!("an NLB has one listener a port number, and port {number} has one for another protocol: {why}");
        Err(Refused::port(port.key, Reason::MixedProtocolNotSupported, message))
    };
    let tcp = if port.key.protocol == Transport::Tcp { Some(port) } else { first.ports.first().copied() };
    let is_tls = matches!(first.front, Front::Tls(_)) || matches!(front, Front::Tls(_));
    let by_name = tcp.is_some_and(|tcp| matches!(asked.covers(tcp), Covered::ByName(_)));
    if merging == Some(false) {
        return no(format!("{} is false", Key::TcpUdp.name()));
    }
    if is_tls && (by_name || merging.is_none()) {
        return no("TLS and UDP cannot share one".to_owned());
    }
    match (first.targets, targets) {
        // What numbers names stand for the EndpointSlices tell (`model/targets.rs`).
        (Targets::Ip, Targets::Ip) => {
            let target_port = |port: Option<&ServicePort>| match port.map(|port| &port.target_port) {
                Some(TargetPort::Number(number)) => Some(*number),
                Some(TargetPort::Name(_)) | None => None,
            };
            match (target_port(first.ports.first().copied()), target_port(Some(port))) {
                (Some(one), Some(other)) if one != other => {
                    return no(format!(
                        "both can share one if their target ports are equal, and those are {one} and {other}"
                    ));
                }
                (Some(_) | None, Some(_) | None) => {}
            }
        }
        (Targets::Instance { node_port: one }, Targets::Instance { node_port: other }) if one == other => {}
        (Targets::Instance { node_port: one }, Targets::Instance { node_port: other }) => {
            return no(format!("both can share one if their node ports are equal, and those are {one} and {other}"));
        }
        (Targets::Ip, Targets::Instance { .. }) | (Targets::Instance { .. }, Targets::Ip) => {
            return no("both can share one if both have a node port, or none".to_owned());
        }
    }
    if is_tls {
        reader.ineffective(
            Key::Certificates,
            format!("on port {number}, where {} puts TCP and UDP together", Key::TcpUdp.name()),
        );
    }
    first.ports.push(port);
    first.front = Front::TcpUdp;
    Ok(())
}

/// A UDP listener of a dualstack balancer needs IPv6 targets and translation of sources
/// (<https://docs.aws.amazon.com/elasticloadbalancing/latest/network/network-load-balancers.html#ip-address-type>).
fn udp_over_ipv6(input: &Input<'_>, balancer: &Balancer, front: &Front) -> Result<(), String> {
    let can = groups::sends_ipv6(input, balancer) && balancer.subnets.source_nat != SourceNat::Off;
    if balancer.ip_address_type == IpAddressType::Ipv4 || !front.protocol().has_udp() || can {
        return Ok(());
    }
    Err(format!("a dualstack NLB takes UDP only if spec.ipFamilies have IPv6 and {} is on", Key::SourceNat.name()))
}

/// What the keys of single listeners say, by port. One that names no listener of this Service says nothing.
fn by_listener<'a>(
    served: &[Served<'_>],
    reader: &mut Reader<'a>,
) -> BTreeMap<u16, (&'a str, BTreeMap<String, String>)> {
    let listeners: BTreeMap<u16, Protocol> = served
        .iter()
        .filter_map(|listener| Some((listener.ports.first()?.key.port, listener.front.protocol())))
        .collect();
    let mut found = BTreeMap::new();
    for (place, name, pairs) in reader.maps_by_port(Key::ListenerAttributes) {
        let parsed =
            place.rsplit_once('-').and_then(|(word, number)| Some((Protocol::parse(word)?, ports::number(number)?)));
        let Some((protocol, number)) = parsed else {
            let why = format!(
                "{} is not PROTOCOL-PORT, such as TCP-80; a protocol is TCP, UDP, TCP_UDP or TLS",
                shown(place)
            );
            reader.refuse_named(name, &why);
            continue;
        };
        match listeners.get(&number) {
            Some(is) if *is == protocol => {
                found.insert(number, (name, pairs));
            }
            Some(is) => reader.ineffective_named(name, format!("the listener on port {number} is {is}")),
            None => reader.ineffective_named(name, format!("there is no listener on port {number}")),
        }
    }
    found
}

/// The class's attributes, over them those of the listener's own key. The idle timeout is for TCP listeners alone; of TLS listeners it is
/// 350 seconds (<https://docs.aws.amazon.com/elasticloadbalancing/latest/network/update-idle-timeout.html>).
fn settle(
    input: &Input<'_>,
    front: &Front,
    (name, pairs): (&str, BTreeMap<String, String>),
    reader: &mut Reader<'_>,
) -> Attributes {
    let parameters = input.parameters;
    let mut merge = Merge::new(
        attributes::LISTENER,
        &parameters.defaults.listener_attributes,
        &parameters.limits.listener_attributes,
    );
    let keys: BTreeSet<String> = pairs.keys().cloned().collect();
    merge.put(name, pairs, reader);
    match front {
        Front::Tcp => {}
        Front::Tls(_) => {
            merge.drop(TCP_IDLE_TIMEOUT);
            if keys.contains(TCP_IDLE_TIMEOUT) {
                reader.ineffective_named(name, format!("{TCP_IDLE_TIMEOUT} of a TLS listener is 350 seconds, always"));
            }
        }
        Front::Udp | Front::TcpUdp => {
            // https://docs.aws.amazon.com/elasticloadbalancing/latest/network/update-idle-timeout.html
            merge.impossible(TCP_IDLE_TIMEOUT, "only a TCP listener has it", reader);
        }
    }
    merge.settled()
}
