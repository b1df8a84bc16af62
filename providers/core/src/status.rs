//! The status of a Service: ingress and conditions, from what was decided and what exists. Pure; one writer uses it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::balancer::{Family, LoadBalancer, PortKey, Published, Scheme, nobody_answers};
use crate::desire::{Warning, addresses};
use crate::message::{BETWEEN, fit};
use crate::provider::{Outcome, Verdict};
use crate::reason::{ConditionType, PORTS_ERROR, Reason};
use crate::refusal::{Refusal, Refused};
use crate::snapshot::{Condition, ConditionStatus, Ingress, PortStatus, Service};

/// Upstream's reason for [`PORTS_ERROR`] where protocols cannot be mixed (KEP-1435).
const UPSTREAM_MIXED_PROTOCOL: &str = "LoadBalancerMixedProtocolNotSupported";

/// Longest message of a condition, in bytes. The API's limit is 32,768 (`metav1.Condition`), of which four conditions and an object's other
/// fields leave half; a Service that is refused for more reasons than fit has more than one person reads.
const LONGEST_MESSAGE: usize = 16 * 1024;

/// What the status of a Service shall say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// `status.loadBalancer.ingress`.
    pub ingress: Vec<Ingress>,
    /// `status.conditions`: ours and, untouched, those of others.
    pub conditions: Vec<Condition>,
    /// Annotations that tell of the ingress; without a value, they go.
    pub annotations: BTreeMap<&'static str, Option<String>>,
    /// The reasons that messages of ours end with, where they have several.
    pub reasons: BTreeMap<ConditionType, Vec<String>>,
}

/// What a pass found out about a Service.
#[derive(Clone, Debug)]
pub struct Findings<'a> {
    /// Can it be served?
    pub accepted: Verdict,
    /// Ports that are not, although the Service is.
    pub refused_ports: &'a [Refused],
    /// What a person should know although nothing is refused for it.
    pub warnings: &'a [Warning],
    /// What the provider says.
    pub outcome: &'a Outcome,
}

/// The verdict on a Service that is served by this class.
pub fn accepted(class: &str, refused_ports: &[Refused]) -> Verdict {
    if refused_ports.is_empty() {
        Verdict::yes(Reason::Accepted, format!("served by class {class}"))
    } else {
        let message = format!("served by class {class}, except {}", join(refused_ports));
        Verdict { reasons: each(refused_ports), ..Verdict::yes(Reason::PortsRefused, message) }
    }
}

/// The verdict on a Service of which nothing can be served.
pub fn refused(refusal: &Refusal) -> Verdict {
    Verdict { reasons: each(&refusal.reasons), ..Verdict::no(refusal.reason(), join(&refusal.reasons)) }
}

/// The outcome of a load balancer that does not exist and is not asked for.
pub fn nothing_requested() -> Outcome {
    let verdict = |status| Verdict {
        status,
        reason: Reason::NotRequested,
        message: "nothing is requested, because nothing of this Service can be served".to_owned(),
        reasons: Vec::new(),
    };
    Outcome {
        published: Vec::new(),
        listening: Vec::new(),
        assigned: verdict(ConditionStatus::False),
        programmed: verdict(ConditionStatus::False),
        reachable: Some(verdict(ConditionStatus::Unknown)),
        reachable_of: BTreeMap::new(),
        healthy: BTreeSet::new(),
        unserved: Vec::new(),
        warnings: Vec::new(),
        annotations: BTreeMap::new(),
        wait: None,
    }
}

