use std::net::SocketAddr;

use portolan_core::balancer::{HealthCheck, Member as CoreMember, PodEndpoint, PortKey, Protocol, SourceRanges};
use portolan_core::ids::{ClassName, LoadBalancerId};
use portolan_core::time::Timestamp;
use serde_json::json;

use super::*;
use crate::selector::Labels;

fn uid() -> Uid {
    Uid::new("uid-web")
}

/// A port under `externalTrafficPolicy: Local`, with endpoints on this node.
fn listener(node: &str) -> Listener {
    Listener {
        key: PortKey { port: 80, protocol: Protocol::Tcp },
        name: String::new(),
        service: uid(),
        targets: Targets::Pods { endpoints: Vec::new(), local_nodes: Some(vec![NodeName::new(node)]) },
        has_endpoints: true,
        health_check: HealthCheck::EndpointSlices,
        session_affinity: None,
    }
}

fn desired(held: bool, listeners: Vec<Listener>, following: Vec<Listener>) -> LoadBalancer {
    LoadBalancer {
        id: LoadBalancerId::new("web"),
        class: ClassName::new("portolan.dev/metal"),
        members: vec![CoreMember { uid: uid(), namespace: "shop".into(), name: "web".into() }],
        held: if held { vec![uid()] } else { Vec::new() },
        following,
        families: Vec::new(),
        requested: Vec::new(),
        scheme: None,
        settings: BTreeMap::new(),
        listeners,
        source_ranges: SourceRanges::All,
        allow_downtime: false,
        nodes: Vec::new(),
        published: Vec::new(),
    }
}

fn on(node: &str) -> Endpoints {
    Endpoints::On([NodeName::new(node)].into())
}

#[test]
fn who_is_refused_goes_on_following_its_endpoints_and_who_is_paused_does_not() {
    let served = backing(&desired(false, vec![listener("a")], Vec::new()), None);
    assert_eq!(served[&uid()].endpoints, on("a"));
    let labelled: Backing = [(
        uid(),
        Member { labels: Labels::from([("app".to_owned(), "web".to_owned())]), endpoints: on("a"), health_check: None },
    )]
    .into();

    let refused = backing(&desired(true, Vec::new(), vec![listener("b")]), Some(&labelled));
    assert_eq!(refused[&uid()], Member { endpoints: on("b"), ..labelled[&uid()].clone() });
    let paused = backing(&desired(true, Vec::new(), Vec::new()), Some(&labelled));
    assert_eq!(paused, labelled);
    // Of whom nothing is known it is not known either which advertisements are for it.
    assert_eq!(backing(&desired(true, Vec::new(), vec![listener("b")]), None), Backing::new());
}

#[test]
fn a_health_check_port_counts_while_somebody_behind_it_is_not_terminating() {
    let endpoint =
        |terminating| PodEndpoint { terminating, ..PodEndpoint::from(SocketAddr::from(([10, 0, 0, 1], 8080))) };
    let behind = |endpoints: Vec<PodEndpoint>| {
        let targets = Targets::Pods { endpoints, local_nodes: Some(vec![NodeName::new("a")]) };
        Listener { targets, ..listener("a") }
    };
    let settings =
        BTreeMap::from([(uid(), json!({"created": Timestamp(0), "allFamilies": false, "healthCheck": 32_000}))]);
    let desired =
        |held, listeners, following| LoadBalancer { settings: settings.clone(), ..desired(held, listeners, following) };
    let port = |backing: Backing| backing[&uid()].health_check;
    let ready = vec![behind(vec![endpoint(true), endpoint(false)])];
    let going = vec![behind(vec![endpoint(true)])];
    let before = backing(&desired(false, ready.clone(), Vec::new()), None);
    assert_eq!(port(before.clone()), Some(32_000));
    assert_eq!(port(backing(&desired(false, going.clone(), Vec::new()), None)), None);
    assert_eq!(port(backing(&desired(true, Vec::new(), ready), Some(&before))), Some(32_000), "refused, it follows");
    assert_eq!(port(backing(&desired(true, Vec::new(), going), Some(&before))), None);
    assert_eq!(port(backing(&desired(true, Vec::new(), Vec::new()), Some(&before))), Some(32_000), "paused, it stays");
}
