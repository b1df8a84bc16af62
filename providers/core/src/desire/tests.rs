use std::net::IpAddr;

use super::*;
use crate::balancer::{self, Family, HealthCheck, Protocol, Scheme, SourceRanges, Targets};
use crate::dialect::Plain;
use crate::examples::{capabilities, class, endpoint, node, port, service, slice};
use crate::ids::NodeName;
use crate::snapshot::{Endpoint, FamilyPolicy, ServicePort, SlicePort, TrafficPolicy};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A test's whole world, with two nodes.
struct World {
    service: Service,
    slices: Vec<Arc<Slice>>,
    nodes: Vec<Arc<Node>>,
    capabilities: Capabilities,
    dialect: &'static dyn Dialect,
    settings: Settings,
    exists: bool,
}

/// Ports of these names are to be reached at their pods.
#[derive(Debug)]
struct WantsPods(&'static [&'static str]);

impl Dialect for WantsPods {
    fn judge(&self, asked: &Asked<'_>, before: &[Asked<'_>]) -> Judged {
        Plain.judge(asked, before)
    }

    fn settings(&self, members: &[Asked<'_>]) -> BTreeMap<Uid, serde_json::Value> {
        Plain.settings(members)
    }

    fn wants_pods(&self, _: &Service, port: &ServicePort) -> bool {
        self.0.contains(&port.name.as_str())
    }
}

impl World {
    fn of(service: Service) -> Self {
        let nodes = vec![Arc::new(node("n1", &[ip("192.0.2.1")])), Arc::new(node("n2", &[ip("192.0.2.2")]))];
        Self {
            service,
            slices: Vec::new(),
            nodes,
            capabilities: capabilities(),
            dialect: &Plain,
            settings: Settings::default(),
            exists: false,
        }
    }

    fn desire(&self) -> Result<Desired, Refusal> {
        let mut desired = self.whole();
        desired.refused.remove(&self.service.uid).map_or(Ok(desired), Err)
    }

    fn whole(&self) -> Desired {
        let alone = Candidate {
            member: member(&self.service),
            service: Some(&self.service),
            slices: &self.slices,
            gated: &[],
            joined: self.exists,
            held: None,
        };
        desire(&Input {
            id: &LoadBalancerId::new("lb"),
            class: &class("portolan.dev/mock"),
            capabilities: &self.capabilities,
            dialect: self.dialect,
            candidates: &[alone],
            nodes: &self.nodes,
            terms: None,
            settings: &self.settings,
            consents: &Consents::new(),
        })
    }

    fn balancer(&self) -> LoadBalancer {
        self.desire().unwrap().load_balancer
    }

    fn refusals(&self) -> Vec<Reason> {
        self.desire().unwrap_err().reasons.iter().map(|refused| refused.reason).collect()
    }
}

fn node_names(targets: &Targets) -> Vec<&str> {
    match targets {
        Targets::Nodes { nodes, .. } => nodes.iter().map(NodeName::as_str).collect(),
        Targets::Pods { .. } => panic!("pods"),
    }
}

fn pods(targets: &Targets) -> Vec<String> {
    match targets {
        Targets::Pods { endpoints, local_nodes: _ } => endpoints.iter().map(ToString::to_string).collect(),
        Targets::Nodes { .. } => panic!("nodes"),
    }
}

mod ports {
    use super::*;

    #[test]
    fn each_port_is_judged_by_its_own_node_port() {
        let mut service = service("a");
        service.ports = vec![port("a", 80, Protocol::Tcp, Some(30080)), port("b", 81, Protocol::Tcp, None)];
        let balancer = World::of(service).balancer();
        assert!(matches!(balancer.listeners[0].targets, Targets::Nodes { node_port: 30080, .. }));
        assert!(matches!(balancer.listeners[1].targets, Targets::Pods { .. }));
    }

