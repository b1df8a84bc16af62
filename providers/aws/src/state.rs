//! What exists at AWS of one load balancer: everything that `plan` and `outcome` read. The client makes it from what AWS answers and from the
//! record; what does not carry our tags is not in here, but for the names that it takes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use ipnet::IpNet;
use portolan_core::balancer::{PortKey, Published, Scheme};
use portolan_core::ids::Uid;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::backend::need::Need;
use crate::ids::{AllocationId, Id, PrefixListId, SecurityGroupId, SubnetId};
use crate::names::Kind;
use crate::settings::health::HealthCheck;
use crate::settings::listeners::Front;
use crate::settings::subnets::Prefix;
use crate::words::{IpAddressType, Switch};

/// The ARN of an object. Taken as it is: AWS makes it up, and we only give it back.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// By generation.
    pub balancers: Vec<Balancer>,
    /// By name; also those that no listener sends to.
    pub groups: Vec<Group>,
    /// By generation.
    pub security_groups: Vec<SecurityGroup>,
    /// The keys of tags that somebody has asked for and we have given, as long as one of these objects has them. The record remembers them, so
    /// that they go when nobody asks any more, and tags of others stay.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub given: BTreeSet<String>,
    /// What the targets' security groups let in for it, as far as this process has seen to it.
    #[serde(skip)]
    pub admitted: Option<Admitted>,
    /// Rules at targets name a security group of its own.
    #[serde(skip)]
    pub named_at_targets: bool,
    /// Others wait for what its targets have to let in: even if nothing of it exists, it has to say so when it goes.
    #[serde(skip)]
    pub awaited: bool,
    /// Names that we would give and that objects have which are not ours.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub taken: BTreeSet<String>,
    /// Whose the objects are that have them, where that is another load balancer of this cluster.
    #[serde(skip)]
    pub holders: BTreeMap<String, String>,
}

/// What targets let in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Admitted {
    /// What was asked of them.
    pub need: Need,
    /// What could not be opened, and what to do about it.
    pub problems: BTreeSet<String>,
}

/// What AWS calls a load balancer: one generation of ours.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    /// Its DNS name, as AWS writes it.
    pub hostname: String,
    /// Whether it takes traffic.
    pub status: Status,
    /// Where it is, by subnet.
    pub subnets: Vec<SubnetMapping>,
    /// Its security groups. None at birth: none ever.
    pub security_groups: BTreeSet<SecurityGroupId>,
    /// Whether their rules count for PrivateLink.
    pub private_link: Switch,
    /// That they do not is our doing, which the record remembers: they do again when nobody asks for it any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub private_link_ours: bool,
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Observed {
    /// By key. One that is not in here has the value that AWS gives at birth.
    pub values: BTreeMap<String, String>,
    /// The keys that we have set, which the record remembers.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub owned: BTreeSet<String>,
}

/// `State.Code` of a load balancer
/// (<https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_LoadBalancerState.html>).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SubnetMapping {
    /// The subnet.
    pub subnet: SubnetId,
    /// Its public address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allocation: Option<AllocationId>,
    /// Its private address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_ipv4: Option<Ipv4Addr>,
    /// Its IPv6 address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv6: Option<Ipv6Addr>,
    /// The prefix that sources are translated to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_nat: Option<Prefix>,
}

/// A listener.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    /// Targets that AWS does not take now, and is not asked again for a while.
    #[serde(skip)]
    pub rejected: BTreeSet<Target>,
    /// Targets whose pod is gone and whose address another pod of the cluster has by now.
    #[serde(skip)]
    pub usurped: BTreeSet<Target>,
}

/// A target: an instance or an address, and a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Registered {
    /// Which.
    #[serde(flatten)]
    pub target: Target,
    /// How it is.
    #[serde(default, skip_serializing_if = "Health::is_unknown")]
    pub health: Health,
    /// The pod that it was registered for, which AWS does not know: an address goes to another pod, and what AWS has found out about the one
    /// says nothing of the other. None for nodes, where no EndpointSlice has named the pod, and where nobody remembers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<Uid>,
}

/// A target that is to be, and the pod behind it, as far as an EndpointSlice names one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Bound {
    /// Which.
    #[serde(flatten)]
    pub target: Target,
    /// The pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<Uid>,
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.target.fmt(f)
    }
}

/// How a target is (<https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetHealth.html>).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Health {
    /// Nobody has asked since the process began.
    #[default]
    Unknown,
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SecurityGroup {
    /// Its identity.
    pub id: SecurityGroupId,
    /// Its name.
    pub name: String,
    /// The generation that it was made for.
    pub generation: u32,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// The inbound rules that carry our mark; those of others are left alone.
    pub rules: BTreeSet<Rule>,
    /// Rules of others that are such as we make: what is open by one of these cannot be opened again.
    #[serde(skip)]
    pub foreign: BTreeSet<Rule>,
    /// How many inbound rules of others there are, which count for AWS's quota.
    pub others: usize,
    /// The prefix lists that those name, and how many name each: such a rule counts for more than one.
    #[serde(skip)]
    pub lists_of_others: BTreeMap<PrefixListId, usize>,
}

/// An inbound rule: one source, one protocol, one port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// What gets in.
    pub traffic: Traffic,
    /// From where.
    pub source: Source,
}

