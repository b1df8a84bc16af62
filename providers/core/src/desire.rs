//! What a load balancer for these Services looks like: the second half of the rules, after [`claim`](crate::claim).
//!
//! Each rule has a file of its own. [`desire`] only calls them and collects every refusal, so that a user sees all of them at
//! once.

pub mod addresses;
pub mod downtime;
pub mod endpoints;
pub mod nodes;
pub mod ports;
pub mod ranges;
pub mod scheme;
pub mod whole;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use serde::Serialize;

use crate::balancer::{Family, Listener, LoadBalancer, Member, NodeTarget, Scheme, SourceRanges};
use crate::capabilities::Capabilities;
use crate::class::Class;
use crate::desire::scheme::InternalAnnotations;
use crate::dialect::{Asked, Dialect, Judged};
use crate::ids::{LoadBalancerId, Uid};
use crate::reason::Reason;
use crate::refusal::{Refusal, Refused};
use crate::share::{self, Consents};
use crate::snapshot::{Node, Pod, Service, Slice};
use crate::terms::Terms;

use whole::Whole;

/// Settings of the configuration that bear on every load balancer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Nodes take traffic although they carry the exclude label (one-node clusters).
    pub ignore_exclude_label: bool,
    /// Which clouds' annotations for internal load balancers are read.
    pub internal_annotations: InternalAnnotations,
}

/// All that the rules read.
#[derive(Clone, Debug)]
pub struct Input<'a> {
    /// The load balancer's identity.
    pub id: &'a LoadBalancerId,
    /// Its class.
    pub class: &'a Class,
    /// What the provider can do.
    pub capabilities: &'a Capabilities,
    /// The provider's own words.
    pub dialect: &'a dyn Dialect,
    /// The Services, in the order of joining.
    pub candidates: &'a [Candidate<'a>],
    /// All nodes, by name.
    pub nodes: &'a [Arc<Node>],
    /// What the record remembers to be settled; none before there is one.
    pub terms: Option<&'a Terms>,
    /// The configuration's settings.
    pub settings: &'a Settings,
    /// What the Namespaces say.
    pub consents: &'a Consents,
}

/// A Service that may be behind the load balancer.
#[derive(Clone, Debug)]
pub struct Candidate<'a> {
    /// The Service's identity.
    pub member: Member,
    /// What it says; none if nobody can read it.
    pub service: Option<&'a Service>,
    /// Its slices, by name.
    pub slices: &'a [Arc<Slice>],
    /// The Pods that wait for its load balancer, by name.
    pub gated: &'a [Arc<Pod>],
    /// It has joined: the record names it.
    pub joined: bool,
    /// Nothing of it may be changed, see [`LoadBalancer::held`].
    pub held: Option<Hold>,
}

/// Why nothing of a Service may be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// Until somebody lets go of it.
    Kept,
    /// It is on its way to another load balancer.
    Moving,
}

/// What is to be built, and what is not.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Desired {
    /// What is to be built. Without members: nothing.
    pub load_balancer: LoadBalancer,
    /// What its record has to remember.
    #[serde(skip)]
    pub terms: Terms,
    /// Services of which nothing can be served, and nothing is changed.
    pub refused: BTreeMap<Uid, Refusal>,
    /// Ports that are not built, by Service, in the order of the spec.
    pub refused_ports: BTreeMap<Uid, Vec<Refused>>,
    /// What a person should know; nothing is refused for it.
    pub warnings: BTreeMap<Uid, Vec<Warning>>,
}

/// Something that a person should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// The stable code, the reason of an Event.
    pub reason: Reason,
    /// For people: stable, without counters or times.
    pub message: String,
}