    #[test]
    fn a_node_target_provider_refuses_a_port_without_node_port_and_serves_the_others() {
        let mut service = service("a");
        service.ports = vec![port("a", 80, Protocol::Tcp, Some(30080)), port("b", 81, Protocol::Tcp, None)];
        let mut world = World::of(service);
        world.capabilities.pod_targets = false;
        let desired = world.desire().unwrap();
        assert_eq!(desired.load_balancer.listeners.len(), 1);
        let refused = &desired.refused_ports[&world.service.uid];
        assert_eq!((refused[0].reason, refused[0].port.unwrap().port), (Reason::NodePortRequired, 81));
    }

    #[test]
    fn nothing_is_built_when_every_port_is_refused() {
        let mut world = World::of(service("a"));
        world.service.ports[0].node_port = None;
        world.capabilities.pod_targets = false;
        assert_eq!(world.refusals(), vec![Reason::NodePortRequired]);
    }

    #[test]
    fn what_exists_keeps_its_address_and_loses_its_listeners_when_every_port_is_refused() {
        let mut world = World::of(service("a"));
        world.service.ports[0].key.protocol = Protocol::Sctp;
        world.capabilities.protocols.remove(&Protocol::Sctp);
        world.exists = true;
        let desired = world.desire().unwrap();
        assert!(desired.load_balancer.listeners.is_empty());
        assert_eq!(desired.refused_ports[&world.service.uid][0].reason, Reason::ProtocolNotSupported);
    }

    #[test]
    fn a_pod_target_provider_uses_pods_although_there_is_a_node_port() {
        let mut world = World::of(service("a"));
        world.capabilities.node_targets = false;
        assert!(matches!(world.balancer().listeners[0].targets, Targets::Pods { .. }));
    }

    /// Through what each port is reached, by its name.
    fn ways(world: &World) -> Vec<(String, &'static str)> {
        let way = |listener: Listener| {
            let way = match listener.targets {
                Targets::Nodes { .. } => "nodes",
                Targets::Pods { .. } => "pods",
            };
            (listener.name, way)
        };
        world.desire().map(|desired| desired.load_balancer.listeners.into_iter().map(way).collect()).unwrap_or_default()
    }

    #[test]
    fn the_providers_own_words_choose_pods_port_by_port_where_it_has_targets_of_both_kinds() {
        for (node_targets, pod_targets, reached) in [
            (true, true, [("a", "nodes"), ("b", "pods"), ("c", "pods")].as_slice()),
            (false, true, &[("a", "pods"), ("b", "pods"), ("c", "pods")]),
            (true, false, &[("a", "nodes"), ("b", "nodes")]),
        ] {
            let mut world = World::of(service("a"));
            world.service.ports = vec![
                port("a", 80, Protocol::Tcp, Some(30080)),
                port("b", 81, Protocol::Tcp, Some(30081)),
                port("c", 82, Protocol::Tcp, None),
            ];
            world.dialect = &WantsPods(&["b"]);
            world.capabilities.node_targets = node_targets;
            world.capabilities.pod_targets = pod_targets;
            let reached: Vec<_> = reached.iter().map(|(name, way)| ((*name).to_owned(), *way)).collect();
            assert_eq!(ways(&world), reached, "nodes: {node_targets}, pods: {pod_targets}");
        }
    }

    #[test]
    fn what_is_refused_follows_the_pods_that_its_words_ask_for() {
        let mut world = World::of(service("a"));
        world.dialect = &WantsPods(&[""]);
        world.service.annotations.insert(share::SHARE_ANNOTATION.to_owned(), "-".to_owned());
        world.exists = true;
        let following = world.whole().load_balancer.following;
        assert!(matches!(following[..], [Listener { targets: Targets::Pods { .. }, .. }]), "{following:?}");
    }

    #[test]
    fn tcp_and_udp_may_have_one_number() {
        let mut service = service("a");
        service.ports = vec![port("u", 53, Protocol::Udp, Some(30053)), port("t", 53, Protocol::Tcp, Some(30053))];
        let keys: Vec<String> = World::of(service).balancer().listeners.iter().map(|l| l.key.to_string()).collect();
        assert_eq!(keys, ["53/TCP", "53/UDP"]);
    }

