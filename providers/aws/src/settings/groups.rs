//! Target groups: what a listener sends to. Each listener has one of its own, because a group belongs to one balancer
//! (<https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-target-groups.html>).

use std::collections::{BTreeMap, BTreeSet};

use portolan_core::balancer::Family;
use portolan_core::reason::Reason;
use portolan_core::refusal::Refused;
use portolan_core::snapshot::{Service, ServicePort};
use serde::{Deserialize, Serialize};

use crate::annotations::Key;
use crate::annotations::reader::{Reader, shown};
use crate::attributes::table::{
    PRESERVE_CLIENT_IP, PROXY_PROTOCOL, STICKINESS, UNHEALTHY_DRAINING, UNHEALTHY_TERMINATION,
};
use crate::attributes::{self, AttributeKey, Attributes, Owner};
use crate::parameters::Parameters;
use crate::protocol::Protocol;
use crate::settings::health::{self, HealthCheck};
use crate::settings::listeners::Front;
use crate::settings::merge::Merge;
use crate::settings::tls::Asked;
use crate::settings::{Balancer, Input, ports};
use crate::words::{IpAddressType, TargetType};

/// A target group.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TargetGroup {
    /// What it speaks to the targets.
    pub protocol: Protocol,
    /// Who they are.
    pub targets: Targets,
    /// Of which family their addresses are.
    pub family: Family,
    /// Labels that a node must have to be a target; where pods are, they mean nothing.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub node_labels: BTreeMap<String, String>,
    /// How they are probed.
    pub health: HealthCheck,
    /// Its attributes as far as somebody sets them. These keys are ours.
    #[serde(deserialize_with = "attributes::of_target_group")]
    pub attributes: Attributes,
}

/// Who the targets are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Targets {
    /// Nodes.
    Instance {
        /// Where kube-proxy listens.
        node_port: u16,
    },
    /// Pods, on their own ports.
    Ip,
}

impl Targets {
    /// As AWS calls it.
    pub fn target_type(self) -> TargetType {
        match self {
            Self::Instance { .. } => TargetType::Instance,
            Self::Ip => TargetType::Ip,
        }
    }
}

impl TargetGroup {
    /// The attributes to write, where these keys were ours before: see [`attributes::restored`].
    pub fn writes(&self, owned_before: &BTreeSet<String>) -> Attributes {
        writes(&self.attributes, owned_before, self.protocol, self.targets.target_type())
    }
}

/// The attributes of a group to write, where these keys were ours before: see [`attributes::restored`].
pub(crate) fn writes(
    now: &Attributes,
    owned_before: &BTreeSet<String>,
    protocol: Protocol,
    targets: TargetType,
) -> Attributes {
    let owner = Owner::TargetGroup { protocol, targets };
    let mut writes = attributes::restored(attributes::TARGET_GROUP, owned_before, now, owner);
    // AWS takes how long unhealthy targets drain only where their connections do not end at once.
    let ends = |(key, value): (&AttributeKey, &String)| key.as_str() == UNHEALTHY_TERMINATION && value == "true";
    if writes.iter().any(ends) {
        writes.retain(|key, _| key.as_str() != UNHEALTHY_DRAINING);
    }
    writes
}

/// The targets of this port are its pods. Where the class forbids it, the port is refused.
pub(crate) fn wants_pods(parameters: &Parameters, service: &Service, port: &ServicePort) -> bool {
    let chosen = choice(parameters, &mut Reader::new(&service.annotations));
    targets(port, chosen, parameters).is_ok_and(|targets| targets.target_type() == TargetType::Ip)
}

