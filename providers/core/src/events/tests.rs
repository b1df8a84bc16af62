use std::collections::BTreeMap;

use super::*;
use crate::balancer::{IpMode, Published};
use crate::examples::service;
use crate::provider::{Outcome, Verdict};
use crate::status::{Findings, accepted, status};

fn outcome(programmed: Verdict) -> Outcome {
    Outcome {
        published: vec![Published::Ip { ip: "203.0.113.1".parse().unwrap(), mode: IpMode::Vip }],
        listening: Vec::new(),
        assigned: Verdict::yes(Reason::Assigned, "203.0.113.1"),
        programmed,
        reachable: Some(Verdict::unknown(Reason::NoWitness, "nobody")),
        reachable_of: Default::default(),
        healthy: Default::default(),
        unserved: Vec::new(),
        warnings: Vec::new(),
        annotations: BTreeMap::new(),
        wait: None,
    }
}

fn pass(service: &mut Service, programmed: Verdict, now: &str) -> Vec<Event> {
    let outcome = outcome(programmed);
    let findings = Findings { accepted: accepted("c", &[]), refused_ports: &[], warnings: &[], outcome: &outcome };
    let status = status(service, &findings, now);
    let events = of_status(service, &status, &[], "the occasion");
    service.conditions = status.conditions;
    events
}

#[test]
fn a_new_service_that_is_served_at_once_makes_one_event() {
    let events = pass(&mut service("a"), Verdict::yes(Reason::Programmed, "all"), "1");
    assert_eq!(events.iter().map(|event| event.reason).collect::<Vec<_>>(), ["EnsuredLoadBalancer"]);
}

#[test]
fn a_thousand_failing_passes_make_one_event() {
    let mut service = service("a");
    let failure = || Verdict::no(Reason::ProviderFailed, "the cloud is down");
    let events: Vec<Event> =
        (0..1000).flat_map(|pass_number| pass(&mut service, failure(), &pass_number.to_string())).collect();
    assert_eq!(events.len(), 1);
    assert_eq!((events[0].event_type, events[0].reason), (EventType::Warning, "SyncLoadBalancerFailed"));
}

#[test]
fn the_same_failure_after_a_recovery_is_news_again_under_another_name() {
    let mut service = service("a");
    let failure = || Verdict::no(Reason::ProviderFailed, "the cloud is down");
    let first = pass(&mut service, failure(), "1");
    pass(&mut service, Verdict::yes(Reason::Programmed, "all"), "2");
    let second = pass(&mut service, failure(), "3");
    assert_eq!(first[0].message, second[0].message);
    assert_ne!(first[0].since, second[0].since);
}

#[test]
fn the_same_news_on_another_occasion_has_another_name() {
    let outcome = outcome(Verdict::yes(Reason::Programmed, "all"));
    let findings = Findings { accepted: accepted("c", &[]), refused_ports: &[], warnings: &[], outcome: &outcome };
    let status = status(&service("a"), &findings, "1");
    let since = |occasion| of_status(&service("a"), &status, &[], occasion)[0].since.clone();
    assert_eq!(since("record 1"), since("record 1"), "a crash repeats nothing");
    assert_ne!(since("record 1"), since("record 2"));
}

#[test]
fn waiting_is_told_as_ensuring_and_no_failure() {
    let mut service = service("a");
    let events = pass(&mut service, Verdict::no(Reason::Provisioning, "soon"), "1");
    assert_eq!(events.iter().map(|event| event.reason).collect::<Vec<_>>(), ["EnsuringLoadBalancer"]);
}