    #[test]
    fn where_protocols_cannot_be_mixed_the_first_served_port_decides() {
        let mut service = service("a");
        service.ports = vec![
            port("s", 1, Protocol::Sctp, Some(30001)),
            port("u", 2, Protocol::Udp, Some(30002)),
            port("t", 3, Protocol::Tcp, Some(30003)),
        ];
        let mut world = World::of(service);
        world.capabilities.mixed_protocols = false;
        world.capabilities.protocols.remove(&Protocol::Sctp);
        let desired = world.desire().unwrap();
        assert_eq!(desired.load_balancer.listeners[0].key.to_string(), "2/UDP");
        let refused: Vec<Reason> = desired.refused_ports[&world.service.uid].iter().map(|r| r.reason).collect();
        assert_eq!(refused, [Reason::ProtocolNotSupported, Reason::MixedProtocolNotSupported]);
    }

    #[test]
    fn health_is_kube_proxys_under_cluster_and_the_services_own_under_local() {
        let mut world = World::of(service("a"));
        let check = |world: &World| world.balancer().listeners[0].health_check.clone();
        assert_eq!(check(&world), HealthCheck::Http { port: 10256, path: "/healthz".to_owned() });
        world.service.external_traffic_policy = TrafficPolicy::Local;
        world.service.health_check_node_port = Some(32000);
        assert_eq!(check(&world), HealthCheck::Http { port: 32000, path: "/healthz".to_owned() });
    }
}

mod endpoints {
    use super::*;

    fn pod_world(endpoints: Vec<Endpoint>) -> World {
        let mut world = World::of(service("a"));
        world.service.ports[0].node_port = None;
        world.slices = vec![slice(&world.service, "s1", Family::V4, endpoints)];
        world
    }

    #[test]
    fn slices_are_joined_and_duplicates_removed() {
        let mut world = pod_world(vec![endpoint(ip("10.0.0.2"), None), endpoint(ip("10.0.0.1"), None)]);
        world.slices.push(slice(&world.service, "s2", Family::V4, vec![endpoint(ip("10.0.0.1"), None)]));
        assert_eq!(pods(&world.balancer().listeners[0].targets), ["10.0.0.1:8080", "10.0.0.2:8080"]);
    }

    #[test]
    fn each_address_comes_with_each_pod_that_claims_it_once() {
        let pod = |address: &str, uid: &str| Endpoint { pod: Some(Uid::new(uid)), ..endpoint(ip(address), None) };
        let terminating = |endpoint: Endpoint| Endpoint { terminating: true, ..endpoint };
        let mut world =
            pod_world(vec![pod("10.0.0.2", "b"), terminating(pod("10.0.0.1", "a")), endpoint(ip("10.0.0.2"), None)]);
        let stale = vec![terminating(pod("10.0.0.2", "b")), terminating(pod("10.0.0.2", "old"))];
        world.slices.push(slice(&world.service, "s2", Family::V4, stale));
        let Targets::Pods { endpoints, local_nodes: _ } = world.balancer().listeners.remove(0).targets else {
            panic!("nodes")
        };
        let shown: Vec<_> = endpoints
            .iter()
            .map(|one| (one.address.to_string(), one.pod.as_ref().map_or("", Uid::as_str), one.terminating))
            .collect();
        assert_eq!(
            shown,
            [
                ("10.0.0.1:8080".to_owned(), "a", true),
                ("10.0.0.2:8080".to_owned(), "", false),
                ("10.0.0.2:8080".to_owned(), "b", false),
                ("10.0.0.2:8080".to_owned(), "old", true),
            ]
        );
    }

    #[test]
    fn a_named_target_port_may_differ_between_slices() {
        let mut world = pod_world(vec![endpoint(ip("10.0.0.1"), None)]);
        let mut second = (*slice(&world.service, "s2", Family::V4, vec![endpoint(ip("10.0.0.2"), None)])).clone();
        second.ports[0].port = 9090;
        world.slices.push(Arc::new(second));
        assert_eq!(pods(&world.balancer().listeners[0].targets), ["10.0.0.1:8080", "10.0.0.2:9090"]);
    }

