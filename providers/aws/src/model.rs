//! What one load balancer is to be at AWS: the objects of one generation, from what is desired, what its members' annotations come to and what
//! is known of the network. Pure, and complete: a refusal names everything that is wrong.

mod listeners;
mod subnets;
mod targets;

pub(crate) use targets::MOST as MOST_TARGETS;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use portolan_core::balancer::{LoadBalancer, PortKey, Scheme, SourceRanges};
use portolan_core::ids::{Instance, Uid};
use portolan_core::reason::Reason;
use portolan_core::refusal::{Refusal, Refused};

use crate::attributes::{AttributeKey, Attributes};
use crate::estate::{Estate, Known};
use crate::ids::{Reference, SecurityGroupId, VpcId};
use crate::names::{self, Kind, Names};
use crate::parameters::Parameters;
use crate::protocol::Protocol;
use crate::settings::health::HealthCheck;
use crate::settings::listeners::Front;
use crate::settings::security::SecurityGroups;
use crate::settings::{self, Settings};
use crate::state::{Balancer, Observed, Rule, Source, State, SubnetMapping, Target, Traffic};
use crate::words::{IpAddressType, Switch};

/// All that the rules read.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// What is desired.
    pub desired: &'a LoadBalancer,
    /// What the annotations of the members come to, read from what the share says together.
    pub settings: &'a BTreeMap<Uid, Settings>,
    /// The class's parameters.
    pub parameters: &'a Parameters,
    /// Which Portolan this is.
    pub instance: &'a Instance,
    /// What is known of the network.
    pub estate: &'a Estate,
    /// What exists: a balancer keeps what nobody asks to change.
    pub observed: &'a State,
    /// Every member allows a gap where a replace cannot do without (`portolan.dev/allow-downtime`).
    pub allow_downtime: bool,
}

/// What a load balancer is to be.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// What things are called.
    pub names: Names,
    /// On everything that is made.
    pub tags: BTreeMap<String, String>,
    /// The Services, for people; on the balancer.
    pub services: String,
    /// The name that somebody chooses.
    pub name: Option<String>,
    /// Who can reach it.
    pub scheme: Scheme,
    /// The families of its addresses.
    pub ip_address_type: IpAddressType,
    /// Where everything is.
    pub vpc: Known<VpcId>,
    /// Where it is, by subnet.
    pub subnets: Known<Vec<SubnetMapping>>,
    /// Who gets in.
    pub firewall: Firewall,
    /// Whether its security groups' rules count for PrivateLink, if somebody says.
    pub private_link: Option<Switch>,
    /// Its attributes, as far as somebody sets them.
    pub attributes: Attributes,
    /// Its listeners, by port.
    pub listeners: Vec<Listener>,
    /// Ports that cannot be served beside the others, and why.
    pub unserved: Vec<(Uid, Refused)>,
    /// A replace may leave a gap.
    pub allow_downtime: bool,
    /// Of somebody here nothing may be changed, so that the balancer itself stays as it is.
    pub pinned: bool,
    /// Of nobody here anything may be changed: nothing is made and nothing is removed.
    pub idle: bool,
    /// AWS's quota of inbound rules, for each family.
    pub rule_budget: usize,
}

/// Who gets in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Firewall {
    /// A security group of ours, and its rules.
    Managed {
        /// Who may connect.
        sources: BTreeSet<Source>,
        /// The messages by which a path's MTU is found get in too.
        icmp: bool,
        /// The group that all balancers share, which targets let in.
        beside: Option<SecurityGroupId>,
    },
    /// Somebody else's.
    Own(Known<BTreeSet<SecurityGroupId>>),
    /// None.
    None,
}

/// A listener, and the group that it sends to.
#[derive(Clone, Debug, PartialEq)]
pub struct Listener {
    /// Its number.
    pub port: u16,
    /// Whom it serves.
    pub serves: Vec<(Uid, PortKey)>,
    /// What it speaks.
    pub front: Front,
    /// Its attributes, as far as somebody sets them.
    pub attributes: Attributes,
    /// Where it sends to.
    pub group: Group,
    /// What exists of it stays as it is, but for its targets.
    pub held: bool,
}

/// A target group.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// What cannot be changed.
    pub kind: Kind,
    /// The port that a target has which is registered without one.
    pub port: u16,
    /// How targets are probed; never [`TargetPortOf`](settings::health::HealthPort::TargetPortOf).
    pub health: HealthCheck,
    /// Its attributes, as far as somebody sets them.
    pub attributes: Attributes,
    /// Its targets.
    pub targets: BTreeSet<Target>,
}

