//! Rules of targets, one by one, on the double: who takes a listener's traffic.

use std::collections::BTreeSet;
use std::sync::Arc;

use portolan_aws::Step;
use portolan_aws::state::{Health, Status};
use portolan_core::balancer::{Listener, NodeTarget, PodEndpoint, PortKey, Protocol, Targets};
use portolan_core::ids::{NodeName, Uid};
use serde_json::json;

use super::cloud;
use super::lab::{Lab, listener, names, nodes, pods};

/// Targets are pods, unless a port says otherwise.
fn pod_lab() -> Lab {
    Lab::new().parameters(&json!({"clusterName": "prod", "defaults": {"targetType": "ip"}}))
}

/// What is registered, as `ID:PORT`.
fn registered(lab: &Lab) -> BTreeSet<String> {
    let targets = lab.state.groups.iter().flat_map(|group| &group.targets);
    targets.map(|registered| format!("{}:{}", registered.target.id, registered.target.port)).collect()
}

fn claims(claims: &[(&str, &str, bool)]) -> Targets {
    let claim = |(address, pod, terminating): &(&str, &str, bool)| PodEndpoint {
        address: address.parse().unwrap(),
        pod: Some(Uid::new(*pod)),
        terminating: *terminating,
    };
    Targets::Pods { endpoints: claims.iter().map(claim).collect(), local_nodes: None }
}

#[test]
fn an_address_that_two_pods_claim_is_one_target() {
    let mut lab = pod_lab();
    lab.desired.listeners[0].targets =
        claims(&[("10.0.1.9:8080", "old", true), ("10.0.1.9:8080", "new", false), ("10.0.1.9:8081", "new", false)]);
    lab.settle();
    assert_eq!(registered(&lab), ["10.0.1.9:8080", "10.0.1.9:8081"].map(str::to_owned).into());
    lab.desired.listeners[0].targets = claims(&[("10.0.1.9:8080", "new", false), ("10.0.1.9:8081", "new", false)]);
    assert_eq!(lab.settle(), []);
}

#[test]
fn where_tcp_and_udp_share_a_listener_only_pods_with_one_number_for_both_are_targets() {
    let mut lab = pod_lab();
    let dns = |tcp: &[&'static str], udp: &[&'static str]| {
        let of = |protocol, addresses: &[&'static str]| Listener {
            targets: pods(addresses.iter().copied()),
            ..listener(53, protocol)
        };
        vec![of(Protocol::Tcp, tcp), of(Protocol::Udp, udp)]
    };
    lab.desired.listeners = dns(&["10.0.1.1:53", "10.0.1.2:53"], &["10.0.1.1:53", "10.0.1.2:5353"]);
    lab.settle();
    assert_eq!(lab.state.balancers[0].listeners.len(), 1);
    assert_eq!(registered(&lab), ["10.0.1.1:53".to_owned()].into());
    lab.desired.listeners = dns(&["10.0.1.3:53"], &[]);
    lab.settle();
    assert_eq!(registered(&lab), ["10.0.1.3:53".to_owned()].into(), "nobody could have served UDP");
    lab.desired.listeners = dns(&["10.0.1.3:53"], &["10.0.1.3:5353"]);
    let unserved = lab.model().unwrap().unserved;
    assert_eq!(unserved.len(), 2);
    assert!(unserved[0].1.message.contains("different numbers"), "{unserved:?}");
}

#[test]
fn only_nodes_with_every_label_that_is_asked_for_are_targets() {
    let mut lab = Lab::new();
    lab.annotate("target-node-labels", "pool=edge,tier=1");
    lab.desired.nodes = nodes(&[1, 2, 3]);
    for (node, labels) in lab.desired.nodes.iter_mut().zip([
        &[("pool", "edge"), ("tier", "1"), ("zone", "a")][..],
        &[("pool", "edge"), ("tier", "2")],
        &[("pool", "edge")],
    ]) {
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        node.labels = Arc::new(labels.collect());
    }
    lab.settle();
    assert_eq!(registered(&lab), ["i-1:30080".to_owned()].into());
    lab.desired.nodes[2].labels = lab.desired.nodes[0].labels.clone();
    assert_eq!(names(&lab.settle()), ["Register"], "a label comes");
    lab.desired.nodes[0].labels = Arc::default();
    assert_eq!(names(&lab.settle()), ["Deregister"], "a label goes");
}