    #[test]
    fn a_slice_port_serves_the_port_of_the_same_name_and_protocol_only() {
        let mut world = pod_world(vec![endpoint(ip("10.0.0.1"), None)]);
        let mut other = (*world.slices[0]).clone();
        other.ports = vec![
            SlicePort { name: "x".to_owned(), protocol: Protocol::Tcp, port: 1 },
            SlicePort { name: String::new(), protocol: Protocol::Udp, port: 2 },
        ];
        world.slices = vec![Arc::new(other)];
        assert_eq!(pods(&world.balancer().listeners[0].targets), [""; 0]);
    }

    #[test]
    fn serving_while_terminating_counts_only_when_nobody_is_ready_and_not_serving_never() {
        let draining = |address: &str, serving| Endpoint {
            ready: false,
            serving,
            terminating: true,
            ..endpoint(ip(address), None)
        };
        let mut unready = endpoint(ip("10.0.0.9"), None);
        unready.ready = false;
        unready.serving = false;
        let world = pod_world(vec![draining("10.0.0.1", true), draining("10.0.0.2", false), unready]);
        assert_eq!(pods(&world.balancer().listeners[0].targets), ["10.0.0.1:8080"]);
        let world = pod_world(vec![draining("10.0.0.1", true), endpoint(ip("10.0.0.3"), None)]);
        assert_eq!(pods(&world.balancer().listeners[0].targets), ["10.0.0.3:8080"]);
    }

    #[test]
    fn pods_reached_straight_are_the_same_under_local() {
        let draining = Endpoint { ready: false, terminating: true, ..endpoint(ip("10.0.0.2"), Some("n2")) };
        let mut world = pod_world(vec![endpoint(ip("10.0.0.1"), Some("n1")), draining]);
        world.service.external_traffic_policy = TrafficPolicy::Local;
        assert_eq!(pods(&world.balancer().listeners[0].targets), ["10.0.0.1:8080"]);
    }

    #[test]
    fn a_port_has_endpoints_of_each_family_that_its_pods_have() {
        let mut world = pod_world(vec![endpoint(ip("10.0.0.1"), Some("n1"))]);
        world.service.families = vec![Family::V4, Family::V6];
        let has = |world: &World| {
            let listener = world.balancer().listeners.remove(0);
            [Family::V4, Family::V6].map(|family| listener.has_endpoints_of(family))
        };
        assert_eq!(has(&world), [true, false]);
        world.slices.push(slice(&world.service, "s6", Family::V6, vec![endpoint(ip("fd00::1"), Some("n1"))]));
        assert_eq!(has(&world), [true, true]);
        world.slices.remove(0);
        assert_eq!(has(&world), [false, true]);
        world.slices.clear();
        assert_eq!(has(&world), [false, false]);
        // Behind a node port kube-proxy decides, of each family by itself: a node stays registered.
        world.service.ports[0].node_port = Some(30080);
        world.slices = vec![slice(&world.service, "s1", Family::V4, vec![endpoint(ip("10.0.0.1"), Some("n1"))])];
        assert_eq!(has(&world), [true, true]);
    }

    #[test]
    fn under_local_only_nodes_with_a_usable_endpoint_take_traffic() {
        let mut world = World::of(service("a"));
        world.service.external_traffic_policy = TrafficPolicy::Local;
        let mut draining = endpoint(ip("10.0.0.2"), Some("n2"));
        draining.ready = false;
        draining.terminating = true;
        let external = endpoint(ip("10.0.0.3"), None);
        world.slices = vec![slice(
            &world.service,
            "s",
            Family::V4,
            vec![endpoint(ip("10.0.0.1"), Some("n1")), draining, external],
        )];
        // The fallback to terminating endpoints is decided on each node by itself.
        assert_eq!(node_names(&world.balancer().listeners[0].targets), ["n1", "n2"]);
        world.slices = vec![slice(&world.service, "s", Family::V4, vec![endpoint(ip("10.0.0.3"), None)])];
        assert_eq!(node_names(&world.balancer().listeners[0].targets), [""; 0]);
    }

