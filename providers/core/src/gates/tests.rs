use super::*;
use crate::balancer::{HealthCheck, Listener, NodeTarget, PortKey, Protocol, SourceRanges};
use crate::ids::{ClassName, LoadBalancerId};
use crate::snapshot::PodName;
use crate::status::nothing_requested;

const TCP_80: PortKey = PortKey { port: 80, protocol: Protocol::Tcp };
const TCP_443: PortKey = PortKey { port: 443, protocol: Protocol::Tcp };

fn pod(told: Option<Gate>) -> Pod {
    Pod {
        name: PodName { namespace: "shop".into(), name: "web-1".into() },
        uid: Uid::new("pod-1"),
        gates: [("web".to_owned(), told)].into(),
        containers_ready: true,
        deleting: false,
    }
}

fn listener(key: PortKey, targets: Targets) -> Listener {
    Listener {
        key,
        name: String::new(),
        service: Uid::new("uid-web"),
        targets,
        has_endpoints: true,
        health_check: HealthCheck::EndpointSlices,
        session_affinity: None,
    }
}

/// The pods that claim these addresses.
fn to_pods(endpoints: &[(&str, &str)]) -> Targets {
    let endpoint = |(address, pod): &(&str, &str)| PodEndpoint {
        address: address.parse().unwrap(),
        pod: Some(Uid::new(*pod)),
        terminating: false,
    };
    Targets::Pods { endpoints: endpoints.iter().map(endpoint).collect(), local_nodes: None }
}

fn balancer(listeners: Vec<Listener>) -> LoadBalancer {
    LoadBalancer {
        id: LoadBalancerId::new("lb"),
        class: ClassName::new("portolan.dev/mock"),
        members: vec![crate::balancer::Member {
            uid: Uid::new("uid-web"),
            namespace: "shop".into(),
            name: "web".into(),
        }],
        held: vec![],
        following: vec![],
        families: vec![],
        requested: vec![],
        scheme: None,
        settings: BTreeMap::new(),
        listeners,
        source_ranges: SourceRanges::All,
        allow_downtime: false,
        nodes: Vec::<NodeTarget>::new(),
        published: vec![],
    }
}

/// What the pod is told, in short, where these are healthy.
fn told(pod: Pod, listeners: Vec<Listener>, healthy: &[(PortKey, &str)]) -> Option<(ConditionStatus, String, bool)> {
    let healthy = healthy.iter().map(|(port, address)| (Uid::new("uid-web"), *port, address.parse().unwrap()));
    let outcome = Outcome { healthy: healthy.collect(), ..nothing_requested() };
    let gated = [(ServiceKey::new("shop", "web"), vec![Arc::new(pod)])].into();
    let mut found = findings(&balancer(listeners), &outcome, &gated);
    assert!(found.len() < 2);
    found.pop().map(|finding| {
        assert_eq!(finding.condition, "target-health.portolan.dev/web");
        (finding.gate.status, finding.gate.reason, finding.turns)
    })
}

#[test]
fn a_condition_type_names_a_service() {
    for (condition, service) in [
        ("target-health.portolan.dev/web", Some("web")),
        ("target-health.portolan.dev/", None),
        ("target-health.elbv2.k8s.aws/web", None),
        ("Ready", None),
    ] {
        assert_eq!(service_of(condition), service, "{condition}");
    }
}

#[test]
fn a_gate_opens_when_every_port_that_goes_to_the_pod_finds_it_healthy() {
    let both = || {
        vec![
            listener(TCP_80, to_pods(&[("10.0.0.1:8080", "pod-1"), ("10.0.0.2:8080", "pod-2")])),
            listener(TCP_443, to_pods(&[("10.0.0.1:8443", "pod-1")])),
        ]
    };
    let open = Some((ConditionStatus::True, "Healthy".to_owned(), true));
    let waits = Some((ConditionStatus::False, "NotHealthyYet".to_owned(), true));
    for (healthy, expected) in [
        (vec![], &waits),
        (vec![(TCP_80, "10.0.0.1:8080")], &waits),
        (vec![(TCP_80, "10.0.0.1:8080"), (TCP_443, "10.0.0.1:8080")], &waits),
        (vec![(TCP_80, "10.0.0.2:8080"), (TCP_443, "10.0.0.1:8443")], &waits),
        (vec![(TCP_80, "10.0.0.1:8080"), (TCP_443, "10.0.0.1:8443")], &open),
    ] {
        assert_eq!(told(pod(None), both(), &healthy), *expected, "{healthy:?}");
    }
}

