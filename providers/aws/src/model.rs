//! What one load balancer is to be at AWS: the objects of one generation, from what is desired, what its members' annotations come to and what
//! is known of the network. Pure, and complete: a refusal names everything that is wrong.

mod listeners;
mod room;
pub mod subnets;
mod targets;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use portolan_core::balancer::{LoadBalancer, PortKey, Scheme, SourceRanges};
use portolan_core::ids::{Instance, Uid};
use portolan_core::reason::Reason;
use portolan_core::refusal::{Refusal, Refused};

use crate::attributes::{AttributeKey, Attributes};
use crate::backend;
use crate::backend::need::Need;
use crate::estate::prefix_lists::PrefixLists;
use crate::estate::{Estate, Known};
use crate::ids::{PrefixListId, Reference, VpcId};
use crate::names::{self, Kind, Names};
use crate::parameters::{BackendSecurityGroup, Parameters, PublishWhen};
use crate::protocol::Protocol;
use crate::settings::health::HealthCheck;
use crate::settings::listeners::Front;
use crate::settings::security::SecurityGroups;
use crate::settings::{self, Settings};
use crate::state::{Balancer, Observed, Rule, Source, State, SubnetMapping, Target, Traffic};
use crate::step::SecurityGroupOf;
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
    /// The members that choose it.
    pub named_by: Vec<Uid>,
    /// Who can reach it.
    pub scheme: Scheme,
    /// The families of its addresses.
    pub ip_address_type: IpAddressType,
    /// Where everything is.
    pub vpc: Known<VpcId>,
    /// Where it is, by subnet.
    pub subnets: Known<Vec<SubnetMapping>>,
    /// What became of the subnets that were looked at for it; empty where it stays where it is, or nobody knows them.
    pub verdicts: Vec<subnets::Verdict>,
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
    /// What its targets have to let in; none: what they let in stays as it is.
    pub need: Option<Need>,
    /// A replace may leave a gap.
    pub allow_downtime: bool,
    /// Its name is published only when a target of it is healthy; there is somebody who can become so.
    pub awaits_healthy: bool,
    /// Of somebody here nothing may be changed, so that the balancer itself stays as it is.
    pub pinned: bool,
    /// Of nobody here anything may be changed: nothing is made and nothing is removed.
    pub idle: bool,
    /// AWS's quota of inbound rules, for each family.
    pub rule_budget: usize,
    /// As how many of them one counts that names a prefix list.
    pub prefix_lists: PrefixLists,
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
        beside: Option<SecurityGroupOf>,
    },
    /// Somebody else's.
    Own(Known<BTreeSet<SecurityGroupOf>>),
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
    /// How targets are probed.
    pub health: HealthCheck,
    /// Its attributes, as far as somebody sets them.
    pub attributes: Attributes,
    /// The labels that a node needs to be one.
    pub node_labels: BTreeMap<String, String>,
    /// Its targets, each with the pod that it is, as far as an EndpointSlice names one.
    pub targets: BTreeMap<Target, Option<Uid>>,
    /// How many more there would be, if AWS had room for them.
    pub left_out: usize,
    /// How many may be registered at once, those who leave included.
    pub room: usize,
}