    fn nobody_answers(balancer: &LoadBalancer) -> Option<Reason> {
        balancer::nobody_answers(&balancer.listeners, &balancer.nodes)
    }

    #[test]
    fn nobody_answers_where_no_node_takes_traffic_for_node_ports() {
        let mut world = World::of(service("a"));
        world.slices = vec![slice(&world.service, "s", Family::V4, vec![endpoint(ip("10.0.0.1"), Some("n9"))])];
        assert_eq!(nobody_answers(&world.balancer()), None, "under Cluster any node passes it on");
        world.service.external_traffic_policy = TrafficPolicy::Local;
        assert_eq!(nobody_answers(&world.balancer()), Some(Reason::NoNodes), "the endpoint's node takes none");
        world.nodes.clear();
        assert_eq!(nobody_answers(&world.balancer()), Some(Reason::NoNodes));
        world.slices.clear();
        assert_eq!(nobody_answers(&world.balancer()), Some(Reason::NoNodes), "as upstream warns without any node");
        world.service.ports[0].node_port = None;
        assert_eq!(nobody_answers(&world.balancer()), Some(Reason::NoEndpoints), "pods need no node");
    }

    #[test]
    fn under_cluster_every_node_takes_traffic_also_without_endpoints() {
        let world = World::of(service("a"));
        let listener = &world.balancer().listeners[0];
        assert_eq!(node_names(&listener.targets), ["n1", "n2"]);
        assert!(!listener.has_endpoints);
        assert_eq!(nobody_answers(&world.balancer()), Some(Reason::NoEndpoints));
    }
}

mod nodes {
    use super::*;

    fn labelled(name: &str, labels: &[(&str, &str)]) -> Node {
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Node { labels: Arc::new(labels), ..node(name, &[ip("192.0.2.1")]) }
    }

    #[test]
    fn a_target_has_its_nodes_labels_and_nobody_writes_them_down() {
        let mut world = World::of(service("a"));
        let plain = serde_json::to_value(world.balancer().nodes.last()).unwrap();
        world.nodes = vec![Arc::new(labelled("n1", &[("zone", "a")])), Arc::new(labelled("n2", &[]))];
        let nodes = world.balancer().nodes;
        assert_eq!(nodes[0].labels["zone"], "a");
        assert!(nodes[1].labels.is_empty());
        let fields = |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(fields(&serde_json::to_value(&nodes[0]).unwrap()), fields(&plain));
    }

    #[test]
    fn the_exclude_label_is_read_as_upstream_reads_it() {
        for (value, excluded) in
            [("true", true), ("", true), ("junk", true), ("false", false), ("F", false), ("0", false)]
        {
            let mut world = World::of(service("a"));
            world.nodes = vec![Arc::new(labelled("n", &[(crate::desire::nodes::EXCLUDE_LABEL, value)]))];
            assert_eq!(world.balancer().nodes.is_empty(), excluded, "{value:?}");
            world.settings.ignore_exclude_label = true;
            assert_eq!(world.balancer().nodes.len(), 1, "{value:?} ignored");
        }
    }

    #[test]
    fn nodes_on_their_way_out_and_without_an_address_of_the_family_take_none() {
        let mut world = World::of(service("a"));
        let good = node("n", &[ip("192.0.2.1")]);
        world.nodes = vec![
            Arc::new(Node { leaving: true, ..good.clone() }),
            Arc::new(Node { deleting: true, ..good.clone() }),
            Arc::new(node("v6", &[ip("2001:db8::1")])),
        ];
        assert!(world.balancer().nodes.is_empty());
    }
}

mod addresses {
    use super::*;

