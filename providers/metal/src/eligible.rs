//! Which nodes may answer for an address now, and why not the others.
//!
//! - What takes a node out of load balancing everywhere takes it out here, by the core's rules (`portolan_core::desire::nodes`): it is being deleted,
//!   an autoscaler is about to delete it, or it has the exclude label and no setting says to ignore that. Of taints only those count that say that
//!   the machine is going or gone, an autoscaler's and [`OUT_OF_SERVICE_TAINT`]. A cordoned node keeps what it has, and so does one with
//!   taints of its owner's: they are about new pods, and its speaker tolerates them.
//! - It is drained of addresses by [`DRAIN_ANNOTATION`].
//! - Its network is not up (condition `NetworkUnavailable`, as MetalLB, `speaker/layer2_controller.go`), or no speaker was ever on it.
//! - An `L2Advertisement` has to admit it, with an interface that it has; MetalLB announces nowhere if the one it chose has none.
//! - Its speaker has not been heard of lately, it is not ready, or does not forward as its speaker says, either nothing or what goes to this address:
//!   only while others are better. If that alone leaves no node it is ignored, since an address that may not work is better than none.
//! - An endpoint of the address's family has to be usable somewhere, and under `externalTrafficPolicy: Local` on the node itself.
//!
//! Services that share an address each have their say, in the order in which they joined: one whose endpoints would leave no node is left out,
//! and so is one that has none at all, so that nobody's trouble takes the address away from the others. It is different with advertisements: what one
//! does not allow is not done ([`crate::advertisement`]).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use portolan_core::desire::nodes::is_excluded;
use portolan_core::go;
use portolan_core::ids::NodeName;
use portolan_core::snapshot::Node;
use serde::Serialize;

use crate::advertisement::{Admission, Advertisement, Announced, Covering, Interfaces, PoolRef};
use crate::placement::Weights;
use crate::selector::Labels;

/// The annotation that moves all addresses away from a node.
pub const DRAIN_ANNOTATION: &str = "portolan.dev/drain";

/// The taint by which somebody says that a machine is off although nothing answers for it (KEP-2268), whatever its effect and value.
pub const OUT_OF_SERVICE_TAINT: &str = "node.kubernetes.io/out-of-service";

/// The node has [`DRAIN_ANNOTATION`], with anything but Go's words for false.
pub fn is_drained(annotations: &Labels) -> bool {
    annotations.get(DRAIN_ANNOTATION).is_some_and(|text| !go::FALSE.contains(&text.as_str()))
}

/// A node as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// What the core knows of it.
    pub node: Arc<Node>,
    /// Its condition `Ready` is true.
    pub ready: bool,
    /// Its condition `NetworkUnavailable` is true.
    pub network_unavailable: bool,
    /// It has [`OUT_OF_SERVICE_TAINT`].
    pub out_of_service: bool,
    /// [`is_drained`].
    pub drained: bool,
    /// What announces there.
    pub speaker: Speaker,
}

/// The speaker of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Speaker {
    /// There has never been one.
    Absent,
    /// Its Lease has run out, or was given back.
    Silent {
        /// The interfaces on which it could announce.
        interfaces: BTreeSet<String>,
    },
    /// It is alive, and has said this.
    Alive {
        /// The interfaces on which it can announce.
        interfaces: BTreeSet<String>,
        /// Nothing says that the node does not forward what is sent to addresses that it announces.
        forwards: bool,
        /// But not what is sent to these.
        failing: BTreeSet<IpAddr>,
    },
}

/// An address, and who is behind it.
#[derive(Clone, Debug)]
pub struct Vip {
    /// Its pool.
    pub pool: PoolRef,
    /// Its Services, in the order in which they joined.
    pub services: Vec<Member>,
}

/// A Service of an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Member {
    /// Its labels.
    pub labels: Labels,
    /// Where its usable endpoints of the address's family are.
    pub endpoints: Endpoints,
    /// Where a node says whether it has one that is ready; none unless that matters (`externalTrafficPolicy: Local`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_check: Option<u16>,
}

/// Where something can serve a Service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Endpoints {
    /// Nowhere.
    None,
    /// It does not matter where: nodes pass it on.
    Anywhere,
    /// On these nodes, which pass nothing on (`externalTrafficPolicy: Local`); not empty.
    On(BTreeSet<NodeName>),
}

