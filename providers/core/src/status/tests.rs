use serde_json::json;

use super::*;
use crate::balancer::{IpMode, Protocol, SourceRanges};
use crate::desire::member;
use crate::examples::{port, service};
use crate::ids::{ClassName, LoadBalancerId};

const NOW: &str = "2026-01-01T00:00:00Z";
const LATER: &str = "2026-01-01T00:01:00Z";

fn outcome() -> Outcome {
    Outcome {
        published: vec![Published::Ip { ip: "203.0.113.1".parse().unwrap(), mode: IpMode::Vip }],
        listening: service("a").ports.iter().map(|port| (service("a").uid, port.key)).collect(),
        assigned: Verdict::yes(Reason::Assigned, "203.0.113.1"),
        programmed: Verdict::yes(Reason::Programmed, "all there"),
        reachable: Some(Verdict::yes(Reason::Reachable, "seen")),
        reachable_of: Default::default(),
        healthy: Default::default(),
        unserved: Vec::new(),
        warnings: Vec::new(),
        annotations: BTreeMap::new(),
        wait: None,
    }
}

fn status_of(service: &Service, refused: &[Refused], now: &str) -> Status {
    let findings =
        Findings { accepted: accepted("c", refused), refused_ports: refused, warnings: &[], outcome: &outcome() };
    status(service, &findings, now)
}

#[test]
fn every_ingress_lists_every_port_and_ip_mode() {
    let mut service = service("a");
    service.ports.push(port("s", 81, Protocol::Sctp, None));
    let key = PortKey { port: 81, protocol: Protocol::Sctp };
    let refused = [Refused::port(key, Reason::ProtocolNotSupported, "no SCTP")];
    let status = status_of(&service, &refused, NOW);
    let ingress = &status.ingress[0];
    assert_eq!((ingress.ip.as_deref(), ingress.ip_mode.as_deref()), (Some("203.0.113.1"), Some("VIP")));
    assert_eq!(ingress.ports[0].error, None);
    assert_eq!(ingress.ports[1].error.as_deref(), Some("portolan.dev/ProtocolNotSupported"));
    let error = status.conditions.iter().find(|c| c.condition_type == PORTS_ERROR).unwrap();
    assert_eq!((error.status, error.reason.as_str()), (ConditionStatus::True, "PortsRefused"));
}

#[test]
fn a_port_on_which_nobody_listens_says_which_hop_fails() {
    let mut service = service("a");
    service.ports.push(port("b", 81, Protocol::Tcp, None));
    let errors = |outcome: &Outcome| {
        let findings = Findings { accepted: accepted("c", &[]), refused_ports: &[], warnings: &[], outcome };
        let ports = status(&service, &findings, NOW).ingress[0].ports.clone();
        ports.into_iter().map(|port| port.error).collect::<Vec<_>>()
    };
    let failing = Outcome { programmed: Verdict::no(Reason::ProviderFailed, "no"), ..outcome() };
    assert_eq!(errors(&failing), [None, Some("portolan.dev/ProviderFailed".to_owned())]);
    let listening = service.ports.iter().map(|port| (service.uid.clone(), port.key)).collect();
    assert_eq!(errors(&Outcome { listening, ..failing }), [None, None], "it is served, if only with older settings");
}

#[test]
fn a_hostname_has_no_ip_mode() {
    let mut outcome = outcome();
    outcome.published = vec![Published::Hostname { hostname: "x.example".to_owned() }];
    let findings = Findings { accepted: accepted("c", &[]), refused_ports: &[], warnings: &[], outcome: &outcome };
    let ingress = status(&service("a"), &findings, NOW).ingress;
    assert_eq!((ingress[0].ip.as_ref(), ingress[0].ip_mode.as_ref()), (None, None));
}

#[test]
fn a_hostname_that_the_api_server_would_refuse_is_told_and_not_written() {
    let told = |hostname: &str| {
        let published = vec![Published::Hostname { hostname: hostname.to_owned() }];
        let outcome = Outcome { published, ..outcome() };
        let findings = Findings { accepted: accepted("c", &[]), refused_ports: &[], warnings: &[], outcome: &outcome };
        let status = status(&service("a"), &findings, NOW);
        let assigned = status.conditions.iter().find(|c| c.condition_type == "portolan.dev/AddressAssigned").unwrap();
        (status.ingress.len(), assigned.status, assigned.message.contains(&format!("{hostname:?}")))
    };
    for fit in ["x", "web-shop.elb.eu-central-1.amazonaws.com", "1.a"] {
        assert_eq!(told(fit), (1, ConditionStatus::True, false), "{fit}");
    }
    for unfit in ["WebShop.elb", "", "a..b", "-a.b", "a-.b", "a_b", "192.0.2.1", &"a".repeat(254)] {
        assert_eq!(told(unfit), (0, ConditionStatus::False, true), "{unfit}");
    }
}