/// What the status shall say. `now` is RFC 3339; it becomes the transition time of conditions whose status changes.
pub fn status(service: &Service, findings: &Findings<'_>, now: &str) -> Status {
    let outcome = &publishable(findings.outcome);
    let findings = &Findings { outcome, ..findings.clone() };
    let mut accepted = findings.accepted.clone();
    for warning in findings.warnings {
        let warning = format!("warning: {}", warning.message);
        accepted.message.push_str(BETWEEN);
        accepted.message.push_str(&warning);
        accepted.reasons.push(warning);
    }
    let mut conditions = each_once(&service.conditions);
    let reachable = match &outcome.reachable {
        None if says(&conditions, ConditionType::Reachable) => None,
        None => Some(Verdict::unknown(Reason::NoWitness, "nobody has looked yet")),
        Some(reachable) => Some(reachable.clone()),
    };
    let own = [
        (ConditionType::Accepted, &accepted),
        (ConditionType::AddressAssigned, &outcome.assigned),
        (ConditionType::Programmed, &outcome.programmed),
    ];
    let all = own.into_iter().chain(reachable.iter().map(|it| (ConditionType::Reachable, it)));
    let reasons = all.clone().map(|(condition_type, verdict)| (condition_type, verdict.reasons.clone())).collect();
    for (condition_type, verdict) in all {
        set(&mut conditions, condition_type.name(), verdict.status, verdict.reason.code(), &message_of(verdict), now);
    }
    match findings.refused_ports {
        [] => conditions.retain(|condition| condition.condition_type != PORTS_ERROR),
        refused => {
            let mixed = refused.iter().any(|refused| refused.reason == Reason::MixedProtocolNotSupported);
            let reason = if mixed { UPSTREAM_MIXED_PROTOCOL } else { Reason::PortsRefused.code() };
            let message = fit(&join(refused), &each(refused), LONGEST_MESSAGE, "");
            set(&mut conditions, PORTS_ERROR, ConditionStatus::True, reason, &message, now);
        }
    }
    in_order(&mut conditions);
    let is_published = !outcome.published.is_empty();
    let annotations = outcome.annotations.iter().map(|(key, value)| (*key, value.clone().filter(|_| is_published)));
    Status { ingress: ingress(service, findings), conditions, annotations: annotations.collect(), reasons }
}

/// Without the hostnames that the API server would refuse, and the whole status with them: a person is told, instead of a write that fails for
/// ever.
fn publishable(outcome: &Outcome) -> Outcome {
    let mut outcome = outcome.clone();
    let is_fit = |published: &Published| match published {
        Published::Hostname { hostname } => is_subdomain(hostname),
        Published::Ip { .. } => true,
    };
    let (fit, unfit): (Vec<_>, Vec<_>) = outcome.published.into_iter().partition(is_fit);
    outcome.published = fit;
    let names: Vec<String> = unfit
        .into_iter()
        .filter_map(|one| match one {
            Published::Hostname { hostname } => Some(format!("{hostname:?}")),
            Published::Ip { .. } => None,
        })
        .collect();
    if !names.is_empty() {
        let why = format!(
            "the provider's name for the load balancer is {}, and Kubernetes publishes none that is not lower-case letters, digits, '-' and '.' \
             with a letter or digit at both ends of each label (RFC 1123); give the load balancer another name",
            names.join(", ")
        );
        outcome.assigned = Verdict::no(Reason::ProviderFailed, why);
    }
    outcome
}

/// As the API server validates `status.loadBalancer.ingress[].hostname` (`IsDNS1123Subdomain`; and an address is no name).
fn is_subdomain(name: &str) -> bool {
    let is_inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let is_label = |label: &str| {
        !label.is_empty() && !label.starts_with('-') && !label.ends_with('-') && label.chars().all(is_inner)
    };
    name.len() <= 253 && name.split('.').all(is_label) && name.parse::<IpAddr>().is_err()
}

fn says(conditions: &[Condition], condition_type: ConditionType) -> bool {
    conditions.iter().any(|condition| condition.condition_type == condition_type.name())
}

/// The status with news on these conditions only: everything else stays as it is.
pub fn only(service: &Service, findings: &[(ConditionType, Verdict)], now: &str) -> Status {
    let mut conditions = each_once(&service.conditions);
    for (condition_type, verdict) in findings {
        set(&mut conditions, condition_type.name(), verdict.status, verdict.reason.code(), &message_of(verdict), now);
    }
    in_order(&mut conditions);
    let reasons = findings.iter().map(|(condition_type, verdict)| (*condition_type, verdict.reasons.clone())).collect();
    Status { ingress: service.ingress.clone(), conditions, annotations: BTreeMap::new(), reasons }
}

/// The verdict where nobody can take traffic, for one of the reasons of [`nobody_answers`].
pub fn unreachable(reason: Reason) -> Verdict {
    let why = if reason == Reason::NoNodes {
        "no node can take traffic for the node ports"
    } else {
        "no port has an endpoint that can take traffic"
    };
    Verdict::no(reason, why)
}

