//! Events: what changed, told once. Reasons are upstream's where upstream has one, so that existing dashboards work.

use crate::desire::Warning;
use crate::message::fit;
use crate::reason::{ConditionType, Reason};
use crate::snapshot::{Condition, ConditionStatus, Service};
use crate::status::Status;

/// `type` of an Event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventType {
    /// Nothing to worry about.
    Normal,
    /// Somebody should look.
    Warning,
}

/// Longest message of an Event, in bytes (`NoteLengthLimit` of `events.k8s.io/v1`).
const LONGEST_MESSAGE: usize = 1024;

/// An Event on a Service, before it has a name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Event {
    /// Normal or Warning.
    pub event_type: EventType,
    /// CamelCase.
    pub reason: &'static str,
    /// For people: stable, so that a thousand failing passes make one Event. May be longer than what can be written: see [`Event::told`].
    pub message: String,
    /// The reasons that the message ends with, where it has several.
    pub reasons: Vec<String>,
    /// What the Service's status said when this was news. Part of the Event's name: the same news after a change in between is
    /// told again, a repetition after a crash is not.
    pub since: String,
}

impl Event {
    /// News with no earlier state to speak of.
    pub fn new(event_type: EventType, reason: &'static str, message: impl Into<String>) -> Self {
        Self { event_type, reason, message: message.into(), reasons: Vec::new(), since: String::new() }
    }

    /// The message as it is written: what has no room there stands in the condition that it tells of.
    pub fn told(&self) -> String {
        fit(&self.message, &self.reasons, LONGEST_MESSAGE, "; see the condition")
    }
}

/// Removal begins.
pub fn deleting() -> Event {
    Event::new(EventType::Normal, "DeletingLoadBalancer", "Deleting load balancer")
}

/// Nothing is left.
pub fn deleted() -> Event {
    Event::new(EventType::Normal, "DeletedLoadBalancer", "Deleted load balancer")
}

/// A Service has left a load balancer that others go on sharing.
pub fn left_share() -> Event {
    Event::new(EventType::Normal, "DeletedLoadBalancer", "Removed from the shared load balancer")
}

/// The class begins with our prefix but is nobody's.
pub fn unknown_class(class: &str) -> Event {
    Event::new(
        EventType::Warning,
        "UnknownClass",
        format!(
            "loadBalancerClass {class:?} is not configured, so nothing is done; correct the name, configure the class, or list it \
             under otherClasses"
        ),
    )
}

/// The news in a status that is about to be written. `warnings` are those that its message of acceptance ends with: they are news
/// when that message is. `occasion` stands for what the status says where it says nothing yet: a Service that has been through another
/// type and comes back has no condition either, and its news is news again.
pub fn of_status(service: &Service, status: &Status, warnings: &[Warning], occasion: &str) -> Vec<Event> {
    let find = |conditions: &[Condition], condition_type: ConditionType| {
        conditions.iter().find(|condition| condition.condition_type == condition_type.name()).cloned()
    };
    let mut events = Vec::new();
    for condition_type in ConditionType::ALL {
        let before = find(&service.conditions, condition_type);
        let Some(after) = find(&status.conditions, condition_type) else { continue };
        let same = before.as_ref().is_some_and(|before| {
            (before.status, &before.reason, &before.message) == (after.status, &after.reason, &after.message)
        });
        if same {
            continue;
        }
        let since = before.as_ref().map_or_else(
            || occasion.to_owned(),
            |before| format!("{} {} {}", before.status, before.reason, before.last_transition_time),
        );
        let warnings = if condition_type == ConditionType::Accepted { warnings } else { &[] };
        let reasons = status.reasons.get(&condition_type).cloned().unwrap_or_default();
        let news = news(condition_type, before.as_ref(), &after).map(|event| Event { reasons, ..event });
        let news = news.into_iter().chain(warnings.iter().map(of_warning));
        events.extend(news.map(|event| Event { since: since.clone(), ..event }));
    }
    events
}

/// What a change of one condition is worth.
fn news(condition_type: ConditionType, before: Option<&Condition>, after: &Condition) -> Option<Event> {
    let was_true = before.is_some_and(|before| before.status == ConditionStatus::True);
    match (condition_type, after.status) {
        (ConditionType::Programmed, ConditionStatus::False)
            if after.reason == Reason::Provisioning.code()
                && before.is_none_or(|before| before.reason != after.reason) =>
        {
            Some(Event::new(EventType::Normal, "EnsuringLoadBalancer", "Ensuring load balancer"))
        }
        (ConditionType::Programmed, ConditionStatus::True) if !was_true => {
            Some(Event::new(EventType::Normal, "EnsuredLoadBalancer", "Ensured load balancer"))
        }
        (ConditionType::Accepted, ConditionStatus::True) if after.reason == Reason::PortsRefused.code() => {
            Some(Event::new(EventType::Warning, Reason::PortsRefused.code(), after.message.clone()))
        }
        // Endpoints come and go, and whoever looks sees it in the condition; that no node is left upstream tells, too.
        (ConditionType::Reachable, ConditionStatus::False) if after.reason == Reason::NoNodes.code() => Some(
            Event::new(EventType::Warning, "UnAvailableLoadBalancer", "There are no available nodes for LoadBalancer"),
        ),
        (ConditionType::Reachable, ConditionStatus::True | ConditionStatus::False | ConditionStatus::Unknown) => None,
        // Waiting is no failure, and a refusal is told once, by the first condition.
        (_, ConditionStatus::False) if !is_quiet(&after.reason) => Some(Event::new(
            EventType::Warning,
            "SyncLoadBalancerFailed",
            format!("Error syncing load balancer: {}: {}", after.reason, after.message),
        )),
        (_, ConditionStatus::True | ConditionStatus::False | ConditionStatus::Unknown) => None,
    }
}

fn is_quiet(reason: &str) -> bool {
    [Reason::NotRequested, Reason::Provisioning, Reason::AddressPending, Reason::Paused, Reason::OtherInstance]
        .iter()
        .any(|quiet| quiet.code() == reason)
}

/// Warnings refuse nothing.
fn of_warning(warning: &Warning) -> Event {
    Event::new(EventType::Warning, warning.reason.code(), warning.message.clone())
}

#[cfg(test)]
mod tests;