#[test]
fn of_a_service_that_nobody_can_read_any_more_the_nodes_that_it_asked_for_last_come_and_go() {
    let mut lab = Lab::new();
    let label = |node: &mut NodeTarget, pool: &str| {
        node.labels = Arc::new([("pool".to_owned(), pool.to_owned())].into());
    };
    lab.desired.nodes = nodes(&[1, 2]);
    lab.annotate("target-node-labels", "pool=edge");
    label(&mut lab.desired.nodes[0], "edge");
    lab.settle();
    let edited = lab.desired.listeners.remove(0);
    lab.desired.held = vec![edited.service.clone()];
    lab.desired.following = vec![edited.clone()];
    assert_eq!(lab.settle(), [], "the other node was never meant");
    lab.desired.nodes = nodes(&[1, 2, 3]);
    label(&mut lab.desired.nodes[2], "edge");
    assert_eq!(names(&lab.settle()), ["Register", "Deregister"]);
    assert_eq!(registered(&lab), ["i-3:30080".to_owned()].into());
    // It can be read again, and asks for all.
    (lab.desired.held, lab.desired.following) = (vec![], vec![]);
    lab.desired.listeners.push(edited.clone());
    lab.annotations.clear();
    lab.settle();
    lab.desired.held = vec![edited.service.clone()];
    lab.desired.listeners.clear();
    lab.desired.following = vec![edited];
    assert_eq!(lab.settle(), []);
    assert_eq!(registered(&lab).len(), 3);
}

#[test]
fn pods_stay_while_a_refused_edit_would_send_their_port_to_nodes_and_follow_while_it_would_not() {
    let mut lab = pod_lab();
    lab.desired.listeners[0].targets = pods(["10.0.1.9:8080"]);
    lab.settle();
    let edited = lab.desired.listeners.remove(0);
    lab.desired.held = vec![edited.service.clone()];
    lab.desired.following = vec![Listener { targets: listener(80, Protocol::Tcp).targets, ..edited.clone() }];
    assert_eq!(lab.settle(), []);
    lab.desired.following = vec![Listener { targets: pods(["10.0.1.10:8080"]), ..edited }];
    assert_eq!(names(&lab.settle()), ["Register", "Deregister"]);
}

#[test]
fn only_what_is_healthy_behind_the_balancer_that_clients_use_counts_for_a_pod() {
    let mut lab = pod_lab();
    lab.desired.listeners[0].targets = pods(["10.0.1.1:8080", "10.0.1.2:8080"]);
    let healthy = |lab: &Lab| {
        let found = lab.outcome().healthy.into_iter();
        found.map(|(uid, port, address)| format!("{uid} {port} {address}")).collect::<Vec<_>>()
    };
    let none = [""; 0];
    assert_eq!(healthy(&lab), none);
    lab.settle();
    let all = ["uid-web 80/TCP 10.0.1.1:8080", "uid-web 80/TCP 10.0.1.2:8080"];
    assert_eq!(healthy(&lab), all);
    for sick in
        [Health::Unknown, Health::Initial, Health::Unhealthy, Health::Unused, Health::Draining, Health::Unavailable]
    {
        lab.state.groups[0].targets[0].health = sick;
        assert_eq!(healthy(&lab), all[1..], "{sick:?}");
    }
    lab.state.groups[0].targets[0].health = Health::Healthy;
    lab.state.balancers[0].status = Status::Provisioning;
    assert_eq!(healthy(&lab), none, "nobody can come yet");
    lab.state.balancers[0].status = Status::Active;
    lab.state.balancers[0].listeners[0].ours = false;
    assert_eq!(healthy(&lab), none, "the listener is somebody else's");
}

#[test]
fn a_listener_of_tcp_and_udp_speaks_for_both_ports() {
    let mut lab = pod_lab();
    let of = |protocol| Listener { targets: pods(["10.0.1.1:53"]), ..listener(53, protocol) };
    lab.desired.listeners = vec![of(Protocol::Tcp), of(Protocol::Udp)];
    lab.settle();
    let ports: Vec<PortKey> = lab.outcome().healthy.into_iter().map(|(_, port, _)| port).collect();
    assert_eq!(ports, [Protocol::Tcp, Protocol::Udp].map(|protocol| PortKey { port: 53, protocol }));
}

