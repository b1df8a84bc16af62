//! Readiness gates: a Pod that names `target-health.portolan.dev/SERVICE` under `spec.readinessGates` is ready only once the load balancer of
//! that Service has found it healthy, so that a rollout does not outrun the load balancer (KEP-580, pod ready++).
//!
//! Once open, a gate stays open for that Pod. What the load balancer finds later concerns its own clients, and it stops sending to the Pod by
//! itself; a gate that closed would take the Pod from everybody in the cluster too, and all Pods at once when it is the load balancer that
//! has failed.
//!
//! A gate holds a Pod back from a load balancer that can find it healthy. Where there is none any more, or it says nothing of Pods, nothing will
//! ever be found, and the gate opens and says why: a Pod that waits for ever stops a rollout for nothing.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::balancer::{LoadBalancer, PodEndpoint, Targets, by_address};
use crate::ids::{ServiceKey, Uid};
use crate::provider::Outcome;
use crate::snapshot::{ConditionStatus, Gate, Pod};

/// The condition type of a gate is this and the name of a Service in the Pod's own namespace.
pub const PREFIX: &str = "target-health.portolan.dev/";

/// The Service that a condition type names, if it is a gate of ours.
pub fn service_of(condition_type: &str) -> Option<&str> {
    condition_type.strip_prefix(PREFIX).filter(|service| !service.is_empty())
}

/// What a Pod is to be told of one of its gates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The Pod.
    pub pod: Arc<Pod>,
    /// The condition type.
    pub condition: String,
    /// What it is to say.
    pub gate: Gate,
    /// Its status is another one than before.
    pub turns: bool,
}

/// What Pods do not know yet of the load balancers they wait for. Nothing is said of a Service of which the load balancer must change nothing,
/// nor of a Pod that is no target.
pub fn findings(
    balancer: &LoadBalancer,
    outcome: &Outcome,
    gated: &BTreeMap<ServiceKey, Vec<Arc<Pod>>>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for member in &balancer.members {
        let pods = gated.get(&member.key()).map(Vec::as_slice).unwrap_or_default();
        if pods.is_empty() {
            continue;
        }
        let listeners = balancer.listeners.iter().chain(&balancer.following);
        let listeners: Vec<_> = listeners.filter(|listener| listener.service == member.uid).collect();
        let to_pods: Vec<_> = listeners
            .iter()
            .filter_map(|listener| match &listener.targets {
                Targets::Pods { endpoints, local_nodes: _ } => Some((listener.key, by_pod(endpoints))),
                Targets::Nodes { .. } => None,
            })
            .collect();
        for pod in pods {
            let found: Vec<bool> = to_pods
                .iter()
                .filter_map(|(port, pods)| pods.get(&pod.uid).map(|addresses| (port, addresses)))
                .map(|(port, addresses)| {
                    let is_healthy = |address| outcome.healthy.contains(&(member.uid.clone(), *port, address));
                    addresses.iter().copied().any(is_healthy)
                })
                .collect();
            let gate = if found.is_empty() {
                Some(only_nodes(&member.name)).filter(|_| to_pods.is_empty() && !listeners.is_empty())
            } else if found.iter().all(|healthy| *healthy) {
                Some(healthy(&member.name))
            } else {
                Some(awaited(&member.name))
            };
            findings.extend(gate.and_then(|gate| news(pod, &member.name, gate)));
        }
    }
    findings
}

/// What Pods are told that wait for a Service which has no load balancer any more: it is being deleted, or it is somebody else's by now.
pub fn released(service: &str, pods: &[Arc<Pod>]) -> Vec<Finding> {
    pods.iter().filter_map(|pod| news(pod, service, without(service))).collect()
}

/// The same where the provider of the load balancer says nothing of Pods.
pub fn unanswered(balancer: &LoadBalancer, gated: &BTreeMap<ServiceKey, Vec<Arc<Pod>>>) -> Vec<Finding> {
    let served = balancer.members.iter().filter(|member| !balancer.held.contains(&member.uid));
    let waiting = served.filter_map(|member| Some((member, gated.get(&member.key())?)));
    waiting
        .flat_map(|(member, pods)| pods.iter().filter_map(|pod| news(pod, &member.name, mute(&member.name))))
        .collect()
}

/// The addresses that are each Pod's own. Of a dual-stack Pod a listener may know one family only.
fn by_pod(endpoints: &[PodEndpoint]) -> BTreeMap<&Uid, Vec<SocketAddr>> {
    let mut pods: BTreeMap<&Uid, Vec<SocketAddr>> = BTreeMap::new();
    for (address, endpoint) in by_address(endpoints) {
        if let Some(pod) = &endpoint.pod {
            pods.entry(pod).or_default().push(address);
        }
    }
    pods
}

/// What a Pod has not been told yet. An open gate stays open.
fn news(pod: &Arc<Pod>, service: &str, gate: Gate) -> Option<Finding> {
    let told = pod.gates.get(service)?.as_ref();
    let is_open = told.is_some_and(|told| told.status == ConditionStatus::True);
    if pod.deleting || is_open || told == Some(&gate) {
        return None;
    }
    let turns = told.is_none_or(|told| told.status != gate.status);
    Some(Finding { pod: Arc::clone(pod), condition: format!("{PREFIX}{service}"), gate, turns })
}

fn healthy(service: &str) -> Gate {
    Gate {
        status: ConditionStatus::True,
        reason: "Healthy".to_owned(),
        message: format!("the load balancer of Service {service} has found this pod healthy"),
    }
}

fn awaited(service: &str) -> Gate {
    Gate {
        status: ConditionStatus::False,
        reason: "NotHealthyYet".to_owned(),
        message: format!("the load balancer of Service {service} has not found this pod healthy yet"),
    }
}

fn only_nodes(service: &str) -> Gate {
    Gate {
        status: ConditionStatus::True,
        reason: "NoPodTargets".to_owned(),
        message: format!(
            "the load balancer of Service {service} sends to nodes, whose health says nothing of a pod, so this pod does not wait for it: let it send to pods, or remove this readiness gate"
        ),
    }
}

fn mute(service: &str) -> Gate {
    Gate {
        status: ConditionStatus::True,
        reason: "NoPodHealth".to_owned(),
        message: format!(
            "the load balancer of Service {service} says nothing of pods, so this pod does not wait for it: remove this readiness gate"
        ),
    }
}

fn without(service: &str) -> Gate {
    Gate {
        status: ConditionStatus::True,
        reason: "NoLoadBalancer".to_owned(),
        message: format!(
            "Service {service} has no load balancer of Portolan any more, so this pod does not wait for it"
        ),
    }
}

#[cfg(test)]
mod tests;
