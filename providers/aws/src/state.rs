//! What exists at AWS of one load balancer: everything that `plan` and `outcome` read. The client makes it from what AWS answers and from the
//! record; what does not carry our tags is not in here, but for the names that it takes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use ipnet::IpNet;
use portolan_core::balancer::{PortKey, Published, Scheme};
use portolan_core::ids::Uid;
use serde::{Serialize, Serializer};

use crate::ids::{AllocationId, PrefixListId, SecurityGroupId, SubnetId};
use crate::names::Kind;
use crate::settings::health::HealthCheck;
use crate::settings::listeners::Front;
use crate::settings::subnets::Prefix;
use crate::words::{IpAddressType, Switch};

/// The ARN of an object. Taken as it is: AWS makes it up, and we only give it back.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Arn(String);

impl Arn {
    /// Takes the text as it is.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Arn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What exists of a load balancer.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// By generation.
    pub balancers: Vec<Balancer>,
    /// By name; also those that no listener sends to.
    pub groups: Vec<Group>,
    /// By generation.
    pub security_groups: Vec<SecurityGroup>,
    /// Names that we would give and that objects have which are not ours.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub taken: BTreeSet<String>,
}

/// What AWS calls a load balancer: one generation of ours.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Balancer {
    /// Its identity.
    pub arn: Arn,
    /// Its name.
    pub name: String,
    /// Its number, from 1.
    pub generation: u32,
    /// Who can reach it.
    pub scheme: Scheme,
    /// The families of its addresses.
    pub ip_address_type: IpAddressType,
    /// Its DNS name.
    pub hostname: String,
    /// Whether it takes traffic.
    pub status: Status,
    /// Where it is, by subnet.
    pub subnets: Vec<SubnetMapping>,
    /// Its security groups. None at birth: none ever.
    pub security_groups: BTreeSet<SecurityGroupId>,
    /// Whether their rules count for PrivateLink.
    pub private_link: Switch,
    /// Its attributes, as far as AWS has told.
    pub attributes: Observed,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Its listeners, by port.
    pub listeners: Vec<Listener>,
    /// Whether it is on its way out.
    pub leaving: Leaving,
}

/// Attributes that AWS has told, and which of them are ours to set and to take back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Observed {
    /// By key. One that is not in here has the value that AWS gives at birth.
    pub values: BTreeMap<String, String>,
    /// The keys that we have set, which the record remembers.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub owned: BTreeSet<String>,
}

/// `State.Code` of a load balancer
/// (<https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_LoadBalancerState.html>).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Status {
    /// `provisioning`.
    Provisioning,
    /// `active`.
    Active,
    /// `active_impaired`: it routes and cannot scale.
    Impaired,
    /// `failed`.
    Failed,
}

/// Whether a generation is on its way out. The mark is a tag, set by [`Retire`](crate::step::Step::Retire); how long ago that was the client
/// counts, because a plan has no clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Leaving {
    /// It is not.
    No,
    /// Clients may still have its addresses from the DNS for this long.
    Known(Duration),
    /// Nobody has.
    Forgotten,
}

/// Where a balancer has an address, and which, as far as somebody has fixed it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SubnetMapping {
    /// The subnet.
    pub subnet: SubnetId,
    /// Its public address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allocation: Option<AllocationId>,
    /// Its private address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private_ipv4: Option<Ipv4Addr>,
    /// Its IPv6 address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipv6: Option<Ipv6Addr>,
    /// The prefix that sources are translated to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_nat: Option<Prefix>,
}

/// A listener.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Listener {
    /// Its identity.
    pub arn: Arn,
    /// Its number.
    pub port: u16,
    /// What it speaks; with all of its certificates. None: what we cannot read, such as QUIC.
    pub front: Option<Front>,
    /// The group that it sends to, if that is one alone.
    pub group: Option<Arn>,
    /// Its attributes, as far as AWS has told.
    pub attributes: Observed,
    /// Its tags, by which it is ours or not.
    pub tags: BTreeMap<String, String>,
    /// It carries our tags. Others are left alone.
    pub ours: bool,
    /// Whom it serves, from its tags.
    pub serves: Vec<(Uid, PortKey)>,
}

/// A target group.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Group {
    /// Its identity.
    pub arn: Arn,
    /// Its name.
    pub name: String,
    /// The generation that it was made for.
    pub generation: u32,
    /// The port that a target has which is registered without one; of nodes, the node port at first.
    pub port: u16,
    /// What cannot be changed.
    #[serde(flatten)]
    pub kind: Kind,
    /// How targets are probed.
    pub health: HealthCheck,
    /// Its attributes, as far as AWS has told.
    pub attributes: Observed,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Its targets, sorted.
    pub targets: Vec<Registered>,
}