    fn dual(policy: FamilyPolicy) -> World {
        let mut service = service("a");
        service.families = vec![Family::V6, Family::V4];
        service.family_policy = policy;
        World::of(service)
    }

    #[test]
    fn families_keep_the_order_of_the_service() {
        assert_eq!(dual(FamilyPolicy::PreferDualStack).balancer().families, [Family::V6, Family::V4]);
    }

    #[test]
    fn a_lacking_family_is_a_warning_when_dual_stack_is_preferred_and_a_refusal_when_required() {
        let mut world = dual(FamilyPolicy::PreferDualStack);
        world.capabilities.families.remove(&Family::V6);
        let desired = world.desire().unwrap();
        assert_eq!(desired.load_balancer.families, [Family::V4]);
        assert_eq!(desired.warnings[&world.service.uid][0].reason, Reason::FamilyNotSupported);
        world.service.family_policy = FamilyPolicy::RequireDualStack;
        assert_eq!(world.refusals(), [Reason::FamilyNotSupported]);
    }

    #[test]
    fn a_family_that_only_one_scheme_has_is_lacking_in_the_other() {
        let mut world = dual(FamilyPolicy::PreferDualStack);
        world.capabilities.lacking.insert((Scheme::Public, Family::V6));
        let desired = world.desire().unwrap();
        assert_eq!(desired.load_balancer.families, [Family::V4], "nobody said, so it is public");
        assert_eq!(desired.warnings[&world.service.uid][0].reason, Reason::FamilyNotSupported);
        assert_eq!(desired.warnings[&world.service.uid][0].message, "this class has no public IPv6 addresses");
        world.service.family_policy = FamilyPolicy::RequireDualStack;
        assert_eq!(world.refusals(), [Reason::FamilyNotSupported], "all or nothing");
        world.service.annotations.insert(scheme::SCHEME_ANNOTATION.into(), "internal".into());
        assert_eq!(world.balancer().families, [Family::V6, Family::V4]);
        world.service.annotations.remove(scheme::SCHEME_ANNOTATION);
        world.service.load_balancer_ip = Some("10.255.0.9".into());
        assert_eq!(world.balancer().families.len(), 2, "the address may say that it is internal");
    }

    #[test]
    fn a_policy_that_the_server_resolved_to_one_family_asks_for_no_other() {
        let mut world = dual(FamilyPolicy::PreferDualStack);
        world.service.families = vec![Family::V6];
        let desired = world.desire().unwrap();
        assert_eq!((desired.load_balancer.families, desired.warnings), (vec![Family::V6], BTreeMap::new()));
    }

    #[test]
    fn our_annotation_wins_over_load_balancer_ip() {
        let mut world = World::of(service("a"));
        world.service.load_balancer_ip = Some("203.0.113.1".to_owned());
        assert_eq!(world.balancer().requested, [ip("203.0.113.1")]);
        world
            .service
            .annotations
            .insert(crate::desire::addresses::ADDRESSES_ANNOTATION.to_owned(), " 203.0.113.2 ".to_owned());
        assert_eq!(world.balancer().requested, [ip("203.0.113.2")]);
    }

    #[test]
    fn requests_that_cannot_be_understood_are_refused_all_at_once() {
        let mut world = World::of(service("a"));
        world.service.annotations.insert(
            crate::desire::addresses::ADDRESSES_ANNOTATION.to_owned(),
            "banana,2001:db8::1,203.0.113.2,203.0.113.3".to_owned(),
        );
        assert_eq!(world.refusals(), [Reason::InvalidRequestedAddress; 3]);
    }
}

