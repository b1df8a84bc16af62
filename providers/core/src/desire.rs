//! What a load balancer for these Services looks like: the second half of the rules, after [`claim`](crate::claim).
//!
//! Each rule has a file of its own. [`desire`] only calls them and collects every refusal, so that a user sees all of them at
//! once.

pub mod addresses;
pub mod endpoints;
pub mod nodes;
pub mod ports;
pub mod ranges;
pub mod scheme;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use crate::balancer::{Listener, LoadBalancer, Member};
use crate::capabilities::Capabilities;
use crate::class::Class;
use crate::desire::scheme::InternalAnnotations;
use crate::ids::{LoadBalancerId, Uid};
use crate::reason::Reason;
use crate::refusal::{Refusal, Refused};
use crate::snapshot::{Node, Service, Slice};

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
    /// The Service, claimed.
    pub service: &'a Service,
    /// Its slices, by name.
    pub slices: &'a [Arc<Slice>],
    /// All nodes, by name.
    pub nodes: &'a [Arc<Node>],
    /// The configuration's settings.
    pub settings: &'a Settings,
    /// The load balancer exists already: it has a record.
    pub exists: bool,
}

/// What is to be built, and what of the spec is not.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Desired {
    /// What is to be built.
    pub load_balancer: LoadBalancer,
    /// Ports that are not, by Service, in the order of the spec.
    pub refused_ports: BTreeMap<Uid, Vec<Refused>>,
    /// What a person should know; nothing is refused for it.
    pub warnings: Vec<Warning>,
}

/// Something that a person should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// The stable code, the reason of an Event.
    pub reason: Reason,
    /// For people: stable, without counters or times.
    pub message: String,
}

/// Decides what the load balancer looks like. `Err` means that nothing of it can be served, and nothing is changed.
///
/// Refused ports are left out. If all of them are refused, nothing is built; a load balancer that exists keeps its address and
/// loses its listeners, because a port that the spec no longer has must not stay open.
pub fn desire(input: &Input<'_>) -> Result<Desired, Refusal> {
    let service = input.service;
    let mut refused: Vec<Refused> =
        service.defects.iter().map(|defect| Refused::whole(Reason::InvalidSpec, defect.clone())).collect();
    let mut warnings = Vec::new();

    let scheme =
        scheme::scheme(service, input.capabilities, &input.settings.internal_annotations, &mut refused, &mut warnings);
    let families = addresses::families(service, input.capabilities, scheme, &mut refused, &mut warnings);
    let requested = addresses::requested(service, input.capabilities, &families, &mut refused, &mut warnings);
    let source_ranges = ranges::source_ranges(service, input.capabilities, &mut refused);
    affinity(service, input.capabilities, &mut refused);
    sharing(service, &mut refused);
    let (served, refused_ports) = ports::judge(service, input.capabilities);
    if !refused.is_empty() || (served.is_empty() && !input.exists) {
        refused.extend(refused_ports);
        return Err(Refusal { reasons: refused });
    }

    let nodes = nodes::eligible(input.nodes, &families, input.settings);
    let usable = endpoints::Usable::new(service, input.slices, &families);
    let mut listeners: Vec<Listener> =
        served.iter().map(|port| ports::listener(service, port, &nodes, &usable)).collect();
    listeners.sort_by_key(|listener| listener.key);

    Ok(Desired {
        load_balancer: LoadBalancer {
            id: input.id.clone(),
            class: input.class.name.clone(),
            members: vec![member(service)],
            families,
            requested,
            scheme,
            listeners,
            source_ranges,
            nodes,
            published: addresses::published(service),
        },
        refused_ports: if refused_ports.is_empty() {
            BTreeMap::new()
        } else {
            BTreeMap::from([(service.uid.clone(), refused_ports)])
        },
        warnings,
    })
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

/// The annotation that asks to share a load balancer.
pub const SHARE_ANNOTATION: &str = "portolan.dev/share";

/// Sharing is a later step: refused by name, so that nobody waits for it in silence.
fn sharing(service: &Service, refused: &mut Vec<Refused>) {
    if service.annotations.contains_key(SHARE_ANNOTATION) {
        refused.push(Refused::whole(
            Reason::SharingNotSupported,
            format!("annotation {SHARE_ANNOTATION}: sharing is not available in this version; remove the annotation"),
        ));
    }
}

#[cfg(test)]
mod tests;
