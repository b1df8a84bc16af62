use std::net::SocketAddr;

use portolan_core::balancer::{HealthCheck, PodEndpoint, SourceRanges, Targets};
use portolan_core::ids::{ClassName, LoadBalancerId, NodeName};

use super::*;
use crate::placement::Ranks;
use crate::pool::{Pool, PoolName, Surroundings, check};
use crate::range::Range;
use crate::vip::Served;

fn member(name: &str) -> Member {
    Member { uid: Uid::new(name), namespace: "shop".to_owned(), name: name.to_owned() }
}

fn port(protocol: Protocol) -> PortKey {
    PortKey { port: 53, protocol }
}

/// A port of a Service with an endpoint.
fn listener(name: &str, protocol: Protocol) -> Listener {
    let endpoint = PodEndpoint::from(SocketAddr::from(([10, 1, 0, 1], 53)));
    Listener {
        key: port(protocol),
        name: String::new(),
        service: Uid::new(name),
        targets: Targets::Pods { endpoints: vec![endpoint], local_nodes: None },
        has_endpoints: true,
        health_check: HealthCheck::EndpointSlices,
        session_affinity: None,
    }
}

/// Two Services that share the one address, which node `a` has and node `b` has proven.
fn shared() -> (LoadBalancer, State) {
    let services = [("tcp", Protocol::Tcp), ("udp", Protocol::Udp)];
    let desired = LoadBalancer {
        id: LoadBalancerId::new("dns"),
        class: ClassName::new("portolan.dev/metal"),
        members: services.map(|(name, _)| member(name)).into(),
        held: Vec::new(),
        following: Vec::new(),
        families: vec![Family::V4],
        requested: Vec::new(),
        scheme: None,
        settings: BTreeMap::new(),
        listeners: services.map(|(name, protocol)| listener(name, protocol)).into(),
        source_ranges: SourceRanges::All,
        allow_downtime: false,
        nodes: Vec::new(),
        published: Vec::new(),
    };
    let served = services.map(|(name, protocol)| Served { member: member(name), ports: [port(protocol)].into() });
    let address = "192.0.2.1".parse().unwrap();
    let vip = Vip {
        holder: Some(desired.id.clone()),
        pool: Some(PoolName::new("p")),
        services: served.into(),
        ranks: Ranks { nodes: vec![NodeName::new("a"), NodeName::new("b")], generation: 1 },
        ..Vip::of_nobody(address)
    };
    let reached = [(address, Reach::Seen(NodeName::new("b"), Vec::new()))].into();
    (desired, State { vips: vec![vip], reached, ..State::default() })
}

#[test]
fn of_those_who_share_whoever_has_no_endpoint_where_the_others_have_theirs_is_told() {
    let (desired, mut state) = shared();
    let reachable = |state: &State, name: &str| {
        let verdict = outcome(Some(&desired), state).reachable_of.remove(&Uid::new(name)).unwrap();
        (verdict.reason, verdict.message)
    };
    assert_eq!(reachable(&state, "udp").0, Reason::LayerTwoOnly);
    state.left_out = [(state.vips[0].address, [Uid::new("udp")].into())].into();
    let (reason, message) = reachable(&state, "udp");
    assert_eq!(reason, Reason::NoEndpoints);
    assert!(message.contains("node a") && message.contains("externalTrafficPolicy Local"), "{message}");
    assert_eq!(reachable(&state, "tcp").0, Reason::Reachable, "the other one is served");
}

#[test]
fn an_address_that_is_kept_although_its_pool_would_not_give_it_says_so() {
    let (desired, state) = shared();
    let pool = |range: &str| Pool::new(PoolName::new("p"), vec![Range::parse(range).unwrap()]);
    let assigned = |pools: Vec<Pool>| {
        let pools = check(pools, &Surroundings::default());
        outcome(Some(&desired), &State { pools: pools.into(), ..state.clone() }).assigned.message
    };
    assert_eq!(assigned(vec![pool("192.0.2.0/24")]), "192.0.2.1");
    for gone in [vec![], vec![pool("192.0.2.8/29")]] {
        assert_eq!(assigned(gone), "192.0.2.1, which is of no pool any more and is kept");
    }
    let draining = Pool { draining: true, ..pool("192.0.2.0/24") };
    assert_eq!(assigned(vec![draining]), "192.0.2.1, whose pool p is being drained and which is kept");
    let refused = Pool { defects: vec!["no range".to_owned()], ..pool("192.0.2.0/24") };
    assert_eq!(assigned(vec![refused]), "192.0.2.1, whose pool p is refused and which is kept");
}