#[test]
fn nodes_say_nothing_of_pods() {
    let mut lab = Lab::new();
    lab.settle();
    assert!(lab.healthy() > 0);
    assert_eq!(lab.outcome().healthy, BTreeSet::new());
}

#[test]
fn a_registration_is_for_one_pod_and_another_one_at_its_address_gets_its_own() {
    let mut lab = pod_lab();
    let of = |pods: &[&'static str]| {
        let addresses = ["10.0.1.1:8080", "10.0.1.2:8080", "10.0.1.3:8080", "10.0.1.4:8080", "10.0.1.5:8080"];
        claims(&addresses.into_iter().zip(pods).map(|(address, pod)| (address, *pod, false)).collect::<Vec<_>>())
    };
    lab.desired.listeners[0].targets = of(&["a", "b", "c", "d", "e"]);
    lab.settle();
    lab.desired.listeners[0].targets = of(&["f", "g", "h", "i", "j"]);
    assert_eq!(lab.outcome().healthy, BTreeSet::new(), "what was found of those before says nothing of these");
    let steps = lab.once();
    assert_eq!(names(&steps), ["Deregister", "Register"]);
    let Step::Register { targets, .. } = &steps[1] else { panic!("{steps:?}") };
    assert_eq!(targets.len(), 2, "a quarter of five, at least");
    assert_eq!(lab.plan().unwrap(), [], "the others wait until AWS has found these healthy");
    lab.settle();
    let pods: Vec<_> = lab.state.groups[0].targets.iter().map(|one| one.pod.as_ref().unwrap().as_str()).collect();
    assert_eq!(pods, ["f", "g", "h", "i", "j"]);
    assert_eq!(lab.outcome().healthy.len(), 5);
}

#[test]
fn whoever_takes_no_traffic_is_registered_anew_at_once_for_the_pod_that_has_its_address() {
    let mut lab = pod_lab();
    lab.desired.listeners[0].targets = claims(&[("10.0.1.1:8080", "a", false), ("10.0.1.2:8080", "b", false)]);
    lab.settle();
    lab.state.groups[0].targets.iter_mut().for_each(|target| target.health = Health::Unhealthy);
    lab.desired.listeners[0].targets = claims(&[("10.0.1.1:8080", "c", false), ("10.0.1.2:8080", "d", false)]);
    let steps = lab.once();
    assert_eq!(names(&steps), ["Deregister", "Register"]);
    let Step::Register { targets, .. } = &steps[1] else { panic!("{steps:?}") };
    assert_eq!(targets.len(), 2);
}

#[test]
fn whose_registration_nobody_remembers_is_said_without_a_gap() {
    let mut lab = pod_lab();
    lab.desired.listeners[0].targets = claims(&[("10.0.1.1:8080", "a", false)]);
    lab.settle();
    lab.state.groups[0].targets[0].pod = None;
    assert_eq!(lab.outcome().healthy, BTreeSet::new(), "it may have been another one");
    assert_eq!(names(&lab.once()), ["Register"]);
    assert_eq!((lab.healthy(), lab.outcome().healthy.len()), (1, 1));
}

#[test]
fn one_whose_address_is_anothers_leaves_before_anything_else_is_done() {
    let mut lab = pod_lab();
    lab.desired.listeners[0].targets = claims(&[("10.0.1.1:8080", "a", false), ("10.0.1.2:8080", "b", false)]);
    lab.settle();
    lab.desired.listeners[0].targets = claims(&[("10.0.1.2:8080", "b", false), ("10.0.1.3:8080", "c", false)]);
    assert_eq!(names(&lab.plan().unwrap()), ["Register"]);
    let gone = lab.state.groups[0].targets[0].target.clone();
    lab.state.groups[0].usurped.insert(gone);
    assert_eq!(names(&lab.plan().unwrap()), ["Deregister", "Register"]);
}

/// So many nodes, one after the other in each of three zones.
fn many_nodes(numbers: std::ops::Range<usize>) -> Vec<NodeTarget> {
    let node = |number: usize| NodeTarget {
        name: NodeName::new(format!("node-{number:04}")),
        provider_id: Some(format!("aws:///eu-west-1{}/i-{number:04}", ["a", "b", "c"][number % 3])),
        ..nodes(&[1]).remove(0)
    };
    numbers.map(node).collect()
}