/// What is to be. A refusal names everything that stands against it.
pub fn of(input: &Input<'_>) -> Result<Model, Refusal> {
    let desired = input.desired;
    let current = current(input);
    let idle = nobody_is_served(desired);
    let pinned = !desired.held.is_empty() && current.is_some();
    let leader = desired.members.iter().filter(|member| !desired.held.contains(&member.uid));
    let leader = leader.filter_map(|member| input.settings.get(&member.uid)).map(|settings| &settings.balancer).next();
    let mut refused = Vec::new();
    if leader.is_none() && !idle {
        let why = "the settings of its Services are not known; this is a defect of Portolan";
        refused.push(Refused::whole(Reason::ProviderFailed, why));
    }
    let mut model = empty(input, leader);
    model.idle = idle;
    model.pinned = pinned;
    match (current.filter(|_| pinned || leader.is_none()), leader) {
        (Some(current), _) => keep(&mut model, current, input.observed),
        (None, Some(leader)) => whole(&mut model, input, leader, current, &mut refused),
        (None, None) => {}
    }
    listeners::add(&mut model, input, current);
    Refusal::unless_empty(refused)?;
    Ok(model)
}

/// There are members, and nothing of any may be changed.
fn nobody_is_served(desired: &LoadBalancer) -> bool {
    !desired.held.is_empty() && desired.members.iter().all(|member| desired.held.contains(&member.uid))
}

/// The generation that clients know, else the oldest.
fn current<'a>(input: &Input<'a>) -> Option<&'a Balancer> {
    let published = &input.desired.published;
    input.observed.staying().max_by_key(|balancer| (balancer.is_among(published), Reverse(balancer.generation)))
}

fn empty(input: &Input<'_>, leader: Option<&settings::Balancer>) -> Model {
    let names = Names::new(&input.parameters.cluster_name, input.instance, &input.desired.id);
    let mut tags = leader.map(|leader| leader.tags.clone()).unwrap_or_default();
    tags.extend(names.tags());
    Model {
        names,
        tags,
        services: names::services_tag(&input.desired.members),
        name: leader.and_then(|leader| leader.name.as_ref()).map(|name| name.as_str().to_owned()),
        scheme: input.desired.scheme.unwrap_or(input.parameters.defaults.scheme),
        ip_address_type: leader.map_or(IpAddressType::Ipv4, |leader| leader.ip_address_type),
        vpc: input.parameters.vpc_id.clone().or_else(|| input.estate.vpc.clone()).into(),
        subnets: Known::Unknown,
        firewall: Firewall::None,
        private_link: None,
        attributes: Attributes::new(),
        listeners: Vec::new(),
        unserved: Vec::new(),
        allow_downtime: input.allow_downtime,
        pinned: false,
        idle: false,
        rule_budget: input.estate.rule_budget(),
    }
}

/// As somebody asks.
fn whole(
    model: &mut Model,
    input: &Input<'_>,
    leader: &settings::Balancer,
    current: Option<&Balancer>,
    refused: &mut Vec<Refused>,
) {
    let own = || current.map(|current| current.scheme);
    model.scheme = input.desired.scheme.or_else(own).unwrap_or(leader.scheme);
    model.private_link = leader.security.private_link;
    model.attributes = leader.attributes.clone();
    let wish = subnets::Wish {
        settings: &leader.subnets,
        scheme: model.scheme,
        ip_address_type: model.ip_address_type,
        parameters: input.parameters,
        current: current.into_iter().flat_map(|current| &current.subnets).map(|mapping| &mapping.subnet).collect(),
    };
    match subnets::choose(&wish, input.estate) {
        Ok(subnets) => model.subnets = subnets.into(),
        Err(why) => refused.extend(why.into_iter().map(|why| Refused::whole(Reason::ProviderRefused, why))),
    }
    match firewall(input, leader) {
        Ok(firewall) => model.firewall = firewall,
        Err(why) => refused.extend(why.into_iter().map(|why| Refused::whole(Reason::ProviderRefused, why))),
    }
}

