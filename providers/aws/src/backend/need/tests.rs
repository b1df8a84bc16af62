use portolan_core::balancer::Scheme;
use portolan_core::ids::{Instance, LoadBalancerId};

use super::*;
use crate::attributes::Attributes;
use crate::estate::{Known, Subnet};
use crate::ids::{ClusterName, Id, SubnetId};
use crate::names::{Kind, Names};
use crate::settings::health::{HealthCheck, Probe};
use crate::settings::listeners::Front;
use crate::state::{SubnetMapping, Target};
use crate::words::IpAddressType;

fn group(protocol: Protocol, target_type: TargetType, targets: &[(&str, u16)]) -> Group {
    Group {
        kind: Kind { protocol, target_type, family: Family::V4 },
        port: 1,
        health: HealthCheck {
            probe: Probe::Tcp,
            port: HealthPort::TrafficPort,
            interval: 10,
            timeout: 10,
            healthy: 3,
            unhealthy: 3,
        },
        node_labels: Default::default(),
        left_out: 0,
        room: 1000,
        attributes: Attributes::new(),
        targets: targets.iter().map(|(id, port)| (Target { id: (*id).to_owned(), port: *port }, None)).collect(),
    }
}

/// A balancer in one subnet, with one listener for each group.
fn model(firewall: Firewall, groups: Vec<Group>) -> Model {
    let names = Names::new(&ClusterName::parse("prod").unwrap(), &Instance::default(), &LoadBalancerId::new("uid"));
    let listener = |(port, group)| Listener {
        port,
        serves: Vec::new(),
        front: Front::Tcp,
        attributes: Attributes::new(),
        group,
        held: false,
    };
    let mapping =
        SubnetMapping { subnet: subnet_id(), allocation: None, private_ipv4: None, ipv6: None, source_nat: None };
    Model {
        names,
        tags: BTreeMap::new(),
        services: String::new(),
        name: None,
        named_by: Vec::new(),
        scheme: Scheme::Internal,
        ip_address_type: IpAddressType::Ipv4,
        vpc: Known::Unknown,
        subnets: Known::Known(vec![mapping]),
        verdicts: Vec::new(),
        firewall,
        private_link: None,
        awaits_healthy: false,
        attributes: Attributes::new(),
        listeners: (80..).zip(groups).map(listener).collect(),
        unserved: Vec::new(),
        need: None,
        allow_downtime: false,
        pinned: false,
        idle: false,
        rule_budget: 60,
        prefix_lists: Default::default(),
    }
}

fn subnet_id() -> SubnetId {
    Id::parse("subnet-1").unwrap()
}

fn estate() -> Estate {
    let subnet = Subnet {
        id: subnet_id(),
        zone: "a".to_owned(),
        tags: BTreeMap::new(),
        ipv4: Some("10.0.1.0/24".parse().unwrap()),
        ipv6: None,
        free_addresses: 9,
        public: None,
        outpost: None,
    };
    Estate { subnets: Some(vec![subnet]), ..Estate::default() }
}

fn managed() -> SecurityGroups {
    SecurityGroups::Managed { sources: Vec::new(), prefix_lists: Vec::new(), icmp: false }
}

fn own(backend_rules: bool) -> SecurityGroups {
    SecurityGroups::Own { groups: Vec::new(), backend_rules }
}

fn none(backend_rules: bool) -> SecurityGroups {
    let sources = ["198.51.100.0/24", "2001:db8::/32"].map(|net| net.parse().unwrap()).to_vec();
    SecurityGroups::None { sources, backend_rules }
}

fn of(model: &Model, groups: &SecurityGroups) -> Need {
    Need::of(model, Some(groups), &estate()).unwrap()
}

/// Who lets in whom, where to.
fn told(need: &Need) -> Vec<String> {
    let peer = |peer: &Peer| match peer {
        Peer::Balancers => "balancers".to_owned(),
        Peer::Own(group) => group.to_string(),
        Peer::Network(network) => network.to_string(),
    };
    let who = |who: &Who| match who {
        Who::Instance(id) => id.clone(),
        Who::Address(address) => address.to_string(),
    };
    let port = |port: &Port| format!("{}/{:?}", port.number, port.transport);
    let join = |all: Vec<String>| all.join("+");
    let opening = |opening: &Opening| {
        let who = join(opening.who.iter().map(who).collect());
        let (from, ports) =
            (join(opening.from.iter().map(peer).collect()), join(opening.ports.iter().map(port).collect()));
        format!("{who} from {from} to {ports}")
    };
    need.openings.iter().map(opening).collect()
}

