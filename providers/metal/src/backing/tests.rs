use portolan_core::balancer::{HealthCheck, Member as CoreMember, PortKey, Protocol, SourceRanges};
use portolan_core::ids::{ClassName, LoadBalancerId};

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
    let labelled: Backing =
        [(uid(), Member { labels: Labels::from([("app".to_owned(), "web".to_owned())]), endpoints: on("a") })].into();

    let refused = backing(&desired(true, Vec::new(), vec![listener("b")]), Some(&labelled));
    assert_eq!(refused[&uid()], Member { endpoints: on("b"), ..labelled[&uid()].clone() });
    let paused = backing(&desired(true, Vec::new(), Vec::new()), Some(&labelled));
    assert_eq!(paused, labelled);
    // Of whom nothing is known it is not known either which advertisements are for it.
    assert_eq!(backing(&desired(true, Vec::new(), vec![listener("b")]), None), Backing::new());
}