/// Decides what the load balancer looks like.
///
/// Refused ports are left out. If all ports of a Service are refused, nothing of it is built; one that has joined keeps its address and
/// loses its listeners, because a port that the spec no longer has must not stay open. A Service that is refused as a whole and has
/// joined is held: what exists of it stays, and goes on following endpoints and nodes.
pub fn desire(input: &Input<'_>) -> Desired {
    let mut whole = Whole::default();
    let mut served: Vec<Want<'_>> = Vec::new();
    let mut refused = BTreeMap::new();
    let mut following: Vec<&Candidate<'_>> = Vec::new();
    for candidate in input.candidates.iter().filter(|candidate| candidate.held.is_some()) {
        whole.reserve(candidate);
    }
    for candidate in input.candidates {
        match candidate
            .service
            .filter(|_| candidate.held.is_none())
            .map(|service| want(input, candidate, service, &whole, &served))
        {
            Some(Ok(want)) => {
                whole.admit(candidate, &want);
                served.push(want);
            }
            Some(Err(refusal)) => {
                refused.insert(candidate.member.uid.clone(), refusal);
                if candidate.joined {
                    whole.hold(candidate, input.capabilities);
                    following.push(candidate);
                }
            }
            None => whole.hold(candidate, input.capabilities),
        }
    }
    // Whoever is refused and has not joined will be judged after all those who join now, so it is told now what it will be told then.
    for candidate in input.candidates.iter().filter(|candidate| !candidate.joined) {
        if let (Some(service), Some(refusal)) = (candidate.service, refused.get_mut(&candidate.member.uid))
            && let Err(later) = want(input, candidate, service, &whole, &served)
        {
            *refusal = later;
        }
    }

    let nodes = nodes::eligible(input.nodes, whole.families(), input.settings);
    let mut listeners: Vec<Listener> =
        served.iter().flat_map(|want| want.listeners(&nodes, whole.families())).collect();
    listeners.sort_by_key(|listener| listener.key);
    let following: Vec<Listener> =
        following.iter().flat_map(|candidate| followed(input, candidate, &nodes, whole.families())).collect();
    let settings = input.dialect.settings(&served.iter().map(Want::asked).collect::<Vec<_>>());
    let (mut refused_ports, mut warnings) = (BTreeMap::new(), BTreeMap::new());
    for Want { service, refused_ports: ports, warnings: own, .. } in served {
        let own: Vec<Warning> = own.into_iter().chain(whole.warnings(service, input.consents)).collect();
        if !ports.is_empty() {
            refused_ports.insert(service.uid.clone(), ports);
        }
        if !own.is_empty() {
            warnings.insert(service.uid.clone(), own);
        }
    }
    let terms = whole.terms(input.terms, input.dialect.default_scheme());
    let load_balancer = whole.load_balancer(input, &terms, settings, listeners, following, nodes);
    Desired { load_balancer, terms, refused, refused_ports, warnings }
}

/// Where the ports of a Service that is refused would go, if nothing else of it mattered.
fn followed(input: &Input<'_>, candidate: &Candidate<'_>, nodes: &[NodeTarget], families: &[Family]) -> Vec<Listener> {
    let Some(service) = candidate.service.filter(|service| service.defects.is_empty()) else { return Vec::new() };
    let usable = endpoints::Usable::new(service, candidate.slices, gated(input, candidate), families);
    let (served, _) = ports::judge(service, input.capabilities, input.dialect, None);
    served.iter().map(|port| ports::listener(service, port, nodes, &usable)).collect()
}

/// The Pods that wait for a Service, where the provider has an answer for them.
fn gated<'a>(input: &Input<'_>, candidate: &Candidate<'a>) -> &'a [Arc<Pod>] {
    if input.capabilities.readiness_gates { candidate.gated } else { &[] }
}

/// What one Service asks for.
#[derive(Clone, Debug)]
struct Want<'a> {
    service: &'a Service,
    slices: &'a [Arc<Slice>],
    gated: &'a [Arc<Pod>],
    families: Vec<Family>,
    requested: Vec<IpAddr>,
    scheme: Option<Scheme>,
    source_ranges: SourceRanges,
    allows_downtime: bool,
    served: Vec<ports::Served<'a>>,
    refused_ports: Vec<Refused>,
    warnings: Vec<Warning>,
}