fn firewall(input: &Input<'_>, leader: &settings::Balancer) -> Result<Firewall, Vec<String>> {
    Ok(match &leader.security.groups {
        SecurityGroups::Managed { sources: _, prefix_lists, icmp } => {
            let lists = prefix_lists.iter().cloned().map(Source::PrefixList);
            let networks = match &input.desired.source_ranges {
                SourceRanges::Only(networks) => networks.clone(),
                SourceRanges::All if !prefix_lists.is_empty() => Vec::new(),
                SourceRanges::All => everybody(leader.ip_address_type),
            };
            Firewall::Managed {
                sources: networks.into_iter().map(|network| Source::Network(network.trunc())).chain(lists).collect(),
                icmp: *icmp,
                beside: input.estate.backend_group.clone(),
            }
        }
        SecurityGroups::Own { groups, backend_rules: _ } => {
            let mut own = BTreeSet::new();
            let mut wrong = Vec::new();
            for group in groups {
                match (group, &input.estate.security_groups) {
                    (Reference::Id(id), _) => {
                        own.insert(id.clone());
                    }
                    (Reference::Name(_), None) => return Ok(Firewall::Own(Known::Unknown)),
                    (Reference::Name(name), Some(known)) => match known.get(name).map(Vec::as_slice) {
                        Some([id]) => {
                            own.insert(id.clone());
                        }
                        Some([_, ..]) => {
                            wrong.push(format!("several security groups have the name {name}; write an id"));
                        }
                        Some([]) | None => wrong.push(format!("no security group of the VPC has the name {name}")),
                    },
                }
            }
            if !wrong.is_empty() {
                return Err(wrong);
            }
            Firewall::Own(Known::Known(own))
        }
        SecurityGroups::None { .. } => Firewall::None,
    })
}

/// Nobody comes to an ipv4 balancer by IPv6.
fn everybody(ip_address_type: IpAddressType) -> Vec<IpNet> {
    match ip_address_type {
        IpAddressType::Ipv4 => vec![Ipv4Net::default().into()],
        IpAddressType::Dualstack => vec![Ipv4Net::default().into(), Ipv6Net::default().into()],
    }
}

/// As it is: nobody may change it.
fn keep(model: &mut Model, current: &Balancer, observed: &State) {
    model.scheme = current.scheme;
    model.ip_address_type = current.ip_address_type;
    model.subnets = Known::Known(current.subnets.clone());
    model.firewall = match observed.security_group(current.generation) {
        Some(group) => {
            let others = current.security_groups.iter().find(|id| **id != group.id);
            Firewall::Managed {
                sources: group.rules.iter().map(|rule| rule.source.clone()).collect(),
                icmp: group.rules.iter().any(|rule| rule.traffic == Traffic::PathMtu),
                beside: others.cloned(),
            }
        }
        None if current.security_groups.is_empty() => Firewall::None,
        None => Firewall::Own(Known::Known(current.security_groups.clone())),
    };
}

/// The attributes that are ours in what was observed.
pub(crate) fn owned(observed: &Observed, parse: impl Fn(&str) -> Result<AttributeKey, String>) -> Attributes {
    let ours = observed.owned.iter().filter_map(|key| Some((parse(key).ok()?, observed.values.get(key)?.clone())));
    ours.collect()
}

impl Firewall {
    /// The inbound rules for these listeners.
    pub fn rules(&self, fronts: impl IntoIterator<Item = (u16, Protocol)>) -> BTreeSet<Rule> {
        let Self::Managed { sources, icmp, beside: _ } = self else { return BTreeSet::new() };
        let mut traffic: BTreeSet<Traffic> = BTreeSet::new();
        for (port, protocol) in fronts {
            match protocol {
                Protocol::Tcp | Protocol::Tls => drop(traffic.insert(Traffic::Tcp(port))),
                Protocol::Udp => drop(traffic.insert(Traffic::Udp(port))),
                Protocol::TcpUdp => traffic.extend([Traffic::Tcp(port), Traffic::Udp(port)]),
            }
        }
        let mut rules = BTreeSet::new();
        for source in sources {
            rules.extend(traffic.iter().map(|traffic| Rule { traffic: *traffic, source: source.clone() }));
            if *icmp && matches!(source, Source::Network(_)) && !traffic.is_empty() {
                rules.insert(Rule { traffic: Traffic::PathMtu, source: source.clone() });
            }
        }
        rules
    }
}

impl Model {
    /// The listener on this port.
    pub fn listener(&self, port: u16) -> Option<&Listener> {
        self.listeners.iter().find(|listener| listener.port == port)
    }
}