impl fmt::Display for Endpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("nowhere"),
            Self::Anywhere => f.write_str("anywhere"),
            Self::On(nodes) => f.write_str(&nodes.iter().map(NodeName::as_str).collect::<Vec<_>>().join(", ")),
        }
    }
}

/// Why a node may not answer, the one that somebody has to see to first. The order is that of the status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The Node is being deleted.
    Deleting,
    /// An autoscaler is about to delete it.
    Leaving,
    /// Somebody has said that it is off.
    OutOfService,
    /// The label.
    Excluded,
    /// The annotation.
    Drained,
    /// The condition.
    NetworkUnavailable,
    /// No speaker has ever reported from it.
    NoSpeaker,
    /// It does no longer.
    SpeakerSilent,
    /// By advertisements.
    NotAdvertised,
    /// It has none of the interfaces.
    NoInterface,
    /// Others are ready.
    NotReady,
    /// Others forward.
    NotForwarding,
    /// There is nothing to answer for.
    NoEndpoints,
    /// There is nothing on this node.
    NoLocalEndpoint,
}

impl Reason {
    /// All of them, in the order of the status.
    pub const ALL: [Self; 14] = [
        Self::Deleting,
        Self::Leaving,
        Self::OutOfService,
        Self::Excluded,
        Self::Drained,
        Self::NetworkUnavailable,
        Self::NoSpeaker,
        Self::SpeakerSilent,
        Self::NotAdvertised,
        Self::NoInterface,
        Self::NotReady,
        Self::NotForwarding,
        Self::NoEndpoints,
        Self::NoLocalEndpoint,
    ];

    /// Its name in status; never changes.
    pub fn code(self) -> &'static str {
        match self {
            Self::Deleting => "Deleting",
            Self::Leaving => "Leaving",
            Self::OutOfService => "OutOfService",
            Self::Excluded => "Excluded",
            Self::Drained => "Drained",
            Self::NetworkUnavailable => "NetworkUnavailable",
            Self::NoSpeaker => "NoSpeaker",
            Self::SpeakerSilent => "SpeakerSilent",
            Self::NotAdvertised => "NotAdvertised",
            Self::NoInterface => "NoInterface",
            Self::NotReady => "NotReady",
            Self::NotForwarding => "NotForwarding",
            Self::NoEndpoints => "NoEndpoints",
            Self::NoLocalEndpoint => "NoLocalEndpoint",
        }
    }
}

/// In words, to be said after a node's name.
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Deleting => "is being deleted",
            Self::Leaving => "is about to be deleted by an autoscaler (its taint says so)",
            Self::OutOfService => "is off (taint node.kubernetes.io/out-of-service)",
            Self::Excluded => "is excluded (label node.kubernetes.io/exclude-from-external-load-balancers)",
            Self::Drained => "is drained (annotation portolan.dev/drain)",
            Self::NetworkUnavailable => "has no network yet (condition NetworkUnavailable)",
            Self::NoSpeaker => "has no speaker; see why none is scheduled or starts there",
            Self::SpeakerSilent => "has a speaker that has not been heard of lately",
            Self::NotAdvertised => "is not selected by an L2Advertisement of this pool and Service",
            Self::NoInterface => "has none of the interfaces that L2Advertisements name",
            Self::NotReady => "is not ready",
            Self::NotForwarding => {
                "does not forward, as its kube-proxy says (healthz, or the Service's healthCheckNodePort) or because that is gone"
            }
            Self::NoEndpoints => "has nothing to answer for: no endpoint of the Service is ready in the address's family",
            Self::NoLocalEndpoint => "has no ready endpoint of the Service (externalTrafficPolicy: Local)",
        })
    }
}

/// Who may answer for an address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Eligibility {
    /// Those who may.
    pub nodes: Arc<Weights>,
    /// What is ignored because nobody would be left otherwise.
    pub despite: &'static [Reason],
    /// Services, by their place, that none of those who may answer serves: together with earlier ones they would leave nobody.
    pub left_out: Vec<usize>,
    /// Nothing is behind the address.
    pub(crate) is_idle: bool,
    /// Those who serve it but do not forward what goes to it, as they say.
    pub(crate) failing: BTreeSet<NodeName>,
    pub(crate) field: Arc<Field>,
}

/// All nodes, as addresses see them that the same advertisements cover. Shared, so that an address costs no more than those who may answer for it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Field {
    /// Those against whom nothing speaks but doubts.
    pub(crate) fit: BTreeMap<NodeName, Fit>,
    /// Why the others may not answer.
    pub(crate) faults: BTreeMap<NodeName, Reason>,
}