/// What the Service asks for, else the class. `nlb-ip`, the older word, wins over the newer key.
pub(super) fn choice(parameters: &Parameters, reader: &mut Reader<'_>) -> TargetType {
    let limits = &parameters.limits.target_types;
    // Without a class, the type annotation makes it ours, and there the other controller takes nothing but these words.
    let word = match reader.has(Key::Type) {
        true if reader.has(Key::TargetTypeKey) => reader.word(Key::TargetTypeKey),
        true => None,
        false => reader.word_or(Key::TargetTypeKey, TargetType::Instance.as_str()),
    };
    let word = word.and_then(TargetType::parse);
    let older = reader.text(Key::Type) == Some("nlb-ip");
    if older && word == Some(TargetType::Instance) {
        reader.ineffective(Key::TargetTypeKey, format!("{} is nlb-ip, which means pods", Key::Type.name()));
    }
    match (older, word) {
        (true, _) if !limits.allows(&TargetType::Ip) => {
            let told = limits.told(|kind| *kind);
            reader.refuse(Key::Type, format!("nlb-ip means targets of type ip; the class allows {told}"));
        }
        (false, Some(kind)) if !limits.allows(&kind) => {
            let told = limits.told(|kind| *kind);
            reader.refuse(Key::TargetTypeKey, format!("is {kind}; the class allows {told}"));
        }
        (true | false, _) => {}
    }
    if older { TargetType::Ip } else { word.unwrap_or(parameters.defaults.target_type) }
}

/// Each port is judged by its own node port (KEP-1864); one without goes straight to its pods.
pub(super) fn targets(port: &ServicePort, chosen: TargetType, parameters: &Parameters) -> Result<Targets, Refused> {
    match (chosen, port.node_port) {
        (TargetType::Ip, _) => Ok(Targets::Ip),
        (TargetType::Instance, Some(node_port)) => Ok(Targets::Instance { node_port }),
        (TargetType::Instance, None) if parameters.limits.target_types.allows(&TargetType::Ip) => Ok(Targets::Ip),
        (TargetType::Instance, None) => Err(Refused::port(
            port.key,
            Reason::NodePortRequired,
            "the class allows only targets of type instance, and this port has no node port: set \
             allocateLoadBalancerNodePorts: true, or give the port a nodePort",
        )),
    }
}

/// Targets have IPv6 addresses wherever the Service does, as with the AWS Load Balancer Controller.
pub(super) fn sends_ipv6(input: &Input<'_>, balancer: &Balancer) -> bool {
    balancer.ip_address_type == IpAddressType::Dualstack && input.service.families.contains(&Family::V6)
}

/// What holds for the groups of one Service.
pub(super) struct Reading<'a> {
    input: Input<'a>,
    backend: Protocol,
    family: Family,
    of_all: BTreeMap<String, String>,
    of_ports: BTreeMap<u16, (&'a str, BTreeMap<String, String>)>,
    proxy: Proxy,
    node_labels: BTreeMap<String, String>,
    health: health::Asked,
    has_instances: bool,
}

/// To whom PROXY protocol is spoken, where keys of its own say so.
enum Proxy {
    Unsaid,
    All,
    Ports(Vec<u16>),
}

impl<'a> Reading<'a> {
    pub(super) fn new(input: &Input<'a>, asked: &Asked, balancer: &Balancer, reader: &mut Reader<'a>) -> Self {
        let family = if sends_ipv6(input, balancer) { Family::V6 } else { Family::V4 };
        let of_all = reader.map(Key::GroupAttributes);
        // Where no group comes of it, what is wrong is said all the same.
        let limit = &input.parameters.limits.target_group_attributes;
        let mut nowhere = Merge::new(attributes::TARGET_GROUP, &Attributes::new(), limit);
        nowhere.put(&Key::GroupAttributes.name(), of_all.clone(), reader);
        let of_ports = of_ports(reader);
        let proxy = proxy(reader);
        let node_labels = node_labels(reader);
        let health = health::Asked::read(input, reader);
        let (backend, input) = (asked.backend, *input);
        Self { input, backend, family, of_all, of_ports, proxy, node_labels, health, has_instances: false }
    }