#[test]
fn a_port_that_does_not_go_to_the_pod_has_no_say() {
    let nodes = Targets::Nodes { node_port: 30080, nodes: vec![] };
    for other in [nodes, to_pods(&[("10.0.0.2:8443", "pod-2")])] {
        let listeners = vec![listener(TCP_80, to_pods(&[("10.0.0.1:8080", "pod-1")])), listener(TCP_443, other)];
        let open = Some((ConditionStatus::True, "Healthy".to_owned(), true));
        assert_eq!(told(pod(None), listeners, &[(TCP_80, "10.0.0.1:8080")]), open);
    }
}

#[test]
fn one_family_of_a_dual_stack_pod_is_enough() {
    let listeners = vec![listener(TCP_80, to_pods(&[("10.0.0.1:8080", "pod-1"), ("[fd00::1]:8080", "pod-1")]))];
    let open = Some((ConditionStatus::True, "Healthy".to_owned(), true));
    assert_eq!(told(pod(None), listeners, &[(TCP_80, "[fd00::1]:8080")]), open);
}

#[test]
fn what_is_found_at_an_address_is_said_of_the_pod_that_has_it_and_of_no_other() {
    let mut endpoints = to_pods(&[("10.0.0.1:8080", "pod-1"), ("10.0.0.1:8080", "pod-2")]);
    let Targets::Pods { endpoints: both, local_nodes: _ } = &mut endpoints else { panic!("pods") };
    both[0].terminating = true;
    assert_eq!(told(pod(None), vec![listener(TCP_80, endpoints)], &[(TCP_80, "10.0.0.1:8080")]), None);
}

#[test]
fn an_open_gate_stays_open() {
    let listeners = || vec![listener(TCP_80, to_pods(&[("10.0.0.1:8080", "pod-1")]))];
    let nodes = || vec![listener(TCP_80, Targets::Nodes { node_port: 30080, nodes: vec![] })];
    assert_eq!(told(pod(Some(healthy("web"))), listeners(), &[]), None);
    assert_eq!(told(pod(Some(healthy("web"))), nodes(), &[]), None);
    let by_somebody_else = Gate { reason: "ByHand".into(), ..healthy("web") };
    assert_eq!(told(pod(Some(by_somebody_else)), listeners(), &[]), None);
}

#[test]
fn nothing_is_said_twice_and_a_transition_is_told_from_a_change_of_words() {
    let listeners = || vec![listener(TCP_80, to_pods(&[("10.0.0.1:8080", "pod-1")]))];
    assert_eq!(told(pod(Some(awaited("web"))), listeners(), &[]), None);
    let waits = Some((ConditionStatus::False, "NotHealthyYet".to_owned(), false));
    let in_other_words = Gate { message: "wait".into(), ..awaited("web") };
    assert_eq!(told(pod(Some(in_other_words)), listeners(), &[]), waits);
}

#[test]
fn a_pod_that_nothing_will_ever_be_found_of_does_not_wait_and_is_told_why() {
    let nodes = vec![listener(TCP_80, Targets::Nodes { node_port: 30080, nodes: vec![] })];
    let opens = |reason: &str| Some((ConditionStatus::True, reason.to_owned(), true));
    for before in [None, Some(awaited("web"))] {
        assert_eq!(told(pod(before.clone()), nodes.clone(), &[]), opens("NoPodTargets"));
        let waiting = vec![Arc::new(pod(before))];
        let one = |mut found: Vec<Finding>| {
            assert_eq!(found.len(), 1);
            found.pop().map(|finding| (finding.gate.status, finding.gate.reason, finding.turns))
        };
        assert_eq!(one(released("web", &waiting)), opens("NoLoadBalancer"));
        let gated = [(ServiceKey::new("shop", "web"), waiting)].into();
        assert_eq!(one(unanswered(&balancer(vec![]), &gated)), opens("NoPodHealth"));
        let held = LoadBalancer { held: vec![Uid::new("uid-web")], ..balancer(vec![]) };
        assert_eq!(unanswered(&held, &gated), vec![]);
    }
    let leaving = vec![Arc::new(Pod { deleting: true, ..pod(None) })];
    assert_eq!(released("web", &leaving), vec![]);
}

#[test]
fn nothing_is_said_of_pods_that_are_no_targets_or_leave_nor_of_services_that_are_held() {
    let listeners = || vec![listener(TCP_80, to_pods(&[("10.0.0.1:8080", "pod-1")]))];
    let other = vec![listener(TCP_80, to_pods(&[("10.0.0.2:8080", "pod-2")]))];
    let healthy = [(TCP_80, "10.0.0.1:8080")];
    assert_eq!(told(pod(None), other, &healthy), None);
    assert_eq!(told(Pod { deleting: true, ..pod(None) }, listeners(), &healthy), None);
    assert_eq!(told(pod(None), vec![], &healthy), None, "held: nothing of it is desired");
}