/// How many targets each group has.
fn counts(lab: &Lab) -> Vec<usize> {
    lab.state.groups.iter().map(|group| group.staying().count()).collect()
}

fn to_nodes(ports: std::ops::Range<u16>) -> Vec<Listener> {
    ports.map(|port| listener(port, Protocol::Tcp)).collect()
}

#[test]
fn a_balancer_has_as_many_targets_as_aws_has_room_for_as_many_behind_each_port_and_says_so() {
    for (across, nodes, ports, expected) in [
        // 500 in each zone: a node counts behind each port.
        (false, 60, 10, vec![60; 10]),
        (false, 300, 10, vec![150; 10]),
        (false, 1200, 1, vec![1000]),
        // 3,000 are never reached in three zones; across zones 500 are all.
        (true, 60, 10, vec![50; 10]),
        (true, 499, 1, vec![499]),
        (true, 600, 1, vec![500]),
        (true, 300, 3, vec![167, 167, 166]),
    ] {
        let mut lab = Lab::new();
        lab.annotate("attributes", &format!("load_balancing.cross_zone.enabled={across}"));
        lab.desired.nodes = many_nodes(0..nodes);
        lab.desired.listeners = to_nodes(80..80 + ports);
        lab.settle();
        let mut found = counts(&lab);
        found.sort_unstable_by(|a, b| b.cmp(a));
        assert_eq!(found, expected, "{nodes} nodes, {ports} ports, across: {across}");
        let told = lab.outcome().programmed;
        assert_eq!(told.message.contains("quotas"), expected.iter().sum::<usize>() < nodes * usize::from(ports));
    }
}

#[test]
fn where_there_is_no_room_for_all_one_that_comes_or_goes_moves_no_other() {
    let mut lab = Lab::new();
    lab.annotate("attributes", "load_balancing.cross_zone.enabled=true");
    lab.desired.nodes = many_nodes(0..400);
    lab.desired.listeners = to_nodes(80..82);
    lab.settle();
    assert_eq!(counts(&lab), [250, 250]);
    assert!(lab.outcome().programmed.message.contains("port 81 has 250 of 400 targets"));
    lab.desired.nodes = many_nodes(0..500);
    assert_eq!(lab.settle(), [], "there is no room for those who come");
    let before = registered(&lab);
    // One that has a place goes, and one that has none comes in its place.
    let gone = lab.state.groups[0].targets[7].target.id.clone();
    lab.desired.nodes.retain(|node| !node.provider_id.as_ref().unwrap().ends_with(&gone));
    lab.settle();
    assert_eq!(counts(&lab), [250, 250]);
    let left = before.difference(&registered(&lab)).filter(|target| !target.starts_with(&gone)).count();
    assert_eq!(left, 0, "nobody else has moved");
    // A port more takes its share.
    lab.desired.listeners = to_nodes(80..83);
    lab.settle();
    assert_eq!(counts(&lab).into_iter().sum::<usize>(), 500);
    assert!(counts(&lab).into_iter().all(|count| count >= 166), "{:?}", counts(&lab));
}

#[test]
fn where_all_are_replaced_and_there_is_no_room_for_both_a_few_leave_for_a_few_who_come() {
    let mut lab = Lab::new();
    lab.annotate("attributes", "load_balancing.cross_zone.enabled=true");
    lab.desired.nodes = many_nodes(0..600);
    lab.settle();
    lab.desired.nodes = many_nodes(1000..1600);
    for round in 0..40 {
        let steps = lab.once();
        let there = counts(&lab)[0];
        assert!(there <= 500, "AWS would refuse it: {there} in round {round}");
        assert!(lab.healthy() >= 375, "no more than a quarter at once: {} in round {round}", lab.healthy());
        if steps.is_empty() {
            cloud::settle(&mut lab.state);
        }
    }
    lab.settle();
    assert!(registered(&lab).iter().all(|target| target.starts_with("i-1")), "all are replaced");
    assert_eq!(counts(&lab), [500]);
}

/// As many pods, by number.
fn numbered(numbers: std::ops::Range<u16>) -> Targets {
    let addresses: Vec<String> =
        numbers.map(|number| format!("10.0.{}.{}:8080", number / 250, number % 250 + 1)).collect();
    pods(addresses.iter().map(String::as_str))
}

