//! What is published, and when for the first time, where the class says that a target has to be healthy (`publishWhen: healthy`).

use portolan_aws::state::{Health, Status};
use portolan_core::balancer::Published;
use portolan_core::reason::Reason;
use portolan_core::snapshot::ConditionStatus;
use serde_json::json;

use super::lab::Lab;

/// A balancer that AWS has set up, with targets that are as `health` says.
fn active(publish_when: &str, health: Health) -> Lab {
    let mut lab = Lab::new().parameters(&json!({"clusterName": "prod", "publishWhen": publish_when}));
    lab.once();
    lab.state.balancers[0].status = Status::Active;
    targets_are(&mut lab, health);
    lab
}

fn targets_are(lab: &mut Lab, health: Health) {
    lab.state.groups[0].targets.iter_mut().for_each(|registered| registered.health = health);
}

#[test]
fn a_name_is_published_when_the_balancer_is_active_unless_the_class_awaits_a_healthy_target() {
    for (publish_when, health, published) in [
        ("active", Health::Initial, 1),
        ("active", Health::Unhealthy, 1),
        ("healthy", Health::Unknown, 0),
        ("healthy", Health::Initial, 0),
        ("healthy", Health::Unhealthy, 0),
        ("healthy", Health::Healthy, 1),
    ] {
        let lab = active(publish_when, health);
        assert_eq!(lab.outcome().published.len(), published, "{publish_when} {health:?}");
    }
}

#[test]
fn one_healthy_target_is_enough() {
    let mut lab = active("healthy", Health::Unhealthy);
    lab.state.groups[0].targets[0].health = Health::Healthy;
    assert_eq!(lab.outcome().published.len(), 1);
}

#[test]
fn a_service_without_endpoints_does_not_wait_for_what_it_cannot_have() {
    let mut lab = active("healthy", Health::Unhealthy);
    lab.desired.listeners[0].has_endpoints = false;
    assert_eq!(lab.outcome().published.len(), 1);
}

#[test]
fn a_name_that_is_published_stays_whatever_becomes_of_the_targets() {
    let mut lab = active("healthy", Health::Healthy);
    lab.publish();
    targets_are(&mut lab, Health::Unhealthy);
    assert_eq!(lab.outcome().published, lab.desired.published);
}

#[test]
fn the_condition_that_is_not_true_says_what_the_name_waits_for() {
    let lab = active("healthy", Health::Unhealthy);
    let outcome = lab.outcome();
    assert_eq!((outcome.assigned.status, outcome.programmed.status), (ConditionStatus::True, ConditionStatus::True));
    let reachable = outcome.reachable.unwrap();
    assert_eq!((reachable.status, reachable.reason), (ConditionStatus::False, Reason::Unhealthy));
    let said = "AWS finds no healthy target for port 80; the name is published when a target is healthy (publishWhen of the class)";
    assert_eq!(reachable.message, said);
    assert_eq!(
        active("active", Health::Unhealthy).outcome().reachable.unwrap().message,
        said.split(';').next().unwrap()
    );
}

#[test]
fn who_is_paused_before_that_is_not_published_either() {
    let mut lab = active("healthy", Health::Unhealthy);
    lab.desired.held = lab.desired.members.iter().map(|member| member.uid.clone()).collect();
    assert_eq!(lab.outcome().published, []);
    targets_are(&mut lab, Health::Healthy);
    assert_eq!(lab.outcome().published.len(), 1);
}

#[test]
fn a_name_is_published_in_lower_case_and_known_again_whatever_its_capitals() {
    let mut lab = Lab::new();
    lab.annotate("name", "WebShop");
    lab.settle();
    let hostname = "webshop.elb.eu-west-1.amazonaws.com".to_owned();
    assert_eq!(lab.desired.published, [Published::Hostname { hostname }]);
    assert!(lab.state.balancers[0].hostname.starts_with("WebShop."), "as AWS has it");
    assert!(lab.state.balancers[0].is_among(&lab.desired.published));
}