    pub(super) fn group(&mut self, port: u16, front: &Front, targets: Targets, reader: &mut Reader<'_>) -> TargetGroup {
        let protocol = match front {
            Front::Tcp => Protocol::Tcp,
            Front::Udp => Protocol::Udp,
            Front::TcpUdp => Protocol::TcpUdp,
            Front::Tls(_) => self.backend,
        };
        self.has_instances |= targets.target_type() == TargetType::Instance;
        let node_labels = match targets {
            Targets::Instance { .. } => self.node_labels.clone(),
            Targets::Ip => BTreeMap::new(),
        };
        let attributes = self.attributes(port, front, protocol, reader);
        let health = self.health.check(&self.input, port, targets, reader);
        TargetGroup { protocol, targets, family: self.family, node_labels, health, attributes }
    }

    /// The class's attributes, over them what the Service's session affinity comes to, over them those of all groups, over them those of the port, over them the keys for PROXY protocol: first
    /// the ports' own, then `*`.
    fn attributes(&mut self, port: u16, front: &Front, protocol: Protocol, reader: &mut Reader<'_>) -> Attributes {
        let parameters = self.input.parameters;
        let mut class = parameters.defaults.target_group_attributes.clone();
        let limit = &parameters.limits.target_group_attributes;
        // By the client's address, as kube-proxy does it, whose own affinity goes on behind node ports.
        if let (Some(_), Ok(key)) =
            (self.input.service.session_affinity, AttributeKey::parse(attributes::TARGET_GROUP, STICKINESS))
        {
            let is_so = class.get(&key).is_some_and(|value| value == "true");
            if is_tls(front, protocol) {
                reader.ineffective_field(AFFINITY, format!("on port {port}, which is TLS: {NO_AFFINITY}"));
            } else if is_so || limit.allows(&key) {
                class.insert(key, "true".to_owned());
            } else {
                let told = limit.told(|key| *key);
                let why = format!("{AFFINITY}: it sets {STICKINESS}, which is the class's to set; it allows {told}");
                reader.refuse_as(Reason::SessionAffinityNotSupported, why);
            }
        }
        let mut merge = Merge::new(attributes::TARGET_GROUP, &class, limit);
        merge.put(&Key::GroupAttributes.name(), self.of_all.clone(), reader);
        if let Some((name, pairs)) = self.of_ports.remove(&port) {
            merge.put(name, pairs.into_iter().filter(|(_, value)| !value.is_empty()).collect(), reader);
        }
        match &self.proxy {
            Proxy::Unsaid => {}
            Proxy::All => merge.put_one(Key::ProxyProtocol, PROXY_PROTOCOL, "true", reader),
            Proxy::Ports(ports) => {
                let on = ports.contains(&port).to_string();
                merge.put_one(Key::ProxyProtocolPorts, PROXY_PROTOCOL, &on, reader);
            }
        }
        fitting(&mut merge, port, front, protocol, reader);
        merge.settled()
    }

    /// What has matched nothing in the end.
    pub(super) fn unmatched(self, reader: &mut Reader<'_>) {
        for (port, (name, _)) in self.of_ports {
            reader.ineffective_named(name, format!("there is no listener on port {port}"));
        }
        if !self.has_instances && !self.node_labels.is_empty() {
            reader.ineffective(Key::NodeLabels, "the targets are pods");
        }
        if let Proxy::Ports(ports) = self.proxy {
            let exists = |port: &u16| self.input.service.ports.iter().any(|other| other.key.port == *port);
            for port in ports.into_iter().filter(|port| !exists(port)) {
                reader.ineffective(Key::ProxyProtocolPorts, format!("for {port}: the Service has no such port"));
            }
        }
        self.health.unmatched(reader);
    }
}

const AFFINITY: &str = "spec.sessionAffinity: ClientIP";
const NO_AFFINITY: &str = "clients cannot be kept at one target";

/// AWS keeps no client at one target there
/// (<https://docs.aws.amazon.com/elasticloadbalancing/latest/network/edit-target-group-attributes.html>).
fn is_tls(front: &Front, protocol: Protocol) -> bool {
    matches!(front, Front::Tls(_)) || protocol == Protocol::Tls
}