fn want<'a>(
    input: &Input<'a>,
    candidate: &Candidate<'a>,
    service: &'a Service,
    whole: &Whole,
    before: &[Want<'_>],
) -> Result<Want<'a>, Refusal> {
    let mut refused: Vec<Refused> =
        service.defects.iter().map(|defect| Refused::whole(Reason::InvalidSpec, defect.clone())).collect();
    let mut warnings = Vec::new();

    let scheme =
        scheme::scheme(service, input.capabilities, &input.settings.internal_annotations, &mut refused, &mut warnings);
    let families = addresses::families(service, input.capabilities, scheme, &mut refused, &mut warnings);
    let requested = addresses::requested(service, input.capabilities, &families, &mut refused, &mut warnings);
    let source_ranges = ranges::source_ranges(service, input.capabilities, &mut refused);
    let allows_downtime = downtime::allowed(service, &mut warnings);
    affinity(service, input.capabilities, &mut refused);
    sharing(service, input.capabilities, &mut refused);
    let (mut served, mut refused_ports) = ports::judge(service, input.capabilities, input.dialect, whole.protocol());
    let before: Vec<Asked<'_>> = before.iter().map(Want::asked).collect();
    let asked = Asked { service, scheme, source_ranges: &source_ranges };
    let Judged { refused: by_dialect, refused_ports: ports, warnings: told } = input.dialect.judge(&asked, &before);
    refused.extend(by_dialect);
    served.retain(|served| ports.iter().all(|refused| refused.port != Some(served.port.key)));
    let ports = unsaid(ports, &refused_ports);
    refused_ports.extend(ports);
    warnings.extend(told);
    served.retain(|served| match whole.number_of_others(candidate, served.port.key, input.capabilities) {
        Some(why) => {
            refused_ports.push(why);
            false
        }
        None => true,
    });
    let slices = candidate.slices;
    let want = Want {
        service,
        slices,
        gated: gated(input, candidate),
        families,
        requested,
        scheme,
        source_ranges,
        allows_downtime,
        served,
        refused_ports,
        warnings,
    };
    let is_sound = refused.is_empty();
    refused.extend(whole.conflicts(candidate, &want, input));
    // What a Service asks for that is nonsense need not be followed by anybody.
    refused.extend(whole.hold_against(candidate, &want, input).filter(|_| is_sound));
    if !refused.is_empty() || (want.served.is_empty() && !candidate.joined) {
        let ports = unsaid(want.refused_ports, &refused);
        refused.extend(ports);
        return Err(Refusal { reasons: refused });
    }
    Ok(want)
}

impl Want<'_> {
    fn asked(&self) -> Asked<'_> {
        Asked { service: self.service, scheme: self.scheme, source_ranges: &self.source_ranges }
    }

    fn listeners(&self, nodes: &[NodeTarget], families: &[Family]) -> Vec<Listener> {
        let usable = endpoints::Usable::new(self.service, self.slices, self.gated, families);
        self.served.iter().map(|port| ports::listener(self.service, port, nodes, &usable)).collect()
    }
}

/// Those by which no port is refused for a reason for which it is refused already, in whoever's words.
fn unsaid(refused: Vec<Refused>, said: &[Refused]) -> Vec<Refused> {
    refused.into_iter().filter(|refused| !said.iter().any(|said| refused.says_the_same(said))).collect()
}

/// A Service as a member of its load balancer.
pub fn member(service: &Service) -> Member {
    Member { uid: service.uid.clone(), namespace: service.key.namespace.clone(), name: service.key.name.clone() }
}

/// Session affinity by capability: spreading a client over endpoints is not what was asked for.
fn affinity(service: &Service, capabilities: &Capabilities, refused: &mut Vec<Refused>) {
    if service.session_affinity.is_some() && !capabilities.session_affinity {
        refused.push(Refused::whole(
            Reason::SessionAffinityNotSupported,
            "spec.sessionAffinity: this provider cannot keep a client at one endpoint; set it to None",
        ));
    }
}

/// Sharing by capability: an address of one's own is not what was asked for.
fn sharing(service: &Service, capabilities: &Capabilities, refused: &mut Vec<Refused>) {
    match share::asked(service) {
        None => {}
        Some(Err(problem)) => refused.push(Refused::whole(Reason::InvalidAnnotation, problem)),
        Some(Ok(_)) if capabilities.sharing => {}
        Some(Ok(_)) => refused.push(Refused::whole(
            Reason::SharingNotSupported,
            format!(
                "annotation {}: this provider gives each Service a load balancer of its own; remove it",
                share::SHARE_ANNOTATION
            ),
        )),
    }
}

#[cfg(test)]
mod tests;
