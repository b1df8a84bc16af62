//! One Service, as people and scripts read it.

use portolan_core::claim::{Claim, claim, class_of, has_own_conditions};
use portolan_core::class::Classes;
use portolan_core::ids::ServiceKey;
use portolan_core::reason::ConditionType;
use portolan_core::record::Record;
use portolan_core::snapshot::{Condition, ConditionStatus, Ingress, Service};
use serde::Serialize;

use crate::controller::preview::{not_ours, was_ours};
use crate::sandbox::expect::Expectation;

/// One Service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Row {
    #[serde(flatten)]
    pub(crate) key: ServiceKey,
    /// `spec.loadBalancerClass`, or the class that serves it without one.
    pub(crate) class: Option<String>,
    /// `Claimed`, `NotOurs` or `WasOurs`, as `portolan plan` says.
    pub(crate) claim: &'static str,
    /// Why it is not claimed, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<String>,
    pub(crate) addresses: Vec<Address>,
    pub(crate) ports: Vec<Port>,
    /// The first of our conditions that is not True. Unknown is none's fault: it is named only where none is False.
    pub(crate) condition: Option<NotTrue>,
    /// Somebody has written our conditions.
    #[serde(skip)]
    pub(crate) told: bool,
    /// It ends as its author expects.
    pub(crate) expected: bool,
    /// What it lacks for that.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) missing: Vec<String>,
}

/// One address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Address {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ip: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hostname: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ip_mode: Option<String>,
}

/// One port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Port {
    pub(crate) port: u16,
    pub(crate) protocol: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) node_port: Option<u16>,
    /// Why the load balancer does not serve it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}

/// A condition that is not True.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct NotTrue {
    #[serde(rename = "type")]
    pub(crate) condition: &'static str,
    pub(crate) status: ConditionStatus,
    pub(crate) reason: String,
    pub(crate) message: String,
}

impl Row {
    /// `records` are all that name the Service.
    pub(crate) fn of(service: &Service, records: &[&Record], classes: &Classes) -> Self {
        let claim = claim(service, records, classes);
        let missing = missing(service, &claim);
        let (claim, why) = match claim {
            Claim::Claimed(_) => ("Claimed", None),
            Claim::NotOurs(why) => ("NotOurs", Some(not_ours(&why, service))),
            Claim::WasOurs(why) => ("WasOurs", Some(was_ours(why).to_owned())),
        };
        let served_by = || class_of(service, records, classes).map(|class| class.to_string());
        Self {
            key: service.key.clone(),
            class: service.class.clone().or_else(served_by),
            claim,
            why,
            addresses: service.ingress.iter().map(Address::of).collect(),
            ports: ports(service),
            condition: first_not_true(&service.conditions),
            told: has_own_conditions(service),
            expected: missing.is_empty(),
            missing,
        }
    }
}

/// What the Service lacks of what its author expects.
fn missing(service: &Service, claim: &Claim) -> Vec<String> {
    let expectation = match Expectation::of(&service.annotations) {
        Ok(Some(expectation)) => Some(expectation),
        Ok(None) => match claim {
            Claim::Claimed(_) => Some(Expectation::programmed()),
            Claim::NotOurs(_) | Claim::WasOurs(_) => None,
        },
        Err(error) => return vec![error.to_string()],
    };
    let mut missing = expectation.map_or_else(Vec::new, |expectation| expectation.missing(service));
    if let Claim::WasOurs(why) = claim {
        missing.push(format!("nothing of ours left on it: {}", was_ours(*why)));
    }
    missing
}

fn ports(service: &Service) -> Vec<Port> {
    let ports = service.ports.iter().map(|port| {
        let said = service.ingress.iter().flat_map(|ingress| &ingress.ports);
        let error = said
            .filter(|said| said.port == port.key.port && said.protocol == port.key.protocol)
            .find_map(|said| said.error.clone());
        Port { port: port.key.port, protocol: port.key.protocol.to_string(), node_port: port.node_port, error }
    });
    ports.collect()
}

fn first_not_true(conditions: &[Condition]) -> Option<NotTrue> {
    let not_true = |wanted: ConditionStatus| {
        ConditionType::ALL.iter().find_map(|ours| {
            let is_it = |had: &&Condition| had.condition_type == ours.name() && had.status == wanted;
            conditions.iter().find(is_it).map(|had| NotTrue {
                condition: ours.name(),
                status: had.status,
                reason: had.reason.clone(),
                message: had.message.clone(),
            })
        })
    };
    not_true(ConditionStatus::False).or_else(|| not_true(ConditionStatus::Unknown))
}

impl Address {
    fn of(ingress: &Ingress) -> Self {
        let Ingress { ip, hostname, ip_mode, ports: _ } = ingress.clone();
        Self { ip, hostname, ip_mode }
    }
}

#[cfg(test)]
mod tests;