/// What AWS does not take for a group of this protocol
/// (<https://docs.aws.amazon.com/elasticloadbalancing/latest/network/edit-target-group-attributes.html>).
fn fitting(merge: &mut Merge<'_>, port: u16, front: &Front, protocol: Protocol, reader: &mut Reader<'_>) {
    let own = format!("{}.{port}", Key::GroupAttributes.name());
    if protocol.has_udp() && merge.is(PRESERVE_CLIENT_IP, "false") {
        let why = format!("port {port} is {protocol}, where it cannot be off; set it for other ports by {own}'s like");
        merge.impossible(PRESERVE_CLIENT_IP, &why, reader);
    }
    if protocol.has_udp() && merge.is(UNHEALTHY_TERMINATION, "true") {
        let why = format!("port {port} is {protocol}, where it cannot be on; set it for other ports by {own}'s like");
        merge.impossible(UNHEALTHY_TERMINATION, &why, reader);
    }
    if is_tls(front, protocol) && merge.is(STICKINESS, "true") {
        let why = format!("port {port} is TLS, where {NO_AFFINITY}");
        merge.impossible(STICKINESS, &why, reader);
    }
    let ends = merge.get(UNHEALTHY_TERMINATION).map_or(!protocol.has_udp(), |value| value == "true");
    if ends && merge.get(UNHEALTHY_DRAINING).is_some_and(|seconds| seconds != "0") {
        let why = format!("counts only where {UNHEALTHY_TERMINATION} is false, and on port {port} it is true");
        merge.impossible(UNHEALTHY_DRAINING, &why, reader);
    }
}

fn of_ports<'a>(reader: &mut Reader<'a>) -> BTreeMap<u16, (&'a str, BTreeMap<String, String>)> {
    let mut found = BTreeMap::new();
    for (port, name, pairs) in reader.maps_by_port(Key::GroupAttributesOfPort) {
        match ports::number(port) {
            Some(number) => {
                found.insert(number, (name, pairs));
            }
            None => reader.refuse_named(name, &format!("{} is not the number of a port", shown(port))),
        }
    }
    found
}

fn proxy(reader: &mut Reader<'_>) -> Proxy {
    let all = reader.word(Key::ProxyProtocol);
    let number = |text: &str| ports::number(text).ok_or_else(|| "is not the number of a port".to_owned());
    let ports = reader.parsed_set(Key::ProxyProtocolPorts, number);
    match (all, ports) {
        (Some(_), Some(_)) => {
            reader.ineffective(Key::ProxyProtocolPorts, format!("{} is *", Key::ProxyProtocol.name()));
            Proxy::All
        }
        (Some(_), None) => Proxy::All,
        (None, Some(ports)) => Proxy::Ports(ports),
        (None, None) => Proxy::Unsaid,
    }
}

/// Labels as Kubernetes has them; a node can have no other
/// (<https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set>).
fn node_labels(reader: &mut Reader<'_>) -> BTreeMap<String, String> {
    let labels = reader.map(Key::NodeLabels);
    for (key, value) in &labels {
        let (prefix, name) = key.rsplit_once('/').map_or((None, key.as_str()), |(prefix, name)| (Some(prefix), name));
        let is_prefix = |prefix: &str| {
            (1..=253).contains(&prefix.len())
                && prefix.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.')
        };
        if name.is_empty() || !is_label(name) || !prefix.is_none_or(is_prefix) {
            reader.refuse(Key::NodeLabels, format!("{} is no key of a label", shown(key)));
        }
        if !is_label(value) {
            reader.refuse(Key::NodeLabels, format!("{} is no value of a label", shown(value)));
        }
    }
    labels
}

fn is_label(text: &str) -> bool {
    let edge = |c: char| c.is_ascii_alphanumeric();
    text.is_empty()
        || (text.len() <= 63
            && text.starts_with(edge)
            && text.ends_with(edge)
            && text.chars().all(|c| edge(c) || matches!(c, '-' | '_' | '.')))
}
