use std::net::IpAddr;

use super::*;
use crate::capabilities::Capabilities;
use crate::desire::{Candidate, Input, Settings, desire, member};
use crate::dialect::Plain;
use crate::examples::{capabilities, class, endpoint, service, slice};
use crate::ids::LoadBalancerId;
use crate::share::Consents;
use crate::snapshot::PodName;

const V4: &[Family] = &[Family::V4];

/// A pod of this UID whose containers are ready, and that waits for Service `a`.
fn waiting(uid: &str) -> Pod {
    Pod {
        name: PodName { namespace: "shop".into(), name: uid.into() },
        uid: Uid::new(uid),
        gates: [("a".to_owned(), None)].into(),
        containers_ready: true,
        deleting: false,
    }
}

/// How the EndpointSlice shows a pod that is not ready.
fn not_ready(address: &str, pod: &str) -> Endpoint {
    let address: IpAddr = address.parse().unwrap();
    Endpoint { pod: Some(Uid::new(pod)), ready: false, serving: false, ..endpoint(address, None) }
}

/// The addresses to which a port that goes to pods sends.
fn targets(pods: &[Pod], endpoints: Vec<Endpoint>) -> Vec<String> {
    let service = service("a");
    let (pods, slices): (Vec<_>, _) =
        (pods.iter().cloned().map(Arc::new).collect(), [slice(&service, "s", Family::V4, endpoints)]);
    let usable = Usable::new(&service, &slices, &pods, V4);
    usable.pods(&service.ports[0]).iter().map(|endpoint| endpoint.address.ip().to_string()).collect()
}

#[test]
fn a_pod_that_waits_for_the_load_balancer_alone_is_a_target_before_it_is_ready() {
    let endpoints = || vec![not_ready("10.0.0.1", "one"), not_ready("10.0.0.2", "two")];
    let none = [""; 0];
    assert_eq!(targets(&[], endpoints()), none);
    assert_eq!(targets(&[waiting("one")], endpoints()), ["10.0.0.1"]);
    assert_eq!(targets(&[Pod { containers_ready: false, ..waiting("one") }], endpoints()), none);
    assert_eq!(targets(&[Pod { deleting: true, ..waiting("one") }], endpoints()), none);
    assert_eq!(targets(&[waiting("another of its name")], endpoints()), none);
    let terminating = |endpoint: Endpoint| Endpoint { terminating: true, ..endpoint };
    assert_eq!(targets(&[waiting("one")], endpoints().into_iter().map(terminating).collect()), none);
    let nobody = |endpoint: Endpoint| Endpoint { pod: None, ..endpoint };
    assert_eq!(targets(&[waiting("one")], endpoints().into_iter().map(nobody).collect()), none);
}

#[test]
fn whoever_waits_answers_nobody_yet_so_those_who_terminate_go_on() {
    let leaves = Endpoint { serving: true, terminating: true, ..not_ready("10.0.0.9", "old") };
    let endpoints = vec![not_ready("10.0.0.1", "one"), leaves.clone()];
    assert_eq!(targets(&[waiting("one")], endpoints), ["10.0.0.1", "10.0.0.9"]);
    let ready = Endpoint { ready: true, ..not_ready("10.0.0.2", "two") };
    let endpoints = vec![not_ready("10.0.0.1", "one"), ready, leaves];
    assert_eq!(targets(&[waiting("one")], endpoints), ["10.0.0.1", "10.0.0.2"]);
}

#[test]
fn whoever_waits_counts_where_the_port_goes_to_pods_and_the_provider_answers_and_nowhere_else() {
    let may = |readiness_gates| Capabilities { readiness_gates, ..capabilities() };
    for (capabilities, node_port, has_endpoints) in
        [(may(true), None, true), (may(false), None, false), (may(true), Some(30080), false)]
    {
        let mut service = service("a");
        service.ports[0].node_port = node_port;
        let slices = [slice(&service, "s", Family::V4, vec![not_ready("10.0.0.1", "one")])];
        let gated = [Arc::new(waiting("one"))];
        let candidate = Candidate {
            member: member(&service),
            service: Some(&service),
            slices: &slices,
            gated: &gated,
            joined: false,
            held: None,
        };
        let desired = desire(&Input {
            id: &LoadBalancerId::new("lb"),
            class: &class("portolan.dev/mock"),
            capabilities: &capabilities,
            dialect: &Plain,
            candidates: &[candidate],
            nodes: &[],
            terms: None,
            settings: &Settings::default(),
            consents: &Consents::new(),
        });
        assert_eq!(desired.load_balancer.listeners[0].has_endpoints, has_endpoints, "{capabilities:?} {node_port:?}");
    }
}