/// What is to be. A refusal names everything that stands against it.
pub fn of(input: &Input<'_>) -> Result<Model, Refusal> {
    let desired = input.desired;
    let current = current(input);
    let idle = nobody_is_served(desired);
    let pinned = !desired.held.is_empty() && current.is_some();
    let leader = desired.served().find_map(|member| input.settings.get(&member.uid)).map(|settings| &settings.balancer);
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
    room::fit(&mut model, input, current);
    model.need = Need::of(&model, leader.map(|leader| &leader.security.groups), input.estate);
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
        named_by: input.settings.iter().filter(|(_, one)| one.names_balancer).map(|(uid, _)| uid.clone()).collect(),
        scheme: input.desired.scheme.unwrap_or(input.parameters.defaults.scheme),
        ip_address_type: leader.map_or(IpAddressType::Ipv4, |leader| leader.ip_address_type),
        vpc: input.parameters.vpc_id.clone().or_else(|| input.estate.vpc.clone()).into(),
        subnets: Known::Unknown,
        firewall: Firewall::None,
        verdicts: Vec::new(),
        private_link: None,
        attributes: Attributes::new(),
        listeners: Vec::new(),
        unserved: Vec::new(),
        need: None,
        allow_downtime: input.desired.allow_downtime,
        awaits_healthy: input.parameters.publish_when == PublishWhen::Healthy
            && input.desired.listeners.iter().any(|listener| listener.has_endpoints),
        pinned: false,
        idle: false,
        rule_budget: input.parameters.rules_per_security_group.unwrap_or_else(|| input.estate.rule_budget()),
        prefix_lists: input.estate.prefix_lists.clone(),
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
    model.scheme = input.parameters.scheme(input.desired.scheme, current.map(|current| current.scheme));
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
        Ok(subnets) => {
            model.subnets = subnets.into();
            model.verdicts = subnets::verdicts(&wish, input.estate).unwrap_or_default();
        }
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
            let missing = prefix_lists.iter().filter(|list| input.estate.prefix_lists.is_missing(list));
            let missing: Vec<String> = missing.map(no_such_list).collect();
            if !missing.is_empty() {
                return Err(missing);
            }
            let lists = prefix_lists.iter().cloned().map(Source::PrefixList);
            let networks = match &input.desired.source_ranges {
                SourceRanges::Only(networks) => networks.clone(),
                SourceRanges::All if !prefix_lists.is_empty() => Vec::new(),
                SourceRanges::All => everybody(leader.ip_address_type),
            };
            Firewall::Managed {
                sources: networks.into_iter().map(|network| Source::Network(network.trunc())).chain(lists).collect(),
                icmp: *icmp,
                beside: shared_group(input),
            }
        }
        SecurityGroups::Own { groups, backend_rules } => {
            let mut own = BTreeSet::new();
            let mut wrong = Vec::new();
            for group in groups {
                match (group, &input.estate.security_groups) {
                    (Reference::Id(id), _) => {
                        own.insert(SecurityGroupOf::Id(id.clone()));
                    }
                    (Reference::Name(_), None) => return Ok(Firewall::Own(Known::Unknown)),
                    (Reference::Name(name), Some(known)) => match known.get(name).map(Vec::as_slice) {
                        Some([id]) => {
                            own.insert(SecurityGroupOf::Id(id.clone()));
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
            own.extend(shared_group(input).filter(|_| *backend_rules));
            Firewall::Own(Known::Known(own))
        }
        SecurityGroups::None { .. } => Firewall::None,
    })
}

fn no_such_list(list: &PrefixListId) -> String {
    format!(
        "there is no prefix list {list} in this region that this account may use; name one that exists, or have it shared"
    )
}

/// The group that all balancers carry; it may be yet to be made.
fn shared_group(input: &Input<'_>) -> Option<SecurityGroupOf> {
    let Parameters { backend_security_group, cluster_name, .. } = input.parameters;
    match (backend_security_group, &input.estate.backend_group) {
        (BackendSecurityGroup::Managed, Some(id)) | (BackendSecurityGroup::Own(id), _) => {
            Some(SecurityGroupOf::Id(id.clone()))
        }
        (BackendSecurityGroup::Managed, None) => {
            Some(SecurityGroupOf::Made(backend::name(cluster_name, input.instance)))
        }
        (BackendSecurityGroup::None, _) => None,
    }
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
                beside: others.cloned().map(SecurityGroupOf::Id),
            }
        }
        None if current.security_groups.is_empty() => Firewall::None,
        None => {
            let own = current.security_groups.iter().cloned().map(SecurityGroupOf::Id).collect();
            Firewall::Own(Known::Known(own))
        }
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