/// What a rule lets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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

impl<'de> Deserialize<'de> for Source {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let list = || PrefixListId::parse(&text).map(Self::PrefixList);
        let source = text.parse().ok().map(Self::Network).or_else(list);
        source.ok_or_else(|| D::Error::custom(format!("{text:?} is neither a network nor a prefix list")))
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

    /// Remembers for which pods the targets of its groups were registered: what AWS tells does not say.
    pub fn remember_pods(&mut self, before: &Self) {
        for group in &mut self.groups {
            let known = before.group(&group.arn).map(|known| known.targets.as_slice()).unwrap_or_default();
            remember_pods(&mut group.targets, known);
        }
    }

    /// The group of this name.
    pub fn group_named(&self, name: &str) -> Option<&Group> {
        self.groups.iter().find(|group| group.name == name)
    }

    /// The security group that we keep for a generation.
    pub fn security_group(&self, generation: u32) -> Option<&SecurityGroup> {
        self.security_groups.iter().find(|group| group.generation == generation)
    }

    /// Notes the keys of tags that were given on request; those that no object has any more are not ours any more.
    pub fn given(&mut self, keys: impl IntoIterator<Item = String>) {
        let mut given = std::mem::take(&mut self.given);
        given.extend(keys);
        given.retain(|key| self.tags().any(|tags| tags.contains_key(key)));
        self.given = given;
    }

    fn tags(&self) -> impl Iterator<Item = &BTreeMap<String, String>> {
        let listeners = self.balancers.iter().flat_map(|balancer| &balancer.listeners).map(|listener| &listener.tags);
        let balancers = self.balancers.iter().map(|balancer| &balancer.tags);
        let groups = self.groups.iter().map(|group| &group.tags);
        balancers.chain(listeners).chain(groups).chain(self.security_groups.iter().map(|group| &group.tags))
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
        let is_it = |hostname: &str| hostname.eq_ignore_ascii_case(&self.hostname);
        published.iter().any(|entry| matches!(entry, Published::Hostname { hostname } if is_it(hostname)))
    }

    /// What clients are told of it. AWS writes its name into the DNS name with the capitals that it has; DNS does not care for them
    /// (RFC 4343), and the API server takes a hostname in lower case alone (RFC 1123, as Kubernetes has it).
    pub fn published(&self) -> Published {
        Published::Hostname { hostname: self.hostname.to_ascii_lowercase() }
    }

    /// Its addresses are of these families from now on. What it had of IPv6 goes with IPv6.
    pub fn has_become(&mut self, ip_address_type: IpAddressType) {
        self.ip_address_type = ip_address_type;
        if ip_address_type == IpAddressType::Ipv4 {
            for mapping in &mut self.subnets {
                mapping.ipv6 = None;
                mapping.source_nat = None;
            }
        }
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

/// The same for the targets of one group.
pub(crate) fn remember_pods(targets: &mut [Registered], known: &[Registered]) {
    let of: BTreeMap<&Target, &Uid> = known.iter().filter_map(|one| Some((&one.target, one.pod.as_ref()?))).collect();
    for registered in targets {
        registered.pod = registered.pod.take().or_else(|| of.get(&registered.target).map(|pod| (*pod).clone()));
    }
}

impl Registered {
    /// It was registered for this pod; or nobody says for whom it is to be.
    pub fn is_of(&self, pod: Option<&Uid>) -> bool {
        pod.is_none_or(|pod| self.pod.as_ref() == Some(pod))
    }
}

impl Health {
    fn is_unknown(&self) -> bool {
        *self == Self::Unknown
    }
}

impl Group {
    /// One that has just been made, empty.
    pub fn made(
        arn: Arn,
        name: &str,
        generation: u32,
        kind: Kind,
        port: u16,
        health: &HealthCheck,
        tags: &BTreeMap<String, String>,
    ) -> Self {
        Self {
            arn,
            name: name.to_owned(),
            generation,
            port,
            kind,
            health: health.clone(),
            attributes: Observed::default(),
            tags: tags.clone(),
            targets: Vec::new(),
            rejected: BTreeSet::new(),
            usurped: BTreeSet::new(),
        }
    }

    /// These were registered. Whoever was there stays as it is, but for the pod that it is from now on; one that was on its way out comes anew.
    pub fn registered<'a>(&mut self, targets: impl IntoIterator<Item = &'a Bound>) {
        for Bound { target, pod } in targets {
            self.targets.retain(|other| &other.target != target || other.health != Health::Draining);
            match self.targets.iter_mut().find(|other| &other.target == target) {
                Some(known) => known.pod = pod.clone().or_else(|| known.pod.take()),
                None => {
                    let (target, pod) = (target.clone(), pod.clone());
                    self.targets.push(Registered { target, health: Health::Initial, pod });
                }
            }
        }
        self.targets.sort();
    }

    /// The targets that are not leaving.
    pub fn staying(&self) -> impl Iterator<Item = &Registered> {
        self.targets.iter().filter(|registered| registered.health != Health::Draining)
    }

    /// Somebody takes traffic.
    pub fn has_healthy(&self) -> bool {
        self.targets.iter().any(|registered| registered.health == Health::Healthy)
    }
}