#[test]
fn a_condition_has_room_for_a_hundred_reasons_and_counts_those_that_it_has_no_room_for() {
    let message = |reasons: usize| {
        let refused = |number| Refused::whole(Reason::InvalidAnnotation, format!("{number}: {}", "x".repeat(120)));
        let refusal = Refusal { reasons: (0..reasons).map(refused).collect() };
        let findings =
            Findings { accepted: super::refused(&refusal), refused_ports: &[], warnings: &[], outcome: &outcome() };
        let status = status(&service("a"), &findings, NOW);
        let found = status.conditions.iter().find(|c| c.condition_type == "portolan.dev/Accepted").unwrap();
        (found.message.clone(), join(&refusal.reasons))
    };
    let (told, all) = message(100);
    assert_eq!(told, all);
    let (told, _) = message(1000);
    assert!(told.ends_with(" more") && told.len() <= LONGEST_MESSAGE, "{}", told.len());
}

#[test]
fn the_ports_error_goes_when_the_port_is_served_again() {
    let mut service = service("a");
    let refused = [Refused::port(service.ports[0].key, Reason::NodePortRequired, "none")];
    service.conditions = status_of(&service, &refused, NOW).conditions;
    assert!(service.conditions.iter().any(|c| c.condition_type == PORTS_ERROR));
    assert!(!status_of(&service, &[], NOW).conditions.iter().any(|c| c.condition_type == PORTS_ERROR));
}

#[test]
fn conditions_come_in_order_and_those_of_others_are_kept() {
    let mut service = service("a");
    let foreign = Condition {
        condition_type: "example.com/Mine".to_owned(),
        status: ConditionStatus::True,
        reason: "R".to_owned(),
        message: String::new(),
        last_transition_time: NOW.to_owned(),
        observed_generation: Some(3),
        verbatim: None,
    };
    service.conditions = vec![foreign.clone()];
    let status = status_of(&service, &[], LATER);
    let types: Vec<&str> = status.conditions.iter().map(|c| c.condition_type.as_str()).collect();
    assert_eq!(types[1..], ConditionType::ALL.map(ConditionType::name));
    assert_eq!(status.conditions[0], foreign);
    service.conditions = status.conditions;
    assert_eq!(without_ours(&service, false), vec![foreign]);
}

#[test]
fn conditions_stand_in_order_whichever_comes_first() {
    let mut service = service("a");
    let failed = [(ConditionType::Programmed, Verdict::no(Reason::ProviderFailed, "down"))];
    service.conditions = only(&service, &failed, NOW).conditions;
    let types: Vec<String> = status_of(&service, &[], NOW).conditions.into_iter().map(|c| c.condition_type).collect();
    assert_eq!(types, ConditionType::ALL.map(ConditionType::name));
}

#[test]
fn warnings_end_the_message_of_acceptance() {
    let warnings = [Warning { reason: Reason::FamilyNotSupported, message: "no IPv6".to_owned() }];
    let findings =
        Findings { accepted: accepted("c", &[]), refused_ports: &[], warnings: &warnings, outcome: &outcome() };
    assert_eq!(status(&service("a"), &findings, NOW).conditions[0].message, "served by class c; warning: no IPv6");
}

#[test]
fn the_transition_time_changes_with_the_status_only() {
    let mut service = service("a");
    service.conditions = status_of(&service, &[], NOW).conditions;
    assert_eq!(status_of(&service, &[], LATER).conditions, service.conditions);
    let refusal = Refusal::one(Refused::whole(Reason::InvalidSpec, "bad"));
    let findings = Findings { accepted: refused(&refusal), refused_ports: &[], warnings: &[], outcome: &outcome() };
    let conditions = status(&service, &findings, LATER).conditions;
    assert_eq!(conditions[0].last_transition_time, LATER);
    assert_eq!(conditions[1].last_transition_time, NOW);
}