#[test]
fn ten_rolling_updates_of_pods_never_leave_fewer_healthy_targets_than_there_are_to_be() {
    let mut lab = Lab::new().parameters(&json!({"clusterName": "prod", "defaults": {"targetType": "ip"}}));
    lab.desired.listeners[0].targets = numbered(0..4);
    lab.settle();
    assert_eq!(lab.healthy(), 4);
    for update in 0..10_u16 {
        for replaced in 1..=4 {
            let first = update * 4 + replaced;
            lab.desired.listeners[0].targets = numbered(first..first + 4);
            // New ones become healthy only now and then, so that the next update begins before the last one is through.
            let register = lab.once();
            assert!(!names(&register).is_empty());
            assert!(lab.healthy() >= 4, "update {update}.{replaced}: {}", lab.healthy());
            if replaced % 2 == 0 {
                let group = &mut lab.state.groups[0];
                let initial = group.targets.iter_mut().find(|registered| registered.health == Health::Initial);
                initial.unwrap().health = Health::Healthy;
                lab.once();
                assert!(lab.healthy() >= 4, "update {update}.{replaced}: {}", lab.healthy());
            }
        }
    }
    lab.settle();
    let targets: BTreeSet<_> =
        lab.state.groups[0].targets.iter().map(|registered| registered.target.id.clone()).collect();
    assert_eq!(targets.len(), 4);
    assert_eq!(lab.healthy(), 4);
}

#[test]
fn a_target_that_takes_no_traffic_leaves_at_once() {
    let mut lab = Lab::new();
    lab.settle();
    lab.state.groups[0].targets[0].health = Health::Unhealthy;
    lab.desired.nodes = nodes(&[2, 3]);
    assert_eq!(names(&lab.once()), ["Register", "Deregister"], "and the other first");
}

#[test]
fn a_target_of_which_nobody_knows_how_it_is_leaves_as_one_that_takes_traffic() {
    let mut lab = Lab::new();
    lab.settle();
    lab.state.groups[0].targets.iter_mut().for_each(|registered| registered.health = Health::Unknown);
    lab.desired.nodes = nodes(&[3, 4]);
    assert_eq!(names(&lab.once()), ["Register"], "after a restart nobody has asked AWS yet");
}

#[test]
fn a_node_costs_one_call_a_group() {
    let mut lab = Lab::new();
    lab.desired.listeners = vec![listener(80, Protocol::Tcp), listener(81, Protocol::Tcp)];
    lab.settle();
    lab.desired.nodes = nodes(&[1, 2, 3]);
    assert_eq!(names(&lab.settle()), ["Register", "Register"]);
    lab.desired.nodes = nodes(&[1, 2]);
    assert_eq!(names(&lab.settle()), ["Deregister", "Deregister"]);
}

#[test]
fn a_node_without_an_instance_keeps_none_of_the_others_from_being_a_target() {
    let mut lab = Lab::new();
    lab.desired.nodes = nodes(&[1, 2]);
    lab.desired.nodes[0].provider_id = None;
    lab.settle();
    let ids: Vec<_> = lab.state.groups[0].targets.iter().map(|registered| registered.target.id.as_str()).collect();
    assert_eq!(ids, ["i-2"]);
}

#[test]
fn a_group_takes_a_thousand_targets_and_who_is_there_stays() {
    let mut lab = Lab::new().parameters(&json!({"clusterName": "prod", "defaults": {"targetType": "ip"}}));
    lab.desired.listeners[0].targets = numbered(500..1400);
    let steps = lab.settle();
    assert_eq!(names(&steps).iter().filter(|name| **name == "Register").count(), 5, "two hundred a call");
    lab.desired.listeners[0].targets = numbered(0..1400);
    lab.settle();
    let ids: BTreeSet<_> = lab.state.groups[0].targets.iter().map(|registered| registered.target.id.clone()).collect();
    assert_eq!(ids.len(), 1000);
    assert!(ids.contains("10.0.5.150"), "the last one that was there");
    lab.desired.listeners[0].targets = numbered(0..0);
    assert_eq!(names(&lab.once()), ["Deregister"; 5], "two hundred a call, as they came");
}