#[test]
fn source_ranges_are_trimmed_masked_and_merged_and_the_field_wins() {
    let mut world = World::of(service("a"));
    assert_eq!(world.balancer().source_ranges, SourceRanges::All);
    world.service.annotations.insert(ranges::RANGES_ANNOTATION.to_owned(), " 10.1.2.3/8 , 10.0.0.0/8 ".to_owned());
    assert_eq!(world.balancer().source_ranges, SourceRanges::Only(vec!["10.0.0.0/8".parse().unwrap()]));
    world.service.source_ranges = vec![" 192.0.2.0/24".to_owned()];
    assert_eq!(world.balancer().source_ranges, SourceRanges::Only(vec!["192.0.2.0/24".parse().unwrap()]));
    world.capabilities.source_ranges = false;
    assert_eq!(world.refusals(), [Reason::SourceRangesNotSupported]);
}

#[test]
fn an_ipv4_mapped_source_range_is_the_ipv4_network() {
    let mut world = World::of(service("a"));
    world.service.source_ranges =
        vec!["::ffff:192.0.2.0/120".to_owned(), "::/0".to_owned(), "::ffff:0:0/95".to_owned()];
    let SourceRanges::Only(ranges) = world.balancer().source_ranges else { panic!("open to everybody") };
    let ranges: Vec<String> = ranges.iter().map(ToString::to_string).collect();
    assert_eq!(ranges, ["192.0.2.0/24", "::/0", "::fffe:0:0/95"]);
}

#[test]
fn the_scheme_is_ours_to_refuse_by_name() {
    let mut world = World::of(service("a"));
    world.service.annotations.insert(scheme::SCHEME_ANNOTATION.to_owned(), "internal".to_owned());
    assert_eq!(world.balancer().scheme, Some(Scheme::Internal));
    world.capabilities.scheme = false;
    assert_eq!(world.refusals(), [Reason::SchemeNotSupported]);
    world.service.annotations.insert(scheme::SCHEME_ANNOTATION.to_owned(), "Internal".to_owned());
    assert_eq!(world.refusals(), [Reason::InvalidAnnotation]);
}

#[test]
fn session_affinity_goes_by_capability() {
    let mut world = World::of(service("a"));
    world.service.session_affinity = Some(600);
    assert_eq!(world.balancer().listeners[0].session_affinity, Some(600));
    world.capabilities.session_affinity = false;
    assert_eq!(world.refusals(), [Reason::SessionAffinityNotSupported]);
}

#[test]
fn downtime_is_allowed_by_a_boolean_and_by_nothing_else() {
    for (text, allowed, warned) in [
        (None, false, false),
        (Some("true"), true, false),
        (Some("T"), true, false),
        (Some("false"), false, false),
        (Some("0"), false, false),
        (Some(""), false, true),
        (Some("yes"), false, true),
        (Some("tRUE"), false, true),
    ] {
        let mut world = World::of(service("a"));
        let annotation = text.map(|text| (downtime::DOWNTIME_ANNOTATION.to_owned(), text.to_owned()));
        world.service.annotations.extend(annotation);
        let desired = world.desire().unwrap();
        assert_eq!(desired.load_balancer.allow_downtime, allowed, "{text:?}");
        let warnings = desired.warnings.get(&world.service.uid).map(Vec::as_slice).unwrap_or_default();
        assert_eq!(warnings.iter().any(|warning| warning.reason == Reason::InvalidAnnotation), warned, "{text:?}");
        let written = serde_json::to_value(&desired.load_balancer).unwrap();
        assert_eq!(written.get("allowDowntime").is_some(), allowed, "{text:?}");
    }
}

#[test]
fn every_reason_is_told_at_once() {
    let mut world = World::of(service("a"));
    world.service.defects = vec!["spec.ports[0].port is 70000, not 1 to 65535".to_owned()];
    world.service.source_ranges = vec!["nonsense".to_owned()];
    world.service.annotations.insert(share::SHARE_ANNOTATION.to_owned(), "x".to_owned());
    world.service.ports.push(port("s", 9, Protocol::Sctp, None));
    world.capabilities.protocols.remove(&Protocol::Sctp);
    world.capabilities.sharing = false;
    assert_eq!(
        world.refusals(),
        [Reason::InvalidSpec, Reason::InvalidSourceRange, Reason::SharingNotSupported, Reason::ProtocolNotSupported]
    );
}
