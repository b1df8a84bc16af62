use std::net::{IpAddr, SocketAddr};

use portolan_core::balancer::{
    HealthCheck, IpMode, Member as CoreMember, PodEndpoint, PortKey, Protocol, Published, SourceRanges,
};
use portolan_core::ids::{ClassName, Instance, LoadBalancerId};
use portolan_core::time::Timestamp;
use serde_json::json;

use super::*;
use crate::plan::plan;
use crate::selector::Labels;
use crate::state::State;
use crate::step::Step;
use crate::vip::{Served, Vip};

fn uid() -> Uid {
    Uid::new("uid-web")
}

fn endpoint(address: impl Into<IpAddr>) -> PodEndpoint {
    PodEndpoint::from(SocketAddr::new(address.into(), 8080))
}

fn local(nodes: &[(Family, &str)]) -> BTreeMap<Family, BTreeSet<NodeName>> {
    nodes.iter().map(|(family, node)| (*family, [NodeName::new(*node)].into())).collect()
}

/// A port under `externalTrafficPolicy: Local`, with an endpoint of IPv4 on this node.
fn listener(node: &str) -> Listener {
    Listener {
        key: PortKey { port: 80, protocol: Protocol::Tcp },
        name: String::new(),
        service: uid(),
        targets: Targets::Pods {
            endpoints: vec![endpoint([10, 0, 0, 1])],
            local_nodes: Some(local(&[(Family::V4, node)])),
        },
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
    assert_eq!(served.services[&uid()].to(Family::V4).endpoints, on("a"));
    let labels = Labels::from([("app".to_owned(), "web".to_owned())]);
    let labelled = |node: &str| Backing {
        services: [(uid(), Backed::of(&[listener(node)], &uid(), &labels, None))].into(),
        ..Backing::default()
    };

    let refused = backing(&desired(true, Vec::new(), vec![listener("b")]), Some(&labelled("a")));
    assert_eq!(refused, labelled("b"));
    let paused = backing(&desired(true, Vec::new(), Vec::new()), Some(&labelled("a")));
    assert_eq!(paused, labelled("a"));
    // Of whom nothing is known it is not known either which advertisements are for it.
    assert_eq!(backing(&desired(true, Vec::new(), vec![listener("b")]), None), Backing::default());
}

#[test]
fn each_family_has_the_endpoints_of_its_own() {
    let (v4, v6) = (endpoint([10, 0, 0, 1]), endpoint([0xfd00, 0, 0, 0, 0, 0, 0, 1]));
    let of = |endpoints: &[&PodEndpoint], local_nodes| {
        let endpoints: Vec<PodEndpoint> = endpoints.iter().copied().cloned().collect();
        let has_endpoints = !endpoints.is_empty();
        let listener = Listener { targets: Targets::Pods { endpoints, local_nodes }, has_endpoints, ..listener("a") };
        let mut found = backing(&desired(false, vec![listener], Vec::new()), None).services;
        let told = found[&uid()].to_string();
        let Backed { v4, v6, health_check: _ } = found.remove(&uid()).unwrap();
        (v4.endpoints, v6.endpoints, told)
    };
    let (anywhere, nowhere) = (Endpoints::Anywhere, Endpoints::None);
    let both = "anywhere".to_owned();
    assert_eq!(of(&[&v4, &v6], None), (anywhere.clone(), anywhere.clone(), both));
    let one = "anywhere for IPv4, nowhere for IPv6".to_owned();
    assert_eq!(of(&[&v4], None), (anywhere.clone(), nowhere.clone(), one));
    let other = "nowhere for IPv4, anywhere for IPv6".to_owned();
    assert_eq!(of(&[&v6], None), (nowhere.clone(), anywhere, other));
    assert_eq!(of(&[], None), (nowhere.clone(), nowhere.clone(), "nowhere".to_owned()));
    // Under Local each family's are where they are.
    let apart = Some(local(&[(Family::V4, "a"), (Family::V6, "b")]));
    assert_eq!(of(&[&v4, &v6], apart), (on("a"), on("b"), "a for IPv4, b for IPv6".to_owned()));
    let one = Some(local(&[(Family::V4, "a")]));
    assert_eq!(of(&[&v4], one), (on("a"), nowhere, "a for IPv4, nowhere for IPv6".to_owned()));
}

#[test]
fn a_health_check_port_counts_while_somebody_behind_it_is_not_terminating() {
    let terminating = |endpoint: PodEndpoint| PodEndpoint { terminating: true, ..endpoint };
    let (v4, v6) = (endpoint([10, 0, 0, 1]), endpoint([0xfd00, 0, 0, 0, 0, 0, 0, 1]));
    let behind = |endpoints: Vec<PodEndpoint>| {
        let local_nodes = Some(local(&[(Family::V4, "a"), (Family::V6, "a")]));
        Listener { targets: Targets::Pods { endpoints, local_nodes }, ..listener("a") }
    };
    let settings =
        BTreeMap::from([(uid(), json!({"created": Timestamp(0), "allFamilies": false, "healthCheck": 32_000}))]);
    let desired =
        |held, listeners, following| LoadBalancer { settings: settings.clone(), ..desired(held, listeners, following) };
    let port = |backing: Backing| backing.services[&uid()].to(Family::V4).health_check;
    let ready = vec![behind(vec![terminating(v4.clone()), v4.clone()])];
    // The port says of each family what is so of that one.
    let going = vec![behind(vec![terminating(v4), v6])];
    let before = backing(&desired(false, ready.clone(), Vec::new()), None);
    assert_eq!(port(before.clone()), Some(32_000));
    let without = backing(&desired(false, going.clone(), Vec::new()), None);
    assert_eq!(without.services[&uid()].to(Family::V6).health_check, Some(32_000));
    assert_eq!(port(without), None);
    let followed =
        |listeners: &Vec<Listener>, before| backing(&desired(true, Vec::new(), listeners.clone()), Some(before));
    assert_eq!(port(followed(&ready, &before)), Some(32_000), "refused, it follows");
    let gone = followed(&going, &before);
    assert_eq!(port(gone.clone()), None);
    assert_eq!(port(followed(&ready, &gone)), Some(32_000), "and has it again");
    assert_eq!(port(backing(&desired(true, Vec::new(), Vec::new()), Some(&before))), Some(32_000), "paused, it stays");
}

#[test]
fn what_is_published_are_addresses_and_no_names() {
    let address: IpAddr = "198.51.100.7".parse().unwrap();
    let published = vec![
        Published::Ip { ip: address, mode: IpMode::Vip },
        Published::Hostname { hostname: "nlb.example.com".to_owned() },
    ];
    let told = backing(&LoadBalancer { published, ..desired(false, Vec::new(), Vec::new()) }, None);
    assert_eq!(told.published, [address].into());
}

#[test]
fn what_is_published_of_one_who_is_refused_meanwhile_is_told_all_the_same() {
    let address: IpAddr = "198.51.100.7".parse().unwrap();
    let before = backing(&desired(false, vec![listener("a")], Vec::new()), None);
    let state = State {
        vips: vec![Vip { holder: Some(LoadBalancerId::new("web")), ..Vip::of_nobody(address) }],
        backing: Some(before.clone().into()),
        ..State::default()
    };
    let mut refused = desired(true, Vec::new(), vec![listener("a")]);
    assert_eq!(plan(&Instance::default(), Some(&refused), &state).steps, []);
    refused.published = vec![Published::Ip { ip: address, mode: IpMode::Vip }];
    let told = Backing { published: [address].into(), ..before };
    let expected = Step::Back { backing: Box::new(told.clone()) };
    assert_eq!(plan(&Instance::default(), Some(&refused), &state).steps, [expected]);
    let state = State { backing: Some(told.into()), ..state };
    assert_eq!(plan(&Instance::default(), Some(&refused), &state).steps, []);

    // One who is leaving beside him.
    let leaves = CoreMember { uid: Uid::new("uid-other"), namespace: "shop".into(), name: "other".into() };
    let mut state = state;
    state.vips[0].services = vec![Served { member: leaves, ports: BTreeSet::new() }];
    refused.published.clear();
    assert_eq!(plan(&Instance::default(), Some(&refused), &state).steps, [], "of whom placement would know nothing");
}