/// A node that may answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fit {
    admission: Admission,
    /// What speaks against it as long as there are others, whatever the address.
    doubts: Vec<Reason>,
}

/// Nodes that may not answer for one reason, as status shows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Barred {
    /// Why.
    pub reason: Reason,
    /// The first [`NAMED`] of them.
    pub nodes: Vec<NodeName>,
    /// How many there are in all.
    pub count: usize,
}

/// So many nodes are named, so that a status stays small in a large cluster.
pub const NAMED: usize = 10;

impl Eligibility {
    /// Why a node may not answer; none of one that may, or that is not there at all.
    pub fn why_not(&self, node: &NodeName) -> Option<Reason> {
        if self.nodes.contains_key(node) {
            return None;
        }
        if let Some(fault) = self.field.faults.get(node) {
            return Some(*fault);
        }
        let fails = self.failing.contains(node).then_some(Reason::NotForwarding);
        let mut doubts = self.field.fit.get(node)?.doubts.iter().copied().chain(fails);
        let doubt = doubts.find(|doubt| !self.despite.contains(doubt));
        let missing = if self.is_idle { Reason::NoEndpoints } else { Reason::NoLocalEndpoint };
        Some(doubt.unwrap_or(missing))
    }

    /// The interfaces that a node is limited to, if it is.
    pub fn only(&self, node: &NodeName) -> Option<&BTreeSet<String>> {
        match &self.field.fit.get(node)?.admission.interfaces {
            Interfaces::All => None,
            Interfaces::Only(names) => Some(names),
        }
    }

    /// All who may not, and why.
    pub fn others(&self) -> BTreeMap<&NodeName, Reason> {
        let all = self.field.fit.keys().chain(self.field.faults.keys());
        all.filter_map(|node| Some((node, self.why_not(node)?))).collect()
    }

    /// Those who may not, by why.
    pub fn barred(&self) -> Vec<Barred> {
        let mut by_reason: BTreeMap<Reason, Vec<&NodeName>> = BTreeMap::new();
        for (node, reason) in self.others() {
            by_reason.entry(reason).or_default().push(node);
        }
        let barred = by_reason.into_iter().map(|(reason, nodes)| Barred {
            reason,
            count: nodes.len(),
            nodes: nodes.into_iter().take(NAMED).cloned().collect(),
        });
        barred.collect()
    }
}

/// All that a decision rests on: what covers an address, where its endpoints are, and who does not forward to it.
type Question<'a> = (Covering, Vec<&'a Endpoints>, BTreeSet<NodeName>);

/// Who may answer for each of these addresses. `ignore_label` is the setting `nodes.ignoreExcludeLabel`. Where the same is decided, the same is shared.
pub fn eligible(
    vips: &BTreeMap<IpAddr, Vip>,
    hosts: &[Host],
    advertisements: &[Advertisement],
    ignore_label: bool,
) -> BTreeMap<IpAddr, Arc<Eligibility>> {
    let standing: Vec<(&Host, Option<Reason>)> = hosts.iter().map(|host| (host, host.fault(ignore_label))).collect();
    let failing: Vec<_> = hosts.iter().filter_map(|host| Some((&host.node.name, host.failing()?))).collect();
    let mut fields: BTreeMap<Covering, Arc<Field>> = BTreeMap::new();
    let mut decided: BTreeMap<Question, Arc<Eligibility>> = BTreeMap::new();
    let decisions = vips.iter().map(|(address, vip)| {
        let labels = vip.services.iter().map(|service| &service.labels);
        let announced = Announced::of(advertisements, &vip.pool, labels);
        let covering = announced.covering();
        let endpoints: Vec<&Endpoints> = vip.services.iter().map(|service| &service.endpoints).collect();
        let failing = failing.iter().filter(|(_, addresses)| addresses.contains(address));
        let failing: BTreeSet<NodeName> = failing.map(|(node, _)| (*node).clone()).collect();
        let decision = decided.entry((covering.clone(), endpoints.clone(), failing.clone())).or_insert_with(|| {
            let field = fields.entry(covering.clone()).or_insert_with(|| Arc::new(Field::of(&standing, &announced)));
            Arc::new(decide(Arc::clone(field), &endpoints, &failing))
        });
        (*address, Arc::clone(decision))
    });
    decisions.collect()
}