/// A target: an instance or an address, and a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// `i-...` or an address.
    pub id: String,
    /// The port.
    pub port: u16,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.id.contains(':') {
            write!(f, "[{}]:{}", self.id, self.port)
        } else {
            write!(f, "{}:{}", self.id, self.port)
        }
    }
}

/// A target in a group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Registered {
    /// Which.
    #[serde(flatten)]
    pub target: Target,
    /// How it is.
    pub health: Health,
}

/// How a target is (<https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetHealth.html>).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Health {
    /// `initial`: being registered, or probed for the first time.
    Initial,
    /// `healthy`.
    Healthy,
    /// `unhealthy` and `unhealthy.draining`.
    Unhealthy,
    /// `unused`: no listener, a zone that is off, or an instance that has stopped.
    Unused,
    /// `draining`: deregistered, finishing its connections.
    Draining,
    /// `unavailable`.
    Unavailable,
}

/// A security group that we keep for one generation.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SecurityGroup {
    /// Its identity.
    pub id: SecurityGroupId,
    /// Its name.
    pub name: String,
    /// The generation that it was made for.
    pub generation: u32,
    /// The inbound rules that carry our mark; those of others are left alone.
    pub rules: BTreeSet<Rule>,
    /// How many inbound rules of others there are, which count for AWS's quota.
    pub others: usize,
}

/// An inbound rule: one source, one protocol, one port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// What gets in.
    pub traffic: Traffic,
    /// From where.
    pub source: Source,
}

/// What a rule lets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Traffic {
    /// TCP to this port.
    Tcp(u16),
    /// UDP to this port.
    Udp(u16),
    /// The messages by which a path's MTU is found: ICMP 3/4, or ICMPv6 2/0.
    PathMtu,
}

/// Where a rule lets in from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// A network.
    Network(IpNet),
    /// A list of networks that somebody keeps.
    PrefixList(PrefixListId),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(network) => network.fmt(f),
            Self::PrefixList(list) => list.fmt(f),
        }
    }
}

impl Serialize for Source {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.traffic {
            Traffic::Tcp(port) => write!(f, "{port}/TCP from {}", self.source),
            Traffic::Udp(port) => write!(f, "{port}/UDP from {}", self.source),
            Traffic::PathMtu => write!(f, "path MTU discovery from {}", self.source),
        }
    }
}

impl State {
    /// The group of this ARN.
    pub fn group(&self, arn: &Arn) -> Option<&Group> {
        self.groups.iter().find(|group| &group.arn == arn)
    }

    /// The group that a listener sends to.
    pub fn group_of(&self, listener: &Listener) -> Option<&Group> {
        self.group(listener.group.as_ref()?)
    }

    /// The group of this name.
    pub fn group_named(&self, name: &str) -> Option<&Group> {
        self.groups.iter().find(|group| group.name == name)
    }

    /// The security group that we keep for a generation.
    pub fn security_group(&self, generation: u32) -> Option<&SecurityGroup> {
        self.security_groups.iter().find(|group| group.generation == generation)
    }

    /// The generations that are not on their way out.
    pub fn staying(&self) -> impl Iterator<Item = &Balancer> {
        self.balancers.iter().filter(|balancer| !balancer.is_leaving())
    }

    /// The groups that a generation's own listeners send to.
    pub fn groups_of<'a>(&'a self, balancer: &'a Balancer) -> impl Iterator<Item = &'a Group> {
        balancer.listeners.iter().filter(|listener| listener.ours).filter_map(|listener| self.group_of(listener))
    }
}

impl Balancer {
    /// Clients may have been told of it.
    pub fn is_among(&self, published: &[Published]) -> bool {
        published.iter().any(|entry| matches!(entry, Published::Hostname { hostname } if *hostname == self.hostname))
    }

    /// It takes traffic.
    pub fn is_active(&self) -> bool {
        match self.status {
            Status::Active | Status::Impaired => true,
            Status::Provisioning | Status::Failed => false,
        }
    }

    /// It is on its way out.
    pub fn is_leaving(&self) -> bool {
        self.leaving != Leaving::No
    }

    /// The listener on this port.
    pub fn listener(&self, port: u16) -> Option<&Listener> {
        self.listeners.iter().find(|listener| listener.port == port)
    }
}

impl Group {
    /// The targets that are not leaving.
    pub fn staying(&self) -> impl Iterator<Item = &Registered> {
        self.targets.iter().filter(|registered| registered.health != Health::Draining)
    }

    /// Somebody takes traffic.
    pub fn has_healthy(&self) -> bool {
        self.targets.iter().any(|registered| registered.health == Health::Healthy)
    }
}