/// Puts addresses into the order of a Service's families; those of which it does not ask for any more come last.
pub fn in_order_of(service: &Service, published: &mut [Published]) {
    published.sort_by_key(|published| match published {
        Published::Ip { ip, mode: _ } => {
            service.families.iter().position(|family| *family == Family::of(*ip)).unwrap_or(usize::MAX)
        }
        Published::Hostname { .. } => 0,
    });
}

/// What the outcome of a whole load balancer means for one of its Services: addresses in its own order of families, and whether anybody
/// answers at its own ports.
///
/// While the load balancer is replaced, its addresses are those of what is replaced. Whoever comes just then, perhaps because of it, and
/// asks for an internal one or for an address by name, must not be told of them: whoever has been told already, or is listened to there,
/// whatever somebody has written into its status, has not come just then.
pub fn of_member(service: &Service, whole: &LoadBalancer, outcome: &Outcome) -> Outcome {
    let mut own = outcome.clone();
    in_order_of(service, &mut own.published);
    let told = addresses::published(service);
    let is_listened_to = outcome.listening.iter().any(|(uid, _)| *uid == service.uid);
    let is_particular = whole.scheme == Some(Scheme::Internal) || !whole.requested.is_empty();
    if whole.members.len() > 1
        && is_particular
        && outcome.programmed.status != ConditionStatus::True
        && !is_listened_to
        && !own.published.iter().any(|published| told.contains(published))
    {
        own.published.clear();
    }
    let unserved: Vec<Refused> =
        outcome.unserved.iter().filter(|(uid, _)| *uid == service.uid).map(|(_, refused)| refused.clone()).collect();
    if own.programmed.status == ConditionStatus::True
        && let Some(first) = unserved.first()
    {
        own.programmed = Verdict::no(first.reason, join(&unserved));
    }
    if let Some(reachable) = outcome.reachable_of.get(&service.uid) {
        own.reachable = Some(reachable.clone());
    }
    let listeners = whole.listeners.iter().filter(|listener| listener.service == service.uid);
    let listeners: Vec<_> = listeners.cloned().collect();
    if own.reachable.as_ref().is_none_or(|reachable| reachable.status == ConditionStatus::True)
        && !listeners.is_empty()
        && let Some(reason) = nobody_answers(&listeners, &whole.nodes)
    {
        own.reachable = Some(unreachable(reason));
    }
    own
}

/// The conditions of a Service that is not ours any more: those of others. `handed_over`: the standard condition may be the new
/// owner's. It is ours as long as it says what our own condition says.
pub fn without_ours(service: &Service, handed_over: bool) -> Vec<Condition> {
    let accepted = service.conditions.iter().find(|one| one.condition_type == ConditionType::Accepted.name());
    let is_repeated = |message: &str| accepted.is_some_and(|accepted| accepted.message.contains(message));
    let is_ours = |one: &Condition| {
        place(one).is_some() || (one.condition_type == PORTS_ERROR && (!handed_over || is_repeated(&one.message)))
    };
    service.conditions.iter().filter(|condition| !is_ours(condition)).cloned().collect()
}

/// The status says it already, once both are written the same way.
pub fn is_current(service: &Service, status: &Status) -> bool {
    let normal = |ingress: &[Ingress]| ingress.iter().map(normalised).collect::<Vec<_>>();
    let is_told = |(key, value): (&&str, &Option<String>)| service.annotations.get(*key) == value.as_ref();
    normal(&service.ingress) == normal(&status.ingress)
        && service.conditions == status.conditions
        && status.annotations.iter().all(is_told)
}

/// The server defaults `ipMode` beside an address on every read, and servers before 1.30 drop it.
fn normalised(ingress: &Ingress) -> Ingress {
    let ip =
        ingress.ip.as_deref().map(|text| text.parse::<IpAddr>().map_or_else(|_| text.to_owned(), |ip| ip.to_string()));
    let mut ports = ingress.ports.clone();
    ports.sort();
    Ingress {
        ip_mode: ingress.ip_mode.clone().or_else(|| ip.as_ref().map(|_| "VIP".to_owned())),
        ip,
        hostname: ingress.hostname.clone(),
        ports,
    }
}