#[test]
fn a_status_that_differs_only_in_spelling_is_current() {
    let mut service = service("a");
    service.ports.push(port("b", 53, Protocol::Udp, None));
    let status = status_of(&service, &[], NOW);
    service.conditions = status.conditions.clone();
    service.ingress = status.ingress.clone();
    service.ingress[0].ports.reverse();
    service.ingress[0].ip_mode = None;
    assert!(is_current(&service, &status));
    service.ingress[0].ip = Some("203.0.113.2".to_owned());
    assert!(!is_current(&service, &status));
}

#[test]
fn an_odd_condition_of_somebody_else_stays_and_one_of_ours_is_written_anew() {
    let odd = |name: &str| Condition::from(json!({"type": name, "status": "True", "lastTransitionTime": null}));
    let mut service = service("a");
    service.conditions = vec![odd("example.com/Mine"), odd(ConditionType::Accepted.name())];
    let conditions = status_of(&service, &[], NOW).conditions;
    assert_eq!(conditions[0], odd("example.com/Mine"));
    assert_eq!((conditions[1].last_transition_time.as_str(), &conditions[1].verbatim), (NOW, &None));
}

#[test]
fn conditions_that_somebody_has_doubled_or_put_in_another_order_are_put_right() {
    let mut service = service("a");
    let right = status_of(&service, &[], NOW).conditions;
    let theirs = Condition { condition_type: "x.example/Theirs".to_owned(), ..right[0].clone() };
    service.conditions = vec![right[3].clone(), theirs.clone(), right[1].clone(), right[0].clone(), right[1].clone()];
    let conditions = status_of(&service, &[], LATER).conditions;
    let programmed = Condition { last_transition_time: LATER.to_owned(), ..right[2].clone() };
    assert_eq!(conditions, [right[0].clone(), theirs, right[1].clone(), programmed, right[3].clone()]);
}

#[test]
fn the_standard_condition_stays_with_a_new_owner_unless_it_is_plainly_ours() {
    let mut service = service("a");
    let refused = [Refused::port(service.ports[0].key, Reason::NodePortRequired, "none")];
    service.conditions = status_of(&service, &refused, NOW).conditions;
    assert_eq!(without_ours(&service, true), []);
    let theirs = service.conditions.iter_mut().find(|one| one.condition_type == PORTS_ERROR).unwrap();
    theirs.message = "written by somebody else".to_owned();
    let theirs = theirs.clone();
    assert_eq!(without_ours(&service, true), [theirs]);
    assert_eq!(without_ours(&service, false), []);
}

#[test]
fn who_comes_while_the_whole_is_replaced_is_not_told_of_what_goes() {
    let (told, comes) = (Service { ingress: status_of(&service("a"), &[], NOW).ingress, ..service("a") }, service("b"));
    let replaced = Outcome { programmed: Verdict::no(Reason::Provisioning, "not yet"), ..outcome() };
    let internal = LoadBalancer {
        id: LoadBalancerId::new("lb"),
        class: ClassName::new("c"),
        members: vec![member(&told), member(&comes)],
        held: Vec::new(),
        following: Vec::new(),
        families: vec![Family::V4],
        requested: Vec::new(),
        scheme: Some(Scheme::Internal),
        listeners: Vec::new(),
        source_ranges: SourceRanges::All,
        allow_downtime: false,
        nodes: Vec::new(),
        settings: BTreeMap::new(),
        published: Vec::new(),
    };
    assert_eq!(of_member(&told, &internal, &replaced).published, replaced.published);
    assert_eq!(of_member(&comes, &internal, &replaced).published, []);
    let port = PortKey { port: 80, protocol: Protocol::Tcp };
    let listened = Outcome { listening: vec![(comes.uid.clone(), port)], ..replaced.clone() };
    assert_eq!(of_member(&comes, &internal, &listened).published, replaced.published, "its status was blanked");
    assert_eq!(of_member(&comes, &internal, &outcome()).published, outcome().published, "it is there by now");
    let whatever = LoadBalancer { scheme: None, ..internal };
    assert_eq!(of_member(&comes, &whatever, &replaced).published, replaced.published, "it did not ask");

    // Whether it is reached is said of all together, or of one by itself.
    let udp = Verdict::yes(Reason::LayerTwoOnly, "UDP alone");
    let apart = Outcome { reachable_of: [(comes.uid.clone(), udp.clone())].into(), ..outcome() };
    assert_eq!(of_member(&comes, &whatever, &apart).reachable, Some(udp));
    assert_eq!(of_member(&told, &whatever, &apart).reachable, outcome().reachable);
}