#[test]
fn balancers_come_in_where_traffic_and_probes_go() {
    let mut probed = group(Protocol::Udp, TargetType::Instance, &[("i-1", 30053)]);
    probed.health.port = HealthPort::Number(10256);
    let groups = vec![
        group(Protocol::Tcp, TargetType::Instance, &[("i-1", 30080), ("i-2", 30080)]),
        probed,
        group(Protocol::Udp, TargetType::Ip, &[("10.0.0.7", 53)]),
        group(Protocol::TcpUdp, TargetType::Ip, &[("10.0.0.7", 5353), ("10.0.0.8", 5354)]),
        group(Protocol::Tls, TargetType::Ip, &[]),
    ];
    let need = of(&model(Firewall::None, groups), &managed());
    assert!(need.shared);
    assert_eq!(
        told(&need),
        [
            "i-1+i-2 from balancers to 30080/Tcp",
            "i-1 from balancers to 10256/Tcp+30053/Udp",
            "10.0.0.7 from balancers to 53/Tcp+53/Udp",
            "10.0.0.7 from balancers to 5353/Tcp+5353/Udp",
            "10.0.0.8 from balancers to 5354/Tcp+5354/Udp",
        ]
    );
}

#[test]
fn without_security_groups_targets_let_in_the_clients_they_see_and_the_subnets_that_probe_them() {
    let key = AttributeKey::parse(TARGET_GROUP, PRESERVE_CLIENT_IP).unwrap();
    let mut hidden = group(Protocol::Tcp, TargetType::Instance, &[("i-1", 30081)]);
    hidden.attributes.insert(key, "false".to_owned());
    let groups = vec![
        group(Protocol::Tcp, TargetType::Instance, &[("i-1", 30080)]),
        hidden,
        group(Protocol::Tcp, TargetType::Ip, &[("10.0.0.7", 8080)]),
        group(Protocol::Udp, TargetType::Ip, &[("10.0.0.7", 53)]),
    ];
    let need = of(&model(Firewall::None, groups), &none(true));
    assert!(!need.shared);
    let clients = "198.51.100.0/24";
    let probes = "10.0.1.0/24";
    assert_eq!(
        told(&need),
        [
            format!("i-1 from {clients} to 30080/Tcp"),
            format!("i-1 from {probes} to 30080/Tcp"),
            format!("i-1 from {probes} to 30081/Tcp"),
            format!("i-1 from {probes} to 30081/Tcp"),
            format!("10.0.0.7 from {probes} to 8080/Tcp"),
            format!("10.0.0.7 from {probes} to 8080/Tcp"),
            format!("10.0.0.7 from {clients} to 53/Udp"),
            format!("10.0.0.7 from {probes} to 53/Tcp"),
        ]
    );
}

#[test]
fn own_groups_are_let_in_by_us_only_where_somebody_says_so() {
    let model = model(Firewall::None, vec![group(Protocol::Tcp, TargetType::Instance, &[("i-1", 30080)])]);
    assert_eq!(of(&model, &own(true)), of(&model, &managed()), "it carries the shared group beside them");
    assert_eq!(of(&model, &own(false)), Need::default());
    assert_eq!(of(&model, &none(false)), Need::default());
}

#[test]
fn of_whom_nothing_may_be_changed_nothing_is_said_that_the_balancer_does_not_show() {
    let of = |firewall| Need::of(&model(firewall, Vec::new()), None, &estate());
    let need = |shared| Some(Need { shared, own: !shared, openings: Vec::new() });
    assert_eq!(of(firewall(Some("sg-shared"))), need(true));
    assert_eq!(of(firewall(None)), need(false));
    assert_eq!(of(Firewall::None), None);
    assert_eq!(of(Firewall::Own(Known::Unknown)), None);
}

fn firewall(beside: Option<&str>) -> Firewall {
    let beside = beside.map(|id| SecurityGroupOf::Id(Id::parse(id).unwrap()));
    Firewall::Managed { sources: BTreeSet::new(), icmp: false, beside }
}

#[test]
fn without_a_shared_group_those_come_in_who_carry_one_of_its_own() {
    let groups = || vec![group(Protocol::Tcp, TargetType::Instance, &[("i-1", 30080)])];
    let need = of(&model(firewall(None), groups()), &managed());
    let own = || SecurityGroupOf::Id(Id::parse("sg-1").unwrap());
    let carried = need.carried(&[own(), SecurityGroupOf::Made("portolan-2".to_owned())].into());
    assert_eq!(told(&carried), ["i-1 from sg-1+portolan-2 to 30080/Tcp"]);
    let made = |id: Option<&'static str>| carried.made(move |_| id.map(|id| Id::parse(id).unwrap()));
    assert_eq!(told(&made(Some("sg-2"))), ["i-1 from sg-1+sg-2 to 30080/Tcp"]);
    assert_eq!(told(&made(None)), ["i-1 from sg-1 to 30080/Tcp"], "nobody carries what was not made");
    let shared = of(&model(firewall(Some("sg-shared")), groups()), &managed());
    assert_eq!(shared.carried(&[own()].into()), shared, "the shared one is enough");
}