/// Of an address of whose Services nothing is known, such as after a restart or while they are paused: those who are ranked go on, but those against
/// whom something speaks by itself. Who is in doubt makes way for the first behind him who is not; further back he may be needed yet, since who
/// is ranked no more does not come back as long as nothing is known.
pub(crate) fn as_ranked(address: IpAddr, ranked: &[NodeName], hosts: &[Host], ignore_label: bool) -> Eligibility {
    let mut field = Field::default();
    for host in hosts {
        let name = host.node.name.clone();
        match host.fault(ignore_label).or(host.is_silent().then_some(Reason::SpeakerSilent)) {
            Some(fault) => drop(field.faults.insert(name, fault)),
            None if ranked.contains(&name) => {
                let admission = Admission { interfaces: Interfaces::All, weight: 0 };
                field.fit.insert(name, Fit { admission, doubts: host.doubts() });
            }
            None => {}
        }
    }
    let fails = |host: &&Host| host.failing().is_some_and(|addresses| addresses.contains(&address));
    let failing: BTreeSet<NodeName> = hosts.iter().filter(fails).map(|host| host.node.name.clone()).collect();
    let is_well =
        |name: &NodeName| field.fit.get(name).is_some_and(|fit| fit.doubts.is_empty()) && !failing.contains(name);
    let first_well = ranked.iter().position(is_well).unwrap_or_default();
    let left = ranked.iter().skip(first_well).filter(|name| field.fit.contains_key(*name));
    let nodes = Arc::new(left.map(|name| (name.clone(), 0)).collect());
    Eligibility { nodes, failing, field: Arc::new(field), ..Eligibility::default() }
}

impl Host {
    /// Nothing speaks against it by itself: it can be given what others have once that has been so for a while.
    pub fn is_sound(&self, ignore_label: bool) -> bool {
        self.fault(ignore_label).is_none() && self.doubts().is_empty()
    }

    /// Why it may answer for nothing.
    fn fault(&self, ignore_label: bool) -> Option<Reason> {
        let faults = [
            (self.node.deleting, Reason::Deleting),
            (self.node.leaving, Reason::Leaving),
            (self.out_of_service, Reason::OutOfService),
            (!ignore_label && is_excluded(&self.node.labels), Reason::Excluded),
            (self.drained, Reason::Drained),
            (self.network_unavailable, Reason::NetworkUnavailable),
            (self.speaker == Speaker::Absent, Reason::NoSpeaker),
        ];
        faults.into_iter().find(|(is_so, _)| *is_so).map(|(_, reason)| reason)
    }

    fn admission(&self, announced: &Announced<'_>) -> Result<Admission, Reason> {
        let admission = announced.admission(&self.node.labels).ok_or(Reason::NotAdvertised)?;
        let there = match &self.speaker {
            Speaker::Alive { interfaces, .. } | Speaker::Silent { interfaces } => {
                admission.interfaces.any_of(interfaces)
            }
            Speaker::Absent => false,
        };
        if there { Ok(admission) } else { Err(Reason::NoInterface) }
    }

    /// Nothing has been heard of its speaker lately.
    pub(crate) fn is_silent(&self) -> bool {
        matches!(self.speaker, Speaker::Silent { .. })
    }

    /// The addresses for which it does not forward, although it may for others.
    fn failing(&self) -> Option<&BTreeSet<IpAddr>> {
        match &self.speaker {
            Speaker::Alive { failing, .. } => Some(failing).filter(|failing| !failing.is_empty()),
            Speaker::Absent | Speaker::Silent { .. } => None,
        }
    }

    /// What speaks against it as long as there are others, whatever the address.
    fn doubts(&self) -> Vec<Reason> {
        let is_broken = matches!(self.speaker, Speaker::Alive { forwards: false, .. });
        let doubts = [
            (self.is_silent(), Reason::SpeakerSilent),
            (!self.ready, Reason::NotReady),
            (is_broken, Reason::NotForwarding),
        ];
        doubts.into_iter().filter(|(is_so, _)| *is_so).map(|(_, reason)| reason).collect()
    }
}

/// What is ignored, one after the other, until there is a node. One that does not forward is alive, and its rules of before may be in force.
const DESPITE: [&[Reason]; 5] = [
    &[],
    &[Reason::NotForwarding],
    &[Reason::NotReady],
    &[Reason::NotForwarding, Reason::NotReady],
    &[Reason::NotForwarding, Reason::NotReady, Reason::SpeakerSilent],
];

