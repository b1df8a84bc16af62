use portolan_core::balancer::{PortKey, Protocol};
use portolan_core::ids::{LoadBalancerId, ResourceVersion};

use super::*;
use crate::placement::Ranks;
use crate::vip::Served;
use crate::world::World;

const STATION: &str = "02:00:00:00:00:09";

fn address() -> IpAddr {
    IpAddr::from([198, 51, 100, 7])
}

fn node(name: &str) -> NodeName {
    NodeName::new(name)
}

/// Ranked to these as of version 5.
fn vip(nodes: &[&str]) -> Vip {
    Vip {
        version: Some(ResourceVersion::new("5".to_owned())),
        holder: Some(LoadBalancerId::new("web")),
        ranks: Ranks { nodes: nodes.iter().map(|name| node(name)).collect(), generation: 1 },
        ..Vip::of_nobody(address())
    }
}

fn report(version: u64, doubts: &[Doubt]) -> Report {
    let doubts = doubts.iter().cloned().map(|doubt| (address(), doubt)).collect();
    Report { witness: Some(Witness { version, doubts }), ..Report::default() }
}

fn reach(nodes: &[&str], reports: &[(&str, Report)], silent: &[&str]) -> Reach {
    let reports = reports.iter().map(|(name, report)| (node(name), report.clone())).collect();
    Reach::of(&vip(nodes), 5, &reports, &silent.iter().map(|name| node(name)).collect())
}

fn ports(ports: &[u16]) -> BTreeSet<u16> {
    ports.iter().copied().collect()
}

#[test]
fn the_first_heir_alone_is_believed_and_only_of_the_ranks_that_there_are() {
    let good = || report(5, &[]);
    assert_eq!(reach(&[], &[("b", good())], &[]), Reach::Unplaced);
    assert_eq!(reach(&["a"], &[("a", good()), ("b", good())], &[]), Reach::Alone);
    assert_eq!(reach(&["a", "b"], &[], &[]), Reach::Awaited(node("b")));
    assert_eq!(reach(&["a", "b"], &[("b", Report::default())], &[]), Reach::Awaited(node("b")), "it does not look");
    assert_eq!(reach(&["a", "b", "c"], &[("a", good()), ("c", good())], &[]), Reach::Awaited(node("b")));
    assert_eq!(reach(&["a", "b"], &[("b", report(4, &[]))], &[]), Reach::Awaited(node("b")), "of ranks before");
    assert_eq!(reach(&["a", "b"], &[("b", report(5, &[Doubt::Pending]))], &[]), Reach::Awaited(node("b")));
    assert_eq!(reach(&["a", "b"], &[("b", good())], &["b"]), Reach::Unheard(node("b")));
    assert_eq!(reach(&["a", "b"], &[("b", good())], &["a"]), Reach::Seen(node("b"), Vec::new()));
    let doubts = vec![Doubt::NoAnswer];
    assert_eq!(reach(&["a", "b"], &[("b", report(6, &doubts))], &[]), Reach::Seen(node("b"), doubts));
}

#[test]
fn what_was_seen_says_what_a_service_is_told() {
    let several = Doubt::Several(vec![STATION.to_owned(), "02:00:00:00:00:0a".to_owned()]);
    let foreign = Doubt::Foreign(vec![STATION.to_owned()]);
    for (doubts, of_tcp, of_udp) in [
        (vec![], (ConditionStatus::True, Reason::Reachable), (ConditionStatus::True, Reason::LayerTwoOnly)),
        (
            vec![Doubt::Excluded],
            (ConditionStatus::True, Reason::LayerTwoOnly),
            (ConditionStatus::True, Reason::LayerTwoOnly),
        ),
        (
            vec![Doubt::Silent(ports(&[80]))],
            (ConditionStatus::False, Reason::NoSynAck),
            (ConditionStatus::True, Reason::LayerTwoOnly),
        ),
        (
            vec![Doubt::Refused(ports(&[80, 9]))],
            (ConditionStatus::False, Reason::ConnectionRefused),
            (ConditionStatus::True, Reason::LayerTwoOnly),
        ),
        (
            vec![Doubt::Silent(ports(&[9]))],
            (ConditionStatus::True, Reason::Reachable),
            (ConditionStatus::True, Reason::LayerTwoOnly),
        ),
        (vec![Doubt::NoAnswer], (ConditionStatus::False, Reason::NoAnswer), (ConditionStatus::False, Reason::NoAnswer)),
        (
            vec![several],
            (ConditionStatus::False, Reason::SeveralAnswers),
            (ConditionStatus::False, Reason::SeveralAnswers),
        ),
        (
            vec![foreign],
            (ConditionStatus::False, Reason::ForeignAnswer),
            (ConditionStatus::False, Reason::ForeignAnswer),
        ),
        (
            vec![Doubt::NoSocket],
            (ConditionStatus::Unknown, Reason::NoWitness),
            (ConditionStatus::Unknown, Reason::NoWitness),
        ),
        (
            vec![Doubt::OffLink],
            (ConditionStatus::Unknown, Reason::NoWitness),
            (ConditionStatus::Unknown, Reason::NoWitness),
        ),
    ] {
        let seen = Reach::Seen(node("b"), doubts);
        for (of, expected) in [(ports(&[80, 443]), of_tcp), (ports(&[]), of_udp)] {
            let said = verdict(&[(address(), &seen, of)]);
            assert_eq!((said.status, said.reason), expected, "{seen:?}");
            assert!(said.message.contains("198.51.100.7") && said.message.contains("node b"), "{}", said.message);
            let strangers = matches!(said.reason, Reason::SeveralAnswers | Reason::ForeignAnswer);
            assert_eq!(said.message.contains(STATION), strangers, "{}", said.message);
        }
    }
}