/// One entry an address, each with every port of the Service (KEP-1435). `ipMode` stands beside every address and never beside
/// a name (KEP-1860).
fn ingress(service: &Service, findings: &Findings<'_>) -> Vec<Ingress> {
    let ports: Vec<PortStatus> = service
        .ports
        .iter()
        .map(|port| PortStatus {
            port: port.key.port,
            protocol: port.key.protocol,
            error: port_error(service, port.key, findings).map(error_code),
        })
        .collect();
    let published = &findings.outcome.published;
    published
        .iter()
        .map(|published| match published {
            Published::Ip { ip, mode } => Ingress {
                ip: Some(ip.to_string()),
                hostname: None,
                ip_mode: Some(mode.to_string()),
                ports: ports.clone(),
            },
            Published::Hostname { hostname } => {
                Ingress { ip: None, hostname: Some(hostname.clone()), ip_mode: None, ports: ports.clone() }
            }
        })
        .collect()
}

/// Why nobody listens on a port: it is refused, or else the hop that fails has kept it from being served.
fn port_error(service: &Service, port: PortKey, findings: &Findings<'_>) -> Option<Reason> {
    let refused = findings.refused_ports.iter().find(|refused| refused.port == Some(port));
    let hops = [&findings.accepted, &findings.outcome.assigned, &findings.outcome.programmed];
    let failing = || hops.into_iter().find(|verdict| verdict.status != ConditionStatus::True);
    match refused {
        Some(refused) => Some(refused.reason),
        None if findings.outcome.listening.contains(&(service.uid.clone(), port)) => None,
        None => failing().map(|verdict| verdict.reason),
    }
}

/// The API has one built-in code; all others carry a domain (KEP-1435).
fn error_code(reason: Reason) -> String {
    if reason == Reason::MixedProtocolNotSupported {
        reason.code().to_owned()
    } else {
        format!("portolan.dev/{reason}")
    }
}

/// Sets one condition in place. The transition time changes with the status only.
fn set(
    conditions: &mut Vec<Condition>,
    condition_type: &str,
    status: ConditionStatus,
    reason: &str,
    message: &str,
    now: &str,
) {
    let news = || Condition {
        condition_type: condition_type.to_owned(),
        status,
        reason: reason.to_owned(),
        message: message.to_owned(),
        last_transition_time: now.to_owned(),
        observed_generation: None,
        verbatim: None,
    };
    match conditions.iter_mut().find(|condition| condition.condition_type == condition_type) {
        // One of ours that is not as we write it was somebody's own work; its time may not even be one.
        Some(condition) if condition.verbatim.is_some() => *condition = news(),
        Some(condition) => {
            if condition.status != status {
                condition.status = status;
                condition.last_transition_time = now.to_owned();
            }
            reason.clone_into(&mut condition.reason);
            message.clone_into(&mut condition.message);
        }
        None => conditions.push(news()),
    }
}

/// The API's key of the list is the type, although the server does not see to it: of several entries the first one counts.
fn each_once(conditions: &[Condition]) -> Vec<Condition> {
    let mut kept: Vec<Condition> = Vec::with_capacity(conditions.len());
    for condition in conditions {
        let ours = place(condition).is_some() || condition.condition_type == PORTS_ERROR;
        if !(ours && kept.iter().any(|other| other.condition_type == condition.condition_type)) {
            kept.push(condition.clone());
        }
    }
    kept
}

/// Ours stand in the order in which a reader looks for the failing hop; those of others keep their places.
fn in_order(conditions: &mut [Condition]) {
    let mut ours: Vec<Condition> = conditions.iter().filter(|condition| place(condition).is_some()).cloned().collect();
    ours.sort_by_key(place);
    let places = conditions.iter_mut().filter(|condition| place(condition).is_some());
    for (condition, in_order) in places.zip(ours) {
        *condition = in_order;
    }
}

/// Where one of ours stands among ours.
fn place(condition: &Condition) -> Option<usize> {
    ConditionType::ALL.iter().position(|ours| ours.name() == condition.condition_type)
}

fn message_of(verdict: &Verdict) -> String {
    fit(&verdict.message, &verdict.reasons, LONGEST_MESSAGE, "")
}

fn each(refused: &[Refused]) -> Vec<String> {
    refused.iter().map(ToString::to_string).collect()
}

fn join(refused: &[Refused]) -> String {
    each(refused).join(BETWEEN)
}

#[cfg(test)]
mod tests;