/// That some nodes say that they do not forward to this address decides only among those who would serve it otherwise: it leaves out no Service, and
/// not everybody.
fn decide(field: Arc<Field>, endpoints: &[&Endpoints], failing: &BTreeSet<NodeName>) -> Eligibility {
    let attempts = DESPITE.iter().map(|despite| (*despite, field.serving(despite, endpoints)));
    let chosen = attempts.into_iter().find(|(_, (serving, _))| !serving.is_empty());
    let (despite, (serving, left_out)) = chosen.unwrap_or_default();
    let (failing, well): (BTreeSet<&NodeName>, BTreeSet<&NodeName>) =
        serving.into_iter().partition(|name| failing.contains(*name));
    let (nodes, despite) =
        if well.is_empty() && !failing.is_empty() { (&failing, despite_forwarding(despite)) } else { (&well, despite) };
    let weight = |name: &&NodeName| ((*name).clone(), field.fit.get(*name).map_or(0, |fit| fit.admission.weight));
    let nodes = Arc::new(nodes.iter().map(weight).collect());
    let is_idle = endpoints.iter().all(|endpoints| **endpoints == Endpoints::None);
    let failing = failing.into_iter().cloned().collect();
    Eligibility { nodes, despite, left_out, is_idle, failing, field }
}

/// The same, and that nobody forwards.
fn despite_forwarding(despite: &[Reason]) -> &'static [Reason] {
    let covers =
        |one: &&&[Reason]| one.contains(&Reason::NotForwarding) && despite.iter().all(|reason| one.contains(reason));
    DESPITE.iter().find(covers).copied().unwrap_or_default()
}

impl Field {
    fn of(standing: &[(&Host, Option<Reason>)], announced: &Announced<'_>) -> Self {
        let mut field = Self::default();
        for (host, fault) in standing {
            let name = host.node.name.clone();
            match fault.map_or_else(|| host.admission(announced), Err) {
                Ok(admission) => {
                    field.fit.insert(name, Fit { admission, doubts: host.doubts() });
                }
                Err(fault) => {
                    field.faults.insert(name, fault);
                }
            }
        }
        field
    }

    /// The nodes that serve the Services, and the Services that are left out for it.
    fn serving(&self, despite: &[Reason], endpoints: &[&Endpoints]) -> (BTreeSet<&NodeName>, Vec<usize>) {
        let is_better = |fit: &Fit| fit.doubts.iter().all(|doubt| despite.contains(doubt));
        let all = || self.fit.iter().filter(|(_, fit)| is_better(fit)).map(|(name, _)| name);
        let named = |name| self.fit.get_key_value(name).filter(|(_, fit)| is_better(fit)).map(|(name, _)| name);
        // All, as long as nobody has said which.
        let mut nodes: Option<BTreeSet<&NodeName>> = None;
        let (mut is_served, mut left_out) = (false, Vec::new());
        for (service, endpoints) in endpoints.iter().enumerate() {
            let serves = match (endpoints, &nodes) {
                (Endpoints::None, _) => continue,
                (Endpoints::Anywhere, Some(_)) => true,
                (Endpoints::Anywhere, None) => all().next().is_some(),
                (Endpoints::On(own), _) => {
                    let known = own.iter().filter_map(named);
                    let serving: BTreeSet<_> =
                        known.filter(|name| nodes.as_ref().is_none_or(|nodes| nodes.contains(name))).collect();
                    let serves = !serving.is_empty();
                    nodes = if serves { Some(serving) } else { nodes };
                    serves
                }
            };
            is_served |= serves;
            if !serves {
                left_out.push(service);
            }
        }
        if is_served { (nodes.unwrap_or_else(|| all().collect()), left_out) } else { Default::default() }
    }
}

#[cfg(test)]
impl Host {
    /// Nothing speaks against it; its only interface is `lan0`.
    pub(crate) fn sound(name: &str) -> Self {
        let node = Node {
            name: NodeName::new(name),
            internal: Vec::new(),
            labels: Arc::default(),
            leaving: false,
            deleting: false,
            provider_id: None,
        };
        Self {
            node: Arc::new(node),
            ready: true,
            network_unavailable: false,
            out_of_service: false,
            drained: false,
            speaker: Speaker::Alive {
                interfaces: ["lan0".to_owned()].into(),
                forwards: true,
                failing: BTreeSet::new(),
            },
        }
    }
}

#[cfg(test)]
mod tests;