#[test]
fn both_families_have_to_be_proven_and_the_worst_is_shown() {
    let other = IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 7]);
    let seen = |doubts: &[Doubt]| Reach::Seen(node("b"), doubts.to_vec());
    let all = [seen(&[]), seen(&[Doubt::Excluded]), Reach::Alone, seen(&[Doubt::NoAnswer])];
    let reason = |verdict: &Verdict| (verdict.status, verdict.reason);
    for (worse, reach) in all.iter().enumerate() {
        let alone = verdict(&[(address(), reach, ports(&[80]))]);
        for better in &all[..=worse] {
            for pair in [[reach, better], [better, reach]] {
                let said = verdict(&[(address(), pair[0], ports(&[80])), (other, pair[1], ports(&[80]))]);
                assert_eq!(reason(&said), reason(&alone), "{pair:?}");
                assert!(said.message.contains("198.51.100.7") && said.message.contains("2001:db8::7"), "{said:?}");
            }
        }
    }
    assert_eq!(reason(&verdict(&[])), (ConditionStatus::Unknown, Reason::NoWitness));
}

#[test]
fn news_of_the_first_heir_wake_those_of_whom_they_speak_and_no_others() {
    let mut world = World::default();
    world.set_vip(vip(&["a", "b", "c"]));
    world.news();
    let web = BTreeSet::from([LoadBalancerId::new("web")]);
    world.set_report(&node("c"), Some(report(5, &[])));
    assert_eq!(world.news(), BTreeSet::new());
    world.set_report(&node("b"), Some(report(5, &[Doubt::Pending])));
    assert_eq!(world.news(), BTreeSet::new(), "it has still not looked");
    world.set_report(&node("b"), Some(report(5, &[])));
    assert_eq!(world.news(), web);
    world.set_report(&node("b"), Some(report(6, &[])));
    assert_eq!(world.news(), BTreeSet::new(), "it says the same");
    assert_eq!(world.reach(address()), Reach::Seen(node("b"), Vec::new()));
}

#[test]
fn a_port_that_comes_and_who_may_connect_are_to_be_looked_at_anew() {
    let of_version = |version: u64, ports: &[u16], source: &[&str]| {
        let member = portolan_core::balancer::Member {
            uid: portolan_core::ids::Uid::new("web"),
            namespace: "shop".to_owned(),
            name: "web".to_owned(),
        };
        let tcp = |port: &u16| PortKey { port: *port, protocol: Protocol::Tcp };
        Vip {
            version: Some(ResourceVersion::new(version.to_string())),
            services: vec![Served { member, ports: ports.iter().map(tcp).collect() }],
            source_ranges: source.iter().map(|range| range.parse().unwrap()).collect(),
            ..vip(&["a", "b"])
        }
    };
    let mut world = World::default();
    world.set_vip(of_version(5, &[80], &[]));
    world.set_report(&node("b"), Some(report(5, &[])));
    assert_eq!(world.reach(address()), Reach::Seen(node("b"), Vec::new()));
    let changes = [(6, of_version(6, &[80, 443], &[])), (7, of_version(7, &[80, 443], &["192.0.2.0/24"]))];
    for (version, changed) in changes {
        world.set_vip(changed);
        assert_eq!(world.reach(address()), Reach::Awaited(node("b")), "version {version}");
        world.set_report(&node("b"), Some(report(version, &[])));
        assert_eq!(world.reach(address()), Reach::Seen(node("b"), Vec::new()));
    }
}
